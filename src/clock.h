/* SPDX-License-Identifier: MIT
 *
 * clock.h - waits that end in time although somebody sets the time of day, where the C library has such
 */
#ifndef WN_CLOCK_H
#define WN_CLOCK_H

#ifndef _GNU_SOURCE
#error "define _GNU_SOURCE before the first header"
#endif

#include <pthread.h>
#include <stdint.h>
#include <time.h>

/* The race detector of clang 14 does not know the newer calls, and would miss that they lock. */
#if defined(__SANITIZE_THREAD__)
#define WN_RACE_DETECTOR 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define WN_RACE_DETECTOR 1
#endif
#endif

/* Two steps: other C libraries do not have the macro that compares. */
#if defined(__GLIBC__) && !defined(WN_RACE_DETECTOR)
#if __GLIBC_PREREQ(2, 31)
#define WN_WAITS_BY_CLOCK 1
#endif
#endif

#ifdef WN_WAITS_BY_CLOCK
#define WN_CLOCK               CLOCK_MONOTONIC
#define wn_lock_until(m, end)  pthread_mutex_clocklock((m), CLOCK_MONOTONIC, (end))
#define wn_join_until(id, end) pthread_clockjoin_np((id), NULL, CLOCK_MONOTONIC, (end))
#else
#define WN_CLOCK               CLOCK_REALTIME
#define wn_lock_until(m, end)  pthread_mutex_timedlock((m), (end))
#define wn_join_until(id, end) pthread_timedjoin_np((id), NULL, (end))
#endif

/* For these. */
static inline struct timespec
wn_end_of(uint64_t nanoseconds)
{
    struct timespec end;

    clock_gettime(WN_CLOCK, &end);
    nanoseconds += (uint64_t)end.tv_nsec;
    return (struct timespec){end.tv_sec + (time_t)(nanoseconds / 1000000000), (long)(nanoseconds % 1000000000)};
}

#endif
