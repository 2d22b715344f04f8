/* job_api.c: what all batch APIs have in common for those who use them: finding one, names, news
 * that say nothing yet. */
#include <sheaf/jobs.h>

#include "providers/decoding.h"

/* A provider of the user's own may have been compiled before there were jobs. */
const sheaf_job_api *sheaf_job_api_of(const sheaf_provider *provider) {
  const size_t needed = offsetof(sheaf_provider, jobs) + sizeof provider->jobs;
  return provider && provider->struct_bytes >= needed ? provider->jobs : NULL;
}

void sheaf_job_news_init(sheaf_job_news *news) {
  *news = (sheaf_job_news){.struct_bytes = sizeof(sheaf_job_news),
                           .state = SHEAF_JOB_UNKNOWN_STATE,
                           .total = SHEAF_ABSENT,
                           .completed = SHEAF_ABSENT,
                           .failed = SHEAF_ABSENT,
                           .created_unix_ms = SHEAF_ABSENT};
}

/* ---- Names ---- */

static const char *const states[] = {
#define STATE_NAME(name, number, text) [number] = (text),
    SHEAF_JOB_STATE_MAP(STATE_NAME)
#undef STATE_NAME
};

static const char *const steps[] = {[0] = "unknown",
#define STEP_NAME(name, number, text) [number] = (text),
                                    SHEAF_JOB_STEP_MAP(STEP_NAME)
#undef STEP_NAME
};

const char *sheaf_job_state_name(uint32_t state) {
  return states[state < sizeof states / sizeof states[0] ? state : SHEAF_JOB_UNKNOWN_STATE];
}

uint32_t sheaf_job_state_find(sheaf_slice name) {
  for (uint32_t i = 0; i < sizeof states / sizeof states[0]; i++) {
    if (sheaf__is(name, states[i])) return i;
  }
  return SHEAF_JOB_UNKNOWN_STATE;
}

const char *sheaf_job_step_name(uint32_t step) {
  return steps[step < sizeof steps / sizeof steps[0] ? step : 0];
}
