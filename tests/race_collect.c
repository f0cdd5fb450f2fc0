/* SPDX-License-Identifier: MIT
 *
 * race_collect.c - what mutators do between the collector's readings: RACE-01 to RACE-08
 *
 * The collector reads twice. Its first phase reads counts, then edges, once, and may be deceived: those tests show that it was, and
 * that nothing came of it. The review reads words, edges, and after a grace period both again; those tests begin with everything
 * suspected, as the worst of first phases would, and leave one step of the review to notice. The table at the end says which.
 */
#include "race_common.h"

#include <time.h>

#include "collect.h"
#include "record.h"

#define FILLERS (WN_COLLECT_SLICE - 1) /* between two members: a section of the collector's ends between these */

static struct world {
    struct actor m1, m2;
    struct node *a, *b, *x, *y;
    wane_slot    root;
    struct gate  may_go;
    int          ended;
    bool         passed;
    uint64_t     seen; /* the canary of what M1 borrows, late in its section */
    bool         done; /* atomic */
} world, *const w = &world;

static int
setup(void **state)
{
    (void)state;
    world = (struct world){.may_go = GATE_CLOSED};
    schedule_begin();
    actor_start(&w->m1);
    actor_start(&w->m2);
    return 0;
}

static int
teardown(void **state)
{
    (void)state;
    off_steps();
    actor_stop(&w->m1);
    actor_stop(&w->m2);
    return wane_shutdown();
}

/* ---- Means ------------------------------------------------------------------------------------------------------ */

static struct wane_collected
collected(void)
{
    struct wane_collected c;

    assert_int_equal(wane_collect(WANE_ALL, &c), 0);
    return c;
}

DEED(suspect_all)
{
    struct wn_trial *t = &wn_collection.trial;

    for (uint32_t i = 0; i < t->count; i++)
        t->node[i].object &= ~WN_TRIAL_LIVE;
}

/* The next collection's first phase takes whatever it looks at for garbage. */
static void
deceive(void)
{
    on_step("suspect:end", suspect_all, NULL);
}

/* Log, queue and graves of the caller's record are looked after. */
static void
tend(void)
{
    fetch_or_relaxed(&((struct wn_record *)wane_self.record)->pub.attention, WN_ATTEND);
    wane_enter();
    wane_leave();
}

/* A grace period; then what the caller has displaced is given back. */
DEED(pass_grace)
{
    uint64_t ticket;

    tend();
    ticket = wn_grace_ticket();
    w->passed = false;
    for (int i = 0; i < 100 && !w->passed; i++) {
        w->passed = wn_grace_poll(ticket);
        if (!w->passed)
            nanosleep(&(struct timespec){0, 100000}, NULL);
    }
    tend();
}

static int64_t
count_of(const struct node *n)
{
    struct wane_header *h = WANE_HEADER(n);
    uint64_t            w1 = load_acquire(&h->word1);

    return wn_count(w1) + (w1 & WN_MERGED ? 0 : (int64_t)wn_local(load_relaxed(&h->word0)));
}

/* A candidate, the youngest. By who holds it. */
static void
note(struct node *n)
{
    wane_retain(n);
    wane_release(n);
}

static struct node *
make(void)
{
    return node_new(&w->ended);
}

DEED(enter)
{
    wane_enter();
}

DEED(release_a)
{
    wane_release(w->a);
}

DEED(release_b)
{
    wane_release(w->b);
}

DEED(clear_root)
{
    wane_clear(&w->root);
}

DEED(retain_b_and_leave)
{
    wane_retain(w->b);
    wane_leave();
}

/* M1 has borrowed n and its section is still open: it looks at n, takes a unit, and leaves. */
static void
keep_borrowed(struct node *n)
{
    w->seen = n->canary;
    if (w->seen == CANARY)
        wane_retain(n);
    wane_leave();
}

DEED(keep_borrowed_b)
{
    keep_borrowed(w->b);
}

/* Nothing was freed, and something had been suspected and was found to be in use. */
static void
expect_kept(struct wane_collected c, size_t suspects)
{
    assert_int_equal(c.suspects, suspects);
    assert_int_equal(c.aborted, suspects);
    assert_int_equal(c.freed, 0);
    assert_int_equal(ended(&w->ended), 0);
}

/* ---- RACE-01 ---------------------------------------------------------------------------------------------------- */

DEED(make_noted_a)
{
    wane_enter();
    w->a = make();
    note(w->a);
    wane_leave();
}

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

/* An edge that was read is cut before the count of its target is: the unit is still counted, the collector is in a section. */
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

/* The review reads b's word first: later it would have counted the stale edge, and M1's unit moved where that edge was missing. */
static void
race_02_stale_edge_and_a_count_read_later(void **state)
{
    (void)state;
    act(&w->m1, make_a_to_b_to_b, NULL);
    deceive();
    cue("review:e1", 1, &w->m1, cut_a_and_pass_grace);
    cue("review:grace", 1, &w->m1, put_b_into_b_and_borrow);
    cue("collect:settled", 1, &w->m1, keep_borrowed_b);
    expect_kept(collected(), 2);
    assert_true(w->passed);
    assert_true(w->seen == CANARY);
    act(&w->m1, release_b, NULL);
    act(&w->m1, release_a, NULL);
    assert_int_equal(collect(), 1);
}

/* ---- RACE-03 ---------------------------------------------------------------------------------------------------- */

/* a.0 = b, b.0 = a; M1 owns both. */
DEED(make_ring)
{
    wane_enter();
    w->a = make();
    w->b = make();
    wane_set(&w->a->s[0], w->b);
    wane_set(&w->b->s[0], w->a);
    wane_leave();
}

DEED(make_ring_held_by_b)
{
    make_ring(NULL);
    wane_release(w->a);
}

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
    cue("review:merged", 1, &w->m1, flip);
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
    for (int i = 0; i < 1000000; i++)
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

/* a <-> x, and b. M1 owns b and x. Noted: b, x. */
DEED(make_ring_and_b)
{
    wane_enter();
    w->b = make();
    w->a = make();
    w->x = make();
    wane_put(&w->a->s[0], w->x);
    wane_put(&w->x->s[0], w->a);
    wane_retain(w->x);
    note(w->b);
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

/* The same with the edge found by the first phase: it traces what lives a second time. */
static void
race_08_new_edge_is_found_by_the_spreading(void **state)
{
    (void)state;
    act(&w->m1, make_ring_and_b, NULL);
    cue("collect:grace", 1, &w->m1, put_x_into_a_and_borrow);
    cue("suspect:slot-read", LAST_OF_B, &w->m1, store_x_into_b_and_leave);
    expect_kept(collected(), 0);
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
        T(race_05_move_between_two_reads),
        T(race_05_move_in_both_traces),
        T(race_06_each_is_read_while_the_other_is_held),
        T(race_06_a_million_rounds),
        T(race_07_count_equality_with_changed_composition),
        T(race_08_new_edge_from_a_scanned_object),
        T(race_08_new_edge_is_found_by_the_spreading),
        T(race_08_two_candidate_rings_are_joined),
        T(race_08_joined_rings_go_one_after_the_other),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
