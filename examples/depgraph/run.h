/* SPDX-License-Identifier: MIT
 *
 * run.h - one run: build, mutate, audit, drop
 */
#ifndef DEPGRAPH_RUN_H
#define DEPGRAPH_RUN_H

#include "universe.h"

#include <signal.h>

struct options {
    unsigned      threads;
    double        seconds;
    uint64_t      seed;
    const char   *input;
    const char   *snapshot; /* a file to write the heap to, half way; or NULL */
};

/* Returns the exit status, 0 or 1; its last line is the verdict. */
int run(const struct universe *u, const struct options *options, const volatile sig_atomic_t *interrupted);

#endif
