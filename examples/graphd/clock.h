/* SPDX-License-Identifier: MIT
 *
 * clock.h - the time, as expiry and eviction see it: looked at once for each batch of requests
 */
#ifndef CLOCK_H
#define CLOCK_H

#include <stdint.h>
#include <time.h>

/* Milliseconds since 1970, as of this thread's last look. */
extern __thread int64_t clock_now;

static inline int64_t
clock_look(void)
{
    struct timespec t;

    clock_gettime(CLOCK_REALTIME, &t);
    clock_now = (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
    return clock_now;
}

/* When values were used, in steps of 16 ms: a value that is read all the time is written to 62 times a second. It wraps every two
 * years; then some are evicted too early, once. */
static inline uint32_t
clock_step(void)
{
    return (uint32_t)(clock_now >> 4);
}

#endif
