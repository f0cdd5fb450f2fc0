/* SPDX-License-Identifier: MIT
 *
 * review.c - phase B: no false answers
 *
 *   0  suspects whose words change across a grace period are dropped: a live ring keeps its bias. Whoever was given away
 *      meanwhile (handoff.h) is among them, or shows TRANSIT; from here on CLAIMED forbids to give
 *   1  REVIEW is set on each (a retain clears it); each is merged by its owner or a claimer: counts change in word1 only
 *   2  w1: all words are read.  E1: all are traced                                       -- instant T after E1
 *   3  one grace period that starts after the last load of E1
 *   4  E2: all are traced again.  w2: all words are read again
 *   5  G: the largest subset with w1 = w2, REVIEW still set, and count = edges from G in E1 = in E2
 *
 * Claim: at T every unit of every object of G is in a slot of G, and after the grace period no mutator can reach G.
 *   Equal words: no count changed between w1 and w2, so units only flowed owned -> slot -> pending (slot.c). E1 finds every
 *   unit in a slot of G: none was owned. E2 finds each still there: none was displaced. Borrows in sections open at T end with
 *   the grace period; had one retained, a word would differ; had one displaced, E2 would be short. Later sections have no way
 *   in. The full argument, with orders: docs/design.md, "Review".
 * Orders: w1 acquire, slot loads acquire (E5), w2 relaxed; decrements are release, retains may be relaxed.
 *
 * A trace reads each array of one container through one load, each object inside one section, or in parts (part.h).
 * Every wait is bounded: a section that does not end, or an owner that does not merge, costs those suspects this round.
 */
#include "collect.h"

#include <stdio.h>

#include "count.h"
#include "handoff.h"
#include "part.h"
#include "step.h"

#define GRACE_NS UINT64_C(200000000)
#define MERGE_NS UINT64_C(100000000) /* without progress */

static uint64_t
soon(uint64_t nanoseconds)
{
    return wn_now() + nanoseconds;
}

/* ---- 0: what moves is alive ------------------------------------------------------------------------------------- */

static struct wn_trial_node *
node_of(struct wn_collection *c, uint32_t i)
{
    return &c->trial.node[i];
}

static void
read_both(struct wn_collection *c, uint32_t i)
{
    struct wane_header *h = wn_node_header(c, i);

    if (!WN_MUTANT(trial_believed)) /* its count is there */
        node_of(c, i)->w0 = load_relaxed(&h->word0);
    c->word[i] = load_acquire(&h->word1);
    if (wn_is_gone(c->word[i]))
        wn_set_out(node_of(c, i), WN_OUT(DIED));
    WN_STEP("review:both-read");
}

static void
compare_both(struct wn_collection *c, uint32_t i)
{
    struct wane_header *h = wn_node_header(c, i);

    if ((load_relaxed(&h->word0) != node_of(c, i)->w0 && !WN_MUTANT(trial_believed)) ||
        load_relaxed(&h->word1) != c->word[i] || (wn_is_in_transit(h) && !WN_MUTANT(review_takes_transit)))
        wn_set_out(node_of(c, i), WN_OUT(MOVED));
    WN_STEP("review:both-compared");
}

static bool
drop_what_moves(struct wn_collection *c)
{
    wn_for_members(c, read_both);
    if (!wn_driver_grace(soon(GRACE_NS)))
        return false;
    wn_for_members(c, compare_both);
    WN_STEP("review:stable");
    return true;
}

/* ---- 1: REVIEW, merged ------------------------------------------------------------------------------------------- */

/* Set REVIEW; ask the owner to merge with a unit of the request's own, which the drain drops again (H20). This record's own
 * objects are merged at once. */
