/* SPDX-License-Identifier: MIT
 *
 * race_handoff.c - objects in transit and biased anew, at exact points
 */
#include "handoff_common.h"

#include "collect.h"

static void
give_x(void *unused)
{
    (void)unused;
    w.rc = wane_give(w.x);
}

static void
adopt_x(void *unused)
{
    (void)unused;
    assert_ptr_equal(wane_adopt(w.x), w.x);
}

/* ---- Give and adopt ---------------------------------------------------------------------------------------------- */

static void
given_and_adopted_without_a_change_of_word1(void **state)
{
    (void)state;
    act(&w.m1, make_x, NULL);
    act(&w.m1, give_x, NULL);
    assert_int_equal(w.rc, 0);
    assert_int_equal(wn_owner(word0_of(w.x)), WN_TRANSIT);
    assert_int_equal(word1_of(w.x), WN_WORD1_BORN);
    act(&w.m2, adopt_x, NULL);
    assert_int_equal(wn_owner(word0_of(w.x)), w.id2);
    assert_int_equal(wn_local(word0_of(w.x)), 1);
    assert_int_equal(word1_of(w.x), WN_WORD1_BORN);
    act(&w.m2, release_x, NULL);
    assert_int_equal(w.x_ended, 1); /* at once: it was m2's */
}

static void
a_parcel_that_nobody_opens_dies_like_any_other(void **state)
{
    (void)state;
    act(&w.m1, make_x, NULL);
    act(&w.m1, give_x, NULL);
    wane_release(w.x);
    assert_int_equal(w.x_ended, 1);
}

static wane_slot root;

static void
use_x(void *how)
{
    switch (*(const int *)how) {
    case 0: wane_retain(w.x); wane_release(w.x); break;
    case 1: wane_set(&root, w.x); break;
    case 2: wane_put(&root, wane_retain(w.x)); break;
    case 3: assert_null(wane_swap(&root, wane_retain(w.x))); break;
    case 4: assert_true(wane_cas_put(&root, NULL, wane_retain(w.x))); break;
    case 5: wane_put_private(&root, wane_retain(w.x)); break;
    case 6: wane_release(wane_weak(w.x)); break;
    case 7: assert_true(wane_is_unique(w.x)); break;
    case 8: assert_int_equal(wane_share(w.x), 0); assert_int_equal(wane_unshare(w.x), 0); break;
    default: WANE_SECTION { wane_retain(w.x); wane_release(w.x); }
    }
}

/* Whatever the receiver does first with the object makes him its owner, also where he does not adopt it himself. */
static void
every_call_opens_the_parcel(void **state)
{
    (void)state;
    for (int how = 0; how < 10; how++) {
        w.x_ended = 0;
        act(&w.m1, make_x, NULL);
        act(&w.m1, give_x, NULL);
        assert_int_equal(w.rc, 0);
        act(&w.m2, use_x, &how);
        assert_int_not_equal(wn_owner(word0_of(w.x)), WN_TRANSIT);
        wane_clear(&root);
        assert_int_equal(wane_barrier(), 0);
        assert_int_equal(w.x_ended, 0);
        act(&w.m2, release_x, NULL);
        assert_int_equal(wane_barrier(), 0);
        (void)collect();
        assert_int_equal(w.x_ended, 1);
    }
}

/* The direct puts: the parcel itself is stored, not a second unit of it. */
static void
put_x(void *how)
{
    switch (*(const int *)how) {
    case 0: wane_put(&root, w.x); break;
    case 1: assert_null(wane_swap(&root, w.x)); break;
    case 2: assert_true(wane_cas_put(&root, NULL, w.x)); break;
    default: wane_put_private(&root, w.x);
    }
}

