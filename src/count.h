/* SPDX-License-Identifier: MIT
 *
 * count.h - the two header words: who may change what, and what a change means
 *
 * Every change of a count goes through here; what follows from it (queueing, logging, destroying) is the caller's, who gets
 * it as a fate. So counting never calls destroying, which calls counting.
 *
 *   retain    owner in its section: word0 + 1 (inline). Everybody else: one fetch_add on word1.
 *   release   owner, local >= 2: word0 - 1, after the candidate event.
 *             owner, local == 1: plain death when word1 is all zero; else the merge: word0 is given up first, then one CAS
 *             publishes MERGED (the other order writes into memory that a stranger may have freed).
 *             stranger, not merged: a CAS. Where the count would go below zero the unit is not subtracted but given to the
 *             owner's queue in the same CAS that sets QUEUED (subtract-then-queue touches an object one no longer holds).
 *             merged: a CAS that marks in the same step, or one fetch_sub for leaves without finalizers.
 *   A release never touches the object after its unit is gone, not even to read its type.
 *
 * Race: two releases on an object with local 2 (the owner's unit and a stranger's S), and the merge
 *     stranger S                              owner
 *     w1 = load: count 0, not QUEUED
 *                                             release: local 2 -> 1 (plain)
 *     CAS: QUEUED, unit -> queue              release of the last local: word0 given up;
 *       (fails if the merge came first:         CAS + MERGED: count 0 + queue's unit's local 1 = 1: lives
 *        starts over, now MERGED: count - 1)  drain: MERGED already; drops the queue's unit: 0, dies
 *
 * Progress: retain wait-free; release lock-free (a failed CAS means that another thread's change succeeded).
 * Sources: Choi et al. (PACT 2018); CPython brc.c; the queue rule, the marks and the order of the merge are our own.
 */
#ifndef WN_COUNT_H
#define WN_COUNT_H

#include "check.h"
#include "record.h"
#include "step.h"
#include "type.h"

enum wn_fate {
    WN_LIVES,       /* nothing follows */
    WN_MARKED,      /* BUFFERED was set: the caller appends an entry */
    WN_MARKED_OWN,  /* quiet was set: the caller appends an own entry */
    WN_GOES_QUEUED, /* the unit is the queue's: the caller pushes to the owner given */
    WN_FINALIZE,    /* the unit is the finalizer's */
    WN_DIES,        /* merged, count 0: the caller destroys */
};

struct wn_verdict {
    enum wn_fate fate;
    uint32_t     owner; /* WN_GOES_QUEUED: 0 = in mid-merge */
};

/* What the caller has reserved. Without room a mark is not set, a unit is not queued but stays counted. */
struct wn_room {
    bool candidate, node;
};

/* Is the owner's last unit the last one, of an object that nobody else knows? Then no count need change: the object is dead as
 * it is. In the owner's section. acquire E11: all that former holders did before they gave their units back. */
static inline bool
wn_count_is_plain_death(struct wane_header *h, uint64_t w0, const struct wn_record *r)
{
    return (w0 & (WN_OWNER_MASK | WN_LOCAL_MASK)) == (r->pub.me | 1) &&
           !(WN_WEAKER(plain_death_unordered, load_acquire, load_relaxed, &h->word1) & WN_KNOWN);
}

/* Give one unit back that is not that, standing on r (wane_self.me is its owner id). */
struct wn_verdict wn_count_release(struct wane_header *h, const struct wn_type *type, struct wn_record *r,
                                   struct wn_room room);

/* The count, less one of a merged object, for whom one is the last: below WN_IMMORTAL for all that needs no second look. */
static inline uint32_t
wn_above(uint64_t w1)
{
    return (uint32_t)(w1 >> WN_COUNT_SHIFT) - (uint32_t)(w1 & WN_MERGED);
}

/* Others remain when one unit goes, and no mark is due. */
static inline bool
wn_is_of_many(const struct wn_type *t, uint64_t w1)
{
    return wn_above(w1) - 1 < WN_IMMORTAL - 2 && (!t->traced || (w1 & WN_MARKS));
}

/* As below, after a CAS that has failed. */
bool wn_count_release_contended(struct wane_header *h, const struct wn_type *t);

/* Of another's object, not in transit, not shared, give one unit back, if others remain and no mark is due. w1: its word1 as it
 * was seen. False: nothing was done, for more may follow from the release. In a section. */
static inline bool
wn_count_release_of_many(struct wane_header *h, const struct wn_type *t, uint64_t w1)
{
    if (!wn_is_of_many(t, w1))
        return false;
    if (WN_CHECKS >= 1)
        wn_check_words(h, load_relaxed(&h->word0), w1);
    WN_STEP("release:before-cas");
    return WN_WEAKER(many_release_unordered, cas_acq_rel, cas_relaxed, &h->word1, &w1,
                     w1 + WN_VERSION_ONE - WN_COUNT_ONE) /* acq_rel E11 */
        || wn_count_release_contended(h, t);
}

void wn_count_retained(struct wane_header *h, uint64_t old);

/* Add one unit by RMW. */
static inline void
wn_count_retain(struct wane_header *h)
{
    /* relaxed: the caller's right to h came with its own order; the review finds the unit by the version. */
    uint64_t old = fetch_add_relaxed(&h->word1, WN_COUNT_ONE + WN_VERSION_ONE);

    if (__builtin_expect((old & (WN_REVIEW | WN_DEAD)) || wn_above(old) >= WN_IMMORTAL, 0))
        wn_count_retained(h, old);
}

/* The object shall never die. False: it would not have anyway. */
bool wn_count_immortalise(struct wane_header *h);

/* The owner's, in its section: the local count of a shared object is full, because others give back what the owner makes. Half
 * of it moves to the record's entry. False: it is not shared. */
bool wn_count_spill(struct wane_header *h, struct wn_record *r);

/* A count-neutral move of a unit of h: bump its version unless word0 is mine (H6). */
void wn_count_moved(struct wane_header *h);

/* Consuming store of h: mark it as a candidate, if it is not. The caller holds or borrows h. */
struct wn_verdict wn_count_mark(struct wane_header *h, struct wn_room room);

/* The owner gives its local count up (drain, collector's request). True: this call merged it. Clears QUEUED. */
bool wn_count_merge(struct wane_header *h, const struct wn_type *type, struct wn_record *r);

/* Finish a merge that was stopped between giving word0 up and publishing (the child of a fork). */
void wn_count_replay_intent(struct wn_record *r);

/* The same for an owner's last release, which leaves no intent. Who has seen that h is in the middle of a merge must have waited
 * for a grace period since: whoever merges is in a section. False: it is not there any more. In a section. */
bool wn_count_finish_merge(struct wane_header *h, const struct wn_type *type);

/* count(o) == 1 and that unit is the caller's, no weak reference. */
bool wn_count_is_unique(const struct wane_header *h);

/* The owner's, in its section: take the object's quiet mark back (its entry was removed). */
void wn_count_unquiet(struct wane_header *h);

#endif
