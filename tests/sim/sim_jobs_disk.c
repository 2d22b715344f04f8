/* sim_jobs_disk.c: what survives a host: records, the spool, the output; and what a crash leaves
 * of them.
 *
 * Order: effects, records, what they say, the spool, crashes, decisions. */
#include "sim_jobs.h"

#include <stdlib.h>
#include <string.h>

/* ---- Effects: between any two of them a host may die ---- */

/* False: the host is dead, nothing that it does counts any more. The effect that it dies behind
 * still counts. */
bool sj_effect(sj_world *w, const char *what, uint64_t a, uint64_t b) {
  if (w->dead || w->probing) return false;
  w->effects++;
  w->host_effects++;
  w->moved = true;
  w->trace =
      (w->trace ^ sj_hash(what, strlen(what)) ^ (a << 20) ^ b ^ w->now_ns) * 0x9e3779b97f4a7c15ull;
  w->trace ^= w->trace >> 29;
  SJ_NOTE(w, "%5llu %s %llu %llu", (unsigned long long)w->host_effects, what, (unsigned long long)a,
          (unsigned long long)b);
  if (w->host_effects == w->crash_at) {
    w->dead = true;
    SJ_NOTE(w, "      the host dies");
  }
  return true;
}

/* ---- Records ---- */

static const char *record_name(uint32_t type) {
  static const char *const names[] = {"rows",  "plan", "intent",  "fact",
                                      "state", "over", "decision"};
  return type >= 16 && type <= 22     ? names[type - 16]
         : type == SHEAF_RECORD_RANGE ? "range"
                                      : "other";
}

static sj_flight *flight_of(sj_world *w, uint64_t flight) {
  if (flight == 0 || flight >= SJ_FLIGHTS_MAX) {
    sj_fail(w, "a flight's id", flight, 0);
    return &w->flights[0];
  }
  return &w->flights[flight];
}

/* OVER says that every row has its end, and that it is written; or that it runs live, under a
 * range of its own. */
static void check_over(sj_world *w, uint64_t flight) {
  for (uint32_t i = 0; i < w->config.rows; i++)
    if (w->rows[i].flight == flight && !w->rows[i].has_line && w->rows[i].charged &&
        !w->rows[i].ranged)
      sj_fail(w, "a job is over, but a row that was paid for has no line", flight, i);
}

static void copy_slice(char *to, size_t bytes, sheaf_slice from) {
  size_t n = from.bytes < bytes - 1 ? from.bytes : bytes - 1;
  if (n) memcpy(to, from.data, n);
  to[n] = 0;
}

static void *no_memory(void *ctx, void *ptr, size_t old_bytes, size_t new_bytes) {
  (void)ctx, (void)ptr, (void)old_bytes, (void)new_bytes;
  return NULL;
}
static const sheaf_allocator nothing = {no_memory, NULL};

/* A buffer of the stack. */
static sheaf_buf buf_of(char *room, size_t bytes) {
  sheaf_buf buf;
  sheaf_buf_init(&buf, &nothing, bytes);
  buf.data = room;
  buf.capacity = bytes;
  return buf;
}

static uint64_t u64_at(const char *from) {
  uint64_t n = 0;
  for (int i = 7; i >= 0; i--) n = n << 8 | (unsigned char)from[i];
  return n;
}

static void read_range(sj_world *w, const sj_record *record) {
  if (record->payload.bytes < 16) return;
  uint64_t first = u64_at(record->payload.data), last = u64_at(record->payload.data + 8);
  for (uint64_t i = first; i <= last && i < w->config.rows; i++)
    w->rows[i].ranged = record->type == SHEAF_RECORD_RANGE;
}

