/* sim_host.h: one host: its clock, what is due, and the engine it drives. Shared by sim_transport.c and sim_run.c. */
#ifndef SIM_HOST_H
#define SIM_HOST_H

#include "sim_world.h"

enum {
  DUE_HEAD,
  DUE_DATA,
  DUE_REST,
  DUE_DONE,
  DUE_LATE,
  DUE_STORED,
  DUE_SCANNED,
  DUE_POKE,
  DUE_CANCEL,
  DUE_DRAIN,
  DUE_ABORT
};

typedef struct sim_due {
  uint64_t at_ns, seq, what; /* an exchange's number, a ticket, or an index */
  uint32_t kind;
} sim_due;

typedef struct sim_host {
  sim_world *w;
  sheaf_engine *engine;
  sim_due *dues;
  uint32_t due_count, due_capacity;
  uint64_t told_ns, due_seq, given, steps, puts, nexts, appends, shuffles;
  uint32_t *failed; /* exchanges whose start failed, until a settle has seen them */
  uint32_t failed_count, failed_capacity;
  uint32_t scanned;
  bool idle, input_ended, moved;
  char prompt[128];
} sim_host;

/* sim_transport.c */
void sim_later(sim_host *r, uint64_t at_ns, uint32_t kind, uint64_t what);
uint64_t sim_first_due(const sim_host *r);
bool sim_start(sim_host *r, const sheaf_exchange *e); /* false: it could not be started */
void sim_cancel(sim_host *r, uint64_t id);
int32_t sim_append(sim_host *r, uint64_t ticket, const sheaf_record *records, uint32_t count);
void sim_apply_record(sim_world *w, sim_record *record);
void sim_check_failed(sim_host *r);
uint32_t sim_report_due(sim_host *r); /* all that is due now; how many there were */

#endif
