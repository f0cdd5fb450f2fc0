/* SPDX-License-Identifier: MIT
 *
 * test_corners.c - arms that no other test comes to: small calls, refusals, and what the system refuses (docs/uncovered.md)
 */
#include "scene.h"

#include <dirent.h>
#include <fcntl.h>

#include <wane/collector.h>
#include <wane/memory.h>

#define PAGE 8192

/* ---- Small calls ------------------------------------------------------------------------------------------------------ */

static void
the_version_is_that_of_the_headers(void **state)
{
    (void)state;
    assert_int_equal(wane_version(), WANE_VERSION);
}

static void
phases_take_time(void **state)
{
    uint64_t              before[WANE_PHASES], after[WANE_PHASES], sum = 0;
    struct wane_collected c;

    (void)state;
    wane_phases(before);
    wane_release(ring_of(&node_type, 3, NULL));
    (void)collect_patiently(WANE_ALL, &c);
    wane_phases(after);
    for (int i = 0; i < WANE_PHASES; i++) {
        assert_true(after[i] >= before[i]);
        sum += after[i] - before[i];
    }
    assert_true(sum > 0);
}

static int
release_an_immortal_leaf(void *unused)
{
    struct node *n = leaf_new();

    (void)unused;
    wane_retain(n); /* outside of sections: in the shared word */
    wane_enter();
    wane_release(n); /* the last local unit: merged */
    wane_leave();
    wane_immortal(n);
    for (int i = 0; i < 10; i++)
        wane_release(n);
    CHILD_CHECK(n->magic == NODE_LIVE);
    return 0;
}

static void
releases_do_not_matter_to_an_immortal_leaf(void **state)
{
    struct child c = run_child(release_an_immortal_leaf, NULL);

    (void)state;
    assert_child_ok(&c);
}

/* ---- Refusals --------------------------------------------------------------------------------------------------------- */

static int
need_another_interface(void *unused)
{
    (void)unused;
    wane_need_abi(WANE_ABI + 1);
    return 0;
}

static int
nest_too_deeply(void *unused)
{
    (void)unused;
    for (int i = 0; i <= 65535; i++)
        wane_enter();
    return 0;
}

static int
take_a_node_for_a_soft_reference(void *unused)
{
    (void)unused;
    return wane_soft_get(node_new()) != NULL;
}

/* Its weak reference and the section keep the memory of what is dead. */
static struct node *
dead_node(void)
{
    struct node *n = node_new();

    (void)!wane_weak(n);
    wane_enter();
    wane_release(n);
    return n;
}

static int
share_the_dead(void *unused)
{
    (void)unused;
    return wane_share(dead_node());
}

static int
immortalise_the_dead(void *unused)
{
    (void)unused;
    wane_immortal(dead_node());
    return 0;
}

