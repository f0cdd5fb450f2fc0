/* SPDX-License-Identifier: MIT
 *
 * test_soft.c - soft references: what purges clear, in which order, and what a get meanwhile sees
 */
#include "scene.h"

#include <wane/memory.h>

#define COST (sizeof(struct node) + 16) /* what a purge reckons for a node */

static void *
soft_to(struct node *n)
{
    void *soft = wane_soft(n);

    if (!soft)
        die("no soft reference");
    return soft;
}

/* Held by nobody but the soft reference, which the caller owns. */
static void *
soft_only(void)
{
    struct node *n = node_new();
    void        *soft = soft_to(n);

    wane_release(n);
    return soft;
}

static bool
is_cleared(void *soft)
{
    struct node *n = wane_soft_get(soft);

    if (n)
        node_check(n);
    wane_release(n);
    return !n;
}

static void
a_soft_reference_keeps_its_target_until_a_purge(void **state)
{
    void *soft = soft_only();

    (void)state;
    collect_now();
    assert_int_equal(atomic_load(&disposed), 0);
    assert_false(is_cleared(soft));
    wane_enter();
    assert_int_equal(wane_purge(SIZE_MAX), 0);
    wane_leave();
    assert_false(is_cleared(soft));
    assert_int_equal(wane_purge(SIZE_MAX), COST);
    assert_true(is_cleared(soft));
    expect_disposed(1);
    wane_release(soft);
}

static void
an_object_has_one_soft_reference(void **state)
{
    struct node *n = node_new();
    void        *a = soft_to(n), *b = soft_to(n);

    (void)state;
    assert_ptr_equal(a, b);
    wane_release(n);
    assert_int_equal(wane_purge(SIZE_MAX), COST); /* two of them would not make it one of many holders */
    assert_true(is_cleared(b));
    wane_release(a);
    wane_release(b);
    assert_null(wane_soft(NULL));
    assert_null(wane_soft_get(NULL));
}

/* The target holds its soft reference, and that holds the target: garbage like any other ring. */
static void
rings_through_soft_references_are_collected(void **state)
{
    (void)state;
    for (int i = 0; i < 100; i++) {
        struct node *n = node_new();

        wane_put(&n->a, soft_to(n));
        wane_release(n);
    }
    expect_disposed(100);
    assert_int_equal(live_of("wane.soft"), 0);
}

/* ---- Order ------------------------------------------------------------------------------------------------------ */

enum { MANY = 64 };

static void
mem_06_the_least_recently_used_go_first(void **state)
{
    void *soft[MANY];
    int   kept = 0;

    (void)state;
    for (int i = 0; i < MANY; i++)
        soft[i] = soft_only();
    nanosleep(&(struct timespec){0, 300000000}, NULL);
    for (int i = 0; i < MANY; i += 2)
        assert_false(is_cleared(soft[i]));
    nanosleep(&(struct timespec){0, 20000000}, NULL);
    assert_int_equal(wane_purge(MANY / 4 * COST), MANY / 4 * COST);
    assert_int_equal(wane_purge(MANY / 4 * COST), MANY / 4 * COST);
    for (int i = 0; i < MANY; i++)
        kept += !is_cleared(soft[i]);
    assert_int_equal(kept, MANY / 2);
    for (int i = 0; i < MANY; i++)
        assert_int_equal(is_cleared(soft[i]), i % 2);
    for (int i = 0; i < MANY; i++)
        wane_release(soft[i]);
}

static void
mem_06_what_others_hold_is_skipped(void **state)
{
    static wane_slot slot[MANY];
    void            *soft[MANY];

    (void)state;
    for (int i = 0; i < MANY; i++) {
        soft[i] = soft_only();
        if (i % 4 == 0)
            wane_put(&slot[i], wane_soft_get(soft[i]));
    }
    assert_int_equal(wane_purge(SIZE_MAX), MANY / 4 * 3 * COST);
    for (int i = 0; i < MANY; i++)
        assert_int_equal(is_cleared(soft[i]), i % 4 != 0);
    for (int i = 0; i < MANY; i++)
        wane_clear(&slot[i]);
    assert_int_equal(wane_barrier(), 0);
    assert_int_equal(wane_purge(SIZE_MAX), MANY / 4 * COST);
    for (int i = 0; i < MANY; i++) {
        assert_true(is_cleared(soft[i]));
        wane_release(soft[i]);
    }
}

/* ---- Races ------------------------------------------------------------------------------------------------------ */

static void       *prize;
static struct node *won;
static long        got, missed;

static void
prepare(void)
{
    prize = soft_only();
    won = NULL;
}

