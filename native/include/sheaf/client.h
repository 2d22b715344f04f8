/* sheaf/client.h: the native client: any thread submits, one driver thread runs the engine over
 * libcurl.
 *
 *   sheaf_client_options options = SHEAF_CLIENT_OPTIONS_INIT;
 *   options.provider = "openai"; options.model = "gpt-4o-mini";      // key from OPENAI_API_KEY
 *   sheaf_client *client; sheaf_batch *batch;
 *   sheaf_client_new(&options, &client);
 *   sheaf_client_batch_prompts(client, prompts, count, &batch);      // blocks
 *   for (size_t i = 0; i < count; i++) puts(sheaf_batch_text(batch, i));
 *   sheaf_batch_free(batch); sheaf_client_free(client);
 *
 * One failed row never fails the call. */
#ifndef SHEAF_CLIENT_H
#define SHEAF_CLIENT_H

#include <sheaf/sheaf.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct sheaf_client sheaf_client;
typedef struct sheaf_batch sheaf_batch;

typedef struct sheaf_client_options {
  uint32_t struct_bytes;
  uint32_t reserved;
  const char *provider; /* "openai", "anthropic", "gemini", "ollama"; NULL: "openai" */
  const char *base_url; /* NULL: OLLAMA_HOST for ollama, else the provider's */
  const char *api_key;  /* NULL: from the provider's environment variables; "": none */
  const char *model;
  /* instead of the four above; credentials by sheaf_client_set_credential */
  const sheaf_endpoint *endpoints;
  uint32_t endpoint_count;
  uint32_t reserved2;
  /* NULL: defaults; its endpoints are ignored. Its tokens may be a counter that stands on vocabularies:
   * sheaf_model_counter_get in sheaf/vocab_files.h; that one is then asked on the driver thread, and
   * outlives the client. */
  const sheaf_engine_options *engine;
  const struct sheaf_curl_options *curl; /* NULL: defaults */
} sheaf_client_options;

#define SHEAF_CLIENT_OPTIONS_INIT \
  ((sheaf_client_options){.struct_bytes = sizeof(sheaf_client_options)})

/* Starts the driver thread. SHEAF_OK; SHEAF_E_AUTH: the provider wants a key and none was found;
 * SHEAF_E_NOT_FOUND: no such provider; what sheaf_engine_new answers. */
SHEAF_API int32_t sheaf_client_new(const sheaf_client_options *options, sheaf_client **client);
/* Drains: waits for what is in flight, ends what waits as cancelled, joins the thread. No batch
 * call may be running. */
SHEAF_API void sheaf_client_free(sheaf_client *client);
SHEAF_API int32_t sheaf_client_set_credential(sheaf_client *client, uint32_t credential_id,
                                              const char *base_url, const char *secret);

/* ---- A whole list ---- */

typedef struct sheaf_batch_options {
  uint32_t struct_bytes;
  uint32_t order; /* 0: results by input order; 1: by completion */
  /* Called on the driver thread about every progress_ms; keep it short, do not call the client. */
  void (*on_progress)(void *user, const sheaf_stats *stats, uint64_t done, uint64_t total);
  void (*on_event)(void *user, const sheaf_event *event); /* deltas and discards of this batch */
  void *user;
  uint64_t progress_ms; /* 200 */
} sheaf_batch_options;
#define SHEAF_BATCH_OPTIONS_INIT \
  ((sheaf_batch_options){.struct_bytes = sizeof(sheaf_batch_options), .progress_ms = 200})

/* Runs all and waits. Any thread; several at once share the limits. *batch is made whenever the
 * answer is SHEAF_OK or SHEAF_E_ALL_FAILED (every request failed; the batch says why, row by row).
 * SHEAF_E_DUPLICATE, SHEAF_E_FIELD, ...: a request is not valid, nothing was sent; error (may be
 * NULL) tells, with its column as the 1-based position in the list. options may be NULL. */
SHEAF_API int32_t sheaf_client_batch(sheaf_client *client, const sheaf_request *requests,
                                     size_t count, const sheaf_batch_options *options,
                                     sheaf_batch **batch, sheaf_parse_error *error);
SHEAF_API int32_t sheaf_client_batch_prompts(sheaf_client *client, const char *const *prompts,
                                             size_t count, sheaf_batch **batch);

/* A finished batch: immutable, free of the client, any thread. Results and their slices live until
 * sheaf_batch_free. */
SHEAF_API void sheaf_batch_free(sheaf_batch *batch);
SHEAF_API size_t sheaf_batch_count(const sheaf_batch *batch);
SHEAF_API const sheaf_result *sheaf_batch_at(const sheaf_batch *batch,
                                             size_t n); /* NULL past the end */
SHEAF_API const sheaf_result *sheaf_batch_find(const sheaf_batch *batch,
                                               const char *custom_id); /* O(1); NULL if absent */
SHEAF_API const char *sheaf_batch_text(const sheaf_batch *batch,
                                       size_t n); /* terminated; "" for a failed row */
SHEAF_API bool sheaf_batch_all_succeeded(const sheaf_batch *batch);
SHEAF_API size_t sheaf_batch_success_count(const sheaf_batch *batch);
SHEAF_API size_t sheaf_batch_failure_count(const sheaf_batch *batch);
SHEAF_API const sheaf_stats *sheaf_batch_stats(const sheaf_batch *batch);

/* ---- One by one ---- */

/* Called once per request on the driver thread; the result lives for the call. May submit; must not
 * block. */
typedef void (*sheaf_result_fn)(void *user, const sheaf_result *result);

/* Hands one request over; returns at once, or blocks while the queue is full. *id is for cancel,
 * may be NULL. fn NULL: the result goes to the completion queue. SHEAF_E_END: the client is
 * shutting down. */
SHEAF_API int32_t sheaf_client_submit(sheaf_client *client, const sheaf_request *request,
                                      sheaf_result_fn fn, void *user, uint64_t *id);
SHEAF_API int32_t sheaf_client_cancel(sheaf_client *client, uint64_t id);
/* Takes the oldest finished result of submits without fn. wait_ms 0: do not wait. SHEAF_OK,
 * SHEAF_E_EMPTY. The result is the caller's: sheaf_result_free. */
SHEAF_API int32_t sheaf_client_next(sheaf_client *client, uint64_t wait_ms, sheaf_result **result);
SHEAF_API void sheaf_result_free(sheaf_result *result);

/* Starts nothing new; waits end as cancelled. abort: what is in flight too. */
SHEAF_API int32_t sheaf_client_drain(sheaf_client *client);
SHEAF_API int32_t sheaf_client_abort(sheaf_client *client);
SHEAF_API void sheaf_client_stats(sheaf_client *client, sheaf_stats *stats);
/* One line for people, terminated, without secrets: health, what runs, what limits it. Answers its
 * length. */
SHEAF_API size_t sheaf_client_status(sheaf_client *client, char *line, size_t bytes);

#ifdef __cplusplus
}
#endif

#endif
