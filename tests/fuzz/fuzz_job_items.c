/* fuzz_job_items.c: what every batch API reads, against any bytes: lines of results, replies to
 * each step, lists; and rows that it writes. The first byte chooses provider and mode, the second
 * the step.
 *
 * Asserted: no crash; only the answers that the contract knows; every slice can be read to its end;
 * results and bodies are JSON; counts are counts; a list ends; a row that was written is one line,
 * and its body can be found in it. */
#include <sheaf/jobs.h>

#include <stdlib.h>
#include <string.h>

#define REQUIRE(condition) ((condition) ? (void)0 : abort())
#define SCRATCH_BYTES_MAX (1 << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

enum { ITEM, READ, LISTED, ROW, MODES };

static void *allocate(void *ctx, void *ptr, size_t old_bytes, size_t new_bytes) {
  (void)ctx, (void)old_bytes;
  if (new_bytes == 0) {
    free(ptr);
    return NULL;
  }
  return realloc(ptr, new_bytes);
}

static const sheaf_allocator allocator = {allocate, NULL};

/* Reads every byte, which is what makes a slice into lost memory show. */
static void touch(sheaf_slice slice) {
  static volatile uint32_t sum;
  for (size_t i = 0; i < slice.bytes; i++) sum = sum + (unsigned char)slice.data[i];
}

static bool is_count(int64_t number) {
  return number == SHEAF_ABSENT || number >= 0;
}

static void check_news(const sheaf_job_news *news) {
  const sheaf_slice slices[] = {news->upload,  news->file,       news->job,
                                news->marker,  news->output,     news->errors,
                                news->results, news->error_code, news->error_message};
  for (size_t i = 0; i < sizeof slices / sizeof slices[0]; i++) touch(slices[i]);
  REQUIRE(news->struct_bytes == sizeof *news);
  REQUIRE(news->state <= SHEAF_JOB_ABANDONED_STATE);
  REQUIRE(is_count(news->total) && is_count(news->completed) && is_count(news->failed));
  if (news->is_full) REQUIRE(news->state == SHEAF_JOB_FAILED_STATE);
  if (news->results.bytes > 0) REQUIRE(sheaf_json_check(news->results, NULL) == SHEAF_OK);
}

static void run_item(const sheaf_job_api *api, sheaf_slice line, sheaf_buf *scratch) {
  sheaf_job_item item = {.struct_bytes = sizeof item};
  const int32_t status = api->item(api, line, scratch, &item);
  REQUIRE(status == SHEAF_OK || status == SHEAF_E_SYNTAX || status == SHEAF_E_FIELD);
  if (status != SHEAF_OK) return;
  touch(item.id);
  touch(item.body);
  touch(item.request_id);
  REQUIRE(item.kind >= SHEAF_JOB_ITEM_REPLY && item.kind <= SHEAF_JOB_ITEM_CANCELLED);
  if (item.kind != SHEAF_JOB_ITEM_REPLY) return;
  REQUIRE(item.http_status >= 100 && item.http_status <= 599);
  if (item.body.bytes > 0) REQUIRE(sheaf_json_check(item.body, NULL) == SHEAF_OK);
}

static void run_read(const sheaf_job_api *api, uint32_t step, const sheaf_job_facts *facts,
                     const sheaf_reply *reply, sheaf_buf *scratch) {
  sheaf_job_news news;
  sheaf_job_news_init(&news);
  const int32_t status = api->read(api, step, facts, reply, scratch, &news);
  REQUIRE(status == SHEAF_OK || status == SHEAF_E_SYNTAX || status == SHEAF_E_UNSUPPORTED);
  if (status == SHEAF_OK) check_news(&news);
}

