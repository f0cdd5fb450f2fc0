/* SPDX-License-Identifier: MIT
 *
 * lockfree - a stack, a set and a queue built on slots, each under several threads; the sums must come out even
 *
 * There is no reclamation in these structures: no hazard pointers, no free lists, no counters beside the pointers. A node
 * that has left is given back when nobody can be reading it any more, because slots are what lead to it.
 *
 * usage: lockfree [STEPS]
 */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "list.h"
#include "queue.h"
#include "stack.h"

enum { THREADS = 4, KEYS = 64 };

struct number {
    unsigned long value;
};
WANE_LEAF_TYPE(number);

static struct stack  stack;
static struct list   list;
static struct queue  queue;
static unsigned long steps = 100000; /* of each thread */
static atomic_ulong  into, out;      /* sums */
static atomic_long   present[KEYS];  /* additions that succeeded, less removals */

static void
check(bool ok, const char *what)
{
    if (ok)
        return;
    fprintf(stderr, "lockfree: %s\n", what);
    exit(1);
}

static struct number *
number_new(unsigned long value)
{
    struct number *n = wane_new(&number_type);

    check(n, "no memory");
    n->value = value;
    atomic_fetch_add(&into, value);
    return n;
}

/* NULL is allowed. */
static bool
count_out(struct number *n)
{
    if (!n)
        return false;
    atomic_fetch_add(&out, n->value);
    wane_release(n);
    return true;
}

static void *
push_and_pop(void *unused)
{
    (void)unused;
    for (unsigned long i = 1; i <= steps; i++) {
        WANE_AUTO(struct number) *n = number_new(i);

        check(stack_push(&stack, n), "no memory");
        if (i % 3)
            count_out(stack_pop(&stack));
    }
    return NULL;
}

static void *
add_and_remove(void *seed)
{
    unsigned long random = (unsigned long)(size_t)seed * 2654435761u + 1;

    for (unsigned long i = 0; i < steps; i++) {
        unsigned long key;

        random = random * 6364136223846793005u + 1442695040888963407u;
        key = random >> 40;
        key %= KEYS;
        if (random >> 63)
            atomic_fetch_add(&present[key], list_add(&list, key) > 0);
        else
            atomic_fetch_sub(&present[key], list_remove(&list, key));
    }
    return NULL;
}

static void *
put(void *unused)
{
    (void)unused;
    for (unsigned long i = 1; i <= steps; i++) {
        WANE_AUTO(struct number) *n = number_new(i);

        check(queue_put(&queue, n), "no memory");
    }
    return NULL;
}

static void *
take(void *unused)
{
    (void)unused;
    for (unsigned long left = (THREADS - 1) * steps; left;)
        if (count_out(queue_take(&queue)))
            left--;
        else
            sched_yield();
    return NULL;
}

/* The first thread runs `one`, the others run `rest`. */
static void
run(void *(*one)(void *), void *(*rest)(void *))
{
    pthread_t thread[THREADS];

    for (size_t i = 0; i < THREADS; i++)
        check(pthread_create(&thread[i], NULL, i ? rest : one, (void *)i) == 0, "no thread");
    for (size_t i = 0; i < THREADS; i++)
        pthread_join(thread[i], NULL);
}

static void
run_stack(void)
{
    run(push_and_pop, push_and_pop);
    while (count_out(stack_pop(&stack)))
        ;
    check(into == out, "the stack lost something, or gave it out twice");
    printf("stack: sum %lu\n", out);
}

static void
run_list(void)
{
    unsigned keys = 0;

    run(add_and_remove, add_and_remove);
    for (unsigned long key = 0; key < KEYS; key++) {
        check(present[key] == list_has(&list, key), "the set is not what was added and not removed");
        keys += list_has(&list, key);
    }
    wane_clear(&list.head);
    printf("set: %u keys of %d\n", keys, KEYS);
}

static void
run_queue(void)
{
    into = out = 0;
    check(queue_begin(&queue), "no memory");
    run(take, put);
    check(into == out && !queue_take(&queue), "the queue lost something, or gave it out twice");
    queue_end(&queue);
    printf("queue: sum %lu\n", out);
}

int
main(int argc, char **argv)
{
    if (argc > 1)
        steps = strtoul(argv[1], NULL, 10);
    run_stack();
    run_list();
    run_queue();
    return wane_shutdown() != 0;
}
