/* SPDX-License-Identifier: MIT
 *
 * final.h - finalizers: once, on live objects, on a thread of their own
 *
 * An object whose last unit went has that unit handed over with FINALIZED set in the same CAS: it is alive, weak references
 * work, and the finalizer may store it somewhere (resurrect it). Afterwards the unit is given back like any other.
 * A cycle's members are all protected by one unit each until every finalizer of the component has run (struct wn_final_batch);
 * giving those back makes them candidates again, and the next collection reviews from scratch.
 *
 * The queues need no memory for single objects (a link in front of the header). Run by wane_run_finalizers, or by a thread that
 * starts when the first is due; never by the background, a release or a leave. A finalizer that blocks holds up other
 * finalizers only.
 */
#ifndef WN_FINAL_H
#define WN_FINAL_H

#include "unit.h"

/* A component whose finalizers are due. Entries: header | 1 when that member's finalizer is to run. */
struct wn_final_batch {
    struct wn_link link;
    uint32_t       count;
    uintptr_t      entry[];
};

/* Finalizers may make work for finalizers without end: who runs them looks up after so many. */
#define WN_FINAL_BATCH 256

void wn_final_add_batch(struct wn_final_batch *batch);

void     wn_final_init(void);
size_t   wn_final_run(uint32_t most); /* those due, and those that become so meanwhile; at most so many */
bool     wn_final_pending(void); /* due, or running on some thread */
bool     wn_final_attend(void);  /* are some due that no thread of ours will run? Tries to start it again */
uint64_t wn_final_count(void);
void     wn_final_stop(void); /* ends the thread, if it is not inside a finalizer; waits */
void     wn_final_fork_lock(void);
void     wn_final_fork_unlock(void);
void     wn_final_forked(void);

#endif
