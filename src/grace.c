/* SPDX-License-Identifier: MIT */
#include "grace.h"

#include <errno.h>
#include <linux/membarrier.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "ck_glue.h"
#include "probe.h"
#include "record.h"
#include "step.h"

struct wane_atomic64 wane_epoch = {WANE_ONE_EPOCH | 1};

static struct wane_atomic64 done;      /* a: the newest ticket that was reached */
static struct wane_atomic64 barriered; /* a: the newest epoch that a membarrier came after */
static struct wane_atomic64 periods;
static struct wn_event      asked;
struct wane_atomic32 wn_grace_heard;
struct wane_atomic32 wn_grace_fences;
static struct wane_atomic32 fence_word;
static struct wane_atomic64 settled_from; /* a: entries before the FENCE bits came show from this time on */

/* No processor keeps a store to itself for that long. */
#define SETTLE_NS UINT64_C(1000000000)

static int
membarrier(int command)
{
    return (int)syscall(SYS_membarrier, command, 0, 0);
}

static uint64_t
now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static void
fall_back_to_fences(void)
{
    store_release(&wn_grace_fences, 1u);
    wn_full_fence(&fence_word); /* against records being made (record.c) */
    for (uint32_t id = 1; id <= wn_record_limit(); id++) {
        struct wn_record *r = wn_record(id);

        if (!r)
            continue;
        store_release(&r->fenced, 0u);
        fetch_or_seq_cst(&r->pub.claim, WN_CLAIM_FENCE);
    }
}

void
wn_grace_init(void)
{
    if (load_relaxed(&wn_grace_fences))
        return;
    if (getenv("WANE_NO_MEMBARRIER") || membarrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED))
        fall_back_to_fences();
}

bool
wn_membarrier(void)
{
    static struct wane_atomic32 warned;

    if (load_relaxed(&wn_grace_fences))
        return false;
    WN_STEP("grace:membarrier");
    if (membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED) == 0)
        return true;
    /* A filter was installed later: no grace until every record was seen entering with a real fence. */
    if (!exchange_acq_rel(&warned, 1u))
        fprintf(stderr, "wane: membarrier failed (errno %d); sections use full fences from now on\n", errno);
    store_relaxed(&settled_from, UINT64_MAX);
    fall_back_to_fences();
    store_relaxed(&settled_from, now() + SETTLE_NS);
    return false;
}

void
wn_grace_forked(void)
{
    /* A thread that has vanished may have been falling back. */
    if (load_relaxed(&wn_grace_fences) && load_relaxed(&settled_from) == UINT64_MAX) {
        fall_back_to_fences();
        store_relaxed(&settled_from, now() + SETTLE_NS);
    }
}

void
wn_mutator_fence_slow(void)
{
    wn_full_fence(&fence_word);
}

uint32_t
wn_grace_claim_bits(void)
{
    return load_acquire(&wn_grace_fences) ? WN_CLAIM_FENCE : 0;
}

bool
wn_grace_is_settled(void)
{
    return !load_acquire(&wn_grace_fences) || now() > load_relaxed(&settled_from);
}

/* Entries by a fence show. Without one an entry may still sit in a store buffer: that of a thread which looked at its
 * claim word before the FENCE bit came. A second later it does not: nobody need wait for a thread that sleeps for ever. */
bool
wn_grace_shows(struct wn_record *r)
{
    if (wn_grace_is_settled())
        return true;
    /* UINT64_MAX: `fenced` is being reset. */
    return load_relaxed(&settled_from) != UINT64_MAX && load_acquire(&r->fenced);
}

uint64_t
wn_grace_ticket(void)
{
    /* seq_cst: a full fence between the displacements and the epoch (H18); release E1 to the readers. */
    return (fetch_add_seq_cst(&wane_epoch, WANE_ONE_EPOCH) + WANE_ONE_EPOCH) & ~WANE_NEST;
}

bool
wn_grace_done(uint64_t ticket)
{
    /* acquire E4: everything that the ended sections did. */
    return WN_WEAKER(scan_unordered, load_acquire, load_relaxed, &done) >= ticket;
}

static void
raise_to(struct wane_atomic64 *word, uint64_t value)
{
    uint64_t old = load_relaxed(word); /* relaxed: a guess; the CAS checks it */

    while (old < value && !cas_acq_rel(word, &old, value))
        ;
}

/* The newest epoch that every later load of ctr is ordered after. 0: none (fences, and a record that has not used one). */
static uint64_t
barrier_epoch(uint64_t ticket)
{
    uint64_t g = load_acquire(&barriered);

    if (g >= ticket)
        return g;
    g = load_acquire(&wane_epoch) & ~WANE_NEST;
    if (!WN_MUTANT(poll_no_membarrier) && !wn_membarrier())
        wn_full_fence(&fence_word);
    raise_to(&barriered, g);
    return g;
}

bool
wn_grace_poll(uint64_t ticket)
{
    uint64_t min;

    if (wn_grace_done(ticket))
        return true;
    min = barrier_epoch(ticket);
    for (uint32_t id = 1; id <= wn_record_limit(); id++) {
        struct wn_record *r = wn_record(id);
        uint64_t          ctr;
        bool              shows;

        if (!r)
            continue;
        /* acquire E4: pairs with leave. */
        shows = wn_grace_shows(r); /* before the look */
        ctr = WN_WEAKER(scan_unordered, load_acquire, load_relaxed, &r->pub.ctr);
        if ((ctr & WANE_NEST) && (ctr & ~WANE_NEST) < min)
            min = ctr & ~WANE_NEST;
        /* Whoever adopts it after this look sees the FENCE bit. */
        if (!shows && __atomic_load_n(&r->holder.value, __ATOMIC_SEQ_CST))
            min = 0;
    }
    if (load_relaxed(&done) < min) {
        fetch_add_relaxed(&periods, 1u);
        WN_PROBE1(grace__period, min);
    }
    raise_to(&done, min);
    return min >= ticket;
}

bool
wn_grace_is_cheap(uint64_t ticket)
{
    return load_relaxed(&barriered) >= ticket || load_relaxed(&wn_grace_fences); /* relaxed: the poll looks again */
}

void
wn_grace_ask(void)
{
    wn_event_signal(&asked);
}

uint32_t
wn_grace_answer(void)
{
    static struct wane_atomic32 answered;
    uint32_t                    value = wn_event_value(&asked);

    if (load_relaxed(&answered) != value || WN_MUTANT(answers_always)) {
        /* No order is needed, neither here nor with the question: at worst two answer, or the epoch is older than the asker's
         * ticket; then its next leave finds no membarrier after that, and asks again. */
        store_relaxed(&answered, value);
        (void)wn_grace_poll(load_acquire(&wane_epoch) & ~WANE_NEST);
    }
    return value;
}

void
wn_grace_wait(uint32_t answered, uint64_t nanoseconds)
{
    wn_event_wait(&asked, answered, nanoseconds);
}

uint64_t
wn_grace_periods(void)
{
    return load_relaxed(&periods);
}
