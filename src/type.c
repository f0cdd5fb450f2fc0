/* SPDX-License-Identifier: MIT */
#include "type.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include <wane/observe.h>

#include "cell.h"
#include "check.h"
#include "memory.h"
#include "step.h"
#include "table.h"

struct wane_atomic_ptr wn_types[WN_MAX_TYPES + 1];

static pthread_mutex_t       lock = PTHREAD_MUTEX_INITIALIZER; /* registration only */
static struct wane_atomic32  count;

static bool
slots_are_valid(const struct wane_type *d)
{
    for (size_t i = 0; i < d->slot_count; i++) {
        if (d->slots[i] % sizeof(wane_slot) || d->slots[i] + sizeof(wane_slot) > d->size)
            return false;
        for (size_t j = 0; j < i; j++)
            if (d->slots[j] == d->slots[i])
                return false;
    }
    return true;
}

static struct wn_type *
copy(struct wane_type *d)
{
    size_t          slots = d->slot_count * sizeof *d->slots;
    size_t          name = strlen(d->name) + 1;
    struct wn_type *t = wn_calloc(1, sizeof *t + slots + name);

    if (!t)
        return NULL;
    t->slots = (uint32_t *)(t + 1);
    if (slots)
        memcpy(t->slots, d->slots, slots);
    t->name = memcpy((char *)(t + 1) + slots, d->name, name);
    t->size = d->size;
    t->slot_count = d->slot_count;
    t->trace = d->trace;
    t->dispose = d->dispose;
    t->finalize = d->finalize;
    t->declared = d;
    t->has_slots = d->slot_count > 0 || d->trace;
    t->traced = t->has_slots && (!(d->flags & WANE_ACYCLIC) || WN_MUTANT(acyclic_ignored));
    t->sized = d->flags & WANE_SIZED;
    t->owns_first = d->flags & WANE_OWNS_FIRST;
    t->traced_early = d->flags & WANE_TRACED_EARLY;
    t->is_silent = !t->trace && !t->sized && !t->dispose && !t->finalize;
    t->is_plain = t->is_silent && !t->has_slots;
    t->prefix = t->sized || t->finalize ? sizeof(struct wn_prefix) : 0;
    t->can_hold = t->traced && !t->prefix;
    t->bytes = t->prefix + sizeof(struct wane_header) + t->size;
    t->bin = wn_cell_bin(t->bytes);
    return t;
}

static struct wn_type *
register_locked(struct wane_type *d)
{
    uint32_t        id = load_relaxed(&d->id); /* relaxed: under the lock */
    struct wn_type *t;

    if (id)
        return load_relaxed(&wn_types[id]);
    wn_cells_choose();
    if (!d->name || !slots_are_valid(d)) {
        errno = EINVAL;
        return NULL;
    }
    id = load_relaxed(&count) + 1;
    t = id > WN_MAX_TYPES - 1 ? NULL : copy(d);
    if (!t) {
        errno = ENOMEM;
        return NULL;
    }
    t->id = id;
    /* Leaves are never candidates, nor is what is said to be in no cycle. */
    t->word0 = (uint64_t)id << WN_TYPE_SHIFT | (t->can_hold ? WN_UNSTORED : t->traced ? 0 : WANE_QUIET);
    /* release E6: the entry, for whoever reads it by an id or through the declaration. */
    WN_WEAKER(type_unordered, store_release, store_relaxed, &wn_types[id], (void *)t);
    WN_WEAKER(type_unordered, store_release, store_relaxed, &count, id);
    WN_WEAKER(type_unordered, store_release, store_relaxed, &d->id, id);
    return t;
}

struct wn_type *
wn_type_register(struct wane_type *d)
{
    uint32_t        id = load_acquire(&d->id); /* acquire E6 */
    struct wn_type *t;

    if (id)
        return load_acquire(&wn_types[id]);
    pthread_mutex_lock(&lock);
    t = register_locked(d);
    pthread_mutex_unlock(&lock);
    return t;
}

void
wn_not_an_object(const struct wane_header *h)
{
    fprintf(stderr, "wane: %p is not an object (or it was freed)\n", (const void *)(h + 1));
    abort();
}

static void
show(const struct wn_type *t, struct wane_header *h, struct wane_visitor *visitor)
{
#if WN_CHECKS >= 2
    wn_traced_now = h;
#else
    (void)h;
#endif
    t->trace(wn_payload(h), visitor);
#if WN_CHECKS >= 2
    wn_traced_now = NULL;
#endif
}

/* What weak maps have hung on the object. */
static void
show_hung(struct wane_header *h, struct wane_visitor *visitor)
{
    struct wn_table_node *node = NULL;

    /* relaxed: set before anything was hung anywhere. */
    if (load_relaxed(&wn_table_hung) && (load_acquire(&h->word1) & WN_WEAK))
        node = wn_table_find(h);
    if (node && !WN_MUTANT(hung_not_traced))
        visitor->slot(visitor, &node->hung);
}

void
wn_type_trace(const struct wn_type *t, struct wane_header *h, struct wane_visitor *visitor)
{
    char *payload = wn_payload(h);

    for (size_t i = 0; i < t->slot_count; i++)
        visitor->slot(visitor, (wane_slot *)(void *)(payload + t->slots[i]));
    if (t->trace)
        show(t, h, visitor);
    show_hung(h, visitor);
}

void
wane_visit(struct wane_visitor *visitor, const wane_slot *slot)
{
    visitor->slot(visitor, (wane_slot *)(uintptr_t)slot);
}

void
wane_visit_array(struct wane_visitor *visitor, const wane_slot *slots, size_t n)
{
    wane_slot *first = (wane_slot *)(uintptr_t)slots;

    if (visitor->range) {
        visitor->range(visitor, first, n);
        return;
    }
    for (size_t i = 0; i < n; i++)
        visitor->slot(visitor, &first[i]);
}

const struct wane_type *
wane_type_of(const void *object)
{
    return wn_type_of(WANE_HEADER(object))->declared;
}

size_t
wane_size_of(const void *object)
{
    const struct wane_header *h = WANE_HEADER(object);

    return wn_type_payload_size(wn_type_of(h), h);
}

int
wane_slot_names(struct wane_type *type, const char *const *names)
{
    struct wn_type *t = wn_type_register(type);

    if (!t)
        return -errno;
    store_release(&t->slot_names, (void *)(uintptr_t)names); /* release E40 */
    return 0;
}

uint32_t
wn_type_count(void)
{
    return load_acquire(&count); /* acquire E6 */
}

void
wn_type_lock(void)
{
    pthread_mutex_lock(&lock);
}

void
wn_type_unlock(void)
{
    pthread_mutex_unlock(&lock);
}

void
wn_fatal(const struct wane_header *h, const char *what)
{
    struct wn_type *t = NULL;

    if (h)
        t = load_acquire(&wn_types[wn_type_id(load_relaxed(&h->word0))]);
    if (t)
        fprintf(stderr, "wane: %s: object %p of type '%s', count word %#llx\n", what, (const void *)(h + 1), t->name,
                (unsigned long long)load_relaxed(&h->word1));
    else
        fprintf(stderr, "wane: %s\n", what);
    abort();
}
