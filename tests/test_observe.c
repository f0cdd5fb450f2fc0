/* SPDX-License-Identifier: MIT
 *
 * test_observe.c - snapshots: well-formed to the letter, what holds what, beside running threads
 *
 * Oracles: tests/snapshot_check.py reads each snapshot strictly and counts nodes and edges by name; tools/wane-inspect finds the
 * path of a leak that was planted.
 */
#include "observe_common.h"

#include <sys/resource.h>

#include <wane/containers.h>
#include <wane/weakmap.h>

struct named {
    wane_slot owner, next;
};
WANE_TYPE(named, owner, next);

static void
obs_01_edges_have_their_names(void **state)
{
    static const char *const names[] = {"owner", "the \"next\" \xc3\xb6ne\n"};
    struct named            *first = wane_new(&named_type), *second = wane_new(&named_type);

    (void)state;
    assert_int_equal(wane_slot_names(&named_type, names), 0);
    wane_set(&first->next, second);
    wane_set(&second->owner, first);
    wane_put(&second->next, leaf_new());
    snapshot_checked("named=2 leaf=1 'named owner named=1' 'named ? named=2' 'root ? named=2' 'root ? leaf=0'");
    assert_int_equal(wane_slot_names(&named_type, NULL), 0);
    snapshot_checked("'named +0 named=1' 'named +8 named=1' 'named +8 leaf=1'");
    wane_clear(&second->owner);
    wane_release(first);
    wane_release(second);
}

static void
obs_01_nothing_is_a_snapshot_too(void **state)
{
    (void)state;
    snapshot_checked("root=1 node=0");
}

static void
obs_02_containers_show_what_they_hold(void **state)
{
    struct wane_vec     *vec = wane_vec_new();
    struct wane_map     *map = wane_map_new();
    struct wane_array   *array = wane_array_new(3);
    struct wane_weakmap *weakmap = wane_weakmap_new();
    struct node         *key = node_new();
    void                *weak = wane_weak(vec);

    (void)state;
    for (int i = 0; i < 3; i++) {
        struct node *leaf = leaf_new();

        wane_set(wane_array_slot(array, (size_t)i), leaf);
        assert_int_equal(wane_vec_push(vec, leaf), 0);
    }
    assert_int_equal(wane_map_put(map, "key", node_new()), 0);
    assert_int_equal(wane_weakmap_set(weakmap, key, array), 0);
    wane_release(array);
    snapshot_checked("'wane_vec owned wane_vec_buffer=1' 'root ? wane_vec_buffer=0' 'wane_vec 2 leaf=1' 'wane_vec ? leaf=3' "
                     "'wane_map owned wane_map_directory=2' 'wane_map_directory ? wane_map_table=2' 'root ? wane_map_table=0' "
                     "'root ? wane_map_directory=0' 'wane_map ? wane_map_entry=2' "
                     "'wane_map_entry ? node=1' 'wane_array ? leaf=3' 'root ? leaf=0' 'root ? wane_array=0' "
                     "'wane_vec weak reference wane.weak=1' 'root ? wane.weak=1' 'root ? wane_vec=1' "
                     "'node values of weak maps wane_weakmap_entry=1'");
    wane_release(weak);
    wane_release(vec);
    wane_release(map);
    wane_release(weakmap);
    wane_release(key);
}

/* More slots than one section looks at. */
static void
obs_03_wide_objects_are_seen_in_parts(void **state)
{
    struct wide *w = wide_new(2000);
    struct node *last = leaf_new();

    (void)state;
    for (size_t i = 0; i < w->count; i++)
        wane_set(&w->slot[i], last);
    wane_put(&w->slot[1999], node_new());
    wane_barrier();
    snapshot_checked("'wide ? leaf=0' 'root ? leaf=1'"); /* nobody but this thread knows it: its callback is not called */
    wane_retain(w);
    wane_release(w);
    snapshot_checked("'wide ? leaf=1999' 'wide 0 leaf=1' 'wide 1998 leaf=1' 'wide 1999 node=1' 'root ? leaf=1'");
    wane_release(last);
    snapshot_checked("'root ? leaf=0'");
    wane_release(w);
}

struct half {
    wane_slot plain, *more;
    bool      done;
};
static struct wane_type half_type;

static void
half_trace(const void *object, struct wane_visitor *visitor)
{
    const struct half *h = object;

    if (!h->done)
        die("an object is traced that is half made");
    wane_visit(visitor, h->more);
}

static void
half_dispose(void *object)
{
    wane_free_deferred(((struct half *)object)->more, NULL);
}

static const uint32_t   half_slots[] = {offsetof(struct half, plain)};
static struct wane_type half_type = {
    .name = "half", .size = sizeof(struct half), .slots = half_slots, .slot_count = 1,
    .trace = half_trace, .dispose = half_dispose};

