/* gemini.h: what the two files of the Gemini adapter share. */
#ifndef SHEAF_GEMINI_H
#define SHEAF_GEMINI_H

#include <sheaf/provider.h>

enum { SHEAF__GEMINI_GENERATE = 0, SHEAF__GEMINI_COUNT = 1 };

int32_t sheaf__gemini_build(const sheaf_provider *provider, const sheaf_build *build,
                            sheaf_call *call);

#endif
