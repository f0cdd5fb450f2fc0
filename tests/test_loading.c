/* SPDX-License-Identifier: MIT
 *
 * test_loading.c - scenarios of plug-ins (LIFE-14, LIFE-15) that use the library and are unloaded
 *
 * usage: test_loading PLUGIN_A PLUGIN_B PLUGIN_WITH_CALLBACKS. This program is not linked to the library: the
 * plug-ins bring it, and it stays when they go. A and B have types without callbacks: the library has copied what
 * it needs of those. The third is linked nodelete, as a plug-in with callbacks has to be.
 */
#include "rig.h"

#include <dlfcn.h>

#include <wane/wane.h> /* types only: no symbol of the library is referenced */

static char **paths;

/* The plug-in's struct item. */
struct item {
    uint64_t  value;
    wane_slot next, other;
};

struct plugin {
    void *handle;
    void *(*make)(uint64_t);
    void (*link)(void *, void *);
    void (*keep)(void *);
};

static struct {
    void (*release)(void *);
    void *(*retain)(void *);
    void *(*get)(const wane_slot *);
    size_t (*size_of)(const void *);
    int (*collect)(int, struct wane_collected *);
    int (*barrier)(void);
    int (*shutdown)(void);
    void (*type_stats)(void (*)(const char *, int64_t, int64_t, void *), void *);
} wane;

static void
find(void *handle, const char *name, void *function)
{
    void *symbol = dlsym(handle, name);

    if (!symbol)
        die(dlerror());
    memcpy(function, &symbol, sizeof symbol);
}

/* Through the first plug-in: the library stays where it is. */
static void
find_library(void *handle)
{
    find(handle, "wane_release", &wane.release);
    find(handle, "wane_retain", &wane.retain);
    find(handle, "wane_get", &wane.get);
    find(handle, "wane_size_of", &wane.size_of);
    find(handle, "wane_collect", &wane.collect);
    find(handle, "wane_barrier", &wane.barrier);
    find(handle, "wane_shutdown", &wane.shutdown);
    find(handle, "wane_type_stats", &wane.type_stats);
}

static struct plugin
load(int which)
{
    struct plugin p = {.handle = dlopen(paths[which], RTLD_NOW | RTLD_LOCAL)};

    if (!p.handle)
        die(dlerror());
    find(p.handle, "plugin_make", &p.make);
    find(p.handle, "plugin_link", &p.link);
    find(p.handle, "plugin_keep", &p.keep);
    if (!wane.release)
        find_library(p.handle);
    return p;
}

static bool
is_loaded(int which)
{
    void *handle = dlopen(paths[which], RTLD_NOW | RTLD_NOLOAD);

    if (handle)
        dlclose(handle);
    return handle != NULL;
}

static void
unload(struct plugin *p)
{
    if (dlclose(p->handle) != 0)
        die(dlerror());
}

/* n items in a ring that nobody holds, and that is not let go of yet: the caller owns the first. */
static void *
ring(const struct plugin *p, int n)
{
    struct item *first = p->make(0), *last = first;

    for (int i = 1; i < n; i++) {
        struct item *next = p->make((uint64_t)i);

        p->link(last, next);
        last = next;
    }
    p->link(last, wane.retain(first));
    return first;
}

struct census {
    const char *name;
    int64_t     objects;
};

static void
add_up(const char *name, int64_t objects, int64_t bytes, void *arg)
{
    struct census *c = arg;

    (void)bytes;
    if (strcmp(name, c->name) == 0)
        c->objects += objects;
}

static int64_t
live_of(const char *name)
{
    struct census c = {name, 0};

    wane.type_stats(add_up, &c);
    return c.objects;
}

/* ---- One is unloaded ----------------------------------------------------------------------------------------- */

/* Objects of a plug-in without callbacks outlive it: read, counted, collected and named as before. */
static void
life_14_objects_outlive_their_plugin(void **state)
{
    struct plugin a = load(0), b = load(1);
    struct item  *held = a.make(77), *parent = b.make(1), *first = ring(&a, 100), *got;

    (void)state;
    b.link(parent, wane.retain(held));
    unload(&a);
    assert_false(is_loaded(0));
    assert_int_equal(live_of("item of a"), 101);
    assert_int_equal(wane.size_of(held), sizeof *held);
    got = wane.get(&parent->next);
    assert_ptr_equal(got, held);
    assert_int_equal(got->value, 77);
    wane.release(got);
    wane.release(held);
    wane.release(first);
    assert_int_equal(wane.barrier(), 0);
    assert_int_equal(wane.collect(WANE_ALL, NULL), 0);
    assert_int_equal(live_of("item of a"), 1);
    wane.release(parent);
    assert_int_equal(wane.shutdown(), 0);
    unload(&b);
}

/* The same plug-in again: its declaration is new to the library, and goes with the old objects in one ring. */
static void
life_14_plugin_comes_again(void **state)
{
    struct item *before, *after;

    (void)state;
    for (int i = 0; i < 20; i++) {
        struct plugin a = load(0);

        before = a.make(1);
        unload(&a);
        a = load(0);
        after = a.make(2);
        a.link(after, before);
        a.link(before, wane.retain(after));
        unload(&a);
        wane.release(after);
        assert_int_equal(wane.barrier(), 0);
        assert_int_equal(wane.collect(WANE_ALL, NULL), 0);
        assert_int_equal(live_of("item of a"), 0);
    }
    assert_int_equal(wane.shutdown(), 0);
}

