/* SPDX-License-Identifier: MIT
 *
 * race_spared.c - the last moment before an object ends: RACE-16, FIN-16, FIN-20, SLOT-07; who is spared, and what becomes of him
 */
#include "race_collect.h"

static wane_slot    other_root;
static struct node *c;
static void        *weak[3], *got;
static int          finals;

/* ---- RACE-16, FIN-16 --------------------------------------------------------------------------------------------- */

static void
node_finalize(void *object)
{
    struct node *n = object;

    assert_true(n->canary == CANARY);
    __atomic_fetch_add(&finals, 1, __ATOMIC_RELAXED);
}

static struct wane_type final_type = {"final", sizeof(struct node), node_slots, 3, 0, node_dispose, node_finalize, 0, {0}};

static struct node *
final_new(void)
{
    return node_of(&final_type, &w->ended);
}

/* a -> b -> c -> a, each with a weak reference; nobody holds it. */
static void
make_weak_three(struct node *(*new)(void))
{
    finals = 0;
    w->a = new();
    w->b = new();
    c = new();
    weak[0] = wane_weak(w->a);
    weak[1] = wane_weak(w->b);
    weak[2] = wane_weak(c);
    wane_enter();
    wane_put(&w->b->s[0], c);
    wane_put(&w->a->s[0], w->b);
    wane_set(&c->s[0], w->a);
    wane_release(w->a);
    wane_leave();
}

DEED(make_plain_three)
{
    make_weak_three(make);
}

DEED(make_final_three)
{
    make_weak_three(final_new);
}

DEED(upgrade_c)
{
    got = wane_weak_get(weak[2]);
}

DEED(release_got)
{
    wane_release(got);
}

static uint64_t
flags_of(const struct node *n)
{
    return load_relaxed(&WANE_HEADER(n)->word1) & (WN_COUNT_ONE - 1) & ~WN_AGE;
}

static uint64_t settled[3];

DEED(look_at_the_flags)
{
    settled[0] = flags_of(w->a);
    settled[1] = flags_of(w->b);
    settled[2] = flags_of(c);
}

/* All three were in the collector's hands, are spared, and are as before but that they are merged. */
static void
expect_rolled_back(void)
{
    assert_int_equal(collected().freed, 0);
    assert_ptr_equal(got, c);
    for (int i = 0; i < 3; i++)
        assert_int_equal(settled[i] & (WN_CONDEMNED | WN_DEAD | WN_FINALIZED), 0);
    look_at_the_flags(NULL);
    for (int i = 0; i < 3; i++)
        assert_int_equal(settled[i] & ~WN_MARKS, WN_MERGED | WN_WEAK);
    assert_int_equal(count_of(w->a), 1);
    assert_int_equal(count_of(w->b), 1);
    assert_int_equal(count_of(c), 2);
    assert_int_equal(ended(&w->ended), 0);
    for (int i = 0; i < 2; i++) {
        void *object = wane_weak_get(weak[i]);

        assert_ptr_equal(object, i == 0 ? w->a : w->b);
        wane_release(object);
    }
    act(&w->m1, release_got, NULL);
}

static void
release_weak(void)
{
    for (int i = 0; i < 3; i++) {
        assert_null(wane_weak_get(weak[i]));
        wane_release(weak[i]);
    }
}

/* a and b are condemned, then somebody gets c: the CAS on c fails. */
static void
race_16_third_member_escapes_the_condemning(void **state)
{
    (void)state;
    act(&w->m1, make_plain_three, NULL);
    cue("decide:member", 2, &w->m1, upgrade_c);
    on_step("collect:settled", look_at_the_flags, NULL);
    expect_rolled_back();
    assert_int_equal(collect(), 3);
    release_weak();
}

static void
finalize_and_collect(void)
{
    for (int i = 0; i < 1000 && ended(&w->ended) < 3; i++) {
        (void)wane_run_finalizers();
        (void)collect();
    }
    assert_int_equal(ended(&w->ended), 3);
    assert_int_equal(__atomic_load_n(&finals, __ATOMIC_RELAXED), 3);
    release_weak();
}

