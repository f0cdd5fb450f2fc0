/* SPDX-License-Identifier: MIT
 *
 * test_fork.c - scenarios of forked children (LIFE-06 to LIFE-09): they work, whatever the other threads were doing
 */
#include "scene.h"

static wane_slot root;

static void *
child_thread(void *unused)
{
    (void)unused;
    wane_put(&root, node_new());
    return NULL;
}

/* Everything, in a child: objects, slots, sections, weak references, a thread, collections, the library's own
 * threads. The background takes half a second to come for a few candidates: not everybody waits for it. Returns 0
 * or 1. */
static int
child_works(bool patient)
{
    atomic_long  watch = 0;
    struct node *n = node_new();
    void        *w = wane_weak(n);

    atomic_store(&finalized, 0);
    n->watch = &watch;
    wane_set(&root, n);
    wane_release(n);
    CHILD_CHECK((n = wane_weak_get(w)) != NULL);
    wane_release(n);
    WANE_SECTION
        node_check(wane_peek(&root));
    join(spawn(child_thread, NULL));
    CHILD_CHECK(wane_barrier() == 0);
    CHILD_CHECK(wait_count(&watch, 1));
    CHILD_CHECK(wane_weak_get(w) == NULL);
    wane_release(w);
    wane_release(ring_of(&node_type, 100, &watch));
    CHILD_CHECK(collect_patiently(WANE_ALL, NULL) == 0);
    CHILD_CHECK(wait_count(&watch, 101));
    if (patient) {
        wane_release(ring_of(&node_type, 100, &watch));
        CHILD_CHECK(wait_count(&watch, 201)); /* by the child's own background */
    }
    n = final_new(NULL);
    n->watch = &watch;
    wane_release(n);
    CHILD_CHECK(wait_count(&finalized, 1)); /* and its own finalizer thread */
    CHILD_CHECK(wait_count(&watch, patient ? 202 : 102)); /* a unit in that thread's hands would be lost to the next fork */
    wane_clear(&root);
    CHILD_CHECK(wane_barrier() == 0);
    return 0;
}

static int
generations(void *level)
{
    struct child c;

    if (child_works((uintptr_t)level == 1) != 0)
        return 1;
    if ((uintptr_t)level > 1) {
        c = run_child(generations, (void *)((uintptr_t)level - 1));
        fputs(c.err, stderr);
        CHILD_CHECK(WIFEXITED(c.status) && WEXITSTATUS(c.status) == 0);
        CHILD_CHECK(child_works(false) == 0);
    }
    CHILD_CHECK(wane_shutdown() == 0);
    return 0;
}

static struct gate first_gate;

static void *
use_first(void *delay)
{
    if (first_gate.count)
        gate_wait(&first_gate);
    spin((uintptr_t)delay);
    wane_release(node_new());
    wane_release(leaf_new());
    return NULL;
}

static int
grandchild(void *unused)
{
    (void)unused;
    alarm(10);
    first_gate.count = 0;
    (void)use_first(NULL);
    return 0;
}

/* In a process that has not used the runtime yet. */
static int
fork_during_first_use(void *delay)
{
    struct child c;
    pthread_t    t;

    first_gate.count = 2;
    t = spawn(use_first, delay);
    gate_wait(&first_gate);
    c = run_child(grandchild, NULL);
    join(t);
    CHILD_CHECK(WIFEXITED(c.status) && WEXITSTATUS(c.status) == 0);
    return 0;
}

/* A fork while another thread makes its very first calls, at varied delays: the child can use the runtime. Comes
 * first in this program: the process must not have used it either. */
static void
life_07_fork_during_first_use(void **state)
{
    (void)state;
    skip_where_children_have_no_memory();
    for (uintptr_t i = 0; i < 300; i++) {
        struct child c = run_child(fork_during_first_use, (void *)(i * 1000));

        assert_child_ok(&c);
    }
}

static atomic_bool noise_over;

static void *
noise(void *unused)
{
    wane_slot own = {0};

    (void)unused;
    for (long made = 0; !atomic_load(&noise_over); made += 2) {
        wane_put(&own, ring_of(&node_type, 2, NULL));
        wane_release(wane_get(&own));
        wane_clear(&own);
        while (made - atomic_load(&disposed) > 20000 && !atomic_load(&noise_over))
            nap(); /* so much garbage is enough */
    }
    return NULL;
}

static void *
noise_collect(void *unused)
{
    (void)unused;
    while (!atomic_load(&noise_over))
        (void)wane_collect(WANE_ALL, NULL);
    return NULL;
}

