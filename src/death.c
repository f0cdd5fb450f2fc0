/* SPDX-License-Identifier: MIT */
#include "death.h"

#include "gate.h"
#include "memory.h"
#include "step.h"
#include "weak.h"

#define GRAVE_BUDGET 4096

void
wn_memory_free(struct wn_record *r, struct wane_header *h, const struct wn_type *t)
{
    WN_STEP("death:free");
    wn_repay_death(r);
    wn_free((char *)h - t->prefix);
}

void
wn_bury_later(struct wn_record *r, struct wane_header *h)
{
    wn_set_link(h, r->grave_open);
    compiler_barrier();
    r->grave_open = h;
    wn_record_backlog(r);
}

static void
free_dead(struct wn_record *r, struct wane_header *h, uint64_t w)
{
    /* acquire: set before the collector's first slot read; the RMW that made w comes before this look. */
    wn_mutator_fence();
    if ((w & WN_WEAK) || (load_acquire(&wn_collecting) && !WN_MUTANT(free_ignores_collecting)))
        wn_bury_later(r, h);
    else
        wn_memory_free(r, h, wn_type_of(h));
}

void
wn_free_if_last(struct wn_record *r, struct wane_header *h, uint64_t w)
{
    if ((w & WN_DEAD) && !(w & WN_HOLDERS))
        free_dead(r, h, w);
}

/* r's list of open graves becomes the waiting one with a ticket. */
static bool
seal_graves(struct wn_record *r)
{
    struct wane_header *list = r->grave_open;

    if (!list)
        return false;
    /* In this order: whoever is stopped in between (fork) leaves a leak, not a list twice or one with an old ticket. */
    r->grave_ticket = wn_grace_ticket();
    compiler_barrier();
    r->grave_open = NULL;
    compiler_barrier();
    r->grave_waiting = list;
    return true;
}

bool
wn_graves_are_ripe(const struct wn_record *r)
{
    return r->grave_waiting && wn_grace_done(r->grave_ticket);
}

bool
wn_graves_tend(struct wn_record *r)
{
    if (!r->grave_waiting)
        return seal_graves(r);
    if (!wn_grace_done(r->grave_ticket))
        return true;
    for (int n = 0; n < GRAVE_BUDGET && r->grave_waiting; n++) {
        struct wane_header *h = r->grave_waiting;

        r->grave_waiting = wn_link(h);
        compiler_barrier();
        wn_memory_free(r, h, wn_type_of(h));
    }
    return r->grave_waiting || seal_graves(r);
}

void
wn_count_death(struct wn_record *r, const struct wn_type *t, const struct wane_header *h)
{
    size_t size = wn_type_payload_size(t, h);

    wn_type_counts_add(r, t->id, -1, -(int64_t)size);
    wn_counter_add(&r->counters.died, 1);
    wn_counter_add(&r->counters.bytes_died, size);
}

void
wn_dispose(struct wane_header *h, const struct wn_type *t)
{
    bool drives;

    if (!t->dispose)
        return;
    wane_enter(); /* one level deeper: a checkpoint in the callback ends no borrow of ours */
    drives = wn_callback_begin();
    t->dispose(wn_payload(h));
    if (WN_MUTANT(dispose_twice))
        t->dispose(wn_payload(h));
    wn_callback_end(drives);
    wane_leave();
}

static void
drop_slot(struct wane_visitor *visitor, wane_slot *slot)
{
    void *object = wane_untag((void *)__atomic_load_n(&slot->bits, __ATOMIC_RELAXED));

    (void)visitor;
    if (!object)
        return;
    /* release E13: empty before the unit goes; a collector that traces this object finds nothing or a counted unit. */
    __atomic_store_n(&slot->bits, 0, __ATOMIC_RELEASE);
    WN_STEP("death:slot-cleared");
    wn_unit_give(WANE_HEADER(object));
}

void
wn_drop_slots(struct wane_header *h, const struct wn_type *t, void (*slot)(struct wane_visitor *, wane_slot *))
{
    struct wane_visitor visitor = {slot};

    if (t->traced)
        wn_type_trace(t, h, &visitor);
}

static void
bury(struct wn_record *r, struct wane_header *h)
{
    const struct wn_type *t = wn_type_of(h);
    uint64_t              w = load_acquire(&h->word1);

    WN_STEP("death:begin");
    if (w & WN_WEAK)
        wn_weak_sever(h);
    wn_dispose(h, t);
    wn_drop_slots(h, t, drop_slot);
    wn_count_death(r, t, h);
    if (!(w & WN_MERGED)) { /* died plainly: nobody else knew it */
        wn_memory_free(r, h, t);
        return;
    }
    WN_STEP("death:before-dead");
    wn_free_if_last(r, h, wn_flags_change(h, 0, WN_DEAD)); /* acq_rel E12 */
}

void
wn_death_run(struct wn_record *r)
{
    if (!r->dying || r->burying)
        return;
    r->burying = true;
    for (int n = 0; n < WN_BURY_BUDGET && r->dying; n++) {
        struct wane_header *h = r->dying;

        r->dying = wn_link(h);
        compiler_barrier(); /* before the work: whoever is stopped here leaks one object, frees none twice */
        bury(r, h);
    }
    r->burying = false;
    if (r->dying) {
        fetch_or_relaxed(&r->pub.attention, WN_ATTEND);
        wn_record_backlog(r);
    }
}
