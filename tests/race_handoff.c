/* SPDX-License-Identifier: MIT
 *
 * race_handoff.c - objects in transit, biased anew and shared, at exact points
 */
#include <errno.h>

#include "race_common.h"

#include "count.h"
#include "driver.h"
#include "handoff.h"
#include "share.h"

static struct {
    struct actor m1, m2;
    struct node *a, *x;
    struct gate  may_go;
    int          ended, x_ended, rc;
    uint32_t     id1, id2;
} w;

static void
remember_id(void *id)
{
    wane_enter();
    *(uint32_t *)id = wn_standing()->id;
    wane_leave();
}

static int
setup(void **state)
{
    (void)state;
    memset(&w, 0, sizeof w);
    pthread_mutex_init(&w.may_go.lock, NULL);
    pthread_cond_init(&w.may_go.changed, NULL);
    schedule_begin();
    actor_start(&w.m1);
    actor_start(&w.m2);
    act(&w.m1, remember_id, &w.id1);
    act(&w.m2, remember_id, &w.id2);
    return 0;
}

static int
teardown(void **state)
{
    (void)state;
    off_steps();
    actor_stop(&w.m1);
    actor_stop(&w.m2);
    return wane_shutdown();
}

static uint64_t
word0_of(const void *object)
{
    return load_relaxed(&WANE_HEADER(object)->word0);
}

static uint64_t
word1_of(const void *object)
{
    return load_relaxed(&WANE_HEADER(object)->word1);
}

static void
make_x(void *unused)
{
    (void)unused;
    w.x = node_new(&w.x_ended);
}

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

