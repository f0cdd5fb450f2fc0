/* SPDX-License-Identifier: MIT
 *
 * state_handoff.c - rows of the state table: objects in transit, biased anew, shared, immortal, moved (state_table.h)
 */
#include "state_table.h"

#define M1 world.id1
#define M2 world.id2

static void
retain_and_release_inside(void *unused)
{
    (void)unused;
    WANE_SECTION
    {
        wane_retain(world.x);
        wane_release(world.x);
    }
}

/* ---- Hand-off ------------------------------------------------------------------------------------------------------------ */

static void
give_x(void *unused)
{
    (void)unused;
    world.rc = wane_give(world.x);
}

static void
adopt_x(void *unused)
{
    (void)unused;
    wane_adopt(world.x);
}

static void
give_clean(void)
{
    act(&world.m1, make_x, NULL);
    look();
    act(&world.m1, give_x, NULL);
    assert_int_equal(world.rc, 0);
    expect(WN_TRANSIT, false, 1, 0, 0, 0);
    end_of_x(1);
}

static void
give_marked(void)
{
    act(&world.m1, make_x, NULL);
    act(&world.m1, retain_and_release_inside, NULL);
    look();
    act(&world.m1, give_x, NULL);
    assert_int_equal(world.rc, 0);
    expect(0, false, 0, WN_MERGED | WN_OWNLOG, 1, 1);
    end_of_x(1);
}

static void
give_refused(void)
{
    act(&world.m1, make_x, NULL);
    act(&world.m2, retain_x, NULL);
    look();
    act(&world.m1, give_x, NULL);
    assert_int_equal(world.rc, -EBUSY);
    expect(M1, false, 1, 0, 1, 0);
    end_of_x(2);
}

static void
adopt_transit(void)
{
    act(&world.m1, make_x, NULL);
    act(&world.m1, give_x, NULL);
    look();
    act(&world.m2, adopt_x, NULL);
    expect(M2, false, 1, 0, 0, 0);
    act(&world.m2, release_x, NULL);
    assert_int_equal(world.ended, 1);
}

static void
transit_release(void)
{
    act(&world.m1, make_x, NULL);
    act(&world.m1, give_x, NULL);
    act(&world.m2, release_x, NULL);
    assert_int_equal(world.ended, 1);
}

static void
adopt_anew(void)
{
    merged_held_once();
    (void)collect(); /* its mark goes */
    look();
    act(&world.m2, adopt_x, NULL);
    expect(M2, false, 1, 0, 0, 1);
    act(&world.m2, release_x, NULL);
    assert_int_equal(world.ended, 1);
}

static void
claim_by_hand(void *unused)
{
    (void)unused;
    wn_flags_change(WANE_HEADER(world.x), 0, WN_CLAIMED);
}

static void
adopt_with_a_claim(void *unused)
{
    on_step("adopt:word0-written", claim_by_hand, NULL);
    adopt_x(unused);
    off_steps();
}

static void
adopt_lost(void)
{
    merged_held_once();
    (void)collect();
    look();
    act(&world.m2, adopt_with_a_claim, NULL);
    expect(0, false, 0, WN_MERGED | WN_CLAIMED, 1, 1); /* the claim's step */
    wn_flags_change(WANE_HEADER(world.x), WN_CLAIMED, 0);
    end_of_x(1);
}

/* ---- Sharing and immortality --------------------------------------------------------------------------------------------- */

static void
shared(void)
{
    act(&world.m1, make_x, NULL);
    look();
    assert_int_equal(wane_share(world.x), 0);
    expect(M1, false, 1, WN_SHARED | WN_QUEUED, WN_SHARE_BIAS + 1, 1);
    look();
    act(&world.m2, retain_x_inside, NULL);
    act(&world.m2, release_x_inside, NULL);
    act(&world.m2, retain_x, NULL);
    expect(M1, false, 1, WN_SHARED | WN_QUEUED, WN_SHARE_BIAS + 1, 0);
    look();
    assert_int_equal(wane_unshare(world.x), 0);
    expect(M1, false, 1, WN_QUEUED, WN_SHARE_BIAS + 1, 1);
    barrier(); /* settled: one unit of m2's, in word1; a release was the event. Merged: m1's unit, too */
    expect(0, false, 0, WN_BUFFERED | WN_MERGED, 2, 5);
    end_of_x(2);
}

static void
unshare_below(void)
{
    act(&world.m1, make_x, NULL);
    act(&world.m1, retain_x_inside, NULL);
    assert_int_equal(wane_share(world.x), 0);
    act(&world.m2, release_x_inside, NULL); /* one of m1's */
    assert_int_equal(wane_unshare(world.x), 0);
    barrier(); /* -1 without its owner's two: it is queued, merged, and the queue's unit given back */
    assert_int_equal(word1() & (WN_MERGED | WN_QUEUED | WN_SHARED), WN_MERGED);
    assert_int_equal(wn_count(word1()), 1);
    end_of_x(1);
}

static void
unshare_death(void)
{
    act(&world.m1, make_x, NULL);
    assert_int_equal(wane_share(world.x), 0);
    act(&world.m2, release_x_inside, NULL); /* m1's only one */
    barrier();
    assert_int_equal(world.ended, 0);
    assert_int_equal(wane_unshare(world.x), 0);
    barrier();
    (void)collect();
    assert_int_equal(world.ended, 1);
}

static void
immortal(void)
{
    static struct node *volatile for_ever; /* leak checkers follow it */

    act(&world.m1, make_x, NULL);
    look();
    for_ever = world.x;
    wane_immortal(for_ever);
    expect(M1, false, 1, 0, WN_IMMORTAL_CENTRE, 1);
    look();
    act(&world.m2, release_x, NULL);
    expect(M1, false, 1, 0, WN_IMMORTAL_CENTRE, 0);
}

static void
move(void)
{
    struct node *c = node_new(&world.ended_y);

    act(&world.m1, make_x, NULL);
    wane_put_private(&c->s[0], world.x);
    look();
    assert_ptr_equal(wane_take_private(&c->s[0]), world.x);
    assert_int_equal(wn_count(word1()), 0);
    assert_int_equal(wn_owner(word0()), M1);
    assert_int_equal((word1() - world.before1) >> WN_VERSION_SHIFT, 1);
    wane_release(c);
    end_of_x(1);
}

const struct row rows_of_handoff[] = {
    {"give-clean", give_clean},
    {"give-marked", give_marked},
    {"give-refused", give_refused},
    {"adopt-transit", adopt_transit},
    {"transit-release", transit_release},
    {"adopt-anew", adopt_anew},
    {"adopt-lost", adopt_lost},
    {"share", shared},
    {"unshare-below", unshare_below},
    {"unshare-death", unshare_death},
    {"immortal", immortal},
    {"move", move},
    {NULL, NULL},
};
