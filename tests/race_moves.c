/* SPDX-License-Identifier: MIT
 *
 * race_moves.c - every number is read twice alike, or the edge comes where the collector has been: RACE-05 to RACE-08
 */
#include "race_collect.h"

/* ---- RACE-05 ---------------------------------------------------------------------------------------------------- */

/* a holds x and y, x holds a; M1 owns a, and so all of them. */
DEED(make_movable)
{
    wane_enter();
    w->a = make();
    w->x = make();
    w->y = make();
    wane_put_private(&w->a->s[0], w->x);
    wane_put_private(&w->a->s[1], w->y);
    wane_set_private(&w->x->s[0], w->a);
    wane_leave();
}

DEED(note_a)
{
    wane_enter();
    note(w->a);
    wane_leave();
}

static void
move(wane_slot *from, wane_slot *to)
{
    wane_enter();
    wane_put_private(to, wane_take_private(from));
    wane_leave();
}

DEED(move_x_to_y)
{
    move(&w->x->s[0], &w->y->s[0]);
}

DEED(move_y_to_x)
{
    move(&w->y->s[0], &w->x->s[0]);
}

static void
release_movable(void)
{
    assert_true(w->a->canary == CANARY);
    assert_int_equal(count_of(w->a), 2);
    act(&w->m1, release_a, NULL);
    assert_int_equal(collect(), 3);
}

#define SLOT_OF_X 4 /* a's three come before it */

static void
race_05_move_between_two_reads(void **state)
{
    (void)state;
    act(&w->m1, make_movable, NULL);
    assert_int_equal(collect(), 0);
    act(&w->m1, note_a, NULL);
    cue("suspect:slot-read", SLOT_OF_X, &w->m1, move_x_to_y);
    expect_kept(collected(), 3);
    release_movable();
}

/* In both traces the unit is seen twice. No count ever changes, and a's mark is set already: only the moves' own trace tells. */
static void
race_05_move_in_both_traces(void **state)
{
    (void)state;
    act(&w->m1, make_movable, NULL);
    assert_int_equal(collect(), 0);
    act(&w->m1, note_a, NULL);
    deceive();
    cue("review:stable", 1, &w->m1, move_x_to_y);
    cue("review:stable", 1, &w->m1, move_y_to_x);
    cue("review:slot-read", SLOT_OF_X, &w->m1, move_x_to_y);
    cue("review:e1", 1, &w->m1, move_y_to_x);
    cue("review:slot-read", 9 + SLOT_OF_X, &w->m1, move_x_to_y);
    expect_kept(collected(), 3);
    assert_true(steps_seen("review:slot-read") >= 2 * 18);
    release_movable();
}

/* ---- RACE-06 ---------------------------------------------------------------------------------------------------- */

/* From the one that M1 holds to the other. */
static void
flip_from(struct node **held)
{
    struct node *this = *held, *other;

    wane_enter();
    other = wane_peek(&this->s[0]);
    if (other->canary != CANARY)
        w->seen = 0;
    wane_retain(other);
    wane_leave();
    wane_release(this);
    *held = other;
}

DEED(flip)
{
    flip_from(&w->x);
}

/* Noted: b, then a. M1 holds a. */
DEED(make_alternating)
{
    make_ring(NULL);
    wane_release(w->b);
    w->x = w->a;
    flip(NULL);
    flip(NULL);
    w->seen = CANARY;
}

static void
release_alternating(void)
{
    assert_true(w->seen == CANARY);
    act(&w->m1, release_a, NULL);
    assert_int_equal(collect(), 2);
}

static void
race_06_each_is_read_while_the_other_is_held(void **state)
{
    (void)state;
    act(&w->m1, make_alternating, NULL);
    cue("collect:count-read", 1, &w->m1, flip);
    cue("suspect:end", 1, &w->m1, flip);
    cue("review:both-read", 1, &w->m1, flip);
    cue("review:both-read", 2, &w->m1, flip);
    cue("review:both-compared", 1, &w->m1, flip);
    cue("review:stable", 1, &w->m1, flip); /* earlier than REVIEW, which a retain clears */
    cue("review:word-read", 1, &w->m1, flip);
    cue("review:word-read", 2, &w->m1, flip);
    cue("review:word-compared", 1, &w->m1, flip);
    cue("review:word-compared", 2, &w->m1, flip);
    expect_kept(collected(), 2);
    assert_true(steps_seen("review:word-compared") == 4); /* both came so far */
    assert_ptr_equal(w->x, w->a);
    release_alternating();
}

