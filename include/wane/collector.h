/* SPDX-License-Identifier: MIT
 *
 * collector.h - for programs that govern the collector: when it runs, what it leaves out, what it has done
 *
 * Nothing here is needed: the collector paces itself. Thresholds are in wane.h.
 */
#ifndef WANE_COLLECTOR_H
#define WANE_COLLECTOR_H

#include <wane/wane.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

/**
 * wane_set_automatic - may the background (or wane_step) collect cycles by itself, as it does from the start?
 *
 * @yes      false: only wane_collect does. Candidates are noted as ever, so nothing is lost; counted deaths go on
 * Returns   what was set before
 * Threads   any; one collection that has begun is not cut short
 * Progress  lock-free
 */
bool wane_set_automatic(bool yes);

/**
 * wane_freeze - leave everything that is alive now out of collections, of all generations
 *
 * A collection takes a frozen object for live and does not look into it; garbage that hangs together with it waits. Nor does
 * it write to one, but for a mark, once, where something newer refers to it. For a heap that is loaded once and stays, and
 * before a fork, so that pages stay shared. Counts work as ever: what is no longer held dies. Objects made later are
 * collected as ever.
 *
 * Returns   0; -EALREADY: a freeze lasts (it is not extended); -EDEADLK inside a section or a callback of the library's
 * Threads   any, outside sections. What other threads make during the call is frozen or not
 * Progress  blocking: on a collection that is running. Constant time; touches no object
 *
 * wane_unfreeze - end it: what waited is a candidate again
 *
 * Returns   0; -EALREADY: no freeze lasts; -EDEADLK as above
 */
int wane_freeze(void);
int wane_unfreeze(void);

struct wane_collection {
    bool                  ended;      /* false: it begins, and result is empty */
    int                   generation;
    struct wane_collected result;     /* of this one; a wane_collect may consist of several */
};

/**
 * wane_on_collection - be told when collections begin and end
 *
 * @fn       called on the thread that collects, inside a section; collections wait for it. It may make, retain, release and
 *           store; it must not block. NULL: nobody is told
 * Returns   0, or -ENOMEM (nothing has changed)
 * Threads   any; the last call counts. The old fn may still be running until a grace period after the call
 */
int wane_on_collection(void (*fn)(const struct wane_collection *collection, void *arg), void *arg);

/* Why a suspect was not destroyed by the collection that suspected it. It stays a candidate. */
enum wane_abort {
    WANE_ABORT_MOVED,      /* its count changed, or it was handed to another thread, during the review */
    WANE_ABORT_HELD,       /* something outside holds it, or something that is held does */
    WANE_ABORT_DIED,       /* by its count, meanwhile */
    WANE_ABORT_OWNER,      /* its owner's thread was inside one section for too long */
    WANE_ABORT_UPGRADED,   /* a weak reference of its component was upgraded in the last moment */
    WANE_ABORT_FINALIZERS, /* finalizers of its component run first: not in use, but alive until they have */
    WANE_ABORT_SECTION,    /* a section did not end: the whole collection was given up */
    WANE_ABORT_MEMORY,     /* there was none for the collection */
    WANE_ABORTS
};

/**
 * wane_aborts - suspects given back since the start, by reason; the sum is `aborted` in the statistics
 *
 * @objects  WANE_ABORTS numbers, each monotonic
 */
void wane_aborts(uint64_t objects[WANE_ABORTS]);

enum wane_phase {
    WANE_PHASE_SUSPECT, /* candidates taken over, a grace period, trial deletion */
    WANE_PHASE_REVIEW,  /* two traces around a grace period */
    WANE_PHASE_DESTROY, /* weak references decided, members destroyed, the others given back */
    WANE_PHASES
};

/**
 * wane_phases - nanoseconds that collections have spent since the start, by phase, waits for grace periods included
 *
 * @nanoseconds  WANE_PHASES numbers, each monotonic
 */
void wane_phases(uint64_t nanoseconds[WANE_PHASES]);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif

#endif
