/* SPDX-License-Identifier: MIT
 *
 * numbers.c - built in: whole numbers of 64 bits, and strings
 */
#include "lisp.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static enum outcome
wrong(struct fiber *f, const char *what)
{
    fail(f, "%s", what);
    return FAILED;
}

/* ---- Numbers --------------------------------------------------------------------------------------------------- */

static bool
are_numbers(struct fiber *f, const struct value *a, int n)
{
    for (int i = 0; i < n; i++)
        if (a[i].kind != NUMBER)
            return fail(f, "a number is wanted");
    return true;
}

static enum outcome
fn_add(struct fiber *f, struct value *a, int n, struct value *result)
{
    int64_t sum = 0;

    if (!are_numbers(f, a, n))
        return FAILED;
    for (int i = 0; i < n; i++)
        if (__builtin_add_overflow(sum, a[i].number, &sum))
            return wrong(f, "+: the sum is too large");
    *result = number(sum);
    return DONE;
}

static enum outcome
fn_multiply(struct fiber *f, struct value *a, int n, struct value *result)
{
    int64_t product = 1;

    if (!are_numbers(f, a, n))
        return FAILED;
    for (int i = 0; i < n; i++)
        if (__builtin_mul_overflow(product, a[i].number, &product))
            return wrong(f, "*: the product is too large");
    *result = number(product);
    return DONE;
}

static enum outcome
fn_subtract(struct fiber *f, struct value *a, int n, struct value *result)
{
    int64_t rest = n == 1 ? 0 : a[0].number;

    if (!are_numbers(f, a, n))
        return FAILED;
    for (int i = n == 1 ? 0 : 1; i < n; i++)
        if (__builtin_sub_overflow(rest, a[i].number, &rest))
            return wrong(f, "-: the difference is too large");
    *result = number(rest);
    return DONE;
}

enum division { QUOTIENT, REMAINDER, MODULO };

static enum outcome
divide(struct fiber *f, enum division what, const struct value *a, struct value *result)
{
    int64_t rest;

    if (!are_numbers(f, a, 2))
        return FAILED;
    if (a[1].number == 0)
        return wrong(f, "division by zero");
    if (a[1].number == -1 && a[0].number == INT64_MIN)
        return wrong(f, "the quotient is too large");
    rest = a[0].number % a[1].number;
    if (what == MODULO && rest != 0 && (rest < 0) != (a[1].number < 0))
        rest += a[1].number;
    *result = number(what == QUOTIENT ? a[0].number / a[1].number : rest);
    return DONE;
}

#define DIVIDE(name, what)                                                         \
    static enum outcome name(struct fiber *f, struct value *a, int n, struct value *result) \
    {                                                                              \
        (void)n;                                                                   \
        return divide(f, what, a, result);                                         \
    }

DIVIDE(fn_quotient, QUOTIENT)
DIVIDE(fn_remainder, REMAINDER)
DIVIDE(fn_modulo, MODULO)

#define COMPARE(name, operator)                                                    \
    static enum outcome name(struct fiber *f, struct value *a, int n, struct value *result) \
    {                                                                              \
        bool holds = true;                                                         \
                                                                                   \
        if (!are_numbers(f, a, n))                                                 \
            return FAILED;                                                         \
        for (int i = 1; i < n; i++)                                                \
            holds &= a[i - 1].number operator a[i].number;                         \
        *result = truth(holds);                                                    \
        return DONE;                                                               \
    }

COMPARE(fn_equal, ==)
COMPARE(fn_less, <)
COMPARE(fn_more, >)
COMPARE(fn_at_most, <=)
COMPARE(fn_at_least, >=)

/* ---- Strings --------------------------------------------------------------------------------------------------- */

static enum outcome
made(struct fiber *f, enum kind kind, void *object, struct value *result)
{
    if (!object)
        return wrong(f, "no memory, or a name that is too long");
    *result = owned(kind, object);
    return DONE;
}

static bool
are_strings(struct fiber *f, const struct value *a, int n)
{
    for (int i = 0; i < n; i++)
        if (a[i].kind != STRING)
            return fail(f, "a string is wanted");
    return true;
}

