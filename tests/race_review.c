/* SPDX-License-Identifier: MIT
 *
 * race_review.c - the collector against mutators, at exact points of the review
 *
 * Each test makes the first phase suspect an object that is in use (its counts are read before a mutator moves), and then needs
 * exactly one step of the review to notice. Without that step (a mutant: mutants.h) the test must fail.
 */
#include "race_common.h"

struct world {
    struct actor m1, m2;
    struct node *a, *b;
    wane_slot    root;
    struct gate  may_go;
    int          ended, ended_in_first_round;
    unsigned     freed_meanwhile;
    void        *got, *weak;
};

static struct world *w;

static int
setup(void **state)
{
    static struct world world;

    (void)state;
    world = (struct world){.may_go = GATE_CLOSED};
    w = &world;
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

/* M1 makes `a`, owned, and a candidate: one retain and release. */
static void
make_candidate(void *unused)
{
    (void)unused;
    wane_enter();
    w->a = node_new(&w->ended);
    wane_retain(w->a);
    wane_release(w->a);
    wane_leave();
}

/* After its count was read as 1: count 2, one edge to itself. Trial deletion takes it for garbage although M1 owns it. */
static void
add_self_edge(void *unused)
{
    (void)unused;
    wane_set(&w->a->s[0], w->a);
}

static void
at_suspect_begin(void *unused)
{
    (void)unused;
    act(&w->m1, add_self_edge, NULL);
}

static void
release_a(void *unused)
{
    (void)unused;
    wane_release(w->a);
}

/* RACE-01: a reference is stored into its own target between the reading of the count and of the edges. */
static void
race_01_new_self_edge_after_count(void **state)
{
    (void)state;
    act(&w->m1, make_candidate, NULL);
    on_step("suspect:begin", at_suspect_begin, NULL);
    assert_int_equal(collect(), 0);
    assert_true(steps_seen("suspect:begin") > 0);
    assert_int_equal(ended(&w->ended), 0);
    assert_true(w->a->canary == CANARY);
    act(&w->m1, release_a, NULL);
    assert_int_equal(collect(), 1);
    assert_int_equal(ended(&w->ended), 1);
}

/* M1's unit goes into a slot of the suspect itself, inside a section that goes on: M1 borrows it from now on. */
static void
move_unit_inside_and_keep_borrow(void *unused)
{
    (void)unused;
    wane_enter();
    wane_put(&w->a->s[1], w->a);
}

static void
enter_and_move(void *unused)
{
    (void)unused;
    act(&w->m1, move_unit_inside_and_keep_borrow, NULL);
}

static void
retain_borrowed_and_leave(void *unused)
{
    (void)unused;
    (void)gate_wait(&w->may_go, 30);
    wane_retain(w->a);
    wane_leave();
}

static void
begin_retain(void *unused)
{
    (void)unused;
    act_begin(&w->m1, retain_borrowed_and_leave, NULL);
}

/* RACE-03: all units are inside, a borrower retains later in its section. Only the grace period between the traces waits. */
static void
race_03_borrow_across_the_traces(void **state)
{
    (void)state;
    act(&w->m1, make_candidate, NULL);
    on_step("suspect:begin", at_suspect_begin, NULL);
    on_step("review:merged", enter_and_move, NULL);
    on_step("review:e1", begin_retain, NULL);
    assert_int_equal(collect(), 0);
    assert_true(steps_seen("review:e1") > 0);
    gate_open(&w->may_go);
    act_wait(&w->m1);
    assert_int_equal(ended(&w->ended), 0);
    assert_true(w->a->canary == CANARY);
    act(&w->m1, release_a, NULL);
    assert_int_equal(collect(), 1);
}

static void
remember_ended(void *unused)
{
    (void)unused;
    w->ended_in_first_round = ended(&w->ended);
}

static void
displace_and_leave(void *unused)
{
    (void)unused;
    wane_clear(&w->a->s[0]);
    wane_leave();
}

static void
act_displace(void *unused)
{
    (void)unused;
    act(&w->m1, displace_and_leave, NULL);
}

/* A unit is displaced between the traces: pending, not in a slot. Only the second trace sees that. */
static void
race_displaced_between_the_traces(void **state)
{
    (void)state;
    act(&w->m1, make_candidate, NULL);
    on_step("suspect:begin", at_suspect_begin, NULL);
    on_step("review:merged", enter_and_move, NULL);
    on_step("review:e1", act_displace, NULL);
    on_step("collect:settled", remember_ended, NULL);
    assert_int_equal(collect(), 1); /* in the second round */
    assert_int_equal(w->ended_in_first_round, 0); /* the pending unit was still to be given back to it */
    assert_int_equal(ended(&w->ended), 1);
}

static void
retain_and_leave(void *unused)
{
    (void)unused;
    wane_retain(w->a);
    wane_leave();
}

static void
act_retain(void *unused)
{
    (void)unused;
    act(&w->m1, retain_and_leave, NULL);
}

/* A borrower retains after the words were read: only the comparison of the words sees that. */
static void
race_04_retained_between_the_words(void **state)
{
    (void)state;
    act(&w->m1, make_candidate, NULL);
    on_step("suspect:begin", at_suspect_begin, NULL);
    on_step("review:merged", enter_and_move, NULL);
    on_step("review:e1", act_retain, NULL);
    assert_int_equal(collect(), 0);
    assert_int_equal(ended(&w->ended), 0);
    act(&w->m1, release_a, NULL);
    assert_int_equal(collect(), 1);
}

/* A ring a <-> b. */
static void
make_ring(void *unused)
{
    (void)unused;
    wane_enter();
    w->a = node_new(&w->ended);
    w->b = node_new(&w->ended);
    wane_set(&w->a->s[0], w->b);
    wane_set(&w->b->s[0], w->a);
    wane_leave();
}

static void
release_ring(void *unused)
{
    (void)unused;
    wane_release(w->a);
    wane_release(w->b);
}

/* RACE-12: the root's unit is still pending while the ring is scanned; its application makes a new candidate. */
static void
race_12_pending_while_scanned(void **state)
{
    (void)state;
    act(&w->m1, make_ring, NULL);
    wane_set(&w->root, w->a);
    act(&w->m1, release_ring, NULL);
    wane_clear(&w->root);
    assert_int_equal(collect(), 2);
    assert_int_equal(ended(&w->ended), 2);
}

static void
release_b_held(void *unused)
{
    (void)unused;
    wane_release(w->b);
}

static void
make_held_ring(void *unused)
{
    (void)unused;
    make_ring(NULL);
    wane_release(w->a); /* M1 goes on owning b */
}

static void
act_release_b(void *unused)
{
    (void)unused;
    act(&w->m1, release_b_held, NULL);
}

/* RACE-11: the last outside unit goes while the collection that judges the ring live is under way. */
static void
race_11_released_during_the_scan(void **state)
{
    (void)state;
    act(&w->m1, make_held_ring, NULL);
    on_step("suspect:end", act_release_b, NULL);
    (void)collect();
    (void)collect();
    assert_int_equal(ended(&w->ended), 2);
}

/* Blocks M1 between its look at the mark and its decrement, inside its section. */
static void
wait_for_go(void *unused)
{
    (void)unused;
    (void)gate_wait(&w->may_go, 50);
}

static void
release_slowly(void *unused)
{
    (void)unused;
    on_step("release:marked", wait_for_go, NULL);
    wane_release(w->b); /* its section opens before the hand-over's grace period */
}

static void
begin_slow_release(void *unused)
{
    (void)unused;
    act_begin(&w->m1, release_slowly, NULL);
    while (!steps_seen("release:marked"))
        ;
}

static void
mark_b_as_stranger(void *unused)
{
    (void)unused;
    wane_retain(w->b);
    wane_release(w->b);
}

static void
go(void *unused)
{
    (void)unused;
    gate_open(&w->may_go);
}

/* A mark is seen set, then cleared by the hand-over, then the decrement lands: the scan must wait for that section (H11). */
static void
race_mark_seen_before_handover(void **state)
{
    (void)state;
    act(&w->m1, make_held_ring, NULL);
    assert_int_equal(collect(), 0); /* M1's own marks are consumed: the ring is held */
    act(&w->m2, mark_b_as_stranger, NULL);
    on_step("collect:begin", begin_slow_release, NULL);
    on_step("collect:settled", go, NULL);
    (void)collect();
    act_wait(&w->m1);
    off_steps();
    (void)collect();
    assert_int_equal(ended(&w->ended), 2);
}

/* ---- Weak references against the decision ------------------------------------------------------------------------ */

static void
upgrade(void *unused)
{
    (void)unused;
    w->got = wane_weak_get(w->weak);
}

static void
act_upgrade(void *unused)
{
    (void)unused;
    act(&w->m2, upgrade, NULL);
}

static void
make_weak_ring(void)
{
    act(&w->m1, make_ring, NULL);
    w->weak = wane_weak(w->a);
    act(&w->m1, release_ring, NULL);
}

/* RACE-17, RACE-18 (i): an upgrade that meets CONDEMNED before the commit wins: the whole ring lives. */
static void
race_17_upgrade_before_the_commit(void **state)
{
    (void)state;
    make_weak_ring();
    on_step("decide:condemned", act_upgrade, NULL);
    assert_int_equal(collect(), 0);
    assert_ptr_equal(w->got, w->a);
    assert_int_equal(ended(&w->ended), 0);
    assert_ptr_equal(wane_weak_get(w->weak), w->a);
    wane_release(w->a);
    wane_release(w->a);
    assert_int_equal(collect(), 2);
    assert_null(wane_weak_get(w->weak));
    wane_release(w->weak);
}

/* RACE-18 (ii): after the commit it is NULL, and NULL is final. */
static void
race_18_upgrade_after_the_commit(void **state)
{
    (void)state;
    make_weak_ring();
    on_step("decide:committed", act_upgrade, NULL);
    assert_int_equal(collect(), 2);
    assert_null(w->got);
    assert_null(wane_weak_get(w->weak));
    wane_release(w->weak);
}

/* RACE-16: the upgrade comes before the condemning CAS: that fails, what was condemned is restored. */
static void
race_16_partial_condemn_rolls_back(void **state)
{
    void *other;

    (void)state;
    make_weak_ring();
    other = wane_weak_get(w->weak);
    assert_ptr_equal(other, w->a);
    wane_release(wane_weak(w->b));
    wane_release(other);
    on_step("decide:undecided", act_upgrade, NULL);
    assert_int_equal(collect(), 0);
    assert_ptr_equal(w->got, w->a);
    wane_release(w->a);
    assert_int_equal(collect(), 2);
    wane_release(w->weak);
}

/* ---- Death beside the first phase ---------------------------------------------------------------------------------- */

static struct node *hidden;

/* Without a dispose: such an object may die without an atomic step. */
static struct wane_type bare_type = {"bare", sizeof(struct node), node_slots, 3, 0, 0, 0, 0, {0}};

static void
clear_private(void *unused)
{
    (void)unused;
    wane_clear_private(&w->a->s[0]);
}

static void
act_clear_private(void *unused)
{
    (void)unused;
    off_steps();
    on_any_step("death:free", NULL, NULL);
    act(&w->m1, clear_private, NULL);
    w->freed_meanwhile = steps_seen("death:free");
}

static void
make_owner_of_hidden(void *unused)
{
    (void)unused;
    make_candidate(NULL);
    hidden = node_new(&w->ended);
    wane_put_private(&w->a->s[0], hidden);
}

/* The collector has read a slot; its object dies, last local unit, no flags: the memory must stay for a grace period. */
static void
race_death_between_slot_read_and_claim(void **state)
{
    (void)state;
    act(&w->m1, make_owner_of_hidden, NULL);
    on_step("suspect:slot-read", act_clear_private, NULL);
    (void)collect();
    assert_int_equal(w->freed_meanwhile, 0); /* the collector has its address */
    assert_int_equal(ended(&w->ended), 1);
    act(&w->m1, release_a, NULL);
    (void)collect();
    assert_int_equal(ended(&w->ended), 2);
}

static void
wait_in_plain_death(void *unused)
{
    (void)unused;
    (void)gate_wait(&w->may_go, 10000);
}

static void
clear_private_slowly(void *unused)
{
    (void)unused;
    on_step("death:plain", wait_in_plain_death, NULL);
    wane_clear_private(&w->a->s[0]);
}

static void
begin_clear_private(void *unused)
{
    (void)unused;
    act_begin(&w->m1, clear_private_slowly, NULL);
    while (!steps_seen("death:plain"))
        ;
}

static void
finish_clear_private(void *unused)
{
    (void)unused;
    on_any_step("death:free", NULL, NULL);
    gate_open(&w->may_go);
    act_wait(&w->m1);
    w->freed_meanwhile = steps_seen("death:free"); /* asserted later: the driver's locks are held here */
}

static void
make_owner_of_bare(void *unused)
{
    (void)unused;
    make_candidate(NULL);
    hidden = wane_new(&bare_type);
    wane_put_private(&w->a->s[0], hidden);
}

/* The last owner has judged word1 as all zero; the collector claims the object and its first phase ends; then it dies. */
static void
race_claimed_after_the_look_at_word1(void **state)
{
    (void)state;
    act(&w->m1, make_owner_of_bare, NULL);
    on_step("suspect:slot-read", begin_clear_private, NULL); /* the first slot, just read */
    on_step("suspect:end", finish_clear_private, NULL);
    (void)collect();
    assert_int_equal(w->freed_meanwhile, 0); /* the collector has its address */
    act(&w->m1, release_a, NULL);
    (void)collect();
    assert_int_equal(ended(&w->ended), 1);
}

int
main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(race_01_new_self_edge_after_count),
        T(race_03_borrow_across_the_traces),
        T(race_displaced_between_the_traces),
        T(race_04_retained_between_the_words),
        T(race_12_pending_while_scanned),
        T(race_11_released_during_the_scan),
        T(race_mark_seen_before_handover),
        T(race_17_upgrade_before_the_commit),
        T(race_18_upgrade_after_the_commit),
        T(race_16_partial_condemn_rolls_back),
        T(race_death_between_slot_read_and_claim),
        T(race_claimed_after_the_look_at_word1),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
