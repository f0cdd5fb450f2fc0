/* SPDX-License-Identifier: MIT
 *
 * test_life.c - scenarios of life and its end (LIFE): threads that end, shutdown, and use after it
 */
#include "scene.h"

#include <dirent.h>
#include <limits.h>

static wane_slot root;

/* ---- Threads that end ----------------------------------------------------------------------------------------- */

static struct {
    struct node *owned[10]; /* biased to the thread that ends, held by the test */
    void        *weak;
    struct gate  gate;
} leaver;

static void *
release_owned(void *unused)
{
    (void)unused;
    gate_wait(&leaver.gate);
    for (int i = 0; i < 5; i++)
        wane_release(leaver.owned[i]);
    return NULL;
}

static void *
leave_all_behind(void *unused)
{
    struct node *o = node_new();
    pthread_t    t;

    (void)unused;
    for (int i = 0; i < 10; i++)
        leaver.owned[i] = node_new();
    wane_put(&root, node_new()); /* a log that is not empty */
    wane_clear(&root);
    leaver.weak = wane_weak(o); /* an open weak reference */
    wane_release(ring_of(&node_type, 3, NULL)); /* a candidate of its own */
    leaver.gate.count = 2;
    t = spawn(release_owned, NULL);
    wane_enter();
    gate_wait(&leaver.gate);
    sched_yield(); /* units arrive in the queue while this thread ends */
    wane_leave();
    wane_release(o);
    pthread_detach(t);
    return NULL;
}

/* A thread ends with a log, owned objects, queued units, an open weak reference and a candidate: nothing is lost. */
static void
life_01_exit_with_everything_open(void **state)
{
    (void)state;
    for (long i = 1; i <= SCALED(200); i++) {
        atomic_store(&disposed, 0);
        join(spawn(leave_all_behind, NULL));
        for (int k = 5; k < 10; k++)
            wane_release(leaver.owned[k]);
        assert_true(pump_count(&disposed, 15)); /* 10 owned, 1 in the log, 1 weakly held, 3 in the ring */
        assert_int_equal(atomic_load(&disposed), 15);
        assert_null(wane_weak_get(leaver.weak));
        wane_release(leaver.weak);
    }
}

#ifdef RIG_TSAN
#define LATE_ROUNDS (PTHREAD_DESTRUCTOR_ITERATIONS - 1) /* in the last round its own state of the thread is gone */
#else
#define LATE_ROUNDS PTHREAD_DESTRUCTOR_ITERATIONS
#endif

static pthread_key_t late_key;
static atomic_long   late_rounds;

static void
late_destructor(void *arg)
{
    struct node *kept = arg;
    struct node *n;

    if (kept->value-- > 0) { /* once more: in the last round every other destructor has run */
        pthread_setspecific(late_key, kept);
        return;
    }
    atomic_fetch_add(&late_rounds, 1);
    n = node_new();
    wane_set(&n->a, n);
    wane_set(&kept->a, n);
    wane_release(n);
    WANE_SECTION
        node_check(wane_peek(&kept->a));
    wane_put(&root, wane_retain(kept));
    wane_release(wane_weak(kept));
    wane_release(kept);
    wane_clear(&root);
}

static void *
end_with_a_late_destructor(void *rounds)
{
    struct node *kept = node_new();

    kept->value = (uintptr_t)rounds;
    pthread_setspecific(late_key, kept);
    return NULL;
}

/* A thread-specific destructor makes, stores and releases objects after the runtime's own destructor has run. */
static void
life_02_destructor_after_the_runtimes(void **state)
{
    (void)state;
    atomic_store(&late_rounds, 0);
    assert_int_equal(pthread_key_create(&late_key, late_destructor), 0);
    for (uintptr_t i = 0; i < 60; i++)
        join(spawn(end_with_a_late_destructor, (void *)(i % LATE_ROUNDS)));
    assert_int_equal(atomic_load(&late_rounds), 60);
    assert_true(pump_count(&disposed, 120));
    assert_int_equal(atomic_load(&disposed), 120);
    pthread_key_delete(late_key);
}

static void *
short_life(void *unused)
{
    (void)unused;
    wane_release(ring_of(&node_type, 2, NULL));
    wane_put(&root, node_new());
    return NULL;
}

/* Ten thousand short threads, each leaving a ring and a displaced unit: collected meanwhile, and records are
 * used again. */
