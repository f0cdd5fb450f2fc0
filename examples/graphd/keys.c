/* SPDX-License-Identifier: MIT
 *
 * keys.c - commands about keys, whatever is stored there
 *
 * The cursor of SCAN is the number of a stripe: a call looks at whole stripes until it has seen COUNT keys or more. So what is
 * there from the first call to the last is shown exactly once.
 */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "command.h"

#define MOST_KEYS 100000 /* that KEYS shows */

/* Removes a key; the kind of what was there, or 0. Only of kind `only`, if that is not 0: else its negative. */
static int
remove_key(const struct bytes *key, int only)
{
    unsigned    stripe = stripe_of(key->at, key->size);
    struct loan value;
    int         kind = 0;

    stripe_lock(stripe);
    if (space_find(key->at, key->size, &value)) {
        kind = (int)value.value->kind;
        if (only && kind != only)
            kind = -kind;
        else
            space_remove(key->at, key->size);
        stripe_unlock(stripe);
        loan_drop(&value); /* what dies is taken to pieces outside of the lock */
    } else {
        stripe_unlock(stripe);
    }
    return kind;
}

static void
del(struct client *c, size_t argc, const struct bytes *argv)
{
    long long removed = 0;

    for (size_t i = 1; i < argc; i++)
        removed += remove_key(&argv[i], 0) != 0;
    reply_integer(&c->out, removed);
}

static void
gdrop(struct client *c, size_t argc, const struct bytes *argv)
{
    int kind = remove_key(&argv[1], NODE);

    (void)argc;
    if (kind < 0)
        reply_wrongtype(c);
    else
        reply_integer(&c->out, kind != 0);
}

static void
exists(struct client *c, size_t argc, const struct bytes *argv)
{
    struct loan value;
    long long   found = 0;

    for (size_t i = 1; i < argc; i++)
        if (space_get(argv[i].at, argv[i].size, &value)) {
            found++;
            loan_drop(&value);
        }
    reply_integer(&c->out, found);
}

static const char *
kind_name(const struct value *value)
{
    return value->kind == TEXT ? "string" : value->kind == HASH ? "hash" : "node";
}

static void
type(struct client *c, size_t argc, const struct bytes *argv)
{
    struct loan value;

    (void)argc;
    if (!space_get(argv[1].at, argv[1].size, &value)) {
        reply_status(&c->out, "none");
        return;
    }
    reply_status(&c->out, kind_name(value.value));
    loan_drop(&value);
}

/* ---- Expiry ----------------------------------------------------------------------------------------------------------- */

/* when 0: for ever. Returns whether the key is there (and, for when 0, had a time). */
static bool
set_expiry(const struct bytes *key, int64_t when)
{
    unsigned    stripe = stripe_of(key->at, key->size);
    struct loan value;
    bool        done = false;

    stripe_lock(stripe);
    if (space_find(key->at, key->size, &value)) {
        done = when != 0 || space_expires(value.value) != 0;
        if (when != 0 && when <= clock_now)
            space_remove(key->at, key->size);
        else
            space_expire(value.value, stripe, when);
        stripe_unlock(stripe);
        loan_drop(&value);
    } else {
        stripe_unlock(stripe);
    }
    return done;
}

static void
expire_with(struct client *c, const struct bytes *argv, bool seconds, bool absolute, const char *name)
{
    long long n;
    int64_t   when;

    if (!arg_number(c, &argv[2], &n))
        return;
    if (n > LLONG_MAX / 2000 || n < LLONG_MIN / 2000) {
        reply_error(&c->out, "ERR invalid expire time in '%s' command", name);
        return;
    }
    when = (seconds ? n * 1000 : n) + (absolute ? 0 : clock_now);
    reply_integer(&c->out, set_expiry(&argv[1], when > 0 ? when : 1));
}

static void
expire(struct client *c, size_t argc, const struct bytes *argv)
{
    (void)argc;
    expire_with(c, argv, true, false, "expire");
}

static void
pexpire(struct client *c, size_t argc, const struct bytes *argv)
{
    (void)argc;
    expire_with(c, argv, false, false, "pexpire");
}

static void
expireat(struct client *c, size_t argc, const struct bytes *argv)
{
    (void)argc;
    expire_with(c, argv, true, true, "expireat");
}

static void
pexpireat(struct client *c, size_t argc, const struct bytes *argv)
{
    (void)argc;
    expire_with(c, argv, false, true, "pexpireat");
}

static void
persist(struct client *c, size_t argc, const struct bytes *argv)
{
    (void)argc;
    reply_integer(&c->out, set_expiry(&argv[1], 0));
}

/* -2: no such key; -1: it stays for ever. */
static int64_t
time_left(const struct bytes *key)
{
    struct loan value;
    int64_t     when;

    if (!space_get(key->at, key->size, &value))
        return -2;
    when = space_expires(value.value);
    loan_drop(&value);
    return when == 0 ? -1 : when - clock_now;
}

