/* SPDX-License-Identifier: MIT */
#include "hook.h"

#include <errno.h>

#include <wane/wane.h>

#include "memory.h"
#include "step.h"

int
wn_hook_set(struct wane_atomic_ptr *place, void (*fn)(void), void *arg, uint64_t number)
{
    struct wn_hook *fresh = fn ? wn_malloc(sizeof *fresh) : NULL;
    void           *old;

    if (fn && !fresh)
        return -ENOMEM;
    if (fresh)
        *fresh = (struct wn_hook){fn, arg, number};
    old = WN_WEAKER(hook_unordered, exchange_acq_rel, exchange_relaxed, place, (void *)fresh); /* release E8 */
    if (old)
        (void)wane_free_deferred(old, NULL); /* without memory: a leak of three words */
    return 0;
}

struct wn_hook
wn_hook_get(struct wane_atomic_ptr *place)
{
    struct wn_hook *h, copy = {NULL, NULL, 0};

    wane_enter();
    h = load_acquire(place); /* acquire E8 */
    if (h)
        copy = *h;
    wane_leave();
    return copy;
}
