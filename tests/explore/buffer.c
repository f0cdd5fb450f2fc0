/* SPDX-License-Identifier: MIT
 *
 * buffer.c - a thread's store buffer: what it has stored and others do not see yet, oldest first
 */
#include "explore.h"

#include <string.h>

static void
make_visible(const struct ex_entry *e)
{
    if (ex_heap_is_freed(e->address))
        ex_fail("a store made at %s comes to freed memory", e->where);
    memcpy((void *)e->address, &e->value, e->size); /* little-endian: the low bytes */
}

void
ex_buffer_drain(struct ex_buffer *b, unsigned most)
{
    unsigned n = most < b->count ? most : b->count;

    for (unsigned i = 0; i < n; i++)
        make_visible(&b->entry[i]);
    b->count -= n;
    memmove(b->entry, b->entry + n, b->count * sizeof *b->entry);
}

void
ex_buffer_add(struct ex_buffer *b, struct ex_entry e)
{
    if (b->count == EX_BUFFER)
        ex_buffer_drain(b, 1);
    b->entry[b->count++] = e;
}

bool
ex_buffer_find(const struct ex_buffer *b, uintptr_t address, unsigned size, uint64_t *value)
{
    for (unsigned i = b->count; i-- > 0;)
        if (b->entry[i].address == address && b->entry[i].size == size) {
            *value = b->entry[i].value;
            return true;
        } else if (address < b->entry[i].address + b->entry[i].size && b->entry[i].address < address + size) {
            ex_fail("a load overlaps a store of another size, made at %s", b->entry[i].where);
        }
    return false;
}

void
ex_buffer_forget(struct ex_buffer *b, uintptr_t begin, uintptr_t end)
{
    unsigned kept = 0;

    for (unsigned i = 0; i < b->count; i++)
        if (b->entry[i].address < begin || b->entry[i].address >= end)
            b->entry[kept++] = b->entry[i];
    b->count = kept;
}
