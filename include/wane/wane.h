/* SPDX-License-Identifier: MIT
 *
 * wane.h - concurrent reference counting with cycle collection
 *
 * Words: an *object* is memory made by wane_new; a *unit* is one reference that its count counts; a *slot* is an
 * 8-byte place that holds a reference; a *section* is wane_enter .. wane_leave, inside it pointers may be *borrowed*
 * from slots without counting; a *grace period* is the time until every section that was open has ended.
 *
 * The borrow rule: a pointer from wane_peek is valid while the section is open and what it was reached through stays
 * held. Do not release the container and go on using the borrow; do not hand a borrow to another thread. wane_get or
 * wane_retain what must outlive the section.
 *
 * Keys of the contracts: Counts (what happens to units), Errors, Threads, Progress. Sizes are bytes. Not for signal handlers.
 */
#ifndef WANE_WANE_H
#define WANE_WANE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

#if defined(__cplusplus) || defined(__GNUC_STDC_INLINE__)
#define WANE_INLINE inline
#else
#error "wane needs C99 inline semantics (do not use -fgnu89-inline)"
#endif

#define WANE_MUST_USE __attribute__((warn_unused_result))

/* Eight bytes, all zero is empty. Inside objects (declared by their type), or anywhere as a root. Never copy one. */
typedef struct wane_slot {
    uintptr_t bits; /* the library's: use the calls below */
} wane_slot;

/*
 * With WANE_CHECKED defined before this header is included, peeks, leaves, releases and uses of objects say where they stand, and
 * what breaks the borrow rule and does harm is refused with the names of the borrow, of the container and of the release that
 * ended it. The calls below are what it uses; not for programs.
 */
void *wane_checked_peek(const wane_slot *slot, const char *file, int line);
void *wane_checked_use(const void *object, const char *file, int line);
void  wane_checked_release(void *object, const char *file, int line);
void  wane_checked_leave(const char *file, int line);

#include <wane/fast.h> /* wane_enter, wane_leave, wane_retain, wane_release, wane_peek, wane_tag .. (contracts below) */

/* ---- Types ---------------------------------------------------------------------------------------------------- */

struct wane_visitor;

/*
 * What the runtime knows of a kind of object. Fill one statically (or by WANE_TYPE) and keep it for ever; it is
 * registered by the first wane_new. At most 65,534 types.
 *
 * trace must show each slot that the object owns exactly once, and no other; it runs concurrently with mutators, on any
 * thread, inside a section; it must not retain, release, store, allocate or block. An array of slots that can be
 * replaced is read through one acquire load and freed with wane_free_deferred. After dispose it is called again, for a wide
 * object many times in several sections, while the slots become empty: which slots it shows, and in which order, must not
 * depend on what is in slots.
 */
struct wane_type {
    const char     *name;       /* for messages and statistics; copied */
    size_t          size;       /* bytes of the payload (the least, for WANE_SIZED types) */
    const uint32_t *slots;      /* offsets of the slots; 8-byte aligned, inside size */
    size_t          slot_count;
    void (*trace)(const void *object, struct wane_visitor *visitor); /* in addition to slots, or NULL */
    void (*dispose)(void *object);  /* at death, before the slots are dropped: close files; may peek, must not retain */
    void (*finalize)(void *object); /* once, on the live object, before it would die; may resurrect */
    unsigned        flags;      /* WANE_SIZED, WANE_ACYCLIC; observe.h has others */
    struct wane_atomic32 id;    /* the library's: 0 until registered */
};

#define WANE_SIZED   1u /* objects of this type are made by wane_new_sized, each with a size of its own */
#define WANE_ACYCLIC 8u /* a promise: none is ever part of a cycle (lists, trees without parents), so changes to their counts are
                         * no reason to look for one. Broken, it may leak that cycle and what hangs from it; nothing worse */

