/* curl_transport.c: the transport over libcurl's multi interface.
 *
 * Several multi handles ("shards") share one epoll, since a multi walks its connections to find a free one: 1,000
 * transfers in one cost 38 us a request, in 16 to 32 they cost 30. An exchange goes to the shard with the most idle
 * connections; a further shard is opened only when all are busy and full.
 *
 * The slots start and cancel never report: what ends inside them waits for the next poll.
 *
 * Outline: life, shards, the tables of transfers, ending, start and cancel, poll. */
#define _GNU_SOURCE
#include "curl_int.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

/* ---- Life ---- */

static pthread_once_t global_once = PTHREAD_ONCE_INIT;
static CURLcode global_code;

static void init_global(void) {
  global_code = curl_global_init(CURL_GLOBAL_DEFAULT);
}

/* Copies an option's text; the copy belongs to curl->texts. */
static bool copy_text(sheaf_curl *curl, uint32_t place, const char **text) {
  if (*text == NULL) return true;
  curl->texts[place] = strdup(*text);
  *text = curl->texts[place];
  return *text != NULL;
}

/* Options grow at the end: what an older caller does not know keeps its default. */
static int32_t read_options(sheaf_curl *curl, const sheaf_curl_options *given) {
  curl->options = SHEAF_CURL_OPTIONS_INIT;
  if (given != NULL) {
    size_t bytes = given->struct_bytes;
    if (bytes < sizeof(given->struct_bytes)) return SHEAF_E_RANGE;
    memcpy(&curl->options, given, bytes < sizeof(curl->options) ? bytes : sizeof(curl->options));
  }
  sheaf_curl_options *options = &curl->options;
  if (options->user_agent == NULL) options->user_agent = "sheaf/" SHEAF_VERSION_STRING;
  if (!copy_text(curl, 0, &options->proxy) || !copy_text(curl, 1, &options->ca_file) ||
      !copy_text(curl, 2, &options->ca_path) || !copy_text(curl, 3, &options->user_agent)) {
    return SHEAF_E_NOMEM;
  }
  bool is_valid = options->shards <= SHEAF__SHARDS_MAX && options->http2 <= 2 &&
                  options->allow_http <= 1 && options->max_ratio > 0 &&
                  strpbrk(options->user_agent, "\r\n") == NULL;
  return is_valid ? SHEAF_OK : SHEAF_E_RANGE;
}

/* libcurl looks at these for every transfer; with none of them set that search is switched off. */
static bool is_proxy_possible(const char *option) {
  if (option != NULL) return option[0] != '\0';
  static const char *const names[] = {"http_proxy", "https_proxy", "HTTPS_PROXY", "all_proxy",
                                      "ALL_PROXY"};
  for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
    const char *value = getenv(names[i]);
    if (value != NULL && value[0] != '\0') return true;
  }
  return false;
}

static uint32_t limit_shards(const sheaf_curl_options *options) {
  uint64_t limit = options->shards != 0 ? options->shards : SHEAF__SHARDS_AUTO_MAX;
  if (options->max_connections != 0 && options->max_connections < limit) {
    limit = options->max_connections;
  }
  return (uint32_t)limit;
}

/* No phase of an exchange can be over sooner than this after it began; SHEAF_NEVER: none has a limit. */
static uint64_t shortest_phase(const sheaf_curl_options *options) {
  const uint64_t limits[] = {options->connect_timeout_ms, options->first_byte_timeout_ms,
                             options->idle_timeout_ms};
  uint64_t shortest = SHEAF_NEVER;
  for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
    uint64_t limit_ns = 0;
    if (limits[i] == 0 || __builtin_mul_overflow(limits[i], SHEAF__NS_PER_MS, &limit_ns)) continue;
    if (limit_ns < shortest) shortest = limit_ns;
  }
  return shortest;
}

static int32_t start_slot(void *ctx, const sheaf_exchange *exchange);
static void cancel_slot(void *ctx, uint64_t exchange);

