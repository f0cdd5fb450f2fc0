/* SPDX-License-Identifier: MIT
 *
 * report.c - one line that renews itself on a terminal, a line each time elsewhere
 */
#include "report.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

static double
rss_mb(void)
{
    FILE              *f = fopen("/proc/self/statm", "re");
    unsigned long long pages = 0;

    if (!f)
        return 0;
    if (fscanf(f, "%*u %llu", &pages) != 1)
        pages = 0;
    fclose(f);
    return (double)pages * (double)sysconf(_SC_PAGESIZE) / 1e6;
}

/* relaxed: the figure stands alone. */
static uint64_t
figure(const atomic_ullong *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

static uint64_t
total(const struct report *r, size_t offset)
{
    uint64_t sum = 0;
    uint32_t i;

    for (i = 0; i < r->count; i++)
        sum += figure((const atomic_ullong *)((const char *)&r->workers[i] + offset));
    return sum;
}

#define TOTAL(r, field) total(r, offsetof(struct worker, field))

static double
slowest_ms(const struct report *r)
{
    uint64_t slowest = 0;
    uint32_t i;

    for (i = 0; i < r->count; i++) {
        uint64_t one = figure(&r->workers[i].slowest);

        slowest = one > slowest ? one : slowest;
    }
    return (double)slowest / 1e6;
}

void
report_start(struct report *r, const struct worker *workers, uint32_t count)
{
    *r = (struct report){.workers = workers, .count = count, .terminal = isatty(STDOUT_FILENO)};
    r->start = r->last_time = now_ns();
}

/* A line that wraps could not renew itself. */
static void
say_line(const struct report *r, const char *line)
{
    struct winsize size = {0};
    int            width = INT_MAX;

    if (r->terminal && ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 1)
        width = size.ws_col - 1;
    printf(r->terminal ? "\r\033[K%.*s" : "%.*s\n", width, line);
    fflush(stdout);
}

void
report_line(struct report *r)
{
    struct wane_stats stats;
    char              line[256];
    uint64_t          now = now_ns(), queries = TOTAL(r, queries);
    double            rss = rss_mb(), rate = (double)(queries - r->last_queries) * 1e9 / (double)(now - r->last_time);

    wane_stats(&stats);
    snprintf(line, sizeof line,
             "%5.1f s  live %llu  freed by counts %llu  as cycles %llu  queries/s %.0f  slowest %.1f ms  RSS %.0f MB",
             (double)(now - r->start) / 1e9, (unsigned long long)(stats.objects_born - stats.objects_died),
             (unsigned long long)(stats.objects_died - stats.died_in_cycles), (unsigned long long)stats.died_in_cycles,
             rate, slowest_ms(r), rss);
    say_line(r, line);
    r->last_time = now;
    r->last_queries = queries;
    r->rss = need_room(r->rss, r->samples, &r->capacity, sizeof *r->rss);
    r->rss[r->samples++] = rss;
}

static void
say_collector(void)
{
    struct wane_stats stats;

    wane_stats(&stats);
    printf("collector: %llu collections in %.2f s, %llu objects examined, %llu suspected, %llu not garbage after all\n",
           (unsigned long long)stats.collections, (double)stats.collect_nanoseconds / 1e9,
           (unsigned long long)stats.examined, (unsigned long long)stats.suspects, (unsigned long long)stats.aborted);
}

static double
mean(const double *samples, size_t from, size_t to)
{
    double sum = 0;
    size_t i;

    for (i = from; i < to; i++)
        sum += samples[i];
    return to > from ? sum / (double)(to - from) : 0;
}

void
report_end(struct report *r)
{
    size_t third = r->samples / 3;

    if (r->terminal)
        putchar('\n');
    printf("work: %llu queries met %llu packages, %llu changes, %llu dependents relinked\n",
           (unsigned long long)TOTAL(r, queries), (unsigned long long)TOTAL(r, found),
           (unsigned long long)TOTAL(r, changes), (unsigned long long)TOTAL(r, relinked));
    say_collector();
    printf("memory: RSS %.1f MB in the middle third, %.1f MB in the last third\n", mean(r->rss, third, 2 * third),
           mean(r->rss, 2 * third, r->samples));
    free(r->rss);
}
