/* SPDX-License-Identifier: MIT
 *
 * race_weak.c - weak references against the decision about their targets' component, at exact points
 *
 * Where a schedule needs two decisions that overlap one upgrade, the test plays the collector itself and calls
 * decide.h.
 */
#include "race_stopped.h"

#include "decide.h"

static struct {
    struct stopped m1, m2;
    struct node   *a, *b, *c;
    void          *weak_a, *weak_b;
    void          *got[2];
    int            ended;
    bool           b_first;
} world;

static int
setup(void **state)
{
    (void)state;
    memset(&world, 0, sizeof world);
    schedule_begin();
    stopped_start(&world.m1);
    stopped_start(&world.m2);
    return 0;
}

static int
teardown(void **state)
{
    (void)state;
    off_steps();
    stopped_end(&world.m1);
    stopped_end(&world.m2);
    return wane_shutdown();
}

/* ---- Rings ------------------------------------------------------------------------------------------------------- */

static struct node *
make_ring(struct node **second, void **weak_first, void **weak_second)
{
    struct node *first = node_new(&world.ended);

    *second = node_new(&world.ended);
    wane_set(&first->s[0], *second);
    wane_set(&(*second)->s[0], first);
    *weak_first = wane_weak(first);
    *weak_second = wane_weak(*second);
    return first;
}

/* A ring a <-> b that nobody holds, with a weak reference to either. */
static void
make_garbage(void)
{
    world.a = make_ring(&world.b, &world.weak_a, &world.weak_b);
    wane_release(world.a);
    wane_release(world.b);
}

static void
check_whole(const struct node *n)
{
    WANE_SECTION {
        const struct node *next = wane_peek(&n->s[0]);

        assert_true(n->canary == CANARY && next->canary == CANARY);
        assert_ptr_equal(wane_peek(&next->s[0]), n);
    }
}

static void
drop_weak(void)
{
    assert_null(wane_weak_get(world.weak_a));
    assert_null(wane_weak_get(world.weak_b));
    wane_release(world.weak_a);
    wane_release(world.weak_b);
}

/* The ring lives as long as what was got is held, and goes with it. */
static void
expect_ring_goes_with(void *held)
{
    check_whole(held);
    assert_int_equal(ended(&world.ended), 0);
    wane_release(held);
    off_steps();
    assert_int_equal(collect(), 2);
    assert_int_equal(ended(&world.ended), 2);
    drop_weak();
}

static bool
is_condemned(const struct node *n)
{
    return load_relaxed(&WANE_HEADER(n)->word1) & WN_CONDEMNED;
}

/* ---- RACE-17: an upgrade at each point of the decision ----------------------------------------------------------- */

static void
act_upgrade_a(void *unused)
{
    (void)unused;
    world.got[0] = upgrade_on(&world.m1, world.weak_a);
}

static void
race_17_upgrade_wins_at(const char *point)
{
    make_garbage();
    on_step(point, act_upgrade_a, NULL);
    assert_int_equal(collect(), 0);
    assert_int_equal(steps_seen(point) > 0, 1);
    assert_ptr_equal(world.got[0], world.a);
    expect_ring_goes_with(world.a);
}

static void
race_17_upgrade_while_undecided(void **state)
{
    (void)state;
    race_17_upgrade_wins_at("decide:undecided");
}

static void
race_17_upgrade_between_two_members(void **state)
{
    (void)state;
    race_17_upgrade_wins_at("decide:member");
}

static void
race_17_upgrade_of_the_condemned(void **state)
{
    (void)state;
    race_17_upgrade_wins_at("decide:condemned");
}

/* The first member is condemned: revive the ring through the one that is not yet, so that the next CAS fails. */
static void
upgrade_the_other(void *unused)
{
    (void)unused;
    world.b_first = is_condemned(world.b);
    world.got[0] = upgrade_on(&world.m1, world.b_first ? world.weak_a : world.weak_b);
}

/* In the roll-back: the first one is still condemned. */
static void
upgrade_the_condemned(void *unused)
{
    (void)unused;
    world.got[1] = upgrade_on(&world.m2, world.b_first ? world.weak_b : world.weak_a);
}

static void
race_17_upgrade_in_the_roll_back(const char *point)
{
    make_garbage();
    on_step("decide:member", upgrade_the_other, NULL);
    on_step(point, upgrade_the_condemned, NULL);
    assert_int_equal(collect(), 0);
    assert_ptr_equal(world.got[0], world.b_first ? world.a : world.b);
    assert_ptr_equal(world.got[1], world.b_first ? world.b : world.a);
    wane_release(world.got[1]);
    expect_ring_goes_with(world.got[0]);
}

