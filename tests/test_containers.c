/* SPDX-License-Identifier: MIT
 *
 * test_containers.c - array and vector: what they promise, seen from one thread
 *
 * Oracle besides those of scene.h: a plain array that is changed along with the vector. Maps: test_map.c; several
 * threads: test_container_races.c.
 */
#include "scene.h"

#include <wane/containers.h>

/* ---- Array ---------------------------------------------------------------------------------------------------- */

static void
array_slots_are_slots(void **state)
{
    struct wane_array *array = wane_array_new(5);
    struct node       *n = node_new();

    (void)state;
    assert_int_equal(wane_array_length(array), 5);
    WANE_SECTION {
        for (size_t i = 0; i < 5; i++)
            assert_null(wane_peek(wane_array_slot(array, i)));
    }
    wane_set(wane_array_slot(array, 0), n);
    wane_put(wane_array_slot(array, 4), n);
    WANE_SECTION {
        assert_ptr_equal(wane_peek(wane_array_slot(array, 0)), n);
        assert_ptr_equal(wane_peek(wane_array_slot(array, 4)), n);
        assert_null(wane_peek(wane_array_slot(array, 1)));
        assert_true(wane_cas(wane_array_slot(array, 1), NULL, n));
        assert_false(wane_cas(wane_array_slot(array, 1), NULL, n));
    }
    for (size_t i = 0; i < 5; i++)
        wane_release(wane_take(wane_array_slot(array, i)));
    expect_disposed(1);
    wane_put(wane_array_slot(array, 2), node_new());
    wane_release(array);
    expect_disposed(2);
}

static void
array_lengths(void **state)
{
    static const size_t absurd[] = {SIZE_MAX, SIZE_MAX / 8, SIZE_MAX / 8 - 1, SIZE_MAX / 16};
    struct wane_array  *array = wane_array_new(0);

    (void)state;
    assert_non_null(array);
    assert_int_equal(wane_array_length(array), 0);
    wane_release(array);
    for (size_t i = 0; i < sizeof absurd / sizeof absurd[0]; i++) {
        errno = 0;
        assert_null(wane_array_new(absurd[i]));
        assert_int_equal(errno, ENOMEM);
    }
}

static int
index_out_of_range(void *array)
{
    (void)wane_array_slot(array, 3);
    return 0;
}

static void
array_index_is_checked(void **state)
{
    struct wane_array *array = wane_array_new(3);
    struct child       c = run_child(index_out_of_range, array);

    (void)state;
    assert_child_refused(&c, "wane_array_slot");
    wane_release(array);
}

static void
array_in_cycles(void **state)
{
    struct wane_array *self = wane_array_new(3), *a = wane_array_new(1), *b = wane_array_new(100);
    struct node       *n = node_new();

    (void)state;
    wane_put(wane_array_slot(self, 1), node_new());
    wane_put(wane_array_slot(self, 2), self); /* its only unit: no decrement ever happens */
    wane_set(wane_array_slot(a, 0), b);
    wane_set(wane_array_slot(b, 99), n);
    wane_set(&n->a, a);
    wane_release(n);
    wane_release(a);
    collect_now();
    assert_int_equal(live_of("wane_array"), 2); /* b is held */
    wane_release(b);
    expect_disposed(2);
    assert_int_equal(live_of("wane_array"), 0);
}

/* ---- Vector --------------------------------------------------------------------------------------------------- */

static struct wane_vec *
vec_of(size_t n)
{
    struct wane_vec *vec = wane_vec_new();

    for (size_t i = 0; i < n; i++) {
        struct node *node = node_new();

        node->value = i;
        assert_int_equal(wane_vec_push(vec, node), 0);
    }
    return vec;
}

static uint64_t
value_at(struct wane_vec *vec, size_t i)
{
    struct node *n = wane_vec_get(vec, i);
    uint64_t     value;

    assert_non_null(n);
    node_check(n);
    value = n->value;
    wane_release(n);
    return value;
}

