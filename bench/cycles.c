/* SPDX-License-Identifier: MIT
 *
 * cycles.c - what the cycle collector costs: rate, pauses that mutators see, CPU, memory
 *
 *   growth   one wane_collect over n objects of garbage, for shapes and for n: CPU time an object, and the exponent of growth
 *   rings    a mutator drops rings of 2 .. 10 beside a live heap; v0 isolated, v1 with an edge to a random live object, v2 the
 *            same and the live heap is one list. Millions made and freed a second, objects visited for each freed
 *   quiet    a live heap under retains, releases and stores, without garbage: the collector's share of a core
 *   pauses   mutators time each call, and a ticker each gap, with automatic collection and without, interleaved
 *
 * CPU is what the library's thread has used, as the kernel counts it. Every figure of a comparison comes from one run.
 */
#include "heap.h"

#include <math.h>

#include <wane/collector.h>

static struct {
    bool        quick;
    long        live;
    const char *shape; /* of growth: only this one, */
    long        size;  /* .. or only so many objects */
} set;

static struct heap heap; /* the live one */
static uint64_t    seed = 88172645463325252u;

/* ---- Growth -------------------------------------------------------------------------------------------------------- */

/* Each makes n objects of garbage in a section of its own, or several. */

static void
make_pairs(long n)
{
    for (long i = 0; i < n; i += 2)
        WANE_SECTION
            wane_release(ring_new(2));
}

static void
make_ring(long n)
{
    WANE_SECTION
        wane_release(ring_new(n));
}

/* Pairs, each of which holds the next: from the last to the first. */
static void
make_chain(long n)
{
    struct node *next = NULL;

    for (long i = 0; i < n; i += 2)
        WANE_SECTION {
            struct node *pair = ring_new(2);

            if (next)
                wane_put_private(&pair->b, next);
            next = pair;
        }
    wane_release(next);
}

struct star {
    size_t    count;
    wane_slot spoke[];
};

static void
star_trace(const void *object, struct wane_visitor *visitor)
{
    const struct star *s = object;

    wane_visit_array(visitor, s->spoke, s->count);
}

static struct wane_type star_type = {.name = "star", .size = sizeof(struct star), .trace = star_trace, .flags = WANE_SIZED};

static struct star *
star_new(long n)
{
    struct star *s = must(wane_new_sized(&star_type, sizeof *s + (size_t)n * sizeof s->spoke[0]));

    s->count = (size_t)n;
    return s;
}

/* A hub and its spokes, which all point back. */
static void
make_star(long n)
{
    struct star *s;

    WANE_SECTION {
        s = star_new(n - 1);
        for (long i = 0; i < n - 1; i++) {
            struct node *spoke = node_new();

            wane_set(&spoke->a, s);
            wane_put_private(&s->spoke[i], spoke);
        }
    }
    wane_release(s);
}

#define CLIQUE 32

/* Groups of which each member points to all. */
static void
make_cliques(long n)
{
    for (long made = 0; made < n; made += CLIQUE)
        WANE_SECTION {
            struct star *member[CLIQUE];

            for (int i = 0; i < CLIQUE; i++)
                member[i] = star_new(CLIQUE);
            for (int i = 0; i < CLIQUE; i++)
                for (int k = 0; k < CLIQUE; k++)
                    wane_set(&member[i]->spoke[k], member[k]);
            for (int i = 0; i < CLIQUE; i++)
                wane_release(member[i]);
        }
}

static const struct shape {
    const char *name;
    void (*make)(long n);
    int edges; /* of an object */
} shapes[] = {{"pairs", make_pairs, 1}, {"chain of pairs", make_chain, 2}, {"ring", make_ring, 1}, {"star", make_star, 2},
              {"cliques of 32", make_cliques, 32}};

/* Nanoseconds an object. */
struct cost {
    double cpu, phase[WANE_PHASES];
};

/* Of one collection of n objects, on this thread. */
static struct cost
collect_cost(const struct shape *s, long n)
{
    struct wane_collected c;
    struct cost           cost;
    uint64_t              used, begin[WANE_PHASES], end[WANE_PHASES];

    s->make(n);
    wane_phases(begin);
    used = clock_ns(CLOCK_THREAD_CPUTIME_ID);
    if (wane_collect(WANE_ALL, &c) != 0 || c.freed + 64 < (size_t)n) {
        fprintf(stderr, "bench: %s of %ld: only %zu freed\n", s->name, n, c.freed);
        exit(1);
    }
    used = clock_ns(CLOCK_THREAD_CPUTIME_ID) - used;
    wane_phases(end);
    cost.cpu = (double)used / (double)c.freed;
    for (int i = 0; i < WANE_PHASES; i++)
        cost.phase[i] = (double)(end[i] - begin[i]) / (double)c.freed;
    return cost;
}

