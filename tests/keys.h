/* SPDX-License-Identifier: MIT
 *
 * keys.h - what the tests of maps share: keys, nodes under keys, what a walk has shown
 */
#ifndef KEYS_H
#define KEYS_H

#include "scene.h"

#include <wane/containers.h>

static inline const char *
key_name(char *buffer, const char *prefix, uint64_t i)
{
    snprintf(buffer, 64, "%s-%llu", prefix, (unsigned long long)i);
    return buffer;
}

/* A new node under a new or old key. It is the map's then. */
static inline struct node *
put_new(struct wane_map *map, const char *key, uint64_t value)
{
    struct node *n = node_new();

    n->value = value;
    if (wane_map_put(map, key, n) != 0)
        die("no memory for a map");
    return n;
}

struct shown {
    size_t   calls, limit;
    unsigned times[2000]; /* by the node's value */
};

static inline bool
show(const char *key, void *value, void *arg)
{
    struct shown *s = arg;
    struct node  *n = value;
    char          name[64];

    node_check(n);
    EXPECT(strcmp(key, key_name(name, "key", n->value)) == 0);
    s->times[n->value]++;
    return ++s->calls < s->limit;
}

#endif
