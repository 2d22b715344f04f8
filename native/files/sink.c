/* sink.c: results become lines: at once for a file, through the spool for a stream in input order.
 *
 * A row that was never attempted gets no line, so that a resume runs it. The exception is a request that was refused as it
 * could not be built: running it again would end the same, and its line says what is wrong with it. */
#include "files_int.h"

/* What was cut short has no outcome: without a line a resume knows it as unknown, or as never billed. */
static bool gets_line(const sheaf_result *result) {
  if (result->error_class == SHEAF_CLASS_CANCELLED) return false;
  return result->attempted || result->error_class == SHEAF_CLASS_INVALID_REQUEST;
}

/* Appends the line, or leaves out as it was. */
static int32_t write_line(sheaf_files *files, const sheaf_result *result, sheaf_buf *out) {
  size_t before = out->bytes;
  int32_t status = sheaf_line_write(result, out);
  if (status == SHEAF_OK) return status;
  out->bytes = before;
  out->status = SHEAF_OK;
  return sheaf__say(
      &files->said, status,
      "out of memory for the result of line %u; free some and run the same command again",
      result->line);
}

/* Notes where the line of a row lies. A success that replaces an earlier failure makes that one a loser. */
static int32_t note_place(sheaf_files *files, const sheaf_result *result, uint64_t earlier,
                          uint64_t offset) {
  int32_t status = SHEAF_OK;
  if (earlier != SHEAF__PLACE_NONE) {
    status = sheaf__offsets_push(&files->losers, earlier & SHEAF__PLACE_OFFSET);
  }
  if (status == SHEAF_OK) status = sheaf__line_map_set(&files->places, result->index, offset);
  if (status == SHEAF_OK) return status;
  return sheaf__say(&files->said, status,
                    "out of memory for the order of lines; free some and resume");
}

static int32_t put_in_file(sheaf_files *files, const sheaf_result *result) {
  sheaf__output *output = &files->output;
  uint64_t earlier = sheaf__line_map_get(&files->places, result->index);
  if (earlier != SHEAF__PLACE_NONE && (earlier & SHEAF__PLACE_VOID) == 0) {
    /* Success beats failure, then the first wins: a row that failed again keeps its first line. */
    if ((earlier & SHEAF__PLACE_FAILED) == 0 || !result->ok) return SHEAF_OK;
  }
  uint64_t offset = output->bytes + output->pending.bytes;
  int32_t status = write_line(files, result, &output->pending);
  if (status != SHEAF_OK) return status;
  output->lines++;
  output->pending_lines++;
  files->lines_written++;
  return note_place(files, result, earlier, offset);
}

static int32_t put(void *ctx, const sheaf_event *event) {
  sheaf_files *files = ctx;
  sheaf__output *output = &files->output;
  if (event->kind != SHEAF_EVENT_RESULT || output->none) return SHEAF_OK;
  const sheaf_result *result = event->result;
  int32_t status = SHEAF_OK;
  if (output->stream && files->options.order == SHEAF_ORDER_INPUT) {
    status = sheaf__spool_put(files, result, gets_line(result));
  } else if (!gets_line(result)) {
    return SHEAF_OK;
  } else if (output->stream) {
    status = write_line(files, result, &output->pending);
    if (status == SHEAF_OK) output->pending_lines++, files->lines_written++;
  } else {
    status = put_in_file(files, result);
  }
  if (status != SHEAF_OK) return status;
  /* After a failed write lines are kept without another try, until flush or finish is called. */
  if (output->failed || output->pending.bytes < SHEAF__WRITE_BYTES) return SHEAF_OK;
  return sheaf__output_flush(files);
}

void sheaf__sink_bind(sheaf_files *files) {
  files->sink = (sheaf_sink){.struct_bytes = sizeof(sheaf_sink), .ctx = files, .put = put};
}
