/* SPDX-License-Identifier: MIT
 *
 * object.c - making objects, and the out-of-line halves of retain and release
 */
#include <errno.h>
#include <string.h>

#include "budget.h"
#include "cell.h"
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

/* Relaxed: nobody else knows the object; the store into a slot (E5) publishes it. */
static inline void
init_header(struct wane_header *h, const struct wn_type *t, struct wn_record *r)
{
    store_relaxed(&h->word0, t->word0 | r->pub.me | 1);
    store_relaxed(&h->word1, WN_WORD1_BORN | (WN_MUTANT(era_of_the_born) ? 0 : load_relaxed(&wn_era)));
}

/* From `at` on. The last sixteen may overlap what is before them, be it the header, which comes later. */
static inline void
clear_cell(void *cell, size_t at, uint32_t bin)
{
    char *p = (char *)cell + at, *last = (char *)cell + (size_t)bin * WN_CELL_UNIT - 16;

    for (; p < last; p += 16)
        memset(p, 0, 16);
    if (!WN_MUTANT(ends_stay_dirty))
        memset(last, 0, 16);
}

static inline void
clear(void *p, size_t bytes, uint32_t bin)
{
    if (__builtin_expect(!bin, 0)) {
        compiler_barrier(); /* gcc makes a calloc of malloc and memset, which is slower in glibc */
        memset(p, 0, bytes);
        return;
    }
    clear_cell(p, 0, bin);
}

/* At the hard limit: what waits to be buried here makes room. */
static __attribute__((noinline, cold)) bool
take_what_dies(struct wn_record *r, size_t bytes)
{
    struct wane_header *first = NULL;
    bool                taken = false;

    while (!taken && r->dying && r->dying != first && !WN_MUTANT(refused_beside_the_dead)) {
        first = r->dying;
        wn_death_recycle(r); /* leaves them where they are if callbacks come first, or somebody buries already */
        taken = wn_budget_take(r, bytes);
    }
    if (!taken)
        wn_budget_count_refusal();
    return taken;
}

/* An object of so many bytes in all, standing on r. NULL: errno is ENOMEM; *refused: by the budget. */
static inline struct wane_header *
make(const struct wn_type *t, struct wn_record *r, size_t bytes, uint32_t bin, bool *refused)
{
    struct wn_type_counts *counts = wn_type_counts(r, t->id);
    char                  *p;

    *refused = false;
    if (__builtin_expect(!counts || !wn_pay_birth(r), 0)) {
        errno = ENOMEM;
        return NULL;
    }
    if (__builtin_expect(!r->bin[bin]->free && r->dying, 0))
        wn_death_recycle(r);
    *refused = !wn_budget_take(r, bytes) && !take_what_dies(r, bytes);
    p = __builtin_expect(!*refused, 1) ? wn_cell_take(r, bytes, bin) : NULL;
    if (__builtin_expect(!p, 0)) {
        if (!*refused)
            wn_budget_give(r, bytes);
        wn_repay_death(r);
        errno = ENOMEM;
        return NULL;
    }
    clear(p, bytes, bin);
    wn_counter_add(&counts->born, 1);
    init_header((struct wane_header *)(void *)(p + t->prefix), t, r);
    return (struct wane_header *)(void *)(p + t->prefix);
}

/* In a section. caller: where wane_new returns to. */
static __attribute__((noinline, cold)) void
note(struct wane_header *h, const struct wn_type *t, size_t bytes, void *caller)
{
    uint32_t state = load_relaxed(&wn_registry_state);

    if (state & WN_REGISTRY_ON)
        wn_registry_add(h);
    if (state & WN_REGISTRY_SAMPLES)
        wn_profile_birth(wn_standing(), t, h, bytes, caller);
}

