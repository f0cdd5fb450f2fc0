/* SPDX-License-Identifier: MIT
 *
 * test_map.c - maps: what they promise one thread, and callbacks that come back to the map
 *
 * Oracle besides those of scene.h: a plain array of ids that is changed along with the map.
 */
#include "keys.h"

static void
map_put_get_take(void **state)
{
    struct wane_map *map = wane_map_new();
    struct node     *ann = put_new(map, "ann", 0), *bob = put_new(map, "bob", 0), *got;

    (void)state;
    assert_int_equal(wane_map_count(map), 2);
    got = wane_map_get(map, "ann");
    assert_ptr_equal(got, ann);
    wane_release(got);
    WANE_SECTION {
        assert_ptr_equal(wane_map_peek(map, "bob"), bob);
        assert_null(wane_map_peek(map, "bo"));
        assert_null(wane_map_peek(map, "bobby"));
    }
    assert_null(wane_map_get(map, ""));
    assert_null(wane_map_take(map, "eve"));
    assert_false(wane_map_remove(map, "eve"));
    got = wane_map_take(map, "ann");
    assert_ptr_equal(got, ann);
    assert_null(wane_map_get(map, "ann"));
    assert_null(wane_map_take(map, "ann"));
    assert_int_equal(wane_map_count(map), 1);
    assert_int_equal(wane_map_put(map, "ann", got), 0);
    assert_true(wane_map_remove(map, "bob"));
    assert_false(wane_map_remove(map, "bob"));
    expect_disposed(1);
    wane_release(map);
    expect_disposed(2);
}

static void
map_of_nothing(void **state)
{
    struct wane_map *map = wane_map_new();

    (void)state;
    assert_int_equal(wane_map_count(map), 0);
    assert_null(wane_map_get(map, "x"));
    assert_null(wane_map_take(map, "x"));
    assert_false(wane_map_remove(map, "x"));
    put_new(map, "x", 0);
    assert_int_equal(wane_map_put(map, "x", NULL), 0); /* nothing under a key: the key is absent */
    assert_int_equal(wane_map_set(map, "y", NULL), 0);
    assert_int_equal(wane_map_count(map), 0);
    assert_null(wane_map_get(map, "x"));
    expect_disposed(1);
    wane_release(map);
}

static void
map_replaces(void **state)
{
    struct wane_map *map = wane_map_new();
    struct node     *n = node_new();

    (void)state;
    for (int i = 0; i < 10; i++)
        put_new(map, "k", 0);
    assert_int_equal(wane_map_set(map, "k", n), 0);
    assert_int_equal(wane_map_set(map, "k", n), 0); /* by itself */
    assert_int_equal(wane_map_set(map, "l", n), 0);
    assert_int_equal(wane_map_count(map), 2);
    expect_disposed(10);
    wane_release(n);
    assert_true(wane_map_remove(map, "k"));
    expect_disposed(10);
    wane_release(map);
    expect_disposed(11);
}

/* Keys of all lengths, each a prefix of the next; the map has copies of its own. */
static void
map_copies_keys(void **state)
{
    struct wane_map *map = wane_map_new();
    char             key[301] = "";
    uint64_t         id[300];

    (void)state;
    for (size_t i = 0; i < 300; i++) {
        memset(key, 'k', i);
        key[i] = 0;
        id[i] = put_new(map, key, i)->id;
    }
    memset(key, 'x', 300);
    for (size_t i = 0; i < 300; i++) {
        struct node *n;

        memset(key, 'k', i);
        key[i] = 0;
        n = wane_map_get(map, key);
        assert_non_null(n);
        assert_int_equal(n->id, id[i]);
        wane_release(n);
    }
    wane_release(map);
    expect_disposed(300);
}

