/* SPDX-License-Identifier: MIT
 *
 * command.c - finding a command by its name, checking how many words it has, and what all commands share
 */
#include "command.h"

#include <ctype.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define PLACES 512u /* of the table of names: more than twice as many as there are commands */

static const struct command *const groups[] = {string_commands, key_commands, hash_commands, graph_commands, server_commands};

static const struct command *table[PLACES], *listed[PLACES];
static size_t                count;

static unsigned
place_of(const char *name, size_t size)
{
    unsigned h = 2166136261u;

    for (size_t i = 0; i < size; i++)
        h = (h ^ (unsigned)toupper((unsigned char)name[i])) * 16777619u;
    return (h ^ h >> 15) % PLACES;
}

/* Before main, so that threads find it complete. */
__attribute__((constructor)) static void
fill(void)
{
    for (size_t g = 0; g < sizeof groups / sizeof groups[0]; g++)
        for (const struct command *c = groups[g]; c->name; c++) {
            unsigned at = place_of(c->name, strlen(c->name));

            while (table[at])
                at = (at + 1) % PLACES;
            table[at] = listed[count++] = c;
        }
}

size_t
command_count(void)
{
    return count;
}

const struct command *
command_at(size_t i)
{
    return listed[i];
}

const struct command *
command_find(const struct bytes *name)
{
    for (unsigned at = place_of(name->at, name->size); table[at]; at = (at + 1) % PLACES)
        if (arg_is(name, table[at]->name))
            return table[at];
    return NULL;
}

static void
unknown(struct client *c, size_t argc, const struct bytes *argv)
{
    char   words[200];
    size_t used = 0;

    words[0] = '\0';
    for (size_t i = 1; i < argc && used < 128; i++)
        used += (size_t)snprintf(words + used, sizeof words - used, "'%.*s' ", (int)(argv[i].size < 60 ? argv[i].size : 60),
                                 argv[i].at);
    reply_error(&c->out, "ERR unknown command '%.*s', with args beginning with: %s",
                (int)(argv[0].size < 128 ? argv[0].size : 128), argv[0].at, words);
}

void
command_execute(struct client *c, size_t argc, const struct bytes *argv)
{
    const struct command *command = command_find(&argv[0]);

    if (!command) {
        unknown(c, argc, argv);
    } else if (command->arity > 0 ? argc != (size_t)command->arity : argc < (size_t)-command->arity) {
        char name[32] = "";

        for (size_t i = 0; i + 1 < sizeof name && command->name[i]; i++)
            name[i] = (char)tolower((unsigned char)command->name[i]);
        reply_error(&c->out, "ERR wrong number of arguments for '%s' command", name);
    } else {
        command->fn(c, argc, argv);
    }
}

bool
arg_is(const struct bytes *arg, const char *word)
{
    return strncasecmp(arg->at, word, arg->size) == 0 && word[arg->size] == '\0';
}

/* A number as Redis writes it: no zeros or signs that are not needed. */
static bool
number(const char *at, size_t size, long long *out)
{
    bool               negative = size > 0 && *at == '-';
    unsigned long long value = 0, most = negative ? 1ULL << 63 : LLONG_MAX;
    const char        *end = at + size;

    at += negative;
    if (at == end || end - at > 19 || (*at == '0' && size > 1))
        return false;
    for (; at < end; at++) {
        unsigned digit = (unsigned)(*at - '0');

        if (digit > 9 || value > (most - digit) / 10)
            return false;
        value = 10 * value + digit;
    }
    *out = negative ? (long long)(0 - value) : (long long)value;
    return true;
}

bool
arg_number(struct client *c, const struct bytes *arg, long long *out)
{
    bool good = number(arg->at, arg->size, out);

    if (!good && c)
        reply_error(&c->out, "ERR value is not an integer or out of range");
    return good;
}

void
reply_wrongtype(struct client *c)
{
    reply_error(&c->out, "WRONGTYPE Operation against a key holding the wrong kind of value");
}

void
reply_oom(struct client *c)
{
    reply_error(&c->out, "OOM command not allowed when used memory > 'maxmemory'.");
}

void
reply_syntax(struct client *c)
{
    reply_error(&c->out, "ERR syntax error");
}

static int
of_kind(struct client *c, bool found, enum kind kind, struct loan *out)
{
    if (!found)
        return 0;
    if (out->value->kind == kind)
        return 1;
    loan_drop(out);
    if (c)
        reply_wrongtype(c);
    return -1;
}

int
value_get(struct client *c, const struct bytes *key, enum kind kind, struct loan *out)
{
    return of_kind(c, space_get(key->at, key->size, out), kind, out);
}

int
value_find(struct client *c, const struct bytes *key, enum kind kind, struct loan *out)
{
    return of_kind(c, space_find(key->at, key->size, out), kind, out);
}

/* ---- Patterns: * ? [a-z] [^a] and backslashes, as in Redis ------------------------------------------------------------ */

/* Does `c` fit the class that begins behind the bracket? *p moves behind the closing one. */
static bool
fits_class(const char **p, const char *end, char c)
{
    const char *at = *p;
    bool        not = at < end && *at == '^', fits = false;

    at += not;
    for (; at < end && *at != ']'; at++) {
        if (*at == '\\' && at + 1 < end)
            at++;
        if (at + 2 < end && at[1] == '-' && at[2] != ']') {
            fits |= (unsigned char)at[0] <= (unsigned char)c && (unsigned char)c <= (unsigned char)at[2];
            at += 2;
        } else {
            fits |= *at == c;
        }
    }
    *p = at < end ? at + 1 : at;
    return fits != not;
}

/* One star at a time can be gone back to: linear memory, at worst quadratic time, whatever the pattern. */
bool
glob_match(const char *pattern, size_t pattern_size, const char *text, size_t size)
{
    const char *p = pattern, *p_end = p + pattern_size, *t = text, *t_end = t + size, *star = NULL, *from = NULL;

    while (t < t_end || p < p_end) {
        const char *before = p;
        bool        fits = false;

        if (p < p_end && *p == '*') {
            star = ++p;
            from = t;
            continue;
        }
        if (p < p_end && t < t_end) {
            p++;
            if (*before == '[')
                fits = fits_class(&p, p_end, *t);
            else if (*before == '\\' && p < p_end)
                fits = *p++ == *t;
            else
                fits = *before == '?' || *before == *t;
        }
        if (fits) {
            t++;
        } else if (star && from < t_end) {
            p = star;
            t = ++from;
        } else {
            return false;
        }
    }
    return true;
}
