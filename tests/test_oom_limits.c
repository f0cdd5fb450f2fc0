/* SPDX-License-Identifier: MIT
 *
 * test_oom_limits.c - no memory for a long time: what is bounded, what was paid for, what waits
 */
#include "oom.h"

#include <wane/containers.h>

#include "driver.h"
#include "tend.h"

/* ---- Errors are reported, and nothing has changed --------------------------------------------------------------- */

static long
units_of(struct node *n)
{
    struct wane_header *h = WANE_HEADER(n);
    uint64_t            w1 = load_relaxed(&h->word1);

    return (long)wn_count(w1) + ((w1 & WN_MERGED) ? 0 : (long)wn_local(load_relaxed(&h->word0)));
}

static void
mem_01_what_can_fail_says_so(void **state)
{
    struct node       *n = node_try(&node_type);
    struct wane_vec   *vec = wane_vec_new();
    struct wane_map   *map = wane_map_new();
    struct wane_type   unknown = {.name = "unknown", .size = 8};
    void              *p = malloc(1);
    void              *weak;

    (void)state;
    oom_fail_all();
    errno = 0;
    assert_null(node_try(&node_type));
    assert_int_equal(errno, ENOMEM);
    errno = 0;
    assert_null(wane_new(&unknown));
    assert_int_equal(errno, ENOMEM);
    assert_null(wane_new_sized(&wide_type, sizeof(struct wide)));
    assert_null(wane_array_new(3));
    assert_null(wane_vec_new());
    assert_null(wane_map_new());
    assert_int_equal(wane_vec_push(vec, n), -ENOMEM);
    assert_int_equal(wane_map_put(map, "key", n), -ENOMEM);
    assert_int_equal(wane_map_set(map, "key", n), -ENOMEM);
    errno = 0;
    assert_null(wane_weak(n));
    assert_int_equal(errno, ENOMEM);
    assert_int_equal(wane_free_deferred(p, NULL), -ENOMEM);
    assert_int_equal(units_of(n), 1);
    oom_end();
    assert_int_equal(wane_vec_push(vec, wane_retain(n)), 0);
    assert_int_equal(wane_map_set(map, "key", n), 0);
    weak = wane_weak(n);
    assert_non_null(weak);
    assert_int_equal(wane_share(n), 0);
    oom_fail_all();
    assert_int_equal(wane_unshare(n), -ENOMEM);
    assert_int_equal(wane_weak_notify(weak, (void (*)(void *, void *))(uintptr_t)abort, NULL), -ENOMEM);
    oom_end();
    assert_int_equal(wane_unshare(n), 0);
    assert_int_equal(wane_free_deferred(p, NULL), 0);
    wane_release(weak);
    wane_release(vec);
    wane_release(map);
    wane_release(n);
    assert_true(oom_census());
}

/* ---- Displaced units ------------------------------------------------------------------------------------------------ */

/* Millions of displacements of a few objects in one section: the log stays as small as the objects are few. */
static void
mem_02_few_objects_displaced_without_memory(void **state)
{
    enum { FEW = 5 };
    const long   many = RIGGED ? 200000 : SCALED(2000000); /* an entry counts to 65536 */
    struct node *n[FEW];
    wane_slot    slot = {0};
    uint64_t     most = 0;

    (void)state;
    for (int i = 0; i < FEW; i++)
        n[i] = node_try(&node_type);
    oom_fail_all();
    wane_enter();
    for (long i = 0; i < many; i++) {
        wane_set(&slot, n[i % FEW]);
        if (wn_standing()->deferred.chunks > most)
            most = wn_standing()->deferred.chunks;
    }
    wane_clear(&slot);
    for (int i = 0; i < FEW; i++)
        assert_true(units_of(n[i]) > many / FEW / 2); /* all are pending */
    wane_leave();
    assert_true(most <= 4);
    assert_true(RIGGED || wn_pool_lent() == 0);
    assert_int_equal(wane_barrier(), 0);
    for (int i = 0; i < FEW; i++) {
        assert_int_equal(units_of(n[i]), 1);
        wane_release(n[i]);
    }
    assert_true(oom_census());
}

