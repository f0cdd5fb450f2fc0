/* SPDX-License-Identifier: MIT
 *
 * mirror.h - the ground truth: the same graph once more, as plain integers
 *
 * Each object has a *node* here: what it is, and what it points to. Nodes are numbered; an object's id is its node's
 * number and how often that number was used. Every package belongs to one mutator, its *owner*; only he changes the
 * out-edges and the root of what he owns, so that the mirror needs no locks and agrees with the graph whenever the
 * mutators stand between two operations. The one thing others write is a node's state, when its object dies.
 *
 *   state   FREE -> LIVE by the owner's mirror_born; -> GONE by the object's dispose, on any thread; -> FREE by the
 *           audit, which alone knows that nothing in the graph can point there any more (audit.c)
 *
 * Guards: o owner, a atomic, r written while the mutators rest.
 */
#ifndef DEPGRAPH_MIRROR_H
#define DEPGRAPH_MIRROR_H

#include "need.h"

#include <stdatomic.h>
#include <stdbool.h>

enum state { STATE_FREE, STATE_LIVE, STATE_GONE };

struct node {
    uint32_t    out;        /* o: where its edges begin in its part's pool */
    uint32_t    count;      /* o: of edges; each a number, 0 is none */
    uint32_t    label;      /* o: which package, clause, source */
    uint32_t    generation; /* r */
    uint8_t     kind;       /* o */
    uint8_t     part;       /* constant */
    uint8_t     classified; /* r: the audit has counted it as garbage */
    atomic_uchar state;     /* a */
};

#define CHUNK_NODES 4096u
#define CHUNK_LIMIT 16384u
#define ROW_CLASSES 20u /* rows of 2^0 .. 2^19 edges */

struct mirror_part {
    uint32_t    number;      /* constant */
    uint32_t    next, end;   /* o: of its last chunk, not used yet */
    struct ints free;        /* o: recycled */
    struct ints pool;        /* o: rows of edges, each a power of two long; it may move */
    uint32_t    rows[ROW_CLASSES]; /* o: by length, unused ones, linked through their first word; place + 1, or 0 */
    atomic_ullong born;      /* a: written by the owner */
    char        padding[64]; /* parts of different owners share no cache line */
};

struct mirror {
    struct node *_Atomic chunks[CHUNK_LIMIT]; /* a: filled once */
    atomic_uint          chunk_count;
    struct mirror_part  *parts;
    uint32_t             part_count;
    uint32_t            *roots; /* o: entry -> number, or 0 */
    uint32_t             root_count;
    atomic_ullong        wrong; /* deaths of what is not alive, damaged objects: all must be 0 */
};

void mirror_init(struct mirror *m, uint32_t parts, uint32_t roots);
void mirror_free(struct mirror *m);

/* The owner's calls. */
uint64_t mirror_born(struct mirror *m, struct mirror_part *part, uint8_t kind, uint32_t label, uint32_t count);
void     mirror_edge(struct mirror *m, uint64_t from, uint32_t slot, uint64_t to);
void     mirror_root(struct mirror *m, uint32_t root, uint64_t to);

/* Any thread's. */
void mirror_gone(struct mirror *m, uint64_t id);

/* While the mutators rest. */
void     mirror_recycle(struct mirror *m, uint32_t number);
uint32_t mirror_top(struct mirror *m); /* all numbers are below */
uint64_t mirror_born_total(struct mirror *m);

static inline struct node *
mirror_node(struct mirror *m, uint32_t number)
{
    /* acquire: the chunk's zeroes; its node's fields come with the object or with the mutators' rest. */
    return atomic_load_explicit(&m->chunks[number / CHUNK_NODES], memory_order_acquire) + number % CHUNK_NODES;
}

/* A node's edges, until its owner makes the next node. */
static inline uint32_t *
mirror_out(const struct mirror *m, const struct node *node)
{
    return m->parts[node->part].pool.at + node->out;
}

static inline uint32_t
mirror_number(uint64_t id)
{
    return (uint32_t)id;
}

static inline enum state
mirror_state(struct node *node)
{
    return (enum state)atomic_load_explicit(&node->state, memory_order_acquire);
}

#endif
