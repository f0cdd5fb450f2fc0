/* SPDX-License-Identifier: MIT */
#include "record.h"

#include <sched.h>
#include <string.h>

#include "cell.h"
#include "memory.h"
#include "step.h"
#include "type.h"

_Static_assert(WN_MAX_RECORDS < WN_TRANSIT, "no record has the id of objects in transit");

#define EMERGENCY   16  /* records in static memory: a first section cannot fail */
#define NODE_BLOCK  127 /* queue nodes per allocation */
#define NODE_SPARES (4 * NODE_BLOCK)
#define NODE_BATCH  (NODE_SPARES / 2)
/* Blocks that a record may have to itself: 4 of spare nodes and one that it takes beside them, an open chunk of candidates
 * and two handed over half full, WN_POOLED_DEFERRED deferred chunks. */
#define RECORD_BLOCKS (8 + WN_POOLED_DEFERRED)
#define CREDIT_BLOCKS (1 + (2 * WN_CREDIT + WN_CHUNK_ENTRIES - 1) / WN_CHUNK_ENTRIES) /* a node and two entries each */

struct wane_atomic_ptr wn_records[WN_MAX_RECORDS + 1];

static struct wane_atomic32   limit; /* ids given out */
static struct wn_record       emergency[EMERGENCY];
static struct wane_atomic32   emergency_used;
static struct wane_atomic_ptr node_pool;   /* chains of spare nodes */
static struct wane_atomic_ptr node_blocks; /* every block, so that leak checkers see them */
/* Counts of a type that could not be kept in a record for want of memory. */
static struct wn_type_counts overflow[WN_MAX_TYPES + 1];

void (*wn_wake_background)(void);
struct wane_atomic32 wn_background_runs;

uint32_t
wn_record_limit(void)
{
    return load_acquire(&limit);
}

static struct wn_record *
adopt_free(void)
{
    uint32_t n = wn_record_limit();

    for (uint32_t id = 1; id <= n; id++) {
        struct wn_record *r = wn_record(id);
        uint32_t          is_free = 0;

        if (!r || load_relaxed(&r->holder))
            continue;
        WN_STEP("record:is-free");
        if (WN_MUTANT(adopt_by_store)) {
            store_relaxed(&r->holder, 1u);
            return r;
        }
        if (!(load_relaxed(&r->pub.claim) & WN_CLAIM_HELD) &&
            cas_seq_cst(&r->holder, &is_free, 1u)) /* acquire E9: what the last holder left; seq_cst: grace.c */
            return r;
    }
    return NULL;
}

static struct wn_record *
allocate(void)
{
    struct wn_record *r = wn_aligned_alloc(WN_CACHE_LINE, sizeof *r);
    uint32_t          i;

    if (r)
        return memset(r, 0, sizeof *r);
    i = fetch_add_relaxed(&emergency_used, 1u);
    if (i < EMERGENCY)
        return &emergency[i];
    fetch_add_relaxed(&emergency_used, -1u);
    return NULL;
}

/* An id from the end of the table, or 0 when all are given out. */
static uint32_t
new_id(void)
{
    uint32_t n = load_relaxed(&limit);

    do
        if (n == WN_MAX_RECORDS)
            return 0;
    while (!cas_acq_rel(&limit, &n, n + 1));
    return n + 1;
}

static struct wn_record *
make(void)
{
    static struct wane_atomic32 fence_word;
    struct wn_record           *r;
    uint32_t                    id;

    r = wn_record_limit() == WN_MAX_RECORDS ? NULL : allocate();
    if (!r)
        return NULL;
    id = new_id();
    if (!id) {
        if (r < emergency || r >= emergency + EMERGENCY)
            wn_free(r);
        return NULL;
    }
    r->id = id;
    wn_cells_init(r);
    r->pub.me = (uint64_t)id << WN_OWNER_SHIFT;
    wn_pool_owe(RECORD_BLOCKS);
    store_relaxed(&r->holder, 1u);
    store_relaxed(&r->pub.claim, wn_grace_claim_bits());
    store_relaxed(&r->fenced, 1u);
    store_release(&wn_records[id], (void *)r); /* release E8 */
    /* The fallback may have begun after the bits were read: it either sees the record or is seen here. Full fences on both sides,
     * between the own store and the look at the other's. */
    if (WN_MUTANT(record_made_no_fence)) {
        store_relaxed(&r->pub.claim, load_relaxed(&r->pub.claim) | wn_grace_claim_bits());
        return r;
    }
    wn_full_fence(&fence_word);
    fetch_or_seq_cst(&r->pub.claim, wn_grace_claim_bits());
    return r;
}

