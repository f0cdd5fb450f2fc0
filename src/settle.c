/* SPDX-License-Identifier: MIT
 *
 * settle.c - phases C and D: what happens to a component that the review has proved to be garbage
 *
 *   finalizers  any member with one that has not run: every member is protected by a unit, taken by CAS from the reviewed word
 *               (a failure aborts); all finalizers run; then the component is an ordinary candidate again. So no weak reference
 *               becomes NULL, and nothing is destroyed, before every finalizer of the component has run.
 *   decide      members with weak references are condemned, then one CAS commits (decide.h); an upgrade that wins aborts
 *   destroy     every member is dead for everybody, weak references severed; every member disposed; callbacks of all weak
 *               references; every member's slots emptied: units to members just vanish, units to others are given back
 *               as usual (and may make candidates); then the memory, after a grace period
 *
 * Members stay CLAIMED until the end. Nobody else can reach them, so disposing and dropping are plain work in short sections;
 * deferred frees that callbacks ask for are sealed only after the last slot was dropped (hold_seals), because a trace callback
 * reads such memory until then.
 */

#include "collect.h"
#include "death.h"
#include "decide.h"
#include "final.h"
#include "memory.h"
#include "scratch.h"
#include "step.h"
#include "weak.h"

struct component {
    struct wn_collection *c;
    const uint32_t       *member; /* numbers */
    uint32_t              n;
};

static struct wn_member *
at(const struct component *k, uint32_t i)
{
    return &k->c->member[k->member[i]];
}

static bool
finalizer_is_due(const struct wn_member *m)
{
    return wn_type_of(m->h)->finalize && !(m->w1 & WN_FINALIZED);
}

static bool
any(const struct component *k, bool (*is)(const struct wn_member *))
{
    for (uint32_t i = 0; i < k->n; i++)
        if (is(at(k, i)))
            return true;
    return false;
}

/* The component is kept, this time. */
static void
keep(const struct component *k, uint8_t why)
{
    for (uint32_t i = 0; i < k->n; i++)
        at(k, i)->out = why;
}

/* Call fn for all members, in sections of one slice. */
static void
for_all(const struct component *k, void (*fn)(const struct component *, struct wn_member *))
{
    for (uint32_t i = 0; i < k->n;) {
        uint32_t end = i + WN_COLLECT_SLICE < k->n ? i + WN_COLLECT_SLICE : k->n;

        wane_enter();
        while (i < end) {
            if (i + WN_AHEAD < k->n)
                __builtin_prefetch(at(k, i + WN_AHEAD)->h, 1);
            fn(k, at(k, i++));
        }
        wn_death_run(wn_standing());
        wane_leave();
    }
}

/* ---- Finalizers -------------------------------------------------------------------------------------------------- */

/* One unit for the batch, and FINALIZED where its finalizer is to run, in one CAS from the reviewed word. */
static bool
protect(struct wn_member *m)
{
    uint64_t w = WN_MUTANT(protect_any_word) ? load_acquire(&m->h->word1) : m->w1;

    return cas_acq_rel(&m->h->word1, &w,
                       (w | (finalizer_is_due(m) ? WN_FINALIZED : 0)) + WN_COUNT_ONE + WN_VERSION_ONE);
}

static void
unprotect(struct wn_member *m)
{
    if (finalizer_is_due(m))
        wn_flags_change(m->h, WN_FINALIZED, 0);
    wane_release(wn_payload(m->h));
}

/* The members are claimed: what is held up meanwhile is only what others displace. */
static void
rest_after(uint32_t done)
{
    if (done % WN_COLLECT_SLICE)
        return;
    wane_leave();
    wane_enter();
}

