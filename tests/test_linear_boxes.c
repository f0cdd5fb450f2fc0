/* SPDX-License-Identifier: MIT
 *
 * test_linear_boxes.c - the examples' stack, set and queue, and the maps, are what their sequential models say
 *
 * Each model first judges known histories, so that it is known to refuse.
 */
#include "linear_trial.h"

#include <wane/containers.h>
#include <wane/weakmap.h>

/* Other threads run between the steps of the examples, too. */
#define wane_peek(slot) (trial_pause(), wane_peek(slot))
#define wane_cas(slot, expected, desired) (trial_pause(), wane_cas(slot, expected, desired))
#define wane_cas_put(slot, expected, desired) (trial_pause(), wane_cas_put(slot, expected, desired))
#define wane_set(slot, object) (trial_pause(), wane_set(slot, object))
#define wane_take(slot) (trial_pause(), wane_take(slot))
#include "list.h"
#include "queue.h"
#include "stack.h"

struct known {
    const char           *what;
    bool                  good;
    struct linear_history history;
};

static void
check_known(const struct known *known, size_t n, const struct linear_model *model)
{
    uint64_t start[LINEAR_STATE / 8] = {0};

    for (size_t i = 0; i < n; i++)
        if (linear_check(&known[i].history, model, start) != known[i].good) {
            linear_print(stderr, &known[i].history, model);
            fail_msg("'%s' was judged %s", known[i].what, known[i].good ? "bad" : "good");
        }
}

#define KNOWN(list, model) check_known(list, sizeof list / sizeof list[0], model)

static void
nothing(void)
{
}

/* ---- Stack and queue ----------------------------------------------------------------------------------------------- */

/* Numbers, oldest first. */
struct row {
    unsigned char count, number[LINEAR_CALLS];
};

enum { PUT, TAKE };
static const char *const row_kinds[] = {"put", "take"};

static bool
row_put(struct row *r, uint64_t number)
{
    r->number[r->count++] = (unsigned char)number;
    return true;
}

/* What was at `at` is taken out; nothing else may be where nothing is. */
static bool
row_take(struct row *r, unsigned at, uint64_t number)
{
    if (!r->count)
        return number == 0;
    if (number != r->number[at])
        return false;
    r->count--;
    memmove(&r->number[at], &r->number[at + 1], r->count - at);
    r->number[r->count] = 0;
    return true;
}

static bool
stack_step(void *state, const struct linear_call *c)
{
    struct row *r = state;

    return c->kind == PUT ? row_put(r, c->arg[0]) : row_take(r, r->count - 1u, c->result);
}

static bool
queue_step(void *state, const struct linear_call *c)
{
    return c->kind == PUT ? row_put(state, c->arg[0]) : row_take(state, 0, c->result);
}

static const struct linear_model stack_model = {row_kinds, sizeof(struct row), stack_step};
static const struct linear_model queue_model = {row_kinds, sizeof(struct row), queue_step};

/* put 1, put 2, take `first`, take `second`, one after the other. */
#define TWO_OUT(first, second)                                                                                           \
    {                                                                                                                    \
        4, {{0, PUT, {1}, 0, 0, 1}, {1, PUT, {2}, 0, 2, 3}, {0, TAKE, {0}, first, 4, 5}, {1, TAKE, {0}, second, 6, 7}}    \
    }
/* The same, with the puts at the same time. */
#define TWO_BESIDE(first, second)                                                                                        \
    {                                                                                                                    \
        4, {{0, PUT, {1}, 0, 0, 3}, {1, PUT, {2}, 0, 1, 2}, {0, TAKE, {0}, first, 4, 5}, {1, TAKE, {0}, second, 6, 7}}    \
    }

static const struct known stacks[] = {
    {"last in, first out", true, TWO_OUT(2, 1)},
    {"first in, first out", false, TWO_OUT(1, 2)},
    {"the same twice", false, TWO_OUT(2, 2)},
    {"either order of puts at the same time", true, TWO_BESIDE(1, 2)},
    {"empty although it was filled", false, TWO_OUT(2, 0)},
    {"empty beside the put", true, {2, {{0, PUT, {1}, 0, 0, 3}, {1, TAKE, {0}, 0, 1, 2}}}},
    {"out before in", false, {2, {{1, TAKE, {0}, 1, 0, 1}, {0, PUT, {1}, 0, 2, 3}}}},
};

