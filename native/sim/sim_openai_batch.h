/* sim_openai_batch.h: what files and batches of OpenAI's shape share. */
#ifndef SIM_OPENAI_BATCH_H
#define SIM_OPENAI_BATCH_H

#include "sim_batch.h"
#include "sim_openai.h"

#define SIM_OPENAI_INPUT_MAX \
  (200ull << 20) /* of a batch's input (protocols 1.5); their MB are MiB */
#define SIM_OPENAI_EXPIRY_MIN 3600u
#define SIM_OPENAI_EXPIRY_MAX 2592000u
#define SIM_OPENAI_KEEP_MS (30ull * 86400000u) /* files of batches (protocols 1.4, 1.5) */

/* SIM_NO_THING and SIM_CONFLICT in OpenAI's words, and all other errors. */
uint32_t sheaf__sim_openai_batch_error(sim_call *call);
/* Seconds since 1970, or text with the quirk "iso"; null for what never was. */
void sheaf__sim_openai_time(const sim_store *store, uint64_t ns, sheaf_buf *out);
void sheaf__sim_openai_file(const sim_call *call, const sim_file *file, sheaf_buf *out);
/* limit, order and after of a list. */
uint32_t sheaf__sim_openai_page(sim_call *call, uint64_t most, uint64_t *limit);
/* {"object":"list",...} around what the caller wrote. */
void sheaf__sim_openai_list_end(sim_call *call, const char *first, const char *last, bool has_more);

#endif
