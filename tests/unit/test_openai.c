/* test_openai.c: requests as the bytes that leave for OpenAI and compatible servers, short forms
 * and bodies of the user's own; and the table of providers. Shapes: the API's reference, as of
 * 2026-11. */
#include "provider_test.h"

enum { CHAT = 0, RESPONSES = 1, EMBEDDINGS = 2, COMPLETIONS = 3 };

/* ---- Requests ---- */

static const wire_build_case builds[] = {
    /* short forms of chat */
    {.prompt = "Hi \"you\"\n",
     .model = "m",
     .path = "/chat/completions",
     .output_max = NONE,
     .bytes =
         "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"Hi \\\"you\\\"\\n\"}]}"},
    {.prompt = "",
     .model = "m",
     .path = "/chat/completions",
     .output_max = NONE,
     .bytes = "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"\"}]}"},
    {.prompt = "a",
     .model = "m",
     .system = "be\tbrief",
     .max_tokens = 9,
     .params = "\"temperature\":0.10,\"x\":[1, 2]",
     .path = "/chat/completions",
     .output_max = 9,
     .bytes = "{\"model\":\"m\",\"messages\":[{\"role\":\"system\",\"content\":\"be\\tbrief\"},{"
              "\"role\":\"user\","
              "\"content\":\"a\"}],\"max_tokens\":9,\"temperature\":0.10,\"x\":[1, 2]}"},
    {.prompt = "a",
     .model = "m",
     .max_tokens = 9,
     .params = "\"max_completion_tokens\":5",
     .path = "/chat/completions",
     .output_max = 5,
     .bytes = "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"a\"}],\"max_"
              "completion_tokens\":5}"},
    {.prompt = "a",
     .model = "m",
     .params = " \"model\" : \"p\" ",
     .path = "/chat/completions",
     .output_max = NONE,
     .bytes = "{\"messages\":[{\"role\":\"user\",\"content\":\"a\"}],\"model\" : \"p\"}"},
    {.prompt = "a",
     .model = "m",
     .stream = true,
     .path = "/chat/completions",
     .output_max = NONE,
     .bytes =
         "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"a\"}],\"stream\":true,"
         "\"stream_options\":{\"include_usage\":true}}"},
    {.prompt = "a",
     .model = "m",
     .stream = true,
     .params = "\"stream\":true,\"stream_options\":{}",
     .path = "/chat/completions",
     .output_max = NONE,
     .bytes = "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"a\"}],\"stream\":"
              "true,\"stream_options\":{}}"},
    {.messages = "[ {\"role\":\"user\",\"content\":[{\"type\":\"image_url\"}]} ]",
     .model = "m",
     .path = "/chat/completions",
     .output_max = NONE,
     .bytes = "{\"model\":\"m\",\"messages\":[ "
              "{\"role\":\"user\",\"content\":[{\"type\":\"image_url\"}]} ]}"},
    {.messages = "[ {\"role\":\"user\",\"content\":\"a\"}]",
     .model = "m",
     .system = "s",
     .path = "/chat/completions",
     .output_max = NONE,
     .bytes = "{\"model\":\"m\",\"messages\":[{\"role\":\"system\",\"content\":\"s\"}, "
              "{\"role\":\"user\",\"content\":\"a\"}]}"},
    {.messages = "[ ]",
     .model = "m",
     .system = "s",
     .path = "/chat/completions",
     .output_max = NONE,
     .bytes = "{\"model\":\"m\",\"messages\":[{\"role\":\"system\",\"content\":\"s\"} ]}"},
    {.messages = "[{\"role\":\"developer\",\"content\":\"own\"}]",
     .model = "m",
     .system = "s",
     .path = "/chat/completions",
     .output_max = NONE,
     .bytes = "{\"model\":\"m\",\"messages\":[{\"role\":\"developer\",\"content\":\"own\"}]}"},
    {.url = "/v1/chat/completions",
     .params = "\"messages\":[]",
     .model = "m",
     .path = "/chat/completions",
     .output_max = NONE,
     .bytes = "{\"model\":\"m\",\"messages\":[]}"},

    /* bodies go out as the bytes they are */
    {.body = " {\"model\":\"b\", \"seed\":1e0}\n",
     .model = "m",
     .path = "/chat/completions",
     .output_max = NONE,
     .bytes = " {\"model\":\"b\", \"seed\":1e0}\n"},
    {.body = "{ \"messages\": [] }",
     .model = "m",
     .path = "/chat/completions",
     .output_max = NONE,
     .bytes = "{\"model\":\"m\", \"messages\": [] }"},
    {.body = "{ }",
     .model = "m",
     .path = "/chat/completions",
     .output_max = NONE,
     .bytes = "{\"model\":\"m\" }"},
    {.body = "{\"model\":\"b\",\"max_tokens\":7}",
     .max_tokens = 9,
     .path = "/chat/completions",
     .output_max = 7,
     .bytes = "{\"model\":\"b\",\"max_tokens\":7}"},
    {.body = "{\"model\":\"b\"}",
     .max_tokens = 9,
     .path = "/chat/completions",
     .output_max = 9,
     .bytes = "{\"max_tokens\":9,\"model\":\"b\"}"},
    {.body = "{\"model\":\"b\"}",
     .stream = true,
     .path = "/chat/completions",
     .output_max = NONE,
     .bytes = "{\"stream\":true,\"stream_options\":{\"include_usage\":true},\"model\":\"b\"}"},
    {.body = "{\"model\":\"b\",\"stream\":true,\"stream_options\":{\"x\":1}}",
     .stream = true,
     .path = "/chat/completions",
     .output_max = NONE,
     .bytes = "{\"model\":\"b\",\"stream\":true,\"stream_options\":{\"x\":1}}"},
    {.body = "{\"model\":\"b\",\"temperature\":1}",
     .params = "\"temperature\":0,\"top_p\":1",
     .path = "/chat/completions",
     .output_max = NONE,
     .bytes = "{\"top_p\":1,\"model\":\"b\",\"temperature\":1}"},
    {.body = "{\"model\":\"b\",\"stream\":false}",
     .path = "/chat/completions",
     .output_max = NONE,
     .bytes = "{\"model\":\"b\",\"stream\":false}"},

    /* the other operations */
    {.url = "/v1/responses",
     .prompt = "a",
     .model = "m",
     .system = "s",
     .max_tokens = 9,
     .stream = true,
     .path = "/responses",
     .output_max = 9,
     .bytes = "{\"model\":\"m\",\"input\":\"a\",\"instructions\":\"s\",\"max_output_tokens\":9,"
              "\"stream\":true}"},
    {.url = "/responses",
     .model = "m",
     .system = "s",
     .messages = "[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"a\"},{\"type\":"
                 "\"text\",\"text\":\"b\"}]},"
                 "{\"content\":\"c\",\"role\":\"assistant\",\"refusal\":null}]",
     .path = "/responses",
     .output_max = NONE,
     .bytes = "{\"model\":\"m\",\"input\":[{\"role\":\"user\",\"content\":\"a\\nb\"},{\"role\":"
              "\"assistant\",\"content\":"
              "\"c\"}],\"instructions\":\"s\"}"},
    {.url = "/v1/embeddings",
     .prompt = "a",
     .model = "m",
     .max_tokens = 9,
     .system = "s",
     .path = "/embeddings",
     .output_max = NONE,
     .bytes = "{\"model\":\"m\",\"input\":\"a\"}"},
    {.url = "/embeddings/",
     .params = "\"input\":[\"a\",\"b\"]",
     .model = "m",
     .path = "/embeddings",
     .output_max = NONE,
     .bytes = "{\"model\":\"m\",\"input\":[\"a\",\"b\"]}"},
    {.url = "/v1/completions",
     .prompt = "a",
     .model = "m",
     .max_tokens = 3,
     .path = "/completions",
     .output_max = 3,
     .bytes = "{\"model\":\"m\",\"prompt\":\"a\",\"max_tokens\":3}"},
    {.url = "/v1/completions?x=1",
     .params = "\"prompt\":[1,2]",
     .model = "m",
     .path = "/completions",
     .output_max = NONE,
     .bytes = "{\"model\":\"m\",\"prompt\":[1,2]}"},

    /* what cannot be sent, and why */
    {.url = "/v1/audio/speech",
     .prompt = "a",
     .model = "m",
     .output_max = SHEAF_E_UNSUPPORTED,
     .bytes =
         "openai offers /v1/chat/completions, /v1/responses, /v1/embeddings and /v1/completions"},
    {.prompt = "a",
     .output_max = SHEAF_E_FIELD,
     .bytes = "no model is named; pass --model or give one with the request"},
    {.body = "{\"model\":\"b\",\"stream\":true}",
     .output_max = SHEAF_E_FIELD,
     .bytes = "remove stream from the body or pass --stream"},
    {.body = "{\"model\":\"b\",\"stream\":false}",
     .stream = true,
     .output_max = SHEAF_E_FIELD,
     .bytes = "a stream was asked for but the body turns it off; remove stream from it"},
    {.prompt = "a",
     .params = "\"stream\":true",
     .model = "m",
     .output_max = SHEAF_E_FIELD,
     .bytes = "remove stream from the body or pass --stream"},
    {.model = "m",
     .params = "\"input\":\"x\"",
     .output_max = SHEAF_E_FIELD,
     .bytes = "nothing to send; give a prompt, messages or a body, and a url for embeddings and "
              "other operations"},
    {.prompt = "a",
     .body = "{}",
     .model = "m",
     .output_max = SHEAF_E_FIELD,
     .bytes = "give only one of prompt, messages and body"},
    {.prompt = "a",
     .params = "\"messages\":[]",
     .model = "m",
     .output_max = SHEAF_E_FIELD,
     .bytes = "give only one of prompt, messages and body"},
    {.body = "[1]",
     .model = "m",
     .output_max = SHEAF_E_TYPE,
     .bytes = "the body must be a JSON object"},
    {.body = "{\"a\":}",
     .model = "m",
     .output_max = SHEAF_E_SYNTAX,
     .bytes = "the body is not valid JSON"},
    {.messages = "{}",
     .model = "m",
     .output_max = SHEAF_E_TYPE,
     .bytes = "messages must be a JSON array"},
    {.messages = "[1",
     .system = "s",
     .model = "m",
     .output_max = SHEAF_E_PARTIAL,
     .bytes = "messages are not valid JSON"},
    {.url = "/v1/responses",
     .messages = "[{\"role\":\"tool\",\"content\":\"x\"}]",
     .model = "m",
     .output_max = SHEAF_E_FIELD,
     .bytes = "messages hold more than plain text (images, tools, names); give a body in the "
              "provider's own shape"},
    {.url = "/v1/embeddings",
     .messages = "[]",
     .model = "m",
     .output_max = SHEAF_E_FIELD,
     .bytes = "this operation takes no messages; give a prompt or a body"},
    {.url = "/v1/completions",
     .prompt = "a",
     .system = "s",
     .model = "m",
     .output_max = SHEAF_E_FIELD,
     .bytes = "completions take no system text; make it part of the prompt"},
    {.url = "/v1/embeddings",
     .prompt = "a",
     .model = "m",
     .stream = true,
     .output_max = SHEAF_E_FIELD,
     .bytes = "embeddings cannot be streamed"},
};

