/* test_wasm_jobs.c: the jobs module's calls, compiled for this machine: a job from its requests to its
 * results, in two lives with nothing between them but the host's bytes; the spool in memory; and that no
 * handle or number of a host's breaks them. */
#include "../../wasm/jobs/jobs.h"

#include "check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- The spool ---- */

static size_t allowed; /* bytes that may still be asked for */

static void *counted(void *ctx, void *data, size_t from, size_t to) {
  (void)ctx;
  if (to > from && to - from > allowed) return NULL;
  if (to > from) allowed -= to - from;
  if (to == 0) {
    free(data);
    return NULL;
  }
  return realloc(data, to);
}

static const sheaf_allocator counting = {counted, NULL};

static uint8_t byte_at(uint64_t job, uint64_t at) {
  return (uint8_t)(job * 31 + at * 7 + at / 251);
}

static int32_t append(wasm_spool *spool, uint64_t job, uint64_t at, size_t bytes) {
  char *data = malloc(bytes ? bytes : 1);
  for (size_t i = 0; i < bytes; i++) data[i] = (char)byte_at(job, at + i);
  int32_t status = sheaf__spool_append(spool, job, at, (sheaf_slice){data, bytes});
  free(data);
  return status;
}

/* Whether the job has just the first so many of its bytes, read in pieces of a size. */
static bool holds(wasm_spool *spool, uint64_t job, uint64_t bytes, size_t piece) {
  uint8_t *data = malloc(piece);
  uint64_t at = 0;
  bool same = true;
  for (;;) {
    int64_t got = sheaf__spool_read(spool, job, at, data, piece);
    if (got <= 0) break;
    for (int64_t i = 0; i < got; i++) same = same && data[i] == byte_at(job, at + (uint64_t)i);
    at += (uint64_t)got;
  }
  free(data);
  return same && at == bytes;
}

TEST(bytes_of_jobs_come_back_as_they_were_put_whatever_their_pieces) {
  allowed = SIZE_MAX / 2;
  wasm_spool spool = {.allocator = &counting};
  uint64_t at[3] = {0, 0, 0};
  static const size_t sizes[] = {1, 4095, 65536, 262143, 262144, 300000, 0, 7};
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
    for (uint64_t job = 1; job <= 2; job++) {
      CHECK_OK(append(&spool, job, at[job], sizes[i]));
      at[job] += sizes[i];
    }
  CHECK(holds(&spool, 1, at[1], 1000) && holds(&spool, 2, at[2], 1 << 20));
  /* What a run that died left behind is cut off. */
  CHECK_OK(append(&spool, 1, 300001, 5));
  CHECK(holds(&spool, 1, 300006, 4096));
  CHECK_EQ(append(&spool, 1, 300007, 5), SHEAF_E_IO);
  CHECK(holds(&spool, 1, 300006, 4096) && holds(&spool, 2, at[2], 4096));
  CHECK_EQ(sheaf__spool_read(&spool, 3, 0, NULL, 0), 0);
  sheaf__spool_deinit(&spool);
}

TEST(a_sealed_job_is_taken_once_and_a_dropped_one_told_once) {
  allowed = SIZE_MAX / 2;
  wasm_spool spool = {.allocator = &counting};
  CHECK_OK(append(&spool, 1, 0, 10));
  CHECK_OK(append(&spool, 2, 0, 20));
  CHECK(sheaf__spool_take(&spool) == NULL);
  CHECK_OK(sheaf__spool_seal(&spool, 2));
  CHECK_EQ(sheaf__spool_seal(&spool, 9), SHEAF_E_IO);
  const wasm_spooled *taken = sheaf__spool_take(&spool);
  CHECK(taken != NULL && taken->job == 2 && taken->bytes == 20);
  CHECK(sheaf__spool_take(&spool) == NULL);
  CHECK_EQ(sheaf__spool_forget(&spool), 0);
  sheaf__spool_drop(&spool, 2);
  CHECK_EQ(sheaf__spool_piece(&spool, 2, 0).bytes, 0);
  sheaf__spool_drop(&spool, 7); /* of an earlier run, never loaded */
  CHECK_EQ(sheaf__spool_forget(&spool), 2);
  CHECK_EQ(sheaf__spool_forget(&spool), 7);
  CHECK_EQ(sheaf__spool_forget(&spool), 0);
  /* What the host brings back it has already. */
  CHECK_OK(append(&spool, 3, 0, 5));
  sheaf__spool_loaded(&spool, 3);
  CHECK(sheaf__spool_take(&spool) == NULL);
  sheaf__spool_deinit(&spool);
}

