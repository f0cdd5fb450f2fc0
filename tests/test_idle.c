/* SPDX-License-Identifier: MIT
 *
 * test_idle.c - owners that sleep or have ended hold up nobody: objects that strangers let go of are freed soon, unasked
 *
 * "Soon" is 50 milliseconds, of which the median of many is judged: the machine may be busy. Nobody calls the runtime
 * meanwhile, neither the sleeping owner nor the test.
 */
#include "scene.h"

#include <sys/epoll.h>

enum { ROUNDS = 21, SOON_MS = 50 };

static struct node    **objects;
static long             count;
static struct pipe_wait door;
static atomic_long      ready;

static void
make_objects(void)
{
    for (long i = 0; i < count; i++)
        objects[i] = node_new();
    atomic_fetch_add(&ready, 1);
}

/* Asleep in epoll_wait, as a server's thread is. */
static void *
owner_sleeps(void *unused)
{
    struct epoll_event e = {.events = EPOLLIN};
    int                ep = epoll_create1(EPOLL_CLOEXEC);

    (void)unused;
    if (ep < 0 || epoll_ctl(ep, EPOLL_CTL_ADD, door.fd[0], &e) != 0)
        die("no epoll");
    make_objects();
    while (epoll_wait(ep, &e, 1, -1) < 0 && errno == EINTR)
        ;
    close(ep);
    return NULL;
}

static void *
owner_ends(void *unused)
{
    (void)unused;
    make_objects();
    return NULL;
}

static int
compare(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return x < y ? -1 : x > y;
}

/* One round: the owner makes, sleeps or ends; this thread releases all, and watches. Milliseconds until all are gone. */
static uint64_t
release_and_watch(void *(*owner)(void *))
{
    pthread_t t;
    uint64_t  begin;

    atomic_store(&ready, 0);
    atomic_store(&disposed, 0);
    pipe_open(&door);
    t = spawn(owner, NULL);
    assert_true(wait_count(&ready, 1));
    if (owner == owner_ends)
        join(t);
    else
        nanosleep(&(struct timespec){0, 3000000}, NULL); /* it is asleep by now */
    for (long i = 0; i < count; i++)
        wane_release(objects[i]);
    begin = now_ms();
    assert_true(wait_count(&disposed, count));
    begin = now_ms() - begin;
    pipe_wake(&door);
    if (owner != owner_ends)
        join(t);
    pipe_done(&door);
    return begin;
}

static void
freed_soon(void *(*owner)(void *), long n, int rounds)
{
    uint64_t ms[ROUNDS];

    count = n;
    objects = calloc((size_t)n, sizeof *objects);
    assert_non_null(objects);
    for (int i = 0; i < rounds; i++)
        ms[i] = release_and_watch(owner);
    free(objects);
    qsort(ms, (size_t)rounds, sizeof ms[0], compare);
    print_message("# %ld objects: median %llu ms, most %llu ms\n", n, (unsigned long long)ms[rounds / 2],
                  (unsigned long long)ms[rounds - 1]);
#ifndef RIG_SLOW
    assert_true(ms[rounds / 2] <= SOON_MS);
#endif
}

static void
an_owner_asleep_in_epoll_wait(void **state)
{
    (void)state;
    freed_soon(owner_sleeps, 1, ROUNDS);
    freed_soon(owner_sleeps, SCALED(20000), ROUNDS);
}

static void
an_owner_that_has_ended(void **state)
{
    (void)state;
    freed_soon(owner_ends, 1, ROUNDS);
    freed_soon(owner_ends, SCALED(20000), ROUNDS);
}

/* A pool whose workers have done something once, and sleep. */
enum { POOL = 50 };

static void *
idle_worker(void *unused)
{
    (void)unused;
    wane_release(node_new());
    atomic_fetch_add(&ready, 1);
    pipe_block(&door);
    return NULL;
}

static wane_slot root;

static void
a_pool_of_idle_workers(void **state)
{
    pthread_t t[POOL];
    uint64_t  ms[ROUNDS];

    (void)state;
    atomic_store(&ready, 0);
    pipe_open(&door);
    for (int i = 0; i < POOL; i++)
        t[i] = spawn(idle_worker, NULL);
    assert_true(wait_count(&ready, POOL));
    for (int i = 0; i < ROUNDS; i++) {
        uint64_t begin;
        long     before = atomic_load(&disposed);

        wane_put(&root, node_new());
        wane_clear(&root);
        begin = now_ms();
        assert_true(wait_count(&disposed, before + 1));
        ms[i] = now_ms() - begin;
    }
    pipe_wake(&door);
    for (int i = 0; i < POOL; i++)
        join(t[i]);
    pipe_done(&door);
    qsort(ms, ROUNDS, sizeof ms[0], compare);
    print_message("# a displaced unit beside %d idle threads: median %llu ms\n", POOL, (unsigned long long)ms[ROUNDS / 2]);
#ifndef RIG_SLOW
    assert_true(ms[ROUNDS / 2] <= SOON_MS);
#endif
}

/* More threads over a lifetime than there are ids: records are used again. */
static void *
short_life(void *unused)
{
    (void)unused;
    WANE_SECTION
    wane_release(node_new());
    return NULL;
}

static void
more_threads_than_ids(void **state)
{
    struct wane_stats s;
    const long        n = SCALED(70000);

    (void)state;
    for (long i = 0; i < n; i += 2) {
        pthread_t a = spawn(short_life, NULL), b = spawn(short_life, NULL);

        join(a);
        join(b);
    }
    assert_int_equal(atomic_load(&disposed), n);
    wane_stats(&s);
    assert_true(s.records < 500);
}

/* Two hundred threads on whatever processors there are, each with objects of the others in its hands. */
enum { CROWD = 200, TURNS = 300 };
static _Atomic(struct node *) table[CROWD];

static void *
one_of_a_crowd(void *arg)
{
    uint64_t seed = (uintptr_t)arg + 1;

    for (int i = 0; i < TURNS; i++) {
        struct node *n;

        wane_enter();
        n = wane_retain(node_new());
        wane_release(n);
        n = atomic_exchange(&table[random_next(&seed) % CROWD], n);
        if (n)
            node_check(n);
        wane_release(n);
        wane_leave();
        if (i % 50 == 0)
            nap();
    }
    return NULL;
}

static void
a_crowd_of_threads(void **state)
{
    pthread_t t[CROWD];

    (void)state;
    for (int i = 0; i < CROWD; i++)
        t[i] = spawn(one_of_a_crowd, (void *)(uintptr_t)i);
    for (int i = 0; i < CROWD; i++)
        join(t[i]);
    for (int i = 0; i < CROWD; i++)
        wane_release(atomic_exchange(&table[i], NULL));
    assert_true(pump_count(&disposed, CROWD * TURNS));
    assert_int_equal(atomic_load(&disposed), CROWD * TURNS);
}

SCENE_MAIN(SCENE(an_owner_asleep_in_epoll_wait), SCENE(an_owner_that_has_ended), SCENE(a_pool_of_idle_workers),
           SCENE(more_threads_than_ids), SCENE(a_crowd_of_threads))
