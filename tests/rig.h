/* SPDX-License-Identifier: MIT
 *
 * rig.h - what tests of threads and processes need: failures noted off cmocka's thread, gates, duels, children
 *
 * A duel is two threads that do their part of a round at the same time, after random delays, until enough of both
 * outcomes was seen. EXPECT is for threads other than cmocka's: it notes the failure, and the test's teardown
 * reports it.
 */
#ifndef RIG_H
#define RIG_H

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define RIG_TSAN 1
#elif __has_feature(address_sanitizer)
#define RIG_ASAN 1
#endif
#endif
#if defined(__SANITIZE_THREAD__)
#define RIG_TSAN 1
#elif defined(__SANITIZE_ADDRESS__)
#define RIG_ASAN 1
#endif
#if defined(RIG_TSAN) || defined(RIG_ASAN)
#define RIG_SLOW 1
#endif
#ifdef RIG_TSAN
const char *__tsan_default_options(void);
const char *
__tsan_default_options(void)
{
    return "die_after_fork=0"; /* children make threads of their own */
}
#endif

#if defined(WN_CHECKS) && WN_CHECKS + 0 >= 3
#define RIG_RIGGED 1
#endif

/* A size that slow builds divide by ten. Rigged builds are slow, but no sanitizer's. */
#if defined(RIG_SLOW) || defined(RIG_RIGGED)
#define SCALED(n)    ((n) / 10)
#define WATCHDOG_MS  120000
#define SMALL_STACK  (1024 * 1024)
#else
#define SCALED(n)    (n)
#define WATCHDOG_MS  30000
#define SMALL_STACK  (128 * 1024)
#endif

/* ---- Failures outside cmocka's thread ------------------------------------------------------------------------- */

static atomic_int expect_failures;

static inline void
expect_failed(const char *what, const char *file, int line)
{
    fprintf(stderr, "%s:%d: expected: %s\n", file, line, what);
    atomic_fetch_add(&expect_failures, 1);
}

#define EXPECT(cond) ((cond) ? (void)0 : expect_failed(#cond, __FILE__, __LINE__))

static inline _Noreturn void
die(const char *what)
{
    fprintf(stderr, "test: %s\n", what);
    abort();
}

/* ---- Time ----------------------------------------------------------------------------------------------------- */

static inline uint64_t
now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static inline void
nap(void)
{
    nanosleep(&(struct timespec){0, 200000}, NULL);
}

/* ---- Threads -------------------------------------------------------------------------------------------------- */

static inline pthread_t
spawn(void *(*fn)(void *), void *arg)
{
    pthread_t t;

    if (pthread_create(&t, NULL, fn, arg) != 0)
        die("pthread_create failed");
    return t;
}

static inline void
join(pthread_t t)
{
    if (pthread_join(t, NULL) != 0)
        die("pthread_join failed");
}

/* Run fn on a thread with a small stack, to its end. */
static inline void
run_on_small_stack(void *(*fn)(void *), void *arg)
{
    pthread_attr_t attr;
    pthread_t      t;

    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, SMALL_STACK);
    if (pthread_create(&t, &attr, fn, arg) != 0)
        die("no thread with a small stack");
    pthread_attr_destroy(&attr);
    join(t);
}

/* A barrier that spins first, so that both sides start together. */
struct gate {
    unsigned    count;
    atomic_uint arrived, round;
};

static inline void
gate_wait(struct gate *g)
{
    unsigned round = atomic_load(&g->round);

    if (atomic_fetch_add(&g->arrived, 1) + 1 == g->count) {
        atomic_store(&g->arrived, 0);
        atomic_fetch_add(&g->round, 1);
        return;
    }
    for (unsigned spins = 0; atomic_load(&g->round) == round; spins++)
        if (spins > 2000)
            sched_yield();
}

/* A thread that waits for a byte on a pipe, outside sections: a thread blocked in a system call. */
struct pipe_wait {
    int fd[2];
};

static inline void
pipe_open(struct pipe_wait *p)
{
    if (pipe(p->fd) != 0)
        die("pipe failed");
}

static inline void
pipe_block(struct pipe_wait *p)
{
    char byte;

    while (read(p->fd[0], &byte, 1) < 0 && errno == EINTR)
        ;
}

/* Wake every thread that blocks on p, and those to come. */
static inline void
pipe_wake(struct pipe_wait *p)
{
    close(p->fd[1]);
}

static inline void
pipe_done(struct pipe_wait *p)
{
    close(p->fd[0]);
}

static inline uint64_t
random_next(uint64_t *state)
{
    uint64_t x = *state;

    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    return *state = x;
}