static void
request(struct wn_collection *c, uint32_t i)
{
    struct wane_header *h = wn_node_header(c, i);
    struct wn_record   *r = wn_standing();
    uint64_t            w = load_acquire(&h->word1);
    uint64_t            n;
    uint32_t            owner;
    bool                ask, mine;

    if (wn_out(node_of(c, i)))
        return;
    if (!wn_node_reserve(r)) {
        c->no_memory = true;
        wn_set_out(node_of(c, i), WN_OUT(MEMORY));
        return;
    }
    do {
        if (wn_is_gone(w) || wn_count(w) >= WN_IMMORTAL) {
            wn_set_out(node_of(c, i), wn_is_gone(w) ? WN_OUT(DIED) : WN_OUT(HELD));
            return;
        }
        owner = wn_owner(load_relaxed(&h->word0));
        ask = !(w & (WN_MERGED | WN_QUEUED)) && !WN_MUTANT(review_keeps_bias);
        mine = owner == r->id;
        n = (w | WN_REVIEW) + WN_VERSION_ONE;
        if (ask && !mine)
            n = (n | WN_QUEUED) + WN_COUNT_ONE;
    } while (!cas_acq_rel(&h->word1, &w, n));
    if (ask && mine)
        (void)wn_count_merge(h, wn_type_of(h), r);
    else if (ask)
        wn_queue_push(r, owner, h);
}

static bool
is_merged(struct wn_collection *c, uint32_t i)
{
    return wn_out(node_of(c, i)) || WN_MUTANT(review_keeps_bias) ||
           (load_acquire(&wn_node_header(c, i)->word1) & (WN_MERGED | WN_QUEUED)) == WN_MERGED;
}

static void
wait_until_merged(struct wn_collection *c)
{
    uint64_t deadline = soon(MERGE_NS);
    uint32_t i = 0;

    for (;;) {
        while (i < c->members && is_merged(c, i)) {
            wn_member_fetch_ahead(c, i);
            i++;
        }
        if (i == c->members || wn_now() > deadline)
            break;
        (void)wn_driver_round(WN_ATTEND, true);
        if (wn_driver_has_moved())
            deadline = soon(MERGE_NS); /* since the last progress; queues are long, and drained from their other end */
        if (!wn_driver_has_more() && !is_merged(c, i))
            wn_driver_sleep(50000);
    }
    c->timed_out |= i < c->members;
    for (; i < c->members; i++)
        if (!is_merged(c, i))
            wn_set_out(node_of(c, i), WN_OUT(OWNER));
}

/* ---- 2 and 4: words and traces ------------------------------------------------------------------------------------ */

static uint32_t
count_in(const struct wane_header *h, uint64_t w1)
{
    uint64_t local = WN_MUTANT(review_keeps_bias) && !(w1 & WN_MERGED) ? wn_local(load_relaxed(&h->word0)) : 0;

    return (uint32_t)((uint64_t)wn_count(w1) + local);
}

static void
read_word(struct wn_collection *c, uint32_t i)
{
    struct wane_header   *h = wn_node_header(c, i);
    struct wn_trial_node *m = node_of(c, i);
    const struct wn_type *t = wn_type_of(h);
    /* acquire E11: the decrements before it, and what they gave back. */
    uint64_t w1 = c->word[i] = load_acquire(&h->word1);

    m->left1 = m->left2 = WN_MUTANT(trial_believed) ? m->count : count_in(h, w1);
    if (!wn_out(m) && !WN_MUTANT(review_keeps_bias) && (!(w1 & WN_REVIEW) || !(w1 & WN_MERGED) || wn_is_gone(w1)))
        wn_set_out(m, wn_is_gone(w1) ? WN_OUT(DIED) : WN_OUT(MOVED));
    if (!wn_type_has_few_slots(t, w1) || t->dispose || t->finalize)
        m->object |= WN_SPECIAL;
    WN_STEP("review:word-read");
}

static bool
has_changed(struct wn_collection *c, uint32_t i)
{
    struct wane_header *h = wn_node_header(c, i);
    /* relaxed: a retain before the second trace is in modification order before this load by coherence. */
    uint64_t w = load_relaxed(&h->word1);

    if (WN_MUTANT(review_compares_counts) || WN_MUTANT(review_keeps_bias))
        return count_in(h, w) != node_of(c, i)->left1;
    return w != c->word[i] && !WN_MUTANT(review_skip_words);
}

static void
compare_word(struct wn_collection *c, uint32_t i)
{
    if (!wn_out(node_of(c, i)) && has_changed(c, i))
        wn_set_out(node_of(c, i), WN_OUT(MOVED));
    WN_STEP("review:word-compared");
}

