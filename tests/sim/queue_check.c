/* queue_check.c: rules that the engine must keep, computed here from what was asked, reported
 * and done.
 *
 * Nothing of the engine's own state is read but its statistics. Order: starts, ends of
 * exchanges, results, the end. */
#include "queue_sim.h"

#include <string.h>

/* With a store that answers late, a START decided before something may be handed out after it. */
static bool is_strict(const qs_world *w) {
  return !w->config.store_late;
}

/* ---- Starts ---- */

/* A call of several: within every ceiling, of one key, and nobody in it who may not be. */
static void check_group(qs_world *w, const qs_exchange *x) {
  const qs_config *c = &w->config;
  const qs_row *first = &w->rows[x->members[0]];
  bool lists = first->ask.content.kind != QS_CHAT;
  uint64_t merge = is_strict(w) ? w->options.merge : w->most_merge;
  uint64_t batch = is_strict(w) ? w->options.max_batch : w->most_batch;
  uint64_t inputs = is_strict(w) ? w->options.max_inputs : w->most_inputs, tokens = 0, items = 0;
  if (merge < (lists ? SHEAF_MERGE_LOSSLESS : SHEAF_MERGE_PROMPTS))
    qs_fail(w, "merged though merging is off", x->count, merge);
  if (!lists && c->options.secret == NULL)
    qs_fail(w, "prompts were merged without a secret", x->count, 0);
  if (!lists && w->merge_off && is_strict(w))
    qs_fail(w, "prompts were merged after that had stopped", x->count, 0);
  if (!lists && x->count > batch) qs_fail(w, "more prompts than max_batch", x->count, batch);
  if (lists && c->inputs_max && c->inputs_max < inputs) inputs = c->inputs_max;
  for (uint32_t i = 0; i < x->count; i++) {
    const qs_row *row = &w->rows[x->members[i]];
    if (!qs_mergeable(&row->ask))
      qs_fail(w, "merged what travels alone", x->members[i], row->ask.content.kind);
    if (!qs_same_key(&first->ask, &row->ask))
      qs_fail(w, "merged what differs", x->members[0], x->members[i]);
    if (!lists && row->ask.klass == 0) qs_fail(w, "an urgent prompt was merged", x->members[i], 0);
    if (row->cut && x->count > row->cut)
      qs_fail(w, "a group as large as the one refused", x->count, row->cut);
    tokens += (uint64_t)row->counted;
    items += row->ask.content.inputs;
  }
  if (lists && items > inputs) qs_fail(w, "more inputs than a call may hold", items, inputs);
  if (lists && c->tokens_max && c->counter && tokens > c->tokens_max)
    qs_fail(w, "more tokens than a call may hold", tokens, c->tokens_max);
  w->merged++;
  w->travelled += x->count;
}

/* Twins share one call: of rows that would be given the same answer one is out. */
static void check_alone_of_its_kind(qs_world *w, uint32_t me) {
  const qs_row *row = &w->rows[me];
  if (!row->twins || w->config.few_events || w->config.slow_takes) return;
  for (uint32_t i = 0; i < w->config.rows; i++) {
    const qs_row *other = &w->rows[i];
    bool stays = other->ends == 0 && !other->cancelled &&
                 other->deadline_ns > w->engine_ns; /* its end may not be taken yet */
    if (i != me && stays && other->out && other->twins && qs_twins(&other->ask, &row->ask))
      qs_fail(w, "two calls for twins", me, i);
  }
}

