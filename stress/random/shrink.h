/* SPDX-License-Identifier: MIT
 *
 * shrink.h - a failing program with as few lanes and operations as still fail
 */
#ifndef SHRINK_H
#define SHRINK_H

#include "program.h"

struct attempt {
    const struct program *program;
    uint64_t              environment; /* decides how the runtime is set up */
    uint64_t              times;
    bool                  quietly;
};

/* By whoever runs programs: in another process. */
bool attempt_fails(const struct attempt *attempt);

/* False: it does not fail again, and is left as it is. */
bool shrink(struct program *p, uint64_t environment);

#endif
