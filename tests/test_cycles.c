/* SPDX-License-Identifier: MIT
 *
 * test_cycles.c - scenarios of isolated graphs (CYC): shapes, neighbours, and cycles whose owners are away
 */
#include "scene.h"

/* ---- Small shapes --------------------------------------------------------------------------------------------- */

/* An object that holds itself. */
static void
cyc_01_self_loop(void **state)
{
    struct node *a = node_new();

    (void)state;
    wane_set(&a->a, a);
    expect_disposed(0);
    wane_release(a);
    expect_disposed(1);
}

/* An object that holds itself twice, and one that does so ten times. */
static void
cyc_02_same_target_twice(void **state)
{
    struct node *a = node_new();
    struct wide *w = wide_new(10);

    (void)state;
    wane_set(&a->a, a);
    wane_set(&a->b, a);
    for (int i = 0; i < 10; i++)
        wane_set(&w->slot[i], w);
    expect_disposed(0);
    wane_release(a);
    wane_release(w);
    expect_disposed(2);
}

/* A pair with two spare units each, given up one by one with a collection between: it goes after the last, not
 * before. */
static void
cyc_03_pair_dropped_one_by_one(void **state)
{
    struct node *a = node_new();
    struct node *b = node_new();
    struct node *unit[4] = {a, b, a, b};

    (void)state;
    wane_retain(a);
    wane_retain(b);
    wane_set(&a->a, b);
    wane_set(&b->a, a);
    for (int i = 0; i < 4; i++) {
        expect_disposed(0);
        node_check(a);
        node_check(b);
        wane_release(unit[i]);
    }
    expect_disposed(2);
}

/* A pair, each also holding itself and the other one twice. */
static void
cyc_04_pair_with_loops_and_doubles(void **state)
{
    struct node *a = node_new();
    struct node *b = node_new();

    (void)state;
    wane_set(&a->a, b);
    wane_set(&a->b, b);
    wane_set(&a->c, a);
    wane_set(&b->a, a);
    wane_set(&b->b, a);
    wane_set(&b->c, b);
    wane_release(a);
    expect_disposed(0);
    wane_release(b);
    expect_disposed(2);
}

/* Rings of three made with no decrement but the last release, and with none at all: the closing store consumes. */
static void
cyc_06_ring_without_decrements(void **state)
{
    struct node *a = node_new();
    struct node *b = node_new();
    struct node *c = node_new();

    (void)state;
    wane_put(&b->a, c);
    wane_put(&a->a, b);
    wane_set(&c->a, a);
    wane_release(a);
    expect_disposed(3);
    a = node_new();
    b = node_new();
    c = node_new();
    wane_put(&a->a, b);
    wane_put(&b->a, c);
    wane_put(&c->a, a);
    expect_disposed(6);
}

/* z -> x -> y -> z and a live q -> x: nothing goes. q's edge is cut: all three go, and q stays. */
static void
cyc_08_reentered_restore(void **state)
{
    struct node *q = node_new();
    struct node *x = node_new();
    struct node *y = node_new();
    struct node *z = node_new();

    (void)state;
    wane_set(&z->a, x);
    wane_set(&x->a, y);
    wane_set(&y->a, z);
    wane_set(&q->a, x);
    wane_release(x);
    wane_release(y);
    wane_release(z);
    expect_disposed(0);
    wane_clear(&q->a);
    expect_disposed(3);
    node_check(q);
    wane_release(q);
}

static void
doubly_linked_ring(int n, struct node *outer)
{
    struct node *first = node_new();
    struct node *last = first;

    wane_set(&first->c, outer);
    for (int i = 1; i < n; i++) {
        struct node *next = node_new();

        wane_set(&next->c, outer);
        wane_set(&next->b, last);
        wane_put(&last->a, next);
        last = next;
    }
    wane_set(&last->a, first);
    wane_set(&first->b, last);
    wane_release(first);
}

/* Dead doubly linked rings, every node also holding one live object: it survives, with its count exact again. */
static void
cyc_11_rings_holding_a_live_one(void **state)
{
    static const int sizes[] = {1, 2, 10, 100};
    struct node     *outer = node_new();
    long             total = 0;

    (void)state;
    for (int i = 0; i < 4; i++) {
        doubly_linked_ring(sizes[i], outer);
        total += sizes[i];
    }
    expect_disposed(total);
    node_check(outer);
    assert_true(becomes_unique(outer));
    wane_release(outer);
}

