/* SPDX-License-Identifier: MIT
 *
 * need.h - plain memory for the parts of depgraph that are not wane objects
 *
 * A demonstration without memory has nothing to show: these end the program, so that no caller checks.
 */
#ifndef DEPGRAPH_NEED_H
#define DEPGRAPH_NEED_H

#include <stddef.h>
#include <stdint.h>

#define NONE UINT32_MAX /* no index */

void *need(size_t count, size_t size) __attribute__((returns_nonnull)); /* zeroed */
void *need_room(void *array, size_t count, size_t *capacity, size_t size) __attribute__((returns_nonnull));
void  need_failed(void) __attribute__((noreturn));

/* A growing row of integers. */
struct ints {
    uint32_t *at;
    size_t    count, capacity;
};

void ints_push(struct ints *row, uint32_t value);
void ints_free(struct ints *row);

/* Rows of a table: those of key k are item[first[k]] .. item[first[k + 1]], the end excluded. */
struct table {
    uint32_t *first, *item;
};

struct pairs {
    struct ints key, item;
};

void pairs_push(struct pairs *pairs, uint32_t key, uint32_t item);
void pairs_to_table(struct pairs *pairs, uint32_t keys, struct table *table); /* empties the pairs */
void table_free(struct table *table);

static inline uint32_t
table_count(const struct table *table, uint32_t key)
{
    return table->first[key + 1] - table->first[key];
}

static inline const uint32_t *
table_row(const struct table *table, uint32_t key)
{
    return table->item + table->first[key];
}

#endif
