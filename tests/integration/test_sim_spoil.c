/* test_sim_spoil.c: what a client sees of each fault that bends a body or a stream.
 *
 *   table, draws   how each kind shows itself; shares; the schedule's rules
 *   bodies         pages, garbage, nothing, white space, gzip, giants, redirects
 *   streams        the same text, bent, broken off, or without its end */
#include "sim_client.h"

#include "sim/sim_int.h"

#include <math.h>
#include <zlib.h>

#define STREAM "{\"model\":\"m\",\"stream\":true," HELLO "}"
#define STREAM_USAGE \
  "{\"model\":\"m\",\"stream\":true,\"stream_options\":{\"include_usage\":true}," HELLO "}"
#define MESSAGE "{\"model\":\"c\",\"max_tokens\":50," HELLO "}"
#define MESSAGE_STREAM "{\"model\":\"c\",\"max_tokens\":50,\"stream\":true," HELLO "}"
#define GEMINI "{\"contents\":[{\"parts\":[{\"text\":\"hello\"}]}]}"
#define GEMINI_PATH "/v1beta/models/g:generateContent"
#define GEMINI_STREAM "/v1beta/models/g:streamGenerateContent?alt=sse"
#define OLLAMA "{\"model\":\"m\",\"stream\":false," HELLO "}"
#define OLLAMA_STREAM "{\"model\":\"m\"," HELLO "}"

/* A request to each provider, in one piece and as a stream; `text` is the path of the answer, or of
 * a piece of it in a line that begins with `prefix`. */
typedef struct shape {
  const char *path, *body, *text, *prefix, *stream_path, *stream_body, *piece, *end;
} shape;

static const shape shapes[] = {
    {CHAT, CHAT_HELLO, "choices[0].message.content", "data: ", CHAT, STREAM,
     "choices[0].delta.content", "data: [DONE]"},
    {"/v1/messages", MESSAGE, "content[0].text", "data: ", "/v1/messages", MESSAGE_STREAM,
     "delta.text", "event: message_stop"},
    {GEMINI_PATH, GEMINI, "candidates[0].content.parts[0].text", "data: ", GEMINI_STREAM, GEMINI,
     "candidates[0].content.parts[0].text", "\"finishReason\":\"STOP\""},
    {"/api/chat", OLLAMA, "message.content", "", "/api/chat", OLLAMA_STREAM, "message.content",
     "\"done\":true"},
};
#define SHAPES (sizeof shapes / sizeof *shapes)

static void fetch_fault(const sheaf_sim *sim, reply *got, const char *path, const char *body,
                        const char *fault) {
  char header[64];
  snprintf(header, sizeof header, "x-sheaf-fault: %s", fault);
  fetch_for(sim, got, path, body, header, VERSION, 20000);
  assert_int_equal(got->code, CURLE_OK);
}

static bool is_json(const reply *got) {
  return sheaf_json_check(sheaf_buf_slice(&got->body), NULL) == SHEAF_OK;
}

static bool has(const reply *got, const char *part) {
  return strstr(got->text, part) != NULL;
}

/* ---- The table, and draws ---- */

