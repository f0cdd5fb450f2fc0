/* SPDX-License-Identifier: MIT
 *
 * heap.h - trees made and dropped, and large structures dropped at once; the same loops for every C and C++ peer
 *
 * The includer defines: tree_ref (a type that holds a reference), tree_new(depth), tree_count, tree_drop, list_new(n), list_drop,
 * gone() (is what was dropped free again?), and settle() (returns when it is).
 */
#ifndef HEAP_H
#define HEAP_H

#include "peer.h"

#include <stdbool.h>

/* Is no more than one part in a hundred of `operations` objects in memory? */
static bool gone(void);
static void settle(void);

/* n trees, one after the other, beside one that stays. */
static void
trees(int threads, uint64_t n, uint64_t size)
{
    tree_ref stays, tree;
    uint64_t start;

    (void)threads;
    pin(0);
    start = wall_ns();
    peer.cpu_ns = process_cpu_ns();
    stays = tree_new((unsigned)size);
    for (uint64_t i = 0; i < n; i++) {
        tree = tree_new((unsigned)size);
        peer.checksum += tree_count(tree);
        tree_drop(tree);
    }
    peer.checksum += tree_count(stays);
    tree_drop(stays);
    settle();
    peer.cpu_ns = process_cpu_ns() - peer.cpu_ns;
    peer.ns = wall_ns() - start;
    peer.operations = peer.checksum;
}

/*
 * The last reference is given up at `start`. The call returns after call_ns. Memory is back, but for 1 %, after back_ns, unasked:
 * this thread only sleeps and looks.
 */
static void
watch_drop(uint64_t start, uint64_t cpu)
{
    uint64_t called = wall_ns() - start;

    while (!gone() && wall_ns() - start < UINT64_C(60000000000))
        usleep(1000);
    peer.ns = wall_ns() - start;
    peer.cpu_ns = process_cpu_ns() - cpu;
    extra(", \"call_ns\": %llu, \"back_ns\": %llu", (unsigned long long)called, (unsigned long long)peer.ns);
    settle();
}

static void
drop_list(int threads, uint64_t n, uint64_t size)
{
    tree_ref list = list_new(n);
    uint64_t start, cpu;

    (void)threads, (void)size;
    peer.operations = peer.checksum = n;
    cpu = process_cpu_ns();
    start = wall_ns();
    list_drop(list);
    watch_drop(start, cpu);
}

static void
drop_tree(int threads, uint64_t n, uint64_t size)
{
    tree_ref tree = tree_new((unsigned)size);
    uint64_t start, cpu;

    (void)threads, (void)n;
    peer.operations = peer.checksum = tree_count(tree);
    cpu = process_cpu_ns();
    start = wall_ns();
    tree_drop(tree);
    watch_drop(start, cpu);
}

#define HEAP_WORKLOADS {"trees", trees}, {"drop-list", drop_list}, {"drop-tree", drop_tree}

#endif
