/* sim_entries.h: the ledger's newest exchanges, one by one. Only the ledger uses it, behind its
 * mutex. */
#ifndef SIM_ENTRIES_H
#define SIM_ENTRIES_H

#include "sim_int.h"

typedef struct sim_entries sim_entries;

/* NULL without memory. `max` may be 0: then nothing is kept, and sequences are counted all the same. */
sim_entries *sheaf__sim_entries_new(uint32_t max);
void sheaf__sim_entries_free(sim_entries *entries);
void sheaf__sim_entries_reset(sim_entries *entries);
/* Opens an entry and answers its sequence, from 1. */
uint64_t sheaf__sim_entries_open(sim_entries *entries, const sim_call *call, uint64_t now_ns);
/* The status is the one that the client could see; 0: none. */
void sheaf__sim_entries_decide(sim_entries *entries, const sim_call *call, uint32_t status,
                               bool is_billed, bool is_whole);
void sheaf__sim_entries_end(sim_entries *entries, const sim_call *call, bool is_left,
                            uint64_t now_ns);
void sheaf__sim_entries_write(const sim_entries *entries, uint64_t after, uint64_t limit,
                              sheaf_buf *json);

#endif