/* As sim.h describes the kinds. */
static void each_fault_shows_itself_as_described(void **state) {
  (void)state;
  static const struct {
    const char *name;
    uint32_t shown, error;
  } rows[] = {
      {"429", SIM_SHOWN_ERROR, SIM_RATE_REQUESTS},
      {"500", SIM_SHOWN_ERROR, SIM_SERVER_ERROR},
      {"529", SIM_SHOWN_ERROR, SIM_OVERLOADED},
      {"reset", SIM_SHOWN_WIRE, SIM_ERROR_COUNT},
      {"stall", SIM_SHOWN_WIRE, SIM_ERROR_COUNT},
      {"truncate", SIM_SHOWN_STREAM, SIM_ERROR_COUNT},
      {"quota", SIM_SHOWN_ERROR, SIM_QUOTA},
      {"cut", SIM_SHOWN_STREAM, SIM_ERROR_COUNT},
      {"408", SIM_SHOWN_ERROR, SIM_TIMEOUT},
      {"502", SIM_SHOWN_BODY, SIM_ERROR_COUNT},
      {"503", SIM_SHOWN_ERROR, SIM_LOADING},
      {"429-bare", SIM_SHOWN_ERROR, SIM_RATE_REQUESTS},
      {"refuse", SIM_SHOWN_WIRE, SIM_ERROR_COUNT},
      {"reset-head", SIM_SHOWN_WIRE, SIM_ERROR_COUNT},
      {"reset-body", SIM_SHOWN_STREAM, SIM_ERROR_COUNT},
      {"stall-body", SIM_SHOWN_STREAM, SIM_ERROR_COUNT},
      {"drip", SIM_SHOWN_WIRE, SIM_ERROR_COUNT},
      {"length", SIM_SHOWN_WIRE, SIM_ERROR_COUNT},
      {"garbage", SIM_SHOWN_BODY, SIM_ERROR_COUNT},
      {"garbage-head", SIM_SHOWN_WIRE, SIM_ERROR_COUNT},
      {"late-error", SIM_SHOWN_STREAM, SIM_ERROR_COUNT},
      {"no-end", SIM_SHOWN_STREAM, SIM_ERROR_COUNT},
      {"no-usage", SIM_SHOWN_STREAM, SIM_ERROR_COUNT},
      {"blank", SIM_SHOWN_STREAM, SIM_ERROR_COUNT},
      {"giant", SIM_SHOWN_BODY, SIM_ERROR_COUNT},
      {"gzip", SIM_SHOWN_BODY, SIM_ERROR_COUNT},
      {"gzip-bad", SIM_SHOWN_BODY, SIM_ERROR_COUNT},
      {"chunks", SIM_SHOWN_WIRE, SIM_ERROR_COUNT},
      {"chunks-bad", SIM_SHOWN_WIRE, SIM_ERROR_COUNT},
      {"redirect", SIM_SHOWN_BODY, SIM_ERROR_COUNT},
  };
  sheaf_sim_options options = SHEAF_SIM_OPTIONS_INIT;
  sim_world world = {.options = &options};
  assert_int_equal(sizeof rows / sizeof *rows, SHEAF_SIM_FAULT_COUNT);
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    sim_call call;
    sheaf__sim_call_init(&call);
    call.world = &world;
    call.fault = sheaf__sim_fault_find(rows[i].name, strlen(rows[i].name));
    assert_true(call.fault < SHEAF_SIM_FAULT_COUNT);
    assert_string_equal(sheaf_sim_fault_name(call.fault), rows[i].name);
    assert_int_equal(sheaf__sim_fault_shown(call.fault), rows[i].shown);
    assert_int_equal(sheaf__sim_fault_error(&call), rows[i].error);
    /* Only a plain 429 says when to come back. */
    assert_int_equal(call.retry_after_ns, i == 0 ? 250 * SIM_MS : 0);
    assert_int_equal(call.is_usage_hidden, strcmp(rows[i].name, "no-usage") == 0);
    sheaf__sim_call_deinit(&call);
  }
  assert_int_equal(sheaf__sim_fault_find("42", 2), SIM_NO_FAULT);
  assert_int_equal(sheaf__sim_fault_find("4290", 4), SIM_NO_FAULT);
  assert_int_equal(sheaf__sim_fault_find("", 0), SIM_NO_FAULT);
}

static void faults_are_drawn_by_their_shares(void **state) {
  (void)state;
  enum { DRAWS = 100000 };
  static const uint32_t shares[] = {50000, 300000, 0, 1000};
  static const uint32_t kinds[] = {SHEAF_SIM_FAULT_RATE_LIMIT, SHEAF_SIM_FAULT_REDIRECT,
                                   SHEAF_SIM_FAULT_RESET, SHEAF_SIM_FAULT_GIANT};
  unsigned met[SHEAF_SIM_FAULT_COUNT + 1] = {0};
  sheaf_sim_options options = SHEAF_SIM_OPTIONS_INIT;
  sim_world world = {.options = &options};
  for (unsigned i = 0; i < 4; i++) options.fault_ppm[kinds[i]] = shares[i];
  for (uint64_t i = 0; i < DRAWS; i++) {
    uint32_t fault = sheaf__sim_fault_draw(&world, sheaf__sim_mix(3, i));
    met[fault == SIM_NO_FAULT ? SHEAF_SIM_FAULT_COUNT : fault]++;
  }
  unsigned sum = met[SHEAF_SIM_FAULT_COUNT];
  for (unsigned i = 0; i < 4; i++) {
    double p = shares[i] / 1e6, deviation = sqrt(DRAWS * p * (1 - p));
    assert_true(fabs(met[kinds[i]] - DRAWS * p) <= 5 * deviation);
    sum += met[kinds[i]];
  }
  assert_int_equal(sum, DRAWS); /* no other kind came */
}

