/* SPDX-License-Identifier: MIT
 *
 * test_weakmap.c - weak keys: who keeps a value, for how long, and what remains when either side is gone
 */
#include "scene.h"

#include <wane/weakmap.h>

#include <wane/containers.h>

static struct wane_weakmap *
map_new(void)
{
    struct wane_weakmap *map = wane_weakmap_new();

    if (!map)
        die("no memory for a weak map");
    return map;
}

/* A new value under a key, held by nothing else. Lent. */
static struct node *
add_value(struct wane_weakmap *map, void *key, atomic_long *watch)
{
    struct node *n = node_new();

    n->watch = watch;
    assert_int_equal(wane_weakmap_set(map, key, n), 0);
    wane_release(n);
    return n;
}

static bool
has(struct wane_weakmap *map, const void *key, const void *value)
{
    void *got = wane_weakmap_get(map, key);

    wane_release(got);
    return got == value;
}

struct walk {
    const void *key, *value; /* the last ones */
    long        calls, limit;
};

static bool
step(void *key, void *value, void *arg)
{
    struct walk *w = arg;

    w->key = key;
    w->value = value;
    return ++w->calls != w->limit;
}

static long
walk_all(struct wane_weakmap *map)
{
    struct walk w = {0};

    wane_weakmap_each(map, step, &w);
    return w.calls;
}

/* ---- Alone ---------------------------------------------------------------------------------------------------------- */

static void
set_get_remove(void **state)
{
    struct wane_weakmap *map = map_new();
    struct node         *k[3], *v[3];
    struct walk          w = {0};

    (void)state;
    for (int i = 0; i < 3; i++) {
        k[i] = node_new();
        assert_null(wane_weakmap_get(map, k[i]));
        v[i] = add_value(map, k[i], NULL);
    }
    for (int i = 0; i < 3; i++)
        assert_true(has(map, k[i], v[i]));
    assert_int_equal(wane_weakmap_count(map), 3);
    assert_int_equal(walk_all(map), 3);
    v[1] = add_value(map, k[1], NULL); /* replaces */
    assert_true(has(map, k[1], v[1]));
    assert_int_equal(wane_weakmap_count(map), 3);
    expect_disposed(1);
    assert_true(wane_weakmap_remove(map, k[1]));
    assert_false(wane_weakmap_remove(map, k[1]));
    assert_true(has(map, k[1], NULL));
    expect_disposed(2);
    assert_int_equal(wane_weakmap_set(map, k[2], NULL), 0); /* removes as well */
    assert_int_equal(wane_weakmap_set(map, k[2], NULL), 0);
    assert_int_equal(wane_weakmap_count(map), 1);
    expect_disposed(3);
    wane_weakmap_each(map, step, &w);
    assert_int_equal(w.calls, 1);
    assert_ptr_equal(w.key, k[0]);
    assert_ptr_equal(w.value, v[0]);
    v[1] = add_value(map, k[1], NULL); /* once more */
    assert_true(has(map, k[1], v[1]));
    w = (struct walk){.limit = 1};
    wane_weakmap_each(map, step, &w);
    assert_int_equal(w.calls, 1);
    wane_release(map);
    for (int i = 0; i < 3; i++)
        wane_release(k[i]);
}

static void
value_goes_with_its_key(void **state)
{
    struct wane_weakmap *map = map_new();
    struct node         *key = node_new();
    void                *weak = wane_weak(key);
    atomic_long          gone = 0;

    (void)state;
    add_value(map, key, &gone);
    collect_now();
    assert_int_equal(atomic_load(&gone), 0);
    wane_release(key);
    expect_disposed(2); /* the weak reference that is still held keeps nothing */
    assert_null(wane_weak_get(weak));
    assert_int_equal(atomic_load(&gone), 1);
    assert_int_equal(wane_weakmap_count(map), 0);
    assert_int_equal(walk_all(map), 0);
    assert_int_equal(live_of("wane_weakmap_link"), 0);
    wane_release(weak);
    wane_release(map);
}

