/* SPDX-License-Identifier: MIT
 *
 * boehm.c - the Boehm-Demers-Weiser collector: new objects, trees, rings
 */
#define _GNU_SOURCE
#define GC_THREADS /* threads are made by the collector's own calls */
#include <gc.h>

#include "peer.h"

struct node {
    uint64_t     value;
    struct node *a, *b;
};

typedef struct node *tree_ref;

static struct node *
node_new(void)
{
    return must(GC_malloc(sizeof(struct node)));
}

static void
churn(struct worker *w)
{
    worker_begin(w);
    for (uint64_t i = 0; i < w->n; i++) {
        uint64_t *p = must(GC_malloc_atomic(32));

        p[0] = i;
        escape(p);
        w->sum += p[0];
    }
    if (w->id == 0)
        GC_gcollect();
    worker_end(w);
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
trees(int threads, uint64_t n, uint64_t size)
{
    struct node *stays;
    uint64_t     start = wall_ns(), cpu = process_cpu_ns();

    (void)threads;
    pin(0);
    stays = tree_new((unsigned)size);
    for (uint64_t i = 0; i < n; i++)
        peer.checksum += tree_count(tree_new((unsigned)size));
    peer.checksum += tree_count(stays);
    stays = NULL;
    GC_gcollect();
    peer.cpu_ns = process_cpu_ns() - cpu;
    peer.ns = wall_ns() - start;
    peer.operations = peer.checksum;
}

#include "rings.h"

static struct node **live;
static uint64_t      live_count;

static void
heap_make(uint64_t size, int list)
{
    uint64_t seed = RANDOM_SEED;

    live_count = size;
    live = must(GC_malloc((size + 1) * sizeof(struct node *)));
    for (uint64_t i = 0; i < size; i++)
        live[i] = node_new();
    for (uint64_t i = 1; i < size; i++)
        if (list) {
            live[i - 1]->a = live[i];
        } else {
            live[i]->a = live[random_next(&seed) % i];
            live[i]->b = live[random_next(&seed) % i];
        }
    GC_gcollect();
}

static uint64_t
ring_drop(uint64_t number, unsigned length, uint64_t random, int variant)
{
    struct node *first = node_new(), *last = first;

    first->value = number;
    for (unsigned i = 1; i < length; i++) {
        last->a = node_new();
        last = last->a;
    }
    last->a = first;
    if (variant)
        first->b = live[random % live_count];
    return last->a->value;
}

static void
finish(void)
{
    GC_gcollect();
}

WORKERS(run_churn, churn)

static const struct workload all[] = {{"churn", run_churn}, {"trees", trees}, RINGS_WORKLOADS};

int
main(int argc, char **argv)
{
    GC_INIT();
    GC_allow_register_threads();
    if (getenv("BOEHM_INCREMENTAL"))
        GC_enable_incremental();
    return peer_main(argc, argv, all, sizeof all / sizeof all[0]);
}
