/* SPDX-License-Identifier: MIT
 *
 * memory.h - where the library's memory comes from
 *
 * In the test build (WN_STEPS) a hook may refuse: it is asked before each allocation, and before each thread that is started.
 */
#ifndef WN_MEMORY_H
#define WN_MEMORY_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>

#ifdef WN_STEPS
extern bool (*wn_memory_hook)(size_t bytes); /* false: there is no memory */
#endif

/* Every allocation is asked for. */
static inline bool
wn_memory_is_watched(void)
{
#ifdef WN_STEPS
    return __atomic_load_n(&wn_memory_hook, __ATOMIC_RELAXED);
#else
    return false;
#endif
}

static inline bool
wn_memory_may_be_had(size_t bytes)
{
#ifdef WN_STEPS
    bool (*hook)(size_t) = __atomic_load_n(&wn_memory_hook, __ATOMIC_RELAXED); /* relaxed: a test's, set for good */

    if (hook && !hook(bytes)) {
        errno = ENOMEM;
        return false;
    }
#else
    (void)bytes;
#endif
    return true;
}

static inline void *
wn_malloc(size_t bytes)
{
    return wn_memory_may_be_had(bytes) ? malloc(bytes) : NULL;
}

static inline void *
wn_calloc(size_t n, size_t bytes)
{
    return wn_memory_may_be_had(n * bytes) ? calloc(n, bytes) : NULL;
}

static inline void *
wn_realloc(void *old, size_t bytes)
{
    return wn_memory_may_be_had(bytes) ? realloc(old, bytes) : NULL;
}

static inline void *
wn_aligned_alloc(size_t alignment, size_t bytes)
{
    return wn_memory_may_be_had(bytes) ? aligned_alloc(alignment, bytes) : NULL;
}

static inline void
wn_free(void *p)
{
    free(p);
}

#endif
