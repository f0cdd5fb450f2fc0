/* SPDX-License-Identifier: MIT */
#include "proto.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Numbers of fields. */
enum { SAMPLE_TYPE = 1, SAMPLE, MAPPING, LOCATION, FUNCTION, STRING, TIME = 9, DURATION, PERIOD_TYPE, PERIOD, COMMENT, USUAL };
enum { VALUE_TYPE = 1, VALUE_UNIT };
enum { SAMPLE_LOCATION = 1, SAMPLE_VALUE, SAMPLE_LABEL };
enum { LABEL_KEY = 1, LABEL_STRING };
enum { MAPPING_ID = 1, MAPPING_START, MAPPING_LIMIT, MAPPING_OFFSET, MAPPING_FILE };
enum { LOCATION_ID = 1, LOCATION_MAPPING, LOCATION_ADDRESS };

/* ---- The wire ------------------------------------------------------------------------------------------------------------ */

static void
varint(struct wn_text *t, uint64_t n)
{
    char bytes[10];
    int  used = 0;

    for (; n >= 0x80; n >>= 7)
        bytes[used++] = (char)(n | 0x80);
    bytes[used++] = (char)n;
    wn_text_add(t, bytes, (size_t)used);
}

static void
number(struct wn_text *t, unsigned field, uint64_t n)
{
    varint(t, field << 3);
    varint(t, n);
}

static void
bytes(struct wn_text *t, unsigned field, const char *data, size_t count)
{
    varint(t, field << 3 | 2);
    varint(t, count);
    wn_text_add(t, data, count);
}

/* The part becomes a message of its own. */
static void
message(struct wn_proto *p, unsigned field)
{
    bytes(&p->out, field, p->part.data, p->part.used);
    p->part.used = 0;
}

static uint64_t
string(struct wn_proto *p, const char *s)
{
    bytes(&p->out, STRING, s, strlen(s));
    return p->strings++;
}

/* ---- The parts ----------------------------------------------------------------------------------------------------------- */

static uint64_t
value_type(struct wn_proto *p, unsigned field, const char *type, const char *unit)
{
    uint64_t name = string(p, type);

    number(&p->part, VALUE_TYPE, name);
    number(&p->part, VALUE_UNIT, string(p, unit));
    message(p, field);
    return name;
}

void
wn_proto_begin(struct wn_proto *p, int fd, uint64_t period, uint64_t nanoseconds, uint64_t lost)
{
    struct timespec now;
    char            words[96];

    p->strings = 0;
    wn_text_init(&p->out, fd);
    wn_text_init(&p->part, -1);
    wn_text_init(&p->pcs, -1);
    (void)string(p, "");
    (void)value_type(p, SAMPLE_TYPE, "alloc_objects", "count");
    (void)value_type(p, SAMPLE_TYPE, "alloc_space", "bytes");
    (void)value_type(p, SAMPLE_TYPE, "inuse_objects", "count");
    number(&p->out, USUAL, value_type(p, SAMPLE_TYPE, "inuse_space", "bytes"));
    (void)value_type(p, PERIOD_TYPE, "space", "bytes");
    number(&p->out, PERIOD, period);
    clock_gettime(CLOCK_REALTIME, &now);
    number(&p->out, TIME, (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec);
    number(&p->out, DURATION, nanoseconds);
    if (lost) {
        snprintf(words, sizeof words, "%" PRIu64 " samples had no room: objects in use are more than shown", lost);
        number(&p->out, COMMENT, string(p, words));
    }
}

/* Frames are return addresses: a byte before them is the call. */
static uint64_t
location(uintptr_t pc)
{
    return pc - 1;
}

void
wn_proto_sample(struct wn_proto *p, const uintptr_t *pc, uint32_t depth, const uint64_t values[4], const char *type)
{
    struct wn_text label;
    uint64_t       key = string(p, "type"), name = string(p, type);

    wn_text_init(&label, -1);
    for (uint32_t i = 0; i < depth; i++) {
        uint64_t at = location(pc[i]);

        number(&p->part, SAMPLE_LOCATION, at);
        wn_text_add(&p->pcs, (const char *)&at, sizeof at);
    }
    for (int i = 0; i < 4; i++)
        number(&p->part, SAMPLE_VALUE, values[i]);
    number(&label, LABEL_KEY, key);
    number(&label, LABEL_STRING, name);
    bytes(&p->part, SAMPLE_LABEL, label.data, label.used);
    message(p, SAMPLE);
    label.used = 0;
    if (wn_text_done(&label))
        p->part.error = -ENOMEM;
}

static int
compare(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return x < y ? -1 : x > y;
}

/* Each address once, in order. */
static size_t
sort(struct wn_text *pcs)
{
    uint64_t *pc = (uint64_t *)(void *)pcs->data;
    size_t    count = pcs->used / sizeof *pc, kept = 0;

    if (count)
        qsort(pc, count, sizeof *pc, compare);
    for (size_t i = 0; i < count; i++)
        if (!kept || pc[i] != pc[kept - 1])
            pc[kept++] = pc[i];
    return kept;
}

struct range {
    uint64_t start, limit;
    uint64_t id;
};

/* One line of /proc/self/maps; false: nothing that is run. */
static bool
add_mapping(struct wn_proto *p, const char *line, struct range *r)
{
    uint64_t offset;
    char     execute;
    int      at = 0;

    if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %*c%*c%c%*c %" SCNx64 " %*s %*s %n", &r->start, &r->limit, &execute, &offset,
               &at) != 4 || execute != 'x' || !at || !line[at])
        return false;
    number(&p->part, MAPPING_ID, r->id);
    number(&p->part, MAPPING_START, r->start);
    number(&p->part, MAPPING_LIMIT, r->limit);
    number(&p->part, MAPPING_OFFSET, offset);
    number(&p->part, MAPPING_FILE, string(p, line + at));
    message(p, MAPPING);
    return true;
}

static void
add_location(struct wn_proto *p, uint64_t address, uint64_t mapping)
{
    number(&p->part, LOCATION_ID, address);
    if (mapping)
        number(&p->part, LOCATION_MAPPING, mapping);
    number(&p->part, LOCATION_ADDRESS, address);
    message(p, LOCATION);
}

/* Both lists are in the order of addresses. */
static void
add_locations(struct wn_proto *p)
{
    const uint64_t *pc = (const uint64_t *)(const void *)p->pcs.data;
    size_t          count = sort(&p->pcs), i = 0;
    struct range    r = {.id = 1};
    char            line[4400];
    FILE           *maps = fopen("/proc/self/maps", "re");

    while (maps && fgets(line, sizeof line, maps)) {
        line[strcspn(line, "\n")] = 0;
        if (!add_mapping(p, line, &r))
            continue;
        for (; i < count && pc[i] < r.limit; i++)
            add_location(p, pc[i], pc[i] >= r.start ? r.id : 0);
        r.id++;
    }
    if (maps)
        fclose(maps);
    for (; i < count; i++)
        add_location(p, pc[i], 0);
}

int
wn_proto_end(struct wn_proto *p)
{
    int error;

    add_locations(p);
    error = p->part.error ? p->part.error : p->pcs.error;
    if (error)
        p->out.error = error;
    p->part.used = p->pcs.used = 0;
    (void)wn_text_done(&p->part);
    (void)wn_text_done(&p->pcs);
    return wn_text_done(&p->out);
}
