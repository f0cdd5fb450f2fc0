/* SPDX-License-Identifier: MIT */
#include "log.h"

#include <stdlib.h>

#include "record.h"

#define SPARE_CHUNKS 2

struct wn_chunk *
wn_chunk_new(struct wn_record *r)
{
    struct wn_chunk *c = r->spare;

    if (c) {
        r->spare = (struct wn_chunk *)c->link.next;
        r->spare_count--;
    } else if (!(c = malloc(sizeof *c))) {
        return NULL;
    }
    c->link.next = NULL;
    c->ticket = c->bytes = 0;
    c->count = c->next = 0;
    return c;
}

void
wn_chunk_free(struct wn_record *r, struct wn_chunk *c)
{
    if (r->spare_count >= SPARE_CHUNKS) {
        free(c);
        return;
    }
    c->link.next = (struct wn_link *)r->spare;
    r->spare = c;
    r->spare_count++;
}

void
wn_chunks_reserve(struct wn_record *r)
{
    struct wn_chunk *c;

    while (r->spare_count < SPARE_CHUNKS && (c = malloc(sizeof *c)))
        wn_chunk_free(r, c);
}

bool
wn_log_reserve(struct wn_record *r, struct wn_log *log, uint32_t n)
{
    struct wn_chunk *c = log->open;

    if (c && !c->ticket && c->count + n <= WN_CHUNK_ENTRIES)
        return true;
    if (!(c = wn_chunk_new(r)))
        return false;
    if (log->open)
        log->open->link.next = &c->link;
    else
        log->first = c;
    log->open = c;
    if (!log->unsealed)
        log->unsealed = c;
    log->chunks++;
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
    log->first = (struct wn_chunk *)c->link.next;
    compiler_barrier();
    log->chunks--;
    wn_chunk_free(r, c);
}

struct wn_chunk *
wn_log_take(struct wn_log *log)
{
    struct wn_chunk *c = log->first;

    log->open = log->unsealed = NULL;
    compiler_barrier();
    log->first = NULL;
    log->chunks = 0;
    return c;
}
