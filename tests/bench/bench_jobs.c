/* bench_jobs.c: how fast rows become jobs, and results become lines.
 *
 *   bench_jobs [ROWS [FOLDER [LINE_BYTES [ANSWER_BYTES [unordered]]]]]     1,000,000, 750, 200
 *
 * The engine, its lane for jobs, the SQLite store with its spool, and files are those of `sheaf
 * run`. The provider is in this program: it swallows uploads and hands results back, and its
 * time is taken off. It looks at each row's id as it comes and gives results in an order of its
 * own, so that the order of the input has to be restored.
 *
 *   prepare   from the first line of input to the plan of the last job, durable
 *   upload    bodies pulled out of the spool
 *   collect   from the first byte of results to the output in the order of the input, on the disk
 *
 * The output is compared line by line with what the provider gave, behind the clock. Time waited
 * for polls is skipped. One core: this is one thread.
 *
 * Outline: clocks, input, the provider, its transport, the run, the output's check. */
#define _GNU_SOURCE
#include <sheaf/curl.h>
#include <sheaf/files.h>
#include <sheaf/heap.h>
#include <sheaf/store.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

enum { JOBS_MAX = 512, CALLS_MAX = 512, CHUNK = 65536, PATH_MAX_BYTES = 1024 };

static uint64_t row_count = 1000000, line_bytes = 750, answer_bytes = 200;
static char folder[PATH_MAX_BYTES - 64] = ".";
static bool is_unordered;

static _Noreturn void fail(const char *what, const char *why) {
  fprintf(stderr, "%s: %s\n", what, why);
  exit(1);
}

/* ---- Clocks, without the provider's share ---- */

typedef struct spent {
  double wall, user, kernel;
} spent;

static spent provider_spent, provider_since;

static double seconds(struct timeval at) {
  return (double)at.tv_sec + (double)at.tv_usec * 1e-6;
}

static spent now(void) {
  struct timespec wall;
  struct rusage use;
  clock_gettime(CLOCK_MONOTONIC, &wall);
  getrusage(RUSAGE_SELF, &use);
  return (spent){(double)wall.tv_sec + (double)wall.tv_nsec * 1e-9, seconds(use.ru_utime),
                 seconds(use.ru_stime)};
}

static spent minus(spent a, spent b) {
  return (spent){a.wall - b.wall, a.user - b.user, a.kernel - b.kernel};
}

static void provider_begins(void) {
  provider_since = now();
}

static void provider_ends(void) {
  spent part = minus(now(), provider_since);
  provider_spent = minus(provider_spent, minus((spent){0}, part));
}

/* Of all but the provider. */
static spent ours(void) {
  return minus(now(), provider_spent);
}

static double peak_mb(void) {
  struct rusage use;
  getrusage(RUSAGE_SELF, &use);
  return (double)use.ru_maxrss / 1024;
}

static void tell(const char *what, spent from, double bytes) {
  spent took = minus(ours(), from);
  double cpu = took.user + took.kernel, mb = bytes / 1e6;
  printf(
      "%-8s %6.1f MB, %5.2f s CPU (user %.2f, kernel %.2f): %6.1f MB/s; %5.2f s: %6.1f MB/s; "
      "peak %.1f MB\n",
      what, mb, cpu, took.user, took.kernel, mb / cpu, took.wall, mb / took.wall, peak_mb());
  fflush(stdout);
}

/* ---- Input ---- */

static const char *const words[] = {"the ",    "model ", "answers ", "what ", "was ",    "asked ",
                                    "in ",     "order ", "and ",     "each ", "answer ", "comes ",
                                    "back\\n", "once ",  "at ",      "last "};

/* Words drawn by the row's number. */
static size_t put_words(char *to, uint64_t row, size_t bytes) {
  uint64_t state = row * 0x9E3779B97F4A7C15u + 1;
  size_t at = 0;
  while (at + 8 < bytes) {
    state ^= state << 13, state ^= state >> 7, state ^= state << 17;
    const char *word = words[state >> 60];
    size_t length = strlen(word);
    memcpy(to + at, word, length);
    at += length;
  }
  return at;
}

