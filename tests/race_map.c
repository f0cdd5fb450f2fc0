/* SPDX-License-Identifier: MIT
 *
 * race_map.c - a map's tables are replaced under those who walk along its directory
 *
 * A walk is at one table while its callback adds or removes keys, so that tables behind it, or around it, are split or become
 * one. All in one thread: what another thread would do between two of the walk's steps, the callback does there.
 */
#include "oom.h"

#include <stdlib.h>

#include "map_parts.h"
#include "type.h"

#include "keys.h"

#ifdef WN_TSAN
#define MANY 15000
#else
#define MANY 100000
#endif
#define FEW 20

static struct {
    struct wane_map *map;
    unsigned         seen[2 * MANY]; /* by number */
    char             name[64];
    bool             kept[2 * MANY];
    unsigned         steps;
    void (*change)(void); /* done once, after so many steps of the walk */
    unsigned         when;
    bool             changed;
} w;

static const char *
key(uint64_t i)
{
    return key_name(w.name, "key", i);
}

static void
add(uint64_t from, uint64_t to)
{
    for (uint64_t i = from; i < to; i++)
        put_new(w.map, key(i), i);
}

static void
add_the_second_half(void)
{
    memset(w.kept, true, MANY);
    add(MANY, 2 * MANY);
}

/* Of what the walk has seen a part stays, few enough for a table that is one of two. */
static void
remove_most(void)
{
    for (uint64_t i = 0; i < MANY; i++) {
        w.kept[i] = i < FEW || (w.seen[i] && i % 4 == 0);
        assert_int_equal(!w.kept[i] && wane_map_remove(w.map, key(i)), !w.kept[i]);
    }
}

static int
setup(void **state)
{
    (void)state;
    memset(&w, 0, sizeof w);
    w.map = wane_map_new();
    add(0, MANY);
    return 0;
}

static int
teardown(void **state)
{
    (void)state;
    wane_release(w.map);
    assert_int_equal(wane_barrier(), 0);
    assert_int_equal(live_of("wane_map_table"), 0);
    assert_int_equal(live_of("wane_map_directory"), 0);
    assert_int_equal(live_of("wane_map_entry"), 0);
    return 0;
}

static void
go_on(void)
{
    if (++w.steps == w.when)
        w.change();
}

static void
change_after(unsigned steps, void (*change)(void))
{
    w.when = steps;
    w.change = change;
}

/* Those that were there all the time were shown once (or `least`), the others not more often. */
static void
check(unsigned least)
{
    for (uint64_t i = 0; i < 2 * MANY; i++)
        assert_in_range(w.seen[i], w.kept[i] ? least : 0, 1);
}

/* ---- What a program sees --------------------------------------------------------------------------------------------- */

static bool
see(const char *name, void *value, void *unused)
{
    (void)name, (void)unused;
    w.seen[((struct node *)value)->value]++;
    go_on();
    return true;
}

static void
each_while_tables_are_split(void **state)
{
    (void)state;
    change_after(100, add_the_second_half);
    wane_map_each(w.map, see, NULL);
    check(1);
}

static void
each_while_tables_become_one(void **state)
{
    (void)state;
    change_after(100, remove_most);
    wane_map_each(w.map, see, NULL);
    check(1);
}

/* ---- What a collector sees: an entry's unit at most once ---------------------------------------------------------------- */

static void
see_entries(struct wane_visitor *visitor, wane_slot *first, size_t count)
{
    (void)visitor;
    for (size_t i = 0; i < count; i++) {
        struct entry *e = wane_peek(&first[i]);

        if (e)
            w.seen[strtoul(strchr(e->key, '-') + 1, NULL, 10)]++;
    }
    go_on();
}

static void
trace_map(void)
{
    struct wane_visitor visitor = {NULL, see_entries};

    WANE_SECTION
    wn_type_of(WANE_HEADER(w.map))->trace(w.map, &visitor); /* not by wn_type_trace: it would forbid to change the map there */
}

