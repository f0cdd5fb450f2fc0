/* SPDX-License-Identifier: MIT
 *
 * test_govern.c - scenarios of a program that governs the collector (GEN): freeze, automatic collection, being told
 */
#include "scene.h"

#include <wane/collector.h>

/* Outside tests everything is as at the start. */
static int
end(void **state)
{
    (void)wane_unfreeze();
    (void)wane_set_automatic(true);
    assert_int_equal(wane_on_collection(NULL, NULL), 0);
    return scene_end(state);
}

#define GOVERNED(fn) cmocka_unit_test_setup_teardown(fn, scene_begin, end)

static struct wane_collected
collect_all(void)
{
    struct wane_collected c;

    assert_int_equal(collect_patiently(WANE_ALL, &c), 0);
    return c;
}

/* ---- Freeze ------------------------------------------------------------------------------------------------------ */

#define HEAP 1000

/* A live heap that hangs together: a ring, held by its first member. */
static struct node *
heap_new(void)
{
    struct node *first = ring_of(&node_type, HEAP, NULL);

    assert_non_null(first);
    return first;
}

/* Rings that have an edge into a frozen heap are freed without a walk through it, in every generation. */
static void
gen_07_frozen_heap_is_not_examined(void **state)
{
    struct node *heap = heap_new();

    (void)state;
    (void)wane_set_automatic(false);
    assert_int_equal(wane_freeze(), 0);
    assert_int_equal(wane_freeze(), -EALREADY);
    for (int g = 0; g <= WANE_ALL; g++) {
        struct wane_collected c;
        struct node          *n = ring_of(&node_type, 2, NULL);

        wane_set(&n->b, heap);
        wane_retain(heap);
        wane_release(heap); /* a candidate, had it not been frozen */
        wane_release(n);
        assert_int_equal(collect_patiently(g, &c), 0);
        assert_int_equal(c.freed, 2);
        assert_true(c.examined < 10);
    }
    assert_int_equal(wane_unfreeze(), 0);
    assert_int_equal(wane_unfreeze(), -EALREADY);
    assert_true(collect_all().examined >= HEAP); /* it was a candidate, and is again */
    wane_release(heap);
    expect_disposed(HEAP + 6);
}

/* Frozen objects are counted as ever: what is no longer held dies, but a cycle of the frozen waits for the thaw. */
static void
gen_07_frozen_objects_die_by_count(void **state)
{
    struct node *one = node_new(), *heap = heap_new();

    (void)state;
    assert_int_equal(wane_freeze(), 0);
    wane_release(one);
    assert_true(wait_count(&disposed, 1));
    wane_release(heap);
    for (int i = 0; i < 3; i++)
        assert_int_equal(collect_all().freed, 0);
    assert_int_equal(atomic_load(&disposed), 1);
    assert_int_equal(wane_unfreeze(), 0);
    (void)collect_all();
    assert_int_equal(atomic_load(&disposed), HEAP + 1);
}

/* The frozen one has no event of its own while the freeze lasts: its garbage is known by what was made later, only. */
static void
gen_07_garbage_that_waits_for_the_thaw(void **state)
{
    struct node *frozen = node_new(), *n;

    (void)state;
    (void)wane_set_automatic(false);
    (void)collect_all();
    assert_int_equal(wane_freeze(), 0);
    n = ring_of(&node_type, 2, NULL);
    wane_put(&n->b, frozen); /* closes nothing: its slots are empty */
    wane_set(&frozen->a, n);
    wane_release(n);
    for (int i = 0; i < 3; i++)
        assert_int_equal(collect_all().freed, 0);
    assert_int_equal(wane_unfreeze(), 0);
    (void)collect_all();
    assert_int_equal(atomic_load(&disposed), 3);
}

static struct node *queued;

static void *
own_and_end(void *unused)
{
    (void)unused;
    queued = ring_of(&node_type, 3, NULL);
    wane_retain(queued);
    return NULL;
}

