/* SPDX-License-Identifier: MIT
 *
 * fast.h - the paths that must be inline: sections, retain, release, peek
 *
 * Included by wane.h; programs do not include it by themselves. What this file shows of the object header, of a
 * record and of the thread-local word is compiled into users' binaries and therefore part of the ABI (WANE_ABI).
 *
 * Every function here is also a symbol of the library (C99 inline), so that other languages call the same code.
 *
 *   header    word0  type and more 16 | owner 16 | quiet 1 | guard 1 | local 30    (the payload follows 16 bytes later)
 *             word1  version 17 | count 32 | flags 15                    (never touched on the paths in this file)
 *   self      me     owner id << 32 inside a section; an impossible value outside, so that one compare answers
 *                    "inside a section, and on the record that owns this object"
 *   record    ctr    epoch << 16 | nesting depth
 *
 * Invariant: owner(word0) != 0  <=>  local(word0) >= 1 (the object is biased to that record).
 */
#ifndef WANE_WANE_H
#include <wane/wane.h> /* which includes this file where its types are known */
#endif
#ifndef WANE_FAST_H
#define WANE_FAST_H

#include <wane/version.h> /* WANE_ABI, WANE_VERSION */

/* An atomic word is a one-field struct: a plain access to it does not compile by accident. */
struct wane_atomic32 { uint32_t value; };
struct wane_atomic64 { uint64_t value; };
struct wane_atomic_ptr { void *value; };

#define WANE_LOAD_RELAXED(a) __atomic_load_n(&(a)->value, __ATOMIC_RELAXED)
#define WANE_LOAD_ACQUIRE(a) __atomic_load_n(&(a)->value, __ATOMIC_ACQUIRE)
#define WANE_STORE_RELAXED(a, v) __atomic_store_n(&(a)->value, (v), __ATOMIC_RELAXED)
#define WANE_STORE_RELEASE(a, v) __atomic_store_n(&(a)->value, (v), __ATOMIC_RELEASE)

#define WANE_LIKELY(x) __builtin_expect(!!(x), 1)

struct wane_header {
    struct wane_atomic64 word0; /* written by the owner only: relaxed load and store */
    struct wane_atomic64 word1; /* shared: every change is one atomic read-modify-write */
};

#define WANE_HEADER(object) ((struct wane_header *)((char *)(object) - sizeof(struct wane_header)))

#define WANE_OWNER_AND_GUARD UINT64_C(0x0000FFFF40000000)
#define WANE_QUIET           UINT64_C(0x0000000080000000)
#define WANE_LOCAL_LIMIT     UINT64_C(0x0000000040000000) /* the guard bit: local counts stay below it */

/* The part of a record that this file reads; the library knows the rest. */
struct wane_record {
    struct wane_atomic64 ctr;       /* o: written by the thread that stands here; read by grace periods */
    struct wane_atomic32 claim;     /* a: not 0 sends the entering thread out of line */
    struct wane_atomic32 attention; /* a: not 0 sends the leaving thread out of line */
    uint64_t             me;        /* c: owner id << 32 */
};

#define WANE_NEST      UINT64_C(0xFFFF)
#define WANE_ONE_EPOCH UINT64_C(0x10000)
#define WANE_OUTSIDE   UINT64_C(1)

struct wane_self {
    uint64_t            me;
    struct wane_record *record; /* NULL until the thread's first section */
};

/* initial-exec: one %fs-relative load. Repeated at the definition (gcc drops it there otherwise). */
extern __thread struct wane_self wane_self __attribute__((tls_model("initial-exec")));

/* The global epoch; its nest field is always 1, so that a section starts by copying it. */
extern struct wane_atomic64 wane_epoch;

/* The out-of-line continuations; not for programs. */
void wane_enter_slow(void);
void wane_leave_slow(void);
void wane_retain_slow(void *object);
void wane_release_slow(void *object);

