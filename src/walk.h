/* SPDX-License-Identifier: MIT
 *
 * walk.h - a look at every observed object and its slots, beside running mutators
 *
 * A walk goes through a copy of the registry in batches. Each batch is a reader like the collector's first phase, by the same
 * rules: under the driver lock, with wn_collecting set, in one section (registry.h has the argument for the memory). The lock is
 * held for many batches, and the background begins no collection while a walk is under way: it would have the lock for
 * seconds, after each turn of the walk's. Between batches a walk keeps addresses as numbers only, and looks at the registry anew
 * before it follows one.
 *
 *   An object is looked at once, at some time during the walk: its words, then its slots. `word1` that says gone means that its
 *   slots are not read (E13, E16: as in suspect.c).
 *   Slots are read one by one. What is in them at that moment is alive, or outlives the section.
 *   A wide object is seen in parts, each in a section of its own (part.h). In between its slots may have moved.
 *   An address whose object has died in the meantime is reported as missing; if another one lies there by then, that one is seen.
 *
 * Trace callbacks. An object that nobody but its maker knows may be half made, and its callback would read what is not there yet.
 * The collector never meets such a one. Nor does the walk: a callback is called if word1 shows that the object has been a
 * candidate, or was merged (each is an RMW after its making), or if the type says WANE_TRACED_EARLY. Else the object is
 * `opaque`: its declared slots are read, which are valid from birth on, the callback is not called.
 */
#ifndef WN_WALK_H
#define WN_WALK_H

#include "part.h"
#include "registry.h"

enum wn_edge {
    WN_EDGE_SLOT,    /* a declared slot: its number */
    WN_EDGE_ELEMENT, /* shown by the trace callback: a running number */
    WN_EDGE_HUNG,    /* values of weak maps */
    WN_EDGE_WEAK,    /* the unit that an object owns of its weak reference */
    WN_EDGE_OWNED,   /* .. or of the array behind it (WANE_OWNS_FIRST) */
};

struct wn_sight {
    struct wane_header   *h; /* to be used inside of the callback only */
    const struct wn_type *type;
    uint64_t              w0, w1;
    size_t                bytes; /* of payload */
    uint32_t              rank;
    bool                  opaque;
};

struct wn_walk {
    const struct wn_set *set;
    uint32_t             types; /* objects of later ones are missing */

    /* The callbacks run inside a section: they must not block, nor touch objects. NULL: not wanted (begin, end, missing). */
    void (*begin)(struct wn_walk *walk, const struct wn_sight *sight);
    void (*edge)(struct wn_walk *walk, enum wn_edge kind, size_t number, uintptr_t target); /* header of the target */
    void (*end)(struct wn_walk *walk, const struct wn_sight *sight);
    void (*missing)(struct wn_walk *walk, uint32_t rank);
    int (*flush)(struct wn_walk *walk); /* between turns, outside of sections and locks; not 0 ends the walk */
    bool (*full)(struct wn_walk *walk); /* end this turn soon */

    /* The walk's own. */
    struct wn_place place;
    uint32_t        rank;
    uint32_t        edges; /* slots seen in this batch */
    bool            partly;
    struct wn_sight sight; /* of the object that is seen in parts */
    struct wn_part  part;
};

extern struct wane_atomic32 wn_walks; /* a: under way */
void wn_walk_forked(void);            /* in the child of a fork */

/* All of it, from the beginning. 0; what flush returned; -EDEADLK in a section; -EAGAIN: somebody drives and does not end. */
int wn_walk_run(struct wn_walk *walk);

/* What was displaced is given back and candidates are handed over, as far as that takes no time: few units are pending, and few
 * objects opaque. */
void wn_walk_prepare(void);

static inline int64_t
wn_sight_units(const struct wn_sight *s)
{
    return wn_count(s->w1) + ((s->w1 & WN_MERGED) ? 0 : (int64_t)wn_local(s->w0));
}

#endif
