/* SPDX-License-Identifier: MIT
 *
 * test_loop.c - the driver (DRV) in programs that drive by themselves: the descriptor, slices, what a stalled section shows
 */
#include "scene.h"

#include <fcntl.h>
#include <poll.h>

#include "filter.h"

#define NO_FILTERS 77

static wane_slot root;

static bool
is_readable(int fd, int milliseconds)
{
    struct pollfd p = {fd, POLLIN, 0};

    return poll(&p, 1, milliseconds) == 1;
}

/* The loop of the contract: poll without timeouts. Returns how often it woke. */
static long
loop_until(atomic_long *counter, long n)
{
    long wakes = 0;

    while (atomic_load(counter) < n) {
        if (!is_readable(wane_event_fd(), WATCHDOG_MS))
            return -1;
        wakes++;
        (void)wane_run_finalizers();
        EXPECT(wane_step(1000000) >= 0);
    }
    return wakes;
}

static void *
displace_one_by_one(void *rounds)
{
    static atomic_uint seeds;
    uint64_t           seed = 0x9e3779b97f4a7c15 + atomic_fetch_add(&seeds, 1);
    atomic_long        gone = 0;

    for (long i = 1; i <= (intptr_t)rounds; i++) {
        struct node *n = leaf_new();
        wane_slot    slot = {0};

        n->watch = &gone;
        wane_put(&slot, n);
        hesitate(&seed, 100);
        wane_clear(&slot); /* this is all that waits: if nobody hears of it, nothing else will tell */
        while (atomic_load(&gone) < i)
            sched_yield();
        hesitate(&seed, 4000);
    }
    return NULL;
}

/* Reports fall at any moment between the steps that lower the descriptor: each is seen, though none follows it. */
static void
drv_05_no_report_is_lost(void **state)
{
    long n = 500;

    (void)state;
    assert_int_equal(wane_use_threads(false), 0);
    for (int i = 1; i <= 3; i++) {
        pthread_t t = spawn(displace_one_by_one, (void *)n);

        assert_true(loop_until(&disposed, n * i) >= 0);
        join(t);
    }
    assert_int_equal(wane_use_threads(true), 0);
}

#define WEAK 40000 /* more than the table takes without growing */

static int
grow_where_threads_kill(void *unused)
{
    static void *weak[WEAK], *target[WEAK];

    (void)unused;
    CHILD_CHECK(wane_use_threads(false) == 0);
    if (!refuse_call(SYS_clone, SYS_clone3, 0, true))
        return NO_FILTERS;
    for (int i = 0; i < WEAK; i++) {
        target[i] = leaf_new();
        weak[i] = wane_weak(target[i]);
        if (i % 256 == 0)
            CHILD_CHECK(wane_step(0) >= 0);
    }
    for (int i = 0; i < 100; i++) {
        CHILD_CHECK(wane_step(0) >= 0);
        nap();
    }
    for (int i = 0; i < WEAK; i++) {
        CHILD_CHECK(wane_weak(target[i]) == weak[i]);
        wane_release(weak[i]);
        wane_release(weak[i]);
        wane_release(target[i]);
    }
    CHILD_CHECK(wane_shutdown() == 0);
    return 0;
}

/* Nothing starts a thread, for a moment neither: not the table of weak references when it grows. */
static void
drv_06_no_thread_for_a_moment(void **state)
{
    struct child c;

    (void)state;
    skip_where_children_have_no_threads();
    c = run_child(grow_where_threads_kill, NULL);
    if (WIFEXITED(c.status) && WEXITSTATUS(c.status) == NO_FILTERS)
        skip();
    assert_child_ok(&c);
}

static int
child_that_closed_the_descriptor(void *number)
{
    int         fd = (int)(intptr_t)number, again;
    atomic_long gone = 0;

    close(fd); /* as daemons do */
    (void)wane_step(0);
    again = open("/dev/zero", O_RDONLY);
    CHILD_CHECK(again == fd);
    for (uint64_t end = now_ms() + 5000; atomic_load(&gone) < 1 && now_ms() < end;) {
        struct node *n = leaf_new();

        n->watch = &gone;
        wane_put(&root, n);
        wane_clear(&root);
        CHILD_CHECK(wane_step(0) >= 0);
        nap();
    }
    CHILD_CHECK(atomic_load(&gone) >= 1);
    return 0;
}

