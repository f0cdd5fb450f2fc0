/* SPDX-License-Identifier: MIT
 *
 * map.c - a hash map from strings to objects: lock-free but for new keys, and without long pauses
 *
 * map -> directory -> tables -> entries -> values. An entry is an object: hash, key, and the slot of the value. A table holds
 * the entries whose hashes begin with the same bits (as many as its depth): open addressing with linear probing by the hash's
 * low bits; at most 5/8 of its slots are taken. A small map is one table of 16 slots and more. One that is full at TABLE_MAX is
 * split in two, by one bit more of the hash; two buddies with few entries become one (extendible hashing: Fagin, Nievergelt,
 * Pippenger, Strong 1979). So whoever rebuilds, rebuilds one table, in microseconds, however large the map. The directory is
 * indexed by the hash's high bits: 16 bytes for some hundreds of entries, copied when it becomes twice as wide.
 *
 * Directory and tables are objects without slots that a collector would follow, as the buffer in vec.c: the map owns a unit of
 * the directory, the directory one of each table, and the map shows the tables' slots, which hold the entries.
 *
 * Roles
 *   reader    map -> directory -> table -> entry -> value, all inside one section
 *   writer    replaces, empties or fills the value slot of an entry that is there, by CAS
 *   adder     under the map's lock: adds an entry (empty: the value is then a writer's business) or replaces tables
 *
 * Invariants
 *  1  In one table a key has at most one entry, and a slot that is taken stays taken. So a probe that meets an empty
 *     slot has not missed a key that was there when the probe began.
 *  2  The value word is one of: a reference; 0, the key is absent; CLOSED, the key is absent and the entry has left or
 *     is about to. Only who holds the lock writes CLOSED, only over 0, and only he writes over it. So an entry that was
 *     closed before its table was copied stays empty, and no value can get lost in it.
 *  3  While nobody holds the lock: an entry is in a current table <=> it is not closed.
 *  4  count = values present; used = slots taken in a table = entries, empty ones included; slots = capacities of all tables.
 *  5  A table of depth d is at 2^(bits - d) places of the directory, one after the other, from a multiple of that on. Its depth
 *     and capacity never change; above depth 0 all capacities are TABLE_MAX.
 *
 * Race: a rebuild drops the empty entry of a key, a writer stores into it
 *     rebuild (lock held)                          writer
 *                                                  finds the entry in the old table
 *     CAS value 0 -> CLOSED                        CAS value 0 -> object
 *       lost: the entry has a value; it is copied    lost to CLOSED: goes for the lock, adds the key anew
 *
 * Tracing while it changes: as in vec.c, table by table. A walk loads the directory once, and each place once: it goes on behind
 * the places of the table found there. So what it has seen are tables of ranges of hashes that do not overlap, but for one case:
 * two buddies became one while it stood between them; it has seen half of that range (stand_at: it begins before the place). A
 * trace leaves such a table out. So a unit is seen at most once. A rebuild silently moves the units of the entries that stay.
 * Those of the closed ones are displaced after the new table was published, from a root on the stack, as when a vector's element
 * is removed; so is the old table. Nothing else moves; values stay in the slot of their entry. An adder stores an empty entry,
 * which leads nowhere, so this store closes no cycle; storing the value may.
 *
 * No user code runs under the lock: it is held inside a section, where slot operations run no callbacks, and nothing is released
 * under it. No section waits for it: who finds it taken leaves, waits, and tries again. (A caller who has a section of his own
 * open takes that one along; the holder never waits for a grace period, so this ends.)
 *
 * Orderings
 *  M1  directory, and table: redirect, lead (release) -> current, stand_at, table_for (acquire): capacity and slots of fresh ones
 *  M2  table slot: place (release) -> find (acquire, in peek): hash and key of the entry; never empty again
 *  The value slots are used by slot operations only (E5).
 */
#include <errno.h>
#include <string.h>

#include "hash.h"
#include "map_parts.h"

struct entry *
wn_map_find(const struct table *t, uint64_t hash, const char *key)
{
    size_t i = hash;

    if (!t)
        return NULL;
    for (;; i++) {
        void         *word = wane_peek_tagged(&t->slots[i & (t->capacity - 1)]); /* acquire M2 */
        struct entry *e = wane_untag(word);

        if (!e)
            return NULL;
        if (wane_tag_of(word) == tag_for(hash) && e->hash == hash && strcmp(e->key, key) == 0)
            return e;
    }
}

static struct entry *
look_up(const struct wane_map *map, uint64_t hash, const char *key)
{
    return wn_map_find(table_for(map, hash), hash, key);
}

static void
trace(const void *object, struct wane_visitor *visitor)
{
    const struct directory *d = current(object);
    struct stand            s;

    for (size_t i = 0; d && i < width(d); i = s.end) {
        s = stand_at(d, i);
        if (s.table && (s.begin == i || WN_MUTANT(trace_shows_halves)))
            wane_visit_array(visitor, s.table->slots, capacity_at(d, &s));
    }
}

/* The slots are dropped after this, in the same section: the pointer stays, the memory too. */
static void
dispose(void *object)
{
    struct wane_map *map = object;

    let_go(current(map));
    pthread_mutex_destroy(&map->lock);
}

static struct wane_type map_type = {
    .name = "wane_map", .size = sizeof(struct wane_map), .trace = trace, .dispose = dispose,
    .flags = WANE_TRACED_EARLY | WANE_OWNS_FIRST};
_Static_assert(offsetof(struct wane_map, directory) == 0, "WANE_OWNS_FIRST");

struct wane_map *
wane_map_new(void)
{
    struct wane_map *map = wane_new(&map_type);

    if (map)
        pthread_mutex_init(&map->lock, NULL);
    return map;
}

