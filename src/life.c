/* SPDX-License-Identifier: MIT
 *
 * life.c - start, fork, exit, shutdown; statistics
 *
 * Fork. Only the forking thread goes on in the child; every other one has stopped for ever between any two instructions. The
 * rule that makes that harmless everywhere (the stop-anywhere rule): what a stopped thread leaves may count too much, never too
 * little. The prepare handler closes the driver's gate, so the driver is found at a resting point. The child completes
 * merges that were under way (record.intent), frees the records of the vanished threads, gives an open collection up, and
 * starts its threads again when there is work. Units that vanished threads owned stay counted in the child: they leak there.
 *
 * Exit. Static destructors run while threads run; the background is asked to end and waited for, 200 ms at most.
 */
#include "life.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <wane/collector.h>
#include <wane/observe.h>

#include "background.h"
#include "cell.h"
#include "collect.h"
#include "final.h"
#include "gate.h"
#include "leak.h"
#include "loop.h"
#include "memory.h"
#include "page.h"
#include "pressure.h"
#include "profile.h"
#include "registry.h"
#include "share.h"
#include "stall.h"
#include "step.h"
#include "walk.h"
#include "where.h"

#define TRIES 10 /* of a shutdown, where collections run out of time: on a busy machine, or just after membarrier was lost */
#define MADE_BY_FINALIZERS 10000 /* finalizers that shutdown runs, besides those of the objects that it finds */

#ifdef WN_STEPS
bool (*wn_memory_hook)(size_t bytes);
#endif

/* ---- Fork --------------------------------------------------------------------------------------------------------- */

static void
before_fork(void)
{
    wn_gate_close();
    wn_type_lock();
    wn_final_fork_lock();
}

static void
after_fork_parent(void)
{
    wn_final_fork_unlock();
    wn_type_unlock();
    wn_gate_open();
}

/* Not this thread's, nor one that it acts for. */
static bool
has_vanished(const struct wn_record *r)
{
    return &r->pub != wane_self.record && r->pub.me != wane_self.me;
}

static void
free_records_of_vanished_threads(void)
{
    wn_cells_mend(has_vanished);
    for (uint32_t id = 1; id <= wn_record_limit(); id++) {
        struct wn_record *r = wn_record(id);

        if (!r || !has_vanished(r))
            continue;
        if (!WN_MUTANT(fork_forgets_intent))
            wn_count_replay_intent(r);
        wn_nodes_recount(r);
        wn_log_mend(&r->deferred);
        r->burying = false;
        r->hold_seals = false;
        r->home = NULL;
        if (!WN_MUTANT(fork_keeps_sections))
            store_relaxed(&r->pub.ctr, load_relaxed(&r->pub.ctr) & ~WANE_NEST);
        store_relaxed(&r->pub.claim, wn_grace_claim_bits());
        store_relaxed(&r->pub.attention, 0u);
        store_relaxed(&r->backlog, 1u);
        if (!WN_MUTANT(fork_keeps_holders))
            store_release(&r->holder, 0u);
    }
}

static void
after_fork_child(void)
{
    struct wn_record *r = (struct wn_record *)wane_self.record;
    bool              drives;

    wn_final_fork_unlock();
    wn_type_unlock();
    wn_gate_open();
    drives = wn_driver_forked();
    wn_background_forked();
    wn_final_forked();
    wn_loop_forked();
    wn_stall_forked();
    wn_page_forked();
    wn_leak_forked();
    wn_where_forked();
    if (!WN_MUTANT(fork_keeps_callbacks_mutex))
        wn_pressure_forked();
    wn_walk_forked();
    wn_grace_forked();
    wn_share_forked();
    free_records_of_vanished_threads();
    if (r)
        store_relaxed(&r->tid, (uint32_t)syscall(SYS_gettid));
    if (r && r->home) { /* lent to this thread; its home is not claimed by anybody any more */
        store_relaxed(&r->home->holder, 1u);
        store_relaxed(&r->home->tid, load_relaxed(&r->tid));
    }
    if (wn_share_is_hot() && !WN_MUTANT(child_forgets_the_hot)) /* nobody reports that again */
        wn_wake_background();
    if (drives)
        return;
    wn_driver_begin(); /* the child's own background may start any moment */
    wn_collection_abandon();
    wn_driver_end();
}

void
wn_life_thread_exits(void)
{
    if (!wn_driver_exits())
        return;
    wn_collection_abandon();
    wn_driver_end();
}

/* ---- Exit --------------------------------------------------------------------------------------------------------- */

static void
at_exit(void)
{
    wn_leak_at_exit();
    wn_background_stop_within(200);
    wn_page_exit();
}

void
wn_life_init(void)
{
    static struct wane_atomic32 registered;

    wn_loop_init();
    wn_stall_init();
    wn_background_init();
    wn_final_init();
    wn_registry_init();
    wn_profile_init();
    wn_page_init();
    wn_leak_init();
    wn_where_init();
    if (exchange_seq_cst(&registered, 1u)) /* the child of a fork in the middle of this begins anew */
        return;
    pthread_atfork(before_fork, after_fork_parent, after_fork_child);
    atexit(at_exit);
}

/* ---- Waiting for everything --------------------------------------------------------------------------------------- */

int
wane_barrier(void)
{
    if (wn_in_section())
        return -EDEADLK;
    wane_enter();
    wane_leave();
    wn_driver_begin();
    (void)wn_driver_settle(0);
    wn_driver_end();
    return 0;
}

