/* SPDX-License-Identifier: MIT
 *
 * race_batches.c - collections of more candidates than one batch has (collect.c), with no background: only the test collects
 */
#include "race_common.h"

#include <stdlib.h>

#include "collect.h"

#ifdef RACE_SLOW
#define GENERATIONS 1
#else
#define GENERATIONS WN_AGES
#endif

#define BATCH 8192 /* collect.c */

static int dead; /* disposes in this test */

static int
setup(void **state)
{
    (void)state;
    dead = 0;
    schedule_begin();
    return 0;
}

static int
teardown(void **state)
{
    (void)state;
    off_steps();
    return wane_shutdown();
}

static size_t
freed_by(int generation)
{
    struct wane_collected c;

    assert_int_equal(wane_collect(generation, &c), 0);
    return c.freed;
}

/* A ring of two. */
static struct node *
pair(void)
{
    struct node *first = node_new(&dead), *second = node_new(&dead);

    wane_set(&first->s[0], second);
    wane_set(&second->s[0], first);
    wane_release(second);
    return first;
}

/* Garbage that no batch of candidates holds up by itself: each ring hangs on the one before, or on the next one. */
static void
gen_04_rings_in_a_chain_longer_than_a_batch(void **state)
{
    enum { RINGS = 2 * BATCH };

    (void)state;
    for (int i = 0; i < 2 * GENERATIONS; i++) {
        struct node *before = pair();

        for (int k = 1; k < RINGS; k++) {
            struct node *next = pair();

            if (i % 2)
                wane_set(&before->s[1], next);
            else
                wane_set(&next->s[1], before);
            wane_release(before);
            before = next;
        }
        wane_release(before);
        assert_int_equal(freed_by(i / 2), 2 * RINGS);
    }
}

/* A full collection frees the young in batches that take the old for live: beside an old heap, too, to which all of them lead,
 * it does not look at all of that for each. */
static void
gen_11_young_batches_beside_an_old_heap(void **state)
{
    enum { LIVE = 40000, RINGS = 3 * BATCH };
    struct node         **live = malloc(LIVE * sizeof *live);
    struct wane_collected c;

    (void)state;
    for (int i = 0; i < LIVE; i++) {
        live[i] = node_new(&dead);
        if (i)
            wane_set(&live[i]->s[0], live[i - 1]);
    }
    wane_retain(live[LIVE - 1]);
    wane_release(live[LIVE - 1]);
    for (int i = 0; i < 3; i++)
        (void)freed_by(WANE_ALL);
    for (int i = 0; i < RINGS; i++) {
        struct node *first = pair();

        wane_set(&first->s[1], live[i]);
        wane_release(first);
    }
    assert_int_equal(wane_collect(WANE_ALL, &c), 0);
    assert_int_equal(c.freed, 2 * RINGS);
    assert_in_range(c.examined, 2 * RINGS, 2 * RINGS + LIVE + LIVE / 2); /* once */
    for (int i = 0; i < LIVE; i++)
        wane_release(live[i]);
    free(live);
    assert_int_equal(wane_barrier(), 0);
    assert_int_equal(ended(&dead), LIVE + 2 * RINGS);
}

int
main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(gen_04_rings_in_a_chain_longer_than_a_batch),
        TEST(gen_11_young_batches_beside_an_old_heap),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
