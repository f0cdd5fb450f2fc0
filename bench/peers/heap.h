/* SPDX-License-Identifier: MIT
 *
 * heap.h - trees made and dropped, and large structures dropped at once; the same loops for every C and C++ peer
 *
 * The includer defines: tree_ref (a type that holds a reference), tree_new(depth), tree_count, tree_drop, list_new(n), list_drop,
 * settle() (returns when everything dropped is free again), and held() (bytes that the allocator has handed out).
 */
#ifndef HEAP_H
#define HEAP_H

#include "peer.h"

#include <malloc.h>

static void settle(void);

static inline uint64_t
handed_out(void)
{
    struct mallinfo2 m = mallinfo2();

    return m.uordblks + m.hblkhd;
}

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
 * The last reference is given up at `start`. The call returns after call_ns. Memory is back (but for 1 %) after back_ns, unasked:
 * this thread only sleeps and looks at what the allocator has handed out.
 */
static void
watch_drop(uint64_t start, uint64_t cpu, uint64_t empty, uint64_t full)
{
    uint64_t called = wall_ns() - start, back;

    while (handed_out() > empty + (full - empty) / 100 && wall_ns() - start < UINT64_C(60000000000))
        usleep(1000);
    back = wall_ns() - start;
    extra(", \"call_ns\": %llu, \"back_ns\": %llu", (unsigned long long)called, (unsigned long long)back);
    settle();
    peer.ns = back;
    peer.cpu_ns = process_cpu_ns() - cpu;
}

static void
drop_list(int threads, uint64_t n, uint64_t size)
{
    uint64_t empty = handed_out(), full, start, cpu;
    tree_ref list = list_new(n);

    (void)threads, (void)size;
    full = handed_out();
    peer.operations = peer.checksum = n;
    cpu = process_cpu_ns();
    start = wall_ns();
    list_drop(list);
    watch_drop(start, cpu, empty, full);
}

static void
drop_tree(int threads, uint64_t n, uint64_t size)
{
    uint64_t empty = handed_out(), full, start, cpu;
    tree_ref tree = tree_new((unsigned)size);

    (void)threads, (void)n;
    full = handed_out();
    peer.operations = peer.checksum = tree_count(tree);
    cpu = process_cpu_ns();
    start = wall_ns();
    tree_drop(tree);
    watch_drop(start, cpu, empty, full);
}

#define HEAP_WORKLOADS {"trees", trees}, {"drop-list", drop_list}, {"drop-tree", drop_tree}

#endif
