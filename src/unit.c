/* SPDX-License-Identifier: MIT */
#include "death.h"

#include <stdio.h>

struct wane_atomic32   wn_collecting;
struct wane_atomic_ptr wn_final_due;
void (*wn_wake_finalizer)(void);
struct wane_atomic_ptr wn_handed;
struct wane_atomic64   wn_handed_count;

/* ---- Candidates ----------------------------------------------------------------------------------------------- */

bool
wn_candidates_reserve(struct wn_record *r)
{
    if (__builtin_expect(wn_log_has_room(&r->candidates), 1))
        return true;
    wn_candidates_seal(r);
    if (wn_log_reserve(r, &r->candidates) || wn_log_reserve_pooled(&r->candidates, UINT32_MAX))
        return true;
    wn_counter_add(&r->counters.lost_candidates, 1);
    return false;
}

void
wn_candidates_append(struct wn_record *r, uintptr_t entry)
{
    if (WN_MUTANT(mark_before_entry) && !wn_log_has_room(&r->candidates))
        return;
    wn_log_append(&r->candidates, entry);
    store_relaxed(&r->candidate_count, r->candidates.open->count);
    wn_record_backlog(r);
}

/* quiet -> OWNLOG: the mark leaves word0, which only this record may write, for word1, which the collector may change. */
static void
publish_mark(uintptr_t entry, struct wn_record *r)
{
    struct wane_header *h = (struct wane_header *)(entry & ~WN_ENTRY_KIND);
    uint64_t            w0;

    if (!(entry & WN_ENTRY_OWN) || (load_acquire(&h->word1) & WN_MERGED))
        return; /* BUFFERED, or folded by the merge */
    w0 = load_relaxed(&h->word0);
    if (!wn_owner(w0)) /* the child of a fork: its holder was stopped inside the last release. Its unit is back, and leaks. */
        store_relaxed(&h->word0, w0 | r->pub.me | 1);
    else if (wn_owner(w0) != r->id)
        wn_fatal(h, "internal error: a candidate entry of another owner");
    wn_flags_change(h, 0, WN_OWNLOG);
    wn_count_unquiet(h);
}

void
wn_candidates_seal(struct wn_record *r)
{
    struct wn_chunk *c = wn_log_take(&r->candidates);

    if (WN_MUTANT(handed_late))
        store_relaxed(&r->candidate_count, 0u);
    WN_STEP("handover:begin");
    while (c) {
        struct wn_chunk *next = (struct wn_chunk *)c->link.next;

        for (uint32_t i = 0; i < c->count; i++)
            publish_mark(c->entry[i], r);
        fetch_add_relaxed(&wn_handed_count, c->count);
        wn_stack_push(&wn_handed, &c->link);
        c = next;
    }
    /* release: who sees none here sees them handed over (pace.c, driver.c); an instant in neither count, and they would sleep. */
    store_release(&r->candidate_count, 0u);
}

/* A dying object whose own mark is the newest entry need not wait for the hand-over: take the mark back. */
static void
retract_newest(struct wane_header *h, struct wn_record *r)
{
    struct wn_chunk *c = r->candidates.open;

    if (!c || !c->count || c->entry[c->count - 1] != ((uintptr_t)h | WN_ENTRY_OWN))
        return;
    c->count--;
    store_relaxed(&r->candidate_count, c->count);
    wn_count_unquiet(h);
}

/* ---- Queue ---------------------------------------------------------------------------------------------------- */

void
wn_queue_push(struct wn_record *r, uint32_t owner, struct wane_header *h)
{
    struct wn_queue_node *node = wn_node_take(r);
    struct wn_record     *to = owner ? wn_record(owner) : r;

    WN_STEP("queue:before-push");
    node->object = h;
    wn_stack_push(&to->queue, &node->link);
    WN_STEP("queue:pushed");
    wn_counter_add(&r->counters.queued, 1);
    if (!(load_relaxed(&to->pub.attention) & WN_ATTEND))
        fetch_or_relaxed(&to->pub.attention, WN_ATTEND);
    wn_record_backlog(to);
}

/* ---- Giving back ---------------------------------------------------------------------------------------------- */

static void
add_dying(struct wane_header *h, struct wn_record *r)
{
    wn_set_link(h, r->dying);
    compiler_barrier();
    r->dying = h;
}

static void
dies_plain(struct wane_header *h, const struct wn_type *t, struct wn_record *r)
{
    if (wn_may_be_looked_at(h) || t->dispose) /* with a dispose, too: the object must not look alive */
        wn_flags_change(h, 0, WN_MERGED);
    add_dying(h, r);
}

static void
add_due_finalizer(struct wane_header *h)
{
    struct wn_prefix *p = wn_prefix(h);
    void             *old = load_relaxed(&wn_final_due);

    do
        p->next = old;
    while (!WN_WEAKER(due_unordered, cas_acq_rel, cas_relaxed, &wn_final_due, &old, (void *)h)); /* release E7 */
    wn_wake_finalizer();
}

