/* jobs_open.c: options into a handle of jobs, and what could travel how.
 *
 * Outline: reading, where to, checks, opening, availability, life. */
#define _DEFAULT_SOURCE
#include "jobs_int.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define METADATA_BYTES_MAX ((size_t)16 << 20)

/* ---- Reading ---- */

/* Options as they are read, by open and by available. */
typedef struct reading {
  sheaf_jobs_options given;
  sheaf_engine_options engine;
  sheaf__place place;
  char sentence[SHEAF__SAID_BYTES];
} reading;

static int32_t read_given(reading *r, const sheaf_jobs_options *options) {
  if (options == NULL || options->struct_bytes < sizeof options->struct_bytes)
    return SHEAF_E_MISUSE;
  size_t known = options->struct_bytes < sizeof r->given ? options->struct_bytes : sizeof r->given;
  memset(r, 0, sizeof *r);
  memcpy(&r->given, options, known);
  sheaf__options_read(&r->engine, r->given.engine);
  if (r->engine.lane != SHEAF_LANE_AUTO) r->engine.lane = SHEAF_LANE_BATCH;
  r->engine.batch_mode = SHEAF_BATCH_RUN;
  return SHEAF_OK;
}

static int32_t answer(const reading *r, int32_t status) {
  if (r->given.message != NULL && r->given.message_bytes > 0)
    snprintf(r->given.message, r->given.message_bytes, "%s",
             r->sentence[0] || status == SHEAF_OK ? r->sentence : sheaf_status_text(status));
  return status;
}

static int32_t say(reading *r, int32_t status, const char *sentence) {
  snprintf(r->sentence, sizeof r->sentence, "%s", sentence);
  return status;
}

/* ---- Where to ---- */

static int32_t find_place(reading *r) {
  const sheaf_jobs_options *given = &r->given;
  if (given->endpoints != NULL) {
    r->engine.endpoints = given->endpoints;
    r->engine.endpoint_count = given->endpoint_count;
    return sheaf__endpoints_check(given->endpoints, given->endpoint_count, r->sentence,
                                  sizeof r->sentence);
  }
  r->place = (sheaf__place){.provider = given->provider,
                            .base_url = given->base_url,
                            .key = given->api_key,
                            .model = given->model,
                            .wants_key = true};
  r->engine.endpoints = &r->place.endpoint;
  r->engine.endpoint_count = 1;
  return sheaf__place_find(&r->place, r->sentence, sizeof r->sentence);
}

static bool has_batch_api(const sheaf_engine_options *o) {
  for (uint32_t i = 0; i < o->endpoint_count; i++)
    if (o->endpoints[i].provider != NULL && sheaf_job_api_of(o->endpoints[i].provider) != NULL)
      return true;
  return false;
}

/* ---- Checks ---- */

static int32_t check_jobs(reading *r) {
  if (r->engine.lane == SHEAF_LANE_AUTO || has_batch_api(&r->engine)) return SHEAF_OK;
  const sheaf_provider *provider =
      r->engine.endpoint_count > 0 ? r->engine.endpoints[0].provider : NULL;
  snprintf(r->sentence, sizeof r->sentence,
           "%s has no batch API: use sheaf_client, or lane auto, which runs its requests live",
           provider != NULL ? provider->name : "the provider");
  return SHEAF_E_UNSUPPORTED;
}

static int32_t check_texts(reading *r) {
  const char *metadata = r->given.metadata;
  if (r->given.state_path == NULL || r->given.state_path[0] == 0)
    return say(
        r, SHEAF_E_MISUSE,
        "jobs outlive this process: name the file that they are remembered in, as state_path");
  if (metadata == NULL) return SHEAF_OK;
  if (sheaf_json_check(sheaf_slice_of(metadata), NULL) != SHEAF_OK)
    return say(r, SHEAF_E_SYNTAX, "metadata is no JSON value: a text needs its quotes");
  if (strlen(metadata) > METADATA_BYTES_MAX)
    return say(r, SHEAF_E_TOO_LONG, "metadata is longer than 16 MiB");
  return SHEAF_OK;
}

static int32_t check(reading *r) {
  int32_t status = check_texts(r);
  if (status == SHEAF_OK)
    status = sheaf__options_check(&r->engine, r->sentence, sizeof r->sentence);
  if (status == SHEAF_OK) status = find_place(r);
  return status ? status : check_jobs(r);
}

/* What only the engine knows of its options. */
static int32_t try_engine(const sheaf_engine_options *options) {
  sheaf_engine *engine = NULL;
  int32_t status = sheaf_engine_new(options, sheaf_heap(), &engine);
  sheaf_engine_free(engine);
  return status;
}

/* ---- Opening ---- */

static int32_t set_credential(void *curl, uint32_t credential_id, const char *base_url,
                              const char *secret) {
  return sheaf_curl_set_credential(curl, credential_id, base_url, secret);
}

static char *copy_text(const char *text) {
  size_t bytes = strlen(text) + 1;
  char *copy = malloc(bytes);
  if (copy != NULL) memcpy(copy, text, bytes);
  return copy;
}

static int32_t keep_texts(sheaf_jobs *jobs, const reading *r) {
  jobs->state_path = copy_text(r->given.state_path);
  if (jobs->state_path == NULL) return SHEAF_E_NOMEM;
  if (r->given.metadata == NULL) return SHEAF_OK;
  jobs->metadata = copy_text(r->given.metadata);
  return jobs->metadata == NULL ? SHEAF_E_NOMEM : SHEAF_OK;
}

