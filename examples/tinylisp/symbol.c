/* SPDX-License-Identifier: MIT
 *
 * symbol.c - names: one object each, as long as somebody refers to it
 *
 * The table leads from the name to a weak reference, so that symbols which a program made and forgot are freed. One that has a
 * global value must stay even if nobody refers to it: a second table keeps it. Finding a symbol takes no lock; making one does.
 */
#include "lisp.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

static const uint32_t   symbol_slots[] = {offsetof(struct symbol, global.slot)};
static struct wane_type symbol_type = {.name = "symbol",
                                       .size = sizeof(struct symbol),
                                       .slots = symbol_slots,
                                       .slot_count = 1,
                                       .flags = WANE_SIZED};

static struct wane_map *known, *globals;
static pthread_mutex_t  making = PTHREAD_MUTEX_INITIALIZER;
static size_t           sweep_at = 1000; /* under the lock */

bool
symbols_begin(void)
{
    known = wane_map_new();
    globals = wane_map_new();
    return known && globals;
}

void
symbols_end(void)
{
    wane_release(globals);
    wane_release(known);
    known = globals = NULL;
}

/* A symbol that is not freed meanwhile, or NULL. */
static struct symbol *
find(const char *name)
{
    void          *weak = wane_map_get(known, name);
    struct symbol *s = weak ? wane_weak_get(weak) : NULL;

    wane_release(weak);
    return s;
}

static bool
remove_dead(const char *name, void *weak, void *arg)
{
    void *s = wane_weak_get(weak);

    (void)arg;
    if (s)
        wane_release(s);
    else
        wane_map_remove(known, name);
    return true;
}

/* Under the lock, as all that changes the table. */
static size_t
sweep(void)
{
    wane_map_each(known, remove_dead, NULL);
    return wane_map_count(known);
}

size_t
symbols_known(void)
{
    size_t count;

    pthread_mutex_lock(&making);
    count = sweep();
    pthread_mutex_unlock(&making);
    return count;
}

/* Under the lock. */
static struct symbol *
make(const char *name, size_t length)
{
    struct symbol *s = wane_new_sized(&symbol_type, sizeof *s + length + 1);
    void          *weak;

    if (!s)
        return NULL;
    s->length = length;
    memcpy(s->name, name, length);
    cell_init(&s->global, simple(UNBOUND));
    weak = wane_weak(s);
    if (!weak || wane_map_put(known, name, weak) != 0) {
        wane_release(weak);
        wane_release(s);
        return NULL;
    }
    if (wane_map_count(known) >= sweep_at)
        sweep_at = 2 * sweep() + 1000;
    return s;
}

struct symbol *
symbol_intern(const char *name, size_t length)
{
    char           text[256];
    struct symbol *s;

    if (length >= sizeof text)
        return NULL;
    memcpy(text, name, length);
    text[length] = '\0';
    s = find(text);
    if (s)
        return s;
    pthread_mutex_lock(&making);
    s = find(text);
    if (!s)
        s = make(text, length);
    pthread_mutex_unlock(&making);
    return s;
}

bool
symbol_define(struct symbol *symbol, struct value v)
{
    if (cell_load(&symbol->global).kind == UNBOUND && wane_map_set(globals, symbol->name, symbol) != 0) {
        drop(v);
        return false;
    }
    cell_store(&symbol->global, v);
    return true;
}
