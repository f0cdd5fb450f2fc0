/* SPDX-License-Identifier: MIT
 *
 * leak.c - what is alive, by type, and a path that holds one object of each
 *
 * Paths come from walks (walk.h). The first counts units against slots: what has more is held from outside, at depth 0. Each
 * further walk carries depths on along edges, several steps where addresses happen to lie so, until nothing changes or MOST_WALKS
 * are done. A path is as good as those walks saw it: what moves meanwhile may leave an object without one, never a loop, for
 * depths only fall, and an object is deeper than the one that it was reached from.
 */
#include <wane/observe.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "check.h"
#include "explain.h"
#include "leak.h"
#include "life.h"
#include "memory.h"
#include "record.h"

#define MOST_WALKS 12
#define MOST_TYPES 20 /* with a path */
#define MOST_STEPS 24 /* of a path, that are shown */
#define FAR        UINT16_MAX

struct step {
    uint32_t from;   /* the object that holds this one on the shortest path seen */
    uint32_t number; /* .. by this edge */
    int32_t  held;   /* units less slots */
    uint16_t type;
    uint16_t depth; /* FAR: not reached */
    uint8_t  kind;
};

struct search {
    struct wn_walk walk;
    struct wn_set  set;
    struct step   *step;
    bool           counts; /* the first walk */
    bool           changed;
};

struct row {
    const char *name;
    int64_t     objects, bytes;
    uint32_t    id;
};

struct rows {
    struct row *row;
    uint32_t    count;
};

/* ---- Walking ------------------------------------------------------------------------------------------------------------ */

static struct search *
search_of(struct wn_walk *walk)
{
    return (struct search *)walk;
}

static void
begin(struct wn_walk *walk, const struct wn_sight *sight)
{
    struct search *s = search_of(walk);
    int64_t        units = wn_sight_units(sight);

    s->step[sight->rank].type = (uint16_t)sight->type->id; /* in each walk: it may be another object by now */
    if (s->counts)
        s->step[sight->rank].held += units > INT32_MAX / 2 ? INT32_MAX / 2 : (int32_t)units;
}

static void
edge(struct wn_walk *walk, enum wn_edge kind, size_t number, uintptr_t target)
{
    struct search     *s = search_of(walk);
    const struct step *from = &s->step[walk->sight.rank];
    uint32_t           rank = wn_set_rank(&s->set, target);
    struct step       *to = rank == WN_NO_RANK ? NULL : &s->step[rank];

    if (!to)
        return;
    if (s->counts) {
        to->held--;
        return;
    }
    if (from->depth >= FAR - 1 || to->depth <= from->depth + 1)
        return;
    to->depth = (uint16_t)(from->depth + 1);
    to->from = walk->sight.rank;
    to->number = number > UINT32_MAX ? UINT32_MAX : (uint32_t)number;
    to->kind = (uint8_t)kind;
    s->changed = true;
}

static bool
full(struct wn_walk *walk)
{
    (void)walk;
    return false;
}

static int
flush(struct wn_walk *walk)
{
    (void)walk;
    return 0;
}

static int
find_paths(struct search *s)
{
    int rc;

    wn_walk_prepare();
    rc = wn_set_copy(&s->set);
    if (rc)
        return rc;
    s->step = wn_calloc((size_t)s->set.count + 1, sizeof *s->step);
    if (!s->step)
        return -ENOMEM;
    s->counts = true;
    rc = wn_walk_run(&s->walk);
    if (rc)
        return rc;
    s->counts = false;
    for (uint32_t i = 0; i < s->set.count; i++)
        s->step[i].depth = s->step[i].held > 0 ? 0 : FAR;
    for (int i = 0; i < MOST_WALKS; i++) {
        s->changed = false;
        rc = wn_walk_run(&s->walk);
        if (rc || !s->changed)
            return rc;
    }
    return 0;
}

/* ---- Telling ------------------------------------------------------------------------------------------------------------ */

static void
say_path(struct wn_text *t, const struct search *s, uint32_t rank)
{
    uint32_t chain[MOST_STEPS];
    int      n = 0;
    bool     cut = false;

    for (uint32_t at = rank;; at = s->step[at].from) {
        if (n < MOST_STEPS)
            chain[n++] = at;
        else
            cut = true;
        if (!s->step[at].depth)
            break;
    }
    wn_text_string(t, cut ? "    held from outside -> .. " : "    held from outside -> ");
    while (n--) {
        const struct step    *step = &s->step[chain[n]];
        const struct wn_type *type = load_acquire(&wn_types[step->type]);

        if (step->depth) {
            wn_explain_edge(t, load_acquire(&wn_types[s->step[step->from].type]), step->kind, step->number);
            wn_text_string(t, " -> ");
        }
        wn_text_string(t, type->name);
    }
    wn_text_string(t, "\n");
}

