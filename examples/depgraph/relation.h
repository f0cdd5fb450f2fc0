/* SPDX-License-Identifier: MIT
 *
 * relation.h - the syntax of dependency fields, and the order of versions
 */
#ifndef DEPGRAPH_RELATION_H
#define DEPGRAPH_RELATION_H

#include <stdbool.h>
#include <stddef.h>

/* One alternative: a package name; `first` says that it opens a clause. Constraints are checked and skipped. */
struct relation {
    const char *name;
    size_t      length;
    bool        first;
};

struct relations {
    const char *at;
    bool        inside; /* after a `|` */
};

int relation_next(struct relations *from, struct relation *out, const char **reason); /* 1, 0: end, -1: reason */
int version_compare(const char *a, const char *b);
bool package_name_ok(const char *name, size_t length);

#endif