static void
vec_push_and_pop(void **state)
{
    struct wane_vec *vec = vec_of(1000);

    (void)state;
    assert_int_equal(wane_vec_length(vec), 1000);
    for (size_t i = 0; i < 1000; i++)
        assert_int_equal(value_at(vec, i), i);
    assert_null(wane_vec_get(vec, 1000));
    assert_null(wane_vec_get(vec, SIZE_MAX));
    for (size_t i = 1000; i-- > 400;) {
        struct node *n = wane_vec_pop(vec);

        assert_int_equal(n->value, i);
        wane_release(n);
        assert_int_equal(wane_vec_length(vec), i);
    }
    expect_disposed(600);
    wane_release(vec);
    expect_disposed(1000);
}

static void
vec_of_nothing(void **state)
{
    struct wane_vec *vec = wane_vec_new();

    (void)state;
    assert_int_equal(wane_vec_length(vec), 0);
    assert_null(wane_vec_pop(vec));
    assert_null(wane_vec_get(vec, 0));
    assert_int_equal(wane_vec_remove(vec, 0), -ERANGE);
    for (int i = 0; i < 20; i++)
        assert_int_equal(wane_vec_push(vec, NULL), 0);
    assert_int_equal(wane_vec_length(vec), 20);
    assert_null(wane_vec_get(vec, 3));
    assert_int_equal(wane_vec_remove(vec, 3), 0);
    assert_null(wane_vec_pop(vec));
    assert_int_equal(wane_vec_length(vec), 18);
    wane_release(vec);
}

static void
vec_set_and_put(void **state)
{
    struct wane_vec *vec = vec_of(10);
    struct node     *n = node_new();

    (void)state;
    n->value = 77;
    assert_int_equal(wane_vec_set(vec, 10, n), -ERANGE);
    assert_int_equal(wane_vec_put(vec, 10, n), -ERANGE);
    assert_int_equal(wane_vec_set(vec, 3, n), 0);
    assert_int_equal(wane_vec_put(vec, 4, n), 0);
    assert_int_equal(value_at(vec, 3), 77);
    assert_int_equal(value_at(vec, 4), 77);
    assert_int_equal(value_at(vec, 5), 5);
    expect_disposed(2);
    assert_int_equal(wane_vec_set(vec, 3, NULL), 0);
    assert_null(wane_vec_get(vec, 3));
    wane_release(vec);
    expect_disposed(11);
}

static void
vec_remove_closes_the_gap(void **state)
{
    struct wane_vec *vec = vec_of(6);

    (void)state;
    assert_int_equal(wane_vec_remove(vec, 6), -ERANGE);
    assert_int_equal(wane_vec_remove(vec, 2), 0);
    assert_int_equal(wane_vec_remove(vec, 0), 0);
    assert_int_equal(wane_vec_remove(vec, 3), 0);
    assert_int_equal(wane_vec_length(vec), 3);
    assert_int_equal(value_at(vec, 0), 1);
    assert_int_equal(value_at(vec, 1), 3);
    assert_int_equal(value_at(vec, 2), 4);
    expect_disposed(3);
    wane_release(vec);
    expect_disposed(6);
}

/* What a section has borrowed stays, whatever the writer does meanwhile. */
static void
vec_borrows_outlive_changes(void **state)
{
    struct wane_vec *vec = vec_of(8); /* full: the next push moves the elements */
    struct node     *borrowed[8];

    (void)state;
    WANE_SECTION {
        for (size_t i = 0; i < 8; i++)
            borrowed[i] = wane_vec_peek(vec, i);
        assert_int_equal(wane_vec_push(vec, node_new()), 0);
        for (size_t i = 0; i < 8; i++)
            assert_ptr_equal(wane_vec_peek(vec, i), borrowed[i]);
        assert_int_equal(wane_vec_remove(vec, 0), 0);
        assert_int_equal(wane_vec_set(vec, 0, NULL), 0);
        for (size_t i = 0; i < 8; i++)
            wane_release(wane_vec_pop(vec));
        for (size_t i = 0; i < 8; i++)
            node_check(borrowed[i]);
        assert_int_equal(atomic_load(&disposed), 0);
    }
    expect_disposed(9);
    wane_release(vec);
}

