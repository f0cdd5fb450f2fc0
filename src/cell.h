/* SPDX-License-Identifier: MIT
 *
 * cell.h - the memory of small objects: pages of equal cells, each page one record's
 *
 * An object is made by the thread that stands on a record and freed by whoever gives the last unit back: the owner, a stranger,
 * the collector. malloc pays for that with locks or with arenas that grow; here the record's page has
 *
 *     free      cells that the record's own thread gave back, and takes again: no atomics
 *     remote    cells that others gave back: {first, last, count} of a chain in one word, pushed by CAS, taken whole
 *
 * The push that finds `remote` empty puts the page on its record's `returned` stack, and reports a backlog. Whoever tends the
 * record takes pages off that stack, and from each the whole chain: one cell is touched, whatever the chain's length.
 *
 *     stranger                                    tender of the record
 *     cell->next = first of remote
 *     CAS remote: cell first, count + 1            page off `returned` (E7)
 *     was it empty: page onto `returned` (E7)      exchange remote := 0 (E7); chain in front of `free`; used - count
 *
 * Cells of a chain count as used until it is taken, and it is taken only by who has the page off the stack. So a page whose
 * pusher is between the two steps is not empty, does not leave its record, and is on one stack at most.
 *
 * A page with no used cell goes back to all records (but the one that a bin takes from); what stays unused there for long goes
 * back to the system, some each tick of the background (wn_pages_tend), all of it on wane_trim.
 *
 * With the address sanitizer, in a program that has it, or with WANE_OBJECTS=malloc in the environment, every object is malloc's
 * (its tools see each object then); larger ones are in any case.
 *
 * Progress: take and give are wait-free but for the CASes on `remote` and the stacks (lock-free). A page that none is free for
 * is mapped. Fork: the child rebuilds the lists of records whose thread has vanished from their pages, and every `returned` from
 * what `remote` holds; a cell that a thread was just giving back leaks.
 * Source of the shape: mimalloc (Leijen, Zorn, de Moura 2019); the chain in one word is our own.
 */
#ifndef WN_CELL_H
#define WN_CELL_H

#include "memory.h"
#include "record.h"
#include "type.h"

#define WN_PAGE_BYTES 65536u

struct wn_cell {
    struct wn_cell *next;
};

struct wn_page {
    /* of whoever stands on the owner */
    struct wn_cell *free;
    int32_t         used;  /* cells that are neither in `free` nor beyond `fresh` */
    int32_t         least; /* are no more than so many used after one came back, wn_cell_give_slow has to look at the page */
    uint32_t        cell;  /* bytes of one */
    uint32_t        inverse; /* 2^32 / cell, and a little more */
    char           *fresh; /* from here on no cell was ever taken */
    char           *end;
    struct wn_page *next, *prev; /* pages of the bin that have room */
    struct wane_atomic32 owner; /* a: the record's id; does not change while a cell is used; 0: nobody's */
    struct wn_segment   *segment;
    /* of strangers */
    _Alignas(64) struct wane_atomic64 remote; /* a */
    struct wn_link returned;
};

extern size_t wn_cell_most; /* c, from the first type on: objects up to so many bytes are cells; 0: none is */

/* Before the first type, under its lock. */
void wn_cells_choose(void);

/* A type's size is a multiple of what C aligns it to, so its own bytes are enough. An object of any size tells nothing of it:
 * ask for a multiple of 16. */
static inline uint32_t
wn_cell_bin(size_t bytes)
{
    return bytes > wn_cell_most ? 0 : (uint32_t)((bytes + WN_CELL_UNIT - 1) / WN_CELL_UNIT);
}

/* Not zeroed; NULL: there is no memory. Standing on r. */
void *wn_cell_take_slow(struct wn_record *r, size_t bytes, uint32_t bin);
void  wn_cell_give_slow(struct wn_record *r, struct wn_page *page);
void  wn_cell_give_remote(struct wn_page *page, struct wn_cell *cell);

