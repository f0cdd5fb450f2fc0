/* SPDX-License-Identifier: MIT
 *
 * race_claimer.c - the claimer stops, in its own steps or in a signal handler: the owner and everybody else go on
 */
#include "claim_common.h"

#include <errno.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#define MANY     3000
#define A_MINUTE 60000

/* ---- A claimer that is stopped --------------------------------------------------------------------------------------- */

/* What each of them does, with two roots of everybody's. */
static wane_slot     roots[2];
static struct worker {
    int  ended, made;
    bool done, tid_is_right;
} workers[3];

static void
work_once(struct worker *k, int i)
{
    struct node *n, *got;
    void        *weak;

    wane_enter();
    k->tid_is_right &= load_relaxed(&wn_standing()->tid) == (uint32_t)syscall(SYS_gettid); /* of a lent record, too */
    n = node_new(&k->ended);
    weak = wane_weak(n);
    k->made++;
    wane_retain(n);
    wane_retain(w.a);
    wane_set(&roots[i % 2], n);
    got = wane_get(&roots[(i + 1) % 2]);
    wane_release(w.a);
    wane_release(n);
    wane_release(n);
    wane_leave();
    wane_release(wane_weak_get(weak));
    wane_release(weak);
    wane_release(got);
    wane_release(wane_take(&roots[i % 2]));
}

static void
work(void *worker)
{
    struct worker *k = worker;

    *k = (struct worker){.tid_is_right = true};
    for (int i = 0; i < MANY; i++)
        work_once(k, i);
    k->done = true;
}

/* All three work, to their end, while the claimer stands still. */
static void
all_work(void)
{
    act_begin(&w.m1, work, &workers[0]);
    act_begin(&w.m2, work, &workers[1]);
    work(&workers[2]);
    act_wait(&w.m1);
    act_wait(&w.m2);
    for (int i = 0; i < 3; i++)
        assert_true(workers[i].done && workers[i].tid_is_right);
}

static void
nothing_is_lost(void)
{
    wane_clear(&roots[0]);
    wane_clear(&roots[1]);
    all_is_freed();
    for (int i = 0; i < 3; i++)
        assert_int_equal(ended(&workers[i].ended), workers[i].made);
}

static void
stop_here(void *unused)
{
    (void)unused;
    (void)gate_wait(&w.may_go, A_MINUTE);
}

static void
claim_and_stop(void *point)
{
    on_step(point, stop_here, NULL);
    claim_home(NULL);
}

static void
drv_10_stopped_claimer_stops_nobody(void **state)
{
    static const char *const points[] = {"claim:announced", "claim:fenced", "claim:held", "merge:word0-cleared"};

    (void)state;
    for (size_t i = 0; i < sizeof points / sizeof points[0]; i++) {
        pthread_mutex_init(&w.may_go.lock, NULL);
        w.may_go.open = false;
        queue_a();
        w.claimed = false;
        act_begin(&w.driver, claim_and_stop, (void *)(uintptr_t)points[i]);
        while (!steps_seen(points[i]))
            nap();
        assert_true(load_relaxed(&w.home->pub.claim) & WN_CLAIM_HELD);
        all_work();
        act(&w.m1, visit, &w.stood_on[0]);
        assert_int_not_equal(w.stood_on[0], w.home->id); /* it is stopped still */
        gate_open(&w.may_go);
        act_wait(&w.driver);
        assert_true(w.claimed);
        nothing_is_lost();
    }
}

/* ---- A claimer in a signal handler ----------------------------------------------------------------------------------- */

static struct wane_atomic32 holds, is_handled, is_over;
static int                  wake[2];

static void
handle(int unused)
{
    int  error = errno;
    char byte;

    (void)unused;
    store_release(&is_handled, 1u);
    while (read(wake[0], &byte, 1) < 0 && errno == EINTR)
        ;
    errno = error;
}

