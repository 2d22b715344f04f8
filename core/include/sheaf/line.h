/* sheaf/line.h: the bytes on disk: input lines, output lines, the framed log, fingerprints, the
 * resume index.
 *
 * Pure codecs: hosts only read, write, sync and rename, so that any host continues any other's run.
 */
#ifndef SHEAF_LINE_H
#define SHEAF_LINE_H

#include <sheaf/base.h>
#include <sheaf/buf.h>
#include <sheaf/engine.h>
#include <sheaf/request.h>

#ifdef __cplusplus
extern "C" {
#endif

#define SHEAF_LINE_BYTES_MAX ((size_t)64 << 20)
#define SHEAF_CUSTOM_ID_BYTES_MAX 512

/* ---- A line in ---- */

/* Reads one input line (without its LF) into a request: a string, the short form, or the OpenAI
 * batch form. The request's slices point into line and scratch (reset by the call). Text fields
 * that need it are unescaped into scratch. error is filled on failure: SHEAF_E_SYNTAX,
 * SHEAF_E_TYPE, SHEAF_E_FIELD, SHEAF_E_UTF8, SHEAF_E_DEPTH, SHEAF_E_TOO_LONG, SHEAF_E_NOMEM. */
SHEAF_API int32_t sheaf_line_read(sheaf_slice line, sheaf_buf *scratch, sheaf_request *request,
                                  sheaf_parse_error *error);

/* ---- A line out ---- */

/* Appends one output line, with its LF: the OpenAI batch output fields and the object "sheaf". */
SHEAF_API int32_t sheaf_line_write(const sheaf_result *result, sheaf_buf *out);

/* What a resume wants to know of an output line. */
typedef struct sheaf_line_facts {
  uint64_t index;
  sheaf_slice custom_id; /* inside of the JSON string, escapes kept */
  uint8_t fingerprint[16];
  bool ok;
  bool has_sheaf; /* the "sheaf" object was there: the line is ours */
  uint32_t error_class;
} sheaf_line_facts;

/* Reads an output line. SHEAF_E_SYNTAX (torn or foreign), SHEAF_E_FIELD (not an output line). Does
 * not allocate. */
SHEAF_API int32_t sheaf_line_facts_read(sheaf_slice line, sheaf_line_facts *facts);

/* ---- Fingerprint: first 128 bits of SHA-256 over provider, path and final body, each preceded by
 * its length ---- */

/* blocks NULL: the portable one. Does not copy the body. Does not allocate. Since 0.1. */
SHEAF_API void sheaf_fingerprint(sheaf_slice provider, sheaf_slice path, sheaf_slice body,
                                 sheaf_sha256_blocks_fn blocks, uint8_t fingerprint[16]);
/* The portable one. */
SHEAF_API void sheaf_sha256_blocks(uint32_t state[8], const uint8_t *blocks, size_t count);

/* ---- The framed log ---- */

#define SHEAF_LOG_HEADER_BYTES 32
#define SHEAF_LOG_FRAME_BYTES_MAX ((size_t)16 << 20)

/* Writes frames; keep one per open log. */
typedef struct sheaf_log {
  uint64_t salt;
  uint64_t seq;    /* of the last frame written or read; 0: none */
  uint64_t synced; /* highest seq known durable; the host sets it after a sync */
  uint32_t crc;    /* of the last frame, as stored */
  uint32_t reserved;
} sheaf_log;

/* Begins a new log: appends its 32-byte header. salt: random. */
SHEAF_API int32_t sheaf_log_begin(sheaf_log *log, uint64_t salt, int64_t created_unix_ms,
                                  sheaf_buf *out);
/* Appends one frame. SHEAF_E_TOO_LONG. */
SHEAF_API int32_t sheaf_log_frame(sheaf_log *log, uint32_t type, sheaf_slice payload,
                                  sheaf_buf *out);

typedef int32_t (*sheaf_log_frame_fn)(void *ctx, uint32_t type, uint64_t seq, sheaf_slice payload);

/* What opening a log found. */
typedef struct sheaf_log_report {
  uint64_t bytes_valid;   /* cut the file here and go on appending */
  uint64_t bytes_dropped; /* an unsynced tail that was torn or reordered */
  uint64_t frames;
  int64_t created_unix_ms;
} sheaf_log_report;

/* Reads a whole log held in memory, hands each valid frame to fn (may be NULL), leaves log ready to
 * append at bytes_valid. SHEAF_OK; SHEAF_E_PARTIAL: not even a header, start anew; SHEAF_E_VERSION:
 * a newer format or a frame type below 128 that is not known (type_known_max); SHEAF_E_CORRUPT:
 * durable frames are damaged, do not write; what fn answers. */
SHEAF_API int32_t sheaf_log_read(sheaf_log *log, sheaf_slice bytes, uint32_t type_known_max,
                                 sheaf_log_frame_fn fn, void *ctx, sheaf_log_report *report);

/* Payloads of ranges and voids. */
typedef struct sheaf_range {
  uint64_t first;
  uint64_t last;
  int64_t cost_max_usd_nano; /* ranges only; SHEAF_ABSENT: not known */
} sheaf_range;
#define SHEAF_RANGE_BYTES 24
SHEAF_API void sheaf_range_write(const sheaf_range *range, uint8_t bytes[SHEAF_RANGE_BYTES]);
SHEAF_API int32_t sheaf_range_read(sheaf_slice payload, sheaf_range *range);

/* ---- The resume index: which rows are done, and where their lines are; also finds duplicate ids
 * ---- */

typedef struct sheaf_resume sheaf_resume;

/* An index of custom_ids. 8 bytes an offset and at most 16 for the id per row; outcomes of earlier
 * lines take 16 more each. */
SHEAF_API int32_t sheaf_resume_new(const sheaf_allocator *allocator, sheaf_resume **resume);
SHEAF_API void sheaf_resume_free(sheaf_resume *resume);
/* Tells of a whole line of the earlier output, in file order. SHEAF_E_NOMEM, and what
 * sheaf_line_facts_read answers. */
SHEAF_API int32_t sheaf_resume_add_line(sheaf_resume *resume, sheaf_slice line, uint64_t offset);
/* Asks for a row about to be admitted. SHEAF_OK: run it. SHEAF_E_END: done (a success, or a failure
 * when !retry_failed); *offset is its line. SHEAF_E_OTHER_RUN: the id is there with another
 * fingerprint. */
SHEAF_API int32_t sheaf_resume_find(const sheaf_resume *resume, sheaf_slice custom_id,
                                    const uint8_t fingerprint[16], bool retry_failed,
                                    uint64_t *offset);
/* Notes an id of the input. place is anything the host finds its line by. SHEAF_OK;
 * SHEAF_E_DUPLICATE: very likely seen before at *earlier (compare the ids to be sure; 1 in 10^9
 * rows meets a false one); SHEAF_E_NOMEM. */
SHEAF_API int32_t sheaf_resume_note_id(sheaf_resume *resume, sheaf_slice custom_id, uint32_t place,
                                       uint32_t *earlier);
SHEAF_API uint64_t sheaf_resume_lines(const sheaf_resume *resume);
SHEAF_API uint64_t sheaf_resume_matched(const sheaf_resume *resume);

#ifdef __cplusplus
}
#endif

#endif
