/* SPDX-License-Identifier: MIT */
#include "cache.h"

#include <errno.h>

#include "hash.h"
#include "header.h"
#include "map.h"
#include "roster.h"
#include "soft.h"
#include "spill.h"
#include "step.h"
#include "unit.h"
#include "weak.h"

#define SHARDS 8
#define SLICE  256 /* places that a hand passes in one section */
#define HELD   32  /* caches that a purge holds at a time */

struct meter {
    struct wane_atomic64 cost; /* a: of the items in the maps; for an instant also of some that have left */
};

struct item {
    wane_slot            value; /* or a stub */
    wane_slot            meter;
    struct wane_atomic64 cost; /* a: 0: subtracted */
    struct wane_atomic32 used; /* a: since the hand came by; a hint */
};

struct wane_cache {
    wane_slot               map[SHARDS]; /* c, as the meter */
    wane_slot               meter;
    wane_slot               file; /* NULL: nothing is moved to one */
    struct wane_atomic64    hand[SHARDS];
    struct wane_atomic32    next; /* a: shard whose hand goes next */
    struct wane_atomic_ptr *cell; /* c */
    size_t                  capacity; /* c */
};

static struct wn_roster     roster;
static struct wane_atomic64 evicted;

/* ---- Items -------------------------------------------------------------------------------------------------------- */

static void
subtract(struct item *i)
{
    uint64_t      cost = WN_MUTANT(cost_subtracted_twice) ? load_relaxed(&i->cost) : exchange_acq_rel(&i->cost, UINT64_C(0));
    struct meter *m = cost ? wane_peek(&i->meter) : NULL;

    if (m)
        fetch_add_relaxed(&m->cost, -cost);
}

static void
item_dispose(void *object)
{
    subtract(object);
}

static struct wane_type meter_type = {.name = "wane.meter", .size = sizeof(struct meter)};

static const uint32_t   item_slots[] = {offsetof(struct item, value), offsetof(struct item, meter)};
static struct wane_type item_type = {.name = "wane.cached",
                                     .size = sizeof(struct item),
                                     .slots = item_slots,
                                     .slot_count = 2,
                                     .dispose = item_dispose};

static void
cache_dispose(void *object)
{
    struct wane_cache *c = object;

    if (c->cell)
        wn_roster_strike(&roster, c->cell);
}

#define MAP(i) offsetof(struct wane_cache, map) + (i) * sizeof(wane_slot)
static const uint32_t cache_slots[] = {MAP(0), MAP(1), MAP(2), MAP(3), MAP(4), MAP(5), MAP(6), MAP(7),
                                       offsetof(struct wane_cache, meter), offsetof(struct wane_cache, file)};
_Static_assert(sizeof cache_slots / sizeof cache_slots[0] == SHARDS + 2, "each shard is shown");
static struct wane_type cache_type = {.name = "wane.cache",
                                      .size = sizeof(struct wane_cache),
                                      .slots = cache_slots,
                                      .slot_count = SHARDS + 2,
                                      .dispose = cache_dispose};

static bool
fill(struct wane_cache *c)
{
    for (int i = 0; i < SHARDS; i++) {
        struct wane_map *map = wane_map_new();

        if (!map)
            return false;
        wane_put(&c->map[i], map);
    }
    wane_put(&c->meter, wane_new(&meter_type));
    wane_enter();
    c->cell = wane_peek(&c->meter) ? wn_roster_add(&roster, c) : NULL;
    wane_leave();
    return c->cell;
}

struct wane_cache *
wane_cache_new(size_t capacity)
{
    struct wane_cache *c = wane_new(&cache_type);

    if (!c)
        return NULL;
    c->capacity = capacity;
    if (fill(c))
        return c;
    wane_release(c);
    errno = ENOMEM;
    return NULL;
}

/* The maps never change: what is read here lives as long as the cache, which the caller holds. */
static struct wane_map *
map_of(const struct wane_cache *c, unsigned shard)
{
    struct wane_map *map;

    wane_enter();
    map = wane_peek(&c->map[shard]);
    wane_leave();
    return map;
}

static struct wane_map *
map_for(const struct wane_cache *c, const char *key)
{
    return map_of(c, (unsigned)(wn_hash_string(key) >> 32) % SHARDS);
}

