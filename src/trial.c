/* SPDX-License-Identifier: MIT
 *
 * The index. What lies within 512 bytes shares 16 entries, which are one line of the cache: objects that were made one after the
 * other are mostly looked up so, too. Above a node's number an entry has as much of the object's hash as there is room for: who
 * is not in the table is not looked for in the nodes.
 */
#include "trial.h"

#include <string.h>

#include "scratch.h"
#include "step.h"

#define AHEAD      8 /* objects lie anywhere in memory */
#define INDEX_SIZE 1024
#define SMALL      65536 /* nodes: memory that is copied as it grows */
#define LINE_BYTES 9 /* log2 */
#define ENTRY_BYTES 5
#define LINE_MASK  ((UINT32_C(1) << (LINE_BYTES - ENTRY_BYTES)) - 1)

/* To be used from the top: those bits spread what is regular evenly. */
static uint64_t
hash(uint64_t key)
{
    return key * UINT64_C(0x9E3779B97F4A7C15);
}

static uint32_t
home_of(const struct wn_trial *t, uintptr_t object)
{
    uint64_t lines = t->mask >> (LINE_BYTES - ENTRY_BYTES), h = hash(object >> LINE_BYTES);
    uint32_t line = (uint32_t)(WN_MUTANT(index_in_clusters) ? h >> 32 & lines : h >> __builtin_clzll(lines));

    return line << (LINE_BYTES - ENTRY_BYTES) | ((uint32_t)(object >> ENTRY_BYTES) & LINE_MASK);
}

static uint32_t
tag_of(const struct wn_trial *t, uintptr_t object)
{
    return (uint32_t)(hash(object >> 4) >> 32) & ~t->mask;
}

void
wn_trial_clear(struct wn_trial *t)
{
    wn_scratch_put(t->node);
    wn_scratch_put(t->index);
    wn_scratch_put(t->is_live);
    wn_edges_free(&t->edges);
    *t = (struct wn_trial){.claim = t->claim, .trace = t->trace, .live = WN_TRIAL_NONE, .limit = t->limit};
}

/* The node's number; else WN_TRIAL_NONE, and *at is where it belongs. */
static inline uint32_t
probe(const struct wn_trial *t, uintptr_t object, uint32_t *at)
{
    uint32_t tag = tag_of(t, object), entry;

    for (*at = home_of(t, object); (entry = t->index[*at]); *at = (*at + 1) & t->mask)
        if ((entry & ~t->mask) == tag && wn_trial_object(&t->node[(entry & t->mask) - 1]) == object)
            return (entry & t->mask) - 1;
    return WN_TRIAL_NONE;
}

static void
index_all(struct wn_trial *t)
{
    for (uint32_t i = 0; i < t->count; i++) {
        uintptr_t object = wn_trial_object(&t->node[i]);
        uint32_t  at = home_of(t, object);

        if (i + AHEAD < t->count)
            __builtin_prefetch(&t->index[home_of(t, wn_trial_object(&t->node[i + AHEAD]))], 1);
        while (t->index[at])
            at = (at + 1) & t->mask;
        t->index[at] = (i + 1) | tag_of(t, object);
    }
}

static bool
grow_index(struct wn_trial *t, uint64_t size)
{
    uint32_t *index = wn_scratch_zeroed(size * sizeof *index);

    if (!index)
        return false;
    wn_scratch_put(t->index);
    t->index = index;
    t->mask = (uint32_t)size - 1;
    index_all(t);
    return true;
}

/* At most three of four entries are used. */
static uint64_t
index_size(uint64_t nodes)
{
    uint64_t size = INDEX_SIZE;

    while (size / 4 * 3 < nodes)
        size *= 2;
    return size;
}

bool
wn_trial_grow(struct wn_trial *t, uint32_t n)
{
    uint64_t want = (uint64_t)t->count + n, capacity = want + (want < SMALL ? want : want / 4), size;

    if (want >= WN_TRIAL_NONE / 2)
        return false;
    size = index_size(want);
    if (!t->mask || size > (uint64_t)t->mask + 1) {
        if (!grow_index(t, size))
            return false;
    } else {
        size = (uint64_t)t->mask + 1;
    }
    if (capacity > size / 4 * 3)
        capacity = size / 4 * 3;
    if (want > t->capacity) {
        struct wn_trial_node *node = wn_scratch_grow(t->node, t->count * sizeof *node, capacity * sizeof *node);

        if (!node)
            return false;
        t->node = node;
        t->capacity = (uint32_t)capacity;
    }
    return true;
}

