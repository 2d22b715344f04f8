/* sim_call.h: one request and its answer, as the files of the simulator hand it on.
 *
 *   read     the provider's `read` checks the body and fills `asked`
 *   decide   sim_plan: fault, refusal or answer, and when
 *   answer   sim_answer makes the parts: texts and tool calls, the same for every provider
 *   write    the provider prints the parts, as one body or piece by piece (sim_stream)
 *   spoil    sim_spoil bends a finished body; sim_raw what the wire shows */
#ifndef SIM_CALL_H
#define SIM_CALL_H

#include <sheaf/sim.h>

#define SIM_HEADERS_MAX 32u
#define SIM_TOOLS_MAX 32u   /* of a request; further ones are not called */
#define SIM_PARTS_MAX 4096u /* texts and tool calls of one answer */
#define SIM_FIELDS_MAX 64u  /* that a body's table may name */

typedef struct sim_provider sim_provider;
typedef struct sim_world sim_world;
typedef struct sim_field sim_field;
typedef struct sim_blob sim_blob; /* these: see sim_batch.h */
typedef struct sim_file sim_file;
typedef struct sim_job sim_job;
typedef struct sim_lane sim_lane;
typedef struct sim_store sim_store;

/* ---- What was asked for ---- */

enum {
  SIM_CHAT,     /* also generateContent, messages, responses, and /api/generate */
  SIM_COMPLETE, /* texts go on: one prompt or many */
  SIM_EMBED,
  SIM_COUNT, /* tokens, without an answer */
  SIM_MODELS,
  SIM_MODEL, /* one of them; call->model is its name */
  SIM_VERSION,
  SIM_STATS,
  SIM_LEDGER,
  SIM_RESET, /* empties the ledger, the sightings and the buckets */
  /* Of batch jobs and their files; call->asked.model is the id. */
  SIM_FILE_CREATE,
  SIM_FILE_START, /* a resumable upload */
  SIM_FILE_PIECE,
  SIM_FILE_LIST,
  SIM_FILE_GET,
  SIM_FILE_CONTENT,
  SIM_FILE_DELETE,
  SIM_JOB_CREATE,
  SIM_JOB_CREATE_ROWS, /* with all its rows in the body */
  SIM_JOB_LIST,
  SIM_JOB_GET,
  SIM_JOB_RESULTS,
  SIM_JOB_CANCEL,
  SIM_JOB_DELETE
};

typedef struct sim_route {
  const char *method;
  const char *path; /* one '*' stands for the model */
  const sim_provider *provider;
  uint32_t task;
  bool streams; /* always */
} sim_route;

/* ENUM: text that is one of the strings of the schema, without quotes. */
enum { SIM_FORMAT_TEXT, SIM_FORMAT_JSON, SIM_FORMAT_SCHEMA, SIM_FORMAT_ENUM };
enum { SIM_TOOLS_NONE, SIM_TOOLS_AUTO, SIM_TOOLS_REQUIRED, SIM_TOOLS_NAMED };

typedef struct sim_tool {
  sheaf_slice name;   /* the inside of a JSON string */
  sheaf_slice schema; /* of its arguments, as it stands in the body; may be empty */
} sim_tool;

/* What the body asks for, the same for all providers. Slices point into call->body. `read` fills
 * it; the plan has set the defaults before. */
