/* line_in.c: one input line to one request.
 *
 * The line is checked once as a whole (syntax, UTF-8), then its top-level members are walked once. What can be borrowed
 * from the line is; what needs unescaping goes to scratch. Everything put there comes from another part of the line
 * and gets no longer by it, so one reservation of the line's size keeps scratch from moving under its own slices.
 *
 * Three forms:
 *   "text"                                            a prompt
 *   {"prompt" | "messages": ..., any body members}    the short form; other members become params, verbatim
 *   {"input": ..., any body members}                  the same, with the content among the params (embeddings)
 *   {"custom_id", "method", "url", "body": {...}}     the OpenAI batch form; the body goes out as it is
 * A known member that is null counts as absent. A known member twice is refused: one of the two would be lost.
 *
 * Outline: the known members, failing, one function per kind of member, params, the whole line. */
#include <sheaf/line.h>

#include "base/mem.h"
#include "base/swar.h"

/* ---- The known members ---- */

enum member {
  MEMBER_CUSTOM_ID,
  MEMBER_METHOD,
  MEMBER_URL,
  MEMBER_BODY,
  MEMBER_PROMPT,
  MEMBER_MESSAGES,
  MEMBER_MODEL,
  MEMBER_PROVIDER,
  MEMBER_ENDPOINT,
  MEMBER_SYSTEM,
  MEMBER_MAX_TOKENS,
  MEMBER_PRIORITY,
  MEMBER_DEADLINE_MS,
  MEMBER_LANE,
  MEMBER_TRUST_KEY,
  MEMBER_METADATA,
  MEMBER_STREAM,
  MEMBER_COUNT,
  MEMBER_OTHER = MEMBER_COUNT
};

typedef struct known_member {
  const char *name;
  size_t bytes;
} known_member;

#define KNOWN(text) \
  { (text), sizeof(text) - 1 }

static const known_member known[MEMBER_COUNT] = {[MEMBER_CUSTOM_ID] = KNOWN("custom_id"),
                                                 [MEMBER_METHOD] = KNOWN("method"),
                                                 [MEMBER_URL] = KNOWN("url"),
                                                 [MEMBER_BODY] = KNOWN("body"),
                                                 [MEMBER_PROMPT] = KNOWN("prompt"),
                                                 [MEMBER_MESSAGES] = KNOWN("messages"),
                                                 [MEMBER_MODEL] = KNOWN("model"),
                                                 [MEMBER_PROVIDER] = KNOWN("provider"),
                                                 [MEMBER_ENDPOINT] = KNOWN("endpoint"),
                                                 [MEMBER_SYSTEM] = KNOWN("system"),
                                                 [MEMBER_MAX_TOKENS] = KNOWN("max_tokens"),
                                                 [MEMBER_PRIORITY] = KNOWN("priority"),
                                                 [MEMBER_DEADLINE_MS] = KNOWN("deadline_ms"),
                                                 [MEMBER_LANE] = KNOWN("lane"),
                                                 [MEMBER_TRUST_KEY] = KNOWN("trust_key"),
                                                 [MEMBER_METADATA] = KNOWN("metadata"),
                                                 [MEMBER_STREAM] = KNOWN("stream")};

static enum member member_of(sheaf_slice key) {
  for (uint32_t i = 0; i < MEMBER_COUNT; i++)
    if (known[i].bytes == key.bytes && memcmp(known[i].name, key.data, key.bytes) == 0)
      return (enum member)i;
  return MEMBER_OTHER;
}

typedef struct reading {
  sheaf_slice line;
  sheaf_buf *scratch;
  sheaf_request *request;
  sheaf_parse_error *error;
  const char *keys[MEMBER_COUNT]; /* where each known member was seen; NULL: not */
  const char *others_begin;       /* the first run of members that are not known */
  const char *others_end;
  uint32_t other_runs;
  bool in_others;
  bool has_input;
} reading;

/* ---- Failing ---- */

static int32_t fail(const reading *r, int32_t status, const char *field, const char *at,
                    const char *message) {
  const size_t offset = at ? (size_t)(at - r->line.data) : 0;
  *r->error = (sheaf_parse_error){.status = status,
                                  .column = at ? (uint32_t)offset + 1 : 0,
                                  .offset = offset,
                                  .field = field,
                                  .message = message};
  return status;
}

