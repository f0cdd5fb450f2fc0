// SPDX-License-Identifier: MIT
//
// shared_ptr.cpp - std::shared_ptr, std::weak_ptr, std::atomic<std::shared_ptr>, and a shared_ptr under a mutex ("mutex-")
//
// Links with threads and starts one before it measures: libstdc++ counts without atomics in programs of one thread.
#include <atomic>
#include <memory>
#include <mutex>
#include <utility>

#include "peer.h"

struct object {
    uint64_t value[4];
};

using ref = std::shared_ptr<object>;

static ref
object_new(uint64_t value)
{
    ref o = std::make_shared<object>();

    o->value[0] = value;
    return o;
}

static void
objects_make(ref *o)
{
    for (uint64_t i = 0; i < OBJECTS; i++)
        o[i] = object_new(i + 1);
}

static inline void
pair(const ref &o)
{
    ref copy = o;

    escape(&copy);
}

static void
own_one(struct worker *w)
{
    ref o[OBJECTS];

    objects_make(o);
    TIMED_BLOCKS(w, pair(o[0]), w->sum += o[block % OBJECTS]->value[0]);
}

static void
own_many(struct worker *w)
{
    ref o[OBJECTS];

    objects_make(o);
    TIMED_BLOCKS(w, pair(o[i]), w->sum += o[block % OBJECTS]->value[0]);
}

static ref hot;

static void
foreign(struct worker *w)
{
    if (w->id == 0)
        hot = object_new(7);
    TIMED_BLOCKS(w, pair(hot), w->sum += hot->value[0]);
}

// ---- A shared place -----------------------------------------------------------------------------------------------

static std::atomic<ref> slot;
static std::mutex       lock;
static ref              locked;

static void
slot_fill(const struct worker *w)
{
    if (w->id == 0) {
        slot.store(object_new(1));
        locked = object_new(1);
    }
}

static ref
slot_load(bool with_mutex)
{
    if (!with_mutex)
        return slot.load();
    std::lock_guard<std::mutex> guard(lock);
    return locked;
}

static void
slot_store(bool with_mutex, ref o)
{
    if (!with_mutex) {
        slot.store(std::move(o));
        return;
    }
    std::lock_guard<std::mutex> guard(lock);
    locked.swap(o);
}

static void
mixed(struct worker *w, uint64_t every, bool with_mutex)
{
    slot_fill(w);
    worker_begin(w);
    for (uint64_t left = every, i = 0; i < w->n; i++)
        if (every && --left == 0) {
            slot_store(with_mutex, object_new(1));
            w->sum++;
            left = every;
        } else {
            w->sum += slot_load(with_mutex)->value[0];
        }
    worker_end(w);
}

// ---- Memory ----------------------------------------------------------------------------------------------------------

static void
churn(struct worker *w)
{
    worker_begin(w);
    for (uint64_t i = 0; i < w->n; i++) {
        ref o = object_new(i);

        escape(o.get());
        w->sum += o->value[0];
    }
    worker_end(w);
}

static std::weak_ptr<object> weak;

static void
weak_get(struct worker *w)
{
    if (w->id == 0) {
        hot = object_new(1);
        weak = hot;
    }
    TIMED_BLOCKS(w, w->sum += weak.lock()->value[0], (void)0);
}

struct node {
    uint64_t              value = 0;
    std::shared_ptr<node> a, b;
};

using tree_ref = std::shared_ptr<node>;

static tree_ref
tree_new(unsigned depth)
{
    tree_ref n = std::make_shared<node>();

    n->value = 1;
    if (depth) {
        n->a = tree_new(depth - 1);
        n->b = tree_new(depth - 1);
    }
    return n;
}

static uint64_t
tree_count(const tree_ref &n)
{
    return n->value + (n->a ? tree_count(n->a) + tree_count(n->b) : 0);
}

static void
tree_drop(tree_ref &n)
{
    n.reset();
}

