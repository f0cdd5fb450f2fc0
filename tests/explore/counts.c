/* SPDX-License-Identifier: MIT
 *
 * counts.c - explored programs: counts, the merge queue, claims, records, hand-off, shared objects, logs
 */
#include "programs.h"

/* ---- Counts ------------------------------------------------------------------------------------------------------------ */

static void
make_a(void)
{
    wane_enter();
    a = node_new();
    wane_leave();
}

static void
make_leaf_for_two(void)
{
    wane_enter();
    a = leaf_new();
    wane_retain(a);
    wane_leave();
}

static void
make_for_two(void)
{
    make_a();
    wane_enter();
    wane_retain(a);
    wane_leave();
}

static void
make_for_three(void)
{
    make_for_two();
    wane_enter();
    wane_retain(a);
    wane_leave();
}

static void
release_a(void)
{
    use(a);
    wane_release(a);
}

static void
release_a_inside(void)
{
    wane_enter();
    release_a();
    wane_leave();
}

static void
retain_and_release_a(void)
{
    wane_enter();
    wane_retain(a);
    use(a);
    wane_release(a);
    wane_leave();
    release_a_inside();
}

static void
is_gone_after_a_barrier(void)
{
    EXPECT(wane_barrier() == 0);
    EXPECT(dead() == born);
}

const struct ex_program two_zero_makers = {
    .name = "two_zero_makers",
    .scenario = "BIAS-02, CNT-03: the owner's last release against a stranger's",
    .before = {make_leaf_for_two}, .act = {release_a_inside, release_a}, .check = is_gone_after_a_barrier,
};

const struct ex_program three_releases = {
    .name = "three_releases",
    .scenario = "BIAS-01, BIAS-10, CNT-01: owner and two strangers; merge, queue, candidate marks",
    .before = {make_for_three}, .act = {retain_and_release_a, release_a_inside, release_a}, .check = is_gone_after_a_barrier,
};

static void
make_leaf(void)
{
    wane_enter();
    a = leaf_new();
    wane_leave();
}

static void
retain_a(void)
{
    wane_enter();
    wane_retain(a);
    wane_leave();
}

const struct ex_program merge_lives = {
    .name = "merge_lives",
    .scenario = "BIAS-01: the owner's last unit goes while a stranger holds one, who then kills",
    .before = {make_leaf, retain_a}, .act = {release_a_inside, release_a}, .check = is_gone_after_a_barrier,
};

static void
nothing(void)
{
}

static void
barrier(void)
{
    EXPECT(wane_barrier() == 0);
}

const struct ex_program owner_exits = {
    .name = "owner_exits",
    .scenario = "BIAS-04, LIFE-01: the owner ends between the look at it and the push; a driver acts for it",
    .before = {make_a}, .act = {nothing, release_a, barrier}, .check = is_gone_after_a_barrier,
};

static void
use_in_a_section(void)
{
    struct node *n;

    wane_enter();
    n = leaf_new();
    wane_retain(n);
    wane_release(n);
    wane_leave();
    wane_release(n);
}

static void
release_and_come_again(void)
{
    release_a();
    use_in_a_section();
}

const struct ex_program adopted_record = {
    .name = "adopted_record",
    .scenario = "RACE-31, BIAS-15: a record with a queue is used again while a stranger gives it more",
    .before = {make_for_two, nothing}, .act = {nothing, release_and_come_again, use_in_a_section, release_a_inside},
    .check = is_gone_after_a_barrier,
};

static bool owned;

static void
retain_owned(void)
{
    retain_a();
    owned = true;
}

static void
give_up(void)
{
    use(a);
    owned = false;
    wane_release(a);
}

static void
is_it_mine(void)
{
    wane_enter();
    if (wane_is_unique(a))
        EXPECT(!owned);
    wane_release(a);
    wane_leave();
}

const struct ex_program unique = {
    .name = "unique",
    .scenario = "CNT-06, FIN-20: who is told that it is the only holder is the only holder",
    .before = {make_a, retain_owned}, .act = {is_it_mine, give_up}, .check = is_gone_after_a_barrier,
};

