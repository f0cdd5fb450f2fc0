/* SPDX-License-Identifier: MIT
 *
 * race_memory.c - budgets, purges and files where the order of things decides: the test drives, no background runs
 */
#include <errno.h>
#include <time.h>

#include "race_common.h"

#include <wane/memory.h>

#include "budget.h"
#include "death.h"
#include "log.h"
#include "pressure.h"
#include "record.h"

#define PAGE 4096

static struct {
    struct actor      m1;
    struct gate       may_leave;
    struct wn_record *theirs;
    int               woken, asked, dead_called;
} w;

static struct wane_type page_type = {.name = "page", .size = 2 * PAGE};

static int
setup(void **state)
{
    (void)state;
    memset(&w, 0, sizeof w);
    w.may_leave = (struct gate)GATE_CLOSED;
    schedule_begin();
    actor_start(&w.m1);
    return 0;
}

static int
teardown(void **state)
{
    (void)state;
    off_steps();
    gate_open(&w.may_leave);
    actor_stop(&w.m1);
    assert_int_equal(wane_budget(0, 0), 0);
    return wane_shutdown();
}

static void *
page_new(void)
{
    void *page = wane_new(&page_type);

    assert_non_null(page);
    return page;
}

/* ---- Short memory ---------------------------------------------------------------------------------------------------- */

static void
count_wake(void)
{
    w.woken++;
}

/* The background is told once until it has looked, and again after that. */
static void
the_background_is_told_again(void **state)
{
    void *page[64];

    (void)state;
    assert_int_equal(wane_budget(PAGE, 0), 0);
    wn_wake_background = count_wake;
    for (int i = 0; i < 32; i++)
        page[i] = page_new();
    assert_int_equal(w.woken, 1);
    wn_budget_attended();
    for (int i = 32; i < 64; i++)
        page[i] = page_new();
    assert_int_equal(w.woken, 2);
    for (int i = 0; i < 64; i++)
        wane_release(page[i]);
}

static size_t
let_go_of_all(size_t bytes, void *unused)
{
    (void)unused;
    w.asked++;
    return bytes;
}

DEED(m1_sits_in_a_section)
{
    WANE_SECTION
    {
        (void)gate_wait(&w.may_leave, 60000);
    }
}

static void
attend_once_more(void)
{
    nanosleep(&(struct timespec){0, 20000000}, NULL); /* two pauses: a purge would be due */
    (void)wn_pressure_attend();
}

/* What a purge let go of waits for a section: it is not asked for a second time meanwhile. */
static void
one_excess_is_purged_once(void **state)
{
    void *page;

    (void)state;
    page = page_new();
    assert_int_equal(wane_budget(PAGE, 0), 0);
    assert_int_equal(wane_on_pressure(let_go_of_all, NULL), 0);
    wane_release(page_new()); /* reports */
    act_begin(&w.m1, m1_sits_in_a_section, NULL);
    for (int i = 0; i < 3; i++)
        attend_once_more();
    gate_open(&w.may_leave);
    act_wait(&w.m1);
    assert_true(wane_off_pressure(let_go_of_all, NULL));
    assert_int_equal(w.asked, 1);
    wane_release(page);
}

static size_t
count_call_of_the_dead(size_t bytes, void *unused)
{
    (void)bytes;
    (void)unused;
    w.dead_called++;
    return 0;
}

static size_t
take_the_other_away(size_t bytes, void *unused)
{
    (void)bytes;
    (void)unused;
    assert_true(wane_off_pressure(count_call_of_the_dead, NULL));
    return 0;
}

static void
taken_away_inside_of_a_purge(void **state)
{
    (void)state;
    assert_int_equal(wane_on_pressure(count_call_of_the_dead, NULL), 0);
    assert_int_equal(wane_on_pressure(take_the_other_away, NULL), 0); /* called first */
    (void)wane_purge(PAGE);
    assert_int_equal(w.dead_called, 0);
    assert_true(wane_off_pressure(take_the_other_away, NULL));
}

/* ---- Soft references --------------------------------------------------------------------------------------------------- */

static void *soft;

static void
release_soft(void *unused)
{
    (void)unused;
    wane_release(soft);
}