/* Calls, too: they are kept while entries around them merge. */
static atomic_long called;

static void
count_call(void *arg)
{
    atomic_fetch_add(&called, (long)(intptr_t)arg);
}

static void
mem_02_calls_among_merged_units(void **state)
{
    enum { CALLS = 200 };
    struct node *n[2] = {node_try(&node_type), node_try(&leaf_type)};
    wane_slot    slot = {0};

    (void)state;
    atomic_store(&called, 0);
    wane_enter();
    for (int i = 0; i < CALLS; i++) {
        oom_end();
        assert_int_equal(wane_free_deferred((void *)(intptr_t)(i + 1), count_call), 0);
        oom_fail_all();
        for (int k = 0; k < 100; k++)
            wane_set(&slot, n[k % 2]);
    }
    wane_clear(&slot);
    assert_true(RIGGED || wn_standing()->deferred.chunks <= 8);
    assert_int_equal(atomic_load(&called), 0);
    wane_leave();
    assert_int_equal(wane_barrier(), 0);
    assert_int_equal(atomic_load(&called), CALLS * (CALLS + 1) / 2);
    wane_release(n[0]);
    wane_release(n[1]);
    assert_true(oom_census());
}

/* A thread that holds a section open. */
static struct gate stay;

static void *
stay_inside(void *arg)
{
    (void)arg;
    wane_enter();
    gate_wait(&stay);
    gate_wait(&stay);
    wane_leave();
    return NULL;
}

/* Sealed chunks are merged with new entries while somebody borrows what the new ones are for: the old ticket is too early. */
static void
mem_02_merged_entries_wait_as_long_as_the_newest(void **state)
{
    enum { OBJECTS = WN_CHUNK_ENTRIES * 8 / 5 };
    static struct node *n[OBJECTS];
    static wane_slot    slot[OBJECTS];
    pthread_t           t;

    (void)state;
    stay = (struct gate){.count = 2};
    t = spawn(stay_inside, NULL);
    gate_wait(&stay);
    for (int i = 0; i < OBJECTS; i++)
        wane_set(&slot[i], n[i] = node_try(&leaf_type));
    wane_enter();
    for (int i = 0; i < OBJECTS; i++) /* each one's unit is pending with a ticket that the other thread holds up */
        wane_set(&slot[i], n[i]);
    fetch_or_relaxed(&wn_standing()->pub.attention, WN_ATTEND);
    wane_leave();
    for (int i = 0; i < OBJECTS; i++)
        wane_release(n[i]); /* the slot holds it */
    oom_fail_all();
    wane_enter();
    for (int i = 0; i < OBJECTS; i++)
        node_check(wane_peek(&slot[i]));
    for (int i = 0; i < OBJECTS - 1; i++)
        wane_clear(&slot[i]);
    gate_wait(&stay);
    join(t);
    for (int i = 0; i < 8 * WN_CHUNK_ENTRIES; i++) /* more room is made again and again */
        wane_set(&slot[OBJECTS - 1], n[OBJECTS - 1]);
    wane_release(wane_retain(n[OBJECTS - 1]));
    wane_release_slow(wane_retain(n[OBJECTS - 1])); /* buries what has died */
    for (int i = 0; i < OBJECTS; i++)
        node_check(n[i]); /* borrowed */
    wane_leave();
    wane_clear(&slot[OBJECTS - 1]);
    assert_true(oom_census());
}

/* A few displacements in a callback, then a leave, which seals them: again and again, without memory, and no grace period passes.
 * In callbacks entries are not merged. */
static wane_slot held[10];
static int       dropped;

static void
drop_one_held(void *unused)
{
    (void)unused;
    wane_clear(&held[dropped++]);
    fetch_or_relaxed(&wn_standing()->pub.attention, WN_ATTEND);
}

