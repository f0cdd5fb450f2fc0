/* SPDX-License-Identifier: MIT
 *
 * stress_cycles.c - graphs are built and severed while the collector runs all the time
 *
 * Each worker has a graph of its own, which it mirrors in plain integers: root units, and nodes with three slots.
 * It links, unlinks, moves and drops at random, so that rings and small strongly connected graphs become garbage
 * all the time. Beside that all workers share slots, through which they join, sever and drop rings that nobody
 * mirrors, and hold weak references into them. The thread aside does nothing but collect; the background is at
 * work too.
 *
 * Oracle: what the mirror calls reachable is never disposed of, and each slot holds what the mirror says. At the
 * end, after barriers and collections, exactly the reachable nodes of all mirrors live; when the roots are dropped
 * nothing does.
 */
#include "harness.h"

#include <errno.h>

#include <wane/wane.h>

#include "mirror.h"

#define SHARED    8
#define MANY_LIVE 20000 /* more shared nodes than that: wait for the collector */

enum { DURING, UPGRADED, WEAK_NULL, SHARED_GONE, OWN_GONE, OVERLAPS };
static struct stress_overlap overlaps[OVERLAPS] = {
    [DURING] = {.name = "steps during a collection", .need = 1000},
    [UPGRADED] = {.name = "weak upgrades of shared nodes", .need = 100},
    [WEAK_NULL] = {.name = "weak references gone NULL", .need = 50},
    [SHARED_GONE] = {.name = "shared nodes disposed of", .need = 1000},
    [OWN_GONE] = {.name = "mirrored nodes disposed of", .need = 1000},
};

static atomic_bool collecting;

/* ---- Shared nodes: no mirror, only canaries and the census
 * ----------------------------------------------------------- */

#define LIVE UINT64_C(0x5ea5ed0b1ec75)
#define DEAD UINT64_C(0xdeaddeaddeaddead)

struct common {
    uint64_t  magic;
    wane_slot slot[3]; /* 0: the ring, 1 and 2: edges to other rings */
};

static wane_slot     shared[SHARED];
static atomic_ullong shared_made, shared_gone;

static void
common_check(const struct common *n)
{
    if (n->magic != LIVE)
        stress_fail(n->magic == DEAD ? "a held shared node is disposed of" : "a held shared node is damaged");
}

static void
common_dispose(void *object)
{
    struct common *n = object;

    common_check(n);
    n->magic = DEAD;
    atomic_fetch_add(&shared_gone, 1);
    stress_seen(&overlaps[SHARED_GONE]);
}

#define SLOT_AT(i) (offsetof(struct common, slot) + (i) * sizeof(wane_slot))
static const uint32_t   common_slots[] = {SLOT_AT(0), SLOT_AT(1), SLOT_AT(2)};
static struct wane_type common_type = {.name = "shared",
                                       .size = sizeof(struct common),
                                       .slots = common_slots,
                                       .slot_count = 3,
                                       .dispose = common_dispose};

static struct common *
common_new(void)
{
    struct common *n = wane_new(&common_type);

    if (!n)
        stress_fail("no memory");
    n->magic = LIVE;
    atomic_fetch_add(&shared_made, 1);
    return n;
}

static struct common *
common_ring(uint64_t size)
{
    struct common *first = common_new();
    struct common *last = first;

    while (--size > 0) {
        struct common *next = common_new();

        wane_put(&last->slot[0], next);
        last = next;
    }
    wane_set(&last->slot[0], first);
    return first;
}

/* Walk from a shared slot; borrowed, in the caller's section. */
static struct common *
common_walk(struct stress_worker *me)
{
    struct common *n = wane_peek(&shared[stress_random(me, SHARED)]);

    for (uint64_t k = stress_random(me, 6); n && k > 0; k--) {
        struct common *next;

        common_check(n);
        next = wane_peek(&n->slot[stress_random(me, 3)]);
        if (!next)
            break;
        n = next;
    }
    if (n)
        common_check(n);
    return n;
}

static void
join_or_sever(struct stress_worker *me)
{
    struct common *a = common_walk(me);
    struct common *b = common_walk(me);
    wane_slot     *slot;

    if (!a)
        return;
    slot = &a->slot[stress_random(me, 3)];
    if (stress_random(me, 2))
        wane_set(slot, b);
    else if (b)
        wane_put(slot, wane_retain(b));
    else
        wane_clear(slot);
}