/* ---- The schedule ---- */

typedef struct tried {
  const char *path, *model, *body;
  uint64_t ms;
} tried;

/* Which of the requests get a fault: a character each, '.' for none, else the first of its name. */
static void assert_schedule(const char *rules, const tried *requests, size_t count,
                            const char *wanted) {
  char message[160] = "", found[128] = "";
  sim_schedule *schedule = NULL;
  const char *path = write_file(rules);
  int32_t status = sheaf__sim_schedule_load(&schedule, path, message, sizeof message);
  remove(path);
  if (status != SHEAF_OK) print_error("%s\n", message);
  assert_int_equal(status, SHEAF_OK);
  assert_true(count < sizeof found);
  for (size_t i = 0; i < count; i++) {
    sim_call call;
    sheaf__sim_call_init(&call);
    call.path = requests[i].path;
    call.key = sheaf__sim_mix(8, i);
    call.asked.model = sheaf_slice_of(requests[i].model);
    sheaf_buf_append_text(&call.body, requests[i].body);
    uint32_t fault = sheaf__sim_schedule_draw(schedule, &call, requests[i].ms * SIM_MS);
    found[i] = fault == SIM_NO_FAULT ? '.' : *sheaf_sim_fault_name(fault);
    sheaf__sim_call_deinit(&call);
  }
  sheaf__sim_schedule_free(schedule);
  assert_string_equal(found, wanted);
}

static void conditions_choose_requests(void **state) {
  (void)state;
  static const tried requests[] = {
      {CHAT, "m", "{\"a\":\"caf\xc3\xa9\"}", 0},
      {CHAT, "n", "{}", 999},
      {"/v1/messages", "m", "{\"q\\\"d\":1}", 1000},
      {"/v1/models", "", "", 1999},
      {"/v1/chat", "m", "x", 2000},
      {CHAT, "mm", "{\"a\":\"caf\\u00e9\"}", 5000},
  };
#define TRY(rules, wanted) assert_schedule(rules, requests, 6, wanted)
  TRY("", "......");
  TRY("{\"fault\":\"500\"}", "555555");
  TRY("{\"fault\":\"500\",\"from_ms\":1000}", "..5555");
  TRY("{\"fault\":\"500\",\"to_ms\":1000}", "55....");
  TRY("{\"fault\":\"500\",\"from_ms\":999,\"to_ms\":2000}", ".555..");
  TRY("{\"fault\":\"500\",\"path\":\"/v1/chat/completions\"}", "55...5");
  TRY("{\"fault\":\"500\",\"path\":\"/v1/chat*\"}", "55..55");
  TRY("{\"fault\":\"500\",\"path\":\"*\"}", "555555");
  TRY("{\"fault\":\"500\",\"path\":\"/v1/chat\"}", "....5.");
  TRY("{\"fault\":\"500\",\"model\":\"m\"}", "5.5.5.");
  TRY("{\"fault\":\"500\",\"match\":\"caf\\u00e9\"}", "5....5");
  TRY("{\"fault\":\"500\",\"match\":\"q\\\"d\"}", "..5...");
  TRY("{\"fault\":\"500\",\"match\":\"none of it\"}", "......");
  TRY("{\"fault\":\"500\",\"model\":\"m\",\"path\":\"/v1/messages\",\"to_ms\":1001}", "..5...");
  TRY("{\"fault\":\"500\",\"rate\":0}", "......");
  TRY("{\"fault\":\"500\",\"rate\":null}", "555555");
  /* The first rule that fires wins, and the others count all the same. */
  TRY("{\"fault\":\"500\",\"path\":\"/v1/m*\"}\n{\"fault\":\"reset\"}", "rr55rr");
  TRY("{\"fault\":\"500\",\"first\":2}\n{\"fault\":\"reset\",\"skip\":1,\"first\":2}", "55r...");
#undef TRY
}

