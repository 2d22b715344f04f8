/* sheaf/client_jobs.h: a list of requests through a provider's batch jobs, at a discount and within
 * hours, from a program: submit now, collect in another process.
 *
 *   sheaf_jobs_options options = SHEAF_JOBS_OPTIONS_INIT;
 *   options.provider = "openai"; options.model = "gpt-4o-mini";      // key from OPENAI_API_KEY
 *   options.state_path = "translations.jobs.sqlite";
 *   sheaf_jobs *jobs;
 *   sheaf_jobs_open(&options, &jobs);
 *   sheaf_jobs_submit(jobs, requests, count, NULL, NULL);            // ends when every job is created
 *   ...                                                              // now, tomorrow, elsewhere:
 *   sheaf_jobs_wait(jobs, SHEAF_NEVER, take, user);                  // take(user, result) for each row
 *   sheaf_jobs_close(jobs);
 *
 * A state file is one list: which jobs there are, which of its rows were handed out, and rows that
 * wait (in STATE.spool). A process that died is followed by one that opens the same file and goes
 * on: nothing is submitted twice, nothing is lost.
 *
 * Results are handed out at least once: a row counts as taken when fn has answered SHEAF_OK for it,
 * settle (if there is one) has answered SHEAF_OK after that, and its job's end is on the disk or
 * the call has returned. A process that dies before is followed by one that hands out the rows of
 * that job again.
 *
 * Rows that a job does not bring (expired, missing, failed in a way that another try may mend) are
 * asked for again live, inside of wait, run and results, unless the option rescue is off.
 *
 * Calls block, and all but sheaf_jobs_stop belong to one thread at a time; never call them on a
 * client's driver thread. Callbacks run inside of the call, on its thread, and may call no function
 * of this header but sheaf_jobs_stop (SHEAF_E_MISUSE). */
#ifndef SHEAF_CLIENT_JOBS_H
#define SHEAF_CLIENT_JOBS_H

#include <sheaf/sheaf.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct sheaf_jobs sheaf_jobs;

/* Takes a result, which lives for the call. SHEAF_OK: taken. Anything else: not, and the call ends
 * with it when what is under way has ended; the row comes again. Rows come in any order: index and
 * custom_id say which. Their user is NULL (the process may be another); metadata and source_ref are
 * those of the request. */
typedef int32_t (*sheaf_jobs_result_fn)(void *user, const sheaf_result *result);
/* The next request; its slices live until the next call. SHEAF_OK; SHEAF_E_END: that was all;
 * SHEAF_E_LATER: none yet, asked again some ms later. Anything else ends the call with it. A list
 * that goes on after it was cut short is handed out again from its beginning, the same in the same
 * order. */
typedef int32_t (*sheaf_jobs_next_fn)(void *user, sheaf_request *request);
/* Sees a job, which lives for the call. */
typedef void (*sheaf_jobs_status_fn)(void *user, const sheaf_job_status *status);

typedef struct sheaf_jobs_options {
  uint32_t struct_bytes;
  uint32_t endpoint_count;
  /* As of sheaf_client_options. azure has no address of its own: it wants base_url. */
  const char *provider;
  const char *base_url;
  const char *api_key;
  const char *model;
  /* instead of the four above; credentials by sheaf_jobs_set_credential */
  const sheaf_endpoint *endpoints;
  /* NULL: defaults; its endpoints and batch_mode are ignored. lane: auto stays (few rows run live,
   * at once), anything else becomes batch. poll_interval_ms, batch_timeout_ms,
   * max_requests_per_job, max_jobs, rescue, ... are the engine's; budget_usd_nano holds for one
   * call, with what jobs of before may cost at most set aside. prices and the ctx of tokens outlive
   * the handle. */
  const sheaf_engine_options *engine;
  const struct sheaf_curl_options *curl; /* NULL: defaults */
  /* The state file, made where there is none; in a folder that is there. One process at a time
   * has it, for as long as a call takes. */
  const char *state_path;
  /* Any JSON value to be kept with the list, read back by sheaf_jobs_metadata; NULL: as it is.
   * Written by submit and run. */
  const char *metadata;
  /* What became known of a job, at each change. */
  sheaf_jobs_status_fn on_progress;
  /* Notices: pauses, a key that was refused, a budget that is spent. */
  void (*on_event)(void *user, const sheaf_event *event);
  /* Called before jobs are written down as over: make durable what fn has taken. Anything but
   * SHEAF_OK ends the call with it, and those rows come again. NULL: what fn took is durable
   * enough. */
  int32_t (*settle)(void *user);
  void *user; /* of the three above */
  /* Where sheaf_jobs_open and sheaf_jobs_available say in one sentence why not; terminated. NULL:
   * nowhere. Later calls: sheaf_jobs_message. */
  char *message;
  size_t message_bytes;
} sheaf_jobs_options;

