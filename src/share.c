/* SPDX-License-Identifier: MIT */
#include "share.h"

#include <errno.h>

#include "driver.h"
#include "handoff.h"
#include "memory.h"
#include "step.h"
#include "unit.h"

#define PROBES        4
#define COMMON_BITS   10
#define COMMON        (1 << COMMON_BITS) /* objects that can be shared at a time, or almost */
#define COMMON_PROBES 16

#define LOOKS         16   /* of the background in one tick */
#define LONG_NS       1000000000 /* what has shared itself is unshared after this */

/* One for each shared object, for records that have no entry free. o: fetch_add by anybody in a section. */
static struct wn_shared_count common[COMMON];

#define LOOKED_AT UINT64_C(1)
#define UNSHARED  UINT64_C(2)
static struct wane_atomic64 since[COMMON]; /* a: who shared it (share.h); written before the entry's object */
static struct wane_atomic32 hot;           /* a: so many have shared themselves, or a few less */

/* ---- Entries ---------------------------------------------------------------------------------------------------- */

static struct wn_shared_count *
common_entry(const struct wane_header *h, uint32_t i)
{
    return &common[((wn_shared_hash(h) >> (64 - COMMON_BITS)) + i) % COMMON];
}

static struct wn_shared_count *
find_common(const struct wane_header *h)
{
    for (uint32_t i = 0; i < COMMON_PROBES; i++)
        if (load_acquire(&common_entry(h, i)->object) == h) /* acquire E17 */
            return common_entry(h, i);
    return NULL;
}

/* What an entry shows while it is held for h: nobody finds that, but the child of a fork, if its holder has vanished. */
static void *
reserved_for(const struct wane_header *h)
{
    return (void *)((uintptr_t)h | 1);
}

static bool
is_reserved(const void *object)
{
    return (uintptr_t)object & 1;
}

/* Hold a free one: nobody finds it before h is its object. */
static struct wn_shared_count *
reserve_common(const struct wane_header *h, uint64_t time)
{
    for (uint32_t i = 0; i < COMMON_PROBES; i++) {
        struct wn_shared_count *c = common_entry(h, i);
        void                   *object = NULL;

        if (!load_relaxed(&c->object) && cas_acq_rel(&c->object, &object, reserved_for(h))) { /* acquire E17 */
            store_relaxed(&c->units, UINT64_C(0));
            store_release(&since[c - common], time);
            return c;
        }
    }
    return NULL;
}

static bool
add_in_common(const struct wane_header *h, uint64_t n)
{
    struct wn_shared_count *c = find_common(h);

    if (c)
        fetch_add_relaxed(&c->units, n); /* relaxed: read after a grace period only (E4) */
    return c;
}

bool
wn_share_add_slow(struct wn_record *r, struct wane_header *h, uint64_t n)
{
    struct wn_shared_count *free_one = NULL;

    for (uint32_t i = 0; i < PROBES; i++) {
        struct wn_shared_count *c = wn_shared_entry(r, h, i);
        void                   *object = load_acquire(&c->object); /* acquire E17: its units were read before it was freed */

        if (object == h) {
            /* relaxed: read after a grace period only (E4). */
            store_relaxed(&c->units, load_relaxed(&c->units) + n);
            return true;
        }
        if (!object && !free_one)
            free_one = c;
    }
    if (!free_one)
        return WN_MUTANT(share_loses_full) || add_in_common(h, n);
    store_relaxed(&free_one->units, n);
    store_release(&free_one->object, (void *)h); /* release E17: for the sum, units come first */
    return true;
}

static uint64_t
free_entry(struct wn_shared_count *c)
{
    uint64_t units = load_relaxed(&c->units);

    if (!WN_MUTANT(share_frees_no_entry))
        store_release(&c->object, NULL); /* release E17 */
    return units;
}

/* Nobody counts h there any more: a grace period has passed since SHARED went. */
static int64_t
sum_and_free(struct wane_header *h)
{
    struct wn_shared_count *in_common = WN_MUTANT(share_sums_records_only) ? NULL : find_common(h);
    uint64_t                sum = in_common ? free_entry(in_common) : 0;

    for (uint32_t id = 1; id <= wn_record_limit(); id++) {
        struct wn_record *r = wn_record(id);

        for (uint32_t i = 0; r && i < WN_SHARED_COUNTS; i++) {
            struct wn_shared_count *c = &r->shared[i];

            if (load_acquire(&c->object) == (void *)h) /* acquire E17 */
                sum += free_entry(c);
        }
    }
    return (int64_t)sum;
}

int64_t
wn_share_look(const struct wane_header *h, uint64_t w1)
{
    const struct wn_shared_count *in_common = find_common(h);
    uint64_t                      sum = in_common ? load_relaxed(&in_common->units) : 0; /* relaxed: nothing follows from it */

    if (!(w1 & WN_SHARED))
        return 0;
    for (uint32_t id = 1; id <= wn_record_limit(); id++) {
        const struct wn_record *r = wn_record(id);

        for (uint32_t i = 0; r && i < WN_SHARED_COUNTS; i++)
            if (load_acquire(&r->shared[i].object) == (const void *)h) /* acquire E17 */
                sum += load_relaxed(&r->shared[i].units);
    }
    return (int64_t)sum - WN_SHARE_BIAS;
}

