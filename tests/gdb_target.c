/* SPDX-License-Identifier: MIT
 *
 * gdb_target.c - a program to be looked at: gdb_test.sh knows what it holds
 */
#include <wane/containers.h>
#include <wane/observe.h>

struct branch {
    wane_slot left, right;
};
WANE_TYPE(branch, left, right);
struct leaf {
    char text[32];
};
WANE_LEAF_TYPE(leaf);

void here(const struct branch *root, const struct leaf *leaf, struct wane_vec *vec);

__attribute__((noinline)) void
here(const struct branch *root, const struct leaf *leaf, struct wane_vec *vec)
{
    __asm__ volatile("" ::"r"(root), "r"(leaf), "r"(vec));
}

int
main(void)
{
    struct branch   *root;
    struct leaf     *leaf;
    struct wane_vec *vec;

    wane_observe(true);
    root = wane_new(&branch_type);
    leaf = wane_new(&leaf_type);
    vec = wane_vec_new();
    if (!root || !leaf || !vec)
        return 1;
    wane_put(&root->right, wane_tag(leaf, 1)); /* the root's */
    wane_retain(leaf);
    if (wane_vec_push(vec, leaf)) /* the vector's */
        return 1;
    wane_enter();
    here(root, leaf, vec);
    wane_leave();
    wane_release(vec);
    wane_release(root);
    return 0;
}
