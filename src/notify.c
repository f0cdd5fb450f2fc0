/* SPDX-License-Identifier: MIT */
#include "notify.h"

#include <errno.h>

#include "gate.h"
#include "memory.h"
#include "step.h"

#define CLOSED UINT64_C(1)

enum { FREE, FILLING, WAITING, OVER };
#define STATE      UINT64_C(3)
#define SERIAL_ONE UINT64_C(4)

struct note {
    struct note         *next; /* c: after the push */
    struct wane_atomic64 state;
    struct wane_atomic64 fn, arg; /* a: written while FILLING */
};

static struct note *
first(struct wn_notes *notes)
{
    return (struct note *)(uintptr_t)(load_acquire(&notes->head) & ~CLOSED); /* acquire E18 */
}

/* ---- Registering ------------------------------------------------------------------------------------------------- */

static void
fill(struct note *n, wn_notify_fn fn, void *arg)
{
    /* release E18: a cancel that reads one of these finds the state FILLING or later: its CAS from an older one
     * fails. */
    store_release(&n->fn, (uint64_t)(uintptr_t)fn);
    store_release(&n->arg, (uint64_t)(uintptr_t)arg);
}

/* A cancelled note, FILLING now, or NULL. */
static struct note *
reuse(struct wn_notes *notes)
{
    if (!load_relaxed(&notes->spare)) /* relaxed: a hint */
        return NULL;
    for (struct note *n = first(notes); n; n = n->next) {
        uint64_t s = load_acquire(&n->state);

        if ((s & STATE) == FREE &&
            cas_acq_rel(&n->state, &s, (s + (WN_MUTANT(reuse_keeps_serial) ? 0 : SERIAL_ONE)) | FILLING)) { /* acq_rel E18 */
            fetch_add_relaxed(&notes->spare, UINT64_MAX);
            return n;
        }
    }
    return NULL;
}

/* False: closed. Lock-free: a failed CAS means that another push succeeded, or the closing. */
static bool
push(struct wn_notes *notes, struct note *n)
{
    uint64_t head = load_acquire(&notes->head);

    do {
        if ((head & CLOSED) && !WN_MUTANT(notify_ignores_death))
            return false;
        n->next = (struct note *)(uintptr_t)(head & ~CLOSED);
    } while (!WN_WEAKER(note_unordered, cas_acq_rel, cas_relaxed, &notes->head, &head,
                        (uint64_t)(uintptr_t)n | (head & CLOSED))); /* release E18 */
    return true;
}

static int
add_new(struct wn_notes *notes, wn_notify_fn fn, void *arg)
{
    struct note *n = wn_malloc(sizeof *n);

    if (!n)
        return -ENOMEM;
    store_relaxed(&n->state, (uint64_t)WAITING); /* relaxed: the push publishes it */
    fill(n, fn, arg);
    WN_STEP("notify:before-push");
    if (push(notes, n))
        return 0;
    wn_free(n);
    return -ESRCH;
}

int
wn_notes_add(struct wn_notes *notes, wn_notify_fn fn, void *arg)
{
    struct note *n;
    uint64_t     s;

    if ((load_acquire(&notes->head) & CLOSED) && !WN_MUTANT(notify_ignores_death))
        return -ESRCH;
    n = reuse(notes);
    if (!n)
        return add_new(notes, fn, arg);
    fill(n, fn, arg);
    WN_STEP("notify:filled");
    /* relaxed: only the run can have changed it, and nothing but STATE. */
    s = (load_relaxed(&n->state) & ~STATE) | FILLING;
    return cas_acq_rel(&n->state, &s, (s & ~STATE) | WAITING) ? 0 : -ESRCH; /* release E18 */
}

/* ---- Cancelling -------------------------------------------------------------------------------------------------- */

static bool
is_for(struct note *n, wn_notify_fn fn, void *arg)
{
    /* acquire E18: see fill. */
    return load_acquire(&n->fn) == (uint64_t)(uintptr_t)fn && load_acquire(&n->arg) == (uint64_t)(uintptr_t)arg;
}

static bool
cancel(struct note *n, wn_notify_fn fn, void *arg)
{
    uint64_t s = load_acquire(&n->state); /* acquire E18 */

    while ((s & STATE) == WAITING && is_for(n, fn, arg)) {
        WN_STEP("notify:before-cancel");
        if (WN_MUTANT(cancel_by_store)) {
            store_release(&n->state, s & ~STATE);
            return true;
        }
        if (cas_acq_rel(&n->state, &s, s & ~STATE)) /* acq_rel E18: FREE */
            return true;
    }
    return false;
}

bool
wn_notes_cancel(struct wn_notes *notes, wn_notify_fn fn, void *arg)
{
    for (struct note *n = first(notes); n; n = n->next)
        if (cancel(n, fn, arg)) {
            fetch_add_relaxed(&notes->spare, 1u);
            return true;
        }
    return false;
}

/* ---- The death --------------------------------------------------------------------------------------------------- */

static void
call(struct note *n, void *weak)
{
    wn_notify_fn fn = (wn_notify_fn)(uintptr_t)load_acquire(&n->fn);
    void        *arg = (void *)(uintptr_t)load_acquire(&n->arg);
    bool         drives;

    wane_enter(); /* one level deeper: a checkpoint in the callback ends no borrow of ours */
    drives = wn_callback_begin();
    fn(weak, arg);
    wn_callback_end(drives);
    wane_leave();
}

void
wn_notes_run(struct wn_notes *notes, void *weak)
{
    /* acq_rel E18: what registrants wrote. */
    uint64_t head = fetch_or_acq_rel(&notes->head, CLOSED);

    for (struct note *n = (struct note *)(uintptr_t)(head & ~CLOSED); n; n = n->next) {
        WN_STEP("notify:before-run");
        /* acq_rel E18: one at a time, so that a callback may still cancel those after it. */
        if ((fetch_or_acq_rel(&n->state, (uint64_t)OVER) & STATE) == WAITING || WN_MUTANT(runs_the_cancelled))
            call(n, weak);
    }
}

void
wn_notes_free(struct wn_notes *notes)
{
    for (struct note *n = first(notes), *next; n; n = next) {
        next = n->next;
        wn_free(n);
    }
}
