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

static void
read_both(struct wn_collection *c, struct wn_member *m)
{
    (void)c;
    m->w0 = load_relaxed(&m->h->word0);
    m->w1 = load_acquire(&m->h->word1);
    if (wn_is_gone(m->w1))
        m->out = WN_OUT(DIED);
    WN_STEP("review:both-read");
}

static void
compare_both(struct wn_collection *c, struct wn_member *m)
{
    (void)c;
    if (load_relaxed(&m->h->word0) != m->w0 || load_relaxed(&m->h->word1) != m->w1 ||
        (wn_is_in_transit(m->h) && !WN_MUTANT(review_takes_transit)))
        m->out = WN_OUT(MOVED);
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

/* Set REVIEW; ask the owner to merge with a unit of the request's own, which the drain drops again (H20). */
static void
request(struct wn_collection *c, struct wn_member *m)
{
    struct wn_record *r = wn_standing();
    uint64_t          w = load_acquire(&m->h->word1);
    uint64_t          n;
    uint32_t          owner;
    bool              ask;

    if (m->out)
        return;
    if (!wn_node_reserve(r)) {
        c->no_memory = true;
        m->out = WN_OUT(MEMORY);
        return;
    }
    do {
        if (wn_is_gone(w) || wn_count(w) >= WN_IMMORTAL) {
            m->out = wn_is_gone(w) ? WN_OUT(DIED) : WN_OUT(HELD);
            return;
        }
        owner = wn_owner(load_relaxed(&m->h->word0));
        ask = !(w & (WN_MERGED | WN_QUEUED)) && !WN_MUTANT(review_keeps_bias);
        n = (w | WN_REVIEW) + WN_VERSION_ONE;
        if (ask)
            n = (n | WN_QUEUED) + WN_COUNT_ONE;
    } while (!cas_acq_rel(&m->h->word1, &w, n));
    if (ask)
        wn_queue_push(r, owner, m->h);
}

static bool
is_merged(const struct wn_member *m)
{
    return m->out || WN_MUTANT(review_keeps_bias) ||
           (load_acquire(&m->h->word1) & (WN_MERGED | WN_QUEUED)) == WN_MERGED;
}

static void
wait_until_merged(struct wn_collection *c)
{
    uint64_t deadline = soon(MERGE_NS);
    uint32_t i = 0;

    for (;;) {
        while (i < c->members && is_merged(&c->member[i]))
            i++;
        if (i == c->members || wn_now() > deadline)
            break;
        (void)wn_driver_round(WN_ATTEND, true);
        if (wn_driver_has_moved())
            deadline = soon(MERGE_NS); /* since the last progress; queues are long, and drained from their other end */
        if (!wn_driver_has_more() && !is_merged(&c->member[i]))
            wn_driver_sleep(50000);
    }
    c->timed_out |= i < c->members;
    for (; i < c->members; i++)
        if (!is_merged(&c->member[i]))
            c->member[i].out = WN_OUT(OWNER);
}

/* ---- 2 and 4: words and traces ------------------------------------------------------------------------------------ */

static uint32_t
count_in(const struct wn_member *m, uint64_t w1)
{
    uint64_t local = WN_MUTANT(review_keeps_bias) && !(w1 & WN_MERGED) ? wn_local(load_relaxed(&m->h->word0)) : 0;

    return (uint32_t)((uint64_t)wn_count(w1) + local);
}

static void
read_word(struct wn_collection *c, struct wn_member *m)
{
    /* acquire E11: the decrements before it, and what they gave back. */
    m->w1 = load_acquire(&m->h->word1);
    m->left1 = m->left2 = WN_MUTANT(trial_believed) ? c->trial.node[m->node].count : count_in(m, m->w1);
    if (!m->out && !WN_MUTANT(review_keeps_bias) && (!(m->w1 & WN_REVIEW) || !(m->w1 & WN_MERGED) || wn_is_gone(m->w1)))
        m->out = wn_is_gone(m->w1) ? WN_OUT(DIED) : WN_OUT(MOVED);
    WN_STEP("review:word-read");
}

static bool
has_changed(const struct wn_member *m)
{
    /* relaxed: a retain before the second trace is in modification order before this load by coherence. */
    uint64_t w = load_relaxed(&m->h->word1);

    if (WN_MUTANT(review_compares_counts) || WN_MUTANT(review_keeps_bias))
        return count_in(m, w) != m->left1;
    return w != m->w1 && !WN_MUTANT(review_skip_words);
}

static void
compare_word(struct wn_collection *c, struct wn_member *m)
{
    (void)c;
    if (!m->out && has_changed(m))
        m->out = WN_OUT(MOVED);
    WN_STEP("review:word-compared");
}

struct tracer {
    struct wane_visitor   visitor;
    struct wn_collection *collection;
    struct wn_edges      *edges;
    struct wn_part        part;
    bool                  failed;
};

static void
see_edge(struct tracer *t, wane_slot *slot)
{
    void             *object = wane_untag((void *)__atomic_load_n(&slot->bits, __ATOMIC_ACQUIRE)); /* acquire E5, E13 */
    struct wn_member *m = object ? wn_member_of(t->collection, WANE_HEADER(object)) : NULL;

    WN_STEP("review:slot-read");
    if (m && !wn_edges_add(t->edges, (uint32_t)(m - t->collection->member)))
        t->failed = true;
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
trace_part(struct tracer *t, struct wn_member *m, struct wn_part part)
{
    t->part = part;
    if (!m->out && wn_is_gone(load_acquire(&m->h->word1))) /* H19: not the slots of the dying */
        m->out = WN_OUT(DIED);
    if (!m->out)
        wn_type_trace(wn_type_of(m->h), m->h, &t->visitor);
    return wn_part_is_last(&t->part);
}

/* In sections of its own. False: a part may have shown other slots than it seems. */
static bool
trace_in_parts(struct tracer *t, struct wn_member *m)
{
    struct wn_part part = wn_part_first();
    uint64_t       ticket = wn_grace_ticket(), print = 0;
    bool           last, same = true;

    do {
        t->failed |= !wn_edges_reserve(t->edges, (uint32_t)(part.to - part.from));
        wane_enter();
        last = trace_part(t, m, part);
        wane_leave();
        WN_STEP("review:part");
        same &= !part.from || t->part.print == print || WN_MUTANT(part_believed);
        print = t->part.print;
        part = wn_part_next(&t->part);
        wn_driver_breathe();
    } while (!last && same && !m->out && !t->failed);
    if (!same)
        m->out = WN_OUT(MOVED); /* garbage stays as it is */
    return m->out || !wn_grace_done(ticket) || WN_MUTANT(part_ignores_grace);
}

/* Outside sections. What the part before this has added goes. */
static void
trace_wide(struct tracer *t, struct wn_member *m)
{
    wn_edges_again(t->edges);
    if (trace_in_parts(t, m))
        return;
    wn_edges_again(t->edges);
    wane_enter();
    (void)trace_part(t, m, wn_part_all());
    wane_leave();
}

static bool
trace_all(struct wn_collection *c, struct wn_edges *edges)
{
    struct tracer t = {.visitor = {see_slot, see_array}, .collection = c, .edges = edges};
    bool          narrow;

    if (!wn_edges_begin(edges, c->members)) {
        c->no_memory = true;
        return false;
    }
    for (uint32_t i = 0; i < c->members && !t.failed;) {
        uint32_t end = i + WN_COLLECT_SLICE < c->members ? i + WN_COLLECT_SLICE : c->members;
        uint32_t most = edges->count + WN_TRIAL_EDGES * WN_COLLECT_SLICE;

        t.failed |= !wn_edges_reserve(edges, WN_TRIAL_EDGES * WN_COLLECT_SLICE + WN_PART_SLOTS); /* outside the section */
        narrow = true;
        wane_enter();
        while (i < end && edges->count <= most) {
            wn_member_fetch_ahead(c, i);
            narrow = trace_part(&t, &c->member[i], wn_part_first());
            if (!narrow)
                break;
            wn_edges_next(edges);
            i++;
        }
        wane_leave();
        wn_driver_breathe();
        if (!narrow) {
            trace_wide(&t, &c->member[i++]);
            wn_edges_next(edges);
        }
    }
    c->no_memory |= t.failed;
    return !t.failed;
}

static bool
second_trace(struct wn_collection *c)
{
    if (!WN_MUTANT(review_skip_second_trace))
        return trace_all(c, &c->second);
    if (!wn_edges_begin(&c->second, c->members))
        return false;
    for (uint32_t i = 0; i < c->members; i++) {
        for (uint32_t k = c->first.first[i]; k < c->first.first[i + 1]; k++)
            if (!wn_edges_add(&c->second, c->first.to[k]))
                return false;
        wn_edges_next(&c->second);
    }
    return true;
}

/* While a word stands still each edge is a unit of its own (in the claim above), unless a trace breaks its contract. */
static void
tell_excess(const struct wn_collection *c)
{
    static struct wane_atomic32 told;

    for (uint32_t i = 0; i < c->members; i++)
        if (c->member[i].excess && !exchange_acq_rel(&told, 1u))
            fprintf(stderr, "wane: an object of type '%s' has fewer references than were traced: some trace callback shows a "
                            "slot more than once, or one that it does not own; objects are kept for that\n",
                    wn_type_of(c->member[i].h)->name);
}

bool
wn_review(struct wn_collection *c)
{
    if (WN_MUTANT(review_believes))
        return trace_all(c, &c->second);
    if (!drop_what_moves(c))
        return false;
    wn_for_members(c, request);
    WN_STEP("review:marked");
    wait_until_merged(c);
    WN_STEP("review:merged");
    if (!WN_MUTANT(review_words_after_trace))
        wn_for_members(c, read_word);
    WN_STEP("review:w1");
    if (!trace_all(c, &c->first))
        return false;
    WN_STEP("review:e1");
    if (WN_MUTANT(review_words_after_trace))
        wn_for_members(c, read_word);
    if (!WN_MUTANT(review_skip_grace) && !wn_driver_grace(soon(GRACE_NS)))
        return false;
    WN_STEP("review:grace");
    if (!second_trace(c))
        return false;
    WN_STEP("review:e2");
    wn_for_members(c, compare_word);
    WN_STEP("review:w2");
    c->no_memory |= !wn_subset(c->member, c->members, &c->first, &c->second);
    tell_excess(c);
    return !c->no_memory;
}
