/* test_jobs_openai.c: the batch APIs of OpenAI, Azure OpenAI, Groq and Mistral: what is written and
 * what is read. Shapes: protocols 1.4, 1.5, 1.8, 6 and 11, and the types of the official SDKs
 * (openai 6.49, groq-sdk 1.6, @mistralai/mistralai 2.7). JSON stands in single quotes here. */
#include "check.h"
#include "test_alloc.h"

#include <sheaf/jobs.h>

#define COUNT(list) (sizeof(list) / sizeof(list)[0])
#define TEXT(text) SHEAF_LITERAL(text)
#define MARKER "sheaf-00112233445566778899aabbccddeeff"

enum { CHAT, RESPONSES, EMBEDDINGS, COMPLETIONS }; /* the provider's operations, in its order */

typedef struct jobs_test {
  test_alloc memory;
  sheaf_allocator allocator;
  const sheaf_job_api *api;
  sheaf_buf path, head, tail, text, row, scratch;
  sheaf_job_facts facts;
  sheaf_job_call call;
  sheaf_job_news news;
  sheaf_job_item item;
  sheaf_slice page;
  char *copy; /* of what was read last, of its exact size */
} jobs_test;

static sheaf_buf *buf_of(jobs_test *t, size_t i) {
  sheaf_buf *bufs[] = {&t->path, &t->head, &t->tail, &t->text, &t->row, &t->scratch};
  return bufs[i];
}

static void jobs_init(jobs_test *t, const char *provider) {
  memset(t, 0, sizeof *t);
  t->allocator = test_allocator(&t->memory);
  t->api = sheaf_job_api_of(sheaf_provider_find(sheaf_slice_of(provider)));
  for (size_t i = 0; i < 6; i++) sheaf_buf_init(buf_of(t, i), &t->allocator, 1 << 20);
  t->facts = (sheaf_job_facts){.struct_bytes = sizeof t->facts,
                               .operation = CHAT,
                               .path = TEXT("/chat/completions"),
                               .model = TEXT("m1"),
                               .marker = TEXT(MARKER)};
}

static void jobs_deinit(jobs_test *t) {
  for (size_t i = 0; i < 6; i++) sheaf_buf_deinit(buf_of(t, i));
  free(t->copy);
  CHECK_EQ(t->memory.live_blocks, 0);
  CHECK(!t->memory.size_mismatch);
}

static sheaf_slice quoted(jobs_test *t, const char *text) {
  size_t bytes = strlen(text);
  free(t->copy);
  t->copy = malloc(bytes ? bytes : 1);
  for (size_t i = 0; i < bytes && t->copy; i++) t->copy[i] = text[i] == '\'' ? '"' : text[i];
  return (sheaf_slice){t->copy, bytes};
}

static bool is_quoted(sheaf_slice slice, const char *text) {
  size_t i = 0;
  for (; i < slice.bytes && text[i]; i++) {
    if (slice.data[i] != (text[i] == '\'' ? '"' : text[i])) return false;
  }
  return i == slice.bytes && text[i] == 0;
}

#define CHECK_QUOTED(slice, text)                                 \
  do {                                                            \
    sheaf_slice quoted_slice = (slice);                           \
    CHECK(is_quoted(quoted_slice, (text)));                       \
    if (!is_quoted(quoted_slice, (text)))                         \
      printf("  is %.*s, not %s\n", (int)quoted_slice.bytes,      \
             quoted_slice.data ? quoted_slice.data : "", (text)); \
  } while (0)

static int32_t write_call(jobs_test *t, uint32_t step) {
  for (size_t i = 0; i < 4; i++) sheaf_buf_deinit(buf_of(t, i));
  t->call = (sheaf_job_call){.struct_bytes = sizeof t->call,
                             .path = &t->path,
                             .head = &t->head,
                             .tail = &t->tail,
                             .text = &t->text};
  return t->api->call(t->api, step, &t->facts, &t->call);
}

static int32_t write_row(jobs_test *t, sheaf_slice id, const char *body) {
  sheaf_buf_deinit(&t->row);
  return t->api->row(t->api, &t->facts, id, quoted(t, body), &t->row);
}

static int32_t read_news(jobs_test *t, uint32_t step, const char *body) {
  sheaf_reply reply = {.struct_bytes = sizeof reply, .http_status = 200, .body = quoted(t, body)};
  sheaf_buf_deinit(&t->scratch);
  return t->api->read(t->api, step, &t->facts, &reply, &t->scratch, &t->news);
}

static int32_t read_item(jobs_test *t, const char *line) {
  sheaf_slice text = quoted(t, line);
  sheaf_buf_deinit(&t->scratch);
  return t->api->item(t->api, text, &t->scratch, &t->item);
}

/* ---- Rows ---- */

TEST(rows_are_one_line_with_id_url_and_body) {
  static const struct {
    const char *provider, *path;
    uint32_t operation;
    const char *row;
  } cases[] = {
      {"openai", "/chat/completions", CHAT,
       "{'custom_id':'r0-a','method':'POST','url':'/v1/chat/completions','body':{'model':'m'}}\n"},
      {"openai", "/responses", RESPONSES,
       "{'custom_id':'r0-a','method':'POST','url':'/v1/responses','body':{'model':'m'}}\n"},
      {"openai", "/embeddings", EMBEDDINGS,
       "{'custom_id':'r0-a','method':'POST','url':'/v1/embeddings','body':{'model':'m'}}\n"},
      {"azure", "/completions", COMPLETIONS,
       "{'custom_id':'r0-a','method':'POST','url':'/v1/completions','body':{'model':'m'}}\n"},
      {"groq", "/chat/completions", CHAT,
       "{'custom_id':'r0-a','method':'POST','url':'/v1/chat/completions','body':{'model':'m'}}\n"},
      {"mistral", "/chat/completions", CHAT, "{'custom_id':'r0-a','body':{'model':'m'}}\n"},
  };
  for (size_t i = 0; i < COUNT(cases); i++) {
    jobs_test t;
    jobs_init(&t, cases[i].provider);
    t.facts.path = sheaf_slice_of(cases[i].path);
    t.facts.operation = cases[i].operation;
    CHECK(t.api->offers(t.api, cases[i].operation, t.facts.path));
    CHECK_OK(write_row(&t, TEXT("r0-a"), "{'model':'m'}"));
    CHECK_QUOTED(sheaf_buf_slice(&t.row), cases[i].row);
    jobs_deinit(&t);
  }
}

TEST(rows_follow_each_other_and_odd_ids_are_escaped) {
  jobs_test t;
  jobs_init(&t, "mistral");
  CHECK_OK(write_row(&t, TEXT("a\"b\\c\n\xC3\xA9"), "{}"));
  CHECK_OK(t.api->row(t.api, &t.facts, TEXT("d"), TEXT("{\"n\":1}"), &t.row));
  CHECK_TEXT(sheaf_buf_slice(&t.row),
             "{\"custom_id\":\"a\\\"b\\\\c\\n\xC3\xA9\",\"body\":{}}\n"
             "{\"custom_id\":\"d\",\"body\":{\"n\":1}}\n");
  jobs_deinit(&t);
}

