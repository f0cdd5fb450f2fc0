/* SPDX-License-Identifier: MIT */
#include "harness.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <wane/wane.h>

#define MAX_THREADS  256
#define STUCK_MS     60000
#define SETTLE_MS    30000
#define MAX_OVERTIME 10

__thread struct stress_worker *stress_me;

static const struct stress *program;
static const char          *path;
static uint64_t             seed;
static double               seconds = 2;
static unsigned             threads = 4;

/* One for each worker, one for the thread aside, one for main. */
static struct stress_worker workers[MAX_THREADS + 2];
static atomic_bool          over, finished;

/* ---- What programs call ----------------------------------------------------------------------------------------- */

uint64_t
stress_next(uint64_t *state)
{
    uint64_t x = *state;

    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    return *state = x;
}

uint64_t
stress_random(struct stress_worker *me, uint64_t n)
{
    return (stress_next(&me->random) >> 11) % n;
}

bool
stress_goes_on(struct stress_worker *me)
{
    atomic_fetch_add_explicit(&me->steps, 1, memory_order_relaxed);
    return !atomic_load_explicit(&over, memory_order_relaxed);
}

void
stress_phase(struct stress_worker *me, const char *phase)
{
    atomic_store_explicit(&me->phase, phase, memory_order_relaxed);
}

void
stress_seen(struct stress_overlap *overlap)
{
    atomic_fetch_add_explicit(&overlap->seen, 1, memory_order_relaxed);
}

void
stress_nap(void)
{
    nanosleep(&(struct timespec){0, 1000000}, NULL);
}

static void
print_replay(FILE *to)
{
    fprintf(to, "replay: %s --seed %llu --seconds %g --threads %u\n", path, (unsigned long long)seed, seconds, threads);
}

void
stress_fail(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    fprintf(stderr, "%s: FAILED: ", program->name);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
    print_replay(stderr);
    abort();
}

static uint64_t
now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static void
print_left(const char *name, int64_t objects, int64_t bytes, void *arg)
{
    (void)arg;
    if (objects)
        fprintf(stderr, "  %s: %lld objects, %lld bytes\n", name, (long long)objects, (long long)bytes);
}

void
stress_settle(uint64_t n)
{
    struct wane_stats s;
    uint64_t          end = now_ms() + SETTLE_MS;

    for (wane_stats(&s); s.objects_born - s.objects_died != n; wane_stats(&s)) {
        if (now_ms() > end) {
            fprintf(stderr, "still alive:\n");
            wane_type_stats(print_left, NULL);
            stress_fail("%llu objects should live, %llu do", (unsigned long long)n,
                        (unsigned long long)(s.objects_born - s.objects_died));
        }
        (void)wane_run_finalizers();
        (void)wane_barrier();
        (void)wane_collect(WANE_ALL, NULL);
        (void)stress_goes_on(stress_me);
    }
}

/* ---- The watchdog ----------------------------------------------------------------------------------------------- */

static unsigned long long
all_steps(void)
{
    unsigned long long sum = 0;

    for (unsigned i = 0; i < threads + 2; i++)
        sum += atomic_load_explicit(&workers[i].steps, memory_order_relaxed);
    return sum;
}

static void
print_where_all_are(void)
{
    for (unsigned i = 0; i < threads + 2; i++) {
        const char *phase = atomic_load(&workers[i].phase);

        fprintf(stderr, "  %s %u: %llu steps, in: %s\n",
                i < threads ? "worker" : (i == threads ? "aside" : "main"), i,
                (unsigned long long)atomic_load(&workers[i].steps), phase ? phase : "-");
    }
}

static bool
all_overlaps_seen(void)
{
    for (size_t i = 0; i < program->overlap_count; i++)
        if (atomic_load(&program->overlaps[i].seen) < program->overlaps[i].need)
            return false;
    return true;
}

static void
print_overlaps(FILE *to)
{
    for (size_t i = 0; i < program->overlap_count; i++)
        fprintf(to, "  %s: %llu (needed %llu)\n", program->overlaps[i].name,
                (unsigned long long)atomic_load(&program->overlaps[i].seen), program->overlaps[i].need);
}

static void
look_at_the_clock(uint64_t began)
{
    uint64_t passed = now_ms() - began;

    if (passed < (uint64_t)(seconds * 1000) || atomic_load(&over))
        return;
    if (passed < (uint64_t)(seconds * 1000 * MAX_OVERTIME) && !all_overlaps_seen())
        return;
    atomic_store(&over, true);
}

