/* SPDX-License-Identifier: MIT
 *
 * slot.c - moving units into, out of and between slots
 *
 * Units flow owned -> slot -> pending -> gone. Those steps are silent: they do not touch the count. Everything else changes
 * word1 of the object (or word0, by its owner): the review (review.c) stands on that.
 *
 * Every exchange of a slot is acq_rel, both ways (E5): a peek sees the object's contents; who displaces a unit sees how it came
 * there and passes that on (a displaced unit is any of several equal ones, so every displacement continues the chain). Private
 * stores are release as well: a collector that sees the unit in the slot must see its retain.
 *
 * A consuming store makes the stored object a candidate *after* the exchange, in the same section: two threads that close a
 * ring look at each other's slot after both stores, and one of them sees it. An object whose slots are all empty closes nothing,
 * unless it was stored into itself. Private stores are no exception: two containers that were never published can hold each
 * other.
 *
 * Nor does it close anything if it goes into an object that no slot holds: that one's units are in hands, what it holds is
 * alive through them, and what becomes of it is an event in its turn (a store of it, a release, its death). Objects know it
 * of themselves: UNSTORED is set at birth and cleared by the owner's first store of it; a stranger's first store, who may not
 * write word0, sets AGE in word1 instead, where no bits were set. So: UNSTORED, mine, and word1 as it was born. Where both
 * happen at once,
 *
 *     A, the owner of n                      B, who stores n
 *     n.slot := c         (seq_cst)          n.word1 := AGE      (seq_cst)
 *     n.word1 as born? no event              slot := n
 *                                            n.slot filled? n is a candidate      (seq_cst)
 *
 * one of them sees the other. With a private store A alone reaches n: there is no B.
 */
#include <errno.h>

#include "cell.h"
#include "death.h"
#include "handoff.h"
#include "memory.h"
#include "step.h"

static void *
object_of(uintptr_t bits)
{
    return (void *)(bits & ~WANE_TAG_MASK);
}

static void
retain_if(void *object)
{
    if (object)
        wane_retain(object);
}

/* ---- What no slot holds ------------------------------------------------------------------------------------------- */

static void
stranger_stores(struct wane_header *h)
{
    uint64_t w = load_relaxed(&h->word1);

    do
        if (w & WN_AGE)
            return;
    while (!cas_seq_cst(&h->word1, &w, (w | WN_AGE) + WN_VERSION_ONE));
}

/* Before any store of an object into a slot. */
static inline void
store_begins(void *object)
{
    struct wane_header *h;
    uint64_t            w0;

    if (!object)
        return;
    h = WANE_HEADER(object);
    w0 = load_relaxed(&h->word0);
    if (!(w0 & WN_UNSTORED))
        return;
    if (wn_owner(w0) != (uint32_t)(wane_self.me >> WN_OWNER_SHIFT)) {
        if (!WN_MUTANT(stranger_stores_silently))
            stranger_stores(h);
    } else if (!WN_MUTANT(stored_stays_unstored)) {
        store_relaxed(&h->word0, w0 & ~WN_UNSTORED);
    }
}

/* The slot is in an object of mine that no slot holds. After the store. */
static inline bool
is_in_hand(const wane_slot *slot)
{
    const struct wane_header *h = wn_cell_around(slot, (uint32_t)(wane_self.me >> WN_OWNER_SHIFT));
    uint64_t                  w0 = h ? load_relaxed(&h->word0) : 0;

    if ((w0 & (WN_UNSTORED | WN_OWNER_MASK)) != (WN_UNSTORED | wane_self.me))
        return false;
    return WN_MUTANT(in_hand_ignores_strangers) ||
           (__atomic_load_n(&h->word1.value, __ATOMIC_SEQ_CST) & ~WN_ERA) == WN_WORD1_BORN;
}

/* ---- Consuming stores are candidate events --------------------------------------------------------------------- */

struct look {
    struct wane_visitor visitor;
    bool                filled;
};

static void
look_at_slot(struct wane_visitor *visitor, wane_slot *slot)
{
    /* seq_cst, as the exchanges before it: of two threads that close a ring one sees the other's store. */
    if (object_of(__atomic_load_n(&slot->bits, __ATOMIC_SEQ_CST)))
        ((struct look *)visitor)->filled = true;
}

