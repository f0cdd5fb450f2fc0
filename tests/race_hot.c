/* SPDX-License-Identifier: MIT
 *
 * race_hot.c - objects that share themselves when many threads are at them (share.h): when, until when, and who may end it
 */
#include "handoff_common.h"

#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define ENOUGH 4 /* more failures in a row than it takes */

static unsigned    fails; /* still to come */
static struct gate inside;

/* Somebody else was at the word. */
static void
others_are_at_x(void *unused)
{
    (void)unused;
    if (!fails)
        return;
    fails--;
    fetch_add_relaxed(&WANE_HEADER(w.x)->word1, WN_VERSION_ONE);
}

static void
release_x_in_a_crowd(void *times)
{
    fails = *(unsigned *)times;
    on_nth_step("release:before-cas", EACH_TIME, others_are_at_x, NULL);
    WANE_SECTION
    wane_release(w.x);
    off_steps();
}

DEED(m1_makes_x)
{
    make_x(NULL);
    WANE_SECTION
    for (int i = 0; i < 3; i++)
        wane_retain(w.x);
}

/* Four units: m1's own in word0, less what others give back. */
static void
make_x_hot(void)
{
    unsigned enough = ENOUGH;

    act(&w.m1, m1_makes_x, NULL);
    wane_retain(w.x); /* in word1, so that a stranger's release finds one there */
    act(&w.m2, release_x_in_a_crowd, &enough);
    assert_true(word1_of(w.x) & WN_SHARED);
}

static bool
cool(bool all)
{
    bool some;

    wn_driver_begin();
    some = wn_share_cool(all);
    wn_driver_end();
    return some;
}

static void
a_few_failures_are_chance(void **state)
{
    unsigned few = 2;

    (void)state;
    act(&w.m1, m1_makes_x, NULL);
    wane_retain(w.x);
    act(&w.m2, release_x_in_a_crowd, &few);
    assert_int_equal(fails, 0);
    assert_false(word1_of(w.x) & WN_SHARED);
    release_and_end(4);
}

static void
what_many_release_shares_itself(void **state)
{
    uint64_t word;

    (void)state;
    make_x_hot();
    word = word1_of(w.x);
    act(&w.m2, retain_x_inside, NULL); /* counted apart */
    act(&w.m2, release_x_inside, NULL);
    assert_int_equal(word1_of(w.x), word);
    assert_int_equal(wane_unshare(w.x), -EINVAL); /* it is not the program's to end */
    assert_true(cool(false)); /* it is held, and was shared just now */
    assert_true(word1_of(w.x) & WN_SHARED);
    assert_int_equal(wane_barrier(), 0); /* all that has gone is to be found: it is unshared */
    assert_false(word1_of(w.x) & WN_SHARED);
    assert_int_equal(wn_count(word1_of(w.x)), 4);
    release_and_end(4);
}

static void *weak;

static void
upgrade_in_a_crowd(void *times)
{
    fails = *(unsigned *)times;
    on_nth_step("weak:before-cas", EACH_TIME, others_are_at_x, NULL);
    WANE_SECTION
    assert_ptr_equal(wane_weak_get(weak), w.x);
    off_steps();
}

static void
what_many_upgrade_shares_itself(void **state)
{
    unsigned enough = ENOUGH;

    (void)state;
    act(&w.m1, m1_makes_x, NULL);
    weak = wane_weak(w.x);
    act(&w.m2, upgrade_in_a_crowd, &enough);
    assert_true(word1_of(w.x) & WN_SHARED);
    release_and_end(5);
    wane_release(weak);
}

/* A tick finds that nobody holds it. */
static void
let_go_it_dies(void **state)
{
    (void)state;
    make_x_hot();
    WANE_SECTION
    for (int i = 0; i < 4; i++)
        wane_release(w.x); /* by agreement */
    act(&w.m1, retain_x_inside, NULL); /* m1 merges it, as it was asked to */
    act(&w.m1, release_x_inside, NULL);
    assert_int_equal(w.x_ended, 0);
    assert_false(cool(false));
    assert_false(word1_of(w.x) & WN_SHARED);
    assert_int_equal(wane_barrier(), 0);
    assert_int_equal(w.x_ended, 1);
}

static void
held_for_long_it_is_unshared(void **state)
{
    (void)state;
    make_x_hot();
    assert_true(cool(false));
    nanosleep(&(struct timespec){1, 50000000}, NULL);
    assert_false(cool(false));
    assert_false(word1_of(w.x) & WN_SHARED);
    release_and_end(4);
}

static void
the_program_takes_it_over(void **state)
{
    (void)state;
    make_x_hot();
    assert_int_equal(wane_share(w.x), 0);
    assert_int_equal(wane_share(w.x), -EALREADY);
    w.a = node_new(&w.ended);
    WANE_SECTION
    wn_share_itself(wn_standing(), WANE_HEADER(w.a)); /* so that there is something to look for */
    assert_false(cool(true));
    assert_false(word1_of(w.a) & WN_SHARED);
    assert_true(word1_of(w.x) & WN_SHARED);
    wane_release(w.a);
    assert_int_equal(wane_unshare(w.x), 0);
    assert_int_equal(wane_share(w.x), -EBUSY);
    assert_int_equal(wane_barrier(), 0);
    release_and_end(4);
}

