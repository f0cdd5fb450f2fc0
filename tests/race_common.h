/* SPDX-License-Identifier: MIT
 *
 * race_common.h - what the schedule tests share: a node with three slots that counts its end
 */
#ifndef RACE_COMMON_H
#define RACE_COMMON_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <wane/wane.h>

#include "record.h"
#include "schedule.h"

#ifdef WN_TSAN
#define RACE_SLOW 1 /* do less */
#elif defined(__SANITIZE_ADDRESS__)
#define RACE_SLOW 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define RACE_SLOW 1
#endif
#endif

struct node {
    uint64_t  canary;
    int      *ended; /* counts disposes */
    wane_slot s[3];
};

#define CANARY UINT64_C(0x77616e652e6f6b21)

static inline void
node_dispose(void *object)
{
    struct node *n = object;

    n->canary = 0;
    __atomic_fetch_add(n->ended, 1, __ATOMIC_RELAXED);
}

static const uint32_t   node_slots[] = {offsetof(struct node, s[0]), offsetof(struct node, s[1]), offsetof(struct node, s[2])};
static struct wane_type node_type = {"node", sizeof(struct node), node_slots, 3, 0, node_dispose, 0, 0, {0}};

static inline struct node *
node_of(struct wane_type *type, int *ended)
{
    struct node *n = wane_new(type);

    assert_non_null(n);
    n->canary = CANARY;
    n->ended = ended;
    return n;
}

static inline struct node *
node_new(int *ended)
{
    return node_of(&node_type, ended);
}

static inline int
ended(const int *counter)
{
    return __atomic_load_n(counter, __ATOMIC_RELAXED);
}

/* Where record `id` counts a shared object; NULL: it has not yet. */
static inline struct wn_shared_count *
entry_of(uint32_t id, const void *object)
{
    struct wn_record *r = wn_record(id);

    for (int i = 0; i < WN_SHARED_COUNTS; i++)
        if (load_relaxed(&r->shared[i].object) == (void *)WANE_HEADER(object))
            return &r->shared[i];
    return NULL;
}

/* What somebody does on cue. */
#define DEED(name)      \
    static inline void  \
    name(void *unused __attribute__((unused)))

/* Collect; the runtime must not give up. Returns objects freed. */
static inline size_t
collect(void)
{
    struct wane_collected c;

    assert_int_equal(wane_collect(WANE_ALL, &c), 0);
    return c.freed;
}

#endif
