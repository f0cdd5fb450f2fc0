/* SPDX-License-Identifier: MIT
 *
 * stress_slots.c - readers borrow and walk while writers store, take, swap and compare-and-swap the same slots
 *
 * A row of root slots holds boxes, each box holds up to two items. Every thread reads most of the time and writes
 * sometimes. A writer that takes something out of a root notes on it that it was displaced.
 *
 * Oracle: dispose poisons the canary, and no valid borrow may ever see poison. The histogram of ages tells what
 * readers saw at the end of their sections: still in place, displaced under the borrow (must occur, else the run
 * shows nothing), disposed of (must not occur). At the end everything made has been disposed of once.
 */
#include "harness.h"

#include <sched.h>

#include <wane/wane.h>

#define LIVE      UINT64_C(0x51075107510751)
#define DEAD      UINT64_C(0xdeaddeaddeaddead)
#define ROOTS     12
#define MANY_LIVE 100000 /* more made than disposed of: writers wait for grace periods */

struct thing {
    uint64_t    magic, id, check;
    atomic_uint displaced; /* how often taken out of a root */
    wane_slot   item[2];   /* of boxes */
};

static wane_slot     roots[ROOTS];
static atomic_ullong made, gone, next_id;

enum { IN_PLACE, DISPLACED, KEPT, CAS_WON, CAS_LOST, OVERLAPS };
static struct stress_overlap overlaps[OVERLAPS] = {
    [IN_PLACE] = {.name = "borrowed, still in place afterwards", .need = 1000},
    [DISPLACED] = {.name = "borrowed, displaced meanwhile", .need = 50},
    [KEPT] = {.name = "borrowed, then owned beyond the section", .need = 100},
    [CAS_WON] = {.name = "compare-and-swap won", .need = 100},
    [CAS_LOST] = {.name = "compare-and-swap lost", .need = 10},
};

static void
check(const struct thing *t)
{
    if (t->magic != LIVE || t->check != ~t->id)
        stress_fail(t->magic == DEAD ? "a borrow sees a disposed object" : "a borrow sees a damaged object");
}

static void
dispose(void *object)
{
    struct thing *t = object;

    if (t->magic != LIVE || t->check != ~t->id)
        stress_fail("dispose of a disposed or damaged object");
    t->magic = DEAD;
    atomic_fetch_add(&gone, 1);
}

static const uint32_t   slots[] = {offsetof(struct thing, item), offsetof(struct thing, item) + sizeof(wane_slot)};
static struct wane_type box_type = {
    .name = "box", .size = sizeof(struct thing), .slots = slots, .slot_count = 2, .dispose = dispose};
static struct wane_type item_type = {.name = "item", .size = sizeof(struct thing), .dispose = dispose};

static struct thing *
make(struct wane_type *type)
{
    struct thing *t = wane_new(type);

    if (!t)
        stress_fail("no memory");
    t->magic = LIVE;
    t->id = atomic_fetch_add(&next_id, 1);
    t->check = ~t->id;
    atomic_fetch_add(&made, 1);
    return t;
}

static struct thing *
make_box(struct stress_worker *me)
{
    struct thing *box = make(&box_type);

    wane_put_private(&box->item[0], make(&item_type));
    if (stress_random(me, 2))
        wane_put_private(&box->item[1], make(&item_type));
    return box;
}

static wane_slot *
any_root(struct stress_worker *me)
{
    return &roots[stress_random(me, ROOTS)];
}

/* ---- Readers
 * ------------------------------------------------------------------------------------------------------ */

static void
look_into(struct thing *box)
{
    check(box);
    for (int i = 0; i < 2; i++) {
        struct thing *item = wane_peek(&box->item[i]);

        if (item)
            check(item);
    }
}

