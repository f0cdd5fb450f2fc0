/* SPDX-License-Identifier: MIT
 *
 * heap_wane.c - heap.h over wane
 *
 * A loan from a dictionary is a borrow: no count is touched for it. It becomes a unit of its own only by loan_keep, which the
 * server calls for what a socket did not take at once. A dictionary is an object with one slot: empty, a page (heap_page.h), or,
 * with the tag MAP, a wane_map: the key space, and what has outgrown a page. To clear the key space is to store other maps; the
 * library takes the old ones to pieces in the background.
 *
 * wane_map has strings for keys. Zero bytes are written \1\1 and the byte 1 is written \1\2: equal keys stay equal.
 */
#include "heap.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <wane/collector.h>
#include <wane/containers.h>
#include <wane/memory.h>
#include <wane/observe.h>

#include "heap_page.h"

#define MAP 1 /* tag of the slot */
#define ON_STACK 512 /* longer keys are prepared on the heap */

struct text {
    struct value head;
    size_t       size;
    char         bytes[];
};

struct dict {
    struct value head;
    wane_slot    body;
    size_t       count;     /* a: of a page's entries; written under the lock */
    unsigned     stripe;    /* c */
    unsigned     name_size; /* c */
    char         name[];    /* c */
};

static const uint32_t dict_slots[] = {offsetof(struct dict, body)};

static struct wane_type text_type = {.name = "text", .size = sizeof(struct text), .flags = WANE_SIZED};
static struct wane_type hash_type = {
    .name = "hash", .size = sizeof(struct dict), .slots = dict_slots, .slot_count = 1, .flags = WANE_SIZED};
static struct wane_type node_type = {
    .name = "node", .size = sizeof(struct dict), .slots = dict_slots, .slot_count = 1, .flags = WANE_SIZED};
static struct wane_type space_type = {
    .name = "space", .size = sizeof(struct dict), .slots = dict_slots, .slot_count = 1, .flags = WANE_SIZED};

static struct wane_type *const types[] = {[TEXT] = &text_type, [HASH] = &hash_type, [NODE] = &node_type, [SPACE] = &space_type};

/* ---- The process, its threads --------------------------------------------------------------------------------------- */

static size_t (*evict_some)(size_t bytes);
static size_t          most_bytes;
static pthread_mutex_t helping = PTHREAD_MUTEX_INITIALIZER;

static size_t
pressure(size_t bytes, void *arg)
{
    (void)arg;
    return evict_some(bytes);
}

bool
heap_open(void)
{
    return true; /* the library starts by itself */
}

/* Above the limit the background evicts; a sixteenth above it the loops do (heap_tend); a quarter above it, new values are
 * refused. */
bool
heap_limit(size_t most, size_t (*evict)(size_t bytes))
{
    (void)wane_off_pressure(pressure, NULL);
    evict_some = evict;
    most_bytes = most;
    if (wane_budget(most, most + most / 4) != 0)
        return false;
    return most == 0 || wane_on_pressure(pressure, NULL) == 0;
}

int
heap_close(void)
{
    return wane_shutdown();
}

void
heap_thread_begin(void)
{
}

void
heap_thread_end(void)
{
}

void
heap_enter(void)
{
    wane_enter();
}

void
heap_leave(void)
{
    wane_leave();
}

/* What is evicted is free after a grace period: who does not wait for that evicts twice. So one helps at a time, and writers who
 * are far ahead of the background wait for him. */
void
heap_tend(void)
{
    size_t used;

    if (most_bytes == 0)
        return;
    used = wane_budget_used();
    if (used <= most_bytes + most_bytes / 16)
        return;
    if ((used <= most_bytes + most_bytes / 8 ? pthread_mutex_trylock(&helping) : pthread_mutex_lock(&helping)) != 0)
        return;
    used = wane_budget_used();
    if (used > most_bytes + most_bytes / 16) {
        evict_some(used - most_bytes);
        (void)wane_barrier();
    }
    pthread_mutex_unlock(&helping);
}

void
heap_collect(void)
{
    struct wane_collected c;

    do {
        if (wane_barrier() != 0 || wane_collect(WANE_ALL, &c) != 0)
            return;
    } while (c.freed > 0);
}

const char *
heap_name(void)
{
    return "wane";
}

size_t
heap_used(void)
{
    return wane_budget_used();
}

struct wanted {
    const char *name;
    size_t      count;
};

