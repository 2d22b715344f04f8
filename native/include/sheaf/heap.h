/* sheaf/heap.h: the C library's memory for what wants a sheaf_allocator. */
#ifndef SHEAF_HEAP_H
#define SHEAF_HEAP_H

#include <sheaf/base.h>

#ifdef __cplusplus
extern "C" {
#endif

/* malloc, realloc and free as an allocator: static, no state, any thread. Since 0.1. */
SHEAF_API const sheaf_allocator *sheaf_heap(void);

#ifdef __cplusplus
}
#endif

#endif
