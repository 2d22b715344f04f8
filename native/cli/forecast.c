/* forecast.c: what a batch will cost and how many jobs it is, told before anything is sent. */
#define _POSIX_C_SOURCE 200809L
#include "jobs.h"
#include "plan.h"

#include <stdlib.h>

static double dollars(int64_t nano) {
  return (double)nano / 1e9;
}

static void print_money(const plan *it) {
  const char *word = it->args->output_tokens ? "about" : "at most";
  uint64_t priced = it->good - it->without_price;
  int64_t live = it->input_usd_nano + it->output_usd_nano, batch = it->batch_usd_nano;
  if (priced == 0) {
    fprintf(stderr, "  cost         unknown price: give --prices FILE to see it\n");
    return;
  }
  double n = (double)priced;
  fprintf(stderr, "  live         %s $%.4f, $%.6f a request\n", word, dollars(live),
          dollars(live) / n);
  fprintf(stderr, "  batch        %s $%.4f, $%.6f a request, at prices of %s\n", word,
          dollars(batch), dollars(batch) / n, plan_price_date(it->args));
  if (it->without_price)
    fprintf(stderr, "               unknown price for %llu more requests\n",
            (unsigned long long)it->without_price);
}

static void print_forecast(const plan *it) {
  const sheaf_engine_options *o = &it->args->engine;
  unsigned long long rows = it->good, tokens = it->input_tokens;
  if (o->lane == SHEAF_LANE_AUTO && it->good <= o->batch_threshold) {
    fprintf(stderr, "forecast: %llu requests in all run live, as --batch-threshold is %llu\n", rows,
            (unsigned long long)o->batch_threshold);
    return;
  }
  unsigned long long jobs = plan_jobs(it);
  fprintf(stderr, "forecast: %llu request%s in %s%llu job%s of %s\n", rows, rows == 1 ? "" : "s",
          it->has_more_groups ? "at least " : "", jobs, jobs == 1 ? "" : "s",
          it->place->endpoint.provider->name);
  if (it->doubt[0])
    fprintf(stderr, "  input        about %llu tokens, an estimate (sheaf plan says why)\n",
            tokens);
  else
    fprintf(stderr, "  input        %llu tokens, counted: %s\n", tokens, it->encodings);
  print_money(it);
}

int cli_forecast(const cli_args *args, const cli_place *place) {
  cli_counting counting;
  uint32_t format;
  plan *it = calloc(1, sizeof *it);
  if (it == NULL) return cli_say("out of memory"), CLI_HOST;
  int answer = cli_format(args, &format);
  if (answer == CLI_OK) {
    answer = cli_counting_open(&counting, args->vocab, NULL, 0);
    /* Bad lines are named by the run itself, once. */
    if (answer == CLI_OK) answer = plan_make(it, args, place, format, &counting);
    cli_counting_close(&counting);
  }
  if (answer == CLI_OK && it->good > 0) print_forecast(it);
  free(it);
  return answer;
}
