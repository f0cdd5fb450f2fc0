/* SPDX-License-Identifier: MIT */
#include "registry.h"

#include <stdlib.h>
#include <string.h>

#include <wane/observe.h>

#include "memory.h"
#include "profile.h"

#define LEAF_SHIFT 20 /* bytes of address space that a leaf covers, as a power of two */
#define MID_BITS   14
#define MIDS       (1u << 14) /* 48 bits in all */

struct leaf {
    struct wane_atomic64 word[WN_LEAF_WORDS];
};
_Static_assert(WN_LEAF_WORDS * 64 * WN_CELL_UNIT == 1 << LEAF_SHIFT, "a bit for each place that an object may begin at");

struct mid {
    struct wane_atomic_ptr leaf[1 << MID_BITS];
};

struct wane_atomic32 wn_registry_state;

static struct wane_atomic_ptr mids[MIDS];

static struct wane_atomic_ptr *
mid_place(uintptr_t a)
{
    return &mids[a >> (LEAF_SHIFT + MID_BITS) & (MIDS - 1)];
}

static struct wane_atomic_ptr *
leaf_place(struct mid *m, uintptr_t a)
{
    return &m->leaf[a >> LEAF_SHIFT & ((1u << MID_BITS) - 1)];
}

static uint32_t
word_of(uintptr_t a)
{
    return (uint32_t)(a >> 9) & (WN_LEAF_WORDS - 1);
}

static uint64_t
bit_of(uintptr_t a)
{
    return UINT64_C(1) << (a >> 3 & 63);
}

/* What is there, or made now: zeroed. NULL: no memory. */
static void *
have(struct wane_atomic_ptr *place, size_t bytes)
{
    void *there = load_acquire(place), *made = there ? NULL : wn_calloc(1, bytes);

    if (!made)
        return there;
    if (cas_acq_rel(place, &there, made)) /* acq_rel E40: an empty table */
        return made;
    wn_free(made);
    return there;
}

void
wn_registry_add(struct wane_header *h)
{
    uintptr_t    a = (uintptr_t)h;
    struct mid  *m = have(mid_place(a), sizeof *m);
    struct leaf *l = m ? have(leaf_place(m, a), sizeof *l) : NULL;

    if (l)
        (void)fetch_or_acq_rel(&l->word[word_of(a)], bit_of(a)); /* release E40: the header, and the size before it */
}

static struct wane_atomic64 *
find(uintptr_t a)
{
    struct mid  *m = load_acquire(mid_place(a)); /* acquire E40 */
    struct leaf *l = m ? load_acquire(leaf_place(m, a)) : NULL;

    return l ? &l->word[word_of(a)] : NULL;
}

void
wn_registry_remove_slow(struct wane_header *h)
{
    struct wane_atomic64 *word = find((uintptr_t)h);

    if (load_relaxed(&wn_registry_state) & WN_REGISTRY_SAMPLED)
        wn_profile_death(h);
    /* relaxed: set and cleared by who has the object alone, and ordered by what gave it to him. */
    if (word && (load_relaxed(word) & bit_of((uintptr_t)h)))
        (void)fetch_and_release(word, ~bit_of((uintptr_t)h));
}

bool
wn_registry_has(uintptr_t h)
{
    struct wane_atomic64 *word = find(h);

    return word && (load_acquire(word) & bit_of(h)); /* acquire E40 */
}

bool
wane_observe(bool yes)
{
    uint32_t before = yes ? fetch_or_acq_rel(&wn_registry_state, WN_REGISTRY_ON | WN_REGISTRY_USED)
                          : fetch_and_release(&wn_registry_state, ~WN_REGISTRY_ON);

    return before & WN_REGISTRY_ON;
}

void
wn_registry_init(void)
{
    const char *value = getenv("WANE_OBSERVE");

    if (value && *value && *value != '0')
        (void)wane_observe(true);
}

/* ---- A copy ----------------------------------------------------------------------------------------------------------- */

