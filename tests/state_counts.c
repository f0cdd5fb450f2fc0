/* SPDX-License-Identifier: MIT
 *
 * state_counts.c - rows of the state table: retains, releases, merges, queues, hand-off, sharing (state_table.h)
 */
#include "state_table.h"

#include <sys/wait.h>
#include <unistd.h>

#define M1 world.id1
#define M2 world.id2

/* ---- Retain -------------------------------------------------------------------------------------------------------- */

static void
own_retain(void)
{
    act(&world.m1, make_x, NULL);
    look();
    act(&world.m1, retain_x_inside, NULL);
    expect(M1, false, 2, 0, 0, 0);
    end_of_x(2);
}

static void
own_retain_outside(void)
{
    act(&world.m1, make_x, NULL);
    look();
    act(&world.m1, retain_x, NULL);
    expect(M1, false, 1, 0, 1, 1);
    end_of_x(2);
}

static void
str_retain(void)
{
    act(&world.m1, make_x, NULL);
    look();
    act(&world.m2, retain_x_inside, NULL);
    expect(M1, false, 1, 0, 1, 1);
    end_of_x(2);
}

static void
str_retain_review(void)
{
    act(&world.m1, make_x, NULL);
    wn_flags_change(WANE_HEADER(world.x), 0, WN_REVIEW); /* by hand: no collection is under way */
    look();
    act(&world.m2, retain_x, NULL);
    expect(M1, false, 1, 0, 1, 1);
    end_of_x(2);
}

static void
str_retain_merged(void)
{
    merged_held_once();
    look();
    wane_retain(world.x);
    expect(0, false, 0, WN_MERGED | WN_BUFFERED, 2, 1);
    end_of_x(2);
}