void
wn_unit_give(struct wane_header *h)
{
    struct wn_record     *r = wn_standing();
    const struct wn_type *t = wn_type_of(h);
    uint64_t              w0 = load_relaxed(&h->word0);
    struct wn_room        room = {false, true};
    struct wn_verdict     v;

    if (wn_count_is_plain_death(h, w0, r) && !t->finalize) {
        if (t->traced && (w0 & WANE_QUIET))
            retract_newest(h, r);
        if (!t->traced || !(load_relaxed(&h->word0) & WANE_QUIET)) {
            dies_plain(h, t, r);
            return;
        }
    }
    if (t->traced) {
        room.candidate = wn_candidates_reserve(r) || WN_MUTANT(mark_before_entry);
    }
    if (wn_owner(w0) != r->id)
        room.node = wn_node_reserve(r);
    v = wn_count_release(h, t, r, room);
    switch (v.fate) {
    case WN_LIVES:
        break;
    case WN_MARKED:
        wn_candidates_append(r, (uintptr_t)h);
        break;
    case WN_MARKED_OWN:
        wn_candidates_append(r, (uintptr_t)h | WN_ENTRY_OWN);
        break;
    case WN_GOES_QUEUED:
        wn_queue_push(r, v.owner, h);
        break;
    case WN_FINALIZE:
        add_due_finalizer(h);
        break;
    case WN_DIES:
        add_dying(h, r);
        break;
    }
}

void
wn_unit_stored(struct wane_header *h)
{
    struct wn_record *r = wn_standing();
    struct wn_room    room = {wn_candidates_reserve(r), false};
    struct wn_verdict v = wn_count_mark(h, room);

    if (v.fate == WN_MARKED)
        wn_candidates_append(r, (uintptr_t)h);
    else if (v.fate == WN_MARKED_OWN)
        wn_candidates_append(r, (uintptr_t)h | WN_ENTRY_OWN);
}

/* ---- Deferring ------------------------------------------------------------------------------------------------ */

/* Often the last one, of an object that nobody else knows. Large ones keep to the budget of burying: free may take long. */
static void
give_displaced(struct wn_record *r, struct wane_header *h)
{
    if (!wn_type_of(h)->bin || !wn_bury_at_once(r, h, load_relaxed(&h->word0)))
        wn_unit_give(h);
}

/* What was displaced a grace period ago has left the cache: the object that comes a few entries later is fetched meanwhile. */
#define AHEAD 8

bool
wn_unit_apply(struct wn_record *r, struct wn_chunk *c)
{
    uintptr_t e = c->entry[c->next];
    uint32_t  later = c->next + AHEAD;

    if (later < c->count)
        __builtin_prefetch((void *)(c->entry[later] & WN_ENTRY_ADDRESS), 1);

    if (__builtin_expect(!(e & ~WN_ENTRY_ADDRESS), 1))
        c->next++;
    else if ((e & WN_ENTRY_KIND) == WN_ENTRY_CALL)
        return false;
    else
        c->entry[c->next] -= WN_ENTRY_MORE;
    compiler_barrier();
    if (e)
        give_displaced(r, (struct wane_header *)(e & WN_ENTRY_ADDRESS));
    wn_counter_add_end(&r->counters.applied, 1);
    return true;
}

/* Units only, no callbacks: this is somewhere inside a store. */
static void
apply_ripe(struct wn_record *r)
{
    struct wn_chunk *c = r->deferred.first;

    if (c && c->ticket)
        (void)wn_grace_poll(c->ticket);
    while ((c = wn_log_ripe(&r->deferred)))
        if (c->next == c->count)
            wn_log_pop(r, &r->deferred);
        else if (!wn_unit_apply(r, c))
            break;
}

/* There is no memory for a chunk: give back what may go, merge equal entries, fill the newest chunk, take what wane_new has paid
 * for. */
static bool
make_room(struct wn_record *r)
{
    fetch_or_relaxed(&r->pub.attention, WN_ATTEND);
    if (!wn_seals_are_held(r)) { /* the collector looks through this log later */
        apply_ripe(r);
        if (wn_log_reserve(r, &r->deferred) || (wn_log_squeeze(r, &r->deferred) && wn_log_has_room(&r->deferred)))
            return true;
    }
    return wn_log_reserve(r, &r->deferred) || wn_log_reopen(&r->deferred) ||
           wn_log_reserve_pooled(&r->deferred, WN_POOLED_DEFERRED);
}

bool
wn_unit_defer_reserve_slow(struct wn_record *r)
{
    struct wn_chunk *before = r->deferred.open;
    bool             was_open = before && !before->ticket;

    if (!wn_log_reserve(r, &r->deferred) && !make_room(r))
        return false;
    /* It is full. Every displacement that has an entry in the earlier chunks has happened. */
    if (was_open && before != r->deferred.open && !wn_seals_are_held(r)) {
        wn_log_seal_before_open(&r->deferred);
        fetch_or_relaxed(&r->pub.attention, WN_ATTEND); /* apply as much as is produced */
    }
    return true;
}

void
wn_unit_lost(struct wn_record *r, struct wane_header *h)
{
    static struct wane_atomic32 told;

    wn_counter_add(&r->counters.lost_units, 1);
    if (!exchange_acq_rel(&told, 1u))
        fprintf(stderr, "wane: out of memory: an object of type '%s' stays counted for ever (lost_units counts all such)\n",
                wn_type_of(h)->name);
}

void
wn_unit_defer(struct wane_header *h)
{
    struct wn_record *r = wn_standing();

    if (wn_unit_defer_reserve(r))
        wn_log_append(&r->deferred, (uintptr_t)h | WN_ENTRY_UNIT);
    else if (!wn_log_add_unit(&r->deferred, (uintptr_t)h)) {
        wn_unit_lost(r, h); /* a leak, never a free */
        return;
    }
    wn_counter_add(&r->counters.displaced, 1);
    wn_record_backlog(r);
}
