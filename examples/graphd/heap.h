/* SPDX-License-Identifier: MIT
 *
 * heap.h - all that the server knows of memory: values, references to them, and dictionaries, over one of three back ends
 *
 *   heap_wane.c                         wane: reading borrows, writing swaps slots, cycles are collected beside the program
 *   bench/peers/graphd/shared_ptr.cpp  std::shared_ptr, and the mutex of a stripe around each look
 *   bench/peers/graphd/boehm.c          a collected heap, and the same mutexes
 *
 * The server is compiled against this header once for each and sees no difference but speed.
 *
 * A *value* is a text (bytes that never change), or a dictionary from byte strings to values: a hash, a node of the graph, or
 * a part of the key space. Values may refer to each other in cycles.
 *
 * A *loan* is a reference to a value. It is valid until heap_leave, or, after loan_keep, until loan_drop. Each is dropped once.
 *
 * Writing to a dictionary needs the lock of its stripe (stripe.h). Reading must be done without it, but for `dict_find`.
 */
#ifndef HEAP_H
#define HEAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum kind { TEXT = 1, HASH, NODE, SPACE };

/* The head of each value: the server's own fields. */
struct value {
    int64_t  expires; /* a: milliseconds of the clock, 0: never */
    uint32_t touched; /* a: when it was last used (clock.h) */
    uint32_t kind;    /* c */
};

struct loan {
    struct value *value;
    void         *own[2]; /* the back end's */
};

/* ---- The process, its threads --------------------------------------------------------------------------------------- */

bool heap_open(void);

/* `evict` lets go of values of about so many bytes and says how many that was; called from now on when more than `most` bytes are
 * used, by any thread, outside of heap_enter .. heap_leave. most 0: no limit any more; the last call of `evict` has returned. */
bool heap_limit(size_t most, size_t (*evict)(size_t bytes));

/* After the last thread has ended and the last loan is dropped. Returns how many values are left: they have leaked. */
int heap_close(void);

void heap_thread_begin(void);
void heap_thread_end(void);

/* Around a batch of requests. Between two of them a thread may block. */
void heap_enter(void);
void heap_leave(void);

/* Before a batch, outside: make room if more is used than may be. It may wait for other threads' batches. */
void heap_tend(void);

/* Find what is unreachable now, wait until it is gone. Outside. */
void heap_collect(void);

const char *heap_name(void);
size_t      heap_used(void);                                     /* bytes */
size_t      heap_alive(enum kind kind);                          /* values, after heap_collect exactly; SIZE_MAX: not known */
void        heap_report(int fd, bool json);                      /* statistics: OpenMetrics text, or JSON */

/* Zeroed memory of the server's own in which loans may lie. */
void *heap_room(size_t bytes);
void  heap_room_free(void *room);

/* ---- Loans ---------------------------------------------------------------------------------------------------------- */

void loan_copy(struct loan *to, const struct loan *from);
void loan_keep(struct loan *loan);
void loan_drop(struct loan *loan);

/* ---- Texts ---------------------------------------------------------------------------------------------------------- */

/* A text of `size` bytes; *bytes is where to write them, before anybody else sees it. False: no memory. */
bool        text_new(size_t size, struct loan *out, char **bytes);
const char *text_bytes(const struct value *text, size_t *size);

/* ---- Dictionaries ----------------------------------------------------------------------------------------------------- */

bool        dict_new(enum kind kind, const char *name, size_t name_size, unsigned stripe, struct loan *out);
const char *dict_name(const struct value *dict, size_t *size);
unsigned    dict_stripe(const struct value *dict);
size_t      dict_count(const struct value *dict);

/* dict_get: the stripe is not locked by the caller. dict_find: it is. */
bool dict_get(const struct value *dict, const char *key, size_t size, struct loan *out);
bool dict_find(const struct value *dict, const char *key, size_t size, struct loan *out);

/* Locked. dict_put may take what the loan owns; the loan stays valid until heap_leave. False: no memory, nothing has changed. */
bool dict_put(struct value *dict, const char *key, size_t size, struct loan *value);
bool dict_remove(struct value *dict, const char *key, size_t size);
void dict_clear(struct value *dict);

/* fn for all entries until it returns false; it may loan_copy the value, and must not lock or write. Not locked by the caller. */
typedef bool dict_visitor(const char *key, size_t size, const struct loan *value, void *arg);
void dict_each(const struct value *dict, dict_visitor *fn, void *arg);

#ifdef __cplusplus
}
#endif

#endif
