/* SPDX-License-Identifier: MIT
 *
 * scc.c - Tarjan's algorithm with an explicit stack
 *
 * Ground truth for the collector: single-threaded, over integers, and nothing in common with trial deletion.
 * Source: Tarjan, "Depth-first search and linear graph algorithms" (SIAM J. Comput. 1972).
 */
#include "scc.h"

#include <stdlib.h>

struct search {
    const struct table *graph;
    uint32_t           *order;  /* 0: not seen; else the number it was seen as */
    uint32_t           *low;    /* the least order reached */
    uint32_t           *next;   /* the next edge to follow */
    uint32_t           *parent; /* the path, by node */
    uint32_t           *stack;  /* nodes without a component */
    uint32_t            stacked, seen;
};

static void
discover(struct search *s, uint32_t node, uint32_t parent)
{
    s->order[node] = s->low[node] = ++s->seen;
    s->next[node] = s->graph->first[node];
    s->parent[node] = parent;
    s->stack[s->stacked++] = node;
}

/* Everything above the component's first node belongs to it. */
static void
close_component(struct search *s, uint32_t node, struct components *out)
{
    uint32_t member;

    out->size[out->count] = 0;
    do {
        member = s->stack[--s->stacked];
        out->of[member] = out->count;
        out->size[out->count]++;
    } while (member != node);
    out->count++;
}

/* Follows one edge of node. Returns where the search goes on. */
static uint32_t
follow(struct search *s, uint32_t node, const struct components *out)
{
    uint32_t target = s->graph->item[s->next[node]++];

    if (!s->order[target]) {
        discover(s, target, node);
        return target;
    }
    if (out->of[target] == NONE && s->order[target] < s->low[node])
        s->low[node] = s->order[target];
    return node;
}

static uint32_t
retreat(struct search *s, uint32_t node, struct components *out)
{
    uint32_t parent = s->parent[node];

    if (s->low[node] == s->order[node])
        close_component(s, node, out);
    if (parent != NONE && s->low[node] < s->low[parent])
        s->low[parent] = s->low[node];
    return parent;
}

static void
explore(struct search *s, uint32_t node, struct components *out)
{
    discover(s, node, NONE);
    while (node != NONE) {
        if (s->next[node] < s->graph->first[node + 1])
            node = follow(s, node, out);
        else
            node = retreat(s, node, out);
    }
}

void
scc_find(const struct table *graph, uint32_t nodes, struct components *out)
{
    uint32_t     *memory = need((size_t)nodes * 5, sizeof *memory);
    struct search s = {graph, memory, memory + nodes, memory + 2 * (size_t)nodes, memory + 3 * (size_t)nodes,
                       memory + 4 * (size_t)nodes, 0, 0};
    uint32_t      node;

    out->of = need(nodes, sizeof *out->of);
    out->size = need(nodes, sizeof *out->size);
    out->count = 0;
    for (node = 0; node < nodes; node++)
        out->of[node] = NONE;
    for (node = 0; node < nodes; node++) {
        if (!s.order[node])
            explore(&s, node, out);
    }
    free(memory);
}

uint32_t
scc_cycles(const struct components *components)
{
    uint32_t i, cycles = 0;

    for (i = 0; i < components->count; i++)
        cycles += components->size[i] > 1;
    return cycles;
}

void
scc_free(struct components *components)
{
    free(components->of);
    free(components->size);
    *components = (struct components){0};
}
