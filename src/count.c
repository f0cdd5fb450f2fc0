/* SPDX-License-Identifier: MIT */
#include "count.h"

#include <stdio.h>

#include "check.h"
#include "ck_glue.h"
#include "handoff.h"
#include "probe.h"
#include "share.h"
#include "step.h"

static struct wn_verdict
fate(enum wn_fate f)
{
    return (struct wn_verdict){f, 0};
}

/* ---- Saturation ----------------------------------------------------------------------------------------------- */

static uint64_t
with_count(uint64_t w1, int64_t count)
{
    return (w1 & ~WN_COUNT_MASK) | (((uint64_t)count & 0xFFFFFFFF) << WN_COUNT_SHIFT);
}

/* From here on the object is never freed; racing retains and releases move its count by no more than one each. */
bool
wn_count_immortalise(struct wane_header *h)
{
    uint64_t w = load_relaxed(&h->word1);

    do
        if (wn_count(w) >= WN_IMMORTAL)
            return false;
    while (!cas_acq_rel(&h->word1, &w, (with_count(w, WN_IMMORTAL_CENTRE) & ~WN_REVIEW) + WN_VERSION_ONE));
    return true;
}

/* The count has reached WN_IMMORTAL: to the middle of the range, where racing changes cannot move it out. A little below the
 * middle it is there already: releases of immortals take one and put it back. */
static void
saturate(struct wane_header *h)
{
    uint64_t w = load_relaxed(&h->word1);

    while (wn_count(w) < WN_IMMORTAL_CENTRE - WN_IMMORTAL / 2)
        if (cas_acq_rel(&h->word1, &w, with_count(w, WN_IMMORTAL_CENTRE) + WN_VERSION_ONE)) {
            fprintf(stderr, "wane: the count of an object of type '%s' is saturated; it is immortal now\n",
                    wn_type_of(h)->name);
            return;
        }
}

/* ---- Retain --------------------------------------------------------------------------------------------------- */

/* Old is what word1 was: it had the REVIEW flag, or its count is out of range. */
void
wn_count_retained(struct wane_header *h, uint64_t old)
{
    if (wn_is_gone(old))
        wn_fatal(h, "retain of a dead object");
    /* The version made the first RMW visible at once; this makes a wrap of the version harmless (I hold a unit: I may). */
    if ((old & WN_REVIEW) && !WN_MUTANT(retain_keeps_review))
        fetch_and_relaxed(&h->word1, ~WN_REVIEW);
    if (wn_count(old) >= WN_IMMORTAL) {
        fetch_add_relaxed(&h->word1, WN_VERSION_ONE - WN_COUNT_ONE);
        saturate(h);
    }
}

void
wn_count_moved(struct wane_header *h)
{
    if (wn_owner(load_relaxed(&h->word0)) == (uint32_t)(wane_self.me >> WN_OWNER_SHIFT) || WN_MUTANT(move_keeps_version))
        return;
    /* release E11: the slot was cleared before. REVIEW goes as in a retain: the mover holds the unit, and versions wrap. */
    if (fetch_add_release(&h->word1, WN_VERSION_ONE) & WN_REVIEW)
        fetch_and_relaxed(&h->word1, ~WN_REVIEW);
}

bool
wn_count_spill(struct wane_header *h, struct wn_record *r)
{
    /* Added first: who stops in between (fork) has counted too much. */
    if (!(load_acquire(&h->word1) & WN_SHARED) || !wn_share_add(r, h, WANE_LOCAL_LIMIT / 2))
        return false;
    compiler_barrier();
    store_relaxed(&h->word0, load_relaxed(&h->word0) - WANE_LOCAL_LIMIT / 2);
    return true;
}

/* ---- Merge ---------------------------------------------------------------------------------------------------- */

/* word1 after local units are added: saturated, MERGED, and a mark where units remain. */
static uint64_t
merged_word(uint64_t w1, int64_t local, bool was_quiet, const struct wn_type *t)
{
    int64_t  count = wn_count(w1) + local;
    uint64_t n = (w1 | WN_MERGED) + WN_VERSION_ONE;

    if (count >= WN_IMMORTAL)
        count = WN_IMMORTAL_CENTRE;
    if (was_quiet && t->traced)
        n |= WN_OWNLOG; /* the entry in the owner's log keeps its mark, in word1 now */
    return with_count(n, count);
}

