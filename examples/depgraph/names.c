/* SPDX-License-Identifier: MIT
 *
 * names.c - a hash table of numbers into an append-only store of characters
 */
#include "names.h"

#include <stdlib.h>
#include <string.h>

#define BLOCK_SIZE ((size_t)1 << 18)

struct block {
    struct block *next;
    size_t        used, size;
    char          text[];
};

static uint64_t
hash_of(const char *text, size_t length)
{
    uint64_t hash = 14695981039346656037u; /* FNV-1a */
    size_t   i;

    for (i = 0; i < length; i++)
        hash = (hash ^ (unsigned char)text[i]) * 1099511628211u;
    return hash ^ hash >> 29;
}

static struct block *
block_with_room(struct names *names, size_t length)
{
    struct block *block = names->blocks;
    size_t        size = length > BLOCK_SIZE ? length : BLOCK_SIZE;

    if (block && block->size - block->used >= length)
        return block;
    block = need(1, sizeof *block + size);
    block->size = size;
    block->next = names->blocks;
    names->blocks = block;
    return block;
}

const char *
names_keep(struct names *names, const char *text, size_t length)
{
    struct block *block = block_with_room(names, length + 1);
    char         *copy = block->text + block->used;

    memcpy(copy, text, length);
    copy[length] = '\0';
    block->used += length + 1;
    return copy;
}

/* Where the name is, or would be. */
static uint32_t *
find_slot(const struct names *names, const char *text, size_t length)
{
    size_t i = hash_of(text, length) & (names->slot_count - 1);

    for (; names->slots[i]; i = (i + 1) & (names->slot_count - 1)) {
        const char *known = names->text[names->slots[i] - 1];

        if (strncmp(known, text, length) == 0 && known[length] == '\0')
            break;
    }
    return &names->slots[i];
}

static void
grow_slots(struct names *names)
{
    size_t number;

    free(names->slots);
    names->slot_count = names->slot_count ? names->slot_count * 2 : 1024;
    names->slots = need(names->slot_count, sizeof *names->slots);
    for (number = 0; number < names->count; number++)
        *find_slot(names, names->text[number], strlen(names->text[number])) = (uint32_t)number + 1;
}

uint32_t
names_add(struct names *names, const char *text, size_t length)
{
    uint32_t *slot;

    if (names->count * 2 >= names->slot_count)
        grow_slots(names);
    slot = find_slot(names, text, length);
    if (*slot)
        return *slot - 1;
    names->text = need_room(names->text, names->count, &names->capacity, sizeof *names->text);
    names->text[names->count] = names_keep(names, text, length);
    *slot = (uint32_t)++names->count;
    return *slot - 1;
}

void
names_free(struct names *names)
{
    while (names->blocks) {
        struct block *next = names->blocks->next;

        free(names->blocks);
        names->blocks = next;
    }
    free(names->text);
    free(names->slots);
    *names = (struct names){0};
}