static void
trace_while_tables_are_split(void **state)
{
    (void)state;
    change_after(1, add_the_second_half);
    trace_map();
    check(1); /* all in the directory that the trace began with */
}

static void
trace_while_tables_become_one(void **state)
{
    (void)state;
    change_after(1, remove_most);
    trace_map();
    check(0);
}

/* ---- Shapes ---------------------------------------------------------------------------------------------------------- */

static void
check_places(uint64_t keys)
{
    size_t places = 1;

    memset(w.seen, 0, sizeof w.seen);
    WANE_SECTION
    for (size_t hand = 0; hand < places; hand++) {
        const char *name;
        void       *value;

        places = wn_map_at(w.map, hand, &name, &value);
        if (value)
            w.seen[((struct node *)value)->value]++;
    }
    memset(w.kept, true, keys);
    check(1);
}

static unsigned
widest_span(void)
{
    unsigned widest = 0;

    WANE_SECTION
    {
        const struct directory *d = current(w.map);
        struct stand            s;

        for (size_t i = 0; i < width(d); i = s.end) {
            s = stand_at(d, i);
            assert_int_equal(s.begin, i);
            widest = bits_of(d) - s.table->depth > widest ? bits_of(d) - s.table->depth : widest;
        }
    }
    return widest;
}

static void
check_is_small(void)
{
    assert_int_equal(wane_map_count(w.map), 0);
    assert_int_equal(wane_barrier(), 0);
    WANE_SECTION
    {
        EXPECT(bits_of(current(w.map)) == 0);
        EXPECT(table_for(w.map, 0)->capacity <= 128);
    }
    assert_int_equal(live_of("wane_map_table"), 1);
}

/* However large the map, its tables are small; a round of the clock's hand comes by each key once. */
static void
tables_stay_small(void **state)
{
    (void)state;
    assert_in_range(live_of("wane_map_table"), MANY / (TABLE_MAX / 8 * 5), MANY / (TABLE_MAX / 8 * 2));
    assert_in_range(widest_span(), 0, 4);
    check_places(MANY);
}

/* What is left is found, and the map is small again in the end: whichever way the keys go. */
static void
tables_become_one_again(void **state)
{
    const uint64_t few = 166;

    (void)state;
    for (uint64_t i = few; i < MANY; i++)
        assert_true(wane_map_remove(w.map, key(i)));
    WANE_SECTION
    assert_in_range(bits_of(current(w.map)), 1, 3);
    check_places(few);
    for (uint64_t i = 0; i < few; i++) {
        struct node *n = wane_map_get(w.map, key(i));

        assert_int_equal(n->value, i);
        wane_release(n);
    }
    for (uint64_t i = 0; i < few; i++)
        assert_true(wane_map_remove(w.map, key(i)));
    check_is_small();
    add(0, MANY);
    check_places(MANY);
}

static uint64_t in_order[MANY], ordered;

static bool
note_order(const char *name, void *value, void *unused)
{
    (void)name, (void)unused;
    in_order[ordered++] = ((struct node *)value)->value;
    return true;
}

static void
put_in_order(void)
{
    ordered = 0;
    wane_map_each(w.map, note_order, NULL);
    assert_int_equal(ordered, MANY);
}

/* As a walk shows them: tables are emptied one after the other, and only the last ones while the map is sparse. */
static void
keys_go_in_the_order_of_tables(void **state)
{
    (void)state;
    put_in_order();
    for (uint64_t i = 0; i < MANY; i++)
        assert_true(wane_map_remove(w.map, key(in_order[i])));
    check_is_small();
}

/* The first tables stay full: they cannot be one with any other, but those can. */
static void
two_tables_stay_full(void **state)
{
    const uint64_t stay = (uint64_t)MANY / (uint64_t)live_of("wane_map_table") * 2;

    (void)state;
    put_in_order();
    for (uint64_t i = MANY; i-- > stay;)
        assert_true(wane_map_remove(w.map, key(in_order[i])));
    assert_int_equal(wane_barrier(), 0);
    assert_in_range(live_of("wane_map_table"), 2, 20);
}

