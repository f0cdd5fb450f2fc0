/* SPDX-License-Identifier: MIT
 *
 * test_profile.c - sampled births: every byte, so that sums are exact; few, so that they are estimates; read by pprof
 */
#define _GNU_SOURCE /* memmem */
#include "observe_common.h"

#include <wane/containers.h>

#define NODE_BYTES (sizeof(struct node) + 16)

static void
profile_checked(const char *wishes)
{
    struct report r = report_open();

    assert_int_equal(wane_profile_write(r.fd), 0);
    if (run_tool("tests/profile_check.py", &r, wishes, NULL) != 0)
        fail();
    report_close(&r);
}

__attribute__((noinline)) static struct node *
asks_for_one(void)
{
    struct node *n = node_new();

    __asm__ volatile("" ::: "memory"); /* no tail call: the frame is looked for */
    return n;
}

__attribute__((noinline)) static struct wane_vec *
asks_for_a_vector(void)
{
    struct wane_vec *v = wane_vec_new();

    __asm__ volatile("" ::: "memory");
    return v;
}

/* One dies on another thread, which makes one. */
static void *
exchange(void *place)
{
    struct node **n = place;

    wane_release(*n);
    *n = asks_for_one();
    return NULL;
}

/* In this order: what was made before stays in the sums. */
static void
obs_40_every_byte(void **state)
{
    struct node     *n[4];
    struct wane_vec *v;
    char             wishes[512], program[256];
    ssize_t          length = readlink("/proc/self/exe", program, sizeof program - 1); /* memcheck's own in /proc/PID/exe */

    (void)state;
    assert_true(length > 0);
    program[length] = 0;
    wane_release(asks_for_one()); /* not seen */
    assert_int_equal(wane_profile(1), 0);
    for (int i = 0; i < 4; i++)
        n[i] = asks_for_one();
    v = asks_for_a_vector();
    join(spawn(exchange, &n[0]));
    wane_release(n[1]);
    wane_release(ring_of(&node_type, 3, NULL));
    assert_int_equal(wane_profile(0), 0);
    wane_release(asks_for_one());         /* not seen */
    wane_release(n[2]);                   /* its death is */
    expect_disposed(8);
    snprintf(wishes, sizeof wishes, "node.alloc_objects=8 node.alloc_space=%zu node.inuse_objects=2 node.inuse_space=%zu "
             "wane_vec.inuse_objects=1 --pprof %s asks_for_one asks_for_a_vector", 8 * NODE_BYTES, 2 * NODE_BYTES, program);
    profile_checked(wishes);
    wane_release(n[0]);
    wane_release(n[3]);
    wane_release(v);
}

/* 2 MB of small objects, of which a hundred or so are sampled, and large ones, of which each is. */
static void
obs_41_estimates(void **state)
{
    static struct node     *n[20000];
    static struct wane_type large_type = {.name = "large", .size = 1000000};
    void                   *large[5];

    (void)state;
    assert_int_equal(wane_profile(16384), 0);
    for (int i = 0; i < 20000; i++)
        n[i] = node_new();
    for (int i = 0; i < 5; i++)
        large[i] = wane_new(&large_type);
    assert_int_equal(wane_profile(0), 0);
    profile_checked("node.inuse_objects~20000:0.9 large.inuse_objects=5 large.inuse_space~5000000:0.001");
    for (int i = 0; i < 20000; i++)
        wane_release(n[i]);
    for (int i = 0; i < 5; i++)
        wane_release(large[i]);
    profile_checked("node.inuse_objects=0 large.inuse_objects=0 large.alloc_objects=5");
}

/* More samples than there is room for: the profile says so, and what it has seen born it sees die. */
static void
obs_43_more_samples_than_room(void **state)
{
    enum { MANY = 50000 };
    struct node  **n = calloc(MANY, sizeof *n);
    struct report  r = report_open();
    char          *text;
    struct stat    s;

    (void)state;
#ifdef RIG_ASAN
    free(n);
    report_close(&r);
    skip(); /* backtraces take minutes */
#endif
    assert_non_null(n);
    assert_int_equal(wane_profile(1), 0);
    for (int i = 0; i < MANY; i++)
        n[i] = node_new();
    assert_int_equal(wane_profile(0), 0);
    assert_int_equal(wane_profile_write(r.fd), 0);
    text = report_text(&r);
    assert_int_equal(fstat(r.fd, &s), 0);
    assert_non_null(memmem(text, (size_t)s.st_size, " samples had no room", strlen(" samples had no room")));
    free(text);
    report_close(&r);
    for (int i = 0; i < MANY; i++)
        wane_release(n[i]);
    free(n);
    profile_checked("node.inuse_objects=0");
}

static void
obs_42_errors(void **state)
{
    int full = open("/dev/full", O_WRONLY | O_CLOEXEC);

    (void)state;
    assert_int_equal(wane_profile_write(full), -ENOSPC);
    assert_int_equal(wane_profile_write(-1), -EBADF);
    close(full);
}

SCENE_MAIN(SCENE(obs_40_every_byte), SCENE(obs_41_estimates), SCENE(obs_42_errors), SCENE(obs_43_more_samples_than_room))
