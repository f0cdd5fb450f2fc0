/* SPDX-License-Identifier: MIT
 *
 * test_cache.c - caches: capacity, second chances, purges, payloads in files, many threads
 */
#include "scene.h"

#include <wane/memory.h>

#define PAGE 8192

struct page {
    uint64_t number;
    char     bytes[PAGE - 8];
};
WANE_LEAF_TYPE(page);

struct blob {
    uint64_t number;
    char     bytes[];
};
static struct wane_type blob_type = {.name = "blob", .size = sizeof(struct blob), .flags = WANE_SIZED};

static const char *
key_of(uint64_t number)
{
    static __thread char key[32];

    snprintf(key, sizeof key, "key %llu", (unsigned long long)number);
    return key;
}

static struct page *
page_new(uint64_t number)
{
    struct page *p = wane_new(&page_type);

    if (!p)
        die("no memory for a page");
    p->number = number;
    memset(p->bytes, (int)(number & 127), sizeof p->bytes);
    return p;
}

static bool
page_is_right(const struct page *p, uint64_t number)
{
    for (size_t i = 0; i < sizeof p->bytes; i += 511)
        if (p->bytes[i] != (char)(number & 127))
            return false;
    return p->number == number;
}

static struct wane_cache *
cache_new(size_t capacity)
{
    struct wane_cache *c = wane_cache_new(capacity);

    if (!c)
        die("no cache");
    return c;
}

static void
put_pages(struct wane_cache *c, uint64_t from, uint64_t to)
{
    for (uint64_t n = from; n < to; n++)
        assert_int_equal(wane_cache_put(c, key_of(n), page_new(n), PAGE), 0);
}

/* 1: there, and right. 0: not there. */
static int
has_page(struct wane_cache *c, uint64_t number)
{
    struct page *p = wane_cache_get(c, key_of(number));
    bool         right = !p || page_is_right(p, number);

    if (!right)
        die("a page has another content");
    wane_release(p);
    return p != NULL;
}

static int
count_pages(struct wane_cache *c, uint64_t from, uint64_t to)
{
    int there = 0;

    for (uint64_t n = from; n < to; n++)
        there += has_page(c, n);
    return there;
}

static struct wane_memory_stats
stats(void)
{
    struct wane_memory_stats s;

    wane_memory_stats(&s);
    return s;
}

static void
put_get_replace_remove(void **state)
{
    struct wane_cache *c = cache_new(1000);
    struct node       *a = leaf_new(), *b = leaf_new(), *got;

    (void)state;
    assert_null(wane_cache_get(c, "a"));
    assert_int_equal(wane_cache_put(c, "a", a, 400), 0);
    got = wane_cache_get(c, "a");
    assert_ptr_equal(got, a);
    wane_release(got);
    assert_int_equal(wane_cache_cost(c), 400);
    assert_int_equal(wane_cache_put(c, "a", wane_retain(b), 1001), -E2BIG);
    assert_int_equal(wane_cache_put(c, "a", NULL, 1), -EINVAL);
    assert_int_equal(wane_cache_put(c, "a", b, 500), 0); /* the unit that was not consumed */
    assert_int_equal(wane_cache_cost(c), 500);
    assert_int_equal(wane_cache_count(c), 1);
    assert_true(wane_cache_remove(c, "a"));
    assert_false(wane_cache_remove(c, "a"));
    assert_int_equal(wane_cache_cost(c), 0);
    wane_release(b);
    wane_release(c);
    expect_disposed(2);
}

static void
the_capacity_is_kept_and_what_is_used_stays(void **state)
{
    enum { ROOM = 200, HOT = 20, N = 2000 };
    struct wane_cache *c = cache_new(ROOM * PAGE);
    int                hot;

    (void)state;
    put_pages(c, 0, HOT);
    for (uint64_t n = HOT; n < N; n++) {
        put_pages(c, n, n + 1);
        assert_true(wane_cache_cost(c) <= ROOM * PAGE);
        if (n % 8 == 0)
            (void)count_pages(c, 0, HOT);
    }
    assert_in_range(wane_cache_count(c), ROOM - 8, ROOM);
    hot = count_pages(c, 0, HOT);
    print_message("# %d of %d that are used often are there, and %d of the others\n", hot, HOT,
                  (int)wane_cache_count(c) - hot);
    assert_true(hot >= HOT / 2); /* the clock is not exact; of the others one in eleven is there */
    wane_release(c);
}

