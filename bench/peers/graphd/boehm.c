/* SPDX-License-Identifier: MIT
 *
 * boehm.c - examples/graphd/heap.h over Boehm's collector: nothing is ever released, threads are stopped to find out
 *
 * Loans are plain pointers, which the collector sees on stacks and in heap_room. A dictionary is a table of chains under the
 * mutex of its stripe.
 */
#define GC_THREADS
#include <gc.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "heap.h"
#include "stripe.h"

struct text {
    struct value head;
    size_t       size;
    char         bytes[];
};

struct entry {
    struct entry *next;
    struct value *value;
    size_t        hash, size;
    char          key[];
};

struct dict {
    struct value   head;
    struct entry **chains;
    size_t         places, count; /* count: a */
    unsigned       stripe;
    size_t         name_size;
    char           name[];
};

static size_t (*evict_some)(size_t bytes);
static size_t          most_bytes;
static pthread_mutex_t helping = PTHREAD_MUTEX_INITIALIZER;

bool
heap_open(void)
{
    GC_INIT();
    GC_allow_register_threads();
    return true;
}

bool
heap_limit(size_t most, size_t (*evict)(size_t bytes))
{
    most_bytes = most;
    evict_some = evict;
    return true;
}

int
heap_close(void)
{
    return 0;
}

void
heap_thread_begin(void)
{
    struct GC_stack_base base;

    GC_get_stack_base(&base);
    GC_register_my_thread(&base);
}

void
heap_thread_end(void)
{
    GC_unregister_my_thread();
}

void
heap_enter(void)
{
}

void
heap_leave(void)
{
}

size_t
heap_used(void)
{
    return GC_get_heap_size() - GC_get_free_bytes();
}

void
heap_tend(void)
{
    size_t used = heap_used();

    if (most_bytes == 0 || used <= most_bytes)
        return;
    pthread_mutex_lock(&helping);
    GC_gcollect();
    used = heap_used();
    if (used > most_bytes)
        evict_some(used - most_bytes);
    pthread_mutex_unlock(&helping);
}

void
heap_collect(void)
{
    GC_gcollect();
}

const char *
heap_name(void)
{
    return "Boehm";
}

size_t
heap_alive(enum kind kind)
{
    (void)kind;
    return SIZE_MAX;
}

void
heap_report(int fd, bool json)
{
    dprintf(fd, json ? "{\"used\": %zu}\n" : "# TYPE used gauge\nused %zu\n# EOF\n", heap_used());
}

void *
heap_room(size_t bytes)
{
    return GC_MALLOC_UNCOLLECTABLE(bytes);
}

void
heap_room_free(void *room)
{
    GC_FREE(room);
}

static void
lend(struct loan *out, struct value *value)
{
    out->value = value;
}

void
loan_copy(struct loan *to, const struct loan *from)
{
    lend(to, from->value);
}

void
loan_keep(struct loan *loan)
{
    (void)loan;
}

void
loan_drop(struct loan *loan)
{
    loan->value = NULL;
}

bool
text_new(size_t size, struct loan *out, char **bytes)
{
    struct text *t = GC_MALLOC_ATOMIC(sizeof *t + size);

    if (!t)
        return false;
    t->head = (struct value){.kind = TEXT};
    t->size = size;
    *bytes = t->bytes;
    lend(out, &t->head);
    return true;
}

const char *
text_bytes(const struct value *text, size_t *size)
{
    *size = ((const struct text *)text)->size;
    return ((const struct text *)text)->bytes;
}

bool
dict_new(enum kind kind, const char *name, size_t name_size, unsigned stripe, struct loan *out)
{
    struct dict *d = GC_MALLOC(sizeof *d + name_size);

    if (!d)
        return false;
    d->head.kind = kind;
    d->stripe = stripe;
    d->name_size = name_size;
    memcpy(d->name, name, name_size);
    lend(out, &d->head);
    return true;
}

