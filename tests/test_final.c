/* SPDX-License-Identifier: MIT
 *
 * test_final.c - scenarios of finalizers (FIN): once each, on live objects, with resurrection, on both ways of dying
 */
#include "scene.h"

static wane_slot root, other_root;

/* Finalizers that only look: the object and what it holds are whole. */
static void
look_around(struct node *n)
{
    wane_slot *slots[] = {&n->a, &n->b, &n->c};

    WANE_SECTION
        for (int i = 0; i < 3; i++) {
            struct node *next = wane_peek(slots[i]);

            if (next)
                node_check(next);
        }
}

/* Rings of one, two and three: each finalizer runs once and sees sane neighbours; one more collection adds none. */
static void
fin_01_rings_finalized_once(void **state)
{
    long total = 0;

    (void)state;
    for (long n = 1; n <= 3; n++) {
        struct node *first = ring_of(&final_type, n, NULL);
        struct node *o = first;

        wane_enter();
        for (long i = 0; i < n; i++, o = wane_peek(&o->a))
            o->on_final = look_around;
        wane_leave();
        collect_now();
        assert_int_equal(atomic_load(&finalized), total);
        wane_release(first);
        total += n;
        assert_true(pump_count(&disposed, total));
        collect_now();
        assert_int_equal(atomic_load(&finalized), total);
        assert_int_equal(atomic_load(&disposed), total);
    }
}

static void
resurrect(struct node *n)
{
    wane_set(&root, n);
}

/* By the count alone: the finalizer stores its object in a root; dropped again it goes, with no second call. */
static void
fin_02_resurrection_by_count(void **state)
{
    struct node *n = final_new(resurrect);
    void        *w = wane_weak(n);
    struct node *got;

    (void)state;
    wane_release(n);
    assert_true(wait_count(&finalized, 1)); /* on the library's own thread: nothing is called here */
    collect_now();
    got = wane_weak_get(w);
    assert_ptr_equal(got, n);
    node_check(got);
    wane_release(got);
    assert_int_equal(atomic_load(&disposed), 0);
    wane_clear(&root);
    assert_int_equal(wane_barrier(), 0);
    assert_true(wait_count(&disposed, 1));
    assert_int_equal(atomic_load(&finalized), 1);
    assert_null(wane_weak_get(w));
    wane_release(w);
}

/* The same for an object that holds itself, and for a whole ring that one member resurrects. */
static void
fin_03_resurrection_of_rings(void **state)
{
    long total = 0;

    (void)state;
    for (long n = 1; n <= 5; n += 2) {
        struct node *first = ring_of(&final_type, n, NULL);
        struct node *o = first;

        first->on_final = resurrect;
        wane_release(first);
        assert_true(pump_count(&finalized, total + n));
        collect_now();
        assert_int_equal(atomic_load(&disposed), total);
        wane_enter();
        o = first = wane_peek(&root);
        for (long i = 0; i < n; i++, o = wane_peek(&o->a))
            node_check(o);
        assert_ptr_equal(o, first); /* whole */
        wane_leave();
        wane_clear(&root);
        total += n;
        assert_true(pump_count(&disposed, total));
        assert_int_equal(atomic_load(&finalized), total);
        assert_int_equal(atomic_load(&disposed), total);
    }
}

static void
cut_own_links(struct node *n)
{
    look_around(n);
    wane_clear(&n->a);
    wane_clear(&n->b);
}

/* Each finalizer empties its object's slots while the neighbours wait for theirs: all run, all go once. */
static void
fin_05_finalizers_cut_their_links(void **state)
{
    (void)state;
    for (int round = 1; round <= 20; round++) {
        struct node *o[3];

        for (int i = 0; i < 3; i++)
            o[i] = final_new(cut_own_links);
        for (int i = 0; i < 3; i++) {
            wane_set(&o[i]->a, o[(i + 1) % 3]);
            wane_set(&o[i]->b, o[i]);
        }
        for (int i = 0; i < 3; i++)
            wane_release(o[i]);
        assert_true(pump_count(&disposed, 3L * round));
        assert_int_equal(atomic_load(&finalized), 3L * round);
    }
}

static void
clear_other_root(struct node *n)
{
    (void)n;
    wane_clear(&other_root);
}

/* A finalizer drops the last hold on an unrelated ring: that ring is found too. */
static void
fin_07_finalizer_frees_another_ring(void **state)
{
    struct node *n = final_new(clear_other_root);

    (void)state;
    wane_put(&other_root, ring_of(&node_type, 4, NULL));
    wane_set(&n->a, n);
    collect_now();
    assert_int_equal(atomic_load(&disposed), 0);
    wane_release(n);
    assert_true(pump_count(&disposed, 5));
    assert_int_equal(atomic_load(&disposed), 5);
}

