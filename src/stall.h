/* SPDX-License-Identifier: MIT
 *
 * stall.h - sections that do not end are noticed, and reported with the name of their thread
 *
 * The driver looks at every record once a tick. ctr keeps the epoch at which its section began, at every depth, and each
 * tick moves the epoch on: the same epoch in two looks is the same section. Readers pay nothing.
 */
#ifndef WN_STALL_H
#define WN_STALL_H

#include <wane/wane.h>

void wn_stall_init(void);

/* Driver lock held. */
void wn_stall_look(uint64_t now);

void wn_stall_stats(struct wane_stats *out);

#endif
