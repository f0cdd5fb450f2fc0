/* SPDX-License-Identifier: MIT
 *
 * state_collection.c - rows of the state table: marks, collections, weak references, finalizers, deaths (state_table.h)
 */
#include "state_table.h"

#include "cell.h"
#include "final.h"

#define M1 world.id1

static uint64_t
flags(void)
{
    return word1() & (WN_COUNT_ONE - 1) & ~WN_AGE;
}

/* ---- Marks --------------------------------------------------------------------------------------------------------- */

static void
make_filled(void *unused)
{
    make_x(unused);
    wane_put(&world.x->s[0], node_new(&world.ended_y));
}

static void
put_x(void *unused)
{
    (void)unused;
    wane_put(&world.root, world.x);
}

static void
clear_root(void)
{
    wane_clear(&world.root);
    barrier();
    (void)collect();
    barrier();
    assert_int_equal(world.ended, 1);
}

static bool
is_unstored(void)
{
    return word0() & WN_UNSTORED;
}

static void
store_first_own(void)
{
    act(&world.m1, make_x, NULL);
    assert_true(is_unstored());
    look();
    act(&world.m1, put_x, NULL);
    expect(M1, false, 1, 0, 0, 0); /* empty: no candidate */
    assert_false(is_unstored());
    clear_root();
}

static void
store_first(void)
{
    act(&world.m1, make_x, NULL);
    look();
    act(&world.m2, put_x, NULL);
    expect(M1, false, 1, 0, 0, 1);
    assert_true(is_unstored());
    assert_int_equal(word1() & WN_AGE, WN_AGE);
    assert_int_equal(wn_age(word1()), 0);
    clear_root();
}

static void
put_x_into_new(void *unused)
{
    (void)unused;
    WANE_SECTION
    {
        struct node *n = node_new(&world.ended_y);

        wane_put(&n->s[0], world.x);
        wane_put(&world.root, n);
    }
}

static void
store_in_hand(void)
{
    act(&world.m1, make_filled, NULL);
    look();
    act(&world.m1, put_x_into_new, NULL);
    expect(M1, !wn_cell_most, 1, 0, 0, 0); /* objects of malloc's are not found by a slot in them: marked */
    clear_root();
}

static void
store_own(void)
{
    act(&world.m1, make_filled, NULL);
    look();
    act(&world.m1, put_x, NULL);
    expect(M1, true, 1, 0, 0, 0);
    clear_root();
}

static void
store_stranger(void)
{
    act(&world.m1, make_filled, NULL);
    look();
    act(&world.m2, put_x, NULL);
    expect(M1, false, 1, WN_BUFFERED, 0, 2); /* and that it was stored */
    clear_root();
}

static void
store_marked(void)
{
    act(&world.m1, make_filled, NULL);
    act(&world.m2, retain_x, NULL);
    act(&world.m2, release_x, NULL);
    look();
    act(&world.m2, put_x, NULL);
    expect(M1, false, 1, WN_BUFFERED, 0, 1); /* that it was stored */
    clear_root();
}

static void
hand_over(void *unused)
{
    (void)unused;
    WANE_SECTION
    wn_tend(wn_standing(), WN_ATTEND | WN_HANDOVER);
}

static void
retain_and_release(void *unused)
{
    (void)unused;
    WANE_SECTION
    {
        wane_retain(world.x);
        wane_release(world.x);
    }
}

static void
seal_own(void)
{
    act(&world.m1, make_x, NULL);
    act(&world.m1, retain_and_release, NULL);
    assert_true(word0() & WANE_QUIET);
    look();
    act(&world.m1, hand_over, NULL);
    expect(M1, false, 1, WN_OWNLOG, 0, 1);
    wane_release(world.x);
    barrier();
    (void)collect();
    assert_int_equal(world.ended, 1);
}

/* ---- Collections ----------------------------------------------------------------------------------------------------- */

