/* SPDX-License-Identifier: MIT */
#include "final.h"

#include <pthread.h>

#include "ck_glue.h"
#include "death.h"
#include "loop.h"
#include "memory.h"
#include "thread.h"

static struct wane_atomic_ptr batches;
static pthread_mutex_t        lock = PTHREAD_MUTEX_INITIALIZER; /* guards the two lists below; no user code under it */
static struct wane_header    *objects; /* taken from wn_final_due, oldest first */
static struct wn_final_batch *components;
static struct wane_atomic64   running, finished;
static struct wane_atomic32   generation; /* forks since the start: counts of running finalizers begin anew */
static struct wn_event        event;
static struct wn_thread       thread = {.name = "wane-finalizers"};

void
wn_final_add_batch(struct wn_final_batch *batch)
{
    wn_stack_push(&batches, &batch->link);
    wn_wake_finalizer();
}

/* ---- What is due ------------------------------------------------------------------------------------------------ */

/* Append the newly due, which come newest first, behind the older ones. Under the lock. */
static void
fetch_objects(void)
{
    struct wane_header  *h = load_relaxed(&wn_final_due) ? exchange_acq_rel(&wn_final_due, NULL) : NULL; /* acquire E7 */
    struct wane_header  *oldest_first = NULL;
    struct wane_header **end = &objects;

    while (h) {
        struct wane_header *next = wn_prefix(h)->next;

        wn_prefix(h)->next = oldest_first;
        oldest_first = h;
        h = next;
    }
    while (*end)
        end = &wn_prefix(*end)->next;
    *end = oldest_first;
}

static void
fetch_components(void)
{
    struct wn_link *link = wn_stack_take(&batches);

    while (link) {
        struct wn_final_batch *b = (struct wn_final_batch *)link;

        link = link->next;
        b->link.next = components ? &components->link : NULL;
        components = b;
    }
}

static struct wane_header *
next_object(void)
{
    struct wane_header *h;

    pthread_mutex_lock(&lock);
    if (!objects)
        fetch_objects();
    h = objects;
    if (h) {
        objects = wn_prefix(h)->next;
        fetch_add_relaxed(&running, 1u);
    }
    pthread_mutex_unlock(&lock);
    return h;
}

static struct wn_final_batch *
next_component(void)
{
    struct wn_final_batch *b;

    pthread_mutex_lock(&lock);
    if (!components)
        fetch_components();
    b = components;
    if (b) {
        components = (struct wn_final_batch *)b->link.next;
        fetch_add_relaxed(&running, 1u);
    }
    pthread_mutex_unlock(&lock);
    return b;
}

/* ---- Running ---------------------------------------------------------------------------------------------------- */

static void
finalize(struct wane_header *h)
{
    wn_type_of(h)->finalize(wn_payload(h));
    fetch_add_relaxed(&finished, 1u);
}

static void
run_component(struct wn_final_batch *b)
{
    for (uint32_t i = 0; i < b->count; i++)
        if (b->entry[i] & 1)
            finalize((struct wane_header *)(b->entry[i] & ~(uintptr_t)1));
    for (uint32_t i = 0; i < b->count; i++)
        wane_release(wn_payload((struct wane_header *)(b->entry[i] & ~(uintptr_t)1)));
    wn_free(b);
}

static void
done_running(uint32_t began_in)
{
    if (began_in == load_relaxed(&generation))
        fetch_add_release(&running, UINT64_MAX);
}

size_t
wn_final_run(uint32_t most)
{
    uint64_t               before = load_relaxed(&finished);
    uint32_t               began_in = load_relaxed(&generation);
    struct wane_header    *h;
    struct wn_final_batch *b;

    for (; most && (h = next_object()); most--) {
        finalize(h);
        wane_release(wn_payload(h)); /* the unit that was handed over */
        done_running(began_in);
    }
    for (; most && (b = next_component()); most--) {
        run_component(b);
        done_running(began_in);
    }
    return load_relaxed(&finished) - before;
}

static bool
is_any_due(void)
{
    bool waiting;

    if (load_relaxed(&wn_final_due) || load_relaxed(&batches))
        return true;
    pthread_mutex_lock(&lock);
    waiting = objects || components;
    pthread_mutex_unlock(&lock);
    return waiting;
}

bool
wn_final_pending(void)
{
    return load_acquire(&running) || is_any_due() || load_acquire(&running);
}

size_t
wane_run_finalizers(void)
{
    return wn_in_section() ? 0 : wn_final_run(UINT32_MAX);
}

uint64_t
wn_final_count(void)
{
    return load_relaxed(&finished);
}

/* ---- The thread -------------------------------------------------------------------------------------------------- */

static void *
run_thread(void *unused)
{
    (void)unused;
    while (!wn_thread_should_stop(&thread)) {
        uint32_t value = wn_event_value(&event);

        (void)wn_final_run(WN_FINAL_BATCH);
        if (!is_any_due() && !wn_thread_should_stop(&thread))
            wn_event_wait(&event, value, 0);
    }
    return NULL;
}

static void
wake(void)
{
    if (!wn_loop_allows_threads()) {
        wn_loop_report();
        return;
    }
    if (!wn_thread_start(&thread, run_thread))
        wn_loop_report(); /* wane_run_finalizers can do it meanwhile */
    wn_event_signal(&event);
}

bool
wn_final_attend(void)
{
    if (wn_thread_runs(&thread) || !is_any_due())
        return false;
    wake();
    return !wn_thread_runs(&thread);
}

void
wn_final_init(void)
{
    wn_wake_finalizer = wake;
}

void
wn_final_stop(void)
{
    wn_thread_stop(&thread, &event);
}

void
wn_final_fork_lock(void)
{
    pthread_mutex_lock(&lock);
}

void
wn_final_fork_unlock(void)
{
    pthread_mutex_unlock(&lock);
}

void
wn_final_forked(void)
{
    fetch_add_relaxed(&generation, 1u);
    store_relaxed(&running, UINT64_C(0)); /* what was running on other threads stays protected: a leak in the child */
    wn_thread_forked(&thread);
}
