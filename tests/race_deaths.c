/* SPDX-License-Identifier: MIT
 *
 * race_deaths.c - candidates that live, die or become garbage while they are looked at: RACE-10 to RACE-15
 */
#include "race_collect.h"

#include <limits.h>

static unsigned freed_meanwhile;

/* ---- RACE-10 ---------------------------------------------------------------------------------------------------- */

static int64_t least_a, least_b;

/* a <-> b, a in the root, b M1's. */
DEED(make_ring_with_two_holders)
{
    make_ring(NULL);
    wane_put(&w->root, w->a);
    wane_enter();
    note(w->a);
    note(w->b);
    wane_leave();
}

DEED(clone_drop_and_set)
{
    struct node *a;

    wane_enter();
    a = wane_peek(&w->root);
    note(a);
    note(wane_peek(&a->s[0]));
    wane_set(&w->root, a);
    wane_leave();
}

DEED(look_at_the_counts)
{
    least_a = count_of(w->a) < least_a ? count_of(w->a) : least_a;
    least_b = count_of(w->b) < least_b ? count_of(w->b) : least_b;
}

DEED(disturb_and_look)
{
    look_at_the_counts(NULL);
    act(&w->m2, clone_drop_and_set, NULL);
    look_at_the_counts(NULL);
}

/* At every step of a scan the headers count at least what there is, for whoever looks, retains and releases there. */
static void
race_10_counts_are_never_scratch(void **state)
{
    static const char *const disturbed[] = {"collect:count-read", "suspect:begin", "suspect:slot-read", "suspect:end",
                                            "review:slot-read"};
    static const char *const looked_at[] = {"review:both-read", "review:marked", "review:word-read", "review:grace",
                                            "review:w2",        "collect:settled"};

    (void)state;
    least_a = least_b = INT64_MAX;
    act(&w->m1, make_ring_with_two_holders, NULL);
    deceive();
    for (unsigned i = 0; i < sizeof disturbed / sizeof disturbed[0]; i++)
        on_nth_step(disturbed[i], EACH_TIME, disturb_and_look, NULL);
    for (unsigned i = 0; i < sizeof looked_at / sizeof looked_at[0]; i++)
        on_nth_step(looked_at[i], EACH_TIME, look_at_the_counts, NULL);
    expect_kept(collected(), 2);
    assert_true(steps_seen("review:slot-read") == 2 * 6 && steps_seen("review:w2") == 1);
    off_steps();
    assert_int_equal(least_a, 2);
    assert_int_equal(least_b, 2);
    assert_int_equal(collect(), 0);
    assert_int_equal(count_of(w->a), 2);
    assert_int_equal(count_of(w->b), 2);
    wane_clear(&w->root);
    act(&w->m1, release_b, NULL);
    assert_int_equal(collect(), 2);
}

/* ---- RACE-11, RACE-12 -------------------------------------------------------------------------------------------- */

DEED(make_ring_held_by_a)
{
    make_ring(NULL);
    wane_release(w->b);
    wane_enter();
    note(w->a);
    wane_leave();
}

static void
expect_lost_in_this_one_found_in_the_next(void)
{
    struct wane_collected first = collected();

    assert_true(first.candidates > 0);
    assert_int_equal(first.freed, 0);
    off_steps();
    assert_int_equal(collect(), 2);
    assert_int_equal(ended(&w->ended), 2);
}

/* The count is read, then the last outside unit goes, by the owner. Nothing is called for the ring after that. */
static void
race_11_release_after_the_count_was_read(void **state)
{
    (void)state;
    act(&w->m1, make_ring_held_by_a, NULL);
    cue("suspect:begin", 1, &w->m1, release_a);
    expect_lost_in_this_one_found_in_the_next();
}

static void
race_11_stranger_releases_after_the_count_was_read(void **state)
{
    (void)state;
    act(&w->m2, make_ring_held_by_a, NULL);
    act(&w->m1, retain_a, NULL);
    act(&w->m2, release_a, NULL);
    cue("suspect:begin", 1, &w->m1, release_a);
    expect_lost_in_this_one_found_in_the_next();
}

DEED(make_noted_ring_in_the_root)
{
    make_ring_held_by_a(NULL);
    wane_put(&w->root, w->a);
}

/* The only outside unit is in M1's log all the time the ring is looked at; it makes a candidate when it is given back. */
static void
race_12_unit_is_pending_during_the_scan(void **state)
{
    (void)state;
    act(&w->m2, make_noted_ring_in_the_root, NULL);
    cue("collect:begin", 1, &w->m1, clear_root);
    expect_lost_in_this_one_found_in_the_next();
}

/* ---- RACE-13, RACE-14 -------------------------------------------------------------------------------------------- */

#define TENANTS 64

static struct node *tenant[TENANTS];

DEED(release_a_and_ask_for_memory)
{
    wane_release(w->a);
    freed_meanwhile = steps_seen("death:free");
    for (int i = 0; i < TENANTS; i++)
        tenant[i] = make();
}

DEED(release_tenants)
{
    for (int i = 0; i < TENANTS; i++)
        wane_release(tenant[i]);
}

static void
expect_no_tenant_in_a(void)
{
    assert_int_equal(collect(), 0);
    assert_int_equal(freed_meanwhile, 0);
    for (int i = 0; i < TENANTS; i++)
        assert_ptr_not_equal(tenant[i], w->a);
    assert_true(steps_seen("death:free") > 0); /* by the collector, who had the last word of it */
    for (int i = 0; i < TENANTS; i++)
        assert_true(tenant[i]->canary == CANARY);
    assert_int_equal(ended(&w->ended), 1);
    act(&w->m1, release_tenants, NULL);
}

