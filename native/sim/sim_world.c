/* sim_world.c: what lives as long as the simulator: ledger, limiter, the models' names, and the files
 * that the options name. */
#include "sim_batch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- Models ---- */

/* Cuts a copy of "a,b" into names. */
static int32_t open_models(sim_world *world, const char *names, char *message, size_t bytes) {
  if (!names) return SHEAF_OK;
  size_t text_bytes = strlen(names), room = 1;
  for (const char *comma = strchr(names, ','); comma; comma = strchr(comma + 1, ',')) room++;
  world->models_text = malloc(text_bytes + 1);
  world->models = calloc(room, sizeof *world->models);
  if (!world->models_text || !world->models) return SHEAF_E_NOMEM;
  memcpy(world->models_text, names, text_bytes + 1);
  for (const char *at = world->models_text;; at++) {
    size_t name_bytes = strcspn(at, ",");
    if (name_bytes == 0 || memchr(at, '"', name_bytes) || memchr(at, '\\', name_bytes)) {
      if (message && bytes)
        snprintf(message, bytes, "models: give names with commas between them, without quotes");
      return SHEAF_E_FIELD;
    }
    world->models[world->model_count++] = (sheaf_slice){at, name_bytes};
    at += name_bytes;
    if (!*at) return SHEAF_OK;
  }
}

sheaf_slice sheaf__sim_model_at(const sim_world *world, uint32_t n) {
  static const char *const listed[] = {"sim-1", "sim-embed"};
  if (world->model_count) return n < world->model_count ? world->models[n] : (sheaf_slice){0};
  return n < 2 ? sheaf_slice_of(listed[n]) : (sheaf_slice){0};
}

/* Gemini's bodies say "models/x" where its paths say x; Ollama's x is x:latest. */
static sheaf_slice bare_name(sheaf_slice name) {
  static const char head[] = "models/", tail[] = ":latest";
  size_t head_bytes = sizeof head - 1, tail_bytes = sizeof tail - 1;
  if (name.bytes > head_bytes && memcmp(name.data, head, head_bytes) == 0)
    name = (sheaf_slice){name.data + head_bytes, name.bytes - head_bytes};
  if (name.bytes > tail_bytes && memcmp(name.data + name.bytes - tail_bytes, tail, tail_bytes) == 0)
    name.bytes -= tail_bytes;
  return name;
}

bool sheaf__sim_model_is_known(const sim_world *world, sheaf_slice model) {
  if (!world->model_count) return true;
  model = bare_name(model);
  for (uint32_t i = 0; i < world->model_count; i++) {
    sheaf_slice name = bare_name(world->models[i]);
    if (name.bytes == model.bytes && memcmp(name.data, model.data, name.bytes) == 0) return true;
  }
  return false;
}

/* ---- Opening and closing ---- */

static int32_t open_files(sim_world *world, char *message, size_t bytes) {
  const sheaf_sim_options *options = world->options;
  int32_t status = SHEAF_OK;
  if (options->latency.kind == SHEAF_SIM_SPREAD_FILE)
    status = sheaf__sim_samples_load(&world->latency, options->latency.path, message, bytes);
  if (status == SHEAF_OK && options->itl.kind == SHEAF_SIM_SPREAD_FILE)
    status = sheaf__sim_samples_load(&world->itl, options->itl.path, message, bytes);
  if (status == SHEAF_OK && options->answers)
    status = sheaf__sim_canned_load(&world->canned, options->answers, message, bytes);
  if (status == SHEAF_OK && options->schedule)
    status = sheaf__sim_schedule_load(&world->schedule, options->schedule, message, bytes);
  if (status == SHEAF_OK && options->vocab)
    status = sheaf__sim_tokenizers_open(&world->tokenizers, options->vocab);
  return status;
}

int32_t sheaf__sim_world_open(sim_world *world, const sheaf_sim_options *options, char *message,
                              size_t bytes) {
  const sim_minute minute = {options->rpm, options->tpm, options->itpm, options->otpm};
  *world = (sim_world){.options = options};
  if (message && bytes) message[0] = 0;
  int32_t status = open_models(world, options->models, message, bytes);
  if (status == SHEAF_OK) status = open_files(world, message, bytes);
  if (status == SHEAF_OK) {
    world->ledger = sheaf__sim_ledger_new(options->ledger_max);
    world->limiter = sheaf__sim_limiter_new(&minute);
    world->store = sheaf__sim_store_new(world);
    if (!world->ledger || !world->limiter || !world->store) status = SHEAF_E_NOMEM;
  }
  if (status == SHEAF_OK) return SHEAF_OK;
  if (message && bytes && !message[0]) snprintf(message, bytes, "%s", sheaf_status_text(status));
  sheaf__sim_world_close(world);
  return status;
}

void sheaf__sim_world_close(sim_world *world) {
  sheaf__sim_store_free(world->store);
  sheaf__sim_ledger_free(world->ledger);
  sheaf__sim_limiter_free(world->limiter);
  sheaf__sim_schedule_free(world->schedule);
  sheaf__sim_tokenizers_close(world->tokenizers);
  sheaf__sim_canned_free(world->canned);
  sheaf__sim_samples_free(&world->latency);
  sheaf__sim_samples_free(&world->itl);
  free(world->models_text);
  free(world->models);
  *world = (sim_world){0};
}
