/* SPDX-License-Identifier: MIT
 *
 * test_oom.c - every allocation fails once, and all fail from every one on: nothing is lost
 *
 * A run uses every operation, on three threads. It takes what it gets: an operation that fails leaves its part out. Runs are
 * repeated for each number of the allocation that fails, in processes of their own, where even the library's first allocations
 * do, and in this one. Afterwards, with memory: everything that was made is disposed of exactly once.
 */
#include "oom.h"

#include <sys/mman.h>

#include <wane/containers.h>
#include <wane/weakmap.h>

#include "final.h"

/* ---- One run ------------------------------------------------------------------------------------------------------ */

static wane_slot root[4];

static void
release(void *object)
{
    QUIETLY(wane_release(object));
}

static void
set(wane_slot *slot, void *object)
{
    QUIETLY(wane_set(slot, object));
}

static void
put(wane_slot *slot, void *object)
{
    QUIETLY(wane_put(slot, object));
}

static void
leave(void)
{
    QUIETLY(wane_leave());
}

static void
check(void *object)
{
    if (object)
        node_check(object);
}

static void
slots(void)
{
    struct node *a = node_try(&node_type), *b = node_try(&node_type), *c = node_try(&leaf_type);
    void        *old;

    set(&root[0], a);
    set(&root[1], b);
    if (a && b) {
        set(&a->a, b);
        set(&b->a, a);
    }
    wane_enter();
    check(wane_peek(&root[0]));
    set(&root[0], c);
    check(a);
    leave();
    QUIETLY(old = wane_take(&root[1]));
    release(old);
    QUIETLY(old = wane_swap(&root[1], wane_retain(a)));
    release(old);
    QUIETLY((void)wane_cas(&root[1], a, b));
    wane_retain(a);
    if (!wane_cas_put(&root[2], NULL, a))
        release(a);
    old = wane_get(&root[2]);
    check(old);
    release(old);
    for (int i = 0; i < 3; i++)
        QUIETLY(wane_clear(&root[i]));
    release(a);
    release(b);
    release(c);
}

static void
privately(void)
{
    struct node *a = node_try(&node_type), *b = node_try(&node_type);
    void        *old;

    if (a && b) {
        QUIETLY(wane_set_private(&a->a, b));
        QUIETLY(wane_put_private(&a->b, wane_retain(b)));
        QUIETLY(old = wane_take_private(&a->a));
        release(old);
        QUIETLY(wane_clear_private(&a->b));
    }
    release(a);
    release(b);
}

/* The caller's unit of the first, NULL if there was no memory for it. */
static struct node *
ring(struct wane_type *type, int n)
{
    struct node *first = node_try(type), *last = first;

    for (int i = 1; first && i < n; i++) {
        struct node *next = node_try(type);

        if (!next)
            break;
        put(&last->a, next);
        last = next;
    }
    if (first)
        set(&last->a, first);
    return first;
}

static atomic_int resurrected;

static void
resurrect(struct node *n)
{
    set(&root[3], n);
    release(node_try(&node_type));
    atomic_fetch_add(&resurrected, 1);
}

/* While the background is acting for this thread's record, the thread is a stranger, and the finalizer runs later. */
static void
finalizers(void)
{
    struct node *a = node_try(&final_type), *b = ring(&final_type, 3);
    int          before = atomic_load(&resurrected);

    if (a)
        a->on_final = resurrect;
    release(a);
    release(b);
    for (int i = 0; i < 10000 && a && atomic_load(&resurrected) == before; i++, nap())
        (void)wane_run_finalizers();
    while (wn_final_pending())
        (void)wane_run_finalizers(); /* or the library's thread is inside it */
    QUIETLY(wane_clear(&root[3]));
}

static void
containers(void)
{
    struct wane_array *array = wane_array_new(5);
    struct wane_vec   *vec = wane_vec_new();
    struct wane_map   *map = wane_map_new();
    char               key[16];

    for (int i = 0; i < 20; i++) {
        struct node *n = node_try(&node_type);

        snprintf(key, sizeof key, "%d", i);
        if (array && i < 5)
            set(wane_array_slot(array, (size_t)i), n);
        if (!n || !vec || wane_vec_push(vec, n) != 0)
            release(n);
        if (n && map && vec)
            (void)wane_map_set(map, key, vec); /* it outlives n's unit */
    }
    if (vec && wane_vec_length(vec) > 3) {
        (void)wane_vec_remove(vec, 1);
        release(wane_vec_pop(vec));
    }
    if (map) {
        release(wane_map_take(map, "3"));
        (void)wane_map_remove(map, "4");
    }
    if (vec && map && wane_vec_push(vec, map) == 0)
        map = NULL; /* a ring of containers */
    release(array);
    release(vec);
    release(map);
}

