/* exports.h: the calls of the module; exports.txt lists them.
 *
 * A client is a number from 1; 0 and numbers of closed clients are refused. A call answers a SHEAF_ code
 * unless it says otherwise; after a failure the client's mailbox holds message and field (0: the mailbox
 * of calls without a client). Texts go in as address and length, in memory got from sheaf_wasm_alloc,
 * and are copied. Any call on a client ends the life of what its mailbox pointed at. */
#ifndef EXPORTS_H
#define EXPORTS_H

#include "wasm_int.h"

WASM_EXPORT(sheaf_wasm_alloc) void *sheaf_wasm_alloc(uint32_t bytes);
WASM_EXPORT(sheaf_wasm_free) void sheaf_wasm_free(void *data);
/* options: JSON (config.c). seed: any 64 bits, from the host's random source; secret:
 * SHEAF_SECRET_BYTES from there, copied, or 0: prompts are never merged. Answers the client, or 0: why
 * stands in the mailbox of client 0. */
WASM_EXPORT(sheaf_wasm_open)
uint32_t sheaf_wasm_open(const char *options, uint32_t bytes, uint32_t seed_low, uint32_t seed_high,
                         const uint8_t *secret);
WASM_EXPORT(sheaf_wasm_close) void sheaf_wasm_close(uint32_t handle);
/* The mailbox's address; of client 0: of failures without a client. */
WASM_EXPORT(sheaf_wasm_mail) const wasm_mail *sheaf_wasm_mail(uint32_t handle);
/* A request as a line of the input format (sheaf_line_read). user comes back with the result. flags:
 * WASM_FLAG_STREAM, DETERMINISTIC, ALONE, RAW; PROMPT: the text is the prompt itself. max_wait_ms: its
 * longest wait for company, 0: that of the options. Leaves index. SHEAF_E_FULL: come back after a
 * result. */
WASM_EXPORT(sheaf_wasm_submit)
int32_t sheaf_wasm_submit(uint32_t handle, const char *line, uint32_t bytes, uint32_t user,
                          uint32_t flags, double max_wait_ms);
/* A function of the host's under the same limits. deadline_ms, max_tokens 0: none. */
WASM_EXPORT(sheaf_wasm_submit_task)
int32_t sheaf_wasm_submit_task(uint32_t handle, uint32_t user, uint32_t priority,
                               double deadline_ms, double max_tokens);
WASM_EXPORT(sheaf_wasm_cancel) int32_t sheaf_wasm_cancel(uint32_t handle, double index);
/* how 0: no more will be submitted. 1: nothing new starts. 2: what is in flight ends, too. */
WASM_EXPORT(sheaf_wasm_end) int32_t sheaf_wasm_end(uint32_t handle, uint32_t how);
/* on 1: nothing starts until 0; requests are taken, what is in flight ends. */
WASM_EXPORT(sheaf_wasm_pause) int32_t sheaf_wasm_pause(uint32_t handle, uint32_t on);
WASM_EXPORT(sheaf_wasm_is_paused) uint32_t sheaf_wasm_is_paused(uint32_t handle);
/* Sets one option of a running client, from text (sheaf_engine_set). */
WASM_EXPORT(sheaf_wasm_set)
int32_t sheaf_wasm_set(uint32_t handle, const char *name, uint32_t name_bytes, const char *value,
                       uint32_t value_bytes);
/* Statistics from 0 again (sheaf_engine_stats_reset). */
WASM_EXPORT(sheaf_wasm_stats_reset) int32_t sheaf_wasm_stats_reset(uint32_t handle);
/* How many requests submit would take now. */
WASM_EXPORT(sheaf_wasm_room) uint32_t sheaf_wasm_room(uint32_t handle);
/* Decides. now_ms is monotonic, from any start; unix_ms is the wall clock. */
WASM_EXPORT(sheaf_wasm_step)
int32_t sheaf_wasm_step(uint32_t handle, double now_ms, double unix_ms);
/* The time at which step wants to be called again, on the clock of now_ms; 0: now; -1: when something
 * was reported. */
WASM_EXPORT(sheaf_wasm_timeout) double sheaf_wasm_timeout(uint32_t handle);
WASM_EXPORT(sheaf_wasm_is_idle) uint32_t sheaf_wasm_is_idle(uint32_t handle);
/* Takes the next action, or else the next event, into the mailbox. Answers its kind, 0: none. */
WASM_EXPORT(sheaf_wasm_next) uint32_t sheaf_wasm_next(uint32_t handle);
/* headers: "name: value" lines, each ending in LF. */
WASM_EXPORT(sheaf_wasm_on_head)
int32_t sheaf_wasm_on_head(uint32_t handle, double exchange, uint32_t http_status,
                           const char *headers, uint32_t bytes);
