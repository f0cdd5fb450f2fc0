/* SPDX-License-Identifier: MIT
 *
 * compare.h - the graph of objects against the mirror, one for one
 */
#ifndef DEPGRAPH_COMPARE_H
#define DEPGRAPH_COMPARE_H

#include "graph.h"

/* Walks from the index. Counts what differs; *met is how many objects were met. Nobody may change the graph. */
uint64_t compare_graph(struct mirror *m, const struct universe *u, const struct wane_map *index, uint32_t *met);

#endif
