/* SPDX-License-Identifier: MIT
 *
 * weak.h - weak references: one leaf object per target
 *
 * The weak object holds the target's address until the target dies; the table (table.h) leads from the target to it.
 * The target owns one unit of its weak object until it dies, so whoever looks the table up while holding the target
 * finds a live one. The flag WEAK in the target's word1 is set once, by a holder, and says two things: sever me at
 * death; keep my memory for a grace period, so that an upgrade inside a section may look at word1.
 *
 * Callbacks for the death hang on the weak object. The target's unit of it goes after they ran, so it cannot die
 * before them.
 *
 * An upgrade is a CAS from the word it has judged: never 0 -> 1 of a merged object (I4). CONDEMNED: see decide.h.
 */
#ifndef WN_WEAK_H
#define WN_WEAK_H

#include "unit.h"

/* The target dies: no upgrade succeeds from here on. Inside a section. Returns its weak object, or NULL; may be
 * called again until wn_weak_bury. */
void *wn_weak_sever(struct wane_header *target);

/* After sever and dispose, before the target's memory can be re-used, in a section: the table forgets the target, the
 * callbacks run (notify.h), the target's unit of the weak object is deferred. NULL is allowed. No memory is needed. */
void wn_weak_bury(void *weak);

/* Add a unit to an object that may be dying. False: it is gone. In a section that has found it at a time when it lived; WEAK is
 * set in its word1, so its memory outlasts the section, and the collector reckons with this. */
bool wn_weak_hold(struct wane_header *h);

#endif
