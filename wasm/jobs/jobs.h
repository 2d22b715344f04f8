/* jobs.h: what the jobs module (sheaf-jobs.wasm) has beside exports.h; exports.txt lists its calls.
 *
 * The same core with the lane of jobs, in a module of its own: who sends requests as they come needs
 * nothing of it. A client of this module has a spool in the module's memory; the host moves what
 * was sealed into its store before it answers the next APPEND, and brings it back when it goes on.
 *
 *   use_jobs      records of earlier runs in; spools and records on
 *   spool_load    a job's rows, as the store has them
 *   ended         rows whose results the store has
 *   put           a request of the run's
 *   spool_take, spool_piece, spool_forget   what is to be stored, and to be deleted
 *   body          the next bytes of a body that START has no bytes of */
#ifndef WASM_JOBS_H
#define WASM_JOBS_H

#include "../exports.h"
#include "spool.h"

/* Turns jobs on, before the first step. state: the log of earlier runs, or none. Leaves in bytes what a
 * new log begins with; in number how many bytes of the state are valid; in text its records but for
 * rows as a JSON array: [flight, type, object]. */
WASM_EXPORT(sheaf_wasm_use_jobs)
int32_t sheaf_wasm_use_jobs(uint32_t handle, const char *state, uint32_t bytes, uint32_t salt_low,
                            uint32_t salt_high, double unix_ms);
/* The next request, as a line of the input format: into a job, or past one that has it already. Leaves
 * index, flags (SKIPPED: its result is known). A request that cannot be built is refused. */
WASM_EXPORT(sheaf_wasm_put)
int32_t sheaf_wasm_put(uint32_t handle, const char *line, uint32_t bytes, uint32_t flags);
/* The row of this index has its result. Before the first request and the first step. */
WASM_EXPORT(sheaf_wasm_ended) int32_t sheaf_wasm_ended(uint32_t handle, double index);
/* Appends to what a flight of earlier runs has in its spool. */
WASM_EXPORT(sheaf_wasm_spool_load)
int32_t sheaf_wasm_spool_load(uint32_t handle, double flight, const char *data, uint32_t bytes);
/* 1: a spool is whole and was not taken yet: its flight is in number. */
WASM_EXPORT(sheaf_wasm_spool_take) uint32_t sheaf_wasm_spool_take(uint32_t handle);
/* Leaves in bytes what lies in one piece from offset on; nothing at the end. */
WASM_EXPORT(sheaf_wasm_spool_piece)
int32_t sheaf_wasm_spool_piece(uint32_t handle, double flight, double offset);
/* A flight whose spool nobody needs any more; 0: there is none. */
WASM_EXPORT(sheaf_wasm_spool_forget) double sheaf_wasm_spool_forget(uint32_t handle);
/* Leaves in bytes the next piece of an exchange's body; nothing at the end. */
WASM_EXPORT(sheaf_wasm_body)
int32_t sheaf_wasm_body(uint32_t handle, double exchange, double offset);
/* Leaves in text the n-th job of the run, as JOB events have it. SHEAF_E_NOT_FOUND: fewer. */
WASM_EXPORT(sheaf_wasm_job_at) int32_t sheaf_wasm_job_at(uint32_t handle, uint32_t n);
/* Leaves in bytes the output line of the result in the mailbox, as the command writes it. */
WASM_EXPORT(sheaf_wasm_line) int32_t sheaf_wasm_line(uint32_t handle);
/* sheaf_engine_job_cancel. */
WASM_EXPORT(sheaf_wasm_job_cancel) int32_t sheaf_wasm_job_cancel(uint32_t handle, double flight);
/* In place of sheaf_wasm_close. */
WASM_EXPORT(sheaf_wasm_close_jobs) void sheaf_wasm_close_jobs(uint32_t handle);

#endif
