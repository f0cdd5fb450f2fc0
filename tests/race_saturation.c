/* SPDX-License-Identifier: MIT
 *
 * race_saturation.c - counts at the ends of their range: words are set by hand near the limit, then changed by the real
 * functions
 */
#include "race_common.h"

#include "count.h"

#define RETAINS 64

static struct {
    struct actor m1;
    struct node *x;
    int          ended;
} w;

static int
setup(void **state)
{
    (void)state;
    memset(&w, 0, sizeof w);
    schedule_begin();
    actor_start(&w.m1);
    w.x = node_new(&w.ended);
    return 0;
}

static struct wane_header *
header(void)
{
    return WANE_HEADER(w.x);
}

static uint64_t
word0(void)
{
    return load_relaxed(&header()->word0);
}

static uint64_t
word1(void)
{
    return load_relaxed(&header()->word1);
}

static void
set_count(int64_t count, uint64_t flags)
{
    store_relaxed(&header()->word1, ((uint64_t)count << WN_COUNT_SHIFT & WN_COUNT_MASK) | flags | 5 * WN_VERSION_ONE);
}

static void
set_local(uint64_t local)
{
    store_relaxed(&header()->word0, (word0() & ~WN_LOCAL_MASK) | local);
}

/* Leave the object as one that its maker holds once, so that it can end. */
static int
teardown(void **state)
{
    (void)state;
    off_steps();
    wane_enter();
    store_relaxed(&header()->word0, (uint64_t)wn_type_id(word0()) << WN_TYPE_SHIFT | wane_self.me | (word0() & WANE_QUIET) | 1);
    set_count(0, word1() & (WN_MARKS | WN_WEAK));
    wane_leave();
    wane_release(w.x);
    actor_stop(&w.m1);
    return wane_shutdown();
}

static void
retain_x(void *times)
{
    for (int i = 0; i < *(const int *)times; i++)
        wane_retain(w.x);
}

static void
release_x(void *times)
{
    for (int i = 0; i < *(const int *)times; i++)
        wane_release(w.x);
}

/* The shared count reaches its limit: immortal from there, in the middle of the range; nothing wraps, no field is touched. */
static void
cnt_02_shared_count_saturates(void **state)
{
    int      n = RETAINS;
    uint64_t before = word0();

    (void)state;
    set_count(WN_IMMORTAL - RETAINS / 2, 0);
    act(&w.m1, retain_x, &n);
    assert_int_equal(wn_count(word1()), WN_IMMORTAL_CENTRE);
    act(&w.m1, retain_x, &n);
    act(&w.m1, release_x, &n);
    act(&w.m1, release_x, &n);
    assert_int_equal(wn_count(word1()), WN_IMMORTAL_CENTRE);
    assert_int_equal(word0(), before);
    assert_false(word1() & (WN_MERGED | WN_QUEUED | WN_DEAD));
    assert_int_equal(w.ended, 0);
}

/* Many threads' units below zero: the count stays where it is, the unit stays counted, and is told in the statistics. */
static void
negative_count_saturates(void **state)
{
    struct wane_stats before, after;
    int               n = RETAINS;

    (void)state;
    wane_stats(&before);
    set_local(1000);
    set_count(-WN_IMMORTAL + RETAINS / 2, WN_QUEUED);
    act(&w.m1, release_x, &n);
    assert_int_equal(wn_count(word1()), -WN_IMMORTAL);
    assert_true(word1() & WN_QUEUED);
    assert_int_equal(wn_local(word0()), 1000);
    wane_stats(&after);
    assert_int_equal(after.lost_units - before.lost_units, RETAINS / 2);
}

/* The owner's count reaches the guard bit: it stays, and neither quiet nor owner nor type are touched. */
static void
bias_12_local_count_reaches_its_width(void **state)
{
    uint64_t before = word0() & ~WN_LOCAL_MASK;

    (void)state;
    WANE_SECTION
    {
        set_local(WANE_LOCAL_LIMIT - 3);
        for (int i = 0; i < RETAINS; i++)
            wane_retain(w.x);
        assert_int_equal(wn_local(word0()), WANE_LOCAL_LIMIT);
        for (int i = 0; i < RETAINS; i++)
            wane_release(w.x);
        assert_int_equal(wn_local(word0()), WANE_LOCAL_LIMIT); /* for ever */
        assert_int_equal(word0() & ~(WN_LOCAL_MASK | WANE_QUIET), before & ~WANE_QUIET);
    }
}

