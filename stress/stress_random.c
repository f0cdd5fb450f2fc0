/* SPDX-License-Identifier: MIT
 *
 * stress_random.c - random programs of several threads, checked exactly when they have ended; the smallest failing one is listed
 *
 * Programs run in children, some tens in one, because failures end the process. When a child fails, its program is run again in
 * further children, with fewer lanes and fewer and fewer operations, as long as it still fails; each try runs it as often as it
 * takes to fail with some certainty. Everything that programs do is in random/program.h, what is checked in random/world.h.
 *
 * That it can fail: with WANE_MUTANT=NAME in the environment (src/mutants.h) it does, among others for review_believes,
 * suspect_in_place, mark_cleared_after_scan, free_ignores_holders, queue_skip, defer_at_once, no_store_event, no_stranger_event,
 * no_merge_event, notify_ignores_death, dispose_twice, young_forgets, give_although_known and share_without_bias.
 *
 *   --seconds S      go on for so long (2)        --seed X         of the first program (from the time)
 *   --programs N     stop after so many           --program FILE   run this one; --times N times (1000)
 *   --print          list the program of --seed, and do not run it
 *   --no-shrink      list a failing program as it is
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "random/shrink.h"
#include "random/world.h"
#include "step.h"

#define PER_CHILD    50
#define CHILD_LIMIT  300 /* seconds: it hangs */

static struct {
    uint64_t    seed;
    double      seconds;
    uint64_t    programs, times;
    const char *file;
    bool        print, as_is;
} options = {.seconds = 2, .programs = UINT64_MAX, .times = 1000};

/* Seen by the children's parent. */
static struct shared {
    uint64_t program; /* number of the one that runs */
    uint64_t operations;
} *shared;

/* ---- Delays --------------------------------------------------------------------------------------------------------- */

static __thread uint64_t delay_state;
static atomic_ullong     delay_seed; /* 0: none */

static void
delay(const char *point)
{
    uint64_t n, seed = atomic_load_explicit(&delay_seed, memory_order_relaxed);

    if (!seed)
        return;
    if (!delay_state)
        delay_state = seed ^ (uint64_t)(uintptr_t)&delay_state ^ (uint64_t)(unsigned char)*point;
    n = random_next(&delay_state);
    if (n % 16 == 0)
        nanosleep(&(struct timespec){0, (long)(n >> 8) % 60000}, NULL);
}

/* ---- In children ---------------------------------------------------------------------------------------------------- */

/* Each fourth: the library has no threads, and what they do is done by the programs' calls. */
static void
set_up(uint64_t seed)
{
    if (seed % 4 == 1)
        (void)wane_use_threads(false);
}

static void
run_one(const struct program *p)
{
    atomic_store_explicit(&delay_seed, p->delays ? p->seed | 1 : 0, memory_order_relaxed);
    world_begin(p);
    program_run(false);
    world_census();
    for (unsigned lane = 0; lane < p->lanes; lane++)
        shared->operations += p->count[lane];
}

static uint64_t
seed_of(uint64_t number)
{
    uint64_t state = options.seed + number;

    return number ? random_next(&state) : options.seed;
}

static uint64_t
now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

struct batch {
    uint64_t first, end;
};

static void
run_batch(const void *arg)
{
    const struct batch   *batch = arg;
    static struct program p;

    set_up(seed_of(batch->first));
    for (shared->program = batch->first; shared->program < batch->first + PER_CHILD; shared->program++) {
        if (shared->program == options.programs || (shared->program > batch->first && now_ms() > batch->end))
            break;
        program_generate(&p, seed_of(shared->program));
        run_one(&p);
    }
    world_end();
}

static void
run_again(const void *arg)
{
    const struct attempt *a = arg;

    if (a->quietly) {
        int null = open("/dev/null", O_WRONLY);

        dup2(null, STDERR_FILENO);
        world_patience = 3000;
    }
    set_up(a->environment);
    for (uint64_t i = 0; i < a->times; i++)
        run_one(a->program);
    world_end();
}

