/* SPDX-License-Identifier: MIT */
#include "collect.h"

#include <errno.h>

#include "check.h"
#include "govern.h"
#include "histogram.h"
#include "probe.h"
#include "scratch.h"
#include "step.h"

#define GRACE_NS   UINT64_C(200000000)
#define COLLECT_NS UINT64_C(1000000000) /* each of wane_collect's waits for sections; and until it tries no more */
#define ROUNDS     4
#define LARGE_PART 65536 /* candidates, where there is no memory for all at once */
#define SMALL_PART 256
#define BATCH         8192 /* candidates, */
#define BATCH_OBJECTS 131072 /* .. and what they lead to, at most */
#define WAITS         3      /* times as long as they run, and WAIT_NS: batches that do little but wait */
#define WAIT_NS       UINT64_C(20000000)

struct wn_collection wn_collection;
struct wane_atomic64 wn_waiting_count[WN_LISTS];

static struct {
    struct wane_atomic64 collections, examined, suspects, aborted, components, freed, nanoseconds;
    struct wane_atomic64 aborts[WANE_ABORTS], phases[WANE_PHASES];
} totals;

/* ---- Candidates ------------------------------------------------------------------------------------------------- */

/* The counts are read only now, after the grace period that follows the hand-over. */
static void
read_candidates(struct wn_collection *c)
{
    for (uint32_t i = 0; i < c->trial.count; i++) {
        struct wane_header *h = wn_node_header(c, i);

        if (i + WN_AHEAD < c->trial.count)
            __builtin_prefetch(wn_node_header(c, i + WN_AHEAD), 1);
        c->trial.node[i].count = wn_suspect_count(h, load_acquire(&h->word1));
        WN_STEP("collect:count-read");
    }
}

/* ---- Giving back ------------------------------------------------------------------------------------------------- */

/* Clear the collector's flags. keep: make the object a candidate again; older: it was looked at and stays. In a section. */
static void
give_back(struct wane_header *h, bool keep, bool older)
{
    struct wn_record *r = wn_standing();
    bool              room = keep && wn_type_of(h)->traced && wn_candidates_reserve(r);
    uint64_t          w = load_relaxed(&h->word1);
    uint64_t          n;

    do {
        n = (w & ~(WN_CLAIMED | WN_REVIEW | WN_CONDEMNED)) + WN_VERSION_ONE;
        if (WN_MUTANT(mark_cleared_after_scan))
            n &= ~WN_MARKS;
        if (older && wn_age(w) < WANE_ALL)
            n = (n & ~WN_AGE) | (wn_age(w) + 1) * WN_AGE_ONE;
        if (older && !WN_MUTANT(era_not_renewed))
            n = (n & ~WN_ERA) | load_relaxed(&wn_era);
        if (room && !wn_is_gone(n) && !(n & WN_MARKS) && !((w & WN_REVIEW) && WN_MUTANT(review_forgets)))
            n |= WN_BUFFERED;
    } while (!cas_acq_rel(&h->word1, &w, n)); /* acq_rel E12 */
    if ((n & WN_BUFFERED) && !(w & WN_BUFFERED))
        wn_candidates_append(r, (uintptr_t)h);
    else
        wn_free_if_last(r, h, n);
}

/* The nodes with the state `only` that have not been given back; those with the state `keep` as candidates. How many? */
static uint32_t
give_back_nodes(struct wn_collection *c, uint64_t only, uint64_t keep, bool older)
{
    uint32_t given = 0;

    for (uint32_t i = 0; i < c->trial.count;) {
        uint32_t end = i + WN_COLLECT_SLICE < c->trial.count ? i + WN_COLLECT_SLICE : c->trial.count;

        wane_enter();
        for (; i < end; i++) {
            if (i + WN_AHEAD < c->trial.count)
                __builtin_prefetch(wn_node_header(c, i + WN_AHEAD), 1);
            if ((c->trial.node[i].object & only) == only && wn_member_let_go(c, i)) {
                give_back(wn_node_header(c, i), (c->trial.node[i].object & keep) == keep, older);
                given++;
            }
        }
        wane_leave();
        wn_driver_breathe();
    }
    return given;
}

