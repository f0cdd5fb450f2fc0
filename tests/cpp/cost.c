/* SPDX-License-Identifier: MIT
 *
 * cost.c - what C makes of some functions; cost.cpp has the same ones, and cost.py compares
 */
#include <wane/wane.h>

struct node {
    long      value;
    wane_slot left, right;
};
WANE_TYPE(node, left, right);

void touch(struct node *object);

long sum_list(const wane_slot *head);
long
sum_list(const wane_slot *head)
{
    long sum = 0;

    wane_enter();
    for (const struct node *n = wane_peek(head); n; n = wane_peek(&n->right))
        sum += n->value;
    wane_leave();
    return sum;
}

long read_one(const wane_slot *place);
long
read_one(const wane_slot *place)
{
    long value = 0;

    wane_enter();
    const struct node *n = wane_peek(place);
    if (n)
        value = n->value;
    wane_leave();
    return value;
}

void keep(wane_slot *place, struct node *lent);
void
keep(wane_slot *place, struct node *lent)
{
    wane_put(place, wane_retain(lent));
}

long take_one(wane_slot *place);
long
take_one(wane_slot *place)
{
    struct node *n = wane_take(place);
    long         value = n ? n->value : 0;

    if (n)
        wane_release(n);
    return value;
}

void turn(struct node *lent);
void
turn(struct node *lent)
{
    struct node *left = wane_get(&lent->left), *right = wane_swap(&lent->right, left);

    wane_put(&lent->left, right);
}

bool push(wane_slot *head, struct node *lent);
bool
push(wane_slot *head, struct node *lent)
{
    bool done;

    wane_enter();
    struct node *first = wane_peek(head);
    wane_set(&lent->right, first);
    done = wane_cas(head, first, lent);
    wane_leave();
    return done;
}

void count(struct node *lent);
void
count(struct node *lent)
{
    wane_retain(lent);
    touch(lent);
    wane_release(lent);
}

void move(wane_slot *from, wane_slot *to);
void
move(wane_slot *from, wane_slot *to)
{
    wane_put(to, wane_take(from));
}

long upgrade(void *const *weak);
long
upgrade(void *const *weak)
{
    struct node *n = *weak ? wane_weak_get(*weak) : NULL;
    long         value = 0;

    if (n) {
        value = n->value;
        wane_release(n);
    }
    return value;
}

/* wane_new clears; C++ initialises all the same, so this does, too. */
bool born(wane_slot *place, long value);
bool
born(wane_slot *place, long value)
{
    struct node *n = wane_new(&node_type);

    if (!n)
        return false;
    *n = (struct node){.value = value};
    wane_put(place, n);
    return true;
}
