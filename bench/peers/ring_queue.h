/* SPDX-License-Identifier: MIT
 *
 * ring_queue.h - objects go round through `threads` stages, each connected with the next by a bounded queue of one producer
 * and one consumer
 *
 * The includer defines: stage_get(object), after it came; stage_put(object), before it goes on.
 */
#ifndef RING_QUEUE_H
#define RING_QUEUE_H

#include "peer.h"

#define QUEUE 256 /* more than objects go round */
#define AROUND 128
#define MOST_STAGES 64

struct queue {
    _Alignas(64) uint64_t head;
    _Alignas(64) uint64_t tail;
    _Alignas(64) void *item[QUEUE];
};

static struct queue queues[MOST_STAGES];

static void
queue_push(struct queue *q, void *object)
{
    uint64_t tail = q->tail;

    q->item[tail % QUEUE] = object;
    __atomic_store_n(&q->tail, tail + 1, __ATOMIC_RELEASE);
}

static void *
queue_pop(struct queue *q)
{
    uint64_t head = q->head;
    void    *object;

    while (__atomic_load_n(&q->tail, __ATOMIC_ACQUIRE) == head)
        sched_yield();
    object = q->item[head % QUEUE];
    __atomic_store_n(&q->head, head + 1, __ATOMIC_RELEASE);
    return object;
}

#define PIPELINE_OBJECTS(make, w) \
    if ((w)->id == 0)             \
        for (int i = 0; i < AROUND; i++) \
            queue_push(&queues[0], make)

/* What a stage does with each object: takes it, adds to the number in it, hands it on. */
#define PIPELINE_LOOP(w, get, put)                                           \
    worker_begin(w);                                                         \
    for (uint64_t i = 0; i < (w)->n; i++) {                                  \
        uint64_t *object = queue_pop(&queues[(w)->id]);                      \
                                                                             \
        get(object);                                                         \
        *object += 1;                                                        \
        put(object);                                                         \
        queue_push(&queues[((w)->id + 1) % (w)->threads], object);           \
    }                                                                        \
    worker_end(w);                                                           \
    pthread_barrier_wait(&peer.ready);                                       \
    if ((w)->id == 0)                                                        \
        for (int k = 0; k < (w)->threads; k++)                               \
            while (queues[k].head != queues[k].tail)                         \
    (w)->sum += *(uint64_t *)queues[k].item[queues[k].head++ % QUEUE]

#endif
