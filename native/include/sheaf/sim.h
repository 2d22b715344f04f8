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
 * gives it three times. The names are those of sheaf_sim_fault_name.
 * GET /_sim/stats answers what sheaf_sim_stats writes. Each connection holds a descriptor. */
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
  X(CUT, 7, "cut")           /* as truncate, but a stream breaks inside a chunk, too */

enum {
#define SHEAF_SIM_FAULT_ENUM(name, number, text) SHEAF_SIM_FAULT_##name = (number),
  SHEAF_SIM_FAULT_MAP(SHEAF_SIM_FAULT_ENUM)
#undef SHEAF_SIM_FAULT_ENUM
      SHEAF_SIM_FAULT_COUNT = 8,
  SHEAF_SIM_FAULT_ROOM = 16 /* places in the options, for kinds to come */
};

/* "429", "reset", ...; static; NULL past the end. */
SHEAF_API const char *sheaf_sim_fault_name(uint32_t fault);

enum {
  SHEAF_SIM_LATENCY_FIXED = 0,
  SHEAF_SIM_LATENCY_UNIFORM = 1,
  SHEAF_SIM_LATENCY_LOGNORMAL = 2
};
enum {
  SHEAF_SIM_ANSWER_ECHO = 0, /* "echo: " and the last user text */
  SHEAF_SIM_ANSWER_LOREM = 1 /* words, a token each, their number lognormal; obeys max_tokens */
};

/* Latency is the time to the first token; a whole answer takes that plus itl_ms for each further
 * token, streamed or not. */
typedef struct sheaf_sim_options {
  uint32_t struct_bytes;
  uint32_t port;    /* 0: any free one */
  const char *host; /* a numeric address; NULL: 127.0.0.1. Others may be open to the network */
  const char *key;  /* the only key accepted; NULL: all, also none */
  uint64_t seed;
  uint32_t latency_kind;        /* SHEAF_SIM_LATENCY_ */
  uint32_t latency_ms;          /* the value, the lower bound, or the median */
  uint32_t latency_high_ms;     /* upper bound of uniform */
  uint32_t latency_sigma_milli; /* of lognormal, in thousandths, to 5000 */
  uint32_t itl_ms;              /* between tokens */
  uint32_t time_scale_milli;    /* all delays times this over 1000; 0: none. Not the limits */
  uint64_t rpm;                 /* requests a minute and key; 0: no limit and no headers about it */
  uint64_t tpm;                 /* tokens a minute and key, input plus output; 0: the same */
  uint32_t concurrency_max;     /* requests under way; 0: no limit */
  uint32_t retry_after_ms;      /* the hint of a drawn 429 */
  uint32_t answer_kind;         /* SHEAF_SIM_ANSWER_ */
  uint32_t answer_words;        /* median of lorem */
  uint32_t answer_sigma_milli;  /* spread of lorem */
  uint32_t dimensions;          /* of an embedding when the request does not say, to 4096 */
  /* Of a million requests, by SHEAF_SIM_FAULT_; at most a million together. */
  uint32_t fault_ppm[SHEAF_SIM_FAULT_ROOM];
} sheaf_sim_options;

#define SHEAF_SIM_OPTIONS_INIT                                    \
  ((sheaf_sim_options){.struct_bytes = sizeof(sheaf_sim_options), \
                       .seed = 1,                                 \
                       .time_scale_milli = 1000,                  \
                       .retry_after_ms = 250,                     \
                       .answer_words = 40,                        \
                       .answer_sigma_milli = 600,                 \
                       .dimensions = 16})

/* Sets an option by name, as a command line does. host and key are kept as pointers: value lives
 * until sheaf_sim_start has returned.
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
