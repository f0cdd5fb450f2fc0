/* SPDX-License-Identifier: MIT
 *
 * test_misuse.c - what the runtime says to programs that break its rules: one message that names the type, and abort
 *
 * Each violation is committed by a child process. Some are seen in builds with checks only (-Dchecks, src/check.h): this
 * program is built with the same WN_CHECKS as the library.
 */
#include "scene.h"

#ifdef RIG_ASAN
#define UNLESS_ASAN() skip() /* it reports the use of freed memory first, and ends the child its own way */
#else
#define UNLESS_ASAN() ((void)0)
#endif

static void
refused(int (*body)(void *), const char *word)
{
    struct child c = run_child(body, NULL);

    assert_child_refused(&c, word);
}

static int
release_twice(void *unused)
{
    struct node *n = node_new();

    (void)unused;
    wane_retain(n); /* outside of sections: in the shared word, and so the object is not freed before the third release */
    wane_release(n);
    wane_release(n);
    wane_release(n);
    return 0;
}

static int
release_twice_while_held_by_a_log(void *unused)
{
    struct node *n = node_new();

    (void)unused;
    wane_retain(n);
    WANE_SECTION
    {
        wane_release(n); /* a candidate: its memory waits */
        wane_release(n);
        wane_release(n);
    }
    return 0;
}

static void
mis_01_double_release(void **state)
{
    (void)state;
    UNLESS_ASAN();
    refused(release_twice_while_held_by_a_log, "without a reference: object");
    if (WN_CHECKS >= 2)
        refused(release_twice, "node");
}

static int
release_static_memory(void *unused)
{
    static _Alignas(16) char memory[64];
    void *volatile           inside = memory + 32;

    (void)unused;
    wane_release(inside);
    return 0;
}

static int
release_unaligned(void *unused)
{
    struct node *n = node_new();

    (void)unused;
    wane_release((char *)n + 4);
    return 0;
}

#ifndef RIG_SLOW
static int
release_nonsense(void *unused)
{
    void *volatile nowhere = (void *)(uintptr_t)64;

    (void)unused;
    wane_release(nowhere);
    return 0;
}
#endif

static void
mis_03_release_of_what_is_no_object(void **state)
{
    (void)state;
    refused(release_static_memory, "is not an object");
    UNLESS_ASAN();
    refused(release_unaligned, "is not an object");
#ifndef RIG_SLOW /* the inline look at the word faults first: no message, and no harm */
    {
        struct child c = run_child(release_nonsense, NULL);

        assert_true(WIFSIGNALED(c.status));
    }
#endif
}

static int
weak_get_of_what_is_unaligned(void *unused)
{
    struct node *n = node_new();

    (void)unused;
    wane_release(wane_weak_get((char *)n + 4));
    return 0;
}

static int
weak_get_of_what_is_near_null(void *unused)
{
    void *volatile nowhere = (void *)(uintptr_t)64;

    (void)unused;
    wane_release(wane_weak_get(nowhere));
    return 0;
}

static void
mis_03_weak_get_of_what_is_no_object(void **state)
{
    (void)state;
    refused(weak_get_of_what_is_near_null, "is not an object");
    UNLESS_ASAN();
    refused(weak_get_of_what_is_unaligned, "is not an object");
}

static void *
ends_inside(void *unused)
{
    (void)unused;
    wane_enter();
    wane_enter();
    return NULL;
}

static wane_slot root;

static int
end_inside_a_section(void *unused)
{
    (void)unused;
    join(spawn(ends_inside, NULL));
    wane_put(&root, node_new());
    wane_clear(&root);
    CHILD_CHECK(wane_barrier() == 0); /* it holds up nobody */
    CHILD_CHECK(atomic_load(&disposed) == 1);
    return 0;
}

static void
mis_06_section_left_open_at_thread_exit(void **state)
{
    struct child c;

    (void)state;
    skip_where_children_have_no_threads();
    c = run_child(end_inside_a_section, NULL);
    assert_child_ok(&c);
    assert_non_null(strstr(c.err, "has ended inside a section"));
}

static int
store_an_odd_pointer(void *unused)
{
    struct node *n = node_new();

    (void)unused;
    wane_set(&root, (char *)n + 8); /* eight is no tag */
    return 0;
}

static void
mis_07_store_of_an_unaligned_pointer(void **state)
{
    struct node *n = node_new();

    (void)state;
    refused(store_an_odd_pointer, "is not an object");
    wane_set(&root, wane_tag(n, 5)); /* these are */
    WANE_SECTION
    assert_ptr_equal(wane_peek(&root), n);
    wane_clear(&root);
    wane_release(n);
}

/* ---- Trace callbacks ------------------------------------------------------------------------------------------------- */

static int what_trace_does;

static void
bad_trace(const void *object, struct wane_visitor *visitor)
{
    const struct node *n = object;

    wane_visit(visitor, &n->a);
    switch (what_trace_does) {
    case 1: wane_release(wane_get(&n->a)); break;
    case 2: wane_clear((wane_slot *)(uintptr_t)&n->a); break;
    case 3: wane_release(wane_new(&node_type)); break;
    case 4: (void)wane_collect(WANE_ALL, NULL); break;
    default: break;
    }
}

