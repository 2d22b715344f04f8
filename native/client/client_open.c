/* client_open.c: options into an engine and a transport: ranges, defaults, doors. Where to and with which key is
 * client_place.c.
 *
 * Outline: what is wrong, the engine, the transport, opening. */
#define _DEFAULT_SOURCE
#include "client_int.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

/* ---- What is wrong ---- */

typedef struct opening {
  sheaf_client_options given; /* of the caller's version: what it does not know has its default */
  sheaf__place place;         /* what the simple options make */
} opening;

enum { SENTENCE_BYTES = 256 };

static int32_t complain(const opening *o, int32_t status, const char *sentence) {
  if (o->given.message != NULL && o->given.message_bytes > 0)
    snprintf(o->given.message, o->given.message_bytes, "%s", sentence);
  return status;
}

/* As the engine looks at them, but it says no more than that one is out of its range. */
int32_t sheaf__options_check(const sheaf_engine_options *options, char *sentence, size_t bytes) {
  for (uint32_t i = 0; sheaf_option_at(i) != NULL; i++) {
    const sheaf_option *option = sheaf_option_at(i);
    uint64_t value;
    memcpy(&value, (const char *)options + option->offset, sizeof value);
    if ((value >= option->min && value <= option->max) || value == option->initial) continue;
    snprintf(sentence, bytes, "%s cannot be %llu: give a whole number from %llu to %llu",
             option->name, (unsigned long long)value, (unsigned long long)option->min,
             (unsigned long long)option->max);
    return SHEAF_E_RANGE;
  }
  return SHEAF_OK;
}

static int32_t check_ranges(const opening *o, const sheaf_engine_options *options) {
  char sentence[SENTENCE_BYTES];
  if (sheaf__options_check(options, sentence, sizeof sentence))
    return complain(o, SHEAF_E_RANGE, sentence);
  if (o->given.workers_max > SHEAF__WORKERS_MAX) {
    snprintf(sentence, sizeof sentence, "workers_max cannot be %u: give 1 to %u, or 0 for %u",
             (unsigned)o->given.workers_max, SHEAF__WORKERS_MAX, SHEAF__WORKERS);
    return complain(o, SHEAF_E_RANGE, sentence);
  }
  if (o->given.report_ms > SHEAF_NEVER / 1000000)
    return complain(o, SHEAF_E_RANGE, "report_ms is too large: give milliseconds, or 0 for never");
  return SHEAF_OK;
}

/* ---- The engine ---- */

static uint64_t draw_seed(void) {
  uint64_t seed = 0;
  if (getrandom(&seed, sizeof seed, GRND_NONBLOCK) != (ssize_t)sizeof seed) seed = sheaf_now_ns();
  return seed;
}

void sheaf__options_read(sheaf_engine_options *o, const sheaf_engine_options *given) {
  sheaf_engine_options_init(o);
  if (given != NULL) {
    size_t known = given->struct_bytes < sizeof *o ? given->struct_bytes : sizeof *o;
    memcpy(o, given, known);
    o->struct_bytes = sizeof *o;
  }
  if (o->seed == 0) o->seed = draw_seed();
  if (o->sha256_blocks == NULL) o->sha256_blocks = sheaf_sha256_fastest();
}

void sheaf__options_apply(sheaf_client *client) {
  const sheaf_engine_options *o = &client->options;
  uint64_t cap = o->concurrency ? o->concurrency : o->max_concurrency;
  /* Lists leave half of the places to single requests, which would wait until their end otherwise. */
  uint64_t half = o->queue_capacity > 1 ? o->queue_capacity / 2 : 1;
  client->ahead = cap + SHEAF__LIST_AHEAD < half ? cap + SHEAF__LIST_AHEAD : half;
  atomic_store(&client->capacity, o->queue_capacity);
  atomic_store(&client->bytes_max, o->queue_bytes_max);
}

