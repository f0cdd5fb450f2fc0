/* SPDX-License-Identifier: MIT
 *
 * weakmap.c - weak keys, and values that hang on them
 *
 *     key => entry -> entry ..        the key's own list, one entry for each map it is in (=>: the hung slot, weak.h)
 *              entry -> value
 *              entry -> weak reference of the map
 *     map -> links (wane_map) -> link -> weak reference of the key
 *
 * The value is the key's matter alone: the entry hangs on the key, so a value that leads to its key closes an ordinary cycle
 * key => entry -> value -> key. The map's link keeps nothing of the key's; it is there so that the map can be walked, and so
 * that either side can clean up at the other when it dies:
 *
 *     the key dies      its entries die; an entry's dispose takes the link out of the map, if that lives
 *     the map dies      its links die (in shares, as all slots do); a link's dispose closes the entry, if the key lives
 *
 * Either finds the other by an upgrade, and by a serial number that entry and link share, so that it never takes out what a
 * later call has put there. What dies in one component with the other finds NULL and leaves it alone.
 *
 * The list is Harris' (DISC 2001), ordered by the maps' numbers. The value slot decides:
 *
 *  1  The value word is a reference, or CLOSED: the entry is gone, for ever. A CAS from a reference to CLOSED is what
 *     removes. So a store, which is a CAS as well, is never lost in an entry that leaves.
 *  2  A closed entry gets its link marked (LEFT), which freezes it; a marked entry is unlinked. Whoever comes by does both.
 *  3  At most one entry of a map is not closed in a key's list: a new one is linked where the search has passed all others.
 *  4  A link is in the map before its entry hangs on the key, so every entry is found by a walk.
 *
 * ABA: entries are never linked twice, links lead to borrowed entries, and the list is used only by who holds the key.
 * Orderings: all by slot operations (E5).
 */
#include <wane/weakmap.h>

#include <wane/containers.h>

#include <errno.h>

#include "step.h"
#include "weak.h"

struct entry {
    wane_slot value;
    wane_slot next; /* tag: LEFT */
    wane_slot map;  /* its weak reference */
    uint64_t  map_number; /* c */
    uint64_t  serial;     /* c */
};

struct link {
    wane_slot key;        /* its weak reference */
    uint64_t  map_number; /* c */
    uint64_t  serial;     /* c */
};

struct wane_weakmap {
    wane_slot links;
    wane_slot self;   /* weak reference */
    uint64_t  number; /* c */
};

#define CLOSED wane_tag(NULL, 1)
#define LEFT   1u

static struct wane_atomic64 last_number; /* a: of maps and of pairs of entry and link */

static uint64_t
next_number(void)
{
    return fetch_add_relaxed(&last_number, 1u) + 1; /* relaxed: it only has to be a new one */
}

/* ---- A key's list, used inside sections by who holds the key ------------------------------------------------------- */

static wane_slot *
list_of(const void *key)
{
    return wn_weak_hung(WANE_HEADER(key));
}

static bool
is_closed(const struct entry *e)
{
    return wane_peek_tagged(&e->value) == CLOSED;
}

/* The value that this call has removed, borrowed; NULL if it was closed. */
static void *
close_entry(struct entry *e)
{
    void *value;

    do {
        value = wane_peek_tagged(&e->value);
        if (value == CLOSED)
            return NULL;
        WN_STEP("weakmap:before-close");
    } while (!wane_cas(&e->value, value, CLOSED));
    WN_STEP("weakmap:closed");
    return value;
}

/* The link of an entry that stays; with the tag LEFT, and frozen, if it is closed. */
static void *
next_of(struct entry *e)
{
    void *next = wane_peek_tagged(&e->next);

    while (is_closed(e) && !(wane_tag_of(next) & LEFT)) {
        if (WN_MUTANT(weakmap_unfrozen))
            return wane_tag(next, LEFT);
        (void)wane_cas(&e->next, next, wane_tag(next, LEFT));
        next = wane_peek_tagged(&e->next);
    }
    return next;
}

struct place {
    wane_slot    *at;
    struct entry *entry; /* the first with a number that is not below; not closed when it was passed */
};

/* Lock-free: a failed CAS means that another thread changed the list. */
static struct place
find(wane_slot *list, uint64_t number)
{
    struct place p = {list, wane_peek(list)};
    void        *next;

    while (p.entry) {
        next = next_of(p.entry);
        if (wane_tag_of(next) & LEFT) {
            if (!wane_cas(p.at, p.entry, wane_untag(next))) {
                p = (struct place){list, wane_peek(list)};
                continue;
            }
        } else if (p.entry->map_number >= number) {
            break;
        } else {
            p.at = &p.entry->next;
        }
        p.entry = wane_untag(next);
    }
    return p;
}

