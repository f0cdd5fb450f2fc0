/* SPDX-License-Identifier: MIT
 *
 * share.h - hot objects: what strangers count of a shared object, each counts on his own record
 *
 *     count(o) = local(word0) + count(word1) - BIAS + units of o on all records        while SHARED, and until it is summed up
 *
 * SHARED and BIAS are set by one CAS. BIAS keeps word1 above zero whatever the records hold: no release finds a last unit, and
 * the collector sees more count than edges, so a shared object is live, and so is what it holds; it needs no case of its own.
 * A record that has no entry free counts in the object's common entry, by RMWs. word1 is left alone: units that are made in one
 * place and given back in another would wear BIAS down, or wear the count up to where it saturates.
 *
 * The header's line shall rest, for all read it. So whoever shares his own object merges it first, and who shares another's puts
 * it on its owner's queue, in the same CAS. Until that owner looks there he goes on counting in word0, and moves what gathers
 * there to his record's entry before it saturates. A shared object that is not merged is therefore QUEUED.
 *
 *     thread in a section                           unshare
 *     word1: SHARED? units of o here + 1            CAS: SHARED off; BIAS stays
 *     .. leave                                      grace period: whoever saw SHARED has left
 *                                                   sum and free the entries; word1 + sum - BIAS + 1; release of that 1
 *
 * Only that release may find the count at zero: death is found there, and it is the candidate event. The part in word1 of an
 * object that is still not merged may come out below zero, for it is QUEUED (I3).
 *
 * An object whose word1 so many threads are at that a CAS fails again and again *shares itself*: the thread whose CAS it was
 * does it. The background unshares such objects, and only it does, when nothing seems to hold them any more, and after a second
 * in any case (what is shared neither dies nor is collected); if they are still hot they share themselves again. `since` says of
 * each common entry who shared its object:
 *
 *     0          the program: it alone unshares it
 *     a time     itself, then
 *     LOOKED_AT  the same; the background is looking, in a section
 *     UNSHARED   .. and has unshared it, or is about to
 *
 *     background, in a section                      wane_share of the program
 *     since: a time (acquire)? object := entry's
 *     CAS since: the time -> LOOKED_AT              CAS since: a time or LOOKED_AT -> 0: it is the program's
 *     looks at object's words and units                 and a wane_unshare may follow, whose grace period
 *     CAS since: LOOKED_AT -> UNSHARED or back          waits for the background's section
 *
 * The object that is looked at is there: it was shared by itself when LOOKED_AT was set, since nobody else ends that: not before
 * its entry is published either. No fork comes in between: the background holds the gate (gate.h). An unshare needs memory for
 * a deferred call; where there is none, the background tries again.
 *
 * Source: the kernel's percpu-ref (T. Heo, 2013), with a grace period of ours and a search by address in place of a pointer.
 */
#ifndef WN_SHARE_H
#define WN_SHARE_H

#include "record.h"
#include "step.h"

#define WN_SHARE_BIAS ((int64_t)1 << 28) /* counts in word1 that are half as large are not shared */

static inline uint64_t
wn_shared_hash(const struct wane_header *h)
{
    return (uint64_t)(uintptr_t)h * UINT64_C(0x9E3779B97F4A7C15);
}

static inline struct wn_shared_count *
wn_shared_entry(struct wn_record *r, const struct wane_header *h, uint32_t i)
{
    return &r->shared[((wn_shared_hash(h) >> 60) + i) % WN_SHARED_COUNTS];
}

bool wn_share_add_slow(struct wn_record *r, struct wane_header *h, uint64_t n);

/* In a section that has seen SHARED, by an acquire load: n units of h on r, or in its common entry. Wait-free. False: whoever
 * shares it has not published that yet; then, and only then, word1 counts. */
static inline bool
wn_share_add(struct wn_record *r, struct wane_header *h, uint64_t n)
{
    struct wn_shared_count *c = wn_shared_entry(r, h, 0);

    WN_STEP("share:seen");
    if (__builtin_expect(load_acquire(&c->object) != (void *)h, 0)) /* acquire E17: its units were read before it was freed */
        return wn_share_add_slow(r, h, n);
    /* relaxed: read after a grace period only (E4). */
    store_relaxed(&c->units, load_relaxed(&c->units) + n);
    return true;
}

/* In a section, holding a unit of h, which is hot. It is shared from now on, or not: no matter. Lock-free. */
void wn_share_itself(struct wn_record *r, struct wane_header *h);

/* Under the driver lock, outside of sections: unshare what has shared itself and is not held any more, or has been shared for
 * long; all: whatever has. True: some are left. */
bool wn_share_cool(bool all);

/* Has anything shared itself? Then the background shall run. */
bool wn_share_is_hot(void);

/* In the child of a fork, before anything is freed: what vanished threads were about to share is shared, or is not. */
void wn_share_forked(void);

/* What an object whose word1 is w1 has beside its words, BIAS taken off: a look at numbers that move. 0: it is not shared. */
int64_t wn_share_look(const struct wane_header *h, uint64_t w1);

#endif