TEST(requests_leave_as_these_bytes) {
  wire_check_builds("openai", builds, sizeof builds / sizeof builds[0]);
}

TEST(an_escaped_prompt_is_spliced_as_it_is) {
  wire_test test;
  wire_init(&test, "openai");
  sheaf_request request = SHEAF_REQUEST_INIT;
  request.flags = SHEAF_REQUEST_PROMPT_ESCAPED;
  request.prompt = TEXT("a\\n\\u00e9");
  request.model = TEXT("m");
  CHECK_OK(wire_build(&test, &request));
  CHECK_TEXT(sheaf_buf_slice(&test.body),
             "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"a\\n\\u00e9\"}]}");
  wire_deinit(&test);
}

TEST(the_endpoints_default_operation_counts_where_the_request_names_none) {
  wire_test test;
  wire_init(&test, "openai");
  test.default_url = TEXT("/v1/embeddings");
  sheaf_request request = SHEAF_REQUEST_INIT;
  request.prompt = TEXT("a");
  request.model = TEXT("m");
  CHECK_OK(wire_build(&test, &request));
  CHECK_TEXT(sheaf_buf_slice(&test.path), "/embeddings");
  CHECK_EQ(test.call.operation, EMBEDDINGS);
  request.url = TEXT("/v1/chat/completions");
  CHECK_OK(wire_build(&test, &request));
  CHECK_EQ(test.call.operation, CHAT);
  wire_deinit(&test);
}