/* The first of that type with a path, else the first. */
static void
say_sample(struct wn_text *t, const struct search *s, uint32_t type)
{
    bool seen = false;

    for (uint32_t i = 0; i < s->set.count; i++) {
        if (s->step[i].type != type)
            continue;
        seen = true;
        if (s->step[i].depth == FAR)
            continue;
        say_path(t, s, i);
        return;
    }
    wn_text_string(t, seen ? "    no path was found: a cycle that is not collected yet, or a very long path\n"
                           : "    no object of it is observed\n");
}

/* ---- Types -------------------------------------------------------------------------------------------------------------- */

/* Immortals are not leaks. */
static void
add_row(struct rows *rows, uint32_t id)
{
    const struct wn_type *type = load_acquire(&wn_types[id]);
    struct row            row = {.name = type->name, .id = id};

    wn_type_alive(type, &row.objects, &row.bytes);
    row.objects -= (int64_t)load_relaxed(&type->immortal);
    if (row.objects > 0)
        rows->row[rows->count++] = row;
}

static int
larger_first(const void *a, const void *b)
{
    const struct row *x = a, *y = b;

    return x->bytes != y->bytes ? (x->bytes < y->bytes) - (x->bytes > y->bytes) : (x->id > y->id) - (x->id < y->id);
}

static int64_t
say_rows(struct wn_text *t, const struct rows *rows, const struct search *s)
{
    int64_t objects = 0;

    for (uint32_t i = 0; i < rows->count; i++)
        objects += rows->row[i].objects;
    wn_text_print(t, "%lld object%s alive\n", (long long)objects, objects == 1 ? "" : "s");
    for (uint32_t i = 0; i < rows->count; i++) {
        wn_text_print(t, "  %lld of type '%s', %lld bytes\n", (long long)rows->row[i].objects, rows->row[i].name,
                      (long long)rows->row[i].bytes);
        if (s && i < MOST_TYPES)
            say_sample(t, s, rows->row[i].id);
    }
    if (!s)
        wn_text_string(t, "wane_observe is off: no paths\n");
    return objects;
}

static int
report(int fd, int64_t *alive)
{
    struct search  s = {.walk = {.set = &s.set, .types = wn_type_count(), .begin = begin, .edge = edge,
                                 .flush = flush, .full = full}};
    struct rows    rows = {wn_malloc(((size_t)s.walk.types + 1) * sizeof *rows.row), 0};
    bool           observed = load_relaxed(&wn_registry_state) & WN_REGISTRY_USED;
    struct wn_text t;
    int            rc = !rows.row ? -ENOMEM : wn_in_section() ? -EDEADLK : observed ? find_paths(&s) : 0;

    if (!rc) {
        wn_text_init(&t, fd);
        for (uint32_t id = 1; id <= s.walk.types; id++)
            add_row(&rows, id);
        qsort(rows.row, rows.count, sizeof *rows.row, larger_first);
        *alive = say_rows(&t, &rows, observed ? &s : NULL);
        rc = wn_text_done(&t);
    }
    wn_set_free(&s.set);
    wn_free(s.step);
    wn_free(rows.row);
    return rc;
}

int
wane_leak_report(int fd)
{
    int64_t alive;

    return report(fd, &alive);
}

/* ---- At the end of a test ------------------------------------------------------------------------------------------------- */

static struct wane_atomic32 exit_status; /* a: 0: leaks do not matter */

void
wane_leak_exit(int status)
{
    store_relaxed(&exit_status, (uint32_t)status);
}

void
wn_leak_init(void)
{
    const char *value = getenv("WANE_LEAK_EXIT");

    if (value && *value)
        wane_leak_exit((int)strtol(value, NULL, 10));
}

void
wn_leak_forked(void)
{
    store_relaxed(&exit_status, 0u);
}

void
wn_leak_at_exit(void)
{
    int     status = (int)load_relaxed(&exit_status), rc;
    int64_t alive = 0;

    if (!status)
        return;
    rc = wn_in_section() ? -EDEADLK : 0;
    if (!rc)
        wn_life_drain();
    if (!rc && !wn_objects_alive())
        return;
    rc = rc ? rc : report(fileno(stderr), &alive);
    if (rc)
        fprintf(stderr, "wane: leaks cannot be looked for: %s\n", strerror(-rc));
    if (!rc && alive <= 0)
        return; /* immortals */
    fflush(NULL);
    _exit(status);
}
