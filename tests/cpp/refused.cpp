// SPDX-License-Identifier: MIT
//
// refused.cpp - what must not compile: refused.py looks for an error, with the text, that leads to each line marked so
#include <wane/wane.hpp>

#include <string>

struct node {
    int              value;
    wane::slot<node> left, right;
};
template <> struct wane::traits<node> : wane::type<node, &node::left, &node::right> {};

struct undescribed {
    wane::slot<node> a;
};

struct not_a_slot {
    int value;
};
template <> struct wane::traits<not_a_slot> : wane::type<not_a_slot, &not_a_slot::value> {};

struct twice {
    wane::slot<node> a, b;
};
template <> struct wane::traits<twice> : wane::type<twice, &twice::a, &twice::b, &twice::a> {};

struct alignas(32) wide {
    wane::slot<node> a;
};
template <> struct wane::traits<wide> : wane::type<wide, &wide::a> {};

struct throws_at_end {
    wane::slot<node> a;
    ~throws_at_end() noexcept(false) {}
};
template <> struct wane::traits<throws_at_end> : wane::type<throws_at_end, &throws_at_end::a> {};

struct throws_at_begin {
    explicit throws_at_begin(const char *s) : name(s) {}
    std::string name;
};
template <> struct wane::traits<throws_at_begin> : wane::type<throws_at_begin> {};

struct named {
    std::string name;
};
template <> struct wane::traits<named> : wane::type<named> {};

struct elsewhere {};
template <> struct wane::traits<elsewhere> : wane::type<node> {};

struct flexible {
    wane::slot<node> a;
};
template <> struct wane::traits<flexible> : wane::sized<flexible, &flexible::a> {};

struct left_base {
    int l;
};
struct right_base {
    int r;
};
struct both : left_base, right_base {};
struct virtually : virtual left_base {};

template <class T> void use(T &&) {}

void
refused(wane::slot<node> &slot, wane::ref<node> &owned, const wane::ref<const node> &constant)
{
    wane::section inside;

    use(wane::make<undescribed>());               // refused: say which slots T has
    use(wane::make<not_a_slot>(1));               // refused: is no slot
    use(wane::make<twice>());                     // refused: a slot is named twice
    use(wane::make<wide>());                      // refused: aligned to 16 bytes, not more
    use(wane::make<throws_at_end>());             // refused: the destructor of an object must not throw
    use(wane::make<throws_at_begin>("x"));        // refused: this constructor may throw
    use(wane::make<named>("x"));                  // refused: this initialisation may throw
    use(wane::make<elsewhere>());                 // refused: these are the traits of another type
    use(wane::make<flexible>());                  // refused: are made by make_sized
    use(wane::make_sized<node>(8));               // refused: needs traits that inherit wane::sized
    use(wane::ref<right_base>(wane::ref<both>())); // refused: does not stand at the beginning
    use(wane::ref<left_base>(wane::ref<virtually>())); // refused: does not stand at the beginning
    use(wane::as<both>(wane::borrow<right_base>()));   // refused: a D is no T that begins with one
    use(slot.peek());                             // refused: no matching (member )?function
    use(slot.peek(wane::section()));              // refused: (use of|call to) deleted (member )?function
    slot.set(wane::make<node>(1));                // refused: deleted
    wane::borrow<node> dangling = slot.get();     // refused: deleted
    slot.put(owned);                              // refused: cannot bind|no viable|expects an rvalue
    slot.set(constant);                           // refused: could not convert|no viable|no matching|cannot convert
    wane::slot<node> second(slot);                // refused: deleted
    slot = owned;                                 // refused: no match for|no viable overloaded
    use(new wane::section);                       // refused: deleted
    use(new wane::borrow<node>());                // refused: deleted
    wane::section third(inside);                  // refused: deleted
    node *raw = owned;                            // refused: cannot convert|no viable conversion
    wane::ref<node> from_raw = raw;               // refused: conversion from|no viable conversion
    use(wane::ref<int>(owned));                   // refused: no match
    use(dangling), use(second), use(third), use(from_raw);
}