static int32_t fail_type(const reading *r, enum member member, sheaf_slice value,
                         const char *message) {
  return fail(r, SHEAF_E_TYPE, known[member].name, value.data, message);
}

static int32_t fail_field(const reading *r, enum member member, sheaf_slice value,
                          const char *message) {
  return fail(r, SHEAF_E_FIELD, known[member].name, value.data, message);
}

/* Room for all that this line can put into scratch. Only the first call can move it. */
static int32_t need_scratch(const reading *r) {
  if (r->scratch->bytes) return SHEAF_OK;
  const int32_t status = sheaf_buf_reserve(r->scratch, r->line.bytes);
  if (status == SHEAF_OK) return SHEAF_OK;
  if (status == SHEAF_E_NOMEM) return fail(r, status, NULL, NULL, "no memory for this line");
  return fail(r, SHEAF_E_TOO_LONG, NULL, NULL, "the line is longer than its buffer may grow");
}

/* ---- Members by kind ---- */

static int32_t read_text(const reading *r, enum member member, sheaf_slice value,
                         sheaf_slice *text) {
  if (sheaf_json_kind(value) != SHEAF_JSON_STRING)
    return fail_type(r, member, value, "this member is a string: write it in double quotes");
  const sheaf_slice inside = sheaf_json_inside(value);
  *text = inside;
  if (inside.bytes == 0 || !memchr(inside.data, '\\', inside.bytes)) return SHEAF_OK;
  int32_t status = need_scratch(r);
  if (status != SHEAF_OK) return status;
  const size_t begin = r->scratch->bytes;
  status = sheaf_buf_append_unescaped(r->scratch, inside);
  if (status != SHEAF_OK) return fail_type(r, member, value, "an escape in this string is broken");
  *text = (sheaf_slice){r->scratch->data + begin, r->scratch->bytes - begin};
  return SHEAF_OK;
}

/* A whole number is taken as its text: 7 and "7" are one id. */
static int32_t read_custom_id(const reading *r, sheaf_slice value) {
  sheaf_slice *id = &r->request->custom_id;
  if (sheaf_json_kind(value) == SHEAF_JSON_NUMBER) {
    for (size_t i = 0; i < value.bytes; i++)
      if ((value.data[i] < '0' || value.data[i] > '9') && !(i == 0 && value.data[0] == '-'))
        return fail_type(r, MEMBER_CUSTOM_ID, value, "custom_id is a string or a whole number");
    *id = value;
  } else if (sheaf_json_kind(value) != SHEAF_JSON_STRING) {
    return fail_type(r, MEMBER_CUSTOM_ID, value, "custom_id is a string or a whole number");
  } else {
    const int32_t status = read_text(r, MEMBER_CUSTOM_ID, value, id);
    if (status != SHEAF_OK) return status;
  }
  if (id->bytes == 0)
    return fail_field(r, MEMBER_CUSTOM_ID, value,
                      "custom_id is empty: give it text, or leave it out for \"row-N\"");
  if (id->bytes > SHEAF_CUSTOM_ID_BYTES_MAX)
    return fail(r, SHEAF_E_TOO_LONG, known[MEMBER_CUSTOM_ID].name, value.data,
                "custom_id is longer than 512 bytes: shorten it");
  return SHEAF_OK;
}

/* The text becomes part of a request line, so nothing that could end it may be inside. */
static int32_t read_url(const reading *r, sheaf_slice value) {
  const int32_t status = read_text(r, MEMBER_URL, value, &r->request->url);
  if (status != SHEAF_OK) return status;
  const sheaf_slice url = r->request->url;
  if (url.bytes == 0 || url.data[0] != '/')
    return fail_field(r, MEMBER_URL, value,
                      "url is a path such as \"/v1/chat/completions\": the host is the endpoint's");
  for (size_t i = 0; i < url.bytes; i++)
    if (url.data[i] <= ' ' || url.data[i] > '~')
      return fail_field(r, MEMBER_URL, value,
                        "url holds a space, a control or a non-ASCII byte: percent-encode it");
  return SHEAF_OK;
}

