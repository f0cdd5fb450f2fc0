/* SPDX-License-Identifier: MIT
 *
 * race_settle.c - what others do while garbage is finalized and destroyed, and who looks at objects meanwhile
 */
#include "race_common.h"

#include <errno.h>
#include <time.h>

#include "count.h"
#include "final.h"
#include "record.h"
#include "stall.h"
#include "unit.h"

#define MEMBERS 4

static struct {
    struct actor    m1, m2;
    struct node    *n[MEMBERS];
    int             finalized[MEMBERS];
    void          (*in_finalizer)(int which);
    wane_slot       root;
    int             ended;
    void           *got, *weak;
    int64_t         seen[4];
    int             looks;
    bool            cancelled[2];
    pthread_mutex_t user_lock;
    struct gate     may_go;
} w;

static void (*wake_finalizer)(void);

static void
not_now(void)
{
}

static int
setup(void **state)
{
    (void)state;
    memset(&w, 0, sizeof w);
    pthread_mutex_init(&w.user_lock, NULL);
    pthread_mutex_init(&w.may_go.lock, NULL);
    pthread_cond_init(&w.may_go.changed, NULL);
    schedule_begin();
    wake_finalizer = wn_wake_finalizer;
    wn_wake_finalizer = not_now;
    actor_start(&w.m1);
    actor_start(&w.m2);
    return 0;
}

static int
teardown(void **state)
{
    (void)state;
    off_steps();
    wn_wake_finalizer = wake_finalizer;
    actor_stop(&w.m1);
    actor_stop(&w.m2);
    return wane_shutdown();
}

static uint64_t
word1(const void *object)
{
    return load_relaxed(&WANE_HEADER(object)->word1);
}

static void
finalize(void *object)
{
    for (int i = 0; i < MEMBERS; i++)
        if (w.n[i] == object) {
            w.finalized[i]++;
            if (w.in_finalizer)
                w.in_finalizer(i);
        }
}

static struct wane_type final_type = {"finalizable", sizeof(struct node), node_slots, 3, 0, node_dispose, finalize, 0, {0}};

static void
make(struct wane_type *type, int from, int count)
{
    for (int i = from; i < from + count; i++) {
        w.n[i] = wane_new(type);
        w.n[i]->canary = CANARY;
        w.n[i]->ended = &w.ended;
    }
}

/* n[0] -> .. -> n[count - 1] -> n[0], held by nobody. */
static void
make_ring(struct wane_type *type, int count)
{
    make(type, 0, count);
    for (int i = 0; i < count; i++)
        wane_put(&w.n[i]->s[0], w.n[(i + 1) % count]);
}

/* ---- Finalizers that publish ----------------------------------------------------------------------------------------- */

/* R -> b -> c -> d, each borrowed from the one before; d is kept. */
static void
grab_d(void *unused)
{
    struct node *b, *c, *d;

    (void)unused;
    wane_enter();
    b = wane_peek(&w.root);
    c = wane_peek(&b->s[0]);
    d = wane_peek(&c->s[1]);
    w.seen[0] = b->canary == CANARY && c->canary == CANARY && d->canary == CANARY;
    w.got = wane_retain(d);
    wane_leave();
    wane_clear(&w.root);
}

static void
publish_b(int which)
{
    if (which != 0)
        return;
    wane_set(&w.root, w.n[1]);
    act(&w.m1, grab_d, NULL);
}

/* RACE-34: a finalizer publishes its ring; a reader walks it and keeps what hangs from it. That survives, alone. */
static void
race_34_published_and_grabbed_at_once(void **state)
{
    (void)state;
    w.in_finalizer = publish_b;
    make_ring(&final_type, 3);
    make(&final_type, 3, 1);
    wane_put(&w.n[2]->s[1], w.n[3]);
    assert_int_equal(collect(), 0);
    assert_int_equal(wane_run_finalizers(), 4);
    assert_int_equal(w.seen[0], 1);
    assert_ptr_equal(w.got, w.n[3]);
    assert_int_equal(ended(&w.ended), 0);
    assert_int_equal(collect(), 3);
    assert_int_equal(ended(&w.ended), 3);
    assert_true(w.n[3]->canary == CANARY);
    assert_int_equal(wn_count(word1(w.n[3])), 1);
    wane_release(w.got);
    assert_int_equal(wane_run_finalizers(), 0);
    assert_int_equal(wane_barrier(), 0);
    assert_int_equal(ended(&w.ended), 4);
    for (int i = 0; i < MEMBERS; i++)
        assert_int_equal(w.finalized[i], 1);
}

