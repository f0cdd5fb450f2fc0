/* SPDX-License-Identifier: MIT
 *
 * fuzz_api.c - bytes as a program of one lane, without threads of the library: everything is predicted (random/world.h)
 */
#include "fuzz.h"

#include "random/world.h"

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    static struct program p;

    (void)wane_use_threads(false);
    program_from_bytes(&p, bytes, size);
    world_begin(&p);
    program_run(true);
    world_census();
    return 0;
}
