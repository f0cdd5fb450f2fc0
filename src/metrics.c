/* SPDX-License-Identifier: MIT
 *
 * metrics.c - the statistics as text: OpenMetrics 1.0 for scrapers, JSON for programs
 *
 * One table serves both. In OpenMetrics times are seconds and counters end in _total, as the standard wants; in JSON the names
 * and units are those of the structs. Types are told apart by an id besides their name, which need not be unique.
 */
#include <wane/observe.h>

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <wane/collector.h>
#include <wane/memory.h>

#include "driver.h"
#include "histogram.h"
#include "metrics.h"
#include "stall.h"

struct wn_histogram wn_collection_times, wn_grace_times;

enum kind { COUNTER, GAUGE, COUNTER_TIME, GAUGE_TIME };

struct field {
    const char *name; /* of the field; also of the metric, but for times */
    const char *help;
    size_t      offset;
    enum kind   kind;
};

#define FIELD(s, name, kind, help) {#name, help, offsetof(struct s, name), kind}

static const struct field stats_fields[] = {
    FIELD(wane_stats, objects_born, COUNTER, "Objects made"),
    FIELD(wane_stats, objects_died, COUNTER, "Objects destroyed"),
    FIELD(wane_stats, bytes_born, COUNTER, "Payload bytes of objects made"),
    FIELD(wane_stats, bytes_died, COUNTER, "Payload bytes of objects destroyed"),
    FIELD(wane_stats, died_in_cycles, COUNTER, "Objects destroyed by collections"),
    FIELD(wane_stats, displaced, COUNTER, "Units that went into deferred logs"),
    FIELD(wane_stats, applied, COUNTER, "Units of deferred logs given back"),
    FIELD(wane_stats, queued, COUNTER, "Units given to merge queues"),
    FIELD(wane_stats, merged, COUNTER, "Objects that lost their bias"),
    FIELD(wane_stats, claims, COUNTER, "Records acted for"),
    FIELD(wane_stats, grace_periods, COUNTER, "Grace periods"),
    FIELD(wane_stats, collections, COUNTER, "Collections"),
    FIELD(wane_stats, examined, COUNTER, "Objects visited by collections"),
    FIELD(wane_stats, suspects, COUNTER, "Objects suspected by collections"),
    FIELD(wane_stats, aborted, COUNTER, "Suspects given back"),
    FIELD(wane_stats, components, COUNTER, "Groups of objects destroyed by collections"),
    FIELD(wane_stats, collect_nanoseconds, COUNTER_TIME, "Time in collections"),
    FIELD(wane_stats, finalized, COUNTER, "Finalizers run"),
    FIELD(wane_stats, records, COUNTER, "Records made"),
    FIELD(wane_stats, lost_units, COUNTER, "Units left counted for want of memory"),
    FIELD(wane_stats, lost_candidates, COUNTER, "Candidates not noted for want of memory"),
    FIELD(wane_stats, held_bytes, GAUGE, "Payload bytes that wait for a grace period"),
    FIELD(wane_stats, stalled_nanoseconds, GAUGE_TIME, "Age of the oldest section that holds anything up"),
    FIELD(wane_stats, stalls, COUNTER, "Sections reported as stalled"),
};
_Static_assert(sizeof stats_fields / sizeof stats_fields[0] == sizeof(struct wane_stats) / sizeof(uint64_t), "all of them");

static const struct field memory_fields[] = {
    FIELD(wane_memory_stats, used, GAUGE, "Bytes of objects in memory"),
    FIELD(wane_memory_stats, soft, GAUGE, "Soft limit of bytes"),
    FIELD(wane_memory_stats, hard, GAUGE, "Hard limit of bytes"),
    FIELD(wane_memory_stats, refused, COUNTER, "Objects refused at the hard limit"),
    FIELD(wane_memory_stats, waits, COUNTER, "Times that room was made at the hard limit"),
    FIELD(wane_memory_stats, purges, COUNTER, "Purges"),
    FIELD(wane_memory_stats, purged_bytes, COUNTER, "Bytes purged, estimated"),
    FIELD(wane_memory_stats, softs_made, COUNTER, "Soft references made"),
    FIELD(wane_memory_stats, softs_cleared, COUNTER, "Soft references cleared"),
    FIELD(wane_memory_stats, evicted, COUNTER, "Entries that caches threw out"),
    FIELD(wane_memory_stats, spilled, COUNTER, "Payloads moved to files"),
    FIELD(wane_memory_stats, brought_back, COUNTER, "Payloads read back from files"),
    FIELD(wane_memory_stats, spilled_bytes, GAUGE, "Bytes in files"),
};
_Static_assert(sizeof memory_fields / sizeof memory_fields[0] == sizeof(struct wane_memory_stats) / sizeof(uint64_t), "all");

#define COUNT(table) (sizeof(table) / sizeof(table)[0])

static const char *const abort_names[WANE_ABORTS] = {"moved",    "held",       "died",    "owner",
                                                     "upgraded", "finalizers", "section", "memory"};
static const char *const phase_names[WANE_PHASES] = {"suspect", "review", "destroy"};

