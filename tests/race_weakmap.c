/* SPDX-License-Identifier: MIT
 *
 * race_weakmap.c - weak maps at exact points: the list that hangs on a key, what closes an entry, the collector
 *
 * Oracle: a value that was stored and not removed since is found; each value ends once, when its entry has gone.
 */
#include "race_common.h"

#include <wane/weakmap.h>

#include "weak.h"

static struct {
    struct actor         m1;
    struct wane_weakmap *map, *other;
    struct node         *key, *mine, *theirs;
    struct node         *taken, *seen;
    int                  key_ended, value_ended, rc;
} w;

static int
setup(void **state)
{
    (void)state;
    memset(&w, 0, sizeof w);
    schedule_begin();
    actor_start(&w.m1);
    w.map = wane_weakmap_new();
    w.other = wane_weakmap_new();
    w.key = node_new(&w.key_ended);
    w.mine = node_new(&w.value_ended);
    w.theirs = node_new(&w.value_ended);
    assert_true(w.map && w.other);
    return 0;
}

static void
release_all(void)
{
    wane_release(w.mine);
    wane_release(w.theirs);
    wane_release(w.taken);
    wane_release(w.key);
    wane_release(w.map);
    wane_release(w.other);
}

static int
teardown(void **state)
{
    (void)state;
    off_steps();
    actor_stop(&w.m1);
    release_all();
    return wane_shutdown();
}

static void
expect_in(struct wane_weakmap *map, struct node *value)
{
    struct node *got = wane_weakmap_get(map, w.key);

    wane_release(got);
    assert_ptr_equal(got, value);
}

DEED(m1_sets_theirs)
{
    w.rc = wane_weakmap_set(w.map, w.key, w.theirs);
}

DEED(m1_takes)
{
    w.taken = wane_weakmap_take(w.map, w.key);
}

/* ---- A store and an entry that leaves ------------------------------------------------------------------------------- */

/* The store has read a value; the entry is taken out before it writes: it hangs a new one. */
static void
stored_while_it_is_taken(void **state)
{
    (void)state;
    assert_int_equal(wane_weakmap_set(w.map, w.key, w.theirs), 0);
    cue("weakmap:before-replace", 1, &w.m1, m1_takes);
    assert_int_equal(wane_weakmap_set(w.map, w.key, w.mine), 0);
    assert_ptr_equal(w.taken, w.theirs);
    expect_in(w.map, w.mine);
    assert_int_equal(wane_weakmap_count(w.map), 1);
}

/* The taker has read a value; another is stored before it closes: that one is what it takes. */
static void
taken_while_it_is_stored(void **state)
{
    (void)state;
    assert_int_equal(wane_weakmap_set(w.map, w.key, w.mine), 0);
    cue("weakmap:before-close", 1, &w.m1, m1_sets_theirs);
    w.taken = wane_weakmap_take(w.map, w.key);
    assert_ptr_equal(w.taken, w.theirs);
    expect_in(w.map, NULL);
    assert_int_equal(wane_weakmap_count(w.map), 0);
}

/* The entry is closed, its link is still in the map, and a new entry is hung: the old link takes nothing of it along. */
static void
hung_again_before_the_old_link_goes(void **state)
{
    (void)state;
    assert_int_equal(wane_weakmap_set(w.map, w.key, w.mine), 0);
    cue("weakmap:closed", 1, &w.m1, m1_sets_theirs);
    w.taken = wane_weakmap_take(w.map, w.key);
    assert_int_equal(w.rc, 0);
    assert_ptr_equal(w.taken, w.mine);
    assert_int_equal(wane_barrier(), 0); /* the link's dispose has run */
    expect_in(w.map, w.theirs);
    assert_int_equal(wane_weakmap_count(w.map), 1);
}

/* ---- Hanging --------------------------------------------------------------------------------------------------------- */

/* Two hang an entry of one map: the second finds the first's, and its link goes. */
static void
two_hang_one_entry(void **state)
{
    (void)state;
    cue("weakmap:before-hang", 1, &w.m1, m1_sets_theirs);
    assert_int_equal(wane_weakmap_set(w.map, w.key, w.mine), 0);
    assert_int_equal(w.rc, 0);
    expect_in(w.map, w.mine);
    assert_int_equal(wane_weakmap_count(w.map), 1);
    assert_true(wane_weakmap_remove(w.map, w.key));
    expect_in(w.map, NULL);
    assert_int_equal(wane_weakmap_count(w.map), 0);
}

