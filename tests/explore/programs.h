/* SPDX-License-Identifier: MIT
 *
 * programs.h - the list of the explored programs
 */
#ifndef EX_PROGRAMS_H
#define EX_PROGRAMS_H

#include "program.h"

#define EX_PROGRAMS(X) \
    X(two_zero_makers) \
    X(three_releases) \
    X(merge_lives) \
    X(owner_exits) \
    X(adopted_record) \
    X(unique) \
    X(slots) \
    X(tickets) \
    X(tickets_fenced) \
    X(claim) \
    X(claim_fenced) \
    X(claim_small) \
    X(reported) \
    X(found_alone) \
    X(given) \
    X(given_met) \
    X(shared) \
    X(race_01) \
    X(race_02) \
    X(race_03) \
    X(race_03_put) \
    X(race_04) \
    X(displaced) \
    X(race_02_put) \
    X(race_07_self) \
    X(race_05) \
    X(race_06) \
    X(race_07) \
    X(race_08) \
    X(race_08_deceived) \
    X(race_11) \
    X(race_40) \
    X(closed_by_two) \
    X(race_13) \
    X(race_14) \
    X(race_15) \
    X(dies_in_a_scan) \
    X(revived) \
    X(final_upgrade) \
    X(weak_death) \
    X(weak_reused) \
    X(weak_made) \
    X(notified) \
    X(race_19) \
    X(race_17) \
    X(spared) \
    X(two_decisions) \
    X(random_programs) \
    X(random_alone)

#define EX_DECLARE(name) extern const struct ex_program name;
EX_PROGRAMS(EX_DECLARE)

#endif
