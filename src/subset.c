/* SPDX-License-Identifier: MIT */
#include "subset.h"

#include "scratch.h"

static bool
fits(const struct wn_trial_node *m)
{
    return m->left1 == 0 && m->left2 == 0;
}

struct removal {
    struct wn_trial_node     *node;
    const struct wn_readings *readings;
    uint32_t                 *stack; /* out, its edges are still counted */
    uint32_t                  depth;
};

static void
check(struct removal *r, uint32_t i)
{
    if (wn_out(&r->node[i]) || fits(&r->node[i]))
        return;
    wn_set_out(&r->node[i], WN_OUT(HELD));
    r->stack[r->depth++] = i;
}

static void
subtract_edges(struct wn_trial_node *node, uint32_t n, const struct wn_readings *r)
{
    for (uint32_t i = 0; i < n; i++) {
        struct wn_row row = wn_first_row(r, i);

        if (wn_out(&node[i]))
            continue;
        for (; row.at < row.end; row.at++)
            node[*row.at].left1--;
        for (row = wn_second_row(r, i); row.at < row.end; row.at++)
            node[*row.at].left2--;
    }
}

/* Edges of i count no more. */
static void
remove_edges(struct removal *r, uint32_t i)
{
    struct wn_row row = wn_first_row(r->readings, i);

    for (; row.at < row.end; row.at++) {
        r->node[*row.at].left1++;
        check(r, *row.at);
    }
    for (row = wn_second_row(r->readings, i); row.at < row.end; row.at++) {
        r->node[*row.at].left2++;
        check(r, *row.at);
    }
}

bool
wn_subset(struct wn_trial_node *node, uint32_t n, const struct wn_readings *readings)
{
    struct removal r = {node, readings, wn_scratch_get(((size_t)n + 1) * sizeof *r.stack), 0};

    if (!r.stack)
        return false;
    subtract_edges(node, n, readings);
    for (uint32_t i = 0; i < n; i++)
        if (!wn_out(&node[i]) && (int32_t)node[i].left1 < 0)
            node[i].object |= WN_EXCESS;
    for (uint32_t i = 0; i < n; i++)
        check(&r, i);
    while (r.depth)
        remove_edges(&r, r.stack[--r.depth]);
    wn_scratch_put(r.stack);
    return true;
}

/* Union-find with path halving; component is the parent until the groups are numbered. */
static uint32_t
root(struct wn_trial_node *node, uint32_t i)
{
    while (node[i].component != i) {
        node[i].component = node[node[i].component].component;
        i = node[i].component;
    }
    return i;
}

static void
join(struct wn_trial_node *node, uint32_t n, const struct wn_readings *r)
{
    for (uint32_t i = 0; i < n; i++)
        node[i].component = i;
    for (uint32_t i = 0; i < n; i++) {
        struct wn_row row;
        uint32_t      mine;

        if (wn_out(&node[i]))
            continue;
        mine = root(node, i);
        for (row = wn_second_row(r, i); row.at < row.end; row.at++)
            if (!wn_out(&node[*row.at])) {
                uint32_t other = root(node, *row.at);

                node[mine].component = other;
                mine = other;
            }
    }
}

uint32_t
wn_components(struct wn_trial_node *node, uint32_t n, const struct wn_readings *r)
{
    uint32_t groups = 0;

    join(node, n, r);
    for (uint32_t i = 0; i < n; i++)
        node[i].root = root(node, i);
    for (uint32_t i = 0; i < n; i++)
        if (!wn_out(&node[i]) && node[i].root == i)
            node[i].component = groups++; /* nobody looks for parents any more */
    for (uint32_t i = 0; i < n; i++)
        if (!wn_out(&node[i]))
            node[i].component = node[node[i].root].component;
    return groups;
}

void
wn_order(const struct wn_trial_node *node, uint32_t n, uint32_t groups, uint32_t *order, uint32_t *end)
{
    uint32_t at = 0;

    for (uint32_t g = 0; g < groups; g++)
        end[g] = 0;
    for (uint32_t i = 0; i < n; i++)
        if (!wn_out(&node[i]))
            end[node[i].component]++;
    for (uint32_t g = 0; g < groups; g++) {
        uint32_t start = at;

        at += end[g];
        end[g] = start;
    }
    for (uint32_t i = 0; i < n; i++)
        if (!wn_out(&node[i]))
            order[end[node[i].component]++] = i;
}
