/* SPDX-License-Identifier: MIT
 *
 * test_ledger.c - a program compiled with WANE_CHECKED: broken borrows are refused with their story, correct ones pass
 */
#define WANE_CHECKED
#include "scene.h"

#include <wane/containers.h>

static wane_slot root;

#ifdef RIG_ASAN
#define UNLESS_ASAN() skip() /* it finds these first, and tells its own story */
#else
#define UNLESS_ASAN() ((void)0)
#endif

static void
refused(int (*body)(void *), const char *const *words)
{
    struct child c = run_child(body, NULL);

    assert_child_refused(&c, words[0]);
    for (; *words; words++)
        if (!strstr(c.err, *words)) {
            fprintf(stderr, "no \"%s\" in:\n%s\n", *words, c.err);
            fail();
        }
}

static int
peek_outside(void *unused)
{
    (void)unused;
    wane_put(&root, node_new());
    (void)wane_peek(&root);
    return 0;
}

static void
mis_04_peek_outside_a_section(void **state)
{
    (void)state;
    refused(peek_outside, (const char *[]){"wane_peek outside a section", "test_ledger.c:", "of type 'node'", NULL});
}

/* [ peek q.s -> c; release q, which was its only unit; use c ] */
static int
use_after_the_container(void *unused)
{
    struct node *q = node_of(&final_type), *c;

    (void)unused;
    (void)q;
    q = wane_new(&node_type);
    q->magic = NODE_LIVE, q->check = ~q->id;
    wane_put(&q->a, node_new());
    WANE_SECTION
    {
        c = wane_peek(&q->a);
        wane_release(q);
        wane_retain(c);
    }
    return 0;
}

static void
def_09_borrow_through_a_released_container(void **state)
{
    (void)state;
    UNLESS_ASAN();
    refused(use_after_the_container,
            (const char *[]){"a dead object is used", "it was borrowed at", "ended with its container, of type 'node'",
                             "which the release at", "object", NULL});
}

static int
use_after_the_section(void *unused)
{
    struct node *n;

    (void)unused;
    wane_put(&root, node_new());
    wane_enter();
    n = wane_peek(&root);
    wane_leave();
    wane_clear(&root);
    (void)wane_barrier();
    wane_set(&root, n);
    return 0;
}

static void
a_borrow_that_outlives_its_section(void **state)
{
    (void)state;
    UNLESS_ASAN();
    refused(use_after_the_section, (const char *[]){"a dead object is used", "the borrow ended with its section, at", NULL});
}

static int
release_what_is_freed(void *unused)
{
    struct node *n = node_new();

    (void)unused;
    wane_release(n);
    wane_release(n);
    return 0;
}

static void
release_of_a_freed_object_names_its_type(void **state)
{
    (void)state;
    UNLESS_ASAN();
    refused(release_what_is_freed, (const char *[]){"a dead object is used", "of type 'node'", NULL});
}

/* ---- What is right passes ------------------------------------------------------------------------------------------ */

static void
correct_programs_are_left_alone(void **state)
{
    struct node      *n, *owned, *kept;
    struct wane_vec  *vec = wane_vec_new();
    struct wane_map  *map = wane_map_new();
    void             *weak;

    (void)state;
    wane_put(&root, node_new());
    for (int i = 0; i < 1000; i++) {
        WANE_SECTION
        {
            n = wane_peek(&root);
            WANE_SECTION
            {
                n = wane_peek(&root);
                kept = wane_retain(n);
            }
            assert_ptr_equal(n, wane_peek(&root)); /* the inner section ended no borrow of the outer one */
            wane_set(&root, n);
        }
        owned = wane_get(&root);
        assert_ptr_equal(owned, kept); /* borrowed, ended, and owned: legal to use */
        wane_set(&root, owned);
        wane_release(owned);
        weak = wane_weak(kept);
        wane_release(weak);
        assert_int_equal(wane_vec_push(vec, kept), 0);
        wane_release(wane_vec_pop(vec));
        wane_put(&root, node_new());
    }
    WANE_SECTION
    {
        assert_int_equal(wane_map_set(map, "n", wane_peek(&root)), 0);
        wane_release(map); /* dies with its entry; the root holds the node */
        node_check(wane_peek(&root));
    }
    wane_release(vec);
    wane_clear(&root);
    assert_int_equal(wane_barrier(), 0);
    assert_int_equal(collect_patiently(WANE_ALL, NULL), 0);
}

SCENE_MAIN(SCENE(mis_04_peek_outside_a_section), SCENE(def_09_borrow_through_a_released_container),
           SCENE(a_borrow_that_outlives_its_section), SCENE(release_of_a_freed_object_names_its_type),
           SCENE(correct_programs_are_left_alone))
