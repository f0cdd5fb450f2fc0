/* SPDX-License-Identifier: MIT
 *
 * containers.h - array, vector and map: objects made of slots, safe to trace while they change
 *
 * A container is an object like any other: wane_retain, wane_release, storable in slots. Elements are held by the
 * container's slots; removing an entry, or the container's death, gives their units back. `peek` borrows (only inside a
 * section), `get` owns, `set` leaves the caller his unit, `put` consumes it.
 */
#ifndef WANE_CONTAINERS_H
#define WANE_CONTAINERS_H

#include <wane/wane.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

/* ---- Array: a fixed number of slots --------------------------------------------------------------------------- */

struct wane_array;

/**
 * wane_array_new - an array of `length` empty slots
 *
 * Returns   owned; NULL with ENOMEM (also when length is absurd)
 *
 * wane_array_slot - the i-th slot, for every slot operation of wane.h; i must be below the length (checked)
 * Threads   any number of readers and writers, as for slots
 */
struct wane_array *wane_array_new(size_t length) WANE_MUST_USE;
size_t             wane_array_length(const struct wane_array *array);
wane_slot         *wane_array_slot(const struct wane_array *array, size_t i);

/* ---- Vector: grows at the end --------------------------------------------------------------------------------- */

struct wane_vec;

/**
 * wane_vec_new - an empty vector
 *
 * Threads   one writer at a time (push, set, put, pop, remove: the caller arranges that), any number of readers beside it.
 *           Elements are moved by growth with no count traffic; readers go on in the old array until their section ends.
 *
 * wane_vec_push   consumes the caller's unit; 0 or -ENOMEM (then the unit is still the caller's)
 * wane_vec_pop    owned, or NULL when empty
 * wane_vec_remove removes element i and closes the gap (order kept): 0 or -ENOMEM, -ERANGE
 * wane_vec_peek, wane_vec_get   NULL when i is out of range
 * wane_vec_set, wane_vec_put    0 or -ERANGE (put consumes only on success)
 */
struct wane_vec *wane_vec_new(void) WANE_MUST_USE;
size_t wane_vec_length(const struct wane_vec *vec);
int    wane_vec_push(struct wane_vec *vec, void *object);
void  *wane_vec_pop(struct wane_vec *vec) WANE_MUST_USE;
int    wane_vec_remove(struct wane_vec *vec, size_t i);
void  *wane_vec_peek(const struct wane_vec *vec, size_t i);
void  *wane_vec_get(const struct wane_vec *vec, size_t i) WANE_MUST_USE;
int    wane_vec_set(struct wane_vec *vec, size_t i, void *object);
int    wane_vec_put(struct wane_vec *vec, size_t i, void *object);

/* ---- Map: string keys ----------------------------------------------------------------------------------------- */

struct wane_map;

/**
 * wane_map_new - an empty map from byte strings to objects
 *
 * Threads   any number of readers and writers. Reading, replacing and removing are lock-free; a put of a new key takes the
 *           map's own lock against other such puts (a thread stopped there holds up only puts of new keys to this map).
 * Progress  no call rebuilds more than two tables of 512 places (tens of microseconds), however large the map; only when it
 *           has become twice as large, or half, a call copies 16 bytes for each few hundred keys. A map that is emptied gives its
 *           memory back while it is: by removals, and by puts of new keys.
 *
 * wane_map_put      stores under key, consuming the caller's unit; replaces. 0 or -ENOMEM (nothing consumed, nothing changed)
 * wane_map_set      the same, leaving the caller his unit
 * wane_map_peek     borrowed or NULL; inside a section
 * wane_map_get      owned or NULL
 * wane_map_take     removes; owned or NULL
 * wane_map_remove   removes; true if it was there
 * wane_map_count    entries now (exact when nobody writes)
 * wane_map_each     calls fn(key, borrowed value, arg) for the entries, inside a section, until it returns false; entries
 *                   that stay for the whole walk are shown exactly once, others at most once
 */
struct wane_map *wane_map_new(void) WANE_MUST_USE;
int    wane_map_put(struct wane_map *map, const char *key, void *object);
int    wane_map_set(struct wane_map *map, const char *key, void *object);
void  *wane_map_peek(const struct wane_map *map, const char *key);
void  *wane_map_get(const struct wane_map *map, const char *key) WANE_MUST_USE;
void  *wane_map_take(struct wane_map *map, const char *key) WANE_MUST_USE;
bool   wane_map_remove(struct wane_map *map, const char *key);
size_t wane_map_count(const struct wane_map *map);
void   wane_map_each(const struct wane_map *map, bool (*fn)(const char *key, void *value, void *arg), void *arg);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif

#endif
