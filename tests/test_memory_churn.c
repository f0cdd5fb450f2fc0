/* SPDX-License-Identifier: MIT
 *
 * test_memory_churn.c - objects come and go under a budget, and the process does not grow
 *
 * What is resident is compared with what it was after the first part of the time. A busy machine may still be on its way to its
 * most then; what grows does so in each of five rounds. One arena of malloc: what each of many keeps is not the library's. The
 * long form is stress/stress_memory.c.
 */
#include "scene.h"

#include <malloc.h>

#include <wane/memory.h>

#define LIMIT ((size_t)16 << 20)

enum { WARM_MS = 500, CHURN_MS = 1500, ROUNDS = 5 };

static long
resident(void)
{
    FILE *f = fopen("/proc/self/statm", "re");
    long  all, pages = 0;

    if (!f || fscanf(f, "%ld %ld", &all, &pages) != 2)
        die("no /proc/self/statm");
    fclose(f);
    return pages * sysconf(_SC_PAGESIZE);
}

static long
most_while(void (*make)(void), uint64_t ms)
{
    uint64_t end = now_ms() + ms;
    long     most = 0;

    while (now_ms() < end) {
        for (int i = 0; i < 1000; i++)
            make();
        if (resident() > most)
            most = resident();
    }
    return most;
}

static void
churn(void (*make)(void))
{
    long early, late = 0;
    bool grows = true;

    assert_int_equal(wane_budget(LIMIT / 10 * 8, LIMIT), 0);
    early = most_while(make, WARM_MS);
    for (int i = 0; i < ROUNDS && grows; i++) {
        early = late > early ? late : early;
        late = most_while(make, CHURN_MS);
        grows = late >= early + early / 10 + (long)LIMIT / 4;
    }
    print_message("# %ld objects; %ld KiB resident at first, %ld later\n", atomic_load(&disposed), early / 1024, late / 1024);
    assert_true(wane_budget_used() <= LIMIT + LIMIT / 8);
#ifndef RIG_SLOW
    assert_false(grows);
#endif
    assert_int_equal(wane_budget(0, 0), 0);
}

static void
one_object(void)
{
    wane_release(leaf_new());
}

static void
one_ring(void)
{
#ifdef RIG_SLOW /* and on a busy machine: a collection may take the second for which wane_new waits */
    while (wane_budget_used() > LIMIT / 10 * 9)
        nap();
#endif
    wane_release(ring_of(&node_type, 2, NULL));
}

static void
one_finalizer(void)
{
    wane_release(final_new(NULL));
}

static void
mem_08_churn_of_objects(void **state)
{
    (void)state;
    churn(one_object);
}

static void
mem_08_churn_of_rings(void **state)
{
    (void)state;
    churn(one_ring);
}

static void
mem_08_churn_of_finalizers(void **state)
{
    (void)state;
    churn(one_finalizer);
}

/* ---- Made here, freed there --------------------------------------------------------------------------------------- */

#ifdef RIG_SLOW
#define HANDED 100000L
#else
#define HANDED 2000000L
#endif
#define IN_FLIGHT 1024L

static wane_slot ring_buffer[IN_FLIGHT];

/* Takes what the other thread has put, in order, and frees it: by its count, on this thread. */
static void *
take_and_free(void *unused)
{
    (void)unused;
    for (long i = 0; i < HANDED; i++) {
        struct node *n;

        while (!(n = wane_take(&ring_buffer[i % IN_FLIGHT])))
            sched_yield();
        wane_release(n);
    }
    return NULL;
}

/* What waits is what is under way, a grace period's worth, whoever frees: nothing piles up with the maker or the taker. */
static void
mem_09_made_by_one_freed_by_another(void **state)
{
    size_t    most = 0;
    pthread_t t;

    (void)state;
    assert_int_equal(wane_budget(0, 0), 0);
    t = spawn(take_and_free, NULL);
    for (long i = 0; i < HANDED; i++) {
        struct node *n = leaf_new();

        while (!wane_cas_put(&ring_buffer[i % IN_FLIGHT], NULL, n))
            sched_yield();
        if (i % 1024 == 0 && wane_budget_used() > most)
            most = wane_budget_used();
    }
    join(t);
    assert_int_equal(wane_barrier(), 0);
    assert_true(wait_count(&disposed, HANDED));
    print_message("# %ld handed over, at most %zu KiB of objects at once\n", HANDED, most / 1024);
    assert_true(most < LIMIT);
}

static int
one_arena(void **state)
{
    (void)state;
    (void)mallopt(M_ARENA_MAX, 1); /* the allocators of sanitizers have none */
    return 0;
}

int
main(void)
{
    const struct CMUnitTest tests[] = {SCENE(mem_08_churn_of_objects), SCENE(mem_08_churn_of_rings),
                                       SCENE(mem_08_churn_of_finalizers), SCENE(mem_09_made_by_one_freed_by_another)};

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, one_arena, scene_shutdown);
}