static int32_t read_number(const reading *r, enum member member, sheaf_slice value, uint64_t max,
                           const char *message, uint64_t *number) {
  int64_t read = 0;
  if (sheaf_json_kind(value) != SHEAF_JSON_NUMBER) return fail_type(r, member, value, message);
  const int32_t status = sheaf_json_int(value, &read);
  if (status == SHEAF_E_TYPE) return fail_type(r, member, value, message);
  if (status != SHEAF_OK || read < 1 || (uint64_t)read > max)
    return fail_field(r, member, value, message);
  *number = (uint64_t)read;
  return SHEAF_OK;
}

static int32_t read_priority(const reading *r, sheaf_slice value) {
  static const char message[] =
      "priority is 1 to 100, or \"urgent\", \"high\", \"normal\", \"low\" or \"deferrable\"";
  static const struct {
    const char *name;
    uint32_t priority;
  } names[] = {{"urgent", SHEAF_PRIORITY_URGENT},
               {"high", SHEAF_PRIORITY_HIGH},
               {"normal", SHEAF_PRIORITY_NORMAL},
               {"low", SHEAF_PRIORITY_LOW},
               {"deferrable", SHEAF_PRIORITY_DEFERRABLE}};
  if (sheaf_json_kind(value) != SHEAF_JSON_STRING) {
    uint64_t number = 0;
    const int32_t status = read_number(r, MEMBER_PRIORITY, value, 100, message, &number);
    r->request->priority = (uint32_t)number;
    return status;
  }
  for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
    if (!sheaf_json_equals(value, names[i].name)) continue;
    r->request->priority = names[i].priority;
    return SHEAF_OK;
  }
  return fail_field(r, MEMBER_PRIORITY, value, message);
}

static int32_t read_lane(const reading *r, sheaf_slice value) {
  static const char message[] = "lane is \"live\", \"merged\", \"batch\" or \"auto\"";
  static const char *const names[] = {[SHEAF_LANE_LIVE] = "live",
                                      [SHEAF_LANE_MERGED] = "merged",
                                      [SHEAF_LANE_BATCH] = "batch",
                                      [SHEAF_LANE_AUTO] = "auto"};
  if (sheaf_json_kind(value) != SHEAF_JSON_STRING) return fail_type(r, MEMBER_LANE, value, message);
  for (uint32_t i = 0; i < sizeof names / sizeof names[0]; i++) {
    if (!sheaf_json_equals(value, names[i])) continue;
    r->request->lane = i;
    return SHEAF_OK;
  }
  return fail_field(r, MEMBER_LANE, value, message);
}

static int32_t read_method(const reading *r, sheaf_slice value) {
  if (sheaf_json_equals(value, "POST")) return SHEAF_OK;
  const int32_t status = sheaf_json_kind(value) == SHEAF_JSON_STRING ? SHEAF_E_FIELD : SHEAF_E_TYPE;
  return fail(r, status, known[MEMBER_METHOD].name, value.data,
              "method is \"POST\": correct it or leave it out");
}

static int32_t read_stream(const reading *r, sheaf_slice value) {
  if (sheaf_json_kind(value) != SHEAF_JSON_BOOL)
    return fail_type(r, MEMBER_STREAM, value, "stream is true or false");
  if (sheaf_json_true(value)) r->request->flags |= SHEAF_REQUEST_STREAM;
  return SHEAF_OK;
}

static int32_t read_prompt(const reading *r, sheaf_slice value) {
  if (sheaf_json_kind(value) != SHEAF_JSON_STRING)
    return fail_type(r, MEMBER_PROMPT, value,
                     "prompt is a string; for a conversation give messages instead");
  r->request->prompt = sheaf_json_inside(value);
  r->request->flags |= SHEAF_REQUEST_PROMPT_ESCAPED;
  return SHEAF_OK;
}

static int32_t read_span(const reading *r, enum member member, sheaf_slice value, uint32_t kind,
                         const char *message, sheaf_slice *span) {
  if (sheaf_json_kind(value) != kind) return fail_type(r, member, value, message);
  *span = value;
  return SHEAF_OK;
}

