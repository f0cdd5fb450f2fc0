/* SPDX-License-Identifier: MIT
 *
 * collect.h - one collection, from candidates to freed cycles
 *
 *   take      every handed-over candidate: its mark is cleared and CLAIMED set in one RMW, then one grace period passes
 *   suspect   trial deletion (trial.h), in short sections, beside running mutators: a guess (suspect.c)
 *   review    two traces around one grace period: what passes is garbage for certain (review.c)
 *   settle    per component: finalizers first, then the decision about weak references, then destruction (settle.c)
 *   give back what was not destroyed: unclaimed; suspects are candidates again
 *
 * All state hangs on wn_collection, so that the child of a fork can give a collection up (wn_collection_abandon).
 * CLAIMED holds an object's memory: the collector keeps addresses across its sections only of claimed objects.
 */
#ifndef WN_COLLECT_H
#define WN_COLLECT_H

#include "driver.h"
#include "subset.h"
#include "trial.h"

struct wn_collection {
    struct wn_trial       trial;
    struct wn_link       *batch;  /* chunks taken over, not yet in the table */
    struct wn_member     *member; /* the suspects */
    uint32_t              members;
    struct wn_edges       first, second; /* the two traces */
    struct wane_collected result;
    uint32_t              destroying; /* the component under destruction */
    bool                  under_way;
    bool                  no_memory; /* given up for want of it */
    bool                  timed_out; /* a wait for sections or for merges was given up */
};

extern struct wn_collection wn_collection;

/* Objects traced or changed per section of the collector. */
#define WN_COLLECT_SLICE 256

/* Driver lock held, outside sections. */
void wn_collection_run(struct wane_collected *result);
void wn_collection_abandon(void);

/* The parts. False: give up (out of memory, or a section that does not end). */
bool wn_suspect(struct wn_collection *c);
bool wn_review(struct wn_collection *c);
void wn_settle(struct wn_collection *c);

/* m is destroyed, or about to be: it is not given back. */
void wn_member_let_go(struct wn_collection *c, struct wn_member *m);

/* Clear the collector's flags; keep: make the object a candidate again. In a section. */
void wn_collect_give_back(struct wane_header *h, bool keep);

/* Call fn for members 0 .. n-1, in sections of WN_COLLECT_SLICE. */
void wn_for_members(struct wn_collection *c, void (*fn)(struct wn_collection *, struct wn_member *));

/* The member that an object is, or NULL. */
struct wn_member *wn_member_of(struct wn_collection *c, const struct wane_header *h);

void wn_collect_count_freed(uint64_t objects); /* at once, so that counted deaths are the difference */
void wn_collect_stats(struct wane_stats *out);

#endif
