/* SPDX-License-Identifier: MIT
 *
 * random.c - random programs (stress/random) under the scheduler: one after the other, some tens of schedules of each
 *
 * Number n is what its generator makes of seed n, cut to a length at which schedules matter more than what went before. A lane is
 * an actor; one that takes turns (`turn` ends a thread) leaves its work to threads, as long as there is room for them. When all
 * have ended the census looks at everything, as after every random program.
 */
#include "search.h"

#include <string.h>

#include "../../stress/random/shrink.h"
#include "../../stress/random/world.h"

#define OFTEN      16 /* schedules of one program */
#define LIBRARY    3 /* threads that the library may start */
#define MOST_TRIED 2000

/* Outside of what is put back before each run. */
static struct {
    struct program   program;
    bool             is_made, is_given;
    struct ex_found *found; /* of attempts */
} *plan;

void
ex_random_begin(void)
{
    plan = calloc(1, sizeof *plan);
}

static void
cut(struct program *p)
{
    uint64_t state = ~p->seed;
    unsigned most = 6 + (unsigned)(random_next(&state) >> 16) % 40;

    if (p->lanes == 1)
        p->lanes = 2;
    for (unsigned lane = 0; lane < p->lanes; lane++)
        p->count[lane] = p->count[lane] < most ? p->count[lane] : most;
}

void
ex_random_choose(uint64_t seed)
{
    if (plan->is_given || (plan->is_made && plan->program.seed == seed))
        return;
    program_generate(&plan->program, seed);
    cut(&plan->program);
    plan->is_made = true;
}

void
ex_random_draw(uint64_t seed, uint64_t number)
{
    ex_random_choose(seed + number / OFTEN);
}

uint64_t
ex_random_seed(void)
{
    return plan->program.seed;
}

bool
ex_random_read(const char *name)
{
    FILE *from = fopen(name, "r");

    plan->is_given = from && program_read(&plan->program, from);
    if (from)
        fclose(from);
    return plan->is_given;
}

/* ---- One that fails ---------------------------------------------------------------------------------------------------- */

bool
attempt_fails(const struct attempt *a)
{
    struct program before = plan->program;

    plan->program = *a->program;
    ex_search(ex->program, EX_BY_BOTH, 1, a->times < MOST_TRIED ? a->times : MOST_TRIED, 0, 0, plan->found);
    plan->program = before;
    return plan->found->failed;
}

bool
ex_random_shrink(struct ex_found *found)
{
    bool smaller;

    plan->found = found;
    plan->is_given = ex->hurries = true; /* no other one is drawn meanwhile */
    smaller = shrink(&plan->program, 0);
    ex->hurries = false;
    if (smaller)
        smaller = attempt_fails(&(struct attempt){.program = &plan->program, .times = MOST_TRIED});
    program_print(&plan->program, stdout);
    plan->is_given = false;
    plan->is_made = true;
    return smaller;
}

/* ---- A run ------------------------------------------------------------------------------------------------------------- */

static void
begin(void)
{
    EXPECT(plan->is_made || plan->is_given);
    world_begin(&plan->program);
    world_patience = 200 + ex->plan.step_ns / 5; /* 200 milliseconds, 200000 points */
}

static void
begin_alone(void)
{
    (void)wane_use_threads(false);
    begin();
}

static void *
take_turn(void *lane)
{
    struct lane *l = lane;

    while (lane_work(l) && ex_threads() + LIBRARY >= EX_THREADS)
        ;
    return NULL;
}

static bool
takes_turns(const struct lane *l)
{
    for (unsigned i = 0; i < l->program->count[l->number]; i++)
        if (l->program->op[l->number][i].code == OP_TURN)
            return true;
    return false;
}

static void
work(unsigned number)
{
    struct lane *l = &world.lane[number];
    pthread_t    thread;

    if (number >= world.lanes)
        return;
    if (!takes_turns(l)) {
        (void)lane_work(l);
        return;
    }
    do {
        if (ex_threads() + LIBRARY >= EX_THREADS) {
            (void)take_turn(l);
            return;
        }
        (void)pthread_create(&thread, NULL, take_turn, l);
        (void)pthread_join(thread, NULL);
    } while (l->next < l->program->count[number]);
}

static void first(void) { work(0); }
static void second(void) { work(1); }
static void third(void) { work(2); }
static void fourth(void) { work(3); }

const struct ex_program random_programs = {
    .name = "random",
    .scenario = "random programs of seeds N, N + 1 ..; the library has threads",
    .prepare = begin, .act = {first, second, third, fourth}, .check = world_census, .background = true, .random = true,
};

const struct ex_program random_alone = {
    .name = "random_alone",
    .scenario = "random programs, where the library has neither threads nor membarrier",
    .prepare = begin_alone, .act = {first, second, third, fourth}, .check = world_census, .fences = true, .random = true,
};
