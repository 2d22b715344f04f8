/* test_jobs_anthropic.c: Anthropic's Message Batches as a batch API of ours: rows that make one
 * body, calls behind base URLs with and without /v1, news, lists, results. Shapes: the provider's
 * reference and the types of its SDK, as of 2026-11 (protocols 2.4). */
#include "job_api_test.h"

#define BATCH "https://api.anthropic.com/v1/messages/batches/msgbatch_1"
#define CLAUDE "'model':'m','max_tokens':5,'messages':[{'role':'user','content':'Hi'}]"

static const sheaf_slice marker = {"sheaf-00112233445566778899aabbccddeeff", 38};

TEST(the_table_offers_messages_as_one_body_with_partial_results) {
  const sheaf_job_api *api = sheaf_job_api_of(sheaf_provider_find(TEXT("anthropic")));
  CHECK(api != NULL);
  CHECK_TEXT(sheaf_slice_of(api->name), "anthropic");
  CHECK_EQ(api->traits.requests_max, 100000);
  CHECK_EQ(api->traits.id_bytes_max, 64);
  CHECK_EQ(api->traits.flags, SHEAF_JOBS_INLINE | SHEAF_JOBS_PARTIAL);
  CHECK_EQ(api->traits.discount_pct, 50);
  CHECK_EQ(api->traits.retention_hours, 696); /* 29 days */
}

TEST(messages_are_offered_and_counts_of_tokens_are_not) {
  static const struct {
    const char *url;
    bool offered;
  } cases[] = {{"/v1/messages", true}, {"/v1/messages/count_tokens", false}};
  for (size_t i = 0; i < COUNT_OF(cases); i++) {
    wire_test test;
    wire_init(&test, "anthropic");
    const sheaf_job_api *api = sheaf_job_api_of(test.provider);
    sheaf_request request = SHEAF_REQUEST_INIT;
    request.url = sheaf_slice_of(cases[i].url);
    request.prompt = TEXT("Hi");
    request.model = TEXT("m");
    CHECK_OK(wire_build(&test, &request));
    CHECK_EQ(api->offers(api, test.call.operation, sheaf_buf_slice(&test.path)), cases[i].offered);
    wire_deinit(&test);
  }
}

/* ---- Rows ---- */

TEST(rows_carry_the_body_as_it_is_and_give_it_back) {
  job_test t;
  job_init(&t, "anthropic");
  t.id = TEXT("r0-a");
  job_check_row(&t, "{" CLAUDE "}", "{'custom_id':'r0-a','params':{" CLAUDE "}},", "{" CLAUDE "}");
  job_check_row(&t, "{'x':1.50e3,'y':'\\u00e9',\n 'stream':false}",
                "{'custom_id':'r0-a','params':{'x':1.50e3,'y':'\\u00e9',  'stream':false}},",
                "{'x':1.50e3,'y':'\\u00e9',  'stream':false}");
  job_deinit(&t);
}

TEST(rows_that_ask_for_a_stream_cannot_travel) {
  job_test t;
  job_init(&t, "anthropic");
  t.id = TEXT("r0-a");
  job_check_no_row(&t, "{" CLAUDE ",'stream':true}");
  job_check_no_row(&t, "['no object']");
  job_check_no_row(&t, "{'model':");
  job_deinit(&t);
}

TEST(a_row_without_its_body_gives_none_back) {
  static const char *const rows[] = {"", ",", "{", "{}", "{'custom_id':'a'},", "{'params':"};
  job_test t;
  sheaf_slice body;
  job_init(&t, "anthropic");
  for (size_t i = 0; i < COUNT_OF(rows); i++)
    CHECK_STATUS(t.api->row_body(t.api, job_text(&t, rows[i]), &body), SHEAF_E_SYNTAX);
  job_deinit(&t);
}

TEST(head_rows_and_tail_are_one_document) {
  static const char *const paths[] = {"requests[0].custom_id", "requests[1].params.max_tokens",
                                      "requests[2]"};
  sheaf_slice values[3] = {{NULL, 0}};
  job_test t;
  job_init(&t, "anthropic");
  t.step = SHEAF_JOB_CREATE;
  CHECK_OK(job_call(&t));
  t.body = job_text(&t, "{" CLAUDE "}");
  t.id = TEXT("r0-a");
  CHECK_OK(job_row(&t));
  t.id = TEXT("r1-b");
  CHECK_OK(job_row(&t));
  t.row.bytes--; /* the last comma is dropped by who sends */
  sheaf_buf_append_slice(&t.head, sheaf_buf_slice(&t.row));
  sheaf_buf_append_slice(&t.head, sheaf_buf_slice(&t.tail));
  CHECK_OK(sheaf_json_pick(sheaf_buf_slice(&t.head), paths, 3, values, NULL, NULL));
  CHECK_TEXT(values[0], "\"r0-a\"");
  CHECK_TEXT(values[1], "5");
  CHECK_EQ(values[2].bytes, 0);
  job_deinit(&t);
}

