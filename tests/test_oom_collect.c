/* SPDX-License-Identifier: MIT
 *
 * test_oom_collect.c - collections and finalizers without memory, and a process at its limit
 */
#include "oom.h"

#include <signal.h>

#include <wane/collector.h>

#include "collect.h"

/* ---- The collector ------------------------------------------------------------------------------------------------- */

static bool
is_claimed(void *object)
{
    return load_relaxed(&WANE_HEADER(object)->word1) & (WN_CLAIMED | WN_REVIEW | WN_CONDEMNED);
}

/* A wide object with live content, and garbage beside it. Whatever allocation of a collection fails: nothing stays claimed. */
static void
mem_02_a_collection_without_memory_leaves_nothing_claimed(void **state)
{
    enum { WIDE = 40000 }; /* more than the collector's own reserve is for */
    struct wide *w = wide_new(WIDE);
    struct node *x = node_try(&node_type);
    long         n = 0, claimed = 0;
    int          rc;

    (void)state;
    atomic_fetch_add(&made, 1);
    for (int i = 0; i < WIDE; i++)
        wane_put(&w->slot[i], i ? node_try(&node_type) : wane_retain(x));
    wane_set(&x->a, w);
    wane_release(x);
    do {
        struct node *a = node_try(&node_type);

        wane_set(&a->a, a);
        wane_release(a);
        wane_release(wane_retain(w)); /* candidates again */
        assert_int_equal(wane_barrier(), 0);
        oom_fail(++n, LONG_MAX);
        rc = wane_collect(WANE_ALL, NULL);
        oom_end();
        assert_true(rc == 0 || rc == -ENOMEM || rc == -EAGAIN);
        wn_driver_begin(); /* the background collects, too: not now */
        for (int i = 0; i < WIDE; i++)
            claimed += is_claimed(wane_untag((void *)w->slot[i].bits));
        claimed += is_claimed(w);
        wn_driver_end();
        assert_int_equal(claimed, 0);
    } while (rc != 0 && n < 100);
    assert_true(n > 3 && n < 100);
    wane_release(w);
    assert_true(oom_census());
}

/* ---- Finalizers ------------------------------------------------------------------------------------------------------ */

static wane_slot saved;

static void
without_memory(struct node *n)
{
    oom_fail_all();
    EXPECT(wane_new(&node_type) == NULL);
    EXPECT(wane_weak(n) == NULL);
    wane_set(&saved, n);
    wane_set(&n->c, n);
}

static void
mem_03_a_finalizer_meets_the_end_of_memory(void **state)
{
    (void)state;
    (void)wane_run_finalizers();
    for (int cycle = 0; cycle < 2; cycle++) {
        struct node *n = node_try(&final_type);

        n->on_final = without_memory;
        if (cycle)
            wane_set(&n->a, n);
        wane_release(n);
        if (cycle)
            assert_int_equal(wane_collect(WANE_ALL, NULL), 0);
        assert_true(pump_count(&finalized, cycle + 1));
        assert_ptr_equal(wane_peek(&saved), n);
        oom_end();
        wane_clear(&saved);
        assert_int_equal(wane_barrier(), 0);
        assert_int_equal(wane_collect(WANE_ALL, NULL), 0);
        assert_int_equal(atomic_load(&disposed), cycle + 1);
    }
    assert_true(oom_census());
}

/* No memory for the list of a ring's finalizers: it waits, whole, for a later collection. */
static void
mem_03_a_ring_with_finalizers_waits_for_memory(void **state)
{
    struct node *first;
    long         n = 0;
    int          rc;

    (void)state;
    do {
        atomic_store(&finalized, 0);
        first = ring_of(&final_type, 3, NULL);
        atomic_fetch_add(&made, 3);
        assert_int_equal(wane_barrier(), 0);
        wane_release(first);
        oom_fail(++n, LONG_MAX);
        rc = wane_collect(WANE_ALL, NULL);
        assert_true(atomic_load(&disposed) <= 3 * n);
        oom_end();
        assert_true(pump_count(&finalized, 3));
        assert_true(pump_count(&disposed, 3 * n));
    } while (rc != 0 && n < 100);
    assert_true(n > 3 && n < 100);
    assert_true(oom_census());
}

