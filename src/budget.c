/* SPDX-License-Identifier: MIT */
#include "budget.h"

#include <errno.h>

#include "pressure.h"
#include "step.h"

#define GRANULE_MOST  UINT64_C(65536)
#define GRANULE_LEAST UINT64_C(256)

struct wane_atomic64 wn_budget_granule = {GRANULE_MOST};

static struct wane_atomic64 soft, hard;  /* a: 0: none */
static struct wane_atomic64 total;       /* a: reported; signed */
static struct wane_atomic64 refused, waits;
static struct wane_atomic32 woken; /* a: the background knows that memory is short */

/* ---- Sums --------------------------------------------------------------------------------------------------------- */

/* Signed: a free may be summed up and its birth not yet. */
static int64_t
used_now(void)
{
    uint64_t sum = load_relaxed(&total);

    for (uint32_t id = 1; id <= wn_record_limit(); id++)
        if (wn_record(id))
            sum += load_relaxed(&wn_record(id)->charge);
    return (int64_t)sum;
}

static bool
is_above(int64_t bytes, const struct wane_atomic64 *limit)
{
    uint64_t most = load_relaxed(limit);

    return most && bytes > 0 && (uint64_t)bytes > most;
}

size_t
wane_budget_used(void)
{
    int64_t used = used_now();

    return used > 0 ? (size_t)used : 0;
}

size_t
wn_budget_excess(void)
{
    int64_t used = wn_budget_is_short() ? used_now() : 0;

    return is_above(used, &soft) ? (size_t)used - load_relaxed(&soft) : 0;
}

bool
wn_budget_is_short(void)
{
    return is_above((int64_t)load_relaxed(&total), &soft);
}

size_t
wn_budget_lack(size_t bytes)
{
    int64_t used = used_now() + (int64_t)bytes;

    return is_above(used, &hard) ? (size_t)used - load_relaxed(&hard) : 0;
}

/* ---- Reports ------------------------------------------------------------------------------------------------------ */

void
wn_budget_attended(void)
{
    if (load_relaxed(&woken) && !WN_MUTANT(budget_tells_once))
        exchange_acq_rel(&woken, 0u);
}

static void
tell_background(void)
{
    if (!load_relaxed(&woken) && !exchange_acq_rel(&woken, 1u))
        wn_wake_background();
}

/* The total is a quick guess. Where it refuses, the sum decides: others may have freed what they have not reported. */
static bool
is_refused(struct wn_record *r, int64_t charge)
{
    if (charge <= 0 || !is_above((int64_t)load_relaxed(&total) + charge, &hard))
        return false;
    return WN_MUTANT(refused_by_total) || wn_budget_lack((size_t)(charge - (int64_t)load_relaxed(&r->charge)));
}

bool
wn_budget_report(struct wn_record *r, int64_t charge)
{
    if (is_refused(r, charge))
        return false;
    /* Whoever is stopped between the two (fork) counts too much. relaxed: sums; nothing is reached through them. */
    if (charge > 0)
        fetch_add_relaxed(&total, (uint64_t)charge);
    store_relaxed(&r->charge, UINT64_C(0));
    if (charge <= 0)
        fetch_add_relaxed(&total, (uint64_t)charge);
    else if (wn_budget_is_short())
        tell_background();
    return true;
}

/* ---- Limits ------------------------------------------------------------------------------------------------------- */

static uint64_t
granule_for(uint64_t limit)
{
    uint64_t g = limit / 64;

    return !limit || g > GRANULE_MOST ? GRANULE_MOST : g < GRANULE_LEAST ? GRANULE_LEAST : g;
}

int
wane_budget(size_t soft_bytes, size_t hard_bytes)
{
    if (soft_bytes && hard_bytes && soft_bytes > hard_bytes)
        return -EINVAL;
    store_relaxed(&soft, (uint64_t)soft_bytes);
    store_relaxed(&hard, (uint64_t)hard_bytes);
    store_relaxed(&wn_budget_granule, granule_for(soft_bytes ? soft_bytes : hard_bytes));
    store_relaxed(&woken, 0u);
    if (wn_budget_is_short()) {
        wane_enter(); /* attaches the thread and starts the runtime */
        wane_leave();
        tell_background();
    }
    return 0;
}

void
wn_budget_count_wait(void)
{
    fetch_add_relaxed(&waits, 1u);
}

void
wn_budget_count_refusal(void)
{
    fetch_add_relaxed(&refused, 1u);
}

void
wane_memory_stats(struct wane_memory_stats *out)
{
    *out = (struct wane_memory_stats){.used = wane_budget_used(), .soft = load_relaxed(&soft), .hard = load_relaxed(&hard),
                                      .refused = load_relaxed(&refused), .waits = load_relaxed(&waits)};
    wn_pressure_stats(out);
}
