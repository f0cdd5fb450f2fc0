/* SPDX-License-Identifier: MIT
 *
 * state_table.h - walking the state table of docs/design.md, section 2, row by row
 *
 * A row brings a real object x into the state, through the real functions, and remembers its words; then the event happens,
 * through the real function; then the words are compared field by field. m1 made x, unless the row says otherwise; m2 and the
 * main thread are strangers; the main thread collects. The version is compared as a number of steps: where the count is below
 * zero it has lent one to the count, which version_of gives back.
 *
 * tools/table.py holds the ids here against those in the document.
 */
#ifndef STATE_TABLE_H
#define STATE_TABLE_H

#include <errno.h>
#include <stdio.h>

#include "race_common.h"

#include "count.h"
#include "driver.h"
#include "handoff.h"
#include "share.h"
#include "tend.h"

struct row {
    const char *id;
    void (*walk)(void);
};

extern const struct row rows_of_counts[], rows_of_handoff[], rows_of_collection[]; /* ended by a NULL id */

struct world {
    struct actor m1, m2;
    uint32_t     id1, id2;
    struct node *x, *y;
    int          ended, ended_y;
    void        *weak;
    void        *got;
    int          rc;
    uint64_t     before0, before1;
    const char  *row;
    wane_slot    root;
};
extern struct world world;

/* What follows is for the walks. */
void row_begin(const char *id);
void row_end(void);

/* Remember x's words, now. */
void look(void);

/* x's words now: owner, quiet or not, local units; flags of word1 (all but AGE); count; steps of the version since look(). */
void expect(uint32_t owner, bool quiet, uint64_t local, uint64_t flags, int64_t count, int64_t steps);

uint64_t word0(void);
uint64_t word1(void);
void     barrier(void);

/* Give so many units of x back; then it has ended. */
void end_of_x(int units);

/* m1's own release merges x; m2 holds the unit that remains. */
void merged_held_once(void);

/* Functions for act(). */
void make_leaf(void *unused);
void make_x(void *unused);
void make_final(void *unused);
void retain_x(void *unused);
void release_x(void *unused);
void retain_x_inside(void *unused);
void release_x_inside(void *unused);

#endif