TEST(without_memory_the_spool_stays_as_it_was) {
  for (size_t most = 0; most < 1200000; most += 40000) {
    allowed = most;
    wasm_spool spool = {.allocator = &counting};
    uint64_t at = 0;
    for (int i = 0; i < 6; i++)
      if (append(&spool, 1, at, 200000) == SHEAF_OK) at += 200000;
    CHECK(holds(&spool, 1, at, 30000));
    CHECK(at <= most);
    sheaf__spool_deinit(&spool);
  }
}

/* ---- A job ---- */

/* The host's store. */
static sheaf_buf records, rows;

static const char options[] =
    "{\"provider\":\"openai\",\"base_url\":\"http://h/v1\",\"model\":\"m\",\"credential_id\":1,"
    "\"lane\":\"batch\",\"poll_interval_ms\":100,\"batch_mode\":\"%s\"}";

static uint32_t open_in_mode(const char *mode) {
  char text[300];
  int bytes = snprintf(text, sizeof text, options, mode);
  uint32_t client = sheaf_wasm_open(text, (uint32_t)bytes, 1, 0, NULL);
  if (client == 0) return 0;
  const wasm_mail *mail = sheaf_wasm_mail(client);
  if (sheaf_wasm_use_jobs(client, records.data, (uint32_t)records.bytes, 1, 2, 1.7e12) != SHEAF_OK)
    return 0;
  if (mail->bytes.bytes)
    sheaf_buf_append(&records, (const char *)mail->bytes.data, mail->bytes.bytes);
  return client;
}

static bool says(wasm_slice slice, const char *text) {
  return slice.bytes == strlen(text) &&
         (slice.bytes == 0 || memcmp((const char *)slice.data, text, slice.bytes) == 0);
}

static bool has(wasm_slice slice, const char *text) {
  size_t bytes = strlen(text);
  for (size_t i = 0; i + bytes <= slice.bytes; i++)
    if (memcmp((const char *)slice.data + i, text, bytes) == 0) return true;
  return false;
}

static void save_rows(uint32_t client, const wasm_mail *mail) {
  while (sheaf_wasm_spool_take(client)) {
    double flight = mail->number;
    for (double at = 0;; at += (double)mail->bytes.bytes) {
      CHECK_OK(sheaf_wasm_spool_piece(client, flight, at));
      if (mail->bytes.bytes == 0) break;
      sheaf_buf_append(&rows, (const char *)mail->bytes.data, mail->bytes.bytes);
    }
  }
}

/* What the provider answers to a call, and how often it was asked. */
static char ids[2][80]; /* as the upload gave them */
static uint32_t uploads, creates, results_told;

static const char *answer(const wasm_mail *mail, sheaf_slice body) {
  static char lines[1000];
  static const char line[] =
      "{\"id\":\"r\",\"custom_id\":\"%s\",\"response\":{\"status_code\":200,\"request_id\":\"q\","
      "\"body\":{\"id\":\"c\",\"model\":\"m\",\"choices\":[{\"index\":0,\"message\":{\"role\":"
      "\"assistant\",\"content\":\"to %d\"},\"finish_reason\":\"stop\"}],\"usage\":{"
      "\"prompt_tokens\":3,\"completion_tokens\":1,\"total_tokens\":4}}},\"error\":null}\n";
  if (says(mail->method, "POST") && has(mail->url, "/files")) {
    uploads++;
    const char *at = body.data;
    for (int i = 0; i < 2; i++) {
      at = strstr(at, "\"custom_id\":\"");
      CHECK(at != NULL);
      at += strlen("\"custom_id\":\"");
      CHECK(sscanf(at, "%79[^\"]", ids[i]) == 1);
    }
    return "{\"id\":\"file-1\",\"object\":\"file\"}";
  }
  if (says(mail->method, "POST")) {
    creates++;
    return "{\"id\":\"batch_1\",\"object\":\"batch\",\"status\":\"validating\"}";
  }
  if (has(mail->url, "/content")) {
    int bytes = snprintf(lines, sizeof lines, line, ids[1], 1);
    snprintf(lines + bytes, sizeof lines - (size_t)bytes, line, ids[0], 0);
    return lines;
  }
  return "{\"id\":\"batch_1\",\"object\":\"batch\",\"status\":\"completed\",\"output_file_id\":"
         "\"file-2\",\"request_counts\":{\"total\":2,\"completed\":2,\"failed\":0}}";
}

