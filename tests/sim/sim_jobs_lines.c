/* sim_jobs_lines.c: what jobs and live calls bring: bodies of replies, lines of results.
 *
 * Order: what is said, a body per dialect, a line per dialect, a job's files. */
#include "sim_jobs.h"

#include <stdlib.h>
#include <string.h>

/* ---- What is said ---- */

/* The row's tag, and what its body's bytes came to where these are the user's own. */
static unsigned own_hash(const sj_world *w, const sj_row *row, uint64_t hash) {
  bool is_own = row->kind == SJ_BODY || row->kind == SJ_STREAMED;
  return is_own && w->config.dialect[row->place] != SJ_GEMINI ? (unsigned)(hash & 0xffffffff) : 0;
}

void sj_expected_text(const sj_world *w, uint64_t index, char *to, size_t bytes) {
  const sj_row *row = &w->rows[index];
  unsigned hash = own_hash(w, row, sj_hash(row->text, strlen(row->text)));
  snprintf(to, bytes, "A \"%s\"\n\\ %08x", row->tag, hash);
}

static void said(const sj_world *w, int32_t row, uint64_t hash, char *to, size_t bytes) {
  if (row < 0) {
    snprintf(to, bytes, "a stranger's");
    return;
  }
  const sj_row *r = &w->rows[row];
  snprintf(to, bytes, "A \\\"%s\\\"\\n\\\\ %08x", r->tag, own_hash(w, r, hash));
}

/* ---- Bodies ---- */

void sj_render_reply(sj_text *to, uint32_t dialect, const sj_world *w, int32_t row, uint64_t hash) {
  char text[200];
  said(w, row, hash, text, sizeof text);
  int in = 8 + (row < 0 ? 0 : row % 5);
  const char *model = row >= 0 && w->rows[row].model ? "mb" : "ma";
  if (dialect == SJ_ANTHROPIC)
    SJ_PUT(
        to,
        "{\"id\":\"msg_%d\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"%s\","
        "\"content\":"
        "[{\"type\":\"text\",\"text\":\"%s\"}],\"stop_reason\":\"end_turn\",\"stop_sequence\":null,"
        "\"usage\":{\"input_tokens\":%d,\"output_tokens\":3,\"service_tier\":\"batch\"}}",
        row, model, text, in);
  else if (dialect == SJ_GEMINI)
    SJ_PUT(to,
           "{\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"%s\"}],\"role\":\"model\"},"
           "\"finishReason\":\"STOP\"}],\"usageMetadata\":{\"promptTokenCount\":%d,"
           "\"candidatesTokenCount\":3,\"totalTokenCount\":%d},\"modelVersion\":\"%s\"}",
           text, in, in + 3, model);
  else
    SJ_PUT(to,
           "{\"id\":\"c%d\",\"object\":\"chat.completion\",\"created\":1,\"model\":\"%s\","
           "\"choices\":["
           "{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\"%s\",\"refusal\":null},"
           "\"logprobs\":null,\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":%d,"
           "\"completion_tokens\":3,\"total_tokens\":%d}}",
           row, model, text, in, in + 3);
}

/* ---- Lines ---- */

static void good_line(const sj_world *w, uint32_t dialect, const sj_item *item, const char *id,
                      sj_text *to) {
  sj_text body = {0};
  sj_render_reply(&body, dialect, w, item->row, item->body_hash);
  if (dialect == SJ_ANTHROPIC) {
    SJ_PUT(to, "{\"custom_id\":\"%s\",\"result\":{\"type\":\"succeeded\",\"message\":", id);
    sj_put_bytes(to, body.data, body.bytes);
    SJ_PUT(to, "}}\n");
  } else if (dialect == SJ_GEMINI) {
    SJ_PUT(to, "{\"key\":\"%s\",\"response\":", id);
    sj_put_bytes(to, body.data, body.bytes);
    SJ_PUT(to, "}\n");
  } else {
    const char *request = dialect == SJ_MISTRAL ? "" : "\"request_id\":\"req_1\",";
    SJ_PUT(to,
           "{\"id\":\"batch_req_1\",\"custom_id\":\"%s\",\"response\":{\"status_code\":200,%"
           "s\"body\":",
           id, request);
    sj_put_bytes(to, body.data, body.bytes);
    SJ_PUT(to, "},\"error\":null}\n");
  }
  sj_text_free(&body);
}

static void bad_line(uint32_t dialect, const char *id, int status, sj_text *to) {
  static const char *const kinds[] = {"invalid_request_error", "rate_limit_error", "api_error"};
  const char *kind = kinds[status == 400 ? 0 : status == 429 ? 1 : 2];
  if (dialect == SJ_ANTHROPIC)
    SJ_PUT(to,
           "{\"custom_id\":\"%s\",\"result\":{\"type\":\"errored\",\"error\":{\"type\":\"error\","
           "\"error\":"
           "{\"type\":\"%s\",\"message\":\"m\"},\"request_id\":null}}}\n",
           id, kind);
  else if (dialect == SJ_GEMINI)
    SJ_PUT(to, "{\"key\":\"%s\",\"error\":{\"code\":%d,\"message\":\"m\"}}\n", id,
           status == 400   ? 3
           : status == 429 ? 8
                           : 13); /* google.rpc.Code */
  else
    SJ_PUT(to,
           "{\"id\":\"batch_req_2\",\"custom_id\":\"%s\",\"response\":{\"status_code\":%d,"
           "\"request_id\":\"r\","
           "\"body\":{\"error\":{\"message\":\"m\",\"type\":\"%s\",\"param\":null,\"code\":null}}},"
           "\"error\":null}\n",
           id, status, kind);
}

