/* SPDX-License-Identifier: MIT
 *
 * census.c - all lanes have ended: who lives, and how often it is referred to
 *
 * What is there at once is a failure at once (an object that is reached and disposed of, an own slot with something else in
 * it). What should still come (deaths, counts of units that were on their way) is waited for.
 */
#include "world.h"

#include <string.h>
#include <time.h>

#include <wane/collector.h>

unsigned world_patience = 30000;

struct census {
    unsigned      found[MAX_LANES * MAX_OPS]; /* references to it */
    struct thing *stack[MAX_LANES * MAX_OPS];
    unsigned      depth;
    void         *weak[2 * MAX_LANES * MAX_OPS];
    unsigned      weaks, arrays, things;
};

static uint64_t
now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* ---- Walking -------------------------------------------------------------------------------------------------------- */

static void
find(struct census *c, struct thing *t)
{
    if (!t)
        return;
    thing_check(t);
    if (atomic_load(&world.entry[t->id].disposed))
        world_fail("object %d is reachable, and disposed of", t->id);
    if (c->found[t->id]++ == 0)
        c->stack[c->depth++] = t;
}

static void
find_weak(struct census *c, void *weak)
{
    if (!weak)
        return;
    for (unsigned i = 0; i < c->weaks; i++)
        if (c->weak[i] == weak)
            return;
    c->weak[c->weaks++] = weak;
}

static void
walk(struct census *c, struct thing *t)
{
    struct place  common;
    unsigned      own = thing_own_slots(t);
    wane_slot    *weak = thing_weak_slot(t);

    c->things++;
    c->arrays += t->kind == KIND_ARRAY;
    for (unsigned s = 0; s < own; s++) {
        struct place place = thing_own(t, s);

        place_expect(&place, place_peek(&place));
        find(c, place_peek(&place));
    }
    for (unsigned s = 0; s < MOST_COMMON && own > 0 && thing_common(t, s, &common); s++) {
        if (s >= 2 && (t->kind == KIND_NODE || t->kind == KIND_FINAL || t->kind == KIND_PHOENIX))
            break;
        if (s >= 4 && t->kind == KIND_MAP)
            break;
        place_expect(&common, place_peek(&common));
        find(c, place_peek(&common));
    }
    if (weak)
        find_weak(c, wane_peek(weak));
    if (atomic_load(&world.entry[t->id].weak))
        find_weak(c, atomic_load(&world.entry[t->id].weak));
}

static void
walk_all(struct census *c)
{
    memset(c, 0, sizeof *c);
    wane_enter();
    for (int i = 0; i < ROOTS; i++) {
        struct place root = {.slot = &world.root[i], .expected = world.exact ? &world.root_id[i] : NULL};

        place_expect(&root, place_peek(&root));
        find(c, place_peek(&root));
    }
    for (int i = 0; i < MAILBOXES; i++)
        find(c, atomic_load(&world.mailbox[i]));
    for (unsigned n = 0; n < world.lanes; n++) {
        struct lane *l = &world.lane[n];

        for (int i = 0; i < REGISTERS; i++)
            find(c, l->r[i]);
        for (int i = 0; i < COMMONS; i++)
            find(c, l->x[i]);
        for (int i = 0; i < WEAKS; i++)
            find_weak(c, l->w[i]);
    }
    while (c->depth > 0)
        walk(c, c->stack[--c->depth]);
    wane_leave();
}

/* ---- Comparing ------------------------------------------------------------------------------------------------------ */

/* From the header (fast.h): the owner's part and everybody's. */
static int64_t
count_of(const struct thing *t)
{
    const struct wane_header *h = WANE_HEADER(t);
    uint64_t                  w0 = WANE_LOAD_RELAXED(&h->word0), w1 = WANE_LOAD_ACQUIRE(&h->word1);
    int64_t                   local = w1 & 1 ? 0 : (int64_t)(w0 & (2 * WANE_LOCAL_LIMIT - 1));

    return local + (int32_t)(uint32_t)(w1 >> 15);
}

static struct {
    char    what[200];
    int64_t things, arrays, weaks;
} said;

static uint64_t finalized_before; /* by earlier programs */

static bool
say(const char *what, long long a, long long b)
{
    snprintf(said.what, sizeof said.what, what, a, b);
    return false;
}

static void
add_type(const char *name, int64_t objects, int64_t bytes, void *unused)
{
    (void)bytes;
    (void)unused;
    if (strcmp(name, "wane_array") == 0)
        said.arrays += objects;
    else if (strcmp(name, "wane.weak") == 0)
        said.weaks += objects;
    else if (strncmp(name, "wane", 4) != 0)
        said.things += objects;
}

/* Weak references of everybody who lives answer, those of the dead do not; callbacks ran for the dead alone. */
static bool
weak_is_right(const struct census *c, int id)
{
    struct entry *e = &world.entry[id];
    unsigned      due = c->found[id] ? 0 : atomic_load(&e->registered) - atomic_load(&e->cancelled);

    if (atomic_load(&e->notified) > due)
        world_fail("object %d: %u notifications, where %u are due", id, atomic_load(&e->notified), due);
    if (atomic_load(&e->notified) != due)
        return say("object %lld: %lld notifications are missing", id, due - atomic_load(&e->notified));
    if (c->found[id] && atomic_load(&e->weak)) {
        void *t = wane_weak_get(atomic_load(&e->weak));

        if (t != e->thing)
            world_fail("object %d lives, and its weak reference says otherwise", id);
        wane_release(t);
    }
    return true;
}

