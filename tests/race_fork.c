/* SPDX-License-Identifier: MIT
 *
 * race_fork.c - forks while another thread is stopped at an exact point: what the child finds
 *
 * A child tells by its exit status which of its expectations failed; an alarm ends one that hangs.
 */
#include <sys/wait.h>
#include <unistd.h>

#include "race_common.h"

#include <wane/collector.h>
#include <wane/memory.h>

#include "collect.h"
#include "count.h"
#include "grace.h"
#include "pressure.h"
#include "record.h"

static struct {
    struct actor m1;
    struct gate  inside, may_go;
    struct node *x;
    int          ended;
} w;

static int
setup(void **state)
{
    (void)state;
    memset(&w, 0, sizeof w);
    w.inside = w.may_go = (struct gate)GATE_CLOSED;
    schedule_begin();
    actor_start(&w.m1);
    return 0;
}

static int
teardown(void **state)
{
    (void)state;
    off_steps();
    actor_stop(&w.m1);
    return wane_shutdown();
}

/* Another thread is where `fn` opens the gate `inside`; 0 if all is well in the child. */
static int
child_beside(void (*fn)(void *), int (*in_child)(void))
{
    int   status;
    pid_t pid;

    act_begin(&w.m1, fn, NULL);
    assert_true(gate_wait(&w.inside, 60000));
    pid = fork();
    if (pid == 0) {
        alarm(60);
        _exit(in_child());
    }
    gate_open(&w.may_go);
    act_wait(&w.m1);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void
wait_inside(void)
{
    gate_open(&w.inside);
    (void)gate_wait(&w.may_go, 60000);
}

/* ---- In a section ---------------------------------------------------------------------------------------------------- */

DEED(m1_sits_in_a_section)
{
    WANE_SECTION
    {
        wait_inside();
    }
}

static int
grace_comes_at_once(void)
{
    return wn_grace_poll(wn_grace_ticket()) ? 0 : 1;
}

static void
section_of_a_vanished_thread(void **state)
{
    (void)state;
    assert_int_equal(child_beside(m1_sits_in_a_section, grace_comes_at_once), 0);
}

static int
its_record_is_free(void)
{
    uint32_t          before = wn_record_limit();
    struct wn_record *r = wn_record_try();

    return r && r->id <= before ? 0 : 1;
}

static void
record_of_a_vanished_thread(void **state)
{
    struct wn_record *spare[64];
    int               n = 0;

    (void)state;
    act(&w.m1, m1_sits_in_a_section, (gate_open(&w.may_go), NULL)); /* it has a record */
    w.inside = w.may_go = (struct gate)GATE_CLOSED;
    for (uint32_t limit = wn_record_limit(); n < 64 && wn_record_limit() == limit; n++)
        spare[n] = wn_record_try(); /* those that earlier threads have left */
    assert_int_equal(child_beside(m1_sits_in_a_section, its_record_is_free), 0);
    while (n)
        wn_record_free(spare[--n]);
}

/* ---- In a purge ------------------------------------------------------------------------------------------------------ */

static size_t
stop_in_the_callback(size_t bytes, void *unused)
{
    (void)bytes;
    (void)unused;
    wait_inside();
    return 0;
}

DEED(m1_purges)
{
    (void)wane_purge(1);
}

static int
purges_go_on(void)
{
    struct wane_memory_stats before, after;

    gate_open(&w.may_go);
    wane_memory_stats(&before);
    wn_pressure_purge_within(1, 1000000);
    wane_memory_stats(&after);
    return after.purges == before.purges + 1 ? 0 : 1;
}

static void
purge_of_a_vanished_thread(void **state)
{
    (void)state;
    assert_int_equal(wane_on_pressure(stop_in_the_callback, NULL), 0);
    assert_int_equal(child_beside(m1_purges, purges_go_on), 0);
    assert_true(wane_off_pressure(stop_in_the_callback, NULL));
}

/* ---- In a merge ------------------------------------------------------------------------------------------------------ */

static void
stop_in_the_merge(void *unused)
{
    (void)unused;
    wait_inside();
}

/* It owns two units of x. */
DEED(m1_merges)
{
    struct wane_header *h;

    w.x = node_new(&w.ended);
    h = WANE_HEADER(wane_retain(w.x));
    on_step("merge:word0-cleared", stop_in_the_merge, NULL);
    WANE_SECTION
    {
        (void)wn_count_merge(h, wn_type_of(h), wn_standing());
    }
}

static int
both_units_are_counted(void)
{
    uint64_t w1 = load_relaxed(&WANE_HEADER(w.x)->word1);

    return (w1 & WN_MERGED) && wn_count(w1) == 2 ? 0 : 1;
}

static void
merge_of_a_vanished_thread(void **state)
{
    (void)state;
    assert_int_equal(child_beside(m1_merges, both_units_are_counted), 0);
    wane_release(w.x);
    wane_release(w.x);
    assert_int_equal(wane_barrier(), 0);
    assert_int_equal(ended(&w.ended), 1);
}

/* ---- In a batch of a collection -------------------------------------------------------------------------------------- */

#define CANDIDATES 10000 /* more than a batch */

static void
stop_in_the_first(const struct wane_collection *collection, void *stopped)
{
    if (collection->ended || *(bool *)stopped)
        return;
    *(bool *)stopped = true;
    wait_inside();
}

DEED(m1_collects)
{
    WANE_SECTION
    {
        for (int i = 0; i < CANDIDATES; i++) {
            struct node *n = node_new(&w.ended);

            wane_put(&n->s[0], n);
        }
    }
    (void)wane_collect(WANE_ALL, NULL);
}

/* What a batch may look at is no bound of later collections. */
static int
collections_have_no_bound(void)
{
    return wn_collection.bound || wn_collection.under_way;
}

static void
batch_of_a_vanished_thread(void **state)
{
    bool stopped = false;

    (void)state;
    assert_int_equal(wane_on_collection(stop_in_the_first, &stopped), 0);
    assert_int_equal(child_beside(m1_collects, collections_have_no_bound), 0);
    assert_int_equal(wane_on_collection(NULL, NULL), 0);
    assert_int_equal(ended(&w.ended), CANDIDATES);
}

/* ---- In the middle of sharing ----------------------------------------------------------------------------------------- */

static void
wait_at_this_step(void *unused)
{
    (void)unused;
    wait_inside();
}

/* Of the three units two are the main thread's. */
DEED(m1_shares_its_own)
{
    w.x = node_new(&w.ended);
    WANE_SECTION
    {
        wane_retain(w.x);
        wane_retain(w.x);
    }
    on_step("share:set", wait_at_this_step, NULL);
    assert_int_equal(wane_share(w.x), 0);
    off_steps();
}

static int
two_units_less(void)
{
    const struct wane_header *h = WANE_HEADER(w.x);

    if (!(load_relaxed(&h->word1) & (WN_MERGED | WN_QUEUED)))
        return 3;
    WANE_SECTION
    {
        wane_release(w.x);
        wane_release(w.x);
    }
    if (wane_unshare(w.x) != 0 || wane_barrier() != 0 || w.ended)
        return 1;
    return (load_relaxed(&h->word1) & WN_MERGED) && wn_count(load_relaxed(&h->word1)) == 1 ? 0 : 2;
}

static void
share_of_a_vanished_thread(void **state)
{
    (void)state;
    assert_int_equal(child_beside(m1_shares_its_own, two_units_less), 0);
    assert_int_equal(wane_unshare(w.x), 0);
    for (int i = 0; i < 3; i++)
        wane_release(w.x);
    assert_int_equal(wane_barrier(), 0);
    (void)wane_collect(WANE_ALL, NULL);
    assert_int_equal(ended(&w.ended), 1);
}

int
main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(section_of_a_vanished_thread),
        T(record_of_a_vanished_thread),
        T(purge_of_a_vanished_thread),
        T(merge_of_a_vanished_thread),
        T(share_of_a_vanished_thread),
        T(batch_of_a_vanished_thread),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
