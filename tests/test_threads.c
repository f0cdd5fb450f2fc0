/* SPDX-License-Identifier: MIT
 *
 * test_threads.c - scenarios of life (LIFE): threads that come and go, also inside sections; threads of the
 * library's own; sections that are open when the runtime is shut down
 */
#define _GNU_SOURCE /* sched_getaffinity */
#include "scene.h"

#include <dirent.h>
#include <sched.h>

static wane_slot root;

/* ---- Coming and going ---------------------------------------------------------------------------------------- */

static pthread_key_t again_key;

/* The thread's record is given up by now, or will be: this attaches once more. */
static void
attach_again(void *arg)
{
    struct node *n = arg;

    if (n->value-- > 0) {
        pthread_setspecific(again_key, n);
        return;
    }
    WANE_SECTION
        wane_retain(n);
    wane_release(n);
    wane_release(n);
}

/* How a thread ends: outside; inside three levels; inside, with a late destructor that goes on; with one outside. */
static void *
attach_and_end(void *kind)
{
    struct node *n = node_new();

    wane_enter();
    wane_enter();
    if ((uintptr_t)kind & 1) {
        wane_enter();
        wane_put(&root, n);
    } else {
        wane_leave();
        wane_leave();
    }
    if ((uintptr_t)kind & 2) {
        n = (uintptr_t)kind & 1 ? node_new() : n;
        n->value = 1;
        pthread_setspecific(again_key, n);
    } else if (!((uintptr_t)kind & 1)) {
        wane_release(n);
    }
    return NULL;
}

#define COMERS SCALED(70000L) /* more than there are ids */

/* Threads by the ten thousand, many of which end inside sections or use the runtime while they end. Grace
 * periods pass afterwards, records are used again, nothing is lost. */
static void
life_04_threads_come_and_go(void **state)
{
    long              made = 0;
    struct wane_stats before, after;

    (void)state;
    assert_int_equal(pthread_key_create(&again_key, attach_again), 0);
    wane_stats(&before);
    for (long i = 0; i < COMERS; i += 4) {
        pthread_t t[4];

        for (uintptr_t kind = 0; kind < 4; kind++) {
            t[kind] = spawn(attach_and_end, (void *)kind);
            made += kind == 3 ? 2 : 1;
        }
        for (int k = 0; k < 4; k++)
            join(t[k]);
    }
    wane_clear(&root);
    assert_int_equal(wane_barrier(), 0);
    assert_true(pump_count(&disposed, made));
    assert_int_equal(atomic_load(&disposed), made);
    wane_stats(&after);
    assert_true(after.records - before.records <= 64);
    pthread_key_delete(again_key);
}

static void *
enter_many_times(void *unused)
{
    (void)unused;
    for (int i = 0; i < 3; i++) {
        wane_enter();
        wane_put(&root, node_new());
        wane_leave();
        nap();
    }
    return NULL;
}

static void *
first_use_inside_anothers_section(void *unused)
{
    (void)unused;
    wane_enter();
    join(spawn(enter_many_times, NULL)); /* attaches and ends while this one is inside */
    wane_leave();
    return NULL;
}

/* A thread attaches and ends within another one's section, whose own end comes later. */
static void
life_04_within_anothers_section(void **state)
{
    (void)state;
    for (int i = 0; i < 20; i++)
        join(spawn(first_use_inside_anothers_section, NULL));
    wane_clear(&root);
    assert_int_equal(wane_barrier(), 0);
    assert_true(pump_count(&disposed, 60));
    assert_int_equal(atomic_load(&disposed), 60);
}

/* ---- The library's own --------------------------------------------------------------------------------------- */

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

/* A thread that was joined may be listed for an instant still. */
static bool
threads_become(int n)
{
    for (int i = 0; i < 5000 && count_threads() > n; i++)
        nap();
    return count_threads() <= n;
}

/* The id of the thread of that name; 0: there is none. */
static pid_t
thread_named(const char *name)
{
    DIR           *d = opendir("/proc/self/task");
    struct dirent *e;
    pid_t          found = 0;

    while (d && !found && (e = readdir(d))) {
        char  path[300], line[32] = "";
        FILE *f;

        snprintf(path, sizeof path, "/proc/self/task/%s/comm", e->d_name);
        f = fopen(path, "re");
        if (f && fgets(line, sizeof line, f) && strncmp(line, name, strlen(name)) == 0)
            found = (pid_t)atol(e->d_name);
        if (f)
            fclose(f);
    }
    if (d)
        closedir(d);
    return found;
}

static cpu_set_t at_load;

static int
pinned_worker_comes_first(void *unused)
{
    cpu_set_t one, its;
    uint64_t  end = now_ms() + 10000;

    (void)unused;
    CPU_ZERO(&one);
    for (int cpu = 0; CPU_COUNT(&one) == 0; cpu++)
        if (CPU_ISSET(cpu, &at_load))
            CPU_SET(cpu, &one);
    CHILD_CHECK(sched_setaffinity(0, sizeof one, &one) == 0);
    wane_put(&root, leaf_new());
    wane_clear(&root);
    do
        nap();
    while (now_ms() < end &&
           (sched_getaffinity(thread_named("wane-driver"), sizeof its, &its) != 0 || !CPU_EQUAL(&its, &at_load)));
    CHILD_CHECK(now_ms() < end);
    CHILD_CHECK(sched_getaffinity(0, sizeof its, &its) == 0 && CPU_EQUAL(&its, &one));
    return 0;
}