static void counts_choose_requests(void **state) {
  (void)state;
  tried requests[12];
  for (unsigned i = 0; i < 12; i++) requests[i] = (tried){i % 2 ? "/b" : "/a", "m", "{}", 10 * i};
#define TRY(rules, wanted) assert_schedule(rules, requests, 12, wanted)
  TRY("{\"fault\":\"500\",\"first\":3}", "555.........");
  TRY("{\"fault\":\"500\",\"skip\":10}", "..........55");
  TRY("{\"fault\":\"500\",\"every\":3}", "..5..5..5..5");
  TRY("{\"fault\":\"500\",\"every\":1}", "555555555555");
  TRY("{\"fault\":\"500\",\"every\":5,\"skip\":1}", ".....5....5.");
  TRY("{\"fault\":\"500\",\"every\":2,\"first\":2,\"skip\":3}", "....5.5.....");
  TRY("{\"fault\":\"500\",\"path\":\"/b\",\"every\":2}", "...5...5...5");
  TRY("{\"fault\":\"500\",\"from_ms\":50,\"skip\":2,\"first\":1}", ".......5....");
#undef TRY
}

static void rates_of_rules_are_drawn_apart(void **state) {
  (void)state;
  enum { DRAWS = 10000 };
  unsigned met[3] = {0};
  sim_schedule *schedule = NULL;
  const char *path =
      write_file("{\"fault\":\"500\",\"rate\":0.25}\n{\"fault\":\"408\",\"rate\":0.5}");
  assert_int_equal(sheaf__sim_schedule_load(&schedule, path, NULL, 0), SHEAF_OK);
  remove(path);
  sim_call call;
  sheaf__sim_call_init(&call);
  call.path = CHAT;
  for (uint64_t i = 0; i < DRAWS; i++) {
    call.key = sheaf__sim_mix(1, i);
    uint32_t fault = sheaf__sim_schedule_draw(schedule, &call, 0);
    met[fault == SIM_NO_FAULT ? 2 : fault == SHEAF_SIM_FAULT_TIMEOUT]++;
  }
  /* 1/4, and 1/2 and 1/2 of the other 3/4; five deviations of at most 48.4. */
  assert_in_range(met[0], 2500 - 217, 2500 + 217);
  assert_in_range(met[1], 3750 - 242, 3750 + 242);
  assert_in_range(met[2], 3750 - 242, 3750 + 242);
  sheaf__sim_call_deinit(&call);
  sheaf__sim_schedule_free(schedule);
}

/* ---- Other bodies ---- */

static void a_bad_gateway_is_a_page(void **state) {
  (void)state;
  sheaf_sim *sim = start(NULL, NULL);
  for (size_t i = 0; i < SHAPES; i++)
    for (unsigned n = 0; n < 2; n++) {
      reply got;
      fetch_fault(sim, &got, n ? shapes[i].stream_path : shapes[i].path,
                  n ? shapes[i].stream_body : shapes[i].body, "502:2");
      assert_int_equal(got.status, 502);
      assert_header(&got, "content-type", "text/html");
      assert_memory_equal(got.text, "<html>", 6);
      assert_true(has(&got, "502 Bad Gateway"));
      reply_deinit(&got);
    }
  sheaf_sim_stop(sim);
}

static void a_model_that_is_loading_says_so(void **state) {
  (void)state;
  reply got;
  sheaf_sim *sim = start(NULL, NULL);
  fetch_fault(sim, &got, CHAT, CHAT_HELLO, "503");
  assert_int_equal(got.status, 503);
  /* As llama.cpp's server answers while it loads. */
  assert_int_equal(pick_int(&got, "error.code"), 503);
  assert_string_equal(pick(&got, "error.message"), "Loading model");
  assert_string_equal(pick(&got, "error.type"), "unavailable_error");
  reply_deinit(&got);
  fetch_fault(sim, &got, "/api/chat", OLLAMA, "503");
  assert_int_equal(got.status, 503);
  assert_true(*pick(&got, "error"));
  reply_deinit(&got);
  for (size_t i = 0; i < SHAPES; i++) {
    fetch_fault(sim, &got, shapes[i].path, shapes[i].body, "408");
    assert_int_equal(got.status, 408);
    assert_true(is_json(&got));
    reply_deinit(&got);
  }
  sheaf_sim_stop(sim);
}

static void garbage_is_no_json(void **state) {
  (void)state;
  sheaf_sim *sim = start(NULL, NULL);
  for (size_t i = 0; i < SHAPES; i++) {
    reply got;
    fetch_fault(sim, &got, shapes[i].path, shapes[i].body, "garbage");
    assert_int_equal(got.status, 200);
    assert_header(&got, "content-type", "application/json");
    assert_true(got.body.bytes >= 64);
    assert_false(is_json(&got));
    reply_deinit(&got);
  }
  sheaf_sim_stop(sim);
}