/* A trace compares with what the reading before it has found, and notes where it finds something else. */
struct tracer {
    struct wane_visitor   visitor;
    struct wn_collection *collection;
    struct wn_edges      *changed;
    struct wn_row         row;  /* expected, of the member under way */
    const uint32_t       *next; /* in it */
    uint32_t              seen; /* references in this section */
    bool                  differs, failed;
    struct wn_part        part;
};

static void
note(struct tracer *t, uint32_t to)
{
    t->failed |= !wn_edges_add(t->changed, to);
}

static void
begin_difference(struct tracer *t)
{
    if (t->differs)
        return;
    t->differs = true;
    for (const uint32_t *k = t->row.at; k < t->next; k++)
        note(t, *k);
}

/* Another suspect than what is expected, or none. */
static void
see_other(struct tracer *t, uintptr_t object)
{
    uint32_t i = wn_trial_find(&t->collection->trial, object);

    if (i == WN_TRIAL_NONE)
        return;
    begin_difference(t);
    note(t, i);
}

static inline void
see_edge(struct tracer *t, wane_slot *slot)
{
    void     *object = wane_untag((void *)__atomic_load_n(&slot->bits, __ATOMIC_ACQUIRE)); /* acquire E5, E13 */
    uintptr_t h = object ? (uintptr_t)WANE_HEADER(object) : 0;

    WN_STEP("review:slot-read");
    if (!h)
        return;
    t->seen++;
    if (!t->differs && t->next < t->row.end && wn_trial_object(node_of(t->collection, *t->next)) == h)
        t->next++;
    else
        see_other(t, h);
}

static void
see_slot(struct wane_visitor *visitor, wane_slot *slot)
{
    struct tracer *t = (struct tracer *)visitor;

    if (wn_part_has(&t->part, slot))
        see_edge(t, slot);
}

static void
see_array(struct wane_visitor *visitor, wane_slot *first, size_t count)
{
    struct tracer *t = (struct tracer *)visitor;
    size_t         i, end;

    for (wn_part_of_array(&t->part, first, count, &i, &end); i < end; i++)
        see_edge(t, &first[i]);
}

/* In a section. False: there are more slots than this part of them. */
static bool
trace_part(struct tracer *t, uint32_t i, struct wn_part part)
{
    struct wane_header   *h = wn_node_header(t->collection, i);
    struct wn_trial_node *m = node_of(t->collection, i);
    const struct wn_type *type;
    uint64_t              w;

    t->part = part;
    if (wn_out(m))
        return true;
    w = load_acquire(&h->word1);
    if (wn_is_gone(w)) { /* H19: not the slots of the dying */
        wn_set_out(m, WN_OUT(DIED));
        return true;
    }
    type = wn_type_of(h);
    if (wn_type_has_few_slots(type, w)) {
        for (size_t k = 0; k < type->slot_count; k++)
            see_edge(t, wn_type_slot(type, h, k));
        return true;
    }
    wn_type_trace(type, h, &t->visitor);
    return wn_part_is_last(&t->part);
}

/* In sections of its own. False: a part may have shown other slots than it seems. */
static bool
trace_in_parts(struct tracer *t, uint32_t i)
{
    struct wn_part        part = wn_part_first();
    struct wn_trial_node *m = node_of(t->collection, i);
    uint64_t              ticket = wn_grace_ticket(), print = 0;
    bool                  last, same = true;

    do {
        t->failed |= !wn_edges_reserve(t->changed, (uint32_t)(part.to - part.from), 1);
        wane_enter();
        last = trace_part(t, i, part);
        wane_leave();
        WN_STEP("review:part");
        same &= !part.from || t->part.print == print || WN_MUTANT(part_believed);
        print = t->part.print;
        part = wn_part_next(&t->part);
        wn_driver_breathe();
    } while (!last && same && !wn_out(m) && !t->failed);
    if (!same)
        wn_set_out(m, WN_OUT(MOVED)); /* garbage stays as it is */
    return wn_out(m) || !wn_grace_done(ticket) || WN_MUTANT(part_ignores_grace);
}

/* What was seen of the member under way is forgotten. */
static void
again(struct tracer *t)
{
    wn_edges_again(t->changed);
    t->next = t->row.at;
    t->differs = false;
}

