/* SPDX-License-Identifier: MIT
 *
 * grace.h - grace periods: when has every section that was open ended?
 *
 * Roles
 *   reader    copies the global epoch into its record's ctr at enter, drops the nest field at leave (wane/fast.h)
 *   sealer    displaces pointers, then takes a ticket: ticket = ++epoch
 *   poller    may the ticket's work be done? reads all records; never waits
 *   asker     a mutator that would like a poll but leaves the membarrier to somebody who has time: the background, or who drives
 *
 * Claim P8: poll(t) is true only after every section that was open when t was taken has ended.
 *   A reader that copied an epoch >= t read it with acquire from the ticket's RMW: it sees the displacement (E1).
 *   A reader with an older epoch either shows in the scan with ctr < t, and the poll is false; or its ctr store was not
 *   visible to the scan: then its slot loads come after the membarrier (E2), which comes after the ticket.
 *   `done` keeps what was reached: a record may look older again later (it copied a stale epoch), tickets stay passed.
 *
 * Source: libqsbr, ck_epoch, Desnoyers et al. (TPDS 2012); a ticket is needed for the acquire on the epoch that ck lacks.
 */
#ifndef WN_GRACE_H
#define WN_GRACE_H

#include "atomic.h"

#define WN_CLAIM_HELD  1u /* in a record's claim word: somebody acts for the record */
#define WN_CLAIM_FENCE 2u /* no membarrier: entering threads run a full fence out of line */

void wn_grace_init(void);
void wn_grace_forked(void); /* in the child of a fork */

/* wait-free. Call after the displacements it is for. */
uint64_t wn_grace_ticket(void);

/* wait-free: was t reached by somebody's poll? */
bool wn_grace_done(uint64_t ticket);

/* Bounded by the number of records: look again. */
bool wn_grace_poll(uint64_t ticket);

/* Would a poll for it do without a membarrier, which may take the caller as long as the host lets a processor rest? */
bool wn_grace_is_cheap(uint64_t ticket);

/* Somebody wants to know; the background, if it runs, and whoever drives poll for him. Wait-free. */
void wn_grace_ask(void);

extern struct wane_atomic32 wn_grace_heard; /* a: 1: the background's thread runs. A hint: who asks in vain polls later */

static inline bool
wn_grace_hears(void)
{
    return load_relaxed(&wn_grace_heard);
}

/* For them: poll if there was a question. Returns what wn_grace_wait needs. */
uint32_t wn_grace_answer(void);

/* Until somebody asks, or for that long. */
void wn_grace_wait(uint32_t answered, uint64_t nanoseconds);

/* A full memory barrier on every running thread of the process; false: there is no such call here (see WN_CLAIM_FENCE). */
bool wn_membarrier(void);

/* A full fence where membarrier is missing, else a compiler barrier: the mutators' side of membarrier handshakes. */
extern struct wane_atomic32 wn_grace_fences; /* a: 1: membarrier is missing */
void                        wn_mutator_fence_slow(void);

static inline void
wn_mutator_fence(void)
{
    compiler_barrier();
    if (__builtin_expect(load_relaxed(&wn_grace_fences), 0))
        wn_mutator_fence_slow();
}

/* The claim word a new record starts with. */
uint32_t wn_grace_claim_bits(void);

/* After membarrier was lost: have all threads come to run full fences instead? */
bool wn_grace_is_settled(void);

struct wn_record;

/* Does a look at r's ctr show every section of its thread? */
bool wn_grace_shows(struct wn_record *r);

uint64_t wn_grace_periods(void);

#endif