static void
ttl(struct client *c, size_t argc, const struct bytes *argv)
{
    int64_t left = time_left(&argv[1]);

    (void)argc;
    reply_integer(&c->out, left < 0 ? left : (left + 500) / 1000);
}

static void
pttl(struct client *c, size_t argc, const struct bytes *argv)
{
    (void)argc;
    reply_integer(&c->out, time_left(&argv[1]));
}

/* ---- All keys --------------------------------------------------------------------------------------------------------- */

struct search {
    struct client      *c;
    const struct bytes *pattern, *kind; /* or NULL */
    size_t              found, seen;
};

static bool
show_key(const char *key, size_t size, const struct loan *loan, void *arg)
{
    struct search *s = arg;
    int64_t        when = space_expires(loan->value);

    s->seen++;
    if (when != 0 && when <= clock_now)
        return true;
    if (s->pattern && !glob_match(s->pattern->at, s->pattern->size, key, size))
        return true;
    if (s->kind && !arg_is(s->kind, kind_name(loan->value)))
        return true;
    reply_bulk(&s->c->out, key, size);
    return ++s->found <= MOST_KEYS;
}

static void
keys(struct client *c, size_t argc, const struct bytes *argv)
{
    struct search s = {.c = c, .pattern = &argv[1]};
    size_t        begin = reply_begin(&c->out);

    (void)argc;
    for (unsigned i = 0; i < STRIPES && s.found <= MOST_KEYS; i++)
        space_each(i, show_key, &s);
    if (s.found <= MOST_KEYS) {
        reply_end(&c->out, begin, s.found);
        return;
    }
    c->out.used = begin;
    reply_error(&c->out, "ERR more than %d keys match, use SCAN", MOST_KEYS);
}

static bool
scan_options(struct client *c, size_t argc, const struct bytes *argv, struct search *s, long long *count)
{
    for (size_t i = 2; i < argc; i += 2) {
        bool last = i + 1 == argc;

        if (!last && arg_is(&argv[i], "MATCH")) {
            s->pattern = &argv[i + 1];
        } else if (!last && arg_is(&argv[i], "TYPE")) {
            s->kind = &argv[i + 1];
        } else if (!last && arg_is(&argv[i], "COUNT")) {
            if (!arg_number(c, &argv[i + 1], count))
                return false;
            if (*count < 1) {
                reply_syntax(c);
                return false;
            }
        } else {
            reply_syntax(c);
            return false;
        }
    }
    return true;
}

static void
scan(struct client *c, size_t argc, const struct bytes *argv)
{
    struct search s = {.c = c};
    long long     cursor, count = 10;
    char          text[24];
    char          head[64];
    size_t        begin;

    if (!arg_number(NULL, &argv[1], &cursor) || cursor < 0) {
        reply_error(&c->out, "ERR invalid cursor");
        return;
    }
    if (!scan_options(c, argc, argv, &s, &count))
        return;
    begin = reply_begin(&c->out);
    while (cursor < STRIPES && s.seen < (size_t)count)
        space_each((unsigned)cursor++, show_key, &s);
    reply_end(&c->out, begin, s.found);
    snprintf(text, sizeof text, "%lld", cursor < STRIPES ? cursor : 0);
    snprintf(head, sizeof head, "*2\r\n$%zu\r\n%s\r\n", strlen(text), text);
    reply_insert(&c->out, begin, head);
}

static void
dbsize(struct client *c, size_t argc, const struct bytes *argv)
{
    (void)argc, (void)argv;
    reply_integer(&c->out, (long long)space_count());
}

static void
flushall(struct client *c, size_t argc, const struct bytes *argv)
{
    if (argc > 2 || (argc == 2 && !arg_is(&argv[1], "SYNC") && !arg_is(&argv[1], "ASYNC"))) {
        reply_syntax(c);
        return;
    }
    space_clear();
    reply_status(&c->out, "OK");
}

const struct command key_commands[] = {
    {"DEL", -2, true, del},
    {"UNLINK", -2, true, del},
    {"GDROP", 2, true, gdrop},
    {"EXISTS", -2, false, exists},
    {"TOUCH", -2, false, exists},
    {"TYPE", 2, false, type},
    {"EXPIRE", 3, true, expire},
    {"PEXPIRE", 3, true, pexpire},
    {"EXPIREAT", 3, true, expireat},
    {"PEXPIREAT", 3, true, pexpireat},
    {"PERSIST", 2, true, persist},
    {"TTL", 2, false, ttl},
    {"PTTL", 2, false, pttl},
    {"KEYS", 2, false, keys},
    {"SCAN", -2, false, scan},
    {"DBSIZE", 1, false, dbsize},
    {"FLUSHALL", -1, true, flushall},
    {"FLUSHDB", -1, true, flushall},
    {NULL, 0, false, NULL},
};
