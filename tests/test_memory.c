/* SPDX-License-Identifier: MIT
 *
 * test_memory.c - budgets: what is counted, what happens at the limits, that purges and collections do not storm; trim
 */
#include "scene.h"

#include <sys/mman.h>

#include <wane/collector.h>
#include <wane/memory.h>

#define BLOCK 4096

struct block {
    char bytes[BLOCK];
};
WANE_LEAF_TYPE(block);

static struct wane_memory_stats
memory_stats(void)
{
    struct wane_memory_stats s;

    wane_memory_stats(&s);
    return s;
}

#define SOFT (1 << 20)
#define HARD (2 << 20)
#define SLACK (HARD / 16) /* a few records' granules */

/* Make blocks until the limit refuses; how many. The caller holds them. */
static long
fill(struct block **held, long most)
{
    long n = 0;

    while (n < most && (held[n] = wane_new(&block_type)))
        n++;
    return n;
}

static void
release_all(struct block **held, long n)
{
    for (long i = 0; i < n; i++)
        wane_release(held[i]);
}

/* A program that can do without what it has in stock. */
static struct block *stock[HARD / BLOCK + 64];
static atomic_long   in_stock, calls;

static size_t
sell(size_t bytes, void *arg)
{
    size_t freed = 0;

    (void)arg;
    atomic_fetch_add(&calls, 1);
    EXPECT(!wane_in_section());
    EXPECT(wane_purge(1) == 0); /* not inside a purge */
    while (freed < bytes && atomic_load(&in_stock) > 0) {
        wane_release(stock[atomic_fetch_sub(&in_stock, 1) - 1]);
        freed += BLOCK + 16;
    }
    return freed;
}

static int
memory_begin(void **state)
{
    assert_int_equal(wane_budget(0, 0), 0);
    return scene_begin(state);
}

/* Without limits again; nothing that was counted is left. */
static int
memory_end(void **state)
{
    int rc;

    (void)wane_budget(0, 0);
    while (wane_off_pressure(sell, NULL))
        ;
    release_all(stock, atomic_exchange(&in_stock, 0));
    rc = scene_end(state);
    wane_trim();
    if (rc == 0 && wane_budget_used() != 0) {
        fprintf(stderr, "%zu bytes are still counted\n", wane_budget_used());
        return -1;
    }
    return rc;
}

#define MEMORY(f) cmocka_unit_test_setup_teardown(f, memory_begin, memory_end)

/* ---- What is counted ------------------------------------------------------------------------------------------- */

static void
headers_and_payloads_are_counted(void **state)
{
    struct block *b = wane_new(&block_type);
    struct wide  *w = wide_new(100);

    (void)state;
    assert_non_null(b);
    assert_int_equal(wane_budget_used(), sizeof *b + 16 + sizeof *w + 100 * sizeof(wane_slot) + 32);
    wane_release(w);
    assert_int_equal(wane_barrier(), 0);
    assert_int_equal(wane_budget_used(), sizeof *b + 16);
    wane_release(b);
}

static void
what_waits_for_a_grace_period_is_counted(void **state)
{
    static wane_slot slot;
    atomic_long      gone = 0;
    struct node     *n = node_new();

    (void)state;
    n->watch = &gone;
    wane_put(&slot, n);
    wane_enter();
    wane_clear(&slot);
    assert_int_equal(wane_budget_used(), sizeof *n + 16);
    wane_leave();
    assert_int_equal(wane_barrier(), 0);
    assert_int_equal(atomic_load(&gone), 1);
    assert_int_equal(wane_budget_used(), 0);
}

enum { THREADS = 8 };

static wane_slot   shelf[64];
static atomic_bool over;

/* Objects are freed by others than their makers, plainly, from slots and in rings. */
static void *
churn(void *arg)
{
    uint64_t seed = (uint64_t)(uintptr_t)arg * 0x9e3779b97f4a7c15 + 1;

    for (long i = 0; i < SCALED(100000); i++) {
        uint64_t r = random_next(&seed);

        wane_put(&shelf[r % 64], r % 5 ? node_new() : ring_of(&node_type, 2, NULL));
        wane_release(wane_take(&shelf[(r >> 8) % 64]));
        if (r % 7 == 0)
            wane_release(wide_new(r % 512));
    }
    return NULL;
}