static void
count_type(const char *name, int64_t objects, int64_t bytes, void *arg)
{
    struct wanted *w = arg;

    (void)bytes;
    if (strcmp(name, w->name) == 0)
        w->count += objects > 0 ? (size_t)objects : 0;
}

size_t
heap_alive(enum kind kind)
{
    struct wanted w = {.name = types[kind]->name};

    wane_type_stats(count_type, &w);
    return w.count;
}

void
heap_report(int fd, bool json)
{
    (void)(json ? wane_stats_json_write(fd) : wane_metrics_write(fd));
}

void *
heap_room(size_t bytes)
{
    return calloc(1, bytes);
}

void
heap_room_free(void *room)
{
    free(room);
}

/* ---- Loans: own[0] is not NULL if the loan holds a unit -------------------------------------------------------------- */

static void
lend(struct loan *out, void *value, bool owned)
{
    out->value = value;
    out->own[0] = owned ? value : NULL;
}

void
loan_copy(struct loan *to, const struct loan *from)
{
    lend(to, from->value, false);
}

void
loan_keep(struct loan *loan)
{
    if (!loan->own[0])
        loan->own[0] = wane_retain(loan->value);
}

void
loan_drop(struct loan *loan)
{
    wane_release(loan->own[0]);
    loan->own[0] = NULL;
}

/* ---- Texts ---------------------------------------------------------------------------------------------------------- */

bool
text_new(size_t size, struct loan *out, char **bytes)
{
    struct text *t = wane_new_sized(&text_type, sizeof *t + size);

    if (!t)
        return false;
    t->head.kind = TEXT;
    t->size = size;
    *bytes = t->bytes;
    lend(out, t, true);
    return true;
}

const char *
text_bytes(const struct value *text, size_t *size)
{
    const struct text *t = (const struct text *)text;

    *size = t->size;
    return t->bytes;
}

/* ---- Keys ----------------------------------------------------------------------------------------------------------- */

struct key {
    char *string;
    char  room[ON_STACK];
};

static bool
key_begin(struct key *k, const char *bytes, size_t size)
{
    char *out;

    k->string = 2 * size < sizeof k->room ? k->room : malloc(2 * size + 1);
    if (!k->string)
        return false;
    out = k->string;
    for (size_t i = 0; i < size; i++) {
        if ((unsigned char)bytes[i] <= 1)
            *out++ = 1;
        *out++ = (unsigned char)bytes[i] <= 1 ? (char)(bytes[i] + 1) : bytes[i];
    }
    *out = '\0';
    return true;
}

static void
key_end(struct key *k)
{
    if (k->string != k->room)
        free(k->string);
}

/* ---- Dictionaries ----------------------------------------------------------------------------------------------------- */

bool
dict_new(enum kind kind, const char *name, size_t name_size, unsigned stripe, struct loan *out)
{
    struct dict *d = wane_new_sized(types[kind], sizeof *d + name_size);

    if (!d)
        return false;
    d->head.kind = kind;
    d->stripe = stripe;
    d->name_size = (unsigned)name_size;
    memcpy(d->name, name, name_size);
    lend(out, d, true);
    if (kind == SPACE) {
        dict_clear(&d->head);
        if (!wane_peek(&d->body)) {
            loan_drop(out);
            return false;
        }
    }
    return true;
}

const char *
dict_name(const struct value *dict, size_t *size)
{
    const struct dict *d = (const struct dict *)dict;

    *size = d->name_size;
    return d->name;
}

unsigned
dict_stripe(const struct value *dict)
{
    return ((const struct dict *)dict)->stripe;
}

/* The map, or NULL; then *page is the page, or NULL. */
static struct wane_map *
body_of(const struct value *dict, struct page **page)
{
    void *body = wane_peek_tagged(&((const struct dict *)dict)->body);

    *page = wane_tag_of(body) == MAP ? NULL : body;
    return *page ? NULL : wane_untag(body);
}

size_t
dict_count(const struct value *dict)
{
    struct page     *page;
    struct wane_map *map = body_of(dict, &page);

    return map ? wane_map_count(map) : __atomic_load_n(&((const struct dict *)dict)->count, __ATOMIC_RELAXED);
}

static void *
find(const struct value *dict, const char *key, size_t size)
{
    struct page     *page;
    struct wane_map *map = body_of(dict, &page);
    struct key       k;
    void            *value;

    if (!map)
        return page ? page_find(page, key, size) : NULL;
    if (!key_begin(&k, key, size))
        return NULL;
    value = wane_map_peek(map, k.string);
    key_end(&k);
    return value;
}

