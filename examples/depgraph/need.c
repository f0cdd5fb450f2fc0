/* SPDX-License-Identifier: MIT
 *
 * need.c - memory that is there or ends the program, growing rows, and tables made of pairs
 */
#include "need.h"

#include <stdio.h>
#include <stdlib.h>

void
need_failed(void)
{
    fputs("depgraph: FAILED out of memory or threads\n", stderr);
    exit(1);
}

void *
need(size_t count, size_t size)
{
    void *memory = calloc(count ? count : 1, size);

    if (!memory)
        need_failed();
    return memory;
}

/* Room for one more than count. */
void *
need_room(void *array, size_t count, size_t *capacity, size_t size)
{
    size_t wanted;

    if (array && count < *capacity)
        return array;
    wanted = *capacity ? *capacity + *capacity / 2 + 8 : 64;
    array = realloc(array, wanted * size);
    if (!array)
        need_failed();
    *capacity = wanted;
    return array;
}

void
ints_push(struct ints *row, uint32_t value)
{
    row->at = need_room(row->at, row->count, &row->capacity, sizeof *row->at);
    row->at[row->count++] = value;
}

void
ints_free(struct ints *row)
{
    free(row->at);
    *row = (struct ints){0};
}

void
pairs_push(struct pairs *pairs, uint32_t key, uint32_t item)
{
    ints_push(&pairs->key, key);
    ints_push(&pairs->item, item);
}

/* A counting sort: the items of a key keep their order. */
void
pairs_to_table(struct pairs *pairs, uint32_t keys, struct table *table)
{
    uint32_t *first = need((size_t)keys + 2, sizeof *first);
    uint32_t *item = need(pairs->item.count, sizeof *item);
    size_t    i;

    for (i = 0; i < pairs->key.count; i++)
        first[pairs->key.at[i] + 2]++;
    for (i = 2; i < (size_t)keys + 2; i++)
        first[i] += first[i - 1];
    for (i = 0; i < pairs->key.count; i++)
        item[first[pairs->key.at[i] + 1]++] = pairs->item.at[i];
    table->first = first;
    table->item = item;
    ints_free(&pairs->key);
    ints_free(&pairs->item);
}

void
table_free(struct table *table)
{
    free(table->first);
    free(table->item);
    *table = (struct table){0};
}
