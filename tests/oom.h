/* SPDX-License-Identifier: MIT
 *
 * oom.h - what the tests of missing memory share: allocations that fail, and the census after it
 *
 * Every allocation of the library asks the hook (src/memory.h), on whatever thread. The test's own memory is not touched.
 */
#ifndef OOM_H
#define OOM_H

#include "scene.h"

#include <limits.h>


#include "log.h"
#include "pool.h"

#define RIGGED (WN_CHUNK_ENTRIES < 100) /* chunks of four entries (check.h): reserves hold little */

/* Which allocations fail: the numbers from..to - 1 of those that were asked for, or all inside of calls that cannot say so. */
static atomic_long    oom_asked, oom_from, oom_to;
static atomic_bool    oom_quiet;
static __thread int   oom_in_quiet;
extern bool (*wn_memory_hook)(size_t bytes);

static bool
oom_hook(size_t bytes)
{
    long n = atomic_fetch_add(&oom_asked, 1) + 1;

    (void)bytes;
    if (atomic_load(&oom_quiet))
        return !oom_in_quiet;
    return n < atomic_load(&oom_from) || n >= atomic_load(&oom_to);
}

/* Allocations from..to - 1 of those to come fail. */
static inline void
oom_fail(long from, long to)
{
    atomic_store(&oom_asked, 0);
    atomic_store(&oom_from, from);
    atomic_store(&oom_to, to);
    atomic_store(&oom_quiet, false);
    __atomic_store_n(&wn_memory_hook, oom_hook, __ATOMIC_RELAXED);
}

static inline void
oom_fail_all(void)
{
    oom_fail(0, LONG_MAX);
}

/* Memory is back. */
static inline void
oom_end(void)
{
    atomic_store(&oom_to, 0);
    atomic_store(&oom_quiet, false);
}

/* A call that cannot report an error. */
#define QUIETLY(call)                                                                                                   \
    do {                                                                                                                \
        oom_in_quiet++;                                                                                                 \
        call;                                                                                                           \
        oom_in_quiet--;                                                                                                 \
    } while (0)

static atomic_long made;
static uint64_t    lost_before; /* units and candidates, when the test began */

static inline struct node *
node_try(struct wane_type *type)
{
    struct node *n = wane_new(type);

    if (!n)
        return NULL;
    n->magic = NODE_LIVE;
    n->id = atomic_fetch_add(&next_id, 1);
    n->check = ~n->id;
    atomic_fetch_add(&made, 1);
    return n;
}

static inline struct wane_stats
stats(void)
{
    struct wane_stats s;

    wane_stats(&s);
    return s;
}

static inline uint64_t
lost(void)
{
    struct wane_stats s = stats();

    return s.lost_units + s.lost_candidates;
}

/* With memory: all that was made is disposed of, once, and nothing was lost. False with a message. */
static inline bool
oom_census(void)
{
    struct wane_stats s;
    bool              empty;

    oom_end();
    empty = wait_live(0);
    s = stats();
    if (empty && atomic_load(&disposed) == atomic_load(&made) && lost() == lost_before)
        return true;
    fprintf(stderr, "made %ld, disposed %ld, alive %llu, lost units %llu, lost candidates %llu\n", atomic_load(&made),
            atomic_load(&disposed), (unsigned long long)(s.objects_born - s.objects_died), (unsigned long long)s.lost_units,
            (unsigned long long)s.lost_candidates);
    wane_type_stats(scene_leak, NULL);
    return false;
}

static inline int
oom_begin(void **state)
{
    atomic_store(&made, 0);
    lost_before = lost();
    oom_end();
    return scene_begin(state);
}

static inline int
oom_over(void **state)
{
    oom_end();
    return scene_end(state);
}

#define OOM(f) cmocka_unit_test_setup_teardown(f, oom_begin, oom_over)

#endif
