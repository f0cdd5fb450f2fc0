/* SPDX-License-Identifier: MIT */
#include "govern.h"

#include <errno.h>

#include <wane/collector.h>

#include "collect.h"
#include "gate.h"
#include "hook.h"
#include "step.h"

typedef void told_fn(const struct wane_collection *, void *);

struct wane_atomic64 wn_era;
struct wane_atomic32 wn_freeze_lasts;
struct wane_atomic32 wn_is_automatic = {1};

static struct wane_atomic_ptr told; /* a: the hook */

bool
wane_set_automatic(bool yes)
{
    bool was = exchange_acq_rel(&wn_is_automatic, (uint32_t)yes);

    if (yes)
        wn_wake_background();
    return was;
}

/* Attaches the thread and starts the runtime. */
static int
begin(void)
{
    if (wn_in_section())
        return -EDEADLK;
    wane_enter();
    wane_leave();
    if (wane_self.me == WN_ME_EXITING)
        return -EDEADLK;
    wn_driver_begin();
    return 0;
}

int
wane_freeze(void)
{
    int rc = begin();

    if (rc)
        return rc;
    if (load_relaxed(&wn_freeze_lasts))
        rc = -EALREADY;
    else
        store_relaxed(&wn_era, (load_relaxed(&wn_era) + WN_ERA_ONE) & WN_ERA);
    store_relaxed(&wn_freeze_lasts, 1u);
    wn_driver_end();
    return rc;
}

int
wane_unfreeze(void)
{
    int rc = begin();

    if (rc)
        return rc;
    if (!load_relaxed(&wn_freeze_lasts))
        rc = -EALREADY;
    store_relaxed(&wn_freeze_lasts, 0u);
    if (!WN_MUTANT(thaw_keeps_list))
        wn_take_the_frozen(&wn_collection);
    wn_driver_end();
    wn_wake_background();
    return rc;
}

int
wane_on_collection(told_fn *fn, void *arg)
{
    return wn_hook_set(&told, (void (*)(void))fn, arg, 0);
}

void
wn_govern_tell(bool ended, int generation, const struct wane_collected *result)
{
    struct wn_hook         to = wn_hook_get(&told);
    struct wane_collection now = {.ended = ended, .generation = generation, .result = *result};
    bool                   drives;

    if (!to.fn)
        return;
    wane_enter();
    drives = wn_callback_begin();
    ((told_fn *)to.fn)(&now, to.arg);
    wn_callback_end(drives);
    wane_leave();
}