static void a_redirect_leads_to_nothing(void **state) {
  (void)state;
  reply got;
  sheaf_sim *sim = start(NULL, NULL);
  fetch_fault(sim, &got, CHAT, CHAT_HELLO, "redirect");
  assert_int_equal(got.status, 307);
  assert_header(&got, "location", "/_sim/elsewhere");
  assert_int_equal(got.body.bytes, 0);
  reply_deinit(&got);
  assert_int_equal(status_of(sim, "/_sim/elsewhere", CHAT_HELLO, NULL), 404);
  fetch_fault(sim, &got, CHAT, STREAM, "redirect");
  assert_int_equal(got.status, 307);
  reply_deinit(&got);
  sheaf_sim_stop(sim);
}

static void a_late_error_hides_behind_200(void **state) {
  (void)state;
  static const char *const paths[] = {"error.type", "error.type", "error.status", "error"};
  sheaf_sim *sim = start(NULL, NULL);
  for (size_t i = 0; i < SHAPES; i++) {
    reply got;
    fetch_fault(sim, &got, shapes[i].path, shapes[i].body, "late-error");
    assert_int_equal(got.status, 200);
    assert_true(*pick(&got, paths[i]));
    assert_string_equal(pick(&got, shapes[i].text), "");
    reply_deinit(&got);
  }
  sheaf_sim_stop(sim);
}

static void an_answer_without_its_end_is_empty(void **state) {
  (void)state;
  sheaf_sim *sim = start(NULL, NULL);
  for (size_t i = 0; i < SHAPES; i++) {
    reply got;
    fetch_fault(sim, &got, shapes[i].path, shapes[i].body, "no-end");
    assert_int_equal(got.status, 200);
    assert_int_equal(got.body.bytes, 0);
    assert_header(&got, "content-length", "0");
    reply_deinit(&got);
  }
  sheaf_sim_stop(sim);
}

/* ---- The same body in another coat ---- */

static void blank_bodies_have_space_around_them(void **state) {
  (void)state;
  sheaf_sim *sim = start(NULL, NULL);
  for (size_t i = 0; i < SHAPES; i++) {
    reply got;
    fetch_fault(sim, &got, shapes[i].path, shapes[i].body, "blank");
    assert_true(got.text[0] != '{' && got.body.data[got.body.bytes - 1] != '}');
    assert_true(is_json(&got));
    assert_string_equal(pick(&got, shapes[i].text), "echo: hello");
    reply_deinit(&got);
  }
  sheaf_sim_stop(sim);
}

static void usage_may_be_missing(void **state) {
  (void)state;
  static const char *const counts[] = {"usage.completion_tokens", "usage.output_tokens",
                                       "usageMetadata.candidatesTokenCount", "eval_count"};
  sheaf_sim *sim = start(NULL, NULL);
  for (size_t i = 0; i < SHAPES; i++) {
    reply got;
    fetch_fault(sim, &got, shapes[i].path, shapes[i].body, "no-usage");
    assert_string_equal(pick(&got, counts[i]), "");
    assert_string_equal(pick(&got, shapes[i].text), "echo: hello");
    reply_deinit(&got);
    fetch_fault(sim, &got, shapes[i].path, shapes[i].body, "no-usage"); /* given once */
    assert_string_equal(pick(&got, counts[i]), "3");
    reply_deinit(&got);
    const char *body = i == 0 ? STREAM_USAGE : shapes[i].stream_body;
    fetch_fault(sim, &got, shapes[i].stream_path, body, "no-usage");
    assert_true(has(&got, shapes[i].end));
    assert_false(has(&got, "okens\":"));
    assert_false(has(&got, "_count\":"));
    reply_deinit(&got);
  }
  sheaf_sim_stop(sim);
}

/* Unpacks with zlib; 15 + 16: a gzip file and nothing else. */
static void unpack(reply *got) {
  static unsigned char plain[65536];
  z_stream z;
  memset(&z, 0, sizeof z);
  assert_int_equal(inflateInit2(&z, 15 + 16), Z_OK);
  z.next_in = (Bytef *)got->body.data;
  z.avail_in = (uInt)got->body.bytes;
  z.next_out = plain;
  z.avail_out = sizeof plain;
  assert_int_equal(inflate(&z, Z_FINISH), Z_STREAM_END);
  assert_int_equal(z.avail_in, 0);
  sheaf_buf_reset(&got->body);
  sheaf_buf_append(&got->body, plain, z.total_out);
  assert_true(z.total_out < sizeof got->text);
  memcpy(got->text, plain, z.total_out);
  got->text[z.total_out] = 0;
  inflateEnd(&z);
}

