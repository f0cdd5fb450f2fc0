/* SPDX-License-Identifier: MIT
 *
 * explain.c - one object in words: whose it is, what its words say, which slots hold it, what it may be waiting for
 */
#include "explain.h"

#include <wane/observe.h>

#include <errno.h>

#include "check.h"
#include "govern.h"
#include "record.h"
#include "share.h"
#include "stall.h"

#define MOST_HOLDERS 32

void
wn_explain_edge(struct wn_text *text, const struct wn_type *type, enum wn_edge kind, size_t number)
{
    const char *const *names = (const char *const *)load_acquire(&type->slot_names); /* acquire E40 */

    switch (kind) {
    case WN_EDGE_SLOT:
        if (number >= type->slot_count)
            wn_text_string(text, ".?"); /* another object lies where that one was */
        else if (names)
            wn_text_print(text, ".%s", names[number]);
        else
            wn_text_print(text, "+%u", type->slots[number]);
        break;
    case WN_EDGE_ELEMENT:
        wn_text_print(text, "[%zu]", number);
        break;
    case WN_EDGE_HUNG:
        wn_text_string(text, " (as the key of a weak map)");
        break;
    case WN_EDGE_WEAK:
        wn_text_string(text, " (its weak reference)");
        break;
    case WN_EDGE_OWNED:
        wn_text_string(text, " (owned)");
        break;
    }
}

/* ---- What the words say ------------------------------------------------------------------------------------------------- */

static void
say_owner(struct wn_text *t, uint64_t w0, uint64_t w1)
{
    uint32_t                owner = wn_owner(w0);
    const struct wn_record *r = owner && owner != WN_TRANSIT && owner <= wn_record_limit() ? wn_record(owner) : NULL;
    char                    name[WN_THREAD_NAME];

    if (owner == WN_TRANSIT) {
        wn_text_string(t, "  on its way from one thread to another (given, not adopted yet)\n");
    } else if (w1 & WN_MERGED) {
        wn_text_string(t, "  merged: nobody counts it without atomics\n");
    } else if (!r) {
        wn_text_string(t, "  its bias is being given up\n");
    } else if (!load_relaxed(&r->holder)) {
        wn_text_print(t, "  biased to record %u, which no thread holds (its last one has ended)\n", owner);
    } else {
        wn_stall_thread_name(load_relaxed(&r->tid), name);
        wn_text_print(t, "  biased to record %u, of thread %u (%s), which is %s a section\n", owner, load_relaxed(&r->tid),
                      name, load_relaxed(&r->pub.ctr) & WANE_NEST ? "in" : "outside of");
    }
}

static void
say_flags(struct wn_text *t, const struct wn_type *type, uint64_t w0, uint64_t w1)
{
    static const struct {
        uint64_t    flag;
        const char *words;
    } say[] = {
        {WN_QUEUED, "on its owner's merge queue, which owns one unit of it"},
        {WN_BUFFERED, "a candidate: noted by another thread than its owner"},
        {WN_OWNLOG, "a candidate: noted by its owner, handed over to the collector"},
        {WN_CLAIMED, "the collector is looking at it"},
        {WN_REVIEW, "under review; nobody has retained it since"},
        {WN_CONDEMNED, "in a group whose end is being decided"},
        {WN_WEAK, "has a weak reference"},
        {WN_SHARED, "shared: threads count it on their own records, and it cannot die"},
        {WN_FINALIZED, "its finalizer has been made due"},
        {WN_DEAD, "dead"},
    };

    if ((w0 & WANE_QUIET) && type->traced && !(w1 & WN_MERGED))
        wn_text_string(t, "  a candidate: noted by its owner\n");
    for (size_t i = 0; i < sizeof say / sizeof say[0]; i++)
        if (w1 & say[i].flag)
            wn_text_print(t, "  %s\n", say[i].words);
    if (wn_age(w1))
        wn_text_print(t, "  age %u: has survived %s%u collection%s\n", wn_age(w1), wn_age(w1) == WANE_ALL ? "at least " : "",
                      wn_age(w1), wn_age(w1) == 1 ? "" : "s");
    if (wn_is_frozen(w1))
        wn_text_string(t, "  frozen: collections leave it out\n");
    if (wn_count(w1) >= WN_IMMORTAL)
        wn_text_string(t, "  immortal\n");
}

/* Its units, as far as they can be told: -1 of an immortal one. */
static int64_t
say_units(struct wn_text *t, struct wane_header *h, uint64_t w0, uint64_t w1)
{
    int64_t local = w1 & WN_MERGED ? 0 : (int64_t)wn_local(w0), apart = wn_share_look(h, w1), units;

    if (wn_count(w1) >= WN_IMMORTAL)
        return -1;
    units = local + wn_count(w1) + apart;
    wn_text_print(t, "  units: %lld = %lld counted by its owner + %lld in the shared word", (long long)units, (long long)local,
                  (long long)(wn_count(w1) - (w1 & WN_SHARED ? WN_SHARE_BIAS : 0)));
    if (w1 & WN_SHARED)
        wn_text_print(t, " + %lld on records", (long long)apart + WN_SHARE_BIAS);
    wn_text_string(t, "\n");
    return units;
}

