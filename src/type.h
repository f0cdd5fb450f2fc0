/* SPDX-License-Identifier: MIT
 *
 * type.h - registered types, and walking an object's slots
 *
 * One description of the slots (offsets, then the trace callback) serves the collector's traces, the drop at death and
 * the look at a stored object. Entries are written once under a lock and never change (c).
 */
#ifndef WN_TYPE_H
#define WN_TYPE_H

#include "header.h"

struct wn_type {
    const char        *name;
    size_t             size;
    uint32_t          *slots;
    size_t             slot_count;
    void (*trace)(const void *, struct wane_visitor *);
    void (*dispose)(void *);
    void (*finalize)(void *);
    struct wane_type  *declared;
    uint32_t           id;
    bool               has_slots; /* the collector looks into it */
    bool               traced;    /* the same, and it may be part of a cycle: it can be a candidate */
    bool               sized;
    bool               is_plain; /* no slots, no callbacks, no prefix: its death has no consequence */
    bool               is_silent; /* the same, but for declared slots */
    bool               can_hold; /* a store into an object in nobody's slot need make no candidate (slot.c) */
    bool               traced_early; /* its callback may be called from birth on */
    bool               owns_first;   /* the payload begins with a pointer to an object of which it owns a unit */
    struct wane_atomic_ptr slot_names; /* a: const char *const *, one for each declared slot; NULL: they have numbers */
    struct wane_atomic64 immortal; /* a: objects that are not meant to end */
    size_t             prefix; /* bytes in front of the header: struct wn_prefix or nothing */
    size_t             bytes;  /* prefix, header and payload (the least, of sized types) */
    uint32_t           bin;    /* of that (cell.h) */
    uint64_t           word0;  /* of an object that nobody owns yet */
};

/* In front of the header of types with a finalizer or with a size of their own. */
struct wn_prefix {
    struct wane_header *next; /* finalizer queue */
    size_t              size; /* payload bytes, WANE_SIZED */
};
_Static_assert(sizeof(struct wn_prefix) == 16, "payloads stay aligned");

extern struct wane_atomic_ptr wn_types[WN_MAX_TYPES + 1];

struct wane_visitor {
    void (*slot)(struct wane_visitor *, wane_slot *);
    void (*range)(struct wane_visitor *, wane_slot *first, size_t count); /* or NULL: slot, one by one */
};

/* The type of a declaration, registered now if need be; NULL with errno. */
struct wn_type *wn_type_register(struct wane_type *declared);

_Noreturn void wn_not_an_object(const struct wane_header *h);

/* Aborts with a message when h is not the header of an object. */
static inline struct wn_type *
wn_type_of(const struct wane_header *h)
{
    struct wn_type *t;

    if (__builtin_expect((uintptr_t)h % WN_CELL_UNIT || (uintptr_t)h < 4096, 0))
        wn_not_an_object(h);
    /* relaxed: the type field never changes. acquire E6. */
    t = load_acquire(&wn_types[wn_type_id(load_relaxed(&h->word0))]);
    if (__builtin_expect(!t, 0))
        wn_not_an_object(h);
    return t;
}

/* The same of what the library itself has put on a list. */
static inline struct wn_type *
wn_type_at_hand(const struct wane_header *h)
{
    return load_relaxed(&wn_types[wn_type_id(load_relaxed(&h->word0))]); /* relaxed: it was looked at before */
}

/* Show every slot. The caller is in a section and holds h, or holds its dead memory. */
void wn_type_trace(const struct wn_type *type, struct wane_header *h, struct wane_visitor *visitor);

/* Its declared slots are all that wn_type_trace would show, and few. w1: its word1, read in this section. */
static inline bool
wn_type_has_few_slots(const struct wn_type *t, uint64_t w1)
{
    return !t->trace && !(w1 & WN_WEAK) && t->slot_count <= 64;
}

static inline wane_slot *
wn_type_slot(const struct wn_type *t, struct wane_header *h, size_t i)
{
    return (wane_slot *)(void *)((char *)(h + 1) + t->slots[i]);
}

static inline struct wn_prefix *
wn_prefix(struct wane_header *h)
{
    return (struct wn_prefix *)((char *)h - sizeof(struct wn_prefix));
}

static inline size_t
wn_type_payload_size(const struct wn_type *t, const struct wane_header *h)
{
    return t->sized ? wn_prefix((struct wane_header *)(uintptr_t)h)->size : t->size;
}

/* With header and prefix. */
static inline size_t
wn_type_bytes(const struct wn_type *t, const struct wane_header *h)
{
    return t->sized ? t->prefix + sizeof *h + wn_prefix((struct wane_header *)(uintptr_t)h)->size : t->bytes;
}

uint32_t wn_type_count(void); /* ids 1 .. this */
void     wn_type_lock(void);  /* for fork */
void     wn_type_unlock(void);

/* One clear message that names the object's type, then abort. */
_Noreturn void wn_fatal(const struct wane_header *h, const char *what);

#endif
