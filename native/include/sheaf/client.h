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

/* What carries the exchanges, instead of libcurl. All slots but wake and free are called on the driver thread, or by
 * sheaf_client_new, start, stop and set_credential while there is none. The engine's on_head, on_data and on_done may
 * be called inside of start, cancel and poll, and nowhere else. The struct is copied, ctx outlives the client. */
typedef struct sheaf_client_transport {
  uint32_t struct_bytes;
  uint32_t reserved;
  void *ctx;
  /* The engine that is told from now on. Nothing is under way; again at every sheaf_client_start. */
  int32_t (*bind)(void *ctx, sheaf_engine *engine);
  /* As of sheaf_transport. */
  int32_t (*start)(void *ctx, const sheaf_exchange *exchange);
  void (*cancel)(void *ctx, uint64_t exchange);
  /* Waits until something moved or somebody woke it, at most wait_ns (0: not at all, SHEAF_NEVER: without end), and
   * reports. Anything but SHEAF_OK: it is broken for good, what is inside ends as internal. */
  int32_t (*poll)(void *ctx, uint64_t wait_ns);
  /* Makes a poll that waits return, or else the next one. Any thread. */
  void (*wake)(void *ctx);
  /* Optional: as sheaf_curl_set_credential. Without it no key is looked for. */
  int32_t (*set_credential)(void *ctx, uint32_t credential_id, const char *base_url,
                            const char *secret);
  /* Optional: takes secrets out of the text of a failure, in place. */
  void (*redact)(void *ctx, char *text, size_t bytes);
  /* Optional: called last by sheaf_client_free; not when sheaf_client_new failed. */
  void (*free)(void *ctx);
} sheaf_client_transport;

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
  const sheaf_hooks
      *hooks; /* NULL: none; asked on the driver thread; their ctx outlives the client */
  const sheaf_client_transport *transport; /* NULL: libcurl */
  /* Notices and group events, on the driver thread; keep it short. */
  void (*on_event)(void *user, const sheaf_event *event);
  /* Statistics every report_ms (0: never) and once at the end of a run, on the driver thread. sheaf_report_console and
   * sheaf_report_jsonl take a FILE * as user. */
  void (*on_report)(void *user, const sheaf_stats *stats);
  void *user;        /* of both */
  void *report_user; /* of on_report, where it is not NULL */
  uint64_t report_ms;
  uint32_t workers_max; /* threads for tasks, 1..1024; 0: 64 */
  uint32_t reserved3;
  /* Where sheaf_client_new says in one sentence why it failed, as which option is out of which range; terminated. NULL: nowhere. */
  char *message;
  size_t message_bytes;
} sheaf_client_options;

/* A line of statistics for people, or a JSON object a line, to a FILE *. */
SHEAF_API void sheaf_report_console(void *file, const sheaf_stats *stats);
SHEAF_API void sheaf_report_jsonl(void *file, const sheaf_stats *stats);

#define SHEAF_CLIENT_OPTIONS_INIT \
  ((sheaf_client_options){.struct_bytes = sizeof(sheaf_client_options)})

/* Starts the driver thread. What the options point at is copied, but for prices and the contexts, which outlive the client.
 * SHEAF_OK; SHEAF_E_AUTH: the provider wants a key and none was found; SHEAF_E_NOT_FOUND: no such provider; SHEAF_E_RANGE:
 * options.message says which; what sheaf_engine_new answers. */
SHEAF_API int32_t sheaf_client_new(const sheaf_client_options *options, sheaf_client **client);
/* Drains: waits for what is in flight, ends what waits as cancelled, joins the thread. No other call on the client may be
 * running. Does nothing on the driver thread or inside a task. */
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
 * SHEAF_E_EMPTY; SHEAF_E_END: there is none and the client was stopped. The result is the caller's: sheaf_result_free. */
SHEAF_API int32_t sheaf_client_next(sheaf_client *client, uint64_t wait_ms, sheaf_result **result);
SHEAF_API void sheaf_result_free(sheaf_result *result);

/* The same with more to say. */
typedef struct sheaf_submit_options {
  uint32_t struct_bytes;
  uint32_t reserved;
  sheaf_result_fn fn; /* NULL: the completion queue */
  /* Deltas and discards of this request, on the driver thread; NULL: none. What they point at lives for the call. */
  void (*on_event)(void *user, const sheaf_event *event);
  void *user; /* of both */
  /* How long to wait for room, ms: SHEAF_NEVER blocks, 0 refuses at once with SHEAF_E_FULL. On the driver thread it is 0. */
  uint64_t room_wait_ms;
} sheaf_submit_options;
#define SHEAF_SUBMIT_OPTIONS_INIT                                       \
  ((sheaf_submit_options){.struct_bytes = sizeof(sheaf_submit_options), \
                          .room_wait_ms = SHEAF_NEVER})

