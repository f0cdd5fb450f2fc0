/* SPDX-License-Identifier: MIT
 *
 * test_bias.c - scenarios of objects biased to an owner (BIAS): queues, merges, owners that block or end
 */
#include "scene.h"

#define BATCH 500

static struct {
    struct node *object[BATCH];
    long         rounds, by_left, by_right;
    uint64_t     queued_before;
} zero;

static void *
retain_odd_ones(void *unused)
{
    (void)unused;
    for (int i = 1; i < BATCH; i += 2)
        wane_retain(zero.object[i]);
    return NULL;
}

/* Even ones: both units local (retained inside a section). Odd ones: one local, one shared. */
static void
zero_prepare(void)
{
    wane_enter();
    for (int i = 0; i < BATCH; i++) {
        zero.object[i] = node_new();
        if (i % 2 == 0)
            wane_retain(zero.object[i]);
    }
    wane_leave();
    join(spawn(retain_odd_ones, NULL));
    zero.rounds++;
}

/* Even rounds go outside of sections: each release opens one of its own. */
static void
zero_release_all(long *by)
{
    long before = disposed_here;
    bool in_section = zero.rounds & 1;

    if (in_section)
        wane_enter();
    for (int i = 0; i < BATCH; i++)
        wane_release(zero.object[i]);
    if (in_section)
        wane_leave();
    *by += disposed_here - before;
}

static void
zero_left(void)
{
    zero_release_all(&zero.by_left);
}

static void
zero_right(void)
{
    zero_release_all(&zero.by_right);
}

static bool
zero_settle(void)
{
    struct wane_stats s;

    wane_stats(&s);
    return zero.rounds >= SCALED(400) && zero.by_left >= 100 && zero.by_right >= 100 &&
           s.queued - zero.queued_before >= 100;
}

/* The owner's last local unit and the stranger's unit go at the same time, in both orders: one merge, one death. */
static void
bias_02_two_zero_makers(void **state)
{
    struct duel       d = {.prepare = zero_prepare,
                           .left = zero_left,
                           .right = zero_right,
                           .settle = zero_settle,
                           .cap = 4000,
                           .delay = 3000};
    struct wane_stats s;

    (void)state;
    memset(&zero, 0, sizeof zero);
    wane_stats(&s);
    zero.queued_before = s.queued;
    assert_true(duel_run(&d));
    assert_true(wait_live(0));
    assert_int_equal(atomic_load(&disposed), zero.rounds * BATCH);
}

static void *
release_it(void *object)
{
    wane_release(object);
    return NULL;
}

/* A stranger's unit waits in the owner's queue; the owner gives up all of its own, then drains: one death, at
 * the drain. */
static void
bias_03_queued_then_freed_by_owner(void **state)
{
    (void)state;
    for (int i = 0; i < 100; i++) {
        struct node *o = node_new();

        wane_enter(); /* nobody drains or claims this thread's queue now */
        join(spawn(release_it, wane_retain(o)));
        wane_release(o);
        assert_int_equal(atomic_load(&disposed), i); /* the queue's unit keeps it */
        node_check(o);
        wane_leave();
        assert_true(pump_count(&disposed, i + 1));
        assert_int_equal(atomic_load(&disposed), i + 1);
    }
}

static struct node *parents[1000], *children[1000];

static void *
release_parents_and_children(void *unused)
{
    (void)unused;
    for (int i = 0; i < 1000; i++) {
        wane_release(children[i]);
        wane_release(parents[i]);
    }
    return NULL;
}

/* Objects die while their owner drains its queue, and their death drops units of others that wait in the same queue. */
static void
bias_06_deaths_during_drain(void **state)
{
    (void)state;
    wane_enter();
    for (int i = 0; i < 1000; i++) {
        parents[i] = node_new();
        children[i] = node_new();
        wane_set(&parents[i]->a, children[i]);
        wane_set(&parents[i]->b, i ? children[i - 1] : NULL);
    }
    join(spawn(release_parents_and_children, NULL));
    assert_int_equal(atomic_load(&disposed), 0);
    wane_leave();
    assert_true(pump_count(&disposed, 2000));
    assert_int_equal(atomic_load(&disposed), 2000);
}

#define MANY SCALED(100000)

static struct {
    struct pipe_wait wait;
    struct node    **object;
    atomic_bool      made;
} blocked;

static void *
make_then_block(void *unused)
{
    (void)unused;
    for (long i = 0; i < MANY; i++)
        blocked.object[i] = node_new();
    atomic_store(&blocked.made, true);
    pipe_block(&blocked.wait);
    return NULL;
}