/**
 * wane_visit - show a slot to the runtime, from a trace callback
 *
 * @visitor  the callback's argument
 * @slot     a slot that the traced object owns
 */
void wane_visit(struct wane_visitor *visitor, const wane_slot *slot);
void wane_visit_array(struct wane_visitor *visitor, const wane_slot *slots, size_t count);

/**
 * wane_new - make an object
 *
 * @type     its type
 * Returns   the payload, zeroed, biased to the calling thread, aligned to 8 bytes, or to 16 if 16 divides its size; or NULL
 * Counts    the caller owns one unit
 * Errors    NULL with errno: ENOMEM; EINVAL (the type's description is wrong, or it is WANE_SIZED)
 * Threads   any
 * Progress  that of malloc
 */
void *wane_new(struct wane_type *type) WANE_MUST_USE;

/**
 * wane_new_sized - make an object of a WANE_SIZED type with a payload of `size` bytes (at least type->size), 16-byte aligned
 */
void *wane_new_sized(struct wane_type *type, size_t size) WANE_MUST_USE;

/**
 * wane_type_of, wane_size_of - the type of an object; the bytes of its payload
 */
const struct wane_type *wane_type_of(const void *object);
size_t wane_size_of(const void *object);

/* ---- Counts --------------------------------------------------------------------------------------------------- */

/**
 * wane_retain - add a unit
 *
 * @object   owned or validly borrowed; NULL is allowed
 * Returns   object
 * Counts    caller +1
 * Errors    aborts with a message when the object is dead (misuse)
 * Threads   any, inside or outside sections; one plain load, compare and store for an object biased to the section's record
 * Progress  wait-free
 *
 * wane_release - give a unit back; the last one destroys the object
 *
 * @object   owned by the caller; NULL is allowed
 * Counts    caller -1
 * Errors    aborts with a message when there was nothing to release (misuse)
 * Threads   any, inside or outside sections
 * Progress  lock-free; a release that destroys does a bounded share of the work, the rest follows later (both: fast.h)
 */

/**
 * wane_is_unique - does the caller hold the only unit, and no weak reference exists?
 *
 * @object   owned by the caller
 * Returns   true: nobody else can reach the object now. Only then may the _private calls be used on its slots.
 */
bool wane_is_unique(const void *object);

/**
 * wane_give - let go of an object that only the caller holds, so that another thread can own it without atomics
 *
 * @object   owned by the caller, who hands the reference on by whatever way afterwards, and must not use it meanwhile
 * Returns   0; -EBUSY: somebody else may know the object (the caller does not hold its only unit, it has a weak reference, is
 *           shared or immortal), or its owner's record is not at hand right now: nothing has changed. The reference may be
 *           handed on all the same; the receiver then counts atomically
 * Counts    none
 * Threads   the one that holds the reference
 * Progress  wait-free; no read-modify-write, unless the object is a candidate for collection
 *
 * wane_adopt - the receiver's side: become the owner of an object of which one holds the only unit
 *
 * @object   owned by the caller; NULL is allowed
 * Returns   object
 * Progress  wait-free; no read-modify-write after a wane_give that needed none
 *
 * An object that was given and not adopted is adopted by the first call that gets it: retain, release, a store, weak ..
 * An object that cannot be adopted (others hold it) is left as it is. (Choi et al., PACT 2018, have no hand-over.)
 */
int   wane_give(void *object);
void *wane_adopt(void *object);

/**
 * wane_share - count a hot object on every thread's own record
 *
 * @object   owned or borrowed; retains and releases of all threads, inside sections, touch no common line from now on
 * Returns   0; -EALREADY; -EBUSY: an unshare is not settled yet (it takes a grace period), or the count is absurdly large;
 *           -ENOMEM: too many objects are shared (about a thousand can be), or there is no memory
 * Counts    none; until it is unshared the object cannot die, and the collector takes it and all that it holds for live.
 *           What many threads are at shares itself, for a second at most (docs/guide/05): this makes it the program's
 * Threads   any
 * Progress  lock-free
 *
 * wane_unshare - back to one count
 *
 * @object   owned or borrowed
 * Returns   0; -EINVAL: it is not shared, or has shared itself; -ENOMEM: nothing has changed
 * Counts    after a grace period; if nobody holds the object it dies then
 */
