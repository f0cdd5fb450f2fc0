/* SPDX-License-Identifier: MIT
 *
 * explore.h - running one schedule: coroutines, store buffers, decisions
 *
 * The program's threads are coroutines of one thread, so exactly one runs and every run can be repeated. At each *point* (an
 * atomic access, a lock, a named step) the strategy may hand over to another thread. A run is one path through these choices;
 * only choices that differ from the default are kept, each by the thread that stood there and how many points it had passed:
 *
 *     1@57>2      at its point 57 thread 1 stops and thread 2 goes on; thread 1's buffered stores become visible first
 *     1@57>2k3    .. but for the newest 3, which stay in its store buffer
 *     1@57*2n1    thread 1 goes on; the oldest store in the buffer of thread 2 becomes visible
 *
 * The default goes on; when the running thread must wait, the next one that can run goes on, and if there is none time jumps to
 * the first deadline.
 *
 * Memory is x86-TSO: a store goes into the thread's buffer (first in, first out), a load looks there first, and the buffer is
 * emptied by read-modify-writes, fences, locks, waits, and by anybody's membarrier. The switches of a run say what is emptied.
 *
 * Everything in .data and .bss is put back before each run (snapshot.c), but for struct search, which lies elsewhere.
 */
#ifndef EX_EXPLORE_H
#define EX_EXPLORE_H

#include "shim.h"

#define EX_THREADS 16
#define EX_MOST_CHOICES 4096
#define EX_NONE UINT32_MAX
#define EX_ALWAYS 1
#define EX_MET  65536 /* buckets */

/* ---- A run and its result ------------------------------------------------------------------------------------------ */

enum ex_kind { EX_SWITCH, EX_DRAIN };

struct ex_choice {
    uint8_t  at, kind, to, count; /* thread; what; the other thread; stores kept (switch) or emptied (drain) */
    uint32_t point;               /* of `at` */
};

struct ex_schedule {
    uint32_t         step_ns; /* how far time moves at each point */
    bool             buffered, reuse; /* x86-TSO; freed memory is used again at once, instead of never */
    uint32_t         count;
    struct ex_choice choice[EX_MOST_CHOICES];
};

/* One place where an exhaustive search may choose otherwise. */
struct ex_place {
    uint32_t  point;
    uint8_t   at, stores; /* in at's buffer */
    uint16_t  others;     /* threads that could go on, by bit */
    uintptr_t address;    /* that at goes to next; EX_ALWAYS: whatever it is, a choice matters */
};

enum ex_strategy { EX_REPLAY, EX_RANDOM, EX_PCT };

/* What outlives a run. */
struct ex_search {
    /* of the next run */
    const struct ex_program *program;
    enum ex_strategy   strategy;
    uint64_t           seed;
    unsigned           depth;     /* PCT: priority changes + 1 */
    struct { uint32_t points, named; } expected[EX_THREADS]; /* PCT: of each thread in a run, as the last one had it */
    struct ex_schedule plan;      /* replay: what to do; else only its head counts */
    bool               tells, records; /* print what happens; note the places */
    int                mutant;
    bool               hurries; /* what is found need not be short */
    uint64_t           schedules; /* run so far, by all searches */
    /* of the last run */
    bool               failed, cut;
    char               message[512];
    struct ex_schedule did;
    uint64_t           points, switches;
    struct ex_place   *place;
    uint32_t           places;
    struct ex_schedule spare; /* search.c */
    /* which words two threads have met at, one of them writing: by a hash of the address. Readers 16 | writers 16 */
    uint32_t          *met;
};
extern struct ex_search *ex;

void ex_run_begin(void); /* once */
void ex_run(void);       /* as ex says */
bool ex_have_met(uintptr_t address);

/* ---- For the scheduler's own parts --------------------------------------------------------------------------------- */

struct ex_entry {
    uintptr_t   address;
    uint64_t    value;
    unsigned    size;
    const char *where;
};

#define EX_BUFFER 32
struct ex_buffer {
    unsigned        count;
    struct ex_entry entry[EX_BUFFER]; /* oldest first */
};