static inline void
spin(uint64_t n)
{
    while (n--)
        __asm__ __volatile__("" ::: "memory");
}

/* Before either side's part. The yields bring both orders about where there is one processor only. */
static inline void
hesitate(uint64_t *seed, unsigned most)
{
    uint64_t r = random_next(seed);

    if (r % 8 == 0)
        sched_yield();
    spin((r >> 8) % (most + 1));
}

/* Two threads, round after round: prepare on the left one, then both sides at once, then settle on the left one. */
struct duel {
    void (*prepare)(void);
    void (*left)(void);
    void (*right)(void);
    bool (*settle)(void); /* true: enough was seen */
    long cap;             /* rounds at most */
    unsigned delay;       /* spins at most before either side */
    struct gate gate;
    atomic_bool over;
};

static inline void *
duel_right(void *arg)
{
    struct duel *d = arg;
    uint64_t     seed = 0x9e3779b97f4a7c15;

    for (;;) {
        gate_wait(&d->gate);
        if (atomic_load(&d->over))
            return NULL;
        hesitate(&seed, d->delay);
        d->right();
        gate_wait(&d->gate);
    }
}

/* False: the cap was reached before enough was seen. */
static inline bool
duel_run(struct duel *d)
{
    uint64_t  seed = 0x2545f4914f6cdd1d;
    bool      enough = false;
    pthread_t t;

    d->gate.count = 2;
    t = spawn(duel_right, d);
    for (long i = 0; i < d->cap && !enough; i++) {
        d->prepare();
        gate_wait(&d->gate);
        hesitate(&seed, d->delay);
        d->left();
        gate_wait(&d->gate);
        enough = d->settle();
    }
    atomic_store(&d->over, true);
    gate_wait(&d->gate);
    join(t);
    return enough;
}

/* ---- Children ------------------------------------------------------------------------------------------------- */

struct child {
    int  status;
    char err[8192];
};

static inline void
child_read(int fd, struct child *c)
{
    size_t  used = 0;
    char    rest[512];
    ssize_t n;

    for (;;) {
        size_t room = sizeof c->err - 1 - used;

        n = room ? read(fd, c->err + used, room) : read(fd, rest, sizeof rest);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break;
        used += room ? (size_t)n : 0;
    }
    c->err[used] = 0;
}

/* Run fn in a child of a fork; its stderr is kept. A child that hangs is killed by its alarm. */
static inline struct child
run_child(int (*fn)(void *), void *arg)
{
    struct child c;
    int          fd[2];
    pid_t        pid;

    fflush(NULL);
    if (pipe(fd) != 0)
        die("pipe failed");
    pid = fork();
    if (pid < 0)
        die("fork failed");
    if (pid == 0) {
        setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
        for (int s = 1; s < 32; s++)
            signal(s, SIG_DFL); /* cmocka's handlers would go on with the next test, here */
        alarm(WATCHDOG_MS / 1000);
        dup2(fd[1], 2);
        close(fd[0]);
        close(fd[1]);
        _exit(fn(arg));
    }
    close(fd[1]);
    child_read(fd[0], &c);
    close(fd[0]);
    while (waitpid(pid, &c.status, 0) < 0 && errno == EINTR)
        ;
    return c;
}

/* The race detector does not know that a child's threads may have the ids of the parent's: not our matter. */
static inline void
skip_where_children_have_no_threads(void)
{
#ifdef RIG_TSAN
    skip();
#endif
}

static inline void
skip_where_children_have_no_memory(void)
{
#if defined(RIG_TSAN) || defined(RIG_ASAN)
    skip();
#endif
}

/* In a child: a plain check, reported through stderr and the exit status. */
#define CHILD_CHECK(cond)                                                    \
    do {                                                                     \
        if (!(cond)) {                                                       \
            fprintf(stderr, "%s:%d: failed: %s\n", __FILE__, __LINE__, #cond); \
            return 1;                                                        \
        }                                                                    \
    } while (0)

static inline void
assert_child_ok(const struct child *c)
{
    if (!WIFEXITED(c->status) || WEXITSTATUS(c->status) != 0) {
        fprintf(stderr, "child: status %#x\n%s\n", (unsigned)c->status, c->err);
        fail();
    }
}

/* The child was aborted with a message of the runtime that says `word`. */
static inline void
assert_child_refused(const struct child *c, const char *word)
{
    const char *message = strstr(c->err, "wane:");

    if (!WIFSIGNALED(c->status) || WTERMSIG(c->status) != SIGABRT || !message || !strstr(message, word) ||
        (message != c->err && message[-1] != '\n')) {
        fprintf(stderr, "child: status %#x\n%s\n", (unsigned)c->status, c->err);
        fail();
    }
}

#endif
