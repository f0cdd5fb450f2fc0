// SPDX-License-Identifier: MIT
//
// observers.cpp - gauges and the panels that watch them: each knows the other, and nobody unsubscribes
//
// A gauge holds its panels, a panel holds the gauges that it shows, and the last panel knows the one before it weakly. Writers turn
// the gauges while panels come and are dropped: what is dropped is a ring of objects, which the collector finds. A gauge lets go
// of panels that are closed.
//
// usage: observers [ROUNDS]
#include <wane/wane.hpp>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace {

struct panel;

// One entry in a gauge's list of panels: never changed once it is there.
struct subscription {
    wane::slot<panel>        who;
    wane::slot<subscription> next;
};

struct gauge {
    explicit gauge(std::string n) noexcept : name(std::move(n)) {}

    std::string              name;
    std::atomic<long>        value{0};
    wane::slot<subscription> first;
};

struct panel {
    explicit panel(int n) noexcept : number(n) {}
    ~panel() { closed_panels++; }

    int                    number;
    std::atomic<bool>      closed{false};
    std::atomic<long>      seen{0};
    wane::slot<gauge>      shows[2];
    wane::weak_slot<panel> before;

    static inline std::atomic<long> closed_panels{0};
};

} // namespace

template <> struct wane::traits<subscription> : wane::type<subscription, &subscription::who, &subscription::next> {};
template <> struct wane::traits<gauge> : wane::type<gauge, &gauge::first> {};
template <> struct wane::traits<panel> : wane::type<panel, &panel::shows, &panel::before> {};

namespace {

wane::root<gauge> gauges[2]; // what threads share
wane::root<panel> current;

// In front of the list; others may do the same.
bool
subscribe(wane::borrow<gauge> to, wane::borrow<panel> who)
{
    wane::section inside;
    auto          entry = wane::make<subscription>();

    if (!entry)
        return false;
    entry->who.set(who);
    for (;;) {
        auto first = to->first.peek(inside);
        entry->next.set_private(first);
        if (to->first.cas_put(first, std::move(entry)))
            return true;
    }
}

// Tell everybody; closed panels at the front of the list go.
void
turn(wane::borrow<gauge> g, long value)
{
    wane::section inside;

    g->value.store(value, std::memory_order_relaxed);
    for (auto s = g->first.peek(inside); s; s = s->next.peek(inside)) {
        auto who = s->who.peek(inside);
        if (!who->closed)
            who->seen++;
        else if (s == g->first.peek(inside))
            g->first.cas(s, s->next.peek(inside));
    }
}

void
keep_turning(int which, long rounds)
{
    auto g = gauges[which].get();

    for (long i = 0; i < rounds; i++)
        turn(g, i);
}

bool
open_panel(int number)
{
    auto p = wane::make<panel>(number);

    if (!p)
        return false;
    for (int i = 0; i < 2; i++) {
        auto g = gauges[i].get();
        p->shows[i].set(g);
        if (!subscribe(g, p))
            return false;
    }
    auto before = current.swap(wane::ref<panel>(p));
    if (before)
        before->closed = true;
    wane::weak<panel> known((wane::borrow<panel>(before)));
    if (known)
        p->before.put(std::move(known));
    return true;
}

} // namespace

int
main(int argc, char **argv)
{
    long rounds = argc > 1 ? std::atol(argv[1]) : 20000;

    for (int i = 0; i < 2; i++)
        gauges[i].put(wane::make<gauge>(std::string("gauge ") + std::to_string(i)));
    if (!gauges[0].get() || !gauges[1].get())
        return 1;

    std::vector<std::thread> writers;
    for (int i = 0; i < 2; i++)
        writers.emplace_back(keep_turning, i, rounds);
    int opened = 0;
    while (opened < 200 && open_panel(opened))
        opened++;
    for (auto &w : writers)
        w.join();

    auto last = current.take();
    auto name = last->shows[1].get()->name;
    std::printf("panel %d shows %s\n", last->number, name.c_str());
    last = nullptr;
    for (auto &g : gauges)
        g.clear(); // rings of gauges, subscriptions and panels: nobody holds them
    if (wane_collect(WANE_ALL, nullptr) != 0)
        return 1;
    int left = wane_shutdown();
    std::printf("%d panels opened, %ld closed\n", opened, panel::closed_panels.load());
    return left == 0 && opened == panel::closed_panels ? 0 : 1;
}