static void
values_go_with_their_map(void **state)
{
    struct wane_weakmap *map = map_new(), *other = map_new();
    struct node         *k[100];
    atomic_long          gone = 0, stay = 0;

    (void)state;
    for (int i = 0; i < 100; i++) {
        k[i] = node_new();
        add_value(map, k[i], &gone);
        add_value(other, k[i], &stay);
    }
    wane_release(map);
    expect_disposed(100);
    assert_int_equal(atomic_load(&gone), 100);
    assert_int_equal(atomic_load(&stay), 0);
    assert_int_equal(live_of("wane_weakmap_entry"), 100);
    assert_int_equal(walk_all(other), 100);
    for (int i = 0; i < 100; i++)
        wane_release(k[i]);
    expect_disposed(300);
    wane_release(other);
}

/* A map never finds what another one has put there, whichever of them is older. */
static void
maps_are_told_apart(void **state)
{
    enum { MAPS = 20 };
    struct wane_weakmap *map[MAPS];
    struct node         *key = node_new(), *v[MAPS];
    uint64_t             seed = 5;

    (void)state;
    for (int i = 0; i < MAPS; i++)
        map[i] = map_new();
    for (int i = 0; i < MAPS; i++)
        v[i] = NULL;
    for (int k = 0; k < 2000; k++) {
        size_t i = random_next(&seed) % MAPS;

        if (random_next(&seed) % 2)
            v[i] = add_value(map[i], key, NULL);
        else if (wane_weakmap_remove(map[i], key))
            v[i] = NULL;
        for (int m = 0; m < MAPS; m++)
            assert_true(has(map[m], key, v[m]));
    }
    for (int i = 0; i < MAPS; i++)
        wane_release(map[i]);
    wane_release(key);
}

/* ---- Cycles --------------------------------------------------------------------------------------------------------- */

static void
weak_14_value_leads_to_its_key(void **state)
{
    struct wane_weakmap *map = map_new();
    struct wane_stats    s;

    (void)state;
    for (int i = 0; i < SCALED(10000); i++) {
        struct node *key = node_new();

        wane_set(&add_value(map, key, NULL)->a, key);
        wane_release(key);
    }
    expect_disposed(2 * SCALED(10000));
    assert_int_equal(wane_weakmap_count(map), 0);
    wane_stats(&s);
    assert_int_equal(s.lost_candidates, 0);
    wane_release(map);
}

static void
weak_14_value_is_its_key(void **state)
{
    struct wane_weakmap *map = map_new();
    struct node         *key = node_new();

    (void)state;
    assert_int_equal(wane_weakmap_set(map, key, key), 0);
    expect_disposed(0);
    wane_release(key);
    expect_disposed(1);
    wane_release(map);
}

/* key 1 => value 1 -> key 2 => value 2 -> key 1, in two maps; while one key is held, all are there. */
static void
weak_14_ring_through_two_maps(void **state)
{
    struct wane_weakmap *map[2] = {map_new(), map_new()};
    struct node         *key[2] = {node_new(), node_new()};

    (void)state;
    for (int i = 0; i < 2; i++)
        wane_set(&add_value(map[i], key[i], NULL)->a, key[!i]);
    wane_release(key[1]);
    expect_disposed(0);
    WANE_SECTION {
        struct node *v = wane_weakmap_get(map[0], key[0]);

        assert_ptr_equal(wane_peek(&v->a), key[1]);
        assert_int_equal(wane_weakmap_count(map[1]), 1);
        wane_release(v);
    }
    wane_release(key[0]);
    expect_disposed(4);
    for (int i = 0; i < 2; i++)
        wane_release(map[i]);
}

/* The last unit goes into a slot, so no release tells of the ring; of the key's slots only the hung one is filled. */
static void
weak_14_closed_by_a_store(void **state)
{
    struct wane_weakmap *map = map_new();
    struct node         *key = node_new(), *v = add_value(map, key, NULL), *last = node_new();

    (void)state;
    wane_put(&v->a, last);
    expect_disposed(0); /* nobody's candidates any more */
    wane_put(&last->a, key);
    expect_disposed(3);
    wane_release(map);
}

/* Key, value and map are one piece of garbage; and the other order: the map was already nobody's. */
static void
weak_14_map_in_the_same_garbage(void **state)
{
    struct wane_weakmap *map = map_new();
    struct node         *key = node_new(), *v = add_value(map, key, NULL);

    (void)state;
    wane_set(&v->a, key);
    wane_set(&v->b, map);
    wane_set(&key->b, map);
    wane_release(map);
    expect_disposed(0);
    assert_true(has(map, key, v));
    wane_release(key);
    expect_disposed(2);
    assert_int_equal(live_of("wane_weakmap"), 0);
}

