/* SPDX-License-Identifier: MIT
 *
 * calls.c - what the library asks of the system, under the scheduler: locks, threads, sleep, events, time
 *
 * Before the first run (constructors) there is one thread, and nothing waits.
 */
#include "explore.h"

#include <errno.h>
#include <linux/membarrier.h>
#include <stdarg.h>
#include <string.h>
#include <sys/syscall.h>

#include "ck_glue.h"

#define LOCKS 64
#define KEYS  4
#define SECOND UINT64_C(1000000000)

static struct lock {
    const pthread_mutex_t *mutex;
    unsigned               holder; /* thread + 1; 0: free */
} lock[LOCKS];

static void (*destructor[KEYS])(void *);
static unsigned keys;

/* ---- Locks ------------------------------------------------------------------------------------------------------------ */

static struct lock *
lock_of(const pthread_mutex_t *mutex)
{
    unsigned i = 0;

    while (lock[i].mutex && lock[i].mutex != mutex)
        if (++i == LOCKS)
            ex_fail("too many locks");
    lock[i].mutex = mutex;
    return &lock[i];
}

static int
acquire(pthread_mutex_t *mutex, bool waits, uint64_t deadline)
{
    struct lock *l = lock_of(mutex);

    if (!ex_is_running())
        return 0;
    ex_point(mutex, true, "a lock");
    ex_drain_own();
    if (l->holder == ex_self() + 1)
        ex_fail("locked twice");
    while (l->holder) {
        if (!waits)
            return EBUSY;
        if (deadline && deadline <= ex_now())
            return ETIMEDOUT;
        (void)ex_wait(mutex, deadline ? deadline - ex_now() : 0, "a lock");
    }
    l->holder = ex_self() + 1;
    return 0;
}

int
ex_pthread_mutex_init(pthread_mutex_t *mutex, const pthread_mutexattr_t *attr)
{
    (void)attr;
    lock_of(mutex)->holder = 0;
    return 0;
}

int
ex_pthread_mutex_destroy(pthread_mutex_t *mutex)
{
    lock_of(mutex)->holder = 0;
    return 0;
}

int
ex_pthread_mutex_lock(pthread_mutex_t *mutex)
{
    return acquire(mutex, true, 0);
}

int
ex_pthread_mutex_trylock(pthread_mutex_t *mutex)
{
    return acquire(mutex, false, 0);
}

int
ex_pthread_mutex_timedlock(pthread_mutex_t *mutex, const struct timespec *end)
{
    return acquire(mutex, true, (uint64_t)end->tv_sec * SECOND + (uint64_t)end->tv_nsec);
}

int
ex_pthread_mutex_unlock(pthread_mutex_t *mutex)
{
    if (!ex_is_running())
        return 0;
    ex_point(mutex, true, "an unlock");
    ex_drain_own();
    if (lock_of(mutex)->holder != ex_self() + 1)
        ex_fail("unlocked by another thread");
    lock_of(mutex)->holder = 0;
    ex_wake(mutex);
    return 0;
}

/* ---- Threads ---------------------------------------------------------------------------------------------------------- */

int
ex_pthread_create(pthread_t *id, const pthread_attr_t *attr, void *(*fn)(void *), void *arg)
{
    (void)attr;
    ex_drain_own();
    *id = ex_thread_start("library", fn, arg) + 1;
    ex_point(NULL, false, "a thread's start");
    return 0;
}

int
ex_pthread_join(pthread_t id, void **out)
{
    (void)out;
    while (!ex_thread_has_ended((unsigned)id - 1))
        (void)ex_wait(ex_thread_end((unsigned)id - 1), 0, "a join");
    return 0;
}

int
ex_pthread_timedjoin_np(pthread_t id, void **out, const struct timespec *end)
{
    (void)end;
    return ex_pthread_join(id, out);
}

pthread_t
ex_pthread_self(void)
{
    return ex_self() + 1;
}

int
ex_pthread_setname_np(pthread_t id, const char *name)
{
    (void)id;
    (void)name;
    return 0;
}

int
ex_pthread_atfork(void (*prepare)(void), void (*parent)(void), void (*child)(void))
{
    (void)prepare;
    (void)parent;
    (void)child;
    return 0;
}

int
ex_atexit(void (*fn)(void))
{
    (void)fn;
    return 0;
}

/* A fresh one is zero (PTHREAD_ONCE_INIT). Nobody is found inside: those who come are let in one after the other. */
int
ex_pthread_once(pthread_once_t *once, void (*fn)(void))
{
    if (*once == PTHREAD_ONCE_INIT) {
        *once = PTHREAD_ONCE_INIT + 1;
        fn();
    }
    return 0;
}

int
ex_pthread_key_create(pthread_key_t *key, void (*fn)(void *))
{
    if (keys == KEYS)
        return EAGAIN;
    destructor[keys] = fn;
    *key = keys++;
    return 0;
}

