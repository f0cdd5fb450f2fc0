/* SPDX-License-Identifier: MIT
 *
 * subset.h - the largest part of the suspects that holds itself up: plain arithmetic on what the review has read
 *
 * G = largest subset in which each member is in, and count = edges from G in the first trace = edges from G in the second.
 * Found by removing what does not fit and subtracting its edges, until nothing changes: linear in members and edges.
 *
 * A suspect's row in the first trace is the one that the first phase has left, unless it read something else; its row in the
 * second trace is that of the first one, unless it read something else. What differs is alive, and rare.
 */
#ifndef WN_SUBSET_H
#define WN_SUBSET_H

#include <wane/collector.h>

#include "trial.h"

/* In a suspect's node: 0, or why it is not, or no longer, in G: 1 + enum wane_abort. */
#define WN_OUT(why) ((unsigned)(1 + WANE_ABORT_##why))
#define WN_OUT_SHIFT 48
#define WN_OUT_MASK  (UINT64_C(15) << WN_OUT_SHIFT)

#define WN_EXCESS  (UINT64_C(1) << 52) /* unchanged, with more edges than units: a trace shows a slot more than once */
#define WN_SPECIAL (UINT64_C(1) << 53) /* its destruction calls somebody, or takes more than one step */

static inline unsigned
wn_out(const struct wn_trial_node *node)
{
    return (unsigned)(node->object >> WN_OUT_SHIFT) & 15;
}

static inline void
wn_set_out(struct wn_trial_node *node, unsigned why)
{
    node->object = (node->object & ~WN_OUT_MASK) | (uint64_t)why << WN_OUT_SHIFT;
}

/* What was read, and where it was not so any more. */
struct wn_readings {
    const struct wn_edges *scanned;
    struct wn_edges        first, second; /* partial: differences to the reading before */
};

static inline struct wn_row
wn_first_row(const struct wn_readings *r, uint32_t i)
{
    uint32_t k = r->first.rows ? wn_edges_find(&r->first, i) : WN_NO_ROW;

    return k == WN_NO_ROW ? wn_edges_row(r->scanned, i) : wn_edges_row(&r->first, k);
}

static inline struct wn_row
wn_second_row(const struct wn_readings *r, uint32_t i)
{
    uint32_t k = r->second.rows ? wn_edges_find(&r->second, i) : WN_NO_ROW;

    return k == WN_NO_ROW ? wn_first_row(r, i) : wn_edges_row(&r->second, k);
}

/* Sets out on every suspect that is not in G. Rows of those that are out at the beginning do not count. False: no memory. */
bool wn_subset(struct wn_trial_node *node, uint32_t n, const struct wn_readings *r);

/* Groups of G that no edge connects: sets component to 0 .. result-1. */
uint32_t wn_components(struct wn_trial_node *node, uint32_t n, const struct wn_readings *r);

/* G's members, grouped; where the groups end. */
void wn_order(const struct wn_trial_node *node, uint32_t n, uint32_t groups, uint32_t *order, uint32_t *end);

#endif
