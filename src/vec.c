/* SPDX-License-Identifier: MIT
 *
 * vec.c - a growable vector: one writer, any number of readers
 *
 * The vector holds one pointer to a buffer {length, capacity, slots}. The buffer is an object without slots of its own
 * (the runtime never looks into it); the vector owns one unit of it and is what shows the slots. So a buffer that has
 * been replaced is let go like any displaced reference, after a grace period, and that needs no memory and cannot fail.
 *
 * Invariants
 *  1  Only the writer stores: slots and length of the current buffer, and the pointer. A replaced buffer never changes.
 *  2  0 <= length <= capacity; slots at and above the length are empty, but for the one that a push is filling or a pop
 *     is emptying.
 *  3  A unit is in one slot of the current buffer. That its word is still in a replaced buffer counts for nothing: the
 *     buffer's memory is all that dies with it.
 *
 * Readers take pointer, length and slot from one buffer, so they see one state of the vector: the present one, or one
 * that was present in their section. What they borrow there is counted: its unit is in a slot, or was displaced while
 * their section was open.
 *
 * Tracing while it changes: trace loads the pointer once and shows each slot of that buffer once. Growth moves the
 * units silently, which is sound as one trace never sees two buffers: a unit is seen at most once, and not at all when
 * its displacement (which follows the new buffer's publication) can have been applied. At death, dispose lets the
 * buffer go and leaves the pointer: the slots are dropped in the same section, before the buffer can be freed.
 *
 * A write is one section (but for the memory that a push needs), so the callbacks of dying objects, which run when an
 * outermost section ends, find the vector whole and may use it.
 *
 * Removal from the middle publishes a copy without the element. From then on its unit is in no slot that a new trace
 * can see, so it counts as a reference from outside; it is put into a root on the stack and displaced from there, that
 * is, it flows slot -> pending -> gone like any other, only in two steps. It is stored nowhere else in between.
 *
 * Orderings
 *  V1  buffer pointer: publish (release) -> current (acquire): length, capacity and slots of a fresh buffer
 *  V2  length: set_length (release) -> length_of (acquire): the slots below it are filled
 *  The slots' own edge (E5) hands over what is behind them.
 */
#include <wane/containers.h>
#include <wane/observe.h>

#include <errno.h>

struct buffer {
    struct wane_atomic64 length; /* a: V2 */
    size_t               capacity; /* c */
    wane_slot            slots[];
};

struct wane_vec {
    struct wane_atomic_ptr buffer; /* a: V1; NULL until the first push */
};

#define CAPACITY_MIN ((size_t)8)
#define CAPACITY_MAX ((PTRDIFF_MAX / 2 - sizeof(struct buffer)) / sizeof(wane_slot))

static struct wane_type buffer_type = {
    .name = "wane_vec_buffer",
    .size = sizeof(struct buffer),
    .flags = WANE_SIZED,
};

static struct buffer *
current(const struct wane_vec *vec)
{
    /* acquire V1: the contents of a buffer that has just been published. */
    return WANE_LOAD_ACQUIRE(&vec->buffer);
}

static size_t
length_of(const struct buffer *b)
{
    /* acquire V2: the slots below the length. */
    return b ? WANE_LOAD_ACQUIRE(&b->length) : 0;
}

static void
set_length(struct buffer *b, size_t length)
{
    /* release V2: all slots below it have been filled, by this store or by those before it. */
    WANE_STORE_RELEASE(&b->length, length);
}

/* Give back a unit that nothing leads to any more, when those have gone who may still be reading. */
static void
let_go(void *unit)
{
    wane_slot last = {0};

    if (!unit)
        return;
    wane_put(&last, unit);
    wane_clear(&last);
}

static void
trace(const void *object, struct wane_visitor *visitor)
{
    const struct buffer *b = current(object);

    if (b)
        wane_visit_array(visitor, b->slots, b->capacity);
}

static void
dispose(void *object)
{
    let_go(current(object));
}

static struct wane_type vec_type = {
    .name = "wane_vec",
    .size = sizeof(struct wane_vec),
    .trace = trace,
    .dispose = dispose,
    .flags = WANE_TRACED_EARLY | WANE_OWNS_FIRST,
};

struct wane_vec *
wane_vec_new(void)
{
    return wane_new(&vec_type);
}

static struct buffer *
buffer_new(size_t capacity)
{
    struct buffer *b = NULL;

    if (capacity <= CAPACITY_MAX)
        b = wane_new_sized(&buffer_type, sizeof *b + capacity * sizeof(wane_slot));
    if (b)
        b->capacity = capacity;
    return b;
}

/* The words of `count` slots; the units change their slots when the buffer of `to` is published. */
static void
move_words(wane_slot *to, const wane_slot *from, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        /* relaxed: the writer's own words. */
        uintptr_t word = __atomic_load_n(&from[i].bits, __ATOMIC_RELAXED);

        /* release: as for every store of a reference into a slot, who sees the unit sees its count (V1 repeats it). */
        __atomic_store_n(&to[i].bits, word, __ATOMIC_RELEASE);
    }
}

