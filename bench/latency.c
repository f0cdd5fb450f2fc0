/* SPDX-License-Identifier: MIT
 *
 * latency.c - how long each call takes its caller, while the collector is at work beside
 *
 *   calls   mutators make rings with an edge into a live heap, swap slots, read; every call is timed by itself
 *   gaps    a thread that looks at the clock every 10 us, with automatic collection and without, in turns of a second
 *
 * A call's time by the clock has in it what the system gave to other threads meanwhile. So each call above 5 us is looked at
 * again by CPU time: what the thread has used since the section's beginning, a few us before, so a bound from above. `slept`
 * counts those in which the thread went to sleep by itself: a lock, or the kernel's one around the address space. Two looks
 * at the clock are in each figure; the first row shows what they take. Beside the longest, which on a virtual machine may be the
 * host's, stands what all calls but ten kept: a pause that comes of the library's own work comes again.
 *
 * --json FILE: {"cores": N, "load": L, "live": N, "threads": N, "seconds": S, "collections": N, "freed_in_cycles": N,
 *   "calls": [ROW ..], "gaps": [ROW (off), ROW (on)], "objects_left": N}
 *   ROW: {"name": TEXT, "count": N, "p50", "p99", "p99.9", "p99.99", "max", "cpu_p99.99", "cpu_but_10", "cpu_max": nanoseconds,
 *         "slept": N}
 */
#include "latency.h"

#include <wane/collector.h>

#define BACKLOG 2000000 /* objects that may wait for the collector: a mutator that runs ahead sleeps */

static struct {
    bool        quick;
    long        live;
    const char *json;
} set;

static struct mutator    mutator[THREADS_MOST];
static pthread_barrier_t start;
static int               over; /* a */
static uint64_t          start_alive;

/* ---- Threads --------------------------------------------------------------------------------------------------------- */

static void *
mutate(void *arg)
{
    struct mutator *m = arg;

    WANE_SECTION
        wane_put(&shared.theirs[m->number], node_new());
    pthread_barrier_wait(&start);
    mutator_woke(m);
    for (uint64_t i = 0; !__atomic_load_n(&over, __ATOMIC_RELAXED); i++) {
        mutator_round(m, i);
        if (i % 50 != 0)
            continue;
        do
            usleep(500); /* a load that the collector can follow */
        while (i % 1000 == 0 && alive() - start_alive > BACKLOG && !__atomic_load_n(&over, __ATOMIC_RELAXED));
        mutator_woke(m);
    }
    pthread_barrier_wait(&start); /* before it ends: nobody's mail is left behind */
    wane_release(m->vec);
    return NULL;
}

static void
mutate_all(double length)
{
    pthread_barrier_init(&start, NULL, (unsigned)shared.threads + 1);
    over = 0;
    for (int i = 0; i < shared.threads; i++) {
        mutator_begin(&mutator[i], i);
        if (pthread_create(&mutator[i].thread, NULL, mutate, &mutator[i]) != 0)
            must(NULL);
    }
    pthread_barrier_wait(&start);
    usleep((useconds_t)(length * 1e6));
    __atomic_store_n(&over, 1, __ATOMIC_RELAXED);
    pthread_barrier_wait(&start);
    for (int i = 0; i < shared.threads; i++)
        pthread_join(mutator[i].thread, NULL);
    pthread_barrier_destroy(&start);
    for (int i = 0; i < shared.threads; i++) {
        wane_release(shared.given[i]);
        wane_release(shared.sent[i]);
        shared.given[i] = shared.sent[i] = NULL;
    }
}

/* ---- Gaps ------------------------------------------------------------------------------------------------------------ */

static struct {
    struct histogram wall[2], cpu[2]; /* [1]: with automatic collection */
    int              on;              /* a: which is measured */
} gap;

/* What a thread that calls nothing sees. */
static void *
tick(void *unused)
{
    uint64_t last = now_ns(), used = clock_ns(CLOCK_THREAD_CPUTIME_ID);

    (void)unused;
    while (!__atomic_load_n(&over, __ATOMIC_RELAXED)) {
        uint64_t now, use;
        int      on = __atomic_load_n(&gap.on, __ATOMIC_RELAXED);

        while ((now = now_ns()) - last < 10000)
            ;
        use = clock_ns(CLOCK_THREAD_CPUTIME_ID);
        histogram_add(&gap.wall[on], now - last);
        histogram_add(&gap.cpu[on], use - used);
        last = now;
        used = use;
    }
    return NULL;
}

