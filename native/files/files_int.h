/* files_int.h: the parts of a sheaf_files and what they offer one another.
 *
 *   input   bytes of a descriptor as lines, in a bounded buffer
 *   rows    lines or CSV records as requests          (source_lines.c, source_csv.c, template.c)
 *   ids     no custom_id twice                        (ids.c)
 *   places  index of a row -> where its line lies     (line_map.c)
 *   output  finished lines, whole, to a descriptor    (output.c, sink.c, spool.c, order.c)
 *   runlog  OUT.sheaf, promises made before sending   (store_log.c)
 *
 * Memory per input line: 8 bytes in places and at most 16 in sheaf_resume; everything else is bounded. */
#ifndef SHEAF_FILES_INT_H
#define SHEAF_FILES_INT_H

#ifndef _DEFAULT_SOURCE
#define _DEFAULT_SOURCE 1 /* flock, getentropy, realpath beside strict C11 */
#endif
#ifndef _POSIX_C_SOURCE
#define _POSIX_C_SOURCE 200809L
#endif
#ifndef _FILE_OFFSET_BITS
#define _FILE_OFFSET_BITS 64
#endif
#if defined(__APPLE__) && !defined(_DARWIN_C_SOURCE)
#define _DARWIN_C_SOURCE 1
#endif

#include <csv.h>
#include <sheaf/files.h>
#include <sheaf/heap.h>

#if defined(__GNUC__)
#define SHEAF__PRINTF(at, first) __attribute__((format(printf, at, first)))
#else
#define SHEAF__PRINTF(at, first)
#endif

/* Results leave in writes of about this size: large enough that a write costs nothing per line. */
#define SHEAF__WRITE_BYTES ((size_t)256 << 10)

/* ---- Sentences ---- */

/* The last failure in words: what happened and what to do. Never holds content beyond an id. */
typedef struct sheaf__said {
  char text[1024];
} sheaf__said;

/* Says it and answers status, so that a failure is one line: return sheaf__say(said, SHEAF_E_IO, ...). */
int32_t sheaf__say(sheaf__said *said, int32_t status, const char *format, ...) SHEAF__PRINTF(3, 4);

/* An id for a sentence: control bytes as '?', cut at 80 bytes. */
typedef struct sheaf__shown {
  char text[84];
} sheaf__shown;
const char *sheaf__show(sheaf_slice id, sheaf__shown *shown);

/* ---- Input ---- */

typedef struct sheaf__input {
  int fd;
  bool owned;       /* closed by deinit */
  bool regular;     /* read by pread: others may read the same descriptor meanwhile */
  bool ended;       /* the descriptor has no more */
  int error;        /* errno of SHEAF_E_IO */
  char *data;
  size_t capacity;
  size_t begin;     /* of the next line */
  size_t end;       /* of what was read */
  size_t searched;  /* bytes from begin known to hold no LF */
  uint64_t start;   /* offset of the first byte of all */
  uint64_t offset;  /* offset of data[begin] */
  uint64_t line;    /* lines handed out */
} sheaf__input;

typedef struct sheaf__text_line {
  sheaf_slice text; /* without LF; a CR before it is kept; a BOM is not; valid until the next call */
  uint64_t number;  /* 1-based */
  uint64_t offset;
  bool whole; /* its LF was there */
} sheaf__text_line;

/* Lines from offset on, the first with number line + 1. The buffer is allocated at the first call of sheaf__input_line. */
void sheaf__input_init(sheaf__input *input, int fd, bool regular, uint64_t offset, uint64_t line);
void sheaf__input_deinit(sheaf__input *input);
/* SHEAF_OK, SHEAF_E_LATER (a pipe has nothing now), SHEAF_E_END, SHEAF_E_TOO_LONG, SHEAF_E_NOMEM, SHEAF_E_IO. */
int32_t sheaf__input_line(sheaf__input *input, sheaf__text_line *line);
bool sheaf__text_is_blank(sheaf_slice text);

/* ---- Template ---- */

typedef struct sheaf__template_part {
  size_t begin; /* in text: a literal, or the name between braces */
  size_t end;
  uint32_t column; /* of a name; SHEAF__LITERAL for a literal */
} sheaf__template_part;
#define SHEAF__LITERAL UINT32_MAX

typedef struct sheaf__template {
  const char *text; /* NULL: there is none */
  sheaf__template_part *parts;
  uint32_t count;
} sheaf__template;

