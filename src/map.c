/* SPDX-License-Identifier: MIT
 *
 * map.c - a hash map from strings to objects: lock-free but for new keys
 *
 * map -> table -> entries -> values. An entry is an object: hash, key, and the slot of the value. The table is an
 * object without slots of its own, as the buffer in vec.c: the map owns a unit of it and shows the slots, which hold
 * the entries. Open addressing with linear probing; capacities are powers of two; at most 5/8 of the slots are taken.
 *
 * Roles
 *   reader    map -> table -> entry -> value, all inside one section
 *   writer    replaces, empties or fills the value slot of an entry that is there, by CAS
 *   adder     under the map's lock: adds an entry (empty: the value is then a writer's business) or rebuilds the table
 *
 * Invariants
 *  1  In one table a key has at most one entry, and a slot that is taken stays taken. So a probe that meets an empty
 *     slot has not missed a key that was there when the probe began.
 *  2  The value word is one of: a reference; 0, the key is absent; CLOSED, the key is absent and the entry has left or
 *     is about to. Only who holds the lock writes CLOSED, only over 0, and only he writes over it. So an entry that was
 *     closed before its table was copied stays empty, and no value can get lost in it.
 *  3  While nobody holds the lock: an entry is in the current table <=> it is not closed.
 *     A replaced table never changes, but for the mark LEFT.
 *  4  count = values present; used = slots taken in the current table = entries, empty ones included.
 *
 * Race: a rebuild drops the empty entry of a key, a writer stores into it
 *     rebuild (lock held)                          writer
 *                                                  finds the entry in the old table
 *     CAS value 0 -> CLOSED                        CAS value 0 -> object
 *       lost: the entry has a value; it is copied    lost to CLOSED: goes for the lock, adds the key anew
 *
 * Tracing while it changes: as in vec.c. One load of the table, each of its slots shown once. A rebuild silently moves
 * the units of the entries that stay; those of the closed ones leave with the old table: it gives them back when it
 * dies, a grace period after the new table was published. Nothing else moves; values stay in the slot of their entry.
 * An adder stores an empty entry, which leads nowhere, so this store closes no cycle; storing the value may.
 *
 * No user code runs under the lock: it is held inside a section, where slot operations run no callbacks, and nothing is
 * released under it. No section waits for it: who finds it taken leaves, waits, and tries again. (A caller who has a
 * section of his own open takes that one along; the holder never waits for a grace period, so this ends.)
 *
 * Orderings
 *  M1  table pointer: publish (release) -> current (acquire): capacity and slots of a fresh table
 *  M2  table slot: place (release) -> find (acquire, in peek): hash and key of the entry; never empty again
 *  The value slots are used by slot operations only (E5).
 */
#include "map.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <wane/observe.h>

#include "hash.h"

struct entry {
    wane_slot value;
    uint64_t  hash;  /* c */
    char      key[]; /* c */
};

struct table {
    size_t               capacity; /* c */
    struct wane_atomic64 used;     /* a: written under the lock */
    wane_slot            slots[];  /* a: written under the lock (M2); tag: LEFT, and two bits of the hash */
};

struct wane_map {
    struct wane_atomic_ptr table; /* a: M1; written under the lock; NULL until the first key */
    struct wane_atomic64   count; /* a: may be wrong by the operations under way, also below 0 */
    pthread_mutex_t        lock;
};

#define CAPACITY_MIN ((size_t)16)
#define CAPACITY_MAX ((PTRDIFF_MAX / 2 - sizeof(struct table)) / sizeof(wane_slot))
#define SPARSE_MIN   64  /* entries; below, tables do not shrink */
#define LEFT         1u  /* tag in a replaced table: this table's unit of the entry went nowhere else */
#define CLOSED       wane_tag(NULL, 1)

/* ---- Entries and tables ----------------------------------------------------------------------------------------- */

static const uint32_t entry_slots[] = {offsetof(struct entry, value)};

static struct wane_type entry_type = {
    .name = "wane_map_entry",
    .size = sizeof(struct entry),
    .slots = entry_slots,
    .slot_count = 1,
    .flags = WANE_SIZED,
};

static struct entry *
entry_new(uint64_t hash, const char *key)
{
    size_t        size = strlen(key) + 1;
    struct entry *e = wane_new_sized(&entry_type, sizeof *e + size);

    if (e) {
        e->hash = hash;
        memcpy(e->key, key, size);
    }
    return e;
}

/* The last reader of a replaced table has gone: give back what did not move to the next one. */
static void
table_dispose(void *object)
{
    struct table *t = object;

    for (size_t i = 0; i < t->capacity; i++) {
        /* relaxed: nobody writes here any more, and all that was written comes before the death of the table. */
        void *word = (void *)__atomic_load_n(&t->slots[i].bits, __ATOMIC_RELAXED);

        if (wane_tag_of(word) & LEFT)
            wane_release(wane_untag(word));
    }
}

static struct wane_type table_type = {
    .name = "wane_map_table", .size = sizeof(struct table), .dispose = table_dispose, .flags = WANE_SIZED};