void ex_buffer_add(struct ex_buffer *b, struct ex_entry e);
bool ex_buffer_find(const struct ex_buffer *b, uintptr_t address, unsigned size, uint64_t *value);
void ex_buffer_drain(struct ex_buffer *b, unsigned most); /* the oldest become visible */
void ex_buffer_forget(struct ex_buffer *b, uintptr_t begin, uintptr_t end);
void ex_buffers_drain(void); /* of all threads */
void ex_buffers_forget(uintptr_t begin, uintptr_t end); /* the running thread frees this */

bool ex_is_running(void);
void ex_point(const volatile void *address, bool writes, const char *where);
void ex_drain_own(void);
bool ex_wait(const void *on, uint64_t nanoseconds, const char *where); /* 0: for ever. False: the time is over */
void ex_wake(const void *on);
void ex_sleep(uint64_t nanoseconds, const char *where);
uint64_t ex_now(void);
unsigned ex_self(void);
unsigned ex_thread_start(const char *name, void *(*fn)(void *), void *arg);
bool     ex_thread_has_ended(unsigned thread);
unsigned ex_threads(void); /* so far; ended ones too */
struct ex_buffer *ex_thread_buffer(unsigned thread);
uint32_t ex_thread_points(unsigned thread); /* passed so far */
uint32_t ex_thread_named(unsigned thread);
const void *ex_thread_end(unsigned thread); /* what to wait on for it */
void   **ex_thread_specific(unsigned key);
void     ex_run_destructors(void); /* keys of the thread that ends */
_Noreturn void ex_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));
_Noreturn void ex_leave_run(void);

/* strategy.c */
struct ex_view {
    unsigned self;
    uint16_t ready, sleeping; /* by bit: can go on now; could if its time were over */
    unsigned next;            /* the default when self cannot go on */
    unsigned first_awake;     /* of the sleeping: whose time is over first (EX_NONE) */
    uint64_t wakes_in;        /* points until then */
    uint8_t  stores[EX_THREADS];
    uint32_t point, named;    /* of self: all points, and those with a name */
    bool     forced;          /* self cannot go on */
    uint64_t step;
};
void     ex_strategy_begin(void);
extern uint32_t ex_ask_point[EX_THREADS], ex_ask_named[EX_THREADS]; /* .. or when a thread has come so far */
uint64_t ex_strategy_next(uint64_t step);                          /* the step at which it wants to be asked next */
bool     ex_strategy_choose(const struct ex_view *v, struct ex_choice *c); /* false: the default */
uint64_t ex_random(uint64_t *state);

/* heap.c */
void ex_heap_make(void); /* once */
void ex_heap_begin(void);
bool ex_heap_is_freed(uintptr_t address);

/* snapshot.c */
void ex_snapshot_take(void);
void ex_snapshot_restore(void);

/* ---- Programs ------------------------------------------------------------------------------------------------------- */

#define EX_ACTORS 4

struct ex_program {
    const char *name, *scenario;
    void (*prepare)(void);            /* on the main thread */
    void (*before[EX_ACTORS])(void);  /* by each actor, one after the other, nothing chosen */
    void (*act[EX_ACTORS])(void);     /* all at once: this is explored */
    void (*check)(void);              /* on the main thread, at the end */
    bool background, fences;          /* the library's own threads run; as where there is no membarrier */
    bool deceived;                    /* the collector's first phase suspects whatever it looks at */
    bool random;                      /* there are many of it, by a seed (random.c) */
};
extern const struct ex_program *const ex_programs[];

void ex_program_run(void); /* the main coroutine: one program from its beginning to the last check */
void ex_program_step(const char *name); /* a named step was reached */
void ex_choices(bool on);

/* random.c: which random program is run */
void     ex_random_begin(void); /* once */
void     ex_random_choose(uint64_t seed);
void     ex_random_draw(uint64_t seed, uint64_t number); /* for the run with this number of a search */
uint64_t ex_random_seed(void);
bool     ex_random_read(const char *file); /* this one from now on */

#define EXPECT(condition) ((condition) ? (void)0 : ex_fail("%s: expected %s", EX_WHERE, #condition))

#endif
