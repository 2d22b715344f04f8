/* client_tasks.c: the caller's own functions as exchanges: the engine starts them like calls, worker threads run them, the driver
 * reports how they ended.
 *
 * A function cannot be ended from outside, and what it works with is its caller's: so its exchange ends when it returns, whatever was
 * decided meanwhile, and no two attempts of one task ever run at once. What no worker has begun ends at once.
 *
 * Outline: workers, the crew, start and cancel, what came back, submit. */
#include "client_int.h"

#include <stdlib.h>
#include <string.h>

void sheaf_task_report_init(sheaf_task_report *report) {
  *report = (sheaf_task_report){
      .struct_bytes = sizeof *report,
      .retry_after_ms = SHEAF_NEVER,
      .usage = {SHEAF_ABSENT, SHEAF_ABSENT, SHEAF_ABSENT, SHEAF_ABSENT, SHEAF_ABSENT, 0, 0}};
}

/* ---- Workers ---- */

static _Thread_local const sheaf_client *served;

bool sheaf__on_worker(const sheaf_client *client) {
  return served == client;
}

static sheaf__task *next_task(sheaf__crew *crew) {
  while (crew->first == NULL && !crew->quit) {
    crew->idle++;
    pthread_cond_wait(&crew->ready, &crew->mutex);
    crew->idle--;
  }
  sheaf__task *task = crew->first;
  if (task == NULL) return NULL;
  crew->first = task->next;
  if (crew->first == NULL) crew->last = NULL;
  crew->queued--;
  task->state = SHEAF__TASK_RUNNING;
  return task;
}

_Static_assert(sizeof(atomic_bool) == sizeof(bool), "a task's flag is read as a plain bool");

/* The functions are the caller's: they run with the signals of the thread that made the client. */
static void *work(void *ctx) {
  sheaf_client *client = ctx;
  sheaf__crew *crew = &client->crew;
  served = client;
  pthread_sigmask(SIG_SETMASK, &client->signals, NULL);
  pthread_mutex_lock(&crew->mutex);
  for (sheaf__task *task = next_task(crew); task != NULL; task = next_task(crew)) {
    pthread_mutex_unlock(&crew->mutex);
    const volatile void *flag = &task->cancelled;
    sheaf_task_report_init(&task->report);
    task->run(task->user, (const volatile bool *)flag, &task->report);
    pthread_mutex_lock(&crew->mutex);
    task->state = SHEAF__TASK_RETURNED;
    task->next = crew->returned;
    crew->returned = task;
    atomic_store(&crew->has_returned, true);
    pthread_mutex_unlock(&crew->mutex);
    sheaf__wake(client);
    pthread_mutex_lock(&crew->mutex);
  }
  pthread_mutex_unlock(&crew->mutex);
  return NULL;
}

/* ---- The crew ---- */

int32_t sheaf__crew_open(sheaf_client *client, uint32_t max) {
  sheaf__crew *crew = &client->crew;
  crew->max = max ? max : SHEAF__WORKERS;
  crew->check_ns = SHEAF_NEVER;
  pthread_t *threads = calloc(crew->max, sizeof *threads);
  if (threads == NULL) return SHEAF_E_NOMEM;
  if (pthread_mutex_init(&crew->mutex, NULL) != 0 || pthread_cond_init(&crew->ready, NULL) != 0) {
    free(threads);
    return SHEAF_E_NOMEM;
  }
  crew->threads = threads;
  return SHEAF_OK;
}

void sheaf__crew_close(sheaf_client *client) {
  sheaf__crew *crew = &client->crew;
  if (crew->threads == NULL) return;
  pthread_cond_destroy(&crew->ready);
  pthread_mutex_destroy(&crew->mutex);
  free(crew->threads);
}

/* A thread more where all are busy. Without one the task waits for those that are. The mutex is held. */
static void call_worker(sheaf_client *client) {
  sheaf__crew *crew = &client->crew;
  if (crew->idle >= crew->queued) {
    pthread_cond_signal(&crew->ready);
    return;
  }
  if (crew->count == crew->max) return;
  if (pthread_create(&crew->threads[crew->count], NULL, work, client) == 0) crew->count++;
}

void sheaf__crew_dismiss(sheaf_client *client) {
  sheaf__crew *crew = &client->crew;
  pthread_mutex_lock(&crew->mutex);
  crew->quit = true;
  pthread_cond_broadcast(&crew->ready);
  pthread_mutex_unlock(&crew->mutex);
  for (uint32_t i = 0; i < crew->count; i++) pthread_join(crew->threads[i], NULL);
  crew->count = 0;
  crew->quit = false;
  sheaf__tasks_turn(client); /* orphans */
}

/* ---- Start and cancel ---- */

