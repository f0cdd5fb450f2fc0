/* SPDX-License-Identifier: MIT
 *
 * gate.h - where a fork may find the driver
 *
 * The driver holds the gate while it works and lets it go whenever it sleeps, breathes or calls the user's code, at points
 * where all its state hangs on global structures. A fork closes the gate first, so the child finds the driver at such a point
 * and never waits for a callback.
 */
#ifndef WN_GATE_H
#define WN_GATE_H

#include "atomic.h"

/* The driver's side. */
void wn_gate_enter(void);
void wn_gate_leave(void);
bool wn_gate_is_wanted(void);

/* Around a user's callback, on any thread: true if this thread drives and has let the gate go. */
bool wn_callback_begin(void);
void wn_callback_end(bool drives);

/* The fork's side. forked: in the child. */
void wn_gate_close(void);
void wn_gate_open(void);
void wn_gate_forked(void);

#endif