#define SHEAF_JOBS_OPTIONS_INIT ((sheaf_jobs_options){.struct_bytes = sizeof(sheaf_jobs_options)})

/* ---- Life ---- */

/* Makes a handle; asks nobody and leaves the disk alone. What the options point at is copied, but
 * for what is said there to outlive the handle. SHEAF_OK; SHEAF_E_MISUSE (no state_path);
 * SHEAF_E_NOT_FOUND: no such provider; SHEAF_E_AUTH: it wants a key and none was found;
 * SHEAF_E_UNSUPPORTED: it has no batch API, and the lane is not auto; SHEAF_E_FIELD (azure without
 * base_url, a key that cannot be one); SHEAF_E_SYNTAX: metadata is no JSON; SHEAF_E_RANGE;
 * SHEAF_E_NOMEM; SHEAF_E_IO. options.message says more. Since 0.1. */
SHEAF_API int32_t sheaf_jobs_open(const sheaf_jobs_options *options, sheaf_jobs **jobs);
/* Jobs at the provider go on. No other call on the handle may be running. NULL is fine. Since 0.1. */
SHEAF_API void sheaf_jobs_close(sheaf_jobs *jobs);
/* As sheaf_curl_set_credential, for endpoints of the caller's own. Since 0.1. */
SHEAF_API int32_t sheaf_jobs_set_credential(sheaf_jobs *jobs, uint32_t credential_id,
                                            const char *base_url, const char *secret);
/* What the last call has to say, one sentence without secrets; "" if nothing. Lives until the next
 * call on the handle. Since 0.1. */
SHEAF_API const char *sheaf_jobs_message(const sheaf_jobs *jobs);
/* Whether requests could travel in a lane (SHEAF_LANE_*) with these options: a provider that has
 * it, its key and its address; for batch, a state file that can be made and is nobody else's now.
 * Nobody is asked. *why (may be NULL): "" or a static sentence; options.message, where it is given,
 * says more. Since 0.1. */
SHEAF_API bool sheaf_jobs_available(const sheaf_jobs_options *options, uint32_t lane,
                                    const char **why);

/* What the calls below answer besides what stands there:
 * SHEAF_E_CANCELLED: by sheaf_jobs_stop; jobs at the provider go on, a later call goes on with
 * them.
 * SHEAF_E_AUTH: the provider refused the key.
 * SHEAF_E_OTHER_RUN: another process has the state file, or it holds another list.
 * SHEAF_E_STORE, SHEAF_E_CORRUPT, SHEAF_E_VERSION, SHEAF_E_IO: of the state file; nothing is sent
 * that could not be written down before.
 * SHEAF_E_MISUSE: called in a callback, or on a client's driver thread. SHEAF_E_NOMEM. And what fn,
 * settle or next answered. sheaf_jobs_message says more. One failed row never fails a call. */

/* ---- A list into jobs ---- */

/* Prepares and creates the jobs of a list and ends when every one is created, without waiting for
 * them. Requests are checked before anything is sent: SHEAF_E_DUPLICATE, SHEAF_E_FIELD, ...: one is
 * not valid, nothing was sent, and the message names its position from 1. fn takes rows that end
 * without a job: which the provider's jobs do not take, for which the budget is spent, and in lane
 * auto those that ran live. fn NULL: such a row ends the call (SHEAF_E_UNSUPPORTED, SHEAF_E_LIMIT,
 * ...); not in lane auto (SHEAF_E_MISUSE). A list that was cut short is submitted again, from the
 * same requests: jobs that are there are not made again. The same list once all of it is submitted:
 * SHEAF_OK, and nothing is sent. Another list: SHEAF_E_OTHER_RUN; give it a state file of its own.
 * SHEAF_E_LATER: jobs wait for room at the provider, or their creation is to be decided by a person
 * (sheaf jobs decide); wait and run go on with them. Since 0.1. */
