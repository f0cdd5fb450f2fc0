/* SPDX-License-Identifier: MIT
 *
 * suspect.c - phase A: trial deletion beside running mutators
 *
 * Only memory safety matters here; the answer is a guess that the review checks. Each object is claimed in the section in
 * which the slot that led to it was read; addresses are kept across sections of claimed objects only.
 *
 * While wn_collecting is set nothing that dies is freed at once (death.h): the collector is a reader, too. A claimed container
 * may be dying: in the section that traces it, MERGED with count 0 is looked at first, else a stale slot is read (H19).
 *
 * After the grace period that follows the hand-over, garbage is immutable, so for garbage the guess is exact: a candidate
 * that comes out live here may be dropped.
 */
#include "collect.h"

#include "govern.h"
#include "life.h"
#include "part.h"
#include "step.h"

/* A young collection explores at most so many objects for each candidate; LEAST are allowed to any. */
#define YOUNG_FACTOR 16
#define LEAST        4096
#define MOST_CUTS    5
#define SPREAD       4096 /* objects between two looks for a fork */

/* Objects that one section meets: its own edges, and a part of a wide object. */
#define MOST_NEW (WN_TRIAL_EDGES * WN_COLLECT_SLICE + WN_PART_SLOTS)

struct tracer {
    struct wane_visitor visitor;
    struct wn_trial    *trial;
    struct wn_part      part;
};

static struct wn_part next; /* of the object that is traced in part. Under the driver lock */

uint32_t
wn_suspect_count(struct wane_header *h, uint64_t w1)
{
    uint64_t w0;
    int64_t  count;

    WN_STEP("suspect:word1-read");
    w0 = load_acquire(&h->word0); /* acquire E16 */
    count = wn_count(w1) + ((w1 & WN_MERGED) ? 0 : (int64_t)wn_local(w0));
    /* Torn between two words: an error here costs a review, or is followed by a candidate event. */
    return count < 0 || count > UINT32_MAX ? UINT32_MAX : (uint32_t)count;
}

static bool
claim(struct wn_trial *trial, uintptr_t object, uint32_t *count)
{
    struct wane_header *h = (struct wane_header *)object;
    uint64_t            w = load_acquire(&h->word1);
    uint64_t            n;

    if (WN_MUTANT(acyclic_not_entered) ? !wn_type_of(h)->traced : !wn_type_of(h)->has_slots)
        return false;
    do {
        if (wn_is_gone(w) || wn_count(w) >= WN_IMMORTAL || (int)wn_age(w) > wn_collection.generation)
            return false;
        if (wn_is_frozen(w) && !WN_MUTANT(scan_enters_frozen)) {
            if (wn_collection.generation == WANE_ALL && !wn_take_later(&wn_collection, h))
                trial->cut = true; /* no candidate is forgotten, then */
            return false;
        }
        n = (w | WN_CLAIMED) + WN_VERSION_ONE;
    } while (!cas_acq_rel(&h->word1, &w, n));
    *count = wn_suspect_count(h, n);
    return true;
}

static void
see_edge(struct wn_trial *trial, wane_slot *slot)
{
    /* acquire E5, E13: the object's header. */
    void *object = wane_untag((void *)__atomic_load_n(&slot->bits, __ATOMIC_ACQUIRE));

    if (WN_MUTANT(suspect_in_place) && object)
        fetch_add_relaxed(&WANE_HEADER(object)->word1, -WN_COUNT_ONE);
    WN_STEP("suspect:slot-read");
    if (object)
        wn_trial_edge(trial, (uintptr_t)WANE_HEADER(object));
}

static void
see_slot(struct wane_visitor *visitor, wane_slot *slot)
{
    struct tracer *t = (struct tracer *)visitor;

    if (wn_part_has(&t->part, slot))
        see_edge(t->trial, slot);
}

static void
see_array(struct wane_visitor *visitor, wane_slot *first, size_t count)
{
    struct tracer *t = (struct tracer *)visitor;
    size_t         i, end;

    for (wn_part_of_array(&t->part, first, count, &i, &end); i < end; i++)
        see_edge(t->trial, &first[i]);
}

