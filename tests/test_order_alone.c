/* SPDX-License-Identifier: MIT
 *
 * test_order_alone.c - two threads that one edge of the runtime orders, and nothing else
 *
 * The threads tell each other whose turn it is by relaxed accesses. So the race detector sees what an edge gives, and reports a
 * race if it gives less (the mutants *_unordered). Without a detector these only pass. The library has no threads here: what the
 * background reads from one thread and gives to another orders them, too.
 */
#include "scene.h"

#include <wane/collector.h>
#include <wane/containers.h>
#include <wane/memory.h>

static atomic_int turn;

static void
pass(int n)
{
    atomic_store_explicit(&turn, n, memory_order_relaxed);
}

static void
await(int n)
{
    while (atomic_load_explicit(&turn, memory_order_relaxed) < n)
        nap();
}

/* Whoever enters for the first time may adopt a record that the other thread has given up, and that orders all (E9). */
static void
have_a_record(void)
{
    wane_enter();
    wane_leave();
}

struct pair {
    void (*first)(void *), (*second)(void *);
    void *arg;
};

static void *
goes_first(void *pair)
{
    const struct pair *p = pair;

    await(1);
    p->first(p->arg);
    pass(2);
    await(3); /* what a thread gives up at its end orders, too */
    return NULL;
}

static void *
goes_second(void *pair)
{
    const struct pair *p = pair;

    have_a_record();
    pass(1);
    await(2);
    p->second(p->arg);
    pass(3);
    return NULL;
}

static void
one_by_one(void (*first)(void *), void (*second)(void *), void *arg)
{
    struct pair pair = {first, second, arg};
    pthread_t   a, b;

    pass(0);
    a = spawn(goes_first, &pair);
    b = spawn(goes_second, &pair);
    join(a);
    join(b);
}

/* ---- E11: units that come back ---------------------------------------------------------------------------------------- */

struct leaf {
    uint64_t written;
};

static uint64_t at_death;

static void
plain_dispose(void *object)
{
    at_death = ((struct leaf *)object)->written;
}

static struct wane_type plain_type = {.name = "leaf", .size = sizeof(struct leaf), .dispose = plain_dispose};

static void *
writes_and_releases(void *leaf)
{
    wane_retain(leaf);
    pass(1);
    await(3);
    ((struct leaf *)leaf)->written = 7;
    wane_release(leaf);
    pass(4);
    return NULL;
}

static void *
releases_last(void *leaf)
{
    have_a_record();
    await(1);
    wane_retain(leaf);
    pass(2);
    await(4);
    wane_release(leaf);
    return NULL;
}

static void
release_of_a_merged_leaf(void **state)
{
    struct leaf *leaf = wane_new(&plain_type);
    pthread_t    a, b;

    (void)state;
    pass(0);
    a = spawn(writes_and_releases, leaf);
    b = spawn(releases_last, leaf);
    await(2);
    wane_release(leaf); /* the owner's last unit: merged */
    pass(3);
    join(a);
    join(b);
    assert_int_equal(at_death, 7);
}

/* ---- E8: hooks --------------------------------------------------------------------------------------------------------- */

static void
told(const struct wane_collection *collection, void *arg)
{
    if (collection->ended)
        atomic_fetch_add((atomic_int *)arg, 1);
}

static void
sets_a_hook(void *count)
{
    EXPECT(wane_on_collection(told, count) == 0);
}

static void
collects(void *unused)
{
    (void)unused;
    EXPECT(wane_collect(WANE_ALL, NULL) == 0);
}

static void
hook(void **state)
{
    static atomic_int count;

    (void)state;
    one_by_one(sets_a_hook, collects, &count);
    assert_true(atomic_load(&count) > 0);
    assert_int_equal(wane_on_collection(NULL, NULL), 0);
}

/* ---- E18: notes -------------------------------------------------------------------------------------------------------- */

static atomic_int first_note, second_note;

static void
count_one(void *weak, void *arg)
{
    (void)weak;
    atomic_fetch_add((atomic_int *)arg, 1);
}

static void
asks_to_be_told(void *weak)
{
    EXPECT(wane_weak_notify(weak, count_one, &first_note) == 0);
}

static void
looks_through_the_notes(void *weak)
{
    EXPECT(!wane_weak_unnotify(weak, count_one, &second_note));
}

static void
note(void **state)
{
    struct leaf *leaf = wane_new(&plain_type);
    void        *weak = wane_weak(leaf);

    (void)state;
    one_by_one(asks_to_be_told, looks_through_the_notes, weak);
    wane_release(leaf);
    assert_true(wait_live(1));
    assert_int_equal(atomic_load(&first_note), 1);
    wane_release(weak);
}

/* ---- E8: rosters ------------------------------------------------------------------------------------------------------- */

static void
makes_a_soft_reference(void *out)
{
    struct leaf *leaf = wane_new(&plain_type);

    *(void **)out = wane_soft(leaf);
    wane_release(leaf);
}

static void
purges(void *unused)
{
    (void)unused;
    (void)wane_purge(1);
}

static void
roster(void **state)
{
    static void *soft;

    (void)state;
    one_by_one(makes_a_soft_reference, purges, &soft);
    wane_release(soft);
}

/* ---- M1: maps ---------------------------------------------------------------------------------------------------------- */

static void
adds(void *map)
{
    EXPECT(wane_map_put(map, "key", wane_new(&plain_type)) == 0);
}

static void
finds(void *map)
{
    struct leaf *leaf = wane_map_get(map, "key");

    EXPECT(leaf);
    wane_release(leaf);
}

static void
map(void **state)
{
    struct wane_map *keys = wane_map_new();

    (void)state;
    one_by_one(adds, finds, keys); /* the directory is new */
    wane_release(keys);
    keys = wane_map_new();
    for (int i = 0; i < 10; i++) {
        char name[] = {(char)('a' + i), 0};

        EXPECT(wane_map_put(keys, name, wane_new(&plain_type)) == 0);
    }
    one_by_one(adds, finds, keys); /* the table */
    wane_release(keys);
}

static void
alone(void **state)
{
    (void)state;
    assert_int_equal(wane_use_threads(false), 0);
}

SCENE_MAIN(SCENE(alone), SCENE(release_of_a_merged_leaf), SCENE(hook), SCENE(note), SCENE(roster), SCENE(map))
