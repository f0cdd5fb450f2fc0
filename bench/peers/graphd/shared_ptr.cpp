// SPDX-License-Identifier: MIT
//
// shared_ptr.cpp - examples/graphd/heap.h over std::shared_ptr: what a careful C++ program does without a collector
//
// A look takes the mutex of the stripe, copies the pointer, and lets go; a value lives as long as somebody holds a copy. What is
// displaced is destroyed after the lock is given back. Nodes that link each other are never destroyed: with weak pointers one way
// round, nodes would go that an edge still leads to, and that is not what the server promises.
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <malloc.h>
#include <memory>
#include <mutex>
#include <new>
#include <string>
#include <string_view>
#include <unistd.h>
#include <unordered_map>
#include <utility>
#include <vector>

#include "heap.h"
#include "stripe.h"

using ref = std::shared_ptr<value>;

static_assert(sizeof(ref) == sizeof(loan::own), "a loan holds one");

struct hasher {
    using is_transparent = void;
    size_t operator()(std::string_view s) const { return std::hash<std::string_view>()(s); }
};

using table = std::unordered_map<std::string, ref, hasher, std::equal_to<>>;

static std::atomic<size_t> alive[SPACE + 1];

struct text {
    value       head{0, 0, TEXT};
    std::string bytes;
};

struct dict {
    value               head;
    unsigned            stripe;
    std::string         name;
    table               map;
    std::atomic<size_t> count{0};

    dict(enum kind kind, const char *n, size_t size, unsigned s) : head{0, 0, (uint32_t)kind}, stripe(s), name(n, size)
    {
        alive[kind].fetch_add(1, std::memory_order_relaxed);
    }
    ~dict() { alive[head.kind].fetch_sub(1, std::memory_order_relaxed); }
};

static size_t (*evict_some)(size_t bytes);
static size_t     most_bytes;
static std::mutex helping;

static thread_local std::vector<ref>   displaced;
static thread_local std::vector<table> displaced_tables;

static ref &
held(struct loan *l)
{
    return *std::launder(reinterpret_cast<ref *>(l->own));
}

static void
lend(struct loan *out, ref r)
{
    out->value = r.get();
    new (out->own) ref(std::move(r));
}

static const dict *
as_dict(const value *v)
{
    return reinterpret_cast<const dict *>(v);
}

static dict *
as_dict(value *v)
{
    return reinterpret_cast<dict *>(v);
}

extern "C" {

bool
heap_open(void)
{
    return true;
}

bool
heap_limit(size_t most, size_t (*evict)(size_t bytes))
{
    most_bytes = most;
    evict_some = evict;
    return true;
}

int
heap_close(void)
{
    size_t left = 0;

    for (auto &n : alive)
        left += n.load();
    return (int)left;
}

void
heap_thread_begin(void)
{
}

void
heap_thread_end(void)
{
}

void
heap_enter(void)
{
}

void
heap_leave(void)
{
    displaced.clear();
    displaced_tables.clear();
}

size_t
heap_used(void)
{
    struct mallinfo2 info = mallinfo2();

    return info.uordblks + info.hblkhd;
}

void
heap_tend(void)
{
    if (most_bytes == 0 || heap_used() <= most_bytes)
        return;
    std::lock_guard<std::mutex> guard(helping);
    size_t used = heap_used();

    if (used > most_bytes)
        evict_some(used - most_bytes);
}

void
heap_collect(void)
{
}

const char *
heap_name(void)
{
    return "std::shared_ptr";
}

size_t
heap_alive(enum kind kind)
{
    return kind == TEXT ? SIZE_MAX : alive[kind].load();
}

void
heap_report(int fd, bool json)
{
    dprintf(fd, json ? "{\"used\": %zu}\n" : "# TYPE used gauge\nused %zu\n# EOF\n", heap_used());
}

void *
heap_room(size_t bytes)
{
    return calloc(1, bytes);
}

void
heap_room_free(void *room)
{
    free(room);
}

void
loan_copy(struct loan *to, const struct loan *from)
{
    lend(to, held(const_cast<struct loan *>(from)));
}

void
loan_keep(struct loan *)
{
}

void
loan_drop(struct loan *loan)
{
    held(loan).~ref();
}

bool
text_new(size_t size, struct loan *out, char **bytes)
{
    auto t = std::make_shared<text>();

    t->bytes.resize(size);
    *bytes = t->bytes.data();
    lend(out, ref(t, &t->head));
    return true;
}

const char *
text_bytes(const struct value *v, size_t *size)
{
    auto t = reinterpret_cast<const text *>(v);

    *size = t->bytes.size();
    return t->bytes.data();
}

bool
dict_new(enum kind kind, const char *name, size_t name_size, unsigned stripe, struct loan *out)
{
    auto d = std::make_shared<dict>(kind, name, name_size, stripe);

    lend(out, ref(d, &d->head));
    return true;
}

const char *
dict_name(const struct value *v, size_t *size)
{
    *size = as_dict(v)->name.size();
    return as_dict(v)->name.data();
}

unsigned
dict_stripe(const struct value *v)
{
    return as_dict(v)->stripe;
}

size_t
dict_count(const struct value *v)
{
    return as_dict(v)->count.load(std::memory_order_relaxed);
}

bool
dict_find(const struct value *v, const char *key, size_t size, struct loan *out)
{
    auto found = as_dict(v)->map.find(std::string_view(key, size));

    if (found == as_dict(v)->map.end())
        return false;
    lend(out, found->second);
    return true;
}

bool
dict_get(const struct value *v, const char *key, size_t size, struct loan *out)
{
    bool found;

    stripe_lock(as_dict(v)->stripe);
    found = dict_find(v, key, size, out);
    stripe_unlock(as_dict(v)->stripe);
    return found;
}

bool
dict_put(struct value *v, const char *key, size_t size, struct loan *loan)
{
    dict *d = as_dict(v);
    auto  found = d->map.find(std::string_view(key, size));

    if (found == d->map.end()) {
        d->map.emplace(std::string(key, size), held(loan));
        d->count.store(d->map.size(), std::memory_order_relaxed);
    } else {
        displaced.push_back(std::move(found->second));
        found->second = held(loan);
    }
    return true;
}

bool
dict_remove(struct value *v, const char *key, size_t size)
{
    dict *d = as_dict(v);
    auto  found = d->map.find(std::string_view(key, size));

    if (found == d->map.end())
        return false;
    displaced.push_back(std::move(found->second));
    d->map.erase(found);
    d->count.store(d->map.size(), std::memory_order_relaxed);
    return true;
}

void
dict_clear(struct value *v)
{
    dict *d = as_dict(v);

    displaced_tables.push_back(std::move(d->map));
    d->map = table();
    d->count.store(0, std::memory_order_relaxed);
}

void
dict_each(const struct value *v, dict_visitor *fn, void *arg)
{
    const dict *d = as_dict(v);
    struct loan loan;
    bool        more = true;

    stripe_lock(d->stripe);
    for (auto at = d->map.begin(); more && at != d->map.end(); ++at) {
        lend(&loan, at->second);
        more = fn(at->first.data(), at->first.size(), &loan, arg);
        loan_drop(&loan);
    }
    stripe_unlock(d->stripe);
}
}
