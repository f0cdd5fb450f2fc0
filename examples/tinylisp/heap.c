/* SPDX-License-Identifier: MIT
 *
 * heap.c - the objects of the language: what the runtime is told of each, and how they are made
 */
#include "lisp.h"

#include <string.h>

/* ---- Cells ----------------------------------------------------------------------------------------------------- */

void
cell_store(struct cell *c, struct value v)
{
    if (is_object(v)) {
        void *bits = wane_tag(v.object, v.kind - PAIR);

        if (v.owned)
            wane_put(&c->slot, bits);
        else
            wane_set(&c->slot, bits);
        return;
    }
    if (v.kind == NUMBER || v.kind == PRIMITIVE)
        atomic_store_explicit(&c->number, v.number, memory_order_relaxed);
    if (wane_peek_tagged(&c->slot) != wane_tag(NULL, v.kind))
        wane_set(&c->slot, wane_tag(NULL, v.kind));
}

void
cell_init(struct cell *c, struct value v)
{
    if (is_object(v)) {
        void *bits = wane_tag(v.object, v.kind - PAIR);

        if (v.owned)
            wane_put_private(&c->slot, bits);
        else
            wane_set_private(&c->slot, bits);
        return;
    }
    atomic_store_explicit(&c->number, v.number, memory_order_relaxed);
    if (v.kind != NIL)
        wane_put_private(&c->slot, wane_tag(NULL, v.kind));
}

/* ---- Objects of one size --------------------------------------------------------------------------------------- */

static const uint32_t   pair_slots[] = {offsetof(struct pair, car.slot), offsetof(struct pair, cdr.slot)};
static struct wane_type pair_type = {.name = "pair", .size = sizeof(struct pair), .slots = pair_slots, .slot_count = 2};

struct pair *
pair_new(struct value car, struct value cdr)
{
    struct pair *p = wane_new(&pair_type);

    if (p) {
        cell_init(&p->car, car);
        cell_init(&p->cdr, cdr);
    }
    return p;
}

static const uint32_t   box_slots[] = {offsetof(struct box, content.slot)};
static struct wane_type box_type = {.name = "box", .size = sizeof(struct box), .slots = box_slots, .slot_count = 1};

struct box *
box_new(struct value content)
{
    struct box *b = wane_new(&box_type);

    if (b)
        cell_init(&b->content, content);
    return b;
}

static struct wane_type string_type = {.name = "string", .size = sizeof(struct string), .flags = WANE_SIZED};

struct string *
string_new(const char *bytes, size_t length)
{
    struct string *s = wane_new_sized(&string_type, sizeof *s + length + 1);

    if (s) {
        s->length = length;
        memcpy(s->bytes, bytes, length);
    }
    return s;
}

/* ---- Objects whose number of cells varies: shown by a trace callback ------------------------------------------- */

/* count was written before the object was published, and never changes: the collector may read it at any time. */
static void
show(struct wane_visitor *visitor, const struct cell *cells, size_t count)
{
    for (size_t i = 0; i < count; i++)
        wane_visit(visitor, &cells[i].slot);
}

static void
vector_trace(const void *object, struct wane_visitor *visitor)
{
    const struct vector *v = object;

    show(visitor, v->at, v->count);
}

static struct wane_type vector_type = {
    .name = "vector", .size = sizeof(struct vector), .trace = vector_trace, .flags = WANE_SIZED};

struct vector *
vector_new(size_t count, struct value fill)
{
    struct vector *v = count < SIZE_MAX / 32 ? wane_new_sized(&vector_type, sizeof *v + count * sizeof v->at[0]) : NULL;

    if (v) {
        v->count = count;
        for (size_t i = 0; i < count; i++)
            cell_init(&v->at[i], is_object(fill) ? lent(fill.kind, fill.object) : fill);
        drop(fill);
    }
    return v;
}

static void
closure_trace(const void *object, struct wane_visitor *visitor)
{
    const struct closure *c = object;

    show(visitor, c->captured, c->count);
}

static const uint32_t   closure_slots[] = {offsetof(struct closure, code)};
static struct wane_type closure_type = {.name = "closure",
                                        .size = sizeof(struct closure),
                                        .slots = closure_slots,
                                        .slot_count = 1,
                                        .trace = closure_trace,
                                        .flags = WANE_SIZED};

struct closure *
closure_new(struct code *code, size_t captures)
{
    struct closure *c = wane_new_sized(&closure_type, sizeof *c + captures * sizeof c->captured[0]);

    if (c) {
        c->count = captures;
        wane_set_private(&c->code, code);
    }
    return c;
}

static void
code_trace(const void *object, struct wane_visitor *visitor)
{
    const struct code *c = object;

    show(visitor, c->constant, c->constants);
}

static const uint32_t   code_slots[] = {offsetof(struct code, name)};
static struct wane_type code_type = {.name = "code",
                                     .size = sizeof(struct code),
                                     .slots = code_slots,
                                     .slot_count = 1,
                                     .trace = code_trace,
                                     .flags = WANE_SIZED};

struct code *
code_new(size_t constants, size_t words)
{
    struct code *c = wane_new_sized(&code_type, sizeof *c + constants * sizeof c->constant[0] + words * sizeof(uint32_t));

    if (c) {
        c->constants = (uint32_t)constants;
        c->words = (uint32_t)words;
    }
    return c;
}
