/* SPDX-License-Identifier: MIT
 *
 * test_counts.c - scenarios of counts (CNT) and of their misuse (MIS)
 */
#include "scene.h"

/* ---- CNT ------------------------------------------------------------------------------------------------------ */

/* n retains and n + 1 releases, inside and outside of sections: the object goes at the last one, not before. */
static void
cnt_01_retain_release_pairs(void **state)
{
    static const int counts[] = {32, 31, 17, 2, 1, 0};

    (void)state;
    for (unsigned i = 0; i < 2 * sizeof counts / sizeof counts[0]; i++) {
        int          n = counts[i / 2];
        struct node *o = node_new();

        atomic_store(&disposed, 0);
        if (i & 1)
            wane_enter();
        for (int k = 0; k < n; k++)
            assert_ptr_equal(wane_retain(o), o);
        if (n > 0)
            assert_false(wane_is_unique(o));
        for (int k = 0; k < n; k++)
            wane_release(o);
        assert_true(becomes_unique(o));
        assert_int_equal(atomic_load(&disposed), 0);
        node_check(o);
        wane_release(o);
        if (i & 1)
            wane_leave();
        assert_true(wait_count(&disposed, 1));
        assert_int_equal(atomic_load(&disposed), 1);
    }
    assert_null(wane_retain(NULL));
    wane_release(NULL);
}

static struct {
    struct node *object;
    long         rounds, by_left, by_right, uniques;
    bool         left_was_unique, right_was_unique;
} duo;

/* Strangers' units are counted in the shared half. */
static void *
retain_as_stranger(void *object)
{
    wane_retain(object);
    return NULL;
}

static void *
make_merged(void *unused)
{
    struct node *o = node_new();

    (void)unused;
    join(spawn(retain_as_stranger, o));
    join(spawn(retain_as_stranger, o));
    wane_release(o); /* the owner's last local unit: merged, the units of two strangers remain */
    return o;
}

static void
prepare_merged(void)
{
    pthread_t t = spawn(make_merged, NULL);
    void     *o;

    pthread_join(t, &o);
    duo.object = o;
    duo.rounds++;
    duo.left_was_unique = duo.right_was_unique = false;
}

static void
release_duo(long *by)
{
    long before = disposed_here;

    wane_release(duo.object);
    *by += disposed_here - before;
}

static void
release_left(void)
{
    release_duo(&duo.by_left);
}

static void
release_right(void)
{
    release_duo(&duo.by_right);
}

static bool
settle_release(void)
{
    return duo.by_left >= 20 && duo.by_right >= 20;
}

/* Two threads give up the last two units at once: one of them destroys, the other does not touch the object any
 * more. */
static void
cnt_03_no_touch_after_release(void **state)
{
    struct duel d = {.prepare = prepare_merged,
                     .left = release_left,
                     .right = release_right,
                     .settle = settle_release,
                     .cap = 20000,
                     .delay = 300};

    (void)state;
    memset(&duo, 0, sizeof duo);
    assert_true(duel_run(&d));
    assert_true(wait_live(0));
    assert_int_equal(atomic_load(&disposed), duo.rounds);
}

/* unwrap-or-drop: who finds himself the only holder takes the payload over, who does not gives his unit up */
static bool
unwrap_or_drop(long *by)
{
    bool unique = wane_is_unique(duo.object);
    long before = disposed_here;

    if (unique)
        duo.object->value++; /* plain: nobody else can reach it */
    if (duo.rounds % 4 == 0)
        sched_yield();
    wane_release(duo.object);
    *by += disposed_here - before;
    return unique;
}

static void
unwrap_left(void)
{
    duo.left_was_unique = unwrap_or_drop(&duo.by_left);
}

static void
unwrap_right(void)
{
    duo.right_was_unique = unwrap_or_drop(&duo.by_right);
}

static bool
settle_unwrap(void)
{
    EXPECT(!(duo.left_was_unique && duo.right_was_unique));
    duo.uniques += duo.left_was_unique || duo.right_was_unique;
    return duo.uniques >= 5 && duo.uniques <= duo.rounds - 5 && duo.by_left >= 5 && duo.by_right >= 5;
}

/* Two threads give up the last two units: at most one of them finds himself the only holder; exactly one destroys. */
static void
cnt_04_one_gets_the_last(void **state)
{
    struct duel d = {.prepare = prepare_merged,
                     .left = unwrap_left,
                     .right = unwrap_right,
                     .settle = settle_unwrap,
                     .cap = 20000,
                     .delay = 400};

    (void)state;
    memset(&duo, 0, sizeof duo);
    assert_true(duel_run(&d));
    assert_true(wait_live(0));
    assert_int_equal(atomic_load(&disposed), duo.rounds);
}

static atomic_bool go;

static void *
write_and_release(void *arg)
{
    struct node *o = arg;

    while (!atomic_load(&go))
        sched_yield();
    o->value = o->id + 1; /* plain: published by the release */
    wane_release(o);
    return NULL;
}

/* What a thread wrote before it gave its unit up is visible to the one who then finds himself the only holder. */
static void
cnt_06_unique_sees_writes(void **state)
{
    long waited = 0;

    (void)state;
    for (int i = 0; i < 200; i++) {
        struct node *o = node_new();
        pthread_t    t;

        atomic_store(&go, false);
        t = spawn(write_and_release, wane_retain(o));
        atomic_store(&go, true);
        while (!wane_is_unique(o)) {
            waited++;
            wane_checkpoint(); /* the stranger's unit comes home through the queue */
            sched_yield();
        }
        assert_int_equal(o->value, o->id + 1);
        wane_clear_private(&o->a);
        join(t);
        wane_release(o);
    }
    assert_true(waited > 0);
}

