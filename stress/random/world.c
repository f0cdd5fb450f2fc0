/* SPDX-License-Identifier: MIT */
#include "world.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define LIVE UINT64_C(0x5eed0f11fe5eed0f)
#define DEAD UINT64_C(0xdeaddeaddeaddead)

struct world world;

void
world_fail(const char *format, ...)
{
    const struct program *p = world.lane[0].program;
    char                  what[200];
    va_list               args;

    va_start(args, format);
    vsnprintf(what, sizeof what, format, args);
    va_end(args);
    fprintf(stderr, "random program %llu: FAILED: %s\n", p ? (unsigned long long)p->seed : 0, what);
    abort();
}

void
thing_check(const struct thing *t)
{
    if (t && (t->magic != LIVE || t->id < 0 || t->id >= MAX_LANES * MAX_OPS || world.entry[t->id].thing != t))
        world_fail(t->magic == DEAD ? "object %d is disposed of, and is seen" : "object %d is damaged", t->id);
}

/* ---- Callbacks ------------------------------------------------------------------------------------------------------ */

static bool
has_finalizer(const struct thing *t)
{
    return t->kind == KIND_FINAL || t->kind == KIND_PHOENIX;
}

/* What the lane stored last is seen here without another thread's help: the release that ended the object orders it. */
static void
check_own(const struct thing *t)
{
    struct entry *e = &world.entry[t->id];
    unsigned      n = t->kind == KIND_MAP ? 0 : thing_own_slots(t);

    for (unsigned s = 0; s < n; s++) {
        struct place  own = thing_own((struct thing *)t, s);
        struct thing *in = place_peek(&own);

        if (in != (e->own[s] == NOBODY ? NULL : world.entry[e->own[s]].thing))
            world_fail("object %d: own slot %u does not hold object %d", t->id, s, e->own[s]);
    }
}

static void
dispose(void *object)
{
    struct thing *t = object;
    struct entry *e;

    thing_check(t);
    e = &world.entry[t->id];
    if (atomic_load(&e->finalized) != has_finalizer(t))
        world_fail("object %d dies, and its finalizer has run %u times", t->id, atomic_load(&e->finalized));
    check_own(t);
    t->magic = DEAD;
    if (atomic_fetch_add(&e->disposed, 1) != 0)
        world_fail("object %d is disposed of twice", t->id);
}

static void
finalize(void *object)
{
    struct thing *t = object;

    thing_check(t);
    if (atomic_fetch_add(&world.entry[t->id].finalized, 1) != 0)
        world_fail("object %d is finalized twice", t->id);
    WANE_SECTION
        check_own(t);
    if (t->kind == KIND_PHOENIX)
        wane_set(&world.root[(unsigned)t->id % ROOTS], t);
    atomic_fetch_add(&world.finalized, 1);
}

static void
trace_more(const void *object, struct wane_visitor *visitor)
{
    const struct thing *t = object;

    wane_visit_array(visitor, t->more, t->more_count);
}

void
world_notified(void *weak, void *entry)
{
    struct entry *e = entry;

    if (!atomic_load(&e->disposed) || wane_weak_get(weak))
        world_fail("a callback tells of the death of a living object %d", (int)(e - world.entry));
    atomic_fetch_add(&e->notified, 1);
}

void
world_later(void *pointer)
{
    free(pointer);
    atomic_fetch_add(&world.later_done, 1);
}

/* ---- Things --------------------------------------------------------------------------------------------------------- */

#define SLOT_AT(i) (uint32_t)(offsetof(struct thing, slot) + (i) * sizeof(wane_slot))
static const uint32_t slots[SLOTS] = {SLOT_AT(0), SLOT_AT(1), SLOT_AT(2), SLOT_AT(3), SLOT_AT(4)};

#define TYPE(its_name, ...)                                                                       \
    {.name = (its_name), .size = sizeof(struct thing), .slots = slots, .slot_count = SLOTS,       \
     .dispose = dispose, __VA_ARGS__}
