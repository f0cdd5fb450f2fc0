/* SPDX-License-Identifier: MIT
 *
 * graph.c - nodes that know whom they link to, and who links to them
 *
 * A node is a dictionary. An edge from a to b is two entries: in a, under '>', label and b's name, a reference to b; in b,
 * under '<', label and a's name, a reference to a. So every edge is a cycle. A node is garbage when neither a key leads to
 * it nor an edge from a node that is not garbage. Nobody says so: GDROP only takes the name away. The back end finds the
 * islands that are left, or leaks them.
 *
 * A dropped node stays where edges lead to it, under its old name. If a node of that name is made anew and linked, the new
 * edge takes the place of the old one, at both ends. All nodes that a link touches have one of two names, so it needs the
 * locks of two stripes.
 */
#include "graph.h"

#include <string.h>

#include "command.h"

#define MOST_LABEL 250
#define MOST_NAME 1024
#define OUT '>'
#define IN '<'

/* ---- Entries -------------------------------------------------------------------------------------------------------- */

struct edge {
    char   key[2 + MOST_LABEL + MOST_NAME];
    size_t size;
};

/* The byte of the label's length is moved by two: the bytes 0 and 1 make keys longer in the wane back end. */
static void
edge_key(struct edge *e, char direction, const struct bytes *label, const char *name, size_t name_size)
{
    e->key[0] = direction;
    e->key[1] = (char)(label->size + 2);
    memcpy(e->key + 2, label->at, label->size);
    memcpy(e->key + 2 + label->size, name, name_size);
    e->size = 2 + label->size + name_size;
}

static void
edge_parts(const char *key, size_t size, struct bytes *label, struct bytes *name)
{
    size_t length = (size_t)(unsigned char)key[1] - 2;

    *label = (struct bytes){(char *)(uintptr_t)key + 2, length};
    *name = (struct bytes){label->at + length, size - 2 - length};
}

static bool
good_names(struct client *c, const struct bytes *a, const struct bytes *b, const struct bytes *label)
{
    if (a->size > MOST_NAME || b->size > MOST_NAME)
        reply_error(&c->out, "ERR name of a node is longer than %d bytes", MOST_NAME);
    else if (label->size > MOST_LABEL)
        reply_error(&c->out, "ERR label is longer than %d bytes", MOST_LABEL);
    else
        return true;
    return false;
}

/* Locked. The node of this name, made if there is none; 1: it was there, 0: made, -1: replied. */
static int
node_for_writing(struct client *c, const struct bytes *name, struct loan *node)
{
    int found = value_find(c, name, NODE, node);

    if (found != 0)
        return found;
    if (!dict_new(NODE, name->at, name->size, stripe_of(name->at, name->size), node)) {
        reply_oom(c);
        return -1;
    }
    if (!space_put(name->at, name->size, node)) {
        reply_oom(c);
        loan_drop(node);
        return -1;
    }
    return 0;
}

static void
gnode(struct client *c, size_t argc, const struct bytes *argv)
{
    unsigned    stripe = stripe_of(argv[1].at, argv[1].size);
    struct loan node;
    int         found;

    (void)argc;
    if (!good_names(c, &argv[1], &argv[1], &(struct bytes){NULL, 0}))
        return;
    stripe_lock(stripe);
    found = node_for_writing(c, &argv[1], &node);
    stripe_unlock(stripe);
    if (found < 0)
        return;
    loan_drop(&node);
    reply_integer(&c->out, !found);
}

/* ---- Links ---------------------------------------------------------------------------------------------------------- */

struct link {
    struct loan a, b;
    struct edge out, in; /* a's entry, b's entry */
};

static void
link_keys(struct link *l, const struct bytes *a, const struct bytes *b, const struct bytes *label)
{
    edge_key(&l->out, OUT, label, b->at, b->size);
    edge_key(&l->in, IN, label, a->at, a->size);
}

