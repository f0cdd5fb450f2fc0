/* SPDX-License-Identifier: MIT
 *
 * pressure.h - purges: what can be done without goes when memory is short
 *
 * One purge at a time, under a mutex that no path of retain, release, slots, sections or upgrades takes. It guards the list of
 * callbacks, too; these run under it, and may add and take out callbacks: who is inside knows it, and does not lock again.
 */
#ifndef WN_PRESSURE_H
#define WN_PRESSURE_H

#include <wane/memory.h>

#include "atomic.h"

/* A purge for a thread that waits for memory: not while another one takes long. Outside sections. */
void wn_pressure_purge_within(size_t bytes, uint64_t nanoseconds);

/* For whoever has just driven, outside sections and locks: is memory short, and is a purge paid for? Nanoseconds after which to
 * look again; 0: when memory is reported to be short. */
uint64_t wn_pressure_attend(void);

/* Is this thread inside a purge? */
bool wn_pressure_is_mine(void);

void wn_pressure_forked(void);
void wn_pressure_stats(struct wane_memory_stats *out);

#endif
