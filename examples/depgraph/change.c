/* SPDX-License-Identifier: MIT
 *
 * change.c - operations on the graph; after each the mirror agrees with it
 *
 * A package is complete before it is published, so that readers never meet half of one. What is built together (a
 * source's packages link to each other) is made bare first, then filled, then published.
 *
 * How garbage arises:
 *   upgrade of a source      the old source and its packages hold each other, until dependents let go: a cycle
 *   upgrade of one package   the old one dies by its count, when the last dependent is relinked
 *   new dependency list      the old one dies by its count, with its clauses
 *   removal                  by its count; a package that provides something is on a cycle with its provides
 */
#include "change.h"

static void
fill_provides(struct maker *maker, struct package *package)
{
    const struct entry *entry = &maker->universe->entries[package->head.label];
    struct list        *provides;
    uint32_t            i;

    if (entry->provides == 0)
        return;
    provides = graph_list(maker, KIND_PROVIDES, package->head.label, entry->provides);
    for (i = 0; i < entry->provides; i++) {
        uint32_t     name = maker->universe->provided.at[entry->first_provided + i];
        struct list *provide = graph_list(maker, KIND_PROVIDE, name, 1);

        graph_link_private(maker, provide, 0, package);
        graph_give_private(maker, provides, i, provide);
    }
    graph_give_private(maker, package, PACKAGE_PROVIDES, provides);
}

static struct list *
make_clause(struct maker *maker, uint32_t clause)
{
    const uint32_t *names = universe_clause(maker->universe, clause);
    uint32_t        i, count = universe_alternatives(maker->universe, clause);
    struct list    *list = graph_list(maker, KIND_CLAUSE, clause, count);

    for (i = 0; i < count; i++)
        graph_link_private(maker, list, i, graph_resolve(maker, names[i]));
    return list;
}

static struct list *
make_depends(struct maker *maker, uint32_t entry_number)
{
    const struct entry *entry = &maker->universe->entries[entry_number];
    struct list        *depends = graph_list(maker, KIND_DEPENDS, entry_number, entry->clauses);
    uint32_t            i;

    for (i = 0; i < entry->clauses; i++)
        graph_give_private(maker, depends, i, make_clause(maker, entry->first_clause + i));
    return depends;
}

static void
fill_depends(struct maker *maker, struct package *package)
{
    if (maker->universe->entries[package->head.label].clauses > 0)
        graph_give_private(maker, package, PACKAGE_DEPENDS, make_depends(maker, package->head.label));
}

/* A package of the source, known to the others that are being built, and to `source`, which is not published. */
static void
make_bare(struct changer *c, uint32_t entry, struct list *source)
{
    struct package *package = graph_package(&c->maker, entry, c->revisions[entry]++);

    graph_link_private(&c->maker, package, PACKAGE_SOURCE, source);
    graph_link_private(&c->maker, source, c->maker.universe->entries[entry].member, package);
    c->maker.fresh[entry] = package;
}

static void
publish_fresh(struct changer *c, uint32_t entry)
{
    graph_publish(&c->maker, c->maker.fresh[entry]);
    c->maker.fresh[entry] = NULL;
}

/* Names that lead to the package lead elsewhere now. */
static void
tell_dependents(struct changer *c, uint32_t entry_number)
{
    const struct entry *entry = &c->maker.universe->entries[entry_number];
    uint32_t            i;

    post_tell(c->post, entry->name);
    for (i = 0; i < entry->provides; i++)
        post_tell(c->post, c->maker.universe->provided.at[entry->first_provided + i]);
}

struct members {
    const uint32_t *entries;
    uint32_t        count;
};

static struct members
members_of(const struct changer *c, uint32_t source)
{
    const struct table *table = &c->maker.universe->members;

    return (struct members){table_row(table, source), table_count(table, source)};
}

/* A new source object and packages for the members that are in the index (all: for every member), bare. */
static void
make_source(struct changer *c, uint32_t source, bool all)
{
    struct members m = members_of(c, source);
    struct list   *list = graph_list(&c->maker, KIND_SOURCE, source, m.count);
    uint32_t       i;

    for (i = 0; i < m.count; i++) {
        if (all || change_present(c, m.entries[i]))
            make_bare(c, m.entries[i], list);
    }
    wane_release(list);
}

static void
fill_source(struct changer *c, uint32_t source)
{
    struct members m = members_of(c, source);
    uint32_t       i;

    for (i = 0; i < m.count; i++) {
        struct package *package = c->maker.fresh[m.entries[i]];

        if (!package)
            continue;
        WANE_SECTION {
            fill_provides(&c->maker, package);
            fill_depends(&c->maker, package);
        }
    }
}

static void
publish_source(struct changer *c, uint32_t source, bool tell)
{
    struct members m = members_of(c, source);
    uint32_t       i;

    for (i = 0; i < m.count; i++) {
        if (!c->maker.fresh[m.entries[i]])
            continue;
        publish_fresh(c, m.entries[i]);
        if (tell)
            tell_dependents(c, m.entries[i]);
    }
}

