/* batch_lines.h: results, one at a time, out of a download that comes in pieces or of an array. */
#ifndef SHEAF_BATCH_LINES_H
#define SHEAF_BATCH_LINES_H

#include <sheaf/buf.h>

/* A line that lies whole inside a chunk is handed out where it is; only what a chunk's end tears is
 * copied, once. Fields are private. */
typedef struct sheaf__lines {
  sheaf_buf torn; /* the beginning of a line whose end has not come, or the line handed out last */
  sheaf_json_iter items;
  const char *at; /* what is left of the chunk */
  const char *end;
  size_t bytes_max;
  bool is_array;
  bool is_begun;    /* the first line is over: no byte order mark may come any more */
  bool is_given;    /* torn was handed out, or was blank */
  bool is_skipping; /* inside a line that is too long */
  bool is_ended;
} sheaf__lines;

/* bytes_max: of a line without its LF; SHEAF_LINE_BYTES_MAX. Allocates when a line is torn. */
void sheaf__lines_init(sheaf__lines *lines, const sheaf_allocator *allocator, size_t bytes_max);
void sheaf__lines_deinit(sheaf__lines *lines);
/* For the next download; keeps the memory. */
void sheaf__lines_reset(sheaf__lines *lines);
/* Gives the next chunk, which lives until `next` has answered SHEAF_E_EMPTY. SHEAF_E_MISUSE: the
 * one before is not used up, or the end was told. */
int32_t sheaf__lines_feed(sheaf__lines *lines, sheaf_slice chunk);
/* No chunk follows: the last line may have no LF. */
void sheaf__lines_end(sheaf__lines *lines);
/* Gives a whole JSON array instead of chunks, whose items are the lines, as they are written; it
 * lives until the last is taken. SHEAF_E_TYPE: it is none; SHEAF_E_SYNTAX, SHEAF_E_DEPTH,
 * SHEAF_E_PARTIAL. After init or reset. */
int32_t sheaf__lines_open_array(sheaf__lines *lines, sheaf_slice array);
/* The next line, without CR and LF; blank ones are passed over, and a byte order mark in front of
 * the first is dropped. It lives until the next call, and no longer than its chunk. SHEAF_OK;
 * SHEAF_E_EMPTY: the chunk is used up; SHEAF_E_END: there are no more; SHEAF_E_TOO_LONG: one was
 * passed over, go on; SHEAF_E_NOMEM: nothing changed. */
int32_t sheaf__lines_next(sheaf__lines *lines, sheaf_slice *line);

#endif
