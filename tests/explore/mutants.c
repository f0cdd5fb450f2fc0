/* SPDX-License-Identifier: MIT */
#include "mutants.h"

#include <inttypes.h>
#include <string.h>

#include "programs.h"
#include "search.h"

#define LISTED(name) &name,
const struct ex_program *const ex_programs[] = {EX_PROGRAMS(LISTED) NULL};

void (*wn_step_hook)(const char *point); /* where the library has it in step.c, with a mutant for the whole process */

static const char *const names[] = {
    [WN_MUT_none] = "none",
#define MUTANT(name, what) [WN_MUT_##name] = #name,
#include "../../src/mutants.h"
#undef MUTANT
};
#define NAMES (sizeof names / sizeof *names)

int
ex_mutant_named(const char *name)
{
    for (size_t i = 0; i < NAMES; i++)
        if (strcmp(names[i], name) == 0)
            return (int)i;
    return -1;
}

/* ---- Who finds what? ----------------------------------------------------------------------------------------------------- */

int
ex_mutants_survey(uint64_t schedules, uint64_t seed)
{
    struct ex_found *f = malloc(sizeof *f);

    ex->hurries = true;
    for (size_t m = 1; m < NAMES; m++) {
        printf("%s:", names[m]);
        ex->mutant = (int)m;
        for (size_t i = 0; ex_programs[i]; i++) {
            ex_search(ex_programs[i], EX_BY_BOTH, seed, schedules, 0, 0, f);
            if (f->failed)
                printf(" %s %" PRIu64, ex_programs[i]->name, f->runs);
        }
        printf("\n");
        fflush(stdout);
    }
    free(f);
    return 0;
}

int
ex_mutants_check(void)
{
    return 0;
}
