/* SPDX-License-Identifier: MIT
 *
 * page.h - the statistics in shared memory, for programs outside (tools/wane-top)
 *
 * A file that is mapped: a head, then the text of wane_stats_json_write. The background writes it anew four times a second, and
 * nobody else does, so mutators pay nothing. A sequence number guards it: odd while it is written; a reader copies the text
 * between two looks at it, and takes what he has if both are the same and even.
 *
 *     bytes  0  "wanepage"
 *            8  u32 version: 1                   12  u32 bytes of the head: 64
 *           16  u32 process                      20  u32 sequence
 *           24  u32 bytes of text                28  u32 room for text
 *           32  u64 CLOCK_BOOTTIME when it was made: a process that began later is another one with the same number
 *           40  u64 CLOCK_BOOTTIME of the text   48  u64 nanoseconds from one text to the next
 *           64  the text
 *
 * A program that is killed leaves the file; the next one of the same path replaces it. A forked child does not write to its
 * parent's page; if that has no path of its own, the child's background makes one for the child.
 */
#ifndef WN_PAGE_H
#define WN_PAGE_H

#include <stdint.h>

void wn_page_init(void); /* the background exists; WANE_PAGE */
void wn_page_forked(void);
void wn_page_exit(void); /* the file goes; also while somebody writes */

/* From the background or a step, outside sections: write if it is time. Returns nanoseconds to the next time; 0: no page. */
uint64_t wn_page_attend(void);

#endif