static void
clear_root(void *unused)
{
    (void)unused;
    wane_clear(&w.root);
}

/* The first one resurrects its object, the second one sees it dropped again. */
static void
publish_then_drop(int which)
{
    if (++w.looks == 1)
        wane_set(&w.root, w.n[which]);
    else
        act(&w.m1, clear_root, NULL);
}

/* RACE-35: resurrected, and dropped again before all finalizers of the ring have run: found again, with no second call. */
static void
race_35_resurrected_and_dropped_again(void **state)
{
    (void)state;
    w.in_finalizer = publish_then_drop;
    make_ring(&final_type, 2);
    assert_int_equal(collect(), 0);
    assert_int_equal(wane_run_finalizers(), 2);
    assert_int_equal(w.looks, 2);
    assert_int_equal(ended(&w.ended), 0);
    assert_int_equal(collect(), 2);
    assert_int_equal(wane_run_finalizers(), 0);
    assert_int_equal(ended(&w.ended), 2);
}

/* ---- A neighbour of what is destroyed -------------------------------------------------------------------------------- */

static void
tend(void *unused)
{
    (void)unused;
    wane_enter();
    fetch_or_relaxed(&wn_standing()->pub.attention, WN_ATTEND);
    wane_leave();
}

static void
set_root(void *unused)
{
    (void)unused;
    wane_set(&w.root, w.n[2]);
}

static void
clear_and_tend(void *unused)
{
    clear_root(unused);
    tend(unused);
}

static void
m1_clears(void *unused)
{
    (void)unused;
    act(&w.m1, clear_and_tend, NULL);
}

static int64_t
units_of(const void *object)
{
    uint64_t w0 = load_relaxed(&WANE_HEADER(object)->word0), w1 = word1(object);

    return wn_count(w1) + ((w1 & WN_MERGED) ? 0 : (int64_t)wn_local(w0));
}

static void
m1_applies(void *unused)
{
    (void)unused;
    w.seen[0] = units_of(w.n[2]);
    act(&w.m1, tend, NULL);
    w.seen[1] = units_of(w.n[2]);
}

/* Rings {0, 1} and {2, 3}; 1 holds 2, and so does the root, until M1 clears it: that unit waits in its log. */
static void
drained_at(const char *step, int left)
{
    make_ring(&node_type, 2);
    make(&node_type, 2, 2);
    wane_put(&w.n[2]->s[0], w.n[3]);
    wane_set(&w.n[3]->s[0], w.n[2]);
    act(&w.m1, set_root, NULL);
    wane_put(&w.n[1]->s[1], w.n[2]);
    on_step("review:w1", m1_clears, NULL);
    on_step(step, m1_applies, NULL);
    assert_int_equal(collect(), 4);
    assert_int_equal(ended(&w.ended), 4);
    assert_int_equal(w.seen[0], left + 1);
    assert_int_equal(w.seen[1], left); /* it was applied just then */
}

/* RACE-38: a logged unit of the second ring is given back before the first one's unit of it goes, and after that. */
static void
race_38_drained_before_the_first_ring_lets_go(void **state)
{
    (void)state;
    drained_at("destroy:disposed", 2);
}

static void
race_38_drained_after_the_first_ring_let_go(void **state)
{
    (void)state;
    drained_at("destroy:end", 1);
}

/* ---- Two candidate events at once ------------------------------------------------------------------------------------ */

static void
make_and_share(void *unused)
{
    (void)unused;
    wane_enter();
    make(&node_type, 0, 1);
    wane_set(&w.n[0]->s[0], w.n[0]);
    wane_retain(w.n[0]);
    wane_leave();
}

static void
retain_it(void *unused)
{
    (void)unused;
    wane_retain(w.n[0]);
}

static void
release_it(void *unused)
{
    (void)unused;
    wane_release(w.n[0]);
}

static void
m1_releases(void *unused)
{
    (void)unused;
    act(&w.m1, release_it, NULL);
}

static void
m2_releases(void *unused)
{
    (void)unused;
    act(&w.m2, release_it, NULL);
}

static void
one_death(void)
{
    struct wane_collected c;

    assert_int_equal(wane_collect(WANE_ALL, &c), 0);
    assert_int_equal(c.candidates, 1);
    assert_int_equal(c.examined, 1);
    assert_int_equal(c.freed, 1);
    assert_int_equal(ended(&w.ended), 1);
}

