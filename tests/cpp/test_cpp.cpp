// SPDX-License-Identifier: MIT
//
// test_cpp.cpp - wane.hpp: what references, slots, sections, weak references and descriptions do, counted by what is destroyed
//
// Compiled as C++17 and C++20, with and without exceptions and RTTI. Every test ends with nothing alive.
#include <wane/memory.h>
#include <wane/wane.hpp>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#define REQUIRE(what) ((what) ? (void)0 : fail(#what, __LINE__))

namespace {

[[noreturn]] void
fail(const char *what, int line)
{
    std::fprintf(stderr, "test_cpp.cpp:%d: not so: %s\n", line, what);
    std::abort();
}

std::atomic<long> alive{0};

struct counted {
    counted() noexcept { alive++; }
    counted(const counted &) = delete;
    counted &operator=(const counted &) = delete;
    ~counted() { alive--; }
};

struct node {
    int              value;
    wane::slot<node> left, right;
    counted          life;
};

// All that is garbage by now, cycles too, is destroyed.
long
left_alive()
{
    REQUIRE(wane_barrier() == 0 && wane_collect(WANE_ALL, nullptr) == 0 && wane_barrier() == 0);
    return alive;
}

} // namespace

template <> struct wane::traits<node> : wane::type<node, &node::left, &node::right> {};

// ---- Before main ----

namespace {

wane::root<node> early = {}; // constant: there before the constructor of anything
struct starter {
    starter()
    {
        auto n = wane::make<node>(42);
        REQUIRE(n);
        n->left.set(n);
        early.put(std::move(n));
    }
} starts;

void
test_early()
{
    REQUIRE(early.get()->value == 42 && left_alive() == 1);
    early.clear();
    REQUIRE(left_alive() == 0);
}

// ---- References ----

void
test_refs()
{
    auto a = wane::make<node>(1), b = wane::make<node>(2);
    REQUIRE(a && b && alive == 2 && a->value == 1 && a.is_unique());

    wane::ref<node> copy = a;
    REQUIRE(copy == a && copy != b && !a.is_unique());
    wane::ref<node> moved = std::move(copy);
    REQUIRE(!copy && moved == a); // NOLINT: a moved ref is empty
    moved = b;
    REQUIRE(a.is_unique() && moved == b);
    moved = *&moved;
    moved = std::move(*&moved);
    REQUIRE(moved == b && !b.is_unique());
    moved = nullptr;
    REQUIRE(!moved && b.is_unique());

    node *raw = a.steal();
    REQUIRE(!a && alive == 2);
    a = wane::ref<node>::own(raw);
    a.exchange(b);
    REQUIRE(a->value == 2 && b->value == 1);
    REQUIRE(a.give() == 0);
    a.adopt();
    REQUIRE(a.is_unique());

    const wane::ref<const node> constant = a;
    REQUIRE(constant == a && !a.is_unique());
    wane::ref<node> inside = wane::retain(*b);
    REQUIRE(inside == b);
}

void
test_death()
{
    {
        auto a = wane::make<node>(1);
        wane::ref<void> anything = a;
        a = nullptr;
        REQUIRE(alive == 1);
    }
    REQUIRE(left_alive() == 0);
}

// ---- Slots ----

void
test_slots()
{
    wane::root<node> place;
    auto a = wane::make<node>(1), b = wane::make<node>(2);

    place.set(a);
    REQUIRE(!a.is_unique());
    {
        wane::section inside;
        wane::borrow<node> seen = place.peek(inside);
        REQUIRE(seen == wane::borrow<node>(a) && seen->value == 1 && (*seen).value == 1);
        wane::ref<node> kept = seen.retain();
        REQUIRE(a == kept && a == seen);
        inside.checkpoint();
    }
    REQUIRE(!place.cas(b, b) && place.cas(a, b) && place.get() == b);
    REQUIRE(!place.cas_put(a, std::move(a)) && a);
    REQUIRE(place.cas_put(b, std::move(a)) && !a); // NOLINT: empty exactly if it was stored
    wane::ref<node> old = place.swap(std::move(b));
    REQUIRE(old->value == 1 && !b); // NOLINT
    REQUIRE(place.take()->value == 2 && !place.take() && !place.get());
    place.put(std::move(old));
    place.set(nullptr);
    REQUIRE(!place.get());

    auto c = wane::make<node>(3);
    c->left.put_private(wane::make<node>(4));
    wane::ref<node> d = c->left.get();
    c->right.set_private(d);
    d = nullptr;
    REQUIRE(c->left.take_private()->value == 4 && !c->left.get());
    c->right.clear_private();
    REQUIRE(left_alive() == 1);
    place.put(std::move(c)); // dropped by the root's end
}

void
test_cycles()
{
    for (int i = 0; i < 100; i++) {
        auto a = wane::make<node>(1), b = wane::make<node>(2);
        a->left.set(b);
        a->right.set(a);
        b->right.set(a);
    }
    REQUIRE(left_alive() == 0);
}

} // namespace

