/* SPDX-License-Identifier: MIT
 *
 * test_weak.c - scenarios of weak references (WEAK, RACE-18)
 */
#include "scene.h"

static wane_slot root;

/* ---- One thread ----------------------------------------------------------------------------------------------- */

/* Upgrades before and after the death, one weak object per target, either side going first. */
static void
weak_01_upgrade_before_and_after(void **state)
{
    struct node *o = node_new();
    void        *w = wane_weak(o);
    void        *again = wane_weak(o);
    void        *got;

    (void)state;
    assert_non_null(w);
    assert_ptr_equal(w, again);
    wane_release(again);
    got = wane_weak_get(w);
    assert_ptr_equal(got, o);
    wane_release(o);
    node_check(got); /* the upgrade holds it */
    assert_int_equal(atomic_load(&disposed), 0);
    wane_set(&root, w); /* a weak reference is an object: storable */
    wane_release(w);
    wane_release(got);
    assert_true(wait_count(&disposed, 1));
    w = wane_take(&root);
    for (int i = 0; i < 10; i++)
        assert_null(wane_weak_get(w));
    wane_release(w);
    o = leaf_new();
    wane_release(wane_weak(o)); /* the weak one first */
    node_check(o);
    w = wane_weak(o);
    assert_ptr_equal(wane_weak_get(w), o);
    wane_release(o);
    wane_release(o);
    wane_release(w);
    assert_true(wait_count(&disposed, 2));
}

static void *weak_made_late, *weak_to_neighbour;

static void
make_weak_late(struct node *n)
{
    struct node *got;

    weak_made_late = wane_weak(n);
    got = wane_weak_get(weak_made_late);
    EXPECT(got == n); /* the object is still live */
    wane_release(got);
    WANE_SECTION
        weak_to_neighbour = wane_weak(wane_peek(&n->a));
}

/* A weak reference made in the finalizer, to the object itself and to its neighbour in a ring: NULL after the death. */
static void
weak_05_made_in_finalizer(void **state)
{
    (void)state;
    for (int ring = 0; ring < 2; ring++) {
        struct node *o = final_new(make_weak_late);
        struct node *n = node_new();

        wane_set(&o->a, n);
        if (ring)
            wane_set(&n->a, o);
        atomic_store(&disposed, 0);
        wane_release(n);
        wane_release(o);
        assert_true(pump_count(&disposed, 2));
        assert_null(wane_weak_get(weak_made_late));
        assert_null(wane_weak_get(weak_to_neighbour));
        wane_release(weak_made_late);
        wane_release(weak_to_neighbour);
        assert_int_equal(atomic_load(&disposed), 2);
    }
}

static void
resurrect_with_weak(struct node *n)
{
    weak_made_late = wane_weak(n);
    wane_set(&root, n);
}

/* A finalizer resurrects its object and makes a weak reference: it, and one made before, upgrade until the real
 * death. */
static void
weak_07_finalizer_resurrects_with_weak(void **state)
{
    struct node *o = final_new(resurrect_with_weak);
    void        *before = wane_weak(o);

    (void)state;
    wane_release(o);
    assert_true(pump_count(&finalized, 1));
    assert_ptr_equal(before, weak_made_late);
    assert_ptr_equal(wane_weak_get(before), o);
    wane_release(o);
    assert_int_equal(atomic_load(&disposed), 0);
    wane_clear(&root);
    assert_int_equal(wane_barrier(), 0);
    assert_true(wait_count(&disposed, 1));
    assert_null(wane_weak_get(before));
    assert_int_equal(atomic_load(&finalized), 1);
    wane_release(before);
    wane_release(weak_made_late);
}

/* Weak references come and go a hundred thousand times on one object: nothing accumulates. */
static void
weak_11_many_on_one_object(void **state)
{
    struct node *o = node_new();
    uint64_t     at_start;

    (void)state;
    wane_release(wane_weak(o));
    at_start = stat_live();
    for (long i = 0; i < SCALED(100000); i++) {
        void *w = wane_weak(o);

        wane_set(&root, w);
        wane_release(w);
    }
    wane_clear(&root);
    assert_int_equal(wane_barrier(), 0);
    assert_true(wait_live(at_start));
    wane_release(o);
}

