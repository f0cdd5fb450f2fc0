/* SPDX-License-Identifier: MIT
 *
 * profile.h - where the heap's bytes were asked for: births sampled by bytes, with their stacks
 *
 * Points lie on the bytes that each record hands out, at exponentially distributed distances: an object is sampled with
 * probability p = 1 - exp(-bytes / period), and stands for 1 / p objects (Horvitz and Thompson, 1952; so do tcmalloc and Go).
 * Its stack and type find a place in a table of stacks, which only grows; its address is noted in a table of samples, so that
 * its death is seen.
 *
 *     birth   bytes counted on the record (o); at a point: key of a sample 0 -> BUSY (acquire E41), fields, key = address
 *     death   key found, fields read, key = 0 (release E41). Whoever destroys the object has got it from its maker: the fields
 *             were written before that
 *
 * A set of the table holds eight samples; when it is full, the object counts as born and dead. While profiling is off a birth and
 * a death pay what they pay for the registry: a load and a branch.
 */
#ifndef WN_PROFILE_H
#define WN_PROFILE_H

#include "record.h"
#include "type.h"

/* In a section, after the header is written. caller: where wane_new returns to. */
void wn_profile_birth(struct wn_record *r, const struct wn_type *t, const struct wane_header *h, size_t bytes, void *caller);

/* Of any object; also a second time. */
void wn_profile_death(const struct wane_header *h);

void wn_profile_init(void); /* WANE_PROFILE */

#endif
