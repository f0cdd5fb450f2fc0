/* SPDX-License-Identifier: MIT
 *
 * test_overload.c - a reader that does not leave its section while others displace a lot
 */
#define _GNU_SOURCE /* pthread_setname_np */
#include "scene.h"

#include <sys/syscall.h>

#ifdef RIG_SLOW
enum { SITS_MS = 2000, DISPLACED = 200000 };
#else
enum { SITS_MS = 5000, DISPLACED = 3000000 };
#endif
enum { WRITERS = 2 };

struct weight {
    uint64_t  fill[4];
    wane_slot slot;
};
static const uint32_t   weight_slots[] = {offsetof(struct weight, slot)};
static struct wane_type weight_type = {
    .name = "weight", .size = sizeof(struct weight), .slots = weight_slots, .slot_count = 1};

static wane_slot        root, of_writer[WRITERS];
static atomic_long      inside, reports, written;
static struct pipe_wait door;
static uint32_t         reader_tid;
static struct wane_stall last;
static char             last_name[32];

static void
on_stall(const struct wane_stall *s, void *arg)
{
    assert_ptr_equal(arg, &last);
    if (strcmp(s->thread, "slow-reader") != 0)
        return; /* a writer that did not run for long, on a busy machine */
    last = *s;
    snprintf(last_name, sizeof last_name, "%s", s->thread);
    atomic_fetch_add(&reports, 1);
}

static void *
read_for_long(void *unused)
{
    struct node *n;

    (void)unused;
    pthread_setname_np(pthread_self(), "slow-reader");
    reader_tid = (uint32_t)syscall(SYS_gettid);
    wane_enter();
    n = wane_peek(&root);
    node_check(n);
    atomic_store(&inside, 1);
    pipe_block(&door);
    node_check(n); /* displaced long ago */
    wane_leave();
    return NULL;
}

static void *
displace_a_lot(void *slot)
{
    for (long i = 0; i < DISPLACED / WRITERS; i++) {
        struct weight *w = wane_new(&weight_type);

        if (!w)
            die("no memory");
        wane_put((wane_slot *)slot, w);
        if (i % 4096 == 0)
            atomic_fetch_add(&written, 4096);
    }
    return NULL;
}

static void
a_reader_that_sits_in_its_section(void **state)
{
    pthread_t         reader, writer[WRITERS];
    struct wane_stats s;
    uint64_t          begin, pending;

    (void)state;
    pipe_open(&door);
    wane_put(&root, node_new());
    assert_int_equal(wane_on_stall(200, on_stall, &last), 0);
    reader = spawn(read_for_long, NULL);
    assert_true(wait_count(&inside, 1));
    begin = now_ms();
    wane_clear(&root);
    for (int i = 0; i < WRITERS; i++)
        writer[i] = spawn(displace_a_lot, &of_writer[i]);
    for (int i = 0; i < WRITERS; i++)
        join(writer[i]);
    while (now_ms() < begin + SITS_MS)
        nap();

    /* Nothing is freed, and the numbers say why. */
    assert_int_equal(atomic_load(&disposed), 0);
    wane_stats(&s);
    pending = s.displaced - s.applied;
    assert_true(pending >= DISPLACED - WRITERS);
    assert_true(live_of("weight") >= DISPLACED - WRITERS);
    assert_true(s.held_bytes <= pending * sizeof(struct weight) + sizeof(struct node));
    assert_true(s.held_bytes >= (pending - pending / 10) * sizeof(struct weight));
    assert_true(s.stalled_nanoseconds >= (SITS_MS - 1000) * UINT64_C(1000000));
    print_message("# %llu units and %llu bytes wait; the section is %llu ms old\n", (unsigned long long)pending,
                  (unsigned long long)s.held_bytes, (unsigned long long)(s.stalled_nanoseconds / 1000000));

    /* It was reported: once, with its name. */
    assert_true(wait_count(&reports, 1));
    assert_int_equal(atomic_load(&reports), 1);
    assert_int_equal(last.tid, reader_tid);
    assert_string_equal(last_name, "slow-reader");
    assert_true(last.nanoseconds >= 200 * UINT64_C(1000000));
    assert_true(s.stalls >= 1);

    /* It leaves: everything goes, unasked. */
    pipe_wake(&door);
    join(reader);
    begin = now_ms();
    while (live_of("weight") > WRITERS && now_ms() < begin + WATCHDOG_MS)
        nap();
    assert_int_equal(live_of("weight"), WRITERS);
    print_message("# gone %llu ms after it left\n", (unsigned long long)(now_ms() - begin));
    assert_true(wait_count(&disposed, 1));
    for (int i = 0; i < WRITERS; i++)
        wane_clear(&of_writer[i]);
    assert_int_equal(wane_barrier(), 0);
    wane_stats(&s);
    assert_int_equal(s.displaced, s.applied);
    assert_int_equal(s.held_bytes, 0);
    assert_int_equal(wane_on_stall(0, NULL, NULL), 0);
    pipe_done(&door);
}

static int
stall_with_environment(void *unused)
{
    (void)unused;
    setenv("WANE_STALL_MS", "50", 1);
    setenv("WANE_STALL_SIGNAL", "40", 1);
    execl("/proc/self/exe", "test_overload", "stall", (char *)NULL);
    return 9;
}

/* Executed again, with the variable set: sits in a section while something waits. */
static int
stall(void)
{
    wane_put(&root, node_new());
    wane_clear(&root);
    wane_enter();
    nanosleep(&(struct timespec){0, 500000000}, NULL);
    wane_leave();
    return wane_shutdown();
}

static void
a_line_on_stderr_when_the_environment_asks_for_it(void **state)
{
    struct child c;

    (void)state;
    skip_where_children_have_no_threads();
    c = run_child(stall_with_environment, NULL);
    assert_child_ok(&c);
    assert_non_null(strstr(c.err, ") has been in a section for"));
    assert_true(strstr(c.err, "  its stack:\n") || strstr(c.err, "  it does not answer to signal 40\n"));
}

int
main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {SCENE(a_reader_that_sits_in_its_section),
                                       SCENE(a_line_on_stderr_when_the_environment_asks_for_it)};

    (void)argv;
    if (argc > 1)
        return stall();
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, scene_shutdown);
}
