/* SPDX-License-Identifier: MIT */
#include "cell.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "memory.h"
#include "step.h"

#define SEGMENT_PAGES 64u /* a bit each */
#define FRESH         16  /* cells that are taken at once from those that never were */
#define TEND_PAGES    32  /* of `returned` in one go */
#define TENDED        64   /* so many empty pages with memory, or more, are given back bit by bit */
#define DECAY         1024 /* a tick returns this part of the empty pages: half of them in about a second and a half */
_Static_assert(sizeof(struct wn_page) % 16 == 0, "cells of 16, 32 ... bytes are aligned to 16");

struct wn_segment {
    struct wn_segment   *next; /* this and the others: c */
    char                *base;
    uint32_t             pages;
    struct wane_atomic64 free;    /* a: pages that are nobody's */
    struct wane_atomic64 touched; /* a: pages that hold memory, as far as we know */
};

size_t wn_cell_most = WN_CELL_MOST;

/* A bin without a page with room. Nothing is written to it. */
static struct wn_page none;

static struct wane_atomic_ptr segments;
static struct wane_atomic_ptr hint;    /* a: a segment that had an empty page */
static struct wane_atomic64   vacant;  /* a: empty pages that are nobody's; a guess */
static struct wane_atomic64   resident; /* a: those of them that hold memory; a guess */

/* ---- Mode --------------------------------------------------------------------------------------------------------- */

#if defined(__SANITIZE_ADDRESS__) || defined(WN_EXPLORED)
#define ALWAYS_MALLOC 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ALWAYS_MALLOC 1
#endif
#endif
#ifndef ALWAYS_MALLOC
#define ALWAYS_MALLOC 0
#endif

/* Of a program with the address or the leak sanitizer, which look into malloc's memory only. */
extern void __lsan_ignore_object(const void *) __attribute__((weak));

/* For whoever looks for a fault. A constructor of the program may come first: then the first type is the occasion. */
__attribute__((constructor(101))) void
wn_cells_choose(void)
{
    static bool chosen;
    const char *wanted = chosen ? NULL : getenv("WANE_OBJECTS");

    if (!chosen && (ALWAYS_MALLOC || __lsan_ignore_object || (wanted && !strcmp(wanted, "malloc"))))
        wn_cell_most = 0;
    chosen = true;
}

/* ---- Pages -------------------------------------------------------------------------------------------------------- */

static void *
map_aligned(size_t bytes)
{
    char  *p = wn_memory_may_be_had(bytes) ? mmap(NULL, bytes + WN_PAGE_BYTES, PROT_READ | PROT_WRITE,
                                                  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)
                                           : MAP_FAILED;
    size_t before;

    if (p == MAP_FAILED)
        return NULL;
    before = -(uintptr_t)p % WN_PAGE_BYTES;
    if (before)
        munmap(p, before);
    munmap(p + before + bytes, WN_PAGE_BYTES - before);
    return p + before;
}

struct wane_atomic_ptr wn_page_map[WN_MAP_TABLES];

/* The table for the page at a, made now if need be. */
static struct wane_atomic64 *
map_table(uintptr_t a)
{
    struct wane_atomic_ptr *entry = &wn_page_map[a >> 32 & (WN_MAP_TABLES - 1)];
    void                   *table = load_acquire(entry); /* acquire E7 */
    void                   *made = table ? NULL : wn_calloc(1024, sizeof(struct wane_atomic64));

    if (!made)
        return table;
    if (cas_acq_rel(entry, &table, made)) /* release E7: zeroes */
        return made;
    wn_free(made);
    return table;
}

/* Before a cell of it is taken. False: there is no memory for that, and nothing is noted. */
static bool
note_pages(uintptr_t first, uint32_t pages)
{
    if (!map_table(first) || !map_table(first + (size_t)(pages - 1) * WN_PAGE_BYTES))
        return false;
    for (uint32_t i = 0; i < pages; i++) {
        uintptr_t a = first + (size_t)i * WN_PAGE_BYTES;

        fetch_or_relaxed(&map_table(a)[a >> 22 & 1023], UINT64_C(1) << (a >> 16 & 63));
    }
    return true;
}