static int64_t
bias(void)
{
    return WN_MUTANT(share_without_bias) ? 0 : WN_SHARE_BIAS;
}

/* ---- Sharing ---------------------------------------------------------------------------------------------------- */

/* *asks: its owner, who is somebody else, shall merge it; the queue has a unit for that. */
static int
share(struct wane_header *h, bool is_mine, bool *asks)
{
    uint64_t w = load_acquire(&h->word1);
    uint64_t n;

    do {
        int64_t count = wn_count(w);

        if (wn_is_gone(w))
            return -ESRCH;
        if (w & WN_SHARED)
            return -EALREADY;
        if (count >= WN_SHARE_BIAS / 2 || count <= -WN_SHARE_BIAS / 2)
            return -EBUSY;
        n = ((w & ~WN_REVIEW) | WN_SHARED) + (uint64_t)bias() * WN_COUNT_ONE + WN_VERSION_ONE;
        *asks = !is_mine && !(w & (WN_MERGED | WN_QUEUED));
        if (*asks)
            n = (n | WN_QUEUED) + WN_COUNT_ONE;
    } while (!cas_acq_rel(&h->word1, &w, n)); /* acq_rel: as a retain that must not be missed by a review */
    return 0;
}

static int
share_in(struct wn_shared_count *c, struct wane_header *h, struct wn_record *r)
{
    uint32_t owner = wn_owner(load_relaxed(&h->word0)); /* 0: merged, or in the middle of it */
    bool     is_mine = owner == r->id, asks;
    int      rc;

    /* First: who is stopped in between (fork) leaves nothing that is shared, and neither merged nor queued. A dying object's
     * word0 is a link. */
    if (is_mine && !wn_is_gone(load_acquire(&h->word1)) && !WN_MUTANT(shared_stays_biased))
        (void)wn_count_merge(h, wn_type_of(h), r);
    rc = share(h, is_mine, &asks);
    WN_STEP("share:set");
    store_release(&c->object, rc ? NULL : (void *)h); /* release E17 */
    if (rc == 0 && asks)
        wn_queue_push(r, owner, h);
    return rc;
}

/* time: 0 for the program. */
static int
share_since(struct wane_header *h, struct wn_record *r, uint64_t time)
{
    struct wn_shared_count *c = wn_node_reserve(r) ? reserve_common(h, time) : NULL;

    return c ? share_in(c, h, r) : -ENOMEM;
}

static bool
has_shared_itself(uint64_t time)
{
    return time != 0 && time != UNSHARED;
}

/* It was shared already. By itself: it is the program's from now on. */
static int
take_over(const struct wane_header *h)
{
    const struct wn_shared_count *c = find_common(h); /* NULL: it is not published yet; by itself, most likely */
    uint64_t                      time = c ? load_acquire(&since[c - common]) : UNSHARED;

    while (has_shared_itself(time))
        if (cas_acq_rel(&since[c - common], &time, UINT64_C(0))) {
            fetch_add_relaxed(&hot, UINT32_MAX);
            return 0;
        }
    return time == UNSHARED ? -EBUSY : -EALREADY;
}

int
wane_share(void *object)
{
    bool                opened = wn_scope_open();
    struct wane_header *h = WANE_HEADER(object);
    int                 rc;

    wn_arrive(object);
    rc = share_since(h, wn_standing(), 0);
    if (rc == -ESRCH)
        wn_fatal(h, "share of a dead object");
    if (rc == -EALREADY)
        rc = take_over(h);
    wn_scope_close(opened);
    return rc;
}

void
wn_share_itself(struct wn_record *r, struct wane_header *h)
{
    if (load_relaxed(&h->word1) & (WN_CLAIMED | WN_REVIEW | WN_CONDEMNED)) /* the collector is at it, too */
        return;
    fetch_add_relaxed(&hot, 1u); /* first: who is stopped in between (fork) leaves it too high, which costs some looks */
    if (share_since(h, r, wn_now() | 4) == 0) /* not 0, LOOKED_AT, or UNSHARED */
        wn_record_backlog(r); /* the background runs from now on */
    else
        fetch_add_relaxed(&hot, UINT32_MAX);
}

/* ---- Unsharing -------------------------------------------------------------------------------------------------- */

/* BIAS goes; what the records have counted comes, and one unit more. Counts saturate as everywhere. */
static uint64_t
settled_word(uint64_t w, int64_t sum)
{
    int64_t count = wn_count(w) - bias() + sum + 1;

    if (wn_count(w) >= WN_IMMORTAL || count >= WN_IMMORTAL)
        count = WN_IMMORTAL_CENTRE;
    return (w & ~WN_COUNT_MASK) + (((uint64_t)count << WN_COUNT_SHIFT) & WN_COUNT_MASK) + WN_VERSION_ONE;
}

