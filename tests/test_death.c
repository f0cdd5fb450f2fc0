/* SPDX-License-Identifier: MIT
 *
 * test_death.c - large structures are dropped: the release returns at once, the rest follows unasked and without
 * recursion
 *
 * Each shape is dropped many times by a thread with a small stack, which then blocks outside of the runtime. What
 * is asserted of time is a median, and only in plain builds: a loaded machine may delay any single call.
 */
#include "rig.h"

#include <malloc.h>

#include <wane/wane.h>

struct link {
    wane_slot next;
};
struct branch {
    wane_slot left, right;
};
struct grain {
    uint64_t value;
};
struct wide {
    size_t    count;
    wane_slot slot[];
};

static void
wide_trace(const void *object, struct wane_visitor *visitor)
{
    const struct wide *w = object;

    wane_visit_array(visitor, w->slot, w->count);
}

WANE_TYPE(link, next);
WANE_TYPE(branch, left, right);
WANE_LEAF_TYPE(grain);
static struct wane_type wide_type = {
    .name = "wide", .size = sizeof(struct wide), .trace = wide_trace, .flags = WANE_SIZED};

static void *
made(void *object)
{
    if (!object)
        die("no memory for an object");
    return object;
}

/* ---- Shapes -------------------------------------------------------------------------------------------------- */

/* From the head on: a store of an object without content makes no candidate. */
static void *
list_from_head(long n)
{
    struct link *head = made(wane_new(&link_type)), *last = head;

    for (long i = 1; i < n; i++) {
        struct link *l = made(wane_new(&link_type));

        wane_put_private(&last->next, l);
        last = l;
    }
    return head;
}

/* From the tail on: every node is stored with content, and is a candidate. */
static void *
list_from_tail(long n)
{
    struct link *head = NULL;

    for (long i = 0; i < n; i++) {
        struct link *l = made(wane_new(&link_type));

        wane_put_private(&l->next, head);
        head = l;
    }
    return head;
}

static void
grow(struct branch *b, long n)
{
    struct branch *left = NULL, *right = NULL;
    long           half = n / 2;

    if (half)
        wane_put_private(&b->left, left = made(wane_new(&branch_type)));
    if (n - half)
        wane_put_private(&b->right, right = made(wane_new(&branch_type)));
    if (half > 1)
        grow(left, half - 1);
    if (n - half > 1)
        grow(right, n - half - 1);
}

/* A balanced tree of n nodes. */
static void *
tree(long n)
{
    struct branch *root = made(wane_new(&branch_type));

    grow(root, n - 1);
    return root;
}

/* One array that holds n - 1 others. */
static void *
array(long n)
{
    struct wide *w = made(wane_new_sized(&wide_type, sizeof *w + (size_t)(n - 1) * sizeof w->slot[0]));

    w->count = (size_t)(n - 1);
    for (long i = 0; i < n - 1; i++)
        wane_put_private(&w->slot[i], made(wane_new(&grain_type)));
    return w;
}

/* ---- Measures ------------------------------------------------------------------------------------------------ */

static uint64_t
cpu_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static uint64_t
live(void)
{
    struct wane_stats s;

    wane_stats(&s);
    return s.objects_born - s.objects_died;
}

static uint64_t
live_bytes(void)
{
    struct wane_stats s;

    wane_stats(&s);
    return s.bytes_born - s.bytes_died;
}

/* Resident bytes, after the allocator has given back what it can. */
static long
resident(void)
{
    FILE *f = fopen("/proc/self/statm", "r");
    long  pages = 0;

    if (!f || fscanf(f, "%*s %ld", &pages) != 1)
        die("no /proc/self/statm");
    fclose(f);
    return pages * sysconf(_SC_PAGESIZE);
}

/* Until all have died, with nobody's help. */
static bool
wait_for_none(void)
{
    uint64_t end = now_ms() + WATCHDOG_MS;

    while (live() || live_bytes()) {
        if (now_ms() > end)
            return false;
        nap();
    }
    return true;
}

#ifndef RIG_SLOW /* sanitizers keep memory back */
static bool
wait_resident(long most)
{
    uint64_t end = now_ms() + WATCHDOG_MS;

    while (malloc_trim(0), resident() > most) {
        if (now_ms() > end)
            return false;
        for (int i = 0; i < 100; i++)
            nap();
    }
    return true;
}
#endif