static void serve(uint32_t client, const wasm_mail *mail) {
  sheaf_buf body;
  sheaf_buf_init(&body, &sheaf__wasm_allocator, 1 << 20);
  double exchange = mail->exchange, bytes = mail->number;
  wasm_mail asked = *mail;
  sheaf_buf_append(&body, (const char *)asked.bytes.data, asked.bytes.bytes);
  while ((double)body.bytes < bytes) {
    CHECK_OK(sheaf_wasm_body(client, exchange, (double)body.bytes));
    if (mail->bytes.bytes == 0) break;
    sheaf_buf_append(&body, (const char *)mail->bytes.data, mail->bytes.bytes);
  }
  if (bytes > 0) CHECK(bytes == (double)body.bytes);
  sheaf_buf_append(&body, "", 1);
  const char *reply = answer(&asked, sheaf_buf_slice(&body));
  CHECK_OK(sheaf_wasm_on_head(client, exchange, 200, NULL, 0));
  CHECK_OK(sheaf_wasm_on_data(client, exchange, reply, (uint32_t)strlen(reply)));
  CHECK_OK(sheaf_wasm_on_done(client, exchange, SHEAF_END_OK, 1, NULL, 0));
  sheaf_buf_deinit(&body);
}

static void take_result(uint32_t client, const wasm_mail *mail) {
  bool is_second = mail->index == 1.0;
  CHECK(mail->flags & WASM_FLAG_OK);
  CHECK_EQ(mail->lane, SHEAF_LANE_BATCH);
  CHECK(says(mail->text, is_second ? "to 1" : "to 0"));
  CHECK(says(mail->custom_id, is_second ? "an id with \"spaces\"" : "plain"));
  CHECK(says(mail->metadata, is_second ? "" : "{\"n\":1}"));
  CHECK_OK(sheaf_wasm_line(client));
  CHECK(has(mail->bytes, "\"lane\":\"batch\""));
  results_told++;
}

/* Until nothing is left to do in this mode. */
static void run(uint32_t client) {
  const wasm_mail *mail = sheaf_wasm_mail(client);
  double now = 1;
  for (int turn = 0; turn < 1000; turn++) {
    CHECK_OK(sheaf_wasm_step(client, now, 1.7e12 + now));
    for (uint32_t kind; (kind = sheaf_wasm_next(client)) != 0;) {
      if (kind == WASM_MAIL_APPEND) {
        double ticket = mail->ticket;
        wasm_slice frames = mail->bytes;
        sheaf_buf_append(&records, (const char *)frames.data, frames.bytes);
        save_rows(client, mail);
        CHECK_OK(sheaf_wasm_on_stored(client, ticket, SHEAF_OK));
      } else if (kind == WASM_MAIL_START) {
        serve(client, mail);
      } else if (kind == WASM_MAIL_RESULT) {
        take_result(client, mail);
      } else if (kind == WASM_MAIL_JOB) {
        CHECK(mail->number == 1.0 && has(mail->text, "\"requests\":2"));
      }
    }
    double at = sheaf_wasm_timeout(client);
    if (sheaf_wasm_is_idle(client) && at != 0) return;
    if (at > now) now = at;
  }
  CHECK_EQ(sheaf_wasm_is_idle(client), 1); /* it does not end */
}

static void put_both(uint32_t client, uint32_t flags) {
  static const char *const lines[] = {
      "{\"custom_id\":\"plain\",\"prompt\":\"a\",\"metadata\":{\"n\":1}}",
      "{\"custom_id\":\"an id with \\\"spaces\\\"\",\"prompt\":\"b\"}"};
  for (uint32_t i = 0; i < 2; i++) {
    CHECK_OK(sheaf_wasm_put(client, lines[i], (uint32_t)strlen(lines[i]), 0));
    CHECK(sheaf_wasm_mail(client)->index == (double)i);
    CHECK_EQ(sheaf_wasm_mail(client)->flags, flags);
  }
  CHECK_OK(sheaf_wasm_end(client, 0));
}

