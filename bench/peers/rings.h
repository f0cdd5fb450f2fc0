/* SPDX-License-Identifier: MIT
 *
 * rings.h - rings of 2 .. 10 dropped beside a live heap; the same loop for every C peer
 *
 * The includer defines: heap_make(size, list), ring_drop(ring number, length, random number; how it hangs together with the heap:
 * 0 not at all, 1 an edge to a random live object, 2 the same and the heap is one list), which returns a checksum, and finish(),
 * which waits until all garbage is gone. Each step is timed: by the wall, or by the CPU time of the thread.
 */
#ifndef RINGS_H
#define RINGS_H

#include "peer.h"

static void     heap_make(uint64_t size, int list);
static uint64_t ring_drop(uint64_t number, unsigned length, uint64_t random, int variant);
static void     finish(void);

static struct histogram ring_steps;

static void
rings_run(uint64_t n, uint64_t size, int variant, clockid_t clock)
{
    uint64_t seed = RANDOM_SEED, last, start;
    long     heap_kb;

    pin(0);
    heap_make(size, variant == 2);
    heap_kb = status_kb("VmRSS");
    peer.cpu_ns = clock_of(CLOCK_THREAD_CPUTIME_ID);
    start = wall_ns();
    last = clock_of(clock);
    for (uint64_t i = 0; i < n; i++) {
        unsigned length = 2 + (unsigned)(i % 9);
        uint64_t now;

        peer.checksum += ring_drop(i, length, random_next(&seed), variant);
        peer.operations += length;
        now = clock_of(clock);
        histogram_add(&ring_steps, now - last);
        last = now;
    }
    peer.cpu_ns = clock_of(CLOCK_THREAD_CPUTIME_ID) - peer.cpu_ns;
    extra(", \"made_ns\": %llu", (unsigned long long)(wall_ns() - start));
    finish();
    peer.ns = wall_ns() - start;
    extra(", \"heap_kb\": %ld, \"process_cpu_ns\": %llu", heap_kb, (unsigned long long)process_cpu_ns());
    histogram_extra("steps", &ring_steps);
}

#define RINGS(name, variant, clock) \
    static void name(int threads, uint64_t n, uint64_t size) { (void)threads; rings_run(n, size, variant, clock); }

RINGS(rings0, 0, CLOCK_MONOTONIC)
RINGS(rings1, 1, CLOCK_MONOTONIC)
RINGS(rings2, 2, CLOCK_MONOTONIC)
RINGS(rings0_cpu, 0, CLOCK_THREAD_CPUTIME_ID)
RINGS(rings1_cpu, 1, CLOCK_THREAD_CPUTIME_ID)

#define RINGS_WORKLOADS \
    {"rings0", rings0}, {"rings1", rings1}, {"rings2", rings2}, {"rings0-cpu", rings0_cpu}, {"rings1-cpu", rings1_cpu}

#endif