static tree_ref
list_new(uint64_t n)
{
    tree_ref head;

    while (n--) {
        tree_ref one = std::make_shared<node>();

        one->a = std::move(head);
        head = std::move(one);
    }
    return head;
}

static void
list_drop(tree_ref &n)
{
    n.reset();
}

static void
settle(void)
{
}

static bool
gone(void)
{
    return true;
}

#include "heap.h"

// ---- Pipeline -----------------------------------------------------------------------------------------------------------

static constexpr unsigned QUEUE = 256, AROUND = 128, MOST_STAGES = 64;

struct queue {
    alignas(64) std::atomic<uint64_t> head{0};
    alignas(64) std::atomic<uint64_t> tail{0};
    alignas(64) ref item[QUEUE];

    void push(ref o)
    {
        uint64_t at = tail.load(std::memory_order_relaxed);

        item[at % QUEUE] = std::move(o);
        tail.store(at + 1, std::memory_order_release);
    }

    ref pop()
    {
        uint64_t at = head.load(std::memory_order_relaxed);

        while (tail.load(std::memory_order_acquire) == at)
            sched_yield();
        ref o = std::move(item[at % QUEUE]);
        head.store(at + 1, std::memory_order_release);
        return o;
    }
};

static queue queues[MOST_STAGES];

static void
pipeline(struct worker *w)
{
    if (w->id == 0)
        for (unsigned i = 0; i < AROUND; i++)
            queues[0].push(object_new(0));
    worker_begin(w);
    for (uint64_t i = 0; i < w->n; i++) {
        ref o = queues[w->id].pop();

        o->value[0]++;
        queues[(w->id + 1) % w->threads].push(std::move(o));
    }
    worker_end(w);
    pthread_barrier_wait(&peer.ready);
    for (int k = 0; w->id == 0 && k < w->threads; k++)
        while (queues[k].head != queues[k].tail)
            w->sum += queues[k].pop()->value[0];
}

static void read_atomic(struct worker *w) { mixed(w, 0, false); }
static void read_mutex(struct worker *w) { mixed(w, 0, true); }
static void mixed1_atomic(struct worker *w) { mixed(w, 100, false); }
static void mixed1_mutex(struct worker *w) { mixed(w, 100, true); }
static void mixed10_atomic(struct worker *w) { mixed(w, 10, false); }
static void mixed10_mutex(struct worker *w) { mixed(w, 10, true); }

WORKERS(run_own_one, own_one)
WORKERS(run_own_many, own_many)
WORKERS(run_foreign, foreign)
WORKERS(run_read, read_atomic)
WORKERS(run_read_mutex, read_mutex)
WORKERS(run_mixed1, mixed1_atomic)
WORKERS(run_mixed1_mutex, mixed1_mutex)
WORKERS(run_mixed10, mixed10_atomic)
WORKERS(run_mixed10_mutex, mixed10_mutex)
WORKERS(run_churn, churn)
WORKERS(run_weak, weak_get)
WORKERS(run_pipeline, pipeline)

static const struct workload all[] = {
    {"own-one", run_own_one}, {"own-many", run_own_many}, {"foreign", run_foreign}, {"hot", run_foreign},
    {"read", run_read}, {"owned", run_read}, {"mixed1", run_mixed1}, {"mixed10", run_mixed10},
    {"mutex-read", run_read_mutex}, {"mutex-mixed1", run_mixed1_mutex}, {"mutex-mixed10", run_mixed10_mutex},
    {"mutex-owned", run_read_mutex},
    {"churn", run_churn}, {"weak", run_weak}, {"pipeline", run_pipeline}, HEAP_WORKLOADS,
};

static void *
nothing(void *unused)
{
    return unused;
}

int
main(int argc, char **argv)
{
    pthread_t first;

    pthread_create(&first, NULL, nothing, NULL);
    pthread_join(first, NULL);
    return peer_main(argc, argv, all, sizeof all / sizeof all[0]);
}
