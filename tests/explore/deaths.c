/* SPDX-License-Identifier: MIT
 *
 * deaths.c - explored programs: marks, deaths beside a collection, finalizers
 */
#include "programs.h"

/* ---- RACE-10 to RACE-15: marks and deaths -------------------------------------------------------------------------------- */

static void
release_a(void)
{
    wane_enter();
    wane_release(a);
    wane_leave();
}

static void
make_ring_held_by_a(void)
{
    make_ring();
    wane_enter();
    note(b);
    wane_release(b);
    note(a);
    wane_leave();
}

static void
one_collection_finds_all(void)
{
    EXPECT(wane_collect(WANE_ALL, NULL) == 0);
    EXPECT(dead() == born);
}

const struct ex_program race_11 = {
    .name = "race_11",
    .scenario = "RACE-11: the release meets the mark just as the collector clears it",
    .before = {make_ring_held_by_a}, .act = {release_a, collect}, .check = one_collection_finds_all,
};

static void
make_ring_held_by_others(void)
{
    make_ring_held_by_a();
    wane_enter();
    wane_retain(a);
    wane_leave();
}

static void
release_a_outside(void)
{
    wane_release(a);
}

const struct ex_program race_40 = {
    .name = "race_40",
    .scenario = "RACE-40, BIAS-14: owner and stranger let go at once; one of them makes the candidate",
    .before = {make_ring_held_by_others}, .act = {release_a, release_a_outside, collect}, .check = one_collection_finds_all,
};

static void
make_two_units_in_a_ring(void)
{
    wane_enter();
    a = node_new();
    b = node_new();
    wane_leave();
}

static void
put_b_into_a(void)
{
    wane_put(&a->s[0], b);
}

static void
put_a_into_b(void)
{
    wane_put(&b->s[0], a);
}

const struct ex_program closed_by_two = {
    .name = "closed_by_two",
    .scenario = "CYC-06: two threads close a ring with their last units, one edge each",
    .before = {make_two_units_in_a_ring}, .act = {put_b_into_a, put_a_into_b}, .check = one_collection_finds_all,
};

static void
die_and_be_born(void)
{
    wane_enter();
    wane_release(a);
    b = node_new();
    wane_leave();
    use(b);
}

static void
b_lives(void)
{
    use(b);
    EXPECT(count_of(b) == 1);
    wane_release(b);
    all_die();
}

const struct ex_program race_13 = {
    .name = "race_13",
    .scenario = "RACE-13: a candidate dies and its memory would be used again",
    .before = {make_noted_a}, .act = {die_and_be_born, collect}, .check = b_lives,
};

static void
make_chain(void)
{
    wane_enter();
    a = node_new();
    b = node_new();
    c = node_new();
    wane_put(&a->s[0], b);
    wane_put(&b->s[0], c);
    note(a);
    wane_leave();
}

static void
cut_chain(void)
{
    wane_clear(&a->s[0]);
    tend();
    wane_release(a);
    tend();
}

const struct ex_program race_14 = {
    .name = "race_14",
    .scenario = "RACE-14, RACE-26: a chain dies by its counts while the collector goes along it",
    .before = {make_chain}, .act = {cut_chain, collect}, .check = all_die,
};

static void
break_ring(void)
{
    wane_clear(&a->s[0]);
    wane_release(a);
    tend();
    tend();
}

const struct ex_program race_15 = {
    .name = "race_15",
    .scenario = "RACE-14, RACE-15: a ring is broken and dies by its counts, or the collector finds it",
    .before = {make_ring_held_by_a}, .act = {break_ring, collect}, .check = all_die,
};

static void
make_bare_chain(void)
{
    make_noted_a();
    wane_enter();
    wane_put_private(&a->s[0], bare_new());
    wane_put_private(&a->s[1], bare_new());
    wane_leave();
}

static void
drop_children_at_once(void)
{
    wane_enter();
    wane_clear_private(&a->s[0]);
    wane_clear_private(&a->s[1]);
    wane_leave();
}

static void
a_ends(void)
{
    wane_release(a);
    all_die();
}

const struct ex_program dies_in_a_scan = {
    .name = "dies_in_a_scan",
    .scenario = "section 7: what dies plainly is freed at once, unless the collector may be on its way to it",
    .before = {make_bare_chain}, .act = {drop_children_at_once, collect}, .check = a_ends,
};

/* ---- Finalizers ----------------------------------------------------------------------------------------------------------- */

static void
revive_in_root(struct node *n)
{
    wane_set(&root, n);
}

static void
make_final_ring(void)
{
    on_final = revive_in_root;
    wane_enter();
    a = final_new();
    b = node_new();
    wane_set(&a->s[0], b);
    wane_set(&b->s[0], a);
    note(a);
    wane_release(b);
    weak = wane_weak(a);
    wane_leave();
}

static void
collect_and_finalize(void)
{
    collect();
    (void)wane_run_finalizers();
}

static void
grab_from_root(void)
{
    struct node *n = wane_get(&root);

    if (n) {
        use(n);
        use(wane_peek(&n->s[0]));
        wane_release(n);
    }
    wane_clear(&root);
}

static void
finalized_once(void)
{
    for (int i = 0; i < 100 && dead() < born; i++) { /* the finalizer may be running on a thread of the library's */
        collect_all();
        wane_clear(&root);
        ex_sleep(1000000, "a finalizer");
    }
    EXPECT(dead() == born);
    EXPECT(finalized[1] == 1);
    EXPECT(wane_weak_get(weak) == NULL);
    wane_release(weak);
    all_die();
}

const struct ex_program revived = {
    .name = "revived",
    .scenario = "RACE-34, RACE-35, FIN-17: a finalizer stores its object, which is grabbed and dropped again",
    .before = {make_final_ring}, .act = {release_a, grab_from_root, collect_and_finalize}, .check = finalized_once,
};

static void
upgrade_and_drop(void)
{
    struct node *n = wane_weak_get(weak);

    if (n) {
        use(n);
        wane_release(n);
    }
}

const struct ex_program final_upgrade = {
    .name = "final_upgrade",
    .scenario = "FIN-16, RACE-16: finalizers are made due while somebody upgrades a member",
    .before = {make_final_ring}, .act = {release_a, upgrade_and_drop, collect_and_finalize}, .check = finalized_once,
};
