/* SPDX-License-Identifier: MIT
 *
 * query.h - walks over what a package needs, with borrowed reads
 */
#ifndef DEPGRAPH_QUERY_H
#define DEPGRAPH_QUERY_H

#include "graph.h"

struct query {
    const struct maker *maker;
    struct package    **row;  /* found, in order; those before `done` are walked */
    uint64_t           *seen; /* ids: a set, 0 is empty */
    uint32_t            found, done;
    uint32_t            held_from, held_to; /* of row: owned references */
    uint32_t            damaged;            /* objects met whose canary is not intact */
    uint32_t            missing;            /* alternatives that lead nowhere */
};

void     query_init(struct query *q, const struct maker *maker);
uint32_t query_run(struct query *q, uint32_t entry); /* packages in the closure, up to a limit */
void     query_free(struct query *q);

uint64_t now_ns(void);

#endif
