/* SPDX-License-Identifier: MIT
 *
 * race_collect.c - counts and edges are read at different moments: RACE-01 to RACE-04
 */
#include "race_collect.h"

#define FILLERS (WN_COLLECT_SLICE - 1) /* between two members: a section of the collector's ends between these */

/* ---- RACE-01 ---------------------------------------------------------------------------------------------------- */

DEED(store_a_into_a)
{
    wane_set(&w->a->s[0], w->a);
}

static void
release_a_at_last(void)
{
    assert_true(w->a->canary == CANARY);
    assert_int_equal(count_of(w->a), 2);
    act(&w->m1, release_a, NULL);
    assert_int_equal(collect(), 1);
}

static void
race_01_new_self_edge_after_the_count_was_read(void **state)
{
    (void)state;
    act(&w->m1, make_noted_a, NULL);
    cue("collect:count-read", 1, &w->m1, store_a_into_a);
    expect_kept(collected(), 1);
    release_a_at_last();
}

static void
race_01_new_self_edge_after_the_word_was_read(void **state)
{
    (void)state;
    act(&w->m1, make_noted_a, NULL);
    deceive();
    cue("review:word-read", 1, &w->m1, store_a_into_a);
    expect_kept(collected(), 1);
    release_a_at_last();
}

/* ---- RACE-02 ---------------------------------------------------------------------------------------------------- */

/* a.0 = b, b.0 = b; M1 owns both. */
DEED(make_a_to_b_to_b)
{
    wane_enter();
    w->a = make();
    w->b = make();
    wane_set(&w->a->s[0], w->b);
    wane_set(&w->b->s[0], w->b);
    note(w->a);
    wane_leave();
}

/* a hangs from b, which M1 owns, and holds it. */
DEED(make_b_to_a_to_b_to_b)
{
    make_a_to_b_to_b(NULL);
    wane_put(&w->b->s[2], w->a);
}

DEED(move_b_to_the_root)
{
    wane_put(&w->root, w->b);
    note(w->a);
}

DEED(cut_a_and_pass_grace)
{
    wane_clear(&w->a->s[0]);
    pass_grace(NULL);
}

/* An edge is cut after it was read, before the count of its target is: still counted, since the collector is in a section. */
static void
race_02_stale_edge_is_still_counted(void **state)
{
    (void)state;
    act(&w->m1, make_a_to_b_to_b, NULL);
    assert_int_equal(collect(), 0);
    act(&w->m1, move_b_to_the_root, NULL);
    cue("suspect:slot-read", 1, &w->m1, cut_a_and_pass_grace);
    expect_kept(collected(), 0);
    assert_int_equal(steps_seen("suspect:slot-read") > 0, true);
    assert_false(w->passed);
    assert_true(w->b->canary == CANARY);
    act(&w->m1, release_a, NULL);
    wane_clear(&w->root);
    assert_int_equal(collect(), 1);
}

DEED(put_b_into_b_and_borrow)
{
    wane_enter();
    wane_put(&w->b->s[1], w->b);
}

/* The review reads words first: later it would have counted the stale edge, and M1 puts its unit where that edge was missing. */
static void
race_02_stale_edge_and_a_count_read_later(void **state)
{
    (void)state;
    act(&w->m1, make_b_to_a_to_b_to_b, NULL);
    deceive();
    cue("review:e1", 1, &w->m1, cut_a_and_pass_grace);
    cue("review:grace", 1, &w->m1, put_b_into_b_and_borrow);
    cue("collect:settled", 1, &w->m1, keep_borrowed_b);
    expect_kept(collected(), 2);
    assert_true(w->passed);
    assert_true(w->seen == CANARY);
    act(&w->m1, release_b, NULL);
    assert_int_equal(collect(), 2);
}

/* ---- RACE-03 ---------------------------------------------------------------------------------------------------- */

DEED(borrow_a_and_release_b)
{
    wane_enter();
    assert_ptr_equal(wane_peek(&w->b->s[0]), w->a);
    wane_release(w->b);
}

DEED(keep_borrowed_a_late)
{
    (void)gate_wait(&w->may_go, 30);
    keep_borrowed(w->a);
}

DEED(begin_to_keep_a)
{
    act_begin(&w->m1, keep_borrowed_a_late, NULL);
}

