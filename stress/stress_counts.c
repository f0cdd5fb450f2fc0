/* SPDX-License-Identifier: MIT
 *
 * stress_counts.c - units of shared objects travel between threads through lock-free mailboxes
 *
 * Each thread has a hand of units. It makes objects, retains and releases what it holds, and swaps single units
 * with a row of mailboxes, so that units are given back by anybody: in sections and out of them, by the creator
 * and by others, while the creator is busy, asleep or gone. What goes into a mailbox is given away in transit if it
 * may be; what comes out is adopted, or used as it is. Objects are shared for a while and unshared under the others' hands.
 *
 * Oracle: every object counts its units in a field of the test's own. A holder sees an intact canary. dispose and
 * finalize find that number at zero: they never run while somebody holds a unit. At the end each object has been
 * disposed of once, and each one that has a finalizer was finalized once.
 */
#include "harness.h"

#include <wane/wane.h>

#define LIVE  UINT64_C(0x1157a1157a1157a1)
#define DEAD  UINT64_C(0xdeaddeaddeaddead)
#define HAND  16
#define BOXES 64

struct thing {
    uint64_t    magic;
    atomic_int  units;
    atomic_int  finals;
    unsigned    creator;
    bool        has_finalizer;
    wane_slot   slot; /* always empty: types with slots are candidates, leaves are not */
};

static _Atomic(struct thing *) boxes[BOXES];
static atomic_ullong           made, gone, made_finalizable, finalized;

enum { BY_CREATOR, BY_STRANGER, TRAVELLED, GIVEN, SHARED, OVERLAPS };
static struct stress_overlap overlaps[OVERLAPS] = {
    [BY_CREATOR] = {.name = "last unit given back by the creator", .need = 100},
    [BY_STRANGER] = {.name = "last unit given back by another worker", .need = 100},
    [TRAVELLED] = {.name = "units received from another worker", .need = 1000},
    [GIVEN] = {.name = "objects given away as the only unit", .need = 100},
    [SHARED] = {.name = "objects shared while others may hold them", .need = 100},
};

static void
check(const struct thing *t)
{
    if (t->magic != LIVE)
        stress_fail(t->magic == DEAD ? "a held object is disposed of" : "a held object is damaged");
}

static void
check_unheld(struct thing *t, const char *what)
{
    int units = atomic_load_explicit(&t->units, memory_order_relaxed);

    check(t);
    if (units != 0)
        stress_fail("%s of an object with %d units", what, units);
}

static void
dispose(void *object)
{
    struct thing *t = object;

    check_unheld(t, "dispose");
    if (t->has_finalizer && atomic_load(&t->finals) != 1)
        stress_fail("disposed of without its finalizer");
    t->magic = DEAD;
    atomic_fetch_add(&gone, 1);
    if (stress_me)
        stress_seen(&overlaps[stress_me->index == t->creator ? BY_CREATOR : BY_STRANGER]);
}

static void
finalize(void *object)
{
    struct thing *t = object;

    check_unheld(t, "finalize");
    if (atomic_fetch_add(&t->finals, 1) != 0)
        stress_fail("finalized twice");
    atomic_fetch_add(&finalized, 1);
}

static const uint32_t   slots[] = {offsetof(struct thing, slot)};
static struct wane_type types[] = {
    {.name = "leaf", .size = sizeof(struct thing), .dispose = dispose},
    {.name = "node", .size = sizeof(struct thing), .slots = slots, .slot_count = 1, .dispose = dispose},
    {.name = "final", .size = sizeof(struct thing), .dispose = dispose, .finalize = finalize},
    {.name = "final node", .size = sizeof(struct thing), .slots = slots, .slot_count = 1, .dispose = dispose,
     .finalize = finalize},
};

/* ---- Units
 * -------------------------------------------------------------------------------------------------------- */

static struct thing *
make(struct stress_worker *me)
{
    struct wane_type *type = &types[stress_random(me, sizeof types / sizeof types[0])];
    struct thing     *t = wane_new(type);

    if (!t)
        stress_fail("no memory");
    t->magic = LIVE;
    t->creator = me->index;
    t->has_finalizer = type->finalize != NULL;
    atomic_store_explicit(&t->units, 1, memory_order_relaxed);
    atomic_fetch_add(&made, 1);
    if (t->has_finalizer)
        atomic_fetch_add(&made_finalizable, 1);
    return t;
}

