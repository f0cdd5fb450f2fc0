#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The library from a foreign language: python loads it by name, describes a type, makes a cycle and collects it.

usage: dlopen_ctypes.py LIBRARY
"""
import sys
import threading

try:
    import ctypes as c
except ImportError:
    print("this python has no ctypes")
    sys.exit(77)


class Slot(c.Structure):
    _fields_ = [("bits", c.c_size_t)]


class Node(c.Structure):
    _fields_ = [("value", c.c_uint64), ("next", Slot)]


class Type(c.Structure):
    _fields_ = [("name", c.c_char_p), ("size", c.c_size_t), ("slots", c.POINTER(c.c_uint32)), ("slot_count", c.c_size_t),
                ("trace", c.c_void_p), ("dispose", c.CFUNCTYPE(None, c.c_void_p)), ("finalize", c.c_void_p),
                ("flags", c.c_uint), ("id", c.c_uint32)]


class Collected(c.Structure):
    _fields_ = [(name, c.c_size_t) for name in
                ("candidates", "examined", "suspects", "freed", "components", "finalized", "aborted")]
    _fields_.append(("nanoseconds", c.c_uint64))


disposed = []


@c.CFUNCTYPE(None, c.c_void_p)
def dispose(node):
    disposed.append(Node.from_address(node).value)


OFFSETS = (c.c_uint32 * 1)(Node.next.offset)
TYPE = Type(b"node", c.sizeof(Node), OFFSETS, 1, None, dispose, None, 0, 0)


def load(path):
    wane = c.CDLL(path)
    for name, result, arguments in (
            ("wane_new", c.c_void_p, [c.POINTER(Type)]), ("wane_retain", c.c_void_p, [c.c_void_p]),
            ("wane_release", None, [c.c_void_p]), ("wane_enter", None, []), ("wane_leave", None, []),
            ("wane_peek", c.c_void_p, [c.c_void_p]), ("wane_set", None, [c.c_void_p, c.c_void_p]),
            ("wane_collect", c.c_int, [c.c_int, c.POINTER(Collected)]), ("wane_barrier", c.c_int, []),
            ("wane_shutdown", c.c_int, [])):
        function = getattr(wane, name)
        function.restype = result
        function.argtypes = arguments
    return wane


def make_cycle(wane, first):
    nodes = [wane.wane_new(c.byref(TYPE)) for _ in range(2)]
    for i, node in enumerate(nodes):
        Node.from_address(node).value = first + i
        wane.wane_set(node + Node.next.offset, nodes[1 - i])
    wane.wane_enter()
    assert wane.wane_peek(nodes[0] + Node.next.offset) == nodes[1]
    wane.wane_leave()
    for node in nodes:
        wane.wane_release(node)


def main():
    wane = load(sys.argv[1])
    make_cycle(wane, 1)
    thread = threading.Thread(target=make_cycle, args=(wane, 3))
    thread.start()
    thread.join()
    assert wane.wane_collect(2, c.byref(Collected())) == 0
    assert wane.wane_barrier() == 0
    assert wane.wane_shutdown() == 0
    assert sorted(disposed) == [1, 2, 3, 4], disposed


if __name__ == "__main__":
    main()
