/* SPDX-License-Identifier: MIT
 *
 * hashes.c - dictionaries of texts under one key
 *
 * Readers go from the key to the field without a lock (where the back end can); a hash whose last field goes, goes.
 */
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "command.h"

/* Locked. The hash under the key, made if there is none. False: replied. */
static bool
hash_for_writing(struct client *c, const struct bytes *key, unsigned stripe, struct loan *hash)
{
    int found = value_find(c, key, HASH, hash);

    if (found != 0)
        return found > 0;
    if (!dict_new(HASH, "", 0, stripe, hash)) {
        reply_oom(c);
        return false;
    }
    if (!space_put(key->at, key->size, hash)) {
        reply_oom(c);
        loan_drop(hash);
        return false;
    }
    return true;
}

/* Locked. Returns 1: a new field; 0: replaced; -1: no memory. */
static int
put_field(const struct loan *hash, const struct bytes *field, const char *bytes, size_t size)
{
    struct loan value, old;
    char       *to;
    int         result = 1;

    if (!text_new(size, &value, &to))
        return -1;
    if (size)
        memcpy(to, bytes, size);
    if (dict_find(hash->value, field->at, field->size, &old)) {
        loan_drop(&old);
        result = 0;
    }
    if (!dict_put(hash->value, field->at, field->size, &value))
        result = -1;
    loan_drop(&value);
    return result;
}

/* How many fields are new; -1: replied. */
static long long
set_fields(struct client *c, size_t argc, const struct bytes *argv)
{
    unsigned    stripe = stripe_of(argv[1].at, argv[1].size);
    struct loan hash;
    long long   fresh = -1;

    stripe_lock(stripe);
    if (hash_for_writing(c, &argv[1], stripe, &hash)) {
        fresh = 0;
        for (size_t i = 2; i < argc && fresh >= 0; i += 2) {
            int put = put_field(&hash, &argv[i], argv[i + 1].at, argv[i + 1].size);

            fresh = put < 0 ? -1 : fresh + put;
        }
        if (fresh < 0)
            reply_oom(c);
        loan_drop(&hash);
    }
    stripe_unlock(stripe);
    return fresh;
}

static void
hset(struct client *c, size_t argc, const struct bytes *argv)
{
    long long fresh;

    if (argc % 2 != 0) {
        reply_error(&c->out, "ERR wrong number of arguments for 'hset' command");
        return;
    }
    fresh = set_fields(c, argc, argv);
    if (fresh >= 0)
        reply_integer(&c->out, fresh);
}

static void
hmset(struct client *c, size_t argc, const struct bytes *argv)
{
    if (argc % 2 != 0)
        reply_error(&c->out, "ERR wrong number of arguments for 'hmset' command");
    else if (set_fields(c, argc, argv) >= 0)
        reply_status(&c->out, "OK");
}

static void
hget(struct client *c, size_t argc, const struct bytes *argv)
{
    struct loan hash, value;
    int         found = value_get(c, &argv[1], HASH, &hash);

    (void)argc;
    if (found < 0)
        return;
    if (found && dict_get(hash.value, argv[2].at, argv[2].size, &value))
        reply_value(&c->out, &value);
    else
        reply_nil(&c->out);
    if (found)
        loan_drop(&hash);
}

static void
hmget(struct client *c, size_t argc, const struct bytes *argv)
{
    struct loan hash, value;
    int         found = value_get(c, &argv[1], HASH, &hash);

    if (found < 0)
        return;
    reply_array(&c->out, argc - 2);
    for (size_t i = 2; i < argc; i++)
        if (found && dict_get(hash.value, argv[i].at, argv[i].size, &value))
            reply_value(&c->out, &value);
        else
            reply_nil(&c->out);
    if (found)
        loan_drop(&hash);
}

static void
hexists(struct client *c, size_t argc, const struct bytes *argv)
{
    struct loan hash, value;
    int         found = value_get(c, &argv[1], HASH, &hash);
    bool        there;

    (void)argc;
    if (found < 0)
        return;
    there = found && dict_get(hash.value, argv[2].at, argv[2].size, &value);
    reply_integer(&c->out, there);
    if (there)
        loan_drop(&value);
    if (found)
        loan_drop(&hash);
}

static void
hlen(struct client *c, size_t argc, const struct bytes *argv)
{
    struct loan hash;
    int         found = value_get(c, &argv[1], HASH, &hash);

    (void)argc;
    if (found < 0)
        return;
    reply_integer(&c->out, found ? (long long)dict_count(hash.value) : 0);
    if (found)
        loan_drop(&hash);
}

