/* SPDX-License-Identifier: MIT
 *
 * asan_fork.c - a fork beside threads that allocate, with clang's address sanitizer
 *
 * A C library's malloc is consistent in the child of a fork. The sanitizer's is so only from LLVM 18 on: before, a lock that
 * another thread holds at the fork is held for ever in the child. Linked into every test program, this takes the sanitizer's
 * locks around each fork, last of all who prepare for it and first of all who go on: it is registered before any library is
 * initialised.
 */
#if defined(__clang__) && defined(__has_feature)
#if __has_feature(address_sanitizer) && __clang_major__ < 18
#define FORKS_UNLOCKED 1
#endif
#endif

#ifdef FORKS_UNLOCKED
#include <pthread.h>

#define OF_ASAN(name, symbol) __attribute__((weak)) void name(void) __asm__(symbol)

OF_ASAN(lock_threads, "_ZN6__lsan18LockThreadRegistryEv");
OF_ASAN(unlock_threads, "_ZN6__lsan20UnlockThreadRegistryEv");
OF_ASAN(lock_allocator, "_ZN6__lsan13LockAllocatorEv");
OF_ASAN(unlock_allocator, "_ZN6__lsan15UnlockAllocatorEv");
OF_ASAN(lock_stacks, "_ZN11__sanitizer17StackDepotLockAllEv");
OF_ASAN(unlock_stacks, "_ZN11__sanitizer19StackDepotUnlockAllEv");

static void
before(void)
{
    lock_threads();
    lock_allocator();
    lock_stacks();
}

static void
after(void)
{
    unlock_stacks();
    unlock_allocator();
    unlock_threads();
}

static void
begin(void)
{
    if (lock_threads && unlock_threads && lock_allocator && unlock_allocator && lock_stacks && unlock_stacks)
        (void)pthread_atfork(before, after, after);
}

__attribute__((section(".preinit_array"), used)) static void (*const first)(void) = begin;
#else
typedef int nothing_to_do; /* no file is empty */
#endif
