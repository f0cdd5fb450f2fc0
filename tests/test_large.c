/* SPDX-License-Identifier: MIT
 *
 * test_large.c - scenarios of large graphs (CYC, FIN-14): linear cost, no recursion
 *
 * Cost is judged by the collector's own counter of examined objects, never by time.
 */
#include "scene.h"

/* n pairs, each holding the next; every one is a candidate. Returns what was examined to free them. */
static uint64_t
chain_of_cycles(long n, bool head_first)
{
    struct node **head = calloc((size_t)n, sizeof *head);
    long          target = atomic_load(&disposed) + 2 * n;
    uint64_t      before;

    wane_enter(); /* a collection that comes in between has to wait for this section */
    before = stat_examined();
    for (long i = 0; i < n; i++) {
        head[i] = ring_of(&node_type, 2, NULL);
        if (i)
            wane_set(&head[i - 1]->b, head[i]);
    }
    for (long i = 0; i < n; i++)
        wane_release(head[head_first ? i : n - 1 - i]);
    wane_leave();
    free(head);
    expect_disposed(target);
    return stat_examined() - before;
}

/* The background may collect in between, and give up: the least of some runs counts. */
static uint64_t
least_for_chain(long n, bool head_first)
{
    uint64_t least = UINT64_MAX;

    for (int i = 0; i < 3; i++) {
        uint64_t examined = chain_of_cycles(n, head_first);

        least = examined < least ? examined : least;
    }
    return least;
}

/* A chain of cycles, dropped from either end: the work is linear in the objects. */
static void
cyc_15_chain_of_cycles_is_linear(void **state)
{
    (void)state;
    for (int head_first = 0; head_first < 2; head_first++) {
        uint64_t small = least_for_chain(SCALED(20000), head_first);
        uint64_t large = least_for_chain(SCALED(40000), head_first);

        for (int i = 0; i < 5 && large > small / 10 * 26 + 4096; i++) { /* a busy machine: less luck than with the small ones */
            uint64_t again = least_for_chain(SCALED(40000), head_first);

            large = again < large ? again : large;
        }
        assert_true(small <= 8u * SCALED(20000) + 4096);
        assert_true(large <= 8u * SCALED(40000) + 4096);
        assert_true(large <= small / 10 * 26 + 4096);
    }
}

#define SPOKES SCALED(200000)

/* A hub and its many spokes hold each other. With one spoke still held nothing goes, then everything; the work
 * is linear. */
static void
cyc_16_hub_and_spokes(void **state)
{
    struct wide *hub = wide_new(SPOKES);
    struct node *held = NULL;
    uint64_t     before = stat_examined();

    (void)state;
    WANE_SECTION
        for (size_t i = 0; i < SPOKES; i++) {
            struct node *spoke = node_new();

            wane_set(&spoke->a, hub);
            wane_set(&hub->slot[i], spoke);
            if (i == SPOKES / 2)
                held = spoke;
            else
                wane_release(spoke);
        }
    wane_release(hub);
    expect_disposed(0);
    node_check(held);
    wane_release(held);
    expect_disposed(SPOKES + 1);
    assert_true(stat_examined() - before <= 16u * SPOKES);
}

#define LONG SCALED(1000000)

static void *
collect_long_ring(void *unused)
{
    (void)unused;
    wane_release(ring_of(&node_type, LONG, NULL));
    EXPECT(wane_barrier() == 0);
    EXPECT(collect_patiently(WANE_ALL, NULL) == 0);
    return NULL;
}

/* A ring of a million nodes is traced and freed on a small stack. */
static void
cyc_17_long_ring_small_stack(void **state)
{
    (void)state;
    run_on_small_stack(collect_long_ring, NULL);
    expect_disposed(LONG);
}

/* A dead pair with a million nodes hanging from it: all go, the tail needs no candidates of its own. */
static void
cyc_18_tail_on_a_cycle(void **state)
{
    struct node *tail = NULL;
    struct node *pair;

    (void)state;
    for (long i = 0; i < LONG; i++) {
        struct node *n = node_new();

        wane_put_private(&n->a, tail);
        tail = n;
    }
    pair = ring_of(&node_type, 2, NULL);
    wane_put(&pair->b, tail);
    wane_release(pair);
    collect_now();
    assert_true(pump_count(&disposed, LONG + 2));
    assert_int_equal(atomic_load(&disposed), LONG + 2);
}

/* What is examined on account of candidates that died by their counts. */
static uint64_t
examined_for_the_dead(long n)
{
    static struct node *o[3000];
    long                target = atomic_load(&disposed) + n;
    uint64_t            before = stat_examined();

    wane_enter();
    for (long i = 0; i < n; i++) {
        o[i] = node_new();
        wane_release(wane_retain(o[i]));
    }
    for (long i = 0; i < n; i++)
        wane_release(o[i]);
    wane_leave();
    assert_true(wait_count(&disposed, target));
    collect_now();
    return stat_examined() - before;
}

/* Thousands of candidates die by their counts before the collection: they are not traced. (The background may have
 * come in between; it does not come every time.) */
static void
cyc_28_dead_candidates_cost_nothing(void **state)
{
    uint64_t least = UINT64_MAX;

    (void)state;
    for (int i = 0; i < 10 && least > 100; i++) {
        uint64_t examined = examined_for_the_dead(3000);

        least = examined < least ? examined : least;
    }
    assert_true(least <= 100);
}

#define CHAIN SCALED(10000)

/* A chain of ten thousand objects with finalizers is dropped: it needs no collection at all. */
static void
fin_14_chain_of_finalizers(void **state)
{
    struct node *head = NULL;

    (void)state;
    for (long i = 0; i < CHAIN; i++) {
        struct node *n = final_new(NULL);

        wane_put_private(&n->a, head);
        head = n;
    }
    wane_release(head);
    assert_true(wait_count(&disposed, CHAIN));
    assert_int_equal(atomic_load(&finalized), CHAIN);
}

SCENE_MAIN(SCENE(cyc_15_chain_of_cycles_is_linear), SCENE(cyc_16_hub_and_spokes),
           SCENE(cyc_17_long_ring_small_stack), SCENE(cyc_18_tail_on_a_cycle),
           SCENE(cyc_28_dead_candidates_cost_nothing), SCENE(fin_14_chain_of_finalizers))
