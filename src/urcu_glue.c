/* SPDX-License-Identifier: MIT
 *
 * urcu_glue.c - the only file that sees liburcu
 *
 * liburcu's containers take their RCU as a struct rcu_flavor_struct; ours are the sections of section.c and the grace
 * periods of grace.c. The table is resized by explicit calls: AUTO_RESIZE would bring threads of liburcu's own. Linked out
 * of line (no _LGPL_SOURCE); the race detector cannot see into it, so the edges it gives are annotated: what was written to
 * a node before it was added happens before what is read of it after it was found.
 */
#include <urcu/flavor.h>
#include <urcu/rculfhash.h>

#include <time.h>

#include "grace.h"
#include "memory.h"
#include "table.h"
#include "thread.h"

#define FIRST_BUCKETS 1024
#define MOST_ALONE    8192 /* liburcu grows a larger table with the help of threads, for as long as that takes */

_Static_assert(sizeof(struct cds_lfht_node) <= sizeof(((struct wn_table_node *)0)->space), "room for liburcu's node");

struct wane_atomic32 wn_table_hung;

static struct wane_atomic_ptr table;
static struct wane_atomic64   count, buckets;

static void
nothing(void)
{
}

static int
in_section(void)
{
    return wane_in_section();
}

static void
synchronize(void)
{
    uint64_t ticket = wn_grace_ticket();

    while (!wn_grace_poll(ticket))
        nanosleep(&(struct timespec){0, 50000}, NULL);
}

static void
refuse_call(struct rcu_head *head, void (*fn)(struct rcu_head *))
{
    (void)head;
    (void)fn;
    abort(); /* only for AUTO_RESIZE */
}

static void
refuse_defer(void (*fn)(void *), void *p)
{
    (void)fn;
    (void)p;
    abort();
}

static void
ignore_atfork(struct urcu_atfork *atfork)
{
    (void)atfork;
}

static void
section_enter(void)
{
    wane_enter();
}

static void
section_leave(void)
{
    wane_leave();
}

static const struct rcu_flavor_struct flavor = {
    .read_lock = section_enter,
    .read_unlock = section_leave,
    .read_ongoing = in_section,
    .read_quiescent_state = nothing,
    .update_call_rcu = refuse_call,
    .update_synchronize_rcu = synchronize,
    .update_defer_rcu = refuse_defer,
    .thread_offline = nothing,
    .thread_online = nothing,
    .register_thread = nothing,
    .unregister_thread = nothing,
    .barrier = nothing,
    .register_rculfhash_atfork = ignore_atfork,
    .unregister_rculfhash_atfork = ignore_atfork,
};

static unsigned long
hash(const void *key)
{
    uint64_t x = (uint64_t)(uintptr_t)key >> 4;

    x = (x ^ (x >> 29)) * UINT64_C(0xbf58476d1ce4e5b9);
    return (unsigned long)(x ^ (x >> 32));
}

static int
match(struct cds_lfht_node *node, const void *key)
{
    hb_after(node);
    return ((struct wn_table_node *)(void *)node)->key == key;
}

/* liburcu asserts that it gets memory: see whether so much, and more, is there. */
static bool
may_allocate(uint64_t more_buckets)
{
    void *p = wn_malloc(2 * more_buckets * sizeof(struct cds_lfht_node) + 65536);

    wn_free(p);
    return p;
}

static struct cds_lfht *
table_make(void)
{
    void            *none = NULL;
    struct cds_lfht *t = load_acquire(&table);

    if (t)
        return t;
    if (!may_allocate(FIRST_BUCKETS))
        return NULL;
    t = cds_lfht_new_flavor(FIRST_BUCKETS, FIRST_BUCKETS, 0, 0, &flavor, NULL);
    if (!t)
        return NULL;
    if (cas_acq_rel(&table, &none, (void *)t)) {
        store_relaxed(&buckets, (uint64_t)FIRST_BUCKETS);
        return t;
    }
    cds_lfht_destroy(t, NULL);
    return none;
}

struct wn_table_node *
wn_table_add(struct wn_table_node *node)
{
    struct cds_lfht      *t = table_make();
    struct cds_lfht_node *n = (struct cds_lfht_node *)(void *)node->space, *in;

    if (!t)
        return NULL;
    cds_lfht_node_init(n);
    hb_before(n);
    in = cds_lfht_add_unique(t, hash(node->key), match, node->key, n);
    if (in == n)
        fetch_add_relaxed(&count, 1u);
    else
        hb_after(in);
    return (struct wn_table_node *)(void *)in;
}

struct wn_table_node *
wn_table_find(const void *key)
{
    struct cds_lfht    *t = load_acquire(&table);
    struct cds_lfht_iter it;

    if (!t)
        return NULL;
    cds_lfht_lookup(t, hash(key), match, key, &it);
    if (cds_lfht_iter_get_node(&it))
        hb_after(cds_lfht_iter_get_node(&it));
    return (struct wn_table_node *)(void *)cds_lfht_iter_get_node(&it);
}

void
wn_table_remove(struct wn_table_node *node)
{
    if (cds_lfht_del(load_acquire(&table), (struct cds_lfht_node *)(void *)node->space) == 0)
        fetch_add_relaxed(&count, UINT64_MAX);
}

void
wn_table_tend(void)
{
    struct cds_lfht *t = load_acquire(&table);
    uint64_t         size = load_relaxed(&buckets), n = load_relaxed(&count);

    if (!t || n < 2 * size)
        return;
    while (size < n && (size < MOST_ALONE || wn_threads_allowed()))
        size *= 2;
    if (size == load_relaxed(&buckets))
        return;
    if (!may_allocate(size - load_relaxed(&buckets)))
        return; /* slower, and correct; the next tick tries again */
    cds_lfht_resize(t, size);
    store_relaxed(&buckets, size);
}
