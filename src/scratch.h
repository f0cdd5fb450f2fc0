/* SPDX-License-Identifier: MIT
 *
 * scratch.h - the collector's tables: from malloc, mapped if they are large, or from a megabyte of its own
 *
 * A collection of millions of objects needs tables of a hundred megabytes, for as long as it takes. Mapped, they go back to the
 * system then, and grow without being copied; in malloc's heap they would leave holes among the program's objects.
 *
 * A program that has used all memory for cycles that it has just dropped must get them back. So a collection of a small part of
 * the candidates needs no memory that malloc would have to give. The reserve is static, untouched while malloc gives, and handed
 * out from the front; it is whole again when the collection is over. Of the driver alone.
 */
#ifndef WN_SCRATCH_H
#define WN_SCRATCH_H

#include <stddef.h>

void *wn_scratch_get(size_t bytes); /* NULL: neither has it */
void *wn_scratch_zeroed(size_t bytes);
void *wn_scratch_grow(void *old, size_t old_bytes, size_t bytes); /* as realloc */
void  wn_scratch_put(void *p);
void  wn_scratch_over(void); /* nothing of it is in use any more */

#endif
