/* SPDX-License-Identifier: MIT
 *
 * race_leaves.c - what leaves do and leave undone: merges, deferred calls, polls; and what the end of a thread makes up for
 */
#include "race_common.h"

#include <time.h>

#include "grace.h"
#include "tend.h"

static struct {
    struct actor m1;
    struct node *a;
    wane_slot    root;
    int          ended;
    uint32_t     home;
    int          slow; /* steps or calls */
} w;

static int
setup(void **state)
{
    (void)state;
    memset(&w, 0, sizeof w);
    schedule_begin();
    actor_start(&w.m1);
    return 0;
}

static int
teardown(void **state)
{
    (void)state;
    off_steps();
    store_relaxed(&wn_grace_heard, 0u);
    actor_stop(&w.m1);
    return wane_shutdown();
}

DEED(tend)
{
    wane_enter();
    wn_tend(wn_standing(), WN_ATTEND);
    wane_leave();
}

static void
displace(void *units)
{
    wane_enter();
    w.home = wn_standing()->id;
    for (size_t i = 0; i < *(size_t *)units; i++)
        wane_set(&w.root, w.a);
    wane_leave();
}

static uint64_t
applied(void)
{
    return load_relaxed(&wn_record(w.home)->counters.applied);
}

static void
end_of_a(void)
{
    wane_clear(&w.root);
    wane_release(w.a);
    assert_int_equal(wane_barrier(), 0);
    assert_int_equal(ended(&w.ended), 1);
}

/* ---- Polls ------------------------------------------------------------------------------------------------------------ */

DEED(nothing)
{
}

/* Each time that the thread that does this gets there. */
DEED(watch_membarriers)
{
    on_nth_step("grace:membarrier", EACH_TIME, nothing, NULL);
}

static void
displace_watched(size_t units)
{
    w.a = node_new(&w.ended);
    act(&w.m1, watch_membarriers, NULL);
    act(&w.m1, displace, &units);
    act(&w.m1, tend, NULL);
}

/* A membarrier takes as long as the host lets a processor rest: with a long log a thread asks the background to do it, and
 * does it itself when nobody has come by. */
static void
leaves_ask_the_background(void **state)
{
    size_t units = (size_t)70 * WN_CHUNK_ENTRIES;

    (void)state;
    if (load_relaxed(&wn_grace_fences))
        return;
    store_relaxed(&wn_grace_heard, 1u); /* so it seems */
    displace_watched(units);
    assert_int_equal(steps_seen("grace:membarrier"), 0);
    assert_int_equal(applied(), 0);
    (void)wn_grace_answer();
    act(&w.m1, tend, NULL);
    assert_int_equal(steps_seen("grace:membarrier"), 0);
    assert_in_range(applied(), 1, units);
    for (int i = 0; i < 3; i++)
        act(&w.m1, displace, &units);
    act(&w.m1, tend, NULL);
    assert_in_range(steps_seen("grace:membarrier"), 1, 10);
    off_steps();
    end_of_a();
}

/* Without a background it does so at once. */
static void
nobody_asks_the_deaf(void **state)
{
    (void)state;
    if (load_relaxed(&wn_grace_fences))
        return;
    displace_watched((size_t)20 * WN_CHUNK_ENTRIES);
    assert_in_range(steps_seen("grace:membarrier"), 1, 10);
    off_steps();
    end_of_a();
}

/* Who has not been asked does not interrupt anybody. */
static void
only_questions_are_answered(void **state)
{
    (void)state;
    if (load_relaxed(&wn_grace_fences))
        return;
    (void)wn_grace_answer();
    (void)wn_grace_ticket();
    watch_membarriers(NULL);
    (void)wn_grace_answer();
    assert_int_equal(steps_seen("grace:membarrier"), 0);
    wn_grace_ask();
    (void)wn_grace_answer();
    assert_int_equal(steps_seen("grace:membarrier"), 1);
}

/* ---- Merges and calls -------------------------------------------------------------------------------------------------- */

#define MAIL 20000
static struct node *mail[MAIL];

DEED(make_mail)
{
    wane_enter();
    w.home = wn_standing()->id;
    for (int i = 0; i < MAIL; i++)
        mail[i] = node_new(&w.ended);
    wane_leave();
}

