/* SPDX-License-Identifier: MIT
 *
 * test_step.c - programs without threads of the library's: steps and the descriptor do all that the background does
 */
#include "scene.h"

#include <dirent.h>
#include <poll.h>

static long
threads_of_the_process(void)
{
    DIR *dir = opendir("/proc/self/task");
    long n = 0;

    if (!dir)
        die("no /proc/self/task");
    for (struct dirent *e; (e = readdir(dir));)
        n += e->d_name[0] != '.';
    closedir(dir);
    return n;
}

static bool
is_readable(int fd, int milliseconds)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};

    return poll(&p, 1, milliseconds) == 1;
}

/* An event loop: sleep in poll, step when there is something to do. False: the watchdog gave up. */
static bool
loop_until(atomic_long *counter, long n)
{
    uint64_t end = now_ms() + WATCHDOG_MS;
    int      fd = wane_event_fd();

    assert_true(fd >= 0);
    while (atomic_load(counter) < n) {
        if (now_ms() > end)
            return false;
        if (is_readable(fd, 1000)) {
            while (wane_step(1000000) == 1)
                ;
            (void)wane_run_finalizers();
        }
    }
    return true;
}

/* In a child: the mode is of the whole process, and its threads are counted. */
static int
in_child(int (*body)(void))
{
    if (wane_use_threads(false) != 0)
        return 2;
    if (body() != 0)
        return 3;
#ifndef RIG_TSAN
    if (threads_of_the_process() != 1)
        return 4;
#endif
    return wane_shutdown() == 0 ? 0 : 5;
}

static int
run_in_child(void *body)
{
    return in_child(*(int (**)(void))body);
}

static void
expect_child(int (*body)(void))
{
    struct child c = run_child(run_in_child, &body);

    assert_child_ok(&c);
}

static wane_slot root;

static int
displaced_units(void)
{
    wane_put(&root, node_new());
    wane_clear(&root);
    CHILD_CHECK(atomic_load(&disposed) == 0);
    CHILD_CHECK(loop_until(&disposed, 1));
    return 0;
}

static void
a_displaced_unit_is_given_back_by_steps(void **state)
{
    (void)state;
    expect_child(displaced_units);
}

static int
rings(void)
{
    for (int i = 0; i < 100; i++)
        wane_release(ring_of(&node_type, 3, NULL));
    CHILD_CHECK(loop_until(&disposed, 300));
    return 0;
}

static void
cycles_are_collected_by_steps(void **state)
{
    (void)state;
    expect_child(rings);
}

static int
finalizers(void)
{
    wane_release(final_new(NULL));
    wane_release(ring_of(&final_type, 2, NULL));
    CHILD_CHECK(loop_until(&disposed, 3));
    CHILD_CHECK(atomic_load(&finalized) == 3);
    return 0;
}

static void
finalizers_wait_for_the_program(void **state)
{
    (void)state;
    expect_child(finalizers);
}

static int
idle(void)
{
    uint64_t end = now_ms() + WATCHDOG_MS;
    int      fd;

    wane_release(node_new());
    fd = wane_event_fd();
    CHILD_CHECK(fd >= 0 && wane_event_fd() == fd);
    while (is_readable(fd, 20) && now_ms() < end)
        (void)wane_step(1000000);
    CHILD_CHECK(wane_step(1000000) == 0);
    CHILD_CHECK(!is_readable(fd, 50)); /* nothing to do, nothing to hear */
    wane_put(&root, node_new());
    wane_clear(&root);
    CHILD_CHECK(is_readable(fd, 1000));
    CHILD_CHECK(loop_until(&disposed, 2));
    return 0;
}

static void
the_descriptor_is_quiet_when_there_is_nothing_to_do(void **state)
{
    (void)state;
    expect_child(idle);
}

static int
blocking_calls(void)
{
    wane_put(&root, node_new());
    wane_clear(&root);
    CHILD_CHECK(wane_barrier() == 0);
    CHILD_CHECK(atomic_load(&disposed) == 1);
    wane_release(ring_of(&node_type, 2, NULL));
    CHILD_CHECK(collect_patiently(WANE_ALL, NULL) == 0);
    CHILD_CHECK(atomic_load(&disposed) == 3);
    return 0;
}

static void
collect_and_barrier_work_without_threads(void **state)
{
    (void)state;
    expect_child(blocking_calls);
}