static void gzip_unpacks_to_the_answer(void **state) {
  (void)state;
  sheaf_sim *sim = start(NULL, NULL);
  for (size_t i = 0; i < SHAPES; i++) {
    reply got;
    char text[256];
    fetch_fault(sim, &got, shapes[i].path, shapes[i].body, "gzip");
    assert_int_equal(got.status, 200);
    assert_header(&got, "content-encoding", "gzip");
    assert_header(&got, "content-type", "application/json");
    unpack(&got);
    assert_string_equal(pick(&got, shapes[i].text), "echo: hello");
    reply_deinit(&got);
    /* A stream is packed whole, and keeps its type. */
    fetch_fault(sim, &got, shapes[i].stream_path, shapes[i].stream_body,
                i == 2 ? "gzip:2" : "gzip");
    assert_header(&got, "content-encoding", "gzip");
    assert_null(strstr(header_of(&got, "content-type"), "/json"));
    unpack(&got);
    assert_true(has(&got, shapes[i].end));
    join(&got, shapes[i].prefix, shapes[i].piece, text, sizeof text);
    assert_string_equal(text, "echo: hello");
    reply_deinit(&got);
  }
  sheaf_sim_stop(sim);
}

static void bad_gzip_is_not_packed(void **state) {
  (void)state;
  reply got;
  sheaf_sim *sim = start(NULL, NULL);
  fetch_fault(sim, &got, CHAT, CHAT_HELLO, "gzip-bad:2");
  assert_header(&got, "content-encoding", "gzip");
  assert_string_equal(pick(&got, "choices[0].message.content"), "echo: hello");
  reply_deinit(&got);
  reply_init(&got);
  struct curl_slist *headers = curl_slist_append(NULL, "x-sheaf-fault: gzip-bad:2");
  CURL *easy = make(sim, &got, CHAT, CHAT_HELLO, headers, 20000);
  curl_easy_setopt(easy, CURLOPT_ACCEPT_ENCODING, "gzip");
  assert_int_equal(curl_easy_perform(easy), CURLE_BAD_CONTENT_ENCODING);
  curl_easy_cleanup(easy);
  curl_slist_free_all(headers);
  reply_deinit(&got);
  sheaf_sim_stop(sim);
}

/* ---- Giants ---- */

static void giants_are_as_large_as_ordered(void **state) {
  (void)state;
  sheaf_sim *sim = start("giant-bytes", "300000", NULL);
  for (size_t i = 0; i < SHAPES; i++) {
    reply got;
    fetch_fault(sim, &got, shapes[i].path, shapes[i].body, "giant");
    assert_int_equal(got.status, 200);
    assert_int_equal(got.body.bytes, 300000);
    assert_true(is_json(&got));
    /* The size is in the text, not around it. */
    const char *path = shapes[i].text;
    sheaf_slice value;
    assert_int_equal(sheaf_json_pick(sheaf_buf_slice(&got.body), &path, 1, &value, NULL, NULL),
                     SHEAF_OK);
    assert_true(value.bytes > 290000);
    assert_memory_equal(value.data, "\"echo: hello", 12);
    reply_deinit(&got);
    fetch_fault(sim, &got, shapes[i].stream_path, shapes[i].stream_body, "giant");
    assert_true(got.body.bytes >= 300000 && got.body.bytes < 310000);
    reply_deinit(&got);
  }
  sheaf_sim_stop(sim);
}

