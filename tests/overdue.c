/* SPDX-License-Identifier: MIT
 *
 * overdue.c - a test program that takes too long says where each of its threads is, before it is killed
 *
 * Linked into every test program. OVERDUE is in seconds. Children of forks have no timer: theirs is an alarm.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <execinfo.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define MOST 64

static void
tell(const char *what)
{
    (void)!write(2, what, __builtin_strlen(what));
}

static void
say_where(int unused)
{
    void *frame[MOST];

    (void)unused;
    tell("overdue: a thread is at\n");
    backtrace_symbols_fd(frame, backtrace(frame, MOST), 2);
}

/* On whatever thread the timer's signal has come to. One after the other: they share the file. */
static void
ask_all(int unused)
{
    DIR           *tasks = opendir("/proc/self/task");
    struct dirent *entry;

    (void)unused;
    while (tasks && (entry = readdir(tasks))) {
        long tid = strtol(entry->d_name, NULL, 10);

        if (tid > 0 && syscall(SYS_tgkill, getpid(), (pid_t)tid, SIGRTMAX - 1) == 0)
            nanosleep(&(struct timespec){0, 100000000}, NULL);
    }
    if (tasks)
        closedir(tasks);
}

__attribute__((constructor)) static void
begin(void)
{
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMAX};
    void           *frame[1];
    timer_t         timer;

    (void)backtrace(frame, 1); /* loads what it needs, now */
    (void)sigaction(SIGRTMAX, &(struct sigaction){.sa_handler = ask_all, .sa_flags = SA_RESTART}, NULL);
    (void)sigaction(SIGRTMAX - 1, &(struct sigaction){.sa_handler = say_where, .sa_flags = SA_RESTART}, NULL);
    if (timer_create(CLOCK_MONOTONIC, &event, &timer) == 0)
        (void)timer_settime(timer, 0, &(struct itimerspec){.it_value.tv_sec = OVERDUE}, NULL);
}