TEST(params_that_are_not_members_are_refused) {
  static const char *const wrong[] = {
      "{\"a\":1}",       "\"a\"",    "\"a\":",     "\"a\":1,", ",\"a\":1",
      "\"a\":1 \"b\":2", "a:1",      "\"a\":tru",  "\"a\":[1", "\"a\":{\"b\":1",
      "\"a\":\"x",       "\"a\":1}", "\"a\\x\":1", "\"",       "\"a\":\"\\"};
  for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
    wire_test test;
    wire_init(&test, "openai");
    sheaf_request request = SHEAF_REQUEST_INIT;
    request.prompt = TEXT("a");
    request.model = TEXT("m");
    request.params = wire_copy(&test, wrong[i], strlen(wrong[i]));
    CHECK(wire_build(&test, &request) != SHEAF_OK);
    if (wire_build(&test, &request) == SHEAF_OK) printf("  accepted: %s\n", wrong[i]);
    CHECK_TEXT(sheaf_slice_of(test.call.error_field), "params");
    wire_deinit(&test);
  }
}

/* ---- The table ---- */

TEST(the_table_lists_seven_providers_and_no_more) {
  static const char *const names[] = {"openai", "anthropic", "gemini", "ollama",
                                      "azure",  "groq",      "mistral"};
  for (uint32_t i = 0; i < 7; i++) {
    const sheaf_provider *p = sheaf_provider_at(i);
    CHECK_TEXT(sheaf_slice_of(p->name), names[i]);
    CHECK(sheaf_provider_find(sheaf_slice_of(names[i])) == p);
    CHECK(p->build && p->decode && p->classify && p->event);
    CHECK_EQ(p->struct_bytes, sizeof(sheaf_provider));
    uint32_t slots = 0;
    for (uint32_t j = 0; j < p->header_count; j++) slots += p->headers[j].credential_id == 1;
    CHECK_EQ(slots, 1);
  }
  CHECK(sheaf_provider_at(7) == NULL);
  CHECK(sheaf_provider_find(TEXT("")) == NULL);
  CHECK(sheaf_provider_find(TEXT("openai2")) == NULL);
}

