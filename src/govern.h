/* SPDX-License-Identifier: MIT
 *
 * govern.h - what a program says to the collector: not now; not these; tell me
 *
 * Freeze. The heap has no list of its objects, so none can be marked. Each is stamped at birth with the era, the number of
 * freezes so far (mod 4); while a freeze lasts, an object of another era is frozen: a scan ends there as at one that is too old,
 * and marks it for the thaw (take.c), nothing else. What a collection looks at, and leaves, gets the present era. An object that
 * has lived through four freezes and that none has looked at between seems new again: it is scanned, which costs time and
 * nothing else.
 */
#ifndef WN_GOVERN_H
#define WN_GOVERN_H

#include <wane/wane.h>

#include "header.h"

extern struct wane_atomic64 wn_era;          /* a: in its place in word1. Changes under the driver lock, read at births */
extern struct wane_atomic32 wn_freeze_lasts; /* under the driver lock */
extern struct wane_atomic32 wn_is_automatic; /* a: does the background collect? */

/* Driver lock held. */
static inline bool
wn_is_frozen(uint64_t w1)
{
    return load_relaxed(&wn_freeze_lasts) && (w1 & WN_ERA) != load_relaxed(&wn_era);
}

/* A collection begins (result: nothing yet), or has ended. Outside sections. */
void wn_govern_tell(bool ended, int generation, const struct wane_collected *result);

#endif
