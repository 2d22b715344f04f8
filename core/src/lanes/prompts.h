/* prompts.h: several prompts in one chat call: what is asked, and which answer belongs to whom.
 *
 * Members are JSON strings under ids that nobody can guess who has not seen the call, so that none of them reads as an
 * instruction to another or forges another's answer. Answers are matched by id alone; a missing, extra, repeated or malformed id,
 * or any doubt, and the whole reply is void (algorithms.md 9). Pure: bytes in, bytes out. */
#ifndef SHEAF_PROMPTS_H
#define SHEAF_PROMPTS_H

#include <sheaf/base.h>
#include <sheaf/buf.h>
#include <sheaf/engine.h>

#define SHEAF__PROMPT_ID_BYTES 20 /* characters of an id: 100 bits in base 32; not terminated */
#define SHEAF__PROMPTS_MAX 50

/* The id of the n-th member of a call: the first 100 bits of SHA-256 over secret, call and n, in the digits 0-9 and letters
 * a-v. */
void sheaf__prompt_id(const uint8_t secret[SHEAF_SECRET_BYTES], uint64_t call, uint32_t n,
                      char id[SHEAF__PROMPT_ID_BYTES]);

/* The fixed text that says what is asked, to go behind the members' own system text; the inside of a JSON string; static. */
sheaf_slice sheaf__prompts_instructions(void);
/* The schema of the answer: {"answers":[{"id","answer"}]} with exactly these ids; JSON. */
int32_t sheaf__prompts_schema(const char (*ids)[SHEAF__PROMPT_ID_BYTES], uint32_t count,
                              sheaf_buf *out);
/* The user's one text: a JSON object of ids and prompts, as the inside of a JSON string. prompts: insides of JSON strings. */
int32_t sheaf__prompts_write(const char (*ids)[SHEAF__PROMPT_ID_BYTES], const sheaf_slice *prompts,
                             uint32_t count, sheaf_buf *out);
/* Reads the model's text (the inside of a JSON string, unescaped behind what scratch holds; it does
 * not lie in scratch itself): fills answers[n] for each id, as insides of JSON strings that live in
 * scratch. Tolerates Markdown fences, text around the object, a bare array, an object of id: answer,
 * commas before a closing bracket, and an answer that is a value other than a string (its JSON text
 * is the answer; null is none). SHEAF_OK; SHEAF_E_FIELD: doubt, *why says which (static), nothing may
 * be used; SHEAF_E_NOMEM. On failure scratch is as it was, and *why is set for doubt alone. count
 * is 1..SHEAF__PROMPTS_MAX. */
int32_t sheaf__prompts_read(sheaf_slice text_json, const char (*ids)[SHEAF__PROMPT_ID_BYTES],
                            uint32_t count, sheaf_buf *scratch, sheaf_slice *answers,
                            const char **why);

/* How much two answers (insides of JSON strings, outside scratch) say the same, 0..1000: 1000 when
 * they are equal but for case (of Latin, Greek and Cyrillic letters), space and punctuation; else
 * twice the share of words in common (Dice). Allocates in scratch alone and leaves it as it was; answers SHEAF_ABSENT without memory. */
int64_t sheaf__prompts_agreement(sheaf_slice a, sheaf_slice b, sheaf_buf *scratch);

#endif
