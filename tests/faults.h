/* SPDX-License-Identifier: MIT
 *
 * faults.h - workers that do everything all the time, for tests that disturb them
 *
 * Each has a root and a mailbox that the others see, and a weak map and a weak reference to garbage of its own. They do not run
 * into each other by plan: the hook delays them at steps, so that they do so often.
 */
#ifndef FAULTS_H
#define FAULTS_H

#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include <wane/containers.h>
#include <wane/memory.h>
#include <wane/observe.h>
#include <wane/wane.h>
#include <wane/weakmap.h>

#include "schedule.h"
#include "share.h"
#include "step.h"

#if defined(__has_feature)
#if __has_feature(thread_sanitizer) || __has_feature(address_sanitizer)
#define FAULTS_SANITIZED 1
#endif
#endif
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
#define FAULTS_SANITIZED 1
#endif

#define WORKERS 4 /* the first drives and collects */
#define MANY    1000 /* so many objects alive: wait for the collector */

struct thing {
    atomic_long *ends; /* counts disposals, or NULL */
    atomic_int   finals;
    wane_slot    slot[3];
};

WANE_LEAF_TYPE(thing);

static atomic_long made, ended;

static inline void
thing_dispose(void *object)
{
    struct thing *t = object;

    if (t->ends)
        atomic_fetch_add(t->ends, 1);
    atomic_fetch_add(&ended, 1);
}

static inline void
thing_finalize(void *object)
{
    struct thing *t = object;

    if (atomic_fetch_add(&t->finals, 1) != 0)
        abort();
}

#define THING_SLOT(i) (offsetof(struct thing, slot) + (i) * sizeof(wane_slot))
static const uint32_t   thing_slots[] = {THING_SLOT(0), THING_SLOT(1), THING_SLOT(2)};
static struct wane_type plain_type = {.name = "plain", .size = sizeof(struct thing), .slots = thing_slots, .slot_count = 3,
                                      .dispose = thing_dispose};
static struct wane_type final_type = {.name = "final", .size = sizeof(struct thing), .slots = thing_slots, .slot_count = 3,
                                      .dispose = thing_dispose, .finalize = thing_finalize};

static inline struct thing *
thing_new(struct wane_type *type)
{
    struct thing *t = wane_new(type);

    if (!t)
        abort();
    atomic_fetch_add(&made, 1);
    return t;
}

/* ---- Workers -------------------------------------------------------------------------------------------------------- */

static __thread bool     fault_worker;
static __thread uint64_t fault_random;

static struct worker {
    pthread_t            thread;
    unsigned             number;
    wane_slot            root, weak, leaf, soft;
    struct thing        *kept; /* a leaf of another worker's */
    _Atomic(void *)      mailbox;
    struct wane_weakmap *map;
} workers[WORKERS];
static wane_slot   probed[2];
static wane_slot   common;
static atomic_bool faults_over;
static atomic_ulong rounds; /* of all workers */

static inline uint64_t
fault_next(void)
{
    fault_random ^= fault_random << 13;
    fault_random ^= fault_random >> 7;
    return fault_random ^= fault_random << 17;
}

/* Claims are held for long, so that somebody enters meanwhile. */
static inline void
fault_delay(const char *point)
{
    if (fault_worker && (fault_next() % 64 == 0 || strcmp(point, "claim:held") == 0))
        nanosleep(&(struct timespec){0, (long)(fault_next() % 50000)}, NULL);
}

static void
notified(void *weak, void *arg)
{
    (void)weak;
    (void)arg;
}

/* A ring with a finalizer in it, and weak references to it that others upgrade. */
static inline void
ring(struct worker *k)
{
    struct thing *a = thing_new(&plain_type), *b = thing_new(fault_next() % 2 ? &final_type : &plain_type);
    void         *weak = wane_weak(a);

    wane_set(&a->slot[0], b);
    wane_set(&b->slot[0], a);
    wane_put(&b->slot[1], thing_new(&plain_type));
    if (fault_next() % 16 == 0) { /* traced in parts */
        struct wane_array *wide = wane_array_new(2500);

        wane_set(wane_array_slot(wide, 2499), a);
        wane_put(&b->slot[2], wide);
    }
    (void)!wane_weak_notify(weak, notified, k);
    (void)!wane_weak_notify(weak, notified, NULL);
    (void)wane_weak_unnotify(weak, notified, NULL);
    (void)!wane_weak_notify(weak, notified, NULL); /* where the cancelled one was */
    wane_put(&k->weak, weak);
    wane_set(&k->root, a);
    wane_release(a);
    wane_release(b);
}

/* What others have published: strangers' counts, and upgrades. */
static inline void
meet(struct worker *k)
{
    struct worker *other = &workers[fault_next() % WORKERS];
    void          *weak = wane_get(&other->weak), *got;
    struct thing  *t;

    got = wane_weak_get(weak);
    wane_release(got);
    wane_release(weak);
    wane_enter();
    t = wane_peek(&other->root);
    if (t)
        wane_set(&k->root, wane_peek(&t->slot[0]));
    wane_leave();
    got = wane_get(&other->root);
    wane_release(wane_swap(&common, got));
    wane_clear(&k->root);
}

/* Given away with and without the words for it. */
static inline void
hand_over(struct worker *k)
{
    struct worker *other = &workers[fault_next() % WORKERS];
    struct thing  *t = thing_new(&plain_type);

    if (fault_next() % 2)
        (void)wane_give(t);
    else
        wane_set(&k->root, t);
    wane_release(atomic_exchange(&other->mailbox, t));
    t = wane_adopt(atomic_exchange(&k->mailbox, NULL));
    (void)(t && wane_is_unique(t));
    wane_release(t);
}

