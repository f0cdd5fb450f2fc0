/* SPDX-License-Identifier: MIT
 *
 * strings.c - GET, SET and what else deals with texts
 *
 * A text never changes: to write is to make another one and to store it in place of the first. A reader keeps what he has found.
 * What depends on the old value is done under the stripe's lock; the new text is filled before, or while nobody else sees it.
 */
#include "command.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "clock.h"

/* A text with these bytes; false: replied. */
static bool
text_of(struct client *c, const char *bytes, size_t size, struct loan *out)
{
    char *to;

    if (!text_new(size, out, &to)) {
        reply_oom(c);
        return false;
    }
    if (size)
        memcpy(to, bytes, size);
    return true;
}

static void
get(struct client *c, size_t argc, const struct bytes *argv)
{
    struct loan value;
    int         found = value_get(c, &argv[1], TEXT, &value);

    (void)argc;
    __atomic_fetch_add(found == 1 ? &space_counters.hits : &space_counters.misses, 1, __ATOMIC_RELAXED);
    if (found == 1)
        reply_value(&c->out, &value);
    else if (found == 0)
        reply_nil(&c->out);
}

static void
mget(struct client *c, size_t argc, const struct bytes *argv)
{
    struct loan value;

    reply_array(&c->out, argc - 1);
    for (size_t i = 1; i < argc; i++)
        if (value_get(NULL, &argv[i], TEXT, &value) == 1)
            reply_value(&c->out, &value);
        else
            reply_nil(&c->out);
}

static void
length_of(struct client *c, size_t argc, const struct bytes *argv)
{
    struct loan value;
    size_t      size = 0;
    int         found = value_get(c, &argv[1], TEXT, &value);

    (void)argc;
    if (found < 0)
        return;
    if (found) {
        (void)text_bytes(value.value, &size);
        loan_drop(&value);
    }
    reply_integer(&c->out, (long long)size);
}

/* ---- SET -------------------------------------------------------------------------------------------------------------- */

struct set {
    bool    only_new, only_old, keep, get;
    int64_t expires;
};

static bool
set_when(struct client *c, const struct bytes *arg, bool seconds, bool absolute, const char *command, int64_t *out)
{
    long long n;

    if (!arg_number(c, arg, &n))
        return false;
    if (n <= 0 || n > LLONG_MAX / 2000) {
        reply_error(&c->out, "ERR invalid expire time in '%s' command", command);
        return false;
    }
    *out = (seconds ? n * 1000 : n) + (absolute ? 0 : clock_now);
    return true;
}

static bool
set_options(struct client *c, size_t argc, const struct bytes *argv, struct set *s)
{
    static const struct {
        const char *word;
        bool        seconds, absolute;
    } times[] = {{"EX", true, false}, {"PX", false, false}, {"EXAT", true, true}, {"PXAT", false, true}};
    bool timed = false;

    for (size_t i = 3; i < argc; i++) {
        size_t t = 0;

        while (t < 4 && !arg_is(&argv[i], times[t].word))
            t++;
        if (t < 4 && i + 1 < argc && !timed) {
            if (!set_when(c, &argv[++i], times[t].seconds, times[t].absolute, "set", &s->expires))
                return false;
            timed = true;
        } else if (arg_is(&argv[i], "NX")) {
            s->only_new = true;
        } else if (arg_is(&argv[i], "XX")) {
            s->only_old = true;
        } else if (arg_is(&argv[i], "KEEPTTL")) {
            s->keep = true;
        } else if (arg_is(&argv[i], "GET")) {
            s->get = true;
        } else {
            reply_syntax(c);
            return false;
        }
    }
    if ((s->only_new && s->only_old) || (timed && s->keep)) {
        reply_syntax(c);
        return false;
    }
    return true;
}

/* What SET replies: the old value if it was asked for, else whether it has stored. */
static void
set_reply(struct client *c, const struct set *s, bool stored, bool was_there, struct loan *old)
{
    if (s->get && was_there) {
        if (old->value->kind == TEXT) {
            reply_value(&c->out, old);
            return;
        }
        reply_wrongtype(c);
    } else if (s->get || !stored) {
        reply_nil(&c->out);
    } else {
        reply_status(&c->out, "OK");
    }
    if (was_there)
        loan_drop(old);
}