int32_t sheaf_curl_new(const sheaf_curl_options *options, sheaf_curl **curl) {
  if (curl == NULL) return SHEAF_E_MISUSE;
  pthread_once(&global_once, init_global);
  const curl_version_info_data *version = curl_version_info(CURLVERSION_NOW);
  if (global_code != CURLE_OK || version->version_num < 0x075000) return SHEAF_E_IO; /* 7.80.0 */
  sheaf_curl *made = calloc(1, sizeof(*made));
  if (made == NULL) return SHEAF_E_NOMEM;
  made->epoll_fd = -1;
  made->wake_fd = -1;
  made->check_ns = SHEAF_NEVER;
  made->transport = (sheaf_transport){.struct_bytes = sizeof(sheaf_transport),
                                      .ctx = made,
                                      .start = start_slot,
                                      .cancel = cancel_slot};
  int32_t status = read_options(made, options);
  if (status == SHEAF_OK) status = sheaf__watch_open(made);
  if (status != SHEAF_OK) {
    sheaf_curl_free(made);
    return status;
  }
  made->has_proxy = is_proxy_possible(made->options.proxy);
  made->shard_limit = limit_shards(&made->options);
  made->phase_ns = shortest_phase(&made->options);
  made->now_ns = sheaf_now_ns();
  *curl = made;
  return SHEAF_OK;
}

static void free_ended(sheaf_curl *curl) {
  while (curl->ended_first != NULL) {
    sheaf__transfer *transfer = curl->ended_first;
    curl->ended_first = transfer->next;
    sheaf__transfer_free(transfer);
  }
}

void sheaf_curl_free(sheaf_curl *curl) {
  if (curl == NULL) return;
  while (curl->active != NULL) {
    sheaf__transfer *transfer = curl->active;
    curl->active = transfer->active_next;
    curl_multi_remove_handle(transfer->shard->multi, transfer->easy);
    sheaf__transfer_free(transfer);
  }
  free_ended(curl);
  sheaf__routes_free(curl);
  for (uint32_t i = 0; i < curl->shard_count; i++) curl_multi_cleanup(curl->shards[i].multi);
  sheaf__watch_close(curl);
  sheaf__secrets_free(curl);
  free(curl->buckets);
  for (uint32_t i = 0; i < SHEAF__TEXTS; i++) {
    if (curl->texts[i] != NULL) sheaf__wipe(curl->texts[i], strlen(curl->texts[i]));
    free(curl->texts[i]); /* a proxy's URL may hold a password */
  }
  free(curl);
}

const sheaf_transport *sheaf_curl_transport(sheaf_curl *curl) {
  return curl == NULL ? NULL : &curl->transport;
}

int32_t sheaf_curl_bind(sheaf_curl *curl, sheaf_engine *engine) {
  if (curl == NULL || engine == NULL) return SHEAF_E_MISUSE;
  if (curl->in_flight > 0 || curl->ended_first != NULL) return SHEAF_E_MISUSE;
  curl->engine = engine;
  return SHEAF_OK;
}

/* ---- Shards ---- */

#define SET_MULTI(option, value) \
  if (curl_multi_setopt(multi, option, value) != CURLM_OK) return false

/* Idle connections are kept without a bound of libcurl's own, which would close them whenever many transfers end at once;
 * there are never more than were in flight. */
static bool set_up_multi(sheaf_curl *curl, CURLM *multi, sheaf__shard *shard, uint32_t index) {
  SET_MULTI(CURLMOPT_SOCKETFUNCTION, sheaf__watch_on_socket);
  SET_MULTI(CURLMOPT_SOCKETDATA, shard);
  SET_MULTI(CURLMOPT_TIMERFUNCTION, sheaf__watch_on_timer);
  SET_MULTI(CURLMOPT_TIMERDATA, shard);
  SET_MULTI(CURLMOPT_MAXCONNECTS, 65536L);
  SET_MULTI(CURLMOPT_PIPELINING, curl->options.http2 == 0 ? CURLPIPE_NOTHING : CURLPIPE_MULTIPLEX);
  uint64_t most = curl->options.max_connections;
  if (most != 0 && most < 65536u * SHEAF__SHARDS_MAX) {
    uint64_t share = most / curl->shard_limit + (index < most % curl->shard_limit);
    SET_MULTI(CURLMOPT_MAX_TOTAL_CONNECTIONS, (long)share);
  }
  return true;
}

