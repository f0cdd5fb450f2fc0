/* SPDX-License-Identifier: MIT
 *
 * hook.h - a function of the program's that the library calls: replaced as a whole, the old one freed after a grace period
 */
#ifndef WN_HOOK_H
#define WN_HOOK_H

#include "atomic.h"

struct wn_hook {
    void (*fn)(void); /* NULL: none; cast back to what it was before it is called */
    void    *arg;
    uint64_t number; /* whose the hook's owner is */
};

/* 0, or -ENOMEM: nothing has changed. fn NULL needs no memory. */
int wn_hook_set(struct wane_atomic_ptr *place, void (*fn)(void), void *arg, uint64_t number);

/* A copy. */
struct wn_hook wn_hook_get(struct wane_atomic_ptr *place);

#endif