/* RACE-40: two strangers' releases at once: the second one sees the mark, and makes no entry. */
static void
race_40_two_strangers_note_it_once(void **state)
{
    uint64_t before, after;

    (void)state;
    act(&w.m1, make_and_share, NULL);
    wane_retain(w.n[0]);
    act(&w.m2, retain_it, NULL);
    act(&w.m1, release_it, NULL);
    assert_int_equal(collect(), 0); /* M1's own entry is taken */
    wane_enter();
    before = load_relaxed(&wn_standing()->candidate_count);
    on_step("release:before-cas", m2_releases, NULL);
    wane_release(w.n[0]);
    after = load_relaxed(&wn_standing()->candidate_count);
    wane_leave();
    assert_int_equal(steps_seen("release:before-cas"), 2); /* the first CAS failed */
    assert_int_equal(after, before);
    assert_true(word1(w.n[0]) & WN_BUFFERED);
    act(&w.m1, release_it, NULL);
    one_death();
}

/* The owner and a stranger: two marks, an entry for each, one death. */
static void
race_40_owner_and_stranger_note_it_twice(void **state)
{
    (void)state;
    act(&w.m1, make_and_share, NULL);
    wane_retain(w.n[0]);
    on_step("release:before-cas", m1_releases, NULL);
    wane_release(w.n[0]);
    assert_int_equal(steps_seen("release:before-cas"), 1);
    assert_true(word1(w.n[0]) & WN_BUFFERED);
    assert_true(load_relaxed(&WANE_HEADER(w.n[0])->word0) & WANE_QUIET);
    act(&w.m1, release_it, NULL);
    one_death();
}

/* ---- Who looks ------------------------------------------------------------------------------------------------------- */

static void
find_nodes(const char *name, int64_t objects, int64_t bytes, void *sum)
{
    if (strcmp(name, node_type.name) == 0)
        *(int64_t *)sum = bytes == objects * (int64_t)sizeof(struct node) ? objects : -1;
}

static void
census(void *unused)
{
    struct wane_stats s;
    int64_t           nodes = -2;

    (void)unused;
    wane_type_stats(find_nodes, &nodes);
    wane_stats(&s);
    w.looks++;
    w.seen[0] += nodes == 3 && s.objects_born - s.objects_died >= 3;
    w.seen[1] += nodes == 1;
    w.seen[2] += wane_type_of(w.n[3]) == &node_type && wane_size_of(w.n[3]) == sizeof(struct node);
}

static void
m1_looks(void *unused)
{
    (void)unused;
    act(&w.m1, census, NULL);
}

/* RACE-41: statistics, and the type of what is held, at the steps of a scan and of the destruction: numbers, no objects. */
static void
race_41_census_during_a_collection(void **state)
{
    static const char *const steps[] = {"suspect:begin", "suspect:explored", "review:marked", "review:e1",
                                        "review:w2",     "destroy:begin",    "destroy:disposed", "collect:settled"};

    (void)state;
    make_ring(&node_type, 2);
    make(&node_type, 3, 1);
    wane_set(&w.n[0]->s[1], w.n[3]);
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++)
        on_step(steps[i], m1_looks, NULL);
    assert_int_equal(collect(), 2);
    assert_int_equal(w.looks, 8);
    assert_int_equal(w.seen[0], 7);
    assert_int_equal(w.seen[1], 1);
    assert_int_equal(w.seen[2], 8);
    wane_release(w.n[3]);
}

/* ---- Callbacks that change ------------------------------------------------------------------------------------------- */

static void
count_call(void *weak, void *times)
{
    (void)weak;
    ++*(int64_t *)times;
}

static void
cancel_both(void *unused)
{
    (void)unused;
    for (int i = 0; i < 2; i++)
        w.cancelled[i] = wane_weak_unnotify(w.weak, count_call, &w.seen[i]);
    w.seen[3] = wane_weak_notify(w.weak, count_call, &w.seen[2]);
}

static void
m1_cancels(void *unused)
{
    (void)unused;
    act(&w.m1, cancel_both, NULL);
}

/* RACE-42: all callbacks of a dead ring are cancelled as the collector is about to call the first: none is called. */
static void
race_42_callbacks_cancelled_before_their_turn(void **state)
{
    (void)state;
    make_ring(&node_type, 2);
    w.weak = wane_weak(w.n[0]);
    for (int i = 0; i < 2; i++)
        assert_int_equal(wane_weak_notify(w.weak, count_call, &w.seen[i]), 0);
    on_step("notify:before-run", m1_cancels, NULL);
    assert_int_equal(collect(), 2);
    assert_true(steps_seen("notify:before-run") > 0);
    assert_true(w.cancelled[0] && w.cancelled[1]);
    assert_int_equal(w.seen[0] + w.seen[1] + w.seen[2], 0);
    assert_int_equal(w.seen[3], -ESRCH);
    wane_release(w.weak);
}

