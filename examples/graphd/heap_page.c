/* SPDX-License-Identifier: MIT
 *
 * heap_page.c - slots, then where the keys are, then the keys: three arrays in one object
 *
 * An entry is added behind the others: key first, then the reference, then `count` grows (release); a reader takes the count
 * (acquire) before he looks. An entry that is removed keeps its key and has an empty slot; the key may come back there. When
 * there is no room, the writer makes a larger page without the empty ones and publishes it in the old one's place; readers
 * finish in the old page, which gives its references back when it dies.
 *
 * The number of slots never changes, so trace shows the same ones each time.
 */
#include "heap_page.h"

#include <errno.h>
#include <string.h>

struct place {
    uint32_t hash, offset, size;
};

struct page {
    uint32_t  capacity, room; /* c: entries, bytes of keys */
    uint32_t  count;          /* a: entries, empty ones included; only the writer writes */
    uint32_t  used;           /* bytes of keys; the writer's */
    wane_slot slots[];
};

static void
trace(const void *object, struct wane_visitor *visitor)
{
    const struct page *p = object;

    wane_visit_array(visitor, p->slots, p->capacity);
}

static struct wane_type page_type = {.name = "page", .size = sizeof(struct page), .trace = trace, .flags = WANE_SIZED};

static struct place *
places(const struct page *p)
{
    return (struct place *)(uintptr_t)(p->slots + p->capacity);
}

static char *
keys(const struct page *p)
{
    return (char *)(places(p) + p->capacity);
}

struct page *
page_new(size_t entries, size_t key_bytes)
{
    size_t       each = sizeof(wane_slot) + sizeof(struct place);
    struct page *p = wane_new_sized(&page_type, sizeof *p + entries * each + key_bytes);

    if (!p)
        return NULL;
    p->capacity = (uint32_t)entries;
    p->room = (uint32_t)key_bytes;
    return p;
}

static uint32_t
hash_of(const char *key, size_t size)
{
    uint32_t h = 2166136261u;

    for (size_t i = 0; i < size; i++)
        h = (h ^ (unsigned char)key[i]) * 16777619u;
    return h;
}

/* The entry of a key, or `count`. */
static uint32_t
entry_of(const struct page *p, uint32_t count, uint32_t hash, const char *key, size_t size)
{
    const struct place *at = places(p);
    uint32_t            i;

    for (i = 0; i < count; i++)
        if (at[i].hash == hash && at[i].size == size && memcmp(keys(p) + at[i].offset, key, size) == 0)
            break;
    return i;
}

void *
page_find(const struct page *p, const char *key, size_t size)
{
    uint32_t count = __atomic_load_n(&p->count, __ATOMIC_ACQUIRE), i = entry_of(p, count, hash_of(key, size), key, size);

    return i < count ? wane_peek(&p->slots[i]) : NULL;
}

int
page_set(struct page *p, const char *key, size_t size, void *value)
{
    uint32_t hash = hash_of(key, size), i = entry_of(p, p->count, hash, key, size);

    if (i < p->count) {
        int fresh = wane_peek(&p->slots[i]) == NULL;

        wane_set(&p->slots[i], value);
        return fresh;
    }
    if (p->count == p->capacity || p->room - p->used < size)
        return -ENOSPC;
    places(p)[i] = (struct place){hash, p->used, (uint32_t)size};
    if (size)
        memcpy(keys(p) + p->used, key, size);
    p->used += (uint32_t)size;
    wane_set(&p->slots[i], value);
    __atomic_store_n(&p->count, i + 1, __ATOMIC_RELEASE);
    return 1;
}

bool
page_remove(struct page *p, const char *key, size_t size)
{
    uint32_t i = entry_of(p, p->count, hash_of(key, size), key, size);

    if (i == p->count || !wane_peek(&p->slots[i]))
        return false;
    wane_clear(&p->slots[i]);
    return true;
}

struct page *
page_grown(const struct page *p, size_t key_bytes)
{
    struct page *other;
    size_t       entries = 0, bytes = 0;

    for (uint32_t i = 0; i < p->count; i++)
        if (wane_peek(&p->slots[i])) {
            entries++;
            bytes += places(p)[i].size;
        }
    other = page_new(entries + entries / 2 + 2, bytes + bytes / 2 + 2 * key_bytes);
    for (uint32_t i = 0; other && i < p->count; i++) {
        const struct place *at = &places(p)[i];
        void               *value = wane_peek(&p->slots[i]);

        if (!value)
            continue;
        places(other)[other->count] = (struct place){at->hash, other->used, at->size};
        memcpy(keys(other) + other->used, keys(p) + at->offset, at->size);
        other->used += at->size;
        wane_set_private(&other->slots[other->count++], value);
    }
    return other;
}

void
page_each(const struct page *p, bool (*fn)(const char *key, size_t size, void *value, void *arg), void *arg)
{
    uint32_t count = __atomic_load_n(&p->count, __ATOMIC_ACQUIRE);

    for (uint32_t i = 0; i < count; i++) {
        void *value = wane_peek(&p->slots[i]);

        if (value && !fn(keys(p) + places(p)[i].offset, places(p)[i].size, value, arg))
            return;
    }
}