/* Two rings of ten that hold each other; the second is given up, then the first. */
static void
cyc_12_joined_rings(void **state)
{
    struct node *one = ring_of(&node_type, 10, NULL);
    struct node *two = ring_of(&node_type, 10, NULL);

    (void)state;
    wane_set(&one->b, two);
    wane_set(&two->b, one);
    wane_release(two);
    expect_disposed(0);
    wane_release(one);
    expect_disposed(20);
}

/* Every node holds every other one. */
static void
cyc_13_fully_connected(void **state)
{
    static const size_t sizes[] = {2, 3, 5, 8, 16, 33, 64};
    struct wide        *w[64];
    long                total = 0;

    (void)state;
    for (unsigned s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
        size_t n = sizes[s];

        for (size_t i = 0; i < n; i++)
            w[i] = wide_new(n);
        for (size_t i = 0; i < n; i++)
            for (size_t j = 0; j < n; j++)
                if (i != j)
                    wane_set(&w[i]->slot[j], w[j]);
        for (size_t i = 0; i + 1 < n; i++)
            wane_release(w[i]);
        expect_disposed(total);
        wane_release(w[n - 1]);
        total += (long)n;
        expect_disposed(total);
    }
}

/* A ring that hangs from a live object is touched a hundred thousand times: never freed, and entered as a
 * candidate once. */
static void
cyc_19_touched_live_ring(void **state)
{
    struct node          *live = node_new();
    struct wane_collected c;

    (void)state;
    wane_put(&live->a, ring_of(&node_type, 3, NULL));
    wane_enter();
    for (long i = 0; i < 100000; i++) {
        struct node *n = wane_peek(&live->a);

        wane_release(wane_retain(n));
        wane_release(wane_get(&n->a));
        if (i % 1000 == 0)
            wane_checkpoint();
    }
    wane_leave();
    c = collect_now();
    assert_true(c.candidates <= 16);
    assert_int_equal(atomic_load(&disposed), 0);
    wane_release(live);
    expect_disposed(4);
}

/* ---- Neighbours of cycles ------------------------------------------------------------------------------------- */

/* A dead cycle holds a node that alone holds a second cycle: all are gone after at most two collections. */
static void
cyc_23_through_an_acyclic_node(void **state)
{
    struct node *one = ring_of(&node_type, 2, NULL);
    struct node *bridge = node_new();
    struct node *two = ring_of(&node_type, 2, NULL);

    (void)state;
    wane_put(&bridge->a, two);
    wane_put(&one->b, bridge);
    expect_disposed(0);
    wane_release(one);
    collect_now();
    expect_disposed(5);
}

/* The same, with bridges that are no candidates: a chain of two hundred rings goes at once, and not ring by ring. */
static void
cyc_23_through_nodes_of_an_acyclic_type(void **state)
{
    struct node *first = ring_of(&node_type, 2, NULL);

    (void)state;
    for (int i = 1; i < 200; i++) {
        struct node *bridge = acyclic_new(), *ring = ring_of(&node_type, 2, NULL);

        wane_put(&bridge->a, first);
        wane_put(&bridge->b, acyclic_new());
        wane_put(&ring->b, bridge);
        first = ring;
    }
    expect_disposed(0);
    wane_release(first);
    assert_int_equal(collect_patiently(WANE_ALL, NULL), 0);
    assert_int_equal(atomic_load(&disposed), 200 * 2 + 199 * 2);
}

static void *
touch(void *object)
{
    struct node *n = object;

    for (int i = 0; i < 1000; i++) {
        wane_enter();
        wane_release(wane_retain(n));
        wane_release(wane_get(&n->a));
        wane_set(&n->b, wane_peek(&n->a));
        wane_leave();
    }
    return NULL;
}

/* A tree of such, touched by its owner and by another: its nodes die by counting, and are never looked at. */
static void
acyclic_types_make_no_candidates(void **state)
{
    struct node          *root = acyclic_new(), *n = root;
    struct wane_collected c;

    (void)state;
    for (int i = 0; i < 10; i++) {
        wane_put(&n->a, acyclic_new());
        wane_put(&n->c, acyclic_new());
        wane_enter();
        n = wane_peek(&n->a);
        wane_leave();
    }
    touch(root);
    join(spawn(touch, root));
    c = collect_now();
    assert_int_equal(atomic_load(&disposed), 0);
    wane_release(root);
    expect_disposed(21);
    assert_int_equal(c.candidates, 0);
    assert_int_equal(c.examined, 0);
}

