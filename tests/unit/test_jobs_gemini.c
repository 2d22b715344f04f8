/* test_jobs_gemini.c: Gemini's batch API as one of ours: rows in a file and in the call, the upload
 * in two calls, operations as news, lists, results as lines and as items. Shapes: the provider's
 * reference and what its SDK sends and reads, as of 2026-11 (protocols 3.3). */
#include "job_api_test.h"

#define MARKER "sheaf-00112233445566778899aabbccddeeff"
#define BODY "{'contents':[{'role':'user','parts':[{'text':'Hi'}]}]}"
#define PATH "/models/gemini-x:generateContent"
#define FILE_START                                                  \
  "X-Goog-Upload-Protocol: resumable|X-Goog-Upload-Command: start|" \
  "X-Goog-Upload-Header-Content-Length: 1234567890123|"             \
  "X-Goog-Upload-Header-Content-Type: application/jsonl|"

static const sheaf_slice marker = {MARKER, sizeof MARKER - 1};

TEST(the_table_offers_files_and_rows_in_the_call_with_a_marker) {
  const sheaf_job_api *api = sheaf_job_api_of(sheaf_provider_find(TEXT("gemini")));
  CHECK(api != NULL);
  CHECK_TEXT(sheaf_slice_of(api->name), "gemini");
  CHECK_EQ(api->traits.flags,
           SHEAF_JOBS_FILES | SHEAF_JOBS_INLINE | SHEAF_JOBS_MARKER | SHEAF_JOBS_ONE_MODEL);
  CHECK_EQ(api->traits.jobs_max, 100);
  CHECK_EQ(api->traits.bytes_max, 2000000000);
  CHECK_EQ(api->traits.inline_bytes_max, 20000000);
  CHECK_EQ(api->traits.discount_pct, 50);
}

TEST(only_whole_answers_are_offered) {
  static const struct {
    const char *url;
    bool stream, offered;
  } cases[] = {
      {NULL, false, true},
      {NULL, true, false}, /* a stream has a path of its own */
      {"/v1beta/models/m:countTokens", false, false},
  };
  for (size_t i = 0; i < COUNT_OF(cases); i++) {
    wire_test test;
    wire_init(&test, "gemini");
    const sheaf_job_api *api = sheaf_job_api_of(test.provider);
    sheaf_request request = SHEAF_REQUEST_INIT;
    request.url = sheaf_slice_of(cases[i].url);
    request.prompt = TEXT("Hi");
    request.model = TEXT("m");
    test.stream = cases[i].stream;
    CHECK_OK(wire_build(&test, &request));
    CHECK_EQ(api->offers(api, test.call.operation, sheaf_buf_slice(&test.path)), cases[i].offered);
    wire_deinit(&test);
  }
}

/* ---- Rows ---- */

TEST(rows_of_a_file_are_lines_and_give_their_body_back) {
  job_test t;
  job_init(&t, "gemini");
  t.id = TEXT("r0-a");
  job_check_row(&t, BODY, "{'key':'r0-a','request':" BODY "}\n", BODY);
  job_check_row(&t, "\n{'a':1.50e3,\r\n'b':'\\n'}\n",
                "{'key':'r0-a','request':{'a':1.50e3,  'b':'\\n'}}\n", "{'a':1.50e3,  'b':'\\n'}");
  job_deinit(&t);
}

TEST(rows_in_the_call_keep_their_key_as_metadata) {
  job_test t;
  job_init(&t, "gemini");
  t.facts.is_inline = true;
  t.id = TEXT("r0-a");
  job_check_row(&t, BODY, "{'request':" BODY ",'metadata':{'key':'r0-a'}},", BODY);
  job_deinit(&t);
}

TEST(rows_that_ask_for_a_stream_cannot_travel) {
  job_test t;
  job_init(&t, "gemini");
  for (int is_inline = 0; is_inline < 2; is_inline++) {
    t.facts.is_inline = is_inline != 0;
    job_check_no_row(&t, "{'contents':[],'stream':true}");
    job_check_no_row(&t, "[]");
    job_check_no_row(&t, "{'contents':");
  }
  job_deinit(&t);
}

