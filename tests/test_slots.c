/* SPDX-License-Identifier: MIT
 *
 * test_slots.c - scenarios of slots (SLOT): one slot and many threads, compare-and-swap, tags, private stores
 */
#include "scene.h"

static wane_slot root;

/* ---- One slot, many threads ----------------------------------------------------------------------------------- */

#define HAMMERS 4

static struct gate hammer_gate = {.count = HAMMERS};
static atomic_long made, cas_won, cas_lost;

static void
hammer_cas(void)
{
    struct node *old = wane_get(&root);
    struct node *n = leaf_new();

    node_check(old);
    if (atomic_fetch_add(&made, 1) % 16 == 0)
        sched_yield();
    if (wane_cas_put(&root, old, n)) {
        atomic_fetch_add(&cas_won, 1);
    } else {
        atomic_fetch_add(&cas_lost, 1);
        wane_release(n); /* not consumed */
    }
    wane_release(old);
}

static void
hammer_store(uint64_t what)
{
    struct node *n = leaf_new();
    struct node *old;

    atomic_fetch_add(&made, 1);
    if (what == 0) {
        wane_put(&root, n);
        return;
    }
    if (what == 1) {
        wane_set(&root, n);
        wane_release(n);
        return;
    }
    old = wane_swap(&root, n);
    node_check(old);
    wane_release(old);
}

static void
hammer_read(void)
{
    WANE_SECTION {
        struct node *n = wane_peek(&root);

        node_check(n);
        sched_yield();
        node_check(n);
    }
}

static void *
hammer(void *arg)
{
    uint64_t seed = (uintptr_t)arg * 77 + 1;

    gate_wait(&hammer_gate);
    for (long i = 0; i < SCALED(20000) || atomic_load(&cas_lost) < 10 || atomic_load(&cas_won) < 10; i++) {
        uint64_t what = random_next(&seed) % 8;

        if (i > 5000000)
            die("compare-and-swap never lost a race");
        if (what < 3)
            hammer_store(what);
        else if (what < 6)
            hammer_cas();
        else
            hammer_read();
    }
    return NULL;
}

/* Several threads read, store, swap and compare-and-swap one slot: it is never empty, and all that was made dies
 * once. */
static void
slot_01_many_threads_one_slot(void **state)
{
    pthread_t t[HAMMERS];

    (void)state;
    atomic_store(&made, 1);
    wane_put(&root, leaf_new());
    for (uintptr_t i = 0; i < HAMMERS; i++)
        t[i] = spawn(hammer, (void *)i);
    for (int i = 0; i < HAMMERS; i++)
        join(t[i]);
    wane_clear(&root);
    assert_int_equal(wane_barrier(), 0);
    assert_true(wait_count(&disposed, atomic_load(&made)));
    assert_int_equal(atomic_load(&disposed), atomic_load(&made));
}

/* A -> B -> A: a thread that holds A compares with A. No other object can have A's address meanwhile. */
static void
slot_02_cas_aba(void **state)
{
    struct node *a = leaf_new();

    (void)state;
    wane_set(&root, a);
    for (int i = 0; i < 200; i++) {
        struct node *b = leaf_new();

        wane_set(&root, b);
        wane_release(b);
        assert_false(wane_cas(&root, a, NULL));
        assert_ptr_not_equal(b, a);
        wane_set(&root, a);
        if (i % 20 == 0)
            assert_int_equal(wane_barrier(), 0);
        assert_true(wane_cas(&root, a, a));
    }
    assert_true(wane_cas(&root, a, NULL));
    assert_false(wane_cas(&root, a, NULL));
    assert_true(wane_cas(&root, NULL, a));
    wane_clear(&root);
    assert_int_equal(wane_barrier(), 0);
    assert_true(becomes_unique(a));
    wane_release(a);
}

