/* SPDX-License-Identifier: MIT
 *
 * change.h - what mutators do to the graph: building, upgrading, removing, relinking
 */
#ifndef DEPGRAPH_CHANGE_H
#define DEPGRAPH_CHANGE_H

#include "graph.h"
#include "post.h"

struct changer {
    struct maker maker;
    struct post *post;
    uint32_t     owner;     /* only packages of this owner may be given to the calls */
    uint32_t    *revisions; /* by entry; shared, each element its owner's */
    uint32_t     name;      /* relinking: whose dependents, or NONE */
    uint32_t     dependent; /* relinking: the next one */
};

void change_build(struct changer *c, uint32_t owners); /* everything, into an empty index; c[owner] */
void change_upgrade(struct changer *c, uint32_t entry);
void change_upgrade_source(struct changer *c, uint32_t source);
void change_depends(struct changer *c, uint32_t entry); /* a new dependency list */
void change_remove(struct changer *c, uint32_t entry, bool tell);
void change_remove_source(struct changer *c, uint32_t source);
void change_insert(struct changer *c, uint32_t entry); /* with all its source if none of that is there */
bool change_present(const struct changer *c, uint32_t entry);

/* Brings dependents of changed packages up to date: looks at up to `budget`. Returns how many. */
uint32_t change_relink(struct changer *c, uint32_t budget);

#endif