/* Whoever reads the records must be able to, and finds what came when. */
static void read_record(sj_world *w, const sj_record *record, bool durable) {
  if (!durable && (record->type == SHEAF_RECORD_RANGE || record->type == SHEAF_RECORD_VOID))
    read_range(w, record);
  if (record->type < SHEAF_RECORD_JOB_FIRST || record->type > SHEAF_RECORD_JOB_LAST) return;
  char room[8192];
  sheaf_buf scratch = buf_of(room, sizeof room);
  sheaf_job_record r;
  sheaf_job_record_init(&r, record->type);
  int32_t status = sheaf_job_record_read(
      record->type, (sheaf_slice){record->payload.data, record->payload.bytes}, &scratch, &r);
  if (status) {
    sj_fail(w, "a record that cannot be read", record->type, (uint64_t)-status);
    return;
  }
  sj_flight *f = flight_of(w, r.flight);
  if (!durable) {
    SJ_NOTE(w, "         %s flight %llu %.*s", record_name(record->type),
            (unsigned long long)r.flight,
            record->type == SHEAF_RECORD_JOB_ROWS || record->payload.bytes < 8
                ? 0
                : (int)record->payload.bytes - 8,
            record->payload.data + 8);
    if (record->type == SHEAF_RECORD_JOB_ROWS)
      for (size_t i = 0; i + SHEAF_JOB_ROW_BYTES <= r.rows.bytes; i += SHEAF_JOB_ROW_BYTES) {
        sheaf_job_row row;
        sheaf_job_row_read((const uint8_t *)r.rows.data + i, &row);
        if (row.index >= w->config.rows)
          sj_fail(w, "a record of a row that there is not", row.index, r.flight);
        else
          w->rows[row.index].flight = r.flight;
      }
    if (record->type == SHEAF_RECORD_JOB_OVER) check_over(w, r.flight);
    return;
  }
  switch (record->type) {
    case SHEAF_RECORD_JOB_PLAN:
      f->planned = true;
      if (!w->spools[r.flight].sealed)
        sj_fail(w, "a plan before its spool was sealed", r.flight, 0);
      break;
    case SHEAF_RECORD_JOB_INTENT:
      if (r.step == SHEAF_JOB_CREATE) {
        f->intents++;
        if (r.attempt >= 2) f->repeats++;
      }
      break;
    case SHEAF_RECORD_JOB_FACT:
      if (r.job.bytes) copy_slice(f->job, sizeof f->job, r.job);
      w->adopted += r.adopted;
      for (uint32_t i = 0; i < w->job_count && r.adopted && !w->decisions && !w->doubled; i++)
        if (strcmp(w->jobs[i].id, f->job) == 0 && !w->jobs[i].foreign &&
            w->jobs[i].flight != r.flight)
          sj_fail(w, "a job took another's for its own", r.flight, w->jobs[i].flight);
      break;
    case SHEAF_RECORD_JOB_OVER: f->over = true; break;
    case SHEAF_RECORD_JOB_DECISION:
      f->undecided = false;
      w->decisions++;
      /* By their lengths: adopt, cancel, abandon, resubmit. Persons may be wrong: it may come
       * late. */
      if (r.decision.bytes == 8) f->resubmit = w->doubled = true;
      if (r.decision.bytes == 7) f->abandoned = true;
      copy_slice(f->wanted, sizeof f->wanted, r.job);
      break;
    default: break;
  }
}

int32_t sj_append(sj_world *w, uint64_t ticket, const sheaf_record *records, uint32_t count) {
  const sj_config *c = &w->config;
  if (w->probing) return SHEAF_E_IO;
  for (uint32_t i = 0; i < count; i++) {
    if (!sj_effect(w, record_name(records[i].type), ticket, records[i].payload.bytes))
      return SHEAF_OK;
    if (w->record_count == SJ_RECORDS_MAX) {
      sj_fail(w, "too many records", w->record_count, 0);
      return SHEAF_E_IO;
    }
    if (c->store_fails && !sj_calm(w) && sj_chance(c, 30, SJ_DISK, w->record_count, w->draws++)) {
      SJ_NOTE(w, "         the store fails");
      w->store_failed = true;
      return SHEAF_E_IO;
    }
    sj_record *record = &w->records[w->record_count++];
    memset(record, 0, sizeof *record);
    record->type = records[i].type;
    record->ticket = ticket;
    record->lines_before = w->line_count;
    sj_put_bytes(&record->payload, records[i].payload.data, records[i].payload.bytes);
    read_record(w, record, false);
  }
  if (!c->store_late || w->dead) {
    if (w->dead) return SHEAF_OK;
    sj_stored(w, ticket);
    return SHEAF_E_END;
  }
  sj_later(w, w->now_ns + sj_draw(c, 3 * SJ_SECOND, SJ_DISK, ticket, w->draws++), SJ_DUE_STORED,
           ticket);
  return SHEAF_OK;
}

