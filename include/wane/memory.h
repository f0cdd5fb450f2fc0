/* SPDX-License-Identifier: MIT
 *
 * memory.h - how much memory objects may take, and what goes when it is short
 *
 * *Used* are the bytes of all objects that are in memory: payloads, headers and what stands before these, alive or waiting for a
 * grace period. What malloc adds, and the runtime's own logs and tables, are not in it.
 *
 * Memory is *short* while more is used than the soft limit. Then the background collects sooner, and a *purge* goes round:
 * caches give up entries, soft references their targets, callbacks what they know of. The hard limit makes wane_new fail.
 */
#ifndef WANE_MEMORY_H
#define WANE_MEMORY_H

#include <wane/wane.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

/* ---- Budgets -------------------------------------------------------------------------------------------------- */

/**
 * wane_budget - limit what objects may use
 *
 * @soft     bytes; above it memory is short. 0: it never is
 * @hard     bytes; above it wane_new fails. 0: no limit
 * Returns   0; -EINVAL: both are set and soft is the larger one
 * Errors    of wane_new and of all that makes objects, when the hard limit is reached: NULL with ENOMEM. Outside sections that
 *           comes after a purge, a grace period and a collection have not made room; a collection is left out if the last one,
 *           which found little, took so long that the next would have to wait for more than a second. Inside a section it
 *           comes at once. Release, stores, leaves and collections are never refused
 * Threads   any; the last call counts
 * Progress  of wane_budget: wait-free. Of wane_new at the hard limit: inside a section wait-free; outside it takes turns with
 *           purges and drivers and waits for sections, about two seconds at most, beside what callbacks and collections take
 *
 * A record (a thread that is in a section, or was) counts for itself and reports each granule: 64 KiB, or a 64th of the smaller
 * limit if that is less (256 bytes at least). So the limits are exact to within records (as in the statistics) times granule.
 *
 * wane_budget_used - what is used now
 *
 * Returns   bytes; the sum over all records, no snapshot while others make and free
 * Progress  wait-free; linear in the records
 */
int    wane_budget(size_t soft, size_t hard);
size_t wane_budget_used(void);

/**
 * wane_on_pressure - have a callback called by each purge
 *
 * @fn       told how many bytes are wanted; lets go of what it can do without, and says how many bytes that was. Called outside
 *           sections, one at a time, on the background's thread, in wane_step, wane_purge, or in a wane_new at the hard limit.
 *           It may make and release objects (a wane_new at the hard limit is refused at once) and collect. It must not need a
 *           lock that is held around a wane_new outside a section, or around wane_off_pressure
 * Returns   0; -EINVAL (fn is NULL); -ENOMEM
 * Threads   any
 * Progress  blocking: on the purge that is under way, unless this call comes from inside of it
 *
 * wane_off_pressure - call it no more
 *
 * Returns   true: it is not called any more, and does not run (unless this call comes from inside of it). false: it was not
 *           registered, or not with this arg
 * Threads   any
 * Progress  blocking: on the purge that is under way
 */
int  wane_on_pressure(size_t (*fn)(size_t bytes, void *arg), void *arg);
bool wane_off_pressure(size_t (*fn)(size_t bytes, void *arg), void *arg);

/**
 * wane_purge - let go of what can be done without: first from caches, then soft references, then by callbacks
 *
 * @bytes    how much; SIZE_MAX: all
 * Returns   an estimate of what was let go: it is free after a grace period. 0 inside a section, and inside a purge
 * Threads   any
 * Progress  blocking: on another thread's purge, and on what callbacks do
 */
size_t wane_purge(size_t bytes);

/**
 * wane_trim - give memory that nobody uses back to the system
 *
 * Returns   0; -EDEADLK inside a section, or in a thread that is ending
 * Threads   any
 * Progress  blocking: on the driver and, a second at most, on sections. It goes through all free memory of the process
 */
int wane_trim(void);

/* ---- Soft references ------------------------------------------------------------------------------------------- */

