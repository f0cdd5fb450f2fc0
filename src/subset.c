/* SPDX-License-Identifier: MIT */
#include "subset.h"

#include "scratch.h"

bool
wn_edges_begin(struct wn_edges *e, uint32_t members)
{
    *e = (struct wn_edges){.first = wn_scratch_get(((size_t)members + 1) * sizeof *e->first)};
    if (!e->first)
        return false;
    e->first[0] = 0;
    return true;
}

bool
wn_edges_reserve(struct wn_edges *e, uint32_t n)
{
    size_t    capacity = (size_t)e->capacity * 2 + n;
    uint32_t *grown = NULL;

    if (e->capacity - e->count >= n)
        return true;
    if (capacity < UINT32_MAX)
        grown = wn_scratch_grow(e->to, e->count * sizeof *grown, capacity * sizeof *grown);
    if (!grown)
        return false;
    e->to = grown;
    e->capacity = (uint32_t)capacity;
    return true;
}

bool
wn_edges_add(struct wn_edges *e, uint32_t to)
{
    if (!wn_edges_reserve(e, 1))
        return false;
    e->to[e->count++] = to;
    return true;
}

void
wn_edges_again(struct wn_edges *e)
{
    e->count = e->first[e->members];
}

void
wn_edges_next(struct wn_edges *e)
{
    e->first[++e->members] = e->count;
}

void
wn_edges_free(struct wn_edges *e)
{
    wn_scratch_put(e->first);
    wn_scratch_put(e->to);
    *e = (struct wn_edges){0};
}

static bool
fits(const struct wn_member *m)
{
    return m->left1 == 0 && m->left2 == 0;
}

/* Remove what no longer fits after an edge to it has gone: onto the stack, once. */
static void
check(struct wn_member *member, uint32_t i, uint32_t *stack, uint32_t *n)
{
    if (member[i].out || fits(&member[i]))
        return;
    member[i].out = WN_OUT(HELD);
    stack[(*n)++] = i;
}

bool
wn_subset(struct wn_member *member, uint32_t n, const struct wn_edges *first, const struct wn_edges *second)
{
    uint32_t *stack = wn_scratch_get(((size_t)n + 1) * sizeof *stack);
    uint32_t  depth = 0;

    if (!stack)
        return false;
    for (uint32_t i = 0; i < first->count; i++)
        member[first->to[i]].left1--;
    for (uint32_t i = 0; i < second->count; i++)
        member[second->to[i]].left2--;
    for (uint32_t i = 0; i < n; i++)
        member[i].excess = !member[i].out && (int32_t)member[i].left1 < 0;
    for (uint32_t i = 0; i < n; i++)
        if (member[i].out)
            stack[depth++] = i;
        else
            check(member, i, stack, &depth);
    while (depth) {
        uint32_t i = stack[--depth];

        for (uint32_t k = first->first[i]; k < first->first[i + 1]; k++) {
            member[first->to[k]].left1++;
            check(member, first->to[k], stack, &depth);
        }
        for (uint32_t k = second->first[i]; k < second->first[i + 1]; k++) {
            member[second->to[k]].left2++;
            check(member, second->to[k], stack, &depth);
        }
    }
    wn_scratch_put(stack);
    return true;
}

/* Union-find with path halving; component is the parent until the groups are numbered. */
static uint32_t
root(struct wn_member *member, uint32_t i)
{
    while (member[i].component != i) {
        member[i].component = member[member[i].component].component;
        i = member[i].component;
    }
    return i;
}

static void
join(struct wn_member *member, uint32_t n, const struct wn_edges *e)
{
    for (uint32_t i = 0; i < n; i++)
        member[i].component = i;
    for (uint32_t i = 0; i < n; i++)
        for (uint32_t k = e->first[i]; k < e->first[i + 1]; k++)
            if (!member[i].out && !member[e->to[k]].out)
                member[root(member, i)].component = root(member, e->to[k]);
}

uint32_t
wn_components(struct wn_member *member, uint32_t n, const struct wn_edges *e, uint32_t *order, uint32_t *size)
{
    uint32_t groups = 0, at = 0;

    join(member, n, e);
    for (uint32_t i = 0; i < n; i++)
        member[i].root = root(member, i);
    for (uint32_t i = 0; i < n; i++)
        if (!member[i].out && member[i].root == i) {
            member[i].component = groups; /* nobody looks for parents any more */
            size[groups++] = 0;
        }
    for (uint32_t i = 0; i < n; i++)
        if (!member[i].out) {
            member[i].component = member[member[i].root].component;
            size[member[i].component]++;
        }
    /* Starts of the groups in order, then fill. */
    for (uint32_t g = 0; g < groups; g++) {
        uint32_t start = at;

        at += size[g];
        size[g] = start;
    }
    for (uint32_t i = 0; i < n; i++)
        if (!member[i].out)
            order[size[member[i].component]++] = i;
    return groups;
}
