/* SPDX-License-Identifier: MIT
 *
 * lanes.c - threads that work through the lists of a program
 */
#include "world.h"

#include <pthread.h>
#include <stdlib.h>

bool
lane_work(struct lane *l)
{
    bool turn = false;

    while (!turn && l->next < l->program->count[l->number]) {
        struct op op = l->program->op[l->number][l->next];

        turn = op.code == OP_TURN;
        if (!turn)
            lane_do(l, op, (int32_t)(l->number * MAX_OPS + l->next));
        l->next++;
    }
    lane_close(l, !turn);
    return turn;
}

struct turn {
    struct lane *lane;
    pthread_t    last; /* whose turn it was before */
    bool         first;
};

static void *run_turn(void *);

static pthread_t
start(struct turn turn)
{
    struct turn *t = malloc(sizeof *t);
    pthread_t    thread;

    if (!t)
        world_fail("no memory for a thread");
    *t = turn;
    if (pthread_create(&thread, NULL, run_turn, t) != 0)
        world_fail("no thread can be made");
    return thread;
}

static pthread_barrier_t all_begin, all_end;

/* A thread ends while the next one of its lane works: that one joins it. */
static void *
run_turn(void *arg)
{
    struct turn t = *(struct turn *)arg;
    bool        more;

    free(arg);
    if (t.first)
        (void)pthread_barrier_wait(&all_begin);
    more = lane_work(t.lane);
    if (!t.first)
        pthread_join(t.last, NULL);
    if (more) {
        (void)start((struct turn){.lane = t.lane, .last = pthread_self()});
    } else {
        t.lane->thread = pthread_self();
        (void)pthread_barrier_wait(&all_end);
    }
    return NULL;
}

void
program_run(bool here)
{
    if (here) {
        for (unsigned i = 0; i < world.lanes; i++)
            while (lane_work(&world.lane[i]))
                ;
        return;
    }
    pthread_barrier_init(&all_begin, NULL, world.lanes);
    pthread_barrier_init(&all_end, NULL, world.lanes + 1);
    for (unsigned i = 0; i < world.lanes; i++)
        (void)start((struct turn){.lane = &world.lane[i], .first = true});
    (void)pthread_barrier_wait(&all_end);
    for (unsigned i = 0; i < world.lanes; i++)
        pthread_join(world.lane[i].thread, NULL);
    pthread_barrier_destroy(&all_begin);
    pthread_barrier_destroy(&all_end);
}
