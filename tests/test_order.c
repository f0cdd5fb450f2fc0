/* SPDX-License-Identifier: MIT
 *
 * test_order.c - when dispose and finalizers run, in which order, and what they may do
 *
 * What happens is written down: F and a name for a finalizer, D and a name for a dispose.
 */
#include "scene.h"

#include <fcntl.h>

struct thing {
    char      name;
    int       fd;        /* closed by its dispose; 0: none */
    void     *weak;      /* of some fellow: looked at by the finalizer and by dispose; borrowed */
    void     *unit[3];   /* owned: its dispose releases them */
    bool      is_busy;   /* its dispose empties a slot, and comes to a checkpoint */
    wane_slot s[3];
};

static atomic_char happened[4096];
static atomic_int  events;
static atomic_int  inside; /* disposes that run now */
static wane_slot   root;

static void
note(char what, char name)
{
    int at = atomic_fetch_add(&events, 2);

    if (at > (int)sizeof happened - 3)
        die("too much happens");
    happened[at] = what;
    happened[at + 1] = name;
}

static void
begin_notes(void)
{
    memset((void *)happened, 0, sizeof happened);
    atomic_store(&events, 0);
}

static const char *
what_happened(void)
{
    static char copy[sizeof happened];

    for (size_t i = 0; i < sizeof copy; i++)
        copy[i] = happened[i];
    return copy;
}

/* Where D x or F x stands, -1: nowhere. */
static int
at(char what, char name)
{
    for (int i = 0; happened[i]; i += 2)
        if (happened[i] == what && happened[i + 1] == name)
            return i;
    return -1;
}

static int
times(char what)
{
    int n = 0;

    for (int i = 0; happened[i]; i += 2)
        n += happened[i] == what;
    return n;
}

static void
be_busy(struct thing *t)
{
    int before = atomic_load(&events);

    for (int i = 0; i < 3; i++)
        wane_release(t->unit[i]);
    wane_clear(&t->s[0]);
    wane_checkpoint();
    wane_checkpoint();
    EXPECT(atomic_load(&events) == before); /* who was let go of is buried after this one */
}

static void
thing_dispose(void *object)
{
    struct thing *t = object;

    EXPECT(atomic_fetch_add(&inside, 1) == 0);
    note('D', t->name);
    if (t->weak)
        EXPECT(wane_weak_get(t->weak) == NULL);
    if (t->is_busy)
        be_busy(t);
    if (t->fd > 0)
        close(t->fd);
    atomic_fetch_sub(&inside, 1);
}

static void
thing_finalize(void *object)
{
    struct thing *t = object;
    void         *fellow = wane_weak_get(t->weak);

    note('F', t->name);
    EXPECT(!t->weak || fellow);
    wane_release(fellow);
}

static const uint32_t   thing_slots[] = {offsetof(struct thing, s[0]), offsetof(struct thing, s[1]),
                                         offsetof(struct thing, s[2])};
static struct wane_type thing_type = {
    .name = "thing", .size = sizeof(struct thing), .slots = thing_slots, .slot_count = 3, .dispose = thing_dispose};
static struct wane_type file_type = {.name = "file", .size = sizeof(struct thing), .dispose = thing_dispose};
static struct wane_type last_will_type = {.name = "last will",
                                          .size = sizeof(struct thing),
                                          .slots = thing_slots,
                                          .slot_count = 3,
                                          .dispose = thing_dispose,
                                          .finalize = thing_finalize};

static struct thing *
thing_of(struct wane_type *type, char name)
{
    struct thing *t = wane_new(type);

    if (!t)
        die("no memory for a thing");
    t->name = name;
    return t;
}

/* The parent takes the child's unit. */
static struct thing *
below(struct thing *parent, int slot, struct thing *child)
{
    wane_put(&parent->s[slot], child);
    return child;
}

/* ---- Order --------------------------------------------------------------------------------------------------- */

enum how { RELEASED, RELEASED_IN_SECTION, CLEARED };

static void
let_go(struct thing *t, enum how how)
{
    if (how == CLEARED) {
        wane_put(&root, t);
        wane_clear(&root);
        assert_int_equal(wane_barrier(), 0);
    } else if (how == RELEASED_IN_SECTION) {
        WANE_SECTION
            wane_release(t);
    } else {
        wane_release(t);
    }
}

