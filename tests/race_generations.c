/* SPDX-License-Identifier: MIT
 *
 * race_generations.c - ages, waiting lists and the purge, with no background: only the test collects
 *
 * Ages are read from the headers. Work is measured by what wane_collect reports, so nothing here depends on time.
 */
#include "race_common.h"

#include <stdio.h>
#include <stdlib.h>

#include <wane/memory.h>

#include "collect.h"
#include "pace.h"

#ifdef RACE_SLOW
#define SCALED(n) ((n) / 10)
#else
#define SCALED(n) (n)
#endif

static struct actor m1;
static int          dead; /* disposes in this test */

static int
setup(void **state)
{
    (void)state;
    dead = 0;
    schedule_begin();
    actor_start(&m1);
    return 0;
}

static int
teardown(void **state)
{
    (void)state;
    off_steps();
    actor_stop(&m1);
    return wane_shutdown();
}

/* ---- Tools -------------------------------------------------------------------------------------------------------- */

static struct wane_collected
collect_generation(int generation)
{
    struct wane_collected c;

    assert_int_equal(wane_collect(generation, &c), 0);
    return c;
}

static size_t
freed_by(int generation)
{
    return collect_generation(generation).freed;
}

static unsigned
age_of(const struct node *n)
{
    return wn_age(load_relaxed(&WANE_HEADER(n)->word1));
}

/* The owner's retain and release: a candidate, if it is none already. */
static void
touch(struct node *n)
{
    wane_enter();
    wane_retain(n);
    wane_release(n);
    wane_leave();
}

/* n nodes in a chain by slot 0. The caller holds the first, the chain the others. */
static struct node *
chain(int n, struct node **last)
{
    struct node *first = node_new(&dead);

    *last = first;
    for (int i = 1; i < n; i++) {
        struct node *next = node_new(&dead);

        wane_put(&(*last)->s[0], next);
        *last = next;
    }
    return first;
}

static struct node *
ring(int n)
{
    struct node *last;
    struct node *first = chain(n, &last);

    wane_set(&last->s[0], first);
    return first;
}

static struct node *
next_of(struct node *n)
{
    struct node *next;

    WANE_SECTION {
        next = wane_peek(&n->s[0]);
    }
    return next;
}

static void
assert_ages(struct node *first, int n, unsigned age)
{
    for (int i = 0; i < n; i++, first = next_of(first)) {
        assert_true(first->canary == CANARY);
        assert_int_equal(age_of(first), age);
    }
}

/* What hangs on the object survives two collections; then it is nobody's candidate any more. */
static void
make_old(struct node *n)
{
    for (int g = 0; g < WANE_ALL; g++) {
        touch(n);
        assert_int_equal(freed_by(g), 0);
    }
    assert_int_equal(age_of(n), 2);
    assert_int_equal(freed_by(WANE_ALL), 0);
    assert_int_equal(collect_generation(WANE_ALL).examined, 0);
}

/* ---- Ages --------------------------------------------------------------------------------------------------------- */

/* A collection that meets an object makes it one age older, once; one that does not leaves it alone. */
static void
gen_02_promoted_once_by_each_collection(void **state)
{
    struct node *r = ring(3);

    (void)state;
    touch(r);
    assert_ages(r, 3, 0);
    assert_int_equal(collect_generation(0).examined, 3);
    assert_ages(r, 3, 1);
    touch(r);
    assert_int_equal(collect_generation(0).examined, 0); /* it is too old for this one by now */
    assert_ages(r, 3, 1);
    assert_int_equal(collect_generation(1).examined, 3);
    assert_ages(r, 3, 2);
    assert_int_equal(collect_generation(1).examined, 0);
    assert_int_equal(collect_generation(WANE_ALL).examined, 3);
    assert_ages(r, 3, 2);
    wane_release(r);
    assert_int_equal(freed_by(WANE_ALL), 3);
}