/**
 * wane_soft - a reference that keeps its target until memory is short: itself an object, storable in slots
 *
 * @object   owned or borrowed
 * Returns   owned soft reference; NULL with ENOMEM, or EINVAL (object is NULL). The one that the object has already, unless that
 *           is being cleared, dies, or is being made by another thread
 * Counts    the reference holds one unit of the object, until a purge clears it or it dies
 * Threads   any
 * Progress  lock-free after malloc
 *
 * Purges clear those first that have not been used for longest (by wane_soft, wane_soft_get; to within a 32nd of that time), and
 * none whose object is held by others as well: that would free nothing.
 *
 * wane_soft_get - the target, if it has not been cleared
 *
 * @soft     from wane_soft; NULL is allowed
 * Returns   an owned reference to the target, or NULL; NULL is final
 * Counts    caller +1 on the target
 * Threads   any
 * Progress  wait-free
 */
void *wane_soft(void *object) WANE_MUST_USE;
void *wane_soft_get(void *soft) WANE_MUST_USE;

/* ---- Caches --------------------------------------------------------------------------------------------------- */

struct wane_cache;

/**
 * wane_cache_new - a cache of objects under string keys, bounded by the sum of the costs that their makers name
 *
 * @capacity  the largest sum. Costs that are bytes make the estimates of purges right
 * Returns   owned: an object as any other; NULL with ENOMEM
 *
 * When a put exceeds the capacity, entries go that have not been used since the cache's hand came by last (a clock, one for each
 * of eight shards: about the least recently used). Purges throw out entries in the same order, but none whose object is held by
 * others as well.
 *
 * wane_cache_put    stores under key, consuming the caller's unit; replaces. 0; -ENOMEM, -EINVAL (object is NULL), -E2BIG (cost
 *                   exceeds the capacity): nothing consumed, nothing changed. The capacity may be exceeded by the puts under
 *                   way, and as long as entries that two puts of one key have replaced wait for a grace period
 * wane_cache_get    owned, or NULL: it is not there (or ENOMEM, EIO: it could not be brought back from its file)
 * wane_cache_remove true if it was there
 * wane_cache_cost, wane_cache_count   now; exact when nobody writes
 *
 * Threads   any number of readers and writers
 * Progress  get, remove: lock-free (but for a payload that comes from a file). put: the map's own lock of the shard, for a key
 *           that is new to it: a thread stopped there holds up only such puts; no reader
 */
struct wane_cache *wane_cache_new(size_t capacity) WANE_MUST_USE;
int    wane_cache_put(struct wane_cache *cache, const char *key, void *object, size_t cost);
void  *wane_cache_get(struct wane_cache *cache, const char *key) WANE_MUST_USE;
bool   wane_cache_remove(struct wane_cache *cache, const char *key);
size_t wane_cache_cost(const struct wane_cache *cache);
size_t wane_cache_count(const struct wane_cache *cache);

/**
 * wane_cache_spill - let purges move payloads to a file instead of throwing them out
 *
 * @directory  where the file is made, without a name that lasts; NULL: no file from now on
 * @most     bytes that it may take, in blocks of 4096
 * Returns   0; -ENOMEM; what open, or mkostemp, says
 * Threads   any; the last call counts
 *
 * Moved are objects of types without slots and callbacks, of 4096 bytes and more, which have no weak reference and which the
 * cache alone holds. A get reads them back: it gets *another object* of the same type and content, so they must not change once
 * they are in such a cache. Entries in files keep their cost. A child of a fork shares the file; it should drop such caches.
 */
int wane_cache_spill(struct wane_cache *cache, const char *directory, size_t most);

/* ---- Statistics ----------------------------------------------------------------------------------------------- */

struct wane_memory_stats {
    uint64_t used, soft, hard; /* bytes now, and the limits */
    uint64_t refused;          /* objects that the hard limit kept from being made */
    uint64_t waits;            /* times that a thread tried to make room at the hard limit */
    uint64_t purges;           /* by whomever */
    uint64_t purged_bytes;     /* estimates, summed up */
    uint64_t softs_made, softs_cleared;
    uint64_t evicted;          /* entries that caches threw out */
    uint64_t spilled, brought_back; /* payloads moved to files, and read back */
    uint64_t spilled_bytes;    /* in files now */
};

/**
 * wane_memory_stats - the numbers above; counters are monotonic, together they are not a snapshot
 */
void wane_memory_stats(struct wane_memory_stats *out);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif

#endif