/* ---- One collection ----------------------------------------------------------------------------------------------- */

static void
close_collection(struct wn_collection *c)
{
    wn_trial_clear(&c->trial);
    wn_edges_free(&c->readings.first);
    wn_edges_free(&c->readings.second);
    wn_scratch_put(c->word);
    wn_scratch_put(c->end);
    wn_scratch_over();
    c->word = NULL;
    c->order = c->end = NULL;
    c->members = 0;
    c->bound = 0; /* here: the child of a fork may close it */
    c->under_way = false;
}

/* Who goes back now, and why; of the rest of `given` the collection as a whole was given up. */
static uint32_t
count_why(const struct wn_collection *c)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < c->members; i++)
        if (wn_out(&c->trial.node[i]) && !(c->trial.node[i].object & WN_TRIAL_GIVEN)) {
            fetch_add_relaxed(&totals.aborts[wn_out(&c->trial.node[i]) - 1], 1u);
            n++;
        }
    return n;
}

/* Everything still claimed goes back, as candidates. */
static void
give_up(struct wn_collection *c, bool older)
{
    uint32_t why = count_why(c);
    uint32_t given = give_back_nodes(c, 0, 0, older);

    fetch_add_relaxed(&totals.aborts[c->no_memory ? WANE_ABORT_MEMORY : WANE_ABORT_SECTION], (uint64_t)given - why);
    c->result.aborted += given;
}

/* Only the oldest generation may forget a candidate that is live: it has seen everything that the candidate can reach. A young
 * collection takes what is older for live, so its candidates stay, a generation older. */
static void
give_back_live(struct wn_collection *c)
{
    bool forget = (c->generation == WANE_ALL && !c->trial.cut) || WN_MUTANT(young_forgets);

    (void)give_back_nodes(c, WN_TRIAL_LIVE, forget ? WN_TRIAL_NEVER : WN_TRIAL_CANDIDATE, true);
}

static bool
make_members(struct wn_collection *c)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < c->trial.count; i++)
        n += !(c->trial.node[i].object & WN_TRIAL_LIVE);
    c->word = wn_scratch_get(((size_t)n + 1) * sizeof *c->word);
    if (!c->word)
        return false;
    give_back_live(c);
    wn_trial_keep_suspects(&c->trial);
    c->members = n;
    c->readings = (struct wn_readings){&c->trial.edges, {.partial = true}, {.partial = true}};
    c->result.suspects = n;
    return true;
}

static void
end_phase(enum wane_phase phase, uint64_t *since)
{
    uint64_t now = wn_now();

    fetch_add_relaxed(&totals.phases[phase], now - *since);
    *since = now;
}

/* Candidates, and what they reach. False: given up. */
static bool
find_suspects(struct wn_collection *c)
{
    bool sure;

    WN_STEP("collect:begin");
    c->no_memory = !wn_take(c);
    c->result.examined = c->trial.count;
    WN_STEP("collect:handed-over");
    if (c->no_memory) {
        give_up(c, false);
        wn_take_the_dead(c); /* needs none, and brings some */
        return false;
    }
    if (!c->trial.count)
        return false;
    /* Before the scan: marks that were seen set, just before they were cleared, have had their decrement by then (H11). */
    if (!WN_MUTANT(handover_no_grace) && !wn_driver_grace(wn_now() + GRACE_NS)) {
        c->timed_out = true;
        give_up(c, false);
        return false;
    }
    WN_STEP("collect:grace");
    read_candidates(c);
    sure = wn_suspect(c);
    c->result.examined = c->trial.count;
    if (!sure || !make_members(c)) {
        c->no_memory = !c->timed_out; /* what else stops these */
        give_up(c, false);
        return false;
    }
    return true;
}

