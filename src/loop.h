/* SPDX-License-Identifier: MIT
 *
 * loop.h - programs that want no thread of the library's: their event loop does its work, in slices
 *
 * wane_step does what a tick of the background does. wane_event_fd is a timer: it is set to "now" by whoever reports work, and to
 * the next tick by a step that leaves work which waits for a grace period. So one descriptor says both.
 *
 *     reporter (any thread)                        wane_step
 *     reported = 1                                 timer: off; reported = 0
 *     timer: now                                   work
 *                                                  something waits? timer: in a tick
 *                                                  reported? timer: now
 *   A report between the work and the setting of the timer is not lost: either its own setting comes later, or it is seen.
 */
#ifndef WN_LOOP_H
#define WN_LOOP_H

#include <stdbool.h>

void wn_loop_init(void);

/* May the library start threads of its own? */
bool wn_loop_allows_threads(void);

/* Work was reported, and there is no thread to do it. Lock-free; a system call if there is a descriptor. */
void wn_loop_report(void);

/* In the child of a fork: a descriptor of its own under the same number. */
void wn_loop_forked(void);

#endif
