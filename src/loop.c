/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE /* dup3 */
#include "loop.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "background.h"
#include "driver.h"
#include "final.h"
#include "unit.h"

static struct wane_atomic32 no_threads; /* a: 1 = the library starts none */
static struct wane_atomic32 timer;      /* a: the descriptor + 1; 0: none yet */
static struct wane_atomic32 reported;   /* a: since the last step began */

void
wn_loop_init(void)
{
    const char *value = getenv("WANE_NO_THREADS");

    if (value && *value && *value != '0')
        store_relaxed(&no_threads, 1u);
}

bool
wn_loop_allows_threads(void)
{
    return !load_relaxed(&no_threads);
}

/* ---- The descriptor ----------------------------------------------------------------------------------------------- */

static int
timer_new(void)
{
    return timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
}

/* 0: off. */
static void
set_timer(uint64_t nanoseconds)
{
    int fd = (int)load_acquire(&timer) - 1; /* acquire E8: the descriptor is there */

    if (fd >= 0)
        (void)timerfd_settime(fd, 0, &(struct itimerspec){.it_value.tv_nsec = (long)nanoseconds}, NULL);
}

void
wn_loop_report(void)
{
    store_relaxed(&reported, 1u);
    set_timer(1);
}

int
wane_event_fd(void)
{
    uint32_t none = 0;
    int      fd = (int)load_acquire(&timer) - 1;

    if (fd >= 0)
        return fd;
    fd = timer_new();
    if (fd < 0)
        return -errno;
    if (!cas_acq_rel(&timer, &none, (uint32_t)fd + 1)) { /* release E8; somebody was faster */
        close(fd);
        return (int)none - 1;
    }
    set_timer(1); /* there may be work already */
    return fd;
}

void
wn_loop_forked(void)
{
    int fd = (int)load_relaxed(&timer) - 1, mine;

    if (fd < 0)
        return;
    mine = timer_new();
    if (mine < 0)
        return; /* shared with the parent: it may wake for nothing */
    (void)dup3(mine, fd, O_CLOEXEC);
    close(mine);
    set_timer(1);
}

/* ---- Steps -------------------------------------------------------------------------------------------------------- */

static void
begin_step(void)
{
    uint64_t expired;
    int      fd = (int)load_acquire(&timer) - 1;

    if (fd >= 0 && read(fd, &expired, sizeof expired) < 0)
        expired = 0; /* it had not: nobody minds */
    exchange_seq_cst(&reported, 0u);
}

static void
end_step(enum wn_left left)
{
    set_timer(left == WN_LEFT_NOTHING ? 0 : left == WN_LEFT_MORE ? 1 : WN_TICK_NS);
    if (exchange_seq_cst(&reported, 0u))
        set_timer(1);
}

int
wane_step(uint64_t nanoseconds)
{
    uint64_t     end = wn_now() + nanoseconds;
    enum wn_left left;

    if (wn_in_section() || wane_self.me == WN_ME_EXITING)
        return -EDEADLK;
    wane_enter(); /* attaches the thread and starts the runtime */
    wane_leave();
    if (!wn_driver_try_begin())
        return -EBUSY;
    begin_step();
    do
        left = wn_background_tick(end);
    while (left == WN_LEFT_MORE && wn_now() < end);
    end_step(left);
    wn_driver_end();
    return left == WN_LEFT_MORE;
}

int
wane_use_threads(bool yes)
{
    if (wn_in_section())
        return -EDEADLK;
    store_relaxed(&no_threads, yes ? 0u : 1u);
    if (!yes) {
        wn_background_stop();
        wn_final_stop();
    } else {
        wn_wake_background();
        if (wn_final_pending())
            wn_wake_finalizer();
    }
    return 0;
}
