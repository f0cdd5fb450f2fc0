/* SPDX-License-Identifier: MIT
 *
 * fast.c - the out-of-line twins of the inline functions, for other languages and for -O0 callers
 */
#include <wane/wane.h>

extern void  wane_enter(void);
extern void  wane_leave(void);
extern void *wane_retain(void *object);
extern void  wane_release(void *object);
extern void *wane_untag(const void *pointer);
extern unsigned wane_tag_of(const void *pointer);
extern void *wane_tag(const void *pointer, unsigned bits);
extern void *wane_peek_tagged(const wane_slot *slot);
extern void *wane_peek(const wane_slot *slot);
extern void  wane_release_at(void *variable);
extern void *wane_steal(void *variable);
extern void  wane_checkpoint(void);
extern int   wane_section_begin(void);
extern int   wane_section_step(void);
extern void  wane_section_end(int *unused);