static struct {
    void *(*make)(long);
    long             size;
    uint64_t         pause; /* CPU time of the releasing call, nanoseconds: others may want the processor */
    long             full;  /* resident bytes before it */
    atomic_bool      dropped;
    struct pipe_wait wait;
} drop;

/* The one call that counts; then this thread does nothing more. */
static void *
make_and_drop(void *unused)
{
    void    *object = drop.make(drop.size);
    uint64_t before;

    (void)unused;
    drop.full = resident();
    before = cpu_ns();
    wane_release(object);
    drop.pause = cpu_ns() - before;
    atomic_store(&drop.dropped, true);
    pipe_block(&drop.wait);
    return NULL;
}

static pthread_t
spawn_small(void)
{
    pthread_attr_t attr;
    pthread_t      t;

    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, SMALL_STACK);
    if (pthread_create(&t, &attr, make_and_drop, NULL) != 0)
        die("no thread with a small stack");
    pthread_attr_destroy(&attr);
    return t;
}

/* Make, drop, wait until all is gone. Returns milliseconds from the drop to the last death. */
static uint64_t
drop_one(void *(*make)(long), long size)
{
    uint64_t  began, ended;
    pthread_t t;

    drop.make = make;
    drop.size = size;
    atomic_store(&drop.dropped, false);
    pipe_open(&drop.wait);
    t = spawn_small();
    while (!atomic_load(&drop.dropped))
        nap();
    began = now_ms();
    assert_true(wait_for_none());
    ended = now_ms();
    pipe_wake(&drop.wait);
    join(t);
    pipe_done(&drop.wait);
    return ended - began;
}

#ifdef RIG_SLOW
#define ROUNDS 3
#define MANY   30000
#define LARGE  200000
#else
#define ROUNDS 7
#define MANY   SCALED(1000000)
#define LARGE  SCALED(10000000)
#endif
#define PAUSE 50000 /* nanoseconds */

static int
compare(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return (x > y) - (x < y);
}

static void
measure(void *(*make)(long), uint64_t pause[ROUNDS])
{
    for (int i = 0; i < ROUNDS; i++) {
        (void)drop_one(make, MANY);
        pause[i] = drop.pause;
    }
    qsort(pause, ROUNDS, sizeof pause[0], compare);
}

static void
drop_many(const char *what, void *(*make)(long), long large)
{
    uint64_t pause[ROUNDS], died, freed;
    long     empty, full;

    measure(make, pause);
#ifndef RIG_SLOW
    if (pause[ROUNDS / 2] > PAUSE)
        measure(make, pause); /* something else took the processor, or it is true: once more */
#endif
    malloc_trim(0);
    empty = resident();
    died = drop_one(make, large);
    full = drop.full;
    freed = now_ms();
#ifndef RIG_SLOW
    assert_true(wait_resident(empty + (full - empty) / 4));
#endif
    freed = now_ms() - freed;
    print_message("# %s: %d drops of %ld: median %.1f us (%.1f .. %.1f)\n", what, ROUNDS, (long)MANY,
                  (double)pause[ROUNDS / 2] / 1e3, (double)pause[0] / 1e3, (double)pause[ROUNDS - 1] / 1e3);
    print_message("# %s: of %ld: %.1f us; dead after %lu ms, resident %ld MB of %ld after %lu more\n", what, large,
                  (double)drop.pause / 1e3, (unsigned long)died, resident() >> 20, full >> 20, (unsigned long)freed);
#ifndef RIG_SLOW
    assert_true(pause[ROUNDS / 2] <= PAUSE);
#endif
    (void)empty;
}

static void
list_is_dropped_at_once(void **state)
{
    (void)state;
    drop_many("list", list_from_head, LARGE);
}

/* Candidates everywhere: their memory waits for the collector, which finds them dead. */
static void
list_of_candidates_is_dropped_at_once(void **state)
{
    (void)state;
    drop_many("list of candidates", list_from_tail, LARGE);
}

static void
tree_is_dropped_at_once(void **state)
{
    (void)state;
    drop_many("tree", tree, LARGE);
}

static void
wide_array_is_dropped_at_once(void **state)
{
    (void)state;
    drop_many("wide array", array, LARGE);
}

static int
end(void **state)
{
    (void)state;
    return wane_shutdown();
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(list_is_dropped_at_once),
        cmocka_unit_test(list_of_candidates_is_dropped_at_once),
        cmocka_unit_test(tree_is_dropped_at_once),
        cmocka_unit_test(wide_array_is_dropped_at_once),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, end);
}