static int
of_the_environment(void *unused)
{
    (void)unused;
    return rings() ? 3 : threads_of_the_process() == 1 ? 0 : 4;
}

/* The library reads it when it is loaded: by a program of its own (this one, executed again). */
static const char *self_path;

static int
exec_with_environment(void *unused)
{
    (void)unused;
    setenv("WANE_NO_THREADS", "1", 1);
    execl("/proc/self/exe", self_path, "environment", (char *)NULL);
    return 9;
}

static void
the_environment_says_so_too(void **state)
{
    struct child c;

    (void)state;
    skip_where_children_have_no_threads();
    c = run_child(exec_with_environment, NULL);
    assert_child_ok(&c);
}

static int
fork_in_a_loop(void)
{
    int   status, fd = wane_event_fd();
    pid_t pid;

    wane_put(&root, node_new());
    pid = fork();
    if (pid == 0) {
        wane_clear(&root);
        _exit(fd == wane_event_fd() && loop_until(&disposed, 1) ? 0 : 1);
    }
    CHILD_CHECK(waitpid(pid, &status, 0) == pid && status == 0);
    wane_clear(&root);
    CHILD_CHECK(loop_until(&disposed, 1));
    return 0;
}

static void
a_forked_loop_has_a_descriptor_of_its_own(void **state)
{
    (void)state;
    expect_child(fork_in_a_loop);
}

static struct pipe_wait hold;
static atomic_long      inside;

static void *
sit_in_a_collection(void *unused)
{
    (void)unused;
    wane_enter();
    atomic_store(&inside, 1);
    pipe_block(&hold);
    wane_leave();
    return NULL;
}

static void *
wait_in_a_barrier(void *unused)
{
    (void)unused;
    EXPECT(wane_barrier() == 0);
    return NULL;
}

static void
a_step_waits_for_nobody(void **state)
{
    pthread_t reader, driver;
    int       busy = 0;
    uint64_t  begin;

    (void)state;
    WANE_SECTION
    assert_int_equal(wane_step(0), -EDEADLK);
    pipe_open(&hold);
    reader = spawn(sit_in_a_collection, NULL);
    assert_true(wait_count(&inside, 1));
    wane_put(&root, node_new());
    wane_clear(&root);
    driver = spawn(wait_in_a_barrier, NULL); /* drives, and waits for the reader */
    begin = now_ms();
    for (; busy < 100 && now_ms() < begin + WATCHDOG_MS; nap()) /* the background drives, too, but not for so long */
        busy = wane_step(100000) == -EBUSY ? busy + 1 : 0;
    pipe_wake(&hold);
    join(driver);
    join(reader);
    pipe_done(&hold);
    assert_int_equal(busy, 100);
}

static int
switch_modes(void)
{
    for (int i = 0; i < 3; i++) { /* a few candidates wait half a second, twice */
        CHILD_CHECK(wane_use_threads(true) == 0);
        wane_release(ring_of(&final_type, 2, NULL));
        wane_put(&root, node_new());
        wane_clear(&root);
        CHILD_CHECK(wait_count(&disposed, 6 * i + 3)); /* unasked */
        CHILD_CHECK(wane_use_threads(false) == 0);
        wane_release(ring_of(&final_type, 2, NULL));
        wane_put(&root, node_new());
        wane_clear(&root);
        CHILD_CHECK(loop_until(&disposed, 6 * i + 6));
    }
    return 0;
}

static void
threads_can_be_allowed_and_refused_at_any_time(void **state)
{
    (void)state;
    skip_where_children_have_no_threads();
    expect_child(switch_modes);
}

int
main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        SCENE(a_displaced_unit_is_given_back_by_steps),
        SCENE(cycles_are_collected_by_steps),
        SCENE(finalizers_wait_for_the_program),
        SCENE(the_descriptor_is_quiet_when_there_is_nothing_to_do),
        SCENE(collect_and_barrier_work_without_threads),
        SCENE(the_environment_says_so_too),
        SCENE(a_forked_loop_has_a_descriptor_of_its_own),
        SCENE(threads_can_be_allowed_and_refused_at_any_time),
        SCENE(a_step_waits_for_nobody),
    };

    self_path = argv[0];
    if (argc > 1)
        return of_the_environment(NULL);
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, scene_shutdown);
}
