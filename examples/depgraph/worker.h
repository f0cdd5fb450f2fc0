/* SPDX-License-Identifier: MIT
 *
 * worker.h - the mutators: threads that query and change the graph until they are told to stop
 */
#ifndef DEPGRAPH_WORKER_H
#define DEPGRAPH_WORKER_H

#include "change.h"
#include "query.h"

#include <pthread.h>

enum phase { PHASE_RUN, PHASE_REST, PHASE_STOP };

struct gate {
    atomic_int      phase;
    pthread_mutex_t lock;
    pthread_cond_t  changed;
    uint32_t        resting; /* under lock: threads between two operations that wait, or are done */
};

struct worker {
    struct changer changer;
    struct query   query;
    struct gate   *gate;
    pthread_t      thread;
    uint64_t       random;
    uint64_t       next_change; /* when, in ns */
    atomic_ullong  queries, found, changes, relinked, damaged; /* written by the worker */
    atomic_ullong  slowest;                                    /* query, in ns; others set it back to 0 */
    char           padding[64];
};

void gate_init(struct gate *gate);
void gate_rest(struct gate *gate, uint32_t workers); /* returns when all rest */
void gate_run(struct gate *gate);
void gate_stop(struct gate *gate);

void worker_start(struct worker *worker); /* its changer, gate and random are set */
void worker_join(struct worker *worker);

#endif
