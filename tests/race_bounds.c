/* SPDX-License-Identifier: MIT
 *
 * race_bounds.c - freezes, bounded scans and the immortal, seen from inside, with no background: only the test collects
 */
#include "race_common.h"

#include <wane/collector.h>

#include <stdlib.h>

#include "collect.h"
#include "pace.h"

static struct actor m1;
static int          dead; /* disposes in this test */
static int          ring_dead, ring_dead_at_first;

static int
setup(void **state)
{
    (void)state;
    dead = ring_dead = 0;
    schedule_begin();
    actor_start(&m1);
    return 0;
}

static int
teardown(void **state)
{
    (void)state;
    off_steps();
    actor_stop(&m1);
    return wane_shutdown();
}

static void
touch(struct node *n)
{
    wane_enter();
    wane_retain(n);
    wane_release(n);
    wane_leave();
}

static size_t
freed_by(int generation)
{
    struct wane_collected c;

    assert_int_equal(wane_collect(generation, &c), 0);
    return c.freed;
}

/* ---- Freeze -------------------------------------------------------------------------------------------------------- */

static struct node **
candidates(int n)
{
    struct node **held = malloc((size_t)n * sizeof *held);

    assert_non_null(held);
    for (int i = 0; i < n; i++) {
        held[i] = node_new(&dead);
        touch(held[i]);
    }
    return held;
}

static void
drop(struct node **held, int n)
{
    for (int i = 0; i < n; i++)
        wane_release(held[i]);
    free(held);
}

static void
purge(void)
{
    wane_enter();
    wane_leave();
    wn_driver_begin();
    wn_pace_purge();
    wn_driver_end();
}

/* The frozen are looked at for their dead as rarely as others: not for each few thousand that die elsewhere. */
static void
gen_07_purge_spares_the_frozen(void **state)
{
    enum { FROZEN = 20000, FEW = 5000 };
    struct node **held = candidates(FROZEN), **few;
    uintptr_t     newest;

    (void)state;
    assert_int_equal(wane_freeze(), 0);
    few = candidates(FEW);
    assert_int_equal(freed_by(0), 0);
    assert_int_equal(load_relaxed(&wn_waiting_count[WN_FROZEN_LIST]), FROZEN);
    newest = wn_collection.waiting[WN_FROZEN_LIST]->entry[0];
    drop(few, FEW);
    purge();
    assert_int_equal(wn_collection.waiting[WN_FROZEN_LIST]->entry[0], newest); /* sorted anew, it were another */
    drop(held, FROZEN);
    purge();
    assert_int_equal(load_relaxed(&wn_waiting_count[WN_FROZEN_LIST]), 0);
    assert_int_equal(ended(&dead), FROZEN + FEW);
    assert_int_equal(wane_unfreeze(), 0);
}

/* ---- A scan that is cut short -------------------------------------------------------------------------------------- */

/* wane_collect gives up after a second */
#ifdef RACE_SLOW
#define SCALED(n) ((n) / 10)
#else
#define SCALED(n) (n)
#endif

#define LISTS  6
#define WINDOW SCALED(2000)
#define STEP   (WN_COLLECT_SLICE / (LISTS + 1)) /* members of each list that a slice of the scan explores */
#define RING   SCALED(20000)

/* Queues: the oldest member is held, and each holds the next; `made` were appended to each list, the last WINDOW are there. */
static struct {
    struct node *member[LISTS][WINDOW];
    unsigned     made;
    bool         grows; /* no oldest member is dropped */
} queue;

static void
append(void *count)
{
    for (unsigned n = *(unsigned *)count; n; n--, queue.made++)
        for (int i = 0; i < LISTS; i++) {
            struct node **at = &queue.member[i][queue.made % WINDOW], *oldest = *at;

            *at = node_new(&dead);
            if (queue.made)
                wane_put(&queue.member[i][(queue.made - 1) % WINDOW]->s[0], *at);
            if (oldest && !queue.grows) {
                wane_retain(queue.member[i][(queue.made + 1) % WINDOW]);
                wane_release(oldest);
            }
        }
}

/* In the middle. */
static void
note_lists(void *unused)
{
    (void)unused;
    for (int i = 0; i < LISTS; i++)
        touch(queue.member[i][(queue.made + WINDOW / 2) % WINDOW]);
}

