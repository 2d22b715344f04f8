/* sheaf/jobs.h: providers' batch APIs: what each is like, how it is spoken to, and the records that
 * bring a job back after a crash.
 *
 * A job is a flight of many rows (SHEAF_LANE_BATCH): its rows are written to a spool, leave the
 * engine's memory, travel as one upload, and come back as lines in any order. The lane decides what
 * is called when; a sheaf_job_api only writes and reads bytes. */
#ifndef SHEAF_JOBS_H
#define SHEAF_JOBS_H

#include <sheaf/base.h>
#include <sheaf/buf.h>
#include <sheaf/provider.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- What a provider's batch API is like ---- */

enum {                          /* flags of sheaf_job_traits */
       SHEAF_JOBS_FILES = 1u,   /* the rows travel as an uploaded file */
       SHEAF_JOBS_INLINE = 2u,  /* the rows may travel in the create call itself */
       SHEAF_JOBS_MARKER = 4u,  /* a text of ours stays with the job and is listed with it */
       SHEAF_JOBS_PARTIAL = 8u, /* a job that expired or was cancelled still gives finished rows */
       SHEAF_JOBS_ONE_MODEL = 16u /* all rows of a job name one model */
};

/* One row of the capability table. Numbers as the provider documents them (0: none is known); the
 * planner fills jobs to 95 % of the maxima. */
typedef struct sheaf_job_traits {
  uint64_t requests_max;     /* rows of one job */
  uint64_t bytes_max;        /* of its input */
  uint64_t inline_bytes_max; /* INLINE: of its input when it travels in the create call */
  uint64_t inputs_max;       /* embeddings: inputs of all rows together */
  uint64_t jobs_max;         /* side by side */
  uint64_t poll_min_ms;      /* never asked more often */
  uint32_t id_bytes_max;  /* of a custom_id; the planner's own ids are [A-Za-z0-9_-]{1,64} anyway */
  uint32_t flags;         /* SHEAF_JOBS_* */
  uint32_t window_hours;  /* within which the provider means to finish */
  uint32_t expires_hours; /* after which it gives up what is left; 0: never */
  uint32_t retention_hours; /* how long results stay */
  uint32_t discount_pct;    /* off the live price */
  const char *id_rule;      /* for people: "any text", "[a-zA-Z0-9_-]{1,64}" */
  const char *caveats;      /* for people: one or two sentences; "" if none */
} sheaf_job_traits;

/* ---- Calls ---- */

/* The steps of a job's life that are calls. A step that an API does not have is unsupported, and the
 * lane goes on to the next. */
#define SHEAF_JOB_STEP_MAP(X)                                                        \
  X(BEGIN, 1, "begin")   /* asks where to upload to (Gemini) */                      \
  X(UPLOAD, 2, "upload") /* the rows, as a file */                                   \
  X(CREATE, 3, "create") /* the job; with the rows in it where there is no file */   \
  X(POLL, 4, "poll")                                                                 \
  X(LIST, 5, "list") /* jobs, newest first, a page at a time */                      \
  X(CANCEL, 6, "cancel")                                                             \
  X(OUTPUT, 7, "output")   /* results, streamed */                                   \
  X(ERRORS, 8, "errors")   /* results of failed rows, where they are a file apart */ \
  X(DISCARD, 9, "discard") /* deletes the input file */
enum {
#define SHEAF_JOB_STEP_ENUM(name, number, text) SHEAF_JOB_##name = (number),
  SHEAF_JOB_STEP_MAP(SHEAF_JOB_STEP_ENUM)
#undef SHEAF_JOB_STEP_ENUM
};

/* All that is known of a job; slices are borrowed for the call, empty where nothing is known. */
typedef struct sheaf_job_facts {
  uint32_t struct_bytes;
  uint32_t operation; /* the provider's own number, of all rows */
  sheaf_slice base_url;
  sheaf_slice path;   /* as build made it: "/chat/completions" */
  sheaf_slice model;  /* of all rows */
  sheaf_slice marker; /* ours: "sheaf-" and 32 hex digits */
  uint64_t requests;
  uint64_t bytes; /* of the rows as they are uploaded, separators included */
  bool is_inline; /* the rows travel in CREATE */
  uint32_t window_hours;
  sheaf_slice upload; /* where to upload to, from BEGIN */
  sheaf_slice file;   /* the uploaded file */
  sheaf_slice job;    /* the provider's id */
  sheaf_slice output; /* file id or address of the results */
  sheaf_slice errors;
  sheaf_slice page; /* LIST: where the next page begins; empty: the first */
} sheaf_job_facts;

