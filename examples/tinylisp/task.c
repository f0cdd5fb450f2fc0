/* SPDX-License-Identifier: MIT
 *
 * task.c - fibers on threads, and channels between them
 *
 * One queue of fibers that can run, and threads that take from it. A fiber that has to wait is put into the channel's list; its
 * stack owns all it needs, so any thread can go on with it, in a section of its own. Locks: the queue's, and each channel's;
 * none is held while instructions run. A task is a channel to which its result comes once, and stays.
 */
#include "lisp.h"

#include <pthread.h>
#include <stdlib.h>

struct channel {
    pthread_mutex_t lock;
    struct cell     content; /* a list of what was sent; of a task: its result */
    struct pair    *last;    /* of the list; lock */
    struct fiber   *waiting; /* lock */
    bool            is_task, is_done, has_failed; /* the latter two: lock */
};

static struct {
    pthread_mutex_t lock;
    pthread_cond_t  change;
    struct fiber   *first, *last; /* can run */
    struct fiber   *all;          /* but for main's */
    enum outcome    main_outcome;
    bool            main_ended, stopping;
    int             active; /* can run, or run */
    int             failures;
    pthread_t      *threads;
    int             thread_count;
} tasks = {.lock = PTHREAD_MUTEX_INITIALIZER, .change = PTHREAD_COND_INITIALIZER};

/* ---- The queue ------------------------------------------------------------------------------------------------- */

static void
schedule(struct fiber *f)
{
    pthread_mutex_lock(&tasks.lock);
    f->next = NULL;
    if (tasks.last)
        tasks.last->next = f;
    else
        tasks.first = f;
    tasks.last = f;
    tasks.active++;
    pthread_cond_signal(&tasks.change);
    pthread_mutex_unlock(&tasks.lock);
}

/* Under the lock. */
static struct fiber *
take(void)
{
    struct fiber *f = tasks.first;

    if (f) {
        tasks.first = f->next;
        if (!tasks.first)
            tasks.last = NULL;
    }
    return f;
}

static void
schedule_all(struct fiber *list)
{
    while (list) {
        struct fiber *f = list;

        list = f->next;
        schedule(f);
    }
}

/* ---- Channels -------------------------------------------------------------------------------------------------- */

static void
channel_dispose(void *object)
{
    struct channel *c = object;

    pthread_mutex_destroy(&c->lock);
}

static const uint32_t   channel_slots[] = {offsetof(struct channel, content.slot)};
static struct wane_type channel_type = {.name = "channel",
                                        .size = sizeof(struct channel),
                                        .slots = channel_slots,
                                        .slot_count = 1,
                                        .dispose = channel_dispose};

struct channel *
channel_new(void)
{
    struct channel *c = wane_new(&channel_type);

    if (c)
        pthread_mutex_init(&c->lock, NULL);
    return c;
}

static struct fiber *
take_waiting(struct channel *c) /* under its lock */
{
    struct fiber *f = c->waiting;

    if (f) {
        c->waiting = f->next;
        f->next = NULL;
    }
    return f;
}

bool
channel_send(struct channel *c, struct value v)
{
    struct pair  *p;
    struct fiber *woken;

    v.owned = 0;
    p = pair_new(v, simple(NIL));
    if (!p || c->is_task) {
        wane_release(p);
        return false;
    }
    pthread_mutex_lock(&c->lock);
    cell_store(c->last ? &c->last->cdr : &c->content, owned(PAIR, p));
    c->last = p;
    woken = take_waiting(c);
    pthread_mutex_unlock(&c->lock);
    if (woken)
        schedule(woken);
    return true;
}

/* Under its lock, inside a section. */
static bool
has_something(const struct channel *c)
{
    return c->is_task ? c->is_done : cell_load(&c->content).kind == PAIR;
}

enum outcome
channel_receive(struct fiber *f, struct channel *c, struct value *out)
{
    enum outcome outcome = DONE;

    pthread_mutex_lock(&c->lock);
    if (!has_something(c)) {
        f->waits_for = c;
        outcome = PARKED;
    } else if (c->has_failed) {
        fail(f, "the task has failed");
        outcome = FAILED;
    } else if (c->is_task) {
        *out = own(cell_load(&c->content));
    } else {
        struct pair *p = cell_load(&c->content).object;

        *out = own(cell_load(&p->car));
        if (p == c->last)
            c->last = NULL;
        cell_store(&c->content, cell_load(&p->cdr));
    }
    pthread_mutex_unlock(&c->lock);
    return outcome;
}

/* The fiber waits, unless what it waits for has come by now. */
static void
park(struct fiber *f)
{
    struct channel *c = f->waits_for;
    bool            ready;

    wane_enter();
    wane_retain(c); /* what the fiber holds may go, once it can be taken out of the list */
    pthread_mutex_lock(&c->lock);
    ready = has_something(c);
    if (!ready) {
        f->next = c->waiting;
        c->waiting = f;
    }
    pthread_mutex_unlock(&c->lock);
    wane_release(c);
    wane_leave();
    if (ready)
        schedule(f);
}

/* ---- Fibers ---------------------------------------------------------------------------------------------------- */

