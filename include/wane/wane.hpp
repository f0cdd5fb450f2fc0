/* SPDX-License-Identifier: MIT
 *
 * wane.hpp - the same for C++17: owned references, slots, borrows, sections and weak references as types
 *
 *   struct node { int value; wane::slot<node> left, right; };
 *   template <> struct wane::traits<node> : wane::type<node, &node::left, &node::right> {};
 *
 *   wane::ref<node> n = wane::make<node>(1);              // owned; false if there is no memory
 *   n->left.set(n);                                       // a cycle: found as any other
 *   wane::section inside;
 *   wane::borrow<node> l = n->left.peek(inside);          // valid as long as `inside`
 *
 * Everything is inline and calls wane.h: the contracts there hold, and only what C++ adds is said here. Nothing throws; needs
 * neither exceptions nor RTTI. ref, borrow, slot and weak are one pointer each. Objects can go from C to C++ and back
 * (ref::own, steal, pointer, raw); the containers of C take them as they are.
 *
 * Members of objects are slots, weak_slots, and plain C++ members: those are destroyed by T's destructor, which is the type's
 * dispose. A ref or a root inside an object keeps what it refers to, but is not looked through: cycles need slots.
 */
#ifndef WANE_WANE_HPP
#define WANE_WANE_HPP

#if __cplusplus < 201703L
#error "wane.hpp needs C++17"
#endif

/* Programs in C++ are warned of what they wrote. */
#pragma GCC diagnostic push
#ifdef __clang__
#pragma clang diagnostic ignored "-Weverything"
#else
#pragma GCC diagnostic ignored "-Wold-style-cast"
#pragma GCC diagnostic ignored "-Wshadow"
#endif
#include <wane/wane.h>
#pragma GCC diagnostic pop

#include <wane/layout.hpp>

#include <new>
#include <utility>

/* Initialised before anything runs, or refused. */
#ifdef __clang__
#define WANE_CONSTANT [[clang::require_constant_initialization]]
#else
#define WANE_CONSTANT __constinit
#endif

namespace wane {

template <class T> class ref;
template <class T> class borrow;
template <class T> class weak;
template <class T> struct traits;

namespace detail {

template <class From, class To> using if_convertible = std::enable_if_t<std::is_convertible_v<From *, To *>, int>;

template <class To, class From> To *
upcast(From *object) noexcept
{
    static_assert(begins_with<From, To>(), "wane: this base does not stand at the beginning of the object (it is not the first one, "
                                           "or virtual): a reference to it would not be the object's address");
    return object;
}

template <class T> void *
untyped(T *object) noexcept
{
    return const_cast<std::remove_cv_t<T> *>(object);
}

} // namespace detail

/* ---- Sections ------------------------------------------------------------------------------------------------- */

/**
 * wane::section - open as long as it lives; what is borrowed from slots is valid until then
 *
 * Threads   it ends on the thread on which it began: do not keep one across the suspension of a coroutine
 * Progress  as wane_enter and wane_leave
 *
 * checkpoint: as wane_checkpoint; borrows end (if this is the outermost section)
 */
class [[nodiscard]] section {
  public:
    section() noexcept { wane_enter(); }
    ~section() { wane_leave(); }
    section(const section &) = delete;
    section &operator=(const section &) = delete;
    void *operator new(std::size_t) = delete; /* a section ends with its scope */
    void *operator new[](std::size_t) = delete;

