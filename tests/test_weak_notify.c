/* SPDX-License-Identifier: MIT
 *
 * test_weak_notify.c - callbacks for the death of a target (WEAK-10, WEAK-16): once, after it is decided, never lost
 */
#include "scene.h"

#include <malloc.h>

static wane_slot root;

/* A callback's argument: what it saw. Times are numbers of a common clock. */
static atomic_long clock_now;

struct seen {
    atomic_long calls, at, disposed_before;
};

static void
note_death(void *weak, void *arg)
{
    struct seen *s = arg;

    EXPECT(wane_weak_get(weak) == NULL);
    EXPECT(wane_in_section());
    atomic_store(&s->disposed_before, atomic_load(&disposed));
    atomic_store(&s->at, atomic_fetch_add(&clock_now, 1));
    atomic_fetch_add(&s->calls, 1);
}

static void
count_death(void *weak, void *arg)
{
    (void)weak;
    atomic_fetch_add((atomic_long *)arg, 1);
}

/* ---- One thread -------------------------------------------------------------------------------------------------- */

/* Several callbacks of one weak reference, and one of another: each runs once, after dispose, and upgrades give NULL.
 * */
static void
notify_each_runs_once_after_dispose(void **state)
{
    struct seen s[4] = {0};

    (void)state;
    for (int leaf = 0; leaf < 2; leaf++) {
        struct node *o = leaf ? leaf_new() : node_new();
        struct node *other = node_new();
        void        *w = wane_weak(o);
        void        *w_other = wane_weak(other);

        memset(s, 0, sizeof s);
        atomic_store(&disposed, 0);
        for (int i = 0; i < 3; i++)
            assert_int_equal(wane_weak_notify(w, note_death, &s[i]), 0);
        assert_int_equal(wane_weak_notify(w, note_death, &s[0]), 0); /* the same one twice */
        assert_int_equal(wane_weak_notify(w_other, note_death, &s[3]), 0);
        wane_release(wane_weak_get(w));
        assert_int_equal(atomic_load(&s[0].calls), 0);
        wane_release(o);
        assert_true(wait_count(&s[0].calls, 2));
        assert_true(wait_count(&s[1].calls, 1));
        assert_true(wait_count(&s[2].calls, 1));
        assert_int_equal(atomic_load(&s[1].disposed_before), 1);
        assert_int_equal(atomic_load(&s[3].calls), 0);
        wane_release(other);
        assert_true(wait_count(&s[3].calls, 1));
        wane_release(w);
        wane_release(w_other);
        assert_true(wait_live(0));
        assert_int_equal(atomic_load(&s[0].calls), 2);
        assert_int_equal(atomic_load(&s[1].calls), 1);
    }
}

/* A dead target takes no callbacks; nor does what is no weak reference at all. */
static void
notify_of_the_dead_is_refused(void **state)
{
    struct node *o = node_new();
    void        *w = wane_weak(o);
    atomic_long  calls = 0;

    (void)state;
    assert_int_equal(wane_weak_notify(w, NULL, NULL), -EINVAL);
    wane_release(o);
    assert_null(wane_weak_get(w));
    for (int i = 0; i < 3; i++)
        assert_int_equal(wane_weak_notify(w, count_death, &calls), -ESRCH);
    assert_false(wane_weak_unnotify(w, count_death, &calls));
    wane_release(w);
    assert_int_equal(wane_weak_notify(NULL, count_death, &calls), -ESRCH);
    assert_false(wane_weak_unnotify(NULL, count_death, &calls));
    assert_true(wait_live(0));
    assert_int_equal(atomic_load(&calls), 0);
}