static void
make_garbage_ring(void *unused)
{
    struct node *y;

    make_x(unused);
    y = node_new(&world.ended_y);
    wane_set(&world.x->s[0], y);
    wane_set(&y->s[0], world.x);
    world.y = y;
}

static void
release_ring(void *unused)
{
    (void)unused;
    WANE_SECTION
    {
        wane_release(world.y);
        wane_release(world.x);
    }
}

static void
when_taken(void *unused)
{
    (void)unused;
    assert_int_equal(flags() & (WN_CLAIMED | WN_MARKS), WN_CLAIMED);
    world.rc |= 1;
}

static void
when_requested(void *unused)
{
    (void)unused;
    /* the request is a unit, with QUEUED; REVIEW is set; the owner's part is still in word0 */
    assert_int_equal(flags(), WN_CLAIMED | WN_REVIEW | WN_QUEUED);
    assert_int_equal(wn_count(word1()), 1);
    assert_int_equal(wn_owner(word0()), M1);
    world.rc |= 2;
}

static void
when_merged(void *unused)
{
    (void)unused;
    assert_int_equal(flags() & ~WN_MARKS, WN_CLAIMED | WN_REVIEW | WN_MERGED);
    assert_int_equal(wn_count(word1()), 1);
    world.rc |= 4;
}

static void
when_doomed(void *unused)
{
    (void)unused;
    assert_true(word1() & WN_DEAD);
    assert_int_equal(wn_count(word1()), WN_IMMORTAL_CENTRE);
    world.rc |= 8;
}

static void
take_request_doom(void)
{
    act(&world.m1, make_garbage_ring, NULL);
    act(&world.m1, release_ring, NULL);
    on_step("collect:handed-over", when_taken, NULL);
    on_step("review:marked", when_requested, NULL);
    on_step("review:merged", when_merged, NULL);
    on_step("destroy:disposed", when_doomed, NULL);
    assert_int_equal(collect(), 2);
    assert_int_equal(world.rc, 15);
    assert_int_equal(world.ended + world.ended_y, 2);
}

static void
when_merged_before(void *unused)
{
    (void)unused;
    assert_int_equal(flags() & ~WN_MARKS, WN_CLAIMED | WN_REVIEW | WN_MERGED); /* no QUEUED, no unit */
    assert_int_equal(wn_count(word1()), 1);
    world.rc = 1;
}

static void
request_merged(void)
{
    act(&world.m1, make_garbage_ring, NULL);
    act(&world.m2, retain_x, NULL);
    act(&world.m1, release_ring, NULL);
    act(&world.m2, release_x, NULL);
    barrier();
    assert_false(word1() & WN_QUEUED);
    if (!(word1() & WN_MERGED)) { /* by hand: its owner merges it */
        uint64_t me;

        wane_enter();
        me = wane_self.me;
        wane_self.me = wn_record(M1)->pub.me;
        assert_true(wn_count_merge(WANE_HEADER(world.x), wn_type_of(WANE_HEADER(world.x)), wn_record(M1)));
        wane_self.me = me;
        wane_leave();
    }
    on_step("review:marked", when_merged_before, NULL);
    assert_int_equal(collect(), 2);
    assert_int_equal(world.rc, 1);
}

static void
when_visited(void *unused)
{
    (void)unused;
    if (flags() & WN_CLAIMED)
        world.rc = 1;
}

/* x is no candidate itself: the collector meets it through y. It lives, and is given back, one age older, unmarked. */
static void
claim_give_back(void)
{
    struct node *y = node_new(&world.ended_y);

    act(&world.m1, make_x, NULL);
    wane_set(&y->s[0], world.x);
    WANE_SECTION
    wane_release(wane_retain(y)); /* a candidate */
    look();
    on_step("suspect:end", when_visited, NULL);
    assert_int_equal(collect(), 0);
    assert_int_equal(world.rc, 1);
    expect(M1, false, 1, 0, 1, 2);
    assert_int_equal(wn_age(word1()), 1);
    (void)collect();
    wane_release(y);
    wane_release(world.x);
    barrier();
    (void)collect();
    assert_int_equal(world.ended, 1);
}

