/* SPDX-License-Identifier: MIT
 *
 * main.c - the explorer's command line
 */
#include "search.h"

#include <inttypes.h>
#include <string.h>
#include <sys/personality.h>

#include "mutants.h"

static const char usage[] =
    "usage: explore [PROGRAM ...] [OPTION ...]: runs small concurrent programs under all kinds of schedules\n"
    "  --strategy random|pct|both|exhaustive  (both)\n"
    "  --schedules N   for each program (10000; exhaustive: no limit)\n"
    "  --seconds N     in all, instead\n"
    "  --seed N        (1; 0: of the time)\n"
    "  --bound N       exhaustive: switches in one schedule (2)\n"
    "  --program FILE  this random program, and no others\n"
    "  --replay TEXT   one schedule, or a file with one, and say what happens\n"
    "  --mutant NAME   with one step of a protocol taken out (src/mutants.h)\n"
    "  --mutants       each mutant that is known to fail: after how many schedules?\n"
    "  --survey        all mutants against all programs: who finds what?\n"
    "  --results FILE  the sums are appended, as JSON\n"
    "  --list          the programs\n";

static struct {
    const char *program[64];
    unsigned    programs;
    enum ex_how how;
    uint64_t    schedules, seed;
    double      seconds;
    unsigned    bound;
    const char *replay, *mutant, *results, *file;
    bool        mutants, survey, list;
} o = {.seed = 1, .bound = 2, .how = EX_BY_BOTH};

static _Noreturn void
refuse(const char *what)
{
    fprintf(stderr, "explore: %s\n%s", what, usage);
    exit(2);
}

static const char *const strategies[] = {"both", "random", "pct", "exhaustive"};

static enum ex_how
how_named(const char *name)
{
    for (unsigned i = 0; i < 4; i++)
        if (strcmp(name, strategies[i]) == 0)
            return (enum ex_how)i;
    refuse("no such strategy");
}

static bool
option(const char *name, const char *value)
{
    if (strcmp(name, "--strategy") == 0)
        o.how = how_named(value);
    else if (strcmp(name, "--schedules") == 0)
        o.schedules = strtoull(value, NULL, 0);
    else if (strcmp(name, "--seed") == 0)
        o.seed = strtoull(value, NULL, 0);
    else if (strcmp(name, "--seconds") == 0)
        o.seconds = strtod(value, NULL);
    else if (strcmp(name, "--bound") == 0)
        o.bound = (unsigned)strtoul(value, NULL, 0);
    else if (strcmp(name, "--replay") == 0)
        o.replay = value;
    else if (strcmp(name, "--mutant") == 0)
        o.mutant = value;
    else if (strcmp(name, "--program") == 0)
        o.file = value;
    else if (strcmp(name, "--results") == 0)
        o.results = value;
    else
        return false;
    return true;
}

static void
parse(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--mutants") == 0)
            o.mutants = true;
        else if (strcmp(argv[i], "--survey") == 0)
            o.survey = true;
        else if (strcmp(argv[i], "--list") == 0)
            o.list = true;
        else if (argv[i][0] != '-' && o.programs < 64)
            o.program[o.programs++] = argv[i];
        else if (i + 1 < argc && option(argv[i], argv[i + 1]))
            i++;
        else
            refuse(argv[i]);
    }
    if (o.seed == 0)
        o.seed = (uint64_t)time(NULL);
    if (!o.schedules && o.seconds == 0 && o.how != EX_EXHAUSTIVELY)
        o.schedules = 10000;
}

static bool
is_wanted(const struct ex_program *p)
{
    bool wanted = !o.programs;

    for (unsigned i = 0; i < o.programs; i++)
        wanted |= strcmp(o.program[i], p->name) == 0;
    return wanted;
}

/* A random program: with fewer operations. NULL: it fails with all of them only. */
static const char *
make_program_smaller(struct ex_found *f)
{
    struct ex_found *smaller = malloc(sizeof *smaller);
    bool             is_smaller = ex_random_shrink(smaller);

    if (is_smaller)
        *f = *smaller;
    free(smaller);
    return is_smaller ? "FILE" : NULL;
}

static void
tell_failure(const struct ex_program *p, struct ex_found *f)
{
    char       *text = malloc(EX_TEXT_SIZE);
    const char *file = o.file;

    printf("%s: %s\n  schedule %" PRIu64 " of seed %" PRIu64 "\n", p->name, f->message, f->number, o.seed);
    ex_print_schedule(p, &f->first, text);
    printf("  found: %u choices%s%s\n", f->first.count, f->first.count <= 64 ? ": " : "", f->first.count <= 64 ? text : "");
    if (p->random && !o.file)
        file = make_program_smaller(f);
    ex_print_schedule(p, &f->shortest, text);
    printf("  shortest: %u choices%s\n", f->shortest.count, f->repeats ? "" : "; BUT IT DOES NOT FAIL AGAIN");
    ex->tells = true;
    ex->strategy = EX_REPLAY;
    ex->plan = f->shortest;
    ex_run();
    ex->tells = false;
    printf("  again: ./dev explore%s%s%s%s --replay '%s'\n", o.mutant ? " --mutant " : "", o.mutant ? o.mutant : "",
           file ? " --program " : "", file ? file : "", text);
    free(text);
}

