/* SPDX-License-Identifier: MIT */
#include "pace.h"

#include <errno.h>

#include <wane/memory.h>

#include "budget.h"
#include "govern.h"

#define PATIENCE_NS UINT64_C(500000000) /* a few candidates wait this long */
#define HAND_NS     UINT64_C(2000000)   /* for the records to hand over; who is busy inside a section comes next time */
#define SHORT_SHARE 3          /* while memory is short */
#define FRUITFUL    4                   /* freed one in FRUITFUL examined: go on */
#define FRUITLESS   16                  /* freed less than one in FRUITLESS examined: back off */
#define MAX_BACKOFF 6
#define LONGEST_REST UINT64_C(300000000000) /* after a fruitless run, unless its share asks for more */
#define PURGE_LEAST 4096
#define BATCH_LEAST 8192 /* candidates of a young collection: its tables stay in the cache */
#define BATCH_MOST  (UINT32_C(1) << 20)

/* A generation that finds little rests so many times its CPU time. Together: 1/31 + 1/61 + 1/31 = 8.1 % of a core at most. */
static const uint64_t share[WN_AGES] = {30, 60, 30};

static struct wane_atomic64 threshold[WN_AGES] = {{4096}, {16384}, {0}}; /* a: candidates that do not wait */

/* Under the driver lock. */
static struct pacing {
    uint64_t began, ended, cost; /* of the last run: when, and its CPU time, 0 if it paid for itself */
    uint64_t live;        /* bytes of objects after it */
    unsigned backoff;
} pacing[WN_AGES];
static uint64_t waiting_since; /* 0: no young candidates */
static uint32_t batch = BATCH_LEAST;

/* ---- What waits --------------------------------------------------------------------------------------------------- */

static uint64_t
young_waiting(void)
{
    uint64_t n = 0;

    for (uint32_t id = 1; id <= wn_record_limit(); id++) {
        struct wn_record *r = wn_record(id);

        if (r)
            n += load_acquire(&r->candidate_count); /* acquire: before the look at where they go (unit.c) */
    }
    return n + load_relaxed(&wn_handed_count) + load_relaxed(&wn_waiting_count[0]);
}

uint64_t
wn_pace_waiting(void)
{
    return young_waiting() + load_relaxed(&wn_waiting_count[1]) + load_relaxed(&wn_waiting_count[2]);
}

/* ---- When --------------------------------------------------------------------------------------------------------- */

static bool
has_grown(const struct pacing *p)
{
    return wane_budget_used() > p->live + p->live / 4;
}

static uint64_t
rest_after(const struct pacing *p)
{
    return p->cost * (wn_budget_is_short() ? SHORT_SHARE : share[p - pacing]);
}

/* Young runs are bounded, and each candidate comes to one of each generation once: on a growing heap they do not wait. */
static bool
is_young_paid_for(const struct pacing *p, uint64_t now)
{
    return now >= p->ended + rest_after(p) || has_grown(p);
}

/* What was fruitless on a heap that has grown by a quarter since may bear fruit now. */
static bool
is_old_paid_for(const struct pacing *p, uint64_t now)
{
    uint64_t rest = rest_after(p), longer = rest << p->backoff;

    if (longer > LONGEST_REST)
        longer = rest > LONGEST_REST ? rest : LONGEST_REST;
    return now >= p->ended + rest && (now >= p->ended + longer || has_grown(p));
}

static uint64_t
patience(void)
{
    return wn_budget_is_short() ? PATIENCE_NS / 16 : PATIENCE_NS;
}

/* Young candidates do not wait for ever, however few they are. */
static bool
is_young_due(uint64_t n, uint64_t now)
{
    if (!n) {
        waiting_since = 0;
        return false;
    }
    if (!waiting_since)
        waiting_since = now;
    return n >= load_relaxed(&threshold[0]) || now - waiting_since >= patience();
}

/* Young ones first, while there are many: most die young, and in small batches that is cheap. Not for ever, though. */
static bool
is_old_due(uint64_t young, uint64_t now)
{
    const struct pacing *p = &pacing[2];

    if (now < p->ended + patience() || !is_old_paid_for(p, now))
        return false;
    return young < load_relaxed(&threshold[0]) || now > p->ended + 4 * patience() + 2 * rest_after(p);
}