/* The same with finalizers that are due: a and b are protected, c is not. None has run, each runs once later. */
static void
race_16_third_member_escapes_the_protection(void **state)
{
    (void)state;
    act(&w->m1, make_final_three, NULL);
    cue("final:protected", 2, &w->m1, upgrade_c);
    on_step("collect:settled", look_at_the_flags, NULL);
    expect_rolled_back();
    assert_int_equal(__atomic_load_n(&finals, __ATOMIC_RELAXED), 0);
    finalize_and_collect();
}

/* M1 gets c by its weak reference, cuts the ring at all places, and drops it: each member's count falls to zero. */
DEED(cut_three_and_drop)
{
    upgrade_c(NULL);
    if (!got)
        return;
    wane_enter();
    wane_clear(&c->s[0]);
    wane_clear(&w->a->s[0]);
    wane_clear(&w->b->s[0]);
    wane_leave();
    pass_grace(NULL);
    wane_release(got);
}

static void
cut_at(const char *point, unsigned nth)
{
    got = NULL;
    w->ended = 0;
    act(&w->m1, make_final_three, NULL);
    cue(point, nth, &w->m1, cut_three_and_drop);
    (void)collect();
    assert_non_null(got);
    off_steps();
    finalize_and_collect();
}

/* Finalizers become due by the count and by the collector at once: one CAS sets FINALIZED, and each runs once. */
static void
fin_16_due_by_count_and_by_collection(void **state)
{
    (void)state;
    cut_at("suspect:end", 1);
    cut_at("review:w1", 1);
    cut_at("review:w2", 1);
    for (unsigned nth = 1; nth <= 3; nth++)
        cut_at("final:protected", nth);
    cut_at("collect:settled", 1);
}

/* ---- FIN-20 ------------------------------------------------------------------------------------------------------ */

static bool unique;

DEED(make_a)
{
    w->a = make();
}

DEED(toggle_a)
{
    wane_retain(w->a);
    wane_release(w->a);
}

DEED(drop_one_and_ask)
{
    wane_enter();
    wane_retain(w->a);
    cue("release:marked", 1, &w->m2, toggle_a);
    wane_release(w->a);
    unique = wane_is_unique(w->a);
    wane_leave();
}

DEED(ask_while_m2_toggles)
{
    wane_enter();
    cue("unique:word0-read", 1, &w->m2, toggle_a);
    unique = wane_is_unique(w->a);
    wane_leave();
}

DEED(ask_while_m2_drops)
{
    wane_enter();
    cue("unique:word0-read", 1, &w->m2, release_a);
    unique = wane_is_unique(w->a);
    wane_leave();
}

/* Nothing is called when a count comes to one. Who asks is told yes only if it is one, whatever others do beside the question. */
static void
fin_20_the_only_holder_is_told_so(void **state)
{
    (void)state;
    act(&w->m1, make_a, NULL);
    act(&w->m2, retain_a, NULL);
    act(&w->m1, drop_one_and_ask, NULL);
    assert_false(unique);
    off_steps();
    act(&w->m1, ask_while_m2_toggles, NULL);
    assert_false(unique);
    off_steps();
    act(&w->m1, ask_while_m2_drops, NULL);
    assert_true(unique);
    assert_int_equal(count_of(w->a), 1);
    act(&w->m1, release_a, NULL);
    assert_int_equal(collect(), 0);
    assert_int_equal(ended(&w->ended), 1);
}

/* ---- SLOT-07 ----------------------------------------------------------------------------------------------------- */

static int unhindered;

DEED(use_the_slot)
{
    struct node *n = make();
    void        *old;

    wane_set(&other_root, n);
    old = wane_swap(&other_root, NULL);
    wane_release(old);
    (void)wane_cas(&other_root, NULL, n);
    old = wane_take(&other_root);
    wane_release(old);
    wane_release(n);
    gate_open(&w->may_go);
}

/* The slot is used by another thread while this runs: who calls it holds nothing that the other needs. */
static void
watchful_dispose(void *object)
{
    node_dispose(object);
    w->may_go.open = false;
    act_begin(&w->m2, use_the_slot, NULL);
    unhindered += gate_wait(&w->may_go, 10000);
}

static struct wane_type watchful_type = {"watchful", sizeof(struct node), node_slots, 3, 0, watchful_dispose, 0, 0, {0}};

static struct node *
watchful_new(void)
{
    return node_of(&watchful_type, &w->ended);
}