static void
drop_lists(void *unused)
{
    (void)unused;
    for (int i = 0; i < LISTS; i++)
        wane_release(queue.member[i][queue.made % WINDOW]);
}

static struct node *
ring(int n)
{
    struct node *first = node_new(&ring_dead), *last = first;

    for (int i = 1; i < n; i++) {
        struct node *next = node_new(&ring_dead);

        wane_put(&last->s[0], next);
        last = next;
    }
    wane_set(&last->s[0], first);
    return first;
}

static void
m1_grows(void *unused)
{
    (void)unused;
    act(&m1, append, &(unsigned){STEP});
}

static void
note_ring(void *unused)
{
    (void)unused;
    ring_dead_at_first = ended(&ring_dead);
}

/* Queues run on as fast as they are scanned, in each collection, and fill the table. A long ring goes all the same. */
static void
race_25_cut_short_again_and_again(void **state)
{
    (void)state;
    memset(&queue, 0, sizeof queue);
    act(&m1, append, &(unsigned){WINDOW});
    wane_release(ring(RING));
    on_nth_step("suspect:visited", EACH_TIME, m1_grows, NULL);
    on_step("collect:settled", note_ring, NULL);
    for (int i = 0; i < 10 && !ended(&ring_dead); i++) {
        act(&m1, note_lists, NULL);
        (void)collect();
    }
    off_steps();
    assert_int_equal(ring_dead_at_first, 0); /* it was cut short */
    assert_int_equal(ended(&ring_dead), RING);
    act(&m1, drop_lists, NULL);
    assert_int_equal(wane_barrier(), 0);
    assert_int_equal(ended(&dead), queue.made * LISTS);
}

static struct node *first[LISTS];

static void
make_first(void *unused)
{
    unsigned one = 1;

    (void)unused;
    memset(&queue, 0, sizeof queue);
    queue.grows = true;
    append(&one);
    for (int i = 0; i < LISTS; i++) {
        first[i] = queue.member[i][0];
        touch(first[i]);
    }
    append(&(unsigned){WINDOW});
}

static void
drop_first(void *unused)
{
    (void)unused;
    for (int i = 0; i < LISTS; i++)
        wane_release(first[i]);
}

/* Nothing of what was seen is garbage, as far as it was seen: wane_collect does not take that for the end. */
static void
race_25_one_call_goes_on_after_a_cut(void **state)
{
    struct node *n;

    (void)state;
#ifdef WN_TSAN
    skip(); /* forty seconds, of what the test before it does, too */
#endif
    n = node_new(&dead);
    touch(n);
    (void)collect(); /* not cut short: no room is left over from others */
    wane_release(n);
    act(&m1, make_first, NULL);
    wane_release(ring(RING));
    on_nth_step("suspect:visited", EACH_TIME, m1_grows, NULL);
    on_step("collect:settled", note_ring, NULL);
    (void)collect();
    off_steps();
    assert_int_equal(ring_dead_at_first, 0);
    assert_int_equal(ended(&ring_dead), RING);
    act(&m1, drop_first, NULL);
    assert_int_equal(wane_barrier(), 0);
}

/* ---- Weak references of the immortal ---------------------------------------------------------------------------------- */

/* Nobody can release what the library keeps for an object that lives for ever: it is not reported as a leak either. */
static void
weak_reference_of_an_immortal_is_no_leak(void **state)
{
    static void *volatile keeps[2]; /* for the leak checkers */
    struct node *n[2] = {node_new(&dead), node_new(&dead)};
    void        *weak;

    (void)state;
    weak = wane_weak(n[0]);
    for (int i = 0; i < 2; i++) {
        keeps[i] = n[i];
        wane_immortal(n[i]);
        wane_release(n[i]);
    }
    wane_release(weak);
    wane_release(wane_weak(n[1]));
    assert_int_equal(wane_shutdown(), 0);
    weak = wane_weak(n[1]);
    assert_ptr_equal(wane_weak_get(weak), keeps[1]);
    wane_release(weak);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(gen_07_purge_spares_the_frozen),
        TEST(race_25_cut_short_again_and_again),
        TEST(race_25_one_call_goes_on_after_a_cut),
        TEST(weak_reference_of_an_immortal_is_no_leak),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