static void *
watch(void *unused)
{
    uint64_t           began = now_ms();
    uint64_t           moved = began;
    unsigned long long last = 0;

    (void)unused;
    while (!atomic_load(&finished)) {
        unsigned long long steps = all_steps();

        if (steps != last)
            moved = now_ms();
        last = steps;
        if (now_ms() - moved > STUCK_MS) {
            print_where_all_are();
            stress_fail("no step for a minute");
        }
        look_at_the_clock(began);
        nanosleep(&(struct timespec){0, 20000000}, NULL);
    }
    return NULL;
}

/* ---- The run ----------------------------------------------------------------------------------------------------- */

static void *
run_worker(void *arg)
{
    stress_me = arg;
    if (stress_me->index < threads)
        program->work(stress_me);
    else
        program->aside(stress_me);
    stress_phase(stress_me, "ended");
    return NULL;
}

static pthread_t
start(void *(*main)(void *), void *arg)
{
    pthread_t t;

    if (pthread_create(&t, NULL, main, arg) != 0)
        stress_fail("pthread_create failed");
    return t;
}

static bool
parse(int argc, char **argv)
{
    seed = (uint64_t)time(NULL) * 1000003 + now_ms();
    for (int i = 1; i < argc; i += 2) {
        if (i + 1 == argc)
            return false;
        if (strcmp(argv[i], "--seed") == 0)
            seed = strtoull(argv[i + 1], NULL, 0);
        else if (strcmp(argv[i], "--seconds") == 0)
            seconds = strtod(argv[i + 1], NULL);
        else if (strcmp(argv[i], "--threads") == 0)
            threads = (unsigned)strtoul(argv[i + 1], NULL, 0);
        else
            return false;
    }
    return seconds > 0 && threads >= 1 && threads <= MAX_THREADS;
}

static void
prepare_workers(void)
{
    uint64_t state = seed * 0x9e3779b97f4a7c15 + 1;

    for (unsigned i = 0; i < threads + 2; i++) {
        workers[i].index = i;
        workers[i].random = stress_next(&state) | 1;
        atomic_store(&workers[i].phase, "starting");
    }
}

static void
run_threads(void)
{
    pthread_t t[MAX_THREADS + 1];
    unsigned  n = threads + (program->aside ? 1 : 0);

    for (unsigned i = 0; i < n; i++)
        t[i] = start(run_worker, &workers[i]);
    for (unsigned i = 0; i < n; i++)
        pthread_join(t[i], NULL);
}

static void
print_stats(void)
{
    struct wane_stats s;

    wane_stats(&s);
    printf("  born %llu, died %llu, of these in cycles %llu; queued %llu, merged %llu, displaced %llu, claims %llu, "
           "grace periods %llu, collections %llu, finalized %llu, records %llu\n",
           (unsigned long long)s.objects_born, (unsigned long long)s.objects_died,
           (unsigned long long)s.died_in_cycles, (unsigned long long)s.queued, (unsigned long long)s.merged,
           (unsigned long long)s.displaced, (unsigned long long)s.claims, (unsigned long long)s.grace_periods,
           (unsigned long long)s.collections, (unsigned long long)s.finalized, (unsigned long long)s.records);
}

int
stress_main(int argc, char **argv, const struct stress *p)
{
    pthread_t watchdog;

    program = p;
    path = argv[0];
    if (!parse(argc, argv)) {
        fprintf(stderr, "usage: %s [--seed X] [--seconds S] [--threads N]\n", path);
        return 2;
    }
    printf("%s: seed %llu\n", p->name, (unsigned long long)seed);
    print_replay(stdout);
    fflush(stdout);
    prepare_workers();
    stress_me = &workers[threads + 1];
    watchdog = start(watch, NULL);
    stress_phase(stress_me, "beginning");
    p->begin(threads);
    stress_phase(stress_me, "waiting for the workers");
    run_threads();
    stress_phase(stress_me, "the census");
    p->end(threads);
    stress_phase(stress_me, "shutting down");
    if (wane_shutdown() != 0)
        stress_fail("objects are left at shutdown");
    atomic_store(&finished, true);
    pthread_join(watchdog, NULL);
    printf("  %llu steps\n", all_steps());
    print_stats();
    print_overlaps(stdout);
    if (!all_overlaps_seen())
        stress_fail("overlap not seen");
    printf("%s: ok\n", p->name);
    return 0;
}