static atomic_long weaks_made;

static void *
make_weaks(void *object)
{
    for (long i = 0; i < SCALED(200000); i++) {
        void *w = wane_weak(object);
        void *o = wane_weak_get(w);

        EXPECT(o == object);
        wane_release(o);
        wane_release(w);
        atomic_fetch_add(&weaks_made, 1);
    }
    wane_release(object);
    return NULL;
}

/* One thread makes and drops weak references, another asks for uniqueness: two holders, so the answer is always no. */
static void
cnt_07_unique_while_weaks_come_and_go(void **state)
{
    struct node *o = node_new();
    pthread_t    t;
    long         asked = 0;

    (void)state;
    atomic_store(&weaks_made, 0);
    t = spawn(make_weaks, wane_retain(o));
    for (; atomic_load(&weaks_made) < SCALED(200000); asked++)
        assert_false(wane_is_unique(o));
    join(t);
    assert_true(asked > 0);
    node_check(o);
    wane_release(o);
}

/* Setting a slot to what it holds, clearing it twice, setting NULL over NULL: nothing is destroyed that is held. */
static void
cnt_08_set_same_value(void **state)
{
    static wane_slot root;
    struct node     *o = node_new();

    (void)state;
    wane_set(&root, o);
    for (int i = 0; i < 10; i++)
        wane_set(&root, o);
    wane_release(o); /* the slot's unit is the only one, and ten are pending */
    assert_int_equal(wane_barrier(), 0);
    assert_int_equal(atomic_load(&disposed), 0);
    WANE_SECTION
        node_check(wane_peek(&root));
    wane_clear(&root);
    wane_clear(&root);
    wane_set(&root, NULL);
    assert_int_equal(wane_barrier(), 0);
    assert_true(wait_count(&disposed, 1));
    assert_int_equal(atomic_load(&disposed), 1);
}

/* Assigning to a slot what only its old content holds: the new one is held before the old one goes. */
static void
cnt_09_new_before_old(void **state)
{
    static wane_slot root;
    struct node     *last = node_new();

    (void)state;
    last->value = 1000;
    wane_put(&root, last);
    for (int i = 999; i > 0; i--) { /* a list hanging from root */
        struct node *n = node_new();

        n->value = (uint64_t)i;
        wane_put(&n->a, wane_take(&root));
        wane_put(&root, n);
    }
    for (uint64_t i = 1; i < 1000; i++) {
        WANE_SECTION {
            struct node *head = wane_peek(&root);

            assert_int_equal(head->value, i);
            wane_set(&root, wane_peek(&head->a));
        }
        if (i % 100 == 0)
            assert_int_equal(wane_barrier(), 0);
    }
    assert_int_equal(wane_barrier(), 0);
    assert_true(wait_count(&disposed, 999));
    assert_int_equal(atomic_load(&disposed), 999);
    WANE_SECTION
        node_check(wane_peek(&root));
    wane_clear(&root);
}

/* ---- Misuse --------------------------------------------------------------------------------------------------- */

/* Dead, but its memory stays to the section's end: it had a weak reference. */
static struct node *
dead_in_section(void)
{
    struct node *n = node_new();

    wane_enter();
    wane_release(wane_weak(n));
    wane_release(n);
    return n;
}

static int
release_dead(void *unused)
{
    struct node *n = dead_in_section();

    (void)unused;
    wane_release(n);
    wane_release(n);
    return 0;
}

static int
retain_dead(void *unused)
{
    (void)unused;
    wane_retain(dead_in_section());
    return 0;
}

static int
leave_without_enter(void *unused)
{
    (void)unused;
    wane_enter();
    wane_leave();
    wane_leave();
    return 0;
}

static int
leave_before_any_enter(void *unused)
{
    (void)unused;
    wane_leave();
    return 0;
}

/* Releasing a dead object does not revive it by a wrap: a message that names the type, and abort. */
static void
cnt_11_release_of_dead_refused(void **state)
{
    struct child c = run_child(release_dead, NULL);

    (void)state;
    assert_child_refused(&c, "'node'");
}

/* Retaining a dead object: a message that names the type, and abort. */
static void
mis_02_retain_of_dead_refused(void **state)
{
    struct child c = run_child(retain_dead, NULL);

    (void)state;
    assert_child_refused(&c, "'node'");
}

/* Leaving a section that was never entered, as the thread's first call and later: a message, and abort. */
static void
mis_05_leave_without_enter_refused(void **state)
{
    struct child c = run_child(leave_without_enter, NULL);

    (void)state;
    assert_child_refused(&c, "wane_leave");
    c = run_child(leave_before_any_enter, NULL);
    assert_child_refused(&c, "wane_leave");
}

SCENE_MAIN(SCENE(cnt_01_retain_release_pairs), SCENE(cnt_03_no_touch_after_release), SCENE(cnt_04_one_gets_the_last),
           SCENE(cnt_06_unique_sees_writes), SCENE(cnt_07_unique_while_weaks_come_and_go),
           SCENE(cnt_08_set_same_value), SCENE(cnt_09_new_before_old), SCENE(cnt_11_release_of_dead_refused),
           SCENE(mis_02_retain_of_dead_refused), SCENE(mis_05_leave_without_enter_refused))
