/* SPDX-License-Identifier: MIT
 *
 * test_faults.c - scenarios of a hostile machine: signals all the time, a clock that jumps, a kernel that refuses, no memory, and
 * many more threads than cores
 *
 * Each runs in a process of its own, with threads that do everything and a watchdog that ends it.
 */
#define _GNU_SOURCE /* sched_setaffinity */
#include "scene.h"

#include <sys/resource.h>

#include "filter.h"

#define THREADS 4
#define ROUNDS  SCALED(3000)
#define CROWD   200

/* ---- The clock ------------------------------------------------------------------------------------------------------ */

/* Seconds that the time of day is ahead: this program's clock_gettime comes before the C library's. */
static atomic_long ahead;

int
clock_gettime(clockid_t clock, struct timespec *t)
{
    int rc = (int)syscall(SYS_clock_gettime, clock, t);

    if (rc == 0 && clock == CLOCK_REALTIME)
        t->tv_sec += atomic_load_explicit(&ahead, memory_order_relaxed);
    return rc;
}

/* ---- What goes on all the time -------------------------------------------------------------------------------------- */

static wane_slot   shared[4];
static atomic_long made; /* nodes */
static atomic_bool over;

static void
round_of_work(unsigned i)
{
    struct node *n = node_new(), *got;
    void        *weak = wane_weak(n);

    atomic_fetch_add(&made, 1);
    wane_set(&n->a, n);
    wane_set(&shared[i % 4], n);
    wane_enter();
    got = wane_peek(&shared[(i + 1) % 4]);
    if (got)
        node_check(got);
    wane_leave();
    wane_release(wane_get(&shared[(i + 2) % 4]));
    wane_release(n);
    got = wane_weak_get(weak);
    if (got)
        node_check(got);
    wane_release(got);
    wane_release(weak);
    wane_release(wane_take(&shared[(i + 3) % 4]));
}

static void *
work(void *rounds)
{
    for (unsigned i = 0; i < (uintptr_t)rounds; i++) {
        round_of_work(i);
        if (i % 500 == 0)
            (void)wane_collect(WANE_ALL, NULL);
    }
    return NULL;
}

static int
let_go(void)
{
    for (int i = 0; i < 4; i++)
        wane_clear(&shared[i]);
    CHILD_CHECK(wane_shutdown() == 0);
    CHILD_CHECK(atomic_load(&disposed) == (long)atomic_load(&made));
    return 0;
}

static int
work_to_the_end(unsigned threads, unsigned rounds)
{
    pthread_t t[CROWD];

    for (unsigned i = 0; i < threads; i++)
        t[i] = spawn(work, (void *)(uintptr_t)rounds);
    for (unsigned i = 0; i < threads; i++)
        join(t[i]);
    return let_go();
}

/* ---- Signals -------------------------------------------------------------------------------------------------------- */

static atomic_long handled;

static void
handle(int unused)
{
    (void)unused;
    atomic_fetch_add(&handled, 1);
}

static void *
storm(void *threads)
{
    pthread_t *t = threads;

    while (!atomic_load(&over)) {
        for (int i = 0; i < THREADS; i++)
            pthread_kill(t[i], SIGUSR1);
        usleep(50); /* faster than handlers run, nothing else would */
    }
    return NULL;
}

static void *
work_in_storm(void *unused)
{
    (void)work((void *)(uintptr_t)ROUNDS);
    while (!atomic_load(&over)) { /* a target for signals till the last */
        round_of_work(0);
        nap();
    }
    return unused;
}

static int
signals_all_the_time(void *unused)
{
    pthread_t t[THREADS], sender;

    (void)unused;
    sigaction(SIGUSR1, &(struct sigaction){.sa_handler = handle}, NULL); /* calls are interrupted */
    for (int i = 0; i < THREADS; i++)
        t[i] = spawn(work_in_storm, NULL);
    sender = spawn(storm, t);
    CHILD_CHECK(wait_count(&handled, 1000));
    (void)work((void *)(uintptr_t)ROUNDS);
    atomic_store(&over, true);
    join(sender);
    for (int i = 0; i < THREADS; i++)
        join(t[i]);
    return let_go();
}

