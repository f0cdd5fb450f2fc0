/* SPDX-License-Identifier: MIT
 *
 * test_weak_races.c - weak references raced by many threads (WEAK-06, RACE-18): upgrades, callbacks, deaths
 *
 * Every racing test goes on until both outcomes were seen often.
 */
#include "scene.h"

static wane_slot root;

/* ---- Eight threads upgrade --------------------------------------------------------------------------------------- */

#define CROWD 8

static struct {
    struct node  *object;
    void         *weak;
    struct gate   gate;
    uint64_t      delay; /* spins at most before an upgrade */
    bool          ring;
    atomic_bool   over, null_seen;
    atomic_long   lived, died, in_round;
} crowd;

static void
check_ring(struct node *n)
{
    WANE_SECTION {
        struct node *at = n;

        for (int i = 0; i < 3; i++, at = wane_peek(&at->a))
            node_check(at);
        EXPECT(at == n);
    }
}

/* Alive while held; no object after a NULL of anybody. */
static void
crowd_upgrade(void)
{
    bool         null_before = atomic_load(&crowd.null_seen);
    struct node *got = wane_weak_get(crowd.weak);

    EXPECT(!(got && null_before));
    if (!got) {
        atomic_store(&crowd.null_seen, true);
        atomic_fetch_add(&crowd.died, 1);
        return;
    }
    EXPECT(got == crowd.object);
    atomic_fetch_add(&crowd.lived, 1);
    atomic_fetch_add(&crowd.in_round, 1);
    node_check(got);
    if (crowd.ring)
        check_ring(got);
    if (atomic_load(&crowd.lived) % 16 == 0)
        sched_yield();
    node_check(got);
    wane_release(got);
}

static void *
crowd_thread(void *arg)
{
    uint64_t seed = (uintptr_t)arg * 7919 + 17;

    for (;;) {
        gate_wait(&crowd.gate);
        if (atomic_load(&crowd.over))
            return NULL;
        spin(random_next(&seed) % crowd.delay);
        crowd_upgrade();
        gate_wait(&crowd.gate);
    }
}

/* Rounds until upgrades came out either way often enough. */
static long
crowd_rounds(void (*prepare)(void), void (*end)(void), void (*settle)(void), long enough)
{
    pthread_t t[CROWD];
    uint64_t  seed = 4711, limit = now_ms() + WATCHDOG_MS;
    long      rounds = 0;

    atomic_store(&crowd.over, false);
    atomic_store(&crowd.lived, 0);
    atomic_store(&crowd.died, 0);
    crowd.gate.count = CROWD + 1;
    for (uintptr_t i = 0; i < CROWD; i++)
        t[i] = spawn(crowd_thread, (void *)i);
    for (; (atomic_load(&crowd.lived) < enough || atomic_load(&crowd.died) < enough) && now_ms() < limit; rounds++) {
        atomic_store(&crowd.null_seen, false);
        atomic_store(&crowd.in_round, 0);
        prepare();
        gate_wait(&crowd.gate);
        hesitate(&seed, 2000);
        end();
        gate_wait(&crowd.gate);
        settle();
    }
    atomic_store(&crowd.over, true);
    gate_wait(&crowd.gate);
    for (int i = 0; i < CROWD; i++)
        join(t[i]);
    EXPECT(atomic_load(&crowd.lived) >= enough && atomic_load(&crowd.died) >= enough);
    return rounds;
}

static void
one_prepare(void)
{
    crowd.delay = 4000;
    crowd.ring = false;
    crowd.object = atomic_load(&disposed) % 2 ? leaf_new() : node_new();
    crowd.weak = wane_weak(crowd.object);
}

static void
one_end(void)
{
    wane_release(crowd.object);
}

static void
one_settle(void)
{
    wane_release(wane_weak_get(crowd.weak)); /* a merge queue's unit may hold it until the next drain */
    wane_release(crowd.weak);
}

/* Eight threads upgrade while the last unit goes. */
static void
weak_02_eight_upgrade_against_last_release(void **state)
{
    long rounds = crowd_rounds(one_prepare, one_end, one_settle, SCALED(2000));

    (void)state;
    assert_true(wait_live(0));
    assert_int_equal(atomic_load(&disposed), rounds);
}

static uint64_t ring_delay = 20000;

static void
ring_prepare(void)
{
    crowd.delay = ring_delay;
    crowd.ring = true;
    crowd.object = ring_of(&node_type, 3, NULL);
    crowd.weak = wane_weak(crowd.object);
    wane_release(crowd.object);
}

static void
ring_end(void)
{
    int result = wane_collect(WANE_ALL, NULL);

    EXPECT(result == 0 || result == -EAGAIN); /* on a loaded machine an upgrader may sleep inside its section */
}

