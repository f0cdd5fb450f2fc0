/* SPDX-License-Identifier: MIT
 *
 * object.c - making objects, and the out-of-line halves of retain and release
 */
#include <errno.h>
#include <string.h>

#include "budget.h"
#include "death.h"
#include "govern.h"
#include "handoff.h"
#include "memory.h"
#include "profile.h"
#include "registry.h"
#include "room.h"
#include "share.h"
#include "step.h"
#include "weak.h"

static bool
size_is_valid(const struct wn_type *t, size_t size, bool sized)
{
    return t->sized == sized && size >= t->size && size <= SIZE_MAX / 4;
}

static void
init_header(struct wane_header *h, const struct wn_type *t, struct wn_record *r)
{
    uint64_t quiet = t->traced ? 0 : WANE_QUIET; /* leaves are never candidates */

    /* relaxed: nobody else knows the object; the store into a slot (E5) publishes it. */
    store_relaxed(&h->word0, (uint64_t)t->id << WN_TYPE_SHIFT | r->pub.me | quiet | 1);
    store_relaxed(&h->word1, WN_WORD1_BORN | (WN_MUTANT(era_of_the_born) ? 0 : load_relaxed(&wn_era)));
}

static size_t
bytes_of(const struct wn_type *t, size_t size)
{
    return t->prefix + sizeof(struct wane_header) + size;
}

static struct wane_header *
allocate(const struct wn_type *t, size_t size)
{
    char *p = wn_malloc(bytes_of(t, size));

    if (!p)
        return NULL;
    if ((uintptr_t)p & ~WN_LINK_MASK) { /* links of dead objects have 48 bits */
        wn_free(p);
        errno = ENOMEM;
        return NULL;
    }
    compiler_barrier(); /* gcc makes a calloc of the two, which is slower in glibc */
    memset(p, 0, bytes_of(t, size));
    return (struct wane_header *)(void *)(p + t->prefix);
}

/* In a section. */
static __attribute__((noinline)) void
note(struct wn_record *r, const struct wn_type *t, struct wane_header *h, size_t size, void *caller)
{
    uint32_t state = load_relaxed(&wn_registry_state);

    if (state & WN_REGISTRY_ON)
        wn_registry_add(h);
    if (state & WN_REGISTRY_SAMPLES)
        wn_profile_birth(r, t, h, bytes_of(t, size), caller);
}

/* In a section. refused: by the budget. Inline, as is new_object: a profile begins where wane_new returns to. */
static inline __attribute__((always_inline)) void *
make(const struct wn_type *t, size_t size, bool *refused)
{
    struct wn_record   *r = wn_standing();
    struct wane_header *h;

    if (!wn_type_counts_reserve(r, t->id) || !wn_pay_birth(r)) {
        errno = ENOMEM;
        return NULL;
    }
    *refused = !wn_budget_take(r, bytes_of(t, size));
    if (*refused) {
        wn_repay_death(r);
        errno = ENOMEM;
        return NULL;
    }
    h = allocate(t, size);
    if (!h) { /* NOLINT(analyzer-malloc-leak): h is an inner address of the block */
        wn_budget_give(r, bytes_of(t, size));
        wn_repay_death(r);
        return NULL;
    }
    if (t->prefix)
        wn_prefix(h)->size = size;
    init_header(h, t, r);
    wn_type_counts_add(r, t->id, 1, (int64_t)size);
    wn_counter_add(&r->counters.born, 1);
    wn_counter_add(&r->counters.bytes_born, size);
    if (wn_registry_is_on())
        note(r, t, h, size, __builtin_return_address(0));
    return wn_payload(h);
}

static inline __attribute__((always_inline)) void *
new_object(struct wane_type *type, size_t size, bool sized)
{
    struct wn_type *t = wn_type_register(type);
    bool            opened, refused = false;
    void           *object;

    if (!t)
        return NULL;
    if (!sized)
        size = t->size; /* whatever the declaration says by now */
    if (!size_is_valid(t, size, sized)) {
        errno = t->sized == sized && size > SIZE_MAX / 4 ? ENOMEM : EINVAL;
        return NULL;
    }
    for (bool waited = false;; waited = true) {
        opened = wn_scope_open();
        object = make(t, size, &refused);
        wn_scope_close(opened);
        /* NOLINTNEXTLINE(analyzer-malloc-leak): it, too, is an inner address */
        if (__builtin_expect(!refused, 1) || !opened || waited || !wn_room_make(bytes_of(t, size)))
            return object;
    }
}

void *
wane_new(struct wane_type *type)
{
    return new_object(type, type->size, false);
}

void *
wane_new_sized(struct wane_type *type, size_t size)
{
    return new_object(type, size, true);
}

/* In a section. */
static bool
is_mine(const struct wane_header *h)
{
    return wn_owner(load_relaxed(&h->word0)) == (uint32_t)(wane_self.me >> WN_OWNER_SHIFT); /* relaxed: only I make it so */
}

/* What needs no RMW. */
static bool
retain_inside(struct wane_header *h)
{
    uint64_t w0 = load_relaxed(&h->word0);

    if (is_mine(h)) {
        if ((w0 & WANE_LOCAL_LIMIT) && wn_count_spill(h, wn_standing()))
            w0 = load_relaxed(&h->word0);
        if (!(w0 & WANE_LOCAL_LIMIT)) /* else the guard is set, after 2^30 retains without release: immortal */
            store_relaxed(&h->word0, w0 + 1);
        return true;
    }
    /* Who sees SHARED is in a section that unsharing waits for. acquire E17: entries of an earlier time are seen freed. */
    return __builtin_expect(load_acquire(&h->word1) & WN_SHARED, 0) && wn_share_add(wn_standing(), h, 1);
}

/* Outside of sections. A release opens a section and counts on the record: its retain must not count elsewhere. */
static bool
retain_shared(struct wane_header *h)
{
    bool done;

    if (__builtin_expect(!(load_relaxed(&h->word1) & WN_SHARED), 1)) /* relaxed: a guess */
        return false;
    wane_enter();
    done = retain_inside(h);
    wane_leave();
    return done;
}

void
wane_retain_slow(void *object)
{
    struct wane_header *h = WANE_HEADER(object);

    (void)wn_type_of(h); /* refuses what is not an object */
    wn_check_not_tracing();
    if (wn_is_in_transit(h))
        (void)wane_adopt(object);
    if (wn_in_section() ? retain_inside(h) : retain_shared(h))
        return;
    wn_count_retain(h);
}

void
wane_release_slow(void *object)
{
    struct wane_header *h = WANE_HEADER(object);
    bool                opened = wn_scope_open();

    if (is_mine(h) || !wn_count_release_of_many(h, wn_type_of(h)))
        wn_unit_give(h);
    wn_death_run(wn_standing());
    wn_scope_close(opened);
}

void
wane_immortal(void *object)
{
    bool                opened = wn_scope_open();
    struct wane_header *h = WANE_HEADER(object);

    wn_arrive(object);
    if (wn_is_gone(load_relaxed(&h->word1)))
        wn_fatal(h, "a dead object cannot become immortal");
    if (wn_count_immortalise(h))
        fetch_add_relaxed(&wn_type_of(h)->immortal, 1u);
    wn_weak_immortalise(h);
    wn_scope_close(opened);
}

bool
wane_is_unique(const void *object)
{
    bool opened = wn_scope_open();
    bool unique;

    wn_arrive(object);
    unique = wn_count_is_unique(WANE_HEADER(object));
    wn_scope_close(opened);
    return unique;
}

bool
wane_in_section(void)
{
    return wn_in_section();
}
