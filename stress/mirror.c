/* SPDX-License-Identifier: MIT */
#include "mirror.h"

#include <stdlib.h>

#include <wane/wane.h>

#define LIVE  UINT64_C(0x3141592653589793)
#define DEAD  UINT64_C(0xdeaddeaddeaddead)
#define CELLS 256
#define ROOTS 6
#define SLOTS 3
#define NONE  (-1)
#define CHECK_EVERY 64

struct node {
    uint64_t       magic, serial;
    struct mirror *mirror;
    int            cell;
    wane_slot      slot[SLOTS];
};

struct cell {
    struct node  *node; /* NULL: free */
    uint64_t      serial;
    int           edge[SLOTS];
    bool          reached;
    atomic_ullong gone; /* the serial of the last node of this cell that was disposed of */
};

struct mirror {
    struct cell cells[CELLS];
    int         root[ROOTS]; /* each an owned unit */
    uint64_t    serial, steps;
    void (*gone)(void);
};

static void
dispose(void *object)
{
    struct node *n = object;

    if (n->magic != LIVE)
        stress_fail("dispose of a disposed or damaged node");
    n->magic = DEAD;
    n->mirror->gone();
    atomic_store(&n->mirror->cells[n->cell].gone, n->serial);
}

static const uint32_t offsets[] = {offsetof(struct node, slot), offsetof(struct node, slot) + sizeof(wane_slot),
                                   offsetof(struct node, slot) + 2 * sizeof(wane_slot)};
static struct wane_type node_type = {.name = "mirrored",
                                     .size = sizeof(struct node),
                                     .slots = offsets,
                                     .slot_count = SLOTS,
                                     .dispose = dispose};

struct mirror *
mirror_new(void (*gone)(void))
{
    struct mirror *m = calloc(1, sizeof *m);

    if (!m)
        stress_fail("no memory");
    m->gone = gone;
    for (int i = 0; i < ROOTS; i++)
        m->root[i] = NONE;
    return m;
}

void
mirror_free(struct mirror *m)
{
    free(m);
}

/* ---- What is reachable
 * -------------------------------------------------------------------------------------------- */

uint64_t
mirror_reachable(struct mirror *m)
{
    int      stack[ROOTS + CELLS * SLOTS];
    int      depth = 0;
    uint64_t n = 0;

    for (int i = 0; i < CELLS; i++)
        m->cells[i].reached = false;
    for (int i = 0; i < ROOTS; i++)
        if (m->root[i] != NONE)
            stack[depth++] = m->root[i];
    while (depth > 0) {
        struct cell *c = &m->cells[stack[--depth]];

        if (c->reached)
            continue;
        c->reached = true;
        n++;
        for (int k = 0; k < SLOTS; k++)
            if (c->edge[k] != NONE)
                stack[depth++] = c->edge[k];
    }
    return n;
}

static bool
is_gone(struct cell *c)
{
    return atomic_load(&c->gone) == c->serial;
}

/* A reached cell's node is alive and as mirrored. In a section. */
static void
check_cell(struct mirror *m, struct cell *c)
{
    if (is_gone(c))
        stress_fail("a reachable node was disposed of");
    if (c->node->magic != LIVE || c->node->serial != c->serial)
        stress_fail("a reachable node is damaged");
    for (int k = 0; k < SLOTS; k++) {
        struct node *expected = c->edge[k] == NONE ? NULL : m->cells[c->edge[k]].node;

        if (wane_peek(&c->node->slot[k]) != (void *)expected)
            stress_fail("a slot does not hold what was stored");
    }
}

/* Check what is reachable, free the cells of what is gone. */
static void
check_all(struct mirror *m)
{
    (void)mirror_reachable(m);
    wane_enter();
    for (int i = 0; i < CELLS; i++) {
        struct cell *c = &m->cells[i];

        if (c->reached)
            check_cell(m, c);
        else if (c->node && is_gone(c))
            c->node = NULL;
    }
    wane_leave();
}

void
mirror_census(struct mirror *m)
{
    check_all(m);
    for (int i = 0; i < CELLS; i++)
        if (m->cells[i].node && !m->cells[i].reached)
            stress_fail("an unreachable node lives");
}

void
mirror_drop(struct mirror *m)
{
    for (int i = 0; i < ROOTS; i++)
        if (m->root[i] != NONE)
            wane_release(m->cells[m->root[i]].node);
    for (int i = 0; i < ROOTS; i++)
        m->root[i] = NONE;
}

/* ---- Changes
 * -------------------------------------------------------------------------------------------------------- */

/* The root takes the caller's unit of the node in that cell. */
static void
set_root(struct mirror *m, int root, int cell)
{
    int old = m->root[root];

    m->root[root] = cell;
    if (old != NONE)
        wane_release(m->cells[old].node);
}

static int
free_cell(struct mirror *m)
{
    for (int i = 0; i < CELLS; i++)
        if (!m->cells[i].node)
            return i;
    return NONE;
}

