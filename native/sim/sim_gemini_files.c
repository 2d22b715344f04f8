/* sim_gemini_files.c: files as the Gemini API has them (protocols 3.3): resumable uploads in pieces,
 * lists, downloads.
 *
 * Outline: what batches use, too; a file as JSON; the upload: start, pieces; the other paths. */
#include "sim_gemini_batch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KEEP_MS (2 * SIM_GEMINI_DAY_MS)
#define PAGE_DEFAULT 10u
#define PAGE_MAX 100u

static const sheaf_slice nothing = {NULL, 0};

/* ---- What batches use, too ---- */

uint32_t sheaf__sim_gemini_batch_error(sim_call *call) {
  bool is_file = call->provider == &sheaf__sim_gemini_files;
  if (call->error == SIM_NO_THING && is_file) {
    sheaf__sim_write(&call->out,
                     "{\"error\":{\"code\":403,\"message\":\"You do not have permission to access "
                     "the File %r or it may not exist.\",\"status\":\"PERMISSION_DENIED\"}}",
                     &call->asked.model);
    return 403;
  }
  if (call->error == SIM_NO_THING) {
    sheaf_buf_append_text(&call->out,
                          "{\"error\":{\"code\":404,\"message\":\"Requested entity was not "
                          "found.\",\"status\":\"NOT_FOUND\"}}");
    return 404;
  }
  if (call->error == SIM_CONFLICT) {
    sheaf__sim_write(&call->out,
                     "{\"error\":{\"code\":400,\"message\":\"%s\",\"status\":"
                     "\"FAILED_PRECONDITION\"}}",
                     call->expected);
    return 400;
  }
  return sheaf__sim_gemini_error(call);
}

void sheaf__sim_gemini_batch_headers(sim_call *call, int64_t unix_s) {
  (void)unix_s;
  sheaf__sim_header(call, "vary", "Origin, X-Origin, Referer");
}

void sheaf__sim_gemini_time(const sim_call *call, const char *name, uint64_t ns, sheaf_buf *out) {
  if (ns == 0 || ns == UINT64_MAX) return;
  sheaf__sim_write(out, ",\"%s\":", name);
  sheaf__sim_write_time(call->world->store, ns, "Z", out);
}

sheaf_slice sheaf__sim_gemini_member(sheaf_slice object, const char *camel, const char *snake) {
  if (sheaf_json_kind(object) != SHEAF_JSON_OBJECT) return nothing;
  return sheaf__sim_either(sheaf_json_member(object, camel), sheaf_json_member(object, snake));
}

/* ---- A file as JSON ---- */

static void write_place(const sim_call *call, const char *head, const char *id, const char *tail,
                        sheaf_buf *out) {
  sheaf_slice host = sheaf_slice_of(call->query.host ? call->query.host : "127.0.0.1");
  sheaf__sim_write(out, "http%s://%e%s%s%s", call->world->options->is_https ? "s" : "", &host, head,
                   id, tail);
}

static void write_file(const sim_call *call, const sim_file *file, sheaf_buf *out) {
  sheaf_slice name = sheaf_slice_of(file->name);
  sheaf_slice type = sheaf_slice_of(file->type ? file->type : "application/jsonl");
  sheaf__sim_write(out, "{\"name\":\"files/%s\"", file->id);
  if (name.bytes) sheaf__sim_write(out, ",\"displayName\":%q", &name);
  sheaf__sim_write(out, ",\"mimeType\":%q,\"sizeBytes\":\"%u\"", &type, file->span.bytes);
  sheaf__sim_gemini_time(call, "createTime", file->made_ns, out);
  sheaf__sim_gemini_time(call, "updateTime", file->made_ns, out);
  sheaf__sim_gemini_time(call, "expirationTime", file->expires_ns, out);
  sheaf_buf_append_text(out, ",\"uri\":\"");
  write_place(call, "/v1beta/files/", file->id, "", out);
  if (file->is_made_here) {
    sheaf_buf_append_text(out, "\",\"downloadUri\":\"");
    write_place(call, "/v1beta/files/", file->id, ":download?alt=media", out);
  }
  sheaf__sim_write(out, "\",\"state\":\"ACTIVE\",\"source\":\"%s\"}",
                   file->is_made_here ? "GENERATED" : "UPLOADED");
}