/* Two candidates die before their entries are handed over. */
static void
die_logged(void)
{
    struct node *a = node_new(), *b = node_new();

    WANE_SECTION {
        wane_release(wane_retain(a));
        wane_release(wane_retain(b));
        wane_release(a);
        wane_release(b);
    }
}

static void
mem_07_accounting_returns_to_zero(void **state)
{
    pthread_t t[THREADS];

    (void)state;
    for (uintptr_t i = 0; i < THREADS; i++)
        t[i] = spawn(churn, (void *)i);
    for (int i = 0; i < THREADS; i++)
        join(t[i]);
    assert_true(wane_budget_used() > 0);
    for (int i = 0; i < 64; i++)
        wane_clear(&shelf[i]);
    assert_true(wait_live(0));
    (void)wane_set_automatic(false);
    die_logged();
    assert_true(wane_budget_used() > 0);
    assert_int_equal(wane_trim(), 0); /* dead candidates wait with their memory until they are taken */
    assert_int_equal(wane_budget_used(), 0);
    (void)wane_set_automatic(true);
}

/* ---- The hard limit ------------------------------------------------------------------------------------------- */

static void
limits_are_checked(void **state)
{
    (void)state;
    assert_int_equal(wane_budget(2, 1), -EINVAL);
    assert_int_equal(wane_budget(0, 1), 0);
    assert_int_equal(wane_budget(1, 0), 0);
    assert_int_equal(wane_on_pressure(NULL, NULL), -EINVAL);
    assert_false(wane_off_pressure(NULL, NULL));
}

static void
mem_04_budget_exceeded_with_all_data_live(void **state)
{
    static struct block     *held[HARD / BLOCK + 64];
    struct wane_memory_stats s;
    struct wane_stats        before, after;
    uint64_t                 begin;
    long                     n;

    (void)state;
    assert_int_equal(wane_budget(SOFT, HARD), 0);
    n = fill(held, HARD / BLOCK + 64);
    assert_int_equal(errno, ENOMEM);
    assert_in_range(n * (BLOCK + 16), HARD - SLACK, HARD + SLACK);
    assert_true(wane_budget_used() <= HARD + SLACK);
    wane_stats(&before);
    begin = now_ms();
    for (int i = 0; i < 20; i++) {
        struct node *live;

        errno = 0;
        assert_null(wane_new(&block_type));
        assert_int_equal(errno, ENOMEM);
        live = wane_new(&node_type); /* what fits fits */
        wane_release(live ? (live->magic = NODE_LIVE, live->check = ~live->id, live) : NULL);
    }
    wane_stats(&after);
    s = memory_stats();
    assert_true(s.waits >= 20);
    assert_true(s.refused >= 20);
    print_message("# 20 refusals: %llu ms, %llu collections\n", (unsigned long long)(now_ms() - begin),
                  (unsigned long long)(after.collections - before.collections));
    wane_release(held[--n]);
    held[n] = wane_new(&block_type); /* there is room for it */
    assert_non_null(held[n++]);
    release_all(held, n);
}

