/* SPDX-License-Identifier: MIT
 *
 * section.c - enter and leave out of line; threads come and go
 *
 * A thread has a home record from its first section to its exit. Enter against claim:
 *
 *     thread                                   claimer
 *     ctr = epoch | 1                          claim = HELD (RMW)
 *     (compiler barrier)                       membarrier
 *     claim? 0: stands here                    ctr & NEST? 0: acts as the owner
 *            else: ctr back, another record               else: claim back
 *
 * The membarrier makes the thread's compiler barrier a full fence, so not both go on. The entering thread never waits: it
 * takes another record for this one section (WN_LENT) and goes home at the next. For that section it is a stranger to what
 * it owns, which is correct and slower.
 *
 * Exit: the key's destructor drains what it may and gives the home record up. Other destructors that run later borrow a
 * record for each section (me == WN_ME_EXITING).
 *
 * Progress: wait-free but for adopting a record, which is lock-free; it waits only when memory or the 65,500 ids are
 * exhausted and all emergency records are taken.
 */
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "cell.h"
#include "life.h"
#include "step.h"
#include "tend.h"
#include "thread.h"

#define MOST_TOLD 10

__thread struct wane_self wane_self __attribute__((tls_model("initial-exec"))) = {WN_ME_OUTSIDE, NULL};

static pthread_key_t  exit_key;
static bool           has_exit_key;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static struct wn_record *
self(void)
{
    return (struct wn_record *)wane_self.record;
}

/* ctr is announced (nest 1): may this thread stand here? */
static bool
confirm(struct wn_record *r)
{
    uint32_t claim;

    compiler_barrier();
    claim = load_acquire(&r->pub.claim); /* acquire E3 */
    if (claim & WN_CLAIM_FENCE) {
        /* seq_cst: the full fence that membarrier would have been (E2), on the word itself. */
        if (!WN_MUTANT(enter_no_fence))
            exchange_seq_cst(&r->pub.ctr, (load_acquire(&wane_epoch) & ~WANE_NEST) | 1);
        store_release(&r->fenced, 1u);
        claim = __atomic_load_n(&r->pub.claim.value, __ATOMIC_SEQ_CST);
    }
    if ((claim & WN_CLAIM_HELD) && !WN_MUTANT(claim_ignored))
        return false;
    wane_self.me = r->pub.me;
    return true;
}

static bool
open_on(struct wn_record *r)
{
    store_release(&r->pub.ctr, load_acquire(&wane_epoch)); /* acquire E1 */
    return confirm(r);
}

static void
close_on(struct wn_record *r)
{
    compiler_barrier();
    store_release(&r->pub.ctr, load_relaxed(&r->pub.ctr) & ~WANE_NEST); /* release E4 */
}

/* Stand on some free record for one section; home is where the thread returns (NULL: it is exiting). */
static void
borrow(struct wn_record *home)
{
    struct wn_record *r;

    for (;;) {
        r = wn_record_try();
        if (r && open_on(r))
            break;
        if (r) {
            close_on(r);
            wn_record_free(r);
        } else if (home && open_on(home)) {
            return; /* no memory for another one, but the claim is over */
        } else {
            if (home)
                close_on(home);
            sched_yield();
        }
    }
    r->home = home;
    store_relaxed(&r->tid, home ? load_relaxed(&home->tid) : (uint32_t)syscall(SYS_gettid));
    fetch_or_relaxed(&r->pub.attention, WN_LENT); /* the leave must come out of line */
    wane_self.record = &r->pub;
}

static void
give_back(struct wn_record *r)
{
    struct wn_record *home = r->home;

    r->home = NULL;
    wane_self.record = home ? &home->pub : NULL;
    wane_self.me = home ? WN_ME_OUTSIDE : WN_ME_EXITING;
    fetch_and_relaxed(&r->pub.attention, ~WN_LENT);
    close_on(r);
    wn_record_free(r);
}