DEED(flip_for_long)
{
#ifdef WN_TSAN
    const int rounds = 100000;
#else
    const int rounds = 1000000;
#endif

    for (int i = 0; i < rounds; i++)
        flip(NULL);
    __atomic_store_n(&w->done, true, __ATOMIC_RELEASE);
}

static void
race_06_a_million_rounds(void **state)
{
    unsigned collections = 0;

    (void)state;
    act(&w->m1, make_alternating, NULL);
    act_begin(&w->m1, flip_for_long, NULL);
    for (; !__atomic_load_n(&w->done, __ATOMIC_ACQUIRE); collections++)
        (void)wane_collect(WANE_ALL, NULL);
    act_wait(&w->m1);
    assert_true(collections > 0);
    assert_int_equal(ended(&w->ended), 0);
    release_alternating();
}

/* ---- RACE-07 ---------------------------------------------------------------------------------------------------- */

DEED(put_b_into_a_and_borrow)
{
    wane_enter();
    wane_put(&w->a->s[1], w->b);
}

DEED(retain_b_cut_and_leave)
{
    wane_retain(w->b);
    wane_clear(&w->a->s[1]);
    wane_leave();
}

DEED(pass_grace_and_put_again)
{
    pass_grace(NULL);
    put_b_into_a_and_borrow(NULL);
}

/* a holds b twice. Meanwhile M1 takes one of these units for itself and puts it back: each number is read twice alike. */
static void
race_07_count_equality_with_changed_composition(void **state)
{
    (void)state;
    act(&w->m1, make_ring_held_by_b, NULL);
    deceive();
    cue("review:merged", 1, &w->m1, put_b_into_a_and_borrow);
    cue("review:e1", 1, &w->m1, retain_b_cut_and_leave);
    cue("review:grace", 1, &w->m1, pass_grace_and_put_again);
    cue("collect:settled", 1, &w->m1, keep_borrowed_b);
    expect_kept(collected(), 2);
    assert_true(w->passed);
    assert_true(w->seen == CANARY);
    assert_int_equal(count_of(w->b), 3);
    act(&w->m1, release_b, NULL);
    assert_int_equal(collect(), 2);
}

/* ---- RACE-08 ---------------------------------------------------------------------------------------------------- */

/* a <-> x, and b. M1 owns b and x. Noted: b first. */
DEED(make_ring_and_b)
{
    wane_enter();
    w->b = make();
    note(w->b);
    w->a = make();
    w->x = make();
    wane_put(&w->a->s[0], w->x);
    wane_put(&w->x->s[0], w->a);
    wane_retain(w->x);
    note(w->x);
    wane_leave();
}

DEED(put_x_into_a_and_borrow)
{
    wane_enter();
    wane_put(&w->a->s[1], w->x);
}

DEED(store_x_into_b_and_leave)
{
    wane_set(&w->b->s[1], w->x);
    wane_leave();
}

#define LAST_OF_B 3

/* b was scanned, and b is live. A borrower stores x into it. */
static void
race_08_new_edge_from_a_scanned_object(void **state)
{
    (void)state;
    act(&w->m1, make_ring_and_b, NULL);
    deceive();
    cue("review:merged", 1, &w->m1, put_x_into_a_and_borrow);
    cue("review:slot-read", LAST_OF_B, &w->m1, store_x_into_b_and_leave);
    expect_kept(collected(), 3);
    assert_true(w->x->canary == CANARY && w->a->canary == CANARY);
    assert_int_equal(count_of(w->x), 3);
    act(&w->m1, release_b, NULL);
    assert_int_equal(collect(), 2);
    assert_int_equal(ended(&w->ended), 3);
}

