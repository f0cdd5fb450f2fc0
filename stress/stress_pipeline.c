/* SPDX-License-Identifier: MIT
 *
 * stress_pipeline.c - objects handed from thread to thread through bounded queues, while the collector is at work
 *
 * The workers stand in a ring; each takes messages from the queue before it and puts them into the one behind it. A message
 * holds a ring of parts, which is cut loose and replaced on the way, so that there is cyclic garbage whose members have been
 * in transit. Messages are given and adopted, used without being adopted, looked at by others through a published slot, dropped
 * in transit, or refused because a spare unit was kept.
 *
 * Oracle: a message and its parts carry canaries and the number of hops; who holds a message alone writes to it without atomics
 * (the race detector sees two owners at once); after a wane_give that said 0 nobody else may hold it: the receiver finds himself
 * the only holder unless it was published since. At the end everything that was made is gone.
 */
#include "harness.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>

#include <wane/wane.h>

#define LIVE UINT64_C(0x9197e11e9197e11e)
#define ROOM 64
#define MOST 16 /* workers */

struct part {
    uint64_t  magic;
    wane_slot next, back;
};

struct message {
    uint64_t  magic;
    uint64_t  hops; /* plain: of the only holder */
    bool      given; /* plain: the sender's wane_give said 0 */
    wane_slot ring, mate;
};

static _Atomic(struct message *) queue[MOST][ROOM];
static atomic_ullong             made, gone;
static wane_slot                 board; /* where messages are published now and then */
static unsigned                  workers;

enum { GIVEN, REFUSED, ALONE, DROPPED, OVERLAPS };
static struct stress_overlap overlaps[OVERLAPS] = {
    [GIVEN] = {.name = "messages given", .need = 1000},
    [REFUSED] = {.name = "messages not given because somebody else holds them", .need = 100},
    [ALONE] = {.name = "receivers that were the only holder", .need = 1000},
    [DROPPED] = {.name = "messages dropped in transit", .need = 100},
};

static void
part_dispose(void *object)
{
    if (((struct part *)object)->magic != LIVE)
        stress_fail("a part is damaged or disposed of twice");
    ((struct part *)object)->magic = ~LIVE;
    atomic_fetch_add(&gone, 1);
}

static void
message_dispose(void *object)
{
    if (((struct message *)object)->magic != LIVE)
        stress_fail("a message is damaged or disposed of twice");
    ((struct message *)object)->magic = ~LIVE;
    atomic_fetch_add(&gone, 1);
}

static const uint32_t   part_slots[] = {offsetof(struct part, next), offsetof(struct part, back)};
static struct wane_type part_type = {
    .name = "part", .size = sizeof(struct part), .slots = part_slots, .slot_count = 2, .dispose = part_dispose};
static const uint32_t   message_slots[] = {offsetof(struct message, ring), offsetof(struct message, mate)};
static struct wane_type message_type = {.name = "message",
                                        .size = sizeof(struct message),
                                        .slots = message_slots,
                                        .slot_count = 2,
                                        .dispose = message_dispose};

static struct part *
part_new(void)
{
    struct part *p = wane_new(&part_type);

    if (!p)
        stress_fail("no memory");
    p->magic = LIVE;
    atomic_fetch_add(&made, 1);
    return p;
}

/* Two to four parts in a ring, the last of them with an edge to the message. */
static struct part *
ring_new(struct stress_worker *me, struct message *owner)
{
    struct part *first = part_new(), *last = first;

    for (uint64_t n = 1 + stress_random(me, 3); n; n--) {
        struct part *p = part_new();

        wane_put(&last->next, p);
        last = p;
    }
    wane_set(&last->next, first);
    if (stress_random(me, 4) == 0)
        wane_set(&last->back, owner); /* a cycle through the message: now it is not the holder's alone */
    return first;
}

static struct message *
message_new(void)
{
    struct message *m = wane_new(&message_type);

    if (!m)
        stress_fail("no memory");
    m->magic = LIVE;
    atomic_fetch_add(&made, 1);
    return m;
}

