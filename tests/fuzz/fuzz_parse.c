/* SPDX-License-Identifier: MIT
 *
 * fuzz_parse.c - bytes as package metadata: read, or refused with a reason that names the line; the same each time
 */
#define _GNU_SOURCE /* memfd_create */
#include "fuzz.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "parse.h"

static void
require(bool what)
{
    if (!what)
        abort();
}

/* What has been read refers to what has been read. */
static void
check(const struct universe *u)
{
    for (size_t i = 0; i < u->entry_count; i++) {
        const struct entry *e = &u->entries[i];

        require(e->name < u->names.count && u->entry_of.at[e->name] == i);
        for (uint32_t c = e->first_clause; c < e->first_clause + e->clauses; c++)
            for (uint32_t a = 0; a < universe_alternatives(u, c); a++)
                require(universe_clause(u, c)[a] < u->names.count);
        for (uint32_t k = e->first_provided; k < e->first_provided + e->provides; k++)
            require(u->provided.at[k] < u->names.count);
    }
}

/* Returns how many entries there are, or -1: refused. */
static long
parse(const uint8_t *bytes, size_t size)
{
    struct universe u = {0};
    struct fault    fault = {.text = ""};
    char            file[64];
    int             fd = memfd_create("packages", MFD_CLOEXEC), rc;
    long            entries;

    require(fd >= 0 && write(fd, bytes, size) == (ssize_t)size);
    snprintf(file, sizeof file, "/proc/self/fd/%d", fd);
    rc = parse_file(&u, file, &fault);
    require(rc == 0 ? fault.text[0] == '\0' : strncmp(fault.text, file, strlen(file)) == 0);
    universe_finish(&u);
    if (rc == 0)
        check(&u);
    entries = rc == 0 ? (long)u.entry_count : -1;
    universe_free(&u);
    close(fd);
    return entries;
}

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    static uint8_t longer[1 << 16];
    long           entries = parse(bytes, size);

    if (size + 2 > sizeof longer)
        return 0;
    if (size)
        memcpy(longer, bytes, size);
    memcpy(longer + size, "\n\n", 2);
    require(parse(longer, size + 2) == entries); /* the end of a file ends a stanza, as an empty line does */
    return 0;
}