struct wn_record *
wn_record_try(void)
{
    struct wn_record *r = adopt_free();

    return r ? r : make();
}

struct wn_record *
wn_record_adopt(void)
{
    struct wn_record *r;

    while (!(r = wn_record_try()))
        sched_yield();
    return r;
}

void
wn_record_free(struct wn_record *r)
{
    WN_WEAKER(record_freed_unordered, store_release, store_relaxed, &r->holder, 0u); /* release E9 */
}

void
wn_record_backlog(struct wn_record *r)
{
    /* seq_cst against the tender that clears it and then looks at the queue (tend.c). */
    if (__atomic_load_n(&r->backlog.value, __ATOMIC_SEQ_CST) && load_relaxed(&wn_background_runs))
        return;
    store_release(&r->backlog, 1u);
    wn_wake_background();
}

/* ---- Paying ahead -------------------------------------------------------------------------------------------------- */

void
wn_record_hungers(struct wn_record *r)
{
    if (r->credit > -WN_HUNGRY / 2)
        r->credit -= WN_HUNGRY;
}

/* The credit is used up, or the record hungers. */
bool
wn_pay_slow(struct wn_record *r)
{
    if (r->credit < -WN_HUNGRY / 2 && wn_chunks_reserve(r))
        r->credit += WN_HUNGRY;
    if (r->credit >= 0)
        return true;
    if (r->credit > -WN_HUNGRY / 2 && wn_pool_pay(CREDIT_BLOCKS)) {
        r->credit += WN_CREDIT;
        return true;
    }
    r->credit++;
    return false;
}

void
wn_repay(struct wn_record *r)
{
    r->credit -= WN_CREDIT;
    wn_pool_unpay(CREDIT_BLOCKS);
}

/* ---- Queue nodes -------------------------------------------------------------------------------------------------- */

struct node_block {
    struct wn_link       link;
    struct wn_queue_node node[NODE_BLOCK];
};
_Static_assert(sizeof(struct node_block) <= WN_BLOCK, "it fits a block of the pool");

static bool
allocate_nodes(struct wn_record *r)
{
    struct node_block *b = wn_malloc(sizeof *b);

    if (b) {
        wn_stack_push(&node_blocks, &b->link);
    } else {
        wn_record_hungers(r);
        b = wn_pool_take(); /* for good: nodes are not freed. Leak checkers do not look into the pool */
    }
    if (!b)
        return false;
    for (int i = 0; i < NODE_BLOCK; i++) {
        b->node[i].link.next = r->nodes;
        r->nodes = &b->node[i].link;
    }
    r->node_count += NODE_BLOCK;
    return true;
}

/* The pool holds batches: a batch's first node leads the others through `object`, and is linked to the next batch. The second
 * one's `object` is a short cut: to the last batch of those that were put back together with this one. So what is left of a long
 * pool is put back in a few steps: each batch that came singly is walked over once. */
static struct wn_link **
shortcut(struct wn_link *batch)
{
    struct wn_queue_node *second = (struct wn_queue_node *)(void *)((struct wn_queue_node *)batch)->object;

    return (struct wn_link **)(void *)&second->object;
}

static struct wn_link *
last_batch(struct wn_link *from)
{
    for (;;) {
        WN_STEP("record:batch"); /* all batches are in this thread's hands */
        if (*shortcut(from) && !WN_MUTANT(batches_walked))
            from = *shortcut(from);
        if (!from->next)
            return from;
        from = from->next;
    }
}

static bool
take_batch(struct wn_record *r)
{
    struct wn_link       *top = wn_stack_take(&node_pool), *last;
    struct wn_queue_node *first = (struct wn_queue_node *)top;

    if (!top)
        return false;
    if (top->next) {
        last = WN_MUTANT(batches_cut) ? top->next : last_batch(top);
        *shortcut(top->next) = last == top->next ? NULL : last;
        wn_stack_push_chain(&node_pool, top->next, last);
    }
    first->link.next = (struct wn_link *)first->object;
    r->nodes = &first->link;
    r->node_count = NODE_BATCH;
    return true;
}

