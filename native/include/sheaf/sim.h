/* sheaf/sim.h: a provider that costs nothing: an HTTP server inside this process that speaks like
 * OpenAI, Anthropic, Gemini and Ollama, with latency, rate limits and faults to order.
 *
 *   sheaf_sim_options options = SHEAF_SIM_OPTIONS_INIT;
 *   char message[160];
 *   sheaf_sim_option_set(&options, "latency", "lognormal:80:0.8", message, sizeof message);
 *   sheaf_sim_option_set(&options, "fault", "429:0.05", message, sizeof message);
 *   sheaf_sim *sim;
 *   if (sheaf_sim_start(&options, &sim, message, sizeof message) != SHEAF_OK) puts(message);
 *   puts(sheaf_sim_url(sim));                                        // http://127.0.0.1:40123
 *   sheaf_sim_stop(sim);
 *
 * Every answer (text, token counts, latency, fault) follows from the seed, the path and body of the
 * request, and how often they were admitted before: a run repeats exactly, and a retry meets
 * another draw. Only the limits and their headers follow the clock.
 *
 * A request may ask for a fault: the header "x-sheaf-fault: 429" gives it the first time this body
 * asks for it and then no more, so that a retry which repeats the header gets through; "429:3"
 * gives it three times. The names are those of sheaf_sim_fault_name; another one is a 400.
 * "x-sheaf-answer: tool" asks for another kind of answer, by the names of option "answer".
 * GET /_sim/stats answers what sheaf_sim_stats writes, GET /_sim/ledger?after=SEQUENCE&limit=N the
 * newest exchanges one by one, POST /_sim/reset forgets both. Each connection holds a descriptor. */
#ifndef SHEAF_SIM_H
#define SHEAF_SIM_H

#include <sheaf/buf.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct sheaf_sim sheaf_sim;

/* What can go wrong on purpose. Numbers are never reused. */
#define SHEAF_SIM_FAULT_MAP(X)                                                                     \
  X(RATE_LIMIT, 0, "429")    /* too many requests, with the provider's hint when to come back */   \
  X(SERVER, 1, "500")        /* after the latency */                                               \
  X(OVERLOADED, 2, "529")    /* 529 from Anthropic, 503 from the others */                         \
  X(RESET, 3, "reset")       /* the connection is reset before any byte of the answer */           \
  X(STALL, 4, "stall")       /* no answer, ever, until the client leaves */                        \
  X(TRUNCATE, 5, "truncate") /* half a body and the close; a stream ends without its terminator */ \
  X(QUOTA, 6, "quota")       /* the 429 that means money, without a hint when to come back */      \
  X(CUT, 7, "cut")           /* as truncate, but a stream breaks inside a chunk, too */            \
  X(TIMEOUT, 8, "408")                                                                             \
  X(BAD_GATEWAY, 9, "502")            /* a proxy's page in HTML */                                 \
  X(LOADING, 10, "503")               /* the model is being loaded */                              \
  X(BARE_LIMIT, 11, "429-bare")       /* 429 without any hint */                                   \
  X(REFUSE, 12, "refuse")             /* reset, and no connection is accepted for refuse_ms */     \
  X(RESET_HEAD, 13, "reset-head")     /* reset within the headers */                               \
  X(RESET_BODY, 14, "reset-body")     /* reset within the body */                                  \
  X(STALL_BODY, 15, "stall-body")     /* half a body, then nothing until the client leaves */      \
  X(DRIP, 16, "drip")                 /* a few bytes at a time, drip_ms between them */            \
  X(LENGTH, 17, "length")             /* a Content-Length of half the body; the close after it */  \
  X(GARBAGE, 18, "garbage")           /* 200 and a body that is no JSON */                         \
  X(GARBAGE_HEAD, 19, "garbage-head") /* bytes that are no HTTP */                                 \
  X(LATE_ERROR, 20, "late-error")     /* 200, and the failure inside the stream or body */         \
  X(NO_END, 21, "no-end")             /* a stream without its terminator; else an empty body */    \
  X(NO_USAGE, 22, "no-usage")         /* the answer, without token counts */                       \
  X(BLANK, 23, "blank")               /* blank lines, comments and CRLF between events */          \
  X(GIANT, 24, "giant")               /* an answer of giant_bytes */                               \
  X(GZIP, 25, "gzip")                 /* compressed, although nobody asked */                      \
  X(GZIP_BAD, 26, "gzip-bad")         /* said to be gzip, and is not */                            \
  X(CHUNKS, 27, "chunks")             /* legal oddities: one-byte chunks, extensions, trailers */  \
  X(CHUNKS_BAD, 28, "chunks-bad")     /* a chunk size that is none */                              \
  X(REDIRECT, 29, "redirect")         /* 307 to another path of this server */

enum {
#define SHEAF_SIM_FAULT_ENUM(name, number, text) SHEAF_SIM_FAULT_##name = (number),
  SHEAF_SIM_FAULT_MAP(SHEAF_SIM_FAULT_ENUM)
#undef SHEAF_SIM_FAULT_ENUM
      SHEAF_SIM_FAULT_COUNT = 30,
  SHEAF_SIM_FAULT_ROOM = 64 /* places in the options, for kinds to come */
};