/* ---- Calls ---- */

TEST(calls_stand_behind_base_urls_with_and_without_the_version) {
  static const job_call_case cases[] = {
      {.step = SHEAF_JOB_CREATE,
       .method = "POST",
       .url = "/v1/messages/batches",
       .head = "{'requests':[",
       .tail = "]}",
       .has_rows = true},
      {.step = SHEAF_JOB_CREATE,
       .base_url = "https://gateway.example/a/v1/",
       .method = "POST",
       .url = "/messages/batches",
       .head = "{'requests':[",
       .tail = "]}",
       .has_rows = true},
      {.step = SHEAF_JOB_POLL,
       .job = "msgbatch_1",
       .method = "GET",
       .url = "/v1/messages/batches/msgbatch_1"},
      {.step = SHEAF_JOB_POLL,
       .base_url = "http://h/v1",
       .job = "../a?b",
       .method = "GET",
       .url = "/messages/batches/..%2Fa%3Fb"},
      {.step = SHEAF_JOB_LIST, .method = "GET", .url = "/v1/messages/batches?limit=100"},
      {.step = SHEAF_JOB_LIST,
       .page = "msgbatch_1&x",
       .method = "GET",
       .url = "/v1/messages/batches?limit=100&after_id=msgbatch_1%26x"},
      {.step = SHEAF_JOB_CANCEL,
       .job = "msgbatch_1",
       .method = "POST",
       .url = "/v1/messages/batches/msgbatch_1/cancel"},
  };
  job_check_calls("anthropic", marker, 1000, cases, COUNT_OF(cases));
}

TEST(results_are_fetched_where_the_key_may_go) {
  static const job_call_case cases[] = {
      {.step = SHEAF_JOB_OUTPUT,
       .job = "msgbatch_1",
       .output = BATCH "/results",
       .method = "GET",
       .url = BATCH "/results",
       .is_streamed = true},
      {.step = SHEAF_JOB_OUTPUT,
       .job = "msgbatch_1",
       .method = "GET",
       .url = "/v1/messages/batches/msgbatch_1/results",
       .is_streamed = true},
      {.step = SHEAF_JOB_OUTPUT, /* a gateway that passes the provider's address on */
       .base_url = "https://gateway.example/v1",
       .job = "msgbatch_1",
       .output = BATCH "/results",
       .method = "GET",
       .url = "/messages/batches/msgbatch_1/results",
       .is_streamed = true},
      {.step = SHEAF_JOB_OUTPUT, /* an origin that only begins like ours */
       .job = "msgbatch_1",
       .output = "https://api.anthropic.com.example/results",
       .method = "GET",
       .url = "/v1/messages/batches/msgbatch_1/results",
       .is_streamed = true},
      {.step = SHEAF_JOB_OUTPUT, /* no address at all */
       .job = "msgbatch_1",
       .output = BATCH "/results\r\nx: y",
       .method = "GET",
       .url = "/v1/messages/batches/msgbatch_1/results",
       .is_streamed = true},
  };
  job_check_calls("anthropic", marker, 1000, cases, COUNT_OF(cases));
}

TEST(there_are_no_files_to_upload_to_read_errors_from_or_to_delete) {
  static const job_call_case cases[] = {
      {.step = SHEAF_JOB_BEGIN, .status = SHEAF_E_UNSUPPORTED},
      {.step = SHEAF_JOB_UPLOAD, .upload = "http://h/", .status = SHEAF_E_UNSUPPORTED},
      {.step = SHEAF_JOB_ERRORS, .job = "msgbatch_1", .status = SHEAF_E_UNSUPPORTED},
      {.step = SHEAF_JOB_DISCARD,
       .job = "msgbatch_1",
       .file = "files/a",
       .status = SHEAF_E_UNSUPPORTED},
      {.step = 0, .status = SHEAF_E_UNSUPPORTED},
      {.step = 10, .status = SHEAF_E_UNSUPPORTED},
      {.step = SHEAF_JOB_POLL, .status = SHEAF_E_MISUSE}, /* of no job */
      {.step = SHEAF_JOB_CANCEL, .status = SHEAF_E_MISUSE},
      {.step = SHEAF_JOB_OUTPUT, .status = SHEAF_E_MISUSE},
  };
  job_check_calls("anthropic", marker, 1000, cases, COUNT_OF(cases));
}

