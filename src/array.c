/* SPDX-License-Identifier: MIT
 *
 * array.c - a fixed number of slots behind a constant length
 *
 * Invariants: the length is written before the array can be reached by anybody else, and never again; the slots are a
 * part of the object, so they live as long as it does.
 *
 * Tracing while it changes: trace reads a constant and shows every slot once. What happens to a single slot meanwhile
 * is the business of the slot operations, which are the only way to a slot. No memory is replaced, nothing is deferred.
 *
 * Orderings: none of its own. The length travels with the array's address (edge E5 of the slot it is read from).
 */
#include <wane/containers.h>
#include <wane/observe.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

struct wane_array {
    size_t    length; /* c */
    wane_slot slots[];
};

#define LENGTH_MAX ((PTRDIFF_MAX / 2 - sizeof(struct wane_array)) / sizeof(wane_slot))

static void
trace(const void *object, struct wane_visitor *visitor)
{
    const struct wane_array *array = object;

    /* Not by the length: it may not be written yet. */
    wane_visit_array(visitor, array->slots, (wane_size_of(object) - sizeof *array) / sizeof(wane_slot));
}

static struct wane_type array_type = {
    .name = "wane_array",
    .size = sizeof(struct wane_array),
    .trace = trace,
    .flags = WANE_SIZED | WANE_TRACED_EARLY,
};

struct wane_array *
wane_array_new(size_t length)
{
    struct wane_array *array;

    if (length > LENGTH_MAX) {
        errno = ENOMEM;
        return NULL;
    }
    array = wane_new_sized(&array_type, sizeof *array + length * sizeof(wane_slot));
    if (array)
        array->length = length;
    return array;
}

size_t
wane_array_length(const struct wane_array *array)
{
    return array->length;
}

wane_slot *
wane_array_slot(const struct wane_array *array, size_t i)
{
    if (i >= array->length) {
        fprintf(stderr, "wane: wane_array_slot: index %zu is not below the length %zu\n", i, array->length);
        abort();
    }
    return (wane_slot *)&array->slots[i];
}
