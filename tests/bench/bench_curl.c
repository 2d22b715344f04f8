/* bench_curl.c: what the libcurl transport alone costs: N chat completions, C in flight, no engine and no JSON.
 *
 *   bench_curl URL N C [shards=S]
 *
 * The engine's reports are answered here: a reply is copied, an end starts the next request. The last line printed is
 * {"n":..,"bad":..,"wall_s":..,"cpu_s":..}, of the load alone. Compare with a bare libcurl loop over the same server. */
#define _GNU_SOURCE
#include <sheaf/curl.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

typedef struct place {
  sheaf_exchange exchange;
  char body[2048];
  char *reply;
  size_t bytes;
  size_t capacity;
  struct place *next;
} place;

static const sheaf_transport *transport;
static place *places;
static place *vacant;
static uint64_t place_count;
static long total;
static long started;
static long done;
static long bad;

static const sheaf_header headers[] = {
    {.name = {"Content-Type", 12}, .value = {"application/json", 16}},
    {.name = {"Authorization", 13}, .value = {"Bearer ", 7}, .credential_id = 1},
};

/* The id's low part is the place: ids are never reused. */
static place *place_of(uint64_t id) {
  return &places[id % place_count];
}

int32_t sheaf_engine_on_head(sheaf_engine *engine, uint64_t exchange, uint32_t http_status,
                             sheaf_slice lines) {
  (void)engine;
  (void)exchange;
  if (http_status != 200 || lines.bytes == 0) bad++;
  return SHEAF_OK;
}

int32_t sheaf_engine_on_data(sheaf_engine *engine, uint64_t exchange, sheaf_slice bytes) {
  (void)engine;
  place *at = place_of(exchange);
  if (at->bytes + bytes.bytes > at->capacity) {
    at->capacity = (at->bytes + bytes.bytes) * 2;
    at->reply = realloc(at->reply, at->capacity);
    if (at->reply == NULL) abort();
  }
  memcpy(at->reply + at->bytes, bytes.data, bytes.bytes);
  at->bytes += bytes.bytes;
  return SHEAF_OK;
}

int32_t sheaf_engine_on_done(sheaf_engine *engine, uint64_t exchange,
                             const sheaf_exchange_end *end) {
  (void)engine;
  place *at = place_of(exchange);
  if (end->end != SHEAF_END_OK || at->bytes == 0) {
    if (bad++ == 0) fprintf(stderr, "%.*s\n", (int)end->message.bytes, end->message.data);
  }
  done++;
  at->next = vacant;
  vacant = at;
  return SHEAF_OK;
}

int64_t sheaf_engine_body_read(sheaf_engine *engine, uint64_t exchange, uint64_t offset, void *to,
                               size_t capacity) {
  (void)engine;
  const place *at = place_of(exchange);
  size_t all = strlen(at->body);
  size_t left = offset < all ? all - (size_t)offset : 0;
  size_t bytes = left < capacity ? left : capacity;
  memcpy(to, at->body + offset, bytes);
  return (int64_t)bytes;
}

void sheaf_exchange_end_init(sheaf_exchange_end *end) {
  memset(end, 0, sizeof(*end));
  end->struct_bytes = sizeof(*end);
}

static void make_body(place *at, long n, bool is_pulled) {
  snprintf(at->body, sizeof(at->body),
           "{\"model\":\"gpt-4o-mini\",\"messages\":[{\"role\":\"user\",\"content\":\""
           "Review %07ld: The laptop arrived two days early and the battery easily lasts a full "
           "working day, even with the screen at its brightest. The keyboard is quiet, the hinge "
           "feels solid and the fans are rarely heard. I only wish that it had cost a little "
           "less, because the charger and the sleeve have to be bought on their own. Question: "
           "is this review positive, negative or mixed? Answer in one sentence."
           "\"}],\"max_tokens\":64,\"temperature\":0}",
           n);
  at->exchange.body_bytes = strlen(at->body);
  at->exchange.body = (sheaf_slice){is_pulled ? NULL : at->body, strlen(at->body)};
}

static void start_all(const char *url, bool is_pulled) {
  while (vacant != NULL && started < total) {
    place *at = vacant;
    vacant = at->next;
    uint64_t turn = at->exchange.id / place_count + 1;
    at->exchange = (sheaf_exchange){.struct_bytes = sizeof(sheaf_exchange),
                                    .id = turn * place_count + (uint64_t)(at - places),
                                    .method = "POST",
                                    .url = {url, strlen(url)},
                                    .headers = headers,
                                    .header_count = 2,
                                    .same_key = 1,
                                    .reply_bytes_max = 1u << 26,
                                    .timeout_ns = UINT64_C(600000000000)};
    at->bytes = 0;
    make_body(at, started++, is_pulled);
    if (transport->start(transport->ctx, &at->exchange) != SHEAF_OK) abort();
  }
}

static double seconds(clockid_t clock) {
  struct timespec now;
  clock_gettime(clock, &now);
  return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

int main(int count, char **arguments) {
  const char *positions[3] = {NULL, NULL, NULL};
  size_t position = 0;
  sheaf_curl_options options = SHEAF_CURL_OPTIONS_INIT;
  bool is_pulled = false;
  for (int i = 1; i < count; i++) {
    if (strncmp(arguments[i], "shards=", 7) == 0) {
      options.shards = (uint32_t)strtoul(arguments[i] + 7, NULL, 10);
    } else if (strcmp(arguments[i], "pull=1") == 0) {
      is_pulled = true;
    } else if (position < 3) {
      positions[position++] = arguments[i];
    }
  }
  if (position < 3) return fprintf(stderr, "usage: bench_curl URL N C [shards=S] [pull=1]\n"), 2;
  const char *url = positions[0];
  total = strtol(positions[1], NULL, 10);
  place_count = strtoul(positions[2], NULL, 10);
  sheaf_curl *curl = NULL;
  sheaf_engine *nobody = (sheaf_engine *)&place_count; /* never looked into */
  if (sheaf_curl_new(&options, &curl) != SHEAF_OK) return 1;
  if (sheaf_curl_bind(curl, nobody) != SHEAF_OK) return 1;
  if (sheaf_curl_set_credential(curl, 1, url, "sk-standin") != SHEAF_OK) return 1;
  transport = sheaf_curl_transport(curl);
  places = calloc(place_count, sizeof(*places));
  for (uint64_t i = place_count; i > 0; i--) places[i - 1].next = vacant, vacant = &places[i - 1];

  double wall = seconds(CLOCK_MONOTONIC);
  double cpu = seconds(CLOCK_PROCESS_CPUTIME_ID);
  while (done < total) {
    start_all(url, is_pulled);
    if (sheaf_curl_poll(curl, SHEAF_NEVER, -1) != SHEAF_OK) return 1;
  }
  wall = seconds(CLOCK_MONOTONIC) - wall;
  cpu = seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu;
  printf("{\"n\":%ld,\"bad\":%ld,\"wall_s\":%.6f,\"cpu_s\":%.6f}\n", done, bad, wall, cpu);

  sheaf_curl_free(curl);
  for (uint64_t i = 0; i < place_count; i++) free(places[i].reply);
  free(places);
  return bad != 0;
}