/* A live graph that is far too large and always changing: it is not examined again and again. */
static void
mem_04_live_graph_above_the_limit_is_no_collect_storm(void **state)
{
    enum { N = 20000, MS = 2000 };
    static wane_slot  root[N];
    struct wane_stats before, after;
    uint64_t          begin, seed = 1, share;

    (void)state;
    for (long i = 0; i < SCALED(N); i++)
        wane_put(&root[i], ring_of(&node_type, 2, NULL));
    assert_int_equal(wane_budget(SOFT / 64, 0), 0);
    collect_now();
    wane_stats(&before);
    for (begin = now_ms(); now_ms() < begin + MS; nap()) /* each touched ring is a candidate */
        for (int i = 0; i < 16; i++)
            wane_release(wane_get(&root[random_next(&seed) % SCALED(N)]));
    wane_stats(&after);
    share = (after.collect_nanoseconds - before.collect_nanoseconds) / (MS * 10000);
    print_message("# %llu collections, %llu %% of the time, %llu objects examined\n",
                  (unsigned long long)(after.collections - before.collections), (unsigned long long)share,
                  (unsigned long long)(after.examined - before.examined));
    assert_true(after.examined - before.examined < 40 * 2 * N);
    assert_true(share < 60);
    for (long i = 0; i < SCALED(N); i++)
        wane_clear(&root[i]);
}

static void
a_section_is_told_at_once(void **state)
{
    static struct block *held[HARD / BLOCK + 64];
    uint64_t             begin, waits;
    long                 n;

    (void)state;
    assert_int_equal(wane_budget(0, HARD), 0);
    waits = memory_stats().waits;
    wane_enter();
    n = fill(held, HARD / BLOCK + 64);
    assert_int_equal(errno, ENOMEM);
    begin = now_ms();
    for (int i = 0; i < 1000; i++)
        assert_null(wane_new(&block_type));
    assert_true(now_ms() - begin < 500);
    wane_leave();
    assert_int_equal(memory_stats().waits, waits);
    release_all(held, n);
}

/* Displaced blocks and rings: what wane_new waits for gives them back, and no call of it fails. */
static void
room_is_made_by_waiting(void **state)
{
    static wane_slot slot;
    long             made_blocks = 10 * HARD / BLOCK;

    (void)state;
    assert_int_equal(wane_use_threads(false), 0);
    assert_int_equal(wane_budget(0, HARD), 0);
    for (long i = 0; i < made_blocks; i++) {
        struct block *b = wane_new(&block_type);

        assert_non_null(b);
        wane_put(&slot, b);
    }
    wane_clear(&slot);
    for (long i = 0; i < SCALED(100000); i++)
        wane_release(ring_of(&node_type, 2, NULL));
    assert_true(wane_budget_used() <= HARD + SLACK);
    assert_int_equal(wane_use_threads(true), 0);
}

/* A thread that sits in a section holds everything up: refusals come within a bounded time. */
static void
a_section_that_does_not_end_bounds_the_wait(void **state)
{
    static wane_slot slot;
    struct block    *b = NULL;
    struct pipe_wait door;
    uint64_t         begin;
    pthread_t        t;
    atomic_int       inside = 0;
    struct reader {
        struct pipe_wait *door;
        atomic_int       *inside;
    } reader = {&door, &inside};
    extern void *sits_in_a_section(void *);

    (void)state;
    pipe_open(&door);
    t = spawn(sits_in_a_section, &reader);
    while (!atomic_load(&inside))
        nap();
    assert_int_equal(wane_budget(0, HARD), 0);
    do {
        begin = now_ms();
        b = wane_new(&block_type);
        wane_put(&slot, b);
    } while (b);
    assert_true(now_ms() - begin >= 500); /* it has waited */
    assert_true(now_ms() - begin < 5000);
    pipe_wake(&door);
    join(t);
    pipe_done(&door);
    b = wane_new(&block_type);
    assert_non_null(b);
    wane_release(b);
}

void *sits_in_a_section(void *arg);
void *
sits_in_a_section(void *arg)
{
    struct {
        struct pipe_wait *door;
        atomic_int       *inside;
    } *r = arg;

    wane_enter();
    atomic_store(r->inside, 1);
    pipe_block(r->door);
    wane_leave();
    return NULL;
}

/* ---- Pressure -------------------------------------------------------------------------------------------------- */

static size_t
has_nothing(size_t bytes, void *arg)
{
    (void)bytes;
    atomic_fetch_add((atomic_long *)arg, 1);
    return 0;
}

