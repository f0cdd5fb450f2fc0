/* SPDX-License-Identifier: MIT
 *
 * worker.c - the mix of operations, and the gate where mutators rest while the mirror is audited
 *
 * Changes come at a steady rate, as from an archive; queries take the time that is left. The mix keeps the population:
 * what is found absent is put back, so that the share that is absent settles where as many leave as come back.
 */
#include "worker.h"

#define CHANGE_RATE   UINT64_C(2500)     /* per second, by all workers together: some 20,000 objects become garbage */
#define LAG_LIMIT     UINT64_C(20000000) /* ns; a worker that was held up longer does not catch up */
#define RELINK_BUDGET 64u                /* dependents brought up to date between two operations */

void
gate_init(struct gate *gate)
{
    atomic_store(&gate->phase, PHASE_RUN);
    pthread_mutex_init(&gate->lock, NULL);
    pthread_cond_init(&gate->changed, NULL);
    gate->resting = 0;
}

void
gate_rest(struct gate *gate, uint32_t workers)
{
    atomic_store(&gate->phase, PHASE_REST);
    pthread_mutex_lock(&gate->lock);
    while (gate->resting < workers)
        pthread_cond_wait(&gate->changed, &gate->lock);
    pthread_mutex_unlock(&gate->lock);
}

static void
set_phase(struct gate *gate, enum phase phase)
{
    pthread_mutex_lock(&gate->lock);
    atomic_store(&gate->phase, phase);
    pthread_cond_broadcast(&gate->changed);
    pthread_mutex_unlock(&gate->lock);
}

void
gate_run(struct gate *gate)
{
    set_phase(gate, PHASE_RUN);
}

void
gate_stop(struct gate *gate)
{
    set_phase(gate, PHASE_STOP);
}

static void
rest(struct gate *gate)
{
    pthread_mutex_lock(&gate->lock);
    gate->resting++;
    pthread_cond_broadcast(&gate->changed);
    while (atomic_load(&gate->phase) == PHASE_REST)
        pthread_cond_wait(&gate->changed, &gate->lock);
    gate->resting--;
    pthread_mutex_unlock(&gate->lock);
}

/* splitmix64 (Steele, Lea, Flood, OOPSLA 2014). */
static uint32_t
random_below(struct worker *w, size_t limit)
{
    uint64_t z = w->random += UINT64_C(0x9E3779B97F4A7C15);

    z = (z ^ z >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ z >> 27) * UINT64_C(0x94D049BB133111EB);
    return (uint32_t)(((z ^ z >> 31) >> 32) * limit >> 32);
}

/* relaxed: one writer; readers want a figure, not an order. */
static void
add(atomic_ullong *counter, uint64_t amount)
{
    atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + amount, memory_order_relaxed);
}

static void
query_once(struct worker *w)
{
    uint64_t start = now_ns(), took;

    w->query.damaged = 0;
    add(&w->found, query_run(&w->query, random_below(w, w->changer.maker.universe->entry_count)));
    took = now_ns() - start;
    add(&w->queries, 1);
    add(&w->damaged, w->query.damaged);
    if (took > atomic_load_explicit(&w->slowest, memory_order_relaxed))
        atomic_store_explicit(&w->slowest, took, memory_order_relaxed);
}

/* One of the worker's own sources; NONE when there are more workers than sources. */
static uint32_t
own_source(struct worker *w)
{
    uint32_t owners = w->changer.post->owners, owner = w->changer.owner;
    size_t   sources = w->changer.maker.universe->sources.count;

    if (owner >= sources)
        return NONE;
    return owner + owners * random_below(w, (sources - owner + owners - 1) / owners);
}

static void
change_once(struct worker *w)
{
    struct changer     *c = &w->changer;
    const struct table *members = &c->maker.universe->members;
    uint32_t            source = own_source(w), entry, dice = random_below(w, 100);

    if (source == NONE)
        return;
    entry = table_row(members, source)[random_below(w, table_count(members, source))];
    add(&w->changes, 1);
    if (!change_present(c, entry))
        change_insert(c, entry);
    else if (dice < 35)
        change_upgrade_source(c, source);
    else if (dice < 65)
        change_upgrade(c, entry);
    else if (dice < 80)
        change_depends(c, entry);
    else if (dice < 95)
        change_remove(c, entry, dice < 90);
    else
        change_remove_source(c, source);
}

/* Is it time for the next change? */
static bool
change_is_due(struct worker *w)
{
    uint64_t now = now_ns();

    if (now < w->next_change)
        return false;
    if (w->next_change + LAG_LIMIT < now)
        w->next_change = now - LAG_LIMIT;
    w->next_change += w->changer.post->owners * UINT64_C(1000000000) / CHANGE_RATE;
    return true;
}

static void *
work(void *argument)
{
    struct worker *w = argument;
    int            phase;

    while ((phase = atomic_load(&w->gate->phase)) != PHASE_STOP) {
        if (phase == PHASE_REST) {
            rest(w->gate);
            continue;
        }
        add(&w->relinked, change_relink(&w->changer, RELINK_BUDGET));
        if (change_is_due(w))
            change_once(w);
        else
            query_once(w);
    }
    return NULL;
}

void
worker_start(struct worker *w)
{
    query_init(&w->query, &w->changer.maker);
    if (pthread_create(&w->thread, NULL, work, w) != 0)
        need_failed();
}

void
worker_join(struct worker *w)
{
    pthread_join(w->thread, NULL);
    query_free(&w->query);
}
