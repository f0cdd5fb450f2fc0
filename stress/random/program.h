/* SPDX-License-Identifier: MIT
 *
 * program.h - random programs: lists of operations, one for each lane; as text, from a seed, from bytes
 *
 * A lane is a list that one thread at a time works through (`turn` ends the thread, another goes on). Its registers:
 *
 *   r0..r7    owned references to objects that the lane itself has made: what is in them, and in the *own* slots of these
 *             objects, depends on the lane's list alone
 *   x0..x3    owned references to anybody's objects, from *common* places: root0..root3 and the common slots of all objects
 *   b0..b3    borrowed, until the section ends
 *   w0..w3    weak references
 *   nil       no object
 *
 * Every list of operations is a program: what cannot be done (a store into an empty register's slot, a collection inside of a
 * section) is left out. So operations can be taken away one by one.
 */
#ifndef PROGRAM_H
#define PROGRAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define MAX_LANES  4
#define MAX_OPS    500
#define REGISTERS  8 /* r */
#define COMMONS    4 /* x */
#define BORROWS    4
#define WEAKS      4
#define ROOTS      4
#define MAILBOXES  2
#define OWN_SLOTS  12 /* of wide objects; fewer of others */
#define OPERANDS   4

/* Name in listings, and the letters of its operands. */
#define OPERATIONS(OP)                                                                                        \
    OP(NEW, "new", "rk") OP(DUP, "dup", "rr") OP(DROP, "drop", "r") OP(SET, "set", "rsr")                     \
    OP(PUT, "put", "rsr") OP(CLEAR, "clear", "rs") OP(TAKE, "take", "rsr") OP(SWAP, "swap", "rsr")            \
    OP(GET, "get", "rsr") OP(CAS, "cas", "rsrr") OP(CAS_PUT, "cas-put", "rsrr")                               \
    OP(SET_PRIVATE, "set-private", "rsr") OP(PUT_PRIVATE, "put-private", "rsr")                               \
    OP(CLEAR_PRIVATE, "clear-private", "rs") OP(TAKE_PRIVATE, "take-private", "rsr")                          \
    OP(STORE, "store", "pv") OP(STORE_PUT, "store-put", "px") OP(EMPTY, "empty", "p")                         \
    OP(FETCH, "fetch", "px") OP(EXCHANGE, "exchange", "px") OP(LOAD, "load", "px")                            \
    OP(STORE_CAS, "store-cas", "pvv") OP(STORE_CAS_PUT, "store-cas-put", "pvx")                               \
    OP(KEEP, "keep", "xv") OP(LET_GO, "let-go", "x") OP(ENTER, "enter", "") OP(LEAVE, "leave", "")            \
    OP(CHECKPOINT, "checkpoint", "") OP(BORROW, "borrow", "bp") OP(USE, "use", "v")                           \
    OP(WEAK, "weak", "wv") OP(UPGRADE, "upgrade", "wx") OP(WEAK_DROP, "weak-drop", "w")                       \
    OP(WEAK_STORE, "weak-store", "vw") OP(WEAK_LOAD, "weak-load", "wv") OP(NOTIFY, "notify", "w")             \
    OP(UNNOTIFY, "unnotify", "w") OP(COLLECT, "collect", "g") OP(BARRIER, "barrier", "")                      \
    OP(FINALIZERS, "finalizers", "") OP(STEP, "step", "") OP(FREEZE, "freeze", "")                            \
    OP(UNFREEZE, "unfreeze", "") OP(SEND, "send", "rm") OP(SEND_ON, "send-on", "xm")                          \
    OP(RECEIVE, "receive", "xm") OP(SHARE, "share", "v") OP(UNSHARE, "unshare", "") OP(LATER, "later", "")    \
    OP(TURN, "turn", "") OP(REST, "rest", "")

enum op_code {
#define OP(code, name, operands) OP_##code,
    OPERATIONS(OP)
#undef OP
    OP_CODES
};

#define KINDS(KIND) \
    KIND(NODE, "node") KIND(LEAF, "leaf") KIND(WIDE, "wide") KIND(HUGE, "huge") KIND(FINAL, "final") \
    KIND(PHOENIX, "phoenix") KIND(ARRAY, "array") KIND(MAP, "map")

enum kind {
#define KIND(kind, name) KIND_##kind,
    KINDS(KIND)
#undef KIND
    KIND_COUNT
};

struct op {
    uint8_t code;
    uint8_t operand[OPERANDS]; /* within their bounds */
};

/* Values and places: where from, and which. */
enum base { BASE_NONE, BASE_R, BASE_X, BASE_B }; /* BASE_NONE: nil; of a place: a root */
#define OPERAND_BASE(o)  ((enum base)((o) >> 6))
#define OPERAND_INDEX(o) (((o) >> 3) & 7u)
#define OPERAND_SLOT(o)  ((o) & 7u) /* of places */

struct program {
    uint64_t  seed;
    bool      delays; /* threads stop for a moment at named steps of the library */
    unsigned  lanes;
    unsigned  count[MAX_LANES];
    struct op op[MAX_LANES][MAX_OPS];
};

extern const char *const op_names[OP_CODES], *const op_operands[OP_CODES], *const kind_names[KIND_COUNT];

uint64_t random_next(uint64_t *state);

void program_generate(struct program *p, uint64_t seed);
void program_print(const struct program *p, FILE *to);
/* False: says on stderr which line is wrong. */
bool program_read(struct program *p, FILE *from);
/* One lane, from any bytes. */
void program_from_bytes(struct program *p, const uint8_t *bytes, size_t size);

/* Bring a byte within the bounds of an operand with this letter. */
uint8_t operand_fit(char letter, uint8_t byte);

#endif
