/* SPDX-License-Identifier: MIT
 *
 * race_turns.c - how the background lets others have its processor, and when it does not
 *
 * Turns go by the CPU time of the thread that drives, so they can be counted whatever else the machine does.
 */
#include "race_common.h"

#include <pthread.h>
#include <time.h>

#include <wane/collector.h>
#include <wane/memory.h>

#include "driver.h"
#include "loop.h"

#define MS    UINT64_C(1000000)
#define TURNS 10 /* a millisecond */

static struct wane_atomic64 yields, others; /* others: how long they have the processor, nanoseconds */

/* In the place of libc's. */
int
sched_yield(void)
{
    uint64_t ns = load_relaxed(&others);

    fetch_add_relaxed(&yields, UINT64_C(1));
    if (ns)
        nanosleep(&(struct timespec){(time_t)(ns / 1000000000), (long)(ns % 1000000000)}, NULL);
    return 0;
}

/* Drive and do nothing else for so much CPU time, and until others were let on so often. How often were they? */
static uint64_t
driven(uint64_t ns, bool gives_way, uint64_t least)
{
    uint64_t before = load_relaxed(&yields), end;

    wn_driver_begin();
    if (gives_way)
        wn_driver_give_way();
    for (end = wn_cpu_now() + ns; wn_cpu_now() < end || load_relaxed(&yields) - before < least;)
        wn_driver_breathe();
    wn_driver_end();
    return load_relaxed(&yields) - before;
}

static int
setup(void **state)
{
    (void)state;
    store_relaxed(&others, UINT64_C(0));
    wane_enter();
    wane_leave();
    (void)driven(50 * MS, true, 2); /* a long turn of the test before ends, and what it was long for is forgotten */
    store_relaxed(&yields, UINT64_C(0));
    return 0;
}

static int
teardown(void **state)
{
    (void)state;
    return wane_shutdown();
}

static void
others_come_between_turns(void **state)
{
    (void)state;
    assert_in_range(driven(20 * MS, true, 0), 0, 20 * TURNS + 1);
    (void)driven(0, true, 2);
}

/* They take 5 ms each time: after 20 of them one has 20 of one's own for each. */
static void
who_waited_makes_up_for_it(void **state)
{
    (void)state;
    store_relaxed(&others, 5 * MS);
    assert_in_range(driven(60 * MS, true, 1), 1, 4 + 2 * 3 + 1);
}

/* Away for longer, as if the process had been stopped: a turn of 80 ms, and no more. */
static void
who_was_stopped_does_not_run_for_ever(void **state)
{
    uint64_t began;

    (void)state;
    store_relaxed(&others, 1000 * MS);
    (void)driven(0, true, 1);
    store_relaxed(&others, UINT64_C(0));
    began = wn_cpu_now();
    (void)driven(0, true, 1);
    assert_in_range(wn_cpu_now() - began, 10 * MS, 500 * MS);
}

static void
callers_go_on(void **state)
{
    (void)state;
    assert_int_equal(driven(5 * MS, false, 0), 0);
}

/* So much CPU time, and two turns. */
static void *
drive(void *ns)
{
    (void)driven(*(uint64_t *)ns, true, 2);
    *(uint64_t *)ns = wn_cpu_now();
    return NULL;
}

static uint64_t
driven_by_another(uint64_t ns)
{
    pthread_t thread;

    assert_int_equal(pthread_create(&thread, NULL, drive, &ns), 0);
    pthread_join(thread, NULL);
    return ns;
}

/* A thread's clock begins at 0, behind that of the one before: no turn is as long as that one has lived. */
static void
a_new_thread_begins_anew(void **state)
{
    (void)state;
    assert_true(driven_by_another(400 * MS) >= 400 * MS);
    assert_in_range(driven_by_another(0), 0, 200 * MS);
}

/* Who lets others on while memory is short helps nobody. */
static void
not_while_memory_is_short(void **state)
{
    static struct wane_type type = {.name = "large", .size = sizeof(wane_slot), .flags = WANE_SIZED};
    void                   *large = wane_new_sized(&type, 1 << 20);

    (void)state;
    assert_non_null(large);
    assert_int_equal(wane_budget(1 << 19, 0), 0);
    assert_int_equal(driven(5 * MS, true, 0), 0);
    assert_int_equal(wane_budget(0, 0), 0);
    (void)driven(0, true, 2);
    wane_release(large);
}

static void *
drive_for_once(void *unused)
{
    (void)unused;
    wn_driver_begin();
    wn_driver_end();
    return NULL;
}

/* Nor while a thread waits to drive: as soon as it does there are no yields any more. */
static void
not_while_another_waits_to_drive(void **state)
{
    pthread_t thread;
    uint64_t  before = 0, seen = 1, end = 0;

    (void)state;
    wn_driver_begin();
    wn_driver_give_way();
    assert_int_equal(pthread_create(&thread, NULL, drive_for_once, NULL), 0);
    for (int i = 0; i < 100 && seen; i++) {
        before = load_relaxed(&yields);
        for (end = wn_cpu_now() + 20 * MS; wn_cpu_now() < end;)
            wn_driver_breathe();
        seen = load_relaxed(&yields) - before;
    }
    wn_driver_end();
    pthread_join(thread, NULL);
    assert_int_equal(seen, 0);
}

static void
make_rings(int n, int *ended)
{
    wane_enter();
    for (int i = 0; i < n; i++) {
        struct node *a = node_new(ended), *b = node_new(ended);

        wane_put(&a->s[0], b);
        wane_set(&b->s[0], a);
        wane_release(a);
    }
    wane_leave();
}

/* The real one, with so much to do that it takes several turns. */
static void
the_background_does(void **state)
{
    int ended = 0;

    (void)state;
    for (int i = 0; i < 200 && !load_relaxed(&yields); i++) {
        make_rings(2000, &ended);
        nanosleep(&(struct timespec){0, 20000000}, NULL);
    }
    assert_true(load_relaxed(&yields));
    assert_int_equal(wane_collect(WANE_ALL, NULL), 0);
    assert_int_equal(wane_barrier(), 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(others_come_between_turns, setup, teardown),
        cmocka_unit_test_setup_teardown(who_waited_makes_up_for_it, setup, teardown),
        cmocka_unit_test_setup_teardown(who_was_stopped_does_not_run_for_ever, setup, teardown),
        cmocka_unit_test_setup_teardown(callers_go_on, setup, teardown),
        cmocka_unit_test_setup_teardown(a_new_thread_begins_anew, setup, teardown),
        cmocka_unit_test_setup_teardown(not_while_memory_is_short, setup, teardown),
        cmocka_unit_test_setup_teardown(not_while_another_waits_to_drive, setup, teardown),
        cmocka_unit_test_setup_teardown(the_background_does, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