/* Cancelled: never runs. Of two equal ones one cancel takes one. What was not registered is not found. */
static void
notify_cancelled_never_runs(void **state)
{
    struct node *o = node_new();
    void        *w = wane_weak(o);
    atomic_long  a = 0, b = 0;

    (void)state;
    assert_false(wane_weak_unnotify(w, count_death, &a));
    assert_int_equal(wane_weak_notify(w, count_death, &a), 0);
    assert_int_equal(wane_weak_notify(w, count_death, &b), 0);
    assert_int_equal(wane_weak_notify(w, count_death, &b), 0);
    assert_false(wane_weak_unnotify(w, note_death, &a));
    assert_true(wane_weak_unnotify(w, count_death, &a));
    assert_false(wane_weak_unnotify(w, count_death, &a));
    assert_true(wane_weak_unnotify(w, count_death, &b));
    wane_release(o);
    assert_true(wait_count(&b, 1));
    assert_false(wane_weak_unnotify(w, count_death, &b));
    wane_release(w);
    assert_true(wait_live(0));
    assert_int_equal(atomic_load(&a), 0);
    assert_int_equal(atomic_load(&b), 1);
}

/* Callbacks come and go on one long-lived object: nothing accumulates. */
static void
notify_come_and_go(void **state)
{
    struct node *o = node_new();
    void        *w = wane_weak(o);
    atomic_long  calls = 0, stays = 0;
    size_t       at_start;

    (void)state;
    for (int i = 0; i < 10; i++)
        assert_int_equal(wane_weak_notify(w, count_death, &stays), 0);
    at_start = mallinfo2().uordblks;
    for (long i = 0; i < SCALED(200000); i++) {
        assert_int_equal(wane_weak_notify(w, count_death, &calls), 0);
        assert_true(wane_weak_unnotify(w, count_death, &calls));
    }
    assert_true(mallinfo2().uordblks < at_start + 100000); /* the sanitizers' allocators say 0 to both */
    wane_release(o);
    assert_true(wait_count(&stays, 10));
    assert_int_equal(atomic_load(&calls), 0);
    wane_release(w);
}

/* ---- Order ------------------------------------------------------------------------------------------------------- */

static struct {
    atomic_long final_at, null_at, dispose_at;
    void       *weak;
} order;

static void
order_final(struct node *n)
{
    struct node *got = wane_weak_get(order.weak); /* the cache still finds it, whole */

    EXPECT(got == n);
    node_check(got);
    wane_release(got);
    atomic_store(&order.final_at, atomic_fetch_add(&clock_now, 1));
}

static void
order_dispose(void *object)
{
    EXPECT(wane_weak_get(order.weak) == NULL);
    atomic_store(&order.dispose_at, atomic_fetch_add(&clock_now, 1));
    node_dispose(object);
}

static struct wane_type order_type = {.name = "ordered",
                                      .size = sizeof(struct node),
                                      .slots = node_slots,
                                      .slot_count = 3,
                                      .dispose = order_dispose,
                                      .finalize = node_finalize};

/* A cache finds objects by weak references; finalizer, NULL, dispose, callback: the same order for both ways of
 * dying. */
static void
weak_10_order_of_a_death(void **state)
{
    (void)state;
    for (int ring = 0; ring < 2; ring++) {
        struct node *o = node_of(&order_type);
        struct seen  s = {0};

        o->on_final = order_final;
        if (ring)
            wane_set(&o->a, o);
        order.weak = wane_weak(o);
        assert_int_equal(wane_weak_notify(order.weak, note_death, &s), 0);
        wane_release(o);
        assert_true(pump_count(&s.calls, 1));
        assert_true(atomic_load(&order.final_at) < atomic_load(&order.dispose_at));
        assert_true(atomic_load(&order.dispose_at) < atomic_load(&s.at));
        wane_release(order.weak);
        assert_true(wait_live(0));
        assert_int_equal(atomic_load(&s.calls), 1);
    }
}

/* A ring dies: its callbacks run once each, when every member is disposed of and no member can be upgraded. */
static void *ring_weak[3];

static void
note_ring_death(void *weak, void *arg)
{
    for (int i = 0; i < 3; i++)
        EXPECT(wane_weak_get(ring_weak[i]) == NULL);
    note_death(weak, arg);
}