static const struct known queues[] = {
    {"first in, first out", true, TWO_OUT(1, 2)},
    {"last in, first out", false, TWO_OUT(2, 1)},
    {"the same twice", false, TWO_OUT(1, 1)},
    {"either order of puts at the same time", true, TWO_BESIDE(2, 1)},
    {"empty although it was filled", false, TWO_OUT(0, 1)},
};

static struct stack stack;
static struct queue queue;
static atomic_uint  next_item;

static uint64_t
number_new(void)
{
    return atomic_fetch_add(&next_item, 1) + 1;
}

static void
stack_prepare(void *start)
{
    (void)start;
    atomic_store(&next_item, 0);
}

static bool
stack_choose(struct linear_call *c, uint64_t random)
{
    c->kind = random % 2 ? PUT : TAKE;
    if (c->kind == PUT)
        c->arg[0] = number_new();
    return true;
}

static void
stack_perform(struct linear_call *c)
{
    if (c->kind == PUT)
        EXPECT(stack_push(&stack, item[c->arg[0]]));
    else
        c->result = item_number(stack_pop(&stack));
}

static void
stack_settle(void)
{
    void *left;

    while ((left = stack_pop(&stack)))
        wane_release(left);
}

/* A pop that does not look whether the top is still what it was. */
static void
torn_perform(struct linear_call *c)
{
    struct stack_node *top;

    if (c->kind == PUT) {
        EXPECT(stack_push(&stack, item[c->arg[0]]));
        return;
    }
    WANE_SECTION {
        top = wane_peek(&stack.top);
        c->result = top ? item_number(wane_get(&top->value)) : 0;
        if (top)
            wane_set(&stack.top, wane_peek(&top->next));
    }
}

static void
stack_is_linearizable(void **state)
{
    static struct trial good = {.model = &stack_model,
                                .prepare = stack_prepare,
                                .choose = stack_choose,
                                .perform = stack_perform,
                                .settle = stack_settle,
                                .rounds = SCALED(4000)};

    (void)state;
    KNOWN(stacks, &stack_model);
    items_begin();
    trial_passes(&good);
    items_end();
}

static void
stack_that_is_torn_is_found_out(void **state)
{
    static struct trial bad = {.model = &stack_model,
                               .prepare = stack_prepare,
                               .choose = stack_choose,
                               .perform = torn_perform,
                               .settle = stack_settle,
                               .rounds = 20000};

    (void)state;
    items_begin();
    trial_run(&bad, 3);
    assert_true(bad.rejected >= 3);
    items_end();
}

static void
queue_prepare(void *start)
{
    (void)start;
    atomic_store(&next_item, 0);
    EXPECT(queue_begin(&queue));
}

/* The first thread is the consumer. */
static bool
queue_choose(struct linear_call *c, uint64_t random)
{
    (void)random;
    c->kind = c->thread == 0 ? TAKE : PUT;
    if (c->kind == PUT)
        c->arg[0] = number_new();
    return true;
}

static void
queue_perform(struct linear_call *c)
{
    if (c->kind == PUT)
        EXPECT(queue_put(&queue, item[c->arg[0]]));
    else
        c->result = item_number(queue_take(&queue));
}

static void
queue_settle(void)
{
    queue_end(&queue);
}

static void
queue_is_linearizable(void **state)
{
    static struct trial t = {.model = &queue_model,
                             .prepare = queue_prepare,
                             .choose = queue_choose,
                             .perform = queue_perform,
                             .settle = queue_settle,
                             .rounds = SCALED(4000)};

    (void)state;
    KNOWN(queues, &queue_model);
    items_begin();
    trial_passes(&t);
    items_end();
}

/* ---- Set ------------------------------------------------------------------------------------------------------------ */

enum { ADD, REMOVE, HAS };
static const char *const set_kinds[] = {"add", "remove", "has"};

static bool
set_step(void *state, const struct linear_call *c)
{
    uint64_t *set = state, bit = UINT64_C(1) << c->arg[0];
    bool      had = *set & bit;

    if (c->kind == ADD)
        *set |= bit;
    else if (c->kind == REMOVE)
        *set &= ~bit;
    return c->result == (c->kind == ADD ? !had : had);
}

static const struct linear_model set_model = {set_kinds, sizeof(uint64_t), set_step};

