/* SPDX-License-Identifier: MIT
 *
 * test_page.c - statistics in shared memory: what the page shows from outside, and whose file it is
 */
#include "observe_common.h"

#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include <wane/collector.h>

/* What wane-top says of the page at this path, and its exit status. */
static void
top_says(const char *path, int status, const char *const *words)
{
    struct report out = report_open();
    char          command[1024];
    int           rc;

    snprintf(command, sizeof command, "python3 %s/tools/wane-top %s --once --interval 0 >%s 2>&1", ROOT, path, out.path);
    rc = system(command);
    assert_true(WIFEXITED(rc));
    assert_int_equal(WEXITSTATUS(rc), status);
    assert_report_says(&out, words);
    report_close(&out);
}

static void
default_path(char path[64], pid_t pid)
{
    snprintf(path, 64, "/dev/shm/wane.%ld", (long)pid);
}

static void
obs_30_from_outside(void **state)
{
    struct node *n[3] = {node_new(), node_new(), node_new()};
    char         path[64];
    struct stat  s;

    (void)state;
    default_path(path, getpid());
    assert_int_equal(prctl(PR_SET_NAME, "shows-its-page"), 0); /* under memcheck the program's name is another */
    assert_int_equal(wane_page_open(NULL), 0);
    assert_int_equal(wane_page_open(NULL), -EALREADY);
    assert_int_equal(stat(path, &s), 0);
    assert_int_equal(s.st_mode & 07777, 0600);
    top_says(path, 0, (const char *[]){"wane-top: process", "shows-its-page", "3 alive", "type", "node", NULL});
    wane_page_close();
    assert_int_equal(stat(path, &s), -1);
    top_says(path, 1, (const char *[]){"there is no page", NULL});
    wane_page_close();
    for (int i = 0; i < 3; i++)
        wane_release(n[i]);
}

static void
obs_31_files_of_others_stay(void **state)
{
    struct report other = report_open();
    char          text[8] = {0};

    (void)state;
    assert_int_equal(write(other.fd, "precious", 8), 8);
    assert_int_equal(wane_page_open(other.path), -EEXIST);
    assert_int_equal(pread(other.fd, text, 8, 0), 8);
    assert_memory_equal(text, "precious", 8);
    assert_int_equal(wane_page_open("/no/such/directory/page"), -ENOENT);
    top_says(other.path, 1, (const char *[]){"no page of wane's", NULL});
    report_close(&other);
}

/* A child makes a page, and is killed. */
static void
obs_32_what_the_dead_leave(void **state)
{
    struct report page = report_open();
    int           fds[2], status;
    char          byte;
    pid_t         child;

    (void)state;
    unlink(page.path);
    assert_int_equal(pipe(fds), 0);
    child = fork();
    if (!child) {
        byte = wane_page_open(page.path) == 0 ? 'y' : 'n';
        (void)!write(fds[1], &byte, 1);
        pause();
    }
    assert_int_equal(read(fds[0], &byte, 1), 1);
    assert_int_equal(byte, 'y');
    assert_int_equal(wane_page_open(page.path), -EEXIST);
    kill(child, SIGKILL);
    waitpid(child, &status, 0);
    top_says(page.path, 1, (const char *[]){"has ended", NULL});
    assert_int_equal(wane_page_open(page.path), 0);
    wane_page_close();
    assert_int_equal(access(page.path, F_OK), -1);
    close(page.fd);
    close(fds[0]);
    close(fds[1]);
}

/* The child does not write to its parent's page, and gets one of its own when it works. */
static void
obs_33_forks(void **state)
{
    struct node *n = node_new();
    char         mine[64], its[64];
    int          status;
    pid_t        child;

    (void)state;
    assert_int_equal(wane_page_open(NULL), 0);
    child = fork();
    if (!child) {
        (void)wane_use_threads(true); /* wakes the background */
        for (;;)
            pause();
    }
    default_path(mine, getpid());
    default_path(its, child);
    for (uint64_t end = now_ms() + WATCHDOG_MS; access(its, F_OK) && now_ms() < end;)
        nap();
    top_says(its, 0, (const char *[]){"1 alive", NULL});
    kill(child, SIGKILL);
    waitpid(child, &status, 0);
    assert_int_equal(unlink(its), 0);
    top_says(mine, 0, (const char *[]){"1 alive", NULL});
    wane_page_close();
    wane_release(n);
}

/* A type whose name is longer than the page: it is left out, and what is shown says so. */
static void
obs_35_no_room_for_a_type(void **state)
{
    static char             name[300001];
    static struct wane_type long_type = {.name = name, .size = 8};
    struct report           page = report_open();
    void                   *o;

    (void)state;
    memset(name, 'n', sizeof name - 1);
    o = wane_new(&long_type);
    unlink(page.path);
    assert_int_equal(wane_page_open(page.path), 0);
    top_says(page.path, 0, (const char *[]){"1 alive", "and 1 types for which the page has no room", NULL});
    wane_page_close();
    close(page.fd);
    wane_release(o);
}

/* No room for the file, or no permission to grow it so far: none is left. */
static void
obs_31_no_room_for_the_file(void **state)
{
    struct report page = report_open();
    struct rlimit before, small;

    (void)state;
    unlink(page.path);
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    small = before;
    small.rlim_cur = 100;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    assert_int_equal(wane_page_open(page.path), -EFBIG);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    signal(SIGXFSZ, SIG_DFL);
    assert_int_equal(access(page.path, F_OK), -1);
    close(page.fd);
}

/* Without threads of the library's, steps write it. */
static void
obs_34_steps_write(void **state)
{
    struct report page = report_open();

    (void)state;
    unlink(page.path);
    assert_int_equal(wane_use_threads(false), 0);
    assert_int_equal(wane_page_open(page.path), 0);
    assert_true(wane_step(0) >= 0);
    top_says(page.path, 0, (const char *[]){"0 alive", NULL});
    wane_page_close();
    assert_int_equal(wane_use_threads(true), 0);
    close(page.fd);
}

SCENE_MAIN(SCENE(obs_30_from_outside), SCENE(obs_31_files_of_others_stay), SCENE(obs_32_what_the_dead_leave),
           SCENE(obs_33_forks), SCENE(obs_34_steps_write), SCENE(obs_35_no_room_for_a_type),
           SCENE(obs_31_no_room_for_the_file))
