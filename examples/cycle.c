#include <stdio.h>
#include <wane/wane.h>

struct person {
    const char *name;
    wane_slot   friend;
};
WANE_TYPE(person, friend); /* its name, its size, and where its slots are */

static struct person *
person_new(const char *name)
{
    struct person *p = wane_new(&person_type); /* one owned reference; the slots are empty */

    if (p)
        p->name = name;
    return p;
}

/* Ann and Bob hold each other, and nobody holds them: counts alone would leak both. */
static void
make_cycle(void)
{
    WANE_AUTO(struct person) *ann = person_new("Ann"); /* released at the end of the function */
    WANE_AUTO(struct person) *bob = person_new("Bob");

    if (!ann || !bob)
        return;
    wane_set(&ann->friend, bob); /* the slot takes a reference of its own */
    wane_set(&bob->friend, ann);

    WANE_SECTION {               /* inside it slots are read without counting */
        struct person *friend = wane_peek(&ann->friend);

        printf("%s's friend is %s\n", ann->name, friend->name);
    }
}

int
main(void)
{
    struct wane_collected c;

    make_cycle();
    if (wane_collect(WANE_ALL, &c) != 0) /* now; without this call the background finds them by itself */
        return 1;
    printf("freed %zu objects in %zu cycle\n", c.freed, c.components);
    return wane_shutdown();      /* how many objects are left: none */
}