void sj_record_durable(sj_world *w, sj_record *record) {
  if (record->stored) return;
  record->stored = true;
  read_record(w, record, true);
}

void sj_stored(sj_world *w, uint64_t ticket) {
  for (uint32_t i = 0; i < w->record_count; i++)
    if (w->records[i].ticket && w->records[i].ticket <= ticket)
      sj_record_durable(w, &w->records[i]);
}

/* ---- The spool ---- */

static bool spool_fails(sj_world *w) {
  return w->config.spool_fails && !sj_calm(w) && sj_chance(&w->config, 15, SJ_DISK, w->draws++, 3);
}

static sj_spool *spool_of(sj_world *w, uint64_t job) {
  flight_of(w, job);
  return job < SJ_FLIGHTS_MAX ? &w->spools[job] : &w->spools[0];
}

static int32_t spool_append(void *ctx, uint64_t job, uint64_t offset, sheaf_slice bytes) {
  sj_world *w = ctx;
  if (!sj_effect(w, "spool", job, offset)) return SHEAF_OK;
  if (spool_fails(w)) return w->spool_failed = true, SHEAF_E_IO;
  sj_spool *s = spool_of(w, job);
  if (offset > s->text.bytes) sj_fail(w, "a gap in a spool", job, offset);
  if (w->flights[job].planned) sj_fail(w, "the spool of a planned job was written", job, offset);
  if (offset < s->text.bytes) {
    s->text.bytes = (size_t)offset;
    if (s->sealed_bytes > offset) s->sealed_bytes = (size_t)offset;
  }
  s->made = true;
  s->sealed = false;
  sj_put_bytes(&s->text, bytes.data, bytes.bytes);
  return SHEAF_OK;
}

static int32_t spool_seal(void *ctx, uint64_t job) {
  sj_world *w = ctx;
  if (!sj_effect(w, "seal", job, 0)) return SHEAF_OK;
  if (spool_fails(w)) return w->spool_failed = true, SHEAF_E_IO;
  sj_spool *s = spool_of(w, job);
  s->sealed = true;
  s->sealed_bytes = s->text.bytes;
  return SHEAF_OK;
}

static int64_t spool_read(void *ctx, uint64_t job, uint64_t offset, void *to, size_t capacity) {
  sj_world *w = ctx;
  const sj_spool *s = spool_of(w, job);
  if (!w->probing && spool_fails(w)) return w->spool_failed = true, SHEAF_E_IO;
  if (offset >= s->text.bytes) return 0;
  size_t n = s->text.bytes - (size_t)offset;
  if (n > capacity) n = capacity;
  if (w->config.short_reads && n > 1)
    n = 1 + (size_t)sj_draw(&w->config, n, SJ_DISK, w->reads++, job);
  memcpy(to, s->text.data + offset, n);
  return (int64_t)n;
}

static void spool_drop(void *ctx, uint64_t job) {
  sj_world *w = ctx;
  if (!sj_effect(w, "drop", job, 0)) return;
  sj_spool *s = spool_of(w, job);
  if (w->flights[job].planned && !w->flights[job].over)
    sj_fail(w, "the spool of a job that is not over was dropped", job, 0);
  sj_text_free(&s->text);
  memset(s, 0, sizeof *s);
}

const sheaf_spool sj_spool_door = {.struct_bytes = sizeof(sheaf_spool),
                                   .append = spool_append,
                                   .seal = spool_seal,
                                   .read = spool_read,
                                   .drop = spool_drop};

/* ---- Crashes ---- */

/* Records: those that were answered, and any prefix of the others. The spool: what was sealed, and
 * any prefix of the rest. The output: a host writes it before it writes a record, so only what
 * came after the last record may be lost, and only if the machine dies, too. */