static void
m2_retains(void *unused)
{
    act(&world.m2, retain_x, unused);
}

/* Disturbed in its review: given back as a candidate, one age older. */
static void
give_back_kept(void)
{
    act(&world.m1, make_garbage_ring, NULL);
    act(&world.m1, release_ring, NULL);
    on_step("review:e1", m2_retains, NULL);
    assert_int_equal(wane_collect(0, NULL), 0);
    off_steps();
    assert_int_equal(flags() & (WN_CLAIMED | WN_REVIEW), 0);
    assert_true(flags() & WN_MARKS);
    assert_true(wn_age(word1()) >= 1);
    assert_int_equal(world.ended, 0);
    act(&world.m2, release_x, NULL);
    assert_int_equal(collect(), 2);
}

/* ---- Weak references --------------------------------------------------------------------------------------------------- */

static void
weak_made(void)
{
    act(&world.m1, make_x, NULL);
    look();
    world.weak = wane_weak(world.x);
    expect(M1, false, 1, WN_WEAK, 0, 1);
    wane_release(world.weak);
    wane_release(world.x);
    barrier();
    (void)collect();
    assert_int_equal(world.ended, 1);
}

static void
make_weak(void *unused)
{
    (void)unused;
    world.weak = wane_weak(world.x);
}

static void
upgrade_inside(void *unused)
{
    (void)unused;
    WANE_SECTION
    world.got = wane_weak_get(world.weak);
}

static void
end_weak(int units)
{
    wane_release(world.weak);
    while (units--)
        wane_release(world.x);
    barrier();
    (void)collect();
    barrier();
    assert_int_equal(world.ended, 1);
}

static void
upgrade_own(void)
{
    act(&world.m1, make_x, NULL);
    act(&world.m1, make_weak, NULL);
    look();
    act(&world.m1, upgrade_inside, NULL);
    assert_ptr_equal(world.got, world.x);
    expect(M1, false, 2, WN_WEAK, 0, 0);
    end_weak(2);
}

static void
upgrade_stranger(void)
{
    act(&world.m1, make_x, NULL);
    act(&world.m1, make_weak, NULL);
    wn_flags_change(WANE_HEADER(world.x), 0, WN_REVIEW); /* by hand */
    look();
    act(&world.m2, upgrade_inside, NULL);
    assert_ptr_equal(world.got, world.x);
    expect(M1, false, 1, WN_WEAK, 1, 1);
    end_weak(2);
}

static void
upgrade_gone(void)
{
    act(&world.m1, make_x, NULL);
    act(&world.m1, make_weak, NULL);
    act(&world.m1, release_x_inside, NULL);
    act(&world.m2, upgrade_inside, NULL);
    assert_null(world.got);
    assert_int_equal(world.ended, 1);
    wane_release(world.weak);
    barrier();
    (void)collect();
}

static void
make_weak_ring(void *unused)
{
    make_garbage_ring(unused);
    make_weak(unused);
    release_ring(unused);
}

static void
when_condemned(void *unused)
{
    (void)unused;
    assert_true(flags() & WN_CONDEMNED);
    world.rc |= 1;
}

static void
when_committed(void *unused)
{
    (void)unused;
    assert_int_equal(flags() & (WN_CONDEMNED | WN_DEAD), WN_DEAD);
    world.rc |= 2;
}

static void
condemn_commit(void)
{
    act(&world.m1, make_weak_ring, NULL);
    on_step("decide:condemned", when_condemned, NULL);
    on_step("destroy:begin", when_committed, NULL);
    assert_int_equal(collect(), 2);
    assert_int_equal(world.rc, 3);
    off_steps();
    act(&world.m2, upgrade_inside, NULL);
    assert_null(world.got);
    wane_release(world.weak);
    barrier();
}

static void
m2_upgrades(void *unused)
{
    act(&world.m2, upgrade_inside, unused);
}