static void
race_17_upgrade_before_the_abort(void **state)
{
    (void)state;
    race_17_upgrade_in_the_roll_back("decide:committed"); /* all is tried, nothing is settled */
}

static void
race_17_upgrade_after_the_abort(void **state)
{
    (void)state;
    race_17_upgrade_in_the_roll_back("decide:before-turn");
}

/* ---- RACE-19: two weak references into one component ------------------------------------------------------------- */

static void
act_upgrade_both(void *unused)
{
    (void)unused;
    world.got[0] = upgrade_on(&world.m1, world.weak_a);
    world.got[1] = upgrade_on(&world.m2, world.weak_b);
}

static void
race_19_both_before_the_commit(void **state)
{
    (void)state;
    make_garbage();
    on_step("decide:condemned", act_upgrade_both, NULL);
    assert_int_equal(collect(), 0);
    assert_ptr_equal(world.got[0], world.a);
    assert_ptr_equal(world.got[1], world.b);
    wane_release(world.b);
    expect_ring_goes_with(world.a);
}

static void
begin_upgrade_a_at_look(void *unused)
{
    (void)unused;
    begin_upgrade(&world.m1, world.weak_a, "weak:looked");
}

static void
finish_upgrade_a_and_upgrade_b(void *unused)
{
    (void)unused;
    go_on(&world.m1);
    world.got[1] = upgrade_on(&world.m2, world.weak_b);
}

/* One looked before the commit, the other comes after it: both get NULL. */
static void
race_19_both_after_the_commit(void **state)
{
    (void)state;
    make_garbage();
    on_step("decide:condemned", begin_upgrade_a_at_look, NULL);
    on_step("decide:committed", finish_upgrade_a_and_upgrade_b, NULL);
    assert_int_equal(collect(), 2);
    assert_null(world.m1.got);
    assert_null(world.got[1]);
    assert_int_equal(ended(&world.ended), 2);
    drop_weak();
}

static void
begin_upgrade_a_at_cas(void *unused)
{
    (void)unused;
    begin_upgrade(&world.m1, world.weak_a, "weak:before-cas");
}

static void
upgrade_b_and_finish_a(void *unused)
{
    (void)unused;
    world.got[1] = upgrade_on(&world.m2, world.weak_b); /* does not wait for the one that is stopped */
    go_on(&world.m1);
}

/* One has aborted the decision and stops before its CAS. The collector gives up, the other one upgrades; then it goes
 * on: the word was turned meanwhile, and it looks again. */
static void
race_19_one_stops_after_its_abort(void **state)
{
    (void)state;
    make_garbage();
    on_step("decide:condemned", begin_upgrade_a_at_cas, NULL);
    on_step("collect:settled", upgrade_b_and_finish_a, NULL);
    assert_int_equal(collect(), 0);
    assert_ptr_equal(world.m1.got, world.a);
    assert_ptr_equal(world.got[1], world.b);
    wane_release(world.b);
    expect_ring_goes_with(world.a);
}

/* One stops between its look and its CAS, in front of no decision at all; others upgrade, release, and it goes on. */
static void
race_upgrader_stops_and_others_go_on(void **state)
{
    (void)state;
    world.a = make_ring(&world.b, &world.weak_a, &world.weak_b);
    begin_upgrade(&world.m1, world.weak_a, "weak:before-cas");
    for (int i = 0; i < 100; i++) {
        assert_ptr_equal(upgrade_on(&world.m2, world.weak_a), world.a);
        assert_ptr_equal(wane_weak_get(world.weak_a), world.a);
        wane_release(world.a);
        wane_release(world.a);
    }
    wane_release(world.b);
    go_on(&world.m1);
    assert_ptr_equal(world.m1.got, world.a);
    wane_release(world.a);
    expect_ring_goes_with(world.a);
}

/* ---- Two decisions, one upgrade ---------------------------------------------------------------------------------- */

/* The test holds one unit of each, and plays the collector. The other threads upgrade through word1. */
static void
make_pair(void)
{
    world.a = make_ring(&world.b, &world.weak_a, &world.weak_b);
}

static bool
condemn(const struct node *n)
{
    struct wane_header *h = WANE_HEADER(n);

    return wn_decide_condemn(h, load_relaxed(&h->word1));
}

static void
drop_pair(void)
{
    wane_release(world.b);
    expect_ring_goes_with(world.a);
}

