/* SPDX-License-Identifier: MIT
 *
 * race_claim.c - a claimer against the thread whose record it claims, at every step of both
 *
 * The thread's steps are those of the inline enter, one by one: it announces itself in ctr, then looks at the claim word.
 * The program runs twice: with membarrier, and without (WANE_NO_MEMBARRIER).
 */
#include "claim_common.h"

#include <wane/collector.h>

#include "background.h"

#define A_MINUTE 60000

/* ---- The thread ------------------------------------------------------------------------------------------------------ */

static void
announce(void *unused)
{
    (void)unused;
    WANE_STORE_RELEASE(&wane_self.record->ctr, WANE_LOAD_ACQUIRE(&wane_epoch));
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
}

static void
look(void *stood_on)
{
    if (WANE_LOAD_ACQUIRE(&wane_self.record->claim))
        wane_enter_slow();
    else
        wane_self.me = wane_self.record->me;
    *(uint32_t *)stood_on = wn_standing()->id;
}

static void
leave(void *unused)
{
    (void)unused;
    wane_leave();
}

static void
release_b(void *unused)
{
    (void)unused;
    wane_release(w.b);
}

/* ---- Every order ----------------------------------------------------------------------------------------------------- */

enum point { BEFORE, BEGIN, ANNOUNCED, FENCED, HELD, IN_THE_DRAIN, AFTER };

static const char *const name_of[] = {NULL, "claim:begin", "claim:announced", "claim:fenced", "claim:held",
                                      "merge:word0-cleared", NULL};

/* When the thread does its three steps. */
static struct order {
    enum point at[3];
    int        next;
} order;

static bool
stands_at_home(void)
{
    return order.next == 2 && w.stood_on[0] == w.home->id;
}

static void
reach(void *point)
{
    enum point now = (enum point)(uintptr_t)point;

    while (order.next < 3 && order.at[order.next] <= now) {
        switch (order.next) {
        case 0: act(&w.m1, announce, NULL); break;
        case 1: act(&w.m1, look, &w.stood_on[0]); break;
        default: act(&w.m1, leave, NULL);
        }
        order.next++;
    }
    if (now == HELD || now == IN_THE_DRAIN)
        assert_false(stands_at_home());
}

/* Is the thread outside, or on another record, whenever the claimer looks? */
static bool
may_be_claimed(enum point announces, enum point looks, enum point leaves)
{
    if (announces == BEFORE || announces > FENCED)
        return announces != BEFORE || leaves == BEFORE;
    return looks <= FENCED && (looks >= ANNOUNCED || leaves <= FENCED);
}

static void
run_order(enum point announces, enum point looks, enum point leaves)
{
    bool claimed;

    queue_a();
    order = (struct order){{announces, looks, leaves}, 0};
    w.stood_on[0] = 0;
    reach((void *)(uintptr_t)BEFORE);
    for (uintptr_t p = BEGIN; p < AFTER; p++)
        on_step(name_of[p], reach, (void *)p);
    claimed = claim(w.home);
    assert_int_equal(claimed, may_be_claimed(announces, looks, leaves));
    if (looks >= ANNOUNCED && looks <= FENCED && announces != BEFORE)
        assert_int_not_equal(w.stood_on[0], w.home->id);
    reach((void *)(uintptr_t)AFTER);
    if (looks < ANNOUNCED || looks == AFTER)
        assert_int_equal(w.stood_on[0], w.home->id);
    all_is_freed();
}

static void
not_both_go_on_in_any_order(void **state)
{
    (void)state;
    for (int announces = BEFORE; announces <= AFTER; announces++)
        for (int looks = announces; looks <= AFTER; looks++)
            for (int leaves = looks; leaves <= AFTER; leaves++)
                run_order(announces, looks, leaves);
}

static void
m1_enters(void *unused)
{
    (void)unused;
    act(&w.m1, enter, &w.stood_on[0]);
}

static void
the_thread_enters_before_the_announcement(void **state)
{
    (void)state;
    queue_a();
    on_step("claim:begin", m1_enters, NULL);
    assert_false(claim(w.home));
    assert_int_equal(w.stood_on[0], w.home->id);
    assert_true(load_relaxed(&w.home->pub.attention) & WN_ATTEND);
    act(&w.m1, leave, NULL); /* and does the work itself */
    assert_null(load_relaxed(&w.home->queue));
    all_is_freed();
}

/* While the thread does the work at the end of its section it is still inside. */
static void
the_driver_claims(void *unused)
{
    (void)unused;
    act(&w.driver, claim_home, NULL);
}

