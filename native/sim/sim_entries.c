/* sim_entries.c: a ring of the newest exchanges. An entry is opened when the request is there, gets
 * its verdict from the plan, and its end from the server; what the ring has overwritten in between
 * is skipped silently and counted as lost when somebody reads. */
#include "sim_entries.h"

#include <stdlib.h>
#include <string.h>

#define TEXT_MAX 64u /* of a model's name and of the client's id; longer ones are cut */

enum { UNDER_WAY, ANSWERED, LEFT, BROKEN };

typedef struct sim_entry {
  uint64_t sequence; /* 0: empty */
  uint64_t time_ns;  /* since the start */
  uint64_t duration_ns;
  uint64_t key_hash, body_hash;
  uint64_t input_tokens, output_tokens;
  const sim_route *route;
  uint32_t status, fault, error, sighting;
  uint8_t model_bytes, client_bytes;
  uint8_t ended;
  bool has_key, is_stream, is_billed, is_whole;
  char model[TEXT_MAX]; /* the inside of a JSON string */
  char client[TEXT_MAX];
  char batch[40]; /* the job that it is a row of; empty: none */
} sim_entry;

struct sim_entries {
  uint64_t next;  /* the sequence that the next entry gets */
  uint64_t first; /* the first one since the reset */
  uint32_t max;
  sim_entry ring[];
};

sim_entries *sheaf__sim_entries_new(uint32_t max) {
  sim_entries *entries = calloc(1, sizeof *entries + max * sizeof(sim_entry));
  if (!entries) return NULL;
  entries->next = entries->first = 1;
  entries->max = max;
  return entries;
}

void sheaf__sim_entries_free(sim_entries *entries) {
  free(entries);
}

void sheaf__sim_entries_reset(sim_entries *entries) {
  for (uint32_t i = 0; i < entries->max; i++) entries->ring[i].sequence = 0;
  entries->first = entries->next;
}

/* ---- Writing ---- */

/* How much of a JSON string's inside fits without cutting an escape or a character. */
static uint8_t fitting(sheaf_slice text) {
  size_t end = 0, step;
  for (; end < text.bytes; end += step) {
    unsigned char c = (unsigned char)text.data[end];
    step = c < 0x80 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
    if (c == '\\') step = end + 1 < text.bytes && text.data[end + 1] == 'u' ? 6 : 2;
    if (end + step > text.bytes || end + step > TEXT_MAX) break;
  }
  return (uint8_t)end;
}

static uint64_t since_start(const sim_call *call, uint64_t now_ns) {
  uint64_t start_ns = call->world->start_ns;
  return now_ns > start_ns ? now_ns - start_ns : 0;
}

uint64_t sheaf__sim_entries_open(sim_entries *entries, const sim_call *call, uint64_t now_ns) {
  uint64_t sequence = entries->next++;
  if (!entries->max) return sequence;
  sim_entry *entry = &entries->ring[sequence % entries->max];
  entry->sequence = sequence;
  entry->time_ns = since_start(call, now_ns);
  entry->duration_ns = 0;
  entry->key_hash = call->key_hash;
  entry->has_key = call->given_key != NULL;
  entry->route = call->route;
  entry->body_hash = entry->input_tokens = entry->output_tokens = 0;
  entry->status = entry->sighting = 0;
  entry->fault = SIM_NO_FAULT;
  entry->error = SIM_ERROR_COUNT;
  entry->model_bytes = entry->client_bytes = 0;
  entry->ended = UNDER_WAY;
  size_t batch_bytes = call->batch ? strlen(call->batch) : 0;
  if (batch_bytes >= sizeof entry->batch) batch_bytes = sizeof entry->batch - 1;
  if (batch_bytes) memcpy(entry->batch, call->batch, batch_bytes);
  entry->batch[batch_bytes] = 0;
  entry->is_stream = entry->is_billed = entry->is_whole = false;
  if (call->client_id) {
    size_t bytes = strlen(call->client_id);
    entry->client_bytes = (uint8_t)(bytes < TEXT_MAX ? bytes : TEXT_MAX);
    memcpy(entry->client, call->client_id, entry->client_bytes);
  }
  return sequence;
}