/* Give word0 up. The intent says what is still to be added, should this thread stop for ever in between (fork). */
static void
give_word0_up(struct wane_header *h, struct wn_record *r, uint64_t w0, uint64_t local)
{
    store_relaxed(&r->intent.local, local);
    store_release(&r->intent.object, (void *)h);
    compiler_barrier();
    store_relaxed(&h->word0, w0 & WN_TYPE_MASK);
    WN_STEP("merge:word0-cleared");
}

static void
intent_done(struct wn_record *r)
{
    compiler_barrier();
    store_relaxed(&r->intent.object, NULL);
    wn_counter_add(&r->counters.merged, 1);
}

bool
wn_count_merge(struct wane_header *h, const struct wn_type *t, struct wn_record *r)
{
    uint64_t w0 = load_relaxed(&h->word0);
    uint64_t local = wn_local(w0);
    uint64_t w1, n;

    if (wn_owner(w0) != r->id)
        return false;
    if ((load_acquire(&h->word1) & WN_SHARED) && wn_share_add(r, h, local))
        local = 0; /* word1 need not hold it: it may be large, and owed to others */
    give_word0_up(h, r, w0, local);
    w1 = load_relaxed(&h->word1);
    do
        n = merged_word(w1 & ~WN_QUEUED, (int64_t)local, w0 & WANE_QUIET, t);
    while (!cas_acq_rel(&h->word1, &w1, n)); /* release E10: word0 was given up before MERGED is seen */
    intent_done(r);
    WN_PROBE2(merge, h, local);
    return true;
}

void
wn_count_replay_intent(struct wn_record *r)
{
    struct wane_header *h = load_relaxed(&r->intent.object);
    uint64_t            w1;

    if (!h)
        return;
    w1 = load_relaxed(&h->word1);
    if (wn_owner(load_relaxed(&h->word0)) == 0 && !(w1 & WN_MERGED))
        store_relaxed(&h->word1,
                      merged_word(w1, (int64_t)load_relaxed(&r->intent.local), true, wn_type_of(h)) & ~WN_QUEUED);
    store_relaxed(&r->intent.object, NULL);
}

bool
wn_count_finish_merge(struct wane_header *h, const struct wn_type *t)
{
    uint64_t w1 = load_acquire(&h->word1); /* acquire E10 */

    do
        if ((w1 & WN_MERGED) || wn_owner(load_relaxed(&h->word0)) != 0)
            return false;
    while (!cas_acq_rel(&h->word1, &w1, merged_word(w1, 0, true, t))); /* release E10 */
    return true;
}

/* ---- Candidate marks ------------------------------------------------------------------------------------------ */

void
wn_count_unquiet(struct wane_header *h)
{
    store_relaxed(&h->word0, load_relaxed(&h->word0) & ~WANE_QUIET);
}

/* The owner's mark, before or after a plain change. */
static struct wn_verdict
mark_own(struct wane_header *h, uint64_t w0, struct wn_room room)
{
    if ((w0 & WANE_QUIET) || !room.candidate || (load_relaxed(&h->word1) & WN_MARKS))
        return fate(WN_LIVES);
    store_relaxed(&h->word0, load_relaxed(&h->word0) | WANE_QUIET);
    return fate(WN_MARKED_OWN);
}

struct wn_verdict
wn_count_mark(struct wane_header *h, struct wn_room room)
{
    uint64_t w0 = load_relaxed(&h->word0);
    uint64_t w1;

    if (WN_MUTANT(no_store_event) || !room.candidate)
        return fate(WN_LIVES);
    if (wn_owner(w0) == (uint32_t)(wane_self.me >> WN_OWNER_SHIFT))
        return mark_own(h, w0, room);
    w1 = load_relaxed(&h->word1);
    do
        if (w1 & (WN_MARKS | WN_REVIEW)) /* under review: see settle */
            return fate(WN_LIVES);
    while (!cas_acq_rel(&h->word1, &w1, (w1 | WN_BUFFERED) + WN_VERSION_ONE));
    return fate(WN_MARKED);
}

/* ---- Release -------------------------------------------------------------------------------------------------- */