static void
expect_child(int (*fn)(void *))
{
    struct child c;

    skip_where_children_have_no_threads();
    c = run_child(fn, NULL);
    assert_child_ok(&c);
}

static void
drv_13_storm_of_signals(void **state)
{
    (void)state;
    expect_child(signals_all_the_time);
}

/* ---- Time of day ---------------------------------------------------------------------------------------------------- */

static void *
jump(void *unused)
{
    static const long jumps[] = {0, 86400, -86400, 1000000000, -1000000000};

    for (unsigned i = 0; !atomic_load(&over); i++) {
        atomic_store(&ahead, jumps[i % 5]);
        usleep(200);
    }
    return unused;
}

static int
clock_jumps(void *unused)
{
    pthread_t jumper = spawn(jump, NULL);
    int       rc = work_to_the_end(THREADS, ROUNDS);

    (void)unused;
    atomic_store(&over, true);
    join(jumper);
    return rc;
}

/* The time of day goes back and forth by days and decades: nobody waits longer for it, and nothing is lost. */
static void
drv_14_time_of_day_jumps(void **state)
{
    (void)state;
    expect_child(clock_jumps);
}

/* ---- The kernel ----------------------------------------------------------------------------------------------------- */

static int
no_membarrier_amid_work(void *unused)
{
    pthread_t t[THREADS];

    (void)unused;
    for (unsigned i = 0; i < THREADS; i++)
        t[i] = spawn(work, (void *)(uintptr_t)ROUNDS);
    if (!refuse_call(SYS_membarrier, SYS_membarrier, EPERM, true))
        atomic_store(&over, true); /* filters cannot be had: nothing is refused */
    for (unsigned i = 0; i < THREADS; i++)
        join(t[i]);
    return let_go();
}

static void
drv_15_membarrier_is_forbidden_amid_work(void **state)
{
    (void)state;
    expect_child(no_membarrier_amid_work);
}

/* Address space for some MiB more than there is (stacks of threads that start late, too): some calls fail, and say so. */
static int
little_memory(void *unused)
{
    struct node *chain = NULL;
    long         pages = 0, chained = 0;
    FILE        *statm = fopen("/proc/self/statm", "r");

    (void)unused;
    work((void *)(uintptr_t)100);
    CHILD_CHECK(statm && fscanf(statm, "%ld", &pages) == 1);
    fclose(statm);
    setrlimit(RLIMIT_AS, &(struct rlimit){(rlim_t)(pages * 4096 + (40 << 20)), (rlim_t)(pages * 4096 + (40 << 20))});
    for (struct node *n; (n = wane_new(&node_type)); chained++) {
        n->magic = NODE_LIVE;
        n->id = (uint64_t)chained;
        n->check = ~n->id;
        wane_put(&n->a, chain);
        chain = n;
    }
    CHILD_CHECK(errno == ENOMEM && chained > 1000);
    atomic_fetch_add(&made, chained);
    wane_release(chain);
    CHILD_CHECK(pump_count(&disposed, chained) && wane_barrier() == 0);
    work((void *)(uintptr_t)100); /* what was given back is there again */
    return let_go();
}

static void
drv_16_address_space_is_limited(void **state)
{
    (void)state;
#if defined(WN_CHECKS) && WN_CHECKS >= 2
    skip(); /* what is freed is kept for a while */
#endif
    skip_where_children_have_no_memory();
    expect_child(little_memory);
}

/* ---- Many threads --------------------------------------------------------------------------------------------------- */

static int
crowd(void *unused)
{
    cpu_set_t two;

    (void)unused;
    CPU_ZERO(&two);
    CPU_SET(0, &two);
    CPU_SET(1, &two);
    (void)sched_setaffinity(0, sizeof two, &two); /* fewer cores are as well */
    return work_to_the_end(CROWD, 60);
}

static void
drv_17_two_hundred_threads_on_two_cores(void **state)
{
    (void)state;
    expect_child(crowd);
}

SCENE_MAIN(SCENE(drv_13_storm_of_signals), SCENE(drv_14_time_of_day_jumps), SCENE(drv_15_membarrier_is_forbidden_amid_work),
           SCENE(drv_16_address_space_is_limited), SCENE(drv_17_two_hundred_threads_on_two_cores))