static void
mem_02_leaves_seal_little_without_memory(void **state)
{
    static struct wane_type dropper = {.name = "dropper", .size = 8, .dispose = drop_one_held};
    enum { TIMES = sizeof held / sizeof held[0] };
    void     *o[TIMES];
    void     *seen[TIMES];
    pthread_t t;

    (void)state;
    dropped = 0;
    stay = (struct gate){.count = 2};
    t = spawn(stay_inside, NULL);
    gate_wait(&stay);
    for (int i = 0; i < TIMES; i++) {
        struct node *n = node_try(&leaf_type);

        wane_put(&held[i], n);
        o[i] = wane_new(&dropper);
        assert_non_null(o[i]);
    }
    oom_fail_all();
    for (int i = 0; i < TIMES; i++) {
        wane_enter();
        seen[i] = wane_peek(&held[i]);
        wane_release(o[i]);
        node_check(seen[i]);
        wane_leave();
    }
    assert_int_equal(dropped, TIMES);
    for (int i = 0; i < TIMES; i++)
        node_check(seen[i]); /* the other thread's section, which is older than all tickets, holds each */
    EXPECT(lost() == lost_before);
    gate_wait(&stay);
    join(t);
    assert_true(oom_census());
}

/* An entry that a sealed chunk takes in waits as long as a new one. */
static void
mem_02_reopened_chunks_have_a_later_ticket(void **state)
{
    struct wn_record *r;
    wane_slot         slot = {0};
    struct node      *n;

    (void)state;
    assert_int_equal(wane_barrier(), 0);
    n = node_try(&leaf_type);
    wane_put(&slot, node_try(&leaf_type));
    wane_enter();
    r = wn_standing();
    wane_set(&slot, n);
    wn_log_seal(&r->deferred);
    EXPECT(r->deferred.open->ticket);
    EXPECT(wn_log_reopen(&r->deferred));
    EXPECT(!wn_log_ripe(&r->deferred));
    EXPECT(!r->deferred.open->ticket && r->deferred.unsealed == r->deferred.open);
    wane_leave();
    wane_release(n);
    wane_clear(&slot);
    assert_true(oom_census());
}

/* Who waits for what is in a chunk that a callback has had opened again waits for its later ticket. Nobody else polls for it. */
static bool was_cut_short;

static void
reopen(void *unused)
{
    struct wn_log *log = &wn_standing()->deferred;

    (void)unused;
    was_cut_short = log->open && log->open->ticket && log->open->next < log->open->count && wn_log_reopen(log);
}

static void
mem_02_barriers_poll_for_reopened_chunks(void **state)
{
    static struct wane_type reopener = {.name = "reopener", .size = 8, .dispose = reopen};
    wane_slot               slot = {0};
    bool                    settled;

    (void)state;
    if (RIGGED)
        skip(); /* chunks are applied at once */
    assert_int_equal(wane_barrier(), 0);
    wane_enter();
    for (int i = 0; i < WN_CHUNK_ENTRIES + 150; i++) /* the last ones of a share are buried first */
        wane_put(&slot, i == 230 ? wane_new(&reopener) : node_try(&leaf_type));
    wane_leave();
    wn_driver_begin();
    settled = wn_driver_settle(wn_now() + 3000000000);
    wn_driver_end();
    assert_true(was_cut_short);
    assert_true(settled);
    wane_clear(&slot);
    assert_true(oom_census());
}

/* Settled: units with a ticket up to this have been given back. Merged ones have had an older ticket. */
static void
mem_02_barriers_know_what_merged_entries_are(void **state)
{
    enum { OTHERS = WN_CHUNK_ENTRIES - 10 };
    struct node      *n;
    wane_slot         slot = {0};
    struct wn_record *r;
    uint64_t          ticket, later, settled;

    (void)state;
    if (RIGGED)
        skip();
    assert_int_equal(wane_barrier(), 0);
    n = node_try(&node_type);
    wane_set(&slot, n);
    wane_enter();
    r = wn_standing();
    wane_set(&slot, n);
    wn_log_seal(&r->deferred);
    ticket = r->deferred.unsealed ? 0 : r->deferred.open->ticket;
    for (int i = 0; i < OTHERS; i++) /* merging these alone yields too little */
        wane_put(&slot, node_try(&leaf_type));
    EXPECT(wn_log_squeeze(r, &r->deferred));
    EXPECT(r->deferred.first == r->deferred.unsealed);
    wn_tend(r, WN_ATTEND); /* a new ticket; nothing is ripe, this section is open */
    later = r->deferred.first->ticket;
    settled = load_relaxed(&r->settled);
    wane_leave();
    wane_release(n);
    wane_clear(&slot);
    assert_true(ticket && later > ticket);
    assert_true(settled < ticket);
    assert_true(oom_census());
}

