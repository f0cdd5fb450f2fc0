/* SPDX-License-Identifier: MIT
 *
 * walk.c - the queue of a breadth-first walk is the list of the nodes met; beside it a hash set of their addresses
 *
 * The set is never cleared: an entry counts only if it has the number of the walk.
 */
#include <stdlib.h>
#include <string.h>

#include "graph.h"

struct met {
    const struct value *node;
    uint64_t            walk; /* which one met it */
};

struct walk {
    struct loan *at; /* in a heap_room */
    uint32_t    *before;
    struct met  *set;
    size_t       count, room, places, most;
    uint64_t     number;
    size_t       from;     /* whose edges are shown now */
    bool         short_of; /* memory: the walk ends early */
};

static __thread struct walk this_walk;

static struct met *
place(struct met *set, size_t places, uint64_t number, const struct value *node)
{
    size_t h = (size_t)(((uintptr_t)node >> 4) * UINT64_C(0x9e3779b97f4a7c15) >> 20) & (places - 1);

    while (set[h].walk == number && set[h].node != node)
        h = (h + 1) & (places - 1);
    return &set[h];
}

/* Twice as many places: in the set four for each node. */
static bool
grow(struct walk *w)
{
    size_t       room = w->room ? 2 * w->room : 256, places = 4 * room;
    struct loan *at = heap_room(room * sizeof *at);
    uint32_t    *before = realloc(w->before, room * sizeof *before);
    struct met  *set = calloc(places, sizeof *set);

    if (before)
        w->before = before;
    if (!at || !before || !set) {
        heap_room_free(at);
        free(set);
        return false;
    }
    if (w->count)
        memcpy(at, w->at, w->count * sizeof *at);
    for (size_t i = 0; i < w->count; i++)
        *place(set, places, w->number, at[i].value) = (struct met){at[i].value, w->number};
    heap_room_free(w->at);
    free(w->set);
    w->at = at;
    w->set = set;
    w->room = room;
    w->places = places;
    return true;
}

/* The loan is taken if the node is new to the walk. */
static bool
meet(struct walk *w, const struct loan *loan, bool copy)
{
    struct met *m;

    if (w->count == w->room && !grow(w)) {
        w->short_of = true;
        return false;
    }
    m = place(w->set, w->places, w->number, loan->value);
    if (m->walk == w->number)
        return true;
    *m = (struct met){loan->value, w->number};
    w->before[w->count] = (uint32_t)w->from;
    if (copy)
        loan_copy(&w->at[w->count], loan);
    else
        w->at[w->count] = *loan;
    w->count++;
    return w->count < w->most;
}

struct walk *
walk_begin(struct loan *from, size_t most)
{
    struct walk *w = &this_walk;

    w->count = w->from = 0;
    w->most = most;
    w->short_of = false;
    w->number++;
    meet(w, from, false);
    if (w->count == 0)
        loan_drop(from);
    return w;
}

static bool
follow(const char *key, size_t size, const struct loan *value, void *arg)
{
    (void)size;
    return key[0] != '>' || meet(arg, value, true);
}

size_t
walk_on(struct walk *w, size_t depth, const struct value *wanted)
{
    size_t end = w->count, seen = 0;

    for (w->from = 0;; depth--) {
        for (; seen < w->count; seen++)
            if (w->at[seen].value == wanted)
                return seen;
        if (depth == 0 || w->from == end)
            return WALK_NOWHERE;
        for (; w->from < end && w->count < w->most && !w->short_of; w->from++)
            dict_each(w->at[w->from].value, follow, w);
        w->from = end;
        end = w->count;
    }
}

size_t
walk_count(const struct walk *w)
{
    return w->count;
}

const struct loan *
walk_at(const struct walk *w, size_t i)
{
    return &w->at[i];
}

size_t
walk_before(const struct walk *w, size_t i)
{
    return i == 0 ? WALK_NOWHERE : w->before[i];
}

void
walk_end(struct walk *w)
{
    for (size_t i = 0; i < w->count; i++)
        loan_drop(&w->at[i]);
    w->count = 0;
}

void
walk_thread_end(void)
{
    heap_room_free(this_walk.at);
    free(this_walk.before);
    free(this_walk.set);
    memset(&this_walk, 0, sizeof this_walk);
}
