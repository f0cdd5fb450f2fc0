/* SPDX-License-Identifier: MIT
 *
 * part.h - tracing a wide object in parts, each in a section of its own
 *
 * A trace callback shows its slots in an order that does not depend on what is in them (wane.h). So one that is called again,
 * in a later section, can skip what was seen: slots have positions. Skipping costs a step for each slot or array that is shown;
 * an object of many steps is done in sixteen parts or so, however wide.
 *
 * What may go wrong between two parts, and how it is seen
 *   The slots have moved: an array was replaced by a copy, from which an element is missing or which has one more. A unit might
 *   be seen twice or not at all. Each call adds the addresses of all that it shows to a print; another address, another print.
 *   The address is the same, but the memory was freed and is another array's: that takes a grace period. None that began after
 *   the ticket taken before the first part has ended while wn_grace_done(ticket) is false.
 * In the first case the object is in use. In the second nothing is known, and it is traced whole in one section (wn_part_all).
 * The first phase, whose answer is a guess, need not look.
 */
#ifndef WN_PART_H
#define WN_PART_H

#include "type.h"

#define WN_PART_SLOTS 512

struct wn_part {
    size_t   from, to; /* positions shown by this call */
    size_t   at;       /* the next position */
    size_t   steps;    /* what the callback has shown one by one: slots, arrays */
    uint64_t print;
};

static inline struct wn_part
wn_part_first(void)
{
    return (struct wn_part){.to = WN_PART_SLOTS};
}

static inline struct wn_part
wn_part_all(void)
{
    return (struct wn_part){.to = SIZE_MAX};
}

/* After a call: were there more slots? */
static inline bool
wn_part_is_last(const struct wn_part *p)
{
    return p->at <= p->to;
}

static inline struct wn_part
wn_part_next(const struct wn_part *p)
{
    size_t most = p->steps / 16 > WN_PART_SLOTS ? p->steps / 16 : WN_PART_SLOTS;

    return (struct wn_part){.from = p->to, .to = p->to + most};
}

static inline void
wn_part_add_to_print(struct wn_part *p, uintptr_t what)
{
    p->print = (p->print ^ what) * UINT64_C(0x9E3779B97F4A7C15);
    p->print ^= p->print >> 32;
}

/* A slot of its own: is it in this part? */
static inline bool
wn_part_has(struct wn_part *p, const wane_slot *slot)
{
    size_t i = p->at++;

    p->steps++;
    wn_part_add_to_print(p, (uintptr_t)slot);
    return i >= p->from && i < p->to;
}

/* An array: the numbers of its elements that are in this part are *begin up to *end. */
static inline void
wn_part_of_array(struct wn_part *p, const wane_slot *first, size_t count, size_t *begin, size_t *end)
{
    size_t at = p->at;

    p->at += count;
    p->steps++;
    wn_part_add_to_print(p, (uintptr_t)first);
    wn_part_add_to_print(p, count);
    *begin = p->from > at ? p->from - at : 0;
    *end = p->to > at ? p->to - at : 0;
    if (*end > count)
        *end = count;
}

#endif
