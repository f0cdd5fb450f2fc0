/* SPDX-License-Identifier: MIT
 *
 * test_generations.c - scenarios of generations (GEN) as a user sees them: results, counters, pacing, random heaps
 *
 * The background collects beside these tests, so they say what must have happened by when, not which collection did it: that is
 * race_generations.c.
 */
#include "scene.h"

#include <malloc.h>

/* ---- Results and counters ------------------------------------------------------------------------------------- */

static struct wane_stats
stats_now(void)
{
    struct wane_stats s;

    wane_stats(&s);
    return s;
}

/* Every generation frees fresh rings, and says so in its result and in the counters. */
static void
gen_01_effects_and_counters(void **state)
{
    (void)state;
    for (int g = 0; g <= WANE_ALL; g++) {
        struct wane_stats     before = stats_now(), after;
        struct wane_collected c = {.aborted = 77};
        long                  target = atomic_load(&disposed) + 50;

        for (int i = 0; i < 10; i++)
            wane_release(ring_of(&node_type, 5, NULL));
        assert_int_equal(collect_patiently(g, &c), 0);
        after = stats_now();
        assert_true(wait_count(&disposed, target)); /* the background may have been quicker */
        assert_int_equal(after.died_in_cycles - before.died_in_cycles, 50);
        assert_true(after.collections > before.collections);
        assert_true(after.examined - before.examined >= 50);
        assert_true(after.components - before.components >= 10);
        assert_true(c.freed <= 50 && c.freed <= c.suspects && c.suspects <= c.examined);
        assert_true(c.candidates <= c.examined && c.components <= c.freed);
        assert_true(c.nanoseconds > 0 && c.aborted != 77);
    }
}

static void *
collect_in_section(void *unused)
{
    (void)unused;
    wane_enter();
    for (int g = 0; g <= WANE_ALL; g++)
        EXPECT(wane_collect(g, NULL) == -EDEADLK);
    wane_leave();
    return NULL;
}

/* A generation that there is not is refused before anything else is looked at; sections are refused for each. */
static void
gen_01_what_is_refused(void **state)
{
    struct wane_collected c = {.freed = 77};

    (void)state;
    assert_int_equal(wane_collect(-1, &c), -EINVAL);
    assert_int_equal(wane_collect(WANE_ALL + 1, &c), -EINVAL);
    assert_int_equal(c.freed, 77);
    WANE_SECTION {
        assert_int_equal(wane_collect(WANE_ALL + 1, NULL), -EINVAL);
    }
    join(spawn(collect_in_section, NULL));
}

/* ---- Old and young -------------------------------------------------------------------------------------------- */

static void
touch(struct node *n)
{
    WANE_SECTION {
        wane_release(wane_retain(n));
    }
}

static void
survive_two(struct node *n)
{
    for (int g = 0; g < WANE_ALL; g++) {
        touch(n);
        assert_int_equal(collect_patiently(g, NULL), 0);
    }
}

/* A ring that has survived two collections is freed by the oldest, at the latest. */
static void
gen_02_old_ring_goes_with_the_oldest(void **state)
{
    struct node *r = ring_of(&node_type, 7, NULL);

    (void)state;
    survive_two(r);
    assert_int_equal(atomic_load(&disposed), 0);
    wane_release(r);
    expect_disposed(7);
}

/* An old dead ring that a young dead ring holds: one young and one old collection free both. */
static void
gen_04_old_ring_behind_a_young_one(void **state)
{
    struct node *o = ring_of(&node_type, 4, NULL);
    struct node *y = ring_of(&node_type, 3, NULL);

    (void)state;
    survive_two(o);
    wane_put(&y->b, o);
    wane_release(y);
    assert_int_equal(collect_patiently(0, NULL), 0);
    assert_true(wait_count(&disposed, 3));
    assert_int_equal(collect_patiently(WANE_ALL, NULL), 0);
    assert_true(wait_count(&disposed, 7));
}

/* ---- Dead candidates ------------------------------------------------------------------------------------------ */

static bool
wait_memory(size_t most)
{
    uint64_t end = now_ms() + WATCHDOG_MS;

    while (mallinfo2().uordblks > most) {
        if (now_ms() > end)
            return false;
        nap();
    }
    return true;
}

