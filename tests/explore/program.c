/* SPDX-License-Identifier: MIT
 *
 * program.c - the frame of an explored program: prepare, before, act (explored), check; then nothing may be left
 */
#include "collect.h"

#include "program.h"

#define CANARY UINT64_C(0x77616e652e6f6b21)

struct node *a, *b, *c, *d;
wane_slot    root, root2;
void        *weak;
int          died[NODES], finalized[NODES], born;
void (*on_final)(struct node *);
bool flag;

/* ---- Nodes ------------------------------------------------------------------------------------------------------------- */

static void
node_dispose(void *object)
{
    struct node *n = object;

    if (n->canary != CANARY || n->id == 0 || n->id >= NODES)
        ex_fail("disposed of something else");
    if (died[n->id]++)
        ex_fail("node %u died twice", n->id);
    n->canary = ~CANARY;
}

static void
node_finalize(void *object)
{
    struct node *n = object;

    use(n);
    if (finalized[n->id]++)
        ex_fail("node %u was finalized twice", n->id);
    if (on_final)
        on_final(n);
}

static const uint32_t slots[] = {offsetof(struct node, s[0]), offsetof(struct node, s[1]), offsetof(struct node, s[2])};
static struct wane_type node_type = {"node", sizeof(struct node), slots, 3, 0, node_dispose, 0, 0, {0}};
static struct wane_type final_type = {"final", sizeof(struct node), slots, 3, 0, node_dispose, node_finalize, 0, {0}};
static struct wane_type leaf_type = {"leaf", sizeof(struct node), 0, 0, 0, node_dispose, 0, 0, {0}};
static struct wane_type bare_type = {"bare", sizeof(struct node), slots, 3, 0, 0, 0, 0, {0}};

static struct node *
make(struct wane_type *type)
{
    struct node *n = wane_new(type);

    EXPECT(n && born + 1 < NODES);
    n->canary = CANARY;
    n->id = (unsigned)++born;
    return n;
}

struct node *
node_new(void)
{
    return make(&node_type);
}

struct node *
final_new(void)
{
    return make(&final_type);
}

struct node *
leaf_new(void)
{
    return make(&leaf_type);
}

struct node *
bare_new(void)
{
    struct node *n = wane_new(&bare_type);

    EXPECT(n);
    n->canary = CANARY;
    return n;
}

void
use(struct node *n)
{
    if (ex_heap_is_freed((uintptr_t)n))
        ex_fail("a freed node is used");
    if (n->canary != CANARY)
        ex_fail("a dead node is used");
}

int64_t
count_of(struct node *n)
{
    struct wane_header *h = WANE_HEADER(n);
    uint64_t            w1;

    use(n);
    w1 = __atomic_load_n(&h->word1.value, __ATOMIC_ACQUIRE);
    return wn_count(w1) + (w1 & WN_MERGED ? 0 : (int64_t)wn_local(__atomic_load_n(&h->word0.value, __ATOMIC_RELAXED)));
}

int
dead(void)
{
    int n = 0;

    for (int i = 1; i <= born; i++)
        n += died[i];
    return n;
}

/* ---- Deeds ------------------------------------------------------------------------------------------------------------- */

void
note(struct node *n)
{
    wane_retain(n);
    wane_release(n);
}

void
tend(void)
{
    wane_enter();
    (void)__atomic_fetch_or(&wane_self.record->attention.value, WN_ATTEND, __ATOMIC_RELAXED);
    wane_leave();
}

void
pass_grace(void)
{
    uint64_t ticket;

    tend();
    ticket = wn_grace_ticket();
    for (int i = 0; i < 10 && !wn_grace_poll(ticket); i++)
        ex_sleep(10000, "a grace period");
    tend();
}

void
collect(void)
{
    (void)wane_collect(WANE_ALL, NULL);
}

void
collect_all(void)
{
    for (int i = 0; i < 3; i++) {
        EXPECT(wane_barrier() == 0);
        EXPECT(wane_collect(WANE_ALL, NULL) == 0);
        (void)wane_run_finalizers();
    }
    EXPECT(wane_barrier() == 0);
}

void
all_die(void)
{
    collect_all();
    EXPECT(dead() == born);
}

void
make_noted_a(void)
{
    wane_enter();
    a = node_new();
    note(a);
    wane_leave();
}

void
clear_root(void)
{
    wane_clear(&root);
}

void
make_ring(void)
{
    wane_enter();
    a = node_new();
    b = node_new();
    wane_set(&a->s[0], b);
    wane_set(&b->s[0], a);
    wane_leave();
}

void
raise_flag(void)
{
    __atomic_store_n(&flag, true, __ATOMIC_SEQ_CST);
    ex_wake(&flag);
}

void
await_flag(void)
{
    while (!__atomic_load_n(&flag, __ATOMIC_SEQ_CST))
        (void)ex_wait(&flag, 0, "a flag");
}

/* ---- The frame --------------------------------------------------------------------------------------------------------- */

static struct {
    int  arrived;
    bool open;
} start;

/* The worst of first phases. */
void
ex_program_step(const char *name)
{
    struct wn_trial *t = &wn_collection.trial;

    if (ex->program->deceived && strcmp(name, "suspect:end") == 0)
        for (uint32_t i = 0; i < t->count; i++)
            t->node[i].object &= ~WN_TRIAL_LIVE;
}

static void
no_background(void)
{
}

static void *
actor(void *number)
{
    unsigned i = (unsigned)(uintptr_t)number;

    if (ex->program->before[i])
        ex->program->before[i]();
    start.arrived++;
    ex_wake(&start.arrived);
    while (!start.open)
        (void)ex_wait(&start.open, 0, "the start");
    ex->program->act[i]();
    return NULL;
}

static void
settle(void)
{
    struct wane_stats s;

    EXPECT(wane_shutdown() == 0);
    wane_stats(&s);
    EXPECT(s.objects_born == s.objects_died);
    EXPECT(s.displaced == s.applied);
    EXPECT(s.lost_units == 0 && s.lost_candidates == 0);
    EXPECT(dead() == born);
}

void
ex_program_run(void)
{
    static const char *const names[] = {"1", "2", "3", "4"};
    unsigned                 actors = 0, id[EX_ACTORS];

    wn_grace_init();
    wane_enter(); /* starts the runtime */
    wane_leave();
    if (!ex->program->background)
        wn_wake_background = no_background;
    if (ex->program->prepare)
        ex->program->prepare();
    for (; actors < EX_ACTORS && ex->program->act[actors]; actors++) {
        id[actors] = ex_thread_start(names[actors], actor, (void *)(uintptr_t)actors);
        while (start.arrived <= (int)actors)
            (void)ex_wait(&start.arrived, 0, "a start");
    }
    ex_choices(true);
    start.open = true;
    ex_wake(&start.open);
    for (unsigned i = 0; i < actors; i++)
        (void)pthread_join(id[i] + 1, NULL);
    ex_choices(false);
    if (ex->program->check)
        ex->program->check();
    settle();
}