typedef struct sim_asked {
  sheaf_slice model;  /* the inside of a JSON string; from the path where that has it */
  sheaf_slice inputs; /* SIM_EMBED and SIM_COMPLETE: a string, or an array (see sheaf__sim_input) */
  sheaf_slice schema; /* with SIM_FORMAT_SCHEMA and SIM_FORMAT_ENUM */
  sheaf_slice tool_name; /* with SIM_TOOLS_NAMED: the inside of a JSON string */
  uint64_t prompt_bytes; /* of all messages, system prompt and tools: what input tokens count */
  uint64_t tokens_max;   /* UINT64_MAX: not given */
  uint64_t dimensions;
  uint32_t choices; /* n; 1 */
  uint32_t format;  /* SIM_FORMAT_ */
  uint32_t tools;   /* SIM_TOOLS_ */
  uint32_t tool_count;
  bool is_stream;
  bool is_usage_wanted; /* stream_options.include_usage */
  bool is_base64;       /* embeddings */
  bool is_echo;         /* completions: the prompt comes before the text */
  bool is_parallel;     /* several tool calls in one answer are welcome */
  bool is_obfuscated;   /* stream_options.include_obfuscation */
  sim_tool tool[SIM_TOOLS_MAX];
} sim_asked;

/* ---- The answer ---- */

enum { SIM_PART_TEXT, SIM_PART_TOOL };

typedef struct sim_part {
  uint32_t kind;
  uint32_t choice;    /* 0.. */
  size_t from, bytes; /* in call->text: plain text, or a tool's arguments as JSON */
  uint32_t tool;      /* index into asked.tool */
  uint32_t index;     /* among the parts of its choice */
  uint64_t tokens;
  bool is_words;     /* streamed by words; else about four bytes at a time */
  bool is_cut_short; /* by tokens_max */
  /* Where a stream stands. */
  bool is_open, is_closed;
  size_t at; /* bytes that were sent */
} sim_part;

/* Why there is no 200. The words are the providers' own: see their `error`. */
enum {
  SIM_BAD_JSON,
  SIM_MISSING_FIELD, /* field */
  SIM_WRONG_TYPE,    /* field, expected, got */
  SIM_BAD_VALUE,     /* field, got; expected: a sentence or a list of what it may be */
  SIM_UNKNOWN_FIELD, /* got: its name, the inside of a JSON string */
  SIM_UNKNOWN_MODEL,
  SIM_CONTEXT, /* input and max_tokens exceed the context */
  SIM_NO_KEY,
  SIM_WRONG_KEY,
  SIM_NO_VERSION, /* anthropic-version is missing */
  SIM_NO_PATH,
  SIM_WRONG_METHOD,
  SIM_TOO_LARGE,
  SIM_RATE_REQUESTS,
  SIM_RATE_TOKENS,
  SIM_RATE_INPUT,
  SIM_RATE_OUTPUT,
  SIM_RATE_NEVER, /* one request larger than the minute */
  SIM_BUSY,       /* concurrency_max */
  SIM_QUEUE_FULL, /* behind the service's capacity */
  SIM_QUOTA,
  SIM_TIMEOUT,      /* 408 */
  SIM_SERVER_ERROR, /* 500 */
  SIM_LOADING,      /* 503: the model is being loaded */
  SIM_OVERLOADED,
  SIM_NO_THING, /* no such file or job */
  SIM_CONFLICT, /* it is not in a state to do this */
  SIM_ERROR_COUNT
};

typedef struct sim_header {
  const char *name; /* static */
  char value[160];
} sim_header;

typedef struct sim_budget { /* as the headers tell it */
  uint64_t limit;           /* 0: off */
  uint64_t remaining;
  uint64_t full_after_ns;
} sim_budget;

enum { SIM_BUDGET_REQUESTS, SIM_BUDGET_TOKENS, SIM_BUDGET_INPUT, SIM_BUDGET_OUTPUT, SIM_BUDGETS };

/* What paths of batch jobs and files read besides; as they were sent, or NULL. */
typedef struct sim_query {
  const char *content_type;
  const char *after, *before, *limit, *order, *purpose, *page, *upload;
  const char *upload_protocol, *upload_command, *upload_offset, *upload_bytes, *upload_type;
  const char *host;
} sim_query;