static void
purges_throw_out_what_nobody_holds(void **state)
{
    enum { N = 100 };
    struct wane_cache *c = cache_new(N * PAGE);
    struct page       *held[N / 4];

    (void)state;
    put_pages(c, 0, N);
    for (int i = 0; i < N / 4; i++)
        held[i] = wane_cache_get(c, key_of((uint64_t)i * 4));
    assert_in_range(wane_purge(10 * PAGE), 10 * PAGE, 11 * PAGE);
    assert_int_equal(wane_cache_count(c), N - 10);
    assert_int_equal(wane_purge(SIZE_MAX), (N - 10 - N / 4) * PAGE);
    assert_int_equal(wane_cache_count(c), N / 4);
    for (int i = 0; i < N / 4; i++) {
        assert_int_equal(has_page(c, (uint64_t)i * 4), 1);
        wane_release(held[i]);
    }
    wane_release(c);
}

/* An entry that holds its cache: garbage like any other ring. */
static void
rings_through_caches_are_collected(void **state)
{
    struct wane_cache *c = cache_new(10);
    struct node       *n = node_new();

    (void)state;
    wane_set(&n->a, c);
    assert_int_equal(wane_cache_put(c, "me", n, 1), 0);
    wane_release(c);
    expect_disposed(1);
}

static void
budgets_shrink_caches(void **state)
{
    struct wane_cache *c = cache_new(SIZE_MAX / 2);

    (void)state;
    assert_int_equal(wane_budget(4 << 20, 8 << 20), 0);
    put_pages(c, 0, 5000); /* 40 MB */
    assert_true(wane_budget_used() < 9 << 20);
    assert_true(wane_cache_count(c) > 100);
    assert_int_equal(wane_budget(0, 0), 0);
    wane_release(c);
}

/* ---- Files ------------------------------------------------------------------------------------------------------ */

static void
payloads_go_to_a_file_and_come_back(void **state)
{
    enum { N = 100 };
    struct wane_cache       *c = cache_new(SIZE_MAX / 2);
    struct wane_memory_stats before = stats(), s;

    (void)state;
    assert_int_equal(wane_cache_spill(c, "/nowhere", PAGE), -ENOENT);
    assert_int_equal(wane_cache_spill(c, "/tmp", N * PAGE), 0);
    put_pages(c, 0, N);
    assert_int_equal(wane_purge(N / 2 * PAGE), N / 2 * PAGE);
    s = stats();
    assert_int_equal(s.spilled - before.spilled, N / 2);
    assert_int_equal(s.spilled_bytes, N / 2 * PAGE);
    assert_int_equal(wane_cache_count(c), N);
    assert_int_equal(wane_purge(SIZE_MAX), N / 2 * PAGE);
    assert_int_equal(wane_barrier(), 0);
    assert_int_equal(live_of("page"), 0);
    assert_int_equal(count_pages(c, 0, N), N);
    s = stats();
    assert_int_equal(s.brought_back - before.brought_back, N);
    assert_int_equal(live_of("page"), N);
    assert_int_equal(wane_barrier(), 0);
    assert_int_equal(stats().spilled_bytes, 0); /* the blocks are free again */
    assert_int_equal(wane_purge(SIZE_MAX), N * PAGE);
    assert_int_equal(count_pages(c, 0, N), N);
    wane_release(c);
}

