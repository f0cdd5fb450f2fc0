/* SPDX-License-Identifier: MIT
 *
 * ck_glue.h - sleeping and waking: an event count (ck_ec), signalled by one atomic step and, if somebody sleeps, one futex call;
 * and the wait between two attempts at a contended word
 */
#ifndef WN_CK_GLUE_H
#define WN_CK_GLUE_H

#include <stdbool.h>
#include <stdint.h>

struct wn_event {
    uint32_t word;
};

/* Read, look for work, then wait for a value that differs. */
uint32_t wn_event_value(struct wn_event *event);
void     wn_event_signal(struct wn_event *event);
/* nanoseconds 0: for ever. */
void wn_event_wait(struct wn_event *event, uint32_t value, uint64_t nanoseconds);

/* A CAS has failed: others are at the word. Wait a little before the next, longer each time; *turns is 0 at first. True once: it
 * goes on failing. */
bool wn_stall(unsigned *turns);

#endif
