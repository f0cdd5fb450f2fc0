/* SPDX-License-Identifier: MIT
 *
 * run.c - the loop that executes instructions
 *
 * The top of the stack and the next instruction are in variables of their own (sp, pc); whoever is called sees them in the fiber:
 * OUT() puts them there, IN() takes them from there. Sections end and begin only in fiber_settle's neighbourhood (rest).
 */
#include "code.h"
#include "fiber.h"

enum { FUEL = 2000 }; /* calls between two rests */

static enum outcome
by_name(struct fiber *f, const char *name, size_t count)
{
    return fiber_call_primitive(f, primitive_at(primitive_find(name)), count, 0);
}

static void
rest(struct fiber *f)
{
    fiber_settle(f);
    wane_checkpoint();
}

/* After a primitive in the last place there is only this to do. */
static const uint32_t then_return = OP_RETURN;

/* Call what lies below `count` arguments; go on at f->pc. */
static enum outcome
call(struct fiber *f, const uint32_t *pc, size_t count, bool last)
{
    struct value       callee = f->stack[f->used - count - 1];
    const struct code *code;

    if (callee.kind == PRIMITIVE) {
        f->pc = last ? &then_return : pc;
        return fiber_call_primitive(f, primitive_at(callee.number), count, 1);
    }
    if (callee.kind != CLOSURE) {
        fail(f, "what is called is no procedure");
        return FAILED;
    }
    code = wane_peek(&((struct closure *)callee.object)->code);
    if (!fiber_arrange(f, code, &count))
        return FAILED;
    if (last)
        fiber_replace_frame(f, count);
    else if (!fiber_push_frame(f, pc, f->base))
        return FAILED;
    f->base = f->used - count;
    f->pc = code_words(code);
    return DONE;
}

static enum outcome
apply(struct fiber *f, const uint32_t *pc, size_t count, bool last)
{
    enum outcome outcome = fiber_spread(f, &count) ? call(f, pc, count, last) : FAILED;

    if (outcome == PARKED) /* the arguments cannot be put together again */
        fail(f, "apply: this would have to wait");
    return outcome == PARKED ? FAILED : outcome;
}

static struct value
part(struct value v, const struct cell *c)
{
    struct value found = cell_load(c);

    if (v.owned) {
        found = own(found);
        wane_release(v.object);
    }
    return found;
}

static bool
is_same(struct value a, struct value b)
{
    return a.kind == b.kind && (is_object(a) ? a.object == b.object
                                             : (a.kind != NUMBER && a.kind != PRIMITIVE) || a.number == b.number);
}

#define OUT() (f->pc = pc, f->used = (size_t)(sp - f->stack))
#define IN() (pc = f->pc, sp = f->stack + f->used, base = f->stack + f->base)
#define TRY(what)                        \
    do {                                 \
        OUT();                           \
        outcome = (what);                \
        if (outcome != DONE)             \
            goto out;                    \
        IN();                            \
    } while (0)
#define REQUIRE(what) TRY((what) ? DONE : FAILED)
#define CONSTANT_AT(i) (&((const struct code *)wane_peek(&((struct closure *)base[-1].object)->code))->constant[i])
#define CAPTURED_AT(i) (&((struct closure *)base[-1].object)->captured[i])
#define BOX_OF(v) (&((struct box *)(v).object)->content)
#define ARE_NUMBERS(a, b) ((a).kind == NUMBER && (b).kind == NUMBER)

