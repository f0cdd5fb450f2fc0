/* SPDX-License-Identifier: MIT */
#include "walk.h"

#include <errno.h>

#include "collect.h"
#include "step.h"
#include "weak.h"

#define BATCH       256 /* objects of one section */
#define BATCH_EDGES 2048
#define TURN        256 /* batches of one turn of driving */
#define TRY_NS      UINT64_C(900000000)
#define WAIT_NS     UINT64_C(30000000000)
#define SETTLE_NS   UINT64_C(50000000)
#define HANDOVER_NS UINT64_C(50000000)

/* What shows that others than its maker could have come to it: see the file head of walk.h. */
#define KNOWN (WN_MARKS | WN_AGE | WN_CLAIMED | WN_MERGED | WN_QUEUED)

struct wane_atomic32 wn_walks;

struct viewer {
    struct wane_visitor visitor;
    struct wn_walk     *walk;
    const wane_slot    *hung;
};

static void
see(struct viewer *v, size_t position, wane_slot *slot)
{
    /* acquire E5, E13 */
    void                 *object = wane_untag((void *)__atomic_load_n(&slot->bits, __ATOMIC_ACQUIRE));
    const struct wn_type *t = v->walk->sight.type;
    enum wn_edge          kind = slot == v->hung ? WN_EDGE_HUNG : position < t->slot_count ? WN_EDGE_SLOT : WN_EDGE_ELEMENT;

    v->walk->edges++;
    if (object)
        v->walk->edge(v->walk, kind, kind == WN_EDGE_ELEMENT ? position - t->slot_count : position,
                      (uintptr_t)WANE_HEADER(object));
}

static void
see_slot(struct wane_visitor *visitor, wane_slot *slot)
{
    struct viewer *v = (struct viewer *)visitor;
    size_t         position = v->walk->part.at;

    if (wn_part_has(&v->walk->part, slot))
        see(v, position, slot);
}

static void
see_array(struct wane_visitor *visitor, wane_slot *first, size_t count)
{
    struct viewer *v = (struct viewer *)visitor;
    size_t         position = v->walk->part.at, i, end;

    for (wn_part_of_array(&v->walk->part, first, count, &i, &end); i < end; i++)
        see(v, position + i, &first[i]);
}

static void
see_owned(struct wn_walk *walk, const struct wane_atomic_ptr *first)
{
    void *object = load_acquire(first); /* acquire E5: it is published as a slot's content is */

    if (object)
        walk->edge(walk, WN_EDGE_OWNED, 0, (uintptr_t)WANE_HEADER(object));
}

/* The next part of the object's slots. */
static void
see_slots(struct wn_walk *walk)
{
    const struct wn_sight *s = &walk->sight;
    struct viewer          v = {{see_slot, see_array}, walk, NULL};
    struct wane_header    *weak = s->w1 & WN_WEAK ? wn_weak_of(s->h, &v.hung) : NULL;

    if (weak && !walk->part.from)
        walk->edge(walk, WN_EDGE_WEAK, 0, (uintptr_t)weak);
    if (s->type->owns_first && !walk->part.from)
        see_owned(walk, wn_payload(s->h));
    if (!s->opaque)
        wn_type_trace(s->type, s->h, &v.visitor);
    else
        for (size_t i = 0; i < s->type->slot_count; i++)
            see_slot(&v.visitor, (wane_slot *)(void *)((char *)wn_payload(s->h) + s->type->slots[i]));
    walk->partly = !wn_part_is_last(&walk->part);
    walk->part = wn_part_next(&walk->part);
}