/* An upgrade judges a by the first decision; it is aborted; the second one, about b, is committed when the upgrade
 * reads the decision word. a was alive all the time. */
static void
race_committed_is_about_another(void **state)
{
    (void)state;
    make_pair();
    wn_decide_open();
    assert_true(condemn(world.a));
    begin_upgrade(&world.m1, world.weak_a, "weak:looked");
    assert_ptr_equal(upgrade_on(&world.m2, world.weak_a), world.a);
    assert_false(wn_decide_commit());
    wn_decide_turn(WANE_HEADER(world.a), false);
    wn_decide_open();
    assert_true(condemn(world.b));
    assert_true(wn_decide_commit());
    go_on(&world.m1);
    wn_decide_turn(WANE_HEADER(world.b), false); /* nobody has looked at b: it lives on */
    assert_ptr_equal(world.m1.got, world.a);
    wane_release(world.a);
    wane_release(world.a);
    drop_pair();
}

/* An upgrade has aborted the first decision about a and stops before its CAS; the second one about a is committed. */
static void
race_late_cas_after_two_decisions(void **state)
{
    (void)state;
    make_pair();
    wn_decide_open();
    assert_true(condemn(world.a));
    begin_upgrade(&world.m1, world.weak_a, "weak:before-cas");
    assert_false(wn_decide_commit());
    wn_decide_turn(WANE_HEADER(world.a), false);
    wn_decide_open();
    assert_true(condemn(world.a));
    assert_true(wn_decide_commit());
    go_on(&world.m1);
    world.got[0] = world.m1.got;
    if (world.got[0]) /* would be an upgrade of the dead: give it back, so that the test ends */
        wane_release(world.got[0]);
    wn_decide_turn(WANE_HEADER(world.a), false); /* only the stopped one has looked */
    assert_null(world.got[0]);
    drop_pair();
}

/* The last decision was committed; the next one's first member is condemned: it is undecided, not committed. */
static void
race_condemned_is_undecided_first(void **state)
{
    (void)state;
    make_garbage();
    assert_int_equal(collect(), 2);
    drop_weak();
    world.ended = 0;
    race_17_upgrade_wins_at("decide:member");
}

/* Two rings, in one collection. The first one's decision is aborted; while the second one's is committed, the first is
 * upgraded. */
static struct {
    void *weak[2], *got;
    int   first;
} two;

static void
upgrade_first_ring(void *unused)
{
    (void)unused;
    (void)upgrade_on(&world.m1, two.weak[two.first]);
    wane_release(world.m1.got);
    two.got = upgrade_on(&world.m1, two.weak[two.first]);
    wane_release(two.got);
}

static void
arm_second(void *unused)
{
    (void)unused;
    on_step("decide:committed", upgrade_first_ring, NULL);
}

static void
abort_first(void *unused)
{
    (void)unused;
    two.first = !is_condemned(world.a);
    world.got[0] = upgrade_on(&world.m2, two.weak[two.first]); /* held on */
    on_step("decide:member", arm_second, NULL);                /* the second ring's */
}

static void
race_next_decision_after_the_turn(void **state)
{
    struct node *d;
    void        *unused;

    (void)state;
    world.a = make_ring(&world.b, &two.weak[0], &world.weak_b);
    world.c = make_ring(&d, &two.weak[1], &unused);
    wane_release(world.a);
    wane_release(world.b);
    wane_release(world.c);
    wane_release(d);
    on_step("decide:condemned", abort_first, NULL);
    assert_int_equal(collect(), 2);
    assert_non_null(world.got[0]);
    assert_ptr_equal(two.got, world.got[0]);
    check_whole(world.got[0]);
    wane_release(world.got[0]);
    off_steps();
    assert_int_equal(collect(), 2);
    for (int i = 0; i < 2; i++) {
        assert_null(wane_weak_get(two.weak[i]));
        wane_release(two.weak[i]);
    }
    wane_release(world.weak_b);
    wane_release(unused);
}

int
main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(race_17_upgrade_while_undecided),
        T(race_17_upgrade_between_two_members),
        T(race_17_upgrade_of_the_condemned),
        T(race_17_upgrade_before_the_abort),
        T(race_17_upgrade_after_the_abort),
        T(race_19_both_before_the_commit),
        T(race_19_both_after_the_commit),
        T(race_19_one_stops_after_its_abort),
        T(race_upgrader_stops_and_others_go_on),
        T(race_committed_is_about_another),
        T(race_late_cas_after_two_decisions),
        T(race_condemned_is_undecided_first),
        T(race_next_decision_after_the_turn),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
