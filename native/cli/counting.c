/* counting.c: input tokens of request bodies: by a vocabulary where there is one, else guessed from
 * bytes; and what a run says about it. */
#define _POSIX_C_SOURCE 200809L
#include "cli.h"

#include <stdlib.h>
#include <string.h>

/* ---- counting on several threads ---- */

int cli_counting_open(cli_counting *it, const char *vocab, const char *encoding, uint32_t threads) {
  memset(it, 0, sizeof *it);
  if (sheaf_token_pool_new(NULL, threads, &it->pool) != SHEAF_OK ||
      sheaf_vocab_shelf_new(vocab, &it->shelf) != SHEAF_OK)
    return cli_say("out of memory, or no thread could be started"), CLI_HOST;
  it->has_choice = encoding != NULL || (vocab != NULL && sheaf_vocab_is_file(vocab));
  it->threads = sheaf_token_pool_threads(it->pool);
  it->counters = calloc(it->threads, sizeof *it->counters);
  int32_t status = it->counters ? SHEAF_OK : SHEAF_E_NOMEM;
  for (uint32_t i = 0; i < it->threads && status == SHEAF_OK; i++)
    status = sheaf_model_counter_new(it->shelf, sheaf_slice_of(encoding), &it->counters[i]);
  return status == SHEAF_OK ? CLI_OK : (cli_say("%s", sheaf_status_text(status)), CLI_HOST);
}

void cli_counting_close(cli_counting *it) {
  for (uint32_t i = 0; it->counters && i < it->threads; i++)
    sheaf_model_counter_free(it->counters[i]);
  free(it->counters);
  sheaf_vocab_shelf_free(it->shelf);
  sheaf_token_pool_free(it->pool);
  memset(it, 0, sizeof *it);
}

static bool begins(sheaf_slice text, const char *beginning) {
  size_t bytes = strlen(beginning);
  return text.bytes >= bytes && memcmp(text.data, beginning, bytes) == 0;
}

/* Who publishes no tokenizer: bytes a token, in halves; 0: another. Claude's is not OpenAI's, whose counts
 * are 15 to 20 % low for it; 3.5 bytes a token is a guess, as are Gemini's 4 (protocols.md 9.2). */
static uint32_t half_bytes_a_token(const char *provider, sheaf_slice model) {
  if (strcmp(provider, "anthropic") == 0 || begins(model, "claude")) return 7;
  if (strcmp(provider, "gemini") == 0 || begins(model, "gemini")) return 8;
  return 0;
}

cli_count cli_count_bytes(const char *provider, sheaf_slice model, uint64_t bytes) {
  uint32_t half_bytes = half_bytes_a_token(provider, model);
  if (half_bytes == 0) half_bytes = 8;
  return (cli_count){(2 * bytes + half_bytes - 1) / half_bytes, CLI_COUNT_BYTES};
}

bool cli_has_tokenizer(const cli_counting *it, const char *provider, sheaf_slice model) {
  return it->has_choice || half_bytes_a_token(provider, model) == 0;
}

cli_count cli_count_body(cli_counting *it, uint32_t thread, const char *provider, sheaf_slice model,
                         sheaf_slice body) {
  size_t count = 0;
  bool is_estimate = true;
  if (!cli_has_tokenizer(it, provider, model) ||
      sheaf_model_counter_count(it->counters[thread], model, body, &count, &is_estimate, NULL, 0) !=
          SHEAF_OK)
    return cli_count_bytes(provider, model, body.bytes);
  return (cli_count){count, is_estimate ? CLI_COUNT_NEAR : CLI_COUNT_EXACT};
}

/* ---- a run ---- */

static bool needs_tokens(const cli_args *args) {
  const sheaf_engine_options *o = &args->engine;
  return args->vocab || o->tpm || o->input_tpm || o->context_tokens ||
         o->budget_usd_nano != SHEAF_NEVER;
}

int cli_run_counter_open(cli_run_counter *it, cli_args *args, const sheaf_endpoint *endpoint) {
  char message[1024] = "";
  const sheaf_vocab *vocab;
  bool is_unknown = false;
  if (!needs_tokens(args)) return CLI_OK;
  if (sheaf_vocab_shelf_new(args->vocab, &it->shelf) != SHEAF_OK ||
      sheaf_model_counter_new(it->shelf, (sheaf_slice){NULL, 0}, &it->counter) != SHEAF_OK)
    return cli_say("out of memory"), CLI_HOST;
  /* Rows may name models of their own; what the endpoint's says is told now, the others are counted. */
  const char *encoding = sheaf_encoding_of_model(endpoint->model, &is_unknown);
  int32_t status =
      sheaf_vocab_shelf_get(it->shelf, sheaf_slice_of(encoding), &vocab, message, sizeof message);
  if (status != SHEAF_OK && args->vocab != NULL) return cli_say("%s", message), CLI_BAD_INPUT;
  args->engine.tokens = sheaf_model_counter_get(it->counter);
  if (endpoint->model.bytes == 0 || args->quiet) return CLI_OK;
  const char *provider = endpoint->provider->name;
  bool is_file = args->vocab && sheaf_vocab_is_file(args->vocab);
  if (!is_file && half_bytes_a_token(provider, endpoint->model) != 0)
    snprintf(message, sizeof message, "%s publishes no tokenizer", provider);
  else if (!is_file && is_unknown)
    snprintf(message, sizeof message, "the encoding of %.*s is not known",
             (int)endpoint->model.bytes, endpoint->model.data);
  else if (status == SHEAF_OK)
    fprintf(stderr, "input tokens are counted: %s\n", sheaf_vocab_name(vocab));
  if (message[0])
    fprintf(stderr, "input tokens are an estimate that learns from the replies: %s\n", message);
  return CLI_OK;
}

void cli_run_counter_print(const cli_run_counter *it, FILE *to) {
  sheaf_model_counts counts = {.struct_bytes = sizeof counts};
  if (!it->counter) return;
  sheaf_model_counter_report(it->counter, &counts);
  if (counts.exact + counts.unknown == 0) return;
  fprintf(to, "  input        counted for %llu requests", (unsigned long long)counts.exact);
  if (counts.unknown)
    fprintf(to, ", an estimate for %llu (%s)", (unsigned long long)counts.unknown, counts.why);
  fputc('\n', to);
}

void cli_run_counter_close(cli_run_counter *it) {
  sheaf_model_counter_free(it->counter);
  sheaf_vocab_shelf_free(it->shelf);
  *it = (cli_run_counter){NULL, NULL};
}
