/* sim_openai_files.c: files in OpenAI's shape (protocols 1.4): uploaded as forms, listed, downloaded,
 * deleted. Mistral's and Groq's are the same.
 *
 * Outline: errors, times and lists for batches, too; a file as JSON; uploads; the other paths. */
#include "sim_openai_batch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FILE_MAX (512ull << 20)
#define LIST_MAX 10000u

/* ---- What batches use, too ---- */

uint32_t sheaf__sim_openai_batch_error(sim_call *call) {
  bool is_file = call->provider == &sheaf__sim_openai_files;
  if (call->error == SIM_NO_THING) {
    sheaf__sim_write(&call->out,
                     is_file ? "{\"error\":{\"message\":\"No such File object: %e\",\"type\":"
                               "\"invalid_request_error\",\"param\":\"id\",\"code\":null}}"
                             : "{\"error\":{\"message\":\"No batch found with id '%e'.\",\"type\":"
                               "\"invalid_request_error\",\"param\":null,\"code\":null}}",
                     &call->asked.model);
    return 404;
  }
  if (call->error == SIM_CONFLICT) {
    sheaf__sim_write(&call->out,
                     "{\"error\":{\"message\":\"%s\",\"type\":\"invalid_request_error\","
                     "\"param\":null,\"code\":null}}",
                     call->expected);
    return 409;
  }
  return sheaf__sim_openai_error(call);
}

void sheaf__sim_openai_time(const sim_store *store, uint64_t ns, sheaf_buf *out) {
  if (sheaf__sim_quirk(store, SHEAF_SIM_QUIRK_ISO)) {
    sheaf__sim_write_time(store, ns, "+00:00", out);
    return;
  }
  if (ns == 0 || ns == UINT64_MAX)
    sheaf_buf_append_text(out, "null");
  else
    sheaf_buf_append_i64(out, sheaf__sim_unix_us(store, ns) / 1000000);
}

uint32_t sheaf__sim_openai_page(sim_call *call, uint64_t most, uint64_t *limit) {
  const sim_query *query = &call->query;
  if (!sheaf__sim_page_limit(query->limit, 1, most, limit))
    return sheaf__sim_openai_refuse(call, "limit", "Invalid 'limit': out of its range.");
  if (query->order && strcmp(query->order, "asc") != 0 && strcmp(query->order, "desc") != 0)
    return sheaf__sim_openai_refuse(call, "order", "Invalid 'order': give asc or desc.");
  return SIM_ERROR_COUNT;
}

static void write_id(sheaf_buf *out, const char *name, const char *id) {
  sheaf__sim_write(out, id ? ",\"%s\":\"%s\"" : ",\"%s\":null", name, id);
}

void sheaf__sim_openai_list_end(sim_call *call, const char *first, const char *last,
                                bool has_more) {
  sheaf_buf_append_text(&call->out, "]");
  write_id(&call->out, "first_id", first);
  write_id(&call->out, "last_id", last);
  sheaf__sim_write(&call->out, ",\"has_more\":%s}", has_more ? "true" : "false");
}

/* ---- A file as JSON ---- */

void sheaf__sim_openai_file(const sim_call *call, const sim_file *file, sheaf_buf *out) {
  const sim_store *store = call->world->store;
  sheaf_slice name = sheaf_slice_of(file->name);
  sheaf__sim_write(out, "{\"id\":\"%s\",\"object\":\"file\",\"bytes\":%u,\"created_at\":", file->id,
                   file->span.bytes);
  sheaf__sim_openai_time(store, file->made_ns, out);
  sheaf_buf_append_text(out, ",\"expires_at\":");
  sheaf__sim_openai_time(store, file->is_expiry_told ? file->expires_ns : 0, out);
  sheaf__sim_write(out,
                   ",\"filename\":%q,\"purpose\":\"%s\",\"status\":\"processed\","
                   "\"status_details\":null}",
                   &name, file->purpose);
}

/* ---- Uploads ---- */

typedef struct upload {
  sheaf_slice purpose, filename, anchor, seconds;
  sim_span span;
  bool has_file;
} upload;

static bool is_named(sheaf_slice name, const char *wanted) {
  return name.bytes == strlen(wanted) && memcmp(name.data, wanted, name.bytes) == 0;
}

