/* SPDX-License-Identifier: MIT
 *
 * unit.h - giving units back: now, or after a grace period
 *
 * The one place where a decrement of any origin (release, applied log entry, death of a container, destroyed cycle) is turned
 * into its consequence: a candidate entry, an entry on the owner's merge queue, a finalizer, or an entry on this record's list
 * of the dying (death.c buries them). All calls are made inside a section, standing on a record.
 */
#ifndef WN_UNIT_H
#define WN_UNIT_H

#include "check.h"
#include "count.h"
#include "registry.h"
#include "step.h"

/* a: the collector may be reading slots of objects that it has not claimed yet (phase A): no dead memory is freed at once. */
extern struct wane_atomic32 wn_collecting;

/* A plain death (the last unit was its owner's, word1 says that nobody else knows it): may the collector be looking at it even
 * so? Then it must die in word1. The stores that made it unreachable come before this look (H8); the collector's membarrier
 * answers. The collector may know its address, or hold it since the look at word1 (CLAIMED outlives wn_collecting; a 0 that
 * ends a phase is released after all its claims). */
static inline bool
wn_is_looked_at(struct wane_header *h)
{
    WN_STEP("death:plain");
    return (load_acquire(&wn_collecting) && !WN_MUTANT(free_ignores_collecting)) ||
           ((load_acquire(&h->word1) & WN_HOLDERS) && !WN_MUTANT(death_looks_once));
}

/* The same of an object that may be noted, and where there may be no membarrier. */
static inline bool
wn_may_be_looked_at(struct wane_header *h)
{
    if (!WN_MUTANT(noted_until_counted))
        wn_registry_remove(h);
    wn_mutator_fence();
    return wn_is_looked_at(h);
}

/* Called when a live object is waiting for its finalizer on wn_final_due. */
extern struct wane_atomic_ptr wn_final_due;
extern void (*wn_wake_finalizer)(void);

/* Give one unit back at once. Dead objects are on the record's list afterwards: call wn_death_run. */
void wn_unit_give(struct wane_header *h);

/* A unit that was displaced from a shared slot: give it back after a grace period. */
void wn_unit_defer(struct wane_header *h);

/* Room for the next entry, so that nothing can fail after a displacement. Chunks that are full get their ticket. */
bool wn_unit_defer_reserve_slow(struct wn_record *r);

static inline bool
wn_unit_defer_reserve(struct wn_record *r)
{
    return __builtin_expect(wn_log_has_room(&r->deferred), 1) || wn_unit_defer_reserve_slow(r);
}

/* Give back a unit of the next entry of a ripe chunk. The log moves on first: whoever is stopped here leaves a unit counted,
 * and gives none twice. False: it is a call. */
bool wn_unit_apply(struct wn_record *r, struct wn_chunk *c);

/* There was no memory for what giving a unit of h back takes: it stays counted, and is reported. */
void wn_unit_lost(struct wn_record *r, struct wane_header *h);

/* h was stored by a consuming store: candidate event. */
void wn_unit_stored(struct wane_header *h);

/* Candidate entries of r's open chunk: give them to the collector (their marks move from quiet to OWNLOG). */
void wn_candidates_seal(struct wn_record *r);

/* Append an entry whose mark the caller has just set (BUFFERED). Needs room: wn_candidates_reserve. */
bool wn_candidates_reserve(struct wn_record *r);
void wn_candidates_append(struct wn_record *r, uintptr_t entry);

/* Push h, whose queue unit exists, to the queue of record `owner` (0: to r's own). */
void wn_queue_push(struct wn_record *r, uint32_t owner, struct wane_header *h);

/* Sealed candidate chunks of everybody, and the number of entries in them. */
extern struct wane_atomic_ptr wn_handed;
extern struct wane_atomic64   wn_handed_count;

/* A section for callers that may be outside of one. */
static inline bool
wn_scope_open(void)
{
    wn_check_not_tracing();
    if (wn_in_section())
        return false;
    wane_enter();
    return true;
}

static inline void
wn_scope_close(bool opened)
{
    if (opened)
        wane_leave();
}

#endif