/* Old candidates die by their counts, and nobody calls the runtime any more: the memory comes back by itself. */
static void
gen_10_dead_candidates_give_memory_back(void **state)
{
    enum { N = 20000, SLOTS = 100 };
    static struct wide *held[N];
    size_t              before;

    (void)state;
#ifdef RIG_SLOW
    skip(); /* the sanitizers' allocators do not tell */
#endif
    before = mallinfo2().uordblks;
    for (int i = 0; i < N; i++)
        held[i] = wide_new(SLOTS);
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < N; i++)
            touch(&held[i]->n);
        assert_int_equal(collect_patiently(round % WANE_ALL, NULL), 0);
    }
    for (int i = 0; i < N; i++)
        wane_release(held[i]);
    assert_true(wait_count(&disposed, N));
    assert_true(wait_memory(before + (size_t)N * SLOTS * sizeof(wane_slot) / 2));
}

/* ---- Random heaps --------------------------------------------------------------------------------------------- */

#define MOST 60

static struct heap {
    uint64_t     seed;
    unsigned     n;
    struct node *object[MOST];
    unsigned     edge[MOST][3]; /* MOST: none. The mirror */
    bool         held[MOST];
} heap;

static unsigned
pick(unsigned n)
{
    return (unsigned)(random_next(&heap.seed) >> 16) % n;
}

static wane_slot *
slot_at(unsigned i, unsigned k)
{
    wane_slot *slots[] = {&heap.object[i]->a, &heap.object[i]->b, &heap.object[i]->c};

    return slots[k];
}

static void
heap_add(void)
{
    unsigned i = heap.n++;

    heap.object[i] = node_new();
    heap.held[i] = true;
    for (int k = 0; k < 3; k++)
        heap.edge[i][k] = MOST;
}

/* One of the ways to store: set, put of a unit made for it, or clear. */
static void
heap_store(unsigned from, unsigned k, unsigned to)
{
    heap.edge[from][k] = to;
    if (to == MOST)
        wane_clear(slot_at(from, k));
    else if (pick(2))
        wane_set(slot_at(from, k), heap.object[to]);
    else
        wane_put(slot_at(from, k), wane_retain(heap.object[to]));
}

/* Objects are made, stored and touched, and collections of all generations come in between: ages mix. */
static void
heap_make(uint64_t seed)
{
    unsigned size;

    heap.seed = seed * UINT64_C(0x9e3779b97f4a7c15) + 1;
    heap.n = 0;
    size = 1 + pick(MOST);
    for (unsigned steps = 0; steps < 6 * size || heap.n < size; steps++) {
        if (heap.n < size && (!heap.n || pick(3) == 0))
            heap_add();
        heap_store(pick(heap.n), pick(3), pick(5) ? pick(heap.n) : MOST);
        touch(heap.object[pick(heap.n)]);
        if (pick(16) == 0)
            assert_int_equal(collect_patiently((int)pick(WANE_ALL + 1), NULL), 0);
    }
    assert_int_equal(atomic_load(&disposed), 0);
}

/* The units of the test go in random order, with young collections between; every keep-th stays. Each one dropped is watched. */
static void
heap_drop(unsigned keep)
{
    for (unsigned i = 0; i < heap.n; i++) {
        unsigned at = pick(heap.n);

        while (!heap.held[at])
            at = (at + 1) % heap.n;
        heap.held[at] = false;
        if (pick(32) == 0)
            assert_int_equal(collect_patiently((int)pick(WANE_ALL), NULL), 0);
    }
    for (unsigned i = 0; i < heap.n; i++)
        heap.held[i] = keep && pick(keep) == 0;
    for (unsigned i = 0; i < heap.n; i++) {
        if (!heap.held[i])
            wane_release(heap.object[i]);
        if (pick(32) == 0)
            assert_int_equal(collect_patiently((int)pick(WANE_ALL), NULL), 0);
    }
}

static unsigned
heap_reachable(bool seen[MOST])
{
    unsigned queue[MOST], count = 0;

    for (unsigned i = 0; i < heap.n; i++)
        if ((seen[i] = heap.held[i]))
            queue[count++] = i;
    for (unsigned at = 0; at < count; at++)
        for (int k = 0; k < 3; k++) {
            unsigned to = heap.edge[queue[at]][k];

            if (to != MOST && !seen[to]) {
                seen[to] = true;
                queue[count++] = to;
            }
        }
    return count;
}

