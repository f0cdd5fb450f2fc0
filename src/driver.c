/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE /* pthread_mutex_clocklock */
#include "driver.h"

#include <pthread.h>
#include <sched.h>
#include <time.h>

#include "budget.h"
#include "cell.h"
#include "clock.h"
#include "gate.h"
#include "histogram.h"
#include "share.h"
#include "step.h"

#define SLICE_NS 50000 /* a claim is held no longer */
#define TURN_NS  UINT64_C(100000)
#define LAG_NS   UINT64_C(20000000) /* who was kept from the processor for longer ... */
#define AMENDS   4                  /* ... runs so many times as long before it gives way again, ... */
#define LAG_MOST (2 * LAG_NS)       /* ... but no longer than for this: the process may have been stopped */
#define NAP_NS   50000

#define LONG_NAP_NS 1000000

#define POLL_NS      UINT64_C(8000000)
#define POLL_ENTRIES 4096 /* so many units, or more, do not wait for that */

static pthread_mutex_t      driver_lock = PTHREAD_MUTEX_INITIALIZER;
static struct wane_atomic64 driver; /* a: the driving thread, to know oneself */
static struct wane_atomic32 waiting; /* threads that want to drive. Relaxed, a hint: unseen, they wait for a turn more */
static struct wane_atomic64 claims;
static struct wane_atomic64 idle_epoch; /* records last seen in a section before this epoch have been outside for a while */
static struct wane_atomic32 fence_word;
static struct wn_record    *acting; /* under the driver lock: the record that is claimed */
static bool                 has_more, has_moved, is_kept; /* under the driver lock: of the last round */

/* Under the driver lock: the turn of a driver that gives way. */
static struct {
    bool     gives_way;
    uint64_t began, length; /* CPU time of its thread */
    uint64_t since, look;   /* the same by the clock, and before when it cannot be over */
    uint64_t lag;           /* how long it was kept from the processor, less what it has made up for */
} turn;

uint64_t
wn_now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

uint64_t
wn_cpu_now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

/* ---- Beginning and resting --------------------------------------------------------------------------- */

static uint64_t
myself(void)
{
    return (uint64_t)(uintptr_t)pthread_self();
}

void
wn_driver_begin(void)
{
    fetch_add_relaxed(&waiting, 1u);
    pthread_mutex_lock(&driver_lock);
    fetch_add_relaxed(&waiting, -1u);
    store_relaxed(&driver, myself());
    wn_gate_enter();
}

bool
wn_driver_try_begin(uint64_t nanoseconds)
{
    struct timespec end = wn_end_of(nanoseconds);

    if (nanoseconds ? wn_lock_until(&driver_lock, &end) : pthread_mutex_trylock(&driver_lock))
        return false;
    store_relaxed(&driver, myself());
    wn_gate_enter();
    return true;
}

void
wn_driver_end(void)
{
    wn_gate_leave();
    turn.gives_way = false;
    store_relaxed(&driver, UINT64_C(0));
    pthread_mutex_unlock(&driver_lock);
}

void
wn_driver_sleep(uint64_t nanoseconds)
{
    wn_gate_leave();
    nanosleep(&(struct timespec){0, (long)nanoseconds}, NULL);
    wn_gate_enter();
}

void
wn_driver_pause(void)
{
    nanosleep(&(struct timespec){0, NAP_NS}, NULL);
}

void
wn_driver_give_way(void)
{
    turn.gives_way = true;
}

/* A fair scheduler lets a thread that has slept run for milliseconds, while those that wake on its processor wait. Here they come
 * first, after each turn. On a busy machine that would be the end of collections; so who is kept waiting makes up for it. */
static void
let_others(uint64_t now)
{
    uint64_t rest = (now - turn.since) / AMENDS;

    turn.lag -= rest < turn.lag ? rest : turn.lag;
    if ((!wn_budget_is_short() || WN_MUTANT(gives_way_in_need)) && (!load_relaxed(&waiting) || WN_MUTANT(keeps_them_waiting)))
        (void)sched_yield();
    turn.since = wn_now();
    turn.lag += turn.since - now;
    if (turn.lag > LAG_MOST && !WN_MUTANT(amends_for_ever))
        turn.lag = LAG_MOST;
    turn.length = TURN_NS;
    if (turn.lag > LAG_NS && !WN_MUTANT(makes_no_amends))
        turn.length += AMENDS * (turn.lag - LAG_NS);
}

static void
end_turn(void)
{
    uint64_t now = wn_now(), had;

    if (now < turn.look)
        return;
    had = wn_cpu_now() - turn.began; /* huge for a new thread */
    if (had < turn.length) {
        turn.look = now + turn.length - had;
        return;
    }
    let_others(now);
    turn.began += had;
    turn.look = turn.since + turn.length;
}

void
wn_driver_breathe(void)
{
    (void)wn_grace_answer();
    while (wn_gate_is_wanted())
        wn_driver_sleep(1000);
    if (turn.gives_way || WN_MUTANT(callers_give_way))
        end_turn();
}

