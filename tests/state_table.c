/* SPDX-License-Identifier: MIT
 *
 * state_table.c - the frame of the walk (state_table.h)
 */
#include "state_table.h"

struct world world;

static struct wane_type leaf_type = {"leaf", sizeof(struct node), 0, 0, 0, node_dispose, 0, 0, {0}};

static void
finalize(void *object)
{
    (void)object;
}

static struct wane_type final_type = {"final", sizeof(struct node), node_slots, 3, 0, node_dispose, finalize, 0, {0}};

/* ---- Words --------------------------------------------------------------------------------------------------------- */

uint64_t
word0(void)
{
    return load_relaxed(&WANE_HEADER(world.x)->word0);
}

uint64_t
word1(void)
{
    return load_relaxed(&WANE_HEADER(world.x)->word1);
}

static uint64_t
version_of(uint64_t w1)
{
    return (w1 - (uint64_t)wn_count(w1) * WN_COUNT_ONE) >> WN_VERSION_SHIFT;
}

static uint64_t
flags_of(uint64_t w1)
{
    return w1 & (WN_COUNT_ONE - 1) & ~WN_AGE;
}

static void
print(const char *when, uint64_t w0, uint64_t w1)
{
    static const char *const name[] = {"MERGED", "QUEUED", "BUFFERED", "OWNLOG", "CLAIMED", "REVIEW", "CONDEMNED",
                                       "WEAK",   "SHARED", "FINALIZED", "DEAD"};

    fprintf(stderr, "%s: owner %u%s local %llu; version %llu count %lld age %u", when, wn_owner(w0),
            w0 & WANE_QUIET ? " quiet" : "", (unsigned long long)wn_local(w0), (unsigned long long)version_of(w1),
            (long long)wn_count(w1), wn_age(w1));
    for (unsigned i = 0; i < sizeof name / sizeof name[0]; i++)
        if (w1 >> i & 1)
            fprintf(stderr, " %s", name[i]);
    fprintf(stderr, "\n");
}

void
look(void)
{
    world.before0 = word0();
    world.before1 = word1();
}

void
expect(uint32_t owner, bool quiet, uint64_t local, uint64_t flags, int64_t count, int64_t steps)
{
    uint64_t w0 = word0(), w1 = word1();
    int64_t  moved = (int64_t)((version_of(w1) - version_of(world.before1)) << WN_VERSION_SHIFT) >> WN_VERSION_SHIFT;

    if (wn_owner(w0) == owner && !(w0 & WANE_QUIET) == !quiet && wn_local(w0) == local && flags_of(w1) == flags &&
        wn_count(w1) == count && moved == steps)
        return;
    fprintf(stderr, "row %s: expected owner %u%s local %llu, count %lld, flags %#llx, %lld steps; there were %lld\n",
            world.row, owner, quiet ? " quiet" : "", (unsigned long long)local, (long long)count, (unsigned long long)flags,
            (long long)steps, (long long)moved);
    print("before", world.before0, world.before1);
    print("after ", w0, w1);
    fail();
}

/* ---- Rows ---------------------------------------------------------------------------------------------------------- */

static void
remember_id(void *id)
{
    wane_enter();
    *(uint32_t *)id = wn_standing()->id;
    wane_leave();
}

void
row_begin(const char *id)
{
    memset(&world, 0, sizeof world);
    world.row = id;
    schedule_begin();
    actor_start(&world.m1);
    actor_start(&world.m2);
    act(&world.m1, remember_id, &world.id1);
    act(&world.m2, remember_id, &world.id2);
}

void
row_end(void)
{
    off_steps();
    actor_stop(&world.m1);
    actor_stop(&world.m2);
    if (wane_shutdown() != 0) {
        fprintf(stderr, "row %s: objects are left\n", world.row);
        fail();
    }
}

static void
make(struct wane_type *type)
{
    world.x = wane_new(type);
    assert_non_null(world.x);
    world.x->canary = CANARY;
    world.x->ended = &world.ended;
}

void
make_leaf(void *unused)
{
    (void)unused;
    make(&leaf_type);
}

void
make_x(void *unused)
{
    (void)unused;
    make(&node_type);
}

void
make_final(void *unused)
{
    (void)unused;
    make(&final_type);
}

void
retain_x(void *unused)
{
    (void)unused;
    wane_retain(world.x);
}

void
release_x(void *unused)
{
    (void)unused;
    wane_release(world.x);
}

void
retain_x_inside(void *unused)
{
    (void)unused;
    WANE_SECTION
    wane_retain(world.x);
}

void
release_x_inside(void *unused)
{
    (void)unused;
    WANE_SECTION
    wane_release(world.x);
}

void
barrier(void)
{
    assert_int_equal(wane_barrier(), 0);
}

void
end_of_x(int units)
{
    while (units--)
        wane_release(world.x);
    barrier();
    (void)collect();
    barrier();
    assert_int_equal(world.ended, 1);
}

void
merged_held_once(void)
{
    act(&world.m1, make_x, NULL);
    act(&world.m2, retain_x, NULL);
    act(&world.m1, release_x_inside, NULL);
}

static void
walk(const struct row *row)
{
    for (; row->id; row++) {
        row_begin(row->id);
        row->walk();
        row_end();
    }
}

static void
every_row_of_counts(void **state)
{
    (void)state;
    walk(rows_of_counts);
}

static void
every_row_of_handoff(void **state)
{
    (void)state;
    walk(rows_of_handoff);
}

static void
every_row_of_collection(void **state)
{
    (void)state;
    walk(rows_of_collection);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_row_of_counts),
        cmocka_unit_test(every_row_of_handoff),
        cmocka_unit_test(every_row_of_collection),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