static enum outcome
fn_string_append(struct fiber *f, struct value *a, int n, struct value *result)
{
    size_t length = 0, at = 0;
    char  *text;

    if (!are_strings(f, a, n))
        return FAILED;
    for (int i = 0; i < n; i++)
        length += ((struct string *)a[i].object)->length;
    text = malloc(length + 1);
    if (!text)
        return wrong(f, "no memory");
    for (int i = 0; i < n; i++) {
        const struct string *s = a[i].object;

        memcpy(text + at, s->bytes, s->length);
        at += s->length;
    }
    *result = owned(STRING, string_new(text, length));
    free(text);
    return made(f, STRING, result->object, result);
}

static enum outcome
fn_string_length(struct fiber *f, struct value *a, int n, struct value *result)
{
    if (!are_strings(f, a, n))
        return FAILED;
    *result = number((int64_t)((struct string *)a[0].object)->length);
    return DONE;
}

static enum outcome
fn_substring(struct fiber *f, struct value *a, int n, struct value *result)
{
    const struct string *s = a[0].object;

    (void)n;
    if (!are_strings(f, a, 1) || !are_numbers(f, a + 1, 2))
        return FAILED;
    if (a[1].number < 0 || a[2].number < a[1].number || (uint64_t)a[2].number > s->length)
        return wrong(f, "the string is not as long as that");
    return made(f, STRING, string_new(s->bytes + a[1].number, (size_t)(a[2].number - a[1].number)), result);
}

static enum outcome
fn_string_to_symbol(struct fiber *f, struct value *a, int n, struct value *result)
{
    const struct string *s = a[0].object;

    if (!are_strings(f, a, n))
        return FAILED;
    if (memchr(s->bytes, '\0', s->length))
        return wrong(f, "string->symbol: a name has no zero bytes");
    return made(f, SYMBOL, symbol_intern(s->bytes, s->length), result);
}

static enum outcome
fn_symbol_to_string(struct fiber *f, struct value *a, int n, struct value *result)
{
    const struct symbol *s = a[0].object;

    (void)n;
    if (a[0].kind != SYMBOL)
        return wrong(f, "a symbol is wanted");
    return made(f, STRING, string_new(s->name, s->length), result);
}

static enum outcome
fn_number_to_string(struct fiber *f, struct value *a, int n, struct value *result)
{
    char text[24];

    if (!are_numbers(f, a, n))
        return FAILED;
    return made(f, STRING, string_new(text, (size_t)snprintf(text, sizeof text, "%" PRId64, a[0].number)), result);
}

/* Or #f. */
static enum outcome
fn_string_to_number(struct fiber *f, struct value *a, int n, struct value *result)
{
    const struct string *s = a[0].object;
    char                *end;

    if (!are_strings(f, a, n))
        return FAILED;
    errno = 0;
    *result = number(strtoll(s->bytes, &end, 10));
    if (errno != 0 || s->length == 0 || end != s->bytes + s->length)
        *result = truth(false);
    return DONE;
}

const struct primitive number_primitives[] = {
    {"+", fn_add, 0, -1},
    {"*", fn_multiply, 0, -1},
    {"-", fn_subtract, 1, -1},
    {"quotient", fn_quotient, 2, 2},
    {"remainder", fn_remainder, 2, 2},
    {"modulo", fn_modulo, 2, 2},
    {"=", fn_equal, 1, -1},
    {"<", fn_less, 1, -1},
    {">", fn_more, 1, -1},
    {"<=", fn_at_most, 1, -1},
    {">=", fn_at_least, 1, -1},
    {"string-append", fn_string_append, 0, -1},
    {"string-length", fn_string_length, 1, 1},
    {"substring", fn_substring, 3, 3},
    {"string->symbol", fn_string_to_symbol, 1, 1},
    {"symbol->string", fn_symbol_to_string, 1, 1},
    {"number->string", fn_number_to_string, 1, 1},
    {"string->number", fn_string_to_number, 1, 1},
    {NULL, NULL, 0, 0},
};
