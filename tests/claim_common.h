/* SPDX-License-Identifier: MIT
 *
 * claim_common.h - a thread m1 whose record has work waiting, and who claims it
 */
#ifndef CLAIM_COMMON_H
#define CLAIM_COMMON_H

#include "race_common.h"

#include <time.h>

#include "count.h"
#include "driver.h"
#include "tend.h"

static struct {
    struct actor      m1, m2, driver;
    struct node      *a, *b;
    struct wn_record *home; /* m1's */
    struct gate       may_go;
    int               ended, b_ended;
    uint32_t          stood_on[3];
    uint32_t          m2_stood_on;
    bool              claimed;
} w;

static inline void
find_home(void *unused)
{
    (void)unused;
    wane_enter();
    w.home = wn_standing();
    wane_leave();
}

static inline int
setup(void **state)
{
    (void)state;
    memset(&w, 0, sizeof w);
    pthread_mutex_init(&w.may_go.lock, NULL);
    pthread_cond_init(&w.may_go.changed, NULL);
    schedule_begin();
    actor_start(&w.m1);
    actor_start(&w.m2);
    actor_start(&w.driver);
    act(&w.m1, find_home, NULL);
    return 0;
}

static inline int
teardown(void **state)
{
    (void)state;
    off_steps();
    gate_open(&w.may_go);
    actor_stop(&w.m1);
    actor_stop(&w.m2);
    actor_stop(&w.driver);
    return wane_shutdown();
}

static inline void
nap(void)
{
    nanosleep(&(struct timespec){0, 1000000}, NULL);
}

static inline void
enter(void *stood_on)
{
    wane_enter();
    *(uint32_t *)stood_on = wn_standing()->id;
}

static inline void
visit(void *stood_on)
{
    enter(stood_on);
    wane_leave();
}

static inline void
make_with_two_units(void *unused)
{
    (void)unused;
    wane_enter();
    w.a = node_new(&w.ended);
    wane_retain(w.a);
    wane_leave();
}

static inline void
release_a(void *unused)
{
    (void)unused;
    wane_release(w.a);
}

/* m1's object with one unit left, and one unit on the queue of m1's record. */
static inline void
queue_a(void)
{
    w.ended = 0;
    act(&w.m1, make_with_two_units, NULL);
    wane_release(w.a);
    assert_true(load_relaxed(&WANE_HEADER(w.a)->word1) & WN_QUEUED);
    assert_non_null(load_relaxed(&w.home->queue));
}

static inline void
all_is_freed(void)
{
    off_steps();
    act(&w.m1, release_a, NULL);
    assert_int_equal(wane_barrier(), 0);
    (void)collect(); /* marks hold memory */
    assert_int_equal(ended(&w.ended), 1);
}

static inline bool
claim(struct wn_record *r)
{
    bool claimed;

    wn_driver_begin();
    claimed = wn_driver_act_for(r, WN_ATTEND, true);
    wn_driver_end();
    return claimed;
}

static inline void
claim_home(void *unused)
{
    (void)unused;
    w.claimed = claim(w.home);
}

#endif
