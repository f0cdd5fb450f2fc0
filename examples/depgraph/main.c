/* SPDX-License-Identifier: MIT
 *
 * depgraph - package metadata as a graph of reference-counted objects, queried and changed by many threads
 *
 * Reads Debian's package indexes, builds packages, dependency lists, alternatives and provides as wane objects, and
 * lets threads walk dependency closures while others remove and upgrade packages. Nothing here frees an object: counts
 * and the background collector do, cycles included. At the end all of it is checked against a mirror of plain integers.
 *
 *   main      options, input                 run      one run, and the verdict
 *   parse, input, relation, names, universe  the metadata as integers
 *   graph     types, links                   change   upgrades, removals, relinking
 *   query     closures by borrowed reads     worker   the threads and their mix;  post  who must relink
 *   mirror, audit, compare, scc              ground truth
 */
#include "input.h"
#include "parse.h"
#include "post.h"
#include "run.h"

#include <errno.h>
#include <malloc.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static volatile sig_atomic_t interrupted;

static void
interrupt(int number)
{
    (void)number;
    interrupted = 1;
}

static int
usage(const char *reason, const char *what)
{
    if (reason)
        fprintf(stderr, "depgraph: %s: %s\n", reason, what);
    fprintf(reason ? stderr : stdout,
            "usage: depgraph [--threads N] [--seconds S] [--seed X] [--input FILE] [--snapshot FILE]\n"
            "  --threads N   mutators, 1 to %u (default 4)\n"
            "  --seconds S   how long they run (default 10)\n"
            "  --seed X      of their choices (default 1)\n"
            "  --input FILE  package metadata, plain or compressed (default: apt's lists, else dpkg's status file)\n"
            "  --snapshot F  write a heap snapshot there in the middle of the run, for Chrome DevTools or tools/wane-inspect\n",
            OWNER_LIMIT);
    return 2;
}

/* The whole text as a number within bounds. */
static bool
read_number(const char *text, double least, double most, double *out)
{
    char *end;

    errno = 0;
    *out = strtod(text, &end);
    return *text && !*end && errno == 0 && *out >= least && *out <= most;
}

static bool
read_seed(const char *text, uint64_t *out)
{
    char *end;

    errno = 0;
    *out = strtoull(text, &end, 0);
    return *text && *text != '-' && !*end && errno == 0;
}

static bool
read_option(struct options *options, const char *name, const char *value)
{
    double number;

    if (strcmp(name, "--threads") == 0) {
        if (!read_number(value, 1, OWNER_LIMIT, &number) || number != (unsigned)number)
            return false;
        options->threads = (unsigned)number;
    } else if (strcmp(name, "--seconds") == 0) {
        return read_number(value, 0, 1e7, &options->seconds);
    } else if (strcmp(name, "--seed") == 0) {
        return read_seed(value, &options->seed);
    } else if (strcmp(name, "--input") == 0) {
        options->input = value;
    } else if (strcmp(name, "--snapshot") == 0) {
        options->snapshot = value;
    } else {
        return false;
    }
    return true;
}

/* `--name value` or `--name=value`. 0, or the exit status plus 1. */
static int
read_options(struct options *options, int count, char **arguments)
{
    int i;

    for (i = 1; i < count; i++) {
        char *name = arguments[i], *value = strchr(name, '=');

        if (strcmp(name, "--help") == 0) {
            usage(NULL, NULL);
            return 1;
        }
        if (value)
            *value++ = '\0';
        else
            value = arguments[++i];
        if (!value)
            return usage("no such option, or no value", name) + 1;
        if (!read_option(options, name, value))
            return usage("no such option, or bad value", name) + 1;
    }
    return 0;
}

static int
load(struct universe *u, const struct file_list *files)
{
    struct fault fault;
    size_t       i;

    for (i = 0; i < files->count; i++) {
        if (parse_file(u, files->at[i], &fault) != 0) {
            fprintf(stderr, "depgraph: %s\n", fault.text);
            return -1;
        }
    }
    if (u->entry_count == 0) {
        fprintf(stderr, "depgraph: %s:0: no packages\n", files->at[0]);
        return -1;
    }
    universe_finish(u);
    return 0;
}

static void
say_input(const struct universe *u, const struct file_list *files)
{
    size_t i;

    for (i = 0; i < files->count; i++)
        printf("reads %s\n", files->at[i]);
    printf("input: %u files, %u stanzas, %u of other versions, %u not installed\n", u->files, u->stanzas, u->superseded,
           u->not_installed);
    printf("input: %zu packages, %u edges, %u dependency cycles\n", u->entry_count, u->edges, u->cycles);
    fflush(stdout);
}

static int
read_and_run(const struct options *options)
{
    struct universe  universe = {0};
    struct file_list files = {0};
    int              status = 2;

    if (options->input)
        input_one(&files, options->input);
    else
        input_default(&files);
    if (load(&universe, &files) == 0) {
        say_input(&universe, &files);
        status = run(&universe, options, &interrupted);
    }
    universe_free(&universe);
    input_free(&files);
    return status;
}

/* Objects die on other threads than they were born on: an arena for each thread would keep what the dead leave. */
static void
share_arenas(void)
{
#ifdef M_ARENA_MAX
    mallopt(M_ARENA_MAX, 2);
#endif
}

int
main(int count, char **arguments)
{
    struct options   options = {.threads = 4, .seconds = 10, .seed = 1};
    struct sigaction action = {.sa_handler = interrupt, .sa_flags = SA_RESTART};
    int              status = read_options(&options, count, arguments);

    if (status != 0)
        return status - 1;
    share_arenas();
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    return read_and_run(&options);
}