int wane_share(void *object);
int wane_unshare(void *object);

/**
 * wane_immortal - an object that shall live as long as the process: counts no longer matter, cycles through it are kept
 *
 * @object   owned or borrowed. It is not reported as a leak, nor is its weak reference; what it holds is
 * Progress  lock-free
 */
void wane_immortal(void *object);

/* Released at the end of the scope: WANE_AUTO(struct person) *p = person_new(); */
#define WANE_AUTO(T) __attribute__((cleanup(wane_release_at))) T

/**
 * wane_release_at - release *(void **)variable; for WANE_AUTO
 */
WANE_INLINE void
wane_release_at(void *variable)
{
    wane_release(*(void **)variable);
}

/**
 * wane_steal - take the reference out of a WANE_AUTO variable and clear it: return wane_steal(&p);
 */
WANE_INLINE void *
wane_steal(void *variable)
{
    void *object = *(void **)variable;

    *(void **)variable = NULL;
    return object;
}

/* ---- Sections ------------------------------------------------------------------------------------------------- */

/**
 * wane_enter, wane_leave - open and close a section; they nest
 *
 * Errors    leave without enter, or more than 65,535 levels: abort with a message
 * Threads   any; a thread attaches itself by its first section
 * Progress  wait-free, but for a leave with a backlog (bounded work). Do not block inside: grace periods wait.
 *
 * (Both are inline in fast.h.)
 */

/**
 * wane_checkpoint - between requests: lets grace periods pass and does a bounded share of waiting work
 *
 * Inside a section of depth 1 borrows end here. Inside deeper sections, and outside, it does nothing to borrows.
 */
WANE_INLINE void
wane_checkpoint(void)
{
    struct wane_record *r = wane_self.record;

    if (r && (WANE_LOAD_RELAXED(&r->ctr) & WANE_NEST) == 1) {
        wane_leave();
        wane_enter();
    } else if (r && (WANE_LOAD_RELAXED(&r->ctr) & WANE_NEST) == 0 && WANE_LOAD_RELAXED(&r->attention) != 0) {
        wane_enter();
        wane_leave();
    }
}

/**
 * wane_in_section - is a section open on this thread?
 */
bool wane_in_section(void);

/* WANE_SECTION { ... }: a section for one statement. break, return and goto leave it properly. */
#define WANE_SECTION WANE_SECTION_(WANE_CAT(wane_section_, __LINE__))
#define WANE_SECTION_(name) \
    for (int name __attribute__((cleanup(wane_section_end))) = wane_section_begin(); name; name = wane_section_step())

WANE_INLINE int
wane_section_begin(void)
{
    wane_enter();
    return 1;
}

WANE_INLINE int
wane_section_step(void)
{
    return 0;
}

WANE_INLINE void
wane_section_end(int *unused)
{
    (void)unused;
    wane_leave();
}

/* ---- Slots ---------------------------------------------------------------------------------------------------- */

/**
 * wane_peek - borrow what a slot holds (tag bits removed); wane_peek_tagged leaves them in
 *
 * @slot     a slot of an object that is held or validly borrowed, or a root
 * Returns   a borrowed pointer, or NULL; see the borrow rule above
 * Counts    none
 * Threads   any, only inside a section
 * Progress  wait-free (one load)
 *
 * (Inline in fast.h.)
 */

/**
 * wane_get - a reference of one's own to what a slot holds (tag bits removed)
 *
 * Returns   owned, or NULL if the slot was empty
 * Counts    caller +1
 * Threads   any, inside or outside a section
 * Progress  wait-free
 */