/* A job takes two bytes at least, so that a list cannot have more of them than bytes. */
static void run_listed(const sheaf_job_api *api, const sheaf_reply *reply, sheaf_buf *scratch) {
  sheaf_slice page = {NULL, 0};
  size_t at = 0, count = 0;
  int32_t status;
  do {
    sheaf_job_news news;
    const size_t before = at;
    sheaf_job_news_init(&news);
    status = api->listed(api, reply, &at, scratch, &news, &page);
    REQUIRE(status == SHEAF_OK || status == SHEAF_E_END || status == SHEAF_E_SYNTAX ||
            status == SHEAF_E_UNSUPPORTED);
    if (status == SHEAF_OK) {
      check_news(&news);
      REQUIRE(at > before && at <= reply->body.bytes);
      REQUIRE(++count <= reply->body.bytes);
    }
  } while (status == SHEAF_OK);
  if (status == SHEAF_E_END) touch(page);
}

static void run_row(const sheaf_job_api *api, const sheaf_job_facts *facts, sheaf_slice text,
                    sheaf_buf *to) {
  sheaf_slice body;
  while (text.bytes > 0 && (unsigned char)text.data[0] <= ' ') text.data++, text.bytes--;
  if (sheaf_json_kind(text) != SHEAF_JSON_OBJECT) return;
  if (sheaf_json_check(text, NULL) != SHEAF_OK) return;
  const int32_t status = api->row(api, facts, SHEAF_LITERAL("r0-a"), text, to);
  REQUIRE(status == SHEAF_OK || status == SHEAF_E_FIELD);
  if (status != SHEAF_OK) {
    REQUIRE(to->bytes == 0);
    return;
  }
  const sheaf_slice row = sheaf_buf_slice(to);
  REQUIRE(row.bytes > 2);
  REQUIRE(memchr(row.data, '\n', row.bytes - 1) == NULL);
  REQUIRE(row.data[row.bytes - 1] == (facts->is_inline ? ',' : '\n'));
  /* A body that is nested as deeply as can be has no room in a row. */
  if (sheaf_json_check((sheaf_slice){row.data, row.bytes - 1}, NULL) == SHEAF_E_DEPTH) return;
  REQUIRE(api->row_body(api, row, &body) == SHEAF_OK);
  REQUIRE(sheaf_json_kind(body) == SHEAF_JSON_OBJECT);
  touch(body);
}

static const sheaf_job_api *choose(uint32_t n) {
  const sheaf_job_api *apis[16];
  uint32_t count = 0;
  for (uint32_t i = 0; sheaf_provider_at(i) && count < 16; i++) {
    const sheaf_job_api *api = sheaf_job_api_of(sheaf_provider_at(i));
    if (api) apis[count++] = api;
  }
  REQUIRE(count > 0);
  return apis[n % count];
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes) {
  if (bytes < 2) return 0;
  const sheaf_job_api *api = choose(data[0] >> 2);
  char *copy = malloc(bytes - 1); /* of its exact size, plus one so that it is never empty */
  REQUIRE(copy != NULL);
  memcpy(copy, data + 2, bytes - 2);
  const sheaf_reply reply = {.struct_bytes = sizeof reply,
                             .http_status = 200,
                             .body = {copy, bytes - 2},
                             .unix_ms = 1795000000000};
  const sheaf_job_facts facts = {
      .struct_bytes = sizeof facts,
      .path = SHEAF_LITERAL("/chat/completions"),
      .model = SHEAF_LITERAL("m"),
      .marker = SHEAF_LITERAL("sheaf-00112233445566778899aabbccddeeff"),
      .requests = 3,
      .is_inline = (api->traits.flags & SHEAF_JOBS_FILES) == 0,
      .job = SHEAF_LITERAL("job"),
  };
  sheaf_buf scratch;
  sheaf_buf_init(&scratch, &allocator, SCRATCH_BYTES_MAX);
  switch (data[0] % MODES) {
    case ITEM: run_item(api, reply.body, &scratch); break;
    case READ: run_read(api, SHEAF_JOB_BEGIN + data[1] % 9, &facts, &reply, &scratch); break;
    case LISTED: run_listed(api, &reply, &scratch); break;
    default: run_row(api, &facts, reply.body, &scratch);
  }
  sheaf_buf_deinit(&scratch);
  free(copy);
  return 0;
}