static void
notify_after_the_whole_ring(void **state)
{
    struct seen  s[6] = {0};
    struct node *n = ring_of(&node_type, 3, NULL);

    (void)state;
    WANE_SECTION {
        struct node *at = n;

        for (int i = 0; i < 3; i++, at = wane_peek(&at->a)) {
            ring_weak[i] = wane_weak(at);
            assert_int_equal(wane_weak_notify(ring_weak[i], note_ring_death, &s[2 * i]), 0);
            assert_int_equal(wane_weak_notify(ring_weak[i], note_ring_death, &s[2 * i + 1]), 0);
        }
    }
    wane_release(n);
    expect_disposed(3);
    for (int i = 0; i < 6; i++) {
        assert_int_equal(atomic_load(&s[i].calls), 1);
        assert_int_equal(atomic_load(&s[i].disposed_before), 3);
    }
    for (int i = 0; i < 3; i++)
        wane_release(ring_weak[i]);
}

static void
resurrect(struct node *n)
{
    wane_set(&root, n);
}

/* A finalizer resurrects the target: its callbacks wait for the real death. */
static void
notify_waits_for_the_real_death(void **state)
{
    struct node *o = final_new(resurrect);
    void        *w = wane_weak(o);
    struct seen  s = {0};

    (void)state;
    assert_int_equal(wane_weak_notify(w, note_death, &s), 0);
    wane_release(o);
    assert_true(pump_count(&finalized, 1));
    assert_int_equal(wane_barrier(), 0);
    assert_int_equal(atomic_load(&s.calls), 0);
    wane_clear(&root);
    assert_true(pump_count(&s.calls, 1));
    wane_release(w);
}

/* ---- What a callback may do -------------------------------------------------------------------------------------- */

static struct {
    struct node *alive, *last;      /* a live object; the last unit of another one */
    void        *w_alive, *w_last, *w_fellow;
    struct seen  nested, registered, cancelled;
    atomic_long  calls;
} busy;

static void
be_busy(void *weak, void *arg)
{
    struct node *got = wane_weak_get(busy.w_alive);

    (void)arg;
    EXPECT(got == busy.alive);
    wane_release(got);
    EXPECT(wane_weak_get(weak) == NULL);
    EXPECT(wane_weak_get(busy.w_fellow) == NULL);
    EXPECT(wane_weak_notify(busy.w_alive, note_death, &busy.registered) == 0);
    EXPECT(wane_weak_notify(weak, note_death, &busy.registered) == -ESRCH);
    EXPECT(wane_weak_unnotify(busy.w_alive, note_death, &busy.cancelled));
    wane_put(&root, node_new());
    wane_put(&root, wane_weak(busy.alive));
    wane_release(ring_of(&node_type, 2, NULL));
    wane_release(busy.last); /* with a callback of its own */
    wane_checkpoint();
    atomic_fetch_add(&busy.calls, 1);
}

/* Inside a callback: upgrades of others succeed, of the target and its fellows do not; objects come, go and die;
 * callbacks are registered and cancelled. For a counted death, and for a ring's. */
static void
weak_16_busy_callback(void **state)
{
    (void)state;
    for (int ring = 0; ring < 2; ring++) {
        struct node *o = node_new(), *fellow = node_new();
        void        *w = wane_weak(o);

        memset(&busy, 0, sizeof busy);
        busy.alive = node_new();
        busy.last = node_new();
        busy.w_alive = wane_weak(busy.alive);
        busy.w_last = wane_weak(busy.last);
        busy.w_fellow = wane_weak(fellow);
        assert_int_equal(wane_weak_notify(busy.w_last, note_death, &busy.nested), 0);
        assert_int_equal(wane_weak_notify(busy.w_alive, note_death, &busy.cancelled), 0);
        assert_int_equal(wane_weak_notify(w, be_busy, NULL), 0);
        wane_set(&o->a, fellow);
        if (ring)
            wane_set(&fellow->a, o);
        wane_release(fellow);
        if (!ring)
            wane_release(wane_take_private(&o->a)); /* the fellow goes first */
        wane_release(o);
        assert_true(pump_count(&busy.calls, 1));
        assert_true(pump_count(&busy.nested.calls, 1));
        wane_release(busy.alive);
        assert_true(pump_count(&busy.registered.calls, 1));
        wane_clear(&root);
        wane_release(w);
        wane_release(busy.w_alive);
        wane_release(busy.w_last);
        wane_release(busy.w_fellow);
        assert_true(wait_live(0));
        assert_int_equal(atomic_load(&busy.calls), 1);
        assert_int_equal(atomic_load(&busy.nested.calls), 1);
        assert_int_equal(atomic_load(&busy.registered.calls), 1);
        assert_int_equal(atomic_load(&busy.cancelled.calls), 0);
    }
}

