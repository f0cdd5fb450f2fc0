/* SPDX-License-Identifier: MIT
 *
 * mirror.c - nodes in chunks that never move; each chunk serves one owner
 */
#include "mirror.h"

#include <stdlib.h>
#include <string.h>

void
mirror_init(struct mirror *m, uint32_t parts, uint32_t roots)
{
    uint32_t i;

    m->parts = need(parts, sizeof *m->parts);
    m->part_count = parts;
    for (i = 0; i < parts; i++)
        m->parts[i].number = i;
    m->roots = need(roots, sizeof *m->roots);
    m->root_count = roots;
    atomic_store(&m->chunk_count, 0);
}

void
mirror_free(struct mirror *m)
{
    uint32_t i, top = mirror_top(m);

    for (i = 0; i < top / CHUNK_NODES; i++)
        free(mirror_node(m, i * CHUNK_NODES));
    for (i = 0; i < m->part_count; i++) {
        ints_free(&m->parts[i].free);
        ints_free(&m->parts[i].pool);
    }
    free(m->parts);
    free(m->roots);
}

uint32_t
mirror_top(struct mirror *m)
{
    return atomic_load(&m->chunk_count) * CHUNK_NODES;
}

/* Number 0 means none: the first chunk's first node is never given out. */
static void
add_chunk(struct mirror *m, struct mirror_part *part)
{
    struct node *nodes = need(CHUNK_NODES, sizeof *nodes);
    uint32_t     chunk = atomic_fetch_add(&m->chunk_count, 1), i;

    if (chunk >= CHUNK_LIMIT)
        need_failed();
    for (i = 0; i < CHUNK_NODES; i++)
        nodes[i].part = (uint8_t)part->number;
    atomic_store_explicit(&m->chunks[chunk], nodes, memory_order_release);
    part->next = chunk * CHUNK_NODES + (chunk == 0);
    part->end = (chunk + 1) * CHUNK_NODES;
}

static uint32_t
take_number(struct mirror *m, struct mirror_part *part)
{
    if (part->free.count > 0)
        return part->free.at[--part->free.count];
    if (part->next == part->end)
        add_chunk(m, part);
    return part->next++;
}

static uint32_t
row_class(uint32_t count)
{
    uint32_t class = 0;

    while (UINT32_C(1) << class < count)
        class++;
    if (class >= ROW_CLASSES)
        need_failed();
    return class;
}

/* A row of zeroes. */
static uint32_t
take_row(struct mirror_part *part, uint32_t count)
{
    uint32_t class = row_class(count), row = part->rows[class], i;

    if (row != 0) {
        part->rows[class] = part->pool.at[row - 1];
        memset(part->pool.at + row - 1, 0, count * sizeof *part->pool.at);
        return row - 1;
    }
    row = (uint32_t)part->pool.count;
    for (i = 0; i < UINT32_C(1) << class; i++)
        ints_push(&part->pool, 0);
    return row;
}

static void
give_row(struct mirror_part *part, uint32_t row, uint32_t count)
{
    uint32_t class = row_class(count);

    part->pool.at[row] = part->rows[class];
    part->rows[class] = row + 1;
}

uint64_t
mirror_born(struct mirror *m, struct mirror_part *part, uint8_t kind, uint32_t label, uint32_t count)
{
    uint32_t     number = take_number(m, part);
    struct node *node = mirror_node(m, number);

    node->out = take_row(part, count);
    node->count = count;
    node->label = label;
    node->kind = kind;
    node->classified = 0;
    atomic_store_explicit(&node->state, STATE_LIVE, memory_order_release);
    atomic_store_explicit(&part->born, atomic_load_explicit(&part->born, memory_order_relaxed) + 1,
                          memory_order_relaxed);
    return (uint64_t)node->generation << 32 | number;
}

void
mirror_edge(struct mirror *m, uint64_t from, uint32_t slot, uint64_t to)
{
    mirror_out(m, mirror_node(m, mirror_number(from)))[slot] = mirror_number(to);
}

void
mirror_root(struct mirror *m, uint32_t root, uint64_t to)
{
    m->roots[root] = mirror_number(to);
}

void
mirror_gone(struct mirror *m, uint64_t id)
{
    struct node  *node;
    unsigned char live = STATE_LIVE;

    if (mirror_number(id) == 0 || mirror_number(id) >= mirror_top(m)) {
        atomic_fetch_add(&m->wrong, 1);
        return;
    }
    node = mirror_node(m, mirror_number(id));
    if (node->generation != id >> 32 || !atomic_compare_exchange_strong(&node->state, &live, STATE_GONE))
        atomic_fetch_add(&m->wrong, 1);
}

void
mirror_recycle(struct mirror *m, uint32_t number)
{
    struct node *node = mirror_node(m, number);

    give_row(&m->parts[node->part], node->out, node->count);
    node->count = 0;
    node->generation++;
    atomic_store_explicit(&node->state, STATE_FREE, memory_order_release);
    ints_push(&m->parts[node->part].free, number);
}

uint64_t
mirror_born_total(struct mirror *m)
{
    uint64_t total = 0;
    uint32_t i;

    for (i = 0; i < m->part_count; i++)
        total += atomic_load_explicit(&m->parts[i].born, memory_order_relaxed);
    return total;
}