static sim_entry *find(sim_entries *entries, uint64_t sequence) {
  if (!entries->max) return NULL;
  sim_entry *entry = &entries->ring[sequence % entries->max];
  return entry->sequence == sequence && sequence ? entry : NULL;
}

void sheaf__sim_entries_decide(sim_entries *entries, const sim_call *call, uint32_t status,
                               bool is_billed, bool is_whole) {
  sim_entry *entry = find(entries, call->sequence);
  if (!entry) return;
  entry->body_hash = call->body_hash;
  entry->input_tokens = call->input_tokens;
  entry->output_tokens = call->output_tokens;
  entry->status = status;
  entry->fault = call->fault;
  entry->error = call->error;
  entry->sighting = call->sighting;
  entry->is_stream = call->asked.is_stream;
  entry->is_billed = is_billed;
  entry->is_whole = is_whole;
  entry->model_bytes = fitting(call->asked.model);
  if (entry->model_bytes) memcpy(entry->model, call->asked.model.data, entry->model_bytes);
}

/* Whether the client cannot have got a whole HTTP answer. */
static bool breaks(uint32_t fault, bool is_stream) {
  switch (fault) {
    case SHEAF_SIM_FAULT_RESET:
    case SHEAF_SIM_FAULT_CUT:
    case SHEAF_SIM_FAULT_REFUSE:
    case SHEAF_SIM_FAULT_RESET_HEAD:
    case SHEAF_SIM_FAULT_RESET_BODY:
    case SHEAF_SIM_FAULT_GARBAGE_HEAD:
    case SHEAF_SIM_FAULT_CHUNKS_BAD: return true;
    case SHEAF_SIM_FAULT_TRUNCATE: return !is_stream;
    default: return false;
  }
}

void sheaf__sim_entries_end(sim_entries *entries, const sim_call *call, bool is_left,
                            uint64_t now_ns) {
  sim_entry *entry = find(entries, call->sequence);
  if (!entry) return;
  entry->ended = breaks(entry->fault, entry->is_stream) ? BROKEN : is_left ? LEFT : ANSWERED;
  uint64_t ended_ns = since_start(call, now_ns);
  entry->duration_ns = ended_ns > entry->time_ns ? ended_ns - entry->time_ns : 0;
}

/* ---- Reading ---- */

static const char *error_name(uint32_t error) {
  static const char *const names[SIM_ERROR_COUNT] = {
      [SIM_BAD_JSON] = "bad_json",
      [SIM_MISSING_FIELD] = "missing_field",
      [SIM_WRONG_TYPE] = "wrong_type",
      [SIM_BAD_VALUE] = "bad_value",
      [SIM_UNKNOWN_FIELD] = "unknown_field",
      [SIM_UNKNOWN_MODEL] = "unknown_model",
      [SIM_CONTEXT] = "context",
      [SIM_NO_KEY] = "no_key",
      [SIM_WRONG_KEY] = "wrong_key",
      [SIM_NO_VERSION] = "no_version",
      [SIM_NO_PATH] = "no_path",
      [SIM_WRONG_METHOD] = "wrong_method",
      [SIM_TOO_LARGE] = "too_large",
      [SIM_RATE_REQUESTS] = "requests",
      [SIM_RATE_TOKENS] = "tokens",
      [SIM_RATE_INPUT] = "input_tokens",
      [SIM_RATE_OUTPUT] = "output_tokens",
      [SIM_RATE_NEVER] = "never_fits",
      [SIM_BUSY] = "concurrency",
      [SIM_QUEUE_FULL] = "queue",
      [SIM_QUOTA] = "quota",
      [SIM_TIMEOUT] = "timeout",
      [SIM_SERVER_ERROR] = "server_error",
      [SIM_LOADING] = "loading",
      [SIM_OVERLOADED] = "overloaded",
      [SIM_NO_THING] = "not_found",
      [SIM_CONFLICT] = "conflict",
  };
  return error < SIM_ERROR_COUNT ? names[error] : NULL;
}

