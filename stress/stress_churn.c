/* SPDX-License-Identifier: MIT
 *
 * stress_churn.c - threads are born and end at a high rate, and leave everything behind
 *
 * Each worker starts short threads, some at once, and joins them. A short thread makes objects and swaps units
 * with a row of mailboxes, so that others release what it made after it has ended, and it what others made; leaves
 * isolated rings, displaced units in its log, weak references in shared slots; and ends with objects in thread-
 * specific data, whose destructor stores and releases them, in the first round or in one after the runtime's own
 * destructor.
 *
 * Oracle: canaries; dispose finds no unit of the test's own numbers left; at the end each object made has been
 * disposed of once, and the runtime's identities were used again: their number is bounded by the threads that live
 * at a time.
 */
#include "harness.h"

#include <limits.h>
#include <pthread.h>

#include <wane/wane.h>

#define LIVE      UINT64_C(0xc4023c4023c4023)
#define DEAD      UINT64_C(0xdeaddeaddeaddead)
#define BOXES     32
#define ROOTS     8
#define AT_ONCE   3
#define MANY_LIVE 50000

/* The race detector ends a thread in the last round of destructors. */
#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define __SANITIZE_THREAD__ 1
#endif
#endif
#ifdef __SANITIZE_THREAD__
#define LATE_ROUNDS (PTHREAD_DESTRUCTOR_ITERATIONS - 1)
#else
#define LATE_ROUNDS PTHREAD_DESTRUCTOR_ITERATIONS
#endif

struct thing {
    uint64_t   magic;
    uint64_t   creator;
    atomic_int units; /* owned ones; what slots hold is not counted here */
    wane_slot  slot[2];
};

static _Atomic(struct thing *) boxes[BOXES];
static wane_slot               roots[ROOTS], weak_roots[ROOTS];
static pthread_key_t           key;
static atomic_ullong           made, gone, born;
static _Thread_local int       destructor_rounds;

enum { BORN, FROM_OTHERS, LATE, WEAK_NULL, OVERLAPS };
static struct stress_overlap overlaps[OVERLAPS] = {
    [BORN] = {.name = "threads that have ended", .need = 200},
    [FROM_OTHERS] = {.name = "units received from other threads", .need = 200},
    [LATE] = {.name = "destructors after the runtime's", .need = 20},
    [WEAK_NULL] = {.name = "weak references gone NULL", .need = 20},
};

static void
check(const struct thing *t)
{
    if (t->magic != LIVE)
        stress_fail(t->magic == DEAD ? "a held object is disposed of" : "a held object is damaged");
}

static void
dispose(void *object)
{
    struct thing *t = object;

    check(t);
    if (atomic_load(&t->units) != 0)
        stress_fail("dispose of an object with %d units", atomic_load(&t->units));
    t->magic = DEAD;
    atomic_fetch_add(&gone, 1);
}

static const uint32_t   slots[] = {offsetof(struct thing, slot), offsetof(struct thing, slot) + sizeof(wane_slot)};
static struct wane_type thing_type = {
    .name = "thing", .size = sizeof(struct thing), .slots = slots, .slot_count = 2, .dispose = dispose};

/* ---- Units
 * -------------------------------------------------------------------------------------------------------- */

static struct thing *
make(uint64_t creator)
{
    struct thing *t = wane_new(&thing_type);

    if (!t)
        stress_fail("no memory");
    t->magic = LIVE;
    t->creator = creator;
    atomic_store(&t->units, 1);
    atomic_fetch_add(&made, 1);
    return t;
}

static void
release(struct thing *t)
{
    if (!t)
        return;
    check(t);
    atomic_fetch_sub(&t->units, 1);
    wane_release(t);
}

/* The slot takes the caller's unit. */
static void
give_to_slot(wane_slot *slot, struct thing *t)
{
    atomic_fetch_sub(&t->units, 1);
    wane_put(slot, t);
}

/* ---- A short life
 * --------------------------------------------------------------------------------------------------- */

struct life {
    uint64_t random, id;
};

static uint64_t
choose(struct life *l, uint64_t n)
{
    return (stress_next(&l->random) >> 11) % n;
}

static void
swap_with_boxes(struct life *l)
{
    for (uint64_t k = choose(l, 6); k > 0; k--) {
        struct thing *got = atomic_exchange(&boxes[choose(l, BOXES)], make(l->id));

        if (!got)
            continue;
        check(got);
        if (got->creator != l->id)
            stress_seen(&overlaps[FROM_OTHERS]);
        if (choose(l, 4) == 0)
            give_to_slot(&roots[choose(l, ROOTS)], got);
        else
            release(got);
    }
}

