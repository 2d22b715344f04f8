/* messages.h: what the builders of requests share: what was given, members, chat messages, nested
 * options.
 *
 * Outline (members.c unless said otherwise): what was given (keys of body or params,
 * contradictions); writing members; splicing into a body; chat messages in OpenAI shape and their
 * translation (messages.c); options that live in an object of their own. */
#ifndef SHEAF_MESSAGES_H
#define SHEAF_MESSAGES_H

#include <sheaf/provider.h>

#include <string.h>

/* Keys that some builder asks about; the names stand in members.c. */
enum {
  SHEAF__KEY_MODEL,
  SHEAF__KEY_STREAM,
  SHEAF__KEY_STREAM_OPTIONS,
  SHEAF__KEY_MAX_TOKENS,
  SHEAF__KEY_MAX_COMPLETION_TOKENS,
  SHEAF__KEY_MAX_OUTPUT_TOKENS,
  SHEAF__KEY_MESSAGES,
  SHEAF__KEY_INPUT,
  SHEAF__KEY_PROMPT,
  SHEAF__KEY_CONTENTS,
  SHEAF__KEY_SYSTEM,
  SHEAF__KEY_INSTRUCTIONS,
  SHEAF__KEY_SYSTEM_INSTRUCTION,
  SHEAF__KEY_OPTIONS,
  SHEAF__KEY_GENERATION_CONFIG,
  SHEAF__KEY_COUNT
};

/* Where the content of a request comes from. */
enum {
  SHEAF__FROM_PROMPT,
  SHEAF__FROM_MESSAGES,
  SHEAF__FROM_BODY,
  SHEAF__FROM_PARAMS /* params hold the content's key themselves */
};

/* A request as given. values hold the spans of known keys, the body's or else the params'. */
typedef struct sheaf__given {
  const sheaf_build *build;
  const sheaf_request *request;
  uint32_t from;      /* SHEAF__FROM_* */
  sheaf_slice body;   /* as given, for SHEAF__FROM_BODY */
  sheaf_slice params; /* without space around it */
  sheaf_slice values[SHEAF__KEY_COUNT];
} sheaf__given;

/* Fails a call with a field and a sentence. Answers status. */
int32_t sheaf__build_fail(sheaf_call *call, int32_t status, const char *field, const char *message);

/* Reads what was given. content_key: the key of the operation's content, whose presence in params
 * stands for prompt and messages. SHEAF_E_FIELD, SHEAF_E_TYPE, SHEAF_E_SYNTAX, SHEAF_E_DEPTH. */
int32_t sheaf__given_read(const sheaf_build *build, uint32_t content_key, sheaf_call *call,
                          sheaf__given *given);
static inline bool sheaf__given_has(const sheaf__given *given, uint32_t key) {
  return given->values[key].bytes > 0;
}
/* Whether the given body has a member of this name. */
bool sheaf__body_has(const sheaf__given *given, sheaf_slice key);
/* SHEAF_E_FIELD when no model is known. */
int32_t sheaf__need_model(const sheaf__given *given, sheaf_call *call);
/* A cap on output tokens given as a JSON value; SHEAF_ABSENT when it is none. */
int64_t sheaf__given_cap(sheaf_slice value);
/* The operation asked for: the request's url or the endpoint's default, without a query, a trailing
 * slash and a leading /v1. Empty: neither was given. */
sheaf_slice sheaf__operation_path(const sheaf_build *build);

/* ---- Members ---- */

/* The members of params, in order: SHEAF_OK, SHEAF_E_END, or what is wrong with them. */
typedef struct sheaf__members {
  const char *at;
  const char *end;
  bool has_begun;
} sheaf__members;
void sheaf__members_init(sheaf__members *members, sheaf_slice params);
int32_t sheaf__members_next(sheaf__members *members, sheaf_slice *key, sheaf_slice *value);

/* Literal text without a strlen at run time. */
#define SHEAF__PUT(buf, text) sheaf_buf_append((buf), (text), sizeof(text) - 1)
/* A comma unless an object or array has just been opened. */
void sheaf__comma(sheaf_buf *buf);
/* "key":value, the value being JSON already. */
void sheaf__put_member(sheaf_buf *buf, sheaf_slice key, sheaf_slice value);
/* "key":number */
void sheaf__put_number(sheaf_buf *buf, const char *key, uint64_t number);
/* The prompt as a string with its quotes. */
void sheaf__put_prompt(const sheaf__given *given, sheaf_buf *buf);
/* The request's model, unless the body or params name one. */
void sheaf__put_model(const sheaf__given *given, sheaf_buf *buf);
/* The params that the body does not have. */
void sheaf__put_params(const sheaf__given *given, sheaf_buf *buf);
/* Ends a body: what was written so far (an open object) is joined with the given body's own
 * members; if nothing was, the body goes out as the bytes it is. */
void sheaf__put_rest_of_body(const sheaf__given *given, sheaf_buf *buf);

/* ---- Messages ---- */

enum { SHEAF__ROLE_SYSTEM, SHEAF__ROLE_USER, SHEAF__ROLE_ASSISTANT };

/* One message that can be translated: text alone. */
typedef struct sheaf__message {
  uint32_t role;
  sheaf_slice content; /* a string, or a checked array of {"type":"text","text":...} */
} sheaf__message;

/* Checks that all messages can be translated. *has_system: one of them is system or developer.
 * SHEAF_E_FIELD, SHEAF_E_TYPE, SHEAF_E_SYNTAX, SHEAF_E_DEPTH. */
int32_t sheaf__messages_check(sheaf_slice messages, sheaf_call *call, bool *has_system);
/* Walks checked messages: SHEAF_OK or SHEAF_E_END. */
int32_t sheaf__messages_iter(sheaf_slice messages, sheaf_json_iter *iter);
int32_t sheaf__message_next(sheaf_json_iter *iter, sheaf__message *message);
/* The text of a content as the inside of a string; parts are joined by a line break. */
void sheaf__put_content_inside(sheaf_buf *buf, sheaf_slice content);
/* All system messages as one string with its quotes, joined by an empty line. */
void sheaf__put_system_string(sheaf_buf *buf, sheaf_slice messages);
/* Whether a message in an array has the role system or developer; the array need not be
 * translatable. */
int32_t sheaf__messages_have_system(sheaf_slice messages, sheaf_call *call, bool *has_system);

/* ---- Options in an object of their own (Gemini's generationConfig, Ollama's options) ---- */

typedef struct sheaf__moved {
  const char *given; /* as it may stand in params */
  const char *name;  /* as the provider spells it */
  bool as_array;     /* a lone string becomes an array of one */
} sheaf__moved;

typedef struct sheaf__nest {
  const char *name; /* "generationConfig" */
  uint32_t key;     /* the same as SHEAF__KEY_* */
  const char *cap;  /* "maxOutputTokens"; NULL: the cap means nothing here */
  const sheaf__moved *moved;
  size_t moved_count;
  const char *const *dropped; /* names in params that never go out */
  size_t dropped_count;
} sheaf__nest;

/* The member that holds the nested options, if there are any: the given object's members, moved
 * params, the cap. */
void sheaf__put_nest(const sheaf__given *given, const sheaf__nest *nest, sheaf_buf *buf);
/* The params that are neither moved nor dropped nor in the body. */
void sheaf__put_unnested(const sheaf__given *given, const sheaf__nest *nest, sheaf_buf *buf);
/* The cap that put_nest sends, or SHEAF_ABSENT. */
int64_t sheaf__nest_cap(const sheaf__given *given, const sheaf__nest *nest);

#endif
