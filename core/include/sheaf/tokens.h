/* sheaf/tokens.h: text to tokens and back: byte-pair encodings, exact to the token, and counting.
 *
 *   sheaf_vocab_open(file_bytes, file_size, &allocator, &vocab);          once, shared by threads
 *   sheaf_tokenizer_new(vocab, &allocator, &tokenizer);                   one per thread
 *   sheaf_tokens_count(tokenizer, text, NULL, SIZE_MAX, &count);
 *   sheaf_tokens_encode(tokenizer, text, NULL, ids, sheaf_tokens_room(vocab, text.bytes), &count);
 *   sheaf_tokens_decode(vocab, ids, count, &buf);
 *
 * A vocabulary is built once from what its publisher offers (sheaf_vocab_build: a `.tiktoken` rank
 * file or a Hugging Face tokenizer.json) into a compact file, which opens in milliseconds.
 *
 * Text is bytes. Well-formed UTF-8 gives the ids that tiktoken (0.14) gives for the same string, or
 * that Hugging Face tokenizers give without added begin and end marks. Bytes that are no UTF-8 give
 * what tiktoken's `_encode_bytes` gives: the text before the first ill-formed byte is encoded as
 * usual; its last piece (with the white-space tokens before it, if it begins with white space) and
 * everything from the ill-formed byte on are merged as one piece. With specials this holds for each
 * text between them. */
#ifndef SHEAF_TOKENS_H
#define SHEAF_TOKENS_H

#include <sheaf/base.h>
#include <sheaf/buf.h>