void *wane_get(const wane_slot *slot) WANE_MUST_USE;

/**
 * wane_set - store; the slot takes a unit of its own, the caller keeps his
 *
 * @slot     where; the displaced unit is given back after a grace period
 * @object   owned or borrowed by the caller; may carry a tag; NULL empties the slot
 * Counts    slot +1 now; the displaced object's -1 after a grace period
 * Threads   any, inside or outside a section
 * Progress  wait-free, but for the log's slow path when a chunk is full
 *
 * wane_put - store and give the caller's unit to the slot (the caller no longer owns it)
 * wane_clear - empty the slot: wane_set(slot, NULL)
 */
void wane_set(wane_slot *slot, void *object);
void wane_put(wane_slot *slot, void *object);
void wane_clear(wane_slot *slot);

/**
 * wane_take - empty the slot; the caller owns what was in it
 *
 * Returns   owned (tag bits removed), or NULL if it was empty
 * Counts    caller +1 now; the slot's own unit -1 after a grace period
 * Threads   any; of concurrent takers one gets it
 * Progress  wait-free
 *
 * wane_swap - put with the old content returned, owned
 */
void *wane_take(wane_slot *slot) WANE_MUST_USE;
void *wane_swap(wane_slot *slot, void *object) WANE_MUST_USE;

/**
 * wane_cas - store `desired` if the slot holds `expected` (compared with tag bits)
 *
 * Returns   true: stored. false: nothing has changed, all counts included
 * Counts    as wane_set on success (none where only the tag changes); wane_cas_put consumes the caller's unit, on success only
 * Threads   any; `expected` must be held or borrowed (so that its address is not re-used), or be NULL
 * Progress  lock-free (wait-free but for a release on failure); wait-free where only the tag changes
 */
bool wane_cas(wane_slot *slot, const void *expected, void *desired);
bool wane_cas_put(wane_slot *slot, const void *expected, void *desired);

/**
 * wane_set_private, wane_put_private, wane_take_private, wane_clear_private - the same without a grace period
 *
 * @slot     of an object that was never published, or that is held exclusively (wane_is_unique)
 * Counts    the displaced unit is dropped at once; take moves the slot's unit to the caller
 * Progress  lock-free; no read-modify-write for objects biased to the section's record
 */
void  wane_set_private(wane_slot *slot, void *object);
void  wane_put_private(wane_slot *slot, void *object);
void *wane_take_private(wane_slot *slot) WANE_MUST_USE;
void  wane_clear_private(wane_slot *slot);

/**
 * wane_free_deferred - call fn(pointer) after a grace period; fn NULL means free
 *
 * Returns   0, or -ENOMEM (nothing was scheduled; the pointer is still the caller's)
 * Threads   any; fn runs on any thread, inside a section
 */
int wane_free_deferred(void *pointer, void (*fn)(void *));

/* ---- Weak references ------------------------------------------------------------------------------------------ */

/**
 * wane_weak - the weak reference of an object: itself an object, one per target, storable in slots
 *
 * @object   owned or borrowed
 * Returns   owned weak reference; NULL with ENOMEM, or ESRCH: the object is dying (inside its dispose). Two weak
 *           references are to the same object exactly if they are the same pointer
 * Threads   any
 *
 * wane_weak_get - upgrade
 *
 * @weak     from wane_weak
 * Returns   an owned reference to the target, or NULL; NULL is final: no later upgrade succeeds
 * Counts    caller +1 on the target
 * Progress  lock-free
 */
void *wane_weak(void *object) WANE_MUST_USE;
void *wane_weak_get(void *weak) WANE_MUST_USE;

