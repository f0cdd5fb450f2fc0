/* SPDX-License-Identifier: MIT
 *
 * room.h - what wane_new does at the hard limit before it gives up
 *
 *   1  a purge, unless somebody else's goes on for too long
 *   2  the driver lock, then what waits for a grace period: given back and freed
 *   3  if that was not enough: a collection that has begun since, somebody else's or its own, when it is paid for (pace.h)
 *   4  finalizers that are due run on their own thread: they are waited for, and 2 comes again
 *
 * All in one time: a second for the waits, which is also the longest that is slept before a collection is paid for. Each step
 * is left out when there is room. A thread inside a purge makes no room for itself: its callback is what others wait for.
 */
#ifndef WN_ROOM_H
#define WN_ROOM_H

#include <stdbool.h>
#include <stddef.h>

/* Outside sections. False: there is no room for so many bytes. */
bool wn_room_make(size_t bytes);

#endif
