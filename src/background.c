/* SPDX-License-Identifier: MIT */
#include "background.h"

#include <time.h>

#include "collect.h"
#include "table.h"
#include "thread.h"

#define TICK_NS       UINT64_C(2000000)
#define ROUNDS_NS     UINT64_C(20000000) /* of rounds in one tick, while there is more to do without waiting */
#define PATIENCE_NS   UINT64_C(500000000) /* a few candidates wait this long */
#define MANY          4096                /* that many do not wait */
#define STALL_NS      UINT64_C(100000000) /* no collection while a section is older than this */
#define SHARE         10                  /* a collection's cost: at most one part in SHARE of a core */
#define MAX_BACKOFF   6
#define FRUITLESS     16 /* freed less than one in FRUITLESS examined: back off */

static struct wn_thread thread;
static struct wn_event  event;

struct pacing {
    uint64_t waiting_since; /* 0: no candidates */
    uint64_t ended, cost; /* of the last collection: when, and its CPU time */
    uint64_t live;        /* objects after it */
    unsigned backoff;
    bool     hurry; /* more to do at once */
    uint64_t probe, probe_time; /* a ticket and when it was taken */
};

static uint64_t
candidates_waiting(void)
{
    uint64_t n = load_relaxed(&wn_handed_count);

    for (uint32_t id = 1; id <= wn_record_limit(); id++) {
        struct wn_record *r = wn_record(id);

        if (r)
            n += load_relaxed(&r->candidate_count);
    }
    return n;
}

/* Is some section so old that no grace period passes? Then a collection would only turn frees into growth. */
static bool
is_stalled(struct pacing *p, uint64_t now)
{
    if (wn_grace_done(p->probe)) {
        p->probe = wn_grace_ticket();
        p->probe_time = now;
    }
    return now - p->probe_time > STALL_NS;
}

/* Of this thread: waiting for sections, or for a core, costs nobody anything. */
static uint64_t
cpu_now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static uint64_t
objects_alive(void)
{
    struct wane_stats s;

    wane_stats(&s);
    return s.objects_born - s.objects_died;
}

/* What was fruitless on a heap that has grown by a quarter since may bear fruit now. One that has shrunk by a quarter has paid
 * for a collection by its deaths, and dead candidates hold their memory until they are taken; but let all die first. */
static bool
may_collect(const struct pacing *p, uint64_t now)
{
    uint64_t rest = p->cost * SHARE;
    uint64_t alive = objects_alive();

    if (alive < p->live - p->live / 4 && !wn_driver_has_more())
        return true;
    if (now < p->ended + rest)
        return false;
    return now >= p->ended + (rest << p->backoff) || alive > p->live + p->live / 4;
}

static void
collect(struct pacing *p)
{
    struct wane_collected r;

    uint64_t              cpu = cpu_now();

    (void)wn_driver_handover(wn_now() + TICK_NS); /* who is busy inside a section comes next time */
    wn_collection_run(&r);
    if (r.freed * FRUITLESS >= r.examined)
        p->backoff = 0;
    else if (r.freed >= r.aborted && p->backoff < MAX_BACKOFF) /* who was disturbed is tried again soon */
        p->backoff++;
    p->ended = wn_now();
    p->cost = cpu_now() - cpu;
    p->live = objects_alive();
    p->waiting_since = 0;
}

/* Candidates wait: is it time? */
static bool
is_due(struct pacing *p, uint64_t n, uint64_t now)
{
    if (!n) {
        p->waiting_since = 0;
        return false;
    }
    if (!p->waiting_since)
        p->waiting_since = now;
    return (n >= MANY || now - p->waiting_since >= PATIENCE_NS) && may_collect(p, now);
}

/* True: something waits, come again soon. */
static bool
tick(struct pacing *p)
{
    uint64_t now = wn_now();
    uint64_t n;
    bool     backlog, stalled;

    wn_driver_begin();
    wn_driver_tick();
    do
        backlog = wn_driver_round(WN_ATTEND, false);
    while (wn_driver_has_more() && wn_now() - now < ROUNDS_NS);
    wn_table_tend();
    n = candidates_waiting();
    stalled = is_stalled(p, now);
    if (is_due(p, n, now) && !stalled)
        collect(p);
    p->hurry = wn_driver_has_more();
    wn_driver_end();
    return backlog || n;
}

static void *
run(void *unused)
{
    struct pacing p = {0};

    (void)unused;
    while (!wn_thread_should_stop(&thread)) {
        uint32_t value = wn_event_value(&event);

        if (tick(&p))
            /* Not the event: under load it is signalled all the time. */
            nanosleep(&(struct timespec){0, p.hurry ? 0 : TICK_NS}, NULL);
        else if (!wn_thread_should_stop(&thread))
            wn_event_wait(&event, value, 0);
    }
    return NULL;
}

static void
wake(void)
{
    if (wn_thread_start(&thread, run))
        store_relaxed(&wn_background_runs, 1u);
    wn_event_signal(&event);
}

void
wn_background_init(void)
{
    wn_wake_background = wake;
}

void
wn_background_stop(void)
{
    wn_thread_stop(&thread, &event);
    store_relaxed(&wn_background_runs, 0u);
    /* Who reported a backlog while it was ending took it for running. */
    for (uint32_t id = 1; id <= wn_record_limit(); id++)
        if (wn_record(id) && wn_has_backlog(wn_record(id))) {
            wake();
            return;
        }
}

void
wn_background_stop_within(unsigned milliseconds)
{
    wn_thread_stop_within(&thread, &event, milliseconds);
}

void
wn_background_forked(void)
{
    wn_thread_forked(&thread);
    store_relaxed(&wn_background_runs, 0u);
}