const char *
dict_name(const struct value *dict, size_t *size)
{
    *size = ((const struct dict *)dict)->name_size;
    return ((const struct dict *)dict)->name;
}

unsigned
dict_stripe(const struct value *dict)
{
    return ((const struct dict *)dict)->stripe;
}

size_t
dict_count(const struct value *dict)
{
    return __atomic_load_n(&((const struct dict *)dict)->count, __ATOMIC_RELAXED);
}

static size_t
hash_of(const char *key, size_t size)
{
    size_t h = 14695981039346656037u;

    for (size_t i = 0; i < size; i++)
        h = (h ^ (unsigned char)key[i]) * 1099511628211u;
    return h ^ h >> 32;
}

static struct entry **
entry_at(const struct dict *d, const char *key, size_t size, size_t hash)
{
    struct entry **at = &d->chains[hash & (d->places - 1)];

    while (*at && !((*at)->hash == hash && (*at)->size == size && memcmp((*at)->key, key, size) == 0))
        at = &(*at)->next;
    return at;
}

bool
dict_find(const struct value *dict, const char *key, size_t size, struct loan *out)
{
    const struct dict *d = (const struct dict *)dict;
    struct entry      *e = d->places ? *entry_at(d, key, size, hash_of(key, size)) : NULL;

    if (e)
        lend(out, e->value);
    return e;
}

bool
dict_get(const struct value *dict, const char *key, size_t size, struct loan *out)
{
    bool found;

    stripe_lock(dict_stripe(dict));
    found = dict_find(dict, key, size, out);
    stripe_unlock(dict_stripe(dict));
    return found;
}

static bool
grow(struct dict *d)
{
    size_t         places = d->places ? 2 * d->places : 4;
    struct entry **chains = GC_MALLOC(places * sizeof *chains);

    if (!chains)
        return false;
    for (size_t i = 0; i < d->places; i++)
        for (struct entry *e = d->chains[i], *next; e; e = next) {
            next = e->next;
            e->next = chains[e->hash & (places - 1)];
            chains[e->hash & (places - 1)] = e;
        }
    d->chains = chains;
    d->places = places;
    return true;
}

bool
dict_put(struct value *dict, const char *key, size_t size, struct loan *value)
{
    struct dict   *d = (struct dict *)dict;
    size_t         hash = hash_of(key, size);
    struct entry **at, *e;

    if (d->count >= d->places && !grow(d))
        return false;
    at = entry_at(d, key, size, hash);
    if (!*at) {
        e = GC_MALLOC(sizeof *e + size);
        if (!e)
            return false;
        e->hash = hash;
        e->size = size;
        memcpy(e->key, key, size);
        *at = e;
        __atomic_store_n(&d->count, d->count + 1, __ATOMIC_RELAXED);
    }
    (*at)->value = value->value;
    return true;
}

bool
dict_remove(struct value *dict, const char *key, size_t size)
{
    struct dict   *d = (struct dict *)dict;
    struct entry **at = d->places ? entry_at(d, key, size, hash_of(key, size)) : NULL;

    if (!at || !*at)
        return false;
    *at = (*at)->next;
    __atomic_store_n(&d->count, d->count - 1, __ATOMIC_RELAXED);
    return true;
}

void
dict_clear(struct value *dict)
{
    struct dict *d = (struct dict *)dict;

    d->chains = NULL;
    d->places = 0;
    __atomic_store_n(&d->count, 0, __ATOMIC_RELAXED);
}

void
dict_each(const struct value *dict, dict_visitor *fn, void *arg)
{
    const struct dict *d = (const struct dict *)dict;
    struct loan        loan;
    bool               more = true;

    stripe_lock(d->stripe);
    for (size_t i = 0; more && i < d->places; i++)
        for (struct entry *e = d->chains[i]; more && e; e = e->next) {
            lend(&loan, e->value);
            more = fn(e->key, e->size, &loan, arg);
        }
    stripe_unlock(d->stripe);
}
