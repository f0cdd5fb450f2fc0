/* SPDX-License-Identifier: MIT
 *
 * pipeline.c - messages through four stages, one thread each, with bounded queues in between
 *
 * A message is made by the first stage, worked on by each and dropped by the last. Only one thread holds it at any time: it is
 * given away (wane_give) before it goes into a queue, and adopted (wane_adopt) by whoever takes it out, so that each stage
 * counts it as its own, without atomic steps. Under way a stage hangs notes on it, which die with it.
 *
 * usage: pipeline [MESSAGES]
 */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include <wane/wane.h>

enum { STAGES = 4, ROOM = 256 };

struct note {
    unsigned  stage;
    wane_slot next;
};
WANE_TYPE(note, next);

struct message {
    unsigned long number;
    wane_slot     notes; /* a list, newest first */
};
WANE_TYPE(message, notes);

/* One producer, one consumer. */
struct queue {
    _Alignas(64) atomic_ulong head; /* taken so far */
    _Alignas(64) atomic_ulong tail; /* put so far */
    struct message *item[ROOM];
};

static struct queue  queues[STAGES - 1];
static unsigned long messages = 1000000;
static unsigned long sum; /* of the last stage */
static atomic_ulong  kept;

static void
queue_put(struct queue *q, struct message *m)
{
    unsigned long tail = atomic_load_explicit(&q->tail, memory_order_relaxed);

    while (tail - atomic_load_explicit(&q->head, memory_order_acquire) == ROOM)
        sched_yield();
    q->item[tail % ROOM] = m;
    atomic_store_explicit(&q->tail, tail + 1, memory_order_release);
}

static struct message *
queue_take(struct queue *q)
{
    unsigned long   head = atomic_load_explicit(&q->head, memory_order_relaxed);
    struct message *m;

    while (atomic_load_explicit(&q->tail, memory_order_acquire) == head)
        sched_yield();
    m = q->item[head % ROOM];
    atomic_store_explicit(&q->head, head + 1, memory_order_release);
    return m;
}

/* Hang a note on the message. Nobody else can reach it: no grace period is needed. */
static void
annotate(struct message *m, unsigned stage)
{
    struct note *n = wane_new(&note_type);

    if (!n)
        abort();
    n->stage = stage;
    wane_put_private(&n->next, wane_take_private(&m->notes));
    wane_put_private(&m->notes, n);
}

static void
consume(struct message *m)
{
    unsigned stage = STAGES - 1;

    for (struct note *n = wane_peek(&m->notes); n; n = wane_peek(&n->next))
        if (n->stage != stage--)
            abort();
    sum += m->number;
}

static struct message *
begin(unsigned long number)
{
    struct message *m = wane_new(&message_type);

    if (!m)
        abort();
    m->number = number;
    return m;
}

static void *
run_stage(void *arg)
{
    unsigned stage = (unsigned)(size_t)arg;

    for (unsigned long i = 0; i < messages; i++) {
        /* Queues are waited for outside of sections. */
        struct message *m = stage == 0 ? begin(i) : queue_take(&queues[stage - 1]);

        WANE_SECTION {
            m = wane_adopt(m);
            annotate(m, stage);
            if (stage == STAGES - 1) {
                consume(m);
                wane_release(m);
            } else if (wane_give(m) != 0) {
                atomic_fetch_add(&kept, 1); /* it travels all the same, and is counted by atomic steps */
            }
        }
        if (stage < STAGES - 1)
            queue_put(&queues[stage], m);
    }
    return NULL;
}

int
main(int argc, char **argv)
{
    pthread_t thread[STAGES];

    if (argc > 1)
        messages = strtoul(argv[1], NULL, 10);
    for (size_t i = 0; i < STAGES; i++)
        if (pthread_create(&thread[i], NULL, run_stage, (void *)i) != 0)
            return 1;
    for (size_t i = 0; i < STAGES; i++)
        pthread_join(thread[i], NULL);
    printf("%lu messages through %d stages, sum %lu, %lu not given\n", messages, STAGES, sum, atomic_load(&kept));
    return wane_shutdown() || sum != messages * (messages - 1) / 2;
}
