/* SPDX-License-Identifier: MIT
 *
 * program.h - what the explored programs share: nodes that die once, looks at them, counts
 */
#ifndef EX_PROGRAM_H
#define EX_PROGRAM_H

#include "explore.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

#include <wane/collector.h>
#include <wane/wane.h>

struct node {
    uint64_t  canary;
    unsigned  id;
    wane_slot s[3];
};

#define NODES 16

extern struct node *a, *b, *c, *d; /* the program's objects, by whoever knows them */
extern wane_slot    root, root2;
extern void        *weak;
extern int          died[NODES], finalized[NODES], born; /* by node; nodes are numbered from 1 */
extern void (*on_final)(struct node *);

struct node *node_new(void);
struct node *final_new(void);        /* with a finalizer: on_final */
struct node *leaf_new(void);
struct node *bare_new(void);         /* without a dispose: it may die plainly, and is counted in no list of ours */
void         use(struct node *n);    /* reads it: fails if it is dead or freed */
int64_t      count_of(struct node *n);
int          dead(void);             /* nodes that died */
void         note(struct node *n);   /* a candidate; by who holds it, in a section */
void         tend(void);             /* log, queue and graves of the caller's record */
void         pass_grace(void);       /* and gives back what the caller has displaced, if no section holds it up */
void         collect(void);          /* once; whatever comes of it */
void         collect_all(void);      /* until it has freed what it can */
void         all_die(void);          /* .. and that must be all */

void clear_root(void);
void make_noted_a(void); /* a candidate, held by the caller */
void make_ring(void); /* a.0 = b, b.0 = a; the caller owns both */

/* What threads tell each other. */
extern bool flag;
void        raise_flag(void);
void        await_flag(void);

#endif