/* The first of those that are free, of which there is one. */
static inline void *
wn_cell_take_first(struct wn_page *page)
{
    struct wn_cell *cell = page->free;

    page->free = cell->next;
    compiler_barrier(); /* stopped in between (fork), a cell is lost, and none is taken twice */
    page->used++;
    __builtin_prefetch(page->free, 1); /* the next one's: it may have been free for long */
    return cell;
}

/* bin: wn_cell_bin(bytes). */
static inline void *
wn_cell_take(struct wn_record *r, size_t bytes, uint32_t bin)
{
    if (__builtin_expect(!wn_memory_may_be_had(bytes), 0))
        return NULL;
    return r->bin[bin]->free ? wn_cell_take_first(r->bin[bin]) : wn_cell_take_slow(r, bytes, bin);
}

/* p: from wn_cell_take, on whatever record; in_cell: of a bin. Standing on r. */
static inline void
wn_cell_give(struct wn_record *r, void *p, bool in_cell)
{
    struct wn_page *page = (struct wn_page *)((uintptr_t)p & ~(uintptr_t)(WN_PAGE_BYTES - 1));
    struct wn_cell *cell = p;

    if (__builtin_expect(!in_cell, 0)) {
        wn_free(p);
        return;
    }
    if (__builtin_expect(load_relaxed(&page->owner) != r->id, 0)) { /* relaxed: the cell in hand came with it */
        wn_cell_give_remote(page, cell);
        return;
    }
    cell->next = page->free;
    compiler_barrier();
    page->free = cell;
    compiler_barrier();
    if (__builtin_expect(--page->used <= page->least, 0))
        wn_cell_give_slow(r, page);
}

/* The memory of an object, prefix and all. */
static inline void
wn_object_memory_give(struct wn_record *r, struct wane_header *h, const struct wn_type *t)
{
    wn_cell_give(r, (char *)h - t->prefix, wn_type_bytes(t, h) <= wn_cell_most);
}

/* Which pages of the address space are ours: a bit each, in tables for 4 GB. */
#define WN_MAP_TABLES 65536
extern struct wane_atomic_ptr wn_page_map[WN_MAP_TABLES]; /* a: struct wane_atomic64[1024], never freed */

/* The beginning of the cell in which p is, on a page of the record; NULL: p is nowhere such. */
#ifdef WN_EXPLORED /* objects are malloc's there, and it knows its blocks */
struct wane_header *wn_cell_around(const void *p, uint32_t owner);
#else
static inline struct wane_header *
wn_cell_around(const void *p, uint32_t owner)
{
    uintptr_t             a = (uintptr_t)p;
    struct wn_page       *page = (struct wn_page *)(a & ~(uintptr_t)(WN_PAGE_BYTES - 1));
    struct wane_atomic64 *table = load_acquire(&wn_page_map[a >> 32 & (WN_MAP_TABLES - 1)]); /* acquire E7 */
    uint64_t              offset;

    if (a >> 48 || !table || !(load_relaxed(&table[a >> 22 & 1023]) >> (a >> 16 & 63) & 1) || load_relaxed(&page->owner) != owner)
        return NULL;
    offset = a - (uintptr_t)(page + 1);
    return (struct wane_header *)((uintptr_t)(page + 1) + (offset * page->inverse >> 32) * page->cell);
}
#endif

/* The bins of a new record. */
void wn_cells_init(struct wn_record *r);

/* Take back what others have returned, a bounded share. True: there is more. Standing on r. */
bool wn_cells_tend(struct wn_record *r);

/* r's thread ends: pages that are empty go. */
void wn_cells_leave(struct wn_record *r);

/* In the child of a fork: threads were stopped anywhere. The lists of records whose thread has vanished are made anew, in one
 * walk over all pages, and the stacks of what was returned to anybody. */
void wn_cells_mend(bool (*has_vanished)(const struct wn_record *));

/* Empty pages, some or all, go back to the system. True: more of them should soon. */
bool wn_pages_tend(void);
void wn_pages_trim(void);

#endif
