/* SPDX-License-Identifier: MIT
 *
 * plain.c - the limits: counts without atomics, counts with atomics, malloc and free by hand, pointers handed on as they are
 *
 * Peers: plain (workloads as they are called), atomic (with "atomic-" before the name), calls of empty functions ("empty-").
 */
#include "peer.h"

#include <stdbool.h>

struct object {
    uint64_t count, value[4];
};

static struct object *
object_new(uint64_t value)
{
    struct object *o = must(malloc(sizeof *o));

    o->count = 1;
    o->value[0] = value;
    return o;
}

/* ---- Counts ------------------------------------------------------------------------------------------------------------- */

static void
objects_make(struct object **o)
{
    for (uint64_t i = 0; i < OBJECTS; i++)
        o[i] = object_new(i + 1);
}

static inline void
plain_pair(struct object *o)
{
    o->count++;
    escape(o);
    o->count--;
    escape(o);
}

static inline void
atomic_pair(struct object *o)
{
    __atomic_fetch_add(&o->count, 1, __ATOMIC_RELAXED);
    if (__atomic_fetch_sub(&o->count, 1, __ATOMIC_ACQ_REL) == 1)
        abort();
}

static void
own_one(struct worker *w)
{
    struct object *o[OBJECTS];

    objects_make(o);
    TIMED_BLOCKS(w, plain_pair(o[0]), w->sum += o[block % OBJECTS]->value[0]);
}

static void
own_many(struct worker *w)
{
    struct object *o[OBJECTS];

    objects_make(o);
    TIMED_BLOCKS(w, plain_pair(o[i]), w->sum += o[block % OBJECTS]->value[0]);
}

static void
atomic_own_one(struct worker *w)
{
    struct object *o[OBJECTS];

    objects_make(o);
    TIMED_BLOCKS(w, atomic_pair(o[0]), w->sum += o[block % OBJECTS]->value[0]);
}

static void
atomic_own_many(struct worker *w)
{
    struct object *o[OBJECTS];

    objects_make(o);
    TIMED_BLOCKS(w, atomic_pair(o[i]), w->sum += o[block % OBJECTS]->value[0]);
}

/* In a library of their own (empty.c). */
void empty_retain(void *object);
void empty_release(void *object);

static void
empty_calls(struct worker *w)
{
    struct object *o[OBJECTS];

    objects_make(o);
    TIMED_BLOCKS(w, empty_retain(o[0]); empty_release(o[0]), w->sum += o[block % OBJECTS]->value[0]);
}

static struct object *hot;

static void
atomic_hot(struct worker *w)
{
    if (w->id == 0)
        hot = object_new(7);
    TIMED_BLOCKS(w, atomic_pair(hot), w->sum += hot->value[0]);
}

static void
atomic_weak(struct worker *w)
{
    struct object *o = object_new(1);

    TIMED_BLOCKS(w, atomic_pair(o); w->sum += o->value[0], (void)0);
}

/* ---- Memory -------------------------------------------------------------------------------------------------------------- */

static void
churn(struct worker *w)
{
    worker_begin(w);
    for (uint64_t i = 0; i < w->n; i++) {
        uint64_t *p = must(calloc(1, 32));

        p[0] = i;
        escape(p);
        w->sum += p[0];
        free(p);
    }
    worker_end(w);
}

struct node {
    uint64_t     value;
    struct node *a, *b;
    uint64_t     room[2]; /* as much as the header of a counted one */
};

typedef struct node *tree_ref;

static struct node *
node_new(void)
{
    return must(calloc(1, sizeof(struct node)));
}

static struct node *
tree_new(unsigned depth)
{
    struct node *n = node_new();

    n->value = 1;
    if (depth) {
        n->a = tree_new(depth - 1);
        n->b = tree_new(depth - 1);
    }
    return n;
}

static uint64_t
tree_count(const struct node *n)
{
    return n->value + (n->a ? tree_count(n->a) + tree_count(n->b) : 0);
}

static void
tree_drop(struct node *n)
{
    if (n->a) {
        tree_drop(n->a);
        tree_drop(n->b);
    }
    free(n);
}

static struct node *
list_new(uint64_t n)
{
    struct node *head = NULL;

    while (n--) {
        struct node *one = node_new();

        one->a = head;
        head = one;
    }
    return head;
}

static void
list_drop(struct node *n)
{
    while (n) {
        struct node *next = n->a;

        free(n);
        n = next;
    }
}

static void
settle(void)
{
}

static bool
gone(void)
{
    return true;
}

#include "heap.h"

/* ---- Rings: freed by who knows that they are rings -------------------------------------------------------------- */

#include "rings.h"

static struct node **live;
static uint64_t      live_count;

static void
heap_make(uint64_t size, int list)
{
    uint64_t seed = RANDOM_SEED;

    live_count = size;
    live = must(calloc(size, sizeof(struct node *)));
    for (uint64_t i = 0; i < size; i++)
        live[i] = node_new();
    for (uint64_t i = 1; i < size; i++)
        if (list) {
            live[i - 1]->a = live[i];
        } else {
            live[i]->a = live[random_next(&seed) % i];
            live[i]->b = live[random_next(&seed) % i];
        }
}

static uint64_t
ring_drop(uint64_t number, unsigned length, uint64_t random, int variant)
{
    struct node *first = node_new(), *last = first;
    uint64_t     sum;

    first->value = number;
    for (unsigned i = 1; i < length; i++) {
        last->a = node_new();
        last = last->a;
    }
    last->a = first;
    if (variant)
        first->b = live[random % live_count];
    escape(last);
    sum = last->a->value;
    while (first != last) {
        struct node *next = first->a;

        free(first);
        first = next;
    }
    free(last);
    return sum;
}

static void
finish(void)
{
}

/* ---- Pipeline --------------------------------------------------------------------------------------------------- */

#include "ring_queue.h"

#define NOTHING(object) (void)(object)

static void
pipeline(struct worker *w)
{
    PIPELINE_OBJECTS(calloc(1, 32), w);
    PIPELINE_LOOP(w, NOTHING, NOTHING);
}

WORKERS(run_own_one, own_one)
WORKERS(run_own_many, own_many)
WORKERS(run_atomic_own_one, atomic_own_one)
WORKERS(run_atomic_own_many, atomic_own_many)
WORKERS(run_empty_calls, empty_calls)
WORKERS(run_atomic_hot, atomic_hot)
WORKERS(run_atomic_weak, atomic_weak)
WORKERS(run_churn, churn)
WORKERS(run_pipeline, pipeline)

static const struct workload all[] = {
    {"own-one", run_own_one}, {"own-many", run_own_many}, {"atomic-own-one", run_atomic_own_one},
    {"atomic-own-many", run_atomic_own_many}, {"empty-calls", run_empty_calls}, {"atomic-foreign", run_atomic_hot},
    {"atomic-hot", run_atomic_hot}, {"atomic-weak", run_atomic_weak}, {"churn", run_churn},
    {"pipeline", run_pipeline},
    HEAP_WORKLOADS, RINGS_WORKLOADS,
};

PEER_MAIN(all)