    void checkpoint() const noexcept { wane_checkpoint(); }
};

/* ---- References ------------------------------------------------------------------------------------------------ */

/**
 * wane::ref - one owned unit of an object, or none
 *
 * A copy retains, a move does not count, the end releases. It converts to a ref of a base that stands at the object's beginning
 * (others do not compile).
 *
 * ref::own      takes over a unit that the caller owned (from C)
 * steal         the other way: the caller owns the unit, the ref is empty
 * pointer       lent
 * is_unique, give, adopt   as wane_is_unique, wane_give, wane_adopt
 */
template <class T> class [[nodiscard]] ref {
  public:
    constexpr ref() noexcept = default;
    constexpr ref(std::nullptr_t) noexcept {}
    ref(const ref &other) noexcept : object_(other.object_) { wane_retain(detail::untyped(object_)); }
    ref(ref &&other) noexcept : object_(other.steal()) {}
    template <class U, detail::if_convertible<U, T> = 0>
    ref(const ref<U> &other) noexcept : ref(borrow<T>(other))
    {
    }
    template <class U, detail::if_convertible<U, T> = 0> ref(ref<U> &&other) noexcept : object_(detail::upcast<T>(other.steal())) {}
    template <class U, detail::if_convertible<U, T> = 0>
    explicit ref(borrow<U> other) noexcept : object_(detail::upcast<T>(other.pointer()))
    {
        wane_retain(detail::untyped(object_));
    }
    ~ref() { wane_release(detail::untyped(object_)); }

    ref &operator=(const ref &other) noexcept
    {
        ref(other).exchange(*this);
        return *this;
    }
    ref &operator=(ref &&other) noexcept
    {
        ref(std::move(other)).exchange(*this);
        return *this;
    }
    ref &operator=(std::nullptr_t) noexcept
    {
        wane_release(detail::untyped(steal()));
        return *this;
    }

    static ref own(T *object) noexcept
    {
        ref r;
        r.object_ = object;
        return r;
    }
    [[nodiscard]] T *steal() noexcept { return std::exchange(object_, nullptr); }
    void exchange(ref &other) noexcept { std::swap(object_, other.object_); }

    T *pointer() const noexcept { return object_; }
    T *operator->() const noexcept { return object_; }
    std::add_lvalue_reference_t<T> operator*() const noexcept { return *object_; }
    explicit operator bool() const noexcept { return object_ != nullptr; }

    bool is_unique() const noexcept { return wane_is_unique(object_); }
    int  give() const noexcept { return wane_give(detail::untyped(object_)); }
    void adopt() const noexcept { (void)wane_adopt(detail::untyped(object_)); }

  private:
    T *object_ = nullptr;
};

/**
 * wane::borrow - a pointer that is valid inside a section, or while the ref lives that it was made from
 *
 * Trivial to copy: pass it, by value, to functions that do not keep the object. retain: an owned reference of one's own.
 * A borrow of a ref that ends with its expression does not compile; nor does one on the heap.
 */
template <class T> class borrow {
  public:
    constexpr borrow() noexcept = default;
    constexpr borrow(std::nullptr_t) noexcept {}
    template <class U, detail::if_convertible<U, T> = 0>
    borrow(const ref<U> &owner) noexcept : object_(detail::upcast<T>(owner.pointer()))
    {
    }
    template <class U, detail::if_convertible<U, T> = 0> borrow(const ref<U> &&) = delete; /* keep the ref, or put it */
    template <class U, detail::if_convertible<U, T> = 0>
    borrow(borrow<U> other) noexcept : object_(detail::upcast<T>(other.pointer()))
    {
    }
    explicit borrow(T *object) noexcept : object_(object) {}
    void *operator new(std::size_t) = delete; /* a borrow ends with its section */
    void *operator new[](std::size_t) = delete;

    ref<T> retain() const noexcept { return ref<T>(*this); }
    T     *pointer() const noexcept { return object_; }
    T     *operator->() const noexcept { return object_; }
    std::add_lvalue_reference_t<T> operator*() const noexcept { return *object_; }
    explicit operator bool() const noexcept { return object_ != nullptr; }

  private:
    T *object_ = nullptr;
};

template <class T, class U> bool operator==(const ref<T> &a, const ref<U> &b) noexcept { return a.pointer() == b.pointer(); }
template <class T, class U> bool operator!=(const ref<T> &a, const ref<U> &b) noexcept { return a.pointer() != b.pointer(); }
template <class T, class U> bool operator==(borrow<T> a, borrow<U> b) noexcept { return a.pointer() == b.pointer(); }
template <class T, class U> bool operator!=(borrow<T> a, borrow<U> b) noexcept { return a.pointer() != b.pointer(); }
template <class T, class U> bool operator==(const ref<T> &a, borrow<U> b) noexcept { return a.pointer() == b.pointer(); }
template <class T, class U> bool operator!=(const ref<T> &a, borrow<U> b) noexcept { return a.pointer() != b.pointer(); }

/* ---- Slots ----------------------------------------------------------------------------------------------------- */

namespace detail {

/* A slot's destructor does nothing: the runtime empties the slots of a dead object, after the object's destructor. */
class any_slot {
  public:
    constexpr any_slot() noexcept : slot_{} {}
    any_slot(const any_slot &) = delete;
    any_slot &operator=(const any_slot &) = delete;

