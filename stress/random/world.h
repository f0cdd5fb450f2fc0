/* SPDX-License-Identifier: MIT
 *
 * world.h - the objects that random programs work on, and what is known of each from outside of the runtime
 *
 * An object's number says which operation makes it: lane * MAX_OPS + its place in the list. Its entry stays when it dies.
 *
 * Oracle
 *   at each step  what is read from an own slot is what the lane stored last; held and borrowed objects are not disposed of; an
 *                 upgrade never succeeds after one was seen to fail, and never fails for what the lane holds
 *   callbacks     dispose once, and after the finalizer; finalizers once; a notification once, after dispose
 *   census        (all threads have ended) exactly what roots, registers and mailboxes reach lives, and its count is the number
 *                 of references found; the statistics agree; when all is let go nothing lives
 * When a single lane runs without a phoenix, common places and x registers are predicted as well (world.exact).
 */
#ifndef WORLD_H
#define WORLD_H

#include "program.h"

#include <pthread.h>
#include <stdatomic.h>

#include <wane/containers.h>
#include <wane/wane.h>

#define NOBODY       (-1)
#define MOST_COMMON  8
#define SLOTS        5 /* own 0 and 1, common 2 and 3, weak 4 */
#define WEAK_SLOT    4
#define MORE_WIDE    24
#define MORE_HUGE    3000
#define ARRAY_LENGTH 16
#define MOST_SHARED  2
#define MOST_PINS    8

struct thing {
    uint64_t  magic;
    int32_t   id;
    uint32_t  kind;
    uint32_t  more_count;
    void     *inner; /* of arrays and maps: what slot[0] holds, from birth to death */
    wane_slot slot[SLOTS];
    wane_slot more[]; /* wide: own from the beginning, common from the end */
};

struct entry {
    struct thing   *thing; /* NULL: not made yet */
    int32_t         own[OWN_SLOTS], common[MOST_COMMON];
    atomic_uint     disposed, finalized, notified, registered, cancelled;
    atomic_bool     null_seen; /* an upgrade has failed */
    _Atomic(void *) weak;
};

/* Where a reference can be. expected: whose number is in it, or NULL when that is anybody's choice. */
struct place {
    wane_slot       *slot;
    struct wane_map *map; /* instead of slot */
    char             key[4];
    int32_t         *expected;
};

struct lane {
    const struct program *program;
    unsigned              number, next; /* operation */
    unsigned              depth;        /* of sections */
    struct thing         *r[REGISTERS], *x[COMMONS], *b[BORROWS], *shared[MOST_SHARED], *pin[MOST_PINS];
    unsigned              pins;         /* held until the section ends: borrows were reached through them */
    void                 *w[WEAKS];
    int32_t               w_id[WEAKS];
    pthread_t             thread; /* the last one */
};

struct world {
    bool            exact;
    unsigned        lanes;
    struct entry    entry[MAX_LANES * MAX_OPS];
    wane_slot       root[ROOTS];
    int32_t         root_id[ROOTS];
    _Atomic(void *) mailbox[MAILBOXES];
    struct lane     lane[MAX_LANES];
    atomic_ullong   finalized, later, later_done; /* later: calls of wane_free_deferred */
};

extern struct world world;
extern unsigned     world_patience; /* milliseconds that the census waits for what should come */

void world_begin(const struct program *p);
/* After all lanes have ended. */
void world_census(void);
/* The runtime itself ends; nothing may be left. */
void world_end(void);

/* NULL: no memory, which is a failure. */
struct thing *thing_new(int32_t id, enum kind kind);
void          thing_check(const struct thing *t);
unsigned      thing_own_slots(const struct thing *t);
struct place  thing_own(struct thing *t, unsigned s);
/* False: it has none. */
bool          thing_common(struct thing *t, unsigned s, struct place *place);
wane_slot    *thing_weak_slot(struct thing *t);

static inline int32_t
thing_id(const struct thing *t)
{
    return t ? t->id : NOBODY;
}

/* What is in a place that nobody changes; needs a section. */
struct thing *place_peek(const struct place *place);
void          place_expect(const struct place *place, const struct thing *t);
void          place_stored(const struct place *place, const struct thing *t);

/* As wane_set, wane_put .., in slots or maps; what comes out must be what is expected. */
void          place_set(const struct place *place, struct thing *t);
void          place_put(const struct place *place, struct thing *t);
struct thing *place_get(const struct place *place);
struct thing *place_take(const struct place *place);
struct thing *place_swap(const struct place *place, struct thing *t);
bool          place_cas(const struct place *place, struct thing *expected, struct thing *desired, bool put);

void world_notified(void *weak, void *entry);
void world_later(void *pointer);

_Noreturn void world_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* ---- interpret.c, lanes.c ---- */

void lane_do(struct lane *l, struct op op, int32_t id); /* id: of what it makes */
/* End its sections; what it has shared, if it ends for ever. */
void lane_close(struct lane *l, bool for_ever);

/* Until the list's end, or until the thread shall end. True: there is more. */
bool lane_work(struct lane *l);

/* Work through all lanes, each on threads of its own (or, alone, on this one). */
void program_run(bool here);

#endif
