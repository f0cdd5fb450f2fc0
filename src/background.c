/* SPDX-License-Identifier: MIT */
#include "background.h"

#include <time.h>

#include "pace.h"
#include "table.h"
#include "thread.h"

#define TICK_NS       UINT64_C(2000000)
#define ROUNDS_NS     UINT64_C(20000000) /* of rounds in one tick, while there is more to do without waiting */
#define STALL_NS      UINT64_C(100000000) /* no collection while a section is older than this */

static struct wn_thread thread;
static struct wn_event  event;

struct ticker {
    bool     hurry; /* more to do at once */
    uint64_t probe, probe_time; /* a ticket and when it was taken */
};

/* Is some section so old that no grace period passes? Then a collection would only turn frees into growth. */
static bool
is_stalled(struct ticker *t, uint64_t now)
{
    if (wn_grace_done(t->probe)) {
        t->probe = wn_grace_ticket();
        t->probe_time = now;
    }
    return now - t->probe_time > STALL_NS;
}

/* True: something waits, come again soon. */
static bool
tick(struct ticker *t)
{
    uint64_t now = wn_now();
    int      due;
    bool     more;

    wn_driver_begin();
    wn_driver_tick();
    do
        more = wn_driver_round(WN_ATTEND, false);
    while (wn_driver_has_more() && wn_now() - now < ROUNDS_NS);
    wn_table_tend();
    due = wn_pace_due(now);
    if (!is_stalled(t, now) && due >= 0)
        wn_pace_run(due);
    wn_pace_purge();
    more |= wn_pace_waiting() > 0;
    t->hurry = wn_driver_has_more();
    wn_driver_end();
    return more;
}

static void *
run(void *unused)
{
    struct ticker t = {0};

    (void)unused;
    while (!wn_thread_should_stop(&thread)) {
        uint32_t value = wn_event_value(&event);

        if (tick(&t))
            /* Not the event: under load it is signalled all the time. */
            nanosleep(&(struct timespec){0, t.hurry ? 0 : TICK_NS}, NULL);
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
