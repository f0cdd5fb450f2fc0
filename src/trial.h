/* SPDX-License-Identifier: MIT
 *
 * trial.h - trial deletion over a side table: a plain single-threaded graph algorithm
 *
 * Given candidates, explore what they reach; compare each object's count with the edges that were seen to lead to it. What has
 * more count than edges is held from outside: live; what live objects reach is live. The rest holds itself up only: suspects.
 * Objects are opaque addresses here; counting, claiming and tracing them are the caller's callbacks. Header counts are never
 * used as scratch.
 *
 * Linear in objects and edges: each object is traced once. Its edges are kept, as numbers of nodes: what is live spreads along
 * these, and the review compares what it reads with them. So an object is looked up once for each edge, in this phase.
 * Memory: 16 bytes an object in a dense array, which is also the queue; 4 bytes / load factor of index; 4 for its row and 4 for
 * each edge.
 *
 * The answer may be wrong when the graph changes meanwhile; the review (review.c) finds that out.
 * Source: Bacon, Rajan (ECOOP 2001), with Lins' quadratic case gone because all roots are explored before any is judged.
 */
#ifndef WN_TRIAL_H
#define WN_TRIAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "edges.h"

struct wn_trial_node {
    uint64_t object; /* 8-byte aligned; the low bits are state, the top ones the caller's */
    union {
        struct {
            uint32_t in;    /* edges seen; later: link of the live list */
            uint32_t count; /* saturated */
        };
        uint64_t w0; /* the rest: of the review (subset.h), of suspects */
        struct {
            uint32_t left1, left2; /* the count, less the edges from G in the first and in the second trace */
        };
        struct {
            uint32_t component; /* after wn_components: the number of its group */
            uint32_t root;
        };
    };
};
_Static_assert(sizeof(struct wn_trial_node) == 16, "as the file head says");

#define WN_TRIAL_LIVE      UINT64_C(1)
#define WN_TRIAL_CANDIDATE UINT64_C(2)
#define WN_TRIAL_GIVEN     UINT64_C(4) /* the caller has let go of it */
#define WN_TRIAL_NEVER     (UINT64_C(1) << 63) /* no node has it */
#define WN_TRIAL_OBJECT    ((UINT64_C(1) << 48) - 8)
#define WN_TRIAL_NONE      UINT32_MAX

#define WN_TRIAL_AHEAD 32u

struct wn_trial {
    /* Take hold of an object met for the first time and read its count; false: not part of the graph. */
    bool (*claim)(struct wn_trial *trial, uintptr_t object, uint32_t *count);
    /* Call wn_trial_edge for every reference that the object holds. False: only for a part of them; the next call goes on. */
    bool (*trace)(struct wn_trial *trial, uintptr_t object);

    struct wn_trial_node *node;
    uint32_t              count, capacity;
    uint32_t             *index; /* open addressing: node number + 1 and, above it, a part of the hash; 0 empty */
    uint32_t              mask;
    struct wn_edges       edges;
    uint32_t              cursor; /* nodes before it are explored */
    uint32_t              live;   /* list of live nodes to spread from, through in */
    uint32_t              lives;  /* how many are live */
    uint64_t             *is_live; /* while it spreads: a bit each, which the cache holds. NULL: there was no memory for that */
    bool                  partly; /* the node at the cursor is explored in part */
    bool                  failed; /* out of memory: the answer is incomplete */
    uint32_t              limit;  /* objects at most; beyond them the rest of the graph counts as live. 0: none */
    bool                  cut;    /* there was more */
    uint64_t              seen;   /* edges */
    uintptr_t             ahead[WN_TRIAL_AHEAD]; /* a queue: edges seen whose targets are being fetched; 0: a row ends */
    uint32_t              ahead_first, ahead_count;
};

static inline uintptr_t
wn_trial_object(const struct wn_trial_node *node)
{
    return (uintptr_t)(node->object & WN_TRIAL_OBJECT);
}

void wn_trial_clear(struct wn_trial *trial); /* frees the memory; the callbacks stay */

bool wn_trial_grow(struct wn_trial *trial, uint32_t n);

/* Make room for n more objects, so that adding them allocates nothing. False: no memory. */
static inline bool
wn_trial_prepare(struct wn_trial *trial, uint32_t n)
{
    return ((uint64_t)trial->count + n <= trial->capacity && trial->mask) || wn_trial_grow(trial, n);
}

uint32_t wn_trial_find(const struct wn_trial *trial, uintptr_t object);

/* Nobody asks for objects any more: the index's memory, a number for each node, until the table is cleared. */
static inline uint32_t *
wn_trial_take_index(struct wn_trial *trial)
{
    trial->mask = 0;
    return trial->index;
}

/* What finds this object soon after. */
void wn_trial_fetch_ahead(const struct wn_trial *trial, uintptr_t object);

/* Add an object, unless it is in the table. False: out of memory (failed is set). */
bool wn_trial_add(struct wn_trial *trial, uintptr_t object, uint32_t count, uint64_t state);

void wn_trial_edge(struct wn_trial *trial, uintptr_t object);

/* In this order, each until it returns true. A call does about `budget` objects, or WN_TRIAL_EDGES times as many edges. */
#define WN_TRIAL_EDGES 8

bool wn_trial_explore(struct wn_trial *trial, uint32_t budget);
void wn_trial_judge(struct wn_trial *trial);
bool wn_trial_spread(struct wn_trial *trial, uint32_t budget);

/* Forget the live ones. The suspects get new numbers, in the same order; edges between them stay. */
void wn_trial_keep_suspects(struct wn_trial *trial);

#endif