SHEAF_API int32_t sheaf_jobs_submit(sheaf_jobs *jobs, const sheaf_request *requests, size_t count,
                                    sheaf_jobs_result_fn fn, void *user);
/* The same, of a list of any length, in memory of about 50 bytes a row. Requests are looked at one
 * by one: those that cannot be built go to fn as invalid_request, and custom_ids may stand twice.
 * Since 0.1. */
SHEAF_API int32_t sheaf_jobs_submit_from(sheaf_jobs *jobs, sheaf_jobs_next_fn next, void *next_user,
                                         sheaf_jobs_result_fn fn, void *user);
/* Submits and waits: all results go to fn, which is not NULL. A program that runs it again after it
 * died goes on where it was. SHEAF_E_LATER as of wait. Since 0.1. */
SHEAF_API int32_t sheaf_jobs_run(sheaf_jobs *jobs, const sheaf_request *requests, size_t count,
                                 sheaf_jobs_result_fn fn, void *user);
SHEAF_API int32_t sheaf_jobs_run_from(sheaf_jobs *jobs, sheaf_jobs_next_fn next, void *next_user,
                                      sheaf_jobs_result_fn fn, void *user);

/* ---- Jobs of earlier calls, and of other processes ---- */

/* Shows each job of the state file, oldest first, as the file knows it: the provider is not asked,
 * and another process may be at work meanwhile. ended is requests where the job is over, else 0;
 * next_poll_ns is SHEAF_NEVER. SHEAF_E_NOT_FOUND: there is no state file. Since 0.1. */
SHEAF_API int32_t sheaf_jobs_list(sheaf_jobs *jobs, sheaf_jobs_status_fn fn, void *user);
/* Asks the provider once for each job that is not over, then shows them as list does. fn may be
 * NULL. Since 0.1. */
SHEAF_API int32_t sheaf_jobs_status(sheaf_jobs *jobs, sheaf_jobs_status_fn fn, void *user);
/* Asks once and collects what is done. SHEAF_OK: all of the list was handed out, now or before.
 * SHEAF_E_LATER: jobs are left (sheaf_jobs_list says which). SHEAF_E_PARTIAL: none is, but the list
 * was cut short before all of it was submitted. SHEAF_E_NOT_FOUND: there is no state file. Since
 * 0.1. */
SHEAF_API int32_t sheaf_jobs_results(sheaf_jobs *jobs, sheaf_jobs_result_fn fn, void *user);
/* Polls and collects to the end, but begins nothing new after timeout_ms (SHEAF_NEVER: no limit; 0:
 * asks once or so): calls under way then are let end. Answers as results; SHEAF_E_LATER also when a
 * job cannot go on in this run, as the message says. Since 0.1. */
SHEAF_API int32_t sheaf_jobs_wait(sheaf_jobs *jobs, uint64_t timeout_ms, sheaf_jobs_result_fn fn,
                                  void *user);
/* Asks the provider to end a job (its flight, as list shows it), or all (0). What it did until then
 * is collected by results or wait, and the rest comes as cancelled. Rows of a job that was not
 * created yet end at once: they go to fn; NULL: nowhere. SHEAF_E_NOT_FOUND: no such job;
 * SHEAF_E_END: it is over. Since 0.1. */
SHEAF_API int32_t sheaf_jobs_cancel(sheaf_jobs *jobs, uint64_t flight, sheaf_jobs_result_fn fn,
                                    void *user);
/* The metadata kept with the list; lives until the next call on the handle. SHEAF_E_NOT_FOUND:
 * none. Since 0.1. */
SHEAF_API int32_t sheaf_jobs_metadata(sheaf_jobs *jobs, sheaf_slice *metadata);
/* Ends the call that runs, or else the next one: nothing new begins, what is under way is let end;
 * asked a second time, it is cancelled, and live calls may be billed unseen. Any thread, also a
 * callback; async-signal-safe. Since 0.1. */
SHEAF_API void sheaf_jobs_stop(sheaf_jobs *jobs);

#ifdef __cplusplus
}
#endif

#endif