/* Components of one collection that know of each other by weak references only: the one that goes first cleans up at the
 * others, which costs them the round. */
static void
map_and_keys_are_garbage_apart(void **state)
{
    struct node *holder = node_new(), *key[100];

    (void)state;
    for (int i = 0; i < 100; i++)
        key[i] = node_new();
    for (int m = 0; m < 2; m++) {
        struct wane_weakmap *map = map_new();

        for (int i = 0; i < 100; i++)
            wane_set(&add_value(map, key[i], NULL)->a, key[i]);
        wane_put(m ? &holder->a : &holder->b, map);
    }
    wane_set(&holder->c, holder);
    for (int i = 0; i < 100; i++)
        wane_release(key[i]);
    wane_release(holder);
    assert_true(wait_live(0));
    assert_int_equal(atomic_load(&disposed), 301);
}

/* Documented: the key holds the value, which holds the map. */
static void
value_leads_to_the_map(void **state)
{
    struct wane_weakmap *map = map_new();
    struct node         *key = node_new();

    (void)state;
    wane_put(&add_value(map, key, NULL)->a, map);
    expect_disposed(0);
    assert_int_equal(live_of("wane_weakmap"), 1);
    wane_release(key);
    expect_disposed(2);
    assert_int_equal(live_of("wane_weakmap"), 0);
}

/* Documented: a key without slots is no root of a cycle. What leads to it otherwise is as with other keys. */
static void
key_without_slots(void **state)
{
    struct wane_weakmap *map = map_new();
    struct node         *key = leaf_new(), *other = leaf_new();

    (void)state;
    wane_set(&add_value(map, key, NULL)->a, key);
    add_value(map, other, NULL);
    wane_release(key);
    wane_release(other);
    expect_disposed(2);
    wane_release(map);
    expect_disposed(4);
}

/* A key without slots in a ring of others: the ring goes, then the key, then its value. */
static void
key_without_slots_in_a_ring(void **state)
{
    struct wane_weakmap *map = map_new();
    struct node         *ring = ring_of(&node_type, 3, NULL), *key = leaf_new();

    (void)state;
    add_value(map, key, NULL);
    wane_put(&ring->b, key);
    expect_disposed(0);
    wane_release(ring);
    expect_disposed(5);
    wane_release(map);
}

/* ---- Deaths --------------------------------------------------------------------------------------------------------- */

static struct {
    struct wane_weakmap *map;
    struct node         *kept;
    atomic_long          asked;
} deathbed;

static void
resurrect(struct node *n)
{
    EXPECT(has(deathbed.map, n, wane_peek(&n->a)));
    deathbed.kept = wane_retain(n);
}

static void
key_is_resurrected(void **state)
{
    struct node *key = final_new(resurrect), *v;

    (void)state;
    deathbed.map = map_new();
    v = add_value(deathbed.map, key, NULL);
    wane_set(&key->a, v);
    wane_set(&v->a, key);
    wane_release(key);
    assert_true(pump_count(&finalized, 1));
    assert_true(wait_count(&finalized, 1));
    key = deathbed.kept;
    assert_true(has(deathbed.map, key, v));
    expect_disposed(0);
    wane_release(key);
    assert_true(pump_count(&disposed, 2));
    wane_release(deathbed.map);
}

/* In its dispose a key has no values any more, and gets none; those of others can be used, and die. */
static void
dispose_key(void *object)
{
    struct node *n = object, *other = node_new();

    EXPECT(wane_weakmap_get(deathbed.map, n) == NULL);
    EXPECT(wane_weakmap_set(deathbed.map, n, other) == -ESRCH);
    EXPECT(!wane_weakmap_remove(deathbed.map, n));
    EXPECT(wane_weakmap_set(deathbed.map, other, other) == 0);
    EXPECT(has(deathbed.map, other, other));
    wane_release(other);
    atomic_fetch_add(&deathbed.asked, 1);
    node_dispose(n);
}

static struct wane_type asking_type = {
    .name = "asking", .size = sizeof(struct node), .slots = node_slots, .slot_count = 3, .dispose = dispose_key};