static struct wn_segment *
map_segment(void)
{
    struct wn_segment *s = wn_malloc(sizeof *s);
    void              *old = load_relaxed(&segments);
    uint32_t           pages = SEGMENT_PAGES;

    if (!s)
        return NULL;
    while (!(s->base = map_aligned((size_t)pages * WN_PAGE_BYTES)) && pages > 1)
        pages /= 8;
    /* Links of dead objects have 48 bits. */
    if (!s->base || (uintptr_t)s->base & ~WN_LINK_MASK || !note_pages((uintptr_t)s->base, pages)) {
        if (s->base)
            munmap(s->base, (size_t)pages * WN_PAGE_BYTES);
        wn_free(s);
        return NULL;
    }
    s->pages = pages;
    store_relaxed(&s->touched, UINT64_C(1));
    store_relaxed(&s->free, (pages == 64 ? UINT64_MAX : (UINT64_C(1) << pages) - 1) & ~UINT64_C(1)); /* the first is taken */
    do
        s->next = old;
    while (!cas_acq_rel(&segments, &old, (void *)s)); /* release E7: its fields */
    fetch_add_relaxed(&vacant, (uint64_t)pages - 1);
    if (s->next)
        wn_wake_background(); /* so many objects will be its work one day: the thread starts now, not inside a release */
    return s;
}

/* One of the bits; 64: there is none. Lock-free: a bit that is lost was won by another thread. */
static unsigned
take_bit(struct wane_atomic64 *word, uint64_t of)
{
    uint64_t bits = load_relaxed(word) & of; /* relaxed: a guess; the RMW checks it */

    while (bits) {
        unsigned bit = (unsigned)__builtin_ctzll(bits);

        bits = fetch_and_acq_rel(word, ~(UINT64_C(1) << bit)); /* acquire E7: the last owner is done with it */
        if (bits >> bit & 1)
            return bit;
        bits &= of;
    }
    return 64;
}

static struct wn_page *
page_at(const struct wn_segment *s, unsigned i)
{
    return (struct wn_page *)(void *)(s->base + (size_t)i * WN_PAGE_BYTES);
}

static struct wn_page *
take_from(struct wn_segment *s)
{
    unsigned        bit = take_bit(&s->free, UINT64_MAX);
    struct wn_page *page;

    if (bit == 64)
        return NULL;
    fetch_add_relaxed(&vacant, -UINT64_C(1));
    if (fetch_or_relaxed(&s->touched, UINT64_C(1) << bit) >> bit & 1)
        fetch_add_relaxed(&resident, -UINT64_C(1));
    page = page_at(s, bit);
    page->segment = s;
    return page;
}

static struct wn_page *
take_page(void)
{
    struct wn_segment *s = load_acquire(&hint); /* acquire E7 */
    struct wn_page    *page = s ? take_from(s) : NULL;

    if (page)
        return page;
    if (load_relaxed(&vacant))
        for (s = load_acquire(&segments); s && !page; s = page ? s : s->next)
            page = take_from(s);
    s = page ? s : map_segment();
    if (s)
        store_release(&hint, (void *)s); /* release E7 */
    if (page || !s)
        return page;
    page = page_at(s, 0);
    page->segment = s;
    return page;
}

static unsigned
index_of(const struct wn_page *page)
{
    return (unsigned)(((uintptr_t)page - (uintptr_t)page->segment->base) / WN_PAGE_BYTES);
}

/* How many such hold memory. */
static uint64_t
vacate(struct wn_page *page)
{
    struct wn_segment *s = page->segment;
    unsigned           i = index_of(page);
    uint64_t           have;

    store_relaxed(&page->owner, 0u);
    fetch_add_relaxed(&vacant, UINT64_C(1));
    have = fetch_add_relaxed(&resident, UINT64_C(1)) + 1;
    fetch_or_release(&s->free, UINT64_C(1) << i); /* release E7 */
    store_release(&hint, (void *)s);
    return have;
}

