/* limits.h: rate limits in headers: prefix, then a resource and one of limit, remaining, reset, in
 * either order. */
#ifndef SHEAF_LIMITS_H
#define SHEAF_LIMITS_H

#include <sheaf/provider.h>

typedef struct sheaf__limit_name {
  const char *name;
  uint32_t resource;
} sheaf__limit_name;

/* One walk over the headers. prefix is lower case. resource_first: "PREFIXrequests-limit"
 * (Anthropic), else "PREFIXlimit-requests" (OpenAI). Numbers are passed on as they came, negative
 * ones too. At most SHEAF_LIMITS_MAX names. Answers how many limits were told. */
uint32_t sheaf__read_limits(const sheaf_reply *reply, const char *prefix, bool resource_first,
                            const sheaf__limit_name *names, uint32_t name_count,
                            sheaf_limit *limits);

#endif