static void
leave_with_a_claim_in_the_middle(void *unused)
{
    (void)unused;
    on_step("merge:word0-cleared", the_driver_claims, NULL);
    wane_leave();
}

static void
claimed_in_the_middle_of_a_leave(void **state)
{
    (void)state;
    queue_a();
    w.claimed = true;
    act(&w.m1, enter, &w.stood_on[0]);
    assert_false(claim(w.home));
    act(&w.m1, leave_with_a_claim_in_the_middle, NULL);
    assert_false(w.claimed);
    all_is_freed();
}

/* ---- Lent records ---------------------------------------------------------------------------------------------------- */

static void
enter_deeply(void *unused)
{
    (void)unused;
    for (int i = 0; i < 3; i++)
        enter(&w.stood_on[i]);
}

static void
m1_enters_deeply(void *unused)
{
    (void)unused;
    act(&w.m1, enter_deeply, NULL);
}

static void
leave_inner_levels(void *unused)
{
    (void)unused;
    for (int i = 0; i < 2; i++)
        wane_leave();
    enter(&w.stood_on[1]);
    wane_leave();
}

static void
nested_sections_stay_on_the_lent_record(void **state)
{
    (void)state;
    queue_a();
    on_step("claim:held", m1_enters_deeply, NULL);
    assert_true(claim(w.home));
    assert_int_not_equal(w.stood_on[0], w.home->id);
    act(&w.m1, leave_inner_levels, NULL); /* home is free, the section is not over */
    assert_int_equal(w.stood_on[1], w.stood_on[0]);
    assert_int_equal(w.stood_on[2], w.stood_on[0]);
    act(&w.m1, leave, NULL);
    act(&w.m1, visit, &w.stood_on[1]);
    assert_int_equal(w.stood_on[1], w.home->id);
    all_is_freed();
}

static void
m1_visits_three_times(void *unused)
{
    (void)unused;
    for (int i = 0; i < 3; i++)
        act(&w.m1, visit, &w.stood_on[i]);
}

static void
lent_again_until_the_claim_ends(void **state)
{
    (void)state;
    queue_a();
    on_step("claim:held", m1_visits_three_times, NULL);
    assert_true(claim(w.home));
    for (int i = 0; i < 3; i++)
        assert_int_not_equal(w.stood_on[i], w.home->id);
    m1_visits_three_times(NULL);
    for (int i = 0; i < 3; i++)
        assert_int_equal(w.stood_on[i], w.home->id);
    all_is_freed();
}

static void
make_b_with_two_units(void *unused)
{
    (void)unused;
    enter(&w.stood_on[0]);
    w.b = node_new(&w.b_ended);
    wane_retain(w.b);
    wane_leave();
}

static void
m1_makes_b(void *unused)
{
    (void)unused;
    act(&w.m1, make_b_with_two_units, NULL);
}

static void
objects_made_on_a_lent_record(void **state)
{
    (void)state;
    queue_a();
    on_step("claim:held", m1_makes_b, NULL);
    assert_true(claim(w.home));
    assert_int_equal(wn_owner(load_relaxed(&WANE_HEADER(w.b)->word0)), w.stood_on[0]);
    assert_int_not_equal(w.stood_on[0], w.home->id);
    act(&w.m1, release_b, NULL); /* a stranger now: the unit is queued to a record where nobody stands */
    assert_true(load_relaxed(&WANE_HEADER(w.b)->word1) & WN_QUEUED);
    act(&w.m1, release_b, NULL);
    assert_int_equal(wane_barrier(), 0);
    (void)collect();
    assert_int_equal(ended(&w.b_ended), 1);
    all_is_freed();
}

static void
m2_enters(void *unused)
{
    (void)unused;
    act(&w.m2, enter, &w.m2_stood_on);
}

static void
two_threads_are_lent_records_at_once(void **state)
{
    uint32_t m2_home;

    (void)state;
    act(&w.m2, visit, &m2_home);
    queue_a();
    on_step("claim:held", m1_enters, NULL);
    assert_true(claim(w.home));
    off_steps();
    on_step("claim:held", m2_enters, NULL);
    assert_true(claim(wn_record(m2_home)));
    assert_int_not_equal(w.m2_stood_on, m2_home);
    assert_int_not_equal(w.m2_stood_on, w.stood_on[0]);
    wane_retain(w.a);
    wane_retain(w.a);
    act(&w.m1, release_a, NULL);
    act(&w.m2, release_a, NULL);
    act(&w.m1, leave, NULL);
    act(&w.m2, leave, NULL);
    act(&w.m1, visit, &w.stood_on[0]);
    assert_int_equal(w.stood_on[0], w.home->id);
    all_is_freed();
}

