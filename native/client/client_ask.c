/* client_ask.c: what only the driver can do and a caller waits for: options, pauses, keys, statistics.
 *
 * A question goes through the inbox with what is to be done; while there is no driver it is done here, under `life`. A callback, which
 * runs on the driver inside the engine, cannot wait: its wish is noted and done after it.
 *
 * Outline: asking, options and pauses, statistics, the status line. */
#include "client_int.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- Asking ---- */

static bool is_running(sheaf_client *client) {
  pthread_mutex_lock(&client->mutex);
  bool running = client->running;
  pthread_mutex_unlock(&client->mutex);
  return running;
}

/* While a run ends the inbox is closed and the driver is still there: then `life` is held until it is gone. */
static bool do_here(sheaf_client *client, sheaf__ask *ask) {
  pthread_mutex_lock(&client->life);
  bool free_to_act = !is_running(client);
  if (free_to_act) ask->status = ask->act(client, ask->ctx);
  pthread_mutex_unlock(&client->life);
  return free_to_act;
}

/* The end of a run that nobody waits for yet, as while a callback of its last turn calls us: the thread is as good as gone. */
int32_t sheaf__ask_driver(sheaf_client *client, sheaf__act act, void *ctx) {
  sheaf__ask ask = {.command = {.kind = SHEAF__DO_ASK}, .act = act, .ctx = ctx};
  const struct timespec moment = {.tv_nsec = 1000000};
  while (!sheaf__push(client, &ask.command)) {
    if (do_here(client, &ask)) return ask.status;
    nanosleep(&moment, NULL);
  }
  pthread_mutex_lock(&client->mutex);
  while (!ask.answered) pthread_cond_wait(&client->answered, &client->mutex);
  pthread_mutex_unlock(&client->mutex);
  return ask.status;
}

/* In a callback. text may be NULL; it is handed to act. */
static int32_t do_later(sheaf_client *client, sheaf__act act, const void *text, size_t bytes) {
  sheaf__later *later = malloc(sizeof *later + bytes);
  if (later == NULL) return SHEAF_E_NOMEM;
  *later = (sheaf__later){.command = {.kind = SHEAF__DO_LATER}, .act = act, .ctx = later + 1};
  if (bytes > 0) memcpy(later + 1, text, bytes);
  if (sheaf__push(client, &later->command)) return SHEAF_OK;
  free(later);
  return SHEAF_E_END;
}

/* ---- Keys ---- */

typedef struct credential {
  uint32_t id;
  const char *base_url;
  const char *secret;
} credential;

static int32_t set_credential(sheaf_client *client, void *ctx) {
  const credential *c = ctx;
  return client->transport.set_credential(client->transport.ctx, c->id, c->base_url, c->secret);
}

int32_t sheaf_client_set_credential(sheaf_client *client, uint32_t credential_id,
                                    const char *base_url, const char *secret) {
  if (client == NULL || credential_id == 0 || base_url == NULL || secret == NULL)
    return SHEAF_E_MISUSE;
  if (client->transport.set_credential == NULL) return SHEAF_E_UNSUPPORTED;
  credential c = {credential_id, base_url, secret};
  if (sheaf__on_driver(client)) return set_credential(client, &c);
  return sheaf__ask_driver(client, set_credential, &c);
}

/* ---- Options ---- */

typedef struct setting {
  sheaf_slice name, value;
  char *message;
  size_t message_bytes;
} setting;

/* What was spent may be more again, and what has failed may be tried again: the health of such an option begins anew. */
static void forget(sheaf_client *client, sheaf_slice name) {
  if (sheaf__slice_same(name, SHEAF_LITERAL("budget_usd"))) client->seen.budget_spent = false;
}

