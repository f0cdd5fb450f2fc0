// SPDX-License-Identifier: MIT
//
// cost.cpp - the functions of cost.c, said in C++
#include <wane/wane.hpp>

#include <utility>

struct node {
    long             value;
    wane::slot<node> left, right;
};
template <> struct wane::traits<node> : wane::type<node, &node::left, &node::right> {};

extern "C" {
void touch(node *object) noexcept;

long
sum_list(const wane::slot<node> *head)
{
    wane::section inside;
    long          sum = 0;

    for (auto n = head->peek(inside); n; n = n->right.peek(inside))
        sum += n->value;
    return sum;
}

long
read_one(const wane::slot<node> *place)
{
    wane::section inside;
    auto          n = place->peek(inside);

    return n ? n->value : 0;
}

void
keep(wane::slot<node> *place, wane::borrow<node> lent)
{
    place->put(lent.retain());
}

long
take_one(wane::slot<node> *place)
{
    auto n = place->take();

    return n ? n->value : 0;
}

void
turn(wane::borrow<node> lent)
{
    lent->left.put(lent->right.swap(lent->left.get()));
}

bool
push(wane::slot<node> *head, wane::borrow<node> lent)
{
    wane::section inside;
    auto          first = head->peek(inside);

    lent->right.set(first);
    return head->cas(first, lent);
}

void
count(wane::borrow<node> lent)
{
    wane::ref<node> own(lent);

    touch(own.pointer());
}

void
move(wane::slot<node> *from, wane::slot<node> *to)
{
    to->put(from->take());
}

long
upgrade(wane::weak<node> *weak)
{
    auto n = weak->get();

    return n ? n->value : 0;
}

bool
born(wane::slot<node> *place, long value)
{
    auto n = wane::make<node>(value);

    if (!n)
        return false;
    place->put(std::move(n));
    return true;
}
}
