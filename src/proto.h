/* SPDX-License-Identifier: MIT
 *
 * proto.h - a heap profile in the format of pprof: profile.proto, not compressed
 *
 * https://github.com/google/pprof/blob/main/proto/profile.proto. Fields may come in any order, so samples, strings and locations
 * are written as they come up; a location's number is its address. Names of functions are left to pprof, which has the mappings.
 */
#ifndef WN_PROTO_H
#define WN_PROTO_H

#include "text.h"

struct wn_proto {
    struct wn_text out, part, pcs; /* pcs: all addresses of the samples, as they came */
    uint64_t       strings;        /* written */
};

void wn_proto_begin(struct wn_proto *p, int fd, uint64_t period, uint64_t nanoseconds, uint64_t lost);

/* values: objects and bytes ever made, objects and bytes alive. type: a label. */
void wn_proto_sample(struct wn_proto *p, const uintptr_t *pc, uint32_t depth, const uint64_t values[4], const char *type);

int wn_proto_end(struct wn_proto *p); /* 0 or -errno */

#endif