TEST(a_row_without_its_body_gives_none_back) {
  static const char *const rows[] = {"", "\n", "{", "{}", "{'key':'a'}\n", "{'request':"};
  job_test t;
  sheaf_slice body;
  job_init(&t, "gemini");
  for (size_t i = 0; i < COUNT_OF(rows); i++)
    CHECK_STATUS(t.api->row_body(t.api, job_text(&t, rows[i]), &body), SHEAF_E_SYNTAX);
  job_deinit(&t);
}

TEST(head_rows_and_tail_are_one_document) {
  static const char *const paths[] = {
      "batch.displayName", "batch.inputConfig.requests.requests[0].metadata.key",
      "batch.inputConfig.requests.requests[1].request.contents",
      "batch.inputConfig.requests.requests[2]", "batch.inputConfig.fileName"};
  sheaf_slice values[5] = {{NULL, 0}};
  job_test t;
  job_init(&t, "gemini");
  t.step = SHEAF_JOB_CREATE;
  t.facts.is_inline = true;
  t.facts.path = TEXT(PATH);
  t.facts.marker = marker;
  CHECK_OK(job_call(&t));
  t.body = job_text(&t, BODY);
  t.id = TEXT("r0-a");
  CHECK_OK(job_row(&t));
  CHECK_OK(job_row(&t));
  t.row.bytes--; /* the last comma is dropped by who sends */
  sheaf_buf_append_slice(&t.head, sheaf_buf_slice(&t.row));
  sheaf_buf_append_slice(&t.head, sheaf_buf_slice(&t.tail));
  CHECK_OK(sheaf_json_pick(sheaf_buf_slice(&t.head), paths, 5, values, NULL, NULL));
  CHECK_TEXT(values[0], "\"" MARKER "\"");
  CHECK_TEXT(values[1], "\"r0-a\"");
  CHECK_EQ(sheaf_json_kind(values[2]), SHEAF_JSON_ARRAY);
  CHECK_EQ(values[3].bytes, 0);
  CHECK_EQ(values[4].bytes, 0);
  job_deinit(&t);
}

/* ---- Calls ---- */

TEST(a_file_is_uploaded_in_two_calls) {
  static const job_call_case cases[] = {
      {.step = SHEAF_JOB_BEGIN,
       .method = "POST",
       .url = "https://generativelanguage.googleapis.com/upload/v1beta/files",
       .head = "{'file':{'display_name':'" MARKER "'}}",
       .headers = FILE_START},
      {.step = SHEAF_JOB_BEGIN, /* a gateway's own path stays */
       .base_url = "http://127.0.0.1:8080/google/v1beta/",
       .method = "POST",
       .url = "http://127.0.0.1:8080/google/upload/v1beta/files",
       .head = "{'file':{'display_name':'" MARKER "'}}",
       .headers = FILE_START},
      {.step = SHEAF_JOB_BEGIN, /* a host is no version */
       .base_url = "http://v1beta",
       .method = "POST",
       .url = "http://v1beta/upload/v1beta/files",
       .head = "{'file':{'display_name':'" MARKER "'}}",
       .headers = FILE_START},
      {.step = SHEAF_JOB_UPLOAD,
       .upload = "https://h/upload/v1beta/files?upload_id=a&upload_protocol=resumable",
       .method = "POST",
       .url = "https://h/upload/v1beta/files?upload_id=a&upload_protocol=resumable",
       .has_rows = true,
       .headers = "X-Goog-Upload-Offset: 0|X-Goog-Upload-Command: upload, finalize|"
                  "Content-Type: application/jsonl|"},
      {.step = SHEAF_JOB_UPLOAD, .status = SHEAF_E_MISUSE}, /* to nowhere */
  };
  job_check_calls("gemini", marker, 1234567890123, cases, COUNT_OF(cases));
}

#define OF_FILE "{'batch':{'displayName':'" MARKER "','inputConfig':{'fileName':'files/abc'}}}"

