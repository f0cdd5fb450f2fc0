/* SPDX-License-Identifier: MIT
 *
 * test_oom_memory.c - soft references, caches, spilling, pressure callbacks and what is written about objects, while each
 * of their allocations fails once
 */
#include "oom.h"

#include <wane/memory.h>
#include <wane/observe.h>

#define PAGE 8192

static struct wane_type page_type = {.name = "page", .size = PAGE};

static size_t
nothing(size_t bytes, void *arg)
{
    (void)bytes, (void)arg;
    return 0;
}

/* What can fail says so, and the caller still has what he had. */
static void
use_soft(void)
{
    struct node *n = node_try(&node_type), *got;
    void        *soft = n ? wane_soft(n) : NULL;

    if (n && !soft)
        assert_int_equal(errno, ENOMEM);
    got = wane_soft_get(soft);
    assert_true(!soft || got == n);
    wane_release(got);
    wane_release(n);
    (void)wane_purge(SIZE_MAX);
    if (soft)
        assert_null(wane_soft_get(soft));
    wane_release(soft);
}

static void
use_cache(void)
{
    struct wane_cache *c = wane_cache_new(100 * PAGE);
    struct node       *n = node_try(&leaf_type);
    void              *p = wane_new(&page_type), *got;

    if (c)
        (void)wane_cache_spill(c, "/tmp", 10 * PAGE);
    if (!c || !n || wane_cache_put(c, "n", n, 100) != 0)
        wane_release(n);
    if (!c || !p || wane_cache_put(c, "p", p, PAGE) != 0)
        wane_release(p);
    (void)wane_purge(SIZE_MAX);
    if (c) {
        got = wane_cache_get(c, "p");
        wane_release(got);
        wane_release(wane_cache_get(c, "n"));
    }
    wane_release(c);
}

static void
use_callbacks(void)
{
    int rc = wane_on_pressure(nothing, NULL);

    assert_true(rc == 0 || rc == -ENOMEM);
    assert_int_equal(wane_off_pressure(nothing, NULL), rc == 0);
}

/* What says that it is written is written to its end. */
static void
written(int (*write_to)(int fd), const char *end)
{
    FILE *f = tmpfile();
    char  text[8] = "";
    off_t size;
    int   rc;

    assert_non_null(f);
    rc = write_to(fileno(f));
    assert_true(rc == 0 || rc == -ENOMEM);
    size = lseek(fileno(f), 0, SEEK_END);
    if (rc == 0) {
        assert_true(size >= (off_t)strlen(end));
        assert_int_equal(pread(fileno(f), text, strlen(end), size - (off_t)strlen(end)), strlen(end));
        assert_string_equal(text, end);
    }
    fclose(f);
}

static struct node *explained;

static int
explain(int fd)
{
    return wane_explain(explained, fd);
}

static void
use_observation(void)
{
    struct node *holder = node_try(&node_type);

    explained = node_try(&node_type);
    if (holder)
        wane_set(&holder->a, explained);
    written(wane_snapshot_write, "]}\n");
    written(wane_metrics_write, "# EOF\n");
    written(wane_stats_json_write, "}\n");
    written(wane_leak_report, "\n");
    if (explained)
        written(explain, "\n");
    wane_release(explained);
    wane_release(holder);
}

/* A type that is new each time has a stack of its own. */
static void
use_profile(void)
{
    static struct wane_type kinds[64];
    static unsigned         used;
    struct wane_type       *kind = &kinds[used++ % 64];
    struct node            *n;
    int                     rc = wane_profile(1);

    assert_true(rc == 0 || rc == -ENOMEM);
    if (!kind->name)
        *kind = (struct wane_type){.name = "kind", .size = sizeof(struct node), .dispose = node_dispose};
    n = node_try(kind);
    written(wane_profile_write, "");
    wane_release(n);
}

/* The k-th allocation fails, for k = 1, 2 .. until none does. */
static void
fail_each(void (*use)(void))
{
    for (long k = 1;; k++) {
        oom_fail(k, k + 1);
        use();
        if (atomic_load(&oom_asked) < k)
            break;
        assert_true(oom_census());
    }
    assert_true(oom_census());
}

static void
mem_02_soft_references_without_memory(void **state)
{
    (void)state;
    fail_each(use_soft);
}

static void
mem_02_caches_without_memory(void **state)
{
    (void)state;
    fail_each(use_cache);
}

static void
mem_02_pressure_callbacks_without_memory(void **state)
{
    (void)state;
    fail_each(use_callbacks);
}

static void
mem_02_snapshots_and_reports_without_memory(void **state)
{
    (void)state;
    wane_observe(true);
    fail_each(use_observation);
    wane_observe(false);
}

static void
mem_02_profiles_without_memory(void **state)
{
    (void)state;
    fail_each(use_profile);
    assert_int_equal(wane_profile(0), 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {OOM(mem_02_soft_references_without_memory), OOM(mem_02_caches_without_memory),
                                       OOM(mem_02_pressure_callbacks_without_memory),
                                       OOM(mem_02_snapshots_and_reports_without_memory),
                                       OOM(mem_02_profiles_without_memory)};

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, scene_shutdown);
}