/* a's entry is not the newest one: that could be taken back. */
DEED(make_two_noted)
{
    make_noted_a(NULL);
    w->b = make();
    wane_enter();
    note(w->b);
    wane_leave();
}

/* A candidate's memory is not used again before its entry has been looked at. */
static void
race_13_dies_in_the_log(void **state)
{
    (void)state;
    act(&w->m1, make_two_noted, NULL);
    on_any_step("death:free", NULL, NULL);
    act(&w->m1, release_a_and_ask_for_memory, NULL);
    expect_no_tenant_in_a();
    act(&w->m1, release_b, NULL);
}

DEED(note_a_as_stranger)
{
    note(w->a);
}

static void
race_13_dies_in_a_strangers_log(void **state)
{
    (void)state;
    act(&w->m1, make_noted_a, NULL);
    assert_int_equal(collect(), 0); /* M1's own mark is gone */
    act(&w->m2, note_a_as_stranger, NULL);
    on_any_step("death:free", NULL, NULL);
    act(&w->m1, release_a_and_ask_for_memory, NULL);
    expect_no_tenant_in_a();
}

static void
race_13_dies_between_hand_over_and_take(void **state)
{
    (void)state;
    act(&w->m1, make_two_noted, NULL);
    on_any_step("death:free", NULL, NULL);
    freed_meanwhile = UINT_MAX;
    cue("collect:begin", 1, &w->m1, release_a_and_ask_for_memory);
    expect_no_tenant_in_a();
    act(&w->m1, release_b, NULL);
}

/* M1 alone can reach the ring. */
DEED(break_the_ring_and_drop_it)
{
    wane_clear_private(&w->a->s[0]);
    wane_release(w->a);
    freed_meanwhile = steps_seen("death:free");
}

static void
dies_at(const char *point)
{
    w->ended = 0;
    act(&w->m1, make_ring_held_by_a, NULL);
    deceive();
    on_any_step("death:free", NULL, NULL);
    cue(point, 1, &w->m1, break_the_ring_and_drop_it);
    assert_int_equal(collected().freed, 0);
    assert_int_equal(freed_meanwhile, 0);
    assert_int_equal(steps_seen(point) > 0, true);
    assert_int_equal(ended(&w->ended), 2);
    off_steps();
    assert_int_equal(collect(), 0);
    assert_int_equal(ended(&w->ended), 2);
}

/* Both are in the collector's table and die by their counts, at any of its steps: it touches no freed memory, ends none twice. */
static void
race_14_dies_in_the_side_table(void **state)
{
    (void)state;
    for (unsigned i = 0; i < COLLECTION_STEPS; i++)
        dies_at(collection_steps[i]);
}

/* ---- RACE-15 ----------------------------------------------------------------------------------------------------- */

DEED(cut_both_and_pass_grace)
{
    wane_enter();
    wane_clear(&w->a->s[0]);
    wane_clear(&w->root);
    wane_leave();
    pass_grace(NULL);
}

static void
expect_dead_by_count(void)
{
    assert_int_equal(collected().freed, 0);
    assert_true(w->passed);
    assert_int_equal(ended(&w->ended), 2);
    off_steps();
    assert_int_equal(collect(), 0);
    assert_int_equal(ended(&w->ended), 2);
}

/* Both are given back, b dies and lets go of a, and the collector, which has seen the ring whole, goes on to judge them. */
static void
race_15_counted_to_zero_before_the_review(void **state)
{
    (void)state;
    act(&w->m1, make_noted_ring_in_the_root, NULL);
    deceive();
    cue("suspect:end", 1, &w->m1, cut_both_and_pass_grace);
    expect_dead_by_count();
}

/* M1's own unit of a goes into the ring, M1 goes on borrowing: the first trace finds all of them inside. */
DEED(put_a_into_b_and_borrow)
{
    wane_enter();
    wane_put(&w->b->s[1], w->a);
}

DEED(cut_both_and_leave)
{
    wane_clear(&w->b->s[1]);
    wane_clear(&w->a->s[0]);
    wane_leave();
}

static void
cut_after_the_first_trace(const char *given_back_at)
{
    act(&w->m1, make_ring_held_by_a, NULL);
    deceive();
    cue("review:merged", 1, &w->m1, put_a_into_b_and_borrow);
    cue("review:e1", 1, &w->m1, cut_both_and_leave);
    cue(given_back_at, 1, &w->m1, pass_grace);
    expect_dead_by_count();
}

static void
race_15_counted_to_zero_between_the_traces(void **state)
{
    (void)state;
    cut_after_the_first_trace("review:grace");
}

static void
race_15_counted_to_zero_after_the_words(void **state)
{
    (void)state;
    cut_after_the_first_trace("review:w2");
}

/*
 * Which mutants (mutants.h) each test fails with:
 *
 *   race_10_..                                 suspect_in_place
 *   race_11_.. (two)                           mark_cleared_after_scan
 *   race_11_stranger_.., race_12_..            no_stranger_event
 *   race_13_.. (three), race_14_..             free_ignores_holders
 *   race_15_.. (three)                         dispose_twice
 *   race_15_counted_to_zero_after_the_words    review_skip_second_trace
 */
int
main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(race_10_counts_are_never_scratch),
        T(race_11_release_after_the_count_was_read),
        T(race_11_stranger_releases_after_the_count_was_read),
        T(race_12_unit_is_pending_during_the_scan),
        T(race_13_dies_in_the_log),
        T(race_13_dies_in_a_strangers_log),
        T(race_13_dies_between_hand_over_and_take),
        T(race_14_dies_in_the_side_table),
        T(race_15_counted_to_zero_before_the_review),
        T(race_15_counted_to_zero_between_the_traces),
        T(race_15_counted_to_zero_after_the_words),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