/* A virtual machine pays for memory that it never used when it is first written, thirty times
 * what writing costs: as much as the run will have in files is written before it, and given
 * back. */
static void warm_up(const char *path, uint64_t bytes) {
  static char block[1 << 20];
  FILE *file = fopen(path, "wb");
  if (file == NULL) fail(path, "cannot be written");
  for (uint64_t at = 0; at < bytes; at += sizeof block) {
    if (fwrite(block, 1, sizeof block, file) != sizeof block) fail(path, "cannot be written");
  }
  fclose(file);
  unlink(path);
}

static uint64_t write_input(const char *path) {
  FILE *file = fopen(path, "wb");
  char *line = malloc(line_bytes + 256);
  if (file == NULL || line == NULL) fail(path, "cannot be written");
  uint64_t bytes = 0;
  for (uint64_t row = 0; row < row_count; row++) {
    int head =
        snprintf(line, 128, "{\"custom_id\":\"row-%07llu\",\"prompt\":\"", (unsigned long long)row);
    size_t at = (size_t)head;
    if (line_bytes > at + 3) at += put_words(line + at, row, line_bytes - at - 3);
    memcpy(line + at, "\"}\n", 3);
    if (fwrite(line, 1, at + 3, file) != at + 3) fail(path, "cannot be written");
    bytes += at + 3;
  }
  free(line);
  if (fclose(file) != 0) fail(path, "cannot be written");
  return bytes;
}

/* ---- The provider ---- */

typedef struct job {
  uint64_t first, rows, given; /* rows of the input; results given so far */
  uint32_t *order;             /* in which the results come */
} job;

typedef struct call {
  const sheaf_exchange *exchange;
  size_t from, until; /* of the chunk that the engine had no room for */
  char *chunk;
  size_t job;
} call;

static job jobs[JOBS_MAX];
static size_t job_count;
static call calls[CALLS_MAX];
static size_t call_count;
static uint64_t uploaded_bytes, result_bytes, uploaded_rows;
static sheaf_engine *engine;

static size_t id_of(uint64_t row, uint64_t place, char *to) {
  char text[32], id[SHEAF_JOB_ID_BYTES_MAX];
  int bytes = snprintf(text, sizeof text, "row-%07llu", (unsigned long long)row);
  sheaf_slice given = sheaf_job_id_write(place, (sheaf_slice){text, (size_t)bytes}, id);
  memcpy(to, given.data, given.bytes);
  return given.bytes;
}

/* One line of an upload; those of the form around the rows are passed over. The first tells
 * which rows follow. */
static void look_at_line(job *at, const char *line) {
  static const char head[] = "{\"custom_id\":\"", first[] = "r0-row-";
  char id[SHEAF_JOB_ID_BYTES_MAX];
  if (strncmp(line, head, sizeof head - 1) != 0) return;
  const char *given = line + sizeof head - 1;
  if (at->rows == 0 && strncmp(given, first, sizeof first - 1) == 0)
    at->first = strtoull(given + sizeof first - 1, NULL, 10);
  size_t bytes = id_of(at->first + at->rows, at->rows, id);
  if (strncmp(given, id, bytes) != 0) fail("upload", "not the row that was due");
  at->rows++;
}

static void swallow(job *at, const char *data, size_t bytes, char torn[64], size_t *torn_bytes) {
  while (bytes > 0) {
    if (*torn_bytes < 63) { /* the line's beginning is enough */
      size_t part = 63 - *torn_bytes < bytes ? 63 - *torn_bytes : bytes;
      memcpy(torn + *torn_bytes, data, part);
      torn[*torn_bytes + part] = '\0';
    }
    const char *end = memchr(data, '\n', bytes);
    size_t all = end == NULL ? bytes : (size_t)(end - data) + 1;
    *torn_bytes += all;
    data += all;
    bytes -= all;
    if (end == NULL) return;
    look_at_line(at, torn);
    *torn_bytes = 0;
  }
}

