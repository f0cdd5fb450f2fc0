/* SPDX-License-Identifier: MIT
 *
 * unit_trial.c - trial deletion and the largest self-held subset as plain graph algorithms: no threads, no objects
 *
 * Oracle: reachability from the nodes that are held from outside, computed here by a different method.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "memory.h"
#include "scratch.h"
#include "subset.h"
#include "trial.h"

/* Node i of the graph under test has the address (i + 1) * 16. */
static struct {
    uint32_t  n, edges;
    uint32_t *first, *to; /* edges of i: to[first[i]] .. */
    uint32_t *outside;    /* units held from outside */
    uint32_t *in;
    uint64_t  traced; /* edges shown, for the cost */
    uint32_t  claims;
    bool      refuse_odd;
} g;

static uintptr_t
address(uint32_t i)
{
    return ((uintptr_t)i + 1) * 16;
}

static uint32_t
number(uintptr_t a)
{
    return (uint32_t)(a / 16 - 1);
}

static void
graph_begin(uint32_t n, uint32_t edges)
{
    memset(&g, 0, sizeof g);
    g.n = n;
    g.first = calloc(n + 1, sizeof *g.first);
    g.to = calloc(edges + 1, sizeof *g.to);
    g.outside = calloc(n, sizeof *g.outside);
    g.in = calloc(n, sizeof *g.in);
}

/* Edges come in the order of their sources; node_done closes a source. */
static void
edge(uint32_t from, uint32_t to)
{
    (void)from;
    g.to[g.edges++] = to;
    g.in[to]++;
}

static void
node_done(uint32_t i)
{
    g.first[i + 1] = g.edges;
}

static void
graph_end(void)
{
    free(g.first);
    free(g.to);
    free(g.outside);
    free(g.in);
}

static bool
claim(struct wn_trial *t, uintptr_t object, uint32_t *count)
{
    uint32_t i = number(object);

    (void)t;
    if (g.refuse_odd && i % 2)
        return false;
    *count = g.in[i] + g.outside[i];
    g.claims++;
    return true;
}

#define PART 3

/* Wide objects in parts. */
static bool
trace(struct wn_trial *t, uintptr_t object)
{
    static uint32_t next;
    uint32_t        i = number(object), k = t->partly ? next : g.first[i];

    assert_int_equal(wn_trial_object(&t->node[t->cursor]), object);
    for (next = k + PART; k < g.first[i + 1] && k < next; k++, g.traced++)
        wn_trial_edge(t, address(g.to[k]));
    return k == g.first[i + 1];
}

static void
run(struct wn_trial *t, const uint32_t *candidates, uint32_t n, uint32_t budget)
{
    *t = (struct wn_trial){.claim = claim, .trace = trace};
    for (uint32_t i = 0; i < n; i++)
        assert_true(wn_trial_add(t, address(candidates[i]), g.in[candidates[i]] + g.outside[candidates[i]], WN_TRIAL_CANDIDATE));
    while (!wn_trial_explore(t, budget))
        ;
    wn_trial_judge(t);
    while (!wn_trial_spread(t, budget))
        ;
    assert_false(t->failed);
}

static bool
is_suspect(struct wn_trial *t, uint32_t i)
{
    uint32_t at = wn_trial_find(t, address(i));

    return at != WN_TRIAL_NONE && !(t->node[at].object & WN_TRIAL_LIVE);
}

/* 2n nodes: c1 <-> c1', c1' -> c2, ... : every node a candidate, in either order. */
static uint64_t
cost_of_chain(uint32_t n, bool reversed)
{
    uint32_t       *candidates = calloc(2 * (size_t)n, sizeof *candidates);
    struct wn_trial t;
    uint64_t        cost;

    graph_begin(2 * n, 3 * n);
    for (uint32_t i = 0; i < n; i++) {
        edge(2 * i, 2 * i + 1);
        node_done(2 * i);
        edge(2 * i + 1, 2 * i);
        if (i + 1 < n)
            edge(2 * i + 1, 2 * i + 2);
        node_done(2 * i + 1);
    }
    for (uint32_t i = 0; i < 2 * n; i++)
        candidates[i] = reversed ? 2 * n - 1 - i : i;
    run(&t, candidates, 2 * n, 1000);
    for (uint32_t i = 0; i < 2 * n; i += n / 10 + 1)
        assert_true(is_suspect(&t, i));
    cost = g.traced;
    assert_true(cost <= 3 * (uint64_t)n);
    wn_trial_clear(&t);
    graph_end();
    free(candidates);
    return cost;
}

