/* SPDX-License-Identifier: MIT */
#include "trial.h"

#include <string.h>

#include "scratch.h"
#include "step.h"

#define AHEAD 8 /* objects lie anywhere in memory */

static uint32_t
slot_of(const struct wn_trial *t, uintptr_t object)
{
    return (uint32_t)(((uint64_t)(object >> 4) * UINT64_C(0x9E3779B97F4A7C15)) >> 32) & t->mask;
}

void
wn_trial_clear(struct wn_trial *t)
{
    wn_scratch_put(t->node);
    wn_scratch_put(t->index);
    *t = (struct wn_trial){.claim = t->claim, .trace = t->trace, .live = WN_TRIAL_NONE, .limit = t->limit};
}

static void
index_insert(struct wn_trial *t, uint32_t i)
{
    uint32_t at = slot_of(t, wn_trial_object(&t->node[i]));

    while (t->index[at])
        at = (at + 1) & t->mask;
    t->index[at] = i + 1;
}

static bool
grow_index(struct wn_trial *t, uint32_t size)
{
    uint32_t *index = wn_scratch_zeroed(size * sizeof *index);

    if (!index)
        return false;
    wn_scratch_put(t->index);
    t->index = index;
    t->mask = size - 1;
    for (uint32_t i = 0; i < t->count; i++)
        index_insert(t, i);
    return true;
}

bool
wn_trial_prepare(struct wn_trial *t, uint32_t n)
{
    uint64_t want = (uint64_t)t->count + n;
    uint64_t size = t->mask ? t->mask + 1 : 1024;

    if (want >= WN_TRIAL_NONE / 2)
        return false;
    if (want > t->capacity) {
        uint64_t              capacity = want + want / 2 + 1024;
        struct wn_trial_node *node = wn_scratch_grow(t->node, t->count * sizeof *node, capacity * sizeof *node);

        if (!node)
            return false;
        t->node = node;
        t->capacity = (uint32_t)capacity;
    }
    while (size * 7 / 10 < want)
        size *= 2;
    return (t->mask && size == t->mask + 1) || grow_index(t, (uint32_t)size);
}

uint32_t
wn_trial_find(const struct wn_trial *t, uintptr_t object)
{
    if (!t->mask)
        return WN_TRIAL_NONE;
    for (uint32_t at = slot_of(t, object); t->index[at]; at = (at + 1) & t->mask)
        if (wn_trial_object(&t->node[t->index[at] - 1]) == object)
            return t->index[at] - 1;
    return WN_TRIAL_NONE;
}

bool
wn_trial_add(struct wn_trial *t, uintptr_t object, uint32_t count, uintptr_t state)
{
    if (!wn_trial_prepare(t, 1)) {
        t->failed = true;
        return false;
    }
    t->node[t->count] = (struct wn_trial_node){object | state, 0, count};
    index_insert(t, t->count);
    t->count++; /* last: whoever finds the table later (the child of a fork) sees whole entries */
    return true;
}

static void
make_live(struct wn_trial *t, uint32_t i)
{
    t->node[i].object |= WN_TRIAL_LIVE;
    t->node[i].in = t->live;
    t->live = i;
}

void
wn_trial_edge(struct wn_trial *t, uintptr_t object)
{
    uint32_t i = wn_trial_find(t, object);
    uint32_t count;

    t->edges++;
    if (t->spreading) {
        if (i != WN_TRIAL_NONE && !(t->node[i].object & WN_TRIAL_LIVE))
            make_live(t, i);
        return;
    }
    if (i == WN_TRIAL_NONE) {
        if (t->limit && t->count >= t->limit) {
            t->cut = true;
            return;
        }
        /* Room first: what is claimed must be in the table. */
        if (!WN_MUTANT(claim_before_room) && !wn_trial_prepare(t, 1)) {
            t->failed = true;
            return;
        }
        if (!t->claim(t, object, &count))
            return;
        if (WN_MUTANT(claim_before_room) && !wn_trial_prepare(t, 1)) {
            t->failed = true;
            return;
        }
        i = t->count;
        (void)wn_trial_add(t, object, count, 0);
    }
    if (t->node[i].in < UINT32_MAX)
        t->node[i].in++;
}

/* Is the budget used up, of objects or of edges? */
static bool
is_spent(const struct wn_trial *t, uint32_t budget, uint32_t objects, uint64_t edges)
{
    return objects == budget || t->edges - edges >= (uint64_t)budget * WN_TRIAL_EDGES;
}

/* False: it goes on in another section. */
static bool
trace(struct wn_trial *t, uint32_t i)
{
    bool whole = t->trace(t, wn_trial_object(&t->node[i]));

    t->partly = whole ? 0 : i + 1;
    return whole;
}

bool
wn_trial_explore(struct wn_trial *t, uint32_t budget)
{
    uint64_t edges = t->edges;

    for (uint32_t n = 0; !is_spent(t, budget, n, edges) && t->cursor < t->count && !t->failed; n++) {
        if (t->cursor + AHEAD < t->count)
            __builtin_prefetch((const void *)wn_trial_object(&t->node[t->cursor + AHEAD]), 1);
        if (!trace(t, t->cursor))
            return t->failed;
        t->cursor++;
    }
    return t->cursor == t->count || t->failed;
}

void
wn_trial_judge(struct wn_trial *t)
{
    t->spreading = true;
    t->live = WN_TRIAL_NONE;
    for (uint32_t i = 0; i < t->count; i++)
        if (t->node[i].count > t->node[i].in)
            make_live(t, i);
}

static bool
has_more(const struct wn_trial *t)
{
    return t->live != WN_TRIAL_NONE || t->partly;
}

bool
wn_trial_spread(struct wn_trial *t, uint32_t budget)
{
    uint64_t edges = t->edges;

    for (uint32_t n = 0; !is_spent(t, budget, n, edges) && has_more(t); n++) {
        uint32_t i = t->partly ? t->partly - 1 : t->live;

        if (!t->partly)
            t->live = t->node[i].in;
        if (!WN_MUTANT(suspect_without_spreading) && !trace(t, i))
            break;
    }
    return !has_more(t);
}