static void answer(const call *at, uint32_t status, const char *text) {
  sheaf_exchange_end end;
  sheaf_exchange_end_init(&end);
  sheaf_engine_on_head(engine, at->exchange->id, status, (sheaf_slice){NULL, 0});
  sheaf_engine_on_data(engine, at->exchange->id, sheaf_slice_of(text));
  sheaf_engine_on_done(engine, at->exchange->id, &end);
}

static void upload(const call *at) {
  static char chunk[CHUNK];
  char torn[64] = "", reply[128];
  size_t torn_bytes = 0;
  uint64_t offset = 0;
  if (job_count == JOBS_MAX) fail("upload", "too many jobs");
  job *made = &jobs[job_count++];
  *made = (job){.rows = 0};
  for (;;) {
    int64_t got = sheaf_engine_body_read(engine, at->exchange->id, offset, chunk, sizeof chunk);
    if (got < 0) fail("upload", sheaf_status_text((int32_t)got));
    if (got == 0) break;
    provider_begins();
    swallow(made, chunk, (size_t)got, torn, &torn_bytes);
    provider_ends();
    offset += (uint64_t)got;
  }
  if (offset != at->exchange->body_bytes) fail("upload", "not as long as it said");
  uploaded_bytes += offset;
  uploaded_rows += made->rows;
  snprintf(reply, sizeof reply, "{\"id\":\"file-%zu\",\"object\":\"file\"}", job_count);
  answer(at, 200, reply);
}

static void tell_job(const call *at, size_t number, const char *state) {
  char reply[512];
  const job *of = &jobs[number - 1];
  snprintf(reply, sizeof reply,
           "{\"id\":\"batch_%zu\",\"object\":\"batch\",\"status\":\"%s\",\"created_at\":1750000000,"
           "\"output_file_id\":\"out-%zu\",\"request_counts\":{\"total\":%llu,\"completed\":%llu,"
           "\"failed\":0}}",
           number, state, number, (unsigned long long)of->rows, (unsigned long long)of->rows);
  answer(at, 200, reply);
}

/* A result as OpenAI's batch API gives it. */
static size_t put_result(char *to, uint64_t row, uint64_t place) {
  static const char a[] = "{\"id\":\"batch_req_67f1a2b3c4d5e6f7\",\"custom_id\":\"";
  static const char b[] =
      "\",\"response\":{\"status_code\":200,\"request_id\":\"req_0a1b2c3d4e5f60718293\",\"body\":{"
      "\"id\":\"chatcmpl-A1b2C3d4E5f6G7h8\",\"object\":\"chat.completion\",\"created\":1750000000,"
      "\"model\":\"gpt-4o-mini-2024-07-18\",\"choices\":[{\"index\":0,\"message\":{\"role\":"
      "\"assistant\",\"content\":\"";
  static const char c[] =
      "\",\"refusal\":null},\"logprobs\":null,\"finish_reason\":\"stop\"}],\"usage\":{"
      "\"prompt_tokens\":120,\"completion_tokens\":50,\"total_tokens\":170},\"system_fingerprint\":"
      "\"fp_0a1b2c3d4e\"}},\"error\":null}\n";
  char *at = to;
  at = mempcpy(at, a, sizeof a - 1);
  at += id_of(row, place, at);
  at = mempcpy(at, b, sizeof b - 1);
  at += sprintf(at, "echo of row %07llu: ", (unsigned long long)row);
  at += put_words(at, row, answer_bytes);
  at = mempcpy(at, c, sizeof c - 1);
  return (size_t)(at - to);
}

static void fill_chunk(call *at) {
  job *of = &jobs[at->job];
  size_t most = answer_bytes + 1024;
  if (at->chunk == NULL) at->chunk = malloc(CHUNK + most);
  if (at->chunk == NULL) fail("results", "out of memory");
  at->from = at->until = 0;
  while (at->until < CHUNK && of->given < of->rows) {
    uint64_t place = of->order[of->given];
    at->until += put_result(at->chunk + at->until, of->first + place, place);
    of->given++;
  }
  result_bytes += at->until;
}