/* ---- Uploads: start ---- */

static bool is_word(const char *text, const char *word) {
  return text && strcmp(text, word) == 0;
}

static uint32_t refuse(sim_call *call, const char *sentence) {
  return sheaf__sim_fail(call, SIM_BAD_VALUE, NULL, sentence, nothing);
}

static uint32_t read_start(sim_call *call) {
  const sim_query *query = &call->query;
  uint64_t bytes;
  if (!is_word(query->upload_protocol, "resumable") || !is_word(query->upload_command, "start"))
    return refuse(call, "X-Goog-Upload-Protocol has to be resumable, X-Goog-Upload-Command start.");
  if (query->upload_bytes && !sheaf__sim_value_decimal(query->upload_bytes, 0, &bytes))
    return refuse(call, "X-Goog-Upload-Header-Content-Length has to be a number.");
  if (query->upload_bytes && bytes > SIM_UPLOAD_MAX) return SIM_TOO_LARGE;
  if (call->body.bytes && sheaf_json_check(sheaf_buf_slice(&call->body), NULL) != SHEAF_OK)
    return SIM_BAD_JSON;
  return SIM_ERROR_COUNT;
}

static char *copy_text(const char *text) {
  size_t bytes = strlen(text) + 1;
  char *copy = malloc(bytes);
  if (copy) memcpy(copy, text, bytes);
  return copy;
}

static void answer_start(sim_call *call) {
  sim_store *store = call->world->store;
  uint64_t kept_ms = call->world->options->batch_keep_ms;
  sheaf_slice body = sheaf_buf_slice(&call->body);
  sheaf_slice file = body.bytes ? sheaf__sim_gemini_member(body, "file", "file") : nothing;
  sheaf_slice name = sheaf__sim_gemini_member(file, "displayName", "display_name");
  sim_blob *blob = sheaf__sim_blob_new();
  if (!blob) return;
  sheaf_buf_append_unescaped(&call->text, sheaf_json_inside(name));
  sim_file *made =
      sheaf__sim_file_new(store, SIM_FILES_GEMINI_OPEN, "", "upload", sheaf_buf_slice(&call->text),
                          (sim_span){blob, 0, 0}, call->now_ns, kept_ms ? kept_ms : KEEP_MS);
  sheaf__sim_blob_drop(blob);
  if (!made) return;
  if (call->query.upload_type) made->type = copy_text(call->query.upload_type);
  sheaf_buf url;
  sheaf_buf_init(&url, &sheaf__sim_allocator, 1024);
  write_place(call, "/upload/v1beta/files/", made->id, "?upload_protocol=resumable", &url);
  sheaf_buf_append(&url, "", 1);
  sheaf__sim_header(call, "x-goog-upload-status", "active");
  if (url.status == SHEAF_OK) sheaf__sim_header(call, "x-goog-upload-url", url.data);
  sheaf_buf_deinit(&url);
}

/* ---- Uploads: pieces ---- */

static bool has_command(const sim_call *call, const char *word) {
  const char *command = call->query.upload_command;
  return command && strstr(command, word) != NULL;
}

static uint32_t read_piece(sim_call *call) {
  uint64_t offset = 0;
  call->file = sheaf__sim_file_find(call->world->store, call->asked.model, call->now_ns);
  if (!call->file || call->file->kind == SIM_FILES_OPENAI) return SIM_NO_THING;
  if (has_command(call, "query")) return SIM_ERROR_COUNT;
  if (call->file->kind != SIM_FILES_GEMINI_OPEN)
    return sheaf__sim_fail(call, SIM_CONFLICT, NULL, "The upload is already finalized.", nothing);
  if (!has_command(call, "upload") && !has_command(call, "finalize"))
    return refuse(call, "X-Goog-Upload-Command has to be upload, finalize or query.");
  if (call->query.upload_offset && !sheaf__sim_value_decimal(call->query.upload_offset, 0, &offset))
    return refuse(call, "X-Goog-Upload-Offset has to be a number.");
  if (has_command(call, "upload") && offset != call->file->span.bytes)
    return refuse(call, "X-Goog-Upload-Offset is not where the upload stands.");
  return SIM_ERROR_COUNT;
}

