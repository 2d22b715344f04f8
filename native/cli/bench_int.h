/* bench_int.h: what the files of `sheaf bench` share.
 *
 *   bench.c         targets, clients, the runs, signals
 *   bench_input.c   the prompts, in memory
 *   bench_report.c  what was measured: the table, and the JSON document */
#ifndef SHEAF_BENCH_INT_H
#define SHEAF_BENCH_INT_H

#include "cli.h"

#include <sheaf/client.h>

#include <stdatomic.h>

#define BENCH_RUNS_MAX 100u

/* The prompts. Each request's text is a block of its own. */
typedef struct bench_input {
  sheaf_request *requests;
  void **blocks;
  size_t count, capacity;
} bench_input;

/* CLI_OK, or an exit code after a sentence. */
int bench_input_read(const cli_args *args, bench_input *input);
void bench_input_free(bench_input *input);

/* What the time of the output tokens was taken from. */
enum { BENCH_FROM_NOTHING = 0, BENCH_FROM_LATENCY, BENCH_FROM_STREAM, BENCH_FROM_SERVER };

/* One run of one target. */
typedef struct bench_run {
  sheaf_stats stats;
  uint64_t wall_ns;
  uint64_t tokens_timed; /* output tokens whose time is known */
  uint64_t tokens_ns;    /* the sum of these times over the requests */
  uint32_t timed_from;   /* BENCH_FROM_* */
  uint64_t server_ns;    /* the server's own durations, summed */
  uint64_t server_count;
} bench_run;

typedef struct bench_target {
  char name[64], provider[32], model[256], base_url[512];
  cli_place place;
  sheaf_client *client;
  bench_run runs[BENCH_RUNS_MAX];
  uint32_t run_count;
  char first_error[256];

  /* Of the run under way. */
  const bench_input *input;
  int32_t status;
  sheaf_parse_error error;
  atomic_ullong done;
  atomic_bool over;
} bench_target;

void bench_table_print(FILE *to, const bench_target *targets, uint32_t count, size_t prompts);
/* CLI_OK or CLI_HOST after a sentence. */
int bench_json_write(const char *path, const cli_args *args, const bench_target *targets,
                     uint32_t count, size_t prompts);

#endif
