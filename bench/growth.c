/* SPDX-License-Identifier: MIT
 *
 * growth.c - what happens to costs when something grows: the live heap, garbage, threads, sections, backlogs
 *
 *   live     retain and release, a store, a new object, beside more and more live objects
 *   rate     rings of 2 at more and more a second: CPU of all other threads for each object freed
 *   threads  more and more threads on the same cores; a barrier beside them
 *   section  more and more operations in one section, of which each makes an object and displaces the one before
 *   backlog  a reader stays in its section while more and more units are displaced; it leaves, and they are applied
 *
 * A row ends with its exponent: the slope of log(cost) over log(size), by least squares. A cost for each operation should not
 * grow at all: above 0.1 the row is marked. A cost of the whole may grow as the size does: above 1.1 it is marked. Rows of a
 * plain memory access beside show what is the machine's: what is touched anywhere in a large heap is in no cache.
 * A barrier beside busy threads is given in turns as well, that is in times until each of them has run once: no grace period
 * is shorter, and on fewer cores than threads the scheduler decides how long that is.
 * CPU time is what the kernel has counted; of repeated measurements the least counts, but for barriers: their median.
 *
 * --json FILE: {"cores": N, "load": L, "quick": BOOL, "rows": [ROW ..], "objects_left": N}
 *   ROW: {"part", "name", "unit": TEXT, "sizes": [N ..], "costs": [N or null ..], "exponent": N or null, "most": N,
 *     "marked": BOOL}
 */
#include "heap.h"
#include "rows.h"

#include <wane/memory.h>

#define PLACES       1024
#define THREADS_MOST 64

static struct {
    bool        quick;
    const char *json;
} set;

static struct heap heap;
static wane_slot   place[PLACES]; /* any thread stores there */
static uint64_t    seed = 88172645463325252u;

/* ---- What was used --------------------------------------------------------------------------------------------------- */

static uint64_t
cpu_mine(void)
{
    return clock_ns(CLOCK_THREAD_CPUTIME_ID);
}

static uint64_t
cpu_all(void)
{
    return clock_ns(CLOCK_PROCESS_CPUTIME_ID);
}

/* Every part must leave what it found. */
static void
expect_alive(const char *part, uint64_t before)
{
    uint64_t now;

    for (int i = 0; i < 3 && alive() > before; i++) {
        (void)wane_barrier();
        (void)wane_collect(WANE_ALL, NULL);
    }
    if ((now = alive()) == before && !stats().lost_units)
        return;
    fprintf(stderr, "bench: %s: %llu objects are alive, not %llu; %llu units were lost\n", part, (unsigned long long)now,
            (unsigned long long)before, (unsigned long long)stats().lost_units);
    exit(1);
}

static void
places_clear(void)
{
    for (int i = 0; i < PLACES; i++)
        wane_clear(&place[i]);
}

/* ---- The live heap ------------------------------------------------------------------------------------------------- */

#define TURN 64 /* operations in a section */
#define KEPT 1024

static struct node *kept[KEPT]; /* the same few at every size, from all over the heap */

static uint64_t
own_few(long i)
{
    wane_release(wane_retain(kept[i % KEPT]));
    return 0;
}

static uint64_t
own_any(long i)
{
    (void)i;
    wane_release(wane_retain(heap_any(&heap, &seed)));
    return 0;
}

static uint64_t
plain_any(long i)
{
    (void)i;
    return heap_any(&heap, &seed)->value++;
}

static uint64_t
store_few(long i)
{
    wane_set(&kept[i % KEPT]->a, kept[(i * 7 + i / KEPT) % KEPT]);
    return 0;
}

static uint64_t
store_any(long i)
{
    (void)i;
    wane_set(&heap_any(&heap, &seed)->a, heap_any(&heap, &seed));
    return 0;
}

static uint64_t
make_one(long i)
{
    (void)i;
    wane_release(node_new());
    return 0;
}