/* A switch over all instructions is one function: they share the three variables that must stay in registers. */
static enum outcome
execute(struct fiber *f)
{
    enum outcome    outcome;
    struct value   *sp, *base, v;
    const uint32_t *pc, *at;
    int             fuel = FUEL;
    int64_t         n;

    IN();
    for (;;) {
        uint32_t word = *(at = pc++), i = ARGUMENT(word);

        switch (OPERATION(word)) {
        case OP_INTEGER: *sp++ = number(SIGNED_ARGUMENT(word)); break;
        case OP_CONSTANT: *sp++ = cell_load(CONSTANT_AT(i)); break;
        case OP_LOCAL:
            *sp = base[i];
            sp++->owned = 0;
            break;
        case OP_LOCAL_OWNED:
            v = base[i];
            v.owned = 0;
            *sp++ = own(v);
            break;
        case OP_LOCAL_BOX: *sp++ = cell_load(BOX_OF(base[i])); break;
        case OP_CAPTURED: *sp++ = cell_load(CAPTURED_AT(i)); break;
        case OP_CAPTURED_BOX: *sp++ = cell_load(BOX_OF(cell_load(CAPTURED_AT(i)))); break;
        case OP_SELF:
            *sp = base[-1];
            sp++->owned = 0;
            break;
        case OP_GLOBAL:
            v = cell_load(&((struct symbol *)cell_load(CONSTANT_AT(i)).object)->global);
            if (v.kind == UNBOUND)
                REQUIRE(fail(f, "%s is not defined", ((struct symbol *)cell_load(CONSTANT_AT(i)).object)->name));
            *sp++ = v;
            break;
        case OP_SET_LOCAL: fiber_set_local(&base[i], &sp[-1]); break;
        case OP_SET_LOCAL_BOX:
            cell_store(BOX_OF(base[i]), sp[-1]);
            sp[-1] = simple(UNSPECIFIED);
            break;
        case OP_SET_CAPTURED_BOX:
            cell_store(BOX_OF(cell_load(CAPTURED_AT(i))), sp[-1]);
            sp[-1] = simple(UNSPECIFIED);
            break;
        case OP_SET_GLOBAL:
        case OP_DEFINE:
            REQUIRE(fiber_set_global(f, cell_load(CONSTANT_AT(i)).object, &sp[-1], OPERATION(word) == OP_DEFINE));
            break;
        case OP_BOX: REQUIRE(fiber_make_box(f, &sp[-1])); break;
        case OP_BOX_LOCAL: REQUIRE(fiber_make_box(f, &base[i])); break;
        case OP_CLOSURE:
            REQUIRE(fiber_make_closure(f, cell_load(CONSTANT_AT(i)).object, pc));
            pc += ((struct closure *)sp[-1].object)->count;
            break;
        case OP_POP: drop(*--sp); break;
        case OP_SLIDE:
            OUT();
            fiber_slide(f, i);
            IN();
            break;
        case OP_JUMP: pc = code_words(wane_peek(&((struct closure *)base[-1].object)->code)) + i; break;
        case OP_JUMP_IF_FALSE:
            v = *--sp;
            if (v.kind == FALSE)
                pc = code_words(wane_peek(&((struct closure *)base[-1].object)->code)) + i;
            else
                drop(v);
            break;
        case OP_JUMP_IF_TRUE:
            if (sp[-1].kind != FALSE)
                pc = code_words(wane_peek(&((struct closure *)base[-1].object)->code)) + i;
            else
                sp--;
            break;
        case OP_CALL:
        case OP_TAIL_CALL:
            if (--fuel == 0) {
                OUT();
                rest(f);
                fuel = FUEL;
            }
            TRY(call(f, pc, i, OPERATION(word) == OP_TAIL_CALL));
            break;
        case OP_APPLY:
        case OP_TAIL_APPLY: TRY(apply(f, pc, i, OPERATION(word) == OP_TAIL_APPLY)); break;
        case OP_RETURN:
            OUT();
            if (fiber_result_is_final(f))
                return DONE;
            IN();
            break;
        case OP_BUILT_IN:
            pc++;
            TRY(fiber_call_primitive(f, primitive_at(i), at[1], 0));
            break;
        case OP_ADD:
            if (ARE_NUMBERS(sp[-2], sp[-1]) && !__builtin_add_overflow(sp[-2].number, sp[-1].number, &n))
                sp--, sp[-1] = number(n);
            else
                TRY(by_name(f, "+", 2));
            break;
        case OP_SUBTRACT:
            if (ARE_NUMBERS(sp[-2], sp[-1]) && !__builtin_sub_overflow(sp[-2].number, sp[-1].number, &n))
                sp--, sp[-1] = number(n);
            else
                TRY(by_name(f, "-", 2));
            break;
        case OP_EQUAL:
            if (ARE_NUMBERS(sp[-2], sp[-1]))
                sp--, sp[-1] = truth(sp[-1].number == sp[0].number);
            else
                TRY(by_name(f, "=", 2));
            break;
        case OP_LESS:
            if (ARE_NUMBERS(sp[-2], sp[-1]))
                sp--, sp[-1] = truth(sp[-1].number < sp[0].number);
            else
                TRY(by_name(f, "<", 2));
            break;
        case OP_CAR:
            if (sp[-1].kind == PAIR)
                sp[-1] = part(sp[-1], &((struct pair *)sp[-1].object)->car);
            else
                REQUIRE(fail(f, "car of what is no pair"));
            break;
        case OP_CDR:
            if (sp[-1].kind == PAIR)
                sp[-1] = part(sp[-1], &((struct pair *)sp[-1].object)->cdr);
            else
                REQUIRE(fail(f, "cdr of what is no pair"));
            break;
        case OP_CONS: {
            struct pair *p = pair_new(sp[-2], sp[-1]);

            if (!p)
                REQUIRE(fail(f, "no memory"));
            sp--;
            sp[-1] = owned(PAIR, p);
            break;
        }
        case OP_IS_NULL:
        case OP_IS_PAIR:
        case OP_NOT:
            v = sp[-1];
            sp[-1] = truth(v.kind == (OPERATION(word) == OP_IS_NULL ? NIL : OPERATION(word) == OP_IS_PAIR ? PAIR : FALSE));
            drop(v);
            break;
        case OP_IS_EQ:
            n = is_same(sp[-2], sp[-1]);
            drop(*--sp);
            drop(sp[-1]);
            sp[-1] = truth(n);
            break;
        case OP_VECTOR_REF:
            if (sp[-2].kind == VECTOR && sp[-1].kind == NUMBER &&
                (uint64_t)sp[-1].number < ((struct vector *)sp[-2].object)->count) {
                sp--;
                sp[-1] = part(sp[-1], &((struct vector *)sp[-1].object)->at[sp->number]);
            } else {
                TRY(by_name(f, "vector-ref", 2));
            }
            break;
        }
    }
out:
    if (outcome == PARKED)
        f->pc = at; /* once more, when something has come */
    return outcome;
}

static bool
begin(struct fiber *f)
{
    struct closure *c = f->stack[0].object;
    size_t          count = 0;

    if (f->stack[0].kind != CLOSURE)
        return fail(f, "a task is a procedure");
    if (!fiber_arrange(f, wane_peek(&c->code), &count))
        return false;
    f->base = 1;
    f->pc = code_words(wane_peek(&c->code));
    return true;
}

enum outcome
fiber_run(struct fiber *f)
{
    enum outcome outcome = f->pc || begin(f) ? execute(f) : FAILED;

    if (outcome == FAILED) {
        fiber_drop_to(f, 0);
        f->frame_count = 0;
    }
    return outcome;
}
