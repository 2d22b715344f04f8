/* sim_fault.c: the faults: how each shows itself, which one a request draws, which error it is. */
#include "sim_int.h"

#include <string.h>

typedef struct fault_row {
  uint32_t shown; /* SIM_SHOWN_ */
  uint32_t error; /* of SIM_SHOWN_ERROR */
} fault_row;

static const fault_row rows[SHEAF_SIM_FAULT_COUNT] = {
    [SHEAF_SIM_FAULT_RATE_LIMIT] = {SIM_SHOWN_ERROR, SIM_RATE_REQUESTS},
    [SHEAF_SIM_FAULT_SERVER] = {SIM_SHOWN_ERROR, SIM_SERVER_ERROR},
    [SHEAF_SIM_FAULT_OVERLOADED] = {SIM_SHOWN_ERROR, SIM_OVERLOADED},
    [SHEAF_SIM_FAULT_RESET] = {SIM_SHOWN_WIRE, 0},
    [SHEAF_SIM_FAULT_STALL] = {SIM_SHOWN_WIRE, 0},
    [SHEAF_SIM_FAULT_TRUNCATE] = {SIM_SHOWN_STREAM, 0},
    [SHEAF_SIM_FAULT_QUOTA] = {SIM_SHOWN_ERROR, SIM_QUOTA},
    [SHEAF_SIM_FAULT_CUT] = {SIM_SHOWN_STREAM, 0},
    [SHEAF_SIM_FAULT_TIMEOUT] = {SIM_SHOWN_ERROR, SIM_TIMEOUT},
    [SHEAF_SIM_FAULT_BAD_GATEWAY] = {SIM_SHOWN_BODY, 0},
    [SHEAF_SIM_FAULT_LOADING] = {SIM_SHOWN_ERROR, SIM_LOADING},
    [SHEAF_SIM_FAULT_BARE_LIMIT] = {SIM_SHOWN_ERROR, SIM_RATE_REQUESTS},
    [SHEAF_SIM_FAULT_REFUSE] = {SIM_SHOWN_WIRE, 0},
    [SHEAF_SIM_FAULT_RESET_HEAD] = {SIM_SHOWN_WIRE, 0},
    [SHEAF_SIM_FAULT_RESET_BODY] = {SIM_SHOWN_STREAM, 0},
    [SHEAF_SIM_FAULT_STALL_BODY] = {SIM_SHOWN_STREAM, 0},
    [SHEAF_SIM_FAULT_DRIP] = {SIM_SHOWN_WIRE, 0},
    [SHEAF_SIM_FAULT_LENGTH] = {SIM_SHOWN_WIRE, 0},
    [SHEAF_SIM_FAULT_GARBAGE] = {SIM_SHOWN_BODY, 0},
    [SHEAF_SIM_FAULT_GARBAGE_HEAD] = {SIM_SHOWN_WIRE, 0},
    [SHEAF_SIM_FAULT_LATE_ERROR] = {SIM_SHOWN_STREAM, 0},
    [SHEAF_SIM_FAULT_NO_END] = {SIM_SHOWN_STREAM, 0},
    [SHEAF_SIM_FAULT_NO_USAGE] = {SIM_SHOWN_STREAM, 0},
    [SHEAF_SIM_FAULT_BLANK] = {SIM_SHOWN_STREAM, 0},
    [SHEAF_SIM_FAULT_GIANT] = {SIM_SHOWN_BODY, 0},
    [SHEAF_SIM_FAULT_GZIP] = {SIM_SHOWN_BODY, 0},
    [SHEAF_SIM_FAULT_GZIP_BAD] = {SIM_SHOWN_BODY, 0},
    [SHEAF_SIM_FAULT_CHUNKS] = {SIM_SHOWN_WIRE, 0},
    [SHEAF_SIM_FAULT_CHUNKS_BAD] = {SIM_SHOWN_WIRE, 0},
    [SHEAF_SIM_FAULT_REDIRECT] = {SIM_SHOWN_BODY, 0},
};

uint32_t sheaf__sim_fault_shown(uint32_t fault) {
  return rows[fault].shown;
}

uint32_t sheaf__sim_fault_find(const char *name, size_t bytes) {
  for (uint32_t fault = 0; fault < SHEAF_SIM_FAULT_COUNT; fault++) {
    const char *known = sheaf_sim_fault_name(fault);
    if (strlen(known) == bytes && memcmp(known, name, bytes) == 0) return fault;
  }
  return SIM_NO_FAULT;
}

uint32_t sheaf__sim_fault_draw(const sim_world *world, uint64_t key) {
  uint64_t place = sheaf__sim_draw(key, SIM_DRAW_FAULT, 1000000);
  for (uint32_t fault = 0; fault < SHEAF_SIM_FAULT_COUNT; fault++) {
    uint32_t share = world->options->fault_ppm[fault];
    if (place < share) return fault;
    place -= share;
  }
  return SIM_NO_FAULT;
}

uint32_t sheaf__sim_fault_error(sim_call *call) {
  if (call->fault >= SHEAF_SIM_FAULT_COUNT) return SIM_ERROR_COUNT;
  if (call->fault == SHEAF_SIM_FAULT_RATE_LIMIT)
    call->retry_after_ns = call->world->options->retry_after_ms * SIM_MS;
  if (call->fault == SHEAF_SIM_FAULT_NO_USAGE) call->is_usage_hidden = true;
  const fault_row *row = &rows[call->fault];
  return row->shown == SIM_SHOWN_ERROR ? row->error : SIM_ERROR_COUNT;
}