/* Locked. Remove entry `here` of `node`, and the entry `there` of whom it leads to, if that leads back. */
static bool
cut(struct value *node, const struct edge *here, const struct edge *there)
{
    struct loan peer, back;

    if (!dict_find(node, here->key, here->size, &peer))
        return false;
    if (dict_find(peer.value, there->key, there->size, &back)) {
        if (back.value == node)
            dict_remove(peer.value, there->key, there->size);
        loan_drop(&back);
    }
    dict_remove(node, here->key, here->size);
    loan_drop(&peer);
    return true;
}

/* Locked. 1: linked; 0: it was already; -1: no memory. */
static int
join(struct link *l)
{
    struct loan there;

    if (dict_find(l->a.value, l->out.key, l->out.size, &there)) {
        bool same = there.value == l->b.value;

        loan_drop(&there);
        if (same)
            return 0;
        cut(l->a.value, &l->out, &l->in);
    }
    cut(l->b.value, &l->in, &l->out);
    if (!dict_put(l->a.value, l->out.key, l->out.size, &l->b))
        return -1;
    if (dict_put(l->b.value, l->in.key, l->in.size, &l->a))
        return 1;
    dict_remove(l->a.value, l->out.key, l->out.size);
    return -1;
}

/* Locked. -2: replied. */
static int
link_locked(struct client *c, const struct bytes *argv)
{
    struct link l;
    int         result = -2;

    if (node_for_writing(c, &argv[1], &l.a) < 0)
        return -2;
    if (node_for_writing(c, &argv[2], &l.b) >= 0) {
        link_keys(&l, &argv[1], &argv[2], &argv[3]);
        result = join(&l);
        loan_drop(&l.b);
    }
    loan_drop(&l.a);
    return result;
}

/* With the locks of both nodes. */
static int
locked(struct client *c, const struct bytes *argv, int (*change)(struct client *, const struct bytes *))
{
    unsigned one = stripe_of(argv[1].at, argv[1].size), other = stripe_of(argv[2].at, argv[2].size);
    int      result;

    stripe_lock_two(one, other);
    result = change(c, argv);
    stripe_unlock_two(one, other);
    return result;
}

static void
glink(struct client *c, size_t argc, const struct bytes *argv)
{
    int result;

    (void)argc;
    if (!good_names(c, &argv[1], &argv[2], &argv[3]))
        return;
    result = locked(c, argv, link_locked);
    if (result == -1)
        reply_oom(c);
    else if (result >= 0)
        reply_integer(&c->out, result);
}

/* Locked. By a's entry, or, where a is another node by now, by b's. */
static int
unlink_locked(struct client *c, const struct bytes *argv)
{
    struct link l;
    int         found, result = 0;

    link_keys(&l, &argv[1], &argv[2], &argv[3]);
    found = value_find(c, &argv[1], NODE, &l.a);
    if (found < 0)
        return -1;
    if (found) {
        result = cut(l.a.value, &l.out, &l.in);
        loan_drop(&l.a);
    }
    if (result)
        return 1;
    found = value_find(c, &argv[2], NODE, &l.b);
    if (found < 0)
        return -1;
    if (found) {
        result = cut(l.b.value, &l.in, &l.out);
        loan_drop(&l.b);
    }
    return result;
}

static void
gunlink(struct client *c, size_t argc, const struct bytes *argv)
{
    int result;

    (void)argc;
    if (!good_names(c, &argv[1], &argv[2], &argv[3]))
        return;
    result = locked(c, argv, unlink_locked);
    if (result >= 0)
        reply_integer(&c->out, result);
}

/* ---- Looking -------------------------------------------------------------------------------------------------------- */

struct near {
    struct client *c;
    char           direction;
    size_t         count;
};

static bool
show_edge(const char *key, size_t size, const struct loan *value, void *arg)
{
    struct near *n = arg;
    struct bytes label, name;

    (void)value;
    if (key[0] != n->direction)
        return true;
    edge_parts(key, size, &label, &name);
    reply_bulk(&n->c->out, label.at, label.size);
    reply_bulk(&n->c->out, name.at, name.size);
    n->count += 2;
    return reply_waiting(&n->c->out) <= server.options.output_limit;
}

