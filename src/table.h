/* SPDX-License-Identifier: MIT
 *
 * table.h - a concurrent table from addresses to nodes: liburcu's cds_lfht, on our own sections
 *
 * Lookups, additions and removals are lock-free and made inside sections; a removed node's memory is re-used only after a
 * grace period. Resizing is the driver's (wn_table_tend), outside sections.
 */
#ifndef WN_TABLE_H
#define WN_TABLE_H

#include "atomic.h"

struct wn_table_node {
    uint64_t    space[2]; /* struct cds_lfht_node */
    const void *key;
};

/* Insert, or return the node that is there already. NULL: no memory for the table itself. */
struct wn_table_node *wn_table_add(struct wn_table_node *node);
struct wn_table_node *wn_table_find(const void *key);
void                  wn_table_remove(struct wn_table_node *node);
void                  wn_table_tend(void);

#endif