typedef struct sim_call {
  const sim_world *world;

  /* What came. */
  const char *method;
  const char *path;
  const sim_route *route; /* NULL: unknown */
  const sim_provider *provider;
  const char *given_key;    /* NULL: none */
  const char *version;      /* anthropic-version, or NULL */
  const char *asked_fault;  /* x-sheaf-fault */
  const char *asked_answer; /* x-sheaf-answer */
  const char *client_id;    /* x-client-request-id or x-request-id, for the ledger; NULL: none */
  uint64_t ledger_after, ledger_limit;
  uint64_t key_hash;  /* of given_key, for the limiter */
  uint32_t in_flight; /* of its key, with this one */
  bool is_queue_full; /* set by the server: the service has no place, nor has its queue */
  bool is_sse;        /* ?alt=sse */
  bool is_too_large;
  sim_query query;
  sim_blob *spool; /* the body, where it goes to disk instead; NULL */
  uint64_t now_ns;
  const char *batch; /* the job that the call is a row of; NULL: none */
  sheaf_buf body;
  sim_asked asked;
  sheaf_buf prompt; /* plain text of the last user message */

  /* What was decided. */
  uint64_t body_hash; /* with the path; 0: nothing is generated */
  uint64_t key;       /* of all draws of this sighting */
  uint64_t sequence;  /* in the ledger */
  uint32_t sighting;  /* how often this body was admitted before */
  uint32_t error;     /* SIM_ERROR_COUNT: none */
  uint32_t status;
  uint32_t fault;    /* SHEAF_SIM_FAULT_, or SIM_NO_FAULT */
  uint64_t ttft_ns;  /* to the first token; scaled like all times here */
  uint64_t delay_ns; /* to the first byte, after the service's queue */
  uint64_t input_tokens;
  uint64_t output_tokens;
  uint64_t context; /* the model's, for SIM_CONTEXT */
  bool is_limited;  /* budgets hold numbers */
  bool is_usage_hidden;
  bool wants_service; /* it does work, so it waits for a place of the service */
  bool has_service;   /* holds one of the service's places from its start to its end */
  sim_budget budgets[SIM_BUDGETS];
  uint64_t retry_after_ns; /* 0: no hint */
  const char *field;       /* see the errors */
  const char *expected;
  sheaf_slice got;
  uint32_t element;     /* of the array `field`, from 1; 0: the field itself */
  const sim_field *row; /* of the table, where that was not kept; NULL: it is another failure */
  char where[96];       /* path of the object that field is in, "messages.0"; empty: the body */
  const char *allow;
  const char *content_type;
  sheaf_buf text; /* of all parts */
  sim_part *parts;
  uint32_t part_count, part_room;
  sheaf_buf out;  /* the body, or what of a stream waits to be sent */
  sim_file *file; /* what the path names; good until the loop goes on */
  sim_job *job;
  sim_blob *send; /* the body is a part of this instead; held */
  uint64_t send_from, send_bytes;

  /* Where a stream stands (sim_stream.c). */
  bool is_stream; /* the answer is one, and still is after sim_spoil */
  bool is_open;
  uint64_t tokens_sent;
  uint64_t stop_at; /* tokens_sent at which a fault breaks the stream; UINT64_MAX: never */
  uint32_t turn;    /* whose choice is next */
  uint64_t events;  /* that were written, where the provider numbers them */

  uint32_t header_count;
  sim_header headers[SIM_HEADERS_MAX];
} sim_call;

/* A path of batch jobs or their files. */
bool sheaf__sim_is_batch(const sim_route *route);
/* One whose body goes to disk as it comes. */
bool sheaf__sim_is_spooled(const sim_route *route);
/* Empties for the next request; keeps the buffers' memory unless it is large. */
void sheaf__sim_call_init(sim_call *call);
void sheaf__sim_call_reset(sim_call *call);
void sheaf__sim_call_deinit(sim_call *call);
/* A further part at the end of call->text, of no bytes yet; NULL without memory or beyond
 * SIM_PARTS_MAX. */