/* text outlives the template. SHEAF_E_SYNTAX, SHEAF_E_NOMEM; columns are not bound yet. */
int32_t sheaf__template_init(sheaf__template *it, const char *text, sheaf__said *said);
void sheaf__template_deinit(sheaf__template *it);
/* Finds each {name} among the columns; SHEAF_E_FIELD names the one that is none. where: "file:line". */
int32_t sheaf__template_bind(sheaf__template *it, const sheaf_slice *columns, uint32_t count,
                             const char *where, sheaf__said *said);
int32_t sheaf__template_apply(const sheaf__template *it, const sheaf_slice *values, sheaf_buf *out);

/* ---- Rows: requests from lines or records ---- */

#define SHEAF__COLUMNS_MAX 1024

typedef struct sheaf__columns { /* of a CSV file, from its header */
  sheaf_buf names;
  sheaf_slice *name; /* count of them, in names */
  uint32_t count;    /* 0: the header was not read yet */
  uint32_t id;       /* SHEAF__LITERAL: no such column */
  uint32_t prompt;
} sheaf__columns;

typedef struct sheaf__csv {
  struct csv_parser parser;
  bool open;        /* parser is initialised */
  bool in_record;   /* a quoted field goes on in the next line */
  bool ended;       /* the last record may have come without LF */
  bool done;        /* a record is complete */
  bool out_of_memory;
  uint64_t line;    /* where the record begins */
  uint64_t offset;
  size_t bytes;     /* of the record so far */
  sheaf_buf text;   /* its fields, one after another */
  size_t *ends;     /* of each field in text */
  sheaf_slice *values;
  uint32_t count;
} sheaf__csv;

typedef struct sheaf__rows {
  sheaf__input input;
  const char *name; /* of the input, for sentences */
  uint32_t format;
  sheaf__template *template_;
  sheaf__columns *columns;
  sheaf__csv csv;
  sheaf_buf scratch;
  uint64_t line;   /* of the last row */
  uint64_t offset; /* where it begins */
  sheaf__said *said;
} sheaf__rows;

void sheaf__rows_init(sheaf__rows *rows, uint32_t format, const char *name,
                      sheaf__template *template_, sheaf__columns *columns, sheaf__said *said);
void sheaf__rows_deinit(sheaf__rows *rows);
/* The next row as a request, borrowed until the next call. SHEAF_OK, SHEAF_E_LATER, SHEAF_E_END; a bad line (said tells,
 * the next call goes on behind it); SHEAF_E_IO, SHEAF_E_NOMEM. */
int32_t sheaf__rows_next(sheaf__rows *rows, sheaf_request *request);
int32_t sheaf__csv_next(sheaf__rows *rows, sheaf_request *request);
/* Reads the header, binds the template. SHEAF_E_LATER on a pipe. */
int32_t sheaf__csv_header(sheaf__rows *rows);
void sheaf__csv_deinit(sheaf__csv *csv);
/* What both kinds share: the answer of sheaf__input_line as a sentence. */
int32_t sheaf__rows_input_failed(sheaf__rows *rows, int32_t status);
/* SHEAF_E_UTF8 with its column, or SHEAF_OK. */
int32_t sheaf__rows_check_utf8(sheaf__rows *rows, sheaf_slice text, bool has_column);
bool sheaf__status_is_bad_line(int32_t status);

/* ---- Ids ---- */

/* Where some rows begin, so that any row is found by reading a little: when full, every second one goes. */
#define SHEAF__MARKS_MAX 4096
typedef struct sheaf__mark {
  uint64_t row;
  uint64_t line; /* lines before it */
  uint64_t offset;
} sheaf__mark;

typedef struct sheaf__ids {
  sheaf__mark *marks;
  uint32_t mark_count;
  uint64_t mark_stride;
  uint64_t rows;
  uint64_t same_rows;   /* rows from the first on that all have, or all lack, an id */
  bool first_has_id;
  bool note_generated;  /* a given id looks like that of a row to come */
  uint8_t *own;         /* bit set: the row brought its id; NULL while same_rows == rows */
  size_t own_bytes;
} sheaf__ids;

void sheaf__ids_deinit(sheaf__ids *ids);
/* "row-N" into text; answers the slice. */
sheaf_slice sheaf__files_row_id(uint64_t index, char text[32]);

