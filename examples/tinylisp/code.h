/* SPDX-License-Identifier: MIT
 *
 * code.h - instructions: eight bits that say what, 24 that say which. Each node of the tree leaves one value on the stack
 */
#ifndef CODE_H
#define CODE_H

#include <stdint.h>

enum operation {
    OP_INTEGER,      /* push the argument, signed */
    OP_CONSTANT,     /* push constant */
    OP_LOCAL,        /* push an entry of the frame, borrowed: it is never assigned */
    OP_LOCAL_OWNED,  /* the same with a unit of its own: it may be assigned while this copy is in use */
    OP_LOCAL_BOX,    /* push what is in the box there */
    OP_CAPTURED,     /* push what the closure has captured */
    OP_CAPTURED_BOX, /* push what is in the box there */
    OP_SELF,         /* push the closure that runs */
    OP_GLOBAL,       /* push the value of the symbol that is a constant */
    OP_SET_LOCAL, OP_SET_LOCAL_BOX, OP_SET_CAPTURED_BOX, OP_SET_GLOBAL, OP_DEFINE, /* consume the top, push unspecified */
    OP_BOX,          /* put the top into a new box */
    OP_BOX_LOCAL,    /* the same with an entry of the frame */
    OP_CLOSURE,      /* push a closure of the code that is a constant; for each capture a word follows: index * 2 + captured? */
    OP_POP,
    OP_SLIDE,        /* keep the top, drop so many below */
    OP_JUMP, OP_JUMP_IF_FALSE, /* to this word; the latter pops */
    OP_JUMP_IF_TRUE,           /* keeps the top and jumps, or pops it */
    OP_CALL, OP_TAIL_CALL,     /* with so many arguments; what is called lies below them */
    OP_APPLY, OP_TAIL_APPLY,   /* the same, the last one a list of more */
    OP_RETURN,
    OP_BUILT_IN,               /* primitive; the number of arguments follows */
    /* What is built in and often used: the arguments are on the stack. */
    OP_ADD, OP_SUBTRACT, OP_EQUAL, OP_LESS, OP_CAR, OP_CDR, OP_CONS, OP_IS_NULL, OP_IS_PAIR, OP_NOT, OP_IS_EQ, OP_VECTOR_REF,
};

#define OPERATION(word) ((enum operation)((word) & 0xff))
#define ARGUMENT(word) ((word) >> 8)
#define SIGNED_ARGUMENT(word) ((int32_t)(word) >> 8)
#define MOST_ARGUMENT ((1u << 23) - 1)

#endif
