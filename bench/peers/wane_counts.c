/* SPDX-License-Identifier: MIT
 *
 * wane_counts.c - the library's counts, sections, slots, weak references and hand-overs; what it takes of memory and time at all
 *
 * Sections last for 64 operations, but where the workload says that each has its own.
 */
#include "peer.h"

#include <dlfcn.h>

#include <wane/wane.h>

struct object {
    uint64_t value[4];
};
WANE_LEAF_TYPE(object);

static struct object *
object_new(uint64_t value)
{
    struct object *o = must(wane_new(&object_type));

    o->value[0] = value;
    return o;
}

static void
objects_make(struct object **o)
{
    wane_enter();
    for (uint64_t i = 0; i < OBJECTS; i++)
        o[i] = object_new(i + 1);
    wane_leave();
}

static inline void
between_sections(void)
{
    wane_leave();
    wane_enter();
}

static inline void
pair(struct object *o)
{
    wane_retain(o);
    escape(o);
    wane_release(o);
    escape(o);
}

/* ---- Counts ----------------------------------------------------------------------------------------------------- */

static void
own_one(struct worker *w)
{
    struct object *o[OBJECTS];

    objects_make(o);
    wane_enter();
    TIMED_BLOCKS(w, pair(o[0]), w->sum += o[block % OBJECTS]->value[0]; between_sections());
    wane_leave();
}

static void
own_many(struct worker *w)
{
    struct object *o[OBJECTS];

    objects_make(o);
    wane_enter();
    TIMED_BLOCKS(w, pair(o[i]), w->sum += o[block % OBJECTS]->value[0]; between_sections());
    wane_leave();
}

/* The symbols of the library, not the inline functions. */
static void
calls(struct worker *w)
{
    void *(*volatile find_retain)(void *) = (void *(*)(void *))dlsym(RTLD_DEFAULT, "wane_retain");
    void (*volatile find_release)(void *) = (void (*)(void *))dlsym(RTLD_DEFAULT, "wane_release");
    void *(*retain)(void *) = find_retain;
    void (*release)(void *) = find_release;
    struct object *o[OBJECTS];

    objects_make(o);
    wane_enter();
    TIMED_BLOCKS(w, retain(o[0]); release(o[0]), w->sum += o[block % OBJECTS]->value[0]; between_sections());
    wane_leave();
}

static struct object    *hot;
static pthread_barrier_t stays;

static void *
owner_that_stays(void *unused)
{
    (void)unused;
    hot = object_new(7);
    pthread_barrier_wait(&stays);
    pthread_barrier_wait(&stays);
    return NULL;
}

/* Of several threads the first owns the object; one alone works on that of a thread that does nothing. */
static void
foreign(struct worker *w)
{
    pthread_t owner;

    if (w->threads == 1) {
        pthread_barrier_init(&stays, NULL, 2);
        pthread_create(&owner, NULL, owner_that_stays, NULL);
        pthread_barrier_wait(&stays);
    } else if (w->id == 0) {
        hot = object_new(7);
    }
    wane_enter();
    TIMED_BLOCKS(w, pair(hot), w->sum += hot->value[0]; between_sections());
    wane_leave();
    if (w->threads == 1) {
        pthread_barrier_wait(&stays);
        pthread_join(owner, NULL);
    }
}

static void
shared(struct worker *w)
{
    if (w->id == 0) {
        hot = object_new(7);
        if (wane_share(hot) != 0)
            abort();
    }
    wane_enter();
    TIMED_BLOCKS(w, pair(hot), w->sum += hot->value[0]; between_sections());
    wane_leave();
}

static void
section(struct worker *w)
{
    TIMED_BLOCKS(w, wane_enter(); wane_leave(), w->sum += 3);
}

/* ---- A slot ----------------------------------------------------------------------------------------------------- */

static wane_slot slot;

static void
slot_fill(const struct worker *w)
{
    if (w->id == 0)
        wane_put(&slot, object_new(1));
}

static void
slot_read(struct worker *w)
{
    wane_enter();
    w->sum += ((const struct object *)wane_peek(&slot))->value[0];
    wane_leave();
}

static void
read_only(struct worker *w)
{
    slot_fill(w);
    TIMED_BLOCKS(w, slot_read(w), (void)0);
}

static inline void
mixed(struct worker *w, uint64_t every)
{
    slot_fill(w);
    worker_begin(w);
    for (uint64_t left = every, i = 0; i < w->n; i++)
        if (--left == 0) {
            wane_put(&slot, object_new(1));
            w->sum++;
            left = every;
        } else {
            slot_read(w);
        }
    worker_end(w);
}

static void
mixed1(struct worker *w)
{
    mixed(w, 100);
}

static void
mixed10(struct worker *w)
{
    mixed(w, 10);
}

static void
owned(struct worker *w)
{
    struct object *o;

    slot_fill(w);
    TIMED_BLOCKS(w, wane_enter(); o = wane_get(&slot); w->sum += o->value[0]; wane_release(o); wane_leave(), (void)0);
}