bool
task_spawn(struct fiber *f, struct value thunk, struct value *out)
{
    struct channel *c = channel_new();
    struct fiber   *task = c ? fiber_new(lent(thunk.kind, thunk.object)) : NULL;

    if (!task) {
        wane_release(c);
        return fail(f, "no memory");
    }
    c->is_task = true;
    task->task = wane_retain(c);
    *out = owned(CHANNEL, c);
    pthread_mutex_lock(&tasks.lock);
    task->all_next = tasks.all;
    if (tasks.all)
        tasks.all->all_before = task;
    tasks.all = task;
    pthread_mutex_unlock(&tasks.lock);
    schedule(task);
    return true;
}

static void
end_task(struct fiber *f, bool failed)
{
    struct channel *c = f->task;
    struct fiber   *waiting;

    if (failed)
        fprintf(stderr, "a task: error: %s\n", f->error);
    pthread_mutex_lock(&c->lock);
    cell_store(&c->content, f->result);
    f->result = simple(UNSPECIFIED);
    c->has_failed = failed;
    c->is_done = true;
    waiting = c->waiting;
    c->waiting = NULL;
    pthread_mutex_unlock(&c->lock);
    schedule_all(waiting);
}

static void
forget(struct fiber *f) /* under the lock */
{
    if (f->all_before)
        f->all_before->all_next = f->all_next;
    else
        tasks.all = f->all_next;
    if (f->all_next)
        f->all_next->all_before = f->all_before;
}

/* Once the lock is given up, main's fiber belongs to who waits for it. */
static void
account(struct fiber *f, enum outcome outcome, bool is_main)
{
    bool is_over = outcome != PARKED && !is_main;

    if (is_over)
        end_task(f, outcome == FAILED);
    pthread_mutex_lock(&tasks.lock);
    tasks.active--;
    if (is_over) {
        forget(f);
        tasks.failures += outcome == FAILED;
    } else if (outcome != PARKED) {
        tasks.main_ended = true;
        tasks.main_outcome = outcome;
    }
    if (tasks.active == 0 || tasks.main_ended)
        pthread_cond_broadcast(&tasks.change);
    pthread_mutex_unlock(&tasks.lock);
    if (is_over)
        fiber_free(f);
}

/* A fiber that wants a collection gets it here, outside of the section. */
static void
go_on(struct fiber *f)
{
    bool         is_main = !f->task;
    enum outcome outcome;

    do {
        f->waits_for = NULL;
        wane_enter();
        outcome = fiber_run(f);
        if (outcome == PARKED)
            fiber_settle(f);
        wane_leave();
        if (outcome == PARKED && !f->waits_for) {
            f->collected = wane_barrier() == 0 && wane_collect(WANE_ALL, NULL) == 0;
            (void)wane_run_finalizers();
        }
    } while (outcome == PARKED && !f->waits_for);
    if (outcome == PARKED)
        park(f); /* from here on another thread may go on with it */
    account(f, outcome, is_main);
}

/* ---- Threads --------------------------------------------------------------------------------------------------- */

static void *
work(void *unused)
{
    pthread_mutex_lock(&tasks.lock);
    while (!tasks.stopping) {
        struct fiber *f = take();

        if (!f) {
            pthread_cond_wait(&tasks.change, &tasks.lock);
            continue;
        }
        pthread_mutex_unlock(&tasks.lock);
        go_on(f);
        pthread_mutex_lock(&tasks.lock);
    }
    pthread_mutex_unlock(&tasks.lock);
    return unused;
}

bool
tasks_begin(int threads)
{
    tasks.threads = calloc((size_t)threads, sizeof *tasks.threads);
    if (!tasks.threads)
        return false;
    for (; tasks.thread_count < threads - 1; tasks.thread_count++)
        if (pthread_create(&tasks.threads[tasks.thread_count], NULL, work, NULL) != 0)
            return false;
    return true;
}

/* Take part until the main fiber has ended, or (without one) all have; or until all that are left wait. */
static void
take_part(bool for_main)
{
    pthread_mutex_lock(&tasks.lock);
    while (tasks.active > 0 && !(for_main && tasks.main_ended)) {
        struct fiber *f = take();

        if (!f) {
            pthread_cond_wait(&tasks.change, &tasks.lock);
            continue;
        }
        pthread_mutex_unlock(&tasks.lock);
        go_on(f);
        pthread_mutex_lock(&tasks.lock);
    }
    pthread_mutex_unlock(&tasks.lock);
}

enum outcome
tasks_run(struct fiber *main_fiber)
{
    pthread_mutex_lock(&tasks.lock); /* tasks of the last form may be ending */
    tasks.main_ended = false;
    pthread_mutex_unlock(&tasks.lock);
    schedule(main_fiber);
    take_part(true);
    if (tasks.main_ended)
        return tasks.main_outcome;
    fail(main_fiber, "every task waits");
    for (struct fiber **at = &main_fiber->waits_for->waiting; *at; at = &(*at)->next)
        if (*at == main_fiber) {
            *at = main_fiber->next;
            break;
        }
    return FAILED;
}

int
tasks_end(void)
{
    int left = 0;

    take_part(false);
    pthread_mutex_lock(&tasks.lock);
    tasks.stopping = true;
    pthread_cond_broadcast(&tasks.change);
    pthread_mutex_unlock(&tasks.lock);
    for (int i = 0; i < tasks.thread_count; i++)
        pthread_join(tasks.threads[i], NULL);
    free(tasks.threads);
    for (; tasks.all; left++) {
        struct fiber *f = tasks.all;

        forget(f);
        fiber_free(f);
    }
    if (left)
        fprintf(stderr, "%d tasks wait for ever\n", left);
    return left + tasks.failures;
}
