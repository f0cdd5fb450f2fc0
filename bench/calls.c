/* SPDX-License-Identifier: MIT
 *
 * calls.c - every call of the everyday kind, timed by itself (for latency.c)
 */
#define _GNU_SOURCE /* RUSAGE_THREAD */
#include "latency.h"

#include <sys/resource.h>

#define KEYS     100000 /* of the map */
#define VEC_MOST 4096
#define LIST     1000
#define FAR      5000 /* ns: looked at again, by CPU time */

const char *const call_names[CALLS] = {
    [CLOCK] = "nothing: two looks at the clock",
    [ENTER] = "wane_enter",
    [LEAVE] = "wane_leave",
    [CHECKPOINT] = "wane_checkpoint",
    [NEW] = "wane_new",
    [NEW_SIZED] = "wane_new_sized, 16 .. 4096 bytes",
    [RETAIN_OWN] = "wane_retain, own",
    [RELEASE_OWN] = "wane_release, own",
    [RELEASE_LAST] = "wane_release, own, the last",
    [RELEASE_LIST] = "wane_release, frees 1,000",
    [RELEASE_RING] = "wane_release, leaves a ring",
    [RETAIN_OTHER] = "wane_retain, another's",
    [RELEASE_OTHER] = "wane_release, another's",
    [RELEASE_OTHER_LAST] = "wane_release, another's, the last",
    [RETAIN_SHARED] = "wane_retain, shared (wane_share)",
    [RELEASE_SHARED] = "wane_release, shared (wane_share)",
    [GIVE] = "wane_give",
    [ADOPT] = "wane_adopt",
    [PEEK] = "wane_peek",
    [GET] = "wane_get",
    [SET] = "wane_set",
    [SET_HEAP] = "wane_set, in the live heap",
    [SWAP] = "wane_swap",
    [CAS] = "wane_cas",
    [PUT] = "wane_put",
    [TAKE] = "wane_take",
    [CLEAR] = "wane_clear",
    [SET_PRIVATE] = "wane_set_private",
    [PUT_PRIVATE] = "wane_put_private",
    [TAKE_PRIVATE] = "wane_take_private",
    [CLEAR_PRIVATE] = "wane_clear_private",
    [WEAK] = "wane_weak, the first",
    [WEAK_AGAIN] = "wane_weak, again",
    [WEAK_GET] = "wane_weak_get",
    [WEAK_NOTIFY] = "wane_weak_notify",
    [RELEASE_NOTIFY] = "wane_release, the last, notifies",
    [FREE_DEFERRED] = "wane_free_deferred",
    [VEC_PUSH] = "wane_vec_push",
    [VEC_GET] = "wane_vec_get",
    [VEC_POP] = "wane_vec_pop",
    [MAP_SET] = "wane_map_set",
    [MAP_GET] = "wane_map_get",
    [MAP_REMOVE] = "wane_map_remove",
    [WEAKMAP_SET] = "wane_weakmap_set",
    [WEAKMAP_GET] = "wane_weakmap_get",
};

struct blob {
    size_t  bytes;
    uint8_t byte[];
};

static struct wane_type blob_type = {.name = "blob", .size = sizeof(struct blob), .flags = WANE_SIZED};

struct shared shared;

/* ---- Time ---------------------------------------------------------------------------------------------------------- */

static long
own_switches(void)
{
    struct rusage u;

    getrusage(RUSAGE_THREAD, &u);
    return u.ru_nvcsw;
}

static void
note(struct mutator *m, enum call call, uint64_t ns)
{
    histogram_add(&m->wall[call], ns);
    if (ns > FAR) {
        uint64_t used = clock_ns(CLOCK_THREAD_CPUTIME_ID);
        long     switches = own_switches();

        ns = used - m->used < ns ? used - m->used : ns;
        m->slept[call] += switches != m->switches;
        m->used = used;
        m->switches = switches;
    }
    histogram_add(&m->cpu[call], ns);
}

#define TIMED(call, statement)                \
    do {                                      \
        uint64_t timed_from_ = now_ns();      \
        statement;                            \
        note(m, call, now_ns() - timed_from_);\
    } while (0)