static struct entry *
find_entry(wane_slot *list, uint64_t number)
{
    struct entry *e = list ? find(list, number).entry : NULL;

    return e && e->map_number == number ? e : NULL;
}

/* Helps nobody. An entry that is found closed was not there for a moment since the call began (list.h in the examples). */
static const struct entry *
look(const wane_slot *list, uint64_t number)
{
    const struct entry *e = list ? wane_peek(list) : NULL;

    while (e && e->map_number < number)
        e = wane_peek(&e->next);
    return e && e->map_number == number ? e : NULL;
}

/* False: no entry, or a closed one. */
static bool
replace(struct entry *e, void *value)
{
    void *old;

    if (!e)
        return false;
    do {
        old = wane_peek_tagged(&e->value);
        if (old == CLOSED)
            return WN_MUTANT(weakmap_stores_in_closed);
        WN_STEP("weakmap:before-replace");
    } while (!wane_cas(&e->value, old, value));
    return true;
}

/* True: e hangs in the list. False: another thread has hung one for this map, and that has got the value now. */
static bool
hang(wane_slot *list, struct entry *e)
{
    for (;;) {
        struct place p = find(list, e->map_number);

        if (p.entry && p.entry->map_number == e->map_number && !WN_MUTANT(weakmap_hangs_twice)) {
            if (replace(p.entry, wane_peek(&e->value)))
                return false;
            continue;
        }
        wane_set_private(&e->next, p.entry); /* nobody can see e yet */
        WN_STEP("weakmap:before-hang");
        if (wane_cas(p.at, p.entry, e))
            return true;
    }
}

/* ---- Links --------------------------------------------------------------------------------------------------------- */

#define NAME_SIZE 17

static const char *
name_of(uint64_t serial, char name[NAME_SIZE])
{
    for (int i = NAME_SIZE - 2; i >= 0; i--, serial >>= 4)
        name[i] = "0123456789abcdef"[serial & 15];
    name[NAME_SIZE - 1] = 0;
    return name;
}

static struct wane_map *
links_of(const struct wane_weakmap *map)
{
    return wane_peek(&map->links);
}

static void
forget(struct wane_weakmap *map, uint64_t serial)
{
    char name[NAME_SIZE];

    wane_enter();
    (void)wane_map_remove(links_of(map), name_of(serial, name));
    wane_leave();
}

/* The map has let it go: it dies, or the entry has gone before, or was never hung. */
static void
link_dispose(void *object)
{
    struct link  *l = object;
    void         *key = wane_weak_get(wane_peek(&l->key));
    struct entry *e = key ? find_entry(list_of(key), l->map_number) : NULL;

    if (e && (e->serial == l->serial || WN_MUTANT(weakmap_any_serial)) && close_entry(e))
        (void)find_entry(list_of(key), l->map_number); /* unlinks it */
    wane_release(key);
}

/* Not closed: its key dies (or it was never hung, and has no link any more). */
static void
entry_dispose(void *object)
{
    struct entry        *e = object;
    struct wane_weakmap *map = is_closed(e) ? NULL : wane_weak_get(wane_peek(&e->map));

    if (map)
        forget(map, e->serial);
    wane_release(map);
}

static const uint32_t entry_slots[] = {offsetof(struct entry, value), offsetof(struct entry, next),
                                       offsetof(struct entry, map)};
static const uint32_t link_slots[] = {offsetof(struct link, key)};
static const uint32_t map_slots[] = {offsetof(struct wane_weakmap, links), offsetof(struct wane_weakmap, self)};

static struct wane_type entry_type = {.name = "wane_weakmap_entry",
                                      .size = sizeof(struct entry),
                                      .slots = entry_slots,
                                      .slot_count = 3,
                                      .dispose = entry_dispose};
static struct wane_type link_type = {.name = "wane_weakmap_link",
                                     .size = sizeof(struct link),
                                     .slots = link_slots,
                                     .slot_count = 1,
                                     .dispose = link_dispose};
static struct wane_type map_type = {
    .name = "wane_weakmap", .size = sizeof(struct wane_weakmap), .slots = map_slots, .slot_count = 2};

