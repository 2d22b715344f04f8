/* sim_jobs.h: the parts of the simulator of provider jobs.
 *
 * sim_jobs_world.c draws what a seed turns on and makes the rows. sim_jobs_provider.c keeps what
 * providers keep: files, jobs and what becomes of each row. sim_jobs_wire.c reads the calls and
 * writes the replies of each dialect, by the protocols and not by the product's own code;
 * sim_jobs_lines.c writes results. sim_jobs_disk.c is what survives a host: records, spool,
 * output. sim_jobs_net.c is the transport, sim_jobs_host.c drives one engine after the other,
 * sim_jobs_check.c compares all with rules of its own, sim_jobs.c counts seeds. */
#ifndef SIM_JOBS_H
#define SIM_JOBS_H

#include <sheaf/sheaf.h>

#include "../support/test_alloc.h"

#include <stdio.h>

#define SJ_MS 1000000ull
#define SJ_SECOND 1000000000ull
#define SJ_HOUR (3600 * SJ_SECOND)
#define SJ_ROWS_MAX 200
#define SJ_JOBS_MAX 400
#define SJ_FILES_MAX 800
#define SJ_CALLS_MAX 256
#define SJ_RECORDS_MAX 20000
#define SJ_FLIGHTS_MAX 1000
#define SJ_PLACES_MAX 2
#define SJ_HOSTS_MAX 24
#define SJ_UNIX_MS 1760000000000ll /* of the world's beginning */
/* Nano-USD a token; jobs cost half. */
#define SJ_NANO_IN 2
#define SJ_NANO_OUT 6

enum { SJ_OPENAI, SJ_ANTHROPIC, SJ_GEMINI, SJ_MISTRAL, SJ_GROQ, SJ_AZURE, SJ_DIALECTS };

/* What a draw is for. */
enum { SJ_CONFIG = 1, SJ_ROW, SJ_CALL, SJ_JOB, SJ_ITEM, SJ_DISK, SJ_HOST, SJ_MEMORY, SJ_PROBE };

/* What becomes of a call. */
enum {
  SJ_GOOD,
  SJ_NOT_SENT,
  SJ_BREAKS_BEFORE, /* the provider never saw it */
  SJ_BREAKS_AFTER,  /* it acted, its answer was lost */
  SJ_STALLS_BEFORE, /* until the timeout */
  SJ_STALLS_AFTER,
  SJ_ACTS_LATE, /* the connection breaks, then it acts */
  SJ_LIMITED,
  SJ_LIMITED_HINT,
  SJ_SERVER,
  SJ_GARBLED,     /* it acted; a 200 that cannot be read */
  SJ_CUT,         /* it acted; half of the answer, then the connection breaks */
  SJ_REFUSES_KEY, /* 401 */
  SJ_REJECTS,     /* 400 */
  SJ_GIVES_UP,    /* it acted, and a proxy answers 408 */
  SJ_SILENT_CUT,  /* of results: half of them, and a proper end */
  SJ_CALL_FATES
};

/* What becomes of a row in a job. */
enum {
  SJ_DONE,
  SJ_REFUSED, /* 400 */
  SJ_FAILS,   /* 500 */
  SJ_THROTTLED,
  SJ_EXPIRES,
  SJ_LOST,      /* no line, not charged */
  SJ_LOST_PAID, /* no line, charged */
  SJ_TWICE,
  SJ_BOTH_FILES, /* a good line, and one that it failed */
  SJ_WRONG_ID,
  SJ_BAD_LINE,
  SJ_ITEM_FATES
};

/* What becomes of a job. */
enum { SJ_ENDS, SJ_INVALID, SJ_FULL, SJ_STUCK, SJ_JOB_FATES };

typedef struct sj_text {
  char *data;
  size_t bytes, capacity;
} sj_text;

typedef struct sj_config {
  uint64_t seed;
  uint32_t rows, places, dialect[SJ_PLACES_MAX], models;
  uint32_t call_permille[SJ_CALL_FATES], item_permille[SJ_ITEM_FATES], job_permille[SJ_JOB_FATES];
  uint32_t crashes;     /* how many hosts die */
  uint64_t crash_at[2]; /* exhaustive: behind which effect of host 0 and 1; 0: by seed */
  bool exhaustive, power_loss, store_late, store_fails, spool_fails, short_reads, sink_later,
      source_later, drains, clock_jumps, foreign, slow_list, no_decision, nomem, changes, big, pull,
      deadlines, budget, pauses, modes, twice_told, cancels;
  uint64_t calm_ns; /* from here on nothing goes wrong by chance */
  uint64_t job_ns;  /* how long jobs take, about */
  uint64_t list_ns; /* how long a list does not show a new job, at most */
  uint32_t page_rows;
  sheaf_engine_options options;
} sj_config;

