/* SPDX-License-Identifier: MIT
 *
 * stall.h - sections that do not end are noticed, and reported with the name of their thread
 *
 * Every record is looked at once a tick, also while another thread drives: it may be waiting for such a section for ever
 * (wane_barrier). ctr keeps the epoch at which its section began, at every depth. Each look ends with a ticket and notes
 * sections that are older than the last one's: one that begins later shows another epoch, so the same epoch in two looks
 * is the same section. Readers pay nothing. Reports are made outside of all locks.
 */
#ifndef WN_STALL_H
#define WN_STALL_H

#include <wane/wane.h>

void wn_stall_init(void);

/* Outside sections; calls the user's function. */
void wn_stall_look(void);
void wn_stall_forked(void);

struct wn_stalled {
    uint32_t tid;
    uint64_t nanoseconds; /* since it was first seen */
};

/* Sections that were seen and are open still; how many. 0 also when somebody is looking right now. */
#define WN_STALLS_SHOWN 32
unsigned wn_stall_list(struct wn_stalled *out, unsigned most);

#define WN_THREAD_NAME 32
void wn_stall_thread_name(uint32_t tid, char name[WN_THREAD_NAME]);

void wn_stall_stats(struct wane_stats *out);

#endif
