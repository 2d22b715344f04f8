/* sim_gemini_batch.h: what files and batches of Gemini's shape share. */
#ifndef SIM_GEMINI_BATCH_H
#define SIM_GEMINI_BATCH_H

#include "sim_batch.h"
#include "sim_shapes.h"

#define SIM_GEMINI_DAY_MS 86400000ull

/* SIM_NO_THING and SIM_CONFLICT in Google's words, and all other errors. */
uint32_t sheaf__sim_gemini_batch_error(sim_call *call);
void sheaf__sim_gemini_batch_headers(sim_call *call, int64_t unix_s);
/* ,"name":"2026-01-02T03:04:05.678901Z", or nothing. */
void sheaf__sim_gemini_time(const sim_call *call, const char *name, uint64_t ns, sheaf_buf *out);
/* A member by its name in camelCase or, where that is not there, in snake_case. */
sheaf_slice sheaf__sim_gemini_member(sheaf_slice object, const char *camel, const char *snake);

#endif
