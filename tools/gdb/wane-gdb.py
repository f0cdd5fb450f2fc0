# SPDX-License-Identifier: MIT
"""gdb for programs that use wane: source tools/gdb/wane-gdb.py

  wane types         objects and bytes alive, by type
  wane owners        the records: whose, in a section or not, what waits there
  wane header ADDR   the words of an object (the address of its payload), decoded
  wane why ADDR      the same, and the observed objects whose payload holds its address (wane_observe was on)

Slots print as the object in them. Nothing is called in the process: all of it works on a core file too. libwane needs its debug
information (as a separate file, too), for the layouts of its structs.
"""
import struct

import gdb

# src/header.h
FLAGS = ["MERGED", "QUEUED", "BUFFERED", "OWNLOG", "CLAIMED", "REVIEW", "CONDEMNED", "WEAK", "SHARED", "FINALIZED", "DEAD"]
LOCAL_MASK, QUIET, TRANSIT, IMMORTAL = (1 << 31) - 1, 1 << 31, 0xFFFF, 1 << 29
MERGED, SHARED, DEAD = 1 << 0, 1 << 8, 1 << 10
SHARE_BIAS, HEADER, PREFIX, TYPE_SEGMENT = 1 << 28, 16, 16, 64
LEAF_SHIFT, MID_BITS, WORDS = 20, 14, 2048  # src/registry.c


def symbol(name):
    found = gdb.lookup_global_symbol(name) or gdb.lookup_static_symbol(name)
    if not found:
        raise gdb.GdbError(f"no symbol {name}: libwane is not loaded, or has no debug information")
    return found.value()


def memory(address, size):
    return bytes(gdb.selected_inferior().read_memory(address, size))


def words(address, count):
    return struct.unpack(f"<{count}Q", memory(address, 8 * count))