static sheaf__shard *open_shard(sheaf_curl *curl) {
  sheaf__shard *shard = &curl->shards[curl->shard_count];
  *shard = (sheaf__shard){.curl = curl, .due_ns = SHEAF_NEVER};
  CURLM *multi = curl_multi_init();
  if (multi == NULL) return NULL;
  if (!set_up_multi(curl, multi, shard, curl->shard_count)) {
    curl_multi_cleanup(multi);
    return NULL;
  }
  shard->multi = multi;
  curl->shard_count++;
  return shard;
}

/* How many connections of the shard are idle, if all that it ever needed are still open. */
static uint32_t spare_of(const sheaf__shard *shard) {
  return shard->peak - shard->in_flight;
}

/* The shard with the most idle connections; where none has any, the one with the fewest in flight, or a new one when that
 * is full. A number of shards that was asked for is opened at once. */
static sheaf__shard *choose_shard(sheaf_curl *curl, const sheaf__route *route) {
  sheaf__shard *best = NULL;
  for (uint32_t i = 0; i < curl->shard_count; i++) {
    sheaf__shard *shard = &curl->shards[i];
    if (best == NULL || spare_of(shard) > spare_of(best) ||
        (spare_of(shard) == spare_of(best) && shard->in_flight < best->in_flight)) {
      best = shard;
    }
  }
  if (best != NULL && spare_of(best) > 0) return best;
  bool is_fixed = curl->options.shards != 0 || curl->options.max_connections != 0;
  uint32_t full =
      sheaf__route_is_multiplexed(route) ? SHEAF__SHARD_STREAMS : SHEAF__SHARD_TRANSFERS;
  bool wants_more = best == NULL || is_fixed || best->in_flight >= full;
  if (!wants_more || curl->shard_count == curl->shard_limit) return best;
  sheaf__shard *more = open_shard(curl);
  return more != NULL ? more : best;
}

/* ---- The tables of transfers ---- */

/* Ids come in sequence, so their low bits spread evenly. */
static sheaf__transfer **bucket_of(sheaf_curl *curl, uint64_t id) {
  return &curl->buckets[id & (curl->bucket_count - 1)];
}

static bool make_room(sheaf_curl *curl) {
  if (curl->in_flight < curl->bucket_count) return true;
  size_t count = curl->bucket_count == 0 ? 64 : curl->bucket_count * 2;
  sheaf__transfer **buckets = calloc(count, sizeof(sheaf__transfer *));
  if (buckets == NULL) return false;
  free(curl->buckets);
  curl->buckets = buckets;
  curl->bucket_count = count;
  for (sheaf__transfer *at = curl->active; at != NULL; at = at->active_next) {
    sheaf__transfer **bucket = bucket_of(curl, at->id);
    at->hash_next = *bucket;
    *bucket = at;
  }
  return true;
}

static void link_active(sheaf__transfer *transfer) {
  sheaf_curl *curl = transfer->curl;
  transfer->active_prev = NULL;
  transfer->active_next = curl->active;
  if (curl->active != NULL) curl->active->active_prev = transfer;
  curl->active = transfer;
  sheaf__transfer **bucket = bucket_of(curl, transfer->id);
  transfer->hash_next = *bucket;
  *bucket = transfer;
  sheaf__shard *shard = transfer->shard;
  shard->in_flight++;
  if (shard->in_flight > shard->peak) shard->peak = shard->in_flight;
  transfer->route->active_count++;
  curl->in_flight++;
}

static void unlink_active(sheaf__transfer *transfer) {
  sheaf_curl *curl = transfer->curl;
  *(transfer->active_prev == NULL ? &curl->active : &transfer->active_prev->active_next) =
      transfer->active_next;
  if (transfer->active_next != NULL) transfer->active_next->active_prev = transfer->active_prev;
  sheaf__transfer **at = bucket_of(curl, transfer->id);
  while (*at != transfer) at = &(*at)->hash_next;
  *at = transfer->hash_next;
  transfer->shard->in_flight--;
  curl->in_flight--;
  if (transfer->is_paused) curl->paused_count--;
}

static void push_ended(sheaf_curl *curl, sheaf__transfer *transfer) {
  transfer->next = NULL;
  *(curl->ended_last == NULL ? &curl->ended_first : &curl->ended_last->next) = transfer;
  curl->ended_last = transfer;
}

