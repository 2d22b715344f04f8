/* sheaf/serve.h: an endpoint on this machine that speaks as OpenAI does, in front of a client:
 * programs of any language get its limits, retries, merging and deduplication by changing their
 * base URL.
 *
 *   sheaf_serve_options options = SHEAF_SERVE_OPTIONS_INIT;
 *   options.client = client;                                        // of sheaf_client_new
 *   options.provider = sheaf_provider_find(SHEAF_LITERAL("openai"));
 *   options.model = "gpt-4o-mini";
 *   char message[160];
 *   sheaf_serve *serve;
 *   if (sheaf_serve_start(&options, &serve, message, sizeof message) != SHEAF_OK) puts(message);
 *   puts(sheaf_serve_url(serve));                                   // http://127.0.0.1:40123
 *   ...
 *   sheaf_serve_stop(serve, 10000);                                 // stops the client, too
 *   sheaf_serve_free(serve);
 *
 * POST /v1/chat/completions, /v1/completions, /v1/embeddings and, in front of OpenAI,
 * /v1/responses; GET /v1/models, /health and /metrics. In front of OpenAI bodies, replies and
 * streams pass as the bytes they are; in front of others a chat of text is translated.
 *
 * Headers of a request: x-sheaf-priority (urgent, high, normal, low, deferrable, or 1..100),
 * x-sheaf-deadline-ms, x-sheaf-max-wait-ms, x-sheaf-trust-key, x-sheaf-dedup: off (it travels
 * alone) or on (a twin's answer is as good). A reply says in x-sheaf-answered-by whether it had a
 * call of its own: call, group, twin, cache or local.
 *
 * Errors have OpenAI's form; the status is the provider's where there was one. */
#ifndef SHEAF_SERVE_H
#define SHEAF_SERVE_H

#include <sheaf/client.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct sheaf_serve sheaf_serve;

typedef struct sheaf_serve_options {
  uint32_t struct_bytes;
  uint32_t port;    /* 0: any free one */
  const char *host; /* a numeric address; NULL: 127.0.0.1 */
  /* what callers send as "Authorization: Bearer"; NULL: none, on loopback only */
  const char *access_token;
  sheaf_client *client;           /* outlives the endpoint, which stops it in sheaf_serve_stop */
  const sheaf_provider *provider; /* whom the client talks to: says in which shape */
  const char *model;              /* for GET /v1/models; NULL: those that answered */
  uint64_t body_bytes_max;        /* of a request; 67,108,864 */
  uint64_t bodies_bytes_max;      /* of all requests that are being received; 536,870,912 */
  uint64_t unsent_bytes_max;      /* of a stream whose reader is slow; beyond it ends; 8,388,608 */
  uint32_t connections_max;       /* 16,384 */
  uint32_t reserved;
} sheaf_serve_options;

#define SHEAF_SERVE_OPTIONS_INIT                                      \
  ((sheaf_serve_options){.struct_bytes = sizeof(sheaf_serve_options), \
                         .body_bytes_max = 67108864,                  \
                         .bodies_bytes_max = 536870912,               \
                         .unsent_bytes_max = 8388608,                 \
                         .connections_max = 16384})

/* What came in, beside what the client's statistics tell of the calls. */
typedef struct sheaf_serve_stats {
  uint32_t struct_bytes;
  uint32_t reserved;
  uint64_t requests;     /* for the client: chat, completions, embeddings, responses */
  uint64_t succeeded;    /* of those, answered with 200 and whole */
  uint64_t failed;       /* answered with an error, or cut */
  uint64_t refused;      /* of any kind, answered before the client saw them */
  uint64_t clients_left; /* who did not wait for the answer */
  uint64_t cut_off;      /* streams whose reader was too slow */
  uint64_t cancelled;    /* of the failed: by the end of the endpoint */
  uint64_t open;         /* requests that are not answered yet */
} sheaf_serve_stats;

/* Options are copied. Starts a thread that listens. SHEAF_OK; with a sentence in message (at least
 * 160 bytes; may be NULL): SHEAF_E_AUTH (an address beyond loopback without a token),
 * SHEAF_E_FIELD (no numeric address, a bad token), SHEAF_E_IO (cannot listen), SHEAF_E_MISUSE (no
 * client or provider), SHEAF_E_NOMEM. Since 0.1. */
SHEAF_API int32_t sheaf_serve_start(const sheaf_serve_options *options, sheaf_serve **serve,
                                    char *message, size_t message_bytes);
/* "http://127.0.0.1:40123", without /v1; lives as long as the endpoint. */
SHEAF_API const char *sheaf_serve_url(const sheaf_serve *serve);
SHEAF_API uint16_t sheaf_serve_port(const sheaf_serve *serve);
/* stats->struct_bytes says how much the caller knows of. Any thread. */
SHEAF_API void sheaf_serve_stats_get(sheaf_serve *serve, sheaf_serve_stats *stats);
/* Accepts no more, lets what is inside end for at most drain_ms (sheaf_client_stop), hands the
 * answers out and ends the thread. Blocks; once. Not from the client's driver thread. */
SHEAF_API void sheaf_serve_stop(sheaf_serve *serve, uint64_t drain_ms);
/* Stops at once if it was not stopped. NULL is fine. */
SHEAF_API void sheaf_serve_free(sheaf_serve *serve);

#ifdef __cplusplus
}
#endif

#endif
