/* client_take.c: what the driver does with what was handed over: submits wait for the engine's room, the rest is done at once. */
#include "client_int.h"

#include <stdlib.h>

static void wait_push(sheaf_client *client, sheaf__command *command) {
  command->next = NULL;
  *(client->waiting_last == NULL ? &client->waiting_first : &client->waiting_last->next) = command;
  client->waiting_last = command;
  client->waiting_count++;
}

/* Takes command out of what waits; before is the one before it. */
void sheaf__wait_remove(sheaf_client *client, sheaf__command *before, sheaf__command *command) {
  *(before == NULL ? &client->waiting_first : &before->next) = command->next;
  if (client->waiting_last == command) client->waiting_last = before;
  client->waiting_count--;
}

static void cancel(sheaf_client *client, uint64_t id) {
  const sheaf__live *live = sheaf__live_find(client, id);
  if (live != NULL) {
    sheaf_engine_cancel(client->engine, live->index);
    return;
  }
  sheaf__command *before = NULL;
  for (sheaf__command *at = client->waiting_first; at != NULL; before = at, at = at->next) {
    if (at->id != id) continue;
    int32_t status = sheaf__end_submit(client, (sheaf__submit *)at, SHEAF_CLASS_CANCELLED,
                                       "cancelled by the caller");
    if (status) return; /* without memory it runs: a cancel is a wish */
    sheaf__wait_remove(client, before, at);
    free(at);
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

void sheaf__feed_submits(sheaf_client *client) {
  while (client->waiting_first != NULL) {
    sheaf__command *command = client->waiting_first;
    if (sheaf__admit_submit(client, (sheaf__submit *)command)) return;
    sheaf__wait_remove(client, NULL, command);
    free(command);
  }
}

static void answer(sheaf_client *client, sheaf__ask *ask) {
  int32_t status = ask->act(client, ask->ctx);
  pthread_mutex_lock(&client->mutex);
  ask->status = status;
  ask->answered = true;
  pthread_cond_broadcast(&client->answered);
  pthread_mutex_unlock(&client->mutex); /* the question is gone now */
}

static void obey(sheaf_client *client, sheaf__command *command) {
  switch (command->kind) {
    case SHEAF__DO_SUBMIT:
      wait_push(client, command);
      client->held++;
      break;
    case SHEAF__DO_CANCEL:
      sheaf__feed_submits(client); /* it may be among those that came with it */
      cancel(client, command->id);
      free(command);
      break;
    case SHEAF__DO_LIST: add_list(client, (sheaf__list *)command); break;
    case SHEAF__DO_ASK: answer(client, (sheaf__ask *)command); break;
    default: {
      sheaf__later *later = (sheaf__later *)command;
      later->act(client, later->ctx);
      free(later);
    }
  }
}

/* The stack turned round: oldest first. */
static sheaf__command *take_inbox(sheaf_client *client) {
  sheaf__command *newest = atomic_load(&client->inbox), *oldest = NULL;
  if (newest == NULL || newest == &sheaf__closed) return NULL;
  newest = atomic_exchange(&client->inbox, NULL);
  while (newest != NULL) {
    sheaf__command *next = newest->next;
    newest->next = oldest;
    oldest = newest;
    newest = next;
  }
  return oldest;
}

/* The wishes for the end. A paused engine would keep what waits for ever. */
static void end_input(sheaf_client *client) {
  const sheaf__wish *wish = &client->wish_seen;
  bool stopping = wish->closing && !wish->draining;
  bool late = wish->stop_ns <= client->now_ns;
  bool drain = wish->draining || late || (stopping && sheaf_engine_is_paused(client->engine));
  if (drain && !client->drained) sheaf_engine_drain(client->engine);
  if ((wish->aborting || late) && !client->aborted) sheaf_engine_abort(client->engine);
  client->drained |= drain;
  client->aborted |= wish->aborting || late;
}

/* What was handed over since, in its order. Answers up to which number statistics were asked for. */
uint64_t sheaf__take(sheaf_client *client) {
  bool posted = atomic_load(&client->posted) && atomic_exchange(&client->posted, false);
  for (sheaf__command *command = take_inbox(client), *next; command != NULL; command = next) {
    next = command->next;
    client->took = true;
    obey(client, command);
  }
  if (posted) {
    pthread_mutex_lock(&client->mutex);
    client->wish_seen = client->wish;
    client->stats_seen = client->stats_wanted;
    pthread_mutex_unlock(&client->mutex);
  }
  end_input(client);
  return client->stats_seen;
}
