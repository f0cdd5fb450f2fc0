/* SPDX-License-Identifier: MIT
 *
 * linear_trial.h - three threads make thousands of short histories, each of which is checked (linear.h)
 *
 * A round begins with `prepare`, has each thread do a few calls, and ends with `settle`; the first and the last are one
 * thread's. What a call does is chosen before its first tick, so that between the ticks there is the call alone. In it the
 * thread yields here and there, at the library's named steps and where a test has put trial_pause.
 */
#ifndef LINEAR_TRIAL_H
#define LINEAR_TRIAL_H

#include "scene.h"

#include "linear.h"

#define TRIAL_THREADS 3
#define TRIAL_EACH    (LINEAR_CALLS / TRIAL_THREADS)

struct trial {
    const struct linear_model *model;
    void (*prepare)(void *start); /* and the state that the model starts from, zeroed before */
    bool (*choose)(struct linear_call *call, uint64_t random); /* kind, arguments. False: this thread does nothing now */
    void (*perform)(struct linear_call *call);                 /* result */
    void (*settle)(void);
    long rounds;

    /* what came out */
    long rejected;    /* histories that are not linearizable */
    long overlapping; /* histories with calls that overlap */
    struct linear_history first; /* that was rejected */

    /* private */
    struct gate           gate;
    atomic_bool           over;
    atomic_uint           clock;
    struct linear_history part[TRIAL_THREADS];
};

static __thread uint64_t trial_pauses; /* a random state; 0 outside of calls */

static inline void
trial_pause(void)
{
    if (trial_pauses && random_next(&trial_pauses) % 4 == 0)
        sched_yield();
}

extern void (*wn_step_hook)(const char *point);

static inline void
trial_step(const char *point)
{
    (void)point;
    trial_pause();
}

static inline void
trial_part(struct trial *t, int thread, uint64_t *seed)
{
    struct linear_history *h = &t->part[thread];
    unsigned               calls = 2 + (unsigned)(random_next(seed) % (TRIAL_EACH - 1));

    h->count = 0;
    for (unsigned i = 0; i < calls; i++) {
        struct linear_call *c = &h->call[h->count];

        *c = (struct linear_call){.thread = thread};
        hesitate(seed, 200);
        if (!t->choose(c, random_next(seed) >> 8))
            continue;
        c->begun = atomic_fetch_add(&t->clock, 1);
        trial_pauses = random_next(seed);
        trial_pause();
        t->perform(c);
        trial_pauses = 0;
        c->over = atomic_fetch_add(&t->clock, 1);
        h->count++;
    }
}

struct trial_side {
    struct trial *trial;
    int           thread;
};

static inline void *
trial_side(void *arg)
{
    struct trial_side *side = arg;
    uint64_t           seed = 0x9e3779b97f4a7c15 * (uint64_t)(side->thread + 1);

    for (;;) {
        gate_wait(&side->trial->gate);
        if (atomic_load(&side->trial->over))
            return NULL;
        trial_part(side->trial, side->thread, &seed);
        gate_wait(&side->trial->gate);
    }
}

static inline void
trial_judge(struct trial *t, const void *start)
{
    struct linear_history whole = {0};

    for (int i = 0; i < TRIAL_THREADS; i++)
        for (unsigned k = 0; k < t->part[i].count; k++)
            whole.call[whole.count++] = t->part[i].call[k];
    t->overlapping += linear_overlaps(&whole) > 0;
    if (linear_check(&whole, t->model, start))
        return;
    if (!t->rejected++)
        t->first = whole;
}

/* Until the rounds are over, or `enough` histories were rejected. */
static inline void
trial_run(struct trial *t, long enough)
{
    struct trial_side side[TRIAL_THREADS];
    pthread_t         thread[TRIAL_THREADS];
    uint64_t          seed = 0x2545f4914f6cdd1d;

    t->gate.count = TRIAL_THREADS;
    __atomic_store_n(&wn_step_hook, trial_step, __ATOMIC_RELEASE);
    for (int i = 1; i < TRIAL_THREADS; i++) {
        side[i] = (struct trial_side){t, i};
        thread[i] = spawn(trial_side, &side[i]);
    }
    for (long round = 0; round < t->rounds && t->rejected < enough; round++) {
        unsigned char start[LINEAR_STATE] = {0};

        t->prepare(start);
        atomic_store(&t->clock, 0);
        gate_wait(&t->gate);
        trial_part(t, 0, &seed);
        gate_wait(&t->gate);
        t->settle();
        trial_judge(t, start);
    }
    atomic_store(&t->over, true);
    gate_wait(&t->gate);
    for (int i = 1; i < TRIAL_THREADS; i++)
        join(thread[i]);
}

/* Every history is linearizable, and enough of them could have been otherwise. */
static inline void
trial_passes(struct trial *t)
{
    trial_run(t, 1);
    if (t->rejected)
        linear_print(stderr, &t->first, t->model);
    assert_int_equal(t->rejected, 0);
    if (t->overlapping < t->rounds / 4)
        fprintf(stderr, "only %ld of %ld histories had calls that overlap\n", t->overlapping, t->rounds);
    assert_true(t->overlapping >= t->rounds / 4);
}

/* ---- Items: objects with a small number, made before the rounds --------------------------------------------------- */

#define ITEMS 16

struct item {
    uint64_t number; /* from 1 on: 0 says none */
};
static struct wane_type item_type = {.name = "item", .size = sizeof(struct item)};
static struct item     *item[ITEMS + 1];

static inline void
items_begin(void)
{
    for (uint64_t i = 1; i <= ITEMS; i++) {
        item[i] = wane_new(&item_type);
        if (!item[i])
            die("no memory for an item");
        item[i]->number = i;
    }
}

static inline void
items_end(void)
{
    for (int i = 1; i <= ITEMS; i++) {
        wane_release(item[i]);
        item[i] = NULL;
    }
}

/* Give an owned item back and tell its number; NULL is 0. */
static inline uint64_t
item_number(struct item *owned)
{
    uint64_t number = owned ? owned->number : 0;

    wane_release(owned);
    return number;
}

#endif