static struct meter *
meter_of(const struct wane_cache *c)
{
    struct meter *m;

    wane_enter();
    m = wane_peek(&c->meter);
    wane_leave();
    return m;
}

/* ---- The clock ---------------------------------------------------------------------------------------------------- */

struct eviction {
    bool   purge;
    size_t freed;
};

/* i was under the hand. True: it is out. In a section. */
static bool
evict(struct wane_map *map, const char *key, struct item *i, struct eviction *e)
{
    void    *value = wane_peek(&i->value);
    uint64_t cost = load_relaxed(&i->cost);

    if (load_relaxed(&i->used) && !WN_MUTANT(evicts_the_used)) {
        store_relaxed(&i->used, 0u);
        return false;
    }
    if (e->purge && value && ((wn_units_of(value) != 1 && !WN_MUTANT(purge_evicts_held)) || wn_spill_is_stub(value)))
        return false; /* that would free nothing */
    (void)wane_retain(i); /* the unit of the map may go meanwhile */
    if (!wn_map_drop(map, key, i)) {
        wane_release(i);
        return false;
    }
    subtract(i);
    wane_release(i);
    fetch_add_relaxed(&evicted, 1u);
    e->freed += cost;
    return true;
}

/* The hand goes on, twice round at most, until something is out. */
static bool
turn(struct wane_cache *c, unsigned shard, struct eviction *e)
{
    struct wane_map *map = map_of(c, shard);
    bool             out = false;
    size_t           places = 1;

    for (size_t n = 0; n < 2 * places && !out;) {
        wane_enter();
        for (size_t end = n + SLICE; n < end && n < 2 * places && !out; n++) {
            const char *key;
            void       *item;

            places = wn_map_at(map, fetch_add_relaxed(&c->hand[shard], 1u), &key, &item);
            out = item && evict(map, key, item, e);
        }
        wane_leave();
    }
    return out;
}

static bool
evict_one(struct wane_cache *c, struct eviction *e)
{
    for (int i = 0; i < SHARDS; i++)
        if (turn(c, fetch_add_relaxed(&c->next, 1u) % SHARDS, e))
            return true;
    return false;
}

/* ---- Operations --------------------------------------------------------------------------------------------------- */

static struct item *
item_new(struct meter *m, void *value, size_t cost)
{
    struct item *i = wane_new(&item_type);

    if (!i)
        return NULL;
    wane_set(&i->value, value);
    wane_set(&i->meter, m);
    store_relaxed(&i->cost, (uint64_t)cost);
    store_relaxed(&i->used, 1u);
    fetch_add_relaxed(&m->cost, (uint64_t)cost);
    return i;
}

int
wane_cache_put(struct wane_cache *c, const char *key, void *object, size_t cost)
{
    struct wane_map *map = map_for(c, key);
    struct eviction  e = {0};
    struct item     *i, *old;

    if (!wane_untag(object))
        return -EINVAL;
    if (cost > c->capacity)
        return -E2BIG;
    i = item_new(meter_of(c), object, cost);
    if (!i)
        return -ENOMEM;
    old = wane_map_get(map, key);
    if (wane_map_put(map, key, i) != 0) {
        wane_release(i); /* its dispose subtracts */
        wane_release(old);
        return -ENOMEM;
    }
    if (old)
        subtract(old);
    wane_release(old);
    wane_release(object);
    while (wane_cache_cost(c) > c->capacity && evict_one(c, &e))
        ;
    return 0;
}

/* The value that the stub stands for, put in its place. Where others do the same, each has a copy for itself. */
static void *
bring_back(struct item *i, void *stub)
{
    void *object = wn_spill_in(stub);

    if (object)
        (void)wane_cas(&i->value, stub, object);
    wane_release(stub);
    return object;
}

void *
wane_cache_get(struct wane_cache *c, const char *key)
{
    const struct wane_map *map = map_for(c, key);
    struct item           *i;
    void                  *value;

    wane_enter();
    i = wane_map_peek(map, key);
    value = i ? wane_get(&i->value) : NULL;
    if (i && !load_relaxed(&i->used))
        store_relaxed(&i->used, 1u);
    i = value && wn_spill_is_stub(value) ? wane_retain(i) : NULL;
    wane_leave();
    if (i)
        value = bring_back(i, value);
    wane_release(i);
    return value;
}

