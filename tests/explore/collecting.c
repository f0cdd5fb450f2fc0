/* SPDX-License-Identifier: MIT
 *
 * collecting.c - explored programs: the collector between mutators (RACE-01 to RACE-08)
 */
#include "programs.h"

/* ---- RACE-01 to RACE-04 ------------------------------------------------------------------------------------------------- */

static void
close_and_keep(void)
{
    wane_enter();
    wane_set(&a->s[0], a);
    use(a);
    wane_leave();
}

static void
a_is_kept(void)
{
    EXPECT(count_of(a) == 2);
    wane_release(a);
    all_die();
}

const struct ex_program race_01 = {
    .name = "race_01",
    .scenario = "RACE-01: a new edge to itself after the count was read",
    .before = {make_noted_a}, .act = {close_and_keep, collect}, .check = a_is_kept, .deceived = true,
};

static void
make_self_and_partner(void)
{
    wane_enter();
    a = node_new();
    b = node_new();
    wane_set(&a->s[0], b);
    wane_set(&b->s[0], b);
    wane_set(&root, b);
    note(b);
    wane_release(b);
    wane_leave();
}

static void
cut_a(void)
{
    wane_clear(&a->s[0]);
    tend();
    tend();
    wane_enter();
    use(wane_peek(&root));
    wane_leave();
}

static void
b_is_kept(void)
{
    use(b);
    wane_clear(&root);
    wane_release(a);
    all_die();
}

const struct ex_program race_02 = {
    .name = "race_02",
    .scenario = "RACE-02: an edge is displaced and given back between the reading of edges and of counts",
    .before = {make_self_and_partner}, .act = {cut_a, collect}, .check = b_is_kept, .deceived = true,
};

static void
make_ring_held_by_b(void)
{
    make_ring();
    wane_enter();
    note(a);
    wane_release(a);
    wane_leave();
}

static struct node *kept;

static void
borrow_and_release(void)
{
    wane_enter();
    kept = wane_peek(&b->s[0]);
    wane_release(b);
    use(kept);
    wane_retain(kept);
    wane_leave();
    use(kept);
    use(wane_peek(&kept->s[0]));
}

static void
kept_lives(void)
{
    EXPECT(dead() == 0);
    EXPECT(count_of(kept) == 2);
    wane_release(kept);
    all_die();
}

static void
kept_settles(void)
{
    EXPECT(dead() == 0);
    use(kept);
    wane_release(kept);
    all_die();
}

const struct ex_program race_03 = {
    .name = "race_03",
    .scenario = "RACE-03: the owned one is released while its child is borrowed",
    .before = {make_ring_held_by_b}, .act = {borrow_and_release, collect}, .check = kept_lives, .deceived = true,
};

/* M1 is in a section, puts its only unit into the ring and goes on borrowing: all words stand still. */
static void
put_and_borrow(void)
{
    wane_enter();
    wane_put(&a->s[1], b);
    use(b);
    use(a);
    wane_retain(b);
    wane_leave();
    kept = b;
}

const struct ex_program race_03_put = {
    .name = "race_03_put",
    .scenario = "RACE-03: the only unit goes into the ring, the borrow goes on",
    .before = {make_ring_held_by_b}, .act = {put_and_borrow, collect}, .check = kept_settles, .deceived = true,
};

static void
make_rooted_ring(void)
{
    make_ring();
    wane_enter();
    wane_set(&root, a);
    note(a);
    wane_release(b);
    wane_release(a);
    wane_leave();
}

static void
borrow_b_and_keep(void)
{
    struct node *n;

    wane_enter();
    n = wane_peek(&root);
    kept = n ? wane_peek(&n->s[0]) : NULL;
    if (kept) {
        use(kept);
        wane_retain(kept);
    }
    wane_leave();
    if (kept)
        use(kept);
}

static void
clear_root_and_tend(void)
{
    wane_clear(&root);
    tend();
}

static void
kept_if_any(void)
{
    if (kept) {
        EXPECT(dead() == 0);
        wane_release(kept);
    }
    all_die();
}

const struct ex_program race_04 = {
    .name = "race_04",
    .scenario = "RACE-04, RACE-12: reached through a root that is cleared, retained, counted at other times",
    .before = {make_rooted_ring}, .act = {borrow_b_and_keep, clear_root_and_tend, collect}, .check = kept_if_any,
    .deceived = true,
};

/* Between the traces a unit is in no slot, and not given back. */
static void
put_and_displace(void)
{
    wane_enter();
    wane_put(&a->s[0], a);
    use(a);
    wane_clear(&a->s[0]);
    wane_leave();
}

const struct ex_program displaced = {
    .name = "displaced",
    .scenario = "section 8, no trace 2: a unit is displaced between the traces, and waits",
    .before = {make_noted_a}, .act = {put_and_displace, collect}, .check = all_die, .deceived = true,
};

static void
make_noted_self(void)
{
    make_noted_a();
    wane_set(&a->s[0], a);
}