static int32_t read_member(const reading *r, enum member member, sheaf_slice value) {
  sheaf_request *request = r->request;
  switch (member) {
    case MEMBER_CUSTOM_ID: return read_custom_id(r, value);
    case MEMBER_METHOD: return read_method(r, value);
    case MEMBER_URL: return read_url(r, value);
    case MEMBER_BODY:
      return read_span(r, member, value, SHEAF_JSON_OBJECT,
                       "body is an object in the provider's shape", &request->body);
    case MEMBER_PROMPT: return read_prompt(r, value);
    case MEMBER_MESSAGES:
      return read_span(r, member, value, SHEAF_JSON_ARRAY,
                       "messages is an array of {\"role\", \"content\"}", &request->messages);
    case MEMBER_MODEL: return read_text(r, member, value, &request->model);
    case MEMBER_PROVIDER:
    case MEMBER_ENDPOINT: return read_text(r, member, value, &request->endpoint);
    case MEMBER_SYSTEM: return read_text(r, member, value, &request->system);
    case MEMBER_MAX_TOKENS:
      return read_number(r, member, value, UINT32_MAX, "max_tokens is a whole number from 1 on",
                         &request->max_tokens);
    case MEMBER_PRIORITY: return read_priority(r, value);
    case MEMBER_DEADLINE_MS:
      return read_number(r, member, value, INT64_MAX / SHEAF__MS,
                         "deadline_ms is a whole number of milliseconds from 1 on",
                         &request->deadline_ms);
    case MEMBER_LANE: return read_lane(r, value);
    case MEMBER_TRUST_KEY: return read_text(r, member, value, &request->trust_key);
    case MEMBER_METADATA: request->metadata = value; return SHEAF_OK;
    case MEMBER_STREAM: return read_stream(r, value);
    case MEMBER_OTHER: break;
  }
  SHEAF_UNREACHABLE();
}

/* ---- The members of an object ---- */

/* Notes where the members that are not known lie. Neighbours make one run, which can be borrowed as it stands. */
static void note_other(reading *r, sheaf_slice key, sheaf_slice value) {
  if (key.bytes == 5 && memcmp(key.data, "input", 5) == 0) r->has_input = true;
  if (!r->in_others && r->other_runs++ == 0) r->others_begin = key.data - 1;
  r->in_others = true;
  if (r->other_runs == 1) r->others_end = value.data + value.bytes;
}

static int32_t read_members(reading *r, sheaf_slice object) {
  sheaf_json_iter iter;
  sheaf_slice key, value;
  int32_t status = sheaf_json_iter_init(&iter, object);
  while (status == SHEAF_OK && sheaf_json_iter_next(&iter, &key, &value) == SHEAF_OK) {
    const enum member member = member_of(key);
    if (member == MEMBER_OTHER) {
      note_other(r, key, value);
      continue;
    }
    r->in_others = false;
    if (sheaf_json_kind(value) == SHEAF_JSON_NULL) continue;
    if (r->keys[member])
      return fail(r, SHEAF_E_FIELD, known[member].name, key.data - 1,
                  "this member is there twice: leave one of them out");
    r->keys[member] = key.data - 1;
    status = read_member(r, member, value);
  }
  return status;
}

/* Joins the members that are not known, verbatim, in scratch. */
static int32_t join_others(const reading *r, sheaf_slice object, sheaf_slice *joined) {
  sheaf_json_iter iter;
  sheaf_slice key, value;
  int32_t status = need_scratch(r);
  if (status != SHEAF_OK) return status;
  const size_t begin = r->scratch->bytes;
  status = sheaf_json_iter_init(&iter, object);
  while (status == SHEAF_OK && sheaf_json_iter_next(&iter, &key, &value) == SHEAF_OK) {
    if (member_of(key) != MEMBER_OTHER) continue;
    if (r->scratch->bytes > begin) sheaf_buf_append(r->scratch, ",", 1);
    sheaf_buf_append(r->scratch, key.data - 1, (size_t)(value.data + value.bytes - key.data) + 1);
  }
  SHEAF_ASSERT(r->scratch->status == SHEAF_OK); /* all of it was reserved */
  *joined = (sheaf_slice){r->scratch->data + begin, r->scratch->bytes - begin};
  return status;
}