static struct {
    atomic_long ran, cancelled;
} rivals;

static void rival_left(void *weak, void *arg);

static void
rival_right(void *weak, void *arg)
{
    atomic_fetch_add(&rivals.ran, 1);
    atomic_fetch_add(&rivals.cancelled, wane_weak_unnotify(weak, rival_left, arg));
}

static void
rival_left(void *weak, void *arg)
{
    atomic_fetch_add(&rivals.ran, 1);
    atomic_fetch_add(&rivals.cancelled, wane_weak_unnotify(weak, rival_right, arg));
    EXPECT(!wane_weak_unnotify(weak, rival_left, arg)); /* runs already */
}

/* Two callbacks of one death cancel each other: whichever runs first wins. */
static void
notify_cancelled_by_a_callback(void **state)
{
    struct node *o = node_new();
    void        *w = wane_weak(o);

    (void)state;
    memset(&rivals, 0, sizeof rivals);
    assert_int_equal(wane_weak_notify(w, rival_left, NULL), 0);
    assert_int_equal(wane_weak_notify(w, rival_right, NULL), 0);
    wane_release(o);
    wane_release(w);
    assert_true(wait_live(0));
    assert_int_equal(atomic_load(&rivals.ran), 1);
    assert_int_equal(atomic_load(&rivals.cancelled), 1);
}

/* ---- Who calls --------------------------------------------------------------------------------------------------- */

static pthread_t    caller;
static atomic_long  caller_known;

static void
note_caller(void *weak, void *arg)
{
    (void)weak;
    (void)arg;
    caller = pthread_self();
    atomic_store(&caller_known, 1);
}

/* A ring dies with nobody calling the runtime: the background buries it, and calls. */
static void
notify_by_the_background(void **state)
{
    struct node *n = ring_of(&node_type, 2, NULL);
    void        *w = wane_weak(n);

    (void)state;
    atomic_store(&caller_known, 0);
    assert_int_equal(wane_weak_notify(w, note_caller, NULL), 0);
    wane_release(n);
    assert_true(wait_count(&caller_known, 1));
    assert_false(pthread_equal(caller, pthread_self()));
    wane_release(w);
}

/* Deep chains and wide ones: every object has a callback, on a small stack. */
static void *
drop_many(void *length)
{
    atomic_long  calls = 0;
    struct node *head = NULL;

    for (long i = 0; i < (long)(intptr_t)length; i++) {
        struct node *n = node_new();
        void        *w = wane_weak(n);

        EXPECT(wane_weak_notify(w, count_death, &calls) == 0);
        wane_release(w);
        wane_put(&n->a, head);
        head = n;
    }
    wane_release(head);
    EXPECT(pump_count(&calls, (long)(intptr_t)length));
    EXPECT(atomic_load(&calls) == (long)(intptr_t)length);
    return NULL;
}

static void
notify_along_a_long_chain(void **state)
{
    (void)state;
    run_on_small_stack(drop_many, (void *)(intptr_t)SCALED(100000));
}

/* ---- Whole processes --------------------------------------------------------------------------------------------- */

static atomic_long child_calls;

