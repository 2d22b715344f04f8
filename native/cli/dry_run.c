/* dry_run.c: sheaf run --dry-run: a plan in short. Every bad line is named, tokens and cost are told,
 * nothing is sent. */
#define _POSIX_C_SOURCE 200809L
#include "plan.h"

#include <stdlib.h>

static void print_short(const plan *it) {
  printf(
      "%llu requests are good, %llu are not; %s%llu input tokens (%s%s) and at most %llu output "
      "tokens\n",
      (unsigned long long)it->good, (unsigned long long)it->bad.count, it->doubt[0] ? "about " : "",
      (unsigned long long)it->input_tokens,
      it->doubt[0] ? "an estimate: " : "counted: ", it->doubt[0] ? it->doubt : it->encodings,
      (unsigned long long)it->output_tokens);
  if (it->without_price == 0 && it->good)
    printf("at most about $%.4f at prices of %s\n",
           (double)(it->input_usd_nano + it->output_usd_nano) / 1e9, plan_price_date(it->args));
  else if (it->good)
    printf("no price is known for some of the models: give --prices FILE to see the cost\n");
}

int cli_dry_run(const cli_args *args, const cli_place *place, uint32_t format) {
  cli_counting counting;
  plan *it = calloc(1, sizeof *it);
  if (it == NULL) return cli_say("out of memory"), CLI_HOST;
  it->told_max = SHEAF_NEVER; /* every bad line is named */
  int answer = cli_counting_open(&counting, args->vocab, NULL, 0);
  bool is_open = answer == CLI_OK;
  if (is_open) answer = plan_make(it, args, place, format, &counting);
  if (is_open && (answer == CLI_OK || it->good + it->bad.count > 0)) print_short(it);
  if (answer == CLI_OK && it->bad.count) answer = CLI_BAD_INPUT;
  cli_counting_close(&counting);
  free(it);
  return answer;
}