/* A ring of some objects; one may hold what a mailbox held. */
static void
leave_a_ring(struct life *l)
{
    struct thing *first = make(l->id);
    struct thing *last = first;

    for (uint64_t k = choose(l, 4); k > 0; k--) {
        struct thing *next = make(l->id);

        give_to_slot(&last->slot[0], next);
        last = next;
    }
    wane_set(&last->slot[0], first);
    if (choose(l, 3) == 0) {
        struct thing *got = atomic_exchange(&boxes[choose(l, BOXES)], NULL);

        if (got)
            give_to_slot(&first->slot[1], got);
    }
    if (choose(l, 2))
        wane_put(&weak_roots[choose(l, ROOTS)], wane_weak(first));
    release(first);
}

static void
look_at_shared(struct life *l)
{
    void         *w = wane_get(&weak_roots[choose(l, ROOTS)]);
    struct thing *t = w ? wane_weak_get(w) : NULL;

    if (t)
        check(t);
    else if (w)
        stress_seen(&overlaps[WEAK_NULL]);
    wane_release(t);
    wane_release(w);
    WANE_SECTION {
        t = wane_peek(&roots[choose(l, ROOTS)]);
        if (t)
            check(t);
    }
    for (uint64_t k = choose(l, 4); k > 0; k--)
        wane_clear(&roots[choose(l, ROOTS)]);
}

/* Runs up to three times before it does its work: then the runtime's own destructor has run. */
static void
at_thread_end(void *object)
{
    struct thing *t = object;
    struct thing *n;

    check(t);
    if (destructor_rounds-- > 0) {
        pthread_setspecific(key, t);
        return;
    }
    n = make(t->creator);
    give_to_slot(&n->slot[0], t);
    wane_set(&roots[t->creator % ROOTS], n);
    wane_put(&weak_roots[t->creator % ROOTS], wane_weak(n));
    release(n);
}

static void *
live(void *arg)
{
    struct life *l = arg;

    l->id = atomic_fetch_add(&born, 1) + 1;
    swap_with_boxes(l);
    for (uint64_t k = choose(l, 3); k > 0; k--)
        leave_a_ring(l);
    look_at_shared(l);
    if (choose(l, 2)) {
        destructor_rounds = (int)choose(l, LATE_ROUNDS);
        if (destructor_rounds == LATE_ROUNDS - 1)
            stress_seen(&overlaps[LATE]);
        pthread_setspecific(key, make(l->id));
    }
    swap_with_boxes(l);
    return NULL;
}

/* ---- The program
 * ------------------------------------------------------------------------------------------------------ */

static void
work(struct stress_worker *me)
{
    while (stress_goes_on(me)) {
        struct life lives[AT_ONCE];
        pthread_t   t[AT_ONCE];

        stress_phase(me, "starting threads");
        for (int i = 0; i < AT_ONCE; i++) {
            lives[i].random = stress_random(me, UINT64_MAX) | 1;
            if (pthread_create(&t[i], NULL, live, &lives[i]) != 0)
                stress_fail("pthread_create failed");
        }
        stress_phase(me, "joining threads");
        for (int i = 0; i < AT_ONCE; i++) {
            pthread_join(t[i], NULL);
            stress_seen(&overlaps[BORN]);
        }
        stress_phase(me, "waiting for the collector");
        while (atomic_load(&made) - atomic_load(&gone) > MANY_LIVE && stress_goes_on(me))
            stress_nap();
    }
}

static void
begin(unsigned threads)
{
    (void)threads;
    if (pthread_key_create(&key, at_thread_end) != 0)
        stress_fail("pthread_key_create failed");
}

static void
end(unsigned threads)
{
    struct wane_stats s;

    for (int i = 0; i < BOXES; i++)
        release(atomic_exchange(&boxes[i], NULL));
    for (int i = 0; i < ROOTS; i++) {
        wane_clear(&roots[i]);
        wane_clear(&weak_roots[i]);
    }
    stress_settle(0);
    if (atomic_load(&made) != atomic_load(&gone))
        stress_fail("%llu made, %llu disposed of", (unsigned long long)made, (unsigned long long)gone);
    wane_stats(&s);
    if (s.records > 4 * threads * (AT_ONCE + 1) + 32)
        stress_fail("%llu identities for %llu threads, at most %u at a time", (unsigned long long)s.records,
                    (unsigned long long)born, threads * (AT_ONCE + 1));
}

int
main(int argc, char **argv)
{
    static const struct stress program = {.name = "stress_churn",
                                          .begin = begin,
                                          .work = work,
                                          .end = end,
                                          .overlaps = overlaps,
                                          .overlap_count = OVERLAPS};

    return stress_main(argc, argv, &program);
}
