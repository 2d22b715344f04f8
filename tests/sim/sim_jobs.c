/* sim_jobs.c: seeds of the simulator of provider jobs.
 *
 *   sim_jobs [SEEDS [FIRST]]        SEEDS seeds from FIRST (1); a failure prints how to repeat it
 *   sim_jobs --trace SEED           all that happens in one seed
 *   sim_jobs --crash SEED [STRIDE]  a small run dies behind every effect, and behind every STRIDEth
 *                                   pair of effects (1)
 *   sim_jobs --crash-at SEED N [M]  one of those, with all that happens
 *
 * Without arguments: what ctest runs. */
#include "sim_jobs.h"

#include <stdlib.h>
#include <string.h>

static sj_world world;

typedef struct totals {
  uint64_t runs, failures, jobs, adopted, excused, lives, hosts;
} totals;

static bool run_one(const sj_config *config, totals *t, const char *how) {
  bool good = sj_run(&world, config);
  t->runs++;
  t->jobs += world.job_count;
  t->adopted += world.adopted;
  t->excused += world.excused_jobs;
  t->lives += world.lives;
  t->hosts += world.host;
  if (!good) {
    t->failures++;
    printf("seed %llu: %s\n", (unsigned long long)config->seed, world.failure);
    sj_config_print(config);
    printf("again: sim_jobs %s %llu", how, (unsigned long long)config->seed);
    if (config->exhaustive)
      printf(" %llu %llu", (unsigned long long)config->crash_at[0],
             (unsigned long long)config->crash_at[1]);
    printf("\n");
  }
  sj_world_free(&world);
  return good;
}

static void run_seeds(totals *t, uint64_t first, uint64_t count) {
  for (uint64_t seed = first; seed < first + count && t->failures < 5; seed++) {
    sj_config config;
    sj_config_draw(&config, seed);
    run_one(&config, t, "--trace");
  }
}

/* Behind every effect of the first host, and then behind every `stride`th of the second. */
static void run_crashes(totals *t, uint64_t seed, uint64_t stride) {
  sj_config config;
  sj_config_small(&config, seed);
  run_one(&config, t, "--crash-at");
  uint64_t most = world.effects;
  for (uint64_t n = 1; n <= most && t->failures < 5; n++) {
    config.crash_at[0] = n;
    config.crash_at[1] = 0;
    run_one(&config, t, "--crash-at");
    uint64_t pairs = world.effects > n ? world.effects - n : 0;
    for (uint64_t m = 1 + n % stride; m <= pairs && t->failures < 5; m += stride) {
      config.crash_at[1] = m;
      run_one(&config, t, "--crash-at");
    }
  }
}

static int report(const totals *t) {
  printf(
      "%llu runs, %llu hosts, %llu jobs, %llu adopted, %llu created again where a list was slow, "
      "%llu live "
      "calls, %llu failures\n",
      (unsigned long long)t->runs, (unsigned long long)t->hosts, (unsigned long long)t->jobs,
      (unsigned long long)t->adopted, (unsigned long long)t->excused, (unsigned long long)t->lives,
      (unsigned long long)t->failures);
  return t->failures != 0;
}

static uint64_t number(int argc, char **argv, int at, uint64_t otherwise) {
  return at < argc ? strtoull(argv[at], NULL, 10) : otherwise;
}

int main(int argc, char **argv) {
  totals t = {0};
  const char *what = argc > 1 ? argv[1] : "";
  if (strcmp(what, "--trace") == 0) {
    world.verbose = true;
    run_seeds(&t, number(argc, argv, 2, 1), 1);
  } else if (strcmp(what, "--crash") == 0) {
    run_crashes(&t, number(argc, argv, 2, 1), number(argc, argv, 3, 1));
  } else if (strcmp(what, "--crash-at") == 0) {
    sj_config config;
    sj_config_small(&config, number(argc, argv, 2, 1));
    config.crash_at[0] = number(argc, argv, 3, 0);
    config.crash_at[1] = number(argc, argv, 4, 0);
    world.verbose = true;
    run_one(&config, &t, what);
  } else if (argc > 1) {
    run_seeds(&t, number(argc, argv, 2, 1), number(argc, argv, 1, 1));
  } else {
    run_seeds(&t, 1, 400);
    for (uint64_t seed = 0; seed < SJ_DIALECTS; seed++) run_crashes(&t, seed, 37);
  }
  return report(&t);
}
