/* SPDX-License-Identifier: MIT
 *
 * space.h - the key space: a dictionary for each stripe; expiry, and what goes when memory is short
 */
#ifndef SPACE_H
#define SPACE_H

#include "heap.h"
#include "stripe.h"

struct counters {
    uint64_t hits, misses, expired, evicted; /* a */
};
extern struct counters space_counters;

bool space_open(void);
void space_close(void);

/* Lend the value of a key that has not expired. space_get: its stripe is not locked; space_find: it is. */
bool space_get(const char *key, size_t size, struct loan *out);
bool space_find(const char *key, size_t size, struct loan *out);

/* Locked. */
bool space_put(const char *key, size_t size, struct loan *value);
bool space_remove(const char *key, size_t size);

/* Locked: when a value goes; 0: never. */
void    space_expire(struct value *value, unsigned stripe, int64_t when);
int64_t space_expires(const struct value *value);

size_t space_count(void);
void   space_clear(void);
void   space_each(unsigned stripe, dict_visitor *fn, void *arg);

/* Drop what has expired in some of the stripes; a thread's turn comes every `of` calls. */
void space_tick(unsigned turn, unsigned of);

/* Evict about so many bytes, of each stripe that which was not used for longest. Outside of heap_enter. */
size_t space_evict(size_t bytes);

#endif