static wane_slot other_root;

static void
make_merged(void)
{
    make_a();
    wane_enter();
    wane_set(&root, a);
    wane_set(&other_root, a);
    wane_release(a); /* merged: both units lie in slots */
    wane_leave();
}

static void
take_and_release(void)
{
    struct node *n = wane_take(&root);

    use(n);
    wane_release(n);
}

static void
clear_other(void)
{
    wane_clear(&other_root);
    tend();
}

static void
get_other(void)
{
    struct node *n = wane_get(&other_root);

    if (n) {
        use(n);
        wane_release(n);
    }
}

const struct ex_program slots = {
    .name = "slots",
    .scenario = "SLOT-01, SLOT-04, DEF-14: take, clear and get of one object; its last units are in the logs",
    .before = {make_merged}, .act = {take_and_release, clear_other, get_other}, .check = is_gone_after_a_barrier,
};

/* ---- Logs and grace periods -------------------------------------------------------------------------------------------- */

static void
make_rooted(void)
{
    wane_enter();
    a = node_new();
    wane_put(&root, a);
    wane_leave();
}

static void
borrow_twice(void)
{
    for (int i = 0; i < 2; i++) {
        struct node *n;

        wane_enter();
        n = wane_peek(&root);
        if (n)
            use(n);
        wane_retain(n);
        wane_release(n);
        if (n)
            use(n);
        wane_leave();
    }
}

static void
replace_root(void)
{
    struct node *n;

    wane_enter();
    n = node_new();
    wane_put(&root, n);
    wane_leave();
    tend();
    tend();
}

static void
clear_root_and_wait(void)
{
    wane_clear(&root);
    barrier();
}

static void
roots_are_gone(void)
{
    wane_clear(&root);
    wane_clear(&other_root);
    is_gone_after_a_barrier();
}

const struct ex_program tickets = {
    .name = "tickets",
    .scenario = "DEF-01, DEF-03: borrowed, displaced, given back after the grace period",
    .before = {make_rooted}, .act = {borrow_twice, replace_root, clear_root_and_wait}, .check = roots_are_gone,
};

const struct ex_program tickets_fenced = {
    .name = "tickets_fenced",
    .scenario = "DEF-01 as where there is no membarrier",
    .before = {make_rooted}, .act = {borrow_twice, replace_root, clear_root_and_wait}, .check = roots_are_gone, .fences = true,
};

/* Only the owner's plain count is at stake: it stands on its record, or another one, or somebody acts for it. */
static void
own_work(void)
{
    for (int i = 0; i < 2; i++) {
        wane_enter();
        wane_retain(a);
        wane_release(a);
        wane_leave();
    }
    wane_enter();
    wane_release(a);
    wane_leave();
}

static void
work_for_the_owner(void)
{
    wane_clear(&root);
    barrier();
}

static void
give_back_a(void)
{
    wane_enter();
    wane_retain(a); /* held by the root, or by the owner */
    wane_leave();
    wane_release(a);
    barrier();
}

static void
make_own_for_two(void)
{
    make_for_two();
    wane_enter();
    wane_set(&root, a);
    wane_leave();
}

static void
release_twice(void)
{
    give_back_a();
    wane_release(a);
    barrier();
}

const struct ex_program claim = {
    .name = "claim",
    .scenario = "DRV-10, BIAS-09: enter and leave against a driver that acts for the record",
    .before = {make_own_for_two}, .act = {own_work, release_twice, work_for_the_owner}, .check = is_gone_after_a_barrier,
};

const struct ex_program claim_fenced = {
    .name = "claim_fenced",
    .scenario = "BIAS-09 as where there is no membarrier",
    .before = {make_own_for_two}, .act = {own_work, release_twice, work_for_the_owner}, .check = is_gone_after_a_barrier,
    .fences = true,
};

/* One owner that enters, one claimer: small enough to be tried out. */
static void
enter_once(void)
{
    wane_enter();
    wane_release(a);
    wane_leave();
}

