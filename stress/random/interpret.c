/* SPDX-License-Identifier: MIT
 *
 * interpret.c - what each operation does
 */
#include "world.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <wane/collector.h>

/* ---- Registers ------------------------------------------------------------------------------------------------------ */

/* Consumes t's unit. */
static void
fill(struct thing **reg, struct thing *t)
{
    struct thing *old = *reg;

    thing_check(t);
    *reg = t;
    wane_release(old);
}

static struct thing *
value(struct lane *l, uint8_t o)
{
    unsigned      i = OPERAND_INDEX(o);
    struct thing *t = NULL;

    if (OPERAND_BASE(o) == BASE_R)
        t = l->r[i];
    else if (OPERAND_BASE(o) == BASE_X)
        t = l->x[i];
    else if (OPERAND_BASE(o) == BASE_B)
        t = l->b[i];
    thing_check(t);
    return t;
}

static bool
holds(const struct lane *l, int32_t id)
{
    for (int i = 0; i < REGISTERS; i++)
        if (thing_id(l->r[i]) == id)
            return true;
    for (int i = 0; i < COMMONS; i++)
        if (thing_id(l->x[i]) == id)
            return true;
    return false;
}

/* A map's own holder: a put that consumes it would leave nobody to keep the map while the put goes on. */
static bool
keeps_itself(const struct place *place, const struct thing *container, const struct thing *in)
{
    return place->map && container == in;
}

/* A place in anybody's reach; false: there is none. */
static bool
place_of(struct lane *l, uint8_t o, struct place *place)
{
    struct thing *t;

    if (OPERAND_BASE(o) == BASE_NONE) {
        *place = (struct place){.slot = &world.root[OPERAND_INDEX(o)],
                                .expected = world.exact ? &world.root_id[OPERAND_INDEX(o)] : NULL};
        return true;
    }
    t = value(l, o);
    return t && thing_common(t, OPERAND_SLOT(o), place);
}

/* ---- Own slots ------------------------------------------------------------------------------------------------------ */

/* The same for a container that nobody else can reach. Not inside of sections: what was borrowed would go at once. */
static bool
is_private(const struct lane *l, const struct thing *t)
{
    unsigned held = 0;

    if (l->depth > 0 || t->kind == KIND_MAP || !wane_is_unique(t))
        return false;
    for (int i = 0; i < REGISTERS; i++)
        held += l->r[i] == t;
    for (int i = 0; i < COMMONS; i++)
        held += l->x[i] == t;
    if (held != 1 || atomic_load(&world.entry[t->id].weak))
        world_fail("object %d is called unique, and is held %u times here, or weakly", t->id, held);
    return true;
}

static void
do_own_private(struct lane *l, struct op op, struct thing *t, const struct place *own)
{
    struct thing **value_at = &l->r[op.operand[2]];

    switch (op.code) {
    case OP_SET_PRIVATE:
        place_stored(own, *value_at);
        wane_set_private(own->slot, *value_at);
        break;
    case OP_PUT_PRIVATE:
        if (*value_at == t)
            break; /* the container's only unit would be gone before it is stored */
        place_stored(own, *value_at);
        wane_put_private(own->slot, *value_at);
        *value_at = NULL;
        break;
    case OP_CLEAR_PRIVATE:
        place_stored(own, NULL);
        wane_clear_private(own->slot);
        break;
    default:
        if (own->slot) {
            struct thing *in = wane_take_private(own->slot);

            place_expect(own, in);
            place_stored(own, NULL);
            fill(value_at, in);
        }
    }
}

