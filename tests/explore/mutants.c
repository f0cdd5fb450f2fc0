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

/* ---- What is known --------------------------------------------------------------------------------------------------------- */

#define SEED 1
#define MOST 60000 /* it is a fixed seed, but another one as soon as a source changes */

static const struct known {
    int                      mutant;
    const struct ex_program *program;
} known[] = {
    {WN_MUT_review_skip_grace, &race_08_deceived},
    {WN_MUT_review_skip_second_trace, &displaced},
    {WN_MUT_review_skip_words, &race_01},
    {WN_MUT_review_believes, &race_05},
    {WN_MUT_review_keeps_bias, &race_19},
    {WN_MUT_suspect_in_place, &race_04},
    {WN_MUT_mark_cleared_after_scan, &race_11},
    {WN_MUT_free_ignores_holders, &race_13},
    {WN_MUT_condemn_any_word, &race_17},
    {WN_MUT_unique_ignores_strangers, &unique},
    {WN_MUT_queue_skip, &two_zero_makers},
    {WN_MUT_defer_at_once, &slots},
    {WN_MUT_no_store_event, &closed_by_two},
    {WN_MUT_stranger_stores_silently, &closed_by_two},
    {WN_MUT_stored_stays_unstored, &closed_by_two},
    {WN_MUT_in_hand_ignores_strangers, &closed_by_two},
    {WN_MUT_in_hand_looks_first, &closed_by_two},
    {WN_MUT_no_stranger_event, &race_40},
    {WN_MUT_handover_no_grace, &race_11},
    {WN_MUT_upgrade_ignores_condemned, &two_decisions},
    {WN_MUT_commit_by_store, &race_19},
    {WN_MUT_condemn_before_open, &race_19},
    {WN_MUT_spared_is_fellow, &spared},
    {WN_MUT_weak_freed_at_once, &weak_death},
    {WN_MUT_notify_ignores_death, &notified},
    {WN_MUT_cancel_by_store, &notified},
    {WN_MUT_handed_late, &found_alone},
    {WN_MUT_claim_ignored, &claim},
    {WN_MUT_claim_looks_first, &claim},
    {WN_MUT_claim_no_membarrier, &claim},
    {WN_MUT_leave_early, &race_15},
    {WN_MUT_dispose_twice, &two_zero_makers},
    {WN_MUT_free_ignores_collecting, &dies_in_a_scan},
    {WN_MUT_give_although_known, &given},
    {WN_MUT_unshare_at_once, &shared},
    {WN_MUT_share_without_bias, &shared},
    {WN_MUT_merge_publishes_first, &merge_lives},
    {WN_MUT_adopt_by_store, &random_programs},
};

/* As text and back it fails in the same way; with the step in its place it passes. */
static bool
repeats(const struct known *k, const struct ex_found *f, char *text)
{
    ex_print_schedule(k->program, &f->first, text);
    ex->strategy = EX_REPLAY;
    if (ex_parse_schedule(text, &ex->plan) != k->program)
        return false;
    ex_run();
    if (!ex->failed || strcmp(ex->message, f->message) != 0)
        return false;
    ex->mutant = WN_MUT_none;
    ex_run();
    return !ex->failed;
}

static bool
check_one(const struct known *k, struct ex_found *f, char *text)
{
    bool again;

    ex->mutant = k->mutant;
    ex_search(k->program, EX_BY_BOTH, SEED, MOST, 0, 0, f);
    if (!f->failed) {
        printf("%-28s SURVIVES %s\n", names[k->mutant], k->program->name);
        return false;
    }
    again = repeats(k, f, text);
    printf("%-28s found by %-16s after %5" PRIu64 " schedules: %s%s\n", names[k->mutant], k->program->name, f->runs,
           f->message, again ? "" : " BUT IT DOES NOT REPEAT");
    return again;
}

int
ex_mutants_check(void)
{
    const size_t     count = sizeof known / sizeof *known;
    struct ex_found *f = malloc(sizeof *f);
    char            *text = malloc(EX_TEXT_SIZE);
    unsigned         found = 0;

    ex->hurries = true;
    for (size_t i = 0; i < count; i++)
        found += check_one(&known[i], f, text);
    printf("%u of %zu mutants are found, and their schedules repeat\n", found, count);
    free(text);
    free(f);
    return found < count;
}
