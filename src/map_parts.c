/* SPDX-License-Identifier: MIT */
#include "map_parts.h"

#include <string.h>

#define BITS_MAX 32

static const uint32_t entry_slots[] = {offsetof(struct entry, value)};

static struct wane_type entry_type = {
    .name = "wane_map_entry",
    .size = sizeof(struct entry),
    .slots = entry_slots,
    .slot_count = 1,
    .flags = WANE_SIZED,
};

struct entry *
wn_map_entry_new(uint64_t hash, const char *key)
{
    size_t        size = strlen(key) + 1;
    struct entry *e = wane_new_sized(&entry_type, sizeof *e + size);

    if (e) {
        e->hash = hash;
        memcpy(e->key, key, size);
    }
    return e;
}

static struct wane_type table_type = {.name = "wane_map_table", .size = sizeof(struct table), .flags = WANE_SIZED};

struct table *
wn_map_table_new(size_t capacity)
{
    struct table *t = wane_new_sized(&table_type, sizeof *t + capacity * sizeof(wane_slot));

    if (t)
        t->capacity = capacity;
    return t;
}

size_t
wn_map_capacity_for(size_t n)
{
    size_t capacity = TABLE_MIN;

    while (capacity <= TABLE_MAX && n > capacity / 8 * 3)
        capacity *= 2;
    return capacity;
}

/* relaxed: the lock's holder is the only writer, and the only one who asks. */
static size_t
used_of(const struct table *t)
{
    return WANE_LOAD_RELAXED(&t->used);
}

bool
wn_map_has_room(const struct table *t)
{
    return t && used_of(t) + 1 <= t->capacity / 8 * 5;
}

void *
wn_map_word(struct entry *e)
{
    return wane_tag(e, tag_for(e->hash));
}

/* Not by the slot calls, for entries have sizes of their own: objects of such types never count as being in a hand (slot.c, "What
 * no slot holds"). */
void
wn_map_place(struct table *t, uint64_t hash, void *word)
{
    size_t mask = t->capacity - 1, i = hash & mask;

    while (__atomic_load_n(&t->slots[i].bits, __ATOMIC_RELAXED)) /* relaxed: the lock's holder is the only writer */
        i = (i + 1) & mask;
    /* release M2: hash and key; and who sees the unit sees its count. */
    __atomic_store_n(&t->slots[i].bits, (uintptr_t)word, __ATOMIC_RELEASE);
    WANE_STORE_RELAXED(&t->used, used_of(t) + 1);
}

wane_slot *
wn_map_units(const struct directory *d)
{
    return (wane_slot *)(uintptr_t)&d->place[width(d)];
}

static void
directory_trace(const void *object, struct wane_visitor *visitor)
{
    const struct directory *d = object;

    wane_visit_array(visitor, wn_map_units(d), width(d));
}

static struct wane_type directory_type = {.name = "wane_map_directory",
                                          .size = sizeof(struct directory),
                                          .trace = directory_trace,
                                          .flags = WANE_SIZED | WANE_TRACED_EARLY};

struct directory *
wn_map_directory_new(unsigned bits)
{
    struct directory *d = NULL;

    if (bits <= BITS_MAX)
        d = wane_new_sized(&directory_type, sizeof *d + ((size_t)1 << bits) * (sizeof d->place[0] + sizeof(wane_slot)));
    if (d)
        WANE_STORE_RELAXED(&d->bits, (uint64_t)bits);
    return d;
}

void
wn_map_lead(struct directory *d, size_t i, struct table *t, unsigned span)
{
    bool is_first = i >> span << span == i;

    __atomic_store_n(&wn_map_units(d)[i].bits, is_first ? (uintptr_t)t : 0, __ATOMIC_RELEASE); /* release: for snapshots */
    WN_WEAKER(table_unordered, WANE_STORE_RELEASE, WANE_STORE_RELAXED, &d->place[i],
              wane_tag(t, span < WANE_TAG_MASK ? span : WANE_TAG_MASK)); /* release M1: slots, capacity */
}