uint32_t
wn_trial_find(const struct wn_trial *t, uintptr_t object)
{
    uint32_t at;

    return t->mask ? probe(t, object, &at) : WN_TRIAL_NONE;
}

void
wn_trial_fetch_ahead(const struct wn_trial *t, uintptr_t object)
{
    __builtin_prefetch((const void *)object, 1);
    if (t->mask)
        __builtin_prefetch(&t->index[home_of(t, object)], 1);
}

static void
add_at(struct wn_trial *t, uint32_t at, uintptr_t object, uint32_t count, uint64_t state)
{
    t->node[t->count] = (struct wn_trial_node){.object = object | state, .count = count};
    t->index[at] = (t->count + 1) | tag_of(t, object);
    t->count++; /* last: whoever finds the table later (the child of a fork) sees whole entries */
}

bool
wn_trial_add(struct wn_trial *t, uintptr_t object, uint32_t count, uint64_t state)
{
    uint32_t at;

    if (!wn_trial_prepare(t, 1)) {
        t->failed = true;
        return false;
    }
    if (probe(t, object, &at) == WN_TRIAL_NONE)
        add_at(t, at, object, count, state);
    return true;
}

/* Met for the first time; it belongs at `at`. Its number, or WN_TRIAL_NONE: not part of the graph, or nothing more can be. */
static uint32_t
meet(struct wn_trial *t, uintptr_t object, uint32_t at)
{
    uint32_t mask = t->mask, count;

    if (t->limit && t->count >= t->limit) {
        t->cut = true;
        return WN_TRIAL_NONE;
    }
    /* Room first: what is claimed must be in the table. */
    if (!WN_MUTANT(claim_before_room) && !wn_trial_prepare(t, 1)) {
        t->failed = true;
        return WN_TRIAL_NONE;
    }
    if (!t->claim(t, object, &count))
        return WN_TRIAL_NONE;
    if (WN_MUTANT(claim_before_room) && !wn_trial_prepare(t, 1)) {
        t->failed = true;
        return WN_TRIAL_NONE;
    }
    if (t->mask != mask)
        (void)probe(t, object, &at);
    add_at(t, at, object, count, 0);
    return t->count - 1;
}

/* ---- Exploring ---------------------------------------------------------------------------------------------------- */

static void
take_edge(struct wn_trial *t, uintptr_t object)
{
    uint32_t at, i = probe(t, object, &at);

    if (i == WN_TRIAL_NONE)
        i = meet(t, object, at);
    if (i == WN_TRIAL_NONE)
        return;
    if (t->node[i].in < UINT32_MAX)
        t->node[i].in++;
    if (!wn_edges_add(&t->edges, i))
        t->failed = true;
}

static void
take_next(struct wn_trial *t)
{
    uintptr_t object = t->ahead[t->ahead_first];

    t->ahead_first = (t->ahead_first + 1) % WN_TRIAL_AHEAD;
    t->ahead_count--;
    if (t->failed)
        return;
    if (object)
        take_edge(t, object);
    else if (wn_edges_reserve(&t->edges, 0, 1))
        wn_edges_next(&t->edges, t->edges.rows);
    else
        t->failed = true;
}

static void
take_all(struct wn_trial *t)
{
    while (t->ahead_count)
        take_next(t);
}

/* Its line of the index has come: now its node, if it has one. */
static void
fetch_node(const struct wn_trial *t, uintptr_t object)
{
    uint32_t entry = object && t->mask ? t->index[home_of(t, object)] : 0;

    if (entry)
        __builtin_prefetch(&t->node[(entry & t->mask) - 1], 1); /* the first one's there, mostly */
}

static void
put_ahead(struct wn_trial *t, uintptr_t object)
{
    if (t->ahead_count == WN_TRIAL_AHEAD)
        take_next(t);
    t->ahead[(t->ahead_first + t->ahead_count++) % WN_TRIAL_AHEAD] = object;
    if (t->ahead_count > WN_TRIAL_AHEAD / 2)
        fetch_node(t, t->ahead[(t->ahead_first + t->ahead_count - 1 - WN_TRIAL_AHEAD / 2) % WN_TRIAL_AHEAD]);
}

void
wn_trial_edge(struct wn_trial *t, uintptr_t object)
{
    t->seen++;
    wn_trial_fetch_ahead(t, object);
    put_ahead(t, object);
}