static int32_t set(sheaf_client *client, void *ctx) {
  setting *s = ctx;
  int32_t status = SHEAF_OK;
  bool running = is_running(client);
  if (running)
    status = sheaf_engine_set(client->engine, s->name, s->value, s->message, s->message_bytes);
  if (status) return status;
  pthread_mutex_lock(&client->mutex);
  status = sheaf_option_set(&client->options, s->name, s->value, s->message, s->message_bytes);
  if (status == SHEAF_OK) sheaf__options_apply(client);
  pthread_mutex_unlock(&client->mutex);
  if (status == SHEAF_OK) forget(client, s->name);
  return status;
}

static int32_t set_copied(sheaf_client *client, void *ctx) {
  const char *name = ctx;
  char unread[256];
  setting s = {sheaf_slice_of(name), sheaf_slice_of(name + strlen(name) + 1), unread,
               sizeof unread};
  return set(client, &s);
}

/* Both texts with their terminators, one behind the other. */
static int32_t set_later(sheaf_client *client, const setting *s) {
  sheaf_engine_options tried;
  sheaf_engine_options_init(&tried);
  int32_t status = sheaf_option_set(&tried, s->name, s->value, s->message, s->message_bytes);
  if (status) return status;
  size_t bytes = s->name.bytes + s->value.bytes + 2;
  char *both = calloc(1, bytes);
  if (both == NULL) return SHEAF_E_NOMEM;
  memcpy(both, s->name.data, s->name.bytes);
  memcpy(both + s->name.bytes + 1, s->value.data, s->value.bytes);
  status = do_later(client, set_copied, both, bytes);
  free(both);
  return status;
}

int32_t sheaf_client_set(sheaf_client *client, const char *name, const char *value, char *message,
                         size_t message_bytes) {
  if (client == NULL || name == NULL || value == NULL) return SHEAF_E_MISUSE;
  char unread[256];
  setting s = {sheaf_slice_of(name), sheaf_slice_of(value), unread, sizeof unread};
  unread[0] = 0;
  int32_t status =
      sheaf__on_driver(client) ? set_later(client, &s) : sheaf__ask_driver(client, set, &s);
  if (status == SHEAF_E_NOT_FOUND)
    snprintf(unread, sizeof unread, "there is no option called \"%.60s\"", name);
  else if (status && unread[0] == 0)
    snprintf(unread, sizeof unread, "%.60s: %s", name, sheaf_status_text(status));
  if (message != NULL && message_bytes > 0)
    snprintf(message, message_bytes, "%s", status ? unread : "");
  return status;
}

/* ---- Pauses ---- */

static int32_t pause_engine(sheaf_client *client, void *unused) {
  (void)unused;
  if (!is_running(client)) return SHEAF_E_END;
  client->seen.paused = true;
  return sheaf_engine_pause(client->engine);
}

static int32_t resume_engine(sheaf_client *client, void *unused) {
  (void)unused;
  if (!is_running(client)) return SHEAF_E_END;
  client->seen.paused = false;
  return sheaf_engine_resume(client->engine);
}

static int32_t reset_stats(sheaf_client *client, void *unused) {
  (void)unused;
  sheaf_stats stats;
  sheaf_engine_stats_reset(client->engine);
  client->refused = client->unsent = 0;
  sheaf__stats_take(client, &stats);
  pthread_mutex_lock(&client->mutex);
  client->stats = stats;
  pthread_mutex_unlock(&client->mutex);
  return SHEAF_OK;
}

static int32_t ask(sheaf_client *client, sheaf__act act) {
  if (client == NULL) return SHEAF_E_MISUSE;
  if (sheaf__on_driver(client)) return do_later(client, act, NULL, 0);
  return sheaf__ask_driver(client, act, NULL);
}

int32_t sheaf_client_pause(sheaf_client *client) {
  return ask(client, pause_engine);
}

int32_t sheaf_client_resume(sheaf_client *client) {
  return ask(client, resume_engine);
}

void sheaf_client_stats_reset(sheaf_client *client) {
  ask(client, reset_stats);
}

/* ---- Statistics ---- */

typedef struct picture {
  sheaf_stats stats;
  sheaf__health health;
  bool refusing, running;
} picture;

