/* SPDX-License-Identifier: MIT
 *
 * race_limits.c - counts and versions at the ends of their ranges, and units handed over to finalizers, at exact points
 */
#include "race_common.h"

#include "count.h"
#include "record.h"
#include "unit.h"

static struct {
    struct actor m1, m2;
    struct node *a, *b;
    wane_slot    root;
    int          ended, finalized;
    uint64_t     seen; /* word1 of a, where a schedule looked at it */
    uint64_t     w1;
    bool         silent;
    void        *weak, *got;
    void (*in_finalizer)(void);
} w;

static int
setup(void **state)
{
    (void)state;
    memset(&w, 0, sizeof w);
    schedule_begin();
    actor_start(&w.m1);
    actor_start(&w.m2);
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
word1(void)
{
    return load_relaxed(&WANE_HEADER(w.a)->word1);
}

static void
become_candidate(void *unused)
{
    (void)unused;
    wane_retain(w.a);
    wane_release(w.a);
}

static void
make_candidate(void *unused)
{
    wane_enter();
    w.a = node_new(&w.ended);
    become_candidate(unused);
    wane_leave();
}

static void
release_a(void *unused)
{
    (void)unused;
    wane_release(w.a);
}

static void
retain_and_leave(void *unused)
{
    (void)unused;
    wane_retain(w.a);
    wane_leave();
}

static void
move_inside_and_borrow(void *unused)
{
    (void)unused;
    wane_enter();
    wane_put(&w.a->s[1], w.a);
}

static void
set_self(void *slot)
{
    wane_set(slot, w.a);
}

static void
make_with_two_units(void *unused)
{
    wane_enter();
    make_candidate(unused);
    wane_retain(w.a);
    wane_leave();
}

/* ---- Immortality ---------------------------------------------------------------------------------------------------- */

/* For the census: so many units again, all of them in word1 or in the owner's word. */
static void
mortal_again(int64_t units)
{
    struct wane_header *h = WANE_HEADER(w.a);

    if (!(word1() & WN_MERGED))
        units -= (int64_t)wn_local(load_relaxed(&h->word0));
    fetch_add_relaxed(&h->word1, (uint64_t)(units - wn_count(word1())) * WN_COUNT_ONE);
}

static void
make_immortal(void *unused)
{
    (void)unused;
    wane_immortal(w.a);
}

/* RACE-32: it waits in a merge queue. The drain takes it off; it never ends. */
static void
race_32_immortal_while_queued(void **state)
{
    (void)state;
    act(&w.m1, make_with_two_units, NULL);
    wane_release(w.a);
    assert_true(word1() & WN_QUEUED);
    act(&w.m2, make_immortal, NULL);
    assert_int_equal(wane_barrier(), 0);
    assert_false(word1() & WN_QUEUED);
    act(&w.m1, release_a, NULL);
    (void)collect();
    assert_int_equal(ended(&w.ended), 0);
    assert_true(wn_count(word1()) >= WN_IMMORTAL);
    mortal_again(1);
    act(&w.m1, release_a, NULL);
    (void)collect();
    assert_int_equal(ended(&w.ended), 1);
}

static void
make_self_held_with_neighbour(void *unused)
{
    wane_enter();
    make_candidate(unused);
    w.b = node_new(&w.ended);
    wane_put(&w.a->s[2], w.b);
    wane_leave();
}

static void
m1_stores(void *unused)
{
    (void)unused;
    act(&w.m1, set_self, &w.a->s[0]);
}

static void
m1_makes_immortal(void *unused)
{
    (void)unused;
    act(&w.m1, make_immortal, NULL);
    w.seen++;
}

static void
immortal_at(const char *step)
{
    w.seen = 0;
    act(&w.m1, make_self_held_with_neighbour, NULL);
    on_step("suspect:begin", m1_stores, NULL);
    on_step(step, m1_makes_immortal, NULL);
    assert_int_equal(collect(), 0);
    off_steps();
    assert_int_equal(w.seen, 1);
    act(&w.m1, release_a, NULL);
    (void)collect();
    assert_int_equal(ended(&w.ended), 0);
    assert_true(w.a->canary == CANARY && w.b->canary == CANARY);
    assert_true(wn_count(word1()) >= WN_IMMORTAL);
    assert_false(word1() & (WN_CLAIMED | WN_REVIEW | WN_CONDEMNED | WN_QUEUED | WN_DEAD));
    mortal_again(2);
    act(&w.m1, release_a, NULL);
    assert_int_equal(collect(), 2);
    assert_int_equal(ended(&w.ended), 2);
    w.ended = 0;
}

/* It is in the collector's table, from the reading of its count to the end of its review. */
static void
race_32_immortal_while_scanned(void **state)
{
    static const char *const steps[] = {"suspect:word1-read", "suspect:explored", "suspect:end", "review:stable", "review:marked",
                                        "review:merged",      "review:w1",        "review:e1",   "review:grace",  "review:e2",
                                        "review:w2"};

    (void)state;
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++)
        immortal_at(steps[i]);
}