/* GNEIGHBORS name [OUT|IN]: label, name, label, name .. */
static void
gneighbors(struct client *c, size_t argc, const struct bytes *argv)
{
    struct near n = {.c = c, .direction = OUT};
    struct loan node;
    size_t      begin;
    int         found;

    if (argc > 3 || (argc == 3 && !arg_is(&argv[2], "OUT") && !arg_is(&argv[2], "IN"))) {
        reply_syntax(c);
        return;
    }
    if (argc == 3 && arg_is(&argv[2], "IN"))
        n.direction = IN;
    found = value_get(c, &argv[1], NODE, &node);
    if (found < 0)
        return;
    begin = reply_begin(&c->out);
    if (found) {
        dict_each(node.value, show_edge, &n);
        loan_drop(&node);
    }
    reply_end(&c->out, begin, n.count);
}

/* GWALK name depth [LIMIT n]: the names of the nodes that so many steps lead to, the nearest first. */
static void
gwalk(struct client *c, size_t argc, const struct bytes *argv)
{
    struct loan  node;
    long long    depth, limit = WALK_SHOWN;
    struct walk *w;
    int          found;

    if (!arg_number(c, &argv[2], &depth))
        return;
    if (argc != 3 && (argc != 5 || !arg_is(&argv[3], "LIMIT"))) {
        reply_syntax(c);
        return;
    }
    if (argc == 5 && !arg_number(c, &argv[4], &limit))
        return;
    if (depth < 0 || limit < 1 || limit > WALK_MOST) {
        reply_error(&c->out, "ERR value is out of range");
        return;
    }
    found = value_get(c, &argv[1], NODE, &node);
    if (found == 0)
        reply_array(&c->out, 0);
    if (found <= 0)
        return;
    w = walk_begin(&node, (size_t)limit);
    walk_on(w, (size_t)depth, NULL);
    reply_array(&c->out, walk_count(w));
    for (size_t i = 0; i < walk_count(w); i++) {
        size_t      size;
        const char *name = dict_name(walk_at(w, i)->value, &size);

        reply_bulk(&c->out, name, size);
    }
    walk_end(w);
}

/* GPATH a b: the names on a shortest way, or an empty array. */
static void
gpath(struct client *c, size_t argc, const struct bytes *argv)
{
    struct loan  from, to;
    struct walk *w;
    size_t       way[WALK_DEEPEST], steps = 0, at;
    int          found = value_get(c, &argv[1], NODE, &from);

    (void)argc;
    if (found < 0)
        return;
    if (found == 0) {
        reply_array(&c->out, 0);
        return;
    }
    found = value_get(c, &argv[2], NODE, &to);
    if (found <= 0) {
        loan_drop(&from);
        if (found == 0)
            reply_array(&c->out, 0);
        return;
    }
    w = walk_begin(&from, WALK_MOST);
    at = walk_on(w, WALK_DEEPEST - 1, to.value);
    loan_drop(&to);
    for (; at != WALK_NOWHERE && steps < WALK_DEEPEST; at = walk_before(w, at))
        way[steps++] = at;
    reply_array(&c->out, steps);
    while (steps-- > 0) {
        size_t      size;
        const char *name = dict_name(walk_at(w, way[steps])->value, &size);

        reply_bulk(&c->out, name, size);
    }
    walk_end(w);
}

const struct command graph_commands[] = {
    {"GNODE", 2, true, gnode},
    {"GLINK", 4, true, glink},
    {"GUNLINK", 4, true, gunlink},
    {"GNEIGHBORS", -2, false, gneighbors},
    {"GWALK", -3, false, gwalk},
    {"GPATH", 3, false, gpath},
    {NULL, 0, false, NULL},
};