/* Pieces as libcurl hands them on. Answers whether the download is over. */
static bool download(call *at) {
  job *of = &jobs[at->job];
  for (;;) {
    if (at->from == at->until) {
      provider_begins();
      fill_chunk(at);
      provider_ends();
    }
    if (at->from == at->until) break;
    size_t part = at->until - at->from < 16384 ? at->until - at->from : 16384;
    int32_t status =
        sheaf_engine_on_data(engine, at->exchange->id, (sheaf_slice){at->chunk + at->from, part});
    if (status == SHEAF_E_FULL) return false;
    if (status != SHEAF_OK) fail("results", sheaf_status_text(status));
    at->from += part;
  }
  if (of->given != of->rows) fail("results", "not all");
  sheaf_exchange_end end;
  sheaf_exchange_end_init(&end);
  sheaf_engine_on_done(engine, at->exchange->id, &end);
  free(at->chunk);
  free(of->order);
  return true;
}

/* Results come in no order at all: Fisher and Yates's shuffle. */
static void shuffle(job *of) {
  uint64_t state = of->first + 88172645463325252u;
  of->order = malloc(of->rows * sizeof *of->order);
  if (of->order == NULL) fail("results", "out of memory");
  for (uint64_t i = 0; i < of->rows; i++) {
    state ^= state << 13, state ^= state >> 7, state ^= state << 17;
    uint64_t other = state % (i + 1);
    of->order[i] = of->order[other];
    of->order[other] = (uint32_t)i;
  }
}

static size_t number_behind(sheaf_slice text, const char *mark) {
  const char *at = memmem(text.data, text.bytes, mark, strlen(mark));
  size_t number = 0;
  if (at == NULL) return 0;
  for (at += strlen(mark); at < text.data + text.bytes && *at >= '0' && *at <= '9'; at++) {
    number = number * 10 + (size_t)(*at - '0');
  }
  return number;
}

/* Answers whether the call is over. */
static bool serve(call *at) {
  const sheaf_exchange *exchange = at->exchange;
  sheaf_slice url = exchange->url;
  if (exchange->stream) {
    if (at->job == SIZE_MAX) {
      at->job = number_behind(url, "/files/out-") - 1;
      shuffle(&jobs[at->job]);
      sheaf_engine_on_head(engine, exchange->id, 200, (sheaf_slice){NULL, 0});
    }
    return download(at);
  }
  size_t number = number_behind(url, "/batches/batch_");
  if (number > 0) {
    tell_job(at, number, "completed");
  } else if (strcmp(exchange->method, "DELETE") == 0) {
    answer(at, 200, "{\"deleted\":true}");
  } else if (exchange->body.data == NULL) {
    upload(at);
  } else {
    tell_job(at, number_behind(exchange->body, "file-"), "validating");
  }
  return true;
}

static bool has_download(void) {
  for (size_t i = 0; i < call_count; i++) {
    if (calls[i].exchange->stream) return true;
  }
  return false;
}

/* Serves what is there. Answers whether anything was done. */
static bool serve_all(bool is_before_results) {
  bool moved = false;
  for (size_t i = 0; i < call_count;) {
    if (is_before_results && calls[i].exchange->stream) {
      i++;
      continue;
    }
    moved = true;
    if (serve(&calls[i])) {
      calls[i] = calls[--call_count];
    } else {
      i++;
    }
  }
  return moved;
}

static int32_t begin_call(void *ctx, const sheaf_exchange *exchange) {
  (void)ctx;
  if (call_count == CALLS_MAX) fail("transport", "too many exchanges");
  calls[call_count++] = (call){.exchange = exchange, .job = SIZE_MAX};
  return SHEAF_OK;
}