/* Is the budget used up, of objects or of edges? */
static bool
is_spent(const struct wn_trial *t, uint32_t budget, uint32_t objects, uint64_t seen)
{
    return objects == budget || t->seen - seen >= (uint64_t)budget * WN_TRIAL_EDGES;
}

static bool
has_next(struct wn_trial *t)
{
    if (t->cursor == t->count)
        take_all(t);
    return t->cursor < t->count && !t->failed;
}

bool
wn_trial_explore(struct wn_trial *t, uint32_t budget)
{
    uint64_t seen = t->seen;

    for (uint32_t n = 0; !is_spent(t, budget, n, seen) && has_next(t); n++) {
        if (t->cursor + AHEAD < t->count)
            __builtin_prefetch((const void *)wn_trial_object(&t->node[t->cursor + AHEAD]), 1);
        t->partly = !t->trace(t, wn_trial_object(&t->node[t->cursor]));
        if (t->partly)
            break;
        put_ahead(t, 0);
        t->cursor++;
    }
    take_all(t); /* in the section in which they were seen */
    return (t->cursor == t->count && !t->partly) || t->failed;
}

static bool
is_live(const struct wn_trial *t, uint32_t i)
{
    return t->is_live ? t->is_live[i / 64] >> i % 64 & 1 : t->node[i].object & WN_TRIAL_LIVE;
}

static void
make_live(struct wn_trial *t, uint32_t i)
{
    if (t->is_live)
        t->is_live[i / 64] |= UINT64_C(1) << i % 64;
    t->node[i].object |= WN_TRIAL_LIVE;
    t->node[i].in = t->live;
    t->live = i;
    t->lives++;
}

void
wn_trial_judge(struct wn_trial *t)
{
    t->live = WN_TRIAL_NONE;
    t->lives = 0;
    wn_scratch_put(t->is_live);
    t->is_live = wn_scratch_zeroed(((size_t)t->count / 64 + 1) * sizeof *t->is_live);
    for (uint32_t i = 0; i < t->count; i++)
        if (t->node[i].count > t->node[i].in)
            make_live(t, i);
}

/* Nothing is left to be found. */
static bool
has_spread(const struct wn_trial *t)
{
    return t->live == WN_TRIAL_NONE || t->lives == t->count;
}

bool
wn_trial_spread(struct wn_trial *t, uint32_t budget)
{
    uint64_t most = (uint64_t)budget * WN_TRIAL_EDGES;

    for (uint64_t edges = 0; edges < most && !has_spread(t);) {
        uint32_t i = t->live, k = t->edges.first[i];

        t->live = t->node[i].in;
        if (WN_MUTANT(suspect_without_spreading))
            continue;
        edges += WN_TRIAL_EDGES;
        for (; k < t->edges.first[i + 1]; k++, edges++)
            if (!is_live(t, t->edges.to[k]))
                make_live(t, t->edges.to[k]);
    }
    if (!has_spread(t))
        return false;
    wn_scratch_put(t->is_live);
    t->is_live = NULL;
    return true;
}

/* ---- Suspects alone ----------------------------------------------------------------------------------------------- */

/* New numbers, in `in`. How many? */
static uint32_t
number_suspects(struct wn_trial *t)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < t->count; i++)
        t->node[i].in = t->node[i].object & WN_TRIAL_LIVE ? WN_TRIAL_NONE : n++;
    return n;
}

static void
move_edges(struct wn_trial *t)
{
    struct wn_edges *e = &t->edges;
    uint32_t         begin = 0;

    e->count = e->rows = 0;
    for (uint32_t i = 0; i < t->count; i++) {
        uint32_t end = e->first[i + 1];

        for (uint32_t k = begin; k < end && t->node[i].in != WN_TRIAL_NONE; k++)
            if (t->node[e->to[k]].in != WN_TRIAL_NONE)
                e->to[e->count++] = t->node[e->to[k]].in;
        begin = end;
        if (t->node[i].in != WN_TRIAL_NONE)
            e->first[++e->rows] = e->count;
    }
}

void
wn_trial_keep_suspects(struct wn_trial *t)
{
    uint32_t n = number_suspects(t), to = 0;
    uint64_t size = index_size(n);

    if (n == t->count)
        return;
    move_edges(t);
    for (uint32_t i = 0; i < t->count; i++)
        if (t->node[i].in != WN_TRIAL_NONE)
            t->node[to++] = t->node[i];
    t->count = t->cursor = n;
    if (size <= t->mask)
        t->mask = (uint32_t)size - 1;
    memset(t->index, 0, ((size_t)t->mask + 1) * sizeof *t->index);
    index_all(t);
}
