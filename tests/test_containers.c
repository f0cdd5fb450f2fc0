/* SPDX-License-Identifier: MIT
 *
 * test_containers.c - array, vector and map: what they promise, alone and beside other threads
 *
 * Oracles besides those of scene.h: plain arrays that are changed along with the container; ids that grow with every
 * node made; for contested keys, that each node is taken at most once and that nodes made = nodes disposed of.
 */
#include "scene.h"

#include <wane/containers.h>

/* ---- Array ---------------------------------------------------------------------------------------------------- */

static void
array_slots_are_slots(void **state)
{
    struct wane_array *array = wane_array_new(5);
    struct node       *n = node_new();

    (void)state;
    assert_int_equal(wane_array_length(array), 5);
    WANE_SECTION {
        for (size_t i = 0; i < 5; i++)
            assert_null(wane_peek(wane_array_slot(array, i)));
    }
    wane_set(wane_array_slot(array, 0), n);
    wane_put(wane_array_slot(array, 4), n);
    WANE_SECTION {
        assert_ptr_equal(wane_peek(wane_array_slot(array, 0)), n);
        assert_ptr_equal(wane_peek(wane_array_slot(array, 4)), n);
        assert_null(wane_peek(wane_array_slot(array, 1)));
        assert_true(wane_cas(wane_array_slot(array, 1), NULL, n));
        assert_false(wane_cas(wane_array_slot(array, 1), NULL, n));
    }
    for (size_t i = 0; i < 5; i++)
        wane_release(wane_take(wane_array_slot(array, i)));
    expect_disposed(1);
    wane_put(wane_array_slot(array, 2), node_new());
    wane_release(array);
    expect_disposed(2);
}

static void
array_lengths(void **state)
{
    static const size_t absurd[] = {SIZE_MAX, SIZE_MAX / 8, SIZE_MAX / 8 - 1, SIZE_MAX / 16, SIZE_MAX / 64};
    struct wane_array  *array = wane_array_new(0);

    (void)state;
    assert_non_null(array);
    assert_int_equal(wane_array_length(array), 0);
    wane_release(array);
    for (size_t i = 0; i < sizeof absurd / sizeof absurd[0]; i++) {
        errno = 0;
        assert_null(wane_array_new(absurd[i]));
        assert_int_equal(errno, ENOMEM);
    }
}

static int
index_out_of_range(void *array)
{
    (void)wane_array_slot(array, 3);
    return 0;
}

static void
array_index_is_checked(void **state)
{
    struct wane_array *array = wane_array_new(3);
    struct child       c = run_child(index_out_of_range, array);

    (void)state;
    assert_child_refused(&c, "wane_array_slot");
    wane_release(array);
}

static void
array_in_cycles(void **state)
{
    struct wane_array *self = wane_array_new(3), *a = wane_array_new(1), *b = wane_array_new(100);
    struct node       *n = node_new();

    (void)state;
    wane_put(wane_array_slot(self, 1), node_new());
    wane_put(wane_array_slot(self, 2), self); /* its only unit: no decrement ever happens */
    wane_set(wane_array_slot(a, 0), b);
    wane_set(wane_array_slot(b, 99), n);
    wane_set(&n->a, a);
    wane_release(n);
    wane_release(a);
    collect_now();
    assert_int_equal(live_of("wane_array"), 2); /* b is held */
    wane_release(b);
    expect_disposed(2);
    assert_int_equal(live_of("wane_array"), 0);
}

/* ---- Vector --------------------------------------------------------------------------------------------------- */

static struct wane_vec *
vec_of(size_t n)
{
    struct wane_vec *vec = wane_vec_new();

    for (size_t i = 0; i < n; i++) {
        struct node *node = node_new();

        node->value = i;
        assert_int_equal(wane_vec_push(vec, node), 0);
    }
    return vec;
}

static uint64_t
value_at(struct wane_vec *vec, size_t i)
{
    struct node *n = wane_vec_get(vec, i);
    uint64_t     value;

    assert_non_null(n);
    node_check(n);
    value = n->value;
    wane_release(n);
    return value;
}

static void
vec_push_and_pop(void **state)
{
    struct wane_vec *vec = vec_of(1000);

    (void)state;
    assert_int_equal(wane_vec_length(vec), 1000);
    for (size_t i = 0; i < 1000; i++)
        assert_int_equal(value_at(vec, i), i);
    assert_null(wane_vec_get(vec, 1000));
    assert_null(wane_vec_get(vec, SIZE_MAX));
    for (size_t i = 1000; i-- > 400;) {
        struct node *n = wane_vec_pop(vec);

        assert_int_equal(n->value, i);
        wane_release(n);
        assert_int_equal(wane_vec_length(vec), i);
    }
    expect_disposed(600);
    wane_release(vec);
    expect_disposed(1000);
}