/* What a part has shown may have moved to a later one, or back: this is a guess. Garbage stays as it is. */
static bool
trace(struct wn_trial *trial, uintptr_t object)
{
    struct wane_header   *h = (struct wane_header *)object;
    const struct wn_type *type = wn_type_of(h);
    struct tracer         t = {{see_slot, see_array}, trial, trial->partly ? next : wn_part_first()};
    uint64_t              w = load_acquire(&h->word1);

    if (wn_is_gone(w))
        return true;
    if (wn_type_has_few_slots(type, w)) {
        for (size_t i = 0; i < type->slot_count; i++)
            see_edge(trial, wn_type_slot(type, h, i));
        return true;
    }
    wn_type_trace(type, h, &t.visitor);
    next = wn_part_next(&t.part);
    return wn_part_is_last(&t.part);
}

/* One chunk of work in a section of its own. */
static bool
explore(struct wn_trial *trial)
{
    bool done;

    wn_driver_breathe();
    if (!wn_trial_prepare(trial, MOST_NEW) || !wn_edges_reserve(&trial->edges, MOST_NEW, WN_COLLECT_SLICE))
        trial->failed = true;
    if (!WN_MUTANT(suspect_without_section))
        wane_enter();
    done = wn_trial_explore(trial, WN_COLLECT_SLICE);
    if (!WN_MUTANT(suspect_without_section))
        wane_leave();
    return done;
}

/* Counts of what is live come back. */
static void
restore_in_place(const struct wn_trial *t)
{
    for (uint32_t i = 0; i < t->count; i++)
        for (uint32_t k = t->edges.first[i]; k < t->edges.first[i + 1] && (t->node[i].object & WN_TRIAL_LIVE); k++)
            fetch_add_relaxed(&((struct wane_header *)wn_trial_object(&t->node[t->edges.to[k]]))->word1, WN_COUNT_ONE);
}

bool
wn_collecting_begin(void)
{
    static struct wane_atomic32 fence_word;

    store_release(&wn_collecting, 1u);
    if (!WN_MUTANT(collecting_no_membarrier) && !wn_membarrier()) /* the mutators' half is in death.h */
        wn_full_fence(&fence_word);
    WN_STEP("suspect:begin");
    return wn_grace_is_settled();
}

void
wn_collecting_end(void)
{
    store_release(&wn_collecting, 0u);
}

/* A graph that grows as fast as it is explored has no end. All that was alive before fits, with as much again. Where what grows
 * takes that room from garbage, the next scan gets twice as much: a long ring is explored along with each of many queues. */
static uint32_t
most_objects(const struct wn_collection *c)
{
    uint64_t most = c->generation == WANE_ALL ? (2 * wn_objects_alive() + c->trial.count + LEAST) << c->cuts
                                              : YOUNG_FACTOR * (uint64_t)c->trial.count + LEAST;

    return most < WN_TRIAL_NONE / 2 ? (uint32_t)most : WN_TRIAL_NONE / 2;
}

bool
wn_suspect(struct wn_collection *c)
{
    c->trial.claim = claim;
    c->trial.trace = trace;
    c->trial.limit = c->bound ? c->bound : most_objects(c);
    if (!wn_collecting_begin()) {
        wn_collecting_end();
        c->timed_out = true;
        return false;
    }
    while (!explore(&c->trial))
        WN_STEP("suspect:visited");
    WN_STEP("suspect:explored");
    if (c->generation == WANE_ALL && !c->bound)
        c->cuts = !c->trial.cut || c->trial.failed ? 0 : c->cuts < MOST_CUTS ? c->cuts + 1 : MOST_CUTS;
    if (!c->trial.failed) {
        wn_trial_judge(&c->trial);
        while (!wn_trial_spread(&c->trial, SPREAD))
            wn_driver_breathe();
        if (WN_MUTANT(suspect_in_place))
            restore_in_place(&c->trial);
    }
    wn_collecting_end();
    WN_STEP("suspect:end");
    return !c->trial.failed;
}