sim_part *sheaf__sim_part_add(sim_call *call, uint32_t kind, uint32_t choice);
sheaf_slice sheaf__sim_part_text(const sim_call *call, const sim_part *part);
/* The last part of the choice, which says why it ended. */
const sim_part *sheaf__sim_part_last(const sim_call *call, uint32_t choice);
void sheaf__sim_header(sim_call *call, const char *name, const char *value);
void sheaf__sim_header_u64(sim_call *call, const char *name, uint64_t value);
/* "chatcmpl-" and 24 characters that belong to this sighting, and to n. */
void sheaf__sim_id(const sim_call *call, const char *prefix, uint64_t n, sheaf_buf *out);
/* Seconds since 1970 that belong to this sighting: answers repeat byte for byte. */
uint64_t sheaf__sim_created(const sim_call *call);

/* ---- A provider's shape: one table a dialect ---- */

/* All but read append to call->out. */
struct sim_provider {
  const char *name; /* "openai", "anthropic", "gemini", "ollama" */
  /* Checks call->body and fills call->asked and call->prompt. SIM_ERROR_COUNT, or the error. */
  uint32_t (*read)(sim_call *call);
  void (*answer)(sim_call *call);
  /* A stream: open, then for each part open, pieces, close; then close. Any may be NULL but
   * part_piece. */
  void (*stream_open)(sim_call *call);
  void (*part_open)(sim_call *call, const sim_part *part);
  void (*part_piece)(sim_call *call, const sim_part *part, sheaf_slice piece);
  void (*part_close)(sim_call *call, const sim_part *part);
  void (*stream_close)(sim_call *call);
  /* What the provider sends when it fails inside a stream that began with 200; for an answer in one
   * piece: the body of a 200 that is a failure. */
  void (*late_error)(sim_call *call);
  /* Writes the body of call->error and gives the status. */
  uint32_t (*error)(sim_call *call);
  /* The headers that go with every answer of this provider, call->status known. */
  void (*headers)(sim_call *call, int64_t unix_s);
  const char *stream_type; /* content-type of a stream */
};

extern const sim_provider sheaf__sim_openai; /* embeddings, models */
extern const sim_provider sheaf__sim_openai_chat;
extern const sim_provider sheaf__sim_openai_responses;
extern const sim_provider sheaf__sim_openai_completions;
extern const sim_provider sheaf__sim_anthropic;
extern const sim_provider sheaf__sim_gemini;
extern const sim_provider sheaf__sim_ollama;
extern const sim_provider sheaf__sim_openai_files; /* files, batches; of Mistral, too */
extern const sim_provider sheaf__sim_openai_batch;
extern const sim_provider sheaf__sim_mistral_batch;
extern const sim_provider sheaf__sim_anthropic_batch;
extern const sim_provider sheaf__sim_gemini_files;
extern const sim_provider sheaf__sim_gemini_batch;

/* ---- Checking a body (sim_check.c) ---- */

enum { /* sets of kinds */
       SIM_IS_NULL = 1u << SHEAF_JSON_NULL,
       SIM_IS_BOOL = 1u << SHEAF_JSON_BOOL,
       SIM_IS_NUMBER = 1u << SHEAF_JSON_NUMBER,
       SIM_IS_STRING = 1u << SHEAF_JSON_STRING,
       SIM_IS_ARRAY = 1u << SHEAF_JSON_ARRAY,
       SIM_IS_OBJECT = 1u << SHEAF_JSON_OBJECT,
       SIM_IS_ANY = 0xffff
};

struct sim_field {
  const char *name; /* a member of the body; with a dot, a member of an object in it */
  uint32_t kinds;   /* SIM_IS_; null is accepted everywhere but where the field is required */
  bool is_required;
  bool is_integer;
  double min, max;    /* of numbers; both 0: any */
  const char *values; /* what a string may be, " low medium high " with spaces around; NULL: any */
};