static void
vec_of_nothing(void **state)
{
    struct wane_vec *vec = wane_vec_new();

    (void)state;
    assert_int_equal(wane_vec_length(vec), 0);
    assert_null(wane_vec_pop(vec));
    assert_null(wane_vec_get(vec, 0));
    assert_int_equal(wane_vec_remove(vec, 0), -ERANGE);
    for (int i = 0; i < 20; i++)
        assert_int_equal(wane_vec_push(vec, NULL), 0);
    assert_int_equal(wane_vec_length(vec), 20);
    assert_null(wane_vec_get(vec, 3));
    assert_int_equal(wane_vec_remove(vec, 3), 0);
    assert_null(wane_vec_pop(vec));
    assert_int_equal(wane_vec_length(vec), 18);
    wane_release(vec);
}

static void
vec_set_and_put(void **state)
{
    struct wane_vec *vec = vec_of(10);
    struct node     *n = node_new();

    (void)state;
    n->value = 77;
    assert_int_equal(wane_vec_set(vec, 10, n), -ERANGE);
    assert_int_equal(wane_vec_put(vec, 10, n), -ERANGE);
    assert_int_equal(wane_vec_set(vec, 3, n), 0);
    assert_int_equal(wane_vec_put(vec, 4, n), 0);
    assert_int_equal(value_at(vec, 3), 77);
    assert_int_equal(value_at(vec, 4), 77);
    assert_int_equal(value_at(vec, 5), 5);
    expect_disposed(2);
    assert_int_equal(wane_vec_set(vec, 3, NULL), 0);
    assert_null(wane_vec_get(vec, 3));
    wane_release(vec);
    expect_disposed(11);
}

static void
vec_remove_closes_the_gap(void **state)
{
    struct wane_vec *vec = vec_of(6);

    (void)state;
    assert_int_equal(wane_vec_remove(vec, 6), -ERANGE);
    assert_int_equal(wane_vec_remove(vec, 2), 0);
    assert_int_equal(wane_vec_remove(vec, 0), 0);
    assert_int_equal(wane_vec_remove(vec, 3), 0);
    assert_int_equal(wane_vec_length(vec), 3);
    assert_int_equal(value_at(vec, 0), 1);
    assert_int_equal(value_at(vec, 1), 3);
    assert_int_equal(value_at(vec, 2), 4);
    expect_disposed(3);
    wane_release(vec);
    expect_disposed(6);
}

/* What a section has borrowed stays, whatever the writer does meanwhile. */
static void
vec_borrows_outlive_changes(void **state)
{
    struct wane_vec *vec = vec_of(8); /* full: the next push moves the elements */
    struct node     *borrowed[8];

    (void)state;
    WANE_SECTION {
        for (size_t i = 0; i < 8; i++)
            borrowed[i] = wane_vec_peek(vec, i);
        assert_int_equal(wane_vec_push(vec, node_new()), 0);
        for (size_t i = 0; i < 8; i++)
            assert_ptr_equal(wane_vec_peek(vec, i), borrowed[i]);
        assert_int_equal(wane_vec_remove(vec, 0), 0);
        assert_int_equal(wane_vec_set(vec, 0, NULL), 0);
        for (size_t i = 0; i < 8; i++)
            wane_release(wane_vec_pop(vec));
        for (size_t i = 0; i < 8; i++)
            node_check(borrowed[i]);
        assert_int_equal(atomic_load(&disposed), 0);
    }
    expect_disposed(9);
    wane_release(vec);
}

/* Tags are the slots' business; they move along. */
static void
vec_keeps_tagged_elements(void **state)
{
    struct wane_vec *vec = wane_vec_new();

    (void)state;
    for (unsigned i = 0; i < 40; i++)
        assert_int_equal(wane_vec_push(vec, wane_tag(node_new(), i % 8)), 0);
    assert_int_equal(wane_vec_remove(vec, 7), 0);
    assert_int_equal(wane_vec_remove(vec, 0), 0);
    WANE_SECTION {
        for (size_t i = 0; i < 38; i++)
            node_check(wane_vec_peek(vec, i));
    }
    expect_disposed(2);
    wane_release(vec);
    expect_disposed(40);
}

/* Long sequences of random operations against a plain array of ids. */
static void
vec_against_an_array(void **state)
{
    enum { MOST = 300 };
    struct wane_vec *vec = wane_vec_new();
    uint64_t         ids[MOST], seed = 4711;
    size_t           n = 0;

    (void)state;
    for (int k = 0; k < SCALED(40000); k++) {
        uint64_t     r = random_next(&seed);
        size_t       i = n ? r / 16 % n : 0;
        bool         grow = k / 1000 % 2 == 0;
        struct node *node;

        if (n < MOST && r % 16 < (grow ? 9 : 4)) {
            node = node_new();
            ids[n++] = node->id;
            assert_int_equal(wane_vec_push(vec, node), 0);
        } else if (r % 16 < 10) {
            node = wane_vec_pop(vec);
            assert_int_equal(node != NULL, n > 0);
            if (node)
                assert_int_equal(node->id, ids[--n]);
            wane_release(node);
        } else if (n && r % 16 < 12) {
            assert_int_equal(wane_vec_remove(vec, i), 0);
            memmove(ids + i, ids + i + 1, (--n - i) * sizeof ids[0]);
        } else if (n && r % 16 < 14) {
            node = node_new();
            ids[i] = node->id;
            assert_int_equal(wane_vec_put(vec, i, node), 0);
        } else if (n) {
            node = wane_vec_get(vec, i);
            assert_int_equal(node->id, ids[i]);
            wane_release(node);
        }
        assert_int_equal(wane_vec_length(vec), n);
    }
    assert_true(wait_live(n + 2)); /* the elements, the vector and its buffer */
    wane_release(vec);
}

