/* SPDX-License-Identifier: MIT
 *
 * text.h - text that is gathered in memory and written to a descriptor
 *
 * Errors stay: after the first one nothing is added or written, and text_flush says what it was.
 */
#ifndef WN_TEXT_H
#define WN_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct wn_text {
    int    fd;
    int    error; /* 0 or -errno */
    size_t used, room;
    char  *data;
};

#define WN_TEXT_FULL 65536 /* flush now, if possible */

void wn_text_init(struct wn_text *text, int fd);
void wn_text_add(struct wn_text *text, const char *data, size_t bytes);
void wn_text_string(struct wn_text *text, const char *string);
void wn_text_number(struct wn_text *text, uint64_t number);
void wn_text_print(struct wn_text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));
void wn_text_json(struct wn_text *text, const char *string); /* in quotes, escaped; what is no UTF-8 becomes U+FFFD */
int  wn_text_flush(struct wn_text *text);                    /* 0 or -errno */
int  wn_text_done(struct wn_text *text);                     /* flushed, and its memory freed */

/* A nameless file in $TMPDIR or /tmp; -errno. */
int wn_text_spool(void);

/* Append all that is in the file to the text, through its descriptor. */
void wn_text_copy(struct wn_text *text, int from);

#endif
