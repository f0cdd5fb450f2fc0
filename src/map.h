/* SPDX-License-Identifier: MIT
 *
 * map.h - what cache.c needs of maps beside their public calls: the table as the face of a clock, and removal of one value
 */
#ifndef WN_MAP_H
#define WN_MAP_H

#include <wane/containers.h>

/* What stands at `hand` (any number; it wraps): a borrowed value and its key, or NULL. Returns how many places there are now. In
 * a section. */
size_t wn_map_at(const struct wane_map *map, size_t hand, const char **key, void **value);

/* Remove the key if this is its value. In a section. Lock-free. */
bool wn_map_drop(struct wane_map *map, const char *key, const void *value);

#endif