/* ---- Places ---- */

#define SHEAF__PLACE_NONE UINT64_MAX
#define SHEAF__PLACE_FAILED ((uint64_t)1 << 63) /* the line there is a failure, and the row runs again */
#define SHEAF__PLACE_VOID ((uint64_t)1 << 62)   /* the line there says that the request could not be built; now it can */
#define SHEAF__PLACE_OFFSET (SHEAF__PLACE_VOID - 1)
#define SHEAF__LINE_MAP_CHUNK 4096u

typedef struct sheaf__line_map {
  uint64_t **chunks; /* of SHEAF__LINE_MAP_CHUNK entries; NULL: none of them is set */
  size_t chunk_count;
  uint64_t count; /* entries set */
  uint64_t end;   /* highest index set + 1 */
} sheaf__line_map;

void sheaf__line_map_deinit(sheaf__line_map *places);
uint64_t sheaf__line_map_get(const sheaf__line_map *places, uint64_t index);
int32_t sheaf__line_map_set(sheaf__line_map *places, uint64_t index, uint64_t place); /* SHEAF_E_NOMEM */
/* Gives the memory of rows before index back; whole chunks only, and none is asked for again. */
void sheaf__line_map_pass(sheaf__line_map *places, uint64_t index);

/* Offsets of lines in a growing list. */
typedef struct sheaf__offsets {
  uint64_t *items;
  size_t count;
  size_t capacity;
} sheaf__offsets;
int32_t sheaf__offsets_push(sheaf__offsets *list, uint64_t offset);
void sheaf__offsets_deinit(sheaf__offsets *list);
void sheaf__offsets_sort(sheaf__offsets *list);
bool sheaf__offsets_has(const sheaf__offsets *sorted, uint64_t offset);

/* ---- Blocks: lines of a file at scattered offsets, through a small cache ---- */

#define SHEAF__BLOCK_BYTES ((size_t)64 << 10)
#define SHEAF__BLOCKS_MAX 32u

typedef struct sheaf__block {
  uint64_t number;
  uint64_t used;
  size_t bytes;
} sheaf__block;

typedef struct sheaf__blocks {
  int fd;
  int error;
  char *data; /* SHEAF__BLOCKS_MAX blocks */
  sheaf__block block[SHEAF__BLOCKS_MAX];
  uint32_t count;
  uint32_t credit;     /* what blocks have saved, in reads of single lines */
  uint32_t alone;      /* lines read one by one since the last block */
  uint32_t line_bytes; /* one of those, on average */
  uint64_t clock;
} sheaf__blocks;

void sheaf__blocks_init(sheaf__blocks *blocks, int fd);
void sheaf__blocks_deinit(sheaf__blocks *blocks);
/* Forgets what it read. */
void sheaf__blocks_reset(sheaf__blocks *blocks);
/* Appends the line at offset with its LF. SHEAF_E_NOMEM, SHEAF_E_IO, SHEAF_E_CORRUPT (no LF before the end). */
int32_t sheaf__blocks_line(sheaf__blocks *blocks, uint64_t offset, sheaf_buf *out);

/* ---- Output ---- */

typedef struct sheaf__output {
  int fd;
  bool none;   /* a dry run: results go nowhere */
  bool stream; /* standard output, a pipe, a device: no resume, no log */
  bool failed; /* a write failed: lines stay in pending */
  bool sync_failed;
  bool unsynced;
  bool existed; /* the file was there before */
  bool made;    /* by this opening, and locked */
  int error;
  uint64_t bytes; /* in the file, whole lines */
  uint64_t lines; /* in the file and pending */
  uint64_t pending_lines;
  sheaf_buf pending;
} sheaf__output;

typedef struct sheaf__spool { /* for a stream in input order: lines that wait for an earlier one */
  sheaf_buf memory;
  int fd; /* of an unlinked temporary file, or -1 */
  uint64_t filed;   /* bytes in it; memory goes on from there */
  uint64_t next;    /* index of the row to go out next */
  uint64_t waiting; /* lines in the spool */
  size_t memory_max; /* 0: the usual */
  sheaf__blocks blocks;
} sheaf__spool;

/* What OUT.sheaf said of earlier runs: rows that may have been sent, as sorted spans. */
typedef struct sheaf__span {
  uint64_t first;
  uint64_t last;
} sheaf__span;

