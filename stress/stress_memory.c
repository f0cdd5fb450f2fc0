/* SPDX-License-Identifier: MIT
 *
 * stress_memory.c - churn under a budget: rings, finalizers, soft references, caches; memory stays where it is
 *
 * Workers make rings of two and drop them at once, objects with finalizers, soft references and cached pages. The hard limit is
 * LIMIT, the soft one 80 % of it; what the workers hold is far less. The thread aside looks at what is used and at what is
 * resident, and purges at times.
 *
 * Oracle: what is used never exceeds the hard limit by more than the records' granules. An object is refused only if that was
 * said by ENOMEM, and at most one in a thousand is. What is resident in the last fifth of the time (the median: collections
 * need tables for a while) exceeds that of the second fifth by a tenth at most, with one arena of malloc, since what many keep
 * for themselves settles after minutes only. It stays below three limits; that is all for a run of less than a minute. Not
 * under sanitizers, whose allocators keep what is freed. At the end nothing is counted any more.
 * The long form is --seconds 600.
 */
#include "harness.h"

#include <errno.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <wane/memory.h>

#if defined(__has_feature)
#if __has_feature(thread_sanitizer) || __has_feature(address_sanitizer)
#define SANITIZED 1
#endif
#endif
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
#define SANITIZED 1
#endif

#define LIMIT   ((size_t)32 << 20)
#define GRANULE 65536
#define SOFTS   512
#define SAMPLES 100000
#define LONG_RUN 6000 /* looks: a minute */

enum { ABOVE_SOFT, PURGED, SOFT_CLEARED, SOFT_KEPT, EVICTED, FINALIZED, RINGS_GONE, OVERLAPS };
static struct stress_overlap overlaps[OVERLAPS] = {
    [ABOVE_SOFT] = {.name = "looks while more than the soft limit was used", .need = 1},
    [PURGED] = {.name = "purges that found something", .need = 2},
    [SOFT_CLEARED] = {.name = "soft references gone NULL", .need = 100},
    [SOFT_KEPT] = {.name = "soft references with their targets", .need = 100},
    [EVICTED] = {.name = "cached pages missed", .need = 100},
    [FINALIZED] = {.name = "finalizers run", .need = 1000},
    [RINGS_GONE] = {.name = "members of rings disposed of", .need = 10000},
};

static atomic_ullong made, refused;

/* ---- Objects ------------------------------------------------------------------------------------------------------ */

struct link {
    uint64_t  check;
    wane_slot next;
    char      bytes[40];
};

static void
link_dispose(void *object)
{
    if (((struct link *)object)->check != 42)
        stress_fail("a link is damaged");
    stress_seen(&overlaps[RINGS_GONE]);
}

static void
link_finalize(void *object)
{
    (void)object;
    stress_seen(&overlaps[FINALIZED]);
}

static const uint32_t   link_slots[] = {offsetof(struct link, next)};
static struct wane_type link_type = {
    .name = "link", .size = sizeof(struct link), .slots = link_slots, .slot_count = 1, .dispose = link_dispose};
static struct wane_type final_type = {
    .name = "final", .size = sizeof(struct link), .slots = link_slots, .slot_count = 1, .dispose = link_dispose,
    .finalize = link_finalize};

struct page {
    uint64_t number;
    char     bytes[4096];
};
static struct wane_type page_type = {.name = "page", .size = sizeof(struct page)};

/* NULL: refused. */
static void *
object_new(struct wane_type *type)
{
    void *object = wane_new(type);

    atomic_fetch_add(&made, 1);
    if (object)
        return object;
    if (errno != ENOMEM)
        stress_fail("wane_new: errno %d", errno);
    atomic_fetch_add(&refused, 1);
    return NULL;
}

static struct link *
link_new(struct wane_type *type)
{
    struct link *l = object_new(type);

    if (l)
        l->check = 42;
    return l;
}

static void
ring(struct wane_type *type)
{
    struct link *a = link_new(type), *b = link_new(&link_type);

    if (a && b) {
        wane_set(&a->next, b);
        wane_set(&b->next, a);
    }
    wane_release(a);
    wane_release(b);
}

/* ---- Workers ------------------------------------------------------------------------------------------------------ */

static wane_slot          softs[SOFTS];
static struct wane_cache *cache;

static void
use_soft(struct stress_worker *me)
{
    wane_slot   *slot = &softs[stress_random(me, SOFTS)];
    void        *soft = wane_get(slot);
    struct page *p = wane_soft_get(soft);

    wane_release(soft);
    if (p) {
        stress_seen(&overlaps[SOFT_KEPT]);
        wane_release(p);
        return;
    }
    if (soft)
        stress_seen(&overlaps[SOFT_CLEARED]);
    p = object_new(&page_type);
    soft = p ? wane_soft(p) : NULL;
    if (soft)
        wane_put(slot, soft);
    wane_release(p);
}

