/* SPDX-License-Identifier: MIT
 *
 * race_notify.c - weak references and their callbacks against a counted death, at exact points
 */
#include <errno.h>

#include "race_stopped.h"

#include "table.h"

static struct {
    struct stopped      m1;
    struct node        *a;
    void               *weak_a;
    int                 ended, result, calls, other_calls;
    bool                cancelled;
    unsigned            freed_meanwhile;
    struct wane_header *dying;
    bool                in_table;
} world;

static int
setup(void **state)
{
    (void)state;
    memset(&world, 0, sizeof world);
    schedule_begin();
    stopped_start(&world.m1);
    return 0;
}

static int
teardown(void **state)
{
    (void)state;
    off_steps();
    stopped_end(&world.m1);
    return wane_shutdown();
}

/* ---- Upgrades against counted deaths ----------------------------------------------------------------------------- */

/* The upgrade has the target's address, in its section; the target dies: its memory stays for that section. */
static void
race_target_dies_under_an_upgrade(void **state)
{
    void *weak;

    (void)state;
    world.a = node_new(&world.ended);
    weak = wane_weak(world.a);
    on_any_step("death:free", NULL, NULL);
    begin_upgrade(&world.m1, weak, "weak:target");
    wane_release(world.a);
    assert_int_equal(ended(&world.ended), 1);
    wane_checkpoint();
    world.freed_meanwhile = steps_seen("death:free");
    go_on(&world.m1);
    assert_null(world.m1.got);
    assert_int_equal(world.freed_meanwhile, 0);
    wane_release(weak);
}

static void
look_up_dying(void *unused)
{
    (void)unused;
    world.in_table = wn_table_find(world.dying) != NULL;
}

/* Before the memory can be used again, the table has forgotten its address. */
static void
race_table_forgets_before_the_memory_goes(void **state)
{
    void *weak;

    (void)state;
    world.in_table = true;
    world.a = node_new(&world.ended);
    world.dying = WANE_HEADER(world.a);
    weak = wane_weak(world.a);
    off_steps();
    on_any_step("death:free", look_up_dying, NULL); /* the first memory that goes is the target's */
    wane_release(world.a);
    assert_int_equal(wane_barrier(), 0);
    while (!steps_seen("death:free"))
        assert_int_equal(wane_barrier(), 0);
    assert_false(world.in_table);
    wane_release(weak);
}

/* ---- Callbacks against death ------------------------------------------------------------------------------------- */

static void
called(void *weak, void *counter)
{
    assert_null(wane_weak_get(weak));
    __atomic_fetch_add((int *)counter, 1, __ATOMIC_RELAXED);
}

static void
register_and_stop(void *arg)
{
    struct stopped *m = arg;

    on_step(m->point, stop, m);
    world.result = wane_weak_notify(m->weak, called, &world.calls);
}

static void
cancel_and_stop(void *arg)
{
    struct stopped *m = arg;

    on_step(m->point, stop, m);
    world.cancelled = wane_weak_unnotify(m->weak, called, &world.calls);
}

static void
begin(struct stopped *m, void (*fn)(void *), const char *point)
{
    m->weak = world.weak_a;
    m->point = point;
    act_begin(&m->actor, fn, m);
    while (!steps_seen(point))
        ;
}

static void
make_one(void)
{
    world.a = node_new(&world.ended);
    world.weak_a = wane_weak(world.a);
}

/* The registration is complete but for its push when the target dies: refused. */
static void
notify_stops_before_its_push(void **state)
{
    (void)state;
    make_one();
    begin(&world.m1, register_and_stop, "notify:before-push");
    wane_release(world.a);
    assert_int_equal(ended(&world.ended), 1);
    go_on(&world.m1);
    assert_int_equal(world.result, -ESRCH);
    assert_int_equal(world.calls, 0);
    wane_release(world.weak_a);
}

/* The same in a note that is used again; another one, registered meanwhile, runs. */
static void
notify_stops_while_it_fills(void **state)
{
    (void)state;
    make_one();
    assert_int_equal(wane_weak_notify(world.weak_a, called, &world.other_calls), 0);
    assert_true(wane_weak_unnotify(world.weak_a, called, &world.other_calls));
    begin(&world.m1, register_and_stop, "notify:filled");
    assert_false(wane_weak_unnotify(world.weak_a, called, &world.calls)); /* it is not registered yet */
    assert_int_equal(wane_weak_notify(world.weak_a, called, &world.other_calls), 0);
    wane_release(world.a);
    assert_int_equal(world.other_calls, 1);
    go_on(&world.m1);
    assert_int_equal(world.result, -ESRCH);
    assert_int_equal(world.calls, 0);
    wane_release(world.weak_a);
}

/* A cancel has found its note and stops; the callback runs; then it is too late. */
static void
notify_cancel_after_the_run(void **state)
{
    (void)state;
    make_one();
    assert_int_equal(wane_weak_notify(world.weak_a, called, &world.calls), 0);
    begin(&world.m1, cancel_and_stop, "notify:before-cancel");
    wane_release(world.a);
    assert_int_equal(world.calls, 1);
    go_on(&world.m1);
    assert_false(world.cancelled);
    wane_release(world.weak_a);
}

/* A cancel has found its note and stops; somebody else cancels it and registers something else in its place. */
static void
notify_cancel_of_an_earlier_filling(void **state)
{
    (void)state;
    make_one();
    assert_int_equal(wane_weak_notify(world.weak_a, called, &world.calls), 0);
    begin(&world.m1, cancel_and_stop, "notify:before-cancel");
    assert_true(wane_weak_unnotify(world.weak_a, called, &world.calls));
    assert_int_equal(wane_weak_notify(world.weak_a, called, &world.other_calls), 0);
    go_on(&world.m1);
    assert_false(world.cancelled);
    wane_release(world.a);
    assert_int_equal(world.calls, 0);
    assert_int_equal(world.other_calls, 1);
    wane_release(world.weak_a);
}

static void
register_now(void *unused)
{
    (void)unused;
    world.result = wane_weak_notify(world.weak_a, called, &world.calls);
}

/* The target's death is decided, its callbacks are not looked at yet: this one runs. */
static void
notify_registered_while_it_dies(void **state)
{
    (void)state;
    make_one();
    world.result = 1;
    on_step("death:begin", register_now, NULL);
    wane_release(world.a);
    assert_int_equal(world.result, 0);
    assert_int_equal(world.calls, 1);
    assert_int_equal(wane_weak_notify(world.weak_a, called, &world.calls), -ESRCH);
    wane_release(world.weak_a);
}

int
main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(race_target_dies_under_an_upgrade),
        T(race_table_forgets_before_the_memory_goes),
        T(notify_stops_before_its_push),
        T(notify_stops_while_it_fills),
        T(notify_cancel_after_the_run),
        T(notify_cancel_of_an_earlier_filling),
        T(notify_registered_while_it_dies),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