static void
clear_and_put_and_borrow(void)
{
    wane_clear(&a->s[0]);
    pass_grace();
    wane_enter();
    wane_put(&a->s[0], a);
    use(a);
    wane_retain(a);
    wane_leave();
    kept = a;
}

const struct ex_program race_02_put = {
    .name = "race_02_put",
    .scenario = "RACE-02: an edge goes, its unit is given back, another one takes its place, the borrow goes on",
    .before = {make_noted_self}, .act = {clear_and_put_and_borrow, collect}, .check = kept_settles, .deceived = true,
};

/* Retained, displaced, given back: the count is what it was, the version is not. */
static void
put_retain_clear_put(void)
{
    wane_enter();
    wane_put(&a->s[0], a);
    use(a);
    wane_retain(a);
    wane_clear(&a->s[0]);
    wane_leave();
    pass_grace();
    wane_enter();
    wane_put(&a->s[0], a);
    use(a);
    wane_retain(a);
    wane_leave();
    kept = a;
}

const struct ex_program race_07_self = {
    .name = "race_07_self",
    .scenario = "RACE-07 with one object",
    .before = {make_noted_a}, .act = {put_retain_clear_put, collect}, .check = kept_settles, .deceived = true,
};

/* ---- RACE-05 to RACE-08 ------------------------------------------------------------------------------------------------- */

static void
make_movable(void)
{
    wane_enter();
    a = node_new();
    b = node_new();
    c = node_new();
    wane_put_private(&a->s[0], b);
    wane_put_private(&a->s[1], c);
    wane_set_private(&b->s[0], a);
    note(a);
    wane_leave();
}

static void
move(wane_slot *from, wane_slot *to)
{
    wane_enter();
    wane_put_private(to, wane_take_private(from));
    wane_leave();
}

static void
move_about(void)
{
    for (int i = 0; i < 2; i++) {
        move(&b->s[0], &c->s[0]);
        move(&c->s[0], &b->s[0]);
    }
    move(&b->s[0], &c->s[0]);
    use(a);
}

static void
mover_holds_a(void)
{
    EXPECT(dead() == 0);
    EXPECT(count_of(a) == 2);
    wane_release(a);
    all_die();
}

const struct ex_program race_05 = {
    .name = "race_05",
    .scenario = "RACE-05: a unit moves between members and is seen twice",
    .before = {make_movable}, .act = {move_about, collect}, .check = mover_holds_a, .deceived = true,
};

static void
flip(struct node **which)
{
    struct node *this = *which, *other;

    wane_enter();
    other = wane_peek(&this->s[0]);
    use(other);
    wane_retain(other);
    wane_leave();
    wane_release(this);
    *which = other;
}

static void
make_alternating(void)
{
    make_ring();
    wane_release(b);
    kept = a;
    flip(&kept);
    flip(&kept);
}

static void
flip_often(void)
{
    for (int i = 0; i < 6; i++)
        flip(&kept);
}

const struct ex_program race_06 = {
    .name = "race_06",
    .scenario = "RACE-06: the owner holds always one of two, in turns",
    .before = {make_alternating}, .act = {flip_often, collect}, .check = kept_lives, .deceived = true,
};

/* Units go in and come out; at the end M1 holds b and a holds it once. */
static void
put_cut_and_put_again(void)
{
    wane_enter();
    wane_put(&a->s[1], b);
    use(b);
    wane_retain(b);
    wane_clear(&a->s[1]);
    wane_leave();
    tend();
    tend();
    wane_enter();
    wane_put(&a->s[1], b);
    use(b);
    wane_retain(b);
    wane_clear(&a->s[1]);
    wane_leave();
    kept = b;
}

const struct ex_program race_07 = {
    .name = "race_07",
    .scenario = "RACE-07: counts are equal at both readings, what they are made of is not",
    .before = {make_ring_held_by_b}, .act = {put_cut_and_put_again, collect}, .check = kept_settles, .deceived = true,
};

static void
make_ring_and_c(void)
{
    wane_enter();
    c = node_new();
    note(c);
    wane_leave();
    make_ring();
    wane_enter();
    note(b);
    wane_release(a);
    wane_leave();
}

static void
store_into_c(void)
{
    wane_enter();
    wane_put(&a->s[1], b);
    use(b);
    wane_set(&c->s[0], b);
    wane_leave();
    wane_enter();
    use(wane_peek(&c->s[0]));
    wane_leave();
}

static void
c_holds_the_ring(void)
{
    EXPECT(dead() == 0);
    use(wane_peek(&c->s[0]));
    wane_release(c);
    all_die();
}

const struct ex_program race_08 = {
    .name = "race_08",
    .scenario = "RACE-08: a new edge from an object that was scanned already",
    .before = {make_ring_and_c}, .act = {store_into_c, collect}, .check = c_holds_the_ring,
};

const struct ex_program race_08_deceived = {
    .name = "race_08_deceived",
    .scenario = "RACE-08 in the review: all were suspected",
    .before = {make_ring_and_c}, .act = {store_into_c, collect}, .check = c_holds_the_ring, .deceived = true,
};
