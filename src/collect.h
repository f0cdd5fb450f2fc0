/* SPDX-License-Identifier: MIT
 *
 * collect.h - one collection, from candidates to freed cycles
 *
 *   take      handed-over candidates: the mark is cleared and CLAIMED set in one RMW; then one grace period passes (take.c)
 *   suspect   trial deletion (trial.h), in short sections, beside running mutators: a guess (suspect.c)
 *   review    two traces around one grace period: what passes is garbage for certain (review.c)
 *   settle    per component: finalizers first, then the decision about weak references, then destruction (settle.c)
 *   give back what was not destroyed: unclaimed and one age older; suspects are candidates again
 *
 * Generations. Objects have an age, 0 to 2: how often a collection has looked at them and left them. A collection of generation
 * g takes the candidates of age <= g and explores through objects of age <= g; what is older counts as live. Young ones are
 * bounded besides. So an edge from garbage into a large live structure costs a walk through it once, not each time.
 *
 * All state hangs on wn_collection, so that the child of a fork can give a collection up (wn_collection_abandon).
 * CLAIMED holds an object's memory: the collector keeps addresses across its sections only of claimed objects.
 */
#ifndef WN_COLLECT_H
#define WN_COLLECT_H

#include "driver.h"
#include "step.h"
#include "subset.h"

#define WN_AGES        (WANE_ALL + 1)
#define WN_FROZEN_LIST WN_AGES
#define WN_LISTS       (WN_AGES + 1)

struct wn_collection {
    struct wn_trial       trial;
    struct wn_link       *batch, *last; /* chunks taken over, not yet in the table; the last one, if there are any */
    struct wn_chunk      *waiting[WN_LISTS]; /* by age: candidates too old for the collections since; the frozen */
    struct wn_chunk      *spare;
    int                   generation; /* -1: only the dead are taken */
    uint32_t              most; /* candidates in one collection; the rest of the batch waits. 0: all */
    uint32_t              members; /* the suspects, which are the table's first nodes, and all that it has from then on */
    uint64_t             *word; /* theirs: w1 */
    uint32_t              bound; /* objects in one collection; what is beyond counts as live, then. 0: none */
    struct wn_readings    readings;
    uint32_t             *order, *end; /* the members by components (in the table's index), and where these end */
    struct wane_collected result;
    unsigned              cuts; /* scans of all generations in a row that were cut short */
    bool                  under_way;
    bool                  no_memory; /* given up for want of it */
    bool                  timed_out; /* a wait for sections or for merges was given up */
};

extern struct wn_collection wn_collection;
extern struct wane_atomic64 wn_waiting_count[WN_LISTS]; /* entries in waiting, for the pacing */

/* Objects traced or changed per section of the collector: each may be a cache miss or three, and grace periods wait. */
#define WN_COLLECT_SLICE 64

/* Driver lock held, outside sections. */
void wn_collection_run(int generation, uint32_t most, struct wane_collected *result);
void wn_collection_abandon(void);

/* The parts. False: give up (out of memory, or a section that does not end). */
bool wn_take(struct wn_collection *c);
void wn_take_the_dead(struct wn_collection *c); /* candidates that wait for an old collection may die before it comes */
void wn_take_the_frozen(struct wn_collection *c); /* they are candidates again */
bool wn_take_later(struct wn_collection *c, struct wane_header *h); /* met, and frozen: with them. In a section */
bool wn_suspect(struct wn_collection *c);
bool wn_review(struct wn_collection *c);
void wn_settle(struct wn_collection *c);

/* Between these what dies is not freed at once (death.h). Driver lock held. begin: false: membarrier has just been lost, and
 * mutators may not know it yet. */
bool wn_collecting_begin(void);
void wn_collecting_end(void);

/* Member i is destroyed, or about to be: it is not given back. False: it was let go of before. The mark comes first: a fork
 * between two slices leaves nothing that the child would give back twice. */
static inline bool
wn_member_let_go(struct wn_collection *c, uint32_t i)
{
    if (c->trial.node[i].object & WN_TRIAL_GIVEN)
        return false;
    c->trial.node[i].object |= WN_TRIAL_GIVEN;
    compiler_barrier();
    return true;
}

/* The count of an object whose word1 was w1 just before: the other word is read now. */
uint32_t wn_suspect_count(struct wane_header *h, uint64_t w1);

/* Objects lie anywhere in memory: the one that is looked at AHEAD members later is fetched now. */
#define WN_AHEAD 8u

static inline struct wane_header *
wn_node_header(const struct wn_collection *c, uint32_t i)
{
    return (struct wane_header *)wn_trial_object(&c->trial.node[i]);
}

static inline void
wn_member_fetch_ahead(const struct wn_collection *c, uint32_t i)
{
    if (i + WN_AHEAD < c->members)
        __builtin_prefetch(wn_node_header(c, i + WN_AHEAD), 1);
}

/* Call fn for members 0 .. n-1, in sections of WN_COLLECT_SLICE. */
static inline void
wn_for_members(struct wn_collection *c, void (*fn)(struct wn_collection *, uint32_t))
{
    for (uint32_t i = 0; i < c->members;) {
        uint32_t end = i + WN_COLLECT_SLICE < c->members ? i + WN_COLLECT_SLICE : c->members;

        wane_enter();
        while (i < end) {
            wn_member_fetch_ahead(c, i);
            fn(c, i++);
        }
        wane_leave();
        WN_STEP("collect:slice");
        wn_driver_breathe();
    }
}

void wn_collect_count_freed(uint64_t objects); /* at once, so that counted deaths are the difference */
void wn_collect_stats(struct wane_stats *out);

#endif
