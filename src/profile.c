/* SPDX-License-Identifier: MIT */
#include "profile.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#if __has_include(<execinfo.h>)
#include <execinfo.h>
#define HAVE_BACKTRACE 1
#else
#define HAVE_BACKTRACE 0
#endif

#include <wane/observe.h>

#include "driver.h"
#include "memory.h"
#include "proto.h"
#include "registry.h"

#define USUAL_PERIOD ((size_t)512 * 1024)
#define MOST_FRAMES  64
#define MOST_STACKS  32768 /* others are counted by type alone */
#define BUCKETS      4096
#define SETS         16384
#define WAYS         8
#define BUSY         1u
#define ONE          1024 /* objects are counted in parts of this */

struct stack {
    struct stack        *next; /* c, as are type, depth and pc */
    uint32_t             type, depth;
    struct wane_atomic64 born, bytes_born, died, bytes_died; /* a: relaxed, statistics; objects times ONE */
    uintptr_t            pc[];
};

struct sample { /* of whoever has set the key, then of whoever destroys the object */
    struct stack *stack;
    uint64_t      objects, bytes;
};

struct samples {
    _Alignas(WN_CACHE_LINE) struct wane_atomic64 key[SETS][WAYS]; /* a: 0, BUSY or the header's address */
    struct sample sample[SETS][WAYS];
};

static struct wane_atomic64  period; /* a: bytes; 0: off */
static struct wane_atomic64  began;  /* a: wn_now, of the first time */
static struct wane_atomic64  stacks, lost;
static struct wane_atomic_ptr bucket[BUCKETS];
static struct wane_atomic_ptr table; /* struct samples: made when profiling begins, never freed */

/* ---- Chance -------------------------------------------------------------------------------------------------------------- */

static uint64_t
random_next(uint64_t *seed)
{
    *seed ^= *seed >> 12; /* xorshift64* (Vigna, 2016) */
    *seed ^= *seed << 25;
    *seed ^= *seed >> 27;
    return *seed * UINT64_C(2685821657736338717);
}

static double
uniform(uint64_t *seed)
{
    return (double)(random_next(seed) >> 11) * 0x1p-53;
}

/* Of mean 1, by comparisons alone (von Neumann, 1951): the library needs no libm. */
static double
exponential(uint64_t *seed)
{
    for (double whole = 0;; whole++) {
        double first = uniform(seed), last = first, next = uniform(seed);
        bool   odd = true;

        while (next < last) {
            odd = !odd;
            last = next;
            next = uniform(seed);
        }
        if (odd)
            return whole + first;
    }
}

/* exp(-x) for x >= 0: a series where it converges at once, then squares. */
static double
exp_minus(double x)
{
    double y = x / 1024, e;

    if (x > 40)
        return 0;
    e = 1 - y * (1 - y / 2 * (1 - y / 3 * (1 - y / 4)));
    for (int i = 0; i < 10; i++)
        e *= e;
    return e;
}

static int64_t
distance(struct wn_record *r, uint64_t of)
{
    if (!r->sample_seed)
        r->sample_seed = (wn_now() ^ (uint64_t)r->id << 40) | 1;
    r->sample_period = of;
    return (int64_t)(exponential(&r->sample_seed) * (double)of) + 1;
}

/* ---- Stacks -------------------------------------------------------------------------------------------------------------- */

static uint64_t
hash(uint64_t x)
{
    x = (x ^ x >> 32) * UINT64_C(0x9E3779B97F4A7C15);
    return x ^ x >> 29;
}

static struct stack *
find_stack(struct wane_atomic_ptr *place, uint32_t type, uint32_t depth, void *const *pc)
{
    struct stack *s = load_acquire(place); /* acquire E8 */

    while (s && (s->type != type || s->depth != depth ||
                 (depth && memcmp((const void *)s->pc, (const void *)pc, depth * sizeof *pc) != 0)))
        s = s->next;
    return s;
}

static struct stack *
new_stack(struct wane_atomic_ptr *place, uint32_t type, uint32_t depth, void *const *pc)
{
    struct stack *s = wn_calloc(1, sizeof *s + depth * sizeof *pc);
    void         *old = load_relaxed(place);

    if (!s)
        return NULL;
    s->type = type;
    s->depth = depth;
    if (depth)
        memcpy((void *)s->pc, (const void *)pc, depth * sizeof *pc);
    fetch_add_relaxed(&stacks, UINT64_C(1));
    do
        s->next = old; /* somebody may push the same stack meanwhile: the sums are right, in two places */
    while (!cas_acq_rel(place, &old, (void *)s)); /* release E8 */
    return s;
}

/* NULL: no memory. */
static struct stack *
have_stack(uint32_t type, uint32_t depth, void *const *pc)
{
    uint64_t                key = hash(type);
    struct wane_atomic_ptr *place;
    struct stack           *s;

    for (uint32_t i = 0; i < depth; i++)
        key = hash(key ^ (uintptr_t)pc[i]);
    place = &bucket[key % BUCKETS];
    s = find_stack(place, type, depth, pc);
    if (!s && depth && load_relaxed(&stacks) >= MOST_STACKS)
        return have_stack(type, 0, NULL);
    return s ? s : new_stack(place, type, depth, pc);
}

static struct stack *
stack_here(uint32_t type, void *caller)
{
    void *pc[MOST_FRAMES];
    int   first = 0, depth = 0;

#if HAVE_BACKTRACE
    depth = backtrace(pc, MOST_FRAMES);
#endif
    while (first < depth && pc[first] != caller)
        first++;
    if (first == depth)
        first = 0;
    return have_stack(type, (uint32_t)(depth - first), pc + first);
}