/* CYC-15: a chain of cycles is linear, whatever the order of the roots (Lins' algorithm is quadratic here). */
static void
cyc_15_chain_of_cycles_is_linear(void **state)
{
    (void)state;
    for (int reversed = 0; reversed < 2; reversed++) {
        uint64_t one = cost_of_chain(50000, reversed), two = cost_of_chain(100000, reversed);

        assert_true(two <= 2 * one + 8);
    }
}

/* CYC-16: a hub with spokes both ways; one spoke held from outside keeps everything. */
static void
cyc_16_hub_and_spokes(void **state)
{
    enum { SPOKES = 100000 };
    (void)state;
    for (int held = 0; held < 2; held++) {
        struct wn_trial t;
        uint32_t        hub = 0;

        graph_begin(SPOKES + 1, 2 * SPOKES);
        for (uint32_t i = 1; i <= SPOKES; i++)
            edge(0, i);
        node_done(0);
        for (uint32_t i = 1; i <= SPOKES; i++) {
            edge(i, 0);
            node_done(i);
        }
        g.outside[777] = (uint32_t)held;
        run(&t, &hub, 1, 4096);
        assert_int_equal(is_suspect(&t, 0), !held);
        assert_int_equal(is_suspect(&t, 5), !held);
        assert_true(g.traced <= 4 * (uint64_t)SPOKES);
        wn_trial_clear(&t);
        graph_end();
    }
}

static uint64_t random_state;

static uint32_t
random_below(uint32_t n)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (uint32_t)(random_state >> 11) % n;
}

static void
make_random(uint32_t n, uint32_t degree)
{
    graph_begin(n, n * degree);
    for (uint32_t i = 0; i < n; i++) {
        for (uint32_t k = random_below(degree + 1); k; k--)
            edge(i, random_below(n));
        node_done(i);
    }
    for (uint32_t i = 0; i < n; i++)
        g.outside[i] = random_below(5) == 0 ? 1 + random_below(3) : 0;
}

static void
reach(bool *seen, uint32_t i)
{
    if (seen[i])
        return;
    seen[i] = true;
    for (uint32_t k = g.first[i]; k < g.first[i + 1]; k++)
        reach(seen, g.to[k]);
}

static bool *
reachable_from_outside(void)
{
    bool *seen = calloc(g.n, sizeof *seen);

    for (uint32_t i = 0; i < g.n; i++)
        if (g.outside[i])
            reach(seen, i);
    return seen;
}

/* With every node a candidate, the suspects are exactly what is not reachable from outside. */
static void
random_graphs_agree_with_reachability(void **state)
{
    (void)state;
    random_state = 88172645463325252u;
    for (int round = 0; round < 3000; round++) {
        uint32_t        n = 1 + random_below(40);
        uint32_t        all[40];
        struct wn_trial t;
        bool           *alive;

        make_random(n, 1 + random_below(4));
        for (uint32_t i = 0; i < n; i++)
            all[i] = i;
        run(&t, all, n, 1 + random_below(50));
        alive = reachable_from_outside();
        for (uint32_t i = 0; i < n; i++)
            assert_int_equal(is_suspect(&t, i), !alive[i]);
        free(alive);
        wn_trial_clear(&t);
        graph_end();
    }
}

/* With few candidates, or with nodes that refuse to take part, nothing reachable from outside is ever suspected. */
static void
partial_exploration_is_safe(void **state)
{
    (void)state;
    random_state = 362436069u;
    for (int round = 0; round < 3000; round++) {
        uint32_t        n = 2 + random_below(40);
        uint32_t        some[2];
        struct wn_trial t;
        bool           *alive;

        make_random(n, 1 + random_below(4));
        some[0] = random_below(n) & ~1u;
        some[1] = random_below(n) & ~1u;
        g.refuse_odd = round % 2;
        run(&t, some, 2, 7);
        alive = reachable_from_outside();
        for (uint32_t i = 0; i < n; i++)
            assert_false(is_suspect(&t, i) && alive[i]);
        free(alive);
        wn_trial_clear(&t);
        graph_end();
    }
}