/* protocols 1.8 and 6: where they live, and which header the key stands in. */
TEST(servers_of_the_same_language_have_their_own_address_and_key) {
  static const struct {
    const char *name, *base_url, *variables, *header, *prefix;
  } cases[] = {
      {"azure", "", "AZURE_OPENAI_API_KEY", "api-key", ""},
      {"groq", "https://api.groq.com/openai/v1", "GROQ_API_KEY", "Authorization", "Bearer "},
      {"mistral", "https://api.mistral.ai/v1", "MISTRAL_API_KEY", "Authorization", "Bearer "},
  };
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    const sheaf_provider *p = sheaf_provider_find(sheaf_slice_of(cases[i].name));
    CHECK_TEXT(sheaf_slice_of(p->base_url), cases[i].base_url);
    CHECK_TEXT(sheaf_slice_of(p->key_variables), cases[i].variables);
    CHECK_TEXT(p->headers[0].name, cases[i].header);
    CHECK_TEXT(p->headers[0].value, cases[i].prefix);
    CHECK_EQ(p->headers[0].credential_id, 1);
    CHECK_TEXT(p->headers[1].name, "Content-Type");
    CHECK_TEXT(p->headers[1].value, "application/json");
    CHECK(p->build == sheaf_provider_find(TEXT("openai"))->build);
  }
}

int main(void) {
  RUN(requests_leave_as_these_bytes);
  RUN(an_escaped_prompt_is_spliced_as_it_is);
  RUN(the_endpoints_default_operation_counts_where_the_request_names_none);
  RUN(params_that_are_not_members_are_refused);
  RUN(the_table_lists_seven_providers_and_no_more);
  RUN(servers_of_the_same_language_have_their_own_address_and_key);
  return check_report();
}
