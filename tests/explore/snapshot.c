/* SPDX-License-Identifier: MIT
 *
 * snapshot.c - all static data, as it was when the program began
 *
 * The data segment is mapped anew as a private copy of a file with its content; to forget what was written there since is one
 * call, and costs what was written.
 */
#include "explore.h"

#include <sys/mman.h>

extern char __data_start[], _end[];

static uintptr_t
begin(void)
{
    return (uintptr_t)__data_start & ~(uintptr_t)4095;
}

static size_t
length(void)
{
    return (((uintptr_t)_end + 4095) & ~(uintptr_t)4095) - begin();
}

void
ex_snapshot_take(void)
{
    int    fd = memfd_create("snapshot", MFD_CLOEXEC);
    size_t done = 0;

    while (fd >= 0 && done < length()) {
        ssize_t n = write(fd, (char *)begin() + done, length() - done);

        if (n <= 0)
            break;
        done += (size_t)n;
    }
    if (fd < 0 || done < length() ||
        mmap((void *)begin(), length(), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED, fd, 0) == MAP_FAILED) {
        perror("explore: snapshot");
        exit(2);
    }
}

void
ex_snapshot_restore(void)
{
    madvise((void *)begin(), length(), MADV_DONTNEED);
}