static void
make_garbage(struct node *n)
{
    (void)n;
    for (int i = 0; i < 10; i++)
        wane_release(ring_of(&node_type, 3, NULL));
}

/* A finalizer makes isolated rings: no recursion, and they are found. */
static void
fin_08_finalizer_makes_garbage(void **state)
{
    struct node *n = final_new(make_garbage);
    struct node *by_count = final_new(make_garbage);

    (void)state;
    wane_set(&n->a, n);
    wane_release(n);
    wane_release(by_count);
    assert_true(pump_count(&disposed, 62));
    assert_int_equal(atomic_load(&disposed), 62);
}

#define HEIRS 300

static atomic_long heirs;

static void
make_an_heir(struct node *n)
{
    struct node *heir;

    (void)n;
    if (atomic_fetch_add(&heirs, 1) >= HEIRS)
        return;
    heir = final_new(make_an_heir);
    wane_set(&heir->a, heir);
    wane_release(heir);
}

/* Finalizers keep making rings with finalizers: every collection returns, and the end is reached. */
static void
fin_09_finalizers_keep_making_more(void **state)
{
    struct node *n = final_new(make_an_heir);

    (void)state;
    atomic_store(&heirs, 0);
    wane_set(&n->a, n);
    wane_release(n);
    assert_true(pump_count(&disposed, HEIRS + 1));
    assert_int_equal(atomic_load(&finalized), HEIRS + 1);
}

static atomic_long calls_back;

static void
call_the_runtime(struct node *n)
{
    int rc;

    (void)n;
    rc = wane_collect(WANE_ALL, NULL);
    EXPECT(rc == 0 || rc == -EAGAIN || rc == -EDEADLK);
    rc = wane_barrier();
    EXPECT(rc == 0 || rc == -EDEADLK);
    (void)wane_run_finalizers();
    atomic_fetch_add(&calls_back, 1);
}

/* A finalizer asks for a collection, a barrier, and for finalizers: an answer, never a deadlock, never a second run. */
static void
fin_10_finalizer_calls_the_runtime(void **state)
{
    (void)state;
    atomic_store(&calls_back, 0);
    for (int i = 0; i < 5; i++) {
        struct node *n = final_new(call_the_runtime);

        wane_set(&n->a, n);
        wane_release(n);
        wane_release(final_new(call_the_runtime));
    }
    assert_true(pump_count(&disposed, 10));
    assert_int_equal(atomic_load(&calls_back), 10);
}

static struct pipe_wait sleeper;
static atomic_bool      sleeping;

static void
block_for_a_while(struct node *n)
{
    (void)n;
    EXPECT(!wane_in_section());
    atomic_store(&sleeping, true);
    pipe_block(&sleeper);
}

/* A finalizer blocks; meanwhile objects die, grace periods pass and cycles are collected. */
static void
fin_11_blocked_finalizer_holds_up_nobody(void **state)
{
    (void)state;
    pipe_open(&sleeper);
    atomic_store(&sleeping, false);
    wane_release(final_new(block_for_a_while));
    while (!atomic_load(&sleeping)) /* on the library's own thread */
        nap();
    for (int i = 0; i < 1000; i++) {
        wane_put(&root, node_new());
        wane_release(ring_of(&node_type, 2, NULL));
    }
    wane_clear(&root);
    collect_now();
    assert_true(wait_count(&disposed, 3000));
    assert_int_equal(atomic_load(&finalized), 0);
    pipe_wake(&sleeper);
    assert_true(wait_count(&disposed, 3001));
    pipe_done(&sleeper);
}

static pthread_mutex_t big_lock = PTHREAD_MUTEX_INITIALIZER;

static void
take_big_lock(struct node *n)
{
    (void)n;
    pthread_mutex_lock(&big_lock);
    pthread_mutex_unlock(&big_lock);
}

/* A finalizer needs a lock whose holder asks for collections: the collections return, the finalizer runs afterwards. */
static void
fin_12_lock_held_during_collection(void **state)
{
    struct node *n = final_new(take_big_lock);

    (void)state;
    wane_set(&n->a, n);
    pthread_mutex_lock(&big_lock);
    wane_release(n);
    wane_release(final_new(take_big_lock));
    for (int i = 0; i < 5; i++)
        collect_now();
    assert_int_equal(atomic_load(&finalized), 0);
    pthread_mutex_unlock(&big_lock);
    assert_true(pump_count(&disposed, 2));
    assert_int_equal(atomic_load(&finalized), 2);
}

