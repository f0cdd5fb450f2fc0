/* SPDX-License-Identifier: MIT
 *
 * bench.h - what the benchmarks share: clocks, random numbers, what the process and the library's thread have used
 */
#ifndef BENCH_H
#define BENCH_H

#include <dirent.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <wane/wane.h>

static inline uint64_t
clock_ns(clockid_t clock)
{
    struct timespec t;

    clock_gettime(clock, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static inline uint64_t
now_ns(void)
{
    return clock_ns(CLOCK_MONOTONIC);
}

static inline double
seconds(uint64_t ns)
{
    return (double)ns / 1e9;
}

static inline uint64_t
random_next(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

static inline void *
must(void *pointer)
{
    if (!pointer) {
        fprintf(stderr, "bench: out of memory\n");
        exit(1);
    }
    return pointer;
}

/* Resident megabytes of this process. */
static inline double
resident_mb(void)
{
    FILE *f = fopen("/proc/self/statm", "r");
    long  size = 0, resident = 0;

    if (f && fscanf(f, "%ld %ld", &size, &resident) != 2)
        resident = 0;
    if (f)
        fclose(f);
    return (double)resident * (double)sysconf(_SC_PAGESIZE) / 1e6;
}

/* The kernel's id of the thread with this name, or 0. */
static inline long
thread_named(const char *name)
{
    DIR           *d = opendir("/proc/self/task");
    struct dirent *e;
    long           found = 0;

    while (d && !found && (e = readdir(d))) {
        char  path[300], line[32] = "";
        FILE *f;

        snprintf(path, sizeof path, "/proc/self/task/%s/comm", e->d_name);
        if (!(f = fopen(path, "r")))
            continue;
        if (fgets(line, sizeof line, f) && strncmp(line, name, strlen(name)) == 0)
            found = atol(e->d_name);
        fclose(f);
    }
    if (d)
        closedir(d);
    return found;
}

/* CPU seconds that a thread has used (first number of its schedstat). */
static inline double
thread_cpu(long tid)
{
    char               path[64];
    FILE              *f;
    unsigned long long ns = 0;

    snprintf(path, sizeof path, "/proc/self/task/%ld/schedstat", tid);
    f = fopen(path, "r");
    if (f && fscanf(f, "%llu", &ns) != 1)
        ns = 0;
    if (f)
        fclose(f);
    return (double)ns / 1e9;
}

static inline double
driver_cpu(void)
{
    long tid = thread_named("wane-driver");

    return tid ? thread_cpu(tid) : 0;
}

/* A histogram of nanoseconds: eight buckets an octave, so a value is exact to 9 %. */
#define HISTOGRAM_BUCKETS 512

struct histogram {
    uint64_t count[HISTOGRAM_BUCKETS];
    uint64_t total, worst;
};

static inline unsigned
histogram_bucket(uint64_t ns)
{
    unsigned octave;

    if (ns < 8)
        return (unsigned)ns;
    octave = 63 - (unsigned)__builtin_clzll(ns);
    return (octave - 2) * 8 + (unsigned)((ns >> (octave - 3)) & 7);
}

static inline void
histogram_add(struct histogram *h, uint64_t ns)
{
    h->count[histogram_bucket(ns)]++;
    h->total++;
    if (ns > h->worst)
        h->worst = ns;
}

static inline void
histogram_join(struct histogram *into, const struct histogram *from)
{
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++)
        into->count[i] += from->count[i];
    into->total += from->total;
    into->worst = from->worst > into->worst ? from->worst : into->worst;
}

/* The least value that `share` of all values do not exceed, in microseconds. */
static inline double
histogram_at(const struct histogram *h, double share)
{
    uint64_t seen = 0;

    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
        seen += h->count[i];
        if (h->total && (double)seen >= share * (double)h->total) {
            unsigned octave = i / 8 + 2;

            return i < 8 ? i / 1e3 : (double)((8 + (uint64_t)(i % 8) + 1) << (octave - 3)) / 1e3;
        }
    }
    return (double)h->worst / 1e3;
}

static inline void
histogram_print(const char *name, const struct histogram *h)
{
    printf("  %-34s p50 %8.2f  p99 %8.2f  p99.9 %8.2f  p99.99 %8.2f  max %9.1f us  (%llu)\n", name, histogram_at(h, 0.5),
           histogram_at(h, 0.99), histogram_at(h, 0.999), histogram_at(h, 0.9999), (double)h->worst / 1e3,
           (unsigned long long)h->total);
}

#endif
