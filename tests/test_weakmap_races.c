/* SPDX-License-Identifier: MIT
 *
 * test_weakmap_races.c - weak maps between threads: keys and maps die under readers, writers and a collector
 *
 * Oracles besides those of scene.h: a thread with keys of its own knows what is under them; what is under a shared key was
 * put there for this key; of a key and a map that die at the same time the value dies once.
 */
#include "scene.h"

#include <wane/weakmap.h>

#define PARTS 3

static struct {
    struct wane_weakmap *map;
    wane_slot            key[8], maps[4];
    atomic_bool          over;
    atomic_long          made, hits;
} town;

static struct node *
made_new(uint64_t value)
{
    struct node *n = node_new();

    n->value = value;
    atomic_fetch_add(&town.made, 1);
    return n;
}

static void *
collect_beside(void *unused)
{
    (void)unused;
    while (!atomic_load(&town.over))
        (void)wane_collect(WANE_ALL, NULL);
    return NULL;
}

static void
run_beside_a_collector(void *(*work)(void *))
{
    pthread_t t[PARTS], collector;

    atomic_store(&town.over, false);
    atomic_store(&town.made, 0);
    atomic_store(&town.hits, 0);
    collector = spawn(collect_beside, NULL);
    for (uintptr_t i = 0; i < PARTS; i++)
        t[i] = spawn(work, (void *)(i + 1));
    for (int i = 0; i < PARTS; i++)
        join(t[i]);
    atomic_store(&town.over, true);
    join(collector);
}

/* ---- Keys of one's own ----------------------------------------------------------------------------------------------- */

/* Some values lead back to their key: those go by the collector. */
static void
store_value(struct node *key, struct node **mine, bool back)
{
    struct node *v = made_new(0);

    if (back)
        wane_set(&v->a, key);
    EXPECT(wane_weakmap_set(town.map, key, v) == 0);
    wane_release(v);
    *mine = v;
}

static void *
live_with_own_keys(void *part)
{
    enum { MINE = 20 };
    uint64_t     seed = 77 * (uintptr_t)part;
    struct node *key[MINE], *mine[MINE] = {NULL}, *got;

    for (int i = 0; i < MINE; i++)
        key[i] = made_new(0);
    for (int k = 0; k < SCALED(60000); k++) {
        uint64_t r = random_next(&seed), i = r / 16 % MINE;

        if (r % 16 < 5) {
            store_value(key[i], &mine[i], r >> 60 & 1);
        } else if (r % 16 < 7) {
            EXPECT(wane_weakmap_remove(town.map, key[i]) == (mine[i] != NULL));
            mine[i] = NULL;
        } else if (r % 16 < 9) {
            wane_release(key[i]);
            key[i] = made_new(0);
            mine[i] = NULL;
        } else {
            got = wane_weakmap_get(town.map, key[i]);
            EXPECT(got == mine[i]);
            if (got)
                node_check(got);
            wane_release(got);
        }
    }
    for (int i = 0; i < MINE; i++)
        wane_release(key[i]);
    return NULL;
}

static void
keys_die_beside_a_collector(void **state)
{
    (void)state;
    town.map = wane_weakmap_new();
    run_beside_a_collector(live_with_own_keys);
    expect_disposed(atomic_load(&town.made));
    assert_int_equal(wane_weakmap_count(town.map), 0);
    wane_release(town.map);
}

/* ---- Shared keys, which are replaced all the time --------------------------------------------------------------------- */

static bool
check_entry(void *key, void *value, void *arg)
{
    node_check(key);
    node_check(value);
    EXPECT(((struct node *)value)->value == ((struct node *)key)->id);
    ++*(long *)arg;
    return true;
}

static void
use_key(struct wane_weakmap *map, struct node *key, uint64_t r)
{
    struct node *v;

    if (r % 8 < 3) {
        v = made_new(key->id);
        if (r % 64 < 8)
            wane_set(&v->b, key);
        EXPECT(wane_weakmap_set(map, key, v) == 0);
        wane_release(v);
    } else if (r % 8 == 3) {
        (void)wane_weakmap_remove(map, key);
    } else {
        v = wane_weakmap_get(map, key);
        if (v) {
            node_check(v);
            EXPECT(v->value == key->id);
            atomic_fetch_add(&town.hits, 1);
        }
        wane_release(v);
    }
}