/* The same before b's slots were read again: the first phase reads them once, and is deceived. */
static void
race_08_new_edge_behind_the_scan(void **state)
{
    (void)state;
    act(&w->m1, make_ring_and_b, NULL);
    cue("collect:grace", 1, &w->m1, put_x_into_a_and_borrow);
    cue("suspect:slot-read", LAST_OF_B, &w->m1, store_x_into_b_and_leave);
    expect_kept(collected(), 2);
    act(&w->m1, release_b, NULL);
    assert_int_equal(collect(), 2);
}

DEED(put_x_into_b)
{
    wane_enter();
    wane_put(&w->b->s[1], w->x);
    wane_leave();
}

/* a and x have as many references as units, and are no suspects: the one from b, which M1 holds, is among them. */
static void
race_08_what_live_objects_reach_is_live(void **state)
{
    struct wane_collected c;

    (void)state;
    act(&w->m1, make_ring_and_b, NULL);
    act(&w->m1, put_x_into_b, NULL);
    c = collected();
    assert_int_equal(c.examined, 3);
    expect_kept(c, 0);
    act(&w->m1, release_b, NULL);
    assert_int_equal(collect(), 2);
}

DEED(make_two_rings)
{
    make_ring_and_b(NULL);
    w->y = make();
    wane_put(&w->b->s[0], w->y);
    wane_set(&w->y->s[0], w->b);
}

DEED(put_both_inside_and_borrow)
{
    wane_enter();
    wane_put(&w->a->s[1], w->x);
    wane_put(&w->y->s[1], w->b);
}

DEED(join_the_rings_and_keep_b)
{
    wane_retain(w->b);
    store_x_into_b_and_leave(NULL);
}

/* b is in a ring of its own, both rings look isolated; M1 joins them in the middle of the trace. */
static void
race_08_two_candidate_rings_are_joined(void **state)
{
    (void)state;
    act(&w->m1, make_two_rings, NULL);
    deceive();
    cue("review:merged", 1, &w->m1, put_both_inside_and_borrow);
    cue("review:slot-read", LAST_OF_B, &w->m1, join_the_rings_and_keep_b);
    expect_kept(collected(), 4);
    assert_int_equal(count_of(w->b), 3);
    act(&w->m1, release_b, NULL);
    assert_int_equal(collect(), 4);
}

/* M1 keeps neither: b's ring goes, and gives back what holds the other one. */
static void
race_08_joined_rings_go_one_after_the_other(void **state)
{
    struct wane_collected c;

    (void)state;
    act(&w->m1, make_two_rings, NULL);
    deceive();
    cue("review:merged", 1, &w->m1, put_both_inside_and_borrow);
    cue("review:slot-read", LAST_OF_B, &w->m1, store_x_into_b_and_leave);
    c = collected();
    assert_int_equal(c.freed, 4);
    assert_int_equal(c.components, 2);
    assert_int_equal(ended(&w->ended), 4);
}

/*
 * Which mutants (mutants.h) each test fails with, besides review_believes, which fails all but race_08_what_live_..:
 *
 *   race_05_move_in_both_traces                move_keeps_version, review_compares_counts, review_keeps_bias,
 *                                              review_words_after_trace
 *   race_06_each_is_read_while_..              review_compares_counts, review_keeps_bias
 *   race_07_count_equality_..                  review_compares_counts, review_keeps_bias
 *   race_08_what_live_objects_reach_is_live    suspect_without_spreading
 *   race_08_two_candidate_rings_are_joined     review_skip_words
 */
int
main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(race_05_move_between_two_reads),
        T(race_05_move_in_both_traces),
        T(race_06_each_is_read_while_the_other_is_held),
        T(race_06_a_million_rounds),
        T(race_07_count_equality_with_changed_composition),
        T(race_08_new_edge_from_a_scanned_object),
        T(race_08_new_edge_behind_the_scan),
        T(race_08_what_live_objects_reach_is_live),
        T(race_08_two_candidate_rings_are_joined),
        T(race_08_joined_rings_go_one_after_the_other),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