static void
do_own(struct lane *l, struct op op)
{
    struct thing  *t = l->r[op.operand[0]], *in;
    struct thing **value_at = &l->r[op.operand[2] % REGISTERS];
    struct place   own;

    if (!t || !thing_own_slots(t))
        return;
    own = thing_own(t, op.operand[1]);
    if (keeps_itself(&own, t, *value_at) && (op.code == OP_PUT || op.code == OP_SWAP))
        return;
    switch (op.code) {
    case OP_SET: place_set(&own, *value_at); break;
    case OP_CLEAR: place_set(&own, NULL); break;
    case OP_TAKE: fill(value_at, place_take(&own)); break;
    case OP_GET: fill(value_at, place_get(&own)); break;
    case OP_CAS: (void)place_cas(&own, *value_at, l->r[op.operand[3]], false); break;
    case OP_CAS_PUT:
        if (place_cas(&own, *value_at, l->r[op.operand[3]], true))
            l->r[op.operand[3]] = NULL;
        break;
    case OP_PUT:
        in = *value_at;
        *value_at = NULL;
        place_put(&own, in);
        break;
    case OP_SWAP:
        in = *value_at;
        *value_at = NULL;
        fill(value_at, place_swap(&own, in));
        break;
    default:
        if (is_private(l, t))
            do_own_private(l, op, t, &own);
    }
}

/* ---- Common places -------------------------------------------------------------------------------------------------- */

static void
do_common(struct lane *l, struct op op)
{
    struct place   place;
    struct thing  *in;
    struct thing **x = &l->x[op.operand[1] % COMMONS];

    if (!place_of(l, op.operand[0], &place))
        return;
    if ((op.code == OP_STORE_PUT || op.code == OP_EXCHANGE) && keeps_itself(&place, value(l, op.operand[0]), *x))
        return;
    switch (op.code) {
    case OP_STORE: place_set(&place, value(l, op.operand[1])); break;
    case OP_EMPTY: place_set(&place, NULL); break;
    case OP_FETCH: fill(x, place_take(&place)); break;
    case OP_LOAD: fill(x, place_get(&place)); break;
    case OP_STORE_CAS: (void)place_cas(&place, value(l, op.operand[1]), value(l, op.operand[2]), false); break;
    case OP_STORE_CAS_PUT:
        x = &l->x[op.operand[2]];
        if (place_cas(&place, value(l, op.operand[1]), *x, true))
            *x = NULL;
        break;
    case OP_STORE_PUT:
        in = *x;
        *x = NULL;
        place_put(&place, in);
        break;
    default:
        in = *x;
        *x = NULL;
        fill(x, place_swap(&place, in));
    }
}

/* ---- Sections ------------------------------------------------------------------------------------------------------- */

static void
end_borrows(struct lane *l)
{
    memset(l->b, 0, sizeof l->b);
}

static void
leave(struct lane *l)
{
    struct thing *pins[MOST_PINS];
    unsigned      n = 0;

    if (l->depth == 0)
        return;
    if (--l->depth == 0) {
        end_borrows(l);
        n = l->pins;
        memcpy(pins, l->pin, sizeof pins);
        l->pins = 0;
    }
    while (n > 0)
        wane_release(pins[--n]);
    wane_leave();
}

static void
checkpoint(struct lane *l)
{
    while (l->depth == 1 && l->pins > 0)
        wane_release(l->pin[--l->pins]);
    if (l->depth == 1)
        end_borrows(l);
    wane_checkpoint();
}

static void
borrow(struct lane *l, struct op op)
{
    struct place place;
    enum base    base = OPERAND_BASE(op.operand[1]);

    if (l->depth == 0 || !place_of(l, op.operand[1], &place))
        return;
    if (base == BASE_R || base == BASE_X) { /* the container stays as long as the borrow */
        if (l->pins == MOST_PINS)
            return;
        l->pin[l->pins++] = wane_retain(value(l, op.operand[1]));
    }
    l->b[op.operand[0]] = place_peek(&place);
    thing_check(l->b[op.operand[0]]);
    place_expect(&place, l->b[op.operand[0]]);
}

/* ---- Weak references ------------------------------------------------------------------------------------------------ */

static void
fill_weak(struct lane *l, unsigned i, void *weak, int32_t id)
{
    wane_release(l->w[i]);
    l->w[i] = weak;
    l->w_id[i] = id;
}

static void
make_weak(struct lane *l, unsigned i, struct thing *t)
{
    struct entry *e;
    void         *weak, *known = NULL;

    if (!t)
        return;
    e = &world.entry[t->id];
    weak = wane_weak(t);
    if (!weak)
        world_fail("no weak reference to object %d, which is held", t->id);
    if (!atomic_compare_exchange_strong(&e->weak, &known, weak) && known != weak)
        world_fail("object %d has two weak references", t->id);
    fill_weak(l, i, weak, t->id);
}

