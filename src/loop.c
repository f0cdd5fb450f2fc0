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
#include "page.h"
#include "pressure.h"
#include "stall.h"
#include "thread.h"
#include "unit.h"

static struct wane_atomic32 timer;      /* a: the descriptor + 1; 0: none yet */
static struct wane_atomic32 reported;   /* a: since the last step began */

void
wn_loop_init(void)
{
    const char *value = getenv("WANE_NO_THREADS");

    if (value && *value && *value != '0')
        wn_threads_allow(false);
}

bool
wn_loop_allows_threads(void)
{
    return wn_threads_allowed();
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
    exchange_seq_cst(&reported, 1u);
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
    struct itimerspec t;
    int               fd = (int)load_relaxed(&timer) - 1, mine;

    if (fd < 0)
        return;
    mine = timer_new();
    if (timerfd_gettime(fd, &t) == 0) { /* else the program has closed it, and may have given the number to another file */
        if (mine >= 0 && dup3(mine, fd, O_CLOEXEC) == fd) {
            close(mine);
            mine = fd;
        } else {
            close(fd); /* the parent's timer is not this process's to set */
        }
    }
    store_release(&timer, (uint32_t)(mine + 1));
    set_timer(1);
}

/* ---- Steps -------------------------------------------------------------------------------------------------------- */

static void
begin_step(void)
{
    set_timer(0); /* not by reading: the number may stand for another file, if the program has closed ours */
    exchange_seq_cst(&reported, 0u);
}

static void
end_step(enum wn_left left)
{
    uint64_t pause = wn_pressure_attend(), next = wn_page_attend();

    if (next && (!pause || next < pause))
        pause = next;
    if (left != WN_LEFT_NOTHING) /* else it is off since the step began: another step may have set it meanwhile */
        set_timer(left == WN_LEFT_MORE ? 1 : wn_pause_after(left));
    else if (pause)
        set_timer(pause);
    if (wn_final_attend() || __atomic_load_n(&reported.value, __ATOMIC_SEQ_CST))
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
    if (!wn_driver_try_begin(0)) {
        begin_step();
        end_step(WN_LEFT_WAITS); /* a loop comes again in a while, and does not spin meanwhile */
        wn_stall_look();
        return -EBUSY;
    }
    begin_step();
    do
        left = wn_background_tick(end);
    while (left == WN_LEFT_MORE && wn_now() < end);
    wn_driver_end();
    end_step(left);
    wn_stall_look();
    return left == WN_LEFT_MORE;
}

int
wane_use_threads(bool yes)
{
    if (wn_in_section())
        return -EDEADLK;
    wn_threads_allow(yes);
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
