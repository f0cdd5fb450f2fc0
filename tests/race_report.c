/* SPDX-License-Identifier: MIT
 *
 * race_report.c - a backlog is reported, whoever comes between: nothing waits at a record that the background has seen empty
 */
#include "race_common.h"

#include "pace.h"
#include "record.h"

static struct {
    struct actor owner, stranger;
    struct node *a;
    struct gate  may_go;
    int          ended;
    int          reports; /* atomic */
} w;

static void
count_reports(void)
{
    __atomic_fetch_add(&w.reports, 1, __ATOMIC_RELAXED);
}

static int
setup(void **state)
{
    (void)state;
    memset(&w, 0, sizeof w);
    pthread_mutex_init(&w.may_go.lock, NULL);
    pthread_cond_init(&w.may_go.changed, NULL);
    schedule_begin();
    wn_wake_background = count_reports;
    store_relaxed(&wn_background_runs, 1u); /* a report is enough for each backlog */
    actor_start(&w.owner);
    actor_start(&w.stranger);
    return 0;
}

static int
teardown(void **state)
{
    (void)state;
    off_steps();
    actor_stop(&w.owner);
    actor_stop(&w.stranger);
    store_relaxed(&wn_background_runs, 0u);
    return wane_shutdown();
}

static void
make(void *unused)
{
    (void)unused;
    wane_enter();
    w.a = node_new(&w.ended);
    wane_retain(w.a);
    wane_leave();
}

static void
stop_here(void *unused)
{
    (void)unused;
    (void)gate_wait(&w.may_go, 20000);
}

/* Into the queue; the thread stops before it looks at the backlog. */
static void
release_and_stop(void *unused)
{
    (void)unused;
    on_step("queue:pushed", stop_here, NULL);
    wane_release(w.a);
}

/* Here the background looks at the record: backlog 0, nothing queued. It goes to sleep. */
static void
let_the_stranger_push(void *unused)
{
    (void)unused;
    __atomic_store_n(&w.reports, 0, __ATOMIC_RELAXED);
    act_begin(&w.stranger, release_and_stop, NULL);
    while (!steps_seen("queue:pushed"))
        ;
}

static void
tend(void *unused)
{
    (void)unused;
    wane_enter();
    on_step("tend:backlog-cleared", let_the_stranger_push, NULL);
    fetch_or_relaxed(&wn_standing()->pub.attention, WN_ATTEND);
    wane_leave();
}

static void
release_inside(void *unused)
{
    (void)unused;
    wane_enter();
    wane_release(w.a);
    wane_leave();
}

static void
push_between_the_clearing_and_the_look(void **state)
{
    (void)state;
    act(&w.owner, make, NULL);
    act(&w.owner, tend, NULL);
    assert_int_equal(steps_seen("tend:backlog-cleared"), 1);
    gate_open(&w.may_go);
    act_wait(&w.stranger);
    assert_true(__atomic_load_n(&w.reports, __ATOMIC_RELAXED) > 0);
    wane_release(w.a);
    assert_int_equal(wane_barrier(), 0);
    (void)collect();
    assert_int_equal(wane_barrier(), 0);
    assert_int_equal(ended(&w.ended), 1);
}

static void
note_what_waits(void *waiting)
{
    *(uint64_t *)waiting = wn_pace_waiting();
}

/* Here the background asks whether anything waits: else it goes to sleep, and nobody wakes it for these candidates. */
static void
candidates_wait_until_they_are_handed_over(void **state)
{
    uint64_t waiting = 0;

    (void)state;
    act(&w.owner, make, NULL);
    act(&w.owner, release_inside, NULL);
    on_any_step("handover:begin", note_what_waits, &waiting);
    (void)collect();
    assert_int_equal(waiting, 1);
    wane_release(w.a);
    assert_int_equal(wane_barrier(), 0);
    assert_int_equal(ended(&w.ended), 1);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(push_between_the_clearing_and_the_look, setup, teardown),
        cmocka_unit_test_setup_teardown(candidates_wait_until_they_are_handed_over, setup, teardown),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
