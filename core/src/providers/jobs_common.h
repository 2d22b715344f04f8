/* jobs_common.h: what the batch APIs share: reading texts, times and states of replies, and writing
 * rows, forms and paths. Counts: sheaf__count of decoding.h. Retry hints of headers:
 * sheaf__retry_after_ns of wire/http.h. */
#ifndef SHEAF_JOBS_COMMON_H
#define SHEAF_JOBS_COMMON_H

#include <sheaf/jobs.h>

#include "providers/decoding.h"
#include "providers/messages.h"

/* ---- Reading ---- */

/* One document under way. Texts that must be unescaped go to scratch, where room for all of them is
 * made at the first, so that none ever moves. */
typedef struct sheaf__job_reading {
  sheaf_buf *scratch;
  size_t room; /* the document's bytes: its texts are no longer when they are unescaped. Where only
                  some of a long document are read, the sum of theirs */
  bool has_room;
  int32_t status; /* SHEAF_OK, SHEAF_E_NOMEM, SHEAF_E_LIMIT: what the slot answers */
} sheaf__job_reading;

static inline sheaf__job_reading sheaf__job_reading_of(sheaf_slice document, sheaf_buf *scratch) {
  return (sheaf__job_reading){.scratch = scratch, .room = document.bytes};
}

/* A checked value as plain text: of a string what it stands for, of a number what is written;
 * empty for null and all else. Borrowed from the document where nothing is escaped. */
sheaf_slice sheaf__job_text(sheaf__job_reading *reading, sheaf_slice value);
/* Unix seconds (a number, or one in a string) or RFC 3339 -> ms; SHEAF_ABSENT where it is neither,
 * and for 0. */
int64_t sheaf__job_time_ms(sheaf_slice value);

/* What a provider calls a state, in lower case. */
typedef struct sheaf__job_word {
  const char *word;
  uint32_t state; /* SHEAF_JOB_*_STATE */
} sheaf__job_word;
/* Compared without case; UNKNOWN for a word that is not in the list. */
uint32_t sheaf__job_state(sheaf_slice value, const sheaf__job_word *words, size_t count);
/* Where a job's object has what `news` tells; every path is given. */
enum {
  SHEAF__JOB_AT_ID,
  SHEAF__JOB_AT_STATUS,
  SHEAF__JOB_AT_OUTPUT,
  SHEAF__JOB_AT_ERRORS,
  SHEAF__JOB_AT_MARKER,
  SHEAF__JOB_AT_CODE,
  SHEAF__JOB_AT_MESSAGE,
  SHEAF__JOB_AT_TOTAL,
  SHEAF__JOB_AT_DONE,
  SHEAF__JOB_AT_FAILED,
  SHEAF__JOB_AT_CREATED,
  SHEAF__JOB_PATHS
};
/* Reads a job in OpenAI's manner. SHEAF_E_SYNTAX: it is no object, or has no id; SHEAF_E_NOMEM. */
int32_t sheaf__job_read_object(sheaf_slice object, const char *const paths[SHEAF__JOB_PATHS],
                               const sheaf__job_word *words, size_t word_count, sheaf_buf *scratch,
                               sheaf_job_news *news);
/* Whether a job failed because too much is queued already: by the words of its code and message. */
bool sheaf__job_is_full(sheaf_slice code, sheaf_slice message);

/* Walks the array called `name` of a page of jobs. *at: 0 at first, then where the next element
 * begins in body. SHEAF_OK: *element is the next; SHEAF_E_END; SHEAF_E_SYNTAX: no JSON, or no
 * object. A page without the array, or with null for it, is empty. All of body is checked when *at
 * is 0. */
int32_t sheaf__job_next(sheaf_slice body, const char *name, size_t *at, sheaf_slice *element);

/* ---- Writing ---- */

/* Checks a row's body and appends it as one line: line breaks, which valid JSON has between tokens
 * only, become spaces. SHEAF_E_FIELD: it asks for a stream, is no JSON object, or is not UTF-8
 * (which would fail the whole job); nothing is appended then. */
int32_t sheaf__job_put_body(sheaf_buf *to, sheaf_slice body);
/* The member of a row at this path ("body"), separator behind the row or not. SHEAF_E_SYNTAX. */
int32_t sheaf__job_row_member(sheaf_slice row, const char *path, sheaf_slice *member);
/* Appends ,"name":"text" (the comma only where one is due). Numbers: sheaf__put_number. */
void sheaf__job_put_text(sheaf_buf *to, const char *name, sheaf_slice text);
/* Appends a part of a path: all but [A-Za-z0-9-._~] percent-encoded. */
void sheaf__job_put_segment(sheaf_buf *to, sheaf_slice text);
/* Adds a header; both texts live as long as the call (static, or in call->text when nothing more is
 * appended to it). Beyond SHEAF_JOB_HEADERS_MAX: SHEAF_E_LIMIT. */
int32_t sheaf__job_header(sheaf_job_call *call, sheaf_slice name, sheaf_slice value);
/* A multipart form around the rows: its header, the field purpose=batch and the start of the field
 * "file" as head, the end as tail. The boundary is the marker; rows cannot hold the line that ends
 * them, since none of their lines begins with "--". */
int32_t sheaf__job_form(const sheaf_job_facts *facts, sheaf_job_call *call);
/* The status of all the call's buffers: what the slot answers. */
int32_t sheaf__job_call_status(const sheaf_job_call *call);
/* Writes a call without a body to before, the id percent-encoded, behind. */
int32_t sheaf__job_call_by_id(sheaf_job_call *call, const char *method, const char *before,
                              sheaf_slice id, const char *behind);

/* ---- Files and results in OpenAI's shape, which Mistral has, too ---- */

/* UPLOAD, OUTPUT, ERRORS and DISCARD; SHEAF_E_UNSUPPORTED: another step, or no such file. */
int32_t sheaf__openai_file_call(uint32_t step, const sheaf_job_facts *facts, sheaf_job_call *call);
/* The reply to UPLOAD. */
int32_t sheaf__openai_file_read(sheaf_slice body, sheaf_buf *scratch, sheaf_job_news *news);
/* sheaf_job_api.row_body and .item of rows and results in OpenAI's shape. */
int32_t sheaf__openai_row_body(const sheaf_job_api *api, sheaf_slice row, sheaf_slice *body);
int32_t sheaf__openai_item(const sheaf_job_api *api, sheaf_slice line, sheaf_buf *scratch,
                           sheaf_job_item *item);

#endif