static uint64_t
value_of(const struct field *f, const void *s)
{
    return *(const uint64_t *)(const void *)((const char *)s + f->offset);
}

static void
add_seconds(struct wn_text *t, uint64_t nanoseconds)
{
    wn_text_print(t, "%llu.%09llu", (unsigned long long)(nanoseconds / 1000000000),
                  (unsigned long long)(nanoseconds % 1000000000));
}

/* ---- OpenMetrics --------------------------------------------------------------------------------------------------------- */

static void
add_family(struct wn_text *t, const char *name, const char *type, const char *unit, const char *help)
{
    wn_text_print(t, "# TYPE %s %s\n", name, type);
    if (unit)
        wn_text_print(t, "# UNIT %s %s\n", name, unit);
    wn_text_print(t, "# HELP %s %s.\n", name, help);
}

static void
add_field(struct wn_text *t, const char *prefix, const struct field *f, uint64_t value)
{
    static const char tail[] = "nanoseconds";
    bool              counter = f->kind == COUNTER || f->kind == COUNTER_TIME, time = f->kind >= COUNTER_TIME;
    char              name[80];

    snprintf(name, sizeof name, "%s%.*s%s", prefix, (int)(strlen(f->name) - (time ? sizeof tail - 1 : 0)), f->name,
             time ? "seconds" : "");
    add_family(t, name, counter ? "counter" : "gauge", time ? "seconds" : NULL, f->help);
    wn_text_print(t, "%s%s ", name, counter ? "_total" : "");
    if (time)
        add_seconds(t, value);
    else
        wn_text_number(t, value);
    wn_text_string(t, "\n");
}

static void
add_label(struct wn_text *t, const char *value)
{
    for (; *value; value++)
        if (*value == '\n')
            wn_text_string(t, "\\n");
        else if (*value == '"' || *value == '\\')
            wn_text_print(t, "\\%c", *value);
        else
            wn_text_add(t, value, 1);
}

struct per_type {
    struct wn_text *text;
    unsigned        id;
    bool            bytes;
    size_t          most; /* JSON: bytes of text */
    unsigned        left_out;
};

static void
add_type(const char *name, int64_t objects, int64_t bytes, void *arg)
{
    struct per_type *p = arg;

    wn_text_print(p->text, "wane_type_%s{type=\"", p->bytes ? "bytes" : "objects");
    add_label(p->text, name);
    wn_text_print(p->text, "\",id=\"%u\"} %lld\n", ++p->id, (long long)(p->bytes ? bytes : objects));
}

static void
add_histogram(struct wn_text *t, const char *name, const struct wn_histogram *h, const char *help)
{
    uint64_t sum = load_relaxed(&h->sum), count = 0;

    add_family(t, name, "histogram", "seconds", help);
    for (int i = 0; i < WN_BUCKETS; i++) {
        count += load_relaxed(&h->bucket[i]);
        wn_text_print(t, "%s_bucket{le=\"", name);
        if (i == WN_BUCKETS - 1)
            wn_text_string(t, "+Inf");
        else
            add_seconds(t, UINT64_C(1) << (WN_HISTOGRAM_FIRST + i));
        wn_text_print(t, "\"} %llu\n", (unsigned long long)count);
    }
    wn_text_print(t, "%s_count %llu\n%s_sum ", name, (unsigned long long)count, name);
    add_seconds(t, sum);
    wn_text_string(t, "\n");
}

static void
add_aborts(struct wn_text *t, const uint64_t aborts[], const uint64_t phases[])
{
    add_family(t, "wane_aborts", "counter", NULL, "Suspects given back, by reason");
    for (int i = 0; i < WANE_ABORTS; i++)
        wn_text_print(t, "wane_aborts_total{reason=\"%s\"} %llu\n", abort_names[i], (unsigned long long)aborts[i]);
    add_family(t, "wane_phase_seconds", "counter", "seconds", "Time in collections, by phase");
    for (int i = 0; i < WANE_PHASES; i++) {
        wn_text_print(t, "wane_phase_seconds_total{phase=\"%s\"} ", phase_names[i]);
        add_seconds(t, phases[i]);
        wn_text_string(t, "\n");
    }
}

int
wane_metrics_write(int fd)
{
    struct wn_text           t;
    struct wane_stats        stats;
    struct wane_memory_stats memory;
    uint64_t                 aborts[WANE_ABORTS], phases[WANE_PHASES];

    wn_text_init(&t, fd);
    wane_stats(&stats);
    wane_memory_stats(&memory);
    wane_aborts(aborts);
    wane_phases(phases);
    for (size_t i = 0; i < COUNT(stats_fields); i++)
        add_field(&t, "wane_", &stats_fields[i], value_of(&stats_fields[i], &stats));
    for (size_t i = 0; i < COUNT(memory_fields); i++)
        add_field(&t, "wane_memory_", &memory_fields[i], value_of(&memory_fields[i], &memory));
    add_aborts(&t, aborts, phases);
    add_family(&t, "wane_type_objects", "gauge", NULL, "Objects alive, by type");
    wane_type_stats(add_type, &(struct per_type){.text = &t});
    add_family(&t, "wane_type_bytes", "gauge", "bytes", "Payload bytes alive, by type");
    wane_type_stats(add_type, &(struct per_type){.text = &t, .bytes = true});
    add_histogram(&t, "wane_collection_seconds", &wn_collection_times, "How long collections took");
    add_histogram(&t, "wane_grace_wait_seconds", &wn_grace_times, "How long the driver waited for grace periods");
    wn_text_string(&t, "# EOF\n");
    return wn_text_done(&t);
}