#ifdef __cplusplus
extern "C" {
#endif

#define SHEAF_VOCAB_IDS_MAX (1u << 24)        /* ids are below this */
#define SHEAF_VOCAB_TOKEN_BYTES_MAX 65535u    /* the longest token */
#define SHEAF_VOCAB_NAME_BYTES_MAX 63u        /* the longest name of an encoding */
#define SHEAF_TOKEN_TEXT_BYTES_MAX (1u << 30) /* the longest text of one call */

/* ---- encodings and models ---- */

/* The encoding of a model: "o200k_base", "cl100k_base", "o200k_harmony", "p50k_base", "p50k_edit",
 * "r50k_base" or "gpt2"; static text. is_estimate (may be NULL) tells that the model is not one of
 * OpenAI's that tiktoken 0.14 knows: then "o200k_base", and counts are an estimate. Never NULL.
 * Since 0.1. */
SHEAF_API const char *sheaf_encoding_of_model(sheaf_slice model, bool *is_estimate);

/* The rank file an encoding is built from, without its ending: "o200k_base" for "o200k_harmony",
 * "p50k_base" for "p50k_edit", "r50k_base" for "gpt2"; itself for the others; NULL for an encoding
 * that is not one of these seven. Static text. Since 0.1. */
SHEAF_API const char *sheaf_encoding_ranks(sheaf_slice encoding);

/* ---- building a vocabulary file ---- */

/* A text that stands for one id as a whole and is never split. */
typedef struct sheaf_special_token {
  sheaf_slice text;
  uint32_t id;
} sheaf_special_token;

/* What a source does not say itself. */
typedef struct sheaf_vocab_spec {
  uint32_t struct_bytes;
  uint32_t special_count;
  sheaf_slice name; /* 1..63 bytes; one of the seven encodings: pattern and specials are known then,
                       and the two fields below are left empty */
  sheaf_slice
      pattern; /* for ranks of your own: how text is split. A name (see below) or the pattern
                          itself, one of those that sheaf knows; empty: must be known by name */
  const sheaf_special_token *specials; /* for ranks of your own */
} sheaf_vocab_spec;
#define SHEAF_VOCAB_SPEC_INIT ((sheaf_vocab_spec){.struct_bytes = sizeof(sheaf_vocab_spec)})

/* The split patterns sheaf knows, by name: "r50k", "cl100k", "o200k" (as tiktoken 0.14 has them),
 * "gpt2", "llama3", "qwen2" (as tokenizer.json files have them), "none" (the text is one piece).
 * index 0, 1, ...; NULL past the last. Static text. Since 0.1. */
SHEAF_API const char *sheaf_pattern_name(uint32_t index);

/* Builds the bytes of a vocabulary file and appends them to out. source  a `.tiktoken` rank file
 * (lines of "base64 rank") or a tokenizer.json (its first byte that is no space is a brace); the
 * format is told by the content. out's allocator is used for working memory too: about 100 bytes a
 * token. error  may be NULL; says where and why. SHEAF_OK; SHEAF_E_SYNTAX (a line or the JSON does
 * not parse); SHEAF_E_FIELD (the file contradicts itself: a rank or text twice, one of the 256
 * bytes missing); SHEAF_E_NOT_FOUND (a pattern or encoding that sheaf does not know);
 * SHEAF_E_UNSUPPORTED (not byte-level BPE, a normalizer other than NFC, or a feature of
 * tokenizer.json that sheaf has not); SHEAF_E_LIMIT (ids, token or out too long); SHEAF_E_RANGE (an
 * id out of range); SHEAF_E_MISUSE; SHEAF_E_NOMEM. Takes a fraction of a second for 200,000 tokens.
 * Nothing was appended on failure. Since 0.1. */
SHEAF_API int32_t sheaf_vocab_build(sheaf_slice source, const sheaf_vocab_spec *spec,
                                    sheaf_buf *out, sheaf_parse_error *error);

/* ---- a vocabulary ---- */

/* Immutable after open: any number of threads may use one at once. */
typedef struct sheaf_vocab sheaf_vocab;

/* Opens the bytes of a vocabulary file; they may be dropped afterwards. The allocator is copied;
 * its ctx outlives the vocabulary. Any bytes may be given. SHEAF_OK; SHEAF_E_CORRUPT (the checksum
 * or the content is wrong, or the file is short); SHEAF_E_VERSION (made by a newer sheaf);
 * SHEAF_E_NOMEM. Since 0.1. */
SHEAF_API int32_t sheaf_vocab_open(const void *bytes, size_t size, const sheaf_allocator *allocator,
                                   sheaf_vocab **vocab);
/* Frees it; its tokenizers go first. NULL is fine. Since 0.1. */
SHEAF_API void sheaf_vocab_close(sheaf_vocab *vocab);
/* The name it was built with, terminated; lives as long as the vocabulary. Since 0.1. */
SHEAF_API const char *sheaf_vocab_name(const sheaf_vocab *vocab);
/* One more than the highest id, specials too (tiktoken's n_vocab). Since 0.1. */
SHEAF_API uint32_t sheaf_vocab_size(const sheaf_vocab *vocab);
/* Bytes of memory it holds. Since 0.1. */
SHEAF_API size_t sheaf_vocab_memory(const sheaf_vocab *vocab);
/* The bytes of a token or special; they live as long as the vocabulary. SHEAF_OK; SHEAF_E_NOT_FOUND
 * (no token has this id). Since 0.1. */
SHEAF_API int32_t sheaf_vocab_token(const sheaf_vocab *vocab, uint32_t id, sheaf_slice *text);
/* The id of exactly these bytes: a special's if there is one, else a token's. SHEAF_OK;
 * SHEAF_E_NOT_FOUND. Since 0.1. */
SHEAF_API int32_t sheaf_vocab_id(const sheaf_vocab *vocab, sheaf_slice text, uint32_t *id);
/* The specials in order of their ids: index 0, 1, ...; SHEAF_OK; SHEAF_E_END. Since 0.1. */
SHEAF_API int32_t sheaf_vocab_special(const sheaf_vocab *vocab, uint32_t index,
                                      sheaf_special_token *special);

/* ---- encoding ---- */

/* What the texts of special tokens become where they occur in a text. Where several fit, the
 * longest of those that begin first. */
enum {
  SHEAF_SPECIAL_TEXT = 0,  /* ordinary text, as tiktoken's encode_ordinary */
  SHEAF_SPECIAL_ALLOW = 1, /* their ids, as allowed_special="all" (and as Hugging Face does) */
  SHEAF_SPECIAL_REFUSE = 2 /* the call fails with SHEAF_E_FIELD, as tiktoken's encode by default */
};
typedef struct sheaf_special_policy {
  uint32_t struct_bytes;
  uint32_t others;         /* SHEAF_SPECIAL_*: for those that are not listed */
  const uint32_t *allowed; /* ids of specials that become their ids */
  size_t allowed_count;
} sheaf_special_policy;
#define SHEAF_SPECIAL_POLICY_INIT \
  ((sheaf_special_policy){.struct_bytes = sizeof(sheaf_special_policy)})

/* Working memory and caches of pieces seen, about 3.4 MB; grows with the longest unbroken run of
 * text. One thread at a time; results do not depend on what was encoded before. */
typedef struct sheaf_tokenizer sheaf_tokenizer;

/* Makes one; vocab outlives it. The allocator is copied. SHEAF_OK; SHEAF_E_NOMEM. Since 0.1. */
SHEAF_API int32_t sheaf_tokenizer_new(const sheaf_vocab *vocab, const sheaf_allocator *allocator,
                                      sheaf_tokenizer **tokenizer);
/* Frees it; its streams go first. NULL is fine. Since 0.1. */
SHEAF_API void sheaf_tokenizer_free(sheaf_tokenizer *tokenizer);

/* The ids that a text of so many bytes may give at most. Since 0.1. */
SHEAF_API size_t sheaf_tokens_room(const sheaf_vocab *vocab, size_t text_bytes);

/* Encodes a text. policy  NULL: specials are text. ids  the caller's, room ids long (may be NULL
 * with room 0). count  how many ids the text gives, also where they did not fit. SHEAF_OK;
 * SHEAF_E_FULL (room was too small: the first room ids were written, count tells the need);
 * SHEAF_E_FIELD (the text holds a special that the policy refuses: sheaf_tokens_refused says
 * where); SHEAF_E_TOO_LONG (over SHEAF_TOKEN_TEXT_BYTES_MAX); SHEAF_E_MISUSE (an option out of
 * range); SHEAF_E_NOMEM. Allocates only for a run of text longer than any before. Since 0.1. */
SHEAF_API int32_t sheaf_tokens_encode(sheaf_tokenizer *tokenizer, sheaf_slice text,
                                      const sheaf_special_policy *policy, uint32_t *ids,
                                      size_t room, size_t *count);

/* Counts without writing ids; stops early once the count is above limit (SIZE_MAX: never stops).
 * SHEAF_OK; SHEAF_E_LIMIT (count is above limit: more than limit, not the whole); else as
 * sheaf_tokens_encode. Since 0.1. */
SHEAF_API int32_t sheaf_tokens_count(sheaf_tokenizer *tokenizer, sheaf_slice text,
                                     const sheaf_special_policy *policy, size_t limit,
                                     size_t *count);

/* Encodes texts one after another into one row of ids; ends[i] is the end of the i-th's ids.
 * statuses  may be NULL; has the i-th text's own answer (a refused text gives no ids). SHEAF_OK, or
 * the first answer that was not. SHEAF_E_FULL ends it there: ends[i] of the texts not reached equal
 * the last end. Since 0.1. */
SHEAF_API int32_t sheaf_tokens_encode_many(sheaf_tokenizer *tokenizer, const sheaf_slice *texts,
                                           size_t text_count, const sheaf_special_policy *policy,
                                           uint32_t *ids, size_t room, size_t *ends,
                                           int32_t *statuses);
/* Counts texts one after another. counts[i] is 0 where statuses[i] (may be NULL) is an error.
 * SHEAF_OK, or the first answer that was not. Since 0.1. */
SHEAF_API int32_t sheaf_tokens_count_many(sheaf_tokenizer *tokenizer, const sheaf_slice *texts,
                                          size_t text_count, const sheaf_special_policy *policy,
                                          size_t *counts, int32_t *statuses);

/* Where the first special is that the policy refuses: its place in the text and its id. SHEAF_OK;
 * SHEAF_E_NOT_FOUND (nothing is refused). Does not allocate. Since 0.1. */
SHEAF_API int32_t sheaf_tokens_refused(const sheaf_vocab *vocab, sheaf_slice text,
                                       const sheaf_special_policy *policy, size_t *offset,
                                       uint32_t *id);

/* Appends the bytes of the ids to out: any bytes, not always UTF-8. SHEAF_OK; SHEAF_E_NOT_FOUND (no
 * token has one of the ids); SHEAF_E_NOMEM, SHEAF_E_LIMIT (of out). Nothing was appended on
 * failure. Since 0.1. */
SHEAF_API int32_t sheaf_tokens_decode(const sheaf_vocab *vocab, const uint32_t *ids, size_t count,
                                      sheaf_buf *out);

/* Counts the input tokens of a whole request body, in any provider's shape: messages with what a
 * chat adds to each, input, prompt, contents, system text; tools and schemas roughly. The body must
 * have been checked (sheaf_json_check). scratch  for text that needs unescaping. is_estimate  may
 * be NULL: the body holds what is not counted to the token (tools, images, files). SHEAF_OK;
 * SHEAF_E_SYNTAX; SHEAF_E_NOMEM; SHEAF_E_MISUSE. Since 0.1. */
SHEAF_API int32_t sheaf_tokens_count_body(sheaf_tokenizer *tokenizer, sheaf_slice body,
                                          sheaf_buf *scratch, size_t *count, bool *is_estimate);

/* ---- a text that comes in chunks ---- */

/* Takes a text in chunks, cut anywhere, and gives the ids of the whole. Holds back what a next
 * chunk could still change: as a rule the last word, at worst an unbroken run. */
typedef struct sheaf_token_stream sheaf_token_stream;

/* Makes one. tokenizer  borrowed, outlives it; several streams may take turns on it. policy
 * copied, with its list. held_bytes_max  ceiling for what is held back, 0:
 * SHEAF_TOKEN_TEXT_BYTES_MAX. SHEAF_OK; SHEAF_E_NOMEM; SHEAF_E_MISUSE. Since 0.1. */
SHEAF_API int32_t sheaf_token_stream_new(sheaf_tokenizer *tokenizer,
                                         const sheaf_special_policy *policy, size_t held_bytes_max,
                                         sheaf_token_stream **stream);
SHEAF_API void sheaf_token_stream_free(sheaf_token_stream *stream);
/* The ids that feeding so many bytes, or ending (0), may give at most. Since 0.1. */
SHEAF_API size_t sheaf_token_stream_room(const sheaf_token_stream *stream, size_t chunk_bytes);
/* Takes the next chunk. count  ids written. SHEAF_OK; SHEAF_E_FULL (room is below
 * sheaf_token_stream_room: nothing was taken); SHEAF_E_TOO_LONG (too much would be held back: the
 * stream is over); SHEAF_E_FIELD (a refused special: the stream is over); SHEAF_E_NOMEM (nothing
 * was taken); SHEAF_E_MISUSE (after the end). Since 0.1. */
SHEAF_API int32_t sheaf_token_stream_feed(sheaf_token_stream *stream, sheaf_slice chunk,
                                          uint32_t *ids, size_t room, size_t *count);
/* No more will come: gives the rest and makes the stream as new. As feed. Since 0.1. */
SHEAF_API int32_t sheaf_token_stream_end(sheaf_token_stream *stream, uint32_t *ids, size_t room,
                                         size_t *count);

#ifdef __cplusplus
}
#endif

#endif
