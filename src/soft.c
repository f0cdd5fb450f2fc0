/* SPDX-License-Identifier: MIT */
#include "soft.h"

#include <errno.h>
#include <time.h>

#include "handoff.h"
#include "room.h"
#include "roster.h"
#include "step.h"
#include "table.h"
#include "weak.h"

#define PASSES 32

struct soft {
    wane_slot               target;
    struct wn_table_node    node;
    struct wane_atomic32    listed; /* a: 1: the node is in the table; who takes that back removes it */
    struct wane_atomic64    used;   /* a: when; a time, nothing hangs on it */
    struct wane_atomic64    bytes;  /* a: of the target; 0: cleared */
    struct wane_atomic_ptr *cell;   /* c */
};

static struct wn_roster      roster;
static struct wane_atomic64  made, cleared;

uint64_t
wn_coarse_now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC_COARSE, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

int64_t
wn_units_of(const void *object)
{
    const struct wane_header *h = WANE_HEADER(object);
    uint64_t                  w = load_acquire(&h->word1);

    if (w & WN_SHARED)
        return INT64_MAX;
    return wn_count(w) + (w & WN_MERGED ? 0 : (int64_t)wn_local(load_acquire(&h->word0)));
}

/* ---- References --------------------------------------------------------------------------------------------------- */

static const void *
key_of(const void *target)
{
    return (const char *)WANE_HEADER(target) + 1;
}

static struct soft *
soft_of(struct wn_table_node *node)
{
    return (struct soft *)(void *)((char *)node - offsetof(struct soft, node));
}

/* Before the target may go: nobody finds this reference by it any more. */
static void
unlist(struct soft *s)
{
    if (exchange_acq_rel(&s->listed, 0u))
        wn_table_remove(&s->node);
}

static void
soft_dispose(void *object)
{
    struct soft *s = object;

    unlist(s);
    if (s->cell)
        wn_roster_strike(&roster, s->cell);
}

static const uint32_t soft_slots[] = {offsetof(struct soft, target)};

static struct wane_type soft_type = {.name = "wane.soft",
                                     .size = sizeof(struct soft),
                                     .slots = soft_slots,
                                     .slot_count = 1,
                                     .dispose = soft_dispose};

/* The reference that the table knows, held; NULL: there is none, or it is being cleared, or it dies. In a section. */
static void *
find(void *target)
{
    struct wn_table_node *node = wn_table_find(key_of(target));
    struct soft          *s = node ? soft_of(node) : NULL;

    if (!s || !wn_weak_hold(WANE_HEADER(s)))
        return NULL;
    if (wane_peek(&s->target) == target)
        return s;
    wane_release(s);
    return NULL;
}

/* In a section. */
static void *
make(void *target)
{
    struct soft *s = wane_new(&soft_type);

    if (!s)
        return NULL;
    store_relaxed(&s->used, wn_coarse_now());
    store_relaxed(&s->bytes, (uint64_t)wane_size_of(target) + sizeof(struct wane_header));
    wane_set(&s->target, target);
    s->node.key = key_of(target);
    /* Where another one is listed, dying or made just now, this one is not: the target has two for a while. */
    store_relaxed(&s->listed, (uint32_t)(wn_table_add(&s->node) == &s->node));
    s->cell = wn_roster_add(&roster, s); /* from here on the purge may clear it */
    if (!s->cell) {
        wane_release(s);
        errno = ENOMEM;
        return NULL;
    }
    fetch_add_relaxed(&made, 1u);
    return s;
}

static void *
find_or_make(void *target)
{
    void *s;

    wn_arrive(target);
    s = find(target);
    return s ? s : make(target);
}

void *
wane_soft(void *object)
{
    bool  opened;
    void *s;

    if (!wane_untag(object)) {
        errno = EINVAL;
        return NULL;
    }
    opened = wn_scope_open();
    s = find_or_make(object);
    wn_scope_close(opened);
    if (!s && opened && wn_room_make(sizeof(struct soft) + sizeof(struct wane_header))) {
        wane_enter();
        s = find_or_make(object);
        wane_leave();
    }
    return s;
}

void *
wane_soft_get(void *soft)
{
    struct soft *s = soft;
    uint64_t     now;
    void        *object;

    if (!s)
        return NULL;
    if (wn_type_of(WANE_HEADER(s))->declared != &soft_type)
        wn_fatal(WANE_HEADER(s), "wane_soft_get of an object that is not a soft reference");
    object = wane_get(&s->target);
    now = wn_coarse_now();
    if (load_relaxed(&s->used) != now)
        store_relaxed(&s->used, now);
    return object;
}

/* ---- Purging ------------------------------------------------------------------------------------------------------ */

struct purge {
    size_t   want, freed;
    uint64_t oldest, limit; /* times of use */
};

static bool
look(void *member, void *arg)
{
    struct soft  *s = member;
    struct purge *p = arg;
    uint64_t      used = load_relaxed(&s->used);

    if (load_relaxed(&s->bytes) && used < p->oldest)
        p->oldest = used;
    return true;
}

/* s is held. */
static void
clear(struct soft *s, struct purge *p)
{
    void *target = wane_peek(&s->target);

    if (!target)
        return;
    if (wn_units_of(target) != 1 && !WN_MUTANT(soft_clears_held)) { /* others hold it, too */
        store_relaxed(&s->used, wn_coarse_now());
        return;
    }
    unlist(s);
    p->freed += load_relaxed(&s->bytes);
    store_relaxed(&s->bytes, UINT64_C(0));
    wane_clear(&s->target);
    fetch_add_relaxed(&cleared, 1u);
}

static bool
clear_if_old(void *member, void *arg)
{
    struct soft  *s = member;
    struct purge *p = arg;

    if (!load_relaxed(&s->bytes) || load_relaxed(&s->used) > p->limit)
        return true;
    WN_STEP("soft:found");
    if (WN_MUTANT(purge_holds_the_dying))
        (void)wane_retain(s);
    else if (!wn_weak_hold(WANE_HEADER(s)))
        return true;
    clear(s, p);
    wane_release(s);
    return p->freed < p->want;
}

size_t
wn_soft_purge(size_t bytes)
{
    struct purge p = {.want = bytes, .oldest = UINT64_MAX};
    uint64_t     now = wn_coarse_now();

    wn_roster_each(&roster, look, &p);
    if (p.oldest == UINT64_MAX)
        return 0;
    for (uint64_t i = 1; i <= PASSES && p.freed < p.want; i++) {
        p.limit = p.oldest + (now - p.oldest) * i / PASSES;
        wn_roster_each(&roster, clear_if_old, &p);
        if (p.oldest >= now)
            break;
    }
    return p.freed;
}

void
wn_soft_stats(struct wane_memory_stats *out)
{
    out->softs_made = load_relaxed(&made);
    out->softs_cleared = load_relaxed(&cleared);
}