static void
enter(struct mutator *m)
{
    m->used = clock_ns(CLOCK_THREAD_CPUTIME_ID);
    TIMED(CLOCK, (void)0);
    TIMED(ENTER, wane_enter());
}

static void
leave(struct mutator *m)
{
    TIMED(LEAVE, wane_leave());
}

/* ---- What mutators do: each in a section ----------------------------------------------------------------------------- */

static void
counts(struct mutator *m)
{
    struct node *n;
    struct blob *b;

    TIMED(NEW, n = wane_new(&node_type));
    TIMED(RETAIN_OWN, wane_retain(must(n)));
    TIMED(RELEASE_OWN, wane_release(n));
    TIMED(RELEASE_LAST, wane_release(n));
    TIMED(NEW_SIZED, b = wane_new_sized(&blob_type, 16 + random_next(&m->seed) % 4081));
    wane_release(must(b));
    TIMED(CHECKPOINT, wane_checkpoint());
}

static void
rings(struct mutator *m)
{
    struct node *r = ring_new(2 + (long)(random_next(&m->seed) % 9));

    TIMED(SET_PRIVATE, wane_set_private(&r->b, heap_any(&shared.heap, &m->seed)));
    TIMED(RELEASE_RING, wane_release(r));
}

/* The next round's objects come and go with the list: nothing of it waits for the collector. */
static void
list(struct mutator *m)
{
    struct node *head = node_new();

    for (int i = 1; i < LIST; i++) {
        struct node *n = node_new();

        wane_put_private(&n->a, head);
        head = n;
    }
    TIMED(RELEASE_LIST, wane_release(head));
}

/* Is there room in the mail? Only this thread fills it. */
static bool
is_empty(struct node **mail)
{
    return !__atomic_load_n(mail, __ATOMIC_ACQUIRE);
}

static void
others(struct mutator *m)
{
    long         next = (m->number + 1) % shared.threads;
    struct node *n = wane_peek(&shared.theirs[next]);

    TIMED(RETAIN_OTHER, wane_retain(n));
    TIMED(RELEASE_OTHER, wane_release(n));
    TIMED(RETAIN_SHARED, wane_retain(shared.hot));
    TIMED(RELEASE_SHARED, wane_release(shared.hot));
    if (is_empty(&shared.given[next])) {
        n = node_new();
        TIMED(GIVE, (void)wane_give(n));
        __atomic_store_n(&shared.given[next], n, __ATOMIC_RELEASE);
    }
    if ((n = __atomic_exchange_n(&shared.given[m->number], NULL, __ATOMIC_ACQ_REL))) {
        TIMED(ADOPT, wane_adopt(n));
        wane_release(n);
    }
    if (is_empty(&shared.sent[next]))
        __atomic_store_n(&shared.sent[next], node_new(), __ATOMIC_RELEASE);
    if ((n = __atomic_exchange_n(&shared.sent[m->number], NULL, __ATOMIC_ACQ_REL)))
        TIMED(RELEASE_OTHER_LAST, wane_release(n));
}

static void
slots(struct mutator *m)
{
    wane_slot   *at = &shared.place[random_next(&m->seed) % PLACES];
    struct node *live = heap_any(&shared.heap, &m->seed), *old;
    bool         stored;

    TIMED(SET, wane_set(at, live));
    TIMED(PEEK, old = wane_peek(at));
    TIMED(CAS, stored = wane_cas(at, old, shared.heap.live[0]));
    (void)stored;
    TIMED(GET, old = wane_get(at));
    wane_release(old);
    old = wane_retain(live);
    TIMED(SWAP, old = wane_swap(at, old));
    wane_release(old);
    TIMED(TAKE, old = wane_take(at));
    wane_release(old);
    old = node_new();
    TIMED(PUT, wane_put(at, old)); /* from here on another thread may take it */
    TIMED(SET_HEAP, wane_set(&live->a, heap_any(&shared.heap, &m->seed)));
    if (random_next(&m->seed) % 4 == 0)
        TIMED(CLEAR, wane_clear(at));
}

static void
private_slots(struct mutator *m)
{
    struct node *n = node_new(), *inner = node_new();

    TIMED(PUT_PRIVATE, wane_put_private(&n->a, inner));
    TIMED(TAKE_PRIVATE, inner = wane_take_private(&n->a));
    wane_put_private(&n->a, inner);
    TIMED(CLEAR_PRIVATE, wane_clear_private(&n->a));
    wane_release(n);
}