/* Tags are the slots' business; they move along. */
static void
vec_keeps_tagged_elements(void **state)
{
    struct wane_vec *vec = wane_vec_new();

    (void)state;
    for (unsigned i = 0; i < 40; i++)
        assert_int_equal(wane_vec_push(vec, wane_tag(node_new(), i % 8)), 0);
    assert_int_equal(wane_vec_remove(vec, 7), 0);
    assert_int_equal(wane_vec_remove(vec, 0), 0);
    WANE_SECTION {
        for (size_t i = 0; i < 38; i++)
            node_check(wane_vec_peek(vec, i));
    }
    expect_disposed(2);
    wane_release(vec);
    expect_disposed(40);
}

/* Long sequences of random operations against a plain array of ids. */
static void
vec_against_an_array(void **state)
{
    enum { MOST = 300 };
    struct wane_vec *vec = wane_vec_new();
    uint64_t         ids[MOST], seed = 4711;
    size_t           n = 0;

    (void)state;
    for (int k = 0; k < SCALED(40000); k++) {
        uint64_t     r = random_next(&seed);
        size_t       i = n ? r / 16 % n : 0;
        bool         grow = k / 1000 % 2 == 0;
        struct node *node;

        if (n < MOST && r % 16 < (grow ? 9 : 4)) {
            node = node_new();
            ids[n++] = node->id;
            assert_int_equal(wane_vec_push(vec, node), 0);
        } else if (r % 16 < 10) {
            node = wane_vec_pop(vec);
            assert_int_equal(node != NULL, n > 0);
            if (node)
                assert_int_equal(node->id, ids[--n]);
            wane_release(node);
        } else if (n && r % 16 < 12) {
            assert_int_equal(wane_vec_remove(vec, i), 0);
            memmove(ids + i, ids + i + 1, (--n - i) * sizeof ids[0]);
        } else if (n && r % 16 < 14) {
            node = node_new();
            ids[i] = node->id;
            assert_int_equal(wane_vec_put(vec, i, node), 0);
        } else if (n) {
            node = wane_vec_get(vec, i);
            assert_int_equal(node->id, ids[i]);
            wane_release(node);
        }
        assert_int_equal(wane_vec_length(vec), n);
    }
    assert_true(wait_live(n + 2)); /* the elements, the vector and its buffer */
    wane_release(vec);
}

static void
vec_in_cycles(void **state)
{
    struct wane_vec *self = vec_of(100), *a = vec_of(3), *b = vec_of(9);

    (void)state;
    assert_int_equal(wane_vec_push(self, self), 0); /* its only unit */
    assert_int_equal(wane_vec_push(a, wane_retain(b)), 0);
    for (size_t i = 0; i < 9; i++) {
        struct node *n = wane_vec_get(b, i);

        wane_set(&n->b, a);
        wane_release(n);
    }
    wane_release(a);
    collect_now();
    assert_int_equal(live_of("wane_vec"), 2); /* b is held, and holds a */
    assert_int_equal(wane_vec_remove(b, 0), 0);
    wane_release(b);
    expect_disposed(112);
    assert_int_equal(live_of("wane_vec"), 0);
}

SCENE_MAIN(SCENE(array_slots_are_slots), SCENE(array_lengths), SCENE(array_index_is_checked), SCENE(array_in_cycles),
           SCENE(vec_push_and_pop), SCENE(vec_of_nothing), SCENE(vec_set_and_put), SCENE(vec_remove_closes_the_gap),
           SCENE(vec_borrows_outlive_changes), SCENE(vec_keeps_tagged_elements), SCENE(vec_against_an_array),
           SCENE(vec_in_cycles))
