/* SPDX-License-Identifier: MIT
 *
 * test_weak_places.c - where weak references are kept (WEAK-09, WEAK-14, WEAK-15): they are objects like any other
 */
#include "scene.h"

#include <wane/containers.h>

static wane_slot root;

static void
note_dead(void *weak, void *arg)
{
    EXPECT(wane_weak_get(weak) == NULL);
    atomic_fetch_add((atomic_long *)arg, 1);
}

/* The weak reference in a slot leads to `expected`, or to nothing. Consumes the unit. */
static void
check_leads_to(void *weak, const void *expected)
{
    void *got = wane_weak_get(weak);

    assert_ptr_equal(got, expected);
    wane_release(got);
    wane_release(weak);
}

/* Two weak references are to the same object exactly if they are the same pointer: while it lives and afterwards. */
static void
weak_compares_as_its_pointer(void **state)
{
    struct node *a = node_new(), *b = node_new();
    void        *wa = wane_weak(a), *again = wane_weak(a), *wb = wane_weak(b);

    (void)state;
    assert_ptr_equal(wa, again);
    assert_ptr_not_equal(wa, wb);
    wane_set(&root, wa);
    assert_true(wane_cas(&root, wa, wb)); /* so a slot can be compared with it */
    assert_false(wane_cas(&root, wa, NULL));
    wane_release(a);
    wane_release(b);
    assert_ptr_not_equal(wa, wb); /* the dead keep theirs */
    a = node_new();
    wane_release(again);
    again = wane_weak(a); /* wherever it lies in memory */
    assert_ptr_not_equal(again, wa);
    assert_ptr_not_equal(again, wb);
    assert_null(wane_weak_get(wa));
    wane_clear(&root);
    wane_release(a);
    wane_release(again);
    wane_release(wa);
    wane_release(wb);
}

/* A new object at the address of a dead one has a weak reference of its own; the old one stays NULL. */
static void
weak_of_a_reused_address(void **state)
{
    (void)state;
    for (int i = 0; i < 1000; i++) {
        struct node *a = leaf_new(), *b;
        void        *old = wane_weak(a), *new;

        wane_release(a);
        if (i % 10 == 0)
            assert_int_equal(wane_barrier(), 0);
        b = leaf_new();
        new = wane_weak(b);
        assert_ptr_not_equal(old, new);
        assert_null(wane_weak_get(old));
        check_leads_to(new, b);
        wane_release(old);
        wane_release(b);
    }
}

/* Slots, arrays, vectors, maps: the weak reference is held there, its target is not. */
static void
weak_in_containers(void **state)
{
    struct node       *target = node_new(), *holder = node_new();
    struct wane_array *array = wane_array_new(3);
    struct wane_vec   *vec = wane_vec_new();
    struct wane_map   *map = wane_map_new();

    (void)state;
    wane_put(&holder->a, wane_weak(target));
    wane_put(wane_array_slot(array, 1), wane_weak(target));
    for (int i = 0; i < 100; i++)
        assert_int_equal(wane_vec_push(vec, wane_weak(target)), 0);
    assert_int_equal(wane_map_put(map, "target", wane_weak(target)), 0);
    for (int alive = 1; alive >= 0; alive--) {
        const void *expected = alive ? target : NULL;

        check_leads_to(wane_get(&holder->a), expected);
        check_leads_to(wane_get(wane_array_slot(array, 1)), expected);
        check_leads_to(wane_vec_get(vec, 99), expected);
        check_leads_to(wane_map_get(map, "target"), expected);
        if (alive) {
            wane_release(target);
            assert_true(wait_count(&disposed, 1));
        }
    }
    check_leads_to(wane_vec_pop(vec), NULL);
    assert_true(wane_map_remove(map, "target"));
    wane_release(holder);
    wane_release(array);
    wane_release(vec);
    wane_release(map);
}

/* The weak reference in a slot of its own target, or in a neighbour that only the target holds: counting frees it
 * all. */
static void
weak_15_in_its_own_target(void **state)
{
    struct wane_stats before, after;
    atomic_long       calls = 0;

    (void)state;
    wane_stats(&before);
    for (int i = 0; i < 1000; i++) {
        struct node *o = node_new(), *neighbour = node_new();
        void        *w = wane_weak(o);

        assert_int_equal(wane_weak_notify(w, note_dead, &calls), 0);
        wane_put(&o->a, w);
        wane_put(&o->b, neighbour);
        WANE_SECTION
            wane_put(&((struct node *)wane_peek(&o->b))->a, wane_weak(o));
        wane_release(o);
        assert_true(wait_count(&disposed, 2 * (i + 1)));
        assert_true(wait_count(&calls, i + 1));
    }
    assert_int_equal(wane_barrier(), 0);
    wane_stats(&after);
    assert_true(after.died_in_cycles == before.died_in_cycles);
    assert_true(wait_live(0));
    assert_int_equal(atomic_load(&calls), 1000);
}

struct logged {
    void         *weak;
    atomic_bool   displaced, may_end;
    struct node  *target;
};