static int
unload_with_a_full_root(void *unused)
{
    struct plugin a = load(0);

    (void)unused;
    a.keep(a.make(5));
    unload(&a);
    CHILD_CHECK(!is_loaded(0));
    CHILD_CHECK(wane.collect(WANE_ALL, NULL) == 0);
    CHILD_CHECK(wane.shutdown() == 1);
    return 0;
}

/* The unit in a root that is unloaded is nobody's: it leaks, by name, and nothing looks for it where the root was. */
static void
life_14_root_goes_with_its_plugin(void **state)
{
    struct child c;

    (void)state;
    skip_where_children_have_no_threads();
    c = run_child(unload_with_a_full_root, NULL);
    assert_child_ok(&c);
    assert_non_null(strstr(c.err, "item of a"));
}

/* A plug-in with callbacks is linked nodelete: its code is there when the objects die. */
static void
life_14_callbacks_stay(void **state)
{
    struct plugin p = load(2);
    struct item  *first = ring(&p, 10), *single = p.make(0);
    uint64_t *(*counter)(void), *disposed, *finalized;

    (void)state;
    find(p.handle, "plugin_disposed", &counter);
    disposed = counter();
    find(p.handle, "plugin_finalized", &counter);
    finalized = counter();
    unload(&p);
    assert_true(is_loaded(2));
    wane.release(first);
    wane.release(single);
    assert_int_equal(wane.shutdown(), 0);
    assert_int_equal(__atomic_load_n(disposed, __ATOMIC_RELAXED), 11);
    assert_int_equal(__atomic_load_n(finalized, __ATOMIC_RELAXED), 11);
}

/* ---- Two of them --------------------------------------------------------------------------------------------- */

static struct {
    struct plugin b;
    atomic_bool   over;
    atomic_long   rings;
} busy;

static void *
make_rings(void *unused)
{
    (void)unused;
    while (!atomic_load(&busy.over)) {
        wane.release(ring(&busy.b, 3));
        atomic_fetch_add(&busy.rings, 1);
        sched_yield();
    }
    return NULL;
}

static struct {
    struct plugin    a;
    struct pipe_wait wait;
    atomic_long      used;
} guest;

/* Uses the plug-in, outlives it, and ends afterwards. */
static void *
use_then_block(void *unused)
{
    struct item *i = guest.a.make(1);

    (void)unused;
    wane.release(ring(&guest.a, 3));
    atomic_fetch_add(&guest.used, 1);
    pipe_block(&guest.wait);
    wane.release(i);
    return NULL;
}

/* One plug-in's threads go on while the other is loaded, used and unloaded, again and again, and while threads
 * that have used it block and end without it. */
static void
life_15_two_plugins_one_unloads(void **state)
{
    pthread_t t[2];

    (void)state;
    busy.b = load(1);
    for (int i = 0; i < 2; i++)
        t[i] = spawn(make_rings, NULL);
    for (int i = 1; i <= 30; i++) {
        pthread_t user;
        long      seen = atomic_load(&busy.rings);

        guest.a = load(0);
        pipe_open(&guest.wait);
        user = spawn(use_then_block, NULL);
        while (atomic_load(&guest.used) < i || atomic_load(&busy.rings) < seen + 10)
            nap();
        unload(&guest.a);
        assert_false(is_loaded(0));
        pipe_wake(&guest.wait);
        join(user);
        pipe_done(&guest.wait);
    }
    atomic_store(&busy.over, true);
    for (int i = 0; i < 2; i++)
        join(t[i]);
    assert_int_equal(wane.shutdown(), 0);
    unload(&busy.b);
}

/* Every plug-in has gone, and comes again: the library was there all the time. */
static void
life_15_library_stays(void **state)
{
    struct plugin a;
    struct item  *i;
    void (*release)(void *);

    (void)state;
    assert_false(is_loaded(0) || is_loaded(1));
    a = load(0);
    i = a.make(1);
    unload(&a);
    assert_false(is_loaded(0));
    a = load(0);
    find(a.handle, "wane_release", &release);
    assert_ptr_equal(release, wane.release);
    assert_int_equal(live_of("item of a"), 1);
    wane.release(i);
    assert_int_equal(wane.shutdown(), 0);
    unload(&a);
}

int
main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(life_14_objects_outlive_their_plugin), cmocka_unit_test(life_14_plugin_comes_again),
        cmocka_unit_test(life_14_root_goes_with_its_plugin),    cmocka_unit_test(life_14_callbacks_stay),
        cmocka_unit_test(life_15_two_plugins_one_unloads),      cmocka_unit_test(life_15_library_stays),
    };

    if (argc != 4)
        die("usage: test_loading PLUGIN_A PLUGIN_B PLUGIN_WITH_CALLBACKS");
    paths = argv + 1;
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
