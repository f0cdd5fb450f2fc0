/* SPDX-License-Identifier: MIT
 *
 * roster.h - the objects that a purge goes through: soft references, caches
 *
 * Groups of cells, never freed. A cell is taken by CAS and emptied by its member's dispose, by one store: dying waits for nobody.
 * Members have WEAK set in word1, as targets of weak references have, so their memory outlasts their death by a grace period:
 * who finds one in a cell, inside a section, may look at its own fields, and may try to hold it (wn_weak_hold). Only when it is
 * held may its slots be used.
 */
#ifndef WN_ROSTER_H
#define WN_ROSTER_H

#include "atomic.h"

struct wn_roster {
    struct wane_atomic_ptr groups; /* a: pushed at the front */
    struct wane_atomic_ptr hint;   /* a: a group that has had an empty cell */
};

/* The member's cell; NULL: no memory. Sets WEAK. The caller holds the member. In a section. */
struct wane_atomic_ptr *wn_roster_add(struct wn_roster *roster, void *member);

/* From the member's dispose. Wait-free. */
void wn_roster_strike(struct wn_roster *roster, struct wane_atomic_ptr *cell);

/* Call fn for the members, in sections of some hundred, until it says false. Outside sections. */
void wn_roster_each(struct wn_roster *roster, bool (*fn)(void *member, void *arg), void *arg);

#endif