/* ---- Births and deaths --------------------------------------------------------------------------------------------------- */

/* Where the object's death will be seen; false: there is no room. */
static bool
note(const struct wane_header *h, struct sample sample)
{
    struct samples *all = load_acquire(&table); /* acquire E8 */
    uint64_t        set = hash((uintptr_t)h) % SETS;

    for (int i = 0; all && i < WAYS; i++) {
        uint64_t none = 0;

        if (load_relaxed(&all->key[set][i]) || !cas_acq_rel(&all->key[set][i], &none, BUSY)) /* acquire E41: it was left */
            continue;
        all->sample[set][i] = sample;
        store_relaxed(&all->key[set][i], (uintptr_t)h);
        return true;
    }
    return false;
}

static void
count_death(const struct sample *s)
{
    fetch_add_relaxed(&s->stack->died, s->objects);
    fetch_add_relaxed(&s->stack->bytes_died, s->bytes);
}

void
wn_profile_birth(struct wn_record *r, const struct wn_type *t, const struct wane_header *h, size_t bytes, void *caller)
{
    uint64_t      of = load_relaxed(&period);
    double        weight;
    struct sample s;

    if (!of)
        return;
    if (r->sample_period != of)
        r->sample_left = distance(r, of);
    r->sample_left -= (int64_t)bytes;
    if (r->sample_left > 0)
        return;
    r->sample_left = distance(r, of);
    weight = 1 / (1 - exp_minus((double)bytes / (double)of));
    s = (struct sample){stack_here(t->id, caller), (uint64_t)(weight * ONE + 0.5), (uint64_t)(weight * (double)bytes + 0.5)};
    if (!s.stack) {
        fetch_add_relaxed(&lost, UINT64_C(1));
        return;
    }
    fetch_add_relaxed(&s.stack->born, s.objects);
    fetch_add_relaxed(&s.stack->bytes_born, s.bytes);
    if (!note(h, s)) {
        count_death(&s);
        fetch_add_relaxed(&lost, UINT64_C(1));
    }
}

void
wn_profile_death(const struct wane_header *h)
{
    struct samples *all = load_acquire(&table); /* acquire E8 */
    uint64_t        set = hash((uintptr_t)h) % SETS;

    for (int i = 0; all && i < WAYS; i++)
        if (load_relaxed(&all->key[set][i]) == (uintptr_t)h) {
            count_death(&all->sample[set][i]);
            store_release(&all->key[set][i], UINT64_C(0)); /* release E41: the sample was read */
            return;
        }
}

/* ---- Switching ----------------------------------------------------------------------------------------------------------- */

static int
make_table(void)
{
    void           *none = NULL;
    struct samples *all;

    if (load_acquire(&table))
        return 0;
    all = wn_aligned_alloc(WN_CACHE_LINE, sizeof *all);
    if (!all)
        return -ENOMEM;
    memset(all->key, 0, sizeof all->key);
    if (!cas_acq_rel(&table, &none, (void *)all)) /* release E8 */
        wn_free(all);
    return 0;
}

int
wane_profile(size_t bytes)
{
    int      rc = bytes ? make_table() : 0;
    uint64_t never = 0;

    if (rc)
        return rc;
    if (bytes && !HAVE_BACKTRACE)
        return -ENOTSUP;
#if HAVE_BACKTRACE
    void *warm[1];

    if (bytes)
        (void)backtrace(warm, 1); /* loads what it needs: not in the middle of a birth */
#endif
    if (bytes)
        (void)cas_acq_rel(&began, &never, wn_now());
    store_relaxed(&period, (uint64_t)(bytes > INT64_MAX / 64 ? INT64_MAX / 64 : bytes));
    if (bytes)
        (void)fetch_or_acq_rel(&wn_registry_state, WN_REGISTRY_SAMPLES | WN_REGISTRY_SAMPLED);
    else
        (void)fetch_and_release(&wn_registry_state, ~WN_REGISTRY_SAMPLES);
    return 0;
}

void
wn_profile_init(void)
{
    const char   *value = getenv("WANE_PROFILE");
    unsigned long bytes = value ? strtoul(value, NULL, 10) : 0;
    int           rc = bytes ? wane_profile(bytes == 1 ? USUAL_PERIOD : bytes) : 0;

    if (rc)
        fprintf(stderr, "wane: WANE_PROFILE=%s: %s\n", value, strerror(-rc));
}

/* ---- Writing ------------------------------------------------------------------------------------------------------------- */

static void
add_stack(struct wn_proto *p, const struct stack *s)
{
    uint64_t            died = load_relaxed(&s->died), bytes_died = load_relaxed(&s->bytes_died);
    uint64_t            born = load_relaxed(&s->born), bytes_born = load_relaxed(&s->bytes_born);
    const struct wn_type *t = load_acquire(&wn_types[s->type]);
    uint64_t            values[4] = {(born + ONE / 2) / ONE, bytes_born, 0, 0};

    if (born > died)
        values[2] = (born - died + ONE / 2) / ONE;
    if (bytes_born > bytes_died)
        values[3] = bytes_born - bytes_died;
    wn_proto_sample(p, s->pc, s->depth, values, t->name);
}

int
wane_profile_write(int fd)
{
    struct wn_proto p;
    uint64_t        since = load_relaxed(&began);

    wn_proto_begin(&p, fd, load_relaxed(&period), since ? wn_now() - since : 0, load_relaxed(&lost));
    for (int i = 0; i < BUCKETS; i++)
        for (const struct stack *s = load_acquire(&bucket[i]); s; s = s->next) /* acquire E8 */
            add_stack(&p, s);
    return wn_proto_end(&p);
}
