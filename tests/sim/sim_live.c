/* sim_live.c: seeds of the live simulator.
 *
 *   sim_live [--seed FIRST] [--seeds COUNT]     COUNT seeds from FIRST; a failure prints its seed and how to repeat it
 *   sim_live --traces FILE                      each line "SEED TRACE": the trace must be the one that every other
 *                                               build has; without TRACE it is printed, to make the file
 *
 * Each seed runs twice: as reported, and with the reports of one instant shuffled. The traces must be equal. */
#include "sim_world.h"

#include <stdlib.h>
#include <string.h>

static sim_world world;

/* 0: good. */
static int one_seed(uint64_t seed, uint64_t *requests) {
  uint64_t trace = 0;
  for (int round = 0; round < 2; round++) {
    bool good = sim_run(&world, seed, round == 1);
    *requests += world.requests_ever;
    if (good && round == 1 && world.trace != trace) {
      good = false;
      snprintf(world.failure, sizeof world.failure,
               "the order of reports within a step changed what was done");
    }
    if (!good) {
      printf("seed %llu%s: %s\n", (unsigned long long)seed, round ? " shuffled" : "",
             world.failure);
      sim_config_print(&world.config);
      printf("again: sim_live --seed %llu --seeds 1\n", (unsigned long long)seed);
      return 1;
    }
    trace = world.trace;
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
    bool good = sim_run(&world, seed, false);
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

int main(int argc, char **argv) {
  uint64_t first = 1, count = 10000, requests = 0, failures = 0;
  for (int i = 1; i + 1 < argc; i += 2) {
    if (strcmp(argv[i], "--traces") == 0) return check_traces(argv[i + 1]);
    if (strcmp(argv[i], "--seed") == 0) first = strtoull(argv[i + 1], NULL, 10);
    if (strcmp(argv[i], "--seeds") == 0) count = strtoull(argv[i + 1], NULL, 10);
  }
  uint64_t seed = first;
  for (; seed < first + count && failures < 5; seed++)
    failures += (uint64_t)one_seed(seed, &requests);
  printf("%llu seeds, %llu simulated requests, %llu failures\n", (unsigned long long)(seed - first),
         (unsigned long long)requests, (unsigned long long)failures);
  return failures != 0;
}