/**
 * wane_weak_notify - have fn(weak, arg) called once, when the target dies
 *
 * @weak     from wane_weak; any number of callbacks, in no promised order
 * @fn       called after the target's dispose (in a cycle: after every dispose), so what it held open is closed;
 *           upgrades give NULL by then, for ever. Finalizers that resurrect the target call nothing
 * Returns   0: it will run, unless it is cancelled first. -ESRCH: the target is dead, fn is never called
 * Counts    none: arg is the caller's matter. The target holds its weak reference until the callbacks ran
 * Errors    -ENOMEM (nothing was registered); -EINVAL (fn is NULL). The death itself needs no memory
 * Threads   any. fn runs on the thread that buries the target: one inside a release or a leave, or one of the library's
 *           own; inside a section, no lock held. It may make, retain, release, store, upgrade, register and cancel; it
 *           must not block, and must not need a lock that is held around a release or a leave
 * Progress  lock-free after malloc; linear in the weak reference's callbacks when some were cancelled
 *
 * A target that never dies (leaked, immortal, alive at wane_shutdown) calls nothing. In the child of a fork the
 * callbacks of targets that other threads were just burying do not run.
 *
 * wane_weak_unnotify - cancel one registration of the same fn and arg
 *
 * Returns   true: it was removed and never runs; arg is the caller's again. false: it has begun to run (here or on
 *           another thread; it may still be running), or was not registered
 * Threads   any, inside callbacks too
 * Progress  lock-free; linear in the weak reference's callbacks
 */
int  wane_weak_notify(void *weak, void (*fn)(void *weak, void *arg), void *arg) WANE_MUST_USE;
bool wane_weak_unnotify(void *weak, void (*fn)(void *weak, void *arg), void *arg);

/* ---- Collection ----------------------------------------------------------------------------------------------- */

#define WANE_ALL 2 /* the oldest generation: everything */

struct wane_collected {
    size_t   candidates;  /* objects the collection started from */
    size_t   examined;    /* objects visited */
    size_t   suspects;    /* of these, suspected garbage */
    size_t   freed;       /* objects destroyed */
    size_t   components;  /* independent groups they formed */
    size_t   finalized;   /* finalizers made due (their objects live until those have run) */
    size_t   aborted;     /* suspects that turned out to be in use, or were disturbed */
    uint64_t nanoseconds; /* how long it took */
};

/**
 * wane_collect - find and destroy isolated cycles now, on this thread
 *
 * @generation  0..WANE_ALL: objects that have survived at most so many collections; what is older counts as live. Younger
 *              generations examine a bounded number of objects, WANE_ALL all that the candidates reach
 * @result      what was found (summed over the rounds it took), or NULL
 * Returns      0; -EDEADLK inside a section, or in a thread that is ending (nothing was done); -EINVAL;
 *              -EAGAIN: a section that does not end kept it from finishing; what was not freed is kept.
 *              -ENOMEM: memory ran out; what was not freed is kept for the next one
 * Threads      any, outside sections; concurrent calls take turns. Other threads are never stopped
 * Progress     blocking: on the sections that are open now, at most about a second
 */
int wane_collect(int generation, struct wane_collected *result);

/**
 * wane_set_threshold - how many candidates of a generation (0 or 1) make the background collect it without waiting
 * wane_threshold - what is set
 *
 * The oldest generation has none: it is collected when its last collection is paid for (docs/design.md, section 8).
 * Returns   0; -EINVAL: no such generation
 * Threads   any
 */
int    wane_set_threshold(int generation, size_t candidates);
size_t wane_threshold(int generation);

/**
 * wane_barrier - wait until every unit that was displaced before this call has been given back
 *
 * Returns   0; -EDEADLK inside a section
 * Progress  blocking: on the sections that are open now, for as long as they last
 */
int wane_barrier(void);

/**
 * wane_run_finalizers - run the finalizers that are due, on this thread
 *
 * Returns   how many ran. Without a call to it they run on a thread of the library's own
 */
size_t wane_run_finalizers(void);

/* ---- Programs that drive by themselves ------------------------------------------------------------------------- */