static bool
has_finalizer_due(const struct wn_type *t, uint64_t w1)
{
    return t->finalize && !(w1 & WN_FINALIZED);
}

/* Complete a new word1 of a merged object, one unit less already: what follows? */
static struct wn_verdict
settle(uint64_t *n, const struct wn_type *t, struct wn_room room, bool is_merge)
{
    int64_t count = wn_count(*n);

    if (count == 0 && has_finalizer_due(t, *n)) {
        *n = with_count(*n | WN_FINALIZED, 1); /* the unit is handed over, never re-created */
        return fate(WN_FINALIZE);
    }
    if (count == 0)
        return fate(WN_DIES);
    /* Under review it is the collector's, who marks what it gives back, or destroys it. */
    if (!t->traced || (*n & (WN_MARKS | WN_REVIEW)) || !room.candidate || WN_MUTANT(no_stranger_event) ||
        (is_merge && WN_MUTANT(no_merge_event)))
        return fate(WN_LIVES);
    *n |= WN_BUFFERED;
    return fate(WN_MARKED);
}

static struct wn_verdict
release_last_local(struct wane_header *h, const struct wn_type *t, struct wn_record *r, uint64_t w0, struct wn_room room)
{
    bool              marked = (w0 & WANE_QUIET) && t->traced;
    struct wn_verdict v;
    uint64_t          w1, n;

    WN_STEP("release:last-local");
    /* No intent: the last local unit is the one that goes, nothing is left to be added (and h may be freed right after). */
    if (!WN_MUTANT(merge_publishes_first))
        store_relaxed(&h->word0, w0 & WN_TYPE_MASK);
    WN_STEP("merge:word0-cleared");
    w1 = load_relaxed(&h->word1);
    do {
        n = merged_word(w1, 0, marked, t);
        v = settle(&n, t, room, true);
    } while (!cas_acq_rel(&h->word1, &w1, n)); /* release E10, E11; acquire E11 */
    WN_STEP("merge:published");
    if (WN_MUTANT(merge_publishes_first))
        store_relaxed(&h->word0, w0 & WN_TYPE_MASK);
    wn_counter_add(&r->counters.merged, 1);
    return v;
}

static struct wn_verdict
release_own(struct wane_header *h, const struct wn_type *t, struct wn_record *r, uint64_t w0, struct wn_room room)
{
    struct wn_verdict v = fate(WN_LIVES);

    if (wn_local(w0) == 1)
        return release_last_local(h, t, r, w0, room);
    if (wn_local(w0) >= (uint64_t)WANE_LOCAL_LIMIT && !wn_count_spill(h, r))
        return v; /* saturated by retains: immortal */
    if (t->traced)
        v = mark_own(h, w0, room);
    WN_STEP("release:marked");
    store_relaxed(&h->word0, load_relaxed(&h->word0) - 1);
    return v;
}

static struct wn_verdict
release_merged_leaf(struct wane_header *h)
{
    /* acq_rel E11: each release publishes, the last one sees all. */
    uint64_t old = fetch_add_acq_rel(&h->word1, WN_VERSION_ONE - WN_COUNT_ONE);

    if (wn_count(old) == 1)
        return fate(WN_DIES);
    if (__builtin_expect(wn_count(old) <= 0, 0))
        wn_fatal(h, "release without a reference");
    if (__builtin_expect(wn_count(old) >= WN_IMMORTAL, 0))
        fetch_add_relaxed(&h->word1, WN_VERSION_ONE + WN_COUNT_ONE);
    return fate(WN_LIVES);
}

/* One step of the stranger's loop: the new word for w1, or no change (n == w1) where the unit must stay counted. */
static struct wn_verdict
stranger_step(uint64_t w1, uint64_t *n, const struct wane_header *h, const struct wn_type *t, struct wn_room room)
{
    int64_t count = wn_count(w1);

    if ((w1 & WN_MERGED) && count <= 0)
        wn_fatal(h, "release without a reference");
    *n = w1;
    if (count >= WN_IMMORTAL || count <= -WN_IMMORTAL || ((w1 & WN_SHARED) && count < WN_SHARE_BIAS / 2))
        return fate(WN_LIVES);
    if ((w1 & WN_MERGED) || count > 0 || (w1 & WN_QUEUED) || WN_MUTANT(queue_skip)) {
        *n = w1 + WN_VERSION_ONE - WN_COUNT_ONE;
        if (w1 & WN_MERGED)
            return settle(n, t, room, false);
        if (!t->traced || (w1 & WN_MARKS) || !room.candidate || WN_MUTANT(no_stranger_event))
            return fate(WN_LIVES);
        *n |= WN_BUFFERED;
        return fate(WN_MARKED);
    }
    if (!room.node)
        return fate(WN_LIVES);
    *n = (w1 | WN_QUEUED) + WN_VERSION_ONE;
    return fate(WN_GOES_QUEUED);
}