/* Without randomness there is no secret, and prompts are never merged. */
static void draw_secret(sheaf_client *client) {
  if (!client->draws_secret) return;
  uint8_t *secret = client->kept.secret;
  ssize_t drawn = getrandom(secret, sizeof client->kept.secret, 0);
  client->options.secret = drawn == (ssize_t)sizeof client->kept.secret ? secret : NULL;
}

static int32_t start_exchange(void *ctx, const sheaf_exchange *exchange) {
  sheaf_client *client = ctx;
  if (exchange->kind != SHEAF_EXCHANGE_TASK)
    return client->transport.start(client->transport.ctx, exchange);
  sheaf__live *live = exchange->user;
  return sheaf__task_start(client, live->whose.task, exchange);
}

static void cancel_exchange(void *ctx, uint64_t exchange) {
  sheaf_client *client = ctx;
  if (!sheaf__task_cancel(client, exchange))
    client->transport.cancel(client->transport.ctx, exchange);
}

/* The one before stays if anything fails. Nobody changes the options meanwhile: `life` is held. */
int32_t sheaf__engine_renew(sheaf_client *client) {
  sheaf_engine *engine = NULL;
  draw_secret(client);
  int32_t status = sheaf_engine_new(&client->options, sheaf_heap(), &engine);
  if (status) return status;
  const sheaf_sink sink = {.struct_bytes = sizeof sink, .ctx = client, .put = sheaf__event_put};
  const sheaf_transport transport = {.struct_bytes = sizeof transport,
                                     .ctx = client,
                                     .start = start_exchange,
                                     .cancel = cancel_exchange};
  const sheaf_hooks hooks = sheaf__hooks_for(client);
  const sheaf_doors doors = {.struct_bytes = sizeof doors,
                             .transport = &transport,
                             .sink = &sink,
                             .hooks = client->has_hooks ? &hooks : NULL};
  status = sheaf_engine_open(engine, &doors);
  if (status == SHEAF_OK) status = client->transport.bind(client->transport.ctx, engine);
  if (status) {
    sheaf_engine_free(engine);
    return status;
  }
  sheaf_engine_free(client->engine);
  client->engine = engine;
  return SHEAF_OK;
}

/* ---- The transport ---- */

static int32_t curl_bind(void *curl, sheaf_engine *engine) {
  return sheaf_curl_bind(curl, engine);
}

static int32_t curl_poll(void *curl, uint64_t wait_ns) {
  return sheaf_curl_poll(curl, wait_ns, -1);
}

static void curl_wake(void *curl) {
  sheaf_curl_wake(curl);
}

static int32_t curl_credential(void *curl, uint32_t credential_id, const char *base_url,
                               const char *secret) {
  return sheaf_curl_set_credential(curl, credential_id, base_url, secret);
}

static void curl_redact(void *curl, char *text, size_t bytes) {
  sheaf_curl_redact(curl, text, bytes);
}

static int32_t open_transport(sheaf_client *client, const opening *o) {
  sheaf_client_transport *t = &client->transport;
  const sheaf_client_transport *given = o->given.transport;
  if (given != NULL) {
    memcpy(t, given, given->struct_bytes < sizeof *t ? given->struct_bytes : sizeof *t);
    t->struct_bytes = sizeof *t;
    if (t->bind != NULL && t->start != NULL && t->cancel != NULL && t->poll != NULL &&
        t->wake != NULL)
      return SHEAF_OK;
    return complain(o, SHEAF_E_MISUSE, "a transport needs bind, start, cancel, poll and wake");
  }
  int32_t status = sheaf_curl_new(o->given.curl, &client->curl);
  if (status)
    return complain(o, status, "libcurl could not be set up, or curl options are not valid");
  const sheaf_transport *door = sheaf_curl_transport(client->curl);
  *t = (sheaf_client_transport){.struct_bytes = sizeof *t,
                                .ctx = door->ctx,
                                .bind = curl_bind,
                                .start = door->start,
                                .cancel = door->cancel,
                                .poll = curl_poll,
                                .wake = curl_wake,
                                .set_credential = curl_credential,
                                .redact = curl_redact};
  return SHEAF_OK;
}

