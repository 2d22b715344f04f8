/* plan.c: what an input will cost and how long it will take, before anything is sent.
 *
 *   rows     each is weighed once: tokens, money, a place in a batch job, what is the matter with it
 *   limits   how long all of them take under each limit alone; the slowest decides
 *   sheaf plan, sheaf run --dry-run */
#define _POSIX_C_SOURCE 200809L
#include "plan.h"

#include <stdlib.h>
#include <string.h>

const char *plan_price_date(const cli_args *args) {
  return args->engine.prices ? args->engine.prices->date : sheaf_prices_builtin()->date;
}

static void note_line(plan_lines *lines, uint64_t line) {
  if (lines->count < PLAN_LINES_MAX) lines->line[lines->count] = line;
  lines->count++;
}

/* ---- groups and jobs ---- */

static bool same(const char *kept, size_t room, sheaf_slice text) {
  size_t bytes = text.bytes < room - 1 ? text.bytes : room - 1;
  return strlen(kept) == bytes && memcmp(kept, text.data, bytes) == 0;
}

static void copy(char *to, size_t room, sheaf_slice text) {
  size_t bytes = text.bytes < room - 1 ? text.bytes : room - 1;
  if (bytes > 0) memcpy(to, text.data, bytes);
  to[bytes] = 0;
}

/* The group of a request; most inputs have one, so that the one before is asked first. */
static plan_group *group_of(plan *it, const sheaf_request *request) {
  static const sheaf_slice none = {"", 0};
  sheaf_slice url = request->url.bytes ? request->url : it->place->endpoint.default_url;
  sheaf_slice model = request->model.bytes ? request->model : none;
  if (url.bytes == 0) url = none;
  for (uint32_t i = it->group_count; i-- > 0;) {
    plan_group *at = &it->groups[i];
    if (same(at->model, sizeof at->model, model) && same(at->url, sizeof at->url, url)) return at;
  }
  if (it->group_count == PLAN_GROUPS_MAX) {
    it->has_more_groups = true;
    return &it->groups[PLAN_GROUPS_MAX - 1];
  }
  plan_group *at = &it->groups[it->group_count++];
  const sheaf_price_table *prices =
      it->args->engine.prices ? it->args->engine.prices : sheaf_prices_builtin();
  copy(at->model, sizeof at->model, model);
  copy(at->url, sizeof at->url, url);
  at->price = sheaf_price_find(prices, sheaf_slice_of(it->place->endpoint.provider->name), model);
  return at;
}

/* Jobs are filled to 95 % of what the provider takes, less where the options say less. */
static uint64_t filled(uint64_t most, uint64_t option) {
  uint64_t own = most ? most - most / 20 : SHEAF_NEVER;
  return option && option < own ? option : own;
}

static void find_job_size(plan *it) {
  const sheaf_engine_options *o = &it->args->engine;
  const sheaf_job_api *api = sheaf_job_api_of(it->place->endpoint.provider);
  uint64_t rows = o->max_requests_per_job;
  if (api == NULL) return;
  if (rows == 0 && o->lane == SHEAF_LANE_AUTO) rows = PLAN_AUTO_ROWS;
  it->jobs = &api->traits;
  it->job.rows = filled(api->traits.requests_max, rows);
  it->job.bytes = filled(api->traits.bytes_max, 0);
  it->job.inputs = filled(api->traits.inputs_max, 0);
  it->job.tokens = o->max_job_tokens ? o->max_job_tokens : SHEAF_NEVER;
}

/* The line of a request in a batch file, or its element of the request body: protocols.md 1.5, 2.4, 3.3. */
static uint64_t job_line_bytes(const plan *it, const sheaf_request *request, uint64_t body_bytes) {
  static const char openai[] = "{\"custom_id\":\"\",\"method\":\"POST\",\"url\":\"\",\"body\":}\n";
  static const char anthropic[] = "{\"custom_id\":\"\",\"params\":},";
  static const char gemini[] = "{\"key\":\"\",\"request\":}\n";
  static const char url[] = "/v1/chat/completions";
  const char *name = it->place->endpoint.provider->name;
  uint64_t id = request->custom_id.bytes ? request->custom_id.bytes : 12; /* "row-12345678" */
  if (strcmp(name, "anthropic") == 0) return sizeof anthropic - 1 + id + body_bytes;
  if (strcmp(name, "gemini") == 0) return sizeof gemini - 1 + id + body_bytes;
  return sizeof openai - 1 + id + body_bytes +
         (request->url.bytes ? request->url.bytes : sizeof url - 1);
}

static void fill_job(plan *it, const cli_row *row, plan_group *at) {
  const plan_job *most = &it->job;
  if (it->jobs == NULL) return;
  uint64_t line = job_line_bytes(it, row->request, row->body_bytes);
  uint64_t inputs = row->is_embedding ? 1 : 0; /* at least: a list of them is not looked into */
  if (at->jobs == 0 || at->rows == most->rows || at->bytes + line > most->bytes ||
      at->tokens + row->count.tokens > most->tokens || at->inputs + inputs > most->inputs) {
    at->jobs++;
    at->rows = at->bytes = at->tokens = at->inputs = 0;
  }
  at->rows++;
  at->bytes += line;
  at->tokens += row->count.tokens;
  at->inputs += inputs;
}