static void
callbacks_make_room_at_the_hard_limit(void **state)
{
    struct block *b;
    long          n;

    (void)state;
    assert_int_equal(wane_budget(0, HARD), 0);
    n = fill(stock, HARD / BLOCK + 64);
    atomic_store(&in_stock, n);
    atomic_store(&calls, 0);
    assert_int_equal(wane_on_pressure(sell, NULL), 0);
    b = wane_new(&block_type);
    assert_non_null(b);
    assert_int_equal(atomic_load(&calls), 1);
    assert_true(atomic_load(&in_stock) < n);
    assert_true(wane_off_pressure(sell, NULL));
    assert_false(wane_off_pressure(sell, NULL));
    wane_release(b);
}

/* Above the soft limit the background asks, and asks less and less often when nothing comes of it. */
static void
mem_04_callbacks_that_find_nothing_are_called_less_often(void **state)
{
    static struct block *held[HARD / BLOCK];
    atomic_long          asked = 0;
    long                 n;

    (void)state;
    assert_int_equal(wane_on_pressure(has_nothing, &asked), 0);
    assert_int_equal(wane_budget(SOFT, 0), 0);
    n = fill(held, HARD / BLOCK);
    assert_true(wait_count(&asked, 1));
    for (int i = 0; i < SCALED(3000); i++) { /* the background is awake all the time */
        wane_release(wane_new(&block_type));
        wane_release(ring_of(&node_type, 2, NULL));
        nap();
    }
    print_message("# asked %ld times\n", atomic_load(&asked));
    assert_true(atomic_load(&asked) < 20);
    assert_true(wane_off_pressure(has_nothing, &asked));
    release_all(held, n);
}

static void
the_background_purges_above_the_soft_limit(void **state)
{
    uint64_t end = now_ms() + WATCHDOG_MS;
    long     n;

    (void)state;
    assert_int_equal(wane_budget(SOFT, 0), 0);
    assert_int_equal(wane_on_pressure(sell, NULL), 0);
    n = fill(stock, SOFT / BLOCK / 2);
    atomic_store(&in_stock, n);
    assert_int_equal(wane_budget(SOFT / 4, 0), 0);
    while (wane_budget_used() > SOFT / 4 + SOFT / 64 && now_ms() < end)
        nap();
    assert_true(wane_budget_used() <= SOFT / 4 + SOFT / 64);
    assert_true(memory_stats().purged_bytes > 0);
    assert_true(wane_off_pressure(sell, NULL));
}

/* ---- The collector's pace --------------------------------------------------------------------------------------- */

/* Fruitless and partial collections lengthen the pauses, but not for ever: what becomes garbage later is found soon, young or
 * old. */
static void
mem_10_fruitless_collections_do_not_ratchet_up(void **state)
{
    enum { N = 3000 };
    static wane_slot root[N];
    atomic_long      young = 0, old = 0;
    uint64_t         begin, ms;

    (void)state;
    for (int i = 0; i < N; i++)
        wane_put(&root[i], ring_of(&node_type, 2, &old));
    for (int i = 0; i < 200; i++) { /* all is live, and all is looked at */
        for (int k = 0; k < N; k += 7)
            wane_release(wane_get(&root[k]));
        assert_int_equal(collect_patiently(i % 3, NULL), 0);
        if (i % 2 == 0)
            nap();
    }
    assert_int_equal(atomic_load(&old), 0);
    begin = now_ms();
    for (int i = 0; i < N; i++)
        wane_clear(&root[i]);
    for (int i = 0; i < N; i++)
        wane_release(ring_of(&node_type, 2, &young));
    assert_true(wait_count(&young, 2 * N));
    ms = now_ms() - begin;
    assert_true(wait_count(&old, 2 * N));
    print_message("# young rings were gone after %llu ms, old ones after %llu\n", (unsigned long long)ms,
                  (unsigned long long)(now_ms() - begin));
    assert_true(now_ms() - begin < WATCHDOG_MS / 3);
}

/* ---- Statistics under load --------------------------------------------------------------------------------------- */

