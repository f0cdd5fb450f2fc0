/* SPDX-License-Identifier: MIT */
#include "handoff.h"

#include <errno.h>

#include "step.h"
#include "unit.h"

static inline uint64_t
with_owner(uint64_t w0, uint32_t owner)
{
    return (w0 & ~(UINT64_C(0xFFFF) << WN_OWNER_SHIFT)) | (uint64_t)owner << WN_OWNER_SHIFT;
}

void
wn_transit_end(struct wane_header *h, struct wn_record *r)
{
    /* relaxed: the way that the reference took orders it behind the giver's store. */
    store_relaxed(&h->word0, with_owner(load_relaxed(&h->word0), r->id));
}

/* ---- Giving ----------------------------------------------------------------------------------------------------- */

static bool
is_clean(uint64_t w0, uint64_t w1, const struct wn_type *t)
{
    return !(w1 & WN_KNOWN) && (!t->traced || !(w0 & WANE_QUIET));
}

/* The owner, with the only unit as it seems. */
static int
give_own(struct wane_header *h, const struct wn_type *t, struct wn_record *r)
{
    uint64_t w0 = load_relaxed(&h->word0);
    uint64_t w1 = load_acquire(&h->word1); /* acquire E11: as in a plain death, nothing that came back is missed */

    if (wn_local(w0) != 1 || wn_count(w1) != 0 || (w1 & (WN_MUTANT(give_to_weak) ? WN_QUEUED : WN_WEAK | WN_SHARED | WN_QUEUED)))
        return -EBUSY;
    if (is_clean(w0, w1, t) || WN_MUTANT(give_although_known)) {
        WN_STEP("give:judged");
        store_relaxed(&h->word0, with_owner(w0, WN_TRANSIT));
    } else {
        (void)wn_count_merge(h, t, r);
    }
    return 0;
}

static int
give(struct wane_header *h, struct wn_record *r)
{
    uint64_t w1;

    if (wn_is_in_transit(h))
        return 0;
    if (wn_owner(load_relaxed(&h->word0)) == r->id)
        return give_own(h, wn_type_of(h), r);
    w1 = load_acquire(&h->word1); /* acquire E11 */
    return (w1 & WN_MERGED) && wn_count(w1) == 1 && !(w1 & (WN_WEAK | WN_SHARED)) ? 0 : -EBUSY;
}

static __attribute__((noinline)) int
give_slow(void *object)
{
    bool opened = wn_scope_open();
    int  rc = give(WANE_HEADER(object), wn_standing());

    wn_scope_close(opened);
    return rc;
}

int
wane_give(void *object)
{
    struct wane_header *h = WANE_HEADER(object);
    uint64_t            w0 = load_relaxed(&h->word0);

    wn_check_not_tracing();
    if ((w0 & (WN_OWNER_MASK | WN_LOCAL_MASK)) != (wane_self.me | 1) || !wn_in_section() ||
        !is_clean(w0, load_acquire(&h->word1), wn_type_of(h))) /* acquire E11: as in give_own */
        return give_slow(object);
    WN_STEP("give:judged");
    store_relaxed(&h->word0, with_owner(w0, WN_TRANSIT));
    return 0;
}

/* ---- Adopting --------------------------------------------------------------------------------------------------- */

/* Merged, one unit, and that is the caller's: back into word0. word0 comes first, so that the unit is never counted less than
 * once; while MERGED is set it counts for nothing. */
static void
bias_anew(struct wane_header *h, const struct wn_type *t, struct wn_record *r)
{
    uint64_t w1 = load_acquire(&h->word1); /* acquire E11: nobody else holds it */
    uint64_t w0 = load_relaxed(&h->word0);

    if ((w1 & WN_KNOWN) != (WN_MERGED | WN_COUNT_ONE) && !(WN_MUTANT(adopt_known) && wn_count(w1) == 1))
        return;
    store_relaxed(&h->word0, with_owner(w0 & WN_TYPE_MASK, r->id) | (t->traced ? 0 : WANE_QUIET) | 1);
    WN_STEP("adopt:word0-written");
    if (WN_MUTANT(adopt_over_claim))
        store_release(&h->word1, (load_relaxed(&h->word1) & ~WN_MERGED) - WN_COUNT_ONE + WN_VERSION_ONE);
    else if (!cas_acq_rel(&h->word1, &w1, (w1 & ~WN_MERGED) - WN_COUNT_ONE + WN_VERSION_ONE)) /* release E10 */
        store_relaxed(&h->word0, w0); /* the collector has claimed it: it stays merged */
}

static __attribute__((noinline)) void *
adopt_slow(void *object)
{
    struct wane_header *h = WANE_HEADER(object);
    bool                opened = wn_scope_open();

    if (wn_is_in_transit(h))
        wn_transit_end(h, wn_standing());
    else if (wn_owner(load_relaxed(&h->word0)) == 0)
        bias_anew(h, wn_type_of(h), wn_standing());
    wn_scope_close(opened);
    return object;
}

void *
wane_adopt(void *object)
{
    if (!object)
        return NULL;
    wn_check_not_tracing();
    if (!wn_in_section() || !wn_is_in_transit(WANE_HEADER(object)))
        return adopt_slow(object);
    wn_transit_end(WANE_HEADER(object), wn_standing());
    return object;
}
