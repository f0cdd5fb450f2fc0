/* SPDX-License-Identifier: MIT
 *
 * lisp.h - a small Lisp on several threads: values, what the heap is made of, fibers, and who offers what
 *
 *   read.c  text -> data          syntax.c  data -> tree          code.c  tree -> instructions       run.c  executes these
 *   heap.c  objects and cells     symbol.c  names, globals        print.c                            prims*.c  what is built in
 *   task.c  fibers, threads       main.c
 *
 * The heap is wane's: lists, closures and boxes refer to each other in every way, and nobody but the counts and the collector
 * frees them. There is no lock around the interpreter: each thread runs fibers of its own, and they share all objects.
 *
 * What a value on a fiber's stack is to its count: *owned* (one unit is this entry's), or *borrowed*: held by a slot somewhere,
 * or by an entry further down. Most entries are borrowed, so that loading and passing values counts nothing. The rules:
 *   1. instructions run inside a section. What a slot gives up is freed after it, so a borrow out of a slot stays good in it
 *   2. who drops an owned entry through which another value may have been reached, owns that one first (results, tail calls)
 *   3. where a section ends (now and then at calls; where a fiber waits) the fiber owns all its entries before (fiber_settle)
 */
#ifndef LISP_H
#define LISP_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <wane/containers.h>
#include <wane/wane.h>
#include <wane/weakmap.h>

/* ---- Values ---------------------------------------------------------------------------------------------------- */

/* Eight that are no objects: in cells, the tag of an empty slot. Eight kinds of objects: the tag of a full one. */
enum kind {
    NIL, UNSPECIFIED, FALSE, TRUE, NUMBER, PRIMITIVE, END_OF_FILE, UNBOUND,
    PAIR, SYMBOL, STRING, CLOSURE, VECTOR, BOX, CHANNEL, OTHER, /* OTHER: ports and weak tables; their types tell */
};

struct value {
    uint32_t kind;
    uint32_t owned; /* 1: the unit of object is this value's */
    union {
        void   *object;
        int64_t number; /* NUMBER; index of a PRIMITIVE */
    };
};

static inline bool
is_object(struct value v)
{
    return v.kind >= PAIR;
}

static inline struct value
simple(enum kind kind)
{
    return (struct value){.kind = kind};
}

static inline struct value
number(int64_t n)
{
    return (struct value){.kind = NUMBER, .number = n};
}

static inline struct value
truth(bool yes)
{
    return (struct value){.kind = yes ? TRUE : FALSE};
}

static inline struct value
owned(enum kind kind, void *object)
{
    return (struct value){.kind = kind, .owned = 1, .object = object};
}

static inline struct value
lent(enum kind kind, void *object)
{
    return (struct value){.kind = kind, .object = object};
}

static inline struct value
own(struct value v)
{
    if (is_object(v) && !v.owned) {
        wane_retain(v.object);
        v.owned = 1;
    }
    return v;
}

static inline void
drop(struct value v)
{
    if (v.owned)
        wane_release(v.object);
}

/* ---- Cells: places for values in objects ----------------------------------------------------------------------- */

/*
 * Threads may store into one cell at once. A number is written before the tag that says so, and nothing but numbers is written
 * there: who sees the tag reads a number that was stored, if not the latest.
 */
struct cell {
    wane_slot            slot;
    _Atomic(int64_t)     number;
};

static inline struct value
cell_load(const struct cell *c) /* borrowed */
{
    void    *bits = wane_peek_tagged(&c->slot), *object = wane_untag(bits);
    unsigned tag = wane_tag_of(bits);

    if (object)
        return lent((enum kind)(PAIR + tag), object);
    return (struct value){.kind = tag, .number = tag == NUMBER || tag == PRIMITIVE
                                                     ? atomic_load_explicit(&c->number, memory_order_relaxed)
                                                     : 0};
}

void cell_store(struct cell *c, struct value v);           /* others may see the cell; consumes an owned value */
void cell_init(struct cell *c, struct value v);            /* nobody else does yet; consumes an owned value */

/* ---- Objects --------------------------------------------------------------------------------------------------- */

struct pair {
    struct cell car, cdr;
};

struct box {
    struct cell content;
};

struct symbol {
    struct cell global; /* UNBOUND until it is defined */
    size_t      length;
    char        name[]; /* ends with a zero */
};

struct string {
    size_t length;
    char   bytes[]; /* ends with a zero; never changes */
};

struct vector {
    size_t      count;
    struct cell at[];
};

