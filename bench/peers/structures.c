/* SPDX-License-Identifier: MIT
 *
 * structures.c - lock-free structures under updates, with one of the schemes of links.h
 *
 *   stack    Treiber's                     half of the updates push, half pop; else the top is read
 *   queue    Michael and Scott's           half append, half take; else the first is read
 *   list     Harris and Michael's, sorted  half insert, half remove, else a search; 1000 of 2000 keys are in it
 *   hash     100,000 such lists            100,000 of 200,000 keys
 *   tree     Natarajan and Mittal's        the same
 *
 * The checksum adds what operations return: on one thread it is the same for every scheme. With several, elements are counted.
 */
#include "links.h"

#define MARK ((uintptr_t)1) /* of lists: the node is removed; of trees: the leaf will be */
#define STUCK ((uintptr_t)2) /* of trees: the edge does not change any more */

static int64_t net; /* a: elements inserted less elements removed */

/* ---- Stack ------------------------------------------------------------------------------------------------------ */

static link_to top;

static void
stack_push(uint64_t key)
{
    struct node *n = node_new(key);
    void        *old;

    do {
        old = link_get(&top);
        link_init(&n->a, old);
    } while (!link_cas_new(&top, old, n));
}

static struct node *
stack_pop(void)
{
    struct node *old;

    do {
        if (!(old = link_get(&top)))
            return NULL;
    } while (!link_cas(&top, old, link_get(&old->a)));
    return old;
}

/* ---- Queue ------------------------------------------------------------------------------------------------------ */

static link_to first, last; /* the first node is a dummy */

static void
queue_begin(void)
{
    struct node *dummy = node_new(0);

    link_init(&last, dummy);
    link_give(&first, dummy);
}

static void
queue_append(uint64_t key)
{
    struct node *n = node_new(key);

    for (;;) {
        struct node *tail = link_get(&last), *next = link_get(&tail->a);

        if (next) {
            (void)link_cas(&last, tail, next);
        } else if (link_cas(&tail->a, NULL, n)) {
            (void)link_cas(&last, tail, n);
#ifdef SCHEME_WANE
            wane_release(n);
#endif
            return;
        }
    }
}

/* The key of what was taken; 0: it was empty. */
static uint64_t
queue_take(void)
{
    for (;;) {
        struct node *head = link_get(&first), *tail = link_get(&last), *next = link_get(&head->a);

        if (!next)
            return 0;
        if (head == tail) {
            (void)link_cas(&last, tail, next);
            continue;
        }
        if (link_cas(&first, head, next)) {
            uint64_t key = next->key;

            retire(head);
            return key;
        }
    }
}

/* ---- Lists ------------------------------------------------------------------------------------------------------ */

/* Is the key there? *where is the link before its place, *at what it holds. Unlinks removed nodes on the way. */
static bool
list_find(link_to *head, uint64_t key, link_to **where, struct node **at)
{
    for (;;) {
        link_to     *before = head;
        struct node *n = UNTAGGED(link_get(before));
        bool         again = false;

        while (n && !again) {
            void *next = link_get(&n->a);

            if (TAG(next)) {
                if ((again = !link_cas(before, n, UNTAGGED(next))))
                    break;
                retire(n);
                n = UNTAGGED(next);
            } else if (n->key >= key) {
                break;
            } else {
                before = &n->a;
                n = UNTAGGED(next);
            }
        }
        if (!again) {
            *where = before;
            *at = n;
            return n && n->key == key;
        }
    }
}

static bool
list_has(const link_to *head, uint64_t key)
{
    const struct node *n = UNTAGGED(link_get(head));

    while (n && n->key < key)
        n = UNTAGGED(link_get(&n->a));
    return n && n->key == key && !TAG(link_get(&n->a));
}

static bool
list_insert(link_to *head, uint64_t key)
{
    struct node *n = NULL, *at;
    link_to     *where;

    for (;;) {
        if (list_find(head, key, &where, &at)) {
            if (n)
                discard(n);
            return false;
        }
        if (!n)
            n = node_new(key);
        link_init(&n->a, at);
        if (link_cas_new(where, at, n))
            return true;
    }
}

static bool
list_remove(link_to *head, uint64_t key)
{
    struct node *at;
    link_to     *where;

    for (;;) {
        void *next;

        if (!list_find(head, key, &where, &at))
            return false;
        next = link_get(&at->a);
        if (TAG(next) || !link_cas(&at->a, next, WITH(next, MARK)))
            continue;
        if (link_cas(where, at, next))
            retire(at);
        else
            (void)list_find(head, key, &where, &at);
        return true;
    }
}

/* ---- Tree ------------------------------------------------------------------------------------------------------------ */

/* Keys are in leaves. MARK is on the edge to a leaf that goes, STUCK on the edge to the one that takes its parent's place. */