/* ---- The real thing ---------------------------------------------------------------------------------------------------- */

static long
address_space(void)
{
    long  pages = 0;
    FILE *f = fopen("/proc/self/statm", "r");

    if (!f || fscanf(f, "%ld", &pages) != 1)
        pages = 0;
    if (f)
        fclose(f);
    return pages * sysconf(_SC_PAGESIZE);
}

struct pair {
    wane_slot a;
    char      payload[200];
};

static const uint32_t   pair_slots[] = {offsetof(struct pair, a)};
static struct wane_type pair_type = {.name = "pair", .size = sizeof(struct pair), .slots = pair_slots, .slot_count = 1};

/* Rings of two until there is no memory; returns how many. */
static long
fill(wane_slot *slot, long most)
{
    for (long i = 0; i < most; i++) {
        struct pair *a = wane_new(&pair_type), *b = a ? wane_new(&pair_type) : NULL;

        if (!b) {
            wane_release(a);
            return i;
        }
        wane_put(&a->a, b);
        wane_set(&b->a, a);
        wane_put(&slot[i], a);
    }
    return most;
}

static int
under_a_limit(void *arg)
{
    enum { MOST = 400000 };
    static wane_slot slot[MOST];
    long             limit, first, again;
    struct wane_stats s;

    (void)arg;
    wane_release(wane_new(&pair_type)); /* the library's threads and tables first */
    CHILD_CHECK(wane_collect(WANE_ALL, NULL) == 0);
    limit = address_space() + (48 << 20);
    CHILD_CHECK(setrlimit(RLIMIT_AS, &(struct rlimit){(rlim_t)limit, (rlim_t)limit}) == 0);
    first = fill(slot, MOST);
    CHILD_CHECK(first > 1000 && first < MOST);
    for (long i = 0; i < first / 4; i++) { /* cut: these die by their counts */
        struct pair *a = wane_get(&slot[i]);

        wane_clear(&a->a);
        wane_release(a);
        wane_clear(&slot[i]);
    }
    CHILD_CHECK(wane_barrier() == 0);
    for (long i = first / 4; i < first / 2; i++) /* isolated: these are collected */
        wane_clear(&slot[i]);
    for (int i = 0; i < 1000 && stat_live() > (uint64_t)(2 * (first - first / 2)); i++)
        (void)wane_collect(WANE_ALL, NULL);
    CHILD_CHECK(stat_live() == (uint64_t)(2 * (first - first / 2)));
    again = fill(slot, first / 2);
    CHILD_CHECK(again > first / 4);
    for (long i = 0; i < first; i++)
        wane_clear(&slot[i]);
    wane_stats(&s);
    CHILD_CHECK(!s.lost_units && !s.lost_candidates);
    for (int i = 0; i < 1000 && stat_live(); i++)
        (void)wane_collect(WANE_ALL, NULL);
    CHILD_CHECK(wane_shutdown() == 0);
    wane_stats(&s);
    CHILD_CHECK(!s.lost_units && !s.lost_candidates);
    return 0;
}

/* First: nothing of the library has run in this process yet. */
static void
mem_01_a_process_at_its_limit_goes_on(void **state)
{
    struct child c;

    (void)state;
    skip_where_children_have_no_memory();
    if (RIGGED)
        skip();
    c = run_child(under_a_limit, NULL);
    assert_child_ok(&c);
}

/* ---- A chunk that was applied in part, and opened again while a cycle is destroyed -------------------------------------- */

enum { CANDIDATES = 600, APPLIED = 256, NEXT = APPLIED % (WN_CHUNK_ENTRIES + 1) };

