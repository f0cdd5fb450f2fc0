/* SPDX-License-Identifier: MIT
 *
 * litmus.c - what the design takes for granted of liburcu's hash table, of ck's event counts, and of grace periods under both
 *
 * With another version of either library these say whether what docs/design.md rests on is still so. The table is used
 * directly, with a flavour that counts what liburcu calls; and through urcu_glue.c, with our own.
 */
#include <urcu/flavor.h>
#include <urcu/rculfhash.h>

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "ck_glue.h"
#include "grace.h"
#include "table.h"

#if defined(__has_feature)
#if __has_feature(thread_sanitizer) || __has_feature(address_sanitizer)
#define MAY_FORK false /* sanitizers cannot bear it beside other threads */
#endif
#endif
#ifndef MAY_FORK
#define MAY_FORK true
#endif

/* ---- The table, with a flavour that counts --------------------------------------------------------------------------- */

static struct {
    atomic_int lock, unlock, synchronize, call, offline, online, register_thread, unregister_thread, atfork;
} calls;

static void count_lock(void) { atomic_fetch_add(&calls.lock, 1); }
static void count_unlock(void) { atomic_fetch_add(&calls.unlock, 1); }
static int  is_ongoing(void) { return 0; }
static void quiescent(void) { }
static void count_call(struct rcu_head *h, void (*fn)(struct rcu_head *)) { (void)h; (void)fn; atomic_fetch_add(&calls.call, 1); }
static void count_synchronize(void) { atomic_fetch_add(&calls.synchronize, 1); }
static void count_defer(void (*fn)(void *), void *p) { (void)fn; (void)p; atomic_fetch_add(&calls.call, 1); }
static void count_offline(void) { atomic_fetch_add(&calls.offline, 1); }
static void count_online(void) { atomic_fetch_add(&calls.online, 1); }
static void count_register(void) { atomic_fetch_add(&calls.register_thread, 1); }
static void count_unregister(void) { atomic_fetch_add(&calls.unregister_thread, 1); }
static void count_atfork(struct urcu_atfork *a) { (void)a; atomic_fetch_add(&calls.atfork, 1); }

static const struct rcu_flavor_struct counting = {
    .read_lock = count_lock, .read_unlock = count_unlock, .read_ongoing = is_ongoing, .read_quiescent_state = quiescent,
    .update_call_rcu = count_call, .update_synchronize_rcu = count_synchronize, .update_defer_rcu = count_defer,
    .thread_offline = count_offline, .thread_online = count_online, .register_thread = count_register,
    .unregister_thread = count_unregister, .barrier = quiescent, .register_rculfhash_atfork = count_atfork,
    .unregister_rculfhash_atfork = count_atfork,
};

struct item {
    struct cds_lfht_node node;
    unsigned long        key;
};

static int
is_key(struct cds_lfht_node *node, const void *key)
{
    return ((struct item *)(void *)node)->key == *(const unsigned long *)key;
}

static struct cds_lfht *
table_new(void)
{
    struct cds_lfht *t = cds_lfht_new_flavor(1024, 1024, 0, 0, &counting, NULL);

    assert_non_null(t);
    memset(&calls, 0, sizeof calls);
    return t;
}

static struct item *
find(struct cds_lfht *t, unsigned long key)
{
    struct cds_lfht_iter it;

    cds_lfht_lookup(t, key * 7, is_key, &key, &it);
    return (struct item *)(void *)cds_lfht_iter_get_node(&it);
}

static struct item *
add(struct cds_lfht *t, struct item *item, unsigned long key)
{
    cds_lfht_node_init(&item->node);
    item->key = key;
    return (struct item *)(void *)cds_lfht_add_unique(t, key * 7, is_key, &item->key, &item->node);
}

/* A duplicate is not added: the one that is there comes back, and the other's memory is the caller's at once. */
static void
table_gives_back_duplicates(void **state)
{
    struct cds_lfht *t = table_new();
    struct item     *a = calloc(1, sizeof *a), *b = calloc(1, sizeof *b);

    (void)state;
    assert_ptr_equal(add(t, a, 1), a);
    assert_ptr_equal(add(t, b, 1), a);
    memset(b, 0xff, sizeof *b);
    free(b);
    assert_ptr_equal(find(t, 1), a);
    assert_int_equal(cds_lfht_del(t, &a->node), 0);
    assert_null(find(t, 1));
    free(a);
    assert_int_equal(cds_lfht_destroy(t, NULL), 0);
}

/* Of two removals one succeeds; what is removed is marked, is found by nobody, and makes room for another of its key. Once
 * lookups that began before are over, nothing touches it. */
