/* SPDX-License-Identifier: MIT
 *
 * step.h - named points of the protocols, and single faults for testing the tests
 *
 * In the test build (WN_STEPS) WN_STEP("part:point") calls a hook, so that a schedule test can run other threads exactly
 * there; elsewhere it is nothing. WN_MUTANT(name) is true in a build made with -Dmutant=name and constant false otherwise:
 * each is one removed fence, mark or wait, and some test must fail with it.
 */
#ifndef WN_STEP_H
#define WN_STEP_H

#ifdef WN_STEPS
extern void (*wn_step_hook)(const char *point);
#define WN_STEP(point)               \
    do {                             \
        if (wn_step_hook)            \
            wn_step_hook(point);     \
    } while (0)
#else
#define WN_STEP(point) ((void)0)
#endif

/* -DWN_MUTANT_ID=WN_MUT_skip_grace */
enum wn_mutant {
    WN_MUT_none,
    WN_MUT_review_skip_grace,       /* no grace period between the two traces */
    WN_MUT_review_skip_second_trace,/* E2 := E1 */
    WN_MUT_review_skip_words,       /* words are not compared */
    WN_MUT_queue_skip,              /* a unit below zero is subtracted, not queued */
    WN_MUT_defer_at_once,           /* displaced units are dropped without a grace period */
    WN_MUT_no_store_event,          /* consuming stores make no candidate */
    WN_MUT_no_stranger_event,       /* a stranger's release makes no candidate */
    WN_MUT_no_merge_event,          /* a merge that leaves units makes no candidate */
    WN_MUT_handover_no_grace,       /* scan at once after the marks are cleared */
    WN_MUT_upgrade_ignores_condemned,
    WN_MUT_commit_by_store,         /* the decision is stored, not CASed */
    WN_MUT_claim_ignored,           /* enter goes on although claimed */
    WN_MUT_dispose_twice,
    WN_MUT_free_ignores_collecting, /* deaths during suspect free at once */
    WN_MUT_death_looks_once,        /* a plain death does not look at word1 again */
    WN_MUT_squeeze_forgets,         /* merged entries stand for one unit */
    WN_MUT_squeeze_keeps_ticket,    /* merged entries keep the oldest ticket */
    WN_MUT_settled_by_ticket,       /* barriers do not know what tickets merged entries have had */
    WN_MUT_birth_unpaid,            /* wane_new pays nothing ahead */
    WN_MUT_claim_before_room,       /* the collector claims before there is room in its table */
};
#ifndef WN_MUTANT_ID
#define WN_MUTANT_ID WN_MUT_none
#endif
#define WN_MUTANT(name) (WN_MUTANT_ID == WN_MUT_##name)

#endif
