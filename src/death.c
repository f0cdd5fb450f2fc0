/* SPDX-License-Identifier: MIT */
#include "death.h"

#include "check.h"
#include "gate.h"
#include "step.h"
#include "weak.h"

#define GRAVE_BUDGET 64

static void drop_now(wane_slot *slot);

void
wn_memory_free(struct wn_record *r, struct wane_header *h, const struct wn_type *t)
{
    wn_free_now(r, h, t, wn_type_bytes(t, h));
    if (WN_MUTANT(sever_after_free)) {
        wn_weak_tell(wn_weak_sever(h));
        wn_weak_bury(wn_weak_sever(h), drop_now);
    }
}

void
wn_bury_later(struct wn_record *r, struct wane_header *h)
{
    wn_counter_add(&r->counters.buried_bytes, wn_type_payload_size(wn_type_of(h), h));
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
    if (((w & WN_WEAK) && !WN_MUTANT(weak_freed_at_once)) ||
        (load_acquire(&wn_collecting) && !WN_MUTANT(free_ignores_collecting)))
        wn_bury_later(r, h);
    else
        wn_memory_free(r, h, wn_type_of(h));
}

void
wn_free_if_last(struct wn_record *r, struct wane_header *h, uint64_t w)
{
    if ((w & WN_DEAD) && (!(w & WN_HOLDERS) || WN_MUTANT(free_ignores_holders)))
        free_dead(r, h, w);
}

void
wn_death_settle(struct wn_record *r)
{
    if (r->credit >= 2 * WN_CREDIT)
        wn_repay(r);
    if ((int64_t)load_relaxed(&r->charge) < 0)
        (void)wn_budget_report(r, (int64_t)load_relaxed(&r->charge));
}

void
wn_free_watched(struct wn_record *r, struct wane_header *h, const struct wn_type *t)
{
    if (!wn_quarantine(r, h, wn_type_payload_size(t, h)))
        wn_object_memory_give(r, h, t);
}

bool
wn_bury_watched(struct wn_record *r, struct wane_header *h, const struct wn_type *t, uint64_t w0)
{
    if (WN_CHECKS >= 1)
        wn_check_words(h, w0, load_relaxed(&h->word1));
    if (wn_may_be_looked_at(h))
        return false;
    wn_count_death(r, t, h);
    wn_free_now(r, h, t, t->bytes);
    return true;
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
        __builtin_prefetch(r->grave_waiting, 1); /* it has been dead for long */
        compiler_barrier();
        wn_counter_add_end(&r->counters.unearthed_bytes, wn_type_payload_size(wn_type_of(h), h));
        wn_memory_free(r, h, wn_type_of(h));
    }
    return r->grave_waiting || seal_graves(r);
}