static void
table_removes_once(void **state)
{
    struct cds_lfht *t = table_new();
    struct item     *a = calloc(1, sizeof *a), b, c[64];

    (void)state;
    for (unsigned i = 0; i < 64; i++)
        assert_ptr_equal(add(t, &c[i], 100 + i), &c[i]);
    assert_ptr_equal(add(t, a, 1), a);
    assert_false(cds_lfht_is_node_deleted(&a->node));
    assert_int_equal(cds_lfht_del(t, &a->node), 0);
    assert_true(cds_lfht_is_node_deleted(&a->node));
    assert_true(cds_lfht_del(t, &a->node) < 0);
    free(a);
    assert_ptr_equal(add(t, &b, 1), &b);
    for (unsigned i = 0; i < 64; i++)
        assert_ptr_equal(find(t, 100 + i), &c[i]);
    assert_int_equal(cds_lfht_destroy(t, NULL), -EPERM); /* not empty: nothing is done */
    assert_int_equal(cds_lfht_del(t, &b.node), 0);
    for (unsigned i = 0; i < 64; i++)
        assert_int_equal(cds_lfht_del(t, &c[i].node), 0);
    assert_int_equal(cds_lfht_destroy(t, NULL), 0);
}

/* Sections and grace periods are the caller's matter: lookups, additions and removals call nothing of the flavour. */
static void
table_leaves_sections_to_callers(void **state)
{
    struct cds_lfht *t = table_new();
    struct item      item[200];

    (void)state;
    for (unsigned i = 0; i < 200; i++)
        assert_ptr_equal(add(t, &item[i], i), &item[i]);
    for (unsigned i = 0; i < 200; i++)
        assert_ptr_equal(find(t, i), &item[i]);
    for (unsigned i = 0; i < 200; i++)
        assert_int_equal(cds_lfht_del(t, &item[i].node), 0);
    assert_int_equal(calls.lock + calls.unlock + calls.synchronize + calls.call + calls.register_thread, 0);
    assert_int_equal(cds_lfht_destroy(t, NULL), 0);
}

/* Growing by hand up to 8192 buckets: on this thread alone, sections balanced, nothing handed to call_rcu. */
static void
table_grows_alone(void **state)
{
    struct cds_lfht *t = table_new();
    struct item      item[200];

    (void)state;
    for (unsigned i = 0; i < 200; i++)
        assert_ptr_equal(add(t, &item[i], i), &item[i]);
    for (unsigned long size = 2048; size <= 8192; size *= 2)
        cds_lfht_resize(t, size);
    assert_int_equal(calls.register_thread + calls.call, 0);
    assert_true(calls.lock > 0 && calls.lock == calls.unlock);
    assert_int_equal(calls.offline, calls.online);
    for (unsigned i = 0; i < 200; i++) {
        assert_ptr_equal(find(t, i), &item[i]);
        assert_int_equal(cds_lfht_del(t, &item[i].node), 0);
    }
    assert_int_equal(cds_lfht_destroy(t, NULL), 0);
}

/* Larger ones may have helpers; these come and go with the call. */
static void
table_helpers_end(void **state)
{
    struct cds_lfht *t = table_new();

    (void)state;
    cds_lfht_resize(t, 65536);
    assert_int_equal(calls.register_thread, calls.unregister_thread);
    assert_int_equal(calls.lock, calls.unlock);
    assert_int_equal(calls.call, 0);
    cds_lfht_resize(t, 1024); /* shrinking frees buckets: it waits for readers, which growing need not */
    assert_true(calls.synchronize > 0);
    assert_int_equal(cds_lfht_destroy(t, NULL), 0);
}

/* ---- The table on our own sections ------------------------------------------------------------------------------------ */

#define NODES 3000

static struct wn_table_node nodes[NODES];
static uint64_t             keys[NODES * 2];
static atomic_bool          over;
static atomic_uint          rounds;

static void
add_all(void)
{
    wane_enter();
    for (int i = 0; i < NODES; i++) {
        nodes[i].key = &keys[i * 2];
        assert_ptr_equal(wn_table_add(&nodes[i]), &nodes[i]);
    }
    wane_leave();
}

static bool
all_are_there(void)
{
    bool all = true;

    wane_enter();
    for (int i = 0; i < NODES; i++)
        all &= wn_table_find(&keys[i * 2]) == &nodes[i];
    wane_leave();
    return all;
}

/* A thread that nobody has registered with liburcu; it ends without having told it. */
static void *
look(void *unused)
{
    do {
        if (!all_are_there())
            abort();
        atomic_fetch_add(&rounds, 1);
    } while (!atomic_load(&over));
    return unused;
}

static int
child_uses_the_table(void)
{
    static struct wn_table_node more;

    if (!all_are_there())
        return 1;
    wn_table_tend();
    wane_enter();
    more.key = &keys[1];
    if (wn_table_add(&more) != &more || wn_table_find(&keys[1]) != &more)
        return 2;
    wn_table_remove(&more);
    if (wn_table_find(&keys[1]))
        return 3;
    wane_leave();
    return all_are_there() ? 0 : 4;
}

