/* SPDX-License-Identifier: MIT
 *
 * reply.c - replies are gathered for a batch of requests and written by one writev
 *
 * A value of REPLY_COPIED bytes or more is not copied: the reply notes where it goes, and the kernel reads the bytes out of the
 * shared value. Below that a copy is cheaper than one more entry of the vector. While the batch's section is open the value is
 * only borrowed; what the socket does not take before the section ends is kept by a reference (reply_keep), until it is written.
 */
#include "reply.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>

#define VECTOR 64    /* entries given to one writev */
#define IDLE 16384   /* bytes of text that a connection keeps when nothing waits */

static char *
room(struct reply *r, size_t size)
{
    if (r->capacity - r->used < size) {
        size_t capacity = r->capacity ? r->capacity : 512;
        char  *text;

        while (capacity - r->used < size)
            capacity *= 2;
        text = realloc(r->text, capacity);
        if (!text) {
            r->broken = true;
            return NULL;
        }
        r->text = text;
        r->capacity = capacity;
    }
    return r->text + r->used;
}

static void
append(struct reply *r, const char *bytes, size_t size)
{
    char *at = room(r, size);

    if (at && size) {
        memcpy(at, bytes, size);
        r->used += size;
    }
}

/* "XNUMBER\r\n" in the end of text. */
static char *
header_text(char text[32], char x, long long n)
{
    char              *at = text + 31;
    unsigned long long rest = n < 0 ? 0 - (unsigned long long)n : (unsigned long long)n;

    *at = '\0';
    *--at = '\n';
    *--at = '\r';
    do
        *--at = (char)('0' + rest % 10);
    while (rest /= 10);
    if (n < 0)
        *--at = '-';
    *--at = x;
    return at;
}

static void
header(struct reply *r, char x, long long n)
{
    char        text[32];
    const char *at = header_text(text, x, n);

    append(r, at, (size_t)(text + 31 - at));
}

void
reply_status(struct reply *r, const char *text)
{
    append(r, "+", 1);
    append(r, text, strlen(text));
    append(r, "\r\n", 2);
}

void
reply_error(struct reply *r, const char *format, ...)
{
    char    text[512];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    for (char *c = text; *c; c++)
        if (*c == '\r' || *c == '\n')
            *c = ' ';
    append(r, "-", 1);
    append(r, text, strlen(text));
    append(r, "\r\n", 2);
}

void
reply_integer(struct reply *r, long long n)
{
    header(r, ':', n);
}

void
reply_bulk(struct reply *r, const char *bytes, size_t size)
{
    header(r, '$', (long long)size);
    append(r, bytes, size);
    append(r, "\r\n", 2);
}

void
reply_text(struct reply *r, const char *text)
{
    reply_bulk(r, text, strlen(text));
}

void
reply_nil(struct reply *r)
{
    append(r, "$-1\r\n", 5);
}

void
reply_array(struct reply *r, size_t count)
{
    header(r, '*', (long long)count);
}

static bool
piece_room(struct reply *r)
{
    size_t        more = r->room ? 2 * r->room : 8;
    struct piece *pieces;

    if (r->count < r->room)
        return true;
    pieces = heap_room(more * sizeof *pieces);
    if (!pieces)
        return false;
    if (r->count)
        memcpy(pieces, r->pieces, r->count * sizeof *pieces);
    heap_room_free(r->pieces);
    r->pieces = pieces;
    r->room = more;
    return true;
}

void
reply_value(struct reply *r, struct loan *loan)
{
    size_t      size;
    const char *bytes = text_bytes(loan->value, &size);

    if (size < REPLY_COPIED) {
        reply_bulk(r, bytes, size);
        loan_drop(loan);
        return;
    }
    header(r, '$', (long long)size);
    if (!piece_room(r)) {
        r->broken = true;
        loan_drop(loan);
        return;
    }
    r->pieces[r->count++] = (struct piece){r->used, bytes, size, *loan};
    r->lent += size;
    append(r, "\r\n", 2);
}

size_t
reply_begin(struct reply *r)
{
    return r->used;
}

void
reply_insert(struct reply *r, size_t begin, const char *text)
{
    size_t size = strlen(text), end = r->used;

    append(r, text, size); /* makes room */
    if (r->broken)
        return;
    memmove(r->text + begin + size, r->text + begin, end - begin);
    memcpy(r->text + begin, text, size);
    for (size_t i = r->count; i > 0 && r->pieces[i - 1].before >= begin; i--)
        r->pieces[i - 1].before += size;
}

void
reply_end(struct reply *r, size_t begin, size_t count)
{
    char text[32];

    reply_insert(r, begin, header_text(text, '*', (long long)count));
}

size_t
reply_waiting(const struct reply *r)
{
    return r->used + r->lent - r->sent;
}

/* The next entries of the vector, from byte `sent` on. */
static int
vector(const struct reply *r, struct iovec *v)
{
    size_t skip = r->sent, at = 0;
    int    n = 0;

    for (size_t i = 0; i <= r->count && n + 1 < VECTOR; i++) {
        size_t      end = i < r->count ? r->pieces[i].before : r->used;
        struct iovec part[2] = {{r->text + at, end - at}, {NULL, 0}};

        if (i < r->count)
            part[1] = (struct iovec){(char *)(uintptr_t)r->pieces[i].bytes, r->pieces[i].size};
        for (int k = 0; k < 2; k++) {
            if (skip >= part[k].iov_len) {
                skip -= part[k].iov_len;
                continue;
            }
            v[n++] = (struct iovec){(char *)part[k].iov_base + skip, part[k].iov_len - skip};
            skip = 0;
        }
        at = end;
    }
    return n;
}

static void
clear(struct reply *r)
{
    for (size_t i = 0; i < r->count; i++)
        loan_drop(&r->pieces[i].loan);
    r->used = r->count = r->lent = r->sent = 0;
    if (r->capacity > IDLE) {
        free(r->text);
        r->text = NULL;
        r->capacity = 0;
    }
}

int
reply_write(struct reply *r, int fd)
{
    struct iovec v[VECTOR];

    while (reply_waiting(r) > 0) {
        ssize_t n = writev(fd, v, vector(r, v));

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return errno == EAGAIN || errno == EWOULDBLOCK ? 1 : -1;
        r->sent += (size_t)n;
    }
    clear(r);
    return 0;
}

void
reply_keep(struct reply *r)
{
    for (size_t i = 0; i < r->count; i++)
        loan_keep(&r->pieces[i].loan);
}

void
reply_free(struct reply *r)
{
    clear(r);
    heap_room_free(r->pieces);
    free(r->text);
    *r = (struct reply){0};
}
