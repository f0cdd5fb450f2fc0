/* SPDX-License-Identifier: MIT
 *
 * stack.h - a lock-free stack, after Treiber (IBM RJ 5118, 1986)
 *
 * top -> node -> node ..; a node's link and value never change once it is published.
 *
 * Why there is no ABA. A pop reads top (node A) and A's link (B), then swings top from A to B if it still is A. The danger
 * is that A left meanwhile and an A with another link came back. Each push makes a new node, so only a new object at the
 * same address could come back; and A is borrowed for the whole pop, so its memory is not used again before the section
 * ends.
 */
#ifndef LOCKFREE_STACK_H
#define LOCKFREE_STACK_H

#include <wane/wane.h>

/* All zero is empty. Inside an object, whose type names the slot, or a root. */
struct stack {
    wane_slot top;
};

struct stack_node {
    wane_slot value, next;
};
WANE_TYPE(stack_node, value, next);

/* The stack holds a unit of its own. False: no memory. */
static inline bool
stack_push(struct stack *s, void *value)
{
    struct stack_node *n = wane_new(&stack_node_type);
    struct stack_node *top;

    if (!n)
        return false;
    wane_set_private(&n->value, value);
    WANE_SECTION {
        do {
            top = wane_peek(&s->top);
            wane_set_private(&n->next, top); /* nobody else can see n yet */
        } while (!wane_cas_put(&s->top, top, n));
    }
    return true;
}

/* Owned, or NULL when the stack was empty. */
static inline void *
stack_pop(struct stack *s)
{
    struct stack_node *top;
    void              *value = NULL;

    WANE_SECTION {
        do
            top = wane_peek(&s->top);
        while (top && !wane_cas(&s->top, top, wane_peek(&top->next)));
        if (top)
            value = wane_get(&top->value); /* the node's own unit goes with it, after a grace period */
    }
    return value;
}

#endif