/* Lookups go on while the table grows, threads come and go, and a child goes on with it. */
static void
table_on_our_sections(void **state)
{
    pthread_t t[3];

    (void)state;
    add_all();
    for (int i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&t[i], NULL, look, NULL), 0);
    while (atomic_load(&rounds) < 3)
        nanosleep(&(struct timespec){0, 1000000}, NULL);
    wn_table_tend();
    assert_true(all_are_there());
    atomic_store(&over, true);
    for (int i = 0; i < 3; i++)
        pthread_join(t[i], NULL);
    if (MAY_FORK) {
        int   status;
        pid_t pid = fork();

        if (pid == 0)
            _exit(child_uses_the_table());
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_int_equal(status, 0);
    }
    wane_enter();
    for (int i = 0; i < NODES; i++)
        wn_table_remove(&nodes[i]);
    assert_null(wn_table_find(&keys[0]));
    wane_leave();
}

/* ---- Grace periods ---------------------------------------------------------------------------------------------------- */

static pthread_barrier_t turn;

static void
both(void)
{
    (void)pthread_barrier_wait(&turn);
}

static void *
reader(void *unused)
{
    wane_enter();
    both(); /* inside: a ticket is drawn */
    both();
    wane_enter(); /* nested */
    wane_leave();
    both(); /* inside still */
    both();
    wane_leave();
    both(); /* outside: it is done */
    both();
    wane_enter(); /* begun after the ticket */
    both();
    both();
    wane_leave();
    wane_enter();
    return unused; /* ends inside */
}

static bool
comes(uint64_t ticket)
{
    for (int i = 0; i < 30000; i++) {
        if (wn_grace_poll(ticket))
            return true;
        nanosleep(&(struct timespec){0, 1000000}, NULL);
    }
    return false;
}

/* A grace period waits for sections that were open at its ticket, for the whole of them; for no later one, and for no thread
 * that is outside, or was never inside. */
static void
grace_waits_for_open_sections_only(void **state)
{
    pthread_t thread;
    uint64_t  ticket;

    (void)state;
    pthread_barrier_init(&turn, NULL, 2);
    assert_int_equal(pthread_create(&thread, NULL, reader, NULL), 0);
    both();
    ticket = wn_grace_ticket();
    assert_false(wn_grace_poll(ticket));
    both();
    both();
    assert_false(wn_grace_poll(ticket));
    both();
    both();
    assert_true(comes(ticket));
    ticket = wn_grace_ticket();
    both();
    both();
    assert_true(comes(ticket));
    both();
    pthread_join(thread, NULL);
    assert_true(comes(wn_grace_ticket())); /* the thread that ended inside holds nothing up */
    pthread_barrier_destroy(&turn);
}

/* ---- Event counts ------------------------------------------------------------------------------------------------------ */

static struct wn_event event;
static atomic_int      about, woken;

static void *
sleeper(void *unused)
{
    uint32_t value = wn_event_value(&event);

    atomic_fetch_add(&about, 1);
    wn_event_wait(&event, value, 0);
    atomic_fetch_add(&woken, 1);
    return unused;
}

/* A signal changes the value, with or without sleepers, so that a wait for the value before it returns at once. */
static void
event_is_not_missed(void **state)
{
    uint32_t before = wn_event_value(&event);

    (void)state;
    assert_int_equal(wn_event_value(&event), before);
    wn_event_signal(&event);
    assert_int_not_equal(wn_event_value(&event), before);
    wn_event_wait(&event, before, 0);
    wn_event_wait(&event, before, UINT64_C(3600000000000));
}

/* One signal wakes all who sleep; who has not slept yet does not begin to. */
static void
event_wakes_everybody(void **state)
{
    pthread_t t[4];

    (void)state;
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&t[i], NULL, sleeper, NULL), 0);
    while (atomic_load(&about) < 4)
        nanosleep(&(struct timespec){0, 1000000}, NULL);
    assert_int_equal(atomic_load(&woken), 0);
    wn_event_signal(&event);
    for (int i = 0; i < 4; i++)
        pthread_join(t[i], NULL);
    assert_int_equal(atomic_load(&woken), 4);
}

/* Without a signal a wait lasts for the time that it was given. */
static void
event_waits_for_its_time(void **state)
{
    struct timespec a, b;

    (void)state;
    clock_gettime(CLOCK_MONOTONIC, &a);
    wn_event_wait(&event, wn_event_value(&event), 20000000);
    clock_gettime(CLOCK_MONOTONIC, &b);
    assert_true((b.tv_sec - a.tv_sec) * 1000000000 + b.tv_nsec - a.tv_nsec >= 20000000);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(table_gives_back_duplicates),
        cmocka_unit_test(table_removes_once),
        cmocka_unit_test(table_leaves_sections_to_callers),
        cmocka_unit_test(table_grows_alone),
        cmocka_unit_test(table_helpers_end),
        cmocka_unit_test(table_on_our_sections),
        cmocka_unit_test(grace_waits_for_open_sections_only),
        cmocka_unit_test(event_is_not_missed),
        cmocka_unit_test(event_wakes_everybody),
        cmocka_unit_test(event_waits_for_its_time),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
