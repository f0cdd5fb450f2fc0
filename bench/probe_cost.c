/* SPDX-License-Identifier: MIT
 *
 * probe_cost.c - one operation, many times, for who counts instructions: probe_cost NAME TIMES
 */
#include <wane/wane.h>

#include <stdlib.h>
#include <string.h>

struct node {
    wane_slot a;
};
WANE_TYPE(node, a);

static wane_slot root;

static void
section(void *object)
{
    (void)object;
    wane_enter();
    wane_leave();
}

static void
retain(void *object)
{
    wane_retain(object);
    wane_release(object);
}

static void
store(void *object)
{
    wane_set(&root, object);
}

static void
make(void *object)
{
    (void)object;
    wane_release(wane_new(&node_type));
}

int
main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*fn)(void *);
    } all[] = {{"enter, leave", section}, {"retain, release", retain}, {"set", store}, {"new, release", make}};
    void *object = wane_new(&node_type);

    for (size_t i = 0; argc == 3 && i < sizeof all / sizeof all[0]; i++)
        if (strcmp(argv[1], all[i].name) == 0) {
            bool outside = all[i].fn == section;

            if (!outside)
                wane_enter();
            for (long n = atol(argv[2]); n > 0; n--)
                all[i].fn(object);
            if (!outside)
                wane_leave();
            return 0;
        }
    return 2;
}