/* One more mutator works, but its calls do not count. */
static void
gaps(int slices)
{
    pthread_t      ticker;
    struct mutator m = {0};

    mutator_begin(&m, 0);
    over = 0;
    if (pthread_create(&ticker, NULL, tick, NULL) != 0)
        must(NULL);
    for (int slice = 0; slice < slices; slice++) {
        uint64_t began = now_ns();

        (void)wane_set_automatic(slice % 2);
        __atomic_store_n(&gap.on, slice % 2, __ATOMIC_RELAXED);
        for (uint64_t i = 0; now_ns() - began < 1000000000; i++) {
            mutator_round(&m, i);
            if (i % 50 == 0)
                usleep(500);
        }
    }
    __atomic_store_n(&over, 1, __ATOMIC_RELAXED);
    pthread_join(ticker, NULL);
    (void)wane_set_automatic(true);
    wane_release(m.vec);
    mutator[0].awaited += m.awaited;
    mutator[0].scheduled += m.scheduled;
    free(m.wall);
    free(m.cpu);
}

/* ---- What came out --------------------------------------------------------------------------------------------------- */

static void
print_time(double ns)
{
    if (ns < 10000)
        printf(" %6.0f ns", ns);
    else if (ns < 10e6)
        printf(" %6.1f us", ns / 1e3);
    else
        printf(" %6.1f ms", ns / 1e6);
}

/* A bucket ends behind what is in it. */
static double
bounded(const struct histogram *h, double share)
{
    double at = histogram_at(h, share) * 1e3;

    return at < (double)h->worst ? at : (double)h->worst;
}

static void
row(FILE *json, bool first, const char *name, const struct histogram *wall, const struct histogram *cpu, uint64_t slept)
{
    static const double      share[] = {0.5, 0.99, 0.999, 0.9999};
    static const char *const field[] = {"p50", "p99", "p99.9", "p99.99"};
    double                   cpu_far = bounded(cpu, 0.9999);
    double                   cpu_but_ten = cpu->total > 10 ? bounded(cpu, 1 - 10.0 / (double)cpu->total) : (double)cpu->worst;

    printf("  %-34s %9llu", name, (unsigned long long)wall->total);
    fprintf(json, "%s\n  {\"name\": \"%s\", \"count\": %llu", first ? "" : ",", name, (unsigned long long)wall->total);
    for (int i = 0; i < 4; i++) {
        double at = bounded(wall, share[i]);

        print_time(at);
        fprintf(json, ", \"%s\": %.0f", field[i], at);
    }
    print_time((double)wall->worst);
    printf("  |");
    print_time(cpu_far);
    print_time(cpu_but_ten);
    print_time((double)cpu->worst);
    printf(" %6llu\n", (unsigned long long)slept);
    fprintf(json, ", \"max\": %llu, \"cpu_p99.99\": %.0f, \"cpu_but_10\": %.0f, \"cpu_max\": %llu, \"slept\": %llu}",
            (unsigned long long)wall->worst, cpu_far, cpu_but_ten, (unsigned long long)cpu->worst, (unsigned long long)slept);
}

static void
rows(FILE *json)
{
    printf("  %-34s %9s %9s %9s %9s %9s %9s  | %9s %9s %9s %6s\n", "", "count", "p50", "p99", "p99.9", "p99.99", "max",
           "CPU 99.99", "but ten", "CPU max", "slept");
    fprintf(json, " \"calls\": [");
    for (int call = 0; call < CALLS; call++) {
        struct mutator *sum = &mutator[0];

        for (int i = 1; i < shared.threads; i++) {
            histogram_join(&sum->wall[call], &mutator[i].wall[call]);
            histogram_join(&sum->cpu[call], &mutator[i].cpu[call]);
            sum->slept[call] += mutator[i].slept[call];
        }
        row(json, call == 0, call_names[call], &sum->wall[call], &sum->cpu[call], sum->slept[call]);
    }
    fprintf(json, "],\n \"gaps\": [");
    row(json, true, "gaps of 10 us, collections off", &gap.wall[0], &gap.cpu[0], 0);
    row(json, false, "gaps of 10 us, collections on", &gap.wall[1], &gap.cpu[1], 0);
    fprintf(json, "],\n");
}