TEST(a_batch_is_created_for_the_model_of_its_rows) {
  static const job_call_case cases[] = {
      {.step = SHEAF_JOB_CREATE,
       .path = PATH,
       .model = "gemini-x",
       .file = "files/abc",
       .method = "POST",
       .url = "/models/gemini-x:batchGenerateContent",
       .head = OF_FILE},
      {.step = SHEAF_JOB_CREATE,
       .path = "/tunedModels/a%3Fb:generateContent",
       .model = "other",
       .file = "files/abc",
       .method = "POST",
       .url = "/tunedModels/a%3Fb:batchGenerateContent",
       .head = OF_FILE},
      {.step = SHEAF_JOB_CREATE,
       .model = "gemini-x",
       .file = "files/abc",
       .method = "POST",
       .url = "/models/gemini-x:batchGenerateContent",
       .head = OF_FILE},
      {.step = SHEAF_JOB_CREATE,
       .model = "models/gemini-x?",
       .file = "files/abc",
       .method = "POST",
       .url = "/models/gemini-x%3F:batchGenerateContent",
       .head = OF_FILE},
      {.step = SHEAF_JOB_CREATE,
       .model = "tunedModels/t",
       .file = "files/abc",
       .method = "POST",
       .url = "/tunedModels/t:batchGenerateContent",
       .head = OF_FILE},
      {.step = SHEAF_JOB_CREATE,
       .is_inline = true,
       .path = PATH,
       .method = "POST",
       .url = "/models/gemini-x:batchGenerateContent",
       .head = "{'batch':{'displayName':'" MARKER "','inputConfig':{'requests':{'requests':[",
       .tail = "]}}}}",
       .has_rows = true},
      {.step = SHEAF_JOB_CREATE, .path = PATH, .status = SHEAF_E_MISUSE}, /* of no file */
  };
  job_check_calls("gemini", marker, 100, cases, COUNT_OF(cases));
}

TEST(jobs_and_files_are_named_in_paths_by_their_two_steps) {
  static const job_call_case cases[] = {
      {.step = SHEAF_JOB_POLL, .job = "batches/a1", .method = "GET", .url = "/batches/a1"},
      {.step = SHEAF_JOB_POLL, .job = "a1", .method = "GET", .url = "/batches/a1"},
      {.step = SHEAF_JOB_POLL,
       .job = "batches/a?b#c",
       .method = "GET",
       .url = "/batches/a%3Fb%23c"},
      {.step = SHEAF_JOB_LIST, .method = "GET", .url = "/batches?pageSize=100"},
      {.step = SHEAF_JOB_LIST,
       .page = "CA=/+",
       .method = "GET",
       .url = "/batches?pageSize=100&pageToken=CA%3D%2F%2B"},
      {.step = SHEAF_JOB_CANCEL,
       .job = "batches/a1",
       .method = "POST",
       .url = "/batches/a1:cancel",
       .head = "{}"},
      {.step = SHEAF_JOB_OUTPUT,
       .output = "files/batch-a1",
       .method = "GET",
       .url = "https://generativelanguage.googleapis.com/download/v1beta/files/"
              "batch-a1:download?alt=media",
       .is_streamed = true},
      {.step = SHEAF_JOB_DISCARD, .file = "files/abc", .method = "DELETE", .url = "/files/abc"},
  };
  job_check_calls("gemini", marker, 100, cases, COUNT_OF(cases));
}

TEST(rows_in_the_call_have_no_file_and_results_in_the_reply_no_place) {
  static const job_call_case cases[] = {
      {.step = SHEAF_JOB_BEGIN, .is_inline = true, .status = SHEAF_E_UNSUPPORTED},
      {.step = SHEAF_JOB_UPLOAD,
       .is_inline = true,
       .upload = "http://h/",
       .status = SHEAF_E_UNSUPPORTED},
      {.step = SHEAF_JOB_OUTPUT, .job = "batches/a1", .status = SHEAF_E_UNSUPPORTED},
      {.step = SHEAF_JOB_DISCARD, .job = "batches/a1", .status = SHEAF_E_UNSUPPORTED},
      {.step = SHEAF_JOB_ERRORS,
       .job = "batches/a1",
       .output = "files/a",
       .status = SHEAF_E_UNSUPPORTED},
      {.step = 0, .status = SHEAF_E_UNSUPPORTED},
      {.step = 10, .status = SHEAF_E_UNSUPPORTED},
      {.step = SHEAF_JOB_POLL, .status = SHEAF_E_MISUSE}, /* of no job */
      {.step = SHEAF_JOB_CANCEL, .status = SHEAF_E_MISUSE},
  };
  job_check_calls("gemini", marker, 100, cases, COUNT_OF(cases));
}

