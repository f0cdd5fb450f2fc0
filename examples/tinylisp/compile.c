/* SPDX-License-Identifier: MIT
 *
 * compile.c - a datum becomes a closure; what that needs of memory, and how it fails
 */
#include "syntax.h"

#include <stdarg.h>
#include <stdlib.h>

struct block {
    struct block *next;
    max_align_t   bytes[];
};

void *
compiler_take(struct compiler *c, size_t size)
{
    struct block *b = calloc(1, sizeof *b + size);

    if (!b)
        compiler_fail(c, "no memory");
    b->next = c->blocks;
    c->blocks = b;
    return b->bytes;
}

void
compiler_end(struct compiler *c)
{
    while (c->blocks) {
        struct block *b = c->blocks;

        c->blocks = b->next;
        free(b);
    }
}

void
compiler_fail(struct compiler *c, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(c->error, c->error_size, format, args);
    va_end(args);
    longjmp(c->failed, 1);
}

/* Everything between is left by a jump when something is wrong. */
static struct code *
code_or_null(struct compiler *c, struct value datum)
{
    if (setjmp(c->failed) != 0)
        return NULL;
    return code_of(c, tree_of(c, datum));
}

struct closure *
compile(struct value datum, char *error, size_t size)
{
    struct compiler c = {.error = error, .error_size = size};
    struct code    *code;
    struct closure *closure;

    datum.owned = 0; /* constants of the code take units of their own */
    code = code_or_null(&c, datum);
    closure = code ? closure_new(code, 0) : NULL;
    if (code && !closure)
        snprintf(error, size, "no memory");
    wane_release(code);
    compiler_end(&c);
    return closure;
}
