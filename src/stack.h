/* SPDX-License-Identifier: MIT
 *
 * stack.h - the one hand-off between threads: push, and take all
 *
 * A Treiber stack without single pops: many pushers, whoever takes takes everything with one exchange, so that addresses may
 * be re-used freely (no ABA). Lock-free: a failed CAS means that another push or take succeeded.
 *
 * Why not liburcu's wfstack or wfcqueue: they publish the node before its link, so a pusher that is stopped in between (a
 * fork stops all other threads for ever) hides every older entry. Here what was pushed is complete at every instant.
 */
#ifndef WN_STACK_H
#define WN_STACK_H

#include "atomic.h"
#include "step.h"

struct wn_link {
    struct wn_link *next;
};

/* Push the chain first .. last, already linked. */
static inline void
wn_stack_push_chain(struct wane_atomic_ptr *top, struct wn_link *first, struct wn_link *last)
{
    void *old = load_relaxed(top); /* relaxed: a guess; the CAS checks it */

    do
        last->next = old;
    /* release E7: the links and what they carry; seq_cst: tend.c */
    while (!WN_WEAKER(push_unordered, cas_seq_cst, cas_relaxed, top, &old, (void *)first));
}

static inline void
wn_stack_push(struct wane_atomic_ptr *top, struct wn_link *link)
{
    wn_stack_push_chain(top, link, link);
}

/* Newest first. */
static inline struct wn_link *
wn_stack_take(struct wane_atomic_ptr *top)
{
    if (!load_relaxed(top)) /* relaxed: an empty look needs no order */
        return NULL;
    return WN_WEAKER(take_unordered, exchange_acq_rel, exchange_relaxed, top, NULL); /* acquire E7 */
}

#endif