#define SHEAF_JOB_HEADERS_MAX 8

/* A call as the API writes it. The buffers are empty when it is asked. */
typedef struct sheaf_job_call {
  uint32_t struct_bytes;
  uint32_t header_count;
  const char *method; /* static */
  sheaf_buf *path;    /* joined to the base URL, or a whole URL ("http…") */
  sheaf_buf *head;    /* of the body: what stands before the rows */
  sheaf_buf *tail;    /* and behind them */
  bool has_rows;      /* the rows stand between head and tail */
  bool is_streamed;   /* the reply is results: it is handed over in pieces, never held whole */
  sheaf_header headers[SHEAF_JOB_HEADERS_MAX]; /* besides the endpoint's; replace those of its name.
                                                  Their slices point into text or at static bytes */
  sheaf_buf *text;
} sheaf_job_call;

/* ---- Replies ---- */

#define SHEAF_JOB_STATE_MAP(X)                                                                 \
  X(UNKNOWN, 0, "unknown")       /* a word we do not know: asked again */                      \
  X(PREPARED, 1, "prepared")     /* rows are in the spool, nothing was sent */                 \
  X(SUBMITTING, 2, "submitting") /* upload or create under way */                              \
  X(VALIDATING, 3, "validating")                                                               \
  X(QUEUED, 4, "queued")                                                                       \
  X(RUNNING, 5, "running")                                                                     \
  X(ENDING, 6, "ending")       /* finalizing, or cancelling */                                 \
  X(COMPLETED, 7, "completed") /* the provider says that it is over; rows say more */          \
  X(FAILED, 8, "failed")                                                                       \
  X(EXPIRED, 9, "expired")                                                                     \
  X(CANCELLED, 10, "cancelled")                                                                \
  X(COLLECTED, 11, "collected") /* every row has its end */                                    \
  X(UNDECIDED, 12, "undecided") /* whether it was created cannot be known: a person decides */ \
  X(ABANDONED, 13, "abandoned") /* a person decided that it is lost */
enum {
#define SHEAF_JOB_STATE_ENUM(name, number, text) SHEAF_JOB_##name##_STATE = (number),
  SHEAF_JOB_STATE_MAP(SHEAF_JOB_STATE_ENUM)
#undef SHEAF_JOB_STATE_ENUM
};
/* "running"; static; "unknown" for numbers that are none. */
SHEAF_API const char *sheaf_job_state_name(uint32_t state);
SHEAF_API uint32_t sheaf_job_state_find(sheaf_slice name); /* UNKNOWN if there is none */
SHEAF_API const char *sheaf_job_step_name(uint32_t step);

/* What a 2xx reply to a step says. Slices point into the reply, into scratch, or at static text. */
typedef struct sheaf_job_news {
  uint32_t struct_bytes;
  uint32_t state; /* SHEAF_JOB_*_STATE, as told by CREATE, POLL, LIST, CANCEL */
  sheaf_slice upload;
  sheaf_slice file;
  sheaf_slice job;
  sheaf_slice marker; /* where it keeps ours */
  sheaf_slice output;
  sheaf_slice errors;
  sheaf_slice results;    /* the JSON array of results where the reply carries them itself */
  sheaf_slice error_code; /* FAILED: why */
  sheaf_slice error_message;
  int64_t total, completed, failed; /* rows; SHEAF_ABSENT: not told */
  int64_t created_unix_ms;          /* SHEAF_ABSENT: not told */
  bool is_full; /* FAILED because too much is queued already: nothing ran, later it may go */
} sheaf_job_news;
SHEAF_API void sheaf_job_news_init(sheaf_job_news *news); /* everything absent */

/* What became of one row. */
enum {
  SHEAF_JOB_ITEM_REPLY = 1,    /* status and body are an ordinary reply, good or bad */
  SHEAF_JOB_ITEM_EXPIRED = 2,  /* it never ran: not billed */
  SHEAF_JOB_ITEM_CANCELLED = 3 /* the same */
};
typedef struct sheaf_job_item {
  uint32_t struct_bytes;
  uint32_t kind; /* SHEAF_JOB_ITEM_* */
  uint32_t http_status;
  uint32_t reserved;
  sheaf_slice
      id; /* as it was sent, unescaped; empty: the line has none (Gemini inline: by order) */
  sheaf_slice body; /* as decode and classify of the provider read it */
  sheaf_slice request_id;
} sheaf_job_item;