/* A failed compare-and-swap changes no count; storing what is there already leaves the balance as it was. */
static void
slot_03_failed_cas_is_neutral(void **state)
{
    struct node *x = node_new();
    struct node *y = node_new();

    (void)state;
    wane_set(&root, x);
    for (int i = 0; i < 100; i++) {
        assert_false(wane_cas(&root, y, y));
        assert_false(wane_cas(&root, NULL, y));
        assert_false(wane_cas_put(&root, y, y)); /* fails: our unit is still ours */
        assert_false(wane_cas(&root, wane_tag(x, 1), y));
    }
    assert_true(becomes_unique(y));
    for (int i = 0; i < 100; i++) {
        assert_true(wane_cas(&root, x, x));
        wane_set(&root, x);
    }
    assert_int_equal(wane_barrier(), 0);
    assert_false(wane_is_unique(x));
    wane_clear(&root);
    assert_int_equal(wane_barrier(), 0);
    assert_true(becomes_unique(x));
    wane_release(x);
    wane_release(y);
    assert_true(wait_count(&disposed, 2));
}

static struct {
    struct node *left, *right;
    long         by_left, by_right;
    bool         swap;
} takers;

static void
takers_prepare(void)
{
    wane_put(&root, leaf_new());
    takers.swap = !takers.swap;
}

static void
left_takes(void)
{
    takers.left = takers.swap ? wane_swap(&root, NULL) : wane_take(&root);
}

static void
right_takes(void)
{
    takers.right = wane_take(&root);
}

static bool
takers_settle(void)
{
    EXPECT((takers.left == NULL) != (takers.right == NULL));
    takers.by_left += takers.left != NULL;
    takers.by_right += takers.right != NULL;
    wane_release(takers.left);
    wane_release(takers.right);
    return takers.by_left >= 200 && takers.by_right >= 200;
}

/* Of two concurrent takers exactly one gets the object. */
static void
slot_04_takers_get_it_once(void **state)
{
    struct duel d = {.prepare = takers_prepare,
                     .left = left_takes,
                     .right = right_takes,
                     .settle = takers_settle,
                     .cap = 200000,
                     .delay = 100};

    (void)state;
    memset(&takers, 0, sizeof takers);
    assert_true(duel_run(&d));
    assert_int_equal(wane_barrier(), 0);
    assert_true(wait_count(&disposed, takers.by_left + takers.by_right));
    assert_int_equal(atomic_load(&disposed), takers.by_left + takers.by_right);
}

/* An object stored into its own slots, by every kind of store: a ring of one, found by the collector. */
static void
slot_06_store_into_own_slot(void **state)
{
    struct node *x = node_new();

    (void)state;
    wane_put(&x->a, x); /* no count changes at all: nobody outside holds it now */
    collect_now();
    assert_true(wait_count(&disposed, 1));
    x = node_new();
    assert_true(wane_cas_put(&x->b, NULL, x));
    collect_now();
    assert_true(wait_count(&disposed, 2));
    x = node_new();
    wane_set(&x->c, x);
    assert_ptr_equal(wane_swap(&x->c, wane_retain(x)), x);
    wane_release(x);
    node_check(x);
    wane_release(x);
    collect_now();
    assert_true(wait_count(&disposed, 3));
    x = node_new();
    wane_put_private(&x->a, x);
    collect_now();
    assert_true(wait_count(&disposed, 4));
}

/* ---- Message passing ------------------------------------------------------------------------------------------ */

static struct {
    struct node *fresh;
    uint64_t     secret;
    long         seen_new, seen_old;
} message;

static void
message_prepare(void)
{
    wane_put(&root, leaf_new());
    message.fresh = leaf_new();
    message.secret++;
}

static void
message_send(void)
{
    message.fresh->value = message.secret; /* plain: published by the store into the slot */
    wane_put(&root, message.fresh);
}

static void
message_receive(void)
{
    WANE_SECTION {
        struct node *n = wane_peek(&root);

        EXPECT(n->value == 0 || n->value == message.secret);
        message.seen_old += n->value == 0;
        message.seen_new += n->value != 0;
    }
}

static bool
message_settle(void)
{
    return message.seen_old >= 200 && message.seen_new >= 200;
}