static void cancel(void *ctx, uint64_t exchange) {
  (void)ctx, (void)exchange;
  fail("transport", "an exchange is cancelled: none is slow here");
}

/* ---- The run ---- */

static const sheaf_source *file_source;
static bool has_input_ended;
static uint64_t clock_ns = 1000000000;
static sheaf_files *files;
static sheaf_jobs_store *store;

static int32_t next_row(void *ctx, sheaf_request *request) {
  (void)ctx;
  int32_t status = file_source->next(file_source->ctx, request);
  if (status == SHEAF_E_END) has_input_ended = true;
  return status;
}

static int32_t admit_row(void *ctx, uint64_t index, const sheaf_request *request,
                         const uint8_t fingerprint[16]) {
  (void)ctx;
  return file_source->admit(file_source->ctx, index, request, fingerprint);
}

static void open_files(const char *input, const char *output) {
  char message[1024];
  sheaf_files_options options = SHEAF_FILES_OPTIONS_INIT;
  options.input = input;
  options.output = output;
  options.resume = SHEAF_RESUME_NEVER;
  options.order = is_unordered ? SHEAF_ORDER_COMPLETION : SHEAF_ORDER_INPUT;
  if (sheaf_files_open(&options, &files, message, sizeof message)) fail("files", message);
  char state[PATH_MAX_BYTES];
  snprintf(state, sizeof state, "%s/bench_jobs.sqlite", folder);
  unlink(state);
  sheaf_jobs_store_options of_store = SHEAF_JOBS_STORE_OPTIONS_INIT;
  of_store.path = state;
  of_store.files = files;
  if (sheaf_jobs_store_open(&of_store, &store, message, sizeof message)) fail("store", message);
}

static void open_engine(void) {
  sheaf_engine_options options;
  sheaf_engine_options_init(&options);
  sheaf_endpoint endpoint = SHEAF_ENDPOINT_INIT;
  endpoint.provider = sheaf_provider_find(SHEAF_LITERAL("openai"));
  endpoint.model = SHEAF_LITERAL("gpt-4o-mini");
  options.endpoints = &endpoint;
  options.endpoint_count = 1;
  options.lane = SHEAF_LANE_BATCH;
  options.sha256_blocks = sheaf_sha256_fastest();
  if (sheaf_engine_new(&options, sheaf_heap(), &engine)) fail("engine", "cannot be made");
  file_source = sheaf_files_source(files);
  static sheaf_source source = {
      .struct_bytes = sizeof source, .next = next_row, .admit = admit_row};
  static const sheaf_transport transport = {
      .struct_bytes = sizeof transport, .start = begin_call, .cancel = cancel};
  const sheaf_doors doors = {.struct_bytes = sizeof doors,
                             .transport = &transport,
                             .sink = sheaf_files_sink(files),
                             .source = &source,
                             .store = sheaf_jobs_store_door(store),
                             .spool = sheaf_jobs_store_spool(store)};
  sheaf_jobs_store_bind(store, engine);
  if (sheaf_engine_open(engine, &doors)) fail("engine", "cannot be opened");
}

/* One turn of a host. Answers false at the end. */
static bool turn(void) {
  if (sheaf_jobs_store_pump(store)) fail("store", sheaf_jobs_store_message(store));
  int32_t status =
      sheaf_engine_run_once(engine, clock_ns, 1750000000000 + (int64_t)(clock_ns / 1000000));
  if (status == SHEAF_E_END) return false;
  if (status != SHEAF_OK) {
    fprintf(stderr, "files: %s store: %s\n", sheaf_files_message(files),
            sheaf_jobs_store_message(store));
    fail("engine", sheaf_status_text(status));
  }
  if (sheaf_files_flush(files)) fail("files", sheaf_files_message(files));
  return true;
}

/* When nothing moves, the next time something is due is now. */
static void skip_time(void) {
  uint64_t due = sheaf_engine_timeout_ns(engine);
  if (due == SHEAF_NEVER) fail("engine", "waits for nothing");
  if (due > clock_ns) clock_ns = due;
}

