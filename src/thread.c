/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE /* pthread_timedjoin_np */
#include "thread.h"

#include <signal.h>
#include <time.h>

#include "memory.h"

enum { IDLE, STARTING, RUNNING, STOPPING };

bool
wn_thread_start(struct wn_thread *t, void *(*main)(void *))
{
    uint32_t idle = IDLE;
    sigset_t all, old;
    int      error;

    if (load_relaxed(&t->state) != IDLE || !cas_acq_rel(&t->state, &idle, (uint32_t)STARTING))
        return load_relaxed(&t->state) == RUNNING;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    error = wn_memory_may_be_had(0) ? pthread_create(&t->id, NULL, main, NULL) : EAGAIN;
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    store_release(&t->state, error ? (uint32_t)IDLE : (uint32_t)RUNNING);
    return !error;
}

bool
wn_thread_should_stop(const struct wn_thread *t)
{
    return load_acquire(&t->state) == STOPPING;
}

/* Ask it to end; false: it does not run, or it is the caller. */
static bool
ask_to_stop(struct wn_thread *t, struct wn_event *event)
{
    uint32_t running = RUNNING;

    if (load_acquire(&t->state) != RUNNING || pthread_equal(t->id, pthread_self()) ||
        !cas_acq_rel(&t->state, &running, (uint32_t)STOPPING))
        return false;
    wn_event_signal(event);
    return true;
}

void
wn_thread_stop(struct wn_thread *t, struct wn_event *event)
{
    if (!ask_to_stop(t, event))
        return;
    pthread_join(t->id, NULL);
    store_release(&t->state, (uint32_t)IDLE);
}

void
wn_thread_stop_within(struct wn_thread *t, struct wn_event *event, unsigned milliseconds)
{
    struct timespec end;

    if (!ask_to_stop(t, event))
        return;
    clock_gettime(CLOCK_REALTIME, &end);
    end.tv_nsec += (long)(milliseconds % 1000) * 1000000;
    end.tv_sec += milliseconds / 1000 + end.tv_nsec / 1000000000;
    end.tv_nsec %= 1000000000;
    if (pthread_timedjoin_np(t->id, NULL, &end) == 0)
        store_release(&t->state, (uint32_t)IDLE);
}

void
wn_thread_forked(struct wn_thread *t)
{
    store_relaxed(&t->state, (uint32_t)IDLE);
}
