/* SPDX-License-Identifier: MIT
 *
 * race_scan.c - the graph changes under the collector's first phase, and between finding and destroying
 */
#include "race_common.h"

#include <stdlib.h>

#include "collect.h"
#include "count.h"
#include "grace.h"
#include "record.h"

#define PAIRS 1000
#define RING  100
#define MANY  30000

static struct {
    struct actor m1, m2;
    struct node *a, *b, *c, *d;
    wane_slot    root;
    int          ended, ended_at_first;
    uint64_t     seen[3];
} w;

static int
setup(void **state)
{
    (void)state;
    memset(&w, 0, sizeof w);
    schedule_begin();
    actor_start(&w.m1);
    actor_start(&w.m2);
    return 0;
}

static int
teardown(void **state)
{
    (void)state;
    off_steps();
    actor_stop(&w.m1);
    actor_stop(&w.m2);
    return wane_shutdown();
}

static uint64_t
word1(const void *object)
{
    return load_relaxed(&WANE_HEADER(object)->word1);
}

static void
touch_a(void *unused)
{
    (void)unused;
    wane_retain(w.a);
    wane_release(w.a);
}

static void
make_candidate(void *unused)
{
    wane_enter();
    w.a = node_new(&w.ended);
    touch_a(unused);
    wane_leave();
}

static void
release_a(void *unused)
{
    (void)unused;
    wane_release(w.a);
}

static void
make_pair(int *counter)
{
    struct node *x = node_new(counter), *y = node_new(counter);

    wane_set(&x->s[0], y);
    wane_put(&y->s[0], x);
    wane_release(y);
}

/* What a thread does with its log at a leave: it seals it, and applies what is ripe. */
static void
tend(void *unused)
{
    (void)unused;
    wane_enter();
    fetch_or_relaxed(&wn_standing()->pub.attention, WN_ATTEND);
    wane_leave();
}

/* ---- One member does not rest ---------------------------------------------------------------------------------------- */

static void
set_self(void *unused)
{
    (void)unused;
    wane_set(&w.a->s[0], w.a);
}

static void
m1_stores(void *unused)
{
    (void)unused;
    act(&w.m1, set_self, NULL);
}

static void
m1_touches(void *unused)
{
    (void)unused;
    act(&w.m1, touch_a, NULL);
}

static void
note_ended(void *unused)
{
    (void)unused;
    w.ended_at_first = ended(&w.ended);
}

/* RACE-24: a suspect is touched at every point of the review. The garbage beside it goes in the same round. */
static void
race_24_hot_member_starves_nobody(void **state)
{
    static const char *const steps[] = {"review:stable", "review:marked", "review:w1", "review:e1", "review:grace", "review:e2"};

    (void)state;
    act(&w.m1, make_candidate, NULL);
    for (int i = 0; i < PAIRS; i++)
        make_pair(&w.ended);
    on_step("suspect:begin", m1_stores, NULL);
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++)
        on_step(steps[i], m1_touches, NULL);
    on_step("collect:settled", note_ended, NULL);
    assert_int_equal(collect(), 2 * PAIRS);
    assert_true(steps_seen("review:e2") > 0);
    assert_int_equal(w.ended_at_first, 2 * PAIRS);
    assert_true(w.a->canary == CANARY);
    act(&w.m1, release_a, NULL);
    assert_int_equal(collect(), 1);
}

/* ---- The graph grows while it is explored ---------------------------------------------------------------------------- */

struct bud {
    wane_slot s[2];
};

static struct {
    bool grows;
    int  made, wide; /* children of each bud that is met */
} growth;

static void trace_bud(const void *object, struct wane_visitor *visitor);
static struct wane_type bud_type = {"bud", sizeof(struct bud), 0, 0, trace_bud, 0, 0, 0, {0}};

static void
grow(void *bud)
{
    for (int i = 0; i < growth.wide; i++, growth.made++)
        wane_put(&((struct bud *)bud)->s[i], wane_new(&bud_type));
}

/* The scan never comes to the end: wherever it is, there is more. Another thread does it, meanwhile. */
static void
trace_bud(const void *object, struct wane_visitor *visitor)
{
    struct bud *b = (struct bud *)(uintptr_t)object;

    if (growth.grows && growth.made < MANY && !__atomic_load_n(&b->s[0].bits, __ATOMIC_RELAXED))
        act(&w.m1, grow, b);
    wane_visit_array(visitor, b->s, 2);
}

static void
starts_to_grow(void *unused)
{
    (void)unused;
    growth.grows = true;
}

static void
ends_to_grow(void *unused)
{
    (void)unused;
    growth.grows = false;
}

static void
make_bud(void *unused)
{
    (void)unused;
    wane_enter();
    w.b = wane_new(&bud_type);
    wane_release(wane_retain(w.b));
    wane_leave();
}

static void
release_b(void *unused)
{
    (void)unused;
    wane_release(w.b);
}

