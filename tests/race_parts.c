/* SPDX-License-Identifier: MIT
 *
 * race_parts.c - wide objects are traced in parts, and something happens between two of them
 */
#include <time.h>

#include "race_common.h"

#include <stdlib.h>

#include <wane/containers.h>

#include "grace.h"
#include "part.h"
#include "record.h"

/* A shelf shows an array that is replaced by copies, in which a unit has another place: the word in the old one counts for
 * nothing. The memory of two arrays is used in turns. */
#define PLACES (WN_PART_SLOTS + 100)
#define SEEN   (WN_PART_SLOTS - 1) /* the last place in the first part */

struct shelf {
    struct wane_atomic_ptr slots;
    int                   *ended;
};

static void
shelf_trace(const void *object, struct wane_visitor *visitor)
{
    const struct shelf *s = object;

    wane_visit_array(visitor, load_acquire(&s->slots), PLACES);
}

static void
shelf_dispose(void *object)
{
    ++*((struct shelf *)object)->ended;
}

static struct wane_type shelf_type = {.name = "shelf", .size = sizeof(struct shelf), .trace = shelf_trace,
                                      .dispose = shelf_dispose};

static struct {
    struct actor  m;
    struct shelf *shelf;
    struct node  *node;
    wane_slot     array[2][PLACES];
    int           ended, parts, slots, most;
    bool          same_memory;
} w;

static int
setup(void **state)
{
    (void)state;
    memset(&w, 0, sizeof w);
    schedule_begin();
    actor_start(&w.m);
    return 0;
}

static int
teardown(void **state)
{
    (void)state;
    off_steps();
    actor_stop(&w.m);
    return wane_shutdown();
}

/* A shelf and a node that hold each other. */
static void
make_pair(void)
{
    w.shelf = wane_new(&shelf_type);
    assert_non_null(w.shelf);
    w.shelf->ended = &w.ended;
    w.node = node_new(&w.ended);
    store_release(&w.shelf->slots, (void *)w.array[0]);
    wane_set(&w.array[0][SEEN], w.node);
    wane_put(&w.node->s[0], w.shelf);
}

/* Without a trace in the node's header. */
static void
move_to(unsigned place)
{
    wane_slot *from = load_acquire(&w.shelf->slots);
    wane_slot *to = from == w.array[0] ? w.array[1] : w.array[0];
    uint64_t   ticket;

    memset(to, 0, sizeof w.array[0]);
    to[place] = (wane_slot){(uintptr_t)w.node};
    store_release(&w.shelf->slots, (void *)to);
    if (!w.same_memory)
        return;
    for (ticket = wn_grace_ticket(); !wn_grace_poll(ticket);)
        sched_yield();
    memcpy(from, to, sizeof w.array[0]);
    store_release(&w.shelf->slots, (void *)from);
}

DEED(out_of_the_first_part) { move_to(SEEN + 1); }
DEED(into_the_first_part) { move_to(SEEN); }

static void
after_a_part(void *unused)
{
    (void)unused;
    if (w.parts++ % 2 == 0) /* of two, in each trace */
        act(&w.m, out_of_the_first_part, NULL);
}

/* The node is held. By the first phase and in each trace it would be seen twice, once in either part: as often as it has
 * units. */
static void
held_is_not_freed(void)
{
    make_pair();
    cue("suspect:visited", 1, &w.m, out_of_the_first_part);
    cue("review:merged", 1, &w.m, into_the_first_part);
    on_nth_step("review:part", EACH_TIME, after_a_part, NULL);
    cue("review:grace", 1, &w.m, into_the_first_part);
    (void)wane_collect(WANE_ALL, NULL);
    off_steps();
    assert_true(w.parts > 0);
    assert_int_equal(w.ended, 0);
    assert_ptr_equal(wane_retain(w.node), w.node);
    wane_release(w.node);
    wane_release(w.node);
    assert_int_equal(collect(), 2);
    assert_int_equal(w.ended, 2);
}

static void
an_array_is_replaced_between_two_parts(void **state)
{
    (void)state;
    held_is_not_freed();
}

/* Twice, and the second has the first one's memory. */
static void
the_memory_is_used_again_between_two_parts(void **state)
{
    (void)state;
    w.same_memory = true;
    held_is_not_freed();
}

/* ---- Sections are short ---------------------------------------------------------------------------------------------- */