TEST(a_pretty_printed_body_becomes_one_line) {
  static const char *const names[] = {"openai", "mistral"};
  for (size_t i = 0; i < COUNT(names); i++) {
    jobs_test t;
    jobs_init(&t, names[i]);
    CHECK_OK(write_row(&t, TEXT("a"), " \r\n{\r\n  'x': 'l\\n2',\n\t'y': [1,\n2]\n}\n"));
    sheaf_slice row = sheaf_buf_slice(&t.row), body;
    CHECK(memchr(row.data, '\n', row.bytes) == row.data + row.bytes - 1);
    CHECK(memchr(row.data, '\r', row.bytes) == NULL);
    CHECK_OK(t.api->row_body(t.api, row, &body));
    CHECK_QUOTED(body, "{    'x': 'l\\n2', \t'y': [1, 2] }");
    jobs_deinit(&t);
  }
}

TEST(bodies_that_cannot_travel_are_refused_and_leave_nothing) {
  static const char *const bodies[] = {"{'model':'m','stream':true}",
                                       "{'stream' : true}",
                                       "[]",
                                       "",
                                       "'text'",
                                       "{'a':1",
                                       "{'a':1} {}",
                                       "{'a':'\xFF'}"};
  static const char *const names[] = {"openai", "azure", "groq", "mistral"};
  for (size_t n = 0; n < COUNT(names); n++) {
    jobs_test t;
    jobs_init(&t, names[n]);
    for (size_t i = 0; i < COUNT(bodies); i++) {
      CHECK_STATUS(write_row(&t, TEXT("a"), bodies[i]), SHEAF_E_FIELD);
      CHECK_EQ(t.row.bytes, 0);
    }
    CHECK_OK(write_row(&t, TEXT("a"), "{'stream':false,'messages':[{'stream':true}]}"));
    size_t before = t.row.bytes;
    CHECK_STATUS(t.api->row(t.api, &t.facts, TEXT("b"), TEXT("7"), &t.row), SHEAF_E_FIELD);
    CHECK_EQ(t.row.bytes, before);
    CHECK_EQ(t.row.status, SHEAF_OK);
    jobs_deinit(&t);
  }
}

TEST(a_rows_body_comes_back_with_or_without_its_separator) {
  jobs_test t;
  jobs_init(&t, "openai");
  sheaf_slice body;
  CHECK_OK(write_row(&t, TEXT("body"), "{'body':{'body':2}}"));
  CHECK_OK(t.api->row_body(t.api, sheaf_buf_slice(&t.row), &body));
  CHECK_QUOTED(body, "{'body':{'body':2}}");
  CHECK_OK(t.api->row_body(t.api, (sheaf_slice){t.row.data, t.row.bytes - 1}, &body));
  CHECK_QUOTED(body, "{'body':{'body':2}}");
  CHECK_STATUS(t.api->row_body(t.api, TEXT("{\"custom_id\":\"a\"}\n"), &body), SHEAF_E_SYNTAX);
  CHECK_STATUS(t.api->row_body(t.api, TEXT("{\"body\":{"), &body), SHEAF_E_SYNTAX);
  CHECK_STATUS(t.api->row_body(t.api, TEXT(""), &body), SHEAF_E_SYNTAX);
  jobs_deinit(&t);
}

TEST(each_offers_its_operations_only) {
  static const char *const paths[] = {"/chat/completions", "/responses", "/embeddings",
                                      "/completions"};
  static const struct {
    const char *provider;
    bool is_offered[4];
  } cases[] = {
      {"openai", {true, true, true, true}},
      {"azure", {true, true, true, true}},
      {"groq", {true, false, false, false}},
      {"mistral", {true, false, true, false}},
  };
  for (size_t i = 0; i < COUNT(cases); i++) {
    const sheaf_job_api *api =
        sheaf_job_api_of(sheaf_provider_find(sheaf_slice_of(cases[i].provider)));
    for (uint32_t n = 0; n < 4; n++) {
      CHECK_EQ(api->offers(api, n, sheaf_slice_of(paths[n])), cases[i].is_offered[n]);
      CHECK(!api->offers(api, n, sheaf_slice_of(paths[(n + 1) % 4])));
    }
    CHECK(!api->offers(api, 4, TEXT("/chat/completions")));
    CHECK(!api->offers(api, CHAT, TEXT("")));
    CHECK(!api->offers(api, CHAT, TEXT("/moderations")));
  }
}

/* ---- Calls ---- */

TEST(every_step_is_this_call) {
  static const struct {
    const char *provider;
    uint32_t step;
    const char *method, *path, *body;
  } cases[] = {
      {"openai", SHEAF_JOB_POLL, "GET", "/batches/job%201", ""},
      {"openai", SHEAF_JOB_LIST, "GET", "/batches?limit=100", ""},
      {"openai", SHEAF_JOB_CANCEL, "POST", "/batches/job%201/cancel", ""},
      {"openai", SHEAF_JOB_OUTPUT, "GET", "/files/out%2F1/content", ""},
      {"openai", SHEAF_JOB_ERRORS, "GET", "/files/err-1_2.3~/content", ""},
      {"openai", SHEAF_JOB_DISCARD, "DELETE", "/files/file%25%C3%A9", ""},
      {"openai", SHEAF_JOB_CREATE, "POST", "/batches",
       "{'input_file_id':'file%\xC3\xA9','endpoint':'/v1/chat/completions',"
       "'completion_window':'24h','metadata':{'sheaf':'" MARKER "'}}"},
      {"azure", SHEAF_JOB_POLL, "GET", "/batches/job%201", ""},
      {"groq", SHEAF_JOB_POLL, "GET", "/batches/job%201", ""},
      {"mistral", SHEAF_JOB_POLL, "GET", "/batch/jobs/job%201", ""},
      {"mistral", SHEAF_JOB_LIST, "GET", "/batch/jobs?page=0&page_size=100&order_by=-created", ""},
      {"mistral", SHEAF_JOB_CANCEL, "POST", "/batch/jobs/job%201/cancel", ""},
      {"mistral", SHEAF_JOB_OUTPUT, "GET", "/files/out%2F1/content", ""},
      {"mistral", SHEAF_JOB_ERRORS, "GET", "/files/err-1_2.3~/content", ""},
      {"mistral", SHEAF_JOB_DISCARD, "DELETE", "/files/file%25%C3%A9", ""},
      {"mistral", SHEAF_JOB_CREATE, "POST", "/batch/jobs",
       "{'input_files':['file%\xC3\xA9'],'endpoint':'/v1/chat/completions','model':'m1',"
       "'timeout_hours':24,'metadata':{'sheaf':'" MARKER "'}}"},
  };
  for (size_t i = 0; i < COUNT(cases); i++) {
    jobs_test t;
    jobs_init(&t, cases[i].provider);
    t.facts.job = TEXT("job 1");
    t.facts.file = TEXT("file%\xC3\xA9");
    t.facts.output = TEXT("out/1");
    t.facts.errors = TEXT("err-1_2.3~");
    CHECK_OK(write_call(&t, cases[i].step));
    CHECK_TEXT(sheaf_slice_of(t.call.method), cases[i].method);
    CHECK_TEXT(sheaf_buf_slice(&t.path), cases[i].path);
    CHECK_QUOTED(sheaf_buf_slice(&t.head), cases[i].body);
    CHECK_EQ(t.tail.bytes, 0);
    CHECK_EQ(t.call.header_count, 0);
    CHECK(!t.call.has_rows);
    CHECK_EQ(t.call.is_streamed,
             cases[i].step == SHEAF_JOB_OUTPUT || cases[i].step == SHEAF_JOB_ERRORS);
    jobs_deinit(&t);
  }
}