#define TREE_TOP (UINT64_MAX - 2) /* three keys above all others */

static struct node *tree_root;

static struct node *
tree_pair(uint64_t key, struct node *a, struct node *b)
{
    struct node *n = node_new(key);

    link_give(&n->a, a);
    link_give(&n->b, b);
    return n;
}

static void
tree_begin(void)
{
    struct node *inner = tree_pair(TREE_TOP + 1, node_new(TREE_TOP), node_new(TREE_TOP + 1));

    tree_root = tree_pair(TREE_TOP + 2, inner, node_new(TREE_TOP + 2));
}

struct path {
    struct node *ancestor, *successor, *parent, *leaf;
};

static link_to *
side(struct node *n, uint64_t key)
{
    return key < n->key ? &n->a : &n->b;
}

static void
tree_seek(uint64_t key, struct path *p)
{
    void        *to_leaf, *to_next;
    struct node *next;

    p->ancestor = tree_root;
    p->successor = p->parent = UNTAGGED(link_get(&tree_root->a));
    to_leaf = link_get(&p->parent->a);
    p->leaf = UNTAGGED(to_leaf);
    to_next = link_get(side(p->leaf, key));
    while ((next = UNTAGGED(to_next))) {
        if (!(TAG(to_leaf) & STUCK)) {
            p->ancestor = p->parent;
            p->successor = p->leaf;
        }
        p->parent = p->leaf;
        p->leaf = next;
        to_leaf = to_next;
        to_next = link_get(side(next, key));
    }
}

/* What hung between the ancestor and what took its place: inner nodes, each with a leaf that was marked. */
static void
tree_retire(const struct path *p, uint64_t key, const link_to *stays)
{
    struct node *n = p->successor;

    while (n != p->parent) {
        struct node *next = UNTAGGED(link_get(side(n, key)));

        retire(UNTAGGED(link_get(side(n, key) == &n->a ? &n->b : &n->a)));
        retire(n);
        n = next;
    }
    retire(UNTAGGED(link_get(stays == &n->a ? &n->b : &n->a)));
    retire(n);
}

/* Take a marked leaf and its parent out. */
static bool
tree_cleanup(uint64_t key, const struct path *p)
{
    link_to *place = side(p->ancestor, key), *child = side(p->parent, key);
    link_to *stays = child == &p->parent->a ? &p->parent->b : &p->parent->a;
    void    *held;

    if (!(TAG(link_get(child)) & MARK))
        stays = child;
    do {
        held = link_get(stays);
    } while (!(TAG(held) & STUCK) && !link_cas(stays, held, WITH(held, STUCK)));
    held = link_get(stays);
    if (!link_cas(place, p->successor, WITH(UNTAGGED(held), TAG(held) & MARK)))
        return false;
    tree_retire(p, key, stays);
    return true;
}

static bool
tree_has(uint64_t key)
{
    struct path p;

    tree_seek(key, &p);
    return p.leaf->key == key;
}

static bool
tree_insert(uint64_t key)
{
    for (;;) {
        struct node *leaf, *inner;
        struct path  p;
        link_to     *place;
        void        *held;

        tree_seek(key, &p);
        if (p.leaf->key == key)
            return false;
        place = side(p.parent, key);
        leaf = node_new(key);
        inner = node_new(key > p.leaf->key ? key : p.leaf->key);
        link_init(key < p.leaf->key ? &inner->b : &inner->a, p.leaf);
        link_give(key < p.leaf->key ? &inner->a : &inner->b, leaf);
        if (link_cas_new(place, p.leaf, inner))
            return true;
        discard(inner);
#ifndef SCHEME_WANE
        discard(leaf);
#endif
        held = link_get(place);
        if (UNTAGGED(held) == p.leaf && TAG(held))
            (void)tree_cleanup(key, &p);
    }
}

static bool
tree_remove(uint64_t key)
{
    struct node *marked = NULL;

    for (;;) {
        struct path p;
        link_to    *place;
        void       *held;

        tree_seek(key, &p);
        if (marked) {
            if (p.leaf != marked || tree_cleanup(key, &p))
                return true;
            continue;
        }
        if (p.leaf->key != key)
            return false;
        place = side(p.parent, key);
        if (link_cas(place, p.leaf, WITH(p.leaf, MARK))) {
            marked = p.leaf;
            if (tree_cleanup(key, &p))
                return true;
        } else {
            held = link_get(place);
            if (UNTAGGED(held) == p.leaf && TAG(held))
                (void)tree_cleanup(key, &p);
        }
    }
}

static uint64_t
tree_size(struct node *n)
{
    struct node *a = UNTAGGED(link_get(&n->a)), *b = UNTAGGED(link_get(&n->b));

    return a ? tree_size(a) + tree_size(b) : n->key < TREE_TOP;
}

/* ---- The operations of the workloads ---------------------------------------------------------------------------- */

