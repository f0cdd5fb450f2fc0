/* SPDX-License-Identifier: MIT
 *
 * squeeze.c - a deferred log that can have no chunk: equal entries become one
 *
 * First among the chunks without a ticket. If that yields little, among the newest WINDOW chunks: what is merged then gets a
 * new ticket with the next seal. Later is always safe; `since` keeps the oldest ticket, for barriers. So a log is bounded by the
 * distinct objects in it, and a program that toggles a few objects inside one section needs no memory at all.
 *
 * The chunks are off the log while they are worked on: a thread that stops here (fork) leaves units counted, and gives none
 * back twice. In place: no memory.
 */
#include "record.h"
#include "step.h"

#define WINDOW 16 /* chunks at most: a bounded piece of work inside somebody's store */
#define ENOUGH (WN_CHUNK_ENTRIES / 8 + 1) /* room for fewer entries is not worth a sort */

struct window {
    struct wn_chunk *before; /* the one in front of them, or NULL */
    struct wn_chunk *chunk[WINDOW];
    uint32_t         chunks;
    uint32_t         entries;
};

static uintptr_t *
at(struct window *w, uint32_t i)
{
    return &w->chunk[i / WN_CHUNK_ENTRIES]->entry[i % WN_CHUNK_ENTRIES];
}

/* Calls and objects have different kinds, so equal keys are units of one object. */
static uint64_t
key(uintptr_t entry)
{
    return entry & (WN_ENTRY_MORE - 1);
}

static bool
is_unit(uintptr_t entry)
{
    return (entry & WN_ENTRY_KIND) == WN_ENTRY_UNIT;
}

/* ---- Choosing ----------------------------------------------------------------------------------------------------- */

static struct wn_chunk *
next(const struct wn_chunk *c)
{
    return (struct wn_chunk *)c->link.next;
}

/* The newest chunks from `from` on; all follow `before`. */
static void
choose(struct window *w, struct wn_chunk *before, struct wn_chunk *from)
{
    uint32_t n = 0;

    *w = (struct window){.before = before};
    for (struct wn_chunk *c = from; c; c = next(c))
        n++;
    for (; n > WINDOW; n--) {
        w->before = from;
        from = next(from);
    }
    for (; from; from = next(from))
        w->chunk[w->chunks++] = from;
}

static struct wn_chunk *
before_unsealed(const struct wn_log *log)
{
    struct wn_chunk *c = log->first;

    if (c == log->unsealed)
        return NULL;
    while (next(c) != log->unsealed)
        c = next(c);
    return c;
}

/* The one store that takes them off comes first; a child of a fork mends the rest (wn_log_mend). */
static void
detach(struct wn_log *log, struct window *w)
{
    if (w->before)
        w->before->link.next = NULL;
    else
        log->first = NULL;
    compiler_barrier();
    log->open = w->before;
    log->unsealed = log->measured = NULL;
}

/* ---- Merging ------------------------------------------------------------------------------------------------------- */

/* Close the gaps: applied entries and padding. Reading is never behind writing. */
static void
pack(struct window *w)
{
    for (uint32_t k = 0; k < w->chunks; k++)
        for (uint32_t i = w->chunk[k]->next; i < w->chunk[k]->count; i++)
            if (w->chunk[k]->entry[i])
                *at(w, w->entries++) = w->chunk[k]->entry[i];
}

static void
sift(struct window *w, uint32_t i, uint32_t n)
{
    uintptr_t e = *at(w, i);

    for (uint32_t child; (child = 2 * i + 1) < n; i = child) {
        child += child + 1 < n && key(*at(w, child + 1)) > key(*at(w, child));
        if (key(*at(w, child)) <= key(e))
            break;
        *at(w, i) = *at(w, child);
    }
    *at(w, i) = e;
}

/* Heapsort: in place, and no bad cases. */
static void
sort(struct window *w)
{
    for (uint32_t i = w->entries / 2; i-- > 0;)
        sift(w, i, w->entries);
    for (uint32_t n = w->entries; n-- > 1;) {
        uintptr_t last = *at(w, n);

        *at(w, n) = *at(w, 0);
        *at(w, 0) = last;
        sift(w, 0, n);
    }
}