static void
hdel(struct client *c, size_t argc, const struct bytes *argv)
{
    unsigned    stripe = stripe_of(argv[1].at, argv[1].size);
    struct loan hash;
    long long   removed = 0;
    int         found;

    stripe_lock(stripe);
    found = value_find(c, &argv[1], HASH, &hash);
    for (size_t i = 2; i < argc && found == 1; i++)
        removed += dict_remove(hash.value, argv[i].at, argv[i].size);
    if (found == 1 && dict_count(hash.value) == 0)
        space_remove(argv[1].at, argv[1].size);
    stripe_unlock(stripe);
    if (found == 1)
        loan_drop(&hash);
    if (found >= 0)
        reply_integer(&c->out, removed);
}

static void
hincrby(struct client *c, size_t argc, const struct bytes *argv)
{
    unsigned     stripe = stripe_of(argv[1].at, argv[1].size);
    struct loan  hash, old;
    struct bytes bytes;
    long long    by, n = 0;
    char         text[24];
    bool         good;

    (void)argc;
    if (!arg_number(c, &argv[3], &by))
        return;
    stripe_lock(stripe);
    good = hash_for_writing(c, &argv[1], stripe, &hash);
    if (good) {
        if (dict_find(hash.value, argv[2].at, argv[2].size, &old)) {
            bytes.at = (char *)(uintptr_t)text_bytes(old.value, &bytes.size);
            good = arg_number(NULL, &bytes, &n);
            if (!good)
                reply_error(&c->out, "ERR hash value is not an integer");
            loan_drop(&old);
        }
        if (good && __builtin_add_overflow(n, by, &n)) {
            reply_error(&c->out, "ERR increment or decrement would overflow");
            good = false;
        }
        if (good && put_field(&hash, &argv[2], text, (size_t)snprintf(text, sizeof text, "%lld", n)) < 0) {
            reply_oom(c);
            good = false;
        }
        if (dict_count(hash.value) == 0)
            space_remove(argv[1].at, argv[1].size);
        loan_drop(&hash);
    }
    stripe_unlock(stripe);
    if (good)
        reply_integer(&c->out, n);
}

/* ---- All fields --------------------------------------------------------------------------------------------------------- */

struct all {
    struct client *c;
    bool           keys, values;
    size_t         count;
};

static bool
show_field(const char *key, size_t size, const struct loan *value, void *arg)
{
    struct all *a = arg;
    struct loan copy;

    a->count++;
    if (a->keys)
        reply_bulk(&a->c->out, key, size);
    if (a->values) {
        loan_copy(&copy, value);
        reply_value(&a->c->out, &copy);
    }
    return reply_waiting(&a->c->out) <= server.options.output_limit;
}

static void
all_fields(struct client *c, const struct bytes *key, bool keys, bool values)
{
    struct all  a = {.c = c, .keys = keys, .values = values};
    struct loan hash;
    int         found = value_get(c, key, HASH, &hash);
    size_t      begin;

    if (found < 0)
        return;
    begin = reply_begin(&c->out);
    if (found) {
        dict_each(hash.value, show_field, &a);
        loan_drop(&hash);
    }
    reply_end(&c->out, begin, a.count * ((size_t)keys + values));
}

static void
hgetall(struct client *c, size_t argc, const struct bytes *argv)
{
    (void)argc;
    all_fields(c, &argv[1], true, true);
}

static void
hkeys(struct client *c, size_t argc, const struct bytes *argv)
{
    (void)argc;
    all_fields(c, &argv[1], true, false);
}

static void
hvals(struct client *c, size_t argc, const struct bytes *argv)
{
    (void)argc;
    all_fields(c, &argv[1], false, true);
}

const struct command hash_commands[] = {
    {"HSET", -4, true, hset},
    {"HMSET", -4, true, hmset},
    {"HGET", 3, false, hget},
    {"HMGET", -3, false, hmget},
    {"HEXISTS", 3, false, hexists},
    {"HLEN", 2, false, hlen},
    {"HDEL", -3, true, hdel},
    {"HINCRBY", 4, true, hincrby},
    {"HGETALL", 2, false, hgetall},
    {"HKEYS", 2, false, hkeys},
    {"HVALS", 2, false, hvals},
    {NULL, 0, false, NULL},
};
