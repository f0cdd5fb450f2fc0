/* SPDX-License-Identifier: MIT
 *
 * test_defer.c - scenarios of deferred units (DEF): borrows, sections, logs, barriers
 */
#include "scene.h"

static wane_slot root;

/* ---- Borrows across a removal --------------------------------------------------------------------------------- */

static void
by_clear(struct node *held)
{
    (void)held;
    wane_clear(&root);
}

static void
by_set(struct node *held)
{
    (void)held;
    struct node *n = leaf_new();

    wane_set(&root, n);
    wane_release(n);
}

static void
by_put(struct node *held)
{
    (void)held;
    wane_put(&root, leaf_new());
}

static void
by_take(struct node *held)
{
    (void)held;
    wane_release(wane_take(&root));
}

static void
by_swap(struct node *held)
{
    (void)held;
    wane_release(wane_swap(&root, leaf_new()));
}

static void
by_cas(struct node *held)
{
    EXPECT(wane_cas(&root, held, NULL));
}

static void
by_cas_put(struct node *held)
{
    EXPECT(wane_cas_put(&root, held, leaf_new()));
}

static void (*const removals[])(struct node *) = {by_clear, by_set, by_put, by_take, by_swap, by_cas, by_cas_put};
#define REMOVALS (long)(sizeof removals / sizeof removals[0])

static struct {
    struct node *held; /* lent to the remover by the reader, whose section lasts */
    int          method;
    bool         waits; /* the remover calls wane_barrier, or leaves it to the background */
    atomic_bool  removed, applied;
} removal;

static void *
remove_it(void *unused)
{
    (void)unused;
    removals[removal.method](removal.held);
    atomic_store(&removal.removed, true);
    if (removal.waits)
        EXPECT(wane_barrier() == 0);
    atomic_store(&removal.applied, true);
    return NULL;
}

static void
borrow_across(int method, bool waits)
{
    atomic_long  watch = 0;
    struct node *n = node_new();
    pthread_t    t;

    n->watch = &watch;
    wane_put(&root, n);
    removal.method = method;
    removal.waits = waits;
    atomic_store(&removal.removed, false);
    atomic_store(&removal.applied, false);
    wane_enter();
    removal.held = wane_peek(&root);
    t = spawn(remove_it, NULL);
    while (!atomic_load(&removal.removed))
        sched_yield();
    for (int i = 0; i < 20; i++) { /* the remover and the background have every chance to do wrong */
        nap();
        node_check(n);
    }
    EXPECT(atomic_load(&watch) == 0);
    EXPECT(!waits || !atomic_load(&removal.applied));
    wane_leave();
    join(t);
    assert_true(wait_count(&watch, 1));
    wane_clear(&root);
    assert_int_equal(wane_barrier(), 0);
}

/* A borrow across every kind of removal is readable to the section's end; the object goes after it. The remover
 * waits for the grace period, or the background does it alone. */
static void
def_01_borrow_across_removal(void **state)
{
    (void)state;
    for (int method = 0; method < REMOVALS; method++) {
        borrow_across(method, true);
        borrow_across(method, false);
    }
}

#define DEPTH 8192

static atomic_int nested_running;

static void
read_at(struct node **seen)
{
    struct node *n = wane_peek(&root);

    node_check(n);
    *seen = n;
}

static void *
nest_deeply(void *unused)
{
    struct node *seen[3];

    (void)unused;
    for (int round = 0; round < 30; round++) {
        for (int i = 0; i < DEPTH; i++) {
            wane_enter();
            if (i == 0 || i == DEPTH / 2 || i == DEPTH - 1)
                read_at(&seen[i / (DEPTH / 2)]);
        }
        sched_yield();
        for (int i = 0; i < DEPTH; i++) {
            EXPECT(wane_in_section());
            node_check(seen[0]);
            wane_leave();
        }
        EXPECT(!wane_in_section());
    }
    atomic_fetch_sub(&nested_running, 1);
    return NULL;
}

/* Sections 8192 deep on several threads, while the slot they read is replaced all the time: only the outermost
 * counts. */
static void
def_02_deeply_nested_readers(void **state)
{
    pthread_t t[4];
    long      made = 1;

    (void)state;
    wane_put(&root, node_new());
    atomic_store(&nested_running, 4);
    for (int i = 0; i < 4; i++)
        t[i] = spawn(nest_deeply, NULL);
    for (; atomic_load(&nested_running) > 0; made++)
        wane_put(&root, node_new());
    for (int i = 0; i < 4; i++)
        join(t[i]);
    wane_clear(&root);
    assert_int_equal(wane_barrier(), 0);
    assert_true(wait_count(&disposed, made));
    assert_int_equal(atomic_load(&disposed), made);
}