static void
give_page(struct wn_page *page)
{
    if (vacate(page) == TENDED)
        wn_wake_background(); /* it may have nothing else to do */
}

/* ---- Back to the system -------------------------------------------------------------------------------------------- */

/* Empty pages of s that hold memory, `most` at most; how many it was. */
static uint64_t
drain_segment(struct wn_segment *s, uint64_t most)
{
    uint64_t n = 0;

    while (n < most) {
        unsigned bit = take_bit(&s->free, load_relaxed(&s->touched));

        if (bit == 64)
            break;
        (void)madvise(page_at(s, bit), WN_PAGE_BYTES, MADV_DONTNEED);
        fetch_and_relaxed(&s->touched, ~(UINT64_C(1) << bit));
        fetch_add_relaxed(&resident, -UINT64_C(1));
        fetch_or_release(&s->free, UINT64_C(1) << bit);
        n++;
    }
    return n;
}

static void
drain_segments(uint64_t most)
{
    for (struct wn_segment *s = load_acquire(&segments); s && most; s = s->next)
        most -= drain_segment(s, most);
}

bool
wn_pages_tend(void)
{
    int64_t have = (int64_t)load_relaxed(&resident);

    if (have < TENDED)
        return false;
    drain_segments((uint64_t)have / DECAY + 1);
    return true;
}

void
wn_pages_trim(void)
{
    drain_segments(UINT64_MAX);
}

/* ---- Bins --------------------------------------------------------------------------------------------------------- */

void
wn_cells_init(struct wn_record *r)
{
    for (unsigned i = 0; i < WN_CELL_BINS; i++)
        r->bin[i] = &none;
}

static struct wn_page **
bin_of(struct wn_record *r, const struct wn_page *page)
{
    return &r->bin[page->cell / WN_CELL_UNIT];
}

/* page->least. Only one's last cell may come and go without a look; an unlisted one has room from the first on. */
#define LEAST_ONLY     (-1)
#define LEAST_LISTED   0
#define LEAST_UNLISTED INT32_MAX

static void
list(struct wn_record *r, struct wn_page *page)
{
    struct wn_page **bin = bin_of(r, page);

    page->prev = NULL;
    page->next = *bin;
    page->least = *bin == &none ? LEAST_ONLY : LEAST_LISTED;
    if (*bin != &none) {
        (*bin)->prev = page;
        (*bin)->least = WN_MUTANT(alone_for_ever) ? LEAST_ONLY : LEAST_LISTED;
    }
    *bin = page;
}

static void
unlist(struct wn_record *r, struct wn_page *page)
{
    struct wn_page *first;

    if (page->prev)
        page->prev->next = page->next;
    else
        *bin_of(r, page) = page->next;
    if (page->next != &none)
        page->next->prev = page->prev;
    page->least = LEAST_UNLISTED;
    first = *bin_of(r, page);
    if (first != &none && first->next == &none)
        first->least = LEAST_ONLY;
}

static char *
first_cell(struct wn_page *page)
{
    return (char *)(page + 1);
}

static struct wn_page *
open_page(struct wn_record *r, uint32_t cell)
{
    struct wn_page *page = r->spare_page ? r->spare_page : take_page();

    r->spare_page = NULL;
    if (!page)
        return NULL;
    store_relaxed(&page->owner, 0u); /* stopped in between (fork), it is nobody's */
    compiler_barrier();
    page->free = NULL;
    page->used = 0;
    page->cell = cell;
    page->inverse = (uint32_t)(((UINT64_C(1) << 32) + cell - 1) / cell);
    WN_STEP("cell:opening");
    page->fresh = first_cell(page);
    page->end = page->fresh + (WN_PAGE_BYTES - sizeof *page) / cell * cell;
    store_relaxed(&page->remote, UINT64_C(0));
    list(r, page);
    compiler_barrier();
    store_relaxed(&page->owner, r->id); /* relaxed: strangers learn of it with a cell */
    return page;
}

