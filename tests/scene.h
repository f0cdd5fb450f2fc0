/* SPDX-License-Identifier: MIT
 *
 * scene.h - what the scenario tests share: watched objects, waiting for what becomes of them, the frame of each test
 *
 * The tests see only the public interface. Oracles:
 *   canary   every node carries magic, id and ~id; dispose checks and poisons them; every borrow checks them
 *   census   dispose and finalize counters of our own, wane_stats and wane_type_stats; all must be zero after each test
 *   overlap  a racing test goes on until both outcomes were seen often enough (with a cap), never for a time
 *
 * Waiting polls a counter of the test's own under a watchdog.
 */
#ifndef SCENE_H
#define SCENE_H

#include "rig.h"

#include <wane/wane.h>

/* ---- Nodes ---------------------------------------------------------------------------------------------------- */

#define NODE_LIVE UINT64_C(0x57414e454c495645)
#define NODE_DEAD UINT64_C(0xdeaddeaddeaddead)

struct node {
    uint64_t     magic, id, check;
    atomic_long *watch;             /* counts the death of this one, or NULL */
    void (*on_final)(struct node *);
    atomic_long  finals;
    uint64_t     value;
    wane_slot    a, b, c;
};

static atomic_long     disposed;  /* nodes disposed of since the test began */
static atomic_long     finalized; /* finalizers run */
static __thread long   disposed_here;
static atomic_uint_fast64_t next_id;

static inline void
node_check(const struct node *n)
{
    if (n->magic != NODE_LIVE || n->check != ~n->id)
        die(n->magic == NODE_DEAD ? "a disposed node was seen" : "a node's canary is broken");
}

static inline void
node_dispose(void *object)
{
    struct node *n = object;

    node_check(n);
    n->magic = NODE_DEAD;
    disposed_here++;
    atomic_fetch_add(&disposed, 1);
    if (n->watch)
        atomic_fetch_add(n->watch, 1);
}

static inline void
node_finalize(void *object)
{
    struct node *n = object;

    node_check(n);
    if (atomic_fetch_add(&n->finals, 1) != 0)
        die("a finalizer ran twice");
    if (n->on_final)
        n->on_final(n);
    atomic_fetch_add(&finalized, 1);
}

static const uint32_t node_slots[] = {offsetof(struct node, a), offsetof(struct node, b), offsetof(struct node, c)};

static struct wane_type node_type = {
    .name = "node", .size = sizeof(struct node), .slots = node_slots, .slot_count = 3, .dispose = node_dispose};
static struct wane_type acyclic_type = {.name = "acyclic",
                                        .size = sizeof(struct node),
                                        .slots = node_slots,
                                        .slot_count = 3,
                                        .dispose = node_dispose,
                                        .flags = WANE_ACYCLIC};
static struct wane_type final_type = {.name = "final",
                                      .size = sizeof(struct node),
                                      .slots = node_slots,
                                      .slot_count = 3,
                                      .dispose = node_dispose,
                                      .finalize = node_finalize};
static struct wane_type leaf_type = {.name = "leaf", .size = sizeof(struct node), .dispose = node_dispose};

static inline struct node *
node_of(struct wane_type *type)
{
    struct node *n = wane_new(type);

    if (!n)
        die("no memory for a node");
    n->magic = NODE_LIVE;
    n->id = atomic_fetch_add(&next_id, 1);
    n->check = ~n->id;
    return n;
}

static inline struct node *
node_new(void)
{
    return node_of(&node_type);
}

static inline struct node *
acyclic_new(void)
{
    return node_of(&acyclic_type);
}

static inline struct node *
leaf_new(void)
{
    return node_of(&leaf_type);
}

static inline struct node *
final_new(void (*on_final)(struct node *))
{
    struct node *n = node_of(&final_type);

    n->on_final = on_final;
    return n;
}

/* n nodes in a ring by slot a, with nothing else holding them but the caller's unit of the first (and watch
 * counts them). */
static inline struct node *
ring_of(struct wane_type *type, long n, atomic_long *watch)
{
    struct node *first = node_of(type);
    struct node *last = first;

    first->watch = watch;
    for (long i = 1; i < n; i++) {
        struct node *next = node_of(type);

        next->watch = watch;
        wane_put(&last->a, next);
        last = next; /* held by its predecessor */
    }
    wane_set(&last->a, first);
    return first;
}

/* A node with as many slots as wanted, shown by a trace callback. */
struct wide {
    struct node n;
    size_t      count;
    wane_slot   slot[];
};

static inline void
wide_trace(const void *object, struct wane_visitor *visitor)
{
    const struct wide *w = object;

    wane_visit_array(visitor, w->slot, w->count);
}

static struct wane_type wide_type = {.name = "wide",
                                     .size = sizeof(struct wide),
                                     .trace = wide_trace,
                                     .dispose = node_dispose,
                                     .flags = WANE_SIZED};

static inline struct wide *
wide_new(size_t count)
{
    struct wide *w = wane_new_sized(&wide_type, sizeof *w + count * sizeof w->slot[0]);

    if (!w)
        die("no memory for a wide node");
    w->n.magic = NODE_LIVE;
    w->n.id = atomic_fetch_add(&next_id, 1);
    w->n.check = ~w->n.id;
    w->count = count;
    return w;
}

/* ---- Waiting -------------------------------------------------------------------------------------------------- */

