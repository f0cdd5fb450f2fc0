/* SPDX-License-Identifier: MIT
 *
 * wane_heap.c - the library's trees, large drops and rings; what its collector takes beside a heap without garbage
 */
#include "peer.h"

#include <wane/collector.h>
#include <wane/memory.h>

struct node {
    uint64_t  value;
    wane_slot a, b;
};
WANE_TYPE(node, a, b);

typedef struct node *tree_ref;

static struct node *
node_new(void)
{
    return must(wane_new(&node_type));
}

/* In a section. */
static struct node *
subtree_new(unsigned depth)
{
    struct node *n = node_new();

    n->value = 1;
    if (depth) {
        wane_put_private(&n->a, subtree_new(depth - 1));
        wane_put_private(&n->b, subtree_new(depth - 1));
    }
    return n;
}

static struct node *
tree_new(unsigned depth)
{
    struct node *n;

    wane_enter();
    n = subtree_new(depth);
    wane_leave();
    return n;
}

static uint64_t
subtree_count(const struct node *n)
{
    const struct node *a = wane_peek(&n->a);

    return n->value + (a ? subtree_count(a) + subtree_count(wane_peek(&n->b)) : 0);
}

static uint64_t
tree_count(const struct node *n)
{
    uint64_t count;

    wane_enter();
    count = subtree_count(n);
    wane_leave();
    return count;
}

static void
tree_drop(struct node *n)
{
    wane_enter();
    wane_release(n);
    wane_leave();
}

static struct node *
list_new(uint64_t n)
{
    struct node *head = NULL;

    wane_enter();
    while (n--) {
        struct node *one = node_new();

        if (head)
            wane_put_private(&one->a, head);
        head = one;
    }
    wane_leave();
    return head;
}

static void
list_drop(struct node *n)
{
    wane_release(n);
}

static uint64_t
alive(void)
{
    struct wane_stats s;

    wane_stats(&s);
    return s.objects_born - s.objects_died;
}

/* Objects that wait for a grace period are not free. */
static bool
gone(void)
{
    return wane_budget_used() <= peer.operations * (sizeof(struct wane_header) + sizeof(struct node)) / 100;
}

/* Deaths that were begun are finished by the background, and in time even without it. */
static void
settle(void)
{
    while (alive() > 0 && wane_barrier() == 0)
        sched_yield();
}

#include "heap.h"
#include "rings.h"

/* ---- Rings ------------------------------------------------------------------------------------------------------ */

static struct node **live;
static uint64_t      live_count;
static bool          young_first; /* else everything is collected, as the peers do it */
static struct wane_stats before;

static void
heap_of_young(uint64_t size, int list)
{
    uint64_t seed = RANDOM_SEED;

    live_count = size;
    live = must(calloc(size ? size : 1, sizeof(struct node *)));
    wane_enter();
    for (uint64_t i = 0; i < size; i++)
        live[i] = node_new();
    for (uint64_t i = 1; i < size; i++)
        if (list) {
            wane_set_private(&live[i - 1]->a, live[i]);
        } else {
            wane_set_private(&live[i]->a, live[random_next(&seed) % i]);
            wane_set_private(&live[i]->b, live[random_next(&seed) % i]);
        }
    wane_leave();
    wane_stats(&before);
}

/* It grows old: what is touched is looked at. */
static void
heap_make(uint64_t size, int list)
{
    heap_of_young(size, list);
    for (int age = 0; age < WANE_ALL; age++) {
        for (uint64_t i = 0; i < size; i++) {
            wane_enter();
            wane_retain(live[i]);
            wane_release(live[i]);
            wane_leave();
        }
        (void)wane_collect(WANE_ALL, NULL);
    }
    wane_stats(&before);
}

static uint64_t
ring_drop(uint64_t number, unsigned length, uint64_t random, int variant)
{
    struct node *first, *last;
    uint64_t     sum;

    wane_enter();
    first = last = node_new();
    first->value = number;
    for (unsigned i = 1; i < length; i++) {
        struct node *next = node_new();

        wane_put_private(&last->a, next);
        last = next;
    }
    wane_set(&last->a, first);
    if (variant)
        wane_set(&first->b, live[random % live_count]);
    sum = ((const struct node *)wane_peek(&last->a))->value;
    wane_release(first);
    wane_leave();
    return sum;
}

