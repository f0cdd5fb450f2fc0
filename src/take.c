/* SPDX-License-Identifier: MIT
 *
 * take.c - the beginning of a collection: candidates come out of their logs
 *
 * Of an object that is young enough for this collection, one RMW takes the mark off and sets CLAIMED: from here on the collector
 * holds the memory. An older one keeps its mark, and its entry moves to the waiting list of its age: the mark says that it is
 * logged, so it is logged once, however often it is touched before a collection of its generation comes.
 *
 * A frozen one (govern.h) waits on a list of its own, whatever its age. So does one that a scan has met: the candidate from
 * which it came there may be forgotten, and be garbage that only the frozen one holds.
 *
 * Only the collector changes ages, so an entry is on the list of its object's age, or of an age that the object has left since
 * by another entry (an object may have two). Lists are the driver's alone.
 */
#include "collect.h"

#include "govern.h"
#include "step.h"

/* One RMW: the mark goes, CLAIMED comes (not on the dead: they are freed if this was the last holder). */
static bool
exchange_mark(struct wane_header *h, uint64_t mark)
{
    uint64_t w = load_acquire(&h->word1);
    uint64_t n;
    bool     gone;

    do {
        gone = wn_is_gone(w);
        n = ((WN_MUTANT(mark_cleared_after_scan) && !gone ? w : w & ~mark) | (gone ? 0 : WN_CLAIMED)) + WN_VERSION_ONE;
    } while (!cas_acq_rel(&h->word1, &w, n)); /* acq_rel E12 */
    if (gone)
        wn_free_if_last(wn_standing(), h, n);
    return !gone;
}

/* Room for one entry. False: no memory. */
static bool
has_room(struct wn_collection *c, unsigned list)
{
    struct wn_chunk *to = c->waiting[list];

    if (to && to->count < WN_CHUNK_ENTRIES)
        return true;
    to = c->spare ? c->spare : wn_chunk_make();
    if (!to)
        return false;
    c->spare = NULL;
    to->link.next = (struct wn_link *)c->waiting[list];
    to->count = to->next = 0;
    c->waiting[list] = to;
    return true;
}

static bool
set_aside(struct wn_collection *c, unsigned list, uintptr_t entry)
{
    if (!has_room(c, list))
        return false;
    c->waiting[list]->entry[c->waiting[list]->count++] = entry;
    fetch_add_relaxed(&wn_waiting_count[list], 1u);
    return true;
}

/* False: no memory; the entry stays where it is. */
static bool
take_entry(struct wn_collection *c, uintptr_t entry)
{
    struct wane_header *h = (struct wane_header *)(entry & ~WN_ENTRY_KIND);
    uint64_t            w = load_acquire(&h->word1);

    if (!wn_is_gone(w) && wn_is_frozen(w))
        return set_aside(c, WN_FROZEN_LIST, entry);
    if (!wn_is_gone(w) && (int)wn_age(w) > c->generation)
        return set_aside(c, wn_age(w), entry);
    if (exchange_mark(h, entry & WN_ENTRY_OWN ? WN_OWNLOG : WN_BUFFERED))
        (void)wn_trial_add(&c->trial, (uintptr_t)h, 0, WN_TRIAL_CANDIDATE); /* once: an object may have two entries */
    return true;
}

static void
append(struct wn_collection *c, struct wn_link *list, struct wn_link *last)
{
    if (!list)
        return;
    if (c->batch)
        c->last->next = list;
    else
        c->batch = list;
    c->last = last;
}

static struct wn_link *
last_of(struct wn_link *list)
{
    while (list && list->next)
        list = list->next;
    return list;
}

static void
take_over(struct wn_collection *c, unsigned list)
{
    struct wn_link *chunks = (struct wn_link *)c->waiting[list];
    uint64_t        n = load_relaxed(&wn_waiting_count[list]);

    append(c, chunks, last_of(chunks));
    c->waiting[list] = NULL;
    fetch_add_relaxed(&wn_waiting_count[list], -n);
    fetch_add_relaxed(&wn_handed_count, n);
}

/* What waits for a generation up to `oldest`, then what an earlier call has left, then what was handed over since: a
 * collection of a part of it takes the old ones. Of what is left, which may be much each time, only the end is touched. */
static void
gather(struct wn_collection *c, int oldest)
{
    struct wn_link *left = c->batch, *last = c->last, *handed = wn_stack_take(&wn_handed);

    c->batch = NULL;
    for (int list = oldest; list >= 0; list--)
        take_over(c, (unsigned)list);
    append(c, left, last);
    append(c, handed, last_of(handed));
}

static void
let_go(struct wn_collection *c, struct wn_chunk *chunk)
{
    if (c->spare)
        wn_chunk_release(chunk);
    else
        c->spare = chunk;
}

/* What fits in a section. False: no memory. */
static bool
take_slice(struct wn_collection *c, struct wn_chunk *chunk)
{
    uint32_t before = chunk->next;
    uint32_t end = chunk->count - before < WN_COLLECT_SLICE ? chunk->count : before + WN_COLLECT_SLICE;
    bool     room = c->generation < 0 || wn_trial_prepare(&c->trial, WN_COLLECT_SLICE);

    wane_enter();
    while (room && chunk->next < end && (room = take_entry(c, chunk->entry[chunk->next]))) {
        chunk->next++;
        if (chunk->next + WN_AHEAD < chunk->count)
            wn_trial_fetch_ahead(&c->trial, chunk->entry[chunk->next + WN_AHEAD] & ~WN_ENTRY_KIND);
    }
    wane_leave();
    fetch_add_relaxed(&wn_handed_count, -(uint64_t)(chunk->next - before));
    wn_driver_breathe();
    return room;
}

static bool
take_batch(struct wn_collection *c)
{
    while (c->batch && (!c->most || c->trial.count < c->most)) {
        struct wn_chunk *chunk = (struct wn_chunk *)c->batch;

        if (!take_slice(c, chunk))
            return false; /* the rest of the batch waits, marked, for the next collection */
        if (chunk->next < chunk->count)
            continue;
        c->batch = chunk->link.next;
        let_go(c, chunk);
    }
    c->result.candidates = c->trial.count;
    return true;
}

bool
wn_take(struct wn_collection *c)
{
    gather(c, c->generation);
    return take_batch(c);
}

/* Every entry is looked at, those of the living are set aside again. */
void
wn_take_the_dead(struct wn_collection *c)
{
    c->generation = -1;
    c->most = 0;
    gather(c, WN_FROZEN_LIST);
    (void)take_batch(c);
}

bool
wn_take_later(struct wn_collection *c, struct wane_header *h)
{
    uint64_t w = load_relaxed(&h->word1);

    if (WN_MUTANT(freeze_forgets_met))
        return true;
    if (!(w & WN_MARKS) && !has_room(c, WN_FROZEN_LIST))
        return false;
    do
        if ((w & WN_MARKS) || wn_is_gone(w))
            return true; /* it is on a list, or comes to one */
    while (!cas_acq_rel(&h->word1, &w, (w | WN_BUFFERED) + WN_VERSION_ONE)); /* acq_rel E12 */
    return set_aside(c, WN_FROZEN_LIST, (uintptr_t)h);
}

void
wn_take_the_frozen(struct wn_collection *c)
{
    take_over(c, WN_FROZEN_LIST);
}