static int
child_has_its_file(void *number)
{
    char byte = 1;

    CHILD_CHECK(read((int)(intptr_t)number, &byte, 1) == 1 && byte == 0);
    CHILD_CHECK(wane_step(0) >= 0);
    CHILD_CHECK(read((int)(intptr_t)number, &byte, 1) == 1 && byte == 0);
    return 0;
}

static int
closed_before_the_fork(void *number)
{
    int          fd = (int)(intptr_t)number;
    struct child c;

    close(fd);
    CHILD_CHECK(open("/dev/zero", O_RDONLY) == fd);
    c = run_child(child_has_its_file, number);
    fputs(c.err, stderr);
    CHILD_CHECK(WIFEXITED(c.status) && WEXITSTATUS(c.status) == 0);
    return 0;
}

/* A process that closed the descriptor, before or after a fork, and uses its number: neither side harms the other. */
static void
drv_07_descriptor_closed_by_the_program(void **state)
{
    struct child c;
    int          fd;

    (void)state;
    skip_where_children_have_no_threads();
    assert_int_equal(wane_use_threads(false), 0);
    fd = wane_event_fd();
    assert_true(fd >= 0);
    c = run_child(child_that_closed_the_descriptor, (void *)(intptr_t)fd);
    assert_child_ok(&c);
    c = run_child(closed_before_the_fork, (void *)(intptr_t)fd);
    assert_child_ok(&c);
    assert_int_equal(wane_use_threads(true), 0);
}

static void *
drive_a_barrier(void *unused)
{
    (void)unused;
    EXPECT(wane_barrier() == 0);
    return NULL;
}

static int busy_result;

static void *
step_once(void *unused)
{
    busy_result = wane_step(0);
    return unused;
}

static atomic_long reports;
static uint32_t    reported_tid;

static void
on_stall(const struct wane_stall *s, void *unused)
{
    (void)unused;
    reported_tid = s->tid;
    EXPECT(wane_step(0) >= -EBUSY); /* no lock is held here: it may call anything */
    atomic_fetch_add(&reports, 1);
}

/* Nothing was displaced, but a barrier waits for a section, and drives: a step is busy, and asks to come again in a while;
 * the section is reported all the same. */
static void
drv_08_barrier_that_waits_is_explained(void **state)
{
    pthread_t t;

    (void)state;
    assert_int_equal(wane_barrier(), 0);
    atomic_store(&reports, 0);
    assert_int_equal(wane_on_stall(100, on_stall, NULL), 0);
    wane_enter();
    t = spawn(drive_a_barrier, NULL);
    EXPECT(wait_count(&reports, 1));
    EXPECT(reported_tid == (uint32_t)syscall(SYS_gettid));
    for (busy_result = 0; busy_result != -EBUSY;)
        join(spawn(step_once, NULL));
    EXPECT(is_readable(wane_event_fd(), 1000));
    wane_leave();
    join(t);
    assert_int_equal(wane_on_stall(0, NULL, NULL), 0);
}

static void *
make_garbage(void *unused)
{
    (void)unused;
    wane_put(&root, leaf_new());
    wane_clear(&root);
    return NULL;
}

static int
child_stalls(void *unused)
{
    (void)unused;
    atomic_store(&reports, 0);
    CHILD_CHECK(wane_on_stall(50, on_stall, NULL) == 0);
    wane_enter();
    join(spawn(make_garbage, NULL));
    CHILD_CHECK(wait_count(&reports, 1));
    CHILD_CHECK(reported_tid == (uint32_t)getpid()); /* not the id that the forking thread had */
    wane_leave();
    return 0;
}

static void
drv_09_child_reports_its_own_thread(void **state)
{
    struct child c;

    (void)state;
    skip_where_children_have_no_threads();
    wane_enter();
    wane_leave();
    c = run_child(child_stalls, NULL);
    assert_child_ok(&c);
}

SCENE_MAIN(SCENE(drv_05_no_report_is_lost), SCENE(drv_06_no_thread_for_a_moment), SCENE(drv_07_descriptor_closed_by_the_program),
           SCENE(drv_08_barrier_that_waits_is_explained), SCENE(drv_09_child_reports_its_own_thread))
