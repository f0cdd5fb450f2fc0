/* SPDX-License-Identifier: MIT
 *
 * record.h - identities that objects are biased to
 *
 * A record holds what one thread counts and defers: section word, merge queue, logs, worklists, counters. A thread in a
 * section *stands on* exactly one record. Records outlive threads (holder 0) and are used again; they are never freed.
 *
 * Who may touch the private part: the thread that stands here inside a section, or the claimer (claim word held, and ctr seen
 * with nest 0 after a membarrier): see section.c and driver.c. Both act through wane_self.me, so wn_standing() is right for
 * either.
 */
#ifndef WN_RECORD_H
#define WN_RECORD_H

#include "grace.h"
#include "header.h"
#include "log.h"
#include "stack.h"
#include "step.h"

#define WN_CACHE_LINE  128 /* two lines: the prefetcher pulls pairs */

/* attention bits */
#define WN_ATTEND   1u /* look at your queue and logs */
#define WN_HANDOVER 2u /* hand the open candidate chunk over, whatever is in it */
#define WN_LENT     4u /* this thread is here for one section only */

/* wane_self.me outside sections */
#define WN_ME_OUTSIDE WANE_OUTSIDE
#define WN_ME_EXITING (WANE_OUTSIDE | 2) /* the thread's exit has begun: sections borrow records */

struct wn_queue_node {
    struct wn_link      link;
    struct wane_header *object;
};

/* Objects of one type made and destroyed standing here. Bytes: of types whose objects have sizes of their own. */
struct wn_type_counts {
    struct wane_atomic64 born, died;
    struct wane_atomic64 bytes_born, bytes_died;
};
#define WN_TYPE_SEGMENT 64

/* Units of one shared object as counted on one record (share.h). */
struct wn_shared_count {
    struct wane_atomic_ptr object; /* o; cleared by who sums, after a grace period: NULL is free */
    struct wane_atomic64   units;  /* o: signed; the sum over all records is true */
};
#define WN_SHARED_COUNTS 16

struct wn_page;

struct wn_counters {
    struct wane_atomic64 died_marked; /* dead, but in a candidate log */
    struct wane_atomic64 buried_bytes, unearthed_bytes; /* payloads of the dead that wait for a grace period; freed after it */
    struct wane_atomic64 displaced, applied, queued, merged, lost_units, lost_candidates;
};

struct wn_record {
    /* line 0: the holder at every section; claimers and grace periods read it */
    struct wane_record   pub;
    struct wane_atomic32 holder;  /* a: 0 free, 1 some thread's */
    struct wane_atomic32 fenced;  /* a: has entered by a full fence (or membarrier works) */
    struct wane_atomic32 backlog; /* a: something waits here; set by anyone, cleared by who attends */
    struct wane_atomic64 sealed_at; /* a: every displacement before this epoch has a ticket */
    struct wane_atomic64 handed_at; /* a: candidates noted before this epoch have been handed over */
    struct wane_atomic64 settled;   /* a: units with a ticket up to this have been given back */
    struct wane_atomic32 tid;       /* a: of the holding thread */
    uint32_t             id;
    /* of stall.c: the section that was seen last, since when, and whether that was reported */
    uint64_t             seen_epoch, seen_since;
    bool                 stall_reported;
    /* o: of profile.c: the state of its generator, and bytes until the next sample, at this period */
    uint64_t             sample_seed, sample_period;
    int64_t              sample_left;
    struct wn_record    *home; /* o: of the thread that was lent this record; NULL: it has none */

    /* line 1: strangers push here */
    _Alignas(WN_CACHE_LINE) struct wane_atomic_ptr queue;
    struct wane_atomic_ptr returned; /* pages with cells that strangers gave back (cell.h) */

    /* line 2..: of whoever stands here */
    _Alignas(WN_CACHE_LINE) struct wn_link *draining; /* o: detached from queue, newest first */
    struct wn_link *parked;                           /* o: came off the queue in the middle of a merge; looked at again */
    uint64_t        parked_ticket;                    /* o: for the newest of them */
    struct wn_link *nodes;                            /* o: spare queue nodes */
    uint32_t        node_count;
    /* o: a merge under way, for the child of a fork: word0 was cleared, `local` units are still to be added to word1 */
    struct {
        struct wane_atomic_ptr object;
        struct wane_atomic64   local;
    } intent;
    struct wn_log       deferred;   /* displaced units */
    struct wane_atomic64 held_bytes; /* o: payloads of displaced objects in chunks that were measured (log.h) */
    struct wn_log       candidates; /* open chunk only; sealed ones go to the collector */
    struct wane_atomic32 candidate_count; /* entries in the open chunk, for the driver */
    struct wn_chunk    *spare;
    uint32_t            spare_count;
    struct wane_atomic64 charge; /* o: bytes made less bytes freed, not yet reported (budget.h); signed */
    int32_t             credit; /* o: births paid for; less WN_HUNGRY: a reserve must be filled first */
    struct wane_header *dying; /* dead, nothing done yet */
    struct wane_header *partial;      /* disposed of, some slots not yet dropped */
    size_t              partial_done; /* of its slots in arrays: so many are empty */
    bool                burying;
    uint32_t            burden;     /* leaves that left something, less those that did not (tend.c) */
    uint64_t            left_at;    /* CPU time of the thread when it last left something; 0: nothing is left */
    uint32_t            left_by;    /* which thread that was */
    bool                seal_due;   /* tending found the seals held: seal at the first moment that nothing holds them */
    bool                hold_seals; /* a cycle is being destroyed: its callbacks' deferred frees wait for the end of it */
    struct wane_header *grave_open, *grave_waiting; /* dead, memory waits for a grace period */
    uint64_t            grave_ticket;
    struct wn_page     *bin[WN_CELL_BINS]; /* cells (cell.h) */
    struct wn_page     *spare_page;
    struct wn_link     *returning; /* o: detached from returned */
    struct wn_shared_count shared[WN_SHARED_COUNTS];
    struct wn_counters  counters;
    struct wane_atomic_ptr types[(WN_MAX_TYPES + WN_TYPE_SEGMENT) / WN_TYPE_SEGMENT]; /* wn_type_counts[64] */
};

