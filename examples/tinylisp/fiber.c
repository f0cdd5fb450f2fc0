/* SPDX-License-Identifier: MIT
 *
 * fiber.c - stacks and frames, and what the loop (run.c) does not do itself
 *
 * A frame on the stack: the closure, its arguments, variables of let, temporaries. Calls of the language are no calls in C:
 * recursion is as deep as the stack may grow, and a tail call takes the place of its caller. Owned and borrowed: lisp.h.
 */
#include "fiber.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

enum { FIRST_ROOM = 256, MOST_ROOM = 1 << 20 }; /* entries of 16 bytes */

bool
fail(struct fiber *f, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(f->error, sizeof f->error, format, args);
    va_end(args);
    return false;
}

/* ---- Fibers ---------------------------------------------------------------------------------------------------- */

void
fiber_drop_to(struct fiber *f, size_t height)
{
    while (f->used > height)
        drop(f->stack[--f->used]);
    if (f->settled > height)
        f->settled = height;
}

struct fiber *
fiber_new(struct value thunk)
{
    struct fiber *f = calloc(1, sizeof *f);

    if (f)
        f->stack = malloc(FIRST_ROOM * sizeof *f->stack);
    if (!f || !f->stack) {
        free(f);
        return NULL;
    }
    f->room = FIRST_ROOM;
    f->stack[f->used++] = own(thunk);
    return f;
}

void
fiber_free(struct fiber *f)
{
    fiber_drop_to(f, 0);
    drop(f->result);
    wane_release(f->task);
    free(f->frames);
    free(f->stack);
    free(f);
}

void
fiber_settle(struct fiber *f)
{
    for (size_t i = f->settled; i < f->used; i++)
        f->stack[i] = own(f->stack[i]);
    f->settled = f->base ? f->base - 1 : 0;
}

static bool
grow(struct fiber *f, size_t entries)
{
    size_t        room = f->room;
    struct value *stack;

    while (room < f->used + entries)
        room *= 2;
    if (room > MOST_ROOM)
        return fail(f, "the stack is too deep");
    stack = room == f->room ? f->stack : realloc(f->stack, room * sizeof *stack);
    if (!stack)
        return fail(f, "no memory for the stack");
    f->stack = stack;
    f->room = room;
    return true;
}

bool
fiber_push_frame(struct fiber *f, const uint32_t *pc, size_t base)
{
    if (f->frame_count == f->frame_room) {
        size_t        room = f->frame_room ? 2 * f->frame_room : 64;
        struct frame *frames = realloc(f->frames, room * sizeof *frames);

        if (!frames)
            return fail(f, "no memory for frames");
        f->frames = frames;
        f->frame_room = room;
    }
    f->frames[f->frame_count++] = (struct frame){pc, base};
    return true;
}

/* ---- Calls: what the fast path does not do --------------------------------------------------------------------- */

static const char *
name_of(const struct code *code)
{
    const struct symbol *name = wane_peek(&code->name);

    return name ? name->name : "a procedure";
}

/* The arguments from `least` on become a list. */
static bool
gather(struct fiber *f, size_t least, size_t count)
{
    struct value list = simple(NIL);

    for (; count > least; count--) {
        struct pair *p = pair_new(own(f->stack[f->used - 1]), list);

        if (!p) {
            drop(list);
            return fail(f, "no memory");
        }
        f->used--;
        list = owned(PAIR, p);
    }
    f->stack[f->used++] = list;
    return true;
}

/* Room for the callee, and its arguments as it wants them; count is corrected. */
bool
fiber_arrange(struct fiber *f, const struct code *code, size_t *count)
{
    size_t least = (size_t)code->params - code->rest;

    if (*count < least || (*count > least && !code->rest))
        return fail(f, "%s is called with %zu arguments instead of %zu", name_of(code), *count, least);
    if (f->used + code->depth + 1 > f->room && !grow(f, code->depth + 1))
        return false;
    if (code->rest && !gather(f, least, *count))
        return false;
    *count = code->params;
    return true;
}

