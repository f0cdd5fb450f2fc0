/* SPDX-License-Identifier: MIT
 *
 * death.h - from the last unit to the memory
 *
 * Burying is iterative: a record's list of the dying is linked through word0 of the dead (no memory, no recursion), a call
 * buries a budget of objects, the rest is a backlog that leaves, checkpoints and claimers go on with. A leaf in a
 * cell needs no list: its last unit frees it (wn_bury_at_once), by a release or among the entries of the log that are applied.
 *
 * Order for one object: its weak reference is severed; dispose; callbacks of the weak reference; each slot is emptied, then
 * its unit given back (the collector may be tracing the object: a slot must be empty before its unit goes); DEAD is set in
 * word1; the last holder frees (I6).
 * Why the units of a dead container's slots may go at once: nobody holds a valid borrow through it (docs/design.md, "Borrows").
 *
 * When the memory may be freed at once
 *     mutator                                      collector, phase A
 *     the slots that led here were cleared         wn_collecting = 1; membarrier
 *     load wn_collecting                           reads slots, claims what it finds
 *     0: the collector's first slot read comes after the clearing: it cannot find the object. 1: after a grace period.
 *   With a weak reference: always after a grace period (an upgrade may be looking at word1).
 */
#ifndef WN_DEATH_H
#define WN_DEATH_H

#include "budget.h"
#include "cell.h"
#include "unit.h"

/* Objects a call. Slots count, too: a filled one as much as an object, an empty one as an eighth. Where there is much to do, a
 * plain object in a cell, for which nobody is called, and each slot that it fills count a quarter: those come into the cache
 * while others are buried. */
#define WN_BURY_BUDGET 64
#define WN_COST_OBJECT 8
#define WN_COST_PLAIN  2
#define WN_COST_EMPTY  1

/* Bury what wn_unit_give has left, up to the budget. Not from inside a dispose: the outer call goes on. much: there is a backlog,
 * and who calls is not a program that drops something. */
void wn_death_go_on(struct wn_record *r, bool much);

/* Before fresh memory is taken: of those that wait, bury such as nobody is called for. A thread that drops large structures in
 * one long section and makes others would otherwise have both. */
void wn_death_recycle(struct wn_record *r);

static inline void
wn_death_run(struct wn_record *r)
{
    if (wn_is_burying(r))
        wn_death_go_on(r, false);
}

/* The pieces that destroying a cycle shares with the death of one object. */
void wn_dispose(struct wane_header *h, const struct wn_type *type);

/* Call `one`, which empties it, for every filled slot. Slots in arrays (wane_visit_array) are dropped within the budget, going
 * on behind the first *done; all others at once. True: nothing is left. In a section. */
bool wn_drop_slots(struct wane_header *h, const struct wn_type *type, void (*one)(wane_slot *), size_t *done, long *budget);

/* A holder's flag was cleared and word1 is now w: frees the object if it is dead and this was the last holder. */
void wn_free_if_last(struct wn_record *r, struct wane_header *h, uint64_t w);

/* Free dead memory after a grace period. */
void wn_bury_later(struct wn_record *r, struct wane_header *h);

/* Free what has waited for a ripe ticket; take a ticket for the rest. True: something still waits. */
bool wn_graves_tend(struct wn_record *r);
bool wn_graves_are_ripe(const struct wn_record *r);

void wn_memory_free(struct wn_record *r, struct wane_header *h, const struct wn_type *type);

/* ---- Inline, for the shortest death there is ------------------------------------------------------------------------- */

void wn_count_death_spare(const struct wn_type *type, size_t size);

/* What the record may owe to others before it tells them is nearly used up: they are told. */
void wn_death_settle(struct wn_record *r);

/* While freed objects are kept for a while. */
void wn_free_watched(struct wn_record *r, struct wane_header *h, const struct wn_type *type);

static inline __attribute__((always_inline)) void
wn_count_death(struct wn_record *r, const struct wn_type *t, struct wane_header *h)
{
    struct wn_type_counts *counts = wn_type_counts(r, t->id);
    size_t                 size = t->sized ? wn_prefix(h)->size : 0;

    wn_registry_remove(h);
    if (__builtin_expect(!counts, 0)) {
        wn_count_death_spare(t, size);
        return;
    }
    if (t->sized)
        wn_counter_add_end(&counts->bytes_died, size);
    wn_counter_add_end(&counts->died, 1);
}

static inline __attribute__((always_inline)) void
wn_free_now(struct wn_record *r, struct wane_header *h, const struct wn_type *t, size_t bytes)
{
    WN_STEP("death:free");
    wn_budget_give(r, bytes);
    wn_repay_death(r);
    if (__builtin_expect(load_relaxed(&wn_quarantine_on), 0))
        wn_free_watched(r, h, t);
    else
        wn_cell_give(r, (char *)h - t->prefix, bytes <= wn_cell_most);
}

/* A plain death where objects may be noted, or where there may be no membarrier. */
bool wn_bury_watched(struct wn_record *r, struct wane_header *h, const struct wn_type *type, uint64_t w0);

/* The release of the last unit of the caller's own object that nobody else knows and that nothing follows from: it is freed.
 * False: it is not that, or needs a look at more than these few words; nothing was done. In a section, standing on r. */
static inline __attribute__((always_inline)) bool
wn_bury_at_once(struct wn_record *r, struct wane_header *h, uint64_t w0)
{
    const struct wn_type  *t = wn_type_of(h);
    struct wn_type_counts *counts = wn_type_counts_at_hand(r, t->id);
    int64_t                charge = (int64_t)(load_relaxed(&r->charge) - t->bytes);

    if (!t->is_plain || !wn_count_is_plain_death(h, w0, r) || !counts)
        return false;
    if (__builtin_expect(wn_registry_was_on() || load_relaxed(&wn_grace_fences), 0))
        return wn_bury_watched(r, h, t, w0);
    if (__builtin_expect(r->credit >= 2 * WN_CREDIT || charge <= -(int64_t)load_relaxed(&wn_budget_granule), 0)) {
        wn_death_settle(r); /* else each of a row of deaths would come here */
        return false;
    }
    if (WN_CHECKS >= 1)
        wn_check_words(h, w0, load_relaxed(&h->word1));
    compiler_barrier(); /* wn_mutator_fence, where membarrier works */
    if (wn_is_looked_at(h))
        return false;
    wn_counter_add_end(&counts->died, 1);
    WN_STEP("death:free");
    store_relaxed(&r->charge, (uint64_t)charge);
    r->credit++;
    if (__builtin_expect(load_relaxed(&wn_quarantine_on), 0))
        wn_free_watched(r, h, t);
    else
        wn_cell_give(r, h, t->bin);
    return true;
}

#endif