static const struct operation {
    const char *name;
    uint64_t (*run)(long i);
} operations[] = {
    {"retain and release, of 1,024", own_few}, {"retain and release, anywhere", own_any}, {"plain ++, anywhere", plain_any},
    {"new and release", make_one}, {"store, anywhere", store_any}, {"store, into 1,024", store_few},
};

#define OPERATIONS (sizeof operations / sizeof operations[0])
#define STORE_FEW  (OPERATIONS - 1)

static uint64_t sink; /* a: so that reads are made */

#define ROUNDS 9

/* Nanoseconds of this thread for each. Of the others, for what that made, too. */
static double
operation_cost(const struct operation *o, long count, double *others)
{
    uint64_t all = cpu_all(), used = cpu_mine(), sum = 0;

    for (long i = 0; i < count; i += TURN)
        WANE_SECTION
            for (long j = 0; j < TURN; j++)
                sum += o->run(i + j);
    used = cpu_mine() - used;
    __atomic_store_n(&sink, sum, __ATOMIC_RELAXED);
    (void)wane_barrier();
    *others = (double)(cpu_all() - all - used) / (double)count;
    return (double)used / (double)count;
}

static void
live_of(long n)
{
    double   cost[OPERATIONS], behind[OPERATIONS], others;
    uint64_t before = alive();

    heap_make(&heap, n, false);
    for (long i = 0; i < KEPT; i++)
        kept[i] = heap.live[i * (n / KEPT)];
    for (int k = 0; k < ROUNDS; k++) /* in turns: what else runs here makes the processor slower for a while */
        for (size_t o = 0; o < OPERATIONS; o++) {
            double one = operation_cost(&operations[o], set.quick ? 64000 : 640000, &others);

            cost[o] = k && cost[o] < one ? cost[o] : one;
            behind[o] = k && behind[o] < others ? behind[o] : others;
        }
    for (size_t o = 0; o < OPERATIONS; o++)
        add("live", operations[o].name, "ns", EACH, (double)n, cost[o]);
    add("live", "  other threads, and a barrier: for each", "ns", EACH, (double)n, behind[STORE_FEW]);
    heap_drop(&heap);
    expect_alive("live", before);
}

static void
live(void)
{
    for (long n = 10000; n <= (set.quick ? 1000000 : 10000000); n *= 10)
        live_of(n);
    print_part("live", "beside so many live objects; CPU time of an operation");
}

/* ---- Garbage ------------------------------------------------------------------------------------------------------- */

/* At this rate for a while; what was reached. */
static double
make_rings(double rate, double length)
{
    uint64_t start = now_ns();
    double   passed, made = 0;

    while ((passed = seconds(now_ns() - start)) < length) {
        while (made < passed * rate && seconds(now_ns() - start) < length)
            WANE_SECTION
                for (int i = 0; i < 8; i++, made++)
                    wane_release(ring_new(2));
        usleep(200);
    }
    return made / passed;
}

static void
rate(void)
{
    double length = set.quick ? 1 : 5;

    for (double wanted = 1e3; wanted <= (set.quick ? 1e5 : 1e6); wanted *= 10) {
        uint64_t before = alive(), all = cpu_all(), mine = cpu_mine(), ended;
        double   reached = make_rings(wanted, length);

        ended = now_ns();
        while (alive() > before && seconds(now_ns() - ended) < 30)
            usleep(1000);
        add("rate", "other threads' CPU, for an object freed", "ns", EACH, reached,
            (double)(cpu_all() - all - (cpu_mine() - mine)) / (reached * 2 * length));
        add("rate", "until all are freed, after the last", "ms", WHOLE, reached, seconds(now_ns() - ended) * 1e3);
        expect_alive("rate", before);
    }
    print_part("rate", "rings of 2, so many a second");
}

/* ---- Threads ------------------------------------------------------------------------------------------------------- */

static pthread_barrier_t gate;
static long              share; /* operations of each thread */
static int               over;  /* a */
static uint64_t          worked; /* a: CPU time of all of them */

static struct {
    uint64_t round; /* a: the last that the thread has seen */
    char     apart[120];
} seen[THREADS_MOST];
static uint64_t now_round; /* a */