/* ---- Ending ---- */

/* The transfer goes back to its route before the report, which is the last thing: an engine may free the exchange in it. */
static void report(sheaf__transfer *transfer, CURLcode result) {
  sheaf_curl *curl = transfer->curl;
  sheaf_exchange_end end;
  sheaf__outcome(transfer, result, &end);
  uint64_t id = transfer->id;
  transfer->exchange = NULL;
  if (transfer->route == NULL) {
    sheaf__transfer_free(transfer);
  } else {
    transfer->route->active_count--;
    transfer->next = transfer->route->idle;
    transfer->route->idle = transfer;
  }
  curl->has_reported = true;
  curl->is_reporting = true;
  sheaf_engine_on_done(curl->engine, id, &end);
  curl->is_reporting = false;
}

static void take_out(sheaf__transfer *transfer) {
  curl_multi_remove_handle(transfer->shard->multi, transfer->easy);
  unlink_active(transfer);
}

static void report_ended(sheaf_curl *curl) {
  while (curl->ended_first != NULL) {
    sheaf__transfer *transfer = curl->ended_first;
    curl->ended_first = transfer->next;
    if (curl->ended_first == NULL) curl->ended_last = NULL;
    report(transfer, CURLE_WRITE_ERROR); /* why it was stopped says more */
  }
}

static void collect(sheaf_curl *curl) {
  for (uint32_t i = 0; i < curl->shard_count; i++) {
    sheaf__shard *shard = &curl->shards[i];
    if (!shard->is_dirty) continue;
    shard->is_dirty = false;
    int left = 0;
    for (CURLMsg *message = curl_multi_info_read(shard->multi, &left); message != NULL;
         message = curl_multi_info_read(shard->multi, &left)) {
      if (message->msg != CURLMSG_DONE) continue;
      sheaf__transfer *transfer = NULL;
      CURLcode result = message->data.result;
      curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&transfer);
      take_out(transfer);
      report(transfer, result);
    }
  }
}

static uint64_t add_sat(uint64_t a, uint64_t b) {
  uint64_t sum = 0;
  return __builtin_add_overflow(a, b, &sum) ? SHEAF_NEVER : sum;
}

/* Walks all transfers, but not before one can be late: check_ns is a lower bound that start and this walk keep. A transfer
 * that enters its next phase from now on is late no sooner than phase_ns from now. */
static void end_late(sheaf_curl *curl) {
  if (curl->now_ns < curl->check_ns) return;
  curl->check_ns = curl->active == NULL ? SHEAF_NEVER : add_sat(curl->now_ns, curl->phase_ns);
  sheaf__transfer *next = NULL;
  for (sheaf__transfer *at = curl->active; at != NULL; at = next) {
    next = at->active_next;
    uint32_t stop = SHEAF__STOP_NONE;
    uint64_t deadline = sheaf__transfer_deadline(at, &stop);
    if (deadline > curl->now_ns) {
      if (deadline < curl->check_ns) curl->check_ns = deadline;
      continue;
    }
    at->stop = stop;
    take_out(at);
    push_ended(curl, at);
  }
  /* At most one walk a ms, however many deadlines lie close together. */
  uint64_t soonest = curl->now_ns + SHEAF__NS_PER_MS;
  if (curl->check_ns < soonest) curl->check_ns = soonest;
  report_ended(curl);
}

/* ---- Start and cancel ---- */

static int32_t refuse(sheaf_curl *curl, const sheaf_exchange *exchange, const char *refusal) {
  sheaf__transfer *transfer = calloc(1, sizeof(*transfer));
  if (transfer == NULL) return SHEAF_E_NOMEM;
  transfer->curl = curl;
  transfer->id = exchange->id;
  transfer->stop = SHEAF__STOP_REFUSED;
  transfer->refusal = refusal;
  push_ended(curl, transfer);
  return SHEAF_OK;
}

