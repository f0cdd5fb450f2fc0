/* SPDX-License-Identifier: MIT
 *
 * search.h - many runs of one program, until one fails; then a short one that fails
 */
#ifndef EX_SEARCH_H
#define EX_SEARCH_H

#include "explore.h"

enum ex_how { EX_BY_BOTH, EX_BY_RANDOM, EX_BY_PCT, EX_EXHAUSTIVELY };

struct ex_found {
    bool               failed, complete; /* complete: nothing was left out, within the bound */
    bool               repeats;          /* the schedule that failed fails again: else the explorer has a fault */
    uint64_t           runs, cut, points, switches, places;
    uint64_t           number; /* of the run that failed */
    char               message[512]; /* of the short one */
    struct ex_schedule first, shortest;
};

/* At most `most` runs; 0: until `ends` (time(NULL)). bound: choices in one schedule, where it is exhaustive. */
void ex_search(const struct ex_program *program, enum ex_how how, uint64_t seed, uint64_t most, double ends, unsigned bound,
               struct ex_found *found);
void ex_shrink(struct ex_schedule *schedule); /* ex->program's; it fails, and goes on failing */

#define EX_TEXT_SIZE (64 + EX_MOST_CHOICES * 24)
void ex_print_schedule(const struct ex_program *program, const struct ex_schedule *schedule, char *out);
const struct ex_program *ex_parse_schedule(const char *text, struct ex_schedule *schedule); /* NULL: it is none */
const struct ex_program *ex_program_named(const char *name, size_t length);

bool ex_random_shrink(struct ex_found *found); /* random.c: what fails is made smaller, and printed. False: it is as it was */

double ex_seconds(void);

#endif