/* At most two collections of everything; then exactly the reachable objects are left, with the edges that they had. */
static void
heap_check(uint64_t seed)
{
    bool     seen[MOST];
    unsigned live = heap_reachable(seen);

    for (int i = 0; i < 2 && atomic_load(&disposed) != heap.n - live; i++)
        (void)collect_now();
    if (atomic_load(&disposed) != heap.n - live)
        fprintf(stderr, "seed %llu: %u objects, %u reachable, %ld disposed\n", (unsigned long long)seed, heap.n, live,
                atomic_load(&disposed));
    assert_int_equal(atomic_load(&disposed), heap.n - live);
    WANE_SECTION {
        for (unsigned i = 0; i < heap.n; i++) {
            if (!seen[i])
                continue;
            node_check(heap.object[i]);
            for (unsigned k = 0; k < 3; k++)
                assert_ptr_equal(wane_peek(slot_at(i, k)),
                                 heap.edge[i][k] == MOST ? NULL : heap.object[heap.edge[i][k]]);
        }
    }
}

static void
heap_run(uint64_t seed, unsigned keep)
{
    atomic_store(&disposed, 0);
    heap_make(seed);
    heap_drop(keep);
    heap_check(seed);
    for (unsigned i = 0; i < heap.n; i++)
        if (heap.held[i]) {
            heap.held[i] = false;
            wane_release(heap.object[i]);
        }
    heap_check(seed);
}

/* All roots of a heap of mixed ages go: two collections of everything free all of it. */
static void
gen_12_random_heaps_go(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= SCALED(200); seed++)
        heap_run(seed, 0);
}

/* Some roots stay: exactly what they reach stays, with its edges; then all goes. */
static void
gen_13_random_heaps_keep_what_is_reachable(void **state)
{
    (void)state;
    for (uint64_t seed = 1001; seed <= 1000 + SCALED(200); seed++)
        heap_run(seed, 2 + (unsigned)seed % 12);
}

/* ---- Thresholds ----------------------------------------------------------------------------------------------- */

static void
gen_14_thresholds_are_kept(void **state)
{
    (void)state;
    assert_int_equal(wane_set_threshold(-1, 1), -EINVAL);
    assert_int_equal(wane_set_threshold(WANE_ALL, 1), -EINVAL);
    assert_int_equal(wane_threshold(-1), 0);
    assert_int_equal(wane_threshold(WANE_ALL), 0);
    for (int g = 0; g < WANE_ALL; g++) {
        size_t old = wane_threshold(g);

        assert_true(old > 0);
        assert_int_equal(wane_set_threshold(g, 12345), 0);
        assert_int_equal(wane_threshold(g), 12345);
        assert_int_equal(wane_threshold(1 - g) == 12345, false);
        assert_int_equal(wane_set_threshold(g, old), 0);
        assert_int_equal(wane_threshold(g), old);
    }
}

/* How long do ten rings take to be freed by the background alone? The least of some tries. */
static uint64_t
quickest_ms(int tries)
{
    uint64_t least = UINT64_MAX;

    for (int i = 0; i < tries; i++) {
        long     target = atomic_load(&disposed) + 30;
        uint64_t begun = now_ms();

        for (int k = 0; k < 10; k++)
            wane_release(ring_of(&node_type, 3, NULL));
        assert_true(wait_count(&disposed, target));
        if (now_ms() - begun < least)
            least = now_ms() - begun;
    }
    return least;
}

/* Few candidates wait for about half a second; with a threshold of one they do not. */
static void
gen_14_low_threshold_collects_at_once(void **state)
{
    size_t   old = wane_threshold(0);
    uint64_t low;

    (void)state;
    assert_int_equal(wane_set_threshold(0, 1), 0);
    low = quickest_ms(10);
    assert_int_equal(wane_set_threshold(0, old), 0);
    assert_true(low < 250);
}

SCENE_MAIN(SCENE(gen_01_effects_and_counters), SCENE(gen_01_what_is_refused),
           SCENE(gen_02_old_ring_goes_with_the_oldest), SCENE(gen_04_old_ring_behind_a_young_one),
           SCENE(gen_10_dead_candidates_give_memory_back),
           SCENE(gen_12_random_heaps_go), SCENE(gen_13_random_heaps_keep_what_is_reachable),
           SCENE(gen_14_thresholds_are_kept), SCENE(gen_14_low_threshold_collects_at_once))