/* a holds b and c; both hold d, which holds e: each is disposed of after all that held it. */
static void
parents_go_before_children(void **state)
{
    (void)state;
    for (enum how how = RELEASED; how <= CLEARED; how++) {
        struct thing *a = thing_of(&thing_type, 'a');
        struct thing *b = below(a, 0, thing_of(&thing_type, 'b')), *c = below(a, 1, thing_of(&thing_type, 'c'));
        struct thing *d = below(b, 0, thing_of(&thing_type, 'd'));

        wane_set(&c->s[0], d);
        below(d, 2, thing_of(&thing_type, 'e'));
        begin_notes();
        let_go(a, how);
        assert_int_equal(times('D'), 5); /* few enough for the call itself */
        assert_int_equal(at('D', 'a'), 0);
        assert_true(at('D', 'd') > at('D', 'b') && at('D', 'd') > at('D', 'c'));
        assert_int_equal(at('D', 'e'), 8);
    }
}

/* A chain of objects with finalizers goes link by link: finalizer, dispose, and only then the next one's. */
static void
finalizer_then_dispose_then_children(void **state)
{
    (void)state;
    for (enum how how = RELEASED; how <= CLEARED; how++) {
        struct thing *a = thing_of(&last_will_type, 'a');

        below(below(below(a, 0, thing_of(&last_will_type, 'b')), 0, thing_of(&thing_type, 'c')), 0,
              thing_of(&last_will_type, 'd'));
        begin_notes();
        let_go(a, how);
        assert_true(wait_live(0));
        assert_string_equal(what_happened(), "FaDaFbDbDcFdDd");
    }
}

/* a, b and c hold each other in a ring, d hangs from b, and e from d. Every finalizer of the ring comes before
 * any dispose, with weak references still good. (A component's disposes have no order among themselves: all are
 * dead already.) */
static void
ring_is_finalized_then_disposed(void **state)
{
    struct thing *a = thing_of(&last_will_type, 'a');
    struct thing *b = below(a, 0, thing_of(&thing_type, 'b')), *c = below(b, 0, thing_of(&last_will_type, 'c'));
    struct thing *d = below(b, 1, thing_of(&last_will_type, 'd'));
    void         *weak = wane_weak(b);

    (void)state;
    below(d, 0, thing_of(&thing_type, 'e'));
    wane_set(&c->s[0], a);
    a->weak = b->weak = c->weak = weak;
    begin_notes();
    wane_release(a);
    for (int i = 0; i < 100 && times('D') < 5; i++)
        (void)collect_now(), (void)wane_run_finalizers();
    assert_null(wane_weak_get(weak));
    wane_release(weak);
    assert_int_equal(times('D'), 5);
    assert_int_equal(times('F'), 3);
    for (const char *f = "ac"; *f; f++)
        for (const char *n = "abc"; *n; n++)
            assert_true(at('F', *f) < at('D', *n));
    assert_true(at('F', 'd') < at('D', 'd'));
}

/* ---- What a dispose may do ----------------------------------------------------------------------------------- */

static struct thing *
busy_thing(char name)
{
    struct thing *t = thing_of(&thing_type, name);

    t->is_busy = true;
    for (int i = 0; i < 3; i++)
        t->unit[i] = thing_of(&thing_type, (char)('1' + i));
    below(t, 0, thing_of(&thing_type, 'x'));
    return t;
}

/* It releases others, one of which does so too, empties a slot, and comes to a checkpoint: nothing nests, all go. */
static void
dispose_lets_others_go(void **state)
{
    (void)state;
    for (enum how how = RELEASED; how <= CLEARED; how++) {
        struct thing *a = busy_thing('a');

        wane_release(a->unit[1]);
        a->unit[1] = busy_thing('b');
        begin_notes();
        let_go(a, how);
        assert_true(wait_live(0));
        assert_int_equal(times('D'), 9);
        assert_int_equal(at('D', 'a'), 0);
    }
}

static void
dispose_in_a_ring_lets_others_go(void **state)
{
    struct thing *a = busy_thing('a'), *b = busy_thing('b');

    (void)state;
    wane_release(a->unit[0]);
    a->unit[0] = busy_thing('c');
    wane_set(&a->s[1], b);
    wane_put(&b->s[1], a);
    begin_notes();
    wane_release(b);
    collect_now();
    assert_true(wait_live(0));
    assert_int_equal(times('D'), 14); /* three busy ones, their eight plain units and three slots */
}