/* An entry is about to be hung behind another map's, which leaves: its frozen link refuses. */
static void
hung_behind_one_that_leaves(void **state)
{
    (void)state;
    assert_int_equal(wane_weakmap_set(w.map, w.key, w.theirs), 0); /* the lower number: it comes first */
    cue("weakmap:before-hang", 1, &w.m1, m1_takes);
    assert_int_equal(wane_weakmap_set(w.other, w.key, w.mine), 0);
    assert_ptr_equal(w.taken, w.theirs);
    expect_in(w.map, NULL);
    expect_in(w.other, w.mine);
}

/* ---- The key's death ------------------------------------------------------------------------------------------------- */

struct asking {
    wane_slot *hung;
    int        asked;
};

static struct asking asking;

static void
ask_for_the_list(void *key)
{
    asking.hung = wn_weak_hung(WANE_HEADER(key));
    asking.asked++;
}

static struct wane_type asking_type = {.name = "asking", .size = 16, .dispose = ask_for_the_list};

/* Nothing more is hung on what dies: its slot may be dropped at once. */
static void
the_dying_have_no_list(void **state)
{
    void *key = wane_new(&asking_type);

    (void)state;
    asking = (struct asking){NULL, 0};
    assert_int_equal(wane_weakmap_set(w.map, key, w.mine), 0);
    wane_release(key);
    assert_int_equal(wane_barrier(), 0);
    assert_int_equal(asking.asked, 1);
    assert_null(asking.hung);
    assert_int_equal(wane_weakmap_count(w.map), 0);
}

/* ---- The hung slot and the collector --------------------------------------------------------------------------------- */

static void
collect_all(void)
{
    assert_int_equal(wane_barrier(), 0);
    (void)collect();
    assert_int_equal(wane_barrier(), 0);
}

/* key => entry -> value -> key: a ring through the hung slot, which nobody holds. */
static void
make_ring(void)
{
    wane_set(&w.mine->s[0], w.key);
    assert_int_equal(wane_weakmap_set(w.map, w.key, w.mine), 0);
    wane_release(w.key);
    wane_release(w.mine);
    w.key = w.mine = NULL;
}

static void
ring_through_the_hung_slot_goes(void **state)
{
    (void)state;
    make_ring();
    collect_all();
    assert_int_equal(ended(&w.key_ended), 1);
    assert_int_equal(ended(&w.value_ended), 1);
    assert_int_equal(wane_weakmap_count(w.map), 0);
}

static void *weak_key;

/* The key comes back to life, and another value hangs on it, which nothing else holds. */
DEED(m1_upgrades_and_sets_theirs)
{
    w.key = wane_weak_get(weak_key);
    if (w.key)
        w.rc = wane_weakmap_set(w.other, w.key, w.theirs);
    wane_release(w.theirs);
    w.theirs = NULL;
}

static void
hung_between_the_traces(void **state)
{
    (void)state;
    weak_key = wane_weak(w.key);
    make_ring();
    cue("review:grace", 1, &w.m1, m1_upgrades_and_sets_theirs);
    collect_all();
    off_steps();
    wane_release(weak_key);
    assert_non_null(w.key);
    assert_int_equal(w.rc, 0);
    assert_int_equal(ended(&w.key_ended) + ended(&w.value_ended), 0);
    assert_int_equal(wane_weakmap_count(w.map) + wane_weakmap_count(w.other), 2);
    wane_release(w.key);
    w.key = NULL;
    collect_all();
    assert_int_equal(ended(&w.key_ended), 1);
    assert_int_equal(ended(&w.value_ended), 2);
}

int
main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(stored_while_it_is_taken),
        T(taken_while_it_is_stored),
        T(hung_again_before_the_old_link_goes),
        T(two_hang_one_entry),
        T(hung_behind_one_that_leaves),
        T(the_dying_have_no_list),
        T(ring_through_the_hung_slot_goes),
        T(hung_between_the_traces),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