/* The delays go to where about half of the upgrades come too late. */
static void
ring_settle(void)
{
    if (atomic_load(&crowd.in_round) > CROWD / 2 && ring_delay < 100000000)
        ring_delay += ring_delay / 8;
    else if (atomic_load(&crowd.in_round) <= CROWD / 2 && ring_delay > 1000)
        ring_delay -= ring_delay / 8;
    wane_release(crowd.weak);
}

/* Eight threads upgrade while the target's ring is collected: the whole ring, or NULL for ever. */
static void
race_18_eight_upgrade_against_collection(void **state)
{
    long rounds = crowd_rounds(ring_prepare, ring_end, ring_settle, SCALED(1000));

    (void)state;
    assert_true(wait_live(0));
    assert_int_equal(atomic_load(&disposed), 3 * rounds);
}

/* ---- The first weak reference against the last release ----------------------------------------------------------- */

static struct {
    struct node *object;
    void        *weak;
    long         rounds, made, none, released_first;
    atomic_bool  released;
} first;

static void
first_prepare(void)
{
    first.object = first.rounds++ % 2 ? leaf_new() : node_new();
    wane_retain(first.object); /* one unit for either side */
    first.weak = NULL;
    atomic_store(&first.released, false);
}

static void
first_release(void)
{
    wane_release(first.object);
    atomic_store(&first.released, true);
}

static void
first_make_and_release(void)
{
    first.weak = wane_weak(first.object);
    first.released_first += atomic_load(&first.released);
    EXPECT(first.weak != NULL);
    wane_release(first.object);
}

static bool
first_settle(void)
{
    EXPECT(wait_count(&disposed, first.rounds));
    EXPECT(wane_weak_get(first.weak) == NULL);
    wane_release(first.weak);
    return first.released_first >= 200 && first.rounds - first.released_first >= 200;
}

/* One thread gives its unit up, another one makes the first weak reference and then gives up its own: whoever is last
 * sees the weak reference, and severs it. */
static void
weak_06_first_weak_against_release(void **state)
{
    struct duel d = {.prepare = first_prepare,
                     .left = first_release,
                     .right = first_make_and_release,
                     .settle = first_settle,
                     .cap = 200000,
                     .delay = 300};

    (void)state;
    memset(&first, 0, sizeof first);
    assert_true(duel_run(&d));
    assert_true(wait_live(0));
    assert_int_equal(atomic_load(&disposed), first.rounds);
}

static void
borrowed_prepare(void)
{
    first.object = first.rounds++ % 2 ? leaf_new() : node_new();
    wane_put(&root, first.object);
    first.weak = NULL;
}

static void
borrowed_clear(void)
{
    wane_clear(&root);
}

static void
borrowed_make(void)
{
    WANE_SECTION {
        struct node *n = wane_peek(&root);

        if (!n)
            return;
        first.weak = wane_weak(n);
        EXPECT(first.weak != NULL);
        node_check(n);
    }
}

static bool
borrowed_settle(void)
{
    first.made += first.weak != NULL;
    first.none += first.weak == NULL;
    wane_release(first.weak);
    return first.made >= 200 && first.none >= 200;
}

/* The same with a borrow from a slot that another thread clears. */
static void
weak_06_first_weak_of_a_borrow(void **state)
{
    struct duel d = {.prepare = borrowed_prepare,
                     .left = borrowed_clear,
                     .right = borrowed_make,
                     .settle = borrowed_settle,
                     .cap = 200000,
                     .delay = 300};

    (void)state;
    memset(&first, 0, sizeof first);
    assert_true(duel_run(&d));
    assert_true(wait_live(0));
    assert_int_equal(atomic_load(&disposed), first.rounds);
}

static void
count_death(void *weak, void *arg)
{
    EXPECT(wane_weak_get(weak) == NULL);
    atomic_fetch_add((atomic_long *)arg, 1);
}

/* ---- Callbacks --------------------------------------------------------------------------------------------------- */

static struct {
    struct node *object;
    void        *weak;
    atomic_long  calls;
    int          result;
    bool         cancelled, ring;
    long         rounds, first, second;
} race;

static void
race_prepare(void)
{
    race.object = race.rounds % 2 ? leaf_new() : node_new();
    race.weak = wane_weak(race.object);
    atomic_store(&race.calls, 0);
    race.rounds++;
}

static void
race_prepare_registered(void)
{
    race_prepare();
    EXPECT(wane_weak_notify(race.weak, count_death, &race.calls) == 0);
}

static void
race_release(void)
{
    wane_release(race.object);
}

static void
race_register(void)
{
    race.result = wane_weak_notify(race.weak, count_death, &race.calls);
}

static bool
register_settle(void)
{
    bool runs = race.result == 0;

    EXPECT(runs || race.result == -ESRCH);
    EXPECT(wait_count(&disposed, race.rounds));
    EXPECT(wait_count(&race.calls, runs));
    EXPECT(wane_weak_notify(race.weak, count_death, &race.calls) == -ESRCH);
    wane_release(race.weak);
    EXPECT(atomic_load(&race.calls) == runs);
    race.first += runs;
    race.second += !runs;
    return race.first >= 200 && race.second >= 200;
}