static void
finish(void)
{
    struct wane_stats s;

    for (int generation = young_first ? WANE_ALL - 1 : WANE_ALL; alive() > live_count; generation = WANE_ALL)
        if (wane_collect(generation, NULL) != 0 || wane_barrier() != 0)
            sched_yield();
    wane_stats(&s);
    extra(", \"visited\": %llu, \"freed\": %llu", (unsigned long long)(s.examined - before.examined),
          (unsigned long long)(s.died_in_cycles - before.died_in_cycles));
}

/* One collection of a ring of n on this thread: CPU time, and memory above what the ring takes. */
static void
growth(int threads, uint64_t n, uint64_t size)
{
    struct wane_collected c;
    struct node          *first, *last;
    long                  full;
    FILE                 *f;

    (void)threads, (void)size;
    (void)wane_set_automatic(false);
    wane_enter();
    first = last = node_new();
    for (uint64_t i = 1; i < n; i++) {
        struct node *next = node_new();

        wane_put_private(&last->a, next);
        last = next;
    }
    wane_set(&last->a, first);
    wane_release(first);
    wane_leave();
    (void)wane_barrier();
    full = status_kb("VmRSS");
    if ((f = fopen("/proc/self/clear_refs", "w"))) { /* VmHWM begins anew */
        fputs("5", f);
        fclose(f);
    }
    peer.ns = wall_ns();
    peer.cpu_ns = clock_of(CLOCK_THREAD_CPUTIME_ID);
    if (wane_collect(WANE_ALL, &c) != 0)
        abort();
    peer.cpu_ns = clock_of(CLOCK_THREAD_CPUTIME_ID) - peer.cpu_ns;
    peer.ns = wall_ns() - peer.ns;
    peer.operations = peer.checksum = c.freed;
    extra(", \"explored_bytes\": %.1f", (double)(status_kb("VmHWM") - full) * 1024 / (double)n);
}

/* ---- A quiet heap ----------------------------------------------------------------------------------------------- */

#define RATE 1000000 /* operations a second, each a retain and release, or a store over another */

/* n milliseconds of churn without garbage beside `size` live objects: CPU time that is not the mutator's. */
static void
quiet(int threads, uint64_t n, uint64_t size)
{
    uint64_t seed = RANDOM_SEED, start, cpu, passed = 0, done = 0;

    (void)threads;
    heap_of_young(size, 0);
    start = wall_ns();
    cpu = process_cpu_ns();
    peer.cpu_ns = clock_of(CLOCK_THREAD_CPUTIME_ID);
    while ((passed = wall_ns() - start) < n * 1000000) {
        while (done < passed * (RATE / 1000000) / 1000) {
            wane_enter();
            for (int i = 0; i < OBJECTS; i++, done++) {
                struct node *one = live[random_next(&seed) % size], *other = live[random_next(&seed) % size];

                if (done % 2)
                    wane_release(wane_retain(one));
                else
                    wane_set(&one->a, other);
            }
            wane_leave();
        }
        usleep(100);
    }
    peer.cpu_ns = clock_of(CLOCK_THREAD_CPUTIME_ID) - peer.cpu_ns;
    peer.ns = wall_ns() - start;
    extra(", \"background_share\": %.5f", (double)(process_cpu_ns() - cpu - peer.cpu_ns) / (double)peer.ns);
    peer.operations = done;
    peer.checksum = alive();
}

/* Garbage is mostly young: who wants it back asks for that first, and for the rest if there is any. */
#define YOUNG_FIRST(name)                                            \
    static void young_##name(int threads, uint64_t n, uint64_t size) \
    {                                                                \
        young_first = true;                                          \
        name(threads, n, size);                                      \
    }

YOUNG_FIRST(rings0)
YOUNG_FIRST(rings1)
YOUNG_FIRST(rings2)

static const struct workload all[] = {HEAP_WORKLOADS,
                                      RINGS_WORKLOADS,
                                      {"young-rings0", young_rings0},
                                      {"young-rings1", young_rings1},
                                      {"young-rings2", young_rings2},
                                      {"growth", growth},
                                      {"quiet", quiet}};

PEER_MAIN(all)
