/* SPDX-License-Identifier: MIT
 *
 * compare.c - follows the real links and the mirror's edges side by side
 *
 * An object that the mirror knows to be gone is not touched: that it is pointed to is difference enough.
 */
#include "compare.h"

#include <stdlib.h>
#include <string.h>

struct comparison {
    struct mirror         *mirror;
    const struct universe *universe;
    void                 **met;  /* by number */
    struct ints            rest; /* numbers to go through */
    uint32_t               met_count, roots;
    uint64_t               different;
};

static bool
is_same(struct comparison *c, void *object, uint32_t number)
{
    const struct head *head = object;
    struct node       *node;

    if (number >= mirror_top(c->mirror))
        return false;
    node = mirror_node(c->mirror, number);
    return mirror_state(node) == STATE_LIVE && graph_kind(object) == node->kind && graph_count(object) == node->count &&
           head->label == node->label && head->id == ((uint64_t)node->generation << 32 | number);
}

/* A link and its edge. */
static void
meet(struct comparison *c, void *object, uint32_t number)
{
    if (!object && !number)
        return;
    if (!object || !number || !is_same(c, object, number) || (c->met[number] && c->met[number] != object)) {
        c->different++;
        return;
    }
    if (c->met[number])
        return;
    c->met[number] = object;
    c->met_count++;
    ints_push(&c->rest, number);
}

static void
go_through(struct comparison *c)
{
    while (c->rest.count > 0) {
        uint32_t           number = c->rest.at[--c->rest.count], i;
        const struct node *node = mirror_node(c->mirror, number);

        for (i = 0; i < node->count; i++) {
            /* Nothing the mirror calls gone is read: meet looks at the number first. */
            meet(c, wane_peek(graph_slot(c->met[number], i)), mirror_out(c->mirror, node)[i]);
        }
    }
}

static bool
meet_root(const char *key, void *value, void *argument)
{
    struct comparison *c = argument;
    uint32_t           label = graph_head(value)->label;

    c->roots++;
    if (graph_kind(value) != KIND_PACKAGE || strcmp(key, universe_name(c->universe, &c->universe->entries[label])) != 0)
        c->different++;
    else
        meet(c, value, c->mirror->roots[label]);
    return true;
}

static uint32_t
expected_roots(const struct mirror *m)
{
    uint32_t i, count = 0;

    for (i = 0; i < m->root_count; i++)
        count += m->roots[i] != 0;
    return count;
}

uint64_t
compare_graph(struct mirror *m, const struct universe *u, const struct wane_map *index, uint32_t *met)
{
    struct comparison c = {.mirror = m, .universe = u};
    uint32_t          expected = expected_roots(m);

    c.met = need(mirror_top(m), sizeof *c.met);
    WANE_SECTION {
        wane_map_each(index, meet_root, &c);
        go_through(&c);
    }
    c.different += c.roots > expected ? c.roots - expected : expected - c.roots;
    *met = c.met_count;
    free(c.met);
    ints_free(&c.rest);
    return c.different;
}