TEST(a_job_is_submitted_in_one_life_and_collected_in_another) {
  sheaf_buf_init(&records, &sheaf__wasm_allocator, 1 << 20);
  sheaf_buf_init(&rows, &sheaf__wasm_allocator, 1 << 20);
  uploads = creates = results_told = 0;
  uint32_t client = open_in_mode("submit");
  CHECK(client != 0);
  put_both(client, 0);
  run(client);
  CHECK_EQ(uploads, 1);
  CHECK_EQ(creates, 1);
  CHECK_OK(sheaf_wasm_job_at(client, 0));
  CHECK(has(sheaf_wasm_mail(client)->text, "\"job\":\"batch_1\""));
  CHECK_EQ(sheaf_wasm_job_at(client, 1), SHEAF_E_NOT_FOUND);
  sheaf_wasm_close_jobs(client);

  client = open_in_mode("run");
  CHECK(client != 0);
  CHECK(has(sheaf_wasm_mail(client)->text, "[[1,17,{"));
  CHECK(has(sheaf_wasm_mail(client)->text, ",[1,19,{\"job\":\"batch_1\""));
  CHECK_OK(sheaf_wasm_spool_load(client, 1, rows.data, (uint32_t)rows.bytes / 2));
  CHECK_OK(sheaf_wasm_spool_load(client, 1, rows.data + rows.bytes / 2,
                                 (uint32_t)(rows.bytes - rows.bytes / 2)));
  CHECK_OK(sheaf_wasm_end(client, 0));
  run(client);
  CHECK_EQ(results_told, 2);
  CHECK_EQ(creates, 1);
  CHECK(sheaf_wasm_spool_forget(client) == 1.0);
  sheaf_wasm_close_jobs(client);

  /* The same requests once more: their results are known. */
  client = open_in_mode("submit");
  CHECK(client != 0);
  CHECK_OK(sheaf_wasm_ended(client, 1));
  CHECK_OK(sheaf_wasm_ended(client, 0));
  put_both(client, WASM_FLAG_SKIPPED);
  run(client);
  CHECK_EQ(uploads + creates + results_told, 4);
  sheaf_wasm_close_jobs(client);
  sheaf_buf_deinit(&records);
  sheaf_buf_deinit(&rows);
}

TEST(what_cannot_travel_in_a_job_is_refused_with_a_reason) {
  static const char streamed[] = "{\"body\":{\"model\":\"m\",\"messages\":[],\"stream\":true}}";
  static const char both[] = "{\"prompt\":\"a\",\"messages\":[]}";
  sheaf_buf_init(&records, &sheaf__wasm_allocator, 1 << 20);
  uint32_t client = open_in_mode("submit");
  const wasm_mail *mail = sheaf_wasm_mail(client);
  CHECK_EQ(sheaf_wasm_put(client, "{", 1, 0), SHEAF_E_SYNTAX);
  CHECK(mail->message.bytes > 0);
  CHECK_EQ(sheaf_wasm_put(client, both, sizeof both - 1, 0), SHEAF_E_FIELD);
  CHECK(mail->message.bytes > 0);
  CHECK(sheaf_wasm_put(client, streamed, sizeof streamed - 1, 0) != SHEAF_OK ||
        sheaf_wasm_next(client) == WASM_MAIL_RESULT);
  sheaf_wasm_close_jobs(client);
  sheaf_buf_deinit(&records);
}

TEST(calls_on_what_is_not_there_are_refused) {
  static const double numbers[] = {-1, 0, 0.5, 1e300, -1e300};
  CHECK_EQ(sheaf_wasm_spool_take(99), 0);
  CHECK(sheaf_wasm_spool_forget(0) == 0);
  CHECK(sheaf_wasm_put(7, "{}", 2, 0) != SHEAF_OK);
  CHECK(sheaf_wasm_use_jobs(7, NULL, 0, 0, 0, 0) != SHEAF_OK);
  sheaf_wasm_close_jobs(7);
  sheaf_buf_init(&records, &sheaf__wasm_allocator, 1 << 20);
  uint32_t client = open_in_mode("collect");
  CHECK(sheaf_wasm_use_jobs(client, NULL, 0, 0, 0, 0) != SHEAF_OK); /* a second time */
  for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
    double number = numbers[i];
    CHECK(sheaf_wasm_spool_piece(client, number, number) != SHEAF_OK ||
          sheaf_wasm_mail(client)->bytes.bytes == 0);
    CHECK(sheaf_wasm_body(client, number, number) != SHEAF_OK);
    CHECK(sheaf_wasm_job_cancel(client, number) != SHEAF_OK);
    if (number < 0 || number > 1e15) CHECK(sheaf_wasm_ended(client, number) != SHEAF_OK);
  }
  CHECK_EQ(sheaf_wasm_line(client), SHEAF_E_EMPTY);
  sheaf_wasm_close_jobs(client);
  sheaf_buf_deinit(&records);
}

int main(void) {
  RUN(bytes_of_jobs_come_back_as_they_were_put_whatever_their_pieces);
  RUN(a_sealed_job_is_taken_once_and_a_dropped_one_told_once);
  RUN(without_memory_the_spool_stays_as_it_was);
  RUN(a_job_is_submitted_in_one_life_and_collected_in_another);
  RUN(what_cannot_travel_in_a_job_is_refused_with_a_reason);
  RUN(calls_on_what_is_not_there_are_refused);
  return check_report();
}