/* In a section. */
static void
schedule_finalizers(const struct component *k)
{
    struct wn_final_batch *b = wn_malloc(sizeof *b + k->n * sizeof b->entry[0]);

    if (!b) {
        k->c->no_memory = true;
        keep(k, WN_OUT(MEMORY));
        return;
    }
    for (b->count = 0; b->count < k->n; b->count++) {
        if (!protect(at(k, b->count)))
            break;
        WN_STEP("final:protected");
        b->entry[b->count] = (uintptr_t)at(k, b->count)->h | finalizer_is_due(at(k, b->count));
        rest_after(b->count + 1);
    }
    if (b->count < k->n) { /* somebody has it: not garbage */
        while (b->count--) {
            unprotect(at(k, b->count));
            rest_after(b->count);
        }
        wn_free(b);
        keep(k, WN_OUT(MOVED));
        return;
    }
    for (uint32_t i = 0; i < k->n; i++)
        k->c->result.finalized += finalizer_is_due(at(k, i));
    wn_final_add_batch(b);
    keep(k, WN_OUT(FINALIZERS));
}

/* ---- The decision ------------------------------------------------------------------------------------------------- */

static bool
has_weak(const struct wn_member *m)
{
    return m->w1 & WN_WEAK;
}

static bool
condemn_all(const struct component *k)
{
    for (uint32_t i = 0; i < k->n; i++)
        if (has_weak(at(k, i)) && !wn_decide_condemn(at(k, i)->h, at(k, i)->w1))
            return false;
    return true;
}

/* True: no upgrade of a member succeeds any more. */
static bool
decide(const struct component *k)
{
    bool committed;

    if (!any(k, has_weak))
        return true;
    wn_decide_open();
    committed = condemn_all(k) && wn_decide_commit();
    WN_STEP("decide:committed");
    if (!committed)
        wn_decide_abort();
    if (!committed && WN_MUTANT(next_before_turn))
        return false; /* giving the members back clears it */
    /* Every CONDEMNED is turned before the next decision opens. */
    for (uint32_t i = 0; i < k->n; i++)
        if (has_weak(at(k, i)))
            wn_decide_turn(at(k, i)->h, committed);
    return committed;
}

/* ---- Destruction -------------------------------------------------------------------------------------------------- */

/* From here on the member is nobody's: whatever a dispose does to its fellows' units changes nothing any more. */
static void
doom(const struct component *k, struct wn_member *m)
{
    uint64_t w = load_relaxed(&m->h->word1);

    wn_member_let_go(k->c, m); /* a fork during a callback leaks the component in the child */
    while (!cas_acq_rel(&m->h->word1, &w,
                        ((w & ~WN_COUNT_MASK) | WN_DEAD | (uint64_t)WN_IMMORTAL_CENTRE << WN_COUNT_SHIFT) +
                            WN_VERSION_ONE))
        ;
    if (has_weak(m))
        (void)wn_weak_sever(m->h);
}

static void
dispose(const struct component *k, struct wn_member *m)
{
    struct wn_record *r = wn_standing();

    (void)k;
    r->burying = true; /* what it lets go of is buried after it, not inside it */
    wn_dispose(m->h, wn_type_of(m->h));
    r->burying = false;
}

/* After every dispose of the component, before any of its slots is emptied. */
static void
notify(const struct component *k, struct wn_member *m)
{
    (void)k;
    if (has_weak(m))
        wn_weak_tell(wn_weak_sever(m->h));
}

/* Is h a member of the component under destruction? (An address of an earlier one may have been re-used.) */
static bool
is_fellow(struct wn_collection *c, const struct wane_header *h)
{
    struct wn_member *m = wn_member_of(c, h);

    return m && !m->out && m->component == c->destroying;
}

static void
drop_outside(wane_slot *slot)
{
    void *object = wane_untag((void *)__atomic_load_n(&slot->bits, __ATOMIC_RELAXED));

    __atomic_store_n(&slot->bits, 0, __ATOMIC_RELEASE); /* release E13 */
    if (object && !is_fellow(&wn_collection, WANE_HEADER(object))) /* a fellow's units vanish with it */
        wn_unit_give(WANE_HEADER(object));
}

