/* SPDX-License-Identifier: MIT
 *
 * input.h - where package metadata comes from: files, plain or compressed, read line by line
 */
#ifndef DEPGRAPH_INPUT_H
#define DEPGRAPH_INPUT_H

#include "fault.h"

#include <stddef.h>
#include <stdio.h>
#include <sys/types.h>

struct input {
    const char   *file;
    FILE         *stream;
    pid_t         child; /* what decompresses, or 0 */
    char         *text;  /* the line, without its newline */
    size_t        length, capacity;
    unsigned long line;  /* its number, from 1 */
};

int  input_open(struct input *in, const char *file, struct fault *fault);
int  input_line(struct input *in, struct fault *fault); /* 1: there is one, 0: the end, -1: fault */
int  input_close(struct input *in, struct fault *fault);

/* The files read when none is named: apt's indexes, or else dpkg's status file. */
struct file_list {
    char **at;
    size_t count, capacity;
};

void input_default(struct file_list *list);
void input_one(struct file_list *list, const char *file);
void input_free(struct file_list *list);

#endif