/* After a grace period, on whatever record: the one release that decides. node carries h, so that nothing can fail here. */
static void
settle(void *arg)
{
    struct wn_queue_node *node = arg;
    struct wane_header   *h = node->object;
    struct wn_record     *r = wn_standing();
    int64_t               sum = sum_and_free(h);
    uint64_t              w = load_acquire(&h->word1);

    wn_node_give(r, node);
    do
        WN_STEP("unshare:before-cas");
    while (!cas_acq_rel(&h->word1, &w, settled_word(w, sum))); /* acq_rel E11: this gives back what records gave back */
    wn_unit_give(h);
}

static int
unshare(struct wane_header *h, struct wn_record *r)
{
    struct wn_deferred_call *call = wn_deferred_call_new(settle, NULL);
    struct wn_queue_node    *node;
    uint64_t                 w = load_relaxed(&h->word1);

    /* The node last: what makes room in the log may queue something. */
    if (!call || !wn_unit_defer_reserve(r) || !wn_node_reserve(r)) {
        wn_free(call);
        return -ENOMEM;
    }
    do
        if (!(w & WN_SHARED)) {
            wn_free(call);
            return -EINVAL;
        }
    while (!cas_acq_rel(&h->word1, &w, (w & ~WN_SHARED) + WN_VERSION_ONE));
    WN_STEP("unshare:cleared");
    node = wn_node_take(r);
    node->object = h;
    if (WN_MUTANT(unshare_at_once)) {
        wn_free(call);
        settle(node);
        return 0;
    }
    call->pointer = node;
    wn_log_append(&r->deferred, (uintptr_t)call | WN_ENTRY_CALL);
    wn_record_backlog(r);
    return 0;
}

int
wane_unshare(void *object)
{
    bool                          opened = wn_scope_open();
    const struct wn_shared_count *c = find_common(WANE_HEADER(object));
    int                           rc = -EINVAL;

    /* No entry: it is not shared, or is being shared this moment, which is not the caller's to end: `since` is not seen yet. */
    if ((c && !load_acquire(&since[c - common])) || WN_MUTANT(unshares_the_hot))
        rc = unshare(WANE_HEADER(object), wn_standing());
    wn_scope_close(opened);
    return rc;
}

/* ---- What has shared itself --------------------------------------------------------------------------------------- */

/* Nothing seems to hold it. */
static bool
is_idle(const struct wane_header *h)
{
    uint64_t w1 = load_acquire(&h->word1);

    return (w1 & WN_MERGED) && wn_count(w1) + wn_share_look(h, w1) <= 0;
}

/* In a section. False: there is nothing in the entry that has shared itself. */
static bool
cool(uint32_t i, bool all)
{
    uint64_t            time = load_acquire(&since[i]), looked = LOOKED_AT;
    struct wane_header *h;

    if (time <= UNSHARED && !(WN_MUTANT(cools_the_programs) && !time))
        return false;
    h = load_acquire(&common[i].object); /* acquire E17 */
    if (!h || is_reserved(h) || !cas_acq_rel(&since[i], &time, LOOKED_AT))
        return false;
    WN_STEP("share:looked-at");
    if (!all && wn_now() - time < LONG_NS && !is_idle(h)) {
        (void)cas_acq_rel(&since[i], &looked, time); /* or it is the program's by now */
        return true;
    }
    if (!cas_acq_rel(&since[i], &looked, UNSHARED))
        return false;
    if (unshare(h, wn_standing()) == 0) {
        fetch_add_relaxed(&hot, UINT32_MAX);
        return false;
    }
    store_release(&since[i], time); /* no memory: later */
    return true;
}

/* A look is linear in the records. */
bool
wn_share_cool(bool all)
{
    static uint32_t next; /* under the driver lock */
    int             looks = all ? COMMON : LOOKS;

    if (!load_relaxed(&hot) || WN_MUTANT(hot_for_ever))
        return false;
    wane_enter();
    for (uint32_t i = 0; i < COMMON && looks > 0; i++, next = (next + 1) % COMMON)
        if (cool(next, all))
            looks--;
    wane_leave();
    return load_relaxed(&hot);
}

bool
wn_share_is_hot(void)
{
    return load_relaxed(&hot);
}

/* Whoever held an entry was in a section, so its object is still there. */
static void
mend(uint32_t i)
{
    void               *object = load_relaxed(&common[i].object);
    struct wane_header *h = (struct wane_header *)((uintptr_t)object & ~(uintptr_t)1);
    bool                is_shared = is_reserved(object) && (load_relaxed(&h->word1) & WN_SHARED) && !find_common(h);

    if (is_shared && load_relaxed(&since[i]) == UNSHARED)
        store_relaxed(&since[i], UINT64_C(4)); /* an earlier object's; this one's was not said yet */
    if (is_reserved(object))
        store_release(&common[i].object, is_shared ? (void *)h : NULL);
}

void
wn_share_forked(void)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < COMMON; i++) {
        mend(i);
        n += load_relaxed(&common[i].object) && has_shared_itself(load_relaxed(&since[i]));
    }
    store_relaxed(&hot, n);
}
