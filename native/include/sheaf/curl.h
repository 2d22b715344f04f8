/* sheaf/curl.h: the HTTP transport over libcurl's multi interface, for those who drive an engine
 * themselves.
 *
 * One thread drives an object: bind, poll. Only wake may be called from any thread. */
#ifndef SHEAF_CURL_H
#define SHEAF_CURL_H

#include <sheaf/engine.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct sheaf_curl sheaf_curl;

typedef struct sheaf_curl_options {
  uint32_t struct_bytes;
  uint32_t shards; /* multi handles that share one epoll, 1..64; 0: one per 16 in flight (64 of
                      HTTP/2), 32 at most */
  uint64_t max_connections;       /* 0: as many as exchanges are started */
  uint64_t connect_timeout_ms;    /* 10,000 */
  uint64_t first_byte_timeout_ms; /* 0: the exchange's own timeout */
  uint64_t idle_timeout_ms; /* between bytes of a reply; 0: off; SSE comments count as bytes */
  uint64_t max_ratio;       /* decompressed : wire beyond 1 MiB; 100. Not of replies that stream
                               without a cap: nothing keeps them */
  const char *proxy;        /* NULL: from the environment, as curl does; "": none */
  const char *ca_file;      /* NULL: the system's */
  const char *ca_path;
  const char *user_agent; /* NULL: "sheaf/VERSION" */
  uint32_t
      http2; /* 1: where the server offers it over TLS (default); 2: prior knowledge; 0: never */
  uint32_t allow_http; /* 1: plain http to hosts other than loopback too */
} sheaf_curl_options;

#define SHEAF_CURL_OPTIONS_INIT                                     \
  ((sheaf_curl_options){.struct_bytes = sizeof(sheaf_curl_options), \
                        .connect_timeout_ms = 10000,                \
                        .max_ratio = 100,                           \
                        .http2 = 1})

/* SHEAF_OK, SHEAF_E_NOMEM, SHEAF_E_RANGE, SHEAF_E_IO (no epoll, or a libcurl older than 7.80).
 * Calls curl_global_init once. */
SHEAF_API int32_t sheaf_curl_new(const sheaf_curl_options *options, sheaf_curl **curl);
/* Ends what is under way without a report. */
SHEAF_API void sheaf_curl_free(sheaf_curl *curl);
/* The transport for sheaf_engine_open; lives as long as curl. */
SHEAF_API const sheaf_transport *sheaf_curl_transport(sheaf_curl *curl);
/* The engine that is told of heads, data and ends. Before the first start. */
SHEAF_API int32_t sheaf_curl_bind(sheaf_curl *curl, sheaf_engine *engine);
/* The secret behind a credential id, bound to the origin (scheme, host, port) of base_url; copied,
 * wiped on free. It goes to that origin only. SHEAF_E_FIELD: CR, LF or NUL in the secret, or
 * base_url is no URL. */
SHEAF_API int32_t sheaf_curl_set_credential(sheaf_curl *curl, uint32_t credential_id,
                                            const char *base_url, const char *secret);
/* Moves bytes; waits at most wait_ns for something to move (0: not at all, SHEAF_NEVER: until
 * woken). Also returns when extra_fd (-1: none) is readable. SHEAF_OK, SHEAF_E_IO. */
SHEAF_API int32_t sheaf_curl_poll(sheaf_curl *curl, uint64_t wait_ns, int32_t extra_fd);
/* Makes a waiting poll return. Any thread; async-signal-safe. */
SHEAF_API void sheaf_curl_wake(sheaf_curl *curl);
/* Replaces every run of 8 or more bytes of a known secret in text by '*', in place. */
SHEAF_API void sheaf_curl_redact(const sheaf_curl *curl, char *text, size_t bytes);

/* The quickest SHA-256 of this machine, for sheaf_engine_options.sha256_blocks. Static. Since 0.1. */
SHEAF_API sheaf_sha256_blocks_fn sheaf_sha256_fastest(void);

/* Monotonic ns and wall ms of this machine: what sheaf_engine_step wants. */
SHEAF_API uint64_t sheaf_now_ns(void);
SHEAF_API int64_t sheaf_unix_ms(void);

#ifdef __cplusplus
}
#endif

#endif