/* ---- New objects, weak references, hand-overs ------------------------------------------------------------------- */

static void
churn(struct worker *w)
{
    worker_begin(w);
    wane_enter();
    for (uint64_t i = 0; i < w->n; i++) {
        struct object *o = object_new(i);

        escape(o);
        w->sum += o->value[0];
        wane_release(o);
        if (i % OBJECTS == 0)
            between_sections();
    }
    wane_leave();
    worker_end(w);
}

static void *weak;

static void
weak_get(struct worker *w)
{
    struct object *o;

    if (w->id == 0) {
        hot = object_new(1);
        weak = must(wane_weak(hot));
    }
    wane_enter();
    TIMED_BLOCKS(w, o = wane_weak_get(weak); w->sum += o->value[0]; wane_release(o), between_sections());
    wane_leave();
}

#include "ring_queue.h"

#define ADOPT(object) (void)wane_adopt(object)
#define GIVE(object) (void)wane_give(object)
#define COUNT(object) wane_retain(object)
#define UNCOUNT(object) wane_release(object)

static void
pipeline(struct worker *w)
{
    PIPELINE_OBJECTS(object_new(0), w);
    wane_enter();
    PIPELINE_LOOP(w, ADOPT, GIVE);
    wane_leave();
}

/* Each stage also counts, as one that keeps the object for a while. */
static void
pipeline_counted(struct worker *w)
{
    PIPELINE_OBJECTS(object_new(0), w);
    wane_enter();
    PIPELINE_LOOP(w, ADOPT(object); COUNT, UNCOUNT(object); GIVE);
    wane_leave();
}

/* ---- What it takes ---------------------------------------------------------------------------------------------- */

static void *
idle_thread(void *attach)
{
    if (attach) {
        wane_enter();
        wane_release(object_new(1));
        wane_leave();
    }
    pthread_barrier_wait(&stays);
    pthread_barrier_wait(&stays);
    return NULL;
}

static long
kb_of_threads(int count, void *attach)
{
    pthread_t *t = must(calloc((size_t)count, sizeof *t));
    long       before = status_kb("VmRSS"), after;

    pthread_barrier_init(&stays, NULL, (unsigned)count + 1);
    for (int i = 0; i < count; i++)
        if (pthread_create(&t[i], NULL, idle_thread, attach) != 0)
            exit(1);
    pthread_barrier_wait(&stays);
    after = status_kb("VmRSS");
    pthread_barrier_wait(&stays);
    for (int i = 0; i < count; i++)
        pthread_join(t[i], NULL);
    free(t);
    return after - before;
}

/* The first call, the first object; bytes of an object and of a thread. */
static void
footprint(int threads, uint64_t n, uint64_t size)
{
    uint64_t start = wall_ns(), entered, born;
    void   **o = must(malloc(n * sizeof *o));
    long     before, plain, attached;

    (void)size;
    start = wall_ns();
    wane_enter();
    entered = wall_ns();
    o[0] = object_new(1);
    born = wall_ns();
    wane_leave();
    plain = kb_of_threads(threads, NULL);
    attached = kb_of_threads(threads, &stays);
    memset(o, 1, n * sizeof *o);
    before = status_kb("VmRSS");
    for (uint64_t i = 0; i < n; i++)
        o[i] = object_new(i);
    extra(", \"header_bytes\": %zu", sizeof(struct wane_header));
    extra(", \"first_section_ns\": %llu, \"first_object_ns\": %llu, \"object_bytes\": %.1f, \"thread_bytes\": %.0f",
          (unsigned long long)(entered - start), (unsigned long long)(born - entered),
          (double)(status_kb("VmRSS") - before) * 1024 / (double)n, (double)(attached - plain) * 1024 / threads);
    peer.operations = peer.checksum = n;
    peer.ns = peer.cpu_ns = wall_ns() - start;
}

WORKERS(run_own_one, own_one)
WORKERS(run_own_many, own_many)
WORKERS(run_calls, calls)
WORKERS(run_foreign, foreign)
WORKERS(run_shared, shared)
WORKERS(run_section, section)
WORKERS(run_read, read_only)
WORKERS(run_mixed1, mixed1)
WORKERS(run_mixed10, mixed10)
WORKERS(run_owned, owned)
WORKERS(run_churn, churn)
WORKERS(run_weak, weak_get)
WORKERS(run_pipeline, pipeline)
WORKERS(run_pipeline_counted, pipeline_counted)

static const struct workload all[] = {
    {"own-one", run_own_one}, {"own-many", run_own_many}, {"calls", run_calls}, {"foreign", run_foreign},
    {"hot", run_shared}, {"unshared-hot", run_foreign}, {"section", run_section}, {"read", run_read},
    {"mixed1", run_mixed1}, {"mixed10", run_mixed10}, {"owned", run_owned}, {"churn", run_churn}, {"weak", run_weak},
    {"pipeline", run_pipeline}, {"counted-pipeline", run_pipeline_counted}, {"footprint", footprint},
};

PEER_MAIN(all)
