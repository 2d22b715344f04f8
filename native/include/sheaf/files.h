/* sheaf/files.h: files as sources and sinks: JSONL, plain text and CSV in; JSONL out, resumable, in
 * order at the end. */
#ifndef SHEAF_FILES_H
#define SHEAF_FILES_H

#include <sheaf/sheaf.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { SHEAF_FORMAT_AUTO = 0, SHEAF_FORMAT_JSONL = 1, SHEAF_FORMAT_TEXT = 2, SHEAF_FORMAT_CSV = 3 };
enum { SHEAF_ORDER_INPUT = 0, SHEAF_ORDER_COMPLETION = 1 };
enum { SHEAF_RESUME_AUTO = 0, SHEAF_RESUME_NEVER = 1, SHEAF_RESUME_REQUIRED = 2 };
enum { SHEAF_SYNC_NORMAL = 0, SHEAF_SYNC_FULL = 1 };

typedef struct sheaf_files_options {
  uint32_t struct_bytes;
  uint32_t format; /* SHEAF_FORMAT_*; AUTO: by the name's ending, .txt -> TEXT, .csv -> CSV, others
                      -> JSONL */
  const char *input;  /* "-": standard input */
  const char *output; /* "-": standard output (spooled for order input; never resumable); NULL:
                         results go nowhere */
  const char *template_text; /* for TEXT and CSV: {line}, {column}; {{ and }} for braces; NULL: the
                                line, the column "prompt" */
  uint32_t order;            /* SHEAF_ORDER_* */
  uint32_t resume;           /* SHEAF_RESUME_*; NEVER keeps an earlier output as OUT.bak */
  uint32_t retry_failed;     /* 1: rows that failed before run again */
  uint32_t sync;             /* SHEAF_SYNC_* */
  uint64_t limit;            /* first N rows only; 0: all */
  uint32_t scan_all; /* 1: (dry run) report every bad line through on_bad_line instead of stopping
                        at the first */
  uint32_t reserved;
  void (*on_bad_line)(void *user, const char *sentence);
  void *user;
} sheaf_files_options;
#define SHEAF_FILES_OPTIONS_INIT \
  ((sheaf_files_options){.struct_bytes = sizeof(sheaf_files_options)})

typedef struct sheaf_files sheaf_files;

/* Opens input and output, scans an earlier output and its log. On failure message (512 bytes or
 * more) says what and what to do. SHEAF_OK; SHEAF_E_IO; SHEAF_E_OTHER_RUN (the output is another
 * run's); SHEAF_E_CORRUPT; SHEAF_E_END (the input is empty). */
SHEAF_API int32_t sheaf_files_open(const sheaf_files_options *options, sheaf_files **files,
                                   char *message, size_t message_bytes);
/* The doors, for sheaf_engine_open; they live as long as files. */
SHEAF_API const sheaf_source *sheaf_files_source(sheaf_files *files);
SHEAF_API const sheaf_sink *sheaf_files_sink(sheaf_files *files);
SHEAF_API const sheaf_store *sheaf_files_store(
    sheaf_files *files); /* NULL when writing to a stream or nowhere */
/* The engine told of stored and scanned records. Before the first step. */
SHEAF_API void sheaf_files_bind(sheaf_files *files, sheaf_engine *engine);
/* Hands the engine the records of earlier runs, which its recovery waits for (a slot may not call
 * the engine). Call after sheaf_engine_open and before each step; does nothing when there is
 * nothing to hand over. Since 0.1. */
SHEAF_API int32_t sheaf_files_pump(sheaf_files *files);
/* What to wait on when the source answers SHEAF_E_LATER: the input's descriptor; -1 for a regular
 * file, which is always ready. Since 0.1. */
SHEAF_API int32_t sheaf_files_input_fd(sheaf_files *files);
/* Writes out what is buffered. Call before waiting. SHEAF_E_IO: the disk is full or worse;
 * message() tells. */
SHEAF_API int32_t sheaf_files_flush(sheaf_files *files);
/* The same, and what was written is on the disk, whatever options.sync says; streams have none.
 * SHEAF_E_IO. Since 0.1. */
SHEAF_API int32_t sheaf_files_sync(sheaf_files *files);
/* Everything is over: order restored (finished 1) or the file left for a resume (0). */
SHEAF_API int32_t sheaf_files_finish(sheaf_files *files, uint32_t finished);
/* Frees everything; what finish did not write is tried once more. NULL is fine. */
SHEAF_API void sheaf_files_close(sheaf_files *files);
/* The last failure as one sentence with a remedy; "" if none. */
SHEAF_API const char *sheaf_files_message(const sheaf_files *files);

typedef struct sheaf_files_report {
  uint64_t rows;       /* read from the input */
  uint64_t rows_total; /* known once the input ended, or estimated from bytes; SHEAF_NEVER: not
                          known (standard input) */
  uint64_t rows_done_before;
  uint64_t rows_failed_before; /* of those done before; with retry_failed they are not among them */
  uint64_t rows_unknown; /* in flight when an earlier run died */
  uint64_t bad_lines;
  uint64_t lines_written;
  uint64_t torn_bytes; /* cut from the end of an earlier output */
  uint32_t has_total;  /* 1: rows_total is exact */
} sheaf_files_report;
/* What was read and written so far. */
SHEAF_API void sheaf_files_report_get(const sheaf_files *files, sheaf_files_report *report);

#ifdef __cplusplus
}
#endif

#endif
