/* SPDX-License-Identifier: MIT
 *
 * code.c - tree -> instructions
 *
 * A variable is an entry of the frame, or captured by value when the closure is made. One that is captured and assigned lives
 * in a box, which frame and closures share; so procedures that are defined beside each other, and call each other, are a ring:
 * closure, box, closure, box. (One that calls itself alone is none: it knows itself by the frame.)
 */
#include "code.h"
#include "syntax.h"

#include <string.h>

enum { DEEPEST = 4000 };

struct writer {
    struct compiler *c;
    struct lambda   *lambda;
    uint32_t        *words;
    size_t           count, room;
    struct value    *constants; /* lent by the source; codes of inner lambdas are owned */
    size_t           constant_count, constant_room;
    uint32_t         depth, most; /* entries above the frame's base now, and at most */
    struct writer   *outer;
};

static void write_node(struct writer *w, const struct node *n, bool last);

/* ---- Words and constants --------------------------------------------------------------------------------------- */

static void *
room_for(struct writer *w, void *items, size_t count, size_t *room, size_t size)
{
    void *more;

    if (count < *room)
        return items;
    more = compiler_take(w->c, (2 * *room + 16) * size);
    if (count)
        memcpy(more, items, count * size);
    *room = 2 * *room + 16;
    return more;
}

/* Leaves through compiler_fail: units of codes that wait as constants are given back first. */
static void
give_up(struct writer *w, const char *why)
{
    struct compiler *c = w->c;

    for (; w; w = w->outer)
        for (size_t i = 0; i < w->constant_count; i++)
            drop(w->constants[i]);
    compiler_fail(c, "%s", why);
}

static size_t
emit(struct writer *w, enum operation operation, size_t argument)
{
    if (argument > MOST_ARGUMENT || w->count > MOST_ARGUMENT)
        give_up(w, "this is too large");
    w->words = room_for(w, w->words, w->count, &w->room, sizeof *w->words);
    w->words[w->count] = (uint32_t)operation | (uint32_t)argument << 8;
    return w->count++;
}

static void
plain_word(struct writer *w, uint32_t word)
{
    w->words = room_for(w, w->words, w->count, &w->room, sizeof *w->words);
    w->words[w->count++] = word;
}

static size_t
constant(struct writer *w, struct value v)
{
    for (size_t i = 0; i < w->constant_count; i++)
        if (w->constants[i].kind == v.kind && is_object(v) && w->constants[i].object == v.object)
            return i;
    w->constants = room_for(w, w->constants, w->constant_count, &w->constant_room, sizeof *w->constants);
    w->constants[w->constant_count] = v;
    return w->constant_count++;
}

static void
pushed(struct writer *w)
{
    if (++w->depth > w->most)
        w->most = w->depth;
}

static void
land(struct writer *w, size_t jump)
{
    w->words[jump] |= (uint32_t)w->count << 8;
}

/* ---- Variables ------------------------------------------------------------------------------------------------- */

static uint32_t
captured_index(const struct writer *w, const struct variable *v)
{
    uint32_t i = 0;

    while (w->lambda->captures.at[i] != v)
        i++;
    return i;
}

static void
write_reference(struct writer *w, const struct variable *v)
{
    bool mine = v->owner == w->lambda;

    if (v->self == w->lambda && !mine)
        emit(w, OP_SELF, 0);
    else if (!mine)
        emit(w, is_boxed(v) ? OP_CAPTURED_BOX : OP_CAPTURED, captured_index(w, v));
    else if (is_boxed(v))
        emit(w, OP_LOCAL_BOX, v->index);
    else
        emit(w, v->assigned ? OP_LOCAL_OWNED : OP_LOCAL, v->index);
    pushed(w);
}

static void
write_assignment(struct writer *w, const struct node *n)
{
    const struct variable *v = n->variable;

    write_node(w, n->parts[0], false);
    if (v->owner != w->lambda)
        emit(w, OP_SET_CAPTURED_BOX, captured_index(w, v));
    else
        emit(w, is_boxed(v) ? OP_SET_LOCAL_BOX : OP_SET_LOCAL, v->index);
}

/* ---- Nodes ----------------------------------------------------------------------------------------------------- */

static void
write_constant(struct writer *w, struct value v)
{
    if (v.kind == NUMBER && v.number >= -(1 << 22) && v.number < (1 << 22)) {
        w->words = room_for(w, w->words, w->count, &w->room, sizeof *w->words);
        w->words[w->count++] = OP_INTEGER | (uint32_t)v.number << 8;
    } else {
        emit(w, OP_CONSTANT, constant(w, v));
    }
    pushed(w);
}

static void
write_lambda(struct writer *w, struct lambda *l)
{
    struct writer inner = {.c = w->c, .lambda = l, .outer = w};
    struct code  *code;

    for (size_t i = 0; i < l->params.count; i++)
        l->params.at[i]->index = (uint32_t)i;
    inner.depth = inner.most = (uint32_t)l->params.count;
    for (size_t i = 0; i < l->params.count; i++)
        if (is_boxed(l->params.at[i]))
            emit(&inner, OP_BOX_LOCAL, i);
    write_node(&inner, l->body, true);
    code = l->params.count < UINT16_MAX && l->captures.count < UINT16_MAX ? code_new(inner.constant_count, inner.count) : NULL;
    if (!code)
        give_up(&inner, "no memory for code");
    for (size_t i = 0; i < inner.constant_count; i++)
        cell_init(&code->constant[i], inner.constants[i]);
    memcpy(&code->constant[code->constants], inner.words, inner.count * sizeof *inner.words);
    code->params = (uint16_t)l->params.count;
    code->captures = (uint16_t)l->captures.count;
    code->rest = l->rest;
    code->depth = inner.most + 1;
    wane_set_private(&code->name, l->name);
    emit(w, OP_CLOSURE, constant(w, owned(BOX, code)));
    for (size_t i = 0; i < l->captures.count; i++) {
        struct variable *v = l->captures.at[i];

        plain_word(w, v->owner == w->lambda ? v->index * 2 : captured_index(w, v) * 2 + 1);
    }
    pushed(w);
}