WANE_INLINE void
wane_enter(void)
{
    struct wane_record *r = wane_self.record;
    uint64_t            ctr;

    if (!WANE_LIKELY(r)) {
        wane_enter_slow();
        return;
    }
    ctr = WANE_LOAD_RELAXED(&r->ctr);
    if (ctr & WANE_NEST) {
        if (!WANE_LIKELY((ctr & WANE_NEST) != WANE_NEST))
            wane_enter_slow(); /* refuses: nested too deeply */
        WANE_STORE_RELAXED(&r->ctr, ctr + 1);
        return;
    }
    /* acquire E1: an epoch seen => every displacement before its ticket seen. release: keeps the edge of the last leave. */
    WANE_STORE_RELEASE(&r->ctr, WANE_LOAD_ACQUIRE(&wane_epoch));
    /* The membarrier of whoever reads ctr makes this compiler barrier a full fence (E2). */
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    /* acquire E3: what the last claimer wrote as the owner. */
    if (!WANE_LIKELY(WANE_LOAD_ACQUIRE(&r->claim) == 0)) {
        wane_enter_slow();
        return;
    }
    wane_self.me = r->me;
}

WANE_INLINE void
wane_leave(void)
{
    struct wane_record *r = wane_self.record;
    uint64_t            ctr;

    if (!WANE_LIKELY(r)) {
        wane_leave_slow(); /* refuses: no section is open */
        return;
    }
    ctr = WANE_LOAD_RELAXED(&r->ctr);
    if (!WANE_LIKELY((ctr & WANE_NEST) == 1)) {
        if (ctr & WANE_NEST)
            WANE_STORE_RELAXED(&r->ctr, ctr - 1);
        else
            wane_leave_slow(); /* refuses: no section is open */
        return;
    }
    if (!WANE_LIKELY(WANE_LOAD_RELAXED(&r->attention) == 0)) {
        wane_leave_slow();
        return;
    }
    wane_self.me = WANE_OUTSIDE;
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    /* release E4: all that this section read or counted, for grace periods and claimers. */
    WANE_STORE_RELEASE(&r->ctr, ctr - 1);
}

WANE_INLINE void *
wane_retain(void *object)
{
    struct wane_header *h;
    uint64_t            w;

    if (!object)
        return object;
    h = WANE_HEADER(object);
    w = WANE_LOAD_RELAXED(&h->word0);
    if (WANE_LIKELY((w & WANE_OWNER_AND_GUARD) == wane_self.me))
        WANE_STORE_RELAXED(&h->word0, w + 1);
    else
        wane_retain_slow(object);
    return object;
}

WANE_INLINE void
wane_release(void *object)
{
    struct wane_header *h;
    uint64_t            w;

    if (!object)
        return;
    h = WANE_HEADER(object);
    w = WANE_LOAD_RELAXED(&h->word0);
    /* One compare: my object, its candidate mark set (or a leaf), the guard clear, and not the last local unit. */
    if (WANE_LIKELY(((w - wane_self.me) << 16) - ((WANE_QUIET | 2) << 16) < ((WANE_LOCAL_LIMIT - 2) << 16)))
        WANE_STORE_RELAXED(&h->word0, w - 1);
    else
        wane_release_slow(object);
}

/* ---- Tags ------------------------------------------------------------------------------------------------------ */

#define WANE_TAG_MASK ((uintptr_t)7)

/**
 * wane_tag, wane_tag_of, wane_untag - three bits beside a pointer: with them set; these; the pointer without them
 *
 * @pointer  an object or NULL, tagged or not. What is stored into a slot may carry a tag
 * @bits     0 to 7
 * Counts    none
 * Threads   any
 * Progress  wait-free
 *
 * wane_peek_tagged - what a slot holds, with its tag: wane_peek is the same without it
 */
WANE_INLINE void *
wane_untag(const void *pointer)
{
    return (void *)((uintptr_t)pointer & ~WANE_TAG_MASK);
}

WANE_INLINE unsigned
wane_tag_of(const void *pointer)
{
    return (unsigned)((uintptr_t)pointer & WANE_TAG_MASK);
}

WANE_INLINE void *
wane_tag(const void *pointer, unsigned bits)
{
    return (void *)(((uintptr_t)pointer & ~WANE_TAG_MASK) | (bits & WANE_TAG_MASK));
}

WANE_INLINE void *
wane_peek_tagged(const wane_slot *slot)
{
    /* acquire E5: what was written to the object before it was stored. */
    return (void *)__atomic_load_n(&slot->bits, __ATOMIC_ACQUIRE);
}

WANE_INLINE void *
wane_peek(const wane_slot *slot)
{
    return (void *)(__atomic_load_n(&slot->bits, __ATOMIC_ACQUIRE) & ~WANE_TAG_MASK);
}

#endif