/* How a batch API is spoken to. Data in, data out, as sheaf_provider: slots may not call the engine,
 * keep what they are given, or allocate but in the buffers given. */
typedef struct sheaf_job_api {
  uint32_t struct_bytes;
  uint32_t reserved;
  const char *name; /* "openai", "anthropic", "gemini", "mistral", "groq", "azure" */
  sheaf_job_traits traits;
  void *ctx;
  /* Whether rows of this operation travel in jobs. */
  bool (*offers)(const struct sheaf_job_api *api, uint32_t operation, sheaf_slice path);
  /* Appends one row as it is uploaded, with the separator behind it: LF in a file, a comma in an
   * array (the lane drops the last). body: final, as build made it. SHEAF_E_NOMEM, SHEAF_E_LIMIT;
   * SHEAF_E_FIELD: this body cannot travel in a job (it asks for a stream). */
  int32_t (*row)(const struct sheaf_job_api *api, const sheaf_job_facts *facts, sheaf_slice id,
                 sheaf_slice body, sheaf_buf *to);
  /* The body within a row that `row` wrote (separator included or not): for rows that run live after
   * all. SHEAF_E_SYNTAX. */
  int32_t (*row_body)(const struct sheaf_job_api *api, sheaf_slice row, sheaf_slice *body);
  /* Writes a step's call. SHEAF_E_UNSUPPORTED: there is no such step. */
  int32_t (*call)(const struct sheaf_job_api *api, uint32_t step, const sheaf_job_facts *facts,
                  sheaf_job_call *call);
  /* Reads a 2xx reply to BEGIN, UPLOAD, CREATE, POLL, CANCEL. SHEAF_E_SYNTAX: it is none that can be
   * understood. */
  int32_t (*read)(const struct sheaf_job_api *api, uint32_t step, const sheaf_job_facts *facts,
                  const sheaf_reply *reply, sheaf_buf *scratch, sheaf_job_news *news);
  /* Walks a reply to LIST: *at is 0 at first. SHEAF_OK: a job; SHEAF_E_END: no more on this page;
   * *page is then where the next begins, empty if this was the last. SHEAF_E_SYNTAX. */
  int32_t (*listed)(const struct sheaf_job_api *api, const sheaf_reply *reply, size_t *at,
                    sheaf_buf *scratch, sheaf_job_news *news, sheaf_slice *page);
  /* Reads one line of results, or one item of news.results. SHEAF_E_SYNTAX, SHEAF_E_FIELD,
   * SHEAF_E_NOMEM. */
  int32_t (*item)(const struct sheaf_job_api *api, sheaf_slice line, sheaf_buf *scratch,
                  sheaf_job_item *item);
} sheaf_job_api;

/* The batch API of a provider, NULL: it offers none. */
SHEAF_API const sheaf_job_api *sheaf_job_api_of(const sheaf_provider *provider);

/* ---- Ids: what the provider is given for a row, and back ---- */

/* "r", the row's place in its job in base 36, then "-" and the custom_id where that is of
 * [A-Za-z0-9_-] and all of it fits into 64 bytes, else "_" and 16 hex digits of its hash. So every
 * id is allowed everywhere, a result finds its row without a table, and a foreign one is noticed. */
#define SHEAF_JOB_ID_BYTES_MAX 64
SHEAF_API sheaf_slice sheaf_job_id_write(uint64_t place, sheaf_slice custom_id,
                                         char to[SHEAF_JOB_ID_BYTES_MAX]);
typedef struct sheaf_job_id {
  uint64_t place;
  uint64_t hash;         /* of the custom_id, always filled */
  sheaf_slice custom_id; /* empty: only its hash came */
} sheaf_job_id;
/* SHEAF_OK; SHEAF_E_SYNTAX: none of ours. */
SHEAF_API int32_t sheaf_job_id_read(sheaf_slice text, sheaf_job_id *id);
SHEAF_API uint64_t sheaf_job_id_hash(sheaf_slice custom_id);

/* ---- Records ---- */

/* Payload: u64 flight (little-endian), then JSON text; of ROWS sheaf_job_rows. In the order in which
 * they are written: */
