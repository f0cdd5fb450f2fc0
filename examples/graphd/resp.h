/* SPDX-License-Identifier: MIT
 *
 * resp.h - bytes of a connection as requests: RESP2 arrays of bulk strings, and inline commands
 *
 * The parser owns no bytes and reads no socket, so that it can be fuzzed (tests/fuzz/fuzz_resp.c). It remembers where it stopped:
 * bytes that come one by one cost no more than those that come at once.
 */
#ifndef RESP_H
#define RESP_H

#include <stddef.h>

#define RESP_ARGUMENTS 65536u               /* most arguments of a request (Redis: 1,048,576) */
#define RESP_BULK ((size_t)32 << 20)        /* most bytes of an argument (Redis: 512 MB) */
#define RESP_REQUEST ((size_t)64 << 20)     /* most bytes of a request (Redis: 1 GB) */
#define RESP_LINE ((size_t)64 << 10)        /* most bytes of a line, as in Redis */

struct bytes {
    char  *at;
    size_t size;
};

enum resp_result {
    RESP_MORE,    /* the request is not complete */
    RESP_REQUEST_READ,
    RESP_NOTHING, /* an empty request, to be skipped */
    RESP_BAD      /* error says what; the connection cannot go on */
};

struct resp {
    size_t        used;     /* bytes of the request read so far; after RESP_REQUEST_READ and RESP_NOTHING: all of its bytes */
    size_t        argc;
    struct bytes *argv;     /* valid after RESP_REQUEST_READ, until the buffer changes */
    size_t       *offset;   /* where arguments begin, while the buffer may still move */
    size_t        capacity; /* of argv and offset */
    size_t        missing;  /* arguments still to come; 0: the request has not begun */
    long long     bulk;     /* bytes of the argument that comes; -1: its length comes first */
    char          error[64];
};

/* Begin the next request (argv is kept and used again). */
void resp_next(struct resp *r);

/* Go on with the request that begins at `buffer`, of which `size` bytes are there. May write to the buffer. */
enum resp_result resp_read(struct resp *r, char *buffer, size_t size);

/* How many bytes of this request are known to be missing: a hint for the size of the next read. */
size_t resp_wanted(const struct resp *r, size_t size);

void resp_free(struct resp *r);

#endif
