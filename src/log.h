/* SPDX-License-Identifier: MIT
 *
 * log.h - chunks of entries: displaced units waiting for a grace period, candidates waiting for a collection
 *
 * A log is a list of chunks, oldest first. Only its record's holder or claimer touches it. Deferred chunks are sealed with a
 * ticket (grace.h) when full or when asked, and applied by the same record. Candidate chunks go to the collector.
 *
 * Entry: a header's address, with a kind in the low bits. 0 is padding.
 */
#ifndef WN_LOG_H
#define WN_LOG_H

#include "stack.h"

#if WN_CHECKS >= 3
#define WN_CHUNK_ENTRIES 4 /* rigged */
#else
#define WN_CHUNK_ENTRIES 252
#endif

struct wn_chunk {
    struct wn_link link;
    uint64_t       ticket; /* 0 until sealed */
    uint32_t       count;
    uint32_t       next; /* next entry to apply */
    uint64_t       bytes; /* payloads of its objects, if a long log was measured (tend.c); else 0 */
    uintptr_t      entry[WN_CHUNK_ENTRIES];
};

struct wn_log {
    struct wn_chunk *first; /* oldest */
    struct wn_chunk *open;  /* newest, takes entries; NULL or the last of the list */
    struct wn_chunk *unsealed; /* the first without a ticket; those after it have none either */
    struct wn_chunk *measured; /* the last of those that were, or NULL */
    uint32_t         chunks;
};

/* kinds in the low bits of deferred entries */
#define WN_ENTRY_UNIT 0u
#define WN_ENTRY_CALL 1u /* this alone; the next two entries are a pointer and the function to call with it */
/* of candidate entries */
#define WN_ENTRY_OWN 1u /* stands for quiet/OWNLOG; else for BUFFERED */
#define WN_ENTRY_KIND ((uintptr_t)7)

struct wn_record;

/* Make room for n (<= 3) entries in the open chunk. False: no memory. */
bool wn_log_reserve(struct wn_record *r, struct wn_log *log, uint32_t n);

/* After a reserve. */
static inline void
wn_log_append(struct wn_log *log, uintptr_t entry)
{
    log->open->entry[log->open->count] = entry;
    compiler_barrier(); /* whoever is stopped here (fork) leaves no entry that is not one */
    log->open->count++;
}

/* A deferred call, after a reserve of three: all of it or nothing. */
static inline void
wn_log_append_call(struct wn_log *log, uintptr_t pointer, uintptr_t fn)
{
    uintptr_t *e = &log->open->entry[log->open->count];

    e[0] = WN_ENTRY_CALL;
    e[1] = pointer;
    e[2] = fn;
    compiler_barrier();
    log->open->count += 3;
}

/* Give all unsealed chunks one new ticket, so that they can become ripe. */
void wn_log_seal(struct wn_log *log);

/* The same, sparing the open chunk (which takes more entries). */
void wn_log_seal_before_open(struct wn_log *log);

/* The oldest chunk, if its grace period is over; it stays in the log. */
struct wn_chunk *wn_log_ripe(struct wn_log *log);

/* Remove the oldest chunk, which has been applied. */
void wn_log_pop(struct wn_record *r, struct wn_log *log);

/* Detach everything; the log is empty afterwards. */
struct wn_chunk *wn_log_take(struct wn_log *log);

struct wn_chunk *wn_chunk_new(struct wn_record *r);
void             wn_chunk_free(struct wn_record *r, struct wn_chunk *chunk);

/* Have spare chunks, so that displacing needs no memory for a while. Failure is quiet. */
void wn_chunks_reserve(struct wn_record *r);

#endif