static void
collect(struct wn_collection *c)
{
    uint64_t since = wn_now();
    bool     found = find_suspects(c), sure;

    end_phase(WANE_PHASE_SUSPECT, &since);
    if (!found)
        return;
    sure = c->members && wn_review(c);
    end_phase(WANE_PHASE_REVIEW, &since);
    if (sure)
        wn_settle(c);
    else
        c->timed_out |= c->members > 0 && !c->no_memory;
    WN_STEP("collect:settled");
    give_up(c, true); /* what was not destroyed */
    end_phase(WANE_PHASE_DESTROY, &since);
}

void
wn_collect_count_freed(uint64_t objects)
{
    fetch_add_relaxed(&totals.freed, objects);
}

static void
add_totals(const struct wane_collected *r)
{
    fetch_add_relaxed(&totals.collections, 1u);
    fetch_add_relaxed(&totals.examined, r->examined);
    fetch_add_relaxed(&totals.suspects, r->suspects);
    fetch_add_relaxed(&totals.aborted, r->aborted);
    fetch_add_relaxed(&totals.components, r->components);
    fetch_add_relaxed(&totals.nanoseconds, r->nanoseconds);
}

void
wn_collection_run(int generation, uint32_t most, struct wane_collected *result)
{
    struct wn_collection *c = &wn_collection;
    uint64_t              start = wn_now();

    c->result = (struct wane_collected){0};
    c->generation = generation;
    c->most = most;
    c->under_way = true;
    c->timed_out = c->no_memory = false;
    wn_govern_tell(false, generation, &c->result);
    WN_PROBE1(collection__begin, generation);
    collect(c);
    c->result.nanoseconds = wn_now() - start;
    close_collection(c);
    add_totals(&c->result);
    wn_histogram_add(&wn_collection_times, c->result.nanoseconds);
    if (c->result.aborted)
        WN_PROBE2(abort, c->result.aborted, c->result.nanoseconds);
    WN_PROBE3(collection__end, generation, c->result.freed, c->result.nanoseconds);
    *result = c->result;
    wn_govern_tell(true, generation, result);
}

/* In the child of a fork, at one of the driver's resting points. */
void
wn_collection_abandon(void)
{
    struct wn_collection *c = &wn_collection;

    store_relaxed(&wn_collecting, 0u);
    if (!c->under_way)
        return;
    give_up(c, false);
    fetch_add_relaxed(&totals.aborted, c->result.aborted);
    close_collection(c);
}

/* ---- On request --------------------------------------------------------------------------------------------------- */

static void
add_result(struct wane_collected *sum, const struct wane_collected *one)
{
    sum->candidates += one->candidates;
    sum->examined += one->examined;
    sum->suspects += one->suspects;
    sum->freed += one->freed;
    sum->components += one->components;
    sum->finalized += one->finalized;
    sum->aborted += one->aborted;
}

static void
run_part(int generation, uint32_t most, uint32_t bound, struct wane_collected *sum)
{
    struct wane_collected one;

    wn_collection.bound = bound;
    wn_collection_run(generation, most, &one);
    add_result(sum, &one);
}

/* A few candidates at a time, and their tables stay in the cache. That pays while they lead to garbage, and to little else: what
 * several parts reach is looked at by each. And while it takes more than it waits, as each part does for all sections. False: the
 * rest goes at once. */
static bool
run_in_batches(int generation, struct wane_collected *sum)
{
    uint64_t all = load_relaxed(&wn_handed_count), began = wn_now(), cpu = wn_cpu_now();

    for (int age = 0; age <= generation; age++)
        all += load_relaxed(&wn_waiting_count[age]);
    for (uint64_t n = all / BATCH; n; n--) {
        struct wane_collected part = {0};

        run_part(generation, BATCH, BATCH_OBJECTS, &part);
        add_result(sum, &part);
        if (part.freed < part.examined / 2 || wn_collection.no_memory || wn_collection.timed_out ||
            wn_now() - began > WAITS * (wn_cpu_now() - cpu) + WAIT_NS)
            return false;
        if (!wn_collection.batch)
            break;
    }
    return true;
}

