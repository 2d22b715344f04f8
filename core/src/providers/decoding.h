/* decoding.h: what the readers of replies share: keeping short strings, joining text, faults,
 * counts.
 *
 * Outline: the reading (where results go); strings and text; headers; faults (errors as a body
 * tells them, and their class); usage and limits. Files: decoding.c and classify.c. */
#ifndef SHEAF_DECODING_H
#define SHEAF_DECODING_H

#include <sheaf/provider.h>

#include <string.h>

/* One decode under way. Slices of out that point into scratch are moved along when scratch grows.
 */
typedef struct sheaf__reading {
  sheaf_buf *scratch;
  sheaf_decoded *out;
  bool copies;      /* nothing may be borrowed: the bytes read do not outlive the call (streams) */
  uint32_t joined;  /* pieces of text_json so far */
  size_t joined_at; /* where they begin in scratch, from the second on */
} sheaf__reading;

static inline bool sheaf__is(sheaf_slice text, const char *wanted) {
  size_t bytes = strlen(wanted);
  return text.bytes == bytes && (bytes == 0 || memcmp(text.data, wanted, bytes) == 0);
}
/* Whether text holds `lower` anywhere, ASCII letters compared without case. */
bool sheaf__contains_nocase(sheaf_slice text, const char *lower);
/* A document without what some servers put in front of it: a byte order mark, blank lines. */
sheaf_slice sheaf__document(sheaf_slice body);

/* ---- Strings ---- */

/* The plain text of a JSON string's inside, cut to bytes_max between characters; borrowed where it
 * can be. */
sheaf_slice sheaf__keep(sheaf__reading *reading, sheaf_slice inside, size_t bytes_max);
/* The same for bytes that are plain already. */
sheaf_slice sheaf__keep_plain(sheaf__reading *reading, sheaf_slice text, size_t bytes_max);
/* Up to 300 bytes of a body for people: the title of a page, or the text with control bytes as
 * spaces. `why` (static, may be empty) goes in front. */
sheaf_slice sheaf__excerpt(sheaf__reading *reading, const char *why, sheaf_slice body);
/* Adds a piece to text_json: one piece is borrowed from the body, several are joined in scratch.
 * Nothing else may be kept between the first piece and the last. */
void sheaf__join(sheaf__reading *reading, sheaf_slice inside);

#define SHEAF__MESSAGE_BYTES_MAX 1000 /* servers echo whole requests in messages */
#define SHEAF__EXCERPT_BYTES_MAX 300
#define SHEAF__WORD_BYTES_MAX 256 /* codes, models, finish reasons, ids */

/* ---- Headers ---- */

/* The next line of a header block, without its LF; false at the end. *at starts at 0. */
bool sheaf__header_line(sheaf_slice headers, size_t *at, sheaf_slice *line);

/* request-id and x-should-retry, in one walk. */
void sheaf__read_reply_headers(sheaf__reading *reading, const sheaf_reply *reply);

/* ---- Faults ---- */

/* An error as a body tells it. Slices are insides of JSON strings, or numbers as written. */
typedef struct sheaf__fault {
  uint32_t status; /* HTTP status, 0 if there is none that means anything */
  sheaf_slice code;
  sheaf_slice type;
  sheaf_slice detail; /* a finer code: Anthropic's details.error_code, Azure's innererror.code */
  sheaf_slice message;
  sheaf_slice details; /* Google's array of details */
  sheaf_slice raw;     /* what an excerpt is made of where there is no message */
} sheaf__fault;

/* Whether a member called "error" tells of one: not null, false, "" or {}. */
bool sheaf__is_error(sheaf_slice value);
/* Reads an error body of any known shape. False: it is not JSON, only raw is filled. */
bool sheaf__fault_read(sheaf__fault *fault, sheaf_slice body);
/* Reads an error from a checked value of "error" (or empty) and the checked object around it. */
void sheaf__fault_from(sheaf__fault *fault, sheaf_slice error, sheaf_slice root);
/* The class of protocols 8.2: by its words, then its text, then the status. */
uint32_t sheaf__fault_class(const sheaf__fault *fault);
/* Writes class, scope, billing, code and message of a fault that came as an HTTP error. */
void sheaf__fault_settle(sheaf__reading *reading, const sheaf__fault *fault);
/* The same for one inside a 2xx: work may have been done, so the billing is only clear when a
 * refusal came before any of it (`worked` false) or when usage was told. */
void sheaf__fault_settle_late(sheaf__reading *reading, const sheaf__fault *fault, bool worked);
/* All of sheaf_classify_common but the reset of decoded; the fault is left for a provider's
 * refinement. */
void sheaf__classify(sheaf__reading *reading, const sheaf_reply *reply, sheaf__fault *fault);
/* A 2xx that is no answer: invalid_response, billed, with an excerpt. */
void sheaf__invalid(sheaf__reading *reading, const char *why, sheaf_slice body);

/* ---- Counts and limits ---- */

/* A 2xx that only counts, for which nothing is charged: the input's tokens are the member of this
 * name. True: it tells of an error instead, which is settled; fault is for a provider's refinement. */
bool sheaf__read_count(sheaf__reading *reading, const char *member, sheaf_slice body,
                       sheaf__fault *fault);

/* A count; SHEAF_ABSENT where it is missing, null, negative or no number. */
int64_t sheaf__count(sheaf_slice value);
/* Sum of counts, absent ones as 0; absent if all are. */
int64_t sheaf__count_sum(int64_t a, int64_t b);

/* One event of a stream: the reading over its notes, and the picked values. SHEAF_E_SYNTAX: the
 * event was no JSON, and the stream is marked as invalid. */
sheaf__reading sheaf__stream_reading(sheaf_stream *stream);
int32_t sheaf__stream_pick(sheaf_stream *stream, sheaf_slice data, const char *const *paths,
                           uint32_t count, sheaf_slice *values);
/* Appends text of an event; counts it. */
void sheaf__stream_text(sheaf_stream *stream, sheaf_slice inside);
/* An error inside the stream ends it. */
void sheaf__stream_fault(sheaf_stream *stream, const sheaf__fault *fault);
/* Notes a finish reason or the model unless it is there already. */
void sheaf__stream_finish(sheaf_stream *stream, sheaf_slice inside);
void sheaf__stream_model(sheaf_stream *stream, sheaf_slice inside);
/* What the event slot answers: lack of memory in text or notes. */
int32_t sheaf__stream_status(const sheaf_stream *stream);

#endif