bool
wn_driver_forked(void)
{
    wn_gate_forked();
    store_relaxed(&waiting, 0u);
    if (load_relaxed(&driver) == myself())
        return true; /* inside a callback of the driver's: the child ends that work itself */
    turn.gives_way = false;
    pthread_mutex_init(&driver_lock, NULL);
    store_relaxed(&driver, UINT64_C(0));
    acting = NULL;
    return false;
}

bool
wn_driver_exits(void)
{
    if (load_relaxed(&driver) != myself())
        return false;
    wn_gate_enter(); /* callbacks run with the gate let go */
    if (acting) {
        acting->burying = false;
        store_release(&acting->backlog, 1u);
        fetch_and_release(&acting->pub.claim, ~WN_CLAIM_HELD); /* release E3 */
        acting = NULL;
    }
    return true;
}

/* ---- Acting for records ---------------------------------------------------------------------------------------- */

static bool
has_work(struct wn_record *r, uint32_t bits)
{
    return wn_has_backlog(r) || ((bits & WN_HANDOVER) && load_relaxed(&r->candidate_count));
}

static void
ask(struct wn_record *r, uint32_t bits)
{
    if ((load_relaxed(&r->pub.attention) & bits) != bits)
        fetch_or_relaxed(&r->pub.attention, bits);
}

static bool
is_busy(struct wn_record *r, bool force)
{
    uint64_t ctr = load_relaxed(&r->pub.ctr);

    return (ctr & WANE_NEST) || (!force && (ctr & ~WANE_NEST) >= load_relaxed(&idle_epoch));
}

/* In a section; wane_self.me says r. */
static void
tend_slice(struct wn_record *r, uint32_t bits)
{
    has_moved |= wn_is_burying(r) || r->draining || load_relaxed(&r->queue);
    has_more |= wn_tend_until(r, bits, wn_now() + SLICE_NS);
}

static void
tend_own(struct wn_record *r, uint32_t bits)
{
    wane_enter();
    if (wn_standing() == r)
        tend_slice(r, bits);
    else
        ask(r, bits);
    wane_leave();
}

/* The claim is held and the record's thread is outside: be the owner for a moment. */
static void
tend_as(struct wn_record *r, uint32_t bits)
{
    uint64_t me;

    wane_enter();
    me = wane_self.me;
    wane_self.me = r->pub.me;
    tend_slice(r, bits);
    if (!load_relaxed(&r->holder)) /* relaxed: a guess */
        wn_cells_leave(r);
    wane_self.me = me;
    wane_leave();
}

static bool
try_claim(struct wn_record *r)
{
    bool was_inside = WN_MUTANT(claim_looks_first) && (load_acquire(&r->pub.ctr) & WANE_NEST);

    WN_STEP("claim:begin");
    /* Only drivers claim, and there is one: the bit was clear. seq_cst: before the look at ctr. */
    fetch_or_seq_cst(&r->pub.claim, WN_CLAIM_HELD);
    WN_STEP("claim:announced");
    if (!WN_MUTANT(claim_no_membarrier) && !wn_membarrier())
        wn_full_fence(&fence_word);
    WN_STEP("claim:fenced");
    if (WN_MUTANT(claim_looks_first) && !was_inside)
        return true;
    /* acquire E4: what the thread did in its last section. */
    if (wn_grace_shows(r) && !(load_acquire(&r->pub.ctr) & WANE_NEST))
        return true;
    fetch_and_release(&r->pub.claim, ~WN_CLAIM_HELD);
    return false;
}

bool
wn_driver_act_for(struct wn_record *r, uint32_t bits, bool force)
{
    if (&r->pub == wane_self.record) {
        tend_own(r, bits);
        return true;
    }
    if (is_busy(r, force) || !try_claim(r)) {
        ask(r, bits);
        return false;
    }
    WN_STEP("claim:held");
    fetch_add_relaxed(&claims, 1u);
    acting = r;
    tend_as(r, bits);
    acting = NULL;
    WN_WEAKER(claim_end_unordered, fetch_and_release, fetch_and_relaxed, &r->pub.claim, ~WN_CLAIM_HELD); /* release E3 */
    return true;
}

bool
wn_driver_round(uint32_t bits, bool force)
{
    bool backlog = false;

    has_more = has_moved = is_kept = false;
    for (uint32_t id = 1; id <= wn_record_limit(); id++) {
        struct wn_record *r = wn_record(id);
        bool              can_go;

        if (!r || !has_work(r, bits))
            continue;
        can_go = load_relaxed(&r->pub.attention) & WN_ATTEND && !(load_relaxed(&r->pub.ctr) & WANE_NEST);
        is_kept |= !wn_driver_act_for(r, bits, force) && can_go;
        backlog |= has_work(r, bits);
        wn_driver_breathe();
    }
    return backlog;
}

/* ---- Waiting -------------------------------------------------------------------------------------------------- */

static bool
is_over(uint64_t deadline)
{
    return deadline && wn_now() >= deadline;
}

