/* SPDX-License-Identifier: MIT
 *
 * tsan_canary.c - races made on purpose: a run of the tests under the race detector counts only if these are found
 *
 *   plain    two threads write one word
 *   section  the same, in an object, inside sections: the runtime must not order what the program does not
 *   order    the object is published by a slot, so that nothing is to be found (exit 0)
 */
#include <pthread.h>
#include <sched.h>
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

#define ROUNDS 1000u

static unsigned rounds[2]; /* a, relaxed: they order nothing */

/* Until both have done their rounds, in turns if there is one processor: one that ran alone would be ordered before the other by
 * the grace periods between. */
static void *
write_in_section(void *number)
{
    unsigned me = *(unsigned *)number;

    wane_enter();
    wane_leave();
    pthread_barrier_wait(&start);
    while (__atomic_load_n(&rounds[0], __ATOMIC_RELAXED) < ROUNDS || __atomic_load_n(&rounds[1], __ATOMIC_RELAXED) < ROUNDS) {
        struct box *box;

        wane_enter();
        box = wane_peek(&root); /* borrowed: releases of a common object do order, as they must */
        box->value++;
        wane_leave();
        __atomic_fetch_add(&rounds[me], 1, __ATOMIC_RELAXED);
        sched_yield();
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
    unsigned  number[2] = {0, 1};

    pthread_barrier_init(&start, NULL, 2);
    wane_put(&root, wane_new(&box_type));
    if (!strcmp(mode, "section"))
        one = other = write_in_section;
    if (!strcmp(mode, "order")) {
        one = publish;
        other = find;
    }
    pthread_create(&thread[0], NULL, one, &number[0]);
    pthread_create(&thread[1], NULL, other, &number[1]);
    pthread_join(thread[0], NULL);
    pthread_join(thread[1], NULL);
    wane_clear(&root);
    wane_clear(&ready);
    printf("%s: %u\n", mode, plain + number[1]);
    return wane_shutdown();
}
