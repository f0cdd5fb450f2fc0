/* SPDX-License-Identifier: MIT
 *
 * header.h - the 16 bytes before every payload
 *
 *   word0  type 15 | unstored 1 | owner 16 | quiet 1 | guard 1 | local 30     o: the owner's plain stores; the type never changes
 *          of a dead object: type 15 | link 48                                the holder of the dead memory
 *   word1  version 17 | count 32, signed | flags 15              a: one RMW per change, which also bumps the version
 *
 * Equations (asserted where they are cheap):
 *   I1  count(o) = local(word0) + count(word1) = owned + slot + pending units (+1 each for a queue entry, a finalizer); of a
 *       shared object: share.h
 *   I2  owner != 0  <=>  local >= 1  <=>  not MERGED, but for the instants inside a merge (owner 0, not yet MERGED) and inside
 *       a renewal (owner set, still MERGED; handoff.c). Owner TRANSIT: local 1, the only unit
 *   I3  not MERGED and count(word1) < 0  =>  QUEUED
 *   I4  MERGED and count(word1) == 0  =>  dead for everybody: no upgrade ever leaves that state
 *   I5  quiet (types with slots)  <=>  an entry in the owner's open candidate chunk;
 *       OWNLOG <=> an owner's entry in a sealed chunk, or in an open one after the merge; BUFFERED <=> anyone else's entry
 *   I6  the memory of a dead object belongs to the last holder of {killer until DEAD, CLAIMED, BUFFERED, OWNLOG}
 *   I7  unstored, and word1 as it was born but for ERA  =>  no slot holds the object (slot.c)
 * Leaves (types without slots) have quiet set from birth: they are never candidates.
 */
#ifndef WN_HEADER_H
#define WN_HEADER_H

#include <stddef.h>

#include "atomic.h"

#define WN_MAX_TYPES   32767
#define WN_MAX_RECORDS 65500
#define WN_TYPE_SHIFT  49
#define WN_OWNER_SHIFT 32
#define WN_OWNER_MASK  (UINT64_C(0xFFFF) << WN_OWNER_SHIFT)
#define WN_LOCAL_MASK  (WANE_LOCAL_LIMIT | (WANE_LOCAL_LIMIT - 1)) /* the guard bit is part of the number */
#define WN_LINK_MASK   ((UINT64_C(1) << 48) - 1)
#define WN_TYPE_MASK   (UINT64_C(0x7FFF) << WN_TYPE_SHIFT)
#define WN_UNSTORED    (UINT64_C(1) << 48)

#define WN_MERGED    (UINT64_C(1) << 0) /* word0 holds no count any more */
#define WN_QUEUED    (UINT64_C(1) << 1) /* on a merge queue, which owns one unit */
#define WN_BUFFERED  (UINT64_C(1) << 2)
#define WN_OWNLOG    (UINT64_C(1) << 3)
#define WN_CLAIMED   (UINT64_C(1) << 4) /* the collector holds the memory */
#define WN_REVIEW    (UINT64_C(1) << 5) /* cleared by every retain */
#define WN_CONDEMNED (UINT64_C(1) << 6) /* read the decision word (decide.h) */
#define WN_WEAK      (UINT64_C(1) << 7) /* has a weak reference */
#define WN_SHARED    (UINT64_C(1) << 8) /* records count it apart; word1 holds WN_SHARE_BIAS beside its own part (share.h) */
#define WN_FINALIZED (UINT64_C(1) << 9)
#define WN_DEAD      (UINT64_C(1) << 10) /* the killer is done */
#define WN_AGE       (UINT64_C(3) << 11) /* collections survived, at most two; all bits: none, a stranger has stored it (I7) */
#define WN_AGE_ONE   (UINT64_C(1) << 11)
#define WN_ERA       (UINT64_C(3) << 13) /* freezes before its birth, or before a collection last looked at it; govern.h */
#define WN_ERA_ONE   (UINT64_C(1) << 13)

#define WN_COUNT_SHIFT 15
#define WN_COUNT_ONE   (UINT64_C(1) << WN_COUNT_SHIFT)
#define WN_COUNT_MASK  (UINT64_C(0xFFFFFFFF) << WN_COUNT_SHIFT)
#define WN_VERSION_SHIFT 47
#define WN_VERSION_ONE (UINT64_C(1) << WN_VERSION_SHIFT)