static void *
share_keys(void *part)
{
    uint64_t seed = 99 * (uintptr_t)part;
    long     shown = 0;

    for (int k = 0; k < SCALED(60000); k++) {
        uint64_t     r = random_next(&seed);
        wane_slot   *slot = &town.key[r / 8 % 8];
        struct node *key = wane_get(slot);

        if (!key || r / 64 % 32 == 0)
            wane_put(slot, made_new(0));
        if (key)
            use_key(town.map, key, r >> 20);
        wane_release(key);
        if (k % 256 == 0)
            wane_weakmap_each(town.map, check_entry, &shown);
    }
    return NULL;
}

static void
shared_keys_are_replaced(void **state)
{
    (void)state;
    town.map = wane_weakmap_new();
    run_beside_a_collector(share_keys);
    assert_true(atomic_load(&town.hits) > 100);
    for (int i = 0; i < 8; i++)
        wane_clear(&town.key[i]);
    expect_disposed(atomic_load(&town.made));
    assert_int_equal(wane_weakmap_count(town.map), 0);
    wane_release(town.map);
}

/* ---- Shared keys and shared maps: both are replaced -------------------------------------------------------------------- */

static void *
share_maps(void *part)
{
    uint64_t seed = 55 * (uintptr_t)part;

    for (int k = 0; k < SCALED(40000); k++) {
        uint64_t             r = random_next(&seed);
        wane_slot           *slot = &town.key[r / 8 % 8], *home = &town.maps[r / 64 % 4];
        struct node         *key = wane_get(slot);
        struct wane_weakmap *map = wane_get(home);

        if (!map || r / 256 % 16 == 0)
            wane_put(home, wane_weakmap_new());
        if (!key || r / 4096 % 16 == 0)
            wane_put(slot, made_new(0));
        if (key && map)
            use_key(map, key, r >> 20);
        wane_release(map);
        wane_release(key);
    }
    return NULL;
}

static void
keys_and_maps_are_replaced(void **state)
{
    (void)state;
    run_beside_a_collector(share_maps);
    assert_true(atomic_load(&town.hits) > 100);
    for (int i = 0; i < 4; i++)
        wane_clear(&town.maps[i]);
    for (int i = 0; i < 8; i++)
        wane_clear(&town.key[i]);
    expect_disposed(atomic_load(&town.made));
    assert_true(wait_live(0));
}

/* ---- Both die at once --------------------------------------------------------------------------------------------------- */

static struct {
    struct wane_weakmap *map;
    struct node         *key;
    long                 rounds;
} last;

static void
last_prepare(void)
{
    struct node *v = made_new(0);

    last.map = wane_weakmap_new();
    last.key = made_new(0);
    EXPECT(wane_weakmap_set(last.map, last.key, v) == 0);
    wane_release(v);
}

static void
last_map(void)
{
    wane_release(last.map);
}

static void
last_key(void)
{
    wane_release(last.key);
}

static bool
last_settle(void)
{
    if (++last.rounds % 500)
        return false;
    EXPECT(wait_count(&disposed, atomic_load(&town.made)) || pump_count(&disposed, atomic_load(&town.made)));
    EXPECT(atomic_load(&disposed) == atomic_load(&town.made));
    return last.rounds >= SCALED(20000);
}

static void
map_and_key_die_at_once(void **state)
{
    struct duel d = {last_prepare, last_map, last_key, last_settle, .cap = 100000, .delay = 300};

    (void)state;
    atomic_store(&town.made, 0);
    last.rounds = 0;
    assert_true(duel_run(&d));
}

SCENE_MAIN(SCENE(keys_die_beside_a_collector), SCENE(shared_keys_are_replaced), SCENE(keys_and_maps_are_replaced),
           SCENE(map_and_key_die_at_once))
