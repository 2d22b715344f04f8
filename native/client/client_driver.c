/* client_driver.c: the thread that runs the engine over the transport: takes commands, feeds rows, lets the engine turn, tells
 * who waits, sleeps until something can move.
 *
 * Waking: the driver says that it may sleep (asleep), then looks once more (posted); who hands over says so (posted), then looks
 * whether the driver may sleep (asleep). Both are sequentially consistent, so one of the two sees the other, and a wake is
 * written only when it is needed.
 *
 * Outline: commands, feeding, lists, statistics, the loop, a transport that failed. */
#define _POSIX_C_SOURCE 200809L
#include "client_int.h"

#include <stdlib.h>
#include <time.h>

/* ---- Commands ---- */

/* How many rows wait in the engine. */
static uint64_t engine_waiting(const sheaf_client *client) {
  uint64_t room = sheaf_engine_room(client->engine);
  return room < client->capacity ? client->capacity - room : 0;
}

static void wait_push(sheaf_client *client, sheaf__command *command) {
  command->next = NULL;
  *(client->waiting_last == NULL ? &client->waiting_first : &client->waiting_last->next) = command;
  client->waiting_last = command;
  client->waiting_count++;
}

/* Takes command out of what waits; before is the one before it. */
static void wait_remove(sheaf_client *client, sheaf__command *before, sheaf__command *command) {
  *(before == NULL ? &client->waiting_first : &before->next) = command->next;
  if (client->waiting_last == command) client->waiting_last = before;
  client->waiting_count--;
}

static void cancel(sheaf_client *client, uint64_t id) {
  sheaf__command *before = NULL;
  for (sheaf__command *at = client->waiting_first; at != NULL; before = at, at = at->next) {
    if (at->id != id) continue;
    int32_t status = sheaf__end_submit(client, (sheaf__submit *)at, SHEAF_CLASS_CANCELLED,
                                       "cancelled by the caller");
    if (status) return; /* without memory it runs: a cancel is a wish */
    wait_remove(client, before, at);
    free(at);
    return;
  }
  for (sheaf__live *live = client->live; live != NULL; live = live->next) {
    if (live->list != NULL || live->id != id) continue;
    sheaf_engine_cancel(client->engine, live->index);
    return;
  }
}

static void add_list(sheaf_client *client, sheaf__list *list) {
  sheaf__list **at = &client->lists;
  while (*at != NULL) at = &(*at)->next;
  list->next = NULL;
  list->progress_ns = list->options->on_progress ? client->now_ns : SHEAF_NEVER;
  *at = list;
}

static void set_credential(sheaf_client *client, sheaf__credential *credential) {
  int32_t status = sheaf_curl_set_credential(client->curl, credential->credential_id,
                                             credential->base_url, credential->secret);
  pthread_mutex_lock(&client->mutex);
  credential->status = status;
  credential->answered = true;
  pthread_cond_broadcast(&client->answered);
  pthread_mutex_unlock(&client->mutex);
}

static void obey(sheaf_client *client, sheaf__command *command) {
  switch (command->kind) {
    case SHEAF__DO_SUBMIT: wait_push(client, command); break;
    case SHEAF__DO_CANCEL:
      cancel(client, command->id);
      free(command);
      break;
    case SHEAF__DO_LIST: add_list(client, (sheaf__list *)command); break;
    default: set_credential(client, (sheaf__credential *)command); break;
  }
}

/* What was handed over since, in its order. Answers up to which number statistics were asked for. */
static uint64_t take(sheaf_client *client) {
  atomic_store(&client->posted, false);
  pthread_mutex_lock(&client->mutex);
  sheaf__command *command = client->first;
  client->first = client->last = NULL;
  client->inside += client->queued;
  client->queued = 0;
  bool drain = client->draining && !client->drained;
  bool abort_now = client->aborting && !client->aborted;
  uint64_t wanted = client->stats_wanted;
  pthread_mutex_unlock(&client->mutex);
  while (command != NULL) {
    sheaf__command *next = command->next;
    obey(client, command);
    command = next;
  }
  if (drain) sheaf_engine_drain(client->engine);
  if (abort_now) sheaf_engine_abort(client->engine);
  client->drained |= drain;
  client->aborted |= abort_now;
  return wanted;
}