/* What was written to an object before it was stored is seen by who borrows it from the slot. */
static void
slot_08_message_passing(void **state)
{
    struct duel d = {.prepare = message_prepare,
                     .left = message_send,
                     .right = message_receive,
                     .settle = message_settle,
                     .cap = 200000,
                     .delay = 200};

    (void)state;
    memset(&message, 0, sizeof message);
    assert_true(duel_run(&d));
    wane_clear(&root);
}

/* ---- Many slots, dying containers, tags ----------------------------------------------------------------------- */

#define FAN 262144

/* A quarter of a million slots hold one object; after all are emptied its count is exactly one again. */
static void
slot_09_wide_fan_in(void **state)
{
    wane_slot   *slots = calloc(FAN, sizeof *slots);
    struct node *x = node_new();

    (void)state;
    for (long i = 0; i < FAN; i++)
        wane_set(&slots[i], x);
    assert_false(wane_is_unique(x));
    for (long i = 0; i < FAN - 1; i++)
        wane_clear(&slots[i]);
    wane_release(x);
    assert_int_equal(wane_barrier(), 0);
    assert_int_equal(atomic_load(&disposed), 0);
    x = wane_take(&slots[FAN - 1]);
    assert_int_equal(wane_barrier(), 0);
    assert_true(becomes_unique(x));
    wane_release(x);
    free(slots);
}

static atomic_bool readers_over;
static atomic_long boxes_seen_removed;

static void *
read_boxes(void *unused)
{
    (void)unused;
    while (!atomic_load(&readers_over))
        WANE_SECTION {
            struct node *box = wane_peek(&root);
            struct node *item = wane_peek(&box->a);

            node_check(box);
            node_check(item);
            sched_yield();
            node_check(box);
            node_check(item);
            EXPECT(item->id == box->id + 1);
            if (wane_peek(&root) != box)
                atomic_fetch_add(&boxes_seen_removed, 1);
        }
    return NULL;
}

/* Readers look through a container that is removed, dies and drops its content: they see old content, never poison. */
static void
slot_10_readers_of_dying_containers(void **state)
{
    pthread_t t[2];
    long      boxes = 0;

    (void)state;
    atomic_store(&readers_over, false);
    atomic_store(&boxes_seen_removed, 0);
    while (boxes < SCALED(50000) || atomic_load(&boxes_seen_removed) < 100) {
        struct node *box = node_new();

        if (boxes > 20000000)
            die("no removal was seen by a reader");
        wane_put(&box->a, node_new());
        wane_put(&root, box);
        if (boxes++ == 0) {
            t[0] = spawn(read_boxes, NULL);
            t[1] = spawn(read_boxes, NULL);
        }
        if (boxes % 1000 == 0)
            sched_yield();
    }
    atomic_store(&readers_over, true);
    join(t[0]);
    join(t[1]);
    wane_clear(&root);
    assert_int_equal(wane_barrier(), 0);
    assert_true(wait_count(&disposed, 2 * boxes));
    assert_int_equal(atomic_load(&disposed), 2 * boxes);
}

/* Tag bits: kept by stores, shown by the tagged peek only, compared by compare-and-swap, ignored by traces. */
static void
slot_11_tags(void **state)
{
    struct node *x = node_new();
    struct node *y = node_new();

    (void)state;
    for (unsigned bits = 0; bits < 8; bits++) {
        wane_set(&root, wane_tag(x, bits));
        wane_enter();
        assert_ptr_equal(wane_peek(&root), x);
        assert_ptr_equal(wane_untag(wane_peek_tagged(&root)), x);
        assert_int_equal(wane_tag_of(wane_peek_tagged(&root)), bits);
        wane_leave();
        assert_false(wane_cas(&root, wane_tag(x, bits ^ 1), y));
        assert_true(wane_cas(&root, wane_tag(x, bits), wane_tag(y, bits)));
        assert_ptr_equal(wane_get(&root), y);
        wane_release(y);
        assert_ptr_equal(wane_take(&root), y);
        wane_release(y);
    }
    /* a ring through tagged slots, first held by one more tagged slot */
    wane_set(&x->a, wane_tag(y, 3));
    wane_set(&y->a, wane_tag(x, 7));
    wane_set(&root, wane_tag(x, 5));
    wane_release(x);
    wane_release(y);
    collect_now();
    assert_int_equal(atomic_load(&disposed), 0);
    wane_clear(&root);
    collect_now();
    assert_true(wait_count(&disposed, 2));
}

