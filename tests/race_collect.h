/* SPDX-License-Identifier: MIT
 *
 * race_collect.h - one collection, and what two mutators do between the collector's readings
 *
 * The collector reads twice. Its first phase reads counts, then edges, once, and may be deceived: some tests show that it was,
 * and that nothing came of it. The review reads words, edges, and after a grace period both again; other tests begin with
 * everything suspected, as the worst of first phases would, and leave one step of the review to notice.
 */
#ifndef RACE_COLLECT_H
#define RACE_COLLECT_H

#include "race_common.h"

#include <time.h>

#include "collect.h"
#include "record.h"

static struct world {
    struct actor m1, m2;
    struct node *a, *b, *x, *y;
    wane_slot    root;
    struct gate  may_go;
    int          ended;
    bool         passed;
    uint64_t     seen; /* the canary of what M1 borrows, late in its section */
    bool         done; /* atomic */
} world, *const w = &world;

static inline int
setup(void **state)
{
    (void)state;
    world = (struct world){.may_go = GATE_CLOSED};
    schedule_begin();
    actor_start(&w->m1);
    actor_start(&w->m2);
    return 0;
}

static inline int
teardown(void **state)
{
    (void)state;
    off_steps();
    actor_stop(&w->m1);
    actor_stop(&w->m2);
    return wane_shutdown();
}

/* ---- Means ------------------------------------------------------------------------------------------------------ */

static inline struct wane_collected
collected(void)
{
    struct wane_collected c;

    assert_int_equal(wane_collect(WANE_ALL, &c), 0);
    return c;
}

/* What one collection comes by, in this order, while all is suspected. */
static const char *const collection_steps[] = {
    "collect:handed-over", "collect:grace", "collect:count-read", "suspect:begin", "suspect:slot-read", "suspect:end",
    "review:both-read", "review:stable", "review:marked", "review:merged", "review:word-read", "review:w1", "review:slot-read",
    "review:e1", "review:grace", "review:e2", "review:word-compared", "review:w2", "collect:settled",
};
#define COLLECTION_STEPS (sizeof collection_steps / sizeof collection_steps[0])

DEED(suspect_all)
{
    struct wn_trial *t = &wn_collection.trial;

    for (uint32_t i = 0; i < t->count; i++)
        t->node[i].object &= ~WN_TRIAL_LIVE;
}

/* The next collection's first phase takes whatever it looks at for garbage. */
static inline void
deceive(void)
{
    on_step("suspect:end", suspect_all, NULL);
}

/* Log, queue and graves of the caller's record are looked after. */
static inline void
tend(void)
{
    fetch_or_relaxed(&((struct wn_record *)wane_self.record)->pub.attention, WN_ATTEND);
    wane_enter();
    wane_leave();
}

/* A grace period; then what the caller has displaced is given back. */
DEED(pass_grace)
{
    uint64_t ticket;

    tend();
    ticket = wn_grace_ticket();
    w->passed = false;
    for (int i = 0; i < 100 && !w->passed; i++) {
        w->passed = wn_grace_poll(ticket);
        if (!w->passed)
            nanosleep(&(struct timespec){0, 100000}, NULL);
    }
    tend();
}

static inline int64_t
count_of(const struct node *n)
{
    struct wane_header *h = WANE_HEADER(n);
    uint64_t            w1 = load_acquire(&h->word1);

    return wn_count(w1) + (w1 & WN_MERGED ? 0 : (int64_t)wn_local(load_relaxed(&h->word0)));
}

/* A candidate, the youngest. By who holds it. */
static inline void
note(struct node *n)
{
    wane_retain(n);
    wane_release(n);
}

static inline struct node *
make(void)
{
    return node_new(&w->ended);
}

DEED(enter)
{
    wane_enter();
}

DEED(retain_a)
{
    wane_retain(w->a);
}

DEED(release_a)
{
    wane_release(w->a);
}

DEED(release_b)
{
    wane_release(w->b);
}

DEED(clear_root)
{
    wane_clear(&w->root);
}

DEED(retain_b_and_leave)
{
    wane_retain(w->b);
    wane_leave();
}

/* M1 has borrowed n and its section is still open: it looks at n, takes a unit, and leaves. */
static inline void
keep_borrowed(struct node *n)
{
    w->seen = n->canary;
    if (w->seen == CANARY)
        wane_retain(n);
    wane_leave();
}

DEED(keep_borrowed_b)
{
    keep_borrowed(w->b);
}

/* Nothing was freed, and something had been suspected and was found to be in use. */
static inline void
expect_kept(struct wane_collected c, size_t suspects)
{
    assert_int_equal(c.suspects, suspects);
    assert_int_equal(c.aborted, suspects);
    assert_int_equal(c.freed, 0);
    assert_int_equal(ended(&w->ended), 0);
}

/* a.0 = b, b.0 = a; M1 owns both. */
DEED(make_ring)
{
    wane_enter();
    w->a = make();
    w->b = make();
    wane_set(&w->a->s[0], w->b);
    wane_set(&w->b->s[0], w->a);
    wane_leave();
}

DEED(make_ring_held_by_b)
{
    make_ring(NULL);
    wane_release(w->a);
}

DEED(make_noted_a)
{
    wane_enter();
    w->a = make();
    note(w->a);
    wane_leave();
}

#endif
