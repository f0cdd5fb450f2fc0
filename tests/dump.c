/* SPDX-License-Identifier: MIT
 *
 * dump.c - in the build that measures coverage: what ends by abort or _exit, as children of tests do, counts too
 */
#include <stdlib.h>
#include <unistd.h>

void           __gcov_dump(void);
_Noreturn void __real_abort(void);
_Noreturn void __wrap_abort(void);
_Noreturn void __real__exit(int status);
_Noreturn void __wrap__exit(int status);

_Noreturn void
__wrap_abort(void)
{
    __gcov_dump();
    __real_abort();
}

_Noreturn void
__wrap__exit(int status)
{
    __gcov_dump();
    __real__exit(status);
}