/* A thread pins itself, and is the first to need the background: that is not on its core. */
static void
background_runs_where_the_program_might(void **state)
{
    struct child c;

    (void)state;
    skip_where_children_have_no_threads();
    if (sched_getaffinity(0, sizeof at_load, &at_load) != 0 || CPU_COUNT(&at_load) < 2)
        skip();
    c = run_child(pinned_worker_comes_first, NULL);
    assert_child_ok(&c);
}

int __lsan_do_recoverable_leak_check(void) __attribute__((weak));

static void
assert_no_leak(void)
{
    if (__lsan_do_recoverable_leak_check)
        assert_int_equal(__lsan_do_recoverable_leak_check(), 0);
}

static void *
leave_work_of_every_kind(void *unused)
{
    struct node *n = node_new();

    (void)unused;
    wane_release(ring_of(&node_type, 5, NULL));
    wane_release(ring_of(&final_type, 3, NULL));
    wane_release(final_new(NULL));
    wane_put(&root, n);
    wane_release(wane_weak(n));
    for (int i = 0; i < 1000; i++)
        wane_put(&root, leaf_new());
    return NULL;
}

/* Work of every kind, then shutdown: the background and the finalizer thread have ended, nothing leaks. */
static void
life_12_threads_joined_nothing_leaked(void **state)
{
    int before;

    (void)state;
    assert_int_equal(wane_shutdown(), 0);
    assert_true(threads_become(1) || count_threads() == 2); /* the race detector has one of its own */
    before = count_threads();
    for (int round = 0; round < 3; round++) {
        pthread_t t[3];

        for (int i = 0; i < 3; i++)
            t[i] = spawn(leave_work_of_every_kind, NULL);
        for (int i = 0; i < 3; i++)
            join(t[i]);
        assert_true(wait_count(&finalized, (round + 1) * 12L)); /* by the finalizer thread */
        assert_true(count_threads() > before);
        wane_clear(&root);
        assert_int_equal(wane_shutdown(), 0);
        assert_true(threads_become(before));
        assert_int_equal(atomic_load(&disposed), (round + 1) * 3L * 1010);
    }
    assert_no_leak();
}

/* ---- A section that is open at the end ----------------------------------------------------------------------- */

static struct {
    struct node *borrowed;
    struct gate  inside;
    atomic_bool  may_leave, is_over;
    atomic_long  used;
    int          left;
} late;

static void
check_borrow_and_work(void)
{
    node_check(late.borrowed);
    wane_put(&root, leaf_new());
    wane_release(node_new());
    atomic_fetch_add(&late.used, 1);
}

/* Three levels deep, and it goes on working; then once more, when the runtime has been shut down. */
static void *
stay_inside(void *unused)
{
    (void)unused;
    for (int i = 0; i < 3; i++)
        wane_enter();
    late.borrowed = wane_peek(&root);
    gate_wait(&late.inside);
    while (!atomic_load(&late.may_leave)) {
        check_borrow_and_work();
        nap();
    }
    for (int i = 0; i < 3; i++)
        wane_leave();
    while (!atomic_load(&late.is_over))
        nap();
    WANE_SECTION {
        late.borrowed = wane_peek(&root);
        check_borrow_and_work();
    }
    return NULL;
}

static void *
shut_down(void *unused)
{
    (void)unused;
    late.left = wane_shutdown();
    atomic_store(&late.is_over, true);
    return NULL;
}

/* Shutdown waits for a section that is open, whose borrows are good to its end; who was inside may use the
 * runtime again afterwards. */
static void
life_16_section_outlasts_a_shutdown(void **state)
{
    atomic_long  watch = 0;
    struct node *n = node_new();
    pthread_t    reader, ender;

    (void)state;
    memset(&late, 0, sizeof late);
    late.inside.count = 2;
    n->watch = &watch;
    wane_put(&root, n);
    reader = spawn(stay_inside, NULL);
    gate_wait(&late.inside);
    wane_put(&root, leaf_new());
    ender = spawn(shut_down, NULL);
    assert_true(wait_count(&late.used, 100));
    assert_false(atomic_load(&late.is_over));
    assert_int_equal(atomic_load(&watch), 0);
    atomic_store(&late.may_leave, true);
    join(ender);
    assert_int_equal(atomic_load(&watch), 1);
    assert_int_equal(late.left, 1); /* what the root holds */
    join(reader);
    wane_clear(&root);
    assert_int_equal(wane_shutdown(), 0);
}

SCENE_MAIN(SCENE(life_04_threads_come_and_go), SCENE(life_04_within_anothers_section),
           SCENE(background_runs_where_the_program_might), SCENE(life_12_threads_joined_nothing_leaked),
           SCENE(life_16_section_outlasts_a_shutdown))
