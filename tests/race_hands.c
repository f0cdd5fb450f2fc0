/* SPDX-License-Identifier: MIT
 *
 * race_hands.c - a store into an object that no slot holds makes no candidate (slot.c): which objects are those?
 *
 * In each test two objects become a ring by consuming stores, and nothing else happens to them. Had the store that closed it
 * taken the other one for an object in somebody's hand, no collection would ever look at the ring.
 */
#include "race_common.h"

#include "cell.h"

static struct {
    struct actor m1, m2;
    struct node *a, *b;
    int          ended;
} w;

static int
setup(void **state)
{
    (void)state;
    memset(&w, 0, sizeof w);
    schedule_begin();
    actor_start(&w.m1);
    actor_start(&w.m2);
    return 0;
}

static int
teardown(void **state)
{
    (void)state;
    off_steps();
    actor_stop(&w.m1);
    actor_stop(&w.m2);
    return wane_shutdown();
}

DEED(make_both)
{
    wane_enter();
    w.a = node_new(&w.ended);
    w.b = node_new(&w.ended);
    wane_leave();
}

/* The stores are the stand-alone symbols' or the private ones': who calls holds what it stores. */
DEED(put_a_into_b)
{
    wane_put(&w.b->s[0], w.a);
}

DEED(put_b_into_a)
{
    wane_put(&w.a->s[0], w.b);
}

DEED(put_b_into_a_privately)
{
    wane_put_private(&w.a->s[0], w.b);
}

DEED(set_a_into_b)
{
    wane_set(&w.b->s[0], w.a);
}

DEED(swap_a_into_b)
{
    assert_null(wane_swap(&w.b->s[0], w.a));
}

DEED(cas_a_into_b)
{
    assert_true(wane_cas_put(&w.b->s[0], NULL, w.a));
}

DEED(put_a_into_b_privately)
{
    wane_put_private(&w.b->s[0], w.a);
}

static void (*const stores[])(void *) = {put_a_into_b, swap_a_into_b, cas_a_into_b, put_a_into_b_privately};

static void
ring_is_found(void)
{
    assert_int_equal(ended(&w.ended), 0);
    (void)collect();
    (void)collect();
    assert_int_equal(ended(&w.ended), 2);
}

/* The owner stores a, by each of the calls; then b into it. */
static void
stored_by_its_owner(void **state)
{
    (void)state;
    for (unsigned i = 0; i < sizeof stores / sizeof stores[0]; i++) {
        w.ended = 0;
        act(&w.m1, make_both, NULL);
        act(&w.m1, stores[i], NULL);
        act(&w.m1, i % 2 ? put_b_into_a_privately : put_b_into_a, NULL);
        ring_is_found();
    }
}

/* A stranger to whom the owner gave its unit by agreement stores a: it may not write the owner's word. */
static void
stored_by_a_stranger(void **state)
{
    (void)state;
    for (unsigned i = 0; i < sizeof stores / sizeof stores[0]; i++) {
        w.ended = 0;
        act(&w.m1, make_both, NULL);
        act(&w.m2, stores[i], NULL);
        act(&w.m1, i % 2 ? put_b_into_a_privately : put_b_into_a, NULL);
        ring_is_found();
    }
}

DEED(release_a)
{
    wane_release(w.a);
}

/* .. and the trace that it leaves survives as many changes of the word as it has versions. */
DEED(change_a_often)
{
    wane_enter();
    for (uint32_t i = 0; i < 1u << 16; i++) {
        wane_retain(w.a);
        wane_release(w.a);
    }
    wane_leave();
}

static void
versions_wrap_after_a_strangers_store(void **state)
{
    (void)state;
    act(&w.m1, make_both, NULL);
    act(&w.m2, put_a_into_b, NULL);
    act(&w.m2, change_a_often, NULL);
    act(&w.m1, put_b_into_a, NULL);
    ring_is_found();
}

DEED(m2_puts_a_into_b)
{
    act(&w.m2, put_a_into_b, NULL);
}

DEED(m1_puts_b_into_a)
{
    act(&w.m1, put_b_into_a, NULL);
}

/* Both stores at once: the other thread's falls between a store and the look at whom it went into. */
static void
closed_by_two_at_once(void **state)
{
    static const char *const points[] = {"slot:before", "slot:displaced"};

    (void)state;
    for (unsigned i = 0; i < 4; i++) {
        w.ended = 0;
        act(&w.m1, make_both, NULL);
        on_any_step(points[i / 2], i % 2 ? m1_puts_b_into_a : m2_puts_a_into_b, NULL);
        act(i % 2 ? &w.m2 : &w.m1, i % 2 ? put_a_into_b : put_b_into_a, NULL);
        ring_is_found();
    }
}

DEED(give_a)
{
    assert_int_equal(wane_give(w.a), 0);
}

/* Given to another thread it is in that one's hand. */
static void
given_then_stored(void **state)
{
    (void)state;
    act(&w.m1, make_both, NULL);
    act(&w.m1, give_a, NULL);
    act(&w.m2, put_a_into_b, NULL);
    act(&w.m2, put_b_into_a, NULL);
    ring_is_found();
}

/* A store that leaves a unit in the hand, too. */
static void
set_then_released(void **state)
{
    (void)state;
    act(&w.m1, make_both, NULL);
    act(&w.m1, set_a_into_b, NULL);
    act(&w.m1, put_b_into_a, NULL);
    act(&w.m1, release_a, NULL);
    ring_is_found();
}

DEED(build_a_tree)
{
    wane_enter();
    w.a = node_new(&w.ended);
    for (int i = 0; i < 3; i++) {
        struct node *inner = node_new(&w.ended);

        wane_put_private(&inner->s[0], node_new(&w.ended));
        wane_put_private(&w.a->s[i], inner);
    }
    wane_leave();
}

/* What this is for: a tree that is built from below makes no candidate at all. */
static void
a_tree_makes_no_candidate(void **state)
{
    struct wane_collected c;

    (void)state;
    if (!wn_cell_most) {
        print_message("# objects are malloc's in this build: nobody knows in which one a slot is\n");
        skip();
    }
    act(&w.m1, build_a_tree, NULL);
    assert_int_equal(wane_collect(WANE_ALL, &c), 0);
    assert_int_equal(c.examined, 0);
    act(&w.m1, release_a, NULL);
    assert_int_equal(ended(&w.ended), 7);
}

int
main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(stored_by_its_owner, setup, teardown),
        cmocka_unit_test_setup_teardown(stored_by_a_stranger, setup, teardown),
        cmocka_unit_test_setup_teardown(versions_wrap_after_a_strangers_store, setup, teardown),
        cmocka_unit_test_setup_teardown(closed_by_two_at_once, setup, teardown),
        cmocka_unit_test_setup_teardown(given_then_stored, setup, teardown),
        cmocka_unit_test_setup_teardown(set_then_released, setup, teardown),
        cmocka_unit_test_setup_teardown(a_tree_makes_no_candidate, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