/**
 * wane_use_threads - may the library run threads of its own (as it does, unless WANE_NO_THREADS is set)?
 *
 * @yes      false: those that run are ended, and none is started; the program calls wane_step and wane_run_finalizers
 * Returns   0; -EDEADLK inside a section
 * Threads   one at a time, not from callbacks
 * Progress  blocking: on the threads that end, that is on a tick of the background and on a finalizer that is running
 *
 * wane_step - a slice of what the background does: grace periods, records of idle or ended threads, deaths, collections
 *
 * @nanoseconds  how long to go on while there is more to do; a collection that is due is not cut short
 * Returns   1: there is more to do now; 0: nothing, or nothing but what has to wait; -EDEADLK inside a section, or in a thread
 *           that is ending; -EBUSY: another thread is at it
 * Threads   any, outside sections
 * Progress  never waits for another thread
 *
 * wane_event_fd - a descriptor for poll, select, epoll: readable when wane_step has something to do, or a finalizer is due
 *
 * Returns   the descriptor, the same at each call (do not read, write or close it); -errno. A forked child has its own under
 *           the same number
 * Threads   any
 */
int wane_use_threads(bool yes);
int wane_step(uint64_t nanoseconds);
int wane_event_fd(void);

/* A section that holds grace periods up. */
struct wane_stall {
    uint32_t    tid;         /* the thread's id, as gettid() gives it */
    const char *thread;      /* its name; valid during the call */
    uint64_t    nanoseconds; /* since the section was first seen, at most a tick of 2 ms after it began to hold anything up */
    uint64_t    units;       /* displaced units that wait, in all */
    uint64_t    bytes;       /* as held_bytes in the statistics */
};

/**
 * wane_on_stall - hear of sections that do not end
 *
 * @milliseconds  from what age on; each section is reported once
 * @fn       called on the background's thread, or in wane_step, outside sections and locks; NULL: nothing is reported. With the
 *           environment variable WANE_STALL_MS set, a line on stderr is written from the start
 * Returns   0, or -ENOMEM
 * Threads   any; the last call counts. A report that has begun still goes to the former fn
 */
int wane_on_stall(unsigned milliseconds, void (*fn)(const struct wane_stall *stall, void *arg), void *arg);

/* ---- Statistics and life -------------------------------------------------------------------------------------- */

struct wane_stats {
    uint64_t objects_born, objects_died; /* live = born - died */
    uint64_t bytes_born, bytes_died;     /* payloads */
    uint64_t died_in_cycles;             /* of objects_died: destroyed by collections */
    uint64_t displaced, applied;         /* units that went through the deferred logs */
    uint64_t queued, merged;             /* units given to merge queues; objects that lost their bias */
    uint64_t claims;                     /* records acted for */
    uint64_t grace_periods;
    uint64_t collections, examined, suspects, aborted, components;
    uint64_t collect_nanoseconds;        /* time in collections */
    uint64_t finalized;                  /* finalizers that have run */
    uint64_t records;                    /* identities made so far */
    uint64_t lost_units;                 /* units left counted because memory ran out (leaks, never frees) */
    uint64_t lost_candidates;
    uint64_t held_bytes;                 /* payloads that wait for a grace period: of the dead, and of displaced objects as
                                            far as long logs were measured (displaced - applied: how many units wait) */
    uint64_t stalled_nanoseconds;        /* age of the oldest section when it was last looked at, if it held anything up */
    uint64_t stalls;                     /* sections reported by wane_on_stall */
};

/**
 * wane_stats - counters since the start; each is monotonic. No snapshot, but no end is counted before its beginning
 */
void wane_stats(struct wane_stats *out);

/**
 * wane_type_stats - call fn for every registered type
 *
 * @fn  gets the type's name, objects alive, payload bytes alive, and arg
 */
void wane_type_stats(void (*fn)(const char *name, int64_t objects, int64_t bytes, void *arg), void *arg);