static void write_text(sheaf_buf *json, const char *name, const char *text) {
  if (text)
    sheaf__sim_write(json, ",\"%s\":\"%s\"", name, text);
  else
    sheaf__sim_write(json, ",\"%s\":null", name);
}

static void write_hash(sheaf_buf *json, const char *name, uint64_t hash, unsigned digits) {
  char text[17];
  for (unsigned i = 0; i < digits; i++) text[i] = "0123456789abcdef"[hash >> (4 * (15 - i)) & 15];
  text[digits] = 0;
  write_text(json, name, text);
}

static void write_who(const sim_entry *entry, sheaf_buf *json) {
  sheaf_slice model = {entry->model, entry->model_bytes};
  sheaf_slice client = {entry->client, entry->client_bytes};
  if (entry->has_key)
    write_hash(json, "key", entry->key_hash, 8);
  else
    write_text(json, "key", NULL);
  if (client.bytes)
    sheaf__sim_write(json, ",\"client\":%q", &client);
  else
    write_text(json, "client", NULL);
  write_text(json, "path", entry->route ? entry->route->path : "unknown");
  write_text(json, "batch", entry->batch[0] ? entry->batch : NULL);
  if (model.bytes)
    sheaf__sim_write(json, ",\"model\":\"%r\"", &model);
  else
    write_text(json, "model", NULL);
  if (entry->body_hash)
    write_hash(json, "body_hash", entry->body_hash, 16);
  else
    write_text(json, "body_hash", NULL);
}

static void write_entry(const sim_entry *entry, sheaf_buf *json) {
  static const char *const ends[] = {NULL, "answered", "left", "broken"};
  sheaf__sim_write(json, "{\"seq\":%u,\"time_ms\":%u", entry->sequence, entry->time_ns / SIM_MS);
  write_who(entry, json);
  sheaf__sim_write(json, ",\"sighting\":%u,\"stream\":%s,\"status\":%u", (uint64_t)entry->sighting,
                   entry->is_stream ? "true" : "false", (uint64_t)entry->status);
  write_text(json, "error", error_name(entry->error));
  write_text(json, "fault", sheaf_sim_fault_name(entry->fault));
  sheaf__sim_write(json, ",\"input_tokens\":%u,\"output_tokens\":%u,\"billed\":%s,\"whole\":%s",
                   entry->input_tokens, entry->output_tokens, entry->is_billed ? "true" : "false",
                   entry->is_whole ? "true" : "false");
  write_text(json, "ended", ends[entry->ended]);
  sheaf__sim_write(json, ",\"duration_ms\":%u}", entry->duration_ns / SIM_MS);
}

void sheaf__sim_entries_write(const sim_entries *entries, uint64_t after, uint64_t limit,
                              sheaf_buf *json) {
  uint64_t oldest = entries->first, from = after < UINT64_MAX ? after + 1 : after;
  if (entries->next - oldest > entries->max) oldest = entries->next - entries->max;
  uint64_t lost = from < oldest ? oldest - from : 0;
  if (from < entries->first) lost = oldest - entries->first; /* a reset is no loss */
  if (from < oldest) from = oldest;
  uint64_t last = after;
  sheaf_buf_append_text(json, "{\"entries\":[");
  for (uint64_t at = from; at < entries->next && limit; at++, limit--) {
    if (at != from) sheaf_buf_append_text(json, ",\n");
    write_entry(&entries->ring[at % entries->max], json);
    last = at;
  }
  sheaf__sim_write(json, "],\"next\":%u,\"lost\":%u}", last, lost);
}
