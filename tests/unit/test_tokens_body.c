/* test_tokens_body.c: the input tokens of request bodies.
 *
 * The vocabulary is the 256 bytes and nothing else, so that text has as many tokens as bytes and every expectation is
 * arithmetic: 3 tokens a message, its role, its content, 1 and the name where it has one, and 3 for the reply
 * (OpenAI's cookbook; gpt-tokenizer 4.0). */
#include "check.h"
#include "tokens_test.h"

static sheaf_vocab *vocab;
static sheaf_tokenizer *tokenizer;

typedef struct counted {
  int32_t status;
  size_t count;
  bool is_estimate;
} counted;

static counted count(const char *body) {
  counted it = {.count = 77777};
  sheaf_buf scratch;
  sheaf_buf_init(&scratch, &small_heap, 1 << 20);
  it.status = sheaf_tokens_count_body(tokenizer, sheaf_slice_of(body), &scratch, &it.count,
                                      &it.is_estimate);
  sheaf_buf_deinit(&scratch);
  return it;
}

static void expect(const char *body, size_t tokens, bool is_estimate) {
  counted it = count(body);
  if (it.status != SHEAF_OK || it.count != tokens || it.is_estimate != is_estimate)
    printf("%s\n", body);
  CHECK_OK(it.status);
  CHECK_EQ(it.count, tokens);
  CHECK_EQ(it.is_estimate, is_estimate);
}

TEST(a_chat_message_is_its_text_its_role_and_three_and_the_reply_three) {
  expect("{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"hello\"}]}",
         3 + 4 + 5 + 3, false);
}

TEST(each_message_counts_and_the_reply_once) {
  expect(
      "{\"messages\":[{\"role\":\"system\",\"content\":\"ab\"},{\"role\":\"user\",\"content\":"
      "\"c\"}]}",
      (3 + 6 + 2) + (3 + 4 + 1) + 3, false);
}

TEST(a_name_counts_with_one_more) {
  expect("{\"messages\":[{\"role\":\"user\",\"name\":\"bob\",\"content\":\"c\"}]}",
         3 + 4 + 1 + (1 + 3) + 3, false);
}

TEST(escapes_count_as_what_they_stand_for) {
  /* A quote, a line break, U+00E9 (2 bytes) and U+1F600 (4 bytes). */
  expect("{\"messages\":[{\"role\":\"user\",\"content\":\"\\\"\\n\\u00e9\\ud83d\\ude00\"}]}",
         3 + 4 + 8 + 3, false);
}

TEST(text_parts_count_as_their_text) {
  expect(
      "{\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"ab\"},"
      "{\"type\":\"text\",\"text\":\"cde\"}]}]}",
      3 + 4 + 5 + 3, false);
}

TEST(settings_do_not_count) {
  expect(
      "{\"temperature\":0.5,\"stop\":[\"x\"],\"user\":\"somebody\",\"max_tokens\":100,"
      "\"response_format\":{\"type\":\"json_object\"},\"metadata\":{\"a\":\"b\"},"
      "\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}",
      3 + 4 + 2 + 3, false);
}

TEST(an_image_is_not_counted_and_said_to_be_an_estimate) {
  expect(
      "{\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"ab\"},"
      "{\"type\":\"image_url\",\"image_url\":{\"url\":\"data:image/png;base64,AAAA\"}}]}]}",
      3 + 4 + 2 + 3, true);
}

TEST(tools_count_their_text_and_nine_and_make_an_estimate) {
  /* type function function name f parameters type object: 4+8 + 8 + 4+1 + 10 + 4+6. */
  expect(
      "{\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}],"
      "\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\",\"parameters\":{\"type\":"
      "\"object\"}}}]}",
      (3 + 4 + 2 + 3) + 9 + 45, true);
}

TEST(a_schema_counts_its_text_and_makes_an_estimate) {
  /* type json_schema json_schema name s: 4+11 + 11 + 4+1. */
  expect(
      "{\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}],"
      "\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{\"name\":\"s\"}}}",
      (3 + 4 + 2 + 3) + 31, true);
  expect(
      "{\"model\":\"gpt-5\",\"input\":[{\"role\":\"user\",\"content\":\"hi\"}],"
      "\"text\":{\"format\":{\"type\":\"json_schema\",\"name\":\"s\"}}}",
      (3 + 4 + 2 + 3) + 4 + 11 + 4 + 1, true);
}

