/* SPDX-License-Identifier: MIT
 *
 * race_stopped.h - threads of schedule tests that upgrade, stop at a point, and go on when the test says so
 */
#ifndef RACE_STOPPED_H
#define RACE_STOPPED_H

#include "race_common.h"

struct stopped {
    struct actor actor;
    struct gate  go;
    const char  *point;
    void        *weak, *got;
    int          returned; /* atomic */
};

static inline void
stop(void *arg)
{
    struct stopped *m = arg;

    (void)gate_wait(&m->go, 20000);
}

static inline void
upgrade_and_stop(void *arg)
{
    struct stopped *m = arg;

    on_step(m->point, stop, m);
    m->got = wane_weak_get(m->weak);
    __atomic_store_n(&m->returned, 1, __ATOMIC_RELEASE);
}

/* m begins to upgrade `weak`. When this returns it is at `point`, or (a mutant's doing) through without passing it. */
static inline void
begin_upgrade(struct stopped *m, void *weak, const char *point)
{
    unsigned before = steps_seen(point);

    m->weak = weak;
    m->point = point;
    m->returned = 0;
    act_begin(&m->actor, upgrade_and_stop, m);
    while (steps_seen(point) == before && !__atomic_load_n(&m->returned, __ATOMIC_ACQUIRE))
        ;
}

static inline void
go_on(struct stopped *m)
{
    gate_open(&m->go);
    act_wait(&m->actor);
}

static inline void
upgrade(void *arg)
{
    struct stopped *m = arg;

    m->got = wane_weak_get(m->weak);
}

/* The whole upgrade, on m's thread; it does not wait for whoever is stopped. */
static inline void *
upgrade_on(struct stopped *m, void *weak)
{
    m->weak = weak;
    act(&m->actor, upgrade, m);
    return m->got;
}

static inline void
stopped_start(struct stopped *m)
{
    memset(m, 0, sizeof *m);
    m->go = (struct gate)GATE_CLOSED;
    actor_start(&m->actor);
}

static inline void
stopped_end(struct stopped *m)
{
    gate_open(&m->go);
    actor_stop(&m->actor);
}

#endif
