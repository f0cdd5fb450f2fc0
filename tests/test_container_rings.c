/* SPDX-License-Identifier: MIT
 *
 * test_container_rings.c - containers that are traced while they change: each holds what leads back to it
 */
#include "keys.h"

/* What each container holds leads back to it, so the collector comes to trace the containers themselves, while they are in use
 * and change: grow, shrink, are emptied. Nothing may die that was not let go. */
static struct {
    struct wane_array *array;
    struct wane_vec   *vec;
    struct wane_map   *map;
    atomic_bool        over;
    atomic_long        made, seen;
} live;

#define ARRAY_LENGTH 100

static struct node *
leading_to(void *container)
{
    struct node *n = node_new();

    atomic_fetch_add(&live.made, 1);
    wane_set(&n->a, container);
    return n;
}

static void
check_leads_to(struct node *owned, const void *container)
{
    if (!owned)
        return;
    node_check(owned);
    atomic_fetch_add_explicit(&live.seen, 1, memory_order_relaxed);
    WANE_SECTION {
        EXPECT(wane_peek(&owned->a) == container);
    }
    wane_release(owned);
}

static void *
collect_beside(void *unused)
{
    (void)unused;
    while (!atomic_load(&live.over))
        (void)wane_collect(WANE_ALL, NULL);
    return NULL;
}

static void *
change_array(void *seed)
{
    uint64_t r = (uintptr_t)seed;

    for (int k = 0; k < SCALED(100000); k++) {
        wane_slot *slot = wane_array_slot(live.array, random_next(&r) % ARRAY_LENGTH);

        if (r >> 20 & 1)
            wane_put(slot, leading_to(live.array));
        else if (r >> 21 & 1)
            check_leads_to(wane_take(slot), live.array);
        else
            check_leads_to(wane_get(slot), live.array);
    }
    return NULL;
}

/* Up to some length and down again, by pops and from the middle. */
static void *
change_vec(void *unused)
{
    uint64_t seed = 4711;

    (void)unused;
    for (int k = 0; k < SCALED(500); k++) {
        size_t most = random_next(&seed) % 300;

        while (wane_vec_length(live.vec) < most)
            EXPECT(wane_vec_push(live.vec, leading_to(live.vec)) == 0);
        while (wane_vec_length(live.vec) > most / 8)
            if (random_next(&seed) % 2)
                check_leads_to(wane_vec_pop(live.vec), live.vec);
            else
                EXPECT(wane_vec_remove(live.vec, random_next(&seed) % wane_vec_length(live.vec)) == 0);
    }
    return NULL;
}

static void *
read_vec(void *unused)
{
    uint64_t seed = 815;

    (void)unused;
    while (!atomic_load(&live.over))
        check_leads_to(wane_vec_get(live.vec, random_next(&seed) % 300), live.vec);
    return NULL;
}

/* Ever new keys: tables grow, leave entries behind, and shrink. */
static void *
change_map(void *prefix)
{
    char     name[64];
    uint64_t seed = 42, first = 0;

    for (int k = 0; k < SCALED(500); k++) {
        uint64_t end = first + random_next(&seed) % 300;

        for (uint64_t i = first; i < end; i++)
            EXPECT(wane_map_put(live.map, key_name(name, prefix, i), leading_to(live.map)) == 0);
        for (; first < end; first++)
            check_leads_to(wane_map_take(live.map, key_name(name, prefix, first)), live.map);
    }
    return NULL;
}

static void
live_rings_change_beside_a_collector(void **state)
{
    pthread_t t[5], others[2];
    uint64_t  examined = stat_examined();

    (void)state;
    live.array = wane_array_new(ARRAY_LENGTH);
    live.vec = wane_vec_new();
    live.map = wane_map_new();
    others[0] = spawn(collect_beside, NULL);
    others[1] = spawn(read_vec, NULL);
    do { /* until the collector has come by */
        t[0] = spawn(change_array, (void *)(uintptr_t)3);
        t[1] = spawn(change_array, (void *)(uintptr_t)5);
        t[2] = spawn(change_vec, NULL);
        t[3] = spawn(change_map, "ebb");
        t[4] = spawn(change_map, "flow");
        for (int i = 0; i < 5; i++)
            join(t[i]);
    } while (stat_examined() <= examined + 1000);
    atomic_store(&live.over, true);
    join(others[0]);
    join(others[1]);
    wane_release(live.array);
    wane_release(live.vec);
    wane_release(live.map);
    expect_disposed(atomic_load(&live.made));
    assert_true(atomic_load(&live.seen) > 100);
}

SCENE_MAIN(SCENE(live_rings_change_beside_a_collector))
