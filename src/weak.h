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
 * What weak maps know of the target hangs on it in one slot, which lies in the node but is the target's: a trace of the target
 * shows it (wn_type_trace), so what leads from there back to the target is a cycle like any other. It is used as any slot, by
 * who holds the target, and emptied with the others when the target dies. A weak object that is made, or found, between two
 * traces changes the answer no more than a slot that was empty before: making it moves the version of word1.
 *
 * An upgrade is a CAS from the word it has judged: never 0 -> 1 of a merged object (I4). CONDEMNED: see decide.h.
 */
#ifndef WN_WEAK_H
#define WN_WEAK_H

#include "unit.h"

/* The target dies: no upgrade succeeds from here on. Inside a section. Returns its weak object, or NULL; may be
 * called again until wn_weak_bury. */
void *wn_weak_sever(struct wane_header *target);

/* After sever and dispose: the callbacks run (notify.h). In a section; NULL is allowed; no memory is needed. */
void wn_weak_tell(void *weak);

/* After that, before the target's memory can be re-used: the hung slot is dropped by `drop`, the table forgets the target, the
 * target's unit of the weak object is deferred. In a section; NULL is allowed; no memory is needed. */
void wn_weak_bury(void *weak, void (*drop)(wane_slot *));

/* The target lives for ever, so its weak object does: it is no leak. In a section. */
void wn_weak_immortalise(struct wane_header *target);

/* The slot that is hung on a target which the caller holds; NULL if it has no weak reference, or is dying. In a section. */
wane_slot *wn_weak_hung(struct wane_header *target);

/* The header of an object's weak reference, and the slot that is hung on it; NULL: it has none. Only to look, in a section. */
struct wane_header *wn_weak_of(struct wane_header *target, const wane_slot **hung);

/* Add a unit to an object that may be dying. False: it is gone. In a section that has found it at a time when it lived; WEAK is
 * set in its word1, so its memory outlasts the section, and the collector reckons with this. */
bool wn_weak_hold(struct wane_header *h);

#endif
