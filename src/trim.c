/* SPDX-License-Identifier: MIT
 *
 * trim.c - memory that nobody uses goes back to the system
 */
#include <wane/memory.h>

#include <errno.h>
#include <malloc.h>

#include "cell.h"
#include "collect.h"
#include "step.h"

#define TRIM_NS UINT64_C(1000000000)

/* Under the driver lock. What cannot be had in time stays. */
static void
free_all(struct wn_collection *c, uint64_t deadline)
{
    (void)wn_driver_settle(deadline);
    (void)wn_driver_handover(deadline);
    if (!WN_MUTANT(trim_keeps_the_logged))
        wn_take_the_dead(c); /* they keep their memory as long as they are logged */
    (void)wn_driver_bury(deadline);
    if (c->spare)
        wn_chunk_release(c->spare);
    c->spare = NULL;
}

int
wane_trim(void)
{
    if (wn_in_section() || wane_self.me == WN_ME_EXITING)
        return -EDEADLK;
    wane_enter(); /* attaches the thread and starts the runtime */
    wane_leave();
    wn_driver_begin();
    free_all(&wn_collection, wn_now() + TRIM_NS);
    wn_driver_end();
    wn_pages_trim();
#ifdef __GLIBC__
    (void)malloc_trim(0);
#endif
    return 0;
}
