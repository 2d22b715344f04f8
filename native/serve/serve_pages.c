/* serve_pages.c: pages about the endpoint itself: health, metrics, models. */
#define _GNU_SOURCE
#include "serve_int.h"

#include <string.h>

/* ---- Models ---- */

void sheaf__serve_note_model(sheaf_serve *serve, sheaf_slice model) {
  char name[SERVE_NAME_BYTES];
  if (model.bytes == 0 || model.bytes >= sizeof name) return;
  for (size_t i = 0; i < model.bytes; i++)
    if (model.data[i] < ' ' || model.data[i] == '"' || model.data[i] == '\\') return;
  memcpy(name, model.data, model.bytes);
  name[model.bytes] = 0;
  for (uint32_t i = 0; i < serve->model_count; i++)
    if (strcmp(serve->models[i], name) == 0) return;
  if (serve->model_count == SERVE_MODELS_MAX) return;
  memcpy(serve->models[serve->model_count++], name, model.bytes + 1);
}

static void put_model(const sheaf_serve *serve, const char *model, sheaf_buf *to) {
  sheaf_buf_append_text(to, "{\"id\":\"");
  sheaf_buf_append_text(to, model);
  sheaf_buf_append_text(to, "\",\"object\":\"model\",\"created\":0,\"owned_by\":");
  sheaf_buf_append_string(to, sheaf_slice_of(serve->provider->name));
  sheaf_buf_append_text(to, "}");
}

/* The n-th model: the one of the options first. NULL past the end. */
static const char *model_at(const sheaf_serve *serve, uint32_t n) {
  bool has_own = serve->model[0] != 0;
  if (has_own && n == 0) return serve->model;
  if (has_own) n--;
  return n < serve->model_count ? serve->models[n] : NULL;
}

static void put_models(const sheaf_serve *serve, sheaf_buf *to) {
  bool is_first = true;
  sheaf_buf_append_text(to, "{\"object\":\"list\",\"data\":[");
  const char *model;
  for (uint32_t i = 0; (model = model_at(serve, i)) != NULL; i++) {
    if (i > 0 && strcmp(model, serve->model) == 0) continue;
    if (!is_first) sheaf_buf_append_text(to, ",");
    is_first = false;
    put_model(serve, model, to);
  }
  sheaf_buf_append_text(to, "]}");
}

static void page_models(serve_call *call, const char *wanted) {
  sheaf_serve *serve = call->serve;
  const char *model = NULL;
  pthread_mutex_lock(&serve->mutex);
  if (wanted == NULL) put_models(serve, &call->out);
  for (uint32_t i = 0; wanted && (model = model_at(serve, i)) != NULL; i++)
    if (strcmp(model, wanted) == 0) break;
  if (model) put_model(serve, model, &call->out);
  pthread_mutex_unlock(&serve->mutex);
  if (wanted && !model)
    sheaf__serve_refuse(call, MHD_HTTP_NOT_FOUND, "model_not_found", "model",
                        "the model %.100s is not known here: it is neither the one of the options "
                        "nor has it answered yet",
                        wanted);
}

/* ---- Health and metrics ---- */

static void page_health(serve_call *call) {
  const sheaf_serve *serve = call->serve;
  bool is_well = !atomic_load(&serve->is_draining) && sheaf_client_healthy(serve->client);
  call->status = is_well ? MHD_HTTP_OK : MHD_HTTP_SERVICE_UNAVAILABLE;
  sheaf_buf_append_text(&call->out, is_well ? "{\"status\":\"ok\"}" : "{\"status\":\"unhealthy\"}");
}

static void put_metric(sheaf_buf *to, const char *name, const char *type, const char *about,
                       uint64_t number) {
  sheaf_buf_append_text(to, "# TYPE sheaf_serve_");
  sheaf_buf_append_text(to, name);
  sheaf_buf_append_text(to, " ");
  sheaf_buf_append_text(to, type);
  sheaf_buf_append_text(to, "\n# HELP sheaf_serve_");
  sheaf_buf_append_text(to, name);
  sheaf_buf_append_text(to, " ");
  sheaf_buf_append_text(to, about);
  sheaf_buf_append_text(to, "\nsheaf_serve_");
  sheaf_buf_append_text(to, name);
  if (strcmp(type, "counter") == 0) sheaf_buf_append_text(to, "_total");
  sheaf_buf_append_text(to, " ");
  sheaf_buf_append_u64(to, number);
  sheaf_buf_append_text(to, "\n");
}

/* The client's, and the endpoint's own before their end mark. */
static void page_metrics(serve_call *call) {
  static const char mark[] = "# EOF\n";
  const size_t mark_bytes = sizeof mark - 1;
  sheaf_stats stats;
  sheaf_serve_stats own = {.struct_bytes = sizeof own};
  sheaf_buf *to = &call->out;
  sheaf_client_stats(call->serve->client, &stats);
  sheaf_serve_stats_get(call->serve, &own);
  if (sheaf_stats_openmetrics(&stats, to) != SHEAF_OK) {
    sheaf__serve_refuse(call, MHD_HTTP_SERVICE_UNAVAILABLE, "memory", NULL, "there is no memory");
    return;
  }
  call->content_type = "application/openmetrics-text; version=1.0.0; charset=utf-8";
  if (to->bytes > mark_bytes && memcmp(to->data + to->bytes - mark_bytes, mark, mark_bytes) == 0)
    to->bytes -= mark_bytes;
  put_metric(to, "requests", "counter", "Requests handed to the client.", own.requests);
  put_metric(to, "succeeded", "counter", "Of those, answered whole.", own.succeeded);
  put_metric(to, "failed", "counter", "Of those, answered with an error or cut.", own.failed);
  put_metric(to, "refused", "counter", "Requests refused before the client saw them.", own.refused);
  put_metric(to, "clients_left", "counter", "Callers that did not wait.", own.clients_left);
  put_metric(to, "cut_off", "counter", "Streams with a reader that was too slow.", own.cut_off);
  put_metric(to, "open", "gauge", "Requests that are not answered yet.", own.open);
  sheaf_buf_append_text(to, mark);
}

void sheaf__serve_page(serve_call *call, const char *url) {
  call->status = MHD_HTTP_OK;
  switch (call->page) {
    case SERVE_HEALTH: page_health(call); break;
    case SERVE_METRICS: page_metrics(call); break;
    case SERVE_MODEL: page_models(call, url + strlen("/v1/models/")); break;
    default: page_models(call, NULL); break;
  }
}