/* ---- Opening ---- */

/* The one endpoint that provider, base_url, api_key and model speak of. */
static int32_t simple_endpoint(sheaf_client *client, opening *o) {
  const sheaf_client_options *given = &o->given;
  const sheaf_client_transport *t = &client->transport;
  char sentence[SENTENCE_BYTES];
  o->place = (sheaf__place){.provider = given->provider,
                            .base_url = given->base_url,
                            .key = given->api_key,
                            .model = given->model,
                            .wants_key = t->set_credential != NULL};
  int32_t status = sheaf__place_find(&o->place, sentence, sizeof sentence);
  if (status) return complain(o, status, sentence);
  client->options.endpoints = &o->place.endpoint;
  client->options.endpoint_count = 1;
  if (t->set_credential == NULL) return SHEAF_OK;
  status = sheaf__place_key(&o->place, t->set_credential, t->ctx);
  return status ? complain(o, status, "the key or base_url is not valid") : SHEAF_OK;
}

static int32_t own_endpoints(sheaf_client *client, const opening *o) {
  char sentence[SENTENCE_BYTES];
  client->options.endpoints = o->given.endpoints;
  client->options.endpoint_count = o->given.endpoint_count;
  int32_t status = sheaf__endpoints_check(o->given.endpoints, o->given.endpoint_count, sentence,
                                          sizeof sentence);
  return status ? complain(o, status, sentence) : SHEAF_OK;
}

static void keep_own(sheaf_client *client, const sheaf_client_options *given) {
  client->on_event = given->on_event;
  client->event_user = given->user;
  client->on_report = given->on_report;
  client->report_user = given->report_user ? given->report_user : given->user;
  client->report_every_ns = given->on_report ? given->report_ms * 1000000 : 0;
  if (given->hooks == NULL) return;
  sheaf_hooks *hooks = &client->hooks;
  memcpy(hooks, given->hooks,
         given->hooks->struct_bytes < sizeof *hooks ? given->hooks->struct_bytes : sizeof *hooks);
  hooks->struct_bytes = sizeof *hooks;
  client->has_hooks = true;
}

int32_t sheaf__client_open(sheaf_client *client, const sheaf_client_options *options) {
  opening o = {.given = SHEAF_CLIENT_OPTIONS_INIT};
  size_t known = options->struct_bytes < sizeof o.given ? options->struct_bytes : sizeof o.given;
  if (known < sizeof options->struct_bytes) return SHEAF_E_MISUSE;
  memcpy(&o.given, options, known);
  complain(&o, SHEAF_OK, "");
  sheaf__options_read(&client->options, o.given.engine);
  client->draws_secret = client->options.secret == NULL;
  keep_own(client, &o.given);
  int32_t status = check_ranges(&o, &client->options);
  if (status == SHEAF_OK) status = open_transport(client, &o);
  if (status) return status;
  status = o.given.endpoints == NULL ? simple_endpoint(client, &o) : own_endpoints(client, &o);
  if (status) return status;
  sheaf__options_apply(client);
  status = sheaf__keep_options(&client->options, &client->kept);
  if (status == SHEAF_OK) status = sheaf__crew_open(client, o.given.workers_max);
  if (status == SHEAF_OK) status = sheaf__engine_renew(client);
  return status ? complain(&o, status, sheaf_status_text(status)) : SHEAF_OK;
}

void sheaf__client_close(sheaf_client *client) {
  sheaf_curl_free(client->curl);
  sheaf_engine_free(client->engine);
  sheaf__crew_close(client);
  while (client->chunks != NULL) {
    sheaf__live_chunk *chunk = client->chunks;
    client->chunks = chunk->next;
    free(chunk);
  }
  free(client->buckets);
  sheaf__kept_free(&client->kept);
  if (client->transport.free != NULL) client->transport.free(client->transport.ctx);
}