int
wn_pace_due(uint64_t now)
{
    uint64_t n = young_waiting();
    uint64_t middle = load_relaxed(&wn_waiting_count[1]), old = load_relaxed(&wn_waiting_count[2]);
    bool     young = is_young_due(n, now);

    if (!load_relaxed(&wn_is_automatic))
        return -1;
    if ((middle || old) && is_old_due(n, now))
        return 2;
    if (middle && middle >= load_relaxed(&threshold[1]) && is_young_paid_for(&pacing[1], now))
        return 1;
    return young && is_young_paid_for(&pacing[0], now) ? 0 : -1;
}

/* ---- Running ------------------------------------------------------------------------------------------------------ */

static void
settle_up(struct pacing *p, const struct wane_collected *r, uint64_t cpu)
{
    if (r->freed * FRUITLESS >= r->examined)
        p->backoff = 0;
    else if (r->freed >= r->aborted && p->backoff < MAX_BACKOFF) /* who was disturbed is tried again soon */
        p->backoff++;
    p->ended = wn_now();
    p->cost = r->freed * FRUITFUL >= r->examined ? 0 : cpu;
    p->live = wane_budget_used();
}

/* The candidates that waited for this generation: all of them are taken, and a batch of young ones. */
static uint32_t
old_for(int generation)
{
    uint64_t n = 0;

    for (int age = 1; age <= generation; age++)
        n += load_relaxed(&wn_waiting_count[age]);
    return n > UINT32_MAX / 2 ? UINT32_MAX / 2 : (uint32_t)n;
}

/* Small batches are cheap, but each waits for sections and for merges. Where a run does little but wait, the next one does
 * more. */
static void
adapt_batch(const struct wane_collected *r, uint64_t cpu)
{
    if (r->candidates >= batch && r->nanoseconds > 3 * cpu && batch < BATCH_MOST)
        batch *= 2;
    else if (r->nanoseconds < 2 * cpu && batch > BATCH_LEAST)
        batch /= 2;
}

void
wn_pace_run(int generation)
{
    struct wane_collected r;
    uint64_t              cpu = wn_cpu_now();

    pacing[generation].began = wn_now();
    (void)wn_driver_handover(pacing[generation].began + HAND_NS);
    wn_collection_run(generation, batch + old_for(generation), &r);
    settle_up(&pacing[generation], &r, wn_cpu_now() - cpu);
    if (generation == 0)
        adapt_batch(&r, wn_cpu_now() - cpu);
    waiting_since = 0;
}

uint64_t
wn_pace_hurry(uint64_t since)
{
    const struct pacing *p = &pacing[WANE_ALL];
    uint64_t             paid = p->ended + p->cost * SHORT_SHARE;

    if (p->began >= since)
        return 0;
    if (wn_now() < paid && !has_grown(p))
        return paid;
    wn_pace_run(WANE_ALL);
    /* What died in it keeps its memory as long as it is logged. */
    (void)wn_driver_handover(wn_now() + HAND_NS);
    wn_take_the_dead(&wn_collection);
    return 0;
}

static uint64_t
dead_candidates(void)
{
    uint64_t n = 0;

    for (uint32_t id = 1; id <= wn_record_limit(); id++)
        if (wn_record(id))
            n += load_relaxed(&wn_record(id)->counters.died_marked);
    return n;
}

/* A look at every entry for each that has died, at most: the cost of it is linear. */
void
wn_pace_purge(void)
{
    static uint64_t before;
    uint64_t        n = dead_candidates();
    uint64_t        all = wn_pace_waiting() + load_relaxed(&wn_waiting_count[WN_FROZEN_LIST]);

    if (n - before < PURGE_LEAST || n - before < all / 2)
        return;
    before = n;
    wn_take_the_dead(&wn_collection);
}

/* ---- Thresholds --------------------------------------------------------------------------------------------------- */

int
wane_set_threshold(int generation, size_t candidates)
{
    if (generation < 0 || generation >= WANE_ALL)
        return -EINVAL;
    store_relaxed(&threshold[generation], (uint64_t)candidates);
    return 0;
}

size_t
wane_threshold(int generation)
{
    return generation < 0 || generation >= WANE_ALL ? 0 : load_relaxed(&threshold[generation]);
}