/* All cells are taken, by garbage that waits and by what lives: drop a root, see that the garbage goes. */
static int
make_room(struct mirror *m, struct stress_worker *me)
{
    int cell;

    stress_phase(me, "out of cells: collecting");
    while ((cell = free_cell(m)) == NONE && stress_goes_on(me)) {
        set_root(m, (int)stress_random(me, ROOTS), NONE);
        (void)wane_barrier();
        (void)wane_collect(WANE_ALL, NULL);
        check_all(m);
    }
    stress_phase(me, "its own graph");
    return cell;
}

/* A new node, whose unit the caller owns; NONE: the run is over. */
static int
new_node(struct mirror *m, struct stress_worker *me)
{
    int          cell = free_cell(m);
    struct cell *c;

    if (cell == NONE)
        cell = make_room(m, me);
    if (cell == NONE)
        return NONE;
    c = &m->cells[cell];
    c->node = wane_new(&node_type);
    if (!c->node)
        stress_fail("no memory");
    c->serial = ++m->serial;
    for (int k = 0; k < SLOTS; k++)
        c->edge[k] = NONE;
    c->node->magic = LIVE;
    c->node->serial = c->serial;
    c->node->mirror = m;
    c->node->cell = cell;
    return cell;
}

/* Some reachable cell, or NONE. */
static int
walk(struct mirror *m, struct stress_worker *me)
{
    int cell = m->root[stress_random(me, ROOTS)];

    for (uint64_t k = stress_random(me, 5); cell != NONE && k > 0; k--) {
        int next = m->cells[cell].edge[stress_random(me, SLOTS)];

        if (next == NONE)
            break;
        cell = next;
    }
    return cell;
}

/* Link by each kind of store; b's node is held by what it hangs from. */
static void
link_nodes(struct mirror *m, struct stress_worker *me, int a, int b)
{
    int          k = (int)stress_random(me, SLOTS);
    struct node *from = m->cells[a].node;
    struct node *to = b == NONE ? NULL : m->cells[b].node;
    struct node *old = m->cells[a].edge[k] == NONE ? NULL : m->cells[m->cells[a].edge[k]].node;

    m->cells[a].edge[k] = b;
    switch (stress_random(me, 5)) {
    case 0:
        wane_put(&from->slot[k], wane_retain(to));
        break;
    case 1:
        wane_release(wane_swap(&from->slot[k], wane_retain(to)));
        break;
    case 2:
        if (!wane_cas(&from->slot[k], old, to))
            stress_fail("compare-and-swap failed without a rival");
        break;
    default:
        wane_set(&from->slot[k], to);
    }
}

/* A slot's content becomes a root of its own. */
static void
take_to_root(struct mirror *m, struct stress_worker *me, int a)
{
    int          k = (int)stress_random(me, SLOTS);
    int          b = m->cells[a].edge[k];
    struct node *got = wane_take(&m->cells[a].node->slot[k]);

    if (got != (b == NONE ? NULL : m->cells[b].node))
        stress_fail("take found something else");
    m->cells[a].edge[k] = NONE;
    if (b != NONE)
        set_root(m, (int)stress_random(me, ROOTS), b);
}

static void
change(struct mirror *m, struct stress_worker *me)
{
    int root = (int)stress_random(me, ROOTS);
    int a = walk(m, me);
    int b = walk(m, me);

    switch (stress_random(me, 12)) {
    case 0:
        set_root(m, root, NONE);
        break;
    case 1:
        if (b != NONE) {
            wane_retain(m->cells[b].node);
            set_root(m, root, b);
        }
        break;
    case 2:
        if (a != NONE)
            take_to_root(m, me, a);
        break;
    case 3:
        if (a != NONE)
            link_nodes(m, me, a, NONE);
        break;
    default:
        if (a != NONE)
            link_nodes(m, me, a, b);
    }
}

/* A new node hangs from a root of its own, or replaces one and holds it. */
static void
grow(struct mirror *m, struct stress_worker *me)
{
    int cell = new_node(m, me);
    int root = (int)stress_random(me, ROOTS);
    int old;

    if (cell == NONE)
        return;
    old = m->root[root];
    if (old != NONE && stress_random(me, 3)) {
        m->root[root] = NONE;
        m->cells[cell].edge[0] = old;
        wane_put(&m->cells[cell].node->slot[0], m->cells[old].node); /* the root's unit */
    }
    set_root(m, root, cell);
}

void
mirror_step(struct mirror *m, struct stress_worker *me)
{
    bool in_section = stress_random(me, 3) != 0;

    if (++m->steps % CHECK_EVERY == 0)
        check_all(m);
    if (stress_random(me, 4) == 0) {
        grow(m, me);
        return;
    }
    if (in_section)
        wane_enter();
    change(m, me);
    if (in_section)
        wane_leave();
}