static void check_member(qs_world *w, qs_exchange *x, uint32_t me, uint32_t number) {
  qs_row *row = &w->rows[me];
  if (!row->admitted || row->ends) qs_fail(w, "a start of a row that is not inside", me, row->ends);
  if (row->out) qs_fail(w, "two exchanges of one row", me, 0);
  if (row->unknown && w->options.resend_unknown == SHEAF_RESEND_NEVER)
    qs_fail(w, "a start of an unknown row against the policy", me, 0);
  if (row->cancelled) qs_fail(w, "a start of a cancelled row", me, 0);
  if (row->answered) qs_fail(w, "a start of a row that a hook answered", me, 0);
  if (w->config.store && !row->covered) qs_fail(w, "a start that no stored range covers", me, 0);
  if (w->engine_ns >= row->deadline_ns)
    qs_fail(w, "a start at or after the deadline", me, w->engine_ns - row->deadline_ns);
  if (x->count == 1 && row->deadline_ns != SHEAF_NEVER &&
      (x->timeout_ns == SHEAF_NEVER || w->engine_ns + x->timeout_ns > row->deadline_ns))
    qs_fail(w, "a timeout beyond the deadline", me, x->timeout_ns);
  check_alone_of_its_kind(w, me);
  row->out = true;
  row->starts++;
  row->exchange = number;
}

void qs_check_start(qs_world *w, const sheaf_engine *engine, qs_exchange *x) {
  const sheaf_engine_options *o = &w->options;
  uint64_t cap = o->concurrency ? o->concurrency : o->max_concurrency;
  (void)engine;
  if (!is_strict(w)) cap = w->most_concurrency;
  w->starts++;
  if (w->stopping) qs_fail(w, "a start after a drain", x->id, 0);
  if (w->paused) qs_fail(w, "a start while paused", x->id, 0);
  if (++w->in_flight > cap) qs_fail(w, "more in flight than allowed", w->in_flight, cap);
  if (is_strict(w) && w->engine_ns < w->pause_until_ns[x->model])
    qs_fail(w, "a start within the provider's pause", x->id,
            w->pause_until_ns[x->model] - w->engine_ns);
  if (x->shadow) {
    w->shadow_starts++;
    if (w->most_canary == 0) qs_fail(w, "a canary though there are none", x->id, 0);
    return;
  }
  for (uint32_t i = 0; i < x->count; i++)
    check_member(w, x, x->members[i], (uint32_t)(x->id >> 16));
  if (x->count > 1) check_group(w, x);
}

/* ---- Ends of exchanges ---- */

static void settle_money(qs_world *w, const qs_exchange *x) {
  int64_t cost = qs_cost(x);
  if (x->status != 200 || x->end_kind == SHEAF_END_NOT_SENT) return;
  if (x->task && x->end_kind != SHEAF_END_OK) return; /* nobody can know it */
  w->charged += cost;
  bool told = x->end_kind == SHEAF_END_OK && x->fate != QS_GARBLED;
  if (told) {
    w->spent += cost;
    w->spent_input += x->input;
    w->spent_output += x->output;
    if (x->shadow) w->shadow_cost += cost;
  }
  uint64_t cap = w->config.options.budget_usd_nano;
  if (cap != SHEAF_NEVER && (uint64_t)w->charged > cap)
    qs_fail(w, "the spend passed its cap", (uint64_t)w->charged, cap);
}

/* How large the next call of a member may be: half, if this one was too large. */
static uint32_t cut_of(const qs_exchange *x) {
  bool lists = x->kind != QS_CHAT, refused = x->status == 400 && x->end_kind == SHEAF_END_OK;
  if (x->count > 1 && x->left && x->end_kind == SHEAF_END_TOO_LARGE && x->status == 200)
    return (x->left + 1) / 2;
  if (x->count < 2 || x->left == 0 || x->end_kind != SHEAF_END_OK) return 0;
  if (refused && (lists || x->fate == QS_CONTEXT)) return (x->left + 1) / 2;
  if (x->fate == QS_LENGTH) return (x->left + 1) / 2;
  return refused || x->void_reply || x->fate == QS_GARBLED ? 1 : 0;
}