WASM_EXPORT(sheaf_wasm_on_data)
int32_t sheaf_wasm_on_data(uint32_t handle, double exchange, const char *data, uint32_t bytes);
/* end: END_... of the constants; message: what happened, for people. */
WASM_EXPORT(sheaf_wasm_on_done)
int32_t sheaf_wasm_on_done(uint32_t handle, double exchange, uint32_t end, uint32_t is_retryable,
                           const char *message, uint32_t bytes);
/* A task is over: http_status as its function would have been answered (200: well). Negative numbers:
 * not told. */
WASM_EXPORT(sheaf_wasm_on_task)
int32_t sheaf_wasm_on_task(uint32_t handle, double exchange, uint32_t end, uint32_t http_status,
                           uint32_t is_retryable, double retry_after_ms, double input_tokens,
                           double output_tokens, const char *message, uint32_t bytes);
/* Turns the log on, before the first step. state: the bytes of an earlier run's log, or none. Leaves in
 * bytes what a new log begins with; in number how many bytes of the state are valid; in text the
 * records of the runs that wrote them, as a JSON array, or nothing. */
WASM_EXPORT(sheaf_wasm_use_log)
int32_t sheaf_wasm_use_log(uint32_t handle, const char *state, uint32_t bytes, uint32_t salt_low,
                           uint32_t salt_high, double unix_ms);
/* The frames of an APPEND are kept as well as the host keeps anything; or not (status). */
WASM_EXPORT(sheaf_wasm_on_stored)
int32_t sheaf_wasm_on_stored(uint32_t handle, double ticket, int32_t status);
/* Leaves in bytes the frame of a record of the host's own (SHEAF_RECORD_RUN, SHEAF_RECORD_END). */
WASM_EXPORT(sheaf_wasm_log_frame)
int32_t sheaf_wasm_log_frame(uint32_t handle, uint32_t type, const char *payload, uint32_t bytes);
/* All frames so far are on the disk: damage to them will not be taken for a torn end. */
WASM_EXPORT(sheaf_wasm_log_synced) int32_t sheaf_wasm_log_synced(uint32_t handle);
/* Turns resuming on, before the first step; then requests come by offer alone. retry_failed: what
 * failed before runs again. */
WASM_EXPORT(sheaf_wasm_use_resume)
int32_t sheaf_wasm_use_resume(uint32_t handle, uint32_t retry_failed);
/* Tells of a whole line of an earlier output, which begins at offset; in file order.
 * SHEAF_E_OTHER_RUN: the first line is not sheaf's. Else as sheaf_resume_add_line. */
WASM_EXPORT(sheaf_wasm_add_line)
int32_t sheaf_wasm_add_line(uint32_t handle, const char *line, uint32_t bytes, double offset);
/* The next row of an input, as the command reads it: like submit, but a request that cannot be built
 * ends with a result, and one that has a line is skipped. place: what the host finds the row by.
 * Leaves index, flags (LINE, OK, SKIPPED, VOID, REFUSED) and in number where the line begins.
 * SHEAF_E_DUPLICATE: custom_id was very likely used before, by the row whose place is in number;
 * offered again, it is taken for another. SHEAF_E_OTHER_RUN: the line of custom_id is of another
 * request. Bad lines leave their column in number. */
WASM_EXPORT(sheaf_wasm_offer)
int32_t sheaf_wasm_offer(uint32_t handle, const char *line, uint32_t bytes, uint32_t user,
                         uint32_t flags, uint32_t place);
/* Of a line at offset that no row points at: 1: a better line of its request is there, 0: none. */
WASM_EXPORT(sheaf_wasm_is_replaced)
int32_t sheaf_wasm_is_replaced(uint32_t handle, const char *line, uint32_t bytes, double offset);
/* Leaves in tool_calls those of an output line. */
WASM_EXPORT(sheaf_wasm_tools)
int32_t sheaf_wasm_tools(uint32_t handle, const char *line, uint32_t bytes);
/* Leaves in bytes: 0 the numbers of the statistics (sheaf_stats_numbers), 1 the output line of the result
 * in the mailbox, as the command writes it. */
WASM_EXPORT(sheaf_wasm_text) int32_t sheaf_wasm_text(uint32_t handle, uint32_t what);
/* WASM_ABI_VERSION and the core's version, a byte each. What is built for another knows other layouts. */
WASM_EXPORT(sheaf_wasm_version) uint32_t sheaf_wasm_version(void);
/* Of sheaf-described.wasm alone: layouts and constants as JSON, made at the first call and kept; its length
 * stands in the 4 bytes before it. 0: no memory. */
WASM_EXPORT(sheaf_wasm_abi) const char *sheaf_wasm_abi(void);

#endif