static uint64_t
mixed(uint64_t *state, struct node *own, long turns)
{
    uint64_t sum = 0;

    for (long t = 0; t < turns; t++)
        WANE_SECTION
            for (int i = 0; i < TURN; i += 4) {
                wane_slot   *at = &place[random_next(state) % PLACES];
                struct node *n;

                wane_release(wane_retain(own));
                if ((n = wane_peek(&place[random_next(state) % PLACES])))
                    sum += n->value;
                wane_set(at, own);
                wane_put(at, node_new());
            }
    return sum;
}

static void *
work(void *arg)
{
    size_t       number = (size_t)(uintptr_t)arg;
    uint64_t     state = 88172645463325252u + number * 7919, used, sum;
    struct node *own;

    WANE_SECTION
        own = node_new();
    sum = mixed(&state, own, 16);
    pthread_barrier_wait(&gate);
    pthread_barrier_wait(&gate); /* all clocks were read */
    used = cpu_mine();
    sum += mixed(&state, own, share / TURN);
    __atomic_fetch_add(&worked, cpu_mine() - used, __ATOMIC_RELAXED);
    pthread_barrier_wait(&gate);
    pthread_barrier_wait(&gate); /* idle */
    while (!__atomic_load_n(&over, __ATOMIC_RELAXED)) {
        sum += mixed(&state, own, 1);
        __atomic_store_n(&seen[number].round, __atomic_load_n(&now_round, __ATOMIC_RELAXED), __ATOMIC_RELAXED);
    }
    wane_release(own);
    __atomic_store_n(&sink, sum, __ATOMIC_RELAXED);
    return NULL;
}

static int
less(const void *a, const void *b)
{
    return *(const double *)a < *(const double *)b ? -1 : 1;
}

/* Microseconds until each thread came by once: no grace period is shorter. */
static double
turn_median(int times, int count)
{
    double took[32];

    for (int i = 0; i < times; i++) {
        uint64_t start = now_ns(), round = __atomic_add_fetch(&now_round, 1, __ATOMIC_RELAXED);

        for (int t = 0; t < count;)
            if (__atomic_load_n(&seen[t].round, __ATOMIC_RELAXED) == round)
                t++;
            else
                usleep(50);
        took[i] = (double)(now_ns() - start) / 1e3;
    }
    qsort(took, (size_t)times, sizeof *took, less);
    return took[times / 2];
}

/* Microseconds until what this thread has displaced is given back. */
static double
barrier_median(int times, double *cpu)
{
    double   took[32];
    uint64_t used = cpu_mine(), first = now_ns();
    int      n = 0;

    while (n < times && seconds(now_ns() - first) < (set.quick ? 3 : 30)) {
        uint64_t start;

        wane_clear(&place[n]);
        start = now_ns();
        (void)wane_barrier();
        took[n++] = (double)(now_ns() - start) / 1e3;
    }
    *cpu = (double)(cpu_mine() - used) / 1e3 / n;
    qsort(took, (size_t)n, sizeof *took, less);
    return took[n / 2];
}

