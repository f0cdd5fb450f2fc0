/* SPDX-License-Identifier: MIT */
#include "schedule.h"

#include <string.h>
#include <time.h>

#include "record.h"
#include "step.h"

#define MAX_ARMED 16

static struct armed {
    const char *point;
    void (*fn)(void *);
    void         *arg;
    struct actor *actor; /* who calls fn; NULL: the thread that gets there */
    pthread_t     thread;
    bool          any;
    unsigned      nth, seen;
} armed[MAX_ARMED];
static unsigned        armed_count;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

void *
actor_run(void *arg)
{
    struct actor *a = arg;

    pthread_mutex_lock(&a->lock);
    while (!a->quit) {
        if (!a->busy) {
            pthread_cond_wait(&a->changed, &a->lock);
            continue;
        }
        pthread_mutex_unlock(&a->lock);
        a->fn(a->arg);
        pthread_mutex_lock(&a->lock);
        a->busy = false;
        pthread_cond_broadcast(&a->changed);
    }
    pthread_mutex_unlock(&a->lock);
    return NULL;
}

void
actor_start(struct actor *a)
{
    memset(a, 0, sizeof *a);
    pthread_mutex_init(&a->lock, NULL);
    pthread_cond_init(&a->changed, NULL);
    pthread_create(&a->thread, NULL, actor_run, a);
}

void
actor_stop(struct actor *a)
{
    act_wait(a);
    pthread_mutex_lock(&a->lock);
    a->quit = true;
    pthread_cond_broadcast(&a->changed);
    pthread_mutex_unlock(&a->lock);
    pthread_join(a->thread, NULL);
}

void
act_begin(struct actor *a, void (*fn)(void *), void *arg)
{
    act_wait(a);
    pthread_mutex_lock(&a->lock);
    a->fn = fn;
    a->arg = arg;
    a->busy = true;
    pthread_cond_broadcast(&a->changed);
    pthread_mutex_unlock(&a->lock);
}

void
act_wait(struct actor *a)
{
    pthread_mutex_lock(&a->lock);
    while (a->busy)
        pthread_cond_wait(&a->changed, &a->lock);
    pthread_mutex_unlock(&a->lock);
}

void
act(struct actor *a, void (*fn)(void *), void *arg)
{
    act_begin(a, fn, arg);
    act_wait(a);
}

static void
hook(const char *point)
{
    for (unsigned i = 0; i < MAX_ARMED; i++) {
        struct armed *a = &armed[i];
        bool          run;

        pthread_mutex_lock(&lock);
        run = i < armed_count && strcmp(a->point, point) == 0 && (a->any || pthread_equal(a->thread, pthread_self()));
        if (run)
            a->seen++;
        run = run && a->fn && (a->nth == EACH_TIME || a->seen == a->nth);
        pthread_mutex_unlock(&lock);
        if (run && a->actor)
            act(a->actor, a->fn, a->arg);
        else if (run)
            a->fn(a->arg);
    }
}

static void
no_background(void)
{
}

void
schedule_begin(void)
{
    wane_enter(); /* starts the runtime */
    wane_leave();
    wn_wake_background = no_background;
    off_steps();
    wn_step_set(hook);
}

static void
arm(struct armed a)
{
    pthread_mutex_lock(&lock);
    a.thread = pthread_self();
    armed[armed_count++] = a;
    pthread_mutex_unlock(&lock);
}

void
on_step(const char *point, void (*fn)(void *), void *arg)
{
    arm((struct armed){.point = point, .fn = fn, .arg = arg, .nth = 1});
}

void
on_any_step(const char *point, void (*fn)(void *), void *arg)
{
    arm((struct armed){.point = point, .fn = fn, .arg = arg, .nth = 1, .any = true});
}

void
on_nth_step(const char *point, unsigned nth, void (*fn)(void *), void *arg)
{
    arm((struct armed){.point = point, .fn = fn, .arg = arg, .nth = nth});
}

void
cue(const char *point, unsigned nth, struct actor *actor, void (*fn)(void *))
{
    arm((struct armed){.point = point, .fn = fn, .actor = actor, .nth = nth});
}

void
off_steps(void)
{
    pthread_mutex_lock(&lock);
    armed_count = 0;
    pthread_mutex_unlock(&lock);
}

unsigned
steps_seen(const char *point)
{
    unsigned n = 0;

    pthread_mutex_lock(&lock);
    for (unsigned i = 0; i < armed_count; i++)
        if (strcmp(armed[i].point, point) == 0)
            n += armed[i].seen;
    pthread_mutex_unlock(&lock);
    return n;
}

void
gate_open(struct gate *g)
{
    pthread_mutex_lock(&g->lock);
    g->open = true;
    pthread_cond_broadcast(&g->changed);
    pthread_mutex_unlock(&g->lock);
}

bool
gate_wait(struct gate *g, unsigned milliseconds)
{
    struct timespec end;
    int             error = 0;
    bool            open;

    clock_gettime(CLOCK_REALTIME, &end);
    end.tv_nsec += (long)(milliseconds % 1000) * 1000000;
    end.tv_sec += milliseconds / 1000 + end.tv_nsec / 1000000000;
    end.tv_nsec %= 1000000000;
    pthread_mutex_lock(&g->lock);
    while (!g->open && !error)
        error = pthread_cond_timedwait(&g->changed, &g->lock, &end);
    open = g->open;
    pthread_mutex_unlock(&g->lock);
    return open;
}
