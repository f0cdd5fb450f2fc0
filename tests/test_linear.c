/* SPDX-License-Identifier: MIT
 *
 * test_linear.c - the checker of histories judged by known ones; then slots and weak references under it
 */
#include "linear_trial.h"

/* ---- The checker alone: a register -------------------------------------------------------------------------------- */

enum { READ, WRITE, SWAP, CAS };
static const char *const register_kinds[] = {"read", "write", "swap", "cas"};

static bool
register_step(void *state, const struct linear_call *c)
{
    uint64_t *value = state, old = *value;

    switch (c->kind) {
    case READ:
        return c->result == old;
    case WRITE:
        *value = c->arg[0];
        return true;
    case SWAP:
        *value = c->arg[0];
        return c->result == old;
    default:
        if (old == c->arg[0])
            *value = c->arg[1];
        return c->result == (old == c->arg[0]);
    }
}

static const struct linear_model register_model = {register_kinds, sizeof(uint64_t), register_step};

struct known {
    const char           *what;
    bool                  good;
    struct linear_history history;
};

/* A call: thread, kind, arguments, result, ticks. */
static const struct known registers[] = {
    {"nothing happened", true, {0}},
    {"a read of what was never written", false, {1, {{0, READ, {0}, 7, 0, 1}}}},
    {"a read of the start", true, {1, {{0, READ, {0}, 0, 0, 1}}}},
    {"a read after a write sees it", true, {2, {{0, WRITE, {1}, 0, 0, 1}, {1, READ, {0}, 1, 2, 3}}}},
    {"a read after a write sees what was before", false, {2, {{0, WRITE, {1}, 0, 0, 1}, {1, READ, {0}, 0, 2, 3}}}},
    {"a read beside a write sees what was before", true, {2, {{0, WRITE, {1}, 0, 0, 2}, {1, READ, {0}, 0, 1, 3}}}},
    {"a read beside a write sees it", true, {2, {{0, WRITE, {1}, 0, 0, 3}, {1, READ, {0}, 1, 1, 2}}}},
    {"a read before a write sees it", false, {2, {{1, READ, {0}, 1, 0, 1}, {0, WRITE, {1}, 0, 2, 3}}}},
    {"two readers see new, then old, beside one write", false,
     {3, {{0, WRITE, {1}, 0, 0, 9}, {1, READ, {0}, 1, 1, 2}, {2, READ, {0}, 0, 3, 4}}}},
    {"two readers see old, then new, beside one write", true,
     {3, {{0, WRITE, {1}, 0, 0, 9}, {1, READ, {0}, 0, 1, 2}, {2, READ, {0}, 1, 3, 4}}}},
    {"two swaps get the same", false, {2, {{0, SWAP, {1}, 0, 0, 3}, {1, SWAP, {2}, 0, 1, 2}}}},
    {"two swaps get each other's, in a ring", false, {2, {{0, SWAP, {1}, 2, 0, 3}, {1, SWAP, {2}, 1, 1, 2}}}},
    {"a chain of swaps", true,
     {3, {{0, SWAP, {1}, 3, 0, 5}, {1, SWAP, {2}, 0, 1, 6}, {2, SWAP, {3}, 2, 2, 4}}}},
    {"two compare-and-swaps from the same succeed", false,
     {2, {{0, CAS, {0, 1}, 1, 0, 3}, {1, CAS, {0, 2}, 1, 1, 2}}}},
    {"a compare-and-swap fails with nothing in its way", false, {1, {{0, CAS, {0, 1}, 0, 0, 1}}}},
    {"there and back between the other's ticks", true,
     {4, {{0, CAS, {0, 1}, 1, 0, 9}, {1, CAS, {1, 0}, 1, 1, 8}, {1, READ, {0}, 0, 10, 11}, {0, READ, {0}, 0, 12, 13}}}},
    {"the order of one thread is kept", false,
     {4, {{0, WRITE, {1}, 0, 0, 1}, {0, WRITE, {2}, 0, 2, 3}, {1, READ, {0}, 2, 4, 5}, {1, READ, {0}, 1, 6, 7}}}},
};

