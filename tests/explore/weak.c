/* SPDX-License-Identifier: MIT
 *
 * weak.c - explored programs: weak references against the last release, and against the collector's decision
 */
#include "programs.h"

static void        *weak_a, *weak_b, *weak_c, *weak_d;
static struct node *got_a, *got_b;
static bool         null_a, null_b;

static void
make_watched(void)
{
    wane_enter();
    a = leaf_new();
    weak_a = wane_weak(a);
    wane_leave();
}

static void
release_a(void)
{
    wane_enter();
    wane_release(a);
    wane_leave();
}

static void
upgrade_a(void)
{
    got_a = wane_weak_get(weak_a);
    null_a = !got_a;
    if (got_a)
        use(got_a);
}

static void
end_of(struct node *got, void *reference, int id)
{
    if (got) {
        use(got);
        EXPECT(!died[id]);
        wane_release(got);
    }
    collect_all();
    EXPECT(died[id] == 1);
    EXPECT(wane_weak_get(reference) == NULL);
    wane_release(reference);
}

static void
a_ends(void)
{
    if (null_a)
        EXPECT(died[1] == 1);
    end_of(got_a, weak_a, 1);
}

const struct ex_program weak_death = {
    .name = "weak_death",
    .scenario = "WEAK-02, WEAK-13: the last release against an upgrade",
    .before = {make_watched}, .act = {release_a, upgrade_a}, .check = a_ends,
};

/* The address is used again while the table may still lead to the old weak object. */
static void
die_and_watch_another(void)
{
    struct node *n;
    void        *watch, *again;

    wane_enter();
    wane_release(a);
    n = leaf_new();
    watch = wane_weak(n);
    wane_leave();
    again = wane_weak_get(watch);
    EXPECT(again == n);
    wane_release(again);
    wane_release(n);
    EXPECT(wane_weak_get(watch) == NULL);
    wane_release(watch);
    tend();
}

const struct ex_program weak_reused = {
    .name = "weak_reused",
    .scenario = "WEAK-06, WEAK-12: the target's memory, and the table's way to it, after the death",
    .before = {make_watched}, .act = {die_and_watch_another, upgrade_a}, .check = a_ends,
};

static void
watch_a_too(void)
{
    void *again;

    wane_enter();
    again = wane_weak(a);
    wane_leave();
    EXPECT(again == weak_a);
    wane_release(again);
    wane_release(a);
}

static void
make_watched_for_two(void)
{
    make_watched();
    wane_enter();
    wane_retain(a);
    wane_leave();
}

const struct ex_program weak_made = {
    .name = "weak_made",
    .scenario = "WEAK-01, WEAK-06: a weak reference is made while others let go and upgrade",
    .before = {make_watched_for_two}, .act = {release_a, watch_a_too, upgrade_a}, .check = a_ends,
};

/* ---- Callbacks ------------------------------------------------------------------------------------------------------------ */

static int calls, registered, cancelled;

static void
called(void *reference, void *arg)
{
    (void)arg;
    EXPECT(wane_weak_get(reference) == NULL);
    calls++;
}

static void
notify_and_cancel(void)
{
    if (wane_weak_notify(weak_a, called, &calls) == 0)
        registered++;
    if (registered && wane_weak_unnotify(weak_a, called, &calls))
        cancelled++;
    if (wane_weak_notify(weak_a, called, &calls) == 0)
        registered++;
}

static void
each_call_once(void)
{
    got_a = NULL;
    a_ends();
    EXPECT(calls + cancelled == registered);
}

const struct ex_program notified = {
    .name = "notified",
    .scenario = "callbacks: registered, cancelled, registered again, and the death",
    .before = {make_watched}, .act = {release_a, notify_and_cancel}, .check = each_call_once,
};

/* ---- The decision -------------------------------------------------------------------------------------------------------- */

static void
make_watched_ring(void)
{
    make_ring();
    wane_enter();
    note(a);
    weak_a = wane_weak(a);
    weak_b = wane_weak(b);
    wane_leave();
    wane_release(a);
    wane_release(b);
}