DEED(m1_takes_x_over_and_ends_it)
{
    assert_int_equal(wane_share(w.x), 0);
    assert_int_equal(wane_unshare(w.x), 0);
    for (int i = 0; i < 4; i++)
        wane_release(w.x);
    for (int i = 0; i < 10; i++) {
        (void)wn_grace_poll(wn_grace_ticket());
        WANE_SECTION
        fetch_or_relaxed(&wn_standing()->pub.attention, WN_ATTEND);
    }
    assert_int_equal(w.x_ended, 0); /* somebody is looking at it */
}

/* The background has just begun to look: the object stays until it has, and is unshared once. */
static void
taken_over_under_the_background(void **state)
{
    (void)state;
    make_x_hot();
    cue("share:looked-at", 1, &w.m1, m1_takes_x_over_and_ends_it);
    assert_false(cool(true));
    assert_int_equal(steps_seen("share:looked-at"), 1);
    off_steps();
    assert_int_equal(wane_barrier(), 0);
    assert_int_equal(w.x_ended, 1);
}

DEED(m1_unshares_x)
{
    w.rc = wane_unshare(w.x);
}

DEED(m2_makes_x_hot)
{
    fails = ENOUGH;
    cue("share:set", 1, &w.m1, m1_unshares_x);
    on_nth_step("release:before-cas", EACH_TIME, others_are_at_x, NULL);
    WANE_SECTION
    wane_release(w.x);
    off_steps();
}

/* Its entry is not there yet: nobody else may end what is about to be looked after by the background. */
static void
unshared_before_it_is_published(void **state)
{
    (void)state;
    act(&w.m1, m1_makes_x, NULL);
    wane_retain(w.x);
    act(&w.m2, m2_makes_x_hot, NULL);
    assert_int_equal(w.rc, -EINVAL);
    assert_true(word1_of(w.x) & WN_SHARED);
    assert_false(cool(true));
    release_and_end(4);
}

/* ---- Forks ---------------------------------------------------------------------------------------------------------- */

static bool woken;

static void
wakes(void)
{
    woken = true;
}

DEED(wait_there)
{
    gate_open(&inside);
    (void)gate_wait(&w.may_go, 60000);
}

static int
status_of(pid_t pid)
{
    int status;

    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* The child's background has to look after what is hot; nobody reports it again. */
static void
a_child_wakes_for_what_is_hot(void **state)
{
    pid_t pid;

    (void)state;
    make_x_hot();
    pid = fork();
    if (!pid) {
        wn_wake_background = wakes;
        pid = fork();
        if (!pid)
            _exit(woken ? 0 : 1);
        _exit(status_of(pid));
    }
    assert_int_equal(status_of(pid), 0);
    release_and_end(4);
}

static int
share_and_unshare_x(void)
{
    if (wane_share(w.x))
        return 1;
    if (wane_unshare(w.x))
        return 2;
    return wane_barrier() || (word1_of(w.x) & WN_SHARED) ? 3 : 0;
}

DEED(m2_stops_while_x_shares_itself)
{
    fails = ENOUGH;
    on_any_step("share:set", wait_there, NULL);
    on_nth_step("release:before-cas", EACH_TIME, others_are_at_x, NULL);
    WANE_SECTION
    wane_release(w.x);
    off_steps();
}

/* Who was sharing it has vanished: it is shared, and has a beginning and an end. */
static void
a_child_ends_what_was_being_shared(void **state)
{
    pid_t pid;

    (void)state;
#ifdef WN_TSAN
    skip();
#endif
    inside = w.may_go = (struct gate)GATE_CLOSED;
    act(&w.m1, m1_makes_x, NULL);
    wane_retain(w.x);
    act_begin(&w.m2, m2_stops_while_x_shares_itself, NULL);
    assert_true(gate_wait(&inside, 60000));
    pid = fork();
    if (!pid)
        _exit(share_and_unshare_x());
    gate_open(&w.may_go);
    act_wait(&w.m2);
    assert_int_equal(status_of(pid), 0);
    release_and_end(4);
}

/* What it holds is live meanwhile, and is collected afterwards: by whoever asks for all. */
static void
a_hot_ring_is_collected(void **state)
{
    (void)state;
    make_x_hot();
    wane_set(&w.x->s[0], w.x);
    act(&w.m1, release_x, NULL);
    act(&w.m1, release_x, NULL);
    act(&w.m1, release_x, NULL);
    act(&w.m1, release_x, NULL);
    assert_int_equal(collect(), 1);
    assert_int_equal(w.x_ended, 1);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        RACE(a_few_failures_are_chance),
        RACE(what_many_release_shares_itself),
        RACE(what_many_upgrade_shares_itself),
        RACE(let_go_it_dies),
        RACE(held_for_long_it_is_unshared),
        RACE(the_program_takes_it_over),
        RACE(taken_over_under_the_background),
        RACE(unshared_before_it_is_published),
        RACE(a_child_wakes_for_what_is_hot),
        RACE(a_child_ends_what_was_being_shared),
        RACE(a_hot_ring_is_collected),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