static void
set_text(struct client *c, const struct bytes *key, const struct bytes *bytes, const struct set *s)
{
    unsigned    stripe = stripe_of(key->at, key->size);
    struct loan old, value;
    bool        was_there = false, looks = s->only_new || s->only_old || s->keep || s->get, store, stored = false;

    if (!text_of(c, bytes->at, bytes->size, &value))
        return;
    stripe_lock(stripe);
    if (looks)
        was_there = space_find(key->at, key->size, &old);
    store = !(s->only_new && was_there) && !(s->only_old && !was_there) && !(s->get && was_there && old.value->kind != TEXT);
    if (store) {
        int64_t when = s->keep && was_there ? space_expires(old.value) : s->expires;

        stored = space_put(key->at, key->size, &value);
        if (stored && when)
            space_expire(value.value, stripe, when);
    }
    stripe_unlock(stripe);
    loan_drop(&value);
    if (store && !stored) {
        reply_oom(c);
        if (was_there)
            loan_drop(&old);
        return;
    }
    set_reply(c, s, stored, was_there, &old);
}

static void
set(struct client *c, size_t argc, const struct bytes *argv)
{
    struct set s = {0};

    if (set_options(c, argc, argv, &s))
        set_text(c, &argv[1], &argv[2], &s);
}

static void
setex(struct client *c, size_t argc, const struct bytes *argv)
{
    struct set s = {0};

    (void)argc;
    if (set_when(c, &argv[2], true, false, "setex", &s.expires))
        set_text(c, &argv[1], &argv[3], &s);
}

static void
psetex(struct client *c, size_t argc, const struct bytes *argv)
{
    struct set s = {0};

    (void)argc;
    if (set_when(c, &argv[2], false, false, "psetex", &s.expires))
        set_text(c, &argv[1], &argv[3], &s);
}

static void
getset(struct client *c, size_t argc, const struct bytes *argv)
{
    struct set s = {.get = true};

    (void)argc;
    set_text(c, &argv[1], &argv[2], &s);
}

/* Returns 1: stored; 0: it was there; -1: no memory. */
static int
put_one(const struct bytes *key, const struct bytes *bytes, bool only_new)
{
    unsigned    stripe = stripe_of(key->at, key->size);
    struct loan value, old;
    char       *to;
    int         result;

    if (!text_new(bytes->size, &value, &to))
        return -1;
    if (bytes->size)
        memcpy(to, bytes->at, bytes->size);
    stripe_lock(stripe);
    if (only_new && space_find(key->at, key->size, &old)) {
        loan_drop(&old);
        result = 0;
    } else {
        result = space_put(key->at, key->size, &value) ? 1 : -1;
    }
    stripe_unlock(stripe);
    loan_drop(&value);
    return result;
}

static void
setnx(struct client *c, size_t argc, const struct bytes *argv)
{
    int result = put_one(&argv[1], &argv[2], true);

    (void)argc;
    if (result < 0)
        reply_oom(c);
    else
        reply_integer(&c->out, result);
}

/* Key by key: other clients may see some of them before the others. */
static void
mset(struct client *c, size_t argc, const struct bytes *argv)
{
    if (argc % 2 == 0) {
        reply_error(&c->out, "ERR wrong number of arguments for 'mset' command");
        return;
    }
    for (size_t i = 1; i < argc; i += 2)
        if (put_one(&argv[i], &argv[i + 1], false) < 0) {
            reply_oom(c);
            return;
        }
    reply_status(&c->out, "OK");
}

/* ---- What depends on the old value -------------------------------------------------------------------------------------- */

/* Store another text in place of `old` (NULL: there was none), which expires when that did. Locked; false: no memory. */
static bool
replace(const struct bytes *key, unsigned stripe, const struct loan *old, struct loan *value)
{
    int64_t when = old ? space_expires(old->value) : 0;

    if (!space_put(key->at, key->size, value))
        return false;
    if (when)
        space_expire(value->value, stripe, when);
    return true;
}