static struct table *
table_new(size_t capacity)
{
    struct table *t = NULL;

    if (capacity <= CAPACITY_MAX)
        t = wane_new_sized(&table_type, sizeof *t + capacity * sizeof(wane_slot));
    if (t)
        t->capacity = capacity;
    return t;
}

/* A capacity for n entries, with room for more: at most 3/8 are taken. */
static size_t
capacity_for(size_t n)
{
    size_t capacity = CAPACITY_MIN;

    while (capacity <= CAPACITY_MAX && n > capacity / 8 * 3)
        capacity *= 2;
    return capacity;
}

static size_t
used_of(const struct table *t)
{
    return t ? WANE_LOAD_RELAXED(&t->used) : 0; /* relaxed: exact under the lock, elsewhere a guess */
}

static bool
has_room(const struct table *t)
{
    return t && used_of(t) + 1 <= t->capacity / 8 * 5;
}

static unsigned
tag_for(uint64_t hash)
{
    return (unsigned)(hash >> 62) << 1; /* high bits: the low ones are the index */
}

static struct entry *
find(const struct table *t, uint64_t hash, const char *key)
{
    size_t i = hash;

    if (!t)
        return NULL;
    for (;; i++) {
        void         *word = wane_peek_tagged(&t->slots[i & (t->capacity - 1)]); /* acquire M2 */
        struct entry *e = wane_untag(word);

        if (!e)
            return NULL;
        if ((wane_tag_of(word) & ~LEFT) == tag_for(hash) && e->hash == hash && strcmp(e->key, key) == 0)
            return e;
    }
}

/* Under the lock, or before t is published: the unit that the word stands for is in t from here on. Not by the slot calls, which
 * would have to know that the entry is in a slot now (slot.c, "What no slot holds"): entries have sizes of their own, and objects
 * of such types never count as being in a hand. */
static void
place(struct table *t, uint64_t hash, void *word)
{
    size_t mask = t->capacity - 1, i = hash & mask;

    while (__atomic_load_n(&t->slots[i].bits, __ATOMIC_RELAXED)) /* relaxed: the lock's holder is the only writer */
        i = (i + 1) & mask;
    /* release M2: hash and key; and who sees the unit sees its count. */
    __atomic_store_n(&t->slots[i].bits, (uintptr_t)word, __ATOMIC_RELEASE);
    WANE_STORE_RELAXED(&t->used, used_of(t) + 1); /* relaxed: see used_of */
}

/* ---- The map ----------------------------------------------------------------------------------------------------- */

static struct table *
current(const struct wane_map *map)
{
    /* acquire M1: a fresh table's contents. */
    return WANE_LOAD_ACQUIRE(&map->table);
}

/* Give back the unit of a table that was replaced, when nobody can be reading it any more. */
static void
let_go(struct table *t)
{
    wane_slot last = {0};

    if (!t)
        return;
    wane_put(&last, t);
    wane_clear(&last);
}