/* A leaf that its maker has let go of, and that one other holds, becomes that one's own. */
static inline void
adopt_leaf(struct worker *k)
{
    struct wane_slot *others = &workers[fault_next() % WORKERS].leaf;

    wane_release(wane_adopt(k->kept));
    k->kept = wane_get(others);
    wane_put(&k->leaf, wane_new(&thing_type));
}

static inline void
tell_apart(struct worker *k)
{
    struct thing *key = thing_new(&plain_type), *value = thing_new(&plain_type);

    for (int i = 0; i < 2; i++)
        if (wane_weakmap_set(k->map, key, value) != 0)
            abort();
    wane_release(wane_weakmap_get(k->map, key));
    if (fault_next() % 2)
        (void)wane_weakmap_remove(k->map, key);
    wane_release(value);
    wane_release(key);
}

/* Until the next purge. */
static inline void
let_go_when_short(struct worker *k)
{
    struct thing *t = thing_new(&plain_type);
    void         *soft = wane_soft(t);

    wane_release(t);
    wane_put(&k->soft, soft);
    soft = wane_get(&k->soft);
    wane_release(wane_soft_get(soft));
    wane_release(soft);
}

static inline void
share(struct worker *k)
{
    struct thing *t = thing_new(&plain_type);

    if (wane_share(t) == 0) {
        wane_set(&k->root, t);
        wane_retain(t);
        wane_release(t);
        if (wane_unshare(t) != 0)
            abort();
    }
    wane_release(t);
    t = thing_new(&plain_type); /* as if many were at it */
    wane_enter();
    wn_share_itself(wn_standing(), WANE_HEADER(t));
    wane_leave();
    wane_release(t);
}

/* More than a record keeps: the pool of all takes them, and gives them back. */
static inline void
many_nodes(void)
{
    struct wn_record *r;
    struct wn_link   *list = NULL, *node;

    wane_enter();
    r = wn_standing();
    for (int i = 0; i < 1500 && wn_node_reserve(r); i++) {
        node = &wn_node_take(r)->link;
        node->next = list;
        list = node;
    }
    for (; list; list = node) {
        node = list->next;
        wn_node_give(r, (struct wn_queue_node *)list);
    }
    wane_leave();
}

static atomic_bool dwells;

/* Long enough to be reported, as it holds others' units up. */
static inline void
dwell(void)
{
    atomic_store(&dwells, true);
    wane_enter();
    nanosleep(&(struct timespec){0, 10000000}, NULL);
    wane_leave();
    atomic_store(&dwells, false);
}

static int fault_sink; /* takes everything */

static inline void
drive(void)
{
    struct wane_stats s;

    wane_stats(&s);
    (void)wane_step(1000000);
    if (atomic_load(&dwells))
        return; /* a collection would wait for that section: only steps see it grow old */
    (void)wane_collect((int)(fault_next() % 3), NULL);
    (void)wane_run_finalizers();
    if (fault_next() % 8 == 0)
        (void)wane_snapshot_write(fault_sink);
    (void)wane_purge(SIZE_MAX);
}

static void *
work(void *worker)
{
    struct worker *k = worker;

    fault_random = k->number + 1;
    k->map = wane_weakmap_new();
    fault_worker = true;
    while (!atomic_load(&faults_over)) {
        if (k->number == 0)
            drive();
        ring(k);
        meet(k);
        hand_over(k);
        adopt_leaf(k);
        tell_apart(k);
        let_go_when_short(k);
        if (fault_next() % 8 == 0)
            share(k);
        if (fault_next() % 32 == 0)
            many_nodes();
        if (k->number == 1 && fault_next() % 64 == 0)
            dwell();
        atomic_fetch_add(&rounds, 1);
        do
            nanosleep(&(struct timespec){0, 50000}, NULL);
        while (k->number > 0 && atomic_load(&made) - atomic_load(&ended) > MANY && !atomic_load(&faults_over));
    }
    fault_worker = false;
    wane_release(k->map);
    return NULL;
}

static void
told(const struct wane_stall *stall, void *unused)
{
    (void)stall;
    (void)unused;
}

static inline void
faults_begin(void (*hook)(const char *point))
{
    memset(workers, 0, sizeof workers);
    atomic_store(&faults_over, false);
    assert_int_equal(wane_use_threads(false), 0); /* steps are the workers' matter */
    assert_int_equal(wane_on_stall(1, told, NULL), 0);
    fault_sink = open("/dev/null", O_WRONLY | O_CLOEXEC);
    assert_true(fault_sink >= 0);
    (void)wane_observe(true);
    wn_step_set(hook);
    for (unsigned i = 0; i < WORKERS; i++) {
        workers[i].number = i;
        assert_int_equal(pthread_create(&workers[i].thread, NULL, work, &workers[i]), 0);
    }
}

/* All is let go: nothing is left, though threads were held up in the middle of anything. */
static inline void
faults_end(void)
{
    atomic_store(&faults_over, true);
    for (unsigned i = 0; i < WORKERS; i++)
        pthread_join(workers[i].thread, NULL);
    wn_step_set(NULL);
    (void)wane_observe(false);
    close(fault_sink);
    for (unsigned i = 0; i < WORKERS; i++) {
        wane_clear(&workers[i].root);
        wane_clear(&workers[i].weak);
        wane_clear(&workers[i].soft);
        wane_clear(&workers[i].leaf);
        wane_release(workers[i].kept);
        wane_release(atomic_exchange(&workers[i].mailbox, NULL));
    }
    wane_clear(&common);
    wane_clear(&probed[0]);
    wane_clear(&probed[1]);
    assert_int_equal(wane_shutdown(), 0);
    assert_int_equal(atomic_load(&made), atomic_load(&ended));
}

#endif