// ---- Descriptions ----

namespace {

struct many {
    std::string      name;
    wane::slot<node> edges[3];
    wane::slot<many> grid[2][2];
    counted          life;
};

struct shown {
    wane::slot<shown>  first;
    std::size_t        length;
    wane::slot<shown> *more() { return reinterpret_cast<wane::slot<shown> *>(this + 1); }
    void               trace(wane::visitor visit) const { visit(const_cast<shown *>(this)->more(), length); }
    counted            life;
};

struct hidden {
    int  value() const noexcept { return value_; }
    void link(const wane::ref<hidden> &to) noexcept { next_.set(to); }
    explicit hidden(int v) noexcept : value_(v) {}

  private:
    friend struct wane::traits<hidden>;
    int                value_;
    wane::slot<hidden> next_;
    counted            life_;
};

struct chained {
    wane::slot<chained> next;
    counted             life;
};

} // namespace

template <> struct wane::traits<many> : wane::type<many, &many::grid, &many::edges> {};
template <> struct wane::traits<shown> : wane::sized<shown, &shown::first> {};
template <> struct wane::traits<hidden> : wane::type<hidden, &hidden::next_> {};
template <> struct wane::traits<chained> : wane::acyclic<chained, &chained::next> {};

namespace {

void
test_descriptions()
{
    const wane_type &type = wane::traits<many>::wane_description::type;
    REQUIRE(type.slot_count == 7 && type.slots[0] == offsetof(many, grid) && type.slots[3] == offsetof(many, grid) + 24);
    REQUIRE(type.slots[4] == offsetof(many, edges) && type.size == sizeof(many) && std::strstr(type.name, "many"));

    auto m = wane::make<many>(std::string(100, 'x')), n = wane::make<many>();
    REQUIRE(m->name.size() == 100 && n->name.empty());
    m->grid[1][1].set(n);
    n->grid[0][1].set(m);
    m->edges[2].put(wane::make<node>(1));
    auto s = wane::make_sized<shown>(5 * sizeof(wane_slot)), t = wane::make_sized<shown>(0);
    s->length = 5;
    new (s->more()) wane::slot<shown>[5];
    s->more()[4].set(s);
    s->first.set(t);
    auto h = wane::make<hidden>(7);
    REQUIRE(s && t && h);
    h->link(h);
    REQUIRE(h->value() == 7 && left_alive() == 6);
    m = n = nullptr;
    REQUIRE(left_alive() == 3);
    h = nullptr;
    s = t = nullptr;
    REQUIRE(left_alive() == 0);
    REQUIRE(!wane::make_sized<shown>(SIZE_MAX - 8));

    REQUIRE(wane::traits<chained>::wane_description::type.flags == WANE_ACYCLIC);
    auto c = wane::make<chained>();
    for (int i = 0; i < 10; i++) {
        auto before = wane::make<chained>();
        before->next.put(std::move(c));
        c = std::move(before);
    }
    REQUIRE(left_alive() == 11);
    c = nullptr;
    REQUIRE(left_alive() == 0);
}

// ---- Bases ----

struct shape {
    virtual ~shape() = default;
    virtual int        sides() const { return 0; }
    wane::slot<shape>  next;
};
struct square : shape {
    int     sides() const override { return 4; }
    counted life;
};
struct triangle : shape {
    int     sides() const override { return 3; }
    counted life;
};

} // namespace

template <> struct wane::traits<square> : wane::type<square, &square::next> {};
template <> struct wane::traits<triangle> : wane::type<triangle, &shape::next> {};

namespace {

void
test_bases()
{
    wane::ref<square> s = wane::make<square>();
    wane::ref<shape>  a = s, b = wane::make<triangle>();
    REQUIRE(a->sides() == 4 && b->sides() == 3);
    a->next.set(b);
    b->next.set(s);
    wane::section inside;
    wane::borrow<shape> seen = b->next.peek(inside);
    REQUIRE(wane::as<square>(seen) == wane::borrow<square>(s) && !wane::as<triangle>(seen));
    REQUIRE(wane::as<triangle>(a->next.peek(inside))->sides() == 3);
    REQUIRE(!wane::as<square>(wane::borrow<shape>(nullptr)));
}

// ---- Weak references ----

struct observer {
    wane::weak_slot<node> target;
    counted               life;
};

} // namespace

