/* SPDX-License-Identifier: MIT
 *
 * map_grow.c - what happens under a map's lock: keys are added, tables replaced (map.c has the whole picture)
 */
#include <errno.h>

#include "map_parts.h"

/* What is needed to replace a table, or the directory. */
struct need {
    size_t   capacity; /* of each table */
    unsigned tables;
    unsigned bits;      /* of the directory */
    bool     directory; /* a new one */
};

/* What somebody brings along, so that nothing is allocated under the lock. What is left is released after it. */
struct luggage {
    struct entry     *entry; /* to be added; NULL afterwards */
    struct table     *fresh[2];
    struct directory *directory;
    struct need       need; /* of the next attempt */
};

static void
unpack(struct luggage *with)
{
    wane_release(with->fresh[0]);
    wane_release(with->fresh[1]);
    wane_release(with->directory);
    with->fresh[0] = with->fresh[1] = NULL;
    with->directory = NULL;
}

static bool
pack(struct luggage *with)
{
    const struct need *n = &with->need;
    bool               all = true;

    unpack(with);
    for (unsigned i = 0; i < n->tables && all; i++)
        all = (with->fresh[i] = wn_map_table_new(n->capacity));
    if (n->directory && all)
        all = (with->directory = wn_map_directory_new(n->bits));
    WN_STEP("map:packed");
    return all;
}

static bool
has(const struct luggage *with, const struct need *n)
{
    for (unsigned i = 0; i < n->tables; i++)
        if (!with->fresh[i] || with->fresh[i]->capacity != n->capacity)
            return false;
    return !n->directory || (with->directory && bits_of(with->directory) == n->bits);
}

/* Lock, inside a section of our own that has not waited for the lock. */
static void
lock(struct wane_map *map)
{
    for (;;) {
        wane_enter();
        if (pthread_mutex_trylock(&map->lock) == 0)
            return;
        wane_leave();
        pthread_mutex_lock(&map->lock);
        pthread_mutex_unlock(&map->lock);
    }
}

static void
unlock(struct wane_map *map)
{
    pthread_mutex_unlock(&map->lock);
    wane_leave(); /* after it: callbacks may run here */
}

/* How many entries have values; `close`: the others are closed. */
static size_t
survey(const struct table *t, bool close)
{
    size_t open = 0;

    for (size_t i = 0; t && i < t->capacity; i++) {
        struct entry *e = wane_peek(&t->slots[i]);

        if (e && !is_closed(e) && (wane_peek(&e->value) || (close && !wane_cas(&e->value, NULL, CLOSED))))
            open++;
    }
    return open;
}

/* They stay after all. */
static void
reopen(const struct table *t)
{
    for (size_t i = 0; t && i < t->capacity; i++) {
        struct entry *e = wane_peek(&t->slots[i]);

        if (e && is_closed(e))
            (void)wane_cas(&e->value, CLOSED, NULL);
    }
}

/* Tables that go together, and their places. */
struct area {
    size_t        begin, end;
    struct table *old[2];
};

/* The fresh table for place i, of those that take the area's: one, or one for each half. */
static struct table *
fresh_at(const struct luggage *with, const struct area *a, bool split, size_t i)
{
    return with->fresh[split && i >= a->begin + (a->end - a->begin) / 2];
}

/* The words of the open entries go to the fresh tables. */
static void
move_words(const struct luggage *with, const struct directory *d, const struct area *a, bool split, const struct table *old)
{
    for (size_t i = 0; i < old->capacity; i++) {
        void         *word = wane_peek_tagged(&old->slots[i]);
        struct entry *e = wane_untag(word);

        if (e && !is_closed(e))
            wn_map_place(fresh_at(with, a, split, index_of(d, e->hash)), e->hash, word);
    }
}

/* It is in no place any more. Its closed entries went nowhere else. */
static void
discard(struct table *old)
{
    for (size_t i = 0; i < old->capacity; i++) {
        struct entry *e = wane_peek(&old->slots[i]);

        if (e && is_closed(e))
            let_go(e);
    }
    let_go(old);
}

