/* SPDX-License-Identifier: MIT
 *
 * main.c - tinylisp [--threads N] [FILE.lisp]: run a program, or what is typed
 */
#include "lisp.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char prelude[] =
    "(define (caar x) (car (car x))) (define (cadr x) (car (cdr x))) (define (cddr x) (cdr (cdr x)))\n"
    "(define (caddr x) (car (cddr x)))\n"
    "(define (map f l) (if (null? l) '() (cons (f (car l)) (map f (cdr l)))))\n"
    "(define (for-each f l) (if (null? l) '() (begin (f (car l)) (for-each f (cdr l)))))\n"
    "(define (filter p l) (cond ((null? l) '()) ((p (car l)) (cons (car l) (filter p (cdr l)))) (else (filter p (cdr l)))))\n"
    "(define (fold f start l) (if (null? l) start (fold f (f start (car l)) (cdr l))))\n"
    "(define (iota n) (let loop ((i (- n 1)) (l '())) (if (< i 0) l (loop (- i 1) (cons i l)))))\n"
    "(define (print . l) (for-each display l) (newline))\n";

/* Read one datum and make it a fiber. Returns DONE with *f NULL at the end of the text; else FAILED. */
static enum outcome
next_fiber(struct source *s, struct fiber **f)
{
    struct value    datum = simple(NIL);
    struct closure *c = NULL;
    enum outcome    outcome;
    int             line = s->line;
    char            why[100];

    *f = NULL;
    wane_enter();
    outcome = read_datum(s, &datum);
    if (outcome == DONE && datum.kind != END_OF_FILE) {
        c = compile(datum, why, sizeof why);
        if (!c)
            snprintf(s->error, sizeof s->error, "line %d: %s", line, why);
        *f = c ? fiber_new(owned(CLOSURE, c)) : NULL;
        outcome = *f ? DONE : FAILED;
    }
    drop(datum);
    wane_leave();
    return outcome;
}

/* Run what the text says. Returns whether all went well. */
static bool
run_text(struct source *s, bool show)
{
    struct fiber *f;
    bool          fine;

    for (;;) {
        int line;

        if (next_fiber(s, &f) != DONE) {
            if (!s->unfinished || !show)
                fprintf(stderr, "%s\n", s->error);
            return false;
        }
        if (!f)
            return true;
        line = s->line;
        fine = tasks_run(f) == DONE;
        if (!fine)
            fprintf(stderr, "line %d: error: %s\n", line, f->error);
        wane_enter();
        if (fine && show && f->result.kind != UNSPECIFIED) {
            print_value(stdout, f->result, true);
            putchar('\n');
        }
        wane_leave();
        fiber_free(f);
        if (!fine)
            return false;
    }
}

static bool
run_string(const char *text)
{
    struct source s = {.text = text, .end = text + strlen(text), .line = 1};

    return run_text(&s, false);
}

static bool
run_file(const char *name)
{
    FILE  *file = fopen(name, "r");
    char  *text = NULL;
    size_t size = 0;
    bool   fine = false;

    if (!file || getdelim(&text, &size, EOF, file) < 0) {
        perror(name);
    } else {
        struct source s = {.text = text, .end = text + strlen(text), .line = 1};

        fine = run_text(&s, false);
    }
    free(text);
    if (file)
        fclose(file);
    return fine;
}

/* Lines are gathered until they make whole data. What goes wrong is said, and forgotten. */
static bool
run_typed(void)
{
    bool   prompt = isatty(0);
    char  *text = NULL, *line = NULL;
    size_t size = 0, length = 0;

    for (;;) {
        struct source s = {.line = 1};
        ssize_t       got;
        char         *more;

        if (prompt)
            printf(length ? ". " : "> ");
        fflush(stdout);
        got = getline(&line, &size, stdin);
        more = got > 0 ? realloc(text, length + (size_t)got + 1) : NULL;
        if (!more)
            break;
        text = more;
        memcpy(text + length, line, (size_t)got + 1);
        length += (size_t)got;
        s.text = text;
        s.end = text + length;
        if (run_text(&s, true) || !s.unfinished)
            length = 0;
    }
    if (prompt)
        putchar('\n');
    free(text);
    free(line);
    return length == 0; /* else it ended inside of a datum */
}

static int
usage(void)
{
    fprintf(stderr, "usage: tinylisp [--threads N] [FILE.lisp]\n");
    return 2;
}

int
main(int argc, char **argv)
{
    const char *name = NULL;
    int         threads = 2, left;
    bool        fine;

    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--threads") == 0 && i + 1 < argc)
            threads = atoi(argv[++i]);
        else if (argv[i][0] == '-' || name)
            return usage();
        else
            name = argv[i];
    }
    if (threads < 1 || threads > 1000)
        return usage();
    fine = symbols_begin() && tasks_begin(threads) && run_string(prelude) && (name ? run_file(name) : run_typed());
    if (tasks_end() != 0)
        fine = false;
    symbols_end();
    fflush(stdout);
    left = wane_shutdown();
    if (left)
        fprintf(stderr, "%d objects are left\n", left);
    return fine && left == 0 ? 0 : 1;
}
