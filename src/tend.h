/* SPDX-License-Identifier: MIT
 *
 * tend.h - the housekeeping of one record, by the thread that stands on it or by a claimer
 *
 * A bounded share of: draining the merge queue, applying ripe log chunks, burying the dead, freeing graves. Whatever is
 * detached hangs on the record at every instant, so that a thread that stops here for ever leaves it to a claimer.
 */
#ifndef WN_TEND_H
#define WN_TEND_H

#include "death.h"

/* Inside a section, standing on r (its thread, or a claimer). bits: WN_ATTEND, WN_HANDOVER. */
void wn_tend(struct wn_record *r, uint32_t bits);

/* Until nothing moves or the time is over. True: it could go on. */
bool wn_tend_until(struct wn_record *r, uint32_t bits, uint64_t end);

/* The thread is about to leave r for good. */
void wn_tend_last(struct wn_record *r);

/* For the driver: is there anything that tending would move? */
bool wn_has_backlog(struct wn_record *r);

#endif
