/* SPDX-License-Identifier: MIT
 *
 * relation.c - `libc6 (>= 2.34), a:any [linux-any] | b <!nocheck>`, as Debian's policy manual defines it (chapter 7)
 */
#include "relation.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

bool
package_name_ok(const char *name, size_t length)
{
    size_t i;

    for (i = 0; i < length; i++) {
        if (!isalnum((unsigned char)name[i]) && (i == 0 || !strchr("+-._", name[i])))
            return false;
    }
    return length > 0;
}

static const char *
skip_space(const char *at)
{
    while (isspace((unsigned char)*at))
        at++;
    return at;
}

/* Skips (..), [..] and <..>. NULL: one is not closed. */
static const char *
skip_constraints(const char *at)
{
    static const char open[] = "([<", close[] = ")]>";
    const char       *kind;

    for (at = skip_space(at); *at && (kind = strchr(open, *at)); at = skip_space(at + 1)) {
        at = strchr(at, close[kind - open]);
        if (!at)
            return NULL;
    }
    return at;
}

/* After the name: an architecture, constraints, and what ends the alternative. */
static int
finish_alternative(struct relations *from, const char **reason)
{
    if (*from->at == ':')
        from->at += strcspn(from->at, " \t\n,|([<");
    from->at = skip_constraints(from->at);
    if (!from->at) {
        *reason = "a bracket is not closed";
        return -1;
    }
    if (*from->at && *from->at != ',' && *from->at != '|') {
        *reason = "no comma or bar between two names";
        return -1;
    }
    from->inside = *from->at == '|';
    from->at += from->inside;
    return 1;
}

int
relation_next(struct relations *from, struct relation *out, const char **reason)
{
    from->at = skip_space(from->at);
    while (!from->inside && *from->at == ',')
        from->at = skip_space(from->at + 1);
    if (!*from->at && !from->inside)
        return 0;
    out->name = from->at;
    out->first = !from->inside;
    out->length = strcspn(from->at, " \t\n,|:([<");
    from->at += out->length;
    if (out->length == 0) {
        *reason = "an alternative is empty";
        return -1;
    }
    if (!package_name_ok(out->name, out->length)) {
        *reason = "bad package name";
        return -1;
    }
    return finish_alternative(from, reason);
}

/* A part of a version: an upstream version or a revision. */
struct part {
    const char *at, *end;
};

/* Order of what is not a number: `~` before the end, the end before letters, letters before the rest. */
static int
order_of(const struct part *part)
{
    int c = part->at < part->end ? (unsigned char)*part->at : '\0';

    if (isdigit(c) || c == '\0')
        return 0;
    if (isalpha(c))
        return c;
    return c == '~' ? -1 : c + 256;
}

static bool
at_text(const struct part *part)
{
    return part->at < part->end && !isdigit((unsigned char)*part->at);
}

/* The digits that follow, without leading zeros. */
static struct part
take_number(struct part *part)
{
    struct part number;

    while (part->at < part->end && *part->at == '0')
        part->at++;
    number.at = part->at;
    while (part->at < part->end && isdigit((unsigned char)*part->at))
        part->at++;
    number.end = part->at;
    return number;
}

static int
compare_numbers(struct part *a, struct part *b)
{
    struct part x = take_number(a), y = take_number(b);

    if (x.end - x.at != y.end - y.at)
        return x.end - x.at < y.end - y.at ? -1 : 1;
    return strncmp(x.at, y.at, (size_t)(x.end - x.at));
}

static int
compare_parts(struct part a, struct part b)
{
    int result = 0;

    while (!result && (a.at < a.end || b.at < b.end)) {
        while (at_text(&a) || at_text(&b)) {
            result = order_of(&a) - order_of(&b);
            if (result)
                return result;
            a.at += a.at < a.end;
            b.at += b.at < b.end;
        }
        result = compare_numbers(&a, &b);
    }
    return result;
}

/* [epoch:]upstream[-revision] */
static long
split_version(const char *version, struct part *upstream, struct part *revision)
{
    const char *colon = strchr(version, ':'), *end = version + strlen(version), *dash;
    long        epoch = colon ? strtol(version, NULL, 10) : 0;

    upstream->at = colon ? colon + 1 : version;
    dash = strrchr(upstream->at, '-');
    upstream->end = dash ? dash : end;
    revision->at = dash ? dash + 1 : end;
    revision->end = end;
    return epoch;
}

int
version_compare(const char *a, const char *b)
{
    struct part ua, ub, ra, rb;
    long        ea = split_version(a, &ua, &ra), eb = split_version(b, &ub, &rb);
    int         result;

    if (ea != eb)
        return ea < eb ? -1 : 1;
    result = compare_parts(ua, ub);
    return result ? result : compare_parts(ra, rb);
}
