/* SPDX-License-Identifier: MIT
 *
 * race_bias.c - owners that end, change or merge while a stranger is about to queue; threads that change records
 */
#include "race_common.h"

#include "count.h"
#include "driver.h"

static struct {
    struct actor m1, m2, m3;
    struct node *a, *b;
    int          ended, late_rounds;
    uint64_t     word0, word1;
    uint32_t     home, stood_on;
} w;

static int
setup(void **state)
{
    (void)state;
    memset(&w, 0, sizeof w);
    schedule_begin();
    actor_start(&w.m1);
    actor_start(&w.m2);
    actor_start(&w.m3);
    return 0;
}

static int
teardown(void **state)
{
    (void)state;
    off_steps();
    actor_stop(&w.m1);
    actor_stop(&w.m2);
    actor_stop(&w.m3);
    return wane_shutdown();
}

static uint64_t
word0_of(const void *object)
{
    return load_relaxed(&WANE_HEADER(object)->word0);
}

static uint64_t
word1_of(const void *object)
{
    return load_relaxed(&WANE_HEADER(object)->word1);
}

/* a, with that many units, all of them in its maker's local count. */
static void
make_with_units(void *units)
{
    wane_enter();
    w.home = wn_standing()->id;
    w.a = node_new(&w.ended);
    for (uintptr_t i = 1; i < (uintptr_t)units; i++)
        wane_retain(w.a);
    wane_leave();
}

#define UNITS(n) ((void *)(uintptr_t)(n))

static void
release_a(void *unused)
{
    (void)unused;
    wane_release(w.a);
}

static void
enter_and_leave(void *unused)
{
    (void)unused;
    wane_enter();
    w.stood_on = wn_standing()->id;
    wane_leave();
}

/* ---- An owner that ends, or is none any more ----------------------------------------------------------------- */

static void
m1_ends(void *unused)
{
    (void)unused;
    actor_stop(&w.m1);
    actor_start(&w.m1); /* another thread, which has no record yet */
}

static void
release_while_the_owner_ends(void *unused)
{
    (void)unused;
    on_step("queue:before-push", m1_ends, NULL);
    wane_release(w.a);
}

/* BIAS-04: the owner ends between the stranger's look and its push: the record keeps the queue, somebody drains
 * it. */
static void
bias_04_owner_ends_before_the_push(void **state)
{
    (void)state;
    act(&w.m1, make_with_units, UNITS(2));
    act(&w.m2, release_while_the_owner_ends, NULL);
    assert_true(steps_seen("queue:before-push") > 0);
    assert_int_equal(load_relaxed(&wn_record(w.home)->holder), 0);
    assert_true(word1_of(w.a) & WN_QUEUED);
    wane_release(w.a);
    assert_int_equal(ended(&w.ended), 0); /* the queue's unit */
    assert_int_equal(wane_barrier(), 0);
    assert_int_equal(ended(&w.ended), 1);
}

/* Inside a section, so that what comes meanwhile stays where it is. */
static void
enter_and_release(void *unused)
{
    (void)unused;
    wane_enter();
    w.stood_on = wn_standing()->id;
    wane_release(w.a);
}

static void
leave(void *unused)
{
    (void)unused;
    wane_leave();
}

static void
m1_ends_and_m3_follows(void *unused)
{
    m1_ends(unused);
    act(&w.m3, enter_and_release, NULL);
}

static void
release_while_the_owner_changes(void *unused)
{
    (void)unused;
    on_step("queue:before-push", m1_ends_and_m3_follows, NULL);
    wane_release(w.a);
}

/* BIAS-04: .. and another thread has taken the record before the push: it is the owner now, and its leave drains. */
static void
bias_04_owner_changes_before_the_push(void **state)
{
    (void)state;
    act(&w.m1, make_with_units, UNITS(3));
    act(&w.m2, release_while_the_owner_changes, NULL);
    assert_int_equal(w.stood_on, w.home);
    assert_int_equal(wn_local(word0_of(w.a)), 2); /* M3's release was the owner's */
    wane_release(w.a);
    assert_int_equal(wn_count(word1_of(w.a)), -1);
    assert_int_equal(ended(&w.ended), 0);
    act(&w.m3, leave, NULL);
    assert_int_equal(ended(&w.ended), 1);
    (void)collect();
}

