/* SPDX-License-Identifier: MIT
 *
 * harness.h - the frame of the stress programs
 *
 * A run prints its seed and the command that replays it, then starts the workers and, beside them, one thread `aside`.
 * It ends when the time is over AND every overlap was observed often enough (an overlap is a situation that the program
 * is there to produce; without it a green run would say nothing). At ten times the time it fails: overlap not seen.
 *
 * A watchdog aborts when no worker took a step for a minute, and says where each one is. Workers differ in their seeds
 * only; a replay repeats their choices, not the machine's interleaving.
 */
#ifndef HARNESS_H
#define HARNESS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct stress_worker {
    unsigned              index;
    uint64_t              random;
    _Atomic(const char *) phase; /* where it is, for the watchdog */
    atomic_ullong         steps;
};

struct stress_overlap {
    const char        *name;
    unsigned long long need;
    atomic_ullong      seen;
};

struct stress {
    const char *name;
    void (*begin)(unsigned threads);
    void (*work)(struct stress_worker *me);  /* on each worker, until stress_goes_on says no */
    void (*aside)(struct stress_worker *me); /* on one more thread, or NULL */
    void (*end)(unsigned threads);           /* all threads have ended: the census; calls stress_fail */
    struct stress_overlap *overlaps;
    size_t                 overlap_count;
};

/* Options: --seed X --seconds S --threads N. Returns the exit status. */
int stress_main(int argc, char **argv, const struct stress *program);

/* Count a step; false: the run is over. */
bool stress_goes_on(struct stress_worker *me);

/* Say where this thread is (a string that lasts). */
void stress_phase(struct stress_worker *me, const char *phase);

/* Uniform below n. */
uint64_t stress_random(struct stress_worker *me, uint64_t n);

/* A generator of one's own, for threads that are not workers. */
uint64_t stress_next(uint64_t *state);

void stress_seen(struct stress_overlap *overlap);

/* Say what is wrong and how to replay it; end the process. */
_Noreturn void stress_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Outside of sections: sleep for a moment, so that claimers and collectors get their turn. */
void stress_nap(void);

/* Barriers, finalizers and collections until exactly n objects live; fails after half a minute, naming what is left. */
void stress_settle(uint64_t n);

/* The worker that runs here; NULL on threads of the library and others. */
extern __thread struct stress_worker *stress_me;

#endif