/* What a stage does with a message that it holds. In a section. */
static void
work_on(struct stress_worker *me, struct message *m)
{
    switch (stress_random(me, 8)) {
    case 0:
        wane_put(&m->ring, ring_new(me, m));
        break;
    case 1:
        wane_clear(&m->ring);
        break;
    case 2:
        wane_set(&board, m); /* published: others may hold it from now on */
        break;
    case 3: {
        struct message *other = wane_get(&board);

        if (other)
            wane_clear(&other->mate); /* or there would be one long chain of all that ever was */
        wane_put(&m->mate, other);
        break;
    }
    case 4:
        wane_clear(&board);
        break;
    case 5:
        wane_release(wane_retain(m));
        break;
    default:
        break;
    }
}

static struct message *
receive(struct stress_worker *me)
{
    struct message *m = atomic_exchange(&queue[me->index][stress_random(me, ROOM)], NULL);

    if (!m)
        return NULL;
    if (m->magic != LIVE)
        stress_fail("a message was disposed of on its way");
    if (m->given) {
        WANE_SECTION /* one: the collector may ask for a merge, with a unit of its own, from one section to the next */
        {
            if (stress_random(me, 4))
                (void)wane_adopt(m);
            if (!wane_is_unique(m))
                stress_fail("a message that was given has another holder");
        }
        m->hops++;
        m->given = false;
        stress_seen(&overlaps[ALONE]);
    }
    return m;
}

/* Away with it; the place may be taken, then what was there comes back and is dropped, in transit or not. */
static void
send(struct stress_worker *me, struct message *m)
{
    unsigned to = (me->index + 1) % workers;
    int      rc;

    if (stress_random(me, 2) == 0 && wane_is_unique(m)) {
        m->given = true; /* before: afterwards it is the parcel's */
        rc = wane_give(m);
        if (rc != 0)
            m->given = false; /* the record is not at hand: still mine */
    } else {
        rc = wane_give(m);
        if (rc == 0) {
            (void)wane_adopt(m); /* back again */
            m->given = true;
            rc = wane_give(m);
            m->given = rc == 0 ? m->given : false;
        }
    }
    stress_seen(&overlaps[rc == 0 ? GIVEN : REFUSED]);
    m = atomic_exchange(&queue[to][stress_random(me, ROOM)], m);
    if (m) {
        wane_release(m);
        stress_seen(&overlaps[DROPPED]);
    }
}

static void
step(struct stress_worker *me)
{
    struct message *m = receive(me);

    if (!m)
        m = message_new();
    work_on(me, m);
    if (stress_random(me, 50) == 0)
        wane_release(m);
    else
        send(me, m);
}

static void
work(struct stress_worker *me)
{
    while (stress_goes_on(me)) {
        bool in_section = stress_random(me, 4) != 0;

        stress_phase(me, "a burst of messages");
        if (in_section)
            wane_enter();
        for (uint64_t n = 1 + stress_random(me, 50); n; n--)
            step(me);
        if (in_section)
            wane_leave();
        if (stress_random(me, 100) == 0) {
            stress_phase(me, "asleep");
            stress_nap();
        }
    }
}

static void
begin(unsigned threads)
{
    if (threads > MOST)
        stress_fail("at most %d threads", MOST);
    workers = threads;
}

static void
end(unsigned threads)
{
    (void)threads;
    for (int i = 0; i < MOST; i++)
        for (int k = 0; k < ROOM; k++)
            wane_release(atomic_exchange(&queue[i][k], NULL));
    wane_clear(&board);
    stress_settle(0);
    if (atomic_load(&made) != atomic_load(&gone))
        stress_fail("%llu made, %llu disposed of", (unsigned long long)made, (unsigned long long)gone);
}

int
main(int argc, char **argv)
{
    static const struct stress program = {.name = "stress_pipeline",
                                          .begin = begin,
                                          .work = work,
                                          .end = end,
                                          .overlaps = overlaps,
                                          .overlap_count = OVERLAPS};

    return stress_main(argc, argv, &program);
}