/* A wide member: in several sections. */
static void
drop(const struct component *k, struct wn_member *m)
{
    size_t done = 0;
    long   budget = (long)WN_COLLECT_SLICE * WN_COST_OBJECT;

    (void)k;
    if (has_weak(m))
        wn_weak_bury(wn_weak_sever(m->h), drop_outside);
    while (!wn_drop_slots(m->h, wn_type_of(m->h), drop_outside, &done, &budget)) {
        budget = (long)WN_COLLECT_SLICE * WN_COST_OBJECT;
        wn_death_run(wn_standing());
        wane_leave();
        wane_enter();
    }
}

/* Where in this record's log the next entry goes. No chunk: in one that is still to be made. */
struct place {
    struct wn_chunk *chunk;
    uint32_t         entry;
};

static struct place
end_of_log(const struct wn_log *log)
{
    if (!log->unsealed) /* what is sealed takes no entry any more */
        return (struct place){NULL, 0};
    return (struct place){log->open, log->open->count};
}

/* Units of members that callbacks displaced wait in this record's log, unsealed, from `start` on: nobody's either. */
static void
forget_displaced(struct wn_collection *c, struct wn_record *r, struct place start)
{
    struct wn_chunk *chunk = start.chunk ? start.chunk : r->deferred.unsealed;

    for (uint32_t i = start.entry; chunk; chunk = (struct wn_chunk *)chunk->link.next, i = 0)
        for (; i < chunk->count; i++)
            if ((chunk->entry[i] & WN_ENTRY_KIND) == WN_ENTRY_UNIT &&
                is_fellow(c, (struct wane_header *)(chunk->entry[i] & WN_ENTRY_ADDRESS)))
                chunk->entry[i] = 0;
}

static void
finish(const struct component *k, struct wn_member *m)
{
    struct wn_record *r = wn_standing();
    uint64_t          w = load_relaxed(&m->h->word1);
    uint64_t          n;

    (void)k;
    wn_count_death(r, wn_type_of(m->h), m->h);
    do
        n = ((w & ~(WN_COUNT_MASK | WN_CLAIMED | WN_REVIEW | WN_CONDEMNED)) | WN_DEAD | WN_MERGED) + WN_VERSION_ONE;
    while (!cas_acq_rel(&m->h->word1, &w, n)); /* acq_rel E12 */
    if (!(n & WN_HOLDERS))
        wn_bury_later(r, m->h);
}

static void
destroy(const struct component *k)
{
    struct wn_record *r;
    struct place      start;

    wane_enter();
    r = wn_standing();
    r->hold_seals = true;
    start = end_of_log(&r->deferred);
    wane_leave();
    k->c->destroying = at(k, 0)->component;
    WN_STEP("destroy:begin");
    for_all(k, doom);
    for_all(k, dispose);
    for_all(k, notify);
    WN_STEP("destroy:disposed");
    for_all(k, drop);
    forget_displaced(k->c, r, start);
    for_all(k, finish);
    r->hold_seals = false;
    k->c->result.freed += k->n;
    wn_collect_count_freed(k->n);
    k->c->result.components++;
    WN_STEP("destroy:end");
}

static void
settle(const struct component *k)
{
    if (any(k, finalizer_is_due)) {
        wane_enter();
        schedule_finalizers(k);
        wane_leave();
        return;
    }
    if (decide(k))
        destroy(k);
    else
        keep(k, WN_OUT(UPGRADED));
}

void
wn_settle(struct wn_collection *c)
{
    uint32_t *order = wn_scratch_get(((size_t)c->members + 1) * 2 * sizeof *order);
    uint32_t *end, groups, start = 0;

    if (!order) {
        c->no_memory = true;
        return;
    }
    c->order = order;
    end = order + c->members + 1;
    groups = wn_components(c->member, c->members, &c->second, order, end);
    for (uint32_t g = 0; g < groups; g++) {
        settle(&(struct component){c, order + start, end[g] - start});
        start = end[g];
        wn_driver_breathe();
    }
}