typedef struct sj_row {
  uint32_t kind, place, model;
  char tag[40];
  char id[640];
  size_t id_bytes;
  char metadata[48];
  char *text; /* prompt, messages or body */
  uint64_t deadline_ms;
  char url[40];
  /* what happened */
  uint8_t fingerprint[16];
  bool fingerprint_known, has_line, ranged; /* ranged: a record says that it may be sent live */
  bool given, ended;                        /* to and in this host */
  uint32_t lines, lives, jobs;              /* lives: calls that the provider acted on */
  int64_t charged;
  uint32_t charges, paid; /* paid: those that cost something */
  uint64_t flight;
} sj_row;
enum { SJ_PROMPT, SJ_MESSAGES, SJ_BODY, SJ_STREAMED, SJ_LIVE, SJ_BAD, SJ_ROW_KINDS };

typedef struct sj_item {
  int32_t row; /* -1: a stranger's */
  uint32_t fate;
  char id[72];
  uint64_t body_hash, done_ns;
  bool settled;
} sj_item;

typedef struct sj_job {
  uint32_t number, place, fate, count, final_state, charges;
  bool foreign, final, told_failed, claimed, cut;
  char id[48], marker[160], metadata[200], input[48], model[32], endpoint[64];
  uint64_t shown_ns, asked_ns, created_ns, visible_ns, known_ns, valid_ns, ends_ns, cancel_ns,
      ready_ns;
  sj_item *items;
  sj_text out, errors;
  uint64_t flight;
} sj_job;

typedef struct sj_file {
  char id[48];
  uint32_t place;
  bool deleted;
  sj_text text;
} sj_file;

typedef struct sj_record {
  uint32_t type;
  uint64_t ticket, lines_before;
  bool stored;
  sj_text payload;
} sj_record;

typedef struct sj_spool {
  sj_text text;
  size_t sealed_bytes;
  bool sealed, made;
} sj_spool;

/* A line of the output, in the order of writing. */
typedef struct sj_line {
  uint64_t index;
  bool gone;
} sj_line;

/* What the records say of a flight: read on its own, as they become durable. */
typedef struct sj_flight {
  bool planned, over, resubmit, abandoned, undecided;
  uint32_t intents, creates, repeats, place;
  bool unwanted;         /* somebody wanted it ended, in this host, */
  uint32_t intents_then; /* when it had so many */
  char job[64];          /* the newest fact */
  char wanted[64];       /* a decision's */
} sj_flight;

typedef struct sj_call {
  uint64_t id, started_ns, ends_ns;
  uint32_t place, fate, status, number;
  char method[8];
  sj_text url, headers, body; /* as sent */
  sj_text reply_headers, reply;
  size_t sent;
  bool used, pulled, acted, ended, stream, wants_pull, is_job;
  uint64_t body_bytes;
} sj_call;

enum {
  SJ_DUE_ARRIVE,
  SJ_DUE_ACT,
  SJ_DUE_REPLY,
  SJ_DUE_DATA,
  SJ_DUE_END,
  SJ_DUE_STORED,
  SJ_DUE_SCANNED,
  SJ_DUE_POKE,
  SJ_DUE_DRAIN,
  SJ_DUE_CANCEL_JOB,
  SJ_DUE_PAUSE,
  SJ_DUE_RESUME
};

typedef struct sj_due {
  uint64_t at_ns, seq, what; /* what: a call's number, or a ticket */
  uint32_t kind, end;
} sj_due;

typedef struct sj_world {
  sj_config config;
  uint64_t now_ns, trace, effects, host_effects, crash_at, due_seq, calls_made, draws;
  int64_t skew_ms;
  uint32_t host;
  bool verbose, dead, crashed_ever, doubled, store_failed, spool_failed;
  sj_row rows[SJ_ROWS_MAX];
  sj_job jobs[SJ_JOBS_MAX];
  uint32_t job_count;
  sj_file files[SJ_FILES_MAX];
  uint32_t file_count;
  sj_record records[SJ_RECORDS_MAX];
  uint32_t record_count;
  sj_spool spools[SJ_FLIGHTS_MAX];
  sj_flight flights[SJ_FLIGHTS_MAX];
  sj_line lines[SJ_ROWS_MAX * 8];
  uint32_t line_count;
  sj_call calls[SJ_CALLS_MAX];
  sj_due dues[1024];
  uint32_t due_count;
  /* the host that lives */
  sheaf_engine *engine;
  uint32_t given, undecided, parked;
  bool moved, scanned, probing;
  uint32_t puts, nexts, reads;
  int64_t reported, charged;
  uint32_t excused_jobs, lives, adopted, decisions, still;
  uint64_t steps;
  test_alloc memory;
  sj_text prompt;
  sheaf_request request; /* the pull face: offered until it is taken */
  bool has_request, input_ended;
  uint32_t changed;       /* 1 + the row whose text is another in this host; 0: none */
  int64_t charged_before; /* when this host began */
  char failure[400];
} sj_world;

