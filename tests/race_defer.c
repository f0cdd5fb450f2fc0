/* SPDX-License-Identifier: MIT
 *
 * race_defer.c - displaced units at exact points: what a pinned section holds back; objects whose owner, bias or
 * count is another one by the time their entry is applied; lists that are taken whole
 */
#include "race_common.h"

#include <sched.h>
#include <stdio.h>
#include <time.h>

#include "tend.h"

static struct {
    struct actor m1, m2, m3;
    struct node *a;
    wane_slot    root;
    int          ended, ended_before, ended_after;
    uint64_t     pinned;
    uint32_t     home, stood_on;
    unsigned     taken;
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
word0(void)
{
    return load_relaxed(&WANE_HEADER(w.a)->word0);
}

static uint64_t
word1(void)
{
    return load_relaxed(&WANE_HEADER(w.a)->word1);
}

static void
enter(void *unused)
{
    (void)unused;
    wane_enter();
    w.pinned = load_relaxed(&wane_self.record->ctr) & ~WANE_NEST;
}

static void
leave(void *unused)
{
    (void)unused;
    wane_leave();
}

/* Seal what was displaced, apply what is ripe. */
static void
tend(void *unused)
{
    (void)unused;
    wane_enter();
    wn_tend(wn_standing(), WN_ATTEND);
    w.stood_on = wn_standing()->id;
    wane_leave();
}

static void
barrier(void *unused)
{
    (void)unused;
    (void)wane_barrier();
}

/* ---- Grace periods ------------------------------------------------------------------------------------------- */

static void
displace_one(int *ended)
{
    wane_put(&w.root, node_new(ended));
    wane_clear(&w.root);
}

/* DEF-12: a section holds grace periods back at the epoch it has seen, however many tickets are drawn; inner
 * sections change nothing. What was displaced and sealed before it is given back meanwhile. */
static void
def_12_pinned_section(void **state)
{
    bool passed = false;

    (void)state;
    displace_one(&w.ended_before);
    tend(NULL);
    act(&w.m1, enter, NULL);
    displace_one(&w.ended_after);
    for (int i = 0; i < 1000; i++) {
        tend(NULL);
        passed |= wn_grace_poll(wn_grace_ticket());
        if (i % 100 == 0) {
            act(&w.m1, enter, NULL);
            act(&w.m1, leave, NULL);
        }
    }
    assert_false(passed);
    assert_true(wn_grace_done(w.pinned));
    assert_false(wn_grace_done(w.pinned + WANE_ONE_EPOCH));
    assert_int_equal(ended(&w.ended_before), 1);
    assert_int_equal(ended(&w.ended_after), 0);
    act(&w.m1, leave, NULL);
    assert_true(wn_grace_poll(wn_grace_ticket()));
    tend(NULL);
    assert_int_equal(ended(&w.ended_after), 1);
}

/* ---- Applied to an object that has changed ------------------------------------------------------------------- */

/* a, owned once, and in the root. */
static void
make_and_store(void *unused)
{
    (void)unused;
    wane_enter();
    w.home = wn_standing()->id;
    w.a = node_new(&w.ended);
    wane_set(&w.root, w.a);
    wane_leave();
}

static void
clear_root(void *unused)
{
    (void)unused;
    wane_clear(&w.root);
}

static void
release_a(void *unused)
{
    (void)unused;
    wane_release(w.a);
}

/* DEF-14: merged since: the entry was the owner's, and the object is nobody's now. */
static void
def_14_merged_before_it_is_applied(void **state)
{
    (void)state;
    act(&w.m1, make_and_store, NULL);
    act(&w.m1, clear_root, NULL);
    act(&w.m2, release_a, NULL); /* M1's unit, by agreement: queued */
    act(&w.m1, tend, NULL);      /* drained; the log is sealed only now */
    assert_true(word1() & WN_MERGED);
    assert_int_equal(wn_count(word1()), 1); /* the pending unit */
    assert_int_equal(ended(&w.ended), 0);
    assert_int_equal(wane_barrier(), 0);
    (void)collect();
    assert_int_equal(ended(&w.ended), 1);
}

static void
m3_follows_m1(void)
{
    actor_stop(&w.m1);
    actor_start(&w.m1); /* another thread, which has no record yet */
    act(&w.m3, tend, NULL);
    assert_int_equal(w.stood_on, w.home);
}

/* DEF-14: the owner has ended, and the thread that got its record applies the log that came with it: as the owner. */
static void
def_14_applied_by_the_next_owner(void **state)
{
    (void)state;
    act(&w.m1, make_and_store, NULL);
    act(&w.m1, clear_root, NULL);
    m3_follows_m1();
    assert_int_equal(wn_owner(word0()), w.home);
    assert_int_equal(wn_local(word0()), 2);
    act(&w.m3, barrier, NULL);
    assert_int_equal(wn_local(word0()), 1);
    assert_false(word1() & WN_MERGED);
    act(&w.m3, release_a, NULL);
    (void)collect();
    assert_int_equal(ended(&w.ended), 1);
}

/* DEF-14: a stranger's entry, and the object's owner is another thread than when it was displaced: queued to
 * that one. */
static void
def_14_queued_to_the_next_owner(void **state)
{
    struct wane_stats before, after;

    (void)state;
    act(&w.m1, make_and_store, NULL);
    act(&w.m2, clear_root, NULL);
    m3_follows_m1();
    wane_stats(&before);
    act(&w.m2, barrier, NULL);
    wane_stats(&after);
    assert_int_equal(after.queued - before.queued, 1);
    assert_true(word1() & WN_MERGED);
    assert_int_equal(wn_count(word1()), 1);
    act(&w.m3, release_a, NULL);
    (void)collect();
    assert_int_equal(ended(&w.ended), 1);
}

/* DEF-14: immortal since: the entry leaves the count alone. */
static void
def_14_immortal_before_it_is_applied(void **state)
{
    (void)state;
    act(&w.m1, make_and_store, NULL);
    act(&w.m2, clear_root, NULL);
    fetch_add_relaxed(&WANE_HEADER(w.a)->word1, (uint64_t)(WN_IMMORTAL - 1) * WN_COUNT_ONE);
    wane_retain(w.a); /* reaches the limit */
    wane_retain(w.a); /* finds it reached */
    assert_int_equal(wn_count(word1()), WN_IMMORTAL_CENTRE);
    assert_int_equal(wane_barrier(), 0);
    act(&w.m1, release_a, NULL);
    (void)collect();
    assert_int_equal(wn_count(word1()), WN_IMMORTAL_CENTRE);
    assert_int_equal(ended(&w.ended), 0);
    /* For the census: one unit is left in M1's local count, the entry's. */
    fetch_add_relaxed(&WANE_HEADER(w.a)->word1, (uint64_t)(-WN_IMMORTAL_CENTRE) * WN_COUNT_ONE);
    act(&w.m1, release_a, NULL);
    (void)collect();
    assert_int_equal(ended(&w.ended), 1);
}

/* ---- A list that is taken whole ------------------------------------------------------------------------------ */

static void
push(struct node *n)
{
    bool done = false;

    while (!done)
        WANE_SECTION {
            struct node *head = wane_peek(&w.root);

            wane_set_private(&n->s[0], head); /* nobody else knows n yet */
            done = wane_cas_put(&w.root, head, n);
        }
}

static void
push_one(void *unused)
{
    (void)unused;
    push(node_new(&w.ended));
}

static unsigned
take_all(void)
{
    struct node *list = wane_take(&w.root);
    unsigned     n = 0;

    WANE_SECTION
        for (struct node *at = list; at; at = wane_peek(&at->s[0])) {
            n += at->canary == CANARY;
            at->canary++; /* nobody else takes it */
        }
    wane_release(list);
    return n;
}

static void
m2_pushes(void *unused)
{
    (void)unused;
    act(&w.m2, push_one, NULL);
}

/* DEF-11: a push right after the list was taken is not lost; loading the head and then storing NULL would lose it. */
static void
def_11_push_beside_a_take(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++)
        act(&w.m1, push_one, NULL);
    on_step("slot:displaced", m2_pushes, NULL);
    assert_int_equal(take_all(), 3);
    off_steps();
    assert_int_equal(take_all(), 1);
    assert_int_equal(wane_barrier(), 0);
    (void)collect();
    assert_int_equal(ended(&w.ended), 4);
}

