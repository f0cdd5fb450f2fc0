/* SPDX-License-Identifier: MIT */
#include "weak.h"

#include <errno.h>

#include "ck_glue.h"
#include "death.h"
#include "decide.h"
#include "handoff.h"
#include "notify.h"
#include "room.h"
#include "share.h"
#include "step.h"
#include "table.h"

struct weak {
    struct wane_atomic_ptr target; /* a: header; NULL from the target's death on */
    struct wn_table_node   node;
    struct wn_notes        notes;
};

static void
weak_dispose(void *weak)
{
    wn_notes_free(&((struct weak *)weak)->notes);
}

static struct wane_type weak_type = {"wane.weak", sizeof(struct weak), 0, 0, 0, weak_dispose, 0, 0, {0}};

static struct weak *
weak_of(struct wn_table_node *node)
{
    return (struct weak *)(void *)((char *)node - offsetof(struct weak, node));
}

void *
wn_weak_sever(struct wane_header *target)
{
    struct wn_table_node *node = wn_table_find(target);

    if (!node)
        return NULL;
    store_release(&weak_of(node)->target, NULL);
    return weak_of(node);
}

void
wn_weak_tell(void *weak)
{
    if (weak)
        wn_notes_run(&((struct weak *)weak)->notes, weak);
}

void
wn_weak_bury(void *weak, void (*drop)(wane_slot *))
{
    struct weak *w = weak;

    if (!w)
        return;
    if (load_relaxed(&wn_table_hung) && !WN_MUTANT(hung_not_dropped))
        drop(&w->node.hung);
    wn_table_remove(&w->node);
    wn_unit_defer(WANE_HEADER(w)); /* its node may still be seen by lookups of this grace period */
}

wane_slot *
wn_weak_hung(struct wane_header *target)
{
    bool                  gone = wn_is_gone(load_acquire(&target->word1)) && !WN_MUTANT(hung_of_the_dying);
    struct wn_table_node *node = gone ? NULL : wn_table_find(target);

    if (!node)
        return NULL;
    /* relaxed: whoever traces what will be stored there has seen the store, and so this one. */
    if (!load_relaxed(&wn_table_hung))
        store_relaxed(&wn_table_hung, 1u);
    return &node->hung;
}

struct wane_header *
wn_weak_of(struct wane_header *target, const wane_slot **hung)
{
    struct wn_table_node *node = wn_table_find(target);

    *hung = node ? &node->hung : NULL;
    return node ? WANE_HEADER(weak_of(node)) : NULL;
}

void
wn_weak_immortalise(struct wane_header *target)
{
    struct wn_table_node *node = load_acquire(&target->word1) & WN_WEAK ? wn_table_find(target) : NULL;

    if (node)
        wane_immortal(weak_of(node));
}

/* A new weak object for h: one unit for the target, one for the caller; or the one that somebody else just made. */
static void *
make(struct wane_header *h)
{
    struct weak          *w;
    struct wn_table_node *in;

    if (wn_is_gone(load_acquire(&h->word1))) { /* inside its dispose */
        errno = ESRCH;
        return NULL;
    }
    w = wane_new(&weak_type);
    if (!w)
        return NULL;
    store_relaxed(&w->target, (void *)h);
    w->node.key = h;
    wn_flags_change(h, 0, WN_WEAK); /* first: whoever finds the node relies on it */
    in = wn_table_add(&w->node);
    if (in == &w->node) {
        if (wn_count(load_acquire(&h->word1)) >= WN_IMMORTAL)
            wane_immortal(w); /* or who makes h immortal finds it in the table */
        return wane_retain(w);
    }
    wane_release(w);
    if (!in)
        errno = ENOMEM;
    return in ? wane_retain(weak_of(in)) : NULL;
}

static void *
find_or_make(void *object)
{
    struct wane_header   *h = WANE_HEADER(object);
    struct wn_table_node *node;

    wn_arrive(object);
    node = wn_is_gone(load_acquire(&h->word1)) ? NULL : wn_table_find(h);
    return node ? wane_retain(weak_of(node)) : make(h);
}

void *
wane_weak(void *object)
{
    bool  opened = wn_scope_open();
    void *result = find_or_make(object);

    wn_scope_close(opened);
    if (!result && opened && errno == ENOMEM && wn_room_make(sizeof(struct weak) + sizeof(struct wane_header))) {
        wane_enter();
        result = find_or_make(object);
        wane_leave();
    }
    return result;
}