#define BUCKETS_OF_HASH 100000

static link_to *table;
static uint64_t keys = 2000, percent = 10;

enum what { READ, INSERT, REMOVE };

static uint64_t
stack_do(enum what what, uint64_t key)
{
    struct node *n;
    uint64_t     popped;

    if (what == INSERT) {
        stack_push(key);
        return 1;
    }
    if (what == READ)
        return (n = link_get(&top)) ? n->key : 0;
    if (!(n = stack_pop()))
        return 0;
    popped = n->key;
    retire(n);
    return popped;
}

static uint64_t
queue_do(enum what what, uint64_t key)
{
    struct node *n;

    if (what == INSERT) {
        queue_append(key);
        return 1;
    }
    if (what == REMOVE)
        return queue_take();
    n = link_get(&((struct node *)link_get(&first))->a);
    return n ? n->key : 0;
}

static uint64_t
hash_do(enum what what, uint64_t key)
{
    link_to *head = &table[keys <= 2000 ? 0 : key % BUCKETS_OF_HASH];

    if (what == READ)
        return list_has(head, key);
    return what == INSERT ? list_insert(head, key) : list_remove(head, key);
}

static uint64_t
tree_do(enum what what, uint64_t key)
{
    if (what == READ)
        return tree_has(key);
    return what == INSERT ? tree_insert(key) : tree_remove(key);
}

static uint64_t (*operation)(enum what what, uint64_t key);

static void
work(struct worker *w)
{
    uint64_t seed = RANDOM_SEED * (2 * (uint64_t)w->id + 1);
    int64_t  mine = 0;

    thread_begin();
    worker_begin(w);
    for (uint64_t i = 0; i < w->n; i++) {
        uint64_t  r = random_next(&seed), key = 1 + (r >> 20) % keys, did;
        enum what what = r % 100 < percent ? ((r >> 10) & 1 ? INSERT : REMOVE) : READ;

        begin();
        did = operation(what, key);
        end();
        w->sum += did;
        mine += what == INSERT ? did != 0 : what == REMOVE ? -(int64_t)(did != 0) : 0;
    }
    worker_end(w);
    __atomic_fetch_add(&net, mine, __ATOMIC_RELAXED);
    thread_end();
}

static uint64_t
size_now(void)
{
    uint64_t           size = 0;
    const struct node *n;

    if (operation == tree_do)
        return tree_size(tree_root);
    if (operation == stack_do)
        for (n = link_get(&top); n; n = link_get(&n->a))
            size++;
    if (operation == queue_do)
        for (n = link_get(&((struct node *)link_get(&first))->a); n; n = link_get(&n->a))
            size++;
    for (uint64_t i = 0; operation == hash_do && i < BUCKETS_OF_HASH; i++)
        for (n = UNTAGGED(link_get(&table[i])); n; n = UNTAGGED(link_get(&n->a)))
            size += !TAG(link_get(&n->a));
    return size;
}

static void
structure(int threads, uint64_t n, uint64_t (*which)(enum what, uint64_t), uint64_t range, uint64_t updates)
{
    uint64_t seed = RANDOM_SEED, sum = 0;

    operation = which;
    keys = range;
    percent = updates;
    table = must(calloc(BUCKETS_OF_HASH, sizeof *table));
    thread_begin();
    begin();
    queue_begin();
    tree_begin();
    while (net < (int64_t)(range / 2)) {
        uint64_t did = operation(INSERT, 1 + random_next(&seed) % keys);

        sum += did;
        net += did != 0;
    }
    end();
    settle();
    thread_end();
    workers_run(work, threads, n, 0);
    thread_begin();
    begin();
    if (size_now() != (uint64_t)net) {
        fprintf(stderr, "elements: %llu, should be %lld\n", (unsigned long long)size_now(), (long long)net);
        exit(1);
    }
    end();
    thread_end();
    peer.checksum += sum;
}

#define STRUCTURE(name, which, range)                                                                                          \
    static void name##_10(int threads, uint64_t n, uint64_t size) { (void)size; structure(threads, n, which, range, 10); } \
    static void name##_50(int threads, uint64_t n, uint64_t size) { (void)size; structure(threads, n, which, range, 50); }

STRUCTURE(stack, stack_do, 2000)
STRUCTURE(queue, queue_do, 2000)
STRUCTURE(list, hash_do, 2000)
STRUCTURE(hash, hash_do, 200000)
STRUCTURE(tree, tree_do, 200000)

static const struct workload all[] = {
    {"stack-10", stack_10}, {"stack-50", stack_50}, {"queue-10", queue_10}, {"queue-50", queue_50}, {"list-10", list_10},
    {"list-50", list_50}, {"hash-10", hash_10}, {"hash-50", hash_50}, {"tree-10", tree_10}, {"tree-50", tree_50},
};

PEER_MAIN(all)
