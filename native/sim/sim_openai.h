/* sim_openai.h: what OpenAI's dialects share. Each file has one dialect; sim_openai.c has the
 * models and embeddings, sim_openai_error.c errors and headers for all. */
#ifndef SIM_OPENAI_H
#define SIM_OPENAI_H

#include "sim_int.h"

#define SIM_ROWS(fields) (uint32_t)(sizeof(fields) / sizeof *(fields))

/* ---- Errors and headers (sim_openai_error.c) ---- */

uint32_t sheaf__sim_openai_error(sim_call *call);
void sheaf__sim_openai_headers(sim_call *call, int64_t unix_s);
/* {"error":{...}} of a server that failed, as a body or as an event. */
void sheaf__sim_openai_late_error(sim_call *call);
/* Hands the error on; where it is one, sets where its field lies: "list[n]" followed by rest, and
 * with `m` not 0 the element of the field, from 1. */
uint32_t sheaf__sim_openai_at(sim_call *call, uint32_t error, const char *list, uint32_t n,
                              const char *rest, uint32_t m);
/* A failure whose sentence is the provider's own. */
uint32_t sheaf__sim_openai_refuse(sim_call *call, const char *field, const char *sentence);

/* ---- Reading (sim_openai_read.c) ---- */

/* Takes the model, which a path with one stands for. */
uint32_t sheaf__sim_openai_read_model(sim_call *call, sheaf_slice model);
/* Sets is_stream and what stream_options say; those are refused without a stream. */
uint32_t sheaf__sim_openai_read_stream(sim_call *call, sheaf_slice stream, sheaf_slice options);
/* Tools and the choice among them; `is_flat`: as the responses API writes them. */
uint32_t sheaf__sim_openai_read_tools(sim_call *call, sheaf_slice tools, sheaf_slice choice,
                                      sheaf_slice parallel, bool is_flat);
/* response_format, or text.format when flat: named by `field` in errors. */
uint32_t sheaf__sim_openai_read_format(sim_call *call, sheaf_slice format, const char *field,
                                       bool is_flat);
/* Whether "json" stands in it, in any case: what json_object asks of the messages. */
bool sheaf__sim_openai_says_json(sheaf_slice text);
/* An array of what `item` says, which also has the field's name; longer than item->max: refused. What
 * is no array is left alone. */
uint32_t sheaf__sim_openai_read_list(sim_call *call, sheaf_slice list, const sim_field *item,
                                     bool may_be_empty);
extern const sim_field sheaf__sim_openai_stop, sheaf__sim_openai_bias; /* such items */
/* An object whose members are all as `item` says. */
uint32_t sheaf__sim_openai_read_map(sim_call *call, sheaf_slice map, const sim_field *item);
/* At most 16 pairs of strings, of 64 and 512 characters. */
uint32_t sheaf__sim_openai_read_metadata(sim_call *call, sheaf_slice metadata);

/* ---- Writing ---- */

void sheaf__sim_openai_usage(sim_call *call);
/* Some letters of padding, as many as the n-th draw says, so that the sizes of events tell less. */
void sheaf__sim_openai_obfuscation(sim_call *call, uint64_t n);
/* The index after the last part of the choice that parts[i] belongs to. */
uint32_t sheaf__sim_openai_choice_end(const sim_call *call, uint32_t i);
/* Whether the part is the last of its choice. */
bool sheaf__sim_openai_is_last(const sim_call *call, const sim_part *part);

#endif