static wane_slot    crowded, last_one;
static struct node *crowd, *touched[CANDIDATES];
static bool         was_reopened;

static void
drop_the_last(void *unused)
{
    struct wn_record *r = wn_standing();
    struct wn_chunk  *c = r->deferred.first;

    (void)unused;
    if (!wane_peek(&last_one)) /* the other member */
        return;
    oom_fail_all();
    was_reopened = c && c == r->deferred.open && c->ticket && c->next;
    wane_clear(&last_one);
    was_reopened = was_reopened && c->next && !c->ticket;
}

static bool
is_in_the_last_chunk(const struct wn_log *log)
{
    return log->first && log->first == log->open && log->first->next;
}

/* As a callback of the collecting thread might: many displacements, of which leaves apply all but the end (one leave, where they
 * are fast); then no memory. */
static void
leave_a_part(const char *step)
{
    struct wn_record       *r = (struct wn_record *)wane_self.record;
    static struct wane_type large = {.name = "large", .size = 33 << 20}; /* memory that free() unmaps, whatever came before */

    if (strcmp(step, "collect:grace") != 0 || !crowd)
        return;
    wane_put(&crowded, wane_retain(crowd));
    wane_enter();
    for (int i = 0; i < APPLIED + 100; i++)
        wane_put(&crowded, i == APPLIED - NEXT ? wane_new(&large) : wane_retain(crowd));
    fetch_or_relaxed(&wn_standing()->pub.attention, WN_ATTEND);
    wane_leave();
    EXPECT(wn_grace_poll(wn_grace_ticket()));
    for (int i = 0; i < 100 && !is_in_the_last_chunk(&r->deferred); i++) {
        wane_enter();
        fetch_or_relaxed(&r->pub.attention, WN_ATTEND);
        r->left_at = 0; /* no longer than a budget */
        wane_leave();
    }
    fetch_and_relaxed(&r->pub.attention, ~WN_ATTEND); /* the next leave does not go on */
    wane_release(crowd);
    crowd = NULL;
    oom_fail_all();
    for (int i = 0; i < CANDIDATES; i++) /* candidates take the spare chunks */
        wane_release(wane_retain(touched[i]));
}

static void
mem_02_applied_entries_are_not_looked_at(void **state)
{
    static struct wane_type ringed = {
        .name = "ringed", .size = sizeof(struct node), .slots = node_slots, .slot_count = 3, .dispose = drop_the_last};
    struct node *a, *b;

    (void)state;
    if (RIGGED)
        skip(); /* there are no so long logs */
    (void)signal(SIGSEGV, SIG_DFL); /* and not cmocka's handler: what it would go on with waits for locks that are held */
    a = wane_new(&ringed);
    b = wane_new(&ringed);
    crowd = node_try(&leaf_type);
    for (int i = 0; i < CANDIDATES; i++)
        touched[i] = node_try(&node_type);
    wane_put(&a->a, b);
    wane_put(&b->a, wane_retain(a));
    wane_put(&last_one, node_try(&leaf_type));
    (void)wane_set_automatic(false);
    wane_release(a);
    wn_step_set(leave_a_part);
    EXPECT(wane_collect(WANE_ALL, NULL) == 0);
    wn_step_set(NULL);
    EXPECT(was_reopened);
    oom_end();
    (void)wane_set_automatic(true);
    wane_clear(&crowded);
    for (int i = 0; i < CANDIDATES; i++)
        wane_release(touched[i]);
    assert_true(oom_census());
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mem_01_a_process_at_its_limit_goes_on),
        OOM(mem_02_a_collection_without_memory_leaves_nothing_claimed),
        OOM(mem_02_applied_entries_are_not_looked_at),
        OOM(mem_03_a_finalizer_meets_the_end_of_memory),
        OOM(mem_03_a_ring_with_finalizers_waits_for_memory),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, scene_shutdown);
}
