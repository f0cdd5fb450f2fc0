/* SPDX-License-Identifier: MIT
 *
 * test_kept.c - what is kept for ever: immortals in cycles, references that a type hides or shows twice, the resurrected at the end
 */
#include "scene.h"

/* ---- Immortals --------------------------------------------------------------------------------------------------- */

/* CYC-20: a -> immortal -> a. The immortal holds a for ever; both stay. */
static void
cyc_20_immortal_inside_the_cycle(void **state)
{
    struct node *a = node_new(), *immortal = node_new();

    (void)state;
    wane_immortal(immortal);
    wane_set(&a->a, immortal);
    wane_set(&immortal->a, a);
    wane_release(a);
    expect_disposed(0);
    expect_disposed(0);
    wane_enter();
    node_check(wane_peek(&immortal->a));
    wane_leave();
    wane_clear(&immortal->a);
    assert_int_equal(wane_barrier(), 0);
    assert_int_equal(atomic_load(&disposed), 1);
}

/* CYC-20: a ring that holds an immortal leaf, and one that holds an immortal with slots: the rings go, the immortals are untouched. */
static void
cyc_20_immortal_hanging_from_the_cycle(void **state)
{
    struct node *immortal[2] = {leaf_new(), node_new()};

    (void)state;
    for (int i = 0; i < 2; i++) {
        struct node *ring = ring_of(&node_type, 3, NULL);

        wane_immortal(immortal[i]);
        wane_set(&ring->b, immortal[i]);
        wane_release(ring);
        expect_disposed(3 * (i + 1));
        node_check(immortal[i]);
    }
}
