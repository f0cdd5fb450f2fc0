/* SPDX-License-Identifier: MIT
 *
 * race_share.c - shared objects: counted on records, unshared under those who count, found dead, collected
 */
#include "handoff_common.h"

#include "log.h"
#include "memory.h"

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
    assert_int_equal(wn_count(word1_of(w.x)), 2); /* and none in word0: m1 was asked to merge */
    assert_true(word1_of(w.x) & WN_MERGED);
    assert_int_equal(wane_share(w.x), 0);
    assert_int_equal(wane_unshare(w.x), 0);
    assert_int_equal(wane_barrier(), 0);
    act(&w.m2, release_x, NULL);
    assert_int_equal(w.x_ended, 0);
    act(&w.m1, release_x, NULL);
    (void)collect();
    assert_int_equal(w.x_ended, 1);
}

static void
share_x(void *unused)
{
    (void)unused;
    assert_int_equal(wane_share(w.x), 0);
}

static void
retain_and_release_x(void *unused)
{
    (void)unused;
    WANE_SECTION
    {
        wane_retain(w.x);
        wane_retain(w.x);
        wane_release(w.x);
    }
}

/* Nobody writes to the header of a shared object, its owner no more than others. */
static void
the_header_of_a_shared_object_rests(void **state)
{
    uint64_t word0, word1;

    (void)state;
    act(&w.m1, make_x, NULL);
    act(&w.m1, share_x, NULL);
    word0 = word0_of(w.x);
    word1 = word1_of(w.x);
    assert_int_equal(wn_owner(word0), 0);
    act(&w.m1, retain_and_release_x, NULL);
    act(&w.m2, retain_and_release_x, NULL);
    assert_int_equal(word0_of(w.x), word0);
    assert_int_equal(word1_of(w.x), word1);
    assert_int_equal(wane_unshare(w.x), 0);
    assert_int_equal(wane_barrier(), 0);
    assert_int_equal(wn_count(word1_of(w.x)), 3);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(w.x_ended, 0);
        act(&w.m2, release_x, NULL);
    }
    assert_int_equal(wane_barrier(), 0);
    (void)collect();
    assert_int_equal(w.x_ended, 1);
}

