/* SPDX-License-Identifier: MIT
 *
 * background.h - the thread that drives when nobody else does
 *
 * Started by the first backlog, unless the program drives by itself (loop.h). Ticks every 2 ms while anything waits (the second
 * time after an eighth of that, if a thread that has just left could be idle), sleeps on an event otherwise.
 * When it collects: pace.h.
 */
#ifndef WN_BACKGROUND_H
#define WN_BACKGROUND_H

#include <stdint.h>

#define WN_TICK_NS UINT64_C(2000000)

/* What a tick has left behind. */
enum wn_left {
    WN_LEFT_NOTHING,
    WN_LEFT_WAITS, /* for a grace period, or for its time: come again in a tick */
    WN_LEFT_SOON,  /* for a thread that was in a section a moment ago, and may never be again */
    WN_LEFT_MORE,
};

static inline uint64_t
wn_pause_after(enum wn_left left)
{
    return left == WN_LEFT_SOON ? WN_TICK_NS / 8 : WN_TICK_NS;
}

/* One tick: rounds until `end` while there is more to do, and a collection if one is due. Driver lock held. */
enum wn_left wn_background_tick(uint64_t end);

void wn_background_init(void);
void wn_background_stop(void);
void wn_background_stop_within(unsigned milliseconds);
void wn_background_forked(void);

#endif