/* Objects up to WN_CELL_MOST bytes are cells of pages, a bin for each 8 bytes more (cell.h). Bin 0: malloc's. */
#define WN_CELL_MOST 512
#define WN_CELL_UNIT 8u /* so headers are 8-byte aligned */
#define WN_CELL_BINS (WN_CELL_MOST / WN_CELL_UNIT + 1)

/* Flags that say nothing of who else may know the object. */
#define WN_HARMLESS (WN_AGE | WN_ERA | WN_FINALIZED)
/* All that is not the version: word1 & WN_KNOWN, apart from the harmless, is zero of an object that its owner alone knows. */
#define WN_KNOWN ((WN_VERSION_ONE - 1) & ~WN_HARMLESS)

/* Owner id of an object on its way from one thread to another (handoff.h): no record has it, so nobody's fast path fits. */
#define WN_TRANSIT 0xFFFFu

#define WN_MARKS   (WN_BUFFERED | WN_OWNLOG)
#define WN_HOLDERS (WN_CLAIMED | WN_BUFFERED | WN_OWNLOG)

/* Versions wrap; in rigged builds (check.h) they do so early in every object's life. */
#if WN_CHECKS >= 3
#define WN_WORD1_BORN (UINT64_C(0) - 3 * WN_VERSION_ONE)
#else
#define WN_WORD1_BORN UINT64_C(0)
#endif

/* A count that reaches WN_IMMORTAL is moved to WN_IMMORTAL_CENTRE and stays: half a range to either side for racing RMWs. */
#ifndef WN_IMMORTAL
#define WN_IMMORTAL ((int64_t)1 << 29)
#endif
#define WN_IMMORTAL_CENTRE (WN_IMMORTAL * 2)

_Static_assert(sizeof(struct wane_header) == 16, "the header is 16 bytes");
_Static_assert((WN_ERA | WN_AGE | WN_DEAD) < WN_COUNT_ONE, "flags stay below the count");
/* Lemma (docs/design.md, "Versions"): 2 threads + flag changes < versions. */
_Static_assert((UINT64_C(1) << (64 - WN_VERSION_SHIFT)) > UINT64_C(2) * WN_MAX_RECORDS + 64,
               "versions outnumber retains in flight");

static inline int64_t
wn_count(uint64_t w1)
{
    return (int32_t)(uint32_t)(w1 >> WN_COUNT_SHIFT);
}

static inline unsigned
wn_age(uint64_t w1)
{
    unsigned age = (unsigned)(w1 >> 11) & 3;

    return age == 3 ? 0 : age;
}

static inline uint64_t
wn_local(uint64_t w0)
{
    return w0 & WN_LOCAL_MASK;
}

static inline uint32_t
wn_owner(uint64_t w0)
{
    return (uint32_t)(w0 >> WN_OWNER_SHIFT) & 0xFFFF;
}

static inline uint32_t
wn_type_id(uint64_t w0)
{
    return (uint32_t)(w0 >> WN_TYPE_SHIFT);
}

/* Dead for every upgrade (I4), or already buried. */
static inline bool
wn_is_gone(uint64_t w1)
{
    return (w1 & WN_DEAD) || ((w1 & WN_MERGED) && wn_count(w1) <= 0);
}

static inline void *
wn_payload(struct wane_header *h)
{
    return h + 1;
}

/* word0 of a dead object as a link: worklists of dead objects never need memory. */
static inline struct wane_header *
wn_link(struct wane_header *h)
{
    return (struct wane_header *)(uintptr_t)(load_relaxed(&h->word0) & WN_LINK_MASK);
}

static inline void
wn_set_link(struct wane_header *h, struct wane_header *next)
{
    uint64_t type = load_relaxed(&h->word0) & WN_TYPE_MASK;

    /* release E16: the collector that reads a link for a local count finds MERGED with count 0 in word1 afterwards. */
    store_release(&h->word0, type | ((uint64_t)(uintptr_t)next & WN_LINK_MASK));
}

/* Change flags of word1 in one RMW; returns the new word. acq_rel: marks and holders hand memory over (E12). */
static inline uint64_t
wn_flags_change(struct wane_header *h, uint64_t clear, uint64_t set)
{
    uint64_t w = load_relaxed(&h->word1); /* relaxed: a guess; the CAS checks it */
    uint64_t n;

    do
        n = ((w & ~clear) | set) + WN_VERSION_ONE;
    while (!cas_acq_rel(&h->word1, &w, n));
    return n;
}

#endif
