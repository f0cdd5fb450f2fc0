/* SPDX-License-Identifier: MIT
 *
 * parse.c - stanzas of `Field: value` lines, continued by lines that begin with a blank, ended by empty ones
 */
#include "parse.h"

#include "input.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const char *const field_names[FIELD_COUNT] = {"Package",     "Version",  "Source", "Depends",
                                                     "Pre-Depends", "Provides", "Status"};

struct parser {
    struct universe *universe;
    struct input     input;
    struct stanza    stanza;
    unsigned long    field_line[FIELD_COUNT]; /* 0: not in this stanza */
    enum field       field;                   /* that a continuation belongs to; FIELD_COUNT: one of no interest */
    unsigned long    start;                   /* the stanza's first line; 0: between stanzas */
};

static int
fail(struct parser *p, unsigned long line, struct fault *fault, const char *reason)
{
    return fault_at(fault, p->input.file, line, "%s", reason);
}

static void
append(struct parser *p, const char *text, size_t length)
{
    struct stanza *s = &p->stanza;
    enum field     f = p->field;

    while (!s->text[f] || s->length[f] + length + 1 >= s->capacity[f])
        s->text[f] = need_room(s->text[f], s->capacity[f], &s->capacity[f], 1);
    memcpy(s->text[f] + s->length[f], text, length);
    s->length[f] += length;
    s->text[f][s->length[f]] = '\0';
}

static void
begin_stanza(struct parser *p)
{
    for (p->field = 0; p->field < FIELD_COUNT; p->field++) {
        p->stanza.length[p->field] = 0;
        p->field_line[p->field] = 0;
        append(p, "", 0);
    }
    p->start = 0;
}

static int
end_stanza(struct parser *p, struct fault *fault)
{
    enum field  field;
    const char *reason;

    if (p->start == 0)
        return 0;
    if (!p->field_line[FIELD_PACKAGE])
        return fail(p, p->start, fault, "stanza without a Package field");
    reason = universe_add(p->universe, &p->stanza, &field);
    if (reason)
        return fault_at(fault, p->input.file, p->field_line[field], "%s: %s", field_names[field], reason);
    begin_stanza(p);
    return 0;
}

static enum field
field_of(const char *name, size_t length)
{
    enum field field;

    for (field = 0; field < FIELD_COUNT; field++) {
        if (strlen(field_names[field]) == length && strncasecmp(field_names[field], name, length) == 0)
            break;
    }
    return field;
}

/* Appends without the blanks around it. */
static void
append_value(struct parser *p, const char *text)
{
    size_t length;

    text += strspn(text, " \t");
    for (length = strlen(text); length > 0 && strchr(" \t\r", text[length - 1]); length--)
        continue;
    append(p, text, length);
}

static int
continue_field(struct parser *p, struct fault *fault)
{
    if (p->start == 0)
        return fail(p, p->input.line, fault, "continuation line outside of a stanza");
    if (p->field == FIELD_COUNT)
        return 0;
    append(p, "\n", 1);
    append_value(p, p->input.text);
    return 0;
}

static int
begin_field(struct parser *p, struct fault *fault)
{
    const char *text = p->input.text;
    size_t      length = strcspn(text, ": \t");

    if (text[length] != ':' || length == 0)
        return fail(p, p->input.line, fault, "no `Field:` and no continuation");
    p->field = field_of(text, length);
    if (p->start == 0)
        p->start = p->input.line;
    if (p->field == FIELD_COUNT)
        return 0;
    if (p->field_line[p->field])
        return fail(p, p->input.line, fault, "field given twice in a stanza");
    p->field_line[p->field] = p->input.line;
    append_value(p, text + length + 1);
    return 0;
}

static int
parse_line(struct parser *p, struct fault *fault)
{
    if (p->input.text[strspn(p->input.text, " \t\r")] == '\0')
        return end_stanza(p, fault);
    if (p->input.text[0] == ' ' || p->input.text[0] == '\t')
        return continue_field(p, fault);
    return begin_field(p, fault);
}

static int
parse_lines(struct parser *p, struct fault *fault)
{
    int more;

    begin_stanza(p);
    while ((more = input_line(&p->input, fault)) > 0) {
        if (parse_line(p, fault) != 0)
            return -1;
    }
    return more < 0 ? -1 : end_stanza(p, fault);
}

int
parse_file(struct universe *u, const char *file, struct fault *fault)
{
    struct parser p = {.universe = u};
    struct fault  late;
    enum field    field;
    int           result = input_open(&p.input, file, fault);

    if (result == 0)
        result = parse_lines(&p, fault);
    input_close(&p.input, &late); /* whether the decompression failed was seen at the end of the lines */
    for (field = 0; field < FIELD_COUNT; field++)
        free(p.stanza.text[field]);
    if (result == 0)
        u->files++;
    return result;
}
