/* SPDX-License-Identifier: MIT
 *
 * race_faults.c - at each named step that the sources have: a thread stops there in a signal handler, and the others go
 * on; or the process forks meanwhile, and the child works
 *
 * Workers do everything all the time. The first that reaches the armed step is the victim. The steps are read from the sources
 * (the program's argument), so a new one is tested without being named here; one that the workers never reach is a failure.
 */
#include "faults.h"

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#define MOST_STEPS 200
#define PROBES     10
#define A_MINUTE   60000

static const char *sources;
static int         part = 1; /* every part-th step, others each day */
static char        steps[MOST_STEPS][64];
static int         step_count;

/* ---- The steps in the sources ---------------------------------------------------------------------------------------- */

static void
note_steps(const char *line)
{
    static const char mark[] = "WN_STEP(\"";

    while ((line = strstr(line, mark))) {
        size_t length = strcspn(line += sizeof mark - 1, "\"");
        int    i = 0;

        while (i < step_count && (strncmp(steps[i], line, length) != 0 || steps[i][length]))
            i++;
        assert_true(i < MOST_STEPS && length < sizeof steps[0]);
        if (i == step_count)
            memcpy(steps[step_count++], line, length);
    }
}

static int
read_steps(void **state)
{
    DIR           *directory = opendir(sources);
    struct dirent *entry;
    char           path[4096], line[400];

    (void)state;
    assert_non_null(directory);
    while ((entry = readdir(directory))) {
        size_t length = strlen(entry->d_name);
        FILE  *file;

        if (length < 2 || !strstr(".c.h", entry->d_name + length - 2) || strcmp(entry->d_name, "step.h") == 0)
            continue;
        snprintf(path, sizeof path, "%s/%s", sources, entry->d_name);
        file = fopen(path, "r");
        assert_non_null(file);
        while (fgets(line, sizeof line, file))
            note_steps(line);
        fclose(file);
    }
    closedir(directory);
    assert_true(step_count > 50);
    return 0;
}

/* ---- A thread stops ------------------------------------------------------------------------------------------------- */

static _Atomic(const char *) armed;
static atomic_bool           is_taken, is_stopped;
static int                   wake[2];

static void
handle(int unused)
{
    int  error = errno;
    char byte;

    (void)unused;
    atomic_store(&is_stopped, true);
    while (read(wake[0], &byte, 1) < 0 && errno == EINTR)
        ;
    atomic_store(&is_stopped, false);
    errno = error;
}

static bool
is_victim(const char *point)
{
    const char *at = atomic_load(&armed);

    return fault_worker && at && strcmp(at, point) == 0 && !atomic_exchange(&is_taken, true);
}

static void
stop_here(const char *point)
{
    if (is_victim(point))
        raise(SIGUSR1);
    else
        fault_delay(point);
}

static void
arm(const char *point)
{
    atomic_store(&is_taken, false);
    atomic_store(&armed, point);
}

/* What nobody who stops may keep others from. */
static void *
probe(void *unused)
{
    (void)unused;
    for (int i = 0; i < PROBES; i++) {
        struct thing *n = thing_new(&plain_type), *got;
        void         *weak = wane_weak(n);

        wane_retain(n);
        wane_set(&probed[i % 2], n);
        wane_enter();
        got = wane_peek(&probed[(i + 1) % 2]);
        if (got)
            wane_release(wane_retain(got));
        wane_leave();
        got = wane_get(&probed[(i + 1) % 2]);
        wane_release(got);
        wane_release(n);
        got = wane_weak_get(weak);
        if (got != n)
            abort();
        wane_release(got);
        wane_release(wane_swap(&probed[i % 2], NULL));
        wane_release(n);
        wane_release(weak);
    }
    return NULL;
}

static bool
wait_for(atomic_bool *flag, bool value)
{
    for (int i = 0; i < A_MINUTE; i++) {
        if (atomic_load(flag) == value)
            return true;
        nanosleep(&(struct timespec){0, 1000000}, NULL);
    }
    return false;
}

/* Workers run: there is no way back to the next test. */
#define give_up(...)                    \
    do {                                \
        fprintf(stderr, __VA_ARGS__);   \
        fputc('\n', stderr);            \
        _exit(1);                       \
    } while (0)

