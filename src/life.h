/* SPDX-License-Identifier: MIT
 *
 * life.h - the runtime in its process: start, fork, exit, shutdown
 */
#ifndef WN_LIFE_H
#define WN_LIFE_H

/* Once, when the library is loaded. */
void wn_life_init(void);

#endif
