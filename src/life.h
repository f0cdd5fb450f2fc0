/* SPDX-License-Identifier: MIT
 *
 * life.h - the runtime in its process: start, fork, exit, shutdown
 */
#ifndef WN_LIFE_H
#define WN_LIFE_H

#include <stdint.h>

/* Once, when the library is loaded. */
void wn_life_init(void);

/* A thread ends, outside of sections. What it did as the driver, if it ends inside a callback of that, is given up. */
void wn_life_thread_exits(void);

/* Until nothing is left that could be destroyed: what was displaced, cycles, finalizers. Outside sections. */
void wn_life_drain(void);

/* Born and not dead: never less than were alive all through the call, nor more than were alive during some of it. */
uint64_t wn_objects_alive(void);

#endif
