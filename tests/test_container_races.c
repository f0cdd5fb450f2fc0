/* SPDX-License-Identifier: MIT
 *
 * test_container_races.c - vectors and maps between threads: readers, writers, adders, removers, collectors
 *
 * Oracles besides those of scene.h: ids grow with every node made, so a walk over a vector meets ascending ones, and
 * what is under a key that is only replaced never goes back; a thread with keys of its own knows what is under them;
 * under contested keys each node is taken at most once, under its own key; keys that stay are always found, shown once.
 */
#include "keys.h"

/* ---- Threads: vector ------------------------------------------------------------------------------------------- */

static struct {
    struct wane_vec *vec;
    atomic_bool      over;
    atomic_long      seen;
} shelf;

/* Elements are only added at the end and ids grow: a walk meets ascending ids, whatever is removed meanwhile. */
static void
walk_ascending(bool own)
{
    size_t   length = wane_vec_length(shelf.vec);
    uint64_t last = 0;

    for (size_t i = 0; i < length; i++) {
        struct node *n = own ? wane_vec_get(shelf.vec, i) : wane_vec_peek(shelf.vec, i);

        if (!n)
            continue;
        node_check(n);
        EXPECT(n->id > last);
        last = n->id;
        atomic_fetch_add_explicit(&shelf.seen, 1, memory_order_relaxed);
        if (own)
            wane_release(n);
    }
}

static void *
read_shelf(void *own)
{
    while (!atomic_load(&shelf.over)) {
        if (own) {
            walk_ascending(true);
        } else {
            WANE_SECTION
                walk_ascending(false);
        }
    }
    return NULL;
}

static void *
collect_beside(void *over)
{
    while (!atomic_load((atomic_bool *)over))
        (void)wane_collect(WANE_ALL, NULL);
    return NULL;
}

static void
vec_readers_beside_a_writer(void **state)
{
    uint64_t  seed = 99, end = now_ms() + WATCHDOG_MS;
    long      made = 0;
    pthread_t t[4];

    (void)state;
    atomic_fetch_add(&next_id, 1); /* ids start at 1 */
    shelf.vec = wane_vec_new();
    atomic_store(&shelf.seen, 0);
    atomic_store(&shelf.over, false);
    t[0] = spawn(read_shelf, NULL);
    t[1] = spawn(read_shelf, NULL);
    t[2] = spawn(read_shelf, &shelf);
    t[3] = spawn(collect_beside, &shelf.over);
    for (int k = 0; k < SCALED(60000) || (atomic_load(&shelf.seen) < 1000 && now_ms() < end); k++) {
        uint64_t r = random_next(&seed) % 16;
        size_t   length = wane_vec_length(shelf.vec);

        if (length == 0 || (r < 9 && length < 500)) {
            made++;
            EXPECT(wane_vec_push(shelf.vec, node_new()) == 0);
        } else if (r < 12) {
            wane_release(wane_vec_pop(shelf.vec));
        } else {
            EXPECT(wane_vec_remove(shelf.vec, random_next(&seed) % length) == 0);
        }
    }
    atomic_store(&shelf.over, true);
    for (int i = 0; i < 4; i++)
        join(t[i]);
    wane_release(shelf.vec);
    expect_disposed(made);
    assert_true(atomic_load(&shelf.seen) >= 1000);
}

static struct {
    atomic_bool over;
    atomic_long made;
} mill;

static void
note_made(void)
{
    atomic_fetch_add(&mill.made, 1);
}

/* Rings through a growing vector, checked while it is held, then dropped, beside a collector. */
static void *
grow_vec_rings(void *seed)
{
    uint64_t r = (uintptr_t)seed;

    for (int k = 0; k < SCALED(300); k++) {
        struct wane_vec *vec = wane_vec_new();
        size_t           length = random_next(&r) % 200;

        for (size_t i = 0; i < length; i++) {
            struct node *n = node_new();

            note_made();
            n->value = i;
            wane_set(&n->a, vec);
            EXPECT(wane_vec_push(vec, n) == 0);
        }
        EXPECT(wane_vec_push(vec, wane_retain(vec)) == 0);
        WANE_SECTION {
            for (size_t i = 0; i < length; i++) {
                struct node *n = wane_vec_peek(vec, i);

                node_check(n);
                EXPECT(n->value == i && wane_peek(&n->a) == vec);
            }
        }
        if (length)
            EXPECT(wane_vec_remove(vec, length / 2) == 0);
        wane_release(vec);
    }
    return NULL;
}