/* Locked. The reply is in *n, if true; else it has been replied. */
static bool
increment_locked(struct client *c, const struct bytes *key, unsigned stripe, long long by, long long *n)
{
    struct loan  old, value;
    int          found = value_find(c, key, TEXT, &old);
    struct bytes bytes;
    char         text[24];
    bool         good = found >= 0;

    *n = 0;
    if (found == 1) {
        bytes.at = (char *)(uintptr_t)text_bytes(old.value, &bytes.size);
        good = arg_number(c, &bytes, n);
    }
    if (good && __builtin_add_overflow(*n, by, n)) {
        reply_error(&c->out, "ERR increment or decrement would overflow");
        good = false;
    }
    if (good && text_of(c, text, (size_t)snprintf(text, sizeof text, "%lld", *n), &value)) {
        good = replace(key, stripe, found ? &old : NULL, &value);
        if (!good)
            reply_oom(c);
        loan_drop(&value);
    } else {
        good = false;
    }
    if (found == 1)
        loan_drop(&old);
    return good;
}

static void
increment(struct client *c, const struct bytes *key, long long by)
{
    unsigned  stripe = stripe_of(key->at, key->size);
    long long n;
    bool      good;

    stripe_lock(stripe);
    good = increment_locked(c, key, stripe, by, &n);
    stripe_unlock(stripe);
    if (good)
        reply_integer(&c->out, n);
}

static void
incr(struct client *c, size_t argc, const struct bytes *argv)
{
    (void)argc;
    increment(c, &argv[1], 1);
}

static void
decr(struct client *c, size_t argc, const struct bytes *argv)
{
    (void)argc;
    increment(c, &argv[1], -1);
}

static void
incrby(struct client *c, size_t argc, const struct bytes *argv)
{
    long long by;

    (void)argc;
    if (arg_number(c, &argv[2], &by))
        increment(c, &argv[1], by);
}

static void
decrby(struct client *c, size_t argc, const struct bytes *argv)
{
    long long by;

    (void)argc;
    if (!arg_number(c, &argv[2], &by))
        return;
    if (by == LLONG_MIN)
        reply_error(&c->out, "ERR decrement would overflow");
    else
        increment(c, &argv[1], -by);
}

/* Locked. Returns the new length; -1: replied. */
static long long
append_locked(struct client *c, const struct bytes *key, unsigned stripe, const struct bytes *more)
{
    struct loan old, value;
    size_t      size = 0;
    const char *bytes = NULL;
    char       *to;
    int         found = value_find(c, key, TEXT, &old);
    long long   result = -1;

    if (found < 0)
        return -1;
    if (found)
        bytes = text_bytes(old.value, &size);
    if (size + more->size > RESP_BULK) {
        reply_error(&c->out, "ERR string exceeds maximum allowed size (proto-max-bulk-len)");
    } else if (!text_new(size + more->size, &value, &to)) {
        reply_oom(c);
    } else {
        if (size)
            memcpy(to, bytes, size);
        if (more->size)
            memcpy(to + size, more->at, more->size);
        if (replace(key, stripe, found ? &old : NULL, &value))
            result = (long long)(size + more->size);
        else
            reply_oom(c);
        loan_drop(&value);
    }
    if (found)
        loan_drop(&old);
    return result;
}

static void
append(struct client *c, size_t argc, const struct bytes *argv)
{
    unsigned  stripe = stripe_of(argv[1].at, argv[1].size);
    long long length;

    (void)argc;
    stripe_lock(stripe);
    length = append_locked(c, &argv[1], stripe, &argv[2]);
    stripe_unlock(stripe);
    if (length >= 0)
        reply_integer(&c->out, length);
}

const struct command string_commands[] = {
    {"GET", 2, false, get},
    {"SET", -3, true, set},
    {"SETEX", 4, true, setex},
    {"PSETEX", 4, true, psetex},
    {"SETNX", 3, true, setnx},
    {"GETSET", 3, true, getset},
    {"MGET", -2, false, mget},
    {"MSET", -3, true, mset},
    {"STRLEN", 2, false, length_of},
    {"INCR", 2, true, incr},
    {"DECR", 2, true, decr},
    {"INCRBY", 3, true, incrby},
    {"DECRBY", 3, true, decrby},
    {"APPEND", 3, true, append},
    {NULL, 0, false, NULL},
};