/* ---- News ---- */

TEST(the_upload_tells_its_address_and_then_the_file) {
  job_test t;
  job_init(&t, "gemini");
  t.step = SHEAF_JOB_BEGIN;
  t.headers = TEXT("content-length: 0\r\nX-Goog-Upload-URL: https://h/u?id=1\r\n");
  job_do(&t, job_read);
  CHECK_TEXT(t.news.upload, "https://h/u?id=1");
  t.headers = TEXT("x-goog-upload-url: /relative\n");
  CHECK_STATUS(job_read(&t), SHEAF_E_SYNTAX);
  t.headers = TEXT("x-goog-upload-url: http://h/u\n"); /* the endpoint is reached by https */
  CHECK_STATUS(job_read(&t), SHEAF_E_SYNTAX);
  t.headers = TEXT("");
  CHECK_STATUS(job_read(&t), SHEAF_E_SYNTAX);
  t.step = SHEAF_JOB_UPLOAD;
  t.body = job_text(&t, "{'file':{'name':'files\\/abc','sizeBytes':'12','state':'ACTIVE'}}");
  job_do(&t, job_read);
  CHECK_TEXT(t.news.file, "files/abc");
  CHECK_EQ(t.news.job.bytes, 0);
  t.body = job_text(&t, "{'file':{}}");
  CHECK_STATUS(job_read(&t), SHEAF_E_SYNTAX);
  job_deinit(&t);
  job_check_cut("gemini", SHEAF_JOB_UPLOAD, job_read, "{'file':{'name':'files/abc'}}");
}

#define TOLD(state, more)                                                                \
  "{'name':'batches/a1','metadata':{'@type':'t','model':'models/m','name':'batches/a1'," \
  "'displayName':'" MARKER "','createTime':'2026-11-18T11:06:40.25Z','state':'" state "'" more
#define STATS(all, good, bad)                                                 \
  ",'batchStats':{'requestCount':'" #all "','successfulRequestCount':'" #good \
  "','failedRequestCount':'" #bad "'}"
#define ITEMS "[{'metadata':{'key':'a'},'response':{'candidates':[]}}]"
#define FAILURE(code, message) "},'done':true,'error':{'code':" #code ",'message':'" message "'}}"

enum { CREATE = SHEAF_JOB_CREATE, POLL = SHEAF_JOB_POLL };

TEST(operations_tell_state_counts_and_where_the_results_are) {
  static const job_news_case cases[] = {
      /* Of proto3's counts a 0 is left out; those of a file that is looked through tell nothing. */
      {CREATE, TOLD("BATCH_STATE_PENDING", "}}"), SHEAF_JOB_QUEUED_STATE, NONE, NONE, NONE, NULL,
       NULL, NULL, NULL, false},
      {CREATE, TOLD("BATCH_STATE_PENDING", ",'batchStats':{}}}"), SHEAF_JOB_QUEUED_STATE, NONE,
       NONE, NONE, NULL, NULL, NULL, NULL, false},
      {CREATE, TOLD("BATCH_STATE_PENDING", ",'batchStats':{'requestCount':'9'}}}"),
       SHEAF_JOB_QUEUED_STATE, 9, 0, 0, NULL, NULL, NULL, NULL, false},
      {POLL, TOLD("BATCH_STATE_RUNNING", STATS(9, 3, 1) "}}"), SHEAF_JOB_RUNNING_STATE, 9, 3, 1,
       NULL, NULL, NULL, NULL, false},
      {POLL, TOLD("JOB_STATE_QUEUED", "}}"), SHEAF_JOB_QUEUED_STATE, NONE, NONE, NONE, NULL, NULL,
       NULL, NULL, false},
      {POLL, TOLD("JOB_STATE_CANCELLING", "}}"), SHEAF_JOB_ENDING_STATE, NONE, NONE, NONE, NULL,
       NULL, NULL, NULL, false},
      {POLL, TOLD("BATCH_STATE_UNSPECIFIED", "}}"), SHEAF_JOB_UNKNOWN_STATE, NONE, NONE, NONE, NULL,
       NULL, NULL, NULL, false},
      {POLL, TOLD("BATCH_STATE_DREAMING", "}}"), SHEAF_JOB_UNKNOWN_STATE, NONE, NONE, NONE, NULL,
       NULL, NULL, NULL, false},
      {POLL,
       TOLD("BATCH_STATE_SUCCEEDED",
            STATS(2, 1, 1) ",'output':{'responsesFile':'files\\/batch-a1'}},'done':true,"
                           "'response':{'responsesFile':'files/batch-a1'}}"),
       SHEAF_JOB_COMPLETED_STATE, 2, 1, 1, "files/batch-a1", NULL, NULL, NULL, false},
      {POLL,
       TOLD("JOB_STATE_SUCCEEDED", "},'done':true,'response':{'responsesFile':'files/batch-a1'}}"),
       SHEAF_JOB_COMPLETED_STATE, NONE, NONE, NONE, "files/batch-a1", NULL, NULL, NULL, false},
      {POLL,
       TOLD("BATCH_STATE_SUCCEEDED",
            ",'output':{'inlinedResponses':{'inlinedResponses':" ITEMS "}}},'done':true}"),
       SHEAF_JOB_COMPLETED_STATE, NONE, NONE, NONE, NULL, ITEMS, NULL, NULL, false},
      {POLL,
       TOLD("BATCH_STATE_SUCCEEDED",
            "},'done':true,'response':{'inlinedResponses':{'inlinedResponses':" ITEMS "}}}"),
       SHEAF_JOB_COMPLETED_STATE, NONE, NONE, NONE, NULL, ITEMS, NULL, NULL, false},
      {POLL, "{'name':'batches/a1','done':true,'response':{'responsesFile':'files/b'}}",
       SHEAF_JOB_COMPLETED_STATE, NONE, NONE, NONE, "files/b", NULL, NULL, NULL, false},
  };
  job_check_news("gemini", cases, COUNT_OF(cases));
}

