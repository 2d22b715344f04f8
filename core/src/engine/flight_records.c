/* flight_records.c: what jobs bring into the engine from outside of a run: records of earlier ones, the
 * provider's own list; what the caller is told of them; and lane auto's choice. */
#include "engine/engine_int.h"

/* ---- Records ---- */

static sheaf__flight *flight_find(const sheaf_engine *engine, uint64_t id) {
  for (sheaf__flight *f = engine->flights; f != NULL; f = f->next)
    if (f->id == id) return f;
  return NULL;
}

/* A plan names endpoint, model and path: where the flight's calls go, and what its rows are. */
static int32_t take_plan(sheaf_engine *engine, sheaf__flight *f, const sheaf_job_record *plan) {
  sheaf_request request = SHEAF_REQUEST_INIT;
  request.model = plan->model;
  request.endpoint = plan->endpoint;
  uint32_t route, path = UINT32_MAX;
  int32_t status = sheaf__route_find(engine, &request, &route, NULL);
  if (status != SHEAF_OK && status != SHEAF_E_NOMEM) { /* it has another name in this run */
    request.endpoint = (sheaf_slice){NULL, 0};
    status = sheaf__route_find(engine, &request, &route, NULL);
  }
  if (status == SHEAF_OK) status = sheaf__path_find(engine, plan->path, &path);
  if (status) return status;
  sheaf__flight_settle_in(engine, f, route, path);
  f->setup.operation = plan->operation;
  f->members = plan->requests;
  f->setup.bound_usd_nano = f->reserved_usd_nano = plan->bound_usd_nano;
  engine->reserved_usd_nano = sheaf__add_sat_i64(engine->reserved_usd_nano, plan->bound_usd_nano);
  f->spool_bytes = SHEAF_NEVER; /* nothing is appended any more */
  if (!sheaf__slice_equal(plan->provider, f->setup.provider)) f->setup.api = NULL;
  return SHEAF_OK;
}

/* While recovering a lane may only say which rows it holds, so that the source's rows pass by them. */
static int32_t take_holds(sheaf_engine *engine, sheaf__flight *f) {
  while (f->lane->next(f->state, &f->action)) {
    if (f->action.kind != SHEAF__HOLDS || f->action.index_last < f->action.index)
      return SHEAF_E_INTERNAL;
    uint64_t rows = f->action.index_last - f->action.index + 1;
    int32_t status =
        sheaf__ranges_add(engine, &engine->held, f->action.index, f->action.index_last);
    if (status) return status;
    f->held += rows;
    engine->rows_held += rows;
    engine->stats.admitted += rows;
  }
  return SHEAF_OK;
}

int32_t sheaf__flight_record(sheaf_engine *engine, uint32_t type, sheaf_slice payload) {
  sheaf_job_record record;
  sheaf_buf scratch;
  sheaf_buf_init(&scratch, &engine->allocator, 1 << 20);
  int32_t status = sheaf_job_record_read(type, payload, &scratch, &record);
  if (status == SHEAF_OK) {
    if (record.flight > engine->flight_seq) engine->flight_seq = record.flight;
    sheaf__flight *f = flight_find(engine, record.flight);
    if (f == NULL && type != SHEAF_RECORD_JOB_OVER) {
      status = sheaf__flight_new(engine, record.flight, UINT32_MAX, UINT32_MAX, &f);
      if (status == SHEAF_OK) f->ready = f->from_records = true;
    }
    if (f != NULL && type == SHEAF_RECORD_JOB_OVER) {
      status = sheaf__flight_remember(engine, f);
      if (status == SHEAF_OK) {
        engine->rows_held -= f->held;
        engine->stats.admitted -= f->held;
        sheaf__flight_forget(engine, f);
      }
      f = NULL;
    }
    if (status == SHEAF_OK && type == SHEAF_RECORD_JOB_PLAN) status = take_plan(engine, f, &record);
    if (status == SHEAF_OK && f != NULL)
      status = sheaf__flight_tell(
          engine, f, &(sheaf__lane_input){.kind = SHEAF__IN_RECORD, .tag = type, .bytes = payload});
    if (status == SHEAF_OK && f != NULL) status = take_holds(engine, f);
  }
  sheaf_buf_deinit(&scratch);
  return status;
}

