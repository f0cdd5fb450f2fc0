/* SPDX-License-Identifier: MIT
 *
 * schedule.h - deterministic schedules: other threads run exactly at named steps of the library
 *
 * An actor is a mutator thread that runs the functions it is given. act() waits until the function has returned; act_begin()
 * does not. on_step() arms one function to be called, on the thread that reaches the step, the first time that the thread which
 * armed it (or, with on_any_step, any thread) gets there; on_nth_step() the n-th time, or each time. cue() has an actor do it.
 * The background thread is kept quiet: the test drives.
 */
#ifndef SCHEDULE_H
#define SCHEDULE_H

#include <pthread.h>
#include <stdbool.h>

struct actor {
    pthread_t       thread;
    pthread_mutex_t lock;
    pthread_cond_t  changed;
    void (*fn)(void *);
    void *arg;
    bool  busy, quit;
};

void actor_start(struct actor *actor);
void *actor_run(void *actor); /* what an actor's thread does: for threads of the test's own */
void actor_stop(struct actor *actor);
void act_begin(struct actor *actor, void (*fn)(void *), void *arg);
void act_wait(struct actor *actor);
void act(struct actor *actor, void (*fn)(void *), void *arg);

void schedule_begin(void); /* before each test: no background, nothing armed */
void on_step(const char *point, void (*fn)(void *), void *arg);
void on_any_step(const char *point, void (*fn)(void *), void *arg);
#define EACH_TIME 0
void on_nth_step(const char *point, unsigned nth, void (*fn)(void *), void *arg);
void cue(const char *point, unsigned nth, struct actor *actor, void (*fn)(void *)); /* act(actor, fn, NULL) */
void off_steps(void);
unsigned steps_seen(const char *point); /* how often an armed point was reached */

/* A flag one thread waits for; gives up after `milliseconds` and says so. */
struct gate {
    pthread_mutex_t lock;
    pthread_cond_t  changed;
    bool            open;
};
#define GATE_CLOSED {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, false}
void gate_open(struct gate *gate);
bool gate_wait(struct gate *gate, unsigned milliseconds);

#endif