#define PUSHES 3000

static void
push_many(void *unused)
{
    (void)unused;
    for (int i = 0; i < PUSHES; i++) {
        push_one(NULL);
        if (i % 64 == 0)
            sched_yield();
    }
}

static void
take_many(void *unused)
{
    (void)unused;
    for (int i = 0; i < PUSHES; i++) {
        __atomic_fetch_add(&w.taken, take_all(), __ATOMIC_RELAXED);
        if (i % 16 == 0)
            sched_yield();
    }
}

/* DEF-11: two threads push and two take at the same time: each node is taken once. */
static void
def_11_pushes_against_takes(void **state)
{
    (void)state;
    act_begin(&w.m1, push_many, NULL);
    act_begin(&w.m2, push_many, NULL);
    act_begin(&w.m3, take_many, NULL);
    take_many(NULL);
    act_wait(&w.m1);
    act_wait(&w.m2);
    act_wait(&w.m3);
    w.taken += take_all();
    assert_int_equal(w.taken, 2 * PUSHES);
    assert_int_equal(wane_barrier(), 0);
    (void)collect();
    assert_int_equal(wane_barrier(), 0);
    assert_int_equal(ended(&w.ended), 2 * PUSHES);
}

/* DEF-10: sections that displace more than one leave gives back, one after the other: their units do not pile up. */
static void
def_10_long_sections_do_not_pile_up(void **state)
{
    enum { SECTIONS = 60, LONG = 5000 };
    uint64_t waiting = 0, most = 0;

    (void)state;
    w.a = node_new(&w.ended);
    for (int i = 0; i < SECTIONS; i++) {
        const struct wn_record *r;

        wane_enter();
        for (int k = 0; k < LONG; k++)
            wane_set(&w.root, w.a);
        r = wn_standing();
        waiting = load_relaxed(&r->counters.displaced) - load_relaxed(&r->counters.applied);
        most = waiting > most ? waiting : most;
        wane_leave();
    }
    assert_in_range(most, LONG, 12 * LONG);
    wane_clear(&w.root);
    wane_release(w.a);
    assert_int_equal(wane_barrier(), 0);
    assert_int_equal(ended(&w.ended), 1);
}

