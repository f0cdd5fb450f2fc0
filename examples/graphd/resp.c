/* SPDX-License-Identifier: MIT
 *
 * resp.c - the parser. A request is "*N\r\n" and N times "$LENGTH\r\n", bytes, "\r\n"; or one line of words, as people type them.
 *
 * Lengths are believed only as far as bytes have come: nothing is allocated for what is merely announced, but the table of
 * arguments, and that grows with them.
 */
#include "resp.h"

#include <ctype.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void
resp_next(struct resp *r)
{
    r->used = r->argc = r->missing = 0;
    r->bulk = -1;
}

void
resp_free(struct resp *r)
{
    free(r->argv);
    free(r->offset);
    r->argv = NULL;
    r->offset = NULL;
    r->capacity = 0;
}

static enum resp_result
bad(struct resp *r, const char *what)
{
    snprintf(r->error, sizeof r->error, "Protocol error: %s", what);
    return RESP_BAD;
}

static bool
add(struct resp *r, size_t offset, size_t size)
{
    if (r->argc == r->capacity) {
        size_t        capacity = r->capacity ? 2 * r->capacity : 8;
        struct bytes *argv = realloc(r->argv, capacity * sizeof *argv);
        size_t       *offsets;

        if (!argv)
            return false;
        r->argv = argv;
        offsets = realloc(r->offset, capacity * sizeof *offsets);
        if (!offsets)
            return false;
        r->offset = offsets;
        r->capacity = capacity;
    }
    r->offset[r->argc] = offset;
    r->argv[r->argc++].size = size;
    return true;
}

static enum resp_result
done(struct resp *r, char *buffer)
{
    if (r->argc == 0)
        return RESP_NOTHING;
    for (size_t i = 0; i < r->argc; i++)
        r->argv[i].at = buffer + r->offset[i];
    return RESP_REQUEST_READ;
}

/* The number between two places, digits and a minus only. */
static bool
number(const char *at, const char *end, long long *out)
{
    bool      negative = at < end && *at == '-';
    long long value = 0;

    at += negative;
    if (at == end || end - at > 12)
        return false;
    for (; at < end; at++) {
        if (!isdigit((unsigned char)*at))
            return false;
        value = 10 * value + (*at - '0');
    }
    *out = negative ? -value : value;
    return true;
}

/* ---- Inline commands ------------------------------------------------------------------------------------------------ */

static int
hex(char c)
{
    return isdigit((unsigned char)c) ? c - '0' : tolower((unsigned char)c) - 'a' + 10;
}

/* One escape behind the backslash in a double-quoted word. */
static char
escaped(const char **from, const char *end)
{
    const char *at = *from;
    char        c = *at;

    if (c == 'x' && end - at > 2 && isxdigit((unsigned char)at[1]) && isxdigit((unsigned char)at[2])) {
        *from = at + 3;
        return (char)(hex(at[1]) << 4 | hex(at[2]));
    }
    *from = at + 1;
    switch (c) {
    case 'n': return '\n';
    case 'r': return '\r';
    case 't': return '\t';
    case 'b': return '\b';
    case 'a': return '\a';
    default: return c;
    }
}

/* A word, decoded in place: what comes out is never longer than what went in. False: quotes do not match. */
static bool
word(const char **from, const char *end, char **to)
{
    const char *at = *from;
    char       *out = *to, quote;

    while (at < end && !isspace((unsigned char)*at)) {
        if (*at != '"' && *at != '\'') {
            *out++ = *at++;
            continue;
        }
        quote = *at++;
        while (at < end && *at != quote) {
            if (*at == '\\' && at + 1 < end && (quote == '"' || at[1] == '\'')) {
                at++;
                *out++ = escaped(&at, end);
            } else {
                *out++ = *at++;
            }
        }
        if (at == end || (at + 1 < end && !isspace((unsigned char)at[1])))
            return false;
        at++;
    }
    *from = at;
    *to = out;
    return true;
}

