/* SPDX-License-Identifier: MIT
 *
 * fault.h - what is wrong with an input, and where
 */
#ifndef DEPGRAPH_FAULT_H
#define DEPGRAPH_FAULT_H

struct fault {
    char text[1024]; /* FILE:LINE: reason */
};

/* Returns -1, so that a function can end with it. */
int fault_at(struct fault *fault, const char *file, unsigned long line, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

#endif
