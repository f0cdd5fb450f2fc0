/* SPDX-License-Identifier: MIT
 *
 * registry.h - which objects there are, while a program wants to be observed
 *
 * The heap has no list of its objects. When wane_observe is on, a birth sets a bit and a death clears it: one bit for each 16
 * bytes of address space, in leaves of 8 KB that cover a megabyte each and are never freed. So the registry holds no memory of
 * an object's, needs no node that must outlive a reader, and a cursor through it is a number. While it is off births and deaths
 * pay one load and a branch.
 *
 *     birth            header written; bit set (release E40)
 *     death            bit cleared; (barrier); load wn_collecting: memory freed at once only if it is 0
 *     reader (walk.c)  wn_collecting = 1; membarrier; in a section: bit set? (acquire E40) header read
 *
 * Claim: while a reader's section lasts, the memory of each object whose bit it has seen set stays. The handshake is that of
 * death.h, with the bit in place of the slots that led to the object. A death that read 0 from before the reader's store has
 * its load before the reader's membarrier, so its clearing too: the reader does not see the bit. A death that reads 1 leaves
 * the memory to a grace period, whose ticket comes after the clearing, so after the beginning of the section that saw the bit.
 * Deaths that go by the collector do not overlap with a reader: both hold the driver lock. The bit is cleared before the fence
 * of either look: for a plain death that is where its fate is known (unit.c), for the others where it is counted (death.c).
 */
#ifndef WN_REGISTRY_H
#define WN_REGISTRY_H

#include "header.h"

#define WN_REGISTRY_ON   1u /* births are noted */
#define WN_REGISTRY_USED 2u /* some were: deaths look */

/* The same of samples (profile.h). */
#define WN_REGISTRY_SAMPLES 4u
#define WN_REGISTRY_SAMPLED 8u

extern struct wane_atomic32 wn_registry_state;

void wn_registry_add(struct wane_header *h);
void wn_registry_remove_slow(struct wane_header *h);

/* After the header is written. An object that there was no memory to note is not observed. */
static inline bool
wn_registry_is_on(void)
{
    return __builtin_expect(load_relaxed(&wn_registry_state) & (WN_REGISTRY_ON | WN_REGISTRY_SAMPLES), 0);
}

static inline bool
wn_registry_was_on(void)
{
    return load_relaxed(&wn_registry_state) & (WN_REGISTRY_USED | WN_REGISTRY_SAMPLED);
}

/* Before the look at wn_collecting. Whoever sees an object of that time sees the state of that time. */
static inline void
wn_registry_remove(struct wane_header *h)
{
    if (__builtin_expect(wn_registry_was_on(), 0))
        wn_registry_remove_slow(h);
}

/* Is this the address of a header whose object is noted now? */
bool wn_registry_has(uintptr_t h);

void wn_registry_init(void);

/* ---- A copy ----------------------------------------------------------------------------------------------------------- */

#define WN_LEAF_WORDS 2048

struct wn_leaf_copy {
    uintptr_t base;                  /* the first address */
    uint32_t  rank;                  /* objects in the leaves before */
    uint16_t  before[WN_LEAF_WORDS]; /* objects in the words before */
    uint64_t  word[WN_LEAF_WORDS];
};

/* The objects of some time, numbered in the order of their addresses. */
struct wn_set {
    struct wn_leaf_copy **leaf;
    uint32_t              leaves;
    uint32_t              count;
};

#define WN_NO_RANK UINT32_MAX

/* -ENOMEM; -EOVERFLOW: more than 2^31 objects. */
int      wn_set_copy(struct wn_set *set);
void     wn_set_free(struct wn_set *set);
uint32_t wn_set_rank(const struct wn_set *set, uintptr_t h);

/* A place in a set: {0} is the beginning. */
struct wn_place {
    uint32_t leaf, word;
    uint64_t done; /* bits of the word that were passed */
};

/* The next one's address; 0: there is none. */
uintptr_t wn_set_next(const struct wn_set *set, struct wn_place *place);

#endif