/* With some more, which are free then: a birth that finds a free cell is short. Not so many that they leave the cache again. */
static void *
take_fresh(const struct wn_record *r, struct wn_page *page)
{
    char    *cell = page->fresh, *last = cell;
    uint32_t step = page->cell;
    int      most = r->dying ? 1 : FRESH; /* each birth that finds no free cell buries some of those that wait (object.c) */

    for (int n = 1; n < most && last + step != page->end; n++, last += step)
        ((struct wn_cell *)(void *)last)->next = (struct wn_cell *)(void *)(last + step);
    ((struct wn_cell *)(void *)last)->next = NULL;
    page->fresh = last + step;
    compiler_barrier(); /* stopped here (fork), some cells are lost */
    page->free = (struct wn_cell *)(void *)cell;
    return wn_cell_take_first(page);
}

/* No cell of it is used, and it is in no bin. */
static void
retire(struct wn_record *r, struct wn_page *page)
{
    if (r->spare_page) {
        give_page(page);
        return;
    }
    compiler_barrier();
    r->spare_page = page;
}

/* Cells came back to the page. An empty one stays in its bin as long as it is the only one there. */
void
wn_cell_give_slow(struct wn_record *r, struct wn_page *page)
{
    struct wn_page *other = *bin_of(r, page);

    if (page->least == LEAST_UNLISTED) {
        list(r, page);
        if (other != &none && !other->used) {
            unlist(r, other);
            retire(r, other);
        }
    }
    if (page->used || (*bin_of(r, page) == page && page->next == &none))
        return;
    unlist(r, page);
    retire(r, page);
}

/* Asked for already (memory.h). */
static void *
take_malloc(size_t bytes)
{
    void *p = malloc(bytes);

    if (!((uintptr_t)p & ~WN_LINK_MASK)) /* links of dead objects have 48 bits */
        return p;
    free(p);
    errno = ENOMEM;
    return NULL;
}

void *
wn_cell_take_slow(struct wn_record *r, size_t bytes, uint32_t bin)
{
    struct wn_page *page;

    if (!bin)
        return take_malloc(bytes);
    if (r->bin[bin] == &none)
        (void)wn_cells_tend(r);
    while ((page = r->bin[bin]) != &none) {
        if (page->free)
            return wn_cell_take_first(page);
        if (page->fresh != page->end)
            return take_fresh(r, page);
        unlist(r, page);
    }
    page = open_page(r, bin * WN_CELL_UNIT);
    return page ? take_fresh(r, page) : NULL;
}

/* ---- Cells that strangers give back ---------------------------------------------------------------------------------- */

/* A chain: count, and the places of its ends in the page. 0: none. */
static uint64_t
chain_of(uint64_t first, uint64_t last, uint64_t count)
{
    return count << 32 | last << 16 | first;
}

static uint64_t
place_of(const struct wn_page *page, const struct wn_cell *cell)
{
    return ((uintptr_t)cell - (uintptr_t)page) / WN_CELL_UNIT;
}

static struct wn_cell *
cell_at(struct wn_page *page, uint64_t place)
{
    return (struct wn_cell *)(void *)((char *)page + (place & 0xFFFF) * WN_CELL_UNIT);
}

void
wn_cell_give_remote(struct wn_page *page, struct wn_cell *cell)
{
    struct wn_record *owner = wn_record(load_relaxed(&page->owner));
    uint64_t          place = place_of(page, cell);
    uint64_t          old = load_relaxed(&page->remote); /* relaxed: a guess; the CAS checks it */
    uint64_t          chain;

    do {
        cell->next = cell_at(page, old);
        chain = chain_of(place, old ? old >> 16 & 0xFFFF : place, (old >> 32) + 1);
    } while (!cas_acq_rel(&page->remote, &old, chain)); /* release E7 */
    if (old)
        return;
    WN_STEP("cell:before-returned");
    if (WN_MUTANT(returned_forgotten))
        return;
    wn_stack_push(&owner->returned, &page->returned);
    wn_record_backlog(owner);
}