/* "429", "reset", ...; static; NULL past the end. */
SHEAF_API const char *sheaf_sim_fault_name(uint32_t fault);
/* "late", "capital", ... */
SHEAF_API const char *sheaf_sim_quirk_name(uint32_t quirk);

enum {
  SHEAF_SIM_SPREAD_FIXED = 0,
  SHEAF_SIM_SPREAD_UNIFORM = 1,
  SHEAF_SIM_SPREAD_LOGNORMAL = 2,
  SHEAF_SIM_SPREAD_FILE = 3 /* drawn from the lines of a file */
};
enum {
  SHEAF_SIM_ANSWER_ECHO = 0,   /* "echo: " and the last user text */
  SHEAF_SIM_ANSWER_LOREM = 1,  /* words, a token each, their number lognormal; obeys max_tokens */
  SHEAF_SIM_ANSWER_CANNED = 2, /* from a file; what it does not hold is echoed */
  SHEAF_SIM_ANSWER_JSON = 3,   /* an object; valid against the schema where one was asked for */
  SHEAF_SIM_ANSWER_TOOL = 4    /* a call of one of the request's tools; echo where it has none */
};

/* Oddities of batch jobs that providers have been seen with, or that clients have to survive; bits of
 * batch_quirks. Numbers are never reused. */
#define SHEAF_SIM_QUIRK_MAP(X)                                                                     \
  X(LATE, 0, "late")               /* 404 for a moment after a job or file was made */             \
  X(CAPITAL, 1, "capital")         /* "Validating", as Azure has been seen to write it */          \
  X(ISO, 2, "iso")                 /* times as text, as Azure */                                   \
  X(NULL_COUNTS, 3, "null-counts") /* request_counts of nulls while a job runs, as Azure */        \
  X(EMPTY_ERROR, 4, "empty-error") /* a failure file of no bytes where nothing failed, as Azure */ \
  X(NO_EXPIRY, 5, "no-expiry")     /* jobs run on beyond their window, as Azure's */               \
  X(IN_ORDER, 6, "in-order")       /* results in the order of the rows */                          \
  X(MISSING, 7, "missing")         /* the last result is not in the files */                       \
  X(DUPLICATE, 8, "duplicate")     /* the first result is there twice */                           \
  X(FOREIGN, 9, "foreign")         /* a result whose custom_id nobody gave */                      \
  X(STUCK, 10, "stuck")            /* no row is ever done */

enum {
#define SHEAF_SIM_QUIRK_ENUM(name, number, text) SHEAF_SIM_QUIRK_##name = (number),
  SHEAF_SIM_QUIRK_MAP(SHEAF_SIM_QUIRK_ENUM)
#undef SHEAF_SIM_QUIRK_ENUM
      SHEAF_SIM_QUIRK_COUNT = 11
};

/* A time that is drawn anew for each use, in microseconds. */
typedef struct sheaf_sim_spread {
  uint32_t kind;        /* SHEAF_SIM_SPREAD_ */
  uint32_t sigma_milli; /* of lognormal, in thousandths, to 5000 */
  uint64_t us;          /* the value, the lower bound, or the median; to a day */
  uint64_t high_us;     /* upper bound of uniform */
  const char *path;     /* of the file: "TTFT_MS" or "TTFT_MS ITL_MS" a line, # begins a comment */
} sheaf_sim_spread;

/* Latency is the time to the first token; a whole answer takes that plus one itl for each further
 * token, streamed or not. */