static void
trace(const void *object, struct wane_visitor *visitor)
{
    const struct table *t = current(object);

    if (t)
        wane_visit_array(visitor, t->slots, t->capacity);
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
_Static_assert(offsetof(struct wane_map, table) == 0, "WANE_OWNS_FIRST");

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

/* ---- Adding keys and rebuilding, under the lock ------------------------------------------------------------------ */

/* What an adder brings along, so that nothing is allocated under the lock, and takes away, to be released after it. */
struct luggage {
    struct entry *entry; /* to be added; NULL afterwards */
    struct table *fresh; /* to be used when there is no room; NULL afterwards */
    struct table *old;   /* what it has replaced */
    size_t        need;  /* capacity that a fresh table must have */
};

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

static bool
is_closed(const struct entry *e)
{
    return wane_peek_tagged(&e->value) == CLOSED;
}

/* Close the empty entries; how many are not closed. */
static size_t
close_empty(const struct table *t)
{
    size_t open = 0;

    for (size_t i = 0; i < t->capacity; i++) {
        struct entry *e = wane_peek(&t->slots[i]);

        if (e && !is_closed(e) && (wane_peek(&e->value) || !wane_cas(&e->value, NULL, CLOSED)))
            open++;
    }
    return open;
}

/* They stay after all. */
static void
reopen(const struct table *t)
{
    for (size_t i = 0; i < t->capacity; i++) {
        struct entry *e = wane_peek(&t->slots[i]);

        if (e)
            (void)wane_cas(&e->value, CLOSED, NULL);
    }
}

/* The words of the open entries go to the fresh table; those of the closed ones are marked. */
static void
move_words(struct table *fresh, struct table *t)
{
    for (size_t i = 0; i < t->capacity; i++) {
        void         *word = wane_peek_tagged(&t->slots[i]);
        struct entry *e = wane_untag(word);

        if (e && !is_closed(e))
            place(fresh, e->hash, word);
        else if (e) /* release: as every store of a reference into a slot */
            __atomic_store_n(&t->slots[i].bits, (uintptr_t)word | LEFT, __ATOMIC_RELEASE);
    }
}

/* False: the fresh table is too small for the entries that have got a value since it was planned. */
static bool
rebuild(struct wane_map *map, struct luggage *with)
{
    struct table *t = current(map);
    size_t        open = t ? close_empty(t) : 0;

    if (t && open + 1 > with->fresh->capacity / 2) {
        reopen(t);
        with->need = capacity_for(open + 1);
        return false;
    }
    if (t)
        move_words(with->fresh, t);
    with->old = t;
    /* release M1: the slots and the capacity. */
    WANE_STORE_RELEASE(&map->table, with->fresh);
    with->fresh = NULL;
    return true;
}

/* True: the key has an entry. False: a fresh table with capacity with->need is needed. */
static bool
add(struct wane_map *map, struct luggage *with)
{
    uint64_t hash = with->entry->hash;

    if (find(current(map), hash, with->entry->key))
        return true;
    if (!has_room(current(map))) {
        with->need = capacity_for(wane_map_count(map) + 1);
        if (!with->fresh || !rebuild(map, with))
            return false;
    }
    place(current(map), hash, wane_tag(with->entry, tag_for(hash)));
    with->entry = NULL;
    return true;
}

static void
unpack(struct luggage *with)
{
    wane_release(with->entry);
    wane_release(with->fresh);
    let_go(with->old);
}

/* The callbacks that run meanwhile may use the map: all is looked at anew under the lock. */
static int
add_key(struct wane_map *map, uint64_t hash, const char *key)
{
    struct luggage with = {.entry = entry_new(hash, key)};
    bool           added;

    if (!with.entry)
        return -ENOMEM;
    for (;;) {
        lock(map);
        added = add(map, &with);
        unlock(map);
        if (added)
            break;
        wane_release(with.fresh);
        with.fresh = table_new(with.need);
        if (!with.fresh)
            break;
    }
    unpack(&with);
    return added ? 0 : -ENOMEM;
}

/* Many entries and few values. */
static bool
is_sparse(const struct wane_map *map)
{
    size_t used = used_of(current(map));

    return used > SPARSE_MIN && wane_map_count(map) < used / 8;
}

/* After a removal. If there is no memory, or the lock is taken, a later one will do it. */
static void
shrink(struct wane_map *map)
{
    struct luggage with = {.fresh = table_new(capacity_for(wane_map_count(map) + 1))};

    if (!with.fresh)
        return;
    wane_enter();
    if (pthread_mutex_trylock(&map->lock) == 0) {
        if (is_sparse(map))
            (void)rebuild(map, &with);
        pthread_mutex_unlock(&map->lock);
    }
    wane_leave();
    unpack(&with);
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
        stored = store_value(map, find(current(map), hash, key), object, cas);
        wane_leave();
    } while (!stored && (rc = add_key(map, hash, key)) == 0); /* again and again only if rebuilds keep dropping it */
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
    const struct entry *e = find(current(map), wn_hash_string(key), key);

    return e ? wane_peek(&e->value) : NULL;
}

void *
wane_map_get(const struct wane_map *map, const char *key)
{
    uint64_t            hash = wn_hash_string(key);
    const struct entry *e;
    void               *object;

    wane_enter();
    e = find(current(map), hash, key);
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
    bool     sparse;
    void    *object;

    wane_enter();
    object = wane_retain(empty(map, find(current(map), hash, key)));
    sparse = object && is_sparse(map);
    wane_leave();
    if (sparse)
        shrink(map);
    return object;
}

bool
wane_map_remove(struct wane_map *map, const char *key)
{
    uint64_t hash = wn_hash_string(key);
    bool     removed, sparse;

    wane_enter();
    removed = empty(map, find(current(map), hash, key));
    sparse = removed && is_sparse(map);
    wane_leave();
    if (sparse)
        shrink(map);
    return removed;
}

void
wane_map_each(const struct wane_map *map, bool (*fn)(const char *key, void *value, void *arg), void *arg)
{
    const struct table *t;
    bool                go_on = true;

    wane_enter();
    t = current(map); /* one table for the whole walk: no key is in it twice */
    for (size_t i = 0; t && i < t->capacity && go_on; i++) {
        const struct entry *e = wane_peek(&t->slots[i]);
        void               *value = e ? wane_peek(&e->value) : NULL;

        if (value)
            go_on = fn(e->key, value, arg);
    }
    wane_leave();
}

size_t
wn_map_at(const struct wane_map *map, size_t hand, const char **key, void **value)
{
    const struct table *t = current(map);
    const struct entry *e = t ? wane_peek(&t->slots[hand & (t->capacity - 1)]) : NULL;

    *key = e ? e->key : NULL;
    *value = e ? wane_peek(&e->value) : NULL;
    return t ? t->capacity : 0;
}

bool
wn_map_drop(struct wane_map *map, const char *key, const void *value)
{
    struct entry *e = find(current(map), wn_hash_string(key), key);
    bool          dropped = e && wane_cas(&e->value, value, NULL);

    if (dropped)
        add_to_count(map, -1);
    return dropped;
}