/* It is over: what was reported of it is decided in the step that follows. */
void qs_check_ended(qs_world *w, qs_exchange *x) {
  x->left = 0;
  w->in_flight--;
  settle_money(w, x);
  if (x->status == 429 && x->wait_ns != SHEAF_NEVER && x->end_kind == SHEAF_END_OK) {
    uint64_t until = w->engine_ns + x->wait_ns;
    if (until > w->pause_until_ns[x->model]) w->pause_until_ns[x->model] = until;
  }
  uint32_t number = (uint32_t)(x->id >> 16);
  for (uint32_t i = 0; i < x->count && !x->shadow; i++) {
    const qs_row *row = &w->rows[x->members[i]];
    x->left += row->exchange == number && row->ends == 0 && row->out;
  }
  uint32_t cut = cut_of(x);
  for (uint32_t i = 0; i < x->count && !x->shadow; i++) {
    qs_row *row = &w->rows[x->members[i]];
    if (row->exchange != number) continue;
    row->out = false;
    if (cut && row->ends == 0 && (row->cut == 0 || cut < row->cut)) row->cut = cut;
  }
}

/* ---- Answers ---- */

/* "a17.0@345; ..." of a row's own text; which exchange brought it. */
static bool read_answer(const qs_content *t, uint32_t input, sheaf_slice text, uint32_t *number) {
  char whole[QS_ANSWER_BYTES];
  uint32_t of, part;
  size_t at = 1;
  if (text.bytes < 6 || text.data[0] != 'a' || !qs_number(text, &at, &of) || text.data[at++] != '.')
    return false;
  if (!qs_number(text, &at, &part) || text.data[at++] != '@' || !qs_number(text, &at, number))
    return false;
  size_t bytes = qs_answer(t->text, input, *number, whole);
  return of == t->text && part == input && bytes == text.bytes &&
         memcmp(whole, text.data, bytes) == 0;
}

static bool read_vector(const qs_content *t, uint32_t input, sheaf_slice item, uint32_t *number) {
  static const char *const paths[] = {"embedding[0]", "embedding[1]", "embedding[2]", "index"};
  sheaf_slice v[4];
  int64_t n[4];
  if (sheaf_json_pick(item, paths, 4, v, NULL, NULL)) return false;
  for (uint32_t i = 0; i < 4; i++)
    if (sheaf_json_int(v[i], &n[i])) return false;
  *number = (uint32_t)n[2];
  return n[0] == t->text && n[1] == input && n[3] == input;
}

static bool read_choice(const qs_content *t, uint32_t input, sheaf_slice item, uint32_t *number) {
  sheaf_buf text;
  int64_t index = -1;
  sheaf_buf_init(&text, qs_malloc(), SIZE_MAX / 2);
  sheaf_json_int(sheaf_json_member(item, "index"), &index);
  sheaf_buf_append_unescaped(&text, sheaf_json_inside(sheaf_json_member(item, "text")));
  bool good = index == input && read_answer(t, input, sheaf_buf_slice(&text), number);
  sheaf_buf_deinit(&text);
  return good;
}

/* All that the row asked for, nothing of others', of one exchange. False: not so. */
static bool read_reply(const qs_world *w, const qs_row *row, const sheaf_result *r,
                       uint32_t *number) {
  static const char *const data[] = {"data"}, *const choices[] = {"choices"};
  const qs_content *t = &row->ask.content;
  sheaf_json_iter iter;
  sheaf_slice key, item, list;
  if (t->kind >= QS_CHAT && w->config.starves) { /* text is text_json then */
    sheaf_buf text;
    sheaf_buf_init(&text, qs_malloc(), SIZE_MAX / 2);
    sheaf_buf_append_unescaped(&text, r->text_json);
    bool good = read_answer(t, 0, sheaf_buf_slice(&text), number);
    sheaf_buf_deinit(&text);
    return good;
  }
  if (t->kind >= QS_CHAT) return read_answer(t, 0, r->text, number);
  if (sheaf_json_pick(r->body, t->kind == QS_EMBED ? data : choices, 1, &list, NULL, NULL) ||
      sheaf_json_iter_init(&iter, list))
    return false;
  uint32_t count = 0, before = 0;
  for (; sheaf_json_iter_next(&iter, &key, &item) == SHEAF_OK; count++) {
    bool good = t->kind == QS_EMBED ? read_vector(t, count, item, number)
                                    : read_choice(t, count, item, number);
    if (!good || (count && *number != before)) return false;
    before = *number;
  }
  return count == t->inputs;
}

