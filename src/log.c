/* SPDX-License-Identifier: MIT */
#include "log.h"

#include "memory.h"
#include "record.h"
#include "step.h"

#define SPARE_CHUNKS 2

static struct wn_chunk *
chunk_new(struct wn_record *r)
{
    struct wn_chunk *c = r->spare;

    if (c) {
        r->spare = (struct wn_chunk *)c->link.next;
        r->spare_count--;
        return c;
    }
    c = wn_malloc(sizeof *c);
    if (c)
        c->pooled = false;
    else
        wn_record_hungers(r);
    return c;
}

struct wn_chunk *
wn_chunk_make(void)
{
    struct wn_chunk *c = wn_malloc(sizeof *c);
    bool             pooled = !c;

    if (pooled)
        c = wn_pool_take();
    if (c)
        c->pooled = pooled;
    return c;
}

struct wn_deferred_call *
wn_deferred_call_new(void (*fn)(void *), void *pointer)
{
    struct wn_deferred_call *call = wn_malloc(sizeof *call);

    if (!call || (uintptr_t)call & ~(uintptr_t)WN_ENTRY_ADDRESS) { /* entries have 48 bits for it */
        wn_free(call);
        return NULL;
    }
    *call = (struct wn_deferred_call){fn, pointer};
    return call;
}

void
wn_chunk_release(struct wn_chunk *c)
{
    if (c->pooled)
        wn_pool_give(c);
    else
        wn_free(c);
}

void
wn_chunk_free(struct wn_record *r, struct wn_chunk *c)
{
    if (c->pooled || r->spare_count >= SPARE_CHUNKS) {
        wn_chunk_release(c);
        return;
    }
    c->link.next = (struct wn_link *)r->spare;
    r->spare = c;
    r->spare_count++;
}

bool
wn_chunks_reserve(struct wn_record *r)
{
    struct wn_chunk *c;

    while (r->spare_count < SPARE_CHUNKS && (c = wn_malloc(sizeof *c))) {
        c->pooled = false;
        wn_chunk_free(r, c);
    }
    return r->spare_count == SPARE_CHUNKS;
}

static void
open_chunk(struct wn_log *log, struct wn_chunk *c)
{
    c->link.next = NULL;
    c->ticket = c->since = c->bytes = 0;
    c->count = c->next = 0;
    if (log->open)
        log->open->link.next = &c->link;
    else
        log->first = c;
    log->open = c;
    if (!log->unsealed)
        log->unsealed = c;
    log->chunks++;
    log->pooled += c->pooled;
}

bool
wn_log_reserve(struct wn_record *r, struct wn_log *log)
{
    struct wn_chunk *c;

    if (wn_log_has_room(log))
        return true;
    c = chunk_new(r);
    if (!c)
        return false;
    open_chunk(log, c);
    return true;
}

bool
wn_log_reserve_pooled(struct wn_log *log, uint32_t most)
{
    struct wn_chunk *c = log->pooled < most ? wn_pool_take() : NULL;

    if (!c)
        return false;
    c->pooled = true;
    open_chunk(log, c);
    return true;
}

bool
wn_log_reopen(struct wn_log *log)
{
    struct wn_chunk *c = log->open;

    if (!c || c->count == WN_CHUNK_ENTRIES || WN_MUTANT(sealed_stays_sealed))
        return false;
    if (!WN_MUTANT(reopened_keeps_ticket))
        c->ticket = 0; /* not `since`: that is what barriers wait for */
    compiler_barrier(); /* stopped in between (fork): wn_log_mend */
    log->unsealed = c;
    return true;
}

/* Unsealed chunks are at the end; the displacements of all their entries have happened. */
static void
seal_until(struct wn_log *log, const struct wn_chunk *end)
{
    uint64_t ticket = 0;

    for (; log->unsealed != end && log->unsealed->count; log->unsealed = (struct wn_chunk *)log->unsealed->link.next) {
        if (!ticket)
            ticket = wn_grace_ticket();
        if (!log->unsealed->since)
            log->unsealed->since = ticket;
        log->unsealed->ticket = ticket;
    }
}

void
wn_log_seal(struct wn_log *log)
{
    seal_until(log, NULL);
}

void
wn_log_seal_before_open(struct wn_log *log)
{
    seal_until(log, log->open);
}

struct wn_chunk *
wn_log_ripe(struct wn_log *log)
{
    struct wn_chunk *c = log->first;

    return c && c->ticket && wn_grace_done(c->ticket) ? c : NULL;
}

void
wn_log_pop(struct wn_record *r, struct wn_log *log)
{
    struct wn_chunk *c = log->first;

    if (log->open == c) {
        log->open = NULL;
        log->unsealed = NULL;
        compiler_barrier(); /* stopped here (fork), the list is whole */
    }
    if (log->measured == c)
        log->measured = NULL;
    wn_counter_add(&r->held_bytes, -c->bytes);
    log->first = (struct wn_chunk *)c->link.next;
    compiler_barrier();
    log->chunks--;
    log->pooled -= c->pooled;
    wn_chunk_free(r, c);
}

struct wn_chunk *
wn_log_take(struct wn_log *log)
{
    struct wn_chunk *c = log->first;

    log->open = log->unsealed = NULL;
    compiler_barrier();
    log->first = NULL;
    log->chunks = log->pooled = 0;
    return c;
}
