/* SPDX-License-Identifier: MIT
 *
 * test_explain.c - objects in words, and reports of what is left: each state is made, and the words for it must come
 */
#define _GNU_SOURCE /* pthread_setname_np */
#include "observe_common.h"

#include <signal.h>

#include <wane/collector.h>
#include <wane/containers.h>
#include <wane/weakmap.h>

static void
explained(const void *object, const char *const *words)
{
    struct report r = report_open();

    assert_int_equal(wane_explain(object, r.fd), 0);
    assert_report_says(&r, words);
    report_close(&r);
}

static void *
retain_there(void *object)
{
    wane_retain(object);
    return NULL;
}

static void *
release_there(void *object)
{
    wane_release(object);
    return NULL;
}

static void
obs_20_states_in_words(void **state)
{
    struct node *n = node_new(), *holder = node_new();
    char         place[64];
    void        *weak;

    (void)state;
    snprintf(place, sizeof place, "    node @%p+", (void *)holder);
    explained(n, (const char *[]){"of type 'node'", "units: 1 = 1 counted by its owner + 0", "biased to record",
                                  "outside of a section", "held by 0 slots", "1 time from outside", NULL});
    wane_set(&holder->a, n);
    wane_set(&holder->c, n);
    wane_put(&holder->b, acyclic_new());
    wane_enter();
    wane_set(&((struct node *)wane_peek(&holder->b))->a, n);
    wane_leave();
    explained(n, (const char *[]){"units: 4 = 4", "held by 3 slots", "1 time from outside", place, place, "    acyclic @", NULL});
    wane_clear(&holder->b);
    (void)wane_barrier();
    explained(n, (const char *[]){"units: 3 = 3", "held by 2 slots", "1 time from outside", place, place, NULL});
    join(spawn(retain_there, n));
    explained(n, (const char *[]){"units: 4 = 3 counted by its owner + 1 in the shared word", NULL});
    join(spawn(release_there, n));
    weak = wane_weak(n);
    explained(n, (const char *[]){"has a weak reference", NULL});
    explained(weak, (const char *[]){"of type 'wane.weak'", "held by 1 slot", "(its weak reference)\n", NULL});
    wane_release(weak);
    wane_release(n);
    explained(holder, (const char *[]){"held by 0 slots", NULL});
    wane_release(holder);
}

static void
obs_21_rarer_states(void **state)
{
    struct node *n = node_new(), *holder = node_new();

    (void)state;
    assert_int_equal(wane_give(n), 0);
    explained(n, (const char *[]){"on its way from one thread to another", NULL});
    n = wane_adopt(n);
    assert_int_equal(wane_share(n), 0);
    WANE_SECTION
        wane_retain(n);
    explained(n, (const char *[]){"units: 2 = ", "on records", "shared: threads count it", NULL});
    wane_release(n);
    assert_int_equal(wane_unshare(n), 0);
    wane_barrier();
    wane_put(&holder->a, n);
    wane_set(&n->a, holder);
    assert_int_equal(collect_patiently(WANE_ALL, NULL), 0);
    explained(holder, (const char *[]){"age ", "held by 1 slot of", "1 time from outside", "    node @", NULL});
    assert_int_equal(wane_freeze(), 0);
    explained(holder, (const char *[]){"frozen: collections leave it out", NULL});
    wane_release(node_new());
    assert_int_equal(wane_unfreeze(), 0);
    wane_release(holder);
}

static void
obs_21_candidates(void **state)
{
    struct node *n = node_new();

    (void)state;
    WANE_SECTION
    {
        wane_retain(n);
        wane_release(n);
    }
    explained(n, (const char *[]){"units: 1", "a candidate: noted by its owner", NULL});
    wane_release(n);
}