static void
heard(void *weak, void *arg)
{
    (void)weak;
    (void)arg;
    __atomic_fetch_add(&shared.notified, 1, __ATOMIC_RELAXED);
}

static void
weak(struct mutator *m)
{
    struct node *n = node_new(), *up;
    void        *w, *again;
    int          e;

    TIMED(WEAK, w = wane_weak(n));
    TIMED(WEAK_AGAIN, again = wane_weak(n));
    wane_release(again);
    TIMED(WEAK_GET, up = wane_weak_get(must(w)));
    wane_release(up);
    TIMED(WEAK_NOTIFY, e = wane_weak_notify(w, heard, m));
    m->awaited += e == 0;
    wane_release(w);
    TIMED(RELEASE_NOTIFY, wane_release(n));
}

static void
free_counted(void *pointer)
{
    __atomic_fetch_add(&shared.freed, 1, __ATOMIC_RELAXED);
    free(pointer);
}

static void
deferred(struct mutator *m)
{
    void *p = must(malloc(64));
    int   e;

    TIMED(FREE_DEFERRED, e = wane_free_deferred(p, free_counted));
    m->scheduled += e == 0;
    if (e)
        free(p);
}

static void
vectors(struct mutator *m)
{
    size_t       length = wane_vec_length(m->vec);
    struct node *n;
    int          e = 0;

    m->growing = length == 0 || (m->growing && length < VEC_MOST);
    for (int i = 0; i < 4; i++) {
        if (m->growing) {
            n = wane_retain(shared.heap.live[i]);
            TIMED(VEC_PUSH, e = wane_vec_push(m->vec, n));
            if (e)
                wane_release(n);
        } else {
            TIMED(VEC_POP, n = wane_vec_pop(m->vec));
            wane_release(n);
        }
    }
    TIMED(VEC_GET, n = wane_vec_get(m->vec, length / 2));
    wane_release(n);
    if (!m->growing && wane_vec_length(m->vec) == 0) { /* one that has to grow again */
        wane_release(m->vec);
        m->vec = must(wane_vec_new());
    }
}

static void
maps(struct mutator *m)
{
    char         key[24];
    struct node *n, *live = heap_any(&shared.heap, &m->seed);
    bool         was;
    int          e;

    snprintf(key, sizeof key, "key %u", (unsigned)(random_next(&m->seed) % KEYS));
    TIMED(MAP_SET, e = wane_map_set(shared.map, key, live));
    TIMED(MAP_GET, n = wane_map_get(shared.map, key));
    wane_release(n);
    snprintf(key, sizeof key, "key %u", (unsigned)(random_next(&m->seed) % KEYS));
    TIMED(MAP_REMOVE, was = wane_map_remove(shared.map, key));
    n = node_new();
    TIMED(WEAKMAP_SET, e |= wane_weakmap_set(shared.weakmap, n, live));
    TIMED(WEAKMAP_GET, live = wane_weakmap_get(shared.weakmap, n));
    wane_release(live);
    wane_release(n);
    (void)was;
    if (e)
        must(NULL);
}

void
mutator_round(struct mutator *m, uint64_t number)
{
    static void (*const group[])(struct mutator *m) = {
        counts, rings, others, slots, private_slots, weak, deferred, vectors, maps,
    };

    for (size_t i = 0; i < sizeof group / sizeof group[0]; i++) {
        enter(m);
        group[i](m);
        leave(m);
    }
    if (number % 16 == 0) {
        enter(m);
        list(m);
        leave(m);
    }
}

void
mutator_begin(struct mutator *m, int number)
{
    m->number = number;
    m->seed = 88172645463325252u + (uint64_t)number * 7919;
    m->wall = must(calloc(CALLS, sizeof *m->wall));
    m->cpu = must(calloc(CALLS, sizeof *m->cpu));
    m->vec = must(wane_vec_new());
    m->used = clock_ns(CLOCK_THREAD_CPUTIME_ID);
}

void
mutator_woke(struct mutator *m)
{
    m->switches = own_switches();
}