#ifndef WN_TSAN /* it sees the fork as a stranger */
static int
dies_of(void (*fn)(void *))
{
    int   status;
    pid_t pid = fork();

    if (pid == 0) {
        signal(SIGABRT, SIG_DFL);
        if (!freopen("/dev/null", "w", stderr))
            _exit(1);
        fn(NULL);
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}
#endif

static void
make_dead(void)
{
    merged_held_once();
    wane_release(world.x); /* m2's: the mark keeps the memory */
    assert_int_equal(world.ended, 1);
    assert_true(wn_is_gone(word1()));
}

static void
dead_retain(void)
{
    make_dead();
#ifndef WN_TSAN
    assert_int_equal(dies_of(retain_x), SIGABRT);
#endif
    (void)collect();
}

static void
dead_release(void)
{
    make_dead();
#ifndef WN_TSAN
    assert_int_equal(dies_of(release_x), SIGABRT);
#endif
    (void)collect();
}

/* ---- Release by the owner ------------------------------------------------------------------------------------------ */

static void
own_release(void)
{
    act(&world.m1, make_x, NULL);
    act(&world.m1, retain_x_inside, NULL);
    look();
    act(&world.m1, release_x_inside, NULL);
    expect(M1, true, 1, 0, 0, 0);
    end_of_x(1);
}

static void
own_release_marked(void)
{
    act(&world.m1, make_x, NULL);
    act(&world.m1, retain_x_inside, NULL);
    act(&world.m2, retain_x, NULL);
    act(&world.m2, release_x, NULL); /* BUFFERED */
    look();
    act(&world.m1, release_x_inside, NULL);
    expect(M1, false, 1, WN_BUFFERED, 0, 0);
    end_of_x(1);
}

static void
own_release_leaf(void)
{
    act(&world.m1, make_leaf, NULL);
    act(&world.m1, retain_x_inside, NULL);
    look();
    act(&world.m1, release_x_inside, NULL);
    expect(M1, true, 1, 0, 0, 0);
    end_of_x(1);
}

static void
own_death(void)
{
    act(&world.m1, make_x, NULL);
    act(&world.m1, release_x_inside, NULL);
    assert_int_equal(world.ended, 1);
}

static void
own_merge_dies(void)
{
    act(&world.m1, make_x, NULL);
    act(&world.m2, retain_x, NULL);
    act(&world.m2, release_x, NULL); /* BUFFERED: not clean */
    look();
    act(&world.m1, release_x_inside, NULL);
    assert_int_equal(world.ended, 1);
    assert_int_equal(word1() & (WN_MERGED | WN_DEAD | WN_BUFFERED), WN_MERGED | WN_DEAD | WN_BUFFERED);
    assert_int_equal(wn_count(word1()), 0);
    (void)collect();
}

static void
own_merge_lives(void)
{
    act(&world.m1, make_x, NULL);
    act(&world.m2, retain_x, NULL);
    look();
    act(&world.m1, release_x_inside, NULL);
    expect(0, false, 0, WN_MERGED | WN_BUFFERED, 1, 1);
    end_of_x(1);
}

/* ---- Release by strangers ------------------------------------------------------------------------------------------- */

static void
str_release(void)
{
    act(&world.m1, make_x, NULL);
    act(&world.m2, retain_x, NULL);
    look();
    act(&world.m2, release_x, NULL);
    expect(M1, false, 1, WN_BUFFERED, 0, 1);
    end_of_x(1);
}

static void
str_release_queue(void)
{
    act(&world.m1, make_x, NULL);
    act(&world.m1, retain_x_inside, NULL);
    look();
    act(&world.m2, release_x, NULL); /* one of m1's, by agreement */
    expect(M1, false, 2, WN_QUEUED, 0, 1);
    assert_non_null(load_relaxed(&wn_record(M1)->queue));
    end_of_x(1);
}

static void
str_release_below(void)
{
    act(&world.m1, make_x, NULL);
    act(&world.m1, retain_x_inside, NULL);
    act(&world.m1, retain_x_inside, NULL);
    act(&world.m2, release_x, NULL);
    look();
    act(&world.m2, release_x, NULL);
    expect(M1, false, 3, WN_QUEUED | WN_BUFFERED, -1, 1);
    end_of_x(1);
}

static void
str_release_merged(void)
{
    merged_held_once();
    wane_retain(world.x);
    look();
    act(&world.m2, release_x, NULL);
    expect(0, false, 0, WN_MERGED | WN_BUFFERED, 1, 1);
    end_of_x(1);
}

static void
str_release_leaf(void)
{
    act(&world.m1, make_leaf, NULL);
    act(&world.m2, retain_x, NULL);
    act(&world.m2, retain_x, NULL);
    act(&world.m1, release_x_inside, NULL);
    look();
    act(&world.m2, release_x, NULL);
    expect(0, false, 0, WN_MERGED, 1, 1);
    end_of_x(1);
}

static void
str_release_dies(void)
{
    merged_held_once();
    act(&world.m2, release_x, NULL);
    assert_int_equal(world.ended, 1);
    assert_int_equal(word1() & (WN_MERGED | WN_DEAD), WN_MERGED | WN_DEAD);
    assert_int_equal(wn_count(word1()), 0);
    (void)collect();
}

/* ---- Queue ----------------------------------------------------------------------------------------------------------- */

static void
drain(void)
{
    act(&world.m1, make_x, NULL);
    act(&world.m1, retain_x_inside, NULL);
    act(&world.m1, retain_x_inside, NULL);
    act(&world.m2, release_x, NULL);
    look();
    barrier(); /* m1 sleeps: a claimer drains for it. The merge, then the release of the queue's unit */
    expect(0, false, 0, WN_MERGED | WN_BUFFERED, 2, 2);
    end_of_x(2);
}

static void
drain_late(void)
{
    act(&world.m1, make_x, NULL);
    act(&world.m1, retain_x_inside, NULL);
    act(&world.m2, retain_x, NULL);
    act(&world.m2, retain_x, NULL);
    act(&world.m2, release_x, NULL);
    act(&world.m2, release_x, NULL);
    act(&world.m2, release_x, NULL); /* QUEUED */
    WANE_SECTION
    {
        /* by hand: m1 merges it for another reason while the entry waits (its record is not claimed now) */
        uint64_t me = wane_self.me;

        wane_self.me = wn_record(M1)->pub.me;
        assert_true(wn_count_merge(WANE_HEADER(world.x), wn_type_of(WANE_HEADER(world.x)), wn_record(M1)));
        wane_self.me = me;
    }
    wn_flags_change(WANE_HEADER(world.x), 0, WN_QUEUED); /* as if the merge had not been a drain */
    wane_retain(world.x);
    look();
    barrier();
    expect(0, false, 0, WN_MERGED | WN_BUFFERED, 2, 2);
    end_of_x(2);
}

static void
push_to_m2(void *unused)
{
    (void)unused;
    WANE_SECTION
    {
        assert_true(wn_node_reserve(wn_standing()));
        wn_queue_push(wn_standing(), M2, WANE_HEADER(world.x));
    }
}

static void
drain_elsewhere(void)
{
    act(&world.m1, make_x, NULL);
    act(&world.m2, retain_x, NULL);
    /* by hand: an entry on the queue of a record that does not own it */
    wn_flags_change(WANE_HEADER(world.x), 0, WN_QUEUED);
    act(&world.m2, push_to_m2, NULL);
    barrier(); /* passed on to m1, merged there, m2's unit given back */
    assert_true(word1() & WN_MERGED);
    assert_false(word1() & WN_QUEUED);
    assert_int_equal(wn_count(word1()), 1);
    end_of_x(1);
}

/* ---- Intent of a vanished merger --------------------------------------------------------------------------------------- */

static void
replay(void)
{
    struct wn_record *r;

    act(&world.m1, make_x, NULL);
    act(&world.m1, retain_x_inside, NULL);
    act(&world.m2, retain_x, NULL);
    r = wn_record(M1);
    /* by hand, what a merger leaves that was stopped after it gave word0 up */
    store_relaxed(&r->intent.local, wn_local(word0()));
    store_relaxed(&r->intent.object, (void *)WANE_HEADER(world.x));
    store_relaxed(&WANE_HEADER(world.x)->word0, word0() & ~WN_LINK_MASK);
    look();
    wn_count_replay_intent(r);
    expect(0, false, 0, WN_MERGED | WN_OWNLOG, 3, 1);
    assert_null(load_relaxed(&r->intent.object));
    wn_flags_change(WANE_HEADER(world.x), WN_OWNLOG, 0); /* there is no entry behind it here */
    end_of_x(3);
}

const struct row rows_of_counts[] = {
    {"own-retain", own_retain},
    {"own-retain-outside", own_retain_outside},
    {"str-retain", str_retain},
    {"str-retain-review", str_retain_review},
    {"str-retain-merged", str_retain_merged},
    {"dead-retain", dead_retain},
    {"dead-release", dead_release},
    {"own-release", own_release},
    {"own-release-marked", own_release_marked},
    {"own-release-leaf", own_release_leaf},
    {"own-death", own_death},
    {"own-merge-dies", own_merge_dies},
    {"own-merge-lives", own_merge_lives},
    {"str-release", str_release},
    {"str-release-queue", str_release_queue},
    {"str-release-below", str_release_below},
    {"str-release-merged", str_release_merged},
    {"str-release-leaf", str_release_leaf},
    {"str-release-dies", str_release_dies},
    {"drain", drain},
    {"drain-late", drain_late},
    {"drain-elsewhere", drain_elsewhere},
    {"replay", replay},
    {NULL, NULL},
};
