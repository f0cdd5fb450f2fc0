/* SPDX-License-Identifier: MIT
 *
 * test_driver.c - the driver (DRV): it stops anywhere, cannot be started, loses its membarrier: nobody waits for it
 */
#include "scene.h"

#include "filter.h"

static wane_slot root;

static struct {
    struct gate      made;
    struct node     *object;
    struct pipe_wait sleep;
} idle;

static void *
own_then_idle(void *unused)
{
    (void)unused;
    idle.object = leaf_new();
    gate_wait(&idle.made);
    pipe_block(&idle.sleep);
    return NULL;
}

/* ---- It cannot be started -------------------------------------------------------------------------------------- */

static void *
work_where_no_thread_starts(void *unused)
{
    (void)unused;
    if (!refuse_call(SYS_clone, SYS_clone3, EAGAIN, false))
        return unused;
    EXPECT(wane_use_threads(true) == 0); /* tries, in vain */
    for (int i = 0; i < 10000; i++) {
        wane_put(&root, leaf_new());
        wane_release(ring_of(&node_type, 2, NULL));
    }
    wane_release(final_new(NULL)); /* nor does the finalizers' */
    wane_clear(&root);
    return &root;
}

/* Threads cannot be made: mutators go on, nothing is lost. The next need, where they can, makes them; then all is done. */
static void
drv_01_background_cannot_be_started(void **state)
{
    void     *works;
    pthread_t t;

    (void)state;
    assert_int_equal(wane_use_threads(false), 0);
    t = spawn(work_where_no_thread_starts, NULL);
    pthread_join(t, &works);
    if (!works) {
        assert_int_equal(wane_use_threads(true), 0);
        skip();
    }
    assert_int_equal(atomic_load(&finalized), 0);
    for (int i = 0; i < 100; i++)
        nap();
    wane_put(&root, leaf_new());
    wane_clear(&root);
    assert_true(wait_count(&finalized, 1));
    assert_true(wait_count(&disposed, 30002));
    assert_int_equal(atomic_load(&disposed), 30002);
}

/* ---- Few units ------------------------------------------------------------------------------------------------- */

/* One thread displaces a unit now and then, and never rests: what it displaced is given back meanwhile. */
static void
a_trickle_is_given_back(void **state)
{
    uint64_t end = now_ms() + 10000;
    long     displaced = 0;

    (void)state;
    for (; atomic_load(&disposed) == 0 && now_ms() < end; nap(), displaced++)
        wane_put(&root, leaf_new());
    print_message("# the first of %ld\n", displaced);
    assert_true(atomic_load(&disposed) > 0);
    wane_clear(&root);
    assert_true(wait_count(&disposed, displaced));
}

/* ---- Filters -------------------------------------------------------------------------------------------------------- */

static int
works_without_affinity(void *unused)
{
    (void)unused;
    if (!refuse_call(SYS_sched_setaffinity, SYS_sched_setaffinity, 0, false))
        return 0;
    wane_put(&root, leaf_new());
    wane_clear(&root);
    CHILD_CHECK(wait_count(&disposed, 1));
    return 0;
}

/* Services forbid what asks for cores, and die of it. Where nobody is pinned the library does not ask. */
static void
a_filter_that_forbids_affinity(void **state)
{
    struct child c;

    (void)state;
    skip_where_children_have_no_threads();
    c = run_child(works_without_affinity, NULL);
    assert_child_ok(&c);
}

/* ---- It stops in the middle ------------------------------------------------------------------------------------ */

static struct {
    struct pipe_wait go_on;
    atomic_int       stopped; /* 2: inside a section, so in the middle of somebody's work */
    atomic_bool      over;
} stop;

static void
stop_here(int number)
{
    int error = errno;

    (void)number;
    atomic_store(&stop.stopped, wane_self.me & WANE_OUTSIDE ? 1 : 2);
    pipe_block(&stop.go_on);
    atomic_store(&stop.stopped, 0);
    errno = error;
}

static void *
drive(void *unused)
{
    (void)unused;
    while (!atomic_load(&stop.over))
        (void)(wane_step(1000000) == 0 && sched_yield());
    return NULL;
}

#define WORKERS  3
#define BATCH    2000
#define STOPS    SCALED(100)
#define MOST     (STOPS * 10) /* until so many were inside */

static struct {
    struct gate  begin, end;
    struct node *object; /* of the first worker, released by the test */
    atomic_bool  over;
    struct node *mine[WORKERS];
    wane_slot    shared;
} work;

