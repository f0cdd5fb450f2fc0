/* SPDX-License-Identifier: MIT
 *
 * race_storm.c - handshakes, statistics and knobs under threads that run freely: bounded, and every look is checked
 */
#include "race_common.h"

#include <sched.h>

#include "collect.h"
#include "grace.h"
#include "record.h"

#if defined(WN_TSAN) || defined(__SANITIZE_ADDRESS__) || WN_CHECKS >= 2
#define SCALED(n) ((n) / 10)
#else
#define SCALED(n) (n)
#endif

#define ROUNDS    SCALED(20000)
#define PRODUCERS 4
#define RINGS     SCALED(20000)
#define ABSURD    (UINT64_C(1) << 40) /* a difference that went below zero is larger */

static struct {
    pthread_t     thread[PRODUCERS + 2];
    struct wane_atomic32 arrived, running;
    struct wane_atomic64 slot, flag;
    uint64_t      seen;
    int           ended, wrong, looks;
    wane_slot     root;
} w;

static void (*wake_background)(void);

static int
setup(void **state)
{
    (void)state;
    memset(&w, 0, sizeof w);
    wane_enter();
    wane_leave();
    if (!wake_background)
        wake_background = wn_wake_background;
    schedule_begin();
    return 0;
}

static int
teardown(void **state)
{
    (void)state;
    return wane_shutdown();
}

/* ---- Store, then look ------------------------------------------------------------------------------------------------ */

static void
meet(uint32_t turn)
{
    (void)fetch_add_relaxed(&w.arrived, 1u);
    for (int spins = 0; load_acquire(&w.arrived) < 2 * turn; spins++)
        if (spins > 1000) /* with a core of its own the other one is here by now */
            sched_yield();
}

/* As a thread that frees an object: what led to it is emptied, then the look at the collecting flag. */
static void *
mutate(void *unused)
{
    (void)unused;
    for (uint32_t i = 1; i <= ROUNDS; i++) {
        meet(2 * i - 1);
        store_relaxed(&w.slot, (uint64_t)i);
        wn_mutator_fence();
        w.seen = load_acquire(&w.flag);
        meet(2 * i);
    }
    return NULL;
}

/* RACE-29: the collector raises its flag and then reads slots. That both miss the other's store must not happen. */
static void
race_29_one_of_two_sees_the_other(void **state)
{
    static struct wane_atomic32 fence_word;
    uint64_t                    both_missed = 0;

    (void)state;
    pthread_create(&w.thread[0], NULL, mutate, NULL);
    for (uint32_t i = 1; i <= ROUNDS; i++) {
        uint64_t slot;

        meet(2 * i - 1);
        store_release(&w.flag, (uint64_t)i);
        if (!wn_membarrier())
            wn_full_fence(&fence_word);
        slot = load_acquire(&w.slot);
        meet(2 * i);
        both_missed += slot != i && w.seen != i;
    }
    pthread_join(w.thread[0], NULL);
    assert_int_equal(both_missed, 0);
}

/* ---- Numbers --------------------------------------------------------------------------------------------------------- */

static void
make_ring(void)
{
    struct node *x = node_new(&w.ended), *y = node_new(&w.ended);

    wane_set(&x->s[0], y);
    wane_set(&w.root, x);
    wane_put(&y->s[0], x);
    wane_release(y);
}

static void *
produce(void *unused)
{
    (void)unused;
    for (int i = 0; i < RINGS / PRODUCERS; i++)
        make_ring();
    (void)fetch_add_release(&w.running, -1u);
    return NULL;
}

static void
look(void)
{
    struct wane_stats s;

    wane_stats(&s);
    w.wrong += s.applied > s.displaced || s.objects_died > s.objects_born || s.bytes_died > s.bytes_born;
    w.wrong += s.held_bytes > ABSURD || load_relaxed(&wn_handed_count) > ABSURD;
    for (int age = 0; age < WN_AGES; age++)
        w.wrong += load_relaxed(&wn_waiting_count[age]) > ABSURD;
    w.looks++;
}

static void *
look_on(void *unused)
{
    (void)unused;
    while (load_acquire(&w.running))
        look();
    return NULL;
}

static void
start(int producers, void *(*reader)(void *))
{
    store_release(&w.running, (uint32_t)producers);
    for (int i = 0; i < producers; i++)
        pthread_create(&w.thread[i], NULL, produce, NULL);
    pthread_create(&w.thread[producers], NULL, reader, NULL);
}

static void
join(int threads)
{
    for (int i = 0; i < threads; i++)
        pthread_join(w.thread[i], NULL);
    wane_clear(&w.root);
    assert_int_equal(wane_barrier(), 0);
    (void)collect();
    assert_int_equal(ended(&w.ended), 2 * RINGS);
}

/* RACE-39: four producers, a drainer that does not rest, and a reader: no end is seen before its beginning. */
static void
race_39_no_difference_is_negative(void **state)
{
    struct wane_stats before, after;

    (void)state;
    wane_stats(&before);
    start(PRODUCERS, look_on);
    while (load_acquire(&w.running))
        (void)wane_collect(0, NULL);
    join(PRODUCERS + 1);
    assert_true(w.looks > 0);
    assert_int_equal(w.wrong, 0);
    wane_stats(&after);
    assert_int_equal(after.objects_born - before.objects_born, 2 * RINGS);
    assert_int_equal(after.objects_died - before.objects_died, 2 * RINGS);
    assert_int_equal(after.displaced, after.applied);
    assert_int_equal(load_relaxed(&wn_handed_count), 0);
}

/* Two values that differ in both halves of a word. */
static const size_t thresholds[] = {64, ((size_t)65 << 32) + 65};

static void
see_type(const char *name, int64_t objects, int64_t bytes, void *unused)
{
    (void)unused;
    w.wrong += !name || objects > (int64_t)ABSURD || bytes > (int64_t)ABSURD;
}

static void *
set_and_look(void *unused)
{
    (void)unused;
    for (unsigned i = 0; load_acquire(&w.running); i++) {
        w.wrong += wane_set_threshold(0, thresholds[i % 2]) != 0;
        look();
        wane_type_stats(see_type, NULL);
    }
    return NULL;
}

/* RACE-43: the background collects; one thread sets its threshold, another one reads it. */
static void
race_43_knobs_and_statistics_under_load(void **state)
{
    size_t before = wane_threshold(0);

    (void)state;
    wn_wake_background = wake_background;
    wane_set_threshold(0, thresholds[0]);
    start(PRODUCERS, set_and_look);
    while (load_acquire(&w.running)) {
        size_t n = wane_threshold(0);

        assert_true(n == thresholds[0] || n == thresholds[1]);
        sched_yield();
    }
    join(PRODUCERS + 1);
    assert_int_equal(w.wrong, 0);
    assert_int_equal(wane_set_threshold(0, before), 0);
}

int
main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(race_29_one_of_two_sees_the_other),
        T(race_39_no_difference_is_negative),
        T(race_43_knobs_and_statistics_under_load),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