/* What a long section of somebody else has held back is given back in many short leaves, not in a few long ones: a leave
 * is not much longer than the work between two. */
static void
a_backlog_makes_no_leave_long(void **state)
{
    enum { MANY = 100000, BUDGET = 1024 };
    uint64_t                done = 0, most = 0;
    const struct wn_record *r;

    (void)state;
    w.a = node_new(&w.ended);
    act(&w.m1, enter, NULL);
    wane_enter();
    r = wn_standing();
    for (int k = 0; k < MANY; k++)
        wane_set(&w.root, w.a);
    wane_leave();
    act(&w.m1, leave, NULL);
    tend(NULL); /* sees that the grace period is over; from here on each leave asks for the next */
    for (int i = 0; i < MANY; i++) {
        uint64_t before = load_relaxed(&r->counters.applied), more;

        wane_enter();
        wane_leave();
        more = load_relaxed(&r->counters.applied) - before;
        done += more;
        most = more > most ? more : most;
    }
    assert_true(done > MANY / 2);
    assert_true(most <= 4 * BUDGET);
    wane_clear(&w.root);
    wane_release(w.a);
    assert_int_equal(wane_barrier(), 0);
    assert_int_equal(ended(&w.ended), 1);
}

DEED(m1_displaces_many)
{
    wane_enter();
    w.home = wn_standing()->id;
    for (int k = 0; k < 50000; k++)
        wane_set(&w.root, w.a);
    wane_leave();
}

DEED(works_for_20_ms)
{
    struct timespec t;

    do
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    while (!t.tv_sec && t.tv_nsec < 20000000);
}

/* A thread ends and cannot give all back. The clock by which it has left something was its own: the next one's first tends,
 * two of them, are as short as any. */
static void
the_next_holder_has_left_nothing(void **state)
{
    uint64_t before;

    (void)state;
    w.a = node_new(&w.ended);
    act(&w.m1, m1_displaces_many, NULL);
    act(&w.m1, tend, NULL);
    assert_true(wn_grace_poll(wn_grace_ticket()));
    actor_stop(&w.m1);
    assert_non_null(wn_log_ripe(&wn_record(w.home)->deferred));
    assert_true(wn_record(w.home)->left_at);
    wn_record(w.home)->left_at = 1; /* it had done next to nothing */
    actor_start(&w.m1);
    act(&w.m1, works_for_20_ms, NULL);
    before = load_relaxed(&wn_record(w.home)->counters.applied);
    act(&w.m1, tend, NULL);
    assert_int_equal(w.stood_on, w.home);
    assert_in_range(load_relaxed(&wn_record(w.home)->counters.applied) - before, 1, 2 * 1024);
    wane_clear(&w.root);
    wane_release(w.a);
    assert_int_equal(wane_barrier(), 0);
    assert_int_equal(ended(&w.ended), 1);
}

int
main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(def_10_long_sections_do_not_pile_up),
        T(a_backlog_makes_no_leave_long),
        T(the_next_holder_has_left_nothing),
        T(def_11_push_beside_a_take),
        T(def_11_pushes_against_takes),
        T(def_12_pinned_section),
        T(def_14_merged_before_it_is_applied),
        T(def_14_applied_by_the_next_owner),
        T(def_14_queued_to_the_next_owner),
        T(def_14_immortal_before_it_is_applied),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
