/* plan.h: what is known of an input before anything is sent. */
#ifndef SHEAF_PLAN_H
#define SHEAF_PLAN_H

#include "cli.h"

enum { PLAN_GROUPS_MAX = 256, PLAN_LINES_MAX = 20, PLAN_LIMITS = 6 };

/* Where no cap is given: the engine's first guess. */
#define PLAN_OUTPUT_GUESS 512u
#define PLAN_LATENCY_MS 2000u
#define PLAN_CONCURRENCY 64u
#define PLAN_AUTO_ROWS 5000u /* of a job in lane auto, as the option's text says */

/* Requests that can share a job of the provider's batch API: most want one model and operation a job. */
typedef struct plan_group {
  char model[128];
  char url[64];
  const sheaf_price *price;
  uint64_t rows, bytes, tokens, inputs; /* in the job that is being filled */
  uint64_t jobs;                        /* begun */
} plan_group;

/* How far a job is filled; SHEAF_NEVER: no limit. */
typedef struct plan_job {
  uint64_t rows, bytes, tokens, inputs;
} plan_job;

/* Some lines that something is the matter with. */
typedef struct plan_lines {
  uint64_t count;
  uint64_t line[PLAN_LINES_MAX];
} plan_lines;

/* One limit of speed, and how long all requests take under it alone. */
typedef struct plan_limit {
  const char *name;
  uint64_t value;
  uint64_t seconds;
  bool is_assumed;
} plan_limit;

typedef struct plan {
  const cli_args *args;
  const cli_place *place;
  cli_counting *counting;
  uint64_t good;
  uint64_t by_basis[3]; /* CLI_COUNT_* */
  uint64_t input_tokens, output_tokens, body_bytes;
  uint64_t without_cap;
  int64_t input_usd_nano, output_usd_nano, batch_usd_nano;
  uint64_t without_price;
  plan_lines bad, over_context, over_item;
  uint64_t told; /* sentences on standard error */
  uint64_t told_max;
  const sheaf_job_traits *jobs; /* of the provider; NULL: it has no batch API that sheaf knows */
  plan_job job;                 /* how far one is filled; SHEAF_NEVER: no limit */
  plan_group groups[PLAN_GROUPS_MAX];
  uint32_t group_count;
  bool has_more_groups;
  plan_limit limits[PLAN_LIMITS];
  uint32_t limit_count;
  const plan_limit *slowest; /* NULL: no requests */
  char doubt[1024];          /* why input is an estimate; "" */
  char encodings[128];       /* what was counted by */
} plan;

/* Reads and weighs the whole input. CLI_OK, or an exit code after a sentence; bad lines are no failure. */
int plan_make(plan *it, const cli_args *args, const cli_place *place, uint32_t format,
              cli_counting *counting);
const char *plan_price_date(const cli_args *args);
uint64_t plan_jobs(const plan *it);

/* plan_print.c */
void plan_print(const plan *it);
int plan_print_json(const plan *it); /* CLI_OK or CLI_HOST */

#endif