/* ---- Who holds it ------------------------------------------------------------------------------------------------------- */

struct search {
    struct wn_walk walk;
    struct wn_set  set;
    struct wn_text lines;
    uintptr_t      wanted;
    uint64_t       found;
};

static void
edge(struct wn_walk *walk, enum wn_edge kind, size_t number, uintptr_t target)
{
    struct search *s = (struct search *)walk;

    if (target != s->wanted || s->found++ >= MOST_HOLDERS)
        return;
    wn_text_print(&s->lines, "    %s @%p", walk->sight.type->name, wn_payload(walk->sight.h));
    wn_explain_edge(&s->lines, walk->sight.type, kind, number);
    wn_text_string(&s->lines, "\n");
}

static bool
full(struct wn_walk *walk)
{
    (void)walk;
    return false;
}

static int
flush(struct wn_walk *walk)
{
    return ((struct search *)walk)->lines.error;
}

static int
say_holders(struct wn_text *t, struct wane_header *h, int64_t units)
{
    struct search s = {.walk = {.set = &s.set, .types = wn_type_count(), .edge = edge, .flush = flush, .full = full},
                       .wanted = (uintptr_t)h};
    int           rc;

    wn_text_init(&s.lines, -1);
    wn_walk_prepare();
    rc = wn_set_copy(&s.set);
    if (!rc)
        rc = wn_walk_run(&s.walk);
    if (!rc) {
        wn_text_print(t, "  held by %llu slot%s of observed objects", (unsigned long long)s.found, s.found == 1 ? "" : "s");
        if (units >= 0 && (uint64_t)units > s.found)
            wn_text_print(t, ", and %llu time%s from outside: by threads, root slots, objects that are not observed, or "
                             "displacements that wait", (unsigned long long)units - s.found,
                          (uint64_t)units - s.found == 1 ? "" : "s");
        wn_text_string(t, "\n");
        wn_text_add(t, s.lines.data, s.lines.used);
        if (s.found > MOST_HOLDERS)
            wn_text_print(t, "    .. and %llu more\n", (unsigned long long)s.found - MOST_HOLDERS);
    } else if (rc == -EAGAIN) {
        wn_text_string(t, "  its holders are not known: the library is busy with something that does not end\n");
        rc = 0;
    }
    wn_set_free(&s.set);
    s.lines.used = 0;
    (void)wn_text_done(&s.lines);
    return rc;
}

static void
say_waits(struct wn_text *t)
{
    struct wane_stats s;
    struct wn_stalled found[WN_STALLS_SHOWN], *oldest = found;
    unsigned          n = wn_stall_list(found, WN_STALLS_SHOWN);
    char              name[WN_THREAD_NAME];

    wane_stats(&s);
    if (s.displaced > s.applied)
        wn_text_print(t, "  displaced units that wait, of all objects: %llu\n", (unsigned long long)(s.displaced - s.applied));
    for (unsigned i = 1; i < n; i++)
        if (found[i].nanoseconds > oldest->nanoseconds)
            oldest = &found[i];
    if (!n)
        return;
    wn_stall_thread_name(oldest->tid, name);
    wn_text_print(t, "  grace periods wait for thread %u (%s), which has been in a section for %llu ms\n", oldest->tid, name,
                  (unsigned long long)(oldest->nanoseconds / 1000000));
}

int
wane_explain(const void *object, int fd)
{
    struct wane_header   *h = WANE_HEADER(object);
    const struct wn_type *type = wn_type_of(h);
    uint64_t              w0, w1;
    struct wn_text        t;
    int64_t               units;
    int                   rc = 0, written;

    if (wn_in_section())
        return -EDEADLK;
    wn_text_init(&t, fd);
    w0 = load_acquire(&h->word0); /* acquire E16 */
    w1 = load_acquire(&h->word1);
    wn_text_print(&t, "object %p of type '%s', %zu bytes\n", object, type->name, wn_type_payload_size(type, h));
    units = say_units(&t, h, w0, w1);
    say_owner(&t, w0, w1);
    say_flags(&t, type, w0, w1);
    if (load_relaxed(&wn_registry_state) & WN_REGISTRY_USED)
        rc = say_holders(&t, h, units);
    else
        wn_text_string(&t, "  its holders are not known: wane_observe is off\n");
    say_waits(&t);
    written = wn_text_done(&t);
    return rc ? rc : written;
}
