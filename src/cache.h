/* SPDX-License-Identifier: MIT
 *
 * cache.h - a bounded map: maps as shards, and a clock hand on each
 *
 * cache -> shard's map -> item -> value. A get sets the item's bit `used`; the hand of a shard goes round its map's table, takes
 * the bit from items that have it and throws the others out (second chance: F. Corbato, 1968). Hands are counters, so any number
 * of threads may turn them; there is no lock but that of the maps, for new keys.
 *
 * Costs: the sum is in an object of its own, the meter, which the cache and its items hold: an item that was replaced may outlive
 * both its place and the cache. Who takes an item out subtracts its cost, by an exchange of the item's own word with 0; what
 * two racing puts leave is subtracted by the item's dispose.
 *
 * A value that was moved to a file (spill.h) has a stub in its place.
 */
#ifndef WN_CACHE_H
#define WN_CACHE_H

#include <wane/memory.h>

/* Inside a purge, outside sections. An estimate of what was let go. */
size_t wn_cache_purge(size_t bytes);

void wn_cache_stats(struct wane_memory_stats *out);

#endif
