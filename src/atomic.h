/* SPDX-License-Identifier: MIT
 *
 * atomic.h - atomic words; the memory order is in the name
 *
 * An atomic field is a one-field struct (wane/fast.h), so a plain access to it does not compile. `release E4` in a comment
 * names an edge; every edge has a row in docs/design.md (writer, reader, what is published, what breaks without it).
 */
#ifndef WN_ATOMIC_H
#define WN_ATOMIC_H

#include <wane/wane.h>

#ifndef WN_CHECKS
#define WN_CHECKS 0 /* check.h */
#endif

#define load_relaxed(a) __atomic_load_n(&(a)->value, __ATOMIC_RELAXED)
#define load_acquire(a) __atomic_load_n(&(a)->value, __ATOMIC_ACQUIRE)
#define store_relaxed(a, v) __atomic_store_n(&(a)->value, (v), __ATOMIC_RELAXED)
#define store_release(a, v) __atomic_store_n(&(a)->value, (v), __ATOMIC_RELEASE)
#define exchange_acq_rel(a, v) __atomic_exchange_n(&(a)->value, (v), __ATOMIC_ACQ_REL)
#define exchange_seq_cst(a, v) __atomic_exchange_n(&(a)->value, (v), __ATOMIC_SEQ_CST)
#define fetch_add_relaxed(a, v) __atomic_fetch_add(&(a)->value, (v), __ATOMIC_RELAXED)
#define fetch_add_release(a, v) __atomic_fetch_add(&(a)->value, (v), __ATOMIC_RELEASE)
#define fetch_add_acq_rel(a, v) __atomic_fetch_add(&(a)->value, (v), __ATOMIC_ACQ_REL)
#define fetch_add_seq_cst(a, v) __atomic_fetch_add(&(a)->value, (v), __ATOMIC_SEQ_CST)
#define fetch_or_relaxed(a, v) __atomic_fetch_or(&(a)->value, (v), __ATOMIC_RELAXED)
#define fetch_or_acq_rel(a, v) __atomic_fetch_or(&(a)->value, (v), __ATOMIC_ACQ_REL)
#define fetch_or_release(a, v) __atomic_fetch_or(&(a)->value, (v), __ATOMIC_RELEASE)
#define fetch_or_seq_cst(a, v) __atomic_fetch_or(&(a)->value, (v), __ATOMIC_SEQ_CST)
#define fetch_and_relaxed(a, v) __atomic_fetch_and(&(a)->value, (v), __ATOMIC_RELAXED)
#define fetch_and_acq_rel(a, v) __atomic_fetch_and(&(a)->value, (v), __ATOMIC_ACQ_REL)
#define fetch_and_release(a, v) __atomic_fetch_and(&(a)->value, (v), __ATOMIC_RELEASE)

/* On failure *expected is what was read (acquire). */
#define cas_acq_rel(a, expected, desired) \
    __atomic_compare_exchange_n(&(a)->value, (expected), (desired), false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)
#define cas_seq_cst(a, expected, desired) \
    __atomic_compare_exchange_n(&(a)->value, (expected), (desired), false, __ATOMIC_SEQ_CST, __ATOMIC_ACQUIRE)

#define compiler_barrier() __atomic_signal_fence(__ATOMIC_SEQ_CST)

/* The containers of liburcu and ck use assembly that the race detector cannot see: tell it of their edges. */
#if defined(__SANITIZE_THREAD__)
#define WN_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define WN_TSAN 1
#endif
#endif

#ifdef WN_TSAN
#include <sanitizer/tsan_interface.h>
#define hb_before(p) __tsan_release((void *)(p))
#define hb_after(p) __tsan_acquire((void *)(p))
#else
#define hb_before(p) ((void)(p))
#define hb_after(p) ((void)(p))
#endif

/* The one full fence, only for machines without membarrier (grace.h); the race detector does not model fences. */
static inline void
wn_full_fence(struct wane_atomic32 *word)
{
#ifdef WN_TSAN
    (void)fetch_add_seq_cst(word, 0u);
#else
    (void)word;
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
#endif
}

/* A counter that one thread writes and others read. */
static inline void
wn_counter_add(struct wane_atomic64 *c, uint64_t n)
{
    /* relaxed: statistics; the writer is alone. */
    store_relaxed(c, load_relaxed(c) + n);
}

/* .. of what has ended: who sees the end counted sees the beginning counted. */
static inline void
wn_counter_add_end(struct wane_atomic64 *c, uint64_t n)
{
    store_release(c, load_relaxed(c) + n); /* release: the sums in life.c */
}

#endif
