/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE /* dladdr */
#include "where.h"

#include <dlfcn.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>
#if __has_include(<execinfo.h>)
#include <execinfo.h>
#define HAVE_BACKTRACE 1
#else
#define HAVE_BACKTRACE 0
#endif

#include <wane/observe.h>

#include "driver.h"
#include "stall.h"

#define MOST_FRAMES 48
#define WAIT_NS     UINT64_C(1000000000)

enum { FREE, ASKED, BUSY, ANSWERED };

static struct wane_atomic32 lent;   /* a: the signal; 0: none */
static struct wane_atomic32 state;  /* a: whose the following are: the asker's, or, while BUSY, the handler's */
static struct wane_atomic32 meant;  /* a: the thread */
static struct wane_atomic32 asking; /* a: 1 guards the asker's side */
static void                *frames[MOST_FRAMES];
static int                  depth;

/* ---- The signal ---------------------------------------------------------------------------------------------------------- */

static void
answer(int signal)
{
    int      saved = errno;
    uint32_t asked = ASKED;

    (void)signal;
    if (load_relaxed(&meant) == (uint32_t)syscall(SYS_gettid) && cas_acq_rel(&state, &asked, (uint32_t)BUSY)) {
#if HAVE_BACKTRACE
        depth = backtrace(frames, MOST_FRAMES);
#endif
        store_release(&state, (uint32_t)ANSWERED);
    }
    errno = saved;
}

int
wane_stall_signal(int signal)
{
    struct sigaction action = {.sa_handler = answer, .sa_flags = SA_RESTART}, old;

    if (!signal) {
        store_relaxed(&lent, 0u); /* the handler stays: one that was sent may be on its way */
        return 0;
    }
#if HAVE_BACKTRACE
    (void)backtrace(&(void *){NULL}, 1);
    if (sigaction(signal, NULL, &old))
        return -errno;
    if (old.sa_handler != SIG_DFL && old.sa_handler != answer)
        return -EBUSY;
    sigfillset(&action.sa_mask);
    if (sigaction(signal, &action, NULL))
        return -errno;
    store_relaxed(&lent, (uint32_t)signal);
    return 0;
#else
    (void)action, (void)old;
    return -ENOTSUP;
#endif
}

/* Under `asking`. True: the frames are there, and the state is the caller's to set FREE. */
static bool
ask(uint32_t tid, uint32_t signal)
{
    uint64_t end = wn_now() + WAIT_NS;
    uint32_t asked = ASKED;

    if (load_acquire(&state) != FREE) /* a handler hangs */
        return false;
    store_relaxed(&meant, tid);
    store_release(&state, (uint32_t)ASKED);
    if (syscall(SYS_tgkill, getpid(), tid, signal) == 0)
        while (load_acquire(&state) != ANSWERED && wn_now() < end)
            wn_driver_pause();
    (void)cas_acq_rel(&state, &asked, (uint32_t)FREE);
    while (load_acquire(&state) == BUSY && wn_now() < end + WAIT_NS)
        wn_driver_pause();
    return load_acquire(&state) == ANSWERED;
}

/* ---- Words --------------------------------------------------------------------------------------------------------------- */

/* file(function+offset), or file(+offset) for addr2line. */
static void
add_place(struct wn_text *t, const char *before, uintptr_t pc)
{
    Dl_info i;

    if (!dladdr((void *)pc, &i) || !i.dli_fname) /* NOLINT(performance-no-int-to-ptr): from /proc */
        wn_text_print(t, "%s%#lx\n", before, (unsigned long)pc);
    else if (i.dli_sname)
        wn_text_print(t, "%s%s(%s+%#lx)\n", before, i.dli_fname, i.dli_sname, (unsigned long)(pc - (uintptr_t)i.dli_saddr));
    else
        wn_text_print(t, "%s%s(+%#lx)\n", before, i.dli_fname, (unsigned long)(pc - (uintptr_t)i.dli_fbase));
}

