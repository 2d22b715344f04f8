/* resume.c: runs that go on where an earlier one ended: the core's resume index behind the module's calls.
 *
 *   use_resume    the engine asks the index from now on, through the door of a source that is offered its rows
 *   add_line      a line of the earlier output into the index
 *   offer         a row of the input: its id is noted, and what an earlier run finished does not go in
 *   is_replaced   which of two lines of one request goes, when the output is put in order
 *   log_frame     a record of the host's own; log_synced
 *   tools         the tool calls of an output line */
#include "exports.h"

#include <string.h>

static const uint8_t no_fingerprint[16] = {0}; /* of requests that could not be built */

static sheaf_slice slice_at(const char *data, uint32_t bytes) {
  return (sheaf_slice){data, bytes};
}

static int32_t refuse(wasm_client *client, int32_t status, const sheaf_parse_error *error) {
  return sheaf__wasm_fail(client, status,
                          error->message ? error->message : sheaf_status_text(status),
                          error->field ? error->field : "");
}

/* The id, kept for the mailbox: it says whose failure it is. */
static void show_id(wasm_client *client, sheaf_slice id) {
  sheaf_buf_reset(&client->out);
  sheaf_buf_append_slice(&client->out, id);
  client->mail.custom_id = sheaf__wasm_slice(sheaf_buf_slice(&client->out));
}

static sheaf_slice id_of(wasm_client *client, const sheaf_request *request, uint64_t index) {
  if (request->custom_id.bytes) return request->custom_id;
  sheaf_buf_reset(&client->id);
  sheaf_buf_append_text(&client->id, "row-");
  sheaf_buf_append_u64(&client->id, index + 1);
  return sheaf_buf_slice(&client->id);
}

/* ---- What the engine asks ---- */

static int32_t has_no_next(void *ctx, sheaf_request *request) {
  (void)ctx, (void)request;
  return SHEAF_E_LATER;
}

static void note_line(wasm_client *client, uint32_t flags, uint64_t offset) {
  client->mail.flags |= WASM_FLAG_LINE | flags;
  client->mail.number = (double)offset;
}

static int32_t admit(void *ctx, uint64_t index, const sheaf_request *request,
                     const uint8_t fingerprint[16]) {
  wasm_client *client = ctx;
  const sheaf_resume *known = client->resume;
  sheaf_slice id = request->custom_id;
  uint64_t offset = 0, unused;
  (void)index;
  int32_t status = sheaf_resume_find(known, id, fingerprint, client->retry_failed, &offset);
  if (status == SHEAF_E_END) {
    bool is_ok = sheaf_resume_find(known, id, fingerprint, true, &unused) == SHEAF_E_END;
    note_line(client, WASM_FLAG_SKIPPED | (is_ok ? WASM_FLAG_OK : 0u), offset);
  } else if (status == SHEAF_E_OTHER_RUN) {
    /* A request that could not be built has no content. Now that it can, its new line replaces the old. */
    if (sheaf_resume_find(known, id, no_fingerprint, false, &offset) != SHEAF_E_END) {
      show_id(client, id);
      return status;
    }
    note_line(client, WASM_FLAG_VOID, offset);
    return SHEAF_OK;
  } else if (client->retry_failed &&
             sheaf_resume_find(known, id, fingerprint, false, &offset) == SHEAF_E_END) {
    note_line(client, 0, offset);
  }
  return status;
}

static int32_t refused(void *ctx, uint64_t index, const sheaf_request *request,
                       const sheaf_parse_error *error) {
  wasm_client *client = ctx;
  uint64_t offset;
  (void)error; /* the result says it */
  client->mail.flags |= WASM_FLAG_REFUSED;
  sheaf_slice id = id_of(client, request, index);
  if (sheaf_resume_find(client->resume, id, no_fingerprint, false, &offset) == SHEAF_E_END)
    note_line(client, WASM_FLAG_VOID, offset);
  return SHEAF_OK;
}