static void
obs_04_what_is_half_made_is_not_traced(void **state)
{
    struct half *h = wane_new(&half_type);

    (void)state;
    wane_put(&h->plain, leaf_new());
    snapshot_checked("half=1 'half +0 leaf=1' 'half ? node=0' 'root ? half=1'");
    h->more = calloc(1, sizeof *h->more);
    assert_non_null(h->more);
    wane_put(h->more, node_new());
    h->done = true;
    wane_retain(h);
    wane_release(h); /* others may come to it from here on */
    snapshot_checked("half=1 'half +0 leaf=1' 'half 0 node=1' 'root ? node=0'");
    wane_release(h);
}

/* More than what is written at once: of names, of nodes, and of edges from outside. */
static void
obs_04_many_objects(void **state)
{
    static struct wane_vec *outside[8000];
    static char             name[70001];
    static struct wane_type named_long_type = {.name = name, .size = 8};
    void                   *o;

    (void)state;
    memset(name, 'n', sizeof name - 1);
    o = wane_new(&named_long_type);
    for (int i = 0; i < 8000; i++)
        outside[i] = wane_vec_new();
    snapshot_checked("wane_vec=8000 'root ? wane_vec=8000'");
    for (int i = 0; i < 8000; i++)
        wane_release(outside[i]);
    wane_release(o);
}

/* A listener that was never removed holds a session that everybody else has forgotten. */
struct server {
    wane_slot sessions, listeners;
};
struct listener {
    wane_slot session;
};
struct session {
    wane_slot buffer;
};
WANE_TYPE(server, sessions, listeners);
WANE_TYPE(listener, session);
WANE_TYPE(session, buffer);
struct buffer {
    char bytes[4096];
};
WANE_LEAF_TYPE(buffer);
static const char *const server_names[] = {"sessions", "listeners"}, *const listener_names[] = {"session"},
                                                                     *const session_names[] = {"buffer"};

static void
open_session(struct server *s, bool leaks)
{
    struct session  *session = wane_new(&session_type);
    struct listener *listener = wane_new(&listener_type);

    wane_put(&session->buffer, wane_new(&buffer_type));
    WANE_SECTION
    {
        wane_set(&listener->session, session);
        assert_int_equal(wane_vec_push(wane_peek(&s->sessions), session), 0);
        if (leaks)
            assert_int_equal(wane_vec_push(wane_peek(&s->listeners), wane_retain(listener)), 0);
    }
    wane_release(listener);
}

static void
obs_05_the_path_of_a_leak(void **state)
{
    struct server *s = wane_new(&server_type);
    struct report  snapshot = report_open(), out = report_open();

    (void)state;
    assert_int_equal(wane_slot_names(&server_type, server_names), 0);
    assert_int_equal(wane_slot_names(&listener_type, listener_names), 0);
    assert_int_equal(wane_slot_names(&session_type, session_names), 0);
    wane_put(&s->sessions, wane_vec_new());
    wane_put(&s->listeners, wane_vec_new());
    for (int i = 0; i < 10; i++)
        open_session(s, i == 7);
    WANE_SECTION
    {
        for (int i = 0; i < 10; i++)
            wane_release(wane_vec_pop(wane_peek(&s->sessions)));
    }
    collect_now();
    assert_int_equal(live_of("session"), 1);
    assert_int_equal(wane_snapshot_write(snapshot.fd), 0);
    assert_int_equal(run_tool("tools/wane-inspect", &snapshot, "buffer", &out), 0);
    assert_report_says(&out, (const char *[]){"1 objects of type 'buffer'", "would go with session", "held from outside\n",
                                              "-> server", ".listeners -> wane_vec", "[0] -> listener", ".session -> session",
                                              ".buffer -> buffer", NULL});
    assert_int_equal(run_tool("tools/wane-inspect", &snapshot, "", &out), 0);
    assert_report_says(&out, (const char *[]){"server", "buffer", NULL});
    report_close(&snapshot);
    report_close(&out);
    wane_release(s);
}

/* ---- Beside others ------------------------------------------------------------------------------------------------------ */

#define SHARED    64
#define SNAPSHOTS 2
#define MOST_LIVE 3000 /* above this the mutators wait for the collector */

static struct wane_vec *vecs[2]; /* each has one writer */
static wane_slot        places[SHARED];
static atomic_long      turns;
static atomic_bool      over;

static void
turn(uint64_t *seed, struct wane_vec *vec)
{
    uint64_t     r = random_next(seed);
    wane_slot   *place = &places[r % SHARED];
    struct node *n = r >> 8 & 1 ? node_new() : leaf_new(), *old;

    if (r >> 9 & 1)
        wane_put(&places[r >> 16 & (SHARED - 1)], n);
    else
        EXPECT(wane_vec_push(vec, n) == 0);
    old = wane_get(place);
    if (old && (r >> 10 & 7) == 0 && wane_type_of(old) == &node_type)
        wane_put(&old->a, wane_get(&places[r >> 24 & (SHARED - 1)]));
    wane_release(old);
    if (r >> 11 & 1)
        wane_clear(place);
    if (wane_vec_length(vec) > SHARED)
        wane_release(wane_vec_pop(vec));
}

