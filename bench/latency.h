/* SPDX-License-Identifier: MIT
 *
 * latency.h - the calls that latency.c measures, and what their callers share
 */
#ifndef BENCH_LATENCY_H
#define BENCH_LATENCY_H

#include "heap.h"

#include <wane/containers.h>
#include <wane/weakmap.h>

#define THREADS_MOST 64
#define PLACES       4096 /* slots that all threads store into */

enum call {
    CLOCK, ENTER, LEAVE, CHECKPOINT, NEW, NEW_SIZED, RETAIN_OWN, RELEASE_OWN, RELEASE_LAST, RELEASE_LIST, RELEASE_RING,
    RETAIN_OTHER, RELEASE_OTHER, RELEASE_OTHER_LAST, RETAIN_SHARED, RELEASE_SHARED, GIVE, ADOPT, PEEK, GET, SET, SET_HEAP, SWAP,
    CAS, PUT, TAKE, CLEAR, SET_PRIVATE, PUT_PRIVATE, TAKE_PRIVATE, CLEAR_PRIVATE, WEAK, WEAK_AGAIN, WEAK_GET, WEAK_NOTIFY,
    RELEASE_NOTIFY, FREE_DEFERRED, VEC_PUSH, VEC_GET, VEC_POP, MAP_SET, MAP_GET, MAP_REMOVE, WEAKMAP_SET, WEAKMAP_GET, CALLS
};

extern const char *const call_names[CALLS];

struct mutator {
    struct histogram *wall, *cpu; /* CALLS each */
    uint64_t          slept[CALLS];
    uint64_t          seed, used; /* CPU time at the last look */
    long              switches;   /* of the thread's own will, at the last look */
    pthread_t         thread;
    int               number;
    struct wane_vec  *vec;
    bool              growing;
    uint64_t          awaited, scheduled; /* notifications, deferred frees */
};

/* What mutators work on. */
struct shared {
    long                 threads;
    struct heap          heap;
    wane_slot            place[PLACES];
    wane_slot            theirs[THREADS_MOST]; /* an object of each thread */
    struct node         *given[THREADS_MOST];  /* a: to each thread, by the one before it; owned */
    struct node         *sent[THREADS_MOST];   /* a: the same, without wane_give */
    struct node         *hot;                  /* by wane_share */
    struct wane_map     *map;
    struct wane_weakmap *weakmap;
    uint64_t             notified, freed;      /* a */
};

extern struct shared shared;

void mutator_begin(struct mutator *m, int number);
void mutator_woke(struct mutator *m); /* it has slept, which was no call's doing */
void mutator_round(struct mutator *m, uint64_t number);

#endif