/* A dead ring holds another dead ring, all with finalizers: none sees a neighbour that is disposed of. */
static void
fin_13_finalizers_see_live_neighbours(void **state)
{
    (void)state;
    for (int round = 1; round <= 10; round++) {
        struct node *one = ring_of(&final_type, 3, NULL);
        struct node *two = ring_of(&final_type, 3, NULL);

        one->on_final = two->on_final = look_around;
        wane_set(&one->b, two);
        wane_release(two);
        wane_release(one);
        assert_true(pump_count(&disposed, 6L * round));
        assert_int_equal(atomic_load(&finalized), 6L * round);
    }
}

static atomic_long watched;

static void
watched_is_whole(struct node *n)
{
    look_around(n);
    EXPECT(atomic_load(&watched) == 0);
}

/* A plain ring that only a finalizable ring holds is kept until the finalizer ran, and goes with it. */
static void
fin_15_kept_for_the_finalizer(void **state)
{
    struct node *n = final_new(watched_is_whole);

    (void)state;
    atomic_store(&watched, 0);
    wane_set(&n->a, n);
    wane_put(&n->b, ring_of(&node_type, 3, &watched));
    wane_release(n);
    assert_true(pump_count(&disposed, 4));
    assert_int_equal(atomic_load(&watched), 3);
}

/* A ring resurrected in one round is garbage again in the next: weak references go to NULL, no finalizer is called. */
static void
fin_17_resurrected_then_dead_again(void **state)
{
    struct node *n = ring_of(&final_type, 2, NULL);
    void        *w = wane_weak(n);
    struct node *got;

    (void)state;
    n->on_final = resurrect;
    wane_release(n);
    assert_true(pump_count(&finalized, 2));
    collect_now();
    got = wane_weak_get(w);
    assert_ptr_equal(got, n);
    wane_release(got);
    wane_clear(&root);
    assert_true(pump_count(&disposed, 2));
    assert_null(wane_weak_get(w));
    assert_int_equal(atomic_load(&finalized), 2);
    wane_release(w);
}

static void
check_value(struct node *n)
{
    EXPECT(n->value == n->id + 5);
    EXPECT(atomic_load(&watched) == 0); /* not disposed of before */
    look_around(n);
    n->value = 0;
}

/* On both ways of dying the finalizer sees the object's content, and dispose comes after it. */
static void
fin_18_content_on_both_ways(void **state)
{
    (void)state;
    for (int ring = 0; ring < 2; ring++) {
        struct node *n = final_new(check_value);

        atomic_store(&watched, 0);
        n->watch = &watched;
        n->value = n->id + 5;
        wane_put(&n->b, leaf_new());
        if (ring)
            wane_set(&n->a, n);
        wane_release(n);
        assert_true(pump_count(&watched, 1));
        assert_int_equal(atomic_load(&finalized), ring + 1);
        assert_true(wait_count(&disposed, 2 * (ring + 1)));
    }
}

/* A hundred plain rings and one that resurrects itself are found together: the hundred go, the one stays. */
static void
fin_19_others_go_beside_a_resurrected(void **state)
{
    struct node *n = final_new(resurrect);

    (void)state;
    wane_set(&n->a, n);
    wane_enter();
    for (int i = 0; i < 100; i++)
        wane_release(ring_of(&node_type, 2, NULL));
    wane_release(n);
    wane_leave();
    collect_now();
    assert_true(wait_count(&disposed, 200));
    assert_true(pump_count(&finalized, 1));
    collect_now();
    assert_int_equal(atomic_load(&disposed), 200);
    node_check(n); /* root holds it */
    wane_clear(&root);
    assert_true(pump_count(&disposed, 201));
    assert_int_equal(atomic_load(&finalized), 1);
}

static void
store_into_neighbour(struct node *n)
{
    WANE_SECTION
        wane_set(&((struct node *)wane_peek(&n->a))->c, n);
}

/* Finalizers store their objects into slots of neighbours that may be finalized already: nothing half-dead, all
 * go once. */
static void
fin_21_store_into_a_finalized_neighbour(void **state)
{
    (void)state;
    for (int round = 1; round <= 10; round++) {
        struct node *o[3];

        for (int i = 0; i < 3; i++)
            o[i] = final_new(store_into_neighbour);
        for (int i = 0; i < 3; i++)
            wane_set(&o[i]->a, o[(i + 1) % 3]);
        for (int i = 0; i < 3; i++)
            wane_release(o[i]);
        assert_true(pump_count(&disposed, 3L * round));
        assert_int_equal(atomic_load(&finalized), 3L * round);
    }
}