/* What needs no malloc: the thread that is stopped may have the allocator's lock. */
static void
work_a_while(struct node *mine)
{
    for (int i = 0; i < 200; i++) {
        wane_release(wane_retain(mine));
        WANE_SECTION {
            struct node *n = wane_peek(&work.shared);

            node_check(n);
            wane_release(wane_retain(n));
            wane_release(wane_get(&work.shared));
        }
        if (i % 16 == 0)
            wane_set(&work.shared, mine);
    }
}

static void *
work_in_rounds(void *number)
{
    struct node *mine = work.mine[(intptr_t)number] = leaf_new();

    gate_wait(&work.begin); /* all are there */
    for (;;) {
        gate_wait(&work.begin);
        if (atomic_load(&work.over))
            break;
        work_a_while(mine);
        gate_wait(&work.end);
    }
    wane_release(mine);
    return NULL;
}

static struct node *batch[BATCH];

static void *
make_batch(void *unused)
{
    (void)unused;
    for (int i = 0; i < BATCH; i++)
        batch[i] = leaf_new();
    return NULL;
}

/* Returns whether the driver was stopped inside a section. */
static bool
stop_and_work(pthread_t driver, uint64_t *seed)
{
    long before = atomic_load(&disposed);
    bool inside;

    join(spawn(make_batch, NULL)); /* work to do by claim */
    for (int i = 0; i < BATCH; i++)
        wane_release(batch[i]);
    while (atomic_load(&disposed) == before)
        sched_yield();
    hesitate(seed, 100000); /* it is at work now */
    pthread_kill(driver, SIGUSR1);
    while (!atomic_load(&stop.stopped))
        sched_yield();
    inside = atomic_load(&stop.stopped) == 2;
    gate_wait(&work.begin);
    gate_wait(&work.end); /* they have done their round while it stands still: so they do not wait for it */
    if (write(stop.go_on.fd[1], "", 1) != 1)
        die("write failed");
    while (atomic_load(&stop.stopped))
        sched_yield();
    return inside;
}

/* The driver is stopped at random moments, many of them inside a claim; others enter, retain, release, store meanwhile. */
static void
drv_02_stopped_driver_holds_up_nobody(void **state)
{
    struct sigaction action = {.sa_handler = stop_here};
    uint64_t         seed = 0x9e3779b97f4a7c15;
    pthread_t        driver, t[WORKERS];
    int              inside = 0, stops = 0;

    (void)state;
    assert_int_equal(wane_use_threads(false), 0);
    sigaction(SIGUSR1, &action, NULL);
    pipe_open(&stop.go_on);
    atomic_store(&stop.over, false);
    atomic_store(&work.over, false);
    work.begin.count = work.end.count = WORKERS + 1;
    wane_put(&work.shared, leaf_new());
    driver = spawn(drive, NULL);
    for (intptr_t i = 0; i < WORKERS; i++)
        t[i] = spawn(work_in_rounds, (void *)i);
    gate_wait(&work.begin);
    for (; (inside < STOPS && stops < MOST) || (!inside && stops < 50 * MOST); stops++) /* sections are short */
        inside += stop_and_work(driver, &seed);
    printf("# stopped %d times, %d of them inside a section\n", stops, inside);
    atomic_store(&work.over, true);
    gate_wait(&work.begin);
    for (int i = 0; i < WORKERS; i++)
        join(t[i]);
    atomic_store(&stop.over, true);
    join(driver);
    pipe_wake(&stop.go_on);
    pipe_done(&stop.go_on);
    wane_clear(&work.shared);
    assert_int_equal(wane_use_threads(true), 0);
    assert_true(pump_count(&disposed, (long)stops * BATCH + WORKERS + 1));
    assert_int_equal(atomic_load(&disposed), (long)stops * BATCH + WORKERS + 1);
    assert_true(inside > 0);
}

/* ---- It stops in a callback, inside a claim --------------------------------------------------------------------- */

static struct {
    struct pipe_wait go_on;
    struct gate      made, sleep;
    atomic_bool      reached;
    void            *object;
    atomic_long      died;
} held;

static void
stop_in_dispose(void *unused)
{
    (void)unused;
    atomic_store(&held.reached, true);
    pipe_block(&held.go_on);
}

static struct wane_type stopping_type = {.name = "stopping", .size = 8, .dispose = stop_in_dispose};

/* Everything but what needs a grace period. */
static void
use_everything(void)
{
    wane_slot own = {0};

    for (int i = 0; i < SCALED(10000); i++) {
        struct node *n = node_new();
        void        *weak = i % 64 ? NULL : wane_weak(n);

        if (i % 2)
            n->watch = &held.died;
        wane_set(&own, n);
        wane_release(wane_get(&own));
        wane_set_private(&n->a, NULL);
        if (weak)
            wane_release(wane_weak_get(weak));
        wane_release(weak);
        wane_release(n);
        if (i % 2 == 0)
            wane_release(leaf_new());
    }
    wane_clear(&own);
}