/* ---- Feeding ---- */

static void feed_submits(sheaf_client *client) {
  while (client->waiting_first != NULL) {
    sheaf__command *command = client->waiting_first;
    if (sheaf__admit_submit(client, (sheaf__submit *)command)) return;
    wait_remove(client, NULL, command);
    free(command);
  }
}

/* The next list with rows left, in turn. */
static sheaf__list *next_list(sheaf_client *client) {
  sheaf__list *begin = client->feed_at ? client->feed_at : client->lists;
  for (sheaf__list *at = begin; at != NULL;) {
    sheaf__list *next = at->next ? at->next : client->lists;
    if (at->fed < at->count) {
      client->feed_at = at->next;
      return at;
    }
    at = next == begin ? NULL : next;
  }
  return NULL;
}

static void feed_lists(sheaf_client *client) {
  /* When draining the engine refuses each and they end at once, all of them. */
  uint64_t waiting = engine_waiting(client);
  while (waiting < client->ahead || client->drained) {
    sheaf__list *list = next_list(client);
    if (list == NULL || sheaf__admit_next(client, list)) return;
    waiting = engine_waiting(client);
  }
}

/* ---- Lists ---- */

static void list_over(sheaf_client *client, sheaf__list *list) {
  sheaf_stats stats;
  sheaf__stats_take(client, &stats);
  if (list->options->on_progress != NULL)
    list->options->on_progress(list->options->user, &stats, list->ended, list->count);
  pthread_mutex_lock(&client->mutex);
  client->stats = stats;
  list->over = true;
  pthread_cond_broadcast(&client->answered);
  pthread_mutex_unlock(&client->mutex); /* the list is gone now */
}

static void look_after_lists(sheaf_client *client) {
  for (sheaf__list **at = &client->lists; *at != NULL;) {
    sheaf__list *list = *at;
    if (list->ended == list->count) {
      *at = list->next;
      if (client->feed_at == list) client->feed_at = list->next;
      list_over(client, list);
      continue;
    }
    if (list->progress_ns <= client->now_ns) {
      sheaf_stats stats;
      sheaf__stats_take(client, &stats);
      list->options->on_progress(list->options->user, &stats, list->ended, list->count);
      uint64_t every = list->options->progress_ms ? list->options->progress_ms : 1;
      list->progress_ns = client->now_ns + (every < UINT32_MAX ? every : UINT32_MAX) * 1000000;
    }
    at = &list->next;
  }
}

/* ---- Statistics ---- */

void sheaf__stats_take(const sheaf_client *client, sheaf_stats *stats) {
  sheaf_engine_stats(client->engine, stats);
  stats->admitted += client->refused + client->unsent;
  stats->failed += client->refused;
  stats->failed_by_class[SHEAF_CLASS_INVALID_REQUEST] += client->refused;
  stats->not_attempted += client->unsent;
  stats->queued += client->waiting_count;
}

static void answer_stats(sheaf_client *client, uint64_t wanted) {
  if (wanted == client->stats_given && client->now_ns < client->snapshot_ns) return;
  sheaf_stats stats;
  sheaf__stats_take(client, &stats);
  client->snapshot_ns = client->now_ns + SHEAF__SNAPSHOT_NS;
  pthread_mutex_lock(&client->mutex);
  client->stats = stats;
  client->stats_given = wanted;
  pthread_cond_broadcast(&client->answered);
  pthread_mutex_unlock(&client->mutex);
}