static void
a_stored_parcel_is_opened_before_it_is_seen(void **state)
{
    (void)state;
    for (int how = 0; how < 4; how++) {
        w.x_ended = 0;
        act(&w.m1, make_x, NULL);
        act(&w.m1, give_x, NULL);
        act(&w.m2, put_x, &how);
        assert_int_equal(wn_owner(word0_of(w.x)), w.id2);
        wane_clear(&root);
        assert_int_equal(wane_barrier(), 0);
        (void)collect();
        assert_int_equal(w.x_ended, 1);
    }
}

static void
m2_holds_x_too(void *unused)
{
    (void)unused;
    wane_retain(w.x);
}

static void
what_others_know_is_not_given(void **state)
{
    void *weak;

    (void)state;
    act(&w.m1, make_x, NULL);
    act(&w.m2, m2_holds_x_too, NULL);
    act(&w.m1, give_x, NULL);
    assert_int_equal(w.rc, -EBUSY);
    act(&w.m2, give_x, NULL); /* not the owner's */
    assert_int_equal(w.rc, -EBUSY);
    act(&w.m2, release_x, NULL);
    weak = wane_weak(w.x);
    act(&w.m1, give_x, NULL);
    assert_int_equal(w.rc, -EBUSY);
    wane_release(weak);
    act(&w.m1, release_x, NULL);
    assert_int_equal(wane_barrier(), 0);
    (void)collect();
    assert_int_equal(w.x_ended, 1);
}

static void
retain_and_release_x(void *unused)
{
    (void)unused;
    WANE_SECTION
    {
        wane_retain(w.x);
        wane_release(w.x); /* a candidate now */
    }
}

/* A candidate is merged instead; when its mark has gone the receiver may bias it anew. */
static void
a_marked_object_is_merged_and_biased_anew(void **state)
{
    (void)state;
    act(&w.m1, make_x, NULL);
    act(&w.m1, retain_and_release_x, NULL);
    act(&w.m1, give_x, NULL);
    assert_int_equal(w.rc, 0);
    assert_true(word1_of(w.x) & WN_MERGED);
    act(&w.m2, adopt_x, NULL);
    assert_true(word1_of(w.x) & WN_MERGED); /* its mark holds it */
    (void)collect();
    act(&w.m2, adopt_x, NULL);
    assert_false(word1_of(w.x) & WN_MERGED);
    assert_int_equal(wn_owner(word0_of(w.x)), w.id2);
    assert_int_equal(wn_local(word0_of(w.x)), 1);
    assert_int_equal(wn_count(word1_of(w.x)), 0);
    act(&w.m2, release_x, NULL);
    assert_int_equal(w.x_ended, 1);
}

static void
claim_x(void *unused)
{
    (void)unused;
    wn_flags_change(WANE_HEADER(w.x), 0, WN_CLAIMED);
}

static void
adopt_with_a_claim_in_between(void *unused)
{
    (void)unused;
    on_step("adopt:word0-written", claim_x, NULL);
    adopt_x(NULL);
    off_steps();
}

static void
a_claim_in_the_middle_of_an_adoption_wins(void **state)
{
    (void)state;
    act(&w.m1, make_x, NULL);
    act(&w.m1, retain_and_release_x, NULL);
    act(&w.m1, give_x, NULL);
    (void)collect();
    act(&w.m2, adopt_with_a_claim_in_between, NULL);
    assert_true(word1_of(w.x) & WN_MERGED);
    assert_int_equal(wn_count(word1_of(w.x)), 1);
    assert_int_equal(wn_owner(word0_of(w.x)), 0);
    wn_flags_change(WANE_HEADER(w.x), WN_CLAIMED, 0);
    act(&w.m2, release_x, NULL);
    assert_int_equal(wane_barrier(), 0);
    (void)collect();
    assert_int_equal(w.x_ended, 1);
}

/* ---- Give against the collector ------------------------------------------------------------------------------------ */

static void
make_a_holding_x(void *unused)
{
    (void)unused;
    w.a = node_new(&w.ended);
    w.x = node_new(&w.x_ended);
    wane_put(&w.a->s[0], w.x);
    WANE_SECTION
    {
        wane_retain(w.a);
        wane_release(w.a); /* a is a candidate */
    }
}

