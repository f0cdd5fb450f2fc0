/* SPDX-License-Identifier: MIT
 *
 * reply.h - what a connection is still to be sent: text of its own, and between it bytes that lie in shared values
 */
#ifndef REPLY_H
#define REPLY_H

#include <stdbool.h>

#include "heap.h"

#define REPLY_COPIED 1024 /* bytes; smaller values are copied */

struct piece {
    size_t      before; /* bytes of text that go before it */
    const char *bytes;
    size_t      size;
    struct loan loan;
};

struct reply {
    char         *text;
    size_t        used, capacity;
    struct piece *pieces; /* in a heap_room */
    size_t        count, room;
    size_t        lent;   /* bytes in pieces */
    size_t        sent;   /* of text and pieces */
    bool          broken; /* no memory: the connection has to be closed */
};

void reply_status(struct reply *r, const char *text);
void reply_error(struct reply *r, const char *format, ...) __attribute__((format(printf, 2, 3)));
void reply_integer(struct reply *r, long long n);
void reply_bulk(struct reply *r, const char *bytes, size_t size);
void reply_text(struct reply *r, const char *text);
void reply_nil(struct reply *r);
void reply_array(struct reply *r, size_t count);

/* The bytes of a text; the loan is the reply's from now on. */
void reply_value(struct reply *r, struct loan *loan);

/* An array whose length is known only afterwards. */
size_t reply_begin(struct reply *r);
void   reply_end(struct reply *r, size_t begin, size_t count);

/* Put a string in, before what came since reply_begin. */
void reply_insert(struct reply *r, size_t begin, const char *text);

/* Bytes that wait. */
size_t reply_waiting(const struct reply *r);

/* Write what the socket takes. 0: all of it; 1: some is left; -1: the connection is gone. */
int reply_write(struct reply *r, int fd);

/* Loans outlast heap_leave from here on. */
void reply_keep(struct reply *r);

void reply_free(struct reply *r);

#endif