/* ---- News ---- */

static sheaf_slice keep(char **to, sheaf_slice text) {
  sheaf_slice kept = {*to, text.bytes};
  if (text.bytes) memcpy(*to, text.data, text.bytes);
  *to += text.bytes;
  return kept;
}

static void fill_status(const sheaf__flight *f, sheaf_job_status *status) {
  memset(status, 0, sizeof *status);
  status->struct_bytes = sizeof *status;
  f->lane->status(f->state, status);
  status->flight = f->id;
  status->provider = f->setup.provider;
  status->endpoint = f->setup.endpoint;
  status->model = f->setup.model;
  status->rescued = f->setup.rescued;
}

/* status NULL: the flight's own. News that nobody takes are dropped beyond their ceiling. */
int32_t sheaf__job_news_push(sheaf_engine *engine, const sheaf__flight *f,
                             const sheaf_job_status *given) {
  sheaf_job_status status;
  fill_status(f, &status);
  if (given != NULL) {
    status = *given;
    status.provider = f->setup.provider;
    status.endpoint = f->setup.endpoint;
  }
  if (engine->news_count >= SHEAF__JOB_NEWS_MAX) return SHEAF_OK;
  uint64_t room = sheaf__events_room(engine, engine->rows_made) + 1;
  sheaf__ring *ring = &engine->events;
  if (ring->capacity < room) {
    int32_t reserved =
        sheaf__ring_reserve(ring, &engine->allocator, (uint32_t)(room - ring->count));
    if (reserved) return reserved;
  }
  size_t bytes = sizeof(sheaf__job_news) + status.provider.bytes + status.endpoint.bytes +
                 status.model.bytes + status.marker.bytes + status.job.bytes + status.message.bytes;
  sheaf__job_news *news = sheaf__alloc(&engine->allocator, bytes);
  if (news == NULL) return SHEAF_E_NOMEM;
  char *to = (char *)(news + 1);
  *news = (sheaf__job_news){.bytes = bytes, .status = status};
  news->status.provider = keep(&to, status.provider);
  news->status.endpoint = keep(&to, status.endpoint);
  news->status.model = keep(&to, status.model);
  news->status.marker = keep(&to, status.marker);
  news->status.job = keep(&to, status.job);
  news->status.message = keep(&to, status.message);
  if (engine->news_last != NULL)
    engine->news_last->next = news;
  else
    engine->news_first = news;
  engine->news_last = news;
  engine->news_count++;
  sheaf__event_entry *entry = sheaf__ring_push(ring);
  *entry = (sheaf__event_entry){.kind = SHEAF_EVENT_JOB, .number = status.flight};
  return SHEAF_OK;
}

static void news_free(sheaf_engine *engine, sheaf__job_news *news) {
  if (news != NULL) sheaf__free(&engine->allocator, news, news->bytes);
}

/* The oldest, which stays until the next is shown. */
void sheaf__job_news_show(sheaf_engine *engine, sheaf_event *event) {
  news_free(engine, engine->news_shown);
  sheaf__job_news *news = engine->news_first;
  engine->news_first = news->next;
  if (engine->news_first == NULL) engine->news_last = NULL;
  engine->news_count--;
  engine->news_shown = news;
  event->job = &news->status;
}

void sheaf__job_news_deinit(sheaf_engine *engine) {
  while (engine->news_first != NULL) {
    sheaf__job_news *news = engine->news_first;
    engine->news_first = news->next;
    news_free(engine, news);
  }
  news_free(engine, engine->news_shown);
  engine->news_shown = engine->news_last = NULL;
}