/* Others have released what a thread owns: that is merged a few at a time, as much as fits into a short leave. */
static void
much_mail_makes_no_leave_long(void **state)
{
    const struct wn_record *r;

    (void)state;
    act(&w.m1, make_mail, NULL);
    r = wn_record(w.home);
    for (int i = 0; i < MAIL; i++)
        wane_release(mail[i]);
    act(&w.m1, tend, NULL);
    assert_non_null(r->draining);
    assert_true(r->left_at);
    assert_true(r->burden);
    for (int i = 0; i < MAIL / 32 && r->draining; i++)
        act(&w.m1, tend, NULL);
    assert_null(r->draining);
    assert_int_equal(wane_barrier(), 0);
    assert_int_equal(ended(&w.ended), MAIL);
}

static void
spin_us(int64_t microseconds)
{
    struct timespec begin, now;

    clock_gettime(CLOCK_MONOTONIC, &begin);
    do
        clock_gettime(CLOCK_MONOTONIC, &now);
    while ((now.tv_sec - begin.tv_sec) * 1000000 + (now.tv_nsec - begin.tv_nsec) / 1000 < microseconds);
}

#define FOREIGN 240
static wane_slot places[FOREIGN];

DEED(slow)
{
    spin_us(10);
    w.slow++;
}

/* Each goes to its owner's queue, and that takes long. */
DEED(displace_foreign)
{
    wane_enter();
    for (int i = 0; i < FOREIGN; i++)
        wane_clear(&places[i]);
    wane_leave();
    on_nth_step("queue:pushed", EACH_TIME, slow, NULL);
}

DEED(leaves_once)
{
    wane_enter();
    fetch_or_relaxed(&wane_self.record->attention, WN_ATTEND);
    wane_leave();
}

/* A unit may be dear, as its object is in no cache any more: a leave looks at the clock between some of them. */
static void
slow_units_make_no_leave_long(void **state)
{
    (void)state;
    for (int i = 0; i < FOREIGN; i++)
        wane_put(&places[i], node_new(&w.ended));
    act(&w.m1, displace_foreign, NULL);
    act(&w.m1, leaves_once, NULL); /* sealed */
    w.slow = 0;
    assert_true(wn_grace_poll(wn_grace_ticket()));
    act(&w.m1, leaves_once, NULL);
    assert_in_range(w.slow, 1, FOREIGN / 2);
    off_steps();
    assert_int_equal(wane_barrier(), 0);
    assert_int_equal(ended(&w.ended), FOREIGN);
}

DEED(call)
{
    spin_us(10);
    w.slow++;
}

DEED(defer_calls)
{
    wane_enter();
    for (int i = 0; i < 200; i++)
        assert_int_equal(wane_free_deferred(&w, call), 0);
    wane_leave();
}

/* Deferred calls are the program's own: whoever defers two hundred in each section has two hundred called in each leave. */
static void
calls_go_by_their_number(void **state)
{
    (void)state;
    act(&w.m1, defer_calls, NULL);
    act(&w.m1, leaves_once, NULL); /* sealed; rigged chunks are so many that some are ripe already */
    assert_true(wn_grace_poll(wn_grace_ticket()));
    act(&w.m1, leaves_once, NULL);
    assert_true(w.slow > 150);
    assert_int_equal(wane_barrier(), 0);
}

/* ---- The end of a thread ----------------------------------------------------------------------------------------------- */

DEED(works_for_20_ms)
{
    struct timespec t;

    do
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    while (!t.tv_sec && t.tv_nsec < 20000000);
    wane_enter();
    wane_leave();
}

/* What a thread displaces is ripe only after its end, and its successor on the record just finds it: he gives it back at his. */
static void
threads_that_come_and_go_give_back(void **state)
{
#ifdef RACE_SLOW
    enum { FEW = 256 };
#else
    enum { FEW = 4 * 256 };
#endif
    size_t   units = 20000;
    uint64_t before;

    (void)state;
    w.a = node_new(&w.ended);
    act(&w.m1, displace, &units);
    actor_stop(&w.m1);
    assert_true(wn_grace_poll(wn_grace_ticket()));
    before = applied();
    actor_start(&w.m1);
    act(&w.m1, works_for_20_ms, NULL);
    actor_stop(&w.m1);
    actor_start(&w.m1);
    assert_true(applied() - before > FEW);
    end_of_a();
}

int
main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(leaves_ask_the_background),
        T(nobody_asks_the_deaf),
        T(only_questions_are_answered),
        T(much_mail_makes_no_leave_long),
        T(slow_units_make_no_leave_long),
        T(calls_go_by_their_number),
        T(threads_that_come_and_go_give_back),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