static void
run_mill(void *(*work)(void *))
{
    pthread_t t[2], collector;

    atomic_store(&mill.over, false);
    atomic_store(&mill.made, 0);
    collector = spawn(collect_beside, &mill.over);
    for (uintptr_t i = 0; i < 2; i++)
        t[i] = spawn(work, (void *)(i + 77));
    for (int i = 0; i < 2; i++)
        join(t[i]);
    atomic_store(&mill.over, true);
    join(collector);
    expect_disposed(atomic_load(&mill.made));
}

static void
vec_grows_beside_a_collector(void **state)
{
    (void)state;
    run_mill(grow_vec_rings);
    assert_int_equal(live_of("wane_vec"), 0);
}

/* ---- Threads: map ---------------------------------------------------------------------------------------------- */

/* The same with maps, and one vector that holds many of them for a while. */
static void *
grow_map_rings(void *seed)
{
    uint64_t         r = (uintptr_t)seed;
    struct wane_vec *kept = wane_vec_new();
    char             name[64];

    for (int k = 0; k < SCALED(300); k++) {
        struct wane_map *map = wane_map_new();
        uint64_t         n = random_next(&r) % 100;

        for (uint64_t i = 0; i < n; i++) {
            struct node *node = node_new();

            note_made();
            wane_set(&node->c, map);
            EXPECT(wane_map_put(map, key_name(name, "key", i % 60), node) == 0);
            if (i % 4 == 0)
                (void)wane_map_remove(map, key_name(name, "key", i / 2));
        }
        EXPECT(wane_map_set(map, "self", map) == 0);
        EXPECT(wane_map_set(map, "kept", kept) == 0);
        EXPECT(wane_vec_push(kept, map) == 0);
        if (k % 10 == 9) {
            wane_release(kept);
            kept = wane_vec_new();
        }
    }
    wane_release(kept);
    return NULL;
}

static void
map_grows_beside_a_collector(void **state)
{
    (void)state;
    run_mill(grow_map_rings);
    assert_int_equal(live_of("wane_map"), 0);
}

#define PARTS    3
#define OF_EACH  150
#define CHURNERS 1

static struct {
    struct wane_map *map;
    atomic_bool      over;
} town;

/* Each part has keys of its own, so it knows exactly what must be under them, whatever the others make of the table. */
static void *
live_in_own_part(void *part)
{
    uint64_t     seed = 31 + (uintptr_t)part;
    struct node *mine[OF_EACH] = {NULL};
    char         name[64];

    for (int k = 0; k < SCALED(60000); k++) {
        uint64_t     r = random_next(&seed), i = r / 16 % OF_EACH;
        const char  *key = key_name(name, "part", (uintptr_t)part * OF_EACH + i);
        struct node *n;

        if (r % 16 < 4) {
            EXPECT(wane_map_put(town.map, key, mine[i] = node_new()) == 0);
        } else if (r % 16 < 7) {
            n = wane_map_take(town.map, key);
            EXPECT(n == mine[i]);
            wane_release(n);
            mine[i] = NULL;
        } else if (r % 16 < 9) {
            EXPECT(wane_map_remove(town.map, key) == (mine[i] != NULL));
            mine[i] = NULL;
        } else if (r % 16 < 12) {
            n = wane_map_get(town.map, key);
            EXPECT(n == mine[i]);
            wane_release(n);
        } else {
            WANE_SECTION {
                EXPECT(wane_map_peek(town.map, key) == mine[i]);
            }
        }
    }
    for (uint64_t i = 0; i < OF_EACH; i++)
        EXPECT(wane_map_remove(town.map, key_name(name, "part", (uintptr_t)part * OF_EACH + i)) == (mine[i] != NULL));
    return NULL;
}