static void
grow_while_scanned(int wide)
{
    memset(&growth, 0, sizeof growth);
    growth.wide = wide;
    act(&w.m1, make_bud, NULL);
    on_step("suspect:begin", starts_to_grow, NULL);
    on_step("suspect:explored", ends_to_grow, NULL);
}

/* RACE-25: a list is appended to as fast as it is scanned. The scan ends, and what else was found is freed. */
static void
race_25_list_grows_with_the_scan(void **state)
{
    struct wane_collected c;

    (void)state;
    grow_while_scanned(1);
    make_pair(&w.ended);
    assert_int_equal(wane_collect(WANE_ALL, &c), 0);
    act(&w.m1, release_b, NULL);
    assert_int_equal(wane_barrier(), 0);
    assert_in_range(growth.made, 1, MANY - 1);
    assert_in_range(c.examined, 1, MANY);
    assert_int_equal(c.freed, 2);
}

static void
make_ring(int n)
{
    struct node *first = node_new(&w.ended), *last = first;

    for (int i = 1; i < n; i++) {
        struct node *next = node_new(&w.ended);

        wane_put(&last->s[0], next);
        last = next;
    }
    wane_put(&last->s[0], first);
}

/* A tree fills the table before a ring is explored to its end: the ring is found by the next scan. */
static void
race_25_what_was_cut_short_is_not_forgotten(void **state)
{
    (void)state;
    make_ring(RING);
    grow_while_scanned(2);
    on_step("collect:settled", note_ended, NULL);
    (void)collect();
    act(&w.m1, release_b, NULL);
    assert_int_equal(wane_barrier(), 0);
    assert_in_range(growth.made, 1, MANY - 1);
    assert_int_equal(w.ended_at_first, 0); /* it was cut short */
    assert_int_equal(ended(&w.ended), RING);
}

/* ---- An edge is cut behind the exploration --------------------------------------------------------------------------- */

/* a -> b -> c, only a is held. */
static void
make_chain(void *unused)
{
    wane_enter();
    make_candidate(unused);
    w.b = node_new(&w.ended);
    w.c = node_new(&w.ended);
    wane_put(&w.b->s[0], w.c);
    wane_put(&w.a->s[0], w.b);
    wane_leave();
}

static void
cut(void *keep)
{
    wane_enter();
    if (keep)
        wane_retain(w.c);
    wane_clear(&w.b->s[0]);
    wane_leave();
}

static void
suspect_all(void *unused)
{
    struct wn_trial *t = &wn_collection.trial;

    (void)unused;
    for (uint32_t i = 0; i < t->count; i++)
        t->node[i].object &= ~WN_TRIAL_LIVE;
}

static void
m1_cuts(void *keep)
{
    act(&w.m1, cut, keep);
}

static void
release_c(void *unused)
{
    (void)unused;
    wane_release(w.c);
}

/* RACE-26: c was met through b and is not reached again. Nothing of the scan stays on it; it dies by its count, at once. */
static void
race_26_nothing_stays_on_a_cut_off_object(void **state)
{
    (void)state;
    act(&w.m1, make_chain, NULL);
    on_step("suspect:explored", m1_cuts, &w);
    assert_int_equal(collect(), 0);
    assert_true(steps_seen("suspect:explored") > 0);
    assert_false(word1(w.c) & (WN_CLAIMED | WN_REVIEW | WN_CONDEMNED | WN_QUEUED));
    assert_int_equal(wane_barrier(), 0);
    assert_int_equal(ended(&w.ended), 0);
    act(&w.m1, release_c, NULL);
    assert_int_equal(ended(&w.ended), 1);
    act(&w.m1, release_a, NULL);
    assert_int_equal(ended(&w.ended), 3);
}

/* .. and it dies while it is in the table, and a suspect. */
static void
race_26_cut_off_object_dies_in_the_table(void **state)
{
    struct wane_stats before, after;

    (void)state;
    act(&w.m1, make_chain, NULL);
    wane_stats(&before);
    on_step("suspect:explored", m1_cuts, NULL);
    on_step("suspect:end", suspect_all, NULL);
    (void)collect();
    assert_true(steps_seen("suspect:explored") > 0);
    assert_int_equal(ended(&w.ended), 1);
    wane_stats(&after);
    assert_int_equal(after.objects_died - before.objects_died, 1);
    assert_int_equal(after.died_in_cycles, before.died_in_cycles);
    act(&w.m1, release_a, NULL);
    assert_int_equal(ended(&w.ended), 3);
}

/* ---- An array is replaced while it is traced ------------------------------------------------------------------------- */

struct list {
    struct wane_atomic64   length;
    struct wane_atomic_ptr array; /* wane_slot[length], and more */
};

static struct {
    struct list *list;
    int          freed, freed_under_the_trace;
    bool         grown;
} lists;

static void
free_array(void *array)
{
    __atomic_fetch_add(&lists.freed, 1, __ATOMIC_RELAXED);
    free(array);
}

static void
free_later(void *array)
{
    if (wane_free_deferred(array, free_array) != 0)
        abort();
}

