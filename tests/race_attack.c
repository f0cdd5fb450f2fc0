/* SPDX-License-Identifier: MIT
 *
 * race_attack.c - shared counts that drift, and burying in shares, where they could go wrong
 *
 * A shared object's units are made in one place and given back in another: what that adds up to in a minute of traffic is put
 * into the counters by hand (drift), then the next few operations follow.
 */
#include <errno.h>

#include "race_common.h"

#include "count.h"
#include "driver.h"
#include "share.h"

static struct {
    struct actor m1, m2;
    struct node *x;
    void        *weak;
    int          x_ended;
    uint32_t     id1, id2;
} w;

static void
remember_id(void *id)
{
    wane_enter();
    *(uint32_t *)id = wn_standing()->id;
    wane_leave();
}

static int
setup(void **state)
{
    (void)state;
    memset(&w, 0, sizeof w);
    schedule_begin();
    actor_start(&w.m1);
    actor_start(&w.m2);
    act(&w.m1, remember_id, &w.id1);
    act(&w.m2, remember_id, &w.id2);
    return 0;
}

static int
teardown(void **state)
{
    (void)state;
    off_steps();
    actor_stop(&w.m1);
    actor_stop(&w.m2);
    return wane_shutdown();
}

static uint64_t
word0_of(const void *object)
{
    return load_relaxed(&WANE_HEADER(object)->word0);
}

static uint64_t
word1_of(const void *object)
{
    return load_relaxed(&WANE_HEADER(object)->word1);
}

static void
make_x(void *unused)
{
    (void)unused;
    w.x = node_new(&w.x_ended);
}

static void
retain_x(void *unused)
{
    (void)unused;
    wane_retain(w.x);
}

static void
release_x(void *unused)
{
    (void)unused;
    wane_release(w.x);
}

static void
retain_x_inside(void *unused)
{
    (void)unused;
    WANE_SECTION
    wane_retain(w.x);
}

static void
release_x_inside(void *unused)
{
    (void)unused;
    WANE_SECTION
    wane_release(w.x);
}

/* n times: one retains, the other releases. */
static void
x_travels(struct actor *from, struct actor *to, int n)
{
    while (n--) {
        act(from, retain_x_inside, NULL);
        act(to, release_x_inside, NULL);
    }
}

/* The count of x is n, all told: it lives until the n-th release, and no longer. */
static void
x_has(int n)
{
    assert_int_equal(wane_unshare(w.x), 0);
    assert_int_equal(wane_barrier(), 0);
    while (n--) {
        assert_int_equal(w.x_ended, 0);
        act(&w.m1, release_x, NULL);
        assert_int_equal(wane_barrier(), 0);
        (void)collect();
    }
    assert_int_equal(w.x_ended, 1);
}

/* ---- Where units are counted ---------------------------------------------------------------------------------------- */

static struct wn_shared_count *
entry_of(uint32_t id, const void *object)
{
    struct wn_record *r = wn_record(id);

    for (int i = 0; i < WN_SHARED_COUNTS; i++)
        if (load_relaxed(&r->shared[i].object) == (void *)WANE_HEADER(object))
            return &r->shared[i];
    return NULL;
}

static void
fill_entries(void *unused)
{
    static int others;

    (void)unused;
    WANE_SECTION
    for (int i = 0; i < WN_SHARED_COUNTS; i++)
        if (!load_relaxed(&wn_standing()->shared[i].object))
            store_relaxed(&wn_standing()->shared[i].object, (void *)&others);
}

static void
empty_entries(void *unused)
{
    (void)unused;
    memset(wn_record(w.id2)->shared, 0, sizeof wn_record(w.id2)->shared);
}

/* m2 counts many objects and has no entry for this one. What it gives back must not eat up what keeps x alive. */
static void
a_record_without_an_entry_leaves_word1_alone(void **state)
{
    uint64_t word;

    (void)state;
    act(&w.m1, make_x, NULL);
    act(&w.m2, fill_entries, NULL);
    assert_int_equal(wane_share(w.x), 0);
    word = word1_of(w.x);
    x_travels(&w.m1, &w.m2, 3);
    x_travels(&w.m2, &w.m1, 2);
    assert_int_equal(word1_of(w.x), word);
    assert_null(entry_of(w.id2, w.x));
    act(&w.m2, empty_entries, NULL);
    x_has(1);
}

