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
 *               as usual (and may make candidates); then the memory, at once (docs/design.md, "Settle"), or after a grace period
 *               if there was a weak reference
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

#define PLAIN_TOGETHER 1024 /* members between two looks for a fork */

struct component {
    struct wn_collection *c;
    const uint32_t       *member; /* numbers */
    uint32_t              n;
};

static uint32_t
at(const struct component *k, uint32_t i)
{
    return k->member[i];
}

static struct wane_header *
header_of(const struct component *k, uint32_t m)
{
    return wn_node_header(k->c, m);
}

static bool
finalizer_is_due(const struct component *k, uint32_t m)
{
    return wn_type_of(header_of(k, m))->finalize && !(k->c->word[m] & WN_FINALIZED);
}

static bool
any(const struct component *k, bool (*is)(const struct component *, uint32_t))
{
    for (uint32_t i = 0; i < k->n; i++)
        if (is(k, at(k, i)))
            return true;
    return false;
}

/* The component is kept, this time. */
static void
keep(const struct component *k, unsigned why)
{
    for (uint32_t i = 0; i < k->n; i++)
        wn_set_out(&k->c->trial.node[at(k, i)], why);
}

/* Call fn for all members, in sections of one slice. */
static inline __attribute__((always_inline)) void
for_all_inline(const struct component *k, void (*fn)(const struct component *, uint32_t))
{
    for (uint32_t i = 0; i < k->n;) {
        uint32_t end = i + WN_COLLECT_SLICE < k->n ? i + WN_COLLECT_SLICE : k->n;

        wane_enter();
        while (i < end) {
            if (i + WN_AHEAD < k->n)
                __builtin_prefetch(header_of(k, at(k, i + WN_AHEAD)), 1);
            fn(k, at(k, i++));
        }
        wn_death_run(wn_standing());
        wane_leave();
    }
}

static __attribute__((noinline)) void
for_all(const struct component *k, void (*fn)(const struct component *, uint32_t))
{
    for_all_inline(k, fn);
}

/* ---- Finalizers -------------------------------------------------------------------------------------------------- */

/* One unit for the batch, and FINALIZED where its finalizer is to run, in one CAS from the reviewed word. */
static bool
protect(const struct component *k, uint32_t m)
{
    struct wane_header *h = header_of(k, m);
    uint64_t            w = WN_MUTANT(protect_any_word) ? load_acquire(&h->word1) : k->c->word[m];

    return cas_acq_rel(&h->word1, &w,
                       (w | (finalizer_is_due(k, m) ? WN_FINALIZED : 0)) + WN_COUNT_ONE + WN_VERSION_ONE);
}

static void
unprotect(const struct component *k, uint32_t m)
{
    if (finalizer_is_due(k, m))
        wn_flags_change(header_of(k, m), WN_FINALIZED, 0);
    wane_release(wn_payload(header_of(k, m)));
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
        if (!protect(k, at(k, b->count)))
            break;
        WN_STEP("final:protected");
        b->entry[b->count] = (uintptr_t)header_of(k, at(k, b->count)) | finalizer_is_due(k, at(k, b->count));
        rest_after(b->count + 1);
    }
    if (b->count < k->n) { /* somebody has it: not garbage */
        while (b->count--) {
            unprotect(k, at(k, b->count));
            rest_after(b->count);
        }
        wn_free(b);
        keep(k, WN_OUT(MOVED));
        return;
    }
    for (uint32_t i = 0; i < k->n; i++)
        k->c->result.finalized += finalizer_is_due(k, at(k, i));
    wn_final_add_batch(b);
    keep(k, WN_OUT(FINALIZERS));
}

/* ---- The decision ------------------------------------------------------------------------------------------------- */

static bool
has_weak(const struct component *k, uint32_t m)
{
    return k->c->word[m] & WN_WEAK;
}

static bool
condemn_all(const struct component *k)
{
    for (uint32_t i = 0; i < k->n; i++)
        if (has_weak(k, at(k, i)) && !wn_decide_condemn(header_of(k, at(k, i)), k->c->word[at(k, i)]))
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
        if (has_weak(k, at(k, i)))
            wn_decide_turn(header_of(k, at(k, i)), committed);
    return committed;
}

/* ---- Destruction -------------------------------------------------------------------------------------------------- */