extern struct wane_atomic_ptr wn_records[WN_MAX_RECORDS + 1];

/* Ids 1 .. this may be in use; a NULL record among them is being made. */
uint32_t wn_record_limit(void);

static inline struct wn_record *
wn_record(uint32_t id)
{
    return load_acquire(&wn_records[id]); /* acquire E8: an initialised record */
}

/* The record this thread stands on (or acts for). Only inside a section. */
static inline struct wn_record *
wn_standing(void)
{
    return load_relaxed(&wn_records[wane_self.me >> WN_OWNER_SHIFT]); /* relaxed: this thread has seen it before */
}

/* Something that died on this record is not buried yet. */
static inline bool
wn_is_burying(const struct wn_record *r)
{
    return r->dying || r->partial;
}

/* Callbacks' deferred frees wait: a trace of the dying may still read that memory, in this section or in later ones. */
static inline bool
wn_seals_are_held(const struct wn_record *r)
{
    return r->hold_seals || r->burying || r->partial;
}

static inline bool
wn_in_section(void)
{
    return !(wane_self.me & WANE_OUTSIDE);
}

/* Take a free record or make one. NULL: memory or ids are exhausted and the emergency ones are taken. */
struct wn_record *wn_record_try(void);
struct wn_record *wn_record_adopt(void); /* waits then */
void              wn_record_free(struct wn_record *r);

/* Something waits at r: make sure that somebody will come. Wait-free but for waking the background. */
void wn_record_backlog(struct wn_record *r);
extern void (*wn_wake_background)(void);
extern struct wane_atomic32 wn_background_runs; /* a: 0 before its start, after a stop, in the child of a fork */

/* What wane_new pays ahead (pool.h). Birth: false when there is no memory for what the object may need. Death: it is freed. */
#define WN_POOLED_DEFERRED 4
#define WN_CREDIT 125 /* births that one payment is for */
#define WN_HUNGRY (1 << 30)
bool wn_pay_slow(struct wn_record *r);
void wn_repay(struct wn_record *r);
void wn_record_hungers(struct wn_record *r); /* malloc failed where nobody can be told: the next birth fills the reserves */

static inline bool
wn_pay_birth(struct wn_record *r)
{
    return __builtin_expect(--r->credit >= 0, 1) || WN_MUTANT(birth_unpaid) || wn_pay_slow(r);
}

static inline void
wn_repay_death(struct wn_record *r)
{
    if (__builtin_expect(++r->credit > 2 * WN_CREDIT, 0))
        wn_repay(r);
}

/* Queue nodes. reserve: false when memory ran out. take: after a successful reserve. give: back to this record's spares. */
bool                  wn_node_reserve(struct wn_record *r);
struct wn_queue_node *wn_node_take(struct wn_record *r);
void                  wn_node_give(struct wn_record *r, struct wn_queue_node *node);
void                  wn_nodes_recount(struct wn_record *r); /* its holder was stopped (fork) */

/* Births and deaths by type; reserve before the birth. NULL: there is no memory. */
struct wn_type_counts *wn_type_counts_make(struct wn_record *r, uint32_t type);
struct wn_type_counts *wn_type_counts_spare(uint32_t type); /* of several records: change them by RMW */

/* NULL: they were not reserved yet. */
static inline struct wn_type_counts *
wn_type_counts_at_hand(struct wn_record *r, uint32_t type)
{
    struct wn_type_counts *segment = load_relaxed(&r->types[type / WN_TYPE_SEGMENT]); /* relaxed: made standing here */

    return segment ? segment + type % WN_TYPE_SEGMENT : NULL;
}

static inline struct wn_type_counts *
wn_type_counts(struct wn_record *r, uint32_t type)
{
    struct wn_type_counts *counts = wn_type_counts_at_hand(r, type);

    return __builtin_expect(counts != NULL, 1) ? counts : wn_type_counts_make(r, type);
}

/* Summed over all records: the dead first, so they are no more than the born. */
struct wn_type_sums {
    uint64_t born, died, bytes_born, bytes_died;
};
struct wn_type;
void wn_type_counts_died(const struct wn_type *type, struct wn_type_sums *sums);
void wn_type_counts_born(const struct wn_type *type, struct wn_type_sums *sums);
void wn_type_alive(const struct wn_type *type, int64_t *objects, int64_t *bytes);

#endif