static void set_deadlines(sheaf__transfer *transfer, const sheaf_exchange *exchange) {
  sheaf_curl *curl = transfer->curl;
  uint64_t now_ns = sheaf_now_ns();
  transfer->started_ns = now_ns;
  transfer->deadline_ns = add_sat(now_ns, exchange->timeout_ns);
  /* With a bound on connections an exchange may wait for one before it connects. */
  transfer->connect_ns = curl->options.max_connections == 0 ? now_ns : SHEAF_NEVER;
  transfer->sent_ns = now_ns;
  transfer->last_ns = now_ns;
  uint64_t phase_end_ns = add_sat(now_ns, curl->phase_ns);
  if (transfer->deadline_ns < curl->check_ns) curl->check_ns = transfer->deadline_ns;
  if (phase_end_ns < curl->check_ns) curl->check_ns = phase_end_ns;
}

static int32_t start_slot(void *ctx, const sheaf_exchange *exchange) {
  sheaf_curl *curl = ctx;
  if (curl->engine == NULL || curl->is_reporting) return SHEAF_E_MISUSE;
  if (exchange->kind != SHEAF_EXCHANGE_HTTP) return SHEAF_E_UNSUPPORTED;
  sheaf__route *route = NULL;
  const char *refusal = NULL;
  int32_t status = sheaf__route_of(curl, exchange, &route, &refusal);
  if (status == SHEAF_E_FIELD) return refuse(curl, exchange, refusal);
  if (status != SHEAF_OK) return status;
  sheaf__shard *shard = choose_shard(curl, route);
  if (shard == NULL || !make_room(curl)) return SHEAF_E_NOMEM;
  sheaf__transfer *transfer = sheaf__transfer_take(curl, route);
  if (transfer == NULL) return SHEAF_E_NOMEM;
  if (sheaf__transfer_prepare(transfer, exchange) != CURLE_OK ||
      curl_multi_add_handle(shard->multi, transfer->easy) != CURLM_OK) {
    sheaf__transfer_free(transfer);
    return SHEAF_E_NOMEM;
  }
  transfer->shard = shard;
  set_deadlines(transfer, exchange);
  link_active(transfer);
  return SHEAF_OK;
}

static void cancel_slot(void *ctx, uint64_t exchange) {
  sheaf_curl *curl = ctx;
  if (curl->bucket_count == 0 || curl->is_reporting) return;
  sheaf__transfer *transfer = *bucket_of(curl, exchange);
  while (transfer != NULL && transfer->id != exchange) transfer = transfer->hash_next;
  if (transfer == NULL) return; /* it has ended: its report is made or on its way */
  transfer->stop = SHEAF__STOP_CANCELLED;
  take_out(transfer);
  push_ended(curl, transfer);
}

/* ---- Poll ---- */

/* What the engine was too full for is offered again, once a poll: a step lies between. */
static void resume(sheaf_curl *curl) {
  sheaf__transfer *next = NULL;
  for (sheaf__transfer *at = curl->active; at != NULL && curl->paused_count > 0; at = next) {
    next = at->active_next;
    if (!at->is_paused) continue;
    at->is_paused = false;
    curl->paused_count--;
    at->shard->is_dirty = true;
    if (curl_easy_pause(at->easy, CURLPAUSE_CONT) == CURLE_OK) continue;
    if (at->stop == SHEAF__STOP_NONE) at->stop = SHEAF__STOP_ENGINE;
    take_out(at);
    push_ended(curl, at);
  }
}

static void move(sheaf_curl *curl) {
  report_ended(curl);
  sheaf__watch_run_due(curl);
  collect(curl);
  end_late(curl);
}

int32_t sheaf_curl_poll(sheaf_curl *curl, uint64_t wait_ns, int32_t extra_fd) {
  if (curl == NULL || curl->is_reporting) return SHEAF_E_MISUSE;
  int32_t status = sheaf__watch_extra(curl, extra_fd);
  if (status != SHEAF_OK) return status;
  curl->now_ns = sheaf_now_ns();
  curl->has_reported = false;
  resume(curl);
  move(curl);
  if (curl->has_reported) wait_ns = 0;
  uint64_t check_in_ns = curl->check_ns > curl->now_ns ? curl->check_ns - curl->now_ns : 0;
  if (curl->check_ns != SHEAF_NEVER && check_in_ns < wait_ns) wait_ns = check_in_ns;
  status = sheaf__watch_wait(curl, wait_ns);
  move(curl);
  return curl->has_failed ? SHEAF_E_IO : status;
}