static void
upgrade(struct lane *l, unsigned i, struct thing **x)
{
    struct entry *e;
    struct thing *t;
    bool          null_seen;

    if (!l->w[i])
        return;
    e = &world.entry[l->w_id[i]];
    null_seen = atomic_load(&e->null_seen);
    t = wane_weak_get(l->w[i]);
    if (!t) {
        if (holds(l, l->w_id[i]))
            world_fail("object %d is held, and its weak reference gives NULL", l->w_id[i]);
        atomic_store(&e->null_seen, true);
    } else if (null_seen || t != e->thing) {
        world_fail("a weak reference to object %d gives object %d%s", l->w_id[i], t->id, null_seen ? " after NULL" : "");
    }
    fill(x, t);
}

/* Whose weak reference is this? We hold it; of those that had this address the one that lives is right. */
static int32_t
target_of(const void *weak)
{
    int32_t found = NOBODY;

    for (int32_t id = 0; id < MAX_LANES * MAX_OPS; id++) {
        struct entry *e = &world.entry[id];

        if (atomic_load(&e->weak) == weak && (found == NOBODY || !atomic_load(&e->disposed)))
            found = id;
    }
    return found;
}

static void
load_weak(struct lane *l, unsigned i, struct thing *t)
{
    wane_slot *slot = thing_weak_slot(t);
    void      *weak = slot ? wane_get(slot) : NULL;

    if (weak)
        fill_weak(l, i, weak, target_of(weak));
}

static void
notify(struct lane *l, unsigned i)
{
    struct entry *e = l->w[i] ? &world.entry[l->w_id[i]] : NULL;
    int           rc;

    if (!e)
        return;
    rc = wane_weak_notify(l->w[i], world_notified, e);
    if (rc == 0)
        atomic_fetch_add(&e->registered, 1);
    else if (rc != -ESRCH || holds(l, l->w_id[i]))
        world_fail("wane_weak_notify for object %d gives %d", l->w_id[i], rc);
}

static void
unnotify(struct lane *l, unsigned i)
{
    struct entry *e = l->w[i] ? &world.entry[l->w_id[i]] : NULL;

    if (e && wane_weak_unnotify(l->w[i], world_notified, e))
        atomic_fetch_add(&e->cancelled, 1);
}

static void
do_weak(struct lane *l, struct op op)
{
    wane_slot *slot;
    unsigned   i = op.operand[0] % WEAKS;

    switch (op.code) {
    case OP_WEAK: make_weak(l, i, value(l, op.operand[1])); break;
    case OP_UPGRADE: upgrade(l, i, &l->x[op.operand[1]]); break;
    case OP_WEAK_DROP: fill_weak(l, i, NULL, NOBODY); break;
    case OP_WEAK_LOAD: load_weak(l, i, value(l, op.operand[1])); break;
    case OP_NOTIFY: notify(l, i); break;
    case OP_UNNOTIFY: unnotify(l, i); break;
    default:
        slot = thing_weak_slot(value(l, op.operand[0]));
        if (slot)
            wane_set(slot, l->w[op.operand[1]]);
    }
}

/* ---- The runtime as a whole ----------------------------------------------------------------------------------------- */

static void
expect_one_of(const char *call, int rc, int a, int b, int c)
{
    if (rc != a && rc != b && rc != c)
        world_fail("%s gives %d", call, rc);
}

/* Outside of sections; inside they are refused. */
static void
do_runtime(struct lane *l, struct op op)
{
    int refused = l->depth ? -EDEADLK : 0;

    switch (op.code) {
    case OP_COLLECT:
        expect_one_of("wane_collect", wane_collect(op.operand[0], NULL), refused, l->depth ? refused : -EAGAIN, refused);
        break;
    case OP_BARRIER: expect_one_of("wane_barrier", wane_barrier(), refused, refused, refused); break;
    case OP_FREEZE: expect_one_of("wane_freeze", wane_freeze(), refused, l->depth ? refused : -EALREADY, refused); break;
    case OP_UNFREEZE: expect_one_of("wane_unfreeze", wane_unfreeze(), refused, l->depth ? refused : -EALREADY, refused); break;
    case OP_STEP:
        if (!l->depth)
            expect_one_of("wane_step", wane_step(100000), 0, 1, -EBUSY);
        break;
    case OP_FINALIZERS:
        if (!l->depth)
            (void)wane_run_finalizers();
        break;
    default:
        if (!l->depth)
            nanosleep(&(struct timespec){0, 20000}, NULL);
    }
}

