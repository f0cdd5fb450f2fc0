/* SPDX-License-Identifier: MIT
 *
 * audit.c - one look at the mirror while the mutators rest
 *
 * Between operations no mutator holds a reference of its own, so what is not reachable from the roots is garbage for
 * ever: its edges do not change any more. So each node is classified once, at the first look after it became garbage,
 * and its number is used again once its object is gone, and the objects of all that pointed to it (the collector
 * disposes of a whole component before it drops the first reference: a look can fall in between).
 *
 * The looks during a run check that nothing reachable is gone; the last one also that everything else is.
 */
#include "audit.h"

#include "scc.h"

#include <stdlib.h>
#include <string.h>

static void
make_room(struct audit *a, uint32_t top)
{
    if (top > a->room) {
        free(a->reached);
        free(a->place);
        a->reached = need(top, sizeof *a->reached);
        a->place = need(top, sizeof *a->place);
        a->room = top;
    }
    memset(a->reached, 0, a->room);
    a->garbage_row.count = a->stack.count = 0;
    a->live = a->early = a->waiting = 0;
    a->dangling = 0;
}

static void
reach(struct audit *a, struct mirror *m, uint32_t number)
{
    if (number == 0 || a->reached[number])
        return;
    a->reached[number] = 1;
    a->live++;
    ints_push(&a->stack, number);
    switch (mirror_state(mirror_node(m, number))) {
    case STATE_FREE: a->dangling++; break;
    case STATE_GONE: a->early++; break;
    case STATE_LIVE: break;
    }
}

static void
reach_all(struct audit *a, struct mirror *m)
{
    uint32_t i;

    for (i = 0; i < m->root_count; i++)
        reach(a, m, m->roots[i]);
    while (a->stack.count > 0) {
        const struct node *node = mirror_node(m, a->stack.at[--a->stack.count]);

        for (i = 0; i < node->count; i++)
            reach(a, m, mirror_out(m, node)[i]);
    }
}

static void
find_garbage(struct audit *a, struct mirror *m)
{
    uint32_t number, top = mirror_top(m);

    for (number = 1; number < top; number++) {
        if (a->reached[number] || mirror_state(mirror_node(m, number)) == STATE_FREE)
            continue;
        a->place[number] = (uint32_t)a->garbage_row.count;
        ints_push(&a->garbage_row, number);
    }
}

/* The edges from garbage to garbage, by place. */
static void
garbage_graph(struct audit *a, struct mirror *m, struct table *graph)
{
    struct pairs pairs = {0};
    uint32_t     k, i;

    for (k = 0; k < a->garbage_row.count; k++) {
        const struct node *node = mirror_node(m, a->garbage_row.at[k]);

        for (i = 0; i < node->count; i++) {
            uint32_t to = mirror_out(m, node)[i];

            if (to == 0 || a->reached[to])
                continue;
            if (mirror_state(mirror_node(m, to)) == STATE_FREE)
                a->dangling++;
            else
                pairs_push(&pairs, k, a->place[to]);
        }
    }
    pairs_to_table(&pairs, (uint32_t)a->garbage_row.count, graph);
}

/* Marks all that can be reached from what is marked. */
static void
spread(struct audit *a, const struct table *graph, uint8_t *marked)
{
    uint32_t k, i;

    for (k = 0; k < a->garbage_row.count; k++) {
        if (marked[k])
            ints_push(&a->stack, k);
    }
    while (a->stack.count > 0) {
        k = a->stack.at[--a->stack.count];
        for (i = graph->first[k]; i < graph->first[k + 1]; i++) {
            if (!marked[graph->item[i]])
                ints_push(&a->stack, graph->item[i]);
            marked[graph->item[i]] = 1;
        }
    }
}

static bool
points_to_itself(const struct table *graph, uint32_t k)
{
    uint32_t i;

    for (i = graph->first[k]; i < graph->first[k + 1]; i++) {
        if (graph->item[i] == k)
            return true;
    }
    return false;
}

static void
classify(struct audit *a, struct mirror *m, const struct table *graph, uint8_t *marked)
{
    struct components components;
    uint32_t          k, count = (uint32_t)a->garbage_row.count;

    scc_find(graph, count, &components);
    for (k = 0; k < count; k++) {
        marked[k] = components.size[components.of[k]] > 1 || points_to_itself(graph, k);
        if (!mirror_node(m, a->garbage_row.at[k])->classified)
            a->on_cycle += marked[k];
    }
    scc_free(&components);
    spread(a, graph, marked);
    for (k = 0; k < count; k++) {
        struct node *node = mirror_node(m, a->garbage_row.at[k]);

        if (node->classified)
            continue;
        node->classified = 1;
        a->garbage++;
        a->cyclic += marked[k];
    }
}

/* Keeps what is not gone, and all that it points to, as far as that goes. */
static void
recycle(struct audit *a, struct mirror *m, const struct table *graph, uint8_t *keep)
{
    uint32_t k;

    for (k = 0; k < a->garbage_row.count; k++) {
        keep[k] = mirror_state(mirror_node(m, a->garbage_row.at[k])) != STATE_GONE;
        a->waiting += keep[k];
    }
    spread(a, graph, keep);
    for (k = 0; k < a->garbage_row.count; k++) {
        if (!keep[k])
            mirror_recycle(m, a->garbage_row.at[k]);
    }
}

void
audit_look(struct audit *a, struct mirror *m)
{
    struct table graph;
    uint8_t     *marks;

    make_room(a, mirror_top(m));
    reach_all(a, m);
    find_garbage(a, m);
    garbage_graph(a, m, &graph);
    marks = need(a->garbage_row.count, sizeof *marks);
    classify(a, m, &graph, marks);
    recycle(a, m, &graph, marks);
    free(marks);
    table_free(&graph);
}

void
audit_free(struct audit *a)
{
    free(a->reached);
    free(a->place);
    ints_free(&a->garbage_row);
    ints_free(&a->stack);
    *a = (struct audit){0};
}