int32_t sheaf_engine_job_at(const sheaf_engine *engine, uint64_t n, sheaf_job_status *status) {
  if (engine == NULL || status == NULL) return SHEAF_E_MISUSE;
  const sheaf__flight *f = sheaf__first_flight(engine);
  while (f != NULL && n > 0) f = f->next, n--;
  if (f == NULL) return SHEAF_E_NOT_FOUND;
  fill_status(f, status);
  return SHEAF_OK;
}

int32_t sheaf_engine_job_cancel(sheaf_engine *engine, uint64_t flight) {
  if (engine == NULL || engine->inside) return SHEAF_E_MISUSE;
  sheaf__flight *f = flight_find(engine, flight);
  if (f == NULL || !SHEAF__HAS_LANES) return SHEAF_E_NOT_FOUND;
  return sheaf__flight_tell(engine, f, &(sheaf__lane_input){.kind = SHEAF__IN_CANCEL});
}

int32_t sheaf_engine_use_spool(sheaf_engine *engine, const sheaf_spool *spool) {
  if (engine == NULL || spool == NULL || engine->stepped) return SHEAF_E_MISUSE;
  if (spool->append == NULL || spool->seal == NULL || spool->read == NULL || spool->drop == NULL)
    return SHEAF_E_MISUSE;
  engine->spool = *spool;
  engine->has_spool = true;
  return SHEAF_OK;
}

/* ---- The provider's own list ---- */

/* A flight without rows at the first endpoint: its lane lists the jobs there. */
int32_t sheaf__survey(sheaf_engine *engine) {
  if (engine->options.batch_mode != SHEAF_BATCH_SURVEY || engine->surveyed || engine->recovering)
    return SHEAF_OK;
  sheaf_request request = SHEAF_REQUEST_INIT;
  request.model = engine->places[0].options.model;
  if (request.model.bytes == 0) request.model = SHEAF_LITERAL("-");
  uint32_t route, path;
  int32_t status = sheaf__route_find(engine, &request, &route, NULL);
  if (status == SHEAF_OK) status = sheaf__path_find(engine, SHEAF_LITERAL("/"), &path);
  sheaf__flight *f;
  if (status == SHEAF_OK)
    status = sheaf__flight_new(engine, engine->flight_seq + 1, route, path, &f);
  if (status) return status;
  engine->flight_seq++;
  engine->surveyed = f->ready = true;
  return SHEAF_OK;
}

/* ---- Lane auto ---- */

/* Each row that waits undecided moves into a job, or becomes a live row; so does one that cannot
 * travel in a job. */
static int32_t all_decided(sheaf_engine *engine, bool are_many) {
  for (uint32_t i = 0; i < engine->row_chunk_count; i++)
    for (uint32_t k = 0; k < SHEAF__CHUNK; k++) {
      sheaf__row *row = &engine->row_chunks[i][k];
      if (row->state != SHEAF__AT_QUEUE || row->lane != SHEAF_LANE_AUTO) continue;
      int32_t status = SHEAF_E_FIELD;
      if (are_many && sheaf__jobs_refuse(engine, row) == NULL)
        status = sheaf__flight_join(engine, row, true);
      if (status == SHEAF_E_NOMEM || status == SHEAF_E_IO) return status;
      engine->auto_rows--;
      row->lane = SHEAF_LANE_LIVE;
      if (status == SHEAF_OK) sheaf__row_leave(engine, row);
    }
  return SHEAF_OK;
}

bool sheaf__auto_due(const sheaf_engine *engine) {
  if (engine->auto_decided || engine->auto_rows == 0) return false;
  return engine->input_ended || engine->auto_rows > engine->options.batch_threshold ||
         sheaf_engine_room(engine) == 0;
}

int32_t sheaf__auto_decide(sheaf_engine *engine) {
  if (!sheaf__auto_due(engine)) return SHEAF_OK;
  bool many = engine->auto_rows > engine->options.batch_threshold || !engine->input_ended;
  int32_t status = all_decided(engine, many);
  if (status) return status;
  engine->auto_decided = true;
  engine->auto_rows = 0;
  engine->launch_due = true;
  return SHEAF_OK;
}