/* Asks the driver; a callback that takes longer than a second leaves the latest snapshot, of 100 ms before it. */
static void look(sheaf_client *client, picture *p) {
  struct timespec until;
  sheaf__until(&until, 1000);
  pthread_mutex_lock(&client->mutex);
  uint64_t wanted = ++client->stats_wanted;
  atomic_store(&client->posted, true);
  pthread_mutex_unlock(&client->mutex);
  sheaf__wake(client);
  pthread_mutex_lock(&client->mutex);
  while (client->stats_given < wanted && atomic_load(&client->inbox) != &sheaf__closed)
    if (pthread_cond_timedwait(&client->answered, &client->mutex, &until) != 0) break;
  p->stats = client->stats;
  p->health = client->health;
  p->refusing = atomic_load(&client->refusing);
  p->running = client->running;
  pthread_mutex_unlock(&client->mutex);
}

static void look_here(sheaf_client *client, picture *p) {
  sheaf__stats_take(client, &p->stats);
  p->health = client->seen;
  p->refusing = atomic_load(&client->refusing);
  p->running = true;
}

void sheaf_client_stats(sheaf_client *client, sheaf_stats *stats) {
  if (client == NULL || stats == NULL) return;
  picture p;
  (sheaf__on_driver(client) ? look_here : look)(client, &p);
  *stats = p.stats;
}

/* ---- The status line ---- */

static void name_health(const picture *p, char *text, size_t bytes) {
  const sheaf_stats *stats = &p->stats;
  bool paused = stats->paused_until_ns != SHEAF_NEVER && stats->paused_until_ns > stats->now_ns;
  uint64_t left_ms = paused ? (stats->paused_until_ns - stats->now_ns) / 1000000 : 0;
  const char *name = "ok";
  if (p->health.broken)
    name = "broken: the transport failed";
  else if (p->health.key_stopped)
    name = "stopped: the provider refused the key";
  else if (p->health.budget_spent)
    name = "stopped: the budget is spent";
  else if (p->health.late)
    name = "stopped: the run's deadline has passed";
  else if (!p->running)
    name = "stopped";
  else if (p->refusing)
    name = "draining";
  else if (p->health.breakers_open)
    name = "failing: the circuit breaker is open";
  else if (p->health.paused)
    name = "paused by the caller";
  else if (paused)
    name = NULL;
  if (name != NULL)
    snprintf(text, bytes, "%s", name);
  else
    snprintf(text, bytes, "paused for %llu ms", (unsigned long long)left_ms);
}

size_t sheaf_client_status(sheaf_client *client, char *line, size_t bytes) {
  if (client == NULL || line == NULL || bytes == 0) return 0;
  picture p;
  char state[64], numbers[256];
  (sheaf__on_driver(client) ? look_here : look)(client, &p);
  name_health(&p, state, sizeof state);
  sheaf_stats_line(&p.stats, numbers, sizeof numbers);
  int n = snprintf(line, bytes, "%s; %s; %llu waiting, held back by %s", state, numbers,
                   (unsigned long long)(p.stats.queued + p.stats.waiting_retry),
                   sheaf_limited_by_name(p.stats.limited_by));
  if (n < 0) return line[0] = 0, 0;
  return (size_t)n < bytes ? (size_t)n : bytes - 1;
}

/* Costs no turn of the driver: what it saw last. */
bool sheaf_client_healthy(sheaf_client *client) {
  if (client == NULL) return false;
  pthread_mutex_lock(&client->mutex);
  const sheaf__health *h = &client->health;
  bool is_well = client->running && !h->broken && !h->key_stopped && !h->budget_spent && !h->late &&
                 h->breakers_open == 0;
  pthread_mutex_unlock(&client->mutex);
  return is_well && !atomic_load(&client->refusing) &&
         atomic_load(&client->taken) < atomic_load(&client->capacity) &&
         atomic_load(&client->taken_bytes) < atomic_load(&client->bytes_max);
}