bool
dict_get(const struct value *dict, const char *key, size_t size, struct loan *out)
{
    void *value = find(dict, key, size);

    lend(out, value, false);
    return value;
}

bool
dict_find(const struct value *dict, const char *key, size_t size, struct loan *out)
{
    return dict_get(dict, key, size, out);
}

static bool
map_put(struct wane_map *map, const char *key, size_t size, struct loan *value)
{
    struct key k;
    int        rc;

    if (!key_begin(&k, key, size))
        return false;
    if (value->own[0]) {
        rc = wane_map_put(map, k.string, value->value);
        if (rc == 0)
            value->own[0] = NULL;
    } else {
        rc = wane_map_set(map, k.string, value->value);
    }
    key_end(&k);
    return rc == 0;
}

static bool
into_map(const char *key, size_t size, void *value, void *map)
{
    struct loan loan;

    lend(&loan, value, false);
    return map_put(map, key, size, &loan);
}

/* The page has become too large. */
static bool
put_in_new_map(struct dict *d, const struct page *page, const char *key, size_t size, struct loan *value)
{
    struct wane_map *map = wane_map_new();

    if (!map)
        return false;
    page_each(page, into_map, map);
    if (wane_map_count(map) != d->count || !map_put(map, key, size, value)) {
        wane_release(map);
        return false;
    }
    wane_put(&d->body, wane_tag(map, MAP));
    return true;
}

/* There is no page, or it is full. */
static bool
put_in_new_page(struct dict *d, const struct page *page, const char *key, size_t size, const struct loan *value)
{
    struct page *larger = page ? page_grown(page, size) : page_new(2, 2 * size);

    if (!larger)
        return false;
    (void)page_set(larger, key, size, value->value);
    wane_put(&d->body, larger);
    return true;
}

bool
dict_put(struct value *dict, const char *key, size_t size, struct loan *value)
{
    struct dict     *d = (struct dict *)dict;
    struct page     *page;
    struct wane_map *map = body_of(dict, &page);
    int              fresh;

    if (map)
        return map_put(map, key, size, value);
    fresh = page ? page_set(page, key, size, value->value) : -ENOSPC;
    if (fresh == -ENOSPC) {
        if (d->count >= PAGE_MOST)
            return put_in_new_map(d, page, key, size, value);
        if (!put_in_new_page(d, page, key, size, value))
            return false;
        fresh = 1;
    }
    __atomic_store_n(&d->count, d->count + (size_t)fresh, __ATOMIC_RELAXED);
    return true;
}

bool
dict_remove(struct value *dict, const char *key, size_t size)
{
    struct dict     *d = (struct dict *)dict;
    struct page     *page;
    struct wane_map *map = body_of(dict, &page);
    struct key       k;
    bool             removed;

    if (!map) {
        removed = page && page_remove(page, key, size);
        __atomic_store_n(&d->count, d->count - removed, __ATOMIC_RELAXED);
        return removed;
    }
    if (!key_begin(&k, key, size))
        return false;
    removed = wane_map_remove(map, k.string);
    key_end(&k);
    return removed;
}

void
dict_clear(struct value *dict)
{
    struct wane_map *map = wane_map_new();

    if (map)
        wane_put(&((struct dict *)dict)->body, wane_tag(map, MAP));
}

struct walk {
    dict_visitor *fn;
    void         *arg;
};

static bool
show(const char *key, size_t size, void *value, void *arg)
{
    const struct walk *w = arg;
    struct loan        loan;

    lend(&loan, value, false);
    return w->fn(key, size, &loan, w->arg);
}

static bool
show_of_map(const char *key, void *value, void *arg)
{
    size_t size = strlen(key), out = 0;
    char   room[ON_STACK], *plain;
    bool   more;

    if (!memchr(key, 1, size))
        return show(key, size, value, arg);
    plain = size > sizeof room ? malloc(size) : room;
    if (!plain)
        return true;
    plain[0] = '\0';
    for (size_t i = 0; i < size; i++, out++)
        plain[out] = key[i] == 1 ? (char)(key[++i] - 1) : key[i];
    more = show(plain, out, value, arg);
    if (plain != room)
        free(plain);
    return more;
}

void
dict_each(const struct value *dict, dict_visitor *fn, void *arg)
{
    struct walk      w = {fn, arg};
    struct page     *page;
    struct wane_map *map = body_of(dict, &page);

    if (map)
        wane_map_each(map, show_of_map, &w);
    else if (page)
        page_each(page, show, &w);
}