/* Long sequences of random operations against a plain array of ids. */
static void
map_against_an_array(void **state)
{
    enum { KEYS = 600 };
    struct wane_map    *map = wane_map_new();
    static uint64_t     ids[KEYS]; /* id + 1, or 0 */
    static struct shown s;
    uint64_t            seed = 815;
    size_t              n = 0;

    (void)state;
    memset(ids, 0, sizeof ids);
    for (int k = 0; k < SCALED(60000); k++) {
        uint64_t     r = random_next(&seed);
        uint64_t     i = r / 16 % (k / 5000 % 2 ? 40 : KEYS);
        char         name[64];
        const char  *key = key_name(name, "key", i);
        struct node *node;

        if (r % 16 < 5) {
            node = put_new(map, key, i);
            n += !ids[i];
            ids[i] = node->id + 1;
        } else if (r % 16 < 8) {
            node = wane_map_take(map, key);
            assert_int_equal(node ? node->id + 1 : 0, ids[i]);
            wane_release(node);
            n -= ids[i] != 0;
            ids[i] = 0;
        } else if (r % 16 < 12) {
            assert_int_equal(wane_map_remove(map, key), ids[i] != 0);
            n -= ids[i] != 0;
            ids[i] = 0;
        } else {
            node = wane_map_get(map, key);
            assert_int_equal(node ? node->id + 1 : 0, ids[i]);
            wane_release(node);
        }
        assert_int_equal(wane_map_count(map), n);
    }
    s = (struct shown){.limit = SIZE_MAX};
    wane_map_each(map, show, &s);
    assert_int_equal(s.calls, n);
    for (size_t i = 0; i < KEYS; i++)
        assert_int_equal(s.times[i], ids[i] != 0);
    wane_release(map);
}

static int64_t
bytes_alive(void)
{
    struct wane_stats s;

    assert_int_equal(wane_barrier(), 0);
    wane_stats(&s);
    return (int64_t)(s.bytes_born - s.bytes_died);
}

/* A map that was large gives its memory back when it is emptied, without another put. */
static void
map_shrinks(void **state)
{
    const uint64_t   many = SCALED(100000);
    struct wane_map *map = wane_map_new();
    char             name[64];
    int64_t          full;
    uint64_t         end = now_ms() + WATCHDOG_MS;

    (void)state;
    for (uint64_t i = 0; i < many; i++)
        put_new(map, key_name(name, "key", i), 0);
    assert_int_equal(wane_map_count(map), many);
    full = bytes_alive();
    for (uint64_t i = 0; i < many; i++)
        assert_true(wane_map_remove(map, key_name(name, "key", i)));
    assert_int_equal(wane_map_count(map), 0);
    while (bytes_alive() > full / 50 && now_ms() < end)
        ;
    assert_true(bytes_alive() <= full / 50);
    wane_release(map);
    expect_disposed((long)many);
}

/* Ever new keys, few at a time: memory stays that of few. */
static void
map_churn_is_bounded(void **state)
{
    struct wane_map *map = wane_map_new();
    char             name[64];
    int64_t          most = 0;

    (void)state;
    for (uint64_t i = 0; i < (uint64_t)SCALED(200000); i++) {
        put_new(map, key_name(name, "key", i), 0);
        if (i >= 10)
            assert_true(wane_map_remove(map, key_name(name, "key", i - 10)));
        if (i % 1000 == 999) {
            int64_t bytes = bytes_alive();

            most = bytes > most ? bytes : most;
        }
    }
    assert_int_equal(wane_map_count(map), 10);
    assert_in_range(most, 0, 200000); /* 10 nodes and some hundred entries, not twenty thousand */
    wane_release(map);
}

static void
map_each_can_stop(void **state)
{
    struct wane_map    *map = wane_map_new();
    static struct shown s;
    char                name[64];

    (void)state;
    s = (struct shown){.limit = 7};
    wane_map_each(map, show, &s);
    assert_int_equal(s.calls, 0);
    for (uint64_t i = 0; i < 100; i++)
        put_new(map, key_name(name, "key", i), i);
    wane_map_each(map, show, &s);
    assert_int_equal(s.calls, 7);
    wane_release(map);
}

struct walk {
    struct wane_map *map;
    struct shown     shown;
    uint64_t         fresh;
};

/* Changes the map while it is shown: adds ever new keys, removes odd ones and puts them again. */
static bool
show_and_change(const char *key, void *value, void *arg)
{
    struct walk *w = arg;
    uint64_t     i = ((struct node *)value)->value;
    char         name[64];

    (void)show(key, value, &w->shown);
    if (w->fresh < 1000)
        put_new(w->map, key_name(name, "key", w->fresh), w->fresh);
    w->fresh++;
    (void)wane_map_remove(w->map, key_name(name, "key", i | 1));
    put_new(w->map, key_name(name, "key", i | 1), i | 1);
    return true;
}

static void
map_each_while_it_changes(void **state)
{
    static struct walk w;
    char               name[64];

    (void)state;
    w = (struct walk){.map = wane_map_new(), .shown.limit = SIZE_MAX, .fresh = 200};
    for (uint64_t i = 0; i < 200; i++)
        put_new(w.map, key_name(name, "key", i), i);
    wane_map_each(w.map, show_and_change, &w);
    for (uint64_t i = 0; i < 2000; i++)
        assert_true(w.shown.times[i] <= 1);
    for (uint64_t i = 0; i < 200; i += 2) /* even ones stay */
        assert_int_equal(w.shown.times[i], 1);
    wane_release(w.map);
}

