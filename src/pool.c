/* SPDX-License-Identifier: MIT
 *
 * pool.c - a bitmap per group of blocks
 *
 * Why not a stack: one with single pops has the ABA problem, and one with take-all is empty for an instant while somebody holds
 * what he took; a taker who comes then would lose a unit although there is room. A bit is taken by one RMW and cannot be
 * missed. The search is linear, which is no matter where malloc has just failed. Groups are never freed.
 */
#include "pool.h"

#include <sys/mman.h>

#include "memory.h"

#define WORD_BITS    64u
#define FIRST_BLOCKS 256u  /* in static memory: the share of the records that are (record.c), and */
#define SPARE_BLOCKS 64u   /* of these, for chunks that are not full: the collector's, and of threads that ended */
#define LEAST_BLOCKS 64u   /* of a group */
#define MOST_BLOCKS  4096u /* unless more is owed */

struct group {
    struct group         *next; /* this and the others: c */
    uint32_t              words;
    struct wane_atomic64 *lent; /* a: words of bits */
    char                 *block;
};

static struct wane_atomic64 first_lent[FIRST_BLOCKS / WORD_BITS];
static _Alignas(16) char    first_block[FIRST_BLOCKS * WN_BLOCK];
static struct group         first = {NULL, FIRST_BLOCKS / WORD_BITS, first_lent, first_block};

static struct wane_atomic_ptr groups = {&first};
static struct wane_atomic64   total = {FIRST_BLOCKS - SPARE_BLOCKS};
static struct wane_atomic64   demand;

/* ---- Paying ------------------------------------------------------------------------------------------------------- */

static size_t
header_size(uint32_t words)
{
    return (sizeof(struct group) + words * sizeof(struct wane_atomic64) + 15) & ~(size_t)15;
}

/* Zeroed, and no memory before it is touched. malloc promises neither. */
static void *
map(size_t bytes)
{
    void *p = wn_memory_may_be_had(bytes)
                  ? mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
                  : MAP_FAILED;

    return p == MAP_FAILED ? NULL : p;
}

static bool
add_group(uint64_t blocks)
{
    uint32_t      words = (uint32_t)((blocks + WORD_BITS - 1) / WORD_BITS);
    struct group *g = map(header_size(words) + (size_t)words * WORD_BITS * WN_BLOCK);
    void         *old = load_relaxed(&groups);

    if (!g)
        return false;
    g->words = words;
    g->lent = (struct wane_atomic64 *)(g + 1);
    g->block = (char *)g + header_size(words);
    do
        g->next = old;
    while (!cas_acq_rel(&groups, &old, (void *)g)); /* release E7: its bits */
    fetch_add_relaxed(&total, (uint64_t)words * WORD_BITS);
    return true;
}

/* A quarter more at once, to have few groups; if there is no memory for that, what is needed. */
static bool
grow_to(uint64_t blocks)
{
    uint64_t have = load_relaxed(&total);
    uint64_t need = blocks > have ? blocks - have : 0, more = have / 4;

    if (!need)
        return true;
    if (more > MOST_BLOCKS)
        more = MOST_BLOCKS;
    if (more < LEAST_BLOCKS)
        more = LEAST_BLOCKS;
    return (more > need && add_group(more)) || add_group(need);
}

bool
wn_pool_pay(uint32_t blocks)
{
    /* relaxed: sums; no block is reached through them. */
    if (grow_to(fetch_add_relaxed(&demand, (uint64_t)blocks) + blocks))
        return true;
    wn_pool_unpay(blocks);
    return false;
}

void
wn_pool_owe(uint32_t blocks)
{
    (void)grow_to(fetch_add_relaxed(&demand, (uint64_t)blocks) + blocks);
}

void
wn_pool_unpay(uint32_t blocks)
{
    fetch_add_relaxed(&demand, -(uint64_t)blocks);
}

/* ---- Lending ------------------------------------------------------------------------------------------------------ */

/* A free bit of the word, or WORD_BITS. Lock-free: a bit that is lost was won by another thread. */
static unsigned
take_bit(struct wane_atomic64 *word)
{
    uint64_t lent = load_relaxed(word); /* relaxed: a guess; the RMW checks it */

    while (~lent) {
        unsigned bit = (unsigned)__builtin_ctzll(~lent);

        lent = fetch_or_acq_rel(word, UINT64_C(1) << bit); /* acquire E7: the last borrower is done with it */
        if (!(lent >> bit & 1))
            return bit;
    }
    return WORD_BITS;
}

void *
wn_pool_take(void)
{
    /* acquire E7 */
    for (struct group *g = load_acquire(&groups); g; g = g->next)
        for (uint32_t w = 0; w < g->words; w++) {
            unsigned bit = take_bit(&g->lent[w]);

            if (bit < WORD_BITS)
                return g->block + ((size_t)w * WORD_BITS + bit) * WN_BLOCK;
        }
    return NULL;
}

void
wn_pool_give(void *block)
{
    for (struct group *g = load_acquire(&groups); g; g = g->next) {
        size_t i = (size_t)((uintptr_t)block - (uintptr_t)g->block) / WN_BLOCK;

        if ((uintptr_t)block >= (uintptr_t)g->block && i < (size_t)g->words * WORD_BITS) {
            fetch_and_release(&g->lent[i / WORD_BITS], ~(UINT64_C(1) << i % WORD_BITS)); /* release E7 */
            return;
        }
    }
}

uint64_t
wn_pool_lent(void)
{
    uint64_t n = 0;

    for (struct group *g = load_acquire(&groups); g; g = g->next)
        for (uint32_t w = 0; w < g->words; w++)
            n += (unsigned)__builtin_popcountll(load_relaxed(&g->lent[w]));
    return n;
}