/* False: no memory. An empty leaf is left out. */
static bool
copy_leaf(struct wn_set *set, struct leaf *l, uintptr_t base)
{
    struct wn_leaf_copy **more, *c;
    uint32_t              n = 0;

    if (!(set->leaves & (set->leaves + 1))) { /* 2^k - 1 are there: room for twice as many */
        more = (struct wn_leaf_copy **)wn_realloc((void *)set->leaf, ((size_t)set->leaves + 1) * 2 * sizeof *more);
        if (!more)
            return false;
        set->leaf = more;
    }
    c = wn_malloc(sizeof *c);
    if (!c)
        return false;
    c->base = base;
    c->rank = set->count;
    for (uint32_t i = 0; i < WN_LEAF_WORDS; i++) {
        c->word[i] = load_relaxed(&l->word[i]); /* relaxed: looked at again before it is believed */
        c->before[i] = (uint16_t)n;
        n += (uint32_t)__builtin_popcountll(c->word[i]);
    }
    if (!n) {
        wn_free(c);
        return true;
    }
    set->count += n;
    set->leaf[set->leaves++] = c;
    return true; /* NOLINT(analyzer-malloc-leak): the set has it */
}

static int
copy_mid(struct wn_set *set, struct mid *m, uintptr_t base)
{
    for (uintptr_t i = 0; i < 1u << MID_BITS; i++) {
        struct leaf *l = load_acquire(&m->leaf[i]); /* acquire E40 */

        if (l && !copy_leaf(set, l, base | i << LEAF_SHIFT))
            return -ENOMEM;
        if (set->count > INT32_MAX)
            return -EOVERFLOW;
    }
    return 0;
}

int
wn_set_copy(struct wn_set *set)
{
    int rc = 0;

    *set = (struct wn_set){0};
    for (uintptr_t i = 0; i < MIDS && !rc; i++) {
        struct mid *m = load_acquire(&mids[i]); /* acquire E40 */

        if (m)
            rc = copy_mid(set, m, i << (LEAF_SHIFT + MID_BITS));
    }
    if (rc)
        wn_set_free(set);
    return rc;
}

void
wn_set_free(struct wn_set *set)
{
    for (uint32_t i = 0; i < set->leaves; i++)
        wn_free(set->leaf[i]);
    wn_free((void *)set->leaf);
    *set = (struct wn_set){0};
}

uint32_t
wn_set_rank(const struct wn_set *set, uintptr_t h)
{
    uintptr_t                  base = h >> LEAF_SHIFT << LEAF_SHIFT;
    uint32_t                   low = 0, high = set->leaves;
    const struct wn_leaf_copy *c;
    uint64_t                   word;

    while (high - low > 1) {
        uint32_t middle = low + (high - low) / 2;

        if (set->leaf[middle]->base <= base)
            low = middle;
        else
            high = middle;
    }
    if (low == high || set->leaf[low]->base != base)
        return WN_NO_RANK;
    c = set->leaf[low];
    word = c->word[word_of(h)];
    if (!(word & bit_of(h)))
        return WN_NO_RANK;
    return c->rank + c->before[word_of(h)] + (uint32_t)__builtin_popcountll(word & (bit_of(h) - 1));
}

uintptr_t
wn_set_next(const struct wn_set *set, struct wn_place *place)
{
    for (; place->leaf < set->leaves; place->leaf++, place->word = 0) {
        const struct wn_leaf_copy *c = set->leaf[place->leaf];

        for (; place->word < WN_LEAF_WORDS; place->word++, place->done = 0) {
            uint64_t rest = c->word[place->word] & ~place->done;
            uint64_t lowest = rest & (~rest + 1);

            if (!rest)
                continue;
            place->done |= lowest;
            return c->base | (uintptr_t)place->word << 9 | (uintptr_t)__builtin_ctzll(lowest) << 3;
        }
    }
    return 0;
}
