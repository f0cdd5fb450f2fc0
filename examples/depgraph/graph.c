/* SPDX-License-Identifier: MIT
 *
 * graph.c - types, births, deaths and links; every change is made in the graph and in the mirror
 */
#include "graph.h"

#include <wane/observe.h>

#include <stddef.h>

#define MAGIC      0x64677000u /* plus the kind */
#define MAGIC_DEAD 0x64677DEAu

#define PROVIDERS_TRIED 16u

static struct mirror *mirror_of_deaths;

void
graph_mirror(struct mirror *m)
{
    mirror_of_deaths = m;
}

enum kind
graph_kind(const void *object)
{
    const struct head *head = object;
    uint32_t           kind = head->magic - MAGIC;

    if (head->check != ~head->id || kind == 0 || kind >= KIND_COUNT)
        return 0;
    return (enum kind)kind;
}

/* At death. */
static void
bury(void *object)
{
    struct head *head = object;

    if (graph_kind(object) == 0)
        atomic_fetch_add(&mirror_of_deaths->wrong, 1);
    mirror_gone(mirror_of_deaths, head->id);
    head->magic = MAGIC_DEAD;
}

static void
trace_list(const void *object, struct wane_visitor *visitor)
{
    const struct list *list = object;

    wane_visit_array(visitor, list->slots, list->count);
}

static const uint32_t package_slots[PACKAGE_SLOTS] = {offsetof(struct package, depends),
                                                      offsetof(struct package, provides),
                                                      offsetof(struct package, source)};

static struct wane_type package_type = {.name = "package", .size = sizeof(struct package), .slots = package_slots,
                                        .slot_count = PACKAGE_SLOTS, .dispose = bury};

void
graph_name_slots(void)
{
    static const char *const names[PACKAGE_SLOTS] = {"depends", "provides", "source"};

    (void)wane_slot_names(&package_type, names);
}

#define LIST_TYPE(text) {.name = text, .size = sizeof(struct list), .trace = trace_list, .dispose = bury, \
                         .flags = WANE_SIZED}

static struct wane_type list_types[KIND_COUNT] = {
    [KIND_DEPENDS] = LIST_TYPE("depends"),   [KIND_CLAUSE] = LIST_TYPE("clause"),
    [KIND_PROVIDES] = LIST_TYPE("provides"), [KIND_PROVIDE] = LIST_TYPE("provide"),
    [KIND_SOURCE] = LIST_TYPE("source"),
};

static void
fill_head(struct maker *maker, struct head *head, enum kind kind, uint32_t label, uint32_t count)
{
    head->id = mirror_born(maker->mirror, maker->part, (uint8_t)kind, label, count);
    head->check = ~head->id;
    head->magic = MAGIC + kind;
    head->label = label;
}

struct package *
graph_package(struct maker *maker, uint32_t entry, uint32_t revision)
{
    struct package *package = wane_new(&package_type);

    if (!package)
        need_failed();
    fill_head(maker, &package->head, KIND_PACKAGE, entry, PACKAGE_SLOTS);
    package->revision = revision;
    return package;
}

struct list *
graph_list(struct maker *maker, enum kind kind, uint32_t label, uint32_t count)
{
    struct list *list = wane_new_sized(&list_types[kind], sizeof *list + count * sizeof list->slots[0]);

    if (!list)
        need_failed();
    fill_head(maker, &list->head, kind, label, count);
    list->count = count;
    return list;
}

uint32_t
graph_count(const void *object)
{
    return graph_kind(object) == KIND_PACKAGE ? PACKAGE_SLOTS : ((const struct list *)object)->count;
}

wane_slot *
graph_slot(void *object, uint32_t i)
{
    struct package *package = object;

    if (graph_kind(object) != KIND_PACKAGE)
        return &((struct list *)object)->slots[i];
    switch (i) {
    case PACKAGE_DEPENDS: return &package->depends;
    case PACKAGE_PROVIDES: return &package->provides;
    default: return &package->source;
    }
}

static void
record(struct maker *maker, void *from, uint32_t i, void *to)
{
    mirror_edge(maker->mirror, graph_head(from)->id, i, to ? graph_head(to)->id : 0);
}

void
graph_link(struct maker *maker, void *from, uint32_t i, void *to)
{
    record(maker, from, i, to);
    wane_set(graph_slot(from, i), to);
}

void
graph_give(struct maker *maker, void *from, uint32_t i, void *to)
{
    record(maker, from, i, to);
    wane_put(graph_slot(from, i), to);
}

void
graph_link_private(struct maker *maker, void *from, uint32_t i, void *to)
{
    record(maker, from, i, to);
    wane_set_private(graph_slot(from, i), to);
}

void
graph_give_private(struct maker *maker, void *from, uint32_t i, void *to)
{
    record(maker, from, i, to);
    wane_put_private(graph_slot(from, i), to);
}

static const char *
name_of(const struct maker *maker, uint32_t entry)
{
    return universe_name(maker->universe, &maker->universe->entries[entry]);
}

void
graph_publish(struct maker *maker, struct package *package)
{
    mirror_root(maker->mirror, package->head.label, package->head.id);
    if (wane_map_put(maker->index, name_of(maker, package->head.label), package) != 0)
        need_failed();
}

void
graph_withdraw(struct maker *maker, uint32_t entry)
{
    mirror_root(maker->mirror, entry, 0);
    wane_map_remove(maker->index, name_of(maker, entry));
}

struct package *
graph_find(const struct maker *maker, uint32_t entry)
{
    struct package *fresh = maker->fresh ? maker->fresh[entry] : NULL;

    return fresh ? fresh : wane_map_peek(maker->index, name_of(maker, entry));
}

/* The object by which `package` provides the name, if it is complete. */
static struct list *
find_provide(const struct maker *maker, struct package *package, uint32_t name)
{
    const struct entry *entry = &maker->universe->entries[package->head.label];
    struct list        *provides = wane_peek(&package->provides);
    uint32_t            i;

    for (i = 0; provides && i < entry->provides; i++) {
        if (maker->universe->provided.at[entry->first_provided + i] == name)
            return wane_peek(&provides->slots[i]);
    }
    return NULL;
}

/* A package of that name, or else the first provider's provide. */
void *
graph_resolve(const struct maker *maker, uint32_t name)
{
    const struct universe *u = maker->universe;
    const uint32_t        *providers = table_row(&u->providers, name);
    struct package        *package = u->entry_of.at[name] == NONE ? NULL : graph_find(maker, u->entry_of.at[name]);
    void                  *provide = NULL;
    uint32_t               i, tries = table_count(&u->providers, name);

    if (tries > PROVIDERS_TRIED)
        tries = PROVIDERS_TRIED;
    for (i = 0; !package && !provide && i < tries; i++) {
        struct package *provider = graph_find(maker, providers[i]);

        if (provider)
            provide = find_provide(maker, provider, name);
    }
    return package ? (void *)package : provide;
}
