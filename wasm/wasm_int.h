/* wasm_int.h: what the files of the WebAssembly shell share.
 *
 *   exports.c  the calls: requests in, exchanges out, replies in, results out
 *   config.c   options as JSON into an engine
 *   take.c     actions and events into the mailbox
 *   resume.c   rows that an earlier run finished
 *   abi.c      layouts and constants as JSON, made from the lists below; for who builds a host
 *   memory.c   memory, and checks of what the host hands in
 *   heap.c     the allocator of a module
 *
 * The host owns time, randomness, I/O and scheduling; it drives the pull face (sheaf/engine.h). A call
 * takes and answers 32-bit numbers and doubles only, so that one driver serves every build: no i64
 * crosses the border. What does not fit into a number is left in the client's mailbox, a struct whose
 * layout sheaf_wasm_abi of sheaf-described.wasm describes. */
#ifndef WASM_INT_H
#define WASM_INT_H

#include <sheaf/sheaf.h>

#if defined(WASM_LISTED) /* the linker is told which */
#define WASM_EXPORT(name)
#elif defined(__EMSCRIPTEN__)
#define WASM_EXPORT(name) __attribute__((used, visibility("default")))
#elif defined(__wasm__)
#define WASM_EXPORT(name) __attribute__((used, visibility("default"), export_name(#name)))
#else
#define WASM_EXPORT(name) \
  __attribute__((visibility("default"))) /* for the native test of this layer */
#endif

#define WASM_ABI_VERSION 3u
#define WASM_CLIENTS_MAX 64u      /* open at once in one instance */
#define WASM_TEXT_MAX (64u << 20) /* ceiling of each scratch buffer */
#define WASM_CREDENTIALS_MAX 64u

/* Addresses and lengths as the host sees them: 32 bits in a module. */
typedef uintptr_t wasm_address;

/* ---- The mailbox ---- */

/* X(kind, name): U32, F64, or SLICE (address and length, valid until the next call on the client).
 * Times are milliseconds since the clock's start, spans in milliseconds; -1 stands for "not told".
 * Counts of tokens and money are exact up to 2^53. */
#define WASM_MAIL_MAP(X)                                                               \
  X(U32, kind)      /* MAIL_... */                                                     \
  X(U32, status)    /* of the call that failed */                                      \
  X(SLICE, message) /* why it failed, or a notice's sentence; field: which one */      \
  X(SLICE, field)                                                                      \
  X(F64, exchange) /* START, CANCEL */                                                 \
  X(F64, index)    /* START, RESULT, DELTA, DISCARD */                                 \
  X(F64, same_key) /* START: equal keys have equal urls and headers */                 \
  X(F64, timeout_ms)                                                                   \
  X(F64, ticket) /* APPEND: bytes holds the frames of the log */                       \
  X(F64, number) /* NOTICE; of offer: where the row's earlier line begins */           \
  X(U32, user)                                                                         \
  X(U32, endpoint)                                                                     \
  X(U32, flags)  /* FLAG_... */                                                        \
  X(U32, notice) /* NOTICE_... */                                                      \
  X(SLICE, method)                                                                     \
  X(SLICE, url)                                                                        \
  X(SLICE, headers) /* JSON: [[name, value, credential id or 0], ...] */               \
  X(SLICE, bytes)   /* START: the body; APPEND: frames; RESULT: the reply's body;    \
                       DELTA: the stream's bytes (FLAG_RAW) */ \
  X(SLICE, custom_id)                                                                  \
  X(SLICE, text) /* RESULT, DELTA */                                                   \
  X(SLICE, model)                                                                      \
  X(SLICE, finish_reason)                                                              \
  X(SLICE, request_id)                                                                 \
  X(SLICE, provider)                                                                   \
  X(SLICE, endpoint_name)                                                              \
  X(SLICE, metadata)                                                                   \
  X(SLICE, error_code)                                                                 \
  X(SLICE, error_message)                                                              \
  X(SLICE, fingerprint) /* 32 hexadecimal digits */                                    \
  X(SLICE, tool_calls)  /* JSON array, or empty */                                     \
  X(U32, error_class)                                                                  \
  X(U32, http_status)                                                                  \
  X(U32, billing)                                                                      \
  X(U32, lane)                                                                         \
  X(U32, attempts)                                                                     \
  X(U32, throttles)                                                                    \
  X(F64, input_tokens)                                                                 \
  X(F64, output_tokens)                                                                \
  X(F64, cached_tokens)                                                                \
  X(F64, cache_write_tokens)                                                           \
  X(F64, reasoning_tokens)                                                             \
  X(F64, cost_usd)                                                                     \
  X(F64, queue_ms)                                                                     \
  X(F64, ttft_ms)                                                                      \
  X(F64, latency_ms)                                                                   \
  X(F64, total_ms)                                                                     \
  X(F64, group) /* RESULT: the merged call it came with, 0: alone; GROUP: which */     \
  X(F64, at_ms) /* GROUP: when, on the clock of step */                                \
  X(U32, group_members)                                                                \
  X(U32, group_state) /* GROUP: GROUP_... */

typedef struct wasm_slice {
  wasm_address data;
  wasm_address bytes;
} wasm_slice;

