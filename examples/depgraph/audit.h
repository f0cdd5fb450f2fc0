/* SPDX-License-Identifier: MIT
 *
 * audit.h - what must live and what must be gone, by reachability and components of the mirror
 */
#ifndef DEPGRAPH_AUDIT_H
#define DEPGRAPH_AUDIT_H

#include "mirror.h"

struct audit {
    /* of the last look */
    uint32_t live;      /* reachable from the roots */
    uint32_t early;     /* reachable, but its object is gone: freed too early */
    uint32_t waiting;   /* not reachable, but its object is not gone */
    uint64_t dangling;  /* edges of nodes to free nodes: never, or the mirror itself is wrong */
    /* of all looks */
    uint64_t garbage;   /* nodes that became unreachable */
    uint64_t cyclic;    /* of them: on a cycle, or reachable from garbage that is */
    uint64_t on_cycle;  /* of them: on a cycle. Counts alone cannot free these */

    /* memory kept from one look to the next */
    uint8_t    *reached;
    uint32_t   *place; /* number -> place in garbage_row */
    size_t      room;
    struct ints garbage_row, stack;
};

/* The mutators must be at rest. Recycles what is gone for good. */
void audit_look(struct audit *a, struct mirror *m);
void audit_free(struct audit *a);

static inline bool
audit_reached(const struct audit *a, uint32_t number)
{
    return a->reached[number];
}

#endif