/* The owner of many objects blocks in a system call; another thread releases all of them: all die without the owner. */
static void
bias_09_owner_blocked(void **state)
{
    pthread_t owner;

    (void)state;
    blocked.object = calloc(MANY, sizeof *blocked.object);
    pipe_open(&blocked.wait);
    owner = spawn(make_then_block, NULL);
    while (!atomic_load(&blocked.made))
        nap();
    for (long i = 0; i < MANY; i++)
        wane_release(blocked.object[i]);
    assert_true(wait_count(&disposed, MANY)); /* nobody calls the runtime now: the background acts for the owner */
    assert_int_equal(atomic_load(&disposed), MANY);
    pipe_wake(&blocked.wait);
    join(owner);
    pipe_done(&blocked.wait);
    free(blocked.object);
}

static wane_slot exchange_slot;

static void *
make_into_slot(void *unused)
{
    (void)unused;
    wane_put(&exchange_slot, node_new());
    return NULL;
}

static void *
clear_the_slot(void *unused)
{
    (void)unused;
    wane_clear(&exchange_slot);
    return NULL;
}

/* The creator stores its unit, a second thread clears the slot, a third releases what it got before: one death. */
static void
bias_10_third_thread_releases_last(void **state)
{
    (void)state;
    for (int i = 0; i < 100; i++) {
        struct node *o;

        join(spawn(make_into_slot, NULL));
        o = wane_get(&exchange_slot);
        join(spawn(clear_the_slot, NULL));
        assert_int_equal(wane_barrier(), 0);
        node_check(o);
        assert_int_equal(atomic_load(&disposed), i);
        join(spawn(release_it, o));
        assert_true(wait_count(&disposed, i + 1));
        assert_int_equal(atomic_load(&disposed), i + 1);
    }
}

/* Inside a section the owner's plain release of a spare unit leaves an isolated ring: a candidate without any
 * atomic. */
static void
bias_13_fast_release_makes_candidate(void **state)
{
    struct node *a, *b;

    (void)state;
    wane_enter();
    a = node_new();
    b = node_new();
    wane_set(&a->a, b);
    wane_set(&b->a, a);
    wane_release(b);
    wane_leave();
    collect_now(); /* a is held: nothing may go */
    assert_int_equal(atomic_load(&disposed), 0);
    wane_enter();
    wane_release(a);
    wane_leave();
    collect_now();
    assert_true(wait_count(&disposed, 2));
}

static void *
store_and_release(void *arg)
{
    struct node *a = arg;

    wane_set(&a->b, a); /* the slot's unit is counted in the shared half */
    wane_release(a);
    return NULL;
}

/* The last unit from outside goes in a merge: by the queue's drain, and by the owner's own last release. */
static void
bias_14_merge_makes_candidate(void **state)
{
    struct node *a = node_new();

    (void)state;
    wane_set(&a->a, a);
    join(spawn(release_it, a)); /* our only owned unit goes through our queue */
    collect_now();
    assert_true(pump_count(&disposed, 1));
    a = node_new();
    join(spawn(store_and_release, wane_retain(a)));
    wane_release(a);
    collect_now();
    assert_true(pump_count(&disposed, 2));
    assert_int_equal(atomic_load(&disposed), 2);
}

static _Atomic(struct node *) handed;

static void *
make_and_hand_over(void *unused)
{
    (void)unused;
    wane_release(atomic_exchange(&handed, node_new()));
    return NULL;
}

/* Ten thousand threads make an object each, hand it over and end: records are used again and all objects die. */
static void
bias_15_short_threads_hand_over(void **state)
{
    struct wane_stats before, after;
    long              n = SCALED(10000);

    (void)state;
    wane_stats(&before);
    for (long i = 0; i < n / 2; i++) {
        pthread_t t = spawn(make_and_hand_over, NULL);

        join(spawn(make_and_hand_over, NULL));
        join(t);
    }
    wane_release(atomic_exchange(&handed, NULL));
    assert_true(pump_count(&disposed, n / 2 * 2));
    assert_int_equal(atomic_load(&disposed), n / 2 * 2);
    wane_stats(&after);
    assert_true(after.records - before.records <= 64);
}

SCENE_MAIN(SCENE(bias_02_two_zero_makers), SCENE(bias_03_queued_then_freed_by_owner),
           SCENE(bias_06_deaths_during_drain), SCENE(bias_09_owner_blocked),
           SCENE(bias_10_third_thread_releases_last), SCENE(bias_13_fast_release_makes_candidate),
           SCENE(bias_14_merge_makes_candidate), SCENE(bias_15_short_threads_hand_over))
