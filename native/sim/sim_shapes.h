/* sim_shapes.h: what the files of one provider's shape share: how Anthropic, Gemini and Ollama read
 * a body, and how they say that it was wrong. */
#ifndef SIM_SHAPES_H
#define SIM_SHAPES_H

#include "sim_int.h"

#define SIM_SAID_MAX 65536u /* bytes of an error's sentence */

uint32_t sheaf__sim_anthropic_read(sim_call *call);
uint32_t sheaf__sim_anthropic_error(sim_call *call);
void sheaf__sim_anthropic_late_error(sim_call *call);
void sheaf__sim_anthropic_headers(sim_call *call, int64_t unix_s);
/* From version 2026-10-21 on, some things that were fine are refused. */
bool sheaf__sim_anthropic_is_new(const sim_call *call);
bool sheaf__sim_anthropic_is_name(sheaf_slice name, size_t most);
/* A value of the field cache_control; absent is fine. */
uint32_t sheaf__sim_anthropic_cache(sim_call *call, sheaf_slice mark);
uint32_t sheaf__sim_anthropic_messages(sim_call *call, sheaf_slice messages);
uint32_t sheaf__sim_anthropic_system(sim_call *call, sheaf_slice system);

uint32_t sheaf__sim_gemini_read(sim_call *call);
uint32_t sheaf__sim_gemini_error(sim_call *call);
void sheaf__sim_gemini_late_error(sim_call *call);

uint32_t sheaf__sim_ollama_read(sim_call *call);
uint32_t sheaf__sim_ollama_error(sim_call *call);
void sheaf__sim_ollama_late_error(sim_call *call);

/* ---- sim_shapes.c ---- */

/* Hands the error on; where it is one, sets the path of the object that it is about. A '%' in the
 * path stands for n, a second one for m: "messages.%.content.%". */
uint32_t sheaf__sim_at(sim_call *call, uint32_t error, const char *path, uint32_t n, uint32_t m);
/* Appends a value as an error repeats it: as it is written, and no more of it than a line. */
void sheaf__sim_say_value(sheaf_slice value, sheaf_buf *out);
/* Appends the plain text of a JSON string's inside, as far as it can be read. */
void sheaf__sim_say_inside(sheaf_slice inside, sheaf_buf *out);
/* "1,234,567" */
void sheaf__sim_say_grouped(uint64_t number, sheaf_buf *out);
/* Of two values that are one field under two names. */
sheaf_slice sheaf__sim_either(sheaf_slice first, sheaf_slice second);
/* Whether a word is in a list " a b c ". */
bool sheaf__sim_in_list(const char *list, sheaf_slice word);
/* Whether the route's path ends in this. */
bool sheaf__sim_route_ends(const sim_call *call, const char *end);

#endif
