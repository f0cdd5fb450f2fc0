/* SPDX-License-Identifier: MIT
 *
 * plugin.c - a plug-in with a type and a root of its own; built three times, see meson.build
 *
 * PLUGIN is its name. With PLUGIN_CALLBACKS the type has callbacks, whose code lies here.
 */
#include <wane/wane.h>

struct item {
    uint64_t  value;
    wane_slot next, other;
};

static wane_slot      root;
static const uint32_t slots[] = {offsetof(struct item, next), offsetof(struct item, other)};

#ifdef PLUGIN_CALLBACKS
static uint64_t disposed, finalized;

static void
dispose(void *item)
{
    (void)item;
    __atomic_fetch_add(&disposed, 1, __ATOMIC_RELAXED);
}

static void
finalize(void *item)
{
    (void)item;
    __atomic_fetch_add(&finalized, 1, __ATOMIC_RELAXED);
}

static struct wane_type type = {
    "item of " PLUGIN, sizeof(struct item), slots, 2, NULL, dispose, finalize, 0, {0}};

uint64_t *plugin_disposed(void);
uint64_t *plugin_finalized(void);

uint64_t *
plugin_disposed(void)
{
    return &disposed;
}

uint64_t *
plugin_finalized(void)
{
    return &finalized;
}
#else
static struct wane_type type = {"item of " PLUGIN, sizeof(struct item), slots, 2, NULL, NULL, NULL, 0, {0}};
#endif

void *plugin_make(uint64_t value);
void  plugin_link(void *from, void *to);
void  plugin_keep(void *item);

void *
plugin_make(uint64_t value)
{
    struct item *item = wane_new(&type);

    if (item)
        item->value = value;
    return item;
}

/* from's `next` takes to's unit. */
void
plugin_link(void *from, void *to)
{
    wane_put(&((struct item *)from)->next, to);
}

/* The unit goes into this plug-in's root. */
void
plugin_keep(void *item)
{
    wane_put(&root, item);
}