static void out_push(sheaf__crew *crew, sheaf__task *task) {
  task->newer = NULL;
  task->older = crew->out;
  if (crew->out != NULL) crew->out->newer = task;
  crew->out = task;
}

static void out_remove(sheaf__crew *crew, sheaf__task *task) {
  *(task->newer == NULL ? &crew->out : &task->newer->older) = task->older;
  if (task->older != NULL) task->older->newer = task->newer;
  task->exchange = 0;
}

int32_t sheaf__task_start(sheaf_client *client, sheaf__task *task, const sheaf_exchange *exchange) {
  sheaf__crew *crew = &client->crew;
  uint64_t deadline = exchange->timeout_ns;
  if (deadline != SHEAF_NEVER && __builtin_add_overflow(client->now_ns, deadline, &deadline))
    deadline = SHEAF_NEVER;
  task->exchange = exchange->id;
  task->deadline_ns = deadline;
  task->end = SHEAF_END_OK;
  atomic_store(&task->cancelled, false);
  out_push(crew, task);
  if (deadline < crew->check_ns) crew->check_ns = deadline;
  pthread_mutex_lock(&crew->mutex);
  task->state = SHEAF__TASK_QUEUED;
  task->next = NULL;
  *(crew->last == NULL ? &crew->first : &crew->last->next) = task;
  crew->last = task;
  crew->queued++;
  call_worker(client);
  bool nobody = crew->count == 0;
  if (nobody) { /* it is the only one in the queue: no worker has ever been there */
    crew->first = crew->last = NULL;
    crew->queued = 0;
    task->state = SHEAF__TASK_IDLE;
  }
  pthread_mutex_unlock(&crew->mutex);
  if (!nobody) return SHEAF_OK;
  out_remove(crew, task);
  return SHEAF_E_NOMEM;
}

/* Takes it out of the queue, if no worker has it yet. */
static bool withdraw(sheaf__crew *crew, sheaf__task *task) {
  pthread_mutex_lock(&crew->mutex);
  bool waits = task->state == SHEAF__TASK_QUEUED;
  if (waits) {
    sheaf__task *before = NULL, *at = crew->first;
    for (; at != task; at = at->next) before = at;
    *(before == NULL ? &crew->first : &before->next) = task->next;
    if (crew->last == task) crew->last = before;
    crew->queued--;
    task->state = SHEAF__TASK_IDLE;
  }
  pthread_mutex_unlock(&crew->mutex);
  return waits;
}

/* Its result is not wanted any more: end says why. What never began is told at the next turn, since a slot may not report a cancel. */
static void give_up(sheaf_client *client, sheaf__task *task, uint32_t end) {
  if (task->end != SHEAF_END_OK) return;
  task->end = end;
  atomic_store(&task->cancelled, true);
  if (!withdraw(&client->crew, task)) return;
  task->end = SHEAF_END_NOT_SENT;
  task->next = client->crew.ended;
  client->crew.ended = task;
}

bool sheaf__task_cancel(sheaf_client *client, uint64_t exchange) {
  sheaf__task *task = client->crew.out;
  while (task != NULL && task->exchange != exchange) task = task->older;
  if (task == NULL) return false;
  give_up(client, task, SHEAF_END_CANCELLED);
  return true;
}

/* ---- What came back ---- */

static void report(sheaf_client *client, sheaf__task *task) {
  const sheaf_task_report *r = &task->report;
  uint64_t id = task->exchange;
  uint32_t http_status = r->http_status ? r->http_status : 200;
  sheaf_exchange_end end;
  sheaf_exchange_end_init(&end);
  end.end = task->end;
  out_remove(&client->crew, task);
  if (task->end == SHEAF_END_NOT_SENT) {
    end.message = SHEAF_LITERAL("no worker was free for the task in time");
  } else if (task->end == SHEAF_END_CANCELLED) {
    end.message = SHEAF_LITERAL("the task was cancelled while it ran");
  } else if (task->end == SHEAF_END_TIMEOUT) {
    end.message = SHEAF_LITERAL("the task ran longer than it may");
  } else if (r->failed || http_status < 100 || http_status > 599) {
    end.end = SHEAF_END_BROKEN;
    end.retryable = r->failed && r->retryable;
    end.message = r->failed ? SHEAF_LITERAL("the task failed")
                            : SHEAF_LITERAL("the task reported a number that is no HTTP status");
  } else {
    end.usage = r->usage;
    if (r->retry_after_ms < SHEAF_NEVER / 1000000) end.retry_after_ns = r->retry_after_ms * 1000000;
    sheaf_engine_on_head(client->engine, id, http_status, (sheaf_slice){NULL, 0});
  }
  sheaf_engine_on_done(client->engine, id, &end);
}

