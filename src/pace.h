/* SPDX-License-Identifier: MIT
 *
 * pace.h - when the background collects, and which generation
 *
 * A young collection is due when enough young candidates wait, or few for a while; a middle one when enough candidates have
 * survived a young one; the oldest whenever candidates wait and its last run is paid for.
 *
 * Paid for: a run that found little (less than one object freed in four examined) is followed by 30 times its CPU time (60 in
 * the middle) without another of its generation: at most 8 % of a core for all of them. Fruitless ones (less than one in sixteen)
 * wait twice as long after each, up to 64 times; that ends when one bears fruit or the heap has grown by a quarter. What pays
 * for itself does not wait.
 *
 * While memory is short (budget.h) nobody waits for more candidates, and the factor is 3. The pauses still double: objects that
 * are all alive are not walked through again and again because they are too many.
 *
 * Source of the shape: CPython's thresholds; of the proportion of growth: its long_lived_pending rule.
 */
#ifndef WN_PACE_H
#define WN_PACE_H

#include "collect.h"

/* All calls: driver lock held. Candidates that wait anywhere. */
uint64_t wn_pace_waiting(void);

/* The generation that is due, or -1. */
int wn_pace_due(uint64_t now);

/* Collect it. */
void wn_pace_run(int generation);

/* A thread waits for memory since then: collect everything, if nobody has begun to meanwhile. Not 0: that is not paid for before
 * this time. Pauses do not double here: who waits would be told that there is no memory because there was no garbage once. */
uint64_t wn_pace_hurry(uint64_t since);

/* Free candidates that have died since, when there are many. */
void wn_pace_purge(void);

#endif
