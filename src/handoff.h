/* SPDX-License-Identifier: MIT
 *
 * handoff.h - objects on their way from one thread to another
 *
 * A uniquely held object changes its owner without an atomic read-modify-write:
 *
 *     giver (owner, in its section)                 holder, wherever the reference went
 *     local 1, word1 says that nobody else knows
 *     word0: owner = TRANSIT
 *     the pointer travels (a queue, a socket pair)  word0: owner = me
 *
 * Between the two only the holder of the one unit may touch word0, and he does so before anything else: every call that
 * counts, stores or looks adopts the object first (wn_arrive, and the paths that are not the owner's). wane_adopt only says so
 * early.
 *
 * The collector may know the address from a slot that held the object before. It never asks an object in transit to merge:
 * CLAIMED in word1 forbids to give, and who was claimed while it was being given shows another word0, or TRANSIT, after the
 * grace period with which a review begins (review.c, step 0).
 *
 * What is unique but not clean (a mark, a flag of the collector's) is merged instead and travels as an ordinary reference; a
 * merged object with nothing but that one unit is biased anew by one CAS.
 *
 * Stop-anywhere: a thread that stops in the middle leaves its one unit counted, once, in word0 or in word1.
 */
#ifndef WN_HANDOFF_H
#define WN_HANDOFF_H

#include "count.h"

/* In a section: make the object this record's, if it is in transit. The caller holds its only unit. */
void wn_transit_end(struct wane_header *h, struct wn_record *r);

static inline bool
wn_is_in_transit(const struct wane_header *h)
{
    return wn_owner(load_relaxed(&h->word0)) == WN_TRANSIT; /* relaxed: only the holder writes it */
}

/* Before a reference is published. In a section. NULL is allowed. */
static inline void
wn_arrive(const void *object)
{
    if (object && !WN_MUTANT(arrives_in_transit) && __builtin_expect(wn_is_in_transit(WANE_HEADER(object)), 0))
        wn_transit_end(WANE_HEADER(object), wn_standing());
}

#endif