static bool
is_inside(const void *slot, struct wane_header *h, const struct wn_type *t)
{
    uintptr_t from = (uintptr_t)wn_payload(h);

    return (uintptr_t)slot - from < wn_type_payload_size(t, h);
}

static __attribute__((noinline)) void
may_close(void *object, const wane_slot *slot)
{
    struct wane_header   *h = WANE_HEADER(object);
    const struct wn_type *t = wn_type_of(h);
    struct look           look = {{look_at_slot, NULL}, false};

    if (!t->traced)
        return;
    if (!t->trace && !is_inside(slot, h, t))
        wn_type_trace(t, h, &look.visitor);
    else
        look.filled = true; /* variable shapes are not searched */
    if (look.filled)
        wn_unit_stored(h);
}

static inline void
stored(void *object, const wane_slot *slot)
{
    const struct wane_header *h = WANE_HEADER(object);

    /* Leaves are quiet from birth, and what is in no cycle: for them two looks are enough. */
    if ((load_relaxed(&h->word0) & WANE_QUIET) && !wn_type_of(h)->traced)
        return;
    if (!is_in_hand(slot))
        may_close(object, slot);
}

/* ---- Shared slots ---------------------------------------------------------------------------------------------- */

/* Exchange, and the old content's unit becomes pending. In a section. */
static void *
displace(wane_slot *slot, uintptr_t bits)
{
    void *old;

    (void)wn_unit_defer_reserve(wn_standing());
    /* seq_cst: acq_rel for E5; total for the two looks of a closing ring (stored). */
    if (WN_MUTANT(displace_unordered))
        old = object_of(__atomic_exchange_n(&slot->bits, bits, __ATOMIC_RELAXED));
    else
        old = object_of(__atomic_exchange_n(&slot->bits, bits, __ATOMIC_SEQ_CST));
    WN_STEP("slot:displaced");
    return old;
}

static void
defer(void *old)
{
    if (!old)
        return;
    if (WN_MUTANT(defer_at_once)) {
        wn_unit_give(WANE_HEADER(old));
        wn_death_run(wn_standing());
        return;
    }
    wn_unit_defer(WANE_HEADER(old));
}

void *
wane_get(const wane_slot *slot)
{
    bool  opened = wn_scope_open();
    void *object = wane_peek(slot);

    retain_if(object);
    wn_scope_close(opened);
    return object;
}

void
wane_set(wane_slot *slot, void *object)
{
    bool opened = wn_scope_open();

    retain_if(wane_untag(object)); /* before the old one goes: it may be the same */
    store_begins(wane_untag(object));
    defer(displace(slot, (uintptr_t)object));
    wn_scope_close(opened);
}

void
wane_put(wane_slot *slot, void *object)
{
    bool opened = wn_scope_open();
    bool too_early = WN_MUTANT(in_hand_looks_first) && is_in_hand(slot);

    wn_arrive(wane_untag(object));
    store_begins(wane_untag(object));
    WN_STEP("slot:before");
    defer(displace(slot, (uintptr_t)object));
    if (wane_untag(object) && !too_early)
        stored(wane_untag(object), slot);
    wn_scope_close(opened);
}

void
wane_clear(wane_slot *slot)
{
    bool opened = wn_scope_open();

    defer(displace(slot, 0));
    wn_scope_close(opened);
}

void *
wane_take(wane_slot *slot)
{
    bool  opened = wn_scope_open();
    void *old = displace(slot, 0);

    retain_if(old); /* the slot's unit stays pending: sections may live on it */
    defer(old);
    wn_scope_close(opened);
    return old;
}

void *
wane_swap(wane_slot *slot, void *object)
{
    bool  opened = wn_scope_open();
    void *old;

    wn_arrive(wane_untag(object));
    store_begins(wane_untag(object));
    old = displace(slot, (uintptr_t)object);
    retain_if(old);
    defer(old);
    if (wane_untag(object))
        stored(wane_untag(object), slot);
    wn_scope_close(opened);
    return old;
}

static bool
bits_if(wane_slot *slot, const void *expected, const void *desired)
{
    uintptr_t want = (uintptr_t)expected;

    return __atomic_compare_exchange_n(&slot->bits, &want, (uintptr_t)desired, false, __ATOMIC_SEQ_CST, __ATOMIC_ACQUIRE);
}