/* The weak reference sits in an object that dies together with its target, in the same isolated graph. */
static void
weak_15_inside_the_same_ring(void **state)
{
    (void)state;
    for (int i = 1; i <= 100; i++) {
        struct node *a = node_new();
        struct node *b = node_new();

        wane_set(&a->a, b);
        wane_set(&b->a, a);
        wane_put(&b->b, wane_weak(a));
        wane_put(&a->b, wane_weak(a));
        wane_put(&a->c, wane_weak(b));
        wane_release(a);
        wane_release(b);
        if (i % 10 == 0) {
            collect_now();
            assert_true(wait_count(&disposed, 2 * i));
        }
    }
}

/* The only owner is not unique while a weak reference lives: an upgrade could come at any time. */
static void
weak_17_not_unique_with_weak(void **state)
{
    struct node *o = node_new();
    void        *w;

    (void)state;
    assert_true(becomes_unique(o));
    w = wane_weak(o);
    assert_false(wane_is_unique(o));
    wane_release(o);
    assert_true(wait_count(&disposed, 1));
    assert_null(wane_weak_get(w));
    wane_release(w);
}

/* ---- Races ---------------------------------------------------------------------------------------------------- */

static struct {
    struct node *object, *got;
    void        *weak;
    long         rounds, lived, died;
    bool         leaf;
} race;

static void
race_prepare(void)
{
    race.leaf = !race.leaf;
    race.object = race.leaf ? leaf_new() : node_new();
    race.weak = wane_weak(race.object);
    race.rounds++;
}

static void
race_release(void)
{
    wane_release(race.object);
}

static void
race_upgrade(void)
{
    race.got = wane_weak_get(race.weak);
    if (race.got)
        node_check(race.got);
}

static bool
race_settle(void)
{
    race.lived += race.got != NULL;
    race.died += race.got == NULL;
    if (race.got)
        node_check(race.got);
    wane_release(race.got);
    race.got = wane_weak_get(race.weak); /* the queue's unit may hold it until a drain */
    wane_release(race.got);
    wane_release(race.weak);
    return race.lived >= 200 && race.died >= 200;
}

/* The last release against an upgrade: a live object or NULL, both seen often, and each object dies once. */
static void
weak_02_upgrade_against_last_release(void **state)
{
    struct duel d = {.prepare = race_prepare,
                     .left = race_release,
                     .right = race_upgrade,
                     .settle = race_settle,
                     .cap = 200000,
                     .delay = 100};

    (void)state;
    memset(&race, 0, sizeof race);
    assert_true(duel_run(&d));
    assert_true(wait_live(0));
    assert_int_equal(atomic_load(&disposed), race.rounds);
}

#define CELL_THREADS 4
#define CELL_OBJECTS 5

static struct node *cell_objects[CELL_OBJECTS];
static atomic_long  cell_live, cell_dead, cell_empty;
static struct gate  cell_gate = {.count = CELL_THREADS};

static void
cell_store(uint64_t what)
{
    struct node *fresh;

    if (what < CELL_OBJECTS) {
        wane_put(&root, wane_weak(cell_objects[what]));
    } else if (what == CELL_OBJECTS) {
        wane_clear(&root);
    } else {
        fresh = leaf_new();
        wane_put(&root, wane_weak(fresh));
        wane_release(fresh); /* the cell's target is dead soon */
    }
}

static void
cell_load(void)
{
    void        *w = wane_get(&root);
    struct node *o;

    if (!w) {
        atomic_fetch_add(&cell_empty, 1);
        return;
    }
    o = wane_weak_get(w);
    if (o)
        node_check(o);
    atomic_fetch_add(o ? &cell_live : &cell_dead, 1);
    wane_release(o);
    wane_release(w);
}

