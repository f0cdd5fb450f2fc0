/* SPDX-License-Identifier: MIT
 *
 * subset.h - the largest part of the suspects that holds itself up: plain arithmetic on what the review has read
 *
 * G = largest subset in which each member is in, and count = edges from G in the first trace = edges from G in the second.
 * Found by removing what does not fit and subtracting its edges, until nothing changes: linear in members and edges.
 */
#ifndef WN_SUBSET_H
#define WN_SUBSET_H

#include <stdbool.h>
#include <stdint.h>

#include <wane/collector.h>

struct wane_header;

struct wn_member {
    struct wane_header *h;
    uint64_t            w1;
    union {
        uint64_t w0;
        struct {
            uint32_t left1, left2; /* the count, less the edges from G in the first and in the second trace */
        };
        struct {
            uint32_t component; /* after wn_components: the number of its group */
            uint32_t root;
        };
    };
    uint32_t            node; /* its number in the side table */
    uint8_t             out; /* 0, or why it is not, or no longer, in G: 1 + enum wane_abort */
    bool                excess; /* unchanged, with more edges than units: a trace shows a slot more than once */
};

#define WN_OUT(why) ((uint8_t)(1 + WANE_ABORT_##why))

/* Edges of members 0 .. n-1: those of i are to[first[i]] .. to[first[i + 1]]. */
struct wn_edges {
    uint32_t *first, *to;
    uint32_t  members, count, capacity;
};

bool wn_edges_begin(struct wn_edges *e, uint32_t members);
bool wn_edges_reserve(struct wn_edges *e, uint32_t n); /* room for n more */
bool wn_edges_add(struct wn_edges *e, uint32_t to); /* of the member under way */
void wn_edges_again(struct wn_edges *e);            /* the member under way has none yet */
void wn_edges_next(struct wn_edges *e);             /* the member under way is done */
void wn_edges_free(struct wn_edges *e);

/* Sets out on every member that is not in G. False: no memory. */
bool wn_subset(struct wn_member *member, uint32_t n, const struct wn_edges *first, const struct wn_edges *second);

/* Groups of G that no edge connects: sets component to 0 .. result-1; writes G's members to order, grouped. */
uint32_t wn_components(struct wn_member *member, uint32_t n, const struct wn_edges *e, uint32_t *order, uint32_t *size);

#endif