template <> struct wane::traits<observer> : wane::type<observer, &observer::target> {};

namespace {

void
test_weak()
{
    auto n = wane::make<node>(1);
    auto o = wane::make<observer>();
    static int told = 0;

    wane::weak<node> w(n), none, also(n);
    REQUIRE(w && !none && w == also && w != none && !none.get());
    REQUIRE(w.get() == n && !o->target.get());
    REQUIRE(w.notify([](void *, void *arg) { ++*static_cast<int *>(arg); }, &told) == 0);
    o->target.set(w);
    REQUIRE(o->target.get() == n && o->target.get_weak() == w);
    n->left.set(n);
    n = nullptr;
    REQUIRE(left_alive() == 1 && told == 1);
    REQUIRE(!w.get() && !o->target.get());
    o->target.put(std::move(w));
}

// ---- Finalizers ----

struct phoenix {
    wane::slot<phoenix> self;
    counted             life;
    void                finalize(wane::finalizing) noexcept;
};

} // namespace

template <> struct wane::traits<phoenix> : wane::type<phoenix, &phoenix::self> {};

namespace {

wane::root<phoenix> nest;
void
phoenix::finalize(wane::finalizing) noexcept
{
    nest.set(wane::borrow<phoenix>(this));
}

void
test_finalize()
{
    auto p = wane::make<phoenix>();
    p->self.set(p);
    p = nullptr;
    REQUIRE(wane_use_threads(false) == 0);
    REQUIRE(left_alive() == 1 && wane_run_finalizers() == 1);
    REQUIRE(nest.get() && left_alive() == 1);
    nest.clear();
    REQUIRE(left_alive() == 0);
    REQUIRE(wane_use_threads(true) == 0);
}

// ---- Memory runs out ----

void
test_no_memory()
{
    std::string name(100, 'x');
    std::vector<wane::ref<node>> kept;
    REQUIRE(wane_budget(0, 4096) == 0);
    do
        kept.push_back(wane::make<node>());
    while (kept.back());
    auto m = wane::make<many>(std::move(name));
    REQUIRE(!m && name.size() == 100); // NOLINT: arguments are as they were
    REQUIRE(!wane::make_sized<shown>(8));
    REQUIRE(!wane::weak<node>(wane::borrow<node>(nullptr)));
    REQUIRE(wane_budget(0, 0) == 0);
    REQUIRE(wane::make<many>(std::move(name)));
}

// ---- Threads ----

struct message {
    long                number, check;
    wane::slot<message> before;
    counted             life;
};

} // namespace

template <> struct wane::traits<message> : wane::type<message, &message::before> {};

namespace {

wane::root<message> board;

void
post(long from, long count)
{
    for (long i = from; i < from + count; i++) {
        auto m = wane::make<message>(i, ~i);
        wane::ref<message> before = board.get();
        m->before.set(before);
        if (before)
            before->before.put(std::move(m)); // a ring, if nobody comes between
        else
            board.put(std::move(m));
        if (i % 4 == 0)
            board.put(wane::make<message>(i, ~i));
    }
}

void
look(long count)
{
    wane::section inside;
    for (long i = 0; i < count; i++) {
        wane::borrow<message> m = board.peek(inside);
        for (int steps = 0; m && steps < 8; steps++) {
            REQUIRE(m->check == ~m->number);
            m = m->before.peek(inside);
        }
        inside.checkpoint();
    }
}

void
test_threads()
{
    std::vector<std::thread> threads;
    for (long i = 0; i < 2; i++) {
        threads.emplace_back(post, i * 100000, 3000);
        threads.emplace_back(look, 3000);
    }
    for (auto &t : threads)
        t.join();
    board.clear();
    REQUIRE(left_alive() == 0);
}

} // namespace

int
main()
{
    static void (*const tests[])() = {test_early, test_refs,  test_death,    test_slots,     test_cycles, test_descriptions,
                                      test_bases, test_weak,  test_finalize, test_no_memory, test_threads};
    for (auto *test : tests) {
        test();
        REQUIRE(left_alive() == 0);
    }
    std::printf("%zu tests\n", sizeof tests / sizeof tests[0]);
    return wane_shutdown();
}