/* All that was made is gone, all that was promised was done: how many objects are too many. */
static uint64_t
drop_all(void)
{
    uint64_t awaited = 0, scheduled = 0;

    for (int i = 0; i < PLACES; i++)
        wane_clear(&shared.place[i]);
    for (int i = 0; i < THREADS_MOST; i++) {
        wane_clear(&shared.theirs[i]);
        wane_release(shared.given[i]);
        wane_release(shared.sent[i]);
        awaited += mutator[i].awaited;
        scheduled += mutator[i].scheduled;
    }
    wane_release(shared.map);
    wane_release(shared.weakmap);
    (void)wane_unshare(shared.hot);
    wane_release(shared.hot);
    (void)wane_barrier();
    heap_drop(&shared.heap);
    if (shared.notified != awaited || shared.freed != scheduled || stats().lost_units) {
        fprintf(stderr, "bench: %llu of %llu notified, %llu of %llu freed, %llu units lost\n",
                (unsigned long long)shared.notified, (unsigned long long)awaited, (unsigned long long)shared.freed,
                (unsigned long long)scheduled, (unsigned long long)stats().lost_units);
        exit(1);
    }
    return (uint64_t)wane_shutdown();
}

/* ---- Main ------------------------------------------------------------------------------------------------------------ */

static int
measure(FILE *json)
{
    double            length = set.quick ? 8 : 60, load = 0;
    struct wane_stats s0, s;
    uint64_t          left;

    (void)getloadavg(&load, 1);
    heap_make(&shared.heap, set.live, false);
    shared.map = must(wane_map_new());
    shared.weakmap = must(wane_weakmap_new());
    shared.hot = node_new();
    if (wane_share(shared.hot) != 0)
        must(NULL);
    s0 = stats();
    start_alive = alive();
    mutate_all(length);
    s = stats();
    gaps(set.quick ? 6 : 30);
    printf("latency: %ld live objects, %ld mutators for %.0f s, %ld cores, load %.1f before; %llu collections freed %llu\n",
           set.live, shared.threads, length, sysconf(_SC_NPROCESSORS_ONLN), load,
           (unsigned long long)(s.collections - s0.collections), (unsigned long long)(s.died_in_cycles - s0.died_in_cycles));
    fprintf(json, "{\"cores\": %ld, \"load\": %.1f, \"live\": %ld, \"threads\": %ld, \"seconds\": %.0f, \"collections\": %llu, "
            "\"freed_in_cycles\": %llu,\n", sysconf(_SC_NPROCESSORS_ONLN), load, set.live, shared.threads, length,
            (unsigned long long)(s.collections - s0.collections), (unsigned long long)(s.died_in_cycles - s0.died_in_cycles));
    rows(json);
    left = drop_all();
    fprintf(json, " \"objects_left\": %llu}\n", (unsigned long long)left);
    if (left)
        fprintf(stderr, "bench: %llu objects are left\n", (unsigned long long)left);
    return left ? 1 : 0;
}

int
main(int argc, char **argv)
{
    FILE *json;
    int   result;

    shared.threads = 2;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--quick") == 0)
            set.quick = true;
        else if (strcmp(argv[i], "--live") == 0 && i + 1 < argc)
            set.live = atol(argv[++i]);
        else if (strcmp(argv[i], "--threads") == 0 && i + 1 < argc)
            shared.threads = atol(argv[++i]);
        else if (strcmp(argv[i], "--json") == 0 && i + 1 < argc)
            set.json = argv[++i];
        else
            shared.threads = 0;
    }
    if (shared.threads < 2 || shared.threads > THREADS_MOST || set.live < 0) {
        fprintf(stderr, "usage: bench_latency [--quick] [--live N] [--threads 2 .. %d] [--json FILE]\n", THREADS_MOST);
        return 2;
    }
    if (!set.live)
        set.live = set.quick ? 200000 : 5000000;
    if (!(json = fopen(set.json ? set.json : "/dev/null", "w"))) {
        perror(set.json);
        return 1;
    }
    result = measure(json);
    if (fclose(json) != 0 && result == 0) {
        perror(set.json);
        return 1;
    }
    return result;
}