def pointers(array):
    """(index, address) of what a table of atomic pointers leads to."""
    return [(i, p) for i, p in enumerate(words(int(array.address), array.type.sizeof // 8)) if p]


def number(field):
    return int(field["value"])


def signed(n, bits=64):
    return n - (1 << bits) if n >> (bits - 1) & 1 else n


class Heap:
    """Tables of the runtime, read once a command."""

    def __init__(self):
        record, kind = gdb.lookup_type("struct wn_record").pointer(), gdb.lookup_type("struct wn_type").pointer()
        self.records = {i: gdb.Value(p).cast(record).dereference() for i, p in pointers(symbol("wn_records"))}
        self.types = {i: gdb.Value(p).cast(kind).dereference() for i, p in pointers(symbol("wn_types"))}

    @staticmethod
    def counts(address, count):
        """Of so many types: born, died, bytes born, bytes died (the bytes of types whose objects have sizes of their own)."""
        numbers = words(address, 4 * count)
        return [tuple(signed(n) for n in numbers[4 * i:4 * i + 4]) for i in range(count)]

    def counted(self, record):
        for segment, address in pointers(record["types"]):
            for i, counts in enumerate(self.counts(address, TYPE_SEGMENT)):
                yield segment * TYPE_SEGMENT + i, counts

    def name(self, kind):
        return self.types[kind]["name"].string()

    def header(self, object):
        try:
            w0, w1 = words(object - HEADER, 2)
        except gdb.MemoryError:
            raise gdb.GdbError(f"{object:#x}: no such memory") from None
        if object % 8 or w0 >> 49 not in self.types:
            raise gdb.GdbError(f"{object:#x} is not an object")
        return w0, w1

    def size(self, object, kind):
        if self.types[kind]["sized"]:
            return words(object - HEADER - PREFIX, 2)[1]
        return int(self.types[kind]["size"])

    def observed(self):
        """Payload addresses of the objects in the registry."""
        for m, mid in pointers(symbol("mids")):
            for i, leaf in enumerate(words(mid, 1 << MID_BITS)):
                if leaf:
                    yield from self.of_leaf((m << MID_BITS | i) << LEAF_SHIFT, leaf)

    @staticmethod
    def of_leaf(base, leaf):
        for i, word in enumerate(words(leaf, WORDS)):
            while word:
                bit = (word & -word).bit_length() - 1
                word &= word - 1
                yield (base | i << 9 | bit << 3) + HEADER

    def thread(self, tid):
        for thread in gdb.selected_inferior().threads():
            if thread.ptid[1] == tid:
                return f"{tid} \"{thread.name}\"" if thread.name else str(tid)
        return f"{tid} (ended)"


def describe(heap, object):
    """Lines about an object's words."""
    w0, w1 = heap.header(object)
    kind, owner, local = w0 >> 49, w0 >> 32 & 0xFFFF, w0 & LOCAL_MASK
    count, flags = signed(w1 >> 15 & 0xFFFFFFFF, 32), [name for i, name in enumerate(FLAGS) if w1 >> i & 1]
    yield f"{object:#x}: '{heap.name(kind)}', {heap.size(object, kind)} bytes, version {w1 >> 47}"
    if w1 & DEAD or (w1 & MERGED and count <= 0):
        yield f"  dead ({' '.join(flags)})"
        return
    if count >= IMMORTAL:
        yield "  immortal"
    elif w1 & SHARED:
        yield f"  units: {local} of the owner's, {count - SHARE_BIAS} in the word, others on records"
    else:
        yield f"  units: {(0 if w1 & MERGED else local) + count}: {0 if w1 & MERGED else local} of the owner's, {count} in the word"
    if owner == TRANSIT:
        yield "  on its way between two threads"
    elif w1 & MERGED:
        yield "  merged: biased to nobody"
    elif owner in heap.records:
        record = heap.records[owner]
        whose = heap.thread(number(record["tid"])) if number(record["holder"]) else "nobody"
        yield f"  biased to record {owner}, of {whose}"
    traced = bool(heap.types[kind]["traced"])
    yield f"  age {w1 >> 11 & 3}" + (", a candidate" if w0 & QUIET and traced and not w1 & MERGED else "") + \
        (f", {' '.join(flags)}" if flags else "")


class Wane(gdb.Command):
    """wane types | owners | header ADDR | why ADDR: what wane's heap holds, and why"""

    def __init__(self):
        super().__init__("wane", gdb.COMMAND_DATA, gdb.COMPLETE_EXPRESSION, True)


class Types(gdb.Command):
    """Objects and bytes alive, by type."""

    def __init__(self):
        super().__init__("wane types", gdb.COMMAND_DATA)

    def invoke(self, argument, from_tty):
        heap = Heap()
        sums = {kind: [0, 0] for kind in heap.types}
        for kind, counts in enumerate(heap.counts(int(symbol("overflow").address), max(heap.types, default=0) + 1)):
            self.add(heap, sums, kind, counts)
        for record in heap.records.values():
            for kind, counts in heap.counted(record):
                self.add(heap, sums, kind, counts)
        print(f"{'objects':>10} {'bytes':>14}  type")
        for kind, (objects, size) in sorted(sums.items(), key=lambda row: (-row[1][1], row[0])):
            print(f"{objects:>10} {size:>14}  {heap.name(kind)}")

    @staticmethod
    def add(heap, sums, kind, counts):
        if kind in sums:
            born, died, bytes_born, bytes_died = counts
            sums[kind][0] += born - died
            sums[kind][1] += bytes_born - bytes_died if heap.types[kind]["sized"] else \
                (born - died) * int(heap.types[kind]["size"])


class Owners(gdb.Command):
    """The records: whose they are, in a section or not, what waits there."""

    def __init__(self):
        super().__init__("wane owners", gdb.COMMAND_DATA)

    def invoke(self, argument, from_tty):
        heap = Heap()
        for i, record in sorted(heap.records.items()):
            ctr, counted = number(record["pub"]["ctr"]), [counts for _, counts in heap.counted(record)]
            waits = [name for name, field in (("queue", record["queue"]["value"]), ("deferred", record["deferred"]["first"]),
                                              ("dying", record["dying"]), ("half dropped", record["partial"]),
                                              ("graves", record["grave_open"]), ("graves in a grace period",
                                                                                 record["grave_waiting"])) if int(field)]
            print(f"{i:>5}  {heap.thread(number(record['tid'])) if number(record['holder']) else 'free'}, "
                  f"{f'in a section (depth {ctr & 0xFFFF})' if ctr & 0xFFFF else 'outside'}, "
                  f"born {sum(c[0] for c in counted)}, died {sum(c[1] for c in counted)}"
                  f"{'; waits: ' + ', '.join(waits) if waits else ''}")


class Header(gdb.Command):
    """The words of an object, decoded: wane header ADDR (an expression)."""

    def __init__(self):
        super().__init__("wane header", gdb.COMMAND_DATA, gdb.COMPLETE_EXPRESSION)

    def invoke(self, argument, from_tty):
        print("\n".join(describe(Heap(), address_of(argument))))


class Why(gdb.Command):
    """An object's words, and the observed objects whose payload holds its address: wane why ADDR (an expression)."""

    def __init__(self):
        super().__init__("wane why", gdb.COMMAND_DATA, gdb.COMPLETE_EXPRESSION)

    def invoke(self, argument, from_tty):
        heap, wanted = Heap(), address_of(argument)
        print("\n".join(describe(heap, wanted)))
        holders, objects = 0, 0
        for object in heap.observed():
            objects += 1
            kind = words(object - HEADER, 1)[0] >> 49
            for offset in self.places(object, heap.size(object, kind), wanted):
                holders += 1
                print(f"  in {object:#x}: '{heap.name(kind)}'+{offset}")
        print(f"  held by {holders} places in {objects} observed objects" if objects else "  nothing was observed (wane_observe)")

    @staticmethod
    def places(object, size, wanted):
        """Offsets at which the payload holds the address, with or without a tag. Deferred frees are no matter: all is read."""
        return [8 * i for i, word in enumerate(words(object, size // 8)) if word & ~7 == wanted]


def address_of(argument):
    if not argument:
        raise gdb.GdbError("of which object?")
    return int(gdb.parse_and_eval(argument).cast(gdb.lookup_type("unsigned long")))


class SlotPrinter:
    def __init__(self, slot):
        self.bits = int(slot["bits"])

    def to_string(self):
        object, tag = self.bits & ~7, self.bits & 7
        if not self.bits:
            return "empty"
        if not object:
            return f"empty, tag {tag}"
        try:
            heap = Heap()
            name = heap.name(heap.header(object)[0] >> 49)
        except (gdb.GdbError, gdb.error):
            name = "?"
        return f"{object:#x} '{name}'" + (f", tag {tag}" if tag else "")


def slot_printer(value):
    return SlotPrinter(value) if value.type.strip_typedefs().tag == "wane_slot" else None


gdb.pretty_printers.append(slot_printer)
for command in (Wane, Types, Owners, Header, Why):
    command()