/* ---- In the parent -------------------------------------------------------------------------------------------------- */

/* False: it did not end well. */
static bool
in_child(void (*fn)(const void *), const void *arg)
{
    int   status;
    pid_t pid;

    fflush(NULL);
    pid = fork();
    if (pid == 0) {
        (void)alarm(CHILD_LIMIT);
        wn_step_hook = delay; /* before the library has threads */
        fn(arg);
        exit(0);
    }
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM)
        fprintf(stderr, "stress_random: a program has not ended within %d seconds\n", CHILD_LIMIT);
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

bool
attempt_fails(const struct attempt *a)
{
    return !in_child(run_again, a);
}

static bool
parse(int argc, char **argv)
{
    options.seed = (uint64_t)time(NULL) * 1000003 + (uint64_t)getpid();
    for (int i = 1; i < argc; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : "";

        if (strcmp(argv[i], "--print") == 0 || strcmp(argv[i], "--no-shrink") == 0) {
            *(argv[i][2] == 'p' ? &options.print : &options.as_is) = true;
            continue;
        }
        if (strcmp(argv[i], "--seed") == 0)
            options.seed = strtoull(value, NULL, 0);
        else if (strcmp(argv[i], "--seconds") == 0)
            options.seconds = strtod(value, NULL);
        else if (strcmp(argv[i], "--programs") == 0)
            options.programs = strtoull(value, NULL, 0);
        else if (strcmp(argv[i], "--times") == 0)
            options.times = strtoull(value, NULL, 0);
        else if (strcmp(argv[i], "--program") == 0)
            options.file = value;
        else
            return false;
        i++;
    }
    return true;
}

static int
replay_file(void)
{
    static struct program p;
    FILE                 *from = fopen(options.file, "r");

    if (!from || !program_read(&p, from)) {
        fprintf(stderr, "stress_random: %s cannot be read\n", options.file);
        return 2;
    }
    fclose(from);
    for (uint64_t environment = 0; environment < 20; environment++)
        if (attempt_fails(&(struct attempt){&p, environment, options.times / 20 + 1, false}))
            return 1;
    printf("stress_random: %s: ok\n", options.file);
    return 0;
}

static int
report(const char *path, uint64_t first)
{
    static struct program p;

    program_generate(&p, seed_of(shared->program));
    fprintf(stderr, "stress_random: program %llu of seed %llu fails; replay: %s --seed %llu --programs %llu\n",
            (unsigned long long)shared->program, (unsigned long long)options.seed, path, (unsigned long long)options.seed,
            (unsigned long long)shared->program + 1);
    if (options.as_is)
        fprintf(stderr, "stress_random: not made smaller\n");
    else if (shrink(&p, seed_of(first)))
        fprintf(stderr, "stress_random: the smallest that fails; replay: %s --program FILE\n", path);
    else
        fprintf(stderr, "stress_random: it does not fail by itself again\n");
    program_print(&p, stderr);
    return 1;
}

int
main(int argc, char **argv)
{
    static struct program p;
    struct batch          batch = {0};

    if (!parse(argc, argv)) {
        fprintf(stderr, "usage: %s [--seed X] [--seconds S] [--programs N] [--print] [--no-shrink]\n"
                "       %s --program FILE [--times N]\n", argv[0], argv[0]);
        return 2;
    }
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED)
        return 2;
    if (options.file)
        return replay_file();
    if (options.print) {
        program_generate(&p, options.seed);
        program_print(&p, stdout);
        return 0;
    }
    printf("stress_random: seed %llu\n", (unsigned long long)options.seed);
    batch.end = now_ms() + (uint64_t)(options.seconds * 1000);
    do {
        batch.first = shared->program;
        if (!in_child(run_batch, &batch))
            return report(argv[0], batch.first);
    } while (now_ms() < batch.end && shared->program < options.programs);
    printf("stress_random: ok: %llu programs, %llu operations\n", (unsigned long long)shared->program,
           (unsigned long long)shared->operations);
    return 0;
}