static struct wane_type types[KIND_COUNT] = {
    [KIND_NODE] = TYPE("node", .flags = 0),
    [KIND_LEAF] = {.name = "leaf", .size = sizeof(struct thing), .dispose = dispose},
    [KIND_WIDE] = TYPE("wide", .trace = trace_more, .flags = WANE_SIZED),
    [KIND_HUGE] = TYPE("huge", .trace = trace_more, .flags = WANE_SIZED),
    [KIND_FINAL] = TYPE("final", .finalize = finalize),
    [KIND_PHOENIX] = TYPE("phoenix", .finalize = finalize),
    [KIND_ARRAY] = TYPE("array", .flags = 0),
    [KIND_MAP] = TYPE("map", .flags = 0),
};

static struct thing *
allocate(enum kind kind)
{
    unsigned      more = kind == KIND_WIDE ? MORE_WIDE : kind == KIND_HUGE ? MORE_HUGE : 0;
    struct thing *t;

    if (!more)
        return wane_new(&types[kind]);
    t = wane_new_sized(&types[kind], sizeof *t + more * sizeof t->more[0]);
    if (t)
        t->more_count = more;
    return t;
}

struct thing *
thing_new(int32_t id, enum kind kind)
{
    struct entry *e = &world.entry[id];
    struct thing *t = allocate(kind);

    if (!t)
        world_fail("no memory for object %d", id);
    t->id = id;
    t->kind = kind;
    t->magic = LIVE;
    e->thing = t;
    if (kind == KIND_ARRAY)
        t->inner = wane_array_new(ARRAY_LENGTH);
    else if (kind == KIND_MAP)
        t->inner = wane_map_new();
    wane_put_private(&t->slot[0], t->inner);
    return t;
}

unsigned
thing_own_slots(const struct thing *t)
{
    static const unsigned n[KIND_COUNT] = {[KIND_NODE] = 2,  [KIND_WIDE] = OWN_SLOTS, [KIND_HUGE] = OWN_SLOTS, [KIND_FINAL] = 2,
                                           [KIND_PHOENIX] = 2, [KIND_ARRAY] = 8,      [KIND_MAP] = 4};

    return n[t->kind];
}

static unsigned
common_slots(const struct thing *t)
{
    static const unsigned n[KIND_COUNT] = {[KIND_NODE] = 2,    [KIND_WIDE] = MOST_COMMON, [KIND_HUGE] = MOST_COMMON,
                                           [KIND_FINAL] = 2,   [KIND_PHOENIX] = 2,        [KIND_ARRAY] = 8,
                                           [KIND_MAP] = 4};

    return n[t->kind];
}

static void
find(struct thing *t, struct place *place, bool own, unsigned s)
{
    *place = (struct place){.expected = NULL};
    if (t->kind == KIND_MAP) {
        place->map = t->inner;
        place->key[0] = own ? 'o' : 'c';
        place->key[1] = (char)('0' + s);
    } else if (t->kind == KIND_ARRAY) {
        place->slot = wane_array_slot(t->inner, own ? s : ARRAY_LENGTH - 1 - s);
    } else if (s < 2) {
        place->slot = &t->slot[own ? s : 2 + s];
    } else {
        place->slot = &t->more[own ? s - 2 : t->more_count + 1 - s];
    }
}

struct place
thing_own(struct thing *t, unsigned s)
{
    struct place place;

    s %= thing_own_slots(t);
    find(t, &place, true, s);
    place.expected = &world.entry[t->id].own[s];
    return place;
}

bool
thing_common(struct thing *t, unsigned s, struct place *place)
{
    if (!common_slots(t))
        return false;
    s %= common_slots(t);
    find(t, place, false, s);
    place->expected = world.exact ? &world.entry[t->id].common[s] : NULL;
    return true;
}

wane_slot *
thing_weak_slot(struct thing *t)
{
    return t && t->kind != KIND_LEAF ? &t->slot[WEAK_SLOT] : NULL;
}

