/* SPDX-License-Identifier: MIT
 *
 * race_merge.c - a stranger, an upgrade, or a fork, inside and right behind the owner's merge
 */
#include "race_common.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "count.h"
#include "driver.h"
#include "record.h"
#include "step.h"

static struct {
    struct actor m1, m2;
    struct node *a, *b;
    void        *weak, *got;
    int          ended;
    uint64_t     word0;
    struct gate  may_go;
} w;

/* Leaves carry no candidate marks: their memory goes with their last unit. */
struct leaf {
    uint64_t pad[2];
};
WANE_LEAF_TYPE(leaf);

static int
setup(void **state)
{
    (void)state;
    memset(&w, 0, sizeof w);
    pthread_mutex_init(&w.may_go.lock, NULL);
    pthread_cond_init(&w.may_go.changed, NULL);
    schedule_begin();
    actor_start(&w.m1);
    actor_start(&w.m2);
    return 0;
}

static int
teardown(void **state)
{
    (void)state;
    off_steps();
    actor_stop(&w.m1);
    actor_stop(&w.m2);
    return wane_shutdown();
}

static uint64_t
word0_of(const void *object)
{
    return load_relaxed(&WANE_HEADER(object)->word0);
}

static uint64_t
word1(void)
{
    return load_relaxed(&WANE_HEADER(w.a)->word1);
}

static void
retain_a(void *unused)
{
    (void)unused;
    wane_retain(w.a);
}

static void
make_leaf(void *unused)
{
    (void)unused;
    w.a = wane_new(&leaf_type);
}

/* M2's is the last unit: the memory goes back, and comes again as M2's own object. */
static void
release_and_use_the_memory_again(void *unused)
{
    (void)unused;
    wane_release(w.a);
    w.b = wane_new(&leaf_type);
    w.word0 = word0_of(w.b);
}

static void
after_the_merge_is_seen(void *word0)
{
    *(uint64_t *)word0 = word0_of(w.a);
    act(&w.m2, release_and_use_the_memory_again, NULL);
}

static void
release_seen_by_m2(void *word0)
{
    on_step("merge:published", after_the_merge_is_seen, word0);
    wane_release(w.a);
}

/* BIAS-01: word0 is given up before MERGED is seen. The other order writes into memory that a stranger has freed. */
static void
bias_01_nothing_is_written_after_the_merge(void **state)
{
    uint64_t word0 = ~UINT64_C(0);

    (void)state;
    act(&w.m1, make_leaf, NULL);
    act(&w.m2, retain_a, NULL);
    act(&w.m1, release_seen_by_m2, &word0);
    assert_int_equal(wn_owner(word0), 0);
    assert_int_equal(wn_local(word0), 0);
    assert_int_equal(word0_of(w.b), w.word0); /* where it was the same memory */
    wane_release(w.b);
}

static void
upgrade(void *unused)
{
    (void)unused;
    w.got = wane_weak_get(w.weak);
}

static void
m2_upgrades(void *unused)
{
    (void)unused;
    act(&w.m2, upgrade, NULL);
}

static void
make_with_weak(void *unused)
{
    (void)unused;
    w.a = node_new(&w.ended);
    w.weak = wane_weak(w.a);
}

static void
release_with_upgrade_at(void *step)
{
    on_step(step, m2_upgrades, NULL);
    wane_release(w.a);
}

/* BIAS-11: an upgrade inside the owner's merge to zero, before the merge is published: the object lives on. */
static void
bias_11_upgrade_inside_the_merge(void **state)
{
    (void)state;
    act(&w.m1, make_with_weak, NULL);
    act(&w.m1, release_with_upgrade_at, (void *)"merge:word0-cleared");
    assert_ptr_equal(w.got, w.a);
    assert_int_equal(ended(&w.ended), 0);
    assert_true(w.a->canary == CANARY);
    assert_true(word1() & WN_MERGED);
    assert_int_equal(wn_count(word1()), 1);
    wane_release(w.got);
    assert_int_equal(ended(&w.ended), 1);
    upgrade(NULL);
    assert_null(w.got);
    wane_release(w.weak);
}

static void
no_upgrade_at(const char *step)
{
    w.got = &w;
    act(&w.m1, make_with_weak, NULL);
    act(&w.m1, release_with_upgrade_at, (void *)(uintptr_t)step);
    assert_true(steps_seen(step) > 0);
    assert_null(w.got);
    assert_int_equal(ended(&w.ended), 1);
    wane_release(w.weak);
}

/* BIAS-11: once the zero is published no upgrade succeeds, before dispose as after it; word0 is a link by then. */
static void
bias_11_no_upgrade_after_the_merge(void **state)
{
    (void)state;
    no_upgrade_at("merge:published");
}

static void
bias_11_no_upgrade_of_the_dying(void **state)
{
    (void)state;
    no_upgrade_at("death:begin");
}

static void
bias_11_no_upgrade_of_the_buried(void **state)
{
    (void)state;
    no_upgrade_at("death:before-dead");
}

static void
drain_with_upgrade(void *unused)
{
    (void)unused;
    on_step("merge:word0-cleared", m2_upgrades, NULL);
    wane_enter();
    wane_leave();
}

/* BIAS-11: the last unit is the queue's; the upgrade falls into the drain's merge. */
static void
bias_11_upgrade_inside_the_drain(void **state)
{
    (void)state;
    act(&w.m1, make_with_weak, NULL);
    wane_release(w.a); /* M1's unit, by agreement: now its queue's */
    assert_true(word1() & WN_QUEUED);
    act(&w.m1, drain_with_upgrade, NULL);
    assert_ptr_equal(w.got, w.a);
    assert_int_equal(ended(&w.ended), 0);
    assert_int_equal(wn_count(word1()), 1);
    wane_release(w.got);
    assert_int_equal(wane_barrier(), 0);
    (void)collect(); /* hands the mark over: memory */
    assert_int_equal(ended(&w.ended), 1);
    wane_release(w.weak);
}