typedef struct wasm_mail {
#define WASM_FIELD_U32(name) uint32_t name;
#define WASM_FIELD_F64(name) double name;
#define WASM_FIELD_SLICE(name) wasm_slice name;
#define WASM_FIELD(kind, name) WASM_FIELD_##kind(name)
  WASM_MAIL_MAP(WASM_FIELD)
#undef WASM_FIELD
} wasm_mail;

enum {
  WASM_MAIL_NONE = 0,
  WASM_MAIL_START = 1,
  WASM_MAIL_CANCEL = 2,
  WASM_MAIL_APPEND = 3,
  WASM_MAIL_RESULT = 4,
  WASM_MAIL_DELTA = 5,
  WASM_MAIL_DISCARD = 6,
  WASM_MAIL_NOTICE = 7,
  WASM_MAIL_GROUP = 8, /* a group changed its state: option group_events */
  WASM_MAIL_JOB = 9    /* of the jobs module: something became known of a job */
};

enum {
  WASM_FLAG_STREAM = 1,    /* START: the reply is wanted as a stream */
  WASM_FLAG_TASK = 2,      /* START: no HTTP: run the function that `user` stands for */
  WASM_FLAG_OK = 4,        /* RESULT */
  WASM_FLAG_ATTEMPTED = 8, /* RESULT: something was sent */
  WASM_FLAG_RETRYABLE = 16,
  WASM_FLAG_STREAMED = 32,   /* RESULT: bytes is a stream of events */
  WASM_FLAG_RESENT = 64,     /* RESULT: may have been billed twice */
  WASM_FLAG_ESTIMATED = 128, /* RESULT: the token counts are */
  WASM_FLAG_LINE = 256,      /* offer: the earlier output has a line of the row; OK: of a success */
  WASM_FLAG_SKIPPED = 512,   /* offer: and so it did not go in: no result follows */
  WASM_FLAG_VOID = 1024,     /* offer: that line says that the request could not be built */
  WASM_FLAG_REFUSED = 2048,  /* offer: it cannot be built; its result follows and says why */
  WASM_FLAG_PROMPT = 4096,   /* submit: the text is no line but the prompt itself */
  /* submit, offer: SHEAF_REQUEST_... of these names */
  WASM_FLAG_DETERMINISTIC = 8192,
  WASM_FLAG_ALONE = 16384,
  WASM_FLAG_RAW = 32768,
  WASM_FLAG_DEDUPLICATED = 65536, /* RESULT: a twin's call answered it */
  WASM_FLAG_CACHED = 131072       /* RESULT: an answer that was kept */
};

/* ---- A client ---- */

typedef struct wasm_client {
  sheaf_engine *engine;
  sheaf_price_table prices; /* of the options */
  sheaf_price *price_rows;
  sheaf_buf price_text;
  wasm_mail mail;
  const sheaf_result *result; /* in the mailbox, until the next call; NULL: none */
  sheaf_log log;              /* frames of what the engine appends */
  sheaf_buf line;             /* scratch of the line being read */
  sheaf_buf headers;          /* JSON of the exchange in the mailbox */
  uint64_t headers_key;       /* same_key of what headers holds; 0: nothing to go by */
  sheaf_buf tools;            /* JSON of the result in the mailbox */
  sheaf_buf out;              /* frames, statistics, output lines */
  sheaf_resume *resume;       /* NULL: no earlier run is asked about */
  sheaf_buf id;               /* scratch of the custom_id asked about */
  uint64_t offered;           /* rows that were taken by offer */
  uint64_t noted;             /* the row whose id was noted last, from 1 */
  char fingerprint[32];
  char message[256];
  char field[64];
  bool retry_failed; /* of resume */
} wasm_client;

extern const sheaf_allocator sheaf__wasm_allocator;

/* Whether so many bytes from there on are memory at all. */
bool sheaf__wasm_is_memory(const void *data, size_t bytes);
/* Leaves a failure in the client's mailbox and answers its status. */
int32_t sheaf__wasm_fail(wasm_client *client, int32_t status, const char *message,
                         const char *field);
wasm_slice sheaf__wasm_slice(sheaf_slice slice);

/* Reads options and makes the engine. secret: as in the options. On failure the mailbox says why. */
int32_t sheaf__wasm_configure(wasm_client *client, sheaf_slice json, uint64_t seed,
                              const uint8_t *secret);
/* The same for a failure that an option is to blame for; its name is copied. */
int32_t sheaf__wasm_fail_option(wasm_client *client, int32_t status, const char *message,
                                sheaf_slice name);
/* What a host asks for beside a request's text, as SHEAF_REQUEST_... */
uint32_t sheaf__wasm_request_flags(uint32_t flags);

/* NULL: there is none of this number; and what to answer then. */
wasm_client *sheaf__wasm_find(uint32_t handle);
int32_t sheaf__wasm_no_client(void);

/* The tool calls of a result, as JSON, into the mailbox. */
void sheaf__wasm_write_tools(wasm_client *client, const sheaf_result *result);

/* What comes next, into the mailbox; WASM_MAIL_... */
uint32_t sheaf__wasm_take_action(wasm_client *client);
uint32_t sheaf__wasm_take_event(wasm_client *client);
#ifdef SHEAF_MODULE_JOBS
uint32_t sheaf__wasm_take_job(wasm_client *client, const sheaf_job_status *job);
#endif

#endif