static int32_t make(sheaf_jobs *jobs, reading *r) {
  sheaf_buf_init(&jobs->shown, sheaf_heap(), METADATA_BYTES_MAX + 1);
  jobs->given = r->given;
  jobs->options = r->engine;
  int32_t status = sheaf__keep_options(&jobs->options, &jobs->kept);
  if (status == SHEAF_OK) status = keep_texts(jobs, r);
  if (status == SHEAF_OK) status = try_engine(&jobs->options);
  if (status) return status;
  status = sheaf_curl_new(r->given.curl, &jobs->curl);
  if (status) return say(r, status, "libcurl could not be set up, or curl options are not valid");
  if (r->given.endpoints != NULL) return SHEAF_OK;
  status = sheaf__place_key(&r->place, set_credential, jobs->curl);
  return status ? say(r, status, "the key or base_url is not valid") : SHEAF_OK;
}

int32_t sheaf_jobs_open(const sheaf_jobs_options *options, sheaf_jobs **made) {
  reading r;
  if (made == NULL) return SHEAF_E_MISUSE;
  *made = NULL;
  int32_t status = read_given(&r, options);
  if (status) return status;
  status = check(&r);
  if (status) return answer(&r, status);
  sheaf_jobs *jobs = calloc(1, sizeof *jobs);
  if (jobs == NULL) return answer(&r, SHEAF_E_NOMEM);
  status = make(jobs, &r);
  if (status) {
    sheaf_jobs_close(jobs);
    return answer(&r, status);
  }
  *made = jobs;
  return answer(&r, SHEAF_OK);
}

/* ---- Availability ---- */

/* A state file that is there is ours and nobody's at work; where there is none, one can be made. */
static int32_t check_state(reading *r, const char **why) {
  const char *path = r->given.state_path;
  char folder[4096];
  sheaf_jobs_store *store = NULL;
  sheaf_jobs_store_run run = {.struct_bytes = sizeof run};
  if (access(path, F_OK) != 0) {
    const char *slash = strrchr(path, '/');
    snprintf(folder, sizeof folder, "%.*s", slash ? (int)(slash - path + 1) : 1,
             slash ? path : ".");
    *why = "no state file can be made there: give a state_path in a folder that can be written";
    return access(folder, W_OK | X_OK) == 0 ? SHEAF_OK : say(r, SHEAF_E_IO, *why);
  }
  sheaf_jobs_store_options options = SHEAF_JOBS_STORE_OPTIONS_INIT;
  options.path = path;
  options.read_only = 1;
  *why = "the state file cannot be used";
  int32_t status = sheaf_jobs_store_open(&options, &store, r->sentence, sizeof r->sentence);
  if (status) return status;
  status = sheaf_jobs_store_run_get(store, &run);
  bool is_taken = status == SHEAF_OK && run.is_live;
  sheaf_jobs_store_close(store);
  *why = "another process is at work with the state file";
  return is_taken ? say(r, SHEAF_E_OTHER_RUN, *why) : SHEAF_OK;
}

/* Static sentences for what check() says at length. */
static const char *reason(int32_t status) {
  switch (status) {
    case SHEAF_E_AUTH: return "no key was found";
    case SHEAF_E_NOT_FOUND: return "there is no such provider";
    case SHEAF_E_UNSUPPORTED: return "the provider has no batch API";
    case SHEAF_E_FIELD: return "the provider has no address of its own: give base_url";
    default: return sheaf_status_text(status);
  }
}

static int32_t check_lane(reading *r, uint32_t lane, const char **why) {
  int32_t status = lane == SHEAF_LANE_BATCH ? check_texts(r) : SHEAF_OK;
  *why = "jobs want a state_path, and metadata is JSON";
  if (status) return status;
  r->engine.lane = lane;
  status = find_place(r);
  if (status == SHEAF_OK && lane == SHEAF_LANE_BATCH) status = check_jobs(r);
  *why = reason(status);
  if (status == SHEAF_OK && lane == SHEAF_LANE_BATCH) status = check_state(r, why);
  return status;
}

bool sheaf_jobs_available(const sheaf_jobs_options *options, uint32_t lane, const char **why) {
  reading r;
  const char *reason_found = "the options are not valid, or there is no such lane";
  bool is_good = read_given(&r, options) == SHEAF_OK && lane <= SHEAF_LANE_AUTO;
  if (is_good) {
    int32_t status = check_lane(&r, lane, &reason_found);
    is_good = status == SHEAF_OK;
    answer(&r, status);
  }
  if (why != NULL) *why = is_good ? "" : reason_found;
  return is_good;
}

/* ---- Life ---- */

void sheaf_jobs_close(sheaf_jobs *jobs) {
  if (jobs == NULL || jobs->inside) return;
  sheaf_curl_free(jobs->curl);
  sheaf_engine_free(jobs->stuck);
  sheaf__kept_free(&jobs->kept);
  sheaf_buf_deinit(&jobs->shown);
  free(jobs->state_path);
  free(jobs->metadata);
  free(jobs);
}

int32_t sheaf_jobs_set_credential(sheaf_jobs *jobs, uint32_t credential_id, const char *base_url,
                                  const char *secret) {
  if (jobs == NULL || jobs->inside) return SHEAF_E_MISUSE;
  jobs->said[0] = 0;
  return sheaf_curl_set_credential(jobs->curl, credential_id, base_url, secret);
}

const char *sheaf_jobs_message(const sheaf_jobs *jobs) {
  return jobs != NULL ? jobs->said : "";
}

void sheaf_jobs_stop(sheaf_jobs *jobs) {
  if (jobs == NULL) return;
  atomic_fetch_add(&jobs->stops, 1);
  sheaf_curl_wake(jobs->curl);
}