/* What an operation that failed has left: what was there before it. */
static void
set_weakly(struct wane_weakmap *map, struct node *key, struct node *value)
{
    void *before, *after;
    int   rc;

    if (!map || !key || !value)
        return;
    before = wane_weakmap_get(map, key);
    rc = wane_weakmap_set(map, key, value);
    EXPECT(rc == 0 || rc == -ENOMEM);
    after = wane_weakmap_get(map, key);
    EXPECT(after == (rc == 0 ? value : before));
    release(before);
    release(after);
}

static void
weak_maps(void)
{
    struct wane_weakmap *map = wane_weakmap_new(), *other = wane_weakmap_new();
    struct node         *key[4], *value;

    for (int i = 0; i < 4; i++) {
        key[i] = node_try(&node_type);
        value = node_try(&node_type);
        if (value && i % 2)
            set(&value->a, key[i]);
        set_weakly(map, key[i], value);
        set_weakly(other, key[i], value);
        set_weakly(map, key[i], value);
        release(value);
    }
    if (map && key[0])
        QUIETLY((void)wane_weakmap_remove(map, key[0]));
    release(key[2]);
    release(key[3]);
    release(map);
    release(key[0]);
    release(key[1]);
    release(other);
}

static void
note(void *weak, void *arg)
{
    (void)weak;
    atomic_fetch_add((atomic_long *)arg, 1);
}

static bool
is_over(void *weak, atomic_long *noted, long expected)
{
    void *got = wane_weak_get(weak);

    release(got);
    return !got && atomic_load(noted) >= expected;
}

static void
weak_references(void)
{
    static atomic_long noted;
    struct node       *a = node_try(&node_type), *b = ring(&node_type, 2);
    void              *wa = a ? wane_weak(a) : NULL, *wb = b ? wane_weak(b) : NULL;
    void              *got;
    long               before = atomic_load(&noted);
    bool               asked = wa && wane_weak_notify(wa, note, &noted) == 0;

    got = wane_weak_get(wa);
    EXPECT(!wa || got == a);
    release(got);
    release(a);
    release(b);
    /* Counted: dead at once, unless the background was acting for this record just then, which makes this thread a stranger. */
    for (int i = 0; i < 10000 && !is_over(wa, &noted, before + asked); i++)
        nap();
    EXPECT(is_over(wa, &noted, before + asked));
    check(got = wane_weak_get(wb));
    release(got);
    release(wa);
    release(wb);
}

static void
deferred_frees(void)
{
    for (int i = 0; i < 3; i++) {
        void *p = malloc(16);

        if (wane_free_deferred(p, NULL) != 0)
            free(p);
    }
}

static void
sharing(void)
{
    struct node *a = node_try(&node_type), *b = node_try(&node_type);

    if (a && wane_share(a) == 0) {
        set(&root[0], a);
        QUIETLY(wane_clear(&root[0]));
        while (wane_unshare(a) == -ENOMEM)
            oom_end(); /* a shared object lives: whoever wants it to die tries again */
    }
    if (b && wane_give(b) == 0)
        b = wane_adopt(b);
    release(a);
    release(b);
}

/* ---- Strangers ---------------------------------------------------------------------------------------------------- */

#define PASSED 4

static _Atomic(struct node *) passed[2][PASSED]; /* from each thread to the other */

/* Objects of ours for the other one to release: below zero, onto our queue. Rings across both. */
static void *
stranger(void *arg)
{
    int          me = (int)(intptr_t)arg;
    struct node *n, *mine = node_try(&node_type);

    for (int i = 0; i < PASSED; i++) {
        n = node_try(i & 1 ? &node_type : &leaf_type);
        n = atomic_exchange(&passed[me][i], n);
        release(n);
        n = atomic_exchange(&passed[!me][i], NULL);
        if (n && mine && i & 1) {
            set(&n->b, mine);
            set(&mine->b, n);
        }
        release(n);
    }
    release(ring(&node_type, 2));
    release(mine);
    return NULL;
}