static struct cost
least_cost(const struct shape *s, long n)
{
    struct cost best = {.cpu = 1e18};

    for (int k = 0; k < 3; k++) {
        struct cost one = collect_cost(s, n);

        best = one.cpu < best.cpu ? one : best;
    }
    return best;
}

static long
most_of(const struct shape *s)
{
    return (set.quick ? 100000 : 10000000) / (s->edges > 8 ? 10 : 1);
}

static void
growth_of(const struct shape *s)
{
    static const char *const phases[] = {"suspect", "review", "destroy"};
    struct cost              cost[8];
    int                      n = 0;

    printf("  %-16s", s->name);
    for (long size = set.size ? set.size : 1000; size <= (set.size ? set.size : most_of(s)); size *= 10, n++) {
        cost[n] = least_cost(s, size);
        printf(" %9.0f", cost[n].cpu);
        fflush(stdout);
    }
    printf("%*s  %.3f\n", 10 * ((set.quick ? 3 : 5) - n), "",
           n > 2 ? 1 + log10(cost[n - 1].cpu / cost[1].cpu) / (n - 2) : 1.0);
    for (int p = 0; p < WANE_PHASES; p++) {
        printf("    %-14s", phases[p]);
        for (int i = 0; i < n; i++)
            printf(" %9.0f", cost[i].phase[p]);
        printf("\n");
    }
}

static void
growth(void)
{
    printf("growth: one collection over n objects of garbage; ns of CPU an object (least of three), and of these by the clock\n"
           "  %-16s", "");
    for (long n = set.size ? set.size : 1000; n <= (set.size ? set.size : set.quick ? 100000 : 10000000); n *= 10)
        printf(" %9ld", n);
    printf("  exponent from 10,000 on\n");
    (void)wane_set_automatic(false);
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++)
        if (!set.shape || strcmp(shapes[i].name, set.shape) == 0)
            growth_of(&shapes[i]);
    (void)wane_set_automatic(true);
}

/* ---- Rings beside a live heap -------------------------------------------------------------------------------------- */

/* At most this much garbage waits: a mutator that runs ahead sleeps, so `made` and `freed` agree in the long run. */
#define BACKLOG 2000000

static void
rings(void)
{
    printf("rings: of 2 .. 10, dropped beside %ld live objects\n", set.live);
    for (int variant = 0; variant <= 2; variant++) {
        double            length = set.quick ? 3 : 15, used, peak = 0, base;
        struct wane_stats s0, s;
        uint64_t          start, made = 0, before;

        heap_make(&heap, set.live, variant == 2);
        before = alive();
        base = resident_mb();
        s0 = stats();
        used = driver_cpu();
        start = now_ns();
        while (seconds(now_ns() - start) < length) {
            for (int i = 0; i < 1000; i++)
                WANE_SECTION {
                    long         n = 2 + (long)(random_next(&seed) % 9);
                    struct node *r = ring_new(n);

                    if (variant)
                        wane_set(&r->b, heap_any(&heap, &seed));
                    wane_release(r);
                    made += (uint64_t)n;
                }
            while (alive() - before > BACKLOG && seconds(now_ns() - start) < length)
                usleep(1000);
            peak = resident_mb() > peak ? resident_mb() : peak;
        }
        s = stats();
        used = driver_cpu() - used;
        length = seconds(now_ns() - start);
        printf("  v%d: made %.2f M/s, freed %.2f M/s, visited/freed %.2f, collector %.0f %% of a core, %.0f MB above heap\n",
               variant, (double)made / length / 1e6, (double)(s.died_in_cycles - s0.died_in_cycles) / length / 1e6,
               (double)(s.examined - s0.examined) / (double)(s.died_in_cycles - s0.died_in_cycles), 100 * used / length,
               peak - base);
        fflush(stdout);
        heap_drop(&heap);
    }
}

/* ---- A quiet heap ----------------------------------------------------------------------------------------------------- */

#define RATE 1000000 /* operations a second, each a retain and a release of an object, or a store over another */

static uint64_t
churn_for(double length)
{
    uint64_t start = now_ns(), done = 0;

    while (seconds(now_ns() - start) < length) {
        double passed;

        while ((passed = seconds(now_ns() - start)) < length && (double)done < passed * RATE)
            WANE_SECTION
                for (int i = 0; i < 64; i++, done++) {
                    struct node *n = heap_any(&heap, &seed);
                    struct node *m = heap_any(&heap, &seed);

                    if (done % 2)
                        wane_release(wane_retain(n));
                    else
                        wane_set(&n->a, m);
                }
        usleep(100);
    }
    return done;
}