static bool has_member(const qs_exchange *x, uint32_t me) {
  for (uint32_t i = 0; i < x->count; i++)
    if (x->members[i] == me) return true;
  return false;
}

/* Some row of the exchange asked for the same, with the same trust, as a matter of twins. */
static bool has_twin(const qs_world *w, const qs_exchange *x, const qs_row *row) {
  for (uint32_t i = 0; i < x->count && !x->shadow; i++) {
    const qs_row *other = &w->rows[x->members[i]];
    if (other != row && other->twins && qs_twins(&other->ask, &row->ask)) return true;
  }
  return false;
}

static void check_shared_answer(qs_world *w, const qs_row *row, const qs_exchange *x,
                                const sheaf_result *r) {
  if (!row->twins || !has_twin(w, x, row))
    qs_fail(w, "a twin's answer of no twin", r->index, x->id >> 16);
  if (row->starts) qs_fail(w, "sent, and called a twin's", r->index, row->starts);
  if (r->cost_usd_nano > 0) qs_fail(w, "a twin that costs", r->index, (uint64_t)r->cost_usd_nano);
  if (r->deduplicated && x->ended_ns < row->admitted_ns)
    qs_fail(w, "a twin of a call that was over", r->index, x->id >> 16);
  if (!r->cached) return;
  uint64_t age = row->admitted_ns - x->ended_ns, ttl = w->options.cache_ttl_ms;
  if (row->odd) return; /* the options changed meanwhile */
  if (w->options.cache_entries == 0) qs_fail(w, "cached without a cache", r->index, 0);
  if (x->ended_ns > row->admitted_ns || age >= ttl * QS_MS)
    qs_fail(w, "a cached answer that is too old", age, ttl);
}

static void check_own_answer(qs_world *w, const qs_row *row, qs_exchange *x,
                             const sheaf_result *r) {
  bool merged = x->count > 1;
  if (row->exchange != (uint32_t)(x->id >> 16) || !has_member(x, w->row_of[r->index]))
    qs_fail(w, "an answer of an exchange that is not the row's", r->index, x->id >> 16);
  if ((r->lane == SHEAF_LANE_MERGED) != merged || (r->group != 0) != merged ||
      (merged && r->group_members != x->count))
    qs_fail(w, "merged or not: the result says otherwise", r->group, r->group_members);
  if (merged && x->group && x->group != r->group)
    qs_fail(w, "one call, two groups", x->group, r->group);
  x->group = r->group;
  x->told++;
  x->told_input += r->usage.input_total;
  if (x->kind != QS_EMBED) x->told_output += r->usage.output_total;
  if (x->told == x->count && (x->told_input != x->input || x->told_output != x->output))
    qs_fail(w, "the members' usages are not the call's", (uint64_t)x->told_input,
            (uint64_t)x->input);
}

static void check_success(qs_world *w, qs_row *row, const sheaf_result *r) {
  uint32_t number = 0;
  w->succeeded++;
  if (r->local) {
    static const char *const says[] = {"fallback ", "answered "};
    sheaf_slice said = sheaf_slice_of(says[row->answered]);
    if (r->text.bytes < 9 || memcmp(r->text.data, said.data, 9) != 0)
      qs_fail(w, "not what the hook said", r->index, 0);
    w->local++;
    return;
  }
  if (row->answered) qs_fail(w, "the hook's answer was not taken", r->index, 0);
  if (row->ask.content.kind == QS_TASK) return;
  if (!read_reply(w, row, r, &number)) {
    qs_fail(w, "an answer that is not the row's", r->index, r->text.bytes);
    return;
  }
  if (number >= w->exchange_count || w->exchanges[number].id == 0) {
    qs_fail(w, "an answer of no exchange", r->index, number);
    return;
  }
  qs_exchange *x = &w->exchanges[number];
  if (!x->ended || x->void_reply || x->fate == QS_GARBLED || x->status != 200 ||
      x->end_kind != SHEAF_END_OK)
    qs_fail(w, "an answer of a reply that is void", r->index, number);
  if (x->shadow) qs_fail(w, "an answer of a canary", r->index, number);
  w->deduplicated += r->deduplicated;
  w->cached += r->cached;
  if (r->deduplicated || r->cached)
    check_shared_answer(w, row, x, r);
  else
    check_own_answer(w, row, x, r);
}