/* In a section, h's memory is safe to look at. The object, or NULL. */
static __attribute__((noinline)) void *
upgrade(struct wane_header *h)
{
    /* acquire E14, E11 */
    uint64_t w = load_acquire(&h->word1);
    unsigned turns = 0;
    bool     is_hot = false;

    for (;;) {
        WN_STEP("weak:looked");
        if (wn_is_gone(w))
            return NULL;
        if (w & WN_CONDEMNED) {
            int answer = wn_decide_upgrade(h, w);

            if (answer == 0)
                return NULL;
            if (answer < 0) {
                w = load_acquire(&h->word1);
                continue;
            }
        }
        if ((w & WN_SHARED) && wn_share_add(wn_standing(), h, 1))
            break; /* as its release will; nobody reviews it */
        if (wn_count(w) >= WN_IMMORTAL && !WN_MUTANT(upgrade_counts_immortal))
            break; /* its releases change nothing either */
        WN_STEP("weak:before-cas");
        if (cas_acq_rel(&h->word1, &w, (w & ~WN_REVIEW) + WN_COUNT_ONE + WN_VERSION_ONE)) {
            if (is_hot)
                wn_share_itself(wn_standing(), h); /* now that it is held */
            break;
        }
        is_hot |= wn_stall(&turns);
        w = load_acquire(&h->word1);
    }
    return wn_payload(h);
}

static __attribute__((noinline)) void *
retain_own(struct wane_header *h)
{
    return wane_retain(wn_payload(h));
}

/* The object, with a unit more, or NULL. In a section. */
static inline void *
hold(struct wane_header *h)
{
    /* acquire E16: if word0 is a dead object's link, word1 says so. If it is mine it stays mine: I am in the section. */
    uint64_t w0 = load_acquire(&h->word0);

    if ((w0 & WN_OWNER_MASK) != wane_self.me || wn_is_gone(load_acquire(&h->word1)))
        return upgrade(h);
    if (__builtin_expect((w0 & WANE_LOCAL_LIMIT) != 0, 0))
        return retain_own(h);
    store_relaxed(&h->word0, w0 + 1); /* biased to me: it lives, and nobody reviews it */
    return wn_payload(h);
}

bool
wn_weak_hold(struct wane_header *h)
{
    return hold(h);
}

/* A reference to the target, or NULL. In a section. */
static inline void *
get(struct weak *w)
{
    struct wane_header *h = load_acquire(&w->target);

    if (!h)
        return NULL;
    WN_STEP("weak:target");
    return hold(h);
}

static __attribute__((noinline)) void *
get_outside(struct weak *w)
{
    void *object;

    wane_enter();
    object = get(w);
    wane_leave();
    return object;
}

static __attribute__((noinline, cold)) void
not_weak(void *object)
{
    (void)wn_type_of(WANE_HEADER(object)); /* refuses what is not an object at all */
    wn_fatal(WANE_HEADER(object), "wane_weak_get, _notify or _unnotify of an object that is not a weak reference");
}

static inline void
check_weak(void *weak)
{
    uint32_t id = load_relaxed(&weak_type.id); /* relaxed: who has a weak reference knows of its type. 0: there is none */

    if (__builtin_expect((uintptr_t)weak % WN_CELL_UNIT || (uintptr_t)weak < 4096, 0))
        not_weak(weak);
    if (__builtin_expect(!id || wn_type_id(load_relaxed(&WANE_HEADER(weak)->word0)) != id, 0)) /* relaxed: it never changes */
        not_weak(weak);
}

void *
wane_weak_get(void *weak)
{
    if (!weak)
        return NULL;
    check_weak(weak);
    wn_check_not_tracing();
    return __builtin_expect(wn_in_section(), 1) ? get(weak) : get_outside(weak);
}

/* No section is needed: the notes live as long as the weak object, which the caller holds. */
int
wane_weak_notify(void *weak, void (*fn)(void *, void *), void *arg)
{
    if (!fn)
        return -EINVAL;
    if (!weak)
        return -ESRCH;
    check_weak(weak);
    return wn_notes_add(&((struct weak *)weak)->notes, fn, arg);
}

bool
wane_weak_unnotify(void *weak, void (*fn)(void *, void *), void *arg)
{
    if (!weak)
        return false;
    check_weak(weak);
    return wn_notes_cancel(&((struct weak *)weak)->notes, fn, arg);
}