static void
others_go_on(const char *point)
{
    pthread_t prober[2];

    (void)alarm(120); /* ends the program: nobody goes on */
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&prober[i], NULL, probe, NULL), 0);
    for (int i = 0; i < 2; i++)
        pthread_join(prober[i], NULL);
    (void)alarm(0);
    if (!atomic_load(&is_stopped))
        give_up("%s: the thread did not stay there", point);
}

static void
drv_12_thread_that_stops_at_any_step_stops_nobody(void **state)
{
    (void)state;
    assert_int_equal(pipe(wake), 0);
    assert_int_equal(sigaction(SIGUSR1, &(struct sigaction){.sa_handler = handle, .sa_flags = SA_RESTART}, NULL), 0);
    faults_begin(stop_here);
    for (int i = (int)(time(NULL) / 86400 % part); i < step_count; i += part) {
        arm(steps[i]);
        if (!wait_for(&is_stopped, true))
            give_up("%s: never reached", steps[i]);
        others_go_on(steps[i]);
        atomic_store(&armed, NULL);
        assert_int_equal(write(wake[1], "", 1), 1);
        assert_true(wait_for(&is_stopped, false));
    }
    faults_end();
    printf("# %d named steps: a thread has stopped at one of every %d\n", step_count, part);
}

/* ---- A fork --------------------------------------------------------------------------------------------------------- */

static atomic_bool is_forked;

/* While the driver is at work a fork waits for it: then the victim goes on first, after a while. */
static void
wait_for_the_fork(const char *point)
{
    if (!is_victim(point)) {
        fault_delay(point);
        return;
    }
    atomic_store(&is_stopped, true);
    for (int i = 0; i < 20 && !atomic_load(&is_forked); i++)
        nanosleep(&(struct timespec){0, 1000000}, NULL);
}

/* The thread that forked, alone. */
static int
child_works(void)
{
    atomic_long   ends = 0;
    struct thing *n = thing_new(&plain_type), *ring = thing_new(&final_type);
    void         *weak = wane_weak(n);
    int           rc = 0;

    n->ends = &ends;
    ring->ends = &ends;
    wane_set(&probed[0], n);
    wane_release(n);
    wane_set(&ring->slot[0], ring);
    wane_release(ring);
    n = wane_weak_get(weak);
    if (!n)
        return 1;
    wane_release(n);
    wane_clear(&probed[0]);
    for (int i = 0; i < 1000 && atomic_load(&ends) < 2; i++)
        if (wane_barrier() != 0 || (rc = wane_collect(WANE_ALL, NULL)) != 0 || wane_run_finalizers() > 1000)
            return 2 - rc;
    if (atomic_load(&ends) != 2 || wane_weak_get(weak))
        return 3;
    wane_release(weak);
    return 0;
}

static int
fork_and_look(void)
{
    int   status;
    pid_t pid = fork();

    if (pid == 0) {
        (void)alarm(A_MINUTE / 1000);
        wn_step_set(NULL);
        _exit(child_works());
    }
    atomic_store(&is_forked, true);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    return status;
}

static void
life_19_fork_while_a_thread_is_at_any_step(void **state)
{
    (void)state;
#ifdef FAULTS_SANITIZED
    skip(); /* sanitizers cannot bear forks beside other threads */
#endif
    faults_begin(wait_for_the_fork);
    for (int i = 0; i < step_count; i++) {
        int status;

        atomic_store(&is_forked, false);
        atomic_store(&is_stopped, false);
        arm(steps[i]);
        if (!wait_for(&is_stopped, true))
            give_up("%s: never reached", steps[i]);
        status = fork_and_look();
        atomic_store(&armed, NULL);
        if (status != 0)
            give_up("%s: the child ends with %#x", steps[i], (unsigned)status);
    }
    faults_end();
    printf("# %d named steps: the process has forked at each\n", step_count);
}

int
main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(drv_12_thread_that_stops_at_any_step_stops_nobody),
        cmocka_unit_test(life_19_fork_while_a_thread_is_at_any_step),
    };

    if (argc < 2)
        return 2;
    sources = argv[1];
    part = argc > 2 ? atoi(argv[2]) : 1;
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, read_steps, NULL);
}