static void giant_json_is_json_and_small_giants_stay_as_they_are(void **state) {
  (void)state;
  static const char embed[] = "{\"model\":\"m\",\"input\":\"x\"}";
  reply got;
  sheaf_sim *sim = start("giant-bytes", "100000", "answer", "json", NULL);
  fetch_fault(sim, &got, CHAT, CHAT_HELLO, "giant");
  assert_int_equal(got.body.bytes, 100000);
  const char *path = "choices[0].message.content";
  sheaf_slice value;
  sheaf_buf plain;
  assert_int_equal(sheaf_json_pick(sheaf_buf_slice(&got.body), &path, 1, &value, NULL, NULL),
                   SHEAF_OK);
  sheaf_buf_init(&plain, &allocator, 1u << 20);
  sheaf_buf_append_unescaped(&plain, sheaf_json_inside(value));
  assert_int_equal(sheaf_json_check(sheaf_buf_slice(&plain), NULL), SHEAF_OK);
  assert_true(plain.bytes > 90000);
  sheaf_buf_deinit(&plain);
  reply_deinit(&got);
  fetch_fault(sim, &got, "/v1/embeddings", embed, "giant");
  assert_int_equal(got.body.bytes, 100000);
  assert_true(is_json(&got));
  reply_deinit(&got);
  sheaf_sim_stop(sim);
  sim = start("giant-bytes", "10", NULL);
  fetch_fault(sim, &got, CHAT, CHAT_HELLO, "giant");
  assert_string_equal(pick(&got, "choices[0].message.content"), "echo: hello");
  reply_deinit(&got);
  sheaf_sim_stop(sim);
}

/* ---- Streams ---- */

static void blank_streams_say_the_same(void **state) {
  (void)state;
  sheaf_sim *sim = start(NULL, NULL);
  for (size_t i = 0; i < SHAPES; i++) {
    reply got;
    char text[256];
    bool is_sse = *shapes[i].prefix != 0;
    fetch_fault(sim, &got, shapes[i].stream_path, shapes[i].stream_body, "blank");
    join(&got, shapes[i].prefix, shapes[i].piece, text, sizeof text);
    assert_string_equal(text, "echo: hello");
    assert_true(has(&got, shapes[i].end));
    assert_true(has(&got, "\r\n\r\n"));
    assert_true(has(&got, ": ping\r\n") == is_sse);
    /* Each line is empty, a comment, a field, or a value on a line of its own. */
    for (const char *line = got.text; *line;) {
      size_t bytes = strcspn(line, "\r\n");
      assert_true(bytes == 0 || *line == '{' ||
                  (is_sse && (*line == ':' || strncmp(line, "data:", 5) == 0 ||
                              strncmp(line, "event:", 6) == 0)));
      if (is_sse) assert_int_equal(line[bytes], '\r'); /* one form of line end throughout */
      line += bytes;
      line += *line == '\r';
      line += *line == '\n';
    }
    reply_deinit(&got);
  }
  sheaf_sim_stop(sim);
}

static void streams_lack_their_end(void **state) {
  (void)state;
  sheaf_sim *sim = start(NULL, NULL);
  for (size_t i = 0; i < SHAPES; i++) {
    reply got;
    char text[256];
    fetch_fault(sim, &got, shapes[i].stream_path, shapes[i].stream_body, "no-end");
    assert_int_equal(got.status, 200);
    join(&got, shapes[i].prefix, shapes[i].piece, text, sizeof text);
    assert_string_equal(text, "echo: hello");
    assert_false(has(&got, shapes[i].end));
    /* What is there is whole. */
    assert_int_equal(got.body.data[got.body.bytes - 1], '\n');
    reply_deinit(&got);
    fetch_fault(sim, &got, shapes[i].stream_path, shapes[i].stream_body, "no-end");
    assert_true(has(&got, shapes[i].end));
    reply_deinit(&got);
  }
  sheaf_sim_stop(sim);
}

/* "echo: hello" has three tokens and "echo: x" two: half of them is two and one. */
static void streams_break_off_after_half_of_the_tokens(void **state) {
  (void)state;
  static const char *const faults[] = {"truncate", "late-error"};
  sheaf_sim *sim = start(NULL, NULL);
  for (size_t i = 0; i < SHAPES; i++)
    for (unsigned n = 0; n < 2; n++) {
      reply got;
      char text[256];
      fetch_fault(sim, &got, shapes[i].stream_path, shapes[i].stream_body, faults[n]);
      join(&got, shapes[i].prefix, shapes[i].piece, text, sizeof text);
      assert_string_equal(text, "echo: he");
      assert_false(has(&got, shapes[i].end));
      assert_true(has(&got, "\"error\"") == (n == 1));
      reply_deinit(&got);
    }
  sheaf_sim_stop(sim);
}