/* The purge has found it in the roster, and it dies before the purge holds it. */
static void
soft_reference_dies_under_a_purge(void **state)
{
    struct node *n;
    int          node_ended = 0;

    (void)state;
    n = node_new(&node_ended);
    soft = wane_soft(n);
    assert_non_null(soft);
    wane_release(n);
    on_step("soft:found", release_soft, NULL);
    (void)wane_purge(PAGE);
    assert_int_equal(steps_seen("soft:found"), 1);
    assert_int_equal(wane_barrier(), 0);
    assert_int_equal(ended(&node_ended), 1);
}

/* ---- Files ----------------------------------------------------------------------------------------------------------- */

/* A page under "a", held by `held` others; a purge that is content with a page. What the cache has then. */
static void *
cached_after_a_purge(void *page, int held)
{
    struct wane_cache *cache = wane_cache_new(1 << 20);
    void              *got;

    assert_int_equal(wane_cache_spill(cache, "/tmp", 1 << 20), 0);
    for (int i = 0; i < held; i++)
        (void)wane_retain(page);
    assert_int_equal(wane_cache_put(cache, "a", page, 2 * PAGE), 0);
    (void)wane_purge(1);
    assert_int_equal(wane_barrier(), 0);
    got = wane_cache_get(cache, "a");
    wane_release(cache);
    return got;
}

static void
what_others_hold_stays_itself(void **state)
{
    void *page = page_new(), *got = cached_after_a_purge(page, 1);

    (void)state;
    assert_ptr_equal(got, page);
    wane_release(got);
    wane_release(page);
}

/* The cache has it, or nobody: its weak reference says the same. */
static void
what_has_a_weak_reference_stays_itself(void **state)
{
    void *page = page_new(), *weak = wane_weak(page), *got = cached_after_a_purge(page, 0), *same = wane_weak_get(weak);

    (void)state;
    assert_ptr_equal(got, same);
    wane_release(got);
    wane_release(same);
    wane_release(weak);
}

/* ---- Records --------------------------------------------------------------------------------------------------------- */

DEED(m1_adopts)
{
    w.theirs = wn_record_try();
}

/* Both have seen the same free record. */
static void
two_adopt_two_records(void **state)
{
    struct wn_record *mine = wn_record_try();

    (void)state;
    wn_record_free(mine);
    cue("record:is-free", 1, &w.m1, m1_adopts);
    mine = wn_record_try();
    assert_ptr_not_equal(mine, w.theirs);
    wn_record_free(mine);
    wn_record_free(w.theirs);
}

/* ---- Outside of sections --------------------------------------------------------------------------------------------- */

#define MOST_HELD 200

static void *held[MOST_HELD];
static int   holds;

/* Up to the hard limit. */
static void
fill(void)
{
    assert_int_equal(wane_budget(0, MOST_HELD / 2 * sizeof(char[2 * PAGE])), 0);
    WANE_SECTION
        for (holds = 0; holds < MOST_HELD && (held[holds] = wane_new(&page_type)); holds++)
            ;
    assert_in_range(holds, 1, MOST_HELD - 1);
}

static void
empty_again(void)
{
    while (holds)
        wane_release(held[--holds]);
    assert_int_equal(wane_budget(0, 0), 0);
}

static uint64_t
refusals(void)
{
    struct wane_memory_stats s;

    wane_memory_stats(&s);
    return s.refused;
}

static size_t
has_nothing(size_t bytes, void *unused)
{
    (void)bytes;
    (void)unused;
    errno = EBADF;
    return 0;
}

/* One object that the limit keeps from being made is one refusal; whatever ran meanwhile, errno says what it was. */
static void
a_refusal_counts_once(void **state)
{
    uint64_t before;
    void    *made;
    int      error;

    (void)state;
    fill();
    assert_int_equal(wane_on_pressure(has_nothing, NULL), 0);
    before = refusals();
    errno = 0;
    made = wane_new(&page_type);
    error = errno;
    assert_true(wane_off_pressure(has_nothing, NULL));
    empty_again();
    assert_null(made);
    assert_int_equal(error, ENOMEM);
    assert_int_equal(refusals() - before, 1);
}

