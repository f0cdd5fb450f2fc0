/* SPDX-License-Identifier: MIT
 *
 * space.c - keys to values
 *
 * A key that has expired is gone for readers at once, and removed by the next writer or tick that meets it. A stripe knows the
 * time before which nothing in it expires, so a tick looks only into stripes where something does.
 *
 * Eviction goes round the stripes and removes, from so many of them that they have SAMPLE keys, an eighth: those that were
 * touched longest ago. As a hash spreads keys over stripes, that is close to the least recently used of all, and no list has
 * to be kept in order by reads.
 *
 * Who removes on suspicion (expired, old) looks again under the lock whether it is still the same value.
 */
#include "space.h"

#include <stdlib.h>
#include <string.h>

#include "clock.h"

#define OLD_KEYS 64 /* that one visit can remove */
#define SAMPLE 256  /* keys that are compared, at least, if there are so many */

struct counters  space_counters;
__thread int64_t clock_now;

static struct loan spaces[STRIPES];
static int64_t     soonest[STRIPES]; /* a: written under the lock; nothing expires before */

static void
add(uint64_t *counter, uint64_t n)
{
    __atomic_fetch_add(counter, n, __ATOMIC_RELAXED);
}

bool
space_open(void)
{
    bool good = true;

    stripe_open();
    heap_enter();
    for (unsigned i = 0; i < STRIPES; i++) {
        soonest[i] = INT64_MAX;
        if (!dict_new(SPACE, "", 0, i, &spaces[i]))
            good = false;
        else
            loan_keep(&spaces[i]);
    }
    heap_leave();
    return good;
}

void
space_close(void)
{
    heap_enter();
    for (unsigned i = 0; i < STRIPES; i++) {
        stripe_lock(i);
        dict_clear(spaces[i].value);
        stripe_unlock(i);
        loan_drop(&spaces[i]);
    }
    heap_leave();
}

int64_t
space_expires(const struct value *value)
{
    return __atomic_load_n(&value->expires, __ATOMIC_RELAXED);
}

static bool
expired(const struct value *value, int64_t now)
{
    int64_t when = space_expires(value);

    return when != 0 && when <= now;
}

static void
touch(struct value *value)
{
    uint32_t now = clock_step();

    if (__atomic_load_n(&value->touched, __ATOMIC_RELAXED) != now)
        __atomic_store_n(&value->touched, now, __ATOMIC_RELAXED);
}

bool
space_get(const char *key, size_t size, struct loan *out)
{
    if (!dict_get(spaces[stripe_of(key, size)].value, key, size, out))
        return false;
    if (expired(out->value, clock_now)) {
        loan_drop(out);
        return false;
    }
    touch(out->value);
    return true;
}

bool
space_find(const char *key, size_t size, struct loan *out)
{
    struct value *space = spaces[stripe_of(key, size)].value;

    if (!dict_find(space, key, size, out))
        return false;
    if (expired(out->value, clock_now)) {
        loan_drop(out);
        dict_remove(space, key, size);
        add(&space_counters.expired, 1);
        return false;
    }
    touch(out->value);
    return true;
}

bool
space_put(const char *key, size_t size, struct loan *value)
{
    touch(value->value);
    return dict_put(spaces[stripe_of(key, size)].value, key, size, value);
}

bool
space_remove(const char *key, size_t size)
{
    return dict_remove(spaces[stripe_of(key, size)].value, key, size);
}

void
space_expire(struct value *value, unsigned stripe, int64_t when)
{
    __atomic_store_n(&value->expires, when, __ATOMIC_RELAXED);
    if (when != 0 && when < __atomic_load_n(&soonest[stripe], __ATOMIC_RELAXED))
        __atomic_store_n(&soonest[stripe], when, __ATOMIC_RELAXED);
}

size_t
space_count(void)
{
    size_t count = 0;

    for (unsigned i = 0; i < STRIPES; i++)
        count += dict_count(spaces[i].value);
    return count;
}

void
space_clear(void)
{
    for (unsigned i = 0; i < STRIPES; i++) {
        stripe_lock(i);
        dict_clear(spaces[i].value);
        stripe_unlock(i);
    }
}

void
space_each(unsigned stripe, dict_visitor *fn, void *arg)
{
    dict_each(spaces[stripe].value, fn, arg);
}

/* ---- Keys to be removed ----------------------------------------------------------------------------------------------- */

struct doomed {
    char    *key;
    size_t   size;
    uint32_t touched;
    unsigned stripe;
};

struct list {
    struct doomed at[OLD_KEYS];
    size_t        count, most;
    unsigned      stripe; /* that is looked at */
    int64_t       soonest;
};

static bool
doom(struct list *l, size_t i, const char *key, size_t size, uint32_t touched)
{
    char *copy = malloc(size + 1);

    if (!copy)
        return false;
    memcpy(copy, key, size);
    l->at[i] = (struct doomed){copy, size, touched, l->stripe};
    return true;
}