/* The units of `entry` go into `into`, if its counter holds them. */
static bool
merge(uintptr_t *into, uintptr_t entry)
{
    uint64_t more = (*into >> 48) + (entry >> 48) + 1;

    if (key(*into) != key(entry) || !is_unit(entry) || more > UINT16_MAX)
        return false;
    if (!WN_MUTANT(squeeze_forgets))
        *into = key(entry) | more << 48;
    return true;
}

static void
merge_all(struct window *w)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < w->entries; i++)
        if (!n || !merge(at(w, n - 1), *at(w, i)))
            *at(w, n++) = *at(w, i);
    w->entries = n;
}

/* ---- Putting back -------------------------------------------------------------------------------------------------- */

static uint64_t
oldest(const struct window *w)
{
    uint64_t since = 0;

    for (uint32_t k = 0; k < w->chunks; k++)
        if (w->chunk[k]->since && (!since || w->chunk[k]->since < since))
            since = w->chunk[k]->since;
    return since;
}

/* What was measured is measured anew when it is sealed. */
static void
unmeasure(struct wn_record *r, struct wn_chunk *c)
{
    wn_counter_add(&r->held_bytes, -c->bytes);
    c->bytes = 0;
}

static void
fill(struct window *w, uint32_t k, uint64_t since, bool is_last)
{
    struct wn_chunk *c = w->chunk[k];
    uint32_t         left = w->entries - k * WN_CHUNK_ENTRIES;

    c->ticket = WN_MUTANT(squeeze_keeps_ticket) && !is_last ? since : 0;
    c->since = since;
    c->next = 0;
    c->count = left < WN_CHUNK_ENTRIES ? left : WN_CHUNK_ENTRIES;
    c->link.next = is_last ? NULL : &w->chunk[k + 1]->link;
}

static uint32_t
chunks_for(uint32_t entries)
{
    return entries ? (entries + WN_CHUNK_ENTRIES - 1) / WN_CHUNK_ENTRIES : 1;
}

static void
attach(struct wn_record *r, struct wn_log *log, struct window *w)
{
    uint32_t used = chunks_for(w->entries);
    uint64_t since = w->entries ? oldest(w) : 0;

    for (uint32_t k = 0; k < used; k++)
        fill(w, k, since, k + 1 == used);
    compiler_barrier();
    if (w->before)
        w->before->link.next = &w->chunk[0]->link;
    else
        log->first = w->chunk[0];
    compiler_barrier();
    log->unsealed = w->chunk[0];
    log->open = w->chunk[used - 1];
    for (uint32_t k = used; k < w->chunks; k++) {
        log->chunks--;
        log->pooled -= w->chunk[k]->pooled;
        wn_chunk_free(r, w->chunk[k]);
    }
}

static bool
squeeze(struct wn_record *r, struct wn_log *log, struct window *w)
{
    uint32_t chunks = w->chunks;

    if (w->before && !w->before->ticket)
        return false; /* more than a window without a ticket: chunks without one stay together, at the end */
    detach(log, w);
    for (uint32_t k = 0; k < chunks; k++)
        unmeasure(r, w->chunk[k]);
    pack(w);
    sort(w);
    merge_all(w);
    attach(r, log, w);
    return chunks_for(w->entries) < chunks || WN_CHUNK_ENTRIES - log->open->count >= ENOUGH;
}

bool
wn_log_squeeze(struct wn_record *r, struct wn_log *log)
{
    struct window w;

    if (log->unsealed) {
        choose(&w, before_unsealed(log), log->unsealed);
        if (squeeze(r, log, &w))
            return true;
    }
    if (!log->first || log->first == log->unsealed)
        return false; /* there are no others */
    choose(&w, NULL, log->first);
    return squeeze(r, log, &w);
}

bool
wn_log_add_unit(struct wn_log *log, uintptr_t h)
{
    for (struct wn_chunk *c = log->unsealed; c; c = next(c))
        for (uint32_t i = c->next; i < c->count; i++)
            if (key(c->entry[i]) == h && c->entry[i] >> 48 < UINT16_MAX) {
                c->entry[i] += WN_ENTRY_MORE;
                return true;
            }
    return false;
}

void
wn_log_mend(struct wn_log *log)
{
    log->open = log->unsealed = log->measured = NULL;
    log->chunks = log->pooled = 0;
    for (struct wn_chunk *c = log->first; c; c = next(c)) {
        if (!c->ticket && !log->unsealed)
            log->unsealed = c;
        log->open = c;
        log->chunks++;
        log->pooled += c->pooled;
    }
}
