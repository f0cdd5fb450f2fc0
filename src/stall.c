/* SPDX-License-Identifier: MIT */
#include "stall.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "driver.h"
#include "gate.h"
#include "memory.h"

typedef void stall_fn(const struct wane_stall *, void *);

/* Replaced as a whole, freed after a grace period. */
struct setting {
    uint64_t  threshold;
    stall_fn *fn;
    void     *arg;
};
static struct wane_atomic_ptr current; /* a: struct setting, or NULL */

static struct wane_atomic64 oldest, stalls;

static void
print(const struct wane_stall *s, void *unused)
{
    (void)unused;
    fprintf(stderr, "wane: thread %u (%s) has been in a section for %llu ms; %llu displaced units wait\n", s->tid, s->thread,
            (unsigned long long)(s->nanoseconds / 1000000), (unsigned long long)s->units);
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
    struct setting *fresh = fn ? wn_malloc(sizeof *fresh) : NULL;
    void           *old;

    if (fn && !fresh)
        return -ENOMEM;
    if (fresh)
        *fresh = (struct setting){(uint64_t)milliseconds * 1000000, fn, arg};
    old = exchange_acq_rel(&current, (void *)fresh); /* release E8 */
    if (old)
        (void)wane_free_deferred(old, NULL); /* without memory: a leak of three words */
    return 0;
}

static struct setting
setting(void)
{
    struct setting *s, copy = {UINT64_MAX, NULL, NULL};

    wane_enter();
    s = load_acquire(&current); /* acquire E8 */
    if (s)
        copy = *s;
    wane_leave();
    return copy;
}

static void
name_of(uint32_t tid, char *name, size_t size)
{
    char   path[64];
    FILE  *f;

    snprintf(path, sizeof path, "/proc/self/task/%u/comm", tid);
    f = fopen(path, "re");
    if (!f || !fgets(name, (int)size, f))
        snprintf(name, size, "?");
    if (f)
        fclose(f);
    name[strcspn(name, "\n")] = 0;
}

/* Outside sections, the driver's gate let go. */
static void
report(const struct setting *to, struct wn_record *r, uint64_t age)
{
    struct wane_stats s;
    char              name[32];
    struct wane_stall stall = {.tid = load_relaxed(&r->tid), .thread = name, .nanoseconds = age};
    bool              drives;

    name_of(stall.tid, name, sizeof name);
    wane_stats(&s);
    stall.units = s.displaced - s.applied;
    stall.bytes = s.held_bytes;
    fetch_add_relaxed(&stalls, 1u);
    drives = wn_callback_begin();
    to->fn(&stall, to->arg);
    wn_callback_end(drives);
}

/* How long has this record's section been seen? 0: it is not in one, or in another one than at the last look. */
static uint64_t
age_of(struct wn_record *r, uint64_t now)
{
    uint64_t ctr = load_relaxed(&r->pub.ctr);

    if ((ctr & WANE_NEST) && (ctr & ~WANE_NEST) == r->seen_epoch)
        return now - r->seen_since;
    r->seen_epoch = ctr & ~WANE_NEST;
    r->seen_since = now;
    r->stall_reported = false;
    return 0;
}

void
wn_stall_look(uint64_t now)
{
    struct setting to = setting();
    uint64_t       most = 0;

    for (uint32_t id = 1; id <= wn_record_limit(); id++) {
        struct wn_record *r = wn_record(id);
        uint64_t          age = r && &r->pub != wane_self.record ? age_of(r, now) : 0;

        most = age > most ? age : most;
        if (!to.fn || age < to.threshold || !age || r->stall_reported)
            continue;
        r->stall_reported = true;
        report(&to, r, age);
    }
    store_relaxed(&oldest, most);
}

void
wn_stall_stats(struct wane_stats *out)
{
    out->stalled_nanoseconds = load_relaxed(&oldest);
    out->stalls = load_relaxed(&stalls);
}