void sj_disk_crash(sj_world *w, bool in_order) {
  const sj_config *c = &w->config;
  uint32_t stored = 0;
  while (stored < w->record_count && w->records[stored].stored) stored++;
  uint32_t kept = stored + (uint32_t)sj_draw(c, w->record_count - stored + 1, SJ_DISK, w->host, 10);
  if (in_order || (!c->power_loss && sj_chance(c, 500, SJ_DISK, w->host, 11)))
    kept = w->record_count;
  uint64_t flushed = 0;
  for (uint32_t i = 0; i < w->record_count; i++) {
    if (i < kept) {
      sj_record_durable(w, &w->records[i]);
      w->records[i].ticket = 0;
      flushed = w->records[i].lines_before;
    } else {
      sj_text_free(&w->records[i].payload);
    }
  }
  w->record_count = kept;
  uint32_t lines = w->line_count;
  if (c->power_loss && !in_order)
    lines = (uint32_t)(flushed + sj_draw(c, w->line_count - flushed + 1, SJ_DISK, w->host, 12));
  for (uint32_t i = lines; i < w->line_count; i++) {
    w->rows[w->lines[i].index].has_line = false;
    w->rows[w->lines[i].index].lines--;
  }
  SJ_NOTE(w, "      kept %u records, %u of %u lines", kept, lines, w->line_count);
  w->line_count = lines;
  for (uint32_t i = 0; i < SJ_FLIGHTS_MAX; i++) {
    sj_spool *s = &w->spools[i];
    if (s->text.bytes <= s->sealed_bytes || in_order) continue;
    size_t loose = s->text.bytes - s->sealed_bytes;
    s->text.bytes = s->sealed_bytes + (size_t)sj_draw(c, loose + 1, SJ_DISK, w->host, 1000 + i);
  }
}

/* ---- Decisions ---- */

static sj_job *job_of_flight(sj_world *w, uint64_t flight) {
  sj_job *found = NULL;
  for (uint32_t i = 0; i < w->job_count; i++)
    if (!w->jobs[i].foreign && w->jobs[i].flight == flight && !w->jobs[i].told_failed)
      found = &w->jobs[i];
  return found;
}

/* Between two hosts a person who has looked at the provider's pages decides what is undecided. */
void sj_decide(sj_world *w) {
  for (uint64_t id = 1; id < SJ_FLIGHTS_MAX; id++) {
    sj_flight *f = &w->flights[id];
    bool stops = w->config.cancels && f->planned && f->job[0] &&
                 sj_chance(&w->config, 60, SJ_HOST, id, 40 + w->host);
    if ((!f->undecided && !stops) || f->over) continue;
    sj_job *job = job_of_flight(w, id);
    sheaf_job_record r;
    sheaf_job_record_init(&r, SHEAF_RECORD_JOB_DECISION);
    r.flight = id;
    r.decision = job ? SHEAF_LITERAL("adopt") : SHEAF_LITERAL("resubmit");
    if (sj_chance(&w->config, 150, SJ_HOST, id, w->host)) r.decision = SHEAF_LITERAL("abandon");
    if (!f->undecided) r.decision = SHEAF_LITERAL("cancel");
    if (job && r.decision.bytes == 5) r.job = sheaf_slice_of(job->id);
    r.unix_ms = SJ_UNIX_MS + (int64_t)(w->now_ns / SJ_MS);
    char room[512];
    sheaf_buf payload = buf_of(room, sizeof room);
    for (int i = 0; i < 8; i++) room[payload.bytes++] = (char)(id >> (8 * i));
    if (sheaf_job_record_write(&r, &payload) || w->record_count == SJ_RECORDS_MAX) {
      sj_fail(w, "a decision cannot be written", id, 0);
      return;
    }
    sj_record *record = &w->records[w->record_count++];
    memset(record, 0, sizeof *record);
    record->type = SHEAF_RECORD_JOB_DECISION;
    record->lines_before = w->line_count;
    sj_put_bytes(&record->payload, payload.data, payload.bytes);
    SJ_NOTE(w, "      decided: flight %llu %.*s", (unsigned long long)id, (int)r.decision.bytes,
            r.decision.data);
    sj_record_durable(w, record);
  }
}