uint64_t plan_jobs(const plan *it) {
  uint64_t jobs = 0;
  for (uint32_t i = 0; i < it->group_count; i++) jobs += it->groups[i].jobs;
  return jobs;
}

/* ---- rows ---- */

/* Why input is an estimate, from the first request that is one. */
static void doubt(plan *it, const cli_row *row) {
  const char *provider = it->place->endpoint.provider->name;
  sheaf_slice model = row->request->model;
  const sheaf_vocab *vocab;
  bool is_unknown = false;
  char why[sizeof it->doubt] = "";
  const char *encoding = sheaf_encoding_of_model(model, &is_unknown);
  if (it->doubt[0]) return;
  if (!cli_has_tokenizer(it->counting, provider, model))
    snprintf(why, sizeof why, "from bytes, as its tokenizer is not published");
  else if (sheaf_vocab_shelf_get(it->counting->shelf, sheaf_slice_of(encoding), &vocab, why,
                                 sizeof why) == SHEAF_OK)
    snprintf(why, sizeof why, "%s",
             is_unknown && !it->counting->has_choice
                 ? "by o200k_base, as its encoding is not known"
                 : "tools, schemas, images or files are not counted to the token");
  snprintf(it->doubt, sizeof it->doubt, "%.*s: %s%.900s",
           (int)(model.bytes < 64 ? model.bytes : 64), model.data ? model.data : "",
           row->count.basis == CLI_COUNT_BYTES && strncmp(why, "from", 4) ? "from bytes: " : "",
           why);
}

static void weigh_money(plan *it, const plan_group *group, const cli_count *count,
                        uint64_t output) {
  sheaf_usage usage = {.input_total = (int64_t)count->tokens,
                       .output_total = 0,
                       .cache_read = SHEAF_ABSENT,
                       .cache_write = SHEAF_ABSENT,
                       .reasoning = SHEAF_ABSENT};
  int64_t input = sheaf_price_cost(group->price, &usage);
  usage.input_total = 0;
  usage.output_total = (int64_t)output;
  int64_t written = sheaf_price_cost(group->price, &usage);
  usage.input_total = (int64_t)count->tokens;
  int64_t batch = it->jobs && group->price
                      ? sheaf_price_batch_cost(group->price, &usage, it->jobs->discount_pct)
                      : 0;
  if (input == SHEAF_ABSENT || written == SHEAF_ABSENT) {
    it->without_price++;
    return;
  }
  it->input_usd_nano += input;
  it->output_usd_nano += written;
  it->batch_usd_nano += batch == SHEAF_ABSENT ? 0 : batch;
}

static void weigh_length(plan *it, const cli_row *row, uint64_t cap) {
  uint64_t context = it->args->engine.context_tokens;
  sheaf_batch_size most = SHEAF_BATCH_SIZE_INIT;
  if (context && row->count.tokens + cap > context) note_line(&it->over_context, row->line);
  if (sheaf_tokens_max_batch_size(SHEAF_SIZE_REQUEST,
                                  sheaf_slice_of(it->place->endpoint.provider->name),
                                  row->request->model, &most) != SHEAF_OK)
    return;
  if (row->count.tokens > (row->has_one_input ? most.item_tokens : most.tokens))
    note_line(&it->over_item, row->line);
}

static void on_row(void *user, const cli_row *row) {
  plan *it = user;
  if (row->status != SHEAF_OK) {
    note_line(&it->bad, row->line);
    if (it->told++ < it->told_max) cli_row_complain(it->args, row);
    return;
  }
  uint64_t cap = row->output_max > 0 ? (uint64_t)row->output_max : 0;
  uint64_t output = cap ? cap : PLAN_OUTPUT_GUESS;
  if (it->args->output_tokens && (cap == 0 || it->args->output_tokens < cap))
    output = it->args->output_tokens;
  if (row->is_embedding)
    output = 0;
  else if (cap == 0)
    it->without_cap++;
  plan_group *group = group_of(it, row->request);
  it->good++;
  it->by_basis[row->count.basis]++;
  it->input_tokens += row->count.tokens;
  it->output_tokens += output;
  it->body_bytes += row->body_bytes;
  if (row->count.basis != CLI_COUNT_EXACT) doubt(it, row);
  weigh_money(it, group, &row->count, output);
  weigh_length(it, row, cap);
  fill_job(it, row, group);
}

/* ---- limits ---- */

static uint64_t seconds_at(uint64_t units, uint64_t a_minute, uint64_t safety_pct) {
  double seconds = (double)units * 6000.0 / ((double)a_minute * (double)safety_pct);
  return seconds < 1e18 ? (uint64_t)(seconds + 0.999) : SHEAF_NEVER / 4;
}

