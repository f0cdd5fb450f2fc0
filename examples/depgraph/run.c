/* SPDX-License-Identifier: MIT
 *
 * run.c - builds the graph, lets the mutators loose, and judges what is left
 *
 * While the mutators run nothing collects but the library's background. Every few seconds they rest between two
 * operations for a look at the mirror: it checks that nothing reachable is gone, classifies the garbage, and lets the
 * numbers of the dead be used again, so that the mirror stays as small as the graph. The library sees none of that.
 */
#include "run.h"

#include "audit.h"
#include "compare.h"
#include "report.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <wane/observe.h>

#define LOOK_EVERY   UINT64_C(5000000000) /* ns */
#define LINE_TIME    UINT64_C(500000000)  /* on a terminal; elsewhere twice that */
#define DRAIN_ROUNDS 5

struct run {
    const struct universe       *universe;
    const struct options        *options;
    const volatile sig_atomic_t *interrupted;

    struct mirror    mirror;
    struct audit     audit;
    struct post      post;
    struct gate      gate;
    struct report    report;
    struct wane_map *index;
    struct worker   *workers;
    uint32_t        *revisions;
    uint64_t         looked, born_then; /* the last look: when, and how many nodes there had been */

    uint64_t leaked, mismatched;
};

static void
set_up(struct run *r)
{
    if (r->options->snapshot)
        (void)wane_observe(true);
    graph_name_slots();
    uint32_t i;

    mirror_init(&r->mirror, r->options->threads, (uint32_t)r->universe->entry_count);
    graph_mirror(&r->mirror);
    post_init(&r->post, r->universe, r->options->threads);
    gate_init(&r->gate);
    r->revisions = need(r->universe->entry_count, sizeof *r->revisions);
    r->workers = need(r->options->threads, sizeof *r->workers);
    r->index = wane_map_new();
    if (!r->index)
        need_failed();
    for (i = 0; i < r->options->threads; i++) {
        struct worker *w = &r->workers[i];

        w->gate = &r->gate;
        w->random = r->options->seed * UINT64_C(0xD1342543DE82EF95) + i * UINT64_C(0x2545F4914F6CDD1D);
        w->changer = (struct changer){.post = &r->post, .owner = i, .revisions = r->revisions, .name = NONE};
        w->changer.maker = (struct maker){r->universe, &r->mirror, &r->mirror.parts[i], r->index, NULL};
    }
}

/* Single-threaded: all packages are fresh to all makers. Afterwards each mutator has a table of his own. */
static void
build(struct run *r)
{
    struct changer  *changers = need(r->options->threads, sizeof *changers);
    struct package **fresh = need(r->universe->entry_count, sizeof *fresh);
    uint32_t         i;

    for (i = 0; i < r->options->threads; i++) {
        changers[i] = r->workers[i].changer;
        changers[i].maker.fresh = fresh;
    }
    change_build(changers, r->options->threads);
    free(fresh);
    free(changers);
    for (i = 0; i < r->options->threads; i++)
        r->workers[i].changer.maker.fresh = need(r->universe->entry_count, sizeof *fresh);
}

static void
look(struct run *r)
{
    audit_look(&r->audit, &r->mirror);
    r->mismatched += r->audit.early + r->audit.dangling;
    r->looked = now_ns();
    r->born_then = mirror_born_total(&r->mirror);
}

/* Time for a look: now and then, and sooner when many nodes wait for one. */
static bool
look_is_due(struct run *r)
{
    uint64_t born = mirror_born_total(&r->mirror) - r->born_then;

    return now_ns() - r->looked > LOOK_EVERY || born > r->audit.live;
}

/* The mutators go on meanwhile. */
static void
write_snapshot(const char *path)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    int error = fd < 0 ? -errno : wane_snapshot_write(fd);

    if (fd >= 0)
        close(fd);
    if (error)
        fprintf(stderr, "depgraph: %s: %s\n", path, strerror(-error));
    else
        printf("heap snapshot: %s\n", path);
}

static void
let_run(struct run *r)
{
    const char     *snapshot = r->options->snapshot;
    struct timespec pause = {0, 50000000};
    uint64_t        start = now_ns(), line = start, every = r->report.terminal ? LINE_TIME : 2 * LINE_TIME, now;

    while (!*r->interrupted && (double)((now = now_ns()) - start) / 1e9 < r->options->seconds) {
        nanosleep(&pause, NULL);
        if (look_is_due(r)) {
            gate_rest(&r->gate, r->options->threads);
            look(r);
            gate_run(&r->gate);
        }
        if (snapshot && (double)(now - start) / 5e8 >= r->options->seconds) {
            write_snapshot(snapshot);
            snapshot = NULL;
        }
        if (now - line >= every) {
            report_line(&r->report);
            line = now;
        }
    }
}