static void
quiet(void)
{
    double            length = set.quick ? 10 : 60, used, base;
    uint64_t          done;
    struct wane_stats s0, s;

    heap_make(&heap, set.live, false);
    (void)churn_for(length / 10);
    base = resident_mb();
    s0 = stats();
    used = driver_cpu();
    done = churn_for(length);
    used = driver_cpu() - used;
    s = stats();
    printf("quiet: %ld live objects, %.2f M retains and stores a second, no garbage, %.0f s\n", set.live,
           (double)done / length / 1e6, length);
    printf("  collector %.1f %% of a core; %llu collections, %llu objects examined, %llu freed; %+.0f MB\n", 100 * used / length,
           (unsigned long long)(s.collections - s0.collections), (unsigned long long)(s.examined - s0.examined),
           (unsigned long long)(s.died_in_cycles - s0.died_in_cycles), resident_mb() - base);
    heap_drop(&heap);
}

/* ---- Pauses ------------------------------------------------------------------------------------------------------------ */

static struct {
    struct histogram call[2], gap[2]; /* [1]: with automatic collection */
    int              on;              /* a: which is measured */
    int              over;            /* a */
} pause_of;

/* What a thread that calls nothing sees: the longest time between two looks at the clock, 10 us apart. */
static void *
tick(void *unused)
{
    uint64_t last = now_ns();

    (void)unused;
    while (!__atomic_load_n(&pause_of.over, __ATOMIC_RELAXED)) {
        uint64_t now;

        while ((now = now_ns()) - last < 10000)
            ;
        histogram_add(&pause_of.gap[__atomic_load_n(&pause_of.on, __ATOMIC_RELAXED)], now - last);
        last = now;
    }
    return NULL;
}

static void
timed_ring(struct histogram *h)
{
    uint64_t     t[6];
    struct node *r;

    t[0] = now_ns();
    wane_enter();
    t[1] = now_ns();
    r = ring_new(2);
    t[2] = now_ns();
    wane_set(&r->b, heap_any(&heap, &seed));
    t[3] = now_ns();
    wane_release(r);
    t[4] = now_ns();
    wane_leave();
    t[5] = now_ns();
    for (int i = 0; i < 5; i++)
        histogram_add(h, t[i + 1] - t[i]);
}

static void
pauses(void)
{
    pthread_t ticker;
    uint64_t  slices = set.quick ? 6 : 30;

    heap_make(&heap, set.live, false);
    memset(&pause_of, 0, sizeof pause_of);
    pthread_create(&ticker, NULL, tick, NULL);
    for (uint64_t slice = 0; slice < slices; slice++) { /* a second each, with and without in turns */
        int      on = slice % 2;
        uint64_t start = now_ns();

        (void)wane_set_automatic(on);
        __atomic_store_n(&pause_of.on, on, __ATOMIC_RELAXED);
        while (now_ns() - start < 1000000000) {
            for (int i = 0; i < 100; i++)
                timed_ring(&pause_of.call[on]);
            usleep(500); /* a load that one core of two can collect */
        }
    }
    __atomic_store_n(&pause_of.over, 1, __ATOMIC_RELAXED);
    pthread_join(ticker, NULL);
    (void)wane_set_automatic(true);
    printf("pauses: rings of 2 beside %ld live objects; each call timed, and a ticker of 10 us\n", set.live);
    histogram_print("calls, collections off", &pause_of.call[0]);
    histogram_print("calls, collections on", &pause_of.call[1]);
    histogram_print("gaps of the ticker, off", &pause_of.gap[0]);
    histogram_print("gaps of the ticker, on", &pause_of.gap[1]);
    heap_drop(&heap);
}

/* ---- Main ---------------------------------------------------------------------------------------------------------------- */

static const struct part {
    const char *name;
    void (*run)(void);
} parts[] = {{"growth", growth}, {"rings", rings}, {"quiet", quiet}, {"pauses", pauses}};

static int
usage(void)
{
    fprintf(stderr, "usage: bench_cycles [--quick] [--live N] [--shape NAME] [--size N] [growth] [rings] [quiet] [pauses]\n");
    return 2;
}

int
main(int argc, char **argv)
{
    bool wanted[4] = {false}, any = false;

    set.live = 0;
    for (int i = 1; i < argc; i++) {
        size_t p = 0;

        if (strcmp(argv[i], "--quick") == 0) {
            set.quick = true;
            continue;
        }
        if (strcmp(argv[i], "--live") == 0 && i + 1 < argc) {
            set.live = atol(argv[++i]);
            continue;
        }
        if (strcmp(argv[i], "--shape") == 0 && i + 1 < argc) {
            set.shape = argv[++i];
            continue;
        }
        if (strcmp(argv[i], "--size") == 0 && i + 1 < argc) {
            set.size = atol(argv[++i]);
            continue;
        }
        while (p < 4 && strcmp(argv[i], parts[p].name) != 0)
            p++;
        if (p == 4)
            return usage();
        wanted[p] = any = true;
    }
    if (set.live <= 0)
        set.live = set.quick ? 200000 : 5000000;
    for (size_t p = 0; p < 4; p++)
        if (!any || wanted[p])
            parts[p].run();
    return wane_shutdown() == 0 ? 0 : 1;
}