static void
use_cache(struct stress_worker *me)
{
    uint64_t     number = stress_random(me, 4000);
    struct page *p;
    char         key[32];

    snprintf(key, sizeof key, "%llu", (unsigned long long)number);
    p = wane_cache_get(cache, key);
    if (p && p->number != number)
        stress_fail("a page is another one");
    if (!p) {
        stress_seen(&overlaps[EVICTED]);
        p = object_new(&page_type);
        if (p)
            p->number = number;
        if (p && wane_cache_put(cache, key, p, sizeof *p) == 0)
            return;
    }
    wane_release(p);
}

static void
work(struct stress_worker *me)
{
    while (stress_goes_on(me)) {
        stress_phase(me, "rings");
        for (int i = 0; i < 64; i++)
            ring(&link_type);
        stress_phase(me, "finalizers");
        for (int i = 0; i < 4; i++)
            wane_release(link_new(&final_type));
        if (stress_random(me, 16) == 0)
            ring(&final_type);
        stress_phase(me, "soft references");
        for (int i = 0; i < 4; i++)
            use_soft(me);
        stress_phase(me, "the cache");
        for (int i = 0; i < 4; i++)
            use_cache(me);
    }
}

/* ---- What is used ------------------------------------------------------------------------------------------------- */

static long   resident[SAMPLES];
static size_t samples, every = 1;

static long
resident_now(void)
{
    FILE *f = fopen("/proc/self/statm", "re");
    long  all, pages = 0;

    if (!f || fscanf(f, "%ld %ld", &all, &pages) != 2)
        stress_fail("no /proc/self/statm");
    fclose(f);
    return pages * sysconf(_SC_PAGESIZE);
}

/* A full table is thinned out: every second one stays. */
static void
sample(uint64_t look)
{
    if (look % every)
        return;
    if (samples == SAMPLES) {
        for (size_t i = 0; i < SAMPLES / 2; i++)
            resident[i] = resident[2 * i];
        samples /= 2;
        every *= 2;
    }
    resident[samples++] = resident_now();
}

static void
look_at_budget(void)
{
    struct wane_memory_stats m;
    struct wane_stats        s;

    wane_memory_stats(&m);
    wane_stats(&s);
    if (m.used > LIMIT + (s.records + 1) * GRANULE)
        stress_fail("%llu bytes are used", (unsigned long long)m.used);
    if (m.used > m.soft)
        stress_seen(&overlaps[ABOVE_SOFT]);
}

static void
aside(struct stress_worker *me)
{
    stress_phase(me, "looking");
    for (uint64_t look = 0; stress_goes_on(me); look++) {
        look_at_budget();
        sample(look);
        /* Now and then all: a quarter may be found in the cache, whose pages are older. */
        if (look % 50 == 0 && wane_purge(look % 150 == 100 ? LIMIT : LIMIT / 4))
            stress_seen(&overlaps[PURGED]);
        usleep(10000);
    }
}

static int
compare(const void *a, const void *b)
{
    long x = *(const long *)a, y = *(const long *)b;

    return (x > y) - (x < y);
}

/* Sorts it. */
static long
median_of_fifth(size_t fifth)
{
    size_t begin = samples * fifth / 5, end = samples * (fifth + 1) / 5;

    qsort(&resident[begin], end - begin, sizeof resident[0], compare);
    return resident[(begin + end) / 2];
}

static long
most(void)
{
    long m = 0;

    for (size_t i = 0; i < samples; i++)
        m = resident[i] > m ? resident[i] : m;
    return m;
}

static void
begin(unsigned threads)
{
    (void)threads;
    (void)mallopt(M_ARENA_MAX, 1);
    cache = wane_cache_new(LIMIT);
    if (!cache || wane_cache_spill(cache, "/tmp", LIMIT / 4) != 0)
        stress_fail("no cache");
    if (wane_budget(LIMIT / 10 * 8, LIMIT) != 0)
        stress_fail("no budget");
}

static void
end(unsigned threads)
{
    long early = median_of_fifth(1), late = median_of_fifth(4);

    (void)threads;
    printf("%llu objects, %llu refused; resident: %ld KiB in the second fifth, %ld in the last, at most %ld\n",
           (unsigned long long)made, (unsigned long long)refused, early / 1024, late / 1024, most() / 1024);
    fflush(stdout);
    if (refused > made / 1000)
        stress_fail("too many are refused");
#ifndef SANITIZED
    if (most() > 3 * (long)LIMIT || (samples * every >= LONG_RUN && late > early + early / 10))
        stress_fail("memory grows");
#endif
    for (int i = 0; i < SOFTS; i++)
        wane_clear(&softs[i]);
    wane_release(cache);
    stress_settle(0);
    (void)wane_trim();
    if (wane_budget_used() != 0)
        stress_fail("%zu bytes are still counted", wane_budget_used());
}

int
main(int argc, char **argv)
{
    static const struct stress program = {.name = "stress_memory",
                                          .begin = begin,
                                          .work = work,
                                          .aside = aside,
                                          .end = end,
                                          .overlaps = overlaps,
                                          .overlap_count = OVERLAPS};

    return stress_main(argc, argv, &program);
}