static int
shut_down_with_callbacks(void *unused)
{
    struct node *counted = node_new(), *ring = ring_of(&node_type, 2, NULL), *held = node_new();
    void        *w[3] = {wane_weak(counted), wane_weak(ring), wane_weak(held)};

    (void)unused;
    for (int i = 0; i < 3; i++)
        CHILD_CHECK(wane_weak_notify(w[i], count_death, &child_calls) == 0);
    wane_set(&root, counted);
    wane_release(counted);
    wane_clear(&root); /* still waits for its grace period */
    wane_release(ring);
    for (int i = 0; i < 3; i++)
        wane_release(w[i]);
    CHILD_CHECK(wane_shutdown() == 2); /* what is held, and its weak reference */
    CHILD_CHECK(atomic_load(&child_calls) == 2);
    wane_release(held);
    CHILD_CHECK(wane_shutdown() == 0);
    CHILD_CHECK(atomic_load(&child_calls) == 3);
    return 0;
}

/* What dies in a shutdown is called for before that returns; what is held is not. */
static void
notify_in_shutdown(void **state)
{
    struct child c;

    (void)state;
    skip_where_children_have_no_threads();
    c = run_child(shut_down_with_callbacks, NULL);
    assert_child_ok(&c);
}

static pid_t forked;
static int   forked_status;

static void
fork_here(void *weak, void *arg)
{
    (void)weak;
    (void)arg;
    forked = fork();
    if (forked == 0)
        alarm(WATCHDOG_MS / 1000);
    else if (waitpid(forked, &forked_status, 0) != forked)
        forked_status = -1;
    atomic_fetch_add(&child_calls, 1);
}

static int
fork_in_callback(void *ring)
{
    struct node *n = ring_of(&node_type, 2, NULL);
    void        *w = wane_weak(n);

    if (!ring)
        wane_clear_private(&n->a);
    for (int i = 0; i < 2; i++)
        CHILD_CHECK(wane_weak_notify(w, count_death, &child_calls) == 0);
    CHILD_CHECK(wane_weak_notify(w, fork_here, NULL) == 0);
    for (int i = 0; i < 2; i++)
        CHILD_CHECK(wane_weak_notify(w, count_death, &child_calls) == 0);
    wane_release(n);
    CHILD_CHECK(collect_patiently(WANE_ALL, NULL) == 0);
    CHILD_CHECK(atomic_load(&child_calls) == 5); /* each process runs them all once */
    CHILD_CHECK(wane_weak_get(w) == NULL);
    wane_release(w);
    wane_release(ring_of(&node_type, 3, NULL));
    CHILD_CHECK(wane_shutdown() == 0);
    CHILD_CHECK(forked == 0 || forked_status == 0);
    return 0;
}

/* A callback forks: parent and child both run the callbacks that are left, and go on. */
static void
notify_fork_in_a_callback(void **state)
{
    (void)state;
    skip_where_children_have_no_threads();
    skip_where_children_have_no_memory();
    for (int ring = 0; ring < 2; ring++) {
        struct child c = run_child(fork_in_callback, ring ? (void *)&root : NULL);

        assert_child_ok(&c);
    }
}

static int
notify_no_weak(void *unused)
{
    (void)unused;
    return wane_weak_notify(node_new(), count_death, NULL);
}

static void
notify_of_no_weak_is_misuse(void **state)
{
    struct child c;

    (void)state;
    c = run_child(notify_no_weak, NULL);
    assert_child_refused(&c, "not a weak reference");
}

SCENE_MAIN(SCENE(notify_each_runs_once_after_dispose), SCENE(notify_of_the_dead_is_refused),
           SCENE(notify_cancelled_never_runs), SCENE(notify_come_and_go), SCENE(weak_10_order_of_a_death),
           SCENE(notify_after_the_whole_ring), SCENE(notify_waits_for_the_real_death), SCENE(weak_16_busy_callback),
           SCENE(notify_cancelled_by_a_callback), SCENE(notify_by_the_background), SCENE(notify_along_a_long_chain),
           SCENE(notify_in_shutdown), SCENE(notify_fork_in_a_callback), SCENE(notify_of_no_weak_is_misuse))
