/* SPDX-License-Identifier: MIT
 *
 * layout.hpp - what wane.hpp finds out about types while they are compiled: where slots are, names, bases
 *
 * Included by wane.hpp; not for programs. Everything here is a constant: a type's description is complete before the first
 * constructor of a static object runs, and costs nothing to look up.
 */
#ifndef WANE_LAYOUT_HPP
#define WANE_LAYOUT_HPP

#include <cstddef>
#include <cstdint>
#include <type_traits>

namespace wane {

template <class T> class slot;
template <class T> class weak_slot;

namespace detail {

#ifdef __clang__
#pragma clang diagnostic push
#pragma clang diagnostic ignored "-Wundefined-var-template"
#pragma clang diagnostic ignored "-Wundefined-internal"
#endif

template <class> inline constexpr bool never = false;

/* Never defined: what is asked for is where its parts are. */
template <class T> union parts {
    parts();
    ~parts();
    T              object;
    std::uintptr_t words[(sizeof(T) + 7) / 8];
};
template <class T> struct nowhere {
    static parts<T> place;
};

template <class T> inline constexpr bool is_slot = false;
template <class T> inline constexpr bool is_slot<slot<T>> = true;
template <class T> inline constexpr bool is_slot<weak_slot<T>> = true;

template <class Member> struct member_type;
template <class T, class M> struct member_type<M T::*> {
    using type = M;
};

/* How many slots a member has: 1, the length of an array, or 0 if it is none. */
template <auto Member> constexpr std::size_t
slots_of()
{
    using type = typename member_type<decltype(Member)>::type;
    using one = std::remove_all_extents_t<type>;
    return is_slot<one> ? sizeof(type) / sizeof(one) : 0;
}

template <class T, auto Member> constexpr std::uint32_t
offset_of()
{
    for (std::uint32_t i = 0; i < sizeof(T) / 8; i++)
        if (static_cast<const void *>(&nowhere<T>::place.words[i]) ==
            static_cast<const void *>(&(nowhere<T>::place.object.*Member)))
            return i * 8;
    return UINT32_MAX;
}

template <std::size_t N> struct offsets {
    std::uint32_t at[N ? N : 1] = {};
};

template <class T, auto... Members> constexpr auto
offsets_of()
{
    offsets<(slots_of<Members>() + ... + 0)> all{};
    std::size_t n = 0;

    auto add = [&](std::uint32_t offset, std::size_t count) {
        for (std::size_t i = 0; i < count; i++)
            all.at[n++] = offset + static_cast<std::uint32_t>(i * sizeof(wane_slot));
    };
    (add(offset_of<T, Members>(), slots_of<Members>()), ...);
    return all;
}

template <std::size_t N> constexpr bool
differ(const offsets<N> &all)
{
    for (std::size_t i = 0; i < N; i++)
        for (std::size_t j = i + 1; j < N; j++)
            if (all.at[i] == all.at[j])
                return false;
    return true;
}

/* The name of T, out of the compiler's name of this function. */
template <class T> constexpr const char *
signature()
{
    return __PRETTY_FUNCTION__;
}

template <class T> struct name {
    struct range {
        std::size_t from, to;
    };
    static constexpr range where()
    {
        const char *s = signature<T>();
        std::size_t from = 0, to = 0;

        while (!(s[from] == 'T' && s[from + 1] == ' ' && s[from + 2] == '=' && s[from + 3] == ' '))
            from++;
        for (to = from + 4; s[to + 1]; to++)
            ;
        return {from + 4, to};
    }
    struct letters {
        char at[where().to - where().from + 1] = {};
    };
    static constexpr letters make()
    {
        letters l{};

        for (std::size_t i = where().from; i < where().to; i++)
            l.at[i - where().from] = signature<T>()[i];
        return l;
    }
    static constexpr letters text = make();
};

/* Does a To stand at the beginning of each From, so that the pointer is the object's address still? */
template <class From, class To, class = void> inline constexpr bool has_way_back = false; /* virtual or ambiguous bases have none */
template <class From, class To>
inline constexpr bool has_way_back<From, To, std::void_t<decltype(static_cast<From *>(static_cast<To *>(nullptr)))>> = true;

template <class From, class To> constexpr bool
begins_with()
{
    using F = std::remove_cv_t<From>;
    using B = std::remove_cv_t<To>;
    if constexpr (std::is_same_v<F, B> || std::is_void_v<B>)
        return true;
    else if constexpr (!has_way_back<F, B>)
        return false;
    else
        return static_cast<const void *>(static_cast<const B *>(&nowhere<F>::place.object)) ==
               static_cast<const void *>(&nowhere<F>::place.object);
}

#ifdef __clang__
#pragma clang diagnostic pop
#endif

} // namespace detail
} // namespace wane

#endif
