/* sha256_x86.h: the fastest SHA-256 compression function this processor has. */
#ifndef SHEAF_SHA256_X86_H
#define SHEAF_SHA256_X86_H

#include <sheaf/line.h>

/* Asks the processor, so ask once and keep the answer. Never NULL: the portable one elsewhere. */
sheaf_sha256_blocks_fn sheaf__sha256_fastest(void);

#endif