/* Units lie in the queue of a thread that has ended, before the freeze and during it: they are counted, nothing else. */
static void
gen_07_queued_units_across_a_freeze(void **state)
{
    (void)state;
    join(spawn(own_and_end, NULL));
    wane_release(queued);
    assert_int_equal(wane_freeze(), 0);
    wane_release(queued);
    (void)collect_all();
    assert_int_equal(atomic_load(&disposed), 0);
    assert_int_equal(wane_unfreeze(), 0);
    (void)collect_all();
    assert_int_equal(atomic_load(&disposed), 3);
}

/* A second freeze, and a third, hold what the first held; what came between, too. */
static void
gen_07_freezes_one_after_another(void **state)
{
    struct node *heap[3];

    (void)state;
    (void)wane_set_automatic(false);
    for (int i = 0; i < 3; i++) {
        heap[i] = heap_new();
        assert_int_equal(wane_freeze(), 0);
        for (int k = 0; k <= i; k++) {
            wane_retain(heap[k]);
            wane_release(heap[k]);
        }
        assert_true(collect_all().examined < 10);
        assert_int_equal(wane_unfreeze(), 0);
    }
    assert_true(collect_all().examined >= 3 * HEAP);
    for (int i = 0; i < 6; i++) { /* looked at between: the era does not run out */
        assert_int_equal(wane_freeze(), 0);
        wane_retain(heap[0]);
        wane_release(heap[0]);
        assert_true(collect_all().examined < 10);
        assert_int_equal(wane_unfreeze(), 0);
        assert_true(collect_all().examined >= HEAP);
    }
    for (int i = 0; i < 3; i++)
        wane_release(heap[i]);
    expect_disposed(3 * HEAP);
}

static int
child_of_a_frozen(void *heap)
{
    CHILD_CHECK(wane_freeze() == -EALREADY);
    wane_release(ring_of(&node_type, 4, NULL));
    CHILD_CHECK(collect_patiently(WANE_ALL, NULL) == 0);
    CHILD_CHECK(atomic_load(&disposed) == 4);
    wane_release(heap);
    CHILD_CHECK(wane_shutdown() == 0); /* thaws */
    CHILD_CHECK(atomic_load(&disposed) == HEAP + 4);
    return 0;
}

static void
gen_07_fork_while_frozen(void **state)
{
    struct node *heap;
    struct child c;

    (void)state;
    skip_where_children_have_no_threads();
    heap = heap_new();
    assert_int_equal(wane_freeze(), 0);
    c = run_child(child_of_a_frozen, heap);
    assert_child_ok(&c);
    assert_int_equal(wane_unfreeze(), 0);
    wane_release(heap);
    expect_disposed(HEAP);
}

/* ---- Automatic collection ------------------------------------------------------------------------------------------ */

static void
gen_09_nothing_is_lost_while_it_is_off(void **state)
{
    uint64_t before;

    (void)state;
    assert_true(wane_set_automatic(false));
    assert_false(wane_set_automatic(false));
    collect_now();
    before = stat_examined();
    for (int i = 0; i < 20000; i++)
        wane_release(ring_of(&node_type, 2, NULL));
    wane_release(leaf_new());
    for (int i = 0; i < 300; i++)
        nap();
    assert_int_equal(atomic_load(&disposed), 1); /* by its count */
    assert_int_equal(stat_examined(), before);
    assert_false(wane_set_automatic(true));
    assert_true(wait_count(&disposed, 40001)); /* by the background, and nobody calls for it */
}

/* ---- Being told ------------------------------------------------------------------------------------------------------ */

static struct {
    atomic_long begun, ended, freed, wrong;
    wane_slot   kept;
} told;

