/* SPDX-License-Identifier: MIT */
#include "edges.h"

#include <stddef.h>

#include "scratch.h"

#define SMALL 65536 /* entries: memory that is copied as it grows */

static bool
grow_array(uint32_t **array, uint32_t used, uint64_t capacity)
{
    uint32_t *grown = wn_scratch_grow(*array, (size_t)used * sizeof *grown, (size_t)capacity * sizeof *grown);

    if (!grown)
        return false;
    *array = grown;
    return true;
}

static uint64_t
grown(uint32_t n)
{
    return (uint64_t)n + (n < SMALL ? n : n / 4);
}

static bool
grow_rows(struct wn_edges *e, uint32_t rows)
{
    uint64_t capacity = grown(e->rows) + rows + 64;

    if (capacity >= UINT32_MAX || !grow_array(&e->first, e->rows_capacity ? e->rows + 1 : 0, capacity) ||
        (e->partial && !grow_array(&e->node, e->rows, capacity)))
        return false;
    e->rows_capacity = (uint32_t)capacity;
    e->first[0] = 0;
    return true;
}

bool
wn_edges_grow(struct wn_edges *e, uint32_t n, uint32_t rows)
{
    uint64_t capacity = grown(e->count) + n;

    if (e->rows_capacity - e->rows <= rows && !grow_rows(e, rows))
        return false;
    if (e->capacity - e->count >= n)
        return true;
    if (capacity >= UINT32_MAX || !grow_array(&e->to, e->count, capacity))
        return false;
    e->capacity = (uint32_t)capacity;
    return true;
}

void
wn_edges_free(struct wn_edges *e)
{
    wn_scratch_put(e->first);
    wn_scratch_put(e->to);
    wn_scratch_put(e->node);
    *e = (struct wn_edges){.partial = e->partial};
}

uint32_t
wn_edges_find(const struct wn_edges *e, uint32_t i)
{
    uint32_t low = 0, high = e->rows;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;

        if (e->node[middle] < i)
            low = middle + 1;
        else
            high = middle;
    }
    return low < e->rows && e->node[low] == i ? low : WN_NO_ROW;
}