/* ---- Files are closed at the last release -------------------------------------------------------------------- */

static struct thing *
file_of(struct wane_type *type)
{
    struct thing *t = thing_of(type, 'f');

    t->fd = open("/dev/null", O_RDONLY);
    if (t->fd <= 0)
        die("no file");
    return t;
}

static bool
is_closed(int fd)
{
    return fcntl(fd, F_GETFD) == -1 && errno == EBADF;
}

static struct wane_type *const file_types[] = {&file_type, &thing_type};

/* One's own last unit, inside and outside of sections, after a stranger has come and gone, too. */
static void
file_closed_by_its_owner(void **state)
{
    (void)state;
    begin_notes();
    assert_int_equal(wane_barrier(), 0);
    for (int i = 0; i < 40; i++) {
        struct thing *f = file_of(file_types[i & 1]);
        int           fd = f->fd;

        if (i & 2)
            wane_release(wane_retain(f)); /* outside: by the shared count */
        if (i & 4)
            wane_enter();
        wane_release(f);
        assert_true(is_closed(fd));
        if (i & 4)
            wane_leave();
    }
}

static struct {
    struct thing *file;
    struct gate   gate;
    bool          in_section;
} other;

/* The owner's last unit goes first: the object is merged, and this thread's unit is the last one. */
static void *
release_last(void *unused)
{
    int fd = other.file->fd;

    (void)unused;
    wane_retain(other.file);
    gate_wait(&other.gate);
    gate_wait(&other.gate);
    EXPECT(!is_closed(fd));
    if (other.in_section)
        wane_enter();
    wane_release(other.file);
    EXPECT(is_closed(fd));
    if (other.in_section)
        wane_leave();
    return NULL;
}

static void
file_closed_by_a_stranger(void **state)
{
    (void)state;
    begin_notes();
    for (int i = 0; i < 40; i++) {
        pthread_t t;

        memset(&other, 0, sizeof other);
        other.gate.count = 2;
        other.file = file_of(file_types[i & 1]);
        other.in_section = i & 2;
        t = spawn(release_last, NULL);
        gate_wait(&other.gate);
        wane_release(other.file);
        gate_wait(&other.gate);
        join(t);
    }
}

/* Seven files in a tree: all are closed when the release returns. And a private clear of a slot is a release. */
static void
files_of_a_tree_closed(void **state)
{
    (void)state;
    begin_notes();
    assert_int_equal(wane_barrier(), 0);
    for (int i = 0; i < 20; i++) {
        struct thing *t[7], *holder = thing_of(&thing_type, 'h');
        int           fd[7];

        for (int k = 0; k < 7; k++) {
            t[k] = file_of(k < 3 ? &thing_type : &file_type);
            fd[k] = t[k]->fd;
            if (k)
                wane_put_private(&t[(k - 1) / 2]->s[(k - 1) % 2], t[k]);
        }
        wane_put_private(&holder->s[0], t[0]);
        if (i & 1)
            wane_clear_private(&holder->s[0]);
        wane_release(holder);
        for (int k = 0; k < 7; k++)
            assert_true(is_closed(fd[k]));
    }
}

static void *
release_it(void *object)
{
    wane_release(object);
    return NULL;
}

/* A stranger gives back what only the owner's count counts: not at once, but soon, and unasked. */
static void
file_of_a_silent_owner_closed_soon(void **state)
{
    (void)state;
    begin_notes();
    for (int i = 0; i < 10; i++) {
        struct thing *f = file_of(&file_type);
        int           fd = f->fd;
        uint64_t      end = now_ms() + WATCHDOG_MS;

        join(spawn(release_it, f));
        while (!is_closed(fd) && now_ms() < end)
            nap();
        assert_true(is_closed(fd));
    }
}

/* ---- Finalizers ---------------------------------------------------------------------------------------------- */

#define WORK SCALED(100000L)

