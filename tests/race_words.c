/* SPDX-License-Identifier: MIT
 *
 * race_words.c - the collector reads a count from two words, while owners, strangers, merges and new owners change them
 *
 * As in race_review.c an object in use is made a suspect, and the review must find out. What the first phase makes of a torn
 * count is asserted too, so that a schedule that misses its point fails.
 */
#include "race_common.h"

#include "count.h"
#include "record.h"

static struct {
    struct actor m1, m2;
    struct node *a, *b;
    int          ended;
    uint64_t     seen; /* word1 of a, where a schedule looked at it */
    uint32_t     id, id_after;
    void        *got;
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

static uint64_t
word1(void)
{
    return load_relaxed(&WANE_HEADER(w.a)->word1);
}

static struct wane_collected
collect_all(void)
{
    struct wane_collected c;

    assert_int_equal(wane_collect(WANE_ALL, &c), 0);
    return c;
}

static void
become_candidate(void *unused)
{
    (void)unused;
    wane_retain(w.a);
    wane_release(w.a);
}

static void
make_candidate(void *unused)
{
    wane_enter();
    w.a = node_new(&w.ended);
    become_candidate(unused);
    wane_leave();
}

static void
retain_a(void *unused)
{
    (void)unused;
    wane_retain(w.a);
}

static void
release_a(void *unused)
{
    (void)unused;
    wane_release(w.a);
}

/* ---- The two reads of a count --------------------------------------------------------------------------------------- */

static void
make_with_two_units(void *unused)
{
    wane_enter();
    make_candidate(unused);
    wane_retain(w.a);
    wane_leave();
}

/* One of M1's units is M2's by agreement. M2's own, in the slot, is in word1. */
static void
release_queued_and_store(void *unused)
{
    (void)unused;
    wane_release(w.a);
    wane_set(&w.a->s[0], w.a);
}

static void
m2_queues_and_stores(void *unused)
{
    (void)unused;
    act(&w.m2, release_queued_and_store, NULL);
}

static void
enter_and_leave(void *unused)
{
    (void)unused;
    wane_enter();
    wane_leave();
}

static void
m1_drains(void *unused)
{
    (void)unused;
    act(&w.m1, enter_and_leave, NULL);
    w.seen = word1();
}

/* RACE-20: word1 is read, the owner's drain moves its units there, word0 is read: units are missing from the sum. */
static void
race_20_merge_between_the_two_count_reads(void **state)
{
    struct wane_collected c;

    (void)state;
    act(&w.m1, make_with_two_units, NULL);
    on_step("collect:grace", m2_queues_and_stores, NULL);
    on_step("suspect:word1-read", m1_drains, NULL);
    c = collect_all();
    assert_true(w.seen & WN_MERGED);
    assert_int_equal(wn_count(w.seen), 2); /* M1's and the slot's */
    assert_true(c.suspects > 0); /* 1 was read, and one edge */
    assert_int_equal(c.freed, 0);
    assert_int_equal(ended(&w.ended), 0);
    assert_true(w.a->canary == CANARY);
    act(&w.m1, release_a, NULL);
    assert_int_equal(collect(), 1);
}

static void
make_self_held(void *unused)
{
    wane_enter();
    make_candidate(unused);
    wane_set(&w.a->s[0], w.a);
    wane_leave();
}

static void
m2_retains_then_m1_releases(void *unused)
{
    (void)unused;
    act(&w.m2, retain_a, NULL);
    act(&w.m1, release_a, NULL);
}

/* RACE-21: a unit goes from the owner's word to the other one after that was read: 1 is read of 2. */
static void
race_21_unit_moves_to_the_word_read_first(void **state)
{
    struct wane_collected c;

    (void)state;
    act(&w.m1, make_self_held, NULL);
    on_step("suspect:word1-read", m2_retains_then_m1_releases, NULL);
    c = collect_all();
    assert_true(c.suspects > 0);
    assert_int_equal(c.freed, 0);
    assert_int_equal(ended(&w.ended), 0);
    assert_true(w.a->canary == CANARY);
    act(&w.m2, release_a, NULL);
    assert_int_equal(collect(), 1);
}

static void
m1_retains_then_m2_releases(void *unused)
{
    (void)unused;
    act(&w.m1, retain_a, NULL);
    act(&w.m2, release_a, NULL);
    w.seen++;
}

/* The mirror: read twice, 3 of 2. The candidate is dropped as live; it is one again when its last outer unit goes. */
static void
race_21_unit_moves_to_the_word_read_last(void **state)
{
    struct wane_collected c;

    (void)state;
    act(&w.m1, make_self_held, NULL);
    act(&w.m2, retain_a, NULL);
    act(&w.m1, release_a, NULL);
    on_step("suspect:word1-read", m1_retains_then_m2_releases, NULL);
    c = collect_all();
    assert_int_equal(w.seen, 1);
    assert_int_equal(c.suspects, 0);
    assert_int_equal(ended(&w.ended), 0);
    act(&w.m1, release_a, NULL);
    assert_int_equal(collect(), 1);
}

/* ---- Below zero ------------------------------------------------------------------------------------------------------ */

/* a <-> b, and two more units of a that M2 gets. */
static void
make_ring_for_m2(void *unused)
{
    wane_enter();
    make_with_two_units(unused);
    w.b = node_new(&w.ended);
    wane_set(&w.b->s[0], w.a);
    wane_put(&w.a->s[0], w.b);
    wane_leave();
}

static void
release_both(void *unused)
{
    (void)unused;
    wane_release(w.a);
    wane_release(w.a);
    w.seen = word1();
}

static void
m2_releases_both(void *unused)
{
    (void)unused;
    act(&w.m2, release_both, NULL);
}

/* RACE-22: the collector reads a ring whose shared count is below zero, and whose owner sleeps. */
static void
race_22_negative_in_the_suspect_set(void **state)
{
    size_t freed = 0;

    (void)state;
    act(&w.m1, make_ring_for_m2, NULL);
    on_step("collect:grace", m2_releases_both, NULL);
    freed += collect();
    assert_int_equal(wn_count(w.seen), -1);
    assert_true(w.seen & WN_QUEUED);
    freed += collect();
    assert_int_equal(freed, 2);
    assert_int_equal(ended(&w.ended), 2);
}

/* ---- Threads that end, and that come after them -------------------------------------------------------------------- */

static struct {
    struct actor  actor;
    pthread_key_t key;
    int           rounds;
    bool          runtime_gone;
} dying;

/* In the second round the runtime's own destructor has run. From then on the thread acts in here. */
static void
dying_destructor(void *value)
{
    if (++dying.rounds < 3) {
        pthread_setspecific(dying.key, value);
        return;
    }
    dying.runtime_gone = wane_self.me == WN_ME_EXITING;
    (void)actor_run(&dying.actor);
}

static void *
dying_main(void *unused)
{
    (void)unused;
    make_candidate(NULL);
    pthread_setspecific(dying.key, &dying);
    return NULL;
}

static void
dying_start(void)
{
    memset(&dying, 0, sizeof dying);
    pthread_mutex_init(&dying.actor.lock, NULL);
    pthread_cond_init(&dying.actor.changed, NULL);
    assert_int_equal(pthread_key_create(&dying.key, dying_destructor), 0);
    assert_int_equal(pthread_create(&dying.actor.thread, NULL, dying_main, NULL), 0);
}

static void
set_self(void *slot)
{
    wane_set(slot, w.a);
}

static void
dying_stores(void *unused)
{
    (void)unused;
    act(&dying.actor, set_self, &w.a->s[0]);
}

static void
move_inside_and_borrow(void *unused)
{
    (void)unused;
    wane_enter();
    wane_put(&w.a->s[1], w.a);
}

static void
dying_moves_inside(void *unused)
{
    (void)unused;
    act(&dying.actor, move_inside_and_borrow, NULL);
}

static void
retain_and_leave(void *unused)
{
    (void)unused;
    wane_retain(w.a);
    wane_leave();
}

static void
dying_retains(void *unused)
{
    (void)unused;
    act(&dying.actor, retain_and_leave, NULL);
}

/* RACE-30: the mutator is a thread-specific destructor, after the runtime has let go of its thread. */
static void
race_30_mutator_is_a_dying_thread(void **state)
{
    (void)state;
    dying_start();
    act(&dying.actor, enter_and_leave, NULL);
    assert_true(dying.runtime_gone);
    on_step("suspect:begin", dying_stores, NULL);
    on_step("review:merged", dying_moves_inside, NULL);
    on_step("review:e1", dying_retains, NULL);
    assert_int_equal(collect(), 0);
    assert_true(steps_seen("review:e1") > 0);
    assert_int_equal(ended(&w.ended), 0);
    assert_true(w.a->canary == CANARY);
    act(&dying.actor, release_a, NULL);
    actor_stop(&dying.actor);
    assert_int_equal(collect(), 1);
    pthread_key_delete(dying.key);
}

static void
dying_releases(void *unused)
{
    (void)unused;
    act(&dying.actor, release_a, NULL);
    actor_stop(&dying.actor);
}

/* The last outer unit goes by a thread that ends in the middle of the scan which judges the ring live. */
static void
race_30_last_release_by_a_dying_thread(void **state)
{
    (void)state;
    dying_start();
    act(&dying.actor, enter_and_leave, NULL);
    act(&dying.actor, set_self, &w.a->s[0]);
    on_step("suspect:end", dying_releases, NULL);
    (void)collect();
    assert_true(steps_seen("suspect:end") > 0);
    (void)collect();
    assert_int_equal(ended(&w.ended), 1);
    pthread_key_delete(dying.key);
}

static void
note_id(void *id)
{
    wane_enter();
    *(uint32_t *)id = wn_standing()->id;
    wane_leave();
}

static void
make_self_held_noting_id(void *more_units)
{
    wane_enter();
    make_self_held(NULL);
    for (int i = 0; i < *(const int *)more_units; i++)
        wane_retain(w.a);
    wane_leave();
    note_id(&w.id);
}

#define MOST_RECORDS 32

static struct actor newcomer[MOST_RECORDS];
static int          newcomers;

/* On the owner's fast path, if this thread stands on the record that a is biased to. */
static void
retain_as_the_new_owner(void *unused)
{
    (void)unused;
    wane_enter();
    w.id_after = wn_standing()->id;
    if (w.id_after == w.id)
        w.got = wane_retain(w.a);
    wane_leave();
}

static void
m2_stores(void *unused)
{
    (void)unused;
    act(&w.m2, set_self, &w.a->s[1]);
}

/* New threads take free records; one of them that one. */
static void
newcomers_retain(void *unused)
{
    (void)unused;
    for (newcomers = 0; newcomers < MOST_RECORDS && !w.got; newcomers++) {
        actor_start(&newcomer[newcomers]);
        act(&newcomer[newcomers], retain_as_the_new_owner, NULL);
    }
    w.seen = word1();
}

static void
owner_makes_and_ends(int more_units)
{
    struct actor first;

    act(&w.m2, note_id, &w.id_after); /* so that it takes no record later */
    actor_start(&first);
    act(&first, make_self_held_noting_id, &more_units);
    actor_stop(&first);
}

/* RACE-31: the owner has ended; a new thread gets its record, and is the owner, while the collector asks for the merge. */
static void
race_31_new_owner_while_a_merge_is_asked_for(void **state)
{
    struct wane_collected c;

    (void)state;
    owner_makes_and_ends(0);
    on_step("suspect:begin", m2_stores, NULL);
    on_step("review:marked", newcomers_retain, NULL);
    c = collect_all();
    assert_ptr_equal(w.got, w.a);
    assert_true(c.suspects > 0);
    assert_int_equal(c.freed, 0);
    assert_true(w.seen & WN_MERGED);
    assert_int_equal(wn_count(w.seen), 4); /* two slots, the first owner's unit, the new one's */
    act(&newcomer[newcomers - 1], release_a, NULL);
    while (newcomers)
        actor_stop(&newcomer[--newcomers]);
    assert_int_equal(collect(), 0);
    wane_release(w.a); /* the ended thread's, by agreement */
    assert_int_equal(collect(), 1);
}

static void
release_inside(void *unused)
{
    (void)unused;
    wane_enter();
    w.id_after = wn_standing()->id;
    wane_release(w.a);
    wane_leave();
}

static void
m1_comes_and_releases(void *unused)
{
    (void)unused;
    act(&w.m1, release_inside, NULL);
}

/* The record is claimed when the new thread comes: it gets another one, and is a stranger. */
static void
race_31_no_owner_while_it_is_claimed(void **state)
{
    (void)state;
    owner_makes_and_ends(1);
    wane_release(w.a); /* queued: that record has a backlog */
    assert_true(word1() & WN_QUEUED);
    on_step("claim:held", m1_comes_and_releases, NULL);
    assert_int_equal(wane_barrier(), 0);
    assert_true(steps_seen("claim:held") > 0);
    assert_int_not_equal(w.id_after, w.id);
    assert_true(word1() & WN_MERGED);
    assert_int_equal(wn_count(word1()), 1); /* the slot's */
    assert_int_equal(collect(), 1);
}

int
main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(race_20_merge_between_the_two_count_reads),
        T(race_21_unit_moves_to_the_word_read_first),
        T(race_21_unit_moves_to_the_word_read_last),
        T(race_22_negative_in_the_suspect_set),
        T(race_30_mutator_is_a_dying_thread),
        T(race_30_last_release_by_a_dying_thread),
        T(race_31_new_owner_while_a_merge_is_asked_for),
        T(race_31_no_owner_while_it_is_claimed),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