/* A removal inside one's own section, by every method: the borrow is good to the section's end. */
static void
def_03_removal_in_own_section(void **state)
{
    (void)state;
    for (int method = 0; method < REMOVALS; method++) {
        atomic_long  watch = 0;
        struct node *n = node_new();

        n->watch = &watch;
        wane_put(&root, n);
        wane_enter();
        assert_ptr_equal(wane_peek(&root), n);
        removals[method](n);
        for (int i = 0; i < 1000; i++)
            wane_put(&root, leaf_new()); /* the log fills and is sealed */
        node_check(n);
        assert_int_equal(atomic_load(&watch), 0);
        wane_leave();
        assert_true(wait_count(&watch, 1));
        wane_clear(&root);
    }
    assert_int_equal(wane_barrier(), 0);
}

/* ---- Logs ----------------------------------------------------------------------------------------------------- */

/* A log fills up many times over inside one section, which blocks its own grace period: it grows, it does not wait. */
static void
def_04_log_fills_in_section(void **state)
{
    long         n = SCALED(100000);
    struct node *first = leaf_new();

    (void)state;
    wane_enter();
    wane_put(&root, first);
    for (long i = 0; i < n; i++)
        wane_put(&root, leaf_new());
    node_check(first);
    assert_int_equal(atomic_load(&disposed), 0);
    wane_clear(&root);
    wane_leave();
    assert_int_equal(wane_barrier(), 0);
    assert_true(wait_count(&disposed, n + 1));
    assert_int_equal(atomic_load(&disposed), n + 1);
}

static atomic_int barrier_state;

static void *
wait_in_barrier(void *unused)
{
    (void)unused;
    atomic_store(&barrier_state, 1);
    EXPECT(wane_barrier() == 0);
    atomic_store(&barrier_state, 2);
    return NULL;
}

static atomic_long callbacks;

static void
callback_asks_barrier(void *pointer)
{
    EXPECT(wane_barrier() == -EDEADLK);
    EXPECT(wane_collect(WANE_ALL, NULL) == -EDEADLK);
    free(pointer);
    atomic_fetch_add(&callbacks, 1);
}

/* A barrier or a collection asked for inside a section, or inside a deferred call, is refused. A thread inside a
 * section goes on removing while another one waits in the barrier. */
static void
def_05_no_deadlock_with_barrier(void **state)
{
    pthread_t t;

    (void)state;
    wane_enter();
    assert_int_equal(wane_barrier(), -EDEADLK);
    assert_int_equal(wane_collect(WANE_ALL, NULL), -EDEADLK);
    assert_int_equal(wane_shutdown(), -EDEADLK);
    wane_put(&root, leaf_new());
    wane_clear(&root);
    atomic_store(&barrier_state, 0);
    atomic_store(&callbacks, 0);
    t = spawn(wait_in_barrier, NULL);
    while (atomic_load(&barrier_state) == 0)
        sched_yield();
    for (int i = 0; i < 1000; i++) {
        wane_put(&root, leaf_new());
        wane_clear(&root);
        if (i % 100 == 0) {
            nap();
            assert_int_equal(wane_free_deferred(malloc(16), callback_asks_barrier), 0);
        }
    }
    assert_int_equal(atomic_load(&barrier_state), 1);
    wane_leave();
    join(t);
    assert_int_equal(wane_barrier(), 0);
    assert_true(wait_count(&callbacks, 10));
    assert_true(wait_count(&disposed, 1001));
}

static atomic_bool reader_may_go;

static void *
hold_a_section(void *gate)
{
    wane_enter();
    gate_wait(gate);
    while (!atomic_load(&reader_may_go))
        nap();
    wane_leave();
    return NULL;
}

/* A section is held while others remove a lot: nothing of it is given back before, everything after. */
static void
def_06_long_section_then_all_is_freed(void **state)
{
    struct gate gate = {.count = 2};
    long        n = SCALED(200000);
    pthread_t   t;

    (void)state;
    atomic_store(&reader_may_go, false);
    t = spawn(hold_a_section, &gate);
    gate_wait(&gate);
    for (long i = 0; i < n; i++) {
        wane_put(&root, leaf_new());
        wane_clear(&root);
    }
    assert_int_equal(atomic_load(&disposed), 0);
    atomic_store(&reader_may_go, true);
    join(t);
    assert_true(wait_count(&disposed, n));
    assert_int_equal(atomic_load(&disposed), n);
}

static void *
fill_a_log(void *n)
{
    wane_slot own = {0};

    for (long i = 0; i < *(long *)n; i++)
        wane_put(&own, leaf_new());
    wane_clear(&own);
    return NULL;
}

