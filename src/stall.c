/* SPDX-License-Identifier: MIT */
#include "stall.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <wane/observe.h>

#include "driver.h"
#include "hook.h"
#include "probe.h"
#include "step.h"

typedef void stall_fn(const struct wane_stall *, void *);

static struct wane_atomic_ptr current; /* a: the hook; its number is the threshold in nanoseconds */

static struct wane_atomic64 oldest, stalls;
static struct wane_atomic32 looking;     /* a: 1 guards last_ticket and what the records say of sections seen */
static uint64_t             last_ticket; /* of the last look */

#define MOST 8

static void
print(const struct wane_stall *s, void *unused)
{
    (void)unused;
    fputs("wane: ", stderr);
    (void)wane_stall_write(s, fileno(stderr));
}

void
wn_stall_init(void)
{
    const char *value = getenv("WANE_STALL_MS");

    if (value && *value)
        (void)wane_on_stall((unsigned)strtoul(value, NULL, 10), print, NULL);
}

int
wane_on_stall(unsigned milliseconds, stall_fn *fn, void *arg)
{
    return wn_hook_set(&current, (void (*)(void))fn, arg, (uint64_t)milliseconds * 1000000);
}

void
wn_stall_thread_name(uint32_t tid, char name[WN_THREAD_NAME])
{
    char   path[64];
    FILE  *f;

    snprintf(path, sizeof path, "/proc/self/task/%u/comm", tid);
    f = fopen(path, "re");
    if (!f || !fgets(name, WN_THREAD_NAME, f))
        snprintf(name, WN_THREAD_NAME, "?");
    if (f)
        fclose(f);
    name[strcspn(name, "\n")] = 0;
}

static void
report(const struct wn_hook *to, const struct wn_stalled *f)
{
    struct wane_stats s;
    char              name[WN_THREAD_NAME];
    struct wane_stall stall = {.tid = f->tid, .thread = name, .nanoseconds = f->nanoseconds};

    wn_stall_thread_name(stall.tid, name);
    wane_stats(&s);
    stall.units = s.displaced > s.applied ? s.displaced - s.applied : 0; /* the sums are no snapshot */
    stall.bytes = s.held_bytes;
    fetch_add_relaxed(&stalls, 1u);
    WN_PROBE3(stall, stall.tid, stall.nanoseconds, stall.units);
    ((stall_fn *)to->fn)(&stall, to->arg);
}

/* The section that is open at r, if it began before the last look. */
static uint64_t
open_before(const struct wn_record *r)
{
    uint64_t ctr = load_relaxed(&r->pub.ctr); /* relaxed: nothing is concluded but a report */

    return (ctr & WANE_NEST) && (ctr & ~WANE_NEST) < last_ticket ? ctr & ~WANE_NEST : 0;
}

/* How long has this record's section been seen? 0: it is not in one, or in another one than at the last look. */
static uint64_t
age_of(struct wn_record *r, uint64_t now)
{
    uint64_t epoch = open_before(r);

    if (epoch && epoch == r->seen_epoch)
        return now - r->seen_since;
    r->seen_epoch = epoch;
    r->seen_since = now;
    r->stall_reported = false;
    return 0;
}

/* Returns how many are to be reported; others than the first MOST come with the next look. */
static unsigned
look(const struct wn_hook *to, struct wn_stalled *found)
{
    uint64_t now = wn_now(), most = 0;
    unsigned n = 0;

    for (uint32_t id = 1; id <= wn_record_limit(); id++) {
        struct wn_record *r = wn_record(id);
        uint64_t          age = r ? age_of(r, now) : 0;

        most = age > most ? age : most;
        if (!to->fn || age < to->number || !age || r->stall_reported || n == MOST)
            continue;
        found[n++] = (struct wn_stalled){load_relaxed(&r->tid), age};
        r->stall_reported = true;
    }
    store_relaxed(&oldest, most);
    last_ticket = wn_grace_ticket();
    return n;
}

void
wn_stall_look(void)
{
    struct wn_hook to = wn_hook_get(&current);
    struct wn_stalled   found[MOST];
    unsigned       n;

    if (exchange_acq_rel(&looking, 1u))
        return; /* somebody does */
    n = look(&to, found);
    store_release(&looking, 0u);
    for (unsigned i = 0; i < n; i++) {
        WN_STEP("stall:found");
        report(&to, &found[i]);
    }
}

unsigned
wn_stall_list(struct wn_stalled *out, unsigned most)
{
    uint64_t now = wn_now();
    unsigned n = 0;

    if (exchange_acq_rel(&looking, 1u))
        return 0;
    for (uint32_t id = 1; id <= wn_record_limit() && n < most; id++) {
        const struct wn_record *r = wn_record(id);

        if (r && r->seen_epoch && open_before(r) == r->seen_epoch && now > r->seen_since)
            out[n++] = (struct wn_stalled){load_relaxed(&r->tid), now - r->seen_since};
    }
    store_release(&looking, 0u);
    return n;
}

void
wn_stall_forked(void)
{
    store_relaxed(&looking, 0u);
}

void
wn_stall_stats(struct wane_stats *out)
{
    out->stalled_nanoseconds = load_relaxed(&oldest);
    out->stalls = load_relaxed(&stalls);
}
