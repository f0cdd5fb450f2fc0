/* SPDX-License-Identifier: MIT
 *
 * table.h - a concurrent table from objects to nodes: liburcu's cds_lfht, on our own sections
 *
 * Lookups, additions and removals are lock-free and made inside sections; a removed node's memory is re-used only after a
 * grace period. Resizing is the driver's (wn_table_tend), outside sections.
 *
 * A node has a slot that counts as one of the object's own: what weak maps hang on it (weak.h).
 */
#ifndef WN_TABLE_H
#define WN_TABLE_H

#include "atomic.h"

struct wn_table_node {
    uint64_t    space[2]; /* struct cds_lfht_node */
    const void *key;
    wane_slot   hung;
};

extern struct wane_atomic32 wn_table_hung; /* a: 0 until the first slot was asked for: nobody needs to look for them */

/* Insert, or return the node that is there already. NULL: no memory for the table itself. */
struct wn_table_node *wn_table_add(struct wn_table_node *node);
struct wn_table_node *wn_table_find(const void *key);
void                  wn_table_remove(struct wn_table_node *node);
void                  wn_table_tend(void);

#endif