/* The area's empty entries are closed; it gets fresh tables of this depth, with its other entries. */
static void
replace(struct wane_map *map, struct luggage *with, const struct area *a, unsigned depth)
{
    struct directory *d = current(map);
    bool              split = a->old[0] && depth > a->old[0]->depth;
    /* relaxed: the lock's holder is the only writer; what others read says only when to shrink */
    uint64_t slots = WANE_LOAD_RELAXED(&map->slots), deepest = WANE_LOAD_RELAXED(&map->deepest);

    for (int i = 0; i <= split; i++) {
        with->fresh[i]->depth = depth;
        slots += with->fresh[i]->capacity;
        deepest += depth == bits_of(d);
    }
    for (int i = 0; i < 2 && a->old[i]; i++) {
        move_words(with, d, a, split, a->old[i]);
        slots -= a->old[i]->capacity;
        deepest -= a->old[i]->depth == bits_of(d);
    }
    for (size_t i = a->begin; i < a->end; i++)
        wn_map_lead(d, i, fresh_at(with, a, split, i), bits_of(d) - depth);
    for (int i = 0; i < 2 && a->old[i]; i++)
        discard(a->old[i]);
    WANE_STORE_RELAXED(&map->slots, slots);
    WANE_STORE_RELAXED(&map->deepest, deepest);
    for (int i = 0; i <= (split || WN_MUTANT(map_drops_the_spare)); i++)
        with->fresh[i] = NULL;
}

/* The directory that was brought along replaces the present one. The tables are not touched. */
static void
redirect(struct wane_map *map, struct luggage *with)
{
    struct directory *d = current(map), *fresh = with->directory;
    uint64_t          deepest = 0;

    for (size_t i = 0; d && i < width(fresh); i++) {
        struct stand s = stand_at(d, i * width(d) / width(fresh));

        wn_map_lead(fresh, i, s.table, s.span + bits_of(fresh) - bits_of(d));
        deepest += s.span + bits_of(fresh) == bits_of(d);
    }
    WN_WEAKER(map_unordered, WANE_STORE_RELEASE, WANE_STORE_RELAXED, &map->directory, fresh); /* release M1: its places */
    for (size_t i = 0; d && i < width(d); i++)
        __atomic_store_n(&wn_map_units(d)[i].bits, 0, __ATOMIC_RELAXED); /* relaxed: the units are in the fresh one's */
    if (d)
        let_go(d);
    WANE_STORE_RELAXED(&map->deepest, deepest); /* relaxed: as in replace */
    with->directory = NULL;
}

/* What makes room in t, which has so many open entries. */
static struct need
need_of(const struct directory *d, const struct table *t, size_t open)
{
    if (!t)
        return (struct need){TABLE_MIN, 1, 0, true};
    if (t->capacity < TABLE_MAX || wn_map_capacity_for(open + 1) <= TABLE_MAX)
        return (struct need){t->depth ? TABLE_MAX : wn_map_capacity_for(open + 1), 1, bits_of(d), false};
    return (struct need){TABLE_MAX, 2, t->depth < bits_of(d) ? bits_of(d) : bits_of(d) + 1, t->depth == bits_of(d)};
}

/* Replace the hash's table by one with more room, or by two. False: that needs more than was brought along. */
static bool
make_room(struct wane_map *map, uint64_t hash, struct luggage *with)
{
    struct table *t = table_for(map, hash);
    bool          close = with->fresh[0];
    struct need   n = need_of(current(map), t, survey(t, close));
    struct stand  s;

    if (!close || !has(with, &n)) {
        if (close)
            reopen(t);
        with->need = n;
        return false;
    }
    if (n.directory)
        redirect(map, with);
    s = stand_at(current(map), index_of(current(map), hash));
    replace(map, with, &(struct area){s.begin, s.end, {t}}, t ? t->depth + n.tables - 1 : 0);
    return true;
}