/* Shared by another, it is merged when its owner next leaves a section; until then he counts in word0. */
static void
its_owner_is_asked_to_merge(void **state)
{
    (void)state;
    act(&w.m1, make_x, NULL);
    share_x(NULL);
    assert_true(word1_of(w.x) & WN_QUEUED);
    assert_int_equal(wn_owner(word0_of(w.x)), w.id1);
    act(&w.m1, retain_and_release_x, NULL);
    assert_int_equal(wn_owner(word0_of(w.x)), 0);
    assert_int_equal(word1_of(w.x) & (WN_MERGED | WN_QUEUED | WN_SHARED), WN_MERGED | WN_SHARED);
    assert_int_equal(wane_unshare(w.x), 0);
    assert_int_equal(wane_barrier(), 0);
    assert_int_equal(wn_count(word1_of(w.x)), 2);
    act(&w.m1, release_x, NULL);
    act(&w.m2, release_x, NULL);
    assert_int_equal(wane_barrier(), 0);
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

/* Not merged yet, and below zero without its owner's part: it is on its owner's queue. */
static void
below_zero_it_is_on_its_owners_queue(void **state)
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

/* ---- Until the owner merges ------------------------------------------------------------------------------------------ */

/* m1, in its section: it has retained 2^30 times, m2 has given all of that back, and only one unit is left. */
static void
fill_local(void)
{
    wane_retain(w.x);
    act(&w.m2, release_x_inside, NULL);
    store_relaxed(&WANE_HEADER(w.x)->word0, word0_of(w.x) - 2 + WANE_LOCAL_LIMIT);
    store_relaxed(&entry_of(w.id2, w.x)->units, -WANE_LOCAL_LIMIT + 1);
}

static void
retain_with_a_full_local_count(void *unused)
{
    (void)unused;
    WANE_SECTION
    {
        fill_local();
        for (int i = 0; i < 3; i++) {
            wane_retain(w.x);
            act(&w.m2, release_x_inside, NULL);
        }
        assert_true(wn_local(word0_of(w.x)) < WANE_LOCAL_LIMIT);
    }
}

static void
release_with_a_full_local_count(void *unused)
{
    (void)unused;
    WANE_SECTION
    {
        fill_local();
        for (int i = 0; i < 3; i++) {
            act(&w.m2, retain_x_inside, NULL);
            wane_release(w.x);
        }
        assert_true(wn_local(word0_of(w.x)) < WANE_LOCAL_LIMIT);
    }
}

static void
merge_with_a_full_local_count(void *unused)
{
    (void)unused;
    WANE_SECTION
    fill_local();
}

static void
make_and_share_x_from_here(void)
{
    act(&w.m1, make_x, NULL);
    share_x(NULL);
    assert_int_not_equal(wn_owner(word0_of(w.x)), 0);
}

/* Until its owner merges it. */
static void
what_the_owner_counts_moves_on_before_it_saturates(void **state)
{
    (void)state;
    make_and_share_x_from_here();
    act(&w.m1, retain_with_a_full_local_count, NULL);
    x_has(1);
    w.x_ended = 0;
    make_and_share_x_from_here();
    act(&w.m1, release_with_a_full_local_count, NULL);
    x_has(1);
}

/* A merge of such an object makes no immortal of it. */
static void
a_full_local_count_is_merged_into_the_entry(void **state)
{
    (void)state;
    make_and_share_x_from_here();
    act(&w.m1, merge_with_a_full_local_count, NULL);
    assert_true(word1_of(w.x) & WN_MERGED);
    for (int i = 0; i < 3; i++) {
        act(&w.m1, retain_x_inside, NULL);
        act(&w.m2, release_x_inside, NULL);
    }
    x_has(1);
}

/* ---- More objects than a record has entries for ---------------------------------------------------------------------- */

#define MANY 100

static struct node *many[MANY];

DEED(m1_retains_many)
{
    for (int i = 0; i < MANY; i++)
        (void)wane_retain(many[i]);
}

DEED(m1_releases_many)
{
    for (int i = 0; i < MANY; i++)
        wane_release(many[i]);
}

static void
units_that_have_no_entry_on_a_record(void **state)
{
    (void)state;
    for (int i = 0; i < MANY; i++) {
        many[i] = node_new(&w.ended);
        assert_int_equal(wane_share(many[i]), 0);
    }
    act(&w.m1, m1_retains_many, NULL);
    for (int i = 0; i < MANY; i++) {
        assert_int_equal(wane_unshare(many[i]), 0);
        wane_release(many[i]);
    }
    assert_int_equal(wane_barrier(), 0);
    assert_int_equal(ended(&w.ended), 0);
    act(&w.m1, m1_releases_many, NULL);
    assert_int_equal(wane_barrier(), 0);
    assert_int_equal(ended(&w.ended), MANY);
}

/* ---- Without memory --------------------------------------------------------------------------------------------------- */

static struct node *y;

static bool
no_chunks(size_t bytes)
{
    return bytes < sizeof(struct wn_chunk) / 2;
}

DEED(m1_puts_y)
{
    y = node_new(&w.ended);
    WANE_SECTION
    {
        wane_retain(y);
        wane_put(&w.a->s[0], y); /* the slot's unit is one of m1's local ones: given back by another it goes to the queue */
    }
}

DEED(m1_releases_y)
{
    wane_release(y);
}

/* One node for the queue, and no chunk. Returns the other nodes. */
static struct wn_link *
keep_one_node(struct wn_record *r)
{
    struct wn_link *others = r->nodes->next;

    r->nodes->next = NULL;
    r->node_count = 1;
    while (r->spare_count) {
        struct wn_chunk *c = r->spare;

        r->spare = (struct wn_chunk *)c->link.next;
        r->spare_count--;
        wn_chunk_release(c);
    }
    return others;
}

/* What makes room in the log gives units back, and one of those takes the node that unsharing needs. */
static void
unshare_makes_room_first(void **state)
{
    struct wn_record *r;
    struct wn_link   *nodes, *next;
    struct node      *other;
    int               rc, gone = 0;

    (void)state;
    w.a = node_new(&gone);
    make_x(NULL);
    assert_int_equal(wane_share(w.x), 0);
    other = node_new(&gone);
    act(&w.m1, m1_puts_y, NULL);
    WANE_SECTION
    {
        r = wn_standing();
        fetch_or_relaxed(&r->pub.attention, WN_ATTEND);
        wane_clear(&w.a->s[0]); /* y's unit is deferred; this leave seals the chunk, and nobody polls */
    }
    assert_true(r->deferred.first && r->deferred.first->ticket);
    wane_enter();
    do {
        wane_set(&w.a->s[1], other);
        wane_clear(&w.a->s[1]);
    } while (wn_log_has_room(&r->deferred));
    nodes = keep_one_node(r);
    wn_memory_hook = no_chunks;
    rc = wane_unshare(w.x);
    wn_memory_hook = NULL;
    for (; nodes; nodes = next) {
        next = nodes->next;
        wn_node_give(r, (struct wn_queue_node *)nodes);
    }
    wane_leave();
    assert_true(rc == 0 || (rc == -ENOMEM && wane_unshare(w.x) == 0));
    wane_release(w.x);
    wane_release(other);
    wane_release(w.a);
    act(&w.m1, m1_releases_y, NULL);
    assert_int_equal(wane_barrier(), 0);
    (void)collect();
    assert_int_equal(gone, 2);
    assert_int_equal(w.ended, 1);
    assert_int_equal(w.x_ended, 1);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        RACE(strangers_count_on_their_records),
        RACE(the_header_of_a_shared_object_rests),
        RACE(its_owner_is_asked_to_merge),
        RACE(death_is_found_by_unsharing),
        RACE(below_zero_it_is_on_its_owners_queue),
        RACE(unshared_under_a_thread_that_counts),
        RACE(a_shared_ring_is_live),
        RACE(more_shared_objects_than_entries),
        RACE(what_the_owner_counts_moves_on_before_it_saturates),
        RACE(a_full_local_count_is_merged_into_the_entry),
        RACE(units_that_have_no_entry_on_a_record),
        RACE(unshare_makes_room_first),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