static struct entry *
entry_new(struct wane_weakmap *map, uint64_t serial, void *value)
{
    struct entry *e = wane_new(&entry_type);

    if (!e)
        return NULL;
    e->map_number = map->number;
    e->serial = serial;
    wane_set_private(&e->value, value);
    wane_enter();
    wane_set_private(&e->map, wane_peek(&map->self));
    wane_leave();
    return e;
}

static struct link *
link_new(struct wane_weakmap *map, uint64_t serial, void *weak)
{
    struct link *l = wane_new(&link_type);

    if (!l)
        return NULL;
    l->map_number = map->number;
    l->serial = serial;
    wane_set_private(&l->key, weak);
    return l;
}

/* ---- The map ------------------------------------------------------------------------------------------------------- */

struct wane_weakmap *
wane_weakmap_new(void)
{
    struct wane_weakmap *map = wane_new(&map_type);
    struct wane_map     *links = map ? wane_map_new() : NULL;
    void                *self = links ? wane_weak(map) : NULL;

    if (self) {
        map->number = next_number();
        wane_put_private(&map->links, links);
        wane_put_private(&map->self, self);
        return map;
    }
    wane_release(links);
    wane_release(map);
    return NULL;
}

/* The link is in the map; hang the entry on the key. */
static void
join(struct wane_weakmap *map, void *key, struct entry *e)
{
    bool hung;

    wane_enter();
    hung = hang(list_of(key), e);
    wane_leave();
    if (!hung)
        forget(map, e->serial);
}

static int
add(struct wane_weakmap *map, void *key, void *value)
{
    uint64_t      serial = next_number();
    char          name[NAME_SIZE];
    void         *weak = wane_weak(key);
    struct entry *e;
    struct link  *l;
    int           rc = -ENOMEM;

    if (!weak)
        return -errno;
    e = entry_new(map, serial, value);
    l = link_new(map, serial, weak);
    wane_enter();
    if (e && l)
        rc = wane_map_set(links_of(map), name_of(serial, name), l);
    wane_leave();
    if (rc == 0)
        join(map, key, e);
    wane_release(e);
    wane_release(l);
    wane_release(weak);
    return rc;
}

int
wane_weakmap_set(struct wane_weakmap *map, void *key, void *value)
{
    bool replaced;

    value = wane_untag(value);
    if (!value) {
        (void)wane_weakmap_remove(map, key);
        return 0;
    }
    wane_enter();
    replaced = replace(find_entry(list_of(key), map->number), value);
    wane_leave();
    return replaced ? 0 : add(map, key, value);
}

void *
wane_weakmap_get(const struct wane_weakmap *map, const void *key)
{
    const struct entry *e;
    void               *value;

    wane_enter();
    e = look(list_of(key), map->number);
    value = e ? wane_get(&e->value) : NULL;
    wane_leave();
    return value;
}

void *
wane_weakmap_take(struct wane_weakmap *map, const void *key)
{
    struct entry *e;
    void         *value;

    wane_enter();
    e = find_entry(list_of(key), map->number);
    value = e ? wane_retain(close_entry(e)) : NULL;
    if (value) {
        (void)find_entry(list_of(key), map->number); /* unlinks it */
        forget(map, e->serial);
    }
    wane_leave();
    return value;
}

bool
wane_weakmap_remove(struct wane_weakmap *map, const void *key)
{
    void *value = wane_weakmap_take(map, key);

    wane_release(value);
    return value;
}

size_t
wane_weakmap_count(const struct wane_weakmap *map)
{
    size_t count;

    wane_enter();
    count = wane_map_count(links_of(map));
    wane_leave();
    return count;
}

struct walk {
    bool (*fn)(void *key, void *value, void *arg);
    void *arg;
};

static bool
show(const char *name, void *link, void *arg)
{
    const struct walk  *w = arg;
    const struct link  *l = link;
    void               *key = wane_weak_get(wane_peek(&l->key));
    const struct entry *e = key ? look(list_of(key), l->map_number) : NULL;
    void               *value = e && e->serial == l->serial ? wane_peek(&e->value) : NULL;
    bool                go_on = value ? w->fn(key, value, w->arg) : true;

    (void)name;
    wane_release(key);
    return go_on;
}

void
wane_weakmap_each(const struct wane_weakmap *map, bool (*fn)(void *key, void *value, void *arg), void *arg)
{
    struct walk w = {fn, arg};

    wane_enter();
    wane_map_each(links_of(map), show, &w);
    wane_leave();
}