TEST(operations_that_failed_tell_why) {
  static const job_news_case cases[] = {
      {POLL, TOLD("BATCH_STATE_FAILED", FAILURE(3, "line 2: \\'x\\'")), SHEAF_JOB_FAILED_STATE,
       NONE, NONE, NONE, NULL, NULL, "3", "line 2: 'x'", false},
      {POLL, TOLD("BATCH_STATE_RUNNING", FAILURE(13, "m")), SHEAF_JOB_FAILED_STATE, NONE, NONE,
       NONE, NULL, NULL, "13", "m", false},
      {POLL, TOLD("BATCH_STATE_SUCCEEDED", FAILURE(13, "m")), SHEAF_JOB_FAILED_STATE, NONE, NONE,
       NONE, NULL, NULL, "13", "m", false},
      /* Results beside an error are results. */
      {POLL,
       TOLD("BATCH_STATE_SUCCEEDED", ",'output':{'responsesFile':'files/b'}" FAILURE(13, "m")),
       SHEAF_JOB_COMPLETED_STATE, NONE, NONE, NONE, "files/b", NULL, "13", "m", false},
      {POLL, TOLD("BATCH_STATE_CANCELLED", FAILURE(1, "m")), SHEAF_JOB_CANCELLED_STATE, NONE, NONE,
       NONE, NULL, NULL, "1", "m", false},
      {POLL, TOLD("BATCH_STATE_EXPIRED", FAILURE(4, "m")), SHEAF_JOB_EXPIRED_STATE, NONE, NONE,
       NONE, NULL, NULL, "4", "m", false},
      {POLL, "{'name':'batches/a1','done':true,'error':{'code':1}}", SHEAF_JOB_CANCELLED_STATE,
       NONE, NONE, NONE, NULL, NULL, "1", NULL, false},
      {POLL,
       "{'name':'batches/a1','done':true,'error':{'code':8,'status':'RESOURCE_EXHAUSTED',"
       "'message':'m'}}",
       SHEAF_JOB_FAILED_STATE, NONE, NONE, NONE, NULL, NULL, "RESOURCE_EXHAUSTED", "m", true},
      /* Something ran: it was not kept out by what is queued. */
      {POLL, TOLD("BATCH_STATE_FAILED", STATS(9, 3, 1) FAILURE(8, "m")), SHEAF_JOB_FAILED_STATE, 9,
       3, 1, NULL, NULL, "8", "m", false},
  };
  job_check_news("gemini", cases, COUNT_OF(cases));
}

