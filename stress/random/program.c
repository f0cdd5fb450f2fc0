/* SPDX-License-Identifier: MIT */
#include "program.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

const char *const op_names[OP_CODES] = {
#define OP(code, name, operands) name,
    OPERATIONS(OP)
#undef OP
};
const char *const op_operands[OP_CODES] = {
#define OP(code, name, operands) operands,
    OPERATIONS(OP)
#undef OP
};
const char *const kind_names[KIND_COUNT] = {
#define KIND(kind, name) name,
    KINDS(KIND)
#undef KIND
};

uint64_t
random_next(uint64_t *state) /* splitmix64 */
{
    uint64_t x = *state += UINT64_C(0x9e3779b97f4a7c15);

    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

/* ---- Operands ----------------------------------------------------------------------------------------------------- */

static unsigned
base_limit(enum base base)
{
    static const unsigned limits[] = {[BASE_NONE] = ROOTS, [BASE_R] = REGISTERS, [BASE_X] = COMMONS, [BASE_B] = BORROWS};

    return limits[base];
}

uint8_t
operand_fit(char letter, uint8_t byte)
{
    unsigned index = OPERAND_INDEX(byte) % base_limit(OPERAND_BASE(byte));

    switch (letter) {
    case 'r': return byte % REGISTERS;
    case 'x': return byte % COMMONS;
    case 'b': return byte % BORROWS;
    case 'w': return byte % WEAKS;
    case 'g': return byte % 3;
    case 'm': return byte % MAILBOXES;
    case 'k': return byte % KIND_COUNT;
    case 's': return byte % OWN_SLOTS;
    case 'v': return OPERAND_BASE(byte) == BASE_NONE ? 0 : (uint8_t)((byte & 0xc0) | index << 3);
    default: /* 'p' */
        return (uint8_t)((byte & 0xc0) | index << 3 | (OPERAND_BASE(byte) == BASE_NONE ? 0 : OPERAND_SLOT(byte)));
    }
}

static void
print_operand(FILE *to, char letter, uint8_t o)
{
    static const char bases[] = "?rxb";

    switch (letter) {
    case 'k': fprintf(to, " %s", kind_names[o]); break;
    case 's':
    case 'g': fprintf(to, " %u", o); break;
    case 'v':
        if (OPERAND_BASE(o) == BASE_NONE)
            fprintf(to, " nil");
        else
            fprintf(to, " %c%u", bases[OPERAND_BASE(o)], OPERAND_INDEX(o));
        break;
    case 'p':
        if (OPERAND_BASE(o) == BASE_NONE)
            fprintf(to, " root%u", OPERAND_INDEX(o));
        else
            fprintf(to, " %c%u.%u", bases[OPERAND_BASE(o)], OPERAND_INDEX(o), OPERAND_SLOT(o));
        break;
    default: fprintf(to, " %c%u", letter, o);
    }
}

static unsigned
number_after(const char *word, size_t letters)
{
    return (unsigned)strtoul(strlen(word) > letters ? word + letters : "", NULL, 10);
}

static uint8_t
read_base(const char *word)
{
    unsigned base = *word == 'r' ? BASE_R : *word == 'x' ? BASE_X : BASE_B;

    return (uint8_t)(base << 6 | (number_after(word, 1) & 7) << 3);
}

static uint8_t
read_operand(char letter, const char *word)
{
    const char *dot = strchr(word, '.');
    uint8_t     o = 0;

    switch (letter) {
    case 'k':
        while (o < KIND_COUNT - 1 && strcmp(kind_names[o], word) != 0)
            o++;
        return o;
    case 's':
    case 'g': return (uint8_t)number_after(word, 0);
    case 'v': return strcmp(word, "nil") == 0 ? 0 : read_base(word);
    case 'p':
        if (strncmp(word, "root", 4) == 0)
            return (uint8_t)((number_after(word, 4) & 7) << 3);
        return (uint8_t)(read_base(word) | (dot ? number_after(dot, 1) & 7 : 0));
    default: return (uint8_t)number_after(word, 1);
    }
}

/* ---- Listings ------------------------------------------------------------------------------------------------------ */

void
program_print(const struct program *p, FILE *to)
{
    fprintf(to, "# seed %llu\n%s", (unsigned long long)p->seed, p->delays ? "delays\n" : "");
    for (unsigned lane = 0; lane < p->lanes; lane++) {
        fprintf(to, "lane\n");
        for (unsigned i = 0; i < p->count[lane]; i++) {
            const struct op *op = &p->op[lane][i];

            fprintf(to, "  %s", op_names[op->code]);
            for (const char *letter = op_operands[op->code]; *letter; letter++)
                print_operand(to, *letter, op->operand[letter - op_operands[op->code]]);
            fputc('\n', to);
        }
    }
}

static bool
read_op(struct op *op, char *line)
{
    char       *at, *word = strtok_r(line, " \t\n", &at);
    const char *letters;

    for (op->code = 0; op->code < OP_CODES && strcmp(op_names[op->code], word) != 0;)
        op->code++;
    if (op->code == OP_CODES)
        return false;
    letters = op_operands[op->code];
    for (int i = 0; letters[i]; i++) {
        if (!(word = strtok_r(NULL, " \t\n", &at)))
            return false;
        op->operand[i] = operand_fit(letters[i], read_operand(letters[i], word));
    }
    return true;
}

static bool
read_line(struct program *p, char *line)
{
    unsigned lane = p->lanes - 1;

    while (isspace((unsigned char)*line))
        line++;
    if (*line == '\0' || *line == '#')
        return true;
    if (strncmp(line, "delays", 6) == 0)
        return p->delays = true;
    if (strncmp(line, "lane", 4) == 0)
        return p->lanes++ < MAX_LANES;
    return p->lanes > 0 && p->count[lane] < MAX_OPS && read_op(&p->op[lane][p->count[lane]++], line);
}

bool
program_read(struct program *p, FILE *from)
{
    char line[200];

    memset(p, 0, sizeof *p);
    for (unsigned number = 1; fgets(line, sizeof line, from); number++)
        if (!read_line(p, line)) {
            fprintf(stderr, "line %u: no such operation, or too many\n", number);
            return false;
        }
    return true;
}

void
program_from_bytes(struct program *p, const uint8_t *bytes, size_t size)
{
    size_t at = 0;

    memset(p, 0, sizeof *p);
    p->lanes = 1;
    while (at < size && p->count[0] < MAX_OPS) {
        struct op  *op = &p->op[0][p->count[0]++];
        const char *letters;

        op->code = bytes[at++] % OP_CODES;
        letters = op_operands[op->code];
        for (int i = 0; letters[i]; i++)
            op->operand[i] = operand_fit(letters[i], at < size ? bytes[at++] : 0);
    }
}