typedef struct sheaf_sim_options {
  uint32_t struct_bytes;
  uint32_t port;    /* 0: any free one */
  const char *host; /* a numeric address; NULL: 127.0.0.1. Others may be open to the network */
  const char *key;  /* the only key accepted; NULL: all, also none */
  uint64_t seed;
  sheaf_sim_spread latency;
  sheaf_sim_spread itl;        /* between tokens */
  uint32_t time_scale_milli;   /* all delays times this over 1000; 0: none. Not the limits */
  uint32_t concurrency_max;    /* requests of a key under way; 0: no limit */
  uint64_t rpm;                /* requests a minute and key; 0: no limit and no headers about it */
  uint64_t tpm;                /* tokens a minute and key, input plus output; 0: the same */
  uint64_t itpm;               /* input tokens a minute and key */
  uint64_t otpm;               /* output tokens a minute and key */
  uint32_t capacity;           /* requests served at once, the others queue; 0: all */
  uint32_t queue_max;          /* that may queue; 503 beyond. Only with capacity */
  uint32_t retry_after_ms;     /* the hint of a drawn 429 */
  uint32_t answer_kind;        /* SHEAF_SIM_ANSWER_ */
  uint32_t answer_words;       /* median of lorem */
  uint32_t answer_sigma_milli; /* spread of lorem */
  uint32_t dimensions;         /* of an embedding when the request does not say, to 4096 */
  uint32_t ledger_max;         /* entries that /_sim/ledger holds, the newest */
  const char *answers;         /* the file of SHEAF_SIM_ANSWER_CANNED */
  const char *models;          /* the names that are known, with commas; NULL: every name */
  const char *vocab;           /* folder of vocabularies to count tokens by; NULL: estimated */
  const char *schedule;        /* a file of faults that come at their time; NULL: none */
  uint64_t context;            /* tokens of input and max_tokens together; 0: no end */
  uint64_t giant_bytes;        /* of the fault "giant" */
  uint32_t drip_ms;            /* of the fault "drip", scaled */
  uint32_t refuse_ms;          /* of the fault "refuse", scaled */
  bool is_lenient;             /* fields that the provider does not know are accepted */
  bool is_https;               /* nghttpx stands in front, with a certificate made at the start */
  bool is_http2;               /* the same; without is_https: h2c with prior knowledge */
  /* Of a million requests, by SHEAF_SIM_FAULT_; at most a million together. */
  uint32_t fault_ppm[SHEAF_SIM_FAULT_ROOM];
  sheaf_sim_spread batch_time; /* a batch job's, from its making to its end; no file */
  uint64_t batch_expire_ms;    /* the window of a job; 0: the provider's own, a day */
  uint64_t batch_keep_ms;      /* how long results are kept; 0: as the provider does */
  uint64_t batch_tokens;       /* input tokens of a key and model in jobs under way; 0: no limit */
  uint64_t batch_queue;        /* rows of a key in jobs under way; 0: no limit */
  uint32_t batch_rows;         /* of one job; 0: the provider's own */
  uint32_t batch_fail_ppm;     /* of a million rows: those that fail at the provider */
  uint32_t batch_partial_ppm;  /* of a million jobs: those that expire with half of their rows */
  uint32_t batch_quirks;       /* 1 << SHEAF_SIM_QUIRK_ */
} sheaf_sim_options;

#define SHEAF_SIM_OPTIONS_INIT                                    \
  ((sheaf_sim_options){.struct_bytes = sizeof(sheaf_sim_options), \
                       .seed = 1,                                 \
                       .time_scale_milli = 1000,                  \
                       .queue_max = 512,                          \
                       .retry_after_ms = 250,                     \
                       .answer_words = 40,                        \
                       .answer_sigma_milli = 600,                 \
                       .dimensions = 16,                          \
                       .ledger_max = 10000,                       \
                       .giant_bytes = 67108864,                   \
                       .drip_ms = 20,                             \
                       .refuse_ms = 1000,                         \
                       .batch_time = {.us = 1000000}})

/* Sets an option by name, as a command line does. Names, keys and paths are kept as pointers: value
 * lives until sheaf_sim_start has returned.
 * message  may be NULL; on failure a sentence with the remedy, terminated.
 * SHEAF_OK, SHEAF_E_NOT_FOUND (no such option), SHEAF_E_FIELD (the value cannot be read),
 * SHEAF_E_RANGE. Since 0.1. */
SHEAF_API int32_t sheaf_sim_option_set(sheaf_sim_options *options, const char *name,
                                       const char *value, char *message, size_t bytes);
/* The n-th option for a help text: its name, the form of its value, and what it does; static. false
 * past the end. */
SHEAF_API bool sheaf_sim_option_at(uint32_t n, const char **name, const char **value,
                                   const char **about);

/* Binds the port and starts one thread. options are copied; NULL: the defaults. message as above.
 * SHEAF_OK, SHEAF_E_MISUSE, SHEAF_E_RANGE, SHEAF_E_FIELD (host is no address), SHEAF_E_IO (the port
 * is taken, no descriptors), SHEAF_E_NOMEM. Since 0.1. */
SHEAF_API int32_t sheaf_sim_start(const sheaf_sim_options *options, sheaf_sim **sim, char *message,
                                  size_t bytes);
SHEAF_API uint16_t sheaf_sim_port(const sheaf_sim *sim);
/* "http://127.0.0.1:40123", without a path; lives as long as sim. */
SHEAF_API const char *sheaf_sim_url(const sheaf_sim *sim);
/* The file (PEM) of the certificate that a client has to trust; NULL without is_https. It is good for
 * localhost, 127.0.0.1, ::1 and host, and lives as long as sim. */
SHEAF_API const char *sheaf_sim_certificate(const sheaf_sim *sim);
/* Raises this process's soft limit on descriptors to its hard one: for programs that are a simulator
 * and nothing else. */
SHEAF_API void sheaf_sim_raise_descriptors(void);
/* Ends every connection, joins the thread, frees. NULL is fine. No other call on sim may be
 * running. */
SHEAF_API void sheaf_sim_stop(sheaf_sim *sim);
/* Appends the ledger as one JSON object: received by path, answered by status, faults by kind, what
 * would have been billed. Billed means that the work was done, also where the answer was cut or
 * nobody waited for it. Any thread. SHEAF_OK, SHEAF_E_NOMEM, SHEAF_E_LIMIT. Since 0.1. */
SHEAF_API int32_t sheaf_sim_stats(sheaf_sim *sim, sheaf_buf *json);

#ifdef __cplusplus
}
#endif

#endif
