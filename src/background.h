/* SPDX-License-Identifier: MIT
 *
 * background.h - the thread that drives when nobody else does
 *
 * Started by the first backlog. Ticks every 2 ms while anything waits, sleeps on an event otherwise. Collections: when many
 * candidates wait, or a few have waited for long; never more than a tenth of a core, backing off while they find nothing and
 * the heap has not grown by a quarter.
 */
#ifndef WN_BACKGROUND_H
#define WN_BACKGROUND_H

void wn_background_init(void);
void wn_background_stop(void);
void wn_background_stop_within(unsigned milliseconds);
void wn_background_forked(void);

#endif