/* Ever new keys, so that the table is rebuilt all the time. */
static void *
come_and_go(void *over)
{
    char     name[64];
    uint64_t i = 0;

    for (; !atomic_load((atomic_bool *)over); i++) {
        put_new(town.map, key_name(name, "guest", i), 0);
        EXPECT(i < 5 || wane_map_remove(town.map, key_name(name, "guest", i - 5)));
    }
    for (uint64_t k = i < 5 ? 0 : i - 5; k < i; k++)
        EXPECT(wane_map_remove(town.map, key_name(name, "guest", k)));
    return NULL;
}

static void
map_parts_know_their_keys(void **state)
{
    pthread_t t[PARTS], guests, collector;

    (void)state;
    town.map = wane_map_new();
    atomic_store(&town.over, false);
    guests = spawn(come_and_go, &town.over);
    collector = spawn(collect_beside, &town.over);
    for (uintptr_t i = 0; i < PARTS; i++)
        t[i] = spawn(live_in_own_part, (void *)i);
    for (int i = 0; i < PARTS; i++)
        join(t[i]);
    atomic_store(&town.over, true);
    join(guests);
    join(collector);
    assert_int_equal(wane_map_count(town.map), 0);
    wane_release(town.map);
}

/* Fills and empties its keys in turns: how many values a rebuild finds is not what was there when it was planned. */
static void *
ebb_and_flow(void *prefix)
{
    char         name[64];
    struct node *n;

    for (int k = 0; k < SCALED(20000); k++) {
        for (uint64_t i = 0; i < 12; i++)
            put_new(town.map, key_name(name, prefix, i), i);
        for (uint64_t i = 0; i < 12; i++) {
            n = wane_map_take(town.map, key_name(name, prefix, i));
            EXPECT(n && n->value == i);
            wane_release(n);
        }
    }
    return NULL;
}

static void
map_rebuilds_are_planned_wrongly(void **state)
{
    pthread_t t[2], guests;

    (void)state;
    town.map = wane_map_new();
    atomic_store(&town.over, false);
    guests = spawn(come_and_go, &town.over);
    t[0] = spawn(ebb_and_flow, "tide");
    t[1] = spawn(ebb_and_flow, "swell");
    join(t[0]);
    join(t[1]);
    atomic_store(&town.over, true);
    join(guests);
    assert_int_equal(wane_map_count(town.map), 0);
    wane_release(town.map);
}

#define CONTESTED 8

/* Everybody puts, takes and removes under the same few keys: a node is under the key it was put under, leaves once. */
static void *
fight(void *arg)
{
    uint64_t seed = 1000 + (uintptr_t)arg;
    char     name[64];

    for (int k = 0; k < SCALED(60000); k++) {
        uint64_t     r = random_next(&seed), i = r / 16 % CONTESTED;
        const char  *key = key_name(name, "prize", i);
        struct node *n;

        if (r % 16 < 6) {
            n = node_new();
            note_made();
            n->value = i;
            EXPECT(wane_map_put(town.map, key, n) == 0);
        } else if (r % 16 < 10) {
            n = wane_map_take(town.map, key);
            if (!n)
                continue;
            node_check(n);
            EXPECT(n->value == i);
            EXPECT(atomic_fetch_add(&n->finals, 1) == 0); /* taken once */
            wane_release(n);
        } else if (r % 16 < 12) {
            (void)wane_map_remove(town.map, key);
        } else {
            WANE_SECTION {
                n = wane_map_peek(town.map, key);
                if (n) {
                    node_check(n);
                    EXPECT(n->value == i);
                }
            }
        }
    }
    return NULL;
}

static bool
count_entry(const char *key, void *value, void *arg)
{
    (void)key;
    node_check(value);
    ++*(size_t *)arg;
    return true;
}