static uint64_t prepared_rows(void) {
  uint64_t rows = 0;
  sheaf_job_status status = {.struct_bytes = sizeof status};
  for (uint64_t n = 0; sheaf_engine_job_at(engine, n, &status) == SHEAF_OK; n++) {
    if (status.state >= SHEAF_JOB_PREPARED_STATE) rows += status.requests;
  }
  return rows;
}

static void run(double input_bytes) {
  spent from = ours();
  while (!has_input_ended || sheaf_engine_timeout_ns(engine) <= clock_ns) turn();
  turn();
  if (prepared_rows() != row_count) fail("prepare", "not all rows are in jobs");
  tell("prepare", from, input_bytes);
  from = ours();
  while (uploaded_rows < row_count) {
    if (!turn()) fail("upload", "the run ended");
    if (!serve_all(true)) skip_time();
  }
  tell("upload", from, (double)uploaded_bytes);
  while (!has_download()) {
    if (!serve_all(true)) skip_time();
    if (!turn()) fail("collect", "the run ended");
  }
  from = ours();
  while (turn()) {
    if (!serve_all(false)) skip_time();
  }
  if (sheaf_files_finish(files, 1)) fail("files", sheaf_files_message(files));
  tell("collect", from, (double)result_bytes);
}

/* ---- The output's check ---- */

/* The row a line is of; its text must be that row's. */
static uint64_t row_of(const char *line) {
  static const char mark[] = "\"custom_id\":\"row-";
  char wanted[64];
  const char *id = strstr(line, mark);
  uint64_t row = id == NULL ? UINT64_MAX : strtoull(id + sizeof mark - 1, NULL, 10);
  snprintf(wanted, sizeof wanted, "\"echo of row %07llu: ", (unsigned long long)row);
  if (row >= row_count || strstr(line, wanted) == NULL) fail("not a line of ours", line);
  return row;
}

static void check_output(const char *path) {
  FILE *file = fopen(path, "rb");
  bool *has_come = calloc(row_count, sizeof *has_come);
  char *line = NULL;
  size_t room = 0;
  uint64_t lines = 0;
  if (file == NULL || has_come == NULL) fail(path, "cannot be read");
  for (; getline(&line, &room, file) > 0; lines++) {
    uint64_t row = row_of(line);
    if (has_come[row] || (!is_unordered && row != lines)) fail("not the line that is due", line);
    has_come[row] = true;
  }
  if (lines != row_count) fail(path, "has another number of lines");
  free(line);
  free(has_come);
  fclose(file);
}

int main(int argc, char **argv) {
  char input[PATH_MAX_BYTES], output[PATH_MAX_BYTES], state[PATH_MAX_BYTES];
  if (argc > 1) row_count = strtoull(argv[1], NULL, 10);
  if (argc > 2) snprintf(folder, sizeof folder, "%s", argv[2]);
  if (argc > 3) line_bytes = strtoull(argv[3], NULL, 10);
  if (argc > 4) answer_bytes = strtoull(argv[4], NULL, 10);
  is_unordered = argc > 5;
  snprintf(input, sizeof input, "%s/bench_jobs.in.jsonl", folder);
  snprintf(output, sizeof output, "%s/bench_jobs.out.jsonl", folder);
  snprintf(state, sizeof state, "%s/bench_jobs.sqlite", folder);
  unlink(output);
  warm_up(output, row_count * (3 * line_bytes + 2 * answer_bytes + 1500));
  uint64_t input_bytes = write_input(input);
  open_files(input, output);
  open_engine();
  run((double)input_bytes);
  sheaf_engine_free(engine);
  sheaf_jobs_store_close(store);
  sheaf_files_close(files);
  check_output(output);
  printf("%llu rows in %zu jobs, each once%s\n", (unsigned long long)row_count, job_count,
         is_unordered ? "" : " and in order");
  unlink(input);
  unlink(output);
  unlink(state);
  return 0;
}
