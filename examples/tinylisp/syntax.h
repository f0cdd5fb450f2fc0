/* SPDX-License-Identifier: MIT
 *
 * syntax.h - the tree between data and instructions: variables are resolved in it, and derived forms are gone
 */
#ifndef SYNTAX_H
#define SYNTAX_H

#include "lisp.h"

#include <setjmp.h>

enum node_kind { CONSTANT, LOCAL, GLOBAL, SET_LOCAL, SET_GLOBAL, DEFINE, IF, OR, SEQUENCE, LAMBDA, CALL, APPLY, BUILT_IN, LET };

struct lambda;

struct variable {
    struct symbol   *name;
    struct lambda   *owner;
    bool             captured, assigned; /* both: it lives in a box */
    struct lambda   *self;               /* its only value, which need not hold itself: the closure that runs knows who it is */
    uint32_t         index;              /* on the stack, from the frame's base */
    struct variable *outer;              /* the scope: who is seen from here */
};

struct list_of_variables {
    struct variable **at;
    size_t            count, room;
};

struct lambda {
    struct lambda           *outer;
    struct symbol           *name; /* or NULL */
    struct list_of_variables params, captures;
    bool                     rest;
    struct node             *body;
};

struct node {
    enum node_kind    kind;
    struct value      datum;    /* CONSTANT; the symbol of a GLOBAL, SET_GLOBAL, DEFINE; lent by the source */
    struct variable  *variable; /* LOCAL, SET_LOCAL */
    struct variable **bound;    /* LET */
    struct lambda    *lambda;
    int64_t           built_in;
    struct node     **parts;    /* what is evaluated, in order */
    size_t            count;
};

struct compiler {
    jmp_buf       failed;
    char         *error;
    size_t        error_size;
    struct block *blocks; /* what the tree lies in */
    int           depth;  /* of nodes that are being written */
};

void *compiler_take(struct compiler *c, size_t size); /* zeroed */
void  compiler_end(struct compiler *c);
void  compiler_fail(struct compiler *c, const char *format, ...) __attribute__((noreturn, format(printf, 2, 3)));

/* Both leave by compiler_fail when something is wrong. */
struct lambda *tree_of(struct compiler *c, struct value datum);
struct code   *code_of(struct compiler *c, struct lambda *lambda); /* owned */

static inline bool
is_boxed(const struct variable *v)
{
    return v->captured && v->assigned;
}

#endif