static void
vec_in_cycles(void **state)
{
    struct wane_vec *self = vec_of(100), *a = vec_of(3), *b = vec_of(9);

    (void)state;
    assert_int_equal(wane_vec_push(self, self), 0); /* its only unit */
    assert_int_equal(wane_vec_push(a, wane_retain(b)), 0);
    for (size_t i = 0; i < 9; i++) {
        struct node *n = wane_vec_get(b, i);

        wane_set(&n->b, a);
        wane_release(n);
    }
    wane_release(a);
    collect_now();
    assert_int_equal(live_of("wane_vec"), 2); /* b is held, and holds a */
    assert_int_equal(wane_vec_remove(b, 0), 0);
    wane_release(b);
    expect_disposed(112);
    assert_int_equal(live_of("wane_vec"), 0);
}

/* ---- Map ------------------------------------------------------------------------------------------------------ */

static const char *
key_name(char *buffer, const char *prefix, uint64_t i)
{
    snprintf(buffer, 64, "%s-%llu", prefix, (unsigned long long)i);
    return buffer;
}

/* A new node under a new or old key. It is the map's then. */
static struct node *
put_new(struct wane_map *map, const char *key, uint64_t value)
{
    struct node *n = node_new();

    n->value = value;
    if (wane_map_put(map, key, n) != 0)
        die("no memory for a map");
    return n;
}

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

struct shown {
    size_t   calls, limit;
    unsigned times[2000]; /* by the node's value */
};

static bool
show(const char *key, void *value, void *arg)
{
    struct shown *s = arg;
    struct node  *n = value;
    char          name[64];

    node_check(n);
    EXPECT(strcmp(key, key_name(name, "key", n->value)) == 0);
    s->times[n->value]++;
    return ++s->calls < s->limit;
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
    uint64_t  seed = 99;
    long      made = 0;
    pthread_t t[4];

    (void)state;
    atomic_fetch_add(&next_id, 1); /* ids start at 1 */
    shelf.vec = wane_vec_new();
    atomic_store(&shelf.over, false);
    t[0] = spawn(read_shelf, NULL);
    t[1] = spawn(read_shelf, NULL);
    t[2] = spawn(read_shelf, &shelf);
    t[3] = spawn(collect_beside, &shelf.over);
    for (int k = 0; k < SCALED(60000); k++) {
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
    assert_true(atomic_load(&shelf.seen) > 0);
    wane_release(shelf.vec);
    expect_disposed(made);
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
static struct gate start;

static void *
add_all(void *prefix)
{
    char name[64];

    gate_wait(&start);
    for (uint64_t i = 0; i < 500; i++)
        put_new(town.map, key_name(name, prefix, i), i);
    return NULL;
}

static void
map_same_new_keys(void **state)
{
    pthread_t t[PARTS];

    (void)state;
    for (int k = 0; k < SCALED(50); k++) {
        static struct shown s;

        town.map = wane_map_new();
        start.count = PARTS;
        for (int i = 0; i < PARTS; i++)
            t[i] = spawn(add_all, "key");
        for (int i = 0; i < PARTS; i++)
            join(t[i]);
        s = (struct shown){.limit = SIZE_MAX};
        wane_map_each(town.map, show, &s);
        assert_int_equal(s.calls, 500);
        assert_int_equal(wane_map_count(town.map), 500);
        for (int i = 0; i < 500; i++)
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

SCENE_MAIN(SCENE(array_slots_are_slots), SCENE(array_lengths), SCENE(array_index_is_checked), SCENE(array_in_cycles),
           SCENE(vec_push_and_pop), SCENE(vec_of_nothing), SCENE(vec_set_and_put), SCENE(vec_remove_closes_the_gap),
           SCENE(vec_borrows_outlive_changes), SCENE(vec_keeps_tagged_elements), SCENE(vec_against_an_array),
           SCENE(vec_in_cycles), SCENE(map_put_get_take), SCENE(map_of_nothing), SCENE(map_replaces),
           SCENE(map_copies_keys), SCENE(map_against_an_array), SCENE(map_shrinks), SCENE(map_churn_is_bounded),
           SCENE(map_each_can_stop), SCENE(map_each_while_it_changes), SCENE(map_in_cycles),
           SCENE(map_borrows_outlive_changes), SCENE(map_is_used_by_dispose), SCENE(vec_readers_beside_a_writer),
           SCENE(vec_grows_beside_a_collector), SCENE(map_grows_beside_a_collector), SCENE(map_parts_know_their_keys),
           SCENE(map_contested_keys), SCENE(map_same_new_keys), SCENE(map_fixtures_are_always_there))
