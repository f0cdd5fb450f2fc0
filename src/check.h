/* SPDX-License-Identifier: MIT
 *
 * check.h - what is checked beyond the checks that cost nothing
 *
 *   level 0  misuse that an out-of-line path meets anyway: over-release, retain of the dead, pointers that are no objects
 *   level 1  the invariants of the header (header.h) wherever a word is changed out of line
 *   level 2  freed objects are poisoned and kept for a while, so that a stale pointer names its type; trace callbacks are guarded
 *   level 3  rigged constants: versions begin just short of their wrap, chunks of logs hold four entries
 *
 * The level is a build option (-Dchecks=N). Programs compiled with WANE_CHECKED switch the quarantine on by themselves, in any
 * build (ledger.h).
 */
#ifndef WN_CHECK_H
#define WN_CHECK_H

#include "header.h"

#if WN_CHECKS >= 1
#define WN_CHECK(h, condition, what)                        \
    do {                                                    \
        if (__builtin_expect(!(condition), 0))              \
            wn_fatal((h), "internal error: " what);         \
    } while (0)
#else
#define WN_CHECK(h, condition, what) ((void)0)
#endif

/* I2, I3 of an object that the caller holds, as far as two separate loads can tell. */
void wn_check_words(const struct wane_header *h, uint64_t w0, uint64_t w1);

/* ---- Trace callbacks -------------------------------------------------------------------------------------------------- */

#if WN_CHECKS >= 2
extern __thread const struct wane_header *wn_traced_now; /* whose trace callback runs on this thread */
void wn_check_not_tracing(void);
#else
static inline void
wn_check_not_tracing(void)
{
}
#endif

/* ---- Quarantine ------------------------------------------------------------------------------------------------------- */

#define WN_KEPT_SIZE 4096 /* payloads up to this */

extern struct wane_atomic32 wn_quarantine_on;

/* Keep this memory for a while instead of freeing it; true: done, and an older one was freed in its place. Lock-free. */
struct wn_record;
bool wn_quarantine(struct wn_record *r, struct wane_header *h, size_t size);

/* Does it keep anything? The address sanitizer does that work in its builds. */
bool wn_quarantine_works(void);

/* From now on (it is on from the start at level 2). */
void wn_quarantine_begin(void);

#endif
