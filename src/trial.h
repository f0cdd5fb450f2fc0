/* SPDX-License-Identifier: MIT
 *
 * trial.h - trial deletion over a side table: a plain single-threaded graph algorithm
 *
 * Given candidates, explore what they reach; compare each object's count with the edges that were seen to lead to it. What has
 * more count than edges is held from outside: live; what live objects reach is live. The rest holds itself up only: suspects.
 * Objects are opaque addresses here; counting, claiming and tracing them are the caller's callbacks. Header counts are never
 * used as scratch.
 *
 * Linear in objects and edges: each object is traced at most twice (exploring; spreading, if live), whatever the shape.
 * Memory: 16 bytes an object in a dense array, which is also the queue, and 4 bytes / load factor of index.
 *
 * The answer may be wrong when the graph changes meanwhile; the review (review.c) finds that out.
 * Source: Bacon, Rajan (ECOOP 2001), with Lins' quadratic case gone because all roots are explored before any is judged.
 */
#ifndef WN_TRIAL_H
#define WN_TRIAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct wn_trial_node {
    uintptr_t object; /* 16-byte aligned; the low bits are state */
    uint32_t  in;     /* edges seen; later: link of the live list, or the caller's */
    uint32_t  count;  /* saturated */
};

#define WN_TRIAL_LIVE      ((uintptr_t)1)
#define WN_TRIAL_CANDIDATE ((uintptr_t)2)
#define WN_TRIAL_GIVEN     ((uintptr_t)4) /* the caller has let go of it */
#define WN_TRIAL_STATE     ((uintptr_t)15)
#define WN_TRIAL_NONE      UINT32_MAX

struct wn_trial {
    /* Take hold of an object met for the first time and read its count; false: not part of the graph. */
    bool (*claim)(struct wn_trial *trial, uintptr_t object, uint32_t *count);
    /* Call wn_trial_edge for every reference that the object holds. False: only for a part of them; the next call goes on. */
    bool (*trace)(struct wn_trial *trial, uintptr_t object);

    struct wn_trial_node *node;
    uint32_t              count, capacity;
    uint32_t             *index; /* open addressing: node number + 1, 0 empty */
    uint32_t              mask;
    uint32_t              cursor; /* nodes before it are explored, judged */
    uint32_t              live;   /* list of live nodes to spread from, through in */
    uint32_t              partly; /* the number + 1 of the node that is traced in part; 0: none */
    bool                  spreading;
    bool                  failed; /* out of memory: the answer is incomplete */
    uint32_t              limit;  /* objects at most; beyond them the rest of the graph counts as live. 0: none */
    bool                  cut;    /* there was more */
    uint64_t              edges; /* traced, by both passes */
};

static inline uintptr_t
wn_trial_object(const struct wn_trial_node *node)
{
    return node->object & ~WN_TRIAL_STATE;
}

void wn_trial_clear(struct wn_trial *trial); /* frees the memory; the callbacks stay */

/* Make room for n more objects, so that adding them allocates nothing. False: no memory. */
bool wn_trial_prepare(struct wn_trial *trial, uint32_t n);

uint32_t wn_trial_find(const struct wn_trial *trial, uintptr_t object);

/* Add an object that is not in the table. False: out of memory (failed is set). */
bool wn_trial_add(struct wn_trial *trial, uintptr_t object, uint32_t count, uintptr_t state);

void wn_trial_edge(struct wn_trial *trial, uintptr_t object);

/* In this order, each until it returns true. A call does about `budget` objects, or WN_TRIAL_EDGES times as many edges. */
#define WN_TRIAL_EDGES 8

bool wn_trial_explore(struct wn_trial *trial, uint32_t budget);
void wn_trial_judge(struct wn_trial *trial);
bool wn_trial_spread(struct wn_trial *trial, uint32_t budget);

#endif