bool
wane_cache_remove(struct wane_cache *c, const char *key)
{
    struct item *i = wane_map_take(map_for(c, key), key);

    if (i)
        subtract(i);
    wane_release(i);
    return i;
}

size_t
wane_cache_cost(const struct wane_cache *c)
{
    int64_t cost = (int64_t)load_relaxed(&meter_of(c)->cost);

    return cost > 0 ? (size_t)cost : 0;
}

size_t
wane_cache_count(const struct wane_cache *c)
{
    size_t n = 0;

    for (unsigned i = 0; i < SHARDS; i++)
        n += wane_map_count(map_of(c, i));
    return n;
}

int
wane_cache_spill(struct wane_cache *c, const char *directory, size_t most)
{
    void *file;

    if (!directory || !most) {
        wane_clear(&c->file);
        return 0;
    }
    file = wn_spill_open(directory, most);
    if (!file)
        return -errno;
    wane_put(&c->file, file);
    return 0;
}

/* ---- Purging ------------------------------------------------------------------------------------------------------ */

/* The payload of i goes to the file, if it may. Outside sections. */
static size_t
spill_item(struct item *i, void *file)
{
    void  *value = wane_get(&i->value), *stub = NULL;
    size_t size = value ? wane_size_of(value) : 0;
    bool   moved = false;

    /* Two units: the slot's, and this one. */
    if (value && wn_spill_takes(value) && (wn_units_of(value) == 2 || WN_MUTANT(spills_held)))
        stub = wn_spill_out(file, value);
    if (stub)
        moved = wane_cas(&i->value, value, stub);
    wane_release(stub);
    wane_release(value);
    return moved ? size : 0;
}

/* The next item of the shard behind the hand, held, or NULL at the end of a round. */
static struct item *
next_item(struct wane_map *map, size_t *hand)
{
    struct item *i = NULL;
    size_t       places = SIZE_MAX;

    wane_enter();
    while (!i && *hand < places) {
        const char *key;
        void       *item;

        places = wn_map_at(map, (*hand)++, &key, &item);
        i = wane_retain(item);
    }
    wane_leave();
    return i;
}

static size_t
spill_shard(struct wane_map *map, void *file, size_t bytes)
{
    size_t       freed = 0, hand = 0;
    struct item *i;

    while (freed < bytes && (i = next_item(map, &hand))) {
        if (load_relaxed(&i->used))
            store_relaxed(&i->used, 0u);
        else
            freed += spill_item(i, file);
        wane_release(i);
    }
    return freed;
}

/* Twice round: the first time those that were not used since the last one go. */
static size_t
spill_cache(struct wane_cache *c, size_t bytes)
{
    void  *file = wane_get(&c->file);
    size_t freed = 0;

    for (unsigned i = 0; file && i < 2 * SHARDS && freed < bytes; i++)
        freed += spill_shard(map_of(c, i % SHARDS), file, bytes - freed);
    wane_release(file);
    return freed;
}

static size_t
purge_cache(struct wane_cache *c, size_t bytes)
{
    size_t          freed = spill_cache(c, bytes);
    struct eviction e = {.purge = true, .freed = freed};

    while (e.freed < bytes && evict_one(c, &e))
        ;
    return e.freed;
}

struct round {
    size_t             skip, held;
    struct wane_cache *cache[HELD];
};

static bool
hold(void *member, void *arg)
{
    struct round *r = arg;

    if (r->skip) {
        r->skip--;
        return true;
    }
    if (wn_weak_hold(WANE_HEADER(member)))
        r->cache[r->held++] = member;
    return r->held < HELD;
}

size_t
wn_cache_purge(size_t bytes)
{
    size_t freed = 0, seen = 0;

    for (bool more = true; more && freed < bytes;) {
        struct round r = {.skip = seen};

        wn_roster_each(&roster, hold, &r);
        for (size_t i = 0; i < r.held; i++) {
            if (freed < bytes)
                freed += purge_cache(r.cache[i], bytes - freed);
            wane_release(r.cache[i]);
        }
        seen += r.held;
        more = r.held == HELD;
    }
    return freed;
}

void
wn_cache_stats(struct wane_memory_stats *out)
{
    out->evicted = load_relaxed(&evicted);
}