static void
race_03_owner_is_gone_and_its_neighbour_borrowed(void **state)
{
    (void)state;
    act(&w->m1, make_ring_held_by_b, NULL);
    deceive();
    cue("review:merged", 1, &w->m1, borrow_a_and_release_b);
    on_step("review:e1", begin_to_keep_a, NULL);
    expect_kept(collected(), 2);
    act_wait(&w->m1);
    assert_true(w->seen == CANARY);
    assert_true(w->b->canary == CANARY);
    assert_int_equal(count_of(w->a), 2);
    act(&w->m1, release_a, NULL);
    assert_int_equal(collect(), 2);
}

/* ---- RACE-04 ---------------------------------------------------------------------------------------------------- */

/* The ring hangs from the root only. */
DEED(make_rooted_ring)
{
    make_ring(NULL);
    wane_put(&w->root, w->a);
    wane_release(w->b);
}

DEED(note_b_and_a)
{
    wane_enter();
    note(w->b);
    note(w->a);
    wane_leave();
}

static void
race_04_two_counts_of_two_moments(void **state)
{
    (void)state;
    act(&w->m1, make_rooted_ring, NULL);
    assert_int_equal(collect(), 0);
    act(&w->m1, note_b_and_a, NULL);
    cue("collect:grace", 1, &w->m1, enter); /* and borrows both through the root */
    cue("collect:grace", 1, &w->m2, clear_root);
    cue("collect:count-read", 1, &w->m1, retain_b_and_leave);
    cue("collect:count-read", 1, &w->m2, pass_grace);
    cue("collect:count-read", 1, &w->m1, pass_grace); /* the unit came to it: its queue */
    expect_kept(collected(), 2);
    assert_int_equal(count_of(w->a), 1);
    assert_int_equal(count_of(w->b), 2);
    act(&w->m1, release_b, NULL);
    assert_int_equal(collect(), 2);
}

/* b -> fillers -> a -> b, only a in the root: a section of the collector's ends between the words of b and of a. */
DEED(make_long_rooted_ring)
{
    struct node *next = make();

    wane_enter();
    w->a = next;
    wane_set(&w->root, w->a);
    for (int i = 0; i < FILLERS; i++) {
        struct node *n = make();

        wane_put(&n->s[0], next);
        next = n;
    }
    w->b = make();
    wane_put(&w->b->s[0], next);
    wane_put(&w->a->s[0], w->b);
    wane_leave();
}

DEED(note_b)
{
    wane_enter();
    note(w->b);
    wane_leave();
}

static void
race_04_two_words_of_two_moments(void **state)
{
    const unsigned first_of_the_words = 7; /* after three times two slices */

    (void)state;
    act(&w->m1, make_long_rooted_ring, NULL);
    assert_int_equal(collect(), 0);
    act(&w->m1, note_b, NULL);
    deceive();
    cue("review:merged", 1, &w->m1, enter);
    cue("review:merged", 1, &w->m2, clear_root);
    cue("collect:slice", first_of_the_words, &w->m1, retain_b_and_leave);
    cue("collect:slice", first_of_the_words, &w->m2, pass_grace);
    expect_kept(collected(), FILLERS + 2);
    assert_true(w->passed);
    assert_int_equal(count_of(w->a), 1);
    assert_int_equal(count_of(w->b), 2);
    act(&w->m1, release_b, NULL);
    assert_int_equal(collect(), FILLERS + 2);
}

/*
 * Which mutants (mutants.h) each test fails with, besides review_believes, which fails all but
 * race_02_stale_edge_is_still_counted:
 *
 *   race_01_.._the_word_was_read               review_skip_words
 *   race_02_stale_edge_is_still_counted        suspect_without_section
 *   race_02_.._and_a_count_read_later          review_words_after_trace
 *   race_03_owner_is_gone_..                   review_skip_grace, review_skip_words
 *   race_04_two_words_of_two_moments           review_skip_words
 */
int
main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(race_01_new_self_edge_after_the_count_was_read),
        T(race_01_new_self_edge_after_the_word_was_read),
        T(race_02_stale_edge_is_still_counted),
        T(race_02_stale_edge_and_a_count_read_later),
        T(race_03_owner_is_gone_and_its_neighbour_borrowed),
        T(race_04_two_counts_of_two_moments),
        T(race_04_two_words_of_two_moments),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
