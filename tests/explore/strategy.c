/* SPDX-License-Identifier: MIT
 *
 * strategy.c - who goes on at this point?
 *
 *   replay  what the plan says, else the default; an exhaustive search replays plans that it makes up (search.c)
 *   random  after a random number of points, a random thread
 *   PCT     the thread with the highest priority that can go on; priorities are random, and at depth - 1 random places the
 *           running thread gets the lowest. A place is a point of a random thread, so that short threads are not passed over
 *           beside a collector, or a named step of one, of which there are fewer
 *
 * Source of the last: Burckhardt, Kothari, Musuvathi, Nagarakatte, A randomized scheduler with probabilistic guarantees of
 * finding bugs, ASPLOS 2010.
 */
#include "explore.h"

#define MOST_CHANGES 8

uint32_t ex_ask_point[EX_THREADS], ex_ask_named[EX_THREADS];

static struct {
    uint64_t random;
    uint64_t next;
    uint64_t gap;
    unsigned holds, early; /* chances in 16: stores stay in the buffer; a sleeper wakes before its time */
    struct change {
        unsigned thread;
        bool     named, done;
        uint32_t at;
    } change[MOST_CHANGES]; /* of priorities */
    unsigned changes, done;
    int64_t  priority[EX_THREADS];
    uint32_t cursor[EX_THREADS]; /* replay: each thread's next choice in the plan */
} s;

static uint64_t
below(uint64_t n)
{
    return ex_random(&s.random) % n;
}

static unsigned
one_of(uint16_t set)
{
    uint64_t n = below((uint64_t)__builtin_popcount(set));

    while (n--)
        set &= (uint16_t)(set - 1);
    return (unsigned)__builtin_ctz(set);
}

/* ---- Replay ------------------------------------------------------------------------------------------------------------ */

static void
find_next(unsigned thread, uint32_t from)
{
    while (from < ex->plan.count && ex->plan.choice[from].at != thread)
        from++;
    s.cursor[thread] = from;
}

static bool
replay(const struct ex_view *v, struct ex_choice *c)
{
    uint32_t *i = &s.cursor[v->self];

    while (*i < ex->plan.count && ex->plan.choice[*i].point < v->point)
        find_next(v->self, *i + 1);
    if (*i == ex->plan.count || ex->plan.choice[*i].point != v->point)
        return false;
    *c = ex->plan.choice[*i];
    find_next(v->self, *i + 1);
    return true;
}

/* ---- Random ------------------------------------------------------------------------------------------------------------ */

static uint8_t
kept(const struct ex_view *v)
{
    uint8_t n = v->stores[v->self];

    return n && below(16) < s.holds ? (uint8_t)(below(2) ? n : 1 + below(n)) : 0;
}

static bool
drain_somebody(const struct ex_view *v, struct ex_choice *c)
{
    uint16_t who = 0;

    for (unsigned t = 0; t < EX_THREADS; t++)
        if (t != v->self && v->stores[t])
            who |= (uint16_t)(1u << t);
    if (!who)
        return false;
    c->kind = EX_DRAIN;
    c->to = (uint8_t)one_of(who);
    c->count = (uint8_t)(1 + below(v->stores[c->to]));
    return true;
}

static bool
choose_randomly(const struct ex_view *v, struct ex_choice *c)
{
    uint16_t others = v->ready & (uint16_t)~(1u << v->self);

    if (!v->forced && v->step < s.next)
        return false;
    s.next = v->step + 1 + below(2 * s.gap);
    if (!v->forced && below(4) == 0 && drain_somebody(v, c))
        return true;
    if (below(16) < s.early)
        others |= v->sleeping;
    if (!others)
        return false;
    c->to = (uint8_t)one_of(others);
    c->count = kept(v);
    return true;
}

/* ---- PCT --------------------------------------------------------------------------------------------------------------- */

/* When does this thread next come to a change? */
static void
ask_again(unsigned thread)
{
    ex_ask_point[thread] = ex_ask_named[thread] = UINT32_MAX;
    for (unsigned i = 0; i < s.changes; i++) {
        struct change *c = &s.change[i];
        uint32_t      *at = c->named ? &ex_ask_named[thread] : &ex_ask_point[thread];

        if (c->thread == thread && !c->done && c->at < *at)
            *at = c->at;
    }
}

static bool
change_priorities(const struct ex_view *v)
{
    bool changed = false;

    for (unsigned i = 0; i < s.changes; i++) {
        struct change *c = &s.change[i];

        if (c->thread == v->self && !c->done && (c->named ? v->named : v->point) >= c->at) {
            c->done = changed = true;
            s.priority[v->self] = -(int64_t)++s.done;
        }
    }
    if (changed)
        ask_again(v->self);
    return changed;
}

static bool
choose_by_priority(const struct ex_view *v, struct ex_choice *c)
{
    bool changed = change_priorities(v);

    s.next = v->wakes_in == UINT64_MAX ? UINT64_MAX : v->step + v->wakes_in;
    if (changed && !v->forced && below(3) == 0 && drain_somebody(v, c))
        return true;
    if (!v->ready)
        return false;
    c->to = (uint8_t)__builtin_ctz(v->ready);
    for (unsigned t = c->to; t < EX_THREADS; t++)
        if ((v->ready & (1u << t)) && s.priority[t] > s.priority[c->to])
            c->to = (uint8_t)t;
    if (c->to != v->self)
        c->count = kept(v);
    return true;
}

static void
begin_priorities(void)
{
    uint16_t known = 0;

    for (unsigned t = 0; t < EX_THREADS; t++) {
        s.priority[t] = (int64_t)(ex_random(&s.random) >> 8);
        if (t && ex->expected[t].points) /* the main thread only waits */
            known |= (uint16_t)(1u << t);
    }
    if (!known)
        return;
    for (s.changes = 0; s.changes < MOST_CHANGES && s.changes < ex->depth - 1; s.changes++) {
        unsigned t = one_of(known);
        bool     named = ex->expected[t].named && below(2);

        s.change[s.changes] = (struct change){t, named, false, named ? ex_thread_named(t) + 1 +
                                              (uint32_t)below(ex->expected[t].named) : ex_thread_points(t) + 1 +
                                              (uint32_t)below(ex->expected[t].points)};
    }
    for (unsigned t = 0; t < EX_THREADS; t++)
        ask_again(t);
}

/* ---- Either ------------------------------------------------------------------------------------------------------------ */

void
ex_strategy_begin(void)
{
    static const uint64_t gaps[] = {2, 6, 20, 60, 200, 800};

    s.random = ex->seed;
    s.gap = gaps[below(sizeof gaps / sizeof *gaps)];
    s.holds = (unsigned)below(17);
    s.early = (unsigned)below(3) * 2;
    s.next = 0;
    for (unsigned t = 0; t < EX_THREADS; t++)
        find_next(t, 0);
    if (ex->strategy == EX_PCT)
        begin_priorities();
}

uint64_t
ex_strategy_next(uint64_t step)
{
    return ex->strategy == EX_REPLAY ? step + 1 : s.next;
}

bool
ex_strategy_choose(const struct ex_view *v, struct ex_choice *c)
{
    if (ex->strategy == EX_REPLAY)
        return replay(v, c);
    if (ex->strategy == EX_RANDOM)
        return choose_randomly(v, c);
    return choose_by_priority(v, c);
}
