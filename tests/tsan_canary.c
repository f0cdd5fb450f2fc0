/* SPDX-License-Identifier: MIT
 *
 * tsan_canary.c - races made on purpose: a run of the tests under the race detector counts only if these are found
 *
 *   plain    two threads write one word
 *   section  the same, in an object, inside sections: the runtime must not order what the program does not
 *   order    the object is published by a slot, so that nothing is to be found (exit 0)
 */
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include <wane/wane.h>

struct box {
    volatile unsigned value;
};
WANE_LEAF_TYPE(box);

static volatile unsigned plain;
static wane_slot         root, ready;
static pthread_barrier_t start;

static void *
write_plain(void *unused)
{
    (void)unused;
    pthread_barrier_wait(&start);
    for (int i = 0; i < 1000; i++)
        plain++;
    return NULL;
}

static void *
write_in_section(void *unused)
{
    (void)unused;
    wane_enter();
    wane_leave();
    pthread_barrier_wait(&start);
    for (int i = 0; i < 1000; i++) {
        struct box *box;

        wane_enter();
        box = wane_retain(wane_peek(&root));
        box->value++;
        wane_release(box);
        wane_leave();
    }
    return NULL;
}

/* Writes before it publishes; whoever finds the object reads. */
static void *
publish(void *unused)
{
    (void)unused;
    for (int i = 0; i < 1000; i++) {
        struct box *box = wane_new(&box_type);

        box->value = 1;
        wane_put(&ready, box);
    }
    return NULL;
}

static void *
find(void *sum)
{
    for (unsigned seen = 0; seen < 1000;) {
        wane_enter();
        struct box *box = wane_peek(&ready);
        if (box)
            seen += box->value;
        wane_leave();
        *(unsigned *)sum = seen;
    }
    return NULL;
}

int
main(int argc, char **argv)
{
    const char *mode = argc > 1 ? argv[1] : "plain";
    void *(*one)(void *) = write_plain, *(*other)(void *) = write_plain;
    pthread_t thread[2];
    unsigned  sum = 0;

    pthread_barrier_init(&start, NULL, 2);
    wane_put(&root, wane_new(&box_type));
    if (!strcmp(mode, "section"))
        one = other = write_in_section;
    if (!strcmp(mode, "order")) {
        one = publish;
        other = find;
    }
    pthread_create(&thread[0], NULL, one, &sum);
    pthread_create(&thread[1], NULL, other, &sum);
    pthread_join(thread[0], NULL);
    pthread_join(thread[1], NULL);
    wane_clear(&root);
    wane_clear(&ready);
    printf("%s: %u\n", mode, plain + sum);
    return wane_shutdown();
}