static void
m1_moves_inside(void *unused)
{
    (void)unused;
    act(&w.m1, move_inside_and_borrow, NULL);
}

static void
immortal_and_leave(void *unused)
{
    (void)unused;
    wane_immortal(w.a);
    wane_leave();
}

/* One retain short of the limit, then two retains of the real kind. */
static void
saturate_and_leave(void *unused)
{
    (void)unused;
    fetch_add_relaxed(&WANE_HEADER(w.a)->word1, (uint64_t)(WN_IMMORTAL - 1 - wn_count(word1())) * WN_COUNT_ONE);
    wane_retain(w.a);
    wane_retain(w.a);
    wane_leave();
}

static void
m1_acts(void *fn)
{
    act(&w.m1, *(void (**)(void *))fn, NULL);
}

/* All units are inside when the words are read; then a borrower's fn changes the count for good. */
static void
changes_between_the_traces(void (*fn)(void *))
{
    act(&w.m1, make_self_held_with_neighbour, NULL);
    on_step("suspect:begin", m1_stores, NULL);
    on_step("review:merged", m1_moves_inside, NULL);
    on_step("review:e1", m1_acts, (void *)&fn);
    assert_int_equal(collect(), 0);
    assert_int_equal(steps_seen("review:e1"), 1);
    assert_int_equal(ended(&w.ended), 0);
    assert_true(w.a->canary == CANARY && w.b->canary == CANARY);
    assert_true(wn_count(word1()) >= WN_IMMORTAL);
    assert_ptr_equal(wane_get(&w.a->s[2]), w.b);
    wane_release(w.b);
    (void)collect();
    assert_int_equal(ended(&w.ended), 0);
    mortal_again(3);
    wane_release(w.a);
    assert_int_equal(collect(), 2);
}

static void
race_32_borrowed_and_made_immortal(void **state)
{
    (void)state;
    changes_between_the_traces(immortal_and_leave);
}

/* RACE-46: the count reaches its limit while the collector holds a small one. What the object holds stays. */
static void
race_46_saturated_between_the_traces(void **state)
{
    (void)state;
    changes_between_the_traces(saturate_and_leave);
}

/* ---- Handed over, not re-created ------------------------------------------------------------------------------------ */

static void
finalize(void *object)
{
    (void)object;
    w.finalized++;
    if (w.in_finalizer)
        w.in_finalizer();
}

static struct wane_type final_type = {"finalizable", sizeof(struct node), node_slots, 3, 0, node_dispose, finalize, 0, {0}};

static void
not_now(void)
{
}

static void
make_final(void *unused)
{
    (void)unused;
    w.a = wane_new(&final_type);
    w.a->ended = &w.ended;
    w.weak = wane_weak(w.a);
}

static void
finalizers_wait(void (**saved)(void))
{
    *saved = wn_wake_finalizer;
    wn_wake_finalizer = not_now;
}

static void
upgrade(void *unused)
{
    (void)unused;
    w.got = wane_weak_get(w.weak);
}

static void
m2_upgrades(void *unused)
{
    (void)unused;
    act(&w.m2, upgrade, NULL);
    w.seen = word1();
}

static void
release_with_upgrade(void *step)
{
    on_step(step, m2_upgrades, NULL);
    wane_release(w.a);
}

/* Finalizers run; M2 holds the only unit afterwards. It goes, with no second call. */
static void
finalize_then_release(void)
{
    assert_int_equal(wane_run_finalizers(), 1);
    assert_int_equal(wane_barrier(), 0);
    assert_int_equal(ended(&w.ended), 0);
    assert_int_equal(wn_count(word1()), 1);
    act(&w.m2, release_a, NULL);
    assert_int_equal(wane_run_finalizers(), 0);
    assert_int_equal(w.finalized, 1);
    assert_int_equal(ended(&w.ended), 1);
    wane_release(w.weak);
}

/* RACE-33: the owner's last unit has just become the finalizer's; a retain at that moment is one more, and is not lost. */
static void
race_33_upgrade_as_the_unit_is_handed_over(void **state)
{
    void (*wake)(void);

    (void)state;
    finalizers_wait(&wake);
    act(&w.m1, make_final, NULL);
    act(&w.m1, release_with_upgrade, (void *)(uintptr_t)"merge:published");
    assert_ptr_equal(w.got, w.a);
    assert_int_equal(wn_count(w.seen), 2);
    finalize_then_release();
    wn_wake_finalizer = wake;
}

