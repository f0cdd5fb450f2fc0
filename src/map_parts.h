/* SPDX-License-Identifier: MIT
 *
 * map_parts.h - what a map consists of: entries, tables of entries, a directory of tables (map.c has the whole picture)
 *
 * Orderings: M1 and M2, see map.c.
 */
#ifndef WN_MAP_PARTS_H
#define WN_MAP_PARTS_H

#include <pthread.h>
#include <wane/observe.h>

#include "map.h"
#include "step.h"

struct entry {
    wane_slot value;
    uint64_t  hash;  /* c */
    char      key[]; /* c */
};

struct table {
    size_t               capacity; /* c: a power of two */
    unsigned             depth;    /* c: how many of the hashes' high bits are the same */
    struct wane_atomic64 used;     /* a: written under the lock */
    wane_slot            slots[];  /* a: written under the lock (M2); tag: three bits of the hash */
};

/* 2^bits places, then as many slots that keep the tables (wn_map_units). */
struct directory {
    struct wane_atomic64   bits;    /* a: c, but snapshots look at what is being made */
    struct wane_atomic_ptr place[]; /* a: M1; written under the lock: a table; tag: see stand_at */
};

struct wane_map {
    struct wane_atomic_ptr directory; /* a: M1; written under the lock; NULL until the first key */
    struct wane_atomic64   count; /* a: may be wrong by the operations under way, also below 0 */
    struct wane_atomic64   slots; /* a: written under the lock */
    struct wane_atomic64   deepest; /* a: written under the lock: how many tables have one place only */
    pthread_mutex_t        lock;
    size_t                 hand; /* under the lock: the place that is looked at when the map shrinks next */
};

#define TABLE_MIN ((size_t)16)
#define TABLE_MAX ((size_t)512)
#define CLOSED    wane_tag(NULL, 1)

/* NULL: no memory. */
struct entry     *wn_map_entry_new(uint64_t hash, const char *key);
struct table     *wn_map_table_new(size_t capacity);
struct directory *wn_map_directory_new(unsigned bits);

/* A capacity for n entries, with room for more: at most 3/8 are taken. More than TABLE_MAX: one table is too little. */
size_t wn_map_capacity_for(size_t n);

/* NULL, as for no table: there is none. In a section. */
struct entry *wn_map_find(const struct table *t, uint64_t hash, const char *key);

/* Under the lock, or before t is published: the unit that the word stands for is in t from here on. */
void *wn_map_word(struct entry *e);
void  wn_map_place(struct table *t, uint64_t hash, void *word);
bool  wn_map_has_room(const struct table *t);

/* Under the lock: place i, one of 2^span, leads to t from here on, and keeps it if it is the first of them. */
void wn_map_lead(struct directory *d, size_t i, struct table *t, unsigned span);

/* The slots that keep the tables, each at the first of its places. */
wane_slot *wn_map_units(const struct directory *d);

static inline unsigned
tag_for(uint64_t hash)
{
    return (unsigned)(hash >> 20) & WANE_TAG_MASK; /* neither the bits of the index, nor those that all in a table share */
}

static inline unsigned
bits_of(const struct directory *d)
{
    return (unsigned)WANE_LOAD_RELAXED(&d->bits); /* relaxed: published with the directory */
}

static inline size_t
width(const struct directory *d)
{
    return (size_t)1 << bits_of(d);
}

static inline size_t
index_of(const struct directory *d, uint64_t hash)
{
    return (size_t)(hash >> 1 >> (63 - bits_of(d)));
}

static inline bool
is_closed(const struct entry *e)
{
    return wane_peek_tagged(&e->value) == CLOSED;
}

static inline struct directory *
current(const struct wane_map *map)
{
    return WANE_LOAD_ACQUIRE(&map->directory); /* acquire M1: a fresh one's contents */
}

static inline struct table *
table_for(const struct wane_map *map, uint64_t hash)
{
    const struct directory *d = current(map);

    return d ? wane_untag(WANE_LOAD_ACQUIRE(&d->place[index_of(d, hash)])) : NULL; /* acquire M1 */
}

/* What is found at a place of the directory. */
struct stand {
    struct table *table; /* NULL: no key yet */
    unsigned      span;
    size_t        begin, end; /* its 2^span places */
};

/* In how many places a table is, is in its word's tag, as a power of two (if it is a small one): who walks along the directory
 * does not touch the tables. It may begin before i, if tables are replaced meanwhile. */
static inline struct stand
stand_at(const struct directory *d, size_t i)
{
    void         *word = WANE_LOAD_ACQUIRE(&d->place[i]); /* acquire M1 */
    struct table *t = wane_untag(word);
    unsigned      span = wane_tag_of(word);

    if (span == WANE_TAG_MASK)
        span = bits_of(d) - t->depth;
    return (struct stand){t, span, i >> span << span, ((i >> span) + 1) << span};
}

static inline size_t
capacity_at(const struct directory *d, const struct stand *s)
{
    if (!s->table)
        return 0;
    return s->end - s->begin < width(d) ? TABLE_MAX : s->table->capacity; /* map.c, invariant 5 */
}

/* Displace a unit that no slot holds any more: it is given back when nobody can be reading any more. */
static inline void
let_go(void *unit)
{
    wane_slot last = {(uintptr_t)unit};

    wane_clear(&last);
}

/* ---- map_grow.c -------------------------------------------------------------------------------------------------- */

#define SPARSE     16  /* slots for a value; above, maps shrink */
#define SPARSE_MIN 128 /* slots; below, they do not */

/* The key has an entry: 0; or -ENOMEM. Takes the lock. */
int wn_map_add(struct wane_map *map, uint64_t hash, const char *key);

/* Few values in many slots. */
static inline bool
is_sparse(const struct wane_map *map)
{
    uint64_t slots = WANE_LOAD_RELAXED(&map->slots); /* relaxed: a later call looks again */

    return slots > SPARSE_MIN && wane_map_count(map) < slots / SPARSE;
}

/* Then, outside of sections: a step towards fewer slots. If there is no memory, or the lock is taken, a later one does it. */
void wn_map_shrink(struct wane_map *map);

#endif
