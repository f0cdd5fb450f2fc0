/* SPDX-License-Identifier: MIT
 *
 * test_kept.c - what is not freed: immortals in cycles, what types hide or show twice, what finalizers keep at the end
 */
#include "scene.h"

static wane_slot root;

/* ---- Immortals --------------------------------------------------------------------------------------------------- */

static int
immortal_inside(void *unused)
{
    struct node *a = node_new(), *immortal = node_new();

    (void)unused;
    wane_immortal(immortal);
    wane_set(&a->a, immortal);
    wane_set(&immortal->a, a);
    wane_release(a);
    for (int i = 0; i < 3; i++)
        CHILD_CHECK(collect_patiently(WANE_ALL, NULL) == 0);
    CHILD_CHECK(atomic_load(&disposed) == 0);
    node_check(a);
    wane_clear(&immortal->a);
    CHILD_CHECK(wane_barrier() == 0 && atomic_load(&disposed) == 1);
    node_check(immortal);
    return wane_shutdown();
}

/* a -> immortal -> a: it holds a for ever, until it is told otherwise. */
static void
cyc_20_immortal_inside_the_cycle(void **state)
{
    struct child c;

    (void)state;
    skip_where_children_have_no_threads();
    c = run_child(immortal_inside, NULL);
    assert_child_ok(&c);
}

static int
immortals_outside(void *unused)
{
    struct node *immortal[2] = {leaf_new(), node_new()};

    (void)unused;
    for (int i = 0; i < 2; i++) {
        struct node *ring = ring_of(&node_type, 3, NULL);

        wane_immortal(immortal[i]);
        wane_set(&ring->b, immortal[i]);
        wane_release(ring);
        CHILD_CHECK(collect_patiently(WANE_ALL, NULL) == 0);
        CHILD_CHECK(atomic_load(&disposed) == 3 * (i + 1));
        node_check(immortal[i]);
    }
    return wane_shutdown();
}

/* Rings hold an immortal leaf, and an immortal with slots: they go, the immortals are untouched. */
static void
cyc_20_immortal_hanging_from_the_cycle(void **state)
{
    struct child c;

    (void)state;
    skip_where_children_have_no_threads();
    c = run_child(immortals_outside, NULL);
    assert_child_ok(&c);
}

/* ---- Types that hide, and types that show too much ----------------------------------------------------------------- */

/* A ring that is dropped, and kept for what its types say; `last` leads back. Cut by hand it goes, `all` nodes. */
static void
kept_until_cut(struct node *first, struct node *last, long all)
{
    wane_release(first);
    for (int i = 0; i < 3; i++)
        expect_disposed(0);
    wane_enter();
    node_check(wane_peek(&last->a));
    node_check(wane_peek(&first->a));
    wane_leave();
    wane_clear(&last->a);
    expect_disposed(all);
}

/* A type said to have no slots, although its objects hold others: a cycle through one is kept, and works. Cut by hand it goes. */
static void
cyc_24_cycle_through_a_leaf_is_kept(void **state)
{
    struct node *n = node_new(), *leaf = leaf_new(), *neighbour = ring_of(&node_type, 2, NULL);

    (void)state;
    wane_put(&n->a, leaf);
    wane_set(&leaf->a, n);
    wane_put(&n->b, neighbour); /* hangs from it, and is kept with it */
    kept_until_cut(n, leaf, 4);
}

/* A promise that is not kept: the same. */
static void
cyc_24_cycle_of_an_acyclic_type_is_kept(void **state)
{
    struct node *n = acyclic_new(), *other = acyclic_new();

    (void)state;
    wane_put(&n->a, other);
    wane_set(&other->a, n);
    wane_put(&other->b, leaf_new());
    kept_until_cut(n, other, 3);
}

/* If another member is a candidate it is found all the same, and destroyed like any. */
static void
cyc_24_cycle_through_an_acyclic_type_goes(void **state)
{
    struct node *n = node_new(), *middle = acyclic_new();

    (void)state;
    wane_put(&n->a, middle);
    wane_set(&middle->a, n);
    wane_put(&middle->b, ring_of(&node_type, 2, NULL));
    wane_release(n);
    expect_disposed(4);
}

static int
leak_an_acyclic_one(void *unused)
{
    (void)unused;
    (void)acyclic_new();
    return wane_shutdown() == 1 ? 0 : 1;
}

static void
cyc_24_the_leak_names_the_promise(void **state)
{
    struct child c;

    (void)state;
    skip_where_children_have_no_threads();
    c = run_child(leak_an_acyclic_one, NULL);
    assert_child_ok(&c);
    assert_non_null(strstr(c.err, "leaked 1 object of type 'acyclic', which is said to be acyclic"));
}

/* One slot of its own, shown `times` times. */
struct shouter {
    struct node n;
    int         times;
};

static void
shout(const void *object, struct wane_visitor *visitor)
{
    const struct shouter *s = object;

    for (int i = 0; i < s->times; i++)
        wane_visit(visitor, &s->n.a);
}

static struct wane_type shouter_type = {
    .name = "shouter", .size = sizeof(struct shouter), .trace = shout, .dispose = node_dispose};

static struct shouter *
shouter_new(int times)
{
    struct shouter *s = (struct shouter *)node_of(&shouter_type);

    s->times = times;
    return s;
}