static void take_part(upload *made, const sim_form_part *part, sheaf_slice all) {
  if (is_named(part->name, "purpose")) made->purpose = part->value;
  if (is_named(part->name, "expires_after[anchor]") || is_named(part->name, "expires_after.anchor"))
    made->anchor = part->value;
  if (is_named(part->name, "expires_after[seconds]") ||
      is_named(part->name, "expires_after.seconds")) /* Azure's form, protocols 1.8 */
    made->seconds = part->value;
  if (!is_named(part->name, "file")) return;
  made->has_file = true;
  made->filename = part->filename;
  made->span.from = (uint64_t)(part->value.data - all.data);
  made->span.bytes = part->value.bytes;
}

/* The view stays open as long as the slices are used. false: it is no form. */
static bool read_form(sim_call *call, sim_view *view, upload *made) {
  sim_form form;
  sim_form_part part;
  *made = (upload){.span.blob = call->spool};
  if (!call->spool || !sheaf__sim_view_open(view, (sim_span){call->spool, 0, call->spool->bytes}))
    return false;
  if (!sheaf__sim_form_open(&form, call->query.content_type, view->text)) return false;
  while (sheaf__sim_form_next(&form, &part)) take_part(made, &part, view->text);
  return true;
}

static const char *purpose_of(sheaf_slice given) {
  static const char *const known[] = {"assistants", "batch",     "fine-tune",
                                      "vision",     "user_data", "evals"};
  for (size_t i = 0; i < sizeof known / sizeof *known; i++)
    if (is_named(given, known[i])) return known[i];
  return NULL;
}

/* Seconds, or 0: not given, or not right. */
static uint64_t expiry_of(const upload *made) {
  char text[16];
  uint64_t seconds;
  if (made->seconds.bytes == 0 || made->seconds.bytes >= sizeof text) return 0;
  memcpy(text, made->seconds.data, made->seconds.bytes);
  text[made->seconds.bytes] = 0;
  if (!sheaf__sim_value_decimal(text, 0, &seconds)) return 0;
  return seconds >= SIM_OPENAI_EXPIRY_MIN && seconds <= SIM_OPENAI_EXPIRY_MAX ? seconds : 0;
}

/* A name without an ending was taken, too (protocols 1.4). */
static bool is_jsonl(sheaf_slice name) {
  for (size_t i = name.bytes; i-- > 0;)
    if (name.data[i] == '.')
      return is_named((sheaf_slice){name.data + i, name.bytes - i}, ".jsonl");
  return true;
}

static uint32_t check_upload(sim_call *call, const upload *made) {
  if (!made->purpose.bytes)
    return sheaf__sim_fail(call, SIM_MISSING_FIELD, "purpose", "string", (sheaf_slice){0});
  if (!made->has_file)
    return sheaf__sim_fail(call, SIM_MISSING_FIELD, "file", "file", (sheaf_slice){0});
  const char *purpose = purpose_of(made->purpose);
  if (!purpose)
    return sheaf__sim_openai_refuse(call, "purpose",
                                    "Invalid value for 'purpose': expected one of 'assistants', "
                                    "'batch', 'fine-tune', 'vision', 'user_data', and 'evals'.");
  bool is_batch = strcmp(purpose, "batch") == 0;
  if (is_batch && !is_jsonl(made->filename))
    return sheaf__sim_openai_refuse(call, NULL,
                                    "Invalid file format for Batch API. Must be .jsonl");
  bool wants_expiry = made->anchor.bytes || made->seconds.bytes;
  if (wants_expiry && (!is_named(made->anchor, "created_at") || !expiry_of(made)))
    return sheaf__sim_openai_refuse(call, "expires_after",
                                    "Invalid 'expires_after': expected an anchor of 'created_at' "
                                    "and seconds from 3600 to 2592000.");
  uint64_t most = is_batch ? SIM_OPENAI_INPUT_MAX : FILE_MAX;
  return made->span.bytes > most ? SIM_TOO_LARGE : SIM_ERROR_COUNT;
}

static uint32_t read_upload(sim_call *call) {
  sim_view view = {0};
  upload made;
  uint32_t error = read_form(call, &view, &made)
                       ? check_upload(call, &made)
                       : sheaf__sim_openai_refuse(call, NULL,
                                                  "Could not parse the body: expected "
                                                  "multipart/form-data.");
  sheaf__sim_view_close(&view);
  return error;
}