/* Whatever displaces the last unit returns before its object is disposed of. */
static void
displace_all_ways(void)
{
    wane_put(&other_root, watchful_new());
    wane_set(&other_root, NULL);
    wane_put(&other_root, watchful_new());
    wane_put(&other_root, NULL);
    wane_put(&other_root, watchful_new());
    wane_enter();
    assert_true(wane_cas(&other_root, wane_peek(&other_root), NULL));
    wane_leave();
    wane_put(&other_root, watchful_new());
    wane_clear(&other_root);
    assert_int_equal(ended(&w->ended), 0);
    assert_int_equal(wane_barrier(), 0);
}

static void
slot_07_no_dispose_inside_a_step_or_under_a_lock(void **state)
{
    struct node *n;

    (void)state;
    unhindered = 0;
    displace_all_ways();
    assert_int_equal(unhindered, 4);
    wane_put_private(&other_root, watchful_new());
    wane_clear_private(&other_root);
    assert_int_equal(unhindered, 5);
    wane_release(watchful_new());
    assert_int_equal(unhindered, 6);
    n = watchful_new();
    wane_set(&n->s[0], n);
    wane_release(n);
    assert_int_equal(collect(), 1);
    assert_int_equal(unhindered, 7);
    act_wait(&w->m2);
    assert_int_equal(wane_barrier(), 0);
}

/* ---- What is spared ------------------------------------------------------------------------------------------------- */

static struct wane_type bare_type = {.name = "bare", .size = sizeof(struct node), .slots = node_slots, .slot_count = 3};

/* a -> a, without callbacks; a -> b, which has a weak reference. Nobody holds them. */
DEED(make_bare_ring_with_b)
{
    w->a = wane_new(&bare_type);
    w->b = make();
    weak[0] = wane_weak(w->b);
    wane_put(&w->a->s[0], w->b);
    wane_put(&w->a->s[1], w->a);
}

DEED(leave)
{
    wane_leave();
}

DEED(upgrade_b)
{
    got = wane_weak_get(weak[0]);
}

/* Both are suspected, b is taken meanwhile: the unit that a had of it is given back. */
static void
spared_object_of_plain_garbage(void **state)
{
    (void)state;
    act(&w->m1, make_bare_ring_with_b, NULL);
    cue("review:w1", 1, &w->m1, upgrade_b);
    assert_int_equal(collect(), 1);
    assert_ptr_equal(got, w->b);
    assert_int_equal(count_of(w->b), 1);
    act(&w->m1, release_got, NULL);
    assert_int_equal(wane_barrier(), 0);
    assert_int_equal(ended(&w->ended), 1);
    assert_null(wane_weak_get(weak[0]));
    wane_release(weak[0]);
}

/* Its last unit from outside goes under review, which makes no candidate; then the review is given up, for M2's section. */
static void
spared_with_an_event_under_review(void **state)
{
    struct wane_collected given_up;

    (void)state;
    act(&w->m1, make_ring_held_by_b, NULL);
    deceive();
    cue("review:merged", 1, &w->m1, release_b);
    cue("review:e1", 1, &w->m2, enter);
    wn_driver_begin();
    assert_true(wn_driver_handover(0));
    wn_collection_run(WANE_ALL, 0, &given_up);
    wn_driver_end();
    assert_int_equal(given_up.aborted, 2);
    act(&w->m2, leave, NULL);
    assert_int_equal(collect(), 2);
}

/*
 * Which mutants (mutants.h) each test fails with:
 *
 *   race_16_.._the_condemning                  condemn_any_word
 *   race_16_.._the_protection, fin_16_..       protect_any_word
 *   fin_20_..                                  unique_ignores_strangers
 *   slot_07_..                                 defer_at_once
 *   spared_object_..                           spared_is_fellow
 *   spared_with_..                             review_forgets
 */
int
main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(race_16_third_member_escapes_the_condemning),
        T(race_16_third_member_escapes_the_protection),
        T(fin_16_due_by_count_and_by_collection),
        T(fin_20_the_only_holder_is_told_so),
        T(slot_07_no_dispose_inside_a_step_or_under_a_lock),
        T(spared_object_of_plain_garbage),
        T(spared_with_an_event_under_review),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
