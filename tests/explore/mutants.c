/* SPDX-License-Identifier: MIT */
#include "mutants.h"

#include <inttypes.h>
#include <string.h>

#include "programs.h"
#include "search.h"

#define LISTED(name) &name,
const struct ex_program *const ex_programs[] = {EX_PROGRAMS(LISTED) NULL};

static const char *const names[] = {
#define NAME(name) [WN_MUT_##name] = #name,
#include "mutant_names.h"
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

/* All programs, with more and more schedules until one fails. Returns how many do. */
static unsigned
survey_one(uint64_t most, uint64_t seed, struct ex_found *f)
{
    unsigned killed = 0;

    for (uint64_t n = 100; !killed && n <= most; n *= 4)
        for (size_t i = 0; ex_programs[i]; i++) {
            ex_search(ex_programs[i], EX_BY_BOTH, seed, n, 0, 0, f);
            if (f->failed) {
                printf(" %s %" PRIu64, ex_programs[i]->name, f->runs);
                killed++;
            }
        }
    return killed;
}

int
ex_mutants_survey(uint64_t schedules, uint64_t seed)
{
    struct ex_found *f = malloc(sizeof *f);
    unsigned         killed = 0;

    ex->hurries = true;
    for (size_t m = 1; m < NAMES; m++) {
        printf("%s:", names[m]);
        ex->mutant = (int)m;
        killed += survey_one(schedules, seed, f) > 0;
        printf("\n");
    }
    printf("%u of %zu mutants are found\n", killed, NAMES - 1);
    free(f);
    return 0;
}

int
ex_mutants_check(void)
{
    return 0;
}
