/* SPDX-License-Identifier: MIT
 *
 * scc.h - strongly connected components of a graph of plain integers
 */
#ifndef DEPGRAPH_SCC_H
#define DEPGRAPH_SCC_H

#include "need.h"

struct components {
    uint32_t *of;    /* node -> component */
    uint32_t *size;  /* component -> nodes in it */
    uint32_t  count;
};

void     scc_find(const struct table *graph, uint32_t nodes, struct components *out);
uint32_t scc_cycles(const struct components *components); /* components of more than one node */
void     scc_free(struct components *components);

#endif