/* A cache takes keys out without shrinking; who adds some then does it. */
static void
adding_shrinks_what_was_emptied_quietly(void **state)
{
    (void)state;
    for (uint64_t i = 0; i < MANY; i++)
        WANE_SECTION
        assert_true(wn_map_drop(w.map, key(i), wane_map_peek(w.map, key(i))));
    assert_in_range(live_of("wane_map_table"), MANY / TABLE_MAX, MANY);
    for (uint64_t i = MANY; i < MANY + 3000; i++) {
        put_new(w.map, key(i), i);
        WANE_SECTION
        assert_true(wn_map_drop(w.map, key(i), wane_map_peek(w.map, key(i))));
    }
    check_is_small();
}

/* A table may have more places than its word's tag can say. */
static void
spans_are_more_than_tags(void **state)
{
    struct directory *d = wn_map_directory_new(9);
    struct table     *t[2] = {wn_map_table_new(TABLE_MAX), wn_map_table_new(TABLE_MAX)};

    (void)state;
    for (size_t i = 0; i < width(d); i++) {
        t[i / 256]->depth = 1;
        wn_map_lead(d, i, t[i / 256], 8);
    }
    for (size_t i = 0; i < width(d); i++) {
        struct stand s = stand_at(d, i);

        assert_ptr_equal(s.table, t[i / 256]);
        assert_int_equal(s.span, 8);
        assert_int_equal(s.begin, i / 256 * 256);
        assert_int_equal(s.end, s.begin + 256);
        assert_int_equal(capacity_at(d, &s), TABLE_MAX);
    }
    wane_release(d); /* it keeps the tables */
}

/* Once: between the look at what is needed and the next attempt. */
static void
empty_it(const char *step)
{
    if (strcmp(step, "map:packed") != 0 || w.changed || wane_map_count(w.map) < TABLE_MAX / 8 * 5)
        return;
    w.changed = true;
    for (uint64_t i = 0; i < TABLE_MAX / 3; i++) /* a table of the same size is enough then */
        assert_true(wane_map_remove(w.map, key(i)));
}

/* One brings along what a split needs; then the entries that filled the table are emptied, and one table is enough. */
static void
what_is_not_needed_any_more_goes(void **state)
{
    struct wane_map *map = w.map;

    (void)state;
    w.map = wane_map_new();
    wn_step_set(empty_it);
    add(0, TABLE_MAX / 8 * 5 + 1);
    wn_step_set(NULL);
    assert_true(w.changed);
    wane_release(w.map);
    w.map = map; /* the census at the end finds what is lost */
}

/* ---- Without memory -------------------------------------------------------------------------------------------------- */

/* Each allocation of a put fails once. Nothing has changed then, and the next attempt does it. */
static void
what_a_split_needs_is_not_there(void **state)
{
    unsigned before = widest_span(), failed = 0;
    uint64_t i = MANY;

    (void)state;
    for (; i < 2 * MANY && (widest_span() == before || failed < 100); i++) {
        struct node *n = node_new();
        int          rc = -ENOMEM;

        n->value = i;
        for (long nth = 1; rc == -ENOMEM; nth++) {
            oom_fail(nth, nth + 1);
            rc = wane_map_put(w.map, key(i), n);
            oom_end();
            failed += rc == -ENOMEM;
        }
        assert_int_equal(rc, 0);
        assert_int_equal(wane_map_count(w.map), i + 1);
    }
    check_places(i);
}

#define MAP(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

SCENE_MAIN(MAP(each_while_tables_are_split), MAP(each_while_tables_become_one), MAP(trace_while_tables_are_split),
           MAP(trace_while_tables_become_one), MAP(tables_stay_small), MAP(tables_become_one_again),
           MAP(keys_go_in_the_order_of_tables), MAP(two_tables_stay_full),
           MAP(adding_shrinks_what_was_emptied_quietly), MAP(spans_are_more_than_tags),
           MAP(what_is_not_needed_any_more_goes), MAP(what_a_split_needs_is_not_there))