static void
release_x(void *unused)
{
    (void)unused;
    wane_release(w.x);
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
    assert_int_equal(word1_of(w.x), 0);
    act(&w.m2, adopt_x, NULL);
    assert_int_equal(wn_owner(word0_of(w.x)), w.id2);
    assert_int_equal(wn_local(word0_of(w.x)), 1);
    assert_int_equal(word1_of(w.x), 0);
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

static void
m1_may_go(void *unused)
{
    (void)unused;
    gate_open(&w.may_go);
}

/* The collector has read the slot that held x and claims x after its owner has judged that nobody knows it. */
static void
given_while_it_is_claimed(void **state)
{
    (void)state;
    act(&w.m1, make_a_holding_x, NULL);
    on_step("suspect:slot-read", m1_takes_and_begins_to_give, NULL);
    on_step("suspect:end", m1_may_go, NULL);
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

/* x is a suspect (its slot was read before it was taken out), and is given when step 0 of the review is over. */
static void
given_after_the_look_at_what_moves(void **state)
{
    (void)state;
    act(&w.m1, make_a_holding_x, NULL);
    on_step("suspect:slot-read", m1_takes, NULL);
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

/* ---- Shared objects ------------------------------------------------------------------------------------------------ */

static void
retain_x_inside(void *unused)
{
    (void)unused;
    WANE_SECTION
    wane_retain(w.x);
}

static void
release_x_inside(void *unused)
{
    (void)unused;
    WANE_SECTION
    wane_release(w.x);
}

static void
strangers_count_on_their_records(void **state)
{
    uint64_t word;

    (void)state;
    act(&w.m1, make_x, NULL);
    assert_int_equal(wane_share(w.x), 0);
    assert_int_equal(wane_share(w.x), -EALREADY);
    word = word1_of(w.x);
    act(&w.m2, retain_x_inside, NULL);
    act(&w.m2, retain_x_inside, NULL);
    WANE_SECTION
    wane_release(w.x); /* one of m2's, by agreement */
    assert_int_equal(word1_of(w.x), word);
    assert_int_equal(wane_unshare(w.x), 0);
    assert_int_equal(wane_unshare(w.x), -EINVAL);
    assert_int_equal(wane_share(w.x), -EBUSY); /* not summed up yet */
    assert_int_equal(wane_barrier(), 0);
    assert_int_equal(wn_count(word1_of(w.x)), 1); /* and one in word0 */
    assert_int_equal(wn_owner(word0_of(w.x)), w.id1);
    assert_int_equal(wane_share(w.x), 0);
    assert_int_equal(wane_unshare(w.x), 0);
    assert_int_equal(wane_barrier(), 0);
    act(&w.m2, release_x, NULL);
    assert_int_equal(w.x_ended, 0);
    act(&w.m1, release_x, NULL);
    (void)collect();
    assert_int_equal(w.x_ended, 1);
}

/* The last units go while the object is shared: it dies when it is unshared. */
static void
death_is_found_by_unsharing(void **state)
{
    (void)state;
    act(&w.m1, make_x, NULL);
    assert_int_equal(wane_share(w.x), 0);
    act(&w.m2, release_x_inside, NULL); /* m1's unit, by agreement */
    assert_int_equal(wane_barrier(), 0);
    (void)collect();
    assert_int_equal(w.x_ended, 0);
    assert_int_equal(wane_unshare(w.x), 0); /* nobody holds it, but it is there */
    assert_int_equal(wane_barrier(), 0);
    (void)collect();
    assert_int_equal(w.x_ended, 1);
}

static void
make_x_with_three_units(void *unused)
{
    make_x(unused);
    WANE_SECTION
    {
        wane_retain(w.x);
        wane_retain(w.x);
    }
}

/* Not merged, and below zero without its owner's part: to the owner's queue. */
static void
below_zero_it_goes_to_its_owners_queue(void **state)
{
    (void)state;
    act(&w.m1, make_x_with_three_units, NULL);
    assert_int_equal(wane_share(w.x), 0);
    act(&w.m2, release_x_inside, NULL);
    act(&w.m2, release_x_inside, NULL);
    assert_int_equal(wane_unshare(w.x), 0);
    assert_int_equal(wane_barrier(), 0);
    assert_true(word1_of(w.x) & WN_MERGED);
    assert_int_equal(wn_count(word1_of(w.x)), 1);
    assert_int_equal(w.x_ended, 0);
    wane_release(w.x);
    (void)collect();
    assert_int_equal(w.x_ended, 1);
}

static void
unshare_x(void *unused)
{
    (void)unused;
    assert_int_equal(wane_unshare(w.x), 0);
}

static void
main_unshares(void *unused)
{
    act(&w.m1, unshare_x, unused);
}

static void
retain_with_an_unshare_in_between(void *unused)
{
    on_step("share:seen", main_unshares, NULL);
    retain_x_inside(unused);
    off_steps();
}

/* A thread has seen SHARED and stops; the object is unshared; the thread goes on. Its unit is not lost. */
static void
unshared_under_a_thread_that_counts(void **state)
{
    (void)state;
    act(&w.m1, make_x, NULL);
    assert_int_equal(wane_share(w.x), 0);
    act(&w.m2, retain_with_an_unshare_in_between, NULL);
    assert_int_equal(wane_barrier(), 0);
    act(&w.m2, release_x, NULL);
    assert_int_equal(wane_barrier(), 0);
    (void)collect();
    assert_int_equal(w.x_ended, 0); /* m1 holds it */
    act(&w.m1, release_x, NULL);
    assert_int_equal(wane_barrier(), 0);
    (void)collect();
    assert_int_equal(w.x_ended, 1);
}

static void
put_ring(void *unused)
{
    (void)unused;
    w.a = node_new(&w.ended);
    w.x = node_new(&w.x_ended);
    wane_set(&w.a->s[0], w.x);
    wane_set(&w.x->s[0], w.a);
}

static void
release_ring(void *unused)
{
    (void)unused;
    wane_release(w.a);
    wane_release(w.x);
}

/* A ring with a shared member, held by nothing but units on records: kept; unshared and let go, it is collected. */
static void
a_shared_ring_is_live(void **state)
{
    (void)state;
    act(&w.m1, put_ring, NULL);
    assert_int_equal(wane_share(w.x), 0);
    act(&w.m2, retain_x_inside, NULL);
    act(&w.m1, release_ring, NULL);
    assert_int_equal(collect(), 0);
    act(&w.m2, release_x_inside, NULL);
    assert_int_equal(collect(), 0);
    assert_int_equal(w.x_ended + w.ended, 0);
    WANE_SECTION
    assert_int_equal(wane_unshare(w.x), 0);
    assert_int_equal(wane_barrier(), 0);
    assert_int_equal(collect(), 2);
    assert_int_equal(w.x_ended + w.ended, 2);
}

static void
share_many(void *unused)
{
    (void)unused;
    struct node *n[3 * WN_SHARED_COUNTS];
    int          gone = 0;

    for (size_t i = 0; i < 3 * WN_SHARED_COUNTS; i++) {
        n[i] = node_new(&gone);
        assert_int_equal(wane_give(n[i]), 0); /* whoever counts it is a stranger then */
        n[i] = wane_adopt(n[i]);
        assert_int_equal(wane_share(n[i]), 0);
    }
    w.a = wane_new(&node_type);
    for (size_t i = 0; i < 3 * WN_SHARED_COUNTS; i++)
        wane_retain(n[i]); /* outside of sections: in word1 */
    for (size_t i = 0; i < 3 * WN_SHARED_COUNTS; i++)
        assert_int_equal(wane_unshare(n[i]), 0);
    assert_int_equal(wane_barrier(), 0);
    for (size_t i = 0; i < 3 * WN_SHARED_COUNTS; i++) {
        assert_int_equal(gone, (int)i);
        wane_release(n[i]);
        wane_release(n[i]);
        assert_int_equal(wane_barrier(), 0);
        (void)collect();
    }
    w.a->ended = &w.ended;
    wane_release(w.a);
}

static void
more_shared_objects_than_entries(void **state)
{
    (void)state;
    share_many(NULL);
}

#define RACE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

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
        RACE(strangers_count_on_their_records),
        RACE(death_is_found_by_unsharing),
        RACE(below_zero_it_goes_to_its_owners_queue),
        RACE(unshared_under_a_thread_that_counts),
        RACE(a_shared_ring_is_live),
        RACE(more_shared_objects_than_entries),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