static void
fill_row(struct wn_edges *e, uint32_t i, uint32_t but_one)
{
    for (uint32_t k = g.first[i]; k < g.first[i + 1]; k++)
        if (k != but_one)
            assert_true(wn_edges_add(e, g.to[k]));
    assert_true(wn_edges_reserve(e, 0, 1));
    wn_edges_next(e, i);
}

static uint32_t
source_of(uint32_t edge)
{
    uint32_t i = 0;

    while (g.first[i + 1] <= edge)
        i++;
    return i;
}

/* The scan has missed the edge `unscanned`, which the first trace has; the second one misses `missing`. */
static void
fill_readings(struct wn_readings *r, struct wn_edges *scanned, uint32_t unscanned, uint32_t missing)
{
    *scanned = (struct wn_edges){0};
    *r = (struct wn_readings){scanned, {.partial = true}, {.partial = true}};
    for (uint32_t i = 0; i < g.n; i++)
        fill_row(scanned, i, unscanned);
    if (unscanned != UINT32_MAX)
        fill_row(&r->first, source_of(unscanned), UINT32_MAX);
    if (missing != UINT32_MAX)
        fill_row(&r->second, source_of(missing), missing);
}

static void
free_readings(struct wn_readings *r, struct wn_edges *scanned)
{
    wn_edges_free(scanned);
    wn_edges_free(&r->first);
    wn_edges_free(&r->second);
}

/* The subset in which both traces explain every count: what is not reachable from outside, from a member that is out,
 * or from where the traces differ. */
static void
subset_agrees_with_reachability(void **state)
{
    (void)state;
    random_state = 521288629u;
    for (int round = 0; round < 3000; round++) {
        uint32_t              n = 1 + random_below(40);
        struct wn_trial_node *m = calloc(n, sizeof *m);
        struct wn_edges       scanned;
        struct wn_readings    readings;
        bool                 *alive;
        uint32_t              missing, unscanned;

        make_random(n, 1 + random_below(4));
        missing = g.edges && round % 3 == 0 ? random_below(g.edges) : UINT32_MAX;
        unscanned = g.edges && round % 2 == 0 ? random_below(g.edges) : UINT32_MAX;
        for (uint32_t i = 0; i < n; i++) {
            m[i].left1 = m[i].left2 = g.in[i] + g.outside[i];
            if (random_below(20) == 0) {
                wn_set_out(&m[i], WN_OUT(MOVED));
                g.outside[i] = 1;
            }
        }
        if (missing != UINT32_MAX)
            g.outside[g.to[missing]] = 1; /* not explained by the second trace */
        fill_readings(&readings, &scanned, unscanned, missing);
        assert_true(wn_subset(m, n, &readings));
        alive = reachable_from_outside();
        for (uint32_t i = 0; i < n; i++)
            assert_int_equal(wn_out(&m[i]) != 0, alive[i]);
        free(alive);
        free_readings(&readings, &scanned);
        free(m);
        graph_end();
    }
}

/* Groups that no edge connects are numbered apart, and the order lists each group together. */
static void
components_are_grouped(void **state)
{
    struct wn_trial_node m[6] = {{0}};
    struct wn_edges      scanned;
    struct wn_readings   readings;
    uint32_t             order[6], end[6];

    (void)state;
    graph_begin(6, 6);
    edge(0, 3), node_done(0);
    edge(1, 1), node_done(1);
    node_done(2);
    edge(3, 0), node_done(3);
    edge(4, 5), node_done(4);
    edge(5, 4), node_done(5);
    wn_set_out(&m[2], WN_OUT(HELD));
    fill_readings(&readings, &scanned, 0, UINT32_MAX);
    assert_int_equal(wn_components(m, 6, &readings), 3);
    wn_order(m, 6, 3, order, end);
    assert_int_equal(m[0].component, m[3].component);
    assert_int_equal(m[4].component, m[5].component);
    assert_int_not_equal(m[0].component, m[1].component);
    assert_int_equal(end[2], 5);
    for (uint32_t k = 0, c = 0; k < 5; k++) {
        while (k >= end[c])
            c++;
        assert_int_equal(m[order[k]].component, c);
    }
    free_readings(&readings, &scanned);
    graph_end();
}