static void
upgrade_b(void)
{
    got_b = wane_weak_get(weak_b);
    null_b = !got_b;
    if (got_b)
        use(got_b);
}

static void
ring_agrees(void)
{
    EXPECT(!(got_a && null_b) && !(got_b && null_a));
    if (got_a || got_b)
        EXPECT(dead() == 0);
    if (got_a)
        use(wane_peek(&got_a->s[0]));
    if (got_b)
        wane_release(got_b);
    end_of(got_a, weak_a, 1);
    end_of(NULL, weak_b, 2);
}

const struct ex_program race_19 = {
    .name = "race_19",
    .scenario = "RACE-17, RACE-18, RACE-19: two upgrades of members against the decision",
    .before = {make_watched_ring}, .act = {upgrade_a, upgrade_b, collect}, .check = ring_agrees,
};

/* b is upgraded only, dropped, and the second collection decides again. */
static void
upgrade_b_and_drop(void)
{
    struct node *n = wane_weak_get(weak_b);

    null_b = !n;
    if (n) {
        use(n);
        wane_release(n);
    }
}

static void
collect_twice(void)
{
    collect();
    collect();
}

static void
ring_is_consistent(void)
{
    if (got_a)
        EXPECT(dead() == 0 && !null_b);
    end_of(got_a, weak_a, 1);
    end_of(NULL, weak_b, 2);
}

const struct ex_program race_17 = {
    .name = "race_17",
    .scenario = "RACE-17: an upgrade aborts one decision, another one is taken afterwards",
    .before = {make_watched_ring}, .act = {upgrade_a, upgrade_b_and_drop, collect_twice}, .check = ring_is_consistent,
};

/* c and d, which call nobody when they end, hold a. */
static void
make_watched_by_a_ring(void)
{
    wane_enter();
    a = node_new();
    weak_a = wane_weak(a);
    c = bare_new();
    d = bare_new();
    wane_put(&c->s[0], a);
    wane_set(&d->s[0], c);
    wane_put(&c->s[1], d);
    note(c);
    wane_release(c);
    wane_leave();
}

const struct ex_program spared = {
    .name = "spared",
    .scenario = "an upgrade of what garbage without callbacks holds: its unit is given back",
    .before = {make_watched_by_a_ring}, .act = {upgrade_a, collect}, .check = a_ends,
};

/* Two components: one is decided after the other. */
static void
make_two_watched_rings(void)
{
    make_watched_ring();
    wane_enter();
    c = node_new();
    d = node_new();
    wane_set(&c->s[0], d);
    wane_set(&d->s[0], c);
    note(c);
    weak_c = wane_weak(c);
    weak_d = wane_weak(d);
    wane_leave();
    wane_release(c);
    wane_release(d);
}

static struct node *got_c, *got_d;
static bool         null_c, null_d;

static void
upgrade_a_and_c(void)
{
    upgrade_a();
    got_c = wane_weak_get(weak_c);
    null_c = !got_c;
}

static void
upgrade_d_and_b(void)
{
    got_d = wane_weak_get(weak_d);
    null_d = !got_d;
    upgrade_b();
}

static void
rings_agree(void)
{
    EXPECT(!(got_a && null_b) && !(got_b && null_a) && !(got_c && null_d) && !(got_d && null_c));
    if (got_a || got_b)
        EXPECT(!died[1] && !died[2]);
    if (got_c || got_d)
        EXPECT(!died[3] && !died[4]);
    if (got_b)
        wane_release(got_b);
    if (got_d)
        wane_release(got_d);
    end_of(got_a, weak_a, 1);
    end_of(NULL, weak_b, 2);
    end_of(got_c, weak_c, 3);
    end_of(NULL, weak_d, 4);
}

const struct ex_program two_decisions = {
    .name = "two_decisions",
    .scenario = "RACE-17, section 8: an upgrade meets the decision on another component",
    .before = {make_two_watched_rings}, .act = {upgrade_a_and_c, upgrade_d_and_b, collect_twice}, .check = rings_agree,
};
