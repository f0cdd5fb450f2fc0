/* SPDX-License-Identifier: MIT
 *
 * handoff_common.h - the frame of the tests of hand-off and of sharing: two actors, an object x that they pass on
 */
#ifndef HANDOFF_COMMON_H
#define HANDOFF_COMMON_H

#include <errno.h>

#include "race_common.h"

#include "count.h"
#include "driver.h"
#include "handoff.h"
#include "share.h"

static struct {
    struct actor m1, m2;
    struct node *a, *x;
    struct gate  may_go;
    int          ended, x_ended, rc;
    uint32_t     id1, id2;
} w;

static inline void
remember_id(void *id)
{
    wane_enter();
    *(uint32_t *)id = wn_standing()->id;
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
    act(&w.m1, remember_id, &w.id1);
    act(&w.m2, remember_id, &w.id2);
    return 0;
}

static inline int
teardown(void **state)
{
    (void)state;
    off_steps();
    actor_stop(&w.m1);
    actor_stop(&w.m2);
    return wane_shutdown();
}

static inline uint64_t
word0_of(const void *object)
{
    return load_relaxed(&WANE_HEADER(object)->word0);
}

static inline uint64_t
word1_of(const void *object)
{
    return load_relaxed(&WANE_HEADER(object)->word1);
}

static inline void
make_x(void *unused)
{
    (void)unused;
    w.x = node_new(&w.x_ended);
}

static inline void
release_x(void *unused)
{
    (void)unused;
    wane_release(w.x);
}

static inline void
retain_x_inside(void *unused)
{
    (void)unused;
    WANE_SECTION
    wane_retain(w.x);
}

static inline void
release_x_inside(void *unused)
{
    (void)unused;
    WANE_SECTION
    wane_release(w.x);
}

/* x has so many units left, in word0 or word1. */
static inline void
release_and_end(int n)
{
    while (n--) {
        assert_int_equal(w.x_ended, 0);
        act(&w.m1, release_x, NULL);
        assert_int_equal(wane_barrier(), 0);
        (void)collect();
    }
    assert_int_equal(w.x_ended, 1);
}

/* The count of x is n, all told: it lives until the n-th release, and no longer. */
static inline void
x_has(int n)
{
    assert_int_equal(wane_unshare(w.x), 0);
    assert_int_equal(wane_barrier(), 0);
    release_and_end(n);
}

#define RACE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

#endif