static void
count_slot(void *unused)
{
    (void)unused;
    w.slots++;
    w.most = w.slots > w.most ? w.slots : w.most;
}

static void
count_part(void *unused)
{
    (void)unused;
    assert_false(wane_in_section());
    w.parts++;
    w.slots = 0;
}

#define WIDE 20000

/* Slots shown in one call: each section does a part, and each slot is looked at once a trace. */
static void
garbage_is_traced_in_parts(void **state)
{
    struct wane_vec *vec = wane_vec_new();
    struct node     *n;

    (void)state;
    for (int i = 0; i < WIDE; i++) {
        n = node_new(&w.ended);
        wane_set(&n->s[0], vec);
        assert_int_equal(wane_vec_push(vec, n), 0);
    }
    on_nth_step("review:slot-read", EACH_TIME, count_slot, NULL);
    on_nth_step("review:part", EACH_TIME, count_part, NULL);
    on_nth_step("collect:slice", EACH_TIME, count_part, NULL);
    wane_release(vec);
    assert_int_equal(collect(), WIDE + 1);
    off_steps();
    assert_int_equal(w.ended, WIDE);
    assert_true(w.parts > 2 * WIDE / WN_PART_SLOTS);
}

struct many {
    int      *ended;
    wane_slot slot[WIDE];
};

static void
many_trace(const void *object, struct wane_visitor *visitor)
{
    for (int i = 0; i < WIDE; i++)
        wane_visit(visitor, &((const struct many *)object)->slot[i]);
}

static void
many_dispose(void *object)
{
    ++*((struct many *)object)->ended;
}

static struct wane_type many_type = {.name = "many", .size = sizeof(struct many), .trace = many_trace, .dispose = many_dispose};

/* Slots shown one by one cost a step each, in every call: so there are few. */
static void
one_by_one_takes_few_calls(void **state)
{
    struct many *many = wane_new(&many_type);

    (void)state;
    assert_non_null(many);
    many->ended = &w.ended;
    for (int i = 0; i < WIDE; i++)
        wane_set(&many->slot[i], many);
    on_nth_step("review:part", EACH_TIME, count_part, NULL);
    wane_release(many);
    assert_int_equal(collect(), 1);
    off_steps();
    assert_int_equal(w.ended, 1);
    assert_in_range(w.parts, 2 * 2, 2 * 20);
}

/* ---- Finalizers ------------------------------------------------------------------------------------------------------ */

#define RING 500

static uint64_t ticket;

static void
take_ticket(void *unused)
{
    (void)unused;
    ticket = wn_grace_ticket();
}

static void
see_it_pass(void *unused)
{
    (void)unused;
    assert_true(wn_grace_poll(ticket));
}

static void
note_finalized(void *object)
{
    __atomic_fetch_add(((struct node *)object)->ended, 1, __ATOMIC_RELAXED);
}

static struct wane_type final_type = {"final", sizeof(struct node), node_slots, 3, 0, 0, note_finalized, 0, {0}};

/* A large component is protected for its finalizers in several sections. */
static void
finalizers_are_made_due_in_parts(void **state)
{
    struct node *first = NULL, *last = NULL;
    size_t       freed;

    (void)state;
    for (int i = 0; i < RING; i++) {
        struct node *n = wane_new(&final_type);

        assert_non_null(n);
        n->ended = &w.ended;
        if (last)
            wane_put(&last->s[0], n);
        else
            first = n;
        last = n;
    }
    wane_set(&last->s[0], first);
    on_nth_step("final:protected", 10, take_ticket, NULL);
    on_nth_step("final:protected", 200, see_it_pass, NULL);
    wane_release(first);
    freed = collect(); /* the finalizers may have run meanwhile */
    assert_true(steps_seen("final:protected") >= 200);
    off_steps();
    while (ended(&w.ended) < RING)
        (void)wane_run_finalizers();
    for (int i = 0; i < 5000 && freed == 0; i++) { /* who ran the last one may hold it still */
        freed = collect();
        nanosleep(&(struct timespec){0, 1000000}, NULL);
    }
    assert_int_equal(freed, RING);
    assert_int_equal(ended(&w.ended), RING);
}

int
main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(an_array_is_replaced_between_two_parts),
        T(the_memory_is_used_again_between_two_parts),
        T(garbage_is_traced_in_parts),
        T(one_by_one_takes_few_calls),
        T(finalizers_are_made_due_in_parts),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
