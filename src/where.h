/* SPDX-License-Identifier: MIT
 *
 * where.h - where a thread of this process is, in words: from /proc, and, where the program lends a signal, from its own stack
 *
 * The signal is the program's choice: system calls of the thread that cannot be restarted end with EINTR. One question at a time:
 *
 *     asker    FREE -> ASKED (for a thread), signal; waits a second; ASKED -> FREE again, or: ANSWERED, read, -> FREE
 *     handler  in the thread that is meant: ASKED -> BUSY, stack written, -> ANSWERED
 *
 * A handler that comes late finds nothing asked. backtrace() was called once before, so that it loads nothing; with the
 * unwinder of gcc 12 and glibc 2.35 or later it takes no lock. A handler that does not come to an end blocks later questions,
 * nothing else.
 */
#ifndef WN_WHERE_H
#define WN_WHERE_H

#include "text.h"

/* Lines, indented by two. Outside sections. */
void wn_where_add(struct wn_text *text, uint32_t tid);

void wn_where_init(void); /* WANE_STALL_SIGNAL */
void wn_where_forked(void);

#endif
