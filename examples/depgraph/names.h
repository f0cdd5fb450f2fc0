/* SPDX-License-Identifier: MIT
 *
 * names.h - strings kept once, and numbered
 */
#ifndef DEPGRAPH_NAMES_H
#define DEPGRAPH_NAMES_H

#include "need.h"

struct names {
    const char **text; /* by number */
    size_t       count, capacity;
    uint32_t    *slots; /* open addressing: number + 1, or 0 */
    size_t       slot_count;
    struct block *blocks;
};

uint32_t names_add(struct names *names, const char *text, size_t length); /* the number, old or new */
const char *names_keep(struct names *names, const char *text, size_t length); /* a copy, not numbered */
void     names_free(struct names *names);

#endif