static void
renew_source(struct changer *c, uint32_t source, bool all)
{
    make_source(c, source, all);
    fill_source(c, source);
    publish_source(c, source, true);
}

void
change_build(struct changer *c, uint32_t owners)
{
    uint32_t source, count = (uint32_t)c->maker.universe->sources.count;

    for (source = 0; source < count; source++)
        make_source(&c[source % owners], source, true);
    for (source = 0; source < count; source++)
        fill_source(&c[source % owners], source);
    for (source = 0; source < count; source++)
        publish_source(&c[source % owners], source, false);
}

void
change_upgrade_source(struct changer *c, uint32_t source)
{
    renew_source(c, source, false);
}

bool
change_present(const struct changer *c, uint32_t entry)
{
    return c->maker.mirror->roots[entry] != 0;
}

/* The source object that the members in the index share, owned; NULL if none is there. */
static struct list *
current_source(const struct changer *c, uint32_t source)
{
    struct members m = members_of(c, source);
    struct list   *list = NULL;
    uint32_t       i;

    for (i = 0; i < m.count && !list; i++) {
        if (!change_present(c, m.entries[i]))
            continue;
        WANE_SECTION
            list = wane_get(&graph_find(&c->maker, m.entries[i])->source);
    }
    return list;
}

/* A new package beside the others of its source, in place of an old one or of none. */
static void
renew_package(struct changer *c, uint32_t entry, struct list *source)
{
    struct package *package = graph_package(&c->maker, entry, c->revisions[entry]++);

    c->maker.fresh[entry] = package;
    WANE_SECTION {
        fill_provides(&c->maker, package);
        fill_depends(&c->maker, package);
    }
    graph_link_private(&c->maker, package, PACKAGE_SOURCE, source);
    graph_link(&c->maker, source, c->maker.universe->entries[entry].member, package);
    publish_fresh(c, entry);
    tell_dependents(c, entry);
}

void
change_upgrade(struct changer *c, uint32_t entry)
{
    struct list *source = current_source(c, c->maker.universe->entries[entry].source);

    renew_package(c, entry, source);
    wane_release(source);
}

void
change_insert(struct changer *c, uint32_t entry)
{
    struct list *source = current_source(c, c->maker.universe->entries[entry].source);

    if (source)
        renew_package(c, entry, source);
    else
        renew_source(c, c->maker.universe->entries[entry].source, true);
    wane_release(source);
}

void
change_depends(struct changer *c, uint32_t entry)
{
    if (c->maker.universe->entries[entry].clauses == 0)
        return;
    WANE_SECTION {
        struct package *package = graph_find(&c->maker, entry);

        graph_give(&c->maker, package, PACKAGE_DEPENDS, make_depends(&c->maker, entry));
    }
}

/* `tell` false: what depends on it keeps it, as a system keeps a package that its archive dropped. */
void
change_remove(struct changer *c, uint32_t entry, bool tell)
{
    WANE_SECTION {
        struct list *source = wane_peek(&graph_find(&c->maker, entry)->source);

        graph_link(&c->maker, source, c->maker.universe->entries[entry].member, NULL);
    }
    graph_withdraw(&c->maker, entry);
    if (tell)
        tell_dependents(c, entry);
}

void
change_remove_source(struct changer *c, uint32_t source)
{
    struct members m = members_of(c, source);
    uint32_t       i;

    for (i = 0; i < m.count; i++) {
        if (!change_present(c, m.entries[i]))
            continue;
        graph_withdraw(&c->maker, m.entries[i]);
        tell_dependents(c, m.entries[i]);
    }
}

/* Links the alternatives of that name to what it means now. */
static void
relink_clause(struct changer *c, struct list *clause, uint32_t name)
{
    const uint32_t *names = universe_clause(c->maker.universe, clause->head.label);
    uint32_t        i;

    for (i = 0; i < clause->count; i++) {
        void *target;

        if (names[i] != name)
            continue;
        target = graph_resolve(&c->maker, name);
        if (target != wane_peek(&clause->slots[i]))
            graph_link(&c->maker, clause, i, target);
    }
}

static void
relink_package(struct changer *c, uint32_t entry, uint32_t name)
{
    WANE_SECTION {
        struct package *package = graph_find(&c->maker, entry);
        struct list    *depends = package ? wane_peek(&package->depends) : NULL;
        uint32_t        i;

        for (i = 0; depends && i < depends->count; i++)
            relink_clause(c, wane_peek(&depends->slots[i]), name);
    }
}

uint32_t
change_relink(struct changer *c, uint32_t budget)
{
    const struct table *dependents = &c->maker.universe->dependents;
    uint32_t            done = 0;

    while (done < budget) {
        if (c->name == NONE || c->dependent == table_count(dependents, c->name)) {
            c->name = post_next(c->post, c->owner);
            c->dependent = 0;
            if (c->name == NONE)
                break;
            continue;
        }
        if (owner_of(c->post, table_row(dependents, c->name)[c->dependent]) == c->owner) {
            relink_package(c, table_row(dependents, c->name)[c->dependent], c->name);
            done++;
        }
        c->dependent++;
    }
    return done;
}
