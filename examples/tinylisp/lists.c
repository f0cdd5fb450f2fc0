/* SPDX-License-Identifier: MIT
 *
 * lists.c - built in: pairs, lists, vectors, what is equal
 */
#include "lisp.h"

#include <string.h>

enum { DEEPEST = 10000 };

static enum outcome
wrong(struct fiber *f, const char *what)
{
    fail(f, "%s", what);
    return FAILED;
}

static enum outcome
answer(struct value *result, bool yes)
{
    *result = truth(yes);
    return DONE;
}

/* A new object as the result. */
static enum outcome
made(struct fiber *f, enum kind kind, void *object, struct value *result)
{
    if (!object)
        return wrong(f, "no memory");
    *result = owned(kind, object);
    return DONE;
}

static struct value
car_of(struct value v)
{
    return cell_load(&((struct pair *)v.object)->car);
}

static struct value
cdr_of(struct value v)
{
    return cell_load(&((struct pair *)v.object)->cdr);
}

/* An argument that is stored: its unit, if it has one, goes with it. */
static struct value
taken(struct value *argument)
{
    struct value v = *argument;

    argument->owned = 0;
    return v;
}

/* ---- Pairs ----------------------------------------------------------------------------------------------------- */

static enum outcome
fn_cons(struct fiber *f, struct value *a, int n, struct value *result)
{
    struct pair *p = pair_new(a[0], a[1]);

    (void)n;
    if (p)
        a[0].owned = a[1].owned = 0;
    return made(f, PAIR, p, result);
}

static enum outcome
fn_car(struct fiber *f, struct value *a, int n, struct value *result)
{
    (void)n;
    if (a[0].kind != PAIR)
        return wrong(f, "car of what is no pair");
    *result = car_of(a[0]);
    return DONE;
}

static enum outcome
fn_cdr(struct fiber *f, struct value *a, int n, struct value *result)
{
    (void)n;
    if (a[0].kind != PAIR)
        return wrong(f, "cdr of what is no pair");
    *result = cdr_of(a[0]);
    return DONE;
}

static enum outcome
fn_set_car(struct fiber *f, struct value *a, int n, struct value *result)
{
    (void)n;
    (void)result;
    if (a[0].kind != PAIR)
        return wrong(f, "set-car! of what is no pair");
    cell_store(&((struct pair *)a[0].object)->car, taken(&a[1]));
    return DONE;
}

static enum outcome
fn_set_cdr(struct fiber *f, struct value *a, int n, struct value *result)
{
    (void)n;
    (void)result;
    if (a[0].kind != PAIR)
        return wrong(f, "set-cdr! of what is no pair");
    cell_store(&((struct pair *)a[0].object)->cdr, taken(&a[1]));
    return DONE;
}

/* ---- What is what ---------------------------------------------------------------------------------------------- */

#define IS(name, condition)                                                        \
    static enum outcome name(struct fiber *f, struct value *a, int n, struct value *result) \
    {                                                                              \
        (void)f;                                                                   \
        (void)n;                                                                   \
        return answer(result, condition);                                          \
    }

IS(fn_is_null, a[0].kind == NIL)
IS(fn_is_pair, a[0].kind == PAIR)
IS(fn_not, a[0].kind == FALSE)
IS(fn_is_symbol, a[0].kind == SYMBOL)
IS(fn_is_string, a[0].kind == STRING)
IS(fn_is_number, a[0].kind == NUMBER)
IS(fn_is_vector, a[0].kind == VECTOR)
IS(fn_is_procedure, a[0].kind == CLOSURE || a[0].kind == PRIMITIVE)
IS(fn_is_end, a[0].kind == END_OF_FILE)
IS(fn_is_eq, is_equal(a[0], a[1], 0))
IS(fn_is_equal, is_equal(a[0], a[1], DEEPEST))