static void
strangers(void)
{
    pthread_t t[2];

    for (intptr_t i = 0; i < 2; i++)
        t[i] = spawn(stranger, (void *)i);
    for (int i = 0; i < 2; i++)
        join(t[i]);
    for (int i = 0; i < 2 * PASSED; i++)
        release(atomic_exchange(&passed[i / PASSED][i % PASSED], NULL));
}

/* Many distinct objects in one section: chunks fill up. */
static void
displace_many(void)
{
    enum { MANY = 8 * WN_CHUNK_ENTRIES };
    struct node *a = node_try(&node_type);

    wane_enter();
    for (int i = 0; i < MANY; i++)
        if (i % 16)
            set(&root[0], a);
        else
            put(&root[0], node_try(&leaf_type));
    leave();
    QUIETLY(wane_clear(&root[0]));
    release(a);
}

static void
run(void)
{
    int rc;

    slots();
    privately();
    release(ring(&node_type, 3));
    finalizers();
    containers();
    weak_references();
    if (!RIGGED) /* it displaces more distinct objects than logs of four entries hold without memory; 32 are enough */
        weak_maps();
    deferred_frees();
    sharing();
    strangers();
    displace_many();
    rc = wane_collect(WANE_ALL, NULL);
    EXPECT(rc == 0 || rc == -ENOMEM || rc == -EAGAIN);
    EXPECT(wane_barrier() == 0);
    rc = wane_collect(0, NULL);
    EXPECT(rc == 0 || rc == -ENOMEM || rc == -EAGAIN);
    (void)wane_run_finalizers();
}

/* ---- Every allocation -------------------------------------------------------------------------------------------- */

enum { ONE, SOME, FROM, QUIET, MODES };

static const char *const mode_name[] = {"one", "some", "from", "quiet"};

static void
arm(int mode, long n)
{
    oom_fail(n, mode == ONE ? n + 1 : mode == SOME ? n + 20 : LONG_MAX);
    atomic_store(&oom_quiet, mode == QUIET);
}

/* Run with the n-th failing (0: none). How many there were; 0: the census is wrong. */
static long
run_with(int mode, long n)
{
    long asked;

    atomic_store(&disposed, 0);
    atomic_store(&made, 0);
    arm(mode, n ? n : LONG_MAX - 1);
    run();
    asked = atomic_load(&oom_asked);
    if (oom_census() && !atomic_load(&expect_failures))
        return asked;
    fprintf(stderr, "mode %s, allocation %ld of %ld\n", mode_name[mode], n, asked);
    return 0;
}

/* With memory missing for one, for twenty, or from one on: in steps in slow builds. */
static void
run_all(long (*one)(int, long))
{
    long asked = one(ONE, 0);

    assert_true(asked > 100);
    printf("# %ld allocations in a run\n", asked);
#ifdef RIG_SLOW
    long step = asked / 60 + 1;
#else
    long step = 1;
#endif
    for (long n = 1; n <= asked; n += step) {
        assert_true(one(ONE, n) > 0);
        assert_true(one(SOME, n) > 0);
        assert_true(one(FROM, n) > 0);
    }
    assert_true(one(QUIET, 1) > 0);
}

struct fresh {
    int  mode;
    long n, asked;
};

static int
fresh_child(void *arg)
{
    struct fresh *f = arg;

    f->asked = run_with(f->mode, f->n);
    CHILD_CHECK(f->asked > 0);
    CHILD_CHECK(wane_shutdown() == 0);
    return 0;
}

/* In a new process, where the library has not been used. */
static long
run_fresh(int mode, long n)
{
    struct fresh *f = mmap(NULL, sizeof *f, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    struct child  c;
    long          asked;

    assert_true(f != MAP_FAILED);
    *f = (struct fresh){mode, n, 0};
    c = run_child(fresh_child, f);
    if (!WIFEXITED(c.status) || WEXITSTATUS(c.status))
        fprintf(stderr, "mode %s, allocation %ld\n", mode_name[mode], n);
    assert_child_ok(&c);
    asked = f->asked;
    munmap(f, sizeof *f);
    return asked;
}

/* First: nothing of the library has run in this process yet. */
static void
mem_02_allocations_fail_in_a_fresh_process(void **state)
{
    (void)state;
    skip_where_children_have_no_threads();
    run_all(run_fresh);
}

static void
mem_02_allocations_fail_in_a_used_process(void **state)
{
    (void)state;
    run_all(run_with);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mem_02_allocations_fail_in_a_fresh_process),
        OOM(mem_02_allocations_fail_in_a_used_process),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, scene_shutdown);
}
