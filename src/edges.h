/* SPDX-License-Identifier: MIT
 *
 * edges.h - the edges of numbered nodes, row by row
 *
 * A list is full, with a row for each node from 0 on, or holds the rows of some nodes only: the changed ones of a later reading.
 */
#ifndef WN_EDGES_H
#define WN_EDGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct wn_edges {
    uint32_t *first; /* row k: to[first[k]] up to to[first[k + 1]] */
    uint32_t *to;
    uint32_t *node; /* whose row it is, rising; NULL: k itself */
    uint32_t  rows, count;
    uint32_t  rows_capacity, capacity;
    bool      partial;
};

struct wn_row {
    const uint32_t *at, *end;
};

/* Room for n more in the row under way, and to close so many rows. False: no memory. */
bool wn_edges_grow(struct wn_edges *e, uint32_t n, uint32_t rows);

static inline bool
wn_edges_reserve(struct wn_edges *e, uint32_t n, uint32_t rows)
{
    return (e->capacity - e->count >= n && e->rows_capacity - e->rows > rows) || wn_edges_grow(e, n, rows);
}

/* Of the row under way. False: no memory. */
static inline bool
wn_edges_add(struct wn_edges *e, uint32_t to)
{
    if (!wn_edges_reserve(e, 1, 1))
        return false;
    e->to[e->count++] = to;
    return true;
}

/* The row under way has none yet. Room was made. */
static inline void
wn_edges_again(struct wn_edges *e)
{
    e->count = e->rows ? e->first[e->rows] : 0;
}

/* The row under way is done. Room was made. */
static inline void
wn_edges_next(struct wn_edges *e, uint32_t node)
{
    if (e->partial)
        e->node[e->rows] = node;
    e->first[++e->rows] = e->count;
}

void wn_edges_free(struct wn_edges *e);

static inline struct wn_row
wn_edges_row(const struct wn_edges *e, uint32_t k)
{
    return e->count ? (struct wn_row){e->to + e->first[k], e->to + e->first[k + 1]} : (struct wn_row){NULL, NULL};
}

#define WN_NO_ROW UINT32_MAX

/* Of a partial list: which row is node i's? WN_NO_ROW: it has none. */
uint32_t wn_edges_find(const struct wn_edges *e, uint32_t i);

#endif
