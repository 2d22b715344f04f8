/* sim_ollama_error.c: how Ollama says no: one sentence, the server's or Go's own (protocols 4).
 *
 * Outline: Go's words for types; a body that is no JSON; fields; the rest; the body. */
#include "sim_shapes.h"

#include <string.h>

/* ---- What Go says of a body ---- */

static const char *go_kind(sheaf_slice value) {
  switch (sheaf_json_kind(value)) {
    case SHEAF_JSON_BOOL: return "bool";
    case SHEAF_JSON_NUMBER: return "number";
    case SHEAF_JSON_STRING: return "string";
    case SHEAF_JSON_ARRAY: return "array";
    default: return "object";
  }
}

typedef struct type_row {
  const char *field;
  const char *type;
} type_row;

/* The types that the fields have in Go; what is not named is a string. */
static const char *go_type(const sim_call *call) {
  static const type_row rows[] = {
      {"messages", "[]api.Message"},
      {"options", "map[string]interface {}"},
      {"stream", "bool"},
      {"raw", "bool"},
      {"truncate", "bool"},
      {"logprobs", "bool"},
      {"top_logprobs", "int"},
      {"dimensions", "int"},
      {"tools", "api.Tools"},
      {"images", "[]api.ImageData"},
      {"tool_calls", "[]api.ToolCall"},
  };
  if (!call->row) return call->expected;
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
    if (strcmp(rows[i].field, call->field) == 0) return rows[i].type;
  return "string";
}

/* A fraction for a whole number is repeated, as Go does. */
static void say_wrong_type(const sim_call *call, sheaf_buf *out) {
  sheaf__sim_write(out, "json: cannot unmarshal %s", go_kind(call->got));
  if (sheaf_json_kind(call->got) == SHEAF_JSON_NUMBER && call->row &&
      (call->row->kinds & SIM_IS_NUMBER)) {
    sheaf_buf_append_text(out, " ");
    sheaf__sim_say_value(call->got, out);
  }
  sheaf__sim_write(out, " into Go struct field %s.%s of type %s", call->where, call->field,
                   go_type(call));
}

static void say_bad_json(const sim_call *call, sheaf_buf *out) {
  sheaf_parse_error error = {0};
  sheaf_slice body = sheaf_buf_slice(&call->body);
  if (call->expected && call->body.bytes == 0) {
    sheaf_buf_append_text(out, call->expected);
  } else if (sheaf_json_check(body, &error) == SHEAF_OK) {
    sheaf__sim_write(out, "json: cannot unmarshal %s into Go value of type api.Request",
                     go_kind(body));
  } else if (error.status == SHEAF_E_PARTIAL || error.offset >= body.bytes) {
    sheaf_buf_append_text(out, "unexpected EOF");
  } else {
    sheaf_buf_append_text(out, "invalid character '");
    sheaf_buf_append(out, body.data + error.offset, 1);
    sheaf_buf_append_text(out, "' in request body");
  }
}

/* ---- Sentences ---- */

static bool is_option(const sim_call *call) {
  return strcmp(call->where, "options") == 0;
}

/* The field's own sentence; but for a format that is none, which is told as it was given. */
static void say_bad_value(const sim_call *call, sheaf_buf *out) {
  if (is_option(call)) {
    sheaf__sim_write(out, "option \"%s\" must be of type %s", call->field, call->expected);
  } else if (call->expected) {
    bool is_header = strncmp(call->field, "x-", 2) == 0;
    sheaf__sim_write(out, is_header ? "%s: " : "", call->field);
    sheaf_buf_append_text(out, call->expected);
  } else {
    sheaf_buf_append_text(out, "invalid format: \"");
    sheaf__sim_say_value(call->got, out);
    sheaf_buf_append_text(out, "\"; expected \"json\" or a valid JSON Schema object");
  }
}

static void say_model(const sim_call *call, sheaf_buf *out) {
  sheaf_buf_append_text(out, "model '");
  sheaf__sim_say_inside(call->asked.model, out);
  sheaf_buf_append_text(out, "' not found");
}

/* Chat and show ask for the model's name; the others look for a model without one. */
static bool asks_for_name(const sim_call *call) {
  return sheaf__sim_route_ends(call, "/chat") || call->route->task == SIM_MODEL;
}