static void
get_it(void)
{
    won = wane_soft_get(prize);
}

static void
purge_it(void)
{
    (void)wane_purge(SIZE_MAX);
}

/* Either the whole target, whatever the purge did, or NULL for ever. */
static bool
settle(void)
{
    bool cleared = is_cleared(prize);

    if (won) {
        node_check(won);
        got += cleared; /* the purge came between */
        if (cleared) {
            void *again = soft_to(won);

            assert_ptr_not_equal(again, prize);
            assert_false(is_cleared(again));
            wane_release(again);
        }
        wane_release(won);
    } else {
        assert_true(cleared);
        assert_true(is_cleared(prize));
        missed++;
    }
    wane_release(prize);
    return got >= 20 && missed >= 20;
}

static void
mem_05_purge_against_get(void **state)
{
    struct duel d = {
        .prepare = prepare, .left = get_it, .right = purge_it, .settle = settle, .cap = SCALED(200000), .delay = 3000};

    (void)state;
    got = missed = 0;
    (void)duel_run(&d);
    print_message("# got and cleared: %ld, missed: %ld\n", got, missed);
    assert_true(missed > 0);
}

enum { THREADS = 4, SHARED = 32 };
static wane_slot   shared[SHARED]; /* of soft references */
static atomic_bool over;
static atomic_long hits, misses;

/* Makers, users and droppers of the same soft references, while purges go round. */
static void *
use(void *arg)
{
    uint64_t seed = (uint64_t)(uintptr_t)arg + 1;

    while (!atomic_load(&over)) {
        wane_slot   *slot = &shared[random_next(&seed) % SHARED];
        void        *soft = wane_get(slot);
        struct node *n = wane_soft_get(soft);

        if (n) {
            void *same = random_next(&seed) % 4 ? NULL : wane_soft(n);

            node_check(n);
            wane_release(same);
            wane_release(n);
            atomic_fetch_add(&hits, 1);
        } else {
            wane_put(slot, soft_only());
            atomic_fetch_add(&misses, 1);
        }
        wane_release(soft);
        if (random_next(&seed) % 64 == 0)
            wane_clear(slot);
    }
    return NULL;
}

static void
mem_05_purges_among_users(void **state)
{
    pthread_t t[THREADS];
    uint64_t  end;

    (void)state;
    atomic_store(&over, false);
    atomic_store(&hits, 0);
    atomic_store(&misses, 0);
    for (uintptr_t i = 0; i < THREADS; i++)
        t[i] = spawn(use, (void *)i);
    for (end = now_ms() + 2000; now_ms() < end;) {
        (void)wane_purge(SIZE_MAX);
        (void)wane_collect(WANE_ALL, NULL);
    }
    atomic_store(&over, true);
    for (int i = 0; i < THREADS; i++)
        join(t[i]);
    print_message("# %ld hits, %ld misses\n", atomic_load(&hits), atomic_load(&misses));
    assert_true(atomic_load(&hits) > 100 && atomic_load(&misses) > 100);
    for (int i = 0; i < SHARED; i++)
        wane_clear(&shared[i]);
}

/* ---- Budgets ---------------------------------------------------------------------------------------------------- */

/* More targets than the hard limit allows: the oldest go, not all, and nothing fails. */
static void
soft_references_make_room(void **state)
{
    enum { N = 20000 };
    static void *soft[N];
    long         kept = 0;

    (void)state;
    assert_int_equal(wane_budget(6 << 20, 8 << 20), 0);
    for (long i = 0; i < SCALED(N); i++) {
        struct wide *w = wide_new(64); /* half a kilobyte */

        soft[i] = soft_to(&w->n);
        wane_release(w);
    }
    for (long i = 0; i < SCALED(N); i++)
        kept += !is_cleared(soft[i]);
    print_message("# %ld of %ld kept\n", kept, (long)SCALED(N));
    assert_true(wane_budget_used() < 9 << 20);
    assert_true(kept > 0);
    if (SCALED(N) == N) /* else all fit */
        assert_true(kept < 3 * N / 4);
    for (long i = 0; i < SCALED(N); i++)
        wane_release(soft[i]);
    assert_int_equal(wane_budget(0, 0), 0);
}

SCENE_MAIN(SCENE(a_soft_reference_keeps_its_target_until_a_purge), SCENE(an_object_has_one_soft_reference),
           SCENE(rings_through_soft_references_are_collected),
           SCENE(mem_06_the_least_recently_used_go_first), SCENE(mem_06_what_others_hold_is_skipped),
           SCENE(mem_05_purge_against_get), SCENE(mem_05_purges_among_users), SCENE(soft_references_make_room))
