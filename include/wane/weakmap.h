/* SPDX-License-Identifier: MIT
 *
 * weakmap.h - a map whose keys are objects that it does not keep: properties, caches, side tables
 *
 * A value is kept as long as its key lives *and* the map lives, by the key: it hangs on the key's weak reference, and the
 * collector sees it as if it were in a slot of the key. So a value may lead back to its own key: when nothing else holds the
 * key, both are an isolated cycle like any other, and the entry goes with them.
 *
 * Two cycles are not found. A value that leads to the *map* is held by its key, and holds the map, until the key dies or the
 * entry is removed. A value that leads back to a key whose type has neither slots nor a trace callback is kept until it is
 * removed or the map dies, because such objects are never looked at as the root of a cycle: give the type a slot. Such a key is
 * part of a cycle, so do not call its type WANE_ACYCLIC either.
 */
#ifndef WANE_WEAKMAP_H
#define WANE_WEAKMAP_H

#include <wane/wane.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

struct wane_weakmap;

/**
 * wane_weakmap_new - an empty map from objects, by identity, to objects
 *
 * Returns   owned: an object like any other; NULL with ENOMEM. When it dies, its entries go
 */
struct wane_weakmap *wane_weakmap_new(void) WANE_MUST_USE;

/**
 * wane_weakmap_set - store a value under a key; replaces
 *
 * @key      owned or borrowed. It gets a weak reference (wane_weak), so it is not unique any more
 * @value    owned or borrowed; NULL removes the entry
 * Returns   0; -ENOMEM: nothing has changed; -ESRCH: the key is dying (inside its dispose)
 * Counts    value +1, the replaced value's -1 after a grace period; nothing on the key or the map
 * Threads   any
 * Progress  lock-free where the key has a value in this map; else as a put of a new key to a wane_map. Linear in the number
 *           of weak maps in which the key is, as every operation on a key
 *
 * wane_weakmap_get - the value under a key
 *
 * Returns   owned; NULL if there is none, or the key is dying
 * Counts    caller +1 on the value
 * Threads   any
 * Progress  wait-free, but for entries that come meanwhile
 *
 * wane_weakmap_take - remove the entry; the caller owns the value
 *
 * Returns   owned; NULL if there was none: of concurrent takers one gets it
 * Counts    caller +1 on the value, the entry's -1 after a grace period
 * Threads   any
 * Progress  lock-free
 *
 * wane_weakmap_remove - the same without the value; true: this call has removed the entry
 */
int   wane_weakmap_set(struct wane_weakmap *map, void *key, void *value);
void *wane_weakmap_get(const struct wane_weakmap *map, const void *key) WANE_MUST_USE;
void *wane_weakmap_take(struct wane_weakmap *map, const void *key) WANE_MUST_USE;
bool  wane_weakmap_remove(struct wane_weakmap *map, const void *key);

/**
 * wane_weakmap_count - how many entries there are, about: calls under way, and keys that are just dying, count or not
 */
size_t wane_weakmap_count(const struct wane_weakmap *map);

/**
 * wane_weakmap_each - call fn(key, value, arg) for the entries, until it returns false
 *
 * @fn       is lent both, inside a section; the key is alive. It may use the map
 * Threads   any. Entries that stay for the whole walk are shown exactly once, others at most once; a key that is removed and
 *           set again meanwhile may be shown again
 */
void wane_weakmap_each(const struct wane_weakmap *map, bool (*fn)(void *key, void *value, void *arg), void *arg);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif

#endif
