/* SPDX-License-Identifier: MIT */
#include "room.h"

#include <time.h>

#include "budget.h"
#include "final.h"
#include "loop.h"
#include "pace.h"
#include "pressure.h"

#define ROOM_NS  UINT64_C(1000000000)
#define PURGE_NS UINT64_C(100000000) /* for another thread's purge */
#define NAP_NS   UINT64_C(500000)
#define DRIVE_NS UINT64_C(900000000) /* for another thread's driving */

/* Under the driver lock. Not 0: a collection at this time may help. */
static uint64_t
drive(size_t bytes, uint64_t since, uint64_t deadline)
{
    uint64_t later;

    if (!wn_budget_lack(bytes))
        return 0;
    if (!wn_driver_settle(deadline) || !wn_driver_bury(deadline))
        return 0; /* a section does not end: a collection would not, either */
    if (!wn_budget_lack(bytes))
        return 0;
    later = wn_pace_hurry(since);
    if (!later)
        (void)wn_driver_bury(deadline);
    return later;
}

/* Until a collection is paid for, or for finalizers, which may let go of more. False: there is nothing to wait for. */
static bool
wait_for_more(uint64_t later, uint64_t deadline)
{
    uint64_t now = wn_now();

    if (!later && wn_loop_allows_threads() && wn_final_pending())
        later = now + NAP_NS;
    if (!later || later >= deadline)
        return false;
    if (later > now)
        nanosleep(&(struct timespec){0, (long)(later - now)}, NULL);
    return true;
}

bool
wn_room_make(size_t bytes)
{
    uint64_t since = wn_now(), deadline = since + ROOM_NS, later;

    if (!wn_budget_lack(bytes))
        return true;
    if (wn_pressure_is_mine() || wane_self.me == WN_ME_EXITING)
        return false;
    wn_budget_count_wait();
    wn_pressure_purge_within(wn_budget_lack(bytes) + load_relaxed(&wn_budget_granule), PURGE_NS);
    while (wn_driver_try_begin(DRIVE_NS)) {
        later = drive(bytes, since, deadline);
        wn_driver_end();
        if (!wn_budget_lack(bytes) || !wait_for_more(later, deadline))
            break;
    }
    return !wn_budget_lack(bytes);
}