static void
publish(struct wane_vec *vec, struct buffer *fresh)
{
    struct buffer *old = current(vec);

    /* release V1: the fresh buffer is complete. */
    WANE_STORE_RELEASE(&vec->buffer, fresh);
    let_go(old);
}

/* Twice the room. Allocated outside of the section: memory may be slow to come. */
static bool
grow(struct wane_vec *vec)
{
    struct buffer *old = current(vec), *fresh;
    size_t         length;

    fresh = buffer_new(old ? 2 * old->capacity : CAPACITY_MIN);
    if (!fresh)
        return false;
    wane_enter();
    old = current(vec); /* once more: a dispose callback that ran in wane_new may have written to this vector */
    length = length_of(old);
    if (length <= fresh->capacity) {
        if (old)
            move_words(fresh->slots, old->slots, length);
        set_length(fresh, length);
        publish(vec, fresh);
    } else {
        wane_release(fresh);
    }
    wane_leave();
    return true;
}

static bool
append(struct wane_vec *vec, void *object)
{
    struct buffer *b = current(vec);
    size_t         length = length_of(b);

    if (!b || length == b->capacity)
        return false;
    wane_put(&b->slots[length], object);
    set_length(b, length + 1);
    return true;
}

size_t
wane_vec_length(const struct wane_vec *vec)
{
    size_t length;

    wane_enter();
    length = length_of(current(vec));
    wane_leave();
    return length;
}

int
wane_vec_push(struct wane_vec *vec, void *object)
{
    bool done;

    for (;;) {
        wane_enter();
        done = append(vec, object);
        wane_leave();
        if (done)
            return 0;
        if (!grow(vec))
            return -ENOMEM;
    }
}

void *
wane_vec_pop(struct wane_vec *vec)
{
    struct buffer *b;
    size_t         length;
    void          *object = NULL;

    wane_enter();
    b = current(vec);
    length = length_of(b);
    if (length > 0) {
        set_length(b, length - 1);
        object = wane_take(&b->slots[length - 1]);
    }
    wane_leave();
    return object;
}

/* A copy without element i. A quarter full or less: into half the room. */
static struct buffer *
copy_without(const struct buffer *b, size_t i, size_t length)
{
    bool           sparse = length <= b->capacity / 4 && b->capacity > CAPACITY_MIN;
    struct buffer *fresh = buffer_new(sparse ? b->capacity / 2 : b->capacity);

    if (fresh) {
        move_words(fresh->slots, b->slots, i);
        move_words(fresh->slots + i, b->slots + i + 1, length - i - 1);
        set_length(fresh, length - 1);
    }
    return fresh;
}

static int
cut(struct wane_vec *vec, size_t i)
{
    struct buffer *b = current(vec), *fresh;
    size_t         length = length_of(b);
    void          *removed;

    if (i >= length)
        return -ERANGE;
    if (i == length - 1) {
        set_length(b, i);
        wane_clear(&b->slots[i]);
        return 0;
    }
    fresh = copy_without(b, i, length);
    if (!fresh)
        return -ENOMEM;
    removed = wane_peek_tagged(&b->slots[i]);
    publish(vec, fresh);
    let_go(removed); /* after the publication: from here on no new reader finds it */
    return 0;
}

int
wane_vec_remove(struct wane_vec *vec, size_t i)
{
    int rc;

    wane_enter();
    rc = cut(vec, i);
    wane_leave();
    return rc;
}

/* The i-th slot, or NULL when it is out of range. Inside a section. */
static wane_slot *
slot_at(const struct wane_vec *vec, size_t i)
{
    struct buffer *b = current(vec);

    return i < length_of(b) ? &b->slots[i] : NULL;
}

void *
wane_vec_peek(const struct wane_vec *vec, size_t i)
{
    const wane_slot *slot = slot_at(vec, i);

    return slot ? wane_peek(slot) : NULL;
}

void *
wane_vec_get(const struct wane_vec *vec, size_t i)
{
    const wane_slot *slot;
    void            *object;

    wane_enter();
    slot = slot_at(vec, i);
    object = slot ? wane_get(slot) : NULL;
    wane_leave();
    return object;
}

int
wane_vec_set(struct wane_vec *vec, size_t i, void *object)
{
    wane_slot *slot;

    wane_enter();
    slot = slot_at(vec, i);
    if (slot)
        wane_set(slot, object);
    wane_leave();
    return slot ? 0 : -ERANGE;
}

int
wane_vec_put(struct wane_vec *vec, size_t i, void *object)
{
    wane_slot *slot;

    wane_enter();
    slot = slot_at(vec, i);
    if (slot)
        wane_put(slot, object);
    wane_leave();
    return slot ? 0 : -ERANGE;
}