/* From here on the member is nobody's: whatever a dispose does to its fellows' units changes nothing any more. */
static void
doom(const struct component *k, uint32_t m)
{
    struct wane_header *h = header_of(k, m);
    uint64_t            w = load_relaxed(&h->word1);

    (void)wn_member_let_go(k->c, m); /* a fork during a callback leaks the component in the child */
    while (!cas_acq_rel(&h->word1, &w,
                        ((w & ~WN_COUNT_MASK) | WN_DEAD | (uint64_t)WN_IMMORTAL_CENTRE << WN_COUNT_SHIFT) +
                            WN_VERSION_ONE))
        ;
    if (has_weak(k, m))
        (void)wn_weak_sever(h);
}

static void
dispose(const struct component *k, uint32_t m)
{
    struct wn_record *r = wn_standing();

    r->burying = true; /* what it lets go of is buried after it, not inside it */
    wn_dispose(header_of(k, m), wn_type_of(header_of(k, m)));
    r->burying = false;
}

/* After every dispose of the component, before any of its slots is emptied. */
static void
notify(const struct component *k, uint32_t m)
{
    if (has_weak(k, m))
        wn_weak_tell(wn_weak_sever(header_of(k, m)));
}

/* Is h a member of the component under destruction? Its memory is held: by the unit that led here, or as a member's. Nobody else
 * is both claimed and dead: what dies by its count is claimed no more, or was never. */
static bool
is_fellow(const struct wane_header *h)
{
    return (load_relaxed(&h->word1) & (WN_CLAIMED | WN_DEAD)) == (WN_CLAIMED | WN_DEAD);
}

static void
drop_outside(wane_slot *slot)
{
    void *object = wane_untag((void *)__atomic_load_n(&slot->bits, __ATOMIC_RELAXED));

    __atomic_store_n(&slot->bits, 0, __ATOMIC_RELEASE); /* release E13 */
    if (object && !is_fellow(WANE_HEADER(object))) /* a fellow's units vanish with it */
        wn_unit_give(WANE_HEADER(object));
}

