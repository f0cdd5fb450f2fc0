/* SPDX-License-Identifier: MIT */
#include "ledger.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "check.h"
#include "memory.h"
#include "record.h"
#include "type.h"

#define NOTES 256 /* the newest borrows of a thread, ended ones included */

struct place {
    const char *file; /* NULL: not yet */
    int         line;
};

struct note {
    const void      *object; /* NULL: free */
    const wane_slot *slot;
    struct place     borrowed, ended;
    const char      *container; /* type of what died with the release that ended it; NULL: the section ended */
};

struct ledger {
    struct note note[NOTES];
    unsigned    next;
};

static pthread_key_t  key;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void
begin(void)
{
    if (pthread_key_create(&key, wn_free))
        abort();
    wn_quarantine_begin();
}

static void
begin_mine(void)
{
    struct ledger *l = wn_calloc(1, sizeof *l);

    if (l && pthread_setspecific(key, l)) /* NOLINT(analyzer-malloc-leak): the end of the thread frees it */
        wn_free(l);
} /* NOLINT(clang-analyzer-unix.Malloc): the same */

/* NULL without memory: then nothing is noted. */
static struct ledger *
mine(void)
{
    pthread_once(&once, begin);
    if (!pthread_getspecific(key))
        begin_mine();
    return pthread_getspecific(key);
}

/* ---- Telling ------------------------------------------------------------------------------------------------------ */

static const struct note *
find(const struct ledger *l, const void *object)
{
    for (unsigned i = 1; l && i <= NOTES; i++) {
        const struct note *n = &l->note[(l->next - i) % NOTES];

        if (n->object == object)
            return n;
    }
    return NULL;
}

static _Noreturn void
refuse(const void *object, const char *what, struct place here)
{
    const struct note *n = find(mine(), object);

    fprintf(stderr, "wane: %s, at %s:%d\n", what, here.file, here.line);
    if (n)
        fprintf(stderr, "wane: it was borrowed at %s:%d from slot %p\n", n->borrowed.file, n->borrowed.line,
                (const void *)n->slot);
    if (n && n->container)
        fprintf(stderr, "wane: the borrow ended with its container, of type '%s', which the release at %s:%d let die\n",
                n->container, n->ended.file, n->ended.line);
    else if (n && n->ended.file)
        fprintf(stderr, "wane: the borrow ended with its section, at %s:%d\n", n->ended.file, n->ended.line);
    wn_fatal(WANE_HEADER(object), what);
}

static bool
is_dead(const void *object)
{
    return wn_is_gone(load_acquire(&WANE_HEADER(object)->word1)); /* acquire E11 */
}

void *
wane_checked_use(const void *object, const char *file, int line)
{
    if (wane_untag(object) && is_dead(wane_untag(object)))
        refuse(wane_untag(object), "a dead object is used", (struct place){file, line});
    return (void *)(uintptr_t)object;
}

/* ---- Noting --------------------------------------------------------------------------------------------------------- */

void *
wane_checked_peek(const wane_slot *slot, const char *file, int line)
{
    struct ledger *l = mine();
    void          *object = (wane_peek)(slot);

    if (!wn_in_section()) {
        fprintf(stderr, "wane: wane_peek outside a section, at %s:%d\n", file, line);
        wn_fatal(object ? WANE_HEADER(object) : NULL, "wane_peek outside a section");
    }
    if (!object)
        return NULL;
    (void)wane_checked_use(object, file, line);
    if (l)
        l->note[l->next++ % NOTES] = (struct note){object, slot, {file, line}, {NULL, 0}, NULL};
    return object;
}

/* The borrows through slots of an object that died just now. */
static void
end_through(const char *payload, size_t size, const char *type, struct place here)
{
    struct ledger *l = mine();

    for (unsigned i = 0; l && i < NOTES; i++) {
        struct note *n = &l->note[i];

        if (!n->object || n->ended.file || (uintptr_t)n->slot - (uintptr_t)payload >= size)
            continue;
        n->ended = here;
        n->container = type;
    }
}

void
wane_checked_release(void *object, const char *file, int line)
{
    const struct wn_type *t;
    size_t                size;

    if (!object)
        return;
    (void)mine(); /* from the first release on, what is freed is kept */
    (void)wane_checked_use(object, file, line);
    t = wn_type_of(WANE_HEADER(object));
    size = wn_type_payload_size(t, WANE_HEADER(object));
    wane_enter(); /* so that what dies here and is still held by the collector's rules stays readable */
    (wane_release)(object);
    if (wn_quarantine_works() && size <= WN_KEPT_SIZE && is_dead(object)) /* larger ones are not kept */
        end_through(object, size, t->name, (struct place){file, line});
    wane_leave();
}

void
wane_checked_leave(const char *file, int line)
{
    struct ledger *l = mine();

    if (l && wane_self.record && (load_relaxed(&wane_self.record->ctr) & WANE_NEST) == 1)
        for (unsigned i = 0; i < NOTES; i++)
            if (l->note[i].object && !l->note[i].ended.file)
                l->note[i].ended = (struct place){file, line};
    (wane_leave)();
}