static bool take_piece(sim_call *call) {
  sim_file *file = call->file;
  sim_view view;
  bool is_taken = false;
  if (!call->spool || !sheaf__sim_view_open(&view, (sim_span){call->spool, 0, call->spool->bytes}))
    return false;
  if (file->span.bytes + view.text.bytes <= SIM_UPLOAD_MAX)
    is_taken = sheaf__sim_blob_append(file->span.blob, view.text.data, view.text.bytes);
  sheaf__sim_view_close(&view);
  file->span.bytes = file->span.blob->bytes;
  return is_taken;
}

static void answer_piece(sim_call *call) {
  bool is_query = has_command(call, "query"), is_open = call->file->kind == SIM_FILES_GEMINI_OPEN;
  char bytes[24];
  if (!is_query && has_command(call, "upload")) take_piece(call);
  if (!is_query && has_command(call, "finalize")) {
    call->file->kind = SIM_FILES_GEMINI;
    is_open = false;
  }
  snprintf(bytes, sizeof bytes, "%llu", (unsigned long long)call->file->span.bytes);
  sheaf__sim_header(call, "x-goog-upload-status", is_open ? "active" : "final");
  sheaf__sim_header(call, "x-goog-upload-size-received", bytes);
  if (is_open) return;
  sheaf_buf_append_text(&call->out, "{\"file\":");
  write_file(call, call->file, &call->out);
  sheaf_buf_append_text(&call->out, "}");
}

/* ---- The other paths ---- */

static uint32_t files_read(sim_call *call) {
  sim_store *store = call->world->store;
  uint32_t task = call->route->task;
  uint64_t limit;
  if (task == SIM_FILE_START) return read_start(call);
  if (task == SIM_FILE_PIECE) return read_piece(call);
  sheaf_slice id = task == SIM_FILE_LIST ? sheaf_slice_of(call->query.after) : call->asked.model;
  call->file = sheaf__sim_file_find(store, id, call->now_ns);
  if (call->file && call->file->kind != SIM_FILES_GEMINI) call->file = NULL;
  if (task != SIM_FILE_LIST) return call->file ? SIM_ERROR_COUNT : SIM_NO_THING;
  if (id.bytes && !call->file) return refuse(call, "The page token is not valid.");
  if (!sheaf__sim_page_limit(call->query.limit, 1, PAGE_MAX, &limit))
    return refuse(call, "page_size has to be from 1 to 100.");
  return SIM_ERROR_COUNT;
}

static void answer_list(sim_call *call) {
  const sim_file *file = call->file ? call->file->next : call->world->store->files, *last = NULL;
  uint64_t limit = PAGE_DEFAULT, count = 0;
  sheaf__sim_page_limit(call->query.limit, 1, PAGE_MAX, &limit);
  sheaf_buf_append_text(&call->out, "{");
  for (; file; file = file->next) {
    if (file->kind != SIM_FILES_GEMINI || file->ready_ns > call->now_ns) continue;
    if (count == limit) break;
    sheaf_buf_append_text(&call->out, count++ ? "," : "\"files\":[");
    write_file(call, file, &call->out);
    last = file;
  }
  if (count) sheaf_buf_append_text(&call->out, "]");
  if (file && last) sheaf__sim_write(&call->out, ",\"nextPageToken\":\"%s\"", last->id);
  sheaf_buf_append_text(&call->out, "}");
}

static void files_answer(sim_call *call) {
  switch (call->route->task) {
    case SIM_FILE_START: answer_start(call); return;
    case SIM_FILE_PIECE: answer_piece(call); return;
    case SIM_FILE_LIST: answer_list(call); return;
    case SIM_FILE_GET: write_file(call, call->file, &call->out); return;
    case SIM_FILE_CONTENT:
      call->content_type = "application/octet-stream";
      sheaf__sim_send_span(call, call->file->span);
      return;
    default:
      sheaf__sim_file_delete(call->world->store, call->file);
      call->file = NULL;
      sheaf_buf_append_text(&call->out, "{}");
  }
}

const sim_provider sheaf__sim_gemini_files = {
    .name = "gemini",
    .read = files_read,
    .answer = files_answer,
    .late_error = sheaf__sim_gemini_late_error,
    .error = sheaf__sim_gemini_batch_error,
    .headers = sheaf__sim_gemini_batch_headers,
};
