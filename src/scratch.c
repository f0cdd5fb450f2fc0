/* SPDX-License-Identifier: MIT */
#include "scratch.h"

#include <stdint.h>
#include <string.h>

#include "memory.h"

#define RESERVE ((size_t)1 << 20)

static _Alignas(16) char reserve[RESERVE];
static size_t            used;

static bool
is_reserve(const void *p)
{
    return (uintptr_t)p - (uintptr_t)reserve < RESERVE;
}

static void *
from_reserve(size_t bytes)
{
    char *p = reserve + used;

    if (bytes > RESERVE - used)
        return NULL;
    used += (bytes + 15) & ~(size_t)15;
    return p;
}

void *
wn_scratch_get(size_t bytes)
{
    void *p = wn_malloc(bytes);

    return p ? p : from_reserve(bytes);
}

void *
wn_scratch_zeroed(size_t bytes)
{
    void *p = wn_calloc(1, bytes);

    if (p)
        return p;
    p = from_reserve(bytes);
    return p ? memset(p, 0, bytes) : NULL;
}

void *
wn_scratch_grow(void *old, size_t old_bytes, size_t bytes)
{
    void *p = is_reserve(old) ? NULL : wn_realloc(old, bytes);

    if (p)
        return p;
    p = wn_scratch_get(bytes);
    if (p && old) {
        memcpy(p, old, old_bytes);
        wn_scratch_put(old);
    }
    return p;
}

void
wn_scratch_put(void *p)
{
    if (!is_reserve(p))
        wn_free(p);
}

void
wn_scratch_over(void)
{
    used = 0;
}
