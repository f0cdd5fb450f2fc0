/* SPDX-License-Identifier: MIT
 *
 * peer.h - what the C and C++ peers of the benchmark share: the command line, threads, clocks, the line that is printed
 *
 *   PEER WORKLOAD THREADS N [SIZE]     N: operations of each thread; SIZE: the live heap, or a depth
 *
 * One line of JSON comes out: operations, ns (wall time), cpu_ns (of the threads that worked), checksum, rss_kb (the most), and
 * what else the workload measures. Exit status 3: the program does not know the workload. run.py knows what checksums must be.
 */
#ifndef PEER_H
#define PEER_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define OBJECTS 64 /* that the rotating loops use */

struct worker {
    int      id, threads;
    uint64_t n, size;
    uint64_t sum;        /* the checksum's part of this thread */
    uint64_t ns, cpu_ns; /* what the thread measured */
    uint64_t start, end;
    void (*fn)(struct worker *);
    pthread_t thread;
};

static struct peer {
    uint64_t          operations, ns, cpu_ns, checksum;
    pthread_barrier_t ready;
    char              extra[12000]; /* more members of the JSON object, each with a comma before it */
} peer;

static inline uint64_t
clock_of(clockid_t clock)
{
    struct timespec t;

    clock_gettime(clock, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static inline uint64_t
wall_ns(void)
{
    return clock_of(CLOCK_MONOTONIC);
}

static inline uint64_t
process_cpu_ns(void)
{
    return clock_of(CLOCK_PROCESS_CPUTIME_ID);
}

/* The compiler must take *p for used and changed. */
static inline void
escape(void *p)
{
    __asm__ volatile("" : : "r"(p) : "memory");
}

static inline uint64_t
random_next(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

#define RANDOM_SEED UINT64_C(88172645463325252)

static inline void *
must(void *p)
{
    if (!p) {
        fprintf(stderr, "peer: out of memory\n");
        exit(1);
    }
    return p;
}

static inline long
status_kb(const char *key)
{
    char  line[200];
    long  kb = 0;
    FILE *f = fopen("/proc/self/status", "r");

    while (f && fgets(line, sizeof line, f))
        if (strncmp(line, key, strlen(key)) == 0)
            kb = atol(line + strlen(key) + 1);
    if (f)
        fclose(f);
    return kb;
}

/* ---- Threads ----------------------------------------------------------------------------------------------------------- */

static void
pin(int id)
{
    cpu_set_t all, one;
    int       count, k = 0;

    if (sched_getaffinity(0, sizeof all, &all) != 0)
        return;
    count = CPU_COUNT(&all);
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
        if (CPU_ISSET(cpu, &all) && k++ == id % count) {
            CPU_ZERO(&one);
            CPU_SET(cpu, &one);
            pthread_setaffinity_np(pthread_self(), sizeof one, &one);
            return;
        }
}

/* The timed part of a worker begins; all of them begin at once. */
static inline void
worker_begin(struct worker *w)
{
    pthread_barrier_wait(&peer.ready);
    w->cpu_ns = clock_of(CLOCK_THREAD_CPUTIME_ID);
    w->start = wall_ns();
}

static inline void
worker_end(struct worker *w)
{
    w->end = wall_ns();
    w->cpu_ns = clock_of(CLOCK_THREAD_CPUTIME_ID) - w->cpu_ns;
}

static void *
worker_main(void *arg)
{
    struct worker *w = (struct worker *)arg;

    pin(w->id);
    w->fn(w);
    return NULL;
}

/* Run fn, which calls worker_begin and worker_end, on every thread; n operations each. */
static inline void
workers_run(void (*fn)(struct worker *), int threads, uint64_t n, uint64_t size)
{
    struct worker *w = (struct worker *)must(calloc((size_t)threads, sizeof *w));
    uint64_t       first = UINT64_MAX, last = 0;

    pthread_barrier_init(&peer.ready, NULL, (unsigned)threads);
    for (int i = 0; i < threads; i++) {
        w[i].id = i;
        w[i].threads = threads;
        w[i].n = n;
        w[i].size = size;
        w[i].fn = fn;
        if (pthread_create(&w[i].thread, NULL, worker_main, &w[i]) != 0)
            exit(1);
    }
    for (int i = 0; i < threads; i++) {
        pthread_join(w[i].thread, NULL);
        first = w[i].start < first ? w[i].start : first;
        last = w[i].end > last ? w[i].end : last;
        peer.cpu_ns += w[i].cpu_ns;
        peer.checksum += w[i].sum;
    }
    peer.operations = n * (uint64_t)threads;
    peer.ns = last - first;
    free(w);
}

/* ---- Histograms: eight buckets an octave --------------------------------------------------------------------------------- */

#define BUCKETS 512

struct histogram {
    uint64_t count[BUCKETS];
    uint64_t worst;
};

static inline void
histogram_add(struct histogram *h, uint64_t ns)
{
    unsigned octave = ns < 8 ? 0 : 63 - (unsigned)__builtin_clzll(ns);

    h->count[ns < 8 ? ns : (octave - 2) * 8 + (unsigned)((ns >> (octave - 3)) & 7)]++;
    h->worst = ns > h->worst ? ns : h->worst;
}

static inline void
extra(const char *format, ...)
{
    size_t           used = strlen(peer.extra);
    __builtin_va_list args;

    __builtin_va_start(args, format);
    vsnprintf(peer.extra + used, sizeof peer.extra - used, format, args);
    __builtin_va_end(args);
}

static inline void
histogram_extra(const char *name, const struct histogram *h)
{
    const char *comma = "";

    extra(", \"%s_worst\": %llu, \"%s\": {", name, (unsigned long long)h->worst, name);
    for (unsigned i = 0; i < BUCKETS; i++)
        if (h->count[i]) {
            extra("%s\"%u\": %llu", comma, i, (unsigned long long)h->count[i]);
            comma = ", ";
        }
    extra("}");
}

/* ---- Main ------------------------------------------------------------------------------------------------------------------ */

struct workload {
    const char *name;
    void (*run)(int threads, uint64_t n, uint64_t size); /* fills `peer` */
};

static int
peer_main(int argc, char **argv, const struct workload *all, size_t count)
{
    if (argc < 4) {
        fprintf(stderr, "usage: %s WORKLOAD THREADS N [SIZE]\n", argv[0]);
        return 2;
    }
    for (size_t i = 0; i < count; i++)
        if (strcmp(all[i].name, argv[1]) == 0) {
            all[i].run(atoi(argv[2]), strtoull(argv[3], NULL, 10), argc > 4 ? strtoull(argv[4], NULL, 10) : 0);
            printf("{\"operations\": %llu, \"ns\": %llu, \"cpu_ns\": %llu, \"checksum\": %llu, \"rss_kb\": %ld%s}\n",
                   (unsigned long long)peer.operations, (unsigned long long)peer.ns, (unsigned long long)peer.cpu_ns,
                   (unsigned long long)peer.checksum, status_kb("VmHWM"), peer.extra);
            return 0;
        }
    return 3;
}

#define PEER_MAIN(all) \
    int main(int argc, char **argv) { return peer_main(argc, argv, all, sizeof all / sizeof all[0]); }

/* A workload of n operations on each thread, of which `fn` does the work and the timing. */
#define WORKERS(name, fn) \
    static void name(int threads, uint64_t n, uint64_t size) { workers_run(fn, threads, n, size); }

/* A loop of blocks of 64 operations, timed. Between blocks, `sum` adds to the checksum. */
#define TIMED_BLOCKS(w, operation, between)                            \
    worker_begin(w);                                                   \
    for (uint64_t block = 0; block < (w)->n / OBJECTS; block++) {      \
        for (unsigned i = 0; i < OBJECTS; i++) {                       \
            operation;                                                 \
        }                                                              \
        between;                                                       \
    }                                                                  \
    worker_end(w)

#endif