void
wn_count_death_spare(const struct wn_type *t, size_t size)
{
    fetch_add_release(&wn_type_counts_spare(t->id)->bytes_died, size);
    fetch_add_release(&wn_type_counts_spare(t->id)->died, 1u);
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

/* ---- Dropping slots -------------------------------------------------------------------------------------------- */

struct drop {
    struct wane_visitor visitor;
    void (*one)(wane_slot *);
    size_t skip; /* slots in arrays that are empty already */
    size_t done; /* slots in arrays that are empty now */
    long   budget;
    bool   again; /* not the first share */
    bool   rest;
};

static bool
drop_if_filled(struct drop *d, wane_slot *slot)
{
    if (!__atomic_load_n(&slot->bits, __ATOMIC_RELAXED))
        return false;
    d->one(slot);
    d->budget -= WN_COST_OBJECT;
    return true;
}

/* A slot of its own is seen in every share: emptied in the first, it costs the others nothing. What is only seen again pays for
 * more to be dropped, here and in drop_range: else many small arrays would be walked through once for each few of them. */
static void
drop_slot(struct wane_visitor *visitor, wane_slot *slot)
{
    struct drop *d = (struct drop *)visitor;

    if (!drop_if_filled(d, slot) && d->again)
        d->budget += WN_COST_EMPTY;
}

/* An array: what earlier calls have emptied is not looked at again; what the budget does not allow is left. */
static void
drop_range(struct wane_visitor *visitor, wane_slot *first, size_t count)
{
    struct drop *d = (struct drop *)visitor;
    size_t       i = d->skip < count ? d->skip : count;

    d->skip -= i;
    if (i && i == count)
        d->budget += WN_COST_EMPTY;
    for (; i < count && d->budget > 0; i++, d->done++)
        if (!drop_if_filled(d, &first[i]))
            d->budget -= WN_COST_EMPTY;
    d->rest |= i < count;
}

bool
wn_drop_slots(struct wane_header *h, const struct wn_type *t, void (*one)(wane_slot *), size_t *done, long *budget)
{
    struct drop d = {{drop_slot, drop_range}, one, *done, *done, *budget, *done > 0, false};

    if (WN_MUTANT(acyclic_keeps) ? !t->traced : !t->has_slots)
        return true;
    wn_type_trace(t, h, &d.visitor);
    *done = d.done;
    *budget = d.budget;
    return !d.rest;
}

/* What it held, whose unit is to be given back; NULL: nothing. */
static inline struct wane_header *
empty(wane_slot *slot)
{
    uintptr_t bits = __atomic_load_n(&slot->bits, __ATOMIC_RELAXED);
    void     *object = wane_untag((void *)bits);

    if (!bits)
        return NULL;
    /* release E13: empty before the unit goes; a collector that traces this object finds nothing or a counted unit. A tag alone
     * goes, too: it must not look filled in the next share. */
    __atomic_store_n(&slot->bits, 0, __ATOMIC_RELEASE);
    WN_STEP("death:slot-cleared");
    return object ? WANE_HEADER(object) : NULL;
}

static void
drop_now(wane_slot *slot)
{
    struct wane_header *h = empty(slot);

    if (h)
        wn_unit_give(h);
}

/* ---- Burying ---------------------------------------------------------------------------------------------------- */

/* Off the list of the dying, disposed of; its slots come next. */
static void
begin(struct wn_record *r)
{
    struct wane_header   *h = r->dying;
    const struct wn_type *t = wn_type_of(h);
    void                 *weak = NULL;

    r->dying = wn_link(h);
    compiler_barrier(); /* before the work: whoever is stopped here leaks one object, frees none twice */
    WN_STEP("death:begin");
    if ((load_acquire(&h->word1) & WN_WEAK) && !WN_MUTANT(sever_after_free))
        weak = wn_weak_sever(h);
    wn_dispose(h, t);
    if (__builtin_expect(weak != NULL, 0)) {
        wn_weak_tell(weak); /* what h held open is closed */
        wn_weak_bury(weak, drop_now);
    }
    r->partial_done = 0;
    compiler_barrier();
    r->partial = h;
}

/* Its slots are empty. */
static inline void
bury(struct wn_record *r, struct wane_header *h, const struct wn_type *t)
{
    uint64_t w;

    wn_count_death(r, t, h);
    if (!(load_acquire(&h->word1) & WN_MERGED)) { /* died plainly: nobody else knew it */
        wn_free_now(r, h, t, wn_type_bytes(t, h));
        return;
    }
    WN_STEP("death:before-dead");
    w = wn_flags_change(h, 0, WN_DEAD); /* acq_rel E12 */
    if (w & WN_MARKS)
        wn_counter_add(&r->counters.died_marked, 1);
    wn_free_if_last(r, h, w);
}

static void
end(struct wn_record *r)
{
    struct wane_header *h = r->partial;

    r->partial = NULL;
    compiler_barrier();
    bury(r, h, wn_type_of(h));
}

/* Between two objects nothing reads what callbacks have deferred. Not only in tend: that may find one in the middle each time. */
static void
seal_if_due(struct wn_record *r)
{
    if (!r->seal_due || r->hold_seals)
        return;
    r->seal_due = false;
    wn_log_seal(&r->deferred);
}

/* Units of slots that are empty by now. Structures lie in memory in any order: while their objects come into the cache, others
 * are buried. Nothing is left here when a call ends, or a callback begins. */
#define AHEAD 64

struct ahead {
    unsigned            first, count;
    struct wane_header *unit[AHEAD];
};

static inline void
ahead_begin(struct ahead *a)
{
    a->first = a->count = 0; /* not what there is room for: most calls bury one object */
}

/* An object that is not even looked at any more by anybody is on the list at once. */
static inline void
give(struct wn_record *r, struct wane_header *h)
{
    const struct wn_type *t = wn_type_of(h);
    uint64_t              w0 = load_relaxed(&h->word0);

    if (!t->is_silent || (w0 & WANE_QUIET && t->traced) || !wn_count_is_plain_death(h, w0, r) || wn_may_be_looked_at(h)) {
        wn_unit_give(h);
        return;
    }
    wn_set_link(h, r->dying);
    compiler_barrier();
    r->dying = h;
}

static inline void
give_oldest(struct wn_record *r, struct ahead *a)
{
    struct wane_header *h = a->unit[a->first];

    a->first = (a->first + 1) % AHEAD;
    a->count--;
    give(r, h);
}

static inline void
give_all(struct wn_record *r, struct ahead *a)
{
    while (a->count)
        give_oldest(r, a);
}

static inline void
give_later(struct wn_record *r, struct ahead *a, struct wane_header *h)
{
    __builtin_prefetch(h, 1);
    __builtin_prefetch((char *)h + 48, 1);
    if (a->count == AHEAD)
        give_oldest(r, a);
    a->unit[(a->first + a->count++) % AHEAD] = h;
}

/* Is one of the dying at hand? */
static inline bool
has_dying(struct wn_record *r, struct ahead *a)
{
    while (!r->dying && a->count)
        give_oldest(r, a);
    return r->dying;
}

/* All of the first of the dying, if nobody is called for it (no weak reference, no dispose) and it declares its slots.
 * Returns what that costs; 0: it is not that. */
static inline long
bury_plain(struct wn_record *r, struct ahead *a, bool much)
{
    struct wane_header   *h = r->dying;
    const struct wn_type *t = wn_type_at_hand(h);
    uint64_t              w1 = load_acquire(&h->word1);
    long                  one = t->bin && much ? WN_COST_PLAIN : WN_COST_OBJECT, cost = one;

    if (t->trace || t->dispose || (w1 & WN_WEAK))
        return 0;
    r->dying = wn_link(h);
    compiler_barrier(); /* as in begin */
    WN_STEP("death:begin");
    for (size_t i = t->slot_count; i-- > 0;) { /* the first slot's object is on top of the dying then, as it was made */
        struct wane_header *held = empty(wn_type_slot(t, h, i));

        if (!held)
            continue;
        give_later(r, a, held);
        cost += one;
    }
    if (t->is_silent && !(w1 & WN_MERGED)) { /* as bury does it */
        wn_count_death(r, t, h);
        wn_free_now(r, h, t, t->bytes);
    } else {
        bury(r, h, t);
    }
    return cost;
}

void
wn_death_recycle(struct wn_record *r)
{
    long         budget = (long)WN_BURY_BUDGET * WN_COST_OBJECT, cost = 1;
    struct ahead a;

    if (r->burying || r->partial || WN_MUTANT(nothing_recycled))
        return;
    r->burying = true;
    ahead_begin(&a);
    for (; budget > 0 && cost && has_dying(r, &a); budget -= cost)
        cost = bury_plain(r, &a, true);
    give_all(r, &a);
    r->burying = false;
}

/* The first of the dying, or what is left of one. Returns what that costs; 0: the budget is used up. */
static long
bury_any(struct wn_record *r, struct ahead *a, long *budget)
{
    give_all(r, a);
    if (!r->partial)
        begin(r);
    if (!wn_drop_slots(r->partial, wn_type_of(r->partial), drop_now, &r->partial_done, budget))
        return 0;
    end(r);
    return WN_COST_OBJECT;
}

void
wn_death_go_on(struct wn_record *r, bool much)
{
    long         budget = (long)WN_BURY_BUDGET * WN_COST_OBJECT;
    struct ahead a;

    if (r->burying)
        return;
    r->burying = true;
    ahead_begin(&a);
    while (budget > 0 && (r->partial || has_dying(r, &a))) {
        long cost = r->partial ? 0 : bury_plain(r, &a, much);

        if (!cost)
            cost = bury_any(r, &a, &budget);
        if (!cost)
            break;
        seal_if_due(r);
        budget -= cost;
    }
    give_all(r, &a);
    r->burying = false;
    if (wn_is_burying(r)) {
        fetch_or_relaxed(&r->pub.attention, WN_ATTEND);
        wn_record_backlog(r);
    }
}
