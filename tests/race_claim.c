/* SPDX-License-Identifier: MIT
 *
 * race_claim.c - the claimer stops while it holds a claim: the owner and everybody else go on, and nothing is lost
 */
#include "race_common.h"

#include <sys/syscall.h>
#include <unistd.h>

#include "driver.h"

#define ROUNDS 2000

static struct {
    struct actor owner, other, driver;
    struct node *a; /* the owner's, in its queue */
    struct gate  may_go;
    int          ended, short_lived, finished;
    uint32_t     home, stood_on;
    bool         tid_is_right;
} w;

static int
setup(void **state)
{
    (void)state;
    memset(&w, 0, sizeof w);
    pthread_mutex_init(&w.may_go.lock, NULL);
    pthread_cond_init(&w.may_go.changed, NULL);
    schedule_begin();
    actor_start(&w.owner);
    actor_start(&w.other);
    actor_start(&w.driver);
    return 0;
}

static int
teardown(void **state)
{
    (void)state;
    off_steps();
    actor_stop(&w.owner);
    actor_stop(&w.other);
    actor_stop(&w.driver);
    return wane_shutdown();
}

static void
make(void *unused)
{
    (void)unused;
    wane_enter();
    w.a = node_new(&w.ended);
    wane_retain(w.a);
    w.home = wn_standing()->id;
    wane_leave();
}

static void
stop_here(void *unused)
{
    (void)unused;
    (void)gate_wait(&w.may_go, 60000);
}

static void
barrier_that_stops(void *unused)
{
    (void)unused;
    on_step("claim:held", stop_here, NULL);
    if (wane_barrier() == 0)
        __atomic_fetch_add(&w.finished, 1, __ATOMIC_RELAXED);
}

/* The owner's record has a backlog, and the driver stands in the middle of its claim. */
static void
stop_the_driver(void)
{
    act(&w.owner, make, NULL);
    wane_release(w.a);
    act_begin(&w.driver, barrier_that_stops, NULL);
    while (!steps_seen("claim:held"))
        ;
}

static void
let_it_go_on(void)
{
    gate_open(&w.may_go);
    act_wait(&w.driver);
    assert_int_equal(w.finished, 1);
}

static void
use_everything(void *unused)
{
    wane_slot slot = {0};

    (void)unused;
    for (int i = 0; i < ROUNDS; i++) {
        struct node *n = node_new(&w.short_lived);
        void        *weak = wane_weak(n);

        wane_enter();
        w.stood_on = wn_standing()->id;
        w.tid_is_right = load_relaxed(&wn_standing()->tid) == (uint32_t)syscall(SYS_gettid);
        wane_release(wane_retain(w.a));
        wane_set(&slot, n);
        wane_release(wane_retain(wane_peek(&slot)));
        wane_leave();
        wane_release(wane_weak_get(weak));
        wane_release(weak);
        wane_release(n);
        wane_clear(&slot);
    }
}

static void
drv_10_owner_goes_on_beside_a_stopped_claimer(void **state)
{
    (void)state;
    stop_the_driver();
    act(&w.owner, use_everything, NULL); /* returns: the driver stands still until the gate opens */
    assert_int_not_equal(w.stood_on, w.home);
    assert_true(w.tid_is_right); /* of the record that it was lent */
    act(&w.other, use_everything, NULL);
    assert_true(w.tid_is_right);
    use_everything(NULL);
    assert_int_equal(ended(&w.ended), 0);
    let_it_go_on();
    act(&w.owner, use_everything, NULL);
    assert_int_equal(w.stood_on, w.home);
    assert_int_equal(ended(&w.ended), 0);
    wane_release(w.a); /* what the owner had besides */
    assert_int_equal(wane_barrier(), 0);
    (void)collect();
    assert_int_equal(wane_barrier(), 0);
    assert_int_equal(ended(&w.ended), 1);
    assert_int_equal(ended(&w.short_lived), 4 * ROUNDS);
}

/* The owner ends while its record is claimed; who comes next does not get that record, until the claim is over. */
static void
drv_11_owner_ends_beside_a_stopped_claimer(void **state)
{
    (void)state;
    stop_the_driver();
    actor_stop(&w.owner);
    assert_int_equal(load_relaxed(&wn_record(w.home)->holder), 0);
    actor_start(&w.owner);
    act(&w.owner, use_everything, NULL);
    assert_int_not_equal(w.stood_on, w.home);
    let_it_go_on();
    wane_release(w.a);
    assert_int_equal(wane_barrier(), 0);
    (void)collect();
    assert_int_equal(wane_barrier(), 0);
    assert_int_equal(ended(&w.ended), 1);
    assert_int_equal(ended(&w.short_lived), ROUNDS);
}

int
main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(drv_10_owner_goes_on_beside_a_stopped_claimer),
        T(drv_11_owner_ends_beside_a_stopped_claimer),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