static int64_t
report_type(uint32_t type)
{
    const struct wn_type *t = load_acquire(&wn_types[type]);
    int64_t               objects, bytes;

    wn_type_alive(t, &objects, &bytes);
    objects -= (int64_t)load_relaxed(&t->immortal);
    if (objects > 0)
        fprintf(stderr, "wane: leaked %lld object%s of type '%s'%s (%lld bytes)\n", (long long)objects, objects == 1 ? "" : "s",
                t->name, t->has_slots && !t->traced ? ", which is said to be acyclic" : "", (long long)bytes);
    return objects > 0 ? objects : 0;
}

static uint64_t
objects_dead(void)
{
    struct wane_stats s;

    wane_stats(&s);
    return s.objects_died + s.finalized;
}

/* Each object that lives has one finalizer at most; more than that are of objects that finalizers make. */
static uint64_t
most_finalizers(void)
{
    struct wane_stats s;

    wane_stats(&s);
    return s.finalized + (s.objects_born - s.objects_died) + MADE_BY_FINALIZERS;
}

static uint64_t
held_bytes(void)
{
    struct wane_stats s;

    wane_stats(&s);
    return s.held_bytes;
}

/* The memory of what died last: as long as it becomes less from second to second. Others may go on. */
static void
free_the_dead(void)
{
    uint64_t before, held = UINT64_MAX;
    bool     done;

    wn_driver_begin();
    do {
        before = held;
        done = wn_driver_bury(wn_now() + UINT64_C(1000000000));
        held = held_bytes();
    } while (!done && held < before);
    wn_driver_end();
}

/* Until a round brings nothing: counted deaths, cycles, finalizers and what these let go. Or finalizers make more and more. */
void
wn_life_drain(void)
{
    uint64_t most = most_finalizers(), before;
    int      tries = TRIES;
    bool     again;

    do {
        before = objects_dead();
        (void)wane_barrier();
        again = wane_collect(WANE_ALL, NULL) == -EAGAIN && tries-- > 0;
        while (wn_final_pending() && wn_final_count() < most)
            if (!wn_final_run(WN_FINAL_BATCH))
                wn_driver_pause(); /* the finalizer thread is inside one */
    } while ((again || objects_dead() != before) && wn_final_count() < most);
    free_the_dead();
}

int
wane_shutdown(void)
{
    int64_t leaked = 0;

    if (wn_in_section())
        return -EDEADLK;
    (void)wane_unfreeze();
    wn_life_drain();
    wn_background_stop();
    wn_final_stop();
    wane_page_close();
    for (uint32_t id = 1; id <= wn_type_count(); id++)
        leaked += report_type(id);
    return leaked > INT_MAX ? INT_MAX : (int)leaked;
}

/* ---- Statistics ---------------------------------------------------------------------------------------------------- */

/* What has ended is summed first, over all records: a sum of beginnings that is read later is no smaller. */
static void
add_ends(struct wane_stats *s, const struct wn_record *r)
{
    const struct wn_counters *c = &r->counters;

    s->applied += load_acquire(&c->applied);
    s->held_bytes -= load_acquire(&c->unearthed_bytes); /* wraps, until what was buried is added */
}

static void
add_beginnings(struct wane_stats *s, const struct wn_record *r)
{
    const struct wn_counters *c = &r->counters;

    s->displaced += load_relaxed(&c->displaced);
    s->queued += load_relaxed(&c->queued);
    s->merged += load_relaxed(&c->merged);
    s->held_bytes += load_relaxed(&r->held_bytes) + load_relaxed(&c->buried_bytes);
    s->lost_units += load_relaxed(&c->lost_units);
    s->lost_candidates += load_relaxed(&c->lost_candidates);
}

static void
for_records(void (*add)(struct wane_stats *, const struct wn_record *), struct wane_stats *s)
{
    for (uint32_t id = 1; id <= wn_record_limit(); id++) {
        const struct wn_record *r = wn_record(id);

        if (r)
            add(s, r);
    }
}

static void
add_types(struct wane_stats *s, void (*sum)(const struct wn_type *, struct wn_type_sums *))
{
    for (uint32_t id = 1; id <= wn_type_count(); id++) {
        struct wn_type_sums sums = {0};

        sum(load_acquire(&wn_types[id]), &sums); /* acquire E6 */
        s->objects_born += sums.born;
        s->bytes_born += sums.bytes_born;
        s->objects_died += sums.died;
        s->bytes_died += sums.bytes_died;
    }
}

static void
add_records(struct wane_stats *s)
{
    add_types(s, wn_type_counts_died);
    for_records(add_ends, s);
    WN_STEP("stats:ends");
    add_types(s, wn_type_counts_born);
    for_records(add_beginnings, s);
}

uint64_t
wn_objects_alive(void)
{
    struct wane_stats s = {0};

    add_records(&s);
    return s.objects_born - s.objects_died;
}

void
wane_stats(struct wane_stats *out)
{
    *out = (struct wane_stats){.records = wn_record_limit(), .claims = wn_driver_claims(),
                               .grace_periods = wn_grace_periods(), .finalized = wn_final_count()};
    add_records(out);
    wn_collect_stats(out);
    wn_stall_stats(out);
}

void
wane_type_stats(void (*fn)(const char *, int64_t, int64_t, void *), void *arg)
{
    for (uint32_t id = 1; id <= wn_type_count(); id++) {
        const struct wn_type *t = load_acquire(&wn_types[id]);
        int64_t               objects, bytes;

        wn_type_alive(t, &objects, &bytes);
        fn(t->name, objects, bytes, arg);
    }
}