TEST(rows_are_uploaded_as_a_form_whose_boundary_is_the_marker) {
  static const char *const names[] = {"openai", "azure", "groq", "mistral"};
  for (size_t i = 0; i < COUNT(names); i++) {
    jobs_test t;
    jobs_init(&t, names[i]);
    CHECK_OK(write_call(&t, SHEAF_JOB_UPLOAD));
    CHECK_TEXT(sheaf_slice_of(t.call.method), "POST");
    CHECK_TEXT(sheaf_buf_slice(&t.path), "/files");
    CHECK(t.call.has_rows && !t.call.is_streamed);
    CHECK_TEXT(sheaf_buf_slice(&t.head),
               "--" MARKER
               "\r\nContent-Disposition: form-data; name=\"purpose\"\r\n\r\nbatch\r\n"
               "--" MARKER
               "\r\nContent-Disposition: form-data; name=\"file\"; "
               "filename=\"" MARKER ".jsonl\"\r\nContent-Type: application/octet-stream\r\n\r\n");
    CHECK_TEXT(sheaf_buf_slice(&t.tail), "\r\n--" MARKER "--\r\n");
    CHECK_EQ(t.call.header_count, 1);
    CHECK_TEXT(t.call.headers[0].name, "Content-Type");
    CHECK_TEXT(t.call.headers[0].value, "multipart/form-data; boundary=" MARKER);
    CHECK_EQ(t.call.headers[0].credential_id, 0);
    jobs_deinit(&t);
  }
}

/* RFC 2046: 1 to 70 characters; only those that need no quotes are kept. */
TEST(a_boundary_is_right_whatever_the_marker_is) {
  jobs_test t;
  jobs_init(&t, "openai");
  t.facts.marker = TEXT("\"\r\n \xC3\xA9;");
  CHECK_OK(write_call(&t, SHEAF_JOB_UPLOAD));
  CHECK_TEXT(t.call.headers[0].value, "multipart/form-data; boundary=sheaf");
  t.facts.marker = TEXT(
      "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
      "aaaaaaaaaaaaaaaaaaaaaaaa");
  CHECK_OK(write_call(&t, SHEAF_JOB_UPLOAD));
  CHECK(t.call.headers[0].value.bytes <= strlen("multipart/form-data; boundary=") + 70);
  jobs_deinit(&t);
}

TEST(windows_are_written_as_the_provider_reads_them) {
  static const struct {
    const char *provider;
    uint32_t hours;
    const char *part;
  } cases[] = {
      {"openai", 0, "'completion_window':'24h'"}, {"openai", 24, "'completion_window':'24h'"},
      {"groq", 168, "'completion_window':'7d'"},  {"groq", 30, "'completion_window':'30h'"},
      {"groq", 48, "'completion_window':'2d'"},   {"mistral", 72, "'timeout_hours':72"},
  };
  for (size_t i = 0; i < COUNT(cases); i++) {
    jobs_test t;
    jobs_init(&t, cases[i].provider);
    t.facts.file = TEXT("f");
    t.facts.window_hours = cases[i].hours;
    CHECK_OK(write_call(&t, SHEAF_JOB_CREATE));
    sheaf_buf_append(&t.head, "", 1);
    quoted(&t, cases[i].part);
    char part[64] = "";
    memcpy(part, t.copy, strlen(cases[i].part));
    CHECK(strstr(t.head.data, part) != NULL);
    jobs_deinit(&t);
  }
}

TEST(later_pages_are_asked_for_by_what_the_last_one_said) {
  jobs_test t;
  jobs_init(&t, "openai");
  t.facts.page = TEXT("batch_9&x=1");
  CHECK_OK(write_call(&t, SHEAF_JOB_LIST));
  CHECK_TEXT(sheaf_buf_slice(&t.path), "/batches?limit=100&after=batch_9%26x%3D1");
  jobs_deinit(&t);
  jobs_init(&t, "mistral");
  t.facts.page = TEXT("2");
  CHECK_OK(write_call(&t, SHEAF_JOB_LIST));
  CHECK_TEXT(sheaf_buf_slice(&t.path), "/batch/jobs?page=2&page_size=100&order_by=-created");
  jobs_deinit(&t);
}

TEST(steps_that_do_not_exist_are_unsupported) {
  static const char *const names[] = {"openai", "azure", "groq", "mistral"};
  static const uint32_t steps[] = {
      SHEAF_JOB_BEGIN, SHEAF_JOB_OUTPUT, SHEAF_JOB_ERRORS, SHEAF_JOB_DISCARD, 0, 99};
  for (size_t i = 0; i < COUNT(names); i++) {
    jobs_test t;
    jobs_init(&t, names[i]);
    t.facts.job = TEXT("j"); /* but no files */
    for (size_t n = 0; n < COUNT(steps); n++) {
      CHECK_STATUS(write_call(&t, steps[n]), SHEAF_E_UNSUPPORTED);
    }
    CHECK_STATUS(write_call(&t, SHEAF_JOB_CREATE), SHEAF_E_MISUSE);
    t.facts.job = TEXT("");
    CHECK_STATUS(write_call(&t, SHEAF_JOB_POLL), SHEAF_E_MISUSE);
    CHECK_STATUS(write_call(&t, SHEAF_JOB_CANCEL), SHEAF_E_MISUSE);
    jobs_deinit(&t);
  }
}

/* ---- Replies ---- */

TEST(an_upload_brings_the_files_id) {
  static const char *const names[] = {"openai", "azure", "groq", "mistral"};
  for (size_t i = 0; i < COUNT(names); i++) {
    jobs_test t;
    jobs_init(&t, names[i]);
    CHECK_OK(read_news(&t, SHEAF_JOB_UPLOAD,
                       "{'id':'file-1','object':'file','bytes':12,'created_at':1711471533,"
                       "'expires_at':null,'filename':'x.jsonl','purpose':'batch',"
                       "'status':'processed','status_details':null}"));
    CHECK_TEXT(t.news.file, "file-1");
    CHECK_EQ(t.news.job.bytes, 0);
    CHECK_OK(read_news(&t, SHEAF_JOB_UPLOAD, "\xEF\xBB\xBF\n{'id':'f\\u002d2'}"));
    CHECK_TEXT(t.news.file, "f-2");
    CHECK_STATUS(read_news(&t, SHEAF_JOB_UPLOAD, "{'object':'file'}"), SHEAF_E_SYNTAX);
    CHECK_STATUS(read_news(&t, SHEAF_JOB_UPLOAD, "{'id':null}"), SHEAF_E_SYNTAX);
    CHECK_STATUS(read_news(&t, SHEAF_JOB_UPLOAD, "<html>"), SHEAF_E_SYNTAX);
    CHECK_STATUS(read_news(&t, SHEAF_JOB_UPLOAD, ""), SHEAF_E_SYNTAX);
    jobs_deinit(&t);
  }
}

