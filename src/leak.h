/* SPDX-License-Identifier: MIT
 *
 * leak.h - a process that ends with objects alive, if it shall say so by its exit status
 */
#ifndef WN_LEAK_H
#define WN_LEAK_H

void wn_leak_init(void); /* WANE_LEAK_EXIT */
void wn_leak_forked(void);
void wn_leak_at_exit(void); /* may end the process */

#endif