/* M3 gives its unit to the queue, and the owner drains it. */
static void
m3_releases_and_m1_merges(void *unused)
{
    (void)unused;
    act(&w.m3, release_a, NULL);
    act(&w.m1, enter_and_leave, NULL);
}

static void
release_while_it_is_merged(void *seen)
{
    on_step("release:before-cas", m3_releases_and_m1_merges, NULL);
    wane_release(w.a);
    *(unsigned *)seen = steps_seen("release:before-cas");
}

/* BIAS-05: a stranger has found that its unit must be queued; before its CAS the object is merged: a plain
 * decrement. */
static void
bias_05_merged_before_the_unit_is_queued(void **state)
{
    struct wane_stats before, after;
    unsigned          seen;

    (void)state;
    wane_stats(&before);
    act(&w.m1, make_with_units, UNITS(3));
    act(&w.m2, release_while_it_is_merged, &seen);
    wane_stats(&after);
    assert_int_equal(seen, 2); /* the first CAS failed */
    assert_int_equal(after.queued - before.queued, 1); /* M3's */
    assert_true(word1_of(w.a) & WN_MERGED);
    assert_false(word1_of(w.a) & WN_QUEUED);
    assert_int_equal(wn_count(word1_of(w.a)), 1);
    act(&w.m1, release_a, NULL);
    (void)collect();
    assert_int_equal(ended(&w.ended), 1);
}

/* ---- Queued while the collector looks ------------------------------------------------------------------------ */

static void
make_for_m2(void *hold_itself)
{
    make_with_units(UNITS(2));
    if (hold_itself)
        wane_set(&w.a->s[0], w.a);
}

static void
make_candidate_of_a(void *unused)
{
    (void)unused;
    wane_retain(w.a);
    wane_release(w.a);
}

/* M2's units, which M1's local count counts: one is the queue's now, the other is below zero. */
static void
release_both(void *unused)
{
    (void)unused;
    wane_release(w.a);
    wane_release(w.a);
}

static void
m2_releases_both(void *unused)
{
    (void)unused;
    act(&w.m2, release_both, NULL);
}

/* BIAS-08: nobody holds it but the queue, and the collector looks. Not garbage yet; it is after the drain. */
static void
bias_08_held_by_the_queue_alone(void **state)
{
    (void)state;
    act(&w.m1, make_for_m2, &w);
    act(&w.m2, make_candidate_of_a, NULL);
    on_step("collect:handed-over", m2_releases_both, NULL);
    assert_int_equal(collect(), 0);
    assert_int_equal(ended(&w.ended), 0);
    assert_true(w.a->canary == CANARY);
    assert_true(word1_of(w.a) & WN_QUEUED);
    assert_false(word1_of(w.a) & WN_CLAIMED);
    assert_int_equal(collect(), 1);
    assert_int_equal(ended(&w.ended), 1);
}

static void
m2_releases_both_and_m1_drains(void *unused)
{
    (void)unused;
    act(&w.m2, release_both, NULL);
    act(&w.m1, enter_and_leave, NULL);
}

/* BIAS-08: queued, drained and dead while the collector has it in its table: its memory waits, nothing is
 * counted twice. */
static void
bias_08_dead_while_claimed(void **state)
{
    (void)state;
    act(&w.m1, make_for_m2, NULL);
    act(&w.m2, make_candidate_of_a, NULL);
    on_step("collect:grace", m2_releases_both_and_m1_drains, NULL);
    assert_int_equal(collect(), 0);
    assert_true(steps_seen("collect:grace") > 0);
    assert_int_equal(ended(&w.ended), 1);
    assert_int_equal(collect(), 0);
}

/* ---- One thread, two records --------------------------------------------------------------------------------- */

/* Standing elsewhere: a count of a goes to word1, and what is made here is biased to this record. */
static void
use_on_a_lent_record(void *unused)
{
    (void)unused;
    wane_enter();
    w.stood_on = wn_standing()->id;
    wane_retain(w.a);
    w.word0 = word0_of(w.a);
    w.word1 = word1_of(w.a);
    w.b = node_new(&w.ended);
    wane_leave();
}

static void
m1_enters(void *unused)
{
    (void)unused;
    act(&w.m1, use_on_a_lent_record, NULL);
}

