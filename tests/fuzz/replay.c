/* SPDX-License-Identifier: MIT
 *
 * replay.c - run an entry on each file of a directory, or on the files named
 */
#include "fuzz.h"

#include <dirent.h>
#include <stdio.h>
#include <sys/stat.h>

static uint8_t bytes[1 << 16];

static int
run_file(const char *name)
{
    FILE  *file = fopen(name, "r");
    size_t size;

    if (!file) {
        perror(name);
        return 1;
    }
    fprintf(stderr, "%s\n", name);
    size = fread(bytes, 1, sizeof bytes, file);
    fclose(file);
    return LLVMFuzzerTestOneInput(bytes, size);
}

/* Returns how many files there were, or -1. */
static int
run_directory(const char *name)
{
    DIR           *directory = opendir(name);
    struct dirent *entry;
    char           path[4096];
    int            files = 0;

    while (directory && (entry = readdir(directory))) {
        if (entry->d_name[0] == '.')
            continue;
        snprintf(path, sizeof path, "%s/%s", name, entry->d_name);
        if (run_file(path) != 0)
            return -1;
        files++;
    }
    if (directory)
        closedir(directory);
    return files;
}

int
main(int argc, char **argv)
{
    int files = 0;

    for (int i = 1; i < argc; i++) {
        struct stat s;
        int         n = 1;

        if (stat(argv[i], &s) == 0 && S_ISDIR(s.st_mode))
            n = run_directory(argv[i]);
        else if (run_file(argv[i]) != 0)
            n = -1;
        if (n < 0)
            return 1;
        files += n;
    }
    printf("%d files\n", files);
    return files == 0;
}
