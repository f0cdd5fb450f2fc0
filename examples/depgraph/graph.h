/* SPDX-License-Identifier: MIT
 *
 * graph.h - the graph of wane objects
 *
 *   index     wane_map: name -> package; the only root
 *   package   -> its dependency list, its list of provides, its source
 *   depends   -> clauses             (one list, replaced as a whole when it changes)
 *   clause    -> for each of its alternatives a package, a provide, or nothing while that is not in the index
 *   provides  -> provides
 *   provide   -> the package that provides
 *   source    -> its packages
 *
 * Every link is a strong slot: packages that depend on each other, a package and what it provides, a source and its
 * packages are reference cycles.
 */
#ifndef DEPGRAPH_GRAPH_H
#define DEPGRAPH_GRAPH_H

#include "mirror.h"
#include "universe.h"

#include <wane/containers.h>
#include <wane/wane.h>

enum kind { KIND_PACKAGE = 1, KIND_DEPENDS, KIND_CLAUSE, KIND_PROVIDES, KIND_PROVIDE, KIND_SOURCE, KIND_COUNT };

/* Constant from birth to death. The canary: magic, and id beside its complement. */
struct head {
    uint64_t id, check;
    uint32_t magic; /* says the kind */
    uint32_t label; /* entry, clause, name or source of the universe */
};

struct package {
    struct head head;
    uint32_t    revision; /* upgrades so far */
    wane_slot   depends, provides, source;
};

#define PACKAGE_DEPENDS  0u /* the slots in the order of the mirror's edges */
#define PACKAGE_PROVIDES 1u
#define PACKAGE_SOURCE   2u
#define PACKAGE_SLOTS    3u

/* All other kinds. */
struct list {
    struct head head;
    uint32_t    count;
    wane_slot   slots[];
};

/* What a mutator builds with. */
struct maker {
    const struct universe *universe;
    struct mirror         *mirror;
    struct mirror_part    *part;
    struct wane_map       *index;
    struct package       **fresh; /* by entry: packages being built together, found before the index's */
};

void graph_mirror(struct mirror *m); /* where deaths are recorded: set before the first object is made */

/* Ends the program when memory runs out. Owned by the caller. */
struct package *graph_package(struct maker *maker, uint32_t entry, uint32_t revision);
struct list    *graph_list(struct maker *maker, enum kind kind, uint32_t label, uint32_t count);

/* A slot, and its edge in the mirror. _private: the container was never published. give: consumes a unit. */
wane_slot *graph_slot(void *object, uint32_t i);
void graph_link(struct maker *maker, void *from, uint32_t i, void *to);
void graph_give(struct maker *maker, void *from, uint32_t i, void *to);
void graph_link_private(struct maker *maker, void *from, uint32_t i, void *to);
void graph_give_private(struct maker *maker, void *from, uint32_t i, void *to);

/* The index entry, and its root in the mirror. */
void graph_publish(struct maker *maker, struct package *package); /* consumes */
void graph_withdraw(struct maker *maker, uint32_t entry);

/* All inside a section; borrowed. */
struct package *graph_find(const struct maker *maker, uint32_t entry);
void           *graph_resolve(const struct maker *maker, uint32_t name);

/* The object's kind, or 0 when its canary is damaged. */
enum kind graph_kind(const void *object);
uint32_t  graph_count(const void *object);

static inline struct head *
graph_head(void *object)
{
    return object;
}

/* For snapshots. */
void graph_name_slots(void);

#endif