/* A compare-and-swap that changes the tag alone is a mark on a link: the slot keeps its unit, and nothing is deferred. */
static void
slot_13_another_tag(void **state)
{
    struct node      *x = node_new();
    struct wane_stats before, after;

    (void)state;
    wane_set(&root, x);
    wane_stats(&before);
    for (unsigned bits = 0; bits < 7; bits++) {
        assert_false(wane_cas(&root, wane_tag(x, bits + 1), wane_tag(x, bits)));
        assert_true(wane_cas(&root, wane_tag(x, bits), wane_tag(x, bits + 1)));
    }
    wane_stats(&after);
    assert_ptr_equal(wane_take(&root), x);
    wane_release(x);
    assert_int_equal(wane_barrier(), 0);
    assert_true(becomes_unique(x));
    wane_release(x);
    assert_true(wait_count(&disposed, 1));
    assert_true(wane_cas(&root, NULL, wane_tag(NULL, 3)));
    assert_null(wane_peek(&root));
    assert_true(wane_cas(&root, wane_tag(NULL, 3), NULL));
    assert_int_equal(after.displaced, before.displaced);
}

static void *
mark_links(void *unused)
{
    (void)unused;
    while (!atomic_load(&readers_over))
        WANE_SECTION {
            void *held = wane_peek_tagged(&root);

            if (wane_cas(&root, held, wane_tag(held, wane_tag_of(held) + 1)))
                atomic_fetch_add(&cas_won, 1);
        }
    return NULL;
}

/* And whoever displaces meanwhile displaces that unit, once, whatever the tag is. */
static void
slot_14_tags_change_while_others_store(void **state)
{
    pthread_t t[2];
    long      n = 0;

    (void)state;
    atomic_store(&readers_over, false);
    atomic_store(&cas_won, 0);
    t[0] = spawn(mark_links, NULL);
    t[1] = spawn(mark_links, NULL);
    while (n < SCALED(20000) || atomic_load(&cas_won) < 1000) {
        wane_put(&root, leaf_new());
        if (n++ % 1000 == 0)
            sched_yield();
    }
    atomic_store(&readers_over, true);
    join(t[0]);
    join(t[1]);
    wane_clear(&root);
    assert_int_equal(wane_barrier(), 0);
    assert_true(wait_count(&disposed, n));
    assert_int_equal(atomic_load(&disposed), n);
}

/* Private stores into an object nobody else knows: the displaced unit goes at once, take moves the slot's unit. */
static void
slot_12_private_stores(void **state)
{
    struct node *box = node_new();
    struct node *item = node_new();

    (void)state;
    assert_true(becomes_unique(box));
    wane_set_private(&box->a, item);
    assert_false(wane_is_unique(item));
    wane_set_private(&box->a, item);
    wane_clear_private(&box->a);
    assert_true(becomes_unique(item));
    wane_put_private(&box->a, item);
    assert_ptr_equal(wane_take_private(&box->a), item);
    assert_true(becomes_unique(item));
    wane_put_private(&box->b, item);
    wane_put_private(&box->b, NULL);
    assert_true(wait_count(&disposed, 1));
    assert_null(wane_take_private(&box->b));
    wane_release(box);
    assert_true(wait_count(&disposed, 2));
}

SCENE_MAIN(SCENE(slot_01_many_threads_one_slot), SCENE(slot_02_cas_aba), SCENE(slot_03_failed_cas_is_neutral),
           SCENE(slot_04_takers_get_it_once), SCENE(slot_06_store_into_own_slot), SCENE(slot_08_message_passing),
           SCENE(slot_09_wide_fan_in), SCENE(slot_10_readers_of_dying_containers), SCENE(slot_11_tags),
           SCENE(slot_12_private_stores), SCENE(slot_13_another_tag), SCENE(slot_14_tags_change_while_others_store))