static size_t
cost(const struct value *value)
{
    size_t size = 0;

    if (value->kind == TEXT)
        (void)text_bytes(value, &size);
    else
        size = 256 + 200 * dict_count(value);
    return 150 + size;
}

/* Remove those of the list that `still` is true of. Returns about how many bytes that were. */
static size_t
remove_doomed(struct list *l, bool (*still)(const struct value *, const struct doomed *), uint64_t *counter)
{
    struct loan loan;
    size_t      bytes = 0;

    for (size_t i = 0; i < l->count; i++) {
        const struct doomed *d = &l->at[i];
        struct value        *space = spaces[d->stripe].value;

        stripe_lock(d->stripe);
        if (dict_find(space, d->key, d->size, &loan)) {
            if (still(loan.value, d)) {
                bytes += cost(loan.value);
                dict_remove(space, d->key, d->size);
                add(counter, 1);
            }
            stripe_unlock(d->stripe);
            loan_drop(&loan); /* perhaps the last one: not under the lock */
        } else {
            stripe_unlock(d->stripe);
        }
        free(d->key);
    }
    return bytes;
}

/* ---- Expiry ----------------------------------------------------------------------------------------------------------- */

static bool
note_expired(const char *key, size_t size, const struct loan *loan, void *arg)
{
    struct list *l = arg;
    int64_t      when = space_expires(loan->value);

    if (when == 0)
        return true;
    if (when <= clock_now && l->count < OLD_KEYS && doom(l, l->count, key, size, 0))
        l->count++;
    else if (when < l->soonest)
        l->soonest = when;
    return true;
}

static bool
still_expired(const struct value *value, const struct doomed *d)
{
    (void)d;
    return expired(value, clock_now);
}

void
space_tick(unsigned turn, unsigned of)
{
    for (unsigned i = turn; i < STRIPES; i += of) {
        struct list l = {.soonest = INT64_MAX, .stripe = i};

        if (__atomic_load_n(&soonest[i], __ATOMIC_RELAXED) > clock_now)
            continue;
        /* First forget, then look: what is set to expire meanwhile is noted by who sets it. */
        stripe_lock(i);
        __atomic_store_n(&soonest[i], INT64_MAX, __ATOMIC_RELAXED);
        stripe_unlock(i);
        dict_each(spaces[i].value, note_expired, &l);
        remove_doomed(&l, still_expired, &space_counters.expired);
        stripe_lock(i);
        if (l.soonest < __atomic_load_n(&soonest[i], __ATOMIC_RELAXED))
            __atomic_store_n(&soonest[i], l.soonest, __ATOMIC_RELAXED);
        stripe_unlock(i);
    }
}

/* ---- Eviction --------------------------------------------------------------------------------------------------------- */

/* Keep the `most` oldest: the youngest of them makes room. */
static bool
note_old(const char *key, size_t size, const struct loan *loan, void *arg)
{
    struct list *l = arg;
    uint32_t     touched = __atomic_load_n(&loan->value->touched, __ATOMIC_RELAXED);
    size_t       youngest = 0;

    if (l->count < l->most) {
        l->count += doom(l, l->count, key, size, touched);
        return true;
    }
    for (size_t i = 1; i < l->count; i++)
        if (l->at[i].touched > l->at[youngest].touched)
            youngest = i;
    if (l->count > 0 && touched < l->at[youngest].touched) {
        free(l->at[youngest].key);
        if (!doom(l, youngest, key, size, touched))
            l->at[youngest] = l->at[--l->count];
    }
    return true;
}

static bool
still_old(const struct value *value, const struct doomed *d)
{
    return __atomic_load_n(&value->touched, __ATOMIC_RELAXED) <= d->touched;
}

/* The oldest eighth of the next SAMPLE keys. Returns how many stripes these are. */
static unsigned
gather_old(struct list *l)
{
    static unsigned hand; /* a */
    unsigned        stripes = 0, first = __atomic_load_n(&hand, __ATOMIC_RELAXED);
    size_t          keys = 0;

    while (stripes < STRIPES && keys < SAMPLE)
        keys += dict_count(spaces[(first + stripes++) % STRIPES].value);
    l->most = keys / 8 + 1;
    if (l->most > OLD_KEYS)
        l->most = OLD_KEYS;
    for (unsigned i = 0; i < stripes; i++) {
        l->stripe = (first + i) % STRIPES;
        dict_each(spaces[l->stripe].value, note_old, l);
    }
    __atomic_store_n(&hand, first + stripes, __ATOMIC_RELAXED);
    return stripes;
}

size_t
space_evict(size_t bytes)
{
    size_t freed = 0;

    heap_enter();
    for (unsigned looked = 0; looked < STRIPES && freed < bytes;) {
        struct list l = {.count = 0};

        looked += gather_old(&l);
        freed += remove_doomed(&l, still_old, &space_counters.evicted);
    }
    heap_leave();
    return freed;
}