static void
life_03_many_short_threads(void **state)
{
    long              n = SCALED(10000);
    struct wane_stats before, after;

    (void)state;
    wane_stats(&before);
    for (long i = 0; i < n; i += 4) {
        pthread_t t[4];

        for (int k = 0; k < 4; k++)
            t[k] = spawn(short_life, NULL);
        for (int k = 0; k < 4; k++)
            join(t[k]);
    }
    wane_clear(&root);
    assert_true(pump_count(&disposed, n * 3));
    assert_int_equal(atomic_load(&disposed), n * 3);
    wane_stats(&after);
    assert_true(after.records - before.records <= 64);
}

static void *
own_a_ring(void *unused)
{
    (void)unused;
    return ring_of(&node_type, 3, NULL);
}

/* The owner of a ring has ended before the ring is dropped: the collection frees it. */
static void
life_05_owner_of_a_ring_ended(void **state)
{
    (void)state;
    for (int i = 1; i <= 20; i++) {
        pthread_t t = spawn(own_a_ring, NULL);
        void     *first;

        pthread_join(t, &first);
        expect_disposed(3L * (i - 1));
        wane_release(first);
        expect_disposed(3L * i);
    }
}

static void *
drop_and_collect(void *failures)
{
    atomic_long watch = 0;

    for (int i = 1; i <= 20; i++) {
        wane_release(ring_of(&node_type, 3, &watch));
        if (wane_collect(WANE_ALL, NULL) != 0 || atomic_load(&watch) != 3 * i)
            atomic_fetch_add((atomic_long *)failures, 1);
        if (!wait_count(&watch, 3 * i))
            die("a ring was lost");
    }
    return NULL;
}

/* Several threads drop a ring and collect, at the same time: when the call returns, the caller's ring is gone. */
static void
life_18_concurrent_collections(void **state)
{
    atomic_long failures = 0;
    pthread_t   t[4];

    (void)state;
    for (int i = 0; i < 4; i++)
        t[i] = spawn(drop_and_collect, &failures);
    for (int i = 0; i < 4; i++)
        join(t[i]);
    assert_int_equal(atomic_load(&failures), 0);
    assert_int_equal(atomic_load(&disposed), 4 * 20 * 3);
}

/* ---- Shutdown ------------------------------------------------------------------------------------------------- */

static int
shutdown_with_finalizers(void *unused)
{
    struct node *n = final_new(NULL);

    (void)unused;
    wane_put(&root, final_new(NULL)); /* live in a root of the program's own */
    wane_set(&n->a, n);
    wane_release(n);
    CHILD_CHECK(wane_shutdown() == 1); /* what the root holds is left */
    CHILD_CHECK(atomic_load(&finalized) >= 1);
    wane_clear(&root);
    CHILD_CHECK(wane_shutdown() == 0);
    CHILD_CHECK(atomic_load(&finalized) == 2);
    CHILD_CHECK(atomic_load(&disposed) == 2);
    return 0;
}

static void
resurrect(struct node *n)
{
    wane_set(&root, n);
}

static int
shutdown_with_resurrection(void *unused)
{
    struct node *n = final_new(resurrect);

    (void)unused;
    wane_set(&n->a, n);
    wane_release(n);
    CHILD_CHECK(wane_shutdown() == 1); /* reported, not waited for */
    CHILD_CHECK(atomic_load(&disposed) == 0);
    wane_clear(&root);
    CHILD_CHECK(wane_shutdown() == 0);
    CHILD_CHECK(atomic_load(&disposed) == 1);
    return 0;
}

/* Shutdown runs the finalizers of garbage rings; what a root holds, or a finalizer resurrects, is reported, and
 * can be given up later: each finalizer runs once. */
static void
life_10_shutdown_finalizes(void **state)
{
    struct child c;

    (void)state;
    skip_where_children_have_no_threads();
    c = run_child(shutdown_with_finalizers, NULL);
    assert_child_ok(&c);
    c = run_child(shutdown_with_resurrection, NULL);
    assert_child_ok(&c);
    assert_non_null(strstr(c.err, "final"));
}

static int
leak_two(void *unused)
{
    struct node *n = node_new();

    (void)unused;
    wane_put(&root, leaf_new());
    CHILD_CHECK(wane_shutdown() == 2);
    node_check(n);
    wane_release(n); /* late, and fine */
    wane_clear(&root);
    CHILD_CHECK(wane_shutdown() == 0);
    return 0;
}

/* A leak makes shutdown return how many are left and name their types; a release after it still counts. */
static void
life_11_leak_report_and_late_release(void **state)
{
    struct child c;

    (void)state;
    skip_where_children_have_no_threads();
    c = run_child(leak_two, NULL);
    assert_child_ok(&c);
    assert_non_null(strstr(c.err, "node"));
    assert_non_null(strstr(c.err, "leaf"));
}

