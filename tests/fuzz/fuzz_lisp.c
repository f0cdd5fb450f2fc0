/* SPDX-License-Identifier: MIT
 *
 * fuzz_lisp.c - bytes as data of tinylisp: read, or refused with a reason; what was read and printed is read again as the same
 */
#include "fuzz.h"

#include <stdlib.h>
#include <string.h>

#include "lisp.h"

static void
require(bool what)
{
    if (!what)
        abort();
}

static char *
text_of(struct value v, size_t *size)
{
    char *text = NULL;
    FILE *to = open_memstream(&text, size);

    require(to);
    print_value(to, v, true);
    fclose(to);
    return text;
}

/* What the reader makes of its own output; compiled for its own sake. */
static void
check(struct value v)
{
    size_t          size, again_size;
    char           *text = text_of(v, &size), *again, why[100];
    struct source   s = {.text = text, .end = text + size, .line = 1};
    struct value    back = simple(NIL);
    struct closure *c;

    require(read_datum(&s, &back) == DONE);
    require(back.kind == v.kind && is_equal(v, back, 10000));
    again = text_of(back, &again_size);
    require(size == again_size && memcmp(text, again, size) == 0);
    c = compile(back, why, sizeof why);
    wane_release(c);
    drop(back);
    free(again);
    free(text);
}

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct source s = {.text = (const char *)bytes, .end = (const char *)bytes + size, .line = 1};
    enum outcome  outcome = DONE;

    (void)wane_use_threads(false);
    require(symbols_begin());
    for (bool more = true; more;) {
        struct value v = simple(NIL);

        wane_enter();
        outcome = read_datum(&s, &v);
        more = outcome == DONE && v.kind != END_OF_FILE;
        if (more)
            check(v);
        drop(v);
        wane_leave();
    }
    require(outcome == DONE || s.error[0] != '\0');
    symbols_end();
    require(wane_shutdown() == 0);
    return 0;
}