#define LAST_WORDS 64 /* behind the types */

/* ---- JSON ---------------------------------------------------------------------------------------------------------------- */

static void
add_fields(struct wn_text *t, const char *name, const struct field *fields, size_t count, const void *s)
{
    wn_text_print(t, "\"%s\":{", name);
    for (size_t i = 0; i < count; i++)
        wn_text_print(t, "%s\"%s\":%llu", i ? "," : "", fields[i].name, (unsigned long long)value_of(&fields[i], s));
    wn_text_string(t, "},\n");
}

static void
add_named(struct wn_text *t, const char *name, const char *const *names, const uint64_t *values, int count)
{
    wn_text_print(t, "\"%s\":{", name);
    for (int i = 0; i < count; i++)
        wn_text_print(t, "%s\"%s\":%llu", i ? "," : "", names[i], (unsigned long long)values[i]);
    wn_text_string(t, "},\n");
}

static void
add_json_type(const char *name, int64_t objects, int64_t bytes, void *arg)
{
    struct per_type *p = arg;
    struct wn_text  *t = p->text;
    size_t           before = t->used;

    wn_text_print(t, "%s{\"id\":%u,\"objects\":%lld,\"bytes\":%lld,\"name\":", p->id ? ",\n" : "", p->id + 1,
                  (long long)objects, (long long)bytes);
    wn_text_json(t, name);
    wn_text_string(t, "}");
    p->id++;
    if (t->used > p->most) {
        t->used = before;
        p->left_out++;
    }
}

static void
add_json_stalls(struct wn_text *t)
{
    struct wn_stalled found[WN_STALLS_SHOWN];
    unsigned          n = wn_stall_list(found, WN_STALLS_SHOWN);
    char              name[WN_THREAD_NAME];

    wn_text_string(t, "\"stalled\":[");
    for (unsigned i = 0; i < n; i++) {
        wn_text_print(t, "%s{\"tid\":%u,\"nanoseconds\":%llu,\"thread\":", i ? "," : "", found[i].tid,
                      (unsigned long long)found[i].nanoseconds);
        wn_stall_thread_name(found[i].tid, name);
        wn_text_json(t, name);
        wn_text_string(t, "}");
    }
    wn_text_string(t, "],\n");
}

/* Pairs of a bucket's end in nanoseconds (0: none) and the times in it. */
static void
add_json_histogram(struct wn_text *t, const char *name, const struct wn_histogram *h, const char *end)
{
    wn_text_print(t, "\"%s\":{\"sum\":%llu,\"buckets\":[", name, (unsigned long long)load_relaxed(&h->sum));
    for (int i = 0; i < WN_BUCKETS; i++)
        wn_text_print(t, "%s[%llu,%llu]", i ? "," : "",
                      i == WN_BUCKETS - 1 ? 0 : 1ULL << (WN_HISTOGRAM_FIRST + i),
                      (unsigned long long)load_relaxed(&h->bucket[i]));
    wn_text_print(t, "]}%s", end);
}

void
wn_metrics_json(struct wn_text *t, size_t most)
{
    struct per_type          types = {.text = t, .most = most - LAST_WORDS};
    struct wane_stats        stats;
    struct wane_memory_stats memory;
    uint64_t                 aborts[WANE_ABORTS], phases[WANE_PHASES];

    wane_stats(&stats);
    wane_memory_stats(&memory);
    wane_aborts(aborts);
    wane_phases(phases);
    wn_text_print(t, "{\"process\":%ld,\"nanoseconds\":%llu,\n", (long)getpid(), (unsigned long long)wn_now());
    add_fields(t, "stats", stats_fields, COUNT(stats_fields), &stats);
    add_fields(t, "memory", memory_fields, COUNT(memory_fields), &memory);
    add_named(t, "aborts", abort_names, aborts, WANE_ABORTS);
    add_named(t, "phases", phase_names, phases, WANE_PHASES);
    wn_text_string(t, "\"histograms\":{");
    add_json_histogram(t, "collection_nanoseconds", &wn_collection_times, ",\n");
    add_json_histogram(t, "grace_wait_nanoseconds", &wn_grace_times, "},\n");
    add_json_stalls(t);
    wn_text_string(t, "\"types\":[");
    wane_type_stats(add_json_type, &types);
    wn_text_string(t, "]");
    if (types.left_out)
        wn_text_print(t, ",\n\"types_left_out\":%u", types.left_out);
    wn_text_string(t, "}\n");
}

int
wane_stats_json_write(int fd)
{
    struct wn_text t;

    wn_text_init(&t, fd);
    wn_metrics_json(&t, SIZE_MAX);
    return wn_text_done(&t);
}
