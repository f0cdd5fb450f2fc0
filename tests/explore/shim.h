/* SPDX-License-Identifier: MIT
 *
 * shim.h - included ahead of every file of the explorer's build: each atomic access and each blocking call goes to the scheduler
 *
 * The sources stay as they are: the names of the compiler's atomic builtins and of the C library's calls become macros here, so
 * that neither a macro of atomic.h nor an inline path of fast.h can be forgotten. What waits are coroutines of one thread
 * (explore.h); their time is virtual.
 */
#ifndef EX_SHIM_H
#define EX_SHIM_H

#define _GNU_SOURCE

#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

/* One process runs with many mutants, one after the other. */
extern int ex_mutant;
#define WN_MUTANT_ID ex_mutant

/* ---- Atomic accesses ---------------------------------------------------------------------------------------------- */

enum ex_rmw { EX_XCHG, EX_ADD, EX_OR, EX_AND };

uint64_t ex_load(const volatile void *p, unsigned size, const char *where);
void     ex_store(volatile void *p, unsigned size, uint64_t value, int order, const char *where);
uint64_t ex_rmw(volatile void *p, unsigned size, enum ex_rmw what, uint64_t value, const char *where);
bool     ex_cas(volatile void *p, unsigned size, void *expected, uint64_t desired, const char *where);
void     ex_fence(const char *where);

#define EX_TEXT_(x) #x
#define EX_TEXT(x)  EX_TEXT_(x)
#define EX_WHERE    __FILE__ ":" EX_TEXT(__LINE__)

#define EX_RMW(p, what, v) ((__typeof__(*(p)))ex_rmw((p), sizeof *(p), (what), (uint64_t)(v), EX_WHERE))

#define __atomic_load_n(p, order)         ((__typeof__(*(p)))ex_load((p), sizeof *(p), EX_WHERE))
#define __atomic_store_n(p, v, order)     ex_store((p), sizeof *(p), (uint64_t)(v), (order), EX_WHERE)
#define __atomic_exchange_n(p, v, order)  EX_RMW(p, EX_XCHG, v)
#define __atomic_fetch_add(p, v, order)   EX_RMW(p, EX_ADD, v)
#define __atomic_fetch_or(p, v, order)    EX_RMW(p, EX_OR, v)
#define __atomic_fetch_and(p, v, order)   EX_RMW(p, EX_AND, v)
#define __atomic_thread_fence(order)      ex_fence(EX_WHERE)
/* <stdatomic.h> has these */
#define __atomic_load(p, out, order)          (*(out) = (__typeof__(*(out)))ex_load((p), sizeof *(p), EX_WHERE))
#define __atomic_store(p, v, order)           ex_store((p), sizeof *(p), (uint64_t)*(v), (order), EX_WHERE)
#define __atomic_exchange(p, v, out, order)   (*(out) = (__typeof__(*(out)))EX_RMW(p, EX_XCHG, *(v)))
#define __atomic_compare_exchange(p, expected, desired, weak, success, failure) \
    ex_cas((p), sizeof *(p), (expected), (uint64_t)*(desired), EX_WHERE)
#define __atomic_compare_exchange_n(p, expected, desired, weak, success, failure) \
    ex_cas((p), sizeof *(p), (expected), (uint64_t)(desired), EX_WHERE)

/* ---- Calls that wait, or tell the time, or one run from another --------------------------------------------------- */

int     ex_nanosleep(const struct timespec *time, struct timespec *left);
int     ex_clock_gettime(clockid_t clock, struct timespec *out);
int     ex_sched_yield(void);
long    ex_syscall(long number, ...);
char   *ex_getenv(const char *name);
ssize_t ex_getrandom(void *bytes, size_t size, unsigned flags);
int     ex_fprintf(FILE *file, const char *format, ...) __attribute__((format(printf, 2, 3)));
int     ex_atexit(void (*fn)(void));
_Noreturn void ex_abort(void);

int       ex_pthread_create(pthread_t *id, const pthread_attr_t *attr, void *(*fn)(void *), void *arg);
int       ex_pthread_join(pthread_t id, void **result);
int       ex_pthread_timedjoin_np(pthread_t id, void **result, const struct timespec *end);
pthread_t ex_pthread_self(void);
int       ex_pthread_setname_np(pthread_t id, const char *name);
int       ex_pthread_atfork(void (*prepare)(void), void (*parent)(void), void (*child)(void));
int       ex_pthread_once(pthread_once_t *once, void (*fn)(void));
int       ex_pthread_key_create(pthread_key_t *key, void (*destructor)(void *));
int       ex_pthread_setspecific(pthread_key_t key, const void *value);
void     *ex_pthread_getspecific(pthread_key_t key);
int       ex_pthread_mutex_init(pthread_mutex_t *mutex, const pthread_mutexattr_t *attr);
int       ex_pthread_mutex_destroy(pthread_mutex_t *mutex);
int       ex_pthread_mutex_lock(pthread_mutex_t *mutex);
int       ex_pthread_mutex_trylock(pthread_mutex_t *mutex);
int       ex_pthread_mutex_timedlock(pthread_mutex_t *mutex, const struct timespec *end);
int       ex_pthread_mutex_unlock(pthread_mutex_t *mutex);

#define unshare ex_unshare /* the sources have a function of this name, and not what _GNU_SOURCE declares */

#ifndef EX_RUNTIME /* the scheduler itself has the C library's */
#define nanosleep             ex_nanosleep
#define clock_gettime         ex_clock_gettime
#define sched_yield           ex_sched_yield
#define syscall               ex_syscall
#define getenv                ex_getenv
#define getrandom             ex_getrandom
#define fprintf               ex_fprintf
#define atexit                ex_atexit
#define abort                 ex_abort
#define pthread_create        ex_pthread_create
#define pthread_join          ex_pthread_join
#define pthread_timedjoin_np  ex_pthread_timedjoin_np
#define pthread_self          ex_pthread_self
#define pthread_setname_np    ex_pthread_setname_np
#define pthread_atfork        ex_pthread_atfork
#define pthread_once          ex_pthread_once
#define pthread_key_create    ex_pthread_key_create
#define pthread_setspecific   ex_pthread_setspecific
#define pthread_getspecific   ex_pthread_getspecific
#define pthread_mutex_init    ex_pthread_mutex_init
#define pthread_mutex_destroy ex_pthread_mutex_destroy
#define pthread_mutex_lock    ex_pthread_mutex_lock
#define pthread_mutex_trylock ex_pthread_mutex_trylock
#define pthread_mutex_timedlock ex_pthread_mutex_timedlock
#define pthread_mutex_clocklock(mutex, clock, end) ex_pthread_mutex_timedlock(mutex, end) /* there is one time */
#define pthread_clockjoin_np(id, result, clock, end) ex_pthread_timedjoin_np(id, result, end)
#define pthread_mutex_unlock  ex_pthread_mutex_unlock
#endif

#endif