static void
a_full_file_and_what_may_not_be_moved(void **state)
{
    enum { N = 40 };
    struct wane_cache *c = cache_new(SIZE_MAX / 2);
    struct page       *p = page_new(N), *got;
    struct blob       *b;
    void              *weak = wane_weak(p);

    (void)state;
    assert_int_equal(wane_cache_spill(c, "/tmp", N / 2 * PAGE), 0);
    assert_int_equal(wane_cache_put(c, "weak", p, PAGE), 0);
    b = wane_new_sized(&blob_type, 5000);
    assert_non_null(b);
    memset(b->bytes, 'b', 5000 - sizeof *b);
    assert_int_equal(wane_cache_put(c, "blob", b, 5000), 0);
    assert_int_equal(wane_cache_put(c, "node", leaf_new(), sizeof(struct node)), 0); /* has a dispose */
    put_pages(c, 0, N);
    (void)wane_purge(SIZE_MAX); /* the file takes some, the others go */
    assert_int_equal(wane_barrier(), 0);
    got = wane_weak_get(weak);
    assert_null(got);
    assert_null(wane_cache_get(c, "node"));
    assert_in_range(count_pages(c, 0, N), N / 2 - 1, N / 2);
    b = wane_cache_get(c, "blob");
    if (b) {
        assert_int_equal(wane_size_of(b), 5000);
        assert_int_equal(b->bytes[5000 - sizeof *b - 1], 'b');
        wane_release(b);
    }
    assert_int_equal(wane_cache_spill(c, NULL, 0), 0); /* those in the file stay readable */
    wane_release(c);
    wane_release(weak);
}

/* ---- Threads ---------------------------------------------------------------------------------------------------- */

enum { THREADS = 4, KEYS = 400 };
static struct wane_cache *cache;
static atomic_bool        over;
static atomic_long        hits, misses;

static void *
use(void *arg)
{
    uint64_t seed = (uint64_t)(uintptr_t)arg * 7919 + 1;

    while (!atomic_load(&over)) {
        uint64_t r = random_next(&seed), n = r % 4 ? r % (KEYS / 4) : r % KEYS;

        if (has_page(cache, n)) {
            atomic_fetch_add(&hits, 1);
        } else {
            EXPECT(wane_cache_put(cache, key_of(n), page_new(n), PAGE) == 0);
            atomic_fetch_add(&misses, 1);
        }
        if (r % 101 == 0)
            (void)wane_cache_remove(cache, key_of(n));
    }
    return NULL;
}

static void
used_by_many(bool spills)
{
    pthread_t t[THREADS];
    uint64_t  end;

    cache = cache_new(KEYS / 2 * PAGE);
    if (spills)
        assert_int_equal(wane_cache_spill(cache, "/tmp", KEYS / 4 * PAGE), 0);
    atomic_store(&over, false);
    atomic_store(&hits, 0);
    atomic_store(&misses, 0);
    for (uintptr_t i = 0; i < THREADS; i++)
        t[i] = spawn(use, (void *)i);
    for (end = now_ms() + 1500; now_ms() < end; nap())
        (void)wane_purge(KEYS / 8 * PAGE);
    atomic_store(&over, true);
    for (int i = 0; i < THREADS; i++)
        join(t[i]);
    print_message("# %ld hits, %ld misses\n", atomic_load(&hits), atomic_load(&misses));
    assert_true(atomic_load(&hits) > 100 && atomic_load(&misses) > 100);
    assert_int_equal(wane_barrier(), 0);
    assert_int_equal(wane_barrier(), 0);
    assert_true(wane_cache_cost(cache) <= KEYS / 2 * PAGE);
    assert_int_equal(wane_cache_cost(cache), wane_cache_count(cache) * PAGE);
    wane_release(cache);
}

static void
many_threads(void **state)
{
    (void)state;
    used_by_many(false);
}

static void
many_threads_and_a_file(void **state)
{
    (void)state;
    used_by_many(true);
    assert_true(wait_live(0));
    assert_int_equal(stats().spilled_bytes, 0);
}

SCENE_MAIN(SCENE(put_get_replace_remove), SCENE(the_capacity_is_kept_and_what_is_used_stays),
           SCENE(purges_throw_out_what_nobody_holds), SCENE(rings_through_caches_are_collected), SCENE(budgets_shrink_caches),
           SCENE(payloads_go_to_a_file_and_come_back), SCENE(a_full_file_and_what_may_not_be_moved), SCENE(many_threads),
           SCENE(many_threads_and_a_file))
