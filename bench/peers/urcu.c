/* SPDX-License-Identifier: MIT
 *
 * urcu.c - liburcu (memb) as the limit: sections, a shared pointer with and without counts
 *
 * Displaced objects wait in batches of 4096 for a grace period, as the fastest users of it do.
 */
#define URCU_INLINE_SMALL_FUNCTIONS
#define _LGPL_SOURCE
#include "peer.h"

#include <urcu/urcu-memb.h>

#define BATCH 4096

struct object {
    uint64_t count, value[4];
};

static struct object     *slot;
static __thread struct object *waiting[BATCH];
static __thread unsigned       waiting_count;

static struct object *
object_new(void)
{
    struct object *o = must(malloc(sizeof *o));

    o->count = 1;
    o->value[0] = 1;
    return o;
}

static void
object_drop(struct object *o)
{
    if (__atomic_sub_fetch(&o->count, 1, __ATOMIC_ACQ_REL) == 0)
        free(o);
}

static void
object_defer(struct object *o)
{
    waiting[waiting_count++] = o;
    if (waiting_count < BATCH)
        return;
    urcu_memb_synchronize_rcu();
    for (unsigned i = 0; i < BATCH; i++)
        object_drop(waiting[i]);
    waiting_count = 0;
}

static void
begin(const struct worker *w)
{
    urcu_memb_register_thread();
    if (w->id == 0)
        slot = object_new();
}

static void
section(struct worker *w)
{
    begin(w);
    TIMED_BLOCKS(w, urcu_memb_read_lock(); urcu_memb_read_unlock(), w->sum += 3);
    urcu_memb_unregister_thread();
}

static inline void
slot_read(struct worker *w)
{
    urcu_memb_read_lock();
    w->sum += rcu_dereference(slot)->value[0];
    urcu_memb_read_unlock();
}

static void
read_only(struct worker *w)
{
    begin(w);
    TIMED_BLOCKS(w, slot_read(w), (void)0);
    urcu_memb_unregister_thread();
}

static inline void
mixed(struct worker *w, uint64_t every)
{
    begin(w);
    worker_begin(w);
    for (uint64_t left = every, i = 0; i < w->n; i++)
        if (--left == 0) {
            object_defer(__atomic_exchange_n(&slot, object_new(), __ATOMIC_ACQ_REL));
            w->sum++;
            left = every;
        } else {
            slot_read(w);
        }
    worker_end(w);
    urcu_memb_unregister_thread();
}

static void
mixed1(struct worker *w)
{
    mixed(w, 100);
}

static void
mixed10(struct worker *w)
{
    mixed(w, 10);
}

static inline void
slot_own(struct worker *w)
{
    struct object *o;

    urcu_memb_read_lock();
    o = rcu_dereference(slot);
    __atomic_fetch_add(&o->count, 1, __ATOMIC_RELAXED);
    urcu_memb_read_unlock();
    w->sum += o->value[0];
    object_drop(o);
}

static void
owned(struct worker *w)
{
    begin(w);
    TIMED_BLOCKS(w, slot_own(w), (void)0);
    urcu_memb_unregister_thread();
}

WORKERS(run_section, section)
WORKERS(run_read, read_only)
WORKERS(run_mixed1, mixed1)
WORKERS(run_mixed10, mixed10)
WORKERS(run_owned, owned)

static const struct workload all[] = {
    {"section", run_section}, {"read", run_read}, {"mixed1", run_mixed1}, {"mixed10", run_mixed10}, {"owned", run_owned},
};

PEER_MAIN(all)
