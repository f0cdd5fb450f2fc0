/* SPDX-License-Identifier: MIT */
#include "tend.h"

#include <time.h>

#include "cell.h"
#include "driver.h"
#include "gate.h"
#include "memory.h"
#include "step.h"

#define ROUND        8 /* steps between two looks at the clock, where they are slow */
#define APPLY_BUDGET 256
#define POLL_CHUNKS  16
#define ASK_CHUNKS   64
#define LONG_LOG     128 /* chunks */
#define STEEP        32
#define PATIENCE     128
#define MOST_BURDEN  (7 * PATIENCE)
#define PAUSE_NS     UINT64_C(20000)
#define SHARE_NS     UINT64_C(10000)
#define FAIR_NS      UINT64_C(45000)
#define LONG_NS      UINT64_C(1000000)

/* Its object is in the middle of a merge. */
static void
park(struct wn_record *r, struct wn_queue_node *node)
{
    node->link.next = r->parked;
    r->parked = &node->link;
}

/* Another owner's by now: pass it on. */
static void
pass_on(struct wn_record *r, struct wn_queue_node *node, uint32_t owner)
{
    struct wane_header *h = node->object;

    wn_node_give(r, node);
    if (wn_node_reserve(r))
        wn_queue_push(r, owner, h);
    else
        wn_unit_lost(r, h);
}

/* node came off r's queue, which held a unit of its object. False: it is parked. */
static bool
drain_one(struct wn_record *r, struct wn_queue_node *node)
{
    struct wane_header *h = node->object;
    uint32_t            owner = wn_owner(load_relaxed(&h->word0));

    if (!wn_count_merge(h, wn_type_of(h), r)) {
        if (!(load_acquire(&h->word1) & WN_MERGED)) { /* acquire E10 */
            if (owner)
                pass_on(r, node, owner);
            else
                park(r, node);
            return owner;
        }
        wn_flags_change(h, WN_QUEUED, 0);
    }
    wn_node_give(r, node);
    wn_unit_give(h); /* the queue's unit: an ordinary release */
    return true;
}

/* Who merges is in a section. Is the object in the middle of it after a grace period, the thread was lost in a fork. */
static void
unpark(struct wn_record *r)
{
    bool            over = (wn_grace_poll(r->parked_ticket) || WN_MUTANT(parked_no_grace)) && !WN_MUTANT(parked_for_ever);
    struct wn_link *link = r->parked, *next;

    r->parked = NULL;
    for (; link; link = next) {
        struct wn_queue_node *node = (struct wn_queue_node *)link;

        next = link->next;
        if (over)
            (void)wn_count_finish_merge(node->object, wn_type_of(node->object));
        (void)drain_one(r, node);
    }
}