/* The units move silently. Then this thread does all it can to have the old array freed. */
static void
grow_list(void *unused)
{
    uint64_t   n = load_relaxed(&lists.list->length);
    wane_slot *old = load_relaxed(&lists.list->array), *fresh = calloc(2 * n, sizeof *fresh);

    (void)unused;
    memcpy(fresh, old, n * sizeof *fresh);
    wane_put(&fresh[n], node_new(&w.ended));
    store_release(&lists.list->array, (void *)fresh);
    store_release(&lists.list->length, n + 1);
    free_later(old);
    for (int i = 0; i < 4; i++) {
        tend(NULL);
        (void)wn_grace_poll(wn_grace_ticket());
    }
}

static void
trace_list(const void *object, struct wane_visitor *visitor)
{
    struct list *l = (struct list *)(uintptr_t)object;
    uint64_t     n = load_acquire(&l->length);
    wane_slot   *array = load_acquire(&l->array);
    int          before = ended(&lists.freed);

    wane_visit(visitor, &array[0]);
    if (!lists.grown) {
        lists.grown = true;
        act(&w.m1, grow_list, NULL);
        lists.freed_under_the_trace = ended(&lists.freed) - before;
    }
    wane_visit_array(visitor, array + 1, n - 1);
}

static void
dispose_list(void *object)
{
    free_later(load_relaxed(&((struct list *)object)->array));
}

static struct wane_type list_type = {"list", sizeof(struct list), 0, 0, trace_list, dispose_list, 0, 0, {0}};

static void
make_list(void *unused)
{
    wane_slot *array = calloc(4, sizeof *array);

    (void)unused;
    wane_enter();
    lists.list = wane_new(&list_type);
    for (int i = 0; i < 4; i++)
        wane_put(&array[i], node_new(&w.ended));
    store_release(&lists.list->array, (void *)array);
    store_release(&lists.list->length, (uint64_t)4);
    wane_release(wane_retain(lists.list));
    wane_leave();
}

static void
release_list(void *unused)
{
    (void)unused;
    wane_release(lists.list);
}

/* RACE-27: a container's array is replaced and given up while the collector reads it: it is good to the end of the trace. */
static void
race_27_array_replaced_under_the_trace(void **state)
{
    (void)state;
    memset(&lists, 0, sizeof lists);
    act(&w.m1, make_list, NULL);
    assert_int_equal(collect(), 0);
    assert_true(lists.grown);
    assert_int_equal(lists.freed_under_the_trace, 0);
    assert_int_equal(wane_barrier(), 0);
    assert_int_equal(lists.freed, 1);
    act(&w.m1, release_list, NULL);
    assert_int_equal(wane_barrier(), 0);
    assert_int_equal(lists.freed, 2);
    assert_int_equal(ended(&w.ended), 5);
}

/* ---- Half made ------------------------------------------------------------------------------------------------------- */

static void
publish_unfinished(void *unused)
{
    (void)unused;
    w.b = node_new(&w.ended);
    for (int i = 0; i < 3; i++)
        w.seen[0] |= w.b->s[i].bits;
    wane_put(&w.a->s[0], w.b);
}

static void
m1_publishes(void *unused)
{
    (void)unused;
    act(&w.m1, publish_unfinished, NULL);
}

static void
finish(void *unused)
{
    (void)unused;
    wane_put(&w.b->s[0], node_new(&w.ended));
    wane_set(&w.b->s[1], w.a);
}

static void
m1_finishes(void *unused)
{
    (void)unused;
    act(&w.m1, finish, NULL);
}

/* RACE-28: nothing knows an object before its maker publishes it, counted and with empty slots; then it is met half made. */
static void
race_28_met_before_it_is_finished(void **state)
{
    (void)state;
    for (int i = 0; i < 100; i++) { /* so that memory is used again */
        struct node *x = node_new(&w.ended);

        memset((void *)&x->canary, 0x55, sizeof x->canary);
        wane_put(&x->s[2], node_new(&w.ended));
        wane_release(x);
    }
    w.ended = 0;
    act(&w.m1, make_candidate, NULL);
    on_step("suspect:begin", m1_publishes, NULL);
    on_step("suspect:explored", m1_finishes, NULL);
    assert_int_equal(collect(), 0);
    assert_int_equal(w.seen[0], 0);
    assert_int_equal(ended(&w.ended), 0);
    assert_ptr_equal(wane_get(&w.b->s[1]), w.a);
    wane_release(w.a);
    act(&w.m1, release_a, NULL);
    assert_int_equal(collect(), 3);
}

int
main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(race_24_hot_member_starves_nobody),
        T(race_25_list_grows_with_the_scan),
        T(race_25_what_was_cut_short_is_not_forgotten),
        T(race_26_nothing_stays_on_a_cut_off_object),
        T(race_26_cut_off_object_dies_in_the_table),
        T(race_27_array_replaced_under_the_trace),
        T(race_28_met_before_it_is_finished),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
