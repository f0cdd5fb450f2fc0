/* SPDX-License-Identifier: MIT
 *
 * query.c - breadth first through packages, lists, clauses and provides
 *
 * Nothing is counted on the way: what is found is borrowed. So that no grace period waits long, a section ends after
 * some packages or some time; what is found and not walked yet is retained across the gap. References of the gap before
 * are released only after that: what was borrowed through them is held by then.
 *
 * The set of what was seen holds ids, not addresses: an address may be another object's after the gap.
 */
#include "query.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#define FOUND_LIMIT   600u
#define SEEN_BITS     11
#define SEEN_SIZE     (1u << SEEN_BITS) /* above FOUND_LIMIT */
#define CHECK_EVERY   16u   /* packages between two looks at the clock */
#define SECTION_LIMIT UINT64_C(300000)

uint64_t
now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

void
query_init(struct query *q, const struct maker *maker)
{
    *q = (struct query){.maker = maker};
    q->row = need(FOUND_LIMIT, sizeof *q->row);
    q->seen = need(SEEN_SIZE, sizeof *q->seen);
}

void
query_free(struct query *q)
{
    free(q->row);
    free(q->seen);
}

/* False: it was in the set. */
static bool
see(struct query *q, uint64_t id)
{
    size_t i = id * UINT64_C(0x9E3779B97F4A7C15) >> (64 - SEEN_BITS);

    for (; q->seen[i]; i = (i + 1) & (SEEN_SIZE - 1)) {
        if (q->seen[i] == id)
            return false;
    }
    q->seen[i] = id;
    return true;
}

/* Checks what was borrowed. NULL: there is nothing, or it is damaged. */
static void *
checked(struct query *q, void *object, enum kind kind)
{
    if (object && graph_kind(object) == kind)
        return object;
    q->damaged += object != NULL;
    return NULL;
}

static void
find(struct query *q, void *target)
{
    if (target && graph_kind(target) == KIND_PROVIDE)
        target = wane_peek(&((struct list *)target)->slots[0]);
    target = checked(q, target, KIND_PACKAGE);
    if (!target)
        q->missing++;
    else if (q->found < FOUND_LIMIT && see(q, graph_head(target)->id))
        q->row[q->found++] = target;
}

static void
walk_package(struct query *q, struct package *package)
{
    struct list *depends = checked(q, wane_peek(&package->depends), KIND_DEPENDS), *clause;
    uint32_t     i, j;

    checked(q, wane_peek(&package->source), KIND_SOURCE);
    checked(q, wane_peek(&package->provides), KIND_PROVIDES);
    for (i = 0; depends && i < depends->count; i++) {
        clause = checked(q, wane_peek(&depends->slots[i]), KIND_CLAUSE);
        for (j = 0; clause && j < clause->count; j++)
            find(q, wane_peek(&clause->slots[j]));
    }
}

/* Retains what comes next, then lets go of what was retained for this section. */
static void
hold_rest(struct query *q)
{
    uint32_t i, old_end = q->held_to < q->done ? q->held_to : q->done;

    for (i = q->held_to > q->done ? q->held_to : q->done; i < q->found; i++)
        wane_retain(q->row[i]);
    for (i = q->held_from; i < old_end; i++)
        wane_release(q->row[i]);
    q->held_from = q->done;
    q->held_to = q->found;
}

static bool
section_is_long(const struct query *q, uint64_t start)
{
    return q->done % CHECK_EVERY == 0 && now_ns() - start > SECTION_LIMIT;
}

static void
walk_section(struct query *q)
{
    uint64_t start = now_ns();

    while (q->done < q->found) {
        walk_package(q, q->row[q->done++]);
        if (section_is_long(q, start))
            break;
    }
    hold_rest(q);
}

uint32_t
query_run(struct query *q, uint32_t entry)
{
    memset(q->seen, 0, SEEN_SIZE * sizeof *q->seen);
    q->found = q->done = q->held_from = q->held_to = q->missing = 0;
    WANE_SECTION {
        void *package = checked(q, graph_find(q->maker, entry), KIND_PACKAGE);

        if (package) {
            q->row[q->found++] = package;
            see(q, graph_head(package)->id);
            walk_section(q);
        }
    }
    while (q->done < q->found) {
        WANE_SECTION
            walk_section(q);
    }
    return q->found;
}
