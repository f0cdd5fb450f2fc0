/* SPDX-License-Identifier: MIT
 *
 * universe.c - merges stanzas into entries, then derives the tables that go backwards
 *
 * Several stanzas of one name (indexes overlap, security updates) make one entry: the newest version's.
 */
#include "universe.h"

#include "relation.h"
#include "scc.h"

#include <stdlib.h>
#include <string.h>

static uint32_t
name_number(struct universe *u, const char *text, size_t length)
{
    uint32_t name = names_add(&u->names, text, length);

    while (u->entry_of.count < u->names.count)
        ints_push(&u->entry_of, NONE);
    return name;
}

/* Is the name among the alternatives from `first` on? `a (<< 1) | a (>> 2)` is one alternative here. */
static bool
is_listed(const struct universe *u, size_t first, uint32_t name)
{
    size_t i;

    for (i = first; i < u->alternatives.count; i++) {
        if (u->alternatives.at[i] == name)
            return true;
    }
    return false;
}

static const char *
add_clauses(struct universe *u, const char *text, uint32_t *clauses)
{
    struct relations from = {text, false};
    struct relation  relation;
    const char      *reason = NULL;

    while (relation_next(&from, &relation, &reason) > 0) {
        uint32_t name = name_number(u, relation.name, relation.length);

        if (relation.first) {
            ints_push(&u->clause_start, (uint32_t)u->alternatives.count);
            ++*clauses;
        }
        if (!is_listed(u, u->clause_start.at[u->clause_start.count - 1], name))
            ints_push(&u->alternatives, name);
    }
    return reason;
}

static const char *
add_provided(struct universe *u, const char *text, struct entry *entry)
{
    struct relations from = {text, false};
    struct relation  relation;
    const char      *reason = NULL;
    uint32_t         name, i;

    while (relation_next(&from, &relation, &reason) > 0) {
        name = name_number(u, relation.name, relation.length);
        for (i = 0; i < entry->provides && u->provided.at[entry->first_provided + i] != name; i++)
            continue;
        if (name == entry->name || i < entry->provides)
            continue;
        ints_push(&u->provided, name);
        entry->provides++;
    }
    return reason;
}

/* `Source: name (version)`; without it a package is its own source. */
static uint32_t
source_of(struct universe *u, const struct stanza *stanza)
{
    enum field  field = stanza->length[FIELD_SOURCE] ? FIELD_SOURCE : FIELD_PACKAGE;
    const char *text = stanza->text[field];

    return names_add(&u->sources, text, strcspn(text, " \t("));
}

static const char *
read_entry(struct universe *u, const struct stanza *stanza, struct entry *entry, enum field *field)
{
    const char *reason;

    entry->source = source_of(u, stanza);
    entry->first_clause = (uint32_t)u->clause_start.count;
    entry->first_provided = (uint32_t)u->provided.count;
    *field = FIELD_PRE_DEPENDS;
    reason = add_clauses(u, stanza->text[FIELD_PRE_DEPENDS], &entry->clauses);
    if (reason)
        return reason;
    *field = FIELD_DEPENDS;
    reason = add_clauses(u, stanza->text[FIELD_DEPENDS], &entry->clauses);
    if (reason)
        return reason;
    *field = FIELD_PROVIDES;
    return add_provided(u, stanza->text[FIELD_PROVIDES], entry);
}

/* The place for the stanza's entry, or NULL if a version as new is there. */
static struct entry *
place_for(struct universe *u, uint32_t name, const char *version)
{
    uint32_t known = u->entry_of.at[name];

    if (known != NONE) {
        u->superseded++;
        return version_compare(version, u->entries[known].version) > 0 ? &u->entries[known] : NULL;
    }
    u->entries = need_room(u->entries, u->entry_count, &u->entry_capacity, sizeof *u->entries);
    u->entry_of.at[name] = (uint32_t)u->entry_count;
    return &u->entries[u->entry_count++];
}

/* dpkg's status file also lists what is not installed any more. */
static bool
is_installed(const struct stanza *stanza)
{
    return stanza->length[FIELD_STATUS] == 0 || strstr(stanza->text[FIELD_STATUS], " installed") != NULL;
}