enum {
  SHEAF_RECORD_JOB_ROWS = 16, /* binary, in chunks; without a PLAN behind them they mean nothing */
  SHEAF_RECORD_JOB_PLAN = 17, /* the job is prepared: its spool is whole */
  SHEAF_RECORD_JOB_INTENT = 18, /* a call that may cost follows: {"step","try","unix_ms"} */
  SHEAF_RECORD_JOB_FACT = 19, /* what a call brought: {"upload"|"file"|"job","adopted","unix_ms"} */
  SHEAF_RECORD_JOB_STATE = 20, /* the provider's state changed */
  SHEAF_RECORD_JOB_OVER = 21,  /* every row has its end, and it is written */
  SHEAF_RECORD_JOB_DECISION =
      22 /* a person's: {"decision":"adopt|resubmit|abandon|cancel","job"} */
};

typedef struct sheaf_job_row {
  uint64_t index;    /* of the row in the run */
  uint64_t spool_at; /* where its entry begins in the job's spool; bit 62: its result needs it */
  uint64_t id_hash;
  uint8_t fingerprint[16];
} sheaf_job_row;
#define SHEAF_JOB_ROW_BYTES 40

/* What a record holds; fields that its type does not have are absent, empty or 0. */
typedef struct sheaf_job_record {
  uint32_t struct_bytes;
  uint32_t type; /* SHEAF_RECORD_JOB_* */
  uint64_t flight;
  /* ROWS */
  sheaf_slice rows; /* SHEAF_JOB_ROW_BYTES each */
  /* PLAN */
  sheaf_slice provider, endpoint, model, path, marker;
  uint64_t requests, bytes, first, last; /* first, last: the lowest and highest index */
  uint64_t line;                         /* of the input, of the first row; 0: none */
  int64_t bound_usd_nano;                /* what all of it may cost at most; 0: not known */
  uint32_t operation;
  bool is_inline;
  /* INTENT */
  uint32_t step, attempt;
  /* FACT, STATE, DECISION */
  sheaf_slice upload, file, job, output, errors;
  bool adopted;
  uint32_t state;
  int64_t total, completed, failed;
  sheaf_slice message;
  /* OVER */
  uint64_t succeeded, rescued, missing; /* failed stands above */
  /* DECISION */
  sheaf_slice decision;
  int64_t unix_ms; /* all but ROWS */
} sheaf_job_record;
SHEAF_API void sheaf_job_record_init(sheaf_job_record *record, uint32_t type);
/* Appends the payload behind the flight's id: what a lane's record is. SHEAF_E_NOMEM. */
SHEAF_API int32_t sheaf_job_record_write(const sheaf_job_record *record, sheaf_buf *to);
/* Reads type and payload (with the flight's id in front). Text fields are unescaped into scratch
 * where they need it. SHEAF_E_SYNTAX, SHEAF_E_VERSION, SHEAF_E_NOMEM. */
SHEAF_API int32_t sheaf_job_record_read(uint32_t type, sheaf_slice payload, sheaf_buf *scratch,
                                        sheaf_job_record *record);
SHEAF_API void sheaf_job_row_write(const sheaf_job_row *row, uint8_t to[SHEAF_JOB_ROW_BYTES]);
SHEAF_API void sheaf_job_row_read(const uint8_t from[SHEAF_JOB_ROW_BYTES], sheaf_job_row *row);

/* ---- Entries of the spool ---- */

/* A spool is the entries of a job's rows, one behind the other: u32 head bytes, u32 row bytes
 * (little-endian), the head (JSON: custom_id, metadata, line, and what a live run of the row would
 * need beside its body), then the row as sheaf_job_api.row wrote it. Uploads are the rows alone. */
typedef struct sheaf_job_entry {
  uint32_t struct_bytes;
  uint32_t line;         /* of the input; 0: none */
  sheaf_slice custom_id; /* unescaped */
  sheaf_slice metadata;
  sheaf_slice row; /* with its separator */
  uint64_t source_ref;
  uint32_t priority;
  uint32_t reserved;
} sheaf_job_entry;
#define SHEAF_JOB_ENTRY_HEAD 8
SHEAF_API int32_t sheaf_job_entry_write(const sheaf_job_entry *entry, sheaf_buf *to);
/* bytes begins at an entry and may go on behind it. *whole: how many bytes the entry has, told as soon
 * as SHEAF_JOB_ENTRY_HEAD bytes are there. SHEAF_OK; SHEAF_E_PARTIAL: it goes on behind the bytes
 * given; SHEAF_E_SYNTAX; SHEAF_E_NOMEM. */
SHEAF_API int32_t sheaf_job_entry_read(sheaf_slice bytes, sheaf_buf *scratch, uint64_t *whole,
                                       sheaf_job_entry *entry);

#ifdef __cplusplus
}
#endif

#endif