/* The upgrade comes first, by one step: nothing is handed over yet. */
static void
race_33_upgrade_before_the_unit_is_handed_over(void **state)
{
    void (*wake)(void);

    (void)state;
    finalizers_wait(&wake);
    act(&w.m1, make_final, NULL);
    wane_retain(w.a);
    act(&w.m1, release_a, NULL); /* merged; main holds it */
    act(&w.m1, release_with_upgrade, (void *)(uintptr_t)"release:before-cas");
    assert_ptr_equal(w.got, w.a);
    assert_int_equal(wane_run_finalizers(), 0);
    assert_int_equal(wn_count(word1()), 1);
    act(&w.m2, release_a, NULL);
    assert_int_equal(wane_run_finalizers(), 1);
    assert_int_equal(w.finalized, 1);
    assert_int_equal(ended(&w.ended), 1);
    wane_release(w.weak);
    wn_wake_finalizer = wake;
}

static void
get_and_clear(void *unused)
{
    (void)unused;
    w.got = wane_get(&w.root);
    wane_clear(&w.root);
}

static void
publish_to_m2(void)
{
    wane_set(&w.root, w.a);
    act(&w.m2, get_and_clear, NULL);
}

/* The finalizer publishes its object, and a reader gets it and clears the slot before it returns. */
static void
race_33_got_inside_the_finalizer(void **state)
{
    void (*wake)(void);

    (void)state;
    finalizers_wait(&wake);
    w.in_finalizer = publish_to_m2;
    act(&w.m1, make_final, NULL);
    act(&w.m1, release_a, NULL);
    finalize_then_release();
    assert_ptr_equal(w.got, w.a);
    wn_wake_finalizer = wake;
}

/* ---- Versions ------------------------------------------------------------------------------------------------------- */

/* The leave seals what was displaced, and applies what is ripe. */
static void
tend_now(void)
{
    fetch_or_relaxed(&wn_standing()->pub.attention, WN_ATTEND);
    wane_leave();
}

static void
m2_marks(void *unused)
{
    (void)unused;
    act(&w.m2, become_candidate, NULL);
}

/* M1 owns a unit again; one of two slots is emptied. With the decrement that follows, the version will have moved by all of its
 * range, and the count by nothing. */
static void
turn_the_version(void *unused)
{
    const uint32_t versions = (uint32_t)(UINT64_MAX / WN_VERSION_ONE) + 1;

    (void)unused;
    w.w1 = word1();
    wane_retain(w.a);
    for (uint32_t i = 0; i < versions / 2 - 1; i++) {
        wane_retain(w.a);
        wane_release(w.a);
    }
    wane_clear(&w.a->s[0]);
    tend_now();
}

static void
apply_and_move_inside(void *unused)
{
    (void)unused;
    wane_enter();
    tend_now();
    w.seen = word1();
    wane_enter();
    wane_put(&w.a->s[0], w.a);
    w.silent = w.seen == word1();
}

static void
m1_turns(void *unused)
{
    (void)unused;
    act(&w.m1, turn_the_version, NULL);
}

static void
m1_moves_inside_again(void *unused)
{
    (void)unused;
    act(&w.m1, apply_and_move_inside, NULL);
}

static void
m1_retains_and_leaves(void *unused)
{
    (void)unused;
    act(&w.m1, retain_and_leave, NULL);
}

/* RACE-45: count, version and both traces are as before, and M1 lives on a borrow. A retain in between has cleared REVIEW. */
static void
race_45_version_wraps_between_the_words(void **state)
{
    (void)state;
    act(&w.m1, make_candidate, NULL);
    on_step("suspect:begin", m1_stores, NULL);
    on_step("suspect:end", m2_marks, NULL); /* so that no store has to mark */
    on_step("review:merged", m1_moves_inside, NULL);
    on_step("review:e1", m1_turns, NULL);
    on_step("review:grace", m1_moves_inside_again, NULL);
    on_step("review:w2", m1_retains_and_leaves, NULL);
    assert_int_equal(collect(), 0);
    assert_true(w.w1 & WN_REVIEW);
    assert_int_equal(w.w1 & ~WN_REVIEW, w.seen);
    assert_true(w.silent);
    assert_int_equal(ended(&w.ended), 0);
    assert_true(w.a->canary == CANARY);
    act(&w.m1, release_a, NULL);
    assert_int_equal(collect(), 1);
}

int
main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(race_32_immortal_while_queued),
        T(race_32_immortal_while_scanned),
        T(race_32_borrowed_and_made_immortal),
        T(race_46_saturated_between_the_traces),
        T(race_33_upgrade_as_the_unit_is_handed_over),
        T(race_33_upgrade_before_the_unit_is_handed_over),
        T(race_33_got_inside_the_finalizer),
        T(race_45_version_wraps_between_the_words),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