typedef struct error_row {
  uint32_t status;
  const char *sentence; /* NULL: made for the case */
} error_row;

#define BUSY "server busy, please try again.  maximum pending requests exceeded"

static const error_row rows[SIM_ERROR_COUNT] = {
    [SIM_BAD_JSON] = {400, NULL},
    [SIM_MISSING_FIELD] = {400, NULL},
    [SIM_WRONG_TYPE] = {400, NULL},
    [SIM_BAD_VALUE] = {400, NULL},
    [SIM_UNKNOWN_FIELD] = {400, "unknown field"},
    [SIM_UNKNOWN_MODEL] = {404, NULL},
    [SIM_CONTEXT] = {400, "the input length exceeds the context length"},
    [SIM_NO_KEY] = {401, "unauthorized"},
    [SIM_WRONG_KEY] = {401, "unauthorized"},
    [SIM_NO_VERSION] = {400, "missing version"},
    [SIM_NO_PATH] = {404, "404 page not found"},
    [SIM_WRONG_METHOD] = {405, "405 method not allowed"},
    [SIM_TOO_LARGE] = {413, "http: request body too large"},
    [SIM_RATE_REQUESTS] = {429, "too many requests"},
    [SIM_RATE_TOKENS] = {429, "too many tokens"},
    [SIM_RATE_INPUT] = {429, "too many input tokens"},
    [SIM_RATE_OUTPUT] = {429, "too many output tokens"},
    [SIM_RATE_NEVER] = {429, "too many tokens"},
    [SIM_BUSY] = {503, BUSY},
    [SIM_QUEUE_FULL] = {503, BUSY},
    [SIM_QUOTA] = {429, "you've reached your usage limit, please upgrade to continue"},
    [SIM_TIMEOUT] = {408, "request timeout"},
    [SIM_SERVER_ERROR] = {500, "an error was encountered while running the model: unexpected EOF"},
    [SIM_LOADING] = {503, "llm server loading model"},
    [SIM_OVERLOADED] = {503, BUSY},
};

static void say(const sim_call *call, sheaf_buf *out) {
  if (rows[call->error].sentence) {
    sheaf_buf_append_text(out, rows[call->error].sentence);
    return;
  }
  switch (call->error) {
    case SIM_BAD_JSON: say_bad_json(call, out); break;
    case SIM_WRONG_TYPE: say_wrong_type(call, out); break;
    case SIM_BAD_VALUE: say_bad_value(call, out); break;
    case SIM_MISSING_FIELD:
      if (asks_for_name(call))
        sheaf_buf_append_text(out, "model is required");
      else
        say_model(call, out);
      break;
    default: say_model(call, out); break;
  }
}

/* Options and formats are looked at by what runs the model, so that its failure is the server's. */
static uint32_t status_of(const sim_call *call) {
  bool is_late = call->error == SIM_BAD_VALUE && (is_option(call) || !call->expected);
  if (is_late) return 500;
  if (call->error == SIM_MISSING_FIELD && !asks_for_name(call)) return 404;
  return rows[call->error].status;
}

/* ---- Bodies ---- */

static void write_error(sim_call *call, sheaf_slice message) {
  sheaf__sim_write(&call->out, "{\"error\":%q", &message);
  if (call->error == SIM_NO_KEY || call->error == SIM_WRONG_KEY)
    sheaf_buf_append_text(&call->out, ",\"signin_url\":\"https://ollama.com/connect\"");
  sheaf_buf_append_text(&call->out, "}");
}

uint32_t sheaf__sim_ollama_error(sim_call *call) {
  sheaf_buf message;
  sheaf_buf_init(&message, &sheaf__sim_allocator, SIM_SAID_MAX);
  say(call, &message);
  write_error(call, sheaf_buf_slice(&message));
  sheaf_buf_deinit(&message);
  return status_of(call);
}

void sheaf__sim_ollama_late_error(sim_call *call) {
  write_error(call, sheaf_slice_of(rows[SIM_SERVER_ERROR].sentence));
  if (call->is_stream) sheaf_buf_append_text(&call->out, "\n");
}
