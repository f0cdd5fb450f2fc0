/* SPDX-License-Identifier: MIT
 *
 * gobject.c - GObject: g_object_ref and unref, GWeakRef, new objects
 */
#include "peer.h"

#include <glib-object.h>

struct object {
    GObject  parent;
    uint64_t value[4];
};

struct object_class {
    GObjectClass parent;
};

typedef struct object       Object;
typedef struct object_class ObjectClass;

G_DEFINE_TYPE(Object, object, G_TYPE_OBJECT)

static void
object_class_init(ObjectClass *class)
{
    (void)class;
}

static void
object_init(Object *o)
{
    o->value[0] = 0;
}

static Object *
object_new(uint64_t value)
{
    Object *o = g_object_new(object_get_type(), NULL);

    o->value[0] = value;
    return o;
}

static void
own(struct worker *w, unsigned mask)
{
    Object *o[OBJECTS];

    for (uint64_t i = 0; i < OBJECTS; i++)
        o[i] = object_new(i + 1);
    TIMED_BLOCKS(w, g_object_ref(o[i & mask]); g_object_unref(o[i & mask]), w->sum += o[block % OBJECTS]->value[0]);
}

static void
own_one(struct worker *w)
{
    own(w, 0);
}

static void
own_many(struct worker *w)
{
    own(w, OBJECTS - 1);
}

static Object *hot;

static void
foreign(struct worker *w)
{
    if (w->id == 0)
        hot = object_new(7);
    TIMED_BLOCKS(w, g_object_ref(hot); g_object_unref(hot), w->sum += hot->value[0]);
}

static void
churn(struct worker *w)
{
    worker_begin(w);
    for (uint64_t i = 0; i < w->n; i++) {
        Object *o = object_new(i);

        w->sum += o->value[0];
        g_object_unref(o);
    }
    worker_end(w);
}

static GWeakRef weak;

static void
weak_get(struct worker *w)
{
    Object *o;

    if (w->id == 0) {
        hot = object_new(1);
        g_weak_ref_init(&weak, hot);
    }
    TIMED_BLOCKS(w, o = g_weak_ref_get(&weak); w->sum += o->value[0]; g_object_unref(o), (void)0);
}

WORKERS(run_own_one, own_one)
WORKERS(run_own_many, own_many)
WORKERS(run_foreign, foreign)
WORKERS(run_churn, churn)
WORKERS(run_weak, weak_get)

static const struct workload all[] = {
    {"own-one", run_own_one}, {"own-many", run_own_many}, {"foreign", run_foreign}, {"hot", run_foreign},
    {"churn", run_churn}, {"weak", run_weak},
};

PEER_MAIN(all)