TEST(an_operation_says_its_name_its_marker_and_when_it_was_made) {
  job_test t;
  job_init(&t, "gemini");
  t.step = CREATE;
  t.body = job_text(&t, TOLD("BATCH_STATE_PENDING", "}}"));
  CHECK_OK(job_read(&t));
  CHECK_TEXT(t.news.job, "batches/a1");
  CHECK_TEXT(t.news.marker, MARKER);
  CHECK_EQ(t.news.created_unix_ms, UNIX_MS + 250);
  job_deinit(&t);
}

TEST(texts_that_need_room_do_not_move_one_another) {
  static char body[4096], wanted[3001];
  memset(wanted, 'm', sizeof wanted - 1);
  snprintf(body, sizeof body,
           "{'name':'batches\\/a\\u0031','metadata':{'displayName':'\\u0041\\u0042'},"
           "'error':{'message':'%.*s\\u006d'}}",
           2999, wanted);
  job_test t;
  job_init(&t, "gemini");
  t.step = CREATE;
  t.body = job_text(&t, body);
  job_do(&t, job_read);
  CHECK_TEXT(t.news.job, "batches/a1");
  CHECK_TEXT(t.news.marker, "AB");
  CHECK_TEXT(t.news.error_message, wanted);
  job_deinit(&t);
}

TEST(a_cancel_is_answered_with_nothing_and_under_way) {
  job_test t;
  job_init(&t, "gemini");
  t.step = SHEAF_JOB_CANCEL;
  t.body = job_text(&t, "{}");
  job_do(&t, job_read);
  CHECK_EQ(t.news.state, SHEAF_JOB_ENDING_STATE);
  t.body = job_text(&t, "");
  CHECK_OK(job_read(&t));
  t.body = job_text(&t, "<html>");
  CHECK_STATUS(job_read(&t), SHEAF_E_SYNTAX);
  job_deinit(&t);
}

TEST(replies_that_are_no_operation_are_not_understood) {
  static const char *const bodies[] = {
      "",   "null",          "[]",     "'ok'",
      "{}", "{'name':null}", "<html>", "{'error':{'code':500,'message':'m','status':'INTERNAL'}}",
  };
  job_test t;
  job_init(&t, "gemini");
  for (t.step = CREATE; t.step <= POLL; t.step++) {
    for (size_t i = 0; i < COUNT_OF(bodies); i++) {
      t.body = job_text(&t, bodies[i]);
      CHECK_STATUS(job_read(&t), SHEAF_E_SYNTAX);
    }
  }
  t.step = SHEAF_JOB_OUTPUT;
  CHECK_STATUS(job_read(&t), SHEAF_E_UNSUPPORTED);
  job_deinit(&t);
  job_check_cut("gemini", POLL, job_read, TOLD("BATCH_STATE_FAILED", FAILURE(3, "m")));
}

/* ---- Lists ---- */

TEST(lists_are_walked_and_lead_to_the_next_page) {
  job_test t;
  job_init(&t, "gemini");
  t.body = job_text(&t, "{'operations':[" TOLD("BATCH_STATE_PENDING", "}}") ",{'name':"
                        "'batches\\/a2','done':true}],'nextPageToken':'CA\\u003d'}");
  CHECK_OK(job_listed(&t));
  CHECK_TEXT(t.news.job, "batches/a1");
  CHECK_TEXT(t.news.marker, MARKER);
  CHECK_OK(job_listed(&t));
  CHECK_TEXT(t.news.job, "batches/a2");
  CHECK_EQ(t.news.marker.bytes, 0);
  CHECK_EQ(t.news.state, SHEAF_JOB_COMPLETED_STATE);
  CHECK_STATUS(job_listed(&t), SHEAF_E_END);
  CHECK_TEXT(t.page, "CA=");
  job_do(&t, job_list_all);
  job_deinit(&t);
}