int
ex_pthread_setspecific(pthread_key_t key, const void *value)
{
    *ex_thread_specific(key) = (void *)(uintptr_t)value;
    return 0;
}

void *
ex_pthread_getspecific(pthread_key_t key)
{
    return *ex_thread_specific(key);
}

void
ex_run_destructors(void)
{
    for (unsigned i = 0; i < keys; i++) {
        void *value = *ex_thread_specific(i);

        *ex_thread_specific(i) = NULL;
        if (value && destructor[i])
            destructor[i](value);
    }
}

/* ---- Time ------------------------------------------------------------------------------------------------------------- */

int
ex_nanosleep(const struct timespec *time, struct timespec *left)
{
    (void)left;
    ex_sleep((uint64_t)time->tv_sec * SECOND + (uint64_t)time->tv_nsec, "a sleep");
    return 0;
}

int
ex_sched_yield(void)
{
    ex_sleep(1000, "a yield");
    return 0;
}

int
ex_clock_gettime(clockid_t clock, struct timespec *out)
{
    (void)clock;
    *out = (struct timespec){(time_t)(ex_now() / SECOND), (long)(ex_now() % SECOND)};
    return 0;
}

/* ---- Events (in place of ck_glue.c) ----------------------------------------------------------------------------------- */

uint32_t
wn_event_value(struct wn_event *event)
{
    return (uint32_t)ex_load(&event->word, sizeof event->word, "an event");
}

void
wn_event_signal(struct wn_event *event)
{
    (void)ex_rmw(&event->word, sizeof event->word, EX_ADD, 1, "an event");
    ex_wake(event);
}

void
wn_event_wait(struct wn_event *event, uint32_t value, uint64_t nanoseconds)
{
    uint64_t end = ex_now() + nanoseconds;

    ex_point(event, false, "an event");
    ex_drain_own();
    while (event->word == value && (!nanoseconds || ex_now() < end))
        (void)ex_wait(event, nanoseconds ? end - ex_now() : 0, "an event");
}

/* No wait, for others run at each point anyway; what fails twice is hot. */
bool
wn_stall(unsigned *turns)
{
    return (*turns)++ == 1;
}

/* ---- The rest --------------------------------------------------------------------------------------------------------- */

long
ex_syscall(long number, ...)
{
    va_list args;
    int     command;

    if (number == SYS_gettid)
        return (long)ex_self() + 1;
    if (number != SYS_membarrier)
        ex_fail("system call %ld", number);
    va_start(args, number);
    command = va_arg(args, int);
    va_end(args);
    if (command == MEMBARRIER_CMD_PRIVATE_EXPEDITED && ex_is_running()) {
        ex_point((void *)EX_ALWAYS, false, "a membarrier");
        ex_buffers_drain();
    }
    return 0;
}

char *
ex_getenv(const char *name)
{
    static char yes[] = "1";

    return ex_is_running() && ex->program->fences && strcmp(name, "WANE_NO_MEMBARRIER") == 0 ? yes : NULL;
}

ssize_t
ex_getrandom(void *bytes, size_t size, unsigned flags)
{
    (void)flags;
    memset(bytes, 0x5a, size);
    return (ssize_t)size;
}

static char said[256]; /* the last message of the library's */

int
ex_fprintf(FILE *file, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    if (file == stderr)
        vsnprintf(said, sizeof said, format, args);
    else
        vfprintf(file, format, args);
    va_end(args);
    if (file != stderr)
        return 0;
    said[strcspn(said, "\n")] = 0;
    if (ex->tells)
        printf("  says: %s\n", said);
    return 0;
}

void
ex_abort(void)
{
    ex_fail("abort: %s", said);
}

/* liburcu's table is not looked into: one call is one step. Its own atomic steps are fences. */
struct cds_lfht;
struct cds_lfht_node;
struct cds_lfht_node *__real_cds_lfht_add_unique(struct cds_lfht *, unsigned long, int (*)(struct cds_lfht_node *, const void *),
                                                 const void *, struct cds_lfht_node *);
struct cds_lfht_node *__wrap_cds_lfht_add_unique(struct cds_lfht *, unsigned long, int (*)(struct cds_lfht_node *, const void *),
                                                 const void *, struct cds_lfht_node *);
int                   __real_cds_lfht_del(struct cds_lfht *, struct cds_lfht_node *);
int                   __wrap_cds_lfht_del(struct cds_lfht *, struct cds_lfht_node *);

struct cds_lfht_node *
__wrap_cds_lfht_add_unique(struct cds_lfht *table, unsigned long hash, int (*match)(struct cds_lfht_node *, const void *),
                           const void *key, struct cds_lfht_node *node)
{
    ex_point(table, true, "the weak table");
    ex_drain_own();
    return __real_cds_lfht_add_unique(table, hash, match, key, node);
}

int
__wrap_cds_lfht_del(struct cds_lfht *table, struct cds_lfht_node *node)
{
    ex_point(table, true, "the weak table");
    ex_drain_own();
    return __real_cds_lfht_del(table, node);
}