TEST(states_are_read_in_any_case_and_unknown_ones_are_unknown) {
  static const struct {
    const char *provider, *word;
    uint32_t state;
  } cases[] = {
      {"openai", "validating", SHEAF_JOB_VALIDATING_STATE},
      {"openai", "in_progress", SHEAF_JOB_RUNNING_STATE},
      {"openai", "finalizing", SHEAF_JOB_ENDING_STATE},
      {"openai", "completed", SHEAF_JOB_COMPLETED_STATE},
      {"openai", "failed", SHEAF_JOB_FAILED_STATE},
      {"openai", "expired", SHEAF_JOB_EXPIRED_STATE},
      {"openai", "cancelling", SHEAF_JOB_ENDING_STATE},
      {"openai", "cancelled", SHEAF_JOB_CANCELLED_STATE},
      {"azure", "Validating", SHEAF_JOB_VALIDATING_STATE},
      {"azure", "In_Progress", SHEAF_JOB_RUNNING_STATE},
      {"azure", "Completed", SHEAF_JOB_COMPLETED_STATE},
      {"groq", "in_progress", SHEAF_JOB_RUNNING_STATE},
      {"mistral", "QUEUED", SHEAF_JOB_QUEUED_STATE},
      {"mistral", "RUNNING", SHEAF_JOB_RUNNING_STATE},
      {"mistral", "SUCCESS", SHEAF_JOB_COMPLETED_STATE},
      {"mistral", "FAILED", SHEAF_JOB_FAILED_STATE},
      {"mistral", "TIMEOUT_EXCEEDED", SHEAF_JOB_EXPIRED_STATE},
      {"mistral", "CANCELLATION_REQUESTED", SHEAF_JOB_ENDING_STATE},
      {"mistral", "CANCELLED", SHEAF_JOB_CANCELLED_STATE},
      {"openai", "pondering", SHEAF_JOB_UNKNOWN_STATE},
      {"openai", "", SHEAF_JOB_UNKNOWN_STATE},
      {"mistral", "complete", SHEAF_JOB_UNKNOWN_STATE},
  };
  for (size_t i = 0; i < COUNT(cases); i++) {
    static const uint32_t steps[] = {SHEAF_JOB_CREATE, SHEAF_JOB_POLL, SHEAF_JOB_CANCEL};
    char text[96];
    jobs_test t;
    jobs_init(&t, cases[i].provider);
    snprintf(text, sizeof text, "{'id':'b','status':'%s'}", cases[i].word);
    for (size_t n = 0; n < COUNT(steps); n++) {
      CHECK_OK(read_news(&t, steps[n], text));
      CHECK_EQ(t.news.state, cases[i].state);
    }
    jobs_deinit(&t);
  }
}

TEST(a_finished_job_tells_files_counts_and_marker) {
  jobs_test t;
  jobs_init(&t, "openai");
  CHECK_OK(
      read_news(&t, SHEAF_JOB_POLL,
                "{'id':'batch_1','object':'batch','endpoint':'/v1/chat/completions','errors':null,"
                "'input_file_id':'file-in','completion_window':'24h','status':'completed',"
                "'output_file_id':'file-out','error_file_id':'file-err','created_at':1711471533,"
                "'in_progress_at':1711471538,'expires_at':1711557933,'completed_at':1711493163,"
                "'failed_at':null,'request_counts':{'total':100,'completed':95,'failed':5},"
                "'metadata':{'customer':'x','sheaf':'" MARKER "'}}"));
  CHECK_EQ(t.news.state, SHEAF_JOB_COMPLETED_STATE);
  CHECK_TEXT(t.news.job, "batch_1");
  CHECK_TEXT(t.news.output, "file-out");
  CHECK_TEXT(t.news.errors, "file-err");
  CHECK_TEXT(t.news.marker, MARKER);
  CHECK_EQ(t.news.total, 100);
  CHECK_EQ(t.news.completed, 95);
  CHECK_EQ(t.news.failed, 5);
  CHECK_EQ(t.news.created_unix_ms, 1711471533000);
  CHECK_EQ(t.news.error_code.bytes + t.news.error_message.bytes, 0);
  CHECK_EQ(t.news.file.bytes + t.news.results.bytes + t.news.upload.bytes, 0);
  CHECK(!t.news.is_full);
  CHECK_EQ(t.scratch.capacity, 0); /* nothing was escaped: nothing is copied */
  jobs_deinit(&t);
}

TEST(azures_dates_null_counts_and_empty_file_ids_are_understood) {
  jobs_test t;
  jobs_init(&t, "azure");
  CHECK_OK(
      read_news(&t, SHEAF_JOB_POLL,
                "{'id':'batch_2','status':'Completed','created_at':'2024-03-26T16:45:33+00:00',"
                "'output_file_id':'file-o','error_file_id':'','errors':null,'metadata':null,"
                "'request_counts':{'total':null,'completed':null,'failed':null}}"));
  CHECK_EQ(t.news.state, SHEAF_JOB_COMPLETED_STATE);
  CHECK_EQ(t.news.created_unix_ms, 1711471533000);
  CHECK_TEXT(t.news.output, "file-o");
  CHECK_EQ(t.news.errors.bytes, 0);
  CHECK_EQ(t.news.marker.bytes, 0);
  CHECK(t.news.total == SHEAF_ABSENT && t.news.completed == SHEAF_ABSENT);
  CHECK(t.news.failed == SHEAF_ABSENT);
  CHECK_OK(read_news(&t, SHEAF_JOB_POLL,
                     "{'id':'batch_2','status':'Validating','created_at':'soon',"
                     "'output_file_id':null,'error_file_id':null,'request_counts':null}"));
  CHECK(t.news.created_unix_ms == SHEAF_ABSENT && t.news.total == SHEAF_ABSENT);
  CHECK_EQ(t.news.output.bytes, 0);
  jobs_deinit(&t);
}