static void add_limit(plan *it, const char *name, uint64_t value, uint64_t seconds,
                      bool is_assumed) {
  it->limits[it->limit_count++] = (plan_limit){name, value, seconds, is_assumed};
}

static void find_limits(plan *it) {
  const sheaf_engine_options *o = &it->args->engine;
  uint64_t latency = it->args->latency_ms ? it->args->latency_ms : PLAN_LATENCY_MS;
  uint64_t most = o->max_concurrency < PLAN_CONCURRENCY ? o->max_concurrency : PLAN_CONCURRENCY;
  uint64_t at_once = o->concurrency ? o->concurrency : most;
  const struct {
    const char *name;
    uint64_t rate, units;
  } rates[] = {{"rpm", o->rpm, it->good},
               {"tpm", o->tpm, it->input_tokens + it->output_tokens},
               {"input_tpm", o->input_tpm, it->input_tokens},
               {"output_tpm", o->output_tpm, it->output_tokens}};
  for (size_t i = 0; i < sizeof rates / sizeof *rates; i++)
    if (rates[i].rate)
      add_limit(it, rates[i].name, rates[i].rate,
                seconds_at(rates[i].units, rates[i].rate, o->rate_safety_pct), false);
  uint64_t rounds = (it->good + at_once - 1) / at_once;
  add_limit(it, "concurrency", at_once, (rounds * latency + 999) / 1000, o->concurrency == 0);
  if (o->start_interval_ms)
    add_limit(it, "start_interval_ms", o->start_interval_ms,
              (it->good * o->start_interval_ms + 999) / 1000, false);
  for (uint32_t i = 0; i < it->limit_count && it->good; i++)
    if (!it->slowest || it->limits[i].seconds > it->slowest->seconds) it->slowest = &it->limits[i];
}

/* The encodings that were counted by. */
static void name_encodings(plan *it) {
  for (uint32_t i = 0; i < it->group_count; i++) {
    const sheaf_vocab *vocab;
    sheaf_slice model = sheaf_slice_of(it->groups[i].model);
    const char *encoding = sheaf_encoding_of_model(model, NULL);
    size_t told = strlen(it->encodings);
    if (!cli_has_tokenizer(it->counting, it->place->endpoint.provider->name, model) ||
        sheaf_vocab_shelf_get(it->counting->shelf, sheaf_slice_of(encoding), &vocab, NULL, 0) !=
            SHEAF_OK ||
        strstr(it->encodings, sheaf_vocab_name(vocab)))
      continue;
    snprintf(it->encodings + told, sizeof it->encodings - told, "%s%s", told ? ", " : "",
             sheaf_vocab_name(vocab));
  }
}

int plan_make(plan *it, const cli_args *args, const cli_place *place, uint32_t format,
              cli_counting *counting) {
  it->args = args;
  it->place = place;
  it->counting = counting;
  find_job_size(it);
  int answer = cli_rows_scan(args, place, format, counting, on_row, it);
  find_limits(it);
  name_encodings(it);
  return answer;
}

/* ---- the commands ---- */

static int run_plan(cli_args *args, cli_place *place, plan *it) {
  cli_counting counting;
  uint32_t format;
  if (cli_format(args, &format)) return CLI_USAGE;
  int answer = cli_counting_open(&counting, args->vocab, NULL, (uint32_t)args->threads);
  it->told_max = PLAN_LINES_MAX;
  if (answer == CLI_OK) answer = plan_make(it, args, place, format, &counting);
  if (it->told > it->told_max)
    fprintf(stderr, "... and %llu more lines that are not valid\n",
            (unsigned long long)(it->told - it->told_max));
  if (answer == CLI_OK && args->json)
    answer = plan_print_json(it);
  else if (answer == CLI_OK)
    plan_print(it);
  cli_counting_close(&counting);
  return answer == CLI_OK && it->bad.count ? CLI_BAD_INPUT : answer;
}

int cli_plan(int argc, char **argv) {
  static cli_args args;
  static cli_place place;
  sheaf_price_table *prices = NULL;
  int answer = cli_args_read(argc, argv, "plan", &args);
  if (answer) return answer;
  if (args.help) return cli_help(stdout, "plan");
  if (args.input == NULL)
    return cli_say("give the input file, as: sheaf plan prompts.jsonl --model gpt-4o-mini"),
           CLI_USAGE;
  args.dry_run = true; /* no key is needed */
  answer = cli_prices_open(&args, &prices);
  if (answer == CLI_OK) answer = cli_params_open(&args);
  if (answer == CLI_OK) answer = cli_place_open(&args, &args.target, &place);
  plan *it = answer == CLI_OK ? calloc(1, sizeof *it) : NULL;
  if (answer == CLI_OK) answer = it ? run_plan(&args, &place, it) : CLI_HOST;
  free(it);
  sheaf_prices_free(prices, sheaf_heap());
  cli_place_close(&place);
  return answer;
}
