/* SPDX-License-Identifier: MIT
 *
 * test_dispose.c - what a dispose may do, in counted deaths and in cycles; and collections on request that leave
 * nothing
 */
#include "scene.h"

struct part {
    atomic_long *disposed;
    int          deed; /* what its dispose does */
    wane_slot    s[2];
};

static wane_slot  keep;
static void      *weak_of_dying;
static bool       was_unique;

enum { NOTHING, CLEARS, CLEARS_IF_UNIQUE, STORES, WEAKENS };

static void
part_dispose(void *object)
{
    struct part *p = object;

    switch (p->deed) {
    case CLEARS:
        wane_clear(&p->s[0]);
        break;
    case CLEARS_IF_UNIQUE:
        was_unique |= wane_is_unique(p);
        if (wane_is_unique(p))
            wane_clear_private(&p->s[0]);
        break;
    case STORES:
        wane_set(&p->s[0], NULL);
        wane_put(&p->s[1], wane_new(wane_type_of(p) ? (struct wane_type *)(uintptr_t)wane_type_of(p) : NULL));
        break;
    case WEAKENS:
        weak_of_dying = wane_weak(p);
        break;
    default:
        break;
    }
    if (p->disposed)
        atomic_fetch_add(p->disposed, 1);
}

static const uint32_t   part_slots[] = {offsetof(struct part, s[0]), offsetof(struct part, s[1])};
static struct wane_type part_type = {"part", sizeof(struct part), part_slots, 2, 0, part_dispose, 0, 0, {0}};

static atomic_long disposed;

static struct part *
part_new(int deed)
{
    struct part *p = wane_new(&part_type);

    assert_non_null(p);
    p->disposed = &disposed;
    p->deed = deed;
    return p;
}

static void
collect_ring_of_two(int deed)
{
    struct part *a = part_new(deed), *b = part_new(deed);

    atomic_store(&disposed, 0);
    wane_set(&a->s[0], b);
    wane_put(&b->s[0], a);
    wane_release(b);
    assert_true(pump_count(&disposed, 2)); /* the background may have begun with them */
    assert_int_equal(atomic_load(&disposed), 2);
    assert_int_equal(wane_shutdown(), 0);
}

/* A dispose may empty its own slots, also inside a cycle: the fellow's unit is not given back to the dead. */
static void
dispose_clears_its_slot_in_a_cycle(void **state)
{
    (void)state;
    collect_ring_of_two(CLEARS);
}

static void
dispose_is_not_unique_in_a_cycle(void **state)
{
    (void)state;
    was_unique = false;
    collect_ring_of_two(CLEARS_IF_UNIQUE);
    assert_false(was_unique);
}

/* What a dispose stores into its own slot goes with the slots. */
static void
dispose_stores_a_new_object(void **state)
{
    (void)state;
    collect_ring_of_two(STORES);
}

/* A dying object has no weak reference any more, and gets none. */
static void
no_weak_reference_of_the_dying(void **state)
{
    struct part *p = part_new(WEAKENS);

    (void)state;
    weak_of_dying = &weak_of_dying;
    wane_release(p);
    assert_null(weak_of_dying);
    p = part_new(WEAKENS);
    wane_retain(p);
    wane_set(&keep, p);
    wane_release(p);
    wane_release(p);
    weak_of_dying = &weak_of_dying;
    wane_clear(&keep);
    assert_int_equal(wane_barrier(), 0);
    assert_null(weak_of_dying);
    assert_int_equal(wane_shutdown(), 0);
}

/* Two containers that were never published hold each other by private stores only. */
static void
private_ring_is_collected(void **state)
{
    struct part *a = part_new(NOTHING), *b = part_new(NOTHING);

    (void)state;
    atomic_store(&disposed, 0);
    wane_put_private(&a->s[0], b);
    wane_put_private(&b->s[0], a);
    assert_int_equal(collect_patiently(WANE_ALL, NULL), 0);
    assert_int_equal(atomic_load(&disposed), 2);
    assert_int_equal(wane_shutdown(), 0);
}

struct builder {
    pthread_t    thread;
    struct part *made;
    atomic_bool  may_end;
    atomic_bool  done;
    int          n;
};

/* Makes n parts that the main thread links; then stays outside sections until told to end. */
static void *
build(void *arg)
{
    struct builder *b = arg;
    struct part    *list = NULL;

    for (int i = 0; i < b->n; i++) {
        struct part *p = part_new(NOTHING);

        if (list)
            wane_put(&p->s[1], list);
        list = p;
    }
    b->made = list;
    atomic_store(&b->done, true);
    while (!atomic_load(&b->may_end))
        sched_yield();
    return NULL;
}

/* LIFE-18: one call that returns 0 has freed a big ring that an idle thread owns, and a list that is owned by two idle threads in
 * turns. */
static void
life_18_one_call_is_enough(void **state)
{
    struct builder b[2] = {{.n = 20000}, {.n = 20000}};
    struct part   *p[2], *next;
    int            error;

    (void)state;
    for (int i = 0; i < 2; i++)
        pthread_create(&b[i].thread, NULL, build, &b[i]);
    for (int i = 0; i < 2; i++)
        while (!atomic_load(&b[i].done))
            sched_yield();
    atomic_store(&disposed, 0);
    /* The first 200 of each side alternate through s[0]; the rest of each list closes a ring with its own head. */
    p[0] = b[0].made;
    p[1] = b[1].made;
    for (int i = 0; i < 200; i++) {
        wane_set(&p[0]->s[0], p[1]);
        WANE_SECTION
            next = wane_peek(&p[0]->s[1]);
        if (i < 199)
            wane_set(&p[1]->s[0], next);
        else
            wane_set(&p[1]->s[0], b[0].made);
        p[0] = next;
        WANE_SECTION
            p[1] = wane_peek(&p[1]->s[1]);
    }
    wane_release(b[0].made);
    wane_release(b[1].made);
    for (int tries = 0; (error = wane_collect(WANE_ALL, NULL)) == -EAGAIN && tries < 20; tries++)
        ; /* it says so when a loaded machine kept it from finishing within its second */
    assert_int_equal(error, 0);
    assert_int_equal(atomic_load(&disposed), 40000);
    for (int i = 0; i < 2; i++) {
        atomic_store(&b[i].may_end, true);
        pthread_join(b[i].thread, NULL);
    }
    assert_int_equal(wane_shutdown(), 0);
}

/* After a shutdown the runtime goes on: its background comes again for what is left behind. */
static void
life_13_background_after_shutdown(void **state)
{
    struct part *a;

    (void)state;
    for (int i = 0; i < 20000; i++) {
        a = part_new(NOTHING);
        wane_set(&keep, a);
        wane_release(a);
    }
    wane_clear(&keep);
    assert_int_equal(wane_shutdown(), 0);
    atomic_store(&disposed, 0);
    a = part_new(NOTHING);
    wane_put(&a->s[0], a);
    assert_true(wait_count(&disposed, 1));
    assert_int_equal(wane_shutdown(), 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(dispose_clears_its_slot_in_a_cycle),
        cmocka_unit_test(dispose_is_not_unique_in_a_cycle),
        cmocka_unit_test(dispose_stores_a_new_object),
        cmocka_unit_test(no_weak_reference_of_the_dying),
        cmocka_unit_test(private_ring_is_collected),
        cmocka_unit_test(life_18_one_call_is_enough),
        cmocka_unit_test(life_13_background_after_shutdown),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