static void
release_and_drive(void)
{
    wane_release(a);
    barrier();
}

const struct ex_program claim_small = {
    .name = "claim_small",
    .scenario = "DRV-10: one section, one claim",
    .before = {make_leaf_for_two}, .act = {enter_once, release_and_drive}, .check = is_gone_after_a_barrier,
};

/* ---- The background ---------------------------------------------------------------------------------------------------- */

static void
the_background_comes(void)
{
    for (int i = 0; i < 2000 && dead() < born; i++)
        ex_sleep(5000000, "a wait for the background");
    EXPECT(dead() == born);
}

const struct ex_program reported = {
    .name = "reported",
    .scenario = "DEF-13: a backlog is reported, and the background comes, whoever sleeps or has ended",
    .before = {make_for_three}, .act = {release_a_inside, release_a, release_a},
    .check = the_background_comes, .background = true,
};

static void
make_garbage(void)
{
    make_ring();
    wane_release(b);
    wane_release(a);
}

const struct ex_program found_alone = {
    .name = "found_alone",
    .scenario = "LIFE-05, BIAS-13: a ring is found by the background after its owner has ended",
    .before = {make_rooted}, .act = {make_garbage, clear_root}, .check = the_background_comes, .background = true,
};

/* ---- Hand-off ---------------------------------------------------------------------------------------------------------- */

static struct node *parcel;

static void
make_noted_parcel(void)
{
    wane_enter();
    parcel = node_new();
    note(parcel);
    wane_leave();
}

static void
give_parcel(void)
{
    (void)wane_give(parcel); /* merged, if others know it */
    raise_flag();
}

static void
take_parcel(void)
{
    await_flag();
    (void)wane_adopt(parcel);
    wane_enter();
    wane_retain(parcel);
    wane_release(parcel);
    wane_leave();
    use(parcel);
    wane_release(parcel);
}

const struct ex_program given = {
    .name = "given",
    .scenario = "hand-off: given and adopted while the collector looks at it",
    .before = {make_noted_parcel}, .act = {give_parcel, take_parcel, collect}, .check = is_gone_after_a_barrier, .deceived = true,
};

/* The collector meets the parcel in a slot. */
static void
make_noted_container(void)
{
    wane_enter();
    d = node_new();
    wane_put(&d->s[0], node_new());
    note(d);
    wane_leave();
}

static void
take_out_and_give(void)
{
    parcel = wane_is_unique(d) ? wane_take_private(&d->s[0]) : wane_take(&d->s[0]);
    give_parcel();
    wane_release(d);
}

static void
parcel_is_gone(void)
{
    collect_all();
    EXPECT(dead() == born);
}

const struct ex_program given_met = {
    .name = "given_met",
    .scenario = "hand-off: taken out of a container that the collector traces, and given away",
    .before = {make_noted_container}, .act = {take_out_and_give, take_parcel, collect}, .check = parcel_is_gone, .deceived = true,
};

/* ---- Shared objects ---------------------------------------------------------------------------------------------------- */

static void
make_shared(void)
{
    make_a();
    wane_enter();
    wane_set(&root, a);
    EXPECT(wane_share(a) == 0);
    wane_leave();
}

static void
count_apart(void)
{
    struct node *n;

    wane_enter();
    n = wane_peek(&root);
    wane_retain(n);
    wane_leave();
    if (n) {
        use(n);
        wane_release(n);
    }
}

static void
unshare_a(void)
{
    wane_enter();
    EXPECT(wane_unshare(a) == 0);
    wane_leave();
    wane_release(a);
    tend();
    tend();
}

static void
clear_and_collect(void)
{
    wane_clear(&root);
    collect();
}

const struct ex_program shared = {
    .name = "shared",
    .scenario = "shared objects: counted apart, unshared, the last holder gone, in any order",
    .before = {make_shared}, .act = {unshare_a, count_apart, clear_and_collect, count_apart}, .check = is_gone_after_a_barrier,
};