/* The generation of the first batches: the young go first, as these take what is older for live, and do not look at it. What is
 * garbage together, but not in one batch, is a generation older afterwards: too old, where only the youngest are collected. */
static int
first_batches(int generation)
{
    if (WN_MUTANT(all_at_once))
        return generation;
    return generation > 0 || WN_MUTANT(youngest_in_batches) ? 0 : WANE_ALL;
}

/* Without memory for all candidates at once: a part of them, smaller and smaller. True: for all. */
static bool
run_in_parts(int generation, struct wane_collected *sum)
{
    for (uint32_t most = 0;; most = most ? most / 16 : LARGE_PART) {
        struct wane_collected part = {0};

        run_part(generation, most, 0, &part);
        add_result(sum, &part);
        if (!wn_collection.no_memory || part.freed || most == SMALL_PART)
            return !most && !wn_collection.no_memory;
    }
}

/* Everything displaced before is given back, all candidates are handed over, one collection. -EAGAIN: something did not end. */
static int
one_round(int generation, struct wane_collected *sum, bool *again)
{
    struct wane_collected round = {0};
    bool                  all, in_time = true;

    if (!wn_driver_settle(wn_now() + COLLECT_NS) || !wn_driver_handover(wn_now() + COLLECT_NS)) {
        *again = false;
        return -EAGAIN;
    }
    for (int of = first_batches(generation); of <= generation && in_time; of += WANE_ALL)
        if (!run_in_batches(of, &round))
            in_time = wn_driver_handover(wn_now() + COLLECT_NS); /* what went back */
    all = run_in_parts(generation, &round);
    add_result(sum, &round);
    /* What is destroyed may leave new candidates; who was disturbed, or not seen, gets another chance. */
    *again = round.freed || ((round.aborted || (generation == WANE_ALL && wn_collection.cuts)) && all);
    return !all ? -ENOMEM : wn_collection.timed_out || !in_time ? -EAGAIN : 0;
}

int
wane_collect(int generation, struct wane_collected *result)
{
    struct wane_collected sum = {0};
    uint64_t              start = wn_now(), deadline;
    bool                  again;
    int                   rc;

    wn_check_not_tracing();
    if (generation < 0 || generation > WANE_ALL)
        return -EINVAL;
    if (wn_in_section() || wane_self.me == WN_ME_EXITING)
        return -EDEADLK;
    wane_enter(); /* attaches the thread and starts the runtime */
    wane_leave();
    if (wane_self.me == WN_ME_EXITING)
        return -EDEADLK;
    wn_driver_begin();
    deadline = wn_now() + COLLECT_NS; /* others' turns cost nothing of it */
    for (int i = 0;; i++) {
        rc = one_round(generation, &sum, &again);
        if (!again || (rc == 0 ? i >= ROUNDS - 1 : wn_now() >= deadline))
            break;
    }
    wn_driver_end();
    sum.nanoseconds = wn_now() - start;
    if (result)
        *result = sum;
    return rc;
}

void
wane_aborts(uint64_t objects[WANE_ABORTS])
{
    for (int why = 0; why < WANE_ABORTS; why++)
        objects[why] = load_relaxed(&totals.aborts[why]);
}

void
wane_phases(uint64_t nanoseconds[WANE_PHASES])
{
    for (int i = 0; i < WANE_PHASES; i++)
        nanoseconds[i] = load_relaxed(&totals.phases[i]);
}

void
wn_collect_stats(struct wane_stats *out)
{
    out->collections = load_relaxed(&totals.collections);
    out->examined = load_relaxed(&totals.examined);
    out->suspects = load_relaxed(&totals.suspects);
    out->aborted = load_relaxed(&totals.aborted);
    out->components = load_relaxed(&totals.components);
    out->died_in_cycles = load_relaxed(&totals.freed);
    out->collect_nanoseconds = load_relaxed(&totals.nanoseconds);
}