static void
map_contested_keys(void **state)
{
    pthread_t t[PARTS], guests;
    size_t    left = 0;

    (void)state;
    town.map = wane_map_new();
    atomic_store(&town.over, false);
    atomic_store(&mill.made, 0);
    guests = spawn(come_and_go, &town.over);
    for (uintptr_t i = 0; i < PARTS; i++)
        t[i] = spawn(fight, (void *)i);
    for (int i = 0; i < PARTS; i++)
        join(t[i]);
    atomic_store(&town.over, true);
    join(guests);
    wane_map_each(town.map, count_entry, &left);
    assert_int_equal(wane_map_count(town.map), left);
    wane_release(town.map);
    assert_true(wait_live(0));
}

/* All add the same keys at the same time: each key is there once. */
#define SAME 100

static struct gate start;

static void *
add_all(void *prefix)
{
    char name[64];

    gate_wait(&start);
    for (uint64_t i = 0; i < SAME; i++)
        put_new(town.map, key_name(name, prefix, i), i);
    return NULL;
}

static void
map_same_new_keys(void **state)
{
    pthread_t t[PARTS];

    (void)state;
    for (int k = 0; k < SCALED(2000); k++) {
        static struct shown s;

        town.map = wane_map_new();
        start.count = PARTS;
        for (int i = 0; i < PARTS; i++)
            t[i] = spawn(add_all, "key");
        for (int i = 0; i < PARTS; i++)
            join(t[i]);
        s = (struct shown){.limit = SIZE_MAX};
        wane_map_each(town.map, show, &s);
        assert_int_equal(s.calls, SAME);
        assert_int_equal(wane_map_count(town.map), SAME);
        for (int i = 0; i < SAME; i++)
            assert_int_equal(s.times[i], 1);
        wane_release(town.map);
    }
}

#define FIXTURES 100

/* Keys that stay are found by every get and shown once by every walk; what is under them only grows. */
static void *
look_around(void *unused)
{
    static const char *const key[] = {"fixture-0", "fixture-50", "fixture-99"};
    uint64_t                 last[3] = {0};

    (void)unused;
    while (!atomic_load(&town.over)) {
        for (int i = 0; i < 3; i++) {
            struct node *n = wane_map_get(town.map, key[i]);

            EXPECT(n);
            if (!n)
                return NULL;
            node_check(n);
            EXPECT(n->id >= last[i]);
            last[i] = n->id;
            wane_release(n);
        }
    }
    return NULL;
}

static bool
show_fixture(const char *key, void *value, void *arg)
{
    node_check(value);
    if (strncmp(key, "fixture-", 8) == 0)
        ((unsigned *)arg)[atoi(key + 8)]++;
    return true;
}

static void *
walk_around(void *unused)
{
    (void)unused;
    while (!atomic_load(&town.over)) {
        unsigned times[FIXTURES] = {0};

        wane_map_each(town.map, show_fixture, times);
        for (int i = 0; i < FIXTURES; i++)
            EXPECT(times[i] == 1);
    }
    return NULL;
}

static void
map_fixtures_are_always_there(void **state)
{
    pthread_t t[3];
    char      name[64];

    (void)state;
    town.map = wane_map_new();
    atomic_store(&town.over, false);
    for (uint64_t i = 0; i < FIXTURES; i++)
        put_new(town.map, key_name(name, "fixture", i), 0);
    t[0] = spawn(come_and_go, &town.over);
    t[1] = spawn(look_around, NULL);
    t[2] = spawn(walk_around, NULL);
    for (uint64_t k = 0; k < (uint64_t)SCALED(40000); k++)
        put_new(town.map, key_name(name, "fixture", k % FIXTURES), 0);
    atomic_store(&town.over, true);
    for (int i = 0; i < 3; i++)
        join(t[i]);
    assert_int_equal(wane_map_count(town.map), FIXTURES);
    wane_release(town.map);
}

SCENE_MAIN(SCENE(vec_readers_beside_a_writer), SCENE(vec_grows_beside_a_collector),
           SCENE(map_grows_beside_a_collector), SCENE(map_parts_know_their_keys),
           SCENE(map_rebuilds_are_planned_wrongly), SCENE(map_contested_keys), SCENE(map_same_new_keys),
           SCENE(map_fixtures_are_always_there))