/* A retain outside of sections and a release, which opens one, count in the same place. So do upgrades. */
static void
outside_of_sections_and_upgrades_leave_word1_alone(void **state)
{
    uint64_t word;

    (void)state;
    act(&w.m1, make_x, NULL);
    w.weak = wane_weak(w.x);
    assert_int_equal(wane_share(w.x), 0);
    word = word1_of(w.x);
    for (int i = 0; i < 10; i++) {
        act(&w.m2, retain_x, NULL);
        act(&w.m2, release_x, NULL);
        assert_ptr_equal(wane_weak_get(w.weak), w.x);
        wane_release(w.x);
    }
    assert_int_equal(word1_of(w.x), word);
    wane_release(w.weak);
    x_has(1);
}

static void
fill_local(void *unused)
{
    (void)unused;
    WANE_SECTION
    store_relaxed(&WANE_HEADER(w.x)->word0, word0_of(w.x) - 2 + WANE_LOCAL_LIMIT);
}

/* The owner has retained 2^30 times, m2 has given all of that back: only one unit is left. */
static void
make_and_share_with_a_full_local_count(void)
{
    act(&w.m1, make_x, NULL);
    assert_int_equal(wane_share(w.x), 0);
    x_travels(&w.m1, &w.m2, 1);
    act(&w.m1, fill_local, NULL);
    store_relaxed(&entry_of(w.id2, w.x)->units, -WANE_LOCAL_LIMIT + 1);
}

static void
what_the_owner_counts_moves_on_before_it_saturates(void **state)
{
    (void)state;
    make_and_share_with_a_full_local_count();
    x_travels(&w.m1, &w.m2, 3);
    assert_true(wn_local(word0_of(w.x)) < WANE_LOCAL_LIMIT);
    x_has(1);
    make_and_share_with_a_full_local_count();
    w.x_ended = 0;
    x_travels(&w.m2, &w.m1, 3);
    assert_true(wn_local(word0_of(w.x)) < WANE_LOCAL_LIMIT);
    x_has(1);
}

static void
merge_x(void *unused)
{
    (void)unused;
    WANE_SECTION
    (void)wn_count_merge(WANE_HEADER(w.x), wn_type_of(WANE_HEADER(w.x)), wn_standing());
}

/* A merge of such an object makes no immortal of it. */
static void
a_full_local_count_is_merged_into_the_entry(void **state)
{
    (void)state;
    make_and_share_with_a_full_local_count();
    act(&w.m1, merge_x, NULL);
    x_travels(&w.m1, &w.m2, 3);
    x_has(1);
}

static struct wane_type kept_type = {"kept", 16, 0, 0, 0, 0, 0, 0, {0}};

/* More units on records than a count can hold: immortal, as everywhere, and not wrapped. Immortals stay so. */
static void
sums_saturate(void **state)
{
    for (int i = 0; i < 3; i++) {
        void *kept = wane_new(&kept_type);

        (void)state;
        assert_int_equal(wane_share(kept), 0);
        w.x = kept;
        act(&w.m2, retain_x_inside, NULL);
        if (i == 2)
            wane_immortal(kept);
        store_relaxed(&entry_of(w.id2, kept)->units,
                      i == 0 ? UINT64_C(1) << 32 : i == 1 ? (uint64_t)WN_IMMORTAL : -(uint64_t)WN_IMMORTAL * 2 + 5);
        assert_int_equal(wane_unshare(kept), 0);
        assert_int_equal(wane_barrier(), 0);
        assert_true(wn_count(word1_of(kept)) >= WN_IMMORTAL);
        if (i < 2) { /* give it back after all */
            wn_flags_change(WANE_HEADER(kept), WN_COUNT_MASK, WN_COUNT_ONE); /* merged by now */
            wane_release(kept);
        }
    }
}

/* No more room for common entries: an error, and room again afterwards. */
static void
what_cannot_be_shared_is_left_as_it_is(void **state)
{
    enum { MANY = 3000 };
    static void *many[MANY];
    int          shared = 0, rc;

    (void)state;
    for (int i = 0; i < MANY; i++) {
        many[i] = wane_new(&kept_type);
        rc = wane_share(many[i]);
        assert_true(rc == 0 || rc == -ENOMEM);
        shared += rc == 0;
    }
    assert_true(shared >= 500 && shared <= 1024);
    for (int i = 0; i < MANY; i++) {
        rc = wane_unshare(many[i]);
        assert_true(rc == 0 || rc == -EINVAL);
        shared -= rc == 0;
        wane_release(many[i]);
    }
    assert_int_equal(shared, 0);
    assert_int_equal(wane_barrier(), 0);
}

#define RACE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        RACE(a_record_without_an_entry_leaves_word1_alone),
        RACE(outside_of_sections_and_upgrades_leave_word1_alone),
        RACE(what_the_owner_counts_moves_on_before_it_saturates),
        RACE(a_full_local_count_is_merged_into_the_entry),
        RACE(sums_saturate),
        RACE(what_cannot_be_shared_is_left_as_it_is),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