/* A ring that has survived n collections is found by generation n, and by no younger one; a fresh one by each. */
static void
gen_02_found_by_its_generation(void **state)
{
    (void)state;
    for (int survived = 0; survived <= WANE_ALL; survived++) {
        struct node *r = ring(3);

        for (int g = 0; g < survived; g++) {
            touch(r);
            assert_int_equal(freed_by(g), 0);
        }
        assert_ages(r, 3, (unsigned)survived);
        wane_release(r);
        for (int g = 0; g < survived; g++)
            assert_int_equal(freed_by(g), 0);
        assert_int_equal(ended(&dead), 3 * survived);
        assert_int_equal(freed_by(survived), 3);
    }
    for (int g = 0; g <= WANE_ALL; g++) {
        wane_release(ring(5));
        assert_int_equal(freed_by(g), 5);
    }
}

/* ---- Between the ages --------------------------------------------------------------------------------------------- */

/* A ring of `old` old nodes and `young` new ones; the caller holds both halves by a unit each. */
static void
two_halves(int old, int young, struct node **old_first, struct node **young_first)
{
    struct node *old_last, *young_last;

    *old_first = chain(old, &old_last);
    make_old(*old_first);
    *young_first = chain(young, &young_last);
    wane_set(&old_last->s[0], *young_first);
    wane_set(&young_last->s[0], *old_first);
}

static void
walk_from(void *weak, int n)
{
    struct node *first = wane_weak_get(weak);
    struct node *at = first;

    assert_non_null(first);
    for (int i = 0; i < n; i++, at = next_of(at))
        assert_true(at->canary == CANARY);
    assert_ptr_equal(at, first);
    wane_release(first);
}

/* The last unit from outside is that of a young node: only its entry leads to the ring. */
static void
spanning_dropped_at_the_young(int old, int young)
{
    int          before = ended(&dead);
    struct node *o, *y;
    void        *weak;

    two_halves(old, young, &o, &y);
    weak = wane_weak(y);
    wane_release(o);
    assert_int_equal(freed_by(WANE_ALL), 0); /* the old node's entry is used up */
    walk_from(weak, old + young);
    wane_release(y);
    for (int g = 0; g < WANE_ALL; g++)
        assert_int_equal(freed_by(g), 0);
    assert_int_equal(ended(&dead), before);
    assert_int_equal(freed_by(WANE_ALL), old + young);
    assert_null(wane_weak_get(weak));
    wane_release(weak);
}

static void
spanning_dropped_at_the_old(int old, int young, bool look)
{
    int          before = ended(&dead);
    struct node *o, *y;
    void        *weak;

    two_halves(old, young, &o, &y);
    weak = wane_weak(o);
    wane_release(y);
    wane_release(o);
    for (int g = 0; g < WANE_ALL; g++) {
        assert_int_equal(freed_by(g), 0);
        if (look)
            walk_from(weak, old + young);
    }
    assert_int_equal(ended(&dead), before);
    assert_int_equal(freed_by(WANE_ALL), old + young);
    assert_null(wane_weak_get(weak));
    wane_release(weak);
}

/* Rings of old and new nodes, in all proportions: young collections leave them whole, the oldest frees them. */
static void
gen_03_ring_of_old_and_young(void **state)
{
    (void)state;
    for (int old = 1; old <= 4; old++)
        for (int young = 1; young <= 4; young++) {
            spanning_dropped_at_the_young(old, young);
            spanning_dropped_at_the_old(old, young, false);
            spanning_dropped_at_the_old(old, young, true);
        }
}

/* The only entry that leads to a ring is a young one, and it is met by a young collection first: it is not forgotten. */
static void
gen_03_young_entry_of_an_old_ring(void **state)
{
    struct node *o, *y;

    (void)state;
    two_halves(3, 1, &o, &y);
    touch(y);
    wane_release(o);
    assert_int_equal(freed_by(1), 0);
    assert_int_equal(freed_by(WANE_ALL), 0);
    wane_release(y);
    assert_int_equal(freed_by(0), 0);
    assert_int_equal(freed_by(1), 0);
    assert_int_equal(freed_by(WANE_ALL), 4);
}

