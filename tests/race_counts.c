/* SPDX-License-Identifier: MIT
 *
 * race_counts.c - owner, strangers, queue, merge and claim at exact points
 */
#include "race_common.h"

#include "count.h"
#include "driver.h"

static struct {
    struct actor m1, m2;
    struct node *a, *b;
    wane_slot    root;
    struct gate  may_go;
    int          ended;
    uint32_t     home, stood_on;
} w;

static int
setup(void **state)
{
    (void)state;
    memset(&w, 0, sizeof w);
    pthread_mutex_init(&w.may_go.lock, NULL);
    pthread_cond_init(&w.may_go.changed, NULL);
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

static void
make(void *unused)
{
    (void)unused;
    w.a = node_new(&w.ended);
}

static void
make_with_two_units(void *unused)
{
    (void)unused;
    wane_enter();
    w.a = node_new(&w.ended);
    wane_retain(w.a);
    wane_leave();
}

static void
release_a(void *unused)
{
    (void)unused;
    wane_release(w.a);
}

static uint64_t
word1(void)
{
    return load_relaxed(&WANE_HEADER(w.a)->word1);
}

static uint64_t
word0(void)
{
    return load_relaxed(&WANE_HEADER(w.a)->word0);
}

/* BIAS-22 of the state table: below zero is never reached without QUEUED; the queue holds the unit. */
static void
race_22_unit_below_zero_is_queued(void **state)
{
    (void)state;
    act(&w.m1, make_with_two_units, NULL);
    act(&w.m2, release_a, NULL); /* M1's first unit, handed over by agreement */
    assert_int_equal(wn_count(word1()), 0);
    assert_true(word1() & WN_QUEUED);
    act(&w.m2, release_a, NULL); /* the second: now below zero, covered by the queue's unit */
    assert_int_equal(wn_count(word1()), -1);
    assert_int_equal(ended(&w.ended), 0);
    assert_int_equal(wane_barrier(), 0); /* M1 sleeps outside: a claimer drains for it */
    assert_int_equal(ended(&w.ended), 1);
}

static void
m2_releases(void *unused)
{
    (void)unused;
    act(&w.m2, release_a, NULL);
}

static void
release_with_m2_in_the_merge(void *unused)
{
    (void)unused;
    on_step("merge:word0-cleared", m2_releases, NULL);
    wane_release(w.a);
}

/* BIAS-02, BIAS-05: the owner is between giving word0 up and publishing; a stranger releases: nobody waits, one death. */
static void
bias_02_release_inside_the_owners_merge(void **state)
{
    (void)state;
    act(&w.m1, make, NULL);
    wane_retain(w.a); /* the main thread's unit, in the shared count */
    wane_retain(w.a); /* and M2's */
    act(&w.m1, release_with_m2_in_the_merge, NULL);
    assert_true(word1() & WN_MERGED);
    assert_int_equal(ended(&w.ended), 0);
    wane_release(w.a);
    assert_int_equal(wane_barrier(), 0);
    (void)collect(); /* hands the marks over: memory */
    assert_int_equal(ended(&w.ended), 1);
}

static void
m1_releases_last(void *unused)
{
    (void)unused;
    act(&w.m1, release_a, NULL);
}

/* BIAS-02 the other way round: the stranger has judged the word and stops before its CAS; the owner merges. */
static void
bias_02_merge_before_the_strangers_cas(void **state)
{
    (void)state;
    act(&w.m1, make, NULL);
    wane_retain(w.a);
    on_step("release:before-cas", m1_releases_last, NULL);
    wane_release(w.a);
    assert_int_equal(steps_seen("release:before-cas"), 2); /* the first CAS failed */
    assert_int_equal(wane_barrier(), 0);
    (void)collect();
    assert_int_equal(ended(&w.ended), 1);
}

/* BIAS-03: the queue's unit keeps the object through its owner's own last release. */
static void
bias_03_queued_then_released_by_its_owner(void **state)
{
    (void)state;
    act(&w.m1, make_with_two_units, NULL);
    wane_release(w.a); /* main: queued to M1, whose section may not drain before its own release */
    assert_true(word1() & WN_QUEUED);
    act(&w.m1, release_a, NULL);
    assert_int_equal(wane_barrier(), 0);
    (void)collect();
    assert_int_equal(ended(&w.ended), 1);
}

static void
stop_here(void *unused)
{
    (void)unused;
    (void)gate_wait(&w.may_go, 10000);
}

static void
release_and_stop_before_push(void *unused)
{
    (void)unused;
    on_step("queue:before-push", stop_here, NULL);
    wane_release(w.a);
}

/* A thread stopped between its CAS and its push holds up that one unit, and nobody. */
static void
stopped_before_the_push_blocks_nobody(void **state)
{
    (void)state;
    act(&w.m1, make_with_two_units, NULL);
    act_begin(&w.m2, release_and_stop_before_push, NULL);
    while (!steps_seen("queue:before-push"))
        ;
    for (int i = 0; i < 1000; i++) {
        wane_retain(w.a);
        wane_release(w.a);
        wane_set(&w.root, w.a);
        wane_clear(&w.root);
    }
    assert_int_equal(ended(&w.ended), 0);
    gate_open(&w.may_go);
    act_wait(&w.m2);
    act(&w.m1, release_a, NULL);
    assert_int_equal(wane_barrier(), 0);
    (void)collect();
    assert_int_equal(ended(&w.ended), 1);
}

static void
release_and_stop_in_the_merge(void *unused)
{
    (void)unused;
    on_step("merge:word0-cleared", stop_here, NULL);
    wane_release(w.a);
}

/* An owner stopped in the middle of its merge: strangers retain, release and store meanwhile. */
static void
stopped_in_the_merge_blocks_nobody(void **state)
{
    (void)state;
    act(&w.m1, make, NULL);
    wane_retain(w.a);
    act_begin(&w.m1, release_and_stop_in_the_merge, NULL);
    while (!steps_seen("merge:word0-cleared"))
        ;
    for (int i = 0; i < 1000; i++) {
        wane_retain(w.a);
        wane_release(w.a);
        wane_set(&w.root, w.a);
        wane_clear(&w.root);
    }
    assert_int_equal(ended(&w.ended), 0);
    gate_open(&w.may_go);
    act_wait(&w.m1);
    wane_release(w.a);
    assert_int_equal(wane_barrier(), 0);
    (void)collect();
    assert_int_equal(ended(&w.ended), 1);
}

static void
remember_home(void *unused)
{
    (void)unused;
    wane_enter();
    w.home = wn_standing()->id;
    wane_leave();
}

static void
use_while_claimed(void *unused)
{
    (void)unused;
    wane_enter();
    w.stood_on = wn_standing()->id;
    wane_retain(w.a);
    wane_release(w.a);
    wane_leave();
}

static void
m1_enters(void *unused)
{
    (void)unused;
    act(&w.m1, use_while_claimed, NULL);
}

/* A thread that enters while its record is claimed never waits: it stands on another record for that section. */
static void
enter_while_claimed_takes_another_record(void **state)
{
    (void)state;
    act(&w.m1, make_with_two_units, NULL);
    act(&w.m1, remember_home, NULL);
    wane_release(w.a); /* queued: M1's record has a backlog */
    on_step("claim:held", m1_enters, NULL);
    assert_int_equal(wane_barrier(), 0);
    assert_true(steps_seen("claim:held") > 0);
    assert_int_not_equal(w.stood_on, 0);
    assert_int_not_equal(w.stood_on, w.home);
    act(&w.m1, use_while_claimed, NULL);
    assert_int_equal(w.stood_on, w.home); /* home again */
    act(&w.m1, release_a, NULL);
    (void)collect();
    assert_int_equal(ended(&w.ended), 1);
}

static void
m2_retains_and_releases(void *unused)
{
    (void)unused;
    wane_retain(w.a);
    wane_release(w.a);
}

/* BIAS-13: the owner's release to more than zero is a candidate event (quiet), a stranger's is another (BUFFERED). */
static void
bias_13_marks_of_owner_and_stranger(void **state)
{
    (void)state;
    act(&w.m1, make_with_two_units, NULL);
    assert_false(word0() & WANE_QUIET);
    act(&w.m2, m2_retains_and_releases, NULL);
    assert_true(word1() & WN_BUFFERED);
    assert_int_equal(collect(), 0);
    assert_false(word1() & (WN_BUFFERED | WN_CLAIMED | WN_REVIEW));
    act(&w.m1, release_a, NULL);
    assert_true(word0() & WANE_QUIET);
    act(&w.m1, release_a, NULL);
    assert_int_equal(ended(&w.ended), 1); /* its newest entry is taken back: dead at once */
}

/* BIAS-12, CNT-02: a count near its limit becomes immortal; neighbours in the word stay. */
static void
cnt_02_saturated_counts_are_immortal(void **state)
{
    struct wane_header *h;

    (void)state;
    act(&w.m1, make, NULL);
    h = WANE_HEADER(w.a);
    fetch_add_relaxed(&h->word1, (uint64_t)(WN_IMMORTAL - 1) * WN_COUNT_ONE);
    wane_retain(w.a); /* reaches the limit */
    wane_retain(w.a); /* finds it reached */
    assert_int_equal(wn_count(word1()), WN_IMMORTAL_CENTRE);
    for (int i = 0; i < 10; i++)
        wane_release(w.a);
    assert_int_equal(wn_count(word1()), WN_IMMORTAL_CENTRE);
    act(&w.m1, release_a, NULL);
    assert_true(word1() & WN_MERGED);
    assert_int_equal(wn_type_id(word0()), wn_type_id(load_relaxed(&h->word0)));
    (void)collect();
    assert_int_equal(ended(&w.ended), 0);
    /* For the census: take the immortality back. */
    fetch_add_relaxed(&h->word1, (uint64_t)(1 - wn_count(word1())) * WN_COUNT_ONE);
    wane_release(w.a);
    assert_int_equal(ended(&w.ended), 1);
}

/* Adding to and subtracting from the packed word never disturbs a neighbour field, at the extremes. */
static void
header_fields_do_not_leak_into_each_other(void **state)
{
    const int64_t counts[] = {0, 1, -1, 12345, -12345, WN_IMMORTAL, -WN_IMMORTAL};

    (void)state;
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        uint64_t v = WN_MERGED | WN_WEAK | WN_DEAD;

        v += (uint64_t)counts[i] * WN_COUNT_ONE;
        assert_int_equal(wn_count(v), counts[i]);
        assert_int_equal(v & (WN_COUNT_ONE - 1), WN_MERGED | WN_WEAK | WN_DEAD);
        v -= (uint64_t)counts[i] * WN_COUNT_ONE;
        assert_int_equal(v, WN_MERGED | WN_WEAK | WN_DEAD);
    }
}

int
main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(race_22_unit_below_zero_is_queued),
        T(bias_02_release_inside_the_owners_merge),
        T(bias_02_merge_before_the_strangers_cas),
        T(bias_03_queued_then_released_by_its_owner),
        T(stopped_before_the_push_blocks_nobody),
        T(stopped_in_the_merge_blocks_nobody),
        T(enter_while_claimed_takes_another_record),
        T(bias_13_marks_of_owner_and_stranger),
        T(cnt_02_saturated_counts_are_immortal),
        T(header_fields_do_not_leak_into_each_other),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