static void
stop_here(void *unused)
{
    (void)unused;
    (void)gate_wait(&w.may_go, 10000);
}

static void
take_and_give_x_stopping_in_between(void *unused)
{
    (void)unused;
    on_step("give:judged", stop_here, NULL);
    WANE_SECTION
    {
        assert_ptr_equal(wane_take_private(&w.a->s[0]), w.x);
        w.rc = wane_give(w.x);
    }
}

static void
m1_takes_and_begins_to_give(void *unused)
{
    (void)unused;
    act_begin(&w.m1, take_and_give_x_stopping_in_between, NULL);
    while (!steps_seen("give:judged"))
        ;
}

/* The worst of first phases. */
static void
suspect_all(void *unused)
{
    struct wn_trial *t = &wn_collection.trial;

    (void)unused;
    for (uint32_t i = 0; i < t->count; i++)
        t->node[i].object &= ~WN_TRIAL_LIVE;
}

static void
m1_goes_on(void *unused)
{
    suspect_all(unused);
    gate_open(&w.may_go);
    act_wait(&w.m1); /* the review begins with x in transit */
}

/* The collector has read the slot that held x and claims x after its owner has judged that nobody knows it. */
static void
given_while_it_is_claimed(void **state)
{
    (void)state;
    act(&w.m1, make_a_holding_x, NULL);
    on_step("suspect:slot-read", m1_takes_and_begins_to_give, NULL);
    on_step("suspect:end", m1_goes_on, NULL);
    assert_int_equal(collect(), 0);
    act_wait(&w.m1);
    assert_int_equal(w.rc, 0);
    assert_int_equal(w.ended + w.x_ended, 0);
    act(&w.m2, adopt_x, NULL);
    assert_int_equal(wn_owner(word0_of(w.x)), w.id2);
    act(&w.m2, release_x, NULL);
    assert_int_equal(wane_barrier(), 0);
    (void)collect();
    assert_int_equal(w.x_ended, 1);
    wane_release(w.a);
    assert_int_equal(wane_barrier(), 0);
    (void)collect();
    assert_int_equal(w.ended, 1);
}

static void
take_x(void *unused)
{
    (void)unused;
    assert_ptr_equal(wane_take_private(&w.a->s[0]), w.x);
}

static void
m1_takes(void *unused)
{
    (void)unused;
    act(&w.m1, take_x, NULL);
}

static void
m1_gives(void *unused)
{
    (void)unused;
    act(&w.m1, give_x, NULL);
}

/* x is a suspect, and is given when step 0 of the review is over. */
static void
given_after_the_look_at_what_moves(void **state)
{
    (void)state;
    act(&w.m1, make_a_holding_x, NULL);
    on_step("suspect:slot-read", m1_takes, NULL);
    on_step("suspect:end", suspect_all, NULL);
    on_step("review:stable", m1_gives, NULL);
    assert_int_equal(collect(), 0);
    assert_int_equal(w.rc, 0);
    assert_true(word1_of(w.x) & WN_MERGED); /* CLAIMED: by a merge */
    act(&w.m2, release_x, NULL);
    wane_release(w.a);
    assert_int_equal(wane_barrier(), 0);
    (void)collect();
    assert_int_equal(w.x_ended, 1);
    assert_int_equal(w.ended, 1);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        RACE(given_and_adopted_without_a_change_of_word1),
        RACE(a_parcel_that_nobody_opens_dies_like_any_other),
        RACE(every_call_opens_the_parcel),
        RACE(a_stored_parcel_is_opened_before_it_is_seen),
        RACE(what_others_know_is_not_given),
        RACE(a_marked_object_is_merged_and_biased_anew),
        RACE(a_claim_in_the_middle_of_an_adoption_wins),
        RACE(given_while_it_is_claimed),
        RACE(given_after_the_look_at_what_moves),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