/* An old ring hangs from a young one, both dead: the young collection frees the young ring, whose end is the event of the old. */
static void
gen_04_old_ring_behind_a_young_one(void **state)
{
    struct node *o = ring(4);
    struct node *y = ring(3);

    (void)state;
    make_old(o);
    wane_put(&y->s[1], o);
    assert_int_equal(freed_by(WANE_ALL), 0); /* the store made an entry: it is used up */
    y = (touch(y), y);
    wane_release(y);
    assert_int_equal(freed_by(0) + freed_by(1), 3);
    assert_int_equal(ended(&dead), 3);
    assert_int_equal(freed_by(WANE_ALL), 4);
}

/* The other way about: a young ring that only an old dead one holds is kept until that goes. */
static void
gen_04_young_ring_behind_an_old_one(void **state)
{
    struct node *o = ring(4);
    struct node *y = ring(3);

    (void)state;
    make_old(o);
    wane_put(&o->s[1], y);
    wane_release(o);
    assert_int_equal(freed_by(0), 0);
    assert_int_equal(freed_by(1), 0);
    assert_int_equal(freed_by(WANE_ALL), 7);
}

/* ---- An event in the middle ---------------------------------------------------------------------------------------- */

static struct node *to_drop;

static void
drop_it(void *unused)
{
    (void)unused;
    wane_release(to_drop);
}

static void
m1_drops_it(void *unused)
{
    (void)unused;
    act(&m1, drop_it, NULL);
}

/* A ring of age `generation` loses its last unit from outside at `point` of a collection of its generation. */
static void
noted_at(const char *point, int generation, int size)
{
    int before = ended(&dead);
    int next = generation < WANE_ALL ? generation + 1 : generation;

    to_drop = ring(size);
    for (int g = 0; g < generation; g++) {
        touch(to_drop);
        assert_int_equal(freed_by(g), 0);
    }
    touch(to_drop);
    on_step(point, m1_drops_it, NULL);
    (void)freed_by(generation);
    assert_true(steps_seen(point) > 0);
    off_steps();
    (void)freed_by(next);
    assert_int_equal(ended(&dead), before + size);
    assert_int_equal(collect_generation(WANE_ALL).candidates, 0);
}

/* At each point of the collection: the ring is gone after this one or the next older one, once, and leaves no entry. */
static void
gen_06_noted_while_collected(void **state)
{
    static const char *const points[] = {"collect:begin", "collect:handed-over", "collect:grace", "suspect:begin",
                                         "suspect:slot-read", "suspect:end", "collect:settled"};

    (void)state;
    for (unsigned i = 0; i < sizeof points / sizeof points[0]; i++)
        for (int g = 0; g <= WANE_ALL; g++)
            noted_at(points[i], g, 3);
    for (int g = 0; g <= WANE_ALL; g++)
        noted_at("suspect:visited", g, 1000);
}

/* ---- Dead on a waiting list ---------------------------------------------------------------------------------------- */

static uint64_t
waiting(void)
{
    uint64_t n = 0;

    for (int age = 0; age <= WANE_ALL; age++)
        n += load_relaxed(&wn_waiting_count[age]);
    return n;
}

static void
purge(void)
{
    wn_driver_begin();
    wn_pace_purge();
    wn_driver_end();
}

/* n old candidates, all on the oldest list. */
static struct node **
old_candidates(int n)
{
    struct node **held = malloc((size_t)n * sizeof *held);

    assert_non_null(held);
    for (int i = 0; i < n; i++)
        held[i] = node_new(&dead);
    for (int g = 0; g <= WANE_ALL; g++) {
        for (int i = 0; i < n; i++)
            touch(held[i]);
        assert_int_equal(freed_by(g < WANE_ALL ? g : 0), 0);
    }
    assert_int_equal(age_of(held[n - 1]), 2);
    assert_int_equal(load_relaxed(&wn_waiting_count[2]), n);
    return held;
}