/* ---- What wane_new has paid for ---------------------------------------------------------------------------------- */

/* Isolated rings by the ten thousand, without memory for their candidate entries. */
static void
mem_02_candidates_without_memory(void **state)
{
    const long    rings = SCALED(60000);
    struct node **n = malloc((size_t)rings * sizeof *n);
    long          before;
    int           rc;

    (void)state;
    for (long i = 0; i < rings; i++) {
        struct node *a = node_try(&node_type), *b = node_try(&node_type);

        wane_put_private(&a->a, b); /* an entry for b: closed below */
        wane_set(&b->a, a);
        n[i] = a;
    }
    assert_int_equal(wane_barrier(), 0);
    oom_fail_all();
    for (long i = 0; i < rings; i++)
        wane_release(n[i]);
    free(n);
    do {
        before = atomic_load(&disposed);
        rc = wane_collect(WANE_ALL, NULL); /* in parts, for a second; the rest is kept */
        assert_true(rc == 0 || rc == -ENOMEM || rc == -EAGAIN);
    } while (rc != 0 && atomic_load(&disposed) > before);
    assert_int_equal(atomic_load(&disposed), 2 * rings); /* still without memory */
    assert_true(oom_census());
}

struct owner {
    struct gate   gate;
    long          objects;
    struct node **n;
};

static void *
own(void *arg)
{
    struct owner *o = arg;

    wane_enter();
    for (long i = 0; i < o->objects; i++)
        o->n[i] = node_try(i & 1 ? &node_type : &leaf_type);
    gate_wait(&o->gate);
    gate_wait(&o->gate); /* inside: nobody drains this queue */
    wane_leave();
    return NULL;
}

/* All objects of a thread wait in its queue at once, and there was no memory for its nodes. */
static void
bias_07_units_are_queued_without_memory(void **state)
{
    struct owner o = {.gate = {.count = 2}, .objects = SCALED(80000)};
    pthread_t    t;

    (void)state;
    o.n = malloc((size_t)o.objects * sizeof o.n[0]);
    t = spawn(own, &o);
    gate_wait(&o.gate);
    oom_fail_all();
    for (long i = 0; i < o.objects; i++)
        wane_release(o.n[i]);
    assert_int_equal(atomic_load(&disposed), 0);
    gate_wait(&o.gate);
    join(t);
    assert_int_equal(wane_barrier(), 0);
    assert_int_equal(atomic_load(&disposed), o.objects); /* still without memory */
    assert_true(oom_census());
    free(o.n);
}

/* ---- Past every reserve ------------------------------------------------------------------------------------------- */

enum { MOST_BLOCKS = 1 << 17 };
static void *taken[MOST_BLOCKS];

static void
take_the_pool(void)
{
    size_t n = 0;

    while (n < MOST_BLOCKS && (taken[n] = wn_pool_take()))
        n++;
    assert_true(n < MOST_BLOCKS);
}

static void
give_the_pool_back(void)
{
    for (size_t n = 0; taken[n]; n++) {
        wn_pool_give(taken[n]);
        taken[n] = NULL;
    }
}