static void
threads_of(int count, long operations_all)
{
    pthread_t thread[THREADS_MOST];
    uint64_t  before = alive(), all;
    double    cpu, others, turn, barrier, settled;
    int       times = set.quick ? 5 : 15;

    share = operations_all / count;
    over = 0;
    worked = 0;
    pthread_barrier_init(&gate, NULL, (unsigned)count + 1);
    for (int i = 0; i < count; i++)
        if (pthread_create(&thread[i], NULL, work, (void *)(uintptr_t)i) != 0)
            must(NULL);
    pthread_barrier_wait(&gate);
    all = cpu_all(); /* nobody works */
    pthread_barrier_wait(&gate);
    pthread_barrier_wait(&gate);
    settled = (double)now_ns();
    (void)wane_barrier();
    settled = (double)now_ns() - settled;
    others = (double)(cpu_all() - all) - (double)worked;
    add("threads", "mixed load, own CPU of an operation", "ns", EACH, count, (double)worked / (double)operations_all);
    add("threads", "  other threads: for each", "ns", EACH, count, fmax(others, 0) / (double)operations_all);
    add("threads", "  until all of it is given back, after", "ms", WHOLE, count, settled / 1e6);
    add("threads", "wane_barrier, all idle", "us", WHOLE, count, barrier_median(21, &cpu));
    add("threads", "  CPU of its caller", "us", WHOLE, count, cpu);
    pthread_barrier_wait(&gate);
    turn = turn_median(times, count);
    barrier = barrier_median(times, &cpu);
    add("threads", "all busy: a turn, until each has run once", "us", WHOLE, count, turn);
    add("threads", "wane_barrier, all busy", "us", WHOLE, count, barrier);
    add("threads", "  in turns", "turns", EACH, count, barrier / turn);
    add("threads", "  CPU of its caller, all busy", "us", WHOLE, count, cpu);
    __atomic_store_n(&over, 1, __ATOMIC_RELAXED);
    for (int i = 0; i < count; i++)
        pthread_join(thread[i], NULL);
    pthread_barrier_destroy(&gate);
    places_clear();
    expect_alive("threads", before);
}

static void
threads(void)
{
    for (int count = 1; count <= (set.quick ? 16 : THREADS_MOST); count *= set.quick ? 4 : 2)
        threads_of(count, set.quick ? 6400000 : 64000000);
    print_part("threads", "so many threads share a mixed load, with one slot for all of 1,024");
}

/* ---- Sections ------------------------------------------------------------------------------------------------------ */

static void
section_of(long length, long operations_all)
{
    long     sections = operations_all / length;
    uint64_t all = cpu_all(), used = cpu_mine(), own;
    size_t   base = wane_budget_used(), peak = 0;
    uint64_t before = stats().displaced - stats().applied;
    double   waiting;

    for (long s = 0; s < sections; s++) {
        wane_enter();
        for (long i = 0; i < length; i++)
            wane_put(&place[i % PLACES], node_new());
        if (s % (sections / 64 + 1) == 0) {
            size_t now = wane_budget_used();

            peak = now > base && now - base > peak ? now - base : peak;
        }
        wane_leave();
    }
    own = cpu_mine() - used;
    waiting = (double)(stats().displaced - stats().applied - before) / (double)operations_all;
    (void)wane_barrier();
    add("section", "new and put, own CPU of an operation", "ns", EACH, (double)length, (double)own / (double)operations_all);
    add("section", "  all threads, until it is given back", "ns", EACH, (double)length,
        (double)(cpu_all() - all) / (double)operations_all);
    add("section", "most that objects took", "KB", WHOLE, (double)length, (double)peak / 1e3);
    add("section", "units that wait in the end, of all", "%", EACH, (double)length, fmax(100 * waiting, 0));
}

static void
section(void)
{
    long     most = set.quick ? 100000 : 1000000;
    uint64_t before = alive();

    for (long length = 10; length <= most; length *= 10) {
        section_of(length, length * 10 > most ? length * 10 : most); /* at most a tenth of it is of the last section */
        places_clear();
        expect_alive("section", before);
    }
    print_part("section", "so many operations in a section, each makes an object and displaces one");
}

/* ---- Backlogs ------------------------------------------------------------------------------------------------------ */

/* It does what one should not. */
static void *
stay(void *unused)
{
    (void)unused;
    WANE_SECTION {
        pthread_barrier_wait(&gate);
        pthread_barrier_wait(&gate);
    }
    return NULL;
}