    wane_slot *raw() noexcept { return &slot_; }
    const wane_slot *raw() const noexcept { return &slot_; }
    void clear() noexcept { wane_clear(&slot_); }
    void clear_private() noexcept { wane_clear_private(&slot_); }

  private:
    wane_slot slot_;
};

} // namespace detail

/**
 * wane::slot - a wane_slot that holds a T: a member of an object, named in the object's traits
 *
 * Outside of objects use a root: a slot that is not an object's keeps for ever what is left in it.
 *
 * peek          borrowed: as long as the section that is shown lives. A section that ends with the expression does not compile
 * get           owned, or empty
 * set           the slot takes a unit of its own; nullptr empties it
 * put           the slot takes the ref's unit
 * take, swap    owned: what was in it
 * cas           true: it held `expected` and holds `desired` now; cas_put empties the ref exactly then
 * .._private    without a grace period: the object was never published, or is_unique
 * raw           the C slot, for tags and for the containers
 *
 * Threads   any, as in C: two threads may use one slot at once
 */
template <class T> class slot : public detail::any_slot {
  public:
    constexpr slot() noexcept = default;

    borrow<T> peek(const section &) const noexcept { return borrow<T>(static_cast<T *>(wane_peek(raw()))); }
    borrow<T> peek(const section &&) const = delete; /* it would be over before the borrow is used */
    ref<T>    get() const noexcept { return ref<T>::own(static_cast<T *>(wane_get(raw()))); }

    void set(borrow<T> object) noexcept { wane_set(raw(), detail::untyped(object.pointer())); }
    void put(ref<T> &&object) noexcept { wane_put(raw(), detail::untyped(object.steal())); }
    ref<T> take() noexcept { return ref<T>::own(static_cast<T *>(wane_take(raw()))); }
    ref<T> swap(ref<T> &&object) noexcept
    {
        return ref<T>::own(static_cast<T *>(wane_swap(raw(), detail::untyped(object.steal()))));
    }

    bool cas(borrow<T> expected, borrow<T> desired) noexcept
    {
        return wane_cas(raw(), expected.pointer(), detail::untyped(desired.pointer()));
    }
    bool cas_put(borrow<T> expected, ref<T> &&desired) noexcept
    {
        if (!wane_cas_put(raw(), expected.pointer(), detail::untyped(desired.pointer())))
            return false;
        (void)desired.steal();
        return true;
    }

    void set_private(borrow<T> object) noexcept { wane_set_private(raw(), detail::untyped(object.pointer())); }
    void put_private(ref<T> &&object) noexcept { wane_put_private(raw(), detail::untyped(object.steal())); }
    ref<T> take_private() noexcept { return ref<T>::own(static_cast<T *>(wane_take_private(raw()))); }
};

/**
 * wane::root - a slot outside of objects, for variables that threads share; its end empties it
 */
template <class T> class root : public slot<T> {
  public:
    constexpr root() noexcept = default;
    ~root() { wane_clear(this->raw()); }
};

/* ---- Weak references ------------------------------------------------------------------------------------------- */

/**
 * wane::weak - knows an object without keeping it
 *
 * Errors    empty: the object is dying, or there is no memory (errno as for wane_weak); or made of an empty reference
 *
 * get           owned, or empty: then for ever
 * notify, unnotify   as wane_weak_notify, wane_weak_unnotify
 *
 * wane::weak_slot - a slot that holds a weak reference, a member named in the traits as others; get upgrades
 */
template <class T> class [[nodiscard]] weak {
  public:
    constexpr weak() noexcept = default;
    explicit weak(borrow<T> object) noexcept
        : reference_(ref<void>::own(object ? wane_weak(detail::untyped(object.pointer())) : nullptr))
    {
    }

    ref<T> get() const noexcept
    {
        return ref<T>::own(reference_ ? static_cast<T *>(wane_weak_get(reference_.pointer())) : nullptr);
    }
    [[nodiscard]] int notify(void (*fn)(void *weak, void *arg), void *arg) const noexcept
    {
        return wane_weak_notify(reference_.pointer(), fn, arg);
    }
    bool unnotify(void (*fn)(void *weak, void *arg), void *arg) const noexcept
    {
        return wane_weak_unnotify(reference_.pointer(), fn, arg);
    }
    explicit operator bool() const noexcept { return static_cast<bool>(reference_); }
    bool operator==(const weak &other) const noexcept { return reference_ == other.reference_; }
    bool operator!=(const weak &other) const noexcept { return reference_ != other.reference_; }

  private:
    friend class weak_slot<T>;
    ref<void> reference_;
};

template <class T> class weak_slot : public detail::any_slot {
  public:
    constexpr weak_slot() noexcept = default;

    void set(const weak<T> &object) noexcept { wane_set(raw(), object.reference_.pointer()); }
    void put(weak<T> &&object) noexcept { wane_put(raw(), object.reference_.steal()); }
    ref<T> get() const noexcept
    {
        section inside;
        void   *reference = wane_peek(raw());

        return ref<T>::own(reference ? static_cast<T *>(wane_weak_get(reference)) : nullptr);
    }
    weak<T> get_weak() const noexcept
    {
        weak<T> w;

        w.reference_ = ref<void>::own(wane_get(raw()));
        return w;
    }
};

static_assert(sizeof(ref<int>) == sizeof(void *) && sizeof(borrow<int>) == sizeof(void *) && sizeof(weak<int>) == sizeof(void *));
static_assert(sizeof(slot<int>) == sizeof(wane_slot) && alignof(slot<int>) == alignof(wane_slot));
static_assert(std::is_trivially_destructible_v<slot<int>> && std::is_trivially_copyable_v<borrow<int>>);

/* ---- Types ----------------------------------------------------------------------------------------------------- */

/* What a trace function of T shows its slots to. */
class visitor {
  public:
    explicit visitor(wane_visitor *to) noexcept : to_(to) {}
    void operator()(const detail::any_slot &slot) const noexcept { wane_visit(to_, slot.raw()); }
    template <class Slot> void operator()(const Slot *slots, std::size_t count) const noexcept
    {
        static_assert(detail::is_slot<Slot>, "wane: what a trace function shows is slots");
        if (count)
            wane_visit_array(to_, slots->raw(), count);
    }