/* Threads end with logs of every filling: each displaced unit is given back exactly once. */
static void
def_07_exit_with_full_log(void **state)
{
    static const long fillings[] = {1, 2, 251, 252, 253, 504, 505, 3000};
    long              total = 0;

    (void)state;
    for (unsigned i = 0; i < sizeof fillings / sizeof fillings[0]; i++) {
        long n = fillings[i];

        join(spawn(fill_a_log, &n));
        total += n;
    }
    assert_true(wait_count(&disposed, total)); /* with nobody's help */
    assert_true(wait_live(0));
    assert_int_equal(atomic_load(&disposed), total);
}

static atomic_bool barriers_over;

static void *
barrier_loop(void *arg)
{
    atomic_long *count = arg;

    while (!atomic_load(&barriers_over)) {
        EXPECT(wane_barrier() == 0);
        atomic_fetch_add(count, 1);
    }
    return NULL;
}

/* Barriers run while owners of logs end: they neither hang nor miss what was displaced before. */
static void
def_08_barrier_against_exit(void **state)
{
    atomic_long count = 0;
    pthread_t   waiter;
    long        total = 0;

    (void)state;
    atomic_store(&barriers_over, false);
    waiter = spawn(barrier_loop, &count);
    for (long i = 0; i < SCALED(500) || atomic_load(&count) < 20; i++) {
        long      n = 1 + i % 300;
        pthread_t t = spawn(fill_a_log, &n);

        join(t);
        total += n;
        if (i % 10 == 0) {
            assert_int_equal(wane_barrier(), 0);
            assert_int_equal(atomic_load(&disposed), total);
        }
    }
    atomic_store(&barriers_over, true);
    join(waiter);
    assert_int_equal(wane_barrier(), 0);
    assert_int_equal(atomic_load(&disposed), total);
}

/* ---- Long chains ---------------------------------------------------------------------------------------------- */

static atomic_long chained;

static void
chain_step(void *pointer)
{
    long *left = pointer;

    if (--*left > 0)
        EXPECT(wane_free_deferred(left, chain_step) == 0);
    else
        free(left);
    atomic_fetch_add(&chained, 1);
}

/* Each deferred call defers one more: the chain goes on by itself to its end. */
static void
def_10_chained_reclamation(void **state)
{
    long *left = malloc(sizeof *left);

    (void)state;
    *left = 50;
    atomic_store(&chained, 0);
    assert_int_equal(wane_free_deferred(left, chain_step), 0);
    assert_true(wait_count(&chained, 50));
}

#define LIST SCALED(1000000)

static void *
drop_a_list(void *head_slot)
{
    struct node *head = NULL;
    long         before = disposed_here;

    for (long i = 0; i < LIST; i++) {
        struct node *n = node_new();

        wane_put_private(&n->a, head);
        head = n;
    }
    if (head_slot) {
        wane_put(head_slot, head);
        wane_clear(head_slot);
    } else {
        wane_release(head);
    }
    EXPECT(disposed_here - before < 20000); /* the call does a bounded share of the work */
    return NULL;
}

/* A list of a million nodes is dropped on a small stack, by a release and by a removal: no recursion, no long pause. */
static void
def_10_long_list_in_bounded_shares(void **state)
{
    (void)state;
    run_on_small_stack(drop_a_list, NULL);
    assert_true(wait_count(&disposed, LIST)); /* its thread is gone: the background goes on */
    run_on_small_stack(drop_a_list, &root);
    assert_true(wait_count(&disposed, 2L * LIST));
    assert_int_equal(atomic_load(&disposed), 2L * LIST);
}

static struct pipe_wait idle;

static void *
clear_and_block(void *unused)
{
    (void)unused;
    wane_clear(&root);
    pipe_block(&idle);
    return NULL;
}

/* A thread displaces one unit and blocks outside sections; nobody calls the runtime any more: the background
 * wakes up. */
static void
def_13_idle_log_is_applied(void **state)
{
    (void)state;
    for (int i = 1; i <= 20; i++) {
        pthread_t t;

        pipe_open(&idle);
        wane_put(&root, node_new());
        t = spawn(clear_and_block, NULL);
        assert_true(wait_count(&disposed, i));
        pipe_wake(&idle);
        join(t);
        pipe_done(&idle);
    }
    assert_int_equal(atomic_load(&disposed), 20);
}

SCENE_MAIN(SCENE(def_01_borrow_across_removal), SCENE(def_02_deeply_nested_readers),
           SCENE(def_03_removal_in_own_section), SCENE(def_04_log_fills_in_section),
           SCENE(def_05_no_deadlock_with_barrier), SCENE(def_06_long_section_then_all_is_freed),
           SCENE(def_07_exit_with_full_log), SCENE(def_08_barrier_against_exit), SCENE(def_10_chained_reclamation),
           SCENE(def_10_long_list_in_bounded_shares), SCENE(def_13_idle_log_is_applied))