void
wane_leave_slow(void)
{
    struct wn_record *r = self();
    uint32_t          bits;

    if (!r || (load_relaxed(&r->pub.ctr) & WANE_NEST) != 1)
        wn_fatal(NULL, "wane_leave without wane_enter");
    bits = load_relaxed(&r->pub.attention);
    if (WN_MUTANT(leave_early))
        close_on(r);
    if (bits & ~WN_LENT)
        wn_tend(r, bits);
    if (load_relaxed(&r->pub.attention) & WN_LENT) {
        give_back(r);
        return;
    }
    wane_self.me = WN_ME_OUTSIDE;
    close_on(r);
}

/* The first few: a server that does it for each request shall not drown in it. */
static void
tell_of_open_section(const struct wn_record *r)
{
    static struct wane_atomic32 told;
    uint32_t                    n = fetch_add_relaxed(&told, 1u);

    if (n < MOST_TOLD)
        fprintf(stderr, "wane: thread %u has ended inside a section; it is closed%s\n", load_relaxed(&r->tid),
                n == MOST_TOLD - 1 ? " (others will not be told of)" : "");
}

static void
thread_exits(void *record)
{
    struct wn_record *home = record, *r = self();

    if (r && (load_relaxed(&r->pub.ctr) & WANE_NEST)) { /* exit inside a section: close it, all levels */
        tell_of_open_section(r);
        wane_self.me = r->pub.me; /* it may have acted for another record */
        r->burying = r->hold_seals = false; /* it may have been inside a callback of ours */
        fetch_or_relaxed(&r->pub.attention, WN_ATTEND); /* what it was burying goes on, also on a record that was lent to it */
        store_relaxed(&r->pub.ctr, (load_relaxed(&r->pub.ctr) & ~WANE_NEST) | 1);
        wane_leave_slow();
    }
    wn_life_thread_exits();
    wane_enter();
    wn_tend_last(self());
    wn_cells_leave(self());
    wane_leave();
    wane_self.record = NULL;
    wane_self.me = WN_ME_EXITING;
    wn_record_free(home);
}

static void
initialise(void)
{
    wn_grace_init();
    wn_threads_init();
    has_exit_key = pthread_key_create(&exit_key, thread_exits) == 0;
    wn_life_init();
}

/* When the library is loaded: a fork must not fall between a first use and the registration of its handlers. */
__attribute__((constructor)) static void
load(void)
{
    pthread_once(&once, initialise);
}

/* Here, because every program that is linked with the static library has this file: who calls is a weak reference. */
void
wane_need_abi(int abi)
{
    if (abi == WANE_ABI)
        return;
    fprintf(stderr, "wane: a part of this program was compiled for binary interface %d; this library, %d.%d.%d, has %d. "
            "Compile it again with the headers of the library\n", abi,
            WANE_VERSION_MAJOR, WANE_VERSION_MINOR, WANE_VERSION_PATCH, WANE_ABI);
    abort();
}

/* The thread's first section: a home record, or a borrowed one when its end cannot be noticed. */
static void
attach(void)
{
    struct wn_record *r;

    pthread_once(&once, initialise); /* for constructors that run before ours */
    if (wane_self.me == WN_ME_EXITING) {
        borrow(NULL);
        return;
    }
    r = wn_record_adopt();
    if (!has_exit_key || pthread_setspecific(exit_key, r)) {
        wn_record_free(r);
        borrow(NULL);
        return;
    }
    store_relaxed(&r->tid, (uint32_t)syscall(SYS_gettid));
    wane_self.record = &r->pub;
    if (!open_on(r)) {
        close_on(r);
        borrow(r);
    }
    (void)wn_chunks_reserve(wn_standing());
}

void
wane_enter_slow(void)
{
    struct wn_record *r = self();

    if (!r) {
        attach();
        return;
    }
    if ((load_relaxed(&r->pub.ctr) & WANE_NEST) == WANE_NEST)
        wn_fatal(NULL, "sections are nested too deeply");
    /* The inline path announced itself and met the claim word. */
    if (confirm(r))
        return;
    WN_STEP("enter:claimed");
    close_on(r);
    borrow(r);
}