/* Tells threads that wait for room how much there is now. */
static void publish(sheaf_client *client) {
  uint64_t inside = client->waiting_count + engine_waiting(client);
  pthread_mutex_lock(&client->mutex);
  client->inside = inside;
  client->health = client->seen;
  if (client->blocked > 0 && inside + client->queued < client->capacity)
    pthread_cond_broadcast(&client->room);
  pthread_mutex_unlock(&client->mutex);
}

/* ---- The loop ---- */

static uint64_t time_to_wait(sheaf_client *client) {
  uint64_t at = sheaf_engine_timeout_ns(client->engine);
  for (const sheaf__list *list = client->lists; list != NULL; list = list->next)
    if (list->progress_ns < at) at = list->progress_ns;
  if (client->starved && client->now_ns + SHEAF__STARVED_NS < at)
    at = client->now_ns + SHEAF__STARVED_NS;
  return at == SHEAF_NEVER ? SHEAF_NEVER : at > client->now_ns ? at - client->now_ns : 0;
}

static int32_t wait_for_more(sheaf_client *client) {
  uint64_t wait_ns = time_to_wait(client);
  client->starved = false;
  if (wait_ns == 0) return sheaf_curl_poll(client->curl, 0, -1);
  atomic_store(&client->asleep, true);
  if (atomic_load(&client->posted)) wait_ns = 0;
  int32_t status = sheaf_curl_poll(client->curl, wait_ns, -1);
  atomic_store(&client->asleep, false);
  return status;
}

/* Nothing is left and nothing can come: the door is closed under the same lock. */
static bool is_over(sheaf_client *client) {
  if (client->waiting_first != NULL || client->lists != NULL || client->live != NULL) return false;
  pthread_mutex_lock(&client->mutex);
  bool over = client->closing && client->first == NULL;
  if (over) client->gone = true;
  pthread_mutex_unlock(&client->mutex);
  return over;
}

/* ---- A transport that failed ---- */

static const char failed_text[] =
    "the transport of this machine failed (epoll); what was in flight may have been billed";

static void end_everything(sheaf_client *client) {
  while (client->live != NULL)
    if (sheaf__end_live(client, client->live, SHEAF_CLASS_INTERNAL, failed_text)) return;
  while (client->waiting_first != NULL) {
    sheaf__command *command = client->waiting_first;
    if (sheaf__end_submit(client, (sheaf__submit *)command, SHEAF_CLASS_INTERNAL, failed_text))
      return;
    wait_remove(client, NULL, command);
    free(command);
  }
  for (sheaf__list *list = next_list(client); list != NULL; list = next_list(client))
    if (sheaf__end_next(client, list, SHEAF_CLASS_INTERNAL, failed_text)) return;
}

/* The engine is left as it is: its rows end here. */
static void run_broken(sheaf_client *client) {
  const struct timespec pause = {.tv_nsec = (long)SHEAF__STARVED_NS};
  client->seen.broken = true;
  do {
    uint64_t wanted = take(client);
    client->now_ns = sheaf_now_ns();
    end_everything(client);
    look_after_lists(client);
    publish(client);
    answer_stats(client, wanted);
    nanosleep(&pause, NULL);
  } while (!is_over(client));
}

static _Thread_local const sheaf_client *driven;

bool sheaf__on_driver(const sheaf_client *client) {
  return driven == client;
}

void *sheaf__drive(void *ctx) {
  sheaf_client *client = ctx;
  driven = client;
  for (;;) {
    client->now_ns = sheaf_now_ns();
    uint64_t wanted = take(client);
    feed_submits(client);
    feed_lists(client);
    int32_t status = sheaf_engine_run_once(client->engine, client->now_ns, sheaf_unix_ms());
    look_after_lists(client);
    publish(client);
    answer_stats(client, wanted);
    if (status == SHEAF_E_END && is_over(client)) return NULL;
    if (status == SHEAF_E_NOMEM) client->starved = true;
    if (wait_for_more(client) != SHEAF_OK) break;
  }
  run_broken(client);
  return NULL;
}
