/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE /* pthread_mutex_clocklock */
#include "pressure.h"

#include <errno.h>
#include <pthread.h>
#include <time.h>

#include "budget.h"
#include "cache.h"
#include "clock.h"
#include "driver.h"
#include "memory.h"
#include "soft.h"
#include "spill.h"
#include "step.h"

#define NAP_LEAST UINT64_C(10000000) /* between purges, and between looks whether what they let go of is free */
#define NAP_MOST  (64 * NAP_LEAST)

typedef size_t pressure_fn(size_t, void *);

/* All under the mutex. */
struct callback {
    struct callback *next;
    pressure_fn     *fn;
    void            *arg;
    bool             dead;
};

static pthread_mutex_t        purging = PTHREAD_MUTEX_INITIALIZER;
static struct wane_atomic64   purger;    /* a: the thread that holds it, to know oneself */
static struct callback       *callbacks; /* under the mutex */
static struct wane_atomic64   nap, next; /* a: of the background's purges: written under the mutex, but for the reset */
static struct wane_atomic64   purges, purged;

/* Under the mutex: what purges have let go of since nothing of the kind was on its way; it is free when the last of them is. */
static struct {
    uint64_t ticket;
    size_t   bytes;
} on_its_way;

/* ---- The mutex ---------------------------------------------------------------------------------------------------- */

static uint64_t
myself(void)
{
    return (uint64_t)(uintptr_t)pthread_self();
}

bool
wn_pressure_is_mine(void)
{
    return load_relaxed(&purger) == myself(); /* relaxed: only this thread stores this value */
}

static void
begin(void)
{
    pthread_mutex_lock(&purging);
    store_relaxed(&purger, myself());
}

static bool
try_begin(uint64_t nanoseconds)
{
    struct timespec end = wn_end_of(nanoseconds);

    if (nanoseconds ? wn_lock_until(&purging, &end) : pthread_mutex_trylock(&purging))
        return false;
    store_relaxed(&purger, myself());
    return true;
}

static void
end_purge(void)
{
    store_relaxed(&purger, UINT64_C(0));
    pthread_mutex_unlock(&purging);
}

void
wn_pressure_forked(void)
{
    if (wn_pressure_is_mine())
        return; /* inside a callback: it goes on */
    pthread_mutex_init(&purging, NULL);
    store_relaxed(&purger, UINT64_C(0));
}

/* ---- Callbacks ---------------------------------------------------------------------------------------------------- */

int
wane_on_pressure(pressure_fn *fn, void *arg)
{
    bool             inside = wn_pressure_is_mine();
    struct callback *c;

    if (!fn)
        return -EINVAL;
    c = wn_malloc(sizeof *c);
    if (!c)
        return -ENOMEM;
    if (!inside)
        begin();
    *c = (struct callback){callbacks, fn, arg, false};
    compiler_barrier(); /* the child of a fork finds the list whole */
    callbacks = c;
    if (!inside)
        end_purge();
    return 0;
}

static void
free_the_dead(void)
{
    for (struct callback **at = &callbacks; *at;) {
        struct callback *c = *at;

        if (!c->dead) {
            at = &c->next;
            continue;
        }
        *at = c->next;
        compiler_barrier();
        wn_free(c);
    }
}

static bool
kill_callback(pressure_fn *fn, void *arg)
{
    for (struct callback *c = callbacks; c; c = c->next)
        if (!c->dead && c->fn == fn && c->arg == arg)
            return c->dead = true;
    return false;
}

/* From inside of a callback: the walk goes on through what is dead, and frees it in the end. */
bool
wane_off_pressure(pressure_fn *fn, void *arg)
{
    bool killed;

    if (wn_pressure_is_mine())
        return kill_callback(fn, arg);
    begin();
    killed = kill_callback(fn, arg);
    free_the_dead();
    end_purge();
    return killed;
}

static size_t
call_all(size_t bytes)
{
    size_t freed = 0;

    for (struct callback *c = callbacks; c && freed < bytes; c = c->next)
        if (!c->dead || WN_MUTANT(pressure_calls_the_dead))
            freed += c->fn(bytes - freed, c->arg);
    free_the_dead();
    return freed;
}

/* ---- Purges ------------------------------------------------------------------------------------------------------- */

/* Under the mutex. */
static size_t
purge(size_t bytes)
{
    size_t freed = wn_cache_purge(bytes);

    if (freed < bytes)
        freed += wn_soft_purge(bytes - freed);
    if (freed < bytes)
        freed += call_all(bytes - freed);

    fetch_add_relaxed(&purges, 1u);
    fetch_add_relaxed(&purged, (uint64_t)freed);
    if (freed) {
        on_its_way.bytes += freed;
        on_its_way.ticket = wn_grace_ticket();
    }
    return freed;
}

/* Under the mutex. What is on its way is still counted as used: without it, one excess would be purged again and again until
 * the first grace period is over. */
static size_t
left_of(size_t excess)
{
    if (wn_driver_is_settled(on_its_way.ticket) || WN_MUTANT(purge_forgets_its_way))
        on_its_way.bytes = 0;
    return excess > on_its_way.bytes ? excess - on_its_way.bytes : 0;
}

size_t
wane_purge(size_t bytes)
{
    size_t freed;

    if (wn_in_section() || wn_pressure_is_mine())
        return 0;
    begin();
    freed = purge(bytes);
    end_purge();
    return freed;
}

void
wn_pressure_purge_within(size_t bytes, uint64_t nanoseconds)
{
    if (!try_begin(nanoseconds))
        return;
    (void)purge(bytes);
    end_purge();
}

/* A purge that finds nothing is followed by a longer pause each time. relaxed: times, and only one purges. */
static void
purge_if_due(size_t excess)
{
    uint64_t pause = load_relaxed(&nap);

    if (wn_now() < load_relaxed(&next))
        return;
    excess = left_of(excess);
    if (!excess) {
        store_relaxed(&nap, NAP_LEAST);
        return;
    }
    pause = purge(excess + excess / 8) || !pause ? NAP_LEAST : pause < NAP_MOST ? pause * 2 : pause;
    store_relaxed(&nap, pause);
    store_relaxed(&next, wn_now() + pause);
}

uint64_t
wn_pressure_attend(void)
{
    size_t excess;

    wn_budget_attended(); /* before the look: a report that comes after it wakes again */
    excess = wn_budget_excess();
    if (!excess) {
        store_relaxed(&nap, UINT64_C(0));
        store_relaxed(&next, UINT64_C(0));
        return 0;
    }
    if (wn_in_section() || wn_pressure_is_mine())
        return 0;
    if (try_begin(0)) {
        purge_if_due(excess);
        end_purge();
    }
    return load_relaxed(&nap);
}

void
wn_pressure_stats(struct wane_memory_stats *out)
{
    out->purges = load_relaxed(&purges);
    out->purged_bytes = load_relaxed(&purged);
    wn_soft_stats(out);
    wn_cache_stats(out);
    wn_spill_stats(out);
}
