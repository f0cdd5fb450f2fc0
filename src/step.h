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
    WN_MUT_review_believes,         /* what the first phase suspects is garbage */
    WN_MUT_suspect_without_spreading, /* what live objects reach is not live */
    WN_MUT_suspect_without_section, /* the first phase traces outside of sections */
    WN_MUT_review_words_after_trace,/* w1 after E1 */
    WN_MUT_review_compares_counts,  /* w2 compares counts, not words: no versions, no REVIEW */
    WN_MUT_review_keeps_bias,       /* nobody merges: local counts, which have no version, are read as they are */
    WN_MUT_move_keeps_version,      /* a unit moved from slot to slot leaves no trace in the header */
    WN_MUT_suspect_in_place,        /* the first phase counts edges in the headers */
    WN_MUT_mark_cleared_after_scan, /* a candidate keeps its mark until it is given back */
    WN_MUT_free_ignores_holders,    /* the killer frees what is claimed or logged */
    WN_MUT_protect_any_word,        /* finalizers are made due whatever has happened since the review */
    WN_MUT_condemn_any_word,        /* members are condemned whatever has happened since the review */
    WN_MUT_unique_ignores_strangers,/* the owner looks at its own count only */
    WN_MUT_queue_skip,              /* a unit below zero is subtracted, not queued */
    WN_MUT_defer_at_once,           /* displaced units are dropped without a grace period */
    WN_MUT_no_store_event,          /* consuming stores make no candidate */
    WN_MUT_no_stranger_event,       /* a stranger's release makes no candidate */
    WN_MUT_no_merge_event,          /* a merge that leaves units makes no candidate */
    WN_MUT_handover_no_grace,       /* scan at once after the marks are cleared */
    WN_MUT_upgrade_ignores_condemned,
    WN_MUT_commit_by_store,         /* the decision is stored, not CASed */
    WN_MUT_committed_believed,      /* an upgrade does not look at word1 again after COMMITTED */
    WN_MUT_condemn_before_open,     /* members are condemned before the decision is UNDECIDED */
    WN_MUT_flags_keep_version,      /* CONDEMNED comes and goes with the version unchanged */
    WN_MUT_next_before_turn,        /* the next decision opens while members of the last one are CONDEMNED */
    WN_MUT_sever_after_free,        /* the table still leads from freed memory to a weak object */
    WN_MUT_weak_freed_at_once,      /* no grace period for the memory of a weak reference's target */
    WN_MUT_notify_ignores_death,    /* callbacks are registered after the death */
    WN_MUT_cancel_by_store,         /* a callback is cancelled by a store, not by a CAS */
    WN_MUT_claim_ignored,           /* enter goes on although claimed */
    WN_MUT_claim_looks_first,       /* the claimer looks at ctr before it announces itself */
    WN_MUT_claim_no_membarrier,     /* nothing makes the entering thread's store visible to the claimer */
    WN_MUT_leave_early,             /* a section is closed before the work at its end */
    WN_MUT_dispose_twice,
    WN_MUT_upgrade_counts_immortal, /* upgrades of an immortal object count, its releases do not */
    WN_MUT_young_forgets,           /* a young collection drops candidates that it takes for live */
    WN_MUT_free_ignores_collecting, /* deaths during suspect free at once */
    WN_MUT_death_looks_once,        /* a plain death does not look at word1 again */
    WN_MUT_squeeze_forgets,         /* merged entries stand for one unit */
    WN_MUT_squeeze_keeps_ticket,    /* merged entries keep the oldest ticket */
    WN_MUT_settled_by_ticket,       /* barriers do not know what tickets merged entries have had */
    WN_MUT_birth_unpaid,            /* wane_new pays nothing ahead */
    WN_MUT_mark_before_entry,       /* a release marks although there is no room for the entry */
    WN_MUT_claim_before_room,       /* the collector claims before there is room in its table */
    WN_MUT_give_although_known,     /* an object with a mark or a flag of the collector's goes in transit */
    WN_MUT_review_takes_transit,    /* step 0 of the review does not look for objects in transit */
    WN_MUT_unshare_at_once,         /* records are summed up without a grace period */
    WN_MUT_share_without_bias,      /* nothing but SHARED keeps a shared object */
    WN_MUT_trial_believed,          /* the review goes by the counts of the first phase */
    WN_MUT_retain_keeps_review,     /* a retain does not clear REVIEW */
    WN_MUT_merge_publishes_first,   /* the owner's last release gives word0 up after MERGED is seen */
    WN_MUT_part_believed,           /* a wide object's array may be another between the parts of one trace */
    WN_MUT_part_ignores_grace,      /* and its memory may be used again */
    WN_MUT_noted_until_counted,     /* a plain death clears its bit in the registry after it has looked at wn_collecting */
    WN_MUT_walk_frees_at_once,      /* a walk does not set wn_collecting */
    WN_MUT_backlog_silent,          /* a push that is seen after the backlog was cleared is not reported again */
};
#ifndef WN_MUTANT_ID
#define WN_MUTANT_ID WN_MUT_none
#endif
#define WN_MUTANT(name) (WN_MUTANT_ID == WN_MUT_##name)

#endif