static void
take_remote(struct wn_record *r, struct wn_page *page)
{
    uint64_t chain = exchange_acq_rel(&page->remote, UINT64_C(0)); /* acquire E7: the links, and what was done with the cells */

    cell_at(page, chain >> 16)->next = page->free;
    compiler_barrier();
    page->free = cell_at(page, chain);
    compiler_barrier();
    page->used -= (int32_t)(chain >> 32);
    wn_cell_give_slow(r, page);
}

bool
wn_cells_tend(struct wn_record *r)
{
    if (!r->returning)
        r->returning = wn_stack_take(&r->returned);
    for (int n = 0; n < TEND_PAGES && r->returning; n++) {
        struct wn_page *page = (struct wn_page *)(void *)((char *)r->returning - offsetof(struct wn_page, returned));

        r->returning = page->returned.next; /* before the chain is taken: the next push may put the page on the stack again */
        compiler_barrier();
        take_remote(r, page);
    }
    return r->returning;
}

/* ---- Threads end ------------------------------------------------------------------------------------------------------- */

void
wn_cells_leave(struct wn_record *r)
{
    for (unsigned i = 0; i < WN_CELL_BINS; i++) {
        struct wn_page *page = r->bin[i];

        if (page == &none || page->used)
            continue;
        unlist(r, page);
        give_page(page);
    }
    if (r->spare_page)
        give_page(r->spare_page);
    r->spare_page = NULL;
}

static void
relist(struct wn_record *r, struct wn_page *page)
{
    page->used = (int32_t)((size_t)(page->fresh - first_cell(page)) / page->cell);
    for (const struct wn_cell *cell = page->free; cell; cell = cell->next)
        page->used--;
    if (!page->used)
        (void)vacate(page);
    else if (page->free || page->fresh != page->end)
        list(r, page);
    else
        page->least = LEAST_UNLISTED;
}

/* Cells on their way: the page may be on no stack, its pusher or its tender being gone. */
static void
mend_page(struct wn_segment *s, unsigned i, bool (*has_vanished)(const struct wn_record *))
{
    struct wn_page   *page = page_at(s, i);
    uint32_t          owner = load_relaxed(&page->owner);
    struct wn_record *r = wn_record(owner);

    if (!owner) { /* it was being given, or taken */
        fetch_or_relaxed(&s->free, UINT64_C(1) << i);
        return;
    }
    if (load_relaxed(&page->remote))
        wn_stack_push(&r->returned, &page->returned);
    if (has_vanished(r))
        relist(r, page);
}

static void
forget_pages(struct wn_record *r, bool vanished)
{
    store_relaxed(&r->returned, NULL);
    r->returning = NULL;
    if (!vanished)
        return;
    wn_cells_init(r);
    r->spare_page = NULL;
}

/* The child is alone. */
static void
count_vacant(void)
{
    store_relaxed(&vacant, UINT64_C(0));
    store_relaxed(&resident, UINT64_C(0));
    for (struct wn_segment *s = load_acquire(&segments); s; s = s->next) {
        uint64_t bits = load_relaxed(&s->free);

        fetch_add_relaxed(&vacant, (uint64_t)__builtin_popcountll(bits));
        fetch_add_relaxed(&resident, (uint64_t)__builtin_popcountll(bits & load_relaxed(&s->touched)));
    }
}

void
wn_cells_mend(bool (*has_vanished)(const struct wn_record *))
{
    for (uint32_t id = 1; id <= wn_record_limit(); id++)
        if (wn_record(id))
            forget_pages(wn_record(id), has_vanished(wn_record(id)));
    for (struct wn_segment *s = load_acquire(&segments); s; s = s->next)
        for (unsigned i = 0; i < s->pages; i++)
            if (!(load_relaxed(&s->free) >> i & 1))
                mend_page(s, i, has_vanished);
    count_vacant();
}