static void
dying_key_has_no_values(void **state)
{
    struct node *plain = node_of(&asking_type), *ring = ring_of(&asking_type, 2, NULL);

    (void)state;
    deathbed.map = map_new();
    atomic_store(&deathbed.asked, 0);
    add_value(deathbed.map, plain, NULL);
    add_value(deathbed.map, ring, NULL);
    wane_release(plain);
    wane_release(ring);
    assert_true(pump_count(&deathbed.asked, 3));
    expect_disposed(8); /* keys, their values, and what each of three disposes has made */
    assert_int_equal(wane_weakmap_count(deathbed.map), 0);
    wane_release(deathbed.map);
}

static void
look_at_value(void *weak, void *arg)
{
    (void)weak;
    EXPECT(atomic_load((atomic_long *)arg) == 0);
    atomic_fetch_add(&deathbed.asked, 1);
}

/* The callbacks of a weak reference come before the value goes, as before the slots. (In a cycle the value is a member, and all
 * are disposed of before any callback.) */
static void
value_goes_after_the_callbacks(void **state)
{
    struct wane_weakmap *map = map_new();
    struct node         *key = node_new();
    void                *weak = wane_weak(key);
    atomic_long          gone = 0;

    (void)state;
    atomic_store(&deathbed.asked, 0);
    add_value(map, key, &gone);
    assert_int_equal(wane_weak_notify(weak, look_at_value, &gone), 0);
    wane_release(weak);
    wane_release(key);
    expect_disposed(2);
    assert_int_equal(atomic_load(&deathbed.asked), 1);
    wane_release(map);
}

/* A walk may change what it walks over. */
static bool
remove_it(void *key, void *value, void *arg)
{
    struct wane_weakmap *map = arg;

    node_check(value);
    EXPECT(wane_weakmap_remove(map, key));
    node_check(value);
    return true;
}

static void
walk_removes(void **state)
{
    struct wane_weakmap *map = map_new();
    struct node         *k[50];

    (void)state;
    for (int i = 0; i < 50; i++)
        add_value(map, k[i] = node_new(), NULL);
    wane_weakmap_each(map, remove_it, map);
    assert_int_equal(wane_weakmap_count(map), 0);
    expect_disposed(50);
    wane_release(map);
    for (int i = 0; i < 50; i++)
        wane_release(k[i]);
}

/* ---- Nothing accumulates -------------------------------------------------------------------------------------------- */

static uint64_t
live_bytes(void)
{
    struct wane_stats s;

    wane_stats(&s);
    return s.bytes_born - s.bytes_died;
}

static void
keys_come_and_go(void **state)
{
    struct wane_weakmap *map = map_new();
    uint64_t             most_objects = 0, most_bytes = 0;

    (void)state;
    for (int i = 0; i < SCALED(1000000); i++) {
        struct node *key = node_new(), *v = add_value(map, key, NULL);

        if (i % 16 == 0)
            wane_set(&v->a, key);
        wane_release(key);
        if (i % 20000 != 19999)
            continue;
        collect_now();
        most_objects = stat_live() > most_objects ? stat_live() : most_objects;
        most_bytes = live_bytes() > most_bytes ? live_bytes() : most_bytes;
    }
    assert_true(most_objects < 100);
    assert_true(most_bytes < 4 << 20);
    wane_release(map);
    expect_disposed(2 * SCALED(1000000));
}

static void
maps_come_and_go(void **state)
{
    struct node *key = node_new();
    uint64_t     most = 0;

    (void)state;
    for (int i = 0; i < SCALED(100000); i++) {
        struct wane_weakmap *map = map_new();

        add_value(map, key, NULL);
        wane_release(map);
        if (i % 1000 != 999)
            continue;
        collect_now();
        most = stat_live() > most ? stat_live() : most;
    }
    assert_true(most < 100);
    wane_release(key);
}

SCENE_MAIN(SCENE(set_get_remove), SCENE(value_goes_with_its_key), SCENE(values_go_with_their_map),
           SCENE(maps_are_told_apart), SCENE(weak_14_value_leads_to_its_key), SCENE(weak_14_value_is_its_key),
           SCENE(weak_14_ring_through_two_maps), SCENE(weak_14_closed_by_a_store),
           SCENE(weak_14_map_in_the_same_garbage),
           SCENE(map_and_keys_are_garbage_apart), SCENE(value_leads_to_the_map),
           SCENE(key_without_slots), SCENE(key_without_slots_in_a_ring), SCENE(key_is_resurrected),
           SCENE(dying_key_has_no_values), SCENE(value_goes_after_the_callbacks), SCENE(walk_removes),
           SCENE(keys_come_and_go), SCENE(maps_come_and_go))