/* Reads call->body against the table: values[i] is fields[i]'s slice, empty if absent or null.
 * Fields that the table does not name are refused where the simulator is strict and `allows_more`
 * is false; those of an inner object are left alone. SIM_ERROR_COUNT, SIM_BAD_JSON (no object),
 * SIM_MISSING_FIELD, SIM_WRONG_TYPE, SIM_BAD_VALUE, SIM_UNKNOWN_FIELD. All but the first set
 * call->row and call->expected: the kinds' names with " or " between them, a row's `values`, or
 * "minimum" or "maximum" for a number beyond that of its row. */
uint32_t sheaf__sim_check(sim_call *call, const sim_field *fields, uint32_t count, bool allows_more,
                          sheaf_slice *values);
/* The same for an object inside the body. */
uint32_t sheaf__sim_check_object(sim_call *call, sheaf_slice object, const sim_field *fields,
                                 uint32_t count, bool allows_more, sheaf_slice *values);
/* One value against its row. */
uint32_t sheaf__sim_check_value(sim_call *call, const sim_field *row, sheaf_slice value);
uint32_t sheaf__sim_fail(sim_call *call, uint32_t error, const char *field, const char *expected,
                         sheaf_slice got);
/* "string", "integer", "array" ..., as error texts name it. */
const char *sheaf__sim_kind_name(sheaf_slice value);

/* ---- Reading (sim_read.c) ---- */

/* Content: a string, a part with "text" (or "parts", "content"), an array of those, or token
 * numbers, which count as four bytes. `keep`: it becomes the prompt. Its bytes count either way. */
void sheaf__sim_read_content(sim_call *call, sheaf_slice content, bool keep);
/* Messages of {role, content} or {role, parts}; checks that each is an object: SIM_WRONG_TYPE, with
 * call->element where it is not the field that is no array. An empty array is SIM_BAD_VALUE with
 * expected "minimum". */
uint32_t sheaf__sim_read_messages(sim_call *call, sheaf_slice messages, const char *field);
void sheaf__sim_read_limit(sim_call *call, sheaf_slice value); /* tokens_max; absent is fine */
/* name: a JSON string or its inside. Counts the bytes of both. */
void sheaf__sim_read_tool(sim_call *call, sheaf_slice name, sheaf_slice schema);
/* asked.inputs: how many there are, and one of them as plain text appended to out (token numbers
 * become themselves in decimal). [1,2,3] is one input of tokens, ["a","b"] and [[1],[2]] are two. */
uint32_t sheaf__sim_input_count(const sim_call *call);
void sheaf__sim_input(const sim_call *call, uint32_t n, sheaf_buf *out);
/* The same, one after the other: false past the end. For many inputs. */
typedef struct sim_inputs {
  sheaf_json_iter iter;
  sheaf_slice only; /* where it is no list */
} sim_inputs;
void sheaf__sim_inputs_init(const sim_call *call, sim_inputs *inputs);
bool sheaf__sim_inputs_next(sim_inputs *inputs, sheaf_buf *out);
/* A vector of asked.dimensions numbers, of length 1, that belong to the input's text: a JSON array, or with
 * asked.is_base64 a JSON string of little-endian float32 in base64. */
void sheaf__sim_write_vector(sim_call *call, sheaf_slice text);

/* ---- Making the answer (sim_answer.c, sim_schema.c, sim_canned.c) ---- */

/* Fills call->parts and call->text, and output_tokens. */
void sheaf__sim_answer(sim_call *call);
/* Appends a JSON value that is valid against the schema, drawn by key. An empty or impossible schema
 * gives {}. `root` is where "$ref": "#/..." begins. */
void sheaf__sim_json_of(sheaf_slice schema, sheaf_slice root, uint64_t key, sheaf_buf *out);

/* ---- Bodies bent by a fault ---- */

/* The next of a stream, appended to call->out. True: more will come, *gap_ns after this. */
bool sheaf__sim_stream_step(sim_call *call, uint64_t *gap_ns);
/* Bends a finished body as call->fault wants it (sim_spoil.c); may change status, headers, type. */
void sheaf__sim_spoil(sim_call *call);

#endif