static void
checker_knows_registers(void **state)
{
    uint64_t start = 0;

    (void)state;
    for (size_t i = 0; i < sizeof registers / sizeof registers[0]; i++)
        if (linear_check(&registers[i].history, &register_model, &start) != registers[i].good) {
            linear_print(stderr, &registers[i].history, &register_model);
            fail_msg("'%s' was judged %s", registers[i].what, registers[i].good ? "bad" : "good");
        }
}

/* Twelve calls, all at the same time, that can be placed in one order only; then with the last link missing. */
static void
checker_searches_to_the_end(void **state)
{
    struct linear_history h = {.count = LINEAR_CALLS};
    uint64_t              start = LINEAR_CALLS;

    (void)state;
    for (unsigned i = 0; i < LINEAR_CALLS; i++)
        h.call[i] = (struct linear_call){(int)i % 3, SWAP, {i}, i + 1, i, 100 + i};
    assert_true(linear_check(&h, &register_model, &start));
    assert_int_equal(linear_overlaps(&h), LINEAR_CALLS * (LINEAR_CALLS - 1) / 2);
    h.call[0].result = 5;
    assert_false(linear_check(&h, &register_model, &start));
}

/* ---- One slot ------------------------------------------------------------------------------------------------------ */

static wane_slot cell;

static void
cell_prepare(void *start)
{
    wane_set(&cell, item[1]);
    *(uint64_t *)start = 1;
}

/* From and to a few values, nothing among them, so that compare-and-swaps succeed and fail. */
static bool
cell_choose(struct linear_call *c, uint64_t random)
{
    c->kind = (int)(random % 4);
    c->arg[0] = random / 4 % 3;
    c->arg[1] = random / 12 % 3;
    return true;
}

static void
cell_perform(struct linear_call *c)
{
    switch (c->kind) {
    case READ:
        c->result = item_number(wane_get(&cell));
        break;
    case WRITE:
        if (c->arg[0])
            wane_set(&cell, item[c->arg[0]]);
        else
            wane_clear(&cell);
        break;
    case SWAP:
        c->result = item_number(c->arg[0] ? wane_swap(&cell, wane_retain(item[c->arg[0]])) : wane_take(&cell));
        break;
    default:
        c->result = wane_cas(&cell, item[c->arg[0]], item[c->arg[1]]);
    }
}

static void
cell_settle(void)
{
}

static void
slot_is_a_register(void **state)
{
    static struct trial t = {.model = &register_model,
                             .prepare = cell_prepare,
                             .choose = cell_choose,
                             .perform = cell_perform,
                             .settle = cell_settle,
                             .rounds = SCALED(4000)};

    (void)state;
    items_begin();
    trial_passes(&t);
    wane_clear(&cell);
    items_end();
}

/* The same with an exchange that is a get and a set: the trial has to find it out. */
static void
torn_perform(struct linear_call *c)
{
    if (c->kind != SWAP) {
        cell_perform(c);
        return;
    }
    c->result = item_number(wane_get(&cell));
    sched_yield();
    wane_set(&cell, item[c->arg[0]]);
}

static void
trial_finds_a_torn_exchange(void **state)
{
    static struct trial t = {.model = &register_model,
                             .prepare = cell_prepare,
                             .choose = cell_choose,
                             .perform = torn_perform,
                             .settle = cell_settle,
                             .rounds = 10000};

    (void)state;
    items_begin();
    trial_run(&t, 3);
    assert_true(t.rejected >= 3);
    wane_clear(&cell);
    items_end();
}

/* ---- Upgrades against the last release ----------------------------------------------------------------------------- */

enum { UPGRADE, RELEASE };
static const char *const weak_kinds[] = {"upgrade", "release"};

/* Units that threads own, and: has anybody got NULL? Until then upgrades may succeed, with or without units: how long a
 * release takes to kill is the runtime's affair. NULL says that there is no unit, and never will be. */
struct weak_state {
    uint64_t units, dead;
};

static bool
weak_step(void *state, const struct linear_call *c)
{
    struct weak_state *s = state;

    if (c->kind == RELEASE)
        return s->units-- > 0;
    if (c->result) {
        s->units++;
        return !s->dead;
    }
    s->dead = 1;
    return s->units == 0;
}