static void
write_let(struct writer *w, const struct node *n, bool last)
{
    size_t bound = n->count - 1;

    for (size_t i = 0; i < bound; i++) {
        uint32_t index = w->depth;

        write_node(w, n->parts[i], false);
        n->bound[i]->index = index;
        if (is_boxed(n->bound[i]))
            emit(w, OP_BOX, 0);
    }
    write_node(w, n->parts[bound], last);
    if (!last && bound)
        emit(w, OP_SLIDE, bound);
    w->depth -= (uint32_t)bound;
}

static void
write_choice(struct writer *w, const struct node *n, bool last)
{
    size_t no, end = 0;

    write_node(w, n->parts[0], false);
    no = emit(w, OP_JUMP_IF_FALSE, 0);
    w->depth--;
    write_node(w, n->parts[1], last);
    if (!last)
        end = emit(w, OP_JUMP, 0);
    w->depth--;
    land(w, no);
    write_node(w, n->parts[2], last);
    if (!last)
        land(w, end);
}

static void
write_or(struct writer *w, const struct node *n, bool last)
{
    size_t end;

    write_node(w, n->parts[0], false);
    end = emit(w, OP_JUMP_IF_TRUE, 0);
    w->depth--;
    write_node(w, n->parts[1], last);
    land(w, end);
    if (last)
        emit(w, OP_RETURN, 0);
}

static void
write_sequence(struct writer *w, const struct node *n, bool last)
{
    for (size_t i = 0; i + 1 < n->count; i++) {
        write_node(w, n->parts[i], false);
        emit(w, OP_POP, 0);
        w->depth--;
    }
    write_node(w, n->parts[n->count - 1], last);
}

static void
write_call(struct writer *w, const struct node *n, bool last)
{
    bool apply = n->kind == APPLY;

    for (size_t i = 0; i < n->count; i++)
        write_node(w, n->parts[i], false);
    emit(w, apply ? last ? OP_TAIL_APPLY : OP_APPLY : last ? OP_TAIL_CALL : OP_CALL, n->count - 1);
    w->depth -= (uint32_t)n->count;
    pushed(w);
}

/* What is built in and has an instruction of its own, for this number of arguments. */
static const struct {
    const char    *name;
    size_t         arguments;
    enum operation operation;
} direct[] = {
    {"+", 2, OP_ADD},      {"-", 2, OP_SUBTRACT},      {"=", 2, OP_EQUAL},         {"<", 2, OP_LESS},
    {"car", 1, OP_CAR},    {"cdr", 1, OP_CDR},         {"cons", 2, OP_CONS},       {"null?", 1, OP_IS_NULL},
    {"not", 1, OP_NOT},    {"pair?", 1, OP_IS_PAIR},   {"eq?", 2, OP_IS_EQ},       {"vector-ref", 2, OP_VECTOR_REF},
};

static void
write_built_in(struct writer *w, const struct node *n)
{
    const char *name = primitive_at(n->built_in)->name;
    size_t      i = 0;

    for (size_t j = 0; j < n->count; j++)
        write_node(w, n->parts[j], false);
    while (i < sizeof direct / sizeof direct[0] && (strcmp(direct[i].name, name) != 0 || direct[i].arguments != n->count))
        i++;
    if (i < sizeof direct / sizeof direct[0]) {
        emit(w, direct[i].operation, 0);
    } else {
        emit(w, OP_BUILT_IN, (size_t)n->built_in);
        plain_word(w, (uint32_t)n->count);
    }
    w->depth -= (uint32_t)n->count;
    pushed(w);
}

/* Nodes that leave a value and go on; whoever is last returns it. */
static void
write_simple(struct writer *w, const struct node *n)
{
    switch (n->kind) {
    case LOCAL: write_reference(w, n->variable); break;
    case SET_LOCAL: write_assignment(w, n); break;
    case LAMBDA: write_lambda(w, n->lambda); break;
    case BUILT_IN: write_built_in(w, n); break;
    case GLOBAL:
        emit(w, OP_GLOBAL, constant(w, n->datum));
        pushed(w);
        break;
    case SET_GLOBAL:
    case DEFINE:
        write_node(w, n->parts[0], false);
        emit(w, n->kind == DEFINE ? OP_DEFINE : OP_SET_GLOBAL, constant(w, n->datum));
        break;
    default: write_constant(w, n->datum);
    }
}

static void
write_node(struct writer *w, const struct node *n, bool last)
{
    if (++w->c->depth > DEEPEST)
        give_up(w, "nested too deeply");
    switch (n->kind) {
    case IF: write_choice(w, n, last); break;
    case OR: write_or(w, n, last); break;
    case SEQUENCE: write_sequence(w, n, last); break;
    case LET: write_let(w, n, last); break;
    case CALL:
    case APPLY: write_call(w, n, last); break;
    default:
        write_simple(w, n);
        if (last)
            emit(w, OP_RETURN, 0);
    }
    w->c->depth--;
}

/* As if the lambda stood in another one: that one's only constant is the code. */
struct code *
code_of(struct compiler *c, struct lambda *lambda)
{
    struct writer w = {.c = c, .lambda = NULL};

    write_lambda(&w, lambda);
    return w.constants[0].object;
}