const char *
universe_add(struct universe *u, const struct stanza *stanza, enum field *field)
{
    const char   *package = stanza->text[FIELD_PACKAGE], *version = stanza->text[FIELD_VERSION], *reason;
    struct entry  entry = {0}, *place;

    *field = FIELD_PACKAGE;
    if (!package_name_ok(package, stanza->length[FIELD_PACKAGE]))
        return "bad package name";
    u->stanzas++;
    if (!is_installed(stanza)) {
        u->not_installed++;
        return NULL;
    }
    entry.name = name_number(u, package, stanza->length[FIELD_PACKAGE]);
    reason = read_entry(u, stanza, &entry, field);
    if (reason)
        return reason;
    place = place_for(u, entry.name, version);
    if (place) {
        entry.version = names_keep(&u->names, version, stanza->length[FIELD_VERSION]);
        *place = entry;
    }
    return NULL;
}

static void
derive_dependents(struct universe *u)
{
    uint32_t    *last = need(u->names.count, sizeof *last); /* name -> the last entry that mentioned it, plus 1 */
    struct pairs pairs = {0};
    uint32_t     e, c, i;

    for (e = 0; e < u->entry_count; e++) {
        const struct entry *entry = &u->entries[e];

        for (c = entry->first_clause; c < entry->first_clause + entry->clauses; c++) {
            const uint32_t *names = universe_clause(u, c);

            for (i = 0; i < universe_alternatives(u, c); i++) {
                if (last[names[i]] != e + 1)
                    pairs_push(&pairs, names[i], e);
                last[names[i]] = e + 1;
            }
        }
    }
    pairs_to_table(&pairs, (uint32_t)u->names.count, &u->dependents);
    free(last);
}

static void
derive_providers(struct universe *u)
{
    struct pairs pairs = {0};
    uint32_t     e, i;

    for (e = 0; e < u->entry_count; e++) {
        const struct entry *entry = &u->entries[e];

        for (i = 0; i < entry->provides; i++)
            pairs_push(&pairs, u->provided.at[entry->first_provided + i], e);
    }
    pairs_to_table(&pairs, (uint32_t)u->names.count, &u->providers);
}

static void
derive_members(struct universe *u)
{
    uint32_t    *members = need(u->sources.count, sizeof *members);
    struct pairs pairs = {0};
    uint32_t     e;

    for (e = 0; e < u->entry_count; e++) {
        u->entries[e].member = members[u->entries[e].source]++;
        pairs_push(&pairs, u->entries[e].source, e);
    }
    pairs_to_table(&pairs, (uint32_t)u->sources.count, &u->members);
    free(members);
}

/* Edges go to the preferred (first) alternative of a clause, where that is a package and not virtual; each once. */
static void
count_edges(struct universe *u)
{
    uint32_t         *last = need(u->entry_count, sizeof *last);
    struct pairs      pairs = {0};
    struct table      graph;
    struct components components;
    uint32_t          e, c, target;

    for (e = 0; e < u->entry_count; e++) {
        for (c = u->entries[e].first_clause; c < u->entries[e].first_clause + u->entries[e].clauses; c++) {
            target = u->entry_of.at[*universe_clause(u, c)];
            if (target == NONE || last[target] == e + 1)
                continue;
            last[target] = e + 1;
            pairs_push(&pairs, e, target);
        }
    }
    u->edges = (uint32_t)pairs.key.count;
    pairs_to_table(&pairs, (uint32_t)u->entry_count, &graph);
    scc_find(&graph, (uint32_t)u->entry_count, &components);
    u->cycles = scc_cycles(&components);
    scc_free(&components);
    table_free(&graph);
    free(last);
}

void
universe_finish(struct universe *u)
{
    ints_push(&u->clause_start, (uint32_t)u->alternatives.count);
    derive_dependents(u);
    derive_providers(u);
    derive_members(u);
    count_edges(u);
}

void
universe_free(struct universe *u)
{
    names_free(&u->names);
    names_free(&u->sources);
    free(u->entries);
    ints_free(&u->entry_of);
    ints_free(&u->clause_start);
    ints_free(&u->alternatives);
    ints_free(&u->provided);
    table_free(&u->dependents);
    table_free(&u->providers);
    table_free(&u->members);
    *u = (struct universe){0};
}
