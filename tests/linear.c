/* SPDX-License-Identifier: MIT */
#include "linear.h"

#include <stdlib.h>
#include <string.h>

#define SEEN ((size_t)1 << 15) /* a power of two, above the pairs of sets and states of the histories we have */

struct seen {
    unsigned      round; /* valid in this search only */
    unsigned      set;
    unsigned char state[LINEAR_STATE];
};

struct search {
    const struct linear_history *history;
    const struct linear_model   *model;
};

static struct seen seen[SEEN];
static size_t      seen_count;
static unsigned    search_round;

static uint64_t
hash(unsigned set, const unsigned char *state, size_t size)
{
    uint64_t h = set + UINT64_C(0xcbf29ce484222325);

    for (size_t i = 0; i < size; i++)
        h = (h ^ state[i]) * UINT64_C(0x100000001b3);
    return h ^ (h >> 29);
}

/* False: this set of calls has led to this state before. */
static bool
note(unsigned set, const unsigned char *state, size_t size)
{
    size_t at = hash(set, state, size) & (SEEN - 1);

    for (; seen[at].round == search_round; at = (at + 1) & (SEEN - 1))
        if (seen[at].set == set && memcmp(seen[at].state, state, size) == 0)
            return false;
    if (++seen_count > SEEN / 2) {
        fprintf(stderr, "linear: too many states\n");
        abort();
    }
    seen[at].round = search_round;
    seen[at].set = set;
    memcpy(seen[at].state, state, size);
    return true;
}

/* The first end among the calls that are still to be placed: what began later cannot come next. */
static unsigned
first_end(const struct linear_history *h, unsigned set)
{
    unsigned first = UINT32_MAX;

    for (unsigned i = 0; i < h->count; i++)
        if (!(set & 1u << i) && h->call[i].over < first)
            first = h->call[i].over;
    return first;
}

/* `set` has been placed and has led to `state`. Can the rest be placed? */
static bool
place(const struct search *s, unsigned set, const unsigned char *state)
{
    const struct linear_history *h = s->history;
    unsigned                     end = first_end(h, set);
    unsigned char                next[LINEAR_STATE];

    if (set == (1u << h->count) - 1)
        return true;
    for (unsigned i = 0; i < h->count; i++) {
        if (set & 1u << i || h->call[i].begun > end)
            continue;
        memcpy(next, state, sizeof next);
        if (s->model->step(next, &h->call[i]) && note(set | 1u << i, next, s->model->state_size) &&
            place(s, set | 1u << i, next))
            return true;
    }
    return false;
}

bool
linear_check(const struct linear_history *history, const struct linear_model *model, const void *start)
{
    struct search s = {history, model};
    unsigned char state[LINEAR_STATE] = {0};

    if (history->count > LINEAR_CALLS || model->state_size > LINEAR_STATE)
        abort();
    memcpy(state, start, model->state_size);
    search_round++;
    seen_count = 0;
    return place(&s, 0, state);
}

unsigned
linear_overlaps(const struct linear_history *h)
{
    unsigned n = 0;

    for (unsigned i = 0; i < h->count; i++)
        for (unsigned k = 0; k < i; k++)
            n += h->call[i].begun < h->call[k].over && h->call[k].begun < h->call[i].over;
    return n;
}

void
linear_print(FILE *to, const struct linear_history *h, const struct linear_model *model)
{
    for (unsigned i = 0; i < h->count; i++) {
        const struct linear_call *c = &h->call[i];

        fprintf(to, "# thread %d, ticks %u to %u: %s(%llu, %llu) = %llu\n", c->thread, c->begun, c->over,
                model->kinds[c->kind], (unsigned long long)c->arg[0], (unsigned long long)c->arg[1],
                (unsigned long long)c->result);
    }
}
