/* SPDX-License-Identifier: MIT */
#include "check.h"

#include <string.h>

#include "cell.h"
#include "type.h"

/* ---- Words ------------------------------------------------------------------------------------------------------------ */

void
wn_check_words(const struct wane_header *h, uint64_t w0, uint64_t w1)
{
    (void)h, (void)w0, (void)w1;
    WN_CHECK(h, !(w1 & WN_DEAD), "a held object is DEAD");
    WN_CHECK(h, wn_owner(w0) != WN_TRANSIT || wn_local(w0) == 1, "an object in transit with other units (I2)");
    WN_CHECK(h, !wn_owner(w0) || wn_local(w0) > 0, "an owner and no local unit (I2)");
    WN_CHECK(h, (w1 & (WN_MERGED | WN_QUEUED)) || wn_count(w1) >= 0, "below zero and not queued (I3)");
}

/* ---- Trace callbacks -------------------------------------------------------------------------------------------------- */

#if WN_CHECKS >= 2
__thread const struct wane_header *wn_traced_now;

void
wn_check_not_tracing(void)
{
    if (__builtin_expect(wn_traced_now != NULL, 0))
        wn_fatal(wn_traced_now, "a trace callback may only show slots: it called back into the library");
}
#endif

/* ---- Quarantine ------------------------------------------------------------------------------------------------------- */

#if defined(__SANITIZE_ADDRESS__)
#define WN_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define WN_ASAN 1
#endif
#endif
#ifndef WN_ASAN
#define WN_ASAN 0 /* it keeps freed memory itself, and says more */
#endif

#define KEPT      1024
#define POISON    0xdb

struct wane_atomic32          wn_quarantine_on = {WN_CHECKS >= 2};
static struct wane_atomic_ptr kept[KEPT]; /* a: headers of dead objects, in no order */
static struct wane_atomic32   next;

bool
wn_quarantine_works(void)
{
    return !WN_ASAN && load_relaxed(&wn_quarantine_on);
}

void
wn_quarantine_begin(void)
{
    store_relaxed(&wn_quarantine_on, 1u);
}

bool
wn_quarantine(struct wn_record *r, struct wane_header *h, size_t size)
{
    struct wane_header *oldest;

    if (WN_ASAN || size > WN_KEPT_SIZE)
        return false;
    memset(wn_payload(h), POISON, size);
    /* Nobody's, and gone for everybody: a stale pointer goes out of line, and is told so. */
    store_relaxed(&h->word0, load_relaxed(&h->word0) & WN_TYPE_MASK);
    store_relaxed(&h->word1, WN_MERGED | WN_DEAD);
    oldest = exchange_acq_rel(&kept[fetch_add_relaxed(&next, 1u) % KEPT], (void *)h); /* acq_rel E12 */
    if (oldest)
        wn_object_memory_give(r, oldest, wn_type_of(oldest));
    return true;
}