/* Candidates too old for the young collections die by count: their memory comes back with no old collection. */
static void
gen_10_dead_on_a_waiting_list(void **state)
{
    enum { ALL = 20000, LIVE = 5000 };
    struct node **held = old_candidates(ALL);
    size_t        before;

    (void)state;
    purge();
    assert_int_equal(waiting(), ALL); /* none has died */
    for (int i = LIVE; i < ALL; i++)
        wane_release(held[i]);
    assert_int_equal(ended(&dead), ALL - LIVE);
    before = wane_budget_used();
    purge();
    assert_int_equal(waiting(), LIVE);
    assert_int_equal(before - wane_budget_used(), (ALL - LIVE) * (sizeof(struct node) + sizeof(struct wane_header)));
    for (int i = 0; i < LIVE; i++) {
        assert_true(held[i]->canary == CANARY);
        assert_int_equal(age_of(held[i]), 2);
        wane_release(held[i]);
    }
    assert_int_equal(collect_generation(WANE_ALL).examined, 0);
    assert_int_equal(waiting(), 0);
    free(held);
}

/* ---- Work --------------------------------------------------------------------------------------------------------- */

#define HEAP SCALED(100000)

static unsigned
random_below(unsigned n)
{
    static uint64_t x = 88172645463325252;

    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    return (unsigned)(x % n);
}

/* Rings of 2 to 10, each holding one of `heap` (or nothing), are dropped in rounds. Visited per freed? */
static double
work_of_rings(struct node **heap, long rings)
{
    size_t examined = 0, freed = 0;
    int    before = ended(&dead), made = 0;

    assert_int_equal(freed_by(WANE_ALL), 0);
    assert_int_equal(freed_by(WANE_ALL), 0);
    for (long i = 1; i <= rings; i++) {
        int          n = 2 + (int)(i % 9);
        struct node *r = ring(n);

        if (heap)
            wane_set(&r->s[1], heap[random_below(HEAP)]);
        wane_release(r);
        made += n;
        if (i % SCALED(1000) == 0) {
            struct wane_collected c = collect_generation(0);

            examined += c.examined;
            freed += c.freed;
        }
    }
    assert_int_equal(ended(&dead) - before, freed);
    assert_true(freed >= (size_t)made * 4 / 5);
    (void)freed_by(WANE_ALL); /* rings at which a young collection ended, because it had seen enough of the heap */
    assert_int_equal(ended(&dead) - before, made);
    return (double)examined / (double)freed;
}

static void
release_heap(struct node **heap)
{
    for (int i = 0; i < HEAP; i++)
        wane_release(heap[i]);
    free(heap);
    while (freed_by(WANE_ALL))
        ;
    assert_int_equal(waiting(), 0);
}

/* Each node holds two others, random ones if `graph`, else its successor twice. */
static struct node **
live_heap(bool graph)
{
    struct node **heap = malloc(HEAP * sizeof *heap);

    assert_non_null(heap);
    for (int i = 0; i < HEAP; i++)
        heap[i] = node_new(&dead);
    for (int i = 0; i < HEAP; i++) {
        if (graph || i + 1 < HEAP)
            wane_set(&heap[i]->s[0], heap[graph ? random_below(HEAP) : (unsigned)i + 1]);
        if (graph)
            wane_set(&heap[i]->s[1], heap[random_below(HEAP)]);
    }
    return heap;
}

/* Garbage that holds live data costs a bounded number of visits for each object freed, however large the live data. */
static void
gen_11_work_is_bounded_by_garbage(void **state)
{
    struct node **heap;
    double        alone, graph, list;

    (void)state;
    alone = work_of_rings(NULL, SCALED(20000));
    heap = live_heap(true);
    graph = work_of_rings(heap, SCALED(20000));
    release_heap(heap);
    heap = live_heap(false);
    list = work_of_rings(heap, SCALED(20000));
    release_heap(heap);
    print_message("# visited per freed: alone %.2f, into a graph %.2f, into a list %.2f\n", alone, graph, list);
    assert_true(alone <= 4 && graph <= 4 && list <= 4);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(gen_02_promoted_once_by_each_collection),
        TEST(gen_02_found_by_its_generation),
        TEST(gen_03_ring_of_old_and_young),
        TEST(gen_03_young_entry_of_an_old_ring),
        TEST(gen_04_old_ring_behind_a_young_one),
        TEST(gen_04_young_ring_behind_an_old_one),
        TEST(gen_06_noted_while_collected),
        TEST(gen_10_dead_on_a_waiting_list),
        TEST(gen_11_work_is_bounded_by_garbage),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
