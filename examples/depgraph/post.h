/* SPDX-License-Identifier: MIT
 *
 * post.h - how the mutator that changes a package tells the owners of its dependents
 *
 * Each owner has a list of the names that have changed. A name is in it at most once, however often it changed: the
 * list links through an array by name, so that telling needs no memory and what is not read yet stays bounded. A list
 * is a stack; tellers push with a CAS, the owner takes all with one exchange.
 */
#ifndef DEPGRAPH_POST_H
#define DEPGRAPH_POST_H

#include "universe.h"

#include <stdatomic.h>

#define OWNER_LIMIT 64u

struct box {
    atomic_uint  head;     /* name + 1, or 0 */
    atomic_uint *next;     /* by name: 0 not in the list, else the next one's name + 1, or LAST */
    uint32_t     taken;    /* the owner's: the chain that he took and has not gone through */
    char         padding[64];
};

struct post {
    const struct universe *universe;
    uint32_t               owners;
    uint64_t              *audience; /* name -> a bit for each owner with dependents of it */
    struct box            *boxes;
};

void     post_init(struct post *post, const struct universe *u, uint32_t owners);
void     post_tell(struct post *post, uint32_t name);
uint32_t post_next(struct post *post, uint32_t owner); /* a name that has changed, or NONE */
void     post_free(struct post *post);

static inline uint32_t
owner_of(const struct post *post, uint32_t entry)
{
    return post->universe->entries[entry].source % post->owners;
}

#endif
