/* SPDX-License-Identifier: MIT
 *
 * step.h - named points of the protocols, and single faults for testing the tests
 *
 * In the test build (WN_STEPS) WN_STEP("part:point") calls a hook, so that a schedule test can run other threads exactly
 * there, and WN_MUTANT(name) is true in a process that was started with WANE_MUTANT=name in its environment: mutants.h.
 * Elsewhere the one is nothing and the other constant false.
 */
#ifndef WN_STEP_H
#define WN_STEP_H

#include <stdbool.h>

#ifdef WN_STEPS
extern void (*wn_step_hook)(const char *point);

/* A test sets it while the library's threads may run. */
static inline void
wn_step_set(void (*hook)(const char *point))
{
    __atomic_store_n(&wn_step_hook, hook, __ATOMIC_RELEASE); /* release: what the test has prepared for it */
}

static inline void (*wn_step_hook_now(void))(const char *)
{
#ifdef WN_EXPLORED /* no access of the library's: nothing to be scheduled */
    return wn_step_hook;
#else
    return __atomic_load_n(&wn_step_hook, __ATOMIC_ACQUIRE);
#endif
}
#define WN_STEP(point)                                          \
    do {                                                        \
        void (*hook_)(const char *) = wn_step_hook_now();       \
                                                                \
        if (hook_)                                              \
            hook_(point);                                       \
    } while (0)

enum wn_mutant {
    WN_MUT_none,
#define MUTANT(name, what) WN_MUT_##name,
#include "mutants.h"
#undef MUTANT
};
#ifndef WN_MUTANT_ID /* who runs many mutants in one process has its own */
extern enum wn_mutant wn_mutant; /* c: set before main and before the library's first call */
#define WN_MUTANT_ID wn_mutant
#endif
#define WN_MUTANT(name) __builtin_expect(WN_MUTANT_ID == WN_MUT_##name, 0)
#else
#define WN_STEP(point) ((void)0)
#define WN_MUTANT(name) false
#endif

/* An access of atomic.h with its order, or with a weaker one. */
#define WN_WEAKER(name, order, weaker, ...) (WN_MUTANT(name) ? weaker(__VA_ARGS__) : order(__VA_ARGS__))

#endif
