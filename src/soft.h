/* SPDX-License-Identifier: MIT
 *
 * soft.h - soft references: slots that a purge may empty
 *
 * A soft reference is an object with one slot, which holds its target. The table (table.h) leads from the target to it, by the
 * address of its header plus one; the roster leads the purge to it. What a purge looks at without holding the reference lies in
 * the reference itself: bytes and time of the last use.
 *
 * Purge and get: the purge takes the unit out of the slot; a get that has read the slot before retains the target inside its
 * section, and the unit goes a grace period later. So a get has the whole target or NULL; and NULL is final, since nobody fills
 * the slot again.
 *
 * The oldest go first, in a pass for each 32nd of the time between the oldest use and now: no memory is needed to sort them. A
 * target with other units than this slot's would not be freed: it counts as used just now.
 */
#ifndef WN_SOFT_H
#define WN_SOFT_H

#include <wane/memory.h>

/* Outside sections, one at a time. An estimate of what was let go. */
size_t wn_soft_purge(size_t bytes);

void wn_soft_stats(struct wane_memory_stats *out);

/* How many units has this object? A guess, where it changes meanwhile; many, if it is shared. The caller holds or borrows it. */
int64_t wn_units_of(const void *object);

/* A clock that costs little: milliseconds. */
uint64_t wn_coarse_now(void);

#endif
