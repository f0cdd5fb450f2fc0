/* SPDX-License-Identifier: MIT
 *
 * queue.h - a queue, many producers and one consumer, after Michael and Scott (PODC 1996)
 *
 * head -> dummy -> node -> node ..   tail -> a node at the end, or some way before it
 *
 * The consumer takes the value out of the dummy's successor, which is the dummy from then on. A producer appends where a
 * link is still empty, then moves the tail; who finds the tail behind moves it first.
 *
 * Why there is no ABA. A link is filled once and never changes, so an empty link is the end; the tail is swung from a node
 * to its successor, and nodes never come back: the one that the CAS expects is borrowed, so nothing else gets its address
 * meanwhile. The tail holds its node as any slot does, so it may even fall behind the head (Michael and Scott need a check
 * against that).
 */
#ifndef LOCKFREE_QUEUE_H
#define LOCKFREE_QUEUE_H

#include <wane/wane.h>

struct queue {
    wane_slot head, tail;
};

struct queue_node {
    wane_slot value, next;
};
WANE_TYPE(queue_node, value, next);

/* False: no memory. */
static inline bool
queue_begin(struct queue *q)
{
    struct queue_node *dummy = wane_new(&queue_node_type);

    if (!dummy)
        return false;
    wane_set(&q->tail, dummy);
    wane_put(&q->head, dummy);
    return true;
}

/* What is still in it is given back. */
static inline void
queue_end(struct queue *q)
{
    wane_clear(&q->tail);
    wane_clear(&q->head);
}

/* Any thread. The queue holds a unit of its own. False: no memory. */
static inline bool
queue_put(struct queue *q, void *value)
{
    struct queue_node *n = wane_new(&queue_node_type);
    struct queue_node *last, *next;

    if (!n)
        return false;
    wane_set_private(&n->value, value);
    WANE_SECTION {
        for (;;) {
            last = wane_peek(&q->tail);
            next = wane_peek(&last->next);
            if (!next && wane_cas(&last->next, NULL, n))
                break;
            if (next)
                (void)wane_cas(&q->tail, last, next);
        }
        (void)wane_cas(&q->tail, last, n); /* who was faster has moved it as far, or further */
    }
    wane_release(n);
    return true;
}

/* The consumer. Owned, or NULL when the queue is empty. */
static inline void *
queue_take(struct queue *q)
{
    struct queue_node *next;
    void              *value = NULL;

    WANE_SECTION {
        next = wane_peek(&((struct queue_node *)wane_peek(&q->head))->next);
        if (next) {
            value = wane_take(&next->value);
            wane_set(&q->head, next);
        }
    }
    return value;
}

#endif
