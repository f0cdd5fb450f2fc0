/* SPDX-License-Identifier: MIT */
#include "shrink.h"

#include <string.h>
#include <time.h>

#define MOST_TIMES 3000
#define PATIENCE   60 /* seconds, for all */

struct search {
    struct program *p;
    uint64_t        environment, times;
    time_t          end;
};

static bool
fails(const struct search *s, const struct program *p)
{
    return time(NULL) < s->end && attempt_fails(&(struct attempt){p, s->environment, s->times, true});
}

/* How often it must run to fail: found by doubling, then with some to spare. */
static bool
find_times(struct search *s)
{
    for (s->times = 1; s->times <= MOST_TIMES; s->times *= 4)
        if (fails(s, s->p)) {
            s->times *= 4;
            return true;
        }
    return false;
}

static bool
without_lane(struct search *s, unsigned lane)
{
    struct program q = *s->p;

    if (q.lanes == 1)
        return false;
    q.lanes--;
    memmove(&q.op[lane], &q.op[lane + 1], (q.lanes - lane) * sizeof q.op[0]);
    memmove(&q.count[lane], &q.count[lane + 1], (q.lanes - lane) * sizeof q.count[0]);
    if (!fails(s, &q))
        return false;
    *s->p = q;
    return true;
}

static bool
without_ops(struct search *s, unsigned lane, unsigned from, unsigned n)
{
    struct program q = *s->p;

    memmove(&q.op[lane][from], &q.op[lane][from + n], (q.count[lane] - from - n) * sizeof q.op[0][0]);
    q.count[lane] -= n;
    if (!fails(s, &q))
        return false;
    *s->p = q;
    return true;
}

static void
shrink_lane(struct search *s, unsigned lane)
{
    for (unsigned n = (s->p->count[lane] + 1) / 2; n > 0; n /= 2)
        for (unsigned from = 0; from < s->p->count[lane];) {
            unsigned some = n < s->p->count[lane] - from ? n : s->p->count[lane] - from;

            if (!without_ops(s, lane, from, some))
                from += some;
        }
}

bool
shrink(struct program *p, uint64_t environment)
{
    struct search s = {.p = p, .environment = environment, .end = time(NULL) + PATIENCE};

    if (!find_times(&s))
        return false;
    for (unsigned lane = 0; lane < p->lanes;)
        if (!without_lane(&s, lane))
            lane++;
    for (unsigned lane = 0; lane < p->lanes; lane++)
        shrink_lane(&s, lane);
    return true;
}