/* ---- A fork inside the merge -------------------------------------------------------------------------------------- */

/* Both are noted as candidates; a's entry is the older one, which cannot be taken back when it dies. */
static void
make_two_candidates(void *unused)
{
    struct node **n[] = {&w.a, &w.b};

    (void)unused;
    wane_enter();
    for (int i = 0; i < 2; i++) {
        *n[i] = node_new(&w.ended);
        wane_retain(*n[i]);
        wane_release(*n[i]);
    }
    wane_leave();
}

static void
stop_here(void *unused)
{
    (void)unused;
    (void)gate_wait(&w.may_go, 20000);
}

static void
release_and_stop_in_the_merge(void *unused)
{
    (void)unused;
    on_step("merge:word0-cleared", stop_here, NULL);
    wane_release(w.a);
}

/* The child: M1 is gone, and has left a between two words. The collector finds its entry, and goes on. */
static int
collect_in_the_child(void)
{
    struct wane_collected c;
    int                   before = ended(&w.ended);

    wn_step_set(NULL);
    for (int i = 0; i < 3; i++)
        if (wane_collect(WANE_ALL, &c) != 0 || c.aborted)
            return 1;
    return ended(&w.ended) == before ? 0 : 2; /* M1's units leak */
}

static int
fork_and(int (*work)(void))
{
    int   status = -1;
    pid_t pid = fork();

    if (pid == 0) {
        for (int s = 1; s < 32; s++)
            signal(s, SIG_DFL);
        alarm(20);
        _exit(work());
    }
    (void)waitpid(pid, &status, 0);
    return status;
}

/* LIFE-07: a fork while another thread is inside the merge of its last unit. What it left is a leak in the child. */
static void
life_07_fork_inside_the_owners_merge(void **state)
{
    int status;

    (void)state;
#ifdef WN_TSAN /* it does not know that a child's threads may have the ids of the parent's */
    skip();
#endif
    act(&w.m1, make_two_candidates, NULL);
    act_begin(&w.m1, release_and_stop_in_the_merge, NULL);
    while (!steps_seen("merge:word0-cleared"))
        ;
    status = fork_and(collect_in_the_child);
    gate_open(&w.may_go);
    act_wait(&w.m1);
    wane_release(w.b);
    assert_int_equal(wane_barrier(), 0);
    (void)collect();
    assert_int_equal(ended(&w.ended), 2);
    assert_int_equal(status, 0);
}

/* ---- A queued unit of an object that is inside the merge ----------------------------------------------------------- */

static void
drain_own_queue(void)
{
    wn_driver_begin();
    (void)wn_driver_round(WN_ATTEND, true);
    wn_driver_end();
}

/* As the collector asks for a merge: a unit of the request's own, on this thread's queue, as M1's cannot be drained. */
static void
queue_a_unit_of_a(void)
{
    struct wane_header *h = WANE_HEADER(w.a);

    wane_enter();
    assert_true(wn_node_reserve(wn_standing()));
    wn_flags_change(h, 0, WN_QUEUED);
    wn_count_retain(h);
    wn_queue_push(wn_standing(), wn_standing()->id, h);
    wane_leave();
}

static void
m1_stops_in_the_merge_of_a(void)
{
    act(&w.m1, make_two_candidates, NULL);
    act_begin(&w.m1, release_and_stop_in_the_merge, NULL);
    while (!steps_seen("merge:word0-cleared"))
        ;
    queue_a_unit_of_a();
    for (int i = 0; i < 5; i++)
        drain_own_queue();
}

static void
m1_goes_on(void)
{
    gate_open(&w.may_go);
    act_wait(&w.m1);
    wane_release(w.b);
    assert_int_equal(wane_barrier(), 0);
    (void)collect();
    assert_int_equal(ended(&w.ended), 2);
}

/* Its owner is in a section: whoever drains waits for it, and does not publish for it. */
static void
bias_01_queued_unit_waits_for_the_merge(void **state)
{
    (void)state;
    m1_stops_in_the_merge_of_a();
    assert_false(load_acquire(&WANE_HEADER(w.a)->word1) & WN_MERGED);
    assert_int_equal(ended(&w.ended), 0);
    m1_goes_on();
}

/* The child: M1's last unit went with it, and the queued one is all that is left of a. */
static int
drain_in_the_child(void)
{
    wn_step_set(NULL);
    return wane_barrier() == 0 && ended(&w.ended) == 1 ? 0 : 1;
}

/* LIFE-07: the merge is finished by whoever drains. Else the queued unit would go round for ever, and so would a barrier. */
static void
life_07_queued_unit_of_a_vanished_merge(void **state)
{
    int status;

    (void)state;
#ifdef WN_TSAN
    skip();
#endif
    m1_stops_in_the_merge_of_a();
    status = fork_and(drain_in_the_child);
    m1_goes_on();
    assert_int_equal(status, 0);
}

int
main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(bias_01_nothing_is_written_after_the_merge),
        T(bias_11_upgrade_inside_the_merge),
        T(bias_11_no_upgrade_after_the_merge),
        T(bias_11_no_upgrade_of_the_dying),
        T(bias_11_no_upgrade_of_the_buried),
        T(bias_11_upgrade_inside_the_drain),
        T(life_07_fork_inside_the_owners_merge),
        T(bias_01_queued_unit_waits_for_the_merge),
        T(life_07_queued_unit_of_a_vanished_merge),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