#define SJ_NOTE(w, ...)    \
  do {                     \
    if ((w)->verbose) {    \
      sj_stamp(w);         \
      printf(__VA_ARGS__); \
      putchar('\n');       \
    }                      \
  } while (0)
#define SJ_PUT(text, ...)                                        \
  do {                                                           \
    char sj_piece[1600];                                         \
    int sj_n = snprintf(sj_piece, sizeof sj_piece, __VA_ARGS__); \
    sj_put_bytes(text, sj_piece, (size_t)sj_n);                  \
  } while (0)

/* sim_jobs_world.c */
uint64_t sj_draw(const sj_config *c, uint64_t below, uint64_t purpose, uint64_t a, uint64_t b);
bool sj_chance(const sj_config *c, uint32_t permille, uint64_t purpose, uint64_t a, uint64_t b);
void sj_config_draw(sj_config *c, uint64_t seed);
void sj_config_small(sj_config *c, uint64_t seed); /* for crashes behind every effect */
void sj_config_print(const sj_config *c);
void sj_rows_make(sj_world *w);
void sj_fail(sj_world *w, const char *what, uint64_t a, uint64_t b);
void sj_stamp(const sj_world *w);
uint64_t sj_hash(const void *data, size_t bytes);
bool sj_calm(const sj_world *w);
extern const char *const sj_dialect_names[SJ_DIALECTS];
extern const sheaf_price_table sj_prices;

/* Text. */
void sj_put_bytes(sj_text *t, const void *data, size_t bytes);
void sj_text_free(sj_text *t);

/* sim_jobs_provider.c */
sj_file *sj_file_new(sj_world *w, uint32_t place, const char *prefix);
sj_file *sj_file_find(sj_world *w, uint32_t place, const char *id);
sj_job *sj_job_new(sj_world *w, uint32_t place, uint64_t asked_ns);
bool sj_job_add(sj_world *w, sj_job *job, sheaf_slice id, sheaf_slice body);
void sj_job_created(sj_world *w, sj_job *job);
sj_job *sj_job_find(sj_world *w, uint32_t place, const char *id);
bool sj_job_listed(const sj_world *w, const sj_job *job);
void sj_job_settle(sj_world *w, sj_job *job); /* its state at this time */
uint32_t sj_job_state(sj_world *w, sj_job *job);
void sj_provider_foreign(sj_world *w);                                /* others' jobs */
int32_t sj_row_of(const sj_world *w, const char *data, size_t bytes); /* by its tag; -1 */
void sj_charge(sj_world *w, int32_t row, int64_t nano, bool live);
int64_t sj_price(int32_t row, bool live);

/* sim_jobs_wire.c: reads the call, acts, and writes status, headers and reply. */
void sj_act(sj_world *w, sj_call *call);
bool sj_is_create(const sj_world *w, const sj_call *call);
bool sj_is_job_call(const sj_call *call);
/* sim_jobs_lines.c: a job's results, and bodies of replies. */
void sj_render_results(sj_world *w, sj_job *job);
void sj_render_reply(sj_text *to, uint32_t dialect, const sj_world *w, int32_t row, uint64_t hash);
void sj_expected_text(const sj_world *w, uint64_t index, char *to, size_t bytes);

/* sim_jobs_disk.c */
bool sj_effect(sj_world *w, const char *what, uint64_t a, uint64_t b); /* false: the host is dead */
int32_t sj_append(sj_world *w, uint64_t ticket, const sheaf_record *records, uint32_t count);
void sj_stored(sj_world *w, uint64_t ticket);
void sj_disk_crash(sj_world *w, bool in_order); /* in_order: the host came to its end */
void sj_record_durable(sj_world *w, sj_record *record);
void sj_decide(sj_world *w);
extern const sheaf_spool sj_spool_door;

/* sim_jobs_net.c */
void sj_later(sj_world *w, uint64_t at_ns, uint32_t kind, uint64_t what);
int32_t sj_start(sj_world *w, const sheaf_exchange *e);
void sj_cancel_call(sj_world *w, uint64_t id);
void sj_call_due(sj_world *w, const sj_due *due);
void sj_net_crash(sj_world *w);
void sj_call_free(sj_call *call);

/* sim_jobs_check.c */
void sj_check_result(sj_world *w, const sheaf_result *r);
void sj_check_event(sj_world *w, const sheaf_event *e);
void sj_check_create(sj_world *w, sj_job *job);
void sj_check_known(sj_world *w, const sj_job *job);
void sj_check_live(sj_world *w, int32_t row, uint32_t place);
void sj_check_host_end(sj_world *w);
void sj_check_world_end(sj_world *w);

/* sim_jobs_host.c */
bool sj_run(sj_world *w, const sj_config *config);
void sj_world_free(sj_world *w);

#endif