/* So do upgrades. */
static void
bias_12_upgrades_at_its_width(void **state)
{
    void *weak = wane_weak(w.x);

    (void)state;
    WANE_SECTION
    {
        set_local(WANE_LOCAL_LIMIT - 1);
        for (int i = 0; i < RETAINS; i++)
            assert_ptr_equal(wane_weak_get(weak), w.x);
        assert_int_equal(wn_local(word0()), WANE_LOCAL_LIMIT);
    }
    wane_release(weak);
}

/* A merge whose sum is beyond the limit saturates. */
static void
a_merge_beyond_the_limit_is_immortal(void **state)
{
    (void)state;
    set_count(WN_IMMORTAL - 10, 0);
    WANE_SECTION
    {
        set_local(100);
        assert_true(wn_count_merge(header(), wn_type_of(header()), wn_standing()));
    }
    assert_int_equal(wn_count(word1()), WN_IMMORTAL_CENTRE);
    assert_true(word1() & WN_MERGED);
}

/* Adding to a negative count borrows from the version and gives it back: other fields never change. */
static void
versions_and_flags_survive_the_borrow(void **state)
{
    int one = 1;

    (void)state;
    set_local(50);
    set_count(-3, WN_QUEUED);
    for (int i = 0; i < 10; i++) {
        uint64_t before = word1();

        act(&w.m1, retain_x, &one);
        assert_int_equal(wn_count(word1()), wn_count(before) + 1);
        act(&w.m1, release_x, &one);
        assert_int_equal(wn_count(word1()), wn_count(before));
        assert_int_equal(word1() & (WN_COUNT_ONE - 1) & ~WN_MARKS, before & (WN_COUNT_ONE - 1) & ~WN_MARKS);
    }
}

static void
an_immortal_object_in_a_ring(void **state)
{
    static int   ended_ring;
    struct node *a = node_new(&ended_ring), *outside = node_new(&ended_ring);

    (void)state;
    wane_set(&a->s[0], w.x); /* a -> x -> a, and x is immortal: x holds a for ever */
    wane_set(&w.x->s[0], a);
    wane_set(&outside->s[0], outside);
    wane_set(&outside->s[1], w.x); /* a ring that holds it: goes */
    wane_immortal(w.x);
    wane_immortal(w.x);
    wane_release(a);
    wane_release(outside);
    assert_int_equal(collect(), 1);
    assert_int_equal(ended(&ended_ring), 1);
    wane_clear(&w.x->s[0]);
    assert_int_equal(wane_barrier(), 0);
    (void)collect();
    assert_int_equal(ended(&ended_ring), 2);
    assert_int_equal(w.ended, 0);
}

/* Upgrades of an immortal object change its count as little as its releases do: no number of them wraps it. */
static void
upgrade_many_times(void *weak)
{
    for (int i = 0; i < RETAINS; i++) {
        assert_ptr_equal(wane_weak_get(weak), w.x);
        wane_release(w.x);
    }
}

static void
upgrades_of_the_immortal_do_not_count(void **state)
{
    void *weak = wane_weak(w.x);

    (void)state;
    wane_immortal(w.x);
    act(&w.m1, upgrade_many_times, weak); /* not its owner */
    assert_int_equal(wn_count(word1()), WN_IMMORTAL_CENTRE);
    wane_release(weak);
}

#define RACE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        RACE(cnt_02_shared_count_saturates),
        RACE(negative_count_saturates),
        RACE(bias_12_local_count_reaches_its_width),
        RACE(bias_12_upgrades_at_its_width),
        RACE(a_merge_beyond_the_limit_is_immortal),
        RACE(versions_and_flags_survive_the_borrow),
        RACE(an_immortal_object_in_a_ring),
        RACE(upgrades_of_the_immortal_do_not_count),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
