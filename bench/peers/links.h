/* SPDX-License-Identifier: MIT
 *
 * links.h - what the lock-free structures need, three times: objects that are never freed (SCHEME_LEAK), liburcu with batched
 * frees (SCHEME_URCU), the library (SCHEME_WANE). The structures are the same code for each.
 *
 *   link_get          what a link holds, with its tag bits; inside begin .. end
 *   link_cas          replace; the new one is known to others already
 *   link_cas_new      replace; the new one is the caller's, who no longer has it on success
 *   link_init         in a node that nobody knows; link_give: the same, and the other node was the caller's
 *   retire            nobody will find it any more; discard: nobody ever did
 *   settle            outside: what was put off is done, before the clock starts
 */
#ifndef LINKS_H
#define LINKS_H

#include "peer.h"

#include <stdbool.h>

#define TAG_BITS ((uintptr_t)3)
#define TAG(p) ((uintptr_t)(p) & TAG_BITS)
#define WITH(p, bits) ((void *)((uintptr_t)(p) | (bits)))
#define UNTAGGED(p) ((struct node *)((uintptr_t)(p) & ~TAG_BITS))

#ifdef SCHEME_WANE

#include <wane/wane.h>

typedef wane_slot link_to;

struct node {
    uint64_t key;
    link_to  a, b;
};
WANE_ACYCLIC_TYPE(node, a, b); /* as the others, who find no cycles */

#define begin() wane_enter()
#define end() wane_leave()
#define thread_begin() (void)0
#define thread_end() (void)0
#define retire(n) (void)(n)
#define discard(n) wane_release(n)
#define settle() ((void)wane_barrier())
#define link_get(l) wane_peek_tagged(l)
#define link_cas(l, from, to) wane_cas(l, from, to)
#define link_cas_new(l, from, to) wane_cas_put(l, from, to)
#define link_init(l, n) wane_set_private(l, n)
#define link_give(l, n) wane_put_private(l, n)

static struct node *
node_new(uint64_t key)
{
    struct node *n = must(wane_new(&node_type));

    n->key = key;
    return n;
}

#else

typedef struct {
    void *held;
} link_to;

struct node {
    uint64_t key;
    link_to  a, b;
};

static struct node *
node_new(uint64_t key)
{
    struct node *n = must(calloc(1, sizeof *n));

    n->key = key;
    return n;
}

static inline void *
link_get(const link_to *l)
{
    return __atomic_load_n(&l->held, __ATOMIC_ACQUIRE);
}

static inline bool
link_cas(link_to *l, void *from, void *to)
{
    return __atomic_compare_exchange_n(&l->held, &from, to, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
}

#define link_cas_new(l, from, to) link_cas(l, from, to)
#define link_init(l, n) ((l)->held = (n))
#define link_give(l, n) ((l)->held = (n))
#define discard(n) free(n)

#ifdef SCHEME_LEAK

#define begin() (void)0
#define end() (void)0
#define thread_begin() (void)0
#define thread_end() (void)0
#define retire(n) (void)(n)
#define settle() (void)0

#else

#define URCU_INLINE_SMALL_FUNCTIONS
#define _LGPL_SOURCE
#include <urcu/urcu-memb.h>

#define BATCH 4096

static __thread struct node *waiting[BATCH + 64]; /* one operation retires few */
static __thread unsigned     waiting_count;

static void
flush(void)
{
    urcu_memb_synchronize_rcu();
    for (unsigned i = 0; i < waiting_count; i++)
        free(waiting[i]);
    waiting_count = 0;
}

#define thread_begin() urcu_memb_register_thread()
#define thread_end() urcu_memb_unregister_thread()
#define settle() flush()
#define begin() urcu_memb_read_lock()

static inline void
end(void)
{
    urcu_memb_read_unlock();
    if (waiting_count >= BATCH)
        flush();
}

static inline void
retire(struct node *n)
{
    if (waiting_count == BATCH + 64)
        abort();
    waiting[waiting_count++] = n;
}

#endif
#endif
#endif