/* ---- Exits ----------------------------------------------------------------------------------------------------------- */

static struct {
    pthread_t    thread;
    struct gate  ready, may_exit;
    struct node *node;
    wane_slot    root;
    int          ended;
    uint32_t     next_stood_on;
} mortal;

static void *
live_and_exit(void *unused)
{
    struct node *other;

    (void)unused;
    wane_enter();
    w.home = wn_standing();
    mortal.node = node_new(&mortal.ended);
    wane_retain(mortal.node);
    other = node_new(&mortal.ended);
    wane_retain(other);
    wane_release(other); /* a candidate */
    wane_put(&mortal.root, other);
    wane_leave();
    gate_open(&mortal.ready);
    (void)gate_wait(&mortal.may_exit, A_MINUTE);
    wane_clear(&mortal.root);
    return NULL;
}

static void *
visit_once(void *unused)
{
    (void)unused;
    visit(&mortal.next_stood_on);
    return NULL;
}

static void
a_life_begins_and_ends(void)
{
    pthread_t t;

    pthread_create(&t, NULL, visit_once, NULL);
    pthread_join(t, NULL);
}

static void
the_thread_exits(void *unused)
{
    (void)unused;
    gate_open(&mortal.may_exit);
    pthread_join(mortal.thread, NULL);
    a_life_begins_and_ends();
    assert_int_not_equal(mortal.next_stood_on, w.home->id); /* free, but claimed */
}

static void
drv_11_owner_ends_while_its_record_is_claimed(void **state)
{
    (void)state;
    memset(&mortal, 0, sizeof mortal);
    mortal.ready = mortal.may_exit = (struct gate)GATE_CLOSED;
    pthread_create(&mortal.thread, NULL, live_and_exit, NULL);
    assert_true(gate_wait(&mortal.ready, A_MINUTE));
    wane_release(mortal.node); /* queued */
    on_step("claim:held", the_thread_exits, NULL);
    assert_true(claim(w.home));
    off_steps();
    assert_int_equal(load_relaxed(&w.home->holder), 0);
    wane_release(mortal.node);
    assert_int_equal(wane_barrier(), 0);
    (void)collect();
    assert_int_equal(ended(&mortal.ended), 2);
}

/* ---- Is the thread idle? ------------------------------------------------------------------------------------------- */

enum { LONG = 5000 };

DEED(m1_drops_a_list)
{
    struct node *head = NULL;

    wane_enter();
    for (int i = 0; i < LONG; i++) {
        struct node *n = node_new(&w.ended);

        wane_put(&n->s[0], head);
        head = n;
    }
    wane_leave();
    wane_release(head);
}

static enum wn_left
tick(void)
{
    enum wn_left left;

    wn_driver_begin();
    left = wn_background_tick(0);
    wn_driver_end();
    return left;
}

/* What a thread has left to be buried is buried by others when it has been outside from one tick to the next; the second comes
 * soon, but not again and again beside a thread that is busy. */
static void
a_thread_that_may_be_idle_is_looked_at_soon(void **state)
{
    uint32_t stood_on;
    int      before;

    (void)state;
    (void)wane_set_automatic(false); /* a collection takes everybody's candidates, idle or not */
    act(&w.m1, m1_drops_a_list, NULL);
    before = ended(&w.ended);
    assert_true(before < LONG);
    assert_int_equal(tick(), WN_LEFT_SOON);
    assert_int_equal(ended(&w.ended), before);
    assert_int_not_equal(tick(), WN_LEFT_SOON);
    assert_true(ended(&w.ended) > before);
    while (ended(&w.ended) < LONG)
        (void)tick();
    act(&w.m1, m1_drops_a_list, NULL);
    assert_int_equal(tick(), WN_LEFT_SOON);
    act(&w.m1, visit, &stood_on);
    before = ended(&w.ended);
    assert_true(before < 2 * LONG);
    assert_int_equal(tick(), WN_LEFT_WAITS);
    assert_int_equal(ended(&w.ended), before);
    assert_int_equal(wane_barrier(), 0);
    assert_int_equal(ended(&w.ended), 2 * LONG);
    (void)wane_set_automatic(true);
}

int
main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(not_both_go_on_in_any_order),
        T(the_thread_enters_before_the_announcement),
        T(claimed_in_the_middle_of_a_leave),
        T(nested_sections_stay_on_the_lent_record),
        T(lent_again_until_the_claim_ends),
        T(objects_made_on_a_lent_record),
        T(two_threads_are_lent_records_at_once),
        T(drv_11_owner_ends_while_its_record_is_claimed),
        T(a_thread_that_may_be_idle_is_looked_at_soon),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