static void end_late(sheaf_client *client) {
  sheaf__crew *crew = &client->crew;
  if (client->now_ns < crew->check_ns) return;
  crew->check_ns = SHEAF_NEVER;
  for (sheaf__task *task = crew->out; task != NULL; task = task->older) {
    if (task->end != SHEAF_END_OK) continue;
    if (task->deadline_ns <= client->now_ns)
      give_up(client, task, SHEAF_END_TIMEOUT);
    else if (task->deadline_ns < crew->check_ns)
      crew->check_ns = task->deadline_ns;
  }
}

static void take_returned(sheaf_client *client) {
  sheaf__crew *crew = &client->crew;
  if (!atomic_load(&crew->has_returned)) return;
  pthread_mutex_lock(&crew->mutex);
  sheaf__task *task = crew->returned;
  crew->returned = NULL;
  atomic_store(&crew->has_returned, false);
  pthread_mutex_unlock(&crew->mutex);
  for (sheaf__task *next; task != NULL; task = next) {
    next = task->next;
    task->state = SHEAF__TASK_IDLE;
    if (task->orphan)
      free(task);
    else
      report(client, task);
  }
}

void sheaf__tasks_turn(sheaf_client *client) {
  end_late(client);
  take_returned(client);
  while (client->crew.ended != NULL) {
    sheaf__task *task = client->crew.ended;
    client->crew.ended = task->next;
    report(client, task);
  }
}

uint64_t sheaf__tasks_due_ns(const sheaf_client *client) {
  return client->crew.ended != NULL ? 0 : client->crew.check_ns;
}

static void ended_remove(sheaf__crew *crew, const sheaf__task *task) {
  for (sheaf__task **at = &crew->ended; *at != NULL; at = &(*at)->next)
    if (*at == task) {
      *at = task->next;
      return;
    }
}

/* Rows whose transport failed end while their function may still run; all others are idle here. */
void sheaf__task_release(sheaf_client *client, sheaf__task *task) {
  if (task == NULL) return;
  if (task->exchange != 0) {
    give_up(client, task, SHEAF_END_CANCELLED);
    ended_remove(&client->crew, task);
    out_remove(&client->crew, task);
  }
  pthread_mutex_lock(&client->crew.mutex);
  bool runs = task->state != SHEAF__TASK_IDLE;
  task->orphan = runs;
  pthread_mutex_unlock(&client->crew.mutex);
  if (!runs) free(task);
}

/* ---- Submit ---- */

/* Of the request only what is told of tasks: their content is the function. */
static sheaf_request task_request(const sheaf_request *given) {
  sheaf_request request = SHEAF_REQUEST_INIT, all = SHEAF_REQUEST_INIT;
  if (given != NULL)
    memcpy(&all, given, given->struct_bytes < sizeof all ? given->struct_bytes : sizeof all);
  request.custom_id = all.custom_id;
  request.model = all.model;
  request.endpoint = all.endpoint;
  request.metadata = all.metadata;
  request.max_tokens = all.max_tokens;
  request.deadline_ms = all.deadline_ms;
  request.priority = all.priority;
  request.source_ref = all.source_ref;
  request.line = all.line;
  request.user = all.user;
  request.flags = SHEAF_REQUEST_TASK;
  return request;
}

int32_t sheaf_client_submit_task(sheaf_client *client, const sheaf_request *given,
                                 sheaf_task_fn run, void *run_user,
                                 const sheaf_submit_options *options, uint64_t *id) {
  sheaf_submit_options how = SHEAF_SUBMIT_OPTIONS_INIT;
  if (client == NULL || run == NULL) return SHEAF_E_MISUSE;
  if (given != NULL && given->struct_bytes < offsetof(sheaf_request, reserved))
    return SHEAF_E_MISUSE;
  if (options != NULL && options->struct_bytes < sizeof how.struct_bytes) return SHEAF_E_MISUSE;
  if (options != NULL)
    memcpy(&how, options, options->struct_bytes < sizeof how ? options->struct_bytes : sizeof how);
  sheaf_request request = task_request(given);
  if (request.custom_id.bytes > SHEAF_CUSTOM_ID_BYTES_MAX) return SHEAF_E_TOO_LONG;
  sheaf__task *task = calloc(1, sizeof *task);
  sheaf__submit *submit = task ? sheaf__copy_request(client, &request) : NULL;
  if (submit == NULL) {
    free(task);
    return SHEAF_E_NOMEM;
  }
  task->run = run;
  task->user = run_user;
  submit->whose.fn = how.fn;
  submit->whose.on_event = how.on_event;
  submit->whose.user = how.user;
  submit->whose.task = task;
  if (id != NULL) *id = submit->command.id;
  int32_t status = sheaf__hand_over(client, submit, how.room_wait_ms);
  if (status) {
    free(task);
    free(submit);
  }
  return status;
}