  private:
    wane_visitor *to_;
};

/* Marks the function `void finalize(wane::finalizing)` of a T as wane_type's finalize. */
struct finalizing {};

namespace detail {

template <class T, class = void> inline constexpr bool has_trace = false;
template <class T>
inline constexpr bool has_trace<T, std::void_t<decltype(std::declval<const T &>().trace(std::declval<visitor>()))>> = true;
template <class T, class = void> inline constexpr bool has_finalize = false;
template <class T>
inline constexpr bool has_finalize<T, std::void_t<decltype(std::declval<T &>().finalize(finalizing{}))>> = true;

template <class T> void
trace(const void *object, wane_visitor *visitor)
{
    static_cast<const T *>(object)->trace(wane::visitor(visitor));
}
template <class T> void
dispose(void *object)
{
    static_cast<T *>(object)->~T();
}
template <class T> void
finalize(void *object)
{
    static_cast<T *>(object)->finalize(finalizing{});
}

template <class T> constexpr auto
trace_of() -> void (*)(const void *, wane_visitor *)
{
    if constexpr (has_trace<T>)
        return trace<T>;
    else
        return nullptr;
}
template <class T> constexpr auto
dispose_of() -> void (*)(void *)
{
    if constexpr (std::is_trivially_destructible_v<T>)
        return nullptr;
    else
        return dispose<T>;
}
template <class T> constexpr auto
finalize_of() -> void (*)(void *)
{
    if constexpr (has_finalize<T>)
        return finalize<T>;
    else
        return nullptr;
}

template <class T, unsigned Flags, auto... Members> struct description {
    static_assert(std::is_object_v<T> && !std::is_array_v<T> && !std::is_const_v<T>, "wane: objects are of a plain class type");
    static_assert(alignof(T) <= 16, "wane: objects are aligned to 16 bytes, not more");
    static_assert(std::is_nothrow_destructible_v<T>, "wane: the destructor of an object must not throw");
    static_assert(((slots_of<Members>() > 0) && ...), "wane: one of the members named is no slot (nor an array of slots)");
    static constexpr auto slots = offsets_of<T, Members...>();
    static_assert(differ(slots), "wane: a slot is named twice");
    static constexpr bool is_sized = (Flags & WANE_SIZED) != 0;
    using described = T;

    WANE_CONSTANT static inline wane_type type = {name<T>::text.at, sizeof(T), sizeof...(Members) ? slots.at : nullptr,
                                    (slots_of<Members>() + ... + 0), trace_of<T>(), dispose_of<T>(), finalize_of<T>(), Flags, {0}};
};

} // namespace detail

/**
 * wane::type - what the traits of a T inherit: its slots, by pointers to members (of bases too); arrays of slots count whole
 *
 * T's destructor, if it does anything, is the type's dispose. `void trace(wane::visitor) const`, if T has it, shows the slots that
 * are not named here (contract of trace in wane.h); `void finalize(wane::finalizing)` is the type's finalize.
 *
 * wane::acyclic - the same for objects that are never part of a cycle (WANE_ACYCLIC)
 * wane::sized - the same for objects that are made by make_sized, each with a size of its own
 *
 * A type is known by the address of its description: libraries that hide their symbols have their own.
 */
template <class T, auto... Slots> struct type {
    using wane_description = detail::description<T, 0, Slots...>;
};
template <class T, auto... Slots> struct acyclic {
    using wane_description = detail::description<T, WANE_ACYCLIC, Slots...>;
};
template <class T, auto... Slots> struct sized {
    using wane_description = detail::description<T, WANE_SIZED, Slots...>;
};

template <class T> struct traits {
    static_assert(detail::never<T>, "wane: say which slots T has: template <> struct wane::traits<T> : wane::type<T, &T::a, ..> {};");
};

namespace detail {

#if defined(__cpp_exceptions)
inline constexpr bool may_throw = true;
#else
inline constexpr bool may_throw = false;
#endif

template <class T> using description_of = typename traits<std::remove_cv_t<T>>::wane_description;

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"
template <class T, class... Args> T *
construct(void *place, Args &&...args) noexcept
{
    static_assert(std::is_same_v<typename description_of<T>::described, T>, "wane: these are the traits of another type");
    if constexpr (std::is_aggregate_v<T>) {
        static_assert(!may_throw || noexcept(T{std::declval<Args>()...}),
                      "wane: this initialisation may throw, and an object cannot be unmade: give it what is made already");
        return ::new (place) T{std::forward<Args>(args)...};
    } else {
        static_assert(!may_throw || noexcept(T(std::declval<Args>()...)),
                      "wane: this constructor may throw, and an object cannot be unmade: make it noexcept, give it what is made already");
        return ::new (place) T(std::forward<Args>(args)...);
    }
}
#pragma GCC diagnostic pop

} // namespace detail

/**
 * wane::make - make an object: T(args..), or T{args..} if that is an aggregate
 *
 * Returns   owned; empty with errno as for wane_new (args are as they were)
 * Errors    a constructor that may throw does not compile
 *
 * wane::make_sized - the same with `bytes` more behind the T, zeroed; T is described by wane::sized
 */
template <class T, class... Args> [[nodiscard]] ref<T>
make(Args &&...args) noexcept
{
    using description = detail::description_of<T>;
    static_assert(!description::is_sized, "wane: objects of this type are made by make_sized");
    void *place = wane_new(&description::type);

    return ref<T>::own(place ? detail::construct<T>(place, std::forward<Args>(args)...) : nullptr);
}

template <class T, class... Args> [[nodiscard]] ref<T>
make_sized(std::size_t bytes, Args &&...args) noexcept
{
    using description = detail::description_of<T>;
    static_assert(description::is_sized, "wane: make_sized needs traits that inherit wane::sized");
    void *place = bytes <= SIZE_MAX - sizeof(T) ? wane_new_sized(&description::type, sizeof(T) + bytes) : nullptr;

    return ref<T>::own(place ? detail::construct<T>(place, std::forward<Args>(args)...) : nullptr);
}

/**
 * wane::retain - a reference to an object from inside of it: wane::retain(*this). It must be an object, made by make
 *
 * wane::as - the object as the D that it was made as; NULL if it was made as something else (a class derived from D, too)
 */
template <class T> [[nodiscard]] ref<T>
retain(T &object) noexcept
{
    return ref<T>(borrow<T>(&object));
}

template <class D, class T> borrow<D>
as(borrow<T> object) noexcept
{
    static_assert(detail::begins_with<D, T>(), "wane: a D is no T that begins with one");
    if (!object || wane_type_of(object.pointer()) != &detail::description_of<D>::type)
        return nullptr;
    return borrow<D>(static_cast<D *>(object.pointer()));
}

} // namespace wane

#undef WANE_CONSTANT

#endif