/* ---- News ---- */

#define TOLD(status, processing, succeeded, errored, canceled, expired, archived, url)       \
  "{'id':'msgbatch_1','type':'message_batch','processing_status':'" status                   \
  "','request_counts':{'processing':" #processing ",'succeeded':" #succeeded                 \
  ",'errored':" #errored ",'canceled':" #canceled ",'expired':" #expired                     \
  "},'created_at':'2026-11-18T11:06:40.5+00:00','expires_at':'2026-11-19T11:06:40.5+00:00'," \
  "'ended_at':null,'cancel_initiated_at':null,'archived_at':" archived ",'results_url':" url "}"
#define URL "'" BATCH "/results'"

enum { CREATE = SHEAF_JOB_CREATE, POLL = SHEAF_JOB_POLL, CANCEL = SHEAF_JOB_CANCEL };

TEST(batches_are_running_ending_or_over_and_count_at_their_end) {
  static const job_news_case cases[] = {
      {CREATE, TOLD("in_progress", 3, 0, 0, 0, 0, "null", "null"), SHEAF_JOB_RUNNING_STATE, 3, 0, 0,
       NULL, NULL, NULL, NULL, false},
      {CANCEL, TOLD("canceling", 3, 0, 0, 0, 0, "null", "null"), SHEAF_JOB_ENDING_STATE, 3, 0, 0,
       NULL, NULL, NULL, NULL, false},
      {POLL, TOLD("ended", 0, 90, 4, 3, 2, "null", URL), SHEAF_JOB_COMPLETED_STATE, 99, 90, 9,
       BATCH "/results", NULL, NULL, NULL, false},
      {POLL, TOLD("ended", 0, 0, 0, 0, 7, "null", URL), SHEAF_JOB_COMPLETED_STATE, 7, 0, 7,
       BATCH "/results", NULL, NULL, NULL, false},
      {POLL, TOLD("ended", 0, 2, 0, 0, 0, "'2026-12-17T11:06:40Z'", "null"),
       SHEAF_JOB_COMPLETED_STATE, 2, 2, 0, NULL, NULL, "archived",
       "the provider keeps the results no longer", false},
      {POLL, TOLD("napping", 1, 0, 0, 0, 0, "null", "null"), SHEAF_JOB_UNKNOWN_STATE, 1, 0, 0, NULL,
       NULL, NULL, NULL, false},
      {POLL, "\r\n{'id':'msgbatch_1'}", SHEAF_JOB_UNKNOWN_STATE, NONE, NONE, NONE, NULL, NULL, NULL,
       NULL, false},
      {POLL, "{'id':'msgbatch_1','results_url':'https:\\/\\/h\\/r'}", SHEAF_JOB_UNKNOWN_STATE, NONE,
       NONE, NONE, "https://h/r", NULL, NULL, NULL, false},
  };
  job_check_news("anthropic", cases, COUNT_OF(cases));
}

TEST(a_batch_says_its_id_and_when_it_was_made) {
  job_test t;
  job_init(&t, "anthropic");
  t.step = CREATE;
  t.body = job_text(&t, TOLD("in_progress", 3, 0, 0, 0, 0, "null", "null"));
  CHECK_OK(job_read(&t));
  CHECK_TEXT(t.news.job, "msgbatch_1");
  CHECK_EQ(t.news.created_unix_ms, UNIX_MS + 500);
  CHECK_EQ(t.news.marker.bytes, 0);
  job_deinit(&t);
}

TEST(replies_that_are_no_batch_are_not_understood) {
  static const char *const bodies[] = {
      "",   "null",        "[]",     "'ok'",
      "{}", "{'id':null}", "<html>", "{'type':'error','error':{'type':'api_error','message':'m'}}",
  };
  job_test t;
  job_init(&t, "anthropic");
  for (uint32_t step = CREATE; step <= CANCEL; step++) {
    t.step = step;
    for (size_t i = 0; i < COUNT_OF(bodies); i++) {
      if (step == SHEAF_JOB_LIST) continue;
      t.body = job_text(&t, bodies[i]);
      CHECK_STATUS(job_read(&t), SHEAF_E_SYNTAX);
    }
  }
  t.step = SHEAF_JOB_OUTPUT;
  CHECK_STATUS(job_read(&t), SHEAF_E_UNSUPPORTED);
  job_deinit(&t);
  job_check_cut("anthropic", POLL, job_read, TOLD("ended", 0, 1, 0, 0, 0, "null", URL));
}