/* What nearly every birth is: nothing to ask for, nobody to tell. NULL: it is not that, and nothing was done. Standing on r. */
static inline __attribute__((always_inline)) void *
make_at_once(const struct wn_type *t, struct wn_record *r)
{
    struct wn_type_counts *counts = wn_type_counts_at_hand(r, t->id);
    struct wn_page        *page = r->bin[t->bin];
    int64_t                charge = (int64_t)(load_relaxed(&r->charge) + t->bytes);
    struct wane_header    *h;

    if (__builtin_expect(t->prefix || !counts || r->credit <= 0 || !page->free || wn_registry_is_on() ||
                         charge >= (int64_t)load_relaxed(&wn_budget_granule) || wn_memory_is_watched(), 0))
        return NULL;
    r->credit--;
    store_relaxed(&r->charge, (uint64_t)charge);
    h = (struct wane_header *)(void *)wn_cell_take_first(page);
    clear_cell(h, sizeof *h, t->bin);
    wn_counter_add(&counts->born, 1);
    init_header(h, t, r);
    return wn_payload(h);
}

/* One whose size its type knows. In a section. */
static __attribute__((noinline)) void *
make_noted(const struct wn_type *t, bool *refused, void *caller)
{
    struct wane_header *h = make(t, wn_standing(), t->bytes, t->bin, refused);

    if (__builtin_expect(!h, 0))
        return NULL;
    if (wn_registry_is_on())
        note(h, t, t->bytes, caller);
    return wn_payload(h);
}

static inline void *
make_plain(const struct wn_type *t, bool *refused, void *caller)
{
    void *object = make_at_once(t, wn_standing());

    return __builtin_expect(object != NULL, 1) ? object : make_noted(t, refused, caller);
}

static void *
make_sized(const struct wn_type *t, size_t size, bool *refused, void *caller)
{
    size_t              bytes = t->prefix + sizeof(struct wane_header) + size;
    size_t              whole = WN_MUTANT(any_size_is_exact) ? bytes : (bytes + 15) & ~(size_t)15;
    struct wn_record   *r = wn_standing();
    struct wane_header *h = make(t, r, bytes, wn_cell_bin(whole), refused);

    if (!h)
        return NULL;
    wn_prefix(h)->size = size;
    wn_counter_add(&wn_type_counts(r, t->id)->bytes_born, size);
    if (wn_registry_is_on())
        note(h, t, bytes, caller);
    return wn_payload(h);
}

static void *
new_object(struct wane_type *type, size_t size, bool sized, void *caller)
{
    struct wn_type *t = wn_type_register(type);
    bool            opened, refused;
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
        object = sized ? make_sized(t, size, &refused, caller) : make_plain(t, &refused, caller);
        wn_scope_close(opened);
        if (__builtin_expect(object != NULL, 1))
            return object;
        if (!refused || !opened || waited || !wn_room_make(size + t->prefix + sizeof(struct wane_header)))
            break;
    }
    errno = ENOMEM; /* callbacks may have run since */
    return NULL;
}

static __attribute__((noinline)) void *
new_inside(const struct wn_type *t, void *caller)
{
    bool refused;

    return make_noted(t, &refused, caller);
}

static __attribute__((noinline)) void *
new_outside(const struct wn_type *t, void *caller)
{
    bool  refused;
    void *object;

    for (bool waited = false;; waited = true) {
        wane_enter();
        object = make_plain(t, &refused, caller);
        wane_leave();
        if (__builtin_expect(object != NULL, 1))
            return object;
        if (!refused || waited || !wn_room_make(t->bytes))
            break;
    }
    errno = ENOMEM; /* callbacks may have run since */
    return NULL;
}

void *
wane_new(struct wane_type *type)
{
    uint32_t        id = load_acquire(&type->id); /* acquire E6 */
    struct wn_type *t = load_relaxed(&wn_types[id]); /* relaxed: seen with the id; 0 has none */
    void           *object;

    if (__builtin_expect(!t || t->sized, 0))
        return new_object(type, type->size, false, __builtin_return_address(0));
    wn_check_not_tracing();
    if (!wn_in_section())
        return new_outside(t, __builtin_return_address(0));
    object = make_at_once(t, wn_standing());
    return __builtin_expect(object != NULL, 1) ? object : new_inside(t, __builtin_return_address(0));
}