static void
hold_weakly(struct stress_worker *me, void **weak)
{
    struct common *n = *weak ? wane_weak_get(*weak) : NULL;

    if (n) {
        common_check(n);
        WANE_SECTION {
            struct common *next = wane_peek(&n->slot[0]);

            if (next)
                common_check(next);
        }
        wane_release(n);
        stress_seen(&overlaps[UPGRADED]);
        if (stress_random(me, 4))
            return;
    } else if (*weak) {
        stress_seen(&overlaps[WEAK_NULL]);
    }
    wane_release(*weak);
    *weak = NULL;
    WANE_SECTION {
        n = common_walk(me);
        if (n)
            *weak = wane_weak(n);
    }
}

static void
shared_step(struct stress_worker *me, void **weak)
{
    wane_slot     *slot = &shared[stress_random(me, SHARED)];
    struct common *n;

    switch (stress_random(me, 8)) {
    case 0:
        wane_put(slot, common_ring(1 + stress_random(me, 6)));
        break;
    case 1:
        n = wane_take(slot);
        if (n)
            common_check(n);
        wane_release(n);
        break;
    case 2:
        wane_clear(slot);
        break;
    case 3:
        hold_weakly(me, weak);
        break;
    default:
        WANE_SECTION
            join_or_sever(me);
    }
}

/* ---- The program
 * ------------------------------------------------------------------------------------------------------ */

static struct mirror *mirrors[256];

static void
own_gone(void)
{
    stress_seen(&overlaps[OWN_GONE]);
}

static void
work(struct stress_worker *me)
{
    struct mirror *m = mirrors[me->index];
    void          *weak = NULL;

    while (stress_goes_on(me)) {
        stress_phase(me, "its own graph");
        for (int i = 0; i < 32; i++)
            mirror_step(m, me);
        stress_phase(me, "the shared graph");
        for (int i = 0; i < 16; i++)
            shared_step(me, &weak);
        if (atomic_load(&collecting))
            stress_seen(&overlaps[DURING]);
        stress_phase(me, "waiting for the collector");
        while (atomic_load(&shared_made) - atomic_load(&shared_gone) > MANY_LIVE && stress_goes_on(me)) {
            wane_clear(&shared[stress_random(me, SHARED)]);
            stress_nap();
        }
    }
    wane_release(weak);
}

static void
aside(struct stress_worker *me)
{
    while (stress_goes_on(me)) {
        int rc;

        stress_phase(me, "collecting");
        atomic_store(&collecting, true);
        rc = wane_collect((int)stress_random(me, WANE_ALL + 1), NULL);
        atomic_store(&collecting, false);
        if (rc != 0 && rc != -EAGAIN)
            stress_fail("wane_collect returned %d", rc);
        if (stress_random(me, 4) == 0)
            stress_nap();
    }
}

static void
begin(unsigned threads)
{
    for (unsigned i = 0; i < threads; i++)
        mirrors[i] = mirror_new(own_gone);
}

static void
end(unsigned threads)
{
    uint64_t reachable = 0;

    for (int i = 0; i < SHARED; i++)
        wane_clear(&shared[i]);
    for (unsigned i = 0; i < threads; i++)
        reachable += mirror_reachable(mirrors[i]);
    stress_settle(reachable);
    for (unsigned i = 0; i < threads; i++)
        mirror_census(mirrors[i]);
    for (unsigned i = 0; i < threads; i++)
        mirror_drop(mirrors[i]);
    stress_settle(0);
    for (unsigned i = 0; i < threads; i++)
        mirror_free(mirrors[i]);
    if (atomic_load(&shared_made) != atomic_load(&shared_gone))
        stress_fail("%llu shared nodes made, %llu disposed of", (unsigned long long)shared_made,
                    (unsigned long long)shared_gone);
}

int
main(int argc, char **argv)
{
    static const struct stress program = {.name = "stress_cycles",
                                          .begin = begin,
                                          .work = work,
                                          .aside = aside,
                                          .end = end,
                                          .overlaps = overlaps,
                                          .overlap_count = OVERLAPS};

    return stress_main(argc, argv, &program);
}