/* ---- Lists ---- */

#define LISTED "{'id':'msgbatch_\\u0032','processing_status':'in_progress'}"

TEST(lists_are_walked_and_lead_to_the_next_page) {
  job_test t;
  job_init(&t, "anthropic");
  t.body = job_text(
      &t, "{'data':[" TOLD(
              "ended", 0, 2, 0, 0, 0, "null",
              URL) ", " LISTED
                   "],'has_more':true,'first_id':'msgbatch_1','last_id':'msgbatch\\u005f2'}");
  CHECK_OK(job_listed(&t));
  CHECK_TEXT(t.news.job, "msgbatch_1");
  CHECK_EQ(t.news.state, SHEAF_JOB_COMPLETED_STATE);
  CHECK_OK(job_listed(&t));
  CHECK_TEXT(t.news.job, "msgbatch_2");
  CHECK_EQ(t.news.state, SHEAF_JOB_RUNNING_STATE);
  CHECK_EQ(t.news.total, NONE);
  CHECK_STATUS(job_listed(&t), SHEAF_E_END);
  CHECK_TEXT(t.page, "msgbatch_2");
  job_do(&t, job_list_all);
  job_deinit(&t);
}

TEST(the_last_page_leads_nowhere) {
  static const char *const bodies[] = {
      "{'data':[],'has_more':false,'first_id':null,'last_id':null}",
      "{'data':[" LISTED "],'has_more':false,'first_id':'msgbatch_2','last_id':'msgbatch_2'}",
      "{'data':[" LISTED "]}",
      "{'data':[" LISTED "],'has_more':true,'last_id':null}",
  };
  for (size_t i = 0; i < COUNT_OF(bodies); i++) {
    job_test t;
    job_init(&t, "anthropic");
    t.body = job_text(&t, bodies[i]);
    t.page = TEXT("before");
    CHECK_OK(job_list_all(&t));
    CHECK_EQ(t.page.bytes, 0);
    job_deinit(&t);
  }
}

TEST(lists_that_are_none_are_not_understood) {
  static const char *const bodies[] = {"", "<html>", "{'data':[", "{'data':[1]}", "{'data':[{}]}"};
  for (size_t i = 0; i < COUNT_OF(bodies); i++) {
    job_test t;
    job_init(&t, "anthropic");
    t.body = job_text(&t, bodies[i]);
    CHECK_STATUS(job_list_all(&t), SHEAF_E_SYNTAX);
    job_deinit(&t);
  }
}

/* ---- Results ---- */

#define MESSAGE                                                                                \
  "{'id':'msg_1','type':'message','role':'assistant','content':[{'type':'text','text':'Hi'}]," \
  "'stop_reason':'end_turn','usage':{'input_tokens':9,'output_tokens':3}}"
#define ERROR_OF(type) \
  "{'type':'error','error':{'type':'" type "','message':'m'},'request_id':null}"
#define ERRORED(type, status, klass)                                                             \
  {                                                                                              \
    "{'custom_id':'b','result':{'type':'errored','error':" ERROR_OF(type) "}}", SHEAF_OK, REPLY, \
        status, "b", ERROR_OF(type), NULL, CLASS(klass)                                          \
  }

enum {
  REPLY = SHEAF_JOB_ITEM_REPLY,
  GONE = SHEAF_JOB_ITEM_EXPIRED,
  STOPPED = SHEAF_JOB_ITEM_CANCELLED
};