static void
on_collection(const struct wane_collection *c, void *arg)
{
    if (!c->ended) {
        if (atomic_fetch_add(&told.begun, 1) != atomic_load(&told.ended) || c->result.examined)
            atomic_fetch_add(&told.wrong, 1);
    } else {
        atomic_fetch_add(&told.ended, 1);
        atomic_fetch_add(&told.freed, (long)c->result.freed);
        if (c->result.freed > c->result.examined || c->generation < 0 || c->generation > WANE_ALL)
            atomic_fetch_add(&told.wrong, 1);
        wane_put(&told.kept, node_new());
    }
    if (arg != &told || wane_collect(0, NULL) != -EDEADLK || wane_freeze() != -EDEADLK || wane_barrier() != -EDEADLK)
        atomic_fetch_add(&told.wrong, 1);
}

/* Each collection begins and ends once, on request or not; the callback makes and stores, and is refused what waits. */
static void
gen_15_collections_are_told(void **state)
{
    struct wane_stats before, after;

    (void)state;
    memset(&told, 0, sizeof told);
    assert_int_equal(wane_on_collection(on_collection, &told), 0);
    wane_stats(&before);
    for (int i = 0; i < 10000; i++)
        wane_release(ring_of(&node_type, 2, NULL));
    assert_true(wait_count(&disposed, 20000));
    (void)collect_all();
    assert_int_equal(wane_on_collection(NULL, NULL), 0);
    (void)collect_all(); /* nobody hears of this one; the last one told has ended */
    wane_stats(&after);
    assert_int_equal(atomic_load(&told.wrong), 0);
    assert_int_equal(atomic_load(&told.freed), 20000);
    assert_int_equal(atomic_load(&told.begun), atomic_load(&told.ended));
    assert_true(atomic_load(&told.ended) > 0);
    assert_true(after.collections - before.collections > (uint64_t)atomic_load(&told.ended));
    wane_clear(&told.kept);
    assert_int_equal(wane_barrier(), 0);
    assert_int_equal(atomic_load(&disposed), 20000 + atomic_load(&told.ended));
}

/* ---- Reasons -------------------------------------------------------------------------------------------------------- */

static uint64_t
aborts(enum wane_abort why)
{
    uint64_t n[WANE_ABORTS];

    wane_aborts(n);
    return n[why];
}

static void *
sit_in_a_section(void *gates)
{
    struct gate *g = gates;

    wane_enter();
    gate_wait(&g[0]);
    gate_wait(&g[1]);
    wane_leave();
    return NULL;
}

/* Suspects that are kept are counted by the reason, and each once. */
static void
gen_16_aborts_have_reasons(void **state)
{
    struct gate       g[2] = {{.count = 2}, {.count = 2}};
    uint64_t          finalizers = aborts(WANE_ABORT_FINALIZERS), n[WANE_ABORTS], sum = 0;
    struct wane_stats s;
    pthread_t         t;

    (void)state;
    (void)wane_set_automatic(false);
    wane_release(ring_of(&final_type, 3, NULL));
    (void)collect_all();
    assert_int_equal(aborts(WANE_ABORT_FINALIZERS) - finalizers, 3);
    t = spawn(sit_in_a_section, g);
    gate_wait(&g[0]);
    wane_release(ring_of(&node_type, 5, NULL));
    assert_int_equal(wane_collect(WANE_ALL, NULL), -EAGAIN);
    gate_wait(&g[1]);
    join(t);
    assert_true(wait_count(&finalized, 3));
    (void)collect_all();
    assert_int_equal(atomic_load(&disposed), 8);
    wane_aborts(n);
    wane_stats(&s);
    for (int why = 0; why < WANE_ABORTS; why++)
        sum += n[why];
    assert_int_equal(sum, s.aborted);
}

SCENE_MAIN(GOVERNED(gen_07_frozen_heap_is_not_examined), GOVERNED(gen_07_frozen_objects_die_by_count),
           GOVERNED(gen_07_garbage_that_waits_for_the_thaw),
           GOVERNED(gen_07_queued_units_across_a_freeze), GOVERNED(gen_07_freezes_one_after_another),
           GOVERNED(gen_07_fork_while_frozen), GOVERNED(gen_09_nothing_is_lost_while_it_is_off),
           GOVERNED(gen_15_collections_are_told), GOVERNED(gen_16_aborts_have_reasons))
