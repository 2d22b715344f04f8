/* sim_queue.c: seeds of the simulation of the queue client.
 *
 *   sim_queue [--seed FIRST] [--seeds COUNT]
 *                               COUNT seeds from FIRST; a failure prints how to repeat it
 *   sim_queue --verbose SEED    all that happens, as it happens
 *   sim_queue --traces FILE     each line "SEED TRACE": the trace must be the one that every other
 *                               build has; without TRACE it is printed, to make the file
 *
 * Each seed runs twice: as reported, and with the reports of one instant shuffled. The traces
 * must be equal. */
#include "queue_sim.h"

#include <stdlib.h>
#include <string.h>

static qs_world world;
static bool verbose;

typedef struct totals {
  uint64_t rows, calls, merged, travelled, deduplicated, cached, local, canaries;
} totals;

static void add_up(totals *t) {
  t->rows += world.admitted;
  t->calls += world.starts;
  t->merged += world.merged;
  t->travelled += world.travelled;
  t->deduplicated += world.deduplicated;
  t->cached += world.cached;
  t->local += world.local;
  t->canaries += world.shadow_starts;
}

/* 0: good. */
static int one_seed(uint64_t seed, totals *t) {
  uint64_t trace = 0;
  for (int round = 0; round < 2; round++) {
    bool good = qs_run(&world, seed, round == 1, verbose);
    if (good && round == 1 && world.trace != trace && !world.config.starves) {
      good = false;
      snprintf(world.failure, sizeof world.failure,
               "the order of reports within a step changed what was done");
    }
    add_up(t);
    trace = world.trace;
    qs_free(&world);
    if (good) continue;
    printf("seed %llu%s: %s\n", (unsigned long long)seed, round ? " shuffled" : "", world.failure);
    qs_config_print(&world.config);
    printf("again: sim_queue --seed %llu --seeds 1\n", (unsigned long long)seed);
    return 1;
  }
  return 0;
}

/* The traces of a committed list of seeds: native and WebAssembly builds decide alike. */
static int check_traces(const char *path) {
  char line[128];
  unsigned passed = 0, failed = 0;
  FILE *file = fopen(path, "r");
  if (!file) return printf("cannot open %s\n", path), 1;
  while (fgets(line, sizeof line, file)) {
    unsigned long long seed, trace = 0;
    int read = line[0] == '#' ? 0 : sscanf(line, "%llu %llx", &seed, &trace);
    if (read < 1) continue;
    bool good = qs_run(&world, seed, false, false);
    qs_free(&world);
    if (read == 1) {
      printf("%llu %016llx\n", seed, (unsigned long long)world.trace);
    } else if (good && world.trace == trace) {
      passed++;
    } else {
      failed++;
      printf("seed %llu: %016llx, not %016llx\n", seed, (unsigned long long)world.trace, trace);
    }
  }
  fclose(file);
  printf("%u passed, %u failed\n", passed, failed);
  return failed != 0;
}

/* Sanitizers take five times as long. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SEEDS 1000
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || \
    __has_feature(memory_sanitizer)
#define SEEDS 1000
#endif
#endif
#ifndef SEEDS
#define SEEDS 5000
#endif

int main(int argc, char **argv) {
  uint64_t first = 1, count = SEEDS, failures = 0;
  totals t = {0};
  for (int i = 1; i + 1 < argc; i += 2) {
    if (strcmp(argv[i], "--traces") == 0) return check_traces(argv[i + 1]);
    verbose = verbose || strcmp(argv[i], "--verbose") == 0;
    if (strcmp(argv[i], "--seed") == 0 || verbose) first = strtoull(argv[i + 1], NULL, 10);
    if (strcmp(argv[i], "--seeds") == 0) count = strtoull(argv[i + 1], NULL, 10);
    if (verbose) count = 1;
  }
  uint64_t seed = first;
  for (; seed < first + count && failures < 5; seed++) failures += (uint64_t)one_seed(seed, &t);
  printf(
      "%llu seeds, %llu requests, %llu calls (%llu of several, for %llu), %llu twins, %llu from "
      "the cache, %llu by "
      "hooks, %llu canaries, %llu failures\n",
      (unsigned long long)(seed - first), (unsigned long long)t.rows, (unsigned long long)t.calls,
      (unsigned long long)t.merged, (unsigned long long)t.travelled,
      (unsigned long long)t.deduplicated, (unsigned long long)t.cached, (unsigned long long)t.local,
      (unsigned long long)t.canaries, (unsigned long long)failures);
  return failures != 0;
}