/* False: it is not there any more. In a section. */
static bool
look(struct wn_walk *walk, uintptr_t address)
{
    struct wn_sight *s = &walk->sight;

    *s = (struct wn_sight){.h = (struct wane_header *)address, .rank = s->rank};
    if (!wn_registry_has(address))
        return false;
    WN_STEP("walk:seen");
    s->w0 = load_acquire(&s->h->word0); /* acquire E16: a link is followed by a word1 that says gone */
    s->w1 = load_acquire(&s->h->word1);
    if (wn_is_gone(s->w1) || wn_type_id(s->w0) > walk->types)
        return false;
    s->type = wn_type_of(s->h);
    s->bytes = wn_type_payload_size(s->type, s->h);
    s->opaque = s->type->trace && !s->type->traced_early && !(s->w1 & KNOWN);
    return true;
}

static void
go_on(struct wn_walk *walk)
{
    see_slots(walk);
    if (!walk->partly && walk->end)
        walk->end(walk, &walk->sight);
}

/* It is in several sections: it may have died, or be another one. */
static void
resume(struct wn_walk *walk)
{
    struct wn_sight before = walk->sight;

    if (look(walk, (uintptr_t)before.h) && walk->sight.type == before.type && walk->sight.opaque == before.opaque) {
        go_on(walk);
        return;
    }
    walk->partly = false;
    if (walk->end)
        walk->end(walk, &before);
}

/* In a section. False: there are no more objects. */
static bool
batch(struct wn_walk *walk)
{
    walk->edges = 0;
    for (int i = 0; i < BATCH && walk->edges < BATCH_EDGES && !walk->full(walk); i++) {
        uintptr_t address;

        if (walk->partly) {
            resume(walk);
            continue;
        }
        address = wn_set_next(walk->set, &walk->place);
        if (!address)
            return false;
        walk->sight.rank = walk->rank++;
        walk->part = wn_part_first();
        if (!look(walk, address)) {
            if (walk->missing)
                walk->missing(walk, walk->sight.rank);
            continue;
        }
        if (walk->begin)
            walk->begin(walk, &walk->sight);
        go_on(walk);
    }
    return true;
}

/* A batch in a section of its own. False: membarrier was lost a moment ago. */
static bool
batch_begun(struct wn_walk *walk, bool *more)
{
    bool begun = wn_collecting_begin();

    if (begun) {
        if (WN_MUTANT(walk_frees_at_once))
            wn_collecting_end();
        wane_enter();
        *more = batch(walk);
        wane_leave();
    }
    wn_collecting_end();
    return begun;
}

/* As much as one turn of driving may take: each turn may come after a collection. False: not now. */
static bool
take_turn(struct wn_walk *walk, bool *more)
{
    bool begun = true;

    if (!wn_driver_try_begin(TRY_NS))
        return false;
    for (int i = 0; i < TURN && begun && *more && !walk->full(walk); i++) {
        begun = batch_begun(walk, more);
        wn_driver_breathe();
    }
    wn_driver_end();
    if (!begun)
        wn_driver_pause();
    return begun;
}

int
wn_walk_run(struct wn_walk *walk)
{
    bool     more = true;
    uint64_t deadline = wn_now() + WAIT_NS;
    int      rc = 0;

    if (wn_in_section() || wane_self.me == WN_ME_EXITING)
        return -EDEADLK;
    wane_enter(); /* attaches the thread */
    wane_leave();
    walk->place = (struct wn_place){0};
    walk->rank = 0;
    walk->partly = false;
    fetch_add_relaxed(&wn_walks, 1u);
    while (more && !rc)
        if (take_turn(walk, &more)) {
            rc = walk->flush(walk);
            deadline = wn_now() + WAIT_NS;
        } else if (wn_now() >= deadline) {
            rc = -EAGAIN;
        }
    fetch_add_relaxed(&wn_walks, -1u);
    return rc;
}

void
wn_walk_forked(void)
{
    store_relaxed(&wn_walks, 0u);
}

void
wn_walk_prepare(void)
{
    if (!wn_driver_try_begin(TRY_NS))
        return;
    (void)wn_driver_settle(wn_now() + SETTLE_NS);
    (void)wn_driver_handover(wn_now() + HANDOVER_NS);
    wn_driver_end();
}
