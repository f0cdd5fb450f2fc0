/* SPDX-License-Identifier: MIT
 *
 * universe.h - all that the metadata says, as plain integers that never change once loaded
 *
 * An *entry* is a package by name, in its newest version. Its dependencies are *clauses* (`a | b`), each a row of
 * alternative names. A name may be a package's, or virtual: provided by others. A *source* is what entries are built
 * from together.
 */
#ifndef DEPGRAPH_UNIVERSE_H
#define DEPGRAPH_UNIVERSE_H

#include "names.h"

struct entry {
    uint32_t    name, source;
    uint32_t    member; /* which of its source's */
    uint32_t    first_clause, clauses;
    uint32_t    first_provided, provides; /* names, in universe.provided */
    const char *version;
};

struct universe {
    struct names  names, sources;
    struct entry *entries;
    size_t        entry_count, entry_capacity;
    struct ints   entry_of;     /* name -> entry, or NONE */
    struct ints   clause_start; /* clause -> its first in alternatives; one more than there are clauses */
    struct ints   alternatives; /* names */
    struct ints   provided;     /* names */
    struct table  dependents;   /* name -> entries that mention it in a clause */
    struct table  providers;    /* name -> entries that provide it */
    struct table  members;      /* source -> entries */

    uint32_t files, stanzas, superseded, not_installed;
    uint32_t edges, cycles; /* package to preferred alternative; their components of more than one */
};

/* One paragraph of the metadata, as text. Fields that are absent are empty. */
enum field { FIELD_PACKAGE, FIELD_VERSION, FIELD_SOURCE, FIELD_DEPENDS, FIELD_PRE_DEPENDS, FIELD_PROVIDES, FIELD_STATUS,
             FIELD_COUNT };

struct stanza {
    char  *text[FIELD_COUNT];
    size_t length[FIELD_COUNT], capacity[FIELD_COUNT];
};

/* NULL, or what is wrong, and in which field. */
const char *universe_add(struct universe *u, const struct stanza *stanza, enum field *field);
void        universe_finish(struct universe *u);
void        universe_free(struct universe *u);

static inline uint32_t
universe_alternatives(const struct universe *u, uint32_t clause)
{
    return u->clause_start.at[clause + 1] - u->clause_start.at[clause];
}

static inline const uint32_t *
universe_clause(const struct universe *u, uint32_t clause)
{
    return u->alternatives.at + u->clause_start.at[clause];
}

static inline const char *
universe_name(const struct universe *u, const struct entry *entry)
{
    return u->names.text[entry->name];
}

#endif