/* ---- From hand to hand ---------------------------------------------------------------------------------------------- */

/* Consumes t's unit; what was in the box is let go. */
static void
send(unsigned box, struct thing *t)
{
    if (t)
        expect_one_of("wane_give", wane_give(t), 0, -EBUSY, 0);
    wane_release(wane_adopt(atomic_exchange(&world.mailbox[box], t)));
}

static void
share(struct lane *l, struct thing *t)
{
    int i = 0;

    while (i < MOST_SHARED && l->shared[i])
        i++;
    if (!t || i == MOST_SHARED)
        return;
    wane_retain(t);
    if (wane_share(t) == 0)
        l->shared[i] = t;
    else
        wane_release(t);
}

static void
unshare(struct lane *l)
{
    for (int i = 0; i < MOST_SHARED; i++)
        if (l->shared[i]) {
            struct thing *t = l->shared[i];

            expect_one_of("wane_unshare", wane_unshare(t), 0, 0, 0);
            l->shared[i] = NULL;
            wane_release(t);
            return;
        }
}

static void
later(void)
{
    atomic_fetch_add(&world.later, 1);
    if (wane_free_deferred(malloc(16), world_later) != 0)
        world_fail("wane_free_deferred has no memory");
}

static void
do_hands(struct lane *l, struct op op)
{
    struct thing **x = &l->x[op.operand[0] % COMMONS], **r = &l->r[op.operand[0] % REGISTERS], *t;

    switch (op.code) {
    case OP_SEND:
        t = *r;
        *r = NULL;
        send(op.operand[1], t);
        break;
    case OP_SEND_ON:
        t = *x;
        *x = NULL;
        send(op.operand[1], t);
        break;
    case OP_RECEIVE: fill(x, wane_adopt(atomic_exchange(&world.mailbox[op.operand[1]], NULL))); break;
    case OP_SHARE: share(l, value(l, op.operand[0])); break;
    case OP_UNSHARE: unshare(l); break;
    default: later();
    }
}

/* ---- Any operation -------------------------------------------------------------------------------------------------- */

void
lane_do(struct lane *l, struct op op, int32_t id)
{
    if (op.code >= OP_SET && op.code <= OP_TAKE_PRIVATE) {
        do_own(l, op);
    } else if (op.code >= OP_STORE && op.code <= OP_STORE_CAS_PUT) {
        do_common(l, op);
    } else if (op.code >= OP_WEAK && op.code <= OP_UNNOTIFY) {
        do_weak(l, op);
    } else if (op.code >= OP_SEND && op.code <= OP_LATER) {
        do_hands(l, op);
    } else {
        switch (op.code) {
        case OP_NEW: fill(&l->r[op.operand[0]], thing_new(id, op.operand[1])); break;
        case OP_DUP: fill(&l->r[op.operand[0]], wane_retain(l->r[op.operand[1]])); break;
        case OP_DROP: fill(&l->r[op.operand[0]], NULL); break;
        case OP_KEEP: fill(&l->x[op.operand[0]], wane_retain(value(l, op.operand[1]))); break;
        case OP_LET_GO: fill(&l->x[op.operand[0]], NULL); break;
        case OP_ENTER:
            wane_enter();
            l->depth++;
            break;
        case OP_LEAVE: leave(l); break;
        case OP_CHECKPOINT: checkpoint(l); break;
        case OP_BORROW: borrow(l, op); break;
        case OP_USE: (void)value(l, op.operand[0]); break;
        default: do_runtime(l, op);
        }
    }
}

void
lane_close(struct lane *l, bool for_ever)
{
    while (l->depth > 0)
        leave(l);
    for (int i = 0; for_ever && i < MOST_SHARED; i++)
        unshare(l);
}
