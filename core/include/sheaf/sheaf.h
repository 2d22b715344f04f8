/* sheaf: large numbers of LLM requests, run right. This header brings the core; sheaf/client.h,
 * sheaf/files.h and sheaf/curl.h are the native side. */
#ifndef SHEAF_SHEAF_H
#define SHEAF_SHEAF_H

#include <sheaf/answer.h>
#include <sheaf/base.h>
#include <sheaf/buf.h>
#include <sheaf/engine.h>
#include <sheaf/jobs.h>
#include <sheaf/line.h>
#include <sheaf/provider.h>
#include <sheaf/request.h>
#include <sheaf/stats.h>

#endif
