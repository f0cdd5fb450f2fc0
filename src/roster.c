/* SPDX-License-Identifier: MIT */
#include "roster.h"

#include <string.h>

#include "header.h"
#include "memory.h"
#include "step.h"

#define GROUP 4096 /* bytes, and alignment: a cell's group is found by its address */
#define CELLS ((GROUP - 2 * sizeof(void *)) / sizeof(struct wane_atomic_ptr))

struct group {
    struct group          *next; /* c */
    struct wane_atomic32   empty; /* a: a guess, for who looks for an empty cell */
    struct wane_atomic32   from;  /* a: where to look first */
    struct wane_atomic_ptr cell[CELLS];
};
_Static_assert(sizeof(struct group) == GROUP, "a group fills its alignment");

static struct group *
group_of(struct wane_atomic_ptr *cell)
{
    return (struct group *)((uintptr_t)cell & ~(uintptr_t)(GROUP - 1));
}

static struct wane_atomic_ptr *
take_cell(struct group *g, void *member)
{
    uint32_t from;

    if (!g || (int32_t)load_relaxed(&g->empty) <= 0) /* relaxed, here and below: guesses; the CAS decides */
        return NULL;
    from = load_relaxed(&g->from);
    for (uint32_t i = 0; i < CELLS; i++) {
        struct wane_atomic_ptr *cell = &g->cell[(from + i) % CELLS];
        void                   *none = NULL;

        if (load_relaxed(cell) || !cas_acq_rel(cell, &none, member)) /* release E8: the member's fields */
            continue;
        fetch_add_relaxed(&g->empty, UINT32_MAX);
        store_relaxed(&g->from, (from + i + 1) % (uint32_t)CELLS);
        return cell;
    }
    return NULL;
}

static struct wane_atomic_ptr *
add_group(struct wn_roster *roster, void *member)
{
    struct group *g = wn_aligned_alloc(GROUP, sizeof *g);
    void         *old = load_relaxed(&roster->groups);

    if (!g)
        return NULL;
    memset(g, 0, sizeof *g);
    store_relaxed(&g->empty, (uint32_t)CELLS - 1);
    store_relaxed(&g->from, 1u);
    store_relaxed(&g->cell[0], member);
    do
        g->next = old;
    while (!WN_WEAKER(roster_unordered, cas_acq_rel, cas_relaxed, &roster->groups, &old, (void *)g)); /* release E8: its cells */
    WN_WEAKER(roster_unordered, store_release, store_relaxed, &roster->hint, (void *)g); /* release E8 */
    return &g->cell[0];
}

static struct wane_atomic_ptr *
search(struct wn_roster *roster, void *member)
{
    struct wane_atomic_ptr *cell = take_cell(load_acquire(&roster->hint), member); /* acquire E8 */

    for (struct group *g = load_acquire(&roster->groups); g && !cell; g = g->next) { /* acquire E8 */
        cell = take_cell(g, member);
        if (cell)
            store_release(&roster->hint, (void *)g); /* release E8 */
    }
    return cell;
}

struct wane_atomic_ptr *
wn_roster_add(struct wn_roster *roster, void *member)
{
    struct wane_atomic_ptr *cell;

    (void)wn_flags_change(WANE_HEADER(member), 0, WN_WEAK); /* first: whoever finds it in its cell relies on it */
    cell = search(roster, member);
    return cell ? cell : add_group(roster, member);
}

void
wn_roster_strike(struct wn_roster *roster, struct wane_atomic_ptr *cell)
{
    struct group *g = group_of(cell);

    store_release(cell, NULL); /* release E8, as for every change; the memory goes a grace period later */
    fetch_add_relaxed(&g->empty, 1u);
    store_release(&roster->hint, (void *)g);
}

static bool
each_of(struct group *g, bool (*fn)(void *, void *), void *arg)
{
    bool go_on = true;

    wane_enter();
    for (size_t i = 0; i < CELLS && go_on; i++) {
        void *member = load_acquire(&g->cell[i]); /* acquire E8 */

        if (member)
            go_on = fn(member, arg);
    }
    wane_leave();
    return go_on;
}

void
wn_roster_each(struct wn_roster *roster, bool (*fn)(void *, void *), void *arg)
{
    for (struct group *g = load_acquire(&roster->groups); g; g = g->next) /* acquire E8 */
        if (load_relaxed(&g->empty) != CELLS && !each_of(g, fn, arg))
            return;
}
