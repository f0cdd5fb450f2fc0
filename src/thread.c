/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE /* pthread_timedjoin_np, pthread_setname_np, pthread_setaffinity_np */
#include "thread.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"
#include "driver.h"
#include "memory.h"
#include "step.h"

#define RETRY_NS UINT64_C(10000000) /* a failed start costs mutators one attempt in this time */

enum { IDLE, STARTING, RUNNING, STOPPING };

static struct wane_atomic32 forbidden;
static cpu_set_t            everywhere; /* c: where the program might run when the library was loaded */
static bool                 knows_where;

void
wn_threads_init(void)
{
    knows_where = sched_getaffinity(getpid(), sizeof everywhere, &everywhere) == 0;
}

bool
wn_threads_allowed(void)
{
    return !__atomic_load_n(&forbidden.value, __ATOMIC_SEQ_CST);
}

void
wn_threads_allow(bool allowed)
{
    exchange_seq_cst(&forbidden, (uint32_t)!allowed);
}

/* Not on the core of a worker that has pinned itself. Whoever runs where the program does asks for nothing: filters forbid that
 * call to many a service, and what asks for cores does not get those that a cpuset gains later. */
static void
spread(pthread_t id)
{
    cpu_set_t here;

    if (knows_where && !WN_MUTANT(driver_where_it_was_made) && sched_getaffinity(0, sizeof here, &here) == 0 &&
        !CPU_EQUAL(&here, &everywhere))
        (void)pthread_setaffinity_np(id, sizeof everywhere, &everywhere);
}

static int
create(struct wn_thread *t, void *(*main)(void *))
{
    sigset_t all, old;
    int      error;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    error = wn_memory_may_be_had(0) ? pthread_create(&t->id, NULL, main, NULL) : EAGAIN;
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (error) {
        store_relaxed(&t->retry, wn_now() + RETRY_NS);
        return error;
    }
    (void)pthread_setname_np(t->id, t->name);
    spread(t->id);
    return 0;
}

bool
wn_thread_start(struct wn_thread *t, void *(*main)(void *))
{
    uint32_t idle = IDLE;
    bool     works;

    if (load_relaxed(&t->state) != IDLE)
        return wn_thread_runs(t);
    if (load_relaxed(&t->retry) > wn_now() || !wn_threads_allowed())
        return false;
    /* seq_cst: either who forbids threads sees STARTING and waits for its end (wn_thread_stop), or is seen here. */
    if (!cas_seq_cst(&t->state, &idle, (uint32_t)STARTING))
        return idle == RUNNING;
    works = wn_threads_allowed() && create(t, main) == 0;
    store_release(&t->state, works ? (uint32_t)RUNNING : (uint32_t)IDLE);
    return works;
}

bool
wn_thread_runs(const struct wn_thread *t)
{
    return load_acquire(&t->state) == RUNNING;
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
    while (__atomic_load_n(&t->state.value, __ATOMIC_SEQ_CST) == STARTING)
        sched_yield();
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
    end = wn_end_of((uint64_t)milliseconds * 1000000);
    if (wn_join_until(t->id, &end) == 0)
        store_release(&t->state, (uint32_t)IDLE);
}

void
wn_thread_forked(struct wn_thread *t)
{
    store_relaxed(&t->state, (uint32_t)IDLE);
    store_relaxed(&t->retry, UINT64_C(0));
}