static void *
use_cell(void *arg)
{
    uint64_t seed = (uintptr_t)arg + 12345;

    gate_wait(&cell_gate);
    for (long i = 0; i < 3000000; i++) {
        if (i > SCALED(20000) && atomic_load(&cell_live) > 100 && atomic_load(&cell_dead) > 100 &&
            atomic_load(&cell_empty) > 100)
            return NULL;
        if (i % 2)
            cell_store(random_next(&seed) % (CELL_OBJECTS + 2));
        else
            cell_load();
    }
    EXPECT(!"live, dead and empty cells were seen");
    return NULL;
}

/* Threads set and read one cell that holds a weak reference to long-lived, to fresh, or to no objects. */
static void
weak_03_one_cell_many_threads(void **state)
{
    pthread_t t[CELL_THREADS];

    (void)state;
    for (int i = 0; i < CELL_OBJECTS; i++)
        cell_objects[i] = node_new();
    for (uintptr_t i = 0; i < CELL_THREADS; i++)
        t[i] = spawn(use_cell, (void *)i);
    for (int i = 0; i < CELL_THREADS; i++)
        join(t[i]);
    wane_clear(&root);
    for (int i = 0; i < CELL_OBJECTS; i++) {
        node_check(cell_objects[i]);
        wane_release(cell_objects[i]);
    }
}

static void *husk;

static void
husk_prepare(void)
{
    struct node *o = leaf_new();

    husk = wane_weak(o);
    wane_retain(husk);
    wane_release(o);
    race.rounds++;
    EXPECT(wait_count(&disposed, race.rounds));
}

static void
husk_drop(void)
{
    EXPECT(wane_weak_get(husk) == NULL);
    wane_release(husk);
}

static bool
husk_settle(void)
{
    return race.rounds >= SCALED(20000);
}

/* Two threads look at the weak reference of a dead object and both drop it: it goes once. */
static void
weak_04_dead_husk_dropped_by_two(void **state)
{
    struct duel d = {.prepare = husk_prepare,
                     .left = husk_drop,
                     .right = husk_drop,
                     .settle = husk_settle,
                     .cap = 200000,
                     .delay = 50};

    (void)state;
    memset(&race, 0, sizeof race);
    assert_true(duel_run(&d));
    assert_true(wait_live(0));
}

static void *weak_of[2];

static void
first_weak_prepare(void)
{
    race.object = node_new();
    race.rounds++;
}

static void
first_weak_left(void)
{
    weak_of[0] = wane_weak(race.object);
}

static void
first_weak_right(void)
{
    weak_of[1] = wane_weak(race.object); /* lent by the left thread */
}

static bool
first_weak_settle(void)
{
    EXPECT(weak_of[0] && weak_of[0] == weak_of[1]);
    EXPECT(wane_weak_get(weak_of[0]) == race.object);
    wane_release(race.object);
    wane_release(race.object);
    EXPECT(wait_count(&disposed, race.rounds));
    EXPECT(wane_weak_get(weak_of[1]) == NULL);
    wane_release(weak_of[0]);
    wane_release(weak_of[1]);
    return race.rounds >= SCALED(20000);
}

/* Two threads make the first weak reference of an object at once: both get the same one. */
static void
weak_12_first_weak_made_by_two(void **state)
{
    struct duel d = {.prepare = first_weak_prepare,
                     .left = first_weak_left,
                     .right = first_weak_right,
                     .settle = first_weak_settle,
                     .cap = 200000,
                     .delay = 50};

    (void)state;
    memset(&race, 0, sizeof race);
    assert_true(duel_run(&d));
    assert_int_equal(atomic_load(&disposed), race.rounds);
}

static atomic_bool null_seen;