static void answer_upload(sim_call *call) {
  sim_store *store = call->world->store;
  sim_view view = {0};
  upload made;
  if (!read_form(call, &view, &made)) return;
  const char *purpose = purpose_of(made.purpose);
  uint64_t seconds = expiry_of(&made), kept_ms = call->world->options->batch_keep_ms;
  uint64_t keep_ms = seconds                         ? seconds * 1000
                     : strcmp(purpose, "batch") != 0 ? 0
                     : kept_ms                       ? kept_ms
                                                     : SIM_OPENAI_KEEP_MS;
  sim_file *file = sheaf__sim_file_new(store, SIM_FILES_OPENAI, "file-", purpose, made.filename,
                                       made.span, call->now_ns, keep_ms);
  if (file) {
    file->is_expiry_told = seconds != 0;
    sheaf__sim_openai_file(call, file, &call->out);
    file->is_expiry_told = true;
  }
  sheaf__sim_view_close(&view);
}

/* ---- Lists ---- */

static bool is_listed(const sim_call *call, const sim_file *file) {
  const char *purpose = call->query.purpose;
  return file->kind == SIM_FILES_OPENAI && file->ready_ns <= call->now_ns &&
         (!purpose || strcmp(purpose, file->purpose) == 0);
}

static const sim_file *oldest(const sim_file *file) {
  while (file && file->next) file = file->next;
  return file;
}

static void answer_list(sim_call *call) {
  const sim_store *store = call->world->store;
  bool is_rising = call->query.order && strcmp(call->query.order, "asc") == 0, has_more = false;
  const char *first = NULL, *last = NULL;
  uint64_t limit = LIST_MAX, count = 0;
  sheaf__sim_page_limit(call->query.limit, 1, LIST_MAX, &limit);
  const sim_file *file = is_rising ? oldest(store->files) : store->files;
  if (call->file) file = is_rising ? call->file->previous : call->file->next;
  sheaf_buf_append_text(&call->out, "{\"object\":\"list\",\"data\":[");
  for (; file; file = is_rising ? file->previous : file->next) {
    if (!is_listed(call, file)) continue;
    if (count == limit) {
      has_more = true;
      break;
    }
    if (count++) sheaf_buf_append_text(&call->out, ",");
    sheaf__sim_openai_file(call, file, &call->out);
    if (!first) first = file->id;
    last = file->id;
  }
  sheaf__sim_openai_list_end(call, first, last, has_more);
}

/* ---- All paths ---- */

static uint32_t files_read(sim_call *call) {
  sim_store *store = call->world->store;
  uint32_t task = call->route->task;
  uint64_t limit;
  if (task == SIM_FILE_CREATE) return read_upload(call);
  sheaf_slice id = task == SIM_FILE_LIST ? sheaf_slice_of(call->query.after) : call->asked.model;
  call->file = sheaf__sim_file_find(store, id, call->now_ns);
  if (call->file && call->file->kind != SIM_FILES_OPENAI) call->file = NULL;
  if (task != SIM_FILE_LIST) return call->file ? SIM_ERROR_COUNT : SIM_NO_THING;
  if (id.bytes && !call->file)
    return sheaf__sim_openai_refuse(call, "after", "Invalid 'after': no such File object.");
  return sheaf__sim_openai_page(call, LIST_MAX, &limit);
}

static void answer_content(sim_call *call) {
  char header[160];
  int bytes = snprintf(header, sizeof header, "attachment; filename=\"%s\"", call->file->name);
  bool is_plain =
      bytes > 0 && (size_t)bytes < sizeof header && !strpbrk(call->file->name, "\"\r\n\\");
  sheaf__sim_header(call, "content-disposition", is_plain ? header : "attachment");
  call->content_type = "application/octet-stream";
  sheaf__sim_send_span(call, call->file->span);
}

static void files_answer(sim_call *call) {
  switch (call->route->task) {
    case SIM_FILE_CREATE: answer_upload(call); return;
    case SIM_FILE_LIST: answer_list(call); return;
    case SIM_FILE_GET: sheaf__sim_openai_file(call, call->file, &call->out); return;
    case SIM_FILE_CONTENT: answer_content(call); return;
    default:
      sheaf__sim_write(&call->out, "{\"id\":\"%s\",\"object\":\"file\",\"deleted\":true}",
                       call->file->id);
      sheaf__sim_file_delete(call->world->store, call->file);
      call->file = NULL;
  }
}

const sim_provider sheaf__sim_openai_files = {
    .name = "openai",
    .read = files_read,
    .answer = files_answer,
    .late_error = sheaf__sim_openai_late_error,
    .error = sheaf__sim_openai_batch_error,
    .headers = sheaf__sim_openai_headers,
};