static enum resp_result
read_inline(struct resp *r, char *buffer, size_t size)
{
    char       *newline = memchr(buffer + r->used, '\n', size - r->used), *out = buffer, *begin;
    const char *at = buffer, *end = newline;

    if (!newline) {
        r->used = size;
        return size > RESP_LINE ? bad(r, "too big inline request") : RESP_MORE;
    }
    if ((size_t)(newline - buffer) > RESP_LINE)
        return bad(r, "too big inline request");
    r->used = (size_t)(newline - buffer) + 1;
    for (;;) {
        while (at < end && isspace((unsigned char)*at))
            at++;
        if (at == end)
            return done(r, buffer);
        begin = out;
        if (!word(&at, end, &out))
            return bad(r, "unbalanced quotes in request");
        if (r->argc == RESP_ARGUMENTS || !add(r, (size_t)(begin - buffer), (size_t)(out - begin)))
            return bad(r, "too many arguments");
    }
}

/* ---- Arrays ------------------------------------------------------------------------------------------------------------ */

static const struct limit {
    long long   most;
    const char *too_long, *invalid;
} arrays = {RESP_ARGUMENTS, "too big mbulk count string", "invalid multibulk length"},
  bulks = {(long long)RESP_BULK, "too big bulk count string", "invalid bulk length"};

/* A line "XNUMBER\r\n" at r->used: consumed, if it is there and within limits. */
static enum resp_result
read_length(struct resp *r, const char *buffer, size_t size, const struct limit *limit, long long *out)
{
    const char *at = buffer + r->used, *end = memchr(at, '\r', size - r->used);

    if (!end || end + 1 == buffer + size)
        return size - r->used <= RESP_LINE ? RESP_MORE : bad(r, limit->too_long);
    if (end[1] != '\n' || !number(at + 1, end, out) || *out > limit->most)
        return bad(r, limit->invalid);
    r->used = (size_t)(end - buffer) + 2;
    return RESP_REQUEST_READ;
}

static enum resp_result
read_argument(struct resp *r, char *buffer, size_t size)
{
    enum resp_result result;
    char             text[48];

    if (r->bulk < 0) {
        if (r->used == size)
            return RESP_MORE;
        if (buffer[r->used] != '$') {
            char got = isprint((unsigned char)buffer[r->used]) ? buffer[r->used] : '?';

            snprintf(text, sizeof text, "expected '$', got '%c'", got);
            return bad(r, text);
        }
        result = read_length(r, buffer, size, &bulks, &r->bulk);
        if (result != RESP_REQUEST_READ)
            return result;
        if (r->bulk < 0)
            return bad(r, "invalid bulk length");
        if (r->used + (size_t)r->bulk + 2 > RESP_REQUEST)
            return bad(r, "too big request");
    }
    if (size - r->used < (size_t)r->bulk + 2)
        return RESP_MORE;
    if (memcmp(buffer + r->used + r->bulk, "\r\n", 2) != 0)
        return bad(r, "invalid bulk length");
    if (!add(r, r->used, (size_t)r->bulk))
        return bad(r, "out of memory");
    r->used += (size_t)r->bulk + 2;
    r->bulk = -1;
    r->missing--;
    return RESP_REQUEST_READ;
}

enum resp_result
resp_read(struct resp *r, char *buffer, size_t size)
{
    enum resp_result result;
    long long        count;

    if (size == 0)
        return RESP_MORE;
    if (r->missing == 0) {
        if (buffer[0] != '*')
            return read_inline(r, buffer, size);
        result = read_length(r, buffer, size, &arrays, &count);
        if (result != RESP_REQUEST_READ)
            return result;
        if (count <= 0)
            return RESP_NOTHING;
        r->missing = (size_t)count;
    }
    while (r->missing > 0) {
        result = read_argument(r, buffer, size);
        if (result != RESP_REQUEST_READ)
            return result;
    }
    return done(r, buffer);
}

size_t
resp_wanted(const struct resp *r, size_t size)
{
    size_t whole = r->bulk >= 0 ? r->used + (size_t)r->bulk + 2 : 0;

    return whole > size ? whole - size : 0;
}
