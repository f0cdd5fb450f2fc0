/* SPDX-License-Identifier: MIT */
#include "step.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void (*wn_step_hook)(const char *point);
enum wn_mutant wn_mutant;

static const char *const names[] = {
#define MUTANT(name, what) #name,
#include "mutants.h"
#undef MUTANT
};

/* Before all other constructors of the library. */
__attribute__((constructor(101))) static void
choose_mutant(void)
{
    const char *wanted = getenv("WANE_MUTANT");

    if (!wanted)
        return;
    for (unsigned i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strcmp(names[i], wanted) == 0)
            wn_mutant = (enum wn_mutant)(i + 1);
    if (wn_mutant)
        return;
    fprintf(stderr, "WANE_MUTANT: no mutant '%s' in src/mutants.h\n", wanted);
    _Exit(2);
}
