/* SPDX-License-Identifier: MIT
 *
 * asan_canary.c - errors made on purpose: a run of the tests under the address sanitizer counts only if these are found
 *
 *   borrow  a borrowed pointer is used after its section and a grace period
 *   shift   undefined behaviour without a memory error
 */
#include <stdio.h>
#include <string.h>

#include <wane/wane.h>

struct box {
    volatile int value;
};
WANE_LEAF_TYPE(box);

static wane_slot    root;
static volatile int wide = 40;

static int
borrow(void)
{
    struct box *box;

    wane_put(&root, wane_new(&box_type));
    wane_enter();
    box = wane_peek(&root);
    wane_leave();
    wane_clear(&root);
    if (wane_barrier() != 0)
        return 0;
    return box->value;
}

int
main(int argc, char **argv)
{
    const char *mode = argc > 1 ? argv[1] : "borrow";
    int         result = 0;

    if (!strcmp(mode, "borrow"))
        result = borrow();
    if (!strcmp(mode, "shift"))
        result = 1 << wide;
    printf("%s: not found (%d)\n", mode, result);
    return 0;
}
