/* SPDX-License-Identifier: MIT
 *
 * spill.h - payloads of leaves in a file that has no name
 *
 * A file is an object: descriptor, and a bitmap of blocks. What was moved there is stood for by a *stub*, an object that holds
 * the file and says where: its dispose gives the blocks back by atomic steps, so a reader who holds the stub reads bytes that
 * nobody overwrites, and nobody waits. Blocks are taken by purges only, of which there is one at a time.
 */
#ifndef WN_SPILL_H
#define WN_SPILL_H

#include <wane/memory.h>

/* A file of at most so many bytes in this directory; owned. NULL with errno. */
void *wn_spill_open(const char *directory, size_t most);

/* May this object be moved: a leaf without callbacks and weak references, as large as a block at least? */
bool wn_spill_takes(const void *object);

/* A copy of the payload goes to the file: the stub, owned; NULL: no room, or no memory. Inside a purge, outside sections. */
void *wn_spill_out(void *file, const void *object);

/* A new object like the one that the stub stands for; NULL with ENOMEM or EIO. */
void *wn_spill_in(const void *stub);

bool wn_spill_is_stub(const void *object);

/* A file without a name in this directory; -1 with errno. */
int wn_open_nameless(const char *directory);

void wn_spill_stats(struct wane_memory_stats *out);

#endif
