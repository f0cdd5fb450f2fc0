/* SPDX-License-Identifier: MIT
 *
 * decide.h - one word that decides whether a reviewed component with weak references dies
 *
 *   D = sequence << 2 | UNDECIDED, COMMITTED or ABORTED
 *
 *   collector (one at a time)                        upgrade of a member, in a section
 *   D = {n, UNDECIDED}                               w = word1; DEAD or gone: NULL; not CONDEMNED: CAS w -> w + 1
 *   each WEAK member: CAS w2 -> w2 | CONDEMNED       CONDEMNED: d = D
 *     (fails: abort)                                   UNDECIDED: CAS d -> ABORTED; lost: start over
 *   CAS D -> {n, COMMITTED} (lost: aborted)            ABORTED: CAS w -> w + 1 without CONDEMNED kept; lost: start over
 *   CONDEMNED -> DEAD, or cleared                      COMMITTED: is word1 still w? NULL. Else start over
 *   only then the next sequence
 *
 * The second look at word1 is needed: else an upgrade judges w by the decision of a later sequence. Every flag change bumps
 * the version, so a late CAS fails. Lock-free: each retry means that somebody moved. Nobody waits.
 */
#ifndef WN_DECIDE_H
#define WN_DECIDE_H

#include "header.h"

/* Collector: open a decision; condemn one member whose word is still w2; commit (false: an upgrade won); clear or bury. */
void     wn_decide_open(void);
bool     wn_decide_condemn(struct wane_header *h, uint64_t w2);
bool     wn_decide_commit(void);
void     wn_decide_abort(void);
void     wn_decide_turn(struct wane_header *h, bool committed); /* CONDEMNED -> DEAD, or cleared */

/* Upgrade: may a member whose word1 was w be retained? 1: CAS from w. 0: it is dead. -1: read the word again. */
int wn_decide_upgrade(struct wane_header *h, uint64_t w);

#endif