TEST(calls_of_tools_and_their_results_make_an_estimate) {
  CHECK(count("{\"messages\":[{\"role\":\"assistant\",\"content\":null,\"tool_calls\":[{\"id\":"
              "\"1\"}]}]}")
            .is_estimate);
  CHECK(
      count(
          "{\"model\":\"gpt-5\",\"input\":[{\"type\":\"function_call_output\",\"output\":\"x\"}]}")
          .is_estimate);
  CHECK(count("{\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"tool_result\","
              "\"content\":\"x\"}]}]}")
            .is_estimate);
}

TEST(the_results_of_tools_are_counted_as_text) {
  counted with = count(
      "{\"model\":\"gpt-5\",\"input\":[{\"type\":\"function_call_output\",\"output\":\"abcdef\"}]"
      "}");
  counted without = count(
      "{\"model\":\"gpt-5\",\"input\":[{\"type\":\"function_call_output\",\"output\":\"\"}]}");
  CHECK_EQ(with.count - without.count, 6);
}

TEST(what_is_embedded_is_text_alone) {
  expect("{\"model\":\"text-embedding-3-small\",\"input\":\"hello\"}", 5, false);
  expect("{\"model\":\"text-embedding-3-small\",\"input\":[\"hello\",\"ab\"]}", 7, false);
  expect("{\"model\":\"mine\",\"encoding_format\":\"base64\",\"input\":\"hello\"}", 5, false);
}

TEST(numbers_of_tokens_count_one_each) {
  expect("{\"model\":\"text-embedding-3-small\",\"input\":[1,2,3]}", 3, false);
  expect("{\"model\":\"text-embedding-3-small\",\"input\":[[1,2],[3]]}", 3, false);
  expect("{\"prompt\":[5,6]}", 2, false);
}

TEST(the_prompt_of_a_completion_is_text_alone) {
  expect("{\"prompt\":\"hello\"}", 5, false);
  expect("{\"prompt\":[\"hello\",\"x\"],\"suffix\":\"end\"}", 9, false);
}

TEST(the_input_of_a_response_is_a_users_message) {
  /* As text and as the same message in a list it is one request, where the role has one token. */
  expect("{\"model\":\"gpt-5\",\"input\":\"hello\"}", 3 + 1 + 5 + 3, false);
  expect("{\"model\":\"gpt-5\",\"input\":[{\"role\":\"user\",\"content\":\"hello\"}]}",
         3 + 4 + 5 + 3, false);
  expect(
      "{\"model\":\"gpt-5\",\"input\":[{\"role\":\"user\",\"content\":"
      "[{\"type\":\"input_text\",\"text\":\"hello\"}]}]}",
      3 + 4 + 5 + 3, false);
}

TEST(instructions_of_a_response_are_a_message) {
  expect("{\"model\":\"gpt-5\",\"instructions\":\"be kind\",\"input\":\"hello\"}",
         (3 + 1 + 7) + (3 + 1 + 5 + 3), false);
}

TEST(a_system_text_counts_in_every_shape) {
  expect("{\"system\":\"abc\",\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}",
         3 + (3 + 4 + 2 + 3), false);
  expect(
      "{\"system\":[{\"type\":\"text\",\"text\":\"abc\"}],\"messages\":[{\"role\":\"user\","
      "\"content\":\"hi\"}]}",
      3 + (3 + 4 + 2 + 3), false);
  expect(
      "{\"systemInstruction\":{\"parts\":[{\"text\":\"abc\"}]},"
      "\"contents\":[{\"role\":\"user\",\"parts\":[{\"text\":\"hi\"}]}]}",
      3 + (3 + 4 + 2 + 3), false);
}

TEST(geminis_turns_count_as_messages) {
  expect(
      "{\"contents\":[{\"role\":\"user\",\"parts\":[{\"text\":\"ab\"},{\"text\":\"c\"}]},"
      "{\"role\":\"model\",\"parts\":[{\"text\":\"d\"}]}]}",
      (3 + 4 + 3) + (3 + 5 + 1) + 3, false);
}

