/* SPDX-License-Identifier: MIT
 *
 * version.h - which wane a program was compiled for, and which one it runs with
 *
 * Included by wane.h. Versions are semantic (docs/versions.md). What fast.h inlines is a binary interface: WANE_ABI is its
 * number, and a program asks for its number before main.
 */
#ifndef WANE_VERSION_H
#define WANE_VERSION_H

#include <stdint.h>

#if UINTPTR_MAX != UINT64_MAX
#error "wane needs 64 bits: the header of an object, a slot and a pointer are 8-byte words (-m32 and x32 are not supported)"
#endif

#define WANE_VERSION_MAJOR 0
#define WANE_VERSION_MINOR 1
#define WANE_VERSION_PATCH 0

/* For comparisons: #if WANE_VERSION >= WANE_VERSION_NUMBER(0, 2, 0) */
#define WANE_VERSION_NUMBER(major, minor, patch) ((major) * 1000000 + (minor) * 1000 + (patch))
#define WANE_VERSION WANE_VERSION_NUMBER(WANE_VERSION_MAJOR, WANE_VERSION_MINOR, WANE_VERSION_PATCH)

#define WANE_ABI 1 /* of the header, the record's head, the thread-local word, and the types that programs fill in */

#ifdef WANE_INSIDE /* the library itself */
#define WANE_WEAK
#else
#define WANE_WEAK __attribute__((weak)) /* a program that loads the library with dlopen is not linked with it */
#endif

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

/**
 * wane_version - the version of the library that is loaded
 *
 * Returns   as WANE_VERSION, which is the version compiled against
 * Threads   any
 * Progress  wait-free
 */
int wane_version(void);

/**
 * wane_need_abi - refuse to go on with another binary interface; called before main by whatever includes wane.h
 *
 * @abi      WANE_ABI, as the program was compiled
 * Errors    aborts with a message that names both numbers, when the library has another one
 * Threads   any
 * Progress  wait-free
 */
void wane_need_abi(int abi) WANE_WEAK;

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif

#ifndef WANE_INSIDE
__attribute__((constructor, unused)) static void
wane_handshake(void)
{
    if (wane_need_abi)
        wane_need_abi(WANE_ABI);
}
#endif

#endif
