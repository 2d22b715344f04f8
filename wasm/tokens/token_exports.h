/* token_exports.h: the calls of sheaf-tokens.wasm; exports.txt lists them.
 *
 * A vocabulary with its tokenizer is a number from 1. Texts and ids go in as address and length in memory got
 * from sheaf_tok_alloc. What a call makes stands in the module until the next call on the same vocabulary:
 * sheaf_tok_data says where. A count that is negative is a SHEAF_ code. */
#ifndef TOKEN_EXPORTS_H
#define TOKEN_EXPORTS_H

#include <sheaf/tokens.h>

#if defined(__wasm__)
#define TOKEN_EXPORT(name) __attribute__((used, visibility("default"), export_name(#name)))
#else
#define TOKEN_EXPORT(name) __attribute__((visibility("default"))) /* for the native test */
#endif

#define TOKEN_VOCABS_MAX 16u /* open at once in one instance */

TOKEN_EXPORT(sheaf_tok_alloc) void *sheaf_tok_alloc(uint32_t bytes);
TOKEN_EXPORT(sheaf_tok_free) void sheaf_tok_free(void *data);
/* Opens the bytes of a vocabulary file, which may go afterwards. Answers its number, or a code. */
TOKEN_EXPORT(sheaf_tok_open) int32_t sheaf_tok_open(const void *file, uint32_t bytes);
/* Leaves the name it was built with at sheaf_tok_data(0) and answers its length. */
TOKEN_EXPORT(sheaf_tok_name) int32_t sheaf_tok_name(uint32_t vocab);
TOKEN_EXPORT(sheaf_tok_close) void sheaf_tok_close(uint32_t vocab);
/* One more than the highest id. */
TOKEN_EXPORT(sheaf_tok_size) uint32_t sheaf_tok_size(uint32_t vocab);
/* special: SHEAF_SPECIAL_ (0 text, 1 ids, 2 refuse). limit: stops once the count is above it, and then answers
 * a number above it; 0xffffffff: never. */
TOKEN_EXPORT(sheaf_tok_count)
int32_t sheaf_tok_count(uint32_t vocab, const char *text, uint32_t bytes, uint32_t special,
                        uint32_t limit);
/* Leaves the ids, 32 bits each, and answers how many. */
TOKEN_EXPORT(sheaf_tok_encode)
int32_t sheaf_tok_encode(uint32_t vocab, const char *text, uint32_t bytes, uint32_t special);
/* Leaves the bytes of the ids and answers how many. */
TOKEN_EXPORT(sheaf_tok_decode)
int32_t sheaf_tok_decode(uint32_t vocab, const uint32_t *ids, uint32_t count);
/* The input tokens of a request body; -1 - count where it is an estimate; INT32_MIN + a code: not to be had. */
TOKEN_EXPORT(sheaf_tok_count_body)
double sheaf_tok_count_body(uint32_t vocab, const char *body, uint32_t bytes);
/* Builds a vocabulary file from a rank file or a tokenizer.json under a name (and a pattern's name; 0 bytes: by
 * the name) and leaves it; answers its length. */
TOKEN_EXPORT(sheaf_tok_build)
int32_t sheaf_tok_build(const char *source, uint32_t bytes, const char *name, uint32_t name_bytes,
                        const char *pattern, uint32_t pattern_bytes);
/* Where the last call left what it made; 0: of sheaf_tok_build. */
TOKEN_EXPORT(sheaf_tok_data) const void *sheaf_tok_data(uint32_t vocab);
/* Leaves the name of a model's encoding at sheaf_tok_data(0) and answers its length, -1000 - its length where it is a guess. */
TOKEN_EXPORT(sheaf_tok_encoding)
int32_t sheaf_tok_encoding(const char *model, uint32_t bytes);
/* Leaves what a code means at sheaf_tok_data(0): its name, a line feed, and a sentence, which after a
 * sheaf_tok_build that failed says where and why. Answers the length. */
TOKEN_EXPORT(sheaf_tok_explain) int32_t sheaf_tok_explain(int32_t status);

#endif
