/* SPDX-License-Identifier: MIT */
#include "background.h"

#include "cell.h"
#include "final.h"
#include "govern.h"
#include "loop.h"
#include "pace.h"
#include "page.h"
#include "pressure.h"
#include "share.h"
#include "stall.h"
#include "table.h"
#include "thread.h"
#include "walk.h"

#define ROUNDS_NS     UINT64_C(20000000) /* of rounds in one tick, while there is more to do without waiting */
#define LET_OTHERS_NS UINT64_C(50000)
#define STALL_NS      UINT64_C(100000000) /* no collection while a section is older than this */

static struct wn_thread thread = {.name = "wane-driver"};
static struct wn_event  event;

/* A ticket and when it was taken; under the driver lock. */
static uint64_t probe, probe_time;

/* Is some section so old that no grace period passes? Then a collection would only turn frees into growth. */
static bool
is_stalled(uint64_t now)
{
    if (wn_grace_done(probe)) {
        probe = wn_grace_ticket();
        probe_time = now;
    }
    return now - probe_time > STALL_NS;
}

static void
collect_if_due(uint64_t now)
{
    int due = wn_pace_due(now);

    if (!is_stalled(now) && due >= 0 && !load_relaxed(&wn_walks))
        wn_pace_run(due);
    wn_pace_purge();
}

/* Once: who is busy all the time is not looked at more often for it. Under the driver lock. */
static bool
is_new_wait(bool waits)
{
    static bool before;
    bool        is_new = waits && !before;

    before = waits;
    return is_new && !WN_MUTANT(idle_after_a_tick);
}

enum wn_left
wn_background_tick(uint64_t end)
{
    uint64_t now = wn_now();
    bool     waits;

    wn_driver_tick();
    do
        waits = wn_driver_round(WN_ATTEND, false);
    while (wn_driver_has_more() && wn_now() < end);
    waits |= wn_share_cool(false);
    wn_table_tend();
    collect_if_due(now);
    if (wn_driver_has_more())
        return WN_LEFT_MORE;
    if (is_new_wait(wn_driver_is_kept()))
        return WN_LEFT_SOON;
    if (wn_pages_tend() || waits || (load_relaxed(&wn_is_automatic) && wn_pace_waiting()))
        return WN_LEFT_WAITS;
    return WN_LEFT_NOTHING;
}

/* A tick long, but for questions. */
static void
nap(uint64_t nanoseconds)
{
    uint64_t end = wn_now() + nanoseconds, now;

    do {
        uint32_t answered = wn_grace_answer();

        now = wn_now();
        if (now < end)
            wn_grace_wait(answered, end - now);
    } while (now < end && !wn_thread_should_stop(&thread));
}

static void *
run(void *unused)
{
    (void)unused;
    store_relaxed(&wn_grace_heard, 1u);
    while (!wn_thread_should_stop(&thread)) {
        uint32_t     value = wn_event_value(&event);
        enum wn_left left = WN_LEFT_MORE;
        uint64_t     pause, next;

        /* Who drives may wait for a section for ever: this thread goes on to see that, and to say so. */
        if (wn_driver_try_begin(WN_TICK_NS)) {
            if (!WN_MUTANT(background_stays))
                wn_driver_give_way();
            left = wn_background_tick(wn_now() + ROUNDS_NS);
            wn_driver_end();
        }
        wn_stall_look();
        pause = wn_pressure_attend();
        next = wn_page_attend();
        if (next && (!pause || next < pause))
            pause = next;
        if (wn_final_attend() && left == WN_LEFT_NOTHING)
            left = WN_LEFT_WAITS;
        if (left != WN_LEFT_NOTHING)
            /* Not the event: under load it is signalled all the time. */
            nap(left == WN_LEFT_MORE ? LET_OTHERS_NS : wn_pause_after(left));
        else if (!wn_thread_should_stop(&thread))
            wn_event_wait(&event, value, pause);
    }
    store_relaxed(&wn_grace_heard, 0u);
    return NULL;
}

/* A thread that cannot be started is tried again at the next report: nobody takes it for running. */
static void
wake(void)
{
    if (!wn_loop_allows_threads()) {
        store_relaxed(&wn_background_runs, 1u); /* a report is enough for each backlog */
        wn_loop_report();
        return;
    }
    store_relaxed(&wn_background_runs, (uint32_t)wn_thread_start(&thread, run));
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
    if (wn_share_is_hot()) { /* reported once, when it was shared */
        wake();
        return;
    }
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
    store_relaxed(&wn_grace_heard, 0u);
}