static void
read_one(struct stress_worker *me)
{
    struct thing *kept = NULL;

    WANE_SECTION {
        wane_slot    *root = any_root(me);
        struct thing *box = wane_peek(root);
        struct thing *item;
        unsigned      before;

        if (!box)
            break;
        before = atomic_load(&box->displaced);
        item = wane_peek(&box->item[0]);
        look_into(box);
        if (stress_random(me, 16) == 0)
            sched_yield();
        look_into(box);
        if (item)
            check(item);
        if (stress_random(me, 8) == 0)
            kept = wane_get(&box->item[stress_random(me, 2)]);
        stress_seen(&overlaps[atomic_load(&box->displaced) == before ? IN_PLACE : DISPLACED]);
    }
    if (!kept)
        return;
    check(kept);
    stress_seen(&overlaps[KEPT]);
    wane_release(kept);
}

/* Some borrows at once, for longer. */
static void
read_all(struct stress_worker *me)
{
    struct thing *seen[ROOTS];

    wane_enter();
    for (int i = 0; i < ROOTS; i++) {
        seen[i] = wane_peek(&roots[i]);
        if (stress_random(me, 8) == 0)
            sched_yield();
    }
    for (int i = 0; i < ROOTS; i++)
        if (seen[i])
            look_into(seen[i]);
    wane_leave();
}

/* ---- Writers
 * ------------------------------------------------------------------------------------------------------- */

static void
displaced(struct thing *box)
{
    if (!box)
        return;
    check(box);
    atomic_fetch_add(&box->displaced, 1);
    wane_release(box);
}

/* In a section: the expected object is borrowed. */
static void
compare_and_swap(struct stress_worker *me)
{
    wane_slot    *root = any_root(me);
    struct thing *old = wane_peek(root);
    struct thing *box = make_box(me);
    bool          won;

    if (stress_random(me, 4) == 0)
        sched_yield();
    if (stress_random(me, 2)) {
        won = wane_cas_put(root, old, box);
        if (!won)
            wane_release(box);
    } else {
        won = wane_cas(root, old, box);
        wane_release(box);
    }
    if (won && old)
        atomic_fetch_add(&old->displaced, 1);
    stress_seen(&overlaps[won ? CAS_WON : CAS_LOST]);
}

static void
copy_a_root(struct stress_worker *me)
{
    struct thing *box = wane_get(any_root(me));

    if (box)
        check(box);
    wane_set(any_root(me), box);
    wane_release(box);
}

static void
change_a_box(struct stress_worker *me)
{
    struct thing *box = wane_peek(any_root(me));
    wane_slot    *slot;

    if (!box)
        return;
    slot = &box->item[stress_random(me, 2)];
    if (stress_random(me, 3))
        wane_put(slot, make(&item_type));
    else
        wane_release(wane_take(slot));
}

static void
write_one(struct stress_worker *me)
{
    switch (stress_random(me, 8)) {
    case 0:
        wane_put(any_root(me), make_box(me));
        break;
    case 1:
        displaced(wane_swap(any_root(me), make_box(me)));
        break;
    case 2:
        displaced(wane_take(any_root(me)));
        break;
    case 3:
        copy_a_root(me);
        break;
    case 4:
        WANE_SECTION
            change_a_box(me);
        break;
    default:
        WANE_SECTION
            compare_and_swap(me);
    }
}

static void
work(struct stress_worker *me)
{
    while (stress_goes_on(me)) {
        uint64_t what = stress_random(me, 100);

        stress_phase(me, what < 60 ? "reading one" : what < 70 ? "reading all" : "writing");
        if (what < 60)
            read_one(me);
        else if (what < 70)
            read_all(me);
        else
            write_one(me);
        if (what == 99 && stress_random(me, 50) == 0)
            stress_nap();
        stress_phase(me, "waiting for grace periods");
        while (atomic_load(&made) - atomic_load(&gone) > MANY_LIVE && stress_goes_on(me))
            stress_nap();
    }
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
    for (int i = 0; i < ROOTS; i++)
        wane_clear(&roots[i]);
    stress_settle(0);
    if (atomic_load(&made) != atomic_load(&gone))
        stress_fail("%llu made, %llu disposed of", (unsigned long long)made, (unsigned long long)gone);
}

int
main(int argc, char **argv)
{
    static const struct stress program = {.name = "stress_slots",
                                          .begin = begin,
                                          .work = work,
                                          .end = end,
                                          .overlaps = overlaps,
                                          .overlap_count = OVERLAPS};

    return stress_main(argc, argv, &program);
}