/* True: the key has an entry. False: more must be brought along. */
static bool
add(struct wane_map *map, struct luggage *with)
{
    uint64_t hash = with->entry->hash;

    if (wn_map_find(table_for(map, hash), hash, with->entry->key))
        return true;
    while (!wn_map_has_room(table_for(map, hash)))
        if (!make_room(map, hash, with))
            return false;
    wn_map_place(table_for(map, hash), hash, wn_map_word(with->entry));
    with->entry = NULL;
    return true;
}

/* The callbacks that run meanwhile may use the map: all is looked at anew under the lock. */
int
wn_map_add(struct wane_map *map, uint64_t hash, const char *key)
{
    struct luggage with = {.entry = wn_map_entry_new(hash, key)};
    bool           added;

    if (!with.entry)
        return -ENOMEM;
    do {
        lock(map);
        added = add(map, &with);
        unlock(map);
    } while (!added && pack(&with));
    wane_release(with.entry);
    unpack(&with);
    if (added && is_sparse(map) && !WN_MUTANT(adding_never_shrinks)) /* caches take keys out without shrinking (wn_map_drop) */
        wn_map_shrink(map);
    return added ? 0 : -ENOMEM;
}

/* ---- Shrinking: one table at a time, along the directory --------------------------------------------------------- */

/* Two tables that were one: that at place i and its buddy; if that was split further, two of its range that were not. */
static struct area
buddies(const struct directory *d, size_t i)
{
    struct stand a = stand_at(d, i), b;

    for (;; a = b) {
        size_t count = a.end - a.begin;

        b = stand_at(d, a.begin ^ count);
        if (b.span == a.span)
            return (struct area){a.begin & ~count, (a.begin & ~count) + 2 * count, {a.table, b.table}};
    }
}

/* A directory of half the width, if no table needs it; one table instead of two; or a smaller one. In a section. */
static struct need
step_of(const struct wane_map *map)
{
    const struct directory *d = current(map);

    if (!bits_of(d))
        return (struct need){wn_map_capacity_for(wane_map_count(map) + 1), 1, 0, false};
    if (!WANE_LOAD_RELAXED(&map->deepest)) /* relaxed: it is looked at again under the lock */
        return (struct need){0, 0, bits_of(d) - 1, true};
    return (struct need){TABLE_MAX, 1, 0, false};
}

/* One table instead of what is at the hand, if it is large enough for all of it and smaller. */
static void
contract(struct wane_map *map, struct luggage *with)
{
    struct directory *d = current(map);
    size_t            i = WN_MUTANT(map_shrinks_in_place) ? 0 : map->hand & (width(d) - 1);
    size_t            capacity = with->fresh[0]->capacity, open = 0;
    struct area       a = bits_of(d) ? buddies(d, i) : (struct area){0, 1, {stand_at(d, 0).table}};
    unsigned          depth = a.old[1] ? a.old[0]->depth - 1 : 0;

    map->hand = a.end;
    if (a.old[1] ? capacity != TABLE_MAX : capacity >= a.old[0]->capacity)
        return;
    for (int close = 0; close < 2; close++) { /* closing what is reopened then would be in vain */
        open = survey(a.old[0], close) + survey(a.old[1], close);
        if (wn_map_capacity_for(open + 1) > capacity)
            break;
    }
    if (wn_map_capacity_for(open + 1) <= capacity) {
        replace(map, with, &a, depth);
    } else {
        reopen(a.old[0]);
        reopen(a.old[1]);
    }
}

static void
step(struct wane_map *map, struct luggage *with)
{
    struct need n = step_of(map); /* again: others may have been at work */

    if (!has(with, &n))
        return;
    if (n.directory)
        redirect(map, with);
    else
        contract(map, with);
}

void
wn_map_shrink(struct wane_map *map)
{
    struct luggage with = {0};

    wane_enter();
    with.need = step_of(map);
    wane_leave();
    if (pack(&with)) {
        wane_enter();
        if (pthread_mutex_trylock(&map->lock) == 0) {
            if (is_sparse(map))
                step(map, &with);
            pthread_mutex_unlock(&map->lock);
        }
        wane_leave();
    }
    unpack(&with);
}