/* The frame goes; what is called and its arguments take its place. */
void
fiber_replace_frame(struct fiber *f, size_t count)
{
    size_t from = f->used - count - 1, to = f->base - 1;

    for (size_t i = from + 1; i < f->used; i++)
        f->stack[i] = own(f->stack[i]);
    if (f->stack[from].object == f->stack[to].object) { /* itself: the entry that is there may hold it further */
        drop(f->stack[from]);
        f->stack[from] = f->stack[to];
    } else {
        f->stack[from] = own(f->stack[from]);
        drop(f->stack[to]);
    }
    for (size_t i = to + 1; i < from; i++)
        drop(f->stack[i]);
    memmove(&f->stack[to], &f->stack[from], (count + 1) * sizeof *f->stack);
    f->used = to + count + 1;
    if (f->settled > to)
        f->settled = to;
}

/* The list on top becomes arguments. */
bool
fiber_spread(struct fiber *f, size_t *count)
{
    struct value list = f->stack[--f->used], rest = list;

    --*count;
    for (; rest.kind == PAIR; rest = cell_load(&((struct pair *)rest.object)->cdr)) {
        if (!grow(f, 2))
            break;
        f->stack[f->used++] = own(cell_load(&((struct pair *)rest.object)->car));
        ++*count;
    }
    drop(list);
    return rest.kind == NIL || (f->error[0] == '\0' && fail(f, "apply: the last argument is no list"));
}

/* Call a primitive with the arguments on top; they go, with `below` entries below them, and the result comes. */
enum outcome
fiber_call_primitive(struct fiber *f, const struct primitive *p, size_t count, size_t below)
{
    struct value *args = &f->stack[f->used - count], result = simple(UNSPECIFIED);
    enum outcome  outcome;
    bool          held = true;

    if ((int)count < p->least || (p->most >= 0 && (int)count > p->most)) {
        fail(f, "%s is called with %zu arguments", p->name, count);
        return FAILED;
    }
    outcome = p->fn(f, args, (int)count, &result);
    if (outcome != DONE)
        return outcome;
    for (size_t i = 0; i < count; i++)
        held &= !args[i].owned;
    if (!held)
        result = own(result);
    for (size_t i = 0; i < count + below; i++)
        drop(f->stack[--f->used]);
    f->stack[f->used++] = result;
    return DONE;
}

/* ---- Instructions: what the fast path does not do -------------------------------------------------------------- */

bool
fiber_make_closure(struct fiber *f, struct code *code, const uint32_t *captures)
{
    const struct closure *from = f->stack[f->base - 1].object;
    struct closure       *c = closure_new(code, code->captures);

    if (!c)
        return fail(f, "no memory");
    for (size_t i = 0; i < c->count; i++) {
        uint32_t     index = captures[i] / 2;
        struct value v = captures[i] % 2 ? cell_load(&from->captured[index]) : f->stack[f->base + index];

        v.owned = 0; /* the closure takes a unit of its own */
        cell_init(&c->captured[i], v);
    }
    f->stack[f->used++] = owned(CLOSURE, c);
    return true;
}

bool
fiber_make_box(struct fiber *f, struct value *entry)
{
    struct box *b = box_new(*entry);

    if (!b)
        return fail(f, "no memory");
    *entry = owned(BOX, b);
    return true;
}

void
fiber_set_local(struct value *entry, struct value *top)
{
    struct value old = *entry;

    *entry = own(*top);
    *top = simple(UNSPECIFIED);
    drop(old);
}

bool
fiber_set_global(struct fiber *f, struct symbol *s, struct value *top, bool define)
{
    struct value v = *top;

    if (!define && cell_load(&s->global).kind == UNBOUND)
        return fail(f, "%s is not defined", s->name);
    *top = simple(UNSPECIFIED);
    return symbol_define(s, v) || fail(f, "no memory");
}

void
fiber_slide(struct fiber *f, size_t count)
{
    struct value v = own(f->stack[--f->used]);

    for (size_t i = 0; i < count; i++)
        drop(f->stack[--f->used]);
    f->stack[f->used++] = v;
}

bool
fiber_result_is_final(struct fiber *f)
{
    struct value v = own(f->stack[--f->used]);

    while (f->used >= f->base)
        drop(f->stack[--f->used]);
    if (f->frame_count == 0) {
        f->result = v;
        f->base = f->settled = 0;
        return true;
    }
    f->frame_count--;
    f->pc = f->frames[f->frame_count].pc;
    f->base = f->frames[f->frame_count].base;
    f->stack[f->used++] = v;
    if (f->settled > f->base - 1)
        f->settled = f->base - 1;
    return false;
}