typedef struct sheaf__runlog {
  int fd; /* -1: none */
  sheaf_log log;
  uint64_t bytes;   /* written and valid */
  char *earlier;    /* the log as it was found, until the engine was told */
  size_t earlier_bytes;
  sheaf__span *spans;
  size_t span_count;
  size_t span_capacity;
  size_t span_at; /* rows are admitted in order, so that a lookup moves on from here */
  sheaf_buf run;     /* this run's record */
  sheaf_buf frames;
  bool wanted; /* the engine asked for the earlier records */
  bool failed;
} sheaf__runlog;

struct sheaf_files {
  sheaf_files_options options; /* its strings are the four below */
  char *input_name;
  char *output_name; /* as given, for sentences */
  char *output_path; /* without symbolic links */
  char *log_path;
  char *template_text;
  sheaf__said said;
  sheaf_engine *engine;

  sheaf__template template_;
  sheaf__columns columns;
  sheaf__rows rows;
  sheaf__ids ids;
  uint64_t input_bytes; /* of a regular file; SHEAF_NEVER otherwise */
  uint64_t row_count;
  uint64_t bad_lines;
  bool input_ended;
  int32_t source_status; /* sticks once the input ended or failed */

  sheaf_resume *resume;
  uint64_t earlier_lines;
  uint64_t torn_bytes;
  uint64_t done_before;
  uint64_t failed_before; /* of those */
  uint64_t unknown;

  sheaf__line_map places;
  sheaf__offsets losers; /* lines of failures that a later success replaced */
  sheaf__output output;
  sheaf__spool spool;
  sheaf__runlog runlog;
  uint64_t lines_written;
  bool finished; /* finish has done all there is to do */

  sheaf_source source;
  sheaf_sink sink;
  sheaf_store store;
};

int32_t sheaf__source_open(sheaf_files *files);
void sheaf__source_bind(sheaf_files *files);
/* Notes the ids of a row. SHEAF_E_DUPLICATE with a sentence, SHEAF_E_NOMEM. */
int32_t sheaf__ids_note(sheaf_files *files, sheaf_slice custom_id);

/* Opens, locks and, where asked, sets an earlier file aside. */
int32_t sheaf__output_open(sheaf_files *files);
/* Writes pending out. */
int32_t sheaf__output_flush(sheaf_files *files);
int32_t sheaf__output_sync(sheaf_files *files);
/* An opening that failed leaves no empty file behind. */
void sheaf__output_forsake(sheaf_files *files);
void sheaf__output_deinit(sheaf__output *output);
/* All of it, however often the kernel takes less; *done tells how far it came. False: errno tells. offset SHEAF_NEVER: write(). */
bool sheaf__write_all(int fd, const char *data, size_t bytes, uint64_t offset, size_t *done);
/* Makes a rename or a new file in path's directory durable. */
bool sheaf__sync_directory(const char *path);
bool sheaf__lock(int fd);
char *sheaf__text_join(const char *a, const char *b);

void sheaf__sink_bind(sheaf_files *files);
int32_t sheaf__spool_put(sheaf_files *files, const sheaf_result *result, bool wanted);
/* Lets the rest out, holes or not. */
int32_t sheaf__spool_drain(sheaf_files *files);
void sheaf__spool_deinit(sheaf__spool *spool);

/* Reads an earlier output into the resume index. Changes nothing on disk; *keep is where whole lines end, *lacks_lf: a last
 * line is whole but for its LF. */
int32_t sheaf__scan_output(sheaf_files *files, uint64_t *keep, bool *lacks_lf);

/* Input order, and one line a row. Only where it is not so already. */
int32_t sheaf__order_restore(sheaf_files *files);

/* Reads and checks an earlier log; changes nothing on disk. */
int32_t sheaf__runlog_read(sheaf_files *files);
/* Cuts a torn tail, or begins a new log, and writes this run's record. */
int32_t sheaf__runlog_begin(sheaf_files *files);
int32_t sheaf__runlog_end(sheaf_files *files, bool remove_it);
void sheaf__runlog_deinit(sheaf__runlog *runlog);
void sheaf__store_bind(sheaf_files *files);
/* Whether an earlier run may have sent this row. Indices come in rising order. */
bool sheaf__runlog_may_have_sent(sheaf__runlog *runlog, uint64_t index);

#endif