static void
map_in_cycles(void **state)
{
    struct wane_map *map = wane_map_new(), *a = wane_map_new(), *b = wane_map_new();
    struct node     *n = node_new();
    char             name[64];

    (void)state;
    for (uint64_t i = 0; i < 100; i++)
        put_new(map, key_name(name, "key", i), 0);
    wane_set(&n->a, map);
    assert_int_equal(wane_map_put(map, "node", n), 0);
    assert_int_equal(wane_map_put(map, "self", map), 0); /* its only unit of the caller's */
    assert_int_equal(wane_map_set(a, "b", b), 0);
    assert_int_equal(wane_map_set(b, "a", a), 0);
    wane_release(a);
    collect_now();
    assert_int_equal(live_of("wane_map"), 2); /* b is held */
    wane_release(wane_map_get(b, "a"));
    put_new(b, "late", 0);
    wane_release(b);
    expect_disposed(102);
    assert_int_equal(live_of("wane_map"), 0);
}

static void
map_borrows_outlive_changes(void **state)
{
    struct wane_map *map = wane_map_new();
    struct node     *n = put_new(map, "borrowed", 0), *borrowed;
    char             name[64];

    (void)state;
    WANE_SECTION {
        borrowed = wane_map_peek(map, "borrowed");
        assert_ptr_equal(borrowed, n);
        assert_true(wane_map_remove(map, "borrowed"));
        for (uint64_t i = 0; i < 200; i++) /* several rebuilds */
            put_new(map, key_name(name, "key", i), 0);
        node_check(borrowed);
        assert_null(wane_map_peek(map, "borrowed"));
        for (uint64_t i = 0; i < 200; i++)
            assert_non_null(wane_map_peek(map, key_name(name, "key", i)));
    }
    wane_release(map);
    expect_disposed(201);
}

/* Values whose dispose goes back to the map they came from: no callback may run under the map's lock. */
struct member {
    uint64_t number;
};

static struct wane_map *registry;
static atomic_long      members_made, members_disposed;

static void
member_dispose(void *object)
{
    struct member *m = object;
    char           name[64];

    if (m->number % 2)
        put_new(registry, key_name(name, "ghost", m->number % 1000), 0);
    else
        (void)wane_map_remove(registry, key_name(name, "ghost", m->number % 1000 + 1));
    atomic_fetch_add(&members_disposed, 1);
}

static struct wane_type member_type = {.name = "member", .size = sizeof(struct member), .dispose = member_dispose};

static void *
churn_members(void *seed)
{
    uint64_t r = (uintptr_t)seed;
    char     name[64];

    for (uint64_t i = 0; i < (uint64_t)SCALED(30000); i++) {
        struct member *m = wane_new(&member_type);

        if (!m)
            die("no memory for a member");
        atomic_fetch_add(&members_made, 1);
        m->number = random_next(&r) % 100000;
        EXPECT(wane_map_put(registry, key_name(name, "member", random_next(&r) % 3000), m) == 0);
        if (i % 3 == 0)
            (void)wane_map_remove(registry, key_name(name, "member", random_next(&r) % 3000));
    }
    return NULL;
}

static void
map_is_used_by_dispose(void **state)
{
    pthread_t t[3];
    char      name[64];

    (void)state;
    atomic_store(&members_made, 0);
    atomic_store(&members_disposed, 0);
    registry = wane_map_new();
    for (uintptr_t i = 0; i < 3; i++)
        t[i] = spawn(churn_members, (void *)(i + 1));
    for (int i = 0; i < 3; i++)
        join(t[i]);
    for (uint64_t i = 0; i < 3000; i++)
        (void)wane_map_remove(registry, key_name(name, "member", i));
    assert_true(pump_count(&members_disposed, atomic_load(&members_made)));
    wane_release(registry);
}

SCENE_MAIN(SCENE(map_put_get_take), SCENE(map_of_nothing), SCENE(map_replaces), SCENE(map_copies_keys),
           SCENE(map_against_an_array), SCENE(map_shrinks), SCENE(map_churn_is_bounded), SCENE(map_each_can_stop),
           SCENE(map_each_while_it_changes), SCENE(map_in_cycles), SCENE(map_borrows_outlive_changes),
           SCENE(map_is_used_by_dispose))