TEST(creation_times_are_read_in_every_spelling) {
  static const struct {
    const char *value;
    int64_t unix_ms;
  } cases[] = {
      {"1711471533", 1711471533000},
      {"1711471533.25", 1711471533250},
      {"'1711471533'", 1711471533000},
      {"'2024-03-26T16:45:33Z'", 1711471533000},
      {"'2024-03-26T18:45:33.5+02:00'", 1711471533500},
      {"0", SHEAF_ABSENT},
      {"-5", SHEAF_ABSENT},
      {"null", SHEAF_ABSENT},
      {"''", SHEAF_ABSENT},
      {"{}", SHEAF_ABSENT},
      {"99999999999999999999", SHEAF_ABSENT},
  };
  for (size_t i = 0; i < COUNT(cases); i++) {
    char body[96];
    jobs_test t;
    jobs_init(&t, "azure");
    snprintf(body, sizeof body, "{'id':'b','created_at':%s}", cases[i].value);
    CHECK_OK(read_news(&t, SHEAF_JOB_POLL, body));
    CHECK_EQ(t.news.created_unix_ms, cases[i].unix_ms);
    jobs_deinit(&t);
  }
}

TEST(a_failed_job_says_why_and_whether_there_was_no_room) {
  static const struct {
    const char *provider, *body, *code, *message;
    bool is_full;
  } cases[] = {
      {"openai",
       "{'id':'b','status':'failed','errors':{'object':'list','data':[{'code':'invalid_json_line',"
       "'line':1,'message':'This \\'line\\'','param':null},{'code':'x','message':'y'}]}}",
       "invalid_json_line", "This \"line\"", false},
      {"openai",
       "{'id':'b','status':'failed','errors':{'data':[{'code':'token_limit_exceeded','message':"
       "'Enqueued token limit reached for m.'}]}}",
       "token_limit_exceeded", "Enqueued token limit reached for m.", true},
      {"azure",
       "{'id':'b','status':'Failed','errors':{'data':[{'code':'token_limit_exceeded','message':"
       "'m'}]}}",
       "token_limit_exceeded", "m", true},
      {"openai",
       "{'id':'b','status':'completed','errors':{'data':[{'code':'token_limit_exceeded'}]}}",
       "token_limit_exceeded", "", false},
      {"openai", "{'id':'b','status':'failed','errors':{'data':[]}}", "", "", false},
      {"mistral", "{'id':'b','status':'FAILED','errors':[{'message':'no such model','count':3}]}",
       "", "no such model", false},
  };
  for (size_t i = 0; i < COUNT(cases); i++) {
    jobs_test t;
    jobs_init(&t, cases[i].provider);
    char body[400];
    snprintf(body, sizeof body, "%s", cases[i].body);
    CHECK_OK(read_news(&t, SHEAF_JOB_POLL, body));
    CHECK_TEXT(t.news.error_code, cases[i].code);
    CHECK_TEXT(t.news.error_message, cases[i].message);
    CHECK_EQ(t.news.is_full, cases[i].is_full);
    jobs_deinit(&t);
  }
}

TEST(mistrals_job_counts_its_successes) {
  jobs_test t;
  jobs_init(&t, "mistral");
  CHECK_OK(
      read_news(&t, SHEAF_JOB_POLL,
                "{'id':'8f1c','object':'batch','input_files':['f'],'metadata':{'sheaf':'" MARKER
                "'},'endpoint':'/v1/chat/completions','model':'m','agent_id':null,"
                "'output_file':'o-1','error_file':'e-1','errors':[],'outputs':null,"
                "'status':'SUCCESS','created_at':1711471533,'total_requests':10,"
                "'completed_requests':10,'succeeded_requests':8,'failed_requests':2,"
                "'started_at':1711471540,'completed_at':null}"));
  CHECK_TEXT(t.news.job, "8f1c");
  CHECK_TEXT(t.news.output, "o-1");
  CHECK_TEXT(t.news.errors, "e-1");
  CHECK_TEXT(t.news.marker, MARKER);
  CHECK_EQ(t.news.total, 10);
  CHECK_EQ(t.news.completed, 8);
  CHECK_EQ(t.news.failed, 2);
  CHECK_EQ(t.news.created_unix_ms, 1711471533000);
  jobs_deinit(&t);
}

TEST(replies_that_are_no_job_are_refused) {
  static const char *const bodies[] = {"",
                                       "null",
                                       "[]",
                                       "{}",
                                       "'x'",
                                       "{'status':'completed'}",
                                       "{'id':'b'",
                                       "{'id':{},'status':'completed'}",
                                       "<html></html>"};
  static const char *const names[] = {"openai", "mistral"};
  for (size_t n = 0; n < COUNT(names); n++) {
    jobs_test t;
    jobs_init(&t, names[n]);
    for (size_t i = 0; i < COUNT(bodies); i++) {
      CHECK_STATUS(read_news(&t, SHEAF_JOB_CREATE, bodies[i]), SHEAF_E_SYNTAX);
      CHECK_STATUS(read_news(&t, SHEAF_JOB_POLL, bodies[i]), SHEAF_E_SYNTAX);
    }
    jobs_deinit(&t);
  }
}

/* ---- Lists ---- */

/* Walks a page: the ids, each with a comma behind it. */
static int32_t walk(jobs_test *t, const char *body, const char *asked, char ids[256]) {
  sheaf_reply reply = {.struct_bytes = sizeof reply, .http_status = 200, .body = quoted(t, body)};
  size_t at = 0, bytes = 0;
  sheaf_buf_deinit(&t->scratch);
  t->page = sheaf_slice_of(asked);
  for (;;) {
    int32_t status = t->api->listed(t->api, &reply, &at, &t->scratch, &t->news, &t->page);
    ids[bytes] = 0;
    if (status != SHEAF_OK) return status;
    bytes += (size_t)snprintf(ids + bytes, 256 - bytes, "%.*s=%.*s,", (int)t->news.job.bytes,
                              t->news.job.data, (int)t->news.marker.bytes,
                              t->news.marker.bytes ? t->news.marker.data : "");
  }
}

TEST(a_list_gives_every_job_with_its_marker_and_where_it_goes_on) {
  jobs_test t;
  char ids[256];
  jobs_init(&t, "openai");
  CHECK_STATUS(
      walk(&t,
           "{'object':'list','data':[{'id':'b3','status':'in_progress','metadata':{'sheaf':'s3'},"
           "'request_counts':{'total':7,'completed':0,'failed':0}},\n {'id':'b\\u0032',"
           "'metadata':{'sheaf':'s\\/2'}} , {'id':'b1','metadata':null}],'first_id':'b3',"
           "'last_id':'b\\u0031','has_more':true}",
           "", ids),
      SHEAF_E_END);
  CHECK_TEXT(sheaf_slice_of(ids), "b3=s3,b2=s/2,b1=,");
  CHECK_TEXT(t.page, "b1");
  CHECK_STATUS(walk(&t, "{'data':[{'id':'b1'}],'last_id':'b1','has_more':false}", "b9", ids),
               SHEAF_E_END);
  CHECK_TEXT(sheaf_slice_of(ids), "b1=,");
  CHECK_EQ(t.page.bytes, 0);
  CHECK_STATUS(walk(&t, "{'object':'list','data':[],'has_more':false}", "", ids), SHEAF_E_END);
  CHECK_TEXT(sheaf_slice_of(ids), "");
  CHECK_EQ(t.page.bytes, 0);
  jobs_deinit(&t);
}