#define COUNTERS(X)                                                                                                    \
    X(objects_born) X(objects_died) X(bytes_born) X(bytes_died) X(died_in_cycles) X(displaced) X(applied) X(claims)    \
    X(grace_periods) X(collections) X(examined) X(suspects) X(aborted) X(components) X(collect_nanoseconds) X(records)

static void *
watch_counters(void *unused)
{
    struct wane_stats        last = {0}, s;
    struct wane_memory_stats m, m_last = {0};

    (void)unused;
    while (!atomic_load(&over)) {
        wane_stats(&s);
        wane_memory_stats(&m);
#define NOT_LESS(field) EXPECT(s.field >= last.field && s.field < UINT64_C(1) << 48);
        COUNTERS(NOT_LESS)
        EXPECT(m.refused >= m_last.refused && m.waits >= m_last.waits && m.purges >= m_last.purges &&
               m.purged_bytes >= m_last.purged_bytes);
        EXPECT(m.used < UINT64_C(1) << 40);
        last = s;
        m_last = m;
    }
    return NULL;
}

static void
mem_11_statistics_are_monotonic_under_load(void **state)
{
    pthread_t t[4];

    (void)state;
    assert_int_equal(wane_budget(SOFT / 4, 0), 0);
    atomic_store(&over, false);
    for (uintptr_t i = 0; i < 2; i++)
        t[i] = spawn(churn, (void *)i);
    for (int i = 2; i < 4; i++)
        t[i] = spawn(watch_counters, NULL);
    for (int i = 0; i < 10; i++)
        (void)wane_collect(i % 3, NULL);
    join(t[0]);
    join(t[1]);
    atomic_store(&over, true);
    join(t[2]);
    join(t[3]);
    for (int i = 0; i < 64; i++)
        wane_clear(&shelf[i]);
}

/* ---- Trim -------------------------------------------------------------------------------------------------------- */

static long
resident_pages(void)
{
    FILE *f = fopen("/proc/self/statm", "re");
    long  all, resident = 0;

    if (!f || fscanf(f, "%ld %ld", &all, &resident) != 2)
        die("no /proc/self/statm");
    fclose(f);
    return resident;
}

static void
trim_gives_memory_back(void **state)
{
    enum { N = 200000 };
    static struct node *held[N];
    struct node        *last;
    long                full, trimmed;

    (void)state;
#ifdef RIG_SLOW
    skip(); /* allocators of their own */
#endif
    for (int i = 0; i < N; i++)
        held[i] = node_new();
    last = node_new(); /* at the top of the heap: malloc itself gives nothing back */
    full = resident_pages();
    for (int i = 0; i < N; i++)
        wane_release(held[i]);
    wane_enter();
    assert_int_equal(wane_trim(), -EDEADLK);
    wane_leave();
    assert_int_equal(wane_trim(), 0);
    trimmed = resident_pages();
    print_message("# %ld pages resident before, %ld after\n", full, trimmed);
    assert_true((full - trimmed) * 4096 > (long)(N * sizeof(struct node)) / 2);
    wane_release(last);
}

SCENE_MAIN(MEMORY(headers_and_payloads_are_counted), MEMORY(what_waits_for_a_grace_period_is_counted),
           MEMORY(mem_07_accounting_returns_to_zero), MEMORY(limits_are_checked),
           MEMORY(mem_04_budget_exceeded_with_all_data_live),
           MEMORY(mem_04_live_graph_above_the_limit_is_no_collect_storm), MEMORY(a_section_is_told_at_once),
           MEMORY(room_is_made_by_waiting), MEMORY(a_section_that_does_not_end_bounds_the_wait),
           MEMORY(callbacks_make_room_at_the_hard_limit), MEMORY(mem_04_callbacks_that_find_nothing_are_called_less_often),
           MEMORY(the_background_purges_above_the_soft_limit), MEMORY(mem_10_fruitless_collections_do_not_ratchet_up),
           MEMORY(mem_11_statistics_are_monotonic_under_load), MEMORY(trim_gives_memory_back))
