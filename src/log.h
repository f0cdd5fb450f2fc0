/* SPDX-License-Identifier: MIT
 *
 * log.h - chunks of entries: displaced units waiting for a grace period, candidates waiting for a collection
 *
 * A log is a list of chunks, oldest first. Only its record's holder or claimer touches it. Deferred chunks are sealed with a
 * ticket (grace.h) when full or when asked, and applied by the same record. Candidate chunks go to the collector.
 *
 * Entry: a header's address, with a kind in the low bits and, of a deferred unit, how many units more than one in the top 16.
 * 0 is padding. A log that can have no chunk is *squeezed*: equal entries become one (squeeze.c).
 */
#ifndef WN_LOG_H
#define WN_LOG_H

#include "pool.h"
#include "stack.h"

#if WN_CHECKS >= 3
#define WN_CHUNK_ENTRIES 4 /* rigged */
#else
#define WN_CHUNK_ENTRIES 250
#endif

struct wn_chunk {
    struct wn_link link;
    uint64_t       ticket; /* 0 until sealed */
    uint64_t       since;  /* the oldest ticket that an entry has had; 0: none */
    uint32_t       count;
    uint16_t       next; /* next entry to apply */
    bool           pooled; /* a block of the pool */
    uint64_t       bytes; /* payloads of its objects, if a long log was measured (tend.c); else 0 */
    uintptr_t      entry[WN_CHUNK_ENTRIES];
};
_Static_assert(sizeof(struct wn_chunk) <= WN_BLOCK, "a chunk fits a block of the pool");

struct wn_log {
    struct wn_chunk *first; /* oldest */
    struct wn_chunk *open;  /* newest, takes entries; NULL or the last of the list */
    struct wn_chunk *unsealed; /* the first without a ticket; those after it have none either */
    struct wn_chunk *measured; /* the last of those that were, or NULL */
    uint32_t         chunks;
    uint32_t         pooled; /* of these, blocks of the pool */
};

/* kinds in the low bits of deferred entries */
#define WN_ENTRY_UNIT 0u
#define WN_ENTRY_CALL 1u /* the address is a struct wn_deferred_call's */
/* of candidate entries */
#define WN_ENTRY_OWN 1u /* stands for quiet/OWNLOG; else for BUFFERED */
#define WN_ENTRY_KIND ((uintptr_t)7)
#define WN_ENTRY_MORE (UINT64_C(1) << 48)
#define WN_ENTRY_ADDRESS ((WN_ENTRY_MORE - 1) & ~WN_ENTRY_KIND)

struct wn_deferred_call {
    void (*fn)(void *);
    void *pointer;
};

/* NULL: no memory. */
struct wn_deferred_call *wn_deferred_call_new(void (*fn)(void *), void *pointer);

struct wn_record;

/* Make room for an entry in the open chunk. False: no memory. */
bool wn_log_reserve(struct wn_record *r, struct wn_log *log);

/* The same from the pool, if the log has fewer than `most` blocks of it. */
bool wn_log_reserve_pooled(struct wn_log *log, uint32_t most);

static inline bool
wn_log_has_room(const struct wn_log *log)
{
    return log->open && !log->open->ticket && log->open->count < WN_CHUNK_ENTRIES;
}

/* Without memory: the newest chunk, sealed before it was full, takes more entries, and all of them a later ticket. Each leave
 * seals what is there: a few entries a chunk would use up what wane_new has paid for by entries. False: it is full. */
bool wn_log_reopen(struct wn_log *log);

/* Merge equal entries of the deferred log. True: there is room for many more, or a chunk was freed. Without memory. */
bool wn_log_squeeze(struct wn_record *r, struct wn_log *log);

/* Add a unit of h, just displaced, to an entry that is not sealed yet. False: there is none. */
bool wn_log_add_unit(struct wn_log *log, uintptr_t h);

/* After a reserve. */
static inline void
wn_log_append(struct wn_log *log, uintptr_t entry)
{
    log->open->entry[log->open->count] = entry;
    compiler_barrier(); /* whoever is stopped here (fork) leaves no entry that is not one */
    log->open->count++;
}

/* In the child of a fork: the holder was stopped somewhere in here. */
void wn_log_mend(struct wn_log *log);

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

struct wn_chunk *wn_chunk_make(void); /* from malloc or from the pool; its fields are for the caller to set */
void wn_chunk_free(struct wn_record *r, struct wn_chunk *chunk);
void wn_chunk_release(struct wn_chunk *chunk); /* not to a record's spares */

/* Have spare chunks, so that displacing needs no memory for a while. False: there are fewer. */
bool wn_chunks_reserve(struct wn_record *r);

#endif