void *
wane_new_sized(struct wane_type *type, size_t size)
{
    return new_object(type, size, true, __builtin_return_address(0));
}

/* In a section. */
static bool
is_mine(const struct wane_header *h)
{
    return wn_owner(load_relaxed(&h->word0)) == (uint32_t)(wane_self.me >> WN_OWNER_SHIFT); /* relaxed: only I make it so */
}

/* Another's, and not on its way to me. */
static inline bool
is_a_strangers(uint64_t w0, uint64_t me)
{
    return (w0 & WN_OWNER_MASK) != me && (w0 & WN_OWNER_MASK) != WN_OWNER_MASK;
}
_Static_assert(WN_OWNER_MASK == (uint64_t)WN_TRANSIT << WN_OWNER_SHIFT, "all of its bits");

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
    return (load_acquire(&h->word1) & WN_SHARED) && wn_share_add(wn_standing(), h, 1);
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

static __attribute__((noinline)) void
retain(void *object)
{
    struct wane_header *h = WANE_HEADER(object);

    if (wn_is_in_transit(h))
        (void)wane_adopt(object);
    if (wn_in_section() ? retain_inside(h) : retain_shared(h))
        return;
    wn_count_retain(h);
}

void
wane_retain_slow(void *object)
{
    struct wane_header *h = WANE_HEADER(object);
    uint64_t            me = wane_self.me;
    uint64_t            w1 = load_acquire(&h->word1); /* acquire E17, as above */

    (void)wn_type_of(h); /* refuses what is not an object */
    wn_check_not_tracing();
    if (__builtin_expect(is_a_strangers(load_relaxed(&h->word0), me), 1)) {
        if (__builtin_expect(!(w1 & WN_SHARED), 1)) {
            wn_count_retain(h); /* shared by now? Who counts in word1 what others count on records is right, and slower */
            return;
        }
        if (!(me & WANE_OUTSIDE) && wn_share_add(wn_standing(), h, 1))
            return;
    }
    retain(object);
}

static __attribute__((noinline)) void
release(void *object)
{
    struct wane_header *h = WANE_HEADER(object);
    bool                opened = wn_scope_open();
    uint64_t            w1 = load_relaxed(&h->word1); /* relaxed: a guess; the CAS checks it */

    if (!is_a_strangers(load_relaxed(&h->word0), wane_self.me) || (w1 & WN_SHARED) ||
        !wn_count_release_of_many(h, wn_type_of(h), w1))
        wn_unit_give(h);
    wn_death_run(wn_standing());
    wn_scope_close(opened);
}

/* In a section, of another's object. False: nothing was done, for more may follow. */
static inline bool
release_strangers(struct wane_header *h, uint64_t me)
{
    const struct wn_type *t = wn_type_of(h);
    uint64_t              w1 = load_acquire(&h->word1); /* acquire E17, as above; else a guess that a CAS checks */

    if (!is_a_strangers(load_relaxed(&h->word0), me))
        return false;
    return w1 & WN_SHARED ? wn_share_add(wn_standing(), h, UINT64_MAX) : wn_count_release_of_many(h, t, w1);
}

void
wane_release_slow(void *object)
{
    struct wane_header *h = WANE_HEADER(object);
    uint64_t            w0 = load_relaxed(&h->word0);
    uint64_t            me = wane_self.me;
    bool                done = false;

    wn_check_not_tracing();
    if ((w0 & WN_OWNER_MASK) == me)
        done = wn_local(w0) == 1 && wn_bury_at_once(wn_standing(), h, w0);
    else if (!(me & WANE_OUTSIDE))
        done = release_strangers(h, me);
    if (__builtin_expect(!done, 0))
        release(object);
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