static struct wane_type bad_type = {.name = "badly-traced", .size = sizeof(struct node), .trace = bad_trace};

static int
trace_badly(void *what)
{
    struct node *n = wane_new(&bad_type);

    wane_put(&n->a, leaf_new());
    what_trace_does = *(int *)what;
    wane_set(&n->b, n); /* not shown: never mind */
    WANE_SECTION
    wane_release(n);
    (void)wane_collect(WANE_ALL, NULL);
    return 0;
}

static void
mis_08_trace_that_calls_back(void **state)
{
    (void)state;
    if (WN_CHECKS < 2)
        skip();
    skip_where_children_have_no_threads();
    for (int what = 1; what <= 4; what++) {
        struct child c = run_child(trace_badly, &what);

        assert_child_refused(&c, "badly-traced");
    }
}

static const char *failed_trace;

static void
failing_trace(const void *object, struct wane_visitor *visitor)
{
    const struct node *n = object;

    if (failed_trace) /* "cannot" show its slot this time */
        return;
    wane_visit(visitor, &n->a);
}

static struct wane_type failing_type = {
    .name = "failing", .size = sizeof(struct node), .trace = failing_trace, .dispose = node_dispose};

/* A trace that leaves early hides edges: what it holds is kept, nothing is freed early; when it shows all, all goes. */
static void
mis_09_trace_that_fails(void **state)
{
    struct node *n = node_of(&failing_type);

    (void)state;
    wane_set(&n->a, n);
    failed_trace = "no memory, say";
    wane_release(n);
    collect_now();
    assert_int_equal(atomic_load(&disposed), 0);
    failed_trace = NULL;
    WANE_SECTION
    wane_release(wane_retain(n)); /* it was dropped as live: a candidate again */
    collect_now();
    assert_true(wait_count(&disposed, 1));
}

struct hidden {
    struct node n;
    wane_slot   untold;
};
static struct wane_type hidden_type = {
    .name = "hidden", .size = sizeof(struct hidden), .slots = (const uint32_t[]){offsetof(struct hidden, n.a)},
    .slot_count = 1, .dispose = node_dispose};

/* A slot that the type does not tell: what it holds leaks; it is not freed under anybody. */
static void
mis_10_slot_that_the_type_does_not_tell(void **state)
{
    struct hidden *h = (struct hidden *)(void *)node_of(&hidden_type);
    struct node   *held = node_new();

    (void)state;
    wane_set(&h->untold, held);
    wane_release(h);
    collect_now();
    assert_int_equal(atomic_load(&disposed), 1);
    node_check(held);
    wane_release(held);
    collect_now();
    node_check(held); /* the untold slot's unit is still there */
    wane_release(held);
    collect_now();
    assert_int_equal(atomic_load(&disposed), 2);
}

static void *
first_thing_is(void *what)
{
    struct node *n = atomic_load((_Atomic(struct node *) *)what);

    node_check(n);
    wane_release(n); /* of a thread that the runtime has never seen */
    return NULL;
}

static void *
first_thing_is_a_retain(void *what)
{
    struct node *n = atomic_load((_Atomic(struct node *) *)what);

    wane_retain(n);
    wane_release(n);
    return NULL;
}

static void
mis_11_threads_that_never_registered(void **state)
{
    _Atomic(struct node *) n;

    (void)state;
    for (int i = 0; i < 100; i++) {
        atomic_store(&n, wane_retain(node_new()));
        join(spawn(first_thing_is_a_retain, &n));
        join(spawn(first_thing_is, &n));
        join(spawn(first_thing_is, &n));
        assert_true(wait_count(&disposed, i + 1));
    }
}

/* The library's threads block all signals, so no handler of the program ever runs on one. */
static bool
blocks_all_signals(const char *tid)
{
    char     path[300], line[256];
    FILE    *f;
    unsigned long long mask = ~0ull; /* no such line: it has ended */

    snprintf(path, sizeof path, "/proc/self/task/%s/status", tid);
    f = fopen(path, "r");
    if (!f)
        return true; /* it has ended */
    while (fgets(line, sizeof line, f))
        if (sscanf(line, "SigBlk: %llx", &mask) == 1)
            break;
    fclose(f);
    return (mask & 0x7ffbfeff) == 0x7ffbfeff; /* all but KILL and STOP */
}

/* Memcheck opens those of faults while a thread runs: the mask is the thread's own in system calls only. */
static bool
is_seen_to_block_all_signals(const char *tid)
{
    uint64_t end = now_ms() + WATCHDOG_MS;

    while (!blocks_all_signals(tid)) {
        if (now_ms() >= end)
            return false;
        nap();
    }
    return true;
}

#include <dirent.h>

