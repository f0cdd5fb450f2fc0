/* SPDX-License-Identifier: MIT
 *
 * histogram.h - how long something took, counted by powers of two
 */
#ifndef WN_HISTOGRAM_H
#define WN_HISTOGRAM_H

#include "atomic.h"

#define WN_HISTOGRAM_FIRST 10 /* the first bucket ends at 2^10 ns, about a microsecond */
#define WN_HISTOGRAM_LAST  36 /* about a minute; a last bucket takes the rest */
#define WN_BUCKETS         (WN_HISTOGRAM_LAST - WN_HISTOGRAM_FIRST + 2)

struct wn_histogram {
    struct wane_atomic64 bucket[WN_BUCKETS]; /* a: relaxed, statistics */
    struct wane_atomic64 sum;
};

extern struct wn_histogram wn_collection_times;
extern struct wn_histogram wn_grace_times; /* waits of the driver's for whole grace periods */

static inline void
wn_histogram_add(struct wn_histogram *h, uint64_t nanoseconds)
{
    int log = nanoseconds > 1 ? 64 - __builtin_clzll(nanoseconds - 1) : 0; /* the least power of two that is no less */
    int i = log <= WN_HISTOGRAM_FIRST ? 0 : log > WN_HISTOGRAM_LAST ? WN_BUCKETS - 1 : log - WN_HISTOGRAM_FIRST;

    fetch_add_relaxed(&h->bucket[i], UINT64_C(1));
    fetch_add_relaxed(&h->sum, nanoseconds);
}

#endif
