/* SPDX-License-Identifier: MIT
 *
 * read.c - text -> data: lists, symbols, numbers, strings, #t and #f, 'x
 */
#include "lisp.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { DEEPEST = 400, LONGEST = 4096 };

static enum outcome
complain(struct source *s, const char *what)
{
    snprintf(s->error, sizeof s->error, "line %d: %s", s->line, what);
    return FAILED;
}

static enum outcome
ends_early(struct source *s)
{
    s->unfinished = true;
    return complain(s, "the text ends inside of a datum");
}

static void
skip_blanks(struct source *s)
{
    for (; s->text < s->end; s->text++) {
        if (*s->text == '\n')
            s->line++;
        else if (*s->text == ';')
            while (s->text + 1 < s->end && s->text[1] != '\n')
                s->text++;
        else if (!isspace((unsigned char)*s->text))
            return;
    }
}

static bool
ends_token(char c)
{
    return isspace((unsigned char)c) || c == '(' || c == ')' || c == '"' || c == ';' || c == '\'' || c == '\0';
}

static enum outcome
read_string(struct source *s, struct value *out)
{
    char   text[LONGEST];
    size_t length = 0;

    for (s->text++; s->text < s->end && *s->text != '"'; s->text++) {
        char c = *s->text;

        if (c == '\n')
            s->line++;
        if (c == '\\') {
            if (++s->text == s->end)
                break;
            c = *s->text == 'n' ? '\n' : *s->text == 't' ? '\t' : *s->text;
        }
        if (length == sizeof text)
            return complain(s, "this string is too long");
        text[length++] = c;
    }
    if (s->text == s->end)
        return ends_early(s);
    s->text++;
    *out = owned(STRING, string_new(text, length));
    return out->object ? DONE : complain(s, "no memory");
}

static bool
is_number(const char *text, size_t length)
{
    size_t sign = length > 0 && (text[0] == '-' || text[0] == '+');

    for (size_t i = sign; i < length; i++)
        if (!isdigit((unsigned char)text[i]))
            return false;
    return length > sign;
}

static enum outcome
read_number(struct source *s, const char *token, size_t length, struct value *out)
{
    char text[24];

    if (length < sizeof text) {
        memcpy(text, token, length);
        text[length] = '\0';
        errno = 0;
        *out = number(strtoll(text, NULL, 10));
        if (errno == 0)
            return DONE;
    }
    return complain(s, "this number is too large");
}

static enum outcome
read_token(struct source *s, struct value *out)
{
    const char *from = s->text;
    size_t      length;

    while (s->text < s->end && !ends_token(*s->text))
        s->text++;
    length = (size_t)(s->text - from);
    if (length == 0 || (length == 1 && *from == '.'))
        return complain(s, "this character begins nothing");
    if (length == 2 && from[0] == '#' && (from[1] == 't' || from[1] == 'f')) {
        *out = truth(from[1] == 't');
        return DONE;
    }
    if (is_number(from, length))
        return read_number(s, from, length, out);
    *out = owned(SYMBOL, symbol_intern(from, length));
    return out->object ? DONE : complain(s, "no memory, or a name that is too long");
}

static enum outcome read_at(struct source *s, int depth, struct value *out);

static enum outcome
read_quoted(struct source *s, int depth, struct value *out)
{
    struct value   datum = simple(NIL);
    struct symbol *quote = NULL;
    struct pair   *inner = NULL, *outer = NULL;

    s->text++;
    skip_blanks(s);
    if (s->text == s->end)
        return ends_early(s);
    if (read_at(s, depth + 1, &datum) != DONE)
        return FAILED;
    inner = pair_new(datum, simple(NIL));
    if (!inner) {
        drop(datum);
        return complain(s, "no memory");
    }
    quote = symbol_intern("quote", 5);
    outer = quote ? pair_new(owned(SYMBOL, quote), owned(PAIR, inner)) : NULL;
    if (!outer) {
        wane_release(quote);
        wane_release(inner);
        return complain(s, "no memory");
    }
    *out = owned(PAIR, outer);
    return DONE;
}

/* After a dot: what the list ends with, and the parenthesis. */
static enum outcome
read_tail(struct source *s, int depth, struct pair *last)
{
    struct value datum = simple(NIL);

    s->text++;
    skip_blanks(s);
    if (s->text == s->end)
        return ends_early(s);
    if (read_at(s, depth + 1, &datum) != DONE)
        return FAILED;
    cell_init(&last->cdr, datum);
    skip_blanks(s);
    if (s->text == s->end)
        return ends_early(s);
    if (*s->text != ')')
        return complain(s, "one datum stands between a dot and the parenthesis");
    s->text++;
    return DONE;
}

static bool
is_dot(const struct source *s)
{
    return *s->text == '.' && (s->text + 1 == s->end || ends_token(s->text[1]));
}

static enum outcome
read_elements(struct source *s, int depth, struct value *list)
{
    struct pair *last = NULL;

    for (;;) {
        struct value datum = simple(NIL);
        struct pair *p;

        skip_blanks(s);
        if (s->text == s->end)
            return ends_early(s);
        if (*s->text == ')') {
            s->text++;
            return DONE;
        }
        if (last && is_dot(s))
            return read_tail(s, depth, last);
        if (read_at(s, depth + 1, &datum) != DONE)
            return FAILED;
        p = pair_new(datum, simple(NIL));
        if (!p) {
            drop(datum);
            return complain(s, "no memory");
        }
        if (last)
            cell_init(&last->cdr, owned(PAIR, p));
        else
            *list = owned(PAIR, p);
        last = p;
    }
}

static enum outcome
read_list(struct source *s, int depth, struct value *out)
{
    struct value list = simple(NIL);

    s->text++;
    if (read_elements(s, depth, &list) != DONE) {
        drop(list);
        return FAILED;
    }
    *out = list;
    return DONE;
}

static enum outcome
read_at(struct source *s, int depth, struct value *out)
{
    if (depth > DEEPEST)
        return complain(s, "nested too deeply");
    switch (*s->text) {
    case '(': return read_list(s, depth, out);
    case ')': return complain(s, "a parenthesis closes nothing");
    case '"': return read_string(s, out);
    case '\'': return read_quoted(s, depth, out);
    default: return read_token(s, out);
    }
}

enum outcome
read_datum(struct source *s, struct value *out)
{
    skip_blanks(s);
    if (s->text == s->end) {
        *out = simple(END_OF_FILE);
        return DONE;
    }
    return read_at(s, 0, out);
}