static void
mis_12_no_handler_runs_on_the_librarys_threads(void **state)
{
    DIR *dir;
    long others = 0;
    char self[32];

    (void)state;
#ifdef RIG_TSAN
    skip(); /* it has a thread of its own */
#endif
    wane_release(final_new(NULL)); /* both threads run */
    assert_true(pump_count(&disposed, 1));
    wane_put(&root, node_new());
    wane_clear(&root);
    assert_true(wait_count(&disposed, 2));
    snprintf(self, sizeof self, "%d", (int)getpid());
    dir = opendir("/proc/self/task");
    assert_non_null(dir);
    for (struct dirent *e; (e = readdir(dir));)
        if (e->d_name[0] != '.' && strcmp(e->d_name, self) != 0) {
            others++;
            assert_true(is_seen_to_block_all_signals(e->d_name));
        }
    closedir(dir);
    assert_true(others >= 1);
}

static uint32_t         changing_slots[] = {offsetof(struct node, a)};
static char             changing_name[] = "changing";
static struct wane_type changing_type = {.name = changing_name, .size = sizeof(struct node), .slots = changing_slots,
                                         .slot_count = 1, .dispose = node_dispose};

/* The type was copied when it was registered: what the program does to its declaration changes nothing. */
static void
mis_13_changing_a_type_at_run_time(void **state)
{
    struct node *n = node_of(&changing_type);

    (void)state;
    changing_slots[0] = 4096;
    changing_name[0] = 'X';
    changing_type.slot_count = 0;
    changing_type.dispose = NULL;
    wane_put(&n->a, node_new());
    assert_int_equal(live_of("changing"), 1);
    wane_release(n);
    assert_int_equal(atomic_load(&disposed), 2);
}

static void
mis_14_absurd_arguments(void **state)
{
    static const uint32_t   beyond[] = {sizeof(struct node)};
    static const uint32_t   odd[] = {4};
    static const uint32_t   twice[] = {8, 8};
    static struct wane_type bad[] = {
        {.name = "beyond", .size = sizeof(struct node), .slots = beyond, .slot_count = 1},
        {.name = "odd", .size = sizeof(struct node), .slots = odd, .slot_count = 1},
        {.name = "twice", .size = sizeof(struct node), .slots = twice, .slot_count = 2},
        {.name = NULL, .size = 8},
    };
    static struct wane_type huge = {.name = "huge", .size = SIZE_MAX / 2};

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        errno = 0;
        assert_null(wane_new(&bad[i]));
        assert_int_equal(errno, EINVAL);
    }
    errno = 0;
    assert_null(wane_new(&huge));
    assert_int_equal(errno, ENOMEM);
    assert_null(wane_new_sized(&wide_type, SIZE_MAX));
    assert_int_equal(errno, ENOMEM);
    assert_null(wane_new_sized(&wide_type, 1)); /* less than the type says */
    assert_int_equal(errno, EINVAL);
    assert_null(wane_new_sized(&node_type, sizeof(struct node)));
    assert_int_equal(errno, EINVAL);
    assert_int_equal(wane_collect(-1, NULL), -EINVAL);
    assert_int_equal(wane_collect(3, NULL), -EINVAL);
    assert_int_equal(wane_set_threshold(2, 1), -EINVAL);
    wane_release(NULL);
    assert_null(wane_retain(NULL));
    assert_null(wane_adopt(NULL));
    assert_null(wane_weak_get(NULL));
}

static int
weak_get_of_no_object(void *unused)
{
    static struct {
        _Alignas(16) char bytes[128];
    } zeros;

    (void)unused;
    return wane_weak_get(zeros.bytes + 32) != NULL;
}

/* The type of weak references has no number yet. First in its process. */
static void
mis_03_weak_get_before_the_first_weak(void **state)
{
    (void)state;
    refused(weak_get_of_no_object, "is not an object");
}

static int
make_the_count_too_small(void *unused)
{
    struct node *n = node_new();

    (void)unused;
    wane_set(&root, n);
    wane_set(&n->a, n);
    wane_release(n);
    wane_release(n); /* one too many: the ring's own edge counts for nobody now */
    wane_release(n);
    wane_release(n);
    (void)wane_collect(WANE_ALL, NULL);
    return 0;
}

/* Counts that are smaller than the references: told with the type and the count, when the missing one is missed. */
static void
cnt_10_count_too_small_is_told(void **state)
{
    struct child c;

    (void)state;
    skip_where_children_have_no_memory();
    c = run_child(make_the_count_too_small, NULL);
    assert_child_refused(&c, "of type 'node', count word");
}

SCENE_MAIN(SCENE(mis_03_weak_get_before_the_first_weak), SCENE(mis_01_double_release), SCENE(mis_03_release_of_what_is_no_object),
           SCENE(mis_03_weak_get_of_what_is_no_object),
           SCENE(mis_06_section_left_open_at_thread_exit), SCENE(mis_07_store_of_an_unaligned_pointer),
           SCENE(mis_08_trace_that_calls_back), SCENE(mis_09_trace_that_fails),
           SCENE(mis_10_slot_that_the_type_does_not_tell), SCENE(mis_11_threads_that_never_registered),
           SCENE(mis_12_no_handler_runs_on_the_librarys_threads), SCENE(mis_13_changing_a_type_at_run_time),
           SCENE(mis_14_absurd_arguments), SCENE(cnt_10_count_too_small_is_told))