/* A registration against the last release: it runs once, or it is refused; both are seen often. */
static void
notify_registered_against_the_death(void **state)
{
    struct duel d = {.prepare = race_prepare,
                     .left = race_release,
                     .right = race_register,
                     .settle = register_settle,
                     .cap = 200000,
                     .delay = 300};

    (void)state;
    memset(&race, 0, sizeof race);
    assert_true(duel_run(&d));
}

static void
race_cancel(void)
{
    race.cancelled = wane_weak_unnotify(race.weak, count_death, &race.calls);
}

static bool
cancel_settle(void)
{
    EXPECT(wait_count(&disposed, race.rounds));
    EXPECT(wait_count(&race.calls, !race.cancelled));
    EXPECT(!wane_weak_unnotify(race.weak, count_death, &race.calls));
    wane_release(race.weak);
    EXPECT(atomic_load(&race.calls) == !race.cancelled);
    race.first += race.cancelled;
    race.second += !race.cancelled;
    return race.first >= 200 && race.second >= 200;
}

/* A cancel against the last release: it never runs, or it runs once. */
static void
notify_cancelled_against_the_death(void **state)
{
    struct duel d = {.prepare = race_prepare_registered,
                     .left = race_release,
                     .right = race_cancel,
                     .settle = cancel_settle,
                     .cap = 200000,
                     .delay = 300};

    (void)state;
    memset(&race, 0, sizeof race);
    assert_true(duel_run(&d));
}

/* Threads register and cancel on targets that die all the time, by counts and in rings. Of each registration exactly
 * one thing becomes: refused, cancelled, or run once. */
#define STORM_THREADS 4

static atomic_long storm_accepted, storm_refused, storm_cancelled, storm_ran;
static atomic_bool storm_over;

static void
storm_run(void *weak, void *arg)
{
    EXPECT(wane_weak_get(weak) == NULL);
    EXPECT(atomic_fetch_add((atomic_long *)arg, 1) == 0);
    atomic_fetch_add(&storm_ran, 1);
}

static void
storm_register(void *w, atomic_long *mine, bool cancel)
{
    int result;

    atomic_store(mine, 0);
    result = wane_weak_notify(w, storm_run, mine);
    if (result != 0) {
        EXPECT(result == -ESRCH && atomic_load(mine) == 0);
        atomic_fetch_add(&storm_refused, 1);
        return;
    }
    atomic_fetch_add(&storm_accepted, 1);
    if (cancel && wane_weak_unnotify(w, storm_run, mine)) {
        EXPECT(atomic_load(mine) == 0);
        atomic_fetch_add(&storm_cancelled, 1);
        return;
    }
    EXPECT(wait_count(mine, 1));
}

static void *
storm(void *arg)
{
    uint64_t    seed = (uintptr_t)arg * 77 + 5;
    atomic_long mine;

    while (!atomic_load(&storm_over)) {
        void *w = wane_get(&root);

        storm_register(w, &mine, random_next(&seed) % 2);
        wane_release(w);
    }
    return NULL;
}

static void
storm_next_target(long i)
{
    struct node *o = i % 16 ? node_new() : ring_of(&node_type, 2, NULL);

    wane_put(&root, wane_weak(o));
    spin((uint64_t)(i * 7919 % 3000));
    if (i % 4 == 0)
        sched_yield();
    wane_release(o);
    if (i % 64 == 0)
        (void)wane_collect(WANE_ALL, NULL); /* the rings, which threads wait for */
}

static bool
storm_is_enough(long rounds)
{
    return rounds >= SCALED(20000) && atomic_load(&storm_refused) > 100 && atomic_load(&storm_cancelled) > 100 &&
           atomic_load(&storm_ran) > 100;
}

static void
notify_storm(void **state)
{
    pthread_t t[STORM_THREADS];
    uint64_t  end = now_ms() + WATCHDOG_MS;
    long      i;

    (void)state;
    storm_next_target(1);
    for (uintptr_t k = 0; k < STORM_THREADS; k++)
        t[k] = spawn(storm, (void *)k);
    for (i = 0; !storm_is_enough(i) && now_ms() < end; i++)
        storm_next_target(i);
    EXPECT(storm_is_enough(i));
    atomic_store(&storm_over, true);
    for (int k = 0; k < STORM_THREADS; k++)
        join(t[k]);
    wane_clear(&root);
    assert_true(wait_live(0));
    assert_int_equal(atomic_load(&storm_ran) + atomic_load(&storm_cancelled), atomic_load(&storm_accepted));
}

SCENE_MAIN(SCENE(weak_02_eight_upgrade_against_last_release), SCENE(race_18_eight_upgrade_against_collection),
           SCENE(weak_06_first_weak_against_release), SCENE(weak_06_first_weak_of_a_borrow),
           SCENE(notify_registered_against_the_death), SCENE(notify_cancelled_against_the_death), SCENE(notify_storm))