static void *
own_the_stopping_one(void *unused)
{
    (void)unused;
    held.object = wane_new(&stopping_type);
    gate_wait(&held.made);
    gate_wait(&held.sleep);
    use_everything(); /* its record is claimed */
    return NULL; /* and it ends like that */
}

static void *
drive_a_barrier(void *unused)
{
    (void)unused;
    EXPECT(wane_barrier() == 0);
    return NULL;
}

/* The driver acts for a thread, and a dispose callback blocks it there. The thread itself, and others, enter, make, store,
 * upgrade, release and end meanwhile; deaths by count go on. */
static void
drv_03_driver_blocked_inside_a_claim(void **state)
{
    pthread_t owner, driver;
    long      leaves = SCALED(10000) / 2;

    (void)state;
    assert_int_equal(wane_use_threads(false), 0);
    pipe_open(&held.go_on);
    held.made.count = held.sleep.count = 2;
    atomic_store(&held.reached, false);
    owner = spawn(own_the_stopping_one, NULL);
    gate_wait(&held.made);
    wane_release(held.object); /* into the owner's queue */
    driver = spawn(drive_a_barrier, NULL);
    while (!atomic_load(&held.reached))
        nap();
    gate_wait(&held.sleep);
    use_everything();
    join(owner);
    EXPECT(atomic_load(&disposed) >= 2 * leaves); /* leaves died at once */
    EXPECT(wane_step(0) == -EBUSY);
    pipe_wake(&held.go_on);
    join(driver);
    pipe_done(&held.go_on);
    assert_int_equal(wane_use_threads(true), 0);
    assert_true(pump_count(&disposed, 6 * leaves));
    assert_int_equal(atomic_load(&disposed), 6 * leaves);
    assert_int_equal(atomic_load(&held.died), 2 * leaves);
}

/* ---- It loses its membarrier ------------------------------------------------------------------------------------ */

static int
child_loses_membarrier(void *unused)
{
    (void)unused;
    execl("/proc/self/exe", "test_driver", "membarrier", (char *)NULL);
    return 1;
}

#define NO_FILTERS 77

static int
main_without_membarrier(void)
{
    pthread_t    sleeper;
    struct node *n;

    idle.made.count = 2;
    pipe_open(&idle.sleep);
    sleeper = spawn(own_then_idle, NULL);
    gate_wait(&idle.made);
    wane_put(&root, leaf_new());
    wane_clear(&root);
    CHILD_CHECK(wait_count(&disposed, 1)); /* with membarriers */
    if (!refuse_call(SYS_membarrier, SYS_membarrier, EPERM, true))
        return NO_FILTERS;
    for (int i = 0; i < 1000; i++) {
        wane_put(&root, ring_of(&node_type, 2, NULL));
        n = wane_get(&root);
        wane_release(n);
    }
    wane_clear(&root);
    wane_release(idle.object); /* its owner sleeps, and has not entered since */
    CHILD_CHECK(wait_count(&disposed, 2002));
    pipe_wake(&idle.sleep);
    join(sleeper);
    CHILD_CHECK(wane_shutdown() == 0);
    CHILD_CHECK(atomic_load(&disposed) == 2002);
    return 0;
}

/* A filter forbids membarrier while the program runs, and a thread sleeps for ever: it is said once, and all goes on. */
static void
drv_04_membarrier_forbidden_later(void **state)
{
    struct child c = run_child(child_loses_membarrier, NULL);
    const char  *message;

    (void)state;
    if (WIFEXITED(c.status) && WEXITSTATUS(c.status) == NO_FILTERS)
        skip();
    assert_child_ok(&c);
    message = strstr(c.err, "wane: membarrier failed");
    assert_non_null(message);
    assert_null(strstr(message + 1, "wane: membarrier failed"));
}

int
main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        SCENE(drv_01_background_cannot_be_started),
        SCENE(a_filter_that_forbids_affinity),
        SCENE(a_trickle_is_given_back),
        SCENE(drv_02_stopped_driver_holds_up_nobody),
        SCENE(drv_03_driver_blocked_inside_a_claim),
        SCENE(drv_04_membarrier_forbidden_later),
    };

    if (argc > 1 && strcmp(argv[1], "membarrier") == 0)
        return main_without_membarrier();
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, scene_shutdown);
}