static bool
exchange_if(wane_slot *slot, const void *expected, const void *desired)
{
    (void)wn_unit_defer_reserve(wn_standing());
    if (!bits_if(slot, expected, desired))
        return false;
    defer(wane_untag(expected));
    return true;
}

bool
wane_cas(wane_slot *slot, const void *expected, void *desired)
{
    bool opened, done;

    /* Another tag, the same object: the slot keeps its unit. Nothing is displaced, so no section and no event either. */
    if (wane_untag(expected) == wane_untag(desired) && !WN_MUTANT(retag_displaces))
        return bits_if(slot, expected, desired);
    opened = wn_scope_open();
    retain_if(wane_untag(desired));
    store_begins(wane_untag(desired));
    done = exchange_if(slot, expected, desired);
    if (!done)
        wane_release(wane_untag(desired));
    wn_scope_close(opened);
    return done;
}

bool
wane_cas_put(wane_slot *slot, const void *expected, void *desired)
{
    bool opened = wn_scope_open();
    bool done;

    wn_arrive(wane_untag(desired));
    store_begins(wane_untag(desired));
    done = exchange_if(slot, expected, desired);
    if (done && wane_untag(desired))
        stored(wane_untag(desired), slot);
    wn_scope_close(opened);
    return done;
}

/* ---- Private slots --------------------------------------------------------------------------------------------- */

/* Nobody else can reach the slot: a load and a store are enough. */
static void *
replace_private(wane_slot *slot, uintptr_t bits)
{
    void *old = object_of(__atomic_load_n(&slot->bits, __ATOMIC_RELAXED));

    /* release E5: the collector may be tracing the container (H13). */
    __atomic_store_n(&slot->bits, bits, __ATOMIC_RELEASE);
    return old;
}

/* The last thing the caller does with the old object. */
static void
drop_now(void *old)
{
    if (!old)
        return;
    wn_unit_give(WANE_HEADER(old));
    wn_death_run(wn_standing());
}

void
wane_set_private(wane_slot *slot, void *object)
{
    bool opened = wn_scope_open();

    retain_if(wane_untag(object));
    store_begins(wane_untag(object));
    drop_now(replace_private(slot, (uintptr_t)object));
    wn_scope_close(opened);
}

static __attribute__((noinline)) void
put_over(wane_slot *slot, void *object, void *old)
{
    if (object)
        stored(object, slot);
    drop_now(old);
}

/* In a section. */
static inline void
put_private(wane_slot *slot, void *object)
{
    void *old;

    store_begins(wane_untag(object));
    old = replace_private(slot, (uintptr_t)object);
    if (__builtin_expect(old != NULL, 0))
        put_over(slot, wane_untag(object), old);
    else if (wane_untag(object))
        stored(wane_untag(object), slot);
}

static __attribute__((noinline)) void
arrive_and_put(wane_slot *slot, void *object)
{
    bool opened = wn_scope_open();

    wn_arrive(wane_untag(object));
    put_private(slot, object);
    wn_scope_close(opened);
}

void
wane_put_private(wane_slot *slot, void *object)
{
    wn_check_not_tracing();
    if (!wn_in_section() || (wane_untag(object) && wn_is_in_transit(WANE_HEADER(wane_untag(object)))))
        arrive_and_put(slot, object);
    else
        put_private(slot, object);
}

void *
wane_take_private(wane_slot *slot)
{
    bool  opened = wn_scope_open();
    void *old = replace_private(slot, 0);

    if (old)
        wn_count_moved(WANE_HEADER(old)); /* slot -> owned, sideways: after the clearing (H6) */
    wn_scope_close(opened);
    return old;
}

void
wane_clear_private(wane_slot *slot)
{
    wane_set_private(slot, NULL);
}

/* ---- Memory that readers may still see --------------------------------------------------------------------------- */

int
wane_free_deferred(void *pointer, void (*fn)(void *))
{
    struct wn_deferred_call *call = wn_deferred_call_new(fn ? fn : free, pointer);
    bool                     opened = wn_scope_open();
    struct wn_record        *r = wn_standing();
    bool                     room = call && wn_unit_defer_reserve(r);

    if (room) {
        wn_log_append(&r->deferred, (uintptr_t)call | WN_ENTRY_CALL);
        wn_record_backlog(r);
    }
    wn_scope_close(opened);
    if (!room)
        wn_free(call);
    return room ? 0 : -ENOMEM;
}