TEST(the_last_page_leads_nowhere) {
  static const char *const bodies[] = {"{}", "{'operations':[]}",
                                       "{'operations':[{'name':'batches/a2'}]}",
                                       "{'operations':[{'name':'batches/a2'}],'nextPageToken':''}"};
  for (size_t i = 0; i < COUNT_OF(bodies); i++) {
    job_test t;
    job_init(&t, "gemini");
    t.body = job_text(&t, bodies[i]);
    t.page = TEXT("before");
    CHECK_OK(job_list_all(&t));
    CHECK_EQ(t.page.bytes, 0);
    job_deinit(&t);
  }
}

TEST(lists_that_are_none_are_not_understood) {
  static const char *const bodies[] = {"", "<html>", "{'operations':[", "{'operations':[1]}",
                                       "{'operations':[{}]}"};
  for (size_t i = 0; i < COUNT_OF(bodies); i++) {
    job_test t;
    job_init(&t, "gemini");
    t.body = job_text(&t, bodies[i]);
    CHECK_STATUS(job_list_all(&t), SHEAF_E_SYNTAX);
    job_deinit(&t);
  }
}

/* ---- Results ---- */

#define ANSWER                                                                        \
  "{'candidates':[{'content':{'parts':[{'text':'Hi'}],'role':'model'},'finishReason'" \
  ":'STOP'}],'usageMetadata':{'promptTokenCount':4,'candidatesTokenCount':1}}"
#define LIVE(http, word) "{'error':{'code':" #http ",'message':'m','status':'" word "'}}"
#define ERRORED(code, http, word, klass)                                                \
  {                                                                                     \
    "{'key':'b','error':{'code':" #code ",'message':'m'}}", SHEAF_OK, REPLY, http, "b", \
        LIVE(http, word), NULL, CLASS(klass)                                            \
  }

enum { REPLY = SHEAF_JOB_ITEM_REPLY, STOPPED = SHEAF_JOB_ITEM_CANCELLED };

TEST(results_are_replies_as_the_live_api_gives_them) {
  static const job_item_case cases[] = {
      {"{'key':'a','response':" ANSWER "}\n", SHEAF_OK, REPLY, 200, "a", ANSWER, NULL, CLASS(NONE)},
      {"{'response':" ANSWER ",'metadata':{'key':'a'}}", SHEAF_OK, REPLY, 200, "a", ANSWER, NULL,
       CLASS(NONE)},
      {"{'response':" ANSWER "}", SHEAF_OK, REPLY, 200, NULL, ANSWER, NULL, CLASS(NONE)},
      {"{'key':'a','response':" ANSWER ",'error':null}", SHEAF_OK, REPLY, 200, "a", ANSWER, NULL,
       CLASS(NONE)},
      {"{'key':'a','response':" ANSWER ",'error':{}}", SHEAF_OK, REPLY, 200, "a", ANSWER, NULL,
       CLASS(NONE)},
      {"{'key':'a','response':{'promptFeedback':{'blockReason':'SAFETY'}}}", SHEAF_OK, REPLY, 200,
       "a", "{'promptFeedback':{'blockReason':'SAFETY'}}", NULL, CLASS(CONTENT_FILTER)},
      {"{'key':'d','error':{'code':1,'message':'m'}}", SHEAF_OK, STOPPED, 0, "d", NULL, NULL, 0},
  };
  job_check_items("gemini", cases, COUNT_OF(cases));
}