/* Objects by the hundred thousand, one list of them and rings, collections on top, all from inside a finalizer. */
static void
throw_work(struct node *n)
{
    struct node *list = NULL;

    (void)n;
    for (long i = 0; i < WORK; i++) {
        struct node *l = node_new();

        wane_put(&l->a, list);
        list = l;
        if (i % 100 == 0)
            wane_release(ring_of(&node_type, 2, NULL));
        if (i % (WORK / 4) == 0)
            EXPECT(wane_collect(WANE_ALL, NULL) != -EDEADLK);
    }
    wane_put(&root, list);
    wane_clear(&root);
    EXPECT(wane_barrier() == 0);
}

/* A finalizer throws work at the runtime, by the count and in a ring, while the others go on. */
static void
finalizer_throws_work(void **state)
{
    long each = WORK + WORK / 100 * 2 + 1;

    (void)state;
    wane_release(final_new(throw_work));
    for (int i = 0; i < 100; i++)
        wane_release(final_new(NULL));
    assert_true(wait_count(&disposed, each + 100));
    wane_release(ring_of(&final_type, 1, NULL));
    assert_true(pump_count(&finalized, 102));
    assert_true(wait_live(0));
    assert_int_equal(atomic_load(&disposed), each + 101);
}

#define ROOTS 8

static wane_slot   roots[ROOTS];
static atomic_long made;
static atomic_bool over;

static void
resurrect_some(struct node *n)
{
    if (n->id % 3 == 0)
        wane_set(&roots[n->id % ROOTS], n);
}

static void *
make_finalizable(void *seed)
{
    uint64_t x = (uintptr_t)seed;

    for (long i = 0; i < SCALED(5000L); i++) {
        long         n = 1 + (long)(random_next(&x) % 3);
        struct node *first = ring_of(&final_type, n, NULL);
        void        *weak = wane_weak(first);
        struct node *got;

        atomic_fetch_add(&made, n);
        first->on_final = resurrect_some;
        if (random_next(&x) % 2)
            wane_set(&roots[random_next(&x) % ROOTS], first);
        if (random_next(&x) % 2)
            wane_clear(&first->a); /* no ring: by the count */
        wane_release(first);
        got = wane_weak_get(weak);
        wane_release(wane_get(&roots[random_next(&x) % ROOTS]));
        wane_release(got);
        wane_release(weak);
    }
    return NULL;
}

static void *
collect_all_the_time(void *unused)
{
    (void)unused;
    while (!atomic_load(&over)) {
        (void)wane_collect(WANE_ALL, NULL);
        (void)wane_run_finalizers();
    }
    return NULL;
}

/* Several threads drop and resurrect objects with finalizers, by counts and in rings, while others collect and
 * run them: each finalizer runs once. (It aborts when it is called a second time.) */
static void
finalizers_run_once_among_threads(void **state)
{
    pthread_t maker[3], collector[2];

    (void)state;
    atomic_store(&made, 0);
    atomic_store(&over, false);
    for (uintptr_t i = 0; i < 3; i++)
        maker[i] = spawn(make_finalizable, (void *)(i + 1));
    for (int i = 0; i < 2; i++)
        collector[i] = spawn(collect_all_the_time, NULL);
    for (int i = 0; i < 3; i++)
        join(maker[i]);
    atomic_store(&over, true);
    for (int i = 0; i < 2; i++)
        join(collector[i]);
    while (atomic_load(&disposed) < atomic_load(&made)) { /* the resurrected of one round are dropped in the next */
        long before = atomic_load(&disposed);

        for (int i = 0; i < ROOTS; i++)
            wane_clear(&roots[i]);
        assert_true(pump_count(&disposed, before + 1));
    }
    assert_int_equal(atomic_load(&disposed), atomic_load(&made));
    assert_int_equal(atomic_load(&finalized), atomic_load(&made));
}

SCENE_MAIN(SCENE(parents_go_before_children), SCENE(finalizer_then_dispose_then_children),
           SCENE(ring_is_finalized_then_disposed), SCENE(dispose_lets_others_go),
           SCENE(dispose_in_a_ring_lets_others_go), SCENE(file_closed_by_its_owner), SCENE(file_closed_by_a_stranger),
           SCENE(files_of_a_tree_closed), SCENE(file_of_a_silent_owner_closed_soon), SCENE(finalizer_throws_work),
           SCENE(finalizers_run_once_among_threads))