/* What is not found in a list is created again: half a list must not pass for a whole one. */
TEST(what_is_no_whole_list_is_refused) {
  static const char *const bodies[] = {
      "",
      "[]",
      "{}",
      "{'error':{'message':'m'}}",
      "{'data':null}",
      "{'data':{}}",
      "{'data':[{'id':'b1'}",
      "{'data':[7]}",
      "{'data':[{'status':'failed'}]}",
  };
  static const char *const names[] = {"openai", "mistral"};
  char ids[256];
  for (size_t n = 0; n < COUNT(names); n++) {
    jobs_test t;
    jobs_init(&t, names[n]);
    for (size_t i = 0; i < COUNT(bodies); i++) {
      CHECK_STATUS(walk(&t, bodies[i], "", ids), SHEAF_E_SYNTAX);
    }
    jobs_deinit(&t);
  }
  jobs_test t;
  jobs_init(&t, "openai");
  CHECK_STATUS(walk(&t, "{'data':[{'id':'b1'}],'has_more':true}", "", ids), SHEAF_E_SYNTAX);
  CHECK_STATUS(walk(&t, "{'data':[{'id':'b1'}],'has_more':true,'last_id':null}", "", ids),
               SHEAF_E_SYNTAX);
  jobs_deinit(&t);
}

/* Three jobs a page, whatever was asked for: a page ends the list when all have been seen. */
TEST(mistrals_pages_are_counted) {
  static const struct {
    const char *total, *asked, *next;
  } cases[] = {
      {"'total':3", "", ""},     {"'total':4", "", "1"},        {"'total':7", "1", "2"},
      {"'total':6", "1", ""},    {"'total':31", "9", "10"},     {"'total':30", "9", ""},
      {"'total':null", "", "1"}, {"'object':'list'", "4", "5"},
  };
  jobs_test t;
  char ids[256], body[96];
  jobs_init(&t, "mistral");
  for (size_t i = 0; i < COUNT(cases); i++) {
    snprintf(body, sizeof body, "{'data':[{'id':'a'},{'id':'b'},{'id':'c'}],%s}", cases[i].total);
    CHECK_STATUS(walk(&t, body, cases[i].asked, ids), SHEAF_E_END);
    CHECK_TEXT(sheaf_slice_of(ids), "a=,b=,c=,");
    CHECK_TEXT(t.page, cases[i].next);
  }
  CHECK_STATUS(walk(&t, "{'data':[],'total':500}", "3", ids), SHEAF_E_END);
  CHECK_EQ(t.page.bytes, 0); /* an empty page ends it, whatever the total says */
  jobs_deinit(&t);
}

/* ---- Results ---- */

TEST(lines_of_results_are_read_in_every_shape) {
  static const struct {
    const char *line;
    uint32_t kind, status;
    const char *id, *body, *request;
  } cases[] = {
      /* protocols 11 */
      {"{'id':'batch_req_1','custom_id':'a','response':{'status_code':200,'request_id':'r1',"
       "'body':{'id':'c1','choices':[]}},'error':null}",
       SHEAF_JOB_ITEM_REPLY, 200, "a", "{'id':'c1','choices':[]}", "r1"},
      {"{'id':'batch_req_2','custom_id':'b','response':{'status_code':400,'request_id':'r2',"
       "'body':{'error':{'message':'m','type':'invalid_request_error'}}},'error':null}\n",
       SHEAF_JOB_ITEM_REPLY, 400, "b", "{'error':{'message':'m','type':'invalid_request_error'}}",
       "r2"},
      {"{'id':'batch_req_3','custom_id':'c','response':null,'error':{'code':'batch_expired',"
       "'message':'m'}}",
       SHEAF_JOB_ITEM_EXPIRED, 0, "c", "", "batch_req_3"},
      {"{'id':'batch_req_4','custom_id':'d','response':null,'error':{'code':'batch_cancelled',"
       "'message':'m'}}",
       SHEAF_JOB_ITEM_CANCELLED, 0, "d", "", "batch_req_4"},
      /* never ran, for another reason: as if a server had answered so */
      {"{'custom_id':'e','response':null,'error':{'code':'server_error','message':'m'}}",
       SHEAF_JOB_ITEM_REPLY, 500, "e", "{'error':{'code':'server_error','message':'m'}}", ""},
      {"{'custom_id':'e','response':null,'error':{'code':'rate_limit_exceeded','message':'m'}}",
       SHEAF_JOB_ITEM_REPLY, 429, "e", "{'error':{'code':'rate_limit_exceeded','message':'m'}}",
       ""},
      {"{'custom_id':'e','response':null,'error':{'code':'model_not_found','message':'m'}}",
       SHEAF_JOB_ITEM_REPLY, 404, "e", "{'error':{'code':'model_not_found','message':'m'}}", ""},
      {"{'custom_id':'e','response':null,'error':{'code':'invalid_request','message':'m'}}",
       SHEAF_JOB_ITEM_REPLY, 400, "e", "{'error':{'code':'invalid_request','message':'m'}}", ""},
      {"{'custom_id':'e','response':null,'error':{'code':503,'message':'m'}}", SHEAF_JOB_ITEM_REPLY,
       503, "e", "{'error':{'code':503,'message':'m'}}", ""},
      {"{'custom_id':'e','response':null,'error':'out of memory'}", SHEAF_JOB_ITEM_REPLY, 500, "e",
       "{'error':'out of memory'}", ""},
      /* a success needs both: no error, and a 2xx */
      {"{'custom_id':'f','response':{'status_code':200,'body':{'id':'x'}},'error':{'code':'e'}}",
       SHEAF_JOB_ITEM_REPLY, 500, "f", "{'error':{'code':'e'}}", ""},
      {"{'custom_id':'f','response':{'status_code':429,'body':{'error':{'message':'slow'}}},"
       "'error':{'code':'e'}}",
       SHEAF_JOB_ITEM_REPLY, 429, "f", "{'error':{'message':'slow'}}", ""},
      {"{'custom_id':'f','response':{'status_code':503,'body':null},'error':{'code':'e'}}",
       SHEAF_JOB_ITEM_REPLY, 503, "f", "{'error':{'code':'e'}}", ""},
      {"{'custom_id':'f','response':{'status_code':502,'body':null},'error':null}",
       SHEAF_JOB_ITEM_REPLY, 502, "f", "", ""},
      /* Mistral: no request id, and errors may be left out */
      {"{'id':'batch-1','custom_id':'g','response':{'status_code':200,'body':{'choices':[]}}}",
       SHEAF_JOB_ITEM_REPLY, 200, "g", "{'choices':[]}", "batch-1"},
      {"{'custom_id':'g','response':{'body':{'choices':[]}},'error':null}", SHEAF_JOB_ITEM_REPLY,
       200, "g", "{'choices':[]}", ""},
      {"{'custom_id':'h\\u0069\\'\\\\','response':{'status_code':200,'request_id':'\\u0072',"
       "'body':{}}}",
       SHEAF_JOB_ITEM_REPLY, 200, "hi'\\", "{}", "r"},
  };
  static const char *const names[] = {"openai", "azure", "groq", "mistral"};
  for (size_t i = 0; i < COUNT(cases) * COUNT(names); i++) {
    jobs_test t;
    size_t n = i / COUNT(names);
    jobs_init(&t, names[i % COUNT(names)]);
    CHECK_OK(read_item(&t, cases[n].line));
    CHECK_EQ(t.item.kind, cases[n].kind);
    CHECK_EQ(t.item.http_status, cases[n].status);
    CHECK_QUOTED(t.item.id, cases[n].id);
    CHECK_QUOTED(t.item.body, cases[n].body);
    CHECK_QUOTED(t.item.request_id, cases[n].request);
    jobs_deinit(&t);
  }
}