static void
misuse_is_told(void **state)
{
    static const struct {
        int (*body)(void *);
        const char *word;
    } cases[] = {
        {need_another_interface, "binary interface"},
        {nest_too_deeply, "nested too deeply"},
        {take_a_node_for_a_soft_reference, "not a soft reference: object"},
        {share_the_dead, "share of a dead object: object"},
        {immortalise_the_dead, "cannot become immortal: object"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct child c = run_child(cases[i].body, NULL);

        assert_child_refused(&c, cases[i].word);
    }
}

/* ---- What the system refuses ------------------------------------------------------------------------------------------ */

static int
ask_for_a_descriptor_too_many(void *unused)
{
    (void)unused;
    CHILD_CHECK(setrlimit(RLIMIT_NOFILE, &(struct rlimit){3, 3}) == 0);
    CHILD_CHECK(wane_event_fd() == -EMFILE);
    return 0;
}

static void
without_descriptors_there_is_no_event_fd(void **state)
{
    struct child c = run_child(ask_for_a_descriptor_too_many, NULL);

    (void)state;
    assert_child_ok(&c);
}

static void
the_name_of_a_file_for_payloads_is_too_long(void **state)
{
    char               directory[4095];
    struct wane_cache *c = wane_cache_new(PAGE);

    (void)state;
    for (size_t i = 0; i < sizeof directory - 1; i++)
        directory[i] = "/a"[i % 2];
    directory[sizeof directory - 1] = 0;
    assert_int_equal(wane_cache_spill(c, directory, PAGE), -ENAMETOOLONG);
    wane_release(c);
}

/* The nameless file of /tmp is this process's only one. */
static bool
truncate_the_nameless(void)
{
    DIR           *own = opendir("/proc/self/fd");
    struct dirent *entry;
    char           target[256] = "";
    bool           done = false;

    while (own && !done && (entry = readdir(own))) {
        ssize_t n = readlinkat(dirfd(own), entry->d_name, target, sizeof target - 1);

        target[n < 0 ? 0 : n] = 0;
        if (strncmp(target, "/tmp/", 5) == 0 && strstr(target, "(deleted)"))
            done = ftruncate((int)strtol(entry->d_name, NULL, 10), 0) == 0;
    }
    if (own)
        closedir(own);
    return done;
}

struct page {
    char bytes[PAGE];
};
WANE_LEAF_TYPE(page);

static void
a_payload_that_cannot_be_read_back_is_told(void **state)
{
    struct wane_cache *c = wane_cache_new(SIZE_MAX / 2);

    (void)state;
    assert_int_equal(wane_cache_spill(c, "/tmp", PAGE), 0);
    assert_int_equal(wane_cache_put(c, "key", wane_new(&page_type), PAGE), 0);
    assert_int_equal(wane_purge(PAGE), PAGE);
    assert_true(truncate_the_nameless());
    errno = 0;
    assert_null(wane_cache_get(c, "key"));
    assert_int_equal(errno, EIO);
    wane_release(c);
}

/* ---- From within ------------------------------------------------------------------------------------------------------ */

static size_t
once(size_t bytes, void *calls)
{
    (void)bytes;
    ++*(int *)calls;
    EXPECT(wane_off_pressure(once, calls));
    EXPECT(!wane_off_pressure(once, calls));
    return 0;
}

static void
a_callback_of_pressure_may_take_itself_out(void **state)
{
    int calls = 0;

    (void)state;
    assert_int_equal(wane_on_pressure(once, &calls), 0);
    (void)wane_purge(1);
    (void)wane_purge(1);
    assert_int_equal(calls, 1);
}

/* ---- Sizes ------------------------------------------------------------------------------------------------------------ */

#define SIZES    600 /* cells, and some of malloc's */
#define OF_A_SIZE 40

static bool
is_all(const unsigned char *bytes, size_t size, int what)
{
    for (size_t k = 0; k < size; k++)
        if (bytes[k] != what)
            return false;
    return true;
}

/* Zeroed, aligned, and none reaches into another, when they are made first and when their memory is used again. */
static bool
is_whole(struct wane_type *type, size_t size)
{
    bool           sized = type->flags & WANE_SIZED, whole = true;
    size_t         alignment = sized || size % 16 == 0 ? 16 : 8;
    unsigned char *made[OF_A_SIZE];

    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < OF_A_SIZE; i++) {
            made[i] = sized ? wane_new_sized(type, size) : wane_new(type);
            whole &= (uintptr_t)made[i] % alignment == 0 && is_all(made[i], size, 0);
            memset(made[i], i + 1, size);
        }
        for (int i = 0; i < OF_A_SIZE; i++) {
            whole &= is_all(made[i], size, i + 1);
            wane_release(made[i]);
        }
    }
    return whole;
}

static void
objects_of_every_size_are_whole(void **state)
{
    static struct wane_type exact[SIZES + 1], sized = {.name = "of any size", .size = 1, .flags = WANE_SIZED};

    (void)state;
    for (size_t size = 1; size <= SIZES; size++) {
        exact[size] = (struct wane_type){.name = "of one size", .size = size};
        assert_true(is_whole(&exact[size], size));
        assert_true(is_whole(&sized, size));
    }
}

/* Finalizers that came to wait while the library had no threads. */
static void
threads_that_are_allowed_again_find_work(void **state)
{
    atomic_long  gone = 0;
    struct node *n = final_new(NULL);

    (void)state;
    assert_int_equal(wane_use_threads(false), 0);
    n->watch = &gone;
    wane_release(n);
    assert_int_equal(atomic_load(&gone), 0);
    assert_int_equal(wane_use_threads(true), 0);
    assert_true(wait_count(&gone, 1));
}

SCENE_MAIN(SCENE(the_version_is_that_of_the_headers), SCENE(phases_take_time), SCENE(releases_do_not_matter_to_an_immortal_leaf),
           SCENE(misuse_is_told),
           SCENE(without_descriptors_there_is_no_event_fd), SCENE(the_name_of_a_file_for_payloads_is_too_long),
           SCENE(a_payload_that_cannot_be_read_back_is_told), SCENE(a_callback_of_pressure_may_take_itself_out),
           SCENE(objects_of_every_size_are_whole), SCENE(threads_that_are_allowed_again_find_work))
