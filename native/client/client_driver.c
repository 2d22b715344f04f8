/* client_driver.c: the thread that runs the engine over the transport: takes commands (client_take.c), feeds rows, lets the engine
 * turn, tells who waits, sleeps until something can move.
 *
 * Waking: the driver says that it may sleep (asleep), then looks once more (has_news); who hands over does so first, then looks
 * whether the driver may sleep (asleep). All are sequentially consistent, so one of the two sees the other, and a wake is
 * written only when it is needed.
 *
 * The end: when nothing is left inside, the inbox is closed if it is empty, in one exchange. What came before it ends before the end,
 * what comes after it is refused.
 *
 * Outline: feeding, lists, places, statistics, waiting, the end, a transport that failed, the loop. */
#include "client_int.h"

#include <sched.h>
#include <stdlib.h>

/* ---- Feeding ---- */

/* How many rows wait in the engine. */
static uint64_t engine_waiting(const sheaf_client *client) {
  uint64_t room = sheaf_engine_room(client->engine);
  return room < client->capacity ? client->capacity - room : 0;
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

/* ---- Places ---- */

/* Gives back the places of what waits no more, and the bytes of what is over. */
static void give_back(sheaf_client *client) {
  uint64_t held = client->waiting_count + engine_waiting(client);
  if (held != client->held) atomic_fetch_add(&client->taken, held - client->held);
  if (client->bytes_over > 0) atomic_fetch_sub(&client->taken_bytes, client->bytes_over);
  client->held = held;
  client->bytes_over = 0;
}

/* Tells threads that wait for room. While the driver has work one of them is told when a quarter is free, and takes what it can: each
 * of them would come for one place otherwise, with a switch of threads a request. */
static void tell_room(sheaf_client *client, bool sleeps) {
  if (atomic_load(&client->blocked) == 0) return;
  uint64_t taken = atomic_load(&client->taken), capacity = atomic_load(&client->capacity);
  if (taken >= capacity || atomic_load(&client->taken_bytes) >= atomic_load(&client->bytes_max))
    return;
  if (!sleeps && capacity - taken < capacity / 4) return;
  pthread_mutex_lock(&client->mutex); /* who has counted itself in waits by now */
  pthread_mutex_unlock(&client->mutex);
  if (sleeps)
    pthread_cond_broadcast(&client->room);
  else
    pthread_cond_signal(&client->room);
}

static void publish_health(sheaf_client *client) {
  const sheaf__health *seen = &client->seen, *told = &client->health; /* only we write it */
  if (seen->breakers_open == told->breakers_open && seen->key_stopped == told->key_stopped &&
      seen->budget_spent == told->budget_spent && seen->late == told->late &&
      seen->broken == told->broken && seen->paused == told->paused)
    return;
  pthread_mutex_lock(&client->mutex);
  client->health = client->seen;
  pthread_mutex_unlock(&client->mutex);
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

static void give_stats(sheaf_client *client, const sheaf_stats *stats) {
  client->snapshot_ns = client->now_ns + SHEAF__SNAPSHOT_NS;
  pthread_mutex_lock(&client->mutex);
  client->stats = *stats;
  client->stats_given = client->stats_seen;
  pthread_cond_broadcast(&client->answered);
  pthread_mutex_unlock(&client->mutex);
}

static void report(sheaf_client *client, const sheaf_stats *stats) {
  client->on_report(client->report_user, stats);
  client->report_ns = client->now_ns + client->report_every_ns;
}

static void answer_stats(sheaf_client *client, uint64_t wanted) {
  bool reports = client->report_every_ns > 0 && client->now_ns >= client->report_ns;
  if (wanted == client->stats_given && client->now_ns < client->snapshot_ns && !reports) return;
  sheaf_stats stats;
  sheaf__stats_take(client, &stats);
  give_stats(client, &stats);
  if (reports && client->report_ns > 0) report(client, &stats);
  if (client->report_ns == 0) client->report_ns = client->now_ns + client->report_every_ns;
}

/* ---- Waiting ---- */

static uint64_t time_to_wait(sheaf_client *client) {
  uint64_t at = sheaf_engine_timeout_ns(client->engine);
  for (const sheaf__list *list = client->lists; list != NULL; list = list->next)
    if (list->progress_ns < at) at = list->progress_ns;
  if (client->starved && client->now_ns + SHEAF__STARVED_NS < at)
    at = client->now_ns + SHEAF__STARVED_NS;
  if (client->report_every_ns > 0 && client->report_ns < at) at = client->report_ns;
  if (!client->aborted && client->wish_seen.stop_ns < at) at = client->wish_seen.stop_ns;
  uint64_t due = sheaf__tasks_due_ns(client);
  if (due < at) at = due;
  return at == SHEAF_NEVER ? SHEAF_NEVER : at > client->now_ns ? at - client->now_ns : 0;
}

static bool has_news(sheaf_client *client) {
  sheaf__command *newest = atomic_load(&client->inbox);
  return (newest != NULL && newest != &sheaf__closed) || atomic_load(&client->posted) ||
         atomic_load(&client->crew.has_returned);
}

/* Before it sleeps behind a turn that took something, the driver lets the others run once: who hands over one request after the other
 * gets many done instead of waking it for each. */
static int32_t wait_for_more(sheaf_client *client) {
  const sheaf_client_transport *t = &client->transport;
  uint64_t wait_ns = time_to_wait(client);
  bool took = client->took;
  client->took = client->starved = false;
  if (wait_ns > 0) sheaf__flush_done(client);
  if (wait_ns > 0 && took) {
    tell_room(client, true);
    sched_yield();
    if (has_news(client)) wait_ns = 0;
  }
  if (wait_ns == 0) return t->poll(t->ctx, 0);
  atomic_store(&client->asleep, true);
  if (has_news(client)) wait_ns = 0;
  tell_room(client, true);
  int32_t status = t->poll(t->ctx, wait_ns);
  atomic_store(&client->asleep, false);
  return status;
}

/* ---- The end ---- */

/* Nothing is left and nothing can come: the door is shut in the same instant. */
static bool is_over(sheaf_client *client) {
  if (client->waiting_first != NULL || client->lists != NULL || client->live != NULL) return false;
  sheaf__flush_done(client);
  if (atomic_load(&client->inbox) == &sheaf__closed) return true;
  sheaf__command *none = NULL;
  return client->wish_seen.closing &&
         atomic_compare_exchange_strong(&client->inbox, &none, &sheaf__closed);
}

/* Whoever waits for what will not come looks again. */
static void say_goodbye(sheaf_client *client) {
  sheaf_stats stats;
  sheaf__crew_dismiss(client);
  sheaf__stats_take(client, &stats);
  give_stats(client, &stats);
  publish_health(client);
  if (client->report_every_ns > 0) report(client, &stats);
  pthread_mutex_lock(&client->mutex);
  pthread_cond_broadcast(&client->finished);
  pthread_cond_broadcast(&client->room);
  pthread_mutex_unlock(&client->mutex);
}

/* ---- A transport that failed ---- */

static const char failed_text[] =
    "the transport of this machine failed; what was in flight may have been billed";

static void end_everything(sheaf_client *client) {
  while (client->live != NULL)
    if (sheaf__end_live(client, client->live, SHEAF_CLASS_INTERNAL, failed_text)) return;
  while (client->waiting_first != NULL) {
    sheaf__command *command = client->waiting_first;
    if (sheaf__end_submit(client, (sheaf__submit *)command, SHEAF_CLASS_INTERNAL, failed_text))
      return;
    sheaf__wait_remove(client, NULL, command);
    free(command);
  }
  for (sheaf__list *list = next_list(client); list != NULL; list = next_list(client))
    if (sheaf__end_next(client, list, SHEAF_CLASS_INTERNAL, failed_text)) return;
}

static void tell_all(sheaf_client *client, uint64_t wanted) {
  if (client->batch_count >= SHEAF__BATCH || wanted != client->stats_given ||
      client->now_ns - client->batch_since_ns >= SHEAF__BATCH_NS)
    sheaf__flush_done(client);
  look_after_lists(client);
  give_back(client);
  publish_health(client);
  answer_stats(client, wanted);
}

/* The engine is left as it is: its rows end here. */
static void run_broken(sheaf_client *client) {
  const struct timespec pause = {.tv_nsec = (long)SHEAF__STARVED_NS};
  client->seen.broken = true;
  for (;;) {
    client->now_ns = sheaf_now_ns();
    uint64_t wanted = sheaf__take(client);
    end_everything(client);
    tell_all(client, wanted);
    tell_room(client, true);
    if (is_over(client)) return;
    nanosleep(&pause, NULL);
  }
}

/* ---- The loop ---- */

static _Thread_local const sheaf_client *driven;

bool sheaf__on_driver(const sheaf_client *client) {
  return driven == client;
}

bool sheaf__on_any_driver(void) {
  return driven != NULL;
}

/* False: the transport failed. Behind the last row the engine lets go of what it may still have out for itself, so that nothing is
 * under way when the next run begins. */
static bool run(sheaf_client *client) {
  for (;;) {
    client->now_ns = sheaf_now_ns();
    int64_t unix_ms = sheaf_unix_ms();
    sheaf__tasks_turn(client);
    if (has_news(client) || client->lists != NULL) /* what comes in now counts from now */
      sheaf_engine_run_once(client->engine, client->now_ns, unix_ms);
    uint64_t wanted = sheaf__take(client);
    sheaf__feed_submits(client);
    feed_lists(client);
    int32_t status = sheaf_engine_run_once(client->engine, client->now_ns, unix_ms);
    tell_all(client, wanted);
    tell_room(client, false);
    bool over = is_over(client);
    if (over && status == SHEAF_E_END) return true;
    if (over && !client->aborted) {
      sheaf_engine_abort(client->engine);
      client->drained = client->aborted = true;
      continue;
    }
    if (status == SHEAF_E_NOMEM) client->starved = true;
    if (wait_for_more(client) != SHEAF_OK) return false;
  }
}

void *sheaf__drive(void *ctx) {
  sheaf_client *client = ctx;
  driven = client;
  pthread_mutex_lock(&client->mutex);
  while (!client->running) pthread_cond_wait(&client->answered, &client->mutex);
  pthread_mutex_unlock(&client->mutex);
  if (!run(client)) run_broken(client);
  say_goodbye(client);
  return NULL;
}