static bool
are_equal_vectors(const struct vector *a, const struct vector *b, int depth)
{
    if (a->count != b->count)
        return false;
    for (size_t i = 0; i < a->count; i++)
        if (!is_equal(cell_load(&a->at[i]), cell_load(&b->at[i]), depth - 1))
            return false;
    return true;
}

bool
is_equal(struct value a, struct value b, int depth)
{
    for (;; a = cdr_of(a), b = cdr_of(b)) {
        if (a.kind != b.kind)
            return false;
        if (!is_object(a))
            return (a.kind != NUMBER && a.kind != PRIMITIVE) || a.number == b.number;
        if (a.object == b.object)
            return true;
        if (depth <= 0)
            return false;
        if (a.kind == STRING)
            return ((struct string *)a.object)->length == ((struct string *)b.object)->length &&
                   memcmp(((struct string *)a.object)->bytes, ((struct string *)b.object)->bytes,
                          ((struct string *)a.object)->length) == 0;
        if (a.kind == VECTOR)
            return are_equal_vectors(a.object, b.object, depth);
        if (a.kind != PAIR || !is_equal(car_of(a), car_of(b), depth - 1))
            return false;
    }
}

/* ---- Lists ----------------------------------------------------------------------------------------------------- */

static enum outcome
fn_list(struct fiber *f, struct value *a, int n, struct value *result)
{
    struct value list = simple(NIL);

    while (n-- > 0) {
        struct pair *p = pair_new(lent(0, NULL), list);

        if (!p) {
            drop(list);
            return wrong(f, "no memory");
        }
        cell_init(&p->car, taken(&a[n]));
        list = owned(PAIR, p);
    }
    *result = list;
    return DONE;
}

static enum outcome
fn_length(struct fiber *f, struct value *a, int n, struct value *result)
{
    struct value v = a[0];
    int64_t      length = 0;

    (void)n;
    for (; v.kind == PAIR; v = cdr_of(v))
        length++;
    if (v.kind != NIL)
        return wrong(f, "length of what is no list");
    *result = number(length);
    return DONE;
}

/* Put a copy of `from` in front of `onto`, which is consumed; reversed or not. */
static enum outcome
copy(struct fiber *f, struct value from, struct value onto, bool reversed, struct value *result)
{
    struct value list = onto;
    struct pair *last = NULL;

    for (; from.kind == PAIR; from = cdr_of(from)) {
        struct pair *p = pair_new(car_of(from), reversed ? list : simple(NIL));

        if (!p) {
            drop(list);
            if (!reversed && last)
                drop(onto);
            return wrong(f, "no memory");
        }
        if (reversed || !last)
            list = owned(PAIR, p);
        else
            cell_init(&last->cdr, owned(PAIR, p));
        last = p;
    }
    if (reversed || !last)
        *result = reversed ? list : onto;
    else
        cell_init(&last->cdr, onto), *result = list;
    return DONE;
}

static enum outcome
fn_append(struct fiber *f, struct value *a, int n, struct value *result)
{
    struct value list = simple(NIL);

    if (n == 0)
        return DONE;
    list = taken(&a[n - 1]);
    list = own(list);
    for (int i = n - 2; i >= 0; i--)
        if (copy(f, a[i], list, false, &list) != DONE)
            return FAILED;
    *result = list;
    return DONE;
}

static enum outcome
fn_reverse(struct fiber *f, struct value *a, int n, struct value *result)
{
    (void)n;
    return copy(f, a[0], simple(NIL), true, result);
}

/* memq, member, assq, assoc */
static void
find(struct value what, struct value list, int depth, bool pairs, struct value *result)
{
    *result = truth(false);
    for (; list.kind == PAIR; list = cdr_of(list)) {
        struct value v = car_of(list);

        if (pairs && v.kind != PAIR)
            continue;
        if (is_equal(what, pairs ? car_of(v) : v, depth)) {
            *result = pairs ? v : lent(PAIR, list.object);
            return;
        }
    }
}

