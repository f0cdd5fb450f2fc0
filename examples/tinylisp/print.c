/* SPDX-License-Identifier: MIT
 *
 * print.c - data -> text. Others may change what is printed meanwhile, and it may be a ring: there are limits
 */
#include "lisp.h"

#include <inttypes.h>

enum { DEEPEST = 400, MOST = 1000000 };

static void print_at(FILE *to, struct value v, bool quoted, int depth, long *left);

static void
print_string(FILE *to, const struct string *s, bool quoted)
{
    if (!quoted) {
        fwrite(s->bytes, 1, s->length, to);
        return;
    }
    fputc('"', to);
    for (size_t i = 0; i < s->length; i++) {
        char c = s->bytes[i];

        if (c == '"' || c == '\\')
            fprintf(to, "\\%c", c);
        else if (c == '\n' || c == '\t')
            fputs(c == '\n' ? "\\n" : "\\t", to);
        else
            fputc(c, to);
    }
    fputc('"', to);
}

static void
print_list(FILE *to, struct value v, bool quoted, int depth, long *left)
{
    const char *between = "(";

    for (; v.kind == PAIR && *left > 0; v = cell_load(&((struct pair *)v.object)->cdr)) {
        fputs(between, to);
        print_at(to, cell_load(&((struct pair *)v.object)->car), quoted, depth + 1, left);
        between = " ";
    }
    if (v.kind != NIL) {
        fputs(" . ", to);
        print_at(to, v, quoted, depth + 1, left);
    }
    fputc(')', to);
}

static void
print_vector(FILE *to, const struct vector *v, bool quoted, int depth, long *left)
{
    fputs("#(", to);
    for (size_t i = 0; i < v->count && *left > 0; i++) {
        if (i)
            fputc(' ', to);
        print_at(to, cell_load(&v->at[i]), quoted, depth + 1, left);
    }
    fputc(')', to);
}

static void
print_at(FILE *to, struct value v, bool quoted, int depth, long *left)
{
    static const char *const words[] = {
        [NIL] = "()", [UNSPECIFIED] = "#<unspecified>", [FALSE] = "#f", [TRUE] = "#t", [END_OF_FILE] = "#<end>",
        [UNBOUND] = "#<unbound>", [CLOSURE] = "#<procedure>", [BOX] = "#<box>", [CHANNEL] = "#<channel>", [OTHER] = "#<object>"};

    if (depth > DEEPEST || --*left <= 0) {
        fputs("..", to);
        return;
    }
    switch (v.kind) {
    case NUMBER: fprintf(to, "%" PRId64, v.number); break;
    case PRIMITIVE: fprintf(to, "#<primitive %s>", primitive_at(v.number)->name); break;
    case PAIR: print_list(to, v, quoted, depth, left); break;
    case SYMBOL: fputs(((struct symbol *)v.object)->name, to); break;
    case STRING: print_string(to, v.object, quoted); break;
    case VECTOR: print_vector(to, v.object, quoted, depth, left); break;
    default: fputs(words[v.kind], to);
    }
}

void
print_value(FILE *to, struct value v, bool quoted)
{
    long left = MOST;

    flockfile(to);
    print_at(to, v, quoted, 0, &left);
    funlockfile(to);
}