/* A body goes out as it is; what stands beside it would be lost in silence. */
static int32_t check_beside_body(const reading *r) {
  static const enum member refused[] = {MEMBER_PROMPT, MEMBER_MESSAGES, MEMBER_SYSTEM,
                                        MEMBER_MAX_TOKENS};
  static const char message[] =
      "body goes out as it is: put this member inside of it, or leave body out";
  for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++)
    if (r->keys[refused[i]])
      return fail(r, SHEAF_E_FIELD, known[refused[i]].name, r->keys[refused[i]], message);
  if (r->other_runs)
    return fail(r, SHEAF_E_FIELD, known[MEMBER_BODY].name, r->others_begin, message);
  return SHEAF_OK;
}

static int32_t read_object(reading *r, sheaf_slice object) {
  sheaf_request *request = r->request;
  int32_t status = read_members(r, object);
  if (status != SHEAF_OK) return status;
  if (r->keys[MEMBER_PROVIDER] && r->keys[MEMBER_ENDPOINT])
    return fail(r, SHEAF_E_FIELD, known[MEMBER_ENDPOINT].name, r->keys[MEMBER_ENDPOINT],
                "provider and endpoint say the same thing: leave one of them out");
  if (r->keys[MEMBER_BODY]) return check_beside_body(r);
  if (r->keys[MEMBER_PROMPT] && r->keys[MEMBER_MESSAGES])
    return fail(r, SHEAF_E_FIELD, known[MEMBER_PROMPT].name, r->keys[MEMBER_PROMPT],
                "give one of prompt and messages, not both");
  if (!r->keys[MEMBER_PROMPT] && !r->keys[MEMBER_MESSAGES] && !r->has_input)
    return fail(r, SHEAF_E_FIELD, known[MEMBER_PROMPT].name, object.data,
                "nothing to ask: give prompt, messages, input or body");
  if (r->other_runs > 1) return join_others(r, object, &request->params);
  if (r->other_runs == 1)
    request->params = (sheaf_slice){r->others_begin, (size_t)(r->others_end - r->others_begin)};
  return SHEAF_OK;
}

/* ---- The line ---- */

/* The first byte that is no UTF-8; there is one. */
static const char *find_invalid_utf8(sheaf_slice text) {
  const char *p = text.data;
  const char *end = text.data + text.bytes;
  while (p < end) {
    const int step = sheaf__utf8_step(p, (size_t)(end - p));
    if (step < 0) break;
    p += step;
  }
  return p;
}

/* Checks the whole line and finds its value, without the space around it. */
static int32_t check_line(const reading *r, sheaf_slice *value) {
  sheaf_json_facts facts;
  if (r->line.bytes > SHEAF_LINE_BYTES_MAX)
    return fail(r, SHEAF_E_TOO_LONG, NULL, NULL, "the line is longer than 64 MiB: split it");
  const int32_t status = sheaf_json_pick(r->line, NULL, 0, NULL, &facts, r->error);
  if (status == SHEAF_E_PARTIAL) r->error->status = SHEAF_E_SYNTAX;
  if (status != SHEAF_OK) return r->error->status;
  if (facts.has_invalid_utf8)
    return fail(r, SHEAF_E_UTF8, NULL, find_invalid_utf8(r->line),
                "this byte is not valid UTF-8: save the file as UTF-8");
  size_t begin = 0;
  while ((unsigned char)r->line.data[begin] <= ' ') begin++;
  *value = (sheaf_slice){r->line.data + begin, facts.bytes_used - begin};
  return SHEAF_OK;
}

int32_t sheaf_line_read(sheaf_slice line, sheaf_buf *scratch, sheaf_request *request,
                        sheaf_parse_error *error) {
  sheaf_parse_error unwanted;
  reading r = {.line = line, .scratch = scratch, .request = request};
  r.error = error ? error : &unwanted;
  sheaf_buf_reset(scratch);
  *request = SHEAF_REQUEST_INIT;
  sheaf_slice value;
  const int32_t status = check_line(&r, &value);
  if (status != SHEAF_OK) return status;
  if (sheaf_json_kind(value) == SHEAF_JSON_OBJECT) return read_object(&r, value);
  if (sheaf_json_kind(value) == SHEAF_JSON_STRING) return read_prompt(&r, value);
  return fail(&r, SHEAF_E_TYPE, NULL, value.data,
              "a line is a string or an object: {\"prompt\": \"...\"}");
}
