/* SPDX-License-Identifier: MIT */
#include "decide.h"

#include "step.h"

enum { UNDECIDED, COMMITTED, ABORTED };

static struct wane_atomic64 decision = {ABORTED};

static uint64_t
state(uint64_t d)
{
    return d & 3;
}

static void
publish_undecided(void)
{
    /* release E14: UNDECIDED before the first CONDEMNED. relaxed load: only the collector opens. */
    store_release(&decision, ((load_relaxed(&decision) >> 2) + 1) << 2 | UNDECIDED);
}

/* Every flag change moves the version on: a word that an upgrade has judged comes back in no later sequence. */
static uint64_t
bump(void)
{
    return WN_MUTANT(flags_keep_version) ? 0 : WN_VERSION_ONE;
}

void
wn_decide_open(void)
{
    if (!WN_MUTANT(condemn_before_open))
        publish_undecided();
    WN_STEP("decide:undecided");
}

bool
wn_decide_condemn(struct wane_header *h, uint64_t w2)
{
    bool done;

    if (WN_MUTANT(condemn_any_word))
        w2 = load_acquire(&h->word1);
    done = cas_acq_rel(&h->word1, &w2, (w2 | WN_CONDEMNED) + bump()); /* acq_rel E14 */
    WN_STEP("decide:member");
    return done;
}

static bool
settle(uint64_t outcome)
{
    uint64_t d = load_relaxed(&decision);
    uint64_t u = (d & ~UINT64_C(3)) | UNDECIDED;

    if (WN_MUTANT(commit_by_store)) {
        store_release(&decision, u | outcome);
        return true;
    }
    return cas_acq_rel(&decision, &u, u | outcome); /* release E14; fails when an upgrade has aborted */
}

bool
wn_decide_commit(void)
{
    if (WN_MUTANT(condemn_before_open))
        publish_undecided();
    WN_STEP("decide:condemned");
    return settle(COMMITTED);
}

void
wn_decide_abort(void)
{
    (void)settle(ABORTED);
}

void
wn_decide_turn(struct wane_header *h, bool committed)
{
    uint64_t w = load_relaxed(&h->word1); /* relaxed: a guess; the CAS checks it */

    WN_STEP("decide:before-turn");
    while (!cas_acq_rel(&h->word1, &w, ((w & ~WN_CONDEMNED) | (committed ? WN_DEAD : 0)) + bump())) /* acq_rel E14 */
        ;
}

int
wn_decide_upgrade(struct wane_header *h, uint64_t w)
{
    uint64_t d = load_acquire(&decision); /* acquire E14 */

    if (WN_MUTANT(upgrade_ignores_condemned))
        return 1;
    switch (state(d)) {
    case UNDECIDED:
        return cas_acq_rel(&decision, &d, (d & ~UINT64_C(3)) | ABORTED) ? 1 : -1;
    case ABORTED:
        return 1;
    default:
        /* acquire: the decision may be of a later sequence than w. */
        return load_acquire(&h->word1) == w || WN_MUTANT(committed_believed) ? 0 : -1;
    }
}