/* A wide member: in several sections. */
static void
drop(const struct component *k, uint32_t m)
{
    struct wane_header *h = header_of(k, m);
    size_t              done = 0;
    long                budget = (long)WN_COLLECT_SLICE * WN_COST_OBJECT;

    if (has_weak(k, m))
        wn_weak_bury(wn_weak_sever(h), drop_outside);
    while (!wn_drop_slots(h, wn_type_of(h), drop_outside, &done, &budget)) {
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
    if (!log->unsealed) /* what is sealed takes no entry; opened again, it holds older ones, of no fellow: those are counted */
        return (struct place){NULL, 0};
    return (struct place){log->open, log->open->count};
}

/* Units of members that callbacks displaced wait in this record's log, unsealed, from `start` on: nobody's either. */
static void
forget_displaced(struct wn_record *r, struct place start)
{
    struct wn_chunk *chunk = start.chunk ? start.chunk : r->deferred.unsealed;

    for (uint32_t i = start.entry; chunk; chunk = (struct wn_chunk *)chunk->link.next, i = 0)
        /* Opened again, the first may have been applied in part. */
        for (i = i < chunk->next && !WN_MUTANT(forgets_the_applied) ? chunk->next : i; i < chunk->count; i++)
            if ((chunk->entry[i] & WN_ENTRY_KIND) == WN_ENTRY_UNIT &&
                (chunk->entry[i] & WN_ENTRY_ADDRESS) &&
                is_fellow((struct wane_header *)(chunk->entry[i] & WN_ENTRY_ADDRESS)))
                chunk->entry[i] = 0;
}

/* What nobody can reach has died. Its new word1. */
static uint64_t
bury_word(struct wane_header *h)
{
    uint64_t w = load_relaxed(&h->word1);
    uint64_t n;

    do
        n = ((w & ~(WN_COUNT_MASK | WN_CLAIMED | WN_REVIEW | WN_CONDEMNED)) | WN_DEAD | WN_MERGED) + WN_VERSION_ONE;
    while (!cas_acq_rel(&h->word1, &w, n)); /* acq_rel E12 */
    return n;
}

static void
finish(const struct component *k, uint32_t m)
{
    struct wane_header *h = header_of(k, m);
    struct wn_record   *r = wn_standing();

    wn_count_death(r, wn_type_of(h), h);
    wn_free_if_last(r, h, bury_word(h));
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
    WN_STEP("destroy:begin");
    for_all(k, doom);
    for_all(k, dispose);
    for_all(k, notify);
    WN_STEP("destroy:disposed");
    for_all(k, drop);
    forget_displaced(r, start);
    for_all(k, finish);
    r->hold_seals = false;
    k->c->result.freed += k->n;
    wn_collect_count_freed(k->n);
    WN_STEP("destroy:end");
}

/* ---- Plain members ------------------------------------------------------------------------------------------------- */

/* The object that a slot shows, by the row of the second trace: a fellow, or another suspect, which is spared, or neither. */
static inline bool
is_fellow_by_row(const struct component *k, struct wn_row *row, const struct wane_header *h)
{
    const struct wn_trial_node *m = row->at < row->end ? &k->c->trial.node[*row->at] : NULL;

    if (!m || wn_trial_object(m) != (uintptr_t)h)
        return false;
    row->at++;
    return !wn_out(m) || WN_MUTANT(spared_is_fellow);
}

/* Nobody is called for these, so nothing has changed since the second trace: its edges tell who is a fellow, all other references
 * go. */
static void
end_plain(const struct component *k, uint32_t m)
{
    struct wane_header   *h = header_of(k, m);
    struct wn_record     *r = wn_standing();
    const struct wn_type *t = wn_type_of(h);
    struct wn_row         row = wn_second_row(&k->c->readings, m);

    for (size_t i = 0; i < t->slot_count; i++) {
        wane_slot *slot = wn_type_slot(t, h, i);
        void      *object = wane_untag((void *)__atomic_load_n(&slot->bits, __ATOMIC_RELAXED));

        if (!object)
            continue;
        __atomic_store_n(&slot->bits, 0, __ATOMIC_RELEASE); /* release E13 */
        if (!is_fellow_by_row(k, &row, WANE_HEADER(object)))
            wn_unit_give(WANE_HEADER(object));
    }
    wn_count_death(r, t, h);
    wn_free_if_last(r, h, bury_word(h));
}

/* Of several components together. */
static void
destroy_plain(const struct component *k)
{
    WN_STEP("destroy:begin");
    for (uint32_t i = 0; i < k->n; i++)
        (void)wn_member_let_go(k->c, at(k, i)); /* a fork during a callback of what they let go of leaks them in the child */
    for_all_inline(k, end_plain);
    k->c->result.freed += k->n;
    wn_collect_count_freed(k->n);
    WN_STEP("destroy:end");
}

/* ---- All ------------------------------------------------------------------------------------------------------------- */

static bool
is_special(const struct component *k, uint32_t m)
{
    return k->c->trial.node[m].object & WN_SPECIAL;
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
    if (decide(k)) {
        destroy(k);
        k->c->result.components++;
    } else {
        keep(k, WN_OUT(UPGRADED));
    }
}

static bool
find_components(struct wn_collection *c, uint32_t *groups)
{
    c->order = wn_trial_take_index(&c->trial);
    *groups = wn_components(c->trial.node, c->members, &c->readings);
    c->end = wn_scratch_get(((size_t)*groups + 1) * sizeof *c->end);
    if (!c->end)
        return false;
    wn_order(c->trial.node, c->members, *groups, c->order, c->end);
    return true;
}

/* Plain components from `from` on, which begins at `start`, as many as go together. Their number. */
static uint32_t
count_plain(struct wn_collection *c, uint32_t from, uint32_t groups, uint32_t start)
{
    uint32_t g = from, begin = start;

    while (g < groups && (g == from || c->end[g] - start <= PLAIN_TOGETHER) &&
           !any(&(struct component){c, c->order + begin, c->end[g] - begin}, is_special))
        begin = c->end[g++];
    return g - from;
}

void
wn_settle(struct wn_collection *c)
{
    uint32_t groups, start = 0;

    if (!find_components(c, &groups)) {
        c->no_memory = true;
        return;
    }
    for (uint32_t g = 0, n; g < groups; g += n) {
        struct component k = {c, c->order + start, 0};

        n = count_plain(c, g, groups, start);
        k.n = c->end[g + (n ? n : 1) - 1] - start;
        if (n) {
            destroy_plain(&k);
            c->result.components += n;
        } else {
            n = 1;
            settle(&k);
        }
        start += k.n;
        wn_driver_breathe();
    }
}
