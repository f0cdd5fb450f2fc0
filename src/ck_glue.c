/* SPDX-License-Identifier: MIT
 *
 * ck_glue.c - the only file that sees concurrencykit
 *
 * Built without sanitizers: ck's inline assembly is invisible to them. No data is published through events (whoever wakes
 * looks at atomics of its own), so no edge is lost.
 */
#include "ck_glue.h"

#include <ck_ec.h>
#include <ck_pr.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

_Static_assert(sizeof(struct ck_ec32) == sizeof(struct wn_event), "an event is ck's 32-bit event count");

static int
gettime(const struct ck_ec_ops *ops, struct timespec *out)
{
    (void)ops;
    return clock_gettime(CLOCK_MONOTONIC, out);
}

static void
wait32(const struct ck_ec_wait_state *state, const uint32_t *address, uint32_t expected, const struct timespec *deadline)
{
    (void)state;
    syscall(SYS_futex, address, FUTEX_WAIT_BITSET_PRIVATE, expected, deadline, NULL, FUTEX_BITSET_MATCH_ANY);
}

/* Never used: our events are 32 bits wide. */
static void
wait64(const struct ck_ec_wait_state *state, const uint64_t *address, uint64_t expected, const struct timespec *deadline)
{
    wait32(state, (const uint32_t *)(const void *)address, (uint32_t)expected, deadline);
}

static void
wake32(const struct ck_ec_ops *ops, const uint32_t *address)
{
    (void)ops;
    syscall(SYS_futex, address, FUTEX_WAKE_PRIVATE, 0x7fffffff, NULL, NULL, 0);
}

static void
wake64(const struct ck_ec_ops *ops, const uint64_t *address)
{
    wake32(ops, (const uint32_t *)(const void *)address);
}

static const struct ck_ec_ops  ops = {.gettime = gettime, .wait32 = wait32, .wait64 = wait64, .wake32 = wake32, .wake64 = wake64};
static const struct ck_ec_mode mode = {.ops = &ops, .single_producer = false};

static struct ck_ec32 *
ec(struct wn_event *event)
{
    return (struct ck_ec32 *)(void *)event;
}

/* ck's timed waits back off past the deadline: lower each sleep to what is left. */
static int
until_deadline(const struct ck_ec_wait_state *state, struct timespec *sleep_until)
{
    const struct timespec *deadline = state->data;

    if (deadline->tv_sec < sleep_until->tv_sec ||
        (deadline->tv_sec == sleep_until->tv_sec && deadline->tv_nsec < sleep_until->tv_nsec))
        *sleep_until = *deadline;
    return 0;
}

uint32_t
wn_event_value(struct wn_event *event)
{
    return ck_ec32_value(ec(event));
}

void
wn_event_signal(struct wn_event *event)
{
    ck_ec32_inc(ec(event), &mode);
}

void
wn_event_wait(struct wn_event *event, uint32_t value, uint64_t nanoseconds)
{
    struct timespec t = {(time_t)(nanoseconds / 1000000000), (long)(nanoseconds % 1000000000)};
    struct timespec deadline;

    if (!nanoseconds) {
        ck_ec32_wait(ec(event), &mode, value, NULL);
        return;
    }
    ck_ec_deadline(&deadline, &mode, &t);
    ck_ec32_wait_pred(ec(event), &mode, value, until_deadline, &deadline, &deadline);
}

#define STALL_HOT  7u /* after the waits of 1 and 3 turns: three failures in a row are not chance */
#define STALL_MOST 63u

bool
wn_stall(unsigned *turns)
{
    if (*turns < STALL_MOST)
        *turns = 2 * *turns + 1;
    for (unsigned i = 0; i < *turns; i++)
        ck_pr_stall();
    return *turns == STALL_HOT;
}
