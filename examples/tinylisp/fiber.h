/* SPDX-License-Identifier: MIT
 *
 * fiber.h - between the loop (run.c) and what it leaves to fiber.c. All work on f->stack and f->used; false: f->error says why
 */
#ifndef FIBER_H
#define FIBER_H

#include "lisp.h"

void fiber_drop_to(struct fiber *f, size_t height);

/* Room for a callee below `count` arguments, and the arguments as its parameters want them; count is corrected. */
bool fiber_arrange(struct fiber *f, const struct code *code, size_t *count);
bool fiber_push_frame(struct fiber *f, const uint32_t *pc, size_t base);
void fiber_replace_frame(struct fiber *f, size_t count);
bool fiber_spread(struct fiber *f, size_t *count); /* the list on top becomes arguments */

/* With the arguments on top: they go, with `below` entries below them, and the result comes. */
enum outcome fiber_call_primitive(struct fiber *f, const struct primitive *p, size_t count, size_t below);

bool fiber_make_closure(struct fiber *f, struct code *code, const uint32_t *captures);
bool fiber_make_box(struct fiber *f, struct value *entry);
void fiber_set_local(struct value *entry, struct value *top);
bool fiber_set_global(struct fiber *f, struct symbol *s, struct value *top, bool define);
void fiber_slide(struct fiber *f, size_t count);

/* The top is what the frame returns: true if that was the last frame. f->pc and f->base are the caller's then. */
bool fiber_result_is_final(struct fiber *f);

#endif