struct code { /* of one lambda: constants, then instructions */
    uint32_t    constants, words;
    uint16_t    params, captures;
    uint32_t    depth; /* stack entries that a call needs, at most */
    bool        rest;  /* the last parameter takes the rest as a list */
    wane_slot   name;  /* a symbol, or empty */
    struct cell constant[];
};

struct closure {
    wane_slot   code;
    size_t      count;
    struct cell captured[];
};

static inline const uint32_t *
code_words(const struct code *c)
{
    return (const uint32_t *)&c->constant[c->constants];
}

/* All of these return NULL without memory. What they store they consume, if it is owned and they succeed. */
struct pair    *pair_new(struct value car, struct value cdr);
struct box     *box_new(struct value content);
struct string  *string_new(const char *bytes, size_t length);
struct vector  *vector_new(size_t count, struct value fill);
struct closure *closure_new(struct code *code, size_t captures);
struct code    *code_new(size_t constants, size_t words);

/* symbol.c. Owned. The table knows symbols weakly; those that have a global value are kept by another one. */
struct symbol *symbol_intern(const char *name, size_t length);
bool           symbol_define(struct symbol *symbol, struct value v); /* consumes an owned value; false: no memory */
bool           symbols_begin(void);
void           symbols_end(void);
size_t         symbols_known(void); /* those that live */

/* ---- Fibers ---------------------------------------------------------------------------------------------------- */

struct frame {
    const uint32_t *pc;   /* where the caller goes on */
    size_t          base; /* its first argument; the called closure lies below */
};

enum outcome { DONE, FAILED, PARKED };

struct fiber {
    struct value   *stack;
    size_t          used, room;     /* entries */
    size_t          settled;        /* below it no entry is borrowed */
    struct frame   *frames;
    size_t          frame_count, frame_room;
    const uint32_t *pc;
    size_t          base;
    struct value    result;         /* when it is DONE: owned */
    char            error[200];     /* when it has FAILED */
    struct channel *task;           /* owned: where its result goes. NULL: it is main's */
    struct channel *waits_for;      /* lent by its stack: PARKED until something comes, or NULL: it wants a collection */
    bool            collected;      /* it got that */
    struct fiber   *next;           /* in the queue of who can run, or of who waits */
    struct fiber   *all_next, *all_before;
};

struct fiber *fiber_new(struct value thunk); /* consumes it, if owned and not NULL */
void          fiber_free(struct fiber *f);
void          fiber_settle(struct fiber *f);
enum outcome  fiber_run(struct fiber *f); /* inside a section */
bool          fail(struct fiber *f, const char *format, ...) __attribute__((format(printf, 2, 3))); /* returns false */

/* task.c */
struct channel *channel_new(void);
bool            channel_send(struct channel *c, struct value v); /* v is lent. false: it is a task, or no memory */
enum outcome    channel_receive(struct fiber *f, struct channel *c, struct value *out);
bool            task_spawn(struct fiber *f, struct value thunk, struct value *out); /* thunk is lent */
bool            tasks_begin(int threads);
enum outcome    tasks_run(struct fiber *main_fiber); /* until it is done; outside of sections */
int             tasks_end(void);                     /* until all are done, or wait for ever; returns how many failed or wait */

/* ---- What is built in ------------------------------------------------------------------------------------------ */

/* Arguments are lent; who stores one may take its unit (and sets owned to 0). The result may be borrowed from them. */
typedef enum outcome primitive_fn(struct fiber *f, struct value *args, int count, struct value *result);

struct primitive {
    const char   *name;
    primitive_fn *fn;
    int           least, most; /* arguments; most -1: any number */
};

extern const struct primitive  list_primitives[], number_primitives[], system_primitives[];
const struct primitive        *primitive_at(int64_t index);
int64_t                        primitive_find(const char *name); /* -1: none */
bool                           is_equal(struct value a, struct value b, int depth);

/* ---- Text ------------------------------------------------------------------------------------------------------ */

struct source {
    const char *text, *end;
    int         line;
    char        error[120]; /* why read_datum has failed */
    bool        unfinished; /* ..: it ended inside of a datum */
};

enum outcome read_datum(struct source *s, struct value *out); /* out: owned, or END_OF_FILE. Inside a section */
void         print_value(FILE *to, struct value v, bool quoted);

/* A closure without parameters that evaluates the datum; NULL: error says why. Inside a section, where the datum is held. */
struct closure *compile(struct value datum, char *error, size_t size);

#endif