struct shy {
    struct node n;
    wane_slot   hidden; /* not in the type's description: a root, as far as the runtime can know */
};
static struct wane_type shy_type = {
    .name = "shy", .size = sizeof(struct shy), .slots = node_slots, .slot_count = 3, .dispose = node_dispose};

/* A slot that the type does not tell: its cycle is kept, neighbours go; once cut by hand all goes. */
static void
cyc_26_untold_edge_only_leaks(void **state)
{
    struct shy  *x = wane_new(&shy_type);
    struct node *y = node_new();
    void        *w;

    (void)state;
    x->n.magic = NODE_LIVE;
    x->n.check = ~x->n.id;
    w = wane_weak(x);
    wane_set(&x->hidden, y);
    wane_set(&y->a, x);
    wane_release(x);
    wane_release(y);
    wane_release(ring_of(&node_type, 3, NULL));
    expect_disposed(3);
    x = wane_weak_get(w);
    assert_non_null(x);
    node_check(&x->n);
    wane_clear(&x->hidden);
    wane_release(x);
    wane_release(w);
    collect_now();
    expect_disposed(5);
}

/* A weak edge closes the ring: counting alone frees it, no collection does. */
static void
cyc_21_weak_edge_inside(void **state)
{
    struct wane_stats before, after;

    (void)state;
    wane_stats(&before);
    for (int i = 1; i <= 100; i++) {
        struct node *a = node_new();
        struct node *b = node_new();

        wane_put(&b->a, wane_weak(a));
        wane_put(&a->a, b);
        wane_release(a);
        assert_true(wait_count(&disposed, 2 * i));
    }
    wane_stats(&after);
    assert_int_equal(after.died_in_cycles, before.died_in_cycles);
}

/* A weak reference held outside of a dead ring: upgrades while it lives, NULL after the collection; then it goes
 * too. */
static void
cyc_22_weak_outside_a_dead_ring(void **state)
{
    atomic_long  watch = 0;
    struct node *first = ring_of(&node_type, 10, &watch);
    void        *w = wane_weak(first);
    struct node *got;

    (void)state;
    collect_now();
    got = wane_weak_get(w);
    assert_ptr_equal(got, first);
    wane_release(first);
    collect_now();
    assert_int_equal(atomic_load(&watch), 0); /* the upgrade holds the ring */
    node_check(got);
    wane_release(got);
    collect_now();
    assert_true(wait_count(&watch, 10));
    assert_null(wane_weak_get(w));
    assert_true(wait_live(1)); /* the weak reference itself */
    wane_release(w);
}

/* Leaves, and objects with empty slots, are retained and released many times: no buffer keeps them from dying at
 * once. */
static void
cyc_27_buffers_keep_nothing_alive(void **state)
{
    (void)state;
    for (int i = 1; i <= 1000; i++) {
        struct node *o = i % 2 ? leaf_new() : node_new();

        for (int k = 0; k < 5; k++)
            wane_release(wane_retain(o));
        wane_release(o);
        assert_true(wait_count(&disposed, i)); /* no collection is asked for */
    }
}

/* A candidate that nobody else knows is still its owner's alone, and a collection leaves it alone. */
static void
cyc_29_unique_though_buffered(void **state)
{
    struct node *o = node_new();

    (void)state;
    for (int i = 0; i < 20; i++) {
        wane_release(wane_retain(o));
        assert_true(becomes_unique(o));
        wane_put_private(&o->a, node_new());
        collect_now();
        assert_true(becomes_unique(o));
    }
    wane_release(o);
    assert_true(wait_count(&disposed, 21));
}

static atomic_bool collectors_over;
static atomic_long collections;

static void *
collect_loop(void *unused)
{
    (void)unused;
    while (!atomic_load(&collectors_over)) {
        int rc = wane_collect(WANE_ALL, NULL);

        EXPECT(rc == 0 || rc == -EAGAIN);
        atomic_fetch_add(&collections, 1);
    }
    return NULL;
}

/* A parent is dropped while only its child is held: collections from other threads leave both, the back edge is
 * whole. */
