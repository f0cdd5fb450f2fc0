/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE /* mremap, madvise */
#include "scratch.h"

#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

#include "memory.h"

#define RESERVE ((size_t)1 << 20)
#define LARGE   ((size_t)256 << 10)
#define HUGE    ((size_t)4 << 20)

enum source { ALLOCATED, MAPPED, RESERVED };

struct block {
    size_t                bytes; /* with this */
    enum source           source;
    _Alignas(16) char     memory[];
};

static _Alignas(16) char reserve[RESERVE];
static size_t            used;

static struct block *
block_of(void *p)
{
    return (struct block *)(void *)((char *)p - offsetof(struct block, memory));
}

static void *
as(struct block *b, size_t bytes, enum source source)
{
    b->bytes = bytes;
    b->source = source;
    return b->memory;
}

/* Zeroed. */
static struct block *
map(size_t bytes)
{
    void *p = wn_memory_may_be_had(bytes)
                  ? mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
                  : MAP_FAILED;

    if (p == MAP_FAILED)
        return NULL;
    if (bytes >= HUGE)
        (void)madvise(p, bytes, MADV_HUGEPAGE); /* tables are looked into anywhere; without it that is only slower */
    return p;
}

static struct block *
from_reserve(size_t bytes)
{
    char *p = reserve + used;

    if (bytes > RESERVE - used)
        return NULL;
    used += (bytes + 15) & ~(size_t)15;
    return (struct block *)(void *)p;
}

static void *
get(size_t bytes, bool zeroed)
{
    enum source   source = bytes >= LARGE ? MAPPED : ALLOCATED;
    struct block *b = source == MAPPED ? map(bytes) : zeroed ? wn_calloc(1, bytes) : wn_malloc(bytes);

    if (!b) {
        b = from_reserve(bytes);
        source = RESERVED;
        if (b && zeroed)
            memset(b, 0, bytes);
    }
    return b ? as(b, bytes, source) : NULL; /* NOLINT(analyzer-malloc-leak): an inner address of b is returned */
}

void *
wn_scratch_get(size_t bytes)
{
    return get(sizeof(struct block) + bytes, false);
}

void *
wn_scratch_zeroed(size_t bytes)
{
    return get(sizeof(struct block) + bytes, true);
}

/* Where it is, or where the system finds room; NULL: it is to be copied. */
static void *
stretch(struct block *b, size_t bytes)
{
    void *p;

    if (b->source != MAPPED || !wn_memory_may_be_had(bytes))
        return NULL;
    p = mremap(b, b->bytes, bytes, MREMAP_MAYMOVE);
    if (p == MAP_FAILED)
        return NULL;
    if (bytes >= HUGE)
        (void)madvise(p, bytes, MADV_HUGEPAGE);
    return as(p, bytes, MAPPED);
}

void *
wn_scratch_grow(void *old, size_t old_bytes, size_t bytes)
{
    void *p = old ? stretch(block_of(old), sizeof(struct block) + bytes) : NULL;

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
    struct block *b = p ? block_of(p) : NULL;

    if (b && b->source == MAPPED)
        munmap(b, b->bytes);
    else if (b && b->source == ALLOCATED)
        wn_free(b);
}

void
wn_scratch_over(void)
{
    used = 0;
}