/* What holds it: too many to name them all, an element, and by way of a weak map. */
static void
obs_21_kinds_of_holders(void **state)
{
    struct wide         *w = wide_new(40);
    struct wane_vec     *vec = wane_vec_new();
    struct wane_weakmap *map = wane_weakmap_new();
    struct node         *n = node_new(), *key = node_new();

    (void)state;
    for (size_t i = 0; i < w->count; i++)
        wane_set(&w->slot[i], n);
    wane_retain(w);
    wane_release(w); /* others may come to it from here on: its callback is called */
    explained(n, (const char *[]){"held by 40 slots", "    .. and 8 more\n", NULL});
    wane_release(w);
    expect_disposed(1);
    wane_barrier();
    assert_int_equal(wane_vec_push(vec, wane_retain(n)), 0);
    assert_int_equal(wane_weakmap_set(map, key, n), 0);
    explained(n, (const char *[]){"held by 2 slots", "[0]\n", NULL});
    wane_release(vec);
    wane_release(map);
    wane_release(n);
    wane_release(key);
}

static int
explain_an_immortal_one(void *fd)
{
    struct node *n = node_new();

    wane_immortal(n);
    return wane_explain(n, *(int *)fd);
}

static void
obs_21_the_immortal(void **state)
{
    struct report r;
    struct child  c;

    (void)state;
    skip_where_children_have_no_memory();
    r = report_open();
    c = run_child(explain_an_immortal_one, &r.fd);
    assert_child_ok(&c);
    assert_report_says(&r, (const char *[]){"of type 'node'", "  immortal\n", NULL});
    report_close(&r);
}

/* The first of all. */
static void
obs_22_never_observed(void **state)
{
    struct node *n = node_new();

    (void)state;
    explained(n, (const char *[]){"units: 1", "its holders are not known: wane_observe is off\n", NULL});
    wane_release(n);
}

static void
obs_22_without_the_registry(void **state)
{
    struct node *n;

    (void)state;
    wane_observe(false);
    n = node_new();
    explained(n, (const char *[]){"units: 1", NULL});
    WANE_SECTION
    {
        assert_int_equal(wane_explain(n, 1), -EDEADLK);
        assert_int_equal(wane_leak_report(1), -EDEADLK);
    }
    assert_int_equal(wane_explain(n, -1), -EBADF);
    wane_release(n);
}

/* ---- Sections that do not end ------------------------------------------------------------------------------------------- */

static struct pipe_wait blocked;
static atomic_long      inside;

static void *
stay_inside(void *unused)
{
    assert_int_equal(pthread_setname_np(pthread_self(), "sits-inside"), 0);
    wane_enter();
    atomic_store(&inside, 1);
    pipe_block(&blocked);
    wane_leave();
    return unused;
}

static void
obs_23_who_holds_grace_periods_up(void **state)
{
    struct node      *n = node_new(), *other = node_new();
    pthread_t         thread;
    struct report     json = report_open();
    struct wane_stats s;
    uint64_t          end = now_ms() + WATCHDOG_MS;

    (void)state;
    pipe_open(&blocked);
    thread = spawn(stay_inside, NULL);
    assert_true(wait_count(&inside, 1));
    wane_set(&other->a, n);
    wane_clear(&other->a); /* waits for that section, and so the background looks at it */
    do {
        nap();
        wane_stats(&s);
    } while (!s.stalled_nanoseconds && now_ms() < end);
    assert_int_equal(wane_stats_json_write(json.fd), 0);
    assert_report_says(&json, (const char *[]){"\"stalled\":[{\"tid\":", "\"thread\":\"sits-inside\"}]", NULL});
    report_close(&json);
    explained(n, (const char *[]){"units: 2", "2 times", "displaced units that wait, of all objects: 1",
                                  "grace periods wait for thread", NULL});
    pipe_wake(&blocked);
    join(thread);
    pipe_done(&blocked);
    wane_release(n);
    wane_release(other);
}

static struct report said;
static atomic_long   reports;

#ifndef RIG_TSAN /* it keeps signals back while a thread reads from a pipe */
static bool
answered(void)
{
    char *text = report_text(&said);
    bool  has = strstr(text, "  its stack:\n");

    free(text);
    return has;
}
#endif

static void
write_it(const struct wane_stall *stall, void *unused)
{
    (void)unused;
    if (strcmp(stall->thread, "sits-inside") != 0)
        return; /* another one that is slow */
    assert_int_equal(wane_stall_write(stall, said.fd), 0);
#ifndef RIG_TSAN
    for (uint64_t end = now_ms() + WATCHDOG_MS; !answered() && now_ms() < end;)
        assert_int_equal(wane_stall_write(stall, said.fd), 0); /* it did not run for a second */
#endif
    atomic_fetch_add(&reports, 1);
}