TEST(a_body_without_anything_to_count_has_nothing) {
  expect("{}", 0, false);
  expect("{\"model\":\"m\"}", 0, false);
}

TEST(values_of_the_wrong_kind_are_passed_over) {
  expect("{\"messages\":[5,null,\"x\"],\"system\":7,\"tools\":{}}", 3, false);
}

TEST(deep_nesting_ends_the_look_and_not_the_program) {
  char body[4096] = "{\"tools\":[";
  for (int i = 0; i < 50; i++) strncat(body, "[", sizeof body - strlen(body) - 1);
  for (int i = 0; i < 50; i++) strncat(body, "]", sizeof body - strlen(body) - 1);
  strncat(body, "]}", sizeof body - strlen(body) - 1);
  counted it = count(body);
  CHECK_OK(it.status);
  CHECK(it.is_estimate);
}

TEST(what_is_no_json_is_refused_and_changes_nothing) {
  counted it = count("{\"messages\":[");
  CHECK(it.status == SHEAF_E_SYNTAX || it.status == SHEAF_E_PARTIAL);
  CHECK_EQ(it.count, 77777);
}

TEST(null_arguments_are_a_misuse) {
  size_t n = 0;
  sheaf_buf scratch;
  sheaf_buf_init(&scratch, &small_heap, 1 << 10);
  CHECK_STATUS(sheaf_tokens_count_body(NULL, SHEAF_LITERAL("{}"), &scratch, &n, NULL),
               SHEAF_E_MISUSE);
  CHECK_STATUS(sheaf_tokens_count_body(tokenizer, SHEAF_LITERAL("{}"), NULL, &n, NULL),
               SHEAF_E_MISUSE);
  CHECK_STATUS(sheaf_tokens_count_body(tokenizer, SHEAF_LITERAL("{}"), &scratch, NULL, NULL),
               SHEAF_E_MISUSE);
  CHECK_OK(sheaf_tokens_count_body(tokenizer, SHEAF_LITERAL("{\"prompt\":\"abc\"}"), &scratch, &n,
                                   NULL));
  CHECK_EQ(n, 3);
  sheaf_buf_deinit(&scratch);
}

int main(void) {
  static small_vocab bytes_only;
  sheaf_buf file;
  small_train(&bytes_only, 0);
  sheaf_buf_init(&file, &small_heap, 1 << 20);
  CHECK_OK(small_build(&bytes_only, "none", &file));
  CHECK_OK(sheaf_vocab_open(file.data, file.bytes, &small_heap, &vocab));
  CHECK_OK(sheaf_tokenizer_new(vocab, &small_heap, &tokenizer));
  sheaf_buf_deinit(&file);
  RUN(a_chat_message_is_its_text_its_role_and_three_and_the_reply_three);
  RUN(each_message_counts_and_the_reply_once);
  RUN(a_name_counts_with_one_more);
  RUN(escapes_count_as_what_they_stand_for);
  RUN(text_parts_count_as_their_text);
  RUN(settings_do_not_count);
  RUN(an_image_is_not_counted_and_said_to_be_an_estimate);
  RUN(tools_count_their_text_and_nine_and_make_an_estimate);
  RUN(a_schema_counts_its_text_and_makes_an_estimate);
  RUN(calls_of_tools_and_their_results_make_an_estimate);
  RUN(the_results_of_tools_are_counted_as_text);
  RUN(what_is_embedded_is_text_alone);
  RUN(numbers_of_tokens_count_one_each);
  RUN(the_prompt_of_a_completion_is_text_alone);
  RUN(the_input_of_a_response_is_a_users_message);
  RUN(instructions_of_a_response_are_a_message);
  RUN(a_system_text_counts_in_every_shape);
  RUN(geminis_turns_count_as_messages);
  RUN(a_body_without_anything_to_count_has_nothing);
  RUN(values_of_the_wrong_kind_are_passed_over);
  RUN(deep_nesting_ends_the_look_and_not_the_program);
  RUN(what_is_no_json_is_refused_and_changes_nothing);
  RUN(null_arguments_are_a_misuse);
  sheaf_tokenizer_free(tokenizer);
  sheaf_vocab_close(vocab);
  return check_report();
}