static void *
mutate(void *vec)
{
    uint64_t state = (uintptr_t)vec;

    while (!atomic_load(&over)) {
        WANE_SECTION
            turn(&state, *(struct wane_vec **)vec);
        if (atomic_fetch_add(&turns, 1) % 64 == 0 && stat_live() > MOST_LIVE)
            nap();
    }
    return NULL;
}

static void
obs_06_other_threads_go_on(void **state)
{
    struct report snapshot[SNAPSHOTS];
    pthread_t     thread[2];

    (void)state;
    atomic_store(&over, false);
    for (int i = 0; i < 2; i++) {
        vecs[i] = wane_vec_new();
        thread[i] = spawn(mutate, &vecs[i]);
    }
    for (int i = 0; i < SNAPSHOTS; i++) {
        snapshot[i] = report_open();
        assert_true(wait_count(&turns, atomic_load(&turns) + SCALED(3000)));
        assert_int_equal(wane_snapshot_write(snapshot[i].fd), 0);
    }
    atomic_store(&over, true);
    for (int i = 0; i < 2; i++) {
        join(thread[i]);
        wane_release(vecs[i]);
    }
    for (int i = 0; i < SHARED; i++)
        wane_clear(&places[i]);
    for (int i = 0; i < SNAPSHOTS; i++) {
        assert_int_equal(run_tool("tests/snapshot_check.py", &snapshot[i], "wane_vec=2", NULL), 0);
        report_close(&snapshot[i]);
    }
}

/* ---- What is refused ---------------------------------------------------------------------------------------------------- */

/* Each descriptor that it needs is refused, until there are enough. */
static void
few_descriptors(void)
{
    struct report r = report_open();
    struct rlimit before, few;
    int           rc = -EMFILE, refused = 0;

    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    few = before;
    for (; rc == -EMFILE && refused < 10; refused += rc == -EMFILE) {
        few.rlim_cur = (rlim_t)(r.fd + 1 + refused);
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
        rc = wane_snapshot_write(r.fd);
    }
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_int_equal(rc, 0);
    assert_true(refused >= 2); /* two files */
    report_close(&r);
}

static void
obs_07_errors(void **state)
{
    int             full = open("/dev/full", O_WRONLY | O_CLOEXEC);
    struct wane_type wrong = {.size = 8};

    (void)state;
    WANE_SECTION
        assert_int_equal(wane_snapshot_write(1), -EDEADLK);
    assert_int_equal(wane_snapshot_write(full), -ENOSPC);
    close(full);
    assert_int_equal(wane_snapshot_write(-1), -EBADF);
    few_descriptors();
    assert_int_equal(wane_slot_names(&wrong, NULL), -EINVAL);
}

static void
obs_08_only_while_it_is_on(void **state)
{
    struct node *seen = node_new(), *unseen;

    (void)state;
    assert_true(wane_observe(false));
    unseen = node_new();
    wane_set(&unseen->a, seen);
    snapshot_checked("node=1 'node ? node=0' 'root ? node=1'"); /* the other one's unit comes from outside, too */
    assert_false(wane_observe(true));
    wane_release(seen);
    wane_release(unseen);
    wane_barrier();
    snapshot_checked("node=0");
}

static int
snapshot_in_child(void *path)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

    CHILD_CHECK(wane_snapshot_write(fd) == 0);
    return 0;
}

static void
obs_09_in_the_child_of_a_fork(void **state)
{
    struct report r;
    struct node  *n;
    struct child  c;

    skip_where_children_have_no_memory();
    (void)state;
    r = report_open();
    n = node_new();
    wane_put(&n->a, leaf_new());
    c = run_child(snapshot_in_child, r.path);
    assert_child_ok(&c);
    assert_int_equal(run_tool("tests/snapshot_check.py", &r, "node=1 'node ? leaf=1'", NULL), 0);
    report_close(&r);
    wane_release(n);
}

SCENE_MAIN(OBSERVED(obs_01_edges_have_their_names), OBSERVED(obs_01_nothing_is_a_snapshot_too),
           OBSERVED(obs_02_containers_show_what_they_hold), OBSERVED(obs_03_wide_objects_are_seen_in_parts),
           OBSERVED(obs_04_what_is_half_made_is_not_traced), OBSERVED(obs_04_many_objects), OBSERVED(obs_05_the_path_of_a_leak),
           OBSERVED(obs_06_other_threads_go_on), OBSERVED(obs_07_errors), OBSERVED(obs_08_only_while_it_is_on),
           OBSERVED(obs_09_in_the_child_of_a_fork))
