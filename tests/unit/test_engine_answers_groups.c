/* test_engine_answers_groups: structured answers of requests that shared a call: each part is judged by
 * itself, and those that are poor are asked for again. */
#include "groups_test.h"

static groups w;

/* The bench answers "=" and the input, which is no JSON. */
TEST(poor_parts_of_a_shared_call_are_asked_for_again_and_end_well) {
  groups_init(&w);
  w.options.json = 1;
  w.options.json_retries = 1;
  groups_open(&w);
  groups_submit(&w, "Ek:a", NULL);
  groups_submit(&w, "Ek:b", NULL);
  groups_step(&w, 0);
  CHECK_EQ(w.start_count, 1);
  groups_good(&w, 0);
  groups_step(&w, MS);
  CHECK_EQ(w.result_count, 0);
  CHECK(groups_finish(&w));
  CHECK(w.start_count >= 2 && w.start_count <= 3);
  CHECK_EQ(w.result_count, 2);
  for (uint32_t i = 0; i < 2; i++) {
    const groups_result *r = groups_of(&w, i);
    CHECK(r != NULL && r->ok);
    if (r != NULL) CHECK_EQ(r->attempts, 2);
  }
  groups_close(&w);
}

TEST(poor_parts_are_told_when_nothing_is_asked_again) {
  groups_init(&w);
  w.options.json = 1;
  w.options.json_retries = 0;
  groups_open(&w);
  groups_submit(&w, "Ek:a", NULL);
  groups_submit(&w, "Ek:b", NULL);
  groups_step(&w, 0);
  groups_good(&w, 0);
  CHECK(groups_finish(&w));
  CHECK_EQ(w.start_count, 1);
  CHECK_EQ(w.result_count, 2);
  for (uint32_t i = 0; i < 2; i++) CHECK(groups_of(&w, i) != NULL && groups_of(&w, i)->ok);
  groups_close(&w);
}

int main(void) {
  RUN(poor_parts_of_a_shared_call_are_asked_for_again_and_end_well);
  RUN(poor_parts_are_told_when_nothing_is_asked_again);
  return check_report();
}