/* Text of `count` two-byte characters, and how JSON may write it. */
static size_t escaped(char *json, char *plain, size_t count) {
  for (size_t i = 0; i < count; i++) {
    memcpy(json + 6 * i, "\\u00e9", 6);
    memcpy(plain + 2 * i, "\xC3\xA9", 2);
  }
  json[6 * count] = plain[2 * count] = 0;
  return 2 * count;
}

/* The id, the request's id and the error all go to scratch, and none may move the others. */
TEST(long_escaped_ids_and_an_error_behind_them_stay_whole) {
  jobs_test t;
  char line[8192], json[1801], id[601];
  escaped(json, id, 300);
  snprintf(line, sizeof line,
           "{'custom_id':'%s','id':'\\u0071\\u0072','response':null,'error':{'code':'c',"
           "'message':'%05000d'}}",
           json, 1);
  jobs_init(&t, "openai");
  CHECK_OK(read_item(&t, line));
  CHECK_TEXT(t.item.id, id);
  CHECK_TEXT(t.item.request_id, "qr");
  CHECK_EQ(t.item.body.bytes, 5000 + strlen("{'error':{'code':'c','message':''}}"));
  CHECK_OK(sheaf_json_check(t.item.body, NULL));
  jobs_deinit(&t);
}

TEST(long_escaped_texts_of_a_job_stay_whole) {
  static const char *const names[] = {"openai", "mistral"};
  for (size_t i = 0; i < COUNT(names); i++) {
    jobs_test t;
    char body[8192], json[1201], text[401];
    escaped(json, text, 200);
    snprintf(body, sizeof body,
             "{'id':'%s','output_file_id':'%s','output_file':'%s','metadata':{'sheaf':'%s'}}", json,
             json, json, json);
    jobs_init(&t, names[i]);
    CHECK_OK(read_news(&t, SHEAF_JOB_POLL, body));
    CHECK_TEXT(t.news.job, text);
    CHECK_TEXT(t.news.output, text);
    CHECK_TEXT(t.news.marker, text);
    jobs_deinit(&t);
  }
}

TEST(lines_without_an_id_or_an_outcome_are_refused) {
  static const struct {
    const char *line;
    int32_t status;
  } cases[] = {
      {"", SHEAF_E_SYNTAX},
      {"[]", SHEAF_E_SYNTAX},
      {"{'custom_id':'a'", SHEAF_E_SYNTAX},
      {"{'response':{'status_code':200,'body':{}}}", SHEAF_E_FIELD},
      {"{'custom_id':'','response':{'status_code':200,'body':{}}}", SHEAF_E_FIELD},
      {"{'custom_id':null,'response':{'status_code':200,'body':{}}}", SHEAF_E_FIELD},
      {"{'custom_id':'a'}", SHEAF_E_FIELD},
      {"{'custom_id':'a','response':null,'error':null}", SHEAF_E_FIELD},
      {"{'custom_id':'a','response':{'status_code':200}}", SHEAF_E_FIELD},
  };
  static const char *const names[] = {"openai", "mistral"};
  for (size_t i = 0; i < COUNT(cases) * COUNT(names); i++) {
    jobs_test t;
    jobs_init(&t, names[i % COUNT(names)]);
    CHECK_STATUS(read_item(&t, cases[i / COUNT(names)].line), cases[i / COUNT(names)].status);
    jobs_deinit(&t);
  }
}

/* ---- Memory ---- */

static int32_t use_calls(jobs_test *t) {
  static const uint32_t steps[] = {SHEAF_JOB_UPLOAD, SHEAF_JOB_CREATE, SHEAF_JOB_POLL,
                                   SHEAF_JOB_LIST,   SHEAF_JOB_CANCEL, SHEAF_JOB_OUTPUT,
                                   SHEAF_JOB_ERRORS, SHEAF_JOB_DISCARD};
  t->facts.page = TEXT("5");
  t->facts.job = t->facts.file = t->facts.output = t->facts.errors = TEXT("some id");
  for (size_t i = 0; i < COUNT(steps); i++) {
    int32_t status = write_call(t, steps[i]);
    if (status != SHEAF_OK) return status;
  }
  return SHEAF_OK;
}

static int32_t use_row(jobs_test *t) {
  int32_t status = write_row(t, TEXT("an id"), "{'x':\n[1,2,3,4,5,6,7,8,9,0],'yyyyyyyyyyyyy':0}");
  if (status != SHEAF_OK) CHECK_EQ(t->row.bytes, 0);
  return status;
}

static int32_t use_news(jobs_test *t) {
  int32_t status = read_news(t, SHEAF_JOB_UPLOAD, "{'id':'f\\u0031'}");
  if (status != SHEAF_OK) return status;
  return read_news(t, SHEAF_JOB_POLL,
                   "{'id':'b\\u0031','output_file_id':'\\u0032','error_file_id':'\\u0033',"
                   "'metadata':{'sheaf':'\\u0034'}}");
}

static int32_t use_list(jobs_test *t) {
  char ids[256];
  int32_t status = walk(t,
                        "{'data':[{'id':'\\u0061'},{'id':'\\u0062'}],'has_more':true,"
                        "'last_id':'\\u0062','total':999}",
                        "3", ids);
  return status == SHEAF_E_END && t->page.bytes > 0 ? SHEAF_OK : status;
}

static int32_t use_item(jobs_test *t) {
  int32_t status = read_item(t, "{'custom_id':'\\u0061','response':{'status_code':200,'body':{}}}");
  if (status != SHEAF_OK) return status;
  return read_item(t, "{'custom_id':'a','response':null,'error':{'code':'x'}}");
}

TEST(every_refused_allocation_is_told_and_nothing_leaks) {
  static int32_t (*const uses[])(jobs_test *) = {use_calls, use_row, use_news, use_list, use_item};
  static const char *const names[] = {"openai", "azure", "groq", "mistral"};
  for (size_t i = 0; i < COUNT(uses) * COUNT(names); i++) {
    uint64_t n = 1;
    for (; n < 200; n++) {
      jobs_test t;
      jobs_init(&t, names[i % COUNT(names)]);
      t.memory.fail_at = n;
      int32_t status = uses[i / COUNT(names)](&t);
      bool is_reached = t.memory.calls >= n;
      CHECK_STATUS(status, is_reached ? SHEAF_E_NOMEM : SHEAF_OK);
      jobs_deinit(&t);
      if (!is_reached) break;
    }
    CHECK(n > 1 && n < 200); /* some memory was asked for, and the end was reached */
  }
}