/* What is left has the edges between suspects, in their order, and is found; nothing else is. */
static void
suspects_keep_their_edges(void **state)
{
    (void)state;
    random_state = 88675123u;
    for (int round = 0; round < 3000; round++) {
        uint32_t        n = 1 + random_below(40), all[40], left = 0;
        struct wn_trial t;
        bool           *alive;

        make_random(n, 1 + random_below(4));
        for (uint32_t i = 0; i < n; i++)
            all[i] = i;
        run(&t, all, n, 1 + random_below(50));
        alive = reachable_from_outside();
        wn_trial_keep_suspects(&t);
        for (uint32_t i = 0; i < n; i++) {
            uint32_t      at = wn_trial_find(&t, address(i));
            struct wn_row row;

            assert_int_equal(at != WN_TRIAL_NONE, !alive[i]);
            if (alive[i])
                continue;
            assert_int_equal(at, left++);
            row = wn_edges_row(&t.edges, at);
            for (uint32_t k = g.first[i]; k < g.first[i + 1]; k++)
                if (!alive[g.to[k]])
                    assert_int_equal(wn_trial_object(&t.node[*row.at++]), address(g.to[k]));
            assert_ptr_equal(row.at, row.end);
        }
        assert_int_equal(t.count, left);
        free(alive);
        wn_trial_clear(&t);
        graph_end();
    }
}

static bool
no_memory(size_t bytes)
{
    (void)bytes;
    return false;
}

/* A chain that is longer than the reserve is for: all that is claimed is in the table, so it can be given back. */
static void
nothing_is_claimed_without_room(void **state)
{
    struct wn_trial t = {.claim = claim, .trace = trace};
    uint32_t        n = 100000;

    (void)state;
    graph_begin(n, n);
    for (uint32_t i = 0; i < n; i++) {
        edge(i, (i + 1) % n);
        node_done(i);
    }
    wn_memory_hook = no_memory;
    assert_true(wn_trial_add(&t, address(0), 1, WN_TRIAL_CANDIDATE));
    while (!wn_trial_explore(&t, 1000))
        ;
    wn_memory_hook = NULL;
    assert_true(t.failed && t.count < n);
    assert_int_equal(g.claims, t.count - 1);
    wn_trial_clear(&t);
    wn_scratch_over();
    graph_end();
}

/* ---- The index ------------------------------------------------------------------------------------------------------ */

/* How many entries a look for what is not there meets, on the average. */
static double
mean_run(const struct wn_trial *t)
{
    uint64_t sum = 0, run = 0, size = (uint64_t)t->mask + 1;

    for (uint64_t i = 0; i < size; i++) {
        run = t->index[i] ? run + 1 : 0;
        sum += run;
    }
    return (double)sum / (double)size;
}

/* Objects as they lie in memory: one after the other, in pages; all of them, or some. */
static void
neighbours_are_spread_over_the_index(void **state)
{
    enum { OBJECTS = 380000, PAGE = 65536 };

    (void)state;
    for (unsigned cell = 48; cell <= 144; cell += 16)
        for (uint32_t every = 1; every <= 4; every += 3) {
            struct wn_trial t = {.claim = claim, .trace = trace};
            uint32_t        in_page = (PAGE - 64) / cell;

            for (uint32_t i = 0; i < OBJECTS * every; i += every) {
                uintptr_t object = 0x7f0000000000 + (uintptr_t)(i / in_page) * PAGE + 64 + (uintptr_t)(i % in_page) * cell;

                assert_true(wn_trial_add(&t, object, 1, 0));
            }
            assert_true(mean_run(&t) < 8);
            wn_trial_clear(&t);
        }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cyc_15_chain_of_cycles_is_linear),
        cmocka_unit_test(cyc_16_hub_and_spokes),
        cmocka_unit_test(random_graphs_agree_with_reachability),
        cmocka_unit_test(partial_exploration_is_safe),
        cmocka_unit_test(subset_agrees_with_reachability),
        cmocka_unit_test(components_are_grouped),
        cmocka_unit_test(suspects_keep_their_edges),
        cmocka_unit_test(nothing_is_claimed_without_room),
        cmocka_unit_test(neighbours_are_spread_over_the_index),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
