/* SPDX-License-Identifier: MIT
 *
 * parse.h - Debian's control format, from a file into the universe
 */
#ifndef DEPGRAPH_PARSE_H
#define DEPGRAPH_PARSE_H

#include "fault.h"
#include "universe.h"

/* 0, or -1 with the fault; what was read before stays in the universe. */
int parse_file(struct universe *u, const char *file, struct fault *fault);

#endif