/* How long to wait for what must happen. A hunt for mutants is less patient: most are found by what does not happen. */
static inline uint64_t
patience_ms(void)
{
    const char *set = getenv("WANE_TEST_PATIENCE");

    return set ? strtoull(set, NULL, 10) : WATCHDOG_MS;
}

/* Wait until the counter is at least n, calling nothing of the runtime. False: the watchdog gave up. */
static inline bool
wait_count(atomic_long *counter, long n)
{
    uint64_t end = now_ms() + patience_ms();

    while (atomic_load(counter) < n) {
        if (now_ms() > end)
            return false;
        nap();
    }
    return true;
}

/* The same, running finalizers and collections meanwhile. */
static inline bool
pump_count(atomic_long *counter, long n)
{
    uint64_t end = now_ms() + patience_ms();

    while (atomic_load(counter) < n) {
        if (now_ms() > end)
            return false;
        (void)wane_run_finalizers();
        (void)wane_barrier();
        (void)wane_collect(WANE_ALL, NULL);
    }
    return true;
}

static inline uint64_t
stat_live(void)
{
    struct wane_stats s;

    wane_stats(&s);
    return s.objects_born - s.objects_died;
}

/* Everything is settled: objects alive are n. */
static inline bool
wait_live(uint64_t n)
{
    uint64_t end = now_ms() + patience_ms();

    while (stat_live() != n) {
        if (now_ms() > end)
            return false;
        (void)wane_run_finalizers();
        (void)wane_barrier();
        (void)wane_collect(WANE_ALL, NULL);
    }
    return true;
}

/* Does the caller come to hold the only unit? (A thread whose record is being acted for may hear no for an instant.) */
static inline bool
becomes_unique(const void *object)
{
    for (int i = 0; i < 10000; i++) {
        if (wane_is_unique(object))
            return true;
        nap();
    }
    return false;
}

struct census {
    const char *name;
    int64_t     objects, bytes;
};

static inline void
census_fn(const char *name, int64_t objects, int64_t bytes, void *arg)
{
    struct census *c = arg;

    if (strcmp(name, c->name) != 0)
        return;
    c->objects += objects;
    c->bytes += bytes;
}

static inline int64_t
live_of(const char *name)
{
    struct census c = {name, 0, 0};

    wane_type_stats(census_fn, &c);
    return c.objects;
}

/* On a busy machine a collection may run out of time, and says so: once more. What they all did; the last one's result. */
static inline int
collect_patiently(int generation, struct wane_collected *sum)
{
    uint64_t              end = now_ms() + WATCHDOG_MS;
    struct wane_collected one;
    int                   rc;

    if (sum)
        *sum = (struct wane_collected){0};
    do {
        rc = wane_collect(generation, &one);
        if (!sum || (rc != 0 && rc != -EAGAIN))
            continue;
        sum->candidates += one.candidates;
        sum->examined += one.examined;
        sum->suspects += one.suspects;
        sum->freed += one.freed;
        sum->components += one.components;
        sum->finalized += one.finalized;
        sum->aborted += one.aborted;
        sum->nanoseconds += one.nanoseconds;
    } while (rc == -EAGAIN && now_ms() < end);
    return rc;
}

/* Apply what is displaced, then collect everything. */
static inline struct wane_collected
collect_now(void)
{
    struct wane_collected c = {0};

    assert_int_equal(wane_barrier(), 0);
    assert_int_equal(collect_patiently(WANE_ALL, &c), 0);
    assert_int_equal(wane_barrier(), 0);
    return c;
}

/* Collect; then exactly n nodes have been disposed of since the test began. */
static inline void
expect_disposed(long n)
{
    collect_now();
    assert_true(wait_count(&disposed, n));
    assert_int_equal(atomic_load(&disposed), n);
}

static inline uint64_t
stat_examined(void)
{
    struct wane_stats s;

    wane_stats(&s);
    return s.examined;
}

/* ---- Around each test ----------------------------------------------------------------------------------------- */

static inline int
scene_begin(void **state)
{
    (void)state;
    atomic_store(&disposed, 0);
    atomic_store(&finalized, 0);
    atomic_store(&expect_failures, 0);
    return 0;
}

static inline void
scene_leak(const char *name, int64_t objects, int64_t bytes, void *arg)
{
    (void)arg;
    if (objects)
        fprintf(stderr, "still alive: %s: %lld objects, %lld bytes\n", name, (long long)objects, (long long)bytes);
}

/* Nothing may be left over from any test. */
static inline int
scene_end(void **state)
{
    (void)state;
    if (atomic_load(&expect_failures))
        return -1;
    if (wait_live(0))
        return 0;
    wane_type_stats(scene_leak, NULL);
    return -1;
}

static inline int
scene_shutdown(void **state)
{
    (void)state;
    return wane_shutdown() == 0 ? 0 : -1;
}

#define SCENE(f) cmocka_unit_test_setup_teardown(f, scene_begin, scene_end)

#define SCENE_MAIN(...)                                                            \
    int main(void)                                                                 \
    {                                                                              \
        const struct CMUnitTest tests[] = {__VA_ARGS__};                           \
                                                                                   \
        cmocka_set_message_output(CM_OUTPUT_TAP);                                  \
        return cmocka_run_group_tests(tests, NULL, scene_shutdown);                \
    }

#endif
