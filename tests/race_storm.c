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

#define LOOKS     SCALED(1000000)
#define TIMES     16
#define PRODUCERS 4
#define RINGS     SCALED(20000)
#define ABSURD    (UINT64_C(1) << 40) /* a difference that went below zero is larger */

static struct {
    pthread_t     thread[PRODUCERS + 2];
    struct wane_atomic32 running;
    int           ended, wrong, looks;
    wane_slot     root;
} w;

static struct {
    _Alignas(128) struct wane_atomic64 slot; /* lines of their own: a store waits in its buffer */
    _Alignas(128) struct wane_atomic64 flag;
} apart;
static uint32_t flag_seen[LOOKS], slot_seen[LOOKS];

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

/* As a thread that frees objects: what led to one is emptied, then the look at the collecting flag. */
static void *
mutate(void *unused)
{
    (void)unused;
    for (uint32_t i = 1; i < LOOKS; i++) {
        store_relaxed(&apart.slot, (uint64_t)i);
        wn_mutator_fence();
        flag_seen[i] = (uint32_t)load_acquire(&apart.flag);
    }
    store_release(&w.running, 0u);
    return NULL;
}

/* As the collector: it raises its flag, then reads slots. Returns how often. */
static uint32_t
look_at_slots(void)
{
    static struct wane_atomic32 fence_word;
    uint32_t                    i;

    while (!load_acquire(&apart.slot))
        ;
    for (i = 1; i < LOOKS && load_relaxed(&w.running); i++) {
        store_release(&apart.flag, (uint64_t)i);
        if (!wn_membarrier())
            wn_full_fence(&fence_word);
        slot_seen[i] = (uint32_t)load_acquire(&apart.slot);
    }
    return i - 1;
}

/* Nobody waits for anybody. The mutator's i-th look did not show the flag's j-th raising: then the collector's j-th look must
 * have shown the mutator's i-th store. */
static uint32_t
count_both_missed(void)
{
    uint32_t raised, n = 0;

    store_release(&apart.slot, UINT64_C(0));
    store_release(&apart.flag, UINT64_C(0));
    store_release(&w.running, 1u);
    pthread_create(&w.thread[0], NULL, mutate, NULL);
    raised = look_at_slots();
    pthread_join(w.thread[0], NULL);
    for (uint32_t i = 1; i < LOOKS; i++) {
        uint32_t missed = flag_seen[i] + 1;

        n += missed <= raised && slot_seen[missed] < i;
    }
    return n;
}

/* RACE-29: many times, because on a busy machine the two are not always at it at the same time. */
static void
race_29_one_of_two_sees_the_other(void **state)
{
    (void)state;
    for (int i = 0; i < TIMES; i++)
        assert_int_equal(count_both_missed(), 0);
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
    do
        look();
    while (load_acquire(&w.running));
    return NULL;
}

static void
start(int producers, void *(*reader)(void *))
{
    store_release(&w.running, (uint32_t)producers);
    pthread_create(&w.thread[producers], NULL, reader, NULL);
    for (int i = 0; i < producers; i++)
        pthread_create(&w.thread[i], NULL, produce, NULL);
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

struct leaf {
    uint64_t pad[2];
};
WANE_LEAF_TYPE(leaf);

/* Beginnings and ends of every kind that is counted, many of them. */
static void
make_and_drop(void *unused)
{
    wane_slot slot = {0};

    (void)unused;
    for (int i = 0; i < 100; i++) {
        wane_release(wane_new(&leaf_type));
        wane_put(&slot, wane_new(&leaf_type));
        wane_clear(&slot);
    }
    for (int i = 0; i < 60; i++) { /* leaves are short: with a checker's code not many units each */
        wane_enter();
        fetch_or_relaxed(&wn_standing()->pub.attention, WN_ATTEND);
        wane_leave();
        (void)wn_grace_poll(wn_grace_ticket());
    }
}

static void
m1_makes_and_drops(void *actor)
{
    act(actor, make_and_drop, NULL);
}

/* RACE-39: between the two sums of the statistics much is begun and ended. */
static void
race_39_ended_between_the_sums(void **state)
{
    struct wane_stats before, s;
    struct actor      m1;

    (void)state;
    actor_start(&m1);
    act(&m1, make_and_drop, NULL); /* m1 has its record */
    assert_int_equal(wane_barrier(), 0);
    wane_stats(&before);
    on_step("stats:ends", m1_makes_and_drops, &m1);
    wane_stats(&s);
    off_steps();
    assert_int_equal(s.objects_born - before.objects_born, 200);
    assert_int_equal(s.displaced - before.displaced, 100);
    assert_int_equal(s.objects_died, before.objects_died);
    assert_int_equal(s.applied, before.applied);
    assert_true(s.held_bytes < ABSURD);
    wane_stats(&s);
    assert_int_equal(s.objects_died - before.objects_died, 200);
    assert_int_equal(s.applied - before.applied, 100);
    actor_stop(&m1);
}

/* Four producers, a drainer that does not rest, and a reader: no end is seen before its beginning. */
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
        T(race_39_ended_between_the_sums),
        T(race_39_no_difference_is_negative),
        T(race_43_knobs_and_statistics_under_load),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