static bool
entry_is_right(const struct census *c, int id)
{
    struct entry *e = &world.entry[id];

    if (!e->thing)
        return true;
    if (!c->found[id] && !atomic_load(&e->disposed))
        return say("object %lld (of lane %lld) is not reachable, and not disposed of", id, id / MAX_OPS);
    if (!weak_is_right(c, id))
        return false;
    if (c->found[id] && count_of(e->thing) != c->found[id]) {
        snprintf(said.what, sizeof said.what, "object %d has the count %lld, and %u references", id,
                 (long long)count_of(e->thing), c->found[id]);
        return false;
    }
    return true;
}

static bool
statistics_are_right(const struct census *c)
{
    struct wane_stats s;
    uint64_t          aborts[WANE_ABORTS], aborted = 0;

    said.things = said.arrays = said.weaks = 0;
    wane_type_stats(add_type, NULL);
    if (said.things != c->things)
        return say("%lld objects live, %lld are reachable", said.things, c->things);
    if (said.arrays != c->arrays)
        return say("%lld arrays live, %lld are reachable", said.arrays, c->arrays);
    if (said.weaks != c->weaks)
        return say("%lld weak references live, %lld should", said.weaks, c->weaks);
    wane_stats(&s);
    if (s.displaced != s.applied)
        return say("%lld units displaced, %lld given back", (long long)s.displaced, (long long)s.applied);
    if (s.lost_units || s.lost_candidates)
        world_fail("units or candidates are lost, and memory was not short");
    wane_aborts(aborts);
    for (int i = 0; i < WANE_ABORTS; i++)
        aborted += aborts[i];
    if (aborted != s.aborted)
        return say("%lld suspects given back, %lld by reasons", (long long)s.aborted, (long long)aborted);
    if (s.finalized - finalized_before != atomic_load(&world.finalized))
        return say("%lld finalizers have run, statistics say %lld", (long long)world.finalized,
                   (long long)(s.finalized - finalized_before));
    if (atomic_load(&world.later) != atomic_load(&world.later_done))
        return say("%lld calls were deferred, %lld have come", (long long)world.later, (long long)world.later_done);
    return true;
}

static bool
is_right(struct census *c)
{
    walk_all(c);
    for (unsigned id = 0; id < world.lanes * MAX_OPS; id++)
        if (!entry_is_right(c, (int)id))
            return false;
    return statistics_are_right(c);
}

/* Others get on, too, when the first tries were not enough. */
static void
help_on(unsigned tries)
{
    (void)wane_run_finalizers();
    (void)wane_barrier();
    (void)wane_collect(WANE_ALL, NULL);
    if (tries > 2)
        nanosleep(&(struct timespec){0, 1000000}, NULL);
}

static void
wait_until_right(const char *when)
{
    static struct census c;
    uint64_t             end = now_ms() + world_patience;

    for (unsigned tries = 0; !is_right(&c); tries++) {
        if (now_ms() > end)
            world_fail("%s: %s", when, said.what);
        help_on(tries);
    }
}

/* ---- The end -------------------------------------------------------------------------------------------------------- */

static void
let_all_go(void)
{
    for (int i = 0; i < MAILBOXES; i++)
        wane_release(atomic_exchange(&world.mailbox[i], NULL));
    for (unsigned n = 0; n < world.lanes; n++) {
        struct lane *l = &world.lane[n];

        for (int i = 0; i < REGISTERS; i++)
            wane_release(l->r[i]);
        for (int i = 0; i < COMMONS; i++)
            wane_release(l->x[i]);
        for (int i = 0; i < WEAKS; i++)
            wane_release(l->w[i]);
        memset(l->r, 0, sizeof l->r);
        memset(l->x, 0, sizeof l->x);
        memset(l->w, 0, sizeof l->w);
    }
}

static void
wait_until_empty(void)
{
    struct wane_stats s;
    uint64_t          end = now_ms() + world_patience;
    unsigned          tries = 0;

    for (wane_stats(&s); s.objects_born != s.objects_died; wane_stats(&s)) {
        if (now_ms() > end)
            world_fail("all is let go, and %llu objects live", (unsigned long long)(s.objects_born - s.objects_died));
        for (int i = 0; i < ROOTS; i++)
            wane_clear(&world.root[i]); /* a phoenix comes back, once */
        help_on(tries++);
    }
    memset(world.root_id, 0xff, sizeof world.root_id);
}

void
world_census(void)
{
    struct wane_stats s;

    (void)wane_unfreeze();
    wait_until_right("at the end");
    let_all_go();
    wait_until_empty();
    wait_until_right("when all was let go");
    wane_stats(&s);
    if (s.died_in_cycles > s.objects_died)
        world_fail("more have died in cycles than at all");
    finalized_before = s.finalized;
}

void
world_end(void)
{
    int left = wane_shutdown();

    if (left)
        world_fail("%d objects are left at shutdown", left);
}
