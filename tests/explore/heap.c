/* SPDX-License-Identifier: MIT
 *
 * heap.c - malloc of a run: the same addresses in each run, and freed memory is known as such
 *
 * Everything that is allocated while a run goes on comes from an arena at a fixed address, and is gone with the run. Freed memory
 * is poisoned and not used again, or (schedules with `reuse`) used again at once, last in, first out. The rest of the program has
 * the C library's malloc.
 */
#include "cell.h"
#include "explore.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#define BASE    (UINT64_C(1) << 44)
#define SIZE    (UINT64_C(256) << 20)
#define CLASSES 256 /* of 16 bytes */
#define POISON  0xdb
#define FRESH   0xa7

enum { UNUSED, LIVE, FREED };

struct block { /* in front of each */
    uint64_t size, padding;
};

struct link {
    struct link *next;
};

static struct heap {
    uint64_t     used;
    struct link *again[CLASSES]; /* freed, to be used again */
    uint8_t      state[SIZE / 16];
} *heap; /* outside of what is put back */

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *old, size_t size);
void *__libc_memalign(size_t alignment, size_t size);
void  __libc_free(void *p);

static bool
is_ours(const void *p)
{
    return (uintptr_t)p - BASE < SIZE;
}

static void
set_state(uint64_t offset, uint64_t size, int state)
{
    memset(heap->state + offset / 16, state, (size + 15) / 16);
}

void
ex_heap_make(void)
{
    heap = mmap(NULL, sizeof *heap, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (mmap((void *)BASE, SIZE, PROT_READ | PROT_WRITE,
             MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0) != (void *)BASE) {
        fprintf(stderr, "explore: no room for the arena\n");
        exit(2);
    }
}

void
ex_heap_begin(void)
{
    set_state(0, heap->used, UNUSED);
    memset(heap->again, 0, sizeof heap->again);
    heap->used = 0;
}

bool
ex_heap_is_freed(uintptr_t address)
{
    return address - BASE < SIZE && heap->state[(address - BASE) / 16] == FREED;
}

/* For the library (src/cell.h): a block's own header is not in use. */
struct wane_header *
wn_cell_around(const void *p, uint32_t owner)
{
    uint64_t i = ((uintptr_t)p - BASE) / 16;

    (void)owner;
    if (!is_ours(p) || heap->state[i] != LIVE)
        return NULL;
    while (heap->state[i - 1] == LIVE)
        i--;
    return (struct wane_header *)(BASE + i * 16);
}

static void *
take(size_t alignment, size_t size)
{
    uint64_t      class = (size + 15) / 16, offset;
    struct block *b;

    if (ex->plan.reuse && alignment == 16 && class < CLASSES && heap->again[class]) {
        b = (struct block *)(void *)heap->again[class] - 1;
        heap->again[class] = heap->again[class]->next;
        offset = (uintptr_t)(b + 1) - BASE;
    } else {
        offset = (heap->used + sizeof *b + alignment - 1) / alignment * alignment;
        if (offset + size + 16 > SIZE)
            ex_fail("the arena is full");
        heap->used = offset + class * 16;
        b = (struct block *)(BASE + offset) - 1;
    }
    b->size = size;
    set_state(offset, size, LIVE);
    memset(b + 1, FRESH, size);
    return b + 1;
}

void *
malloc(size_t size)
{
    return ex_is_running() ? take(16, size ? size : 1) : __libc_malloc(size);
}

void *
calloc(size_t n, size_t size)
{
    void *p;

    if (!ex_is_running())
        return __libc_calloc(n, size);
    p = take(16, n && size ? n * size : 1);
    memset(p, 0, n * size);
    return p;
}

void *
aligned_alloc(size_t alignment, size_t size)
{
    return ex_is_running() ? take(alignment < 16 ? 16 : alignment, size) : __libc_memalign(alignment, size);
}

int
posix_memalign(void **out, size_t alignment, size_t size)
{
    *out = aligned_alloc(alignment, size);
    return *out ? 0 : ENOMEM;
}

void
free(void *p)
{
    struct block *b = (struct block *)p - 1;
    uint64_t      class;

    if (!is_ours(p)) {
        __libc_free(p);
        return;
    }
    if (!ex_is_running())
        return; /* what is left of a run */
    if (ex_heap_is_freed((uintptr_t)p))
        ex_fail("freed twice");
    ex_buffers_forget((uintptr_t)p, (uintptr_t)p + b->size);
    class = (b->size + 15) / 16;
    memset(p, POISON, b->size);
    set_state((uintptr_t)p - BASE, b->size, FREED);
    if (ex->plan.reuse && class < CLASSES && b->size >= sizeof(struct link)) {
        ((struct link *)p)->next = heap->again[class];
        heap->again[class] = p;
    }
}

void *
realloc(void *old, size_t size)
{
    void  *p;
    size_t had;

    if (!is_ours(old) && !ex_is_running())
        return __libc_realloc(old, size);
    if (!old)
        return malloc(size);
    had = ((struct block *)old - 1)->size;
    p = malloc(size);
    memcpy(p, old, had < size ? had : size);
    free(old);
    return p;
}