static void
null_loop(void)
{
    uint64_t end = now_ms() + WATCHDOG_MS;
    bool     must = false;

    for (long i = 0; i % 1000 != 999 || now_ms() < end; i++) {
        bool  before = atomic_load(&null_seen);
        void *o = wane_weak_get(race.weak);

        EXPECT(!(o && (before || must)));
        wane_release(o);
        if (!o) {
            if (must)
                return; /* twice: that it stays so was seen too */
            must = true;
            atomic_store(&null_seen, true);
        }
        if (i % 1000 == 999)
            sched_yield(); /* the other thread may have lost its core while it held the object */
    }
    EXPECT(!"the object died");
}

static void
null_left(void)
{
    wane_release(race.object);
    null_loop();
}

static void
null_prepare(void)
{
    atomic_store(&null_seen, false);
    race_prepare();
}

static bool
null_settle(void)
{
    wane_release(race.weak);
    return race.rounds >= SCALED(10000);
}

/* Once any thread has got NULL, no thread gets the object any more. */
static void
weak_13_null_is_final(void **state)
{
    struct duel d = {.prepare = null_prepare,
                     .left = null_left,
                     .right = null_loop,
                     .settle = null_settle,
                     .cap = 200000,
                     .delay = 100};

    (void)state;
    memset(&race, 0, sizeof race);
    assert_true(duel_run(&d));
    assert_true(wait_live(0));
    assert_int_equal(atomic_load(&disposed), race.rounds);
}

/* ---- Weak references and cycles ------------------------------------------------------------------------------- */

static void
ring_prepare(void)
{
    race.object = ring_of(&node_type, 3, NULL);
    race.weak = wane_weak(race.object);
    wane_release(race.object);
    race.rounds++;
}

static void
ring_collect(void)
{
    EXPECT(collect_patiently(WANE_ALL, NULL) == 0);
}

/* How long to wait before the upgrade: tuned to where both outcomes occur. */
static uint64_t ring_delay = 1000;

static void
ring_upgrade(void)
{
    spin(ring_delay / 2 + (uint64_t)race.rounds * 7919 % ring_delay);
    race_upgrade();
    if (!race.got)
        return;
    WANE_SECTION {
        struct node *n = race.got;

        for (int i = 0; i < 3; i++) {
            node_check(n);
            n = wane_peek(&n->a);
        }
        EXPECT(n == race.got); /* the ring is whole */
    }
}

static bool
ring_settle(void)
{
    race.lived += race.got != NULL;
    race.died += race.got == NULL;
    if (race.got && ring_delay < 50000000)
        ring_delay += ring_delay / 8;
    else if (!race.got && ring_delay > 1000)
        ring_delay -= ring_delay / 8;
    if (!race.got)
        EXPECT(wane_weak_get(race.weak) == NULL);
    wane_release(race.got);
    wane_release(race.weak);
    return race.lived >= 20 && race.died >= 20;
}

/* An upgrade against the collection of the target's ring: the whole ring, or NULL for ever. */
static void
race_18_upgrade_against_collection(void **state)
{
    struct duel d = {.prepare = ring_prepare,
                     .left = ring_collect,
                     .right = ring_upgrade,
                     .settle = ring_settle,
                     .cap = 20000,
                     .delay = 1000};

    (void)state;
    memset(&race, 0, sizeof race);
    assert_true(duel_run(&d));
    assert_true(wait_live(0));
    assert_int_equal(atomic_load(&disposed), 3 * race.rounds);
}

SCENE_MAIN(SCENE(weak_01_upgrade_before_and_after), SCENE(weak_02_upgrade_against_last_release),
           SCENE(weak_03_one_cell_many_threads), SCENE(weak_04_dead_husk_dropped_by_two),
           SCENE(weak_05_made_in_finalizer), SCENE(weak_07_finalizer_resurrects_with_weak),
           SCENE(weak_11_many_on_one_object), SCENE(weak_12_first_weak_made_by_two), SCENE(weak_13_null_is_final),
           SCENE(weak_15_inside_the_same_ring), SCENE(weak_17_not_unique_with_weak),
           SCENE(race_18_upgrade_against_collection))
