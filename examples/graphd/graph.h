/* SPDX-License-Identifier: MIT
 *
 * graph.h - walks along the edges of nodes, breadth first
 *
 * A walk holds loans of the nodes it has met: over wane these are pointers, over others references. It is bounded by a number
 * of nodes. One walk at a time on each thread; its memory is kept for the next.
 */
#ifndef GRAPH_H
#define GRAPH_H

#include "heap.h"

#define WALK_SHOWN 1000       /* nodes that GWALK shows unless it is told a LIMIT */
#define WALK_MOST 100000      /* nodes that a walk meets at most */
#define WALK_DEEPEST 1000     /* nodes on a path */
#define WALK_NOWHERE SIZE_MAX

struct walk;

/* Takes the loan. */
struct walk *walk_begin(struct loan *from, size_t most);

/* Go on for `depth` steps, or until `wanted` is met: its index, or WALK_NOWHERE. */
size_t walk_on(struct walk *w, size_t depth, const struct value *wanted);

size_t             walk_count(const struct walk *w);
const struct loan *walk_at(const struct walk *w, size_t i);
size_t             walk_before(const struct walk *w, size_t i); /* the index of whom it was met from, or WALK_NOWHERE */
void               walk_end(struct walk *w);

void walk_thread_end(void);

#endif
