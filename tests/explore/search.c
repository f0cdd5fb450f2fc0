/* SPDX-License-Identifier: MIT
 *
 * search.c - seeds, or all schedules with few choices; then choices are left out as long as the run goes on failing
 */
#include "search.h"

#include <inttypes.h>
#include <string.h>

#define MOST_BOUND 4
#define MOST_WAITING (UINT32_C(1) << 21)
#define SHRINK_RUNS 3000

double
ex_seconds(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void
count(struct ex_found *f)
{
    f->runs++;
    f->cut += ex->cut;
    f->points += ex->points;
    f->switches += ex->switches;
}

/* ---- Shorter ----------------------------------------------------------------------------------------------------------- */

static bool
fails(const struct ex_schedule *s)
{
    ex->strategy = EX_REPLAY;
    ex->plan = *s;
    ex_run();
    return ex->failed;
}

/* Leave out `n` choices from the i-th on, if it goes on failing. */
static bool
leave_out(struct ex_schedule *s, uint32_t i, uint32_t n)
{
    struct ex_schedule *t = &ex->spare;

    *t = *s;
    memmove(t->choice + i, t->choice + i + n, (t->count - i - n) * sizeof *t->choice);
    t->count -= n;
    if (!fails(t))
        return false;
    if (ex->did.count < s->count)
        *s = ex->did; /* what was not possible any more is left out, too */
    return true;
}

static bool
keep_fewer(struct ex_schedule *s, uint32_t i)
{
    uint8_t count = s->choice[i].count;

    if (s->choice[i].kind != EX_SWITCH || !count)
        return false;
    s->choice[i].count = 0;
    if (fails(s))
        return true;
    s->choice[i].count = count;
    return false;
}

void
ex_shrink(struct ex_schedule *s)
{
    int runs = 0;

    for (uint32_t n = s->count ? s->count : 1; n; n /= 2)
        for (uint32_t i = 0; i + n <= s->count && runs < SHRINK_RUNS; runs++)
            if (!leave_out(s, i, n))
                i += n;
    for (uint32_t i = 0; i < s->count; i++)
        (void)keep_fewer(s, i);
}

/* It has just failed. */
static void
found_one(struct ex_found *f)
{
    f->failed = true;
    f->number = f->runs;
    f->first = f->shortest = ex->did;
    memcpy(f->message, ex->message, sizeof f->message);
    if (!ex->hurries)
        ex_shrink(&f->shortest);
    f->repeats = fails(&f->shortest);
    if (f->repeats) {
        f->shortest = ex->did;
        memcpy(f->message, ex->message, sizeof f->message);
    }
}

/* ---- Seeds ------------------------------------------------------------------------------------------------------------- */

static void
draw(enum ex_how how, uint64_t seed, uint64_t number)
{
    static const uint32_t times[] = {1, 50, 50, 1000, 20000};
    uint64_t              state = seed * UINT64_C(0x2545f4914f6cdd1d) + number, r;

    r = ex_random(&state);
    ex->strategy = how == EX_BY_RANDOM || (how == EX_BY_BOTH && r % 2) ? EX_RANDOM : EX_PCT;
    ex->depth = 3 + (unsigned)((r >> 8) % 3);
    ex->plan.step_ns = times[(r >> 16) % (sizeof times / sizeof *times)];
    ex->plan.buffered = (r >> 24) % 2;
    ex->plan.reuse = (r >> 32) % 4 == 0;
    ex->plan.count = 0;
    ex->seed = ex_random(&state);
    if (ex->program->random)
        ex_random_draw(seed, number);
}

static bool
goes_on(const struct ex_found *f, uint64_t most, double ends)
{
    return (!most || f->runs < most) && (ends == 0 || ex_seconds() < ends);
}

static void
search_seeds(enum ex_how how, uint64_t seed, uint64_t most, double ends, struct ex_found *f)
{
    for (uint64_t i = 0; goes_on(f, most, ends); i++) {
        draw(how, seed, i);
        ex_run();
        count(f);
        if (ex->failed) {
            found_one(f);
            return;
        }
    }
}

/* ---- All with few choices ---------------------------------------------------------------------------------------------- */

struct waiting {
    struct ex_choice choice[MOST_BOUND];
};

struct level {
    struct waiting *item;
    uint64_t        count;
    bool            full;
};

static void
add(struct level *l, const struct ex_schedule *s, const struct ex_place *p, unsigned to, unsigned kept)
{
    struct waiting *w = &l->item[l->count];

    if (l->count == MOST_WAITING) {
        l->full = true;
        return;
    }
    memcpy(w->choice, s->choice, s->count * sizeof *s->choice);
    w->choice[s->count] = (struct ex_choice){(uint8_t)p->at, EX_SWITCH, (uint8_t)to, (uint8_t)kept, p->point};
    l->count++;
}

/* All choices behind the last one of the run before. */
static void
branch(struct level *next, const struct ex_schedule *s)
{
    const struct ex_choice *last = s->count ? &s->choice[s->count - 1] : NULL;
    uint32_t                i = 0;

    while (last && i < ex->places && !(ex->place[i].at == last->at && ex->place[i].point == last->point))
        i++;
    for (i += last != NULL; i < ex->places; i++) {
        const struct ex_place *p = &ex->place[i];

        if (!ex_have_met(p->address))
            continue;
        for (unsigned to = 0; to < EX_THREADS; to++)
            if (p->others & (1u << to)) {
                add(next, s, p, to, 0);
                if (s->buffered && p->stores)
                    add(next, s, p, to, p->stores);
            }
    }
}

static bool
run_level(const struct level *now, struct level *next, uint32_t choices, bool last, uint64_t most, double ends,
          struct ex_found *f)
{
    struct ex_schedule s = {.step_ns = 50, .buffered = true, .count = choices};

    next->count = 0;
    for (uint64_t i = 0; i < now->count; i++) {
        if (!goes_on(f, most, ends))
            return false;
        memcpy(s.choice, now->item[i].choice, choices * sizeof *s.choice);
        (void)fails(&s);
        count(f);
        f->places += ex->places;
        if (ex->failed) {
            found_one(f);
            return false;
        }
        if (!last)
            branch(next, &s);
    }
    return !next->full;
}

/* Twice from the beginning: where threads meet is known only then. */
static void
search_all(uint64_t most, double ends, unsigned bound, struct ex_found *f)
{
    struct level level[2], *now, *next; /* of the choices so far, and of one more */

    for (int i = 0; i < 2; i++)
        level[i].item = malloc(MOST_WAITING * sizeof *level[i].item);
    ex->records = true;
    for (unsigned round = 0; round < 2 && !f->failed; round++) {
        now = &level[0];
        next = &level[1];
        now->count = 1;
        now->full = next->full = false;
        f->complete = true;
        for (uint32_t k = 0; k <= bound && f->complete; k++) {
            struct level *t = now;

            f->complete = run_level(now, next, k, k == bound, most, ends, f);
            now = next;
            next = t;
        }
        if (round == 0 && !f->complete)
            break;
    }
    ex->records = false;
    for (int i = 0; i < 2; i++)
        free(level[i].item);
}

void
ex_search(const struct ex_program *program, enum ex_how how, uint64_t seed, uint64_t most, double ends, unsigned bound,
          struct ex_found *f)
{
    memset(f, 0, sizeof *f);
    memset(ex->met, 0, EX_MET * sizeof *ex->met);
    ex->program = program;
    memset(ex->expected, 0, sizeof ex->expected);
    if (how == EX_EXHAUSTIVELY)
        search_all(most, ends, bound < MOST_BOUND ? bound : MOST_BOUND, f);
    else
        search_seeds(how, seed, most, ends, f);
}

/* ---- Schedules as text ------------------------------------------------------------------------------------------------- */

void
ex_print_schedule(const struct ex_program *program, const struct ex_schedule *s, char *out)
{
    out += sprintf(out, "%s", program->name);
    if (program->random)
        out += sprintf(out, ":%" PRIu64, ex_random_seed());
    out += sprintf(out, "/%" PRIu32 "/%s%s%s/", s->step_ns, s->buffered ? "t" : "", s->reuse ? "r" : "",
                   s->buffered || s->reuse ? "" : "-");
    for (uint32_t i = 0; i < s->count; i++) {
        const struct ex_choice *c = &s->choice[i];

        out += sprintf(out, "%s%u@%" PRIu32 "%c%u", i ? "," : "", c->at, c->point, c->kind == EX_SWITCH ? '>' : '*', c->to);
        if (c->count)
            out += sprintf(out, "%c%u", c->kind == EX_SWITCH ? 'k' : 'n', c->count);
    }
}

const struct ex_program *
ex_program_named(const char *name, size_t length)
{
    for (size_t i = 0; ex_programs[i]; i++)
        if (strlen(ex_programs[i]->name) == length && memcmp(ex_programs[i]->name, name, length) == 0)
            return ex_programs[i];
    return NULL;
}

static const char *
parse_choice(const char *p, struct ex_choice *c)
{
    unsigned at, to, count = 0;
    uint32_t point;
    char     kind;
    int      used = 0;

    if (sscanf(p, "%u@%" SCNu32 "%c%u%n", &at, &point, &kind, &to, &used) != 4 || (kind != '>' && kind != '*'))
        return NULL;
    p += used;
    if ((*p == 'k' || *p == 'n') && sscanf(p + 1, "%u%n", &count, &used) == 1)
        p += 1 + used;
    *c = (struct ex_choice){(uint8_t)at, kind == '>' ? EX_SWITCH : EX_DRAIN, (uint8_t)to, (uint8_t)count, point};
    return p;
}

const struct ex_program *
ex_parse_schedule(const char *text, struct ex_schedule *s)
{
    const struct ex_program *program = ex_program_named(text, strcspn(text, ":/"));
    const char              *p = text + strcspn(text, "/");
    char                     flags[4];
    int                      used = 0;

    s->count = 0;
    if (!program || sscanf(p, "/%" SCNu32 "/%3[-tr]/%n", &s->step_ns, flags, &used) != 2 || !used)
        return NULL;
    if (program->random && text[strlen(program->name)] == ':')
        ex_random_choose(strtoull(text + strlen(program->name) + 1, NULL, 10));
    s->buffered = strchr(flags, 't');
    s->reuse = strchr(flags, 'r');
    for (p += used; *p && *p != '\n'; p += *p == ',') {
        if (s->count == EX_MOST_CHOICES || !(p = parse_choice(p, &s->choice[s->count])))
            return NULL;
        s->count++;
    }
    return program;
}