static void *
displace_and_sleep(void *arg)
{
    struct logged *l = arg;

    wane_put(&root, l->weak);
    wane_clear(&root); /* its unit waits in this thread's log */
    atomic_store(&l->displaced, true);
    while (!atomic_load(&l->may_end))
        nap();
    return NULL;
}

/* The last unit of the weak reference waits in another thread's log while the target dies, by count or in a ring. */
static void
weak_15_in_another_threads_log(void **state)
{
    (void)state;
    for (int i = 0; i < 20; i++) {
        struct node  *o = i % 2 ? ring_of(&node_type, 2, NULL) : node_new();
        struct logged l = {.weak = wane_weak(o)};
        pthread_t     t = spawn(displace_and_sleep, &l);

        while (!atomic_load(&l.displaced))
            nap();
        wane_release(o);
        if (i % 3 == 0)
            atomic_store(&l.may_end, true);
        assert_true(wait_live(0)); /* also the weak reference, also while the other thread sleeps */
        atomic_store(&l.may_end, true);
        join(t);
    }
}

/* ---- A reference that no trace shows ----------------------------------------------------------------------------- */

struct secretive {
    struct node n;
    wane_slot   hidden; /* its type does not tell */
};
static struct wane_type secretive_type = {.name = "secretive",
                                          .size = sizeof(struct secretive),
                                          .slots = node_slots,
                                          .slot_count = 3,
                                          .dispose = node_dispose};

/* A dead ring holds an object by a slot that its type does not tell. It is kept with its weak reference, which goes on
 * working: it does not die, so nobody is told that it did. The ring's own weak references go to NULL before
 * callbacks. */
static void
weak_09_behind_a_missing_trace(void **state)
{
    struct secretive *s = (struct secretive *)node_of(&secretive_type);
    struct node      *kept = node_new();
    void             *w_ring = wane_weak(s), *w_kept = wane_weak(kept);
    atomic_long       ring_calls = 0, kept_calls = 0;

    (void)state;
    assert_int_equal(wane_weak_notify(w_ring, note_dead, &ring_calls), 0);
    assert_int_equal(wane_weak_notify(w_kept, note_dead, &kept_calls), 0);
    wane_set(&s->n.a, s);
    wane_put(&s->hidden, kept);
    wane_release(s);
    expect_disposed(1);
    assert_int_equal(atomic_load(&ring_calls), 1);
    assert_null(wane_weak_get(w_ring));
    assert_ptr_equal(wane_weak_get(w_kept), kept);
    node_check(kept);
    assert_int_equal(atomic_load(&kept_calls), 0);
    wane_release(kept); /* the upgrade's */
    wane_release(kept); /* the hidden slot's, which nobody else gives back */
    assert_true(wait_count(&kept_calls, 1));
    wane_release(w_ring);
    wane_release(w_kept);
}

/* ---- A map whose value holds its key ----------------------------------------------------------------------------- */

#define PAIRS SCALED(5000)

/* A map from weak references to properties, the way programs build it: under a name made of the weak reference, an
 * entry that holds the weak reference (a) and the property (b). The property holds the object again. */
static void
add_property(struct wane_map *map, struct node *object)
{
    struct node *entry = node_new(), *property = node_new();
    char         name[32];
    void        *w = wane_weak(object);

    snprintf(name, sizeof name, "%p", w);
    wane_set(&property->a, object);
    wane_put(&entry->a, w);
    wane_put(&entry->b, property);
    assert_int_equal(wane_map_put(map, name, entry), 0);
}

/* The value of an entry holds its key: this is no weak map (weakmap.h), so the key lives as long as the map. Nothing overflows,
 * the collector does not take them for garbage, and when the map is garbage all of them are, too. */
static void
weak_14_value_holds_its_key(void **state)
{
    struct wane_map *map = wane_map_new();
    struct node     *o, *holder;
    struct wane_stats s;

    (void)state;
    for (int i = 0; i < PAIRS; i++) {
        o = node_new();
        add_property(map, o);
        wane_release(o);
        if (i % 1000 == 999)
            (void)wane_collect(WANE_ALL, NULL);
    }
    expect_disposed(0);
    wane_stats(&s);
    assert_int_equal(s.lost_candidates, 0);
    assert_int_equal(wane_map_count(map), (size_t)PAIRS);
    holder = node_new(); /* the map itself in a ring: an object, its property's entry, and the map that leads to it */
    wane_put(&holder->a, map);
    add_property(map, holder);
    wane_release(holder);
    assert_true(wait_live(0));
    assert_int_equal(atomic_load(&disposed), 3 * PAIRS + 3);
}

SCENE_MAIN(SCENE(weak_compares_as_its_pointer), SCENE(weak_of_a_reused_address), SCENE(weak_in_containers),
           SCENE(weak_15_in_its_own_target), SCENE(weak_15_in_another_threads_log),
           SCENE(weak_09_behind_a_missing_trace), SCENE(weak_14_value_holds_its_key))
