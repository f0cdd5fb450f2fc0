#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""wane from Python, by ctypes: a handle class that owns one reference, slots, sections, a cycle.

usage: cycle.py [LIBRARY]    (default: WANE_LIBRARY from the environment, or libwane.so.0)
"""
import contextlib
import ctypes as c
import os
import sys

lib = c.CDLL(sys.argv[1] if len(sys.argv) > 1 else os.environ.get("WANE_LIBRARY", "libwane.so.0"))
ABI = 1  # WANE_ABI of the headers that the structures below were written from
lib.wane_need_abi(ABI)  # ends the process with a message if the library has another one

DISPOSE = c.CFUNCTYPE(None, c.c_void_p)


class Slot(c.Structure):
    _fields_ = [("bits", c.c_size_t)]


class Type(c.Structure):  # struct wane_type
    _fields_ = [("name", c.c_char_p), ("size", c.c_size_t), ("slots", c.POINTER(c.c_uint32)), ("slot_count", c.c_size_t),
                ("trace", c.c_void_p), ("dispose", DISPOSE), ("finalize", c.c_void_p), ("flags", c.c_uint), ("id", c.c_uint32)]


class Collected(c.Structure):  # struct wane_collected
    _fields_ = [(name, c.c_size_t) for name in
                ("candidates", "examined", "suspects", "freed", "components", "finalized", "aborted")]
    _fields_.append(("nanoseconds", c.c_uint64))


# Without these, ctypes takes pointers for ints of 32 bits.
for name, result, *arguments in (
        ("wane_new", c.c_void_p, c.POINTER(Type)), ("wane_retain", c.c_void_p, c.c_void_p), ("wane_release", None, c.c_void_p),
        ("wane_enter", None), ("wane_leave", None), ("wane_peek", c.c_void_p, c.c_void_p),
        ("wane_get", c.c_void_p, c.c_void_p), ("wane_set", None, c.c_void_p, c.c_void_p),
        ("wane_collect", c.c_int, c.c_int, c.POINTER(Collected)), ("wane_shutdown", c.c_int), ("wane_version", c.c_int)):
    function = getattr(lib, name)
    function.restype, function.argtypes = result, arguments


def describe(structure, slots, dispose=None):
    """A type that lives as long as the process, as the library asks."""
    offsets = (c.c_uint32 * len(slots))(*(getattr(structure, slot).offset for slot in slots))
    return Type(structure.__name__.encode(), c.sizeof(structure), offsets, len(slots), None, DISPOSE(dispose) if dispose else DISPOSE(), None)


class Person(c.Structure):
    _fields_ = [("age", c.c_uint64), ("friend", Slot)]


TYPE = describe(Person, ["friend"])


class Handle:
    """Owns one reference, and gives it back when Python drops the handle."""

    def __init__(self, owned):
        if not owned:
            raise MemoryError
        self.address = owned

    def __del__(self):
        lib.wane_release(self.address)

    @property
    def fields(self):
        return Person.from_address(self.address)

    def befriend(self, other):
        lib.wane_set(self.address + Person.friend.offset, other.address)

    def friend(self):
        return Handle(lib.wane_get(self.address + Person.friend.offset))


@contextlib.contextmanager
def section():
    lib.wane_enter()
    try:
        yield
    finally:
        lib.wane_leave()


def make_cycle():
    ann, bob = Handle(lib.wane_new(TYPE)), Handle(lib.wane_new(TYPE))
    ann.fields.age, bob.fields.age = 30, 40
    ann.befriend(bob)
    bob.befriend(ann)
    with section():  # inside it an address from wane_peek is valid
        borrowed = lib.wane_peek(ann.address + Person.friend.offset)
        assert Person.from_address(borrowed).age == 40
    assert ann.friend().fields.age == 40


def main():
    found = Collected()
    make_cycle()
    if lib.wane_collect(2, found) != 0:
        sys.exit("the collection failed")
    print(f"freed {found.freed} objects in {found.components} cycle")
    sys.exit(lib.wane_shutdown())


if __name__ == "__main__":
    main()