/* The doors that are never used: the host takes actions and events from the mailbox. */
static int32_t never_starts(void *ctx, const sheaf_exchange *exchange) {
  (void)ctx, (void)exchange;
  return SHEAF_E_MISUSE;
}
static void never_cancels(void *ctx, uint64_t exchange) {
  (void)ctx, (void)exchange;
}
static int32_t never_puts(void *ctx, const sheaf_event *event) {
  (void)ctx, (void)event;
  return SHEAF_E_MISUSE;
}

int32_t sheaf_wasm_use_resume(uint32_t handle, uint32_t retry_failed) {
  wasm_client *client = sheaf__wasm_find(handle);
  if (!client) return sheaf__wasm_no_client();
  const sheaf_transport transport = {
      .struct_bytes = sizeof transport, .start = never_starts, .cancel = never_cancels};
  const sheaf_sink sink = {.struct_bytes = sizeof sink, .put = never_puts};
  const sheaf_source source = {.struct_bytes = sizeof source,
                               .ctx = client,
                               .next = has_no_next,
                               .admit = admit,
                               .refused = refused};
  const sheaf_doors doors = {
      .struct_bytes = sizeof doors, .transport = &transport, .sink = &sink, .source = &source};
  if (client->resume) return SHEAF_E_MISUSE;
  int32_t status = sheaf_engine_open(client->engine, &doors);
  client->retry_failed = retry_failed != 0;
  return status == SHEAF_OK ? sheaf_resume_new(&sheaf__wasm_allocator, &client->resume) : status;
}

/* ---- What the host tells and asks ---- */

static wasm_client *resuming(uint32_t handle, const char *data, uint32_t bytes) {
  wasm_client *client = sheaf__wasm_find(handle);
  return client && client->resume && sheaf__wasm_is_memory(data, bytes) ? client : NULL;
}

int32_t sheaf_wasm_add_line(uint32_t handle, const char *line, uint32_t bytes, double offset) {
  wasm_client *client = resuming(handle, line, bytes);
  if (!client || !(offset >= 0 && offset < 9e15)) return SHEAF_E_MISUSE;
  sheaf_line_facts facts;
  if (sheaf_resume_lines(client->resume) == 0 &&
      (sheaf_line_facts_read(slice_at(line, bytes), &facts) != SHEAF_OK || !facts.has_sheaf))
    return SHEAF_E_OTHER_RUN;
  return sheaf_resume_add_line(client->resume, slice_at(line, bytes), (uint64_t)offset);
}

/* Notes the id, once a row: one that is offered again, because there was no room or because the ids
 * behind two equal hashes differ, is through. */
static int32_t note_id(wasm_client *client, sheaf_slice id, uint32_t place) {
  if (client->noted == client->offered + 1) return SHEAF_OK;
  uint32_t earlier = 0;
  int32_t status = sheaf_resume_note_id(client->resume, id, place, &earlier);
  if (status != SHEAF_E_NOMEM) client->noted = client->offered + 1;
  if (status != SHEAF_E_DUPLICATE) return status;
  client->mail.number = earlier;
  show_id(client, id);
  return status;
}

int32_t sheaf_wasm_offer(uint32_t handle, const char *line, uint32_t bytes, uint32_t user,
                         uint32_t flags, uint32_t place) {
  wasm_client *client = resuming(handle, line, bytes);
  if (!client) return sheaf__wasm_no_client();
  client->mail.flags = 0;
  client->mail.number = 0;
  client->mail.custom_id = (wasm_slice){0};
  if (sheaf_engine_room(client->engine) == 0) return SHEAF_E_FULL;
  sheaf_request request = SHEAF_REQUEST_INIT;
  sheaf_parse_error error = {0};
  int32_t status = sheaf_line_read(slice_at(line, bytes), &client->line, &request, &error);
  if (status != SHEAF_OK) {
    client->mail.number = error.column;
    return refuse(client, status, &error);
  }
  request.user = (void *)(uintptr_t)user;
  request.line = place;
  request.flags |= sheaf__wasm_request_flags(flags);
  status = note_id(client, id_of(client, &request, client->offered), place);
  uint64_t index = client->offered;
  if (status == SHEAF_OK) status = sheaf_engine_offer(client->engine, &request, &index);
  bool comes_again = status == SHEAF_E_DUPLICATE || status == SHEAF_E_NOMEM;
  if (status != SHEAF_OK && !comes_again) client->noted = 0; /* the next is another row */
  if (status != SHEAF_OK) return refuse(client, status, &error);
  client->mail.index = (double)index;
  client->offered = index + 1;
  return SHEAF_OK;
}