static const struct linear_model weak_model = {weak_kinds, sizeof(struct weak_state), weak_step};

static const struct known weaks[] = {
    {"dead after the last release", true, {2, {{0, RELEASE, {0}, 0, 0, 1}, {1, UPGRADE, {0}, 0, 2, 3}}}},
    {"dead with a unit left", false, {1, {{1, UPGRADE, {0}, 0, 2, 3}}}},
    {"NULL is final", false,
     {3, {{0, RELEASE, {0}, 0, 0, 1}, {1, UPGRADE, {0}, 0, 2, 3}, {2, UPGRADE, {0}, 1, 4, 5}}}},
    {"NULL although another one got it, and kept it", false,
     {3, {{0, RELEASE, {0}, 0, 0, 9}, {1, UPGRADE, {0}, 1, 1, 2}, {2, UPGRADE, {0}, 0, 3, 4}}}},
    {"NULL after another one got it, and dropped it", true,
     {4, {{0, RELEASE, {0}, 0, 0, 9}, {1, UPGRADE, {0}, 1, 1, 2}, {1, RELEASE, {0}, 0, 3, 6}, {2, UPGRADE, {0}, 0, 4, 5}}}},
};

static void
checker_knows_weak_references(void **state)
{
    struct weak_state start = {1, 0};

    (void)state;
    for (size_t i = 0; i < sizeof weaks / sizeof weaks[0]; i++)
        if (linear_check(&weaks[i].history, &weak_model, &start) != weaks[i].good)
            fail_msg("'%s' was judged %s", weaks[i].what, weaks[i].good ? "bad" : "good");
}

static struct {
    void        *weak;
    struct item *held[TRIAL_THREADS]; /* each thread's own */
    atomic_long  gone, got;
} lookout;

/* One or two threads hold it. */
static void
lookout_prepare(void *start)
{
    static unsigned    round;
    struct weak_state *s = start;
    struct item       *n = wane_new(&item_type);

    if (!n)
        die("no memory for an item");
    n->number = 1;
    lookout.weak = wane_weak(n);
    s->units = 1 + round % 2;
    for (unsigned i = 1; i < s->units; i++)
        lookout.held[(round + i) % TRIAL_THREADS] = wane_retain(n);
    lookout.held[round % TRIAL_THREADS] = n;
    round++;
}

static bool
lookout_choose(struct linear_call *c, uint64_t random)
{
    c->kind = lookout.held[c->thread] && random % 4 ? RELEASE : UPGRADE;
    return c->kind == RELEASE || !lookout.held[c->thread];
}

static void
lookout_perform(struct linear_call *c)
{
    struct item *n = lookout.held[c->thread];

    if (c->kind == RELEASE) {
        wane_release(n);
        n = NULL;
    } else {
        n = wane_weak_get(lookout.weak);
        c->result = n != NULL;
        atomic_fetch_add(n ? &lookout.got : &lookout.gone, 1);
    }
    lookout.held[c->thread] = n;
}

static void
lookout_settle(void)
{
    for (int i = 0; i < TRIAL_THREADS; i++) {
        wane_release(lookout.held[i]);
        lookout.held[i] = NULL;
    }
    wane_release(lookout.weak);
}

static void
upgrades_against_the_last_release(void **state)
{
    static struct trial t = {.model = &weak_model,
                             .prepare = lookout_prepare,
                             .choose = lookout_choose,
                             .perform = lookout_perform,
                             .settle = lookout_settle,
                             .rounds = SCALED(4000)};

    (void)state;
    trial_passes(&t);
    assert_true(atomic_load(&lookout.gone) > t.rounds / 20);
    assert_true(atomic_load(&lookout.got) > t.rounds / 20);
}

SCENE_MAIN(SCENE(checker_knows_registers), SCENE(checker_searches_to_the_end), SCENE(checker_knows_weak_references),
           SCENE(slot_is_a_register), SCENE(trial_finds_a_torn_exchange), SCENE(upgrades_against_the_last_release))