/* One line for each run of the explorer. */
static void
write_results(unsigned programs, unsigned failed, double took)
{
    FILE *file = o.results ? fopen(o.results, "a") : NULL;

    if (!file)
        return;
    fprintf(file,
            "{\"date\": %lld, \"programs\": %u, \"strategy\": \"%s\", \"schedules\": %" PRIu64 ", \"seed\": %" PRIu64
            ", \"seconds\": %.0f, \"failures\": %u}\n",
            (long long)time(NULL), programs, strategies[o.how], ex->schedules, o.seed, took, failed);
    fclose(file);
}

static bool
explore(const struct ex_program *p, double ends)
{
    struct ex_found *f = malloc(sizeof *f);
    double           began = ex_seconds(), took;
    bool             failed;

    ex_search(p, o.how, o.seed, o.schedules, ends, o.bound, f);
    took = ex_seconds() - began;
    failed = f->failed;
    ex->schedules += f->runs;
    printf("%-24s %s %8" PRIu64 " schedules, %" PRIu64 " points and %" PRIu64 " switches each, %.0f a second", p->name,
           failed ? "FAILS " : "passes", f->runs, f->points / (f->runs ? f->runs : 1), f->switches / (f->runs ? f->runs : 1),
           (double)f->runs / took);
    if (f->cut)
        printf(", %" PRIu64 " cut short", f->cut);
    if (o.how == EX_EXHAUSTIVELY)
        printf(", %s", f->complete ? "complete" : "not all");
    printf("\n");
    if (failed)
        tell_failure(p, f);
    fflush(stdout);
    free(f);
    return !failed;
}

static int
explore_all(void)
{
    unsigned wanted = 0, failed = 0, done = 0;
    double   began = ex_seconds();

    for (size_t i = 0; ex_programs[i]; i++)
        wanted += is_wanted(ex_programs[i]);
    if (!wanted)
        refuse("no such program");
    printf("seed %" PRIu64 "\n", o.seed);
    for (size_t i = 0; ex_programs[i]; i++)
        if (is_wanted(ex_programs[i])) {
            done++;
            failed += !explore(ex_programs[i], o.seconds > 0 ? began + o.seconds * done / wanted : 0);
        }
    write_results(wanted, failed, ex_seconds() - began);
    printf("%u programs, %u failed, %.1f s\n", wanted, failed, ex_seconds() - began);
    return failed > 0;
}

static int
replay(const char *text)
{
    FILE                    *file = fopen(text, "r");
    char                    *buffer = malloc(EX_TEXT_SIZE);
    const struct ex_program *p;

    if (file) {
        buffer[fread(buffer, 1, EX_TEXT_SIZE - 1, file)] = 0;
        fclose(file);
        text = buffer;
    }
    p = ex_parse_schedule(text, &ex->plan);
    if (!p)
        refuse("no schedule");
    ex->program = p;
    ex->strategy = EX_REPLAY;
    ex->tells = true;
    ex_run();
    printf("%s: %s\n", p->name, ex->failed ? ex->message : ex->cut ? "does not end" : "passes");
    free(buffer);
    return ex->failed;
}

static int
list(void)
{
    for (size_t i = 0; ex_programs[i]; i++)
        printf("%-24s %s\n", ex_programs[i]->name, ex_programs[i]->scenario);
    return 0;
}

/* Where addresses differ from run to run, so may the order in which tables are searched: no schedule could be repeated. */
static void
fix_addresses(char **argv)
{
    int now = personality(0xffffffff);

    if (now < 0 || (now & ADDR_NO_RANDOMIZE) || personality((unsigned long)now | ADDR_NO_RANDOMIZE) < 0)
        return;
    execv("/proc/self/exe", argv);
}

int
main(int argc, char **argv)
{
    fix_addresses(argv);
    ex_run_begin();
    ex_heap_make();
    parse(argc, argv);
    ex->mutant = o.mutant ? ex_mutant_named(o.mutant) : 0;
    if (ex->mutant < 0)
        refuse("no such mutant");
    ex_random_begin();
    if (o.file && !ex_random_read(o.file))
        refuse("no program");
    setvbuf(stdout, NULL, _IOLBF, 4096);
    ex_snapshot_take();
    if (o.list)
        return list();
    if (o.replay)
        return replay(o.replay);
    if (o.survey)
        return ex_mutants_survey(o.schedules ? o.schedules : 1000, o.seed);
    if (o.mutants)
        return ex_mutants_check();
    return explore_all();
}