bool
wn_node_reserve(struct wn_record *r)
{
    return r->nodes || take_batch(r) || allocate_nodes(r);
}

void
wn_nodes_recount(struct wn_record *r)
{
    r->node_count = 0;
    for (struct wn_link *n = r->nodes; n; n = n->next)
        r->node_count++;
}

struct wn_queue_node *
wn_node_take(struct wn_record *r)
{
    struct wn_link *link = r->nodes;

    r->nodes = link->next;
    r->node_count--;
    return (struct wn_queue_node *)link;
}

/* Consumers of objects take nodes, their owners get them: a batch of a long list goes back to all. */
static void
share_nodes(struct wn_record *r)
{
    struct wn_queue_node *first = (struct wn_queue_node *)r->nodes;
    struct wn_link       *last = r->nodes;

    for (uint32_t i = 1; i < NODE_BATCH; i++)
        last = last->next;
    r->nodes = last->next;
    r->node_count -= NODE_BATCH;
    last->next = NULL;
    first->object = (struct wane_header *)(void *)first->link.next;
    *shortcut(&first->link) = NULL;
    wn_stack_push(&node_pool, &first->link);
}

void
wn_node_give(struct wn_record *r, struct wn_queue_node *node)
{
    node->link.next = r->nodes;
    r->nodes = &node->link;
    if (++r->node_count > NODE_SPARES)
        share_nodes(r);
}

/* ---- Counts by type ----------------------------------------------------------------------------------------------- */

struct wn_type_counts *
wn_type_counts_make(struct wn_record *r, uint32_t type)
{
    struct wn_type_counts *segment = wn_calloc(WN_TYPE_SEGMENT, sizeof *segment);

    if (!segment)
        return NULL;
    store_release(&r->types[type / WN_TYPE_SEGMENT], (void *)segment); /* release E8: zeroed counts, for the sums */
    return segment + type % WN_TYPE_SEGMENT;
}

struct wn_type_counts *
wn_type_counts_spare(uint32_t type)
{
    return &overflow[type];
}

static void
add_died(struct wn_type_sums *sums, const struct wn_type_counts *c)
{
    sums->died += load_acquire(&c->died); /* acquire E8: whose birth is seen then */
    sums->bytes_died += load_acquire(&c->bytes_died);
}

static void
add_born(struct wn_type_sums *sums, const struct wn_type_counts *c)
{
    sums->born += load_relaxed(&c->born);
    sums->bytes_born += load_relaxed(&c->bytes_born);
}

static void
sum_counts(const struct wn_type *t, struct wn_type_sums *sums, void (*add)(struct wn_type_sums *, const struct wn_type_counts *))
{
    add(sums, &overflow[t->id]);
    for (uint32_t id = 1; id <= wn_record_limit(); id++) {
        struct wn_record      *r = wn_record(id);
        struct wn_type_counts *segment = r ? load_acquire(&r->types[t->id / WN_TYPE_SEGMENT]) : NULL; /* acquire E8 */

        if (segment)
            add(sums, segment + t->id % WN_TYPE_SEGMENT);
    }
}

void
wn_type_counts_died(const struct wn_type *t, struct wn_type_sums *sums)
{
    *sums = (struct wn_type_sums){0};
    sum_counts(t, sums, add_died);
    if (!t->sized)
        sums->bytes_died = sums->died * t->size;
}

void
wn_type_counts_born(const struct wn_type *t, struct wn_type_sums *sums)
{
    sum_counts(t, sums, add_born);
    if (!t->sized)
        sums->bytes_born = sums->born * t->size;
}

void
wn_type_alive(const struct wn_type *t, int64_t *objects, int64_t *bytes)
{
    struct wn_type_sums sums = {0};

    wn_type_counts_died(t, &sums);
    wn_type_counts_born(t, &sums);
    *objects = (int64_t)(sums.born - sums.died);
    *bytes = (int64_t)(sums.bytes_born - sums.bytes_died);
}