static void
begin_member(struct tracer *t, uint32_t i)
{
    const struct wn_readings *r = &t->collection->readings;

    t->row = t->changed == &r->first ? wn_edges_row(r->scanned, i) : wn_first_row(r, i);
    t->next = t->row.at;
    t->differs = false;
}

static void
end_member(struct tracer *t, uint32_t i)
{
    if (t->next < t->row.end && !wn_out(node_of(t->collection, i)))
        begin_difference(t);
    if (t->differs)
        wn_edges_next(t->changed, i);
}

/* Outside sections. What the part before this has added goes. */
static void
trace_wide(struct tracer *t, uint32_t i)
{
    again(t);
    if (!trace_in_parts(t, i)) {
        again(t);
        wane_enter();
        (void)trace_part(t, i, wn_part_all());
        wane_leave();
    }
    end_member(t, i);
}

/* Members from *i on, in one section. False: member *i is wide, and not done. */
static bool
trace_slice(struct tracer *t, uint32_t *i)
{
    uint32_t end = t->collection->members - *i < WN_COLLECT_SLICE ? t->collection->members : *i + WN_COLLECT_SLICE;
    bool     narrow = true;

    t->seen = 0;
    wane_enter();
    while (*i < end && t->seen <= WN_TRIAL_EDGES * WN_COLLECT_SLICE) {
        wn_member_fetch_ahead(t->collection, *i);
        begin_member(t, *i);
        narrow = trace_part(t, *i, wn_part_first());
        if (!narrow)
            break;
        end_member(t, (*i)++);
    }
    wane_leave();
    return narrow;
}

static bool
trace_all(struct wn_collection *c, struct wn_edges *changed)
{
    struct tracer t = {.visitor = {see_slot, see_array}, .collection = c, .changed = changed};

    for (uint32_t i = 0; i < c->members && !t.failed;) {
        /* Outside the section. */
        t.failed |= !wn_edges_reserve(changed, WN_TRIAL_EDGES * WN_COLLECT_SLICE + WN_PART_SLOTS, WN_COLLECT_SLICE);
        if (!trace_slice(&t, &i))
            trace_wide(&t, i++);
        wn_driver_breathe();
    }
    c->no_memory |= t.failed;
    return !t.failed;
}

/* While a word stands still each edge is a unit of its own (in the claim above), unless a trace breaks its contract. */
static void
tell_excess(const struct wn_collection *c)
{
    static struct wane_atomic32 told;

    for (uint32_t i = 0; i < c->members; i++)
        if ((c->trial.node[i].object & WN_EXCESS) && !exchange_acq_rel(&told, 1u))
            fprintf(stderr, "wane: an object of type '%s' has fewer references than were traced: some trace callback shows a "
                            "slot more than once, or one that it does not own; objects are kept for that\n",
                    wn_type_of(wn_node_header(c, i))->name);
}

bool
wn_review(struct wn_collection *c)
{
    if (WN_MUTANT(review_believes)) {
        wn_for_members(c, read_word);
        for (uint32_t i = 0; i < c->members; i++)
            wn_set_out(node_of(c, i), 0);
        return true;
    }
    if (!drop_what_moves(c))
        return false;
    wn_for_members(c, request);
    WN_STEP("review:marked");
    wait_until_merged(c);
    WN_STEP("review:merged");
    if (!WN_MUTANT(review_words_after_trace))
        wn_for_members(c, read_word);
    WN_STEP("review:w1");
    if (!trace_all(c, &c->readings.first))
        return false;
    WN_STEP("review:e1");
    if (WN_MUTANT(review_words_after_trace))
        wn_for_members(c, read_word);
    if (!WN_MUTANT(review_skip_grace) && !wn_driver_grace(soon(GRACE_NS)))
        return false;
    WN_STEP("review:grace");
    if (!WN_MUTANT(review_skip_second_trace) && !trace_all(c, &c->readings.second))
        return false;
    WN_STEP("review:e2");
    wn_for_members(c, compare_word);
    WN_STEP("review:w2");
    c->no_memory |= !wn_subset(c->trial.node, c->members, &c->readings);
    tell_excess(c);
    return !c->no_memory;
}