static bool
wait_for_ticket(uint64_t ticket, uint64_t deadline)
{
    uint64_t start = wn_now();

    for (uint64_t nap = 2000; !wn_grace_poll(ticket); nap = nap <= LONG_NAP_NS ? nap * 2 : nap) {
        if (is_over(deadline))
            return false;
        if (nap > LONG_NAP_NS / 2 && nap <= LONG_NAP_NS)
            wn_wake_background(); /* this thread only waits; somebody should watch what for (stall.h) */
        wn_driver_sleep(nap);
    }
    wn_histogram_add(&wn_grace_times, wn_now() - start);
    return true;
}

bool
wn_driver_grace(uint64_t deadline)
{
    return wait_for_ticket(wn_grace_ticket(), deadline);
}

/* Until is_done(record, epoch) for all records that have work: act for the others. */
static bool
until_all(bool (*is_done)(struct wn_record *, uint64_t), uint64_t epoch, uint32_t bits, uint64_t deadline)
{
    uint64_t ticket = epoch;

    for (;;) {
        bool all = true;

        for (uint32_t id = 1; id <= wn_record_limit(); id++) {
            struct wn_record *r = wn_record(id);

            if (!r || is_done(r, epoch))
                continue;
            (void)wn_driver_act_for(r, bits, true);
            all &= is_done(r, epoch);
            wn_driver_breathe();
        }
        if (all)
            return true;
        if (is_over(deadline))
            return false;
        /* Later ones, too: without memory a chunk is opened again, and what waited in it waits for a later ticket (log.h). */
        if (wn_grace_poll(ticket) && !WN_MUTANT(barriers_poll_old))
            ticket = load_acquire(&wane_epoch) & ~WANE_NEST;
        wn_driver_sleep(NAP_NS);
    }
}

static bool
is_sealed(struct wn_record *r, uint64_t epoch)
{
    return !wn_has_backlog(r) || load_acquire(&r->sealed_at) >= epoch;
}

static bool
is_settled(struct wn_record *r, uint64_t epoch)
{
    return !wn_has_backlog(r) || load_acquire(&r->settled) >= epoch;
}

static bool
is_handed_over(struct wn_record *r, uint64_t epoch)
{
    /* acquire: they have been handed over (unit.c). */
    return !load_acquire(&r->candidate_count) || load_acquire(&r->handed_at) >= epoch;
}

bool
wn_driver_settle(uint64_t deadline)
{
    (void)wn_share_cool(true);
    for (int round = 0; round < 2; round++) {
        uint64_t ticket;

        if (!until_all(is_sealed, wn_grace_ticket(), WN_ATTEND, deadline))
            return false;
        ticket = wn_grace_ticket();
        if (!wait_for_ticket(ticket, deadline) || !until_all(is_settled, ticket, WN_ATTEND, deadline))
            return false;
    }
    /* What these dropped may have gone from queue to queue. */
    do
        if (is_over(deadline))
            return false;
    while (wn_driver_round(WN_ATTEND, true), has_moved);
    return true;
}

bool
wn_driver_is_settled(uint64_t ticket)
{
    if (!wn_grace_done(ticket))
        return false;
    for (uint32_t id = 1; id <= wn_record_limit(); id++)
        if (wn_record(id) && !is_settled(wn_record(id), ticket))
            return false;
    return true;
}

bool
wn_driver_bury(uint64_t deadline)
{
    while (wn_driver_round(WN_ATTEND, true)) {
        if (is_over(deadline))
            return false;
        (void)wn_grace_poll(wn_grace_ticket());
        if (!has_more)
            wn_driver_sleep(NAP_NS);
    }
    return true;
}

bool
wn_driver_handover(uint64_t deadline)
{
    return until_all(is_handed_over, wn_grace_ticket(), WN_ATTEND | WN_HANDOVER, deadline);
}

bool
wn_driver_is_kept(void)
{
    return is_kept;
}

bool
wn_driver_has_moved(void)
{
    return has_moved;
}

bool
wn_driver_has_more(void)
{
    return has_more;
}

uint64_t
wn_driver_claims(void)
{
    return load_relaxed(&claims);
}

/* A poll interrupts every thread that runs: while few units come, not each tick does that. */
static bool
is_poll_due(void)
{
    static uint64_t polled, before;
    uint64_t        now = wn_now(), displaced = 0;

    for (uint32_t id = 1; id <= wn_record_limit(); id++)
        if (wn_record(id))
            displaced += load_relaxed(&wn_record(id)->counters.displaced);
    if ((now - polled < POLL_NS || WN_MUTANT(trickle_waits)) && displaced != before &&
        displaced - before < POLL_ENTRIES && !wn_budget_is_short())
        return false;
    polled = now;
    before = displaced;
    return true;
}

void
wn_driver_tick(void)
{
    static struct wane_atomic64 last;

    /* Two ticks apart, a quarter of a millisecond at least: who has not entered since the older one is idle. */
    store_relaxed(&idle_epoch, load_relaxed(&last));
    store_relaxed(&last, wn_grace_ticket());
    if (is_poll_due())
        (void)wn_grace_poll(load_relaxed(&last));
}
