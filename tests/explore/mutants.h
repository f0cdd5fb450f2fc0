/* SPDX-License-Identifier: MIT
 *
 * mutants.h - which single faults the explorer finds
 */
#ifndef EX_MUTANTS_H
#define EX_MUTANTS_H

#include <stdint.h>

#include "step.h"

int ex_mutant_named(const char *name); /* -1: there is none */
int ex_mutants_check(void);            /* each that is in the table fails as the table says; 0: so it is */
int ex_mutants_survey(uint64_t schedules, uint64_t seed);

#endif