static void
cyc_32_held_by_a_local_unit(void **state)
{
    pthread_t t[2];
    long      rounds = 0;

    (void)state;
    atomic_store(&collectors_over, false);
    atomic_store(&collections, 0);
    for (int i = 0; i < 2; i++)
        t[i] = spawn(collect_loop, NULL);
    for (; rounds < 20 || atomic_load(&collections) < 50; rounds++) {
        long         until = atomic_load(&collections) + 5;
        struct node *parent = ring_of(&node_type, 2, NULL);
        struct node *child = wane_get(&parent->a);

        wane_release(parent);
        while (atomic_load(&collections) < until)
            sched_yield();
        node_check(child);
        WANE_SECTION {
            node_check(wane_peek(&child->a));
            assert_ptr_equal(wane_peek(&((struct node *)wane_peek(&child->a))->a), child);
        }
        wane_release(child);
    }
    atomic_store(&collectors_over, true);
    for (int i = 0; i < 2; i++)
        join(t[i]);
    expect_disposed(2 * rounds);
}

/* ---- Cycles whose owners are away ----------------------------------------------------------------------------- */

static struct {
    struct pipe_wait      wait;
    _Atomic(struct node *) object[2];
    bool                  ends;
} away;

static void *
make_and_go_away(void *which)
{
    atomic_store(&away.object[(uintptr_t)which], node_new());
    if (!away.ends || which)
        pipe_block(&away.wait);
    return NULL;
}

static void
cycle_across_owners(bool one_ends, bool by_background)
{
    long         target = atomic_load(&disposed) + 2;
    struct node *o[2];
    pthread_t    t[2];

    away.ends = one_ends;
    pipe_open(&away.wait);
    for (uintptr_t i = 0; i < 2; i++) {
        atomic_store(&away.object[i], NULL);
        t[i] = spawn(make_and_go_away, (void *)i);
        while (!(o[i] = atomic_load(&away.object[i])))
            nap();
    }
    wane_set(&o[0]->a, o[1]);
    wane_set(&o[1]->a, o[0]);
    wane_release(o[0]);
    wane_release(o[1]);
    if (by_background)
        assert_true(wait_count(&disposed, target)); /* nobody asks for a collection */
    else
        expect_disposed(target);
    pipe_wake(&away.wait);
    join(t[0]);
    join(t[1]);
    pipe_done(&away.wait);
}

/* A ring of two objects of two owners that block in a system call, or have ended: collected all the same. */
static void
race_23_ring_across_idle_owners(void **state)
{
    (void)state;
    for (int i = 0; i < 10; i++)
        cycle_across_owners(i % 2, false);
}

/* The same, found by the background alone; and rings of our own, with no call of ours after them. */
static void
gen_08_background_collects(void **state)
{
    (void)state;
    cycle_across_owners(false, true);
    cycle_across_owners(true, true);
    for (int i = 0; i < 100; i++)
        wane_release(ring_of(&node_type, 3, NULL));
    assert_true(wait_count(&disposed, 4 + 300));
}

/* A collection of a generation that there is not is refused. */
static void
gen_01_no_such_generation(void **state)
{
    struct wane_collected c = {.freed = 77};

    (void)state;
    assert_int_equal(wane_collect(-1, &c), -EINVAL);
    assert_int_equal(wane_collect(WANE_ALL + 1, &c), -EINVAL);
    assert_int_equal(c.freed, 77);
    for (int g = 0; g <= WANE_ALL; g++)
        assert_int_equal(collect_patiently(g, NULL), 0);
}

SCENE_MAIN(SCENE(cyc_01_self_loop), SCENE(cyc_02_same_target_twice), SCENE(cyc_03_pair_dropped_one_by_one),
           SCENE(cyc_04_pair_with_loops_and_doubles), SCENE(cyc_06_ring_without_decrements),
           SCENE(cyc_08_reentered_restore), SCENE(cyc_11_rings_holding_a_live_one), SCENE(cyc_12_joined_rings),
           SCENE(cyc_13_fully_connected), SCENE(cyc_19_touched_live_ring), SCENE(cyc_21_weak_edge_inside),
           SCENE(cyc_22_weak_outside_a_dead_ring), SCENE(cyc_23_through_an_acyclic_node),
           SCENE(cyc_23_through_nodes_of_an_acyclic_type), SCENE(acyclic_types_make_no_candidates),
           SCENE(cyc_26_untold_edge_only_leaks), SCENE(cyc_27_buffers_keep_nothing_alive),
           SCENE(cyc_29_unique_though_buffered), SCENE(cyc_32_held_by_a_local_unit),
           SCENE(race_23_ring_across_idle_owners), SCENE(gen_08_background_collects),
           SCENE(gen_01_no_such_generation))