/* ---- Failures ---- */

/* The words of the last exchange: a failure that it cannot have brought is not the row's. */
static void check_failure(qs_world *w, const qs_row *row, const sheaf_result *r) {
  const qs_exchange *x = row->exchange == QS_NONE ? NULL : &w->exchanges[row->exchange];
  uint32_t class = r->error_class;
  if ((class == SHEAF_CLASS_INTERNAL && !w->config.starves) || class == SHEAF_CLASS_UNKNOWN ||
      class == SHEAF_CLASS_QUEUE_FULL)
    qs_fail(w, "an internal error", r->index, class);
  if (row->cancelled && !row->out && class != SHEAF_CLASS_CANCELLED && x == NULL)
    qs_fail(w, "cancelled while it waited, and ended otherwise", r->index, class);
  if (class == SHEAF_CLASS_CANCELLED && !row->cancelled && !w->stopping)
    qs_fail(w, "cancelled by nobody", r->index, class);
  if (class == SHEAF_CLASS_DEADLINE && row->deadline_ns == SHEAF_NEVER)
    qs_fail(w, "a deadline that it has not", r->index, 0);
  if (x == NULL || row->starts == 0) return; /* a twin's failure is its leader's */
  bool bad = class == SHEAF_CLASS_INVALID_REQUEST || class == SHEAF_CLASS_CONTEXT_LENGTH;
  if (bad && (x->count > 1 || x->status != 400))
    qs_fail(w, "refused alone by a call of several", r->index, x->count);
  if (class == SHEAF_CLASS_INVALID_RESPONSE && x->status != 200)
    qs_fail(w, "an invalid response that never came", r->index, x->status);
  if (class == SHEAF_CLASS_RATE_LIMIT && x->status != 429)
    qs_fail(w, "a rate limit that nobody told", r->index, x->status);
  if (class == SHEAF_CLASS_SERVER && x->status != 500)
    qs_fail(w, "a server's error that nobody told", r->index, x->status);
}

/* ---- Results ---- */

void qs_check_result(qs_world *w, const sheaf_result *r) {
  static const char *metadata[] = {"{\"n\":0}", "{\"n\":1}", "{\"n\":2}"};
  if (r->index >= w->indexes) {
    qs_fail(w, "a result of no row", r->index, w->indexes);
    return;
  }
  uint32_t me = w->row_of[r->index];
  qs_row *row = &w->rows[me];
  if ((uintptr_t)r->user != me + 1) qs_fail(w, "a result with another's user", r->index, me);
  if (r->metadata.bytes != 7 || memcmp(r->metadata.data, metadata[me % 3], 7) != 0)
    qs_fail(w, "another's metadata", me, 0);
  if (!row->admitted || row->ends++)
    qs_fail(w, "a row ended twice, or was never in", me, row->ends);
  qs_exchange *x = row->exchange == QS_NONE ? NULL : &w->exchanges[row->exchange];
  if (row->out && (x == NULL || x->count < 2))
    qs_fail(w, "a row ended while its exchange is out", me, r->error_class);
  if (row->out && r->ok && !r->local) qs_fail(w, "a success while its exchange is out", me, 0);
  /* Who left a call of several before it was divided: what its share was is told to nobody. */
  if (x && x->count > 1 && (!r->ok || r->local) &&
      (row->out || row->cancelled || row->deadline_ns != SHEAF_NEVER))
    w->deserted++;
  if (r->attempts != row->starts)
    qs_fail(w, "attempts are not what was started", r->attempts, row->starts);
  bool stays = row->unknown && w->options.resend_unknown == SHEAF_RESEND_NEVER;
  if (stays && r->error_class != SHEAF_CLASS_UNKNOWN_OUTCOME)
    qs_fail(w, "an unknown row ended otherwise", me, r->error_class);
  if (row->unknown && row->starts && !r->resent_unknown)
    qs_fail(w, "an unknown row was sent again in silence", me, 0);
  if (r->ok != (r->error_class == SHEAF_CLASS_NONE))
    qs_fail(w, "ok and class differ", me, r->error_class);
  if (row->refused && (r->ok ? !r->local : r->error_class != SHEAF_CLASS_INVALID_REQUEST))
    qs_fail(w, "refused by the hook, and ended otherwise", me, r->error_class);
  if (!r->attempted && r->billing > SHEAF_BILLING_REFUSED)
    qs_fail(w, "called unsent what may have been billed", me, r->billing);
  if (r->attempted && !r->ok && row->starts == 0 && !row->twins && !row->refused && !row->unknown)
    qs_fail(w, "called attempted what was never sent", me, r->error_class);
  if (r->cost_usd_nano != SHEAF_ABSENT)
    w->told_cost += r->cost_usd_nano;
  else if (row->starts)
    w->missing_cost = true;
  if (r->ok)
    check_success(w, row, r);
  else
    check_failure(w, row, r);
}