static int
child_amid_noise(void *unused)
{
    (void)unused;
    if (child_works(false) != 0)
        return 1;
    CHILD_CHECK(wane_shutdown() >= 0); /* what the parent's threads held in their hands is left */
    return 0;
}

/* Forks in three levels: every child works, and so does the parent. */
static void
life_06_fork_in_levels(void **state)
{
    struct child c;

    (void)state;
    skip_where_children_have_no_threads();
    skip_where_children_have_no_memory();
    for (int i = 0; i < 3; i++) {
        wane_release(ring_of(&node_type, 2, NULL));
        c = run_child(generations, (void *)3);
        assert_child_ok(&c);
    }
}

/* Forks while other threads mutate and collect: every child works, and so does the parent. */
static void
life_06_fork_amid_noise(void **state)
{
    struct child c = {.status = 0};
    pthread_t    t[2];

    (void)state;
    skip_where_children_have_no_memory();
    atomic_store(&noise_over, false);
    t[0] = spawn(noise, NULL);
    t[1] = spawn(noise_collect, NULL);
    for (int i = 0; i < 20 && c.status == 0; i++)
        c = run_child(child_amid_noise, NULL);
    atomic_store(&noise_over, true);
    join(t[0]);
    join(t[1]);
    assert_child_ok(&c);
}

static struct gate inside_gate;
static atomic_bool inside_over;

static void *
stay_inside(void *unused)
{
    struct node *n;

    (void)unused;
    wane_enter();
    n = wane_peek(&root);
    gate_wait(&inside_gate);
    while (!atomic_load(&inside_over))
        nap();
    node_check(n);
    wane_leave();
    return NULL;
}

/* Another thread is inside a section, with work waiting for it, when the process forks: the child does not wait
 * for it. */
static void
life_07_fork_while_inside(void **state)
{
    struct child c;
    pthread_t    t;

    (void)state;
    skip_where_children_have_no_memory();
    skip_where_children_have_no_threads();
    inside_gate.count = 2;
    atomic_store(&inside_over, false);
    wane_put(&root, node_new());
    t = spawn(stay_inside, NULL);
    gate_wait(&inside_gate);
    wane_put(&root, node_new()); /* displaced under the other thread's borrow */
    wane_release(ring_of(&node_type, 2, NULL));
    c.status = 0;
    for (int i = 0; i < 3 && c.status == 0; i++)
        c = run_child(generations, (void *)1);
    EXPECT(atomic_load(&disposed) == 0); /* the parent does wait */
    atomic_store(&inside_over, true);
    join(t);
    assert_child_ok(&c);
    wane_clear(&root);
    expect_disposed(4);
}

static struct child child_of_finalizer;

static int
child_in_finalizer(void *unused)
{
    long before = atomic_load(&disposed);

    (void)unused;
    for (int i = 0; i < 10; i++) {
        wane_put(&root, ring_of(&node_type, 2, NULL));
        wane_clear(&root);
    }
    CHILD_CHECK(wane_barrier() == 0);
    CHILD_CHECK(collect_patiently(WANE_ALL, NULL) == 0);
    CHILD_CHECK(wait_count(&disposed, before + 20));
    return 0;
}

static void
fork_in_finalizer(struct node *n)
{
    (void)n;
    child_of_finalizer = run_child(child_in_finalizer, NULL);
}

/* A fork inside a finalizer: the child works, and the parent goes on. */
static void
life_08_fork_in_finalizer(void **state)
{
    (void)state;
    skip_where_children_have_no_memory();
    skip_where_children_have_no_threads();
    wane_release(final_new(fork_in_finalizer));
    assert_true(wait_count(&finalized, 1));
    assert_child_ok(&child_of_finalizer);
    assert_true(wait_count(&disposed, 1));
}

static int
exec_true(void *unused)
{
    (void)unused;
    wane_release(node_new());
    execl("/bin/true", "true", (char *)NULL);
    return 1;
}

static int
exit_at_once(void *unused)
{
    (void)unused;
    return 0;
}

/* A fork, then exec or _exit at once. */
static void
life_09_fork_then_exec_or_exit(void **state)
{
    struct child c;

    (void)state;
    skip_where_children_have_no_memory();
    for (int i = 0; i < 10; i++) {
        c = run_child(i % 2 ? exec_true : exit_at_once, NULL);
        assert_child_ok(&c);
    }
}

SCENE_MAIN(SCENE(life_07_fork_during_first_use), SCENE(life_06_fork_in_levels), SCENE(life_06_fork_amid_noise),
           SCENE(life_07_fork_while_inside), SCENE(life_08_fork_in_finalizer), SCENE(life_09_fork_then_exec_or_exit))
