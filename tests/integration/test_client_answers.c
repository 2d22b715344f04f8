/* test_client_answers.c: structured answers through the client: results carry their own copies, also
 * those that outlive it, and a schema outlives the caller's text. */
#define _POSIX_C_SOURCE 200809L
#include <sheaf/client.h>
#include <sheaf/sim.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void assert_slice(sheaf_slice slice, const char *text) {
  assert_int_equal(slice.bytes, strlen(text));
  assert_memory_equal(slice.data ? slice.data : "", text, slice.bytes);
}

/* The simulator answers "echo: " and the prompt. */
static void results_carry_their_json_beyond_the_client(void **state) {
  (void)state;
  static const char *const prompts[] = {"{\"n\": 5}", "{n: 3}", "no JSON"};
  char schema[] = "{\"properties\":{\"n\":{\"minimum\":4}}}", message[256] = "", base_url[256];
  sheaf_sim *sim = NULL;
  sheaf_sim_options sim_options = SHEAF_SIM_OPTIONS_INIT;
  assert_int_equal(sheaf_sim_start(&sim_options, &sim, message, sizeof message), SHEAF_OK);
  snprintf(base_url, sizeof base_url, "%s/v1", sheaf_sim_url(sim));

  sheaf_engine_options engine;
  sheaf_engine_options_init(&engine);
  engine.json_schema = sheaf_slice_of(schema);
  engine.json_retries = 2;
  sheaf_client_options options = SHEAF_CLIENT_OPTIONS_INIT;
  options.base_url = base_url;
  options.api_key = "sk-test-0123456789";
  options.model = "gpt-4o-mini";
  options.engine = &engine;
  sheaf_client *client = NULL;
  assert_int_equal(sheaf_client_new(&options, &client), SHEAF_OK);
  memset(schema, 'x', sizeof schema - 1);

  sheaf_batch *batch = NULL;
  assert_int_equal(sheaf_client_batch_prompts(client, prompts, 3, &batch), SHEAF_OK);
  sheaf_client_free(client);
  sheaf_sim_stop(sim);
  assert_true(sheaf_batch_all_succeeded(batch));

  const sheaf_result *good = sheaf_batch_at(batch, 0), *low = sheaf_batch_at(batch, 1),
                     *none = sheaf_batch_at(batch, 2);
  assert_true(good->answer_judged);
  assert_slice(good->answer_json, "{\"n\":5}");
  assert_slice(good->answer_fault, "");
  assert_int_equal(good->answer_repairs, SHEAF_REPAIR_TEXT_AROUND);
  assert_int_equal(good->answer_score, 95);
  assert_int_equal(good->attempts, 1);

  assert_slice(low->answer_json, "{\"n\":3}");
  assert_slice(low->answer_fault, "/n: below the minimum of 4");
  assert_int_equal(low->answer_faults, 1);
  assert_int_equal(low->answer_score, 100 - 5 - 5 - SHEAF_ANSWER_FAULT_COST);
  assert_int_equal(low->attempts, 3);

  assert_true(none->answer_judged);
  assert_slice(none->answer_json, "");
  assert_slice(none->text, "echo: no JSON");
  assert_slice(none->answer_fault, "the answer holds no JSON");
  assert_int_equal(none->answer_score, 0);
  sheaf_batch_free(batch);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(results_carry_their_json_beyond_the_client),
  };
  setenv("no_proxy", "127.0.0.1", 1); /* the simulator is not behind the machine's proxy */
  return cmocka_run_group_tests(tests, NULL, NULL);
}