/**
 * wane_shutdown - drain everything, finalize what is left, report leaks by type on stderr
 *
 * Returns   0: no object is left; else how many (at most INT_MAX); -EDEADLK inside a section
 * Threads   one; other threads should be done with their objects. The runtime can be used again afterwards
 * Progress  blocking: on sections, logs, and finalizers (when these have made 10,000 others due, it goes on without the rest)
 */
int wane_shutdown(void);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif

/* ---- Describing types ----------------------------------------------------------------------------------------- */

#define WANE_CAT_(a, b) a##b
#define WANE_CAT(a, b) WANE_CAT_(a, b)
#define WANE_OFF_(T, f) (uint32_t)offsetof(struct T, f)
#define WANE_OFFS_1(T, a) WANE_OFF_(T, a)
#define WANE_OFFS_2(T, a, ...) WANE_OFF_(T, a), WANE_OFFS_1(T, __VA_ARGS__)
#define WANE_OFFS_3(T, a, ...) WANE_OFF_(T, a), WANE_OFFS_2(T, __VA_ARGS__)
#define WANE_OFFS_4(T, a, ...) WANE_OFF_(T, a), WANE_OFFS_3(T, __VA_ARGS__)
#define WANE_OFFS_5(T, a, ...) WANE_OFF_(T, a), WANE_OFFS_4(T, __VA_ARGS__)
#define WANE_OFFS_6(T, a, ...) WANE_OFF_(T, a), WANE_OFFS_5(T, __VA_ARGS__)
#define WANE_OFFS_7(T, a, ...) WANE_OFF_(T, a), WANE_OFFS_6(T, __VA_ARGS__)
#define WANE_OFFS_8(T, a, ...) WANE_OFF_(T, a), WANE_OFFS_7(T, __VA_ARGS__)
#define WANE_NARGS_(a, b, c, d, e, f, g, h, n, ...) n
#define WANE_NARGS(...) WANE_NARGS_(__VA_ARGS__, 8, 7, 6, 5, 4, 3, 2, 1, 0)

/* struct person { ...; wane_slot friend; }; WANE_TYPE(person, friend); defines person_type (up to 8 slots; LEAF: none). */
#define WANE_TYPE(T, ...) WANE_FLAGGED_TYPE_(T, 0, __VA_ARGS__)
#define WANE_FLAGGED_TYPE_(T, flags, ...)                                                                       \
    static const uint32_t T##_slots[] = {WANE_CAT(WANE_OFFS_, WANE_NARGS(__VA_ARGS__))(T, __VA_ARGS__)};        \
    static struct wane_type T##_type = {#T, sizeof(struct T), T##_slots, sizeof T##_slots / sizeof T##_slots[0],\
                                        0, 0, 0, flags, {0}}
#define WANE_ACYCLIC_TYPE(T, ...) WANE_FLAGGED_TYPE_(T, WANE_ACYCLIC, __VA_ARGS__)
#define WANE_LEAF_TYPE(T) static struct wane_type T##_type = {#T, sizeof(struct T), 0, 0, 0, 0, 0, 0, {0}}

/* ---- Checked programs ----------------------------------------------------------------------------------------- */

#ifdef WANE_CHECKED
#define WANE_USE_(object) wane_checked_use((object), __FILE__, __LINE__)
#define wane_peek(slot) wane_checked_peek((slot), __FILE__, __LINE__)
#define wane_leave() wane_checked_leave(__FILE__, __LINE__)
#define wane_release(object) wane_checked_release((object), __FILE__, __LINE__)
#define wane_retain(object) wane_retain(WANE_USE_(object))
#define wane_set(slot, object) wane_set((slot), WANE_USE_(object))
#define wane_put(slot, object) wane_put((slot), WANE_USE_(object))
#define wane_swap(slot, object) wane_swap((slot), WANE_USE_(object))
#define wane_weak(object) wane_weak(WANE_USE_(object))
#endif

#endif