/* ---- Names and tables ---- */

TEST(states_and_steps_have_names) {
  for (uint32_t i = 0; i <= SHEAF_JOB_ABANDONED_STATE; i++) {
    CHECK_EQ(sheaf_job_state_find(sheaf_slice_of(sheaf_job_state_name(i))), i);
  }
  CHECK_TEXT(sheaf_slice_of(sheaf_job_state_name(SHEAF_JOB_RUNNING_STATE)), "running");
  CHECK_TEXT(sheaf_slice_of(sheaf_job_state_name(14)), "unknown");
  CHECK_TEXT(sheaf_slice_of(sheaf_job_state_name(UINT32_MAX)), "unknown");
  CHECK_EQ(sheaf_job_state_find(TEXT("Running")), SHEAF_JOB_UNKNOWN_STATE);
  CHECK_EQ(sheaf_job_state_find((sheaf_slice){NULL, 0}), SHEAF_JOB_UNKNOWN_STATE);
  CHECK_TEXT(sheaf_slice_of(sheaf_job_step_name(SHEAF_JOB_BEGIN)), "begin");
  CHECK_TEXT(sheaf_slice_of(sheaf_job_step_name(SHEAF_JOB_DISCARD)), "discard");
  CHECK_TEXT(sheaf_slice_of(sheaf_job_step_name(0)), "unknown");
  CHECK_TEXT(sheaf_slice_of(sheaf_job_step_name(10)), "unknown");
}

TEST(news_begin_with_nothing_told) {
  sheaf_job_news news;
  memset(&news, 0x55, sizeof news);
  sheaf_job_news_init(&news);
  CHECK_EQ(news.struct_bytes, sizeof news);
  CHECK_EQ(news.state, SHEAF_JOB_UNKNOWN_STATE);
  CHECK(news.total == SHEAF_ABSENT && news.completed == SHEAF_ABSENT);
  CHECK(news.failed == SHEAF_ABSENT && news.created_unix_ms == SHEAF_ABSENT);
  CHECK(news.job.bytes == 0 && news.marker.data == NULL && !news.is_full);
}

TEST(an_api_is_found_where_the_provider_has_one) {
  CHECK(sheaf_job_api_of(NULL) == NULL);
  CHECK(sheaf_job_api_of(sheaf_provider_find(TEXT("ollama"))) == NULL);
  /* A provider compiled when there were no jobs: the member behind its end is not read. */
  sheaf_provider old = *sheaf_provider_find(TEXT("openai"));
  CHECK(sheaf_job_api_of(&old) == old.jobs);
  old.struct_bytes = (uint32_t)offsetof(sheaf_provider, jobs);
  CHECK(sheaf_job_api_of(&old) == NULL);
}

/* protocols 10: numbers at a glance. */
TEST(the_tables_say_what_the_providers_document) {
  static const struct {
    const char *name;
    uint64_t requests, bytes, inputs, poll_ms;
    uint32_t expires;
  } cases[] = {
      {"openai", 50000, 200000000, 50000, 0, 24},
      {"azure", 100000, 200000000, 0, 60000, 0},
      {"groq", 50000, 100000000, 0, 0, 24},
      {"mistral", 100000, 512000000, 0, 0, 24},
  };
  for (size_t i = 0; i < COUNT(cases); i++) {
    const sheaf_provider *provider = sheaf_provider_find(sheaf_slice_of(cases[i].name));
    const sheaf_job_api *api = sheaf_job_api_of(provider);
    CHECK_TEXT(sheaf_slice_of(api->name), cases[i].name);
    CHECK_EQ(api->struct_bytes, sizeof *api);
    CHECK_EQ(api->traits.requests_max, cases[i].requests);
    CHECK_EQ(api->traits.bytes_max, cases[i].bytes);
    CHECK_EQ(api->traits.inputs_max, cases[i].inputs);
    CHECK_EQ(api->traits.poll_min_ms, cases[i].poll_ms);
    CHECK_EQ(api->traits.expires_hours, cases[i].expires);
    CHECK_EQ(api->traits.window_hours, 24);
    CHECK_EQ(api->traits.discount_pct, 50);
    CHECK(api->traits.flags & SHEAF_JOBS_MARKER && api->traits.flags & SHEAF_JOBS_FILES);
    CHECK(!(api->traits.flags & SHEAF_JOBS_INLINE));
    CHECK(api->traits.id_rule && api->traits.caveats);
    CHECK(api->offers && api->row && api->row_body && api->call);
    CHECK(api->read && api->listed && api->item);
  }
}

int main(void) {
  RUN(rows_are_one_line_with_id_url_and_body);
  RUN(rows_follow_each_other_and_odd_ids_are_escaped);
  RUN(a_pretty_printed_body_becomes_one_line);
  RUN(bodies_that_cannot_travel_are_refused_and_leave_nothing);
  RUN(a_rows_body_comes_back_with_or_without_its_separator);
  RUN(each_offers_its_operations_only);
  RUN(every_step_is_this_call);
  RUN(rows_are_uploaded_as_a_form_whose_boundary_is_the_marker);
  RUN(a_boundary_is_right_whatever_the_marker_is);
  RUN(windows_are_written_as_the_provider_reads_them);
  RUN(later_pages_are_asked_for_by_what_the_last_one_said);
  RUN(steps_that_do_not_exist_are_unsupported);
  RUN(an_upload_brings_the_files_id);
  RUN(states_are_read_in_any_case_and_unknown_ones_are_unknown);
  RUN(a_finished_job_tells_files_counts_and_marker);
  RUN(azures_dates_null_counts_and_empty_file_ids_are_understood);
  RUN(a_failed_job_says_why_and_whether_there_was_no_room);
  RUN(mistrals_job_counts_its_successes);
  RUN(replies_that_are_no_job_are_refused);
  RUN(a_list_gives_every_job_with_its_marker_and_where_it_goes_on);
  RUN(what_is_no_whole_list_is_refused);
  RUN(mistrals_pages_are_counted);
  RUN(lines_of_results_are_read_in_every_shape);
  RUN(long_escaped_ids_and_an_error_behind_them_stay_whole);
  RUN(long_escaped_texts_of_a_job_stay_whole);
  RUN(creation_times_are_read_in_every_spelling);
  RUN(lines_without_an_id_or_an_outcome_are_refused);
  RUN(every_refused_allocation_is_told_and_nothing_leaks);
  RUN(states_and_steps_have_names);
  RUN(news_begin_with_nothing_told);
  RUN(an_api_is_found_where_the_provider_has_one);
  RUN(the_tables_say_what_the_providers_document);
  return check_report();
}