static int
count_threads(void)
{
    DIR           *d = opendir("/proc/self/task");
    struct dirent *e;
    int            n = 0;

    while (d && (e = readdir(d)))
        n += e->d_name[0] != '.';
    if (d)
        closedir(d);
    return n;
}

static int
shutdown_and_again(void *unused)
{
    int before = count_threads();

    (void)unused;
    for (int i = 1; i <= 10; i++) {
        wane_put(&root, ring_of(&node_type, 3, NULL));
        wane_clear(&root);
        wane_release(final_new(NULL));
        join(spawn(short_life, NULL));
        CHILD_CHECK(i % 2 || wait_count(&disposed, 7L * i - 1)); /* all but what short_life left in root */
        wane_clear(&root);
        CHILD_CHECK(wane_shutdown() == 0);
        CHILD_CHECK(atomic_load(&disposed) == 7L * i);
        CHILD_CHECK(atomic_load(&finalized) == i);
        for (int k = 0; k < 1000 && count_threads() > before; k++)
            nap();
        CHILD_CHECK(count_threads() <= before);
    }
    return 0;
}

/* Use, shutdown, use, shutdown: ten times, and the library's threads end each time. */
static void
life_13_shutdown_and_use_again(void **state)
{
    struct child c;

    (void)state;
    skip_where_children_have_no_threads();
    c = run_child(shutdown_and_again, NULL);
    assert_child_ok(&c);
    assert_int_equal(wane_shutdown(), 0);
    wane_release(ring_of(&node_type, 2, NULL));
    expect_disposed(2);
}

static int exit_status_fd;

static void
release_at_exit(void)
{
    long before = atomic_load(&disposed);
    char ok;

    wane_clear(&root);
    wane_release(ring_of(&node_type, 2, NULL));
    ok = wane_barrier() == 0 && collect_patiently(WANE_ALL, NULL) == 0 && atomic_load(&disposed) == before + 3;
    if (write(exit_status_fd, &ok, 1) != 1)
        die("write failed");
}

static int
exit_with_handlers(void *unused)
{
    (void)unused;
    atexit(release_at_exit);
    wane_put(&root, node_new());
    fclose(stdout);
    exit(0);
}

/* An exit handler of the program uses the runtime: whatever the library does at exit comes to no harm. */
static void
life_17_used_by_an_exit_handler(void **state)
{
    struct child c;
    char         ok = 0;
    int          fd[2];

    (void)state;
    skip_where_children_have_no_threads();
    assert_int_equal(pipe(fd), 0);
    exit_status_fd = fd[1];
    c = run_child(exit_with_handlers, NULL);
    assert_child_ok(&c);
    assert_int_equal(read(fd[0], &ok, 1), 1);
    assert_int_equal(ok, 1);
    close(fd[0]);
    close(fd[1]);
}

static void *
work_for_ever(void *unused)
{
    (void)unused;
    for (;;) {
        wane_put(&root, ring_of(&node_type, 3, NULL));
        WANE_SECTION {
            void *n = wane_retain(wane_peek(&root));
            void *weak = n ? wane_weak(n) : NULL;

            wane_release(wane_weak_get(weak));
            wane_release(weak);
            wane_release(n);
        }
        wane_release(final_new(NULL));
    }
    return NULL;
}

#ifdef RIG_ASAN
static bool threads_run; /* the leak checker cannot stop them all, and takes what they have in hand for leaks */

int __lsan_is_turned_off(void);

int
__lsan_is_turned_off(void)
{
    return threads_run;
}
#endif

static int
exit_beside_threads(void *unused)
{
    (void)unused;
#ifdef RIG_ASAN
    threads_run = true;
#endif
    for (int i = 0; i < 4; i++)
        (void)spawn(work_for_ever, NULL);
    while (atomic_load(&disposed) < 1000)
        sched_yield();
    fclose(stdout);
    exit(0);
}

/* exit returns to the system while threads are in every state: it neither hangs nor crashes. */
static void
life_17_exit_while_threads_run(void **state)
{
    (void)state;
    skip_where_children_have_no_threads();
    for (int i = 0; i < 10; i++) {
        struct child c = run_child(exit_beside_threads, NULL);

        assert_child_ok(&c);
    }
}

SCENE_MAIN(SCENE(life_01_exit_with_everything_open), SCENE(life_02_destructor_after_the_runtimes),
           SCENE(life_03_many_short_threads), SCENE(life_05_owner_of_a_ring_ended),
           SCENE(life_10_shutdown_finalizes), SCENE(life_11_leak_report_and_late_release),
           SCENE(life_13_shutdown_and_use_again), SCENE(life_17_used_by_an_exit_handler), SCENE(life_17_exit_while_threads_run),
           SCENE(life_18_concurrent_collections))
