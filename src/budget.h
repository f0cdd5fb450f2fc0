/* SPDX-License-Identifier: MIT
 *
 * budget.h - bytes of objects: counted on records, compared with limits once a granule
 *
 * A record adds up in its own word what it makes less what it frees, and moves that to the total when it leaves the range of a
 * granule to either side. So total + sum of the records' words = bytes in memory, and total alone is wrong by records x granule
 * at most. Births pass the limit's test only where they report: within a granule nothing is compared. At the limit a record's
 * word stays where it is, just short of the granule, so that each birth is compared until there is room again.
 *
 * What waits for memory: room.c. What goes when it is short: pressure.c.
 * Source of the shape: percpu_counter of Linux.
 */
#ifndef WN_BUDGET_H
#define WN_BUDGET_H

#include "record.h"

extern struct wane_atomic64 wn_budget_granule;

/* The word would leave the range. False: the hard limit is reached, and nothing has changed. */
bool wn_budget_report(struct wn_record *r, int64_t charge);

/* An object of so many bytes is made, standing on r. False: the hard limit is reached. */
static inline bool
wn_budget_take(struct wn_record *r, size_t bytes)
{
    int64_t charge = (int64_t)(load_relaxed(&r->charge) + bytes);

    if (__builtin_expect(charge >= (int64_t)load_relaxed(&wn_budget_granule), 0))
        return wn_budget_report(r, charge);
    store_relaxed(&r->charge, (uint64_t)charge); /* relaxed: the writer is alone */
    return true;
}

/* Its memory is free. */
static inline void
wn_budget_give(struct wn_record *r, size_t bytes)
{
    int64_t charge = (int64_t)(load_relaxed(&r->charge) - bytes);

    if (__builtin_expect(charge <= -(int64_t)load_relaxed(&wn_budget_granule), 0))
        (void)wn_budget_report(r, charge);
    else
        store_relaxed(&r->charge, (uint64_t)charge);
}

/* Above the soft limit by so much; 0: memory is not short. Linear in the records. */
size_t wn_budget_excess(void);

/* So much must go before so many bytes pass the hard limit; 0: they do now. Linear in the records. */
size_t wn_budget_lack(size_t bytes);

/* The soft limit is passed, by what has been reported. */
bool wn_budget_is_short(void);

/* Somebody looks whether memory is short: the next report above the soft limit wakes the background again. */
void wn_budget_attended(void);

void wn_budget_count_wait(void);
void wn_budget_count_refusal(void);

#endif