static void
add_to_count(struct wane_map *map, int64_t change)
{
    /* relaxed: a number, nothing hangs on it. */
    __atomic_fetch_add(&map->count.value, (uint64_t)change, __ATOMIC_RELAXED);
}

size_t
wane_map_count(const struct wane_map *map)
{
    int64_t count = (int64_t)WANE_LOAD_RELAXED(&map->count); /* relaxed: as above */

    return count > 0 ? (size_t)count : 0;
}

/* ---- Operations -------------------------------------------------------------------------------------------------- */

typedef bool store_fn(wane_slot *slot, const void *expected, void *desired); /* wane_cas or wane_cas_put */

/* Lock-free: a failed CAS means that another thread's store succeeded. False: no entry, or a closed one. */
static bool
store_value(struct wane_map *map, struct entry *e, void *object, store_fn *cas)
{
    void *old;

    if (!e)
        return false;
    do {
        old = wane_peek_tagged(&e->value);
        if (old == CLOSED)
            return false;
    } while (!cas(&e->value, old, object));
    if (!old)
        add_to_count(map, 1);
    return true;
}

static int
store(struct wane_map *map, const char *key, void *object, store_fn *cas)
{
    uint64_t hash = wn_hash_string(key);
    bool     stored;
    int      rc = 0;

    if (!wane_untag(object)) {
        (void)wane_map_remove(map, key);
        return 0;
    }
    do {
        wane_enter();
        stored = store_value(map, look_up(map, hash, key), object, cas);
        wane_leave();
    } while (!stored && (rc = wn_map_add(map, hash, key)) == 0); /* again and again only if rebuilds keep dropping it */
    return rc;
}

int
wane_map_put(struct wane_map *map, const char *key, void *object)
{
    return store(map, key, object, wane_cas_put);
}

int
wane_map_set(struct wane_map *map, const char *key, void *object)
{
    return store(map, key, object, wane_cas);
}

void *
wane_map_peek(const struct wane_map *map, const char *key)
{
    const struct entry *e = look_up(map, wn_hash_string(key), key);

    return e ? wane_peek(&e->value) : NULL;
}

void *
wane_map_get(const struct wane_map *map, const char *key)
{
    uint64_t            hash = wn_hash_string(key);
    const struct entry *e;
    void               *object;

    wane_enter();
    e = look_up(map, hash, key);
    object = e ? wane_get(&e->value) : NULL;
    wane_leave();
    return object;
}

/* Empty the entry's value; what was there, borrowed. By CAS: an exchange could open a closed entry. Lock-free, too. */
static void *
empty(struct wane_map *map, struct entry *e)
{
    void *old;

    if (!e)
        return NULL;
    do {
        old = wane_peek_tagged(&e->value);
        if (!wane_untag(old))
            return NULL;
    } while (!wane_cas(&e->value, old, NULL));
    add_to_count(map, -1);
    return wane_untag(old);
}

void *
wane_map_take(struct wane_map *map, const char *key)
{
    uint64_t hash = wn_hash_string(key);
    void    *object;

    wane_enter();
    object = wane_retain(empty(map, look_up(map, hash, key)));
    wane_leave();
    if (object && is_sparse(map))
        wn_map_shrink(map);
    return object;
}

bool
wane_map_remove(struct wane_map *map, const char *key)
{
    uint64_t hash = wn_hash_string(key);
    bool     removed;

    wane_enter();
    removed = empty(map, look_up(map, hash, key));
    wane_leave();
    if (removed && is_sparse(map))
        wn_map_shrink(map);
    return removed;
}

/* The entries of a table whose hashes belong to place i or later ones. */
static bool
each_of(const struct directory *d, const struct table *t, size_t i, bool (*fn)(const char *key, void *value, void *arg),
        void *arg)
{
    bool go_on = true;

    for (size_t k = 0; t && k < t->capacity && go_on; k++) {
        const struct entry *e = wane_peek(&t->slots[k]);
        bool                shown = e && (index_of(d, e->hash) >= i || WN_MUTANT(each_shows_halves));
        void               *value = shown ? wane_peek(&e->value) : NULL;

        if (value)
            go_on = fn(e->key, value, arg);
    }
    return go_on;
}

void
wane_map_each(const struct wane_map *map, bool (*fn)(const char *key, void *value, void *arg), void *arg)
{
    const struct directory *d;
    struct stand            s;
    bool                    go_on = true;

    wane_enter();
    d = current(map); /* one directory for the whole walk: no range of hashes is in it twice */
    for (size_t i = 0; d && i < width(d) && go_on; i = s.end) {
        s = stand_at(d, i);
        go_on = each_of(d, s.table, i, fn, arg);
    }
    wane_leave();
}

/* Each place of the directory stands for as many slots; of a table with several places, the first ones are taken. */
size_t
wn_map_at(const struct wane_map *map, size_t hand, const char **key, void **value)
{
    const struct directory *d = current(map);
    struct stand            s = d ? stand_at(d, 0) : (struct stand){0};
    size_t                  capacity = d ? capacity_at(d, &s) : 0;
    const struct entry     *e = NULL;

    if (capacity) {
        hand &= width(d) * capacity - 1;
        s = stand_at(d, hand / capacity);
        hand -= s.begin * capacity;
        e = hand < s.table->capacity ? wane_peek(&s.table->slots[hand]) : NULL;
    }
    *key = e ? e->key : NULL;
    *value = e ? wane_peek(&e->value) : NULL;
    return capacity ? width(d) * capacity : 0;
}

bool
wn_map_drop(struct wane_map *map, const char *key, const void *value)
{
    struct entry *e = look_up(map, wn_hash_string(key), key);
    bool          dropped = e && wane_cas(&e->value, value, NULL);

    if (dropped)
        add_to_count(map, -1);
    return dropped;
}