static void unrun_line(uint32_t dialect, const char *id, bool cancelled, sj_text *to) {
  if (dialect == SJ_ANTHROPIC)
    SJ_PUT(to, "{\"custom_id\":\"%s\",\"result\":{\"type\":\"%s\"}}\n", id,
           cancelled ? "canceled" : "expired");
  else if (dialect == SJ_GEMINI)
    SJ_PUT(to, "{\"key\":\"%s\",\"error\":{\"code\":%d,\"message\":\"m\"}}\n", id,
           cancelled ? 1 : 4);
  else
    SJ_PUT(
        to,
        "{\"id\":\"batch_req_3\",\"custom_id\":\"%s\",\"response\":null,\"error\":{\"code\":\"%s\","
        "\"message\":\"m\"}}\n",
        id, cancelled ? "batch_cancelled" : "batch_expired");
}

static void wrong_line(sj_world *w, const sj_job *job, const sj_item *item, uint32_t i,
                       sj_text *to) {
  char id[72];
  uint32_t dialect = w->config.dialect[job->place];
  switch (sj_draw(&w->config, 4, SJ_ITEM, job->number, 5000 + i)) {
    case 0: snprintf(id, sizeof id, "foreign-%u", i); break;
    case 1: snprintf(id, sizeof id, "r%u-nobody", i); break;
    case 2: snprintf(id, sizeof id, "rzzzz-%u", i); break;
    default: snprintf(id, sizeof id, "r%u_0000000000000000", i); break;
  }
  good_line(w, dialect, item, id, to);
}

/* ---- A job's files ---- */

static void put_item(sj_world *w, sj_job *job, uint32_t i) {
  const sj_item *item = &job->items[i];
  uint32_t dialect = w->config.dialect[job->place];
  bool two_files = dialect != SJ_ANTHROPIC && dialect != SJ_GEMINI;
  sj_text *bad = two_files ? &job->errors : &job->out;
  if (job->fate == SJ_INVALID && dialect == SJ_ANTHROPIC && item->fate == SJ_DONE) {
    bad_line(dialect, item->id, 400, bad);
    return;
  }
  switch (item->fate) {
    case SJ_REFUSED: bad_line(dialect, item->id, 400, bad); break;
    case SJ_FAILS: bad_line(dialect, item->id, 500, bad); break;
    case SJ_THROTTLED: bad_line(dialect, item->id, 429, bad); break;
    case SJ_EXPIRES:
      unrun_line(dialect, item->id, job->final_state == SHEAF_JOB_CANCELLED_STATE, bad);
      break;
    case SJ_LOST:
    case SJ_LOST_PAID: break;
    case SJ_TWICE:
      good_line(w, dialect, item, item->id, &job->out);
      good_line(w, dialect, item, item->id, &job->out);
      break;
    case SJ_BOTH_FILES:
      good_line(w, dialect, item, item->id, &job->out);
      bad_line(dialect, item->id, 500, bad);
      break;
    case SJ_WRONG_ID: wrong_line(w, job, item, i, &job->out); break;
    case SJ_BAD_LINE:
      SJ_PUT(&job->out, "{\"custom_id\":\"%s\",\"response\":{\"stat\n", item->id);
      break;
    default: good_line(w, dialect, item, item->id, &job->out); break;
  }
}

/* In another order than they were sent in. */
void sj_render_results(sj_world *w, sj_job *job) {
  uint32_t *order = malloc((job->count + 1) * sizeof *order);
  if (order == NULL) abort();
  for (uint32_t i = 0; i < job->count; i++) {
    uint32_t at = (uint32_t)sj_draw(&w->config, i + 1, SJ_ITEM, job->number, 9000 + i);
    order[i] = order[at];
    order[at] = i;
  }
  bool all_or_none = job->final_state != SHEAF_JOB_COMPLETED_STATE;
  const sheaf_provider *p =
      sheaf_provider_find(sheaf_slice_of(sj_dialect_names[w->config.dialect[job->place]]));
  bool gives = !all_or_none || (p->jobs->traits.flags & SHEAF_JOBS_PARTIAL);
  for (uint32_t k = 0; gives && k < job->count; k++) {
    put_item(w, job, order[k]);
    if (k % 7 == 2 && sj_chance(&w->config, 60, SJ_ITEM, job->number, 9800 + k))
      wrong_line(w, job, &(sj_item){.row = -1}, k, &job->out); /* beside its own */
    if (k % 5 == 3 && sj_chance(&w->config, 100, SJ_ITEM, job->number, 9900 + k))
      SJ_PUT(&job->out, "\n");
  }
  if (job->out.bytes && sj_chance(&w->config, 200, SJ_ITEM, job->number, 9950))
    job->out.bytes--; /* no LF behind the last line */
  free(order);
}