/* The first bytes of a file of the thread's in /proc, in one string; "" where it cannot be read. */
static void
read_file(uint32_t tid, const char *file, char *to, size_t room)
{
    char   path[64];
    FILE  *f;
    size_t n = 0;

    snprintf(path, sizeof path, "/proc/self/task/%u/%s", tid, file);
    f = fopen(path, "re");
    if (f) {
        n = fread(to, 1, room - 1, f);
        fclose(f);
    }
    to[n] = 0;
}

static void
add_state(struct wn_text *t, uint32_t tid)
{
    static const struct {
        char        letter;
        const char *words;
    } states[] = {{'R', "runs"}, {'S', "sleeps"}, {'D', "waits for a device"}, {'T', "is stopped"}, {'t', "is traced"}};
    char  stat[256], wchan[64];
    char *after;

    read_file(tid, "stat", stat, sizeof stat);
    read_file(tid, "wchan", wchan, sizeof wchan);
    after = strrchr(stat, ')');
    if (!after || !after[1])
        return;
    for (size_t i = 0; i < sizeof states / sizeof states[0]; i++)
        if (states[i].letter == after[2])
            wn_text_print(t, "  it %s%s%s\n", states[i].words, *wchan && *wchan != '0' ? ", in the kernel's " : "",
                          *wchan != '0' ? wchan : "");
}

/* "running", or: call arguments .. stack pointer, program counter. */
static void
add_call(struct wn_text *t, uint32_t tid)
{
    char          line[256], *last;
    long          number;
    unsigned long pc;

    read_file(tid, "syscall", line, sizeof line);
    line[strcspn(line, "\n")] = 0;
    last = strrchr(line, ' ');
    if (!last || sscanf(line, "%ld", &number) != 1 || sscanf(last, "%lx", &pc) != 1)
        return;
    if (number >= 0)
        wn_text_print(t, "  system call %ld, from ", number);
    add_place(t, number >= 0 ? "" : "  at ", pc);
}

static void
add_kernel_stack(struct wn_text *t, uint32_t tid)
{
    char stack[2048], *next = stack;

    read_file(tid, "stack", stack, sizeof stack);
    for (char *line; (line = strsep(&next, "\n"));)
        if (*line)
            wn_text_print(t, "    kernel: %s\n", line);
}

static void
add_stack(struct wn_text *t, uint32_t tid, uint32_t signal)
{
    if (exchange_acq_rel(&asking, 1u))
        return;
    if (ask(tid, signal)) {
        wn_text_string(t, "  its stack:\n");
        for (int i = 0; i < depth; i++)
            add_place(t, "    ", (uintptr_t)frames[i]);
        store_release(&state, (uint32_t)FREE);
    } else {
        wn_text_print(t, "  it does not answer to signal %u\n", signal);
    }
    store_release(&asking, 0u);
}

void
wn_where_add(struct wn_text *t, uint32_t tid)
{
    uint32_t signal = load_relaxed(&lent);

    add_state(t, tid);
    add_call(t, tid);
    add_kernel_stack(t, tid);
    if (signal && tid != (uint32_t)syscall(SYS_gettid))
        add_stack(t, tid, signal);
}

int
wane_stall_write(const struct wane_stall *s, int fd)
{
    struct wn_text t;

    wn_text_init(&t, fd);
    wn_text_print(&t, "thread %u (%s) has been in a section for %llu ms; %llu displaced units and %llu bytes wait\n", s->tid,
                  s->thread, (unsigned long long)(s->nanoseconds / 1000000), (unsigned long long)s->units,
                  (unsigned long long)s->bytes);
    wn_where_add(&t, s->tid);
    return wn_text_done(&t);
}

/* ---- Beginning ----------------------------------------------------------------------------------------------------------- */

void
wn_where_init(void)
{
    const char *value = getenv("WANE_STALL_SIGNAL");
    int         rc = value && *value ? wane_stall_signal((int)strtol(value, NULL, 10)) : 0;

    if (rc)
        fprintf(stderr, "wane: WANE_STALL_SIGNAL=%s: %s\n", value, strerror(-rc));
}

void
wn_where_forked(void)
{
    store_relaxed(&state, (uint32_t)FREE);
    store_relaxed(&asking, 0u);
}