/* A slot is shown three times: more edges than units. Such an object is kept, told of, and dies by its count. */
static int
shown_too_often(void *unused)
{
    struct shouter *s = shouter_new(3);
    struct node    *n = node_new();

    (void)unused;
    wane_set(&s->n.a, n);
    wane_set(&n->a, s);
    wane_release(s);
    for (int i = 0; i < 3; i++)
        CHILD_CHECK(collect_patiently(WANE_ALL, NULL) == 0);
    CHILD_CHECK(atomic_load(&disposed) == 0);
    node_check(n);
    node_check(&s->n);
    wane_clear(&s->n.a);
    wane_release(n);
    CHILD_CHECK(wane_barrier() == 0 && collect_patiently(WANE_ALL, NULL) == 0);
    CHILD_CHECK(atomic_load(&disposed) == 2);
    return wane_shutdown();
}

static void
cyc_25_more_edges_than_units(void **state)
{
    struct child c;

    (void)state;
    skip_where_children_have_no_threads();
    c = run_child(shown_too_often, NULL);
    assert_child_ok(&c);
    assert_non_null(strstr(c.err, "'node'"));
    assert_non_null(strstr(c.err, "more than once"));
}

/* N holders show the one slot of what they share: its content has one unit, N edges, and somebody else's unit. */
static wane_slot *shared_slot;

static void
show_shared(const void *object, struct wane_visitor *visitor)
{
    (void)object;
    wane_visit(visitor, shared_slot);
}

static struct wane_type sharer_type = {.name = "sharer",
                                       .size = sizeof(struct node),
                                       .slots = node_slots,
                                       .slot_count = 3,
                                       .trace = show_shared,
                                       .dispose = node_dispose};

static int
shared_by_many(void *unused)
{
    struct node *env = node_new(), *content = node_new(), *first = node_of(&sharer_type), *last = first;

    (void)unused;
    shared_slot = &env->a;
    wane_set(&env->a, content);
    for (int i = 0; i < 4; i++) {
        struct node *next = node_of(&sharer_type);

        wane_set(&last->a, next);
        wane_set(&last->b, env);
        wane_release(next);
        last = next;
    }
    wane_set(&last->a, first);
    wane_set(&content->a, first); /* reachable from the live content, which has three holders too few */
    wane_release(first);
    wane_release(env);
    for (int i = 0; i < 3; i++)
        CHILD_CHECK(collect_patiently(WANE_ALL, NULL) == 0);
    CHILD_CHECK(atomic_load(&disposed) == 0);
    node_check(content);
    return 0;
}

static void
cyc_25_slot_shown_by_each_of_its_holders(void **state)
{
    struct child c;

    (void)state;
    skip_where_children_have_no_threads();
    c = run_child(shared_by_many, NULL);
    assert_child_ok(&c);
    assert_non_null(strstr(c.err, "more than once"));
}

/* ---- The end ------------------------------------------------------------------------------------------------------ */

static void
keep_in_root(struct node *n)
{
    wane_set(&root, n);
}

static int
resurrect_at_the_end(void *unused)
{
    (void)unused;
    wane_release(final_new(keep_in_root));
    CHILD_CHECK(wane_shutdown() == 1);
    CHILD_CHECK(wane_shutdown() == 1);
    CHILD_CHECK(atomic_load(&finalized) == 1 && atomic_load(&disposed) == 0);
    wane_clear(&root);
    CHILD_CHECK(wane_shutdown() == 0);
    return atomic_load(&finalized) == 1 ? 0 : 1;
}

/* Resurrected while the runtime shuts down: one finalizer, then a report; it can still be given up. */
static void
fin_23_resurrected_at_shutdown_is_reported(void **state)
{
    struct child c;

    (void)state;
    skip_where_children_have_no_threads();
    c = run_child(resurrect_at_the_end, NULL);
    assert_child_ok(&c);
    assert_non_null(strstr(c.err, "final"));
}

static void
leave_a_successor(struct node *n)
{
    (void)n;
    wane_release(final_new(leave_a_successor));
}

static int
never_done(void *unused)
{
    (void)unused;
    alarm(60);
    wane_release(final_new(leave_a_successor));
    CHILD_CHECK(wane_shutdown() >= 1);
    return atomic_load(&finalized) >= 100 ? 0 : 1;
}

/* Each finalizer leaves another object with one: shutdown gives up at some number of them, and says what is left. */
static void
fin_23_finalizers_that_never_end(void **state)
{
    struct child c;

    (void)state;
    skip_where_children_have_no_threads();
    c = run_child(never_done, NULL);
    assert_child_ok(&c);
    assert_non_null(strstr(c.err, "final"));
}

SCENE_MAIN(SCENE(cyc_20_immortal_inside_the_cycle), SCENE(cyc_20_immortal_hanging_from_the_cycle),
           SCENE(cyc_24_cycle_through_a_leaf_is_kept), SCENE(cyc_24_cycle_of_an_acyclic_type_is_kept),
           SCENE(cyc_24_cycle_through_an_acyclic_type_goes),
           SCENE(cyc_24_the_leak_names_the_promise), SCENE(cyc_25_more_edges_than_units),
           SCENE(cyc_25_slot_shown_by_each_of_its_holders), SCENE(fin_23_resurrected_at_shutdown_is_reported),
           SCENE(fin_23_finalizers_that_never_end))