static void *
release_it(void *object)
{
    node_check(object);
    wane_release(object);
    return NULL;
}

static void
hand_self_to_a_thread(struct node *n)
{
    join(spawn(release_it, wane_retain(n))); /* it has released before this returns */
    node_check(n);
}

/* The finalizer gives a unit of its object to another thread, which releases it first: the death comes after the
 * return. */
static void
fin_22_released_elsewhere_meanwhile(void **state)
{
    (void)state;
    for (int i = 1; i <= 20; i++) {
        struct node *n = final_new(hand_self_to_a_thread);

        if (i % 2)
            wane_set(&n->a, n);
        wane_release(n);
        assert_true(pump_count(&disposed, i));
        assert_int_equal(atomic_load(&finalized), i);
    }
}

static void
use_everything(struct node *n)
{
    struct node *made;
    void        *w;

    EXPECT(!wane_in_section());
    wane_enter();
    EXPECT(wane_peek(&n->a) == n || !wane_peek(&n->a));
    made = node_new();
    w = wane_weak(n);
    wane_set(&n->b, made);
    wane_leave();
    wane_put(&n->c, w);
    EXPECT(wane_get(&n->b) == made);
    wane_release(made);
    wane_release(made);
}

/* A finalizer runs outside of any section, and may open one, make objects, store, and make weak references. */
static void
fin_24_ordinary_surroundings(void **state)
{
    struct node *n;

    (void)state;
    wane_release(final_new(use_everything));
    n = final_new(use_everything);
    wane_set(&n->a, n);
    wane_release(n);
    assert_true(pump_count(&disposed, 4));
    assert_int_equal(atomic_load(&finalized), 2);
}

static bool keep_new_ring;

static void
build_a_new_ring(struct node *n)
{
    struct node *made = final_new(NULL);

    wane_set(&made->a, n);
    wane_set(&n->c, made);
    if (keep_new_ring)
        wane_set(&root, made);
    wane_release(made);
}

static void
new_ring_from_finalizer(bool keep)
{
    struct node *a = final_new(build_a_new_ring);
    struct node *b = final_new(NULL);

    keep_new_ring = keep;
    wane_set(&a->a, b);
    wane_set(&b->a, a);
    wane_release(a);
    wane_release(b);
    if (keep) {
        assert_true(pump_count(&finalized, 2));
        collect_now();
        assert_int_equal(atomic_load(&disposed), 0);
        WANE_SECTION {
            struct node *made = wane_peek(&root);

            assert_ptr_equal(wane_peek(&made->a), a);
            assert_ptr_equal(wane_peek(&a->a), b); /* no link was cut */
            assert_ptr_equal(wane_peek(&b->a), a);
            assert_ptr_equal(wane_peek(&a->c), made);
        }
        wane_clear(&root);
    }
    assert_true(pump_count(&disposed, 3));
    assert_int_equal(atomic_load(&finalized), 3); /* the new one's too, the others not again */
}

/* A finalizer resurrects its ring as part of a new one: whole; dropped later, only the new member is finalized. */
static void
fin_25_resurrected_in_a_new_ring(void **state)
{
    (void)state;
    new_ring_from_finalizer(true);
}

/* The same, but nobody holds the new ring: garbage at once, and found although it was made during a collection. */
static void
fin_26_new_ring_is_garbage_at_once(void **state)
{
    (void)state;
    new_ring_from_finalizer(false);
}

SCENE_MAIN(SCENE(fin_01_rings_finalized_once), SCENE(fin_02_resurrection_by_count),
           SCENE(fin_03_resurrection_of_rings), SCENE(fin_05_finalizers_cut_their_links),
           SCENE(fin_07_finalizer_frees_another_ring), SCENE(fin_08_finalizer_makes_garbage),
           SCENE(fin_09_finalizers_keep_making_more), SCENE(fin_10_finalizer_calls_the_runtime),
           SCENE(fin_11_blocked_finalizer_holds_up_nobody), SCENE(fin_12_lock_held_during_collection),
           SCENE(fin_13_finalizers_see_live_neighbours), SCENE(fin_15_kept_for_the_finalizer),
           SCENE(fin_17_resurrected_then_dead_again), SCENE(fin_18_content_on_both_ways),
           SCENE(fin_19_others_go_beside_a_resurrected), SCENE(fin_21_store_into_a_finalized_neighbour),
           SCENE(fin_22_released_elsewhere_meanwhile), SCENE(fin_24_ordinary_surroundings),
           SCENE(fin_25_resurrected_in_a_new_ring), SCENE(fin_26_new_ring_is_garbage_at_once))