#define FIND(name, depth, pairs)                                                   \
    static enum outcome name(struct fiber *f, struct value *a, int n, struct value *result) \
    {                                                                              \
        (void)f;                                                                   \
        (void)n;                                                                   \
        find(a[0], a[1], depth, pairs, result);                                    \
        return DONE;                                                               \
    }

FIND(fn_memq, 0, false)
FIND(fn_member, DEEPEST, false)
FIND(fn_assq, 0, true)
FIND(fn_assoc, DEEPEST, true)

/* ---- Vectors --------------------------------------------------------------------------------------------------- */

static enum outcome
fn_make_vector(struct fiber *f, struct value *a, int n, struct value *result)
{
    if (a[0].kind != NUMBER || a[0].number < 0 || a[0].number > INT32_MAX)
        return wrong(f, "make-vector: a length is wanted");
    return made(f, VECTOR, vector_new((size_t)a[0].number, n == 2 ? taken(&a[1]) : number(0)), result);
}

static enum outcome
fn_vector_length(struct fiber *f, struct value *a, int n, struct value *result)
{
    (void)n;
    if (a[0].kind != VECTOR)
        return wrong(f, "vector-length of what is no vector");
    *result = number((int64_t)((struct vector *)a[0].object)->count);
    return DONE;
}

static struct cell *
element(struct fiber *f, struct value v, struct value index)
{
    if (v.kind != VECTOR || index.kind != NUMBER)
        fail(f, "a vector and a number are wanted");
    else if (index.number < 0 || (uint64_t)index.number >= ((struct vector *)v.object)->count)
        fail(f, "the vector is not as long as that");
    else
        return &((struct vector *)v.object)->at[index.number];
    return NULL;
}

static enum outcome
fn_vector_ref(struct fiber *f, struct value *a, int n, struct value *result)
{
    const struct cell *c = element(f, a[0], a[1]);

    (void)n;
    if (!c)
        return FAILED;
    *result = cell_load(c);
    return DONE;
}

static enum outcome
fn_vector_set(struct fiber *f, struct value *a, int n, struct value *result)
{
    struct cell *c = element(f, a[0], a[1]);

    (void)n;
    (void)result;
    if (!c)
        return FAILED;
    cell_store(c, taken(&a[2]));
    return DONE;
}

const struct primitive list_primitives[] = {
    {"cons", fn_cons, 2, 2},
    {"car", fn_car, 1, 1},
    {"cdr", fn_cdr, 1, 1},
    {"set-car!", fn_set_car, 2, 2},
    {"set-cdr!", fn_set_cdr, 2, 2},
    {"null?", fn_is_null, 1, 1},
    {"pair?", fn_is_pair, 1, 1},
    {"not", fn_not, 1, 1},
    {"eq?", fn_is_eq, 2, 2},
    {"equal?", fn_is_equal, 2, 2},
    {"symbol?", fn_is_symbol, 1, 1},
    {"string?", fn_is_string, 1, 1},
    {"number?", fn_is_number, 1, 1},
    {"vector?", fn_is_vector, 1, 1},
    {"procedure?", fn_is_procedure, 1, 1},
    {"eof-object?", fn_is_end, 1, 1},
    {"list", fn_list, 0, -1},
    {"length", fn_length, 1, 1},
    {"append", fn_append, 0, -1},
    {"reverse", fn_reverse, 1, 1},
    {"memq", fn_memq, 2, 2},
    {"member", fn_member, 2, 2},
    {"assq", fn_assq, 2, 2},
    {"assoc", fn_assoc, 2, 2},
    {"make-vector", fn_make_vector, 1, 2},
    {"vector-length", fn_vector_length, 1, 1},
    {"vector-ref", fn_vector_ref, 2, 2},
    {"vector-set!", fn_vector_set, 3, 3},
    {NULL, NULL, 0, 0},
};
