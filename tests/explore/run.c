/* SPDX-License-Identifier: MIT
 *
 * run.c - one run: coroutines that hand over to each other at points, and time that moves with the points
 */
#include "explore.h"

#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

#include <wane/wane.h>

#include "record.h"

#define STACK       (256 * 1024)
#define MOST_POINTS 400000 /* of one run that is explored; a run that goes on after that has met a livelock, or bad luck */
#define TIME_BEGINS UINT64_C(1000000000000)

enum state { ABSENT, READY, WAITING, ENDED };

struct thread {
    ucontext_t       context;
    struct wane_self self;
    enum state       state;
    const void      *on;       /* WAITING: for a wake of this; NULL: for its time */
    uint64_t         deadline; /* WAITING: 0 for ever */
    bool             timed_out;
    uint32_t         points, named;
    uint32_t         points_before, named_before; /* what is explored */
    const char      *name, *where;
    struct ex_buffer buffer;
    void            *specific[4];
    void *(*fn)(void *);
    void            *arg;
};

struct ex_search *ex;
int               ex_mutant;

static struct thread thread[EX_THREADS];
static unsigned      threads, self;
static bool          running, choosing;
static uint64_t      step, last_step, ask_at, now;
static ucontext_t    home;

uint64_t
ex_random(uint64_t *state)
{
    uint64_t x = *state += UINT64_C(0x9e3779b97f4a7c15); /* splitmix64 */

    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

bool
ex_is_running(void)
{
    return running;
}

uint64_t
ex_now(void)
{
    return now;
}

unsigned
ex_self(void)
{
    return self;
}

void **
ex_thread_specific(unsigned key)
{
    return &thread[self].specific[key];
}

/* ---- The end of a run ------------------------------------------------------------------------------------------------ */

void
ex_leave_run(void)
{
    running = false;
    setcontext(&home);
    __builtin_unreachable();
}

void
ex_fail(const char *format, ...)
{
    va_list args;
    size_t  used;

    va_start(args, format);
    vsnprintf(ex->message, sizeof ex->message, format, args);
    va_end(args);
    used = strlen(ex->message);
    if (running)
        snprintf(ex->message + used, sizeof ex->message - used, " (thread %s, at %s)", thread[self].name,
                 thread[self].where ? thread[self].where : "its beginning");
    ex->failed = true;
    ex_leave_run();
}

static void
on_signal(int number)
{
    if (!running) {
        signal(number, SIG_DFL);
        raise(number);
        return;
    }
    ex_fail(number == SIGALRM ? "no point for a minute" : "signal %d", number);
}

/* ---- Choices --------------------------------------------------------------------------------------------------------- */

static bool
is_ready(const struct thread *t)
{
    return t->state == READY || (t->state == WAITING && t->deadline && t->deadline <= now);
}

static struct ex_view
look(bool forced)
{
    struct ex_view v = {.self = self, .next = EX_NONE, .first_awake = EX_NONE, .point = thread[self].points, .forced = forced,
                        .named = thread[self].named, .step = step, .wakes_in = UINT64_MAX};

    for (unsigned i = 1; i <= threads; i++) {
        unsigned       t = (self + i) % threads;
        struct thread *p = &thread[t];

        v.stores[t] = (uint8_t)p->buffer.count;
        if (is_ready(p)) {
            v.ready |= (uint16_t)(1u << t);
            if (v.next == EX_NONE)
                v.next = t;
        } else if (p->state == WAITING && p->deadline) {
            v.sleeping |= (uint16_t)(1u << t);
            if (v.first_awake == EX_NONE || p->deadline < thread[v.first_awake].deadline)
                v.first_awake = t;
        }
    }
    if (v.first_awake != EX_NONE)
        v.wakes_in = (thread[v.first_awake].deadline - now) / ex->plan.step_ns + 1;
    if (v.next == EX_NONE)
        v.next = v.first_awake;
    if (!forced)
        v.next = self;
    return v;
}

static void
tell(const struct ex_choice *c)
{
    const struct thread *t = &thread[self];

    if (!ex->tells)
        return;
    printf("  %u@%u%c%u%c%u  thread %s at %s\n", c->at, c->point, c->kind == EX_SWITCH ? '>' : '*', c->to,
           c->kind == EX_SWITCH ? 'k' : 'n', c->count, t->name, t->where ? t->where : "?");
}

static void
note(const struct ex_choice *c)
{
    if (ex->did.count < EX_MOST_CHOICES)
        ex->did.choice[ex->did.count++] = *c;
    tell(c);
}

static void
switch_to(unsigned to)
{
    struct thread *from = &thread[self], *t = &thread[to];

    if (t->state == WAITING) {
        if (t->deadline > now)
            now = t->deadline;
        t->timed_out = true;
        t->state = READY;
    }
    if (to == self)
        return;
    from->self = wane_self;
    wane_self = t->self;
    self = to;
    ex->switches++;
    swapcontext(&from->context, &t->context);
}

static bool
is_possible(const struct ex_view *v, const struct ex_choice *c)
{
    if (c->to >= threads || c->at != v->self)
        return false;
    if (c->kind == EX_DRAIN)
        return !v->forced && c->count && v->stores[c->to] >= c->count;
    return ((v->ready | v->sleeping) & (1u << c->to)) && c->count <= v->stores[v->self] &&
           (c->to != v->next || c->count);
}

static void
record(const struct ex_view *v, uintptr_t address)
{
    struct ex_place *p = &ex->place[ex->places];

    if (ex->places == MOST_POINTS)
        return;
    *p = (struct ex_place){.point = v->point, .at = (uint8_t)v->self, .stores = v->stores[v->self],
                           .others = (uint16_t)(v->ready & ~(1u << v->next)), .address = address};
    if (p->others)
        ex->places++;
}

/* True: the running thread has gone on, or has been gone on with after others. */
static void
choose(bool forced, uintptr_t address)
{
    struct ex_view   v = look(forced);
    struct ex_choice c = {.at = (uint8_t)self, .point = v.point};
    bool             chosen = choosing && ex_strategy_choose(&v, &c) && is_possible(&v, &c);

    ask_at = choosing ? ex_strategy_next(step) : UINT64_MAX;
    if (choosing && ex->records && address)
        record(&v, address);
    if (chosen)
        note(&c);
    if (chosen && c.kind == EX_DRAIN) {
        ex_buffer_drain(&thread[c.to].buffer, c.count);
    } else if (chosen) {
        ex_buffer_drain(&thread[self].buffer, v.stores[self] - c.count);
        switch_to(c.to);
    } else if (forced) {
        if (v.next == EX_NONE)
            ex_fail("deadlock");
        switch_to(v.next);
    }
}

static uint32_t *
met(uintptr_t address)
{
    return &ex->met[((address >> 2) * UINT64_C(0x9e3779b97f4a7c15) >> 32) % EX_MET];
}

static void
meet(uintptr_t address, bool writes)
{
    *met(address) |= 1u << (self + (writes ? 16 : 0));
}

bool
ex_have_met(uintptr_t address)
{
    uint32_t word = *met(address);

    return address == EX_ALWAYS || ((word >> 16) && __builtin_popcount((word | word >> 16) & 0xFFFF) > 1);
}

void
ex_point(const volatile void *address, bool writes, const char *where)
{
    struct thread *t = &thread[self];

    t->where = where;
    t->points++;
    step++;
    now += ex->plan.step_ns;
    if (step >= last_step) {
        if (!choosing)
            ex_fail("the end does not come");
        ex->cut = true;
        ex_leave_run();
    }
    if (step >= ask_at || t->points >= ex_ask_point[self] || t->named >= ex_ask_named[self] || (choosing && ex->records))
        choose(false, (uintptr_t)address);
    if (choosing && ex->records && (uintptr_t)address > EX_ALWAYS)
        meet((uintptr_t)address, writes);
}

void
ex_choices(bool on)
{
    choosing = on;
    last_step = step + MOST_POINTS;
    ask_at = on ? 0 : UINT64_MAX;
    ex->points = step - (on ? 0 : ex->points);
    for (unsigned i = 0; i < threads; i++) {
        struct thread *t = &thread[i];

        if (on) {
            t->points_before = t->points;
            t->named_before = t->named;
        } else {
            ex->expected[i].points = t->points - t->points_before;
            ex->expected[i].named = t->named - t->named_before;
        }
        ex_ask_point[i] = ex_ask_named[i] = UINT32_MAX;
    }
    if (on)
        ex_strategy_begin();
}

/* ---- Waiting ---------------------------------------------------------------------------------------------------------- */

bool
ex_wait(const void *on, uint64_t nanoseconds, const char *where)
{
    struct thread *t = &thread[self];

    t->where = where;
    t->points++;
    step++;
    ex_drain_own();
    t->on = on;
    t->deadline = nanoseconds ? now + nanoseconds : 0;
    t->timed_out = false;
    t->state = WAITING;
    choose(true, EX_ALWAYS);
    t->state = READY;
    return !t->timed_out;
}

void
ex_sleep(uint64_t nanoseconds, const char *where)
{
    (void)ex_wait(NULL, nanoseconds ? nanoseconds : 1, where);
}

void
ex_wake(const void *on)
{
    for (unsigned i = 0; i < threads; i++)
        if (thread[i].state == WAITING && thread[i].on == on)
            thread[i].state = READY;
    if (choosing)
        ask_at = step;
}

/* ---- Threads ---------------------------------------------------------------------------------------------------------- */

unsigned
ex_threads(void)
{
    return threads;
}

struct ex_buffer *
ex_thread_buffer(unsigned t)
{
    return &thread[t].buffer;
}

const void *
ex_thread_end(unsigned t)
{
    return &thread[t].state;
}

bool
ex_thread_has_ended(unsigned t)
{
    return thread[t].state == ENDED;
}

uint32_t
ex_thread_points(unsigned t)
{
    return thread[t].points;
}

uint32_t
ex_thread_named(unsigned t)
{
    return thread[t].named;
}

static void
thread_main(void)
{
    struct thread *t = &thread[self];

    t->fn(t->arg);
    ex_run_destructors();
    ex_drain_own();
    t->state = ENDED;
    t->where = "its end";
    t->points++;
    step++;
    ex_wake(ex_thread_end(self));
    choose(true, EX_ALWAYS);
    __builtin_unreachable();
}

unsigned
ex_thread_start(const char *name, void *(*fn)(void *), void *arg)
{
    struct thread *t = &thread[threads];

    if (threads == EX_THREADS)
        ex_fail("too many threads");
    t->self = (struct wane_self){WN_ME_OUTSIDE, NULL};
    t->state = READY;
    t->name = name;
    t->fn = fn;
    t->arg = arg;
    getcontext(&t->context);
    t->context.uc_stack.ss_sp = (char *)ex + sizeof *ex + (size_t)threads * STACK;
    t->context.uc_stack.ss_size = STACK;
    makecontext(&t->context, thread_main, 0);
    if (choosing)
        ask_at = step;
    return threads++;
}

static void *
main_thread(void *unused)
{
    (void)unused;
    ex_program_run();
    ex_leave_run();
}

static void
step_named(const char *name)
{
    if (!running)
        return;
    thread[self].named++;
    ex_point(NULL, false, name);
    ex_program_step(name);
}

/* ---- One run ---------------------------------------------------------------------------------------------------------- */

void
ex_run(void)
{
    static bool begun;

    ex->failed = ex->cut = false;
    ex->message[0] = 0;
    ex->points = ex->switches = 0;
    ex->places = 0;
    ex->did.count = 0;
    ex->did.step_ns = ex->plan.step_ns;
    ex->did.buffered = ex->plan.buffered;
    ex->did.reuse = ex->plan.reuse;
    ex_snapshot_restore();
    ex_heap_begin();
    ex_mutant = ex->mutant;
    now = TIME_BEGINS;
    last_step = MOST_POINTS;
    ask_at = UINT64_MAX;
    memset(ex_ask_point, 0xff, sizeof ex_ask_point);
    memset(ex_ask_named, 0xff, sizeof ex_ask_named);
    wn_step_hook = step_named;
    (void)ex_thread_start("main", main_thread, NULL);
    alarm(60);
    getcontext(&home);
    if (!begun) {
        begun = running = true;
        wane_self = thread[0].self;
        setcontext(&thread[0].context);
    }
    alarm(0);
}

void
ex_run_begin(void)
{
    size_t           size = sizeof *ex + EX_THREADS * STACK;
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_ONSTACK | SA_NODEFER};
    stack_t          stack = {.ss_size = 65536};
    const int        caught[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGALRM};

    ex = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    ex->place = mmap(NULL, MOST_POINTS * sizeof *ex->place, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    ex->met = mmap(NULL, EX_MET * sizeof(uint32_t), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    stack.ss_sp = mmap(NULL, stack.ss_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    sigaltstack(&stack, NULL);
    for (unsigned i = 0; i < sizeof caught / sizeof *caught; i++)
        sigaction(caught[i], &action, NULL);
}
