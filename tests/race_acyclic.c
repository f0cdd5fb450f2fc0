/* SPDX-License-Identifier: MIT
 *
 * race_acyclic.c - objects of acyclic types in the collector's hands: met by the scan, they are members like any other
 *
 * A ring a <-> b holds m, which is acyclic and holds x, which is so, too. Neither is ever a candidate, so whatever becomes of
 * them beside a collection must come of counts alone: there is no next one that would look for them.
 */
#include "race_collect.h"

static struct wane_type acyclic_type = {"acyclic", sizeof(struct node), node_slots, 3, 0, node_dispose, 0, WANE_ACYCLIC, {0}};
static struct node     *m, *x;
static unsigned         freed_meanwhile;

#define SCAN_BEGINS 3 /* of the steps; before that one the collector looks at candidates only */

static struct node *
make_acyclic(void)
{
    return node_of(&acyclic_type, &w->ended);
}

/* M1 owns a. */
DEED(make_ring_with_m)
{
    w->ended = 0;
    wane_enter();
    w->a = make();
    w->b = make();
    m = make_acyclic();
    x = make_acyclic();
    wane_put(&m->s[0], x);
    wane_put(&w->a->s[1], m);
    wane_set(&w->b->s[0], w->a);
    wane_put(&w->a->s[0], w->b);
    note(w->a);
    wane_leave();
}

static void
expect_ended(int number)
{
    assert_int_equal(wane_barrier(), 0);
    assert_int_equal(ended(&w->ended), number);
}

/* ---- They die in the side table ------------------------------------------------------------------------------------- */

DEED(drop_m)
{
    wane_clear_private(&w->a->s[1]);
    freed_meanwhile = steps_seen("death:free");
}

/* By their counts, at any of the collector's steps: it touches no freed memory, ends none twice, and takes the ring for alive. */
static void
acyclic_ones_die_in_the_side_table(void **state)
{
    (void)state;
    for (size_t i = 0; i < COLLECTION_STEPS; i++) {
        act(&w->m1, make_ring_with_m, NULL);
        deceive();
        on_any_step("death:free", NULL, NULL);
        cue(collection_steps[i], 1, &w->m1, drop_m);
        assert_int_equal(collected().freed, 0);
        assert_true(steps_seen(collection_steps[i]) > 0);
        assert_true(freed_meanwhile == 0 || i < SCAN_BEGINS);
        off_steps();
        expect_ended(2);
        assert_true(w->a->canary == CANARY && w->b->canary == CANARY);
        act(&w->m1, release_a, NULL);
        assert_int_equal(collect(), 2);
        expect_ended(4);
    }
}

/* ---- Others hold them ----------------------------------------------------------------------------------------------- */

DEED(retain_m)
{
    wane_retain(m);
}

DEED(release_m)
{
    wane_release(m);
}

/* The ring is garbage; m is M2's as well, until some step of the collection. M2's last unit makes no candidate: so whatever the
 * collection has believed, m ends with the ring or by that release. */
static void
held_by_a_stranger_until(const char *point)
{
    act(&w->m1, make_ring_with_m, NULL);
    act(&w->m2, retain_m, NULL);
    act(&w->m1, release_a, NULL);
    cue(point, 1, &w->m2, release_m);
    (void)collected();
    assert_true(steps_seen(point) > 0);
    off_steps();
    (void)collect();
    expect_ended(4);
}

static void
acyclic_ones_are_let_go_of_beside_a_collection(void **state)
{
    (void)state;
    for (size_t i = 0; i < COLLECTION_STEPS; i++)
        held_by_a_stranger_until(collection_steps[i]);
}

/* ---- They move out -------------------------------------------------------------------------------------------------- */

/* M1 still has a until now: the collector has read counts of things that were alive. */
DEED(put_m_into_the_root_and_drop_a)
{
    wane_enter();
    wane_put(&w->root, wane_take(&w->a->s[1]));
    wane_release(w->a);
    wane_leave();
}

/* All four were suspected. The ring may go, now or next time; m and x stay. */
static void
acyclic_ones_that_move_out_stay(void **state)
{
    (void)state;
    for (size_t i = 0; i < COLLECTION_STEPS; i++) {
        act(&w->m1, make_ring_with_m, NULL);
        deceive();
        cue(collection_steps[i], 1, &w->m1, put_m_into_the_root_and_drop_a);
        (void)collected();
        assert_true(steps_seen(collection_steps[i]) > 0);
        off_steps();
        (void)collect();
        expect_ended(2);
        assert_true(m->canary == CANARY && x->canary == CANARY);
        assert_int_equal(count_of(m), 1);
        assert_int_equal(count_of(x), 1);
        wane_clear(&w->root);
        expect_ended(4);
    }
}

/* x is taken from m, which is the ring's: m is empty then, and x lives on in the root. */
DEED(take_x_from_m)
{
    wane_enter();
    wane_put(&w->root, wane_take(&m->s[0]));
    wane_leave();
}

static void
what_an_acyclic_one_holds_moves_out(void **state)
{
    (void)state;
    for (size_t i = 0; i < COLLECTION_STEPS; i++) {
        act(&w->m1, make_ring_with_m, NULL);
        deceive();
        cue(collection_steps[i], 1, &w->m1, take_x_from_m);
        assert_int_equal(collected().freed, 0);
        assert_true(steps_seen(collection_steps[i]) > 0);
        off_steps();
        expect_ended(0);
        act(&w->m1, release_a, NULL);
        assert_int_equal(collect(), 3);
        assert_true(x->canary == CANARY);
        assert_int_equal(count_of(x), 1);
        wane_clear(&w->root);
        expect_ended(4);
    }
}

/* Mutants (mutants.h) that the first test fails with: acyclic_not_entered, acyclic_keeps. */
int
main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(acyclic_ones_die_in_the_side_table),
        T(acyclic_ones_are_let_go_of_beside_a_collection),
        T(acyclic_ones_that_move_out_stay),
        T(what_an_acyclic_one_holds_moves_out),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