/* ---- The end ---- */

static void check_counts(qs_world *w, const sheaf_stats *s) {
  struct {
    const char *what;
    uint64_t told, counted;
  } all[] = {{"admitted is not what went in", s->admitted, w->admitted},
             {"succeeded is not what succeeded", s->succeeded, w->succeeded},
             {"attempts are not what was started", s->attempts, w->starts},
             {"groups are not what was merged", s->groups, w->merged},
             {"grouped is not who travelled in groups", s->grouped, w->travelled},
             {"deduplicated is not what was", s->deduplicated, w->deduplicated},
             {"cache hits are not what was cached", s->cache_hits, w->cached},
             {"answered locally is not what hooks answered", s->answered_locally, w->local},
             {"input tokens are not the usages'", s->input_tokens, (uint64_t)w->spent_input},
             {"output tokens are not the usages'", s->output_tokens, (uint64_t)w->spent_output}};
  for (uint32_t i = 0; i < sizeof all / sizeof *all && !w->reset && !w->config.starves; i++)
    if (all[i].told != all[i].counted) qs_fail(w, all[i].what, all[i].told, all[i].counted);
  if (s->succeeded + s->failed + s->not_attempted != s->admitted)
    qs_fail(w, "ends do not add up", s->succeeded + s->failed + s->not_attempted, s->admitted);
  if (s->in_flight || s->queued || s->waiting_retry)
    qs_fail(w, "idle but not empty", s->in_flight, s->queued);
  if (s->queue_bytes) qs_fail(w, "idle with text inside", s->queue_bytes, 0);
}

void qs_check_end(qs_world *w, const sheaf_engine *engine) {
  const qs_config *c = &w->config;
  sheaf_stats s;
  sheaf_engine_stats(engine, &s);
  for (uint32_t i = 0; i < c->rows; i++) {
    const qs_row *row = &w->rows[i];
    if (row->admitted && row->ends != 1) qs_fail(w, "a row without an end", i, row->ends);
    if (!row->admitted && !row->rejected && !w->stopping)
      qs_fail(w, "a row that never got in", i, 0);
  }
  if (w->in_flight) qs_fail(w, "idle with exchanges out", w->in_flight, 0);
  check_counts(w, &s);
  if (c->starves) return; /* what a reply came to that there was no memory to read is not known */
  int64_t cost = s.cost_usd_nano == SHEAF_ABSENT ? 0 : s.cost_usd_nano;
  if (cost != w->spent)
    qs_fail(w, "the spend is not the sum of the usages", (uint64_t)cost, (uint64_t)w->spent);
  if (c->budget && cost + s.unknown_usd_nano < w->charged)
    qs_fail(w, "spend and unknown are less than what was charged",
            (uint64_t)(cost + s.unknown_usd_nano), (uint64_t)w->charged);
  int64_t told = w->told_cost + w->shadow_cost;
  if (told > w->spent || (told != w->spent && !w->deserted && !w->missing_cost))
    qs_fail(w, "the rows' costs are not what was spent", (uint64_t)told, (uint64_t)w->spent);
}