/* An upgrade meets CONDEMNED before the decision: the component is given back whole. */
static void
upgrade_condemned(void)
{
    act(&world.m1, make_weak_ring, NULL);
    on_step("decide:condemned", m2_upgrades, NULL);
    assert_int_equal(wane_collect(0, NULL), 0);
    off_steps();
    assert_ptr_equal(world.got, world.x);
    assert_int_equal(flags() & (WN_CONDEMNED | WN_DEAD | WN_CLAIMED | WN_REVIEW), 0);
    assert_int_equal(wn_count(word1()), 2);
    wane_release(world.weak);
    act(&world.m2, release_x, NULL);
    assert_int_equal(collect(), 2);
    barrier();
}

/* ---- Finalizers -------------------------------------------------------------------------------------------------------- */

static void (*wake_finalizer)(void);

static void
not_now(void)
{
}

static void
hold_finalizers(void)
{
    wake_finalizer = wn_wake_finalizer;
    wn_wake_finalizer = not_now;
}

static void
run_finalizers(void)
{
    wn_wake_finalizer = wake_finalizer;
    (void)wane_run_finalizers();
    barrier();
    (void)collect();
    barrier();
    assert_int_equal(world.ended, 1);
}

static void
own_release_final(void)
{
    hold_finalizers();
    act(&world.m1, make_final, NULL);
    look();
    act(&world.m1, release_x_inside, NULL);
    expect(0, false, 0, WN_MERGED | WN_FINALIZED, 1, 1);
    run_finalizers();
}

static void
str_release_final(void)
{
    hold_finalizers();
    act(&world.m1, make_final, NULL);
    act(&world.m2, retain_x, NULL);
    act(&world.m1, release_x_inside, NULL);
    look();
    act(&world.m2, release_x, NULL);
    expect(0, false, 0, WN_MERGED | WN_BUFFERED | WN_FINALIZED, 1, 1);
    run_finalizers();
}

static void
protect(void)
{
    hold_finalizers();
    act(&world.m1, make_final, NULL);
    wane_set(&world.x->s[0], world.x);
    wane_release(world.x);
    barrier();
    assert_int_equal(wane_collect(0, NULL), 0);
    assert_int_equal(flags() & ~WN_MARKS, WN_MERGED | WN_FINALIZED);
    assert_int_equal(wn_count(word1()), 2); /* its own slot's, and the protection */
    run_finalizers();
}

/* ---- Deaths -------------------------------------------------------------------------------------------------------------- */

static void
dead_waits(void)
{
    act(&world.m1, make_x, NULL);
    act(&world.m2, retain_x, NULL);
    act(&world.m1, release_x_inside, NULL); /* merged, marked */
    look();
    act(&world.m2, release_x, NULL);
    assert_int_equal(world.ended, 1);
    expect((uint32_t)wn_owner(word0()), false, wn_local(word0()), WN_MERGED | WN_BUFFERED | WN_DEAD, 0, 2);
    (void)collect(); /* the hand-over frees it */
}

const struct row rows_of_collection[] = {
    {"store-first-own", store_first_own},
    {"store-first", store_first},
    {"store-in-hand", store_in_hand},
    {"store-own", store_own},
    {"store-stranger", store_stranger},
    {"store-marked", store_marked},
    {"seal-own", seal_own},
    {"take-request-doom", take_request_doom},
    {"request-merged", request_merged},
    {"claim-give-back", claim_give_back},
    {"give-back-kept", give_back_kept},
    {"weak-made", weak_made},
    {"upgrade-own", upgrade_own},
    {"upgrade-stranger", upgrade_stranger},
    {"upgrade-gone", upgrade_gone},
    {"upgrade-condemned", upgrade_condemned},
    {"condemn-commit", condemn_commit},
    {"own-release-final", own_release_final},
    {"str-release-final", str_release_final},
    {"protect", protect},
    {"dead-waits", dead_waits},
    {NULL, NULL},
};