/* Larger than a cell: free may take long, so they keep to the budget of burying. */
static void
a_leave_buries_few_large_objects(void **state)
{
    static wane_slot  slot[3 * WN_BURY_BUDGET];
    struct wn_record *r;
    uint64_t          ticket;
    struct wane_stats before, after;

    (void)state;
    for (int i = 0; i < 3 * WN_BURY_BUDGET; i++)
        wane_put(&slot[i], page_new());
    WANE_SECTION
    {
        r = wn_standing();
        r->burden = 0;
        for (int i = 0; i < 3 * WN_BURY_BUDGET; i++)
            wane_clear(&slot[i]);
        wn_log_seal(&r->deferred);
        ticket = r->deferred.open->ticket;
        store_relaxed(&r->pub.attention, 0u);
    }
    assert_true(wn_grace_poll(ticket));
    wane_stats(&before);
    WANE_SECTION
    fetch_or_relaxed(&r->pub.attention, WN_ATTEND);
    wane_stats(&after);
    assert_int_equal(wane_barrier(), 0);
    assert_in_range(after.objects_died - before.objects_died, 1, WN_BURY_BUDGET);
}

/* ---- Spare nodes of queues ------------------------------------------------------------------------------------------- */

enum { BATCHES = 40, BATCH = 254, NODES = BATCHES * BATCH }; /* record.c */

static struct wn_link *
nodes_take(struct wn_record *r, int n)
{
    struct wn_link *list = NULL;

    while (n--) {
        struct wn_link *node;

        assert_true(wn_node_reserve(r));
        node = &wn_node_take(r)->link;
        node->next = list;
        list = node;
    }
    return list;
}

static void
nodes_give(struct wn_record *r, struct wn_link *list)
{
    for (struct wn_link *next; list; list = next) {
        next = list->next;
        wn_node_give(r, (struct wn_queue_node *)list);
    }
}

/* Marks so many nodes, none of which has the mark already. Each call has its own. */
static void
mark(struct wn_link *list, int n)
{
    static char marks[4], *marked = marks;
    int         found = 0;

    for (; list; list = list->next, found++) {
        assert_ptr_not_equal(((struct wn_queue_node *)list)->object, marked);
        ((struct wn_queue_node *)list)->object = (struct wane_header *)(void *)marked;
    }
    assert_int_equal(found, n);
    marked++;
}

DEED(m1_takes_and_gives)
{
    wane_enter();
    nodes_give(wn_standing(), nodes_take(wn_standing(), 2 * BATCH)); /* fresh ones: the pool is empty */
    nodes_give(wn_standing(), nodes_take(wn_standing(), 3 * BATCH));
    wane_leave();
}

static bool refused;

static bool
no_more(size_t bytes)
{
    (void)bytes;
    refused = true;
    return false;
}

/* As many as were given before, with no memory for others. */
static struct wn_link *
nodes_take_again(struct wn_record *r)
{
    struct wn_link *list;

    refused = false;
    wn_memory_hook = no_more;
    list = nodes_take(r, NODES);
    wn_memory_hook = NULL;
    assert_false(refused);
    mark(list, NODES);
    return list;
}

/* Nodes that others have no use for are every thread's: none is lost, none is two threads', and none is walked over twice. */
static void
spare_nodes_come_back(void **state)
{
    struct wn_record *r;

    (void)state;
    wane_enter();
    r = wn_standing();
    nodes_give(r, nodes_take(r, NODES));
    on_nth_step("record:batch", EACH_TIME, NULL, NULL);
    nodes_give(r, nodes_take_again(r));
    assert_in_range(steps_seen("record:batch"), BATCHES, 4 * BATCHES);
    wane_leave();
}

/* Another thread finds no batch while this one has them all, and puts some back before it does. */
static void
spare_nodes_in_two_hands(void **state)
{
    struct wn_record *r;
    struct wn_link   *list;

    (void)state;
    wane_enter();
    r = wn_standing();
    nodes_give(r, nodes_take(r, NODES));
    cue("record:batch", 3, &w.m1, m1_takes_and_gives);
    list = nodes_take(r, NODES); /* the two meet */
    mark(list, NODES);
    nodes_give(r, list);
    for (int i = 0; i < 2; i++)
        nodes_give(r, nodes_take_again(r));
    wane_leave();
}

int
main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(the_background_is_told_again),
        T(one_excess_is_purged_once),
        T(taken_away_inside_of_a_purge),
        T(soft_reference_dies_under_a_purge),
        T(what_others_hold_stays_itself),
        T(what_has_a_weak_reference_stays_itself),
        T(two_adopt_two_records),
        T(a_refusal_counts_once),
        T(spare_nodes_come_back),
        T(spare_nodes_in_two_hands),
        T(a_leave_buries_few_large_objects),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