static uint64_t
larger(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/* Since the first call with this word, which is 0 then. */
static uint64_t
since(uint64_t *began)
{
    uint64_t now = wn_now();

    *began = *began ? *began : now;
    return now - *began;
}

/* Steps that go on for so long after the first round. */
struct stretch {
    uint64_t nanoseconds, began;
    uint32_t look; /* after so many steps at the clock */
};

/* After n steps, 0 first. It looks again soon where they are slow, as what is in no cache is. */
static bool
goes_on(struct stretch *s, uint32_t n)
{
    uint64_t passed;

    if (n < s->look)
        return true;
    passed = since(&s->began);
    s->look = n + (passed > s->nanoseconds / 8 ? ROUND : n < 4 * ROUND ? n : 4 * ROUND);
    return passed <= s->nanoseconds;
}

static void
drain(struct wn_record *r, uint64_t nanoseconds)
{
    struct stretch s = {nanoseconds, 0, ROUND};
    bool           parked = false;

    if (r->parked)
        unpark(r);
    /* Once: what is passed on to this same queue waits for the next time. */
    if (!r->draining)
        r->draining = wn_stack_take(&r->queue);
    for (uint32_t n = 0; r->draining && (goes_on(&s, n) || WN_MUTANT(drains_at_once)); n++) {
        struct wn_queue_node *node = (struct wn_queue_node *)r->draining;

        r->draining = node->link.next;
        compiler_barrier();
        parked |= !drain_one(r, node);
    }
    if (parked)
        r->parked_ticket = wn_grace_ticket();
}

/* The entry of a deferred call. */
static void
call(struct wn_chunk *c)
{
    struct wn_deferred_call *d = (struct wn_deferred_call *)(c->entry[c->next++] & WN_ENTRY_ADDRESS);
    bool                     drives;

    compiler_barrier(); /* the index first: stopped here, nothing is called twice */
    wane_enter(); /* one level deeper: a checkpoint in the callback ends no borrow of ours */
    drives = wn_callback_begin();
    d->fn(d->pointer);
    wn_callback_end(drives);
    wane_leave();
    wn_free(d);
}

/* Calls go by their number, not by the clock: what they take is the program's, and comes again. */
static void
apply(struct wn_record *r, uint32_t most, uint64_t nanoseconds)
{
    struct stretch   s = {WN_MUTANT(units_by_number) ? UINT64_MAX : nanoseconds, 0, ROUND};
    struct wn_chunk *c;

    for (uint32_t n = 0; n < most && goes_on(&s, n) && (c = wn_log_ripe(&r->deferred)); n++) {
        if (c->next == c->count) {
            wn_log_pop(r, &r->deferred);
        } else if (!wn_unit_apply(r, c)) {
            call(c);
            s.began = WN_MUTANT(calls_by_the_clock) ? s.began : 0;
        }
    }
}

/* How many bytes a sealed chunk holds back; its objects are not freed before it is applied. */
static void
measure(struct wn_record *r, struct wn_chunk *c)
{
    for (uint32_t i = c->next; i < c->count; i++) {
        struct wane_header *h = (struct wane_header *)(c->entry[i] & WN_ENTRY_ADDRESS);

        if (h && (c->entry[i] & WN_ENTRY_KIND) == WN_ENTRY_UNIT)
            c->bytes += wn_type_payload_size(wn_type_of(h), h);
    }
    wn_counter_add(&r->held_bytes, c->bytes);
}

/* A thread that displaces faster than the background polls asks for it, and polls for itself where that is cheap, where nobody
 * hears, or where that takes too long. Where it does not help, say what is held back. */
static void
look_for_grace(struct wn_record *r)
{
    struct wn_chunk *c = r->deferred.first;
    uint64_t         began = 0;
    bool             can_wait = r->deferred.chunks <= LONG_LOG && (wn_grace_hears() || WN_MUTANT(deaf_background)) &&
                                !WN_MUTANT(polls_for_itself);

    if (r->deferred.chunks < (can_wait ? ASK_CHUNKS : POLL_CHUNKS) || !c->ticket || wn_grace_done(c->ticket))
        return;
    if (can_wait && !wn_grace_is_cheap(c->ticket)) {
        wn_grace_ask();
        return;
    }
    if (wn_grace_poll(c->ticket))
        return;
    for (c = r->deferred.measured ? r->deferred.measured : c; c && c->ticket && since(&began) <= SHARE_NS;
         c = (struct wn_chunk *)c->link.next) {
        if (!c->bytes)
            measure(r, c);
        r->deferred.measured = c;
    }
}

/* How long a leave may take, if one budget does not suffice: as long as the thread has worked since it last left something; where
 * that does not suffice for long, for a death may cost more than a birth, up to sixteen times as long. That makes PAUSE_NS at
 * most, or as long as the work was: all of it up to FAIR_NS, half of it beyond; twice as much for each 32 leaves (PATIENCE) that
 * did not suffice. There is no such bound while the log is long, nor for who works for so long that he does not notice. */
static uint64_t
allowance(const struct wn_record *r)
{
    bool     is_mine = r->left_by == load_relaxed(&r->tid) || WN_MUTANT(left_at_stays); /* else another thread's clock */
    uint64_t now = is_mine ? wn_cpu_now() : 0;
    uint64_t own = now > r->left_at ? now - r->left_at : 0; /* the clock of a fork's child begins anew */
    uint64_t all = own << (r->burden < STEEP ? r->burden : STEEP) / 8;
    uint64_t fair = larger(own < FAIR_NS ? own : FAIR_NS, own / 2);
    uint64_t most = larger(fair, PAUSE_NS) << r->burden / PATIENCE;
    bool     is_long = r->deferred.chunks > LONG_LOG || own > LONG_NS;

    return all < most || is_long || WN_MUTANT(leaves_are_long) ? all : most;
}

/* Something was left; is it more than memory to be freed and objects to be merged? That makes four times the burden. */
static void
weigh(struct wn_record *r, bool left, bool heavy)
{
    bool own = &r->pub == wane_self.record;

    if (!left)
        r->burden -= r->burden / 8 + (r->burden > 0 && r->burden < 8);
    else if (own && r->burden < MOST_BURDEN)
        r->burden += heavy ? 4 : 1;
    r->left_at = left && own ? wn_cpu_now() : 0;
    r->left_by = load_relaxed(&r->tid);
}

/* By the clock; for a long leave by CPU time: who has to wait for a processor meanwhile has not worked. */
static uint64_t
now_by(uint64_t longer)
{
    return longer > LONG_NS ? wn_cpu_now() : wn_now();
}

/* A thread whose sections displace or kill more than one budget is for would never catch up: where something was left, the next
 * leave goes on until it has taken `longer` since it began. A thread that merely finds a backlog has short leaves: it has done
 * little since the last one. Not a claimer's: his slices are short. Returns whether graves wait. */
static bool
work_off(struct wn_record *r, uint64_t longer, uint64_t began)
{
    uint32_t units = longer > 4 * PAUSE_NS ? 4 * APPLY_BUDGET : APPLY_BUDGET;
    bool     graves, left, mail;

    do {
        apply(r, units, larger(longer, PAUSE_NS));
        if (wn_is_burying(r))
            wn_death_go_on(r, longer || &r->pub != wane_self.record);
        graves = wn_graves_tend(r);
        left = wn_is_burying(r) || wn_log_ripe(&r->deferred) || wn_graves_are_ripe(r);
    } while (left && (now_by(longer) < began + longer || WN_MUTANT(leaves_take_all)));
    mail = r->draining && !WN_MUTANT(mail_weighs_nothing);
    weigh(r, left || mail, wn_is_burying(r) || wn_log_ripe(&r->deferred));
    return graves;
}

/* The next leave goes on. */
static void
go_on_soon(struct wn_record *r)
{
    if (wn_log_ripe(&r->deferred) || wn_graves_are_ripe(r) || r->draining)
        fetch_or_relaxed(&r->pub.attention, WN_ATTEND);
}

/* For barriers: everything displaced before this epoch has been given back, and what died of it is buried. */
static void
say_how_far(struct wn_record *r)
{
    struct wn_chunk *c = r->deferred.first;

    if (wn_is_burying(r) || r->draining || r->parked || load_relaxed(&r->queue))
        return;
    if (c && c->since)
        store_release(&r->settled, (c->ticket && WN_MUTANT(settled_by_ticket) ? c->ticket : c->since) - 1);
    else if (!c || c->next == c->count)
        store_release(&r->settled, load_acquire(&wane_epoch) & ~WANE_NEST);
}

static bool
log_is_empty(const struct wn_log *log)
{
    const struct wn_chunk *c = log->first;

    return !c || (!c->link.next && c->next == c->count);
}

void
wn_tend(struct wn_record *r, uint32_t bits)
{
    uint64_t epoch = load_acquire(&wane_epoch) & ~WANE_NEST;
    uint64_t longer, began;
    bool     waiting;

    fetch_and_relaxed(&r->pub.attention, WN_LENT);
    if (r->burying)
        return;
    longer = &r->pub == wane_self.record && r->left_at && !WN_MUTANT(leaves_apply_little) ? allowance(r) : 0;
    began = longer ? now_by(longer) : 0;
    drain(r, larger(SHARE_NS << r->burden / PATIENCE, longer / 4));
    if (wn_seals_are_held(r))
        r->seal_due = true;
    else
        wn_log_seal(&r->deferred);
    store_release(&r->sealed_at, epoch);
    look_for_grace(r);
    waiting = work_off(r, longer, began);
    if (bits & WN_HANDOVER) {
        wn_candidates_seal(r);
        store_release(&r->handed_at, epoch);
    }
    waiting |= wn_cells_tend(r);
    go_on_soon(r);
    say_how_far(r);
    if (waiting || wn_is_burying(r) || r->draining || r->parked || !log_is_empty(&r->deferred))
        return;
    /* seq_cst against the push: either the pusher finds backlog 0 and reports again, or its node is seen here. Then it is
     * reported here, for the pusher may find backlog 1 and not do it, and the background may have seen the 0. */
    exchange_seq_cst(&r->backlog, 0u);
    WN_STEP("tend:backlog-cleared");
    if (__atomic_load_n(&r->queue.value, __ATOMIC_SEQ_CST) || __atomic_load_n(&r->returned.value, __ATOMIC_SEQ_CST)) {
        if (WN_MUTANT(backlog_silent))
            store_release(&r->backlog, 1u);
        else
            wn_record_backlog(r);
    }
}

bool
wn_tend_until(struct wn_record *r, uint32_t bits, uint64_t end)
{
    bool more;

    do {
        wn_tend(r, bits);
        more = wn_is_burying(r) || r->draining || wn_log_ripe(&r->deferred) || wn_graves_are_ripe(r);
    } while (more && wn_now() < end);
    return more;
}

/* Threads that come and go would leave more behind than the background gives back. So each goes on for as long as it has worked,
 * LONG_NS at most: what is ripe here is its predecessors'. */
void
wn_tend_last(struct wn_record *r)
{
    uint64_t began = wn_cpu_now(), most = WN_MUTANT(ends_give_nothing) ? 0 : began < LONG_NS ? began : LONG_NS;

    while (wn_tend_until(r, WN_ATTEND | WN_HANDOVER, 0) && wn_cpu_now() - began < most)
        ;
}

bool
wn_has_backlog(struct wn_record *r)
{
    return load_acquire(&r->backlog) || load_relaxed(&r->queue) || load_relaxed(&r->returned);
}