/* options may be NULL: as SHEAF_SUBMIT_OPTIONS_INIT. Answers as sheaf_client_submit, and SHEAF_E_FULL. */
SHEAF_API int32_t sheaf_client_submit_with(sheaf_client *client, const sheaf_request *request,
                                           const sheaf_submit_options *options, uint64_t *id);
/* With priority urgent or low, whatever the request says. */
SHEAF_API int32_t sheaf_client_submit_urgent(sheaf_client *client, const sheaf_request *request,
                                             sheaf_result_fn fn, void *user, uint64_t *id);
SHEAF_API int32_t sheaf_client_submit_background(sheaf_client *client, const sheaf_request *request,
                                                 sheaf_result_fn fn, void *user, uint64_t *id);

/* ---- Handles: wait for one ---- */

typedef struct sheaf_handle sheaf_handle;

/* Hands a request over; the handle is the caller's until sheaf_handle_free, also beyond the client's life. */
SHEAF_API int32_t sheaf_client_send(sheaf_client *client, const sheaf_request *request,
                                    uint64_t room_wait_ms, sheaf_handle **handle);
/* Waits until it is over, at most wait_ms (SHEAF_NEVER: as long as it takes; 0: looks). SHEAF_OK: *result lives as long
 * as the handle; SHEAF_E_LATER: not yet. Any thread but the driver's; several may wait. */
SHEAF_API int32_t sheaf_handle_wait(sheaf_handle *handle, uint64_t wait_ms,
                                    const sheaf_result **result);
SHEAF_API int32_t sheaf_handle_cancel(sheaf_handle *handle);
/* Lets go; a request that is not over goes on, its result is dropped. NULL is fine. */
SHEAF_API void sheaf_handle_free(sheaf_handle *handle);

/* ---- Tasks: the caller's own function under the same limits ---- */

/* What a task reports. Fill what is known; sheaf_task_report_init first. */
typedef struct sheaf_task_report {
  uint32_t struct_bytes;
  uint32_t http_status;    /* as of a call: 429, 503, ...; 0 with failed false: 200 */
  uint64_t retry_after_ms; /* SHEAF_NEVER: not told */
  sheaf_usage usage;
  bool failed;    /* no status came: as a broken connection, outcome unknown */
  bool retryable; /* with failed: whether another try may help */
} sheaf_task_report;
SHEAF_API void sheaf_task_report_init(sheaf_task_report *report);
/* Runs on a worker thread, once per attempt; may block; may not free or stop the client. cancelled turns true when the result
 * is not wanted any more: it was cancelled, or its time is over; what is reported then does not count. The request ends when the
 * function has returned, never while it runs; stop and free wait for that. */
typedef void (*sheaf_task_fn)(void *user, const volatile bool *cancelled,
                              sheaf_task_report *report);

/* request gives custom_id, priority, deadline, model, max_tokens, metadata; NULL: defaults. Worker threads are made at need, as
 * many as run at once, at most options.workers_max. */
SHEAF_API int32_t sheaf_client_submit_task(sheaf_client *client, const sheaf_request *request,
                                           sheaf_task_fn run, void *run_user,
                                           const sheaf_submit_options *options, uint64_t *id);

/* ---- Life ---- */

/* Starts nothing while paused; requests are taken. */
SHEAF_API int32_t sheaf_client_pause(sheaf_client *client);
SHEAF_API int32_t sheaf_client_resume(sheaf_client *client);
/* Takes no more, lets what is inside end for at most timeout_ms, then ends the rest as cancelled; every request has
 * completed when it returns. timeout_ms 0: cancels at once; SHEAF_NEVER: until all is done. What a paused client has not started is
 * cancelled at once. Of several at the same time the shortest time counts. SHEAF_OK, also when it was stopped already;
 * SHEAF_E_MISUSE on the driver thread or inside a task. */
SHEAF_API int32_t sheaf_client_stop(sheaf_client *client, uint64_t timeout_ms);
/* Runs again after a stop, with the options in force then; statistics begin anew. SHEAF_E_MISUSE while it runs. */
SHEAF_API int32_t sheaf_client_start(sheaf_client *client);
/* Changes one option while running: sheaf_engine_set. While it is stopped, any option, for the next start. Any thread; in a
 * callback the value is checked at once and in force after it. */
SHEAF_API int32_t sheaf_client_set(sheaf_client *client, const char *name, const char *value,
                                   char *message, size_t message_bytes);
/* It runs, its keys and transport work, no breaker is open and there is room. */
SHEAF_API bool sheaf_client_healthy(sheaf_client *client);
SHEAF_API void sheaf_client_stats_reset(sheaf_client *client);

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