static void
wait_for_the_signal(void *unused)
{
    (void)unused;
    store_release(&holds, 1u);
    while (!load_acquire(&is_handled))
        nap();
}

static void
drive_by_steps(void *unused)
{
    (void)unused;
    on_step("merge:word0-cleared", wait_for_the_signal, NULL);
    while (!load_acquire(&is_over)) {
        (void)wane_step(1000000);
        nap();
    }
}

static void
drv_10_claimer_in_a_signal_handler_stops_nobody(void **state)
{
    struct sigaction action = {.sa_handler = handle, .sa_flags = SA_RESTART}, before;

    (void)state;
    assert_int_equal(pipe(wake), 0);
    assert_int_equal(sigaction(SIGUSR1, &action, &before), 0);
    store_relaxed(&holds, 0u);
    store_relaxed(&is_handled, 0u);
    store_relaxed(&is_over, 0u);
    queue_a();
    act_begin(&w.driver, drive_by_steps, NULL);
    while (!load_acquire(&holds))
        nap();
    assert_int_equal(pthread_kill(w.driver.thread, SIGUSR1), 0);
    while (!load_acquire(&is_handled))
        nap();
    all_work();
    assert_true(load_relaxed(&w.home->pub.claim) & WN_CLAIM_HELD);
    assert_int_equal(write(wake[1], "", 1), 1);
    store_release(&is_over, 1u);
    act_wait(&w.driver);
    nothing_is_lost();
    sigaction(SIGUSR1, &before, NULL);
    close(wake[0]);
    close(wake[1]);
}

/* ---- A race, for what no schedule shows: the entering thread's store is still in its store buffer --------------------- */

#define CLAIMS 40000
#define ENOUGH UINT64_C(5000000000) /* nanoseconds */
#define WATCH  UINT64_C(120000000000)

static struct wane_atomic32 at_home, both;

static void
spin(int rounds)
{
    for (int i = 0; i < rounds; i++)
        compiler_barrier();
}

/* Lines that both write: the stores of an enter that follows wait in the store buffer behind these. */
static struct {
    struct wane_atomic32 word;
    char                 rest[60];
} line[32];

static void
fill_store_buffer(void)
{
    for (size_t i = 0; i < sizeof line / sizeof line[0]; i++)
        store_relaxed(&line[i].word, 1u);
}

static void
enter_all_the_time(void *unused)
{
    (void)unused;
    while (!load_acquire(&is_over)) {
        fill_store_buffer();
        wane_enter();
        store_relaxed(&at_home, (uint32_t)(wn_standing() == w.home));
        spin(400);
        store_relaxed(&at_home, 0u);
        wane_leave();
        spin(400);
    }
}

static void
watch(void *unused)
{
    (void)unused;
    for (int i = 0; i < 200; i++)
        if (load_relaxed(&at_home))
            store_relaxed(&both, 1u);
}

static void
the_claimer_sees_who_has_just_entered(void **state)
{
    uint64_t begin = wn_now();
    long     held = 0;

    (void)state;
    store_relaxed(&is_over, 0u);
    store_relaxed(&both, 0u);
    act_begin(&w.m1, enter_all_the_time, NULL);
    /* On a slow machine the thread is hardly ever outside: fewer claims, then. */
    while (held < (wn_now() < begin + ENOUGH ? CLAIMS : 1) && wn_now() < begin + WATCH && !load_relaxed(&both)) {
        on_step("claim:held", watch, NULL);
        wn_driver_begin();
        fill_store_buffer();
        held += wn_driver_act_for(w.home, 0, true); /* asks for nothing if refused: leaves stay short */
        wn_driver_end();
        off_steps();
    }
    store_release(&is_over, 1u);
    act_wait(&w.m1);
    assert_false(load_relaxed(&both));
    assert_true(held > 0);
}

int
main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(drv_10_stopped_claimer_stops_nobody),
        T(the_claimer_sees_who_has_just_entered),
        T(drv_10_claimer_in_a_signal_handler_stops_nobody),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
