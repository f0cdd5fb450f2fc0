/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE /* secure_getenv */
#include "text.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "memory.h"
#include "spill.h"

void
wn_text_init(struct wn_text *text, int fd)
{
    *text = (struct wn_text){.fd = fd};
}

static bool
have_room(struct wn_text *text, size_t bytes)
{
    size_t room = text->room ? text->room : (size_t)2 * WN_TEXT_FULL;
    char  *data;

    if (text->error)
        return false;
    if (text->used + bytes <= text->room)
        return true;
    while (room < text->used + bytes)
        room *= 2;
    data = wn_realloc(text->data, room);
    if (!data) {
        text->error = -ENOMEM;
        return false;
    }
    text->data = data;
    text->room = room;
    return true;
}

void
wn_text_add(struct wn_text *text, const char *data, size_t bytes)
{
    if (!bytes || !have_room(text, bytes))
        return;
    memcpy(text->data + text->used, data, bytes);
    text->used += bytes;
}

void
wn_text_string(struct wn_text *text, const char *string)
{
    wn_text_add(text, string, strlen(string));
}

void
wn_text_number(struct wn_text *text, uint64_t number)
{
    char  digits[20];
    char *p = digits + sizeof digits;

    do
        *--p = (char)('0' + number % 10);
    while (number /= 10);
    wn_text_add(text, p, (size_t)(digits + sizeof digits - p));
}

void
wn_text_print(struct wn_text *text, const char *format, ...)
{
    va_list list;
    int     n;

    va_start(list, format);
    n = vsnprintf(NULL, 0, format, list);
    va_end(list);
    if (n < 0 || !have_room(text, (size_t)n + 1))
        return;
    va_start(list, format);
    vsnprintf(text->data + text->used, (size_t)n + 1, format, list);
    va_end(list);
    text->used += (size_t)n;
}

/* Bytes of the UTF-8 sequence at s; 0: it is none. */
static size_t
sequence(const unsigned char *s)
{
    size_t n = s[0] < 0x80 ? 1 : s[0] < 0xC2 ? 0 : s[0] < 0xE0 ? 2 : s[0] < 0xF0 ? 3 : s[0] < 0xF5 ? 4 : 0;

    for (size_t i = 1; i < n; i++)
        if ((s[i] & 0xC0) != 0x80)
            return 0;
    if ((s[0] == 0xE0 && s[1] < 0xA0) || (s[0] == 0xED && s[1] >= 0xA0) || (s[0] == 0xF0 && s[1] < 0x90) ||
        (s[0] == 0xF4 && s[1] >= 0x90))
        return 0;
    return n;
}

void
wn_text_json(struct wn_text *text, const char *string)
{
    const unsigned char *s = (const unsigned char *)string;

    wn_text_string(text, "\"");
    while (*s) {
        size_t n = sequence(s);

        if (*s == '"' || *s == '\\')
            wn_text_print(text, "\\%c", *s);
        else if (*s < 0x20)
            wn_text_print(text, "\\u%04x", *s);
        else if (!n)
            wn_text_string(text, "\\ufffd");
        else
            wn_text_add(text, (const char *)s, n);
        s += n ? n : 1;
    }
    wn_text_string(text, "\"");
}

int
wn_text_flush(struct wn_text *text)
{
    size_t done = 0;

    while (done < text->used && !text->error) {
        ssize_t n = write(text->fd, text->data + done, text->used - done);

        if (n >= 0)
            done += (size_t)n;
        else if (errno != EINTR)
            text->error = -errno;
    }
    text->used = 0;
    return text->error;
}

int
wn_text_done(struct wn_text *text)
{
    int rc = wn_text_flush(text);

    wn_free(text->data);
    text->data = NULL;
    text->room = 0;
    return rc;
}

int
wn_text_spool(void)
{
    const char *directory = secure_getenv("TMPDIR");
    int         fd = wn_open_nameless(directory && *directory ? directory : "/tmp");

    return fd < 0 ? -errno : fd;
}

void
wn_text_copy(struct wn_text *text, int from)
{
    off_t   at = 0;
    ssize_t n;

    while (!wn_text_flush(text) && have_room(text, WN_TEXT_FULL)) {
        n = pread(from, text->data, WN_TEXT_FULL, at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            text->error = -errno;
        if (n <= 0)
            return;
        text->used = (size_t)n;
        at += n;
    }
}