static void a_cut_goes_through_an_event(void **state) {
  (void)state;
  sheaf_sim *sim = start(NULL, NULL);
  for (size_t i = 0; i < SHAPES; i++) {
    reply got, whole;
    char text[256];
    fetch_for(sim, &got, shapes[i].stream_path, shapes[i].stream_body, "x-sheaf-fault: cut",
              VERSION, 20000);
    assert_int_equal(got.code, CURLE_PARTIAL_FILE);
    assert_int_equal(got.status, 200);
    assert_true(got.body.bytes > 0);
    assert_true(got.body.data[got.body.bytes - 1] != '\n');
    sheaf_buf_append(&got.body, "\n", 1);
    /* The event before the cut is whole. */
    while (got.body.bytes && got.body.data[got.body.bytes - 1] != '{') got.body.bytes--;
    const char *last = got.body.data + got.body.bytes;
    while (last > got.body.data && last[-1] != '\n') last--;
    got.body.bytes = (size_t)(last - got.body.data);
    join(&got, shapes[i].prefix, shapes[i].piece, text, sizeof text);
    assert_string_equal(text, "echo");
    reply_deinit(&got);
    fetch_fault(sim, &whole, shapes[i].stream_path, shapes[i].stream_body, "cut");
    assert_true(has(&whole, shapes[i].end));
    reply_deinit(&whole);
  }
  sheaf_sim_stop(sim);
}

static void other_breaks_leave_whole_events(void **state) {
  (void)state;
  sheaf_sim *sim = start(NULL, NULL);
  reply got;
  char text[256];
  fetch_for(sim, &got, CHAT, STREAM, "x-sheaf-fault: reset-body", NULL, 20000);
  assert_int_equal(got.code, CURLE_RECV_ERROR);
  reply_deinit(&got);
  fetch_for(sim, &got, CHAT, STREAM, "x-sheaf-fault: stall-body", NULL, 300);
  assert_int_equal(got.code, CURLE_OPERATION_TIMEDOUT);
  assert_int_equal(got.status, 200);
  join(&got, "data: ", "choices[0].delta.content", text, sizeof text);
  assert_string_equal(text, "echo: he");
  reply_deinit(&got);
  settle(sim);
  sheaf_sim_stop(sim);
}

/* A fault that needs the whole body finds that of the stream. */
static void faults_of_the_wire_send_the_stream_s_text(void **state) {
  (void)state;
  sheaf_sim *sim = start("drip", "1", NULL);
  reply got;
  char text[256];
  fetch_fault(sim, &got, CHAT, STREAM, "chunks");
  assert_true(has(&got, "data: [DONE]"));
  join(&got, "data: ", "choices[0].delta.content", text, sizeof text);
  assert_string_equal(text, "echo: hello");
  reply_deinit(&got);
  fetch_fault(sim, &got, CHAT, STREAM, "drip");
  assert_true(has(&got, "data: [DONE]"));
  reply_deinit(&got);
  sheaf_sim_stop(sim);
}

int main(void) {
  static const struct CMUnitTest tests[] = {
      cmocka_unit_test(each_fault_shows_itself_as_described),
      cmocka_unit_test(faults_are_drawn_by_their_shares),
      cmocka_unit_test(conditions_choose_requests),
      cmocka_unit_test(counts_choose_requests),
      cmocka_unit_test(rates_of_rules_are_drawn_apart),
      cmocka_unit_test(a_bad_gateway_is_a_page),
      cmocka_unit_test(a_model_that_is_loading_says_so),
      cmocka_unit_test(garbage_is_no_json),
      cmocka_unit_test(a_redirect_leads_to_nothing),
      cmocka_unit_test(a_late_error_hides_behind_200),
      cmocka_unit_test(an_answer_without_its_end_is_empty),
      cmocka_unit_test(blank_bodies_have_space_around_them),
      cmocka_unit_test(usage_may_be_missing),
      cmocka_unit_test(gzip_unpacks_to_the_answer),
      cmocka_unit_test(bad_gzip_is_not_packed),
      cmocka_unit_test(giants_are_as_large_as_ordered),
      cmocka_unit_test(giant_json_is_json_and_small_giants_stay_as_they_are),
      cmocka_unit_test(blank_streams_say_the_same),
      cmocka_unit_test(streams_lack_their_end),
      cmocka_unit_test(streams_break_off_after_half_of_the_tokens),
      cmocka_unit_test(a_cut_goes_through_an_event),
      cmocka_unit_test(other_breaks_leave_whole_events),
      cmocka_unit_test(faults_of_the_wire_send_the_stream_s_text),
  };
  RUN_SUITE(tests);
}