TEST(errors_of_rows_are_dressed_as_those_of_the_live_api) {
  static const job_item_case cases[] = {
      ERRORED(3, 400, "INVALID_ARGUMENT", INVALID_REQUEST),
      ERRORED('3', 400, "INVALID_ARGUMENT", INVALID_REQUEST),
      ERRORED(5, 404, "NOT_FOUND", NOT_FOUND),
      ERRORED(7, 403, "PERMISSION_DENIED", AUTH),
      ERRORED(8, 429, "RESOURCE_EXHAUSTED", RATE_LIMIT),
      ERRORED(13, 500, "INTERNAL", SERVER),
      ERRORED(14, 503, "UNAVAILABLE", OVERLOADED),
      ERRORED(16, 401, "UNAUTHENTICATED", AUTH),
      ERRORED(2, 500, "UNKNOWN", SERVER),
      ERRORED(15, 500, "UNKNOWN", SERVER),
      {"{'metadata':{'key':'b\\u0031'},'error':{'code':8,'message':'m \\'q\\'','details':[{"
       "'@type':'type.googleapis.com/google.rpc.RetryInfo','retryDelay':'3s'}]}}",
       SHEAF_OK, REPLY, 429, "b1",
       "{'error':{'code':429,'message':'m \\'q\\'','status':'RESOURCE_EXHAUSTED','details':[{"
       "'@type':'type.googleapis.com/google.rpc.RetryInfo','retryDelay':'3s'}]}}",
       NULL, CLASS(RATE_LIMIT)},
      /* In HTTP's terms already. */
      {"{'key':'b','error':{'code':404,'message':'m','status':'NOT_FOUND'}}", SHEAF_OK, REPLY, 404,
       "b", LIVE(404, "NOT_FOUND"), NULL, CLASS(NOT_FOUND)},
      {"{'key':'b','error':{'code':429,'message':'m'}}", SHEAF_OK, REPLY, 429, "b",
       "{'error':{'code':429,'message':'m'}}", NULL, CLASS(RATE_LIMIT)},
      {"{'error':'m'}", SHEAF_OK, REPLY, 500, NULL, LIVE(500, "UNKNOWN"), NULL, CLASS(SERVER)},
  };
  job_check_items("gemini", cases, COUNT_OF(cases));
}

TEST(a_row_that_took_too_long_failed_with_504) {
  job_test t;
  job_init(&t, "gemini");
  t.body = job_text(&t, "{'key':'b','error':{'code':4,'message':'m'}}");
  CHECK_OK(job_item(&t));
  CHECK_EQ(t.item.kind, REPLY);
  CHECK_EQ(t.item.http_status, 504);
  job_same(&t, "body", t.item.body, LIVE(504, "DEADLINE_EXCEEDED"));
  job_deinit(&t);
}

TEST(lines_that_are_no_results_are_told_from_such) {
  static const job_item_case cases[] = {
      {.line = "", .status = SHEAF_E_SYNTAX},
      {.line = "<html>", .status = SHEAF_E_SYNTAX},
      {.line = "{}", .status = SHEAF_E_FIELD},
      {.line = "{'key':'a'}", .status = SHEAF_E_FIELD},
      {.line = "{'key':'a','response':'Hi'}", .status = SHEAF_E_FIELD},
      {.line = "{'key':'a','response':null,'error':null}", .status = SHEAF_E_FIELD},
  };
  job_check_items("gemini", cases, COUNT_OF(cases));
  job_check_cut("gemini", 0, job_item, "{'key':'a','response':" ANSWER "}");
  job_check_cut("gemini", 0, job_item, "{'key':'a','error':{'code':3,'message':'m'}}");
}

int main(void) {
  RUN(the_table_offers_files_and_rows_in_the_call_with_a_marker);
  RUN(only_whole_answers_are_offered);
  RUN(rows_of_a_file_are_lines_and_give_their_body_back);
  RUN(rows_in_the_call_keep_their_key_as_metadata);
  RUN(rows_that_ask_for_a_stream_cannot_travel);
  RUN(a_row_without_its_body_gives_none_back);
  RUN(head_rows_and_tail_are_one_document);
  RUN(a_file_is_uploaded_in_two_calls);
  RUN(a_batch_is_created_for_the_model_of_its_rows);
  RUN(jobs_and_files_are_named_in_paths_by_their_two_steps);
  RUN(rows_in_the_call_have_no_file_and_results_in_the_reply_no_place);
  RUN(the_upload_tells_its_address_and_then_the_file);
  RUN(operations_tell_state_counts_and_where_the_results_are);
  RUN(operations_that_failed_tell_why);
  RUN(an_operation_says_its_name_its_marker_and_when_it_was_made);
  RUN(texts_that_need_room_do_not_move_one_another);
  RUN(a_cancel_is_answered_with_nothing_and_under_way);
  RUN(replies_that_are_no_operation_are_not_understood);
  RUN(lists_are_walked_and_lead_to_the_next_page);
  RUN(the_last_page_leads_nowhere);
  RUN(lists_that_are_none_are_not_understood);
  RUN(results_are_replies_as_the_live_api_gives_them);
  RUN(errors_of_rows_are_dressed_as_those_of_the_live_api);
  RUN(a_row_that_took_too_long_failed_with_504);
  RUN(lines_that_are_no_results_are_told_from_such);
  return check_report();
}