int32_t sheaf_wasm_is_replaced(uint32_t handle, const char *line, uint32_t bytes, double offset) {
  wasm_client *client = resuming(handle, line, bytes);
  if (!client) return SHEAF_E_MISUSE;
  sheaf_line_facts facts;
  if (sheaf_line_facts_read(slice_at(line, bytes), &facts) != SHEAF_OK) return 0;
  sheaf_buf_reset(&client->id);
  sheaf_buf_append_unescaped(&client->id, facts.custom_id);
  if (client->id.status != SHEAF_OK) return client->id.status;
  uint64_t better = 0;
  int32_t found = sheaf_resume_find(client->resume, sheaf_buf_slice(&client->id), facts.fingerprint,
                                    false, &better);
  if (found == SHEAF_E_END) return (double)better != offset;
  /* Any line of an id is better than one which says that its request could not be built. */
  return found == SHEAF_E_OTHER_RUN &&
         memcmp(facts.fingerprint, no_fingerprint, sizeof no_fingerprint) == 0;
}

/* ---- The log ---- */

int32_t sheaf_wasm_log_frame(uint32_t handle, uint32_t type, const char *payload, uint32_t bytes) {
  wasm_client *client = sheaf__wasm_find(handle);
  if (!client) return sheaf__wasm_no_client();
  if (!sheaf__wasm_is_memory(payload, bytes)) return SHEAF_E_MISUSE;
  sheaf_buf_reset(&client->out);
  int32_t status = sheaf_log_frame(&client->log, type, slice_at(payload, bytes), &client->out);
  client->mail.bytes = sheaf__wasm_slice(sheaf_buf_slice(&client->out));
  return status;
}

int32_t sheaf_wasm_log_synced(uint32_t handle) {
  wasm_client *client = sheaf__wasm_find(handle);
  if (!client) return sheaf__wasm_no_client();
  client->log.synced = client->log.seq;
  return SHEAF_OK;
}

/* ---- Results that lie in lines ---- */

#define OPERATIONS_MAX 4u /* of a provider's; which one it was is not in the line */

int32_t sheaf_wasm_tools(uint32_t handle, const char *line, uint32_t bytes) {
  wasm_client *client = sheaf__wasm_find(handle);
  if (!client) return sheaf__wasm_no_client();
  if (!sheaf__wasm_is_memory(line, bytes)) return SHEAF_E_MISUSE;
  static const char *const paths[] = {"response.body", "sheaf.provider"};
  sheaf_slice values[2];
  int32_t status = sheaf_json_pick(slice_at(line, bytes), paths, 2, values, NULL, NULL);
  if (status != SHEAF_OK) return status;
  sheaf_result result = {.struct_bytes = sizeof result,
                         .body = values[0],
                         .provider = sheaf_json_inside(values[1]),
                         .streamed = sheaf_json_kind(values[0]) != SHEAF_JSON_OBJECT};
  sheaf_tool_call call;
  while (result.operation < OPERATIONS_MAX && sheaf_result_tool_call(&result, 0, &call) != SHEAF_OK)
    result.operation++;
  sheaf__wasm_write_tools(client, &result);
  return SHEAF_OK;
}