struct thing *
place_peek(const struct place *place)
{
    return place->map ? wane_map_peek(place->map, place->key) : wane_peek(place->slot);
}

void
place_expect(const struct place *place, const struct thing *t)
{
    if (place->expected && thing_id(t) != *place->expected)
        world_fail("a slot holds object %d, not object %d", thing_id(t), *place->expected);
}

/* ---- What is done with places ------------------------------------------------------------------------------------- */

void
place_stored(const struct place *place, const struct thing *t)
{
    if (place->expected)
        *place->expected = thing_id(t);
}

void
place_set(const struct place *place, struct thing *t)
{
    place_stored(place, t);
    if (!place->map)
        wane_set(place->slot, t);
    else if (!t)
        (void)wane_map_remove(place->map, place->key);
    else if (wane_map_set(place->map, place->key, t) != 0)
        world_fail("no memory for a map's entry");
}

void
place_put(const struct place *place, struct thing *t)
{
    place_stored(place, t);
    if (!place->map)
        wane_put(place->slot, t);
    else if (t && wane_map_put(place->map, place->key, t) != 0)
        world_fail("no memory for a map's entry");
    else if (!t)
        (void)wane_map_remove(place->map, place->key);
}

struct thing *
place_get(const struct place *place)
{
    struct thing *t = place->map ? wane_map_get(place->map, place->key) : wane_get(place->slot);

    place_expect(place, t);
    return t;
}

struct thing *
place_take(const struct place *place)
{
    struct thing *t = place->map ? wane_map_take(place->map, place->key) : wane_take(place->slot);

    place_expect(place, t);
    place_stored(place, NULL);
    return t;
}

/* Consumes t's unit. */
struct thing *
place_swap(const struct place *place, struct thing *t)
{
    struct thing *old;
    int32_t       was;

    if (place->map) {
        old = place_take(place);
        place_put(place, t);
        return old;
    }
    was = place->expected ? *place->expected : NOBODY;
    place_stored(place, t); /* before: t may be what holds the slot, and this its last unit in hand */
    old = wane_swap(place->slot, t);
    if (place->expected && thing_id(old) != was)
        world_fail("a slot holds object %d, not object %d", thing_id(old), was);
    return old;
}

/* desired: in put's case its unit is the place's when this is true. */
bool
place_cas(const struct place *place, struct thing *expected, struct thing *desired, bool put)
{
    bool right = place->expected && *place->expected == thing_id(expected), done;

    if (place->map)
        return false;
    if (right)
        place_stored(place, desired); /* before, as above */
    done = put ? wane_cas_put(place->slot, expected, desired) : wane_cas(place->slot, expected, desired);
    if (place->expected && done != right)
        world_fail("a compare and swap %s against what is in the slot", done ? "succeeds" : "fails");
    return done;
}

/* ---- The beginning -------------------------------------------------------------------------------------------------- */

static bool
has_phoenix(const struct program *p)
{
    for (unsigned lane = 0; lane < p->lanes; lane++)
        for (unsigned i = 0; i < p->count[lane]; i++)
            if (p->op[lane][i].code == OP_NEW && p->op[lane][i].operand[1] == KIND_PHOENIX)
                return true;
    return false;
}

void
world_begin(const struct program *p)
{
    memset(&world, 0, sizeof world);
    memset(world.root_id, 0xff, sizeof world.root_id);
    world.lanes = p->lanes;
    world.exact = p->lanes == 1 && !has_phoenix(p);
    for (unsigned lane = 0; lane < p->lanes; lane++) {
        world.lane[lane].program = p;
        world.lane[lane].number = lane;
        for (unsigned i = 0; i < p->count[lane]; i++) {
            struct entry *e = &world.entry[lane * MAX_OPS + i];

            memset(e->own, 0xff, sizeof e->own);
            memset(e->common, 0xff, sizeof e->common);
        }
    }
}
