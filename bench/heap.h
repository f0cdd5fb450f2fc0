/* SPDX-License-Identifier: MIT
 *
 * heap.h - what the benchmarks of the collector and of single calls are about: nodes, rings of them, a heap that lives on beside
 */
#ifndef BENCH_HEAP_H
#define BENCH_HEAP_H

#include <malloc.h>

#include "bench.h"

struct node {
    uint64_t  value;
    wane_slot a, b;
};
WANE_TYPE(node, a, b);

static inline struct node *
node_new(void)
{
    return must(wane_new(&node_type));
}

static inline struct wane_stats
stats(void)
{
    struct wane_stats s;

    wane_stats(&s);
    return s;
}

static inline uint64_t
alive(void)
{
    struct wane_stats s = stats();

    return s.objects_born - s.objects_died;
}

/* A ring of n; owned: its first member. In a section. */
static inline struct node *
ring_new(long n)
{
    struct node *first = node_new(), *last = first;

    for (long i = 1; i < n; i++) {
        struct node *next = node_new();

        wane_put_private(&last->a, next);
        last = next;
    }
    wane_set(&last->a, first);
    return first;
}

/* Every object is in a root (of a list: its head is). */
struct heap {
    long          count;
    struct node **live;
    wane_slot    *root;
    uint64_t      seed;
};

static inline struct node *
heap_any(const struct heap *h, uint64_t *state)
{
    return h->live[random_next(state) % (uint64_t)h->count];
}

/* A graph of two random edges each, or one list. */
static inline void
heap_make(struct heap *h, long count, bool list)
{
    struct node **live = must(calloc((size_t)count, sizeof *live));
    wane_slot    *root = must(calloc((size_t)count, sizeof *root));

    *h = (struct heap){count, live, root, 88172645463325252u};
    WANE_SECTION {
        for (long i = 0; i < count; i++)
            live[i] = node_new();
        if (list) {
            for (long i = count - 1; i > 0; i--)
                wane_put_private(&live[i - 1]->a, live[i]);
            wane_put(&root[0], live[0]);
        }
        for (long i = 1; i < count && !list; i++) {
            wane_set_private(&live[i]->a, live[random_next(&h->seed) % (uint64_t)i]);
            wane_set_private(&live[i]->b, live[random_next(&h->seed) % (uint64_t)i]);
        }
        for (long i = 0; i < count && !list; i++)
            wane_put(&root[i], live[i]);
    }
    for (int i = 0; i < 2; i++) /* it grows old */
        (void)wane_collect(WANE_ALL, NULL);
}

static inline void
heap_drop(struct heap *h)
{
    for (long i = 0; i < h->count; i++)
        wane_clear(&h->root[i]);
    (void)wane_barrier();
    (void)wane_collect(WANE_ALL, NULL);
    (void)wane_barrier();
    free(h->live);
    free(h->root);
    malloc_trim(0);
}

#endif