static void
retain_both_at_home(void *unused)
{
    (void)unused;
    wane_enter();
    w.stood_on = wn_standing()->id;
    wane_retain(w.a);
    wane_retain(w.b);
    wane_leave();
}

static void
release_three_of_a_and_two_of_b(void *unused)
{
    (void)unused;
    for (int i = 0; i < 3; i++)
        wane_release(w.a);
    for (int i = 0; i < 2; i++)
        wane_release(w.b);
}

static void
make_and_queue(void *unused)
{
    struct node *queued;

    make_with_units(UNITS(1));
    queued = w.a;
    make_with_units(UNITS(1));
    w.b = queued;
    (void)unused;
}

/* BIAS-16: lent another record for one section, a thread is a stranger to what it owns, and the other way round. */
static void
bias_16_stranger_to_ones_own(void **state)
{
    (void)state;
    act(&w.m1, make_and_queue, NULL);
    wane_release(w.b); /* M1's record has a backlog: there is something to claim it for */
    on_step("claim:held", m1_enters, NULL);
    assert_int_equal(wane_barrier(), 0);
    assert_true(steps_seen("claim:held") > 0);
    assert_int_equal(ended(&w.ended), 1);
    assert_int_not_equal(w.stood_on, w.home);
    assert_int_equal(wn_owner(w.word0), w.home);
    assert_int_equal(wn_local(w.word0), 1);
    assert_int_equal(wn_count(w.word1), 1);
    assert_int_equal(wn_owner(word0_of(w.b)), w.stood_on);
    act(&w.m1, retain_both_at_home, NULL);
    assert_int_equal(w.stood_on, w.home);
    assert_int_equal(wn_local(word0_of(w.a)), 2);
    assert_int_equal(wn_local(word0_of(w.b)), 1);
    assert_int_equal(wn_count(word1_of(w.b)), 1);
    act(&w.m1, release_three_of_a_and_two_of_b, NULL);
    assert_int_equal(wane_barrier(), 0);
    (void)collect();
    assert_int_equal(ended(&w.ended), 3);
}

static pthread_key_t late_key;

static void
enter_and_retain(void *unused)
{
    (void)unused;
    wane_enter();
    w.stood_on = wn_standing()->id;
    wane_retain(w.a);
}

/* In the second round the runtime's own destructor has run: the record is free, and M3 takes it. */
static void
late_destructor(void *arg)
{
    if (w.late_rounds++ == 0) {
        pthread_setspecific(late_key, arg);
        return;
    }
    act(&w.m3, enter_and_retain, NULL);
    wane_enter();
    wane_retain(w.a);
    w.word0 = word0_of(w.a);
    w.word1 = word1_of(w.a);
    wane_leave();
    wane_release(w.a);
    wane_release(w.a);
}

static void *
make_and_end(void *unused)
{
    (void)unused;
    make_with_units(UNITS(1));
    pthread_setspecific(late_key, &w);
    return NULL;
}

static void
release_and_leave(void *unused)
{
    (void)unused;
    wane_leave();
    wane_release(w.a);
}

/* BIAS-16: a thread uses the runtime again after its record has gone to another thread: what it made is not its
 * own. */
static void
bias_16_record_given_up(void **state)
{
    pthread_t t;

    (void)state;
    assert_int_equal(pthread_key_create(&late_key, late_destructor), 0);
    assert_int_equal(pthread_create(&t, NULL, make_and_end, NULL), 0);
    assert_int_equal(pthread_join(t, NULL), 0);
    pthread_key_delete(late_key);
    assert_int_equal(w.stood_on, w.home);
    assert_int_equal(wn_local(w.word0), 2); /* the maker's unit, and M3's by a plain add */
    assert_int_equal(wn_count(w.word1), 1); /* the maker's second one */
    assert_true(word1_of(w.a) & WN_QUEUED);
    assert_int_equal(ended(&w.ended), 0);
    act(&w.m3, release_and_leave, NULL);
    (void)collect();
    assert_int_equal(ended(&w.ended), 1);
}

int
main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(bias_04_owner_ends_before_the_push),
        T(bias_04_owner_changes_before_the_push),
        T(bias_05_merged_before_the_unit_is_queued),
        T(bias_08_held_by_the_queue_alone),
        T(bias_08_dead_while_claimed),
        T(bias_16_stranger_to_ones_own),
        T(bias_16_record_given_up),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