static const struct known sets[] = {
    {"added once", true, {2, {{0, ADD, {1}, 1, 0, 3}, {1, ADD, {1}, 0, 1, 2}}}},
    {"added twice", false, {2, {{0, ADD, {1}, 1, 0, 3}, {1, ADD, {1}, 1, 1, 2}}}},
    {"removed twice", false,
     {3, {{0, ADD, {1}, 1, 0, 1}, {1, REMOVE, {1}, 1, 2, 5}, {2, REMOVE, {1}, 1, 3, 4}}}},
    {"not there after it was added", false, {2, {{0, ADD, {1}, 1, 0, 1}, {1, HAS, {1}, 0, 2, 3}}}},
    {"another key is another matter", true, {2, {{0, ADD, {1}, 1, 0, 1}, {1, HAS, {2}, 0, 2, 3}}}},
};

static struct list list;

/* Keys 0 to 2; now and then some are there from the start. */
static void
set_prepare(void *start)
{
    static unsigned round;

    round++;
    for (uint64_t key = 0; key < 3; key++)
        if (round >> key & 1) {
            EXPECT(list_add(&list, key) == 1);
            *(uint64_t *)start |= UINT64_C(1) << key;
        }
}

static bool
set_choose(struct linear_call *c, uint64_t random)
{
    c->kind = (int)(random % 3);
    c->arg[0] = random / 3 % 3;
    return true;
}

static void
set_perform(struct linear_call *c)
{
    if (c->kind == ADD)
        c->result = list_add(&list, c->arg[0]) > 0;
    else if (c->kind == REMOVE)
        c->result = list_remove(&list, c->arg[0]);
    else
        c->result = list_has(&list, c->arg[0]);
}

static void
set_settle(void)
{
    wane_clear(&list.head);
}

static void
set_is_linearizable(void **state)
{
    static struct trial t = {.model = &set_model,
                             .prepare = set_prepare,
                             .choose = set_choose,
                             .perform = set_perform,
                             .settle = set_settle,
                             .rounds = SCALED(8000)};

    (void)state;
    KNOWN(sets, &set_model);
    trial_passes(&t);
}

/* ---- Map ------------------------------------------------------------------------------------------------------------ */

enum { MAP_PUT, MAP_GET, MAP_TAKE, MAP_REMOVE };
static const char *const map_kinds[] = {"put", "get", "take", "remove"};

/* The number under each key; 0: none. */
static bool
map_step(void *state, const struct linear_call *c)
{
    uint64_t *under = (uint64_t *)state + c->arg[0], old = *under;

    switch (c->kind) {
    case MAP_PUT:
        *under = c->arg[1];
        return true;
    case MAP_GET:
        return c->result == old;
    case MAP_TAKE:
        *under = 0;
        return c->result == old;
    default:
        *under = 0;
        return c->result == (old != 0);
    }
}

static const struct linear_model map_model = {map_kinds, 3 * sizeof(uint64_t), map_step};

static const struct known maps[] = {
    {"got what was put", true, {2, {{0, MAP_PUT, {1, 7}, 0, 0, 1}, {1, MAP_GET, {1}, 7, 2, 3}}}},
    {"got what was put under another key", false, {2, {{0, MAP_PUT, {1, 7}, 0, 0, 1}, {1, MAP_GET, {2}, 7, 2, 3}}}},
    {"got what was replaced", false,
     {3, {{0, MAP_PUT, {1, 7}, 0, 0, 1}, {0, MAP_PUT, {1, 8}, 0, 2, 3}, {1, MAP_GET, {1}, 7, 4, 5}}}},
    {"taken twice", false,
     {3, {{0, MAP_PUT, {1, 7}, 0, 0, 1}, {1, MAP_TAKE, {1}, 7, 2, 5}, {2, MAP_TAKE, {1}, 7, 3, 4}}}},
    {"a put is lost", false,
     {4,
      {{0, MAP_PUT, {1, 7}, 0, 0, 1},
       {1, MAP_REMOVE, {1}, 1, 2, 5},
       {2, MAP_PUT, {1, 8}, 0, 6, 7},
       {0, MAP_GET, {1}, 0, 8, 9}}}},
};

static struct wane_map *map;

static const char *
map_key(uint64_t i)
{
    static const char *const key[] = {"one", "two", "three"};

    return key[i];
}