TEST(results_are_replies_as_the_live_api_gives_them) {
  static const job_item_case cases[] = {
      {"{'custom_id':'a','result':{'type':'succeeded','message':" MESSAGE "}}\n", SHEAF_OK, REPLY,
       200, "a", MESSAGE, NULL, CLASS(NONE)},
      ERRORED("invalid_request_error", 400, INVALID_REQUEST),
      ERRORED("authentication_error", 401, AUTH),
      ERRORED("billing_error", 402, QUOTA),
      ERRORED("permission_error", 403, AUTH),
      ERRORED("not_found_error", 404, NOT_FOUND),
      ERRORED("rate_limit_error", 429, RATE_LIMIT),
      ERRORED("api_error", 500, SERVER),
      ERRORED("overloaded_error", 529, OVERLOADED),
      {"{'custom_id':'a\\u002d1','result':{'type':'errored','error':{'type':'error','error':{"
       "'type':'not_found_error','message':'model: x'},'request_id':'req_1'}}}",
       SHEAF_OK, REPLY, 404, "a-1",
       "{'type':'error','error':{'type':'not_found_error','message':'model: x'},"
       "'request_id':'req_1'}",
       "req_1", CLASS(NOT_FOUND)},
      /* In one coat only. */
      {"{'custom_id':'a\\u002d1','result':{'type':'errored','error':{'type':'overloaded_error',"
       "'message':'Overloaded'}}}",
       SHEAF_OK, REPLY, 529, "a-1",
       "{'type':'error','error':{'type':'overloaded_error','message':'Overloaded'}}", NULL,
       CLASS(OVERLOADED)},
      {"{'result':{'type':'expired'},'custom_id':'c'}", SHEAF_OK, GONE, 0, "c", NULL, NULL, 0},
      {"{'custom_id':'d','result':{'type':'canceled'}}", SHEAF_OK, STOPPED, 0, "d", NULL, NULL, 0},
      {"{'result':{'type':'expired'}}", SHEAF_OK, GONE, 0, NULL, NULL, NULL, 0},
  };
  job_check_items("anthropic", cases, COUNT_OF(cases));
}

TEST(errors_without_a_class_of_their_own_have_the_live_status) {
  static const struct {
    const char *line;
    uint32_t status;
  } cases[] = {
      {"{'custom_id':'b','result':{'type':'errored','error':" ERROR_OF("request_too_large") "}}",
       413},
      {"{'custom_id':'b','result':{'type':'errored','error':" ERROR_OF("timeout_error") "}}", 504},
      {"{'custom_id':'b','result':{'type':'errored','error':" ERROR_OF("new_error") "}}", 500},
  };
  for (size_t i = 0; i < COUNT_OF(cases); i++) {
    job_test t;
    job_init(&t, "anthropic");
    t.body = job_text(&t, cases[i].line);
    CHECK_OK(job_item(&t));
    CHECK_EQ(t.item.http_status, cases[i].status);
    job_deinit(&t);
  }
}

TEST(lines_that_are_no_results_are_told_from_such) {
  static const job_item_case cases[] = {
      {.line = "", .status = SHEAF_E_SYNTAX},
      {.line = "<html>", .status = SHEAF_E_SYNTAX},
      {.line = "{}", .status = SHEAF_E_FIELD},
      {.line = "{'custom_id':'a','result':null}", .status = SHEAF_E_FIELD},
      {.line = "{'custom_id':'a','result':{'type':'reborn'}}", .status = SHEAF_E_FIELD},
      {.line = "{'custom_id':'a','result':{'type':'succeeded'}}", .status = SHEAF_E_FIELD},
      {.line = "{'custom_id':'a','result':{'type':'errored','error':'m'}}",
       .status = SHEAF_E_FIELD},
  };
  job_check_items("anthropic", cases, COUNT_OF(cases));
  job_check_cut("anthropic", 0, job_item,
                "{'custom_id':'a','result':{'type':'succeeded','message':" MESSAGE "}}");
}

int main(void) {
  RUN(the_table_offers_messages_as_one_body_with_partial_results);
  RUN(messages_are_offered_and_counts_of_tokens_are_not);
  RUN(rows_carry_the_body_as_it_is_and_give_it_back);
  RUN(rows_that_ask_for_a_stream_cannot_travel);
  RUN(a_row_without_its_body_gives_none_back);
  RUN(head_rows_and_tail_are_one_document);
  RUN(calls_stand_behind_base_urls_with_and_without_the_version);
  RUN(results_are_fetched_where_the_key_may_go);
  RUN(there_are_no_files_to_upload_to_read_errors_from_or_to_delete);
  RUN(batches_are_running_ending_or_over_and_count_at_their_end);
  RUN(a_batch_says_its_id_and_when_it_was_made);
  RUN(replies_that_are_no_batch_are_not_understood);
  RUN(lists_are_walked_and_lead_to_the_next_page);
  RUN(the_last_page_leads_nowhere);
  RUN(lists_that_are_none_are_not_understood);
  RUN(results_are_replies_as_the_live_api_gives_them);
  RUN(errors_without_a_class_of_their_own_have_the_live_status);
  RUN(lines_that_are_no_results_are_told_from_such);
  return check_report();
}
