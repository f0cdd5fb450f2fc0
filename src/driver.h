/* SPDX-License-Identifier: MIT
 *
 * driver.h - who does the runtime's own work: the background thread, or a thread inside wane_collect and its like
 *
 * One driver at a time holds the driver lock (never taken on mutator paths). It polls grace periods, acts for records whose
 * threads are idle or gone, asks busy ones to tend themselves at their next leave, and collects.
 *
 * Beside the driver lock it holds the gate (gate.h), at which forks wait for a resting point.
 */
#ifndef WN_DRIVER_H
#define WN_DRIVER_H

#include "tend.h"

void wn_driver_begin(void);
bool wn_driver_try_begin(uint64_t nanoseconds); /* less than a second; false: somebody else drives */
void wn_driver_end(void);

/* Until it ends, this driver offers its processor to others whenever it has had it for a tenth of a millisecond. */
void wn_driver_give_way(void);

/* Let a fork through, if one waits; end a turn. Outside sections. */
void wn_driver_breathe(void);
void wn_driver_sleep(uint64_t nanoseconds);
void wn_driver_pause(void); /* a short sleep of somebody who does not drive */

/* Visit all records with a backlog (or, for WN_HANDOVER, with open candidates). force: also those that left a moment ago.
 * True: some still have a backlog. Outside sections. */
bool wn_driver_round(uint32_t bits, bool force);

/* Did the last round leave work that needs no waiting (a slice was over)? */
bool wn_driver_has_more(void);

/* Did a thread that was in a section a moment ago keep it from work that needs no waiting but for that? */
bool wn_driver_is_kept(void);

/* Did it drain or bury anything? */
bool wn_driver_has_moved(void);

/* Wait for a grace period that starts now; false: the deadline came first. 0: no deadline. */
bool wn_driver_grace(uint64_t deadline);

/* Everything displaced before the call has been given back, twice over (what the first round freed, too). */
bool wn_driver_settle(uint64_t deadline);

/* Only a look, by anybody: has what was displaced before this ticket been given back, and what died of it buried? */
bool wn_driver_is_settled(uint64_t ticket);

/* No record has anything left, not even dead memory; false: the deadline came first. */
bool wn_driver_bury(uint64_t deadline);

/* Every record's open candidates have been handed over; false: some are still inside a section at the deadline. */
bool wn_driver_handover(uint64_t deadline);

/* Try to act for r now. False: its thread is inside a section, or was a moment ago and force is not set. */
bool wn_driver_act_for(struct wn_record *r, uint32_t bits, bool force);

/* Every millisecond or two: move the epoch on, note who is idle, look at grace periods. */
void wn_driver_tick(void);

uint64_t wn_driver_claims(void);
uint64_t wn_now(void); /* monotonic nanoseconds */
uint64_t wn_cpu_now(void); /* of this thread: waiting for sections, or for a core, costs nobody anything */

/* This thread ends. True: inside a callback that it ran as the driver; it drives on, at a resting point, without its claim. */
bool wn_driver_exits(void);

/* In the child of a fork. True: the forking thread drives, and goes on. */
bool wn_driver_forked(void);

#endif
