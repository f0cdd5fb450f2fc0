/* SPDX-License-Identifier: MIT
 *
 * thread.h - a thread of the library's own: started by the first need, with all signals blocked, stopped at shutdown
 *
 * It runs where the program might when the library was loaded. Whoever needs it first may be a worker that has pinned itself to a
 * core, and would have it there for good. (Go starts its threads from one in a known state, for such reasons.)
 */
#ifndef WN_THREAD_H
#define WN_THREAD_H

#include <pthread.h>

#include "atomic.h"
#include "ck_glue.h"

struct wn_thread {
    const char          *name;
    struct wane_atomic32 state; /* a: idle, running, stopping */
    struct wane_atomic64 retry; /* a: after a failure, no attempt before this time */
    pthread_t            id;
};

/* When the library is loaded. */
void wn_threads_init(void);

/* May threads be started? After forbidding it, stop the ones that run: none can start any more. */
bool wn_threads_allowed(void);
void wn_threads_allow(bool allowed);

/* Wait-free when it runs already. False: it could not be started; try again at the next need. */
bool wn_thread_start(struct wn_thread *thread, void *(*main)(void *));
bool wn_thread_runs(const struct wn_thread *thread);

/* For the thread itself. */
bool wn_thread_should_stop(const struct wn_thread *thread);

/* Ask, wake, join. Not from the thread itself (then it does nothing). One caller at a time. */
void wn_thread_stop(struct wn_thread *thread, struct wn_event *event);

/* The same, but leaves it to itself when it does not end in time. */
void wn_thread_stop_within(struct wn_thread *thread, struct wn_event *event, unsigned milliseconds);

/* In the child of a fork the thread is gone. */
void wn_thread_forked(struct wn_thread *thread);

#endif