static void
enter_until_told(void *unused)
{
    (void)unused;
    wane_enter();
    (void)gate_wait(&w.may_go, 10000);
    wane_leave();
}

static void
on_stall(const struct wane_stall *stall, void *times)
{
    (void)stall;
    ++*(int64_t *)times;
}

static void
replace_and_free(void *unused)
{
    (void)unused;
    w.seen[3] = wane_on_stall(1, on_stall, &w.seen[1]);
    gate_open(&w.may_go); /* the section ends: what was replaced is freed */
    act_wait(&w.m1);
    w.seen[3] |= wane_barrier();
}

static void
m2_replaces(void *unused)
{
    (void)unused;
    act(&w.m2, replace_and_free, NULL);
}

/* Who is told of stalls is replaced, and the former entry freed, when a report is due: that goes to the former one, whole. */
static void
race_42_listener_replaced_before_its_call(void **state)
{
    (void)state;
    assert_int_equal(wane_on_stall(1, on_stall, &w.seen[0]), 0);
    act_begin(&w.m1, enter_until_told, NULL);
    on_step("stall:found", m2_replaces, NULL);
    for (int i = 0; i < 1000 && !steps_seen("stall:found"); i++) {
        wn_stall_look();
        nanosleep(&(struct timespec){0, 2000000}, NULL);
    }
    assert_true(steps_seen("stall:found") > 0);
    assert_int_equal(w.seen[3], 0);
    assert_int_equal(w.seen[0], 1);
    assert_int_equal(w.seen[1], 0);
    assert_int_equal(wane_on_stall(0, NULL, NULL), 0);
}

/* ---- Calls from the wrong place -------------------------------------------------------------------------------------- */

static void
dispose_collects(void *object)
{
    node_dispose(object);
    w.seen[0] = wane_collect(WANE_ALL, NULL);
    w.seen[1] = wane_barrier();
    w.seen[2] = wane_step(0);
}

static struct wane_type collecting_type = {"collecting", sizeof(struct node), node_slots, 3, 0, dispose_collects, 0, 0, {0}};

/* RACE-44: collecting inside a section, and in callbacks that run in one, is refused at once. */
static void
race_44_collected_inside_a_section(void **state)
{
    (void)state;
    wane_enter();
    assert_int_equal(wane_collect(WANE_ALL, NULL), -EDEADLK);
    assert_int_equal(wane_barrier(), -EDEADLK);
    assert_int_equal(wane_step(0), -EDEADLK);
    assert_int_equal(wane_shutdown(), -EDEADLK);
    wane_leave();
    make_ring(&collecting_type, 2);
    assert_int_equal(collect(), 2);
    for (int i = 0; i < 3; i++)
        assert_int_equal(w.seen[i], -EDEADLK);
}

static void
lock_and_go_on(int which)
{
    (void)which;
    pthread_mutex_lock(&w.user_lock);
    __atomic_fetch_add(&w.looks, 1, __ATOMIC_RELAXED);
    pthread_mutex_unlock(&w.user_lock);
}

/* The caller holds a lock that the finalizers need: they wait for it, on a thread of their own, and the call returns. */
static void
race_44_collected_under_a_lock_of_the_finalizer(void **state)
{
    (void)state;
    wn_wake_finalizer = wake_finalizer;
    w.in_finalizer = lock_and_go_on;
    make_ring(&final_type, 2);
    pthread_mutex_lock(&w.user_lock);
    for (int i = 0; i < 3; i++)
        assert_int_equal(collect(), 0);
    assert_int_equal(wane_barrier(), 0);
    assert_int_equal(ended(&w.looks), 0);
    pthread_mutex_unlock(&w.user_lock);
    while (wn_final_pending())
        nanosleep(&(struct timespec){0, 1000000}, NULL);
    assert_int_equal(ended(&w.looks), 2);
    assert_int_equal(collect(), 2);
}

int
main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(race_34_published_and_grabbed_at_once),
        T(race_35_resurrected_and_dropped_again),
        T(race_38_drained_before_the_first_ring_lets_go),
        T(race_38_drained_after_the_first_ring_let_go),
        T(race_40_two_strangers_note_it_once),
        T(race_40_owner_and_stranger_note_it_twice),
        T(race_41_census_during_a_collection),
        T(race_42_callbacks_cancelled_before_their_turn),
        T(race_42_listener_replaced_before_its_call),
        T(race_44_collected_inside_a_section),
        T(race_44_collected_under_a_lock_of_the_finalizer),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
