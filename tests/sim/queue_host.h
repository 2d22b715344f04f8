/* queue_host.h: one host: its clock, what is due, and the engine it drives. Shared by
 * queue_host.c and queue_run.c. */
#ifndef QUEUE_HOST_H
#define QUEUE_HOST_H

#include "queue_sim.h"

enum {
  QS_DUE_HEAD,
  QS_DUE_DATA,
  QS_DUE_REST,
  QS_DUE_DONE,
  QS_DUE_LATE,
  QS_DUE_STORED,
  QS_DUE_POKE,
  QS_DUE_CANCEL,
  QS_DUE_STORM,
  QS_DUE_PAUSE,
  QS_DUE_RESUME,
  QS_DUE_SET,
  QS_DUE_RESET,
  QS_DUE_DRAIN,
  QS_DUE_ABORT
};

typedef struct qs_due {
  uint64_t at_ns, seq, what; /* an exchange's number, a ticket, a row */
  uint32_t kind;
} qs_due;

typedef struct qs_host {
  qs_world *w;
  sheaf_engine *engine;
  qs_due *dues;
  uint32_t due_count, due_capacity;
  uint64_t told_ns, due_seq, steps, puts, appends, shuffles;
  uint32_t next;    /* row to arrive */
  uint32_t waiting; /* the first that arrived and has not been taken */
  bool idle, input_ended, moved;
  struct test_alloc *memory;
  sheaf_buf text, body;
} qs_host;

/* queue_host.c */
void qs_later(qs_host *h, uint64_t at_ns, uint32_t kind, uint64_t what);
uint64_t qs_first_due(const qs_host *h);
bool qs_start(qs_host *h, const sheaf_exchange *e); /* false: it could not be started */
void qs_cancel(qs_host *h, uint64_t id);
int32_t qs_append(qs_host *h, uint64_t ticket, const sheaf_record *records, uint32_t count);
uint32_t qs_report_due(qs_host *h); /* all that is due now; how many there were */
int32_t qs_open_doors(qs_host *h);
void qs_take_event(qs_host *h, const sheaf_event *e);

#endif