/* Who sits in a section, what waits for it, in which call it is, and its own stack, of the frames of this program too. */
static void
obs_25_where_a_stalled_thread_is(void **state)
{
    struct node *other = node_new();
    pthread_t    thread;

    (void)state;
    said = report_open();
    atomic_store(&reports, 0);
    atomic_store(&inside, 0);
    signal(SIGUSR2, SIG_IGN);
    assert_int_equal(wane_stall_signal(SIGUSR2), -EBUSY);
    assert_int_equal(wane_stall_signal(4711), -EINVAL);
    assert_int_equal(wane_stall_signal(SIGKILL), -EINVAL);
    assert_int_equal(wane_stall_signal(SIGRTMIN + 3), 0);
    assert_int_equal(wane_on_stall(1, write_it, NULL), 0);
    pipe_open(&blocked);
    thread = spawn(stay_inside, NULL);
    assert_true(wait_count(&inside, 1));
    wane_put(&other->a, leaf_new());
    wane_clear(&other->a);
    assert_true(wait_count(&reports, 1));
    pipe_wake(&blocked);
    join(thread);
    pipe_done(&blocked);
    assert_int_equal(wane_on_stall(0, NULL, NULL), 0);
    assert_int_equal(wane_stall_signal(0), 0);
    assert_report_says(&said, (const char *[]){"thread ", " (sits-inside) has been in a section for ", " units and ",
                                               " bytes wait\n", NULL});
#ifndef RIG_TSAN
    assert_report_says(&said, (const char *[]){" bytes wait\n", "  its stack:\n", "test_explain(", NULL});
#endif
    report_close(&said);
    wane_release(other);
}

/* ---- Leaks -------------------------------------------------------------------------------------------------------------- */

static void
obs_24_leaks_have_paths(void **state)
{
    static const char *const names[] = {"left", "middle", "right"};
    struct node             *root = node_new(), *n = node_new();
    struct report            r = report_open();

    (void)state;
    assert_int_equal(wane_slot_names(&node_type, names), 0);
    wane_put(&root->b, n);
    wane_put(&n->c, leaf_new());
    wane_barrier();
    assert_int_equal(wane_leak_report(r.fd), 0);
    assert_report_says(&r, (const char *[]){"3 objects alive\n", "2 of type 'node'", "held from outside -> node",
                                            "1 of type 'leaf'",
                                            "held from outside -> node.middle -> node.right -> leaf\n", NULL});
    report_close(&r);
    r = report_open();
    wane_release(root);
    wane_barrier();
    assert_int_equal(wane_leak_report(r.fd), 0);
    assert_report_says(&r, (const char *[]){"0 objects alive\n", NULL});
    assert_int_equal(wane_slot_names(&node_type, NULL), 0);
    report_close(&r);
}

/* Garbage that no collection has come to yet is alive, and nothing leads to it. */
static void
obs_24_garbage_has_no_path(void **state)
{
    struct report r = report_open();
    bool          was = wane_set_automatic(false);

    (void)state;
    wane_release(ring_of(&node_type, 3, NULL));
    assert_int_equal(wane_leak_report(r.fd), 0);
    assert_report_says(&r, (const char *[]){"3 of type 'node'", "no path was found: a cycle that is not collected yet", NULL});
    report_close(&r);
    wane_set_automatic(was);
    expect_disposed(3);
}

SCENE_MAIN(SCENE(obs_22_never_observed), OBSERVED(obs_20_states_in_words), OBSERVED(obs_21_rarer_states),
           OBSERVED(obs_21_candidates), OBSERVED(obs_21_kinds_of_holders), OBSERVED(obs_21_the_immortal),
           OBSERVED(obs_22_without_the_registry), OBSERVED(obs_23_who_holds_grace_periods_up),
           OBSERVED(obs_24_leaks_have_paths), OBSERVED(obs_24_garbage_has_no_path),
           OBSERVED(obs_25_where_a_stalled_thread_is))