bool
wn_count_release_contended(struct wane_header *h, const struct wn_type *t)
{
    unsigned turns = 0;
    uint64_t w1;

    do {
        if (wn_stall(&turns))
            wn_share_itself(wn_standing(), h);
        w1 = load_relaxed(&h->word1); /* relaxed: a guess; the CAS checks it */
        if ((w1 & WN_SHARED) || !wn_is_of_many(t, w1))
            return false;
        WN_STEP("release:before-cas");
    } while (!cas_acq_rel(&h->word1, &w1, w1 + WN_VERSION_ONE - WN_COUNT_ONE)); /* acq_rel E11 */
    return true;
}

static struct wn_verdict
release_stranger(struct wane_header *h, const struct wn_type *t, struct wn_record *r, struct wn_room room)
{
    uint64_t          w1 = load_acquire(&h->word1);
    uint64_t          n;
    uint32_t          owner;
    unsigned          turns = 0;
    struct wn_verdict v;

    for (;;) {
        if (__builtin_expect((w1 & WN_SHARED) && wn_share_add(r, h, UINT64_MAX), 0))
            return fate(WN_LIVES); /* the share's units keep it */
        if ((w1 & (WN_MERGED | WN_SHARED)) == WN_MERGED && !t->traced && !t->finalize)
            return release_merged_leaf(h);
        owner = wn_owner(load_relaxed(&h->word0)); /* before the CAS: afterwards the object may be gone */
        v = stranger_step(w1, &n, h, t, room);
        if (n == w1) {
            wn_counter_add(&r->counters.lost_units, wn_count(w1) < WN_IMMORTAL);
            return v;
        }
        WN_STEP("release:before-cas");
        if (WN_WEAKER(release_unordered, cas_acq_rel, cas_relaxed, &h->word1, &w1, n)) /* acq_rel E11 */
            break;
        if (wn_stall(&turns))
            wn_share_itself(r, h); /* the unit is still here */
        w1 = load_acquire(&h->word1);
    }
    v.owner = owner;
    return v;
}

struct wn_verdict
wn_count_release(struct wane_header *h, const struct wn_type *t, struct wn_record *r, struct wn_room room)
{
    uint64_t w0 = load_relaxed(&h->word0); /* relaxed: mine, or only looked at for whose it is */

    if (__builtin_expect(wn_owner(w0) == WN_TRANSIT, 0)) {
        wn_transit_end(h, r); /* a parcel that nobody opened */
        w0 = load_relaxed(&h->word0);
    }
    if (WN_CHECKS >= 1 && !(load_relaxed(&h->word1) & WN_DEAD))
        wn_check_words(h, w0, load_relaxed(&h->word1));
    if (wn_owner(w0) == r->id)
        return release_own(h, t, r, w0, room);
    return release_stranger(h, t, r, room);
}

/* ---- Looking -------------------------------------------------------------------------------------------------- */

bool
wn_count_is_unique(const struct wane_header *h)
{
    uint64_t w0 = load_relaxed(&h->word0);
    uint64_t w1;

    WN_STEP("unique:word0-read");
    w1 = WN_WEAKER(unique_unordered, load_acquire, load_relaxed, &h->word1); /* acquire E11: what former holders wrote */
    if (w1 & WN_WEAK)
        return false;
    if (w1 & WN_MERGED)
        return wn_count(w1) == 1;
    return wn_owner(w0) == (uint32_t)(wane_self.me >> WN_OWNER_SHIFT) && wn_local(w0) == 1 &&
           (wn_count(w1) == 0 || WN_MUTANT(unique_ignores_strangers));
}