/* Old entries without a value are about, and fill the table, so that some puts rebuild it. */
static void
map_prepare(void *start)
{
    static unsigned round;
    char            name[32];

    atomic_store(&next_item, 1);
    if (round++ % 4 == 0) {
        wane_release(map);
        map = wane_map_new();
        for (unsigned i = 0; i < 9; i++) {
            snprintf(name, sizeof name, "filler %u", i);
            EXPECT(wane_map_set(map, name, item[1]) == 0);
            EXPECT(wane_map_remove(map, name));
        }
    }
    for (uint64_t key = 0; key < 3; key++)
        (void)wane_map_remove(map, map_key(key));
    EXPECT(wane_map_set(map, map_key(round % 3), item[1]) == 0);
    ((uint64_t *)start)[round % 3] = 1;
}

static bool
map_choose(struct linear_call *c, uint64_t random)
{
    c->kind = (int)(random % 4);
    c->arg[0] = random / 4 % 3;
    if (c->kind == MAP_PUT)
        c->arg[1] = number_new();
    return true;
}

static void
map_perform(struct linear_call *c)
{
    const char *key = map_key(c->arg[0]);

    if (c->kind == MAP_PUT)
        EXPECT(wane_map_set(map, key, item[c->arg[1]]) == 0);
    else if (c->kind == MAP_GET)
        c->result = item_number(wane_map_get(map, key));
    else if (c->kind == MAP_TAKE)
        c->result = item_number(wane_map_take(map, key));
    else
        c->result = wane_map_remove(map, key);
}

static void
map_is_linearizable(void **state)
{
    static struct trial t = {.model = &map_model,
                             .prepare = map_prepare,
                             .choose = map_choose,
                             .perform = map_perform,
                             .settle = nothing,
                             .rounds = SCALED(8000)};

    (void)state;
    KNOWN(maps, &map_model);
    items_begin();
    trial_passes(&t);
    wane_release(map);
    items_end();
}

/* ---- Weak map -------------------------------------------------------------------------------------------------------- */

static struct wane_weakmap *weakmap[3];
static struct item         *weak_key;

/* One key in three maps, whose entries hang in one list: there is something in one of them from the start; the others are new,
 * or it has come and gone. */
static void
weakmap_prepare(void *start)
{
    static unsigned round;

    atomic_store(&next_item, 1);
    round++;
    weak_key = wane_new(&item_type);
    EXPECT(weak_key);
    for (unsigned i = 0; i < 3; i++) {
        weakmap[i] = wane_weakmap_new();
        EXPECT(round % 2 || wane_weakmap_set(weakmap[i], weak_key, item[1]) == 0);
    }
    for (unsigned i = 0; i < 3; i++)
        EXPECT(wane_weakmap_remove(weakmap[i], weak_key) == !(round % 2));
    EXPECT(wane_weakmap_set(weakmap[round % 3], weak_key, item[1]) == 0);
    ((uint64_t *)start)[round % 3] = 1;
}

static void
weakmap_perform(struct linear_call *c)
{
    struct wane_weakmap *m = weakmap[c->arg[0]];

    if (c->kind == MAP_PUT)
        EXPECT(wane_weakmap_set(m, weak_key, item[c->arg[1]]) == 0);
    else if (c->kind == MAP_GET)
        c->result = item_number(wane_weakmap_get(m, weak_key));
    else if (c->kind == MAP_TAKE)
        c->result = item_number(wane_weakmap_take(m, weak_key));
    else
        c->result = wane_weakmap_remove(m, weak_key);
}

static void
weakmap_settle(void)
{
    for (int i = 0; i < 3; i++)
        wane_release(weakmap[i]);
    wane_release(weak_key);
}

static void
weakmap_is_linearizable(void **state)
{
    static struct trial t = {.model = &map_model,
                             .prepare = weakmap_prepare,
                             .choose = map_choose,
                             .perform = weakmap_perform,
                             .settle = weakmap_settle,
                             .rounds = SCALED(8000)};

    (void)state;
    items_begin();
    trial_passes(&t);
    items_end();
}

SCENE_MAIN(SCENE(stack_is_linearizable), SCENE(stack_that_is_torn_is_found_out), SCENE(queue_is_linearizable),
           SCENE(set_is_linearizable), SCENE(map_is_linearizable), SCENE(weakmap_is_linearizable))
