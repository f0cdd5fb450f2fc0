/* SPDX-License-Identifier: MIT
 *
 * notify.h - callbacks that wait for a death: a list that only grows until it is closed
 *
 * A note is pushed once and stays in its list until the list's owner dies, so a walk needs no memory reclamation. One
 * word says what it is, and every change of that word is one atomic step:
 *
 *   serial << 2 | FREE     cancelled; may be filled again
 *                 FILLING  its registrant is writing fn and arg
 *                 WAITING  runs at the death
 *                 OVER     for ever: its turn has come
 *
 *   register            FREE -> FILLING (serial + 1), fn, arg, FILLING -> WAITING; or a new note, pushed as WAITING
 *   cancel              WAITING -> FREE: true, it never runs
 *   run (at the death)  CLOSED into the head: no push succeeds any more; then each note -> OVER: runs if it was WAITING
 *
 *   register                              run
 *   CAS head (not CLOSED)                 head |= CLOSED          the push is in the list that is walked, or refused
 *   CAS FILLING -> WAITING                state |= OVER           it is found WAITING, or the registrant is refused
 *
 * So a registration that succeeded runs or is cancelled, never both, never neither. Running needs no memory. The serial
 * makes a late cancel of an earlier filling fail. A thread stopped for ever while it fills a note leaves one that never
 * runs; its registration has not returned.
 */
#ifndef WN_NOTIFY_H
#define WN_NOTIFY_H

#include "atomic.h"

typedef void (*wn_notify_fn)(void *weak, void *arg);

struct wn_notes {
    struct wane_atomic64 head;  /* a: newest note | CLOSED */
    struct wane_atomic64 spare; /* a: about how many are FREE: is a search worth it? */
};

int  wn_notes_add(struct wn_notes *notes, wn_notify_fn fn, void *arg); /* 0, -ESRCH: closed, -ENOMEM */
bool wn_notes_cancel(struct wn_notes *notes, wn_notify_fn fn, void *arg);
void wn_notes_run(struct wn_notes *notes, void *weak); /* once; in a section, no lock held */
void wn_notes_free(struct wn_notes *notes);            /* nobody else knows them */

#endif
