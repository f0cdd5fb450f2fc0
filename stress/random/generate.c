/* SPDX-License-Identifier: MIT
 *
 * generate.c - a program from a seed
 *
 * Each program draws how likely each operation is (some not at all), and what kinds of objects there are: programs that do few
 * things often reach states that evenly mixed ones do not.
 */
#include "program.h"

#include <string.h>

/* How often, beside each other; a program multiplies each by 0, 1, 2 or 4. */
static const uint8_t weights[OP_CODES] = {
    [OP_NEW] = 24, [OP_DUP] = 6, [OP_DROP] = 14, [OP_SET] = 14, [OP_PUT] = 10, [OP_CLEAR] = 5, [OP_TAKE] = 4, [OP_SWAP] = 4,
    [OP_GET] = 4, [OP_CAS] = 4, [OP_CAS_PUT] = 3, [OP_SET_PRIVATE] = 4, [OP_PUT_PRIVATE] = 4, [OP_CLEAR_PRIVATE] = 2,
    [OP_TAKE_PRIVATE] = 2, [OP_STORE] = 14, [OP_STORE_PUT] = 5, [OP_EMPTY] = 4, [OP_FETCH] = 5, [OP_EXCHANGE] = 4,
    [OP_LOAD] = 10, [OP_STORE_CAS] = 4, [OP_STORE_CAS_PUT] = 3, [OP_KEEP] = 6, [OP_LET_GO] = 12, [OP_ENTER] = 5,
    [OP_LEAVE] = 10, [OP_CHECKPOINT] = 2, [OP_BORROW] = 10, [OP_USE] = 6, [OP_WEAK] = 6, [OP_UPGRADE] = 8, [OP_WEAK_DROP] = 2,
    [OP_WEAK_STORE] = 2, [OP_WEAK_LOAD] = 2, [OP_NOTIFY] = 3, [OP_UNNOTIFY] = 2, [OP_COLLECT] = 2, [OP_BARRIER] = 1,
    [OP_FINALIZERS] = 2, [OP_STEP] = 2, [OP_FREEZE] = 1, [OP_UNFREEZE] = 2, [OP_SEND] = 4, [OP_SEND_ON] = 2, [OP_RECEIVE] = 4,
    [OP_SHARE] = 1, [OP_UNSHARE] = 2, [OP_LATER] = 1, [OP_TURN] = 1, [OP_REST] = 4,
};

struct profile {
    unsigned weight[OP_CODES], total;
    uint8_t  kind[4];
};

static unsigned
below(uint64_t *state, unsigned n)
{
    return (unsigned)(random_next(state) >> 16) % n;
}

static void
draw_profile(struct profile *profile, uint64_t *state)
{
    static const uint8_t factors[] = {0, 1, 1, 1, 2, 4};

    profile->total = 0;
    for (int i = 0; i < OP_CODES; i++) {
        profile->weight[i] = weights[i] * factors[below(state, sizeof factors)];
        if (i == OP_NEW || i == OP_LEAVE || i == OP_DROP || i == OP_LET_GO)
            profile->weight[i] = weights[i];
        profile->total += profile->weight[i];
    }
    for (size_t i = 0; i < sizeof profile->kind; i++)
        profile->kind[i] = (uint8_t)(below(state, 3) ? below(state, KIND_COUNT) : KIND_NODE);
}

static struct op
draw_op(const struct profile *profile, uint64_t *state)
{
    struct op   op = {0};
    unsigned    n = below(state, profile->total);
    const char *letters;

    while (n >= profile->weight[op.code])
        n -= profile->weight[op.code++];
    letters = op_operands[op.code];
    for (int i = 0; letters[i]; i++) {
        uint8_t byte = (uint8_t)random_next(state);

        if (letters[i] == 'k')
            byte = profile->kind[byte % sizeof profile->kind];
        if (letters[i] == 'p' && byte & 1)
            byte &= 0x3f; /* every other place is a root: that is where lanes meet */
        if (letters[i] == 's' && byte & 0x80)
            byte &= 1;
        op.operand[i] = operand_fit(letters[i], byte);
    }
    return op;
}

void
program_generate(struct program *p, uint64_t seed)
{
    uint64_t state = seed;
    unsigned size;

    memset(p, 0, sizeof *p);
    p->seed = seed;
    p->delays = below(&state, 2);
    p->lanes = 1 + below(&state, MAX_LANES);
    size = 20 + below(&state, 4) * below(&state, (MAX_OPS - 20) / 3);
    for (unsigned lane = 0; lane < p->lanes; lane++) {
        struct profile profile;

        draw_profile(&profile, &state);
        for (p->count[lane] = 0; p->count[lane] < size; p->count[lane]++)
            p->op[lane][p->count[lane]] = draw_op(&profile, &state);
    }
}
