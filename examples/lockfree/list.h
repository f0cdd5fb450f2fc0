/* SPDX-License-Identifier: MIT
 *
 * list.h - a lock-free set of numbers: an ordered list, after Harris (DISC 2001) as told by Michael (SPAA 2002)
 *
 * head -> node -> node ..; keys ascend. A tag in a node's own link marks the node as removed and freezes the link: every
 * CAS on a link expects it without the tag. Who meets a marked node unlinks it.
 *
 * Why there is no ABA. Links lead to borrowed nodes, whose addresses are not used again before the section ends; nodes are
 * never put in twice; and the link of a node that has left stays frozen. So a link that still holds the expected pointer is
 * a link of a node in the list, and the expected node is its successor.
 *
 * Why a walk may go on from a node that has left: its frozen link still holds its successor.
 */
#ifndef LOCKFREE_LIST_H
#define LOCKFREE_LIST_H

#include <wane/wane.h>

/* All zero is empty. Inside an object, whose type names the slot, or a root. */
struct list {
    wane_slot head;
};

struct list_node {
    uint64_t  key;
    wane_slot next; /* tag: this node has left */
};
WANE_TYPE(list_node, next);

#define LIST_LEFT 1u

/* Where a key is, or belongs: `node`, the first with a key that is not below, hangs on `link`. */
struct list_place {
    wane_slot        *link;
    struct list_node *node;
};

/* Inside a section. Lock-free: a failed CAS means that another thread changed the list. */
static inline struct list_place
list_find(struct list *l, uint64_t key)
{
    struct list_place at;
    void             *next;

again:
    at.link = &l->head;
    at.node = wane_peek(at.link);
    while (at.node) {
        next = wane_peek_tagged(&at.node->next);
        if (wane_tag_of(next) & LIST_LEFT) {
            if (!wane_cas(at.link, at.node, wane_untag(next)))
                goto again;
        } else if (at.node->key >= key) {
            break;
        } else {
            at.link = &at.node->next;
        }
        at.node = wane_untag(next);
    }
    return at;
}

/* 1: added, 0: it was there, -1: no memory. */
static inline int
list_add(struct list *l, uint64_t key)
{
    struct list_node *n = wane_new(&list_node_type);
    struct list_place at;
    bool              added = false;

    if (!n)
        return -1;
    n->key = key;
    WANE_SECTION {
        do {
            at = list_find(l, key);
            if (at.node && at.node->key == key)
                break;
            wane_set_private(&n->next, at.node);
            added = wane_cas_put(at.link, at.node, n);
        } while (!added);
    }
    if (!added)
        wane_release(n);
    return added;
}

/* True: this call has removed it. */
static inline bool
list_remove(struct list *l, uint64_t key)
{
    struct list_place at;
    void             *next;
    bool              removed = false;

    WANE_SECTION {
        do {
            at = list_find(l, key);
            if (!at.node || at.node->key != key)
                break;
            next = wane_peek(&at.node->next);
            removed = wane_cas(&at.node->next, next, wane_tag(next, LIST_LEFT));
        } while (!removed);
        if (removed && !wane_cas(at.link, at.node, next))
            (void)list_find(l, key); /* unlinks it */
    }
    return removed;
}

/* Wait-free in a list of bounded length: helps nobody. */
static inline bool
list_has(const struct list *l, uint64_t key)
{
    const struct list_node *n;
    bool                    has = false;

    WANE_SECTION {
        n = wane_peek(&l->head);
        while (n && n->key < key)
            n = wane_peek(&n->next);
        has = n && n->key == key && !(wane_tag_of(wane_peek_tagged(&n->next)) & LIST_LEFT);
    }
    return has;
}

#endif
