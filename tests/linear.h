/* SPDX-License-Identifier: MIT
 *
 * linear.h - is a short history of concurrent calls linearizable?
 *
 * A history is what several threads did to one thing: each call with its arguments, its result, and a tick of a common clock
 * before and after it. It is linearizable if the calls can be put into one order that a sequential model allows, where a call
 * that was over before another one began comes before it.
 *
 * The search is that of Wing and Gong (JPDC 1993), with Lowe's memory of what was tried (2017): a set of calls done and the
 * state they led to are looked at once.
 */
#ifndef LINEAR_H
#define LINEAR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define LINEAR_CALLS 12
#define LINEAR_STATE 64 /* bytes */

struct linear_call {
    int      thread, kind;
    uint64_t arg[2], result;
    unsigned begun, over; /* ticks */
};

struct linear_history {
    unsigned           count;
    struct linear_call call[LINEAR_CALLS];
};

/* States are compared by their bytes. */
struct linear_model {
    const char *const *kinds; /* names, for messages */
    size_t             state_size;
    /* Is this result possible in this state? If so, the state is changed to what follows. */
    bool (*step)(void *state, const struct linear_call *call);
};

bool linear_check(const struct linear_history *history, const struct linear_model *model, const void *start);

/* How many pairs of calls overlap in time: none says that the history proves little. */
unsigned linear_overlaps(const struct linear_history *history);

void linear_print(FILE *to, const struct linear_history *history, const struct linear_model *model);

#endif