static void
backlog_of(long units)
{
    pthread_t reader;
    double    resident = resident_mb(), displaced, applied;
    uint64_t  used, start;

    pthread_barrier_init(&gate, NULL, 2);
    if (pthread_create(&reader, NULL, stay, NULL) != 0)
        must(NULL);
    pthread_barrier_wait(&gate);
    used = cpu_all();
    for (long i = 0; i < units;)
        WANE_SECTION
            for (int j = 0; j < TURN; j++, i++)
                wane_set(&place[i % PLACES], kept[(i * 7 + i / PLACES) % KEPT]);
    displaced = (double)(cpu_all() - used) / (double)units;
    resident = resident_mb() - resident;
    used = cpu_all();
    start = now_ns();
    pthread_barrier_wait(&gate);
    pthread_join(reader, NULL);
    (void)wane_barrier();
    start = now_ns() - start;
    applied = (double)(cpu_all() - used) / (double)units;
    pthread_barrier_destroy(&gate);
    add("backlog", "to displace a unit, CPU of all threads", "ns", EACH, (double)units, displaced);
    add("backlog", "to apply it, CPU of all threads", "ns", EACH, (double)units, applied);
    add("backlog", "to apply all, by the clock", "ms", WHOLE, (double)units, (double)start / 1e6);
    add("backlog", "bytes of the process, a unit", "B", EACH, (double)units,
        units < 1000000 ? (double)NAN : resident * 1e6 / (double)units); /* few fit into what was free already */
}

static void
backlog(void)
{
    uint64_t before = alive();

    WANE_SECTION
        for (int i = 0; i < KEPT; i++)
            kept[i] = node_new();
    for (long units = 1000; units <= 10000000; units *= 10) {
        backlog_of(units);
        places_clear();
        (void)wane_barrier();
        malloc_trim(0);
    }
    for (int i = 0; i < KEPT; i++)
        wane_release(kept[i]);
    expect_alive("backlog", before);
    print_part("backlog", "so many units are displaced while a reader stays in its section");
}

/* ---- Main ---------------------------------------------------------------------------------------------------------- */

static const struct part {
    const char *name;
    void (*run)(void);
} parts[] = {{"live", live}, {"rate", rate}, {"threads", threads}, {"section", section}, {"backlog", backlog}};

#define PARTS (sizeof parts / sizeof parts[0])

static int
measure(FILE *json, const bool wanted[PARTS])
{
    double   load = 0;
    uint64_t left;

    (void)getloadavg(&load, 1);
    printf("growth: %ld cores, load %.1f before\n", sysconf(_SC_NPROCESSORS_ONLN), load);
    for (size_t p = 0; p < PARTS; p++)
        if (wanted[p])
            parts[p].run();
    print_marked();
    left = (uint64_t)wane_shutdown();
    fprintf(json, "{\"cores\": %ld, \"load\": %.1f, \"quick\": %s, \"rows\": [", sysconf(_SC_NPROCESSORS_ONLN), load,
            set.quick ? "true" : "false");
    write_rows(json);
    fprintf(json, "],\n \"objects_left\": %llu}\n", (unsigned long long)left);
    if (left)
        fprintf(stderr, "bench: %llu objects are left\n", (unsigned long long)left);
    return left ? 1 : 0;
}

int
main(int argc, char **argv)
{
    bool  wanted[PARTS] = {false}, any = false, wrong = false;
    FILE *json;
    int   result;

    for (int i = 1; i < argc; i++) {
        size_t p = 0;

        while (p < PARTS && strcmp(argv[i], parts[p].name) != 0)
            p++;
        if (strcmp(argv[i], "--quick") == 0)
            set.quick = true;
        else if (strcmp(argv[i], "--json") == 0 && i + 1 < argc)
            set.json = argv[++i];
        else if (p < PARTS)
            wanted[p] = any = true;
        else
            wrong = true;
    }
    if (wrong) {
        fprintf(stderr, "usage: bench_growth [--quick] [--json FILE] [live] [rate] [threads] [section] [backlog]\n");
        return 2;
    }
    for (size_t p = 0; p < PARTS; p++)
        wanted[p] |= !any;
    if (!(json = fopen(set.json ? set.json : "/dev/null", "w"))) {
        perror(set.json);
        return 1;
    }
    result = measure(json, wanted);
    if (fclose(json) != 0 && result == 0) {
        perror(set.json);
        return 1;
    }
    return result;
}