/* No spare chunk, nothing in the pool, all entries distinct: units stay counted and are reported. Nothing is freed early. */
static void
mem_02_a_unit_that_cannot_wait_stays_counted(void **state)
{
    enum { MANY = 3 * WN_CHUNK_ENTRIES + 20 };
    static struct node *n[MANY];
    static wane_slot    slot[MANY];
    struct wane_stats   before = stats(), after;
    long                leaked = 0;

    (void)state;
    for (int i = 0; i < MANY; i++)
        wane_set(&slot[i], n[i] = node_try(&leaf_type));
    take_the_pool();
    oom_fail_all();
    wane_enter();
    for (int i = 0; i < MANY; i++)
        wane_clear(&slot[i]);
    wane_leave();
    oom_end();
    give_the_pool_back();
    assert_int_equal(wane_barrier(), 0);
    after = stats();
    for (int i = 0; i < MANY; i++) {
        leaked += units_of(n[i]) - 1;
        node_check(n[i]);
    }
    assert_int_equal(after.lost_units - before.lost_units, leaked);
    assert_true(leaked > 0);
    for (int i = 0; i < MANY; i++) {
        if (units_of(n[i]) == 2)
            wane_release(n[i]); /* only a test can do that */
        wane_release(n[i]);
    }
    lost_before += (uint64_t)leaked;
    assert_true(oom_census());
}

/* A mark without an entry would keep the ring from ever being a candidate again. */
static void
mem_02_a_candidate_without_an_entry_has_no_mark(void **state)
{
    struct wane_stats before = stats(), after;
    struct node      *a, *fill;

    (void)state;
    assert_int_equal(wane_collect(WANE_ALL, NULL), 0);
    a = ring_of(&node_type, 2, NULL);
    fill = node_try(&node_type);
    atomic_fetch_add(&made, 2);
    wane_release(wane_retain(a));
    assert_int_equal(wane_collect(WANE_ALL, NULL), 0); /* its marks are off: it is live */
    wane_retain(a);
    take_the_pool();
    oom_fail_all();
    wane_enter();
    while (wn_standing()->spare) { /* whatever the record has left */
        struct wn_chunk *c = wn_standing()->spare;

        wn_standing()->spare = (struct wn_chunk *)c->link.next;
        wn_standing()->spare_count--;
        wn_chunk_release(c);
    }
    wn_candidates_seal(wn_standing());
    wane_release(a);
    wane_leave();
    after = stats();
    oom_end();
    give_the_pool_back();
    assert_true(after.lost_candidates > before.lost_candidates);
    assert_false(load_relaxed(&WANE_HEADER(a)->word0) & WANE_QUIET);
    assert_false(load_relaxed(&WANE_HEADER(a)->word1) & WN_MARKS);
    wane_release(a);
    wane_release(fill);
    assert_int_equal(wane_collect(WANE_ALL, NULL), 0);
    assert_int_equal(atomic_load(&disposed), 3);
    lost_before = lost();
    assert_true(oom_census());
}

/* ---- Payments ---------------------------------------------------------------------------------------------------- */

/* Objects come and go: what was paid for the dead is there for the next ones. */
static void
mem_02_payments_come_back(void **state)
{
    struct node *n[300];

    (void)state;
    oom_fail(LONG_MAX - 1, LONG_MAX);
    for (int round = 0; round < 200; round++) {
        for (int i = 0; i < 300; i++)
            n[i] = node_try(&node_type);
        for (int i = 0; i < 300; i++)
            wane_release(n[i]);
    }
    assert_true(atomic_load(&oom_asked) < 200 * 300 + 1000); /* the objects themselves, and little more */
    assert_true(oom_census());
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        OOM(mem_01_what_can_fail_says_so),
        OOM(mem_02_few_objects_displaced_without_memory),
        OOM(mem_02_calls_among_merged_units),
        OOM(mem_02_merged_entries_wait_as_long_as_the_newest),
        OOM(mem_02_leaves_seal_little_without_memory),
        OOM(mem_02_reopened_chunks_have_a_later_ticket),
        OOM(mem_02_barriers_poll_for_reopened_chunks),
        OOM(mem_02_barriers_know_what_merged_entries_are),
        OOM(mem_02_candidates_without_memory),
        OOM(bias_07_units_are_queued_without_memory),
        OOM(mem_02_a_unit_that_cannot_wait_stays_counted),
        OOM(mem_02_a_candidate_without_an_entry_has_no_mark),
        OOM(mem_02_payments_come_back),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, scene_shutdown);
}