static struct thing *
retain(struct thing *t)
{
    check(t);
    atomic_fetch_add_explicit(&t->units, 1, memory_order_relaxed);
    return wane_retain(t);
}

/* Our own number goes down first: it is a bound from below while it changes. */
static void
release(struct thing *t)
{
    if (!t)
        return;
    check(t);
    atomic_fetch_sub_explicit(&t->units, 1, memory_order_relaxed);
    wane_release(t);
}

/* ---- The workers' play
 * --------------------------------------------------------------------------------------------- */

static void
swap_with_a_box(struct stress_worker *me, struct thing **held)
{
    struct thing *got;

    if (*held && stress_random(me, 2) && wane_give(*held) == 0)
        stress_seen(&overlaps[GIVEN]);
    got = atomic_exchange(&boxes[stress_random(me, BOXES)], *held);
    *held = got;
    if (!got)
        return;
    check(got);
    if (stress_random(me, 2))
        (void)wane_adopt(got);
    if (got->creator != me->index)
        stress_seen(&overlaps[TRAVELLED]);
}

static void
pump(struct stress_worker *me, struct thing *t)
{
    uint64_t n = 1 + stress_random(me, 30);

    for (uint64_t i = 0; i < n; i++)
        (void)retain(t);
    for (uint64_t i = 0; i < n; i++)
        release(t);
}

/* Who has shared it unshares it; others may come in between, and are told so. */
static void
pump_shared(struct stress_worker *me, struct thing *t)
{
    bool mine = wane_share(t) == 0;

    pump(me, t);
    if (!mine)
        return;
    stress_seen(&overlaps[SHARED]);
    if (wane_unshare(t) != 0)
        stress_fail("who has shared an object could not unshare it");
}

static void
step(struct stress_worker *me, struct thing *hand[HAND])
{
    struct thing **a = &hand[stress_random(me, HAND)];
    struct thing **b = &hand[stress_random(me, HAND)];

    switch (stress_random(me, 9)) {
    case 0:
    case 1:
        release(*a);
        *a = make(me);
        break;
    case 2:
    case 3:
    case 4:
        swap_with_a_box(me, a);
        break;
    case 5:
        if (a != b && *a) {
            release(*b);
            *b = retain(*a);
        }
        break;
    case 6:
        if (*a)
            pump(me, *a);
        break;
    case 7:
        if (*a)
            pump_shared(me, *a);
        break;
    default:
        release(*a);
        *a = NULL;
    }
}

static void
work(struct stress_worker *me)
{
    struct thing *hand[HAND] = {NULL};

    while (stress_goes_on(me)) {
        uint64_t burst = 1 + stress_random(me, 200);
        bool     in_section = stress_random(me, 4) != 0;

        stress_phase(me, in_section ? "a burst in a section" : "a burst outside of sections");
        if (in_section)
            wane_enter();
        while (burst--)
            step(me, hand);
        if (in_section)
            wane_leave();
        if (stress_random(me, 200) == 0) {
            stress_phase(me, "asleep: others act for this thread");
            stress_nap();
            stress_nap();
        }
    }
    for (int i = 0; i < HAND; i++)
        release(hand[i]);
}

static void
begin(unsigned threads)
{
    (void)threads;
}

static void
end(unsigned threads)
{
    (void)threads;
    for (int i = 0; i < BOXES; i++)
        release(atomic_exchange(&boxes[i], NULL));
    stress_settle(0);
    if (atomic_load(&made) != atomic_load(&gone))
        stress_fail("%llu made, %llu disposed of", (unsigned long long)made, (unsigned long long)gone);
    if (atomic_load(&made_finalizable) != atomic_load(&finalized))
        stress_fail("%llu with finalizers, %llu finalized", (unsigned long long)made_finalizable,
                    (unsigned long long)finalized);
}

int
main(int argc, char **argv)
{
    static const struct stress program = {.name = "stress_counts",
                                          .begin = begin,
                                          .work = work,
                                          .end = end,
                                          .overlaps = overlaps,
                                          .overlap_count = OVERLAPS};

    return stress_main(argc, argv, &program);
}