static void
mutate(struct run *r)
{
    uint32_t i;

    report_start(&r->report, r->workers, r->options->threads);
    for (i = 0; i < r->options->threads; i++)
        worker_start(&r->workers[i]);
    let_run(r);
    gate_stop(&r->gate);
    for (i = 0; i < r->options->threads; i++)
        worker_join(&r->workers[i]);
    report_line(&r->report);
    report_end(&r->report);
}

/* Until nothing waits, or it is clear that it will for ever. */
static void
drain(struct run *r)
{
    int round;

    for (round = 0; round < DRAIN_ROUNDS; round++) {
        wane_barrier();
        wane_collect(WANE_ALL, NULL);
        look(r);
        if (r->audit.waiting == 0)
            break;
    }
}

/* Objects of the graph's own types. */
static void
count_type(const char *name, int64_t objects, int64_t bytes, void *argument)
{
    static const char *const own[] = {"package", "depends", "clause", "provides", "provide", "source"};
    int64_t                 *sum = argument;
    size_t                   i;

    (void)bytes;
    for (i = 0; i < sizeof own / sizeof own[0]; i++) {
        if (strcmp(name, own[i]) == 0)
            *sum += objects;
    }
}

static uint64_t
difference(uint64_t a, uint64_t b)
{
    return a > b ? a - b : b - a;
}

static uint64_t
most(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

static void
judge(struct run *r, struct wane_stats *stats)
{
    int64_t  census = 0;
    uint32_t i, met;

    drain(r);
    wane_stats(stats);
    wane_type_stats(count_type, &census);
    r->leaked = r->audit.waiting;
    r->mismatched += compare_graph(&r->mirror, r->universe, r->index, &met);
    r->mismatched += difference(met, r->audit.live);
    r->mismatched += difference((uint64_t)census, (uint64_t)r->audit.live + r->audit.waiting);
    for (i = 0; i < r->options->threads; i++)
        r->mismatched += r->workers[i].damaged;
    printf("audit: %u objects should live, %u met from the index, census %lld; %llu became garbage, %llu on cycles\n",
           r->audit.live, met, (long long)census, (unsigned long long)r->audit.garbage,
           (unsigned long long)r->audit.on_cycle);
    if (stats->died_in_cycles < r->audit.on_cycle) {
        printf("audit: only %llu were freed as cycles\n", (unsigned long long)stats->died_in_cycles);
        r->mismatched++;
    }
}

static void
count_all(const char *name, int64_t objects, int64_t bytes, void *argument)
{
    if (objects != 0 || bytes != 0) {
        printf("census: %lld objects of %s, %lld bytes\n", (long long)objects, name, (long long)bytes);
        *(uint64_t *)argument += (uint64_t)(objects < 0 ? -objects : objects);
    }
}

/* The index was the only root: now everything must go. */
static void
drop_all(struct run *r)
{
    struct wane_stats stats;
    uint64_t          census = 0;
    int               left;

    memset(r->mirror.roots, 0, r->mirror.root_count * sizeof *r->mirror.roots);
    wane_release(r->index);
    left = wane_shutdown();
    audit_look(&r->audit, &r->mirror);
    wane_type_stats(count_all, &census);
    wane_stats(&stats);
    r->mismatched += left > 0 && (uint64_t)left != census;
    r->mismatched += difference(stats.objects_born - stats.objects_died, census) + (left < 0);
    r->leaked = most(r->leaked, most(census, r->audit.waiting));
    r->mismatched += r->audit.early + r->audit.dangling + r->mirror.wrong;
}

static int
say_verdict(const struct run *r, uint64_t cyclic, const struct wane_stats *stats)
{
    bool ok = r->leaked == 0 && r->mismatched == 0;

    printf("depgraph: %s objects=%llu cyclic=%llu by_count=%llu by_cycle=%llu leaked=%llu mismatched=%llu\n",
           ok ? "ok" : "FAILED", (unsigned long long)r->born_then, (unsigned long long)cyclic,
           (unsigned long long)(stats->objects_died - stats->died_in_cycles), (unsigned long long)stats->died_in_cycles,
           (unsigned long long)r->leaked, (unsigned long long)r->mismatched);
    return ok ? 0 : 1;
}

static void
tear_down(struct run *r)
{
    uint32_t i;

    for (i = 0; i < r->options->threads; i++)
        free(r->workers[i].changer.maker.fresh);
    free(r->workers);
    free(r->revisions);
    post_free(&r->post);
    audit_free(&r->audit);
    mirror_free(&r->mirror);
}

int
run(const struct universe *u, const struct options *options, const volatile sig_atomic_t *interrupted)
{
    struct run       *r = need(1, sizeof *r);
    struct wane_stats stats;
    uint64_t          cyclic;
    int               status;

    r->universe = u;
    r->options = options;
    r->interrupted = interrupted;
    set_up(r);
    build(r);
    look(r);
    printf("graph: %u objects\n", r->audit.live);
    mutate(r);
    judge(r, &stats);
    cyclic = r->audit.cyclic;
    drop_all(r);
    status = say_verdict(r, cyclic, &stats);
    tear_down(r);
    free(r);
    return status;
}
